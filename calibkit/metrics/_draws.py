"""Draws of a metric: with labels drawn from the scores, and with rows drawn (bootstrap)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .._core.inputs import Rows
from .._core.rows import Binary
from .._numerics.binning import assign, auto_bins
from .._numerics.inversion import MOST_CHANGE, smoothed
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray
from ._spec import Kernel, Metric
from ._table import ScoreTable

#: Draws are made in batches of about this many numbers.
_BATCH = 1 << 20


class Band(NamedTuple):
    """Mean and central range of a metric over labels drawn from the scores; None if unknown."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None


def null_band(null: FloatArray | None, level: float) -> Band:
    """Return the band of these draws."""
    if null is None or not np.isfinite(null).any():
        return Band()
    null = null[np.isfinite(null)]
    low, high = np.quantile(null, [(1 - level) / 2, (1 + level) / 2])
    return Band(float(null.mean()), float(low), float(high))


def batches(n_draws: int, size: int) -> list[int]:
    """Return the sizes of the batches of draws."""
    step = max(1, _BATCH // max(1, size))
    return [min(step, n_draws - i) for i in range(0, n_draws, step)]


def lower_ends(table: ScoreTable, cells: ScoreTable) -> FloatArray:
    """Return the inner borders of the cells of a coarsened table."""
    last = np.searchsorted(np.cumsum(table.n), np.cumsum(cells.n)[:-1])
    return table.p[last + 1]


class Noise(NamedTuple):
    """Noise of groups: each group's part in each cell's labels, and the degrees of freedom."""

    units: sparse.csr_matrix
    freedom: float


def group_noise(table: ScoreTable, cells: ScoreTable, rows: Binary, groups: IntArray) -> Noise:
    """Return the noise of the groups around the frequencies of bins, scaled to the scores' rates.

    Unequal groups count by their effective number (Kish).
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


def label_draws(
    cells: ScoreTable, n_draws: int, rng: np.random.Generator, noise: Noise | None
) -> Iterator[FloatArray]:
    """Yield batches of weighted labels in the cells, drawn from the scores."""
    mean = cells.w * cells.p
    if noise is not None:
        n = noise.units.shape[0]
        for batch in batches(n_draws, max(n, len(cells))):
            drawn = rng.standard_normal((batch, n))
            drawn *= np.sqrt(noise.freedom / rng.chisquare(noise.freedom, size=(batch, 1)))
            yield mean + drawn @ noise.units
        return
    if not np.array_equal(cells.w2y, cells.w2yy):  # fractions vary less than labels
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
    """Return the metric for labels drawn from the scores, for which the scores are calibrated.

    Labels are independent, or have the noise of groups.
    """
    labels = label_draws(cells, n_draws, rng, noise)
    return np.concatenate([kernel(np.broadcast_to(cells.w, wy.shape), wy) for wy in labels])


def unit_sums(
    table: ScoreTable, cells: ScoreTable, rows: Binary, groups: IntArray | None
) -> sparse.csr_matrix:
    """Return the weight of events and non-events of each group, or row, in each cell."""
    m, n = len(cells), len(rows.p)
    w = np.ones(n) if rows.w is None else rows.w
    cell = assign(rows.p, lower_ends(table, cells))
    unit = np.arange(n) if groups is None else groups
    weight = np.concatenate((w * rows.y, w * (1 - rows.y)))
    places = np.concatenate((unit, unit)), np.concatenate((cell, cell + m))
    sums = sparse.csr_matrix((weight, places), shape=(int(unit.max()) + 1, 2 * m))
    sums.eliminate_zeros()
    return sums


def cell_draws(
    cells: ScoreTable,
    kernel: Kernel,
    units: sparse.csr_matrix | None,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Bootstrap rows on the cells of their table.

    For n rows of weight one, the counts of each cell and label are drawn from a multinomial
    distribution. With weights or groups, the counts of the rows or groups are drawn.
    """
    m = len(cells)
    events = np.concatenate((cells.wy, cells.w - cells.wy))
    n = round(events.sum()) if units is None else units.shape[0]
    shares = events / events.sum() if units is None else np.full(n, 1.0 / n)
    out = []
    for batch in batches(n_draws, max(2 * m, 0 if units is None else n)):
        if units is None:
            both = rng.multinomial(n, shares, size=batch).astype(np.float64)
        else:
            drawn = rng.integers(n, size=(batch, n)) + n * np.arange(batch)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=n * batch).reshape(batch, n)
            both = counts.astype(np.float64) @ units
        wy = both[:, :m]
        out.append(kernel(wy + both[:, m:], wy))
    return np.concatenate(out)


