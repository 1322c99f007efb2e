"""Calibrating files of any size: batch by batch, with every other column as it was."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .._core.base import BaseCalibrator
from .._core.optional import require
from .._core.printed import quoted
from .._core.saved import whole_file
from .._tables.files import Source, kind_of
from .._tables.records import SEPARATORS, Record, TextTable, to_number
from .._tables.table import find_columns, located, parquet_errors, row_place, scan_parquet
from .._typing import FloatArray
from .console import say
from .problem import order_columns

#: Rows that are in memory at a time.
CHUNK_ROWS = 1 << 16
_PARQUET_ROWS = 1 << 17

#: Called with the share done, between 0 and 1, where the size is known.
Step = Callable[[float], None]


class Mapping:
    """Which columns are read, which are added, and what is put in."""

    def __init__(
        self,
        calibrator: BaseCalibrator,
        columns: list[str],
        source: str,
        asked: list[str],
        column: str | None,
        classes: str | None = None,
    ) -> None:
        self.calibrator = calibrator
        probs = find_columns("--prob", asked, columns, source)
        self.probs, note = order_columns(probs, calibrator.classes_, classes)
        self.added = _new_names(self.probs, calibrator.classes_, column)
        taken = set(columns)
        for name in self.added:
            if name in taken:
                raise ValueError(
                    f"{source} has a column {quoted(name)} already; choose another name by "
                    "--column."
                )
        self(np.empty((0, len(self.probs))))  # the right number of columns?
        if note:
            say(f"note: {note}")

    def __call__(self, scores: FloatArray) -> FloatArray:
        """Calibrated probabilities, with as many columns as there are scores."""
        if scores.shape[1] == 1:
            return self.calibrator.predict_proba(scores[:, 0])[:, 1:]
        return self.calibrator.predict_proba(scores)


def _new_names(probs: list[str], classes: np.ndarray, column: str | None) -> list[str]:
    if column is not None and not column.strip():
        raise ValueError("--column: expected a name that is not empty.")
    if column is None:
        return [f"{p}_calibrated" for p in probs]
    return [column] if len(probs) == 1 else [f"{column}_{c}" for c in classes.tolist()]


def apply_file(
    calibrator: BaseCalibrator,
    source: Source,
    asked: list[str],
    target: Path | None,
    *,
    column: str | None = None,
    classes: str | None = None,
    chunk_rows: int | None = None,
    step: Step | None = None,
) -> int:
    """Add calibrated columns to a table, in memory for ``chunk_rows`` rows at a time.

    ``target`` is a path, which appears whole or not at all, or None for standard output. Returns
    the number of rows.
    """
    kind = kind_of(target) if target is not None else source.kind
    if kind != source.kind and (source.kind, kind) != ("parquet", "csv"):
        raise ValueError(
            f"{target}: {source.kind} can't be turned into {kind}; expected a name that ends in "
            f".{source.kind}{' or .csv' if source.kind == 'parquet' else ''}."
        )
    step = step or (lambda share: None)

    def mapping(columns: list[str]) -> Mapping:
        return Mapping(calibrator, columns, source.name, asked, column, classes)

    with ExitStack() as stack:
        path = None if target is None else stack.enter_context(whole_file(target))
        out: Any = path
        if path is None or kind != "parquet":
            out = stack.enter_context(_writer(path, target))
        if source.kind == "parquet":
            return _apply_parquet(mapping, source, out, chunk_rows or _PARQUET_ROWS, step)
        with source.text() as (text, tell):
            total = source.path.stat().st_size if source.path is not None else 0

            def done() -> None:
                step(tell() / total if total else 0.0)

            return _apply_text(mapping(text.columns), text, out, chunk_rows or CHUNK_ROWS, done)


@contextmanager
def _writer(path: Path | None, target: Path | None) -> Iterator[BinaryIO]:
    """Bytes out: to a file, compressed if its name says so, or to standard output."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with path.open("wb") as raw:
        if target is not None and target.suffix.lower() == ".gz":
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped:
                yield zipped  # type: ignore[misc]
        else:
            yield raw


