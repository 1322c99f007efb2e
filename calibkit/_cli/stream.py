"""The command ``calibkit stream``: forecast, write and learn from each row as it arrives."""

from __future__ import annotations

import json
import math
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from typer import Argument, BadParameter, Context, Option

from .. import __version__
from .._core.params import advice, both_names, main_name, percent
from .._core.printed import spelled
from .._core.warnings import ReplacedForecastWarning, silent
from .._numerics.links import expit
from .._report import inline_svg, write_page
from .._tables.files import Source, check_apart, check_output, kind_in, kind_of
from .._tables.records import Bad, TextTable, adder, refuse, to_bytes
from .._typing import FloatArray
from ..base import OnlineCalibrator
from ..calibrators import PlattCalibrator
from ..displays import DriftDisplay
from ..online import (
    AdaptivePlattCalibrator,
    CalibrationAlarm,
    HedgingCalibrator,
    Journal,
    OnlineBetaCalibrator,
    OnlinePlattCalibrator,
    TrackingCalibrator,
    WindowedCalibrator,
    prequential_errors,
)
from . import options as opt
from .console import aligned, print_json, rich_rows, say, show
from .page import check_html, command_line, stream_page
from .report import check_picture, write_picture
from .stream_rows import Lines, Row, Rows, StreamOptions, waiting

#: The calibrator of each --method; only random methods use the seed.
METHODS: dict[str, Callable[[int | None], OnlineCalibrator]] = {
    "tracking": lambda seed: TrackingCalibrator(OnlinePlattCalibrator()),
    "online_platt": lambda seed: OnlinePlattCalibrator(),
    "hedging": lambda seed: HedgingCalibrator(OnlinePlattCalibrator(), random_state=seed),
    "online_beta": lambda seed: OnlineBetaCalibrator(),
    "tobs": lambda seed: TrackingCalibrator(OnlineBetaCalibrator()),
    "adaptive_platt": lambda seed: AdaptivePlattCalibrator(),
    "windowed": lambda seed: WindowedCalibrator(PlattCalibrator(), window=2000, refit_every=200),
}
#: Most rows in one batch.
_BATCH = 4096
#: Kinds of notes in a journal; the numbers are stored in files.
_WAITING, _MARK, _FORECASTS = range(3)
_BLOCK = 1 << 20
#: Most labeled rows that are kept; beyond that, the older half is dropped.
_ROOM = 2_000_000
_QUARTERS = 4
_SHOWN_BAD = 10
_ERRORS = ("calibration_error", "sharpness", "brier", "log_loss")
#: Labels before the alarm starts: online methods are miscalibrated at first.
_WARM = 1000
#: With fewer labels the picture has no sliding window: a tenth of them would be noise.
_ENOUGH = 1000
_NAMES = [both_names(name) for name in METHODS]


# -- the command -------------------------------------------------------------------------------


def _method(value: str) -> str:
    name = main_name(value.lower())
    if name not in METHODS:
        near = advice(value, METHODS)
        raise BadParameter(f"{spelled(value)} is not one of {', '.join(_NAMES)}{near}")
    return name


_FILE = Argument(
    metavar="FILE",
    show_default=False,
    help="Table: .csv, .tsv or .jsonl (each also .gz). Default: CSV or JSON lines from standard "
    "input; each forecast is then written before the next row is read.",
)
_PROB = opt.option("Column of probabilities (of log-odds with --logit).", "COL")
_LABEL = opt.option("Column of labels. A cell may be empty (see Late labels).", "COL")
_TIME = opt.option(
    "Time column; rows must be sorted by it. It holds numbers, or times such as "
    "2024-05-31T12:00. Default: the order is not checked.",
    "COL",
)
_ID = opt.option(
    "Row id; a later row with the same id may carry the label. Default: no late labels.", "COL"
)
_METHOD = opt.option(
    f"One of {', '.join(_NAMES)}. If unsure, use the default. Names in parentheses mean the same "
    "method; tobs applies tracking to the forecasts of online_beta.",
    "NAME",
    callback=_method,
)
_POSITIVE = opt.option(
    "Label of the event. Required unless the labels are 0 and 1, or false and true.", "VALUE"
)
_OUTPUT = opt.output("Output file, of the same type as FILE. Default: standard output.")
_COLUMN = opt.option("Name of the new column.", "NAME")
_JOURNAL = opt.option(
    "File that stores the state of the method, so that a later run can continue. Default: none.",
    "DB",
)
_RESUME = Option("--resume", help="Continue after the rows that are in --journal.")
_SORT = Option("--sort", help="Sort the rows of a file by --time first.")
_SKIP = Option("--skip-bad", help="Leave invalid rows out. Default: stop at the first.")
_SEED = opt.option("Seed, used by --method hedging only. Default: random.", "N", min=0)
_ALARM = opt.option(
    "Raise an alarm on miscalibration (false-alarm probability ALPHA). Default: no alarm.",
    "ALPHA",
    callback=opt.check_share,
)
_PLOT = opt.option(
    "At the end, draw the errors over time to this file (.png, .pdf or .svg). Default: none.",
    "PNG",
)
_JSON = Option("--json", help="Print the final table as JSON to standard output. Requires -o.")


