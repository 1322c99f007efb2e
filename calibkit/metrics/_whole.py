"""Calibration errors without bins: smooth, kernel, and of cumulative differences."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal

import numpy as np

from .._core.errors import InputError
from .._core.params import check_choice, check_flag, check_real
from .._core.rows import Binary, infer_kind, reduce_rows, refuse_kind
from .._core.scores import SATURATED
from .._numerics.laplace import median_distance, pair_sum
from .._numerics.links import logit
from .._numerics.smooth import smooth_errors
from .._typing import FloatArray, Kind, Scale, Weights
from ._spec import Kernel, Metric, Whole
from ._table import ScoreTable, validate_given

Settings = Callable[..., dict[str, Any]]
SCALES = ("probability", "logit")
STATISTICS = ("kuiper", "ks")
#: On the log-odds scale no kernel is cut: standard deviations between scores and ends.
_REACH = 8.0


def raw_errors(given: tuple[Any, ...], kind: Kind | None, raw: Callable[[Any], Any]) -> Any:
    """Return the raw error of each problem."""
    rows = validate_given(*given)
    if isinstance(rows, ScoreTable):
        refuse_kind(kind)
        return np.array([raw(rows)])
    problems = reduce_rows(rows, infer_kind(kind, rows.scores.n_classes), given[3])
    return np.array([raw(b) for b in problems])


def as_table(problem: Binary | ScoreTable) -> ScoreTable:
    return problem if isinstance(problem, ScoreTable) else ScoreTable._from_binary(problem)


def choice_of(name: str, choices: Collection[str], default: str) -> Settings:
    """Settings of a metric with one choice."""

    def settings(kind: Kind, n: int, effective: float | None = None, **given: Any) -> Any:
        chosen = given.get(name, default)
        check_choice(name, chosen, choices)
        return {name: chosen, "kind": kind}

    return settings


def whole_metric(function: Any, label: str, whole: Whole, settings: Settings, top: float) -> Metric:
    def kernel(table: ScoreTable, **chosen: Any) -> Kernel:
        raw = whole.kernel(table, **chosen)
        return lambda w, wy: np.asarray(whole.finished(raw(w, wy)))

    return Metric(
        function, "whole", label, False, (0.0, top), kernel, settings=settings, whole=whole
    )


def _positions(p: FloatArray, scale: str) -> tuple[FloatArray, float]:
    if scale == "probability":
        return p, 0.0
    return logit(np.clip(p, SATURATED, 1.0 - SATURATED)), _REACH


def _smooth_raw(problem: Binary | ScoreTable, *, scale: str, **_: Any) -> float:
    if isinstance(problem, ScoreTable):
        mass = problem.w * problem.p - problem.wy
        total = problem.w.sum()
    else:
        mass = problem.p - problem.y
        total = np.float64(len(mass))
        if problem.w is not None:
            mass, total = problem.w * mass, problem.w.sum()
    x, reach = _positions(problem.p, scale)
    mass /= total
    return float(smooth_errors(x, mass, reach))


def _smooth_kernel(cells: ScoreTable, *, scale: str, **_: Any) -> Kernel:
    x, reach = _positions(cells.p, scale)
    return lambda w, wy: smooth_errors(x, (w * cells.p - wy) / w.sum(axis=-1)[..., None], reach)


def smooth_calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    scale: Scale = "probability",
    kind: Kind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute the smooth calibration error (smooth ECE), which needs no bins.

    The differences of score and label are smoothed over the scores, and their absolute values are
    averaged. Use it instead of the ECE if the number of bins would decide the result.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    scale : {"probability", "logit"}, default="probability"
        Scale on which the differences are smoothed. "logit" shows errors near 0 and 1 that
        "probability" averages out. The two scales give different numbers: name the scale in a
        report.
    kind : {"binary", "top_label", "classwise"}, optional
        The probability of the event, that of the predicted class, or those of all classes (their
        errors are averaged). Default: the event, or the predicted class for K > 2 classes.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether weights are shares of the population or counts of rows. This changes the interval
        of :func:`estimate`, not the value.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.

    Returns
    -------
    error : float
        In [0, 1]. It is accurate to 1e-4 of its size.

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    Notes
    -----
    The kernel is Gaussian. On the scale "probability" it is reflected at 0 and 1. Its standard
    deviation is not a setting: it is the one that equals the resulting error. A calibrated model
    shows an error above 0, which falls like the cube root of 1/n; :func:`estimate` shows it as the
    null value. Scores of 0 and 1 have the log-odds of 1e-12 and 1 - 1e-12.

    References
    ----------
    J. Błasiok, P. Nakkiran (2024). Smooth ECE: principled reliability diagrams via kernel
    smoothing. ICLR.

    Examples
    --------
    >>> from calibkit import smooth_calibration_error
    >>> round(smooth_calibration_error([0, 0, 1, 1], [0.1, 0.3, 0.8, 0.9]), 4)
    0.1597
    """
    check_choice("scale", scale, SCALES)
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    return float(raw_errors(given, kind, lambda b: _smooth_raw(b, scale=scale)).mean())


