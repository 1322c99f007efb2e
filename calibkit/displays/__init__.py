"""Pictures of calibration; matplotlib is imported when one is drawn."""

from ._drift import DriftDisplay as DriftDisplay
from ._reliability import ReliabilityDisplay as ReliabilityDisplay
from ._risk_coverage import RiskCoverageDisplay as RiskCoverageDisplay
