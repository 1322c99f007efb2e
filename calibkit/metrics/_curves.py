"""Reliability curves: the frequency of the event at each score, with interval and null range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import numpy as np
from scipy.special import expit, ndtri, stdtrit

from .._core.params import check_binning, check_choice, check_int, check_real, generator
from .._core.rows import Binary, infer_kind, reduce_rows, refuse_beside_table, refuse_kind
from .._core.warnings import counted
from .._numerics.pava import level_sets, pooled
from .._typing import (
    BinInterval,
    Bins,
    CurveKind,
    FloatArray,
    IntArray,
    Kind,
    Scale,
    Strategy,
    Weights,
)
from ._bin_intervals import INTERVALS, calibrated_range, consistency, wilson
from ._draws import Noise, group_noise
from ._estimate import _rows_of
from ._interval import bin_worth
from ._table import ScoreTable
from ._whole import SCALES, _positions, _smooth_raw

#: Label sets drawn: the ends of a 90% range are then within one percentage point (sd 0.7).
N_DRAWS = 1000
#: Cells on which labels are drawn. Cells that touch an end of the scores, where the isotonic curve
#: depends on single rows, grow from one score on by this factor.
_CELLS, _GROWTH = 1024, 1.1
#: Scores at which an isotonic curve gets its band, beside its corners.
_POINTS = 100
#: Fewest and most points of a smooth curve, and the smallest bandwidth on each scale: the smooth
#: ECE's, an error in probability, is tiny beside the range of log-odds.
_GRID, _LEAST = (200, 1000), {"probability": 1e-3, "logit": 0.25}
#: A smooth curve has no value where the next score is more bandwidths away.
_REACH = 3.0


class Curve(NamedTuple):
    """Arrays with one value per bin that has rows, in ascending order of the scores."""

    lower: FloatArray
    upper: FloatArray
    mean_score: FloatArray
    frequency: FloatArray
    n: IntArray
    low: FloatArray
    high: FloatArray
    consistency_low: FloatArray
    consistency_high: FloatArray


class CorpCurve(NamedTuple):
    """Arrays with one value per score: the corners of the isotonic curve, and scores between."""

    score: FloatArray
    frequency: FloatArray
    n: IntArray
    low: FloatArray
    high: FloatArray
    consistency_low: FloatArray
    consistency_high: FloatArray


class SmoothCurve(NamedTuple):
    """Arrays with one value per point of a grid, and the bandwidth of the kernel."""

    score: FloatArray
    frequency: FloatArray
    density: FloatArray
    low: FloatArray
    high: FloatArray
    consistency_low: FloatArray
    consistency_high: FloatArray
    bandwidth: float


class Shape(NamedTuple):
    """Which curve, and its settings."""

    curve: str
    strategy: str
    n_bins: int | str
    scale: str
    interval: str
    level: float

    def check(self) -> None:
        """Raise if a setting is invalid; the binning is checked with the data."""
        check_choice("curve", self.curve, get_args(CurveKind))
        check_choice("scale", self.scale, SCALES)
        check_choice("interval", self.interval, INTERVALS)
        check_real("level", self.level, low=0.0, high=1.0, open_low=True, open_high=True)


def curve_of(
    table: ScoreTable,
    rows: Binary | None,
    groups: IntArray | None,
    shape: Shape,
    n_draws: int,
    random_state: Any,
) -> Curve | CorpCurve | SmoothCurve:
    """Compute one curve. Every curve gets the same seed, so it does not depend on the others."""
    rng = generator(random_state)
    if shape.curve == "binned":
        return _binned(table, rows, groups, shape, n_draws, rng)
    if shape.curve == "corp":
        return _corp(table, rows, groups, shape, n_draws, rng)
    return _smooth(table, rows, groups, shape, n_draws, rng)


def _binned(
    table: ScoreTable,
    rows: Binary | None,
    groups: IntArray | None,
    shape: Shape,
    n_draws: int,
    rng: np.random.Generator,
) -> Curve:
    size = table.n_rows, table.effective_rows
    borders = table.borders(shape.strategy, check_binning(shape.strategy, shape.n_bins, *size))
    sums = table.sums(borders, squares=True)
    kept = np.flatnonzero(sums.n)
    weight = sums.w[kept]
    share = np.clip(sums.wy[kept] / weight, 0.0, 1.0)
    worth = bin_worth(sums, rows, borders, groups, shape.level)
    low, high = INTERVALS[shape.interval](share, worth, shape.level)
    return Curve(
        np.concatenate(([0.0], borders))[kept],
        np.concatenate((borders, [1.0]))[kept],
        sums.wp[kept] / weight,
        share,
        sums.n[kept],
        low,
        high,
        *consistency(table, rows, borders, groups, shape.level, rng, n_draws),
    )


def _corp(
    table: ScoreTable,
    rows: Binary | None,
    groups: IntArray | None,
    shape: Shape,
    n_draws: int,
    rng: np.random.Generator,
) -> CorpCurve:
    m, (first, fit) = len(table), level_sets(table.w, table.wy)
    points = np.unique(np.append(first, (first - 1) % m))
    starts = np.arange(m)
    if n_draws:
        steps = np.unique((_GROWTH ** np.arange(np.log(m) / np.log(_GROWTH))).astype(np.int64))
        ends = np.concatenate((steps, m - steps)) % m
        mass = np.cumsum(table.w)
        even = np.searchsorted(mass, mass[-1] * np.linspace(0.0, 1.0, min(_CELLS, m)))
        points = np.unique(np.concatenate((points, even[:: -(-len(even) // _POINTS)], ends[::4])))
        if m > _CELLS:
            starts = np.unique(np.concatenate((first, ends, even)))
    block = np.searchsorted(first, points, side="right") - 1
    value, bands = fit[block], np.full((4, len(points)), np.nan)
    if n_draws:
        cells = table._merged(starts) if m > _CELLS else table
        at = np.searchsorted(starts, points, side="right") - 1
        noise = None if groups is None or rows is None else group_noise(table, cells, rows, groups)
        low, high = _bounds(cells, at, shape, noise)
        bands[:2] = np.minimum(low, value), np.maximum(high, value)
        bands[2:] = calibrated_range(
            cells, lambda w, wy: pooled(w, wy)[..., at], noise, shape.level, rng, n_draws
        )
    n = np.add.reduceat(table.n, first)[block]
    return CorpCurve(table.p[points], value, n, *bands)


def _bounds(
    cells: ScoreTable, at: IntArray, shape: Shape, noise: Noise | None
) -> tuple[FloatArray, FloatArray]:
    """Return bounds of frequencies of which those below a cell are lower and those above higher."""
    w2 = cells.w2
    if noise is not None:  # dependence inside a cell; that of different cells is in the interval
        apart = w2 @ (cells.p * (1.0 - cells.p))
        w2 = w2 * max(float(noise.units.multiply(noise.units).sum() / max(apart, 1e-300)), 1.0)
    begin = _tightest(cells.p, cells.w, w2, at, shape.level)
    turned = 1.0 - cells.p[::-1], cells.w[::-1], w2[::-1]
    end = len(cells) - _tightest(*turned, len(cells) - 1 - at, shape.level)
    low = _interval(shape, cells, noise, _between(begin, at + 1))[0]
    high = _interval(shape, cells, noise, _between(at, end))[1]
    return np.minimum.accumulate(low[::-1])[::-1], np.maximum.accumulate(high)


def _tightest(
    p: FloatArray, w: FloatArray, w2: FloatArray, last: IntArray, level: float
) -> IntArray:
    """First cell of a window that ends with cell ``last``.

    It is the window whose mean frequency would have the highest lower bound if the scores were the
    frequencies. Labels don't matter, so the bound is valid in the window that is chosen.
    """
    mass = np.append(0.0, np.cumsum(w))
    sizes = mass[-1] * 2.0 ** (-0.5 * np.arange(2.0 * np.log2(len(w)) + 2.0))
    begin = np.searchsorted(mass, mass[last + 1, None] - sizes * (1.0 + 1e-9))
    begin = np.minimum(begin, last[:, None])
    total = _between(begin, last[:, None] + 1)
    share = np.clip(total(w * p) / total(w), 0.0, 1.0)
    best = np.argmax(wilson(share, total(w) ** 2 / total(w2), level)[0], axis=1)
    return np.asarray(begin[np.arange(len(last)), best])


def _between(begin: IntArray, end: IntArray) -> Callable[[FloatArray], FloatArray]:
    """Return sums over windows of cells, which are the last axis."""

    def total(values: FloatArray) -> FloatArray:
        sums = np.cumsum(values, axis=-1)
        sums = np.concatenate((np.zeros_like(sums[..., :1]), sums), axis=-1)
        return np.asarray(sums[..., end] - sums[..., begin])

    return total


def _interval(
    shape: Shape,
    cells: ScoreTable,
    noise: Noise | None,
    total: Callable[[FloatArray], FloatArray],
    squared: Callable[[FloatArray], FloatArray] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return intervals of frequencies; ``total`` and ``squared`` sum cells by weights and squares.

    The effective number of rows is Kish's; with groups, the number for which independent labels
    have the variance of the groups.
    """
    squared = squared or total
    weight = total(cells.w)
    worth = weight**2 / squared(cells.w2)
    if noise is not None:
        shared = np.asarray((noise.units.T @ noise.units).toarray())
        variance = np.diagonal(total(total(shared).T))
        plain = np.maximum(squared(cells.w2 * cells.p * (1.0 - cells.p)), 1e-300)
        tail = (1.0 + shape.level) / 2.0
        few = (ndtri(tail) / stdtrit(noise.freedom, tail)) ** 2
        worth = few * worth / np.maximum(variance / plain, 1.0)
    share = np.clip(total(cells.wy) / weight, 0.0, 1.0)
    return INTERVALS[shape.interval](share, np.maximum(worth, 1.0), shape.level)


