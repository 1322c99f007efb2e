"""Columns of a table as arrays: numbers and labels, with the place of every bad cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

import numpy as np

from .._core.optional import require
from .._numerics.links import FloatArray
from .files import SEPARATORS, Source, to_number


class Table:
    """A table whose columns are read when they are asked for by :meth:`read`."""

    def __init__(self, source: Source) -> None:
        self.source = source.hold()
        self.columns = self._column_names()
        self._series: dict[str, Any] = {}

    def _column_names(self) -> list[str]:
        if self.source.kind == "parquet":
            with parquet_errors(self.source):
                return scan_parquet(self.source).collect_schema().names()
        with self.source.text() as (text, _):
            return text.columns

    def read(self, names: list[str]) -> None:
        """Read these columns."""
        names = list(dict.fromkeys(names))
        if self.source.kind == "parquet":
            with parquet_errors(self.source):
                frame = scan_parquet(self.source).select(names).collect()
            self._series = {n: frame[n] for n in names}
        else:
            self._series = self._quick_csv(names) or self._text(names)
        if len(next(iter(self._series.values()))) == 0:
            raise ValueError(f"{self.source.name}: there are no rows.")

    def _quick_csv(self, names: list[str]) -> dict[str, Any] | None:
        """By polars; None where it stumbles, for blank lines count as rows there."""
        if self.source.kind == "jsonl":
            return None
        pl = require("polars", "cli")
        places = sorted(self.columns.index(n) for n in names)
        try:
            with self.source.open() as (stream, _):
                frame = pl.read_csv(
                    stream.read(),
                    columns=places,
                    separator=SEPARATORS[self.source.kind],
                    infer_schema_length=0,
                    encoding="utf8-lossy",
                )
        except pl.exceptions.PolarsError:
            return None
        found = {self.columns[i]: s for i, s in zip(places, frame.get_columns(), strict=True)}
        odd = len(frame) == 0 or any(s.null_count() for s in found.values())
        return None if odd else found

    def _text(self, names: list[str]) -> dict[str, Any]:
        with self.source.text() as (text, _):
            rows = [r.cells for r in text.rows(names) if r.cells]
        columns = zip(*rows, strict=True) if rows else ([] for _ in names)
        return {n: self._typed(n, list(c)) for n, c in zip(names, columns, strict=True)}

    def _typed(self, name: str, values: list[Any]) -> Any:
        """Cells as a series: of text, or of what JSON holds."""
        pl = require("polars", "cli")
        if {type(v) for v in values} - {type(None)} <= {int, float}:
            return pl.Series(name, values, dtype=pl.Float64, strict=False)
        first = next(type(v) for v in values if v is not None)
        for row, v in enumerate(values):
            if v is not None and (type(v) is not first or isinstance(v, (list, dict))):
                raise ValueError(
                    f"{self.place(row)}: {name} is {v!r:.60}; expected a number or a text, and "
                    "the same in every row."
                )
        return pl.Series(name, values)

    def numbers(self, name: str) -> FloatArray:
        """A column as floats."""
        pl = require("polars", "cli")
        series = self._series[name]
        if series.dtype == pl.String:
            values = series.str.strip_chars().cast(pl.Float64, strict=False)
        elif series.dtype.is_numeric() or series.dtype == pl.Null:
            values = series.cast(pl.Float64, strict=False)
        else:
            raise ValueError(f"{self.source.name}: {name} holds {series.dtype}; expected numbers.")
        out = values.to_numpy().astype(np.float64)
        for row in values.is_null().arg_true().to_list():
            out[row] = to_number(series[row], f"{self.place(row)}: {name}")
        return out

    def labels(self, name: str) -> np.ndarray:
        """A column as labels: ints, floats and bools also where they are written as text."""
        pl = require("polars", "cli")
        series = self._series[name]
        if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
            series = series.cast(pl.String).str.strip_chars()
        missing = series.is_null() if series.dtype != pl.String else series.fill_null("") == ""
        if missing.any():
            row = int(missing.arg_true()[0])
            raise ValueError(f"{self.place(row)}: {name} is empty; expected a label in every row.")
        if series.dtype == pl.String:
            return _labels_from_text(series)
        return series.to_numpy()

    def place(self, row: int) -> str:
        """Where a row is, in words."""
        return f"{self.source.name}, {self._place(row)}"

    def _place(self, row: int) -> str:
        if self.source.kind == "parquet":
            return row_place(row)
        with self.source.text() as (text, _):
            rows = (r.line for r in text.rows(self.columns[:1]) if r.cells)
            return f"line {next(islice(rows, row, None), 0)}"

    def located(self) -> AbstractContextManager[None]:
        """Say lines of the file where the library's errors say rows of an array."""
        return located(self.source.name, self._place)


def row_place(row: int) -> str:
    """A row of a file without lines."""
    return f"row {row} (counted from 0)"


@contextmanager
def located(name: str, place: Callable[[int], str]) -> Iterator[None]:
    """Name the file in the library's errors, and its lines where they say rows of an array."""
    try:
        yield
    except ValueError as error:
        text = re.sub(r"\brow (\d+)", lambda m: place(int(m[1])), str(error), count=1)
        raise ValueError(f"{name}: {text}") from error


def _labels_from_text(series: Any) -> np.ndarray:
    pl = require("polars", "cli")
    found = series.unique().to_list()
    if set(map(str.lower, found)) <= {"true", "false"}:
        return (series.str.to_lowercase() == "true").to_numpy()
    for dtype, kind in ((pl.Int64, int), (pl.Float64, float)):
        try:
            # Codes such as 007 are names, not numbers.
            if all(v.removeprefix("+") == str(kind(v)) for v in found):
                return series.cast(dtype).to_numpy()
        except (ValueError, OverflowError, pl.exceptions.PolarsError):
            continue
    return np.array(series.to_list())


def scan_parquet(source: Source) -> Any:
    """A lazy frame of a Parquet file."""
    pl = require("polars", "cli")
    return pl.scan_parquet(source.path, glob=False)


@contextmanager
def parquet_errors(source: Source, verb: str = "read as Parquet") -> Iterator[None]:
    """Say in a line that a Parquet file can't be read, or what else can't be done with it."""
    pl = require("polars", "cli")
    panic = getattr(pl.exceptions, "PanicException", pl.exceptions.PolarsError)
    try:
        yield
    except (pl.exceptions.PolarsError, panic) as error:
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{source.name}: can't be {verb} ({first}).") from error


def find_columns(option: str, asked: list[str], columns: list[str], source: str) -> list[str]:
    """Columns that an option names: a name, names joined by commas, or a pattern with * or ?."""
    found: list[str] = []
    for value in asked:
        names = [value] if value in columns else value.split(",")
        for name in names:
            matched = [name] if name in columns else [c for c in columns if _like(c, name)]
            if not matched:
                raise ValueError(
                    f"{option} {name}: no such column; {source} has: {_listed(columns)}"
                )
            found += matched
    for name in found:
        if columns.count(name) > 1:
            raise ValueError(f"{option} {name}: {source} has several columns of that name.")
    if len(set(found)) < len(found):
        twice = next(n for n in found if found.count(n) > 1)
        raise ValueError(f"{option} {twice}: the column is named twice.")
    return found


def _like(name: str, pattern: str) -> bool:
    return any(c in pattern for c in "*?") and fnmatchcase(name, pattern)


def _listed(columns: list[str]) -> str:
    shown = [c if c.isprintable() else repr(c) for c in columns[:12]]
    more = f", ... ({len(columns)} columns)" if len(columns) > 12 else ""
    return ", ".join(s[:40] for s in shown) + more
