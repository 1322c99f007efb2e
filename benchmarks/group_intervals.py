"""Measure how often the intervals of `group_table` cover.

Data sets with four groups (2, 8, 30 and 60% of the rows), in which the model has different errors.
A cell is the lowest coverage of the four groups. A group counts if at least 200 data sets gave it
an interval. "LOW" marks coverage below the level by more than .02 and three standard errors.

    python benchmarks/group_intervals.py            # two minutes on one core
    python benchmarks/group_intervals.py --repeats 200 --cell 0 3
    python benchmarks/group_intervals.py --show     # prints the stored results
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtr

from calibkit import group_table

RESULTS = Path(__file__).with_suffix(".json")
LEVEL, FEWEST = 0.9, 200
NAMES = ("observed", "error", "brier", "skill")
SHARES = (0.02, 0.08, 0.3, 0.6)
#: Error of the log-odds in each group.
SHIFTS = np.array([0.0, 0.7, -0.4, 0.0])


class Law(NamedTuple):
    n: int
    scores: str  # "uniform", or "rare" (mean .02)
    weights: bool = False  # lognormal
    clusters: int = 0  # latent correlation .3

    def __str__(self) -> str:
        parts = [f"n {self.n:,}", self.scores, *["weights"] * self.weights]
        return ", ".join(parts + [f"{self.clusters} clusters"] * bool(self.clusters))


LAWS = (
    Law(500, "uniform"), Law(5000, "uniform"), Law(2000, "rare"), Law(20_000, "rare"),
    Law(500, "uniform", True), Law(5000, "uniform", True), Law(20_000, "rare", True),
    Law(2000, "uniform", clusters=30), Law(5000, "uniform", clusters=200),
    Law(20_000, "rare", clusters=200), Law(5000, "uniform", True, 200),
)  # fmt: skip


def drawn(law: Law, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, true probabilities and groups."""
    group = rng.choice(4, n, p=SHARES)
    rare = law.scores == "rare"
    p = np.minimum(rng.gamma(0.5, 0.04, n) + 1e-6, 0.9) if rare else rng.random(n)
    return p, expit(logit(p) + SHIFTS[group]), group


def truths(law: Law) -> np.ndarray:
    """True share of events, Brier score and skill of each group."""
    p, pi, group = drawn(law, np.random.default_rng(1), 4_000_000)
    out = np.empty((3, 4))
    for g in range(4):
        a, t = p[group == g], pi[group == g]
        rate, brier = t.mean(), (t * (1 - a) ** 2 + (1 - t) * a**2).mean()
        out[:, g] = rate, brier, 1 - brier / (rate * (1 - rate))
    return out


def measure(law: Law, repeats: int) -> dict[str, Any]:
    rate, brier, skill = truths(law)
    inside, there = np.zeros((4, 4)), np.zeros((4, 4))
    for seed in range(repeats):
        rng = np.random.default_rng([4, seed])
        p, pi, group = drawn(law, rng, law.n)
        w = rng.lognormal(size=law.n) if law.weights else np.ones(law.n)
        latent, cluster = rng.standard_normal(law.n), None
        if law.clusters:
            cluster = rng.integers(0, law.clusters, law.n)
            common = rng.standard_normal(law.clusters)[cluster]
            latent = np.sqrt(0.3) * common + np.sqrt(0.7) * latent
        y = (ndtr(latent) < pi).astype(int)
        kept: Any = {"sample_weight": w if law.weights else None, "groups": cluster}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = group_table(y, p, group, adjust="holm", level=LEVEL, pos_label=1, **kept)
        for row in table:
            g = int(row["group"].partition("=")[2])
            at = group == g
            # The error's interval takes the scores as given.
            error = float(w[at] @ (p - pi)[at] / w[at].sum())
            for j, true in enumerate((rate[g], error, brier[g], skill[g])):
                e = row[NAMES[j]]
                there[j, g] += e.low == e.low
                inside[j, g] += e.low <= true <= e.high
    kept = {}
    for name, yes, some in zip(NAMES, inside, there, strict=True):
        cells = [(a / b, int(b)) for a, b in zip(yes, some, strict=True) if b >= FEWEST]
        kept[name] = min(cells, default=(np.nan, 0))
    return {"law": str(law), "repeats": repeats, **kept}


def show(rows: list[dict[str, Any]]) -> None:
    print(f"Coverage of {LEVEL:.0%} intervals, lowest of the groups")
    print(f"{'law':36}" + "".join(f"{name:>16}" for name in NAMES))
    for row in rows:
        text = ""
        for name in NAMES:
            share, n = row[name]
            least = LEVEL - 0.02 - 3 * np.sqrt(LEVEL * (1 - LEVEL) / max(n, 1))
            text += f"{share:10.3f}{' LOW  ' if share < least else '      '}"
        print(f"{row['law']:36}{text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000, help="data sets of a law")
    parser.add_argument("--cell", type=int, nargs="*", default=[*range(len(LAWS))], help="laws")
    parser.add_argument("--show", action="store_true", help="print the stored results")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    given = parser.parse_args()
    if given.show:
        show(json.loads(RESULTS.read_text()))
        return
    rows = [measure(LAWS[i], given.repeats) for i in given.cell]
    if given.json:
        given.json.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    show(rows)


if __name__ == "__main__":
    main()
