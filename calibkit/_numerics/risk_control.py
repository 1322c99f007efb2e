"""The lowest threshold whose error is controlled, by tests in fixed sequences.

Thresholds are tested from high to low, each at the same alpha, until one fails: the first true
hypothesis of a sequence that was fixed beforehand is rejected with at most that probability. The
sequence must not begin where nothing can be proved, nor at a place that the labeled rows choose. If
no start is known, it begins at the upper q-quantile of the population's scores: a fixed place,
unknown, but not above the threshold ``first`` and not below ``least`` except with small
probabilities. So tests run from ``first`` on, and what they show is used from ``least`` on.

Later sequences begin further down, for scores whose topmost rows are wrong too often: each at a
quantile of the scores below the start before it, and so always at another value, also where a few
values are all there are. Sequences share alpha by the fallback procedure: one that reaches the next
start hands its alpha on to it, one that has failed does not. With many rows, separate tests
(``Rows.separate``) have a part of alpha.

:class:`Rows` are independent: counts of wrong rows are binomial, and so are the ranks of a quantile
(given how many rows lie at or above a start, those below it are independent draws from the scores
below). :class:`Groups` are independent, their rows need not be: bets on the groups' totals of
``max_error - wrong`` test a threshold. Let a group have r rows, u of them at or above the start
before and v at or above a threshold. At the next start t the mean of v - u is a share q of that of
r - u or more, and strictly above t it is q or less. So bets that the mean of
``q * (r - u) - (v - u)`` is above 0 win at t with a small probability, and at all thresholds where
they win they win all the more above: t is not above the first threshold where they do not win.
Likewise t is not below the first threshold where the opposite bets win.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, NamedTuple

import numpy as np
from scipy.special import bdtr, bdtrc, bdtrik, betainccinv

from .._typing import FloatArray, IntArray
from .exact import at_most, upper_bound
from .totals import log_wealth, stakes, upper_rates

#: Parts of a sequence's share of alpha for the two ways in which its start may be elsewhere than
#: its ranks say.
_START = 0.05
#: Rank of the first start, in units of the smallest number of accepted rows that proves anything:
#: an early start allows few to be accepted, a late one is not stopped by a few wrong at the top.
_FEWEST, _MOST = 1.1, 3.0
#: Ranks of the later starts as shares of the rows (the first start is not below the first of
#: them), where scores have no ties, and how alpha is shared out.
_LATER, _SHARES = (0.15, 0.3, 0.65), (0.5, 0.25, 0.125, 0.125)
#: Bets on groups need so many times as many rows as a binomial test, about.
BETS = 1.5
#: With fewer rows than this many times the first rank there is one sequence: they prove little.
_ENOUGH = 6
#: With at least so many times the rows of the smallest proof, a part of alpha is for separate tests
#: at equally spaced ranks.
_MANY, _APART, _SEPARATE = 40, 0.4, 10
#: Room for the rounding of a tail that was inverted.
_ROUND = 1.0 + 1e-6
#: Factors by which rows are multiplied to see how many are needed, up to about 10,000.
_STEP, _MOST_STEPS = 1.25, 42


class Sequence(NamedTuple):
    """Places of the thresholds where tests begin and are used from on, and the sequence's alpha."""

    first: int
    least: int
    alpha: float


def smallest_proof(max_error: float, alpha: float) -> int:
    """Accepted rows that are needed if none of them is wrong."""
    return int(np.ceil(np.log(alpha) / np.log1p(-max_error)))


def start_ranks(n: int, max_error: float, alpha: float, times: float = 1.0) -> list[int]:
    """How many of n rows should lie at or above the start of each sequence; none for too few.

    The first is lower for tests that need so many ``times`` as many rows.
    """
    unit = times * smallest_proof(max_error, (1.0 - 2.0 * _START) * alpha)
    ranks = [int(min(max(times * _LATER[0] * n, np.ceil(_FEWEST * unit)), _MOST * unit))]
    if ranks[0] > n:
        return []
    for share in _LATER if n >= _ENOUGH * ranks[0] else ():
        if int(share * n) >= ranks[-1] + ranks[0]:
            ranks.append(int(share * n))
    return ranks


def shared_out(alpha: float, n: int) -> list[float]:
    """The alpha of each of n sequences."""
    return [alpha * share / sum(_SHARES[:n]) for share in _SHARES[:n]]


