"""Bets on the running mean of bounded differences, and the interval that they leave."""

from __future__ import annotations

import math

import numpy as np

from .._typing import FloatArray

_SIZES = 2.0 ** np.arange(-10.0, 6.0)
#: Stakes per unit of difference: negative ones bet that the mean is below 0.
STAKES = np.concatenate((-_SIZES[::-1], _SIZES))
_PRIOR = 1.0 / (2.0 + np.abs(np.log2(np.abs(STAKES)))) ** 2
#: Places of the bets that the mean is below 0, and above 0.
BELOW, ABOVE = slice(0, len(_SIZES)), slice(len(_SIZES), None)
#: Logarithms of the bets' shares of the first wealth of 1. Each sign has a half.
LOG_SHARES = np.log(_PRIOR / _PRIOR.sum())
#: Largest fraction of its wealth that a bet can lose by one difference.
MOST_LOST = 0.75


def log_factors(d: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Log of the factors of the bets, one row per difference d, which is from ``low`` to ``high``.

    For a stake s and any c that is known before d, ``exp(s * c) * (1 + s * (d - c))`` has a mean of
    at most ``exp(s * E[d])``, because ``1 + x <= exp(x)``. c is 0 unless the bet could lose more
    than ``MOST_LOST``. No factor is above ``exp(s * d)``, for the same reason.
    """
    x = d[:, None] * STAKES
    worst = np.minimum(low[:, None] * STAKES, high[:, None] * STAKES)
    shift = np.minimum(worst + MOST_LOST, 0.0)
    return shift + np.log1p(x - shift)


def log_wealth(
    logs: FloatArray, total: float | FloatArray = 0.0, bets: slice = slice(None)
) -> FloatArray:
    """Log of the wealth of some bets if the expected differences sum to ``total``."""
    each = (logs + LOG_SHARES - STAKES * total)[..., bets]
    most = each.max(axis=-1)
    out: FloatArray = most + np.log(np.exp(each - most[..., None]).sum(axis=-1))
    return out


def interval(logs: FloatArray, total: float, log_limit: float) -> tuple[float, float]:
    """Sums of expected differences at which the wealth is below a limit above 1.

    At the observed ``total`` no bet has gained, and the logarithm of the wealth is convex.
    """
    # At an outer end one bet alone reaches the limit.
    alone = (logs + LOG_SHARES - log_limit) / STAKES
    outer = np.array([alone[ABOVE].max(), alone[BELOW].min()])
    inner = np.full(2, total)
    for _ in range(60):
        middle = 0.5 * (inner + outer)
        inside = log_wealth(logs, middle[:, None]) < log_limit
        inner, outer = np.where(inside, middle, inner), np.where(inside, outer, middle)
    return float(outer[0]), float(outer[1])


def log_range(n: int, total: float, most: float) -> tuple[FloatArray, FloatArray]:
    """Bounds of the logarithms of n rows' factors; ``most`` is n times the largest difference."""
    size = np.abs(STAKES)
    slack = 1e-9 * (1.0 + size * most)
    return n * math.log(1.0 - MOST_LOST) - size * most - slack, STAKES * total + slack
