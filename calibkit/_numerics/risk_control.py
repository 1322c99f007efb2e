"""The lowest threshold whose error is controlled, by tests in fixed sequences.

Thresholds are tested from high to low, each at the same level, until one fails: the first true
hypothesis of a sequence that was fixed beforehand is rejected with at most that probability. The
sequence must not begin where nothing can be proved, nor at a place that the data choose. It begins
at the upper q-quantile of the population's scores: a fixed place, unknown, but below the score of
rank ``first`` and above that of rank ``least`` except with small probabilities. So tests run from
rank ``first`` on, and what they show is used from rank ``least`` on.

A second and a third sequence begin further down, for scores whose topmost rows are wrong too often.
They share delta by the fallback procedure: a sequence that reaches the next start hands its level
on to it, one that has failed does not.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
from scipy.special import bdtrc, betainccinv

from .exact import at_most
from .links import FloatArray, IntArray

#: Parts of a sequence's share of delta for the two ways in which its start may be elsewhere than
#: its ranks say.
_START = 0.05
#: Rank of the first start, in units of the smallest number of accepted rows that proves anything:
#: an early start allows few to be accepted, a late one is not stopped by a few wrong at the top.
_FEWEST, _MOST = 1.1, 3.0
#: Ranks of the later starts as shares of the rows (the first start is not below the first of
#: them), and how delta is shared out.
_LATER, _SHARES = (0.15, 0.45), (0.5, 0.25, 0.25)
#: Factors by which rows are multiplied to see how many are needed, up to about 10,000.
_STEP, _MOST_STEPS = 1.25, 42


class Sequence(NamedTuple):
    """Where a sequence of tests begins, and its own level."""

    first: int
    least: int
    level: float


def smallest_proof(max_error: float, level: float) -> int:
    """Accepted rows that are needed if none of them is wrong."""
    return int(np.ceil(np.log(level) / np.log1p(-max_error)))


def sequences_of(n: int, max_error: float, delta: float) -> list[Sequence]:
    """The sequences for n rows; none where these are too few."""
    unit = smallest_proof(max_error, (1.0 - 2.0 * _START) * delta)
    firsts = [int(np.clip(_LATER[0] * n, np.ceil(_FEWEST * unit), _MOST * unit))]
    if firsts[0] > n:
        return []
    for share in _LATER:
        if int(share * n) >= 2 * firsts[-1]:
            firsts.append(int(share * n))
    shares = delta * np.array(_SHARES[: len(firsts)]) / sum(_SHARES[: len(firsts)])
    return [_sequence(n, first, float(share)) for first, share in zip(firsts, shares, strict=True)]


def _sequence(n: int, first: int, delta: float) -> Sequence:
    tail = _START * delta
    # P(Bin(n, q) < first) = tail, and P(Bin(n, q) >= least) <= tail.
    q = betainccinv(first, n - first + 1.0, tail)
    ranks = range(first, n + 1)
    least = first + bisect_left(ranks, True, key=lambda k: bool(bdtrc(k - 1, n, q) <= tail))
    return Sequence(first, least, (1.0 - 2.0 * _START) * delta)


def levels_from(n: IntArray, sequences: list[Sequence]) -> FloatArray:
    """Level at each threshold of a sequence that has not failed since the first of these."""
    levels = np.full(len(n), sequences[0].level)
    for later in sequences[1:]:
        levels[n >= later.least] += later.level
    return levels


def last_passed(
    n: IntArray,
    wrong: IntArray,
    max_error: float,
    sequences: list[Sequence],
    passable: np.ndarray | None = None,
) -> tuple[int, float]:
    """Index of the lowest threshold that is controlled, or -1, and the level of its test.

    ``n`` and ``wrong`` count the accepted rows of each threshold, from high to low; where
    ``passable`` is False a sequence stops in any case.
    """
    stopped = wrong > max_error * n
    if passable is not None:
        stopped |= ~passable
    found = -1, 0.0
    for i, sequence in enumerate(sequences):
        start = int(np.searchsorted(n, sequence.first))
        stops = np.flatnonzero(stopped[start:])
        rows = slice(start, start + int(stops[0]) if len(stops) else len(n))
        levels = levels_from(n[rows], sequences[i:])
        failed = np.flatnonzero(at_most(wrong[rows], n[rows], max_error) > levels)
        last = (int(failed[0]) if len(failed) else len(levels)) - 1
        if last >= 0 and n[start + last] >= sequence.least and start + last > found[0]:
            found = start + last, float(levels[last])
    return found


def rows_needed(
    n_rows: int, n: IntArray, wrong: IntArray, max_error: float, delta: float
) -> tuple[int, int] | None:
    """About how many rows like these would show that a threshold is controlled, and which.

    None if there is no threshold whose few wrong rows speak rather for it than against.
    """
    hopeful = np.flatnonzero(at_most(wrong, n, max_error) <= 0.5)
    if not len(hopeful):
        return None
    some = hopeful[np.unique(np.geomspace(1, len(hopeful), 64).astype(np.int64)) - 1]

    def shown(steps: int) -> int:
        factor = _STEP**steps
        sequences = sequences_of(round(factor * n_rows), max_error, delta)
        if not sequences:
            return -1
        more = np.rint(factor * n[some]).astype(np.int64)
        more_wrong = np.rint(factor * wrong[some]).astype(np.int64)
        excess = at_most(more_wrong, more, max_error) / levels_from(more, sequences)
        excess[more < sequences[0].least] = np.inf
        best = int(np.argmin(excess))
        return int(some[best]) if excess[best] <= 1.0 else -1

    steps = bisect_left(range(_MOST_STEPS), True, key=lambda k: shown(k) >= 0)
    place = shown(steps)
    return None if place < 0 else (round(_STEP**steps * n_rows), place)


def accepted_counts(values: FloatArray, wrong: IntArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Distinct values from high to low; the outputs at or above each, and the wrong among them."""
    order = np.argsort(-values)
    ordered = values[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return ordered[last], last + 1, np.cumsum(wrong[order], dtype=np.int64)[last]
