"""Labels of groups that depend on each other through a normal variable that a group shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from .._typing import FloatArray, IntArray

#: Terms of the tetrachoric series; correlations are looked for up to this one.
_TERMS, _MOST = 20, 0.95
#: Fewest degrees of freedom of the correlation.
_LEAST_FREEDOM = 4.0
#: Numbers drawn together.
_BATCH = 2_000_000


class Parts(NamedTuple):
    """Rows of one group in one cell, in the order of the groups."""

    group: IntArray
    cell: IntArray
    p: FloatArray  # mean score
    n: IntArray
    w: FloatArray
    w2: FloatArray
    residual: FloatArray  # sum of w (y - p)

    @property
    def starts(self) -> IntArray:
        """Where each group begins."""
        return np.flatnonzero(np.diff(self.group, prepend=-1))


def parts_of(
    p: FloatArray, residual: FloatArray, w: FloatArray, cell: IntArray, group: IntArray, k: int
) -> Parts:
    """Rows summed by group and cell, of which there are k."""
    key, place, n = np.unique(group * k + cell, return_inverse=True, return_counts=True)
    total = np.bincount(place, w)
    w2, moved = (np.bincount(place, v).astype(np.float64) for v in (w * w, residual))
    mean = np.bincount(place, w * p) / total
    return Parts(key // k, key % k, mean, n, np.asarray(total, dtype=np.float64), w2, moved)


def shared_correlations(parts: Parts, squares: float, factor: FloatArray) -> FloatArray:
    """Correlations of the latent normal variables of two rows of a group, by moments.

    One for each factor, by which the sum of the squares of the groups' residuals is multiplied.
    ``squares`` is the sum of the squares of the rows' own residuals. The products of different rows
    of a group are compared with the tetrachoric series of the covariance of two labels, whose terms
    are products.
    """
    starts = parts.starts
    c = ndtri(np.clip(parts.p, 1e-300, 1.0 - 1e-16))
    density = np.exp(-0.5 * c * c) / np.sqrt(2.0 * np.pi)
    before, now = np.zeros_like(c), density  # Hermite functions, over the root of k!
    series = [0.0]
    for k in range(1, _TERMS + 1):
        sums = np.add.reduceat(parts.w * now, starts)
        series.append(float(sums @ sums - parts.w2 @ now**2))
        later = c * now - np.sqrt((k - 1.0) ** 2 / k) * before
        before, now = now, later / np.sqrt(k + 1.0)
    grid = np.linspace(0.0, _MOST, 400)
    moments = np.maximum.accumulate(np.polynomial.polynomial.polyval(grid, series))
    if not moments[-1] > 0:  # each group is one row
        return np.zeros_like(factor)
    total = float((np.add.reduceat(parts.residual, starts) ** 2).sum())
    return np.interp(factor * total - squares, moments, grid)


def freedom_of(parts: Parts) -> float:
    """Degrees of freedom that the groups' dependence is known on: the equal normal groups whose
    squared residuals would vary as much."""
    sums = np.add.reduceat(parts.residual, parts.starts)
    square, n = float(sums @ sums), len(sums)
    varied = float((sums**4).sum()) - square**2 / n
    return float(np.clip(2.0 * square**2 / max(varied, 1e-300), _LEAST_FREEDOM, max(n - 1, 1)))


def label_draws(parts: Parts, rho: FloatArray, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Sums of ``w (y - p)`` of each part, for labels whose probabilities are the scores.

    A label set is drawn for each correlation.
    """
    c = ndtri(np.clip(parts.p, 1e-300, 1.0 - 1e-16))
    place = np.cumsum(np.diff(parts.group, prepend=-1) != 0) - 1
    spread = np.sqrt(parts.n * parts.w2) / parts.w
    step = max(1, _BATCH // len(c))
    for start in range(0, len(rho), step):
        own = rho[start : start + step, None]
        shared = rng.standard_normal((len(own), place[-1] + 1))[:, place] * np.sqrt(own)
        truth = ndtr((c - shared) / np.sqrt(1.0 - own))
        drawn = spread * (rng.binomial(parts.n, truth) / parts.n - truth)
        yield parts.w * (drawn + truth - parts.p)


def robust_quadratic(
    residual: FloatArray, loadings: FloatArray, starts: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Cluster-robust score statistics U' V^-1 U of residuals of parts, one in each row, and U.

    V is the sum of the products of the groups' own sums.
    """
    each = [np.add.reduceat(residual * column, starts, axis=-1) for column in loadings.T]
    sums = np.stack(each, axis=-1)
    u = sums.sum(axis=-2)
    v = np.einsum("...gi,...gj->...ij", sums, sums)
    solved = (np.linalg.pinv(v, hermitian=True) @ u[..., None])[..., 0]
    return (u * solved).sum(axis=-1), u
