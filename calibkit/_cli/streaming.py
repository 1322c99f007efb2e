"""Calibrating a stream: forecast, write, learn, row by row as they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .._tables.files import Source, check_apart, check_output, kind_in, kind_of
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
from ..online._base import OnlineCalibrator
from .console import say
from .delivery import Delivery, Output
from .incoming import Columns, Lines, Reader, Row
from .pictures import check_picture
from .stream import _bytes, _csv_joiner, _json_joiner, _quoted
from .stream_report import StreamReport

#: Names on the command line, and what they stand for there; the seed is of those that draw.
METHODS: dict[str, Callable[[int | None], OnlineCalibrator]] = {
    "tracking": lambda seed: TrackingCalibrator(OnlinePlattCalibrator()),
    "online_platt": lambda seed: OnlinePlattCalibrator(),
    "hedging": lambda seed: HedgingCalibrator(OnlinePlattCalibrator(), random_state=seed),
    "online_beta": lambda seed: OnlineBetaCalibrator(),
    "tobs": lambda seed: TrackingCalibrator(OnlineBetaCalibrator()),
    "adaptive_platt": lambda seed: AdaptivePlattCalibrator(),
    "windowed": lambda seed: WindowedCalibrator(PlattCalibrator(), window=2000, refit_every=200),
}
#: Rows in hand that are taken in one go.
_BATCH = 4096


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
    target, picture = _targets(file, output, options)
    report = StreamReport(options.method, options.alarm, picture, as_json=options.as_json)
    with ExitStack() as stack:
        table, lines = stack.enter_context(_incoming(source, options, report))
        reader = _reader(table, options, report)
        if target is not None and (target.suffix == ".gz" or kind_of(target) != table.kind):
            kind = table.kind
            raise ValueError(f"{target}: expected a name that ends in .{kind}, as the input is.")
        learner = stack.enter_context(_learner(options, target))
        out = stack.enter_context(closing(Output(target)))
        ordered, ready = _in_order(reader, lines, options)
        rows = iter(ordered)
        delivery = Delivery(
            learner,
            report,
            out,
            logit=options.logit,
            how=_how(table, reader, options),
            # What is read once only and never resumed would fill the disk in the end.
            keep=options.resume or (source.path is not None and source.path.is_file()),
        )
        if options.resume:
            delivery.resume(rows, source.name)
        else:
            delivery.begin()
        try:
            writer = _Writer(table, options.column)
            if delivery.at_start:
                out.write(writer.header())
            for batch in _batches(rows, ready):
                delivery.deliver(batch, writer.rows)
        finally:
            if report.n_rows or options.as_json:
                report.show()


def _targets(file: str, output: str, options: StreamOptions) -> tuple[Path | None, Path | None]:
    """Where rows and picture go; raises if two of all files are one."""
    if options.as_json and output == "-":
        raise ValueError("--json needs -o FILE: the forecasts take standard output.")
    check_apart(
        {"the input file": file},
        {
            "--journal": options.journal,
            "-o": None if output == "-" else output,
            "--plot": options.plot,
            "standard output": "-" if output == "-" or options.as_json else None,
        },
    )
    target = None if output == "-" else check_output(output)
    picture = None if options.plot is None else check_output(options.plot)
    if picture is not None:
        check_picture(picture)
    return target, picture


def _how(table: TextTable, reader: Reader, options: StreamOptions) -> str:
    """How rows are read and written: of two runs that are one stream it is the same."""
    c = reader.columns
    header = None if table.header is None else table.header.raw.rstrip("\r\n")
    names = [header, c.prob, c.label, c.time, c.id, options.column, options.positive]
    return json.dumps([*names, options.logit, options.sort])


def make_method(options: StreamOptions) -> OnlineCalibrator:
    """The calibrator that a name stands for."""
    made = METHODS[options.method](options.seed)
    if options.logit:
        made._set_scale("logit")
    return made.set_params(classes=[0, 1])


@contextmanager
def _learner(options: StreamOptions, target: Path | None) -> Iterator[OnlineCalibrator | Journal]:
    if options.journal is None:
        yield make_method(options)
        return
    with Journal(options.journal, make_method(options)) as journal:
        if journal.n_rows and not options.resume:
            if target is not None and target.exists() and target.stat().st_size:
                raise ValueError(
                    f"{target} is there already, and {options.journal} has learnt from "
                    f"{journal.n_rows:,} rows: the forecasts in it would be lost. Expected "
                    "--resume to go on after these rows, or -o with a new name to add all rows."
                )
            say(
                f"{options.journal} has learnt from {journal.n_rows:,} rows already; these come on "
                "top. To skip the rows it has had: --resume."
            )
        yield journal


@contextmanager
def _incoming(
    source: Source, options: StreamOptions, report: StreamReport
) -> Iterator[tuple[TextTable, Lines]]:
    """The table, as JSON lines if standard input begins so; quotes left open end soon here."""
    with source.open() as (stream, _):
        begin = stream.peek(1)[:4096]
        if b"\0" in begin:
            raise ValueError(f"{source.name}: is not text; expected CSV or JSON lines in UTF-8.")
        is_json = source.path is None and kind_in(begin) in ("jsonl", "document")
        lines, bad = Lines(stream), report.skip if options.skip_bad else refuse
        yield TextTable(source.name, "jsonl" if is_json else source.kind, lines, bad), lines


def _reader(table: TextTable, options: StreamOptions, report: StreamReport) -> Reader:
    return Reader(
        table,
        options.columns,
        added=options.column,
        logit=options.logit,
        positive=options.positive,
        ordered=not options.sort,
        bad=report.skip if options.skip_bad else refuse,
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

    def __init__(self, table: TextTable, added: str) -> None:
        kind, jsonl = table.kind, table.header is None
        self._join = _json_joiner([added]) if jsonl else _csv_joiner(kind)
        self._nothing = "null" if jsonl else ""
        self._header = b""
        if table.header is not None:
            self._header = _bytes(self._join(table.header.raw, [_quoted(added, kind)]))

    def header(self) -> bytes:
        """The line of names, if there is one."""
        return self._header

    def rows(self, rows: list[Row], forecasts: list[float]) -> bytes:
        """Text of rows, of which those that are not blank have a forecast or NaN."""
        cells = iter(self._nothing if q != q else repr(q) for q in forecasts)
        texts = (
            self._join(row.record.raw, [next(cells)]) if row.record.cells else row.record.raw
            for row in rows
        )
        # A last line may come without its end.
        return _bytes("".join(t if t.endswith(("\n", "\r")) else t + "\n" for t in texts))


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
