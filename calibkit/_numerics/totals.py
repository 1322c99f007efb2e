"""Bets on the means of bounded totals of independent groups; rows of one group may be dependent.

Groups are independent draws from one population. Let x be a group's total and ``-loss`` the least
that it can be. For each stake s in [0, 1 / loss], ``1 + s * x`` is at least 0 and, where the mean
of x is at most 0, has a mean of at most 1. So has the product over groups. By Markov's inequality
it reaches 1 / tail with a probability of at most ``tail``, whatever the laws of the groups are.
Neither the order of rows nor a seed matters.

Only groups that have rows at all take part (x is 0 without). Which ones do may decide the stake:
among them the mean of x has the same sign as among all groups. Sizes and labels must not.

``size`` is the largest number of rows that a group can have.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._typing import FloatArray, IntArray

#: Stake in units of the best one for many groups of full size whose rows are all alike. Smaller
#: groups, and groups whose rows differ, vary less and allow more.
_BOLD = 2.0
#: Part of its wealth that a bet can lose by one group, at most.
_MOST = 0.9999
#: Halvings of an interval of rates.
_HALVINGS = 40


def stakes(n_groups: IntArray, rate: FloatArray | float, size: int, tail: float) -> FloatArray:
    """Stakes on ``rate * rows - events`` of a group, if so many groups have rows.

    They are tanh(a) of the largest one, where a falls as the root of the number of groups. Of that
    number only the nearest power of the root of two counts, so that few stakes are needed.
    """
    n = 2.0 ** (0.5 * np.rint(2.0 * np.log2(np.maximum(n_groups, 1))))
    odds = np.maximum(1.0 - rate, 1e-300) / np.maximum(rate, 1e-300)
    part = np.tanh(_BOLD * np.sqrt(-2.0 * np.log(tail) * odds / n))
    out: FloatArray = _MOST * part / (size * np.maximum(1.0 - rate, 1e-300))
    return out


def log_wealth(
    groups: IntArray,
    x: FloatArray,
    ends: IntArray,
    stake: FloatArray,
    base: FloatArray | None = None,
) -> FloatArray:
    """Logarithm of the wealth by bets on the totals of x in the first ``ends`` rows.

    Each end has its stake; ``base`` is what is added to the totals of the groups. The p-value of
    "the mean total is at most 0" is ``exp(-log_wealth)``, or 1 if that is less. Each row changes
    the total of one group: time O(n log n), and O(n) for each distinct stake.
    """
    order = np.argsort(groups, kind="stable")
    first = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sums = np.append(0.0, np.cumsum(x[order]))
    start = sums[first] - (0.0 if base is None else base[groups[order][first]])
    start = np.repeat(start, np.diff(np.append(first, len(groups))))
    before, after = np.empty((2, len(groups)))
    before[order], after[order] = sums[:-1] - start, sums[1:] - start
    out = np.empty(len(ends))
    for s in np.unique(stake):
        at = np.flatnonzero(stake == s)
        rows = slice(ends[at].max())
        steps = np.log1p(s * after[rows]) - np.log1p(s * before[rows])
        out[at] = np.append(0.0, np.cumsum(steps))[ends[at]]
        out[at] += 0.0 if base is None else np.log1p(s * base).sum()
    return out


def log_mean(logs: FloatArray) -> FloatArray:
    """Logarithm of the mean wealth, along the first axis."""
    most = logs.max(axis=0)
    out: FloatArray = most + np.log(np.exp(logs - most).sum(axis=0) / len(logs))
    return out


def upper_rates(
    events: FloatArray,
    rows: FloatArray,
    cells: IntArray,
    n_cells: int,
    tail: float,
    stakes_on: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Rates of cells that are exceeded with a probability of at most ``tail`` each.

    There is an entry for each group that has rows in a cell. ``stakes_on`` gives the stakes on the
    rates of the cells; several rows of them are mixed, as a mean of bets is a bet.

    All rates above these are refuted too: with the rate r, r * rows - events times the stake rises.
    For a stake that rises as 1 / (1 - r) the slope has the sign of ``rows - events``, for one that
    falls as 1 / sqrt(r (1 - r)) that of ``r * (rows - events) + (1 - r) * events``, and the smaller
    of the two, or tanh, which is concave, is between them.
    """
    happened, n = (np.bincount(cells, v, n_cells).astype(np.float64) for v in (events, rows))
    share = np.where(n > 0, happened / np.maximum(n, 1.0), 1.0)
    # At the share itself the totals sum to 0, and no stake has gained.
    inside, outside = share, np.ones(n_cells)
    for _ in range(_HALVINGS):
        rate = 0.5 * (inside + outside)
        x = rate[cells] * rows - events
        gains = [np.maximum(s[cells] * x, -_MOST) for s in np.atleast_2d(stakes_on(rate))]
        logs = np.array([np.bincount(cells, np.log1p(gain), n_cells) for gain in gains])
        refuted = log_mean(logs) >= -np.log(tail)
        inside, outside = np.where(refuted, inside, rate), np.where(refuted, rate, outside)
    return outside
