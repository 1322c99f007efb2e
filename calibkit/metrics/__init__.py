"""Metrics of probabilities, computed from rows or from a mergeable table of scores."""

from ._bin_intervals import INTERVALS as INTERVALS
from ._bin_intervals import consistency as consistency
from ._binned import calibration_error as calibration_error
from ._binned import expected_calibration_error as expected_calibration_error
from ._binned import maximum_calibration_error as maximum_calibration_error
from ._binned import squared_calibration_error as squared_calibration_error
from ._certify import certify as certify
from ._certify import rows_to_certify as rows_to_certify
from ._estimate import METRICS as METRICS
from ._estimate import Estimate as Estimate
from ._estimate import estimate as estimate
from ._estimate import estimate_or_value as estimate_or_value
from ._interval import bin_worth as bin_worth
from ._scorers import get_scorer as get_scorer
from ._scorers import get_scorer_names as get_scorer_names
from ._scoring import brier_score as brier_score
from ._scoring import brier_skill_score as brier_skill_score
from ._scoring import log_loss as log_loss
from ._scoring import log_loss_skill_score as log_loss_skill_score
from ._scoring import roc_auc as roc_auc
from ._selective import RiskCoverage as RiskCoverage
from ._selective import area_under_risk_coverage as area_under_risk_coverage
from ._selective import risk_coverage_curve as risk_coverage_curve
from ._table import ScoreTable as ScoreTable
