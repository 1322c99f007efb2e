"""Many groups of rows, which may overlap: sums of each, and their smallest p-value by chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky
from scipy.sparse import csr_matrix
from scipy.special import chndtr, gammainc, gammaincc, ndtr

from .._typing import FloatArray, IntArray

#: Draws are made in batches of at most this many numbers.
_BATCH = 4_000_000
#: Products of a draw with a row of a group that are affordable: labels of rows, and noise of atoms.
_MOST_LABELS, _MOST_NOISE = 100_000_000, 200_000_000


#: Variance below which events are too few for one scaled Poisson variable.
_FEW = 16.0


class Family(NamedTuple):
    """Groups as sets of atoms, into which all rows fall: ``member`` is of shape (groups, atoms)."""

    member: csr_matrix
    atom: IntArray  # of each row

    def sums(self, *values: FloatArray) -> list[FloatArray]:
        """Sums over the rows of each group."""
        n_atoms = self.member.shape[1]
        return [self.member @ np.bincount(self.atom, v, minlength=n_atoms) for v in values]

    def by_cluster(self, values: FloatArray, clusters: IntArray) -> csr_matrix:
        """Sums over the rows of each cluster in each group, of shape (groups, clusters)."""
        shape = self.member.shape[1], int(clusters.max()) + 1
        return csr_matrix(self.member @ csr_matrix((values, (self.atom, clusters)), shape=shape))


class Gaps(NamedTuple):
    """Moments of the sum of label minus score of each group, if the labels follow the scores."""

    variance: FloatArray
    third: FloatArray
    step: float  # smallest distance of two sums if it is known, or 0

    def p_values(self, gap: FloatArray, beyond: float = 0.0) -> FloatArray:
        """Two-sided p-values from discrete laws with these moments.

        The difference of two Poisson variables, rare events and rare non-events, or for more rows
        a moved and scaled Poisson variable. The p-value of a gap of less than ``beyond`` standard
        deviations is 1.
        """
        out = np.where((self.variance > 0) | (gap == 0.0), 1.0, 0.0)
        far = (self.variance > 0) & (np.abs(gap) >= beyond * np.sqrt(self.variance))
        few = far & (self.variance < _FEW) & (self.step > 0)
        for some, tail in ((few, _rare_tail), (far & ~few, _tail)):
            v, third = (np.broadcast_to(a, gap.shape)[some] for a in (self.variance, self.third))
            out[some] = 2.0 * tail(gap[some], v, third, self.step)
        return np.minimum(out, 1.0)


def _tail(gap: FloatArray, v: FloatArray, third: FloatArray, step: float) -> FloatArray:
    sd = np.sqrt(v)
    unit = np.where(third < 0, -1.0, 1.0) * np.maximum(np.abs(third) / v, 1e-3 * sd)
    late = np.maximum(step / 2.0 - np.abs(unit) / 2.0, 0.0)  # correction for continuity
    mean = v / (unit * unit)
    x = np.sign(gap) * np.maximum(np.abs(gap) - late, 0.0) / unit + mean
    above = x >= mean
    low = gammaincc(np.where(above, 1.0, np.maximum(x + 1.0, 1e-300)), mean)
    return np.asarray(np.where(above, gammainc(np.where(above, x, 1.0), mean), low))


def _rare_tail(gap: FloatArray, v: FloatArray, third: FloatArray, _: float) -> FloatArray:
    third = np.sign(gap) * third
    up, down = np.maximum(v + third, 0.0), np.maximum(v - third, 0.0)  # twice the means
    x = 2.0 * (np.abs(gap) + third)
    # The law of the difference is that of a noncentral chi-squared variable (Johnson 1959).
    above = chndtr(up, np.maximum(x, 1e-300), down)
    return np.asarray(np.where(x > 0, above, 1.0 - chndtr(down, 2.0 - np.minimum(x, 0.0), up)))


def label_minima(
    family: Family, p: FloatArray, w: FloatArray | None, gaps: Gaps, n_draws: int,
    rng: np.random.Generator,
) -> FloatArray | None:  # fmt: skip
    """Smallest p-value of all groups for each set of labels drawn from the scores.

    None if single rows are too many.
    """
    counts = np.bincount(family.atom, minlength=family.member.shape[1])
    if (family.member @ counts).sum() * n_draws > _MOST_LABELS:
        return None
    order = np.lexsort((p if w is None else w, p, family.atom))  # the order of rows says nothing
    family, p, w = family._replace(atom=family.atom[order]), p[order], w if w is None else w[order]
    rows = family.member.tocsc()[:, family.atom].tocsr()
    if w is not None:
        rows.data *= w[rows.indices]
    center = (rows @ p)[:, None]
    gaps = gaps._replace(variance=gaps.variance[:, None], third=gaps.third[:, None])
    # The smallest p-value of many groups is that of a group far from its mean.
    beyond = 1.5 if len(center) >= 50 else 0.0
    out = []
    for size in _batches(n_draws, max(len(p), len(center))):
        label = rng.random((len(p), size)) < p[:, None]
        gap = rows @ label.astype(np.float64) - center
        gap[np.abs(gap) < 1e-12 * center] = 0.0
        out.append(gaps.p_values(gap, beyond).min(axis=0))
    return np.concatenate(out)


def noise_minima(
    root: csr_matrix, n_draws: int, rng: np.random.Generator, *, signs: bool
) -> FloatArray:
    """Smallest normal p-value of all groups for each draw of independent noise.

    Row g of ``root`` holds what each unit adds to the noise of group g. With ``signs``, each
    unit's own sum keeps its size and gets a random sign (a wild bootstrap).
    """
    sd = np.sqrt(np.asarray(root.multiply(root).sum(axis=1)).ravel())
    root, sd = root[np.flatnonzero(sd > 0)], sd[sd > 0]
    if not len(sd):
        return np.ones(n_draws)
    into = csr_matrix(root.multiply(1.0 / sd[:, None]))
    if into.nnz * n_draws > _MOST_NOISE:
        signs, into = False, (into @ into.T).toarray()
        into[np.diag_indices(len(sd))] += 1e-8
        into = cholesky(into, lower=True, overwrite_a=True, check_finite=False)
    out = []
    for size in _batches(n_draws, max(into.shape)):
        shape = into.shape[1], size
        noise = 2.0 * rng.integers(0, 2, shape) - 1.0 if signs else rng.standard_normal(shape)
        out.append(2.0 * ndtr(-np.abs(into @ noise).max(axis=0)))
    return np.concatenate(out)


def _batches(n: int, length: int) -> list[int]:
    step = max(1, _BATCH // length)
    return [min(step, n - start) for start in range(0, n, step)]


def among_all(p: FloatArray, minima: FloatArray) -> FloatArray:
    """p-values that allow for the choice of the smallest (Westfall and Young 1993)."""
    # A drawn p-value that differs by rounding is equal.
    below = np.searchsorted(np.sort(minima), p * (1.0 + 1e-9), side="right")
    return np.asarray((below + 1.0) / (len(minima) + 1.0), dtype=np.float64)


def shrunk(value: FloatArray, variance: FloatArray) -> FloatArray:
    """Empirical Bayes estimates (DerSimonian and Laird 1986): pulled to their common mean.

    Values without a positive finite variance are left out and stay NaN.
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
    tau2 = max(float(between / (weight.sum() - weight @ weight / weight.sum())), 0.0)
    weight = 1.0 / (v + tau2)
    center = weight @ e / weight.sum()
    out[known] = center + tau2 / (tau2 + v) * (e - center)
    return out
