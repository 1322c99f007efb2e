"""Kill ``calibkit stream`` and resume it, and check that each row is in its output once.

A process calibrates a file with --journal and --resume. It is killed (SIGKILL) at a random moment,
or ends, as if killed, at one of the points where it writes: before, within and after each write to
the output, and before and after each SQLite statement, commits included. Then the rows in the
output and the rows that the journal acknowledges are counted, and the next process continues. When
the file is complete, the output, the state and the table of errors must equal, byte for byte, those
of an uninterrupted run. On standard output rows may be repeated, but none may be missing.

    python benchmarks/journal_kill.py 60 --stream
    python benchmarks/journal_kill.py 0 --faults
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from calibkit import to_dict
from calibkit._cli import stream
from calibkit._cli.stream import stream_file
from calibkit._cli.stream_rows import StreamOptions
from calibkit.online import Journal
from calibkit.online import _call_log as call_log

ALARM = 0.2
#: A kill of a process loses nothing that the system has in memory, so no real disk is needed.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@dataclass(frozen=True)
class Case:
    """What is streamed, and with which options."""

    name: str
    kind: str = "csv"
    late: bool = False
    to_file: bool = True
    method: str = "tracking"


CASES = [
    Case("file"),
    Case("late labels", late=True, method="windowed"),
    Case("JSON lines", kind="jsonl", method="hedging"),
    Case("standard output", to_file=False),
]


def make_table(case: Case, n: int, seed: int = 0) -> str:
    """A stream with missing labels, late labels and blank lines."""
    rng = np.random.default_rng(seed)
    p = rng.random(n).round(6)
    y = np.where(rng.random(n) < 0.1, -1, rng.random(n) < p**2)
    records: list[dict[str, Any]] = []
    for i, (score, label) in enumerate(zip(p.tolist(), y.tolist(), strict=True)):
        comes_late = case.late and i % 3 == 0
        shown = None if label < 0 or comes_late else int(label)
        records.append({"i": i, "p": score, "y": shown, "note": "a, b"})
        if case.late and i % 3 == 1 and i > 7:
            records.append({"i": i - 7, "p": None, "y": int(y[i - 7] > 0), "note": ""})
    if case.kind == "jsonl":
        lines = [json.dumps(r) for r in records]
    else:
        cells = [["" if v is None else str(v) for v in r.values()] for r in records]
        lines = ["i,p,y,note", *(f'{i},{p},{y},"{note}"' for i, p, y, note in cells)]
    for at in range(5, len(lines), 11):
        lines[at] += "\n"  # a blank line after it
    return "\n".join(lines) + "\n"


class Died(BaseException):
    """The simulated end of a process."""


class Clock:
    """Count the points where a process writes; raise ``Died`` at one of them and after it."""

    def __init__(self, at: int) -> None:
        self.at, self.n = at, 0
        self.connections: list[Any] = []

    def point(self) -> None:
        self.n += 1
        if self.n >= self.at:
            raise Died


class Faulty:
    """A file or a connection that calls the clock around each write."""

    def __init__(self, thing: Any, clock: Clock) -> None:
        self._thing, self._clock = thing, clock

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if name not in ("execute", "truncate", "flush"):
            return found

        def run(*args: Any) -> Any:
            self._clock.point()
            result = found(*args)
            self._clock.point()
            return result

        return run

    def write(self, data: Any) -> int:
        """Write in two parts, with a point before, between and after them."""
        data = bytes(data)
        self._clock.point()
        for part in (data[: len(data) * 2 // 3], data[len(data) * 2 // 3 :]):
            self._thing.write(part)
            if hasattr(self._thing, "raw"):
                self._thing.flush()
            self._clock.point()
        return len(data)


@dataclass(frozen=True)
class Bench:
    """A directory with a stream, its journal and its output."""

    place: Path
    case: Case
    batch: int

    @property
    def source(self) -> Path:
        return self.place / f"in.{self.case.kind}"

    @property
    def output(self) -> Path:
        return self.place / f"out.{self.case.kind}"

    @property
    def journal(self) -> Path:
        return self.place / "journal" / "state.db"

    def fresh(self) -> None:
        shutil.rmtree(self.journal.parent, ignore_errors=True)
        self.journal.parent.mkdir()
        self.output.unlink(missing_ok=True)

    def work(self, clock: Clock | None = None) -> None:
        """Stream to the end, or until the clock raises ``Died``."""
        case = self.case
        options = StreamOptions(
            "p",
            "y",
            id="i" if case.late else None,
            method=case.method,
            journal=str(self.journal),
            resume=True,
            seed=1,
            alarm=ALARM,
            as_json=case.to_file,
        )
        with ExitStack() as stack:
            stack.enter_context(patch.object(stream, "_BATCH", self.batch))
            if case.to_file:
                file: Any = stack.enter_context((self.place / "facts.json").open("wb"))
            else:
                file = stack.enter_context(self.output.open("ab"))
                file = file if clock is None else Faulty(file, clock)
            out = io.TextIOWrapper(file, write_through=True)
            stack.callback(out.detach)
            stack.enter_context(redirect_stdout(out))
            stack.enter_context(redirect_stderr(io.StringIO()))
            if clock is not None:
                stack.enter_context(_faults(clock))
            stream_file(str(self.source), str(self.output) if case.to_file else "-", options)

    def dies(self, at: int) -> bool:
        """Whether a run died at this point; it may finish before."""
        clock = Clock(at)
        try:
            self.work(clock)
        except Died as death:
            error: BaseException | None = death
            while error is not None:  # the frames refer to open statements
                traceback.clear_frames(error.__traceback__)
                error = error.__context__
            return True
        finally:
            for connection in clock.connections:
                connection.close()
            self._cut_line()
        return False

    def is_killed(self, delay: float | None, *, at_work: bool = False) -> bool:
        """Whether a child was killed after a delay; it may finish before.

        The delay counts from the start or, with ``at_work``, from a change of the output.
        """
        before = self._size()
        pid = os.fork()
        if pid == 0:
            try:
                self.work()
                os._exit(0)
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
                os._exit(3)
        if delay is not None:
            ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
            while at_work and self._size() == before and os.waitid(os.P_PID, pid, ended) is None:
                time.sleep(0.001)
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        self._cut_line()
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise SystemExit("FAILED: a child failed by itself")
        return not os.WIFEXITED(status)

    def _size(self) -> int:
        return self.output.stat().st_size if self.output.exists() else -1

    def _cut_line(self) -> None:
        """Remove an incomplete last line, as the reader of a pipe would."""
        if not self.case.to_file and self.output.exists():
            whole = self.output.read_bytes().rpartition(b"\n")
            self.output.write_bytes(whole[0] + whole[1])

    def acknowledged(self) -> int:
        """Rows of the stream in a copy of the journal."""
        with tempfile.TemporaryDirectory(dir=MEMORY) as place:
            twin = Path(place) / "copy"
            shutil.copytree(self.journal.parent, twin)
            try:
                with Journal(twin / self.journal.name) as journal:
                    return journal.n_rows
            except (FileNotFoundError, ValueError) as error:
                if "does not exist" in str(error) or "is empty" in str(error):
                    return 0  # killed before the journal was created
                raise

    def state(self) -> dict[str, Any]:
        with Journal(self.journal) as journal:
            return to_dict(journal.calibrator_)

    def facts(self) -> str:
        """What the last run printed as JSON."""
        return (self.place / "facts.json").read_text() if self.case.to_file else ""


@contextmanager
def _faults(clock: Clock) -> Iterator[None]:
    connect, begin = call_log.CallLog._connect, stream.Output.open

    def connecting(self: Any, durable: bool) -> None:
        connect(self, durable)
        clock.connections.append(self._connection)
        self._connection = Faulty(self._connection, clock)

    def opening(self: Any) -> None:
        clock.point()
        begin(self)
        if self._file is not None:
            self._file = Faulty(self._file, clock)
        clock.point()

    with (
        patch.object(call_log.CallLog, "_connect", connecting),
        patch.object(stream.Output, "open", opening),
    ):
        yield


@dataclass(frozen=True)
class Truth:
    """Output, state and printed table of an uninterrupted run."""

    output: bytes
    state: dict[str, Any]
    facts: str

    @classmethod
    def of(cls, bench: Bench) -> Truth:
        bench.fresh()
        bench.work()
        return cls(bench.output.read_bytes(), bench.state(), bench.facts())

    def check_left(self, bench: Bench) -> tuple[int, int]:
        """Rows written and rows acknowledged after a kill; raise if a row is missing."""
        found = bench.output.read_bytes() if bench.output.exists() else b""
        n = bench.acknowledged()
        expected, known = _rows(self.output), set(_rows(found))
        if bench.case.to_file and not self.output.startswith(found):
            raise SystemExit("FAILED: the output is not the beginning of the complete output")
        if not known.issuperset(expected[:n]):
            raise SystemExit("FAILED: rows were acknowledged and not written")
        return len(known.intersection(expected)), n

    def check_end(self, bench: Bench) -> int:
        """Raise if the output, state or table differs; return the number of repeated rows."""
        found = bench.output.read_bytes()
        rows, expected = _rows(found), set(_rows(self.output))
        again = sum(row in expected for row in rows) - len(expected)
        same = found == self.output if bench.case.to_file else expected <= set(rows)
        if not same:
            raise SystemExit("FAILED: the output differs")
        if bench.state() != self.state:
            raise SystemExit("FAILED: the state differs")
        if bench.facts() != self.facts:
            raise SystemExit("FAILED: the table of errors differs")
        return again


def _rows(text: bytes) -> list[bytes]:
    """Complete rows that are not blank, without the header."""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith(b"\n")]
    return [line for line in lines if line.strip() and not line.startswith(b"i,p,y")]


def run_stream_kills(kills: int, *, n: int = 40_000, seed: int = 0) -> list[dict[str, Any]]:
    """Kill streams at random moments, equally many in each case; print and return a log."""
    rng, log = np.random.default_rng(seed), []
    for case, share in zip(CASES, _shares(kills, len(CASES)), strict=True):
        with tempfile.TemporaryDirectory(dir=MEMORY) as place:
            bench = Bench(Path(place), case, 512)
            bench.source.write_text(make_table(case, n))
            begin = time.perf_counter()
            truth = Truth.of(bench)
            longest = (time.perf_counter() - begin) / max(1, share)
            bench.fresh()
            killed, finished = 0, False
            while not finished:
                delay = None if killed == share else float(rng.uniform(0.0, longest))
                finished = not bench.is_killed(delay, at_work=bool(rng.random() < 0.8))
                killed += not finished
                written, acknowledged = truth.check_left(bench)
                how = "finished" if finished else f"killed after {1000 * (delay or 0):5.0f} ms"
                print(f"{case.name} {how}: {written:,} rows written, {acknowledged:,} acknowledged")
                log.append({"case": case.name, "how": how, "written": written,
                            "acknowledged": acknowledged})  # fmt: skip
            again = truth.check_end(bench)
            total = len(_rows(truth.output))
            print(f"{case.name}: {killed} kills, {total:,} rows, 0 missing, {again:,} repeated")
            log.append({"case": case.name, "how": "end", "kills": killed, "rows": total,
                        "missing": 0, "again": again})  # fmt: skip
    return log


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (i < total % parts) for i in range(parts)]


def run_stream_faults(
    n: int = 40, batch: int = 16, cases: Sequence[Case] = CASES
) -> list[dict[str, Any]]:
    """End a stream at each of its points; end every third resumed run at another point too."""
    log = []
    for case in cases:
        with tempfile.TemporaryDirectory(dir=MEMORY) as place:
            bench = Bench(Path(place), case, batch)
            bench.source.write_text(make_table(case, n))
            truth = Truth.of(bench)
            at, left, again, finished = 0, [], 0, False
            while not finished:
                at += 1
                bench.fresh()
                finished = not bench.dies(at)
                left.append(truth.check_left(bench))
                if at % 3 == 0:
                    bench.dies(1 + 7 * at % 40)
                    truth.check_left(bench)
                bench.work()
                again = max(again, truth.check_end(bench))
            ahead = [written - known for written, known in left]
            print(
                f"{case.name}: ended at each of {at - 1} points; the output was ahead of the "
                f"journal at {sum(a > 0 for a in ahead)}, by {max(ahead)} rows at "
                f"most; 0 rows missing in the end, {again} repeated at most"
            )
            log.append({"case": case.name, "points": at - 1, "ahead": sum(a > 0 for a in ahead),
                        "most": max(ahead), "missing": 0, "again": again})  # fmt: skip
    return log
