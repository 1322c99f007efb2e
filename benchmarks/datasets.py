"""Synthetic data with known true probabilities, and the exact answers that judge contenders.

The answers are computed in a simple way, in float64 and without calibkit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import config
import numpy as np
from scipy.special import ndtr


@dataclass(frozen=True)
class Multiclass:
    """Over-confident logits of K classes: the true ones times TRUE_TEMPERATURE.

    A row's true logits are standard normal noise; a Gamma(4, 2) variable is added to one random
    class. So the winning probabilities fill [0, 1], as those of a network do. The label is drawn
    from the softmax of the true logits by the Gumbel trick.
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

    True log-odds are normal; those of the scores are stretched and shifted (SLOPE, SHIFT), so Platt
    scaling is the right map. No score is within 1e-7 of 0 or 1, so clipping has no effect.
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
    def truth(self) -> np.ndarray:
        """True probabilities of the rows."""
        return 1.0 / (1.0 + np.exp((config.SHIFT - self.z) / config.SLOPE))

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
        return ece(self.p, self.y, equal_mass(self.p, config.N_BINS))

    @cached_property
    def ece_true(self) -> float:
        """Equal-width ECE of the true probabilities, which an interval should contain."""
        return ece(self.p, self.truth, np.arange(1, config.N_BINS) / config.N_BINS)

    @cached_property
    def debiased_l2(self) -> float:
        """Debiased l2 error: each squared gap minus the variance of the bin's label mean."""
        share, gap, rate, n = self._equal_mass_bins
        return float(np.sqrt(max(0.0, share @ (gap**2 - rate * (1 - rate) / (n - 1)))))

    @cached_property
    def debiased_l1(self) -> float:
        """Debiased l1 error: twice the plug-in minus its mean under normal noise.

        Each bin's part of that mean is the mean of a folded normal variable, in closed form.
        """
        share, gap, rate, n = self._equal_mass_bins
        spread = np.sqrt(rate * (1 - rate) / n)
        peak = spread * np.sqrt(2 / np.pi) * np.exp(-0.5 * (gap / spread) ** 2)
        folded = peak + gap * (2 * ndtr(gap / spread) - 1)
        return float(share @ (2 * np.abs(gap) - folded))

    @property
    def _equal_mass_bins(self) -> tuple[np.ndarray, ...]:
        """Per bin: share of the rows, mean score less mean label, mean label, rows."""
        index = np.searchsorted(equal_mass(self.p, config.N_BINS), self.p, side="right")
        n = np.bincount(index)
        rate = np.bincount(index, self.y) / n
        return n / len(self.p), np.bincount(index, self.p) / n - rate, rate, n

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


@dataclass(frozen=True)
class Split:
    """Rows to fit equal-mass bins on, equally many new rows, and the exact answers for these."""

    fit: Binary
    new: Binary
    n_bins: int

    @classmethod
    def make(cls, n: int, n_bins: int) -> Split:
        both = Binary.make(2 * n)
        new = Binary(both.z[n:].copy(), both.p[n:].copy(), both.y[n:].copy())
        return cls(both.head(n), new, n_bins)

    def rms(self, q: np.ndarray) -> float:
        """Root mean square distance of calibrated new rows from their true probabilities."""
        return float(np.sqrt(np.mean((q - self.new.truth) ** 2)))

    @cached_property
    def histogram(self) -> np.ndarray:
        """The label mean of each new row's bin."""
        return self._bin_means(self.fit.y)

    @cached_property
    def scaling_binning(self) -> np.ndarray:
        """The mean of Platt's probabilities in each new row's bin."""
        return self._bin_means(1.0 / (1.0 + np.exp(-logistic(self.fit.z[:, None], self.fit.y))))

    def _bin_means(self, values: np.ndarray) -> np.ndarray:
        borders = equal_mass(self.fit.p, self.n_bins)
        index = np.searchsorted(borders, self.fit.p, side="right")
        means = np.bincount(index, values) / np.bincount(index)
        return means[np.searchsorted(borders, self.new.p, side="right")]


def ece(p: np.ndarray, y: np.ndarray, borders: np.ndarray) -> float:
    """Expected calibration error over bins [lower, upper)."""
    index = np.searchsorted(borders, p, side="right")
    return float(np.abs(np.bincount(index, p - y, minlength=len(borders) + 1)).sum() / len(p))


def equal_mass(p: np.ndarray, n_bins: int) -> np.ndarray:
    """Borders: bin j ends with the smallest score that j/B of the rows do not exceed."""
    ordered = np.sort(p)
    last = -(-np.arange(1, n_bins) * len(ordered) // n_bins) - 1
    return ordered[last + 1]


def logistic(columns: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Log-odds of the maximum likelihood fit on some columns and an intercept: Newton steps."""
    x = np.column_stack((columns, np.ones(len(y))))
    theta = np.zeros(x.shape[1])
    for _ in range(50):
        q = 1.0 / (1.0 + np.exp(-(x @ theta)))
        step = np.linalg.solve((x * (q * (1 - q))[:, None]).T @ x, x.T @ (q - y))
        theta -= step
        if np.abs(step).max() < 1e-12:
            break
    return x @ theta


def logistic_nll(columns: np.ndarray, y: np.ndarray) -> float:
    """Mean log-loss of that fit."""
    eta = logistic(columns, y)
    return float((np.logaddexp(0.0, eta) - y * eta).mean())


def slices(n: int, step: int) -> list[slice]:
    """0..n cut into pieces of ``step``."""
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]