def stream(
    ctx: Context,
    prob: Annotated[str, _PROB],
    label: Annotated[str, _LABEL],
    file: Annotated[str, _FILE] = "-",
    time: Annotated[str | None, _TIME] = None,
    id: Annotated[str | None, _ID] = None,
    method: Annotated[str, _METHOD] = "tracking",
    positive: Annotated[str | None, _POSITIVE] = None,
    logit: opt.Logit = False,
    output: Annotated[str, _OUTPUT] = "-",
    column: Annotated[str, _COLUMN] = "calibrated",
    journal: Annotated[str | None, _JOURNAL] = None,
    resume: Annotated[bool, _RESUME] = False,
    sort: Annotated[bool, _SORT] = False,
    skip_bad: Annotated[bool, _SKIP] = False,
    seed: Annotated[int | None, _SEED] = None,
    alarm: Annotated[float | None, _ALARM] = None,
    plot: Annotated[str | None, _PLOT] = None,
    as_json: Annotated[bool, _JSON] = False,
    html: opt.Html = None,
) -> None:
    """Calibrate rows in order, using only earlier labels.

    Each row is written with one new column, the calibrated probability. Then
    the method updates with the label of the row. At the end, or at Ctrl-C, a
    table on standard error compares the scores with the forecasts.

    \b
    calibkit stream games.csv --prob model --label won -o out.csv
    tail -f log.jsonl | calibkit stream --prob p --label y --journal state.db
    calibkit stream games.csv --prob model --label won -o out.csv \\
      --journal state.db --resume

    \b
    Late labels. A row without a label gets a forecast but does not update the
    method. With --id, a later row with the same id may carry the label.

    \b
    Restarts. With --journal, a new run continues where the last one stopped,
    even after a crash. There are two ways to continue:
      - Without --resume, all rows of FILE are new rows, and -o must be a new
        file.
      - With --resume, give the same FILE (it may have grown), options and -o.
        Rows that are in the journal are skipped, and -o then has each row
        once. With standard output, up to 4,096 rows may be repeated after a
        crash. After a power failure, --resume may be refused: then drop -o, and
        the remaining rows go to standard output.

    \b
    Alarm. --alarm skips the first 1,000 labels, since an online method is
    miscalibrated at first. There is at most one alarm. False alarms are more
    frequent if several rows wait for their labels at the same time.

    \b
    Memory. The table and --plot use at least the last million labels.
    """
    if column.strip() == "":
        raise ValueError("--column: expected a name that is not empty.")
    if sort and time is None:
        raise ValueError("--sort without --time; expected the column to sort by. Add --time COL.")
    names = prob, label, time, id, method, positive, logit, column
    running = journal, resume, sort, skip_bad, seed, alarm, plot, as_json
    stream_file(file, output, StreamOptions(*names, *running, html), command_line(ctx))


