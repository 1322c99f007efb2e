"""Ridge-penalized softmax maps of log-probabilities: vector, nonlinear vector and matrix maps.

The map is ``eta = l + b + v * l + t * h`` or ``eta = l + b + W l + t * h``, where l are the
log-probabilities of a row and ``h = -log(1 - exp(l))``. Coefficients of 0 leave l as it is. Blocks
of rows have the classes first, ``(K, rows)``: sums over few classes are then quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gcd
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

from .._typing import FloatArray, IntArray
from .parts import Parts

#: ``rows -> log-probabilities`` of those rows, of shape (K, rows).
LogBlocks = Callable[[slice], FloatArray]
#: A block of rows has about this many numbers.
_BLOCK = 1 << 15
#: Up to so many coefficients, steps are scaled by the whole matrix of second derivatives; of maps
#: without W, whose coefficients hang together less, by that matrix up to the first number.
_DENSE = 300, 1000
#: Rows of the second derivatives that scale the steps, per coefficient.
_PER_COEFFICIENT = 4
#: Steps that the quasi-Newton method remembers.
_MEMORY = 20
#: Excess mean loss at which to stop: of few classes, where fits to weights and to repeated
#: rows agree to nine digits, and of more.
_FEW, _TOLERANCES = 5, (1e-18, 1e-9)
#: Fits and updates of empirical Bayes, and bounds of what they find, in units of K / n.
_ROUNDS, _UPDATES, _STRENGTHS = 1, 10, (1e-4, 1e4)
#: Rows times squared coefficients in leave-one-out losses; of more rows a part is taken.
_MOST = 1 << 23
#: Up to so many classes, matrices are applied without BLAS in predictions.
_APART = 30
#: With so many rows per coefficient, steps of the first order are enough in leave-one-out losses.
_ENOUGH = 50
#: How much a difference between leave-one-out losses decides, of 1: they are estimates.
_DECISION = 0.15
#: Least log-probability where nothing is mixed in: that of the smallest float32.
LEAST_LOG = float(np.log(np.finfo(np.float32).tiny))
#: Added to second derivatives, beyond their rounding: where all rows are certain there are none.
_DAMPING = 1e-9
#: Largest ``h``.
STEEP = 30.0


class Ridge(NamedTuple):
    """Penalties on the mean log loss: each multiplies the sum of squares of its coefficients.

    ``slope`` is for v, or for the diagonal of W. With ``other=None`` there is no W, with
    ``curve=None`` no t. ``t = s + u`` with ``curve`` for the u of each class and ``common`` for
    the s of all classes; None: no s.
    """

    intercept: float
    slope: float
    other: float | None = None
    curve: float | None = None
    common: float | None = None

    def of_coefficients(self, k: int) -> FloatArray:
        """The penalty of each coefficient, in the shape of ``theta``."""
        slope = np.full((k, 1), self.slope)
        if self.other is not None:
            slope = np.full((k, k), self.other)
            np.fill_diagonal(slope, self.slope)
        curve = np.full((k, 0 if self.curve is None else 1), self.curve or 0.0)
        return np.hstack((np.full((k, 1), self.intercept), slope, curve))

    def shared(self, k: int) -> float:
        """What s takes off the penalty on t, per square of the sum of t."""
        if not self.curve or self.common is None:
            return 0.0
        return self.curve**2 / (self.common + k * self.curve)


class Coefficients(NamedTuple):
    """b of shape (K,), v of shape (K,) or W of shape (K, K), and t of shape (K,) or None."""

    intercept: FloatArray
    slope: FloatArray
    curve: FloatArray | None = None

    def scores(self, l: FloatArray) -> FloatArray:  # noqa: E741
        """Eta of a block (K, rows) of log-probabilities."""
        return self._shifted(l, self.slope @ l if self.slope.ndim == 2 else self.slope[:, None] * l)

    def scores_apart(self, l: FloatArray) -> FloatArray:  # noqa: E741
        """The same; up to 30 classes, with rounding that doesn't hang on the other rows."""
        if self.slope.ndim == 1 or len(l) > _APART:
            return self.scores(l)
        eta = np.zeros_like(l)
        for column, row in zip(self.slope.T, l, strict=True):
            eta += column[:, None] * row
        return self._shifted(l, eta)

    def _shifted(self, l: FloatArray, eta: FloatArray) -> FloatArray:  # noqa: E741
        eta += l
        eta += self.intercept[:, None]
        if self.curve is not None:
            eta += self.curve[:, None] * curved(l)
        return eta


