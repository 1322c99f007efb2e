"""Bounds of calibration errors from independent groups, whose rows may depend on each other.

The rate of an output is E[events of a group] / E[rows of a group], over its rows with that output,
and a mean over rows is a ratio of such means too. All bounds are bets on group totals (`totals`),
so all that is needed is that groups are independent draws and not larger than ``size``.

The mean gap (l1) is the mean of ``sign_b (value_b - y)`` for the one pattern of signs that the
true gaps have. It is unknown but fixed, so the largest of the bounds of all patterns is valid, with
no loss for their number.
"""

from __future__ import annotations

from math import comb, exp, log
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from .._typing import FloatArray, IntArray
from .totals import log_mean, upper_rates

#: Shares of the failure probability: of the rates; of the bounds of l1 and of l2 above; of those
#: of l1 and l2 below (from the rates, and from signs); and of the outputs that do not occur.
_RATES, _ABOVE, _BELOW, _UNSEEN = 0.5, (0.2, 0.1), (0.04, 0.02), 0.1
#: All patterns of signs are tried if they have at most this many totals.
_MOST_TOTALS = 1 << 20
#: Stakes in units of the best one if rows of a group are alike and their rate is 1/2. Groups whose
#: rows differ, or of rare events, allow more, up to nearly what a group can lose.
_STAKES, _MOST = (1.0, 2.0, 4.0, 1e9), 0.999
_HALVINGS = 30


class GroupBounds(NamedTuple):
    """What independent groups say of the outputs' rates and of the mean gaps."""

    low: FloatArray
    high: FloatArray
    l1: tuple[float, float]
    l2: tuple[float, float]
    max: tuple[float, float]
    unseen: float


class GroupCounts(NamedTuple):
    """Rows and events of each group with each output that it has (``groups``, ``cells``)."""

    value: FloatArray
    groups: IntArray
    cells: IntArray
    rows: FloatArray
    events: FloatArray

    def sums(self, each: FloatArray) -> FloatArray:
        """Totals of the groups."""
        return np.bincount(self.groups, each).astype(np.float64)