def stream_file(file: str, output: str, options: StreamOptions, command: str = "") -> None:
    """Calibrate a stream to its end, then print the table of errors to stderr.

    ``command`` is what a page says makes it again.
    """
    source = Source.of(file)
    if source.kind == "parquet":
        raise ValueError(f"{source.name}: is Parquet; expected CSV, TSV or JSON lines.")
    if options.sort and (source.path is None or not source.path.is_file()):
        raise ValueError("--sort with standard input or a pipe; expected a file. Pass FILE.")
    if options.resume and options.journal is None:
        raise ValueError("--resume without --journal; expected both. Add --journal DB.")
    target, picture = _targets(file, output, options)
    page = check_html(options.html)
    report = StreamReport(options.method, options.alarm, picture, as_json=options.as_json)
    bad = report.skip if options.skip_bad else refuse
    with ExitStack() as stack:
        table, lines = stack.enter_context(_incoming(source, bad))
        incoming = Rows(table, options, bad)
        if target is not None and (target.suffix == ".gz" or kind_of(target) != table.kind):
            raise ValueError(
                f"{target}: unsuitable extension; expected .{table.kind}, as of the input."
            )
        learner = stack.enter_context(_learner(options, target))
        out = stack.enter_context(closing(Output(target)))
        rows: Iterator[Row] = iter(incoming)
        if options.sort:
            rows = iter(sorted(rows, key=lambda row: row.time))
        delivery = Delivery(
            RowForecaster(learner, report, logit=options.logit),
            out,
            how=_how(table, incoming.options),
            # For a pipe that is never resumed, these would fill the disk.
            keep=options.resume or (source.path is not None and source.path.is_file()),
        )
        if options.resume:
            delivery.resume(rows, source.name)
        else:
            delivery.begin()
        try:
            header, text = _writer(table, options.column)
            if delivery.at_start:
                out.write(header)
            for batch in _batches(rows, lambda: options.sort or lines.ready()):
                delivery.deliver(batch, text)
        finally:
            if report.n_rows or options.as_json:
                report.show()
                if page is not None:
                    report.write(page, source.name, command)


def _targets(file: str, output: str, options: StreamOptions) -> tuple[Path | None, Path | None]:
    """Paths of the rows and of the picture; raises if two of all files are the same."""
    if options.as_json and output == "-":
        raise ValueError("--json without -o; the forecasts go to standard output. Add -o FILE.")
    check_apart(
        {"the input file": file},
        {
            "--journal": options.journal,
            "-o": None if output == "-" else output,
            "--plot": options.plot,
            "--html": options.html,
            "standard output": "-" if output == "-" or options.as_json else None,
        },
    )
    target = None if output == "-" else check_output(output)
    picture = None if options.plot is None else check_output(options.plot)
    if picture is not None:
        check_picture(picture)
    return target, picture


def _how(table: TextTable, o: StreamOptions) -> str:
    """How rows are read and written; a resumed run must have the same."""
    header = None if table.header is None else table.header.raw.rstrip("\r\n")
    return json.dumps(
        [header, o.prob, o.label, o.time, o.id, o.column, o.positive, o.logit, o.sort]
    )


def make_method(options: StreamOptions) -> OnlineCalibrator:
    """The calibrator of the method."""
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
                    f"{target} exists, and {options.journal} has learned from {journal.n_rows:,} "
                    "rows: the forecasts in that file would be lost. Use --resume to continue "
                    "after these rows, or -o with a new name to add all rows of the input."
                )
            say(
                f"{options.journal} has learned from {journal.n_rows:,} rows already; all rows of "
                "the input are added. To skip rows that are in the journal, use --resume."
            )
        yield journal


@contextmanager
def _incoming(source: Source, bad: Bad) -> Iterator[tuple[TextTable, Lines]]:
    """The table; standard input is read as JSON lines if it begins like them."""
    with source.open() as (stream, _), waiting(stream) as wait:
        begin = stream.peek(1)[:4096]
        if b"\0" in begin:
            raise ValueError(f"{source.name}: is not text; expected CSV or JSON lines in UTF-8.")
        is_json = source.path is None and kind_in(begin) in ("jsonl", "document")
        lines = Lines(stream, wait)
        yield TextTable(source.name, "jsonl" if is_json else source.kind, lines, bad), lines


def _writer(
    table: TextTable, added: str
) -> tuple[bytes, Callable[[list[Row], list[float]], bytes]]:
    """The header with the new column, and a function that turns rows and forecasts into text.

    Each row that is not blank has a forecast, or NaN.
    """
    header, join = adder(table, [added])
    nothing = "null" if table.header is None else ""

    def text(rows: list[Row], forecasts: list[float]) -> bytes:
        cells = iter(nothing if q != q else repr(q) for q in forecasts)
        texts = (
            join(row.record.raw, [next(cells)]) if row.record.cells else row.record.raw
            for row in rows
        )
        # The last line may have no line ending.
        return to_bytes("".join(t if t.endswith(("\n", "\r")) else t + "\n" for t in texts))

    return to_bytes(header), text


