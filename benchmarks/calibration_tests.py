"""Measure how often each test of calibration rejects: calibrated models (size), and others (power).

Simulates data sets of each law and counts p-values at or below 1, 5 and 10%. "HIGH" marks a size
above the nominal one by more than three standard errors; such a test is run again with ten times
the data sets and a new seed, and that result counts. "low" marks a size below .7 of the nominal one
(by more than three standard errors, with ten expected events or more). The tests of probcal and
MAPIE follow those of calibkit, if they are installed.

    python benchmarks/calibration_tests.py                      # prints the stored results
    python benchmarks/calibration_tests.py --run size power     # measures, and stores the results
    python benchmarks/calibration_tests.py --run size --repeats 200 --cell 3 17 --jobs 2
    python benchmarks/calibration_tests.py --table              # writes sizes to docs/tests.md
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from calibkit.metrics import calibration_tests
from calibkit.metrics._tests import TESTS

LEVELS = np.array([0.01, 0.05, 0.1])
PAGE = Path(__file__).parent.parent / "docs" / "tests.md"
RESULTS = Path(__file__).with_name("calibration_tests.json")
#: Draws of each Monte Carlo test; (draws + 1) times each level is a whole number.
N_DRAWS = 99
#: Slow tests are run on every so many data sets only.
EVERY = {"smooth_logit": 5}
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
    Cell(10_000, 0.5, groups=1_000), Cell(1_000, 0.1, weights="gamma", groups=50),
    Cell(10_000, 0.1, weights="lognormal", groups=100),
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
    cell: Cell, repeats: int, seed: int, tests: list[str] | None = None
) -> dict[str, list[float]]:
    """Of each test the number of data sets, and the shares of p-values at or below each level."""
    rng, others = np.random.default_rng([seed, *map(ord, str(cell))]), {}
    if not (cell.weights or cell.groups or tests):
        others = peers()
    counts = {name: np.zeros(4) for name in [*(tests or TESTS), *others]}
    for i in range(repeats):
        y, p, w, g = law(cell, rng)
        names = [name for name in tests or TESTS if i % EVERY.get(name, 1) == 0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = {
                row["test"]: row["p_value"]
                for row in calibration_tests(
                    y, p, tests=names, groups=g, sample_weight=w, n_draws=N_DRAWS,
                    random_state=int(rng.integers(2**31)),
                )
            } if names else {}  # fmt: skip
            for name, function in others.items():
                found[name] = np.nan
                with suppress(ValueError, ArithmeticError):  # one class only
                    found[name] = function(y, p)
        for name, value in found.items():
            counts[name] += np.append(1.0, value <= LEVELS)
    return {name: [int(c[0]), *(c[1:] / c[0]).round(4).tolist()] for name, c in counts.items()}


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


def mark(cell: Cell, name: str, found: list[float]) -> str:
    if name not in TESTS or cell.error:
        return ""
    share, error = np.array(found[1:]), np.sqrt(LEVELS * (1 - LEVELS) / found[0])
    if (share > LEVELS + 3 * error).any():
        return "HIGH"
    few = cell.n * min(cell.rate, 1 - cell.rate) < 10
    if name in CONTINUOUS and not few and (share < 0.7 * LEVELS - 3 * error).any():
        return "low"
    return ""


def measure(cell: Cell, repeats: int, seed: int) -> dict[str, Any]:
    """The results of a law; what is too high is run again, and the first result is kept beside."""
    start = time.process_time()
    if cell.n > 50_000:
        repeats //= 2
    found, first = rejections(cell, repeats, seed), {}
    for name in found:
        if mark(cell, name, found[name]) == "HIGH":
            first[name] = found[name]
            found |= rejections(cell, 10 * repeats, seed + 1, [name])
    took = round(time.process_time() - start)
    return {"cell": cell._asdict(), "tests": found, "first": first, "seconds": took}


def show(result: dict[str, Any]) -> None:
    cell = Cell(**result["cell"])
    print(f"{cell} ({result['seconds']} s)")
    for name, found in result["tests"].items():
        sizes = "  ".join(f"{s:.3f}" for s in found[1:])
        print(f"   {name:22} {found[0]:6,} sets  {sizes}  {mark(cell, name, found)}".rstrip())
        if name in result["first"]:
            sets, *sizes = result["first"][name]
            print(f"   {'  at first':22} {sets:6,} sets  {'  '.join(f'{s:.3f}' for s in sizes)}")


def table(results: list[dict[str, Any]]) -> str:
    """What each test sees and is blind to, its null, and its mean and largest sizes, as text."""
    sizes = {
        name: [r["tests"][name][1:] for r in results if not r["cell"]["error"]] for name in TESTS
    }
    lines = ["| test | sees | is blind to | null | 1% | 5% | 10% |", "|---" * 7 + "|"]
    for name, shares in sizes.items():
        test, columns = TESTS[name], [np.array(c) for c in zip(*shares, strict=True)]
        null = "Monte Carlo" if test.tail is None else "law"
        parts = f"`{name}`", test.sees, test.blind_to, null
        shown = (f"{c.mean():.3f}, {c.max():.3f}" for c in columns)
        lines.append("| " + " | ".join((*parts, *shown)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", nargs="*", default=[], choices=("size", "power"))
    parser.add_argument("--repeats", type=int, default=300, help="data sets of a law")
    parser.add_argument("--cell", type=int, nargs="*", help="numbers of laws; default: all")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="write sizes to docs/tests.md")
    args = parser.parse_args()
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    known = {str(Cell(**result["cell"])): result for result in stored}
    chosen = [c for kind in args.run for c in (CELLS if kind == "size" else POWERED)]
    if args.cell is not None:
        chosen = [chosen[i] for i in args.cell]
    with ProcessPoolExecutor(args.jobs) as pool:
        run = partial(measure, repeats=args.repeats, seed=args.seed)
        for result in pool.map(run, chosen):
            show(result)
            known[str(Cell(**result["cell"]))] = result
            kept = [known[str(c)] for c in (*CELLS, *POWERED) if str(c) in known]
            RESULTS.write_text("[\n" + ",\n".join(map(json.dumps, kept)) + "\n]\n")
    if args.table:
        before, rest = PAGE.read_text().split(" --table -->\n")
        after = rest[rest.index("<!-- end of sizes -->") :]
        PAGE.write_text(f"{before} --table -->\n{table(stored)}\n{after}")
    elif not args.run:
        for result in stored:
            show(result)


if __name__ == "__main__":
    main()
