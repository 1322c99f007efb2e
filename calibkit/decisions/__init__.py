"""Judge confidence signals and decide on outputs: accept, review or discard.

A confidence signal is one number per output that says how likely the output is to be correct.
It may come from any classifier or generator; :mod:`calibkit.codegen` makes signals of generated
code.
"""

from ..calibrators import BorrowedCalibrator as BorrowedCalibrator
from ..calibrators import borrow_calibrator as borrow_calibrator
from ..metrics import ResultTable as ResultTable
from ._collapse import BucketCollapse as BucketCollapse
from ._collapse import bucket_collapse as bucket_collapse
from ._evaluation import evaluate_confidence as evaluate_confidence
from ._folds import cross_val_calibrate as cross_val_calibrate
from ._policy import TriagePolicy as TriagePolicy
from ._policy import TriageReport as TriageReport
from ._quantiles import QuantileCalibrator as QuantileCalibrator
from ._rule import DecisionRule as DecisionRule
from ._rule import Decisions as Decisions
from ._signals import Signals as Signals
from ._threshold import Reachable as Reachable
from ._threshold import RiskControlledThreshold as RiskControlledThreshold
from ._transfer import Transfer as Transfer
from ._transfer import local_labels_needed as local_labels_needed
from ._transfer import transfer_matrix as transfer_matrix

__all__ = [name for name in globals() if not name.startswith("_")]
