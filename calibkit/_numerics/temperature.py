"""Maximum likelihood of the inverse temperature of K-class logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .._typing import FloatArray, IntArray
from .links import largest, row_blocks
from .newton import TOLERANCE, minimise
from .quantiles import quantile

#: ``rows -> logits`` of those rows: K-class logits may be too large to convert in one piece.
LogitBlocks = Callable[[slice], FloatArray]
#: The log-loss, and its first and second derivative in beta.
Moments = tuple[float, float, float]

#: Squares of larger logits may overflow in single precision.
_WIDE = 1e15

#: Between steps of these reaches the second derivative is taken from two slopes.
_NEAREST, _NEAR = 1e-3, 0.5

#: Rows of the first fit, whose optimum starts the next.
_START_ROWS = 1000


class TemperatureFit(NamedTuple):
    """Inverse temperature and how the fit ended."""

    beta: float
    bound: str | None  # "hot" | "cold": the optimum lies at or beyond a bound
    converged: bool
    n_iter: int


def label_wins(logits: LogitBlocks, y: IntArray, blocks: list[slice]) -> bool:
    """Whether no row gives another class a higher logit than its label's, and not all are ties.

    Then the likelihood grows for ever as the temperature falls to 0. As a rule the first block
    of rows says no.
    """
    some_margin = False
    for rows in blocks:
        z = logits(rows)
        label = z[np.arange(len(z)), y[rows]]
        if (label < z.max(axis=1)).any():
            return False
        some_margin = some_margin or bool((label > z.min(axis=1)).any())
    return some_margin


def _scales(logits: LogitBlocks, w: FloatArray | None, blocks: list[slice]) -> tuple[float, float]:
    """Median lead of a row's largest logit over its second, and the largest range of a row.

    The lead is the scale of the logits, whatever a few outliers or logits of -1e9 for
    "impossible" classes are; the range says how hot a temperature may have to be.
    """
    leads, weights, widest = [], [], 0.0
    for rows in blocks:
        z = logits(rows)
        winners, top = largest(z)
        rest = z.astype(np.float64)
        rest[np.arange(len(z)), winners] = -np.inf
        leads.append(top - rest.max(axis=1))
        weights.append(np.ones(len(z)) if w is None else w[rows])
        widest = max(widest, float((top - z.min(axis=1)).max()))
    lead, weight = np.concatenate(leads), np.concatenate(weights)
    some = lead > 0
    return (quantile(lead[some], 0.5, weight[some]) if some.any() else widest), widest


def _below_top(z: FloatArray) -> FloatArray:
    """Logits less the largest of their row, classes first.

    Of few classes each one's logits lie side by side in memory, so that operations on them are
    long; of many classes each row's do.
    """
    if z.shape[1] < 64:
        z = np.array(z.T, order="C")
        z -= z.max(axis=0)
        return z
    return (z - z.max(axis=1, keepdims=True)).T


@dataclass
class _Loss:
    """Mean log-loss in beta over some blocks of rows; passes are remembered."""

    logits: LogitBlocks
    y: IntArray
    w: FloatArray | None
    smoothing: float
    spread: float
    blocks: list[slice]
    seen: dict[float, Moments] = field(default_factory=dict)
    #: The last beta at which the second derivative was computed.
    last: float = np.nan

    def __post_init__(self) -> None:
        y, w = self.y, self.w
        self.total = float(sum(len(y[b]) if w is None else w[b].sum() for b in self.blocks))
        self.precision = self.logits(slice(0, 1)).dtype.type

    def moments(self, beta: float) -> Moments:
        """Sums of the log-loss and of its first and second derivative in beta."""
        if beta not in self.seen:
            self.seen[beta], self.last = self._pass(beta), beta
        return self.seen[beta]

    def _pass(self, beta: float, curvature: float | None = None) -> Moments:
        """The moments; a curvature that is given is not computed, which saves a third of it."""
        rounded = self.precision(beta)
        sums = np.zeros(3 if curvature is None else 2)
        # A mask of -3e38 times 2 is as good as -inf.
        with np.errstate(over="ignore"):
            for rows in self.blocks:
                parts = self._parts(rows, rounded, curvature is None)
                sums += parts.sum(axis=1) if self.w is None else parts @ self.w[rows]
        f, g = float(sums[0]), float(sums[1])
        h = float(sums[2]) if curvature is None else curvature
        # From the beta of single precision to the one that is asked for.
        change = beta - float(rounded)
        return f + change * g, g + change * h, h

    def _parts(self, rows: slice, beta: np.floating[Any], curved: bool) -> FloatArray:
        """The log-loss of each row, its derivative in beta, and if asked for its second one."""
        z = _below_top(self.logits(rows))
        ones, index = np.ones(len(z), z.dtype), np.arange(z.shape[1])
        e = z * beta
        np.exp(e, out=e)
        # BLAS sums several times faster than NumPy.
        s0 = np.dot(ones, e).astype(np.float64)
        e *= z
        mean = np.dot(ones, e) / s0
        target = z[self.y[rows], index].astype(np.float64)
        if self.smoothing > 0:
            target *= 1.0 - self.smoothing
            target += self.smoothing * z.mean(axis=0, dtype=np.float64)
        parts = [np.log(s0) - float(beta) * target, mean - target]
        if curved:
            e *= z
            parts.append(np.dot(ones, e) / s0 - mean * mean)
        return np.array(parts)

    def loss(self, theta: FloatArray) -> float:
        return self.moments(float(theta[0]))[0] / self.total

    def __call__(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        beta = float(theta[0])
        # The rounding of exponentials in single precision is larger than the error of this.
        near = self.precision is np.float32 and 0 < self.reach(theta - self.last) < _NEAR
        if near and beta not in self.seen:
            self.seen[beta] = self._near_last(beta)
        _, g, h = self.moments(beta)
        return np.array([g / self.total]), np.array([[h / self.total]])

    def _near_last(self, beta: float) -> Moments:
        """The moments a short step away: the second derivative follows from both slopes.

        That of the cubic through them is off by the square of the step.
        """
        _, before, curvature = self.seen[self.last]
        f, g, h = self._pass(beta, curvature)
        change = beta - self.last
        if self.reach(np.array([change])) > _NEAREST:  # else rounding is larger than what it gains
            h = 2.0 * (g - before) / change - curvature
        return (f, g, h) if 0.5 * curvature < h < 2.0 * curvature else self._pass(beta)

    def reach(self, step: FloatArray) -> float:
        # The lead stands for the range of the logits in the bound on the third derivative.
        return float(5.0 * self.spread * np.abs(step).sum())


def fit_temperature(
    logits: LogitBlocks,
    y: IntArray,
    w: FloatArray | None,
    n_classes: int,
    *,
    smoothing: float = 0.0,
) -> TemperatureFit:
    """Newton's method in the inverse temperature, in which the log-loss is convex.

    Started on a thin sample, then a thicker one, so that two passes over all rows suffice.
    ``smoothing`` is the share of each target spread evenly over the classes.
    """
    n = len(y)
    step = max(1, row_blocks(n, n_classes)[0].stop)

    def thin(share: int) -> list[slice]:
        """Every so-many-th row, in blocks of the usual size."""
        return [slice(i, min(i + step * share, n), share) for i in range(0, n, step * share)]

    # Of a thousand rows, then of a twentieth where that is much more.
    levels = [n // _START_ROWS] if n >= 4 * _START_ROWS else []
    levels += [20] if n >= 80 * _START_ROWS // 2 else []
    spread, widest = _scales(logits, w, thin(levels[0] if levels else 1))
    if widest == 0.0:
        return TemperatureFit(1.0, None, True, 0)
    if widest > _WIDE:
        given = logits

        def logits(rows: slice) -> FloatArray:
            return given(rows).astype(np.float64)

    bounds = np.array([1e-3 / widest]), np.array([1e3 / spread])
    rows = logits, y, w, smoothing, spread
    # From the temperature 1 or the scale of the logits, whichever has the smaller loss.
    guesses = [b for b in (1.0, 1.0 / spread) if b * spread <= 1e3]
    first = _Loss(*rows, thin(levels[0] if levels else 1))
    beta = np.array([guesses[int(np.nanargmin([first.moments(b)[0] for b in guesses]))]])
    for share in levels:
        blocks = thin(share)
        if smoothing == 0 and label_wins(logits, y, blocks):
            continue
        problem = first if share == levels[0] else _Loss(*rows, blocks)
        beta = minimise(problem, beta, bounds=bounds, tol=1e-7).theta
    whole = _Loss(*rows, row_blocks(n, n_classes))
    # With many rows an excess of 1e-14 is as good, and spares a pass.
    tol = TOLERANCE if n < 20 * _START_ROWS else 1e-14
    result = minimise(whole, beta, bounds=bounds, tol=tol)
    value = max(float(result.theta[0]), float(bounds[0][0]))  # a step may round to 0
    bound = "hot" if value <= bounds[0][0] * (1 + 1e-9) else None
    bound = "cold" if value >= bounds[1][0] * (1 - 1e-9) else bound
    return TemperatureFit(value, bound, result.converged, result.n_iter)
