"""Maximum likelihood of a binary outcome given one to three functions of a score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

from .._typing import FloatArray, IntArray
from .links import expit, row_blocks
from .newton import Bounds, damped_solution, minimise
from .parts import Parts
from .quantiles import quantile
from .weights import row_count

#: Rows that the units of a column are taken from.
_SCALE_ROWS = 512
#: Standardised parameters are of the order of one; steps and starts are kept below this.
_LONGEST = 50.0
#: Rows of the first fit, whose optimum starts the one on all rows; the larger number where the
#: rows are four times as many.
_START_ROWS = (2048, 8192)
#: Blocks of standardised rows that are kept from one pass for the next.
_KEPT_BLOCKS = 4


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


def separation(z: FloatArray, y: FloatArray | IntArray) -> int:
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


def platt_targets(n_rows: float, rate: float) -> tuple[float, float]:
    """Platt's targets of class 0, 1 / (N0 + 2), and of class 1, (N1 + 1) / (N1 + 2)."""
    n1 = n_rows * rate
    return 1.0 / (n_rows - n1 + 2.0), (n1 + 1.0) / (n1 + 2.0)


def smoothed_targets(y: FloatArray | IntArray, w: FloatArray | None) -> FloatArray:
    """Platt's targets of rows."""
    low, high = platt_targets(row_count(w, len(y)), float(np.average(y, weights=w)))
    return np.where(y == 1, high, low)


def _location(sample: FloatArray) -> tuple[float, float]:
    """Centre and spread that a few outliers, or logits of -1e9 for "impossible", don't move."""
    centre = quantile(sample, 0.5)
    distance = np.abs(sample - centre)
    return centre, quantile(distance, 0.5) or float(distance.mean()) or 1.0


class LogisticRows:
    """Rows to which logistic maps are fitted: columns, labels or targets, and weights or None."""

    def __init__(
        self, columns: list[FloatArray], y: FloatArray | IntArray, w: FloatArray | None
    ) -> None:
        self.columns, self.y, self.w, self.n = columns, y, w, len(y)
        self._kept: tuple[Units | None, list[Block]] = None, []

    @property
    def ends(self) -> LogisticRows:
        """Rows among which are the smallest and the largest of each class in each column."""
        return self

    def total(self) -> float:
        """Sum of the weights."""
        return float(self.n) if self.w is None else float(self.w.sum())

    def rate(self) -> float:
        """Mean label."""
        return float(self.y.mean() if self.w is None else np.average(self.y, weights=self.w))

    def thin(self, stride: int) -> LogisticRows:
        """Every so-many-th row, in memory."""
        if stride == 1:
            return self
        w = None if self.w is None else self.w[::stride]
        return LogisticRows([c[::stride] for c in self.columns], self.y[::stride], w)

    def smoothed(self) -> LogisticRows:
        """The same rows with Platt's targets."""
        return LogisticRows(self.columns, smoothed_targets(self.y, self.w), self.w)

    def with_constants(self, constants: list[float | None]) -> LogisticRows:
        """The same rows where some columns are constant."""
        pairs = zip(self.columns, constants, strict=True)
        kept = [c if value is None else np.full_like(c, value) for c, value in pairs]
        return LogisticRows(kept, self.y, self.w)

    def separation(self) -> int:
        """:func:`separation` by the sum of the columns."""
        z, *others = self.ends.columns
        for column in others:
            z = z + column
        return separation(z, self.ends.y)

    def intercept(self, l2: float) -> float:
        """:func:`fit_intercept` for the only column."""
        return fit_intercept(self.columns[0], self.y, self.w, l2=l2)

    def direction(self) -> float:
        """:func:`direction` of the only column."""
        return direction(self.columns[0], self.y, self.w)

    def blocks(self, units: Units) -> Iterable[Block]:
        """The rows in blocks, with standardised columns."""
        # Blocks of 8,192: on longer vectors BLAS starts threads, whose start costs more than they
        # save.
        slices = row_blocks(self.n, 4)
        if len(slices) > _KEPT_BLOCKS:
            # One memory for all: Dask's workers give freed memory back, and new costs much.
            room = np.empty((len(self.columns) + 1, slices[0].stop))
            return (self._block(units, rows, room[:, : rows.stop - rows.start]) for rows in slices)
        if self._kept[0] is not units:
            self._kept = units, [self._block(units, rows) for rows in slices]
        return self._kept[1]

    def _block(self, units: Units, rows: slice, out: FloatArray | None = None) -> Block:
        y, w = self.y[rows].astype(float, copy=False), None if self.w is None else self.w[rows]
        return units.standardised(self.columns, rows, out), y, w

    def loss(self, theta: FloatArray, units: Units) -> Any:
        """Sum of the log-loss, for one vector of parameters or for each row of a matrix."""
        total: Any = 0.0
        for x, y, w in self.blocks(units):
            eta = theta @ x
            # log(1 + exp(eta)) without overflow; NumPy's logaddexp is ten times slower.
            each = np.maximum(eta, 0.0) + np.log(1.0 + np.exp(-np.abs(eta)))
            each -= y * eta
            total += each.sum(axis=-1) if w is None else each @ w
        return total

    def derivatives(self, theta: FloatArray, units: Units) -> tuple[FloatArray, FloatArray]:
        """Sums of the first and of the second derivatives."""
        d = len(theta)
        g, h = np.zeros(d), np.zeros((d, d))
        for x, y, w in self.blocks(units):
            q = expit(theta @ x)
            residual = q - y
            curvature = q * (1.0 - q)
            if w is not None:
                residual *= w
                curvature *= w
            g += x @ residual
            h += (x * curvature) @ x.T
        return g, h


