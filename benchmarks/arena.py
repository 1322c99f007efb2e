"""An arena for calibrators: many data sets, the field of peers, and ours.

    python benchmarks/arena.py --half development --cache /tmp/arena --out two.json
    python benchmarks/arena.py --several --half development --cache /tmp/arena --out several.json
    python benchmarks/arena.py --show benchmarks/arena_two.json       # the stored tables

Half of the data sets are for development, by their names; the other half is run once, at the end.
The win rate of a method is the mean, over experiments, of the share of the field whose held-out
log loss is larger; a tie counts half. Only peers are in the field. Standard errors are clustered
by data set. ``--data FOLDER`` adds files of scores: see ``arena_data.files``. Experiments are run
in a mixed order, so that the tables of a run that was stopped early are fair too.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import arena_data
import arena_methods
import arena_tables
import numpy as np

#: Probabilities are clipped here for the log loss, as scikit-learn does.
_EPS = float(np.finfo(float).eps)
Row = dict[str, Any]


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    """Mean negative log-likelihood; ``p`` is of the event, or has K columns."""
    if p.ndim == 2:
        return float(-np.log(np.clip(p[np.arange(len(y)), y], _EPS, 1.0)).mean())
    p = np.clip(p, _EPS, 1.0 - _EPS)
    return float(-np.mean(np.where(y == 1, np.log(p), np.log1p(-p))))


def brier(y: np.ndarray, p: np.ndarray) -> float:
    """Mean squared error, for K columns summed over the classes."""
    if p.ndim == 1:
        return float(np.mean((p - y) ** 2))
    own = p[np.arange(len(y)), y]
    return float(np.mean((p * p).sum(axis=1) - 2.0 * own + 1.0))


def binned_error(y: np.ndarray, p: np.ndarray, n_bins: int = 15) -> float:
    """ECE with equal-width bins, of the top label for K columns; it ranks otherwise."""
    if p.ndim == 2:
        y, p = (p.argmax(axis=1) == y).astype(int), p.max(axis=1)
    bins = np.minimum((p * n_bins).astype(int), n_bins - 1)
    return float(np.abs(np.bincount(bins, y - p)).sum() / len(y))


def _checked(out: Any, q: np.ndarray) -> np.ndarray:
    """Probabilities of the shape of the scores; K columns add up to one."""
    out = np.asarray(out, dtype=float)
    if out.shape != q.shape or not np.isfinite(out).all():
        raise ValueError("no finite probabilities of the shape of the scores")
    out = np.clip(out, 0.0, 1.0)
    if out.ndim == 2 and not (out.sum(axis=1) > 0).all():
        raise ValueError("a row of zeros")
    return out / out.sum(axis=1, keepdims=True) if out.ndim == 2 else out


def judged(experiment: arena_data.Experiment, methods: dict[str, Any]) -> list[Row]:
    """What each method reaches in an experiment; one that fails stays uncalibrated."""
    s, rows = experiment.scored, []
    p, y, q, truth = experiment.parts()
    groups = None if s.groups is None else s.groups[experiment.fit]
    common: Row = {"key": experiment.key, "data": s.name, "source": s.source, "n": experiment.n}
    common |= {"n_classes": s.n_classes, "grouped": groups is not None}
    for name, fit in methods.items():
        row: Row = {"method": name, **common}
        middle = start = time.process_time()
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                fitted = fit(p, y, groups)
                middle = time.process_time()
                raw = fitted(q)
            end = time.process_time()
            out = _checked(raw, q)
        except Exception as error:
            row["failed"], out, end = f"{type(error).__name__}: {error}"[:200], q, middle
        row |= {"log_loss": log_loss(truth, out), "brier": brier(truth, out)}
        row |= {"ece": binned_error(truth, out)}
        row |= {"fit_ms": 1e3 * (middle - start), "ms": 1e3 * (end - middle)}
        rows.append(row)
    return rows


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


def chosen_methods(args: argparse.Namespace) -> dict[str, Any]:
    methods = arena_methods.peers(args.several)
    methods |= arena_methods.ours_of_several() if args.several else arena_methods.ours()
    if args.variants and not args.several:
        methods |= arena_methods.variants()
    return {m: f for m, f in methods.items() if not args.only or m in args.only}


def chosen_experiments(args: argparse.Namespace) -> list[arena_data.Experiment]:
    """All experiments of a half and of the seeds, in a mixed order that is always the same."""
    found = []
    for seed in args.seeds:
        of_half = (args.half, args.data, args.cache, args.seeds[0], not args.no_tables)
        for scored in arena_data.all_scored(*of_half, several=args.several):
            found += arena_data.experiments(scored, seed)
    return sorted(found, key=lambda e: hashlib.sha256(e.key.encode()).digest())


def _write(path: Path, rows: list[Row]) -> None:
    """Replace the file at once, so that another process never reads half of it."""
    new = path.with_suffix(".new")
    new.write_text("[" + ",\n".join(json.dumps(row) for row in rows) + "]\n")
    new.replace(path)


def run(args: argparse.Namespace) -> list[Row]:
    """Judge all methods in all experiments; what ``--out`` holds already is not run again."""
    methods = chosen_methods(args)
    rows: list[Row] = json.loads(args.out.read_text()) if args.out and args.out.exists() else []
    rows = [r for r in rows if r["method"] not in args.again]
    known = {(r["key"], r["method"]) for r in rows}
    stop = time.monotonic() + 60.0 * args.minutes
    written = time.monotonic()
    for experiment in chosen_experiments(args):
        if time.monotonic() > stop:
            break
        new = {m: f for m, f in methods.items() if (experiment.key, m) not in known}
        rows += judged(experiment, new)
        if args.out and time.monotonic() > written + 20.0:
            _write(args.out, rows)
            written = time.monotonic()
    if args.out and len(rows) != len(known):
        _write(args.out, rows)
    field = set(arena_methods.peers(args.several)) & {r["method"] for r in rows}
    return arena_tables.complete(rows, field | set(methods))


def report(args: argparse.Namespace) -> Row:
    """Run, and sum the results up in tables; the rows themselves are in ``--out``."""
    rows, field = run(args), set(arena_methods.peers(args.several))
    tables = arena_tables.summary(rows, field)
    check = arena_tables.checked(tables, rows, field, "calibkit auto") if args.check else []
    reasons = Counter((r["method"], r["failed"].split(". ")[0]) for r in rows if "failed" in r)
    failed = [f"{m}, {count} times: {why}" for (m, why), count in sorted(reasons.items())]
    kept = {"half": args.half, "several": args.several, "seeds": args.seeds}
    return kept | {"tables": tables, "check": check, "failed": failed}


def show(kept: Row) -> None:
    for table in kept["tables"]:
        print(arena_tables.text(table, kept["half"]), end="\n\n")
    for line in [*kept["check"], *(f"failed: {text}" for text in kept["failed"])]:
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=("development", "held-out", "both"))
    parser.add_argument("--several", action="store_true", help="data sets of three or more classes")
    parser.add_argument("--data", type=Path, help="folder of npz files of scores")
    parser.add_argument("--cache", type=Path, help="folder to keep the classifiers' scores in")
    parser.add_argument("--out", type=Path, help="JSON file of all results, continued if it exists")
    parser.add_argument("--json", type=Path, help="write the tables to this file")
    parser.add_argument("--show", type=Path, help="print the tables of this file")
    parser.add_argument("--markdown", action="store_true", help="print the main tables only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the splits")
    parser.add_argument("--no-tables", action="store_true", help="only the files of --data")
    parser.add_argument("--variants", action="store_true", help="designs of the blend too")
    parser.add_argument("--check", action="store_true", help="print whether the goals are reached")
    parser.add_argument("--only", nargs="*", default=[], help="these methods only")
    parser.add_argument(
        "--again", nargs="*", default=[], help="forget these methods' results first"
    )
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after this many minutes")
    parser.add_argument("--calibrated", type=int, default=0, help="repeats on calibrated scores")
    args = parser.parse_args()
    if not (args.show or args.half or args.calibrated):
        parser.error("pass --half to run the arena, or --show FILE to print stored tables")
    warnings.simplefilter("ignore")
    if args.calibrated:
        chosen = arena_methods.ours() | (arena_methods.variants() if args.variants else {})
        chosen = {m: f for m, f in chosen.items() if not args.only or m in args.only}
        print(calibrated_costs(chosen, args.calibrated, spread=2.0))
        return
    kept = json.loads(args.show.read_text()) if args.show else report(args)
    if args.markdown:
        print(arena_tables.markdown(kept["tables"], "calibkit auto"))
    else:
        show(kept)
    if args.json:
        args.json.write_text(json.dumps(kept).replace("{", "\n{") + "\n")


if __name__ == "__main__":
    main()