def _bandwidth(table: ScoreTable, bandwidth: float | None) -> float:
    if bandwidth is not None:
        return float(bandwidth)
    return median_distance(table.p, table.w, table.n_rows)


def _kernel_kernel(cells: ScoreTable, *, bandwidth: float | None = None, **_: Any) -> Kernel:
    """Mean of ``2 k(p_i, p_j) d_i d_j`` over pairs of different rows."""
    p, h = cells.p, _bandwidth(cells, bandwidth)
    # Squared weights and fractional labels in a cell, per unit of its weight.
    square = 1.0 if cells.plain else cells.w2 / cells.w
    fraction = 0.0 if cells.plain else (cells.w2y - cells.w2yy) / cells.w

    def pairs(w: FloatArray, wy: FloatArray) -> FloatArray:
        w2 = square * w
        own = (w2 * p * p + square * wy * (1.0 - 2.0 * p) - fraction * w).sum(axis=-1)
        number = w.sum(axis=-1) ** 2 - w2.sum(axis=-1)
        return np.asarray(2.0 * (pair_sum(p, w * p - wy, h) - own) / number)

    return pairs


def _kernel_truth(cells: ScoreTable, *, bandwidth: float | None = None, **_: Any) -> Kernel:
    p, h = cells.p, _bandwidth(cells, bandwidth)
    return lambda w, wy: 2.0 * pair_sum(p, (w * p - wy) / w.sum(axis=-1)[..., None], h)


def _kernel_raw(problem: Binary | ScoreTable, *, bandwidth: float | None, **_: Any) -> float:
    table = as_table(problem)
    if table.effective_rows < 2.0 * (1.0 - 1e-9):
        raise InputError(
            "fewer than two effective rows, which have no pairs; expected at least two."
        )
    p, scale = table.p, table.w.max()
    w, wy = table.w / scale, table.wy / scale
    w2, w2y, w2yy = (a / scale / scale for a in (table.w2, table.w2y, table.w2yy))
    own = (w2 * p * p - 2.0 * p * w2y + w2yy).sum()
    pairs = pair_sum(p, w * p - wy, _bandwidth(table, bandwidth)) - own
    return float(2.0 * pairs / (w.sum() ** 2 - w2.sum()))


