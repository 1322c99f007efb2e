"""Calibeating: forecasts made right bin by bin (Foster 1999; Foster and Hart 2023)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import FloatArray, IntArray
from .jit import helper, loop


def means(count: FloatArray, total: FloatArray, middle: FloatArray, smoothing: float) -> FloatArray:
    """Mean label of bins, in which the middle counts as so many labels."""
    if smoothing > 0:
        return (total + smoothing * middle) / (count + smoothing)
    return np.where(count > 0, total / np.maximum(count, 1.0), middle)


def track(
    bins: IntArray,
    y: FloatArray,
    count: FloatArray,
    total: FloatArray,
    middle: FloatArray,
    smoothing: float,
) -> FloatArray:
    """For each row the mean of the labels before it in its bin, or the bin's middle if none.

    The middle counts as ``smoothing`` labels beside the others.
    ``y`` is NaN where there is no label. ``count`` and ``total`` of each bin are brought up to
    date in place. Sums of zeros and ones are exact, so no order of adding matters.
    """
    known = ~np.isnan(y)
    order = np.argsort(bins, kind="stable")
    sorted_bins = bins[order]
    n = np.cumsum(known[order], dtype=np.float64)
    s = np.cumsum(np.where(known, y, 0.0)[order])
    # What was there before a row: all earlier rows of the sorted order, less those of other bins.
    first = np.searchsorted(sorted_bins, np.arange(len(count) + 1))
    n0, s0 = np.append(0.0, n)[first], np.append(0.0, s)[first]
    before = np.append(0.0, n)[:-1] - n0[sorted_bins] + count[sorted_bins]
    sums = np.append(0.0, s)[:-1] - s0[sorted_bins] + total[sorted_bins]
    out = np.empty(len(y))
    out[order] = means(before, sums, middle[sorted_bins], smoothing)
    count += np.diff(n0)
    total += np.diff(s0)
    return out


@helper
def choose(count: Any, total: Any, start: int, m: int, pivot: int) -> tuple[int, float]:
    """What to play in a bin of the inner forecast: cell i surely, or i - 1 with a probability.

    A cell is right while the mean outcome of the rounds in which it was played lies in it.
    """
    n = count[start + pivot]
    p = total[start + pivot] / n if n > 0 else (pivot + 0.5) / m
    if pivot / m <= p and p <= (pivot + 1) / m:
        return pivot, 0.0
    low, chance = -1, 0.0
    for i in range(m):
        n = count[start + i]
        p = total[start + i] / n if n > 0 else (i + 0.5) / m
        deficit = i / m - p
        if deficit <= 0.0:
            if p <= (i + 1) / m:
                return i, 0.0
        elif low < 0:
            low = i
            # The mean of cell i - 1 lies above it: no cell before i is right, and none too low.
            excess = total[start + i - 1] / count[start + i - 1] - i / m
            chance = deficit / (deficit + excess)
    return low, chance


@loop
def hedge_stream(bins: Any, draws: Any, y: Any, out: Any, count: Any, total: Any, m: int) -> None:
    """Play a cell for each row, then count its outcome where there is a label.

    ``bins`` are those of the inner forecast, ``draws`` are uniform, ``out`` are the cells played;
    ``count`` and ``total`` have m cells for each of m bins.
    """
    for i in range(len(bins)):
        b = bins[i]
        cell, chance = choose(count, total, b * m, m, b)
        if draws[i] < chance:
            cell -= 1
        out[i] = cell
        if y[i] == y[i]:
            count[b * m + cell] += 1.0
            total[b * m + cell] += y[i]


@loop
def mix_stream(y: Any, forecasts: Any, out: Any, weights: Any, share: float) -> None:
    """Average forecasts by their past log loss, with a fixed share for each (Herbster, Warmuth
    1998); ``forecasts`` has a row of forecasts for every label."""
    k = len(weights)
    for i in range(len(y)):
        q = 0.0
        for j in range(k):
            q += weights[j] * forecasts[i][j]
        out[i] = min(q, 1.0)  # weights may sum to a bit more than one
        if y[i] != y[i]:
            continue
        total = 0.0
        for j in range(k):
            weights[j] *= forecasts[i][j] if y[i] == 1.0 else 1.0 - forecasts[i][j]
            total += weights[j]
        for j in range(k):
            # Where all called the label impossible, none is better than another.
            weights[j] = (1.0 - share) * weights[j] / total + share / k if total > 0 else 1.0 / k


_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def uniforms(seed: int, counts: FloatArray, values: FloatArray) -> FloatArray:
    """Numbers in [0, 1) that depend on a seed, on how many labels were seen and on a score.

    A hash (splitmix64, Steele, Lea, Flood 2014), not a generator with a state: asking twice gives
    the same, and a row's draw does not depend on its neighbours.
    """
    a, b, c = (np.uint64(v) for v in _MIX)
    with np.errstate(over="ignore"):
        h = np.full(len(counts), seed, dtype=np.uint64)
        # In single precision, since a score computed in another batch may differ in its last bit;
        # -0.0 + 0.0 is 0.0.
        for part in (counts, values.astype(np.float32) + np.float32(0.0)):
            h = (h ^ np.ascontiguousarray(part, dtype=np.float64).view(np.uint64)) + a
            h = (h ^ (h >> np.uint64(30))) * b
            h = (h ^ (h >> np.uint64(27))) * c
            h ^= h >> np.uint64(31)
    out: FloatArray = (h >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return out
