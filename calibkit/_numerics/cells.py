"""Rows of two classes summed into few weighted values of the score, so that fits cost O(cells)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._typing import FloatArray, IntArray
from .binning import mass_borders, sort_by_score, tie_starts
from .weights import row_count


class Cells(NamedTuple):
    """Sums of rows that share a value of the score, or lie next to each other."""

    x: FloatArray  # weighted mean score, in ascending order
    weight: FloatArray  # in rows
    event: FloatArray  # weight of the rows of class 1
    low: FloatArray  # smallest score
    high: FloatArray  # largest score

    def rates(self) -> FloatArray:
        """Share of events in each cell."""
        return np.clip(self.event / self.weight, 0.0, 1.0)


def distinct_cells(x: FloatArray, y: IntArray, w: FloatArray | None) -> Cells:
    """One cell for each distinct score; weights sum to the number of rows that they stand for."""
    x, y, w = sort_by_score(x, y, w)
    starts = tie_starts(x)
    high = x[np.append(starts[1:], len(x)) - 1]
    if w is None:
        weight = np.diff(np.append(starts, len(x))).astype(np.float64)
        event = np.add.reduceat(y, starts, dtype=np.float64)
    else:
        w = w * (row_count(w, len(w)) / w.sum())
        weight = np.add.reduceat(w, starts)
        event = np.minimum(np.add.reduceat(w * y, starts), weight)
    return Cells(x[starts], weight, event, x[starts], high)


def coarse_cells(cells: Cells, most: int) -> Cells:
    """Neighboring cells merged into at most ``most`` cells of about equal weight."""
    if len(cells.x) <= most:
        return cells
    borders = mass_borders(cells.x, cells.weight, most)
    starts = np.concatenate(([0], np.searchsorted(cells.x, borders)))
    weight = np.add.reduceat(cells.weight, starts)
    center = np.add.reduceat(cells.weight * cells.x, starts) / weight
    low = cells.low[starts]
    high = cells.high[np.append(starts[1:], len(cells.x)) - 1]
    event = np.add.reduceat(cells.event, starts)
    return Cells(np.clip(center, low, high), weight, event, low, high)


def scaled_cells(cells: Cells, worth: float) -> Cells:
    """The cells with rows that count as ``worth`` rows."""
    return cells._replace(weight=worth * cells.weight, event=worth * cells.event)


def within_reach(cells: Cells, reach: float = 20.0) -> Cells:
    """Scores moved to ``reach`` interquartile ranges from the quartiles, where farther away.

    Logits of -1e9, which stand for "impossible", would otherwise decide the spread of them all.
    """
    low, high = np.quantile(cells.x, [0.25, 0.75])
    if not high > low:
        return cells
    ends = low - reach * (high - low), high + reach * (high - low)
    if ends[0] <= cells.x[0] and cells.x[-1] <= ends[1]:
        return cells
    x = np.clip(cells.x, *ends)
    starts = np.flatnonzero(np.concatenate(([True], x[1:] > x[:-1])))
    weight, event = (np.add.reduceat(a, starts) for a in (cells.weight, cells.event))
    return Cells(x[starts], weight, event, x[starts], x[starts])