def kernel_calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    bandwidth: float | None = None,
    squared: bool = False,
    kind: Kind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute the kernel calibration error from pairs of rows with similar scores.

    If two rows have similar scores and errors of the same sign, the model is miscalibrated there.
    The error needs no bins, and its square has no bias from sampling noise.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    bandwidth : float, optional
        Distance between scores at which the weight of a pair is 1/e; at least 1e-6. Default: the
        median distance of all pairs of rows; with more than 500 rows, of 500 equally spaced
        quantiles of the scores.
    squared : bool, default=False
        Return the square, which may be negative. Use it to average errors over folds or data sets.
    kind : {"binary", "top_label", "classwise"}, optional
        The probability of the event, that of the predicted class, or those of all classes (their
        squares are averaged). Default: the event, or the predicted class for K > 2 classes.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        As in :func:`calibration_error`.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.

    Returns
    -------
    error : float
        At most the square root of 2. Negative squares become 0, unless ``squared``.

    Raises
    ------
    ValueError
        If the data or settings are invalid, or there are fewer than two (effective) rows.

    Notes
    -----
    The square is the mean of ``2 * exp(-abs(p_i - p_j) / bandwidth) * (p_i - y_i) * (p_j - y_j)``
    over all pairs of different rows: the U-statistic of the squared kernel calibration error
    (SKCE) of both classes. It is computed exactly, in O(n log n).

    References
    ----------
    D. Widmann, F. Lindsten, D. Zachariah (2019). Calibration tests in multi-class classification: a
    unifying framework. NeurIPS.

    Examples
    --------
    >>> from calibkit import kernel_calibration_error
    >>> round(kernel_calibration_error([0, 0, 1, 0] * 20, [0.1, 0.3, 0.8, 0.9] * 20), 3)
    0.317
    """
    _kernel_settings("binary", 2, bandwidth=bandwidth)
    check_flag("squared", squared)
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    raw = float(raw_errors(given, kind, lambda b: _kernel_raw(b, bandwidth=bandwidth)).mean())
    return raw if squared else float(np.sqrt(max(raw, 0.0)))


def _kernel_settings(
    kind: Kind,
    n: int,
    effective: float | None = None,
    *,
    bandwidth: float | None = None,
    squared: bool = False,
) -> dict[str, Any]:
    if squared:
        raise InputError(
            "squared=True has no interval, since the square may be negative; expected "
            "squared=False. params['unclipped_square'] of the result is the square."
        )
    if bandwidth is not None:
        check_real("bandwidth", bandwidth, low=1e-6, high=1e6)
    return {"bandwidth": bandwidth, "kind": kind}


def _cumulative_kernel(cells: ScoreTable, *, statistic: str, **_: Any) -> Kernel:
    def largest(w: FloatArray, wy: FloatArray) -> FloatArray:
        sums = np.cumsum(wy - w * cells.p, axis=-1) / w.sum(axis=-1)[..., None]
        if statistic == "ks":
            return np.asarray(np.abs(sums).max(axis=-1))
        return np.maximum(sums.max(axis=-1), 0.0) - np.minimum(sums.min(axis=-1), 0.0)

    return largest


def _cumulative_raw(problem: Binary | ScoreTable, *, statistic: str, **_: Any) -> float:
    table = as_table(problem)
    return float(_cumulative_kernel(table, statistic=statistic)(table.w, table.wy))


def cumulative_calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    statistic: Literal["kuiper", "ks"] = "kuiper",
    kind: Kind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute the largest cumulative difference of labels and scores (ECCE), without bins.

    The rows are sorted by their scores, and the differences of label and score are added up. The
    sum of the differences over any range of scores is at most this error times n.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    statistic : {"kuiper", "ks"}, default="kuiper"
        The range of the cumulative differences (Kuiper, ECCE-R), or the largest absolute one
        (Kolmogorov-Smirnov, ECCE-MAD).
    kind : {"binary", "top_label", "classwise"}, optional
        The probability of the event, that of the predicted class, or those of all classes (their
        errors are averaged). Default: the event, or the predicted class for K > 2 classes.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether weights are shares of the population or counts of rows. This changes the interval
        of :func:`estimate`, not the value.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.

    Returns
    -------
    error : float
        In [0, 1].

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    Notes
    -----
    Rows with equal scores are added together. The error is small if ranges of too high and too low
    scores alternate.

    References
    ----------
    I. Arrieta-Ibarra, P. Gujral, J. Tannen, M. Tygert, C. Xu (2022). Metrics of calibration for
    probabilistic predictions. JMLR 23.

    Examples
    --------
    >>> from calibkit import cumulative_calibration_error
    >>> round(cumulative_calibration_error([0, 0, 1, 1], [0.1, 0.3, 0.8, 0.9]), 4)
    0.1
    """
    check_choice("statistic", statistic, STATISTICS)
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    raw = raw_errors(given, kind, lambda b: _cumulative_raw(b, statistic=statistic))
    return float(raw.mean())


def _with_bandwidth(table: ScoreTable, **settings: Any) -> dict[str, Any]:
    return {**settings, "bandwidth": _bandwidth(table, settings["bandwidth"])}


SPECS = (
    whole_metric(
        smooth_calibration_error,
        "smooth ECE",
        Whole(_smooth_raw, _smooth_kernel, _smooth_kernel, 2048),
        choice_of("scale", SCALES, "probability"),
        1.0,
    ),
    whole_metric(
        kernel_calibration_error,
        "kernel calibration error",
        Whole(_kernel_raw, _kernel_kernel, _kernel_truth, 512, 0.5, 0.5, _with_bandwidth),
        _kernel_settings,
        float(np.sqrt(2.0)),
    ),
    whole_metric(
        cumulative_calibration_error,
        "cumulative calibration error",
        Whole(_cumulative_raw, _cumulative_kernel, _cumulative_kernel, 4096),
        choice_of("statistic", STATISTICS, "kuiper"),
        1.0,
    ),
)
