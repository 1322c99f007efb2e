"""Read the records of a file: JSON lines, one JSON document, CSV, TSV or Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..._core.errors import InputError
from ..._tables.files import Source, kind_in
from ..._tables.records import check_object, json_object, not_utf8
from ..._tables.table import parquet_errors, row_place, scan_parquet

_HEAD = 1 << 16
_ROWS = 1 << 12


#: File and line of a record, and the record.
Placed = tuple[str, dict[str, Any]]


def read_records(path: Path) -> Iterator[Placed]:
    """Read the records; the first bytes show the kind of file, its name is ignored."""
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; expected a file of records.")
    source = Source(str(path), "", path)
    with source.open() as (stream, _):
        source = replace(source, kind=kind_in(stream.read(_HEAD)))
    if source.kind == "":
        raise InputError(f"{path}: the file is empty; expected records.")
    if source.kind == "binary":
        raise InputError(
            f"{path}: holds zero bytes, as UTF-16 and binary files do; expected JSON or CSV in "
            "UTF-8, or Parquet. Convert the file first."
        )
    if source.kind == "document":
        yield from _document(source)
    elif source.kind == "parquet":
        yield from _parquet(source)
    else:
        with source.text() as (text, _):
            for line, value in text.objects():
                yield f"{source.name}, line {line}", value


def _document(source: Source) -> Iterator[Placed]:
    """The items of a JSON list, or the one object that the file is."""
    with source.open() as (stream, _):
        data = stream.read()
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=json_object)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise not_utf8(source.name, line, data[error.start]) from error
    except json.JSONDecodeError as error:
        at_end = error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip())
        cut = "; the file looks cut short there" if at_end else ""
        raise ValueError(
            f"{source.name}, line {error.lineno}: is not JSON ({error.msg}){cut}. Expected one "
            "object per line, one list of objects, or one object."
        ) from error
    except (ValueError, RecursionError) as error:  # a number too long, lists too deep
        raise ValueError(f"{source.name}: is not JSON ({error}).") from error
    if not value and isinstance(value, list):
        raise ValueError(f"{source.name}: the list is empty; expected records.")
    items = {source.name: value}
    if isinstance(value, list):
        items = {f"{source.name}, item {i} (counted from 0)": one for i, one in enumerate(value)}
    for place, one in items.items():
        check_object(place, one)
        yield place, one


def _parquet(source: Source) -> Iterator[Placed]:
    with parquet_errors(source):
        frame = scan_parquet(source).collect()
    for start in range(0, len(frame), _ROWS):
        for i, row in enumerate(frame[start : start + _ROWS].iter_rows(named=True), start):
            yield f"{source.name}, {row_place(i)}", row
    if len(frame) == 0:
        raise ValueError(f"{source.name}: there are no rows.")
