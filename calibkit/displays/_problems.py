"""The binary problems of a plot, made from the user's arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._core.errors import InputError, InputTypeError, called
from .._core.inputs import Rows
from .._core.params import check_int
from .._core.printed import a_type, few, spelled
from .._core.rows import Binary, infer_kind, reduce_rows, validate_groups, validate_problem
from .._typing import Kind, Weights
from ..metrics import ScoreTable


class Problem(NamedTuple):
    """One model's probabilities of one event, with the labels."""

    model: str
    label: Any  # the class in a class-wise plot, else None
    table: ScoreTable
    rows: Binary | None  # kept if the table alone cannot be resampled
    groups: np.ndarray | None = None


class Problems(NamedTuple):
    """All curves to draw, model by model."""

    kind: Kind
    problems: list[Problem]
    n_classes: int
    #: Arguments of :func:`compare` if there are rows of several models, named by their places.
    given: dict[str, Any] | None = None


def _reduced(
    model: str,
    rows: Rows,
    kind: Kind,
    shown: np.ndarray,
    groups: np.ndarray | None,
    weights: Weights,
) -> list[Problem]:
    binaries = reduce_rows(rows, kind, weights)
    if kind == "classwise":
        pairs = [(rows.classes[k], binaries[k]) for k in shown]
    else:
        pairs = [(None, binaries[0])]
    tables = [ScoreTable._from_binary(b) for _, b in pairs]
    return [
        Problem(model, label, table, None if table.plain and groups is None else b, groups)
        for (label, b), table in zip(pairs, tables, strict=True)
    ]


def _chosen(rows: Rows, n: int | None, shown: Any) -> np.ndarray:
    """Return the codes of the classes asked for, or else of those with most weight, in order."""
    labels = rows.classes.tolist()
    if shown is not None:
        asked = [shown] if isinstance(shown, str) or np.ndim(shown) == 0 else list(shown)
        for label in asked:
            if label not in labels:
                raise InputError(
                    f"shown holds the label {spelled(label)}; expected some of {few(labels)}."
                )
        return np.array([labels.index(label) for label in asked])
    if rows.y.dtype.kind == "f":
        return np.arange(len(labels))[-(n or len(labels)) :]
    counts = np.bincount(rows.y, rows.w, minlength=len(labels))
    return np.sort(np.argsort(-counts, kind="stable")[:n])


def problems_of_arrays(
    y_true: Any,
    scores: dict[str, Any],
    sample_weight: Any,
    *,
    weights: Weights,
    kind: Kind | None,
    pos_label: Any,
    classes: dict[str, Any] | Any,
    groups: Any,
    max_classes: int | None,
    shown: Any = None,
) -> Problems:
    """Make the problems of rows; a dict ``classes`` has the classes of each model."""
    if max_classes is not None:
        check_int("max_classes", max_classes, low=1)
    problems: list[Problem] = []
    labels_of_groups = groups
    if groups is not None:
        groups = validate_groups(groups, sample_weight, len(y_true))
    codes = np.arange(0)
    for model, y_prob in scores.items():
        with called(part=f" ({model})" if len(scores) > 1 else ""):
            if isinstance(classes, dict) and model not in classes:
                raise InputError(
                    f"classes has the keys {spelled(list(classes))}; expected a key for each model."
                )
            own = classes[model] if isinstance(classes, dict) else classes
            told = sample_weight, weights, pos_label, own
            rows = validate_problem(y_true, y_prob, *told, fractions=True)
            this = infer_kind(kind, rows.scores.n_classes)
            if not problems:
                first, kind = rows, this
                codes = _chosen(rows, max_classes, shown)
            elif first.scores.n_classes != rows.scores.n_classes:
                raise InputError(
                    f"{rows.scores.n_classes} classes, but the first model has "
                    f"{first.scores.n_classes}; expected models of the same problem."
                )
            problems += _reduced(model, rows, this, codes, groups, weights)
    known = [classes[m] for m in scores] if isinstance(classes, dict) else [classes]
    given = None
    if (
        len(scores) > 1
        and weights == "sampling"
        and all(np.array_equal(known[0], c) for c in known)
    ):
        given = {"y_true": y_true, "y_probs": {str(i): p for i, p in enumerate(scores.values())}}
        given |= {"sample_weight": sample_weight, "groups": labels_of_groups}
        given |= {"pos_label": pos_label, "classes": known[0]}
    return Problems(kind or "binary", problems, first.scores.n_classes, given)


def problems_of_tables(tables: dict[str, Any]) -> Problems:
    """Make the problems of tables."""
    for name, table in tables.items():
        if not isinstance(table, ScoreTable):
            raise InputTypeError(
                f"{spelled(name)} is {a_type(table)}; expected a ScoreTable. For labels "
                "and probabilities use from_predictions."
            )
    return Problems("binary", [Problem(m, None, t, None) for m, t in tables.items()], 2)


def probabilities_of(
    estimators: dict[str, Any], X: Any, *, pos_label: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return each estimator's probabilities, and the classes of their columns."""
    scores, classes = {}, {}
    for name, estimator in estimators.items():
        kind = type(estimator).__name__
        if not hasattr(estimator, "predict_proba"):
            raise InputError(
                f"{kind} has no predict_proba; expected a classifier with that method. "
                f"Wrap it: CalibratedClassifier({kind}()).fit(X_train, y_train)."
            )
        p = np.asarray(estimator.predict_proba(X))
        own = getattr(estimator, "classes_", None)
        if pos_label is not None and own is not None and p.ndim == 2 and p.shape[1] == 2:
            at = np.flatnonzero(np.asarray(own) == pos_label)
            p = p[:, at[0]] if len(at) else p
        scores[name], classes[name] = p, own
    return scores, classes
