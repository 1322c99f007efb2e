"""Calibrators, thresholds and decision rules as programs.

Each function repeats the arithmetic of a class's ``_predict``, operation by operation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce as reduce_all
from typing import Any, NoReturn, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .. import __version__
from .._classifier import CalibratedClassifier
from .._core.base import BaseCalibrator
from .._core.errors import InputError, InputTypeError
from .._core.inputs import LARGEST_LOGIT, RANGE_TOLERANCE, SUM_TOLERANCE
from .._core.params import check_flag, refuse_class
from .._core.printed import spelled
from .._core.scores import SATURATED, Clip, Scores
from .._numerics.binning import assign
from .._numerics.links import LARGEST
from .._numerics.links import logit as log_odds
from .._numerics.matrix import LEAST_LOG, STEEP
from .._typing import FloatArray, IntArray, Scale
from ..calibrators import (
    AutoCalibrator,
    BetaCalibrator,
    BorrowedCalibrator,
    HistogramBinningCalibrator,
    IdentityCalibrator,
    IsotonicCalibrator,
    MatrixScalingCalibrator,
    OneVsRestCalibrator,
    PlattCalibrator,
    ScalingBinningCalibrator,
    SplineCalibrator,
    TemperatureCalibrator,
    TopLabelCalibrator,
    VectorScalingCalibrator,
    VennAbersCalibrator,
)
from ..decisions import DecisionRule, QuantileCalibrator, RiskControlledThreshold, TriagePolicy
from ._program import (
    Node,
    Operand,
    Program,
    affine,
    apply,
    column,
    constant,
    entry,
    pick,
    pick_at,
    place,
    reduce,
    stack,
)

#: In the order of their places.
DECISIONS = ("accept", "review", "discard")


def _clip(x: Node, low: Operand, high: Operand) -> Node:
    return apply("minimum", apply("maximum", x, low), high)


def _where(condition: Node, yes: Operand, no: Operand) -> Node:
    return apply("where", condition, yes, no)


def _expit(z: Node) -> Node:
    return 1.0 / (apply("exp", -z) + 1.0)


def _logit(p: Node) -> Node:
    return apply("log", p / (1.0 - p))


def _softmax(z: Node, least: float | None = None) -> Node:
    """Softmax of a vector; no logit counts as less than ``least`` below the largest."""
    z = z - reduce("largest", z)
    e = apply("exp", z if least is None else apply("maximum", z, least))
    return e / reduce("total", e)


def _one_hot(index: Node, k: int) -> Node:
    """Booleans: which entry of a vector stands at a place."""
    places: FloatArray = np.arange(k, dtype=np.float64)
    at, all_places = entry(index, places), constant(places)
    return apply("both", apply("at_most", all_places, at), apply("at_most", at, all_places))


#: Less than every logit; the exponential of its distance from any is 0.
_NOWHERE = -1e200


def _winner_log_odds(z: Node) -> tuple[Node, Node, Node]:
    """The place of the largest logit, also as booleans, and its log-odds against the rest."""
    winner = reduce("winner", z)
    own = _one_hot(winner, z.size)
    rest = _where(own, _NOWHERE, z)
    second = reduce("largest", rest)
    log_rest = second + apply("log", reduce("total", apply("exp", rest - second)))
    return winner, own, reduce("largest", z) - log_rest


@dataclass(frozen=True)
class NodeScores:
    """The scores of a row, with what :class:`Scores` does to them."""

    values: Node
    scale: Scale
    clip: Clip = (SATURATED, SATURATED)

    def probs(self) -> Node:
        if self.scale == "logit":
            return _softmax(self.values) if self.values.size else _expit(self.values)
        return self.values / reduce("total", self.values) if self.values.size else self.values

    def inside(self) -> Node:
        return _clip(self.values, self.clip[0], 1.0 - self.clip[1])

    def logits(self) -> Node:
        if self.scale == "logit":
            return self.values
        if not self.values.size:
            return _logit(self.inside())
        return apply("log", apply("maximum", self.values, self.clip[0]))

    def wide_logits(self) -> Node:
        """Logits of every class, 0 for the smaller one of two."""
        z = self.logits()
        return z if z.size else stack(0.0, z)

    def columns(self) -> NodeScores:
        v = self.values
        if v.size:
            return self
        return replace(self, values=stack(1.0 - v if self.scale == "probability" else 0.0, v))

    def one_vs_rest(self) -> list[NodeScores]:
        values = self.values
        if self.scale == "logit":
            _, own, odds = _winner_log_odds(values)
            z = values - reduce("largest", values)
            z = _where(own, -1.0, z - apply("log", reduce("total", apply("exp", z))))
            values = _where(own, odds, z - apply("log1p", -apply("exp", z)))
        return [replace(self, values=pick(values, k)) for k in range(values.size)]

    def top(self) -> tuple[NodeScores, Node, Node]:
        """The largest score as a binary one, and its place, also as booleans."""
        values = self.columns().values
        if self.scale == "logit":
            winner, own, top = _winner_log_odds(values)
        else:
            winner, top = reduce("winner", values), reduce("largest", values)
            own, top = _one_hot(winner, values.size), apply("minimum", top, 1.0)
        return replace(self, values=top), winner, own


# -- one score --------------------------------------------------------------------------------


def _interpolated(x: Node, knots: FloatArray, values: FloatArray) -> Node:
    """``numpy.interp``, which is constant beyond the ends and at the last knot."""
    with np.errstate(all="ignore"):
        slopes = np.diff(values) / np.diff(knots)
    slopes = np.where(np.isfinite(slopes), slopes, 0.0)  # no number between neighbors
    piece = place(x, knots)
    start = entry(piece, np.append(knots[:1], knots))
    value = entry(piece, np.append(values[:1], values))
    return entry(piece, np.concatenate(([0.0], slopes, [0.0]))) * (x - start) + value


def _crossings(s: NodeScores, index: Callable[[Scores], IntArray]) -> tuple[Node, IntArray]:
    """An index that rises or falls with the score, found on the scores themselves.

    Returns how many of its steps are at or below the score, and what the index is then. A step is
    the smallest float with the next value, found by halving: so scores beside a step are on the
    same side as in Python, however a language rounds logarithms.
    """

    def at(x: FloatArray) -> IntArray:
        return index(Scores(x, s.scale, s.clip))

    # Scores of several classes may lie a little outside [0, 1].
    ends = (-1.0, 2.0) if s.scale == "probability" else (-LARGEST_LOGIT, LARGEST_LOGIT)
    first, last = at(np.array(ends)).tolist()
    sign = 1 if last >= first else -1
    values = np.arange(first, last + sign, sign)
    low, high = (np.full(len(values) - 1, _ranks(np.array([end]))[0]) for end in ends)
    while (low + 1 < high).any():
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        there = sign * at(_floats(middle)) >= sign * values[1:]
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    return place(s.values, _floats(high)), values


def _ranks(x: FloatArray) -> IntArray:
    """Whole numbers in the order of the floats, one for each."""
    bits = x.view(np.int64)
    return bits ^ ((bits >> 63) & np.int64(2**63 - 1))


def _floats(ranks: IntArray) -> FloatArray:
    return (ranks ^ ((ranks >> 63) & np.int64(2**63 - 1))).view(np.float64)


def _temperature(cal: TemperatureCalibrator, s: NodeScores) -> Node:
    z = s.logits()
    if not z.size:
        return _expit(z / cal.temperature_)
    e = apply("exp", (z - reduce("largest", z)) / cal.temperature_)
    return e / reduce("total", e)


def _log_terms(s: NodeScores) -> tuple[Node, Node]:
    """log(p) and -log(1 - p)."""
    if s.scale == "probability":
        p = s.inside()
        return apply("log", p), -apply("log1p", -p)
    z = s.values
    tail = apply("log1p", apply("exp", -apply("maximum", z, -z)))
    return apply("minimum", z, 0.0) - tail, apply("maximum", z, 0.0) + tail


def _beta_sum(cal: BetaCalibrator, s: NodeScores) -> Node:
    lower, upper = _log_terms(s)
    return cal.a_ * lower + cal.b_ * upper + cal.c_


def _isotonic(cal: IsotonicCalibrator, s: NodeScores) -> Node:
    if cal.interpolation == "centred":
        return _interpolated(s.values, cal.x_, cal.value_)
    return _steps(s, cal.x_, cal.value_)


def _ordered(cal: BaseCalibrator) -> bool:
    """Whether the output never turns: it rises with the score, or it falls."""
    if isinstance(cal, BorrowedCalibrator):
        return _ordered(cal.calibrator)
    return isinstance(cal, PlattCalibrator) or (
        "monotone" in cal._traits and getattr(cal, "monotone", True)
    )


def _scaling_binning(cal: ScalingBinningCalibrator, s: NodeScores) -> Node:
    if not _ordered(cal.scaler_):
        return entry(place(calibrated(cal.scaler_, s), cal.borders_), cal.value_)
    step, bins = _crossings(s, cal._bins)
    return entry(step, cal.value_[bins])


def _steps(s: NodeScores, borders: FloatArray, values: FloatArray) -> Node:
    return entry(place(s.values, borders), values)


def _spline_sum(cal: SplineCalibrator, s: NodeScores) -> Node:
    return _interpolated(s.logits(), cal.x_, cal.value_)


def _borrowed(cal: BorrowedCalibrator, s: NodeScores) -> Node:
    taken = cal.calibrator._input_scale()
    if s.scale != taken:
        s = replace(s, values=s.logits() if taken == "logit" else s.probs(), scale=taken)
    p = _clip(_of_larger(calibrated(cal.calibrator, s)), SATURATED, 1.0 - SATURATED)
    return _expit(cal.slope_ * _logit(p) + cal.intercept_)


def _auto(cal: AutoCalibrator, s: NodeScores) -> Node:
    if s.values.size:
        return _auto_classes(cal, s)
    low, high = cal.range_.tolist()
    out = cal.weights_[0] * _clip(s.logits(), low - cal._beyond, high + cal._beyond)
    z = NodeScores(_clip(s.logits(), low, high), "logit")
    smooth: Any = cal.parts_[:-1]
    for weight, part in zip(cal.weights_[1:], smooth, strict=False):
        of = _spline_sum if isinstance(part, SplineCalibrator) else _beta_sum
        out = out + float(weight) * of(part, z)
    steps: Any = cal.parts_[-1]
    x, p = steps._table()
    step, order = _crossings(s, lambda s: assign(np.clip(s.logits(), low, high), x))
    out = out + entry(step, (cal.weights_[-1] * log_odds(p))[order])
    out = _expit(_clip(out, -LARGEST, LARGEST)) * (1.0 - cal._mixed)
    return out + entry(step, (cal._mixed * p)[order])


# -- K scores ---------------------------------------------------------------------------------


def _tempered(z: Node, beta: float, mix: float = 0.0) -> Node:
    """Log of ``(1 - mix) softmax(beta z) + mix / K``."""
    q = (z - reduce("largest", z)) * beta
    if mix == 0.0:
        q = q - apply("log", reduce("total", apply("exp", q)))
        return apply("maximum", q, LEAST_LOG)
    e = apply("exp", q)
    return apply("log", e * ((1.0 - mix) / reduce("total", e)) + mix / z.size)


def _sloped(l: Node, slope: FloatArray) -> Node:  # noqa: E741
    """A diagonal or a matrix times a vector."""
    return l * slope if slope.ndim == 1 else affine(l, slope, np.zeros(len(slope)))


def _linear(cal: VectorScalingCalibrator | MatrixScalingCalibrator, s: NodeScores) -> Node:
    k = len(cal.classes_)
    slope = cal.slope_.reshape(k, k) - np.eye(k) if cal._matrix else cal.slope_ - 1.0
    l = _tempered(s.wide_logits(), 1.0 / cal.temperature_, cal.mix_)  # noqa: E741
    p = _softmax(_sloped(l, slope) + l + cal.intercept_, -LARGEST)
    return p if s.values.size else pick(p, 1)


def _curved(l: Node) -> Node:  # noqa: E741
    """``-log(1 - exp(l))``; the difference by Kahan's formula, since few languages have expm1."""
    u = apply("exp", l)
    tiny = apply("at_most", 1.0, u)
    ratio = _where(tiny, 1.0, (u - 1.0) / _where(tiny, -1.0, apply("log", u)))
    return -apply("log", apply("maximum", -(l * ratio), float(np.exp(-STEEP))))


