"""Label sets of a calibrated model, and what a statistic is of each, with or without groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import chdtri

from .._core.rows import Binary
from .._numerics.binning import assign
from .._numerics.copula import (
    Parts,
    freedom_of,
    parts_of,
    robust_quadratic,
    shared_correlations,
)
from .._numerics.copula import label_draws as correlated_labels
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray
from ._draws import label_draws, lower_ends
from ._spec import Kernel
from ._table import ScoreTable

#: Cells on which labels are drawn for each group.
OF_GROUPS = 64
#: So many groups need no model of their dependence: random signs do.
_MANY_GROUPS = 1000.0
#: Probability that the correlation of cluster-robust statistics lies below its limit.
_SURE = 0.99

#: Of label sets, one in each row.
Statistic = Callable[[FloatArray], FloatArray]


class Nulls:
    """Labels drawn from the scores on cells, as sums of labels or of residuals."""

    #: Whether robust statistics have their own label sets.
    apart = False

    def __init__(self, cells: ScoreTable, n_draws: int, seed: int) -> None:
        self.cells, self.law = cells, f"Monte Carlo, {n_draws:,} draws"
        self._n_draws, self._seed = n_draws, seed

    def of(self, kernel: Kernel) -> Statistic:
        """The statistic with this kernel."""
        return lambda wy: kernel(np.broadcast_to(self.cells.w, wy.shape), wy)

    def robust(self, loadings: FloatArray) -> Statistic | None:
        """With groups: the cluster-robust U'V^-1U of sums of residuals, its sign that of U."""
        return None

    def observed(self) -> FloatArray:
        return self.cells.wy[None]

    def sets(self, robust: bool) -> Iterator[FloatArray]:
        """Batches of label sets, for robust statistics or for others."""
        yield from label_draws(self.cells, self._n_draws, np.random.default_rng(self._seed), None)


class _GroupedNulls(Nulls):
    """Label sets as residuals of the rows of each group in each cell."""

    apart = True

    def __init__(
        self, cells: ScoreTable, parts: Parts, squares: float, n_draws: int, seed: int
    ) -> None:
        super().__init__(cells, n_draws, seed)
        self.parts = parts
        shape = len(parts.cell), len(cells)
        self.into = csr_matrix((np.ones(shape[0]), (np.arange(shape[0]), parts.cell)), shape=shape)
        factor = np.ones(n_draws + 2)  # the correlation is known on few groups
        freedom = freedom_of(parts)
        factor[2:] = freedom / np.random.default_rng(seed + 1).chisquare(freedom, n_draws)
        # Cluster-robust statistics depend on the correlation through their skewness only, and
        # groups without extreme members show too little of it.
        factor[1] = freedom / chdtri(freedom, _SURE)
        self.rho = shared_correlations(parts, squares, factor)
        self.law = f"Monte Carlo, correlation {self.rho[0]:.2f} in groups, {n_draws:,} draws"

    def of(self, kernel: Kernel) -> Statistic:
        of_residuals = _of_residuals(kernel, self.cells)
        return lambda r: of_residuals(r @ self.into)

    def robust(self, loadings: FloatArray) -> Statistic | None:
        of_parts, starts = loadings[self.parts.cell], self.parts.starts
        return lambda r: _signed(*robust_quadratic(r, of_parts, starts))

    def observed(self) -> FloatArray:
        return self.parts.residual[None]

    def sets(self, robust: bool) -> Iterator[FloatArray]:
        rho = np.full(self._n_draws, self.rho[1]) if robust else self.rho[2:]
        yield from correlated_labels(self.parts, rho, np.random.default_rng(self._seed))


class _SignedNulls(Nulls):
    """Residuals in each cell, with a random sign for each of many groups."""

    def __init__(self, cells: ScoreTable, units: FloatArray, n_draws: int, seed: int) -> None:
        super().__init__(cells, n_draws, seed)
        self.units = units
        self.law = f"random signs of groups, {n_draws:,} draws"

    def of(self, kernel: Kernel) -> Statistic:
        return _of_residuals(kernel, self.cells)

    def robust(self, loadings: FloatArray) -> Statistic | None:
        sums = self.units @ loadings
        inverse = np.linalg.pinv(sums.T @ sums, hermitian=True)  # signs don't change it

        def quadratic(r: FloatArray) -> FloatArray:
            u = r @ loadings
            return _signed(((u @ inverse) * u).sum(axis=-1), u)

        return quadratic

    def observed(self) -> FloatArray:
        return self.units.sum(axis=0)[None]

    def sets(self, robust: bool) -> Iterator[FloatArray]:
        rng = np.random.default_rng(self._seed)
        yield (2.0 * rng.integers(0, 2, size=(self._n_draws, len(self.units))) - 1.0) @ self.units


def _of_residuals(kernel: Kernel, cells: ScoreTable) -> Statistic:
    """The statistic as a function of residuals in the cells."""
    return lambda r: kernel(np.broadcast_to(cells.w, r.shape), cells.w * cells.p + r)


def _signed(square: FloatArray, u: FloatArray) -> FloatArray:
    """The root of the statistic of one sum, with its sign; that of several sums itself."""
    return np.copysign(np.sqrt(square), u[..., 0]) if u.shape[-1] == 1 else square


def nulls_of(
    table: ScoreTable,
    cells: ScoreTable,
    rows: Binary | None,
    groups: IntArray | None,
    n_draws: int,
    rng: np.random.Generator,
) -> Nulls:
    """Independent labels, labels with the correlation of the groups, or random signs of groups."""
    seed = int(rng.integers(2**31))
    if groups is None:
        return Nulls(cells, n_draws, seed)
    assert rows is not None
    w = np.ones(len(rows.p)) if rows.w is None else rows.w
    residual, cell = w * (rows.y - rows.p), assign(rows.p, lower_ends(table, cells))
    size, k = np.bincount(groups, w), len(cells)
    fractions = not np.array_equal(table.w2y, table.w2yy)  # which vary less than labels
    if fractions or effective_count(size.sum(), size @ size) >= _MANY_GROUPS:
        # Sums of independent groups are independent too, so groups may be joined.
        joined = groups % int(_MANY_GROUPS)
        units = np.bincount(joined * k + cell, residual, minlength=int(_MANY_GROUPS) * k)
        return _SignedNulls(cells, units.reshape(-1, k).astype(np.float64), n_draws, seed)
    parts = parts_of(rows.p, residual, w, cell, groups, k)
    return _GroupedNulls(cells, parts, float(residual @ residual), n_draws, seed)
