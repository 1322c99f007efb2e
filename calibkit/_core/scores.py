"""Scores that know their scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .._numerics.links import (
    FloatArray,
    IntArray,
    expit,
    logit,
    one_vs_rest_log_odds,
    softmax,
    top_log_odds,
)

Scale = Literal["probability", "logit"]

#: Probabilities closer to 0 or 1 than this are moved to it before a logarithm is taken.
DEFAULT_EPS = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Checked scores of n rows: ``(n,)`` of the positive class, or ``(n, K)`` for K > 2."""

    values: FloatArray
    scale: Scale
    eps: float

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | IntArray | np.ndarray) -> Scores:
        return replace(self, values=self.values[rows])

    @property
    def n_classes(self) -> int:
        return 2 if self.values.ndim == 1 else self.values.shape[1]

    def probs(self) -> FloatArray:
        """Probabilities in float64; rows of K classes sum to one."""
        if self.scale == "logit":
            return expit(self.values) if self.values.ndim == 1 else softmax(self.values)
        if self.values.ndim == 1:
            return self.values
        p = self.values.astype(np.float64)
        p /= p.sum(axis=1, keepdims=True)
        return p

    def logits(self) -> FloatArray:
        """Log-odds of the positive class, or K logits; clipped at ``eps`` where taken of
        probabilities, as given otherwise."""
        if self.scale == "logit":
            return self.values
        if self.values.ndim == 1:
            return logit(np.clip(self.values, self.eps, 1.0 - self.eps))
        return np.log(np.maximum(self.values, self.eps, dtype=np.float64))

    def saturated(self) -> float:
        """Share of rows whose (largest) probability gets clipped on the way to log-odds."""
        if self.scale == "logit" or len(self) == 0:
            return 0.0
        if self.values.ndim == 1:
            low, high = self.values.min(), self.values.max()
            if low >= self.eps and high <= 1 - self.eps:
                return 0.0
            outside = (self.values < self.eps) | (self.values > 1 - self.eps)
        else:
            outside = self.values.max(axis=1) > 1 - self.eps
        return float(np.count_nonzero(outside) / len(self))

    def columns(self) -> Scores:
        """The same scores with one column per class, for two classes too."""
        if self.values.ndim == 2:
            return self
        first = 1.0 - self.values if self.scale == "probability" else np.zeros(len(self))
        return replace(self, values=np.column_stack((first, self.values)))

    def one_vs_rest(self) -> list[Scores]:
        """Binary scores of each class against the others, in the native scale."""
        values = self.columns().values
        if self.scale == "logit":
            values = one_vs_rest_log_odds(values)
        return [replace(self, values=v.astype(np.float64)) for v in values.T]

    def top(self) -> tuple[Scores, IntArray]:
        """Binary scores of each row's winning class, in the native scale, and its code."""
        values = self.columns().values
        if self.scale == "logit":
            winners, top = top_log_odds(values)
        else:
            winners = values.argmax(axis=1)
            top = values[np.arange(len(values)), winners].astype(np.float64)
            np.minimum(top, 1.0, out=top)
        return replace(self, values=top), winners
