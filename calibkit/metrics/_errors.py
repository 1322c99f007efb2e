"""How a binned calibration error is worked out: from rows, a table, or many weightings of one."""

from __future__ import annotations

from functools import partial
from typing import Any, get_args

import numpy as np

from .._core.printed import spelled
from .._core.rows import Binary
from .._numerics.binning import (
    BinSums,
    Squares,
    bin_starts,
    mass_borders,
    sort_by_score,
    sorted_sums,
    uniform_borders,
    uniform_gaps,
    uniform_sums,
)
from .._numerics.debias import NOISES, absolute_error, merge_small, merged_starts, squared_error
from .._typing import FloatArray, Norm, Strategy
from ._spec import Kernel
from ._table import ScoreTable

NORMS = get_args(Norm)
STRATEGIES = get_args(Strategy)


def check_debias(where: str, debias: Any, norm: str) -> str | None:
    """The noise to allow for, or None for the plug-in."""
    if isinstance(debias, (bool, np.bool_)):
        return "differences" if debias and norm != "max" else None
    if not isinstance(debias, str) or debias not in NOISES:
        raise ValueError(
            f"{where}: debias={spelled(debias)}; expected True, False, 'differences' or 'labels'."
        )
    if norm == "max":
        raise ValueError(
            f"{where}: debias={spelled(debias)} with norm='max', which has no debiased form; "
            "expected debias=False. For what is certain of the largest gap use verify()."
        )
    return str(debias)


def bin_sums(rows: Binary, strategy: str, n_bins: int | str, *, squares: bool = False) -> BinSums:
    """Sums per bin straight from rows; sweeps, "unique" and counted rows take the table."""
    if strategy == "unique" or isinstance(n_bins, str) or rows.counts:
        return ScoreTable.from_binary(rows).bins(strategy, n_bins, squares=squares)
    fractional = rows.y.dtype.kind == "f"
    if strategy == "uniform" and not squares and not fractional:
        return uniform_sums(rows.p, rows.y, rows.w, n_bins, uniform_borders(n_bins))
    p, y, w = sort_by_score(rows.p, rows.y, rows.w)
    borders = uniform_borders(n_bins) if strategy == "uniform" else mass_borders(p, w, n_bins)
    wy = y if w is None else w * y
    own: bool | Squares = squares
    if squares and (w is not None or fractional):
        w2y = wy if w is None else w * wy
        w2yy = w2y * y if fractional else w2y
        own = Squares(None if w is None else w * w, w2y, w2yy, scores=False)
    return sorted_sums(p, None, w, wy, borders, squares=own)


def norm_of_gaps(norm: str, w: FloatArray, wp: FloatArray, wy: FloatArray) -> FloatArray:
    """Plug-in norm of (mean score - mean label) per bin, over the last axis; empty bins count 0."""
    gap = np.abs(wp - wy)
    if norm == "l1":
        return gap.sum(axis=-1) / w.sum(axis=-1)
    mean = np.divide(gap, w, out=np.zeros_like(gap), where=w > 0)
    if norm == "max":
        return mean.max(axis=-1)
    return np.sqrt((gap * mean).sum(axis=-1) / w.sum(axis=-1))


def plug_in(problem: Binary | ScoreTable, norm: str, strategy: str, n_bins: int | str) -> float:
    """Error of the gaps as they are."""
    if isinstance(problem, ScoreTable):
        sums = problem.bins(strategy, n_bins)
    elif norm == "l1" and strategy == "uniform" and problem.w is None and n_bins != "sweep":
        borders = uniform_borders(int(n_bins))
        gaps = uniform_gaps(problem.p, problem.y, int(n_bins), borders)
        return float(np.abs(gaps).sum() / len(problem.p))
    else:
        sums = bin_sums(problem, strategy, n_bins)
    return float(norm_of_gaps(norm, sums.w, sums.wp, sums.wy))


