"""Isotonic regression of labels on scores, fed to SciPy's pooling in a form it finds quick."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

from .binning import distinct_starts, sort_by_score
from .links import FloatArray, IntArray


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
    starts = distinct_starts(x)
    ends = np.append(starts[1:], len(x))
    weight = (ends - starts).astype(float) if w is None else np.add.reduceat(w, starts)
    label = np.add.reduceat(y if w is None else w * y, starts, dtype=float)
    low = x[starts]
    # All of a run of means that do not increase ends up in one block: pooling these runs first
    # leaves SciPy a fraction of the points.
    mean = label / weight
    runs = np.concatenate(([0], np.flatnonzero(mean[1:] > mean[:-1]) + 1))
    run_weight = np.add.reduceat(weight, runs)
    run_label = np.add.reduceat(label, runs)
    fit = isotonic_regression(run_label / run_weight, weights=run_weight)
    blocks = fit.blocks[:-1]
    first = runs[blocks]
    last = np.append(first[1:], len(low)) - 1
    total = np.add.reduceat(run_weight, blocks)
    return Blocks(
        low=low[first],
        high=low[last],
        centre=np.add.reduceat(weight * low, first) / total,
        value=np.clip(np.add.reduceat(run_label, blocks) / total, 0.0, 1.0),
        weight=total,
    )