def _batches(rows: Iterable[Row], ready: Callable[[], bool]) -> Iterator[list[Row]]:
    """Batches of rows that are available together; rows before an error are not lost."""
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


# -- forecasts and labels ----------------------------------------------------------------------


class Job(NamedTuple):
    """What to do for a row."""

    kind: str  # "now", "wait" or "late": the name of the method that does it
    row: Row
    #: Score and forecast of a row that waits for its label; empty if they are from another run,
    #: None if no row waits for this label.
    slot: list[float] | None = None


def _calibrator(learner: OnlineCalibrator | Journal) -> Any:
    return learner.calibrator_ if isinstance(learner, Journal) else learner


class RowForecaster:
    """Forecasts rows and updates with their labels; rows with an id may get their label later."""

    def __init__(
        self, learner: OnlineCalibrator | Journal, report: StreamReport, *, logit: bool
    ) -> None:
        self.journal = learner if isinstance(learner, Journal) else None
        self._learner, self._report, self._logit = learner, report, logit
        cal: Any = _calibrator(learner)
        self._room = cal.max_pending
        # Forecasts of earlier runs may wait in the journal: learned, but not in the table.
        self.wait_for(list(cal.pending_.to_dict()["ids"]) if hasattr(cal, "pending_") else [])

    @property
    def waiting(self) -> list[Any]:
        """Ids of the rows that wait for their labels."""
        return list(self._waiting)

    def wait_for(self, ids: list[Any]) -> None:
        """Set the ids that wait for labels."""
        self._waiting: dict[Any, list[float]] = {key: [] for key in ids}

    def take(self, rows: list[Row]) -> tuple[list[Job], list[float]]:
        """Forecast rows and learn their labels; the forecast of a row with a late label is NaN."""
        jobs, out = self.jobs(rows), []
        for kind, some in groupby(jobs, key=lambda job: job.kind):
            out += getattr(self, f"_{kind}")(list(some))
        return jobs, out

    def jobs(self, rows: list[Row]) -> list[Job]:
        """What to do for each row."""
        return [self._job(row) for row in rows]

    def count(self, jobs: list[Job], forecasts: list[float]) -> None:
        """Count rows and forecasts in the table, after they are written."""
        counted = []
        for job, q in zip(jobs, forecasts, strict=True):
            if job.kind == "now":
                counted.append((job.row.y, job.row.score, q, job.row))
            elif job.slot is None:
                self._report.n_unknown += 1
            elif job.kind == "wait":
                job.slot[1] = q
            elif job.slot:
                score, q = job.slot
                counted.append((job.row.y, score, q, job.row))
        self._report.n_rows += len(jobs)
        if counted:
            y, scores, q, rows = zip(*counted, strict=True)
            self._report.add(_array(y), self._raw(_array(scores)), _array(q), rows)

    def _job(self, row: Row) -> Job:
        if row.id is None:
            return Job("now", row)
        if math.isnan(row.y):
            self._waiting.pop(row.id, None)  # a newer forecast of an id replaces the older one
            slot = self._waiting[row.id] = [row.score, math.nan]
            if len(self._waiting) > self._room:
                del self._waiting[next(iter(self._waiting))]
            return Job("wait", row, slot)
        if row.id in self._waiting:
            return Job("late", row, self._waiting.pop(row.id))
        return Job("late" if math.isnan(row.score) else "now", row)

    def _now(self, jobs: list[Job]) -> list[float]:
        scores, y = _array(job.row.score for job in jobs), _array(job.row.y for job in jobs)
        return self._learner.predict_then_update(scores, y)[:, 1].tolist()

    def _wait(self, jobs: list[Job]) -> list[float]:
        ids, scores = [job.row.id for job in jobs], _array(job.row.score for job in jobs)
        with silent(ReplacedForecastWarning):  # a newer row of an id may replace one that waits
            return self._learner.forecast(ids, scores)[:, 1].tolist()

    def _late(self, jobs: list[Job]) -> list[float]:
        ids, y = [job.row.id for job in jobs], _array(job.row.y for job in jobs)
        # It learns labels that are given together as one batch, and batches are arbitrary here.
        alone = isinstance(_calibrator(self._learner), AdaptivePlattCalibrator)
        size = 1 if alone else len(jobs)
        for at in range(0, len(jobs), size):
            self._learner.label(ids[at : at + size], y[at : at + size])
        return [math.nan] * len(jobs)

    def _raw(self, scores: FloatArray) -> FloatArray:
        """Scores as probabilities."""
        return expit(scores) if self._logit else scores


