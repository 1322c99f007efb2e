"""Reductions over segments of a flat array, in blocks that stay in cache.

``edges`` are where segments begin and end, strictly increasing: callers leave empty segments out,
since ``reduceat`` would give them the value of their neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._typing import FloatArray, IntArray

#: Values worked on at a time: few enough for the cache, enough to hide what a call costs.
BLOCK = 1 << 17


def segment_blocks(edges: IntArray, size: int = BLOCK) -> Iterator[slice]:
    """Slices of whole segments of about ``size`` values; a longer segment is a block of its own."""
    first, n = 0, len(edges) - 1
    while first < n:
        last = int(edges.searchsorted(edges[first] + size, side="right")) - 1
        last = min(max(last, first + 1), n)
        yield slice(first, last)
        first = last


def widest_block(edges: IntArray, size: int = BLOCK) -> int:
    """The most values that a block can hold."""
    longest = int(np.diff(edges).max(initial=0))
    return max(longest, min(size, int(edges[-1] - edges[0])))


def exp_into(values: FloatArray, out: FloatArray) -> FloatArray:
    """Exponentials of one block, in ``out``."""
    if values.dtype == np.float32:
        # NumPy's exp2 is twice as fast as its exp in float32; the product costs |v| e^v < 0.4 of a
        # float32's own rounding.
        np.multiply(values, np.float32(np.log2(np.e)), out=out)
        return np.exp2(out, out=out)
    return np.exp(values, out=out)


def log_mean_exp(values: FloatArray, starts: IntArray, scratch: FloatArray) -> FloatArray:
    """Per segment log(mean(exp(v))), without underflow."""
    lengths = np.diff(starts, append=len(values))
    top = np.maximum.reduceat(values, starts)
    np.subtract(values, np.repeat(top, lengths), out=scratch)
    mean = np.add.reduceat(np.exp(scratch, out=scratch), starts) / lengths
    return top + np.log(mean)


def quantile_neighbours(
    values: FloatArray, starts: IntArray, q: float
) -> tuple[FloatArray, FloatArray]:
    """Per segment the two order statistics on either side of the q-quantile; NaN where one is NaN.

    Segments of like length are sorted together as rows, so that padding at most doubles them.
    """
    lengths = np.diff(starts, append=len(values))
    below, above = np.empty(len(starts)), np.empty(len(starts))
    classes = np.frexp(lengths)[1]
    for size in np.unique(classes):
        rows = np.flatnonzero(classes == size)
        n, width = lengths[rows], int(lengths[rows].max())
        columns = np.arange(width)
        table = values.take(starts[rows, None] + columns, mode="clip")
        table[columns >= n[:, None]] = np.inf
        table.sort(axis=1)
        k = np.floor((n - 1) * q).astype(np.intp)
        each = np.arange(len(rows))
        below[rows], above[rows] = table[each, k], table[each, np.minimum(k + 1, n - 1)]
        bad = np.isnan(table[:, -1])  # NaN is sorted behind infinity
        below[rows[bad]] = above[rows[bad]] = np.nan
    return below, above


def quantile_fraction(lengths: IntArray, q: float) -> FloatArray:
    """How far the q-quantile lies from the lower of its neighbours to the upper."""
    position: FloatArray = np.asarray((lengths - 1) * q, dtype=np.float64)
    fraction: FloatArray = position - np.floor(position)
    return fraction
