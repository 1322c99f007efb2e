"""A snapshot and the calls after it, in an SQLite file that one process holds at a time."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from .._core.errors import InputError
from ._calls import Call

#: Marks the files of calibkit ("clbk"), and counts the versions of what is in them.
_APPLICATION, _VERSION = 0x636C626B, 1
_TABLES = (
    """CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), started INTEGER, snapshot BLOB,
    seq INTEGER, n_rows INTEGER, crc INTEGER)""",
    """CREATE TABLE calls (seq INTEGER PRIMARY KEY, kind INTEGER, n_rows INTEGER, scores BLOB,
    codes BLOB, ids BLOB, crc INTEGER)""",
)
#: Made when notes are first forgotten.
_NOTES = """CREATE TABLE IF NOT EXISTS notes (kind INTEGER, part INTEGER, value BLOB, crc INTEGER,
    PRIMARY KEY (kind, part)) WITHOUT ROWID"""
_APPEND = "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)"
_KEEP = "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?)"
#: Bytes to which the write-ahead log is cut after a transaction that was larger.
_WAL_BYTES = 1 << 22

_open: WeakSet[CallLog] = WeakSet()


class CallLog:
    """The file behind a journal: a snapshot, the calls after it, and a lock while it is open.

    Write-ahead logging makes a commit an append that a killed process can't undo. A checksum runs
    through all calls from the snapshot on, for SQLite itself has none on what it stores. Counts
    are brought up to date after a commit only; :meth:`read` sets them from the file.
    """

    def __init__(self, path: str | os.PathLike[str], *, durable: bool) -> None:
        self.path = os.path.abspath(os.fsdecode(path))
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"Journal: the directory {folder} does not exist; expected one to write to. Make "
                "it first, or choose another path."
            )
        if os.path.isdir(self.path):
            raise IsADirectoryError(f"Journal: {self.path} is a directory; expected a file.")
        self._pid = os.getpid()
        self._connection: Any = None
        self.n_rows = self.rows_since = self.bytes_since = self._seq = self._crc = 0
        self._snapshot_bytes = 0
        #: Whether the snapshot is of a calibrator that knows its classes.
        self.started = False
        with self._errors():
            self._connect(durable)
        _open.add(self)

    def _connect(self, durable: bool) -> None:
        import sqlite3  # of no use to those who keep no journal

        self._connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False
        )
        self._connection.text_factory = bytes  # whatever a damaged file holds
        try:
            run = self._connection.execute
            run("PRAGMA locking_mode = EXCLUSIVE")
            # The lock is taken here and kept; nothing is written to a file that isn't ours.
            run("BEGIN EXCLUSIVE")
            self.is_new = self._identify()
            run("COMMIT")
            run("PRAGMA journal_mode = WAL")
            run(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            run(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        except BaseException:
            self._connection.close()
            raise

    def _identify(self) -> bool:
        """Whether the file is empty; raises unless that, or ours and sound."""
        application, version, n_tables = (
            self._connection.execute(query).fetchone()[0]
            for query in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if application == 0 and n_tables == 0:
            return True
        if application != _APPLICATION:
            raise InputError(
                f"{self.path} is an SQLite file of something else; expected a journal of calibkit, "
                "or no file. Choose another name."
            )
        if version != _VERSION:
            raise InputError(
                f"{self.path} is of version {version}; expected {_VERSION}. A newer file needs a "
                "newer calibkit."
            )
        answer = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if answer != b"ok":
            raise self.damaged(answer.decode(errors="replace").splitlines()[-1])
        return False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say SQLite's errors in one line: of the file's contents, or of the system."""
        import sqlite3

        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise BlockingIOError(
                    f"Journal: {self.path} is in use by another process, or by another Journal "
                    "of this one; expected one at a time. Close that one first, or use a file of "
                    "your own."
                ) from error
            if "no such" in str(error):
                raise self.damaged(str(error)) from error
            raise OSError(f"Journal: {self.path}: {error}; nothing was changed.") from error
        except sqlite3.DatabaseError as error:
            raise self.damaged(str(error)) from error

    def damaged(self, why: str) -> ValueError:
        """The error of a file that can't be trusted."""
        return InputError(
            f"{self.path} is damaged, or no journal of calibkit ({why}); nothing was changed. "
            "Restore it from a copy, or move it away and start anew."
        )

    @property
    def is_mine(self) -> bool:
        """Whether this process opened it, not one of which it is a fork."""
        return os.getpid() == self._pid

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def check(self) -> None:
        """Raise unless the file is open, and by this process."""
        if self._connection is None:
            raise InputError(f"{self.path} is closed. Open it again: Journal(path).")
        if not self.is_mine:
            raise BlockingIOError(
                f"Journal: {self.path} was opened by process {self._pid}, of which this one is a "
                "fork; expected one process at a time. Open a journal after forking."
            )

    # -- reading and writing ----------------------------------------------------------------

    def read(self) -> tuple[bytes, list[Call]]:
        """The snapshot, and the calls after it."""
        with self._errors():
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            row = self._connection.execute(
                "SELECT started, snapshot, seq, n_rows, crc FROM state"
            ).fetchone()
            rows = self._connection.execute("SELECT * FROM calls ORDER BY seq").fetchall()
        if row is None:
            raise self.damaged("no snapshot")
        started, snapshot, seq, n_rows, crc = row
        calls: list[Call] = []
        try:
            if crc != _checksum((started, seq, n_rows), (snapshot,), 0):
                raise self.damaged("the checksum of the snapshot is wrong")
            if started not in (0, 1) or not (0 <= n_rows <= 2**53 and 0 <= seq <= 2**53):
                raise self.damaged(f"counts of {seq} calls and {n_rows} rows")
            for at, *fields, checksum in rows:
                seq += 1
                call = Call(*fields)
                crc = _checksum((seq, *call[:2]), call[2:], crc)
                if at != seq or checksum != crc:
                    raise self.damaged(f"the checksum of call {seq} is wrong")
                calls.append(call)
                n_rows += call.n_rows
        except (TypeError, struct.error) as error:
            raise self.damaged(f"not what was written: {error}") from error
        self._seq, self._crc, self.n_rows = seq, crc, n_rows
        self.rows_since = sum(call.n_rows for call in calls)
        self.bytes_since = sum(call.size for call in calls)
        self._snapshot_bytes = len(snapshot)
        self.started = bool(started)
        return snapshot, calls

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """What is executed inside is on file at the end of the outermost one, or not at all.

        After an error it is :meth:`read` that rolls back, and sets the counts from the file.
        """
        run = self._connection.execute
        if self._connection.in_transaction:
            with self._errors():
                yield run
            return
        with self._errors():
            run("BEGIN")
            yield run
            run("COMMIT")

    def append(self, call: Call) -> None:
        """Write a call down; it is on file when this returns."""
        seq = self._seq + 1
        crc = _checksum((seq, *call[:2]), call[2:], self._crc)
        with self.transaction() as run:
            run(_APPEND, (seq, *call, crc))
        self._seq, self._crc = seq, crc
        self.n_rows += call.n_rows
        self.rows_since += call.n_rows
        self.bytes_since += call.size

    def keep(self, snapshot: bytes, n_rows: int = 0, *, started: bool = True) -> None:
        """Write a snapshot, after so many rows more, in place of all calls so far."""
        seq, total = self._seq + 1, self.n_rows + n_rows
        crc = _checksum((started, seq, total), (snapshot,), 0)
        with self.transaction() as run:
            if self.is_new:
                run(f"PRAGMA application_id = {_APPLICATION}")
                run(f"PRAGMA user_version = {_VERSION}")
                for table in _TABLES:
                    run(table)
            run(_KEEP, (int(started), snapshot, seq, total, crc))
            run("DELETE FROM calls")
        self.is_new, self.started = False, started
        self._seq, self._crc, self.n_rows = seq, crc, total
        self.rows_since = self.bytes_since = 0
        self._snapshot_bytes = len(snapshot)

    def is_due(self, call: Call, every: int) -> bool:
        """Whether it is time for a snapshot: after so many rows, if they outweigh the last one.

        Otherwise a large state would be written over and over for a few rows each time.
        """
        enough = self.rows_since + call.n_rows >= every
        return enough and self.bytes_since + call.size >= self._snapshot_bytes

    def note(self, kind: int, value: bytes, part: int = 0) -> None:
        """Write down what is to be known beside the state, in place of an older part."""
        crc = _checksum((kind, part), (value,), 0)
        with self.transaction() as run:
            run("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", (kind, part, value, crc))

    def notes(self, kind: int) -> Generator[bytes, None, None]:
        """The parts of a note in their order; none if there is no such note."""
        with self._errors():
            run = self._connection.execute
            if run("SELECT count(*) FROM sqlite_master WHERE name = 'notes'").fetchone()[0]:
                query = "SELECT part, value, crc FROM notes WHERE kind = ? ORDER BY part"
                for expected, (part, value, crc) in enumerate(run(query, (kind,))):
                    if type(value) is not bytes or part != expected:
                        raise self.damaged(f"part {expected} of note {kind} is not there")
                    if crc != _checksum((kind, part), (value,), 0):
                        raise self.damaged(f"the checksum of note {kind} is wrong")
                    yield value

    def forget(self) -> None:
        """Drop all notes; the first :meth:`note` needs this before it."""
        with self.transaction() as run:
            run(_NOTES)
            run("DELETE FROM notes")

    def close(self) -> None:
        """Let the file go; a fork only forgets it."""
        if self._connection is not None and self.is_mine:
            self._connection.close()
        self._connection = None
        _open.discard(self)


def _checksum(numbers: tuple[int, ...], parts: tuple[bytes, ...], start: int) -> int:
    crc = zlib.crc32(
        struct.pack(f"<{len(numbers) + len(parts)}q", *numbers, *map(len, parts)), start
    )
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


def _after_fork() -> None:
    """Never close in a fork what its parent goes on to use: that would delete its log."""
    import ctypes

    for log in list(_open):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(log._connection))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