def _smooth(
    table: ScoreTable,
    rows: Binary | None,
    groups: IntArray | None,
    shape: Shape,
    n_draws: int,
    rng: np.random.Generator,
) -> SmoothCurve:
    cells = table.coarsen(_CELLS)
    x, _ = _positions(cells.p, shape.scale)
    span = float(x[-1] - x[0])
    width = max(_smooth_raw(table, scale=shape.scale), _LEAST[shape.scale])
    t = np.linspace(x[0], x[-1], int(np.clip(span / width, *_GRID)) + 1 if span > 0 else 1)
    kernel = _bells(t, x, width, reflected=shape.scale == "probability").T
    mass = cells.w @ kernel
    after = np.searchsorted(x, t)
    away = np.minimum(np.abs(x[after % len(x)] - t), np.abs(x[after - 1] - t))
    kept = away <= _REACH * width
    kernel = np.ascontiguousarray(kernel[:, kept]) / mass[kept]
    noise = None if groups is None or rows is None else group_noise(table, cells, rows, groups)
    ends = _interval(shape, cells, noise, lambda a: a @ kernel, lambda a: a @ kernel**2)

    def smoothed(_: FloatArray, wy: FloatArray) -> FloatArray:
        return np.clip(wy @ kernel, 0.0, 1.0)

    null = calibrated_range(cells, smoothed, noise, shape.level, rng, n_draws)
    curve = np.full((5, len(t)), np.nan)
    curve[:, kept] = (smoothed(cells.w, cells.wy), *ends, *null)
    density = mass / (cells.w.sum() * width * np.sqrt(2.0 * np.pi))
    score = np.clip(expit(t) if shape.scale == "logit" else t, table.p[0], table.p[-1])
    share, low, high, below, above = curve
    return SmoothCurve(score, share, density, low, high, below, above, width)


