"""The lowest threshold whose error is controlled, by tests in a fixed sequence.

Thresholds are tested from high to low, each at the same level, until one fails: the first true
hypothesis of a sequence that was fixed beforehand is rejected with at most that probability. The
sequence must not begin where nothing can be proved, nor at a place that the data choose. It begins
at the upper q-quantile of the population's scores: a fixed place, unknown, but above the score of
rank ``first`` and below that of rank ``least`` only with small probabilities. So tests run from
rank ``first`` on, and what they show is used from rank ``least`` on.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
from scipy.special import bdtrc, betainccinv

from .exact import at_most
from .links import IntArray

#: Parts of delta for the two ways in which the start may be elsewhere than its ranks say.
_START = 0.05
#: Ranks of the start, in units of the smallest number of accepted rows that proves anything, and
#: as a share of all rows: an early start allows few to be accepted, a late one is not stopped by
#: a few wrong rows at the top.
_FEWEST, _MOST, _SHARE = 1.1, 3.0, 0.15

#: Factors by which rows are multiplied to see how many are needed, up to about 10,000.
_STEP, _MOST_STEPS = 1.25, 42


class Sequence(NamedTuple):
    """Where a sequence of tests begins, and their level."""

    first: int
    least: int
    level: float


def smallest_proof(max_error: float, level: float) -> int:
    """Accepted rows that are needed if none of them is wrong."""
    return int(np.ceil(np.log(level) / np.log1p(-max_error)))


def sequence_of(n: int, max_error: float, delta: float) -> Sequence:
    """The sequence for n rows; ``least`` is above n where these are too few."""
    level, tail = (1.0 - 2.0 * _START) * delta, _START * delta
    unit = smallest_proof(max_error, level)
    first = int(np.clip(_SHARE * n, np.ceil(_FEWEST * unit), _MOST * unit))
    if first > n:
        return Sequence(first, first, level)
    # P(Bin(n, q) < first) = tail, and P(Bin(n, q) >= least) <= tail.
    q = betainccinv(first, n - first + 1.0, tail)
    above = range(first, n + 1)
    steps = bisect_left(above, True, key=lambda k: bool(bdtrc(k - 1, n, q) <= tail))
    return Sequence(first, first + steps, level)


def last_passed(
    n: IntArray,
    wrong: IntArray,
    max_error: float,
    sequence: Sequence,
    passable: np.ndarray | None = None,
) -> int:
    """Index of the lowest threshold that is controlled, or -1.

    ``n`` and ``wrong`` count the accepted rows of each threshold, from high to low; where
    ``passable`` is False the sequence stops in any case.
    """
    start = int(np.searchsorted(n, sequence.first))
    stopped = wrong[start:] > max_error * n[start:]
    if passable is not None:
        stopped |= ~passable[start:]
    stops = np.flatnonzero(stopped)
    end = start + int(stops[0]) if len(stops) else len(n)
    failed = np.flatnonzero(at_most(wrong[start:end], n[start:end], max_error) > sequence.level)
    last = (start + int(failed[0]) if len(failed) else end) - 1
    return last if last >= start and n[last] >= sequence.least else -1


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
        sequence = sequence_of(round(factor * n_rows), max_error, delta)
        more, more_wrong = np.rint(factor * n[some]), np.rint(factor * wrong[some])
        tail = at_most(more_wrong.astype(int), more.astype(int), max_error)
        tail[more < sequence.least] = 1.0
        best = int(np.argmin(tail))
        return int(some[best]) if tail[best] <= sequence.level else -1

    steps = bisect_left(range(_MOST_STEPS), True, key=lambda k: shown(k) >= 0)
    place = shown(steps)
    return None if place < 0 else (round(_STEP**steps * n_rows), place)
