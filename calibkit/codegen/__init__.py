"""Scoring generated code: from token log-probabilities and answers to confidence signals.

Signals come from token log-probabilities, from a model's answer about its own code, or from the
agreement of its samples; calibkit calls no model. calibkit.decisions judges signals and turns them
into accept, review or discard.
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
