"""The base class of binning calibrators."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import BaseCalibrator, StateKind
from .._core.errors import InputError
from .._core.params import check_int
from .._core.scores import Scores
from .._numerics.binning import MOST_BINS, assign
from .._numerics.lookup import values_at
from .._typing import FloatArray, IntArray


class BinnedCalibrator(BaseCalibrator):
    """Base of binning calibrators: all scores of a bin get one value, different in each bin."""

    _state: ClassVar[dict[str, StateKind]] = {
        "borders_": "vector",
        "value_": "vector",
        "count_": "vector",
    }
    _traits: ClassVar[frozenset[str]] = frozenset({"piecewise_constant", "finite_outputs"})

    n_bins: int | Literal["auto"]

    def _check_params(self) -> None:
        check_int("n_bins", self.n_bins, low=1, high=MOST_BINS, options=("auto",))

    def _check_enough(self, n_rows: float) -> None:
        """Raise if there are fewer rows than bins."""
        if not isinstance(self.n_bins, str) and self.n_bins > n_rows:
            raise InputError(
                f"n_bins={self.n_bins} and {n_rows:g} rows; expected at least one row per bin. Use "
                "fewer bins, or n_bins='auto'."
            )

    def _binning_scores(self, s: Scores) -> FloatArray:
        """The numbers that are compared with the borders."""
        return s.values

    def _bins(self, s: Scores) -> IntArray:
        return assign(self._binning_scores(s), self.borders_)

    def _predict(self, s: Scores) -> FloatArray:
        return values_at(self._binning_scores(s), self.borders_, self.value_)

    def _predict_columns(self, s: Scores) -> FloatArray:
        both = np.column_stack((1.0 - self.value_, self.value_))
        return values_at(self._binning_scores(s), self.borders_, both)

    def _n_outputs(self) -> int | None:
        return len(self.value_)

    def predict_bin(self, X: Any) -> IntArray:
        """Return the bin of each score.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores on the scale that was used in ``fit``.

        Returns
        -------
        bins : ndarray of shape (n,)
            Numbers of the bins, from 0: indices of ``value_`` and ``count_``.
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
        # At most 2^53 rows, with weights of at most 1e100.
        if self.count_.min() < 0 or not 0 < self.count_.sum() <= 2.0**53 * 1e100:
            raise ValueError("count_ is negative, too large, or zero in every bin")