def debiased(
    where: str,
    problem: Binary | ScoreTable,
    norm: str,
    strategy: str,
    n_bins: int | str,
    noise: str,
) -> float:
    """Squared l2 error or l1 error less its bias, neither clipped."""
    if isinstance(problem, ScoreTable):
        found, plain = problem.bins, problem.plain
    else:
        found = partial(bin_sums, problem)
        plain = problem.w is None and problem.y.dtype.kind != "f"
    # The noise of labels 0 and 1 that count alike is known without squares.
    sums = found(strategy, n_bins, squares=noise == "differences" or not plain)
    try:
        merged = merge_small(sums)
    except ValueError as error:
        raise ValueError(
            f"{where}: {error}; expected at least two rows, or debias=False."
        ) from error
    return float(squared_error(merged, noise) if norm == "l2" else absolute_error(merged, noise))


def raw_errors(
    where: str,
    problems: list[Any],
    norm: str,
    strategy: str,
    n_bins: int | str,
    noise: str | None,
) -> FloatArray:
    """Of each problem: the squared error for l2, the error otherwise; not clipped."""
    if noise is not None:
        return np.array([debiased(where, b, norm, strategy, n_bins, noise) for b in problems])
    errors = np.array([plug_in(b, norm, strategy, n_bins) for b in problems])
    return errors**2 if norm == "l2" else errors


def combine(norm: str, raw: FloatArray) -> float:
    """One error of several problems, clipped at 0."""
    if norm == "max":
        return float(raw.max())
    mean = max(float(raw.mean()), 0.0)
    return float(np.sqrt(mean)) if norm == "l2" else mean


def raw_kernel(table: ScoreTable, borders: FloatArray, norm: str, noise: str | None) -> Kernel:
    """:func:`raw_errors` as a function of the weights in the cells of a table."""
    starts = bin_starts(table.p, borders)
    starts = np.unique(starts[starts < len(table)])  # empty bins count nothing
    if noise is None:

        def error(w: FloatArray, wy: FloatArray) -> FloatArray:
            parts = (np.add.reduceat(a, starts, axis=-1) for a in (w, w * table.p, wy))
            found = norm_of_gaps(norm, *parts)
            return found**2 if norm == "l2" else found

        return error
    starts = starts[merged_starts(*(np.add.reduceat(a, starts) for a in (table.w, table.w2)))]
    # What squared weights and fractional labels in a cell come to, for each unit of its weight.
    square = 1.0 if table.plain else table.w2 / table.w
    fraction = 0.0 if table.plain else (table.w2y - table.w2yy) / table.w

    def corrected(w: FloatArray, wy: FloatArray) -> FloatArray:
        def per_bin(values: FloatArray) -> FloatArray:
            return np.add.reduceat(values, starts, axis=-1)

        w2, w2y = square * w, square * wy
        w2yy = w2y - fraction * w
        differences = per_bin(w2 * table.p**2 - 2.0 * table.p * w2y + w2yy)
        size = per_bin(w)
        parts = [size, size, per_bin(w * table.p), per_bin(wy), differences]
        if not table.plain:
            parts += [per_bin(w2), per_bin(w2 * table.p), per_bin(w2y), per_bin(w2yy)]
        sums = BinSums(*parts)  # type: ignore[arg-type]
        return absolute_error(sums, noise) if norm == "l1" else squared_error(sums, noise)

    return corrected


def kernel(
    table: ScoreTable, *, borders: FloatArray, norm: str, debias: bool | str, **_: Any
) -> Kernel:
    """The error as a function of the weights in the cells of a table."""
    raw = raw_kernel(table, borders, norm, check_debias("estimate", debias, norm))

    def error(w: FloatArray, wy: FloatArray) -> FloatArray:
        found = np.maximum(raw(w, wy), 0.0)
        return np.sqrt(found) if norm == "l2" else found

    return error


def borders_of(table: ScoreTable, *, strategy: str, n_bins: int | str, **_: Any) -> FloatArray:
    """Inner borders of the bins."""
    return table.borders(strategy, n_bins)
