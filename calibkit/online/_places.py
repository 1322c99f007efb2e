"""Places of stream ids, found quickly for whole arrays."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Set
from itertools import repeat
from typing import Any

import numpy as np

from .._core.errors import InputError
from .._core.inputs import check_lengths
from .._core.printed import spelled
from .._typing import IntArray

#: Ids in [0, _DIRECT), or below _SPARSE times their number, are indices of a table.
_DIRECT, _SPARSE = 1 << 22, 4


class IntPlaces:
    """Places of ints: in a table if the largest is moderate, otherwise by binary search."""

    kind = "ints"

    def __init__(self, ids: IntArray | None = None) -> None:
        self._n, self._low, self._high = 0, 0, -1
        self._ids: IntArray = np.empty(0, dtype=np.int64)
        #: Place + 1 of every id, 0 for none. None if sorted ids are used instead.
        self._table: IntArray | None = np.zeros(0, dtype=np.int32)
        self._sorted: IntArray = self._ids
        self._places: IntArray = np.zeros(0, dtype=np.int32)
        if ids is not None:
            self.add(ids)

    def __len__(self) -> int:
        return self._n

    def __getstate__(self) -> dict[str, Any]:
        return {"ids": self.ids.copy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["ids"])  # type: ignore[misc]

    @property
    def ids(self) -> IntArray:
        """Return all ids in the order of their places."""
        return self._ids[: self._n]

    @property
    def nbytes(self) -> int:
        """Return the bytes of the arrays."""
        table = self._sorted.nbytes + self._places.nbytes
        return self._ids.nbytes + (table if self._table is None else self._table.nbytes)

    def find(self, keys: IntArray) -> IntArray:
        """Return the place of each key, -1 if it is unknown."""
        out = np.full(len(keys), -1, dtype=np.int32)
        if not len(keys) or not self._n:
            return out
        if self._table is not None:
            if keys.min() >= 0 and keys.max() < len(self._table):
                return self._table[keys] - np.int32(1)
            inside = (keys >= 0) & (keys < len(self._table))
            out[inside] = self._table[keys[inside]] - 1
            return out
        # Sorted keys access memory in order, which is faster than at random.
        order = np.argsort(keys)
        keys = keys[order]
        at = np.minimum(np.searchsorted(self._sorted, keys), self._n - 1)
        out[order] = np.where(self._sorted[at] == keys, self._places[at], -1)
        return out

    @staticmethod
    def distinct(keys: IntArray) -> IntArray:
        """Return each key once, in the order of first appearance."""
        values, first = np.unique(keys, return_index=True)
        return values[np.argsort(first)]

    def add(self, keys: IntArray) -> None:
        """Give the next places to new, distinct keys."""
        old, self._n = self._n, self._n + len(keys)
        if self._n > len(self._ids):
            self._ids = _grown(self._ids, max(self._n, 2 * old))
        self._ids[old : self._n] = keys
        if not len(keys):
            return
        self._low = min(self._low, int(keys.min()))
        self._high = max(self._high, int(keys.max()))
        dense = self._low == 0 and self._high < max(_DIRECT, _SPARSE * self._n)
        if dense != (self._table is not None):  # change to the other kind of index
            old = 0
            self._table = np.zeros(0, dtype=np.int32) if dense else None
            self._sorted, self._places = self._ids[:0], self._places[:0]
        keys, places = self._ids[old : self._n], np.arange(old, self._n, dtype=np.int32)
        if self._table is not None:
            if self._high >= len(self._table):
                self._table = _grown(self._table, self._high + 1 + self._high // 2)
            self._table[keys] = places + 1
            return
        keys = np.concatenate((self._sorted, keys))
        order = np.argsort(keys, kind="stable")  # fast if mostly sorted
        self._sorted = keys[order]
        self._places = np.concatenate((self._places, places))[order]


class TextPlaces:
    """Places of strings, in a dictionary."""

    kind = "strings"

    def __init__(self, ids: np.ndarray | None = None) -> None:
        self._places: dict[str, int] = {}
        if ids is not None:
            self.add(ids)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def ids(self) -> np.ndarray:
        """Return all ids in the order of their places."""
        out = np.empty(len(self._places), dtype=object)
        out[:] = list(self._places)
        return out

    @property
    def nbytes(self) -> int:
        """Return the approximate bytes of the dictionary and its strings."""
        return sys.getsizeof(self._places) + sum(map(sys.getsizeof, self._places))

    def find(self, keys: np.ndarray) -> IntArray:
        """Return the place of each key, -1 if it is unknown."""
        places = map(self._places.get, keys.tolist(), repeat(-1))
        return np.fromiter(places, dtype=np.int32, count=len(keys))

    @staticmethod
    def distinct(keys: np.ndarray) -> np.ndarray:
        """Return each key once, in the order of first appearance."""
        return np.array(list(dict.fromkeys(keys.tolist())), dtype=object)

    def add(self, keys: np.ndarray) -> None:
        """Give the next places to new, distinct keys."""
        for key in keys.tolist():
            self._places[key] = len(self._places)


def _grown(a: np.ndarray, n: int) -> np.ndarray:
    room = np.zeros(n, dtype=a.dtype)
    room[: len(a)] = a
    return room


def places_of(ids: np.ndarray) -> IntPlaces | TextPlaces:
    """Return an index of distinct ids, as :func:`validate_stream_ids` returns them."""
    return TextPlaces(ids) if ids.dtype == object else IntPlaces(ids)


def validate_stream_ids(stream: Any, n: int | None = None, name: str = "stream") -> np.ndarray:
    """Return n ids as int64, or as an object array of strings. A single id is repeated n times."""
    if isinstance(stream, (str, int, np.integer)):
        return np.repeat(_listed([stream], name), 1 if n is None else n)
    keys = _to_array(stream, name)
    if n is not None:
        check_lengths(n, len(keys), ("X", name))
    return keys


def _to_array(stream: Any, name: str) -> np.ndarray:
    values = stream.to_numpy() if hasattr(stream, "to_numpy") else stream
    if not isinstance(values, np.ndarray):
        if not isinstance(values, Iterable) or isinstance(values, (bytes, Set, Mapping)):
            raise InputError(
                f"{name} is {spelled(stream)} ({type(stream).__name__}); expected one id per row, "
                "in a list or array, or one int or string for all rows. Pass a list."
            )
        return _listed(list(values), name)
    if values.ndim != 1:
        raise InputError(f"{name} has shape {values.shape}; expected one id per row, shape (n,).")
    kind = "f" if np.ma.isMaskedArray(values) else values.dtype.kind
    if kind == "i" or (kind == "u" and values.dtype.itemsize < 8):
        return values.astype(np.int64, copy=False)
    if kind in "uOUT" or not len(values):
        return _listed(values.tolist(), name)
    raise InputError(
        f"{name} has dtype {values.dtype}; expected ints or strings in a plain array. Drop rows "
        f"without an id, then pass {name}.astype(int)."
    )


def check_ids(values: list[Any], name: str) -> None:
    """Raise unless all ids are ints or strings."""
    for i, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer, str)):
            raise InputError(
                f"{name} holds {spelled(value)} ({type(value).__name__}) at row {i}; expected ints "
                f"or strings. Convert {name} to strings, or drop rows without an id.",
                place=i,
            )


def _listed(values: list[Any], name: str) -> np.ndarray:
    kinds = set(map(type, values))
    if all(issubclass(k, (int, np.integer)) and k is not bool for k in kinds):
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError as error:
            raise InputError(
                f"{name} holds ints beyond 64 bits; expected smaller ones. Convert them to strings."
            ) from error
    if all(issubclass(k, str) for k in kinds):
        plain = values if kinds == {str} else list(map(str, values))
        return np.array(plain, dtype=object)
    check_ids(values, name)
    raise InputError(f"{name} mixes ints and strings; expected one kind. Convert them to strings.")
