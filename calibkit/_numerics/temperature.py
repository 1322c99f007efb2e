"""Maximum likelihood of the inverse temperature of K-class logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .._typing import FloatArray, IntArray
from .links import largest, row_blocks
from .newton import TOLERANCE, minimise
from .parts import Parts
from .quantiles import quantile
from .weights import row_count

#: ``rows -> logits`` of those rows: K-class logits may be too large to convert in one piece.
LogitBlocks = Callable[[slice], FloatArray]
#: The log-loss, and its first and second derivative in beta.
Moments = tuple[float, float, float]

#: Squares of larger logits may overflow in single precision, and of smaller ones underflow.
_WIDE, _NARROW = 1e15, 1e-15
#: Squares of smaller ones underflow in double precision: all logits of a row count as equal.
_LEAST = 1e-100

#: Between steps of these reaches the second derivative is taken from two slopes.
_NEAREST, _NEAR = 1e-3, 0.5

#: Rows of the first fit, whose optimum starts the next.
_START_ROWS = 1000


class TemperatureFit(NamedTuple):
    """Inverse temperature and how the fit ended."""

    beta: float
    bound: str | None  # "hot" | "cold": the optimum lies at or beyond a bound
    converged: bool
    n_iter: int


def label_wins(logits: LogitBlocks, y: IntArray, blocks: list[slice]) -> bool:
    """Whether no row gives another class a higher logit than its label's, and not all are ties.

    Then the likelihood grows for ever as the temperature falls to 0. As a rule the first block
    of rows says no.
    """
    loses, leads = _standing(logits, y, blocks)
    return leads and not loses


def _standing(logits: LogitBlocks, y: IntArray, blocks: list[slice]) -> tuple[bool, bool]:
    """Whether a label has less than the largest logit of a row, or else more than the smallest."""
    leads = False
    for rows in blocks:
        z = logits(rows)
        label = z[np.arange(len(z)), y[rows]]
        if (label < z.max(axis=1)).any():
            return True, False
        leads = leads or bool((label > z.min(axis=1)).any())
    return False, leads


def _scales(logits: LogitBlocks, w: FloatArray | None, blocks: list[slice]) -> tuple[float, float]:
    """Median lead of a row's largest logit over its second, and the largest range of a row.

    The lead is the scale of the logits, whatever a few outliers or logits of -1e9 for
    "impossible" classes are; the range says how hot a temperature may have to be.
    """
    leads, weights, widest = [], [], 0.0
    for rows in blocks:
        z = logits(rows)
        winners, top = largest(z)
        rest = z.astype(np.float64)
        rest[np.arange(len(z)), winners] = -np.inf
        leads.append(top - rest.max(axis=1))
        weights.append(np.ones(len(z)) if w is None else w[rows])
        widest = max(widest, float((top - z.min(axis=1)).max()))
    lead, weight = np.concatenate(leads), np.concatenate(weights)
    some = lead > 0
    return (quantile(lead[some], 0.5, weight[some]) if some.any() else widest), widest


def _below_top(z: FloatArray) -> FloatArray:
    """Logits less the largest of their row, classes first.

    Of few classes each one's logits lie side by side in memory, so that operations on them are
    long; of many classes each row's do.
    """
    if z.shape[1] < 64:
        z = np.array(z.T, order="C")
        z -= z.max(axis=0)
        return z
    return (z - z.max(axis=1, keepdims=True)).T


class LogitRows:
    """Rows of K-class logits to which a temperature is fitted; ``share``: every so-many-th row."""

    def __init__(
        self, logits: LogitBlocks, y: IntArray, w: FloatArray | None, n_classes: int
    ) -> None:
        self.logits, self.y, self.w, self.k, self.n = logits, y, w, n_classes, len(y)

    def blocks(self, share: int = 1, first: int = 0) -> list[slice]:
        """Rows from the first one, in blocks of the usual size."""
        step, n = max(1, row_blocks(max(self.n, 1), self.k)[0].stop), self.n
        return [slice(i, min(i + step * share, n), share) for i in range(first, n, step * share)]

    def precision(self) -> Any:
        """The type of the logits."""
        return self.logits(slice(0, 1)).dtype.type

    def row_count(self) -> float:
        """How many rows the weights stand for."""
        return row_count(self.w, self.n)

    def widened(self) -> LogitRows:
        """The same rows in double precision."""
        return LogitRows(_in_double(self.logits), self.y, self.w, self.k)

    def label_wins(self, share: int = 1) -> bool:
        """:func:`label_wins` of the rows."""
        return label_wins(self.logits, self.y, self.blocks(share))

    def scales(self, share: int) -> tuple[float, float]:
        """:func:`_scales` of the rows."""
        return _scales(self.logits, self.w, self.blocks(share))

    def total(self, share: int) -> float:
        """Sum of the weights."""
        y, w = self.y, self.w
        return float(sum(len(y[b]) if w is None else w[b].sum() for b in self.blocks(share)))

    def sums(self, beta: Any, smoothing: float, curved: bool, share: int, first: int = 0) -> Any:
        """Sums of the log-loss, its derivative in beta, and if asked for its second one."""
        sums = np.zeros(3 if curved else 2)
        # A mask of -3e38 times 2 is as good as -inf.
        with np.errstate(over="ignore", invalid="ignore"):  # 0 times -inf
            for rows in self.blocks(share, first):
                parts = _moments(self.logits(rows), self.y[rows], beta, smoothing, curved)
                sums += parts.sum(axis=1) if self.w is None else parts @ self.w[rows]
        return sums


def _in_double(logits: LogitBlocks) -> LogitBlocks:
    return lambda rows: logits(rows).astype(np.float64)


class LogitView(NamedTuple):
    """How checked rows become logits."""

    logits_of: Callable[[Any], LogitBlocks]
    wide: bool = False

    def __call__(self, rows: Any) -> LogitRows:
        s = rows.scores
        data = LogitRows(self.logits_of(s), rows.y, rows.w, s.n_classes)
        return data.widened() if self.wide else data


class PartedLogits(LogitRows):
    """The same of rows in parts elsewhere, whose sums are added up here."""

    def __init__(self, parts: Parts, view: LogitView) -> None:
        self.parts, self.view, self.n = parts, view, parts.n
        self.k = parts.ends.scores.n_classes
        self._samples: dict[int, LogitRows] = {}

    def precision(self) -> Any:
        return self.view(self.parts.ends).precision()

    def row_count(self) -> float:
        return self.parts.row_count

    def widened(self) -> LogitRows:
        return PartedLogits(self.parts, self.view._replace(wide=True))

    def _sample(self, share: int) -> LogitRows | None:
        """The rows in memory, if they are as few as the first sample."""
        if self.n // share >= 2 * _START_ROWS and self.n >= 4 * _START_ROWS:
            return None
        if share not in self._samples:
            self._samples[share] = self.view(self.parts.thin([share])[0])
        return self._samples[share]

    def label_wins(self, share: int = 1) -> bool:
        if share > 1 and (sample := self._sample(share)) is not None:
            return sample.label_wins()
        found = self.parts.each(_standing_of, self.view, share)
        return any(leads for _, leads in found) and not any(loses for loses, _ in found)

    def scales(self, share: int) -> tuple[float, float]:
        sample = self._sample(share)
        assert sample is not None
        return sample.scales(1)

    def total(self, share: int) -> float:
        if share == 1:
            return float(self.parts.class_weight.sum())
        if (sample := self._sample(share)) is not None:
            return sample.total(1)
        return float(sum(self.parts.each(_total_of, self.view, share)))

    def sums(self, beta: Any, smoothing: float, curved: bool, share: int, first: int = 0) -> Any:
        if share > 1 and (sample := self._sample(share)) is not None:
            return sample.sums(beta, smoothing, curved, 1)
        return sum(self.parts.each(_sums_of, self.view, share, beta, smoothing, curved))


def _standing_of(rows: Any, start: int, view: LogitView, share: int) -> tuple[bool, bool]:
    data = view(rows)
    return _standing(data.logits, data.y, data.blocks(share, -start % share))


def _total_of(rows: Any, start: int, view: LogitView, share: int) -> float:
    w = view(rows).w
    first = -start % share
    return float(len(range(first, len(rows.y), share)) if w is None else w[first::share].sum())


def _sums_of(rows: Any, start: int, view: LogitView, share: int, *at: Any) -> FloatArray:
    beta, smoothing, curved = at
    sums: FloatArray = view(rows).sums(beta, smoothing, curved, share, -start % share)
    return sums


def _moments(
    logits: FloatArray, y: IntArray, beta: np.floating[Any], smoothing: float, curved: bool
) -> FloatArray:
    """The log-loss of each row, its derivative in beta, and if asked for its second one."""
    z = _below_top(logits)
    ones, index = np.ones(len(z), z.dtype), np.arange(z.shape[1])
    e = z * beta
    np.exp(e, out=e)
    # BLAS sums several times faster than NumPy.
    s0 = np.dot(ones, e).astype(np.float64)
    e *= z
    mean = np.dot(ones, e) / s0
    target = z[y, index].astype(np.float64)
    if smoothing > 0:
        target *= 1.0 - smoothing
        target += smoothing * z.mean(axis=0, dtype=np.float64)
    parts = [np.log(s0) - float(beta) * target, mean - target]
    if curved:
        e *= z
        parts.append(np.dot(ones, e) / s0 - mean * mean)
    return np.array(parts)


@dataclass
class _Loss:
    """Mean log-loss in beta over every so-many-th row; passes are remembered."""

    data: LogitRows
    smoothing: float
    spread: float
    share: int = 1
    seen: dict[float, Moments] = field(default_factory=dict)
    #: The last beta at which the second derivative was computed.
    last: float = np.nan

    def __post_init__(self) -> None:
        self.total = self.data.total(self.share)
        self.precision = self.data.precision()

    def moments(self, beta: float) -> Moments:
        """Sums of the log-loss and of its first and second derivative in beta."""
        if beta not in self.seen:
            self.seen[beta], self.last = self._pass(beta), beta
        return self.seen[beta]

    def _pass(self, beta: float, curvature: float | None = None) -> Moments:
        """The moments; a curvature that is given is not computed, which saves a third of it."""
        rounded = self.precision(beta)
        sums = self.data.sums(rounded, self.smoothing, curvature is None, self.share)
        if self.precision is np.float32 and not np.isfinite(sums).all():
            # Differences of logits overflow in rows beside the sample.
            self.data, self.precision = self.data.widened(), np.float64
            return self._pass(beta, curvature)
        f, g = float(sums[0]), float(sums[1])
        h = float(sums[2]) if curvature is None else curvature
        # From the beta of single precision to the one that is asked for.
        change = beta - float(rounded)
        return f + change * g, g + change * h, h

    def loss(self, theta: FloatArray) -> float:
        return self.moments(float(theta[0]))[0] / self.total

    def __call__(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        beta = float(theta[0])
        # The rounding of exponentials in single precision is larger than the error of this.
        near = self.precision is np.float32 and 0 < self.reach(theta - self.last) < _NEAR
        if near and beta not in self.seen:
            self.seen[beta] = self._near_last(beta)
        _, g, h = self.moments(beta)
        return np.array([g / self.total]), np.array([[h / self.total]])

    def _near_last(self, beta: float) -> Moments:
        """The moments a short step away: the second derivative follows from both slopes.

        That of the cubic through them is off by the square of the step.
        """
        _, before, curvature = self.seen[self.last]
        f, g, h = self._pass(beta, curvature)
        change = beta - self.last
        if self.reach(np.array([change])) > _NEAREST:  # else rounding is larger than what it gains
            h = 2.0 * (g - before) / change - curvature
        return (f, g, h) if 0.5 * curvature < h < 2.0 * curvature else self._pass(beta)

    def reach(self, step: FloatArray) -> float:
        # The lead stands for the range of the logits in the bound on the third derivative.
        return float(5.0 * self.spread * np.abs(step).sum())


def fit_temperature(data: LogitRows, *, smoothing: float = 0.0) -> TemperatureFit:
    """Newton's method in the inverse temperature, in which the log-loss is convex.

    Started on a thin sample, then a thicker one, so that two passes over all rows suffice.
    ``smoothing`` is the share of each target spread evenly over the classes.
    """
    n = data.n
    # Of a thousand rows, then of a twentieth where that is much more.
    levels = [n // _START_ROWS] if n >= 4 * _START_ROWS else []
    levels += [20] if n >= 80 * _START_ROWS // 2 else []
    share = levels[0] if levels else 1
    scales = [data.scales(share)]
    fit = _fit_within(data, smoothing, levels, scales)
    if levels and (fit.bound or not fit.n_iter):
        # Rows may alternate in step with the sample: one that takes other steps shows it.
        fit = _fit_within(data, smoothing, levels, [*scales, data.scales(share + 1)])
    return fit


def _fit_within(
    data: LogitRows, smoothing: float, levels: list[int], scales: list[tuple[float, float]]
) -> TemperatureFit:
    """The fit within bounds that follow from the scales of samples."""
    scales = [(spread, widest) for spread, widest in scales if widest > _LEAST]
    if not scales:
        return TemperatureFit(1.0, None, True, 0)
    n, share = data.n, levels[0] if levels else 1
    spread, widest = min(s for s, _ in scales), max(w for _, w in scales)
    if widest > _WIDE or spread < _NARROW:
        data = data.widened()
    bounds = np.array([1e-3 / widest]), np.array([1e3 / spread])
    # From the temperature 1 or the scale of the logits, whichever has the smaller loss.
    guesses = [b for b in (1.0, 1.0 / spread) if b * spread <= 1e3]
    first = _Loss(data, smoothing, spread, share)
    beta = np.array([guesses[int(np.nanargmin([first.moments(b)[0] for b in guesses]))]])
    for share in levels:
        if smoothing == 0 and data.label_wins(share):
            continue
        problem = first if share == levels[0] else _Loss(data, smoothing, spread, share)
        beta = minimise(problem, beta, bounds=bounds, tol=1e-7).theta
    whole = _Loss(data, smoothing, spread)
    # With many rows an excess of 1e-14 is as good, and spares a pass.
    tol = TOLERANCE if n < 20 * _START_ROWS else 1e-14
    result = minimise(whole, beta, bounds=bounds, tol=tol)
    value = max(float(result.theta[0]), float(bounds[0][0]))  # a step may round to 0
    bound = "hot" if value <= bounds[0][0] * (1 + 1e-9) else None
    bound = "cold" if value >= bounds[1][0] * (1 - 1e-9) else bound
    return TemperatureFit(value, bound, result.converged, result.n_iter)
