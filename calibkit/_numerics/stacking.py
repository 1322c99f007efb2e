"""Weights of maps in a pool, by their leave-one-out scores; all without folds.

The scores of a row without itself are found by one Newton step from the fit to all rows
(Beirami, Razaviyayn, Shahrampour, Tarokh 2017; Rad and Maleki 2020). A row of weight 2 is two
rows, one of which is left out. Scores have the classes first, ``(K, rows)``.
"""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray, IntArray
from .matrix import Ridge, SoftmaxRows, probabilities, stride

#: Log-odds of 1e-15: larger changes by one row are not believed.
_FAR = 35.0


def inverse_curvature(
    rows: SoftmaxRows, theta: FloatArray, ridge: Ridge, n: float, dense: bool
) -> tuple[FloatArray, float]:
    """Inverse of the second derivatives of the penalized loss of n rows, and their freedom.

    Of shape (K, m, K, m), or with ``dense=False`` of the blocks of the classes, (K, m, m). The
    freedom is the effective number of parameters.
    """
    k, m = theta.shape
    penalty, shared = 2.0 * n * ridge.of_coefficients(k), 2.0 * n * ridge.shared(k)
    share = stride(len(rows.y) // max(10_000, 4 * k * m), k)
    if not dense:
        a = n * rows.second_of_classes(theta, share)
        free = a.copy()
        a[:, range(m), range(m)] += penalty
        inverse = np.asarray(np.linalg.inv(a), dtype=np.float64)
        return inverse, float(np.einsum("kab,kba->", free, inverse))
    second = n * rows.second(theta, share)
    a = second.copy()
    a.flat[:: k * m + 1] += penalty.ravel()
    if shared:
        a[m - 1 :: m, m - 1 :: m] -= shared
    inverse = np.asarray(np.linalg.inv(a), dtype=np.float64)
    return inverse.reshape(k, m, k, m), float(np.einsum("ab,ba->", second, inverse))


def left_out(eta: FloatArray, y: IntArray, x: FloatArray, inverse: FloatArray) -> FloatArray:
    """Scores of each row by the map that was fitted without the row, from its features."""
    p = probabilities(eta)
    x = np.broadcast_to(x, (len(eta), *x.shape[-2:]))
    residual = p.copy()
    residual[y, np.arange(len(y))] -= 1.0
    if inverse.ndim == 3:
        h = np.einsum("kar,kab,kbr->kr", x, inverse, x, optimize=True)
        d = 1.0 / np.maximum(1.0 / np.maximum(h, 1e-300) - p, 1e-3)
        step = d * residual
        step -= d * p * ((p * step).sum(axis=0) / (1.0 + (p * d * p).sum(axis=0)))
    else:
        k, m, n = x.shape
        f = np.ascontiguousarray(x.transpose(2, 0, 1))
        h = np.empty((n, k, k))
        for j in range(k):
            half = (f[:, j] @ inverse[j].reshape(m, k * m)).reshape(n, k, m)
            h[:, j] = np.einsum("nkm,nkm->nk", half, f)
        q, r = p.T, residual.T
        a = h * q[:, None, :]  # H S with S = diag(q) - q q'
        a -= (h @ q[:, :, None]) * q[:, None, :]
        np.negative(a, out=a)
        a[:, range(k), range(k)] += 1.0
        step = np.matmul(h, np.linalg.solve(a, r[:, :, None]))[:, :, 0].T
    out: FloatArray = eta + np.clip(step, -_FAR, _FAR)
    return out


def stack_weights(
    margins: list[FloatArray], w: FloatArray, prior: float, max_iter: int = 60
) -> FloatArray:
    """Weights on the simplex with the smallest log loss of the weighted mean of scores.

    ``margins`` are the scores of each map minus those of the label's class. The weights have a
    Dirichlet prior, worth ``prior`` rows that are shared equally: Newton's method inside the
    simplex finds the maximum.
    """
    m = len(margins)
    a, share = np.full(m, 1.0 / m), np.full(m, prior / m)
    flat = np.stack(margins)

    def value(a: FloatArray) -> float:
        e = np.tensordot(a, flat, 1)
        top = e.max(axis=0)
        e -= top
        return float(w @ (np.log(np.exp(e, out=e).sum(axis=0)) + top) - share @ np.log(a))

    f = value(a)
    for _ in range(max_iter):
        p = probabilities(np.tensordot(a, flat, 1))
        mean = np.einsum("kr,mkr->mr", p, flat)
        g = mean @ w - share / a
        p *= w
        second = np.array([np.tensordot(flat, x * p, 2) for x in flat])
        h = second - (mean * w) @ mean.T + np.diag(share / a**2)
        both = np.linalg.solve(h, np.column_stack((g, np.ones(m))))
        d = both[:, 1] * (both[:, 0].sum() / both[:, 1].sum()) - both[:, 0]
        promised = -float(g @ d)
        if promised <= 1e-13 * (1.0 + abs(f)):
            break
        falls = d < 0
        t = min(1.0, float(0.95 * np.min(-a[falls] / d[falls])) if falls.any() else 1.0)
        while t > 1e-10 and value(a + t * d) > f - 1e-4 * t * promised:
            t *= 0.5
        if t <= 1e-10:
            break
        a = a + t * d
        f = value(a)
    out: FloatArray = a / a.sum()
    return out
