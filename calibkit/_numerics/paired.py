"""Differences of two metrics on the same rows, and p-values of several of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, hstack
from scipy.special import stdtr, stdtrit

from .._typing import FloatArray, IntArray
from .influence import MOST_SHARE
from .links import row_blocks
from .weights import effective_count

#: Draws of the noise of a difference of errors.
N_DRAWS = 10_000
#: Differences below this share of the errors, and variances, are due to rounding.
_ROUNDING = 2.0**-40


class Tested(NamedTuple):
    """A difference with its interval and its two-sided p-value.

    ``freedom`` are the degrees of freedom of Student's t over rows or groups, else 0.
    """

    value: float
    low: float
    high: float
    p_value: float
    freedom: float = 0.0


class PairNoise(NamedTuple):
    """Noise of a difference: its variance, the degrees of freedom of that, and the number of units
    of equal size that would show it."""

    variance: float
    freedom: float
    deciding: float


class Units:
    """Independent rows, or groups of rows, each of which moves a metric.

    ``parts`` of shape (1, n) or (2, n) hold the share of each row in all rows, or in either class.
    A unit with the share h of the weight of its part pulls the metric to itself, so that its square
    is too small by 1 - h. The variance of two classes is known on as many degrees of freedom as
    Welch (1947) counts, and that of uneven weights on those of Satterthwaite (1946).
    """

    def __init__(self, parts: FloatArray, w: FloatArray | None, groups: IntArray | None) -> None:
        self._parts, self._groups, n = parts, groups, parts.shape[1]
        if w is None and groups is None and len(parts) == 1:  # the same, faster
            self.freedom, self._each = max(n - 1.0, 1.0), np.array([n - 1.0])
            self._scale = np.broadcast_to(np.sqrt(n / self.freedom), (1, n))
            return
        weight = self._gathered(parts if w is None else parts * w)
        total = weight.sum(axis=1, keepdims=True)
        h = weight / np.where(total > 0, total, 1.0)
        self._scale = 1.0 / np.sqrt(1.0 - np.minimum(h, MOST_SHARE))
        self._each = np.maximum(_equal(h) - 1.0, 1e-3)
        self.freedom = max(float(_equal(weight.sum(axis=0) / total.sum())) - 1.0, 1.0)

    def _gathered(self, values: FloatArray) -> FloatArray:
        if self._groups is None:
            return values
        return np.array([np.bincount(self._groups, v) for v in values], dtype=np.float64)

    def noise(self, a: FloatArray, b: FloatArray) -> PairNoise:
        """Noise of the difference of two metrics, from what each row adds to them."""
        whole = self._groups is not None
        sums = self._gathered(self._parts * (a - b)) if whole else None
        variance, fourth, parts = 0.0, 0.0, np.zeros(len(self._parts))
        for rows in [slice(None)] if whole else row_blocks(len(a)):
            pull = self._parts[:, rows] * (a[rows] - b[rows]) if sums is None else sums
            pull *= self._scale[:, rows]
            if len(parts) > 1:
                parts += np.einsum("ij,ij->i", pull, pull)
            squares = (pull[0] if len(parts) == 1 else pull[0] + pull[1]) ** 2
            variance += float(squares.sum())
            fourth += float(squares @ squares)
        freedom = self.freedom
        if parts.any():
            parts /= parts.max()
            freedom = min(freedom, float(parts.sum() ** 2 / (parts**2 / self._each).sum()))
        deciding = variance**2 / fourth if fourth > 0 else np.inf
        return PairNoise(variance, max(freedom, 1.0), deciding)


def _equal(h: FloatArray) -> FloatArray:
    """Equal units on which a variance would be known as well as on these."""
    squares = h * h
    return np.asarray(effective_count(squares.sum(axis=-1), (squares * squares).sum(axis=-1)))


def students(value: float, variance: float, freedom: float, level: float) -> Tested:
    """Student's t of a difference. Without noise, anything but 0 says nothing of its size."""
    sd = float(np.sqrt(variance))
    if sd <= _ROUNDING * abs(value) and value != 0.0:
        return Tested(value, -np.inf, np.inf, 1.0, freedom)
    reach = float(stdtrit(freedom, (1.0 + level) / 2.0)) * sd
    p = 2.0 * float(stdtr(freedom, -abs(value) / sd)) if sd > 0 else 1.0
    return Tested(value, value - reach, value + reach, p, freedom)


def resampled(differences: FloatArray, ratio: float, level: float) -> Tested:
    """Corrected resampled t of the differences in the folds of a cross-validation.

    Folds share rows for training, so that the variance of the mean of J differences is not
    s^2 / J but about s^2 (1 / J + ratio), with the ratio of test rows to training rows (Nadeau and
    Bengio 2003).
    """
    j = len(differences)
    variance = float(differences.var(ddof=1)) * (1.0 / j + ratio)
    tested = students(float(differences.mean()), variance, j - 1.0, level)
    return tested._replace(freedom=0.0)  # more rows do not make more folds


