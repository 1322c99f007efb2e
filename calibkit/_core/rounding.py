"""Rows of probabilities that were rounded, and what their sums may then be."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray

#: Decimals that are looked for; fewer say too little, and more need no leave.
_DECIMALS = range(2, 6)
#: Bits of bfloat16 and of float16.
_FEWEST_BITS, _MOST_BITS = 8, 11
#: No row may stray farther, however many columns were rounded.
_LARGEST = 0.5


def rounding_tolerance(block: FloatArray) -> float:
    """How far from one a row of numbers as precise as these may sum, and be rounded only.

    K numbers of d decimals stray by at most K 10^-d / 2. A softmax in half precision rounds
    exponentials, their sum (log2 K steps) and the quotients, each by a unit in the last place.
    """
    k, a = block.shape[1], block.astype(np.float64)
    tolerance = 0.0
    for d in _DECIMALS:
        units = a * 10.0**d
        if np.abs(units - np.rint(units)).max() <= 10.0**d * 2.0**-24:  # float32 holds no more
            tolerance = 0.5 * k * 10.0**-d
            break
    single = a.astype(np.float32)
    if (single == a).all():
        used = int(np.bitwise_or.reduce(single.view(np.uint32), axis=None)) & 0x7FFFFF
        bits = 24 - (23 if used == 0 else (used & -used).bit_length() - 1)
        if bits <= _MOST_BITS:
            half = (3.0 + np.log2(k)) * 2.0 ** -max(bits, _FEWEST_BITS)
            tolerance = max(tolerance, half)
    return min(tolerance, _LARGEST)
