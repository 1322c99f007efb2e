"""Keep an online calibrator in a file: each update is on disk before the call returns."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Any, TypeVar

import numpy as np
from sklearn.base import clone

from .._core.errors import InputError, InputTypeError
from .._core.params import check_flag, check_int
from .._core.printed import spelled
from .._core.warnings import silent
from .._persistence import from_dict, to_dict
from .._typing import FloatArray, Self
from ._base import OnlineCalibrator
from ._call_log import CallLog
from ._calls import (
    BATCH,
    FORECAST,
    LABEL,
    ONE,
    UPDATE,
    Call,
    code_of,
    codes_of,
    ids_of,
    refusal,
    repeat,
    rows_of,
)
from ._multi import MultiStreamCalibrator
from ._pending import Labeled, validate_ids
from ._streams import LearnsStreams

Learner = OnlineCalibrator | MultiStreamCalibrator
Result = TypeVar("Result")


class Journal(LearnsStreams):
    """Keep an online calibrator in a file, so that a crash or ``kill -9`` loses nothing.

    Use it if a stream must continue after a crash or a deployment as if nothing had happened. Each
    method returns only after its update is committed to an SQLite file. Opening the file again
    restores the calibrator bit for bit, with the forecasts that wait for labels.

    Call the journal like its calibrator; :mod:`calibkit.online` shows the calls for labels that
    arrive at once, in batches or late. If a process dies before it sees the result of a call,
    compare :attr:`n_rows` with the rows that you sent to know whether to send them again.

    Parameters
    ----------
    path : str or path-like
        The file; it is created if it does not exist.
    calibrator : OnlineCalibrator or MultiStreamCalibrator, optional
        The calibrator to start a new file with; a copy is used. For an existing file leave it out.
        If passed, its parameters must equal those in the file, and its state is ignored.
    snapshot_every : int, default=1000
        The whole state (a snapshot) is written, and the logged calls are deleted, when the logged
        calls have at least this many rows and take as much space as the last snapshot. A larger
        number makes the file longer and a restart slower.
    durable : bool, default=False
        Whether every commit waits for the disk, so that a power failure loses nothing. By default a
        power failure may lose the last few updates.

    Attributes
    ----------
    calibrator_ : OnlineCalibrator or MultiStreamCalibrator
        The calibrator, to inspect or to pass to ``calibkit.save``. Do not update it directly: such
        updates are not in the file.

    Raises
    ------
    ValueError
        If the file is damaged, is no journal, or has a calibrator with other parameters. In the
        methods: if the data are invalid; nothing changes.
    BlockingIOError
        If another process or another journal has the file open.
    OSError
        If the file can't be read or written.

    Notes
    -----
    The file has a snapshot and the calls after it, with their arguments: 8 bytes per score and 1
    per label. A restart repeats these calls, so it gives the same bits on the same machine with the
    same versions.

    An update takes one transaction, .1 to .2 ms for up to 100 rows. For 10^5 rows per second, pass
    100 rows per call. ``durable`` is as slow as the disk. See ``benchmarks/journal.py``.

    The lock is that of SQLite. It ends with its process and needs a local disk. While the journal
    is open, do not touch the file ``path-wal``. Calls from several threads wait for each other.
    After a fork, only the parent may use the journal. Columns of data frames are used by position.

    If a commit fails (for example, the disk is full), the calibrator is as before the call.

    A journal of a :class:`MultiStreamCalibrator` keeps all streams; pass ``stream=`` in every call
    that has scores. A snapshot takes about 150 bytes per stream.

    Examples
    --------
    >>> import os, tempfile
    >>> from calibkit.online import Journal, TrackingCalibrator
    >>> path = os.path.join(tempfile.mkdtemp(), "state.db")
    >>> with Journal(path, TrackingCalibrator()) as journal:
    ...     forecast = journal.predict_then_update([0.2, 0.7, 0.9], [0, 1, 1])
    >>> with Journal(path) as journal:  # also after a crash
    ...     journal.n_rows
    3

    With a classifier, pass its scores:

    >>> from sklearn.datasets import make_classification
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = make_classification(500, random_state=0)
    >>> model = GaussianNB().fit(X[:100], y[:100])
    >>> path = os.path.join(os.path.dirname(path), "model.db")
    >>> with Journal(path, TrackingCalibrator()) as journal:
    ...     forecast = journal.predict_then_update(model.predict_proba(X[100:]), y[100:])

    Save the calibrator as JSON:

    >>> import calibkit
    >>> with Journal(path) as journal:
    ...     calibkit.save(journal.calibrator_, path + ".json")
    >>> calibkit.load(path + ".json").n_seen_
    400.0
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        calibrator: Learner | None = None,
        *,
        snapshot_every: int = 1000,
        durable: bool = False,
    ) -> None:
        check_int("snapshot_every", snapshot_every, low=1)
        check_flag("durable", durable)
        given = None if calibrator is None else _copy(calibrator)
        if given is None and not os.path.exists(path):
            raise FileNotFoundError(
                f"Journal: {os.fspath(path)} does not exist; expected a journal, or a calibrator "
                "to start a new one. Call Journal(path, TrackingCalibrator())."
            )
        self.snapshot_every = snapshot_every
        self._lock = RLock()
        #: Whether the calibrator may differ from the file.
        self._stale = False
        self._log = CallLog(path, durable=durable)
        try:
            self.calibrator_ = self._first(given)
        except BaseException:
            self._log.close()
            raise

    def _first(self, given: Learner | None) -> Learner:
        """Return the calibrator to start with."""
        if not self._log.is_new:
            stored = self._stored()
            if given is not None:
                _check_same(stored, given, self._log.path)
            return stored
        if given is None:
            raise InputError(
                f"{self._log.path} is empty and calibrator is None; expected a calibrator. Call "
                "Journal(path, TrackingCalibrator())."
            )
        self._log.keep(_text(given), started=hasattr(given, "classes_"))
        return given

    @property
    def n_rows(self) -> int:
        """Return the number of rows passed to this journal, in all calls since the file was made.

        If a stream can be read again, continue it after this many rows.
        """
        return self._log.n_rows

    # -- public methods --------------------------------------------------------------------

    def partial_fit(self, X: Any, y: Any, classes: Any = None, *, stream: Any = None) -> Self:
        """Update with a batch of labels, as ``partial_fit`` of the calibrator does.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores.
        y : array-like of shape (n,)
            Labels; None or NaN is skipped.
        classes : array-like, optional
            All class labels, as in ``partial_fit`` of the calibrator.
        stream : array-like of shape (n,), int or str, optional
            The stream of each row, only for a :class:`MultiStreamCalibrator`.

        Returns
        -------
        self : Journal
            The same journal; the rows are in the file.
        """
        self._learn("partial_fit", X, y, classes, stream)
        return self

    def predict_then_update(
        self, X: Any, y: Any, classes: Any = None, *, stream: Any = None
    ) -> FloatArray:
        """Forecast each row from the labels before it, then update with its label.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores in time order.
        y : array-like of shape (n,)
            Labels; None or NaN is skipped.
        classes : array-like, optional
            All class labels, as in ``partial_fit`` of the calibrator.
        stream : array-like of shape (n,), int or str, optional
            The stream of each row, only for a :class:`MultiStreamCalibrator`.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            The forecasts; the rows are in the file.
        """
        return self._learn("predict_then_update", X, y, classes, stream)

    def predict_proba(self, X: Any, stream: Any = None) -> FloatArray:
        with self._held() as cal:
            values, streams = rows_of(cal, X, stream)
            return cal.predict_proba(values, *streams)

    def forecast(self, ids: Any, X: Any, stream: Any = None) -> FloatArray:
        with self._held() as cal:
            keys = validate_ids(ids)
            values, streams = rows_of(cal, X, stream)
            return self._change(
                lambda: cal.forecast(keys, values, *streams),
                lambda: Call(FORECAST, len(keys), values.tobytes(), ids=ids_of(keys, *streams)),
            )

    def label(self, ids: Any, y: Any) -> Labeled:
        with self._held() as cal:
            keys = validate_ids(ids)
            return self._change(
                lambda: cal.label(keys, y),
                lambda: Call(LABEL, len(keys), b"", codes_of(cal, y), ids_of(keys)),
            )

    def predict_proba_one(self, x: float) -> float:
        """Return the probability of the larger class for one score.

        Parameters
        ----------
        x : float
            A score.

        Returns
        -------
        p : float
            The forecast.
        """
        with self._held() as cal:
            return cal.predict_proba_one(x)

    def learn_one(self, x: float, y: Any) -> Journal:
        """Update with the label of one score.

        Parameters
        ----------
        x : float
            A score.
        y : label
            One of the classes; None or NaN is skipped.

        Returns
        -------
        self : Journal
            The same journal; the row is in the file.
        """
        with self._held() as cal:
            if len(getattr(cal, "classes_", ())) > 2:
                return self.partial_fit([x], [y])
            self._change(
                lambda: cal.learn_one(x, y),
                lambda: Call(ONE, 1, np.float64(x).tobytes(), code_of(cal, y)),
            )
        return self

    def close(self) -> None:
        """Write a snapshot, so that the next start is fast, and close the file."""
        if not self._log.is_mine:
            self._log.close()
            return
        with self._lock:
            # If this fails nothing is lost: the calls are in the file.
            with suppress(OSError, ValueError), self._held() as cal:
                if self._log.rows_since:
                    self._log.keep(_text(cal))
            self._log.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        cal = self.calibrator_
        learnt, waiting = getattr(cal, "n_seen_", 0), len(getattr(cal, "pending_", ()))
        return (
            f"<Journal {spelled(self._log.path)} of {type(cal).__name__}: {learnt:.0f} labels, "
            f"{waiting} ids waiting, {'open' if self._log.is_open else 'closed'}>"
        )

    # -- implementation ----------------------------------------------------------------------

    def _learn(self, method: str, X: Any, y: Any, classes: Any, stream: Any) -> Any:
        with self._held() as cal:
            values, streams = rows_of(cal, X, stream, y, classes)
            ids, kind = ids_of([], *streams), BATCH if method == "partial_fit" else UPDATE
            return self._change(
                lambda: getattr(cal, method)(values, y, *(streams or (classes,))),
                lambda: Call(kind, len(values), values.tobytes(), codes_of(cal, y), ids),
            )

    @contextmanager
    def _held(self) -> Iterator[Any]:
        self._log.check()  # first: in a fork the lock may never be free
        with self._lock:
            self._log.check()
            if self._stale:
                self._reload()
            yield self.calibrator_

    @contextmanager
    def _together(self) -> Iterator[CallLog]:
        """Commit all calls and notes made inside as one; after an error, none of them."""
        with self._held():
            try:
                with self._log.transaction():
                    yield self._log
            except BaseException:
                self._stale = True
                with suppress(OSError, ValueError):  # the next call tries again
                    self._reload()
                raise

    def _change(self, act: Callable[[], Result], call: Callable[[], Call]) -> Result:
        """Change the calibrator and write the call; after any error neither is done.

        The file decides: after an error the calibrator is read from it again.
        """
        self._stale = True
        try:
            try:
                result = act()
            except (ValueError, TypeError):
                # Invalid data change nothing, except that they may start a new calibrator.
                self._stale = not self._log.started
                raise
            self._write(self.calibrator_, call())
        except BaseException:
            if self._stale:
                with suppress(OSError, ValueError):  # the next call tries again
                    self._reload()
            raise
        self._stale = False
        return result

    def _write(self, cal: Learner, call: Call) -> None:
        # A call does not contain how the state started: the classes, and a seed that was drawn.
        if not self._log.started or self._log.is_due(call, self.snapshot_every):
            self._log.keep(_text(cal), call.n_rows, started=hasattr(cal, "classes_"))
        elif call.n_rows:
            self._log.append(call)

    def _reload(self) -> None:
        stored = self._stored()
        self.calibrator_.__dict__ = stored.__dict__
        self._stale = False

    def _stored(self) -> Learner:
        """Return the calibrator in the file."""
        snapshot, calls = self._log.read()
        try:
            cal = from_dict(json.loads(snapshot))
            if not isinstance(cal, Learner) or (calls and not self._log.started):
                raise ValueError("the snapshot is not a started online calibrator")
            cal = cal if self._log.started else clone(cal)
            with silent():
                for call in calls:
                    repeat(cal, call)
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
            raise self._log.damaged(str(error)) from error
        return cal