def row_draws(
    function: Callable[..., float],
    spec: Metric | None,
    rows: Rows,
    groups: IntArray | None,
    n_draws: int,
    n_null: int,
    rng: np.random.Generator,
    params: dict[str, Any],
) -> tuple[float, FloatArray, FloatArray | None]:
    """Return value, bootstrap draws and null draws of a function, evaluated on drawn rows."""
    s, y = rows.scores.values, rows.y
    n = len(y)
    if spec is not None and spec.loss is not None:
        value = _value_of_losses(spec, rows)
    else:
        value = _value_of_rows(function, spec, rows, params)
    observed = value(slice(None), y)
    draws = np.array([value(i, y) for i in _row_indices(n, groups, n_draws, rng)])
    if spec is None or groups is not None:
        return observed, draws, None  # the dependence inside groups is unknown
    labels = _label_drawer(s, rng)
    null = np.array([value(slice(None), labels()) for _ in range(n_null)])
    return observed, draws, null


def _value_of_rows(
    function: Callable[..., float], spec: Metric | None, rows: Rows, params: dict[str, Any]
) -> Callable[[Any, IntArray], float]:
    """Return ``(row indices, labels) -> value``, which calls the function on those rows."""
    s, w = rows.scores.values, rows.w
    extra = dict(params)
    if spec is not None:
        extra |= {"pos_label": 1} if s.ndim == 1 else {"classes": np.arange(s.shape[1])}

    def value(index: Any, labels: IntArray) -> float:
        given = labels[index]
        if spec is None and given.dtype.kind != "f":
            given = rows.classes[given]
        weight = {} if w is None else {"sample_weight": w[index]}
        try:
            return float(function(given, s[index], **extra, **weight))
        except ValueError:
            if isinstance(index, slice):
                raise
            return np.nan  # a draw without any row of some class

    return value


def _value_of_losses(spec: Metric, rows: Rows) -> Callable[[Any, IntArray], float]:
    """Do so for a mean loss; the losses of the rows are computed only once."""
    s, y, w = rows.scores.values, rows.y, rows.w
    assert spec.loss is not None
    observed = spec.loss(s, y)

    def value(index: Any, labels: IntArray) -> float:
        assert spec.loss is not None
        loss = observed if labels is y else spec.loss(s, labels)
        weight = None if w is None else w[index]
        mean = float(np.average(loss[index], weights=weight))
        if spec.reference is None:
            return mean
        shares = np.bincount(labels[index], weight, minlength=rows.scores.n_classes)
        reference = spec.reference(shares / shares.sum())
        return float(1.0 - mean / reference) if reference > 0 else np.nan

    return value


def _row_indices(n: int, groups: IntArray | None, n_draws: int, rng: np.random.Generator) -> Any:
    if groups is None:
        for _ in range(n_draws):
            yield rng.integers(n, size=n)
        return
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    for _ in range(n_draws):
        yield np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])


def _label_drawer(p: FloatArray, rng: np.random.Generator) -> Callable[[], IntArray]:
    """Return a function that draws the label of every row from its probabilities."""
    n = len(p)
    if p.ndim == 1:
        return lambda: (rng.random(n) < p).view(np.int8)
    rows, k = np.arange(n), p.shape[1]
    above = np.cumsum(p, axis=1, dtype=np.float64)
    # Row i's distribution function plus i: one ascending array for all rows.
    ladder = (above / above[:, -1:] + rows[:, None]).ravel()

    def draw() -> IntArray:
        at = np.searchsorted(ladder, rng.random(n) + rows, side="right") - k * rows
        return np.clip(at, 0, k - 1)

    return draw
