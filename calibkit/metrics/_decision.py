"""Decision curve: the net benefit of acting on all rows at or above a threshold."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from .._core.errors import InputError, InputTypeError, called
from .._core.params import check_choice, check_real
from .._core.printed import spelled
from .._core.rows import refuse_beside_table, rows_passed, validate_groups, validate_problem
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray, Weights
from ._bin_intervals import wilson
from ._table import SUMS, ScoreTable, one_event

#: Default thresholds: so many, evenly spaced up to so many times the base rate.
_N_THRESHOLDS, _TIMES = 99, 5.0
#: Sums below this share of all weight are due to rounding.
_ROUNDING = 2.0**-40


class DecisionCurve(NamedTuple):
    """A decision curve: one entry per threshold.

    Parameters
    ----------
    thresholds : ndarray of shape (m,)
        Threshold probabilities, in ascending order.
    net_benefit : ndarray of shape (m,)
        Net benefit per row of acting where the probability is at least the threshold; minus that
        of the reference, if there is one.
    low, high : ndarray of shape (m,)
        Its confidence interval, for each threshold alone.
    treat_all, treat_none : ndarray of shape (m,)
        The same for acting on all rows, and on none.

    Examples
    --------
    >>> from calibkit import DecisionCurve, decision_curve
    >>> curve = decision_curve([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], thresholds=[0.25, 0.5])
    >>> isinstance(curve, DecisionCurve), curve.treat_all.round(3)
    (True, array([0.333, 0.   ]))
    """

    thresholds: FloatArray
    net_benefit: FloatArray
    low: FloatArray
    high: FloatArray
    treat_all: FloatArray
    treat_none: FloatArray


def decision_curve(
    y_true: Any,
    y_prob: Any = None,
    *,
    thresholds: Any = None,
    reference: Any = "none",
    level: float = 0.9,
    groups: Any = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
) -> DecisionCurve:
    """Compute the net benefit of acting on a probability, for each threshold, with an interval.

    Use it to see for which thresholds decisions by a model are better than acting on all rows or on
    none, or than decisions by another model. A threshold of t means that
    (1 - t) / t false alarms are accepted for each event that is found.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels of two classes, or the fraction of events in each row; or a table of all rows.
    y_prob : array-like of shape (n,), (n, 1) or (n, 2)
        Probabilities of the event.
    thresholds : float or array-like of shape (m,), optional
        Threshold probabilities in [0, 1), in ascending order. Default: 99 evenly spaced ones
        between 0 and five times the base rate, or 1 if that is less.
    reference : {"none", "all"} or array-like of shape (n,), (n, 1) or (n, 2), default="none"
        What the net benefit is compared with: acting on no row (net benefit 0) or on all rows, or
        another model's probabilities of the same rows. Intervals are those of the difference.
    level : float, default=0.9
        Confidence level of each interval, between 0 and 1.
    groups : array-like of shape (n,), optional
        Group of each row, such as a patient. Rows of one group may depend on each other.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether weights are shares of the population or counts of rows.
    pos_label : label, optional
        Label of the event; default: the larger label.

    Returns
    -------
    curve : DecisionCurve
        Arrays ``thresholds, net_benefit, low, high, treat_all, treat_none``.

    Raises
    ------
    ValueError
        If the data or settings are invalid, or there are more than two classes.
    TypeError
        If ``y_true`` is a table and ``reference`` a model.

    Warns
    -----
    FewGroupsWarning
        If there are fewer than ten (effective) groups.

    See Also
    --------
    DecisionCurveDisplay : Draw the curves of several models.

    Notes
    -----
    The net benefit is ``TP / n - FP / n * t / (1 - t)``: the events that are found, minus the false
    alarms times the odds of the threshold, per row. It is at most the base rate.

    Each interval is for one threshold alone, not for the whole curve. It combines Wilson's
    intervals of the shares TP / n and FP / n with their multinomial correlation (Zou and Donner
    2008). For a difference, the shares are of the rows that only one of the two acts on. So
    the interval has a positive width even where no row is acted on. With weights or groups, the
    shares are those of an effective number of rows: the number at which the multinomial variance
    equals the observed variance. For few groups it is reduced as by Student's t.
    ``python benchmarks/decision_curves.py`` prints the coverage.

    References
    ----------
    A. Vickers, E. Elkin (2006). Decision curve analysis: a novel method for evaluating prediction
    models. Medical Decision Making 26(6). --- G. Zou, A. Donner (2008). Construction of confidence
    limits about effect measures: a general approach. Statistics in Medicine 27(10).

    Examples
    --------
    >>> from calibkit import decision_curve
    >>> curve = decision_curve([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], thresholds=[0.25, 0.5])
    >>> curve.net_benefit.round(3)
    array([0.417, 0.   ])
    """
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    given = sample_weight, weights, pos_label
    p, sums, codes = _rows_of(y_true, y_prob, given, groups)
    total = sums[0].sum()
    base_rate = float(sums[1].sum() / total)
    t = _checked_thresholds(thresholds, base_rate)
    odds = t / (1.0 - t)
    # Each row is acted on at its first so many thresholds.
    acted = np.searchsorted(t, p, side="right")
    if reference is None or isinstance(reference, str):
        check_choice("reference", reference, ("none", "all"))
        cells = slice(2, 4) if reference == "all" else slice(2)
        other = np.full_like(acted, len(t) if reference == "all" else 0)
    elif isinstance(y_true, ScoreTable):
        raise InputTypeError(
            "reference is a model and y_true a ScoreTable, which does not keep single rows; "
            "expected 'none' or 'all'. For another model pass labels and probabilities."
        )
    else:
        with called(part=" (reference)"):
            q = _rows_of(y_true, reference, given, None)[0]
        cells, other = slice(4), np.searchsorted(t, q, side="right")
    more, less = (_summed(*ends, sums, len(t)) for ends in ((other, acted), (acted, other)))
    share = np.array([a for n, events, *_ in (more, less) for a in (events, n - events)]) / total
    share = np.where(share > _ROUNDING, share, 0.0)
    cost = np.array([np.ones_like(t), -odds, -np.ones_like(t), odds])
    value = (cost * share).sum(axis=0)
    spread = (cost * cost * share).sum(axis=0) - value * value
    known = float(effective_count(total, sums[2].sum()))
    if codes is None:
        worth = _worth(spread, _row_variance(more, less, sums, odds, value), known)
    else:
        variance, n_groups = _group_variance(acted, other, codes, sums, odds, value)
        p_end = max((1.0 + level) / 2.0, 0.5 + 1e-6)
        thin = (ndtri(p_end) / stdtrit(max(n_groups - 1.0, 1e-3), p_end)) ** 2
        worth = _worth(spread, variance, n_groups) * thin
    low, high = _ends(value, share[cells], cost[cells], np.clip(worth, 1.0, known), level)
    nothing = np.zeros_like(other)
    n, events, *_ = _summed(nothing, other, sums, len(t)) / total
    treat_none = (n - events) * odds - events
    treat_all = base_rate - (1.0 - base_rate) * odds + treat_none
    return DecisionCurve(t, value, low, high, treat_all, treat_none)


def _rows_of(
    y_true: Any, y_prob: Any, given: tuple[Any, Weights, Any], groups: Any
) -> tuple[FloatArray, FloatArray, IntArray | None]:
    """Return the scores, their sums as in a :class:`ScoreTable`, and the groups."""
    sample_weight, weights, pos_label = given
    if isinstance(y_true, ScoreTable):
        refuse_beside_table(y_prob, sample_weight, pos_label)
        if groups is not None:
            raise InputError(
                "groups together with a ScoreTable, which does not keep single rows; expected "
                "y_true and y_prob instead of the table."
            )
        return y_true.p, np.array([getattr(y_true, name) for name in SUMS]), None
    rows = one_event(validate_problem(y_true, y_prob, *given, fractions=True), weights)
    y, w = rows.y.astype(np.float64), np.ones(len(rows.p)) if rows.w is None else rows.w
    w2, y2 = (w, y) if rows.counts else (w * w, y * y)
    n = rows_passed(sample_weight, len(w))
    codes = None if groups is None else validate_groups(groups, sample_weight, n)
    return rows.p, np.array([w, w * y, w2, w2 * y, w2 * y2]), codes


def _checked_thresholds(thresholds: Any, base_rate: float) -> FloatArray:
    if thresholds is None:
        top = min(_TIMES * base_rate, 1.0) or 1.0
        return np.asarray(top * np.arange(1, _N_THRESHOLDS + 1) / (_N_THRESHOLDS + 1.0))
    t = np.atleast_1d(np.asarray(thresholds))
    if t.ndim != 1 or t.dtype.kind not in "iuf" or len(t) == 0:
        raise InputTypeError(
            f"thresholds={spelled(thresholds)}; expected a number or numbers in [0, 1)."
        )
    t = t.astype(np.float64)
    wrong = ~((t >= 0.0) & (t < 1.0) & (np.diff(t, prepend=-1.0) > 0.0))
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(
            f"thresholds has {t[at]:.6g} at place {at}; expected numbers in [0, 1) in ascending "
            "order, each once. Use np.unique(thresholds).",
            place=at,
        )
    return t


def _summed(first: IntArray, last: IntArray, sums: FloatArray, n: int) -> FloatArray:
    """Return the sums of the rows that are acted on from threshold ``first`` to before ``last``."""
    some = first < last
    changes = [
        np.bincount(first[some], s[some], n + 1) - np.bincount(last[some], s[some], n + 1)
        for s in sums
    ]
    return np.cumsum(changes, axis=1)[:, :n]


def _worth(spread: FloatArray, variance: FloatArray, units: float) -> FloatArray:
    """Return for how many rows the multinomial variance is the observed one."""
    seen = (spread > 0.0) & (variance > 0.0)
    return np.divide(spread, variance, out=np.full_like(spread, units), where=seen)


def _row_variance(
    more: FloatArray, less: FloatArray, sums: FloatArray, odds: FloatArray, value: FloatArray
) -> FloatArray:
    """Return the variance of the means of independent rows, from sums of squares.

    To act on a row adds ``y (1 + odds) - odds``; not to act, in place of the reference, minus that.
    """
    _, _, one, y, yy = more + less
    square = (1.0 + odds) * ((1.0 + odds) * yy - 2.0 * odds * y) + odds * odds * one
    _, _, one, y, _ = more - less
    plain = (1.0 + odds) * y - odds * one
    return (square - 2.0 * value * plain + value * value * sums[2].sum()) / sums[0].sum() ** 2


def _group_variance(
    acted: IntArray,
    other: IntArray,
    groups: IntArray,
    sums: FloatArray,
    odds: FloatArray,
    value: FloatArray,
) -> tuple[FloatArray, float]:
    """Return the variance of the means from the sums of groups, and the effective number of those.

    There is one pass over the rows for each threshold, so that no array has both.
    """
    w, wy = sums[:2] / sums[0].sum()
    held, out = np.bincount(groups, w), np.empty(len(odds))
    for j, o in enumerate(odds):
        side = (acted > j).astype(np.float64) - (other > j)
        pull = np.bincount(groups, side * ((1.0 + o) * wy - o * w)) - value[j] * held
        out[j] = pull @ pull
    n_groups = float(effective_count(1.0, held @ held))
    return out * n_groups / max(n_groups - 1.0, 1e-3), n_groups


def _ends(
    value: FloatArray, share: FloatArray, cost: FloatArray, n: FloatArray, level: float
) -> tuple[FloatArray, FloatArray]:
    """Return the interval of ``sum(cost * share)`` from those of the multinomial shares."""
    low, high = wilson(share, n, level)
    down, up = share - low, high - share
    # Shares j and k have the correlation -root[j] * root[k].
    root = np.sqrt(np.divide(share, 1.0 - share, out=np.zeros_like(share), where=share < 1.0))
    reach = []
    for d in (np.where(cost > 0.0, down, up), np.where(cost > 0.0, up, down)):
        d = d * cost
        square = (d * d * (1.0 + root * root)).sum(axis=0) - (d * root).sum(axis=0) ** 2
        reach.append(np.sqrt(np.maximum(square, 0.0)))
    return value - reach[0], value + reach[1]
