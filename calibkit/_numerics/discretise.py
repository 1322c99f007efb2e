"""What it costs to replace probabilities by the means of bins, and how few bins will do."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray
from .binning import ROUNDING, bin_starts, kept_clear, tie_starts
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
    """Sorted probabilities g that bins replace by their means, narrow where that costs much.

    To replace g by a value d apart costs ``d^2 / (2 g (1 - g))``, in ``asin(sqrt(g))`` as much
    everywhere. B bins then cost the least if their density is the cube root of that of the rows.
    """

    def __init__(self, g_sorted: FloatArray, w_sorted: FloatArray | None, n_rows: float) -> None:
        self.g, self.w, self.n_rows = g_sorted, w_sorted, n_rows
        weight = np.ones(len(g_sorted)) if w_sorted is None else w_sorted
        self._fine = weight * negative_entropy(g_sorted)
        first = tie_starts(g_sorted, ROUNDING)
        self._low, self._high = g_sorted[first[1:] - 1], g_sorted[first[1:]]
        mass = np.add.reduceat(weight, first)
        angle = np.arcsin(np.sqrt(np.minimum(g_sorted[first], 1.0)))
        # Between two neighbors: the cube root of their mass, times the length to the power 2/3.
        self._room = np.cumsum(np.cbrt((mass[1:] + mass[:-1]) * np.diff(angle) ** 2))

    def borders(self, n_bins: int) -> FloatArray:
        """Inner borders of at most so many bins; ties stay together."""
        if len(self._room) == 0:
            return np.empty(0)
        share = np.arange(1, n_bins) / n_bins
        at = np.unique(np.searchsorted(self._room, share * self._room[-1]))
        return kept_clear(self._high[at], self._low[at], self._high[at])

    def cost(self, n_bins: int) -> float:
        """Log loss that the bins cost new rows, were g true.

        It is the mean divergence of g from its bin's mean, ``mean(h(g)) - sum_b w_b h(mean_b)``
        with h the negative entropy. To second order that is the variance of g inside the bins, so
        in a bin of m rows it comes out too small by (m - 1) / (m + 1): the mean was fitted to
        them.
        """
        borders = self.borders(n_bins)
        mean, weight = bin_means(self.g, self.w, borders)
        fine = np.add.reduceat(self._fine, bin_starts(self.g, borders))
        lost = np.maximum(fine - weight * negative_entropy(mean), 0.0)
        rows = np.maximum(weight * (self.n_rows / weight.sum()), 2.0)
        return float(lost @ ((rows + 1.0) / (rows - 1.0)) / weight.sum())

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
