"""A snapshot and the calls after it, in an SQLite file that one process opens at a time."""

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

#: Identifies files of calibkit ("clbk"), and the version of their format.
_APPLICATION, _VERSION = 0x636C626B, 1
_TABLES = (
    """CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), started INTEGER, snapshot BLOB,
    seq INTEGER, n_rows INTEGER, crc INTEGER)""",
    """CREATE TABLE calls (seq INTEGER PRIMARY KEY, kind INTEGER, n_rows INTEGER, scores BLOB,
    codes BLOB, ids BLOB, crc INTEGER)""",
)
#: Created by the first call of ``forget``.
_NOTES = """CREATE TABLE IF NOT EXISTS notes (kind INTEGER, part INTEGER, value BLOB, crc INTEGER,
    PRIMARY KEY (kind, part)) WITHOUT ROWID"""
_APPEND = "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)"
_KEEP = "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?)"
#: The write-ahead log is truncated to this size after a larger transaction.
_WAL_BYTES = 1 << 22

_open: WeakSet[CallLog] = WeakSet()


class CallLog:
    """The file of a journal: a snapshot, the calls after it, and a lock while it is open.

    With write-ahead logging a commit is an append, which killing the process can't undo. SQLite has
    no checksum of its data, so a checksum runs through all calls since the snapshot. The counts
    change only after a commit; :meth:`read` sets them from the file.
    """

    def __init__(self, path: str | os.PathLike[str], *, durable: bool) -> None:
        self.path = os.path.abspath(os.fsdecode(path))
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"Journal: the directory {folder} does not exist; expected an existing directory. "
                "Create it first, or choose another path."
            )
        if os.path.isdir(self.path):
            raise IsADirectoryError(
                f"Journal: {self.path} is a directory; expected a file. Choose another path."
            )
        self._pid = os.getpid()
        self._connection: Any = None
        self.n_rows = self.rows_since = self.bytes_since = self._seq = self._crc = 0
        self._snapshot_bytes = 0
        #: Whether the calibrator of the snapshot knows its classes.
        self.started = False
        with self._errors():
            self._connect(durable)
        _open.add(self)

    def _connect(self, durable: bool) -> None:
        import sqlite3  # here: only journals need it

        self._connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False
        )
        self._connection.text_factory = bytes  # a damaged file may hold anything
        try:
            run = self._connection.execute
            run("PRAGMA locking_mode = EXCLUSIVE")
            # This takes the lock and keeps it; a file that is no journal is not changed.
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
        """Return whether the file is empty; raise if it is neither empty nor a valid journal."""
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
                f"{self.path} is an SQLite file, but not a journal of calibkit; expected a journal "
                "or no file. Choose another path."
            )
        if version != _VERSION:
            raise InputError(
                f"{self.path} has file version {version}; expected {_VERSION}. Use the version of "
                "calibkit that wrote it, or a newer one."
            )
        answer = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if answer != b"ok":
            raise self.damaged(answer.decode(errors="replace").splitlines()[-1])
        return False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of SQLite into one-line errors about the file or the system."""
        import sqlite3

        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise BlockingIOError(
                    f"Journal: {self.path} is in use by another process, or by another Journal "
                    "of this process; expected one at a time. Close the other one first, or use "
                    "another path."
                ) from error
            if "no such" in str(error):
                raise self.damaged(str(error)) from error
            raise OSError(f"Journal: {self.path}: {error}; nothing was changed.") from error
        except sqlite3.DatabaseError as error:
            raise self.damaged(str(error)) from error

    def damaged(self, why: str) -> ValueError:
        """Return the error for a damaged file."""
        return InputError(
            f"{self.path} is damaged, or not a journal of calibkit ({why}); nothing was changed. "
            "Restore it from a backup, or choose another path to start a new journal."
        )

    @property
    def is_mine(self) -> bool:
        """Whether this process opened the file, and not the process from which it was forked."""
        return os.getpid() == self._pid

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def check(self) -> None:
        """Raise unless the file is open, and opened by this process."""
        if self._connection is None:
            raise InputError(f"{self.path} is closed. Open it again: Journal(path).")
        if not self.is_mine:
            raise BlockingIOError(
                f"Journal: {self.path} was opened by process {self._pid}, and this process was "
                "forked from it; expected one process at a time. Open the journal after forking."
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
                raise self.damaged(f"{seq} calls and {n_rows} rows are impossible counts")
            for at, *fields, checksum in rows:
                seq += 1
                call = Call(*fields)
                crc = _checksum((seq, *call[:2]), call[2:], crc)
                if at != seq or checksum != crc:
                    raise self.damaged(f"the checksum of call {seq} is wrong")
                calls.append(call)
                n_rows += call.n_rows
        except (TypeError, struct.error) as error:
            raise self.damaged(f"unreadable data: {error}") from error
        self._seq, self._crc, self.n_rows = seq, crc, n_rows
        self.rows_since = sum(call.n_rows for call in calls)
        self.bytes_since = sum(call.size for call in calls)
        self._snapshot_bytes = len(snapshot)
        self.started = bool(started)
        return snapshot, calls

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Commit all statements inside at the end of the outermost transaction, or none of them.

        After an error, :meth:`read` rolls back and sets the counts from the file.
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
        """Write a call; it is in the file when this returns."""
        seq = self._seq + 1
        crc = _checksum((seq, *call[:2]), call[2:], self._crc)
        with self.transaction() as run:
            run(_APPEND, (seq, *call, crc))
        self._seq, self._crc = seq, crc
        self.n_rows += call.n_rows
        self.rows_since += call.n_rows
        self.bytes_since += call.size

    def keep(self, snapshot: bytes, n_rows: int = 0, *, started: bool = True) -> None:
        """Write a snapshot in place of all calls so far, and add ``n_rows`` to the count."""
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
        """Return whether to write a snapshot: after ``every`` rows that outgrow the last one.

        Otherwise a large state would be written again and again for a few rows each time.
        """
        enough = self.rows_since + call.n_rows >= every
        return enough and self.bytes_since + call.size >= self._snapshot_bytes

    def note(self, kind: int, value: bytes, part: int = 0) -> None:
        """Write one part of a note, which is kept beside the state; it replaces an older part."""
        crc = _checksum((kind, part), (value,), 0)
        with self.transaction() as run:
            run("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", (kind, part, value, crc))

    def notes(self, kind: int) -> Generator[bytes, None, None]:
        """Yield the parts of a note in order; none if there is no such note."""
        with self._errors():
            run = self._connection.execute
            if run("SELECT count(*) FROM sqlite_master WHERE name = 'notes'").fetchone()[0]:
                query = "SELECT part, value, crc FROM notes WHERE kind = ? ORDER BY part"
                for expected, (part, value, crc) in enumerate(run(query, (kind,))):
                    if type(value) is not bytes or part != expected:
                        raise self.damaged(f"part {expected} of note {kind} is missing")
                    if crc != _checksum((kind, part), (value,), 0):
                        raise self.damaged(f"the checksum of note {kind} is wrong")
                    yield value

    def forget(self) -> None:
        """Delete all notes; call this before the first :meth:`note`."""
        with self.transaction() as run:
            run(_NOTES)
            run("DELETE FROM notes")

    def close(self) -> None:
        """Close the file; a forked process only drops its reference."""
        if self._connection is not None and self.is_mine:
            self._connection.close()
        self._connection = None
        _open.discard(self)

    def __del__(self) -> None:
        # Nothing is lost without close(): each call is committed. Python 3.13 would warn.
        if getattr(self, "_connection", None) is not None:
            self.close()


def _checksum(numbers: tuple[int, ...], parts: tuple[bytes, ...], start: int) -> int:
    crc = zlib.crc32(
        struct.pack(f"<{len(numbers) + len(parts)}q", *numbers, *map(len, parts)), start
    )
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


def _after_fork() -> None:
    """Prevent a forked process from closing the file of its parent: that would delete its log."""
    import ctypes

    for log in list(_open):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(log._connection))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