def _apply_text(
    mapping: Mapping, text: TextTable, out: BinaryIO, size: int, done: Callable[[], None]
) -> int:
    """Records pass through as they are; the new cells go in before the line ending."""
    n = 0
    join = _json_joiner(mapping.added) if text.header is None else _csv_joiner(text.kind)
    if text.header is not None:
        names = [_quoted(name, text.kind) for name in mapping.added]
        out.write(_bytes(join(text.header.raw, names)))
    rows = text.rows(mapping.probs, absent=mapping.added)
    while batch := list(islice(rows, size)):
        full = [r for r in batch if r.cells]
        cells = iter(_calibrated(mapping, full, text.name))
        out.write(_bytes("".join(join(r.raw, next(cells)) if r.cells else r.raw for r in batch)))
        n += len(full)
        done()
    return n


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _calibrated(mapping: Mapping, rows: list[Record], name: str) -> list[list[str]]:
    """New cells of these rows."""
    if not rows:
        return []
    try:
        numbers = [[float(c) for c in r.cells if _is_plain(c)] for r in rows]
        scores = np.array(numbers).reshape(len(rows), len(mapping.probs))
    except (TypeError, ValueError, OverflowError):
        for r in rows:
            for cell, prob in zip(r.cells, mapping.probs, strict=True):
                to_number(cell, f"{name}, line {r.line}: {quoted(prob)}")
        raise
    with located(name, lambda row: f"line {rows[row].line}"):
        q = mapping(scores)
    return [[repr(v) for v in row] for row in q.tolist()]


def _is_plain(cell: Any) -> bool:
    """Not True and not 0_1, which Python reads as 1."""
    return "_" not in cell if type(cell) is str else type(cell) is not bool


def _csv_joiner(kind: str) -> Callable[[str, list[str]], str]:
    separator = SEPARATORS[kind]

    def join(raw: str, cells: list[str]) -> str:
        body = raw.rstrip("\r\n")
        return separator.join((body, *cells)) + raw[len(body) :]

    return join


def _quoted(name: str, kind: str) -> str:
    if any(c in name for c in f'"\r\n{SEPARATORS[kind]}'):
        return '"' + name.replace('"', '""') + '"'
    return name


def _json_joiner(added: list[str]) -> Callable[[str, list[str]], str]:
    keys = [json.dumps(name) for name in added]

    def join(raw: str, cells: list[str]) -> str:
        # A record is an object that holds at least the scores, so it ends in } after something.
        body = raw.rstrip()
        pairs = "".join(f", {k}: {c}" for k, c in zip(keys, cells, strict=True))
        return body[:-1].rstrip() + pairs + "}" + raw[len(body) :]

    return join


def _apply_parquet(
    make: Callable[[list[str]], Mapping], source: Source, out: Any, size: int, step: Step
) -> int:
    """To a path as Parquet, to an open file as CSV."""
    pl = require("polars", "cli")
    with parquet_errors(source):
        scan = scan_parquet(source)
        schema = dict(scan.collect_schema())
        total = scan.select(pl.len()).collect().item()
    mapping = make(list(schema))
    if not isinstance(out, Path):
        _check_csv(schema, source)

    def frames(*_: Any) -> Iterator[Any]:
        for start in range(0, total, size):
            with parquet_errors(source):
                frame = scan.slice(start, size).collect()
            yield _add_to_frame(mapping, source, frame, start)
            step(min(1.0, (start + size) / total))

    if isinstance(out, Path):
        schema |= dict.fromkeys(mapping.added, pl.Float64())
        register = require("polars.io.plugins", "cli").register_io_source
        with parquet_errors(source, "calibrated"):
            register(frames, schema=schema).sink_parquet(out, row_group_size=size)
    else:
        header = [_quoted(name, "csv") for name in (*schema, *mapping.added)]
        out.write(_bytes(",".join(header) + "\n"))
        for frame in frames():
            with parquet_errors(source, "written as CSV"):
                text = frame.write_csv(include_header=False)
            out.write(text.encode())
    return total


def _check_csv(schema: dict[str, Any], source: Source) -> None:
    """Raise if there are columns that CSV can't hold."""
    pl = require("polars", "cli")
    for name, dtype in schema.items():
        if dtype.is_nested() or dtype in (pl.Binary, pl.Duration, pl.Object):
            raise ValueError(
                f"{source.name}: {quoted(name)} holds {dtype}, which CSV can't hold; expected an "
                "output that ends in .parquet, or a table without that column."
            )


def _add_to_frame(mapping: Mapping, source: Source, frame: Any, start: int) -> Any:
    pl = require("polars", "cli")
    columns = []
    for name in mapping.probs:
        series = frame[name]
        missing = series.is_null().arg_true()
        if not series.dtype.is_numeric() or len(missing):
            row = start + (int(missing[0]) if len(missing) else 0)
            what = "is empty" if len(missing) else f"holds {series.dtype}"
            at = f"{source.name}, {row_place(row)}: {quoted(name)}"
            raise ValueError(f"{at} {what}; expected a number.")
        columns.append(series.cast(pl.Float64).to_numpy())
    with located(source.name, lambda row: row_place(start + row)):
        q = mapping(np.column_stack(columns))
    return frame.with_columns([pl.Series(n, c) for n, c in zip(mapping.added, q.T, strict=True)])
