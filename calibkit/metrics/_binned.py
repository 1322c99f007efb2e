"""Binned calibration errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.params import check_choice, check_int
from .._numerics.binning import (
    BinSums,
    auto_bins,
    bin_starts,
    mass_borders,
    sort_by_score,
    sorted_sums,
    uniform_borders,
    uniform_gaps,
    uniform_sums,
)
from .._numerics.links import FloatArray
from ._rows import Binary, infer_kind, read_problem, reduce_rows, refuse_beside_table
from ._spec import Kernel, Metric
from ._table import ScoreTable

NORMS = ("l1", "l2", "max")
STRATEGIES = ("quantile", "uniform", "unique")


def bin_sums(rows: Binary, strategy: str, n_bins: int) -> BinSums:
    """Sums per bin straight from rows; only "unique" needs the table."""
    if strategy == "uniform":
        return uniform_sums(rows.p, rows.y, rows.w, n_bins, uniform_borders(n_bins))
    if strategy == "unique":
        return ScoreTable.from_binary(rows).bins(strategy, n_bins)
    p, y, w = sort_by_score(*rows)
    return sorted_sums(p, None, w, y if w is None else w * y, mass_borders(p, w, n_bins))


def norm_of_gaps(norm: str, w: FloatArray, wp: FloatArray, wy: FloatArray) -> FloatArray:
    """Plug-in norm of (mean score - mean label) per bin, over the last axis; empty bins count 0."""
    gap = np.abs(wp - wy)
    if norm == "l1":
        return gap.sum(axis=-1) / w.sum(axis=-1)
    mean = np.divide(gap, w, out=np.zeros_like(gap), where=w > 0)
    if norm == "max":
        return mean.max(axis=-1)
    return np.sqrt((gap * mean).sum(axis=-1) / w.sum(axis=-1))


def _binned_error(problem: Any, norm: str, strategy: str, n_bins: int) -> FloatArray:
    """Error of rows, or of the table that stands for them."""
    if isinstance(problem, ScoreTable):
        sums = problem.bins(strategy, n_bins)
    elif norm == "l1" and strategy == "uniform" and problem.w is None:
        borders = uniform_borders(n_bins)
        return np.abs(uniform_gaps(problem.p, problem.y, n_bins, borders)).sum() / len(problem.p)
    else:
        sums = bin_sums(problem, strategy, n_bins)
    return norm_of_gaps(norm, sums.w, sums.wp, sums.wy)


def _kernel(table: ScoreTable, *, borders: FloatArray, norm: str, **_: Any) -> Kernel:
    starts = bin_starts(table.p, borders)
    starts = np.unique(starts[starts < len(table)])  # empty bins count nothing

    def error(w: FloatArray, wy: FloatArray) -> FloatArray:
        parts = (np.add.reduceat(a, starts, axis=-1) for a in (w, w * table.p, wy))
        return norm_of_gaps(norm, *parts)

    return error


def _borders(table: ScoreTable, *, strategy: str, n_bins: int, **_: Any) -> FloatArray:
    return table.borders(strategy, n_bins)


def check_binning(where: str, strategy: str, n_bins: Any, n: int) -> int:
    """Number of bins to use for n rows, "auto" resolved."""
    check_choice(where, "strategy", strategy, STRATEGIES)
    if isinstance(n_bins, str):
        check_choice(where, "n_bins", n_bins, ("auto",))
        return auto_bins(n)
    check_int(where, "n_bins", n_bins, low=1)
    if n_bins > n and strategy != "unique":
        raise ValueError(
            f"{where}: n_bins={n_bins} and {n} rows; expected at least one row per bin. Use fewer "
            "bins, or n_bins='auto'."
        )
    return int(n_bins)


def calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    norm: str = "l2",
    strategy: str = "quantile",
    n_bins: int | str = 15,
    kind: str | None = None,
    sample_weight: Any = None,
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Binned calibration error: how far probabilities are from observed frequencies.

    A plug-in estimate, so biased upwards: even a perfectly calibrated model shows an error above
    0. :func:`estimate` gives the value such a model would show, and an interval.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels; or a table that stands for all rows of a binary problem.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label, or of every class.
    norm : {"l1", "l2", "max"}, default="l2"
        Over the bins: weighted mean of the gaps (ECE), root of the weighted mean square (RMS
        calibration error), or the largest gap (MCE).
    strategy : {"quantile", "uniform", "unique"}, default="quantile"
        Bins of equal mass (ties never split), of equal width, or one per distinct score.
    n_bins : int or "auto", default=15
        Number of bins; ``"auto"`` is the cube root of n, rounded up. Not used by "unique".
    kind : {"binary", "top_label", "classwise"}, optional
        Which probabilities: of the event; of the winning class being right; of every class in
        turn (errors averaged as ``mean(error**p) ** (1/p)``). Needed for K > 2 classes.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0; a weight of 2 equals the row given twice.
    pos_label : label, optional
        The event, for two classes; default: the larger label.
    classes : array-like, optional
        All class labels in sorted order, where ``y_true`` may miss some.

    Returns
    -------
    error : float
        In [0, 1].

    Raises
    ------
    ValueError
        If the data are not of the kind described, or there are fewer rows than bins.

    Notes
    -----
    Bins are half-open, [lower, upper), the last one closed; empty bins count nothing. For a model
    with continuous scores any binned error is a lower bound of the true one (Kumar et al. 2019,
    section 3). O(n) for "uniform", O(n log n) otherwise.

    References
    ----------
    A. Kumar, P. Liang, T. Ma (2019). Verified uncertainty calibration. NeurIPS.

    Examples
    --------
    >>> from calibkit import calibration_error
    >>> y, p = [0, 0, 1, 1, 1, 1], [0.1, 0.1, 0.1, 0.8, 0.8, 0.8]
    >>> round(calibration_error(y, p, norm="l1", strategy="unique"), 4)
    0.2167
    """
    return _calibration_error(
        "calibration_error",
        y_true,
        y_prob,
        norm=norm,
        strategy=strategy,
        n_bins=n_bins,
        kind=kind,
        sample_weight=sample_weight,
        pos_label=pos_label,
        classes=classes,
    )


