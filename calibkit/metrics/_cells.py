"""What tables of rows in a database and of Dask collections share: columns, cells, groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.params import check_choice, check_int
from .._core.printed import a_type, few, listed, spelled
from .._core.rows import WEIGHTS, Binary
from .._numerics.losses import LOG_EPS
from .._typing import FloatArray, IntArray

if TYPE_CHECKING:
    from ._table import ScoreTable

#: Cells per unit of log-odds near 0 and 1: as narrow there as the widest of the others.
TAIL = 128
#: Beside a number of cells: a score on a border is never below it.
FACTOR = 1.0 + 2.0**-51
#: Probabilities nearer to 0 or 1 than this are in one cell.
_NEAREST = 1e-16
#: Cells near 0 or 1, at most.
_REACH = ceil(-TAIL * np.log(_NEAREST)) + 1
#: Rows that are summed at once: many more than there are cells, and few enough for a cache.
_ROWS = 2**17
#: Factors whose product is still far from an underflow.
_TOGETHER = 16


class Columns(NamedTuple):
    """Names of the columns that are read."""

    label: str
    score: str
    weight: str | None
    by: list[str]

    @classmethod
    def checked(cls, label: str, score: str, weight: str | None, by: Any) -> Columns:
        """The names; ``by`` may be one of them or a list."""
        if not (by is None or isinstance(by, (str, list, tuple))):
            raise InputTypeError(f"by is {a_type(by)}; expected a name, or a list of names.")
        return cls(label, score, weight, [by] if isinstance(by, str) else list(by or ()))

    def refuse_unknown(self, names: list[str]) -> None:
        """Raise unless all are among the names."""
        weight = [] if self.weight is None else [self.weight]
        asked = {"label": [self.label], "score": [self.score], "by": self.by, "weight": weight}
        for option, wanted in asked.items():
            for name in wanted:
                if getattr(name, "ndim", 0):
                    raise InputTypeError(f"{option} is {a_type(name)}; expected a column's name.")
                if name not in names:
                    raise InputError(
                        f"{option}={spelled(name)}: no such column; expected one of "
                        f"{listed([str(n) for n in names])}."
                    )


def check_settings(weights: Any, n_bins: Any, n_cells: Any) -> None:
    """Raise unless the settings of a table of cells are valid."""
    check_choice("weights", weights, WEIGHTS)
    for name, value, high in (("n_bins", n_bins, 10_000), ("n_cells", n_cells, 1_000_000)):
        if value is not None:
            check_int(name, value, low=1, high=high)


def of_groups(tables: dict[tuple[Any, ...], Any], by: str | Sequence[str] | None) -> Any:
    """The table, or the dict of tables that was asked for."""
    if by is None:
        return tables[()]
    return {key[0] if isinstance(by, str) else key: table for key, table in tables.items()}


def in_order(rows: list[Any], by: int, more: int = 0) -> list[Any]:
    """Rows that begin with ``by`` groups, sorted by them and by ``more`` columns."""
    try:
        return sorted(rows, key=itemgetter(slice(by + more)))
    except TypeError:  # groups of several types
        return sorted(rows, key=lambda row: (repr(row[:by]), row[by : by + more]))


def refuse_unclear(labels: Iterable[Any], what: str) -> None:
    """Raise unless labels that are found piece by piece say themselves which is the event."""
    seen = set(labels)
    if any(isinstance(v, str) for v in seen) or not (seen <= {0, 1} or seen <= {-1, 1}):
        raise InputError(
            f"{what} the labels {few(sorted(seen, key=repr))}; expected 0 and 1, -1 "
            "and 1, or bools. For other labels pass pos_label, the label of the event."
        )


class Cells(NamedTuple):
    """Sums of rows by the number of their cell, which is in ascending order."""

    key: IntArray
    sums: FloatArray  # rows n, w, wy, w2, w2y, wp
    losses: FloatArray


class Grid:
    """Cells of equal width that no border of a bin crosses, narrower near 0 and 1.

    The first and last few are divided in equal parts of the logarithm of the distance to 0 or 1.
    """

    def __init__(self, n_bins: int, n_cells: int) -> None:
        self.n_bins, self.size = n_bins, n_bins * max(ceil(n_cells / n_bins), TAIL)

    def cells(self, p: FloatArray) -> FloatArray:
        """Number of the cell of each score, a whole number."""
        # A little above the size, so that rounding never puts a score on a border into the cell
        # below it. Scores that it puts into the cell above are put back.
        k = p * (self.size * FACTOR)
        np.floor(k, out=k)
        k[np.flatnonzero(p < k / self.size)] -= 1.0
        low, high = TAIL / self.size, (self.size - TAIL) / self.size
        outer = np.flatnonzero((p < low) | (p >= high))
        near = p[outer]
        below = near < low
        part = np.log(np.maximum(np.where(below, near, 1.0 - near), _NEAREST))
        part = np.floor(TAIL * part)
        k[outer] = np.where(below, part, self.size - part)
        return k

    def of_rows(self, rows: Binary) -> Cells:
        """Sums of rows with the labels 0 and 1, in blocks and without a sort."""
        n = 2 * (self.size + 2 * _REACH + 1)  # cells, each of rows without and with the event
        sums, losses = np.zeros((4, n)), np.zeros(2)
        for start in range(0, len(rows.p), _ROWS):
            block = slice(start, start + _ROWS)
            p, y = rows.p[block], rows.y[block].astype(np.float64)
            w = None if rows.w is None else rows.w[block]
            at = self.cells(p)
            at += _REACH
            at *= 2.0
            at += y
            cell = at.astype(np.int64)
            sums[0] += np.bincount(cell, minlength=n)
            sums[1] += np.bincount(cell, p if w is None else w * p, minlength=n)
            if w is not None:
                sums[2] += np.bincount(cell, w, minlength=n)
                sums[3] += np.bincount(cell, w * w, minlength=n)
            losses += _losses(p, y, w)
        n_rows, wp, weight, w2 = sums.reshape(4, -1, 2)
        if rows.w is None:
            weight = w2 = n_rows
        elif rows.counts:
            n_rows = w2 = weight
        n_rows, wp = n_rows.sum(1), wp.sum(1)
        columns = [n_rows, weight.sum(1), weight[:, 1], w2.sum(1), w2[:, 1], wp]
        key = np.flatnonzero(n_rows)
        return Cells(key - _REACH, np.stack(columns)[:, key], losses)

    def of_table(self, table: ScoreTable) -> Cells:
        """Sums of a table with an entry for each score."""
        sums = (table.n, table.w, table.wy, table.w2, table.w2y, table.w * table.p)
        return added([Cells(self.cells(table.p).astype(np.int64), np.stack(sums), table._losses())])

    def scores(self, wp: FloatArray, w: FloatArray, key: FloatArray | IntArray) -> FloatArray:
        """Mean scores of cells in ascending order, none moved out of its bin by rounding."""
        place = np.clip(key // (self.size // self.n_bins), 0, self.n_bins - 1)
        high = np.nextafter((place + 1) / self.n_bins, 0.0)
        high = np.where(place == self.n_bins - 1, 1.0, high)
        return np.maximum.accumulate(np.clip(wp / w, place / self.n_bins, high))


def added(parts: list[Cells]) -> Cells:
    """The sums of parts with the same grid."""
    key, at = np.unique(np.concatenate([part.key for part in parts]), return_inverse=True)
    columns = np.concatenate([part.sums for part in parts], axis=1)
    sums = [np.bincount(at, column, minlength=len(key)) for column in columns]
    return Cells(key, np.stack(sums), np.sum([part.losses for part in parts], axis=0))


def table_of(cls: Any, p: FloatArray, sums: Sequence[FloatArray], losses: Any = None) -> ScoreTable:
    """The table of sums n, w, wy, w2 and w2y at scores in ascending order, some of them equal."""
    p, at = np.unique(p, return_inverse=True)
    n, *others = (np.bincount(at, column, minlength=len(p)) for column in sums)
    return cls(p, n.astype(np.int64), *others, others[-1], losses)


def _losses(p: FloatArray, y: FloatArray, w: FloatArray | None) -> FloatArray:
    """Sums of the squared errors and log losses of rows with the labels 0 and 1."""
    off, own = p - y, 1.0 - y
    own -= p
    np.maximum(np.abs(own, out=own), LOG_EPS, out=own)
    if w is not None:
        return np.array([(w * off) @ off, -(w @ np.log(own))])
    # The logarithm of a product takes less time than that of each factor.
    n = len(own) // _TOGETHER * _TOGETHER
    product = np.prod(own[:n].reshape(_TOGETHER, -1), axis=0)
    return np.array([off @ off, -(np.log(product).sum() + np.log(own[n:]).sum())])
