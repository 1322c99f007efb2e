"""Named warnings, so that each can be silenced or made an error by itself, and how they are given.

Each points at the user's line, and comes once a call.
"""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import Told

_Kept = list[Warning]
#: What is kept back until all parts of a call are done.
_KEPT: ContextVar[_Kept | None] = ContextVar("calibkit_warnings", default=None)
#: Packages between our line and the user's.
_BETWEEN = ("calibkit", "sklearn", "joblib", "contextlib")


class CalibrationWarning(Told, UserWarning):
    """Base of all warnings raised by calibkit.

    Examples
    --------
    >>> import warnings
    >>> from calibkit import CalibrationWarning, PlattCalibrator
    >>> with warnings.catch_warnings():  # "error" in place of "ignore" raises them
    ...     warnings.simplefilter("ignore", CalibrationWarning)
    ...     calibrator = PlattCalibrator().fit([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    """


class SeparationWarning(CalibrationWarning):
    """The scores separate the classes perfectly; the likelihood has no maximum."""


class ReversedScoresWarning(CalibrationWarning):
    """Higher scores go with fewer events: the scores seem to point the wrong way."""


class SaturatedScoresWarning(CalibrationWarning):
    """Many scores are exactly 0 or 1, or so close that they were clipped."""


class HardScoresWarning(CalibrationWarning):
    """All scores are exactly 0 or 1: they look like predicted labels."""


class RoundedScoresWarning(CalibrationWarning):
    """Rows of class probabilities were rounded so far that they don't sum to one."""


class LabelOrderWarning(CalibrationWarning):
    """The labels are numbers written as texts, and as texts another one is the larger."""


class ScaleWarning(CalibrationWarning):
    """The scores do not look like the scale that was declared."""


class MissingClassWarning(CalibrationWarning):
    """A class has too few rows to learn a map of its own."""


class MissingSignalWarning(CalibrationWarning):
    """Some outputs have no confidence signal: nothing to compute it from, or nothing readable."""


class UnmatchedWarning(CalibrationWarning):
    """Some generations have no result, some results no generation, or tokens are not their text."""


class VerdictAsSignalWarning(CalibrationWarning):
    """A signal equals the verdict that it is to be judged by."""


class FewGroupsWarning(CalibrationWarning):
    """There are too few groups for an interval that takes them as independent to be trusted."""


class ReplacedForecastWarning(CalibrationWarning):
    """An id was forecast again before its label arrived; only the newest forecast is kept."""


class FewEventsWarning(CalibrationWarning):
    """Too few events, or too few rows, decide a score for its interval to be trusted."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn of the line outside this package that led here."""
    _give(category(message))


def _give(warning: Warning) -> None:
    kept = _KEPT.get()
    if kept is not None:
        kept.append(warning)
        return
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)


@contextmanager
def counted(parts: str = "") -> Iterator[None]:
    """Of each kind of warning, one for all that is done inside; it counts the parts, if named."""
    kept: _Kept = []
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)
        for category in dict.fromkeys(map(type, kept)):
            first, *more = [warning for warning in kept if type(warning) is category]
            if more and parts:
                first.args = (f"{first.args[0]} So for {len(more)} more {parts}.",)
            _give(first)


@contextmanager
def silent() -> Iterator[None]:
    """Keep all that is said inside to oneself."""
    token = _KEPT.set([])
    try:
        yield
    finally:
        _KEPT.reset(token)


def warn_of_separation() -> None:
    """Say that smoothed targets stand in for a maximum that does not exist."""
    warn(
        "the scores separate the classes perfectly, so the likelihood has no maximum; Platt's "
        "smoothed targets were used instead. More rows would show where the scores err.",
        SeparationWarning,
    )


def warn_of_reversal(what: str) -> None:
    """Say that the scores point the wrong way, and what the map makes of it."""
    warn(
        f"higher scores go with fewer events, so {what}. Check which class the scores are of.",
        ReversedScoresWarning,
    )
