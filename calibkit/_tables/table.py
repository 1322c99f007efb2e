"""Columns of a table as arrays of numbers or labels; errors name the invalid cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

import numpy as np

from .._core.optional import require
from .._core.printed import as_sql, listed, quoted, spelled
from .._typing import FloatArray
from .files import Source
from .records import SEPARATORS, places_of, to_number


class Table:
    """A table; :meth:`read` reads its columns."""

    def __init__(self, source: Source) -> None:
        self.source = source.hold()
        self.columns = self._column_names()
        self._series: dict[str, Any] = {}

    def _column_names(self) -> list[str]:
        if self.source.kind == "duckdb":
            return read_database(self.source, "*", "LIMIT 0").columns
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
        elif self.source.kind == "duckdb":
            frame = read_database(self.source, ", ".join(map(as_sql, names)))
            self._series = {n: frame[n] for n in names}
        else:
            self._series = self._quick_csv(names) or self._text(names)
        if len(next(iter(self._series.values()))) == 0:
            raise ValueError(f"{self.source.name}: there are no rows.")

    def _quick_csv(self, names: list[str]) -> dict[str, Any] | None:
        """Read with polars; None if it might read other cells than the csv module."""
        if self.source.kind == "jsonl":
            return None
        pl = require("polars", "cli")
        separator = SEPARATORS[self.source.kind]
        known = places_of(self.columns)
        places = sorted(known[n] for n in names)
        with self.source.open() as (stream, _):
            data = stream.read()
        if b'"' in data or data.count(b"\r") != data.count(b"\r\n"):
            return None
        try:
            frame = pl.read_csv(data, columns=places, separator=separator, infer_schema_length=0)
        except pl.exceptions.PolarsError:
            return None
        loaded = {self.columns[i]: s for i, s in zip(places, frame.get_columns(), strict=True)}
        ragged = data.count(separator.encode()) != (len(frame) + 1) * (len(self.columns) - 1)
        # Polars counts blank lines as rows.
        odd = ragged or len(frame) == 0 or any(s.null_count() for s in loaded.values())
        return None if odd else loaded

    def _text(self, names: list[str]) -> dict[str, Any]:
        with self.source.text() as (text, _):
            rows = [r.cells for r in text.rows(names) if r.cells]
        columns = zip(*rows, strict=True) if rows else ([] for _ in names)
        return {n: self._typed(n, list(c)) for n, c in zip(names, columns, strict=True)}

    def _typed(self, name: str, values: list[Any]) -> Any:
        """Cells as a series of text or of JSON values."""
        pl = require("polars", "cli")
        kinds = {type(v) for v in values} - {type(None)}
        first = next((type(v) for v in values if v is not None), float)
        dtype = None
        if kinds <= {int, float}:
            # Among floats, integers that a float would round are refused.
            dtype, bits = (pl.Int64, 63) if kinds == {int} else (pl.Float64, 53)
            bad = [type(v) is int and not -(2**bits) <= v < 2**bits for v in values]
            expected = "a smaller integer, or a text"
        elif kinds == {str}:
            bad = [v is not None and not v.isascii() and not _is_unicode(v) for v in values]
            expected = "text in UTF-8"
        else:
            bad = [
                v is not None and (type(v) is not first or isinstance(v, (list, dict)))
                for v in values
            ]
            expected = "a number or a text, and the same in every row"
        if True in bad:
            row = bad.index(True)
            shown = f"{spelled(values[row]):.60}"
            at = f"{self.place(row)}: {quoted(name)}"
            raise ValueError(f"{at} is {shown}; expected {expected}.")
        return pl.Series(values=values, dtype=dtype)

    def numbers(self, name: str) -> FloatArray:
        """A column as floats."""
        pl = require("polars", "cli")
        series = self._series[name]
        if series.dtype == pl.String:
            values = series.str.strip_chars().cast(pl.Float64, strict=False)
        elif series.dtype.is_numeric() or series.dtype == pl.Null:
            values = series.cast(pl.Float64, strict=False)
        else:
            raise ValueError(
                f"{self.source.name}: {quoted(name)} holds {series.dtype}; expected numbers."
            )
        out = values.to_numpy().astype(np.float64)
        for row in values.is_null().arg_true().to_list():
            out[row] = to_number(series[row], f"{self.place(row)}: {quoted(name)}")
        return out

    def labels(self, name: str) -> np.ndarray:
        """A column as labels; text that holds ints, floats or bools is converted."""
        return self._labels(name, self._series[name])

    def groups(self, name: str) -> np.ndarray:
        """A column as group labels, which are only compared for equality."""
        series = self._series[name]
        return self._labels(name, series.rank("dense") if series.dtype.is_integer() else series)

    def cells(self, name: str) -> np.ndarray:
        """A column as labels; empty cells are NaN among numbers, and None among texts."""
        pl = require("polars", "cli")
        series = self._series[name]
        empty = series.is_null()
        if series.dtype == pl.String:
            empty |= series.fill_null("").str.strip_chars() == ""
        filled = ~empty.to_numpy()
        if filled.all():
            return self.labels(name)
        known = self._labels(name, series.filter(pl.Series(filled)))
        numbers = known.dtype.kind in "iuf"
        out = np.full(len(series), np.nan if numbers else None, float if numbers else object)
        out[filled] = known if numbers else known.astype(str)
        return out

    def _labels(self, name: str, series: Any) -> np.ndarray:
        pl = require("polars", "cli")
        if series.dtype.is_integer():
            series = self._int64(series, name)
        elif series.dtype.is_decimal():
            series = series.cast(pl.Float64)
        elif not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
            try:
                series = series.cast(pl.String).str.strip_chars()
            except pl.exceptions.PolarsError as error:
                raise ValueError(
                    f"{self.source.name}: {quoted(name)} holds {series.dtype}; expected labels."
                ) from error
        missing = series.is_null() if series.dtype != pl.String else series.fill_null("") == ""
        if missing.any():
            row = int(missing.arg_true()[0])
            at = f"{self.place(row)}: {quoted(name)}"
            raise ValueError(f"{at} is empty; expected a label in every row.")
        if series.dtype == pl.String:
            return _labels_from_text(series)
        return series.to_numpy()

    def _int64(self, series: Any, name: str) -> Any:
        pl = require("polars", "cli")
        numbers = series.cast(pl.Int64, strict=False)
        wide = (numbers.is_null() & series.is_not_null()).arg_true()
        if len(wide):
            row = int(wide[0])
            shown = f"{quoted(name)} is {series[row]}"
            raise ValueError(f"{self.place(row)}: {shown}; expected a smaller integer, or a text.")
        return numbers

    def place(self, row: int) -> str:
        """The place of a row, for messages."""
        return f"{self.source.name}, {self._place(row)}"

    def _place(self, row: int) -> str:
        if self.source.kind in ("parquet", "duckdb"):
            return row_place(row)
        with self.source.text() as (text, _):
            rows = (r.line for r in text.rows(self.columns[:1]) if r.cells)
            return f"line {next(islice(rows, row, None), 0)}"

    def located(self) -> AbstractContextManager[None]:
        """Errors of the library inside name lines of the file instead of rows of an array."""
        return located(self.source.name, self._place)


def row_place(row: int) -> str:
    """The place of a row in a file without lines."""
    return f"row {row} (counted from 0)"


def _is_unicode(text: str) -> bool:
    """Whether the text has no half surrogate pairs, which are bytes that are not UTF-8."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


