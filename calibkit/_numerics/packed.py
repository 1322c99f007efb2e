"""Scores in [0, 1] and labels 0 or 1, sorted together as whole numbers, without rounding.

The bits of a float >= 0, read as a whole number, increase with it. Up to 2 its highest two are 0:
moved up by one place they make room for the label, and one ``np.sort`` of integers, several times
faster than ``np.argsort``, orders scores and labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import FloatArray, IntArray
from .links import row_blocks

#: Scores in [0, 1] whose keys differ by more are farther apart than any rounding of the last
#: three bits; below ``_TINY`` that distance would be absolute.
_CLEAR, _TINY = 67, 1e-270


class Packed:
    """Scores in ascending order, each with its label in the last bit of ``key``."""

    def __init__(self, key: IntArray) -> None:
        self.key = key

    def __len__(self) -> int:
        return len(self.key)

    def __getitem__(self, at: Any) -> Any:
        """Some of the scores."""
        return (self.key[at] >> 1).view(np.float64)

    def searchsorted(self, values: FloatArray, side: Any = "left") -> IntArray:
        """Where numbers in [0, 2) fall among the scores."""
        last = (values + 0.0).view(np.int64) << 1
        return self.key.searchsorted(last + (side == "right"), side=side)

    def clear(self, rows: slice) -> bool:
        """Whether the scores of these rows and the next one are clearly apart."""
        key = self.key[rows.start : rows.stop + 1]
        return bool(self[rows.start] > _TINY and (key[1:] - key[:-1]).min() > _CLEAR)

    def sums(self, rows: slice) -> tuple[float, float]:
        """Sums of the scores and of the labels of these rows."""
        key = self.key[rows]
        labels = float(np.count_nonzero(key & 1))
        return float((key >> 1).view(np.float64).sum()), labels

    def unpacked(self) -> tuple[FloatArray, IntArray]:
        """Scores and labels; the key is lost."""
        labels = np.empty(len(self), dtype=np.int8)
        for rows in row_blocks(len(self)):
            key = self.key[rows]
            np.bitwise_and(key, 1, out=labels[rows], casting="unsafe")
            key >>= 1
        return self.key.view(np.float64), labels


def packed(p: FloatArray, y: IntArray) -> Packed | None:
    """Rows in ascending order of the score; None if a score is not in [0, 1]."""
    key = np.empty(len(p), dtype=np.int64)
    for rows in row_blocks(len(p)):
        score, part = p[rows], key[rows]
        if not (score.min() >= 0 and score.max() <= 1):
            return None
        np.add(score, 0.0, out=part.view(np.float64))  # turns -0.0, whose sign bit is set, into 0.0
        part <<= 1
        part |= y[rows].astype(np.int64)
    key.sort()
    return Packed(key)
