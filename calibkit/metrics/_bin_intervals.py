"""What is known of each bin's frequency, and where a calibrated model's frequency would fall."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from .._core.rows import Binary
from .._numerics.binning import bin_starts
from .._numerics.exact import clopper_pearson
from .._typing import FloatArray, IntArray
from ._draws import group_noise, null_draws
from ._table import ScoreTable

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
    table: ScoreTable,
    rows: Binary | None,
    borders: FloatArray,
    groups: IntArray | None,
    level: float,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Central range of each filled bin's frequency when labels are drawn from the scores."""
    cells = table.coarsen(_N_CELLS, borders=borders)
    starts = bin_starts(cells.p, borders)
    starts = np.unique(starts[starts < len(cells)])

    def shares(w: FloatArray, wy: FloatArray) -> FloatArray:
        events, weight = (np.add.reduceat(a, starts, axis=-1) for a in (wy, w))
        return np.clip(events / weight, 0.0, 1.0)

    noise = None
    if groups is not None and rows is not None:
        noise = group_noise(table, cells, rows, groups)
    share = null_draws(cells, shares, _N_DRAWS, rng, noise)
    tail = (1.0 - level) / 2
    # Frequencies of small bins are few: ends at drawn values keep at least the level inside.
    low = np.quantile(share, tail, axis=0, method="lower")
    return low, np.quantile(share, 1.0 - tail, axis=0, method="higher")