def group_counts(value: FloatArray, cells: IntArray, y: IntArray, groups: IntArray) -> GroupCounts:
    """Counts of groups 0, 1, ... from the output and the label of each row."""
    keys, at = np.unique(groups.astype(np.int64) * len(value) + cells, return_inverse=True)
    rows, events = (np.bincount(at, each).astype(np.float64) for each in (None, y))
    return GroupCounts(value, keys // len(value), keys % len(value), rows, events)


def group_bounds(
    counts: GroupCounts, size: int, failure: float, n_outputs: int | None, seed: int
) -> GroupBounds:
    """Bounds that hold together, but for this probability; no group has more than ``size`` rows."""
    value, _, cells, rows, events = counts
    n_cells = len(value)
    tail = 0.5 * failure * _RATES / max(n_cells, n_outputs or 0)
    low, high = rate_bounds(events, rows, cells, n_cells, size, tail)
    least = np.maximum(np.maximum(low - value, value - high), 0.0)
    most = np.maximum(np.abs(value - low), np.abs(high - value))
    largest, m = float(most.max()), counts.sums(rows)

    def below(power: int) -> float:
        totals = counts.sums(rows * least[cells] ** power)[None]
        return max(0.0, least_mean(totals, m, 0.0, size, failure * _BELOW[0])) ** (1.0 / power)

    # Totals of ``value - y``.
    gaps = csr_array((rows * value[cells] - events, (cells, counts.groups)))
    l1 = min(_mean_gap(gaps, m, size, failure * _ABOVE[0]), largest)
    # A mean of squared gaps that are below ``scale``; which one is not known beforehand.
    halvings = int(-np.log2(max(largest, 1e-3)) * 2.0)
    scale, tail = 0.5**halvings, failure * _ABOVE[1] * 0.5 ** (halvings + 1)
    totals = scale * m - counts.sums(rows * most[cells] ** 2)
    squares = scale - least_mean(totals[None], m, 0.0, size, tail)
    l2 = float(np.sqrt(min(squares, l1 * largest)))
    unseen = _unseen(counts, m, size, failure * _UNSEEN, n_outputs, seed)
    l1_low = max(below(1), _some_gap(gaps, m, size, failure * _BELOW[1]))
    l2_low = max(below(2), l1_low)
    ends = (l1_low, l1), (l2_low, l2), (float(least.max()), largest)
    return GroupBounds(low, high, *ends, unseen)


def _stakes(n_groups: IntArray | int, tail: float, scale: FloatArray | float = 2.0) -> FloatArray:
    """Parts of what a bet can lose; a mixture of bets with these is a bet."""
    alike = scale * np.sqrt(-2.0 * np.log(tail) / np.maximum(n_groups, 1))
    return np.minimum(np.multiply.outer(_STAKES, alike), _MOST)


def rate_bounds(
    events: FloatArray, rows: FloatArray, cells: IntArray, n_cells: int, size: int, tail: float
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper bounds of the rates of cells, each missed with at most this probability."""
    both = np.append(rows - events, events), np.tile(rows, 2), np.append(cells, cells + n_cells)
    n_groups = np.bincount(both[2], minlength=2 * n_cells)

    def stakes(rate: FloatArray) -> FloatArray:
        others = np.maximum(1.0 - rate, 1e-300)
        return _stakes(n_groups, tail, np.sqrt(others / rate)) / (size * others)

    others, high = np.split(upper_rates(*both, 2 * n_cells, tail, stakes), 2)
    return 1.0 - others, high


def least_mean(totals: FloatArray, rows: FloatArray, floor: float, size: int, tail: float) -> float:
    """The least of the lower bounds of E[total] / E[rows], one for each row of ``totals``.

    No total is below ``-floor`` times the rows of its group.
    """
    stakes = _stakes(len(rows), tail)
    low, high = -floor, float(totals.sum(axis=1).min() / rows.sum())
    if high <= low:
        return low
    for _ in range(_HALVINGS):
        mean = 0.5 * (low + high)
        x = (totals - mean * rows) / (size * max(floor + mean, 1e-300))
        logs = log_mean(np.log1p(np.multiply.outer(stakes, x)).sum(axis=2))
        refuted = logs >= -np.log(tail)
        # The others have a lower bound already.
        totals = totals if refuted.all() else totals[~refuted]
        low, high = (mean, high) if refuted.all() else (low, mean)
    return low


def _some_gap(gaps: csr_array, m: FloatArray, size: int, tail: float) -> float:
    """Lower bound of l1: that of the pattern of signs seen, out of all patterns."""
    totals = np.where(gaps.sum(axis=1) < 0, -1.0, 1.0) @ gaps
    return least_mean(totals[None], m, 1.0, size, tail * 0.5 ** gaps.shape[0])


def _mean_gap(gaps: csr_array, m: FloatArray, size: int, tail: float) -> float:
    """Upper bound of l1: the largest of the bounds of all patterns of signs."""
    n_cells = gaps.shape[0]
    if 2.0**n_cells * len(m) > _MOST_TOTALS:
        return _mean_gap_of_many(gaps, m, size, tail)
    bits = np.arange(1 << n_cells)[:, None] >> np.arange(n_cells)
    return 1.0 - least_mean(m - (1.0 - 2.0 * (bits & 1)) @ gaps, m, 0.0, size, tail)


def _mean_gap_of_many(gaps: csr_array, m: FloatArray, size: int, tail: float) -> float:
    """The same for too many patterns, by bounds of their totals.

    ``log(1 + x) >= x - k x^2`` for x above -f, with ``k = (-log(1 - f) - f) / f^2``. The sum of the
    squares of ``mean * rows - sum_b sign_b gap_b`` is a quadratic form of the signs. With each sign
    scaled by the root of its own square it is at most the sum of these roots' squares times the
    largest eigenvalue of what remains.
    """
    sums, squares = np.abs(gaps.sum(axis=1)).sum(), (gaps @ gaps.T).toarray()
    own = np.sqrt(np.diag(squares))
    scaled = squares / np.outer(*[np.where(own > 0, own, 1.0)] * 2)
    form = min(np.trace(squares) * np.linalg.eigvalsh(scaled)[-1], np.abs(squares).sum())
    cross, worst, n = np.abs(gaps @ m).sum(), abs(gaps).sum(axis=0), m.sum()

    low, high = float(sums / n), 1.0
    for _ in range(_HALVINGS):
        mean = 0.5 * (low + high)
        s = _stakes(len(m), tail) / (size * (1.0 - mean))
        f = np.clip(s * (worst - mean * m).max(), 1e-3, 1.0 - 1e-9)
        k = (-np.log1p(-f) - f) / f**2
        logs = s * (mean * n - sums) - k * s**2 * (mean**2 * (m @ m) + 2.0 * mean * cross + form)
        refuted = log_mean(logs) >= -np.log(tail)
        low, high = (low, mean) if refuted else (mean, high)
    return high


def _unseen(
    counts: GroupCounts,
    m: FloatArray,
    size: int,
    failure: float,
    n_outputs: int | None,
    seed: int,
) -> float:
    """Upper bound of the share of rows with outputs that do not occur in these groups.

    If the number of outputs is known, so is the number of sets that may be missing. Otherwise the
    groups are split at random into halves: which outputs are missing in one is known beforehand
    for the other.
    """
    if n_outputs is not None:
        missing = n_outputs - len(counts.value)
        if missing <= 0:
            return 0.0
        new, tail = np.zeros_like(m), exp(log(failure) - log(comb(n_outputs, missing)))
        if tail < 1e-300:
            return 1.0
    else:
        half = np.random.default_rng(seed).random(len(m)) < 0.5
        known = np.bincount(counts.cells, half[counts.groups], len(counts.value)) > 0
        new, tail = counts.sums(counts.rows * ~known[counts.cells])[~half], failure
        m = m[~half]
    return float(rate_bounds(new, m, np.zeros(len(m), int), 1, size, tail)[1][0])
