"""An arena for calibrators of two classes: many data sets, the field of peers, and ours.

    python benchmarks/arena.py --half development --cache /tmp/arena --out development.json

Half of the data sets are for development, by their names; the other half is run once, at the end.
The win rate of a method is the mean, over experiments, of the share of the field whose held-out
log loss is larger; a tie counts half. Only peers are in the field. Standard errors are clustered
by data set. ``--data FOLDER`` adds files of scores: see ``arena_data.files``.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import arena_data
import arena_methods
import numpy as np

#: Probabilities are clipped here for the log loss, as scikit-learn does.
_EPS = float(np.finfo(float).eps)
Row = dict[str, Any]


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    p = np.clip(p, _EPS, 1.0 - _EPS)
    return float(-np.mean(np.where(y == 1, np.log(p), np.log1p(-p))))


def binned_error(y: np.ndarray, p: np.ndarray, n_bins: int = 15) -> float:
    """ECE with equal-width bins, to show that it ranks otherwise."""
    bins = np.minimum((p * n_bins).astype(int), n_bins - 1)
    return float(np.abs(np.bincount(bins, y - p)).sum() / len(y))


def judged(experiment: arena_data.Experiment, methods: dict[str, Any]) -> list[Row]:
    """What each method reaches in an experiment; one that fails stays uncalibrated."""
    s, rows = experiment.scored, []
    p, y = s.p[experiment.fit], s.y[experiment.fit]
    q, truth = s.p[experiment.test], s.y[experiment.test]
    groups = None if s.groups is None else s.groups[experiment.fit]
    for name, fit in methods.items():
        row: Row = {"method": name, "key": experiment.key, "data": s.name, "source": s.source}
        start = time.process_time()
        try:
            fitted = fit(p, y, groups)
            middle = time.process_time()
            out = np.asarray(fitted(q), dtype=float)
            if out.shape != q.shape or not np.isfinite(out).all():
                raise ValueError("no finite probabilities")
        except Exception as error:
            row["failed"], out, middle = f"{type(error).__name__}: {error}", q, start
        out = np.clip(out, 0.0, 1.0)
        row |= {"n": experiment.n, "grouped": groups is not None, "log_loss": log_loss(truth, out)}
        row |= {"brier": float(np.mean((out - truth) ** 2)), "ece": binned_error(truth, out)}
        row |= {"fit_ms": 1e3 * (middle - start), "ms": 1e3 * (time.process_time() - middle)}
        rows.append(row)
    return rows


# -- tables -------------------------------------------------------------------------------------


def win_rates(rows: list[Row], field: set[str], score: str = "log_loss") -> list[Row]:
    """The rows with the share of the field that each beats, and the excess over the best."""
    by_key = defaultdict(list)
    for row in rows:
        by_key[row["key"]].append(row)
    out = []
    for together in by_key.values():
        best = min(row[score] for row in together)
        for row in together:
            others = [o[score] for o in together if o["method"] in field and o is not row]
            wins = [1.0 if row[score] < o else 0.5 if row[score] == o else 0.0 for o in others]
            out.append({**row, "win": float(np.mean(wins)), "excess": row[score] - best})
    return out


def clustered_error(values: np.ndarray, clusters: list[str]) -> float:
    """Standard error of a mean whose terms depend on each other within clusters."""
    codes = np.unique(clusters, return_inverse=True)[1]
    sums = np.bincount(codes, values - values.mean())
    g = len(sums)
    return float(np.sqrt((sums @ sums) * g / max(g - 1, 1)) / len(values))


def table(rows: list[Row], field: set[str], title: str) -> str:
    """One line for each method, the best first."""
    ranked = win_rates(rows, field)
    brier = {(r["method"], r["key"]): r["win"] for r in win_rates(rows, field, "brier")}
    lines = []
    for name in dict.fromkeys(r["method"] for r in rows):
        own = [r for r in ranked if r["method"] == name]
        win, excess = (np.array([r[k] for r in own]) for k in ("win", "excess"))
        error = clustered_error(win, [r["data"] for r in own])
        other = np.mean([brier[name, r["key"]] for r in own])
        text = (
            f"{name:36} {win.mean():.3f} +- {error:.3f}  {other:.3f}  {1e3 * excess.mean():8.2f} "
            f"{1e3 * np.median(excess):7.2f}  {np.mean([r['ece'] for r in own]):.4f} "
            f"{np.median([r['fit_ms'] for r in own]):7.1f} {np.median([r['ms'] for r in own]):6.1f}"
        )
        lines.append((-win.mean(), text))
    n_data = len({r["data"] for r in rows})
    head = f"{'':36} win rate        Brier  excess, 1e-3 nats  ECE     fit ms     ms"
    count = f"{title}: {len({r['key'] for r in rows})} experiments on {n_data} data sets"
    return "\n".join([count, head, *[text for _, text in sorted(lines)]])


def strata(rows: list[Row]) -> dict[str, list[Row]]:
    """All rows, and those of each size, of each source, and of grouped data."""
    out = {"all": rows}
    for n in sorted({r["n"] for r in rows}):
        out[f"n = {n}"] = [r for r in rows if r["n"] == n]
    for source in sorted({r["source"] for r in rows}):
        out[f"source {source}"] = [r for r in rows if r["source"] == source]
    grouped = [r for r in rows if r["grouped"]]
    return out | ({"grouped data": grouped} if grouped else {})


# -- calibrated scores --------------------------------------------------------------------------


def calibrated_costs(methods: dict[str, Any], repeats: int, spread: float) -> str:
    """Mean expected log loss above that of the true probabilities, in 1e-3 nats."""
    lines = [f"{'cost on calibrated scores, 1e-3 nats':36} n=100   300  1,000  3,000"]
    z = spread * np.sqrt(2.0) * _normal_grid()
    truth = 1.0 / (1.0 + np.exp(-z))
    for name, fit in methods.items():
        costs = []
        for n in (100, 300, 1_000, 3_000):
            rng = np.random.default_rng([n, 7])
            found = []
            for _ in range(repeats):
                p = 1.0 / (1.0 + np.exp(-spread * rng.standard_normal(n)))
                y = (rng.random(n) < p).astype(int)
                q = np.clip(fit(p, y, None)(truth), _EPS, 1.0 - _EPS)
                found.append(np.mean(truth * np.log(truth / q)
                                     + (1 - truth) * np.log((1 - truth) / (1 - q))))  # fmt: skip
            costs.append(1e3 * float(np.mean(found)))
        lines.append(f"{name:36} " + " ".join(f"{c:6.3f}" for c in costs))
    return "\n".join(lines)


def _normal_grid(size: int = 2_001) -> np.ndarray:
    """Equally likely values of a normal variable, divided by the square root of two."""
    from scipy.special import ndtri

    return ndtri((np.arange(size) + 0.5) / size) / np.sqrt(2.0)


# -- the command --------------------------------------------------------------------------------


def run(args: argparse.Namespace) -> list[Row]:
    """Judge all methods in all experiments; what ``--out`` holds already is not run again."""
    methods = arena_methods.peers() | arena_methods.ours()
    if args.variants:
        methods |= arena_methods.variants()
    methods = {m: f for m, f in methods.items() if not args.only or m in args.only}
    rows: list[Row] = json.loads(args.out.read_text()) if args.out and args.out.exists() else []
    known = {(r["key"], r["method"]) for r in rows}
    stop = time.monotonic() + 60.0 * args.minutes
    found = arena_data.all_scored(args.half, args.data, args.cache, args.seed, not args.no_tables)
    for scored in found:
        for experiment in arena_data.experiments(scored, args.seed):
            if time.monotonic() > stop:
                return rows
            new = {m: f for m, f in methods.items() if (experiment.key, m) not in known}
            rows += judged(experiment, new)
            if args.out:
                args.out.write_text(json.dumps(rows))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=("development", "held-out", "both"), required=True)
    parser.add_argument("--data", type=Path, help="folder of npz files of scores")
    parser.add_argument("--cache", type=Path, help="folder to keep the classifiers' scores in")
    parser.add_argument("--out", type=Path, help="JSON file of results, continued if it exists")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-tables", action="store_true", help="only the files of --data")
    parser.add_argument("--variants", action="store_true", help="designs of the blend too")
    parser.add_argument("--only", nargs="*", default=[], help="these methods only")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after this many minutes")
    parser.add_argument("--calibrated", type=int, default=0, help="repeats on calibrated scores")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.calibrated:
        chosen = arena_methods.ours() | (arena_methods.variants() if args.variants else {})
        chosen = {m: f for m, f in chosen.items() if not args.only or m in args.only}
        print(calibrated_costs(chosen, args.calibrated, spread=2.0))
        return
    rows, field = run(args), set(arena_methods.peers())
    for title, part in strata(rows).items():
        print(table(part, field, f"{args.half}, {title}"), end="\n\n")
    for text in sorted({f"{r['method']}: {r['failed']}" for r in rows if "failed" in r}):
        print("failed:", text)


if __name__ == "__main__":
    main()
