"""Isotonic regression with one more row, for every place that the row may have."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray
from .cells import Cells
from .jit import loop

#: Distance of the lower table from 1 and of the upper one from 0, where rounding loses the new row.
_LEAST = 2.0**-50


@loop
def _bridges(total, events, label, following, hull, out):  # type: ignore[no-untyped-def]
    """Slopes of the lower hull across one more row, put in after 0, 1, 2, ... cells.

    ``total`` and ``events`` are cumulative sums. The hull of the cells before the row and that of
    those after it are kept as a stack and as links; their common tangent gives the value at the
    row. It only moves to the right, so that all of it takes time in proportion to the cells.
    """
    m = len(total) - 1
    # Links of the lower hull of all points from i on, from the right.
    following[m] = m
    for i in range(m - 1, -1, -1):
        j = i + 1
        while following[j] != j:
            k = following[j]
            cross = (events[j] - events[i]) * (total[k] - total[j])
            if cross < (events[k] - events[j]) * (total[j] - total[i]):
                break
            j = k
        following[i] = j
    top, a, b = -1, 0, 0
    for i in range(m + 1):
        while top >= 1:
            j, k = hull[top - 1], hull[top]
            cross = (events[k] - events[j]) * (total[i] - total[k])
            if cross < (events[i] - events[k]) * (total[k] - total[j]):
                break
            top -= 1
        top += 1
        hull[top] = i
        a, b = min(a, top), max(b, i)
        while True:
            j = hull[a]
            rise, run = events[b] - events[j] + label, total[b] - total[j] + 1.0
            k = following[b]
            if k != b and (events[k] - events[b]) * run < rise * (total[k] - total[b]):
                b = k
                continue
            if a < top:
                k = hull[a + 1]
                if (events[k] - events[j]) * run < rise * (total[k] - total[j]):
                    a += 1
                    continue
            break
        out[i] = rise / run


def venn_tables(cells: Cells) -> tuple[FloatArray, FloatArray]:
    """``p0`` and ``p1`` of one more row of weight 1 with label 0 or 1, by the cells before it.

    Both have one value more than there are cells, and never decrease.
    """
    total = np.concatenate(([0.0], np.cumsum(cells.weight)))
    events = np.concatenate(([0.0], np.cumsum(cells.event)))
    tables = []
    for label in (0.0, 1.0):
        following = np.zeros(len(total), dtype=np.intp)
        hull = np.zeros(len(total), dtype=np.intp)
        out = np.empty(len(total))
        _bridges(total, events, label, following, hull, out)
        tables.append(np.maximum.accumulate(np.clip(out, 0.0, 1.0)))
    lower = np.minimum(tables[0], 1.0 - _LEAST)
    return lower, np.maximum(lower, np.maximum(tables[1], _LEAST))


def steps_of(x: FloatArray, table: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The scores at which a table rises, and its values before the first and from each on."""
    rises = np.flatnonzero(table[1:] > table[:-1])
    return x[rises], np.append(table[:1], table[rises + 1])