def _auto_classes(cal: AutoCalibrator, s: NodeScores) -> Node:
    made, k = cal._class_map(), len(cal.classes_)
    theta, kept = made.theta, float(made.weights[0])
    base = _tempered(s.logits(), made.beta)
    c = apply("maximum", base, made.low)
    eta = _sloped(c, theta[:, 1:-1] if theta.shape[1] == k + 2 else theta[:, 1]) + c + theta[:, 0]
    if theta[:, -1].any():
        eta = eta + _curved(c) * theta[:, -1]
    return _softmax(eta - c + base * (kept / made.beta + 1.0 - kept), -LARGEST)


# -- lifts ------------------------------------------------------------------------------------


def _prepared(cal: OneVsRestCalibrator | TopLabelCalibrator, s: NodeScores) -> NodeScores:
    if cal.first_ is None:
        return s
    return NodeScores(calibrated(cal.first_, s), "probability")


def _applied(cal: BaseCalibrator | None, s: NodeScores) -> Node:
    return s.probs() if cal is None else calibrated(cal, s)


def _one_vs_rest(cal: OneVsRestCalibrator, s: NodeScores) -> Node:
    s = _prepared(cal, s)
    if not s.values.size:
        return _applied(cal.calibrators_[0], s)
    parts = zip(cal.calibrators_, s.one_vs_rest(), strict=True)
    q = stack(*(_applied(c, one) for c, one in parts))
    total = reduce("total", q)
    lost = apply("both", apply("at_most", 0.0, total), apply("at_most", total, 0.0))
    return _where(lost, s.probs(), q / _where(lost, 1.0, total))


