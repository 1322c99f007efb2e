"""Calibration errors without the upward bias that sampling noise gives to binned ones.

A bin of rows with differences d = score - label has the mean gap D/W, whose square (or size) is on
average larger than that of the true gap, by the noise of the mean. The estimators here take sums
per bin, so they work for rows and tables alike. Weights are sampling weights; rows that are counted
come with sums of squares as if each stood there by itself, so one formula serves both.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from .._typing import FloatArray, IntArray
from .binning import BinSums
from .weights import effective_count

#: Which noise is allowed for: that of score minus label, or that of the labels alone.
NOISES = ("differences", "labels")


#: Two rows, less what rounding may take off.
_TWO = 2.0 * (1.0 - 1e-9)


def merged_starts(w: FloatArray, w2: FloatArray | None = None) -> IntArray:
    """First bins of runs worth at least two rows each: small bins join their neighbours.

    One row says nothing of its own noise, so no correction exists for a bin of one; to leave such
    bins out would call the error of a model zero where every row has a score of its own. ``w2`` are
    the sums of squared weights, None where weights count rows.
    """
    known = "" if w2 is None else ", by their weights"
    w2 = w if w2 is None else w2
    if effective_count(w.sum(), w2.sum()) < _TWO:
        raise ValueError(f"fewer than two rows{known}, which show no noise to correct for")
    if (effective_count(w, w2) >= _TWO).all():
        return np.arange(len(w))
    runs: list[tuple[int, float, float]] = []  # first bin, weight, squared weight

    def enough() -> bool:
        return not runs or runs[-1][1] ** 2 >= _TWO * runs[-1][2]

    for i, (a, b) in enumerate(zip(w.tolist(), w2.tolist(), strict=True)):
        if a > 0 and enough():
            runs.append((i, a, b))
        elif runs:
            start, held, held2 = runs[-1]
            runs[-1] = start, held + a, held2 + b
    while not enough():  # what is left over goes to the run before
        _, a, b = runs.pop()
        start, held, held2 = runs[-1]
        runs[-1] = start, held + a, held2 + b
    return np.array([0, *(start for start, _, _ in runs[1:])])


def merge_small(sums: BinSums) -> BinSums:
    """Sums of bins worth at least two rows each."""
    starts = merged_starts(sums.w, sums.w2)
    if len(starts) == len(sums.w):
        return sums
    joined = (None if a is None else np.add.reduceat(a, starts) for a in sums)
    return BinSums(*joined)  # type: ignore[arg-type]


def noise_variance(sums: BinSums, noise: str) -> FloatArray:
    """Variance of each bin's mean gap, as pairs of different rows show it.

    With the share r = sum w^2 / (sum w)^2 of pairs of a row with itself, the weighted mean product
    of two rows is g^2 - v with v = (sum w^2 d^2 / (sum w)^2 - r g^2) / (1 - r). Where weights go
    with the differences, a v below 0 may come out.
    """
    size = np.where(sums.w > 0, sums.w, 1.0)
    w2, _, _, w2yy = sums.squares()
    if noise == "labels":
        mean, squares = sums.wy / size, w2yy
    else:
        assert sums.w2dd is not None
        mean, squares = (sums.wp - sums.wy) / size, sums.w2dd
    r = w2 / size / size
    return (squares / size / size - r * mean * mean) / np.where(r < 1.0 - 1e-9, 1.0 - r, 1.0)


def squared_error(sums: BinSums, noise: str) -> FloatArray:
    """Unbiased squared l2 error, over the last axis; may be negative.

    Of differences it is the mean product of two different rows of a bin,
    (D^2 - sum w^2 d^2) / (W^2 - sum w^2) with D = sum w d and W = sum w.
    """
    w = sums.w
    gap = (sums.wp - sums.wy) / np.where(w > 0, w, 1.0)
    return (w * (gap * gap - noise_variance(sums, noise))).sum(axis=-1) / w.sum(axis=-1)


def folded_mean(gap: FloatArray, sd: FloatArray) -> FloatArray:
    """Mean size of a normal variable with this mean and standard deviation."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(sd > 0, gap / sd, np.inf)
    density = np.exp(-0.5 * z * z) * np.sqrt(2.0 / np.pi)
    return sd * density + np.abs(gap) * (2.0 * ndtr(np.abs(z)) - 1.0)


def absolute_error(sums: BinSums, noise: str) -> FloatArray:
    """l1 error less its estimated bias: twice the plug-in less its mean under normal noise.

    Reduces the bias, does not remove it: no unbiased estimate of a size exists. May be negative.
    """
    w = sums.w
    total = np.where(w > 0, w, 1.0)
    gap = np.abs(sums.wp - sums.wy) / total
    variance = np.maximum(noise_variance(sums, noise), 0.0)
    if noise == "labels":
        variance = variance * (1.0 - sums.squares()[0] / total / total)  # as published
    size = 2.0 * gap - folded_mean(gap, np.sqrt(variance))
    return (w * size).sum(axis=-1) / w.sum(axis=-1)
