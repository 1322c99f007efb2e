"""Measure how often `group_table` flags a group although the model is calibrated, and its power.

Draws 2,000 sets of labels from the probabilities of each law (100 for each of 20 sets of scores and
groups). The family-wise error is the share with at least one flag, at a level of .1. "HIGH"
marks one that is above .1 by more than three standard errors. Then one group gets a true error, and
the share of sets in which it is flagged is the power.

    python benchmarks/group_flags.py                      # all: three minutes on one idle core
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
from scipy.sparse import csr_matrix
from scipy.special import expit, logit, ndtr

from calibkit import group_table
from calibkit._core.rows import Binary
from calibkit._numerics import families
from calibkit._numerics.families import Gaps, among_all, noise_minima
from calibkit._numerics.paired import benjamini_hochberg, holm
from calibkit.metrics import ResultTable
from calibkit.metrics._group_columns import Groups, family_of, read_columns
from calibkit.metrics._groups import _LEAST, _minima, _p_values, _sums

RESULTS = Path(__file__).with_name("group_flags.json")
ALPHA = 0.1
#: Sets of scores, weights and groups of a law; each is used for many sets of labels.
DESIGNS = 20
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
    Law(2_000, 5, 10, weights=True), Law(4_000, 3, 3, True, "rare", weights=True),
    Law(2_500, 10, 50, many=True), Law(2_500, 10, 50, scores="rare", many=True),
    Law(4_000, 3, 3, True, "rare", weights=True, many=True),
    Law(500, 1, 5, clusters=8), Law(1_000, 5, 10, clusters=20),
    Law(2_000, 5, 10, clusters=100), Law(2_000, 4, 5, True, clusters=100),
    Law(2_000, 4, 5, True, "rare", clusters=200), Law(2_000, 5, 10, clusters=100, inside=True),
    Law(2_000, 4, 4, True, "rare", clusters=400, inside=True),
    Law(2_000, 5, 10, weights=True, clusters=100),
)  # fmt: skip


class Design(NamedTuple):
    """Everything but the labels, and the groups."""

    p: np.ndarray
    w: np.ndarray | None
    cluster: np.ndarray | None
    by: dict[str, np.ndarray]
    made: Groups
    first: np.ndarray  # whether a row is in the first group

    def table(self, law: Law, y: np.ndarray, seed: int, adjust: str = "max") -> ResultTable:
        kept: Any = {"sample_weight": self.w, "groups": self.cluster, "search": law.search}
        kept |= {"n_draws": n_draws(law), "random_state": seed, "adjust": adjust, "pos_label": 1}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return group_table(y.astype(int), self.p, self.by, **kept)


def n_draws(law: Law) -> int:
    """The default; fewer for clusters, which need draws for each set of labels."""
    return 199 if law.clusters else 2000


def design_of(law: Law, rng: np.random.Generator) -> Design:
    n = law.n
    p = {
        "uniform": lambda: rng.random(n),
        "rare": lambda: np.minimum(rng.gamma(0.5, 0.04, n), 0.9),
        "sharp": lambda: np.clip(rng.beta(0.1, 0.1, n), 1e-9, 1 - 1e-9),
    }[law.scores]()
    w = rng.lognormal(size=n) if law.weights else None
    cluster = np.unique(rng.integers(0, max(law.clusters, 1), n), return_inverse=True)[1]
    rows = cluster if law.inside else np.arange(n)
    values = rng.integers(0, law.levels, (n, law.columns))[rows]
    by = {f"c{j}": values[:, j].astype(str) for j in range(law.columns)}
    made = family_of(read_columns(by, n, 4), search=law.search)
    return Design(p, w, cluster if law.clusters else None, by, made, values[:, 0] == 0)


def labels(law: Law, d: Design, rng: np.random.Generator, many: int, error: float) -> np.ndarray:
    """Sets of labels, one per column; the log-odds of the first group are off by ``error``."""
    latent = rng.standard_normal((law.n, many))
    if d.cluster is not None:
        common = rng.standard_normal((d.cluster.max() + 1, many))[d.cluster]
        latent = np.sqrt(law.alike) * common + np.sqrt(1 - law.alike) * latent
    true = np.where(d.first, expit(logit(d.p) + error), d.p)
    return ndtr(latent) < true[:, None]


def p_values(
    law: Law, d: Design, y: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Single p-values of shape (groups, label sets), and the smallest ones by chance."""
    family, w = d.made.family, np.ones(law.n) if d.w is None else d.w
    sums = _sums(family, Binary(d.p, y[:, 0].view(np.int8), d.w), d.cluster)
    if d.cluster is None:
        _, known = _p_values(sums, Binary(d.p, y[:, 0], d.w), None)
        only = family._replace(member=family.member[np.flatnonzero(known)])
        minima = _minima(only, sums, known, Binary(d.p, y[:, 0], d.w), None, n_draws(law), rng)
        into = csr_matrix((w, (family.atom, np.arange(law.n))))
        gap = family.member @ (into @ (y - d.p[:, None]))
        gaps = Gaps(sums.gaps.variance[:, None], sums.gaps.third[:, None], sums.gaps.step)
        p = gaps.p_values(gap)
        p[~known] = np.nan
        return p, [minima] * y.shape[1]
    p = np.full((len(sums.n), y.shape[1]), np.nan)
    minima = []
    for j in range(y.shape[1]):
        root = family.by_cluster(w * (y[:, j] - d.p), d.cluster)
        seen = np.asarray(root.multiply(root).sum(axis=1)).ravel()
        z = np.asarray(root.sum(axis=1)).ravel() / np.sqrt(np.maximum(seen, sums.gaps.variance))
        p[:, j] = np.where(sums.units >= _LEAST, 2 * ndtr(-np.abs(z)), np.nan)
        minima.append(noise_minima(root, n_draws(law), rng, signs=True))
    return p, minima


