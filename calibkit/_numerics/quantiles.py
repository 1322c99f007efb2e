"""Quantiles of weighted numbers, as a line of a score, and with mass at infinity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._typing import FloatArray

#: Each step of the golden section keeps this part of the bracket.
_GOLDEN = (5.0**0.5 - 1.0) / 2.0
#: Steps after which a bracket is down to the last bits.
_STEPS = 100


def quantile(values: FloatArray, beta: float, w: FloatArray | None = None) -> float:
    """Smallest value with a share of at least beta at or below it."""
    slack = 1.0 - 1e-12  # sums of weights are rounded
    if w is None:
        k = max(int(np.ceil(beta * len(values) * slack)), 1) - 1
        return float(np.partition(values, k)[k])
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(w[order])
    at = np.searchsorted(cumulative, beta * cumulative[-1] * slack)
    return float(values[order][min(at, len(values) - 1)])


def quantile_with_infinity(values: FloatArray, mass: FloatArray, beta: float) -> float:
    """Beta-quantile of values with these masses, whose sum is below 1; the rest is at infinity."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(mass[order])
    at = int(np.searchsorted(cumulative, beta - 1e-12))
    return float(values[order][at]) if at < len(values) else np.inf


def quantile_line(
    z: FloatArray, t: FloatArray, beta: float, w: FloatArray | None = None
) -> tuple[float, float]:
    """Slope and intercept of the line that minimises the pinball loss of t at level beta.

    Quantile regression with one regressor: for a given slope the best intercept is a quantile of
    ``t - slope * z``, and the loss so reached is convex in the slope, since a partial minimum of a
    convex function is convex. A golden section finds its minimum in 100 passes of O(n).
    Scores that are all equal leave the slope at 0.
    """
    centre = quantile(z, 0.5, w)
    distance = np.abs(z - centre)
    unit_z = quantile(distance, 0.5, w) or float(distance.mean())
    unit_t = float(np.ptp(t))
    if unit_z == 0 or unit_t == 0:
        return 0.0, quantile(t, beta, w)
    x, u = (z - centre) / unit_z, (t - t.min()) / unit_t

    def loss(slope: float) -> float:
        r = u - slope * x
        r -= quantile(r, beta, w)
        each = np.maximum(beta * r, (beta - 1.0) * r, out=r)
        return float(each.sum() if w is None else each @ w)

    slope = _convex_minimum(loss) * unit_t / unit_z
    return slope, quantile(t - slope * (z - centre), beta, w) - slope * centre


def _convex_minimum(loss: Callable[[float], float]) -> float:
    """Where a convex function, not flat to either side, is smallest."""
    end = 1.0
    while end < 1e15 and min(loss(end) - loss(end / 2), loss(-end) - loss(-end / 2)) <= 0:
        end *= 4.0
    low, high = -end, end
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_a, at_b = loss(a), loss(b)
    for _ in range(_STEPS):
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - _GOLDEN * (high - low)
            at_a = loss(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + _GOLDEN * (high - low)
            at_b = loss(b)
    return a if at_a <= at_b else b