def _top_label(cal: TopLabelCalibrator, s: NodeScores) -> Node:
    s = _prepared(cal, s)
    top, winner, own = s.top()
    pooled, *each = cal.calibrators_
    q = _applied(pooled, top)
    if each:
        q = pick_at(stack(*(q if c is None else _applied(c, top) for c in each)), winner)
    rest = _where(own, 0.0, s.columns().probs())
    total = reduce("total", rest)
    some, none = apply("less", 0.0, total), apply("at_most", 0.0, total)
    even = _where(none, 1.0 / (rest.size - 1), rest)
    shares = _where(some, rest / _where(some, total, 1.0), even)
    return _where(own, q, shares * (1.0 - q))


#: What repeats the arithmetic of a class; of a class without an entry nothing can be exported.
_MAPS: dict[type[BaseCalibrator], Callable[[Any, NodeScores], Node]] = {
    AutoCalibrator: _auto,
    BetaCalibrator: lambda cal, s: _expit(_beta_sum(cal, s)),
    BorrowedCalibrator: _borrowed,
    HistogramBinningCalibrator: lambda cal, s: _steps(s, cal.borders_, cal.value_),
    IdentityCalibrator: lambda cal, s: s.probs(),
    IsotonicCalibrator: _isotonic,
    MatrixScalingCalibrator: _linear,
    OneVsRestCalibrator: _one_vs_rest,
    PlattCalibrator: lambda cal, s: _expit(s.logits() * cal.slope_ + cal.intercept_),
    ScalingBinningCalibrator: _scaling_binning,
    SplineCalibrator: lambda cal, s: _expit(_spline_sum(cal, s)),
    TemperatureCalibrator: _temperature,
    TopLabelCalibrator: _top_label,
    VectorScalingCalibrator: _linear,
    VennAbersCalibrator: lambda cal, s: _steps(s, *cal._table()),
}


