"""Named warnings, so that each can be silenced or made an error by itself."""

import warnings


class CalibrationWarning(UserWarning):
    """Base of all warnings raised by calibkit."""


class SeparationWarning(CalibrationWarning):
    """The scores separate the classes perfectly; the likelihood has no maximum."""


class ReversedScoresWarning(CalibrationWarning):
    """Higher scores go with fewer events: the scores seem to point the wrong way."""


class SaturatedScoresWarning(CalibrationWarning):
    """Many scores are exactly 0 or 1, or so close that they were clipped."""


class ScaleWarning(CalibrationWarning):
    """The scores do not look like the scale that was declared."""


class MissingClassWarning(CalibrationWarning):
    """A class has too few rows to learn a map of its own."""


class MissingSignalWarning(CalibrationWarning):
    """Some outputs have no confidence signal: nothing to compute it from, or nothing readable."""


class UnmatchedWarning(CalibrationWarning):
    """Some generations have no result, or some results no generation."""


class FewGroupsWarning(CalibrationWarning):
    """There are too few groups for an interval that draws them to be trusted."""


def warn_of_separation(where: str) -> None:
    """Say that smoothed targets stand in for a maximum that does not exist."""
    warnings.warn(
        f"{where}: the scores separate the classes perfectly, so the likelihood has no maximum; "
        "Platt's smoothed targets were used instead. More rows would show where the scores err.",
        SeparationWarning,
        stacklevel=5,
    )


def warn_of_reversal(where: str, found: str) -> None:
    """Say that the scores point the wrong way, and what the map makes of it."""
    warnings.warn(
        f"{where}: higher scores go with fewer events, so {found}. Check which class the scores "
        "are of.",
        ReversedScoresWarning,
        stacklevel=5,
    )
