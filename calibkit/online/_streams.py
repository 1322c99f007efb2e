"""State of many streams by id: find, add, update, merge and write them."""

from __future__ import annotations

from threading import RLock
from typing import Any

import numpy as np

from .._core.errors import InputError
from .._core.labels import validate_classes
from .._core.printed import a_type, spelled
from .._core.saved import check_keys, vector
from .._numerics.multistream import COUNT, START, Settings, forecast, join, learn, new_rows
from .._typing import FloatArray, IntArray
from ._newton import LIMIT, MOST
from ._pending import LateLabels
from ._places import places_of, validate_stream_ids

#: Names of the columns of a stream's row in files.
COLUMNS = ("slope", "intercept", "l", "d1", "d2", "n_seen", "start_slope", "start_intercept")


class LearnsStreams(LateLabels):
    """Base of classes with many streams, where ``stream`` is the id of each row's stream."""

    def predict_proba(self, X: Any, stream: Any) -> FloatArray:
        """Return calibrated probabilities; nothing changes.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores.
        stream : array-like of shape (n,), int or str
            Id of the stream of each row, for a :class:`MultiStreamCalibrator`. Streams without
            labels are forecast by ``pooled_``.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Rows sum to one; columns follow ``classes_``.
        """
        raise TypeError(f"{type(self).__name__} must define predict_proba(X, stream).")

    def forecast(self, ids: Any, X: Any, stream: Any) -> FloatArray:
        """Forecast rows whose labels arrive late, and keep what ``label`` will need.

        Parameters
        ----------
        ids : array-like of shape (n,)
            An int or string for each row, to be passed to ``label`` with its label. Use a new id
            for each row. If an id still waits for its label, the newer forecast replaces the older
            one, with a warning.
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores.
        stream : array-like of shape (n,), int or str
            Id of the stream of each row, for a :class:`MultiStreamCalibrator`.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            The forecasts. Before the first label the classes are 0, 1, ... unless ``classes`` is
            set.
        """
        raise TypeError(f"{type(self).__name__} must define forecast(ids, X, stream).")