def calibrated(cal: BaseCalibrator, s: NodeScores) -> Node:
    """What ``_calibrate`` of a calibrator returns: a number, or a vector with all classes."""
    repeat = _MAPS.get(type(cal))
    if repeat is None:
        _refuse(cal)
    return repeat(cal, cast(NodeScores, cal._clipped(cast(Scores, s))))


def _of_larger(q: Node) -> Node:
    """The probability of the larger class of two."""
    return pick(q, 1) if q.size else q


# -- programs ---------------------------------------------------------------------------------


def _inputs(n_classes: int, scale: Scale, first: int = 0) -> tuple[NodeScores, Node]:
    """The scores of a row, as :func:`validate_scores` returns them, and whether it takes them."""
    if n_classes > 2:
        z = stack(*map(column, range(first, first + n_classes)))
        if scale == "logit":
            size = apply("maximum", reduce("largest", z), reduce("largest", -z))
            return NodeScores(z, scale), apply("at_most", size, LARGEST_LOGIT)
        off = reduce("total", z) - 1.0
        off = apply("at_most", apply("maximum", off, -off), SUM_TOLERANCE)
        inside = apply("at_most", reduce("largest", -z), RANGE_TOLERANCE)
        return NodeScores(z, scale), apply("both", off, inside)
    x = column(first)
    ends = -LARGEST_LOGIT, LARGEST_LOGIT
    if scale == "probability":
        ends = -RANGE_TOLERANCE, 1.0 + RANGE_TOLERANCE
    valid = apply("both", apply("at_most", ends[0], x), apply("at_most", x, ends[1]))
    return NodeScores(_clip(x, 0.0, 1.0) if scale == "probability" else x, scale), valid


