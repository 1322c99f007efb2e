"""Restart without loss: an online calibrator whose every update is on file before it counts."""

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
    """An online calibrator on file: what it has learnt survives ``kill -9`` at any moment.

    Use it where a stream must go on after a crash or a deployment as if nothing had happened. Each
    method returns only after its update is committed to an SQLite file; opening the file again
    brings back the calibrator, bit for bit, forecasts that wait for labels included.

    Parameters
    ----------
    path : str or path-like
        The file; it is made if there is none.
    calibrator : OnlineCalibrator or MultiStreamCalibrator, optional
        What a new file starts from, as it is: a copy is taken. For an existing file it may be left
        out; if given, its parameters must be those on file, and what it has learnt is not used.
    snapshot_every : int, default=1000
        Rows after which the state itself is written in place of the updates so far: more make the
        file longer and a restart slower.
    durable : bool, default=False
        Whether to wait at every commit until the disk has it, so that acknowledged updates survive
        a power failure too. Without, such a failure may lose the last few, and nothing else.

    Attributes
    ----------
    calibrator_ : OnlineCalibrator or MultiStreamCalibrator
        The calibrator, to look at and for ``calibkit.save``: what it is taught directly is not on
        file. (The parameter ``calibrator`` is not kept.)

    Raises
    ------
    ValueError
        If the file is damaged, is of something else, or holds a calibrator of other parameters. In
        the methods: bad data, which change nothing.
    BlockingIOError
        If another process, or another journal, has the file open.
    OSError
        If the file can't be read or written.

    Notes
    -----
    The file holds a snapshot and the calls after it, with what they were given: 8 bytes a score and
    1 a label. A restart makes the same calls again, so it gives the same bits on the same machine
    and versions. The snapshot is renewed when the calls hold ``snapshot_every`` rows and are as
    large as the last one, in the same transaction that drops them.

    An update costs one transaction, .1 to .2 ms for up to 100 rows: 10^5 rows a second take calls
    of 100 rows. With ``durable`` the disk decides. ``benchmarks/journal.py`` measures both.

    The lock is SQLite's own and dies with its process; it needs a local disk. While the journal is
    open ``path-wal`` belongs to it. Calls from several threads take turns. After a fork only the
    parent may use it. Columns of data frames are taken by position.

    If a commit fails (a full disk) the calibrator is as it was before the call.

    One journal of a :class:`MultiStreamCalibrator` holds all streams, by ``stream=`` in every call
    that has scores. A snapshot takes some 150 bytes for each of them.

    Examples
    --------
    >>> import os, tempfile
    >>> from calibkit.online import Journal, TrackingCalibrator
    >>> path = os.path.join(tempfile.mkdtemp(), "state.db")
    >>> with Journal(path, TrackingCalibrator()) as journal:
    ...     forecast = journal.predict_then_update([0.2, 0.7, 0.9], [0, 1, 1])
    >>> with Journal(path) as journal:  # after a crash as well
    ...     journal.n_rows
    3

    A classifier stays as it is; the journal learns from its scores.

    >>> from sklearn.datasets import make_classification
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = make_classification(500, random_state=0)
    >>> model = GaussianNB().fit(X[:100], y[:100])
    >>> path = os.path.join(os.path.dirname(path), "model.db")
    >>> with Journal(path, TrackingCalibrator()) as journal:
    ...     forecast = journal.predict_then_update(model.predict_proba(X[100:]), y[100:])

    What it has learnt as JSON:

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
                "to start one with: Journal(path, TrackingCalibrator())."
            )
        self.snapshot_every = snapshot_every
        self._lock = RLock()
        #: Whether the calibrator may differ from what is on file.
        self._stale = False
        self._log = CallLog(path, durable=durable)
        try:
            self.calibrator_ = self._first(given)
        except BaseException:
            self._log.close()
            raise

    def _first(self, given: Learner | None) -> Learner:
        """The calibrator to begin with."""
        if not self._log.is_new:
            stored = self._stored()
            if given is not None:
                _check_same(stored, given, self._log.path)
            return stored
        if given is None:
            raise InputError(
                f"{self._log.path} is empty and calibrator is None; expected a calibrator to start "
                "with: Journal(path, TrackingCalibrator())."
            )
        self._log.keep(_text(given), started=hasattr(given, "classes_"))
        return given

    @property
    def n_rows(self) -> int:
        """Rows given to this journal since it was made: where a stream that can be read again is
        to go on."""
        return self._log.n_rows

    # -- what a user calls ------------------------------------------------------------------

    def partial_fit(self, X: Any, y: Any, classes: Any = None, *, stream: Any = None) -> Self:
        """Learn rows whose labels came together, as the calibrator's own ``partial_fit`` does.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores.
        y : array-like of shape (n,)
            Labels; None or NaN where there is none.
        classes : array-like, optional
            All class labels, as in the calibrator's own ``partial_fit``.
        stream : array-like of shape (n,), int or str, optional
            The stream of each row, for a :class:`MultiStreamCalibrator` only.

        Returns
        -------
        self : Journal
            The same journal; the rows are on file.
        """
        self._learn("partial_fit", X, y, classes, stream)
        return self

    def predict_then_update(
        self, X: Any, y: Any, classes: Any = None, *, stream: Any = None
    ) -> FloatArray:
        """Forecast every row from the labels before it, and learn.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores in the order of time.
        y : array-like of shape (n,)
            Labels; None or NaN where there is none.
        classes : array-like, optional
            All class labels, as in the calibrator's own ``partial_fit``.
        stream : array-like of shape (n,), int or str, optional
            The stream of each row, for a :class:`MultiStreamCalibrator` only.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            The forecasts; the rows are on file.
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
        """Probability of the larger class for one score.

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
        """Learn the label of one score.

        Parameters
        ----------
        x : float
            A score.
        y : label
            A member of the classes; None or NaN is skipped.

        Returns
        -------
        self : Journal
            The same journal; the row is on file.
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
        """Write a snapshot, so that the next start is quick, and let the file go."""
        if not self._log.is_mine:
            self._log.close()
            return
        with self._lock:
            # If it can't be written nothing is lost: the calls are on file.
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
            f"<Journal {spelled(self._log.path)} of {type(cal).__name__}: {learnt:.0f} rows "
            f"learnt, {waiting} ids waiting, {'open' if self._log.is_open else 'closed'}>"
        )

    # -- how it is done ---------------------------------------------------------------------

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
        self._log.check()  # before the lock, which a fork may never get
        with self._lock:
            self._log.check()
            if self._stale:
                self._reload()
            yield self.calibrator_

    @contextmanager
    def _together(self) -> Iterator[CallLog]:
        """Calls made inside, and notes, are committed as one at the end; after an error none is."""
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
        """Change the calibrator and write that down: both are done in the end, or neither.

        The file is the truth: whatever stops this half-way, the calibrator is read from it again.
        """
        self._stale = True
        try:
            try:
                result = act()
            except (ValueError, TypeError):
                # Refused without a trace, unless it was started to find that out.
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
        # How the state started is not in a call: the classes, and a seed that was drawn.
        if not self._log.started or self._log.is_due(call, self.snapshot_every):
            self._log.keep(_text(cal), call.n_rows, started=hasattr(cal, "classes_"))
        elif call.n_rows:
            self._log.append(call)

    def _reload(self) -> None:
        stored = self._stored()
        self.calibrator_.__dict__ = stored.__dict__
        self._stale = False

    def _stored(self) -> Learner:
        """The calibrator on file."""
        snapshot, calls = self._log.read()
        try:
            cal = from_dict(json.loads(snapshot))
            if not isinstance(cal, Learner) or (calls and not self._log.started):
                raise ValueError("the snapshot is of no online calibrator that has started")
            cal = cal if self._log.started else clone(cal)
            with silent():
                for call in calls:
                    repeat(cal, call)
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
            raise self._log.damaged(str(error)) from error
        return cal


