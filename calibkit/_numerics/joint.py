"""A joint confidence region for binomial rates near the outputs of a model, from one statistic.

``T = sum_b n_b (share_b - value_b)**2`` is small if the outputs are right. For s > 0 and any rates,
``exp(-s T - sum_b log E exp(-s T_b))`` has mean 1: by Markov's inequality it is above 1 / failure
with at most that probability. So all rates with ``sum_b cost_b(rate_b) <= s T + log(1 / failure)``,
where ``cost_b(rate) = -log E exp(-s T_b)``, are a confidence region, for any number of rows. It
bounds mean gaps more tightly than a region around the shares: the noise of all outputs adds up to
one known number, instead of being allowed for in each.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import betaln, xlogy

from .._typing import FloatArray
from .region import Options, Pairs

#: Step of the grid of rates, and its reach around an output, in standard deviations of a share.
_STEP, _REACH = 0.125, 7.5
#: Reach of the numbers of events around the rates of the grid, in their standard deviations.
_TAIL = 6.5
#: Fewer events or others than these are summed one by one.
_SMOOTH = 100.0
#: Relative error of a sum over every w-th number of events, see :func:`_numbers`.
_SPARSE = 4e-5


class Costs(NamedTuple):
    """Rates in ascending order, and a lower bound of the cost between each and its neighbors."""

    rate: FloatArray
    cost: FloatArray


def strength(value: FloatArray, n: FloatArray, failure: float) -> float:
    """The s with about the smallest bound of the mean square, for a calibrated model.

    It is chosen in the limit of many rows, from outputs and counts alone.
    """
    v = np.maximum(value * (1.0 - value), 1.0 / n / 4.0)
    typical = float(v.sum() + 0.7 * np.sqrt(2.0 * (v**2).sum()))

    def bound(log_s: float) -> float:
        s = np.exp(log_s)
        budget = s * typical - np.log(failure) - 0.5 * np.log1p(2.0 * s * v).sum()
        return float((1.0 / s + 2.0 * v.max()) * budget)

    center = -np.log(float(v.max()))
    ends = center - 10.0, center + 3.0
    return float(np.exp(minimize_scalar(bound, bounds=ends, method="bounded").x))


def _numbers(n: float, rate: FloatArray, curve: float) -> tuple[FloatArray, float, FloatArray]:
    """Numbers of events that matter, their spacing w, and an upper bound of log comb(n, k).

    Where all of them are large, every w-th is enough, with Stirling's bound (Robbins 1955) for the
    coefficients: the summands g = exp(-phi) are smooth, and by the Euler-Maclaurin formula w times
    their sum differs from the integral by at most ``0.0014 w**4`` times that of ``|g''''|``. With
    phi'' <= c <= 0.01 everywhere, integration by parts bounds this by ``13 c**2`` times that of g.
    For w**2 c <= 0.04 the relative error is below 3e-5; that of the sum over all k is below 2e-6,
    as w > 1 needs c <= 0.01. The ends, where g is below e**-20, change neither.
    """
    low, high = rate[0], rate[-1]
    first = np.floor(n * low - _TAIL * np.sqrt(n * low * (1.0 - low)) - 20.0 * (low < 0.5))
    last = np.ceil(n * high + _TAIL * np.sqrt(n * high * (1.0 - high)) + 20.0 * (high > 0.5))
    first, last = max(first, 0.0), min(max(last, n * high + 40.0), n)
    fewest = min(first * (n - first), last * (n - last)) / n
    if fewest >= _SMOOTH:
        w = max(1.0, np.floor(0.2 / np.sqrt(1.0 / fewest + curve)))
        k = first + w * np.arange(np.floor((last - first) / w) + 1.0)
        x = k / n
        log_ways = -k * np.log(x) - (n - k) * np.log1p(-x) - 0.5 * np.log(2 * np.pi * k * (1 - x))
        return k, w, log_ways
    k = np.arange(first, last + 1.0)
    return k, 1.0, -betaln(k + 1.0, n - k + 1.0) - np.log1p(n)


def _log(x: FloatArray, rest: FloatArray) -> FloatArray:
    """Log of x, which is 1 - rest, precise at both ends; 0 becomes a very small number."""
    return np.where(x < 0.5, np.log(np.maximum(x, 1e-300)), np.log1p(-np.minimum(rest, 0.6)))


@lru_cache(maxsize=8192)
def costs(n: float, value: float, s: float) -> Costs:
    """Lower bounds of ``-log E exp(-s T_b)`` for all rates around an output with n rows.

    The mean is computed at the rates of a grid. As a function of the rate, the mean of f(events)
    is a Bernstein polynomial; its second derivative is a mean of second differences of f, and for
    this f at least ``-2 s (n - 1) N``, where N is the mean of ``f(events + 1)`` for n - 2 rows (and
    N'' is at least ``-2 s (n - 1)``). That bounds how far the mean may exceed the chord of two grid
    points (``above``). The logarithm of a line, plus a convex function such as a gap, exceeds its
    larger end by at most ``bend``.
    """
    m = np.ceil(np.pi * np.sqrt(n) / _STEP)
    center, reach = np.arcsin(np.sqrt(value)), 0.5 * _REACH / np.sqrt(n)
    ends = np.clip(np.array([center - reach, center + reach]) * 2.0 * m / np.pi, 0.0, m)
    angle = np.arange(np.floor(ends[0]), np.ceil(ends[1]) + 1.0) * (0.5 * np.pi / m)
    rate, rest = np.sin(angle) ** 2, np.cos(angle) ** 2
    log_rate, log_rest = _log(rate, rest), _log(rest, rate)
    k, w, log_ways = _numbers(n, rate, 2.0 * s / n)
    terms = np.outer(log_rate - log_rest, k) + (n * log_rest)[:, None]
    terms = np.exp(terms + (log_ways - s / n * (k - n * value) ** 2))
    sparse = w * (1.0 + _SPARSE) if w > 1.0 else 1.0
    mean = sparse * terms.sum(axis=1)
    # Numbers of events outside: a tail by Chernoff's bound, times the largest f there.
    for edge in (k[0] - 1.0, k[-1] + 1.0):
        if 0.0 <= edge <= n:
            tail = xlogy(edge, edge / n) + xlogy(n - edge, 1.0 - edge / n)
            tail = edge * log_rate + (n - edge) * log_rest - tail
            mean += np.exp(tail - s / n * (edge - n * value) ** 2)
    inner = (
        sparse * (terms @ (k * (n - k))) * np.exp(-log_rate - log_rest) / (n * max(n - 1.0, 1.0))
    )
    tau = np.diff(rate) ** 2 * (0.25 * s * (n - 1.0))
    above = tau * (np.maximum(inner[:-1], inner[1:]) + tau)
    bend = (np.diff(mean) / (np.minimum(mean[:-1], mean[1:]) + above)) ** 2 / 8.0
    left, right = (np.log(ends + above) + bend for ends in (mean[:-1], mean[1:]))
    return Costs(rate, -np.maximum(np.append(left, -np.inf), np.append(-np.inf, right)))


def near_outputs(
    pairs: Pairs, low: FloatArray, high: FloatArray, s: float, failure: float
) -> Options:
    """The region of rates from T, where each is known to lie between ``low`` and ``high``, too.

    A T below what is usual for a calibrated model counts as usual: else the region may be empty.
    """
    kinds, kind = np.unique(np.stack(pairs[:2], axis=1), axis=0, return_inverse=True)
    tables = [costs(n, value, s) for value, n in kinds]
    size = max(len(t.rate) for t in tables)
    rate, cost = np.full((2, len(kinds), size), np.inf)
    for i, t in enumerate(tables):
        rate[i, : len(t.rate)], cost[i, : len(t.rate)] = t
    last = np.array([len(t.rate) - 1 for t in tables])[kind.ravel()]
    rate, cost, row = rate[kind.ravel()], cost[kind.ravel()], np.arange(len(low))
    # Grid points between the ends, and the next ones outside.
    inside = (rate > low[:, None]) & (rate < high[:, None])
    inside[:, 1:] |= (rate[:, :-1] < high[:, None]) & (rate[:, 1:] >= high[:, None])
    inside[:, :-1] |= (rate[:, :-1] <= low[:, None]) & (rate[:, 1:] > low[:, None])
    kept = np.where(inside, cost, np.inf)
    # Beyond the grid costs rise: as exp(-s T_b) has one mode in the events, so its mean has in the
    # rate (the binomial family is totally positive).
    beyond = np.stack((low < rate[:, 0], high > rate[row, last]), axis=1)
    outer = np.where(beyond, np.stack((cost[:, 0], cost[row, last]), axis=1), np.inf)
    rate = np.column_stack((np.where(np.isfinite(kept), rate, 0.0), low, high))
    squares = pairs.n * (pairs.events / pairs.n - pairs.value) ** 2
    v = (pairs.value * (1.0 - pairs.value))[pairs.at[0]]
    usual = v.sum() - 0.7 * np.sqrt(2.0 * (v**2).sum())
    budget = s * np.maximum(squares[pairs.at].sum(axis=1), usual) - np.log(failure)
    gap = np.abs(rate - pairs.value[:, None])
    return Options(gap, np.column_stack((kept, outer)), budget)