class SoftmaxFit(NamedTuple):
    """Coefficients, their mean log loss without the penalty, and how the fit ended."""

    theta: FloatArray  # one row for each class; columns b, then v or W, then t
    loss: float
    converged: bool
    n_iter: int


def tempered(z: FloatArray, beta: float, mix: float = 0.0) -> FloatArray:
    """Log of ``(1 - mix) softmax(beta z) + mix / K`` of logits (rows, K); classes first."""
    q = np.array(z.T, dtype=np.float64, order="C")
    q -= q.max(axis=0)
    q *= beta
    if mix == 0.0:
        q -= np.log(np.exp(q).sum(axis=0))
        return np.maximum(q, LEAST_LOG, out=q)
    np.exp(q, out=q)
    q *= (1.0 - mix) / q.sum(axis=0)
    q += mix / len(q)
    return np.log(q, out=q)


def stride(least: int, k: int) -> int:
    """Every how-many-th row is taken: then rows whose K classes take turns show all of them."""
    least = max(1, least)
    while gcd(least, k) > 1:
        least += 1
    return least


def curved(l: FloatArray) -> FloatArray:  # noqa: E741
    """``-log(1 - exp(l))``."""
    return -np.log(np.maximum(-np.expm1(l), np.exp(-STEEP)))


