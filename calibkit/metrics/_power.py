"""Is n enough: the smallest errors that the tests would detect on rows like these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, nctdtrinc, ndtri, stdtrit

from .._core.errors import InputError, InputTypeError
from .._core.inputs import validate_scores
from .._core.params import check_binning, check_choice, check_int, check_real, generator, percent
from .._core.printed import spelled
from .._core.rows import Binary, infer_kind, reduce_rows
from .._numerics.binning import assign
from .._numerics.exact import binomial_grid
from .._numerics.links import expit, logit
from .._typing import FloatArray, IntArray, Norm
from ._binned import check_debias, norm_of_gaps, raw_kernel
from ._compare import Comparison
from ._draws import Noise, group_noise, lower_ends
from ._estimate import _rows_of
from ._table import ScoreTable

#: Cells on which the true probabilities are moved, and on which labels are drawn.
_CELLS, _DRAWN = 2000, 64
#: Label sets whose errors are computed at once, so that they stay in cache.
_AT_ONCE = 400
#: Sorted scores without weights are represented by at most about this many of them.
_SORTED = 500_000
#: Largest change of log-odds that is tried, and largest number of rows.
_LARGEST, _MOST_ROWS = 1000.0, 10**12
#: Steps of the search for the rows of a difference.
_STEPS = 30
Direction = Literal["offset", "slope", "bin"]
#: True probabilities of the cells for a change of this size.
_Truth = Callable[[float], FloatArray]
_NAMES = {
    "l1": "expected calibration error",
    "l2": "root mean square calibration error",
    "max": "largest gap of a bin",
}


@dataclass(frozen=True)
class Detectable:
    """The smallest calibration error that a test detects with this power.

    ``float(d)`` is the error. ``print(d)`` shows a sentence.

    Attributes
    ----------
    error : float
        The calibration error on the bins, in the test's norm. Every error of at least this size
        along the direction is detected with at least this power. NaN if that is true of none.
    shift : float
        The change that has this error: of the log-odds ("offset", "bin"), or of their factor less
        one ("slope"; -0.3 are scores whose log-odds should be 0.7 times as large). Of both signs,
        the one that is harder to detect.
    direction : str
        "offset", "slope" or "bin".
    power, alpha : float
        Probability of detection, and of a false alarm.
    n : int
        Number of rows.
    norm : str
        "l1", "l2" or "max".
    gap : float
        Largest gap of a bin.
    scores : tuple of two floats
        Smallest and largest score that is wrong.

    Examples
    --------
    >>> from calibkit import detectable_error
    >>> found = detectable_error([0.1, 0.3, 0.5, 0.7, 0.9] * 200)
    >>> found.direction, found.n
    ('offset', 1000)
    """

    error: float
    shift: float
    direction: str
    power: float
    alpha: float
    n: int
    norm: str = "l2"
    gap: float = np.nan
    scores: tuple[float, float] = (0.0, 1.0)

    def __float__(self) -> float:
        return self.error

    def __str__(self) -> str:
        low, high = self.scores
        rows = f"With {self.n:,} row{'s' if self.n > 1 else ''}"
        bin_of = "" if np.isnan(low) else f" (scores {low:.3g} to {high:.3g})"
        what = {
            "offset": "scores that are all too low or all too high",
            "slope": "over- or under-confident scores",
            "bin": f"an error in one bin{bin_of}",
        }[self.direction]
        if np.isnan(self.error):
            return (
                f"{rows}, {what} cannot be detected with {percent(self.power)} "
                "probability, however large the error is."
            )
        size = {
            "offset": f"log-odds {self.shift:+.2g}",
            "slope": f"log-odds times {1.0 + self.shift:.3g}",
            "bin": f"gap {self.gap:.2g}",
        }[self.direction]
        return (
            f"{rows}, {what} would be detected with {percent(self.power)} "
            f"probability if the {_NAMES[self.norm]} is at least {self.error:.3g} ({size}; "
            f"false-alarm probability {percent(self.alpha)})."
        )


def detectable_error(
    y_prob: Any,
    *,
    direction: Direction = "offset",
    n: int | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    norm: Norm = "l2",
    strategy: Literal["uniform", "quantile"] = "quantile",
    n_bins: int | Literal["auto"] = 15,
    sample_weight: Any = None,
    y_true: Any = None,
    groups: Any = None,
    n_draws: int = 10_000,
    random_state: Any = 0,
) -> Detectable:
    """Find the smallest calibration error that would be detected on rows with these scores.

    Use it before you trust "no error was found", and before you collect labels:
    :func:`rows_to_detect` says how many rows are needed for an error that matters to you.

    Parameters
    ----------
    y_prob : array-like of shape (n,), (n, 2) or (n, K), or ScoreTable
        Probabilities of the event; for K > 2 classes those of the predicted class are used. Labels
        are not needed, and those of a table are ignored.
    direction : {"offset", "slope", "bin"}, default="offset"
        How the true probabilities differ from the scores: all log-odds are shifted, all are
        multiplied, or those of one bin are shifted, that with the noisiest frequency.
    n : int, optional
        Number of rows with such scores; default: as many as there are.
    power : float, default=0.8
        Probability of detection, above ``alpha``.
    alpha : float, default=0.05
        Probability of a false alarm.
    norm : {"l1", "l2", "max"}, default="l2"
        Which error is tested, as in :func:`calibration_error`.
    strategy : {"uniform", "quantile"}, default="quantile"
        Equal-width or equal-mass bins.
    n_bins : int or "auto", default=15
        Number of bins.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    y_true : array-like of shape (n,), optional
        Labels. Needed with ``groups`` only.
    groups : array-like of shape (n,), optional
        Group of each row. How much rows of one group depend on each other is estimated from
        ``y_true``.
    n_draws : int, default=10000
        Number of simulated label sets.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the simulation.

    Returns
    -------
    detectable : Detectable
        The error. It prints as a sentence.

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    Notes
    -----
    The test is that of :func:`estimate`: an error is detected if its value is above the null band
    of the level ``1 - 2 * alpha``, so that the verdict is "miscalibrated". Labels are simulated
    for calibrated scores, which gives the limit of the test, and for true probabilities that are
    moved along the direction. The size of the move with the wanted power is searched for, upward
    and downward, and the larger error is reported. Scores of exactly 0 or 1 are not moved. The
    simulation is on at most about 2,000 cells of a :class:`ScoreTable` (labels are drawn on 64 of
    them and in each bin), so the time hardly depends on n. With the default 10,000 draws the error
    is accurate to about 1%.

    Weights: a row's label does not depend on its weight, and other numbers of rows have weights
    like these. Groups: labels vary as the groups' sums of scores minus labels do; with another
    ``n``, the number of groups changes and their sizes do not. With few groups the power is lower
    than stated, since the noise is estimated from them. The formula for normal noise,
    ``error**2 = (z_alpha + z_power) * sqrt(2 * n_bins) * mean(p * (1 - p)) / n``, gives errors
    that are about 20% too small, since the squared error is skewed.

    What the number can't see: errors inside a bin that cancel, and errors in other directions,
    which may have to be larger or smaller. It is about one planned test, not about the rows' labels
    ("observed power" after a test adds nothing to its p-value).

    References
    ----------
    J. Cohen (1988). Statistical power analysis for the behavioral sciences. Erlbaum. --- D. Cox
    (1958). Two further applications of a model for binary regression. Biometrika 45, for slope and
    offset. --- J. Hoenig, D. Heisey (2001). The abuse of power. The American Statistician 55(1).

    Examples
    --------
    >>> from calibkit import detectable_error
    >>> found = detectable_error([0.1, 0.3, 0.5, 0.7, 0.9] * 200)
    >>> round(found.error, 2)
    0.05
    """
    told = _settings(norm, strategy, n_bins, power, alpha, n_draws, random_state, direction)
    if n is not None:
        check_int("n", n, low=1, high=_MOST_ROWS)
    scores = _scores(y_prob, sample_weight, y_true, groups, told)
    n = scores.rows if n is None else int(n)
    check_binning(strategy, n_bins, n)
    test = _Test(scores, n, told)
    where = test.movable(scores.cells, direction)
    sizes = []
    for sign, truth in _truths(scores.cells.p, where, direction):
        x = test.detected(truth)
        moved = truth(_LARGEST if np.isnan(x) else x)
        sizes.append((test.error(moved, norm), sign * x, test.error(moved, "max")))
    error, shift, gap = max(sizes)
    if np.isnan(shift):
        error = gap = np.nan
    ends = scores.cells.p[np.flatnonzero(where)[[0, -1]]] if where.any() else (np.nan, np.nan)
    span = float(ends[0]), float(ends[1])
    return Detectable(error, shift, direction, power, alpha, n, norm, gap, span)


def rows_to_detect(
    y_prob: Any,
    error: float,
    *,
    direction: Direction = "offset",
    power: float = 0.8,
    alpha: float = 0.05,
    norm: Norm = "l2",
    strategy: Literal["uniform", "quantile"] = "quantile",
    n_bins: int | Literal["auto"] = 15,
    sample_weight: Any = None,
    y_true: Any = None,
    groups: Any = None,
    n_draws: int = 10_000,
    random_state: Any = 0,
) -> int:
    """Compute how many rows with such scores are needed to detect a calibration error.

    Use it before you collect labels; the scores of some unlabeled rows are enough.

    Parameters
    ----------
    y_prob : array-like of shape (n,), (n, 2) or (n, K), or ScoreTable
        Probabilities of the event, as in :func:`detectable_error`.
    error : float
        The error to detect, in (0, 1).
    direction, power, alpha, norm, strategy, n_bins : optional
        The kind of error and the test, as in :func:`detectable_error`.
    sample_weight, y_true, groups : optional
        Weights, and labels and groups of the rows, as in :func:`detectable_error`.
    n_draws, random_state : optional
        The simulation, as in :func:`detectable_error`.

    Returns
    -------
    n : int
        Number of rows, weights and group sizes being like those given. With the default 10,000
        draws it is accurate to about 2%.

    Raises
    ------
    ValueError
        If the data or settings are invalid, if the scores can't have such an error, or if more
        than 10^12 rows are needed.

    Notes
    -----
    The inverse of :func:`detectable_error`. The number grows like ``1 / error**2``.

    Examples
    --------
    >>> from calibkit import rows_to_detect
    >>> p = [0.1, 0.3, 0.5, 0.7, 0.9]
    >>> rows_to_detect(p, 0.1, n_bins=5) < 500 < rows_to_detect(p, 0.02, n_bins=5)
    True
    """
    told = _settings(norm, strategy, n_bins, power, alpha, n_draws, random_state, direction)
    check_real("error", error, low=0.0, high=1.0, open_low=True, open_high=True)
    scores = _scores(y_prob, sample_weight, y_true, groups, told)
    fewest = 2 if isinstance(n_bins, str) else max(2, int(n_bins))
    start = max(scores.rows, fewest)
    test = _Test(scores, start, told)
    wrong, largest = [], 0.0
    for _, truth in _truths(scores.cells.p, test.movable(scores.cells, direction), direction):
        largest = max(largest, test.error(truth(_LARGEST), norm))
        x = test.change(truth, error)
        wrong += [] if np.isnan(x) else [truth(x)]
    if not wrong:
        raise InputError(
            f"error={spelled(error)}, and the largest error of these scores with direction="
            f"{spelled(direction)} is {largest:.3g}; expected less. Pass a smaller error."
        )

    def excess(n: float) -> float:
        test = _Test(scores, max(round(n), fewest), told)
        return min(test.excess(truth) for truth in wrong)

    guess = max(start * (test.likely / error) ** 2, 2.0 * fewest)
    n = _turn(excess, min(guess, 0.5 * _MOST_ROWS), float(_MOST_ROWS), 1.2, float(fewest))
    if np.isnan(n):
        raise InputError(f"error={spelled(error)} needs more than 10^12 rows. Pass a larger error.")
    return int(np.ceil(n))


@dataclass(frozen=True)
class DetectableDifference:
    """The smallest difference between two models that a comparison detects with this power.

    ``float(d)`` is the difference. ``print(d)`` shows a sentence.

    Attributes
    ----------
    metric : str
        Label of the metric.
    first, second : str
        Names of the models.
    difference : float
        The difference, in either direction; NaN if the rows show no noise of the difference.
    power, alpha : float
        Probability of detection, and of a false alarm.
    n : int
        Number of rows.
    freedom : float
        Degrees of freedom of the noise, on n rows.

    Examples
    --------
    >>> from calibkit import compare, detectable_difference
    >>> from calibkit.testing import binary_data
    >>> p, y = binary_data(n=400)
    >>> found = detectable_difference(compare("brier_score", y, {"raw": p, "half": p / 2}))[0]
    >>> found.rows_to_detect(found.difference)
    400
    """

    metric: str
    first: str
    second: str
    difference: float
    power: float
    alpha: float
    n: int
    freedom: float

    def __float__(self) -> float:
        return self.difference

    def rows_to_detect(self, difference: float) -> int:
        """Compute how many rows like these are needed to detect a difference.

        Parameters
        ----------
        difference : float
            The difference to detect, above 0.

        Returns
        -------
        n : int
            Number of rows; with groups, of groups of the same sizes.

        Raises
        ------
        ValueError
            If the difference is not above 0, or if the rows show no noise of it.
        """
        check_real("difference", difference, low=0.0, open_low=True)
        if np.isnan(self.difference):
            raise InputError(
                f"the difference between {spelled(self.first)} and {spelled(self.second)} has no "
                "noise on these rows; expected models whose predictions differ. Compare others."
            )
        n = float(self.n)
        if n * (self.difference / difference) * (self.difference / _MOST_ROWS) > difference:
            raise InputError(
                f"difference={spelled(difference)} needs more than 10^12 rows. Pass a larger one."
            )
        per_se = _detected_t(self.freedom, self.power, self.alpha)
        for _ in range(_STEPS):
            freedom = max((self.freedom + 1.0) * n / self.n - 1.0, 1.0)
            t = _detected_t(freedom, self.power, self.alpha) / per_se
            n = self.n * (t * self.difference / difference) ** 2
        return max(int(np.ceil(n * (1.0 - 1e-9))), 2)

    def __str__(self) -> str:
        rows = f"With {self.n:,} rows"
        if np.isnan(self.difference):
            return f"{rows}, {self.first} and {self.second} show no noise of their difference."
        return (
            f"{rows}, a difference between {self.first} and {self.second} would be detected with "
            f"{percent(self.power)} probability if it is at least {self.difference:.3g} "
            f"({self.metric}; false-alarm probability {percent(self.alpha)})."
        )


def detectable_difference(
    comparison: Comparison, *, power: float = 0.8, alpha: float = 0.05
) -> tuple[DetectableDifference, ...]:
    """Find the smallest differences between models that :func:`compare` would detect.

    Use it when no difference was found: the rows may be too few for the one that matters to you.

    Parameters
    ----------
    comparison : Comparison
        Result of :func:`compare` for a score, such as the Brier score, log loss or ROC AUC.
    power : float, default=0.8
        Probability of detection, above ``alpha``.
    alpha : float, default=0.05
        Probability of a false alarm of each two-sided test. For m differences that are adjusted by
        Holm's method, alpha / m gives the power of the first step. An interval of ``compare`` with
        ``level`` excludes 0 with probability 1 - level by chance: 0.1 by default.

    Returns
    -------
    detectable : tuple of DetectableDifference
        In the order of ``comparison.differences``. Each prints as a sentence.

    Raises
    ------
    ValueError
        If the comparison is one of calibration errors or of folds, whose noise is not that of
        Student's t over rows or groups.
    TypeError
        If ``comparison`` is not one.

    Notes
    -----
    The standard error s and its degrees of freedom are those that :func:`compare` found, with its
    weights and groups. The test finds a difference d with the probability that Student's t with
    noncentrality d / s exceeds its quantile; d is about ``(t_{1 - alpha / 2} + t_power) * s``.
    It is assumed that the noise does not change with the difference. For calibration errors use
    :func:`detectable_error` for each model.

    References
    ----------
    N. Johnson, B. Welch (1940). Applications of the non-central t-distribution. Biometrika 31.

    Examples
    --------
    >>> from calibkit import compare, detectable_difference
    >>> from calibkit.testing import binary_data
    >>> p, y = binary_data(n=400)
    >>> found = compare("brier_score", y, {"raw": p, "half": p / 2})
    >>> round(float(detectable_difference(found)[0]), 2)
    0.04
    """
    if not isinstance(comparison, Comparison):
        raise InputTypeError(
            f"comparison={spelled(comparison)}; expected the result of compare(...)."
        )
    _check_power(power, alpha)
    if any(d.freedom == 0 for d in comparison.differences):
        raise InputError(
            f"comparison has the method {spelled(comparison.method)}; expected one with Student's "
            "t over rows or groups. Compare a score such as brier_score, without folds. For "
            "calibration errors use detectable_error."
        )
    found = []
    for d in comparison.differences:
        reach = float(stdtrit(d.freedom, (1.0 + comparison.level) / 2.0))
        se = 0.5 * (d.high - d.low) / reach
        size = _detected_t(d.freedom, power, alpha) * se if 0.0 < se < np.inf else np.nan
        told = size, power, alpha, comparison.n, d.freedom
        found.append(DetectableDifference(comparison.metric, d.first, d.second, *told))
    return tuple(found)


def _detected_t(freedom: float, power: float, alpha: float) -> float:
    """Noncentrality with which Student's t exceeds its two-sided quantile this often."""
    return float(nctdtrinc(freedom, 1.0 - power, float(stdtrit(freedom, 1.0 - alpha / 2.0))))


