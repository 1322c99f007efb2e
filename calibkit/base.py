"""What it takes to write a calibrator of your own; ``docs/write_your_own.md`` goes through it.

Derive from BaseCalibrator, from LogOddsCalibrator if the map is of log-odds, or from
OnlineCalibrator if it learns label by label. ``calibkit.testing.check_calibrator`` says whether it
keeps the promises that the others keep, and register_calibrator makes it known by its name.
"""

from ._core.base import BaseCalibrator as BaseCalibrator
from ._core.base import StateKind as StateKind
from ._core.errors import InputError as InputError
from ._core.errors import InputTypeError as InputTypeError
from ._core.params import check_choice as check_choice
from ._core.params import check_flag as check_flag
from ._core.params import check_int as check_int
from ._core.params import check_real as check_real
from ._core.scores import Scores as Scores
from ._registry import register_calibrator as register_calibrator
from ._typing import FloatArray as FloatArray
from ._typing import IntArray as IntArray
from ._typing import Scale as Scale
from .calibrators import LogOddsCalibrator as LogOddsCalibrator
from .online import OnlineCalibrator as OnlineCalibrator

__all__ = [name for name in globals() if not name.startswith("_")]
