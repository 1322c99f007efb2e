"""Exact intervals of binomial shares."""

from __future__ import annotations

import numpy as np
from scipy.special import bdtr, betainc, betaincinv, ndtri

from .._typing import FloatArray, IntArray


def clopper_pearson(
    share: FloatArray, n: FloatArray, level: float | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Exact interval of a binomial share; n need not be whole."""
    events, tail = np.clip(share, 0.0, 1.0) * n, (1.0 - level) / 2.0
    others = n - events
    some, more = events > 0, others > 0
    low = np.where(some, betaincinv(np.where(some, events, 1.0), others + 1.0, tail), 0.0)
    high = np.where(more, betaincinv(events + 1.0, np.where(more, others, 1.0), 1.0 - tail), 1.0)
    return low, high


def simultaneous(share: FloatArray, n: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Exact intervals that hold for all shares at once, by Bonferroni's inequality."""
    return clopper_pearson(share, n, 1.0 - (1.0 - level) / max(len(share), 1))


def at_most(events: IntArray | int, n: IntArray | int, rate: float) -> FloatArray:
    """P(Bin(n, rate) <= events): the exact p-value of "the rate is ``rate`` or more"."""
    return bdtr(events, n, rate)


def binomial_grid(n: int, rate: float, size: int, start: float) -> FloatArray:
    """``size`` numbers in ascending order that are distributed as Bin(n, rate), evenly spread.

    They are the quantiles of a grid with this start in (0, 1): those of a larger rate are nowhere
    smaller. A second-order expansion (Cornish and Fisher 1938) replaces wide distributions.
    """
    mean, sd = n * rate, np.sqrt(n * rate * (1.0 - rate))
    if sd > 20.0:
        z = ndtri((np.arange(size) + start) / size)
        return np.clip(np.rint(mean + sd * z + (1.0 - 2.0 * rate) * (z * z - 1.0) / 6.0), 0.0, n)
    low, high = max(mean - 9.0 * sd - 9.0, 0.0), min(mean + 9.0 * sd + 40.0, n)
    k = np.arange(int(low), int(high) + 1)
    below = np.floor((1.0 - betainc(k + 1, n - k, rate)) * size + (1.0 - start))
    below[-1] = size
    return np.repeat(k.astype(np.float64), np.diff(below, prepend=0.0).astype(np.intp))


def upper_bound(events: IntArray | int, n: IntArray | int, tail: float) -> FloatArray:
    """Rate that is exceeded with probability at most ``tail``; 1 where there are no rows."""
    events, n = np.asarray(events), np.asarray(n)
    share = np.where(n > 0, events / np.maximum(n, 1), 1.0)
    return clopper_pearson(share, n.astype(np.float64), 1.0 - 2.0 * tail)[1]


def korn_graubard(
    events: FloatArray, n: FloatArray, variance: FloatArray, n_groups: FloatArray, level: float
) -> tuple[FloatArray, FloatArray]:
    """Interval of a share of grouped rows: Clopper-Pearson on the effective number of rows.

    ``variance`` is that of the share, from its groups. Where all rows agree it is 0 and tells
    nothing: then each group counts as one row.
    """
    share = np.where(n > 0, events / np.maximum(n, 1.0), 0.5)
    spread = share * (1.0 - share)
    some = (variance > 0) & (spread > 0)
    effective = np.where(some, spread / np.where(some, variance, 1.0), n_groups)
    return clopper_pearson(share, np.minimum(effective, n), level)


def share_variance(
    groups: IntArray, events: IntArray, ends: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Variance of the share of events in the first ``ends`` rows, and the groups among them.

    The variance is that of a ratio of sums over independent groups, by linearisation.
    """
    order = np.argsort(groups, kind="stable")
    first = np.flatnonzero(np.diff(groups[order], prepend=-1))
    size = np.diff(np.append(first, len(groups)))
    n, w = np.empty((2, len(groups)))
    # What a group has had before each of its rows.
    n[order] = np.arange(len(groups)) - np.repeat(first, size)
    total = np.cumsum(events[order]) - events[order]
    w[order] = total - np.repeat(total[first], size)
    sums = np.cumsum(
        [2.0 * n + 1.0, w + events * (n + 1.0), events * (2.0 * w + events), n == 0, events], axis=1
    )
    nn, nw, ww, n_groups, total = sums[:, ends - 1]
    share = total / ends
    squares = np.maximum(ww - 2.0 * share * nw + share**2 * nn, 0.0) / ends.astype(float) ** 2
    # A group alone varies against nothing.
    return squares * n_groups / np.maximum(n_groups - 1.0, 1.0), n_groups
