"""Intervals of smooth functions of the rows from what each row, or group, adds to them.

The derivative of a metric by the weight of a row, its influence, tells how the metric varies from
one draw of rows to the next: by the sum of the squares (Efron's infinitesimal jackknife), with
Student's quantile for as many degrees of freedom as the rows of either class, or their groups,
are worth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, stdtrit

from .._typing import FloatArray, IntArray
from .weights import effective_count

#: Largest share of its class's weight by which a unit is taken to pull the metric to itself.
MOST_SHARE = 0.9
#: Degrees of freedom that the variance of normal scores counts as beside the one observed.
_PRIOR = 5.0
#: Areas are looked for so far from the observed one.
_NEAR = 1e-9


class Units(NamedTuple):
    """Independent rows or groups: what each adds to the metric, and its weight, by class.

    Both are of shape (2, units); ``times`` says how many units are alike, None: one.
    """

    pull: FloatArray
    weight: FloatArray
    times: FloatArray | None

    def per_class(self, values: FloatArray) -> FloatArray:
        """Sums over the units."""
        return values.sum(axis=-1) if self.times is None else values @ self.times


class Noise(NamedTuple):
    """What the units say of a metric."""

    variance: float
    freedom: float  # degrees of freedom that the variance is known on
    worth: FloatArray  # units of equal weight that would say as much, of each class
    all_worth: float  # and of both
    deciding: float  # units of equal pull that would show such a variance
    least_freedom: float  # of the class with fewer units
    share_deviation: float  # standard deviation of the share of the second class


def gathered(units: Units, groups: IntArray | None) -> Units:
    """The groups of units that are rows."""
    if groups is None:
        return units
    pull, weight = (np.array([np.bincount(groups, v) for v in a]) for a in units[:2])
    return Units(pull, weight, None)


def worth_of(units: Units) -> FloatArray:
    """Units of equal weight that would say as much as those of each class; 0 for none."""
    return effective_count(units.per_class(units.weight), units.per_class(units.weight**2))


def _equal(h: FloatArray, units: Units) -> FloatArray:
    """Equal units on which a variance would be known as well as on these (Satterthwaite 1946)."""
    squares = h * h
    return effective_count(units.per_class(squares), units.per_class(squares * squares))


def noise_of(units: Units) -> Noise:
    """Variance and its degrees of freedom.

    A unit with the share h of the weight of its class pulls the metric to itself, so that its
    square is smaller by 1 - h on average. The variance is the sum of those of the classes, each
    known on its own degrees of freedom (Welch 1947).
    """
    total = units.per_class(units.weight)
    h = units.weight / np.where(total > 0, total, 1.0)[:, None]
    pull = units.pull / np.sqrt(1.0 - np.minimum(h, MOST_SHARE))
    squares = pull.sum(axis=0) ** 2
    variance = float(units.per_class(squares))
    both = units.weight.sum(axis=0) / total.sum()
    equal = _equal(h, units)
    each = np.maximum(equal - 1.0, 1e-3)
    parts = units.per_class(units.pull**2)
    freedom = float(_equal(both, units)) - 1.0
    if parts.any():
        parts = parts / parts.max()
        freedom = min(freedom, float(parts.sum() ** 2 / (parts**2 / each).sum()))
    fourth = float(units.per_class(squares**2))
    deciding = variance**2 / fourth if fourth > 0 else np.inf
    least = float(equal[total > 0].min()) - 1.0
    all_worth = 1.0 / float(units.per_class(both * both))
    share = total / total.sum()
    moved = (units.weight[1] * share[0] - units.weight[0] * share[1]) / total.sum()
    deviation = float(np.sqrt(units.per_class(moved**2)))
    known = max(freedom, 1.0), worth_of(units), all_worth, deciding, max(least, 0.0)
    return Noise(variance, *known, deviation)


def _quantile(freedom: float, level: float) -> float:
    return float(stdtrit(freedom, max((1.0 + level) / 2.0, 0.5)))


def t_interval(value: float, noise: Noise, level: float, bias: float = 0.0) -> tuple[float, float]:
    """Student's t, about the value plus the bias that is known of it.

    A bias of second order is the mean of a multiple of a squared normal variable, which is all the
    noise there is where the influences vanish.
    """
    deviation = np.sqrt(noise.variance + 2.0 * bias**2)
    squared = _quantile(noise.freedom, (1.0 + level) / 2.0) ** 2 * bias
    reach = max(float(_quantile(noise.freedom, level) * deviation), squared)
    return value + bias - reach, value + bias + reach


def logit_t_interval(value: float, noise: Noise, level: float) -> tuple[float, float]:
    """Student's t on the logit scale, of a value between 0 and 1."""
    if not 0.0 < value < 1.0:
        return t_interval(value, noise, level)
    reach = _quantile(noise.freedom, level) * np.sqrt(noise.variance) / (value * (1.0 - value))
    return float(expit(logit(value) - reach)), float(expit(logit(value) + reach))


