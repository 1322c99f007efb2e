"""How many rows weighted rows are worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import FloatArray


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
