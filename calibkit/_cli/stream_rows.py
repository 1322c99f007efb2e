"""Rows of a stream: read without waiting for more, and checked one by one."""

from __future__ import annotations

import io
import math
import os
import select
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, NamedTuple

from .._core.inputs import RANGE_TOLERANCE
from .._core.printed import quoted, spelled
from .._tables.records import Bad, Record, TextTable, is_empty, to_number
from .._tables.table import find_columns
from .problem import near_label

_CHUNK = 1 << 16
_LABELS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}
#: Squares of larger log-odds overflow.
_LARGEST_LOGIT = 1e100


@contextmanager
def waiting(stream: Any) -> Iterator[Callable[[], object]]:
    """A function that waits until the stream has more to read, and that any signal ends.

    A read alone isn't ended by a Ctrl-C that comes just before it blocks: Python looks at signals
    between its own steps, so only after the next row. A signal also writes to the descriptor that
    is waited for here. Where that is impossible, the function does nothing.
    """
    fd = None
    if isinstance(stream, io.BufferedReader):
        with suppress(OSError):
            fd = stream.fileno()
    main = threading.current_thread() is threading.main_thread()
    if fd is None or os.name != "posix" or not main:
        yield lambda: None
        return
    reader, writer = socket.socketpair()

    waits: list[Any] = [fd, reader]

    def wait() -> None:
        while fd not in select.select(waits, [], [])[0]:
            reader.recv(4096)

    with reader, writer:
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield wait
        finally:
            signal.set_wakeup_fd(before)


class Lines:
    """Lines of a binary stream; :meth:`ready` tells whether the next one has been read already.

    A slow pipe gives one line at a time, a fast one many at once. ``wait`` returns when more can
    be read; what the stream holds already comes without it.
    """

    def __init__(self, stream: Any, wait: Callable[[], object] = lambda: None) -> None:
        self._stream, self._wait = stream, wait
        self._begun = False
        self._held: deque[bytes] = deque()
        self._rest: list[bytes] = []
        self._ended = False

    def ready(self) -> bool:
        """Whether the next line is available without waiting."""
        return bool(self._held)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while not self._held:
            data = b"" if self._ended else self._read()
            *whole, rest = data.split(b"\n")
            if whole:
                whole[0] = b"".join((*self._rest, whole[0]))
                self._held.extend(line + b"\n" for line in whole)
                self._rest = [rest]
            elif data:
                self._rest.append(rest)
            else:
                self._ended = True  # a terminal would wait for a second end of file
                last, self._rest = b"".join(self._rest), []
                if not last:
                    raise StopIteration
                self._held.append(last)
        return self._held.popleft().decode("utf-8", "surrogateescape")

    def _read(self) -> bytes:
        if self._begun:
            self._wait()
            return self._stream.read1(_CHUNK)
        self._begun = True
        return self._stream.read1()


@dataclass(frozen=True)
class StreamOptions:
    """Options of the command; the first ones name columns."""

    prob: str
    label: str
    time: str | None = None
    id: str | None = None
    method: str = "tracking"
    positive: str | None = None
    logit: bool = False
    column: str = "calibrated"
    journal: str | None = None
    resume: bool = False
    sort: bool = False
    skip_bad: bool = False
    seed: int | None = None
    alarm: float | None = None
    plot: str | None = None
    as_json: bool = False
    html: str | None = None

    def in_table(self, table: TextTable) -> StreamOptions:
        """The same, with the table's columns found; JSON lines may have other keys in each line."""
        if table.header is None:
            return self
        if self.column in table.columns:
            raise ValueError(
                f"{table.name} has a column {quoted(self.column)} already; choose another name "
                "with --column."
            )
        chosen: dict[str, Any] = {}
        for option in ("prob", "label", "time", "id"):
            if (name := getattr(self, option)) is not None:
                names = find_columns(f"--{option}", [name], table.columns, table.name)
                if len(names) > 1:
                    raise ValueError(
                        f"--{option} {quoted(name)}: matches {len(names)} columns; expected one."
                    )
                chosen[option] = names[0]
        return replace(self, **chosen)


class Row(NamedTuple):
    """A valid row; a missing score or label is NaN."""

    record: Record
    score: float = math.nan
    y: float = math.nan
    time: float = 0.0
    id: Any = None
    #: The time as written in the file.
    when: Any = None


