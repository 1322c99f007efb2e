"""Links between probabilities and log-odds, for two classes and for K."""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray, IntArray

#: Rows of a matrix are worked on in blocks of about this many numbers, so that they stay in cache.
BLOCK = 1 << 15
#: Calibrated log-odds stay within this distance of 0, so that no probability is 0 or 1.
LARGEST = 34.0


def row_blocks(n_rows: int, n_columns: int = 1) -> list[slice]:
    """Slices that cut ``n_rows`` into blocks of about ``BLOCK`` numbers."""
    step = max(1, BLOCK // max(1, n_columns))
    return [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]


def two_columns(q: FloatArray) -> FloatArray:
    """Probabilities of both classes, from those of the larger one."""
    out = np.empty((len(q), 2))
    for rows in row_blocks(len(q)):
        np.subtract(1.0, q[rows], out=out[rows, 0])
        out[rows, 1] = q[rows]
    return out


def logit(p: FloatArray) -> FloatArray:
    """Log-odds of probabilities strictly inside (0, 1)."""
    return np.log(p / (1.0 - p))


def expit(z: FloatArray) -> FloatArray:
    """Inverse of :func:`logit`; large values go to exactly 0 or 1 without a warning."""
    # NumPy's vectorised exp is three times faster than scipy.special.expit.
    with np.errstate(over="ignore"):
        out: FloatArray = np.exp(-z)
    out += 1.0
    return np.divide(1.0, out, out=out)


def softmax(z: FloatArray) -> FloatArray:
    """Softmax over the last axis, in float64."""
    out = z - z.max(axis=-1, keepdims=True)
    out = np.exp(out, dtype=np.float64)
    out /= out.sum(axis=-1, keepdims=True)
    return out


def largest(p: FloatArray) -> tuple[IntArray, FloatArray]:
    """Column and value of the largest entry of each row."""
    winners = p.argmax(axis=1)
    return winners, p[np.arange(len(p)), winners].astype(np.float64)


def _winner_log_odds(z: FloatArray) -> tuple[IntArray, FloatArray]:
    """Winning column of each row of float64 logits and its log-odds against the rest.

    The winner is left out of the sum, not subtracted from it, so that a probability of 1 - 1e-30
    keeps its log-odds.
    """
    index = np.arange(len(z))
    winners = z.argmax(axis=1)
    rest = z.copy()
    rest[index, winners] = -np.inf
    second = rest.max(axis=1)
    log_rest = second + np.log(np.exp(rest - second[:, None]).sum(axis=1))
    return winners, z[index, winners] - log_rest


def top_log_odds(z: FloatArray) -> tuple[IntArray, FloatArray]:
    """Winning column of each row of logits and its log-odds against all other columns."""
    winners, odds = np.empty(len(z), dtype=np.intp), np.empty(len(z))
    for rows in row_blocks(*z.shape):
        winners[rows], odds[rows] = _winner_log_odds(z[rows].astype(np.float64))
    return winners, odds


def one_vs_rest_log_odds(z: FloatArray) -> FloatArray:
    """Log-odds of every class against all others, from K logits; shape (n, K)."""
    out = np.empty(z.shape)
    for rows in row_blocks(*z.shape):
        block = z[rows].astype(np.float64)
        winners, odds = _winner_log_odds(block)
        block -= block.max(axis=1, keepdims=True)
        block -= np.log(np.exp(block).sum(axis=1, keepdims=True))
        # All but the winner have p <= 1/2, where log(p) - log(1 - p) loses nothing.
        block[np.arange(len(block)), winners] = -1.0
        block -= np.log1p(-np.exp(block))
        block[np.arange(len(block)), winners] = odds
        out[rows] = block
    return out
