"""Calibration errors without the upward bias that sampling noise gives to binned ones.

A bin of n rows with differences d = score - label has the mean gap D/n, whose square (or size)
is on average larger than that of the true gap, by the noise of the mean. The estimators here take
sums per bin, so they work for rows and tables alike; weights count rows.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from .binning import BinSums
from .links import FloatArray, IntArray

#: Which noise is allowed for: that of score minus label, or that of the labels alone.
NOISES = ("differences", "labels")


def as_counts(sums: BinSums, w2: float | None = None) -> BinSums:
    """The same sums with weights that count rows: scaled up where they sum to too little.

    ``w2`` is the sum of squared weights, None for unweighted rows.
    """
    if w2 is None:
        return sums
    total = float(sums.w.sum())
    factor = max(total, total * total / w2) / total
    if factor == 1.0:
        return sums
    wdd = None if sums.wdd is None else factor * sums.wdd
    return BinSums(sums.n, factor * sums.w, factor * sums.wp, factor * sums.wy, wdd)


def merged_starts(n: FloatArray) -> IntArray:
    """First bins of runs that hold at least two rows each: small bins join their neighbours.

    One row says nothing of its own noise, so no correction exists for a bin of one; to leave such
    bins out would call the error of a model zero where every row has a score of its own.
    """
    if n.sum() < 2:
        raise ValueError("fewer than two rows, which show no noise to correct for")
    if (n >= 2).all():
        return np.arange(len(n))
    starts, held = [], 2.0
    for i, size in enumerate(n.tolist()):
        if size > 0 and held >= 2:
            starts.append(i)
            held = 0.0
        held += size
    if held < 2:  # what is left over goes to the run before
        starts.pop()
    starts[0] = 0
    return np.array(starts)


def merge_small(sums: BinSums) -> BinSums:
    """Sums of bins of at least two rows each."""
    starts = merged_starts(sums.w)
    if len(starts) == len(sums.w):
        return sums

    def joined(values: FloatArray | IntArray) -> FloatArray:
        return np.add.reduceat(values, starts)

    wdd = None if sums.wdd is None else joined(sums.wdd)
    return BinSums(joined(sums.n), joined(sums.w), joined(sums.wp), joined(sums.wy), wdd)  # type: ignore[arg-type]


def noise_variance(sums: BinSums, noise: str) -> FloatArray:
    """Unbiased variance of each bin's mean gap."""
    n = np.maximum(sums.w, 1.0)
    others = np.maximum(n - 1.0, 1.0)
    if noise == "labels":
        share = sums.wy / n
        return share * (1.0 - share) / others
    assert sums.wdd is not None
    gap = (sums.wp - sums.wy) / n
    return np.maximum(sums.wdd / n - gap * gap, 0.0) / others


def squared_error(sums: BinSums, noise: str) -> FloatArray:
    """Unbiased squared l2 error, over the last axis; may be negative.

    Of differences it is the mean product of two different rows of a bin, since
    D^2/n^2 - s^2/n = (D^2 - sum d^2) / (n (n - 1)) with s^2 the sample variance of d.
    """
    n = sums.w
    gap = (sums.wp - sums.wy) / np.maximum(n, 1.0)
    return (n * (gap * gap - noise_variance(sums, noise))).sum(axis=-1) / n.sum(axis=-1)


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
    n = sums.w
    gap = np.abs(sums.wp - sums.wy) / np.maximum(n, 1.0)
    variance = noise_variance(sums, noise)
    if noise == "labels":
        variance = variance * np.maximum(n - 1.0, 1.0) / np.maximum(n, 1.0)  # as published
    size = 2.0 * gap - folded_mean(gap, np.sqrt(variance))
    return (n * size).sum(axis=-1) / n.sum(axis=-1)
