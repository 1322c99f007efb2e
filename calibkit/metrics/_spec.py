"""What is known of each metric: how it is evaluated, and which interval it gets.

:func:`calibkit.estimate` goes by it, and ``docs/intervals.md`` shows the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from .._numerics.influence import Noise
from .._typing import FloatArray, IntArray
from ._table import ScoreTable

#: Rows of equal influence below which they are too few to show how a score varies.
_FEW_DECIDING = 5.0


class Interval(NamedTuple):
    """Ends, how they were made, why they may be too narrow, and why there can be none."""

    low: float
    high: float
    method: str
    caution: str = ""
    refusal: str = ""


class Rule(NamedTuple):
    """How intervals of some metrics are made.

    Rows of the rarer class (of K classes: of all but the commonest) are counted as those of equal
    weight that would say as much (Kish 1965).
    """

    metrics: str
    rows: str
    method: str
    warned: float = 0.0  # below so many rows of the rarer class
    refused: float = 0.0  # at so many or fewer, but for none at all

    def caution(self, worth: float, noise: Noise, *, grouped: bool) -> str:
        """Why an interval may be too narrow, or an empty string."""
        if not self.warned:
            return ""
        if worth < self.warned * (1.0 - 1e-9):
            return (
                f"the interval may be too narrow: the effective number of rows of the rarer class "
                f"is {worth:.3g}, and {self.warned:g} are needed"
            )
        # Groups are fewer than rows by intent, and Student's quantile allows for that.
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
        "`brier_skill_score`, `log_loss_skill_score`", "any", "Student's t of influences", 10.0, 1.0
    ),
    "risk": Rule(
        "`area_under_risk_coverage`", "any", "Student's t of influences, logit scale", 10.0, 1.0
    ),
    "area": Rule("`roc_auc`", "any", "Newcombe's interval"),
    "error": Rule(_ERRORS, "plain", "test inversion"),
    "error, weights": Rule(_ERRORS, "weights", "test inversion, normal noise of rows"),
    "error, groups": Rule(_ERRORS, "groups", "test inversion, normal noise of groups"),
    "largest": Rule(_LARGEST, "any", "simultaneous exact intervals"),
    "function": Rule('any other function, or `method="bootstrap"`', "any", "bootstrap"),
}

#: ``(w, wy) -> values`` of a metric on the cells of one table, over any leading axes.
Kernel = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True)
class Metric:
    """A metric, and how to evaluate it on many weightings of one table at once."""

    function: Callable[..., float]
    #: Its rule in ``RULES``.
    interval: str
    label: str
    greater_is_better: bool
    bounds: tuple[float, float]
    #: ``(table, **settings) -> kernel``, for binary problems.
    kernel: Callable[..., Kernel]
    #: ``(table, **settings) -> inner borders`` of the bins, for binned metrics.
    borders: Callable[..., FloatArray] | None = None
    #: ``(kind, n, **params) -> settings``: defaults filled in, "auto" resolved.
    settings: Callable[..., dict[str, Any]] | None = None
    #: ``(scores, codes) -> loss of each row``, for metrics made of a mean loss.
    loss: Callable[[FloatArray, IntArray], FloatArray] | None = None
    #: ``class shares -> mean loss`` of forecasting them; the metric is then the skill against it.
    reference: Callable[[FloatArray], FloatArray] | None = None
    #: ``table -> (without, with the event)``: what a unit of weight at each score adds to the
    #: metric, for those that are made of no loss.
    influence: Callable[[ScoreTable], tuple[FloatArray, FloatArray]] | None = None

    @property
    def name(self) -> str:
        return self.function.__name__

    def cells(self, table: ScoreTable, n_cells: int, **settings: Any) -> tuple[ScoreTable, Kernel]:
        """A coarse table that respects the bins, and the kernel on it."""
        if self.borders is None:
            cells = table.coarsen(n_cells)
            return cells, self.kernel(cells)
        borders = self.borders(table, **settings)
        cells = table.coarsen(n_cells, borders=borders)
        return cells, self.kernel(cells, borders=borders, **settings)
