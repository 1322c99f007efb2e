"""Online Platt scaling of many streams at once: a row of numbers for each, and a pooled estimate.

A row is one cache line of eight numbers: slope, intercept, the factors l, d1, d2 of :mod:`.ons`,
how many labels the stream has seen, and the slope and intercept that it started from. A stream
without labels is a row of zeros and stands at the pooled estimate.

Rows are learnt in order by one source, compiled where Numba is installed. Elsewhere NumPy takes
one label of each stream at a time; both, and any cut into calls, give the same bits.
"""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np

from .._typing import FloatArray, IntArray
from .jit import helper, loop
from .links import expit
from .ons import project3

#: Numbers in a row, and the places of some.
WIDTH = 8
D1, D2, COUNT, START = 3, 4, 5, 6

#: gamma, strength, radius, discount.
Settings = tuple[float, float, float, float]

#: Rows whose state is fetched ahead of its use: many waits for memory become one.
_BLOCK = 256
#: Streams fewer than this are learnt faster one by one than by arrays.
_FEW = 64


@helper
def sigmoid(t: float) -> float:
    """As in :mod:`.ons`, bit for bit; NumPy's exp may differ in the last."""
    if t >= 0.0:
        return 1.0 / (1.0 + exp(-t))
    q = exp(t)
    return q / (1.0 + q)


@helper
def newton2(
    a: Any, b: Any, m: Any, d1: Any, d2: Any, x: Any, e: Any,
    step: float, old: float, discount: float,
) -> tuple[Any, Any, Any, Any, Any]:  # fmt: skip
    """The step of :func:`.ons.platt_stream` before projection, of numbers or of arrays."""
    if discount < 1.0:
        d1 = d1 * discount
        k = old / (d1 + old)
        d2 = discount * d2 + old + d1 * k * m * m
        d1 = d1 + old
        m = m - k * m
    square = e * e
    grown = d1 + square
    k = square / grown
    x = x - m
    d2 = d2 + d1 * k * x * x
    m = m + k * x
    x = (x - k * x) * (e * step / d2)
    return a - x, b + (m * x - e * step / grown), m, grown, d2


@loop
def pool(
    z: Any, y: Any, slopes: Any, shifts: Any, state: Any,
    gamma: float, strength: float, radius: float, discount: float,
) -> None:  # fmt: skip
    """Learn all rows as one stream; write down the slope and intercept before each."""
    a, b, m, d1, d2 = state[0], state[1], state[2], state[3], state[4]
    step, limit, old = 1.0 / gamma, radius * radius, (1.0 - discount) * strength
    for i in range(len(z)):
        slopes[i], shifts[i] = a, b
        e = sigmoid(a * z[i] + b) - y[i]
        if e != e:
            continue
        a, b, m, d1, d2 = newton2(a, b, m, d1, d2, z[i], e, step, old, discount)
        if a * a + b * b > limit:
            b, a, _ = project3(m, 0.0, 0.0, d1, d2, 1.0, b, a, 0.0, radius)
    state[0], state[1], state[2], state[3], state[4] = a, b, m, d1, d2


@loop
def walk(
    z: Any, y: Any, slot: Any, slopes: Any, shifts: Any, out: Any, rows: Any,
    gamma: float, strength: float, radius: float, discount: float,
) -> None:  # fmt: skip
    """Forecast each row by its stream's state, then learn its label where there is one.

    ``slot`` says which row of ``rows`` holds the state, below 0 for none.
    """
    step, limit, old = 1.0 / gamma, radius * radius, (1.0 - discount) * strength
    for i in range(len(z)):
        a, b, m, d1, d2, n = slopes[i], shifts[i], 0.0, strength, strength, 0.0
        row = rows[slot[i]]
        if slot[i] >= 0 and row[5] > 0.0:
            a, b, m, d1, d2, n = row[0], row[1], row[2], row[3], row[4], row[5]
        q = sigmoid(a * z[i] + b)
        out[i] = q
        e = q - y[i]
        if e != e:
            continue
        if n == 0.0:
            row[6], row[7] = a, b
        a, b, m, d1, d2 = newton2(a, b, m, d1, d2, z[i], e, step, old, discount)
        if a * a + b * b > limit:
            b, a, _ = project3(m, 0.0, 0.0, d1, d2, 1.0, b, a, 0.0, radius)
        row[0], row[1], row[2], row[3], row[4], row[5] = a, b, m, d1, d2, n + 1.0


@helper
def keep(slot: Any, rows: Any, before: Any) -> None:
    """Write rows down as they are. It brings them into cache too: loads that wait for nothing
    wait together."""
    for i in range(len(slot)):
        row = rows[slot[i]]
        for k in range(len(row)):
            before[i, k] = row[k]


@loop
def blocks(
    z: Any, y: Any, slot: Any, out: Any, before: Any, state: Any, rows: Any,
    slopes: Any, shifts: Any,
    gamma: float, strength: float, radius: float, discount: float,
) -> None:  # fmt: skip
    """Keep, pool, then walk, a block at a time; ``slopes`` and ``shifts`` are room for one block.

    A row that comes in several blocks is kept as it was in the first: it is to be put back last.
    """
    size = len(slopes)
    for i in range(0, len(z), size):
        j = min(i + size, len(z))
        keep(slot[i:j], rows, before[i:j])
        pool(z[i:j], y[i:j], slopes, shifts, state, gamma, strength, radius, discount)
        walk(
            z[i:j], y[i:j], slot[i:j], slopes, shifts, out[i:j], rows,
            gamma, strength, radius, discount,
        )  # fmt: skip


