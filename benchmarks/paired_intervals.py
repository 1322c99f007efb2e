"""Measure the coverage of the intervals of `compare`, and the size of its tests.

Simulates 1,000 data sets of each of 21 laws with two models, and counts how often the 90% interval
of the difference contains the true one: that of 300,000 rows of the same law (or 30 times the data
set), for calibration errors on the bins of the data set. A cell is one law and metric. "SHORT"
marks a coverage that is below .88 by more than three standard errors, among the data sets without
a warning. A cell with fewer than 100 such data sets is "warned".

    python benchmarks/paired_intervals.py              # all: ten minutes on an idle core
    python benchmarks/paired_intervals.py --several    # five equally good models, against the best
    python benchmarks/paired_intervals.py --time       # rows that depend on each other in time
    python benchmarks/paired_intervals.py --show       # print the stored results
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student
from score_intervals import Cell, Data, centre_of, draw

import calibkit
from calibkit import ScoreTable, compare
from calibkit._numerics.debias import merged_starts
from calibkit._numerics.paired import holm

RESULTS = Path(__file__).with_name("paired_intervals.json")
METRICS = ("brier_score", "log_loss", "brier_skill_score", "roc_auc")
ERROR = "calibration_error"
LEVEL, LEAST = 0.9, 0.88
POPULATION = 300_000

CELLS = (
    Cell(50, 1), Cell(50, 12, 0.7), Cell(50, 25, 0.6), Cell(200, 12, 0.7), Cell(200, 100),
    Cell(500, 5), Cell(500, 25, 0.6), Cell(1_000, 500, 0.7), Cell(2_000, 12, 0.6),
    Cell(2_000, 500, ties=10), Cell(20_000, 12), Cell(20_000, 200, 0.6), Cell(20_000, 10_000),
    Cell(60, 30, 0.7, weights="gamma"), Cell(500, 150, 0.7, weights="lognormal"),
    Cell(2_000, 600, 0.7, weights="gamma"),
    Cell(200, 80, 0.7, groups=10, sizes="even"), Cell(480, 192, 0.7, groups=60, sizes="geometric"),
    Cell(2_000, 200, 0.7, groups=100, sizes="heavy"),
    Cell(20_000, 2_000, 0.7, groups=300, sizes="even"),
)  # fmt: skip
#: In this law the models differ in 2% of the rows.
FEW_DIFFER = Cell(1_000, 300, 0.7)


def second(data: Data, centre: float, rng: np.random.Generator, share: float) -> np.ndarray:
    """The other model: less spread, and a part that tells nothing; on this share of the rows."""
    z = logit(np.clip(data.p, 1e-12, 1 - 1e-12)) - centre
    n = len(z)
    q = expit(centre + 0.1 + 0.8 * z + 0.4 * rng.standard_normal(n))
    return np.where(rng.random(n) < share, q, data.p)


class Truth:
    """True differences of a law."""

    def __init__(self, cell: Cell, centre: float, share: float) -> None:
        rng = np.random.default_rng(1)
        many = draw(cell, centre, rng, max(30, POPULATION // cell.n))
        models = many.p, second(many, centre, rng, share)
        values = [
            {m: getattr(calibkit, m)(many.y, p, sample_weight=many.w) for m in METRICS}
            for p in models
        ]
        self.value = {m: values[0][m] - values[1][m] for m in METRICS}
        self._sums = []
        w = np.ones(len(many.y)) if many.w is None else many.w
        for p in models:
            at = np.argsort(p)
            sums = (np.append(0.0, np.cumsum(a[at])) for a in (w, w * (p - many.y)))
            self._sums.append((p[at], *sums))

    def square(self, model: int, y: np.ndarray, p: np.ndarray, w: Any) -> float:
        """Squared error on the bins of a data set."""
        table = ScoreTable.from_arrays(y, p, w, pos_label=1)
        borders = table.borders("quantile", 15)
        sums = table.sums(borders, squares=True)
        borders = borders[merged_starts(sums.w, sums.w2)[1:] - 1]
        scores, size, gap = self._sums[model]
        at = np.r_[0, np.searchsorted(scores, borders), len(scores)]
        n, d = np.diff(size[at]), np.diff(gap[at])
        share = np.bincount(np.searchsorted(borders, p, side="right"), w, len(borders) + 1)
        seen = n > 0
        return float((share[seen] * (d[seen] / n[seen]) ** 2).sum() / share.sum())


def measure(cell: Cell, repeats: int, share: float = 1.0) -> list[dict[str, Any]]:
    """A row of results for each metric."""
    centre = centre_of(cell)
    truth = Truth(cell, centre, share)
    seen: dict[str, list[tuple[bool, bool, float]]] = {m: [] for m in (*METRICS, ERROR)}
    for seed in range(repeats):
        rng = np.random.default_rng([2, seed])
        data = draw(cell, centre, rng)
        q = second(data, centre, rng, share)
        if len(np.unique(data.y)) < 2:
            continue
        given: dict[str, Any] = {"sample_weight": data.w, "groups": data.groups, "level": LEVEL}
        for metric, found in seen.items():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                d = compare(metric, data.y, {"a": data.p, "b": q}, **given).differences[0]
            warned = any(w.category.__name__.startswith("Few") for w in caught)
            assert warned == bool(d.caution)
            if metric == ERROR:
                squares = [truth.square(k, data.y, p, data.w) for k, p in enumerate((data.p, q))]
                true = squares[0] - squares[1]
            else:
                true = truth.value[metric]
            found.append((d.low <= true <= d.high, warned, d.high - d.low))
    label = str(cell) if share == 1.0 else f"{cell}, {share:.0%} of the rows differ"
    return [_row(label, metric, np.array(found)) for metric, found in seen.items()]


def _row(label: str, metric: str, found: np.ndarray) -> dict[str, Any]:
    plain = found[found[:, 1] == 0, 0]
    return {
        "cell": label,
        "metric": metric,
        "sets": len(found),
        "warned": float(found[:, 1].mean()),
        "coverage": float(found[:, 0].mean()),
        "unwarned": len(plain),
        "unwarned_coverage": float(plain.mean()) if len(plain) else None,
        "width": float(np.median(found[:, 2])),
    }


def verdict(row: dict[str, Any]) -> str:
    """Whether the coverage without a warning is clearly too low."""
    n, held = row["unwarned"], row["unwarned_coverage"]
    if n < 100:
        return "warned"
    return "SHORT" if held + 3 * np.sqrt(held * (1 - held) / n) < LEAST else ""


def show(rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(row["metric"] for row in rows))
    print(f"| law | {' | '.join(names)} |\n|---{'|---' * len(names)}|")
    for cell in dict.fromkeys(row["cell"] for row in rows):
        line = [r for r in rows if r["cell"] == cell]
        cells = []
        for r in line:
            text = f"{r['coverage']:.3f}"
            if r["warned"]:
                text += f" ({r['warned']:.0%} warned)"
            cells.append(f"{text} {verdict(r) if verdict(r) == 'SHORT' else ''}".strip())
        print(f"| {cell} | {' | '.join(cells)} |")
    print(f"\n{len(rows)} cells, {sum(verdict(r) == 'SHORT' for r in rows)} too short.")


def several(repeats: int) -> None:
    """Five equally good models: how often any is called different from the best."""
    n, k = 500, 5
    names = [f"m{i}" for i in range(k)]
    for metric in ("brier_score", "roc_auc", ERROR):
        hits = np.zeros((3, 2))
        for seed in range(repeats):
            rng = np.random.default_rng([3, seed])
            z = 1.5 * rng.standard_normal(n)
            y = (rng.random(n) < expit(z)).astype(int)
            p = expit(0.8 * z + 0.7 * rng.standard_normal((k, n)))
            found = compare(metric, y, dict(zip(names, p, strict=True))).differences
            plain = np.array([d.p_value for d in found])
            adjusted = np.array([d.p_adjusted for d in found])
            least = np.array([[a.min()] for a in (plain, holm(plain), adjusted)])
            hits += least <= np.array([0.05, 0.1])
        rates = " ".join(f"{a:.3f}/{b:.3f}" for a, b in hits / repeats)
        print(f"{metric:18} size at .05/.10: p-values, Holm over the rest, over all pairs: {rates}")


def dependent(repeats: int) -> None:
    """Coverage for an AR(1) series of differences: no correction, blocks of time, and HAC."""
    print("| n | correlation | rows | blocks | HAC |\n|---|---|---|---|---|")
    for n in (100, 500, 2_000, 10_000):
        for rho in (0.0, 0.5, 0.8, 0.95):
            rng = np.random.default_rng([4, n])
            d = np.empty((repeats, n))
            d[:, 0] = rng.standard_normal(repeats)
            for i in range(1, n):
                noise = np.sqrt(1 - rho**2) * rng.standard_normal(repeats)
                d[:, i] = rho * d[:, i - 1] + noise
            mean, x = d.mean(axis=1), d - d.mean(axis=1, keepdims=True)
            k = int(np.clip(round(n ** (1 / 3)), 10, 50))
            place = np.arange(n) * k // n
            sums = np.add.reduceat(x, np.flatnonzero(np.diff(place, prepend=-1)), axis=1)
            se = [
                x.std(axis=1, ddof=1) / np.sqrt(n),
                np.sqrt((sums**2).sum(axis=1) * k / (k - 1)) / n,
            ]
            lag = int(np.ceil(1.3 * np.sqrt(n)))  # Lazarus, Lewis, Stock and Watson (2018)
            power = np.abs(np.fft.rfft(x, 2 * n, axis=1)) ** 2
            auto = np.fft.irfft(power, axis=1)[:, :lag] / n
            weight = np.r_[1.0, 2.0 * (1 - np.arange(1, lag) / lag)]
            se.append(np.sqrt(np.maximum(auto @ weight, 0.0) / n))
            b = lag / n  # quantile of fixed-b (Kiefer and Vogelsang 2005), for 95%
            reach = [student(n - 1).ppf(0.95), student(k - 1).ppf(0.95)]
            reach.append(1.6449 + 2.1859 * b + 0.3142 * b**2 - 0.3427 * b**3)
            held = [(np.abs(mean) <= r * s).mean() for r, s in zip(reach, se, strict=True)]
            print(f"| {n:,} | {rho} | {' | '.join(f'{h:.3f}' for h in held)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000, help="data sets of a law")
    parser.add_argument("--cell", type=int, nargs="*", default=list(range(len(CELLS) + 1)))
    parser.add_argument("--several", action="store_true", help="five equally good models")
    parser.add_argument("--time", action="store_true", help="dependence in time")
    parser.add_argument("--show", action="store_true", help="print the stored results")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    given = parser.parse_args()
    if given.several or given.time:
        (several if given.several else dependent)(given.repeats)
        return
    if given.show:
        show(json.loads(RESULTS.read_text()))
        return
    start, rows = time.process_time(), []
    for i in given.cell:
        few = i == len(CELLS)
        rows += measure(FEW_DIFFER if few else CELLS[i], given.repeats, 0.02 if few else 1.0)
        print(f"# {i}: {time.process_time() - start:.0f} s", flush=True)
        if given.json:
            given.json.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    show(rows)


if __name__ == "__main__":
    main()
