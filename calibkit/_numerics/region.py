"""A joint confidence region for many binomial rates, and what it says of their mean gaps.

The region holds the rates eta with ``sum_b n_b KL(share_b, eta_b) <= c``. Intervals that hold for
all rates at once must each allow for the worst of them; the region knows that not all shares can
be at their worst together, and bounds a mean of gaps about twice as tightly. Nothing about it is
asymptotic: by Markov's inequality for ``exp(lam * sum_b n_b KL_b)``,

    P(sum_b n_b KL_b >= c) <= exp(sum_b log M(n_b, lam) - lam c),

where M(n, lam) is the largest mean, over rates, of ``exp(lam n KL)`` for n rows. In the limit of
many rows and a middling rate it is that of half a chi-squared variable, (1 - lam)^(-1/2).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln, xlogy

from .._typing import FloatArray, IntArray

_LAMBDAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
#: M has its peak before, and from here on hardly falls any more towards its limit, that of a
#: Poisson variable.
_MANY = 50
#: The largest mean is looked for on a grid of rates; this makes up for what lies between.
_MARGIN = 1e-3
#: Steps of the search for the best log price.
_STEPS = (1.0, 0.25, 0.06, 0.015, 0.004)
#: Rates that are tried between the ends of each interval.
_GRID = 101


@lru_cache(maxsize=512)
def log_moment(n: int, lam: float) -> float:
    """Log of the largest mean of ``exp(lam n KL(share, rate))`` over all rates."""
    n = min(n, _MANY)
    k = np.arange(n + 1.0)
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    best = xlogy(k, k / n) + xlogy(n - k, (n - k) / n)
    # By symmetry rates up to 1/2 do; near 0 the mean tends to 1.
    rate = np.geomspace(1e-4 / n, 0.5, 800)[:, None]
    log_terms = ways + lam * best + (1.0 - lam) * (xlogy(k, rate) + xlogy(n - k, 1.0 - rate))
    top = log_terms.max(axis=1)
    return float((top + np.log(np.exp(log_terms - top[:, None]).sum(axis=1))).max()) + _MARGIN


def radius(n: FloatArray, failure: float) -> float:
    """The c of a region that misses the true rates with at most this probability."""
    sizes, times = np.unique(np.minimum(n, _MANY).astype(np.int64), return_counts=True)

    def bound(lam: float) -> float:
        moments = sum(t * log_moment(int(m), lam) for m, t in zip(sizes, times, strict=True))
        return float((moments - np.log(failure)) / lam)

    return min(bound(lam) for lam in _LAMBDAS)


def divergence(share: Any, rate: Any) -> Any:
    """Kullback-Leibler divergence of coins."""
    with np.errstate(divide="ignore", invalid="ignore"):
        yes = xlogy(share, share) - xlogy(share, rate)
        return yes + xlogy(1.0 - share, 1.0 - share) - xlogy(1.0 - share, 1.0 - rate)


def reach(share: FloatArray, limit: FloatArray, end: float) -> FloatArray:
    """Rate between the share and 0 (or 1) whose divergence from the share is the limit."""
    inside, outside = share.copy(), np.full_like(share, end)
    for _ in range(50):
        middle = 0.5 * (inside + outside)
        within = divergence(share, middle) <= limit
        inside = np.where(within, middle, inside)
        outside = np.where(within, outside, middle)
    return outside


class Pairs(NamedTuple):
    """Distinct outputs and counts, and ``at``: which of them each output of each data set has."""

    value: FloatArray
    n: FloatArray
    events: FloatArray
    at: IntArray


def pairs_of(value: FloatArray, n: FloatArray, events: FloatArray) -> Pairs:
    """Outputs and counts that need to be looked at once, from one data set per row of events."""
    kinds, kind = np.unique(np.stack((value, n), axis=1), axis=0, return_inverse=True)
    codes = kind.ravel() * (int(n.max()) + 1) + events.astype(np.int64)
    found, at = np.unique(codes, return_inverse=True)
    kind, count = np.divmod(found, int(n.max()) + 1)
    values, rows = kinds[kind].T
    return Pairs(values, rows, count.astype(np.float64), at.reshape(events.shape))


class Options(NamedTuple):
    """Gaps that the rate of each pair may have, what each costs, and the budget of each data set.

    Costs are so low that rates between two neighbors are covered by them, for any convex gap.
    """

    gap: FloatArray
    cost: FloatArray
    budget: FloatArray


def around_shares(pairs: Pairs, c: float) -> Options:
    """The region of rates with this radius."""
    share = pairs.events / pairs.n
    low, high = (reach(share, c / pairs.n, end) for end in (0.0, 1.0))
    rate = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, _GRID)
    # The share itself and the value, where they lie inside, are where the kinks are.
    rate = np.sort(np.column_stack((rate, share, np.clip(pairs.value, low, high))), axis=1)
    cost = np.minimum(pairs.n[:, None] * divergence(share[:, None], rate), c)
    # Between two points a convex and monotone cost lies below their chord by at most:
    below = (share / np.maximum(rate.T[:-1], 1e-140) ** 2).T
    below += ((1.0 - share) / np.maximum(1.0 - rate.T[1:], 1e-140) ** 2).T
    below *= pairs.n[:, None] * np.diff(rate, axis=1) ** 2 / 8.0
    below = np.minimum(below, np.abs(np.diff(cost, axis=1)))
    cost[:, 1:-1] -= np.maximum(below[:, 1:], below[:, :-1])
    cost[:, [0, -1]] -= below[:, [0, -1]]
    return Options(np.abs(pairs.value[:, None] - rate), cost, np.full(len(pairs.at), c))


def most_mean(options: Options, pairs: Pairs, power: int, sign: float = 1.0) -> FloatArray:
    """Largest mean of ``sign * gap**power`` over the rates of a region, for each data set.

    By Lagrangian duality: for any price, the best of each rate by itself, plus the price of all the
    budget, is above every mean in the region.
    """
    weight = pairs.n / pairs.n[pairs.at[0]].sum()
    gap = sign * weight[:, None] * options.gap**power
    if sign < 0 and power == 2:  # squares between neighbors are below their chord
        between = np.abs(np.diff(options.gap, axis=1)).max(axis=1, keepdims=True)
        gap += weight[:, None] * between**2 / 4.0
    largest = float(np.abs(gap)[np.isfinite(options.cost)].max()) * pairs.at.shape[1]
    best, room = np.full(len(pairs.at), np.inf), np.empty_like(gap)
    center = np.full(len(best), np.log(max(largest, 1e-300) / options.budget.max()) - 7.0)
    for step, reach in zip(_STEPS, (11.0, *_STEPS), strict=False):
        # Nearly all data sets have their best price here; for the others any price is valid.
        low, high = np.quantile(center, (0.05, 0.95))
        high = min(high + reach, low - reach + 100.0 * step) + step
        for price in np.exp(np.arange(low - reach, high, step)):
            np.subtract(gap, np.multiply(options.cost, price, out=room), out=room)
            mean = room.max(axis=1)[pairs.at].sum(axis=1) + price * options.budget
            center = np.where(mean < best, np.log(price), center)
            best = np.minimum(mean, best)
    return best
