"""Out-of-fold predictions: scores of rows that a model was not trained on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter

from ._core.arrays import in_memory
from ._core.errors import InputError, called, caller
from ._core.inputs import validate_scores
from ._core.labels import validate_group_labels
from ._core.printed import few, spelled
from ._core.scores import Scores
from ._core.warnings import warn
from ._typing import IntArray, Scale

_SCALES: dict[str, Scale] = {"decision_function": "logit", "predict_proba": "probability"}

#: Log-odds of a class without training rows: one in ten million.
_NEXT_TO_NOTHING = np.log(1e-7)


class Fold(NamedTuple):
    """A model, the rows it was not trained on, and its scores of them."""

    estimator: BaseEstimator
    rows: np.ndarray
    scores: Scores


def response_of(estimator: BaseEstimator, X: Any, classes: np.ndarray, method: str) -> Scores:
    """Scores of ``classes`` by a fitted classifier, which may have seen only some of them."""
    names = tuple(_SCALES) if method == "auto" else (method,)
    response = next((m for m in names if hasattr(estimator, m)), None)
    if response is None:
        raise InputError(
            f"{type(estimator).__name__} has no {' or '.join(names)}; expected a classifier with "
            f"{' or '.join(names)}."
        )
    values = np.asarray(getattr(estimator, response)(in_memory(X, "X")))
    own = np.asarray(getattr(estimator, "classes_", classes))
    _check_response(values, own, classes, f"{type(estimator).__name__}.{response}")
    if not np.array_equal(own, classes):
        values = _all_columns(values, np.searchsorted(classes, own), len(classes), response)
    return validate_scores(values, scale=_SCALES[response], name=f"{response}(X)")


def _check_response(values: np.ndarray, own: np.ndarray, classes: np.ndarray, what: str) -> None:
    if not set(own.tolist()) <= set(classes.tolist()):
        raise InputError(
            f"{what}: its classes_ ({few(own)}) are not all among the labels {few(classes)}; "
            "expected the labels that it was fitted with."
        )
    columns = 1 if values.ndim == 1 else values.shape[1]
    if columns != len(own) and not (columns == 1 and len(own) == 2):
        raise InputError(
            f"{what} returns {columns} column(s) for {len(own)} classes; expected one per class. "
            "For an SVC use decision_function_shape='ovr'."
        )


def _all_columns(values: np.ndarray, known: np.ndarray, k: int, method: str) -> np.ndarray:
    """Add columns for classes without training rows, with a probability of (almost) 0."""
    if values.ndim == 1 or values.shape[1] < len(known):
        values = values.ravel()
        low = 1.0 - values if method == "predict_proba" else np.zeros(len(values))
        values = np.column_stack((low, values))
    if method == "predict_proba":
        out = np.zeros((len(values), k))
    else:
        total = np.logaddexp.reduce(values, axis=1, keepdims=True)
        out = np.repeat(total + _NEXT_TO_NOTHING, k, axis=1)
    out[:, known] = values
    return out


def weight_params(estimator: BaseEstimator, sample_weight: Any) -> dict[str, Any]:
    """``fit`` parameters that pass weights to an estimator, or to the last step of a pipeline."""
    if sample_weight is None or isinstance(estimator, FrozenEstimator):
        return {}
    if has_fit_parameter(estimator, "sample_weight"):
        return {"sample_weight": sample_weight}
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        inner = weight_params(last, sample_weight)
        return {f"{name}__{key}": value for key, value in inner.items()}
    warn(
        f"{caller()}: {type(estimator).__name__}.fit has no parameter sample_weight, so the "
        "weights are used for the calibration only.",
        UserWarning,
    )
    return {}


def take(a: Any, rows: np.ndarray) -> Any:
    """Rows of an array, a frame, a sparse matrix or a list."""
    if hasattr(a, "iloc"):
        return a.iloc[rows]
    if hasattr(a, "shape") or hasattr(a, "__dataframe__"):
        return a[rows]
    return [a[i] for i in rows]


def splits(
    cv: Any, X: Any, codes: np.ndarray, groups: Any, *, shuffle: int | None = None
) -> list[tuple[Any, Any]]:
    """Train and test rows of each fold; a number means stratified folds, by groups if given.

    ``shuffle`` is the seed of a random order, or None for the order of the rows.
    """
    if groups is not None:
        groups = validate_group_labels(groups, len(codes), "groups")
        n_groups = len(np.unique(groups))
        if isinstance(cv, (int, np.integer)) and n_groups < cv:
            raise InputError(
                f"groups holds {n_groups} groups and cv={spelled(cv)}; expected at least one group "
                f"for each fold. Use fewer folds: cv={max(n_groups, 2)}."
            )
    if isinstance(cv, (int, np.integer)) and (groups is not None or shuffle is not None):
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        splitter: Any = kind(n_splits=cv, shuffle=shuffle is not None, random_state=shuffle)
    else:
        try:
            splitter = check_cv(cv, codes, classifier=True)
        except ValueError as error:
            raise InputError(
                f"cv={spelled(cv)}; expected a number of folds, a splitter, or pairs of row "
                "indices."
            ) from error
    listed = hasattr(cv, "__len__") and not hasattr(cv, "split")
    pairs = not listed or all(isinstance(f, (list, tuple)) and len(f) == 2 for f in cv)
    folds = list(splitter.split(X, codes, groups)) if pairs else []
    if not folds:
        raise InputError(
            f"cv={spelled(cv)} gives no folds of training and test rows; expected pairs of row "
            "indices. Pass a list instead of a generator, which is empty after the first fit."
        )
    return folds


def check_apart(folds: list[Any], rows: IntArray, groups: np.ndarray | None, what: str) -> None:
    """Raise unless every row is tested once, and its group is not in that training part.

    ``rows`` are the numbers of the rows in messages, and ``what`` is what a row is.
    """
    n = len(rows)
    code = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    tested = np.zeros(n, dtype=np.intp)
    for train, test in folds:
        tested[test] += 1
        seen = np.zeros(n, dtype=bool)
        seen[code[train]] = True
        both = np.arange(n)[test][seen[code[test]]]
        if len(both):
            i, shared = int(both[0]), "itself" if groups is None else "its group"
            raise InputError(
                f"cv tests {what} {rows[i]} by a calibrator fitted on {shared}; expected training "
                f"and test parts that share no {what} or group. Use a number, or GroupKFold."
            )
    if (tested != 1).any():
        i = int((tested != 1).argmax())
        raise InputError(
            f"cv tests {what} {rows[i]} {tested[i]} times; expected every {what} in exactly one "
            "test part. Use a number, or KFold."
        )


def _fit_fold(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    classes: np.ndarray,
    fold: tuple[Any, Any],
    params: dict[str, Any],
    method: str,
    name: str,
) -> Fold:
    n = len(y)
    train, test = np.arange(n)[fold[0]], np.arange(n)[fold[1]]
    own = {
        key: take(value, train) if _per_row(value, n) else value for key, value in params.items()
    }
    model = clone(estimator).fit(take(X, train), take(y, train), **own)
    with called(name):  # in another process, perhaps
        return Fold(model, test, response_of(model, take(X, test), classes, method))


def _per_row(value: Any, n: int) -> bool:
    if isinstance(value, (str, bytes, dict)):
        return False
    shape = getattr(value, "shape", None)
    length = shape[0] if shape else len(value) if hasattr(value, "__len__") else None
    return length == n


def cross_fit(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    classes: np.ndarray,
    folds: Iterable[tuple[Any, Any]],
    *,
    params: dict[str, Any],
    method: str,
    n_jobs: int | None,
) -> list[Fold]:
    """Fit a clone of the estimator on each fold and score the rows left out."""
    return Parallel(n_jobs=n_jobs)(
        delayed(_fit_fold)(estimator, X, y, classes, fold, params, method, caller())
        for fold in folds
    )