class Streams:
    """Ids and rows of streams. Predictions wait for :meth:`learn`, which changes them in place."""

    def __init__(self, ids: np.ndarray | None = None, rows: FloatArray | None = None) -> None:
        self._lock = RLock()
        self._places = places_of(np.empty(0, dtype=np.int64) if ids is None else ids)
        # At least one row, since the index -1 is used too.
        self._rows = new_rows(len(self) + 1)
        if rows is not None:
            self._rows[: len(self)] = rows

    def __len__(self) -> int:
        return len(self._places)

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {"ids": self.ids, "rows": self.rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def ids(self) -> np.ndarray:
        """Return ids in the order of first labels, copied."""
        with self._lock:
            return self._places.ids.copy()

    @property
    def rows(self) -> FloatArray:
        """Return their state, copied."""
        with self._lock:
            return self._rows[: len(self)].copy()

    def row(self, place: int) -> FloatArray:
        """Return the state of one stream, copied."""
        with self._lock:
            return self._rows[place].copy()

    @property
    def nbytes(self) -> int:
        """Return the memory of state and index in bytes, spare room included."""
        with self._lock:
            return self._rows.nbytes + self._places.nbytes

    def validate(
        self, stream: Any, n: int | None = None, name: str = "stream",
        like: tuple[Any, ...] | None = None
    ) -> np.ndarray:  # fmt: skip
        """Return ids from a user's array; they must have the type of earlier and waiting ids."""
        keys = validate_stream_ids(stream, n, name)
        kind = "strings" if keys.dtype == object else "ints"
        if len(keys) and len(self) and kind != self._places.kind:
            raise InputError(
                f"{name} holds {kind}, but earlier ids are {self._places.kind}; expected "
                f"{self._places.kind}, since 5 and '5' would be two streams. Convert the ids."
            )
        if like is not None:
            validate_stream_ids([like[1], *keys[:1].tolist()], name=name)
        return keys

    def find(self, keys: np.ndarray) -> IntArray:
        """Return the place of each id, -1 for an unknown stream."""
        with self._lock:
            return self._places.find(keys)

    def known(self, stream: Any, name: str) -> IntArray:
        """Return places of ids that must be known."""
        keys = self.validate(stream, name=name)
        slot = self.find(keys)
        if (slot < 0).any():
            missing = keys[slot < 0].tolist()
            more = f" and {len(missing) - 1} more" if missing[1:] else ""
            raise InputError(
                f"{name} holds {spelled(missing[0])}{more}, not one of the streams; expected ids "
                "in streams_."
            )
        return slot

    def forecast(self, z: FloatArray, keys: np.ndarray, pooled: FloatArray) -> FloatArray:
        """Return forecasts, by ``pooled`` for unknown streams; change nothing."""
        with self._lock:
            return forecast(z, self.find(keys), pooled, self._rows)

    def learn(
        self, z: FloatArray, y: FloatArray, keys: np.ndarray, pooled: FloatArray,
        settings: Settings,
    ) -> FloatArray:  # fmt: skip
        """Forecast rows from the labels before them, and update these streams and ``pooled``.

        A stream starts at its first label; a row without a label changes nothing.
        """
        with self._lock:
            n = len(self)
            if not n:
                self._places = places_of(keys[:0])
            slot = self.find(keys)
            # The rows before the call, to undo it; NaN until they are stored.
            before = np.empty((len(keys), self._rows.shape[1]))
            before[-1:] = np.nan
            try:
                born = keys[(slot < 0) & (y == y)]
                if len(born):
                    self._places.add(self._places.distinct(born))
                    unknown = np.flatnonzero(slot < 0)
                    slot[unknown] = self.find(keys[unknown])
                    self._make_room()
                return learn(z, y, slot, pooled, self._rows, before, settings)
            except BaseException:
                if not np.isnan(before[-1:]).any():
                    self._rows[slot[::-1]] = before[::-1]
                if len(self) > n:
                    self._places = places_of(self.ids[:n])
                    self._rows[n:] = 0.0
                raise

    def _make_room(self) -> None:
        if len(self) >= len(self._rows):
            rows = new_rows(max(len(self) + 1, 2 * len(self._rows)))
            rows[: len(self._rows)] = self._rows
            self._rows = rows

    def without(self, slot: IntArray) -> Streams:
        """Return all streams except those at some places."""
        kept = np.ones(len(self), dtype=bool)
        kept[slot] = False
        return Streams(self.ids[kept], self.rows[kept])

    def merged(self, other: Streams, settings: Settings) -> Streams:
        """Return the streams of both; those of only one are copied."""
        keys = self.validate(other.ids, name="other")
        if not len(self):
            return Streams(keys, other.rows)
        slot = self.find(keys)
        shared, rows = slot >= 0, self.rows
        rows[slot[shared]] = join(rows[slot[shared]], other.rows[shared], settings)
        ids = np.concatenate((self.ids, keys[~shared])) if len(keys) else self.ids
        return Streams(ids, np.concatenate((rows, other.rows[~shared])))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        with self._lock:
            return {"ids": self.ids.tolist(), "streams": rows_to_dict(self.rows)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Streams:
        """Make an instance from unchecked values."""
        ids = data["ids"]
        if not isinstance(ids, list):
            raise InputError(f"ids is {a_type(ids)}; expected a list.")
        keys = validate_stream_ids(ids, name="ids")
        if len(set(ids)) != len(ids):
            raise InputError("ids holds repeated ids; expected distinct ids.")
        rows = rows_from_dict(data["streams"], len(ids), "streams")
        if len(rows) and rows[:, COUNT].min() < 1.0:
            raise InputError(f"streams: n_seen holds {rows[:, COUNT].min()}; expected at least 1.")
        return cls(keys, rows)


def rows_to_dict(rows: FloatArray) -> dict[str, list[float]]:
    """Return the columns by name."""
    return dict(zip(COLUMNS, rows.T.tolist(), strict=True))


def rows_from_dict(data: Any, n: int, what: str) -> FloatArray:
    """Return rows of state from unchecked values."""
    check_keys(data, set(COLUMNS), what)
    out = np.column_stack([vector(data[name], f"{what}.{name}", n) for name in COLUMNS])
    low, d1, d2, n = out[:, 2 : COUNT + 1].T
    # Parameters may change between calls, so these are the limits for all of their values.
    least = 1e-12 * (1.0 - 1e-6)
    if not ((d1 >= least) & (d2 >= least) & (d1 <= MOST) & (d2 <= MOST)).all():
        raise InputError(
            f"{what}: d1 and d2 do not give a positive definite matrix; expected {least:.3g} to "
            f"{MOST:.3g}."
        )
    if not (np.abs(low) <= LIMIT).all():
        raise InputError(f"{what}: l holds more than {LIMIT}; expected a mean of clipped log-odds.")
    if not (np.abs(out[:, [0, 1, START, START + 1]]) <= 1e12 * (1.0 + 1e-9)).all():
        raise InputError(f"{what}: a slope or intercept is above 1e12, the largest radius.")
    if not ((n >= 0) & (n <= 2.0**53) & (n == np.floor(n))).all():
        raise InputError(
            f"{what}: n_seen holds a number that is not a count; expected whole numbers."
        )
    return out


def validate_two_classes(labels: Any) -> np.ndarray:
    """Return two class labels from an unchecked list."""
    plain = isinstance(labels, list) and len(labels) == 2 and type(labels[0]) is type(labels[1])
    if not plain or type(labels[0]) not in (bool, int, float, str):
        raise InputError("classes is not a list of two labels of one type.")
    return validate_classes(labels)