#: Standardised columns and ones, labels, and weights or None.
Block = tuple[FloatArray, FloatArray, FloatArray | None]


class Units(NamedTuple):
    """What columns are standardised with."""

    centre: FloatArray
    spread: FloatArray

    def standardised(
        self, columns: list[FloatArray], rows: slice, out: FloatArray | None = None
    ) -> FloatArray:
        """A block of rows: each column, and ones for the intercept."""
        x = np.empty((len(columns) + 1, len(columns[0][rows]))) if out is None else out
        x[-1] = 1.0
        for row, column, m, s in zip(x, columns, self.centre, self.spread, strict=False):
            np.subtract(column[rows], m, out=row)
            row /= s
        return x


class _Problem:
    """Mean log-loss of standardised columns."""

    def __init__(self, data: LogisticRows, l2: float) -> None:
        self.data, self.total = data, data.total()
        self.l2 = l2 / self.total
        located = [_location(c) for c in data.thin(-(-data.n // _SCALE_ROWS)).columns]
        centre, spread = (np.array(part) for part in zip(*located, strict=True))
        ends = data.ends.columns
        self.identity = np.array([1.0] * len(ends) + [0.0])
        span = [max(np.max(c) - m, m - np.min(c)) for c, m in zip(ends, centre, strict=True)]
        # Sums of squares of standardised columns must not overflow.
        self.units = Units(centre, np.maximum(spread, np.multiply(span, 1e-140)))
        self.span = np.array([*(span / self.units.spread), 1.0])

    def loss(self, theta: FloatArray) -> Any:
        """Mean log-loss, penalty included, for one theta or for each row of a matrix."""
        mean = self.data.loss(theta, self.units) / self.total
        if self.l2 > 0:
            mean = mean + 0.5 * self.l2 * ((self.raw(theta) - self.identity) ** 2).sum(axis=-1)
        return mean

    def raw(self, theta: FloatArray) -> FloatArray:
        """Parameters on the columns as given, intercept last."""
        out = theta.copy()
        out[..., :-1] /= self.units.spread
        out[..., -1] -= out[..., :-1] @ self.units.centre
        return out

    def reach(self, step: FloatArray) -> float:
        return float(np.abs(step) @ self.span)

    def thinned(self, n_rows: int, least: int = 4) -> _Problem | None:
        """The same problem on every so-many-th row, with the same standardisation."""
        stride = stride_of(self.data.n, n_rows)
        if stride < least:
            return None
        sample = object.__new__(_Problem)
        sample.__dict__.update(self.__dict__)
        sample.data = self.data.thin(stride)
        sample.total = sample.data.total()
        return sample

    def __call__(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        g, h = self.data.derivatives(theta, self.units)
        g, h = g / self.total, h / self.total
        if self.l2 > 0:
            jacobian = np.column_stack([self.raw(e) for e in np.eye(len(theta))])
            g = g + self.l2 * jacobian.T @ (self.raw(theta) - self.identity)
            h = h + self.l2 * jacobian.T @ jacobian
        return g, h


def stride_of(n: int, n_rows: int) -> int:
    """Every how-many-th of n rows is taken for a sample; 1 if they are too few."""
    return n // n_rows if n >= 4 * n_rows else 1


def _start_rows(n: int) -> int:
    """Rows of the first fit."""
    return _START_ROWS[n >= 4 * _START_ROWS[1]]


def _discriminant(problem: _Problem) -> FloatArray:
    """Fisher's linear discriminant: near the maximum of likelihood where the scores of each class
    are about normal, and found in one pass."""
    ((x, y, w),) = problem.data.blocks(problem.units)
    x = x[:-1]
    n, means = [], []
    within = np.zeros((len(x), len(x)))
    for label in (1.0 - y, y):
        share = label if w is None else w * label
        n.append(float(share.sum()))
        if n[-1] <= 0:
            return np.zeros(len(x) + 1)
        means.append(x @ share / n[-1])
        # Centered first: a difference of sums of squares may be negative.
        apart = x - means[-1][:, None]
        within += (apart * share) @ apart.T
    coef = damped_solution(within / problem.total, means[1] - means[0])
    return np.array([*coef, math.log(n[1] / n[0]) - 0.5 * (means[0] + means[1]) @ coef])


def _start(problem: _Problem, rate: float, bounds: Bounds | None) -> FloatArray:
    """The best of three on a sample: the constant rate, the discriminant and the identity map."""
    sample = problem.thinned(_SCALE_ROWS, least=1)
    assert sample is not None
    centre, spread = problem.units
    # A column without spread can't be told from the intercept: it keeps the coefficient 1.
    spreads = problem.span[:-1] > 0
    rate = min(max(rate, 1e-300), 1.0 - 1e-16)  # weights may leave one class next to nothing
    constant = math.log(rate) - math.log1p(-rate)
    guesses = [np.array([*np.where(spreads, 0.0, spread), constant])]
    if spreads.all():
        guesses += [_discriminant(sample), np.array([*spread, centre.sum()])]
    if bounds is not None:
        guesses = [np.maximum(guess, bounds[0]) for guess in guesses]
    guesses = [guess for guess in guesses if np.abs(guess).max() < _LONGEST] or guesses[:1]
    return guesses[int(np.nanargmin(sample.loss(np.array(guesses))))]


def fit_intercept(
    z: FloatArray, y: FloatArray | IntArray, w: FloatArray | None = None, *, l2: float = 0.0
) -> float:
    """The c that minimises the log-loss of ``expit(z + c)`` plus ``l2 / 2 * c**2``."""
    total = float(len(z)) if w is None else float(w.sum())
    rate = float(np.average(y, weights=w))
    ends = float(z.min()), float(z.max())
    return solve_intercept(
        lambda c: float(np.average(expit(z + c), weights=w)), rate, ends, l2 / total
    )


def solve_intercept(
    mean: Callable[[float], float], rate: float, ends: tuple[float, float], l2: float
) -> float:
    """The c where the ``mean`` of ``expit(z + c)`` is the rate, less ``l2`` times c.

    The derivative rises with c, and the ends of the bracket, where the scores are all as the
    smallest or the largest, or 0, lie on either side of its root.
    """
    inside = min(max(rate, 1e-300), 1.0 - 1e-16)  # weights may leave one class next to nothing
    odds = float(np.log(inside) - np.log1p(-inside))
    low, high = odds - ends[1], odds - ends[0]
    if l2 > 0:
        low, high = min(low, 0.0), max(high, 0.0)

    def excess(c: float) -> float:
        return mean(c) - rate + l2 * c

    # Rounding may put an end on the wrong side, but by no more than this.
    slack = 1e-9 * (1.0 + max(abs(low), abs(high)))
    low, high = low - slack, high + slack
    if excess(low) >= 0:
        return low + slack
    if excess(high) <= 0:
        return high - slack
    return float(brentq(excess, low, high, xtol=1e-14, maxiter=2000))


def fit_logistic(data: LogisticRows, *, l2: float = 0.0, nonnegative: bool = False) -> LogisticFit:
    """Newton's method for ``P(y = 1) = expit(coef @ columns + intercept)``.

    It starts from the optimum of a thinned sample, itself started from the linear discriminant,
    so two or three passes over the data are enough as a rule. Columns are standardised inside, so
    their units do not matter. ``y`` may hold probabilities. A ridge penalty ``l2 / 2`` times the
    squared distance from the identity map (all coefficients 1, intercept 0) is added to the summed
    loss.

    A maximum must exist: see :func:`separation`.
    """
    problem = _Problem(data, l2)
    d = len(problem.identity)
    bounds: Bounds | None = None
    if nonnegative:
        bounds = np.append(np.zeros(d - 1), -np.inf), np.full(d, np.inf)
    theta = _start(problem, data.rate(), bounds)
    sample = problem.thinned(_start_rows(data.n))
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


class PartedRows(LogisticRows):
    """The same of rows in parts elsewhere: what is summed there is added up here.

    ``view`` makes the columns, labels and weights of a part. Samples are the rows that the same
    call takes of rows in memory, so that all steps are the same but for the rounding of sums.
    """

    def __init__(self, parts: Parts, view: LogisticView) -> None:
        self.parts, self.view, self.n = parts, view, parts.n
        self._samples: dict[int, LogisticRows] = {}

    @property
    def ends(self) -> LogisticRows:
        return self.view(self.parts.ends)

    def total(self) -> float:
        return float(self.parts.class_weight.sum())

    def rate(self) -> float:
        share = self.parts.class_weight[1] / self.total()
        low, high = self.view.targets or (0.0, 1.0)
        return float(low + share * (high - low))

    def thin(self, stride: int) -> LogisticRows:
        if stride not in self._samples:  # all that are needed, in one pass
            wanted = {stride_of(self.n, rows) for rows in (_SCALE_ROWS, _start_rows(self.n))}
            strides = sorted({*wanted, -(-self.n // _SCALE_ROWS)} - {1} | {stride})
            for step, rows in zip(strides, self.parts.thin(strides), strict=True):
                self._samples[step] = self.view(rows)
        return self._samples[stride]

    def smoothed(self) -> LogisticRows:
        targets = platt_targets(self.parts.row_count, self.rate())
        return PartedRows(self.parts, self.view._replace(targets=targets))

    def with_constants(self, constants: list[float | None]) -> LogisticRows:
        return PartedRows(self.parts, self.view._replace(constants=constants))

    def intercept(self, l2: float) -> float:
        z, total = self.ends.columns[0], self.total()

        def mean(c: float) -> float:
            return float(self.parts.total(_shifted_sum, self.view, c)[0]) / total

        return solve_intercept(mean, self.rate(), (float(z.min()), float(z.max())), l2 / total)

    def direction(self) -> float:
        z, total = self.ends.columns[0], self.total()
        centre = float(self.parts.total(_column_sum, self.view)[0]) / total
        size = max(float(np.abs(z - centre).max()), 1e-300)
        squares, products = self.parts.total(_away_sums, self.view, centre, size)
        rate = self.rate()
        variance = rate * (1.0 - rate) * float(squares) / total
        slope = float(products) / total
        return slope / np.sqrt(variance / self.parts.row_count) if variance > 0 else 0.0

    def loss(self, theta: FloatArray, units: Units) -> Any:
        return self.parts.total(_loss_of, self.view, theta, units)[0]

    def derivatives(self, theta: FloatArray, units: Units) -> tuple[FloatArray, FloatArray]:
        g, h = self.parts.total(_derivatives_of, self.view, theta, units)
        return g, h


class LogisticView(NamedTuple):
    """How checked rows become columns; targets of both classes, and constants of columns."""

    columns_of: Callable[[Any], list[FloatArray]]
    targets: tuple[float, float] | None = None
    constants: list[float | None] | None = None

    def __call__(self, rows: Any) -> LogisticRows:
        y = rows.y if self.targets is None else np.asarray(self.targets)[rows.y]
        data = LogisticRows(self.columns_of(rows.scores), y, rows.w)
        return data if self.constants is None else data.with_constants(self.constants)


def _weighted_sum(values: FloatArray, w: FloatArray | None) -> float:
    return float(values.sum() if w is None else values @ w)


def _shifted_sum(rows: Any, view: LogisticView, c: float) -> tuple[float]:
    data = view(rows)
    return (_weighted_sum(expit(data.columns[0] + c), data.w),)


def _column_sum(rows: Any, view: LogisticView) -> tuple[float]:
    data = view(rows)
    return (_weighted_sum(data.columns[0], data.w),)


def _away_sums(rows: Any, view: LogisticView, centre: float, size: float) -> tuple[float, float]:
    data = view(rows)
    away = (data.columns[0] - centre) / size
    return _weighted_sum(away * away, data.w), _weighted_sum(away * data.y, data.w)


def _loss_of(rows: Any, view: LogisticView, *at: Any) -> tuple[Any]:
    return (view(rows).loss(*at),)


def _derivatives_of(rows: Any, view: LogisticView, *at: Any) -> tuple[FloatArray, FloatArray]:
    return view(rows).derivatives(*at)
