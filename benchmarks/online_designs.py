"""Streams of the paper's experiments: training rows, streamed rows, and the scores of a forest.

The generators draw in the same order as the authors' code, from NumPy's legacy generator. So a seed
gives the stream and the forest of the authors' run with that number.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

TRAIN, SYNTHETIC, DIM = 1_000, 5_000, 10

Rows = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.RandomState], Rows]


class Design(NamedTuple):
    """A stream: its name and a function that draws rows and labels (the first 1,000 to train)."""

    name: str
    draw: Draw


# -- synthetic drift ----------------------------------------------------------------------------


def _quadratic(x: np.ndarray) -> np.ndarray:
    """All terms of degree one and two, 65 for 10 features."""
    i, j = np.triu_indices(x.shape[-1])
    return np.concatenate((x, x[..., i] * x[..., j]), axis=-1)


def _signs(rng: np.random.RandomState) -> np.ndarray:
    return 2 * rng.randint(0, 2, size=DIM + DIM * (DIM + 1) // 2) - 1


def _orthogonal(v: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """A random vector at right angles to v, of its length."""
    unit = v / np.linalg.norm(v)
    w = rng.randn(v.size)
    w = w - unit * (w @ unit)
    return w * (np.linalg.norm(v) / np.linalg.norm(w))


def _angles(degrees: float) -> np.ndarray:
    """Rotation at each row, training rows included."""
    n = TRAIN + SYNTHETIC
    return np.arange(n) * np.deg2rad(degrees) / n


def covariate_drift(degrees: float, rng: np.random.RandomState) -> Rows:
    """Features are stretched along a direction that rotates; P(Y=1|features) stays the same."""
    beta, first = _signs(rng), rng.randn(DIM)
    first /= np.linalg.norm(first)
    second, angles = _orthogonal(first, rng), _angles(degrees)
    x, u = np.empty((len(angles), DIM)), np.empty(len(angles))
    for i in range(len(angles)):
        x[i], u[i] = rng.randn(DIM), rng.random_sample()
    v = np.outer(np.cos(angles), first) + np.outer(np.sin(angles), second)
    x += 10 * v * (x * v).sum(axis=1, keepdims=True)
    return x, _label(_quadratic(x) @ beta, u)


def label_drift(final: float, rng: np.random.RandomState) -> Rows:
    """P(Y=1) goes from .5 to ``final``; features are Gaussian given the label."""
    rate = 0.5 + np.arange(TRAIN + SYNTHETIC) * (final - 0.5) / (TRAIN + SYNTHETIC)
    parts = []
    for rows in (slice(0, TRAIN), slice(TRAIN, None)):
        y = (rng.random_sample(len(rate[rows])) <= rate[rows]).astype(np.int64)
        x = np.empty((len(y), DIM))
        for c in (0, 1):
            x[y == c] = rng.randn(np.count_nonzero(y == c), DIM)
        x[y == 0, 0] *= 2
        x[y == 1, 0] += 1
        x[y == 1, 1] *= 2
        parts.append((x, y))
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def regression_drift(degrees: float, rng: np.random.RandomState) -> Rows:
    """The coefficients of the logistic model rotate; features stay standard normal."""
    first = _signs(rng)
    second, angles = _orthogonal(first, rng), _angles(degrees)
    x, u = np.empty((len(angles), DIM)), np.empty(len(angles))
    for rows in (slice(0, TRAIN), slice(TRAIN, None)):
        x[rows], u[rows] = rng.randn(*x[rows].shape), rng.random_sample(len(u[rows]))
    beta = np.outer(np.cos(angles), first) + np.outer(np.sin(angles), second)
    return x, _label((_quadratic(x) * beta).sum(axis=1), u)


def _label(z: np.ndarray, u: np.ndarray) -> np.ndarray:
    return (u <= 1 / (1 + np.exp(-np.clip(z, -100, 100)))).astype(np.int64)


# -- files --------------------------------------------------------------------------------------


@cache
def read_table(path: Path) -> dict[str, np.ndarray]:
    """Columns of a .csv or .csv.gz; integers where all values are."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        header, *rows = csv.reader(file)
    out = {}
    for name, values in zip(header, zip(*rows, strict=True), strict=True):
        try:
            out[name] = np.array([int(v) for v in values])
        except ValueError:
            out[name] = np.array(values)
    return out