class Rows:
    """Rows of a table in file order; invalid ones are reported and left out."""

    def __init__(self, table: TextTable, options: StreamOptions, bad: Bad) -> None:
        self.options = options.in_table(table)
        self._table, self._bad = table, bad
        self._label = Labels(options.positive)
        self._moment = Moments(ordered=not options.sort)

    def __iter__(self) -> Iterator[Row]:
        o = self.options
        names = [n for n in (o.prob, o.label, o.time, o.id) if n is not None]
        for record in self._table.rows(names, absent=[o.column]):
            if not record.cells:
                yield Row(record)
                continue
            try:
                row = self._row(record, dict(zip(names, record.cells, strict=True)))
            except ValueError as error:
                self._bad(error)
                continue
            yield row

    def _row(self, record: Record, cells: dict[str, Any]) -> Row:
        o = self.options

        def place(column: str) -> str:
            return f"{self._table.name}, line {record.line}: {quoted(column)}"

        y = self._label(cells[o.label], place(o.label))
        key = None if o.id is None else _identity(cells[o.id], place(o.id))
        late = key is not None and y == y and is_empty(cells[o.prob])
        score = math.nan if late else self._score(cells[o.prob], place(o.prob))
        # Last, since it stores the time: an invalid row must not.
        when = None if o.time is None else cells[o.time]
        time = 0.0 if o.time is None else self._moment(when, place(o.time))
        return Row(record, score, y, time, key, when)

    def _score(self, cell: Any, place: str) -> float:
        score = to_number(cell, place)
        if self.options.logit:
            if not abs(score) <= _LARGEST_LOGIT:
                raise ValueError(f"{place} is {score:.6g}; expected a finite number.")
        elif not -RANGE_TOLERANCE <= score <= 1.0 + RANGE_TOLERANCE:
            raise ValueError(
                f"{place} is {score:.6g}; expected a probability in [0, 1]. For log-odds add "
                "--logit."
            )
        return score


def _identity(cell: Any, place: str) -> Any:
    if is_empty(cell):
        return None
    if isinstance(cell, bool) or not isinstance(cell, (int, str)):
        raise ValueError(f"{place} is {spelled(cell):.40}; expected an integer or text.")
    return cell.strip() if isinstance(cell, str) else cell


class Labels:
    """Turns cells into 1 for the event, 0 for the other label, NaN for an empty cell."""

    def __init__(self, positive: str | None) -> None:
        self._positive = positive
        self._other: str | None = None
        self._seen = False

    def __call__(self, cell: Any, place: str) -> float:
        if is_empty(cell) or cell != cell:
            return math.nan
        text = str(cell).strip()
        if self._positive is None:
            if text.lower() not in _LABELS:
                raise ValueError(
                    f"{place} is {spelled(text):.40}; expected 0 or 1, true or false, or nothing. "
                    "For other labels, name the event: --positive NAME."
                )
            return _LABELS[text.lower()]
        if _alike(text, self._positive):
            self._seen = True
            return 1.0
        if self._other is None:
            self._other = text
        elif not _alike(text, self._other):
            if self._seen:
                what = f"expected {self._positive} or {self._other}, as before."
            else:
                what = (
                    f"the rows before have {self._other}, and none has the event "
                    f"{self._positive}; expected two labels. Write --positive as in the file"
                    f"{near_label(self._positive, [self._other, text])}."
                )
            raise ValueError(f"{place} is {spelled(text):.40}; {what}")
        return 0.0


def _alike(a: str, b: str) -> bool:
    """Whether two texts are the same label."""
    if a == b or a.lower() == b.lower() in ("true", "false"):
        return True
    try:
        return float(a) == float(b)
    except ValueError:
        return False


class Moments:
    """Turns cells (numbers, or ISO 8601 dates and times) into numbers that can be compared."""

    def __init__(self, ordered: bool) -> None:
        self._ordered = ordered
        self._kind: str | None = None
        self._last, self._shown = -math.inf, ""

    def __call__(self, cell: Any, place: str) -> float:
        kind, moment = _read_moment(cell, place)
        if self._kind not in (None, kind):
            raise ValueError(f"{place} is {kind}; expected {self._kind}, as in the rows before.")
        if self._ordered and moment < self._last:
            raise ValueError(
                f"{place} is {cell!s:.40} after {self._shown:.40}; expected rows in the order of "
                "time. Sort them first (for a file: --sort)."
            )
        self._kind, self._last, self._shown = kind, moment, str(cell)
        return moment


def _read_moment(cell: Any, place: str) -> tuple[str, float]:
    parsers: tuple[Callable[[Any], tuple[str, float]], ...] = (_number, _date)
    for parse in parsers:
        try:
            return parse(cell)
        except (TypeError, ValueError, OverflowError):
            continue
    raise ValueError(
        f"{place} is {spelled(cell):.40}; expected a number, or a time such as 2024-05-31T12:00."
    )


def _number(cell: Any) -> tuple[str, float]:
    moment = to_number(cell, "")
    if not math.isfinite(moment):
        raise ValueError
    # A float can't represent nanoseconds since 1970 exactly.
    whole = not isinstance(cell, float) and str(cell).strip().lstrip("+-").isdecimal()
    return "a number", int(cell) if whole else moment


def _date(cell: Any) -> tuple[str, float]:
    text = cell.strip()
    date = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in "zZ" else text)
    if date.tzinfo is None:
        return "a time without zone", date.replace(tzinfo=timezone.utc).timestamp()
    return "a time with zone", date.timestamp()
