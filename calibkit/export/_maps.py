"""Calibrators, thresholds and decision rules as programs.

Each function repeats the arithmetic of a class's ``_predict``, operation by operation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from .. import __version__
from .._core.base import BaseCalibrator
from .._core.errors import InputTypeError
from .._core.inputs import LARGEST_LOGIT, RANGE_TOLERANCE, SUM_TOLERANCE
from .._core.printed import spelled
from .._core.scores import SATURATED, Clip, Scores
from .._numerics.links import LARGEST
from .._numerics.matrix import LEAST_LOG
from .._typing import FloatArray, Scale
from ..calibrators import (
    BetaCalibrator,
    HistogramBinningCalibrator,
    IdentityCalibrator,
    IsotonicCalibrator,
    MatrixScalingCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
    VectorScalingCalibrator,
)
from ._program import (
    Node,
    Operand,
    Program,
    affine,
    apply,
    column,
    entry,
    pick,
    place,
    reduce,
    stack,
)


def _clip(x: Node, low: Operand, high: Operand) -> Node:
    return apply("minimum", apply("maximum", x, low), high)


def _expit(z: Node) -> Node:
    return 1.0 / (apply("exp", -z) + 1.0)


def _logit(p: Node) -> Node:
    return apply("log", p / (1.0 - p))


def _softmax(z: Node, least: float | None = None) -> Node:
    """Softmax of a vector; no logit counts as less than ``least`` below the largest."""
    z = z - reduce("largest", z)
    e = apply("exp", z if least is None else apply("maximum", z, least))
    return e / reduce("total", e)


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


def _platt(cal: PlattCalibrator, s: NodeScores) -> Node:
    return _expit(s.logits() * cal.slope_ + cal.intercept_)


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


def _beta(cal: BetaCalibrator, s: NodeScores) -> Node:
    return _expit(_beta_sum(cal, s))


def _isotonic(cal: IsotonicCalibrator, s: NodeScores) -> Node:
    if cal.interpolation == "centred":
        return _interpolated(s.values, cal.x_, cal.value_)
    return entry(place(s.values, cal.x_), cal.value_)


def _histogram(cal: HistogramBinningCalibrator, s: NodeScores) -> Node:
    return entry(place(s.values, cal.borders_), cal.value_)


def _identity(cal: IdentityCalibrator, s: NodeScores) -> Node:
    return s.probs()


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


#: What repeats the arithmetic of a class; of a class without an entry nothing can be exported.
_MAPS: dict[type, Callable[[Any, NodeScores], Node]] = {
    PlattCalibrator: _platt,
    TemperatureCalibrator: _temperature,
    BetaCalibrator: _beta,
    IsotonicCalibrator: _isotonic,
    HistogramBinningCalibrator: _histogram,
    IdentityCalibrator: _identity,
    VectorScalingCalibrator: _linear,
    MatrixScalingCalibrator: _linear,
}


def calibrated(cal: BaseCalibrator, s: NodeScores) -> Node:
    """What ``_calibrate`` of a calibrator returns: a number, or a vector with all classes."""
    repeat = _MAPS.get(type(cal))
    if repeat is None:
        raise InputTypeError(f"{spelled(cal)} can't be exported")
    return repeat(cal, cast(NodeScores, cal._clipped(cast(Scores, s))))


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


def _facts(obj: Any, scale: str, inputs: list[str], classes: Any = ()) -> dict[str, Any]:
    return {
        "name": type(obj).__name__,
        "version": __version__,
        "scale": scale,
        "classes": list(np.asarray(classes).tolist()),
        "inputs": inputs,
    }


def _input_names(n_classes: int, prefix: str = "") -> list[str]:
    names = ["score"] if n_classes == 2 else [f"score_{i}" for i in range(n_classes)]
    return [prefix + name for name in names]


def _of_calibrator(cal: BaseCalibrator, labels: bool) -> Program:
    cal._ensure_fitted()
    k, scale = len(cal.classes_), cal._input_scale()
    s, valid = _inputs(k, scale)
    q = calibrated(cal, s)
    p = q if q.size else stack(1.0 - q, q)
    results = {"probability": pick(p, 1) if q.size else q} if k == 2 else {"probabilities": p}
    if labels:
        results["label"] = reduce("winner", p)
    facts = _facts(cal, scale, _input_names(k), cal.classes_)
    return Program(len(facts["inputs"]), results, valid, facts)


def program_of(obj: Any, *, labels: bool = False) -> Program:
    """The program of a fitted object; with ``labels`` also of its ``predict``."""
    if isinstance(obj, BaseCalibrator):
        return _of_calibrator(obj._now(), labels)
    raise InputTypeError(f"{spelled(obj)} can't be exported")