def area_variance(area: float, worth: FloatArray) -> float:
    """Variance of an area under the ROC curve of so many rows of either class.

    Of scores that are exponential in one class it is Hanley and McNeil's (1982); the mean of both
    classes stands for each (Newcombe 2006, method 5).
    """
    others = worth.mean() - 1.0
    pairs = others * ((1.0 - area) / (2.0 - area) + area / (1.0 + area))
    return float(area * (1.0 - area) * (1.0 + pairs) / worth.prod())


def area_interval(
    area: float, noise: Noise, worths: list[FloatArray], n_rows: float, level: float
) -> tuple[float, float]:
    """Newcombe's interval of an area, or of the mean of several: the areas from which it is less
    than a quantile of their own standard errors away.

    Their variance is what normal scores would show, times the ratio that was observed (DeLong's
    variance); the former counts as five degrees of freedom, and as fewer where groups or weights
    make the rows worth less, so that of few events it is Newcombe's and of many DeLong's.
    """

    def deviation(t: float) -> float:
        return float(np.mean([np.sqrt(max(area_variance(t, worth), 0.0)) for worth in worths]))

    prior = _PRIOR * (noise.all_worth / n_rows) ** 2
    # Two events may happen to show no noise of their own: Welch's number does not see that.
    freedom = min(noise.freedom, 2.0 * noise.least_freedom)
    known, ratio = freedom + prior, 1.0
    expected = deviation(area) ** 2
    if expected > 0 and noise.variance > 0:
        observed = noise.variance / expected
        ratio = (freedom * observed + prior) / known
    reach = _quantile(max(known, 1.0), level) * np.sqrt(ratio)

    def excess(sign: float) -> Callable[[float], float]:
        return lambda t: sign * (area - t) - reach * deviation(t)

    return _root(excess(1.0), area - _NEAR, 0.0, area), _root(excess(-1.0), area + _NEAR, 1.0, area)


def _root(excess: Callable[[float], float], near: float, end: float, area: float) -> float:
    """Where it changes sign between here and the end of the range."""
    if not 0.0 < near < 1.0:
        return end
    return float(brentq(excess, near, end)) if excess(near) < 0.0 else area


#: Standard errors that the area must lie below one half.
_SURE = 3.0


class Grouped(NamedTuple):
    """Rows whose groups are independent: the place of each score among the distinct ones, its
    label (or fraction), its weight (None: one) and its group."""

    place: IntArray
    y: FloatArray | IntArray
    w: FloatArray | None
    group: IntArray


def area_influence(events: FloatArray, others: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """The area, and what a unit of weight at each score in ascending order adds to it: an event,
    and another row."""
    total, rest = float(events.sum()), float(others.sum())
    # Share of the others below a score, and of the events above it; ties count half.
    below = (np.cumsum(others) - 0.5 * others) / rest
    above = 1.0 - (np.cumsum(events) - 0.5 * events) / total
    area = float(events @ below) / total
    return area, (below - area) / total, (above - area) / rest


def reversed_area(
    w: FloatArray, wy: FloatArray, w2: FloatArray, w2y: FloatArray, rows: Grouped | None = None
) -> float | None:
    """The area, if higher scores go with fewer events beyond doubt; else None.

    Of each distinct score, in ascending order: the sums of weights, of those of events, and of the
    squares of both. The error is the larger of two: that of the area observed (DeLong's, by group
    where there are groups), which is 0 for scores that are always wrong, and that of useless ones.
    """
    events, others = wy, w - wy
    total, rest = float(events.sum()), float(others.sum())
    if not (total > 0.0 and rest > 0.0):
        return None
    area, *pull = area_influence(events, others)
    if area >= 0.5:
        return None
    squares = w2y, np.maximum(w2 - w2y, 0.0)
    n = [
        float(effective_count(part, max(float(s.sum()), 1e-300)))
        for part, s in zip((total, rest), squares, strict=True)
    ]
    if rows is None:
        variance = sum(float(s @ (a * a)) for s, a in zip(squares, pull, strict=True))
    else:
        mean = rows.y * pull[0][rows.place] + (1.0 - rows.y) * pull[1][rows.place]
        of_group = np.bincount(rows.group, mean if rows.w is None else rows.w * mean)
        k = max(len(of_group), 2)
        variance = float(of_group @ of_group) * k / (k - 1)
        with_both = [rows.group[rows.y > 0], rows.group[rows.y < 1]]
        n = [min(m, len(np.unique(g))) for m, g in zip(n, with_both, strict=True)]
    useless = (1.0 / n[0] + 1.0 / n[1] + 1.0 / (n[0] * n[1])) / 12.0
    return area if 0.5 - area > _SURE * np.sqrt(max(variance, useless)) else None
