"""Lines of the log-odds: fits of many label sets together, profiles, and exact null moments."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import xlogy

from .._typing import FloatArray
from .links import expit

#: Most Newton steps.
_STEPS = 50
#: A step moves no cell's log-odds farther than this, or by half of the largest.
_REACH = 8.0
#: Standardised slopes and intercepts beyond this belong to separated labels.
_FAR = 200.0
#: Ends of intervals are looked for so far from the estimate, in standard errors.
_WIDEST = 2.0**12


class Lines(NamedTuple):
    """Fits of ``intercept + slope * z``, one for each label set, and their log-likelihoods."""

    intercept: FloatArray
    slope: FloatArray
    log_likelihood: FloatArray


def log_likelihood(eta: FloatArray, w: FloatArray, wy: FloatArray) -> FloatArray:
    """Weighted log-likelihood of log-odds, over the last axis."""
    loss = np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta)))
    return np.asarray((eta * wy).sum(axis=-1) - (loss * w).sum(axis=-1))


def separated(w: FloatArray, wy: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Direction in which labels are separated by cells in ascending order, and the limit of the
    log-likelihood there.

    +1 if no cell with an event lies below one without, -1 the other way round, 0 if they overlap.
    Label sets are rows; cells where both occur may be the border.
    """
    wy = np.atleast_2d(wy)
    w = np.broadcast_to(w, wy.shape)
    m, slack = wy.shape[1], 1e-12 * w
    yes, no = wy > slack, w - wy > slack

    lowest = [np.where(a.any(axis=1), np.argmax(a, axis=1), m) for a in (no, yes)]
    highest = [m - 1 - np.argmax(a[:, ::-1], axis=1) for a in (no, yes)]
    highest = [np.where(a.any(axis=1), h, -1) for a, h in zip((no, yes), highest, strict=True)]
    up, down = lowest[1] >= highest[0], lowest[0] >= highest[1]
    sign = np.where(up, 1, np.where(down, -1, 0))
    share = np.where(yes & no, wy / np.where(w > 0, w, 1.0), 0.5)
    limit = np.where(yes & no, xlogy(wy, share) + xlogy(w - wy, 1.0 - share), 0.0)
    return sign, limit.sum(axis=1)


def fit_lines(z: FloatArray, w: FloatArray, wy: FloatArray) -> Lines:
    """Maximum likelihood by Newton steps from the identity; label sets are the rows of ``wy``.

    Separated labels have a slope of plus or minus infinity and the limit of the log-likelihood.
    """
    total = np.atleast_2d(w)[0].sum()  # the unit of the weights changes nothing
    wy = np.atleast_2d(wy) / total
    w = np.broadcast_to(w / total, wy.shape)
    share = w[0]
    center = float(share @ z)
    spread = float(np.sqrt(share @ (z - center) ** 2))
    x = (z - center) / spread
    far = float(np.abs(x).max())
    sign, limit = separated(w, wy)
    # The identity; where it is flat to rounding, a line less far out.
    start = np.clip([center, spread], -0.5 * _FAR, 0.5 * _FAR)
    theta = np.tile(start, (len(wy), 1))
    open_ = np.flatnonzero(sign == 0)
    theta[open_] = _newton(x, w[open_], wy[open_], theta[open_], far)
    slope = theta[:, 1] / spread
    intercept = theta[:, 0] - slope * center
    value = log_likelihood(theta[:, :1] + theta[:, 1:] * x, w, wy)
    apart = sign != 0
    slope[apart], intercept[apart] = np.inf * sign[apart], np.nan
    return Lines(intercept, slope, total * np.where(apart, limit, value))