def _array(values: Iterable[float]) -> FloatArray:
    return np.array(list(values), dtype=np.float64)


# -- delivery: rows are written first, then committed with the state ---------------------------


class Output:
    """The output: a file, which can be truncated, or standard output, which can't."""

    def __init__(self, target: Path | None) -> None:
        self.target = target
        self.n_bytes = self.crc = 0
        self._file: Any = None

    def open(self) -> None:
        """Start a new file, or continue after the bytes that were checked and cut off the rest."""
        if self.target is not None:
            # Unbuffered: written bytes survive the process, and nothing is written after a failure.
            self._file = self.target.open("r+b" if self.n_bytes else "wb", buffering=0)
            self._file.seek(self.n_bytes)
            self._file.truncate()

    def check(self, n_bytes: int, crc: int) -> None:
        """Raise unless the first ``n_bytes`` of the file have this checksum."""
        assert self.target is not None
        checksum, left = 0, n_bytes
        if n_bytes and self.target.exists():
            with self.target.open("rb") as file:
                while left and (block := file.read(min(left, _BLOCK))):
                    checksum, left = zlib.crc32(block, checksum), left - len(block)
        if left or checksum != crc:
            what = "has changed since the last run"
            if left:
                what = f"has {n_bytes - left:,} of the {n_bytes:,} bytes that the last run wrote"
            raise ValueError(
                f"{self.target}: {what}; expected the output of the last run. Restore it, or drop "
                "-o: the remaining rows then go to standard output."
            )
        self.n_bytes, self.crc = n_bytes, crc

    def write(self, data: bytes) -> None:
        """Write; the bytes have left this process when this returns."""
        if self._file is None:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self.n_bytes, self.crc = self.n_bytes + len(data), zlib.crc32(data, self.crc)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True)
class Mark:
    """How far a stream has got."""

    #: Rows that the journal has learned so far, other streams included.
    n_learnt: int
    #: Records of this stream, and how many of them are not blank.
    n_records: int = 0
    n_rows: int = 0
    #: Checksum of the rows that were read, and of the options.
    crc: int = 0
    #: Bytes of the output file and their checksum; None for standard output.
    n_bytes: int | None = None
    crc_output: int = 0
    #: Number of stored parts of the forecasts; None if they are not stored.
    n_parts: int | None = None

    def after(self, rows: list[Row]) -> Mark:
        """The mark after these rows."""
        n = sum(1 for row in rows if row.record.cells)
        raw = "".join([row.record.raw.rstrip("\r\n") + "\n" for row in rows])
        crc = zlib.crc32(to_bytes(raw), self.crc)
        return replace(self, n_records=self.n_records + len(rows), n_rows=self.n_rows + n, crc=crc)


