"""Measure the coverage and the width of intervals of calibration errors.

The true probabilities of each law are known. The true value is the population error on the bins of
the data set, by numerical integration.

    python benchmarks/interval_coverage.py              # all: two hours on one core
    python benchmarks/interval_coverage.py --quick      # one data set in ten
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import calibkit
from calibkit import ScoreTable

LEVEL = 0.9
N_BINS = 15
ROWS = (200, 1_000, 10_000, 100_000)
#: Base rates, and the center of the scores' log-odds (standard deviation 1.5) that gives them.
CENTRES = {0.02: -4.75, 0.1: -2.95, 0.5: 0.0}
SPREAD = 1.5
#: Data sets per cell by rows; the standard error of a coverage of .9 is .013 for 500.
REPEATS = {200: 500, 1_000: 500, 10_000: 300, 100_000: 150}
#: Points of the grid for the truth.
GRID = 400_000


def expit(z: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-z))


#: True probabilities from scores p with log-odds z, centered at m.
LAWS: dict[str, Callable[[Any, Any, float], Any]] = {
    "calibrated": lambda p, z, m: p,
    "slope .9": lambda p, z, m: expit(m + 0.9 * (z - m)),
    "slope .7": lambda p, z, m: expit(m + 0.7 * (z - m)),
    "shift +.3": lambda p, z, m: expit(z + 0.3),
    "shift -.5": lambda p, z, m: expit(z - 0.5),
    "wave": lambda p, z, m: p * (1 + 0.4 * np.sin(6 * z) * (1 - p)),
    "top decile": lambda p, z, m: np.where(z > m + 1.9, 0.7 * p, p),
    "one spike": lambda p, z, m: np.where((z > m) & (z < m + 0.25), np.minimum(1.6 * p, 1), p),
}


class Truth:
    """Population errors of bins with any borders."""

    def __init__(self, law: str, centre: float) -> None:
        from scipy.special import ndtri

        z = centre + SPREAD * ndtri((np.arange(GRID) + 0.5) / GRID)
        p = expit(z)
        self.p = p
        self.sums = np.concatenate(([0.0], np.cumsum(p - LAWS[law](p, z, centre))))

    def error(self, norm: str, borders: np.ndarray) -> float:
        ends = np.concatenate(([0], np.searchsorted(self.p, borders), [GRID]))
        size = np.diff(ends)
        gap = np.divide(np.diff(self.sums[ends]), size, out=np.zeros(len(size)), where=size > 0)
        if norm == "l1":
            return float(size @ np.abs(gap) / GRID)
        return float(np.sqrt(size @ gap**2 / GRID))


class Row(NamedTuple):
    """One cell of the table."""

    base_rate: float
    n: int
    law: str
    norm: str
    repeats: int
    coverage: float
    below: float  # share of intervals above the true value
    above: float  # share of intervals below it
    width: float
    truth: float
    positives: float  # expected in the bin that has fewest

    @property
    def error(self) -> float:
        return float(np.sqrt(max(self.coverage * (1 - self.coverage), 1e-4) / self.repeats))


def measure(base: float, n: int, law: str, norms: tuple[str, ...], repeats: int) -> Iterator[Row]:
    """Coverage of one law at one size."""
    centre, rng = CENTRES[base], np.random.default_rng([n, int(1000 * base), len(law)])
    truth = Truth(law, centre)
    found: dict[str, list[tuple[float, float, float]]] = {norm: [] for norm in norms}
    for seed in range(repeats):
        z = centre + SPREAD * rng.standard_normal(n)
        p = expit(z)
        y = rng.random(n) < LAWS[law](p, z, centre)
        table = ScoreTable.from_arrays(y, p, pos_label=True)
        borders = table.borders("quantile", N_BINS)
        for norm in norms:
            e = calibkit.estimate(
                "calibration_error", table, norm=norm, level=LEVEL, random_state=seed,
                n_resamples=1000, n_bins=N_BINS,
            )  # fmt: skip
            found[norm].append((truth.error(norm, borders), e.low, e.high))
    edges = np.arange(N_BINS) * (GRID // N_BINS)
    least = np.add.reduceat(truth.p, edges).min() / GRID * n
    for norm, values in found.items():
        t, low, high = np.array(values).T
        inside = (low <= t) & (t <= high)
        yield Row(
            base, n, law, norm, repeats, float(inside.mean()), float((low > t).mean()),
            float((high < t).mean()), float((high - low).mean()), float(t.mean()), float(least),
        )  # fmt: skip


def show(rows: list[Row]) -> None:
    print(f"Coverage of {LEVEL:.0%} intervals, {N_BINS} equal-mass bins; s.e.: of the simulation.")
    print("* some bin expects fewer than 20 positives: no upper limit on the coverage.")
    print("too high, too low: share of intervals above, below the true value.\n")
    head = ("base", "n", "law", "norm", "truth", "coverage", "s.e.", "too high", "too low", "width")
    print("{:>5} {:>7} {:<11} {:<4} {:>7} {:>8} {:>6} {:>8} {:>8} {:>7}".format(*head))
    for r in rows:
        star = "*" if r.positives < 20 else " "
        print(
            f"{r.base_rate:5.2f} {r.n:7,} {r.law:<11} {r.norm:<4} {r.truth:7.4f} "
            f"{r.coverage:7.3f}{star} {r.error:6.3f} {r.below:8.3f} {r.above:8.3f} {r.width:7.4f}"
        )
    worst = min(rows, key=lambda r: r.coverage)
    print(f"\nLowest coverage {worst.coverage:.3f} (s.e. {worst.error:.3f}): {worst.law}, "
          f"n = {worst.n:,}, base rate {worst.base_rate}, {worst.norm}.")  # fmt: skip
    full = [r for r in rows if r.positives >= 20]
    if full:
        most = max(full, key=lambda r: r.coverage)
        print(f"Highest where all bins expect 20 positives: {most.coverage:.3f} "
              f"(s.e. {most.error:.3f}): {most.law}, n = {most.n:,}, "
              f"base rate {most.base_rate}, {most.norm}.")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one data set in ten")
    parser.add_argument("--rows", type=int, nargs="*", default=list(ROWS), help="numbers of rows")
    parser.add_argument("--base", type=float, nargs="*", default=list(CENTRES), help="base rates")
    parser.add_argument("--law", nargs="*", default=list(LAWS), choices=list(LAWS))
    parser.add_argument("--norm", nargs="*", default=["l2", "l1"], choices=["l1", "l2"])
    parser.add_argument("--repeats", type=int, help="data sets of a line")
    parser.add_argument("--json", metavar="FILE", help="write the results to this file")
    given = parser.parse_args()
    start, rows = time.time(), []
    for base in given.base:
        for n in given.rows:
            for law in given.law:
                usual = given.repeats or REPEATS.get(n, 600)
                repeats = usual // (10 if given.quick else 1)
                rows += list(measure(base, n, law, tuple(given.norm), repeats))
    show(rows)
    print(f"{time.time() - start:.0f} s; calibkit {calibkit.__version__}")
    if given.json:
        with open(given.json, "w") as file:
            json.dump([r._asdict() for r in rows], file)


if __name__ == "__main__":
    main()
