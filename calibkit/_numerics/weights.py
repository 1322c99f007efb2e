"""How many rows weighted rows are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

from .._typing import FloatArray, IntArray


def effective_count(w: Any, w2: Any) -> Any:
    """Kish's (sum w)^2 / sum w^2: the rows of equal weight that would say as much; 0 for none.

    Of sums of weights and of their squares, numbers or arrays of them.
    """
    return np.divide(w * w, w2, out=np.zeros_like(w, dtype=np.float64), where=w2 > 0)


def row_count(w: FloatArray | None, n: int) -> float:
    """How many rows weighted rows stand for.

    Weights that repeat rows sum to it. Weights that were scaled to a small sum do not: then
    Kish's (sum w)^2 / sum w^2 says it, which is never more than the sum of repetitions.
    """
    if w is None:
        return float(n)
    return float(max(w.sum(), effective_count(w.sum(), w @ w)))


def widened(
    draws: FloatArray, groups: IntArray | None, level: float, w: FloatArray | None = None
) -> FloatArray:
    """Draws of groups or weighted rows, spread as few or uneven ones demand.

    About a mean of G units with shares h of the weight, draws vary by
    ``1 - 2 sum h^3 / sum h^2 + sum h^2`` of what they should, since heavy units pull the mean with
    them: (G - 1) / G where all are equal. Their variance is known on as many degrees of freedom as
    ``(sum h^2)^2 / sum h^4`` equal units would give (Satterthwaite 1946).
    """
    if groups is None and w is None:
        return draws
    h = np.bincount(groups, w).astype(np.float64) if groups is not None else w
    assert h is not None
    h = h / h.sum()
    h2, h3, h4 = (float((h**k).sum()) for k in (2, 3, 4))
    seen = max(1.0 - 2.0 * h3 / h2 + h2, 1e-2)
    freedom = max(float(effective_count(h2, h4)) * (1.0 - 1.0 / len(h)), 1.0)
    p = max((1.0 + level) / 2.0, 0.5 + 1e-6)  # both quantiles are 0 at one half
    factor = stdtrit(freedom, p) / ndtri(p) / np.sqrt(seen)
    finite = np.isfinite(draws)
    centre = draws[finite].mean() if finite.any() else 0.0
    return np.where(finite, centre + factor * (draws - centre), draws)
