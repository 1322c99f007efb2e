"""Scoring generated code: from a confidence signal to a decision that can be defended.

Signals come from token log-probabilities, from a model's answer about its own code, or from the
agreement of its samples; calibkit calls no model. A signal is judged and rescaled out of fold,
carried from one task to another, and turned into accept, review or discard with a guarantee.
"""

from ._answers import agreement as agreement
from ._answers import p_true as p_true
from ._answers import test_pass_rate as test_pass_rate
from ._borrow import BorrowedCalibrator as BorrowedCalibrator
from ._borrow import borrow_calibrator as borrow_calibrator
from ._budget import BudgetSimulation as BudgetSimulation
from ._budget import samples_needed as samples_needed
from ._budget import simulate_budget as simulate_budget
from ._budget import success_at as success_at
from ._collapse import BucketCollapse as BucketCollapse
from ._collapse import bucket_collapse as bucket_collapse
from ._evaluation import evaluate_confidence as evaluate_confidence
from ._features import ConfidenceFeatures as ConfidenceFeatures
from ._folds import cross_val_calibrate as cross_val_calibrate
from ._join import Scored as Scored
from ._join import join_results as join_results
from ._measures import token_confidence as token_confidence
from ._policy import TriagePolicy as TriagePolicy
from ._policy import TriageReport as TriageReport
from ._quantiles import QuantileCalibrator as QuantileCalibrator
from ._ragged import Ragged as Ragged
from ._read import read_generations as read_generations
from ._read import read_results as read_results
from ._records import Generations as Generations
from ._records import Results as Results
from ._result_table import ResultTable as ResultTable
from ._rule import DecisionRule as DecisionRule
from ._rule import Decisions as Decisions
from ._signals import Signals as Signals
from ._threshold import Reachable as Reachable
from ._threshold import RiskControlledThreshold as RiskControlledThreshold
from ._transfer import Transfer as Transfer
from ._transfer import local_labels_needed as local_labels_needed
from ._transfer import transfer_matrix as transfer_matrix
from ._verbalised import parse_confidence as parse_confidence
