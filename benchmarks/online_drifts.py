"""Streams with known true probabilities that drift abruptly, gradually, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

ROWS = 20_000


class Drift(NamedTuple):
    """Log-odds of a model, labels, and the true probabilities."""

    z: np.ndarray
    y: np.ndarray
    truth: np.ndarray


def _finish(path: np.ndarray, rng: np.random.Generator) -> Drift:
    """Rows with P(Y=1) = expit(slope * z + intercept); slope and intercept follow ``path``."""
    z = rng.normal(0.0, 1.5, len(path))
    truth = 1 / (1 + np.exp(-(path[:, 0] * z + path[:, 1])))
    return Drift(z, (rng.random(len(z)) < truth).astype(np.float64), truth)


def _maps(n: int, rng: np.random.Generator) -> np.ndarray:
    """Random slopes and intercepts: over- and under-confident, biased up and down."""
    return np.column_stack((rng.uniform(0.3, 1.7, n), rng.uniform(-1.5, 1.5, n)))


def abrupt(jumps: int) -> Callable[[np.random.Generator], Drift]:
    """The map jumps to another random map at random times."""

    def draw(rng: np.random.Generator) -> Drift:
        times = np.sort(rng.integers(0, ROWS, jumps))
        piece = np.searchsorted(times, np.arange(ROWS), side="right")
        return _finish(_maps(jumps + 1, rng)[piece], rng)

    return draw


def gradual(legs: int) -> Callable[[np.random.Generator], Drift]:
    """The map moves in straight lines from one random map to the next."""

    def draw(rng: np.random.Generator) -> Drift:
        knots = np.linspace(0, ROWS, legs + 1)
        maps, t = _maps(legs + 1, rng), np.arange(ROWS)
        return _finish(np.column_stack([np.interp(t, knots, m) for m in maps.T]), rng)

    return draw


DRIFTS: dict[str, Callable[[np.random.Generator], Drift]] = {
    "none": abrupt(0),
    "one jump": abrupt(1),
    "5 jumps": abrupt(5),
    "20 jumps": abrupt(20),
    "1 leg": gradual(1),
    "5 legs": gradual(5),
    "20 legs": gradual(20),
}
