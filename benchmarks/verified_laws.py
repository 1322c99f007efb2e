"""Generated data with known exact errors, for verified.py, and the reader of a user's file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.special import expit, logit, softmax

#: Nodes of the Gauss-Legendre rule in each bin; the laws are smooth, so 32 are exact in float64.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)

#: Errors of the ladder, chosen so that the measured errors are near those of the paper's ImageNet
#: plot. Bin borders from 25,000 rows differ from the cells, which lowers the error of fine bins.
LADDER = (0.0, 0.0143, 0.0179, 0.0179, 0.0179, 0.020, 0.025, 0.034, 0.049)


@dataclass(frozen=True)
class UniformLaw:
    """Scores z uniform on [low, high]; P(Y=1|z) is a Platt map plus a step function.

    ``steps`` are the values of the step function on cells of equal length. Without steps Platt
    scaling is right; with them no Platt map is.
    """

    slope: float
    intercept: float
    low: float = 0.0
    high: float = 1.0
    steps: np.ndarray | None = None

    @classmethod
    def noisy(cls, rng: np.random.Generator, cells: int, size: float, *args: float) -> UniformLaw:
        """Law in which each cell is above or below the curve by ``size``, at random."""
        return cls(*args, steps=size * rng.choice([-1.0, 1.0], cells))

    @classmethod
    def ladder(cls, errors: tuple[float, ...], low: float, high: float) -> UniformLaw:
        """The identity plus square waves, so that 2, 4, 8, ... bins have about these errors.

        Wave k is constant on each of 2^k cells and averages to zero over two neighboring cells. So
        fewer bins do not detect it, and squared errors add up. Its signs are those of Thue and
        Morse, orthogonal to all polynomials of degree below k, so no Platt map can follow it.
        """
        cells = 2 ** len(errors)
        steps, wave, seen = np.zeros(cells), np.ones(1), 0.0
        for error in errors:
            wave = np.kron(wave, [1.0, -1.0])
            added = max(error**2 - seen, 0.0)
            seen += added
            steps += np.sqrt(added) * np.repeat(wave, cells // len(wave))
        return cls(1.0, 0.0, low, high, steps)

    def draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores and labels."""
        z = rng.uniform(self.low, self.high, n)
        return z, (rng.random(n) < self.rate(z)).astype(np.int64)

    def curve(self, z: np.ndarray) -> np.ndarray:
        return expit(self.slope * logit(z) + self.intercept)

    def rate(self, z: np.ndarray) -> np.ndarray:
        """P(Y=1|z)."""
        rate = self.curve(z)
        if self.steps is not None:
            cell = (self._share(z) * len(self.steps)).astype(np.int64)
            rate += self.steps[np.minimum(cell, len(self.steps) - 1)]
        return rate

    def bins(self, borders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P(bin) and P(Y=1|bin) by numerical integration, exact up to rounding."""
        edges = np.concatenate(([self.low], np.clip(borders, self.low, self.high), [self.high]))
        mass = np.diff(self._share(edges))
        rate = self.mean_of(self.curve, edges)
        if self.steps is not None:
            knots = np.linspace(0.0, 1.0, len(self.steps) + 1)
            integral = np.interp(self._share(edges), knots, self._cumulative)
            rate += np.divide(np.diff(integral), mass, out=np.zeros_like(mass), where=mass > 0)
        return mass, rate

    def mean_of(self, function, edges: np.ndarray) -> np.ndarray:
        """Mean of a smooth function of z between neighboring edges."""
        middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
        return function(middle[:, None] + half[:, None] * _NODES) @ _WEIGHTS / 2

    def squared_error_of(self, function) -> float:
        """Squared calibration error of an increasing map of z, without bins."""
        grid, rate = self._grid
        return float(np.mean((function(grid) - rate) ** 2))

    def _share(self, z: np.ndarray) -> np.ndarray:
        return (z - self.low) / (self.high - self.low)

    @cached_property
    def _cumulative(self) -> np.ndarray:
        return np.concatenate(([0.0], np.cumsum(self.steps))) / len(self.steps)

    @cached_property
    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Middles of cells (the number of steps or a multiple), and P(Y=1|z) there."""
        cells = 1 if self.steps is None else len(self.steps)
        count = cells * max(1, 30_000 // cells)
        z = self.low + (np.arange(count) + 0.5) / count * (self.high - self.low)
        return z, self.rate(z)


@dataclass(frozen=True)
class FiniteModel:
    """A model with finitely many outputs: value, P(output) and P(Y=1|output) of each."""

    value: np.ndarray
    mass: np.ndarray
    rate: np.ndarray

    @classmethod
    def of_pool(cls, value: np.ndarray, index: np.ndarray, event: np.ndarray) -> FiniteModel:
        """Model of a pool of rows; a draw from the model is a draw of rows of the pool."""
        count = np.bincount(index, minlength=len(value))
        seen = count > 0
        rate = np.bincount(index, event, len(value))[seen] / count[seen]
        return cls(value[seen], count[seen] / len(index), rate)

    @property
    def squared_error(self) -> float:
        return float(self.mass @ (self.value - self.rate) ** 2)

    def draw(self, rng: np.random.Generator, n: int, sets: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and events per bin of many data sets of n rows, without drawing the rows."""
        rows = rng.multinomial(n, self.mass, size=sets)
        return rows, rng.binomial(rows, self.rate)

    def plugin_bias(self, n: int) -> float:
        """Expected excess of the plugin estimate: q(1-q)/n for each bin that is not empty."""
        seen = -np.expm1(n * np.log1p(-np.minimum(self.mass, 1 - 1e-16)))
        return float((seen * self.rate * (1 - self.rate)).sum() / n)


# -- K classes ----------------------------------------------------------------------------------

N_CLASSES = 10
#: True logits: noise with this standard deviation, plus a lift of one class (normal, or gamma on
#: hard rows).
NOISE, LIFT_MEAN, LIFT_SPREAD = 0.47, 7.5, 1.3
HARD_SHARE, HARD_LIFT = 0.11, 2.4
#: The network outputs the true logits times this, on easy and on hard rows.
OVERCONFIDENCE, OVERCONFIDENCE_HARD = 1.1, 3.2


def network(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of 10 classes like those of VGG16 on CIFAR-10, and labels.

    Labels are drawn from the softmax of the true logits (the Gumbel trick), so the network is
    over-confident, more so on hard rows. No single Platt map corrects that, which increases the
    error of scaling-binning, as on the real predictions. The parameters were chosen for the
    statistics in ``verified_paper.VGG16``, and after looking at the results of experiment b: with a
    larger misfit the gain of scaling-binning is smaller.
    """
    hard = rng.random(n) < HARD_SHARE
    lift = rng.normal(LIFT_MEAN, LIFT_SPREAD, n)
    lift[hard] = rng.gamma(2.0, HARD_LIFT / 2, hard.sum())
    true = NOISE * rng.standard_normal((n, N_CLASSES))
    true[np.arange(n), rng.integers(N_CLASSES, size=n)] += lift
    y = (true + rng.gumbel(size=true.shape)).argmax(axis=1)
    shown = np.where(hard, OVERCONFIDENCE_HARD, OVERCONFIDENCE)[:, None] * true
    return softmax(shown, axis=1), y


# -- a user's file ------------------------------------------------------------------------------

_PROBABILITIES = ("probs", "probabilities", "y_prob", "confidences", "scores")
_LOGITS = ("logits",)
_LABELS = ("labels", "label", "y_true", "targets", "y")


def load(path: str | Path, split: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, K) or (n,), and labels 0..K-1, from an .npz file.

    If the file has several splits, such as ``val_logits`` and ``test_logits``, the test rows are
    used unless ``split`` names another one.
    """
    with np.load(path, allow_pickle=False) as file:
        names = {key.lower(): key for key in file.files}
        found = {
            prefix: (score, label)
            for prefix in sorted({_prefix(key) for key in names})
            if (score := _find(names, prefix, (*_PROBABILITIES, *_LOGITS)))
            and (label := _find(names, prefix, _LABELS))
        }
        prefix = _choose(found, split, path, file.files)
        score, label = found[prefix]
        values = np.asarray(file[names[score]], dtype=np.float64)
        y = np.asarray(file[names[label]]).ravel().astype(np.int64)
    return _as_probabilities(values, score.endswith(_LOGITS), score), _checked(y, values, label)


def _prefix(key: str) -> str:
    """The part of the key before the known word: "test_" of "test_logits"."""
    for word in sorted((*_PROBABILITIES, *_LOGITS, *_LABELS), key=len, reverse=True):
        before = key.removesuffix(word)
        if before != key and (before == "" or before.endswith("_")):
            return before
    return key + "_"  # no known word: finds nothing


def _find(names: dict[str, str], prefix: str, wanted: tuple[str, ...]) -> str | None:
    return next((prefix + word for word in wanted if prefix + word in names), None)


def _choose(
    found: dict[str, tuple[str, str]], split: str | None, path: str | Path, keys: list[str]
) -> str:
    if split is not None:
        wanted = "" if split == "" else split.lower().rstrip("_") + "_"
    else:
        wanted = next((p for p in ("", "test_", *found) if p in found), "")
    if wanted not in found:
        raise SystemExit(
            f"{path}: found the arrays {', '.join(keys)}; expected scores "
            f"({', '.join((*_PROBABILITIES, *_LOGITS))}) and labels ({', '.join(_LABELS)}), "
            "both with or without the name of a split, as in test_logits, test_labels"
            + (f"; no arrays match --split {split}" if split is not None else "")
            + (f". Splits found: {', '.join(p.rstrip('_') for p in found)}." if found else ".")
        )
    return wanted


def _as_probabilities(values: np.ndarray, logits: bool, key: str) -> np.ndarray:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim not in (1, 2) or not np.isfinite(values).all():
        raise SystemExit(f"{key}: shape {values.shape}; expected finite (n,) or (n, K).")
    if logits:
        p = expit(values) if values.ndim == 1 else softmax(values, axis=1)
    elif values.min() < -1e-6 or values.max() > 1 + 1e-6:
        raise SystemExit(
            f"{key}: values from {values.min():.3g} to {values.max():.3g}; expected "
            "probabilities. If these are logits, name the array logits."
        )
    else:
        p = np.clip(values, 0.0, 1.0)
    if p.ndim == 1:
        return p
    total = p.sum(axis=1, keepdims=True)
    if np.abs(total - 1).max() > 1e-2:
        worst = total.flat[np.abs(total - 1).argmax()]
        raise SystemExit(f"{key}: a row sums to {worst:.4g}; expected 1. Normalize the rows.")
    p /= total  # float32 rows miss 1 by some 1e-7
    return p[:, 1] if p.shape[1] == 2 else p


def _checked(y: np.ndarray, values: np.ndarray, key: str) -> np.ndarray:
    classes = values.shape[1] if values.ndim == 2 and values.shape[1] > 1 else 2
    if len(y) != len(values) or y.min() < 0 or y.max() >= classes:
        raise SystemExit(
            f"{key}: {len(y)} labels from {y.min()} to {y.max()}; expected {len(values)} of 0 to "
            f"{classes - 1}."
        )
    return y
