"""Sums of weights."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray, IntArray


def row_count(w: FloatArray | None, n: int) -> float:
    """How many rows weighted rows stand for.

    Weights that repeat rows sum to it. Weights that were scaled to a small sum do not: then
    Kish's (sum w)^2 / sum w^2 says it, which is never more than the sum of repetitions.
    """
    if w is None:
        return float(n)
    total = float(w.sum())
    return max(total, total * total / float(w @ w))


def effective_rows(w: FloatArray | None, n: int) -> float:
    """Kish's (sum w)^2 / sum w^2: the rows of equal weight that would say as much."""
    if w is None:
        return float(n)
    total = float(w.sum())
    return total * total / float(w @ w)


def median(values: FloatArray, w: FloatArray | None = None) -> float:
    """Smallest value with half of the weight at or below it; a weight of m counts as m rows."""
    if w is None:
        k = (len(values) + 1) // 2 - 1
        return float(np.partition(values, k)[k])
    order: IntArray = np.argsort(values, kind="stable")
    cumulative = np.cumsum(w[order])
    at = np.searchsorted(cumulative, 0.5 * cumulative[-1] * (1 - 1e-12))
    return float(values[order][min(at, len(values) - 1)])
