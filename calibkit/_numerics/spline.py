"""Natural cubic splines of log-odds, averaged over priors by their evidence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from .._typing import FloatArray
from .cells import Cells
from .links import expit

#: Prior standard deviations, in log-odds, of the shift and of the slope times the spread of the
#: scores, about the identity.
LINE_SCALES = (0.3, 1.0, 3.0)
#: Margins, which may be of any size, have these scales in proportion beyond this spread.
_USUAL_SPREAD = 3.0
#: Prior standard deviations, in log-odds, of the smoothest bend; 0 allows none.
BEND_SCALES = (0.0, 0.1, 0.3, 1.0)
#: Stands for the precision of a coefficient that must be 0.
_FIXED = 1e9
#: Most Newton steps.
_STEPS = 60
#: Share of the rows beyond the outer knots, on each side.
_OUTER = 0.05
#: Knots nearer to each other than this part of the range are one.
_CLOSE = 1e-6


class SplineFit(NamedTuple):
    """The spline averaged over all priors, and how well it does."""

    knots: FloatArray
    value: FloatArray  # log-odds at the knots
    evidence: float  # log of the mean evidence
    identity: float  # log-likelihood of the scores as they are
    freedom: float  # effective number of parameters
    variance: FloatArray  # of the log-odds of each cell


class Basis(NamedTuple):
    """Functions of the score: its multiple, another line, and bends from smooth to rough.

    With one value of the score the only function is 1.
    """

    columns: FloatArray  # (cells, 2 + bends)
    roughness: FloatArray  # of each bend, relative to the smoothest
    center: float
    spread: float
    knots: FloatArray
    bends: FloatArray  # (knots, bends): values at the knots


def natural_second_derivatives(knots: FloatArray, values: FloatArray) -> FloatArray:
    """Second derivatives at the knots of the natural cubic spline through the values."""
    h = np.diff(knots)
    k = len(knots)
    out = np.zeros_like(values)
    if k < 3:
        return out
    matrix = np.zeros((k - 2, k - 2))
    index = np.arange(k - 2)
    matrix[index, index] = (h[:-1] + h[1:]) / 3.0
    matrix[index[:-1], index[1:]] = matrix[index[1:], index[:-1]] = h[1:-1] / 6.0
    slopes = np.diff(values, axis=0) / (h if values.ndim == 1 else h[:, None])
    out[1:-1] = np.linalg.solve(matrix, np.diff(slopes, axis=0))
    return out


def natural_spline(x: FloatArray, knots: FloatArray, values: FloatArray) -> FloatArray:
    """The natural cubic spline through the values at the knots; linear beyond them."""
    second = natural_second_derivatives(knots, values)
    i = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    h = np.diff(knots)[i]
    inside = np.clip(x, knots[0], knots[-1])
    b = (inside - knots[i]) / h
    a = 1.0 - b
    cubic_a, cubic_b = (a**3 - a) * h * h / 6.0, (b**3 - b) * h * h / 6.0
    if values.ndim == 2:
        a, b, cubic_a, cubic_b = (v[:, None] for v in (a, b, cubic_a, cubic_b))
    out = a * values[i] + b * values[i + 1] + cubic_a * second[i] + cubic_b * second[i + 1]
    below, above = np.minimum(x - knots[0], 0.0), np.maximum(x - knots[-1], 0.0)
    h0, h1 = knots[1] - knots[0], knots[-1] - knots[-2]
    # Slopes at the outer knots, where the second derivative is 0.
    left = (values[1] - values[0]) / h0 - h0 * second[1] / 6.0
    right = (values[-1] - values[-2]) / h1 + h1 * second[-2] / 6.0
    if values.ndim == 2:
        below, above = below[:, None], above[:, None]
    return out + below * left + above * right


def quantile_knots(cells: Cells, n_knots: int) -> FloatArray:
    """Distinct knots at equally spaced quantiles of the scores."""
    level = np.linspace(_OUTER, 1.0 - _OUTER, n_knots)
    at = np.cumsum(cells.weight) - 0.5 * cells.weight
    knots = np.interp(level * cells.weight.sum(), at, cells.x)
    apart = np.diff(knots) > _CLOSE * float(np.ptp(cells.x))
    return knots[np.concatenate(([True], apart))]


def _roughness(knots: FloatArray) -> FloatArray:
    """Integrals of products of the second derivatives of the cardinal splines."""
    second, h = natural_second_derivatives(knots, np.eye(len(knots))), np.diff(knots)
    left, right = second[:-1].T * h, second[1:].T * h
    same = left @ second[:-1] + right @ second[1:]
    return same / 3.0 + (left @ second[1:] + right @ second[:-1]) / 6.0


def make_basis(cells: Cells, n_knots: int) -> Basis:
    """The functions that the spline is a sum of, orthogonal under the weights of the cells."""
    share = cells.weight / cells.weight.sum()
    center = float(share @ cells.x)
    spread = float(np.sqrt(share @ (cells.x - center) ** 2))
    ones = np.ones((len(cells.x), 1))
    if not spread > 1e-12 * (1.0 + abs(center)):
        return Basis(ones, np.empty(0), center, 0.0, np.array([center]), np.empty((1, 0)))
    x = (cells.x - center) / spread
    line = _lines(x, center, spread)
    knots = quantile_knots(cells._replace(x=x), min(n_knots, len(x)))
    if len(knots) < 3:
        ends = np.array([cells.x[0], cells.x[-1]])
        return Basis(line, np.empty(0), center, spread, ends, np.empty((2, 0)))
    # The cardinal splines, one for each knot, span the lines too; the rest are the bends.
    cardinal = natural_spline(x, knots, np.eye(len(knots)))
    gram = (cardinal.T * share) @ cardinal
    gram.flat[:: len(gram) + 1] += 1e-10 * np.trace(gram)
    size, vectors = eigh(_roughness(knots), gram)
    size, vectors = size[2:], vectors[:, 2:]  # lines have no roughness
    columns = np.column_stack((line, cardinal @ vectors))
    return Basis(columns, size / size[0], center, spread, knots * spread + center, vectors)


def _lines(x: FloatArray, center: float, spread: float) -> FloatArray:
    """A multiple of the log-odds, which changes the temperature, and the line orthogonal to it."""
    return np.column_stack((center + spread * x, spread - center * x)) / np.hypot(center, spread)


class Fits(NamedTuple):
    """Maxima of penalized likelihoods, one row for each prior."""

    theta: FloatArray  # (priors, parameters)
    log_likelihood: FloatArray
    evidence: FloatArray
    hessian: FloatArray  # (priors, parameters, parameters), of the likelihood alone


def penalized_fits(
    columns: FloatArray,
    offset: FloatArray,
    weight: FloatArray,
    event: FloatArray,
    precision: FloatArray,
) -> Fits:
    """Logistic fits of ``offset + columns @ theta``, theta ~ N(0, 1 / precision), by Newton steps.

    All priors are worked on together. The evidence is Laplace's approximation.
    """
    n_priors, d = precision.shape
    theta = np.zeros((n_priors, d))
    products = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), d * d)
    diagonal = np.arange(d)

    def objective(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        eta = offset + theta @ columns.T
        loss = np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta)))
        likelihood = eta @ event - loss @ weight
        return likelihood - 0.5 * (precision * theta * theta).sum(axis=1), likelihood

    value, likelihood = objective(theta)
    for _ in range(_STEPS):
        q = expit(offset + theta @ columns.T)
        gradient = (event - weight * q) @ columns - precision * theta
        hessian = ((weight * q * (1.0 - q)) @ products).reshape(n_priors, d, d)
        full = hessian.copy()
        full[:, diagonal, diagonal] += precision
        step = np.linalg.solve(full, gradient[:, :, None])[:, :, 0]
        gain = (gradient * step).sum(axis=1)
        if gain.max() < 1e-12:
            break
        for _ in range(40):
            new_value, new_likelihood = objective(theta + step)
            short = new_value < value + 1e-4 * gain - 1e-9 * (1.0 + np.abs(value))
            if not short.any():
                break
            step[short] *= 0.5
            gain[short] *= 0.5
        theta = theta + step
        value, likelihood = new_value, new_likelihood
    size = np.linalg.slogdet(full)[1]
    evidence = value + 0.5 * np.log(precision).sum(axis=1) - 0.5 * size
    return Fits(theta, likelihood, evidence, hessian)


def log_likelihood(eta: FloatArray, cells: Cells) -> float:
    """Log-likelihood of log-odds of the cells."""
    loss = np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta)))
    return float(eta @ cells.event - loss @ cells.weight)


def leave_one_out(eta: FloatArray, variance: FloatArray, cells: Cells) -> float:
    """Mean log loss of each row by the fit without it, which one Newton step finds.

    ``variance`` is that of the log-odds: ``x' H^-1 x`` with the Hessian H.
    """
    q = expit(eta)
    kept = np.maximum(1.0 - variance * q * (1.0 - q), 0.05)
    up = eta - variance * (1.0 - q) / kept  # of an event, by the fit without it
    down = eta + variance * q / kept
    loss = cells.event @ np.logaddexp(0.0, -up)
    loss += (cells.weight - cells.event) @ np.logaddexp(0.0, down)
    return float(loss / cells.weight.sum())


def _precisions(basis: Basis) -> FloatArray:
    """Precisions of the coefficients under each prior, one row for each."""
    n_bends = len(basis.roughness)
    n_line = basis.columns.shape[1] - n_bends
    bends = BEND_SCALES if n_bends else BEND_SCALES[:1]
    rows = []
    wide = max(1.0, basis.spread / _USUAL_SPREAD)
    for v in np.multiply(LINE_SCALES, wide):
        for c in bends:
            bend = basis.roughness / c**2 if c > 0 else np.full(n_bends, _FIXED)
            rows.append(np.concatenate((np.full(n_line, v**-2.0), bend)))
        if n_line == 2:  # a change of the temperature alone
            rows.append(np.concatenate(([v**-2.0], np.full(1 + n_bends, _FIXED))))
    return np.array(rows)


def fit_spline(cells: Cells, n_knots: int = 6) -> SplineFit:
    """Fit one spline for each prior, and average them by their evidence."""
    basis = make_basis(cells, n_knots)
    x, precision = basis.columns, _precisions(basis)
    fits = penalized_fits(x, cells.x, cells.weight, cells.event, precision)
    top = fits.evidence.max()
    share = np.exp(fits.evidence - top)
    evidence = float(top + np.log(share.mean()))
    share /= share.sum()
    theta = share @ fits.theta
    inverse = np.linalg.inv(fits.hessian + precision[:, :, None] * np.eye(x.shape[1]))
    freedom = float(share @ np.einsum("kij,kji->k", inverse, fits.hessian))
    variance = np.einsum("ni,ij,nj->n", x, np.tensordot(share, inverse, 1), x)
    n_line = x.shape[1] - len(basis.roughness)
    line = np.ones((1, 1))
    if n_line == 2:
        line = _lines((basis.knots - basis.center) / basis.spread, basis.center, basis.spread)
    value = basis.knots + line @ theta[:n_line] + basis.bends @ theta[n_line:]
    own = log_likelihood(cells.x, cells)
    return SplineFit(basis.knots, value, evidence, own, freedom, variance)
