"""Score generated code: read a model's outputs and compute confidence signals.

A confidence signal is one number per output that says how likely the output is to be correct.
Signals come from token log-probabilities, from a confidence that the model states, or from the
agreement of several samples. calibkit never calls a model. :mod:`calibkit.decisions` judges the
signals, calibrates them, and decides to accept, review or discard each output.

Two constants: TOKEN_MEASURES are the names of the measures that :func:`token_confidence` computes.
PROBABILITIES are the first five of them, which are probabilities.
"""

from ._answers import agreement as agreement
from ._answers import p_true as p_true
from ._answers import test_pass_rate as test_pass_rate
from ._budget import BudgetSimulation as BudgetSimulation
from ._budget import samples_needed as samples_needed
from ._budget import simulate_budget as simulate_budget
from ._budget import success_at as success_at
from ._features import ConfidenceFeatures as ConfidenceFeatures
from ._join import Scored as Scored
from ._join import join_results as join_results
from ._measures import TOKEN_MEASURES as TOKEN_MEASURES
from ._measures import token_confidence as token_confidence
from ._ragged import Ragged as Ragged
from ._read import read_generations as read_generations
from ._read import read_results as read_results
from ._records import PROBABILITIES as PROBABILITIES
from ._records import Generations as Generations
from ._records import Results as Results
from ._verbalised import parse_confidence as parse_confidence

__all__ = [name for name in globals() if not name.startswith("_")]
