"""Labels that fit the scores: what a calibrated model would show on these rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .._numerics.binning import assign, auto_bins
from .._numerics.inversion import MOST_CHANGE, smoothed
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray
from ._rows import Binary
from ._spec import Kernel
from ._table import ScoreTable

#: Draws are made in batches of about this many numbers.
_BATCH = 1 << 20


class Band(NamedTuple):
    """Mean and central range of a metric over labels that fit the scores; None if unknown."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None


def null_band(null: FloatArray | None, level: float) -> Band:
    """The band of these draws."""
    if null is None or not np.isfinite(null).any():
        return Band()
    null = null[np.isfinite(null)]
    low, high = np.quantile(null, [(1 - level) / 2, (1 + level) / 2])
    return Band(float(null.mean()), float(low), float(high))


def batches(n_draws: int, size: int) -> list[int]:
    """Numbers of draws to make at once."""
    step = max(1, _BATCH // max(1, size))
    return [min(step, n_draws - i) for i in range(0, n_draws, step)]


def lower_ends(table: ScoreTable, cells: ScoreTable) -> FloatArray:
    """Inner borders of the cells that a table was coarsened to."""
    last = np.searchsorted(np.cumsum(table.n), np.cumsum(cells.n)[:-1])
    return table.p[last + 1]


class Noise(NamedTuple):
    """Noise of groups: what each adds to the weighted labels of each cell, and their worth."""

    units: sparse.csr_matrix
    freedom: float


def group_noise(table: ScoreTable, cells: ScoreTable, rows: Binary, groups: IntArray) -> Noise:
    """Noise that the groups show about the frequencies of some bins, at the rates of the scores.

    The worth of unequal groups is Kish's number of equal ones.
    """
    w = np.ones(len(rows.p)) if rows.w is None else rows.w
    size = np.bincount(groups, w)
    n_groups = float(effective_count(size.sum(), size @ size))
    borders = table.borders("quantile", auto_bins(n_groups))
    sums = table.sums(borders)
    at = assign(rows.p, borders)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = (sums.wp - sums.wy) / sums.w
        expected = np.bincount(at, w * rows.p * (1.0 - rows.p), minlength=len(sums.w)) / sums.w
        per_bin = np.full(len(sums.w), n_groups)
        rate = smoothed(sums.wy / sums.w * n_groups, per_bin, sums.wp / sums.w)
        ratio = np.sqrt(np.clip(expected / (rate * (1.0 - rate)), *MOST_CHANGE))
    noise = ratio[at] * w * (rows.y - rows.p + gap[at])
    cell = assign(rows.p, lower_ends(table, cells))
    shape = len(size), len(cells)
    freedom = max(n_groups - 1.0, 1.0)
    units = sparse.csr_matrix((noise, (groups, cell)), shape=shape)
    return Noise(units * np.sqrt(max(n_groups, 2.0) / freedom), freedom)


def _labels(
    cells: ScoreTable, n_draws: int, rng: np.random.Generator, noise: Noise | None
) -> Iterator[FloatArray]:
    """Batches of weighted labels in the cells, drawn from the scores."""
    mean = cells.w * cells.p
    if noise is not None:
        n = noise.units.shape[0]
        for batch in batches(n_draws, max(n, len(cells))):
            drawn = rng.standard_normal((batch, n))
            drawn *= np.sqrt(noise.freedom / rng.chisquare(noise.freedom, size=(batch, 1)))
            yield mean + drawn @ noise.units
        return
    if not np.array_equal(cells.w2y, cells.w2yy):  # fractions vary by less than labels would
        dd = cells.w2 * cells.p**2 - 2.0 * cells.p * cells.w2y + cells.w2yy
        sd = np.sqrt(np.maximum(dd, 0.0))
        for batch in batches(n_draws, len(cells)):
            yield np.clip(mean + sd * rng.standard_normal((batch, len(cells))), 0.0, cells.w)
        return
    # Unequal weights inside a cell spread its weighted share more than equal ones would.
    spread = np.sqrt(np.maximum(cells.n * cells.w2 / cells.w**2, 1.0))
    per_row = cells.w / cells.n
    for batch in batches(n_draws, len(cells)):
        wy = rng.binomial(cells.n, cells.p, size=(batch, len(cells))).astype(np.float64)
        if cells.weighted:
            wy = per_row * (cells.n * cells.p + spread * (wy - cells.n * cells.p))
        yield wy


def null_draws(
    cells: ScoreTable,
    kernel: Kernel,
    n_draws: int,
    rng: np.random.Generator,
    noise: Noise | None = None,
) -> FloatArray:
    """The metric with labels drawn from the scores: the scores are then calibrated.

    Labels are independent, or vary with the noise of groups.
    """
    labels = _labels(cells, n_draws, rng, noise)
    return np.concatenate([kernel(np.broadcast_to(cells.w, wy.shape), wy) for wy in labels])
