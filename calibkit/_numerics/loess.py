"""Local linear regression on the scores, as a matrix, so that many label sets cost one product."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._typing import FloatArray

#: Slopes are fitted where the scores in the window spread by this part of its width, or more.
_FLAT = 1e-6
#: Halvings of an interval of length one, down to rounding.
_BISECTIONS = 52


def local_lines(
    x: FloatArray, w: FloatArray, span: float
) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """Return ``(weights, residuals) -> local lines at x`` of residuals that are sums over cells.

    Windows hold the ``span`` of the weight ``w`` nearest to each score, under tricube weights
    (Cleveland 1979). Lines are fitted, so the line of residuals 0 is 0.
    """
    width = _widths(x, w, span)
    # A score that holds the span by itself is its own window.
    near = np.where(width > 0, width, 1.0)
    away = (x[:, None] - x) / near
    kernel = np.clip(1.0 - np.abs(away) ** 3, 0.0, None) ** 3
    kernel = np.where(width > 0, kernel, away == 0)
    first, second = kernel * away, kernel * away * away

    def lines(weight: FloatArray, residual: FloatArray) -> FloatArray:
        if weight.ndim > 1 and weight.strides[0] == 0:  # the same for all sets
            weight = weight[0]
        total = np.maximum(weight @ kernel, 1e-300)
        center = weight @ first / total
        spread = weight @ second / total - center * center
        mean = residual @ kernel / total
        flat = spread <= _FLAT**2
        slope = (residual @ first / total - mean * center) / np.where(flat, 1.0, spread)
        return np.asarray(mean - np.where(flat, 0.0, slope) * center)

    return lines


def _widths(x: FloatArray, w: FloatArray, span: float) -> FloatArray:
    """Distance of the farthest score in each window, by bisection."""
    before = np.concatenate(([0.0], np.cumsum(w)))
    target = span * (1.0 - 1e-12) * before[-1]
    low, high = np.full(len(x), -1.0), np.maximum(x - x[0], x[-1] - x)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        first = np.searchsorted(x, x - middle)
        last = np.searchsorted(x, x + middle, side="right")
        enough = before[np.maximum(last, first)] - before[first] >= target
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    first = np.searchsorted(x, x - high)
    last = np.searchsorted(x, x + high, side="right") - 1
    return np.maximum(x - x[np.minimum(first, len(x) - 1)], x[last] - x)


def summary(gap: FloatArray, w: FloatArray, share: float) -> FloatArray:
    """Quantile of absolute gaps by weight, over the last axis: the mean of the smallest value with
    at least this share at or below it, and the largest with at least the rest at or above it."""
    order = np.argsort(gap, axis=-1)
    ranked = np.take_along_axis(gap, order, axis=-1)
    held = np.cumsum(np.take_along_axis(np.broadcast_to(w, gap.shape), order, axis=-1), axis=-1)
    target, slack = share * held[..., -1:], 1e-12 * held[..., -1:]
    last = gap.shape[-1] - 1
    low = np.minimum((held < target - slack).sum(axis=-1), last)
    high = np.minimum((held <= target + slack).sum(axis=-1), last)
    pick = np.stack((low, high), axis=-1)
    return np.asarray(np.take_along_axis(ranked, pick, axis=-1).mean(axis=-1))
