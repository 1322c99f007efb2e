"""Newton's method for smooth convex functions of one to three parameters, with bounds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np

from .links import FloatArray

#: ``theta -> (gradient, Hessian)`` of a mean negative log-likelihood.
Evaluate = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
#: ``(lower, upper)``, infinite where a parameter is free.
Bounds = tuple[FloatArray, FloatArray]

#: Excess mean loss at which to stop: far below what matters to a forecast, so that a fit to
#: weights and one to repeated rows, which start differently, agree to nine digits.
TOLERANCE = 1e-20


class Minimum(NamedTuple):
    """Where Newton's method stopped."""

    theta: FloatArray
    hessian: FloatArray  # where it was last evaluated, a step away at most
    converged: bool
    n_iter: int


def _step(g: FloatArray, h: FloatArray, theta: FloatArray, bounds: Bounds | None) -> FloatArray:
    """Minimiser of the quadratic model; with bounds, the best over all faces of the box."""
    newton: FloatArray = np.linalg.lstsq(h, -g, rcond=1e-14)[0]
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
            right = -(g + h @ step)[free]
            step[free] = np.linalg.lstsq(h[np.ix_(free, free)], right, rcond=1e-14)[0]
        value = g @ step + 0.5 * step @ h @ step
        if (step >= lower).all() and (step <= upper).all() and value < best_value:
            best, best_value = step, value
    return best


def minimise(
    evaluate: Evaluate,
    theta: FloatArray,
    reach: Callable[[FloatArray], float],
    *,
    bounds: Bounds | None = None,
    tol: float = TOLERANCE,
    max_iter: int = 100,
) -> Minimum:
    """Minimise a mean log-loss by Newton steps, halved while they overshoot.

    ``reach(step)`` bounds how far a step moves any row's log-odds. For logistic losses the third
    derivative is at most that reach times the second, so a full step from decrement d leaves an
    excess of about ``d * reach**2``: once this is below ``tol`` the step is taken and no further
    pass over the data is spent on confirming it.
    """
    g, h = evaluate(theta)
    for n_iter in range(1, max_iter + 1):
        step = _step(g, h, theta, bounds)
        slope = float(g @ step)
        distance = reach(step)
        if -slope * min(1.0, distance) ** 2 < tol:
            return Minimum(theta + step, h, True, n_iter)
        for _ in range(60):
            g_new, h_new = evaluate(theta + step)
            # Along a convex curve the slope only rises: a steep positive slope is an overshoot.
            if g_new @ step <= 0.5 * -slope:
                break
            step = 0.5 * step
            slope *= 0.5
        theta, g, h = theta + step, g_new, h_new
    return Minimum(theta, h, False, max_iter)
