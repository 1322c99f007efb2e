"""Automatic calibration of K classes: maps of several strengths in one pool."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._core.inputs import Rows
from .._core.scores import Scores
from .._numerics.design import design_effect
from .._numerics.links import LARGEST, expit, row_blocks
from .._numerics.matrix import (
    Coefficients,
    Ridge,
    SoftmaxRows,
    learn_vector,
    log_losses,
    stride,
    tempered,
)
from .._numerics.stacking import inverse_curvature, left_out, stack_weights
from .._numerics.weights import row_count
from .._typing import FloatArray, IntArray

#: With fewer rows per class, no matrix is fitted.
FEW = 20.0
#: With fewer rows in all, the matrix of the smallest strength is not fitted.
_FEW_WEAK = 200.0
#: Strengths of the ridge of vector maps and of matrix maps; 1 is 1 / (2 K) as prior variance of
#: each entry of the matrix.
_VECTOR, _MATRIX = (1.0, 10.0), (0.1, 1.0, 10.0)
#: Prior variances of a vector map of strength 1: intercepts, slopes, curvatures, common curvature.
_VARIANCES = (1.0, 0.1, 0.2, 0.3)
#: With more classes, no matrix is fitted, and second derivatives of two classes are not used.
MOST_MATRIX = 32
#: More rows count as so many: the priors of further ones would be lost in rounding.
_MOST_ROWS = 1e10
#: With more classes there is one vector map, without curvature: weak penalties take many passes.
_MOST_CURVED = 300
#: The prior of the weights of the maps counts as so many rows.
_PRIOR = 3.0
#: Smallest log-probability that maps bend.
_LOWEST = -40.0
#: Numbers that are kept in memory between passes; of more, each fit starts from one to a sample.
_KEPT = 1 << 21
#: Numbers in the systems of equations of the rows that are left out, for each map.
_LEFT_OUT = 1 << 19
#: Excess mean loss at which to stop a fit to so many numbers or more.
_TOLERANCES = ((1 << 21, 1e-7), (1 << 16, 1e-10))
#: No calibration and the parts, as they are fitted.
NAMES = (
    "identity",
    "temperature",
    *[f"vector {c:g}" for c in _VECTOR[::-1]],
    *[f"matrix {c:g}" for c in _MATRIX[::-1]],
)
#: The same for very many classes.
FEW_NAMES = ("identity", "temperature", "vector")


class ClassMap(NamedTuple):
    """A fitted map of K classes, and what it was made of.

    The scores are ``r l + b + W c + t h(c)`` with tempered log-probabilities l, and c the
    same, but at least ``low``. Without matrix maps W is a diagonal v. The r mixes l with the
    logits that were not tempered, by the weight of no calibration.
    """

    beta: float
    low: float
    theta: FloatArray  # columns b, v or W, t
    evidence: float
    freedom: float
    weights: FloatArray
    losses: FloatArray
    n_rows: float
    worth: float

    def packed(self) -> FloatArray:
        """All that makes the map, and evidence and freedom, in one vector."""
        facts = (self.beta, self.evidence, self.freedom)
        return np.concatenate((facts, self.theta.ravel()))

    @classmethod
    def unpacked(
        cls,
        packed: FloatArray,
        k: int,
        low: float,
        weights: FloatArray,
        losses: FloatArray,
        n_rows: float,
        worth: float,
    ) -> ClassMap:
        """What :meth:`packed` wrote; ValueError if it did not."""
        if len(packed) not in (3 + 3 * k, 3 + k * (k + 2)):
            raise ValueError("map_ is of another length than that of a map of K classes")
        beta, evidence, freedom = packed[:3].tolist()
        theta = packed[3:].reshape(k, -1)
        facts = weights, losses, n_rows, worth
        return cls(beta, low, theta, evidence, freedom, *facts)

    def check(self) -> None:
        """ValueError for values that no fit gives."""
        if not (1e-100 <= self.beta <= 1e100 and self.freedom > 0):
            raise ValueError("map_ holds an impossible temperature or number of parameters")
        if not np.abs(self.theta).max() < 1e4:
            raise ValueError("map_ holds impossible coefficients")
        if not _LOWEST <= self.low < 0:
            raise ValueError("range_ holds an impossible log-probability")
        if not 2 <= len(self.weights) <= len(NAMES):
            raise ValueError("weights_ is of another length than the number of parts")


class _Problem:
    """Rows to fit to, with log-probabilities in blocks, classes first."""

    def __init__(self, s: Scores, y: IntArray, w: FloatArray | None, n: float) -> None:
        self.s, self.y, self.w, self.n = s, y, w, n
        self.k = s.n_classes
        self.share = np.full(len(y), 1.0 / len(y)) if w is None else w / w.sum()
        self.beta, self.low = 1.0, -np.inf
        self._kept: FloatArray | None = None

    def set_beta(self, beta: float) -> None:
        """Temper the scores; the lowest log-probability is found on the way."""
        self.beta, self.low = beta, -np.inf
        n, least = len(self.y), 0.0
        kept = np.empty((self.k, n)) if self.few() else None
        for rows in row_blocks(n, self.k):
            l = self.log_p(rows)  # noqa: E741
            least = min(least, float(l.min()))
            if kept is not None:
                kept[:, rows] = l
        self.low = max(least, _LOWEST)
        self._kept = None if kept is None else np.maximum(kept, self.low, out=kept)

    def log_p(self, rows: slice) -> FloatArray:
        if self._kept is not None:
            return np.ascontiguousarray(self._kept[:, rows])
        l = tempered(self.s[rows].logits(), self.beta)  # noqa: E741
        return np.maximum(l, self.low, out=l)

    def few(self) -> bool:
        return len(self.y) * self.k <= _KEPT

    def sample(self) -> _Problem:
        """Every so-many-th row, so few that they are kept in memory."""
        step = stride(int(np.ceil(len(self.y) * self.k / _KEPT)), self.k)
        if step <= 1:
            return self
        rows = slice(None, None, step)
        w = None if self.w is None else self.w[rows]
        few = _Problem(self.s[rows], self.y[rows], w, self.n)
        few.beta, few.low = self.beta, self.low
        few._kept = few.log_p(slice(None))
        return few

    def softmax_rows(self, matrix: bool) -> SoftmaxRows:
        """The rows, for maps with a matrix or with curvatures."""
        curve = not matrix and self.k <= _MOST_CURVED
        return SoftmaxRows(self.log_p, self.y, self.w, self.k, matrix=matrix, curve=curve)

    def moments(self, u: float, step: int) -> tuple[float, float, float]:
        """Log loss of ``exp(u)`` times the scores and its derivatives in u, of all n rows."""
        total, sums = 0.0, np.zeros(3)
        for block in row_blocks(len(self.y), self.k):
            rows = slice(block.start + (-block.start) % step, block.stop, step)
            l, y, w = tempered(self.s[rows].logits(), np.exp(u)), self.y[rows], self.share[rows]  # noqa: E741
            sums += [float(w @ v) for v in _temperature_terms(l, y)]
            total += float(w.sum())
        f, g, v = self.n * sums / total + _prior(u)
        return f, g, v


def _temperature_terms(l: FloatArray, y: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:  # noqa: E741
    """Log loss of each row and its first two derivatives in the log of the inverse temperature."""
    own = l[y, np.arange(len(y))]
    p = np.exp(l)
    p *= l
    mean = p.sum(axis=0)
    p *= l
    gradient = mean - own
    return -own, gradient, p.sum(axis=0) - mean * mean + gradient


def _prior(u: float) -> FloatArray:
    """Minus the log of Student's density (3 degrees of freedom) and its derivatives."""
    d = 3.0 + u * u
    return np.array([2.0 * np.log(d / 3.0), 4.0 * u / d, 4.0 * (3.0 - u * u) / d**2])


