"""Where numbers fall among sorted steps: exact, and fast for many numbers.

A search by halving costs some 40 ns a number, since a processor can't guess its turns. Here any
key that never decreases with the number points into a table that knows how many steps have a
smaller key; the few steps that share the key are compared one by one. This is exact however
coarse or roughly rounded the key is: a step with a smaller key is a smaller number, and one with
a larger key is larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .._typing import FloatArray, IntArray
from .links import row_blocks

Key = Callable[[FloatArray], IntArray]

#: From this many numbers on a table pays for the making of it.
_MANY = 1 << 13
#: Most steps that may share a key: each costs another comparison of every number.
_MOST_ROUNDS = 6
#: A table of this size stays in the second cache.
_MOST_CELLS = 1 << 16


def count_at_or_below(x: FloatArray, steps: FloatArray) -> IntArray:
    """How many of the sorted steps are <= each number: ``searchsorted(steps, x, "right")``."""
    out = np.empty(x.shape, dtype=np.intp)
    for rows, index in _counts(x, steps):
        out[rows] = index
    return out


def values_at(x: FloatArray, steps: FloatArray, values: FloatArray) -> FloatArray:
    """``values[count_at_or_below(x, steps)]``: of a step function, or rows of several."""
    out = np.empty(x.shape + values.shape[1:])
    for rows, index in _counts(x, steps):
        # No index is clipped: with this mode NumPy writes to its place at once.
        values.take(index, axis=0, out=out[rows], mode="clip")
    return out


def _counts(x: FloatArray, steps: FloatArray) -> Iterator[tuple[slice, IntArray]]:
    """Blocks of rows, and the counts of their numbers."""
    best = _best_key(steps) if len(x) >= _MANY and len(steps) and x.dtype == np.float64 else None
    if best is None:
        for rows in row_blocks(len(x)):
            yield rows, np.searchsorted(steps, x[rows], side="right")
        return
    key, rounds = best
    keys = key(steps)
    table = np.searchsorted(keys, np.arange(keys[-1] + 2))
    padded = np.append(steps, np.inf)
    for rows in row_blocks(len(x)):
        # Beyond the last step all cells are alike.
        index = table.take(key(x[rows]), mode="clip")
        for _ in range(rounds):
            index += x[rows] >= padded.take(index)
        yield rows, index


def _best_key(steps: FloatArray) -> tuple[Key, int] | None:
    """The first key with at most one step in a cell, or else the one with fewest, and how many."""
    best = None
    for key in _keys(steps):
        keys = key(steps)
        if keys[-1] < _MOST_CELLS:
            rounds = int(np.bincount(keys).max())
            if rounds <= _MOST_ROUNDS and (best is None or rounds < best[1]):
                best = key, rounds
        if best is not None and best[1] == 1:
            break
    return best


def _keys(steps: FloatArray) -> Iterator[Key]:
    """Keys to try, the cheapest first."""
    low, high = steps[0], steps[-1]
    if low >= 0 and high <= 1:
        for bits in (12, 14):
            yield _unit_key(bits)
    with np.errstate(over="ignore", divide="ignore"):
        factors = [(size - 1) / (high - low) for size in (1 << 12, 1 << 14)]
    for factor in factors:
        if np.isfinite(factor):
            yield _linear_key(low, high, factor)
    if low >= 0 and high <= 1:
        for bits in (5, 7, 9):
            yield _two_ended_key(low, high, bits)


def _unit_key(bits: int) -> Key:
    """Cells of equal width on [0, 1]: the last bits of a sum that has no room for more."""
    one = 2.0 ** (52 - bits)
    first = np.array([one]).view(np.int64)[0]

    def key(x: FloatArray) -> IntArray:
        if x.min() < 0 or x.max() > 1:
            x = np.clip(x, 0.0, 1.0)
        keys = (x + one).view(np.int64)
        keys -= first
        return keys

    return key


def _linear_key(low: float, high: float, factor: float) -> Key:
    """Cells of equal width between the first and the last step."""

    def key(x: FloatArray) -> IntArray:
        x = np.clip(x, low, high)
        x -= low
        x *= factor
        return x.astype(np.intp)

    return key


def _two_ended_key(low: float, high: float, bits: int) -> Key:
    """Cells of equal relative width in x up to 1/2 and in 1 - x beyond it.

    The bits of a float >= 0, read as a whole number, increase with it: the exponent and the first
    ``bits`` binary places are the key. It tells apart scores that crowd near 0 or near 1.
    """
    shift = 52 - bits
    middle = np.array([0.5]).view(np.int64)[0] >> shift

    def from_middle(x: FloatArray) -> IntArray:
        x = np.clip(x, low, high)
        x += 0.0  # turns -0.0, whose sign bit is set, into 0.0
        # Flipping all bits, which the mask of a negative sign does, turns k < 0 into -1 - k >= 0.
        upper = np.subtract(0.5, x).view(np.int64)
        upper >>= 63
        keys = np.minimum(x, 1.0 - x, out=x).view(np.int64)
        keys >>= shift
        keys -= middle
        keys ^= upper
        return keys

    first = from_middle(np.array([low]))[0]

    def key(x: FloatArray) -> IntArray:
        keys = from_middle(x)
        keys -= first
        return keys

    return key
