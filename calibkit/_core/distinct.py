"""Sums of all rows by distinct score, in ascending order: all that sorted fits look at.

Fits that sort the rows (isotonic regression, equal-mass bins) treat rows of one score alike: they
use the distinct scores in order, and sums of the rows of each. Those sums add up over partitions,
so the fit to them is the fit to all rows, whichever rows are in which partition. Blocks or bins of
single partitions would not do: scores of partitions interleave.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._numerics.binning import distinct_starts, sort_by_score
from .._typing import FloatArray, IntArray
from .inputs import Rows
from .partitions import Partitions


class DistinctScores(NamedTuple):
    """Distinct scores in ascending order, and sums of their rows."""

    x: FloatArray
    n: IntArray
    weight: FloatArray | None  # None if rows have no weights
    wy: FloatArray | IntArray

    @property
    def w(self) -> FloatArray | IntArray:
        """Weights, or numbers of rows."""
        return self.n if self.weight is None else self.weight

    @property
    def quartiles(self) -> FloatArray:
        """Scores of the rows n // 4 and 3 n // 4 of all n sorted rows."""
        last = np.cumsum(self.n)
        at = np.array([last[-1] // 4, 3 * last[-1] // 4])
        return self.x[np.searchsorted(last, at, side="right")]


def distinct_scores(parts: Partitions) -> DistinctScores:
    """Those of the rows of all partitions, in memory."""
    columns: Any = zip(*parts.each(_summed), strict=True)
    x, *sums = columns
    scores = np.concatenate(x)
    order = np.argsort(scores, kind="stable")  # merges the sorted runs
    scores = scores[order]
    starts = distinct_starts(scores)
    merged: Any = (
        None if part[0] is None else _sums(np.concatenate(part)[order], starts) for part in sums
    )
    return DistinctScores(scores[starts], *merged)


def _summed(rows: Rows, start: int) -> DistinctScores:
    x, y, w = sort_by_score(rows.scores.values, rows.y, rows.w)
    starts = distinct_starts(x)
    n = np.diff(np.append(starts, len(x)))
    if w is None:
        # A partition has fewer than 2^31 rows.
        return DistinctScores(
            x[starts], n.astype(np.int32), None, np.add.reduceat(y, starts, dtype=np.int32)
        )
    return DistinctScores(x[starts], n, np.add.reduceat(w, starts), np.add.reduceat(w * y, starts))


def _sums(values: np.ndarray, starts: IntArray) -> np.ndarray:
    kind = np.float64 if values.dtype.kind == "f" else np.int64
    return np.add.reduceat(values, starts, dtype=kind)
