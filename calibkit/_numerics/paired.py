"""Differences of two metrics on the same rows, and p-values of several of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import stdtr, stdtrit

from .._typing import FloatArray, IntArray
from .weights import effective_count

#: Gaps of bins that are drawn for an interval of a difference of errors.
N_DRAWS = 4000


class Tested(NamedTuple):
    """A difference with its interval and its two-sided p-value."""

    value: float
    low: float
    high: float
    p_value: float


def unit_sums(pull: FloatArray, w: FloatArray | None, groups: IntArray | None) -> tuple[
    FloatArray, float
]:  # fmt: skip
    """What each independent row or group adds, and the degrees of freedom of their variance.

    ``pull`` may have several columns. Each sum of squares is to be multiplied by
    (freedom + 1) / freedom.
    """
    size: FloatArray = np.ones(len(pull)) if w is None else w
    if groups is not None:
        size = np.bincount(groups, size).astype(np.float64)
        columns = pull.reshape(len(pull), -1).T
        summed = np.column_stack([np.bincount(groups, c) for c in columns]).astype(np.float64)
        pull = summed.reshape(len(size), *pull.shape[1:])
    if w is None and groups is None:
        return pull, max(len(pull) - 1.0, 1.0)
    # Equal units on which the variance would be known as well (Satterthwaite 1946).
    squares = size * size
    return pull, max(float(effective_count(squares.sum(), squares @ squares)) - 1.0, 1.0)


def mean_difference(value: float, sums: FloatArray, freedom: float, level: float) -> Tested:
    """Student's t of a difference of which each unit adds its part to the noise."""
    sd = np.sqrt(float(sums @ sums) * (freedom + 1.0) / freedom)
    return _students(value, float(sd), freedom, level)


def _students(value: float, sd: float, freedom: float, level: float) -> Tested:
    reach = float(stdtrit(freedom, (1.0 + level) / 2.0)) * sd
    p = 2.0 * float(stdtr(freedom, -abs(value) / sd)) if sd > 0 else float(value == 0.0)
    return Tested(value, value - reach, value + reach, p)


class BinGaps(NamedTuple):
    """The bins of one model: share of the weight, and mean score less mean label."""

    share: FloatArray
    gap: FloatArray


def bin_noise(
    places: list[IntArray],
    residuals: list[FloatArray],
    w: FloatArray | None,
    sizes: list[FloatArray],
    groups: IntArray | None,
) -> tuple[FloatArray, float]:
    """Covariance of the gaps of the bins of all models, and its degrees of freedom.

    ``residuals`` are score minus label minus the gap of the row's bin, ``sizes`` the weights of
    the bins. A row moves the gap of its own bin in every model.
    """
    n, start = len(places[0]), np.cumsum([0, *map(len, sizes)])
    rows = np.tile(np.arange(n), len(places)) if groups is None else np.tile(groups, len(places))
    weight = np.ones(n) if w is None else w
    parts = [weight * r / size[at] for at, r, size in zip(places, residuals, sizes, strict=True)]
    columns = np.concatenate([at + s for at, s in zip(places, start[:-1], strict=True)])
    count = n if groups is None else int(groups.max()) + 1
    held = csr_matrix((np.concatenate(parts), (rows, columns)), shape=(count, int(start[-1])))
    covariance = np.asarray((held.T @ held).todense())
    size = weight if groups is None else np.bincount(groups, weight)
    squares = size * size
    freedom = max(float(effective_count(squares.sum(), squares @ squares)) - 1.0, 1.0)
    if groups is not None:
        return covariance * (freedom + 1.0) / freedom, freedom
    # Within a bin of n rows the residuals sum to 0.
    worth = np.concatenate(
        [
            effective_count(np.bincount(at, weight, len(s)), np.bincount(at, weight**2, len(s)))
            for at, s in zip(places, sizes, strict=True)
        ]
    )
    scale = np.sqrt(worth / np.maximum(worth - 1.0, 0.5))
    return covariance * scale * scale[:, None], freedom


def squared_error_difference(
    models: tuple[BinGaps, BinGaps], covariance: FloatArray, freedom: float, level: float, seed: int
) -> Tested:
    """Difference of two debiased squared l2 errors, by joint draws of the gaps of all bins.

    The gaps drawn lie about those observed, shrunk by one factor so that what the noise of the
    gaps adds to the variance of the difference is not counted twice: with gaps e, their
    covariance S and M = diag(shares, -shares), e'MSMe is too large by tr(MSMS) on average. What
    is drawn less what is true is then the noise of the difference.
    """
    gap = np.concatenate([m.gap for m in models])
    m = np.concatenate((models[0].share, -models[1].share))
    bias = float(m @ np.diag(covariance))
    moved = covariance * m
    spread, extra = float(gap @ (m * (moved @ gap))), float(np.einsum("ij,ji->", moved, moved))
    center = gap * np.sqrt(max(1.0 - extra / spread, 0.0)) if spread > 0 else gap
    z = _draws(covariance, freedom, seed)
    off = (2.0 * center + z) * z @ m - bias
    value = float(gap * gap @ m) - bias
    low, high = np.quantile(off, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    beyond = float(min(np.mean(off >= value), np.mean(off <= value)))
    p = min(1.0, 2.0 * (beyond * len(off) + 1.0) / (len(off) + 1.0))
    return Tested(value, value - float(high), value - float(low), p)


def _draws(covariance: FloatArray, freedom: float, seed: int) -> FloatArray:
    """Student's t draws with this covariance; each comes with its negative."""
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    half = rng.standard_normal((N_DRAWS // 2, len(covariance))) @ root.T
    half *= np.sqrt(freedom / rng.chisquare(freedom, size=(N_DRAWS // 2, 1)))
    return np.concatenate((half, -half))


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
