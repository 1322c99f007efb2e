"""Ridge-penalized softmax maps of log-probabilities: vector, nonlinear vector and matrix maps.

The map is ``eta = l + b + v * l + t * h`` or ``eta = l + b + W l + t * h``, where l are the
log-probabilities of a row and ``h = -log(1 - exp(l))``. Coefficients of 0 leave l as it is. Blocks
of rows have the classes first, ``(K, rows)``: sums over few classes are then quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

from .._typing import FloatArray, IntArray

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
#: Excess mean loss at which to stop: of few coefficients, where fits to weights and to repeated
#: rows agree to nine digits, and of more.
_TOLERANCES = 1e-18, 1e-11
#: Largest ``h``.
_STEEP = 30.0


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
        eta = self.slope @ l if self.slope.ndim == 2 else self.slope[:, None] * l
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
        return q
    np.exp(q, out=q)
    q *= (1.0 - mix) / q.sum(axis=0)
    q += mix / len(q)
    return np.log(q, out=q)


def curved(l: FloatArray) -> FloatArray:  # noqa: E741
    """``-log(1 - exp(l))``."""
    return -np.log(np.maximum(-np.expm1(l), np.exp(-_STEEP)))


class SoftmaxRows:
    """Rows to which softmax maps of one kind are fitted, as often as wanted.

    ``log_p`` is called for each block of rows in every pass over the data. ``matrix`` and
    ``curve`` say whether the maps have W in place of v, and t.
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
    ) -> None:
        n = len(y)
        self.log_p, self.y, self.k = log_p, y, n_classes
        self.w = np.full(n, 1.0 / n) if w is None else w / w.sum()
        self.matrix, self.curve = matrix, curve
        self.m = 1 + (n_classes if matrix else 1) + curve
        self._second: FloatArray | None = None

    def blocks(self, share: int = 1) -> Iterator[slice]:
        """Slices of every so-many-th row, in blocks."""
        step = max(16, _BLOCK // self.k) * share
        n = len(self.y)
        return (slice(i, min(i + step, n), share) for i in range(0, n, step))

    def coefficients(self, theta: FloatArray) -> Coefficients:
        """The parts of ``theta``."""
        slope = theta[:, 1 : 1 + self.k] if self.matrix else theta[:, 1]
        return Coefficients(theta[:, 0], slope, theta[:, -1] if self.curve else None)

    def loss(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Mean log loss and its gradient."""
        total, gradient = 0.0, np.zeros((self.k, self.m))
        parts = self.coefficients(gradient)
        for rows in self.blocks():
            l, y, w = self.log_p(rows), self.y[rows], self.w[rows]  # noqa: E741
            own = (y, np.arange(len(y)))
            p = self.coefficients(theta).scores(l)
            p -= p.max(axis=0)
            label = p[own]
            np.exp(p, out=p)
            norm = p.sum(axis=0)
            total += float(w @ (np.log(norm) - label))
            p *= w / norm
            p[own] -= w
            parts.intercept[:] += p.sum(axis=1)
            parts.slope[:] += p @ l.T if self.matrix else np.einsum("ij,ij->i", p, l)
            if parts.curve is not None:
                parts.curve[:] += np.einsum("ij,ij->i", p, curved(l))
        return total, gradient

    def _features(self, l: FloatArray) -> FloatArray:  # noqa: E741
        """Derivatives of each class's eta in its own coefficients, (K, m, rows)."""
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
            p = self.coefficients(theta).scores(l)
            p = np.exp(p - p.max(axis=0))
            p /= p.sum(axis=0)
            x = self._features(l)
            mean = p[:, None] * x
            weighted = mean * w
            out -= weighted.reshape(size, -1) @ mean.reshape(size, -1).T
            own = np.matmul(weighted, x.transpose(0, 2, 1))
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
        tol = _TOLERANCES[self.k * self.m > _DENSE[0]] if tol is None else tol
        penalty, shared = ridge.of_coefficients(self.k), ridge.shared(self.k)
        theta = np.zeros((self.k, self.m)) if start is None else start

        def objective(flat: FloatArray) -> tuple[float, FloatArray]:
            theta = flat.reshape(penalty.shape)
            value, gradient = self.loss(theta)
            pull = penalty * theta
            if shared:
                pull[:, -1] -= shared * theta[:, -1].sum()
            return value + float((pull * theta).sum()), (gradient + 2.0 * pull).ravel()

        scaled = self._scaling(theta, penalty, shared)
        flat, converged, n_iter = _quasi_newton(objective, theta.ravel(), scaled, tol, max_iter)
        theta = flat.reshape(penalty.shape)
        return SoftmaxFit(theta, self.loss(theta)[0], converged, n_iter)

    def _scaling(
        self, theta: FloatArray, penalty: FloatArray, shared: float
    ) -> Callable[[FloatArray], FloatArray]:
        """The steps that a gradient asks for: by the inverse of second derivatives or of blocks."""
        size = self.k * self.m
        if size > _DENSE[self.matrix]:
            return self._block_scaling(theta, penalty)
        if self._second is None:
            share = max(1, len(self.y) // max(1000, _PER_COEFFICIENT * size))
            self._second = self.second(theta, share)
        h = self._second.copy()
        h.flat[:: size + 1] += 2.0 * penalty.ravel() + 1e-10 * max(np.trace(h) / size, 1e-10)
        if shared:
            h[self.m - 1 :: self.m, self.m - 1 :: self.m] -= 2.0 * shared
        factor = cho_factor(h)
        return lambda g: cho_solve(factor, g)

    def _block_scaling(
        self, theta: FloatArray, penalty: FloatArray
    ) -> Callable[[FloatArray], FloatArray]:
        """Second derivatives within each class only; for W by one basis for all classes."""
        share = max(1, len(self.y) // 4000)
        k, m = theta.shape
        g, c, total = np.zeros((m, m) if self.matrix else (k, m, m)), np.zeros(k), 0.0
        for rows in self.blocks(share):
            l, w = self.log_p(rows), self.w[rows]  # noqa: E741
            p = self.coefficients(theta).scores(l)
            p = np.exp(p - p.max(axis=0))
            p /= p.sum(axis=0)
            spread = w * p * (1.0 - p)
            total += float(w.sum())
            if self.matrix:
                x = np.vstack((np.ones(len(w)), l, curved(l)[:1])[: 2 + self.curve])
                g += (x * spread.sum(axis=0)) @ x.T
                c += spread.sum(axis=1)
            else:
                x = self._features(l)
                g += np.matmul(x * spread[:, None], x.transpose(0, 2, 1))
        g /= total
        if not self.matrix:
            g[:, range(m), range(m)] += 2.0 * penalty + 1e-12
            inverse = np.linalg.inv(g)
            return lambda v: np.matmul(inverse, v.reshape(k, m, 1)).ravel()
        d = 2.0 * penalty.mean(axis=0)
        g /= c.sum()  # the class weighs c of it
        c /= total
        d += 1e-12 * max(float(c.mean() * np.trace(g) / m), 1e-12)
        part, basis = eigh(g, g + np.diag(d / c.mean()))
        denominator = c[:, None] * part + c.mean() * (1.0 - part)
        return lambda v: ((v.reshape(k, m) @ basis / denominator) @ basis.T).ravel()


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
) -> tuple[FloatArray, bool, int]:
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
            return x + step, True, n_iter
        for _ in range(40):
            f_new, g_new = objective(x + step)
            end = float(g_new @ step)
            lower = f_new <= f + 1e-4 * slope
            if lower or (f_new <= f + 1e-13 * abs(f) and abs(end) <= -0.9 * slope):
                break
            shrink = float(np.clip(slope / (slope - end), 0.1, 0.5))
            step, slope = shrink * step, shrink * slope
        else:
            return x, False, n_iter
        change = g_new - g
        if float(step @ change) > 0:
            pairs = [*pairs[1 - _MEMORY :], (step, change, float(step @ change))]
        x, f, g = x + step, f_new, g_new
    return x, False, max_iter
