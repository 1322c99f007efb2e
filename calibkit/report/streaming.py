"""Calibrating a stream: forecast, write, learn, row by row as they come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from .._core.online import OnlineCalibrator
from .._tables.files import Source, check_output, kind_of
from .._tables.records import TextTable, refuse
from ..calibrators import PlattCalibrator
from ..online import (
    AdaptivePlattCalibrator,
    HedgingCalibrator,
    Journal,
    OnlineBetaCalibrator,
    OnlinePlattCalibrator,
    TrackingCalibrator,
    WindowedCalibrator,
)
from .console import say
from .desk import Desk
from .incoming import Columns, Lines, Reader, Row
from .pictures import check_picture
from .stream import _bytes, _csv_joiner, _json_joiner, _quoted
from .tally import Tally

#: Names on the command line, and what they stand for there; the seed is of those that draw.
METHODS: dict[str, Callable[[int | None], OnlineCalibrator]] = {
    "tracking": lambda seed: TrackingCalibrator(OnlinePlattCalibrator(), smoothing=1.0),
    "online_platt": lambda seed: OnlinePlattCalibrator(),
    "hedging": lambda seed: HedgingCalibrator(OnlinePlattCalibrator(), random_state=seed),
    "online_beta": lambda seed: OnlineBetaCalibrator(),
    "tobs": lambda seed: TrackingCalibrator(OnlineBetaCalibrator(), smoothing=1.0),
    "adaptive_platt": lambda seed: AdaptivePlattCalibrator(),
    "windowed": lambda seed: WindowedCalibrator(PlattCalibrator(), window=2000, refit_every=200),
}
#: Rows in hand that are taken in one go.
_BATCH = 4096
_BLOCK = 1 << 16


@dataclass(frozen=True)
class StreamOptions:
    """Options of the command."""

    columns: Columns
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


def stream_file(file: str, output: str, options: StreamOptions) -> None:
    """Calibrate a stream to its end; the table of errors goes to stderr, however it ends."""
    source = Source.of(file)
    if source.kind == "parquet":
        raise ValueError(f"{source.name}: a stream is text; expected CSV or JSON lines.")
    if options.sort and (source.path is None or not source.path.is_file()):
        raise ValueError("--sort needs a file: the end of a stream is not known.")
    if options.resume and options.journal is None:
        raise ValueError("--resume needs --journal, which knows where the stream was.")
    others = [file] if options.journal is None else [file, options.journal]
    target = None if output == "-" else check_output(output, *others)
    tally = _tally(options, target, others)
    with ExitStack() as stack:
        table, lines = stack.enter_context(_incoming(source, options, tally))
        reader = _reader(table, options, tally)
        if target is not None and (target.suffix == ".gz" or kind_of(target) != table.source.kind):
            kind = table.source.kind
            raise ValueError(f"{target}: expected a name that ends in .{kind}, as the input is.")
        learner = stack.enter_context(_learner(options))
        done = learner.n_rows if options.resume and isinstance(learner, Journal) else 0
        out, goes_on = stack.enter_context(_outgoing(target, append=done > 0))
        rows, ready = _in_order(reader, lines, options)
        try:
            desk = Desk(learner, tally, logit=options.logit)
            writer = _Writer(table, options.column, out, header=not goes_on)
            for batch in _batches(_after(rows, done, source.name), ready):
                full = [row for row in batch if row.record.cells]
                forecasts = desk.forecasts(full)
                tally.n_rows += len(full)
                writer.write(batch, forecasts)
        finally:
            if tally.n_rows or options.as_json:
                tally.show()


def _tally(options: StreamOptions, target: Path | None, others: list[str]) -> Tally:
    if options.as_json and target is None:
        raise ValueError("--json needs -o FILE: the forecasts take standard output.")
    picture = None if options.plot is None else check_output(options.plot, *others)
    if picture is not None:
        check_picture(picture)
    return Tally(options.method, options.alarm, picture, as_json=options.as_json)


def make_method(options: StreamOptions) -> OnlineCalibrator:
    """The calibrator that a name stands for."""
    made = METHODS[options.method](options.seed)
    if options.logit:
        made._with_scale("logit")
    return made.set_params(classes=[0, 1])


@contextmanager
def _learner(options: StreamOptions) -> Iterator[OnlineCalibrator | Journal]:
    if options.journal is None:
        yield make_method(options)
        return
    with Journal(options.journal, make_method(options)) as journal:
        if journal.n_rows and not options.resume:
            say(
                f"{options.journal} has learnt from {journal.n_rows:,} rows already; these come on "
                "top. To skip the rows it has had: --resume."
            )
        yield journal


@contextmanager
def _incoming(
    source: Source, options: StreamOptions, tally: Tally
) -> Iterator[tuple[TextTable, Lines]]:
    """The table, as JSON lines if standard input begins so; quotes left open end soon here."""
    with source.open() as (stream, _):
        begin = stream.peek(1)[:4096]
        if b"\0" in begin:
            raise ValueError(f"{source.name}: is not text; expected CSV or JSON lines in UTF-8.")
        if source.path is None and begin.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
            source = replace(source, kind="jsonl")
        lines = Lines(stream)
        yield TextTable(source, lines, tally.skip if options.skip_bad else refuse), lines


@contextmanager
def _outgoing(target: Path | None, *, append: bool) -> Iterator[tuple[BinaryIO, bool]]:
    """Where to write, and whether that goes on with what was written before."""
    if target is None:
        yield sys.stdout.buffer, append
    elif append and target.exists():
        with target.open("r+b") as out:
            yield out, _seek_end(out) > 0
    else:
        with target.open("wb") as out:
            yield out, False


def _seek_end(out: BinaryIO) -> int:
    """Go to the end of the last whole line, and cut off what a killed process left after it."""
    at = out.seek(0, 2)
    while at > 0:
        start = max(0, at - _BLOCK)
        out.seek(start)
        cut = out.read(at - start).rfind(b"\n")
        at = start + cut + 1
        if cut >= 0:
            break
    out.seek(at)
    out.truncate()
    return at


def _reader(table: TextTable, options: StreamOptions, tally: Tally) -> Reader:
    return Reader(
        table,
        options.columns,
        added=options.column,
        logit=options.logit,
        positive=options.positive,
        ordered=not options.sort,
        bad=tally.skip if options.skip_bad else refuse,
    )


def _in_order(
    reader: Reader, lines: Lines, options: StreamOptions
) -> tuple[Iterable[Row], Callable[[], bool]]:
    """Rows in the order of time, and whether the next one is in hand."""
    if options.sort:
        return sorted(reader, key=lambda row: row.time), lambda: True
    return reader, lines.ready


class _Writer:
    """The table as it came, with one more column."""

    def __init__(self, table: TextTable, added: str, out: BinaryIO, *, header: bool) -> None:
        self._out = out
        kind, jsonl = table.source.kind, table.header is None
        self._join = _json_joiner([added]) if jsonl else _csv_joiner(kind)
        self._nothing = "null" if jsonl else ""
        if table.header is not None and header:
            self._flush(self._join(table.header.raw, [_quoted(added, kind)]))

    def write(self, rows: list[Row], forecasts: list[float]) -> None:
        """Write rows, of which those that are not blank have a forecast or NaN."""
        cells = iter(self._nothing if q != q else repr(q) for q in forecasts)
        texts = (
            self._join(row.record.raw, [next(cells)]) if row.record.cells else row.record.raw
            for row in rows
        )
        # A last line may come without its end.
        self._flush("".join(t if t.endswith(("\n", "\r")) else t + "\n" for t in texts))

    def _flush(self, text: str) -> None:
        self._out.write(_bytes(text))
        self._out.flush()


def _after(rows: Iterable[Row], done: int, name: str) -> Iterator[Row]:
    """Rows after so many."""
    left = done
    for row in rows:
        if left <= 0:
            yield row
        elif row.record.cells:
            left -= 1
    if left:
        raise ValueError(
            f"{name}: has {done - left:,} rows and the journal has taken {done:,}; expected the "
            "stream it was at. Drop --resume to add these rows to it."
        )


def _batches(rows: Iterable[Row], ready: Callable[[], bool]) -> Iterator[list[Row]]:
    """Rows that are in hand together; those before an error are not lost."""
    batch: list[Row] = []
    try:
        for row in rows:
            batch.append(row)
            if not ready() or len(batch) >= _BATCH:
                yield batch
                batch = []
    except (ValueError, KeyboardInterrupt):
        if batch:
            yield batch
        raise
    if batch:
        yield batch