def _copy(calibrator: Any) -> Learner:
    """Return a copy of the calibrator, started if its classes are known."""
    if not isinstance(calibrator, Learner):
        raise InputTypeError(refusal(calibrator))
    calibrator._check_params()
    text = _text(calibrator)  # raises if it can't be written
    started = hasattr(calibrator, "classes_")
    twin: Any = from_dict(json.loads(text)) if started else clone(calibrator)
    if twin.classes is not None:
        twin._begin(n_classes=len(twin.classes))
    return twin


def _text(cal: Any) -> bytes:
    """Return the calibrator as JSON; if it has not started, that of a started copy."""
    if not hasattr(cal, "classes_"):
        cal = clone(cal)
        cal._begin(n_classes=2 if cal.classes is None else len(cal.classes))
    return json.dumps(to_dict(cal), allow_nan=False).encode()


def _check_same(stored: Learner, given: Learner, path: str) -> None:
    """Raise unless both have the same class and parameters."""
    asked, on_file = (json.loads(_text(clone(c))) for c in (given, stored))
    different = list(_differences(asked, on_file))
    if different:
        raise InputError(
            f"{path} has a different calibrator: {'; '.join(different[:5])}; expected the same "
            "parameters. Leave calibrator out, or use another path."
        )


def _differences(one: Any, other: Any, prefix: str = "") -> Iterator[str]:
    """Yield, in words, how the parameters of two calibrators differ; ``other`` is from the file."""
    if one["class"] != other["class"]:
        yield f"{prefix}class is {spelled(one['class'])}, in the file {spelled(other['class'])}"
        return
    for name, there in other["params"].items():
        here = one["params"][name]
        if all(isinstance(v, dict) and "class" in v for v in (here, there)):
            yield from _differences(here, there, f"{prefix}{name}__")
        elif here != there and (name, here) != ("eps", "auto"):  # the value in the file is used
            yield f"{prefix}{name} is {_shown(here)}, in the file {_shown(there)}"
    # The state of nested calibrators is compared too: it is part of the parameters.
    if prefix and one.get("state") != other.get("state"):
        yield f"{prefix}state differs from the file"


def _shown(value: Any) -> str:
    """Return a parameter as short text: a nested calibrator by its name, labels as a list."""
    if isinstance(value, dict):
        value = value.get("class", value.get("values"))
    return reprlib.repr(value)
