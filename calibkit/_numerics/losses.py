"""Proper losses, row by row."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray

#: Probabilities below this enter the log-loss as this; the constant is scikit-learn's.
LOG_EPS = float(np.finfo(np.float64).eps)


def brier_rows(p: FloatArray, y: np.ndarray) -> FloatArray:
    if p.ndim == 1:
        square = (p - y) ** 2
        # A fraction is so many events and non-events.
        return square + y * (1.0 - y) if y.dtype.kind == "f" else square
    own = p[np.arange(len(p)), y].astype(np.float64)
    return np.einsum("ij,ij->i", p, p, dtype=np.float64) - 2.0 * own + 1.0


def log_rows(p: FloatArray, y: np.ndarray) -> FloatArray:
    if y.dtype.kind == "f":
        no, yes = (-np.log(np.clip(q, LOG_EPS, None)) for q in (1.0 - p, p))
        return y * yes + (1.0 - y) * no
    own = np.where(y == 1, p, 1.0 - p) if p.ndim == 1 else p[np.arange(len(p)), y]
    return -np.log(np.clip(own.astype(np.float64, copy=False), LOG_EPS, None))
