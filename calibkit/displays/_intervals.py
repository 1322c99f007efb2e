"""What is known of each bin's frequency, and where a calibrated model's frequency would fall."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from .._numerics.binning import bin_starts, sorted_sums
from .._numerics.exact import clopper_pearson
from .._numerics.links import FloatArray
from ..metrics import ScoreTable

#: Cells of the table that labels are drawn on: the spread of the scores in a cell, which is left
#: out, is below (1/512)^2 of the variance.
_N_CELLS = 512
#: Draws of labels: the ends of a 90 % band are then within a point of their levels (one sd 0.7).
_N_DRAWS = 1000


def wilson(share: FloatArray, n: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Wilson's score interval of a binomial share."""
    z = float(ndtri((1.0 + level) / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    # Rounding must not push an end past the share at 0 and 1, where they coincide.
    return np.clip(centre - half, 0.0, share), np.clip(centre + half, share, 1.0)


INTERVALS: dict[str, Callable[..., tuple[FloatArray, FloatArray]]] = {
    "clopper-pearson": clopper_pearson,
    "wilson": wilson,
}


def consistency(
    table: ScoreTable, borders: FloatArray, level: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Central range of each filled bin's frequency when labels are drawn from the scores."""
    cells = table.coarsen(_N_CELLS, borders=borders)
    starts = bin_starts(cells.p, borders)
    starts = np.unique(starts[starts < len(cells)])
    drawn = rng.binomial(cells.n, cells.p, size=(_N_DRAWS, len(cells))) / cells.n
    # Unequal weights inside a cell spread its weighted share more than equal ones would.
    spread = np.sqrt(np.maximum(cells.n * cells.w2 / cells.w**2, 1.0))
    events = cells.w * (cells.p + spread * (drawn - cells.p))
    weight = np.add.reduceat(cells.w, starts)
    share = np.clip(np.add.reduceat(events, starts, axis=1) / weight, 0.0, 1.0)
    tail = (1.0 - level) / 2
    # Frequencies of small bins are few: ends at drawn values keep at least the level inside.
    low = np.quantile(share, tail, axis=0, method="lower")
    return low, np.quantile(share, 1.0 - tail, axis=0, method="higher")


def effective_rows(table: ScoreTable, borders: FloatArray) -> FloatArray:
    """Kish's (sum w)^2 / sum w^2 of each bin: the unweighted rows that would say as much."""
    sums = sorted_sums(table.p, None, table.w, table.w2, borders)
    with np.errstate(invalid="ignore"):
        return sums.w**2 / sums.wy
