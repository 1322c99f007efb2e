"""Streams of :mod:`.multistream` that learnt from different rows, put together."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray
from .multistream import COUNT, START, Settings, into_ball


def join(one: FloatArray, two: FloatArray, settings: Settings) -> FloatArray:
    """Rows of streams that learnt from the labels of both.

    With ``A = strength * I + M`` a stream that set out from s and heads for theta* is, on average,
    at ``theta = s + (I - C)(theta* - s)``, where ``C = (A / strength)^(-1 / gamma)`` solves its
    differential equation. So ``M theta* = F (theta - s) + M s`` with ``F = M (I - C)^-1``. These
    vectors are added up, as are M and the counts, and the same equation gives theta back. (For
    gamma = 1 it is F = A, the product of Gaussians.)
    """
    strength, radius = settings[1:3]
    out = one + two
    n = out[:, COUNT]
    for i in (START, START + 1):
        out[:, i] = (one[:, COUNT] * one[:, i] + two[:, COUNT] * two[:, i]) / n
    m11, m21, m22, h1, h2 = _evidence(one, settings) + _evidence(two, settings)
    a0, b0 = out[:, START], out[:, START + 1]
    h1, h2 = h1 - m11 * b0 - m21 * a0, h2 - m21 * b0 - m22 * a0
    f11, f21, f22 = _pull(m11, m21, m22, n, settings, inverse=True)
    a, b = a0 + f21 * h1 + f22 * h2, b0 + f11 * h1 + f21 * h2
    d1 = strength + m11
    m = m21 / d1
    # The Schur complement of a matrix of at least strength * I, whatever rounding says.
    d2 = np.maximum(strength + m22 - m * m21, strength)
    into_ball(a, b, m, d1, d2, radius)
    out.T[:COUNT] = a, b, m, d1, d2
    return out


def _evidence(rows: FloatArray, settings: Settings) -> FloatArray:
    """What labels have added: M, as three numbers, and ``M theta*``; features are (1, z)."""
    a, b, m, d1, d2, n, a0, b0 = rows.T
    m11 = np.maximum(d1 - settings[1], 0.0)
    m21, m22 = d1 * m, np.maximum(d2 + d1 * m * m - settings[1], 0.0)
    f11, f21, f22 = _pull(m11, m21, m22, n, settings)
    a, b = a - a0, b - b0
    h1, h2 = f11 * b + f21 * a + m11 * b0 + m21 * a0, f21 * b + f22 * a + m21 * b0 + m22 * a0
    return np.stack((m11, m21, m22, h1, h2))


def _pull(
    m11: FloatArray, m21: FloatArray, m22: FloatArray, n: FloatArray,
    settings: Settings, inverse: bool = False,
) -> tuple[FloatArray, FloatArray, FloatArray]:  # fmt: skip
    """F of :func:`join`, or its inverse: a function of the eigenvalues of M.

    A discount below 1 holds A down, but not the way that n steps have gone.
    """
    gamma, strength, _, discount = settings
    middle, half = (m11 + m22) / 2.0, (m11 - m22) / 2.0
    spread = np.sqrt(half * half + m21 * m21)
    faded = -n * np.log(discount)
    ends = []
    for value in (middle + spread, middle - spread):
        value = np.maximum(value, 1e-9 * strength)  # where F is at its limit
        way = (faded + np.log1p(value / strength)) / (1.0 - strength * np.expm1(-faded) / value)
        ends.append(value / -np.expm1(-way / gamma))
    high, low = (1.0 / e for e in ends) if inverse else ends
    mean, slope = (high + low) / 2.0, (high - low) / 2.0 / np.maximum(spread, 1e-300)
    return mean + slope * half, slope * m21, mean - slope * half
