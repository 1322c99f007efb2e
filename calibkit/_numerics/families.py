"""Many groups of rows, which may overlap: sums of each, and their largest statistic by chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import ndtr

from .._typing import FloatArray, IntArray

#: Simulated label sets are made in batches of at most this many numbers.
_BATCH = 4_000_000
#: Bands of the score within an atom, where rows are too many to draw one by one.
_BANDS = 16
#: Draw single rows up to this number.
_MOST_ROWS = 20_000


class Family(NamedTuple):
    """Groups as sets of atoms, into which all rows fall: ``member`` is of shape (groups, atoms)."""

    member: csr_matrix
    atom: IntArray  # of each row

    def sums(self, *values: FloatArray) -> list[FloatArray]:
        """Sums over the rows of each group."""
        n_atoms = self.member.shape[1]
        return [self.member @ np.bincount(self.atom, v, minlength=n_atoms) for v in values]


def noise_draws(
    family: Family,
    p: FloatArray,
    w: FloatArray | None,
    clusters: IntArray | None,
    residual: FloatArray,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Sums of label minus score of each group for calibrated scores, of shape (draws, groups).

    Labels are drawn from the scores; where rows of a cluster depend on each other, the signs of
    the clusters' own sums are (a wild bootstrap).
    """
    n_atoms = family.member.shape[1]
    if clusters is not None:
        return _wild(family, residual, clusters, n_draws, rng)
    atom = family.atom
    if len(p) > _MOST_ROWS:
        band = np.minimum((p * _BANDS).astype(np.intp), _BANDS - 1)
        if w is not None:  # rows of like weight together
            band += _BANDS * np.searchsorted(np.quantile(w, np.arange(1, 8) / 8), w)
        cell, place = np.unique(atom * (_BANDS * 8) + band, return_inverse=True)
        count = np.bincount(place)
        mean = np.bincount(place, p) / count
        size = np.ones(len(count)) if w is None else np.sqrt(np.bincount(place, w * w) / count)
        of_cell = cell // (_BANDS * 8)
    else:
        count, mean, of_cell = np.ones(len(p), dtype=np.intp), p, atom
        size = np.ones(len(p)) if w is None else w
    into = csr_matrix((size, (of_cell, np.arange(len(mean)))), shape=(n_atoms, len(mean)))
    into = family.member @ into
    step = max(1, _BATCH // len(mean))
    out = np.empty((n_draws, family.member.shape[0]))
    for start in range(0, n_draws, step):
        some = slice(start, min(start + step, n_draws))
        drawn = rng.binomial(count, mean, size=(some.stop - some.start, len(mean)))
        out[some] = (into @ (drawn - count * mean).T).T
    return out


def _wild(
    family: Family, residual: FloatArray, clusters: IntArray, n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:  # fmt: skip
    n_clusters = int(clusters.max()) + 1
    shape = family.member.shape[1], n_clusters
    held = family.member @ csr_matrix((residual, (family.atom, clusters)), shape=shape)
    factor = np.sqrt(n_clusters / max(n_clusters - 1, 1))
    signs = rng.choice([-factor, factor], size=(n_clusters, n_draws))
    return np.asarray((held @ signs).T)


def largest(z: FloatArray, draws: FloatArray) -> FloatArray:
    """p-values of each statistic against the largest of all by chance (Westfall and Young 1993)."""
    top = np.sort(np.abs(draws).max(axis=1))
    above = len(top) - np.searchsorted(top, np.abs(z), side="left")
    return np.asarray((above + 1.0) / (len(top) + 1.0), dtype=np.float64)


def two_sided(z: FloatArray) -> FloatArray:
    """Two-sided p-values of normal statistics."""
    return np.asarray(2.0 * ndtr(-np.abs(z)))


def shrunk(value: FloatArray, variance: FloatArray) -> FloatArray:
    """Empirical Bayes estimates (DerSimonian and Laird 1986): pulled to their common mean.

    Values without a finite variance are left out and stay NaN.
    """
    known = np.isfinite(value) & np.isfinite(variance) & (variance > 0)
    out = np.full(len(value), np.nan)
    if known.sum() < 2:
        out[known] = value[known]
        return out
    e, v = value[known], variance[known]
    weight = 1.0 / v
    mean = weight @ e / weight.sum()
    between = weight @ (e - mean) ** 2 - (len(e) - 1.0)
    tau2 = max(between / (weight.sum() - weight @ weight / weight.sum()), 0.0)
    weight = 1.0 / (v + tau2)
    center = weight @ e / weight.sum()
    out[known] = center + tau2 / (tau2 + v) * (e - center)
    return out
