"""Calibration slope and intercept, calibration in the large, and the observed/expected ratio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import stdtrit

from .._core.errors import InputError
from .._core.rows import Binary, infer_kind, reduce_rows, refuse_kind
from .._core.warnings import SaturatedScoresWarning, warn
from .._numerics.links import expit, logit
from .._numerics.recalibration import (
    Lines,
    best_shift,
    fit_lines,
    information,
    profile_ends,
    shift_ends,
)
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray, Kind, Weights
from ._spec import RULES, Interval, Kernel, Metric
from ._table import ScoreTable, validate_given

#: Cells of a table on which intervals are computed.
_CELLS = 4096
#: Likelihood ratios are larger than chi-squared by this part over the rows of the rarer class,
#: measured at 5 to 30 rows.
_FEW_ROWS = 0.5
#: Degrees of freedom of rows.
_MANY = 1e9
#: Largest part of the information that one group counts with.
_MOST_PULL = 0.99
#: Which probabilities a number for one binary problem is about.
OneKind = Literal["binary", "top_label"]


def one_table(given: tuple[Any, ...], kind: Kind | None) -> ScoreTable:
    """The table of one binary problem: of the event, or of the predicted class."""
    rows = validate_given(*given)
    if isinstance(rows, ScoreTable):
        refuse_kind(kind)
        return rows
    kind = infer_kind(kind, rows.scores.n_classes, ("binary", "top_label"))
    return ScoreTable._from_binary(reduce_rows(rows, kind, given[3])[0])


def inner(table: ScoreTable) -> IntArray:
    """Places of the scores strictly between 0 and 1, which have log-odds."""
    return np.flatnonzero((table.p > 0.0) & (table.p < 1.0) & np.isfinite(_odds(table.p)))


def _odds(p: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return logit(p)


def refuted(p: FloatArray, w: FloatArray, wy: FloatArray) -> FloatArray:
    """Weight of the labels that scores of exactly 0 or 1 exclude, of each label set."""
    off = np.where(p <= 0.0, wy, 0.0) + np.where(p >= 1.0, w - wy, 0.0)
    return np.asarray(off.sum(axis=-1))


class _Odds(NamedTuple):
    """The scores that have log-odds."""

    z: FloatArray
    w: FloatArray
    wy: FloatArray
    w2: FloatArray
    w2y: FloatArray


def _with_odds(table: ScoreTable, name: str) -> _Odds:
    kept = inner(table)
    if not len(kept):
        raise InputError(
            f"all probabilities are exactly 0 or 1, so {name} is not defined; expected some "
            "between 0 and 1. Pass the output of predict_proba, not of predict."
        )
    if refuted(table.p, table.w, table.wy) > 0:
        warn(
            "in some rows the label contradicts a probability of exactly 0 or 1. These rows have "
            f"no log-odds, and {name} ignores them. Clip the probabilities to count them.",
            SaturatedScoresWarning,
        )
    sums = (a[kept] for a in (table.w, table.wy, table.w2, table.w2y))
    return _Odds(_odds(table.p[kept]), *sums)


def _fitted(odds: _Odds, name: str) -> Lines:
    if not np.ptp(odds.z) > 1e-9 * (1.0 + float(np.abs(odds.z).max())):
        raise InputError(
            f"all probabilities are equal, so {name} is not defined; expected at least two "
            "different probabilities. Use calibration_in_the_large."
        )
    events, total = odds.wy.sum(), odds.w.sum()
    if not 1e-12 * total < events < (1.0 - 1e-12) * total:
        raise InputError(
            f"y_true holds one class only, so {name} is not defined; expected rows of both "
            "classes. Use calibration_in_the_large or observed_expected_ratio."
        )
    return fit_lines(odds.z, odds.w, odds.wy)


def calibration_slope(
    y_true: Any,
    y_prob: Any = None,
    *,
    kind: OneKind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Fit ``log-odds = intercept + slope * logit(p)`` and return the slope; 1 is calibrated.

    A slope below 1 means over-confident probabilities, above 1 under-confident ones.
    :func:`estimate` adds an interval, and :func:`calibration_test` ("line") tests slope 1 and
    intercept 0 together.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels of rows that the model was not fitted on, or a table of all rows.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    kind : {"binary", "top_label"}, optional
        The event, or the predicted class. Default: the predicted class for K > 2 classes.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether a weight is a row's share of the population or a count of rows.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.

    Returns
    -------
    slope : float
        Plus or minus infinity if the probabilities separate the classes perfectly.

    Raises
    ------
    ValueError
        If the data are invalid, all probabilities are equal, or only one class occurs.

    Warns
    -----
    SaturatedScoresWarning
        If a label contradicts a probability of exactly 0 or 1. Such rows are ignored.

    Notes
    -----
    Interval: profile likelihood. The cutoff is multiplied by ``1 + 1/(2 m)`` with m effective rows
    of the rarer class. It is scaled for weights (Rao and Scott 1984, with the variance that the
    fitted line implies) and for groups (cluster-robust variance, Student's t). With 30 groups of
    100 dependent rows, 90% intervals covered 89% (slope) and 84% (intercept):
    ``python benchmarks/whole_intervals.py --show``.

    References
    ----------
    D. Cox (1958). Two further applications of a model for binary regression. Biometrika 45. ---
    J. Rao, A. Scott (1984). On chi-squared tests for multiway contingency tables with cell
    proportions estimated from survey data. Annals of Statistics 12.

    Examples
    --------
    >>> from calibkit import calibration_slope
    >>> round(calibration_slope([0, 0, 1, 0, 1, 1], [0.01, 0.2, 0.3, 0.6, 0.9, 0.99]), 2)
    0.85
    """
    table = one_table((y_true, y_prob, sample_weight, weights, pos_label, classes), kind)
    return float(_fitted(_with_odds(table, "the slope"), "the slope").slope[0])