class Delivery:
    """Writes each row to the output; exactly once, if that is a file and there is a journal.

    A batch is forecast, learned and written. Then one commit stores the state and how far input
    and output have got. So the output has all rows of the journal. After a kill it may have more;
    the next run cuts these off and writes them again.

    ``how`` is how the input is read; it must stay the same. With ``keep`` the journal stores the
    forecasts, so that a later run can report on the whole stream.
    """

    def __init__(self, forecaster: RowForecaster, output: Output, *, how: str, keep: bool) -> None:
        self._forecaster, self._output = forecaster, output
        self._journal, self._waiting = forecaster.journal, forecaster.waiting
        n_learnt = 0 if self._journal is None else self._journal.n_rows
        self._mark = Mark(n_learnt, crc=zlib.crc32(how.encode()), n_parts=0 if keep else None)

    @property
    def at_start(self) -> bool:
        """Whether the header must still be written."""
        if self._output.target is None:
            return self._mark.n_records == 0
        return self._output.n_bytes == 0

    def begin(self) -> None:
        """Start a new stream and its output."""
        self._start()
        self._output.open()

    def deliver(self, rows: list[Row], text: Callable[[list[Row], list[float]], bytes]) -> None:
        """Forecast rows, learn their labels, write their text, and count them after that."""
        full = [row for row in rows if row.record.cells]
        mark = self._mark
        with nullcontext() if self._journal is None else self._journal._together() as log:
            jobs, forecasts = self._forecaster.take(full)
            self._output.write(text(rows, forecasts))
            if log is not None:
                mark = self._note(log, mark.after(rows), forecasts)
        self._mark = mark
        self._forecaster.count(jobs, forecasts)

    def _start(self) -> None:
        if self._journal is not None:
            with self._journal._together() as log:
                log.forget()
                log.note(_WAITING, json.dumps(self._waiting).encode())
                self._mark = self._note(log, self._mark, [])

    def _note(self, log: Any, mark: Mark, forecasts: list[float]) -> Mark:
        n_bytes = None if self._output.target is None else self._output.n_bytes
        mark = replace(mark, n_learnt=log.n_rows, n_bytes=n_bytes, crc_output=self._output.crc)
        if forecasts and mark.n_parts is not None:
            log.note(_FORECASTS, np.array(forecasts).tobytes(), mark.n_parts)
            mark = replace(mark, n_parts=mark.n_parts + 1)
        log.note(_MARK, json.dumps(asdict(mark)).encode())
        return mark

    # -- resuming ---------------------------------------------------------------------------

    def resume(self, rows: Iterator[Row], name: str) -> None:
        """Skip the rows that are in the journal, and cut off output beyond them.

        Raises, and changes nothing, if input or output are not those of the last run.
        """
        assert self._journal is not None
        log = self._journal._log
        known = self._known(log)
        if known.n_rows == 0:
            self.begin()
            return
        self._find_output(known)
        mark = self._take_again(rows, known, name)
        if known.n_records == 0:
            say(
                f"{log.path} was not written by calibkit stream; the first {known.n_rows:,} rows "
                "of the input are skipped without a check that they are the same."
            )
            self._mark = replace(mark, n_parts=None)
            self._start()
        elif mark.crc != known.crc:
            raise ValueError(
                f"{name}: its first {known.n_rows:,} rows are not those in the journal, or were "
                "read with other options; expected the same rows, --prob, --label, --time, --id, "
                "--positive, --logit, --sort and --column. Drop --resume to add all rows to the "
                "journal."
            )
        else:
            self._mark = known
        self._output.open()

    def _known(self, log: Any) -> Mark:
        """The mark in the journal; without one, all its rows are assumed to be of this stream."""
        marks = list(log.notes(_MARK))
        if not marks:
            return Mark(log.n_rows, n_rows=log.n_rows)
        mark = Mark(**json.loads(marks[0]))
        if mark.n_learnt != log.n_rows:
            raise ValueError(
                f"{log.path} has learned from {log.n_rows - mark.n_learnt:,} rows since the stream "
                "stopped; expected none, since they may be the next rows of the input. Drop "
                "--resume to add all rows to the journal."
            )
        return mark

    def _find_output(self, known: Mark) -> None:
        """Check the output of the last run, or that the output is new."""
        target = self._output.target
        if target is None:
            return
        if known.n_bytes is not None:
            self._output.check(known.n_bytes, known.crc_output)
            return
        if target.exists() and target.stat().st_size:
            raise ValueError(
                f"{target}: exists, but the last run wrote elsewhere; expected a new file for the "
                "remaining rows. Choose another name, or drop -o."
            )
        say(f"{target}: starts after row {known.n_rows:,} of the stream.")

    def _take_again(self, rows: Iterator[Row], known: Mark, name: str) -> Mark:
        """Read the rows up to a mark again, only for the table; returns the mark found there."""
        assert self._journal is not None
        log, mark = self._journal._log, self._mark
        if known.n_parts is not None:
            self._forecaster.wait_for(json.loads(b"".join(log.notes(_WAITING))))
        with closing(log.notes(_FORECASTS)) as parts:
            forecasts = chain.from_iterable(np.frombuffer(part).tolist() for part in parts)
            for batch in _up_to(rows, known):
                mark = mark.after(batch)
                if known.n_parts is not None:
                    full = [row for row in batch if row.record.cells]
                    self._forecaster.count(
                        self._forecaster.jobs(full), list(islice(forecasts, len(full)))
                    )
        if mark.n_rows < known.n_rows:
            raise ValueError(
                f"{name}: has {mark.n_rows:,} rows and the journal {known.n_rows:,}; expected the "
                "input of the last run. Drop --resume to add all rows to the journal."
            )
        return mark


