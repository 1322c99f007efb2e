"""Bets on the means of bounded totals of independent groups; rows of one group may be dependent.

Let x be a group's total and ``-loss`` the least that it can be. For each stake s in [0, 1 / loss],
``1 + s * x`` is at least 0 and, where the mean of x is at most 0, has a mean of at most 1. So has
the product over independent groups, and a mixture of such products over stakes that are fixed
beforehand. By Markov's inequality it reaches 1 / tail with a probability of at most ``tail``,
whatever the laws of the groups are. Neither the order of rows nor a seed matters.

``size`` is the largest number of rows that a group can have. Groups of one row need no bets: their
counts are binomial.
"""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray, IntArray
from .exact import clopper_pearson

#: Stakes as fractions of the largest one. With 1 itself one group could take all.
STAKES = np.append(0.999, 2.0 ** -np.arange(0.5, 7.1, 0.5))
#: Halvings of an interval of rates.
_HALVINGS = 40


def log_mean(logs: FloatArray) -> FloatArray:
    """Logarithm of the mean wealth, along the first axis."""
    most = logs.max(axis=0)
    out: FloatArray = most + np.log(np.exp(logs - most).mean(axis=0))
    return out


def log_wealth(
    groups: IntArray, x: FloatArray, ends: IntArray, loss: float, stakes: FloatArray = STAKES
) -> FloatArray:
    """Logarithm of the wealth by bets on the totals of x in the first ``ends`` rows.

    The p-value of "the mean total is at most 0" is ``exp(-log_wealth)``, or 1 if that is less.
    Time O(n log n) for n rows: each row changes the total of one group.
    """
    order = np.argsort(groups, kind="stable")
    sums = np.cumsum(x[order])
    first = np.flatnonzero(np.diff(groups[order], prepend=-1))
    before = np.append(0.0, sums)[first]
    size = np.diff(np.append(first, len(groups)))
    after, own = np.empty((2, len(groups)))
    after[order] = sums - np.repeat(before, size)
    own[order] = sums - x[order] - np.repeat(before, size)
    logs = [
        np.cumsum(np.log1p(s / loss * after) - np.log1p(s / loss * own))[ends - 1] for s in stakes
    ]
    return log_mean(np.array(logs))


def ratio_bounds(
    events: FloatArray, rows: FloatArray, cells: IntArray, n_cells: int, size: int, tail: float
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper bounds of each cell's rate E[events of a group] / E[rows of a group].

    ``events`` and ``rows`` have an entry for each group that has rows in a cell, and ``cells`` says
    in which. Each bound is exceeded with a probability of at most ``tail``.
    """
    return (
        1.0 - _upper(rows - events, rows, cells, n_cells, size, tail),
        _upper(events, rows, cells, n_cells, size, tail),
    )


def _upper(
    events: FloatArray, rows: FloatArray, cells: IntArray, n_cells: int, size: int, tail: float
) -> FloatArray:
    """The lowest rates that are refuted, with all above them.

    For the rate r, x is ``r * rows - events`` and the loss is ``size * (1 - r)``. Their ratio rises
    with r, so the wealth of each fraction does.
    """
    happened, n = (np.bincount(cells, v, n_cells).astype(np.float64) for v in (events, rows))
    share = np.where(n > 0, happened / np.maximum(n, 1.0), 1.0)
    if size == 1:
        return clopper_pearson(share, n, 1.0 - 2.0 * tail)[1]
    # At the share itself the totals sum to 0, and no stake has gained.
    inside, outside = share, np.ones(n_cells)
    for _ in range(_HALVINGS):
        middle = 0.5 * (inside + outside)
        rate = middle[cells]
        most = (rate * rows - events) / (size * np.maximum(1.0 - rate, 1e-300))
        logs = [np.bincount(cells, np.log1p(s * most), n_cells) for s in STAKES]
        refuted = log_mean(np.array(logs)) >= -np.log(tail)
        inside, outside = np.where(refuted, inside, middle), np.where(refuted, middle, outside)
    return outside
