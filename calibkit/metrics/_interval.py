"""Intervals of calibration errors that cover near zero error too."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._numerics.binning import BinSums, assign
from .._numerics.debias import merge_small, merged_starts
from .._numerics.exact import simultaneous
from .._numerics.inversion import Bins, Normal, invert, of_sums, smoothed_sd
from .._numerics.links import FloatArray, IntArray
from ._errors import check_debias, combine, count_sums, raw_errors, raw_kernel
from ._resampling import null_draws
from ._rows import Binary
from ._table import ScoreTable

#: Cells that labels are drawn on for the null band: variances inside 64 cells are below
#: (1/64)^2 of the whole.
_N_NULL = 64

#: With more bins rows are drawn instead, which takes the same time for any number.
_MOST_BINS = 3000

#: Errors of the classes are not independent: those of two classes are one. At worst that doubles
#: the variance of their sum, since the off-diagonal part of sum_jk (p_j p_k)^2 is never above
#: the diagonal one, sum_k (p_k (1 - p_k))^2.
_SHARED = float(np.sqrt(2.0))


class Interval(NamedTuple):
    """Ends, and how they were made."""

    low: float
    high: float
    method: str


class Measured(NamedTuple):
    """An error with its interval, and the errors that a calibrated model would show."""

    value: float
    low: float
    high: float
    settings: dict[str, Any]
    method: str
    null: FloatArray


def measure(
    problems: list[Any],
    settings: dict[str, Any],
    level: float,
    n_draws: int,
    rng: np.random.Generator,
    groups: IntArray | None,
) -> Measured:
    """Error of one problem, or the mean over the classes, by inverting a test."""
    norm, strategy, n_bins = settings["norm"], settings["strategy"], settings["n_bins"]
    noise = check_debias("estimate", settings["debias"], norm)
    raw = raw_errors("estimate", problems, norm, strategy, n_bins, noise)
    value = combine(norm, raw)
    ends = error_interval(problems, settings, level, n_draws, rng, groups)
    null = null_errors(problems, settings, n_draws, rng)
    shown = {**settings, "n_bins": _bins_used(problems[0], strategy, n_bins)}
    if noise is not None:
        shown["unclipped"] = float(raw.mean())
    low, high = min(ends.low, value), max(min(ends.high, 1.0), value)
    return Measured(value, low, high, shown, ends.method, null)


def too_many_bins(problems: list[Any], settings: dict[str, Any]) -> bool:
    """Whether labels of so many bins take too long to simulate."""
    if settings["strategy"] != "unique":
        return int(settings["n_bins"] if settings["n_bins"] != "sweep" else 1) > _MOST_BINS
    return any(_bins_used(b, "unique", 1) > _MOST_BINS for b in problems)


def _bins_used(problem: Any, strategy: str, n_bins: int | str) -> int:
    """Number of bins, where the data say it."""
    if isinstance(n_bins, int) and strategy != "unique":
        return n_bins
    table = problem if isinstance(problem, ScoreTable) else ScoreTable.from_binary(problem)
    return len(table.borders(strategy, n_bins)) + 1


def error_interval(
    problems: list[Any],
    settings: dict[str, Any],
    level: float,
    n_draws: int,
    rng: np.random.Generator,
    groups: IntArray | None,
) -> Interval:
    """Interval of the error of one problem, or of the mean over the classes."""
    norm, strategy, n_bins = settings["norm"], settings["strategy"], settings["n_bins"]
    parts = [count_sums(b, strategy, n_bins) for b in problems]
    if norm == "max":
        return _largest_gap(parts, problems, level)
    merged = [merge_small(s) for s in parts]
    seed = int(rng.integers(2**31))
    w = getattr(problems[0], "w", None)
    if groups is not None or (w is not None and not isinstance(problems[0], ScoreTable)):
        return _normal(norm, problems, merged, settings, level, n_draws, seed, groups)
    sums = BinSums(*(np.concatenate([np.asarray(s[i]) for s in merged]) for i in range(5)))
    inflate = _SHARED if len(problems) > 1 else 1.0
    return Interval(*of_sums(norm, sums, level, n_draws, seed, inflate=inflate), "test inversion")


def null_errors(
    problems: list[Any], settings: dict[str, Any], n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """Errors that labels drawn from the scores would show."""
    norm = settings["norm"]
    noise = check_debias("estimate", settings["debias"], norm)
    total = np.zeros(n_draws)
    for b in problems:
        table = b if isinstance(b, ScoreTable) else ScoreTable.from_binary(b)
        borders = table.borders(settings["strategy"], settings["n_bins"])
        cells = table.coarsen(_N_NULL, borders=borders, tails=False)
        drawn = null_draws(cells, raw_kernel(cells, borders, norm, noise), n_draws, rng)
        total = np.maximum(total, drawn) if norm == "max" else total + drawn / len(problems)
    if len(problems) > 1 and norm != "max":
        total = total.mean() + _SHARED * (total - total.mean())
    total = np.maximum(total, 0.0)
    return np.sqrt(total) if norm == "l2" else total


def _normal(
    norm: str,
    problems: list[Binary],
    merged: list[BinSums],
    settings: dict[str, Any],
    level: float,
    n_draws: int,
    seed: int,
    groups: IntArray | None,
) -> Interval:
    """With weights or groups: normal noise of the covariance that the rows, or groups, show."""
    columns = [
        _contributions(b, s, settings, groups) for b, s in zip(problems, merged, strict=True)
    ]
    noise = np.concatenate(columns, axis=1)
    units = len(noise)
    covariance = noise.T @ noise * (units / max(units - 1.0, 1.0))
    w = np.concatenate([s.w for s in merged])
    score = np.concatenate([s.wp / s.w for s in merged])
    share = np.concatenate([s.wy / s.w for s in merged])
    # A bin whose labels are all alike shows no noise, but has some.
    least = np.concatenate([_least_variance(b, s) for b, s in zip(problems, merged, strict=True)])
    missing = np.maximum(least - np.diag(covariance), 0.0)
    covariance[np.diag_indices_from(covariance)] += missing
    bins = Bins(w / w.sum(), score - share, np.sqrt(np.diag(covariance)))
    sampler = Normal(bins.share, covariance, n_draws, seed)
    # Groups bring the covariance of the classes with them, rows are taken as apart.
    inflate = _SHARED if len(problems) > 1 and groups is None else 1.0
    ends = invert(norm, bins, score, sampler, level, few=False, inflate=inflate)
    how = "of rows" if groups is None else "of groups"
    return Interval(*ends, f"test inversion, normal noise {how}")


def _bin_of(b: Binary, settings: dict[str, Any]) -> IntArray:
    """Bin of each row after small bins are joined, counting from 0."""
    table = ScoreTable.from_binary(b)
    borders = table.borders(settings["strategy"], settings["n_bins"])
    weight = count_sums(table, settings["strategy"], settings["n_bins"]).w
    starts = merged_starts(weight)
    joined = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(weight))))
    return joined[assign(b.p, borders)]


def _contributions(
    b: Binary, sums: BinSums, settings: dict[str, Any], groups: IntArray | None
) -> FloatArray:
    """What each row or group adds to the noise of each bin's gap; shape (units, bins)."""
    place = _bin_of(b, settings)
    n_bins = len(sums.w)
    w = np.ones(len(b.p)) if b.w is None else b.w
    total = np.bincount(place, w, minlength=n_bins)
    gap = np.bincount(place, w * (b.p - b.y), minlength=n_bins) / total
    part = w * (b.p - b.y - gap[place]) / total[place]
    if groups is None:
        # Rows are independent: their own part alone, summed into a diagonal by columns.
        root = np.sqrt(np.bincount(place, part**2, minlength=n_bins))
        return np.diag(root)
    units = int(groups.max()) + 1
    cell = groups * n_bins + place
    table: FloatArray = np.bincount(cell, part, minlength=units * n_bins).astype(np.float64)
    return table.reshape(units, n_bins)


