"""What the rest of the package knows of a metric beside its function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._typing import FloatArray, IntArray
from ._table import ScoreTable

#: ``(w, wy) -> values`` of a metric on the cells of one table, over any leading axes.
Kernel = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True)
class Metric:
    """A metric, and how to evaluate it on many weightings of one table at once."""

    function: Callable[..., float]
    #: Its rule in ``_methods.RULES``.
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
