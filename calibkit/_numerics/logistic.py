"""Maximum likelihood of a binary outcome given one to three functions of a score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from .._typing import FloatArray, IntArray
from .links import expit, row_blocks
from .newton import Bounds, minimise
from .quantiles import quantile
from .weights import row_count

#: Rows that the units of a column are taken from.
_SCALE_ROWS = 512
#: Standardised parameters are of the order of one; steps and starts are kept below this.
_LONGEST = 50.0
#: Rows of the first fit, whose optimum starts the one on all rows.
_START_ROWS = 8192


class LogisticFit(NamedTuple):
    """``log-odds = coef @ columns + intercept`` and how the fit ended."""

    coef: FloatArray
    intercept: float
    information: FloatArray  # observed, of the standardised parameters ``theta``
    theta: FloatArray
    converged: bool
    n_iter: int

    def z_scores(self) -> FloatArray:
        """Coefficients over their standard errors."""
        variance = np.diag(np.linalg.pinv(self.information))
        return (self.theta / np.sqrt(np.maximum(variance, np.finfo(float).tiny)))[:-1]


def separation(z: FloatArray, y: IntArray) -> int:
    """+1 if no score of class 0 exceeds one of class 1, -1 the other way round, else 0.

    Then no finite slope maximises the likelihood (unless all scores are equal: 0). Scores of one
    class may well all be the same.
    """
    low = {0: np.inf, 1: np.inf}
    high = {0: -np.inf, 1: -np.inf}
    for rows in row_blocks(len(z), 16):
        block, positive = z[rows], y[rows] == 1
        for label, inside in ((1, block[positive]), (0, block[~positive])):
            if len(inside):
                low[label] = min(low[label], inside.min())
                high[label] = max(high[label], inside.max())
        # As a rule the first block shows both classes overlapping, and that is that.
        if high[0] > low[1] and high[1] > low[0]:
            return 0
    # Where all scores are equal both hold.
    return int(high[0] <= low[1]) - int(high[1] <= low[0])


def direction(z: FloatArray, y: FloatArray | IntArray, w: FloatArray | None) -> float:
    """Standard score of the slope where it is 0: below -2 higher scores go with fewer events."""
    away = z - np.average(z, weights=w)
    away /= max(float(np.abs(away).max()), 1e-300)
    rate = float(np.average(y, weights=w))
    variance = rate * (1.0 - rate) * float(np.average(away * away, weights=w))
    slope = float(np.average(away * y, weights=w))
    return slope / np.sqrt(variance / row_count(w, len(z))) if variance > 0 else 0.0


def smoothed_targets(y: IntArray, w: FloatArray | None) -> FloatArray:
    """Platt's targets (N1 + 1) / (N1 + 2) for class 1 and 1 / (N0 + 2) for class 0."""
    total = row_count(w, len(y))
    n1 = total * float(np.average(y, weights=w))
    return np.where(y == 1, (n1 + 1.0) / (n1 + 2.0), 1.0 / (total - n1 + 2.0))


def _location(sample: FloatArray) -> tuple[float, float]:
    """Centre and spread that a few outliers, or logits of -1e9 for "impossible", don't move."""
    centre = quantile(sample, 0.5)
    distance = np.abs(sample - centre)
    return centre, quantile(distance, 0.5) or float(distance.mean()) or 1.0


