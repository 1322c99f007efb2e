"""Forecasts that wait for their labels."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .._core.errors import InputError
from .._core.inputs import check_lengths
from .._core.printed import spelled
from .._core.saved import check_keys, short, vector
from .._core.warnings import ReplacedForecastWarning, warn
from .._typing import FloatArray
from ._places import check_ids
from ._stream_labels import validate_stream_labels


class Labeled(NamedTuple):
    """What :meth:`label` did with each id.

    Attributes
    ----------
    n_learned : int
        Number of forecasts that got their label and updated the calibrator.
    unknown : list of int or str
        Ids without a waiting forecast: never forecast, already labeled, or dropped because more
        than ``max_pending`` forecasts waited. Labeled ids are not stored, so these look the same.
    repeated : list of int or str
        Ids passed more than once; the first label is used.

    Examples
    --------
    >>> from calibkit.online import OnlinePlattCalibrator
    >>> calibrator = OnlinePlattCalibrator(classes=[0, 1])
    >>> forecasts = calibrator.forecast(["a", "b"], [0.2, 0.7])
    >>> calibrator.label(["a", "c"], [0, 1])
    Labeled(n_learned=1, unknown=['c'], repeated=[])
    """

    n_learned: int
    unknown: list[Hashable]
    repeated: list[Hashable]


class LateLabels:
    """Base of classes that forecast rows and update later with their labels, by row id."""

    def label(self, ids: Any, y: Any) -> Labeled:
        """Update with the labels of rows that were forecast before.

        All rows of one call count as forecast before any of its labels was known.

        Parameters
        ----------
        ids : array-like of shape (n,)
            Ids that were passed to ``forecast``.
        y : array-like of shape (n,)
            Their labels. None or NaN drops the forecast without an update.

        Returns
        -------
        labeled : Labeled
            ``n_learned``, the number of updates, and the ids that were skipped: ``unknown``
            (unknown or already labeled) and ``repeated``. The other rows of the call are used.

        Raises
        ------
        ValueError
            If the data are invalid; nothing changes.
        """
        raise TypeError(f"{type(self).__name__} must define label(ids, y).")


class Pending:
    """At most ``room`` forecasts that wait for their labels, by id; the oldest is dropped first.

    Attributes
    ----------
    room : int
        Maximum number of forecasts that wait.
    n_dropped : int
        Number of forecasts that were dropped because there was no room.
    n_replaced : int
        Number of forecasts that were replaced by a newer one with the same id.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.n_dropped = 0
        self.n_replaced = 0
        self._features: dict[Hashable, tuple[float, ...]] = {}

    def __len__(self) -> int:
        return len(self._features)

    def __repr__(self) -> str:
        return f"<Pending: {len(self)} forecasts wait, at most {self.room}>"

    def add(self, ids: list[Hashable], features: FloatArray, room: int | None = None) -> None:
        """Keep features by id; for repeated or waiting ids keep the newest, and warn."""
        if again := list(self._again(ids)):
            warn(
                f"{len(again)} of {len(ids)} ids are repeated or still wait for a label (first "
                f"{spelled(again[0])}); only the newest forecast of each id is kept, and the "
                "replaced ones never update the calibrator. Use a new id for every row, or ignore "
                "this warning if you forecast the same row again.",
                ReplacedForecastWarning,
            )
        for key, row in zip(ids, features.tolist(), strict=True):
            self.n_replaced += self._features.pop(key, None) is not None
            self._features[key] = tuple(row)
        self.room = self.room if room is None else room
        self._make_room()

    def _again(self, ids: list[Hashable]) -> Iterator[Hashable]:
        """Yield ids that already wait or are repeated in this list."""
        seen: set[Hashable] = set()
        for key in ids:
            if key in seen or key in self._features:
                yield key
            seen.add(key)

    def _make_room(self) -> None:
        while len(self._features) > self.room:
            self._features.pop(next(iter(self._features)))
            self.n_dropped += 1

    @property
    def oldest(self) -> tuple[Any, ...] | None:
        """The features that have waited longest, or None."""
        while True:
            try:
                return next(iter(self._features.values()), None)
            except RuntimeError:  # another thread changed them between the two calls
                continue

    def resized(self, room: int) -> Pending:
        """Return a copy with another ``room``."""
        other = Pending(room)
        other.n_dropped, other.n_replaced = self.n_dropped, self.n_replaced
        other._features = self._features.copy()
        other._make_room()
        return other

    def check(self, bounds: list[tuple[float, float]]) -> None:
        """Raise unless each feature lies within its bounds, a pair for each feature."""
        low, high = np.array(bounds).T
        features = np.array(list(self._features.values()))
        if len(features) and (
            features.shape != (len(self), len(bounds))
            or not ((low <= features) & (features <= high)).all()
        ):
            raise ValueError("pending_ contains features that no forecast can have")

    def find(
        self, ids: Any, y: Any, classes: np.ndarray | None
    ) -> tuple[list[Hashable], FloatArray, FloatArray, Labeled]:
        """Return the ids that wait, their features, the codes of their labels, and a report."""
        keys = validate_ids(ids)
        _, codes = validate_stream_labels(y, classes=classes)
        check_lengths(len(codes), len(keys), ("y", "ids"))
        by_id: dict[Hashable, float] = {}
        unknown, repeated = [], []
        seen: set[Hashable] = set()
        for key, code in zip(keys, codes.tolist(), strict=True):
            if key in seen:
                repeated.append(key)
            elif key in self._features:
                by_id[key] = code
            else:
                unknown.append(key)
            seen.add(key)
        known = np.array(list(by_id.values()))
        n_learned = int(np.count_nonzero(known == known))
        features = np.array([self._features[key] for key in by_id])
        return list(by_id), features, known, Labeled(n_learned, unknown, repeated)

    def remove(self, ids: Iterable[Hashable]) -> None:
        """Remove ids that wait."""
        for key in ids:
            del self._features[key]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        waiting = self._features.copy()  # in one step: another thread may change it
        return {
            "room": self.room,
            "dropped": self.n_dropped,
            "replaced": self.n_replaced,
            "ids": list(waiting),
            "tickets": [list(t) for t in waiting.values()],
        }

    @classmethod
    def from_dict(
        cls, data: Any, what: str, validate_features: Callable[[Any, str], Any] = vector
    ) -> Pending:
        """Make an instance from unchecked values."""
        check_keys(data, {"room", "dropped", "replaced", "ids", "tickets"}, what)
        ids, features = data["ids"], data["tickets"]
        counts = [data[k] for k in ("room", "dropped", "replaced")]
        if not all(type(v) is int and 0 <= v <= 2**53 for v in counts) or counts[0] < 1:
            shown = ", ".join(map(short, counts))
            raise InputError(f"{what} has the counts {shown}; expected ints >= 0, the first >= 1.")
        if not isinstance(ids, list) or not isinstance(features, list) or len(ids) != len(features):
            raise InputError(f"{what} does not have one ticket for each id.")
        if not all(type(k) in (int, str) for k in ids) or len(set(ids)) != len(ids):
            raise InputError(f"{what} has ids that are not distinct ints or strings.")
        if len(ids) > counts[0]:
            raise InputError(f"{what} has {len(ids)} forecasts; expected at most {counts[0]}.")
        rows = [validate_features(t, what) for t in features]
        if len({len(r) for r in rows}) > 1:
            raise InputError(f"{what} has tickets of different lengths.")
        pending = cls(counts[0])
        pending.add(ids, np.array(rows))
        pending.n_dropped, pending.n_replaced = counts[1:]
        return pending

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_features": self._features.copy()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pending) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


def validate_ids(ids: Any) -> list[Hashable]:
    """Return ids as plain ints and strings."""
    values: Any = None
    if isinstance(ids, Iterable) and not isinstance(ids, (str, bytes)):
        values = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    if not isinstance(values, list):
        raise InputError(
            f"ids is {spelled(ids)}; expected one id per row, in a list or array. Pass a list of "
            "ints or strings."
        )
    values = [v.item() if isinstance(v, np.integer) else v for v in values]
    check_ids(values, "ids")
    return values
