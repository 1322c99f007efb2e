"""Write your own calibrator; ``docs/write_your_own.md`` shows how.

Derive from BaseCalibrator; from LogOddsCalibrator if the map uses log-odds; or from
OnlineCalibrator if it updates with each label. ``calibkit.testing.check_calibrator`` tests it, and
register_calibrator makes it available by its name.
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
