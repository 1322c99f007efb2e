"""Exact intervals of binomial shares."""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from .links import FloatArray


def clopper_pearson(
    share: FloatArray, n: FloatArray, level: float | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Exact interval of a binomial share; n need not be whole."""
    events, tail = np.clip(share, 0.0, 1.0) * n, (1.0 - level) / 2.0
    others = n - events
    some, more = events > 0, others > 0
    low = np.where(some, betaincinv(np.where(some, events, 1.0), others + 1.0, tail), 0.0)
    high = np.where(more, betaincinv(events + 1.0, np.where(more, others, 1.0), 1.0 - tail), 1.0)
    return low, high


def simultaneous(share: FloatArray, n: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Exact intervals that hold for all shares at once, by Bonferroni's inequality."""
    return clopper_pearson(share, n, 1.0 - (1.0 - level) / max(len(share), 1))
