"""Measure how often `group_table` flags a group although the model is calibrated, and its power.

Draws labels from the probabilities, 2,000 times for each law. The family-wise error is the share of
data sets with at least one flag, at a level of .1. "HIGH" marks one that is above .1 by more than
three standard errors. Then one group gets a true error, and the share of data sets in which it is
flagged is the power.

    python benchmarks/group_flags.py                      # all: half an hour on one core
    python benchmarks/group_flags.py --repeats 200 --cell 0 3
    python benchmarks/group_flags.py --show               # print the stored results
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from scipy.special import expit, logit, ndtr

from calibkit import group_table
from calibkit._numerics import families
from calibkit._numerics.paired import benjamini_hochberg, holm

RESULTS = Path(__file__).with_name("group_flags.json")
ALPHA = 0.1
#: Simulated label sets of a table: (199 + 1) * ALPHA is a whole number, so that p-values are exact.
N_DRAWS = 199
ADJUST = ("max", "holm", "bh")


class Law(NamedTuple):
    """Columns of ``levels`` values each, independent of the probabilities."""

    n: int
    columns: int
    levels: int
    search: bool = False
    scores: str = "uniform"  # or "rare" (mean .02), or "sharp" (near 0 and 1)
    weights: bool = False  # lognormal
    clusters: int = 0
    alike: float = 0.3  # correlation of the latent normal variables of a cluster
    inside: bool = False  # whether rows of a cluster have the same values in all columns
    many: bool = False  # correlated normal noise, as for many rows, in place of labels

    def __str__(self) -> str:
        search = " searched" if self.search else ""
        parts = [f"n {self.n:,}", f"{self.columns} x {self.levels}{search}", self.scores]
        parts += ["weights"] * self.weights + ["normal noise"] * self.many
        if self.clusters:
            parts += [f"{self.clusters} clusters{' inside groups' * self.inside}"]
        return ", ".join(parts)


LAWS = (
    Law(500, 1, 5), Law(500, 5, 10), Law(2_500, 10, 50), Law(2_000, 4, 5, True),
    Law(500, 1, 5, scores="rare"), Law(2_500, 10, 50, scores="rare"),
    Law(2_000, 4, 5, True, "rare"), Law(2_000, 4, 5, True, "sharp"),
    Law(2_000, 5, 10, weights=True), Law(2_000, 4, 5, True, "rare", weights=True),
    Law(2_500, 10, 50, many=True), Law(2_500, 10, 50, scores="rare", many=True),
    Law(2_000, 4, 5, True, "rare", weights=True, many=True),
    Law(500, 1, 5, clusters=8), Law(1_000, 5, 10, clusters=20),
    Law(2_000, 5, 10, clusters=100), Law(2_000, 4, 5, True, clusters=100),
    Law(2_000, 4, 5, True, "rare", clusters=200), Law(2_000, 5, 10, clusters=100, inside=True),
    Law(2_000, 4, 4, True, "rare", clusters=400, inside=True),
    Law(2_000, 5, 10, weights=True, clusters=100),
)  # fmt: skip


def draw(law: Law, rng: np.random.Generator, error: float = 0.0) -> dict[str, Any]:
    """Arguments of `group_table`; the log-odds of the first group are off by ``error``."""
    n = law.n
    p = {
        "uniform": lambda: rng.random(n),
        "rare": lambda: np.minimum(rng.gamma(0.5, 0.04, n), 0.9),
        "sharp": lambda: np.clip(rng.beta(0.1, 0.1, n), 1e-9, 1 - 1e-9),
    }[law.scores]()
    given: dict[str, Any] = {"sample_weight": rng.lognormal(size=n) if law.weights else None}
    rows, cluster = np.arange(n), None
    latent = rng.standard_normal(n)
    if law.clusters:
        given["groups"] = cluster = rng.integers(0, law.clusters, n)
        common = rng.standard_normal(law.clusters)[cluster]
        latent = np.sqrt(law.alike) * common + np.sqrt(1 - law.alike) * latent
        rows = cluster if law.inside else rows
    values = rng.integers(0, law.levels, (n, law.columns))[rows]
    true = np.where(values[:, 0] == 0, expit(logit(p) + error), p)
    y = (ndtr(latent) < true).astype(int)
    by = {f"c{j}": values[:, j].astype(str) for j in range(law.columns)}
    return {"y_true": y, "y_prob": p, "by": by, "search": law.search, "pos_label": 1, **given}


def flagged(given: dict[str, Any], seed: int) -> dict[str, set[str]]:
    """Names of the flagged groups for each way to adjust the p-values."""
    table = group_table(**given, level=1 - ALPHA, n_draws=N_DRAWS, random_state=seed)
    names = np.array([row["group"] for row in table])
    p = np.array([2 * ndtr(-abs(row["z"])) for row in table])
    known = ~np.isnan(p)
    if seed == 0:  # check that the other ways equal those of the table
        again = group_table(**given, level=1 - ALPHA, adjust="holm")
        shown = np.array([row["p_value"] for row in again])
        assert np.allclose(shown[known], holm(p[known]), rtol=1e-6)
    found = {"max": {row["group"] for row in table if row["flag"] == "miscalibrated"}}
    found["holm"] = set(names[known][holm(p[known]) <= ALPHA])
    found["bh"] = set(names[known][benjamini_hochberg(p[known]) <= ALPHA])
    return found


def measure(law: Law, repeats: int, error: float) -> dict[str, Any]:
    """Share of data sets with a flag, and with a flag of the first group that has an error."""
    false, power = dict.fromkeys(ADJUST, 0), dict.fromkeys(ADJUST, 0)
    warned, part = 0, max(repeats // 10, 1)
    for seed in range(repeats):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = flagged(draw(law, np.random.default_rng([3, seed])), seed)
        warned += bool(caught)
        for adjust in ADJUST:
            false[adjust] += bool(found[adjust])
    for seed in range(part):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = flagged(draw(law, np.random.default_rng([4, seed]), error), seed)
        for adjust in ADJUST:
            power[adjust] += "c0=0" in found[adjust]
    return {
        "law": str(law),
        "repeats": repeats,
        "warned": warned / repeats,
        "error": error,
        **{adjust: false[adjust] / repeats for adjust in ADJUST},
        **{f"power_{adjust}": power[adjust] / part for adjust in ADJUST},
    }


def show(rows: list[dict[str, Any]]) -> None:
    head = "".join(f"{name:>8}" for name in (*ADJUST, "warned"))
    print(f"{'share of data sets with a false flag':52}{head}    power {head[:24]}")
    high = 0
    for row in rows:
        most = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / row["repeats"])
        bad = [a for a in ADJUST if row[a] > most]
        high += bool(bad)
        text = "".join(f"{row[a]:8.3f}" for a in (*ADJUST, "warned"))
        power = "".join(f"{row[f'power_{a}']:8.3f}" for a in ADJUST)
        print(f"{row['law']:52}{text}          {power}  {'HIGH ' + ' '.join(bad) if bad else ''}")
    print(f"\n{len(rows)} laws, {high} above .1 by more than three standard errors.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2000, help="data sets of a law")
    parser.add_argument(
        "--cell", type=int, nargs="*", default=list(range(len(LAWS))), help="numbers of laws"
    )
    parser.add_argument("--error", type=float, default=1.0, help="true error, in log-odds")
    parser.add_argument("--show", action="store_true", help="print the stored results")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    given = parser.parse_args()
    if given.show:
        show(json.loads(RESULTS.read_text()))
        return
    start, rows = time.process_time(), []
    for i in given.cell:
        limit = 0 if LAWS[i].many else families._MOST_LABELS
        with mock.patch.object(families, "_MOST_LABELS", limit):
            rows.append(measure(LAWS[i], given.repeats, given.error))
        print(f"# {i} {LAWS[i]}: {time.process_time() - start:.0f} s", flush=True)
        if given.json:
            given.json.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    show(rows)


if __name__ == "__main__":
    main()
