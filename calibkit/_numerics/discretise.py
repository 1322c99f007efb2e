"""What it costs to replace probabilities by the means of bins, and how few bins will do."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray
from .binning import bin_starts, kept_clear, mass_borders
from .links import row_blocks

#: Keeps logarithms finite where a factor of 0 stands before them anyway.
_TINY = float(np.finfo(np.float64).tiny)


def _log(p: FloatArray) -> FloatArray:
    return np.log(np.maximum(p, _TINY))


def negative_entropy(g: FloatArray) -> FloatArray:
    """``g log g + (1 - g) log(1 - g)`` in nats."""
    return g * _log(g) + (1.0 - g) * _log(1.0 - g)


def mean_divergence(g: FloatArray, p: FloatArray, w: FloatArray | None) -> float:
    """Mean Kullback-Leibler divergence of p from g: what g would gain in log loss, were it true."""
    total = 0.0
    for rows in row_blocks(len(g)):
        a, b = g[rows], p[rows]
        gain = a * (_log(a) - _log(b)) + (1.0 - a) * (_log(1.0 - a) - _log(1.0 - b))
        total += float(gain.sum() if w is None else gain @ w[rows])
    return total / (len(g) if w is None else float(w.sum()))


def bin_means(
    g_sorted: FloatArray, w_sorted: FloatArray | None, borders: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean and weight of each bin of sorted values; the bins must not be empty."""
    starts = bin_starts(g_sorted, borders)
    if w_sorted is None:
        weight = np.diff(np.append(starts, len(g_sorted))).astype(np.float64)
        total = np.add.reduceat(g_sorted, starts)
    else:
        weight = np.add.reduceat(w_sorted, starts)
        total = np.add.reduceat(w_sorted * g_sorted, starts)
    # Rounding must not push a mean out of its bin.
    ends = np.append(starts[1:], len(g_sorted)) - 1
    return np.clip(total / weight, g_sorted[starts], g_sorted[ends]), weight


def centred_borders(g_sorted: FloatArray, borders: FloatArray, mean: FloatArray) -> FloatArray:
    """Borders moved inside the gaps between the bins, to where both means cost the same.

    A new value in a gap then gets the better of the two means; rows with few values leave wide
    gaps. Values that were sorted stay in their bins.
    """
    first = bin_starts(g_sorted, borders)[1:]
    low, high = g_sorted[first - 1], g_sorted[first]
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.log(mean[1:] / mean[:-1])
        down = np.log((1.0 - mean[:-1]) / (1.0 - mean[1:]))
        even = down / (up + down)
    even = np.where(np.isfinite(even), even, 0.5 * low + 0.5 * high)
    return kept_clear(even, low, high)


class Coarsening:
    """Sorted probabilities g of which bins of equal mass keep the means."""

    def __init__(self, g_sorted: FloatArray, w_sorted: FloatArray | None, n_rows: float) -> None:
        self.g, self.w, self.n_rows = g_sorted, w_sorted, n_rows
        fine = negative_entropy(g_sorted)
        self._mean_fine = float(np.average(fine, weights=w_sorted))

    def cost(self, n_bins: int) -> float:
        """Log loss that the bins cost new rows, were g true.

        It is the mean divergence of g from its bin's mean, ``mean(h(g)) - sum_b w_b h(mean_b)``
        with h the negative entropy. To second order that is the variance of g inside the bins, so
        from m rows a bin it comes out too small by (m - 1) / (m + 1): the mean was fitted to
        them.
        """
        borders = mass_borders(self.g, self.w, n_bins)
        mean, weight = bin_means(self.g, self.w, borders)
        coarse = float(np.average(negative_entropy(mean), weights=weight))
        per_bin = max(self.n_rows / (len(borders) + 1), 2.0)
        return max(self._mean_fine - coarse, 0.0) * (per_bin + 1.0) / (per_bin - 1.0)

    def fewest(self, tolerance: float, most: int) -> int:
        """Fewest bins that cost at most the tolerance, or the most allowed.

        By halving: but for ripples the cost falls with the number of bins.
        """
        low, high = 0, 1
        while high < most and self.cost(high) > tolerance:
            low, high = high, 2 * high
        high = min(high, most)
        while high - low > 1:
            middle = (low + high) // 2
            if self.cost(middle) > tolerance:
                low = middle
            else:
                high = middle
        return high