class _Settings(NamedTuple):
    """The test and its simulation."""

    norm: str
    strategy: str
    n_bins: int | str
    power: float
    alpha: float
    n_draws: int
    seed: int


def _settings(
    norm: str,
    strategy: str,
    n_bins: int | str,
    power: float,
    alpha: float,
    n_draws: int,
    random_state: Any,
    direction: str,
) -> _Settings:
    check_choice("direction", direction, get_args(Direction))
    check_choice("norm", norm, get_args(Norm))
    check_choice("strategy", strategy, ("uniform", "quantile"))
    if isinstance(n_bins, str) and n_bins == "sweep":
        raise InputError("n_bins='sweep', which needs labels; expected a number or 'auto'.")
    check_binning(strategy, n_bins, _MOST_ROWS)
    _check_power(power, alpha)
    check_int("n_draws", n_draws, low=100, high=10**6)
    seed = int(generator(random_state).integers(2**31))
    return _Settings(norm, strategy, n_bins, power, alpha, n_draws, seed)


def _check_power(power: float, alpha: float) -> None:
    for name, value in (("power", power), ("alpha", alpha)):
        check_real(name, value, low=0.0, high=1.0, open_low=True, open_high=True)
    if power <= alpha:
        raise InputError(
            f"power={spelled(power)} and alpha={spelled(alpha)}; expected a power above alpha."
        )


