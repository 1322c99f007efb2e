"""Means with their standard errors, and squared calibration errors of binned outputs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Outputs that agree to this number of decimals are one value when equal values are merged; the
#: outputs of different bins may differ by only 1e-16.
DECIMALS = 12


class Mean(NamedTuple):
    """A value and its standard error."""

    value: float
    se: float

    def __sub__(self, other: Mean) -> Mean:  # type: ignore[override]
        """Difference of independent values."""
        return Mean(self.value - other.value, float(np.hypot(self.se, other.se)))

    def __truediv__(self, other: Mean) -> Mean:
        """Ratio of independent values, by the delta method."""
        r = self.value / other.value
        return Mean(r, float(np.hypot(self.se, r * other.se) / abs(other.value)))


def mean(x: np.ndarray) -> Mean:
    """Mean over trials."""
    x = np.asarray(x, dtype=np.float64)
    se = x.std(ddof=1) / np.sqrt(len(x)) if len(x) > 1 else np.nan
    return Mean(float(x.mean()), float(se))


def ratio(x: np.ndarray, y: np.ndarray) -> Mean:
    """Ratio of means over trials that share their data, by the delta method."""
    r = x.mean() / y.mean()
    return Mean(float(r), mean(x - r * y).se / abs(float(y.mean())))


def merge_values(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct outputs, and the index of the output of each bin."""
    return np.unique(np.round(value, DECIMALS), return_inverse=True)


def squared_error(value: np.ndarray, mass: np.ndarray, rate: np.ndarray, merge: bool) -> float:
    """Squared error of a binned model from P(bin) and P(Y=1|bin), or from shares and means.

    ``merge`` pools bins with the same output, so the error is conditional on the output, as in the
    definition, and not on the bin.
    """
    if not merge:
        return float(mass @ (value - rate) ** 2)
    value, index = merge_values(value)
    pooled = np.bincount(index, mass)
    gap = pooled * value - np.bincount(index, mass * rate)
    gap, pooled = gap[pooled > 0], pooled[pooled > 0]
    return float((gap**2 / pooled).sum())


def shares_and_means(
    index: np.ndarray, target: np.ndarray, n_bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Share of the rows in each bin, and the mean of their targets (0 in empty bins)."""
    count = np.bincount(index, minlength=n_bins)
    total = np.bincount(index, target, minlength=n_bins)
    return count / len(index), total / np.maximum(count, 1)