class Bins(NamedTuple):
    """The bins of one model, or of one of its classes."""

    place: IntArray  # bin of each row
    residual: FloatArray  # score minus label minus the gap of its bin, times the weight
    size: FloatArray  # weight of each bin
    worth: FloatArray  # effective rows of each bin
    gap: FloatArray  # mean score minus mean label
    share: FloatArray  # share of the bin in the error


def bin_noise(
    bins: list[Bins], w: FloatArray | None, groups: IntArray | None
) -> tuple[FloatArray, float]:
    """Covariance of the gaps of all these bins, and its degrees of freedom.

    A row moves the gap of its own bin in every model.
    """
    size = np.concatenate([b.size for b in bins])
    if groups is not None:
        k = int(groups.max()) + 1
        held = hstack(
            [csr_matrix((b.residual, (groups, b.place)), shape=(k, len(b.size))) for b in bins],
            format="csr",
        )
        covariance = np.asarray((held.T @ held).todense()) / size / size[:, None]
        weight = np.bincount(groups, w).astype(np.float64)
        freedom = max(float(_equal(weight / weight.sum())) - 1.0, 1.0)
        return covariance * (freedom + 1.0) / freedom, freedom
    covariance = np.zeros((len(size), len(size)))
    start = np.cumsum([0, *(len(b.size) for b in bins)])
    for i, a in enumerate(bins):
        rows = slice(start[i], start[i + 1])
        covariance[rows, rows] = np.diag(np.bincount(a.place, a.residual**2, len(a.size)))
        for j, b in enumerate(bins[:i]):
            cell, most = a.place * len(b.size) + b.place, len(a.size) * len(b.size)
            both = np.bincount(cell, a.residual * b.residual, most)
            covariance[rows, start[j] : start[j + 1]] = both.reshape(len(a.size), -1)
    covariance += np.tril(covariance, -1).T
    # Within a bin of n rows the residuals sum to 0.
    worth = np.concatenate([b.worth for b in bins])
    scale = np.sqrt(worth / np.maximum(worth - 1.0, 0.5)) / size
    n = len(bins[0].place)
    freedom = n - 1.0 if w is None else float(_equal(w / w.sum())) - 1.0
    return covariance * scale * scale[:, None], max(freedom, 1.0)


def squared_error_difference(
    gap: FloatArray, m: FloatArray, covariance: FloatArray, freedom: float, level: float, seed: int
) -> Tested:
    """Difference of two debiased squared l2 errors, by joint draws of the gaps of all bins.

    ``m`` are the shares of the bins of one model, and those of the other with a minus. The gaps
    drawn lie about those observed, shrunk by one factor so that what the noise of the gaps adds to
    the variance of the difference is not counted twice: with gaps e, their covariance S and
    M = diag(m), e'MSMe is too large by tr(MSMS) on average. What is drawn less what is true is then
    the noise of the difference: a sum of squared and plain normal variables.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.where(values > _ROUNDING * values[-1], values, 0.0))
    square, axes = np.linalg.eigh((root.T * m) @ root)
    order = np.argsort(-np.abs(square), kind="stable")
    square, linear = square[order], (axes.T @ (root.T @ (m * gap)))[order]
    spread = float(linear @ linear)
    shrunk = np.sqrt(max(1.0 - float(square @ square) / spread, 0.0)) if spread > 0 else 0.0
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N_DRAWS // 2, len(square)))
    x *= np.sqrt(freedom / rng.chisquare(freedom, size=(len(x), 1)))
    # Signs of axes are arbitrary: with positive ones two models that change places change signs.
    plain, bias = x @ (2.0 * shrunk * np.abs(linear)), float(square.sum())
    squared = (x * x) @ square - bias
    off = np.concatenate((squared + plain, squared - plain))
    value = float(gap * gap @ m) - bias
    least = _ROUNDING * float(np.abs(m) @ (gap * gap + np.diag(covariance)))
    off = np.where(np.abs(off) <= least, 0.0, off)
    value = 0.0 if abs(value) <= least else value
    low, high = np.quantile(off, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    beyond = float(min(np.mean(off >= value), np.mean(off <= value)))
    p = min(1.0, 2.0 * (beyond * len(off) + 1.0) / (len(off) + 1.0))
    return Tested(value, value - float(high), value - float(low), p)


def holm(p: FloatArray) -> FloatArray:
    """Holm's adjusted p-values (1979): the family-wise error is controlled."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty_like(steps)
    out[order] = np.minimum(steps, 1.0)
    return out


def benjamini_hochberg(p: FloatArray) -> FloatArray:
    """Benjamini and Hochberg's adjusted p-values (1995): the false discovery rate."""
    order = np.argsort(p, kind="stable")[::-1]
    m = len(p)
    out = np.empty(m)
    out[order] = np.minimum(np.minimum.accumulate(p[order] * m / np.arange(m, 0, -1)), 1.0)
    return out
