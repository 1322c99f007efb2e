"""Calibration of streams: forecast, see the label, learn; calibrated while the world drifts.

What measures and compares forecasts of streams is in calibkit itself too: prequential_errors,
CalibrationAlarm and compare_online_calibrators; DriftDisplay draws it.
"""

from .._registry import enter as _enter
from ._adaptive import AdaptivePlattCalibrator as AdaptivePlattCalibrator
from ._alarm import CalibrationAlarm as CalibrationAlarm
from ._base import OnlineCalibrator as OnlineCalibrator
from ._calibeating import HedgingCalibrator as HedgingCalibrator
from ._calibeating import TrackingCalibrator as TrackingCalibrator
from ._classifier import OnlineCalibratedClassifier as OnlineCalibratedClassifier
from ._compare import compare_online_calibrators as compare_online_calibrators
from ._journal import Journal as Journal
from ._multi import MultiStreamCalibrator as MultiStreamCalibrator
from ._pending import Labeled as Labeled
from ._prequential import Prequential as Prequential
from ._prequential import prequential_errors as prequential_errors
from ._scaling import OnlineBetaCalibrator as OnlineBetaCalibrator
from ._scaling import OnlinePlattCalibrator as OnlinePlattCalibrator
from ._temperature import OnlineTemperatureCalibrator as OnlineTemperatureCalibrator
from ._windowed import WindowedCalibrator as WindowedCalibrator

_enter(globals())
__all__ = [name for name in globals() if not name.startswith("_")]
