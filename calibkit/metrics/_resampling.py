"""Draws of a metric: from the data (bootstrap) and from labels that fit the scores (null)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import ndtri, stdtrit

from .._core.inputs import Rows
from .._numerics.binning import assign
from .._numerics.links import FloatArray, IntArray
from ._rows import reduce_rows
from ._spec import Kernel, Metric
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


def _batches(n_draws: int, size: int) -> list[int]:
    step = max(1, _BATCH // max(1, size))
    return [min(step, n_draws - i) for i in range(0, n_draws, step)]


def cell_draws(
    cells: ScoreTable,
    kernel: Kernel,
    rows: Rows | None,
    kind: str,
    groups: IntArray | None,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Bootstrap of unweighted rows on the cells of their table.

    To draw n rows with replacement is to draw the counts of each cell and label from a
    multinomial distribution; with groups, to draw the counts of the groups.
    """
    m = len(cells)
    if groups is None:
        counts = np.concatenate((cells.wy, cells.w - cells.wy))
        shares, units = counts / counts.sum(), round(counts.sum())
        per_unit = None
    else:
        assert rows is not None
        binary = reduce_rows(rows, kind)[0]
        # Cells hold neighbouring scores: find each row's by the lower ends of the cells.
        cell = assign(binary.p, _lower_ends(cells, binary.p))
        column = np.where(binary.y == 1, cell, cell + m)
        units = int(groups.max()) + 1
        shares = np.full(units, 1.0 / units)
        ones = np.ones(len(groups))
        per_unit = sparse.csr_matrix((ones, (groups, column)), shape=(units, 2 * m))
    out = []
    for batch in _batches(n_draws, max(2 * m, units if per_unit is not None else 0)):
        drawn = rng.multinomial(units, shares, size=batch)
        both = (drawn if per_unit is None else drawn @ per_unit).astype(np.float64)
        wy = both[:, :m]
        out.append(kernel(wy + both[:, m:], wy))
    return np.concatenate(out)


def _lower_ends(cells: ScoreTable, p: FloatArray) -> FloatArray:
    """Inner borders of the cells among the scores p, from the number of rows in each."""
    ordered = np.sort(p)
    return ordered[np.cumsum(cells.n)[:-1]]


def widened(draws: FloatArray, groups: np.ndarray | None, level: float) -> FloatArray:
    """Draws of groups, spread as few groups demand.

    Draws of G groups vary by (G - 1) / G of what they should, and their variance is known on
    G - 1 degrees of freedom; groups of unequal size count as Kish's number of equal ones.
    """
    if groups is None:
        return draws
    sizes = np.bincount(groups).astype(np.float64)
    worth = max(float(sizes.sum() ** 2 / (sizes @ sizes)), 2.0)
    p = max((1.0 + level) / 2.0, 0.5 + 1e-6)  # both quantiles are 0 at one half
    factor = np.sqrt(worth / (worth - 1.0)) * stdtrit(worth - 1.0, p) / ndtri(p)
    finite = np.isfinite(draws)
    centre = draws[finite].mean() if finite.any() else 0.0
    return np.where(finite, centre + factor * (draws - centre), draws)


def null_draws(
    cells: ScoreTable, kernel: Kernel, n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """The metric with labels drawn from the scores: the scores are then calibrated."""
    out = []
    # Unequal weights inside a cell spread its weighted share more than equal ones would.
    spread = np.sqrt(np.maximum(cells.n * cells.w2 / cells.w**2, 1.0))
    per_row = cells.w / cells.n
    for batch in _batches(n_draws, len(cells)):
        wy = rng.binomial(cells.n, cells.p, size=(batch, len(cells))).astype(np.float64)
        if cells.weighted:
            wy = per_row * (cells.n * cells.p + spread * (wy - cells.n * cells.p))
        out.append(kernel(np.broadcast_to(cells.w, wy.shape), wy))
    return np.concatenate(out)


def row_draws(
    function: Callable[..., float],
    spec: Metric | None,
    rows: Rows,
    groups: IntArray | None,
    n_draws: int,
    rng: np.random.Generator,
    params: dict[str, Any],
) -> tuple[float, FloatArray, FloatArray | None]:
    """Value, bootstrap and null draws of any function, evaluated on drawn rows."""
    s, y = rows.scores.values, rows.y
    n = len(y)
    if spec is not None and spec.loss is not None:
        value = _value_of_losses(spec, rows)
    else:
        value = _value_of_rows(function, spec, rows, params)
    observed = value(slice(None), y)
    draws = np.array([value(i, y) for i in _row_indices(n, groups, n_draws, rng)])
    if spec is None:
        return observed, draws, None
    labels = _label_drawer(s, rng)
    null = np.array([value(slice(None), labels()) for _ in range(n_draws)])
    return observed, draws, null


def _value_of_rows(
    function: Callable[..., float], spec: Metric | None, rows: Rows, params: dict[str, Any]
) -> Callable[[Any, IntArray], float]:
    """``(row indices, labels) -> value`` by calling the function on those rows."""
    s, w = rows.scores.values, rows.w
    extra = dict(params)
    if spec is not None:
        extra |= {"pos_label": 1} if s.ndim == 1 else {"classes": np.arange(s.shape[1])}

    def value(index: Any, labels: IntArray) -> float:
        given = labels[index] if spec is not None else rows.classes[labels[index]]
        weight = {} if w is None else {"sample_weight": w[index]}
        try:
            return float(function(given, s[index], **extra, **weight))
        except ValueError:
            if isinstance(index, slice):
                raise
            return np.nan  # a draw without any row of some class

    return value


def _value_of_losses(spec: Metric, rows: Rows) -> Callable[[Any, IntArray], float]:
    """The same for a mean loss, whose rows are worked out once and not for each draw."""
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
        return 1.0 - mean / reference if reference > 0 else np.nan

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
    """A function that draws the label of every row from its probabilities."""
    n = len(p)
    if p.ndim == 1:
        return lambda: (rng.random(n) < p).view(np.int8)
    rows, k = np.arange(n), p.shape[1]
    above = np.cumsum(p, axis=1, dtype=np.float64)
    # Row i's distribution function, moved up by i: one ascending array to look all rows up in.
    ladder = (above / above[:, -1:] + rows[:, None]).ravel()

    def draw() -> IntArray:
        at = np.searchsorted(ladder, rng.random(n) + rows, side="right") - k * rows
        return np.clip(at, 0, k - 1)

    return draw
