"""What of a stream has been delivered: written first, and then committed with what was learnt."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from ..online import Journal
from ..online._base import OnlineCalibrator
from ..online._call_log import CallLog
from .console import say
from .forecaster import RowForecaster, waiting_ids
from .incoming import Row
from .stream_report import StreamReport

#: Kinds of notes in a journal; the numbers are in files.
_WAITING, _MARK, _FORECASTS = range(3)
_BLOCK = 1 << 20
#: Rows that are taken again in one go.
_BATCH = 4096


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
        found, left = 0, n_bytes
        if n_bytes and self.target.exists():
            with self.target.open("rb") as file:
                while left and (block := file.read(min(left, _BLOCK))):
                    found, left = zlib.crc32(block, found), left - len(block)
        if left or found != crc:
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
        crc = zlib.crc32(raw.encode("utf-8", "surrogateescape"), self.crc)
        return replace(self, n_records=self.n_records + len(rows), n_rows=self.n_rows + n, crc=crc)


class Delivery:
    """Takes rows to the output: exactly once, if that is a file and there is a journal.

    A batch is forecast, learnt and written; then one commit says how far input and output are,
    beside what was learnt. So the output holds what the journal knows, and after a kill perhaps
    rows beyond, which the next run cuts off and makes again.

    ``how`` says how the input is read, which is to stay the same. With ``keep`` the journal keeps
    the forecasts, so that a later run can tell of the whole stream.
    """

    def __init__(
        self,
        learner: OnlineCalibrator | Journal,
        report: StreamReport,
        output: Output,
        *,
        logit: bool,
        how: str,
        keep: bool,
    ) -> None:
        self._journal = learner if isinstance(learner, Journal) else None
        self._output = output
        # Forecasts of other streams that wait in the journal are learnt, but not in the table.
        self._waiting = waiting_ids(learner)
        self._forecaster = RowForecaster(learner, report, self._waiting, logit=logit)
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

    def _note(self, log: CallLog, mark: Mark, forecasts: list[float]) -> Mark:
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

    def _known(self, log: CallLog) -> Mark:
        """The mark in the journal; without one all its rows are taken to be of this stream."""
        found = list(log.notes(_MARK))
        if not found:
            return Mark(log.n_rows, n_rows=log.n_rows)
        mark = Mark(**json.loads(found[0]))
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
