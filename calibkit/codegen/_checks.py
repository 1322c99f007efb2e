"""What log-probabilities may be, where one stands, and what is said of outputs without a signal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._core.warnings import MissingSignalWarning, warn
from .._typing import FloatArray, IntArray

#: How far above 0 rounding may take a log-probability.
TOLERANCE = 1e-6
#: How far rounding may take the sum of a token's alternatives above 1.
MASS_TOLERANCE = 1e-4
#: Log-probability of a token that was given none (-inf): what OpenAI's API says of the least
#: likely. Lower ones count as this too, so that -inf is nowhere more likely than a finite value.
LOWEST = -9999.0


def place(i: int, *levels: IntArray) -> str:
    """Where the i-th value stands, in words; ``levels`` are offsets, the outermost first."""
    at = []
    for offsets in reversed(levels):
        row = int(np.searchsorted(offsets, i, side="right")) - 1
        at.append(i - int(offsets[row]))
        i = row
    names = ("output", "token", "alternative")
    return ", ".join(f"{n} {k}" for n, k in zip(names, [i, *reversed(at)], strict=False))


def checked(
    block: FloatArray, first: int, levels: tuple[IntArray, ...], where: str, name: str
) -> FloatArray:
    """A block of log-probabilities that begins at the ``first``, without what is just above 0."""
    if np.maximum.reduce(block) <= 0:
        return block
    high = block > TOLERANCE  # NaN is not
    if high.any():
        i = int(np.argmax(high))
        at = place(first + i, *levels)
        raise ValueError(
            f"{where}: {name} holds values above 0 ({block[i]:.6g} at {at}); expected "
            "log-probabilities. For probabilities take np.log first."
        )
    return np.minimum(block, 0)


def warn_of_missing(where: str, signals: Sequence[str], missing: np.ndarray, why: str) -> None:
    """Say how many outputs have no signal, and why the first has none."""
    if not missing.any():
        return
    warn(
        f"{where}: {np.count_nonzero(missing)} of {len(missing)} outputs have no "
        f"{' or no '.join(signals)} (first at output {int(np.argmax(missing))}: {why}); they are "
        "NaN. Leave them out, or impute them and say so (SimpleImputer(add_indicator=True)).",
        MissingSignalWarning,
    )
