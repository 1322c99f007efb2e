"""Intervals of binned calibration errors by inverting a test.

A hypothesis is a true gap for every bin. The observed error is compared with the errors that
simulated labels show under it; the interval holds the errors of those hypotheses that are not
refuted. No bootstrap can do this near zero error, where the observed error is mostly noise.

The hypotheses lie on a few paths, each a shape of gaps that grows from none: the gaps observed,
for the lower end less their noise (concentrated gaps leave the most bins with nothing but noise,
so they explain a large error best), and shifts of all log-odds where bins hold few events (bins
without any event say little of the shape).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from .._typing import FloatArray
from .binning import BinSums
from .debias import folded_mean
from .links import expit, logit

#: Squared gaps less so many noise variances are the shape for the lower end, by norm. A mean size
#: depends on the shape through its bias, so for l1 only what clearly stands out is kept.
_DEFLATE = {"l1": 4.0, "l2": 1.0}
#: Each end may fail in this part of half the cases: the shape of the gaps, on which the spread of
#: the error depends, is only estimated. Chosen by simulation; l1 errs on the safe side already.
_ALLOWANCE = {"l1": 1.0, "l2": 0.88}
#: Where the observed error is below this quantile of a calibrated model's, the upper end is taken
#: there: an error that happens to be small is no proof that there is none.
_FLOOR = 0.25
#: Bins with fewer expected events, or non-events, than this are tried with shifts too.
_FEW = 20.0
#: Binomial numbers drawn for one hypothesis.
_MOST_NUMBERS = 60_000
#: Quantiles of fewer draws are those of a normal variable with their mean and spread.
_FEW_DRAWS = 200
#: A hypothesis may change the variance that weighted or grouped rows show by these factors.
MOST_CHANGE = (0.04, 25.0)
#: Paths end here: one gap may be as large as it can be long before the others are.
_LONGEST = 1e4
#: Relative precision of an end: the draws leave far more open.
_PRECISION = 2e-3


class Bins(NamedTuple):
    """What is known of each bin."""

    share: FloatArray  # of the weight
    gap: FloatArray  # mean score minus mean label
    sd: FloatArray  # standard deviation of the gap


class Sampler(Protocol):
    """Gaps that would be observed if these were the true ones: ``(gaps, sds)``, a row a draw."""

    def __call__(self, gap: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]: ...


class Binomial:
    """Labels drawn in each bin by its mean probability, and numbers of rows by the shares.

    ``spread`` is by how much the differences in a bin vary more than its labels alone.
    """

    def __init__(
        self, n: FloatArray, score: FloatArray, spread: FloatArray, n_draws: int, seed: int
    ) -> None:
        self.score, self.spread, self.seed = score, spread, seed
        rng = np.random.default_rng(seed)
        total = n.sum()
        # No bin is left empty, since none of those at hand is: its noise would be lost.
        self.n = np.maximum(rng.multinomial(round(total), n / total, size=n_draws), 1)
        self.share = self.n / total

    def __call__(self, gap: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        truth = np.clip(self.score - gap, 0.0, 1.0)
        # The same stream for every hypothesis: quantiles then move smoothly along a path.
        rng = np.random.default_rng(self.seed + 1)
        events = rng.binomial(self.n, truth).astype(np.float64)
        drawn = truth - events / self.n
        if self.spread.max() > 1.0:
            drawn *= self.spread
        drawn += self.score - truth
        return self.share, drawn, smoothed_sd(events, self.n, self.score)


class Normal:
    """Noise of gaps and of shares with an estimated covariance, for weights and groups.

    Student's t noise: the covariance of few units is itself uncertain. ``rate`` are the rates of
    the labels that it was estimated at; under other rates labels vary more, or less.
    """

    def __init__(
        self,
        share: FloatArray,
        covariance: FloatArray,
        freedom: float,
        score: FloatArray,
        rate: FloatArray,
        n_draws: int,
        seed: int,
    ) -> None:
        rng = np.random.default_rng(seed)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        noise = rng.standard_normal((n_draws, len(covariance))) @ root.T
        noise *= np.sqrt(freedom / rng.chisquare(freedom, size=(n_draws, 1)))
        m = len(share)
        self.noise, self.sd = noise[:, :m], np.sqrt(np.diag(covariance)[:m])
        drawn = np.maximum(share + noise[:, m:], 0.0)
        self.share = drawn / drawn.sum(axis=1, keepdims=True)
        self.score, self.variance = score, np.maximum(rate * (1.0 - rate), 1e-12)

    def __call__(self, gap: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        truth = np.clip(self.score - gap, 0.0, 1.0)
        ratio = np.sqrt(np.clip(truth * (1.0 - truth) / self.variance, *MOST_CHANGE))
        return self.share, gap + ratio * self.noise, ratio * self.sd


def smoothed(events: FloatArray, n: FloatArray, score: FloatArray) -> FloatArray:
    """Rate of events, not zero or one where none or all of the rows are."""
    return (events + score) / (n + 1.0)


def smoothed_sd(events: FloatArray, n: FloatArray, score: FloatArray) -> FloatArray:
    """Standard deviation of a share of events, not zero where none or all of the rows are."""
    share = smoothed(events, n, score)
    return np.sqrt(share * (1.0 - share) / n)


def _statistic(norm: str, share: FloatArray, gap: FloatArray, sd: FloatArray) -> FloatArray:
    if norm == "l2":
        return np.einsum("...j,...j->...", share, gap * gap)
    # Less its bias, it depends less on how the gaps are spread over the bins.
    size = 2.0 * np.abs(gap) - folded_mean(gap, sd)
    return np.einsum("...j,...j->...", share, size)


Path = Callable[[float], FloatArray]


def _line(bins: Bins, deflate: float, score: FloatArray) -> Path | None:
    """Gaps of the observed shape, less noise, as far as probabilities allow."""
    size = np.sqrt(np.maximum(bins.gap**2 - deflate * bins.sd**2, 0.0))
    if not size.any():
        size = np.where(np.abs(bins.gap) == np.abs(bins.gap).max(), np.abs(bins.gap), 0.0)
    if not size.any():
        return None
    shape = np.copysign(size, bins.gap) / size.max()
    return lambda t: score - np.clip(score - t * shape, 0.0, 1.0)


def _shift(score: FloatArray, sign: float) -> Path:
    """Gaps of forecasts whose log-odds are all too low, or all too high."""
    odds = logit(np.clip(score, 1e-12, 1.0 - 1e-12))
    return lambda t: score - expit(odds + sign * 30.0 * t)


class Inversion(ABC):
    """An observed error against hypotheses."""

    observed: float
    precision = _PRECISION

    @abstractmethod
    def quantiles(self, gap: FloatArray, levels: list[float]) -> FloatArray:
        """Quantiles of the errors that would be observed if these gaps were the true ones."""

    @abstractmethod
    def size(self, gap: FloatArray) -> float:
        """Error of true gaps."""

    def end(self, path: Path, target: float, level: float) -> float:
        """Error of the point of the path whose quantile is the target."""

        @cache
        def excess(t: float) -> float:
            return float(self.quantiles(path(t), [level])[0]) - target

        low, high = 0.0, 1.0
        while excess(high) <= 0:
            if high > _LONGEST:
                return self.size(path(high))
            low, high = high, 8.0 * high
        while low == 0.0 and excess(high / 8.0) > 0 and high > 1e-9:  # most ends lie near 0
            high /= 8.0
        if excess(low) >= 0:
            return self.size(path(high))
        return self.size(path(brentq(excess, low, high, rtol=self.precision, xtol=1e-12)))

    def ends(
        self, bins: Bins, score: FloatArray, level: float, norm: str, *, few: bool, upper: bool
    ) -> tuple[float, float]:
        """Both ends; the lower is 0 where a calibrated model can't be excluded."""
        tail = _ALLOWANCE[norm] * 0.5 * (1.0 - level)
        floor, highest = self.quantiles(np.zeros_like(score), [_FLOOR, 1.0 - tail])
        low = 0.0
        if self.observed > highest:
            path = _line(bins, _DEFLATE[norm], score)
            low = 0.0 if path is None else self.end(path, self.observed, 1.0 - tail)
        if not upper:
            return low, 1.0
        # Noise in the observed gaps hides which bins, with which variances, the true ones are in.
        shapes = [_line(bins, 0.0, score), _line(bins, 1.0, score)]
        if few or shapes[0] is None:
            shapes += [_shift(score, 1.0), _shift(score, -1.0)]
        target = max(self.observed, floor)
        high = max(self.end(path, target, tail) for path in shapes if path is not None)
        return low, high