def _newton(
    x: FloatArray, w: FloatArray, wy: FloatArray, theta: FloatArray, far: float
) -> FloatArray:
    powers = np.column_stack((np.ones_like(x), x, x * x))
    theta = theta.copy()
    left = np.arange(len(theta))
    value = log_likelihood(theta[:, :1] + theta[:, 1:] * x, w, wy)
    for _ in range(_STEPS):
        if len(left) == 0:
            break
        now, weight, event = theta[left], w[left], wy[left]
        q = expit(now[:, :1] + now[:, 1:] * x)
        g = (event - weight * q) @ powers[:, :2]
        h = (weight * q * (1.0 - q)) @ powers
        det = np.maximum(h[:, 0] * h[:, 2] - h[:, 1] ** 2, 1e-300)
        step = (
            np.column_stack(
                (h[:, 2] * g[:, 0] - h[:, 1] * g[:, 1], h[:, 0] * g[:, 1] - h[:, 1] * g[:, 0])
            )
            / det[:, None]
        )
        moved = np.abs(step[:, 0]) + far * np.abs(step[:, 1])
        most = np.maximum(0.5 * (np.abs(now[:, 0]) + far * np.abs(now[:, 1])), _REACH)
        step *= np.minimum(1.0, most / np.maximum(moved, 1e-300))[:, None]
        gain = (g * step).sum(axis=1)
        step = _halved(x, weight, event, now, step, value[left])
        theta[left] = now + step
        eta = theta[left][:, :1] + theta[left][:, 1:] * x
        value[left] = log_likelihood(eta, weight, event)
        done = (gain < 1e-13 * (1.0 + np.abs(value[left]))) | (
            np.abs(theta[left]).max(axis=1) > _FAR
        )
        left = left[~done]
    return theta


def _halved(
    x: FloatArray,
    w: FloatArray,
    wy: FloatArray,
    theta: FloatArray,
    step: FloatArray,
    value: FloatArray,
) -> FloatArray:
    """Steps halved where the likelihood would fall."""
    for _ in range(30):
        after = theta + step
        new = log_likelihood(after[:, :1] + after[:, 1:] * x, w, wy)
        worse = new < value - 1e-9 * (1.0 + np.abs(value))
        if not worse.any():
            break
        step = np.where(worse[:, None], 0.5 * step, step)
    return step


def best_shift(z: FloatArray, w: FloatArray, events: FloatArray) -> FloatArray:
    """The c for which ``expit(z + c)`` expects so many events, for each number of them.

    Plus or minus infinity where none or all of the weight is events.
    """
    total = float(w.sum())
    inside = (events > 1e-12 * total) & (events < (1.0 - 1e-12) * total)
    wanted = np.where(inside, events, 0.5 * total)
    odds = np.log(wanted / (total - wanted))
    low, high = odds - z.max() - 1e-9, odds - z.min() + 1e-9
    c = np.clip(np.zeros_like(odds), low, high)
    for _ in range(100):
        q = expit(z + c[:, None])
        excess = wanted - q @ w
        low, high = np.where(excess > 0, c, low), np.where(excess > 0, high, c)
        new = c + excess / np.maximum((q * (1.0 - q)) @ w, 1e-300)
        new = np.where((new > low) & (new < high), new, 0.5 * (low + high))
        small = np.abs(new - c) <= 1e-14 * (1.0 + np.abs(c))
        c = new
        if small.all():
            break
    return np.where(inside, c, np.where(events > 0.5 * total, np.inf, -np.inf))


def information(z: FloatArray, v: FloatArray) -> FloatArray:
    """``sum v x x'`` with x = (1, z)."""
    return np.array([[v.sum(), v @ z], [v @ z, v @ (z * z)]])


def sum_tail(statistic: float, scales: FloatArray) -> float:
    """P(s1 X1 + s2 X2 > statistic) of independent chi-squared variables with one degree of freedom.

    In polar coordinates it is a mean over the angle, of a smooth periodic function.
    """
    angle = (np.arange(512) + 0.5) * (np.pi / 1024)
    scale = scales[0] * np.cos(angle) ** 2 + scales[1] * np.sin(angle) ** 2
    return float(np.exp(-statistic / (2.0 * np.maximum(scale, 1e-300))).mean())


