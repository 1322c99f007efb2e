"""The base class of calibrators that are fitted to weighted values of the log-odds."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .._core.base import StateKind
from .._core.inputs import validate_rows, validate_weights
from .._core.labels import validate_group_labels, validate_targets
from .._core.scores import Scores
from .._core.warnings import warn_of_reversal
from .._numerics.binning import trend
from .._numerics.cells import Cells, distinct_cells, scaled_cells, within_reach
from .._numerics.design import design_effect
from .._typing import FloatArray, IntArray, Self
from ._log_odds import LogOddsCalibrator


class SummedCalibrator(LogOddsCalibrator):
    """Base of calibrators that learn from sums of rows, and for which groups count as less.

    Subclasses write ``_learn(cells)``, which sets the learned attributes.
    """

    _state: ClassVar[dict[str, StateKind]] = {**LogOddsCalibrator._state, "worth_": "float"}

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Learn the map from scores to calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores of a classifier on rows it was not trained on: probabilities in [0, 1], or
            log-odds if ``scale="logit"``. One column holds the scores of the larger class label.
        y : array-like of shape (n,)
            True labels of any kind, or fractions k/n in [0, 1].
        sample_weight : array-like of shape (n,), optional
            Weights >= 0; a weight of 2 counts as two rows, a weight of 0 as none.
        groups : array-like of shape (n,), optional
            Group of each row, such as the patient or the problem. Rows of one group are treated
            as dependent: each row counts as ``worth_`` independent rows.

        Returns
        -------
        self : SummedCalibrator
            The fitted calibrator.

        Raises
        ------
        ValueError
            If the data are not of the kind described. A calibrator that was fitted before then
            stays as it was.
        """
        with self._unchanged_on_error():
            super().fit(X, y, sample_weight)
            if groups is not None:
                self._fit_groups(X, y, sample_weight, groups)
        return self

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        self.worth_ = 1.0
        cells = within_reach(distinct_cells(s.logits(), y, w))
        _warn_if_reversed(cells)
        self._learn(cells)

    def _learn(self, cells: Cells) -> None:
        raise TypeError(f"{type(self).__name__} must define _learn(cells).")

    def _fit_groups(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> None:
        """Fit again, with rows that count as what the groups make of them."""
        s = self._clipped(self._validate_scores(X))
        labels = validate_group_labels(groups, len(s), "groups")
        codes = np.unique(labels, return_inverse=True)[1]
        share = validate_targets(y, classes=self.classes)[1].astype(np.float64)
        w = validate_weights(sample_weight, len(s))
        effect = design_effect(s.logits(), self._predict(s), share, w, codes)
        scale: Any = self._input_scale()
        known: Any = {"scale": scale, "classes": self.classes, "soft": True}
        rows = validate_rows(X, y, sample_weight, **known)
        clipped = self._clipped(rows.scores._without_tiny())
        cells = within_reach(distinct_cells(clipped.logits(), rows.y, rows.w))
        self.worth_ = 1.0 / effect
        self._learn(scaled_cells(cells, self.worth_))
        self._narrow_clip()

    def _check_state(self) -> None:
        super()._check_state()
        if not 0.0 < self.worth_ <= 1.0:
            raise ValueError(f"worth_={self.worth_!r}; expected a number in (0, 1]")


def _warn_if_reversed(cells: Cells) -> None:
    if trend(cells.weight, cells.event, float(cells.weight.sum())) < -2.0:
        warn_of_reversal("most of the map is constant")
