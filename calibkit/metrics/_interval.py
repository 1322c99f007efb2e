"""Intervals of calibration errors, which are valid near zero error too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from .._core.errors import InputError, message_of
from .._core.rows import Binary
from .._numerics.binning import BinSums, assign
from .._numerics.debias import merge_small, merged_starts
from .._numerics.exact import simultaneous
from .._numerics.influence import MOST_SHARE
from .._numerics.inversion import Bins, Normal, invert, of_sums, smoothed
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray
from ._binned import check_debias, combine, raw_errors, raw_kernel
from ._draws import Band, group_noise, null_band, null_draws
from ._spec import RULES, Interval
from ._table import ScoreTable

#: Errors of the classes are dependent: with two classes they are equal. At worst this doubles the
#: variance of their sum, since the off-diagonal part of sum_jk (p_j p_k)^2 is never above the
#: diagonal part, sum_k (p_k (1 - p_k))^2.
SHARED = float(np.sqrt(2.0))


class Grouped(NamedTuple):
    """Rows of one problem with their bins and groups, counting from 0."""

    rows: Binary
    place: IntArray
    groups: IntArray
    n_bins: int

    def per_group(self, values: FloatArray) -> FloatArray:
        """Sums of shape (groups, bins)."""
        units = int(self.groups.max()) + 1
        cell = self.groups * self.n_bins + self.place
        sums = np.bincount(cell, values, minlength=units * self.n_bins)
        return sums.astype(np.float64).reshape(units, self.n_bins)

    @property
    def w(self) -> FloatArray:
        """Weights of the rows."""
        return np.ones(len(self.rows.p)) if self.rows.w is None else self.rows.w

    def contributions(self) -> tuple[FloatArray, FloatArray]:
        """Return each group's part of each bin's gap and share; shapes (groups, bins)."""
        w, d = self.w, self.rows.p - self.rows.y
        total = np.bincount(self.place, w, minlength=self.n_bins)
        gap = np.bincount(self.place, w * d, minlength=self.n_bins) / total
        part = w * (d - gap[self.place]) / total[self.place]
        held = self.per_group(w / total.sum())
        share = total / total.sum()
        return self.per_group(part), held - held.sum(axis=1, keepdims=True) * share


def grouped(rows: Binary, borders: FloatArray, sums: BinSums, groups: IntArray) -> Grouped:
    """Assign rows to the bins that remain after small bins are joined."""
    starts = merged_starts(sums.w, sums.w2)
    joined = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(sums.w))))
    return Grouped(rows, joined[assign(rows.p, borders)], groups, len(starts))


def normal_interval(
    norm: str, merged: list[BinSums], parts: list[Grouped], level: float, n_draws: int, seed: int
) -> Interval:
    """Return the interval with weights or groups, by normal noise of their covariance."""
    if not parts:
        covariance = _of_rows([_row_covariance(s) for s in merged])
        freedom = max(min(float(np.median(_worth_of(s))) for s in merged) - 1.0, 1.0)
    else:
        noise = [part.contributions() for part in parts]
        both = np.concatenate([a for a, _ in noise] + [a for _, a in noise], axis=1)
        # A group moves the gaps toward its own by its share of the weight.
        size = np.bincount(parts[0].groups, parts[0].w)
        both /= np.sqrt(1.0 - np.minimum(size / size.sum(), MOST_SHARE))[:, None]
        covariance = both.T @ both
        squares = size * size
        freedom = max(float(effective_count(squares.sum(), squares @ squares)) - 1.0, 1.0)
    w = np.concatenate([s.w for s in merged])
    score = np.concatenate([s.wp / s.w for s in merged])
    share = np.clip(np.concatenate([s.wy / s.w for s in merged]), 0.0, 1.0)
    n = np.concatenate([np.maximum(_worth_of(s), 1.0) for s in merged])
    rate = smoothed(share * n, n, score)
    # The noise of a bin with equal labels cannot be observed: it is computed from a rate.
    alike = (share <= 0.0) | (share >= 1.0)
    m = len(w)
    variance = np.diag(covariance)[:m].copy()
    missing = np.where(alike, np.maximum(rate * (1.0 - rate) / n - variance, 0.0), 0.0)
    covariance[np.arange(m), np.arange(m)] += missing
    # The bins of all problems share one total weight.
    covariance[m:] /= len(merged)
    covariance[:, m:] /= len(merged)
    bins = Bins(w / w.sum(), score - share, np.sqrt(variance + missing))
    sampler = Normal(bins.share, covariance, freedom, score, rate, n_draws, seed)
    # The covariance of groups includes that of the classes; the covariance of rows does not.
    inflate = SHARED if len(merged) > 1 and not parts else 1.0
    ends = invert(norm, bins, score, sampler, level, few=False, inflate=inflate)
    return Interval(*ends, RULES["error, groups" if parts else "error, weights"].method)


def _worth_of(sums: BinSums) -> FloatArray:
    """Return the effective number of rows of each bin."""
    return effective_count(sums.w, sums.squares()[0])


def _row_covariance(sums: BinSums) -> FloatArray:
    """Return the covariance of gaps and shares of independent rows, shape (2 bins, 2 bins).

    A row moves the gap of its own bin by e = w (d - gap) / W, and the shares by
    ``v (1_b - share)`` with v its share of all weight.
    """
    w2, w2p, w2y, _ = sums.squares()
    w, total, n_bins = sums.w, sums.w.sum(), len(sums.w)
    assert sums.w2dd is not None
    gap = (sums.wp - sums.wy) / w
    gaps = np.maximum(sums.w2dd - 2.0 * gap * (w2p - w2y) + gap * gap * w2, 0.0) / w / w
    both = (w2p - w2y - gap * w2) / w / total
    away = np.eye(n_bins) - w / total  # row b: how the rows of bin b move all shares
    out = np.empty((2 * n_bins, 2 * n_bins))
    out[:n_bins, :n_bins] = np.diag(gaps)
    out[:n_bins, n_bins:] = both[:, None] * away
    out[n_bins:, :n_bins] = out[:n_bins, n_bins:].T
    out[n_bins:, n_bins:] = away.T * (w2 / total / total) @ away
    return out


def _of_rows(parts: list[FloatArray]) -> FloatArray:
    """Return the covariance of all gaps, then all shares, of independent problems."""
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


def bin_worth(
    sums: BinSums, rows: Binary | None, borders: FloatArray, groups: IntArray | None, level: float
) -> FloatArray:
    """Return the effective number of rows of each filled bin.

    Weights: Kish's (sum w)^2 / sum w^2. Groups: the number of rows for which a binomial share has
    the observed variance, reduced if few groups show that variance (Korn and Graubard 1998). It is
    at least one and at most the number for the weights. In a bin with equal labels each group
    counts as one row.
    """
    filled = np.flatnonzero(sums.w > 0)
    n = _worth_of(sums)[filled]
    if groups is None or rows is None:
        return n
    place = np.searchsorted(filled, assign(rows.p, borders))
    part = Grouped(rows, place, groups, len(filled))
    share = np.clip(sums.wy[filled] / sums.w[filled], 0.0, 1.0)
    held = part.per_group(part.w / sums.w[filled][place])
    n_groups = effective_count(held.sum(axis=0), (held * held).sum(axis=0))
    moved = part.per_group(part.w * (rows.y - share[place]) / sums.w[filled][place])
    freedom = np.maximum(n_groups - 1.0, 1e-3)
    variance = (moved * moved).sum(axis=0) * n_groups / freedom
    labels = share * (1.0 - share)
    shown = np.divide(labels, variance, out=n_groups.copy(), where=(labels > 0) & (variance > 0))
    p = max((1.0 + level) / 2.0, 0.5 + 1e-6)
    few = (ndtri(p) / stdtrit(freedom, p)) ** 2
    return np.clip(np.where(labels > 0, shown * few, shown), 1.0, np.maximum(n, 1.0))


#: Cells on which labels are drawn for the null band. The variance inside a cell is below (1/64)^2
#: of the whole.
_N_NULL = 64

#: With more bins the simulation is too slow.
_MOST_BINS = 3000


class Measured(NamedTuple):
    """An error with its interval, and the errors that a calibrated model shows."""

    value: float
    low: float
    high: float
    settings: dict[str, Any]
    method: str
    band: Band
    p_value: float | None = None


class _Part(NamedTuple):
    """The parts of one problem."""

    raw: float
    sums: BinSums  # small bins joined
    rows: Grouped | None
    worth: FloatArray | None  # of each filled bin, for the largest gap
    null: FloatArray
    n_bins: int


def measure(
    problems: Iterable[tuple[ScoreTable, Binary]],
    settings: dict[str, Any],
    level: float,
    n_draws: int,
    rng: np.random.Generator,
    groups: IntArray | None,
) -> Measured:
    """Estimate the error of one problem, or the mean over the classes, by inverting a test.

    The null band alone decides whether the error is larger than a calibrated model shows: the
    interval begins above 0 if and only if the value lies above the band. If the inverted test then
    gives no lower end above 0, the triangle inequality does: the true error is at least the value
    less the noise, and the noise is at most ``null_high``.
    """
    norm = settings["norm"]
    noise = check_debias(settings["debias"], norm)
    seed = int(rng.integers(2**31))
    # Errors of the classes are dependent through groups, so all classes use the same draws.
    drawn = None if groups is None else int(rng.integers(2**31))
    plain, parts = True, []
    for table, rows in problems:
        plain = plain and table.plain
        own = rng if drawn is None else np.random.default_rng(drawn)
        parts.append(_part(table, rows, settings, noise, level, n_draws, own, groups))
    raw = np.array([part.raw for part in parts])
    value = combine(norm, raw)
    if norm == "max":
        ends = _largest_gap(parts, level)
    else:
        ends = _inverted(norm, parts, level, n_draws, seed, plain=plain and groups is None)
    band = null_band(_joined(norm, [part.null for part in parts], grouped=drawn is not None), level)
    assert band.high is not None
    low = max(min(ends.low, value), value - band.high) if value > band.high else 0.0
    high = max(min(ends.high, 1.0), value)
    shown = with_bins(settings, max(part.n_bins for part in parts))
    if noise is not None:
        shown["unclipped_square" if norm == "l2" else "unclipped"] = float(raw.mean())
    return Measured(value, low, high, shown, ends.method, band)


def with_bins(settings: dict[str, Any], used: int) -> dict[str, Any]:
    """Add the number of bins used and asked for; empty equal-width bins count too."""
    asked = settings["n_bins"]
    if settings["strategy"] == "unique":
        return {**settings, "n_bins": used}
    if "uniform" in settings["strategy"] and asked != "sweep":
        used = asked
    return {**settings, "n_bins": used, "n_bins_asked": asked}


def _part(
    table: ScoreTable,
    rows: Binary,
    settings: dict[str, Any],
    noise: str | None,
    level: float,
    n_draws: int,
    rng: np.random.Generator,
    groups: IntArray | None,
) -> _Part:
    norm, strategy, n_bins = settings["norm"], settings["strategy"], settings["n_bins"]
    raw = float(raw_errors([table], norm, strategy, n_bins, noise)[0])
    borders = table.borders(strategy, n_bins)
    sums = table.sums(borders, squares=True)
    if len(sums.w) > _MOST_BINS and norm != "max":
        _refuse_many(len(sums.w), strategy)
    cells = table.coarsen(_N_NULL, borders=borders, tails=False)
    own = None if groups is None else group_noise(table, cells, rows, groups)
    null = null_draws(cells, raw_kernel(cells, borders, norm, noise), n_draws, rng, own)
    filled = int(np.count_nonzero(sums.w))
    if norm == "max":
        filled_ones = (None if a is None else a[sums.w > 0] for a in sums)
        kept = BinSums(*filled_ones)  # type: ignore[arg-type]
        behind = bin_worth(sums, rows, borders, groups, level)
        return _Part(raw, kept, None, behind, null, filled)
    try:
        merged = merge_small(sums)
    except ValueError as error:
        raise InputError(
            f"{message_of(error)}, so there is no interval; expected at least two rows."
        ) from error
    of_groups = None if groups is None else grouped(rows, borders, sums, groups)
    return _Part(raw, merged, of_groups, None, null, filled if noise is None else len(merged.w))


def _refuse_many(most: int, strategy: str) -> None:
    what = "distinct scores" if strategy == "unique" else "bins"
    raise InputError(
        f"{most:,} {what}; expected at most {_MOST_BINS:,}, since every bin is simulated. Use "
        "fewer bins, or method='bootstrap', whose interval is unreliable if bins have few rows."
    )


def _inverted(
    norm: str, parts: list[_Part], level: float, n_draws: int, seed: int, *, plain: bool
) -> Interval:
    """Return the interval of one problem's error, or of the mean over the classes."""
    merged = [part.sums for part in parts]
    if not plain:
        of_groups = [part.rows for part in parts if part.rows is not None]
        return normal_interval(norm, merged, of_groups, level, n_draws, seed)
    sums = BinSums(*(np.concatenate([np.asarray(s[i]) for s in merged]) for i in range(5)))
    inflate = SHARED if len(parts) > 1 else 1.0
    return Interval(
        *of_sums(norm, sums, level, n_draws, seed, inflate=inflate), RULES["error"].method
    )


def _joined(norm: str, nulls: list[FloatArray], *, grouped: bool) -> FloatArray:
    """Combine the problems' errors for labels drawn from the scores."""
    total: FloatArray = np.max(nulls, axis=0) if norm == "max" else np.mean(nulls, axis=0)
    if len(nulls) > 1 and norm != "max" and not grouped:
        total = total.mean() + SHARED * (total - total.mean())
    total = np.maximum(total, 0.0)
    return np.sqrt(total) if norm == "l2" else total


def _largest_gap(parts: list[_Part], level: float) -> Interval:
    """Return bounds of the largest gap from simultaneous intervals of all bins."""
    w = np.concatenate([part.sums.w for part in parts])
    share = np.concatenate([part.sums.wy for part in parts]) / w
    mean = np.concatenate([part.sums.wp for part in parts]) / w
    rows = np.concatenate([part.worth for part in parts if part.worth is not None])
    low, high = simultaneous(np.clip(share, 0.0, 1.0), rows, level)
    outside = np.maximum(np.maximum(low - mean, mean - high), 0.0)
    farthest = np.maximum(np.abs(mean - low), np.abs(high - mean))
    return Interval(float(outside.max()), float(farthest.max()), RULES["largest"].method)
