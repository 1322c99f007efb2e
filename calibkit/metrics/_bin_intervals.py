"""Confidence interval of each bin's frequency, and the range for a calibrated model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from .._core.rows import Binary
from .._numerics.binning import bin_starts
from .._numerics.exact import clopper_pearson
from .._typing import FloatArray, IntArray
from ._draws import Noise, group_noise, null_draws
from ._spec import Kernel
from ._table import ScoreTable

#: Cells of the table on which labels are drawn. The variance of the scores inside a cell is
#: ignored; it is below (1/512)^2 of the whole.
_N_CELLS = 512


def wilson(share: FloatArray, n: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's score interval of a binomial share."""
    z = float(ndtri((1.0 + level) / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    # At a share of 0 or 1 an end equals the share; rounding must not move the end past it.
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
    n_draws: int,
) -> tuple[FloatArray, FloatArray]:
    """Return the central range of each filled bin's frequency if labels follow the scores."""
    cells = table.coarsen(_N_CELLS, borders=borders)
    starts = bin_starts(cells.p, borders)
    starts = np.unique(starts[starts < len(cells)])

    def shares(w: FloatArray, wy: FloatArray) -> FloatArray:
        events, weight = (np.add.reduceat(a, starts, axis=-1) for a in (wy, w))
        return np.clip(events / weight, 0.0, 1.0)

    noise = None
    if groups is not None and rows is not None:
        noise = group_noise(table, cells, rows, groups)
    return calibrated_range(cells, shares, noise, level, rng, n_draws)


def calibrated_range(
    cells: ScoreTable,
    curve: Kernel,
    noise: Noise | None,
    level: float,
    rng: np.random.Generator,
    n_draws: int,
) -> tuple[FloatArray, FloatArray]:
    """Return the central range of each value of ``curve`` if labels follow the scores."""
    if n_draws == 0:
        unknown = np.full_like(curve(cells.w, cells.wy), np.nan)
        return unknown, unknown
    drawn = null_draws(cells, curve, n_draws, rng, noise)
    tail = (1.0 - level) / 2
    # Small bins have few possible frequencies: ends at drawn values keep the level at least.
    low = np.quantile(drawn, tail, axis=0, method="lower")
    return low, np.quantile(drawn, 1.0 - tail, axis=0, method="higher")