def new_rows(n: int) -> FloatArray:
    """Rows of streams without labels, each on a cache line of its own."""
    raw = np.zeros((n + 1) * WIDTH)
    start = (-raw.ctypes.data % 64) // 8
    return raw[start : start + n * WIDTH].reshape(n, WIDTH)


def learn(
    z: FloatArray, y: FloatArray, slot: IntArray, state: FloatArray, rows: FloatArray,
    before: FloatArray, settings: Settings,
) -> FloatArray:  # fmt: skip
    """Forecasts of rows from labels before them; ``state`` and ``rows`` learn in place.

    ``before`` has room for a row of state for each row, to put them back; from the last to the
    first, for a stream may have several.
    """
    out = np.empty(len(z))
    if blocks.compiles(len(z)):  # type: ignore[attr-defined]
        room = np.empty((2, _BLOCK))
        blocks.compiled(z, y, slot, out, before, state, rows, *room, *settings)  # type: ignore[attr-defined]
        return out
    before[:] = rows[slot]
    pooled, here = state.tolist(), [[0.0] * len(z), [0.0] * len(z)]
    pool.source(z.tolist(), y.tolist(), *here, pooled, *settings)  # type: ignore[attr-defined]
    slopes, shifts = np.array(here[0]), np.array(here[1])
    i, other = np.flatnonzero(slot >= 0), np.flatnonzero(slot < 0)
    out[other] = _sigmoids(slopes[other] * z[other] + shifts[other])
    used, local = np.unique(slot[i], return_inverse=True)
    part = rows[used]
    out[i] = _by_turns(z[i], y[i], local, slopes[i], shifts[i], part, settings)
    rows[used], state[:] = part, pooled
    return out


def _sigmoids(t: FloatArray) -> FloatArray:
    return np.array([sigmoid(v) for v in t.tolist()])


def _by_turns(
    z: FloatArray, y: FloatArray, slot: IntArray, slopes: FloatArray, shifts: FloatArray,
    rows: FloatArray, settings: Settings,
) -> FloatArray:  # fmt: skip
    """As :func:`walk`: the first row of every stream at once, then the second, and so on."""
    out = np.empty(len(z))
    order, sizes = np.argsort(slot, kind="stable"), np.bincount(slot)
    # The turn of a row is how many rows of its stream come before it.
    turn = np.arange(len(z)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    order = order[np.argsort(turn, kind="stable")]
    start = 0
    for size in np.bincount(turn).tolist():
        if size < _FEW:
            break
        i = order[start : start + size]
        out[i] = _turn(z[i], y[i], slot[i], slopes[i], shifts[i], rows, settings)
        start += size
    if start < len(z):
        i = np.sort(order[start:])
        used, local = np.unique(slot[i], return_inverse=True)
        parts, forecasts = rows[used].tolist(), [0.0] * len(i)
        columns = (v.tolist() for v in (z[i], y[i], local, slopes[i], shifts[i]))
        walk.source(*columns, forecasts, parts, *settings)  # type: ignore[attr-defined]
        out[i], rows[used] = forecasts, parts
    return out


def _turn(
    z: FloatArray, y: FloatArray, slot: IntArray, slope: FloatArray, shift: FloatArray,
    rows: FloatArray, settings: Settings,
) -> FloatArray:  # fmt: skip
    """As :func:`walk`, of one row of each of many streams."""
    gamma, strength, radius, discount = settings
    state = rows[slot].T.copy()
    new = state[COUNT] == 0.0
    for i, value in (
        (0, slope),
        (1, shift),
        (D1, strength),
        (D2, strength),
        (6, slope),
        (7, shift),
    ):
        np.copyto(state[i], value, where=new)
    q = _sigmoids(state[0] * z + state[1])
    known = np.flatnonzero(y == y)
    state, z, e = state[:, known], z[known], q[known] - y[known]
    a, b, m, d1, d2 = newton2(
        *state[:COUNT], z, e, 1.0 / gamma, (1.0 - discount) * strength, discount
    )
    into_ball(a, b, m, d1, d2, radius)
    state[:COUNT] = a, b, m, d1, d2
    state[COUNT] += 1.0
    rows[slot[known]] = state.T
    return q


def into_ball(
    a: FloatArray, b: FloatArray, m: FloatArray, d1: FloatArray, d2: FloatArray, radius: float
) -> None:
    """Project the few that are outside, in place."""
    for i in np.flatnonzero(a * a + b * b > radius * radius).tolist():
        where = (float(m[i]), 0.0, 0.0, float(d1[i]), float(d2[i]), 1.0, float(b[i]), float(a[i]))
        b[i], a[i], _ = project3(*where, 0.0, radius)


def forecast(z: FloatArray, slot: IntArray, pooled: FloatArray, rows: FloatArray) -> FloatArray:
    """Forecasts that change nothing; by the pooled slope and intercept where there is no stream."""
    theta = rows[slot, :2]
    theta[slot < 0] = pooled
    return expit(theta[:, 0] * z + theta[:, 1])


def join(one: FloatArray, two: FloatArray, settings: Settings) -> FloatArray:
    """Rows of streams that learnt from the labels of both.

    With ``A = strength * I + M`` a stream that set out from s and heads for theta* is, on average,
    at ``theta = s + (I - C)(theta* - s)``, where ``C = (A / strength)^(-1 / gamma)`` solves its
    differential equation. So ``M theta* = F (theta - s) + M s`` with ``F = M (I - C)^-1``. These
    vectors are added up, as are M and the counts, and the same equation gives theta back. (For
    gamma = 1 it is F = A, the product of Gaussians. With smaller ones that would move twice as far
    as it should: at gamma = .1 a stream comes near its optimum while A is still about A0.)
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
