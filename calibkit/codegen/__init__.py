"""Scoring generated code: from a confidence signal to a decision that can be defended.

Signals come from token log-probabilities, from a model's answer about its own code, or from the
agreement of its samples; calibkit calls no model. A signal is judged and rescaled out of fold,
carried from one task to another, and turned into accept, review or discard with a guarantee.
"""

from ._collapse import BucketCollapse as BucketCollapse
from ._collapse import bucket_collapse as bucket_collapse
from ._evaluation import evaluate_confidence as evaluate_confidence
from ._folds import cross_val_calibrate as cross_val_calibrate
from ._result_table import ResultTable as ResultTable
from ._transfer import Transfer as Transfer
from ._transfer import local_labels_needed as local_labels_needed
from ._transfer import transfer_matrix as transfer_matrix
from ._measures import token_confidence as token_confidence
from ._ragged import Ragged as Ragged
from ._join import Scored as Scored
from ._join import join_results as join_results
from ._read import read_generations as read_generations
from ._read import read_results as read_results
from ._records import Generations as Generations
from ._records import Results as Results
