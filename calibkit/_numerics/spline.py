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
LINE_SCALES = (0.1, 1.0, 10.0, 1000.0)
#: Prior standard deviations, in log-odds, of the smoothest bend; 0 allows none.
BEND_SCALES = (0.0, 0.3, 1.0, 3.0)
#: Stands for the precision of a coefficient that must be 0.
_FIXED = 1e9
_STEPS = 60


class SplineFit(NamedTuple):
    """Evidence-averaged penalized fits."""

    x: FloatArray  # knots
    value: FloatArray  # log-odds at the knots
    slope: FloatArray  # of the averaged map at the two outer knots
    evidence: FloatArray  # log evidence of each prior, with bends along the last axis
    weight: FloatArray  # posterior probability of each prior, as the evidence
    identity: float  # log-likelihood of the identity
    freedom: float  # effective number of parameters
    loss: float  # leave-one-out mean log loss, by one Newton step
    moderated: FloatArray | None = None


class Basis(NamedTuple):
    """Functions of the score: 1, the standardized score, and bends from smooth to rough."""

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
    left = (values[1] - values[0]) / h0 - h0 * (2.0 * second[0] + second[1]) / 6.0
    right = (values[-1] - values[-2]) / h1 + h1 * (second[-2] + 2.0 * second[-1]) / 6.0
    if values.ndim == 2:
        below, above = below[:, None], above[:, None]
    return out + below * left + above * right


def quantile_knots(cells: Cells, n_knots: int, ends: float = 0.0) -> FloatArray:
    """Distinct knots at equally spaced quantiles of the scores."""
    level = np.linspace(ends, 1.0 - ends, n_knots)
    at = np.cumsum(cells.weight) - 0.5 * cells.weight
    return np.unique(np.interp(level * cells.weight.sum(), at, cells.x))


def make_basis(cells: Cells, n_knots: int, ends: float) -> Basis:
    share = cells.weight / cells.weight.sum()
    center = float(share @ cells.x)
    spread = float(np.sqrt(share @ (cells.x - center) ** 2))
    if not spread > 1e-12 * (1.0 + abs(center)):
        return Basis(np.ones((len(cells.x), 1)), np.empty(0), center, 0.0, np.array([center]),
                     np.empty((1, 0)))  # fmt: skip
    x = (cells.x - center) / spread
    line = np.column_stack((np.ones_like(x), x))
    knots = quantile_knots(cells._replace(x=x), min(n_knots, len(x)), ends)
    if len(knots) < 3:
        ends_of_line = np.array([cells.x[0], cells.x[-1]])
        return Basis(line, np.empty(0), center, spread, ends_of_line, np.empty((2, 0)))
    # Cardinal splines, one for each knot, hold the two lines; the others are the bends.
    cardinal = natural_spline(x, knots, np.eye(len(knots)))
    second = natural_second_derivatives(knots, np.eye(len(knots)))
    h = np.diff(knots)
    rough = (
        (second[:-1].T * h) @ second[:-1] / 3.0 + (second[1:].T * h) @ second[1:] / 3.0
        + (second[:-1].T * h) @ second[1:] / 6.0 + (second[1:].T * h) @ second[:-1] / 6.0
    )  # fmt: skip
    gram = (cardinal.T * share) @ cardinal
    gram.flat[:: len(gram) + 1] += 1e-10 * np.trace(gram)
    size, vectors = eigh(rough, gram)
    vectors = vectors[:, 2:]  # the first two are lines, which have no roughness
    return Basis(
        np.column_stack((line, cardinal @ vectors)), size[2:] / size[2], center, spread,
        knots * spread + center, vectors,
    )  # fmt: skip


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


def log_likelihood(eta: FloatArray, cells: Cells, worth: float = 1.0) -> float:
    """Log-likelihood of log-odds of the cells."""
    loss = np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta)))
    return worth * float(eta @ cells.event - loss @ cells.weight)


def fit_spline(
    cells: Cells, *, n_knots: int = 6, worth: float = 1.0, ends: float = 0.0,
    line_scales=LINE_SCALES, bend_scales=BEND_SCALES, tilt: float = 1.0, moderate: bool = False,
) -> SplineFit:  # fmt: skip
    """Fit one spline for each prior and average them by their evidence.

    ``worth`` is the number of independent rows that a row counts as.
    """
    basis = make_basis(cells, n_knots, ends)
    x, n_bends = basis.columns, len(basis.roughness)
    if not n_bends:
        bend_scales = (0.0,)
    pairs = [(v, c) for v in line_scales for c in bend_scales]
    precision = np.empty((len(pairs), x.shape[1]))
    n_line = x.shape[1] - n_bends
    for row, (v, c) in zip(precision, pairs, strict=True):
        row[:n_line] = 1.0 / v**2
        row[n_line:] = _FIXED if c == 0 else basis.roughness**tilt / c**2
    fits = penalized_fits(x, cells.x, worth * cells.weight, worth * cells.event, precision)
    shares = np.exp(fits.evidence - fits.evidence.max())
    shares /= shares.sum()
    theta = shares @ fits.theta
    full = fits.hessian + precision[:, :, None] * np.eye(x.shape[1])
    inverse = np.linalg.inv(full)
    freedom = float(shares @ np.einsum("kij,kji->k", inverse, fits.hessian))
    at_knots = (basis.knots - basis.center) / (basis.spread or 1.0)
    columns = np.column_stack((np.ones_like(at_knots), at_knots))[:, :n_line]
    value = basis.knots + columns @ theta[:n_line] + basis.bends @ theta[n_line:]
    moderated = None
    if moderate:
        variance = np.einsum("ni,kij,nj->kn", x, inverse, x)
        eta = cells.x + fits.theta @ x.T
        p = shares @ expit(eta / np.sqrt(1.0 + np.pi * variance / 8.0))
        moderated = np.log(p) - np.log1p(-p)
    return SplineFit(
        basis.knots, value, np.zeros(2), fits.evidence, shares,
        log_likelihood(cells.x, cells, worth), freedom, np.nan, moderated,
    )  # fmt: skip


def log_sum(a: FloatArray) -> float:
    top = float(a.max())
    return top + float(np.log(np.exp(a - top).sum()))
