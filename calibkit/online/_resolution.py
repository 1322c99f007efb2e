"""How near to 0 and 1 scores of a stream are read: as far out as those learnt from before them.

As in ``fit`` of other calibrators (``Scores.resolution``): half the distance of the outermost score
that was not there itself, which is known of the rows before only; but .01 at most, so that what
few rows have not shown yet is not held against the next. Scores come as log-odds, or of many
classes as logarithms; ``met`` are the smallest and the largest, which `NOTHING` begins.
"""

from __future__ import annotations

import numpy as np

from .._core.scores import SATURATED
from .._typing import FloatArray

#: Log-odds and logarithms of scores lie within, by the smallest ``eps`` that is allowed.
LIMIT = 35.0
#: Nearer than this no score is read: regret bounds hold for bounded features.
NEAREST = 1e-5
NOTHING = (LIMIT, -LIMIT)

_FAR = float(np.log((1.0 - NEAREST) / NEAREST))
#: Log-odds, and logarithms, of scores that are at 0 or 1 or next to it.
_END, _LOG_END = float(-np.log(SATURATED)) - 1e-3, float(np.log(SATURATED)) + 1e-3
#: Log-odds of .02, and its logarithm: half of it is what scores are always read to.
_INNER, _LOG_INNER = float(np.log(0.02 / 0.98)), float(np.log(0.02))
#: Rows that are looked at together: few of them bring a score farther out than all before.
_BLOCK = 2048
_HALF = float(np.log(2.0))
#: No forecast is nearer to 0 or 1, by the last bit: its loss would be infinite.
SUREST = 2.0**-53, 1.0 - 2.0**-53


def _low_end(smallest: FloatArray) -> FloatArray:
    """Log-odds of half the probability: o / (2 + o) are the odds of half of o / (1 + o)."""
    low = np.maximum(smallest - np.log(2.0 + np.exp(smallest)), -_FAR)
    return np.where(smallest >= LIMIT, -_FAR, low)


def within(z: FloatArray, met: FloatArray) -> FloatArray:
    """Log-odds of scores, no farther out than by what was met."""
    low, high = met
    if not len(z) or (z.min() >= low and z.max() <= high):
        return z
    return np.clip(z, *_ends_of(met))


def within_so_far(z: FloatArray, y: FloatArray, met: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same of each row by those before it that have labels, and what was met in the end."""
    (low, high), out = met, z
    ends = _ends_of(met)
    for start in range(0, len(z), _BLOCK):
        rows = slice(start, start + _BLOCK)
        part = z[rows]
        if part.min() >= low and part.max() <= high:
            continue
        out = z.copy() if out is z else out
        # A score at 0 or 1 says nothing of how near one may come.
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
    """The lower end of each row, of runs of one value at a time."""
    starts = np.flatnonzero(np.append(True, smallest[1:] != smallest[:-1]))
    return np.repeat(_low_end(smallest[starts]), np.diff(np.append(starts, len(smallest))))


def logs_within_so_far(
    logs: FloatArray, y: FloatArray, met: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The same of logarithms of K probabilities, which have a lower end only."""
    inner = np.where(logs <= _LOG_END, 0.0, logs).min(axis=1)
    lows = np.where(y == y, np.minimum(inner, _LOG_INNER), LIMIT)
    lows = np.minimum.accumulate(np.append(met[0], lows))
    ends = _low_ends(lows[:-1], logs.shape[1])
    return np.maximum(logs, ends[:, None]), np.array([lows[-1], met[1]])


def logs_within(logs: FloatArray, met: FloatArray) -> FloatArray:
    """Logarithms of K probabilities, no smaller than by what was met."""
    return np.maximum(logs, _low_ends(met[:1], logs.shape[1]))


def _low_ends(smallest: FloatArray, k: int) -> FloatArray:
    most = min(-np.log(2.0 * k), _LOG_INNER - _HALF)  # below 1 / K: no winner is reached
    least = min(float(np.log(NEAREST)), most)
    return np.where(smallest >= LIMIT, least, np.clip(smallest - _HALF, least, most))


def check_met(met: FloatArray) -> None:
    """Raise unless a file's state can have been met."""
    if met.shape != (2,) or not (np.abs(met) <= LIMIT).all():
        raise ValueError("met_ does not hold two log-odds of scores")
    if met[0] > met[1] > -LIMIT:  # of many classes there is a smallest only
        raise ValueError("met_ holds a smallest score above the largest")