def quantiles_of(drawn: FloatArray, levels: list[float]) -> FloatArray:
    """Quantiles; those of few draws are of a normal variable with their mean and spread."""
    if drawn.shape[0] < _FEW_DRAWS:  # as many bins as that: their sum is near to normal
        return np.asarray(drawn.mean() + drawn.std(ddof=1) * ndtri(levels))
    return np.quantile(drawn, levels)


class _Test(Inversion):
    """The error of bins."""

    def __init__(self, norm: str, bins: Bins, sampler: Sampler, inflate: float) -> None:
        self.norm, self.bins, self.sampler, self.inflate = norm, bins, sampler, inflate
        self.observed = float(_statistic(norm, *bins))

    def quantiles(self, gap: FloatArray, levels: list[float]) -> FloatArray:
        drawn = _statistic(self.norm, *self.sampler(gap))
        if self.inflate != 1.0:
            drawn = drawn.mean() + self.inflate * (drawn - drawn.mean())
        return quantiles_of(drawn, levels)

    def size(self, gap: FloatArray) -> float:
        if self.norm == "l2":
            return float(np.sqrt(self.bins.share @ (gap * gap)))
        return float(self.bins.share @ np.abs(gap))


def invert(
    norm: str,
    bins: Bins,
    score: FloatArray,
    sampler: Sampler,
    level: float,
    *,
    few: bool,
    inflate: float = 1.0,
    upper: bool = True,
) -> tuple[float, float]:
    """Ends of the interval; the lower is 0 where a calibrated model can't be excluded.

    ``few`` says that bins hold few events; ``inflate`` widens the spread of the simulated errors.
    Without ``upper`` only the lower end is looked for.
    """
    test = _Test(norm, bins, sampler, inflate)
    return test.ends(bins, score, level, norm, few=few, upper=upper)


