"""The description of each metric: how it is evaluated, and which interval it gets.

:func:`calibkit.estimate` follows these rules; ``docs/intervals.md`` shows them as a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._numerics.influence import Noise
from .._numerics.paired import PairNoise
from .._typing import FloatArray, IntArray
from ._table import ScoreTable

#: With fewer effective rows behind a variance, the variance is unreliable.
_FEW_DECIDING = 5.0


class Interval(NamedTuple):
    """Both ends, the method, why they may be too narrow, and why there are none."""

    low: float
    high: float
    method: str
    caution: str = ""
    refusal: str = ""


class Rule(NamedTuple):
    """How intervals of some metrics are made.

    Rows of the rarer class (of K classes: of all but the most frequent) are counted as effective
    rows (Kish 1965).
    """

    metrics: str
    rows: str
    method: str
    warned: float = 0.0  # warn below this number of rows of the rarer class
    refused: float = 0.0  # no interval up to this number of rows, unless there is no row

    def caution(self, worth: float, noise: Noise | PairNoise, *, grouped: bool) -> str:
        """Why an interval may be too narrow, or an empty string."""
        if not self.warned:
            return ""
        if worth < self.warned * (1.0 - 1e-9):
            return (
                f"the interval may be too narrow: the effective number of rows of the rarer class "
                f"is {worth:.3g}, and {self.warned:g} are needed"
            )
        # Few groups are normal, and Student's quantile corrects for them.
        if not grouped and noise.deciding < min(_FEW_DECIDING, noise.freedom / 2.0):
            return (
                f"the interval may be too narrow: only about {noise.deciding:.2g} rows cause most "
                "of the variance"
            )
        return ""

    def refusal(self, worth: float) -> str:
        """Why there is no interval, or an empty string."""
        single = 0.0 < worth <= self.refused * (1.0 + 1e-9)
        return "one class has a single row, so its noise is unknown" if single else ""


_ERRORS = "`calibration_error` (l1, l2), `expected_calibration_error`"
_LARGEST = '`calibration_error(norm="max")`, `maximum_calibration_error`'
RULES: dict[str, Rule] = {
    "loss": Rule("`brier_score`, `log_loss`", "any", "Student's t", 10.0, 1.0),
    "skill": Rule(
        "`brier_skill_score`, `log_loss_skill_score`",
        "any",
        "Student's t over influences",
        10.0,
        1.0,
    ),
    "risk": Rule(
        "`area_under_risk_coverage`", "any", "Student's t over influences, logit scale", 10.0, 1.0
    ),
    "area": Rule("`roc_auc`", "any", "Newcombe's interval"),
    "error": Rule(_ERRORS, "plain", "test inversion"),
    "error, weights": Rule(_ERRORS, "weights", "test inversion, normal noise per row"),
    "error, groups": Rule(_ERRORS, "groups", "test inversion, normal noise per group"),
    "largest": Rule(_LARGEST, "any", "simultaneous exact intervals"),
    "whole": Rule(
        "`smooth_calibration_error`, `kernel_calibration_error`, `cumulative_calibration_error`, "
        "`corp_miscalibration`, `loess_calibration_error`",
        "any",
        "test inversion over whole curves",
    ),
    "line": Rule("`calibration_slope`, `calibration_intercept`", "any", "profile likelihood"),
    "shift": Rule(
        "`calibration_in_the_large`, `observed_expected_ratio`",
        "any",
        "inverted score test",
    ),
    "function": Rule('any other function, or `method="bootstrap"`', "any", "bootstrap"),
}

#: ``(w, wy) -> values`` of a metric on the cells of one table, over any leading axes.
Kernel = Callable[[FloatArray, FloatArray], FloatArray]


class Whole(NamedTuple):
    """An error of the whole curve: how one problem's is found, and its interval by inversion.

    ``raw`` are errors that classes are averaged by; they may be negative, or squares.
    """

    #: ``(rows or table, **settings) -> raw error``.
    raw: Callable[..., float]
    #: ``(cells, **settings) -> kernel`` of raw errors.
    kernel: Callable[..., Kernel]
    #: ``(cells, **settings) -> kernel`` of raw errors where ``wy / w`` are the true rates.
    truth: Callable[..., Kernel]
    #: Cells on which labels are drawn for the null band.
    cells: int
    #: Powers of the raw error: a distance, for the triangle inequality, and the error itself.
    distance: float = 1.0
    shown: float = 1.0
    #: ``(table, **settings) -> settings`` with those that follow from the scores.
    fixed: Callable[..., dict[str, Any]] | None = None

    def finished(self, raw: Any) -> Any:
        """Errors from raw errors, of which negative ones become 0."""
        return np.maximum(raw, 0.0) ** self.shown


@dataclass(frozen=True)
class Metric:
    """A metric, and how to evaluate it on many weightings of one table together."""

    function: Callable[..., float]
    #: Its rule in ``RULES``.
    interval: str
    label: str
    #: None if it is best inside its range.
    greater_is_better: bool | None
    bounds: tuple[float, float]
    #: ``(table, **settings) -> kernel``, for binary problems.
    kernel: Callable[..., Kernel]
    #: ``(table, **settings) -> inner borders`` of the bins, for binned metrics.
    borders: Callable[..., FloatArray] | None = None
    #: ``(kind, n, **params) -> settings``: defaults filled in, "auto" resolved.
    settings: Callable[..., dict[str, Any]] | None = None
    #: ``(scores, codes) -> loss of each row``, for metrics made of a mean loss.
    loss: Callable[[FloatArray, IntArray], FloatArray] | None = None
    #: ``class shares -> mean loss`` of forecasting them; the metric is then a skill score.
    reference: Callable[[FloatArray], FloatArray] | None = None
    #: ``table -> (without, with the event)``: influence of a unit of weight at each score, for
    #: metrics that are not a mean loss.
    influence: Callable[[ScoreTable], tuple[FloatArray, FloatArray]] | None = None
    #: For errors of the whole curve.
    whole: Whole | None = None
    #: ``(table, rows, groups, level) -> interval``, for metrics whose interval no rule above makes.
    ends: Callable[..., Interval] | None = None

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def comparable(self) -> bool:
        """Whether two models' values have a difference with an interval."""
        return self.whole is None and self.ends is None

    def cells(self, table: ScoreTable, n_cells: int, **settings: Any) -> tuple[ScoreTable, Kernel]:
        """Return a coarse table that keeps the bins apart, and the kernel on it."""
        if self.borders is None:
            cells = table.coarsen(n_cells)
            return cells, self.kernel(cells, **(settings if self.settings else {}))
        borders = self.borders(table, **settings)
        cells = table.coarsen(n_cells, borders=borders)
        return cells, self.kernel(cells, borders=borders, **settings)
