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
    return sorted_blocks(x, y if w is None else w * y, w)


def sorted_blocks(
    x: FloatArray,
    label: FloatArray | IntArray,
    w: FloatArray | None,
    quartiles: FloatArray | None = None,
) -> Blocks:
    """Blocks of rows, or of distinct scores and their sums, in ascending order of the score."""
    starts = tie_starts(x, quartiles=quartiles)
    ties = len(starts) < len(x)
    weight = _sums(w, starts, len(x)) if ties else w
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


def pooled(w: FloatArray, wy: FloatArray) -> FloatArray:
    """Least-squares non-decreasing fit of the means ``wy / w``, over the last axis.

    All sets are fitted as one sequence: each lies above the one before, so none are pooled.
    Cells of no weight get the value 0.
    """
    above = 2.0 * np.arange(w[..., 0].size).reshape(w.shape[:-1])
    kept = w > 0
    weight, events = w[kept], wy[kept]
    mean = events / weight + np.broadcast_to(above[..., None], w.shape)[kept]
    first = _block_starts(mean, weight)
    value = np.add.reduceat(events, first) / np.add.reduceat(weight, first)
    out = np.zeros(w.shape)
    out[kept] = np.clip(np.repeat(value, np.diff(np.append(first, len(mean)))), 0.0, 1.0)
    return out


def level_sets(w: FloatArray, wy: FloatArray) -> tuple[IntArray, FloatArray]:
    """First cell and value of each level set of the fit to cells of positive weight."""
    first = _block_starts(wy / w, w)
    value = np.add.reduceat(wy, first) / np.add.reduceat(w, first)
    return first, np.clip(value, 0.0, 1.0)


def _block_starts(mean: FloatArray, w: FloatArray) -> IntArray:
    runs = np.concatenate(([0], np.flatnonzero(mean[1:] > mean[:-1]) + 1))
    size = np.add.reduceat(w, runs)
    fit = isotonic_regression(np.add.reduceat(w * mean, runs) / size, weights=size)
    return np.asarray(runs[fit.blocks[:-1]])


def score_trend(x: FloatArray, y: IntArray, w: FloatArray | None) -> float:
    """:func:`trend` of the labels over the distinct scores."""
    x, y, w = sort_by_score(x, y, w)
    return sorted_trend(x, y if w is None else w * y, w, row_count(w, len(x)))


def sorted_trend(
    x: FloatArray,
    label: FloatArray | IntArray,
    w: FloatArray | None,
    n_rows: float,
    quartiles: FloatArray | None = None,
) -> float:
    """:func:`trend` of rows, or of distinct scores and their sums, in ascending order."""
    starts = tie_starts(x, quartiles=quartiles)
    events = np.add.reduceat(label, starts, dtype=np.float64)
    return trend(_sums(w, starts, len(x)), events, n_rows)


def _sums(w: FloatArray | None, starts: IntArray, n: int) -> FloatArray:
    """Weight from each start to the next."""
    if w is None:
        return np.diff(np.append(starts, n)).astype(np.float64)
    return np.add.reduceat(w, starts)
