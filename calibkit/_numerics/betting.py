"""Bets against the calibration of forecasts: a test martingale by mixing over maps and onsets.

A bettor starts with 1 and, before each label y, stakes everything at the odds of the forecast p
on another probability r: what it has is multiplied by r / p if y = 1, by (1 - r) / (1 - p) if not.
If the labels follow the forecasts the mean factor is 1, whatever r is, as long as it was chosen
before y. Here many bettors share the stake, each with log-odds ``logit(p) + delta`` of its own:
deltas that never change, maps ``slope * logit(p) + shift`` learnt by online Newton steps, and a
delta for each bin of p. The rest is cash, of which a part becomes stakes after every label.
"""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np

from .._typing import FloatArray
from .jit import helper, loop

#: Slopes and shifts of the bettors that never change their minds.
FIXED = (
    (0.0, -1.0), (0.0, -0.5), (0.0, -0.25), (0.0, 0.25), (0.0, 0.5), (0.0, 1.0),
    (-0.5, 0.0), (-0.25, 0.0), (0.4, 0.0), (1.0, 0.0),
)  # fmt: skip
#: Labels that the learning bettors remember, and those in a bin of the bettors by bins.
MEMORY, BIN_MEMORY = (200.0, 2000.0, 20_000.0), (50.0, 500.0, 5000.0)
#: Tenths, and finer where forecasts of rare events crowd.
BORDERS = np.array(
    [0.001, 0.003, 0.01, 0.03, *(np.arange(1, 10) / 10), 0.97, 0.99, 0.997, 0.999]
)  # fmt: skip
#: Information that the learners pretend to have of no miscalibration.
PRIOR, BIN_PRIOR = 5.0, 4.0
#: No bet moves the log-odds by more.
LIMIT = 20.0
N_BETS = 1 + len(FIXED) + len(MEMORY) + len(BIN_MEMORY)
#: How stakes are shared out: a third to each kind of bettor, about.
STAKES = (
    0.0,
    *(0.35 / len(FIXED) for _ in FIXED),
    *(0.35 / len(MEMORY) for _ in MEMORY),
    *(0.3 / len(BIN_MEMORY) for _ in BIN_MEMORY),
)
#: What is staked before the first label, and the labels until cash is down by a factor 1.7.
FIRST_STAKE, SLOWNESS = 0.25, 300.0


def first_weights() -> FloatArray:
    """Cash, then stakes."""
    weights = FIRST_STAKE * np.array(STAKES)
    weights[0] = 1.0 - FIRST_STAKE
    return weights


def first_maps() -> FloatArray:
    """For each learner of a map: slope, shift, and the Newton matrix's three numbers."""
    return np.tile([0.0, 0.0, PRIOR, 0.0, PRIOR], (len(MEMORY), 1))


def first_gaps() -> FloatArray:
    """For each learner by bins: the deltas of its bins, and their information behind them."""
    n_bins = len(BORDERS) + 1
    return np.tile(np.repeat([0.0, BIN_PRIOR], n_bins), (len(BIN_MEMORY), 1))


@helper
def grow(
    delta: float, p: float, low: float, high: float, tolerance: float, y: float
) -> tuple[float, float]:
    """Factor of a bettor who takes the log-odds to be ``logit(p) + delta``, and its probability.

    ``low`` and ``high`` are p with ``tolerance`` taken off or added to its log-odds: the worst
    that the null hypothesis allows. Who bets on less than that does not bet.
    """
    if delta > tolerance:
        q, d = high, exp(delta - tolerance)
    elif delta < -tolerance:
        q, d = low, exp(delta + tolerance)
    else:
        d = exp(delta)
        return 1.0, p * d / (1.0 - p + p * d)
    # No division by q or 1 - q, so forecasts next to 0 and 1 lose nothing.
    base = 1.0 - q + q * d
    return (d if y == 1.0 else 1.0) / base, q * d / base


@helper
def cut(delta: float) -> float:
    """A delta within the limits."""
    return min(max(delta, -LIMIT), LIMIT)


@helper
def learn_map(m: Any, e: float, z: float, memory: float) -> None:
    """Newton step for gradient e * (z, 1); the matrix forgets, but not its prior."""
    # ons.platt_stream takes the same step (gamma = 1), but in place in its loop and on the factors
    # of the matrix: sharing it would change bits, and with them alarms that have been saved.
    keep, prior = 1.0 - 1.0 / memory, PRIOR / memory
    g = e * z
    a = keep * m[2] + prior + e * e
    b = keep * m[3] + e * g
    c = keep * m[4] + prior + g * g
    det = a * c - b * b
    m[0] -= (a * g - b * e) / det
    m[1] -= (c * e - b * g) / det
    m[2], m[3], m[4] = a, b, c


@helper
def share(n: float) -> float:
    """Part of the cash that is staked after the n-th label.

    What is left has then shrunk by ``1 / (1 + log(1 + n / SLOWNESS))`` since the start.
    """
    return 1.0 - (1.0 + log(1.0 + (n - 1.0) / SLOWNESS)) / (1.0 + log(1.0 + n / SLOWNESS))


@helper
def settle(weights: Any, total: float, n: float) -> None:
    """Weights that sum to one, after some of the cash has been staked."""
    cash = weights[0] / total
    moved = share(n) * cash
    weights[0] = cash - moved
    for j in range(1, N_BETS):
        weights[j] = weights[j] / total + STAKES[j] * moved


@loop
def bet_stream(
    p: Any, low: Any, high: Any, z: Any, bins: Any, y: Any, out: Any,
    weights: Any, maps: Any, gaps: Any, clock: Any, tolerance: float,
) -> None:  # fmt: skip
    """Logarithm of the wealth after each label; NaN is no label.

    ``z`` are clipped log-odds of p. ``weights`` are the parts of the wealth, ``clock`` holds its
    logarithm and the number of labels.
    """
    log_wealth, n = clock
    n_fixed, n_maps, n_sets, n_bins = len(FIXED), len(MEMORY), len(BIN_MEMORY), len(BORDERS) + 1
    for i in range(len(p)):
        if y[i] == y[i]:
            total = weights[0]
            j = 1
            for k in range(n_fixed):
                delta = FIXED[k][0] * z[i] + FIXED[k][1]
                factor, r = grow(delta, p[i], low[i], high[i], tolerance, y[i])
                weights[j] *= factor
                total += weights[j]
                j += 1
            for k in range(n_maps):
                delta = cut(maps[k][0] * z[i] + maps[k][1])
                factor, r = grow(delta, p[i], low[i], high[i], tolerance, y[i])
                learn_map(maps[k], r - y[i], z[i], MEMORY[k])
                weights[j] *= factor
                total += weights[j]
                j += 1
            b = bins[i]
            for k in range(n_sets):
                delta = gaps[k][b]
                factor, r = grow(delta, p[i], low[i], high[i], tolerance, y[i])
                e, old = r - y[i], gaps[k][n_bins + b]
                information = old + (BIN_PRIOR - old) / BIN_MEMORY[k] + e * e
                gaps[k][b] = cut(delta - e / information)
                gaps[k][n_bins + b] = information
                weights[j] *= factor
                total += weights[j]
                j += 1
            log_wealth += log(total)
            n += 1.0
            settle(weights, total, n)
        out[i] = log_wealth
    clock[0], clock[1] = log_wealth, n
