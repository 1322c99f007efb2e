"""The base class of calibrators that are fitted to weighted values of the log-odds."""

from __future__ import annotations

from typing import ClassVar

from .._core.base import StateKind
from .._core.inputs import Rows
from .._core.scores import Scores
from .._core.warnings import warn_of_reversal
from .._numerics.binning import trend
from .._numerics.cells import Cells, distinct_cells, scaled_cells, within_reach
from .._numerics.design import design_effect
from .._typing import FloatArray, IntArray
from ._log_odds import LogOddsCalibrator


class SummedCalibrator(LogOddsCalibrator):
    """Base of calibrators that learn from sums of rows, and for which groups count as less.

    Subclasses write ``_learn(cells)``, which sets the learned attributes.
    """

    _state: ClassVar[dict[str, StateKind]] = {**LogOddsCalibrator._state, "worth_": "float"}

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        self._learn_rows(Rows(s, y, w, self.classes_))

    def _learn_rows(self, rows: Rows) -> None:
        s, y, w, _, groups = rows
        cells = within_reach(distinct_cells(s.logits(), y, w))
        if trend(cells.weight, cells.event, float(cells.weight.sum())) < -2.0:
            warn_of_reversal("most of the map is constant")
        self.worth_ = 1.0
        self._learn(cells)
        if groups is not None:
            self.worth_ = 1.0 / design_effect(s.logits(), self._predict(s), y, w, groups)
            self._learn(scaled_cells(cells, self.worth_))

    def _learn(self, cells: Cells) -> None:
        raise TypeError(f"{type(self).__name__} must define _learn(cells).")

    def _check_state(self) -> None:
        super()._check_state()
        if not 0.0 < self.worth_ <= 1.0:
            raise ValueError(f"worth_={self.worth_:g}; expected a number in (0, 1]")
