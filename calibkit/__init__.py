"""Honest probabilities for any classifier: calibrate them, measure them, see them."""

from .calibrators import BetaCalibrator as BetaCalibrator
from .calibrators import IdentityCalibrator as IdentityCalibrator
from .calibrators import IsotonicCalibrator as IsotonicCalibrator
from .calibrators import OneVsRestCalibrator as OneVsRestCalibrator
from .calibrators import PlattCalibrator as PlattCalibrator
from .calibrators import TemperatureCalibrator as TemperatureCalibrator
from .calibrators import TopLabelCalibrator as TopLabelCalibrator

__version__ = "0.1.0"
