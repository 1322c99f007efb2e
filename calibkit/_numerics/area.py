"""Whether scores rank the wrong way round: the area under the ROC curve against its noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._typing import FloatArray, IntArray
from .weights import effective_count

#: Standard errors that the area must lie below one half.
_SURE = 3.0


class Grouped(NamedTuple):
    """Rows whose groups are independent: the place of each score among the distinct ones, its
    label (or fraction), its weight (None: one) and its group."""

    place: IntArray
    y: FloatArray | IntArray
    w: FloatArray | None
    group: IntArray


def area_influence(events: FloatArray, others: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """The area, and what a unit of weight at each score in ascending order adds to it: an event,
    and another row."""
    total, rest = float(events.sum()), float(others.sum())
    # Share of the others below a score, and of the events above it; ties count half.
    below = (np.cumsum(others) - 0.5 * others) / rest
    above = 1.0 - (np.cumsum(events) - 0.5 * events) / total
    area = float(events @ below) / total
    return area, (below - area) / total, (above - area) / rest


def reversed_area(
    w: FloatArray, wy: FloatArray, w2: FloatArray, w2y: FloatArray, rows: Grouped | None = None
) -> float | None:
    """The area, if higher scores go with fewer events beyond doubt; else None.

    Of each distinct score, in ascending order: the sums of weights, of those of events, and of the
    squares of both. The error is the larger of two: that of the area observed (DeLong's, by group
    where there are groups), which is 0 for scores that are always wrong, and that of useless ones.
    """
    events, others = wy, w - wy
    total, rest = float(events.sum()), float(others.sum())
    if not (total > 0.0 and rest > 0.0):
        return None
    area, *pull = area_influence(events, others)
    if area >= 0.5:
        return None
    squares = w2y, np.maximum(w2 - w2y, 0.0)
    n = [
        float(effective_count(part, max(float(s.sum()), 1e-300)))
        for part, s in zip((total, rest), squares, strict=True)
    ]
    if rows is None:
        variance = sum(float(s @ (a * a)) for s, a in zip(squares, pull, strict=True))
    else:
        mean = rows.y * pull[0][rows.place] + (1.0 - rows.y) * pull[1][rows.place]
        of_group = np.bincount(rows.group, mean if rows.w is None else rows.w * mean)
        k = max(len(of_group), 2)
        variance = float(of_group @ of_group) * k / (k - 1)
        with_both = [rows.group[rows.y > 0], rows.group[rows.y < 1]]
        n = [min(m, len(np.unique(g))) for m, g in zip(n, with_both, strict=True)]
    useless = (1.0 / n[0] + 1.0 / n[1] + 1.0 / (n[0] * n[1])) / 12.0
    return area if 0.5 - area > _SURE * np.sqrt(max(variance, useless)) else None
