"""Newton's method for smooth convex functions of one to three parameters, with bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np

from .._typing import FloatArray

#: ``(lower, upper)``, infinite where a parameter is free.
Bounds = tuple[FloatArray, FloatArray]

#: Excess mean loss at which to stop: far below what matters to a forecast, so that a fit to
#: weights and one to repeated rows, which start differently, agree to nine digits.
TOLERANCE = 1e-20


class Problem(Protocol):
    """A mean negative log-likelihood."""

    def __call__(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient and Hessian."""

    def loss(self, theta: FloatArray) -> float:
        """The value."""

    def reach(self, step: FloatArray) -> float:
        """A bound of how far a step moves any row's log-odds."""


class Minimum(NamedTuple):
    """Where Newton's method stopped."""

    theta: FloatArray
    hessian: FloatArray  # where it was last evaluated, a step away at most
    converged: bool
    n_iter: int


def damped_solution(h: FloatArray, right: FloatArray) -> FloatArray:
    """Solution of ``h @ x = right``, scaled to a unit diagonal and a little damped.

    The damping gives directions without curvature a long step instead of none: where all rows are
    saturated the gradient still says which way to go.
    """
    if len(h) == 2:  # with plain floats, where a call of NumPy takes longer than the solution
        return _solution_of_two(*h.ravel().tolist(), *right.tolist())
    scale = np.sqrt(h.diagonal())
    scale[scale <= 0] = 1.0
    scaled = h / scale / scale[:, None]
    scaled.flat[:: len(h) + 1] += 1e-13
    return np.linalg.solve(scaled, right / scale) / scale


def _solution_of_two(a: float, b: float, _: float, c: float, p: float, q: float) -> FloatArray:
    """The same for the matrix of rows (a, b) and (b, c), by elimination."""
    s, t = math.sqrt(a) if a > 0 else 1.0, math.sqrt(c) if c > 0 else 1.0
    a, b, c, p, q = a / s / s + 1e-13, b / s / t, c / t / t + 1e-13, p / s, q / t
    second = (q - b / a * p) / (c - b / a * b)
    return np.array([(p - b * second) / a / s, second / t])


def _step(g: FloatArray, h: FloatArray, theta: FloatArray, bounds: Bounds | None) -> FloatArray:
    """Minimiser of the quadratic model; with bounds, the best over all faces of the box."""
    newton = damped_solution(h, -g)
    if bounds is None:
        return newton
    lower, upper = bounds[0] - theta, bounds[1] - theta
    if (newton >= lower).all() and (newton <= upper).all():
        return newton
    best, best_value = np.zeros_like(theta), 0.0
    for fixed in product(*[[np.nan, *{b for b in pair if np.isfinite(b)}]
                           for pair in zip(lower, upper, strict=True)]):  # fmt: skip
        step = np.asarray(fixed)
        free = np.isnan(step)
        step[free] = 0.0
        if free.any():
            step[free] = damped_solution(h[np.ix_(free, free)], -(g + h @ step)[free])
        value = float(g @ step + 0.5 * step @ h @ step)
        if (step >= lower).all() and (step <= upper).all() and value < best_value:
            best, best_value = step, value
    return best


def _shortened(
    loss: Callable[[FloatArray], float], theta: FloatArray, step: FloatArray, slope: float
) -> FloatArray:
    """The step, halved until the loss falls as its slope promises."""
    start = loss(theta)
    for _ in range(100):
        if loss(theta + step) <= start + 1e-4 * slope:
            break
        step, slope = 0.5 * step, 0.5 * slope
    return step


def minimise(
    problem: Problem,
    theta: FloatArray,
    *,
    bounds: Bounds | None = None,
    longest: float = np.inf,
    tol: float = TOLERANCE,
    max_iter: int = 200,
) -> Minimum:
    """Minimise a mean log-loss by Newton steps, shortened where they are long and do not pay.

    For logistic losses the third derivative is at most the reach of a step times the second. So a
    full step of reach below one is safe, and leaves an excess of about ``decrement * reach**2``:
    once this is below ``tol`` the step is taken and no further pass over the data is spent on
    confirming it. Longer steps are checked against the loss itself, at the cost of a pass or two.
    No parameter moves by more than ``longest`` at once.
    """
    g, h = problem(theta)
    for n_iter in range(1, max_iter + 1):
        step = _step(g, h, theta, bounds)
        # Where all rows are saturated the curvature is next to nothing and the step astronomical.
        step *= min(1.0, longest / max(np.abs(step).max(), 1e-300))
        slope = float(g @ step)
        distance = problem.reach(step)
        if slope >= 0 or (distance <= 1 and -slope * distance**2 < tol):
            return Minimum(theta + step if slope < 0 else theta, h, True, n_iter)
        g_new, h_new = problem(theta + step)
        # A long step pays where it takes most of the slope away, in either direction.
        if distance > 1 and not abs(g_new @ step) <= -0.5 * slope:
            step = _shortened(problem.loss, theta, step, slope)
            if (theta + step == theta).all():
                return Minimum(theta, h, True, n_iter)
            g_new, h_new = problem(theta + step)
        theta, g, h = theta + step, g_new, h_new
    return Minimum(theta, h, False, max_iter)