def _facts(obj: Any, scale: str, classes: Any = (), inputs: tuple[str, ...] = ()) -> Any:
    return {
        "name": type(obj).__name__,
        "version": __version__,
        "scale": scale,
        "classes": np.asarray(classes).tolist(),
        "inputs": list(inputs or _input_names(len(classes))),
    }


def _input_names(n_classes: int, prefix: str = "") -> tuple[str, ...]:
    names = ["score"] if n_classes <= 2 else [f"score_{i}" for i in range(n_classes)]
    return tuple(prefix + name for name in names)


def _results(q: Node, labels: bool) -> dict[str, Node]:
    """Results of all probabilities; of two classes that of the larger one."""
    p = every(q)
    results = {"probabilities": p} if p.size > 2 else {"probability": _of_larger(q)}
    return results | ({"label": reduce("winner", p)} if labels else {})


def every(q: Node) -> Node:
    """The probabilities of all classes."""
    return q if q.size else stack(1.0 - q, q)


def _of_calibrator(cal: BaseCalibrator, labels: bool) -> Program:
    cal._ensure_fitted()
    scale = cal._input_scale()
    s, valid = _inputs(len(cal.classes_), scale)
    q = calibrated(cal, s)
    facts = _facts(cal, scale, cal.classes_)
    return Program(len(facts["inputs"]), _results(q, labels), valid, facts)


def _of_classifier(obj: CalibratedClassifier, labels: bool) -> Program:
    """The mean over the folds' calibrators, each with the scores of its own classifier."""
    check_is_fitted(obj)
    if len(obj.calibrators_) == 1:
        made = _of_calibrator(obj.calibrators_[0], labels)
        return replace(made, facts=made.facts | {"name": type(obj).__name__})
    k = len(obj.classes_)
    names: tuple[str, ...] = ()
    parts, valid = [], []
    for fold, cal in enumerate(obj.calibrators_):
        s, own = _inputs(k, cal._input_scale(), len(names))
        parts.append(every(calibrated(cal, s)))
        valid.append(own)
        names += _input_names(k, f"fold{fold}_")
    mean = sum(parts[1:], parts[0]) / float(len(parts))
    scale = obj.calibrators_[0]._input_scale()
    facts = _facts(obj, scale, obj.classes_, names)
    both = reduce_all(lambda a, b: apply("both", a, b), valid)
    return Program(len(names), _results(mean, labels), both, facts)


def _of_threshold(gate: RiskControlledThreshold, labels: bool) -> Program:
    check_is_fitted(gate)
    s, valid = _inputs(2, "probability" if gate.scale == "probability" else "logit")
    return Program(1, {"accept": _accepted(gate, s.values)}, valid, _facts(gate, gate.scale))


def _least(gate: RiskControlledThreshold) -> float:
    """The least signal that is accepted, more than any where nothing is."""
    return min(float(gate.threshold_), 1e300)


