"""Null band, test and interval of errors of the whole calibration curve.

Null band and p-value: labels drawn from the scores. Interval: the test of scaled alternatives, as
for binned errors. An alternative is a rate for each cell of a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .._core.rows import Binary
from .._numerics.binning import assign, auto_bins
from .._numerics.debias import noise_variance
from .._numerics.inversion import MOST_CHANGE, Bins, Inversion, quantiles_of
from .._typing import FloatArray, IntArray
from ._draws import Noise, group_noise, lower_ends, null_band
from ._interval import SHARED, Measured
from ._nulls import OF_GROUPS, nulls_of
from ._spec import RULES, Kernel, Metric, Whole
from ._table import ScoreTable

#: Cells of the alternatives, and label sets drawn for each of them.
_CELLS, _DRAWS = 200, 300
#: A kernel with a smaller bandwidth than this gets cells narrower than it, to this width.
_NARROW, _LEAST = 0.02, 1e-4

Problems = Iterable[tuple[ScoreTable, Binary]]


class Tested(NamedTuple):
    """Raw errors of the problems, and whether calibrated scores explain their mean."""

    raw: FloatArray
    null: FloatArray  # draws of the mean for labels drawn from the scores
    p_value: float
    settings: list[dict[str, Any]]  # of each problem, with what follows from its scores


def whole_test(
    whole: Whole,
    problems: Problems,
    settings: dict[str, Any],
    n_draws: int,
    rng: np.random.Generator,
    groups: IntArray | None,
) -> Tested:
    """Test one problem, or the mean over the classes, by labels drawn from the scores."""
    # Errors of the classes are dependent through groups, so all classes use the same draws.
    drawn = None if groups is None else int(rng.integers(2**31))
    raw, nulls, chosen = [], [], []
    for table, rows in problems:
        own = rng if drawn is None else np.random.default_rng(drawn)
        used = settings if whole.fixed is None else whole.fixed(table, **settings)
        alone = groups is None
        cells = _cells(table, whole.cells if alone else OF_GROUPS, alone, used)
        labels = nulls_of(table, cells, rows, groups, n_draws, own)
        statistic = labels.of(whole.kernel(cells, **used))
        raw.append(whole.raw(table, **used))
        # Cells show less than single scores do: a little, but not little beside the noise.
        unseen = raw[-1] - float(statistic(labels.observed())[0])
        nulls.append(np.concatenate([*map(statistic, labels.sets(robust=False))]) + unseen)
        chosen.append(used)
    null = _inflated(np.mean(nulls, axis=0), len(raw), groups)
    value = float(np.mean(raw))
    above = int(np.count_nonzero(null >= value - 1e-12 * abs(value)))
    return Tested(np.array(raw), null, (1.0 + above) / (len(null) + 1.0), chosen)


def _cells(table: ScoreTable, n: int, tails: bool, settings: dict[str, Any]) -> ScoreTable:
    borders, bandwidth = None, settings.get("bandwidth", 1.0)
    if bandwidth < _NARROW:  # most scores are similar, and the others fill few cells of equal mass
        width = max(0.25 * bandwidth, _LEAST)
        borders = np.arange(width, 1.0, width)
    return table.coarsen(n, borders=borders, tails=tails)


def _inflated(drawn: FloatArray, n_problems: int, groups: IntArray | None) -> FloatArray:
    """Means over classes, whose errors were drawn as if they were independent."""
    if n_problems == 1 or groups is not None:
        return drawn
    return np.asarray(drawn.mean() + SHARED * (drawn - drawn.mean()))


def measure_whole(
    spec: Metric,
    problems: Problems,
    settings: dict[str, Any],
    level: float,
    n_draws: int,
    rng: np.random.Generator,
    groups: IntArray | None,
) -> Measured:
    """Estimate the error of one problem, or the mean over the classes.

    As for binned errors, the interval begins above 0 if and only if the value lies above the null
    band; if the inverted test gives no lower end there, the triangle inequality does.
    """
    whole = spec.whole
    assert whole is not None
    kept = list(problems)
    tested = whole_test(whole, kept, settings, n_draws, rng, groups)
    raw, seed = float(tested.raw.mean()), int(rng.integers(2**31))
    value, band = float(whole.finished(raw)), null_band(whole.finished(tested.null), level)
    assert band.high is not None
    parts = [
        _part(whole, *problem, used, min(n_draws, _DRAWS), seed, groups)
        for problem, used in zip(kept, tested.settings, strict=True)
    ]
    test = _Test(parts, groups)
    bins = Bins(*(np.concatenate(a) for a in zip(*(part.bins for part in parts), strict=True)))
    # Shifts too: these errors vary most where all gaps have one sign.
    low, high = test.ends(bins, test.score, level, "l2", few=True, upper=True)
    low, high = (float(whole.finished(end)) for end in (low, high))
    if value > band.high:
        power = whole.distance / whole.shown
        low = max(min(low, value), (value**power - band.high**power) ** (1.0 / power))
    else:
        low = 0.0
    shown = tested.settings[0] if len(parts) == 1 else settings
    if whole.shown != 1.0:
        shown = {**shown, "unclipped_square": raw}
    high = max(min(high, spec.bounds[1]), value)
    return Measured(value, low, high, shown, RULES["whole"].method, band, tested.p_value)


class _Part(NamedTuple):
    """One problem and its alternatives."""

    sampler: _Sampler
    bins: Bins  # of each cell the share, and gap and noise of its bin
    kernel: Kernel
    truth: Kernel


def _part(
    whole: Whole,
    table: ScoreTable,
    rows: Binary,
    settings: dict[str, Any],
    n_draws: int,
    seed: int,
    groups: IntArray | None,
) -> _Part:
    cells = _cells(table, _CELLS, False, settings)
    own = None if groups is None else group_noise(table, cells, rows, groups)
    members = None if groups is None else _members(table, cells, rows, groups)
    sampler = _Sampler(cells, own, members, n_draws, seed)
    kernels = whole.kernel(cells, **settings), whole.truth(cells, **settings)
    return _Part(sampler, _bins(table, cells, own), *kernels)


def _members(
    table: ScoreTable, cells: ScoreTable, rows: Binary, groups: IntArray
) -> sparse.csr_matrix:
    """Weight of each group in each cell."""
    w = np.ones(len(rows.p)) if rows.w is None else rows.w
    places = groups, assign(rows.p, lower_ends(table, cells))
    return sparse.csr_matrix((w, places), shape=(int(groups.max()) + 1, len(cells)))


def _bins(table: ScoreTable, cells: ScoreTable, noise: Noise | None) -> Bins:
    """Share of each cell; gap and noise of equal-mass bins, which the alternatives scale."""
    worth = table.effective_rows if noise is None else noise.freedom + 1.0
    borders = table.borders("quantile", auto_bins(worth))
    sums = table.sums(borders, squares=True)
    at = assign(cells.p, borders)
    size = np.where(sums.w > 0, sums.w, 1.0)
    gap = (sums.wp - sums.wy) / size
    if noise is None:
        variance = np.maximum(noise_variance(sums, "differences"), 0.0)
    else:
        into = (np.ones(len(at)), (np.arange(len(at)), at))
        units = noise.units @ sparse.csr_matrix(into, shape=(len(at), len(size)))
        variance = np.asarray(units.multiply(units).sum(axis=0)).ravel() / size**2
    return Bins(cells.w / cells.w.sum(), gap[at], np.sqrt(variance)[at])


class _Sampler:
    """Weights and labels of cells where ``rate`` are the true rates; one stream for all rates."""

    def __init__(
        self,
        cells: ScoreTable,
        noise: Noise | None,
        members: sparse.csr_matrix | None,
        n_draws: int,
        seed: int,
    ) -> None:
        self.cells, self.seed = cells, seed
        rng = np.random.default_rng(seed)
        self.own = np.maximum(cells.p * (1.0 - cells.p), 1e-12)
        self.noise: FloatArray | None = None
        if noise is not None and members is not None:
            pull = rng.standard_normal((n_draws, noise.units.shape[0]))
            pull *= np.sqrt(noise.freedom / rng.chisquare(noise.freedom, size=(n_draws, 1)))
            self.noise = pull @ noise.units
            # Bayesian bootstrap (Rubin 1981): no cell is left empty.
            drawn = rng.standard_exponential(pull.shape) @ members
            self.w = drawn * (cells.w.sum() / drawn.sum(axis=1, keepdims=True))
            return
        share = cells.n / cells.n.sum()
        self.n = rng.multinomial(int(cells.n.sum()), share, size=n_draws)
        self.w = self.n * (cells.w / cells.n)
        self.spread = np.sqrt(np.maximum(cells.n * cells.w2 / cells.w**2, 1.0))
        if not np.array_equal(cells.w2y, cells.w2yy):  # fractions vary less than labels
            dd = cells.w2 * cells.p**2 - 2.0 * cells.p * cells.w2y + cells.w2yy
            scale = np.sqrt(np.maximum(dd, 0.0) / cells.w)
            self.noise = scale * np.sqrt(self.w) * rng.standard_normal(self.w.shape)

    def __call__(self, rate: FloatArray) -> tuple[FloatArray, FloatArray]:
        if self.noise is not None:
            ratio = np.sqrt(np.clip(rate * (1.0 - rate) / self.own, *MOST_CHANGE))
            return self.w, self.w * rate + ratio * self.noise  # cut to [0, w] it would vary less
        events = np.random.default_rng(self.seed + 1).binomial(self.n, rate).astype(np.float64)
        if self.cells.weighted:
            expected = self.n * rate
            events = expected + self.spread * (events - expected)
        return self.w, events * (self.cells.w / self.cells.n)


class _Test(Inversion):
    """The mean error of some problems against their alternatives."""

    precision = 1e-2

    def __init__(self, parts: list[_Part], groups: IntArray | None) -> None:
        self.parts, self.groups = parts, groups
        self.score = np.concatenate([part.sampler.cells.p for part in parts])
        self.cuts = np.cumsum([len(part.sampler.cells) for part in parts])[:-1]
        cells = [part.sampler.cells for part in parts]
        seen = [float(part.kernel(c.w, c.wy)) for part, c in zip(parts, cells, strict=True)]
        self.observed = float(np.mean(seen))

    def _rates(self, gap: FloatArray) -> list[FloatArray]:
        return np.split(np.clip(self.score - gap, 0.0, 1.0), self.cuts)

    def quantiles(self, gap: FloatArray, levels: list[float]) -> FloatArray:
        each = [
            part.kernel(*part.sampler(rate))
            for part, rate in zip(self.parts, self._rates(gap), strict=True)
        ]
        drawn = _inflated(np.mean(each, axis=0), len(each), self.groups)
        return quantiles_of(drawn, levels)

    def size(self, gap: FloatArray) -> float:
        sizes = []
        for part, rate in zip(self.parts, self._rates(gap), strict=True):
            w = part.sampler.cells.w
            sizes.append(float(part.truth(w, w * rate)))
        return float(np.mean(sizes))