def _up_to(rows: Iterator[Row], known: Mark) -> Iterator[list[Row]]:
    """Rows up to a mark, in batches."""
    batch: list[Row] = []
    n_records = n_rows = 0
    while n_records < known.n_records or n_rows < known.n_rows:
        row = next(rows, None)
        if row is None:
            break
        batch.append(row)
        n_records, n_rows = n_records + 1, n_rows + bool(row.record.cells)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch


# -- report -----------------------------------------------------------------------------------


class StreamReport:
    """Counts and errors of a stream, shown at its end, and the alarm."""

    def __init__(
        self,
        method: str,
        alarm: float | None = None,
        picture: Path | None = None,
        *,
        as_json: bool = False,
    ) -> None:
        self._method, self._picture, self._as_json = method, picture, as_json
        self._alarm = None if alarm is None else CalibrationAlarm(alarm, classes=[0, 1])
        self._rang: tuple[int, Row] | None = None  # the label that raised the alarm, and its row
        self._kept = tuple(array("d") for _ in range(3))  # labels, scores, forecasts
        self.n_rows = self.n_labels = self.n_bad = self.n_unknown = 0

    def add(
        self, y: FloatArray, raw: FloatArray, forecast: FloatArray, rows: Sequence[Row]
    ) -> None:
        """Count the labeled rows among these."""
        known = np.flatnonzero(~np.isnan(y))
        for kept, values in zip(self._kept, (y, raw, forecast), strict=True):
            kept.frombytes(np.ascontiguousarray(values[known], dtype=np.float64).tobytes())
        if self._alarm is not None and self._rang is None:
            watched, before = known[max(0, _WARM - self.n_labels) :], self._alarm.n_seen_
            self._alarm.update(y[watched], forecast[watched])
            if (time := self._alarm.alarm_time_) is not None:
                self._rang = (_WARM + time, rows[watched[time - 1 - before]])
                say(self._alarm_text())
        self.n_labels += len(known)
        # Drop half of the room at a time, at the same labels for all batch sizes.
        half = _ROOM // 2
        first = half * max(0, (self.n_labels - 1) // half - 1)
        for kept in self._kept:
            del kept[: first - (self.n_labels - len(kept))]

    def skip(self, error: ValueError) -> None:
        """Count an invalid row, and print the first few."""
        self.n_bad += 1
        if self.n_bad <= _SHOWN_BAD:
            more = " Further ones are only counted." if self.n_bad == _SHOWN_BAD else ""
            say(f"warning: left out: {error}{more}")

    def head(self) -> str:
        """The counts in a line, and the state of the alarm."""
        parts = [f"{self.n_rows:,} rows", f"{self.n_labels:,} labels learned"]
        if self.n_bad:
            parts.append(f"{self.n_bad:,} invalid rows left out")
        if self.n_unknown:
            parts.append(f"{self.n_unknown:,} labels without a waiting row")
        n = len(self._kept[0])
        of = "all labels so far" if n == self.n_labels else f"at most the last {n:,} labels"
        rows = f"; uncalibrated scores against {self._method}: each row covers {of}; lower is "
        rows = f"{rows}better, for sharpness higher" if n else ""
        note = "" if self._alarm is None else f"\n# {self._alarm_text()}"
        return f"# {', '.join(parts)}{rows}{note}"

    def _alarm_text(self) -> str:
        assert self._alarm is not None
        false = f"false-alarm probability {percent(self._alarm.alpha)}"
        if self._rang is None and self.n_labels <= _WARM:
            return f"alarm not started: it needs more than {_WARM:,} labels"
        if self._rang is None:
            return f"no alarm after the first {_WARM:,} labels ({false})"
        label, row = self._rang
        when = "" if row.when is None else f" ({row.when!s:.40})"
        return (
            f"alarm at line {row.record.line:,}{when}, label {label:,}: "
            f"the forecasts of {self._method} are not calibrated ({false})"
        )

    def errors(self) -> list[dict[str, Any]]:
        """Errors of scores and forecasts up to the end of each quarter of the labels."""
        y, raw, forecast = (np.array(kept) for kept in self._kept)
        n = len(y)
        if n == 0:
            return []
        times = np.unique([-(-n * k // _QUARTERS) for k in range(1, _QUARTERS + 1)])
        errors = {
            name: prequential_errors(y, p, times=times, classes=[0, 1])
            for name, p in (("scores", np.clip(raw, 0.0, 1.0)), (self._method, forecast))
        }
        return [
            {"labels": time, "forecasts": name, **{e: float(getattr(of, e)[i]) for e in _ERRORS}}
            for i, time in enumerate(times.tolist())
            for name, of in errors.items()
        ]

    def table(self) -> list[list[str]]:
        """The errors as text; the header first."""
        rows = [
            [str(labels), name, *(f"{value:.5f}" for value in values)]
            for labels, name, *values in (row.values() for row in self.errors())
        ]
        return [["labels", "forecasts", *_ERRORS], *rows]

    def facts(self) -> dict[str, Any]:
        """The results as plain values."""
        alarm = None
        if self._alarm is not None:
            label, row = self._rang or (None, None)
            line, when = (None, None) if row is None else (row.record.line, row.when)
            alarm = {"alpha": self._alarm.alpha, "label": label, "line": line, "time": when}
        return {
            "calibkit": __version__,
            "method": self._method,
            "rows": self.n_rows,
            "labels": self.n_labels,
            "labels_measured": len(self._kept[0]),
            "bad_rows": self.n_bad,
            "unknown_labels": self.n_unknown,
            "alarm": alarm,
            "errors": self.errors(),
            "verdict": self._verdict(),
        }

    def _verdict(self) -> list[str]:
        """The last errors, and the alarm, in two sentences."""
        said = "No alarm was watched for (--alarm)."
        if self._alarm is not None:
            said = self._alarm_text()
            said = f"{said[0].upper()}{said[1:]}."
        if not (errors := self.errors()):
            return ["No label arrived, so no error is known.", said]
        scores, forecasts = (e["calibration_error"] for e in errors[-2:])
        first = f"After {self.n_labels:,} labels, the calibration error of {self._method} is "
        return [f"{first}{forecasts:.4f}; that of the scores is {scores:.4f}.", said]

    def show(self) -> None:
        """Print the table to stderr, or JSON to stdout, and draw the picture."""
        if self._as_json:
            print_json(self.facts())
        elif sys.stderr is not None:
            head, table = self.head().splitlines(), self.table() if len(self._kept[0]) else []
            show(
                lambda: [*head, *([rich_rows(table)] if table else [])],
                lambda: [*head, *aligned(table)],
                sys.stderr,
            )
        if self._picture is not None:
            self._draw(self._picture)

    def _draw(self, path: Path) -> None:
        if len(self._kept[0]) == 0:
            say(f"{path}: not drawn, since there was no label.")
            return
        write_picture(self._display(), path)

    def write(self, path: Path, name: str, command: str) -> None:
        """Write the page."""
        pictures = []
        if len(self._kept[0]):
            said = (
                "Calibration error, sharpness and losses of scores and forecasts over the labels."
            )
            pictures.append(inline_svg(self._display, "drift", "Errors over time", said))
        lead = self.head().splitlines()[0].removeprefix("# ")
        write_page(stream_page(self.facts(), name, lead, pictures, command), path)

    def _display(self) -> DriftDisplay:
        y, raw, forecast = (np.array(kept) for kept in self._kept)
        n, gone = len(y), self.n_labels - len(y)
        # With another start, the alarm of the picture would differ from that of the stream.
        watched = self._alarm is not None and gone == 0 and n > _WARM
        display = DriftDisplay.from_predictions(
            y,
            {"scores": np.clip(raw, 0.0, 1.0), self._method: forecast},
            time=np.arange(gone + 1, gone + n + 1),
            window=n // 10 if n >= _ENOUGH else None,
            start=_WARM if watched else 0,
            alarm=self._alarm.alpha if watched and self._alarm is not None else None,
            classes=[0, 1],
        )
        display.ax_[1].set_xlabel(f"Labels, the last {n:,}" if gone else "Labels")
        return display
