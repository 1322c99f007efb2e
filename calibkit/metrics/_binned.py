"""Binned calibration errors of rows, of a table, or of many weightings of a table."""

from __future__ import annotations

from functools import partial
from typing import Any, get_args

import numpy as np

from .._core.errors import InputError, message_of
from .._core.params import check_binning, check_choice
from .._core.printed import spelled
from .._core.rows import Binary, infer_kind, reduce_rows, refuse_kind, row_counts
from .._numerics.binning import (
    BinSums,
    Squares,
    bin_starts,
    mass_borders,
    packed_sums,
    sort_by_score,
    sorted_sums,
    uniform_borders,
    uniform_gaps,
    uniform_sums,
)
from .._numerics.debias import NOISES, absolute_error, merge_small, merged_starts, squared_error
from .._numerics.packed import packed
from .._typing import Bins, Debias, FloatArray, Kind, Norm, Strategy, Weights
from ._spec import Kernel, Metric
from ._table import ScoreTable, validate_given

NORMS = get_args(Norm)


def check_debias(debias: Any, norm: str) -> str | None:
    """Return which noise to correct for; None for the plug-in."""
    if isinstance(debias, (bool, np.bool_)):
        return "differences" if debias and norm != "max" else None
    if not isinstance(debias, str) or debias not in NOISES:
        raise InputError(
            f"debias={spelled(debias)}; expected True, False, 'differences' or 'labels'."
        )
    if norm == "max":
        raise InputError(
            f"debias={spelled(debias)} with norm='max', which has no debiased estimate; expected "
            "debias=False. To bound the largest gap use certify()."
        )
    return str(debias)


def bin_sums(rows: Binary, strategy: str, n_bins: int | str, *, squares: bool = False) -> BinSums:
    """Return sums per bin from rows; sweeps, other bins and frequency weights need the table."""
    if strategy not in ("quantile", "uniform") or isinstance(n_bins, str) or rows.counts:
        return ScoreTable._from_binary(rows).bins(strategy, n_bins, squares=squares)
    fractional = rows.y.dtype.kind == "f"
    if strategy == "uniform" and not squares and not fractional:
        return uniform_sums(rows.p, rows.y, rows.w, n_bins, uniform_borders(n_bins))
    if rows.w is None and not squares and not fractional:
        together = packed(rows.p, rows.y)
        assert together is not None  # probabilities lie in [0, 1]
        return packed_sums(together, mass_borders(together, None, n_bins))
    p, y, w = sort_by_score(rows.p, rows.y, rows.w)
    borders = uniform_borders(n_bins) if strategy == "uniform" else mass_borders(p, w, n_bins)
    wy = y if w is None else w * y
    own: bool | Squares = squares
    if squares and (w is not None or fractional):
        w2y = wy if w is None else w * wy
        w2yy = w2y * y if fractional else w2y
        own = Squares(None if w is None else w * w, w2y, w2yy, scores=False)
    return sorted_sums(p, None, w, wy, borders, squares=own)


def norm_of_gaps(norm: str, w: FloatArray, wp: FloatArray, wy: FloatArray) -> FloatArray:
    """Return the plug-in norm of each bin's mean score less mean label; empty bins count 0."""
    gap = np.abs(wp - wy)
    if norm == "l1":
        return gap.sum(axis=-1) / w.sum(axis=-1)
    mean = np.divide(gap, w, out=np.zeros_like(gap), where=w > 0)
    if norm == "max":
        return mean.max(axis=-1)
    return np.sqrt((gap * mean).sum(axis=-1) / w.sum(axis=-1))


def plug_in(problem: Binary | ScoreTable, norm: str, strategy: str, n_bins: int | str) -> float:
    """Return the error without a correction for noise."""
    if isinstance(problem, ScoreTable):
        sums = problem.bins(strategy, n_bins)
    elif norm == "l1" and strategy == "uniform" and problem.w is None and n_bins != "sweep":
        borders = uniform_borders(int(n_bins))
        gaps = uniform_gaps(problem.p, problem.y, int(n_bins), borders)
        return float(np.abs(gaps).sum() / len(problem.p))
    else:
        sums = bin_sums(problem, strategy, n_bins)
    return float(norm_of_gaps(norm, sums.w, sums.wp, sums.wy))


def debiased(
    problem: Binary | ScoreTable, norm: str, strategy: str, n_bins: int | str, noise: str
) -> float:
    """Return the squared l2 error, or the l1 error, less its bias; not clipped."""
    if isinstance(problem, ScoreTable):
        bins_of, plain = problem.bins, problem.plain
    else:
        bins_of = partial(bin_sums, problem)
        plain = problem.w is None and problem.y.dtype.kind != "f"
    # For labels 0 and 1 of equal weight the noise needs no sums of squares.
    sums = bins_of(strategy, n_bins, squares=noise == "differences" or not plain)
    try:
        merged = merge_small(sums)
    except ValueError as error:
        raise InputError(
            f"{message_of(error)}; expected at least two rows, or debias=False."
        ) from error
    return float(squared_error(merged, noise) if norm == "l2" else absolute_error(merged, noise))


