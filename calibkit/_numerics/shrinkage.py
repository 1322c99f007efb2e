"""Platt scaling of few rows, its slope drawn towards doing nothing; many maps at once."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray, IntArray
from .links import expit

#: Newton steps, of which each is halved until the loss falls.
_STEPS, _HALVINGS = 50, 30
#: Pull on the intercept, weak: success rates differ from task to task, and labels that are all
#: alike need no more than some pull for a solution.
_INTERCEPT = 0.5
#: A pull under which the slope does not move at all.
FIXED = np.inf


def fit_shrunk(
    z: FloatArray, y: IntArray, l2: float, w: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Slopes and intercepts ``(m,), (m,)`` of ``expit(slope * z + intercept)`` for m maps.

    ``z`` are the log-odds that each map starts from, ``(m, n)``; ``y`` the ``(n,)`` labels they
    share. ``l2/2 * (slope - 1)**2`` is added to the summed log-loss of each map, and a quarter of
    the intercept's square. ``w`` are weights of the labels.
    """
    fixed = np.isinf(l2)
    strength = np.array([0.0 if fixed else l2, _INTERCEPT])
    home = np.array([1.0, 0.0])
    theta = np.tile(home, (len(z), 1))

    def loss(t: FloatArray) -> FloatArray:
        eta = t[:, :1] * z + t[:, 1:]
        losses = np.logaddexp(0.0, eta) - y * eta
        fit = losses.sum(axis=1) if w is None else losses @ w
        return fit + 0.5 * ((t - home) ** 2 @ strength)

    best = loss(theta)
    for _ in range(_STEPS):
        q = expit(theta[:, :1] * z + theta[:, 1:])
        residual, curvature = q - y, q * (1.0 - q)
        if w is not None:
            residual, curvature = residual * w, curvature * w
        g0 = (residual * z).sum(axis=1) + strength[0] * (theta[:, 0] - 1.0)
        g1 = residual.sum(axis=1) + strength[1] * theta[:, 1]
        h11 = curvature.sum(axis=1) + strength[1]
        if fixed:
            step = np.column_stack((np.zeros(len(z)), g1 / h11))
        else:
            # The Schur complement of h11 as a sum of squares, which no rounding makes zero.
            centre = (curvature * z).sum(axis=1) / h11
            spread = (curvature * (z - centre[:, None]) ** 2).sum(axis=1)
            left = strength[0] + spread + strength[1] * centre**2
            slope = (g0 - centre * g1) / left
            step = np.column_stack((slope, g1 / h11 - centre * slope))
        moved = theta - step
        value = loss(moved)
        for _ in range(_HALVINGS):
            worse = value > best
            if not worse.any():
                break
            step[worse] *= 0.5
            moved[worse] = theta[worse] - step[worse]
            value = np.where(worse, loss(moved), value)
        better = value < best
        theta, gain = np.where(better[:, None], moved, theta), best - np.minimum(value, best)
        best = np.minimum(value, best)
        if (gain <= 1e-12 * (1.0 + best)).all():
            break
    return theta[:, 0], theta[:, 1]