def _least_variance(b: Binary, sums: BinSums) -> FloatArray:
    """Variance of each bin's share under smoothed frequencies, with as many rows as count."""
    w2 = len(b.p) if b.w is None else float(b.w @ b.w)
    total = len(b.p) if b.w is None else float(b.w.sum())
    n = np.maximum(sums.w / sums.w.sum() * total * total / w2, 1.0)
    share = sums.wy / sums.w
    score = sums.wp / sums.w
    events = np.clip(share, 0.0, 1.0) * n
    alike = (share <= 0.0) | (share >= 1.0)
    return np.where(alike, smoothed_sd(events, n, score) ** 2, 0.0)


def _largest_gap(parts: list[BinSums], problems: list[Any], level: float) -> Interval:
    """Bounds of the largest gap from intervals that hold in all bins at once."""
    n = np.concatenate([s.w for s in parts])
    events = np.concatenate([s.wy for s in parts])
    score = np.concatenate([s.wp for s in parts])
    kept = n > 0
    w2 = [_square_sum(b) for b in problems]
    rows = np.concatenate([s.w * (s.w.sum() / q) for s, q in zip(parts, w2, strict=True)])
    low, high = simultaneous(events[kept] / n[kept], rows[kept], level)
    mean = score[kept] / n[kept]
    outside = np.maximum(np.maximum(low - mean, mean - high), 0.0)
    farthest = np.maximum(np.abs(mean - low), np.abs(high - mean))
    return Interval(float(outside.max()), float(farthest.max()), "simultaneous exact intervals")


def _square_sum(b: Any) -> float:
    if isinstance(b, ScoreTable):
        return float(b.w2.sum())
    return float(len(b.p)) if b.w is None else float(b.w @ b.w)
