"""The lowest threshold whose error is controlled, by tests in fixed sequences.

Thresholds are tested from high to low, each at the same alpha, until one fails: the first true
hypothesis of a sequence that was fixed beforehand is rejected with at most that probability. The
sequence must not begin where nothing can be proved, nor at a place that the data choose. It begins
at the upper q-quantile of the population's scores: a fixed place, unknown, but below the score of
rank ``first`` and above that of rank ``least`` except with small probabilities. So tests run from
rank ``first`` on, and what they show is used from rank ``least`` on.

Later sequences begin further down, for scores whose topmost rows are wrong too often: each at a
quantile of the scores below the start before it, and so always at another value, also where a few
values are all there are. Given how many rows lie at or above a start, those below it are
independent draws from the scores below, so ranks tell where the next start is as they tell of the
first. Sequences share alpha by the fallback procedure: one that reaches the next start hands its
alpha on to it, one that has failed does not.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr, bdtrc, bdtrik, betainccinv

from .._typing import FloatArray, IntArray
from .exact import at_most

#: Parts of a sequence's share of alpha for the two ways in which its start may be elsewhere than
#: its ranks say.
_START = 0.05
#: Rank of the first start, in units of the smallest number of accepted rows that proves anything:
#: an early start allows few to be accepted, a late one is not stopped by a few wrong at the top.
_FEWEST, _MOST = 1.1, 3.0
#: Ranks of the later starts as shares of the rows (the first start is not below the first of
#: them), where scores have no ties, and how alpha is shared out.
_LATER, _SHARES = (0.15, 0.3, 0.65), (0.5, 0.25, 0.125, 0.125)
#: With fewer rows than this many times the first rank there is one sequence: they prove little.
_ENOUGH = 6
#: Room for the rounding of a tail that was inverted.
_ROUND = 1.0 + 1e-6
#: Factors by which rows are multiplied to see how many are needed, up to about 10,000.
_STEP, _MOST_STEPS = 1.25, 42


class Sequence(NamedTuple):
    """Where a sequence of tests begins, and its own alpha."""

    first: int
    least: int
    alpha: float


def smallest_proof(max_error: float, alpha: float) -> int:
    """Accepted rows that are needed if none of them is wrong."""
    return int(np.ceil(np.log(alpha) / np.log1p(-max_error)))


def starts_of(n: int, max_error: float, alpha: float) -> list[tuple[float, float]]:
    """Where the sequences for n rows begin, and the share of alpha that each holds.

    The first begins at the upper q-quantile of all scores, each later one at that of the scores
    below the start before it: fixed places, whatever the rows are.
    """
    unit = smallest_proof(max_error, (1.0 - 2.0 * _START) * alpha)
    ranks = [int(min(max(_LATER[0] * n, np.ceil(_FEWEST * unit)), _MOST * unit))]
    if ranks[0] > n:
        return []
    for share in _LATER if n >= _ENOUGH * ranks[0] else ():
        if int(share * n) >= ranks[-1] + ranks[0]:
            ranks.append(int(share * n))
    own = [alpha * share / sum(_SHARES[: len(ranks)]) for share in _SHARES]
    # Without ties the first of a sequence's ranks is this one: P(Bin(., q) < rank) = tail.
    return [
        (float(betainccinv(rank - above, n - rank + 1.0, _START * share)), share)
        for rank, above, share in zip(ranks, [0, *ranks], own, strict=False)
    ]


def sequences_of(n: IntArray, max_error: float, alpha: float) -> list[Sequence]:
    """The sequences for rows of which ``n`` are accepted at each threshold, from high to low.

    None where the rows are too few.
    """
    rows, sequences = int(n[-1]), list[Sequence]()
    top = bottom = 0  # as many rows, at least and at most, lie at or above the start before
    for q, share in starts_of(rows, max_error, alpha):
        first = top + _lowest_rank(rows - top, q, _START * share)
        least = bottom + _highest_rank(rows - bottom, q, _START * share)
        sequences.append(Sequence(first, least, (1.0 - 2.0 * _START) * share))
        if least > rows:  # where the next would begin can't be told
            break
        # The same number where one value spans all ranks that the start may have.
        top, bottom = (int(n[np.searchsorted(n, rank)]) for rank in (first, least))
    return sequences


def _lowest_rank(n: int, q: float, tail: float) -> int:
    """The largest k with ``P(Bin(n, q) < k) <= tail``."""
    tail *= _ROUND
    k = _near(tail, n, q)
    while k < n and bdtr(k, n, q) <= tail:
        k += 1
    while k > 0 and bdtr(k - 1, n, q) > tail:
        k -= 1
    return k


def _highest_rank(n: int, q: float, tail: float) -> int:
    """The smallest k with ``P(Bin(n, q) >= k) <= tail``; n + 1 if there is none up to n."""
    k = _near(1.0 - tail, n, q) + 1
    while k <= n and bdtrc(k - 1, n, q) > tail:
        k += 1
    while k > 1 and bdtrc(k - 2, n, q) <= tail:
        k -= 1
    return k


def _near(p: float, n: int, q: float) -> int:
    """About the p-quantile of Bin(n, q)."""
    k = float(bdtrik(p, n, q)) if n > 0 else 0.0
    return min(n, int(np.ceil(k))) if k > 0 else 0


def alphas_from(n: IntArray, sequences: list[Sequence]) -> FloatArray:
    """Level at each threshold of a sequence that has not failed since the first of these."""
    alphas = np.full(len(n), sequences[0].alpha)
    for later in sequences[1:]:
        alphas[n >= later.least] += later.alpha
    return alphas


def last_passed(
    n: IntArray,
    wrong: IntArray,
    max_error: float,
    sequences: list[Sequence],
    passable: np.ndarray | None = None,
) -> tuple[int, float]:
    """Index of the lowest threshold that is controlled, or -1, and the alpha of its test.

    ``n`` and ``wrong`` count the accepted rows of each threshold, from high to low; where
    ``passable`` is False a sequence stops in any case.
    """
    stopped = wrong > max_error * n
    if passable is not None:
        stopped |= ~passable
    passed = -1, 0.0
    for i, sequence in enumerate(sequences):
        start = int(np.searchsorted(n, sequence.first))
        stops = np.flatnonzero(stopped[start:])
        rows = slice(start, start + int(stops[0]) if len(stops) else len(n))
        alphas = alphas_from(n[rows], sequences[i:])
        failed = np.flatnonzero(at_most(wrong[rows], n[rows], max_error) > alphas)
        last = (int(failed[0]) if len(failed) else len(alphas)) - 1
        if last >= 0 and n[start + last] >= sequence.least and start + last > passed[0]:
            passed = start + last, float(alphas[last])
    return passed


def rows_needed(
    n: IntArray, wrong: IntArray, max_error: float, alpha: float
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
        sequences = sequences_of(np.rint(factor * n).astype(np.int64), max_error, alpha)
        if not sequences:
            return -1
        more = np.rint(factor * n[some]).astype(np.int64)
        more_wrong = np.rint(factor * wrong[some]).astype(np.int64)
        excess = at_most(more_wrong, more, max_error) / alphas_from(more, sequences)
        excess[more < sequences[0].least] = np.inf
        best = int(np.argmin(excess))
        return int(some[best]) if excess[best] <= 1.0 else -1

    steps = bisect_left(range(_MOST_STEPS), True, key=lambda k: shown(k) >= 0)
    place = shown(steps)
    return None if place < 0 else (round(_STEP**steps * int(n[-1])), place)


def accepted_counts(values: FloatArray, wrong: IntArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Distinct values from high to low; the outputs at or above each, and the wrong among them."""
    order = np.argsort(-values)
    ordered = values[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return ordered[last], last + 1, np.cumsum(wrong[order], dtype=np.int64)[last]
