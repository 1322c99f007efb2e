"""Calibrators that are fitted on a batch of rows, one file for each method."""

from .._registry import enter as _enter
from ._auto import AutoCalibrator as AutoCalibrator
from ._auto import AutoSummary as AutoSummary
from ._beta import BetaCalibrator as BetaCalibrator
from ._borrowed import BorrowedCalibrator as BorrowedCalibrator
from ._borrowed import borrow_calibrator as borrow_calibrator
from ._histogram import BinsCertificate as BinsCertificate
from ._histogram import HistogramBinningCalibrator as HistogramBinningCalibrator
from ._identity import IdentityCalibrator as IdentityCalibrator
from ._isotonic import IsotonicCalibrator as IsotonicCalibrator
from ._lift import OneVsRestCalibrator as OneVsRestCalibrator
from ._lift import TopLabelCalibrator as TopLabelCalibrator
from ._log_odds import LogOddsCalibrator as LogOddsCalibrator
from ._matrix_scaling import MatrixScalingCalibrator as MatrixScalingCalibrator
from ._of_signal import AutoOrPlatt as AutoOrPlatt
from ._of_signal import validate_calibrator as validate_calibrator
from ._platt import PlattCalibrator as PlattCalibrator
from ._scaling_binning import ScalingBinningCalibrator as ScalingBinningCalibrator
from ._spline import SplineCalibrator as SplineCalibrator
from ._temperature import TemperatureCalibrator as TemperatureCalibrator
from ._vector_scaling import VectorScalingCalibrator as VectorScalingCalibrator
from ._venn_abers import VennAbersCalibrator as VennAbersCalibrator

_enter(globals())