def one_hot(table: dict[str, np.ndarray]) -> np.ndarray:
    """Numbers first, then an indicator for each value of a text column except its first."""
    numbers = [v for v in table.values() if v.dtype.kind == "i"]
    texts = [v for v in table.values() if v.dtype.kind != "i"]
    dummies = [v == value for v in texts for value in np.unique(v)[1:]]
    return np.column_stack([*numbers, *dummies]).astype(np.float64)


def bank(path: Path, by: str, rng: np.random.RandomState) -> Rows:
    """UCI bank marketing: 12,000 random rows; ``by`` is "", "age" or "balance"."""
    table = {k: v for k, v in read_table(path).items() if k != "ID"}
    y = (table.pop("y") == "yes").astype(np.int64)
    rows = rng.permutation(len(y))[:12_000]
    noise = {
        "": lambda: np.arange(len(rows)),
        "age": lambda: table["age"][rows] + rng.randint(-1, 2, len(rows)),
        "balance": lambda: table["balance"][rows] + rng.normal(0, 100, len(rows)),
    }
    rows = rows[np.argsort(noise[by]())]
    return one_hot(table)[rows], y[rows]


def credit(path: Path, by: str, rng: np.random.RandomState) -> Rows:
    """UCI credit default: 30,000 rows; ``by`` is "", "sex" or "age"."""
    table = {k: v for k, v in read_table(path).items() if k != "ID"}
    y = table.pop("default payment next month")
    rows = rng.permutation(len(y))
    noise = {
        "": lambda: np.arange(len(rows)),
        "sex": lambda: table["SEX"][rows] + rng.normal(0, 0.05, len(rows)),
        "age": lambda: table["AGE"][rows] + rng.randint(-1, 2, len(rows)),
    }
    rows = rows[np.argsort(noise[by]())]
    return one_hot(table)[rows], y[rows]


#: The designs that need no file, and those of a user's file by its name.
DRIFTS = (
    Design("label drift to .9", partial(label_drift, 0.9)),
    Design("covariate drift 180", partial(covariate_drift, 180)),
    Design("regression drift 0 (iid)", partial(regression_drift, 0)),
    Design("regression drift 60", partial(regression_drift, 60)),
    Design("regression drift 90", partial(regression_drift, 90)),
)


def of_file(name: str, path: Path) -> tuple[Design, ...]:
    """Designs of the bank or the credit file."""
    if name == "bank":
        ways = {"bank, iid": "", "bank, by age": "age", "bank, by balance": "balance"}
        return tuple(Design(title, partial(bank, path, by)) for title, by in ways.items())
    ways = {"credit, iid": "", "credit, by sex": "sex", "credit, by age": "age"}
    return tuple(Design(title, partial(credit, path, by)) for title, by in ways.items())


# -- the base model -----------------------------------------------------------------------------


def forest_scores(
    design: Design, seed: int, trees: int, folder: Path | None, jobs: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """P(Y=1) by a random forest fitted to the first 1,000 rows, and labels, of the later rows."""
    words = "".join(c if c.isalnum() else " " for c in design.name).split()
    file = folder / f"{'_'.join(words)}_{trees}_{seed}.npz" if folder else None
    if file and file.exists():
        with np.load(file, allow_pickle=False) as found:
            return found["p"], found["y"]
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.RandomState(seed)
    x, y = design.draw(rng)
    forest = RandomForestClassifier(n_estimators=trees, random_state=rng, n_jobs=jobs)
    forest.fit(x[:TRAIN], y[:TRAIN])
    p, y = forest.predict_proba(x[TRAIN:])[:, 1], y[TRAIN:]
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, p=p, y=y)
    return p, y