@contextmanager
def located(name: str, place: Callable[[int], str]) -> Iterator[None]:
    """Name the file in errors of the library, and its lines instead of rows of an array."""
    try:
        yield
    except ValueError as error:
        text, row = str(error), getattr(error, "place", None)
        if row is not None:
            text = text.replace(f"row {row}", place(row), 1)
        raise ValueError(f"{name}: {text}") from error


def _labels_from_text(series: Any) -> np.ndarray:
    pl = require("polars", "cli")
    values = series.unique().to_list()
    if set(map(str.lower, values)) <= {"true", "false"}:
        return (series.str.to_lowercase() == "true").to_numpy()
    for dtype, kind in ((pl.Int64, int), (pl.Float64, float)):
        try:
            # Codes such as 007 are names, not numbers.
            if all(v.removeprefix("+") == str(kind(v)) for v in values):
                return series.cast(dtype).to_numpy()
        except (ValueError, OverflowError, pl.exceptions.PolarsError):
            continue
    return np.array(series.to_list())


def scan_parquet(source: Source) -> Any:
    """A lazy frame of a Parquet file, or of several; folders such as year=2025 are columns."""
    pl = require("polars", "cli")
    paths = list(source.parts) or source.path
    return pl.scan_parquet(paths, glob=False, hive_partitioning=bool(source.parts))


def read_database(source: Source, columns: str, end: str = "") -> Any:
    """A frame of columns of a table in a DuckDB file."""
    pl, duckdb = require("polars", "cli"), require("duckdb")
    table = ".".join(map(as_sql, source.table.split(".")))
    try:
        with duckdb.connect(str(source.path), read_only=True) as connection:
            return pl.DataFrame(connection.sql(f"SELECT {columns} FROM {table} {end}"))
    except duckdb.Error as error:
        first = str(error).partition("\n")[0].rstrip(".")
        raise ValueError(f"{source.name}: can't be read by DuckDB ({first}).") from error


@contextmanager
def parquet_errors(source: Source, verb: str = "read as Parquet") -> Iterator[None]:
    """Turn errors of polars into a line that says what can't be done with the file."""
    pl = require("polars", "cli")
    panic = getattr(pl.exceptions, "PanicException", pl.exceptions.PolarsError)
    try:
        yield
    except (pl.exceptions.PolarsError, panic) as error:
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{source.name}: can't be {verb} ({first}).") from error


def find_columns(option: str, asked: list[str], columns: list[str], source: str) -> list[str]:
    """The columns of an option: a name, names joined by commas, or a pattern with * or ?."""
    known = Counter(columns)
    matching: list[str] = []
    for value in asked:
        for name in [value] if value in known else value.split(","):
            matched = [name] if name in known else _matching(columns, name)
            if not matched:
                look = "; expected commas between columns, not ;" if ";" in columns[0] else ""
                raise ValueError(
                    f"{option} {quoted(name)}: no such column; {source} has: {listed(columns)}"
                    f"{look}"
                )
            matching += matched
    for name, n in Counter(matching).items():
        if known[name] > 1:
            raise ValueError(f"{option} {quoted(name)}: {source} has several columns of that name.")
        if n > 1:
            raise ValueError(f"{option} {quoted(name)}: the column is named twice.")
    return matching


def _matching(columns: list[str], pattern: str) -> list[str]:
    wild = any(c in pattern for c in "*?")
    return [name for name in columns if fnmatchcase(name, pattern)] if wild else []
