"""Maximum likelihood of beta-binomial counts whose mean and precision depend on a score."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, psi

from .._typing import FloatArray
from .links import expit

#: Bounds of log(precision): from all or nothing, to counts that can't be told from binomial ones
#: (at 10^6 the success probability has a standard deviation of 0.0005 at most).
LOG_PRECISION = (float(np.log(1e-3)), float(np.log(1e6)))
#: Bounds of the line, in units of the score's spread.
_LONGEST = 50.0
#: Smallest parameter of a beta distribution.
_TINY = 1e-200


class BetaBinomialFit(NamedTuple):
    """``mean = expit(line[0] z + line[1])``, ``log precision = log_precision[0] z + [1]``."""

    line: FloatArray
    log_precision: FloatArray
    loss: float  # mean over the weights, without the binomial coefficients
    converged: bool


def beta_parameters(
    z: FloatArray, line: FloatArray, log_precision: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Both parameters of the distribution of the success probability at each score."""
    eta = line[0] * z + line[1]
    precision = np.exp(np.clip(log_precision[0] * z + log_precision[1], *LOG_PRECISION))
    return np.maximum(expit(eta) * precision, _TINY), np.maximum(expit(-eta) * precision, _TINY)


def _loss(
    theta: FloatArray, x: FloatArray, k: FloatArray, n: FloatArray, w: FloatArray
) -> tuple[float, FloatArray]:
    """Mean negative log-likelihood and its gradient by (slope, intercept, slope, intercept)."""
    a, b = beta_parameters(x, theta[:2], theta[2:])
    precision = a + b
    log_precision = theta[2] * x + theta[3]
    inside = (log_precision > LOG_PRECISION[0]) & (log_precision < LOG_PRECISION[1])
    each = (
        gammaln(k + a)
        - gammaln(a)
        + gammaln(n - k + b)
        - gammaln(b)
        + gammaln(precision)
        - gammaln(n + precision)
    )
    by_a, by_b = psi(k + a) - psi(a), psi(n - k + b) - psi(b)
    mean = a / precision
    by_eta = w * (1.0 - mean) * a * (by_a - by_b)
    by_log = a * by_a + b * by_b + precision * (psi(precision) - psi(n + precision))
    by_log = np.where(inside, w * by_log, 0.0)
    gradient = np.array([by_eta @ x, by_eta.sum(), by_log @ x, by_log.sum()])
    return -float(w @ each), -gradient


def _polished(
    gradient: Callable[[FloatArray], FloatArray], theta: FloatArray, bounds: FloatArray
) -> FloatArray:
    """A minimum to the last digits by Newton steps, where it is not on a bound.

    Then weights and repeated rows lead to the same fit; a line search stops some digits earlier.
    """
    h, g = 1e-4 * np.eye(len(theta)), gradient(theta)
    hessian = np.array([gradient(theta + e) - gradient(theta - e) for e in h]) / 2e-4
    hessian = (hessian + hessian.T) / 2.0
    if np.linalg.eigvalsh(hessian)[0] <= 1e-12:
        return theta
    for _ in range(6):
        step = np.linalg.solve(hessian, g)
        new = theta - step
        if np.abs(step).max() > 0.1 or (new <= bounds[:, 0]).any() or (new >= bounds[:, 1]).any():
            break
        g_new = gradient(new)
        if np.abs(g_new).max() >= np.abs(g).max():
            break
        theta, g = new, g_new
    return theta


def fit_beta_binomial(
    z: FloatArray,
    k: FloatArray,
    n: FloatArray,
    w: FloatArray | None,
    line: FloatArray,
    *,
    linear: bool = False,
    fit_line: bool = True,
) -> BetaBinomialFit:
    """Fit k successes of n trials, ``k ~ BetaBinomial(n, mean * precision, ...)``.

    ``line`` is where the line of the mean starts, best the binomial fit, and stays if ``fit_line``
    is false. The precision depends on z if ``linear``. Without overdispersion the likelihood grows
    with the precision for ever: the upper bound then stands for a binomial.
    """
    weight = np.ones(len(z)) if w is None else w
    weight = weight / weight.sum()
    centre = float(weight @ z)
    unit = float(np.sqrt(weight @ (z - centre) ** 2)) or 1.0
    x = (z - centre) / unit
    spread = bool(x.max() > x.min())
    free = np.array([fit_line and spread, fit_line, linear and spread, True])
    start = np.array([line[0] * unit, line[1] + line[0] * centre, 0.0, np.log(10.0)])
    reach = max(_LONGEST, 2.0 * float(np.abs(start).max()))
    bounds = np.array([(-reach, reach), (-reach, reach), (-10.0, 10.0), LOG_PRECISION])

    def loss(part: FloatArray) -> tuple[float, FloatArray]:
        theta = start.copy()
        theta[free] = part
        value, gradient = _loss(theta, x, k, n, weight)
        return value, gradient[free]

    result = minimize(
        loss,
        start[free],
        jac=True,
        method="L-BFGS-B",
        bounds=bounds[free],
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 500},
    )
    theta, converged = start.copy(), bool(result.status != 1)
    theta[free] = _polished(lambda part: loss(part)[1], result.x, bounds[free])
    value = _loss(theta, x, k, n, weight)[0]
    binomial = np.array([*start[:2], 0.0, LOG_PRECISION[1]])
    at_bound = _loss(binomial, x, k, n, weight)[0]
    # At the bound the likelihood is that of binomial counts, whose line is known to more digits.
    runs_away = theta[2] == 0.0 and theta[3] >= LOG_PRECISION[1] - 1e-6
    if runs_away or at_bound <= value + 1e-12 * abs(value):
        theta, value, converged = binomial, at_bound, True
    raw = theta / np.array([unit, 1.0, unit, 1.0])
    raw[[1, 3]] -= raw[[0, 2]] * centre
    return BetaBinomialFit(raw[:2], raw[2:], value, converged)
