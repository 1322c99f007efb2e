"""Checked scores with their scale."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._numerics.links import (
    expit,
    largest,
    logit,
    one_vs_rest_log_odds,
    row_blocks,
    softmax,
    top_log_odds,
)
from .._typing import FloatArray, IntArray, Scale

#: Distances from 0 and from 1 below which probabilities are moved before a logarithm is taken.
Clip = tuple[float, float]

#: Squares of smaller log-odds underflow.
_TINY_LOGIT = 1e-100
#: Nearer to 0 or 1 than this a probability counts as exactly there: rounding can put it there.
SATURATED = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Checked scores of n rows: ``(n,)`` of the larger class, or ``(n, K)`` for K > 2.

    ``_fit`` and ``_predict`` of a calibrator receive them; ``scores[rows]`` selects rows.

    Attributes
    ----------
    values : ndarray
        The scores.
    scale : {"probability", "logit"}
        Their scale.
    clip : tuple of two floats
        Smallest distances from 0 and from 1 of a probability when its logarithm is taken.
    best : tuple of two arrays, or None
        Column and value of the largest score of each row, if already known.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.base import Scores
    >>> scores = Scores(np.array([0.2, 0.5]), "probability")
    >>> scores.logits().round(2)
    array([-1.39,  0.  ])
    """

    values: FloatArray
    scale: Scale
    clip: Clip = (SATURATED, SATURATED)
    #: Column and value of the largest score of each row, where checking the rows has found them
    #: already: to look once more would cost another trip to memory.
    best: tuple[IntArray, FloatArray] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | IntArray | np.ndarray) -> Scores:
        best = None if self.best is None else (self.best[0][rows], self.best[1][rows])
        return replace(self, values=self.values[rows], best=best)

    @property
    def n_classes(self) -> int:
        return 2 if self.values.ndim == 1 else self.values.shape[1]

    def probs(self) -> FloatArray:
        """Return the probabilities.

        Returns
        -------
        p : ndarray of float64
            Of shape (n,), or (n, K) with rows that sum to one.
        """
        if self.scale == "logit":
            return expit(self.values) if self.values.ndim == 1 else softmax(self.values)
        if self.values.ndim == 1:
            return self.values
        p = self.values.astype(np.float64)
        p /= p.sum(axis=1, keepdims=True)
        return p

    def logits(self) -> FloatArray:
        """Return the log-odds of the larger class, or K logits.

        Returns
        -------
        z : ndarray
            Of shape (n,) or (n, K). Probabilities are clipped first; logits are returned unchanged.
        """
        if self.scale == "logit":
            return self.values
        if self.values.ndim == 1:
            return logit(self.inside())
        return np.log(np.maximum(self.values, self.clip[0], dtype=np.float64))

    def _without_tiny(self) -> Scores:
        """The same with log-odds of 0 for those whose squares would underflow."""
        if self.scale == "probability" or self.values.ndim > 1:
            return self
        tiny = np.abs(self.values) < _TINY_LOGIT
        if not self.values[tiny].any():
            return self
        return replace(self, values=np.where(tiny, 0.0, self.values), best=None)

    def inside(self) -> FloatArray:
        """Return binary probabilities clipped away from 0 and 1.

        Returns
        -------
        p : ndarray of shape (n,)
            At least ``clip[0]`` from 0 and ``clip[1]`` from 1.
        """
        return np.clip(self.values, self.clip[0], 1.0 - self.clip[1])

    def resolution(self) -> Clip:
        """Return half the smallest distances from 0 and from 1 that the scores show.

        Scores of exactly 0 or 1 are then read as these distances: a score of 0 from a forest of 100
        trees means less than 1/100. For K classes all columns are used. The distances are at most
        1 / (2 K), so that clipping does not change which class has the largest score.

        Returns
        -------
        low, high : float
            At most 1/2, or 1/(2K).
        """
        if self.scale == "logit" or len(self) == 0:
            return SATURATED, SATURATED
        low, last = self._inside_ends()
        high = 1.0 - last
        if low == np.inf:  # all are at 0 or 1
            low = high = 0.5
        most = 0.5 if self.values.ndim == 1 else 0.5 / self.n_classes
        return min(low / 2.0, most), min(high / 2.0, most)

    def _inside_ends(self) -> tuple[float, float]:
        """The smallest and the largest probability apart from 0 and 1; infinite if none is."""
        low, high = np.inf, -np.inf
        for rows in row_blocks(len(self), self.n_classes):
            p = self.values[rows].ravel()
            # In single precision 1 - SATURATED is 1: distances are compared, not scores.
            if p.min() < SATURATED or 1.0 - p.max() < SATURATED:
                p = p[(p >= SATURATED) & (1.0 - p >= SATURATED)]
            if len(p):
                low, high = min(low, float(p.min())), max(high, float(p.max()))
        return low, high

    def columns(self) -> Scores:
        """Return the scores with one column per class, also for two classes.

        Returns
        -------
        scores : Scores
            Of shape (n, K).
        """
        if self.values.ndim == 2:
            return self
        first = 1.0 - self.values if self.scale == "probability" else np.zeros(len(self))
        return replace(self, values=np.column_stack((first, self.values)), best=None)

    def one_vs_rest(self) -> list[Scores]:
        """Return binary scores of each class against all others, on the same scale.

        Returns
        -------
        scores : list of Scores
            Of shape (n,), one for each class.
        """
        values = self.columns().values
        if self.scale == "logit":
            values = one_vs_rest_log_odds(values)
        return [replace(self, values=v.astype(np.float64), best=None) for v in values.T]

    def top(self) -> tuple[Scores, IntArray]:
        """Return the largest score of each row as a binary score, and the code of its class.

        Returns
        -------
        scores : Scores
            Of shape (n,).
        codes : ndarray of int of shape (n,)
            Codes of the classes with the largest scores.
        """
        values = self.columns().values
        if self.scale == "logit":
            winners, top = top_log_odds(values)
        else:
            winners, top = largest(values) if self.best is None else self.best
            top = np.minimum(top, 1.0)
        return replace(self, values=top, best=None), winners
