"""Plots of calibration; matplotlib is imported only when a plot is drawn."""

from ._base import by_name as by_name
from ._comparison import ComparisonDisplay as ComparisonDisplay
from ._decision import DecisionCurveDisplay as DecisionCurveDisplay
from ._decomposition import DecompositionDisplay as DecompositionDisplay
from ._drift import DriftDisplay as DriftDisplay
from ._groups import GroupDisplay as GroupDisplay
from ._numbers import Numbers as Numbers
from ._numbers import Settings as Settings
from ._numbers import numbers_of as numbers_of
from ._numbers import proof_text as proof_text
from ._problems import problems_of_arrays as problems_of_arrays
from ._reliability import ReliabilityDisplay as ReliabilityDisplay
from ._risk_coverage import RiskCoverageDisplay as RiskCoverageDisplay