def flagged(p: np.ndarray, minima: np.ndarray) -> dict[str, np.ndarray]:
    """Whether each group is flagged, for each way to adjust p-values."""
    out = {}
    for name, adjust in (("max", among_all), ("holm", holm), ("bh", benjamini_hochberg)):
        given = p[~np.isnan(p)]
        found = np.zeros(len(p), dtype=bool)
        found[~np.isnan(p)] = (
            adjust(given, minima) if name == "max" else adjust(given)
        ) <= ALPHA + 1e-12  # fmt: skip
        out[name] = found
    return out


def check(law: Law, d: Design, y: np.ndarray, p: np.ndarray, seed: int) -> None:
    """Compare with the table: single p-values, and those adjusted."""
    for adjust in ("max", "holm"):
        rows = {row["group"]: row for row in d.table(law, y, seed, adjust)}
        table = [rows[name] for name in d.made.names]  # searched groups come by p-value
        single = 2 * ndtr(-np.abs([row["z"] for row in table]))
        assert np.allclose(single, p, equal_nan=True, atol=1e-9), (law, adjust)
        if adjust == "holm":
            known = ~np.isnan(p)
            adjusted = np.array([row["p_value"] for row in table])
            assert np.allclose(adjusted[known], holm(p[known]))
        elif d.cluster is None:
            _, minima = p_values(law, d, y[:, None], np.random.default_rng(seed))
            want = np.where(np.isnan(p), np.nan, among_all(p, minima[0]))
            assert np.allclose([row["p_value"] for row in table], want, equal_nan=True), law


def measure(law: Law, repeats: int, error: float) -> dict[str, Any]:
    """Share of data sets with a flag, and with a flag of the first group that has an error."""
    false, power = dict.fromkeys(ADJUST, 0), dict.fromkeys(ADJUST, 0)
    each, part = max(repeats // DESIGNS, 1), max(repeats // DESIGNS // 4, 1)
    estimable = []
    for seed in range(DESIGNS):
        rng = np.random.default_rng([3, seed])
        d = design_of(law, rng)
        for off, many, counts in ((0.0, each, false), (error, part, power)):
            y = labels(law, d, rng, many, off)
            p, minima = p_values(law, d, y, rng)
            if seed < 2 and not off:
                check(law, d, y[:, 0], p[:, 0], seed)
            for j in range(many):
                for name, found in flagged(p[:, j], minima[j]).items():
                    counts[name] += bool(found.any() if not off else found[0])
        estimable.append(np.mean(~np.isnan(p[:, 0])))
    return {
        "law": str(law),
        "repeats": DESIGNS * each,
        "groups": len(d.made.names),
        "tested": float(np.mean(estimable)),
        "error": error,
        **{name: false[name] / (DESIGNS * each) for name in ADJUST},
        **{f"power_{name}": power[name] / (DESIGNS * part) for name in ADJUST},
    }


def show(rows: list[dict[str, Any]]) -> None:
    head = "".join(f"{name:>8}" for name in ADJUST)
    print(f"{'':54}share with a false flag           power")
    print(f"{'law':44}{'groups':>7}{head}{head}")
    high = 0
    for row in rows:
        most = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / row["repeats"])
        bad = [name for name in ADJUST if row[name] > most]
        high += bool(bad)
        text = "".join(f"{row[name]:8.3f}" for name in ADJUST)
        power = "".join(f"{row[f'power_{name}']:8.3f}" for name in ADJUST)
        print(f"{row['law']:44}{row['groups']:7}{text}{power}{'  HIGH ' * bool(bad)}")
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
