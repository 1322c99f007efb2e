"""Calibration of streams: forecast, see the label, learn; calibrated while the world drifts.

What measures and compares forecasts of streams is in calibkit itself: prequential_errors,
CalibrationAlarm, compare_methods and DriftDisplay.
"""

from ._core.pending import Resolved as Resolved
from ._journal import Journal as Journal
from ._online import AdaptivePlattCalibrator as AdaptivePlattCalibrator
from ._online import HedgingCalibrator as HedgingCalibrator
from ._online import MultiStreamCalibrator as MultiStreamCalibrator
from ._online import OnlineBetaCalibrator as OnlineBetaCalibrator
from ._online import OnlinePlattCalibrator as OnlinePlattCalibrator
from ._online import OnlineTemperatureCalibrator as OnlineTemperatureCalibrator
from ._online import TrackingCalibrator as TrackingCalibrator
from ._online import WindowedCalibrator as WindowedCalibrator
from ._online_classifier import OnlineCalibratedClassifier as OnlineCalibratedClassifier
