"""Tables in files: their type is told by extension; text stays unchanged byte for byte."""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._core.printed import quoted
from .records import TextTable, long_cells

_KINDS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
#: How files begin that calibkit.save wrote.
_SAVED = re.compile(rb'\s*\{\s*"format":\s*"calibkit')
#: Names of open streams: a file that one leads to would be replaced.
_STREAM = re.compile(r"/dev/(fd/|std(in|out|err)$)|/proc/")
#: Returns the number of bytes read so far.
Tell = Callable[[], int]


def kind_of(path: Path) -> str:
    """The type of a file by its name: "csv", "tsv", "jsonl" or "parquet"."""
    suffixes = [s.lower() for s in path.suffixes]
    last = suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:]
    kind = _KINDS.get(last[0]) if last else None
    if kind is None or (kind == "parquet" and suffixes[-1] == ".gz"):
        raise ValueError(
            f"{path}: unknown extension; expected {', '.join(_KINDS)} (text also with .gz), or - "
            "for CSV from standard input."
        )
    return kind


def kind_in(head: bytes) -> str:
    """The type of a file by its first bytes, decompressed.

    Returns "csv", "tsv", "jsonl" or "parquet"; "document" for other JSON than an object per line,
    "binary" for other files than text, and "" for an empty file.
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    if b"\0" in head:
        return "binary"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        return ""
    first, _, rest = text.partition(b"\n")
    first = first.rstrip()
    # Names of columns may stand in brackets: [score],[label].
    if text[:1] == b"[" and text[1:].lstrip()[:1] in b'{["]-0123456789':
        lists = first.endswith(b"]") and rest.lstrip().startswith(b"[")
        return "jsonl" if lists else "document"
    if text[:1] == b"{":
        # A whole object on the first line is the first of many lines, or the only one.
        opened = first == b"{" or first.endswith((b",", b"{", b"["))
        return "document" if rest and opened else "jsonl"
    return "tsv" if b"\t" in first else "csv"


def _kind_to_read(path: Path) -> str:
    """The same, but CSV for pipes and devices without an extension."""
    stream = not path.is_file() or path.parts[:2] == ("/", "dev")
    if not stream:
        return kind_of(path)
    try:
        kind = kind_of(path)
    except ValueError:
        return "csv"
    if kind == "parquet":
        raise ValueError(f"{path}: is a pipe or device; expected a regular file for Parquet.")
    return kind


@dataclass(frozen=True)
class Source:
    """A table to read: a file, or standard input if there is no path."""

    name: str
    kind: str
    path: Path | None = None
    held: bytes | None = None
    #: Several Parquet files that are one table.
    parts: tuple[Path, ...] = ()
    #: The table of a database.
    table: str = ""

    @classmethod
    def of(cls, argument: str, table: str | None = None) -> Source:
        """The source that a command line argument names; raises if it can't be read."""
        path = Path(argument)
        if table is not None:
            if not path.is_file():
                raise ValueError(f"{path}: no such file; expected a DuckDB file with --table.")
            return cls(f"{argument}, table {quoted(table)}", "duckdb", path, table=table)
        if argument == "-":
            if sys.stdin is None:
                raise ValueError("standard input is closed; expected a table there.")
            return cls("standard input", "csv")
        if parts := _parts(path):
            return cls(argument, "parquet", path, parts=parts)
        if path.is_dir():
            raise ValueError(
                f"{path}: is a directory; expected a file, or a directory of .parquet files."
            )
        if not path.exists():
            raise ValueError(f"{path}: no such file.")
        if path.suffix.lower() == ".duckdb":
            raise ValueError(
                f"{path}: is a database; expected the name of a table too. Pass --table NAME to "
                "report, choose or fit."
            )
        kind = _kind_to_read(path)
        if path.is_file() and path.stat().st_size == 0:
            raise ValueError(f"{path}: the file is empty.")
        return cls(str(path), kind, path)

    def hold(self) -> Source:
        """Itself, read into memory if it is not a regular file, so that it can be read twice."""
        regular = self.path is not None and self.path.is_file()
        if self.held is not None or regular or self.parts:
            return self
        data = sys.stdin.buffer.read() if self.path is None else self.path.read_bytes()
        return Source(self.name, self.kind, held=data)

    @contextmanager
    def open(self) -> Iterator[tuple[Any, Tell]]:
        """The decompressed bytes, and how many bytes of the file itself have been read."""
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
        with self.open() as (stream, tell), long_cells():
            if b"\0" in stream.peek(4096)[:4096]:
                raise ValueError(
                    f"{self.name}: is not text (it holds zero bytes); expected "
                    f"{'JSON lines' if self.kind == 'jsonl' else self.kind.upper()} in UTF-8."
                )
            # Bytes that are not UTF-8 pass through unchanged.
            lines = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
            try:
                yield TextTable(self.name, self.kind, lines), tell
            finally:
                lines.detach()


