"""Records of text tables (CSV, TSV and JSON lines), each with its original text."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from .._core.errors import InputError
from .._core.printed import quoted

SEPARATORS = {"csv": ",", "tsv": "\t"}
#: Longest cell that is read, so that a quote that is never closed does not read a large file.
_MAX_CELL = 1 << 24


@contextmanager
def long_cells() -> Iterator[None]:
    before = csv.field_size_limit(_MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


class Record(NamedTuple):
    """One row: its text with the line ending, its first line, and its cells (none if blank)."""

    raw: str
    line: int
    cells: list[Any]


#: Called with the error of a row that can't be read; if it returns, the row is left out.
Bad = Callable[[ValueError], None]


def refuse(error: ValueError) -> None:
    """Raise the error of an invalid row."""
    raise error


def places_of(columns: list[str]) -> dict[str, int]:
    """The position of each column; the first one if several have the same name."""
    return {name: i for i, name in reversed(list(enumerate(columns)))}


class TextTable:
    """Records of CSV, TSV or JSON lines, read once from the start."""

    def __init__(self, name: str, kind: str, lines: Any, bad: Bad = refuse) -> None:
        self.name, self.kind = name, kind
        self.header: Record | None = None
        self._bad = bad if kind == "jsonl" else refuse  # without a header there is no table
        if kind == "jsonl":
            self._records = _json_records(name, lines, self._tell)
        else:
            self._records = _csv_records(name, lines, SEPARATORS[kind], self._tell)
        first = next((r for r in self._records if r.cells), None)
        self._bad = bad
        if first is None:
            raise ValueError(f"{name}: the file is empty.")
        if kind == "jsonl":
            self.columns = list(first.cells[0])
            self._records = itertools.chain([first], self._records)
        else:
            self.header, self.columns = first, first.cells

    def _tell(self, error: ValueError) -> None:
        self._bad(error)

    def rows(self, names: list[str], absent: list[str] | None = None) -> Iterator[Record]:
        """Data rows with the cells of these columns; blank lines have none.

        Keys of JSON that must be ``absent`` raise where they occur.
        """
        return self._csv_rows(names) if self.header else self._json_rows(names, absent or [])

    def objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Whole data rows, each with its first line number; bytes that are not UTF-8 raise."""
        if self.header:
            _check_text(self.name, self.header)
            twice = [c for c, n in Counter(self.columns).items() if n > 1]
            if twice:
                place = f"{self.name}, line {self.header.line}"
                raise ValueError(
                    f"{place}: several columns are named {quoted(twice[0])}; expected one."
                )
        for record in self.rows(self.columns) if self.header else self._records:
            if record.cells:
                _check_text(self.name, record)
                cells = record.cells
                whole = dict(zip(self.columns, cells, strict=True)) if self.header else cells[0]
                yield record.line, whole

    def _csv_rows(self, names: list[str]) -> Iterator[Record]:
        known = places_of(self.columns)
        places, width = [known[n] for n in names], len(self.columns)
        for raw, line, cells in self._records:
            if cells and len(cells) != width:
                place = f"{self.name}, line {line}"
                self._bad(ValueError(f"{place}: {len(cells)} cells; the header has {width}."))
                continue
            yield Record(raw, line, [cells[i] for i in places] if cells else [])

    def _json_rows(self, names: list[str], absent: list[str]) -> Iterator[Record]:
        for raw, line, cells in self._records:
            twice = next((key for key in absent if cells and key in cells[0]), None)
            if twice is not None:
                place = f"{self.name}, line {line}"
                self._bad(
                    ValueError(
                        f"{place}: has a key {quoted(twice)} already; choose another name "
                        "with --column."
                    )
                )
                continue
            yield Record(raw, line, [cells[0].get(n) for n in names] if cells else [])