def _calibration_error(
    where: str,
    y_true: Any,
    y_prob: Any,
    *,
    norm: str,
    strategy: str,
    n_bins: int | str,
    kind: str | None,
    sample_weight: Any,
    pos_label: Any,
    classes: Any,
) -> float:
    check_choice(where, "norm", norm, NORMS)
    if isinstance(y_true, ScoreTable):
        refuse_beside_table(where, y_prob, sample_weight, pos_label, classes)
        if kind not in (None, "binary"):
            raise ValueError(f"{where}: kind={kind!r} with a ScoreTable, which is binary.")
        n_bins = check_binning(where, strategy, n_bins, y_true.n_rows)
        problems: list[Any] = [y_true]
    else:
        rows = read_problem(
            y_true, y_prob, sample_weight, pos_label=pos_label, classes=classes, where=where
        )
        n_bins = check_binning(where, strategy, n_bins, len(rows.y))
        kind = infer_kind(kind, rows.scores, where)
        problems = reduce_rows(rows, kind)
    errors = np.array([_binned_error(b, norm, strategy, n_bins) for b in problems])
    if norm == "max":
        return float(errors.max())
    return float(errors.mean()) if norm == "l1" else float(np.sqrt(np.mean(errors**2)))


def _default_kind(kind: str | None, y_prob: Any) -> str | None:
    """Top label, where there are more than two columns and nothing else is asked for."""
    if kind is None and getattr(y_prob, "ndim", None) is None and y_prob is not None:
        y_prob = np.asarray(y_prob)
    shape = tuple(getattr(y_prob, "shape", ()))
    return "top_label" if kind is None and len(shape) == 2 and shape[1] > 2 else kind


