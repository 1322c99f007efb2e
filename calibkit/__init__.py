"""Calibrate the probabilities of any classifier, measure calibration with intervals, and plot it.

Calibrators: AutoCalibrator (the one to start with), PlattCalibrator, TemperatureCalibrator,
BetaCalibrator, SplineCalibrator, IsotonicCalibrator, VennAbersCalibrator,
VectorScalingCalibrator, MatrixScalingCalibrator, HistogramBinningCalibrator,
ScalingBinningCalibrator and IdentityCalibrator. OneVsRestCalibrator and TopLabelCalibrator extend
the binary ones to K classes. CalibratedClassifier fits any scikit-learn classifier together with
a calibrator. compare_calibrators compares all of them on your data by cross-validation.
Metrics: calibration_error, squared_calibration_error, expected_calibration_error,
maximum_calibration_error, brier_score, brier_skill_score, log_loss, log_loss_skill_score, roc_auc,
calibration_slope, calibration_intercept, calibration_in_the_large, observed_expected_ratio,
loess_calibration_error (ICI, E50, E90, Emax), risk_coverage_curve, area_under_risk_coverage and
decision_curve (net benefit).
calibration_tests runs tests of calibration, and calibration_test one of them.
estimate adds a confidence interval to any metric, compare says which of several models is better,
group_table where a model is wrong, and detectable_error whether the rows are enough (rows_to_detect
how many are). ScoreTable handles data in chunks, and get_scorer makes scikit-learn scorers.
Certificates: certify bounds the calibration error from held-out rows;
HistogramBinningCalibrator.certify_bins bounds the error of every bin from the fitting rows;
rows_to_certify says how many rows a certificate needs.
Streams: the module online has calibrators that update with each label;
compare_online_calibrators compares them, prequential_errors measures the calibration of forecasts
over time, CalibrationAlarm raises an alarm when forecasts become miscalibrated, and
ComparisonAlarm when one of two models is better.
Decisions: the module decisions evaluates confidence signals, calibrates them with
cross-validation, transfers calibrators to other tasks, and decides whether to accept, review or
discard an output, with an error-rate guarantee.
Generated code: the module codegen computes confidence signals from token log-probabilities.
Plots: ReliabilityDisplay, RiskCoverageDisplay, DecisionCurveDisplay, DecompositionDisplay,
DriftDisplay, ComparisonDisplay and GroupDisplay.
reliability_curve returns the numbers of a reliability diagram.
Files: save, load, to_dict and from_dict store calibrators as JSON.
Export: the module export writes fitted calibrators as SQL, ONNX or plain code.
Reports: write_report writes an HTML page of the calibration of one or several models.
Your own calibrators: the module base.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import base as base
from . import calibrators as calibrators
from . import online as online
from ._classifier import CalibratedClassifier as CalibratedClassifier
from ._comparison import CalibratorComparison as CalibratorComparison
from ._comparison import compare_calibrators as compare_calibrators
from ._core import arrays as _arrays
from ._core.certification import Certificate as Certificate
from ._core.warnings import CalibrationWarning as CalibrationWarning
from ._core.warnings import FewEventsWarning as FewEventsWarning
from ._core.warnings import FewGroupsWarning as FewGroupsWarning
from ._core.warnings import HardScoresWarning as HardScoresWarning
from ._core.warnings import LabelOrderWarning as LabelOrderWarning
from ._core.warnings import MissingClassWarning as MissingClassWarning
from ._core.warnings import MissingSignalWarning as MissingSignalWarning
from ._core.warnings import ReplacedForecastWarning as ReplacedForecastWarning
from ._core.warnings import ReversedScoresWarning as ReversedScoresWarning
from ._core.warnings import RoundedScoresWarning as RoundedScoresWarning
from ._core.warnings import SaturatedScoresWarning as SaturatedScoresWarning
from ._core.warnings import ScaleWarning as ScaleWarning
from ._core.warnings import SeparationWarning as SeparationWarning
from ._core.warnings import UnmatchedWarning as UnmatchedWarning
from ._core.warnings import VerdictAsSignalWarning as VerdictAsSignalWarning
from ._persistence import from_dict as from_dict
from ._persistence import load as load
from ._persistence import save as save
from ._persistence import to_dict as to_dict
from ._registry import make_calibrator as make_calibrator
from .calibrators import AutoCalibrator as AutoCalibrator
from .calibrators import AutoSummary as AutoSummary
from .calibrators import BetaCalibrator as BetaCalibrator
from .calibrators import BinsCertificate as BinsCertificate
from .calibrators import HistogramBinningCalibrator as HistogramBinningCalibrator
from .calibrators import IdentityCalibrator as IdentityCalibrator
from .calibrators import IsotonicCalibrator as IsotonicCalibrator
from .calibrators import MatrixScalingCalibrator as MatrixScalingCalibrator
from .calibrators import OneVsRestCalibrator as OneVsRestCalibrator
from .calibrators import PlattCalibrator as PlattCalibrator
from .calibrators import ScalingBinningCalibrator as ScalingBinningCalibrator
from .calibrators import SplineCalibrator as SplineCalibrator
from .calibrators import TemperatureCalibrator as TemperatureCalibrator
from .calibrators import TopLabelCalibrator as TopLabelCalibrator
from .calibrators import VectorScalingCalibrator as VectorScalingCalibrator
from .calibrators import VennAbersCalibrator as VennAbersCalibrator
from .metrics import CalibrationTest as CalibrationTest
from .metrics import Comparison as Comparison
from .metrics import DecisionCurve as DecisionCurve
from .metrics import Detectable as Detectable
from .metrics import DetectableDifference as DetectableDifference
from .metrics import Difference as Difference
from .metrics import Estimate as Estimate
from .metrics import RiskCoverage as RiskCoverage
from .metrics import ScoreDecomposition as ScoreDecomposition
from .metrics import ScoreTable as ScoreTable
from .metrics import area_under_risk_coverage as area_under_risk_coverage
from .metrics import brier_score as brier_score
from .metrics import brier_skill_score as brier_skill_score
from .metrics import calibration_error as calibration_error
from .metrics import calibration_in_the_large as calibration_in_the_large
from .metrics import calibration_intercept as calibration_intercept
from .metrics import calibration_slope as calibration_slope
from .metrics import calibration_test as calibration_test
from .metrics import calibration_tests as calibration_tests
from .metrics import certify as certify
from .metrics import compare as compare
from .metrics import corp_miscalibration as corp_miscalibration
from .metrics import cumulative_calibration_error as cumulative_calibration_error
from .metrics import decision_curve as decision_curve
from .metrics import decompose_score as decompose_score
from .metrics import detectable_difference as detectable_difference
from .metrics import detectable_error as detectable_error
from .metrics import estimate as estimate
from .metrics import expected_calibration_error as expected_calibration_error
from .metrics import get_scorer as get_scorer
from .metrics import get_scorer_names as get_scorer_names
from .metrics import group_table as group_table
from .metrics import kernel_calibration_error as kernel_calibration_error
from .metrics import loess_calibration_error as loess_calibration_error
from .metrics import log_loss as log_loss
from .metrics import log_loss_skill_score as log_loss_skill_score
from .metrics import maximum_calibration_error as maximum_calibration_error
from .metrics import observed_expected_ratio as observed_expected_ratio
from .metrics import reliability_curve as reliability_curve
from .metrics import risk_coverage_curve as risk_coverage_curve
from .metrics import roc_auc as roc_auc
from .metrics import rows_to_certify as rows_to_certify
from .metrics import rows_to_detect as rows_to_detect
from .metrics import smooth_calibration_error as smooth_calibration_error
from .metrics import squared_calibration_error as squared_calibration_error
from .online import CalibrationAlarm as CalibrationAlarm
from .online import ComparisonAlarm as ComparisonAlarm
from .online import Prequential as Prequential
from .online import compare_online_calibrators as compare_online_calibrators
from .online import prequential_errors as prequential_errors

if TYPE_CHECKING:
    from . import codegen as codegen
    from . import decisions as decisions
    from . import export as export
    from ._report import write_report as write_report
    from .displays import ComparisonDisplay as ComparisonDisplay
    from .displays import DecisionCurveDisplay as DecisionCurveDisplay
    from .displays import DecompositionDisplay as DecompositionDisplay
    from .displays import DriftDisplay as DriftDisplay
    from .displays import GroupDisplay as GroupDisplay
    from .displays import ReliabilityDisplay as ReliabilityDisplay
    from .displays import RiskCoverageDisplay as RiskCoverageDisplay

__all__ = [
    "AutoCalibrator",
    "AutoSummary",
    "BetaCalibrator",
    "BinsCertificate",
    "CalibratedClassifier",
    "CalibrationAlarm",
    "CalibrationTest",
    "CalibrationWarning",
    "CalibratorComparison",
    "Certificate",
    "Comparison",
    "ComparisonAlarm",
    "ComparisonDisplay",
    "DecisionCurve",
    "DecisionCurveDisplay",
    "DecompositionDisplay",
    "Detectable",
    "DetectableDifference",
    "Difference",
    "DriftDisplay",
    "Estimate",
    "FewEventsWarning",
    "FewGroupsWarning",
    "GroupDisplay",
    "HardScoresWarning",
    "HistogramBinningCalibrator",
    "IdentityCalibrator",
    "IsotonicCalibrator",
    "LabelOrderWarning",
    "MatrixScalingCalibrator",
    "MissingClassWarning",
    "MissingSignalWarning",
    "OneVsRestCalibrator",
    "PlattCalibrator",
    "Prequential",
    "ReliabilityDisplay",
    "ReplacedForecastWarning",
    "ReversedScoresWarning",
    "RiskCoverage",
    "RiskCoverageDisplay",
    "RoundedScoresWarning",
    "SaturatedScoresWarning",
    "ScaleWarning",
    "ScalingBinningCalibrator",
    "ScoreDecomposition",
    "ScoreTable",
    "SeparationWarning",
    "SplineCalibrator",
    "TemperatureCalibrator",
    "TopLabelCalibrator",
    "UnmatchedWarning",
    "VectorScalingCalibrator",
    "VennAbersCalibrator",
    "VerdictAsSignalWarning",
    "area_under_risk_coverage",
    "brier_score",
    "brier_skill_score",
    "calibration_error",
    "calibration_in_the_large",
    "calibration_intercept",
    "calibration_slope",
    "calibration_test",
    "calibration_tests",
    "certify",
    "codegen",
    "compare",
    "compare_calibrators",
    "compare_online_calibrators",
    "corp_miscalibration",
    "cumulative_calibration_error",
    "decision_curve",
    "decisions",
    "decompose_score",
    "detectable_difference",
    "detectable_error",
    "estimate",
    "expected_calibration_error",
    "export",
    "from_dict",
    "get_scorer",
    "get_scorer_names",
    "group_table",
    "kernel_calibration_error",
    "load",
    "loess_calibration_error",
    "log_loss",
    "log_loss_skill_score",
    "make_calibrator",
    "maximum_calibration_error",
    "observed_expected_ratio",
    "online",
    "prequential_errors",
    "reliability_curve",
    "risk_coverage_curve",
    "roc_auc",
    "rows_to_certify",
    "rows_to_detect",
    "save",
    "smooth_calibration_error",
    "squared_calibration_error",
    "to_dict",
    "write_report",
]
__version__ = "0.1.0"
_LAZY = (
    "ComparisonDisplay", "DecisionCurveDisplay", "DecompositionDisplay", "DriftDisplay",
    "GroupDisplay", "ReliabilityDisplay", "RiskCoverageDisplay",
)  # fmt: skip


def _predict_elsewhere(calibrator: Any, X: Any, labels: bool) -> Any:
    return import_module("calibkit.export._arrays").predicted(calibrator, X, labels)


_arrays.ELSEWHERE["predict"] = _predict_elsewhere


def __getattr__(name: str) -> Any:
    # Modules that are not always needed are imported on first use, so that calibkit imports fast.
    if name in ("codegen", "decisions", "export"):
        return import_module(f"calibkit.{name}")
    if name in _LAZY:
        from . import displays

        return getattr(displays, name)
    if name == "write_report":
        from . import _report

        globals()[name] = _report.write_report  # where errors look for the name of the call
        return _report.write_report
    raise AttributeError(f"module 'calibkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
