"""Warning classes, so that each can be silenced or turned into an error, and how they are raised.

A warning refers to the user's line of code and is raised once per call.
"""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import Told

_Kept = list[Warning]
#: Warnings that are held back until all parts of a call are done.
_KEPT: ContextVar[_Kept | None] = ContextVar("calibkit_warnings", default=None)
#: Packages whose lines are skipped to find the user's line.
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
    """The scores are reversed: they are lower for the event."""


class SaturatedScoresWarning(CalibrationWarning):
    """Many scores are exactly 0 or 1, or so close that they were clipped."""


class HardScoresWarning(CalibrationWarning):
    """All scores are exactly 0 or 1, so they look like predicted labels."""


class RoundedScoresWarning(CalibrationWarning):
    """Rows of class probabilities don't sum to one because they were rounded."""


class LabelOrderWarning(CalibrationWarning):
    """The labels are numbers written as texts, and are sorted as texts, not as numbers."""


class ScaleWarning(CalibrationWarning):
    """The scores do not look like values on the declared scale."""


class MissingClassWarning(CalibrationWarning):
    """A class has too few rows to be calibrated by itself."""


class MissingSignalWarning(CalibrationWarning):
    """Some outputs have no confidence signal, because its source is missing or unreadable."""


class UnmatchedWarning(CalibrationWarning):
    """Generations and results do not match, or the tokens of a generation are not its text."""


class VerdictAsSignalWarning(CalibrationWarning):
    """A confidence signal equals the labels (verdicts) that it is evaluated with."""


class FewGroupsWarning(CalibrationWarning):
    """There are too few groups: the confidence interval may be too narrow."""


class ReplacedForecastWarning(CalibrationWarning):
    """An id was forecast again before its label arrived; only the newest forecast is kept."""


class FewEventsWarning(CalibrationWarning):
    """There are too few events or rows: the confidence interval may be too narrow."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn, referring to the line of the user's code that led here."""
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
    """Raise one warning of each class for all that is done inside, with the number of parts."""
    kept: _Kept = []
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)
        for category in dict.fromkeys(map(type, kept)):
            first, *more = [warning for warning in kept if type(warning) is category]
            if more and parts:
                first.args = (f"{first.args[0]} The same applies to {len(more)} more {parts}.",)
            _give(first)


@contextmanager
def kept_back() -> Iterator[list[Warning]]:
    """Hold back all warnings inside, and return them in a list."""
    kept: _Kept = []
    token = _KEPT.set(kept)
    try:
        yield kept
    finally:
        _KEPT.reset(token)


@contextmanager
def silent(*kinds: type[CalibrationWarning]) -> Iterator[None]:
    """Suppress warnings of these kinds inside; of no kind named, all of this package."""
    kept: _Kept = []
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)
        for warning in kept:
            if kinds and not isinstance(warning, kinds):
                _give(warning)


def warn_of_separation() -> None:
    """Warn that smoothed targets were used because the likelihood has no maximum."""
    warn(
        "the scores separate the classes perfectly, so the likelihood has no maximum; the fit uses "
        "Platt's smoothed targets instead. Check that these are held-out rows, which the "
        "classifier was not trained on. If they are, you can use this fit; more rows make it "
        "more precise.",
        SeparationWarning,
    )


def warn_of_reversal(what: str, *, follows: bool = False, n_classes: int = 2) -> None:
    """Warn that the scores are reversed, and what this does to the map, which may follow them."""
    mend = "If they belong to the other label, pass 1 - score (for log-odds -score)."
    if n_classes > 2:
        mend = "Check that the columns are in the order of classes_."
    elif follows:
        mend += " If they are right, you can use this fit."
    else:
        mend += " If they are right, use PlattCalibrator, which can reverse their order."
    warn(f"the scores are reversed (lower for the event), so {what}. {mend}", ReversedScoresWarning)
