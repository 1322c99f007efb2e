"""The command ``calibkit stream``: rows are forecast, written and learnt as they come."""

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
from typer import BadParameter, Option

from .. import __version__
from .._core.params import advice, both_names, main_name, percent
from .._core.printed import spelled
from .._core.warnings import silent
from .._numerics.links import expit
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
from .report import check_picture, write_picture
from .stream_rows import Lines, Row, Rows, StreamOptions

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
#: Rows that are taken in one go.
_BATCH = 4096
#: Kinds of notes in a journal; the numbers are in files.
_WAITING, _MARK, _FORECASTS = range(3)
_BLOCK = 1 << 20
#: Most labelled rows that are kept; then the last half of that stays.
_ROOM = 2_000_000
_QUARTERS = 4
_SHOWN_BAD = 10
_ERRORS = ("calibration_error", "sharpness", "brier", "log_loss")
#: Labels before the alarm watches: every method is off while it finds its feet.
_WARM = 1000
#: A picture of fewer labels has no sliding window: a tenth of them would be noise.
_ENOUGH = 1000
_NAMES = [both_names(name) for name in METHODS]


# -- the command -------------------------------------------------------------------------------


def _method(value: str) -> str:
    name = main_name(value.lower())
    if name not in METHODS:
        near = advice(value, METHODS)
        raise BadParameter(f"{spelled(value)} is not one of {', '.join(_NAMES)}{near}")
    return name


def _alpha(value: float | None) -> float | None:
    if value is not None and not 0.0 < value < 1.0:
        raise BadParameter(f"{value:g} is not a fraction such as 0.05")
    return value


_METHOD = Option(callback=_method, metavar="NAME", help=" | ".join(_NAMES))
_ALARM = Option(callback=_alpha, metavar="ALPHA", help="Say when forecasts go wrong.")


