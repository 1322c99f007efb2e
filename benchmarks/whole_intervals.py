"""Measure the coverage of the 90% intervals of calibration errors and numbers without bins.

Simulates data sets of laws with few events, ties, weights, groups and classes, calibrated or not,
and counts how often the interval of `estimate` contains the true value: that of the true rates at
the scores of the data set. "SHORT" marks a coverage that is below .88 by more than three standard
errors, among the data sets without a warning. With fewer than 30 of those, a cell is "warned".

    python benchmarks/whole_intervals.py              # all: some hours on one core
    python benchmarks/whole_intervals.py --metric slope large --cell 0 3 --repeats 100
    python benchmarks/whole_intervals.py --show       # print the stored results
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri, softmax
from whole_errors import LAWS, TESTS

from calibkit import Estimate, ScoreTable, estimate
from calibkit._core.rows import Binary, few_groups
from calibkit.metrics._estimate import _KNOWN

RESULTS = Path(__file__).with_name("whole_intervals.json")
LEAST = 0.88
FAINT = {**LAWS, "faint": lambda p: expit(logit(p) - 0.1)}
LOESS = "loess_calibration_error"
METRICS: dict[str, tuple[str, dict[str, Any]]] = {
    "slope": ("calibration_slope", {}),
    "intercept": ("calibration_intercept", {}),
    "large": ("calibration_in_the_large", {}),
    "O/E": ("observed_expected_ratio", {}),
    **{name: (LOESS, {"summary": name.lower()}) for name in ("ICI", "E50", "E90", "Emax")},
    **TESTS,
}
#: Numbers that do not average over classes.
ONE = (*list(METRICS)[:8],)


class Cell(NamedTuple):
    """A law. Groups have normal effects on the scores and on the labels given the scores."""

    n: int
    base: float
    law: str = "calibrated"
    more: str = ""  # ties, weights (lognormal), or both
    groups: int = 0
    kind: str = "binary"  # or top_label, classwise: five classes

    def __str__(self) -> str:
        rate = f"base rate {self.base:g}" if self.kind == "binary" else f"5 classes, {self.kind}"
        parts = [f"n {self.n:,}", rate, self.law]
        parts += [self.more] if self.more else []
        return ", ".join(parts + ([f"{self.groups} groups"] if self.groups else []))

    def normal(self, rng: np.random.Generator, shared: float, g: Any) -> Any:
        """A normal variable; rows of one group share a part of its variance."""
        own = rng.standard_normal(self.n)
        if g is None:
            return own
        return np.sqrt(shared) * rng.standard_normal(self.groups)[g] + np.sqrt(1 - shared) * own

    def rows(self, rng: np.random.Generator) -> tuple[Any, Any, Any, Any, Any]:
        """Scores, true rates, labels, weights and groups; of classes a column each."""
        g = np.arange(self.n) % self.groups if self.groups else None
        w = np.exp(0.8 * rng.standard_normal(self.n)) if "weights" in self.more else None
        if self.kind != "binary":
            z = np.column_stack([self.normal(rng, 0.5, g) for _ in range(5)])
            true = softmax(1.5 * z, axis=1)
            shown = softmax(1.5 * z * (1.0 if self.law == "calibrated" else 1.5), axis=1)
            u = ndtr(self.normal(rng, 0.36, g))
            return shown, true, (np.cumsum(true, axis=1)[:, :-1] < u[:, None]).sum(axis=1), w, g
        center = 0.0 if self.base == 0.5 else 1.45 * logit(self.base)
        p = expit(center + 1.5 * self.normal(rng, 0.5, g))
        if "ties" in self.more:
            p = np.clip(np.round(p, 1 if self.base == 0.5 else 2), 0.005, 0.995)
        rate = FAINT[self.law](p)
        return p, rate, (self.normal(rng, 0.36, g) < ndtri(rate)).astype(int), w, g


CELLS = (
    Cell(200, 0.5), Cell(500, 0.02), Cell(500, 0.02, "shift"), Cell(500, 0.1, "slope"),
    Cell(2_000, 0.5, "wave"), Cell(2_000, 0.5, "faint"), Cell(2_000, 0.1, "shift"),
    Cell(20_000, 0.02, "slope"), Cell(20_000, 0.5),
    Cell(1_000, 0.5, "slope", "ties"), Cell(1_000, 0.1, "shift", "ties"),
    Cell(300, 0.5, "slope", "weights"), Cell(2_000, 0.1, "shift", "weights"),
    Cell(300, 0.5, "slope", groups=12), Cell(600, 0.5, groups=30),
    Cell(600, 0.1, "slope", groups=30), Cell(3_000, 0.5, "slope", groups=30),
    Cell(1_500, 0.5, "shift", "weights", groups=30), Cell(3_000, 0.1, "shift", groups=100),
    Cell(600, 0.5, kind="top_label"), Cell(600, 0.5, "over-confident", kind="top_label"),
    Cell(600, 0.5, kind="classwise"), Cell(600, 0.5, "over-confident", kind="classwise"),
    Cell(1_500, 0.5, "over-confident", groups=30, kind="classwise"),
)  # fmt: skip


def truth(metric: str, params: dict[str, Any], problems: list[tuple[Any, Any, Any]]) -> float:
    """The value of the true rates, or of their mean over the classes."""
    spec = _KNOWN[metric]
    tables = [ScoreTable.from_arrays(rate, p, w, pos_label=1) for p, rate, w in problems]
    if spec.whole is None:
        own = {k: v for k, v in params.items() if k != "kind"}
        return float(spec.function(tables[0], **own))
    raw = [float(spec.whole.truth(t, **params)(t.w, t.wy)) for t in tables]
    return float(spec.whole.finished(np.mean(raw)))


def measure(cell: Cell, names: list[str], repeats: int) -> list[dict[str, Any]]:
    """A row of results for each metric."""
    found: dict[str, list[tuple[bool, bool, bool]]] = {m: [] for m in names}
    for seed in range(repeats):
        p, rate, y, w, g = cell.rows(np.random.default_rng([3, seed]))
        problems = [(p, rate, w)]
        if cell.kind == "top_label":
            at = np.arange(cell.n), p.argmax(axis=1)
            problems = [(p[at], rate[at], w)]
        elif cell.kind == "classwise":
            problems = [(p[:, k], rate[:, k], w) for k in range(5)]
        if len(np.unique(y)) < 2:
            continue
        for name in names:
            metric, settings = METRICS[name]
            given = {"sample_weight": w, "groups": g, "random_state": seed, **settings}
            given |= {"classes": range(5)} if cell.kind != "binary" else {}
            ends = _KNOWN[metric].ends
            if ends is not None and cell.kind == "binary":  # as from `estimate`, without draws
                rows = Binary(p, y, w)
                table, warned = ScoreTable._from_binary(rows), g is not None and few_groups(g, w)
                try:
                    low, high, *_ = ends(table, rows, g, 0.9)
                    value = _KNOWN[metric].function(table)
                except ValueError:  # the intercept of separated classes
                    continue
                e = Estimate(value, min(low, value), max(high, value), 0.9, cell.n, metric)
            else:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    e = estimate(metric, y, p, kind=cell.kind, n_resamples=200, **given)
                warned = any(c.category.__name__.startswith("Few") for c in caught)
            true = truth(metric, e.params, problems)
            found[name].append((true < e.low - 1e-9, true > e.high + 1e-9, bool(warned)))
    return [_row(cell, name, np.array(seen)) for name, seen in found.items()]


def _row(cell: Cell, name: str, found: np.ndarray) -> dict[str, Any]:
    missed, warned = found[:, :2], found[:, 2]
    plain = missed[~warned].any(axis=1)
    return {
        "cell": str(cell),
        "metric": name,
        "sets": len(found),
        "below": round(float(missed[:, 0].mean()), 4),
        "above": round(float(missed[:, 1].mean()), 4),
        "unwarned": len(plain),
        "unwarned_coverage": round(1.0 - float(plain.mean()), 4) if len(plain) else None,
    }


def verdict(row: dict[str, Any]) -> str:
    """Whether the coverage without a warning is clearly too low."""
    n, held = row["unwarned"], row["unwarned_coverage"]
    if n < 30:
        return "warned"
    return "SHORT" if held + 3 * np.sqrt(held * (1 - held) / n) < LEAST else ""


def show(rows: list[dict[str, Any]]) -> None:
    names = [m for m in METRICS if any(r["metric"] == m for r in rows)]
    print(f"| law | {' | '.join(names)} |\n|---{'|---' * len(names)}|")
    for cell in dict.fromkeys(r["cell"] for r in rows):
        line = {r["metric"]: r for r in rows if r["cell"] == cell}
        texts = []
        for r in (line.get(m) for m in names):
            held = "" if r is None else f"{1 - r['below'] - r['above']:.2f} {verdict(r)}"
            texts.append(held.strip())
        print(f"| {cell} | {' | '.join(texts)} |")
    print(f"\n{len(rows)} cells of {min(r['sets'] for r in rows)} to "
          f"{max(r['sets'] for r in rows)} data sets, "
          f"{sum(verdict(r) == 'SHORT' for r in rows)} too short.")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000, help="data sets of a law")
    parser.add_argument("--cell", type=int, nargs="*", default=list(range(len(CELLS))))
    parser.add_argument("--metric", nargs="*", default=list(METRICS), choices=METRICS)
    parser.add_argument("--show", action="store_true", help="print the stored results")
    parser.add_argument("--json", type=Path, help="add the results to this file")
    given = parser.parse_args()
    if given.show:
        show(json.loads(RESULTS.read_text()))
        return
    start, rows = time.process_time(), []
    for i in given.cell:
        names = [m for m in given.metric if CELLS[i].kind != "classwise" or m not in ONE]
        rows += measure(CELLS[i], names, given.repeats)
        print(f"# {i}: {time.process_time() - start:.0f} s", flush=True)
        if given.json:
            old = json.loads(given.json.read_text()) if given.json.exists() else []
            new = {(r["cell"], r["metric"]): r for r in (*old, *rows)}
            given.json.write_text("[\n" + ",\n".join(map(json.dumps, new.values())) + "\n]\n")
    show(rows)


if __name__ == "__main__":
    main()