def adder(table: TextTable, added: list[str]) -> tuple[str, Callable[[str, list[str]], str]]:
    """The header with further columns, and a function that adds their cells to a record's text."""

    def into_csv(raw: str, cells: list[str]) -> str:
        body = raw.rstrip("\r\n")
        return SEPARATORS[table.kind].join((body, *cells)) + raw[len(body) :]

    def into_json(raw: str, cells: list[str]) -> str:
        # A record is an object that holds at least the scores, so it ends in } after something.
        body = raw.rstrip()
        pairs = "".join(f", {k}: {c}" for k, c in zip(keys, cells, strict=True))
        return body[:-1].rstrip() + pairs + "}" + raw[len(body) :]

    if table.header is None:
        keys = [json.dumps(name) for name in added]
        return "", into_json
    return into_csv(table.header.raw, [quoted_cell(n, table.kind) for n in added]), into_csv


def quoted_cell(name: str, kind: str) -> str:
    """A name as a cell of the header."""
    if any(c in name for c in f'"\r\n{SEPARATORS[kind]}'):
        return '"' + name.replace('"', '""') + '"'
    return name


def to_bytes(text: str) -> bytes:
    """Text as the bytes it was read from, UTF-8 or not."""
    return text.encode("utf-8", "surrogateescape")


def _check_text(name: str, record: Record) -> None:
    """Raise at a byte that is not UTF-8; it was read as half a surrogate pair."""
    try:
        record.raw.isascii() or record.raw.encode()
    except UnicodeEncodeError as error:
        line = record.line + record.raw.count("\n", 0, error.start)
        raise not_utf8(name, line, ord(record.raw[error.start]) & 0xFF) from error


def not_utf8(name: str, line: int, byte: int) -> ValueError:
    """The error of a byte that is not UTF-8."""
    return ValueError(
        f"{name}, line {line}: holds the byte 0x{byte:02X}, which is not UTF-8; expected text in "
        "UTF-8. Convert the file first, for instance with iconv -f latin1 -t utf-8."
    )


def _csv_records(name: str, lines: Any, separator: str, bad: Bad) -> Iterator[Record]:
    kept: list[str] = []
    start = 1

    def tap() -> Iterator[str]:
        for line in lines:
            first = start == 1 and not kept
            kept.append(line)
            yield line.removeprefix("\ufeff") if first else line

    reader = csv.reader(tap(), delimiter=separator, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            bad(ValueError(f"{name}, line {start}: is not valid CSV ({error}). Check the quotes."))
            start += len(kept)
            kept.clear()
            continue
        if cells is None:
            return
        yield Record("".join(kept), start, cells)
        start += len(kept)
        kept.clear()


class Repeated(dict[str, Any]):
    """A JSON object with a repeated key."""


def json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a :class:`Repeated` one if a key is repeated."""
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else Repeated(fields)


def check_object(place: str, value: Any) -> None:
    """Raise unless a JSON value is an object without repeated keys."""
    if isinstance(value, Repeated):
        raise ValueError(f"{place}: a key is repeated; expected each key once.")
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise ValueError(f"{place}: holds a JSON {kind}; expected an object.")


def _json_records(name: str, lines: Any, bad: Bad) -> Iterator[Record]:
    n_read = 0
    for i, raw in enumerate(lines, 1):
        if not raw.strip():
            yield Record(raw, i, [])
            continue
        try:
            text = raw.removeprefix("\ufeff") if i == 1 else raw
            value = json.loads(text, object_pairs_hook=json_object)
        except (ValueError, RecursionError) as error:
            cut = f"; the last line: the file looks cut short after {n_read} whole records"
            cut = "" if raw.endswith("\n") else cut
            bad(ValueError(f"{name}, line {i}: is not JSON ({error}){cut}."))
            continue
        n_read += 1
        try:
            check_object(f"{name}, line {i}", value)
        except ValueError as error:
            bad(error)
        else:
            yield Record(raw, i, [value])


def to_number(value: Any, place: str) -> float:
    """A cell as a float; an error names its place."""
    if isinstance(value, str) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        try:
            if not (isinstance(value, str) and "_" in value):  # Python reads 0_1 as 1
                return float(value)
        except (ValueError, OverflowError):
            pass
    shown = repr(value)
    what = "is empty" if is_empty(value) else f"is {shown[:40]}{'...' if shown[40:] else ''}"
    raise InputError(f"{place} {what}; expected a number.")


def is_empty(value: Any) -> bool:
    """Whether a cell is empty."""
    return value is None or (isinstance(value, str) and not value.strip())