def of_sums(
    norm: str,
    sums: BinSums,
    level: float,
    n_draws: int,
    seed: int,
    *,
    inflate: float = 1.0,
    upper: bool = True,
) -> tuple[float, float]:
    """Interval from sums of unweighted rows in bins of at least two rows each."""
    n, score = sums.w, sums.wp / sums.w
    bins = Bins(n / n.sum(), score - sums.wy / n, smoothed_sd(sums.wy, n, score))
    # With many bins fewer draws do: the quantiles of 100 are off by .15 of their spread.
    n_draws = min(n_draws, max(100, _MOST_NUMBERS // len(n)))
    sampler = Binomial(n, score, spread(sums), n_draws, seed)
    # Whether some bin expects few events or few non-events.
    few = bool((n * np.minimum(score, 1.0 - score)).min() < _FEW)
    return invert(norm, bins, score, sampler, level, few=few, inflate=inflate, upper=upper)


def spread(sums: BinSums) -> FloatArray:
    """By how much differences in a bin vary more than labels of its mean frequency would."""
    n = sums.w
    share = sums.wy / n
    assert sums.w2dd is not None
    ours = np.maximum(sums.w2dd / n - ((sums.wp - sums.wy) / n) ** 2, 0.0)
    labels = share * (1.0 - share)
    ratio = np.divide(ours, labels, out=np.ones_like(n), where=labels > 0)
    return np.sqrt(np.maximum(ratio, 1.0))