def starts_of(n: int, max_error: float, alpha: float) -> list[tuple[float, float]]:
    """Where the sequences for n rows begin, and the share of alpha that each holds.

    The first begins at the upper q-quantile of all scores, each later one at that of the scores
    below the start before it: fixed places, whatever the rows are.
    """
    ranks = start_ranks(n, max_error, alpha)
    # Without ties the first of a sequence's ranks is this one: P(Bin(., q) < rank) = tail.
    return [
        (float(betainccinv(rank - above, n - rank + 1.0, _START * share)), share)
        for rank, above, share in zip(
            ranks, [0, *ranks], shared_out(alpha, len(ranks)), strict=False
        )
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
        places = np.searchsorted(n, [first, least])
        sequences.append(Sequence(int(places[0]), int(places[1]), (1.0 - 2.0 * _START) * share))
        if least > rows:  # where the next would begin can't be told
            break
        # The same number where one value spans all ranks that the start may have.
        top, bottom = n[places].tolist()
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


class Rows:
    """Independent rows: how many each threshold accepts, from high to low, and what they prove."""

    def __init__(self, n: IntArray, wrong: IntArray, max_error: float, alpha: float) -> None:
        self.n, self.wrong, self.max_error, self.alpha = n, wrong, max_error, alpha

    def p_values(self, factor: float = 1.0, at: Any = slice(None)) -> FloatArray:
        """P-values of "the error is ``max_error`` or more", for so many times as many rows."""
        wrong, n = (np.rint(factor * v[at]).astype(np.int64) for v in (self.wrong, self.n))
        return at_most(wrong, n, self.max_error)

    def upper(self, place: int, tail: float) -> float:
        """Upper bound of the error at a threshold."""
        return float(upper_bound(self.wrong[place], self.n[place], tail))

    def most_promising(self) -> int:
        """Place of the threshold with the smallest bound."""
        bounds = upper_bound(self.wrong, self.n, self.alpha)
        return int(np.argmin(np.where(self.n > 0, bounds, 2.0)))

    def sequences(self, factor: float = 1.0) -> list[Sequence]:
        """The sequences if no start is known."""
        n = np.rint(factor * self.n).astype(np.int64)
        apart = _APART if self._many(int(n[-1])) else 0.0
        return sequences_of(n, self.max_error, (1.0 - apart) * self.alpha)

    def _many(self, n: int) -> bool:
        return n >= _MANY * smallest_proof(self.max_error, self.alpha)

    def separate(self) -> tuple[int, float]:
        """The lowest threshold that passes a separate test, or -1, and the alpha of the test.

        It accepts what is above the value of some rank. Given that value and how many rows are
        above it, these are independent draws from all that is above: no alpha is spent on where
        the value is. Where few are wrong only below some that are, sequences do not get there.
        """
        rows, level = int(self.n[-1]), _APART * self.alpha / _SEPARATE
        if not self._many(rows):
            return -1, level
        ranks = np.ceil(rows * np.arange(1, _SEPARATE + 1) / _SEPARATE)
        places = np.searchsorted(self.n, ranks) - 1
        passed = places[(places >= 0) & (self.p_values(at=places) <= level)]
        return int(passed.max(initial=-1)), level


class Groups(Rows):
    """Rows of independent groups: bets on the groups' totals.

    ``codes`` and ``is_wrong`` are those of the rows from the highest score to the lowest.
    """

    def __init__(self, rows: Rows, codes: IntArray, is_wrong: IntArray, size: int) -> None:
        super().__init__(rows.n, rows.wrong, rows.max_error, rows.alpha)
        self.codes, self.is_wrong, self.size = codes, is_wrong.astype(np.float64), size
        self.total = np.bincount(codes).astype(np.float64)
        seen = np.zeros(len(codes) + 1, dtype=np.int64)
        seen[np.unique(codes, return_index=True)[1] + 1] = 1
        self._n_groups = np.cumsum(seen)[self.n]

    def p_values(self, factor: float = 1.0, at: Any = slice(None)) -> FloatArray:
        n_groups = np.rint(factor * self._n_groups[at]).astype(np.int64)
        stake = stakes(n_groups, self.max_error, self.size, self.alpha)
        logs = log_wealth(self.codes, self.max_error - self.is_wrong, self.n[at], stake)
        return np.exp(-np.maximum(factor * logs, 0.0))

    def upper(self, place: int, tail: float) -> float:
        top = slice(self.n[place])
        accepted, wrong = (
            np.bincount(self.codes[top], each).astype(np.float64)
            for each in (None, self.is_wrong[top])
        )
        some = accepted > 0
        n_groups = np.array([np.count_nonzero(some)])

        def planned(rate: FloatArray) -> FloatArray:
            return stakes(n_groups, rate, self.size, self.alpha)

        cells = np.zeros(n_groups, dtype=np.int64)
        return float(upper_rates(wrong[some], accepted[some], cells, 1, tail, planned)[0])

    def most_promising(self) -> int:
        """Of up to 64 thresholds."""
        places = np.flatnonzero(self.n)
        some = places[np.unique(np.geomspace(1, len(places), 64).astype(np.int64)) - 1]
        return int(some[np.argmin([self.upper(i, self.alpha) for i in some])])

    def separate(self) -> tuple[int, float]:
        """None: ranks of dependent rows are not known as exactly."""
        return -1, self.alpha

    def sequences(self, factor: float = 1.0) -> list[Sequence]:
        n_groups, sequences = factor * len(self.total), list[Sequence]()
        ranks = start_ranks(int(n_groups), self.max_error, self.alpha, BETS)
        own = shared_out(self.alpha, len(ranks))
        first = least = -1
        for rank, above, alpha in zip(ranks, [0, *ranks], own, strict=False):
            q = (rank - above) / (n_groups - above)
            q += np.sqrt(-2.0 * np.log(_START * alpha) * q * (1.0 - q) / n_groups)
            if q >= 1.0:
                break
            # Below the next start's highest place, and from its lowest one on, bets win.
            won = self._won(first, -1.0, q, _START * alpha, factor)
            first += int(np.argmin(won)) if not won.all() else len(won)
            if first < 0:  # it may be above all rows
                break
            won = self._won(least, 1.0, q, _START * alpha, factor)
            least += int(np.argmax(won)) if won.any() else len(won)
            sequences.append(Sequence(first, least, (1.0 - 2.0 * _START) * alpha))
            if least >= len(self.n):
                break
        return sequences

    def _won(self, after: int, sign: float, q: float, tail: float, factor: float) -> np.ndarray:
        """Whether bets that more (or less) than a share q lies between two thresholds win.

        The first is that at place ``after``, or above all rows; the others are it and those below.
        """
        above = int(self.n[after]) if after >= 0 else 0
        below = self.total - np.bincount(self.codes[:above], minlength=len(self.total))
        rest = self.codes[above:]
        ends = np.append(0, self.n[after + 1 :] - above)
        n_groups = np.full(len(ends), round(factor * len(self.total)))
        stake = stakes(n_groups, q if sign < 0 else 1.0 - q, self.size, tail)
        x = np.full(len(rest), sign)
        logs = log_wealth(rest, x, ends, stake, -sign * q * below)
        return np.asarray(factor * logs >= -np.log(tail))


def alphas_from(n: int, sequences: list[Sequence]) -> FloatArray:
    """Level at each of n thresholds of a sequence that has not failed since the first of these."""
    alphas = np.full(n, sequences[0].alpha)
    for later in sequences[1:]:
        alphas[later.least :] += later.alpha
    return alphas


def last_passed(
    p_values: FloatArray, stopped: np.ndarray, sequences: list[Sequence]
) -> tuple[int, float]:
    """Place of the lowest threshold that is controlled, or -1, and the alpha of its test.

    Where ``stopped`` a sequence ends in any case.
    """
    passed = -1, 0.0
    for i, sequence in enumerate(sequences):
        alphas = alphas_from(len(p_values), sequences[i:])
        failed = np.flatnonzero((stopped | (p_values > alphas))[sequence.first :])
        last = sequence.first + int(failed[0]) - 1 if len(failed) else len(alphas) - 1
        if last >= max(sequence.first, sequence.least) and last > passed[0]:
            passed = last, float(alphas[last])
    return passed


def factor_needed(rows: Rows, known: list[Sequence] | None) -> tuple[float, int] | None:
    """About how many times as many rows would show that a threshold is controlled, and which.

    None if there is no threshold whose few wrong rows speak rather for it than against.
    """
    hopeful = np.flatnonzero((rows.p_values() <= 0.5) & (rows.wrong <= rows.max_error * rows.n))
    if not len(hopeful):
        return None
    some = hopeful[np.unique(np.geomspace(1, len(hopeful), 64).astype(np.int64)) - 1]

    def shown(steps: int) -> int:
        sequences = rows.sequences(_STEP**steps) if known is None else known
        if not sequences:
            return -1
        alphas = alphas_from(len(rows.n), sequences)[some]
        excess = rows.p_values(_STEP**steps, some) / alphas
        excess[some < sequences[0].least] = np.inf
        best = int(np.argmin(excess))
        return int(some[best]) if excess[best] <= 1.0 else -1

    steps = bisect_left(range(_MOST_STEPS), True, key=lambda k: shown(k) >= 0)
    place = shown(steps)
    return None if place < 0 else (_STEP**steps, place)


def factor_to_pass(rows: Rows, place: int, level: float) -> float:
    """About how many times as many rows a threshold needs to pass by itself; NaN if too many."""
    tried = (_STEP**k for k in range(_MOST_STEPS))
    return next((f for f in tried if rows.p_values(f, np.array([place]))[0] <= level), np.nan)


def accepted_counts(
    values: FloatArray, wrong: IntArray, tested: FloatArray | None = None
) -> tuple[FloatArray, IntArray, IntArray]:
    """Thresholds, all values or those given; the rows at or above each, the wrong among them.

    Everything is in order from the highest value to the lowest.
    """
    if tested is None:
        tested = values[np.append(np.diff(values) != 0, True)]
    n = np.searchsorted(-values, -tested, side="right")
    return tested, n, np.append(0, np.cumsum(wrong, dtype=np.int64))[n]
