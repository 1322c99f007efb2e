"""What a report is about: labels, and the probabilities of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import FloatArray


@dataclass(frozen=True)
class Problem:
    """Labels, and the probabilities of one model or of several by name."""

    y: np.ndarray
    models: dict[str, FloatArray]
    #: Class of each column, if there is one model of several columns.
    classes: np.ndarray | None = None
    pos_label: Any = None
    weight: FloatArray | None = None
    groups: np.ndarray | None = None
    #: Columns by which rows are measured one group at a time, as of ``group_table``.
    by: Any = None

    @property
    def scores(self) -> FloatArray:
        """Probabilities of the only model."""
        return next(iter(self.models.values()))
