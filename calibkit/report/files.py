"""Tables in files: by extension; text keeps its every byte; output appears whole or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

_KINDS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
SEPARATORS = {"csv": ",", "tsv": "\t"}
#: Longest cell that is read; a quote that is never closed must not swallow a large file.
_MAX_CELL = 1 << 24

#: Bytes read so far.
Tell = Callable[[], int]


def kind_of(path: Path) -> str:
    """What a file holds, from its name: "csv", "tsv", "jsonl" or "parquet"."""
    suffixes = [s.lower() for s in path.suffixes]
    last = suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:]
    kind = _KINDS.get(last[0]) if last else None
    if kind is None or (kind == "parquet" and suffixes[-1] == ".gz"):
        raise ValueError(
            f"{path}: unknown extension; expected {', '.join(_KINDS)} (text also with .gz), or - "
            "for CSV from standard input."
        )
    return kind


@dataclass(frozen=True)
class Source:
    """A table to read: a file, or standard input where there is no path."""

    name: str
    kind: str
    path: Path | None = None
    held: bytes | None = None

    @classmethod
    def of(cls, argument: str) -> Source:
        """The source that a command line argument names; raises if there is nothing to read."""
        if argument == "-":
            return cls("standard input", "csv")
        path = Path(argument)
        if path.is_dir():
            raise ValueError(f"{path}: is a directory; expected a file.")
        if not path.exists():
            raise ValueError(f"{path}: no such file.")
        kind = kind_of(path)
        if path.is_file() and path.stat().st_size == 0:
            raise ValueError(f"{path}: the file is empty.")
        return cls(str(path), kind, path)

    def hold(self) -> Source:
        """Itself, with standard input read into memory so that it can be read twice."""
        if self.path is not None or self.held is not None:
            return self
        return Source(self.name, self.kind, held=sys.stdin.buffer.read())

    @contextmanager
    def open(self) -> Iterator[tuple[Any, Tell]]:
        """The bytes, decompressed, and how many have been read of the file itself."""
        raw: Any = (
            io.BytesIO(self.held)
            if self.held is not None
            else sys.stdin.buffer
            if self.path is None
            else self.path.open("rb")
        )
        try:
            buffered = raw if hasattr(raw, "peek") else io.BufferedReader(raw)
            zipped = buffered.peek(2)[:2] == b"\x1f\x8b"
            stream = gzip.GzipFile(fileobj=buffered) if zipped else buffered
            yield stream, buffered.tell
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"{self.name}: the compressed data are damaged or cut short ({error})."
            ) from error
        finally:
            if self.path is not None:
                raw.close()

    @contextmanager
    def text(self) -> Iterator[tuple[TextTable, Tell]]:
        """The records of a text file, in one pass."""
        with self.open() as (stream, tell), _long_cells():
            if b"\0" in stream.peek(4096)[:4096]:
                raise ValueError(
                    f"{self.name}: is not text (it holds zero bytes); expected "
                    f"{'JSON lines' if self.kind == 'jsonl' else self.kind.upper()} in UTF-8."
                )
            # Whatever the encoding, bytes that are not UTF-8 go through unchanged.
            lines = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
            try:
                yield TextTable(self, lines), tell
            finally:
                lines.detach()


@contextmanager
def _long_cells() -> Iterator[None]:
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


class TextTable:
    """Records of CSV, TSV or JSON lines, read once from the start."""

    def __init__(self, source: Source, lines: Any) -> None:
        self.source = source
        self.header: Record | None = None
        if source.kind == "jsonl":
            self._records = _json_records(source.name, lines)
        else:
            self._records = _csv_records(source.name, lines, SEPARATORS[source.kind])
        first = next((r for r in self._records if r.cells), None)
        if first is None:
            raise ValueError(f"{source.name}: the file is empty.")
        if source.kind == "jsonl":
            self.columns = list(first.cells[0])
            self._records = itertools.chain([first], self._records)
        else:
            self.header = first
            self.columns = [c.removeprefix("\ufeff") if not i else c
                            for i, c in enumerate(first.cells)]  # fmt: skip

    def rows(self, names: list[str], absent: list[str] | None = None) -> Iterator[Record]:
        """Data rows with the cells of these columns; blank lines have none.

        Keys of JSON that must be ``absent`` raise where they occur.
        """
        return self._csv_rows(names) if self.header else self._json_rows(names, absent or [])

    def _csv_rows(self, names: list[str]) -> Iterator[Record]:
        places, width = [self.columns.index(n) for n in names], len(self.columns)
        for raw, line, cells in self._records:
            if cells and len(cells) != width:
                raise ValueError(
                    f"{self.source.name}, line {line}: {len(cells)} cells; the header has {width}."
                )
            yield Record(raw, line, [cells[i] for i in places] if cells else [])

    def _json_rows(self, names: list[str], absent: list[str]) -> Iterator[Record]:
        for raw, line, cells in self._records:
            for key in absent:
                if cells and key in cells[0]:
                    raise ValueError(f"{self.source.name}, line {line}: has a key {key} already.")
            yield Record(raw, line, [cells[0].get(n) for n in names] if cells else [])


def _csv_records(name: str, lines: Any, separator: str) -> Iterator[Record]:
    kept: list[str] = []
    start = 1

    def tap() -> Iterator[str]:
        for line in lines:
            kept.append(line)
            yield line

    reader = csv.reader(tap(), delimiter=separator, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ValueError(f"{name}, line {start}: {error}.") from error
        if cells is None:
            return
        yield Record("".join(kept), start, cells)
        start += len(kept)
        kept.clear()


def _json_records(name: str, lines: Any) -> Iterator[Record]:
    for i, raw in enumerate(lines, 1):
        if not raw.strip():
            yield Record(raw, i, [])
            continue
        try:
            value = json.loads(raw.removeprefix("\ufeff") if i == 1 else raw)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{name}, line {i}: is not JSON ({error}).") from error
        if not isinstance(value, dict):
            raise ValueError(
                f"{name}, line {i}: holds a JSON {type(value).__name__}; expected an object."
            )
        yield Record(raw, i, [value])


def to_number(value: Any, place: str) -> float:
    """A cell as a float; an error says where it is."""
    if isinstance(value, str) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    shown = repr(value)
    what = "is empty" if is_empty(value) else f"is {shown[:40]}{'...' if shown[40:] else ''}"
    raise ValueError(f"{place} {what}; expected a number.")


def is_empty(value: Any) -> bool:
    """Whether a cell holds nothing."""
    return value is None or (isinstance(value, str) and not value.strip())


def check_output(argument: str, *inputs: str) -> Path:
    """Where to write, links followed; raises if that can't work or would destroy an input."""
    path = Path(os.path.realpath(argument))
    if argument == "-" or (path.exists() and not path.is_file()):
        raise ValueError(f"{argument}: is not a regular file; choose another name.")
    for one in inputs:
        if one != "-" and path.exists() and Path(one).exists() and path.samefile(one):
            raise ValueError(f"{argument}: is the input file; choose another name.")
    if not path.parent.is_dir():
        raise ValueError(f"{argument}: no such directory: {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{argument}: the directory {path.parent} can't be written to.")
    return path
