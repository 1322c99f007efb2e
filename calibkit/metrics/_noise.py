"""Intervals with weights or groups: noise of the covariance that the rows, or groups, show."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._numerics.binning import BinSums, assign
from .._numerics.debias import merged_starts
from .._numerics.inversion import Bins, Normal, invert, smoothed
from .._numerics.links import FloatArray, IntArray
from ._errors import count_sums
from ._rows import Binary
from ._table import ScoreTable

#: Errors of the classes are not independent: those of two classes are one. At worst that doubles
#: the variance of their sum, since the off-diagonal part of sum_jk (p_j p_k)^2 is never above
#: the diagonal one, sum_k (p_k (1 - p_k))^2.
SHARED = float(np.sqrt(2.0))


class Interval(NamedTuple):
    """Ends, and how they were made."""

    low: float
    high: float
    method: str


def normal_interval(
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
    places = [_bin_of(b, settings) for b in problems]
    pairs = list(zip(problems, merged, places, strict=True))
    if groups is None:
        covariance = _of_rows([_row_covariance(b, s, at) for b, s, at in pairs])
        freedom = min(_freedom(b, at) for b, _, at in pairs)
    else:
        noise = [_contributions(b, s, at, groups) for b, s, at in pairs]
        both = np.concatenate([a for a, _ in noise] + [a for _, a in noise], axis=1)
        freedom = max(len(both) - 1.0, 1.0)
        covariance = both.T @ both * (len(both) / freedom)
    w = np.concatenate([s.w for s in merged])
    score = np.concatenate([s.wp / s.w for s in merged])
    share = np.clip(np.concatenate([s.wy / s.w for s in merged]), 0.0, 1.0)
    n = np.concatenate([_rows_behind(b, s) for b, s in zip(problems, merged, strict=True)])
    rate = smoothed(share * n, n, score)
    # A bin whose labels are all alike shows no noise, but has some.
    alike = (share <= 0.0) | (share >= 1.0)
    m = len(w)
    variance = np.diag(covariance)[:m].copy()
    missing = np.where(alike, np.maximum(rate * (1.0 - rate) / n - variance, 0.0), 0.0)
    covariance[np.arange(m), np.arange(m)] += missing
    # All bins share one weight, of which each problem has its part.
    covariance[m:] /= len(problems)
    covariance[:, m:] /= len(problems)
    bins = Bins(w / w.sum(), score - share, np.sqrt(variance + missing))
    sampler = Normal(bins.share, covariance, freedom, score, rate, n_draws, seed)
    # Groups bring the covariance of the classes with them, rows are taken as apart.
    inflate = SHARED if len(problems) > 1 and groups is None else 1.0
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


def _parts(b: Binary, sums: BinSums, place: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of each row: its part in the gap of its bin, its share of the weight; and bins' shares."""
    n_bins = len(sums.w)
    w = np.ones(len(b.p)) if b.w is None else b.w
    total = np.bincount(place, w, minlength=n_bins)
    gap = np.bincount(place, w * (b.p - b.y), minlength=n_bins) / total
    return w * (b.p - b.y - gap[place]) / total[place], w / total.sum(), total / total.sum()


def _contributions(
    b: Binary, sums: BinSums, place: IntArray, groups: IntArray
) -> tuple[FloatArray, FloatArray]:
    """What each group adds to the noise of each bin's gap and share; shapes (groups, bins)."""
    part, weight, share = _parts(b, sums, place)
    n_bins, units = len(sums.w), int(groups.max()) + 1
    cell = groups * n_bins + place
    size = units * n_bins
    gaps = np.bincount(cell, part, minlength=size).astype(np.float64).reshape(units, n_bins)
    held = np.bincount(cell, weight, minlength=size).reshape(units, n_bins)
    return gaps, held - held.sum(axis=1, keepdims=True) * share


def _row_covariance(b: Binary, sums: BinSums, place: IntArray) -> FloatArray:
    """Covariance of gaps and shares of independent rows, shape (2 bins, 2 bins).

    A row moves the gap of its own bin by e, and the shares by ``v (1_b - share)``.
    """
    part, weight, share = _parts(b, sums, place)
    n_bins = len(sums.w)
    gaps, both, held = (
        np.bincount(place, values, minlength=n_bins)
        for values in (part * part, part * weight, weight * weight)
    )
    away = np.eye(n_bins) - share  # a row for each bin: what its rows do to all shares
    out = np.empty((2 * n_bins, 2 * n_bins))
    out[:n_bins, :n_bins] = np.diag(gaps)
    out[:n_bins, n_bins:] = both[:, None] * away
    out[n_bins:, :n_bins] = out[:n_bins, n_bins:].T
    out[n_bins:, n_bins:] = away.T * held @ away
    return out


def _of_rows(parts: list[FloatArray]) -> FloatArray:
    """Covariance of all gaps, then all shares, of problems taken as apart."""
    if len(parts) == 1:
        return parts[0]
    sizes = [len(a) // 2 for a in parts]
    m = sum(sizes)
    out, start = np.zeros((2 * m, 2 * m)), 0
    for a, k in zip(parts, sizes, strict=True):
        at = np.r_[start : start + k, m + start : m + start + k]
        out[np.ix_(at, at)] = a
        start += k
    return out


def _freedom(b: Binary, place: IntArray) -> float:
    """Rows that the weight of an average bin comes from, by Kish, less one."""
    w = np.ones(len(b.p)) if b.w is None else b.w
    rows = np.bincount(place, w) ** 2 / np.bincount(place, w * w)
    return max(float(np.median(rows)) - 1.0, 1.0)


def _rows_behind(b: Binary, sums: BinSums) -> FloatArray:
    """With how many rows of weight one the rows of each bin count, at least one."""
    w2 = len(b.p) if b.w is None else float(b.w @ b.w)
    total = len(b.p) if b.w is None else float(b.w.sum())
    return np.maximum(sums.w / sums.w.sum() * total * total / w2, 1.0)
