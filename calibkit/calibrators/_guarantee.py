"""What is sure about the values of bins, whatever the distribution of the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._typing import FloatArray


@dataclass(frozen=True)
class Guarantee:
    """How far the values of bins may be from the true rates, whatever the distribution.

    Parameters
    ----------
    conditional : float
        With probability 1 - alpha over the fitting rows, the value of every bin at once is at
        most this far from P(Y = 1 | bin).
    marginal : float
        With probability 1 - alpha over the fitting rows and the score of one new row, the value
        of the bin that this row falls in is at most this far from P(Y = 1 | that bin). It is
        smaller, and promises less: some bins may be further off.
    alpha : float
        How often each of the two may fail.
    n_bins : int
        Number of bins.
    n_per_bin : int
        Rows in the smallest bin that has any.
    n_empty : int, default=0
        Bins without rows, of which nothing is said.

    Examples
    --------
    >>> from calibkit import Guarantee
    >>> print(Guarantee(0.15, 0.1, alpha=0.1, n_bins=10, n_per_bin=200))
    With 90% confidence the values of all 10 bins are within 0.15 of the true rates, or that of \
a new row's bin within 0.1 (200 or more rows per bin).
    """

    conditional: float
    marginal: float
    alpha: float
    n_bins: int
    n_per_bin: int
    n_empty: int = 0

    def __str__(self) -> str:
        which = f"all {self.n_bins} bins"
        if self.n_empty:
            which = f"the {self.n_bins - self.n_empty} bins with rows ({self.n_empty} have none)"
        return (
            f"With {100 * (1 - self.alpha):.6g}% confidence the values of {which} are within "
            f"{self.conditional:.3g} of the true rates, or that of a new row's bin within "
            f"{self.marginal:.3g} ({self.n_per_bin} or more rows per bin)."
        )


def guarantee_of(
    value: FloatArray,
    count: FloatArray,
    events: FloatArray,
    border_rows: FloatArray,
    alpha: float,
) -> Guarantee:
    """Guarantee for bins of 2 or more rows each, or of none.

    In a bin of n rows, r of which set its lower border, the labels of the n - r others are
    independent draws from the bin, so Hoeffding's inequality holds for their mean; the r may be
    anything and move the mean of all by at most r / n.
    """
    filled = count > 0
    n, r = count[filled], border_rows[filled]
    shift = np.abs(value[filled] - events[filled] / n)

    def worst(tests: int) -> float:
        radius = np.sqrt(np.log(2.0 * tests / alpha) / (2.0 * (n - r)))
        return float(min(1.0, ((n - r) / n * radius + r / n + shift).max()))

    return Guarantee(
        conditional=worst(len(n)),
        marginal=worst(1),
        alpha=float(alpha),
        n_bins=len(value),
        n_per_bin=int(n.min()),
        n_empty=int(len(value) - len(n)),
    )