class _Scores(NamedTuple):
    """The scores as a table of cells, the number of rows, and the noise of groups."""

    cells: ScoreTable
    rows: int
    noise: Noise | None


def _scores(y_prob: Any, sample_weight: Any, y_true: Any, groups: Any, told: _Settings) -> _Scores:
    rows: Binary | None = None
    codes: IntArray | None = None
    n = 0
    if isinstance(y_prob, ScoreTable):
        if groups is not None or sample_weight is not None:
            raise InputError(
                "groups or sample_weight together with a ScoreTable, which does not keep single "
                "rows; expected probabilities instead of the table."
            )
        table = y_prob
    elif groups is not None:
        if y_true is None:
            raise InputError(
                "groups without y_true; expected labels too, since they show how much rows of one "
                "group depend on each other. Pass y_true."
            )
        given, codes = _rows_of(groups, y_true, y_prob, sample_weight, "sampling", None, None)
        rows = reduce_rows(given, infer_kind(None, given.scores.n_classes))[0]
        table = ScoreTable._from_binary(rows)
    else:
        s = validate_scores(y_prob, scale="probability", name="y_prob")
        p = s.values if s.n_classes == 2 else s.top()[0].values
        if sample_weight is None and len(p) > 2 * _SORTED:
            n, step = len(p), len(p) // _SORTED
            p = np.sort(p)[step // 2 :: step]
        table = ScoreTable.from_arrays(np.zeros(len(p)), p, sample_weight, pos_label=1)
    n = n or table.n_rows
    bins = check_binning(told.strategy, told.n_bins, _MOST_ROWS, n)
    cells = table.coarsen(_CELLS, borders=table.borders(told.strategy, bins))
    noise = None if rows is None or codes is None else group_noise(table, cells, rows, codes)
    return _Scores(cells, n, noise)


class _Test:
    """The test of a calibration error on n rows with such scores."""

    def __init__(self, scores: _Scores, n: int, told: _Settings) -> None:
        cells = scores.cells
        # Whole numbers of rows with this sum, in these proportions.
        ends = np.rint(np.cumsum(cells.n) * (n / cells.n.sum()))
        count = np.diff(ends, prepend=0.0).astype(np.int64)
        self.kept = count > 0
        count = count[self.kept]
        p, rows = cells.p[self.kept], cells.n[self.kept]
        w, w2 = cells.w[self.kept], cells.w2[self.kept]
        none = np.zeros(len(p))
        self.fine = ScoreTable(p, count, w / rows * count, none, w2 / rows * count, none, none)
        worth = n * cells.effective_rows / cells.n_rows
        if worth < 2.0 * (1.0 - 1e-9):
            raise InputError(
                f"y_prob has {worth:.3g} effective rows; expected at least two, to see noise. "
                "Pass more rows, a larger n, or less uneven weights."
            )
        bins = check_binning(told.strategy, told.n_bins, _MOST_ROWS, worth)
        self.borders = self.fine.borders(told.strategy, bins)
        self.drawn = self.fine.coarsen(_DRAWN, borders=self.borders, tails=False)
        self.place = assign(p, lower_ends(self.fine, self.drawn))
        noise = check_debias(True, told.norm)
        self.kernel = raw_kernel(self.drawn, self.borders, told.norm, noise)
        self.told = told
        rng = np.random.default_rng(told.seed)
        self.order = rng.permuted(np.tile(np.arange(told.n_draws), (len(self.drawn), 1)), axis=1)
        self.start = rng.random(len(self.drawn))
        self.noise: FloatArray | None = None
        if scores.noise is not None:
            self.noise = self._noise(scores.noise, n / scores.rows, rng)
        limit = np.quantile(self._errors(p), 1.0 - told.alpha)
        self.limit = max(float(limit), 0.0)

    def _noise(self, noise: Noise, more: float, rng: np.random.Generator) -> FloatArray:
        """Draws of the noise of groups in the cells, of which there are so many times more."""
        into = np.zeros((len(self.kept), len(self.drawn)))
        into[np.flatnonzero(self.kept), self.place] = np.sqrt(more)
        units = noise.units @ into
        values, vectors = np.linalg.eigh(units.T @ units)
        freedom = max((noise.freedom + 1.0) * more - 1.0, 1.0)
        z = rng.standard_normal((self.told.n_draws, len(values)))
        z *= np.sqrt(freedom / chdtri(freedom, rng.random((self.told.n_draws, 1))))
        drawn: FloatArray = (z * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        return drawn

    def _errors(self, truth: FloatArray) -> FloatArray:
        """Errors of labels with these true probabilities of the fine cells."""
        cells, size = self.drawn, self.told.n_draws
        mean = np.bincount(self.place, self.fine.w * truth)
        rate = np.clip(mean / cells.w, 0.0, 1.0)
        if self.noise is not None:
            calibrated = np.maximum(cells.p * (1.0 - cells.p), 1e-300)
            labels = mean + self.noise * np.sqrt(rate * (1.0 - rate) / calibrated)
        else:
            counts = np.empty((len(rate), size))
            for j, of in enumerate(zip(cells.n.tolist(), rate.tolist(), strict=True)):
                counts[j, self.order[j]] = binomial_grid(*of, size, self.start[j])
            labels = counts.T
            if cells.weighted:
                # Unequal weights inside a cell spread its share more than equal ones would.
                spread = np.sqrt(np.maximum(cells.n * cells.w2, cells.w**2)) / cells.n
                labels = mean + spread * (labels - cells.n * rate)
        parts = np.split(labels, np.arange(_AT_ONCE, size, _AT_ONCE))
        return np.concatenate([self.kernel(cells.w, np.ascontiguousarray(a)) for a in parts])

    def excess(self, truth: FloatArray) -> float:
        """Normal quantile of the probability of detection, less that of the wanted one."""
        found = np.mean(self._errors(truth[self.kept]) > self.limit)
        least = 0.5 / self.told.n_draws
        return float(ndtri(np.clip(found, least, 1.0 - least)) - ndtri(self.told.power))

    def error(self, truth: FloatArray, norm: str) -> float:
        """The calibration error of these true probabilities on the bins."""
        place, w = assign(self.fine.p, self.borders), self.fine.w
        columns = np.array([w, w * self.fine.p, w * truth[self.kept]])
        sums = np.array([np.bincount(place, column) for column in columns])
        return float(norm_of_gaps(norm, sums[0], sums[1], sums[2]))

    @property
    def likely(self) -> float:
        """About the error that is detected, to begin the search with."""
        return 1.3 * float(np.sqrt(self.limit) if self.told.norm == "l2" else self.limit) + 1e-12

    def change(self, truth: _Truth, error: float) -> float:
        """Size of the change that has this error; NaN if none has."""
        return _turn(lambda x: self.error(truth(x), self.told.norm) - error, 0.25, _LARGEST)

    def detected(self, truth: _Truth) -> float:
        """Size of the change that is detected often enough; NaN if none is."""
        guess = self.change(truth, self.likely)
        guess = 1.0 if np.isnan(guess) else guess
        return _turn(lambda x: self.excess(truth(x)), guess, _LARGEST, 1.2)

    def movable(self, cells: ScoreTable, direction: str) -> np.ndarray:
        """The cells that are wrong: all but scores of 0 and 1, or those of the noisiest bin."""
        inside: np.ndarray = (cells.p > 0.0) & (cells.p < 1.0)
        if direction == "bin":
            place = assign(cells.p, self.borders)
            size = np.bincount(place, cells.w)
            noise = np.bincount(place, cells.w2 * cells.p * (1.0 - cells.p))
            inside &= place == np.argmax(noise / np.maximum(size, 1e-300) ** 2)
        return inside


def _truths(p: FloatArray, where: np.ndarray, direction: str) -> list[tuple[float, _Truth]]:
    """True probabilities as functions of the size of the change, upward and downward."""
    z = logit(p[where])

    def truth(x: float) -> FloatArray:
        out = p.copy()
        out[where] = expit(z * (1.0 + x) if direction == "slope" else z + x)
        return out

    return [(1.0, truth), (-1.0, lambda x: truth(-x))]


def _turn(
    excess: Callable[[float], float],
    start: float,
    most: float,
    factor: float = 2.0,
    least: float = 1e-12,
) -> float:
    """The x in [least, most] from which an increasing function is not negative, else NaN."""
    low = high = start
    if excess(start) < 0.0:
        while excess(high := min(high * factor, most)) < 0.0:
            if high >= most:
                return np.nan
            low, factor = high, factor * factor
    else:
        while excess(low := max(low / factor, least)) >= 0.0:
            if low <= least:
                return least
            high, factor = low, factor * factor
    return float(np.exp(brentq(lambda z: excess(np.exp(z)), np.log(low), np.log(high), xtol=1e-3)))
