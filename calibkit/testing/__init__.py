"""Checks that every calibrator should pass; use them to test your own.

``check_calibrator(MyCalibrator())`` runs all checks that apply. Each check is a function of a
calibrator instance that raises ``AssertionError`` if the check fails.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._core.base import BaseCalibrator
from . import _batch as _batch
from . import _online as _online
from ._common import BINARY, MULTICLASS, TRAIT, Check
from ._common import binary_data as binary_data
from ._common import multiclass_data as multiclass_data

__all__ = ["binary_data", "check_calibrator", "multiclass_data", "yield_checks"]


def __dir__() -> list[str]:
    return __all__


def yield_checks(calibrator: BaseCalibrator) -> Iterator[Check]:
    """Yield the checks that apply to a calibrator, according to its traits.

    Parameters
    ----------
    calibrator : BaseCalibrator
        An instance; it is cloned and stays unfitted.

    Yields
    ------
    check : callable
        Call it with the calibrator.

    Examples
    --------
    >>> from calibkit import PlattCalibrator
    >>> from calibkit.testing import yield_checks
    >>> [check.__name__ for check in yield_checks(PlattCalibrator())][:2]
    ['check_shapes_are_one', 'check_labels_of_any_kind']
    """
    checks = [*BINARY, *(MULTICLASS if "multiclass" in calibrator._traits else [])]
    for trait in sorted(calibrator._traits):
        checks += TRAIT.get(trait, [])
    online = "online" in calibrator._traits
    yield from (c for c in checks if not (online and getattr(c, "batch", False)))


def check_calibrator(calibrator: BaseCalibrator) -> None:
    """Run every check that applies to a calibrator.

    Parameters
    ----------
    calibrator : BaseCalibrator
        An instance; it is cloned and stays unfitted.

    Raises
    ------
    AssertionError
        If a check fails; the message says what is wrong.

    Examples
    --------
    >>> from calibkit import TemperatureCalibrator
    >>> from calibkit.testing import check_calibrator
    >>> check_calibrator(TemperatureCalibrator())
    """
    for check in yield_checks(calibrator):
        check(calibrator)
