"""Measure the coverage of the intervals of decision curves, beside Student's t over the rows.

Simulates data sets of each law: scores with log-odds of standard deviation 1.5 around the base
rate, and events with 0.7 of these log-odds. The true net benefit is that of four million rows of
the law. Thresholds are fixed fractions and multiples of the base rate. A cell is one law, threshold
and quantity: the net benefit, the same minus that of acting on all rows, or minus that of a second
model. Student's t treats what each row, or each group, adds to the mean as one number.

    python benchmarks/decision_curves.py                  # 1,000 data sets: four minutes
    python benchmarks/decision_curves.py --repeats 100
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, logit, stdtrit

from calibkit import decision_curve

#: Thresholds as multiples of the base rate.
TIMES = np.array([0.2, 0.5, 1.0, 2.0, 4.0])
LEVEL, POPULATION = 0.9, 4_000_000
#: What the net benefit is compared with.
REFERENCES = ("none", "all", "model")


class Law(NamedTuple):
    """Rows, base rate, distinct scores (0: no ties), groups, weights."""

    n: int
    rate: float
    ties: int = 0
    groups: int = 0
    weights: bool = False

    def __str__(self) -> str:
        parts = [f"n={self.n:,}", f"rate {self.rate:g}"]
        parts += [f"{self.ties} scores"] * bool(self.ties) + ["weights"] * self.weights
        return ", ".join(parts + [f"{self.groups} groups"] * bool(self.groups))


LAWS = [
    Law(100, 0.3),
    Law(200, 0.1),
    Law(500, 0.02),
    Law(2000, 0.002),
    Law(2000, 0.2),
    Law(500, 0.2, ties=5),
    Law(1000, 0.1, weights=True),
    Law(600, 0.2, groups=30),
    Law(1500, 0.05, groups=300),
]


def drawn(law: Law, n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Draw rows: probabilities of two models, true probabilities, weights and groups."""
    k = max(law.groups * n // law.n, 1)
    group = np.sort(rng.integers(k, size=n)) if law.groups else np.arange(n)
    shared = rng.normal(size=k)[group] if law.groups else rng.normal(size=n)
    z = logit(law.rate) + 1.5 * (0.6 * shared + 0.8 * rng.normal(size=n))
    effect = 0.5 * rng.normal(size=k)[group] if law.groups else 0.0
    true = expit(logit(law.rate) + 0.7 * (z - logit(law.rate)) + effect)
    q = expit(z + 0.7 * rng.normal(size=n))
    p = expit(np.round(z * law.ties / 6.0) * 6.0 / law.ties) if law.ties else expit(z)
    w = np.exp(rng.normal(size=n) * 0.7) * (1.0 + p) if law.weights else np.ones(n)
    return {"p": p, "q": q, "true": true, "w": w, "group": group}


def added(rows: dict[str, Any], t: float, other: str, y: np.ndarray) -> np.ndarray:
    """Return what each row adds to the net benefit, less what it adds to the reference."""
    base = {"none": 0.0, "all": 1.0, "model": 1.0 * (rows["q"] >= t)}[other]
    return ((rows["p"] >= t) - base) * (y - (1.0 - y) * t / (1.0 - t))


def student(rows: dict[str, Any], t: float, other: str, y: np.ndarray) -> tuple[float, float]:
    """Return Student's t interval of the mean over rows or groups."""
    x, w = added(rows, t, other, y), rows["w"] / rows["w"].sum()
    value = float(w @ x)
    pull = np.bincount(rows["group"], w * (x - value))
    held = np.bincount(rows["group"], w)
    pull, k = pull[held > 0], 1.0 / float(held @ held)
    sd = np.sqrt(pull @ pull * k / (k - 1.0))
    reach = float(stdtrit(k - 1.0, (1.0 + LEVEL) / 2.0)) * sd
    return value - reach, value + reach


def coverage(law: Law, repeats: int, seed: int) -> dict[str, np.ndarray]:
    """Return how often both intervals miss below and above: shape (2, 2, thresholds)."""
    rng, t = np.random.default_rng(seed), np.minimum(TIMES * law.rate, 0.9)
    many = drawn(law, POPULATION, rng)
    truth = {
        other: [np.average(added(many, s, other, many["true"]), weights=many["w"]) for s in t]
        for other in REFERENCES
    }
    missed = {other: np.zeros((2, 2, len(t))) for other in REFERENCES}
    for _ in range(repeats):
        rows = drawn(law, law.n, rng)
        y = (rng.random(law.n) < rows["true"]).astype(int)
        given = {"groups": rows["group"]} if law.groups else {}
        given |= {"sample_weight": rows["w"]} if law.weights else {}
        for other in REFERENCES:
            reference = rows["q"] if other == "model" else other
            c = decision_curve(
                y, rows["p"], thresholds=t, reference=reference, level=LEVEL, pos_label=1, **given
            )
            theirs = np.transpose([student(rows, s, other, y) for s in t])
            for i, (low, high) in enumerate(((c.low, c.high), theirs)):
                missed[other][i] += np.array([low > truth[other], high < truth[other]]) / repeats
    return missed


def main() -> None:
    """Print the coverage of each cell, in percent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=17)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"coverage in %, nominal {LEVEL:.0%}; in brackets Student's t over rows or groups")
    print(f"{'law':34}{'minus':7}" + "".join(f"{f't={x:g} x rate':>17}" for x in TIMES))
    for law in LAWS:
        for other, missed in coverage(law, asked.repeats, asked.seed).items():
            ours, theirs = 100.0 * (1.0 - missed.sum(axis=1))
            cells = "".join(f"{a:10.1f} ({b:4.1f})" for a, b in zip(ours, theirs, strict=True))
            print(f"{law!s:34}{other:7}{cells}", flush=True)


if __name__ == "__main__":
    main()
