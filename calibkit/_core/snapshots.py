"""Changes that others see as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Snapshots:
    """What a calibrator shows to other threads, and to its caller after an error."""

    def _snapshot(self) -> Any:
        """This calibrator as it is, or was when a change began that is under way."""
        state = self.__dict__.copy()
        return state.get("_kept") or _with_state(self, state)

    def _now(self) -> Any:
        """What reads read: no other thread changes it."""
        return self._snapshot()

    def _held(self) -> dict[str, Any]:
        """Copies of what it holds and what learns with it, by attribute."""
        return {}

    def _state_of_earlier_files(self) -> dict[str, Any]:
        """Learned attributes that files of earlier releases lack, as they hold them then."""
        return {}

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Keep this calibrator as it is for those who read, and for good if the call fails."""
        if "_kept" in self.__dict__:  # inside of such a call
            yield
            return
        kept = _with_state(self, self.__dict__)
        self.__dict__ = {**kept.__dict__, **self._held(), "_kept": kept}
        try:
            yield
        except BaseException:
            self.__dict__ = kept.__dict__
            raise
        del self.__dict__["_kept"]

    def __getstate__(self) -> Any:
        return super(Snapshots, self._snapshot()).__getstate__()  # type: ignore[misc]


def _with_state(calibrator: Snapshots, state: dict[str, Any]) -> Any:
    """Another object of its class in this state."""
    new = object.__new__(type(calibrator))
    new.__dict__ = state
    return new
