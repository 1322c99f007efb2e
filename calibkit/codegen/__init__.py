"""Scoring generated code: from a confidence signal to a decision that can be defended.

Signals come from token log-probabilities, from a model's answer about its own code, or from the
agreement of its samples; calibkit calls no model. A signal is judged and rescaled out of fold,
carried from one task to another, and turned into accept, review or discard with a guarantee.
"""