def expected_calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    n_bins: int | str = 15,
    strategy: str = "uniform",
    kind: str | None = None,
    sample_weight: Any = None,
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Expected calibration error (ECE): mean gap over equal-width bins.

    The number most papers print: :func:`calibration_error` with ``norm="l1"``. It says nothing of
    whether the scores are of any use: read :func:`brier_skill_score` beside it.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels; or a table that stands for all rows of a binary problem.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label, or of every class.
    n_bins : int or "auto", default=15
        Number of bins.
    strategy : {"uniform", "quantile", "unique"}, default="uniform"
        Bins of equal width, of equal mass, or one per distinct score.
    kind : {"binary", "top_label", "classwise"}, optional
        Default: "top_label" for K > 2 classes, as in Guo et al. (2017), else "binary".
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    pos_label : label, optional
        The event, for two classes; default: the larger label.
    classes : array-like, optional
        All class labels in sorted order, where ``y_true`` may miss some.

    Returns
    -------
    error : float
        In [0, 1].

    Raises
    ------
    ValueError
        If the data are not of the kind described, or there are fewer rows than bins.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Weinberger (2017). On calibration of modern neural networks.
    ICML, equation 3.

    Examples
    --------
    >>> from calibkit import expected_calibration_error
    >>> round(expected_calibration_error([0, 0, 1, 1], [0.1, 0.3, 0.8, 0.9], n_bins=2), 4)
    0.175
    """
    return _calibration_error(
        "expected_calibration_error",
        y_true,
        y_prob,
        norm="l1",
        strategy=strategy,
        n_bins=n_bins,
        kind=_default_kind(kind, y_prob),
        sample_weight=sample_weight,
        pos_label=pos_label,
        classes=classes,
    )


def maximum_calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    n_bins: int | str = 15,
    strategy: str = "uniform",
    kind: str | None = None,
    sample_weight: Any = None,
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Maximum calibration error (MCE): the largest gap of any bin.

    Sensitive to bins with few rows; :func:`estimate` shows how much of it is noise.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels; or a table that stands for all rows of a binary problem.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label, or of every class.
    n_bins : int or "auto", default=15
        Number of bins.
    strategy : {"uniform", "quantile", "unique"}, default="uniform"
        Bins of equal width, of equal mass, or one per distinct score.
    kind : {"binary", "top_label", "classwise"}, optional
        Default: "top_label" for K > 2 classes, else "binary".
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    pos_label : label, optional
        The event, for two classes; default: the larger label.
    classes : array-like, optional
        All class labels in sorted order, where ``y_true`` may miss some.

    Returns
    -------
    error : float
        In [0, 1].

    Raises
    ------
    ValueError
        If the data are not of the kind described, or there are fewer rows than bins.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Weinberger (2017). On calibration of modern neural networks.
    ICML, equation 5.

    Examples
    --------
    >>> from calibkit import maximum_calibration_error
    >>> round(maximum_calibration_error([0, 0, 1, 1], [0.1, 0.3, 0.8, 0.9], n_bins=2), 4)
    0.2
    """
    return _calibration_error(
        "maximum_calibration_error",
        y_true,
        y_prob,
        norm="max",
        strategy=strategy,
        n_bins=n_bins,
        kind=_default_kind(kind, y_prob),
        sample_weight=sample_weight,
        pos_label=pos_label,
        classes=classes,
    )


def _settings(norm: str, strategy: str, where: str) -> Any:
    """Settings of one of the three functions: its defaults, what was asked for, bins resolved."""

    def settings(kind: str, n: int, **params: Any) -> dict[str, Any]:
        chosen = {"norm": norm, "strategy": strategy, "n_bins": 15, **params, "kind": kind}
        chosen["n_bins"] = check_binning(where, chosen["strategy"], chosen["n_bins"], n)
        return {**chosen, "estimator": "plug-in"}

    return settings


SPECS = (
    Metric(
        calibration_error,
        "calibration error",
        False,
        (0.0, 1.0),
        _kernel,
        _borders,
        _settings("l2", "quantile", "calibration_error"),
    ),
    Metric(
        expected_calibration_error,
        "ECE",
        False,
        (0.0, 1.0),
        _kernel,
        _borders,
        _settings("l1", "uniform", "expected_calibration_error"),
    ),
    Metric(
        maximum_calibration_error,
        "MCE",
        False,
        (0.0, 1.0),
        _kernel,
        _borders,
        _settings("max", "uniform", "maximum_calibration_error"),
    ),
)