def _bells(t: FloatArray, x: FloatArray, width: float, *, reflected: bool) -> FloatArray:
    """Gaussian kernel between t and x, reflected at 0 and 1."""
    images = [x]
    if reflected:
        far = range(-1 - int(4.0 * width), 2 + int(4.0 * width))
        images += [-x, *(2.0 * k + sign * x for k in far if k for sign in (1.0, -1.0))]
    out = np.zeros((len(t), len(x)))
    for image in images:
        if (image.min() < 1.0 + 8.0 * width and image.max() > -8.0 * width) or not reflected:
            out += np.exp(-0.5 * ((t[:, None] - image) / width) ** 2)
    return out


@counted()
def reliability_curve(
    y_true: Any,
    y_prob: Any = None,
    *,
    curve: CurveKind = "binned",
    strategy: Strategy = "quantile",
    n_bins: Bins = 15,
    scale: Scale = "probability",
    interval: BinInterval = "clopper-pearson",
    level: float = 0.9,
    n_draws: int = N_DRAWS,
    kind: Kind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    groups: Any = None,
    pos_label: Any = None,
    classes: Any = None,
    random_state: Any = None,
) -> Any:
    """Compute the numbers of a reliability diagram: observed frequencies by score.

    :class:`ReliabilityDisplay` draws them. This function needs no matplotlib.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels of rows that the model was not fitted on, or a table of all rows. For two classes
        also fractions of events in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the event, or of every class.
    curve : {"binned", "corp", "smooth"}, default="binned"
        Frequencies of bins; isotonic regression of the labels on the scores (CORP), which has no
        settings and never falls; or frequencies smoothed by the kernel of the smooth ECE.
    strategy : {"quantile", "uniform", "unique"}, default="quantile"
        Bins of equal mass, of equal width, or one per distinct score. Used by "binned" only.
    n_bins : int or "auto", default=15
        Number of bins. ``"auto"`` is the cube root of n, rounded up. Used by "binned" only.
    scale : {"probability", "logit"}, default="probability"
        Scale on which "smooth" smooths. "logit" shows more of the scores near 0 and 1.
    interval : {"clopper-pearson", "wilson"}, default="clopper-pearson"
        Method of the confidence intervals.
    level : float, default=0.9
        Confidence level of each interval and coverage of each range, in (0, 1).
    n_draws : int, default=1000
        Number of label sets drawn from the scores, for the range of a calibrated model. With 0
        there is no range, and "corp" has only the corners of the curve, without intervals.
    kind : {"binary", "top_label", "classwise"}, optional
        Curve of the event, of the predicted class being correct, or of each class. Default:
        "top_label" for K > 2 classes, else "binary".
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether a weight is a row's share of the population or a count of rows.
    groups : array-like of shape (n,), optional
        Group of each row; rows of one group are treated as dependent.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.

    Returns
    -------
    curve : named tuple of arrays, or dict of label to named tuple
        Every curve has ``frequency``, its interval ``low, high``, and the range
        ``consistency_low, consistency_high`` of the frequencies of a calibrated model with these
        scores. "binned" has ``lower, upper, mean_score`` and ``n`` of each bin with rows. "corp"
        has ``score`` (all corners, and about 150 more) and ``n`` of the step that contains the
        score. "smooth" has ``score``, ``density`` (of the scores, per unit of the scale) and
        ``bandwidth``; where no score is near, it has NaN. Class-wise there is a dict with one
        curve per class. ``pandas.DataFrame(curve._asdict())`` is a data frame.

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    Notes
    -----
    All intervals and ranges are for one score alone, not for the whole curve.

    "corp": if the true frequency never falls as the score rises, it is at least the mean
    frequency of any window of scores below and at most that of any window above. ``low`` and
    ``high`` are the confidence bounds of these means in the windows that would give the tightest
    bounds if the model were calibrated; the labels have no influence on the choice. The coverage is
    at least the level, also at jumps and at the ends, where that of a bootstrap of the rows is not
    (``python benchmarks/curve_bands.py``). For the consistency range the labels are drawn from
    the scores, and the isotonic regression is fitted to each set (Dimitriadis et al. 2021).

    "smooth": the intervals are for the smoothed frequency, not for the true frequency. The two
    differ where the true frequency bends within a bandwidth. The bandwidth is the smooth ECE on the
    scale, but at least 0.001, or 0.25 on the scale "logit". The number of rows is the effective
    number under the kernel, ``sum(k)**2 / sum(k**2)``.

    References
    ----------
    T. Dimitriadis, T. Gneiting, A. Jordan (2021). Stable reliability diagrams for probabilistic
    classifiers. PNAS 118(8). --- J. Błasiok, P. Nakkiran (2024). Smooth ECE: principled
    reliability diagrams via kernel smoothing. ICLR.

    Examples
    --------
    >>> from calibkit import reliability_curve
    >>> y, p = [0, 0, 1, 0, 1], [0.1, 0.3, 0.4, 0.8, 0.9]
    >>> c = reliability_curve(y, p, curve="corp", random_state=0)
    >>> c.score, c.frequency, c.n
    (array([0.1, 0.3, 0.4, 0.8, 0.9]), array([0. , 0. , 0.5, 0.5, 1. ]), array([2, 2, 2, 2, 1]))
    """
    shape = Shape(curve, strategy, n_bins, scale, interval, level)
    shape.check()
    check_int("n_draws", n_draws, low=0)
    drawing = shape, n_draws, random_state
    if isinstance(y_true, ScoreTable):
        refuse_kind(kind)
        refuse_beside_table(y_prob, sample_weight, pos_label, classes, groups)
        return curve_of(y_true, None, None, *drawing)
    rows, codes = _rows_of(groups, y_true, y_prob, sample_weight, weights, pos_label, classes)
    kind = infer_kind(kind, rows.scores.n_classes)
    problems = reduce_rows(rows, kind, weights)
    found = [curve_of(ScoreTable._from_binary(b), b, codes, *drawing) for b in problems]
    return dict(zip(rows.classes.tolist(), found, strict=True)) if kind == "classwise" else found[0]
