"""Intervals of losses, skill scores and areas."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._core.inputs import Rows
from .._core.rows import Binary, reduce_rows
from .._numerics.influence import (
    Noise,
    Units,
    area_interval,
    gathered,
    logit_t_interval,
    noise_of,
    t_interval,
    worth_of,
)
from .._typing import FloatArray, IntArray
from ._spec import RULES, Interval, Metric
from ._table import ScoreTable


class Found(NamedTuple):
    """The noise of a score, and the numbers of rows it comes from."""

    noise: Noise
    worths: list[FloatArray]  # units of the event and of the rest, for every class
    rarer: float  # rows of the rarer class
    n_rows: int
    grouped: bool
    flattered: float = 0.0  # relative bias of the base rate's loss, estimated on these rows


def of_table(spec: Metric, table: ScoreTable, rows: Binary, groups: IntArray | None) -> Found:
    """Return the noise of a score of one binary problem; plain rows need only the table."""
    plain = table.plain and groups is None
    units = _units(table, _influence(spec, table), None if plain else rows)
    share = np.array([(table.w - table.wy).sum(), table.wy.sum()]) / table.w.sum()
    return _found(spec, units, groups, share, share[1], table.n_rows)


def of_classes(spec: Metric, rows: Rows, groups: IntArray | None) -> Found:
    """Return the noise of a score of K classes."""
    return _losses(spec, rows, groups) if spec.loss is not None else _areas(spec, rows, groups)


def interval_of(spec: Metric, value: float, noisy: Found, level: float) -> Interval:
    """Return the interval of a score with its caution or refusal."""
    rule, noise = RULES[spec.interval], noisy.noise
    if spec.interval == "area":
        ends = area_interval(value, noise, noisy.worths, noisy.n_rows, level)
    elif spec.interval == "risk":
        ends = logit_t_interval(value, noise, level)
    else:
        ends = t_interval(value, noise, level, (1.0 - value) * noisy.flattered)
    caution = rule.caution(noisy.rarer, noise, grouped=noisy.grouped)
    return Interval(*ends, rule.method, caution, rule.refusal(noisy.rarer))


def _influence(spec: Metric, table: ScoreTable) -> tuple[FloatArray, FloatArray]:
    """Return the influence of a unit of weight at each score, without and with the event."""
    if spec.loss is None:
        assert spec.influence is not None
        return spec.influence(table)
    total, labels = table.w.sum(), (0, 1)
    no, yes = (spec.loss(table.p, np.full(len(table), label)) for label in labels)
    w_no, w_yes = table.w - table.wy, table.wy
    if spec.reference is None:
        mean = (w_no @ no + w_yes @ yes) / total
        return (no - mean) / total, (yes - mean) / total
    # A ratio of two means: the loss, and the loss of the base rate.
    rate = w_yes.sum() / total
    reference = spec.reference(np.array([w_no.sum(), w_yes.sum()]) / total)
    share = (w_no @ no + w_yes @ yes) / total / reference
    base = (spec.loss(np.array([rate]), np.array([label])) for label in labels)
    scale = -total * reference
    no, yes = ((own - share * of) / scale for own, of in zip((no, yes), base, strict=True))
    return no, yes


def _units(
    table: ScoreTable, influence: tuple[FloatArray, FloatArray], rows: Binary | None
) -> Units:
    """Return the rows, or for a plain table each kind of row with its count."""
    if rows is None:
        zero, one = np.zeros(len(table)), np.ones(len(table))
        pull = np.array([np.append(influence[0], zero), np.append(zero, influence[1])])
        weight = np.array([np.append(one, zero), np.append(zero, one)])
        return Units(pull, weight, np.append(table.w - table.wy, table.wy))
    place = np.searchsorted(table.p, rows.p)
    share = np.array([1.0 - rows.y, rows.y]) * (1.0 if rows.w is None else rows.w)
    return Units(share * np.array([a[place] for a in influence]), share, None)


def _losses(spec: Metric, rows: Rows, groups: IntArray | None) -> Found:
    """Return the noise of a loss of K classes: rows of the most frequent class, and the others."""
    assert spec.loss is not None
    w = np.ones(len(rows.y)) if rows.w is None else rows.w
    share = np.bincount(rows.y, w, minlength=rows.scores.n_classes) / w.sum()
    loss = spec.loss(rows.scores.values, rows.y)
    mean = float(w @ loss / w.sum())
    pull = w * (loss - mean) / w.sum()
    if spec.reference is not None:
        reference = spec.reference(share)
        each = spec.loss(np.tile(share, (len(share), 1)), np.arange(len(share)))
        pull = -w * (loss - mean / reference * each[rows.y]) / (reference * w.sum())
    common = rows.y == share.argmax()
    sides = np.array([common, ~common])
    units = Units(sides * pull, sides * w, None)
    return _found(spec, units, groups, share, 1.0 - share.max(), len(w))


def _found(
    spec: Metric, units: Units, groups: IntArray | None, share: FloatArray, second: float, n: int
) -> Found:
    noise = noise_of(gathered(units, groups))
    flattered, rarer = _flattered(spec, share, second, noise), float(worth_of(units).min())
    return Found(noise, [noise.worth], rarer, n, groups is not None, flattered)


def _flattered(spec: Metric, share: FloatArray, second: float, noise: Noise) -> float:
    """Return the relative bias of the base rate's loss, measured on the rows that it comes from.

    It is the second difference of the loss when ``second``, the share of all classes but the most
    frequent (of the event, for two classes), moves by its standard deviation.
    """
    if spec.reference is None or not 0.0 < second < 1.0:
        return 0.0
    step = min(noise.share_deviation, 0.9 * second, 0.9 * (1.0 - second))
    first = share == share.max() if len(share) > 2 else np.array([True, False])
    away = np.where(first, -share / (1.0 - second), share / second)
    here = spec.reference(share)
    around = [spec.reference(share + sign * step * away) for sign in (-1.0, 1.0)]
    return max(float(1.0 - np.mean(around) / here), 0.0)


def _areas(spec: Metric, rows: Rows, groups: IntArray | None) -> Found:
    """Return the noise of the mean ROC AUC over the classes, each against the rest."""
    problems = reduce_rows(rows, "classwise")
    pull: FloatArray | float = 0.0
    least, worths = np.inf, []
    for b in problems:
        table = ScoreTable._from_binary(b)
        units = _units(table, _influence(spec, table), b)
        noise = noise_of(gathered(units, groups))
        pull = pull + units.pull.sum(axis=0) / len(problems)
        least = min(least, noise.least_freedom)
        worths.append(noise.worth)
    zero, weight = np.zeros(len(b.p)), units.weight.sum(axis=0)
    both = Units(np.array([pull, zero]), np.array([weight, zero]), None)
    noise = noise_of(gathered(both, groups))._replace(least_freedom=least)
    return Found(noise, worths, 0.0, len(b.p), groups is not None)
