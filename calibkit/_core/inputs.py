"""Check a user's scores, labels and weights, and raise errors about them.

A message says which call failed, what was found and where, what is expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_array

from .._numerics.links import largest, row_blocks
from .._typing import FloatArray, IntArray, Scale
from .arrays import on_host
from .columns import column_names, in_class_order
from .errors import InputError, caller
from .labels import (
    first_place,
    refuse_masked,
    validate_group_labels,
    validate_labels,
    validate_targets,
    warn_of_order,
    why_unreadable,
)
from .printed import few, spelled
from .scores import Scores
from .warnings import HardScoresWarning, RoundedScoresWarning, warn


def _numbers(sample_weight: Any) -> FloatArray:
    refuse_masked(sample_weight, "sample_weight")
    values = on_host(sample_weight, "sample_weight")
    try:
        w = np.asarray(values)
        if w.dtype.kind in "buifO":
            return w.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError("sample_weight can't be read as numbers; expected one number per row.")


def validate_weights(sample_weight: Any, n: int) -> FloatArray | None:
    """Finite weights >= 0 with a positive sum, or None."""
    w = finite_weights(sample_weight, n)
    if w is not None:
        check_largest(float(w.max(initial=0.0)))
    return w


def check_largest(weight: float) -> None:
    """Raise if the largest weight is zero, or too small or large."""
    if weight == 0:
        raise InputError("sample_weight is zero in every row; expected a positive sum.")
    if not 1e-100 <= weight <= 1e100:
        raise InputError(
            f"the largest sample_weight is {weight:.3g}; expected weights between 1e-100 and "
            "1e100. Divide them by their mean."
        )


def finite_weights(sample_weight: Any, n: int) -> FloatArray | None:
    """Finite weights >= 0, or None."""
    if sample_weight is None:
        return None
    w = _numbers(sample_weight)
    if w.ndim == 2 and w.shape[1] == 1:
        w = w[:, 0]
    if w.shape != (n,):
        raise InputError(f"sample_weight has shape {w.shape}; expected one weight per row, ({n},).")
    if not np.isfinite(w).all():
        at, place = first_place(~np.isfinite(w))
        raise InputError(
            f"sample_weight is not finite at {place}; expected finite weights >= 0.", place=at
        )
    if (w < 0).any():
        at, place = first_place(w < 0)
        raise InputError(
            f"sample_weight is negative ({w[at]:.6g} at {place}); expected weights >= 0.", place=at
        )
    return w


#: How far a row of class probabilities may be from summing to one (float32 rounding and more); a
#: little above 1e-4, where sums of numbers of four decimals lie.
SUM_TOLERANCE = 1.00001e-4
#: How far a probability may stray outside [0, 1] before it is an error instead of rounding.
RANGE_TOLERANCE = 1e-6

#: Squares of larger logits overflow.
LARGEST_LOGIT = 1e100


class Rows(NamedTuple):
    """Checked rows; ``y`` are codes 0..K-1, ``w`` is None if all weights are one."""

    scores: Scores
    y: IntArray
    w: FloatArray | None
    classes: np.ndarray
    groups: IntArray | None = None  # codes

    def take(self, at: np.ndarray) -> Rows:
        """Some of the rows."""
        s, y, w, classes, groups = self
        w, groups = (None if a is None else a[at] for a in (w, groups))
        return Rows(s[at], y[at], w, classes, groups)


def validate_scores(
    X: Any,
    *,
    scale: Scale,
    name: str = "X",
    allow_empty: bool = False,
    n_classes: int | None = None,
    classes: Any = None,
) -> Scores:
    """Scores of shape (n,), (n, 1), (n, 2) or (n, K) as :class:`Scores`.

    Columns that are named after the ``classes`` are put in their order.
    """
    a = _to_floats(in_class_order(X, classes, name=name), name)
    if a.ndim == 2 and a.shape[1] == 0:
        raise InputError(
            f"{name} has 0 feature(s) (shape={a.shape}) while a minimum of 1 is required."
        )
    if len(a) == 0 and not allow_empty:
        raise InputError(
            f"{name} has 0 sample(s) (shape={a.shape}) while a minimum of 1 is required."
        )
    columns = 1 if a.ndim == 1 else a.shape[1]
    if n_classes is not None and max(columns, 2) != n_classes:
        raise InputError(
            f"{name} has {columns} column(s); expected the scores of {n_classes} classes, as in "
            "fit."
        )
    two_classes = a.ndim == 1 or a.shape[1] <= 2
    if scale == "logit":
        _check_logits(a, name)
        if a.ndim == 2 and a.shape[1] == 2:
            return Scores(a[:, 1].astype(np.float64) - a[:, 0], scale)
        return Scores(_column(a) if two_classes else a, scale)
    best = None
    if a.ndim == 2 and a.shape[1] >= 2:
        best, rounded = _check_sums(a, name)
        if len(rounded):
            a, best = _divided(a, best, rounded, name)
    if not two_classes:
        return Scores(a, scale, best=best)
    low, high = (a.min(), a.max()) if len(a) else (0.0, 1.0)
    if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):
        _refuse_range(a, name)
    a = _column(a)
    return Scores(np.clip(a, 0.0, 1.0) if low < 0 or high > 1 else a, scale)


def _column(a: FloatArray) -> FloatArray:
    """The scores of the larger class in float64."""
    return np.ascontiguousarray(a if a.ndim == 1 else a[:, -1], dtype=np.float64)


def _to_floats(X: Any, name: str) -> FloatArray:
    """A float32 or float64 array of one or two dimensions; not copied if it is one already."""
    X = on_host(X, name)
    kind = getattr(getattr(X, "dtype", None), "kind", "f")
    refuse_masked(X, name)
    if kind in "mMVcS":
        words = "Complex data not supported: " if kind == "c" else ""
        raise InputError(f"{words}{name} has dtype {X.dtype}; expected plain numbers.")
    if type(X) is np.ndarray and X.dtype == np.float64 and X.ndim in (1, 2):
        return X  # nothing to convert: faster for small arrays
    if X is None or np.isscalar(X):
        raise InputError(
            f"{name} is {spelled(X)} ({type(X).__name__}); expected an array of scores."
        )
    try:
        a = check_array(
            X,
            dtype=[np.float64, np.float32],
            ensure_2d=False,
            ensure_all_finite=False,
            ensure_min_samples=0,
            ensure_min_features=0,
            input_name=name,
        )
    except RuntimeError as error:  # a torch tensor with gradients
        raise InputError(
            f"{name} can't be read as an array ({spelled(error).rstrip('.')}); expected an array "
            f"of scores. For a torch tensor pass {name}.detach().cpu()."
        ) from error
    except (ValueError, TypeError, OverflowError) as error:
        words = "Complex data not supported: " if "omplex" in str(error) else ""
        end = (
            " Pass the probabilities of predict_proba, not labels."
            if "string" in str(error)
            else ""
        )
        raise InputError(
            f"{words}{name} can't be read as an array of scores: {why_unreadable(X, error)}; "
            f"expected numbers, equally many in each row.{end}"
        ) from error
    if a.ndim == 0:
        raise InputError(f"{name} is a single number; expected an array of scores.")
    return a


def _check_finite(a: FloatArray, name: str) -> None:
    with np.errstate(all="ignore"):
        if np.isfinite(a.sum()):
            return
    bad = ~np.isfinite(a)
    if bad.any():
        at, place = first_place(bad)
        what = "NaN" if np.isnan(a[at]) else "infinity"
        raise InputError(
            f"{name} contains {what} (first at {place}); expected finite scores. Drop "
            "or correct these rows.",
            place=at,
        )


def _check_logits(a: FloatArray, name: str) -> None:
    # BLAS sums squares in one pass; of an array with gaps it would make a copy.
    if a.flags.forc:
        flat = a.ravel(order="K")
        with np.errstate(all="ignore"):
            if float(np.dot(flat, flat)) <= LARGEST_LOGIT**2:
                return
    size = max(-float(a.min()), float(a.max())) if len(a) else 0.0
    if not np.isfinite(size):
        _check_finite(a, name)
    if size > LARGEST_LOGIT:
        raise InputError(
            f"{name} holds logits up to {np.abs(a).max():.3g} in size; expected less than "
            f"{LARGEST_LOGIT:g}. For classes that are impossible use -1e9: np.clip({name}, -1e9, "
            "1e9)."
        )


def _refuse_range(a: FloatArray, name: str) -> None:
    _check_finite(a, name)
    bad = (a < -RANGE_TOLERANCE) | (a > 1 + RANGE_TOLERANCE)
    at, place = first_place(bad)
    low, high = a.min(), a.max()
    logits = "for logits or decision_function values use a calibrator with scale='logit'"
    mend = f"For percentages divide by 100; {logits}"
    if low < 0 or high > 100:
        mend = logits[0].upper() + logits[1:]
    if (a == np.floor(a)).all():
        mend = f"If these are labels, pass the probabilities of predict_proba. {mend}"
    raise InputError(
        f"{name} holds values outside [0, 1] ({a[at]:.6g} at {place}; min {low:.6g}, max "
        f"{high:.6g}); expected probabilities. {mend}.",
        place=at,
    )


def _check_sums(a: FloatArray, name: str) -> tuple[tuple[IntArray, FloatArray], IntArray]:
    """Check the rows, and find their largest entries while they are in cache.

    Rows that sum to one without negative values have no value above one. Rows that don't sum to
    one because they were rounded are returned too.
    """
    winners, top = np.empty(len(a), dtype=np.intp), np.empty(len(a))
    rounded: list[IntArray] = []
    for rows in row_blocks(len(a), max(1, a.shape[1] // 8)):
        block = a[rows]
        if not block.min() >= -RANGE_TOLERANCE:
            _refuse_range(a, name)
        # einsum sums rows several times faster than sum(axis=1), in the precision of the scores.
        off = ~(np.abs(np.einsum("ij->i", block) - 1.0) <= SUM_TOLERANCE)
        if off.any():
            _check_finite(a, name)
            stray = np.abs(block[off].sum(axis=1, dtype=np.float64) - 1.0)
            off[off] = stray > SUM_TOLERANCE
        if off.any():
            if block[off].max() > 1 + RANGE_TOLERANCE:
                _refuse_range(a, name)
            if stray.max() <= rounding_tolerance(block) + SUM_TOLERANCE:
                rounded.append(np.flatnonzero(off) + rows.start)
                off[:] = False
        if off.any():
            i = int(np.flatnonzero(off)[0])
            raise InputError(
                f"the rows of {name} don't sum to one (row {rows.start + i} sums to "
                f"{block[i].sum():.6g}); expected class probabilities. Divide each row by its sum, "
                "or use scale='logit' if these are logits.",
                place=rows.start + i,
            )
        winners[rows], top[rows] = largest(block)
    return (winners, top), np.concatenate(rounded) if rounded else np.empty(0, dtype=np.intp)


def _divided(
    a: FloatArray, best: tuple[IntArray, FloatArray], rows: IntArray, name: str
) -> tuple[FloatArray, tuple[IntArray, FloatArray]]:
    """Scores whose rounded rows are divided by their sums, and their largest entries."""
    sums, top = a[rows].sum(axis=1, dtype=np.float64), best[1].copy()
    a = a.copy()
    a[rows] /= sums[:, None]
    top[rows] = a[rows, best[0][rows]]
    warn(
        f"{len(rows)} of {len(a)} rows of {name} don't sum to one (row {rows[0]} sums to "
        f"{sums[0]:.6g}), as rounded probabilities do; they were divided by their sums.",
        RoundedScoresWarning,
    )
    return a, (best[0], top)


def validate_rows(
    X: Any,
    y: Any,
    sample_weight: Any = None,
    groups: Any = None,
    *,
    scale: Scale,
    classes: Any = None,
    names: tuple[str, str] = ("X", "y"),
    soft: bool = False,
) -> Rows:
    """Checked scores, labels, weights and groups; rows of weight zero are left out.

    With ``soft``, labels may be fractions of the larger class: see :func:`split_fractions`.
    """
    read: Callable[..., tuple[np.ndarray, Any]] = validate_targets if soft else validate_labels
    distinct: Any = None
    try:
        distinct, codes = read(y, classes=classes, name=names[1])
        scores = validate_scores(X, scale=scale, name=names[0], classes=distinct)
    except ValueError:
        refuse_swapped(X, y, names)
        refuse_lacking(X, distinct, names)
        raise
    n = len(scores)
    if codes.dtype.kind == "f":
        refuse_swapped(X, y, names)
    check_lengths(n, len(codes), names)
    warn_of_hard(scores, names[0])
    if classes is None and column_names(X) is None:
        warn_of_order(distinct, names[1])
    rows = Rows(scores, codes, validate_weights(sample_weight, n), distinct, group_codes(groups, n))
    if codes.dtype.kind == "f":
        return split_fractions(rows)
    if rows.w is not None and not rows.w.all():
        rows = rows.take(np.flatnonzero(rows.w))
        if classes is None:
            present, codes = np.unique(rows.y, return_inverse=True)
            rows = rows._replace(y=codes, classes=distinct[present])
    return rows


def group_codes(groups: Any, n: int) -> IntArray | None:
    """Codes 0, 1, ... of the groups of n rows; None if there are none."""
    if groups is None:
        return None
    labels = validate_group_labels(groups, n, "groups")
    return np.unique(labels, return_inverse=True)[1]


def split_fractions(rows: Rows) -> Rows:
    """A fraction f of weight w as two rows: label 1 of weight w f, label 0 of weight w (1 - f).

    Their log-loss is the cross-entropy ``-w (f log q + (1 - f) log(1 - q))``, and the weighted
    mean of their labels is f: what is fitted to 0/1 rows is fitted to fractions.
    """
    f, w = rows.y.astype(np.float64), np.ones(len(rows.y)) if rows.w is None else rows.w
    # All rows of one label first: fits that start on every so-many-th row see both labels.
    one, zero = np.flatnonzero(w * f), np.flatnonzero(w * (1.0 - f))
    codes = np.repeat(np.array([1, 0], dtype=np.int8), (len(one), len(zero)))
    weights = np.concatenate((w[one] * f[one], w[zero] * (1.0 - f[zero])))
    return rows.take(np.concatenate((one, zero)))._replace(y=codes, w=weights)


def check_lengths(n_scores: int, n_labels: int, names: tuple[str, str]) -> None:
    """Raise unless there are as many scores as labels."""
    if n_scores != n_labels:
        raise InputError(
            f"{names[0]} has {n_scores} rows and {names[1]} has {n_labels} (inconsistent numbers "
            "of samples); expected the same number."
        )


def match_classes(rows: Rows, *, names: tuple[str, str] = ("X", "y")) -> None:
    """Raise unless there is a column for every class and a class for every column."""
    k, labels = rows.scores.n_classes, rows.classes.tolist()
    if len(labels) == k:
        return
    score, label = names
    if rows.scores.values.ndim == 1:
        if len(labels) == 1:
            raise InputError(
                f"{label} holds one class only, {spelled(labels[0])}; expected rows of both "
                "classes. Add rows of the other class."
            )
        raise InputError(
            "Only binary classification is supported. The type of the target is multiclass: "
            f"{label} holds {len(labels)} classes ({few(labels)}) and {score} one score per row; "
            f"expected one column of {score} per class."
        )
    _refuse_columns(k, labels, names)


def refuse_lacking(X: Any, classes: Any, names: tuple[str, str]) -> None:
    """Raise if invalid scores have several columns, but fewer than there are classes."""
    shape = getattr(X, "shape", None) or _array(X).shape
    if classes is not None and len(shape) == 2 and 2 <= shape[1] < len(classes):
        _refuse_columns(shape[1], list(classes), names)


def _refuse_columns(k: int, labels: list[Any], names: tuple[str, str]) -> None:
    score, label = names
    if len(labels) == 1:
        raise InputError(
            f"{label} holds one class only, {spelled(labels[0])}, and {score} has {k} columns; "
            f"expected labels of {k} classes. Add rows of the other classes. If they have no rows "
            "here, pass all classes in classes=[...]."
        )
    mend = "If some classes have no rows here, pass all of them in classes=[...]."
    if k < len(labels):
        mend = f"Pass the columns of all {len(labels)} classes."
    raise InputError(
        f"{score} has {k} columns and {label} holds {len(labels)} classes ({few(labels)}); "
        f"expected one column per class. {mend}"
    )


#: Decimals that are tried; with fewer almost any row would pass, and more need no tolerance.
_DECIMALS = range(2, 6)
#: Bits of bfloat16 and of float16.
_FEWEST_BITS, _MOST_BITS = 8, 11
#: Largest tolerance, for any number of columns.
_LARGEST = 0.5


def rounding_tolerance(block: FloatArray) -> float:
    """How far from one the sum of a row may be if its numbers were only rounded.

    The sum of K numbers of d decimals is off by at most K 10^-d / 2. A softmax in half precision
    rounds exponentials, their sum (log2 K steps) and quotients, each by a unit in the last place.
    """
    k, a = block.shape[1], block.astype(np.float64)
    tolerance = 0.0
    for d in _DECIMALS:
        units = a * 10.0**d
        if np.abs(units - np.rint(units)).max() <= 10.0**d * 2.0**-24:  # float32 holds no more
            tolerance = 0.5 * k * 10.0**-d
            break
    single = a.astype(np.float32)
    if (single == a).all():
        used = int(np.bitwise_or.reduce(single.view(np.uint32), axis=None)) & 0x7FFFFF
        bits = 24 - (23 if used == 0 else (used & -used).bit_length() - 1)
        if bits <= _MOST_BITS:
            half = (3.0 + np.log2(k)) * 2.0 ** -max(bits, _FEWEST_BITS)
            tolerance = max(tolerance, half)
    return min(tolerance, _LARGEST)


#: With this many distinct fractions, values must be scores and not labels.
_MANY_FRACTIONS = 3


def refuse_swapped(
    scores: Any, labels: Any, names: tuple[str, str], *, labels_first: bool = False
) -> None:
    """Raise if the labels were given as scores, and the scores as labels."""
    if not _are_labels(scores) or not _are_scores(labels):
        return
    function = caller().split(" ")[0].split(".")[-1]
    first = "metric, " if function == "estimate" else ""
    order = "labels, scores" if labels_first else "scores, labels"
    raise InputError(
        f"{names[0]} holds class labels and {names[1]} holds scores: they are swapped. Call "
        f"{function}({first}{order})."
    )


def _array(values: Any) -> np.ndarray:
    try:
        return np.asarray(on_host(values))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return np.empty(0)


def _are_labels(values: Any) -> bool:
    """Whether a column holds texts, whole numbers or missing values only."""
    a = _array(values)
    if a.ndim != 1 or len(a) == 0:
        return False
    if a.dtype.kind == "O":
        known = [v for v in a.tolist() if v is not None and v == v]
        return all(isinstance(v, (str, int)) for v in known)
    if a.dtype.kind == "f":
        a = a[~np.isnan(a)]
        return bool((a == np.floor(a)).all())
    return a.dtype.kind in "buiUS"


def _are_scores(values: Any) -> bool:
    """Whether these are rows of several numbers, or many different fractions."""
    a = _array(values)
    if a.dtype.kind != "f" or a.size == 0:
        return False
    if a.ndim == 2 and a.shape[1] > 1:
        return True
    a = a[np.isfinite(a)]
    return len(np.unique(a[a != np.floor(a)])) >= _MANY_FRACTIONS


def warn_of_hard(s: Scores, name: str) -> None:
    """Warn if probabilities look like the labels of ``predict``."""
    if len(s) > 1:
        warn_if_hard(*hardness(s), len(s), name)


def hardness(s: Scores) -> tuple[bool, float, float]:
    """Whether all rows are exactly 0 or 1, and if so the smallest and the largest winner."""
    if s.scale != "probability" or len(s) == 0:
        return s.scale == "probability", np.inf, -np.inf
    values = s.values if s.best is None else s.best[1]
    winners = s.values if s.values.ndim == 1 or s.best is None else s.best[0]
    if s.values.ndim == 1:
        hard = all(((v == 0) | (v == 1)).all() for v in (values[:100], values))
    else:
        hard = s.best is not None and all((v == 1).all() for v in (values[:100], values))
    return hard, float(winners.min()) if hard else 0.0, float(winners.max()) if hard else 0.0


def warn_if_hard(hard: bool, low: float, high: float, n: int, name: str) -> None:
    """Warn if all of n rows are exactly 0 or 1, and not all the same."""
    if hard and low < high:
        warn(
            f"all {n} rows of {name} are exactly 0 or 1, like predicted labels; expected "
            "probabilities. Pass the output of predict_proba, not of predict.",
            HardScoresWarning,
        )
