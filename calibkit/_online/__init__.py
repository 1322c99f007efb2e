"""Online calibrators: one file per idea; calibkit.online is their public face."""

from .._registry import enter as _enter
from ._adaptive import AdaptivePlattCalibrator as AdaptivePlattCalibrator
from ._calibeating import HedgingCalibrator as HedgingCalibrator
from ._calibeating import TrackingCalibrator as TrackingCalibrator
from ._multi import MultiStreamCalibrator as MultiStreamCalibrator
from ._scaling import OnlineBetaCalibrator as OnlineBetaCalibrator
from ._scaling import OnlinePlattCalibrator as OnlinePlattCalibrator
from ._temperature import OnlineTemperatureCalibrator as OnlineTemperatureCalibrator
from ._windowed import WindowedCalibrator as WindowedCalibrator

_enter(globals())
