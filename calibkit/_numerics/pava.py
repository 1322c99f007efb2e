"""Isotonic regression of labels on scores, fed to SciPy's pooling in a form it finds quick."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

from .._typing import FloatArray, IntArray
from .binning import sort_by_score, tie_starts, trend
from .weights import row_count


class Blocks(NamedTuple):
    """Level sets of an isotonic fit, in ascending order."""

    low: FloatArray  # smallest score
    high: FloatArray  # largest score
    centre: FloatArray  # weighted mean score
    value: FloatArray  # mean label
    weight: FloatArray


def isotonic_blocks(x: FloatArray, y: IntArray, w: FloatArray | None) -> Blocks:
    """Blocks of the least-squares non-decreasing fit of y on x."""
    x, y, w = sort_by_score(x, y, w)
    starts = tie_starts(x)
    ties = len(starts) < len(x)
    weight = _sums(w, starts, len(x)) if ties else w
    label = y if w is None else w * y
    at_score = np.add.reduceat(label, starts, dtype=np.float64) if ties else label
    # All of a run of means that do not increase ends up in one block: pooling these runs first
    # leaves SciPy a fraction of the points.
    mean = at_score if weight is None else at_score / weight
    runs = np.concatenate(([0], np.flatnonzero(mean[1:] > mean[:-1]) + 1))
    first_rows = starts[runs]
    run_weight = _sums(w, first_rows, len(x))
    run_label = np.add.reduceat(label, first_rows, dtype=np.float64)
    fit = isotonic_regression(run_label / run_weight, weights=run_weight)
    blocks = fit.blocks[:-1]
    first = first_rows[blocks]
    total = np.add.reduceat(run_weight, blocks)
    return Blocks(
        low=x[first],
        high=x[np.append(first[1:], len(x)) - 1],
        centre=np.add.reduceat(x if w is None else w * x, first) / total,
        value=np.clip(np.add.reduceat(run_label, blocks) / total, 0.0, 1.0),
        weight=total,
    )


def score_trend(x: FloatArray, y: IntArray, w: FloatArray | None) -> float:
    """:func:`trend` of the labels over the distinct scores."""
    x, y, w = sort_by_score(x, y, w)
    starts = tie_starts(x)
    rows = row_count(w, len(x))
    events = np.add.reduceat(y if w is None else w * y, starts, dtype=np.float64)
    return trend(_sums(w, starts, len(x)), events, rows)


def _sums(w: FloatArray | None, starts: IntArray, n: int) -> FloatArray:
    """Weight from each start to the next."""
    if w is None:
        return np.diff(np.append(starts, n)).astype(np.float64)
    return np.add.reduceat(w, starts)