def raw_errors(
    problems: list[Any], norm: str, strategy: str, n_bins: int | str, noise: str | None
) -> FloatArray:
    """Return each problem's error (squared for l2), not clipped."""
    if noise is not None:
        return np.array([debiased(b, norm, strategy, n_bins, noise) for b in problems])
    errors = np.array([plug_in(b, norm, strategy, n_bins) for b in problems])
    return errors**2 if norm == "l2" else errors


def combine(norm: str, raw: FloatArray) -> float:
    """Combine the errors of several problems into one, clipped at 0."""
    if norm == "max":
        return float(raw.max())
    mean = max(float(raw.mean()), 0.0)
    return float(np.sqrt(mean)) if norm == "l2" else mean


def raw_kernel(table: ScoreTable, borders: FloatArray, norm: str, noise: str | None) -> Kernel:
    """:func:`raw_errors` as a function of the weights in the cells of a table.

    The weights may be one row for many rows of labels.
    """
    starts = bin_starts(table.p, borders)
    starts = np.unique(starts[starts < len(table)])  # empty bins are ignored
    if noise is None:

        def error(w: FloatArray, wy: FloatArray) -> FloatArray:
            parts = (np.add.reduceat(a, starts, axis=-1) for a in (w, w * table.p, wy))
            gaps = norm_of_gaps(norm, *parts)
            return gaps**2 if norm == "l2" else gaps

        return error
    starts = starts[merged_starts(*(np.add.reduceat(a, starts) for a in (table.w, table.w2)))]
    # Squared weights and fractional labels in a cell, per unit of its weight.
    plain = table.plain
    square = 1.0 if plain else table.w2 / table.w
    fraction = 0.0 if plain else (table.w2y - table.w2yy) / table.w
    moved = square * (1.0 - 2.0 * table.p)

    def corrected(w: FloatArray, wy: FloatArray) -> FloatArray:
        def per_bin(values: FloatArray) -> FloatArray:
            return np.add.reduceat(values, starts, axis=-1)

        w2, without = square * w, fraction * w
        differences = per_bin(w2 * table.p**2 - without) + per_bin(moved * wy)
        size = per_bin(w)
        parts = [size, size, per_bin(w * table.p), per_bin(wy), differences]
        if not plain:
            w2y = square * wy
            parts += [per_bin(w2), per_bin(w2 * table.p), per_bin(w2y), per_bin(w2y - without)]
        sums = BinSums(*parts)  # type: ignore[arg-type]
        return absolute_error(sums, noise) if norm == "l1" else squared_error(sums, noise)

    return corrected


def kernel(
    table: ScoreTable, *, borders: FloatArray, norm: str, debias: bool | str, **_: Any
) -> Kernel:
    """The error as a function of the weights in the cells of a table."""
    raw = raw_kernel(table, borders, norm, check_debias(debias, norm))

    def error(w: FloatArray, wy: FloatArray) -> FloatArray:
        values = np.maximum(raw(w, wy), 0.0)
        return np.sqrt(values) if norm == "l2" else values

    return error


def borders_of(table: ScoreTable, *, strategy: str, n_bins: int | str, **_: Any) -> FloatArray:
    """Return the inner borders of the bins."""
    return table.borders(strategy, n_bins)


def calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    norm: Norm = "l2",
    strategy: Strategy = "quantile",
    n_bins: Bins = 15,
    debias: Debias = True,
    kind: Kind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Measure how far probabilities are from observed frequencies, corrected for sampling noise.

    Rows are put into bins by their scores. The gap of a bin is the difference between its mean
    score and its observed frequency. :func:`estimate` adds an interval.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    norm : {"l1", "l2", "max"}, default="l2"
        The weighted mean of the bins' absolute gaps (ECE), the root of their weighted mean
        square (RMS calibration error), or the largest gap (MCE).
    strategy : {"quantile", "uniform", "unique", ...}, default="quantile"
        Equal-mass bins (equal scores stay in one bin), equal-width bins, or one bin per distinct
        score; "sklearn_quantile" and "sklearn_uniform" are scikit-learn's bins, see Notes.
    n_bins : int, "auto" or "sweep", default=15
        Number of bins. ``"auto"``: the cube root of n, rounded up. ``"sweep"``: the largest
        number, at most 1000, up to which the bins' frequencies increase (Roelofs et al. 2022).
        Ignored by "unique".
    debias : bool, "differences" or "labels", default=True
        Subtract what sampling noise adds: the noise of each bin's mean difference between score
        and label (True), or of its mean label only ("labels", as in Kumar et al. 2019). False
        gives the plug-in estimate. For "max" there is no correction, and True is ignored.
    kind : {"binary", "top_label", "classwise"}, optional
        What to measure: the probability of the event; that of the predicted class; or those of all
        classes (averaged as ``mean(error**p) ** (1/p)``, p = 1 or 2). Default: the event, or the
        predicted class for K > 2 classes.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether a weight is a row's share of the population or a count of rows, see Notes.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.

    Returns
    -------
    error : float
        In [0, 1]. Negative debiased estimates become 0; :func:`squared_calibration_error` keeps
        them.

    Raises
    ------
    ValueError
        If the data are invalid, or there are fewer rows than bins.

    Notes
    -----
    Bins are half-open, [lower, upper), but the last one is closed. Empty bins are ignored. For a
    model with continuous scores, any binned error is a lower bound of the true error (Kumar et al.
    2019, section 3). Only the error of models with finitely many outputs can be certified, see
    :func:`certify`.

    Debiased l2: with differences d of score and label, a bin's squared gap is estimated by the
    mean of ``d_i * d_j`` over pairs of different rows, ``(D**2 - sum(d**2)) / (n * (n - 1))``,
    which is unbiased for any scores inside the bin. ``"labels"`` subtracts
    ``share * (1 - share) / (n - 1)`` (Bröcker 2012; Ferro and Fricker 2012). This is the same if
    all scores of the bin are equal, and subtracts too much otherwise, since part of the labels'
    variance then comes from the scores.

    Debiased l1: twice the plug-in estimate minus the mean of ``abs(gap + noise)`` for normal noise,
    in closed form (Kumar et al. simulate it). No estimate of an absolute value is unbiased. Of
    the plug-in's bias, 0.57 to 0.59 remains for calibrated models, 0.4 if the true error is half
    that bias, and less than 0.1 if it is several times larger (``benchmarks/l1_bias.py``). Results
    are therefore labeled "partly debiased". Use l2 for an error that is 0 on average for calibrated
    models. A bin with fewer than two rows is merged with a neighbor, since its noise is unknown.

    Sampling weights are shares of the population, so a constant factor changes nothing. A bin's
    squared gap is then the weighted mean over pairs of different rows,
    ``(sum(w*d)**2 - sum(w**2 * d**2)) / (sum(w)**2 - sum(w**2))``. It is unbiased if weights do not
    depend on labels, and otherwise off by the order of 1/n. Bins are merged, and ``n_bins="auto"``
    is chosen, by the effective number of rows, ``sum(w)**2 / sum(w**2)`` (Kish 1965). With
    ``weights="frequency"`` the result is that of repeated rows; a label 0.3 with weight 10 is then
    3 events in 10 rows. Plug-in errors are the same for both kinds of weights.

    scikit-learn is preparing a function of the same name, the plug-in l2 error. Its number is
    ``calibration_error(..., debias=False, strategy="sklearn_uniform")``, or "sklearn_quantile":
    the bins of its ``calibration_curve``, which include their upper borders, and whose quantiles
    lie between two scores (a weight of m counts as m rows). By default the numbers differ: ours is
    debiased, and a score at a border is in the bin above it.

    Time: O(n) for "uniform" without debiasing, otherwise O(n log n).

    References
    ----------
    A. Kumar, P. Liang, T. Ma (2019). Verified uncertainty calibration. NeurIPS. --- J. Bröcker
    (2012). Estimating reliability and resolution of probability forecasts through decomposition
    of the empirical score. Climate Dynamics 39. --- C. Ferro, T. Fricker (2012). A bias-corrected
    decomposition of the Brier score. QJRMS 138. --- L. Kish (1965). Survey sampling. Wiley. ---
    R. Roelofs, N. Cain, J. Shlens, M. Mozer (2022). Mitigating bias in calibration error
    estimation. AISTATS.

    Examples
    --------
    A calibrated model has no error, but the plug-in estimate shows one.

    >>> import numpy as np
    >>> from calibkit import calibration_error
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(1000)
    >>> y = rng.random(1000) < p
    >>> round(calibration_error(y, p, debias=False), 3), round(calibration_error(y, p), 3)
    (0.049, 0.0)
    """
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    return combine(norm, _raw(given, norm, strategy, n_bins, debias, kind))


def squared_calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    strategy: Strategy = "quantile",
    n_bins: Bins = 15,
    debias: Debias = True,
    kind: Kind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute the squared l2 calibration error, which may be negative.

    Use it to average errors over folds, seeds or data sets. The mean of these unbiased estimates is
    unbiased; a mean of clipped estimates or of square roots is not.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    strategy, n_bins, debias, kind : optional
        As in :func:`calibration_error`.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        As in :func:`calibration_error`.
    pos_label, classes : optional
        As in :func:`calibration_error`.

    Returns
    -------
    squared : float
        At most 1. Class-wise: the mean over the classes.

    Raises
    ------
    ValueError
        If the data are invalid, or there are fewer rows than bins.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import squared_calibration_error
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random((200, 1000))
    >>> squares = [squared_calibration_error(rng.random(1000) < q, q) for q in p]
    >>> float(np.mean(squares).round(5)), min(squares) < 0
    (1e-05, True)
    """
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    raw = _raw(given, "l2", strategy, n_bins, debias, kind)
    return float(raw.mean())


