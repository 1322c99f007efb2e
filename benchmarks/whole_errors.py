"""Measure the errors without bins: size of their tests, coverage of their intervals, time.

Size: how often the p-value is at most .01, .05 and .1 although the scores are calibrated. "HIGH"
marks a rate above the nominal one by more than three standard errors. Coverage: of 90 % intervals
of `estimate`, with the rates of misses on both sides. Time: of values, in processor seconds,
beside relplot's smooth ECE if it is installed.

    python benchmarks/whole_errors.py                     # all: some hours on one core
    python benchmarks/whole_errors.py --repeats 200 --table size --cell 0 3
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtri

import calibkit
from calibkit import ScoreTable, estimate
from calibkit._core.rows import Binary
from calibkit.metrics import METRICS
from calibkit.metrics._whole_interval import whole_test

TESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "smooth": ("smooth_calibration_error", {"scale": "probability"}),
    "smooth, logit": ("smooth_calibration_error", {"scale": "logit"}),
    "kernel": ("kernel_calibration_error", {"bandwidth": None}),
    "Kuiper": ("cumulative_calibration_error", {"statistic": "kuiper"}),
    "KS": ("cumulative_calibration_error", {"statistic": "ks"}),
    "CORP, Brier": ("corp_miscalibration", {"loss": "brier"}),
    "CORP, log": ("corp_miscalibration", {"loss": "log"}),
}
LEVELS = np.array([0.01, 0.05, 0.1])
#: How the true rates depend on the scores.
LAWS: dict[str, Callable[[Any], Any]] = {
    "calibrated": lambda p: p,
    "shift": lambda p: expit(logit(p) - 0.4),
    "slope": lambda p: expit(0.7 * logit(p)),
    "wave": lambda p: np.clip(p + 0.1 * np.sin(4.0 * np.pi * p), 0.001, 0.999),
}


class Cell(NamedTuple):
    """Rows of a simulation; scores are uniform at a base rate of .5."""

    n: int
    base: float
    law: str = "calibrated"
    ties: bool = False
    weights: bool = False  # lognormal
    groups: int = 0  # with normal effects, correlation .36

    def rows(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Scores, true rates, labels, weights and groups."""
        n, base = self.n, self.base
        p = rng.random(n) if base == 0.5 else rng.beta(4.0 * base, 4.0 * (1.0 - base), n)
        p = np.clip(np.round(p, 1 if base == 0.5 else 2), 0.005, 0.995) if self.ties else p
        p = np.clip(p, 1e-4, 1.0 - 1e-4)
        rate = LAWS[self.law](p)
        w = np.exp(0.8 * rng.normal(size=n)) if self.weights else None
        if not self.groups:
            return p, rate, (rng.random(n) < rate).astype(int), w, None
        g = np.arange(n) % self.groups
        z = 0.6 * rng.normal(size=self.groups)[g] + 0.8 * rng.normal(size=n)
        return p, rate, (z < ndtri(rate)).astype(int), w, g


SIZES = [
    *(Cell(n, base) for n in (100, 1000, 10_000, 100_000) for base in (0.02, 0.1, 0.5)),
    *(Cell(1000, base, ties=True) for base in (0.1, 0.5)),
    *(Cell(1000, base, weights=True) for base in (0.1, 0.5)),
    *(Cell(1000, base, groups=30) for base in (0.1, 0.5)),
    Cell(10_000, 0.5, groups=100),
    Cell(1000, 0.5, weights=True, groups=30),
]
COVERED = [
    *(Cell(n, 0.5, law) for n in (300, 2000) for law in LAWS),
    Cell(2000, 0.1, "shift"),
    Cell(1000, 0.02, "shift"),
    Cell(300, 0.5, "slope", weights=True),
    Cell(300, 0.5, "shift", groups=60),
]


def sizes(cell: Cell, repeats: int) -> None:
    p_values: dict[str, list[float]] = {name: [] for name in TESTS}
    for seed in range(repeats):
        rng = np.random.default_rng([1, seed])
        p, _, y, w, g = cell.rows(rng)
        b = Binary(p, y, w)
        problems = [(ScoreTable._from_binary(b), b)]
        for name, (metric, settings) in TESTS.items():
            whole = METRICS[metric].whole
            assert whole is not None
            tested = whole_test(whole, problems, settings, 199, rng, g)
            p_values[name].append(tested.p_value)
    most = LEVELS + 3.0 * np.sqrt(LEVELS * (1.0 - LEVELS) / repeats)
    for name, found in p_values.items():
        rates = (np.array(found)[:, None] <= LEVELS + 1e-9).mean(axis=0)
        high = " HIGH" if (rates > most).any() else ""
        print(f"  {name:14}" + "".join(f"{rate:8.3f}" for rate in rates) + high, flush=True)


def covered(cell: Cell, repeats: int) -> None:
    misses: dict[str, list[tuple[bool, bool]]] = {name: [] for name in TESTS}
    for seed in range(repeats):
        p, rate, y, w, g = cell.rows(np.random.default_rng([2, seed]))
        table = ScoreTable.from_arrays(rate, p, w, pos_label=1)
        for name, (metric, settings) in TESTS.items():
            whole = METRICS[metric].whole
            assert whole is not None
            given = {"sample_weight": w, "groups": g, "random_state": seed, **settings}
            e = estimate(metric, y, p, **given)
            kernel = whole.truth(table, **e.params)
            truth = float(whole.finished(float(kernel(table.w, table.wy))))
            misses[name].append((truth < e.low, truth > e.high))
    for name, found in misses.items():
        below, above = np.mean(found, axis=0)
        print(f"  {name:14} covers {1 - below - above:.3f}, truth below {below:.3f}, "
              f"above {above:.3f}", flush=True)  # fmt: skip


def seconds(call: Callable[..., Any], *given: Any, repeats: int = 3) -> float:
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call(*given)
        taken.append(time.process_time() - start)
    return min(taken)


def speed() -> None:
    try:
        import relplot  # type: ignore[import-not-found]
    except ImportError:
        relplot = None
    for n in (100_000, 1_000_000):
        rng = np.random.default_rng(0)
        p = rng.random(n)
        y = (rng.random(n) < p).astype(int)
        for name in dict.fromkeys(metric for metric, _ in TESTS.values()):
            taken = seconds(getattr(calibkit, name), y, p)
            print(f"{n:9,} rows  {name:30}{taken:8.4f} s", flush=True)
        if relplot is not None:
            taken = seconds(relplot.smECE, p, y)
            print(f"{n:9,} rows  {'relplot.smECE':30}{taken:8.4f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--table", choices=("size", "coverage", "speed"))
    parser.add_argument("--cell", type=int, nargs="*")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for table, cells, run in (("size", SIZES, sizes), ("coverage", COVERED, covered)):
        if given.table in (None, table):
            for i, cell in enumerate(cells):
                if given.cell is None or i in given.cell:
                    print(f"{table} {i}: {cell}", flush=True)
                    run(cell, given.repeats)
    if given.table in (None, "speed"):
        speed()


if __name__ == "__main__":
    main()
