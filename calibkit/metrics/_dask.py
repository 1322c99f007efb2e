"""`ScoreTable.from_dask`: each partition is summed by itself, and the sums are added in a tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._core.errors import InputError, InputTypeError, message_of
from .._core.inputs import check_largest, check_lengths, finite_weights, validate_scores
from .._core.labels import validate_labels
from .._core.optional import require
from .._core.printed import a_type, quoted, spelled
from .._core.rows import LEAST_WEIGHT, Binary, binary_codes, check_event, checked_counts
from .._numerics.binning import distinct_starts
from .._typing import Weights
from ._cells import (
    Cells,
    Columns,
    Grid,
    added,
    check_settings,
    in_order,
    of_groups,
    refuse_unclear,
    table_of,
)

if TYPE_CHECKING:
    from ._table import ScoreTable

#: Rows that are looked at first, per cell: with more distinct scores, none need be counted.
_LOOK = 4
#: Partitions, and then sums of them, that one task adds.
_TOGETHER = 8
#: Weights below this are zero: their squares underflow.
_LEAST = 1e-150


class FromDask:
    """The constructor of :class:`ScoreTable` that reads a Dask collection."""

    __slots__ = ()

    @classmethod
    def from_dask(
        cls,
        frame: Any = None,
        *,
        label: Any,
        score: Any,
        weight: Any = None,
        by: Any = None,
        n_bins: int | None = None,
        n_cells: int | None = 4096,
        weights: Weights = "sampling",
        pos_label: Any = None,
    ) -> Any:
        """Build a table from a Dask data frame or Dask arrays, each partition summed by itself.

        Only sums leave the partitions. With at most ``n_cells`` distinct scores the table is that
        of :meth:`from_arrays`. With more, each entry is a cell of neighboring scores at their mean,
        and the table also keeps the sums of the rows' squared errors and log losses.

        Parameters
        ----------
        frame : dask.dataframe.DataFrame, optional
            The rows. Left out if the columns are Dask arrays.
        label, score : str or dask.array.Array
            Names of the columns of labels (two values) and of probabilities, or arrays of them.
        weight : str or dask.array.Array, optional
            Weights >= 0.
        by : str, list of str, dask.array.Array or list of them, optional
            Groups.
        n_bins : int, optional
            Equal-width bins whose borders no cell crosses. Errors of these bins, or of a divisor of
            their number, are those of the rows: 60 bins allow 10, 12, 15, 20 and 30 too.
        n_cells : int or None, default=4096
            Number of cells of equal width, beside narrower ones near 0 and 1. None: one entry for
            each distinct score, however many there are.
        weights : {"sampling", "frequency"}, default="sampling"
            As in :meth:`from_arrays`.
        pos_label : label, optional
            Label of the event. Needed unless labels are 0 and 1, or -1 and 1.

        Returns
        -------
        table : ScoreTable or dict
            The table; with ``by`` a dict with the table of each group. Its keys are the values of
            the column, or tuples of several columns. One group may have cells while another one has
            few distinct scores.

        Raises
        ------
        ValueError
            If there are no rows or no such columns, if values are missing, or if labels, scores or
            weights are invalid; the message names the partition.
        TypeError
            If ``frame`` is not a Dask data frame.
        ImportError
            If Dask is not installed.

        Notes
        -----
        With cells, these are exact but for rounding: Brier score, log loss, their skill scores, the
        base rate, and errors of the bins of ``n_bins``. Other metrics are those of scores moved by
        less than 1/n_cells, and by less than 0.01 on the scale of log-odds;
        ``docs/any_amount.md`` lists the errors.

        The graph is computed once, by the scheduler that Dask would use for ``frame``. Partitions
        that are lost with a worker are computed again.

        Examples
        --------
        >>> import pandas as pd
        >>> import dask.dataframe as dd
        >>> from calibkit import ScoreTable, brier_score
        >>> games = pd.DataFrame({"won": [0, 1, 1, 0], "model": [0.2, 0.2, 0.9, 0.4]})
        >>> games = dd.from_pandas(games.assign(league=["A", "A", "B", "B"]), npartitions=2)
        >>> table = ScoreTable.from_dask(games, label="won", score="model")
        >>> round(brier_score(table), 4)
        0.2125
        >>> tables = ScoreTable.from_dask(games, label="won", score="model", by="league")
        >>> {league: t.n_rows for league, t in tables.items()}
        {'A': 2, 'B': 2}
        """
        check_settings(weights, n_bins, n_cells)
        check_event(pos_label)
        require("dask", "dask")
        arrays = {} if frame is not None else _arrays(label, score, weight, by)
        if arrays:
            names = [name for name in arrays if name not in ("label", "score", "weight")]
            columns = Columns("label", "score", "weight" if "weight" in arrays else None, names)
        else:
            columns = Columns.checked(label, score, weight, by)
        grid = None if n_cells is None else Grid(n_bins or 1, n_cells)
        plan = _Plan(cls, columns, grid, n_cells or 0, weights == "frequency", pos_label)
        parts = plan.blocks(arrays) if arrays else plan.partitions(frame)
        try:
            tables = plan.tables(plan.joined([_in_tree(plan, parts).compute()]))
        except (InputError, InputTypeError) as error:  # told anew, with the call of the user
            raise type(error)(message_of(error), place=error.place) from None
        return of_groups(tables, by if isinstance(by, (str, list, tuple)) or by is None else "")


class _Sums(NamedTuple):
    """The sums of some partitions."""

    groups: dict[tuple[Any, ...], Any]  # a ScoreTable, or Cells if it had too many entries
    labels: dict[Any, int]  # the first partition that holds each label
    largest: float = 0.0  # weight


class _Plan(NamedTuple):
    """What is summed, and how; workers get it."""

    cls: Any
    columns: Columns
    grid: Grid | None
    n_cells: int
    counts: bool
    pos_label: Any

    def partitions(self, frame: Any) -> list[Any]:
        """The sums of each partition of a data frame, to be computed."""
        if not (isinstance(getattr(frame, "npartitions", None), int) and hasattr(frame, "columns")):
            raise InputTypeError(
                f"frame is {a_type(frame)}; expected a Dask data frame. Pass rows in memory to "
                "ScoreTable.from_arrays, and Dask arrays as label and score, without a frame."
            )
        self.columns.refuse_unknown(list(frame.columns))
        label, score, weight, by = self.columns
        names = dict.fromkeys(n for n in (label, score, weight, *by) if n is not None)
        told = {"meta": ("sums", "object"), "enforce_metadata": False}
        if not set(frame.columns) <= set(names):  # to select all of them would copy the rows
            frame = frame[list(names)]
        return frame.map_partitions(self._partition, **told).to_delayed()

    def blocks(self, arrays: dict[str, Any]) -> list[Any]:
        """The sums of each block of arrays, to be computed."""
        told = {"dtype": object, "meta": np.empty(0, dtype=object)}
        module, chunks = require("dask.array", "dask"), arrays["label"].chunks
        # Without this, arrays of several chunks fail when Dask joins the tasks.
        alike = [a if _alike(a.chunks, chunks) else a.rechunk(chunks) for a in arrays.values()]
        return module.map_blocks(self._block, *alike, **told).to_delayed().tolist()

    def _partition(self, frame: Any, partition_info: Any = None) -> _Sums:
        return self.part(frame, partition_info["number"])

    def _block(self, *arrays: Any, block_id: Any = None) -> _Sums:
        label, score, weight, by = self.columns
        names = [label, score, *([] if weight is None else [weight]), *by]
        return self.part(dict(zip(names, arrays, strict=True)), block_id[0])

    def part(self, rows: Any, number: int) -> _Sums:
        """The sums of one partition: of a data frame, or a dict of arrays."""
        try:
            return self._part(rows, number)
        except (InputError, InputTypeError) as error:
            text = self.named(message_of(error))
            raise type(error)(f"partition {number}: {text}", place=error.place) from None

    def named(self, message: str) -> str:
        """A message with the name of the column of weights."""
        weight = self.columns.weight
        return message if weight is None else message.replace("sample_weight", _said(weight))

    def _part(self, rows: Any, number: int) -> _Sums:
        label, score, weight, by = self.columns
        n = len(rows[label])
        for name in (score, *by):  # chunks of unknown sizes
            check_lengths(n, len(rows[name]), (_said(label), _said(name)))
        if n == 0:
            return _Sums({}, {})
        distinct, codes = validate_labels(rows[label], name=_said(label))
        if self.pos_label is None:
            refuse_unclear(distinct.tolist(), f"{_said(label)} holds")
        _, y = binary_codes(distinct, codes, self.pos_label, _said(label))
        p = validate_scores(rows[score], scale="probability", name=_said(score)).values
        w = None if weight is None else finite_weights(rows[weight], n)
        largest = 1.0 if w is None else float(w.max())
        if largest > 1.0:
            check_largest(largest)
        if w is not None and w.min() < (least := max(LEAST_WEIGHT * largest, _LEAST)):
            w = np.where(w < least, 0.0, w)
        w = checked_counts(y, w) if self.counts else w
        kept = None if w is None or w.all() else w > 0.0
        groups = {}
        for key, index in _split(rows, by, n):
            some = index if kept is None else np.arange(n)[index][kept[index]]
            binary = Binary(p[some], y[some], None if w is None else w[some], self.counts)
            if len(binary.p):
                groups[key] = self.of_rows(binary)
        return _Sums(groups, dict.fromkeys(distinct.tolist(), number), largest)

    def check_labels(self, labels: dict[Any, int]) -> None:
        """Raise unless the labels of several partitions say which of them is the event."""
        last = max(labels, key=labels.__getitem__, default=None)
        name = _said(self.columns.label)
        try:
            if self.pos_label is None:
                so_far = f"{name} holds {spelled(last)}, and the partitions so far hold"
                refuse_unclear(labels, so_far)
            elif labels:
                distinct = np.array([*labels], dtype=object)
                binary_codes(distinct, np.zeros(0, dtype=int), self.pos_label, name)
        except InputError as error:
            raise InputError(f"partition {labels[last]}: {message_of(error)}") from None

    def of_rows(self, rows: Binary) -> Any:
        """The table of rows, or their cells."""
        if self.grid is not None:
            first = rows.p[: _LOOK * self.n_cells]
            if len(first) > self.n_cells and len(np.unique(first)) > self.n_cells:
                return self.grid.of_rows(rows)
        return self.bounded(self.cls._from_binary(rows))

    def bounded(self, table: ScoreTable) -> Any:
        """The table, or its cells if it has more entries than there are cells."""
        if self.grid is None or len(table) <= self.n_cells:
            return table
        return self.grid.of_table(table)

    def joined(self, parts: list[_Sums]) -> _Sums:
        """The sums of all parts."""
        labels: dict[Any, int] = {}
        found: dict[tuple[Any, ...], list[Any]] = {}
        for part in parts:
            for label, number in part.labels.items():
                labels.setdefault(label, number)
            for key, sums in part.groups.items():
                found.setdefault(key, []).append(sums)
        self.check_labels(labels)
        largest = max(part.largest for part in parts)
        return _Sums({key: self._added(sums) for key, sums in found.items()}, labels, largest)

    def _added(self, sums: list[Any]) -> Any:
        cells = [one for one in sums if isinstance(one, Cells)]
        tables = [one for one in sums if not isinstance(one, Cells)]
        if tables:
            total = self.bounded(sum(tables))
            if not cells:
                return total
            assert self.grid is not None
            cells.append(total if isinstance(total, Cells) else self.grid.of_table(total))
        return added(cells)

    def tables(self, sums: _Sums) -> dict[tuple[Any, ...], ScoreTable]:
        """The table of each group, in order."""
        if not sums.groups:
            raise InputError("there are no rows, or none with a weight; expected at least one row.")
        rows, by = [(*key, one) for key, one in sums.groups.items()], len(self.columns.by)
        try:
            check_largest(sums.largest)
            return {tuple(key): self._table(one) for *key, one in in_order(rows, by)}
        except InputError as error:
            raise InputError(self.named(message_of(error))) from None

    def _table(self, sums: Any) -> ScoreTable:
        if self.counts:
            w = sums.sums[1] if isinstance(sums, Cells) else sums.w
            checked_counts(np.zeros(len(w), dtype=int), w)
        if not isinstance(sums, Cells):
            return sums
        assert self.grid is not None
        *columns, wp = sums.sums
        return table_of(self.cls, self.grid.scores(wp, columns[1], sums.key), columns, sums.losses)


def _arrays(label: Any, score: Any, weight: Any, by: Any) -> dict[str, Any]:
    """Dask arrays by the names of their columns."""
    arrays = {"label": label, "score": score}
    if weight is not None:
        arrays["weight"] = weight
    groups = by if isinstance(by, (list, tuple)) else [] if by is None else [by]
    arrays.update({f"by[{i}]": group for i, group in enumerate(groups)})
    for name, array in arrays.items():
        if not (hasattr(array, "numblocks") and hasattr(array, "map_blocks")):
            raise InputTypeError(
                f"frame is None and {name} is {a_type(array)}; expected a Dask array. For names "
                "of columns pass a Dask data frame first."
            )
        if array.ndim != 1:
            raise InputError(f"{name} has shape {array.shape}; expected shape (n,).")
        if array.shape != label.shape and not np.isnan([*array.shape, *label.shape]).any():
            raise InputError(
                f"{name} has {array.shape[0]:,} rows, and label {label.shape[0]:,}; expected "
                "arrays of the same length."
            )
    return arrays


def _in_tree(plan: _Plan, parts: list[Any]) -> Any:
    """The sum of all parts, to be computed."""
    join = require("dask", "dask").delayed(plan.joined)
    while len(parts) > 1:
        several = [parts[i : i + _TOGETHER] for i in range(0, len(parts), _TOGETHER)]
        parts = [join(some) for some in several]
    return parts[0]


def _said(name: Any) -> str:
    """The name of a column, which may be a number in pandas, as it stands in a message."""
    return quoted(str(name))


def _alike(chunks: Any, others: Any) -> bool:
    """Whether chunks are the same, as far as is known."""
    known = ~np.isnan([*chunks[0], *others[0]])
    if known.all():
        return bool(chunks == others)
    if known.any() or len(chunks[0]) != len(others[0]):
        raise InputError(
            "some of the arrays have chunks of unknown sizes, and these are not those of the "
            "others; expected arrays in the same chunks. Call compute_chunk_sizes() on them, or "
            "pass a Dask data frame with the names of its columns."
        )
    return True


def _split(rows: Any, by: list[str], n: int) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The key of each group, and the places of its rows."""
    if not by:
        yield (), slice(None)
        return
    groups = require("pandas").DataFrame({name: rows[name] for name in by})
    for name, bad in groups.isna().sum().items():
        if bad:
            raise InputError(
                f"{_said(name)} is missing (None or NaN) in {bad:,} rows; expected a value in "
                "every row. Leave these rows out before: frame.dropna(subset=...)."
            )
    codes = groups.groupby(by, sort=False, observed=True).ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = distinct_starts(codes[order])
    keys = (groups[name].iloc[order[starts]].tolist() for name in by)
    yield from zip(zip(*keys, strict=True), np.split(order, starts[1:]), strict=True)