def _parts(path: Path) -> tuple[Path, ...]:
    """The Parquet files in a directory and those below it, or that a pattern matches."""
    if path.is_dir():
        found = path.rglob("*.parquet")
    elif path.exists() or path.suffix.lower() not in (".parquet", ".pq"):
        return ()
    else:
        found = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    return tuple(sorted(p for p in found if p.is_file()))


def check_apart(inputs: dict[str, str], outputs: dict[str, str | None]) -> None:
    """Raise if an output is the same file as an input or another output, under any name.

    Keys say what each argument is; - is standard input or output, which may be a file too.
    """
    taken: dict[tuple[Any, ...], str] = {}
    for what, argument in inputs.items():
        taken |= dict.fromkeys(_identities(argument, sys.stdin), what)
    for what, output in outputs.items():
        identities = set() if output is None else _identities(output, sys.stdout)
        for identity in identities & taken.keys():
            other, name = taken[identity], what if output == "-" else output
            is_what = f"is {other}" if other in inputs else f"is the file of {other} too"
            raise ValueError(f"{name}: {is_what}; choose another name.")
        taken |= dict.fromkeys(identities, what)


def _identities(argument: str, stream: Any) -> set[tuple[Any, ...]]:
    """What identifies a file; links to it have the same identity.

    A file that does not exist yet is identified by its directory. Pipes and devices have none.
    """
    try:
        if argument == "-":
            return _inode(os.fstat(stream.fileno()))
        path = Path(os.path.realpath(argument))
        if path.exists():
            return _inode(path.stat())
        parent = path.parent.stat()
        return {(parent.st_dev, parent.st_ino, path.name)}
    except (OSError, AttributeError, ValueError):
        return set()


def _inode(status: os.stat_result) -> set[tuple[Any, ...]]:
    return {(status.st_dev, status.st_ino)} if stat.S_ISREG(status.st_mode) else set()


def check_order(saved: str, table: str, usage: str) -> None:
    """Raise if a saved object and a table were given in the wrong order."""
    if _is_saved(table) and not _is_saved(saved):
        raise ValueError(
            f"{table} is a file saved by calibkit, and {saved} is not: the arguments are swapped; "
            f"expected {usage}."
        )


def _is_saved(argument: str) -> bool:
    path = Path(argument)
    if not (path.is_file() and os.access(path, os.R_OK)):  # a pipe can be read only once
        return False
    with path.open("rb") as file:
        return _SAVED.match(file.read(100)) is not None


def check_output(argument: str, *inputs: str) -> Path:
    """The path to write to, links followed; raises if it is not writable or is an input."""
    path = Path(os.path.realpath(argument))
    stream = argument == "-" or _STREAM.match(os.path.abspath(argument))
    if stream or (path.exists() and not path.is_file()):
        raise ValueError(f"{argument}: is not a regular file; choose another name.")
    for one in inputs:
        check_apart({"the input file": one}, {"the output": argument})
    if not path.parent.is_dir():
        raise ValueError(f"{argument}: no such directory: {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{argument}: the directory {path.parent} can't be written to.")
    return path
