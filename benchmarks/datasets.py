"""Synthetic data whose truth is known, and the exact answers contenders are judged by.

The answers are computed here in the plainest way, in float64 and without calibkit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import config
import numpy as np


@dataclass(frozen=True)
class Multiclass:
    """Overconfident logits of K classes: the true ones times TRUE_TEMPERATURE.

    A row's true logits are standard normal noise, and one class, drawn at random, is lifted by a
    Gamma(4, 2) variable: winning probabilities then fill [0, 1], as a network's do. The label is
    drawn from the softmax of the true logits by the Gumbel trick.
    """

    logits: np.ndarray
    y: np.ndarray

    @classmethod
    def make(cls, n: int, k: int, dtype: str) -> Multiclass:
        rng = np.random.default_rng(config.SEED)
        logits, y = np.empty((n, k), dtype), np.empty(n, np.int64)
        for rows in slices(n, 1_000):
            z = rng.standard_normal((rows.stop - rows.start, k))
            z[np.arange(len(z)), rng.integers(k, size=len(z))] += rng.gamma(4.0, 2.0, len(z))
            y[rows] = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
            logits[rows] = config.TRUE_TEMPERATURE * z
        return cls(logits, y)

    @cached_property
    def probs(self) -> np.ndarray:
        """Softmax of the logits in their own dtype."""
        out = np.empty_like(self.logits)
        for rows in slices(len(out), 1_000):
            e = self.logits[rows] - self.logits[rows].max(axis=1, keepdims=True)
            np.exp(e, out=e)
            out[rows] = e / e.sum(axis=1, keepdims=True)
        return out

    def moments(self, beta: float) -> np.ndarray:
        """Mean NLL at inverse temperature beta, and its first two derivatives, in float64."""
        total = np.zeros(3)
        for rows in slices(len(self.y), max(1, 200_000 // self.logits.shape[1])):
            z = self.logits[rows].astype(np.float64)
            z -= z.max(axis=1, keepdims=True)
            e = np.exp(beta * z)
            s = e.sum(axis=1)
            mean = (e * z).sum(axis=1) / s
            label = z[np.arange(len(z)), self.y[rows]]
            variance = (e * z * z).sum(axis=1) / s - mean**2
            total += (np.log(s) - beta * label).sum(), (mean - label).sum(), variance.sum()
        return total / len(self.y)

    @cached_property
    def optimum(self) -> tuple[float, float]:
        """Exact temperature and its NLL: Newton in 1/T until it no longer moves."""
        beta = 1.0 / config.TRUE_TEMPERATURE
        for _ in range(50):
            _, g, h = self.moments(beta)
            beta -= g / h
            if abs(g / h) < 1e-13 * beta:
                break
        return 1.0 / beta, float(self.moments(beta)[0])

    @cached_property
    def top_label_ece(self) -> float:
        confidence = self.probs.max(axis=1).astype(np.float64)
        return ece(
            confidence,
            self.probs.argmax(axis=1) == self.y,
            np.arange(1, config.N_BINS) / config.N_BINS,
        )


@dataclass(frozen=True)
class Binary:
    """Miscalibrated binary scores: log-odds ``z``, probabilities ``p`` and labels 0/1.

    True log-odds are normal; those given are stretched and shifted (SLOPE, SHIFT), so Platt
    scaling is the right map. No score is within 1e-7 of 0 or 1: no contender's clipping acts.
    """

    z: np.ndarray
    p: np.ndarray
    y: np.ndarray

    @classmethod
    def make(cls, n: int) -> Binary:
        rng = np.random.default_rng(config.SEED)
        true = config.TRUE_SPREAD * rng.standard_normal(n)
        y = (rng.random(n) < 1.0 / (1.0 + np.exp(-true))).astype(np.int64)
        z = config.SLOPE * true + config.SHIFT
        return cls(z, 1.0 / (1.0 + np.exp(-z)), y)

    def head(self, n: int) -> Binary:
        """The first n rows."""
        return Binary(self.z[:n], self.p[:n], self.y[:n])

    @property
    def log_terms(self) -> np.ndarray:
        """log(p) and -log(1 - p), the columns of beta calibration."""
        return np.column_stack((np.log(self.p), -np.log1p(-self.p)))

    def nll(self, q: np.ndarray) -> float:
        """Mean log-loss of calibrated probabilities."""
        return float(-np.where(self.y == 1, np.log(q), np.log1p(-q)).mean())

    @cached_property
    def platt_nll(self) -> float:
        return logistic_nll(self.z[:, None], self.y)

    @cached_property
    def beta_nll(self) -> float:
        return logistic_nll(self.log_terms, self.y)

    @cached_property
    def isotonic(self) -> tuple[np.ndarray, np.ndarray]:
        """Some rows, and scikit-learn's isotonic fit there."""
        from sklearn.isotonic import IsotonicRegression

        rows = np.random.default_rng(1).choice(len(self.p), config.ISOTONIC_POINTS)
        return rows, IsotonicRegression().fit(self.p, self.y).predict(self.p[rows])

    @cached_property
    def ece_uniform(self) -> float:
        return ece(self.p, self.y, np.arange(1, config.N_BINS) / config.N_BINS)

    @cached_property
    def ece_quantile(self) -> float:
        """Bin j ends with the smallest score that j/B of the rows do not exceed."""
        ordered = np.sort(self.p)
        last = -(-np.arange(1, config.N_BINS) * len(ordered) // config.N_BINS) - 1
        return ece(self.p, self.y, ordered[last + 1])

    @cached_property
    def bootstrap_width(self) -> float:
        """Width of the interval from row resamples, times the root of the number of rows."""
        rng = np.random.default_rng(2)
        n = len(self.y)
        bins = np.minimum((self.p * config.N_BINS).astype(np.int64), config.N_BINS - 1)
        gap = self.p - self.y
        draws = []
        for _ in range(config.REFERENCE_RESAMPLES):
            i = rng.integers(n, size=n)
            draws.append(np.abs(np.bincount(bins[i], gap[i])).sum() / n)
        low, high = np.quantile(draws, [(1 - config.LEVEL) / 2, (1 + config.LEVEL) / 2])
        return float((high - low) * np.sqrt(n))


def ece(p: np.ndarray, y: np.ndarray, borders: np.ndarray) -> float:
    """Expected calibration error over bins [lower, upper)."""
    index = np.searchsorted(borders, p, side="right")
    return float(np.abs(np.bincount(index, p - y, minlength=len(borders) + 1)).sum() / len(p))


def logistic_nll(columns: np.ndarray, y: np.ndarray) -> float:
    """NLL of the maximum likelihood fit on some columns and an intercept: plain Newton steps."""
    x = np.column_stack((columns, np.ones(len(y))))
    theta = np.zeros(x.shape[1])
    for _ in range(50):
        q = 1.0 / (1.0 + np.exp(-(x @ theta)))
        step = np.linalg.solve((x * (q * (1 - q))[:, None]).T @ x, x.T @ (q - y))
        theta -= step
        if np.abs(step).max() < 1e-12:
            break
    eta = x @ theta
    return float((np.logaddexp(0.0, eta) - y * eta).mean())


def slices(n: int, step: int) -> list[slice]:
    """0..n cut into pieces of ``step``."""
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]
