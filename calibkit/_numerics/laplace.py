"""Sums of products of residuals over all pairs of rows, weighted by a Laplace kernel."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray

#: Exponents up to this, and so many rows, are added up together; exp(700) overflows.
_REACH, _ROWS = 300.0, 1 << 15
#: Distances between so many quantiles of the scores give the bandwidth.
_QUANTILES = 500


def pair_sum(x: FloatArray, r: FloatArray, bandwidth: float) -> FloatArray:
    """``sum_jk r_j r_k exp(-|x_j - x_k| / bandwidth)`` over the last axis, of ascending x.

    Exact, in one pass: what all smaller x contribute at x_j is a running sum, scaled down from one
    x to the next.
    """
    z = x / bandwidth
    steps = np.flatnonzero(np.diff(np.floor((z - z[0]) / _REACH))) + 1
    starts = np.union1d(np.arange(0, len(z), _ROWS), steps)
    total = np.einsum("...j,...j->...", r, r)
    before, last = np.zeros(r.shape[:-1]), z[0]
    for start, stop in zip(starts, np.append(starts[1:], len(z)), strict=True):
        up = np.exp(z[start:stop] - z[start])
        part = r[..., start:stop]
        sums = np.cumsum(part * up, axis=-1)
        reached = before * np.exp(last - z[start])
        below = (sums - part * up + reached[..., None]) / up
        total = total + 2.0 * np.einsum("...j,...j->...", part, below)
        before, last = (sums[..., -1] + reached) / up[-1], z[stop - 1]
    return np.asarray(total)


def median_distance(x: FloatArray, w: FloatArray, n: int) -> float:
    """Median distance between scores: of all pairs of up to 500 rows, or of 500 quantiles.

    Where most pairs are tied it is the median of the others, and 1 where all are.
    """
    m = min(n, _QUANTILES)
    cumulative = np.cumsum(w)
    aim = (np.arange(m) + 0.5) * (cumulative[-1] / m) * (1.0 - 1e-12)
    at = np.minimum(np.searchsorted(cumulative, aim), len(x) - 1)
    i, j = np.triu_indices(m, 1)
    distance = x[at[j]] - x[at[i]]
    middle = float(np.median(distance)) if len(distance) else 0.0
    if middle <= 0.0:
        distance = distance[distance > 0.0]
        middle = float(np.median(distance)) if len(distance) else 1.0
    return middle
