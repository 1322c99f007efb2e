"""How many independent rows the rows of groups are worth."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray, IntArray
from .weights import row_count


def design_effect(
    z: FloatArray, q: FloatArray, y: IntArray, w: FloatArray | None, groups: IntArray
) -> float:
    """Mean design effect of the groups on the shift and the slope of calibrated log-odds.

    Rao and Scott's (1984): the mean eigenvalue of the inverse information times the variance of
    the score, in which the rows of one group are summed first. It is 1 where rows are
    independent, and never taken to be less, nor more than the rows in a group of average size.
    """
    if w is not None and not w.all():
        kept = w > 0
        z, q, y, w, groups = z[kept], q[kept], y[kept], w[kept], groups[kept]
    n = len(z)
    v = np.ones(n) if w is None else w * (row_count(w, n) / w.sum())
    x = np.clip(z, *np.quantile(z, [0.01, 0.99]))  # single scores far out would decide it
    x = x - np.average(x, weights=v)
    columns = np.column_stack((np.ones(n), x))
    if not np.average(x * x, weights=v) > 1e-12 * (1.0 + float(np.abs(z).max())) ** 2:
        columns = columns[:, :1]
    curvature = v * q * (1.0 - q)
    information = (columns.T * curvature) @ columns
    residual = v * (y - q)
    sums = np.column_stack([np.bincount(groups, residual * c) for c in columns.T])
    n_groups = int(np.count_nonzero(np.bincount(groups, v)))
    effect = np.trace(np.linalg.lstsq(information, sums.T @ sums, rcond=1e-12)[0])
    effect *= n_groups / max(n_groups - 1, 1) / columns.shape[1]
    size = np.bincount(groups, v)
    return float(np.clip(effect, 1.0, max(1.0, float(size @ size) / float(size.sum()))))