class _Problem:
    """Mean log-loss of standardised columns, evaluated block by block."""

    def __init__(
        self,
        columns: list[FloatArray],
        y: FloatArray | IntArray,
        w: FloatArray | None,
        l2: float,
        identity: FloatArray,
    ) -> None:
        self.columns, self.y, self.w = columns, y, w
        self.total = float(len(y)) if w is None else float(w.sum())
        self.l2 = l2 / self.total
        self.identity = identity
        located = [_location(c[:: -(-len(c) // _SCALE_ROWS)]) for c in columns]
        self.centre = np.array([centre for centre, _ in located])
        self.spread = np.array([spread for _, spread in located])
        span = [
            max(np.max(c) - m, m - np.min(c)) for c, m in zip(columns, self.centre, strict=True)
        ]
        self.span = np.append(np.array(span) / self.spread, 1.0)

    def standardised(self, rows: slice) -> list[FloatArray]:
        scaling = zip(self.columns, self.centre, self.spread, strict=True)
        return [(c[rows] - m) / s for c, m, s in scaling]

    def log_odds(self, x: list[FloatArray], theta: FloatArray) -> FloatArray:
        eta = np.full(len(x[0]), theta[-1])
        for t, column in zip(theta[:-1], x, strict=True):
            eta += t * column
        return eta

    def loss(self, theta: FloatArray) -> float:
        """Mean log-loss, penalty included."""
        total = 0.0
        for rows in row_blocks(len(self.y), 4):
            eta = self.log_odds(self.standardised(rows), theta)
            # log(1 + exp(eta)) without overflow; NumPy's logaddexp is ten times slower.
            each = np.maximum(eta, 0.0) + np.log(1.0 + np.exp(-np.abs(eta)))
            each -= self.y[rows] * eta
            total += float(each.sum() if self.w is None else each @ self.w[rows])
        away = self.raw(theta) - self.identity
        return total / self.total + 0.5 * self.l2 * float(away @ away)

    def raw(self, theta: FloatArray) -> FloatArray:
        """Parameters on the columns as given, intercept last."""
        coef = theta[:-1] / self.spread
        return np.append(coef, theta[-1] - coef @ self.centre)

    def reach(self, step: FloatArray) -> float:
        return float(np.abs(step) @ self.span)

    def thinned(self, n_rows: int) -> _Problem | None:
        """The same problem on every so-many-th row, with the same standardisation."""
        stride = len(self.y) // n_rows
        if stride < 4:
            return None
        w = None if self.w is None else self.w[::stride]
        sample = object.__new__(_Problem)
        sample.__dict__.update(self.__dict__)
        sample.columns = [c[::stride] for c in self.columns]
        sample.y, sample.w = self.y[::stride], w
        sample.total = float(len(sample.y)) if w is None else float(w.sum())
        return sample

    def __call__(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        d = len(theta)
        g, h = np.zeros(d), np.zeros((d, d))
        # Blocks of 8,192: on longer vectors BLAS starts threads, whose start costs more than they
        # save.
        for rows in row_blocks(len(self.y), 4):
            x = self.standardised(rows)
            eta = self.log_odds(x, theta)
            q = expit(eta)
            residual = q - self.y[rows]
            curvature = q * (1.0 - q)
            if self.w is not None:
                residual *= self.w[rows]
                curvature *= self.w[rows]
            g[-1] += residual.sum()
            h[-1, -1] += curvature.sum()
            for i, column in enumerate(x):
                g[i] += column @ residual
                product = curvature * column
                h[i, -1] += product.sum()
                for j in range(i, d - 1):
                    h[i, j] += product @ x[j]
        g, h = g / self.total, (np.triu(h) + np.triu(h, 1).T) / self.total
        if self.l2 > 0:
            jacobian = np.column_stack([self.raw(e) for e in np.eye(d)])
            g = g + self.l2 * jacobian.T @ (self.raw(theta) - self.identity)
            h = h + self.l2 * jacobian.T @ jacobian
        return g, h


def _discriminant(problem: _Problem) -> FloatArray:
    """Fisher's linear discriminant: near the maximum of likelihood where the scores of each class
    are about normal, and found in one pass."""
    x = np.array(problem.standardised(slice(None)))
    w1 = problem.y if problem.w is None else problem.w * problem.y
    n1 = float(w1.sum())
    n0 = problem.total - n1
    if min(n0, n1) <= 0:
        return np.zeros(len(x) + 1)
    weighted = x if problem.w is None else x * problem.w
    m1 = x @ w1 / n1
    m0 = (weighted.sum(axis=1) - n1 * m1) / n0
    within = weighted @ x.T - n1 * np.outer(m1, m1) - n0 * np.outer(m0, m0)
    coef = np.linalg.lstsq(within / problem.total, m1 - m0, rcond=1e-10)[0]
    return np.append(coef, np.log(n1 / n0) - 0.5 * (m1 + m0) @ coef)


def _start(problem: _Problem, rate: float, bounds: Bounds | None) -> FloatArray:
    """The best of three on a sample: the constant rate, the discriminant and the identity map."""
    sample = problem.thinned(_SCALE_ROWS) or problem
    # A column without spread can't be told from the intercept: it keeps the coefficient 1.
    coef = np.where(problem.span[:-1] > 0, 0.0, problem.spread)
    rate = min(max(rate, 1e-300), 1.0 - 1e-16)  # weights may leave one class next to nothing
    guesses = [np.append(coef, np.log(rate) - np.log1p(-rate))]
    if (problem.span[:-1] > 0).all():
        guesses += [_discriminant(sample), np.append(problem.spread, problem.centre.sum())]
    if bounds is not None:
        guesses = [np.maximum(guess, bounds[0]) for guess in guesses]
    guesses = [guess for guess in guesses if np.abs(guess).max() < _LONGEST] or guesses[:1]
    losses = [sample.loss(guess) for guess in guesses]
    return guesses[int(np.nanargmin(losses))]


def fit_intercept(
    z: FloatArray, y: FloatArray | IntArray, w: FloatArray | None = None, *, l2: float = 0.0
) -> float:
    """The c that minimises the log-loss of ``expit(z + c)`` plus ``l2 / 2 * c**2``.

    The derivative rises with c, and the ends of the bracket, where the scores are all as the
    smallest or the largest, or 0, lie on either side of its root.
    """
    total = float(len(z)) if w is None else float(w.sum())
    rate = float(np.average(y, weights=w))
    inside = min(max(rate, 1e-300), 1.0 - 1e-16)  # weights may leave one class next to nothing
    odds = float(np.log(inside) - np.log1p(-inside))
    low, high = odds - float(z.max()), odds - float(z.min())
    if l2 > 0:
        low, high = min(low, 0.0), max(high, 0.0)

    def excess(c: float) -> float:
        return float(np.average(expit(z + c), weights=w)) - rate + l2 / total * c

    # Rounding may put an end on the wrong side, but by no more than this.
    slack = 1e-9 * (1.0 + max(abs(low), abs(high)))
    low, high = low - slack, high + slack
    if excess(low) >= 0:
        return low + slack
    if excess(high) <= 0:
        return high - slack
    return float(brentq(excess, low, high, xtol=1e-14, maxiter=2000))


def fit_logistic(
    columns: list[FloatArray],
    y: FloatArray | IntArray,
    w: FloatArray | None = None,
    *,
    l2: float = 0.0,
    nonnegative: bool = False,
) -> LogisticFit:
    """Newton's method for ``P(y = 1) = expit(coef @ columns + intercept)``.

    It starts from the optimum of a thinned sample, itself started from the linear discriminant,
    so two or three passes over the data are enough as a rule. Columns are standardised inside, so
    their units do not matter. ``y`` may hold probabilities. A ridge penalty ``l2 / 2`` times the
    squared distance from the identity map (all coefficients 1, intercept 0) is added to the summed
    loss.

    A maximum must exist: see :func:`separation`.
    """
    d = len(columns) + 1
    problem = _Problem(columns, y, w, l2, np.append(np.ones(d - 1), 0.0))
    bounds: Bounds | None = None
    if nonnegative:
        bounds = np.append(np.zeros(d - 1), -np.inf), np.full(d, np.inf)
    rate = float(np.average(y, weights=w))
    theta = _start(problem, rate, bounds)
    sample = problem.thinned(_START_ROWS)
    if sample is not None:
        start = minimise(sample, theta, bounds=bounds, longest=_LONGEST, tol=1e-8, max_iter=30)
        # A thinned sample may be separable where the whole is not; its fit then runs away.
        if start.converged and np.abs(start.theta).max() < _LONGEST:
            theta = start.theta
    result = minimise(problem, theta, bounds=bounds, longest=_LONGEST)
    raw = problem.raw(result.theta)
    information = result.hessian * problem.total
    return LogisticFit(
        raw[:-1], float(raw[-1]), information, result.theta, result.converged, result.n_iter
    )