def _copy(calibrator: Any) -> Learner:
    """The same calibrator, not shared; started if its classes are known."""
    if not isinstance(calibrator, Learner):
        raise InputTypeError(refusal(calibrator))
    calibrator._check_params()
    text = _text(calibrator)  # raises where it can't be written
    started = hasattr(calibrator, "classes_")
    twin: Any = from_dict(json.loads(text)) if started else clone(calibrator)
    if twin.classes is not None:
        twin._begin(n_classes=len(twin.classes))
    return twin


def _text(cal: Any) -> bytes:
    """Its JSON; of one that has not started a started copy, of which the parameters count."""
    if not hasattr(cal, "classes_"):
        cal = clone(cal)
        cal._begin(n_classes=2 if cal.classes is None else len(cal.classes))
    return json.dumps(to_dict(cal), allow_nan=False).encode()


def _check_same(stored: Learner, given: Learner, path: str) -> None:
    """Raise unless they are of one class and have the same parameters."""
    asked, on_file = (json.loads(_text(clone(c))) for c in (given, stored))
    different = list(_differences(asked, on_file))
    if different:
        raise InputError(
            f"{path} holds another calibrator than the one given: {'; '.join(different[:5])}; "
            "expected the same. Give that one, none, or another file."
        )


def _differences(one: Any, other: Any, prefix: str = "") -> Iterator[str]:
    """In words, where the parameters of two calibrators as dicts differ; the other is on file."""
    if one["class"] != other["class"]:
        yield f"{prefix}class is {spelled(one['class'])}, on file {spelled(other['class'])}"
        return
    for name, there in other["params"].items():
        here = one["params"][name]
        if all(isinstance(v, dict) and "class" in v for v in (here, there)):
            yield from _differences(here, there, f"{prefix}{name}__")
        elif here != there and (name, here) != ("eps", "auto"):  # then the file's goes on
            yield f"{prefix}{name} is {_shown(here)}, on file {_shown(there)}"
    # What is learned is compared of calibrators that are held: they are part of what was asked for.
    if prefix and one.get("state") != other.get("state"):
        yield f"{prefix}state is another, on file"


def _shown(value: Any) -> str:
    """A parameter in a few words: a held calibrator by its name, labels by themselves."""
    if isinstance(value, dict):
        value = value.get("class", value.get("values"))
    return reprlib.repr(value)