def _fit_beta(problem: _Problem) -> float:
    """Log of the most probable inverse temperature."""
    sample = stride(len(problem.y) * problem.k // (1 << 17), problem.k)
    z = problem.s[slice(None, None, sample)].logits()
    two = np.partition(z, -2, axis=1)[:, -2:].astype(np.float64)
    lead = np.median(two[:, 1] - two[:, 0])
    starts = [0.0, -float(np.log(lead))] if 1e-90 < lead < 1e90 else [0.0]
    u = min(starts, key=lambda u: problem.moments(u, sample)[0])
    for step in dict.fromkeys((sample, 1)):
        f, g, h = problem.moments(u, step)
        for _ in range(50):
            move = float(np.clip(-g / max(h, abs(g) / 2.0, 1e-300), -2.0, 2.0))
            for _ in range(40):
                new = problem.moments(u + move, step)
                if new[0] <= f + 1e-4 * g * move + 1e-13 * abs(f):
                    break
                move /= 2.0
            else:
                break
            u, (f, g, h) = u + move, new
            if abs(move) < (1e-3 if step > 1 else 1e-9 if problem.few() else 1e-5):
                break
    return u


class _Left:
    """The rows that are left out one by one: all of them, or every so-many-th."""

    def __init__(self, problem: _Problem, dense: bool) -> None:
        n, k = len(problem.y), problem.k
        most = max(2000.0, _LEFT_OUT / k**2) if dense else max(500.0, _LEFT_OUT / k)
        step = stride(int(np.ceil(n / most)), k)
        self.rows = slice(0, n, step)
        self.y = problem.y[self.rows]
        self.l = problem.log_p(self.rows)
        w = problem.share[self.rows]
        self.n = problem.n * min(1.0, len(self.y) / n)
        self.w = w * (self.n / w.sum())
        self.theta: list[FloatArray | None] = []
        self.freedom: list[float] = []
        self.margins: list[FloatArray] = []
        self.losses: list[float] = []

    def add(self, theta: FloatArray | None, freedom: float, eta: FloatArray) -> None:
        self.theta.append(theta)
        self.freedom.append(freedom)
        self.losses.append(self.loss(eta))
        self.margins.append(eta - eta[self.y, np.arange(len(self.y))])

    def loss(self, eta: FloatArray) -> float:
        return float(self.w @ log_losses(eta, self.y)) / self.n


def _add_temperature(left: _Left, problem: _Problem, curvature: float) -> None:
    _, g, h = _temperature_terms(left.l, left.y)
    moved = np.clip(g / np.maximum(curvature - h, 0.1 * curvature), -1.0, 1.0)
    left.add(None, 1.0, left.l * np.exp(moved))


def _add_maps(left: _Left, problem: _Problem, matrix: bool, dense: bool) -> None:
    """Fit maps from the weakest ridge, each from the one before."""
    k, n = problem.k, problem.n
    rows = problem.softmax_rows(matrix)
    sample = problem.sample().softmax_rows(matrix)
    size = k * len(problem.y)
    tol = next((t for most, t in _TOLERANCES if size >= most), None)
    start = None
    strengths = _VECTOR if not matrix else _MATRIX[n < _FEW_WEAK * (1.0 - 1e-9) :]
    for strength in strengths[::-1]:
        if matrix:
            ridge = Ridge(k * strength / n, k * strength / n, k * strength / n)
        else:
            b, v, t, common = (strength / (2.0 * n * x) for x in _VARIANCES)
            ridge = Ridge(b, v, curve=t, common=common)
        if len(sample.y) < len(problem.y):
            start = sample.fit(ridge, start, tol=tol).theta
        fit = rows.fit(ridge, start, tol=tol)
        start = fit.theta
        _add_map(left, rows, ridge, fit.theta, n, dense)


def _add_map(
    left: _Left, rows: SoftmaxRows, ridge: Ridge, theta: FloatArray, n: float, dense: bool
) -> None:
    """Add a map with its scores of the rows that are left out."""
    inverse, freedom = inverse_curvature(rows, theta, ridge, n, dense)
    eta = np.empty_like(left.l)
    for block in row_blocks(left.l.shape[1], rows.k**2 if dense else rows.k):
        l = np.ascontiguousarray(left.l[:, block])  # noqa: E741
        scores = rows.coefficients(theta).scores(l)
        eta[:, block] = left_out(scores, left.y[block], rows.features(l), inverse)
    left.add(theta, freedom + 1.0, eta)


def _pooled(left: _Left, weights: FloatArray, k: int) -> FloatArray:
    """Coefficients of the weighted mean of the maps: columns b, v or W, t."""
    matrix = any(t is not None and t.shape[1] == k + 1 for t in left.theta)
    out = np.zeros((k, k + 2 if matrix else 3))
    for weight, theta in zip(weights, left.theta, strict=True):
        if theta is None:
            continue
        out[:, 0] += weight * theta[:, 0]
        if theta.shape[1] == k + 1:
            out[:, 1:-1] += weight * theta[:, 1:]
        else:
            if theta.shape[1] == 3:
                out[:, -1] += weight * theta[:, 2]
            if matrix:
                out[range(k), range(1, k + 1)] += weight * theta[:, 1]
            else:
                out[:, 1] += weight * theta[:, 1]
    return out


def learn_classes(rows: Rows) -> ClassMap:
    """Fit the maps, weigh them by their left-out losses, and gate them against no calibration."""
    s, y, w, _, groups = rows
    made = _learn(s, y, w, 1.0)
    if groups is None:
        return made
    q = predict_classes(s, made)
    effects, shares = [], []
    for j, one in enumerate(s.one_vs_rest()):
        own = (y == j).astype(np.int8)
        if 0 < own.sum() < len(own):
            effects.append(design_effect(one.logits(), q[:, j], own, w, groups))
            shares.append(float(own.sum() if w is None else w @ own))
    effect = float(np.average(effects, weights=shares)) if effects else 1.0
    return _learn(s, y, w, 1.0 / effect) if effect > 1.0 else made


def _learn(s: Scores, y: IntArray, w: FloatArray | None, worth: float) -> ClassMap:
    n_rows = worth * row_count(w, len(y))
    n = min(n_rows, _MOST_ROWS)
    problem = _Problem(s, y, w, n)
    k, dense = problem.k, problem.k <= MOST_MATRIX
    u = _fit_beta(problem)
    curvature = problem.moments(u, 1)[2]
    problem.set_beta(float(np.exp(u)))
    left = _Left(problem, dense)
    none = left.loss(left.l / problem.beta)
    _add_temperature(left, problem, curvature)
    if k <= _MOST_CURVED:
        _add_maps(left, problem, matrix=False, dense=dense)
    else:
        vectors = problem.softmax_rows(matrix=False)
        ridge, fit = learn_vector(vectors, n)
        _add_map(left, vectors, ridge, fit.theta, n, dense)
    if k <= MOST_MATRIX and n >= FEW * k * (1.0 - 1e-9):
        _add_maps(left, problem, matrix=True, dense=True)
    weights = stack_weights(left.margins, left.w, _PRIOR)
    pool = np.tensordot(weights, np.stack(left.margins), 1)
    freedom = float(weights @ left.freedom)
    evidence = left.n * (none - left.loss(pool)) - np.sqrt(freedom * left.n / n)
    kept = float(expit(np.array([-evidence]))[0])
    return ClassMap(
        problem.beta,
        problem.low,
        (1.0 - kept) * _pooled(left, weights, k),
        float(evidence),
        freedom,
        np.concatenate(([kept], (1.0 - kept) * weights)),
        np.array([none, *left.losses]),
        n_rows,
        worth,
    )


def predict_classes(s: Scores, made: ClassMap) -> FloatArray:
    """Calibrated probabilities, each at least 1e-15 of the largest."""
    k, theta = s.n_classes, made.theta
    full = theta.shape[1] == k + 2
    ratio = made.weights[0] / made.beta + 1.0 - made.weights[0]
    slope = theta[:, 1:-1] if full else theta[:, 1]
    out = np.empty(s.values.shape)
    for rows in row_blocks(len(s), k):
        base = tempered(s[rows].logits(), made.beta)
        c = np.maximum(base, made.low)
        eta = Coefficients(theta[:, 0], slope, theta[:, -1]).scores(c)
        eta -= c
        base *= ratio
        eta += base
        eta -= eta.max(axis=0)
        np.maximum(eta, -LARGEST, out=eta)
        np.exp(eta, out=eta)
        eta /= eta.sum(axis=0)
        out[rows] = eta.T
    return out