def _raw(
    given: tuple[Any, ...],
    norm: Norm,
    strategy: Strategy,
    n_bins: Bins,
    debias: Debias,
    kind: Kind | None,
) -> FloatArray:
    """Return the problems' errors (squared for l2), not clipped or averaged."""
    check_choice("norm", norm, NORMS)
    noise = check_debias(debias, norm)
    rows = validate_given(*given)
    if isinstance(rows, ScoreTable):
        refuse_kind(kind)
        problems: list[Any] = [rows]
        n, effective = rows.n_rows, rows.effective_rows
    else:
        weights = given[3]
        problems = reduce_rows(rows, infer_kind(kind, rows.scores.n_classes), weights)
        n, effective = row_counts(rows.w, len(rows.y), weights)
    used = check_binning(strategy, n_bins, n, effective)
    return raw_errors(problems, norm, strategy, used, noise)


def expected_calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    n_bins: Bins = 15,
    strategy: Strategy = "uniform",
    debias: Debias = False,
    kind: Kind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute the expected calibration error (ECE): the mean absolute gap over equal-width bins.

    This is the error that most papers report: :func:`calibration_error` with ``norm="l1"`` and no
    debiasing. It does not tell whether the scores are useful; report :func:`brier_skill_score` too.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    n_bins : int, "auto" or "sweep", default=15
        Number of bins.
    strategy : {"uniform", "quantile", "unique"}, default="uniform"
        Equal-width bins, equal-mass bins, or one bin per distinct score.
    debias : bool, "differences" or "labels", default=False
        Subtract what sampling noise adds, as in :func:`calibration_error`. Most papers do not.
    kind : {"binary", "top_label", "classwise"}, optional
        Default: "top_label" for K > 2 classes, as in Guo et al. (2017), else "binary".
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
        In [0, 1].

    Raises
    ------
    ValueError
        If the data are invalid, or there are fewer rows than bins.

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
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    return combine("l1", _raw(given, "l1", strategy, n_bins, debias, kind))


def maximum_calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    n_bins: Bins = 15,
    strategy: Strategy = "uniform",
    kind: Kind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute the maximum calibration error (MCE): the largest absolute gap of any bin.

    It is sensitive to bins with few rows. :func:`estimate` shows how much of it may be noise.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    n_bins : int or "auto", default=15
        Number of bins.
    strategy : {"uniform", "quantile", "unique"}, default="uniform"
        Equal-width bins, equal-mass bins, or one bin per distinct score.
    kind : {"binary", "top_label", "classwise"}, optional
        Default: "top_label" for K > 2 classes, else "binary".
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
        In [0, 1].

    Raises
    ------
    ValueError
        If the data are invalid, or there are fewer rows than bins.

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
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    return combine("max", _raw(given, "max", strategy, n_bins, False, kind))


def _settings(norm: str, strategy: str, debias: bool) -> Any:
    """Return the function that completes the settings of one of the three errors."""
    defaults = {"norm": norm, "strategy": strategy, "n_bins": 15, "debias": debias}

    def settings(
        kind: Kind, n: int, effective: float | None = None, **params: Any
    ) -> dict[str, Any]:
        chosen = {**defaults, **params, "kind": kind}
        binning = chosen["strategy"], chosen["n_bins"], n, effective
        chosen["n_bins"] = check_binning(*binning)
        noise = check_debias(chosen["debias"], chosen["norm"])
        name = {None: "plug-in", "labels": "debiased (labels)"}.get(noise, "debiased")
        name = f"partly {name}" if noise and chosen["norm"] == "l1" else name
        return {**chosen, "estimator": name}

    return settings


def _spec(function: Any, label: str, norm: str, strategy: str, debias: bool) -> Metric:
    settings = _settings(norm, strategy, debias)
    return Metric(function, "error", label, False, (0.0, 1.0), kernel, borders_of, settings)


SPECS = (
    _spec(calibration_error, "calibration error", "l2", "quantile", True),
    _spec(expected_calibration_error, "ECE", "l1", "uniform", False),
    _spec(maximum_calibration_error, "MCE", "max", "uniform", False),
)
