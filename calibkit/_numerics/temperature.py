"""Maximum likelihood of the inverse temperature of K-class logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .links import FloatArray, IntArray, row_blocks
from .newton import TOLERANCE, Minimum, minimise

#: ``rows -> logits`` of those rows: K-class logits may be too large to convert in one piece.
LogitBlocks = Callable[[slice], FloatArray]

#: Rows of the first fit, whose optimum starts the next.
_START_ROWS = 1000


class TemperatureFit(NamedTuple):
    """Inverse temperature and how the fit ended."""

    beta: float
    bound: str | None  # "hot" | "cold": the optimum lies at or beyond a bound
    converged: bool
    n_iter: int


def _moments(
    logits: LogitBlocks,
    y: IntArray,
    w: FloatArray | None,
    blocks: list[slice],
    smoothing: float,
    beta: float,
) -> tuple[float, float]:
    """Sums of the first and second derivative of the log-loss in beta."""
    g = h = 0.0
    for rows in blocks:
        # Sums over few classes are quick when the rows of the block lie side by side in memory.
        z = logits(rows).T
        z = np.array(z, order="C" if len(z) < 64 else "F")
        z -= z.max(axis=0)
        label = z[y[rows], np.arange(z.shape[1])].astype(np.float64)
        e = z * z.dtype.type(beta)
        np.exp(e, out=e)
        s0 = e.sum(axis=0, dtype=np.float64)
        e *= z
        mean = e.sum(axis=0, dtype=np.float64) / s0
        e *= z
        square = e.sum(axis=0, dtype=np.float64) / s0
        target = label if smoothing == 0 else (
            (1 - smoothing) * label + smoothing * z.mean(axis=0, dtype=np.float64)
        )  # fmt: skip
        row_g, row_h = mean - target, square - mean * mean
        if w is None:
            g, h = g + row_g.sum(), h + row_h.sum()
        else:
            g, h = g + w[rows] @ row_g, h + w[rows] @ row_h
    return g, h


def label_wins(logits: LogitBlocks, y: IntArray, blocks: list[slice]) -> bool:
    """Whether no row gives another class a higher logit than its label's, and not all are ties.

    Then the likelihood grows for ever as the temperature falls to 0. As a rule the first block
    of rows says no.
    """
    some_margin = False
    for rows in blocks:
        z = logits(rows)
        label = z[np.arange(len(z)), y[rows]]
        if (label < z.max(axis=1)).any():
            return False
        some_margin = some_margin or bool((label > z.min(axis=1)).any())
    return some_margin


def _spread(logits: LogitBlocks, blocks: list[slice]) -> float:
    """Mean distance of a row's largest logit from its mean, and at least a tiny number."""
    total, n = 0.0, 0
    for rows in blocks:
        z = logits(rows).astype(np.float64)
        total += float((z.max(axis=1) - z.mean(axis=1)).sum())
        n += len(z)
    return total / n


def fit_temperature(
    logits: LogitBlocks,
    y: IntArray,
    w: FloatArray | None,
    n_classes: int,
    *,
    smoothing: float = 0.0,
) -> TemperatureFit:
    """Newton's method in the inverse temperature, in which the log-loss is convex.

    Started on a thin sample, then a thicker one, so that two passes over all rows suffice.
    ``smoothing`` is the share of each target spread evenly over the classes.
    """
    n = len(y)
    step = max(1, row_blocks(n, n_classes)[0].stop)

    def thin(share: int) -> list[slice]:
        """Every so-many-th row, in blocks of the usual size."""
        return [slice(i, min(i + step * share, n), share) for i in range(0, n, step * share)]

    # Of a thousand rows, then of a twentieth where that is much more.
    levels = [n // _START_ROWS] if n >= 4 * _START_ROWS else []
    levels += [20] if n >= 80 * _START_ROWS // 2 else []
    spread = _spread(logits, thin(levels[0]) if levels else row_blocks(n, n_classes))
    if spread == 0.0:
        return TemperatureFit(1.0, None, True, 0)
    bounds = np.array([1e-3 / spread]), np.array([1e3 / spread])
    beta = np.array([1.0 / spread])
    total = float(n) if w is None else float(w.sum())

    def minimum(blocks: list[slice], start: FloatArray, total: float, tol: float) -> Minimum:
        def evaluate(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
            g, h = _moments(logits, y, w, blocks, smoothing, float(theta[0]))
            return np.array([g / total]), np.array([[h / total]])

        # The spread stands for the range of the logits in the bound on the third derivative.
        def reach(d: FloatArray) -> float:
            return float(3.0 * spread * np.abs(d).sum())

        return minimise(evaluate, start, reach, bounds=bounds, tol=tol)

    for share in levels:
        blocks = thin(share)
        if smoothing == 0 and label_wins(logits, y, blocks):
            continue
        size = sum(len(range(*b.indices(n))) for b in blocks)
        beta = minimum(blocks, beta, total * size / n, 1e-7).theta
    found = minimum(row_blocks(n, n_classes), beta, total, TOLERANCE)
    value = float(found.theta[0])
    bound = "hot" if value <= bounds[0][0] * (1 + 1e-9) else None
    bound = "cold" if value >= bounds[1][0] * (1 - 1e-9) else bound
    return TemperatureFit(value, bound, found.converged, found.n_iter)
