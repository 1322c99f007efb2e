"""Forecasts that wait for their labels."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np

from .._numerics.links import FloatArray


class Resolved(NamedTuple):
    """What became of labels that came late."""

    #: Forecasts that got their label and were learnt from.
    n_learned: int
    #: Ids of no waiting forecast: never remembered, resolved before, or dropped for room.
    unknown: list[Hashable]
    #: Ids given more than once; the first label counts.
    repeated: list[Hashable]


class Pending:
    """Waiting forecasts by id, at most ``room`` of them: the oldest goes first."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.n_dropped = 0
        self.n_replaced = 0
        self._tickets: dict[Hashable, tuple[float, ...]] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def add(self, ids: list[Hashable], tickets: FloatArray) -> None:
        """Keep a ticket for each id; an id that waits already is given the newer ticket."""
        for key, ticket in zip(ids, tickets.tolist(), strict=True):
            self.n_replaced += self._tickets.pop(key, None) is not None
            self._tickets[key] = tuple(ticket)
        while len(self._tickets) > self.room:
            self._tickets.pop(next(iter(self._tickets)))
            self.n_dropped += 1

    def take(self, ids: list[Hashable]) -> tuple[list[int], FloatArray, Resolved]:
        """Places and tickets of the ids that wait, in the order given, and a report."""
        places, tickets, unknown, repeated = [], [], [], []
        seen: set[Hashable] = set()
        for i, key in enumerate(ids):
            if key in seen:
                repeated.append(key)
            elif (ticket := self._tickets.pop(key, None)) is None:
                unknown.append(key)
            else:
                places.append(i)
                tickets.append(ticket)
            seen.add(key)
        return places, np.array(tickets), Resolved(len(places), unknown, repeated)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "room": self.room,
            "dropped": self.n_dropped,
            "replaced": self.n_replaced,
            "ids": list(self._tickets),
            "tickets": [list(t) for t in self._tickets.values()],
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pending) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


def read_ids(ids: Any, where: str) -> list[Hashable]:
    """Ids as plain ints and strings."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise ValueError(f"{where}: ids is {ids!r}; expected one id per row, in a list or array.")
    values = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    if not isinstance(values, list):
        raise ValueError(f"{where}: ids is {ids!r}; expected one id per row, in a list or array.")
    values = [v.item() if isinstance(v, np.integer) else v for v in values]
    for i, value in enumerate(values):
        if isinstance(value, (bool, float)) or not isinstance(value, (str, int)):
            raise ValueError(
                f"{where}: ids holds {value!r} ({type(value).__name__}) at row {i}; expected ints "
                "or strings."
            )
    return values
