"""How a binned calibration error is worked out: from rows, a table, or many weightings of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.params import check_choice, check_int
from .._numerics.binning import (
    BinSums,
    auto_bins,
    bin_starts,
    mass_borders,
    sort_by_score,
    sorted_sums,
    uniform_borders,
    uniform_gaps,
    uniform_sums,
)
from .._numerics.debias import (
    NOISES,
    absolute_error,
    as_counts,
    merge_small,
    merged_starts,
    squared_error,
)
from .._numerics.links import FloatArray
from ._rows import Binary
from ._spec import Kernel
from ._table import ScoreTable

NORMS = ("l1", "l2", "max")
STRATEGIES = ("quantile", "uniform", "unique")


def check_binning(where: str, strategy: str, n_bins: Any, n: float) -> int | str:
    """Number of bins to use for n rows, "auto" resolved; "sweep" needs the data."""
    check_choice(where, "strategy", strategy, STRATEGIES)
    if isinstance(n_bins, str):
        check_choice(where, "n_bins", n_bins, ("auto", "sweep"))
        return "sweep" if n_bins == "sweep" and strategy != "unique" else auto_bins(n)
    check_int(where, "n_bins", n_bins, low=1)
    if n_bins > n and strategy != "unique":
        raise ValueError(
            f"{where}: n_bins={n_bins} and {n:g} rows; expected at least one row per bin. "
            "Use fewer bins, or n_bins='auto'."
        )
    return int(n_bins)


def check_debias(where: str, debias: Any, norm: str) -> str | None:
    """The noise to allow for, or None for the plug-in."""
    if isinstance(debias, (bool, np.bool_)):
        return "differences" if debias and norm != "max" else None
    if not isinstance(debias, str) or debias not in NOISES:
        raise ValueError(
            f"{where}: debias={debias!r}; expected True, False, 'differences' or 'labels'."
        )
    if norm == "max":
        raise ValueError(
            f"{where}: debias={debias!r} with norm='max', which has no debiased form; expected "
            "debias=False. For what is certain of the largest gap use verify()."
        )
    return str(debias)


def bin_sums(rows: Binary, strategy: str, n_bins: int | str, *, squares: bool = False) -> BinSums:
    """Sums per bin straight from rows; only "unique" and sweeps need the table."""
    if strategy == "unique" or isinstance(n_bins, str):
        return ScoreTable.from_binary(rows).bins(strategy, n_bins, squares=squares)
    if strategy == "uniform" and not squares:
        return uniform_sums(rows.p, rows.y, rows.w, n_bins, uniform_borders(n_bins))
    p, y, w = sort_by_score(*rows)
    borders = uniform_borders(n_bins) if strategy == "uniform" else mass_borders(p, w, n_bins)
    return sorted_sums(p, None, w, y if w is None else w * y, borders, squares=squares)


def count_sums(
    problem: Binary | ScoreTable, strategy: str, n_bins: int | str, *, squares: bool = True
) -> BinSums:
    """Sums whose weights count rows."""
    if isinstance(problem, ScoreTable):
        sums = problem.bins(strategy, n_bins, squares=squares)
        return as_counts(sums, float(problem.w2.sum()) if problem.weighted else None)
    sums = bin_sums(problem, strategy, n_bins, squares=squares)
    return as_counts(sums, None if problem.w is None else float(problem.w @ problem.w))


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
    sums = count_sums(problem, strategy, n_bins, squares=noise == "differences")
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
    starts = starts[merged_starts(np.add.reduceat(table.w, starts))]

    def corrected(w: FloatArray, wy: FloatArray) -> FloatArray:
        squares = w * table.p**2 + wy * (1.0 - 2.0 * table.p)
        parts = [np.add.reduceat(a, starts, axis=-1) for a in (w, w * table.p, wy, squares)]
        sums = BinSums(parts[0], *parts)
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