def _accepted(gate: RiskControlledThreshold, x: Node) -> Node:
    return apply("at_most", _least(gate), x)


def _decided(policy: TriagePolicy, p: Node) -> Node:
    """The place of the decision among accept, review and discard."""
    low, high = policy.discard_below, policy.accept_at
    return entry(place(p, np.array([low, high])), np.array([2, 1, 0]))


def _of_policy(policy: TriagePolicy, labels: bool) -> Program:
    s, valid = _inputs(2, "probability")
    facts = _facts(policy, "probability") | {"decisions": list(DECISIONS)}
    return Program(1, {"decision": _decided(policy, s.values)}, valid, facts)


def _of_rule(rule: DecisionRule, labels: bool) -> Program:
    made, gate = _of_calibrator(rule.calibrator, labels), rule.threshold
    x = _inputs(2, rule.calibrator._input_scale())[0].values
    results = dict(made.results)
    if rule.policy is not None:
        results["decision"] = _decided(rule.policy, results["probability"])
        if gate is not None:
            results["promised"] = _accepted(gate, x)
    elif gate is not None:
        results["decision"] = entry(place(x, np.array([_least(gate)])), np.array([1, 0]))
    facts = _facts(rule, rule.scale, rule.calibrator.classes_, (rule.signal,))
    return Program(1, results, made.valid, facts | {"decisions": list(DECISIONS)})


def _of_quantiles(cal: QuantileCalibrator, labels: bool) -> Program:
    check_is_fitted(cal, "slope_")
    s, valid = _inputs(2, cal.scale)
    z = replace(s, clip=(float(cal.clip_[0]), float(cal.clip_[1]))).logits()
    results = {"probability": _expit(cal.slope_ * z + cal.intercept_)}
    if hasattr(cal, "lines_"):
        eta = z * cal.lines_[:, 0] + cal.lines_[:, 1]
        low, high = log_odds(cal.edges_).tolist()
        q = _where(apply("at_most", eta, low + 1e-6), 0.0, _expit(eta))
        q = _where(apply("at_most", high - 1e-6, eta), 1.0, q)
        results["quantiles"] = _in_order(q)
        if hasattr(cal, "offset_"):
            lowest = pick(results["quantiles"], 0)
            results["lower_bound"] = _clip(lowest - min(cal.offset_, 2.0), 0.0, 1.0)
    return Program(1, results, valid, _facts(cal, cal.scale))


def _in_order(v: Node) -> Node:
    """The entries in ascending order, by exchanges of neighbors."""
    parts = [pick(v, i) for i in range(v.size)]
    for turn in range(v.size):
        for i in range(turn % 2, v.size - 1, 2):
            pair = parts[i : i + 2]
            parts[i : i + 2] = apply("minimum", *pair), apply("maximum", *pair)
    return stack(*parts)


_OTHERS: dict[type, Callable[[Any, bool], Program]] = {
    CalibratedClassifier: _of_classifier,
    DecisionRule: _of_rule,
    QuantileCalibrator: _of_quantiles,
    RiskControlledThreshold: _of_threshold,
    TriagePolicy: _of_policy,
}


def program_of(obj: Any, *, labels: bool = False) -> Program:
    """The program of a fitted object; with ``labels`` also of its ``predict``."""
    refuse_class("obj", obj)
    check_flag("labels", labels)
    make = _OTHERS.get(type(obj))
    if make is not None:
        return make(obj, labels)
    if not isinstance(obj, BaseCalibrator):
        _refuse(obj)
    return _of_calibrator(obj._now(), labels)


def _refuse(obj: Any) -> NoReturn:
    if isinstance(obj, BaseCalibrator) and "online" in obj._traits:
        raise InputError(
            f"{spelled(obj)} changes with each label, so that an export would soon be out of date; "
            "expected a calibrator that is fitted once. Fit one to the latest rows."
        )
    known = ", ".join(cls.name for cls in _MAPS)
    others = ", ".join(cls.__name__ for cls in _OTHERS)
    raise InputTypeError(
        f"{spelled(obj)} has no formula that can be exported; expected a fitted calibrator "
        f"({known}) or a {others}. Write a class of your own in the other language by hand."
    )
