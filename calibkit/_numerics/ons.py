"""Online Newton steps on the log loss of ``expit(theta . u)`` (Hazan, Agarwal, Kale 2007).

The matrix ``A = strength * I + sum g g'`` is kept as its factors ``A = L D L'``, L unit lower
triangular. A rank-one update only ever adds positive numbers to D, so A stays symmetric and
positive definite after any number of steps; its inverse, updated by Sherman and Morrison's formula,
loses both to rounding.
"""

from __future__ import annotations

from math import exp, sqrt
from typing import Any

from .jit import helper, loop

#: Newton steps on the secular equation of a projection; it converges in about five.
_STEPS = 60


@helper
def solve3(
    a11: float, a21: float, a22: float, a31: float, a32: float, a33: float,
    v1: float, v2: float, v3: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Solve a symmetric positive definite system of three equations."""
    l21, l31 = a21 / a11, a31 / a11
    d2 = a22 - l21 * a21
    c = a32 - l31 * a21
    l32 = c / d2
    d3 = a33 - l31 * a31 - l32 * c
    y2 = v2 - l21 * v1
    x3 = (v3 - l31 * v1 - l32 * y2) / d3
    x2 = y2 / d2 - l32 * x3
    return v1 / a11 - l21 * x2 - l31 * x3, x2, x3


@helper
def project3(
    l21: float, l31: float, l32: float, d1: float, d2: float, d3: float,
    x1: float, x2: float, x3: float, radius: float,
) -> tuple[float, float, float]:  # fmt: skip
    """The point of the ball that is nearest to x in the norm of A = L D L'.

    It is ``(A + m I)^-1 A x`` with the m >= 0 that puts it on the sphere. Newton's method on
    ``1 / |z(m)| = 1 / radius`` rises to m from 0 without passing it, and its error squares.
    """
    a11, a21, a31 = d1, d1 * l21, d1 * l31
    a22, a32 = d2 + l21 * a21, d2 * l32 + l31 * a21
    a33 = d3 + l32 * d2 * l32 + l31 * a31
    v1 = a11 * x1 + a21 * x2 + a31 * x3
    v2 = a21 * x1 + a22 * x2 + a32 * x3
    v3 = a31 * x1 + a32 * x2 + a33 * x3
    m = 0.0
    for _ in range(_STEPS):
        x1, x2, x3 = solve3(a11 + m, a21, a22 + m, a31, a32, a33 + m, v1, v2, v3)
        norm = sqrt(x1 * x1 + x2 * x2 + x3 * x3)
        if norm <= radius * (1.0 + 1e-14):
            break
        w1, w2, w3 = solve3(a11 + m, a21, a22 + m, a31, a32, a33 + m, x1, x2, x3)
        m += norm * norm / (x1 * w1 + x2 * w2 + x3 * w3) * (norm - radius) / radius
    shrink = min(1.0, radius / norm)
    return x1 * shrink, x2 * shrink, x3 * shrink


@helper
def update3(
    l21: float, l31: float, l32: float, d1: float, d2: float, d3: float,
    v1: float, v2: float, v3: float,
) -> tuple[float, float, float, float, float, float]:  # fmt: skip
    """Factors of ``L D L' + v v'`` (Gill, Golub, Murray, Saunders 1974, method C1)."""
    grown = d1 + v1 * v1
    k, t = v1 / grown, d1 / grown
    d1 = grown
    v2 -= v1 * l21
    v3 -= v1 * l31
    l21 += k * v2
    l31 += k * v3
    grown = d2 + t * v2 * v2
    if grown > 0.0:  # it may underflow, by a discount that forgets all
        k, t = t * v2 / grown, t * d2 / grown
    else:
        k = 0.0
    d2 = grown
    v3 -= v2 * l32
    l32 += k * v3
    return l21, l31, l32, d1, d2, d3 + t * v3 * v3


@loop
def platt_stream(
    z: Any, y: Any, out: Any, theta: Any, factor: Any,
    gamma: float, strength: float, radius: float, discount: float,
) -> None:  # fmt: skip
    """Forecast each row, then learn its label where there is one (NaN: none).

    ``theta`` holds slope and intercept, ``factor`` holds l, d1, d2 of the features (1, z).
    """
    a, b = theta
    low, d1, d2 = factor
    step, limit, old = 1.0 / gamma, radius * radius, (1.0 - discount) * strength
    for i in range(len(z)):
        x = z[i]
        t = a * x + b
        if t >= 0.0:
            q = 1.0 / (1.0 + exp(-t))
        else:
            q = exp(t)
            q /= 1.0 + q
        out[i] = q
        e = q - y[i]
        if e != e:
            continue
        if discount < 1.0:
            # A becomes discount * A + (1 - discount) * strength * I: the prior is not forgotten.
            d1 *= discount
            k = old / (d1 + old)
            d2 = discount * d2 + old + d1 * k * low * low
            d1 += old
            low -= k * low
        # The gradient is e * (1, z): a rank-one update of the factors, then a solve.
        square = e * e
        grown = d1 + square
        k = square / grown
        x -= low
        d2 += d1 * k * x * x
        d1 = grown
        low += k * x
        x -= k * x
        e *= step
        x *= e / d2
        a -= x
        b += low * x - e / d1
        if a * a + b * b > limit:
            b, a, x = project3(low, 0.0, 0.0, d1, d2, 1.0, b, a, 0.0, radius)
    theta[0], theta[1] = a, b
    factor[0], factor[1], factor[2] = low, d1, d2


@loop
def beta_stream(
    u: Any, v: Any, y: Any, out: Any, theta: Any, factor: Any,
    gamma: float, strength: float, radius: float, discount: float,
) -> None:  # fmt: skip
    """As :func:`platt_stream`, with u = log p, v = log(1 - p) and an intercept.

    ``theta`` holds the weights of u, v and 1; ``factor`` holds l21, l31, l32, d1, d2, d3 of the
    features (1, u, v).
    """
    a, b, c = theta
    l21, l31, l32, d1, d2, d3 = factor
    limit, old = radius * radius, sqrt(max((1.0 - discount) * strength, 0.0))
    for i in range(len(u)):
        t = a * u[i] + b * v[i] + c
        if t >= 0.0:
            q = 1.0 / (1.0 + exp(-t))
        else:
            q = exp(t)
            q /= 1.0 + q
        out[i] = q
        e = q - y[i]
        if e != e:
            continue
        if discount < 1.0:
            d1, d2, d3 = d1 * discount, d2 * discount, d3 * discount
            l21, l31, l32, d1, d2, d3 = update3(l21, l31, l32, d1, d2, d3, old, 0.0, 0.0)
            l21, l31, l32, d1, d2, d3 = update3(l21, l31, l32, d1, d2, d3, 0.0, old, 0.0)
            d3 += old * old
        g2, g3 = e * u[i], e * v[i]
        l21, l31, l32, d1, d2, d3 = update3(l21, l31, l32, d1, d2, d3, e, g2, g3)
        g2 -= l21 * e
        x3 = (g3 - l31 * e - l32 * g2) / d3
        x2 = g2 / d2 - l32 * x3
        c -= (e / d1 - l21 * x2 - l31 * x3) / gamma
        a -= x2 / gamma
        b -= x3 / gamma
        if a * a + b * b + c * c > limit:
            c, a, b = project3(l21, l31, l32, d1, d2, d3, c, a, b, radius)
    theta[0], theta[1], theta[2] = a, b, c
    factor[0], factor[1], factor[2] = l21, l31, l32
    factor[3], factor[4], factor[5] = d1, d2, d3


@loop
def temperature_stream(
    z: Any, y: Any, out: Any, state: Any, gamma: float, low: float, high: float
) -> None:
    """The inverse temperature before each row's label; ``z`` has a row of K logits for each.

    ``state`` holds the inverse temperature and the sum of squared gradients.
    """
    beta, a = state[0], state[1]
    for i in range(len(z)):
        out[i] = beta
        if y[i] != y[i]:
            continue
        top = z[i][0]
        for k in range(1, len(z[i])):
            top = max(top, z[i][k])
        total, mean = 0.0, 0.0
        for k in range(len(z[i])):
            e = exp(beta * (z[i][k] - top))
            total += e
            mean += e * (z[i][k] - top)
        g = mean / total - (z[i][int(y[i])] - top)
        a += g * g
        beta = min(max(beta - g / (gamma * a), low), high)
    state[0], state[1] = beta, a
