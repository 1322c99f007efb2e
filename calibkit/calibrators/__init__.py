"""Calibrators: one file per idea."""

from .._registry import enter as _enter
from ._beta import BetaCalibrator as BetaCalibrator
from ._borrowed import BorrowedCalibrator as BorrowedCalibrator
from ._histogram import Guarantee as Guarantee
from ._histogram import HistogramBinningCalibrator as HistogramBinningCalibrator
from ._identity import IdentityCalibrator as IdentityCalibrator
from ._isotonic import IsotonicCalibrator as IsotonicCalibrator
from ._lift import OneVsRestCalibrator as OneVsRestCalibrator
from ._lift import TopLabelCalibrator as TopLabelCalibrator
from ._platt import PlattCalibrator as PlattCalibrator
from ._scaling_binning import ScalingBinningCalibrator as ScalingBinningCalibrator
from ._temperature import TemperatureCalibrator as TemperatureCalibrator

_enter(globals())