def _profiled(
    offset: FloatArray, column: FloatArray, w: FloatArray, wy: FloatArray, start: float
) -> tuple[float, float]:
    """Largest log-likelihood of the log-odds ``offset + t * column``, and the t where it is."""
    far = max(float(np.abs(column).max()), 1e-300)
    t = start
    best = float(log_likelihood(offset + t * column, w, wy))
    for _ in range(_STEPS):
        q = expit(offset + t * column)
        g = float((wy - w * q) @ column)
        h = max(float((w * q * (1.0 - q)) @ (column * column)), 1e-300)
        step = float(np.clip(g / h, -_REACH / far, _REACH / far))
        while True:
            new = float(log_likelihood(offset + (t + step) * column, w, wy))
            if new >= best - 1e-9 * (1.0 + abs(best)) or abs(step) < 1e-12:
                break
            step *= 0.5
        t, best = t + step, max(new, best)
        if g * step < 1e-12:
            break
    return best, t


def profile_ends(
    z: FloatArray, w: FloatArray, wy: FloatArray, line: Lines, parameter: int, cutoff: float
) -> tuple[float, float]:
    """Where twice the log-likelihood of the profile lies ``cutoff`` below its maximum.

    Infinite where it never does.
    """
    top, w, wy = float(line.log_likelihood[0]) / cutoff, w / cutoff, wy / cutoff
    pair = float(line.intercept[0]), float(line.slope[0])
    at, other = pair[parameter], pair[1 - parameter]
    scale = 1.0 / max(float(np.std(z)), 1e-9) if parameter == 1 else 1.0
    v = w
    if np.isfinite(at):
        q = expit(pair[0] + pair[1] * z)
        v = w * q * (1.0 - q)
        covariance = np.linalg.pinv(information(z, v))
        scale = min(float(np.sqrt(max(covariance[parameter, parameter], 1e-300))), 1e3 * scale)
    # Without its part along the free column, the fixed one hardly moves what is best for that.
    columns = np.ones_like(z), z
    fixed, free = columns[parameter], columns[1 - parameter]
    along = float((v * free) @ fixed / ((v * free) @ free))
    fixed = fixed - along * free
    warm = [other + along * at if np.isfinite(at) else 0.0]

    def excess(value: float) -> float:
        found, warm[0] = _profiled(value * fixed, free, w, wy, warm[0])
        return 2.0 * (top - found) - 1.0

    def end(sign: float, start: float) -> float:
        near, reach = start, scale
        while reach < _WIDEST * scale:
            beyond = start + sign * reach
            if excess(beyond) > 0:
                return float(brentq(excess, near, beyond, xtol=1e-10, rtol=1e-9))
            near, reach = beyond, 2.0 * reach
        return sign * np.inf

    if np.isfinite(at):
        return end(-1.0, at), end(1.0, at)
    # Separated: the likelihood rises towards an infinite slope.
    sign = float(np.sign(at))
    inner = sign * 8.0 * scale
    while excess(inner) > 0:
        inner *= 2.0
    return (end(-1.0, inner), np.inf) if sign > 0 else (-np.inf, end(1.0, inner))


def shift_ends(
    z: FloatArray, w: FloatArray, w2: FloatArray, events: float, reach: float
) -> tuple[float, float]:
    """Shifts c that the sum of the labels doesn't refute: it is at most ``reach`` standard errors
    from what ``expit(z + c)`` expects. Infinite where no shift is refuted."""

    def excess(c: float, sign: float) -> float:
        q = expit(z + c)
        deviation = float(np.sqrt(w2 @ (q * (1.0 - q))))
        return sign * (events - float(w @ q)) - reach * deviation

    total = float(w.sum())
    inside = 1e-9 * total < events < (1.0 - 1e-9) * total
    middle = float(best_shift(z, w, np.array([events]))[0]) if inside else 0.0

    def end(sign: float) -> float:
        # excess(middle, sign) <= 0; towards -sign * infinity it becomes positive.
        step, near = 1.0, middle
        if not inside:
            step, near = 1.0, (-40.0 - z.max()) if events < 0.5 * total else (40.0 - z.min())
        while step < 1e4:
            beyond = near - sign * step
            if excess(beyond, sign) > 0:
                return float(brentq(excess, near, beyond, args=(sign,), xtol=1e-10))
            near, step = beyond, 2.0 * step
        return -sign * np.inf

    if inside:
        return end(1.0), end(-1.0)
    return (-np.inf, end(-1.0)) if events < 0.5 * total else (end(1.0), np.inf)
