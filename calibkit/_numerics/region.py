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
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, xlogy

from .._typing import FloatArray

_LAMBDAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
#: M has its peak before, and from here on hardly falls any more towards its limit, that of a
#: Poisson variable.
_MANY = 50
#: The largest mean is looked for on a grid of rates; this makes up for what lies between.
_MARGIN = 1e-3
#: Rates that are tried between the ends of each interval.
_GRID = 201


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


def _reach(share: FloatArray, limit: FloatArray, end: float) -> FloatArray:
    """Rate between the share and 0 (or 1) whose divergence from the share is the limit."""
    inside, outside = share.copy(), np.full_like(share, end)
    for _ in range(50):
        middle = 0.5 * (inside + outside)
        within = divergence(share, middle) <= limit
        inside = np.where(within, middle, inside)
        outside = np.where(within, outside, middle)
    return outside


def mean_gaps(
    value: FloatArray, n: FloatArray, events: FloatArray, c: float, power: int
) -> tuple[float, float]:
    """Smallest and largest mean of ``|value - rate|**power`` over the rates in the region.

    By Lagrangian duality: for any price of divergence, the best of each rate by itself, plus the
    price of all there is, is above every mean in the region (for the smallest, below).
    """
    share, total = events / n, n.sum()
    limit = c / n
    low, high = _reach(share, limit, 0.0), _reach(share, limit, 1.0)
    rate = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, _GRID)
    # The share itself and the value, where they lie inside, are where the kinks are.
    inside = np.clip(value, low, high)
    rate = np.column_stack((rate, share, inside))
    gap = np.abs(value[:, None] - rate) ** power
    cost = divergence(share[:, None], rate)
    cost[~np.isfinite(cost)] = np.inf
    weight, budget = n / total, c / total

    def above(log_price: float) -> float:
        price = np.exp(log_price)
        return float(weight @ (gap - price * cost).max(axis=1) + price * budget)

    def below(log_price: float) -> float:
        price = np.exp(log_price)
        return -float(weight @ (gap + price * cost).min(axis=1) - price * budget)

    ends = (-12.0, 12.0)
    highest = minimize_scalar(above, bounds=ends, method="bounded", options={"xatol": 1e-3}).fun
    lowest = -minimize_scalar(below, bounds=ends, method="bounded", options={"xatol": 1e-3}).fun
    return max(float(lowest), 0.0), float(highest)
