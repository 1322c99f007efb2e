"""Online calibrators: one file per idea; calibkit.online is their public face."""

from ._calibeating import HedgingCalibrator as HedgingCalibrator
from ._calibeating import TrackingCalibrator as TrackingCalibrator
from ._scaling import OnlineBetaCalibrator as OnlineBetaCalibrator
from ._scaling import OnlinePlattCalibrator as OnlinePlattCalibrator