def calibration_intercept(
    y_true: Any,
    y_prob: Any = None,
    *,
    kind: OneKind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Fit ``log-odds = intercept + slope * logit(p)`` and return the intercept; 0 is calibrated.

    The slope is fitted too. For the intercept with the slope fixed at 1 use
    :func:`calibration_in_the_large`, which is a different number.

    Parameters
    ----------
    y_true, y_prob, kind, sample_weight, weights, pos_label, classes : optional
        As in :func:`calibration_slope`.

    Returns
    -------
    intercept : float
        In log-odds, at p = 0.5.

    Raises
    ------
    ValueError
        If the data are invalid, all probabilities are equal, only one class occurs, or the
        probabilities separate the classes perfectly.

    Examples
    --------
    >>> from calibkit import calibration_intercept
    >>> round(calibration_intercept([0, 0, 1, 0, 1, 1], [0.01, 0.2, 0.3, 0.6, 0.9, 0.99]), 2)
    -0.02
    """
    table = one_table((y_true, y_prob, sample_weight, weights, pos_label, classes), kind)
    line = _fitted(_with_odds(table, "the intercept"), "the intercept")
    return _finite_intercept(line)


def _finite_intercept(line: Lines) -> float:
    if np.isnan(line.intercept[0]):
        raise InputError(
            "the probabilities separate the classes perfectly, so the intercept is not defined; "
            "expected overlapping classes. Use calibration_in_the_large."
        )
    return float(line.intercept[0])


def calibration_in_the_large(
    y_true: Any,
    y_prob: Any = None,
    *,
    kind: OneKind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Return the shift of all log-odds that makes the mean probability equal the base rate.

    0 is calibrated; a negative value means that the probabilities are too high on average. The
    slope is fixed at 1. :func:`calibration_intercept` fits the slope too.

    Parameters
    ----------
    y_true, y_prob, kind, sample_weight, weights, pos_label, classes : optional
        As in :func:`calibration_slope`.

    Returns
    -------
    shift : float
        In log-odds; minus or plus infinity if there are no events or only events.

    Raises
    ------
    ValueError
        If the data are invalid, or all probabilities are exactly 0 or 1.

    Notes
    -----
    Interval: the shifts that the score test does not reject.

    Examples
    --------
    >>> from calibkit import calibration_in_the_large
    >>> round(calibration_in_the_large([0, 0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5, 0.5]), 3)
    -0.405
    """
    table = one_table((y_true, y_prob, sample_weight, weights, pos_label, classes), kind)
    odds = _with_odds(table, "calibration in the large")
    return float(best_shift(odds.z, odds.w, np.array([odds.wy.sum()]))[0])


def observed_expected_ratio(
    y_true: Any,
    y_prob: Any = None,
    *,
    kind: OneKind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Divide the number of events by the number that the probabilities expect; 1 is calibrated.

    Parameters
    ----------
    y_true, y_prob, kind, sample_weight, weights, pos_label, classes : optional
        As in :func:`calibration_slope`.

    Returns
    -------
    ratio : float
        At least 0.

    Raises
    ------
    ValueError
        If the data are invalid, or all probabilities are 0.

    Notes
    -----
    Interval: that of :func:`calibration_in_the_large`, as a ratio.

    Examples
    --------
    >>> from calibkit import observed_expected_ratio
    >>> round(observed_expected_ratio([0, 0, 1, 0, 1], [0.1, 0.2, 0.7, 0.5, 0.9]), 3)
    0.833
    """
    table = one_table((y_true, y_prob, sample_weight, weights, pos_label, classes), kind)
    expected = float(table.w @ table.p)
    if not expected > 0:
        raise InputError(
            "all probabilities are 0, so no events are expected and the ratio is not defined; "
            "expected positive probabilities."
        )
    return float(table.wy.sum() / expected)


def _line_kernel(parameter: str) -> Callable[..., Kernel]:
    def kernel(table: ScoreTable, **_: Any) -> Kernel:
        kept = inner(table)
        z = _odds(table.p[kept])

        def value(w: FloatArray, wy: FloatArray) -> FloatArray:
            lines = fit_lines(z, w[..., kept], wy[..., kept])
            found = np.asarray(getattr(lines, parameter))
            return found if wy.ndim > 1 else found[0]

        return value

    return kernel


def _shift_kernel(table: ScoreTable, **_: Any) -> Kernel:
    kept = inner(table)
    z = _odds(table.p[kept])

    def shift(w: FloatArray, wy: FloatArray) -> FloatArray:
        events = np.atleast_1d(wy[..., kept].sum(axis=-1))
        if w.ndim == 1 or w.strides[0] == 0:  # the same weights for all sets
            found = best_shift(z, w.reshape(-1, w.shape[-1])[0, kept], events)
        else:  # rows drawn with replacement
            pairs = zip(w[:, kept], events[:, None], strict=True)
            found = np.array([best_shift(z, a, e)[0] for a, e in pairs])
        return found if wy.ndim > 1 else found[0]

    return shift


def _ratio_kernel(table: ScoreTable, **_: Any) -> Kernel:
    return lambda w, wy: np.asarray(wy.sum(axis=-1) / (w @ table.p))


def _grouped(
    rows: Binary, groups: IntArray, intercept: float, slope: float, k: int
) -> tuple[FloatArray, FloatArray]:
    """Sum of the squares of the groups' scores, by k parameters of the line, and the degrees of
    freedom of each parameter's variance.

    A group pulls the line toward itself, by its share of the information: its residuals count as
    if it had been left out. Groups that say little of a parameter count less (Bell and McCaffrey
    2002; here for groups whose rows move together).
    """
    w = np.ones(len(rows.p)) if rows.w is None else rows.w
    kept = (rows.p > 0) & (rows.p < 1) & np.isfinite(_odds(rows.p))
    z, n = _odds(rows.p[kept]), int(groups.max()) + 1
    q, of, x = expit(intercept + slope * z), groups[kept], (np.ones_like(z), z)[:k]
    r, v = w[kept] * (rows.y[kept] - q), w[kept] * q * (1.0 - q)
    sums = np.array([np.bincount(of, r * a, minlength=n) for a in x]).T
    own = np.array([[np.bincount(of, v * a * b, minlength=n) for a in x] for b in x]).T
    bread = np.linalg.pinv(own.sum(axis=0))
    sums = np.linalg.solve(np.eye(k) - _MOST_PULL * own @ bread, sums[..., None])[..., 0]
    moved = (own[:, 0] @ bread) ** 2
    return sums.T @ sums, effective_count(moved.sum(axis=0), (moved**2).sum(axis=0)) - 1.0


def _quantile(level: float, freedom: float) -> float:
    """Quantile of Student's t."""
    return float(stdtrit(max(freedom, 1.0), (1.0 + level) / 2.0))


def _per_unit(
    table: ScoreTable, rows: Binary | None, groups: IntArray | None
) -> tuple[float, float]:
    """Sum of the squared weights of independent rows or groups, and degrees of freedom."""
    if groups is None or rows is None:
        return float(table.w2.sum()), _MANY
    size = np.bincount(groups, rows.w).astype(np.float64)
    squares = size @ size
    return float(squares), float(effective_count(size.sum(), squares)) - 1.0


def _line_ends(parameter: int) -> Callable[..., Interval]:
    """The interval of the intercept (0) or of the slope (1)."""

    def ends(
        table: ScoreTable, rows: Binary | None, groups: IntArray | None, level: float
    ) -> Interval:
        z, w, wy, w2, w2y = _with_odds(table.coarsen(_CELLS), "the interval")
        line = fit_lines(z, w, wy)
        squares, freedom = _per_unit(table, rows, groups)
        scale = squares / float(table.w.sum())  # of separated labels
        if np.isfinite(line.intercept[0]):
            q = expit(line.intercept[0] + line.slope[0] * z)
            bread = np.linalg.pinv(information(z, w * q * (1.0 - q)))
            meat = information(z, w2 * q * (1.0 - q))
            if groups is not None and rows is not None:
                meat, known = _grouped(rows, groups, line.intercept[0], line.slope[0], 2)
                freedom = known[parameter]
            sandwich = bread @ meat @ bread
            scale = float(sandwich[parameter, parameter] / bread[parameter, parameter])
        # Kish's numbers of rows; with few of them likelihood ratios are larger than chi-squared.
        counts = [effective_count(a.sum(), s.sum()) for a, s in ((wy, w2y), (w - wy, w2 - w2y))]
        scale *= 1.0 + _FEW_ROWS / max(float(min(counts)), 1.0)
        cutoff = scale * _quantile(level, freedom) ** 2
        low, high = profile_ends(z, w, wy, line, parameter, cutoff)
        return Interval(low, high, RULES["line"].method)

    return ends


def _shift_ends(*, ratio: bool) -> Callable[..., Interval]:
    """The shifts of all log-odds that the sum of the labels doesn't refute, or their ratios."""

    def ends(
        table: ScoreTable, rows: Binary | None, groups: IntArray | None, level: float
    ) -> Interval:
        z, w, wy, w2, _ = _with_odds(table.coarsen(_CELLS), "the interval")
        events = float(wy.sum())
        center = float(best_shift(z, w, np.array([events]))[0])
        squares, freedom = _per_unit(table, rows, groups)
        scale = squares / float(table.w2.sum())  # with equal labels each group is one row
        if groups is not None and rows is not None and np.isfinite(center):
            meat, (freedom,) = _grouped(rows, groups, center, 1.0, 1)
            q = expit(z + center)
            scale = float(meat[0, 0]) / float(w2 @ (q * (1.0 - q)))
        reach = _quantile(level, freedom) * float(np.sqrt(scale))
        low, high = shift_ends(z, w, w2, events, reach)
        if ratio:
            fixed = float(table.wy.sum()) - events  # of scores 0 and 1
            expected = float(table.w @ table.p)
            low, high = ((float(w @ expit(z + c)) + fixed) / expected for c in (low, high))
        return Interval(low, high, RULES["shift"].method)

    return ends


def _spec(
    function: Any, rule: str, label: str, kernel: Any, ends: Any, least: float = -np.inf
) -> Metric:
    own = {"settings": lambda kind, *_, **given: {"kind": kind, **given}, "ends": ends}
    return Metric(function, rule, label, None, (least, np.inf), kernel, **own)


SPECS = (
    _spec(calibration_slope, "line", "calibration slope", _line_kernel("slope"), _line_ends(1)),
    _spec(
        calibration_intercept,
        "line",
        "calibration intercept",
        _line_kernel("intercept"),
        _line_ends(0),
    ),
    _spec(
        calibration_in_the_large,
        "shift",
        "calibration in the large",
        _shift_kernel,
        _shift_ends(ratio=False),
    ),
    _spec(
        observed_expected_ratio, "shift", "O/E ratio", _ratio_kernel, _shift_ends(ratio=True), 0.0
    ),
)