def stream(
    prob: Annotated[str, Option(metavar="COL", help="Column of scores.")],
    label: Annotated[str, Option(metavar="COL", help="Column of labels; empty: none yet.")],
    file: opt.File = "-",
    time: Annotated[str | None, Option(metavar="COL", help="Rows must come in its order.")] = None,
    id: Annotated[str | None, Option(metavar="COL", help="By which labels may come later.")] = None,
    method: Annotated[str, _METHOD] = "tracking",
    positive: Annotated[str | None, Option(metavar="VALUE", help="Label of the event.")] = None,
    logit: opt.Logit = False,
    output: Annotated[str, Option("-o", "--output", metavar="FILE", help="Where to write.")] = "-",
    column: Annotated[str, Option(metavar="NAME", help="New column.")] = "calibrated",
    journal: Annotated[
        str | None, Option(metavar="DB", help="File to keep what is learnt in.")
    ] = None,
    resume: Annotated[
        bool, Option("--resume", help="Go on after the rows that the journal has.")
    ] = False,
    sort: Annotated[bool, Option("--sort", help="Sort a file by --time first.")] = False,
    skip_bad: Annotated[bool, Option("--skip-bad", help="Leave bad rows out and go on.")] = False,
    seed: Annotated[int | None, Option(min=0, metavar="N", help="Seed of hedging.")] = None,
    alarm: Annotated[float | None, _ALARM] = None,
    plot: Annotated[
        str | None, Option(metavar="PNG", help="Draw the errors over time at the end.")
    ] = None,
    as_json: Annotated[
        bool, Option("--json", help="The table as JSON on stdout; needs -o.")
    ] = False,
) -> None:
    """Calibrate rows as they come, each from the labels before it.

    FILE is .csv, .tsv or .jsonl (also .gz); without, CSV or JSON lines from
    stdin, where each forecast is written before the next row is awaited.

    \b
    calibkit stream games.csv --prob model --label won -o out.csv
    tail -f log.jsonl | calibkit stream --prob p --label y --journal state.db

    A row without a label is forecast and not learnt; with --id its label may
    come in a later row of that id. At the end, or at Ctrl-C, a table on stderr
    compares the scores with the forecasts.

    With --journal a restart goes on where the last run was, even after kill -9:
    rows are written first, and the journal has them after. With --resume FILE
    is read from its start: rows that the journal has are skipped, what -o holds
    beyond them is cut off, and then every row is in -o once; table, picture and
    alarm are those of the whole stream. It is refused if these rows, the
    options or the output have changed. Standard output can't be cut: after a
    kill up to 4,096 rows may come again, the first after a torn line; none is
    missing. A power failure may cost the last rows, and then --resume may be
    refused. Without --resume all rows of FILE are added, and -o has
    to be a new file.

    The names of the paper stand in parentheses; tobs is tracking over
    online_beta, and both tracking ones are smoothed (smoothing=1).

    --alarm watches the forecasts after the first 1,000 labels of a run. It
    rings once, and falsely in at most a share ALPHA of runs; more often where
    labels come late by --id and outcomes overlap. --plot and the table know the
    last one to two million labels, so memory stays the same.
    """
    if column.strip() == "":
        raise ValueError("--column: expected a name that is not empty.")
    if sort and time is None:
        raise ValueError("--sort needs --time, the column to sort by.")
    names = prob, label, time, id, method, positive, logit, column
    running = journal, resume, sort, skip_bad, seed, alarm, plot, as_json
    stream_file(file, output, StreamOptions(*names, *running))


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
    bad = report.skip if options.skip_bad else refuse
    with ExitStack() as stack:
        table, lines = stack.enter_context(_incoming(source, bad))
        incoming = Rows(table, options, bad)
        if target is not None and (target.suffix == ".gz" or kind_of(target) != table.kind):
            raise ValueError(
                f"{target}: expected a name that ends in .{table.kind}, as the input is."
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
            # What is read once only and never resumed would fill the disk in the end.
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


def _how(table: TextTable, o: StreamOptions) -> str:
    """How rows are read and written: of two runs that are one stream it is the same."""
    header = None if table.header is None else table.header.raw.rstrip("\r\n")
    return json.dumps(
        [header, o.prob, o.label, o.time, o.id, o.column, o.positive, o.logit, o.sort]
    )


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
def _incoming(source: Source, bad: Bad) -> Iterator[tuple[TextTable, Lines]]:
    """The table, as JSON lines if standard input begins so; quotes left open end soon here."""
    with source.open() as (stream, _):
        begin = stream.peek(1)[:4096]
        if b"\0" in begin:
            raise ValueError(f"{source.name}: is not text; expected CSV or JSON lines in UTF-8.")
        is_json = source.path is None and kind_in(begin) in ("jsonl", "document")
        lines = Lines(stream)
        yield TextTable(source.name, "jsonl" if is_json else source.kind, lines, bad), lines


def _writer(
    table: TextTable, added: str
) -> tuple[bytes, Callable[[list[Row], list[float]], bytes]]:
    """The header of the table as it came with one more column, and what makes text of rows.

    Rows that are not blank have a forecast, or NaN.
    """
    header, join = adder(table, [added])
    nothing = "null" if table.header is None else ""

    def text(rows: list[Row], forecasts: list[float]) -> bytes:
        cells = iter(nothing if q != q else repr(q) for q in forecasts)
        texts = (
            join(row.record.raw, [next(cells)]) if row.record.cells else row.record.raw
            for row in rows
        )
        # A last line may come without its end.
        return to_bytes("".join(t if t.endswith(("\n", "\r")) else t + "\n" for t in texts))

    return to_bytes(header), text


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


# -- forecasts and labels ----------------------------------------------------------------------


class Job(NamedTuple):
    """What there is to do for a row."""

    kind: str  # "now", "wait" or "late": the method that does it
    row: Row
    #: Score and forecast of a row that waits for its label; empty if they were in another run,
    #: None if nobody waits for it.
    slot: list[float] | None = None


def _calibrator(learner: OnlineCalibrator | Journal) -> Any:
    return learner.calibrator_ if isinstance(learner, Journal) else learner


class RowForecaster:
    """Takes rows in, gives forecasts out, and keeps those whose labels come later by their id."""

    def __init__(
        self, learner: OnlineCalibrator | Journal, report: StreamReport, *, logit: bool
    ) -> None:
        self.journal = learner if isinstance(learner, Journal) else None
        self._learner, self._report, self._logit = learner, report, logit
        cal: Any = _calibrator(learner)
        self._room = cal.max_pending
        # Forecasts of other streams that wait in the journal are learnt, but not in the table.
        self.wait_for(list(cal.pending_.to_dict()["ids"]) if hasattr(cal, "pending_") else [])

    @property
    def waiting(self) -> list[Any]:
        """Ids of the forecasts that wait for their labels."""
        return list(self._waiting)

    def wait_for(self, ids: list[Any]) -> None:
        """Let these ids wait, and no others."""
        self._waiting: dict[Any, list[float]] = {key: [] for key in ids}

    def take(self, rows: list[Row]) -> tuple[list[Job], list[float]]:
        """Learn rows: forecasts from the labels before each; NaN for one that brings a label."""
        jobs, out = self.jobs(rows), []
        for kind, some in groupby(jobs, key=lambda job: job.kind):
            out += getattr(self, f"_{kind}")(list(some))
        return jobs, out

    def jobs(self, rows: list[Row]) -> list[Job]:
        """What there is to do for each row."""
        return [self._job(row) for row in rows]

    def count(self, jobs: list[Job], forecasts: list[float]) -> None:
        """Count rows and their forecasts in the table, once they are delivered."""
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
            self._waiting.pop(row.id, None)  # a newer forecast of an id waits longer
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
        with silent():  # a newer row of an id may replace one that waits
            return self._learner.forecast(ids, scores)[:, 1].tolist()

    def _late(self, jobs: list[Job]) -> list[float]:
        ids, y = [job.row.id for job in jobs], _array(job.row.y for job in jobs)
        # Labels given together are one batch to it, and which are in hand together is chance.
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


# -- delivery: written first, and then committed with what was learnt --------------------------


class Output:
    """Where rows go: to a file, which can be cut back, or to standard output, which can't."""

    def __init__(self, target: Path | None) -> None:
        self.target = target
        self.n_bytes = self.crc = 0
        self._file: Any = None

    def open(self) -> None:
        """Begin anew, or go on after the bytes that were found, and cut off what comes after."""
        if self.target is not None:
            # Unbuffered: what is written outlives the process, and nothing follows a failure.
            self._file = self.target.open("r+b" if self.n_bytes else "wb", buffering=0)
            self._file.seek(self.n_bytes)
            self._file.truncate()

    def check(self, n_bytes: int, crc: int) -> None:
        """Raise unless the file begins with so many bytes of that checksum, and count them."""
        assert self.target is not None
        checksum, left = 0, n_bytes
        if n_bytes and self.target.exists():
            with self.target.open("rb") as file:
                while left and (block := file.read(min(left, _BLOCK))):
                    checksum, left = zlib.crc32(block, checksum), left - len(block)
        if left or checksum != crc:
            what = "is not the file that was written"
            if left:
                what = f"holds {n_bytes - left:,} of the {n_bytes:,} bytes that were written"
            raise ValueError(
                f"{self.target}: {what} up to the last row that the journal has; expected the "
                "output of the run before, to go on with. Bring it back, or leave out -o: then "
                "the rows that are left go to standard output."
            )
        self.n_bytes, self.crc = n_bytes, crc

    def write(self, data: bytes) -> None:
        """Write, and return when it is out of this process."""
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
    """How far a stream has come."""

    #: Rows that the journal had been given by then, those of other streams too.
    n_learnt: int
    #: Records of this stream, and of these the rows that are not blank.
    n_records: int = 0
    n_rows: int = 0
    #: Checksum of what was read, and of how.
    crc: int = 0
    #: Bytes of the output file and their checksum; None where rows went to standard output.
    n_bytes: int | None = None
    crc_output: int = 0
    #: Parts of the forecasts; None where they are not kept.
    n_parts: int | None = None

    def after(self, rows: list[Row]) -> Mark:
        """The mark when these rows are taken too."""
        n = sum(1 for row in rows if row.record.cells)
        raw = "".join([row.record.raw.rstrip("\r\n") + "\n" for row in rows])
        crc = zlib.crc32(to_bytes(raw), self.crc)
        return replace(self, n_records=self.n_records + len(rows), n_rows=self.n_rows + n, crc=crc)


class Delivery:
    """Takes rows to the output: exactly once, if that is a file and there is a journal.

    A batch is forecast, learnt and written; then one commit says how far input and output are,
    beside what was learnt. So the output holds what the journal knows, and after a kill perhaps
    rows beyond, which the next run cuts off and makes again.

    ``how`` says how the input is read, which is to stay the same. With ``keep`` the journal keeps
    the forecasts, so that a later run can tell of the whole stream.
    """

    def __init__(self, forecaster: RowForecaster, output: Output, *, how: str, keep: bool) -> None:
        self._forecaster, self._output = forecaster, output
        self._journal, self._waiting = forecaster.journal, forecaster.waiting
        n_learnt = 0 if self._journal is None else self._journal.n_rows
        self._mark = Mark(n_learnt, crc=zlib.crc32(how.encode()), n_parts=0 if keep else None)

    @property
    def at_start(self) -> bool:
        """Whether the header is still to be written."""
        if self._output.target is None:
            return self._mark.n_records == 0
        return self._output.n_bytes == 0

    def begin(self) -> None:
        """Start a stream and its output."""
        self._start()
        self._output.open()

    def deliver(self, rows: list[Row], text: Callable[[list[Row], list[float]], bytes]) -> None:
        """Forecast rows, learn them and write their text; it counts when that is done."""
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

    # -- going on ---------------------------------------------------------------------------

    def resume(self, rows: Iterator[Row], name: str) -> None:
        """Skip the rows that the journal has had, and cut off what was written of those to come.

        Raises, with nothing changed, if input or output are not those of the run before.
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
            say(f"{log.path} was taught elsewhere: its {known.n_rows:,} rows are skipped unseen.")
            self._mark = replace(mark, n_parts=None)
            self._start()
        elif mark.crc != known.crc:
            raise ValueError(
                f"{name}: its first {known.n_rows:,} rows are not those that the journal has "
                "taken, or are read by other options; expected the same rows, --prob, --label, "
                "--time, --id, --positive, --logit, --sort and --column. Drop --resume to add "
                "these rows to it."
            )
        else:
            self._mark = known
        self._output.open()

    def _known(self, log: Any) -> Mark:
        """The mark in the journal; without one all its rows are taken to be of this stream."""
        marks = list(log.notes(_MARK))
        if not marks:
            return Mark(log.n_rows, n_rows=log.n_rows)
        mark = Mark(**json.loads(marks[0]))
        if mark.n_learnt != log.n_rows:
            raise ValueError(
                f"{log.path} has learnt from {log.n_rows - mark.n_learnt:,} rows since the stream "
                "stopped; expected none, for they may be rows to come. Drop --resume to add all "
                "rows to it."
            )
        return mark

    def _find_output(self, known: Mark) -> None:
        """The output of the run before; a new one where there is none."""
        target = self._output.target
        if target is None:
            return
        if known.n_bytes is not None:
            self._output.check(known.n_bytes, known.crc_output)
            return
        if target.exists() and target.stat().st_size:
            raise ValueError(
                f"{target}: holds no rows that the journal knows of: they went elsewhere; expected "
                "a new file for the rows that are left. Choose another name, or leave out -o."
            )
        say(f"{target}: begins after row {known.n_rows:,} of the stream.")

    def _take_again(self, rows: Iterator[Row], known: Mark, name: str) -> Mark:
        """Take the rows up to a mark, for the table alone; returns the mark found there."""
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
                f"{name}: has {mark.n_rows:,} rows and the journal has taken {known.n_rows:,}; "
                "expected the stream it was at. Drop --resume to add these rows to it."
            )
        return mark


def _up_to(rows: Iterator[Row], known: Mark) -> Iterator[list[Row]]:
    """Rows up to a mark, some at a time."""
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
    """Counts and errors of a stream, to be shown at its end; the alarm rings on the way."""

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
        self._rang: tuple[int, Row] | None = None  # the label, and the row it came in
        self._kept = tuple(array("d") for _ in range(3))  # labels, scores, forecasts
        self.n_rows = self.n_labels = self.n_bad = self.n_unknown = 0

    def add(
        self, y: FloatArray, raw: FloatArray, forecast: FloatArray, rows: Sequence[Row]
    ) -> None:
        """Count labelled rows among these."""
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
        # Half of the room goes at a time, at the same labels however the rows were cut.
        half = _ROOM // 2
        first = half * max(0, (self.n_labels - 1) // half - 1)
        for kept in self._kept:
            del kept[: first - (self.n_labels - len(kept))]

    def skip(self, error: ValueError) -> None:
        """Count a bad row, and say the first few."""
        self.n_bad += 1
        if self.n_bad <= _SHOWN_BAD:
            more = "; more are only counted" if self.n_bad == _SHOWN_BAD else ""
            say(f"warning: left out: {error}{more}")

    def head(self) -> str:
        """The counts in a line, and what the alarm did."""
        parts = [f"{self.n_rows:,} rows", f"{self.n_labels:,} labels learnt"]
        if self.n_bad:
            parts.append(f"{self.n_bad:,} bad rows left out")
        if self.n_unknown:
            parts.append(f"{self.n_unknown:,} labels of rows that nobody waits for")
        n = len(self._kept[0])
        of = "from the first label" if n == self.n_labels else f"over the last {n:,} labels"
        note = "" if self._alarm is None else f"\n# {self._alarm_text()}"
        return (
            f"# {', '.join(parts)}; errors {of}, {self._method} against the scores as they came"
            f"{note}"
        )

    def _alarm_text(self) -> str:
        assert self._alarm is not None
        false = f"{percent(self._alarm.alpha)} of calibrated streams ring"
        if self._rang is None:
            return f"no alarm after the first {_WARM:,} labels ({false})"
        label, row = self._rang
        when = "" if row.when is None else f" ({row.when!s:.40})"
        return (
            f"alarm at line {row.record.line:,}{when}, label {label:,}: "
            f"the forecasts of {self._method} are not calibrated ({false})"
        )

    def errors(self) -> list[dict[str, Any]]:
        """Errors of scores and forecasts up to each quarter of the labels."""
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
        """All of it as plain values."""
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
        }

    def show(self) -> None:
        """The table on stderr, where it is in nobody's way, or JSON; and the picture."""
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
        y, raw, forecast = (np.array(kept) for kept in self._kept)
        n, gone = len(y), self.n_labels - len(y)
        if n == 0:
            say(f"{path}: not drawn, since there was no label.")
            return
        # Begun elsewhere, an alarm of the picture would not be that of the stream.
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
        write_picture(display, path)
