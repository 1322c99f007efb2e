"""Measure how often each test of calibration rejects: calibrated models (size), and others (power).

Simulates data sets of each law and counts p-values at or below 1, 5 and 10%. "HIGH" marks a size
above the nominal one by more than three standard errors, "low" one below .7 of it (by more than
three standard errors, with ten expected events or more). The tests of probcal and MAPIE follow
those of calibkit, if they are installed. A cell marked "HIGH" is run again with
ten times the data sets and a new seed, whose result counts.

    python benchmarks/calibration_tests.py                  # sizes, 500 data sets of each law
    python benchmarks/calibration_tests.py --repeats 200 --cell 3 17
    python benchmarks/calibration_tests.py --null asymptotic
    python benchmarks/calibration_tests.py --power
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from calibkit.metrics import calibration_tests
from calibkit.metrics._tests import TESTS

LEVELS = np.array([0.01, 0.05, 0.1])
#: Draws of each Monte Carlo test; (draws + 1) times each level is a whole number.
N_DRAWS = 199
#: Statistics of few values have sizes below the nominal one.
CONTINUOUS = [name for name in TESTS if name != "in_the_large"]


class Cell(NamedTuple):
    """A law: log-odds of the scores are normal, with standard deviation 1.5."""

    n: int
    rate: float
    ties: int = 0  # number of distinct scores
    weights: str = ""  # gamma or lognormal
    groups: int = 0
    uneven: bool = False  # sizes of groups
    error: str = ""  # offset, slope or curve

    def __str__(self) -> str:
        parts = [f"n {self.n:,}", f"rate {self.rate:g}"]
        parts += [f"{self.ties} values"] if self.ties else []
        parts += [f"{self.weights} weights"] if self.weights else []
        parts += [f"{self.groups}{' uneven' * self.uneven} groups"] if self.groups else []
        return ", ".join(parts + ([self.error] if self.error else []))


CELLS = (
    *(Cell(n, rate) for n in (100, 1_000, 10_000, 100_000) for rate in (0.02, 0.1, 0.5)),
    Cell(100, 0.5, ties=5), Cell(1_000, 0.1, ties=10), Cell(10_000, 0.02, ties=10),
    Cell(100, 0.5, weights="gamma"), Cell(1_000, 0.1, weights="gamma"),
    Cell(10_000, 0.02, weights="gamma"), Cell(100_000, 0.5, weights="gamma"),
    Cell(1_000, 0.5, weights="lognormal"), Cell(10_000, 0.1, weights="lognormal"),
    Cell(300, 0.5, groups=30), Cell(3_000, 0.1, groups=30), Cell(30_000, 0.02, groups=30),
    Cell(3_000, 0.1, groups=50, uneven=True), Cell(1_000, 0.1, groups=100),
    Cell(10_000, 0.02, groups=100), Cell(100_000, 0.1, groups=100, uneven=True),
    Cell(10_000, 0.5, groups=1_000),
)  # fmt: skip
POWERED = tuple(
    Cell(n, rate, error=error)
    for n, rate in ((1_000, 0.5), (1_000, 0.1), (10_000, 0.1))
    for error in ("offset", "slope", "curve", "kink")
)


def law(cell: Cell, rng: np.random.Generator):
    """Labels, scores, weights and groups of a data set."""
    center = brentq(lambda c: expit(c + 1.5 * ndtri(np.arange(0.005, 1, 0.01))).mean() - cell.rate,
                    -15, 15)  # fmt: skip
    z = center + 1.5 * rng.standard_normal(cell.n)
    if cell.ties:
        k = cell.ties
        place = np.clip(np.floor(ndtr((z - center) / 1.5) * k), 0, k - 1)
        z = center + 1.5 * ndtri((place + 0.5) / k)
    w = g = None
    u = rng.random(cell.n)
    if cell.weights:
        w = rng.gamma(1.0, size=cell.n) if cell.weights == "gamma" else rng.lognormal(size=cell.n)
    if cell.groups:
        size = rng.lognormal(sigma=0.5, size=cell.groups)
        g = np.arange(cell.n) % cell.groups
        if cell.uneven:
            g = rng.choice(cell.groups, size=cell.n, p=size / size.sum())
        shared = np.sqrt(0.3) * rng.standard_normal(cell.groups)[g]
        u = ndtr(shared + np.sqrt(0.7) * ndtri(u))
    true, away = z, (z - center) / 1.5
    scale = np.sqrt(1_000 / cell.n / min(cell.rate, 0.5))
    true = {
        "offset": lambda: z + 0.2 * scale,
        "slope": lambda: center + (z - center) * (1 + 0.12 * scale),
        "curve": lambda: z + 0.2 * scale * (away**2 - 1),
        "kink": lambda: z + 0.3 * scale * np.sign(np.sin(4 * away)),
    }.get(cell.error, lambda: z)()
    return (u < expit(true)).astype(int), expit(z), w, g


def rejections(
    cell: Cell, repeats: int, seed: int, null: str, tests: list[str] | None = None
) -> dict[str, np.ndarray]:
    """Shares of p-values at or below each level, by test."""
    rng = np.random.default_rng([seed, *map(ord, str(cell))])
    names = [n for n in tests or TESTS if null != "asymptotic" or TESTS[n].tail is not None]
    counts = {name: np.zeros(3) for name in names}
    for _ in range(repeats):
        y, p, w, g = law(cell, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = calibration_tests(
                y, p, tests=names, groups=g, sample_weight=w, null=null, n_draws=N_DRAWS,
                random_state=int(rng.integers(2**31)),
            )  # fmt: skip
        for row in rows:
            counts[row["test"]] += row["p_value"] <= LEVELS
    return {name: c / repeats for name, c in counts.items()}


def peers() -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """p-values of the tests of other packages, where they are installed; rows without weights."""
    found: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {}
    try:
        from probcal.metrics import calibration_test, hosmer_lemeshow, spiegelhalter_z
    except ImportError:
        pass
    else:
        of = {"line": calibration_test, "HL": hosmer_lemeshow, "Spiegelhalter": spiegelhalter_z}
        found |= {f"probcal {k}": lambda y, p, f=f: f(y, p).p_value for k, f in of.items()}
    try:
        from mapie.metrics import calibration as mapie
    except ImportError:
        return found
    for name in ("spiegelhalter", "kolmogorov_smirnov", "kuiper"):
        found[f"MAPIE {name[:9]}"] = getattr(mapie, f"{name}_p_value")
    return found


def of_peers(cell: Cell, repeats: int, seed: int) -> dict[str, np.ndarray]:
    """Shares of their p-values at or below each level, on the same data sets as ours."""
    rng, functions = np.random.default_rng([seed, *map(ord, str(cell))]), peers()
    counts = {name: np.zeros(3) for name in functions}
    for _ in range(repeats):
        y, p, *_ = law(cell, rng)
        rng.integers(2**31)
        for name, function in functions.items():
            with suppress(ValueError, ArithmeticError):  # one class only
                counts[name] += function(y, p) <= LEVELS
    return {name: c / repeats for name, c in counts.items()}


def mark(cell: Cell, name: str, share: np.ndarray, repeats: int) -> str:
    error = np.sqrt(LEVELS * (1 - LEVELS) / repeats)
    if (share > LEVELS + 3 * error).any():
        return "HIGH"
    few = cell.n * min(cell.rate, 1 - cell.rate) < 10
    if name in CONTINUOUS and not few and (share < 0.7 * LEVELS - 3 * error).any():
        return "low"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--cell", type=int, nargs="*", help="numbers of laws; default: all")
    parser.add_argument("--null", default="auto", choices=("auto", "asymptotic", "monte_carlo"))
    parser.add_argument("--power", action="store_true")
    parser.add_argument("--once", action="store_true", help="don't run again what is too high")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cells = POWERED if args.power else CELLS
    for i in args.cell if args.cell is not None else range(len(cells)):
        start = time.time()
        repeats, found = args.repeats, rejections(cells[i], args.repeats, args.seed, args.null)
        print(f"{i:2d} {cells[i]} ({time.time() - start:.0f} s)", flush=True)
        marks = {} if args.power else {n: mark(cells[i], n, s, repeats) for n, s in found.items()}
        show(found, marks)
        if not (cells[i].weights or cells[i].groups):
            show(of_peers(cells[i], repeats, args.seed), {})
        high = [n for n in marks if marks[n] == "HIGH"]
        if high and not args.once:
            more = rejections(cells[i], 10 * repeats, args.seed + 1, args.null, high)
            print("   run again, with ten times the data sets:")
            show(more, {n: mark(cells[i], n, s, 10 * repeats) for n, s in more.items()})


def show(found: dict[str, np.ndarray], marks: dict[str, str]) -> None:
    for name, share in found.items():
        sizes = "  ".join(f"{s:.3f}" for s in share)
        print(f"   {name:22}  {sizes}  {marks.get(name, '')}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
