"""What calibrators with a value for each bin have in common."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import BaseCalibrator, StateKind
from .._core.errors import InputError
from .._core.params import check_choice, check_int
from .._core.scores import Scores
from .._numerics.binning import MOST_BINS, assign
from .._typing import FloatArray, IntArray


class BinnedCalibrator(BaseCalibrator):
    """Base of calibrators that give all scores of a bin one value, each bin its own."""

    _state: ClassVar[dict[str, StateKind]] = {
        "borders_": "vector",
        "value_": "vector",
        "count_": "vector",
    }
    _traits: ClassVar[frozenset[str]] = frozenset({"piecewise_constant", "finite_outputs"})

    n_bins: int | Literal["auto"]

    def _check_params(self) -> None:
        if isinstance(self.n_bins, str):
            check_choice("n_bins", self.n_bins, ("auto",))
        else:
            check_int("n_bins", self.n_bins, low=1, high=MOST_BINS)

    def _check_enough(self, n_rows: float) -> None:
        """Raise if there are fewer rows than bins were asked for."""
        if not isinstance(self.n_bins, str) and self.n_bins > n_rows:
            raise InputError(
                f"n_bins={self.n_bins} and {n_rows:g} rows; expected at least one row per bin. Use "
                "fewer bins, or n_bins='auto'."
            )

    def _binning_scores(self, s: Scores) -> FloatArray:
        """The numbers that the borders are among."""
        return s.values

    def _bins(self, s: Scores) -> IntArray:
        return assign(self._binning_scores(s), self.borders_)

    def _predict(self, s: Scores) -> FloatArray:
        return self.value_.take(self._bins(s))

    def _n_outputs(self) -> int | None:
        return len(self.value_)

    def predict_bin(self, X: Any) -> IntArray:
        """Which bin each score falls in.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores on the scale the calibrator was fitted with.

        Returns
        -------
        bins : ndarray of shape (n,)
            Indices of ``value_``, of ``count_`` and so on.
        """
        return self._bins(self._clipped(self._validate_scores(X)))

    def _check_state(self) -> None:
        n_bins = len(self.value_)
        if n_bins < 1 or len(self.borders_) != n_bins - 1 or len(self.count_) != n_bins:
            raise ValueError(
                f"value_, borders_ and count_ have lengths {n_bins}, {len(self.borders_)} and "
                f"{len(self.count_)}; expected B, B - 1 and B"
            )
        if (np.diff(self.borders_) <= 0).any():
            raise ValueError("borders_ is not in ascending order")
        if self.value_.min() < 0 or self.value_.max() > 1:
            raise ValueError("value_ lies outside [0, 1]")
        if len(np.unique(self.value_)) < n_bins or len(np.unique(1.0 - self.value_)) < n_bins:
            raise ValueError("two bins share a value; expected distinct values")
        # Of at most 2^53 rows, of weights up to 1e100.
        if self.count_.min() < 0 or not 0 < self.count_.sum() <= 2.0**53 * 1e100:
            raise ValueError("count_ is negative or beyond reason, or zero in every bin")