class SoftmaxRows:
    """Rows to which softmax maps of one kind are fitted, as often as wanted.

    ``log_p`` is called for each block of rows in every pass over the data. ``matrix`` and
    ``curve`` say whether the maps have W in place of v, and t. ``smoothing`` is the share of each
    target that is spread evenly over the classes.
    """

    def __init__(
        self,
        log_p: LogBlocks,
        y: IntArray,
        w: FloatArray | None,
        n_classes: int,
        *,
        matrix: bool = False,
        curve: bool = False,
        smoothing: float = 0.0,
    ) -> None:
        self.n = n = len(y)
        self.log_p, self.y, self.k = log_p, y, n_classes
        self.w = np.full(n, 1.0 / n) if w is None else w / w.sum()
        self.matrix, self.curve, self.smoothing = matrix, curve, smoothing
        self.m = 1 + (n_classes if matrix else 1) + curve
        self._second: FloatArray | None = None

    def without_matrix(self) -> SoftmaxRows:
        """The same rows for maps with v."""
        return SoftmaxRows(self.log_p, self.y, self.w, self.k, smoothing=self.smoothing)

    def blocks(self, share: int = 1) -> Iterator[slice]:
        """Slices of every so-many-th row, in blocks."""
        step = max(16, _BLOCK // self.k) * share
        return (slice(i, min(i + step, self.n), share) for i in range(0, self.n, step))

    def vary(self) -> bool:
        """Whether the scores differ from row to row."""
        first = self.log_p(slice(0, 1))
        return any(np.abs(self.log_p(rows) - first).max() > 1e-9 for rows in self.blocks())

    def coefficients(self, theta: FloatArray) -> Coefficients:
        """The parts of ``theta``."""
        slope = theta[:, 1 : 1 + self.k] if self.matrix else theta[:, 1]
        return Coefficients(theta[:, 0], slope, theta[:, -1] if self.curve else None)

    def loss(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Mean log loss and its gradient."""
        total, gradient, even = 0.0, np.zeros((self.k, self.m)), self.smoothing
        parts = self.coefficients(gradient)
        for rows in self.blocks():
            l, y, w = self.log_p(rows), self.y[rows], self.w[rows]  # noqa: E741
            own = (y, np.arange(len(y)))
            p = self.coefficients(theta).scores(l)
            p -= p.max(axis=0)
            label = p[own] if even == 0 else (1.0 - even) * p[own] + even * p.mean(axis=0)
            np.exp(p, out=p)
            norm = p.sum(axis=0)
            total += float(w @ (np.log(norm) - label))
            p *= w / norm
            p[own] -= (1.0 - even) * w
            if even > 0:
                p -= even / self.k * w
            parts.intercept[:] += p.sum(axis=1)
            parts.slope[:] += p @ l.T if self.matrix else np.einsum("ij,ij->i", p, l)
            if parts.curve is not None:
                parts.curve[:] += np.einsum("ij,ij->i", p, curved(l))
        return total, gradient

    def features(self, l: FloatArray) -> FloatArray:  # noqa: E741
        """Derivatives of each class's eta in its own coefficients, (K, m, rows).

        Where W has its coefficients but no t has, or they are too many, they are the same for all
        classes, (m, rows); h is then the mean one.
        """
        if self.matrix and (not self.curve or self.k * self.m > _DENSE[1]):
            return np.vstack((np.ones((1, l.shape[1])), l, curved(l).mean(axis=0)))[: self.m]
        out = np.empty((self.k, self.m, l.shape[1]))
        out[:, 0] = 1.0
        if self.matrix:
            out[:, 1 : 1 + self.k] = l
        else:
            out[:, 1] = l
        if self.curve:
            out[:, -1] = curved(l)
        return out

    def second(self, theta: FloatArray, share: int = 1) -> FloatArray:
        """Second derivatives of the mean log loss, (K m, K m), from every so-many-th row."""
        size, total = self.k * self.m, 0.0
        out = np.zeros((size, size))
        for rows in self.blocks(share):
            l, w = self.log_p(rows), self.w[rows]  # noqa: E741
            p = probabilities(self.coefficients(theta).scores(l))
            x = self.features(l)
            mean = p[:, None] * x
            weighted = mean * w
            out -= weighted.reshape(size, -1) @ mean.reshape(size, -1).T
            own = np.matmul(weighted, x.swapaxes(-1, -2))
            for j in range(self.k):
                part = slice(j * self.m, (j + 1) * self.m)
                out[part, part] += own[j]
            total += float(w.sum())
        return out / total

    def fit(
        self,
        ridge: Ridge,
        start: FloatArray | None = None,
        *,
        tol: float | None = None,
        max_iter: int = 300,
    ) -> SoftmaxFit:
        """The coefficients with the smallest penalized mean log loss, from ``start`` or 0."""
        tol = _TOLERANCES[self.k > _FEW] if tol is None else tol
        penalty, shared = ridge.of_coefficients(self.k), ridge.shared(self.k)
        theta = self._start(ridge) if start is None else start

        def objective(flat: FloatArray) -> tuple[float, FloatArray]:
            theta = flat.reshape(penalty.shape)
            value, gradient = self.loss(theta)
            pull = penalty * theta
            if shared:
                pull[:, -1] -= shared * theta[:, -1].sum()
            return value + float((pull * theta).sum()), (gradient + 2.0 * pull).ravel()

        solve = self.curvature(theta, ridge, kept=True).solve
        flat, value, converged, n_iter = _quasi_newton(
            objective, theta.ravel(), solve, tol, max_iter
        )
        theta = flat.reshape(penalty.shape)
        value -= float((penalty * theta * theta).sum())
        value += shared * float(theta[:, -1].sum()) ** 2
        return SoftmaxFit(theta, value, converged, n_iter)

    def _start(self, ridge: Ridge) -> FloatArray:
        """Zeros; for slopes without a penalty, the same slope less than 1 if that is better.

        Where all rows are certain there are no second derivatives to scale the first step.
        """
        starts = np.zeros((7 if ridge.slope == 0.0 else 1, self.k, self.m))
        for j in range(1, len(starts)):
            starts[j, range(self.k), range(1, 1 + self.k) if self.matrix else 1] = 0.5**j - 1.0
        if len(starts) == 1:
            return starts[0]
        return starts[int(np.argmin([self.loss(theta)[0] for theta in starts]))]

    def leave_one_out(self, fit: SoftmaxFit, ridge: Ridge, n: float) -> float:
        """Mean log loss of each row under the fit without it; all rows together count as n.

        By one Newton step from the fit of all rows; exact in the step for two classes. For many
        coefficients the step is that of each class by itself. Of many rows some show how much
        larger the loss is than that of the fit.
        """
        theta = fit.theta
        curvature = self.curvature(theta, ridge)
        total = weight = 0.0
        for rows in self.blocks(self._share()):
            l, y, w = self.log_p(rows), self.y[rows], self.w[rows]  # noqa: E741
            own = (y, np.arange(len(y)))
            eta = self.coefficients(theta).scores(l)
            p = probabilities(eta)
            x = self.features(l)
            before = log_losses(eta, y)
            g = p.copy()
            g[own] -= 1.0
            first = curvature.moved(x, g) / n
            eta += first
            if n < _ENOUGH * self.k * self.m:
                second = curvature.moved(x, p * (first - (p * first).sum(axis=0))) / n
                # Steps of first, second, ... order fall like a geometric series.
                share = (g * second).sum(axis=0) / np.maximum((g * first).sum(axis=0), 1e-300)
                eta += second / (1.0 - np.minimum(share, 0.99))
            total += float(w @ (log_losses(eta, y) - before))
            weight += float(w.sum())
        return fit.loss + total / weight

    def _share(self) -> int:
        """One row of how many is enough, where coefficients are squared for each row."""
        size, dense = self.k * self.m, self._is_dense()
        cost = size * (size if dense else 1 if self.matrix else self.m)
        least = max(1000, _PER_COEFFICIENT * size if dense else 0)
        return stride(self.n // max(least, _MOST // cost), self.k)

    def _is_dense(self) -> bool:
        return self.k * self.m <= _DENSE[self.matrix]

    def curvature(
        self, theta: FloatArray, ridge: Ridge, kept: bool = False
    ) -> _Whole | _Classes | _Basis:
        """Second derivatives of the penalized mean log loss; ``kept`` ones of the last place do."""
        penalty = ridge.of_coefficients(self.k)
        if self._is_dense():
            if not kept or self._second is None:
                self._second = self.second(theta, self._share())
            return _Whole(self._second, penalty, ridge.shared(self.k))
        if not self.matrix:
            return _Classes(self.second_of_classes(theta, self._share()), penalty)
        g, c, total = np.zeros((self.m, self.m)), np.zeros(self.k), 0.0
        for rows in self.blocks(self._share()):
            l, w = self.log_p(rows), self.w[rows]  # noqa: E741
            p = probabilities(self.coefficients(theta).scores(l))
            spread = w * p * (1.0 - p)
            total += float(w.sum())
            c += spread.sum(axis=1)
            x = self.features(l)
            g += (x * spread.sum(axis=0)) @ x.T
        return _Basis(g / c.sum(), c / total, penalty.mean(axis=0))

    def second_of_classes(self, theta: FloatArray, share: int) -> FloatArray:
        """Second derivatives of the mean log loss within each class, (K, m, m)."""
        total, out = 0.0, np.zeros((self.k, self.m, self.m))
        for rows in self.blocks(share):
            l, w = self.log_p(rows), self.w[rows]  # noqa: E741
            p = probabilities(self.coefficients(theta).scores(l))
            x = self.features(l)
            out += np.matmul(x * (w * p * (1.0 - p))[:, None], x.transpose(0, 2, 1))
            total += float(w.sum())
        return out / total


class SoftmaxView(NamedTuple):
    """How checked rows become rows to which maps are fitted."""

    log_p_of: Callable[[Any], LogBlocks]
    matrix: bool = False
    smoothing: float = 0.0

    def __call__(self, rows: Any) -> SoftmaxRows:
        s = rows.scores
        given = self.log_p_of(s), rows.y, rows.w, s.n_classes
        return SoftmaxRows(*given, matrix=self.matrix, smoothing=self.smoothing)


class PartedSoftmaxRows(SoftmaxRows):
    """The same of rows in parts elsewhere: their losses are added up here.

    Second derivatives and leave-one-out losses need every so-many-th row only. Those are here.
    """

    def __init__(self, parts: Parts, view: SoftmaxView) -> None:
        self.parts, self.view, self.n = parts, view, parts.n
        self.k = parts.ends.scores.n_classes
        self.matrix, self.curve, self.smoothing = view.matrix, False, view.smoothing
        self.m = 1 + (self.k if view.matrix else 1)
        self._some: SoftmaxRows | None = None

    def without_matrix(self) -> SoftmaxRows:
        return PartedSoftmaxRows(self.parts, self.view._replace(matrix=False))

    def vary(self) -> bool:
        return self._sample().vary()

    def loss(self, theta: FloatArray) -> tuple[float, FloatArray]:
        loss, gradient = self.parts.total(_losses_of, self.view, theta)
        total = float(self.parts.class_weight.sum())
        return float(loss) / total, gradient / total

    def curvature(
        self, theta: FloatArray, ridge: Ridge, kept: bool = False
    ) -> _Whole | _Classes | _Basis:
        return self._sample().curvature(theta, ridge, kept)

    def leave_one_out(self, fit: SoftmaxFit, ridge: Ridge, n: float) -> float:
        return self._sample().leave_one_out(fit, ridge, n)

    def _sample(self) -> SoftmaxRows:
        if self._some is None:
            self._some = self.view(self.parts.thin([self._share()])[0])
        return self._some


def _losses_of(rows: Any, view: SoftmaxView, theta: FloatArray) -> tuple[float, FloatArray]:
    loss, gradient = view(rows).loss(theta)
    total = float(len(rows.y) if rows.w is None else rows.w.sum())
    return loss * total, gradient * total


def probabilities(eta: FloatArray) -> FloatArray:
    """Softmax of scores with the classes first."""
    p = np.exp(eta - eta.max(axis=0))
    p /= p.sum(axis=0)
    return p


def log_losses(eta: FloatArray, y: IntArray) -> FloatArray:
    """Log loss of each row."""
    top = eta.max(axis=0)
    return np.log(np.exp(eta - top).sum(axis=0)) + top - eta[y, np.arange(len(y))]


class _Whole:
    """All second derivatives, with penalties; its inverse by Cholesky's factor."""

    def __init__(self, second: FloatArray, penalty: FloatArray, shared: float) -> None:
        h, (k, m) = second.copy(), penalty.shape
        self.second, self.shape = second, (k, m)
        h.flat[:: len(h) + 1] += 2.0 * penalty.ravel() + _DAMPING
        if shared:
            h[m - 1 :: m, m - 1 :: m] -= 2.0 * shared
        self.factor = cho_factor(h)

    def again(self, penalty: FloatArray) -> _Whole:
        """The same with other penalties."""
        return _Whole(self.second, penalty, 0.0)

    def times(self, flat: FloatArray) -> FloatArray:
        """The second derivatives without penalties times a vector."""
        return self.second @ flat

    def solve(self, flat: FloatArray) -> FloatArray:
        """The inverse times a vector."""
        out: FloatArray = cho_solve(self.factor, flat)
        return out

    def moved(self, x: FloatArray, g: FloatArray) -> FloatArray:
        """How eta moves with a step for each row against its gradients in eta."""
        k, m = self.shape
        full = np.broadcast_to(x, (k, m, x.shape[-1]))
        step = self.solve((full * g[:, None]).reshape(k * m, -1))
        out: FloatArray = np.einsum("jar,jar->jr", step.reshape(k, m, -1), full)
        return out

    def diagonal(self) -> FloatArray:
        """The diagonal of the inverse, in the shape of ``theta``."""
        k, m = self.shape
        return np.diagonal(self.solve(np.eye(k * m))).reshape(self.shape)


class _Classes:
    """Second derivatives within each class only."""

    def __init__(self, g: FloatArray, penalty: FloatArray) -> None:
        h, m = g.copy(), g.shape[1]
        h[:, range(m), range(m)] += 2.0 * penalty + _DAMPING
        self.second, self.inverse = g, np.linalg.inv(h)

    def again(self, penalty: FloatArray) -> _Classes:
        return _Classes(self.second, penalty)

    def times(self, flat: FloatArray) -> FloatArray:
        k, m, _ = self.inverse.shape
        return np.matmul(self.second, flat.reshape(k, m, 1)).ravel()

    def solve(self, flat: FloatArray) -> FloatArray:
        k, m, _ = self.inverse.shape
        return np.matmul(self.inverse, flat.reshape(k, m, 1)).ravel()

    def moved(self, x: FloatArray, g: FloatArray) -> FloatArray:
        return g * np.einsum("jar,jar->jr", np.matmul(self.inverse, x), x)

    def diagonal(self) -> FloatArray:
        return np.diagonal(self.inverse, axis1=1, axis2=2)


class _Basis:
    """The same for W: one matrix for all classes, times the weight of each, in its own basis."""

    def __init__(self, g: FloatArray, c: FloatArray, penalty: FloatArray) -> None:
        mean = float(c.mean())
        part, self.basis = eigh(g, g + np.diag((2.0 * penalty + _DAMPING) / mean))
        self.inverse = 1.0 / (c[:, None] * part + mean * (1.0 - part))

    def solve(self, flat: FloatArray) -> FloatArray:
        v = flat.reshape(self.inverse.shape)
        return ((v @ self.basis * self.inverse) @ self.basis.T).ravel()

    def moved(self, x: FloatArray, g: FloatArray) -> FloatArray:
        return g * (self.inverse @ (self.basis.T @ x) ** 2)


def learn_vector(data: SoftmaxRows, n: float) -> tuple[Ridge, SoftmaxFit]:
    """A map without W whose penalties are those of empirical Bayes; all rows count as n.

    MacKay's updates: the variance of a column's coefficients is their sum of squares over their
    effective number. Between fits they are made in the quadratic model of the loss.
    """
    unit = data.k / n
    ridge = Ridge(unit, unit, curve=unit if data.curve else None)
    fit = data.fit(ridge)
    for _ in range(_ROUNDS):
        penalty, theta = ridge.of_coefficients(data.k), fit.theta
        curvature = data.curvature(theta, ridge)
        assert not isinstance(curvature, _Basis)  # there is no W
        pull = curvature.times(theta.ravel()) + (2.0 * penalty * theta).ravel()
        for _ in range(_UPDATES):
            free = (1.0 - 2.0 * penalty * curvature.diagonal()).sum(axis=0)
            strength = free / (2.0 * n * np.maximum((theta**2).sum(axis=0), 1e-300))
            each = (np.clip(strength / unit, *_STRENGTHS) * unit).tolist()
            ridge = Ridge(each[0], each[1], curve=each[2] if data.curve else None)
            penalty = ridge.of_coefficients(data.k)
            curvature = curvature.again(penalty)
            theta = curvature.solve(pull).reshape(theta.shape)
        fit = data.fit(ridge, fit.theta)
    return ridge, fit


def blend(
    data: SoftmaxRows, ridges: list[Ridge], n: float, start: FloatArray | None = None
) -> tuple[Ridge, SoftmaxFit]:
    """The average of maps of several penalties, from the strongest, by leave-one-out losses.

    The average of coefficients is that of scores. Weights are in proportion to
    ``exp(-_DECISION n loss)``; the penalties returned are geometric means.
    """
    maps, losses = [], []
    for ridge in ridges:
        fit = data.fit(ridge, start)
        start = fit.theta
        maps.append(fit)
        losses.append(data.leave_one_out(fit, ridge, n))
    weight = np.exp(-_DECISION * n * (np.array(losses) - min(losses)))
    weight /= weight.sum()
    theta = np.tensordot(weight, [one.theta for one in maps], axes=1)
    loss = float(weight @ [one.loss for one in maps])  # an upper bound, by convexity
    other = np.exp(weight @ np.log([ridge.other or 0.0 for ridge in ridges]))
    converged, n_iter = all(one.converged for one in maps), sum(one.n_iter for one in maps)
    mean = ridges[0]._replace(other=float(other))
    return mean, SoftmaxFit(theta, loss, converged, n_iter)


def _direction(
    g: FloatArray,
    pairs: list[tuple[FloatArray, FloatArray, float]],
    scaled: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """The quasi-Newton step of the remembered steps (two-loop recursion)."""
    q, alphas = -g, []
    for s, d, sd in reversed(pairs):
        alphas.append(float(s @ q) / sd)
        q = q - alphas[-1] * d
    q = scaled(q)
    for (s, d, sd), alpha in zip(pairs, reversed(alphas), strict=True):
        q = q + (alpha - float(d @ q) / sd) * s
    return q


def _quasi_newton(
    objective: Callable[[FloatArray], tuple[float, FloatArray]],
    x: FloatArray,
    scaled: Callable[[FloatArray], FloatArray],
    tol: float,
    max_iter: int,
) -> tuple[FloatArray, float, bool, int]:
    """L-BFGS for a smooth convex function, from scaled steps, to the limit of rounding.

    It stops where a step promises less than ``tol``. Values of the function can't show
    differences that small: near the optimum the slope at the end of a step decides.
    """
    f, g = objective(x)
    pairs: list[tuple[FloatArray, FloatArray, float]] = []
    for n_iter in range(1, max_iter + 1):
        step = _direction(g, pairs, scaled)
        slope = float(g @ step)
        if -slope <= tol:
            return x + step, f, True, n_iter
        for _ in range(40):
            f_new, g_new = objective(x + step)
            end = float(g_new @ step)
            lower = f_new <= f + 1e-4 * slope
            if lower or (f_new <= f + 1e-13 * abs(f) and abs(end) <= -0.9 * slope):
                break
            shrink = float(np.clip(slope / (slope - end), 0.1, 0.5)) if end > slope else 0.5
            step, slope = shrink * step, shrink * slope
        else:
            return x, f, False, n_iter
        change = g_new - g
        if float(step @ change) > 0:
            pairs = [*pairs[1 - _MEMORY :], (step, change, float(step @ change))]
        x, f, g = x + step, f_new, g_new
    return x, f, False, max_iter
