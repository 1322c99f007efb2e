"""Clip scores of a stream near 0 and 1, no farther out than the scores seen before.

As in ``fit`` of other calibrators (``Scores.resolution``), a score is clipped at half the distance
from 0 (or 1) of the nearest score that is not exactly 0 (or 1). Only earlier rows count, and this
limit is at most .01, so that the first rows do not clip too much. Scores are log-odds, or
logarithms for K classes. ``met`` holds the smallest and the largest; ``NOTHING`` is its initial
value.
"""

from __future__ import annotations

import numpy as np

from .._core.scores import SATURATED
from .._typing import FloatArray

#: Bound of log-odds and logarithms of scores, from the smallest ``eps`` that is allowed.
LIMIT = 35.0
#: Scores are always clipped at this distance: regret bounds need bounded features.
NEAREST = 1e-5
NOTHING = (LIMIT, -LIMIT)

_FAR = float(np.log((1.0 - NEAREST) / NEAREST))
#: Log-odds, and logarithms, of scores that count as 0 or 1.
_END, _LOG_END = float(-np.log(SATURATED)) - 1e-3, float(np.log(SATURATED)) + 1e-3
#: Log-odds of .02, and its logarithm: scores are never clipped at more than half of it.
_INNER, _LOG_INNER = float(np.log(0.02 / 0.98)), float(np.log(0.02))
#: Rows handled at once: few rows have a more extreme score than all rows before.
_BLOCK = 2048
_HALF = float(np.log(2.0))
#: Forecasts are clipped to this range, so that no loss is infinite.
SUREST = 2.0**-53, 1.0 - 2.0**-53


def _low_end(smallest: FloatArray) -> FloatArray:
    """Return the log-odds of half the probability: half of o / (1 + o) has the odds o / (2 + o)."""
    low = np.maximum(smallest - np.log(2.0 + np.exp(smallest)), -_FAR)
    return np.where(smallest >= LIMIT, -_FAR, low)


def within(z: FloatArray, met: FloatArray) -> FloatArray:
    """Clip log-odds to the limits that follow from ``met``."""
    low, high = met
    if not len(z) or (z.min() >= low and z.max() <= high):
        return z
    return np.clip(z, *_ends_of(met))


def within_so_far(z: FloatArray, y: FloatArray, met: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Clip each row by the labeled rows before it; also return the final ``met``."""
    (low, high), out = met, z
    ends = _ends_of(met)
    for start in range(0, len(z), _BLOCK):
        rows = slice(start, start + _BLOCK)
        part = z[rows]
        if part.min() >= low and part.max() <= high:
            continue
        out = z.copy() if out is z else out
        # A score of exactly 0 or 1 does not show how close other scores can be.
        inner = np.where(np.abs(part) >= _END, 0.0, part)
        if inner.min() < low or inner.max() > high:
            known = y[rows] == y[rows]
            lows = np.where(known, np.clip(inner, -_FAR, _INNER), LIMIT)
            highs = np.where(known, np.clip(inner, -_INNER, _FAR), -LIMIT)
            lows = np.minimum.accumulate(np.append(low, lows))
            highs = np.maximum.accumulate(np.append(high, highs))
            low, high = lows[-1], highs[-1]
            out[rows] = np.clip(part, _low_ends_of(lows[:-1]), -_low_ends_of(-highs[:-1]))
            ends = _ends_of(np.array([low, high]))
        else:
            out[rows] = np.clip(part, *ends)
    return out, np.array([low, high])


def _ends_of(met: FloatArray) -> tuple[FloatArray, FloatArray]:
    return _low_end(met[:1]), -_low_end(-met[1:])


def _low_ends_of(smallest: FloatArray) -> FloatArray:
    """Return the lower limit of each row; equal neighbors are computed once."""
    starts = np.flatnonzero(np.append(True, smallest[1:] != smallest[:-1]))
    return np.repeat(_low_end(smallest[starts]), np.diff(np.append(starts, len(smallest))))


def logs_within_so_far(
    logs: FloatArray, y: FloatArray, met: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Do the same for logarithms of K probabilities, which have only a lower limit."""
    inner = np.where(logs <= _LOG_END, 0.0, logs).min(axis=1)
    lows = np.where(y == y, np.minimum(inner, _LOG_INNER), LIMIT)
    lows = np.minimum.accumulate(np.append(met[0], lows))
    ends = _low_ends(lows[:-1], logs.shape[1])
    return np.maximum(logs, ends[:, None]), np.array([lows[-1], met[1]])


def logs_within(logs: FloatArray, met: FloatArray) -> FloatArray:
    """Clip logarithms of K probabilities to the lower limit that follows from ``met``."""
    return np.maximum(logs, _low_ends(met[:1], logs.shape[1]))


def _low_ends(smallest: FloatArray, k: int) -> FloatArray:
    most = min(-np.log(2.0 * k), _LOG_INNER - _HALF)  # below 1 / K: the winner is not clipped
    least = min(float(np.log(NEAREST)), most)
    return np.where(smallest >= LIMIT, least, np.clip(smallest - _HALF, least, most))


def check_met(met: FloatArray) -> None:
    """Raise unless a ``met_`` from a file is possible."""
    if met.shape != (2,) or not (np.abs(met) <= LIMIT).all():
        raise ValueError("met_ does not contain two log-odds")
    if met[0] > met[1] > -LIMIT:  # for K classes met_ has only a smallest score
        raise ValueError("the smallest score in met_ is above the largest")
