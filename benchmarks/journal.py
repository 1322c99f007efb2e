"""Measure updates a second without a journal, with a journal, and with a durable journal.

python benchmarks/journal.py                 # in the directory for temporary files
python benchmarks/journal.py --dir /data     # on another disk
python benchmarks/journal.py --kill 200      # kill processes at random moments; print a log
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from journal_kill import run_kills

from calibkit import to_dict
from calibkit.online import Journal, OnlinePlattCalibrator, TrackingCalibrator

SIZES = (1, 10, 100, 1000, 10_000)
#: A cell is measured for about this time; the result is the median of the rounds.
SECONDS, ROUNDS = 0.4, 5
GOAL = 100_000


def stream(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.random(n)
    return p, (rng.random(n) < p**2).astype(int)


def seconds_per_call(learn: Callable[[int], Any]) -> float:
    """Median over rounds of the time of a call; ``learn(i)`` makes the i-th call."""
    i, found = 0, []
    for _ in range(ROUNDS):
        begin, n = time.perf_counter(), 0
        while time.perf_counter() - begin < SECONDS / ROUNDS:
            learn(i)
            i, n = i + 1, n + 1
        found.append((time.perf_counter() - begin) / n)
    return float(np.median(found))


def calls(target: Any, p: np.ndarray, y: np.ndarray, rows: int) -> Callable[[int], Any]:
    starts = range(0, len(p) - rows + 1, rows)

    def learn(i: int) -> None:
        at = starts[i % len(starts)]
        target.partial_fit(p[at : at + rows], y[at : at + rows])

    return learn


def one_by_one(target: Any, p: np.ndarray, y: np.ndarray) -> Callable[[int], Any]:
    scores, labels = p.tolist(), y.tolist()
    return lambda i: target.learn_one(scores[i % len(scores)], labels[i % len(labels)])


def measure(make: Callable[[], Any], place: Path) -> None:
    p, y = stream(200_000)
    print(f"\n{make()!r}: updates a second, and extra time of a call (us)")
    print(f"{'rows a call':>12} {'no journal':>12} {'journal':>12} {'':>9} {'durable':>12} {'':>9}")
    for rows in ("learn_one", *SIZES):
        n = 1 if rows == "learn_one" else int(rows)
        times = []
        for durable in (None, False, True):
            journal = None
            target = make().partial_fit(p[:2], [0, 1])
            if durable is not None:
                journal = target = Journal(place / "state.db", target, durable=durable)
            one = rows == "learn_one"
            times.append(
                seconds_per_call(one_by_one(target, p, y) if one else calls(target, p, y, n))
            )
            if journal is not None:
                journal.close()
                (place / "state.db").unlink()
        plain, kept, durable_time = times
        cells = [f"{n / t:12,.0f}" for t in times]
        extra = [f"{1e6 * (t - plain):+9,.0f}" for t in (kept, durable_time)]
        note = "" if n / kept < GOAL else f"  journal >= {GOAL:,} a second"
        print(f"{rows!s:>12} {cells[0]} {cells[1]} {extra[0]} {cells[2]} {extra[1]}{note}")


def restart(place: Path) -> None:
    """Print the time of a restart after a crash just before a snapshot, the worst moment."""
    p, y = stream(9_990)
    for rows in (1, 100):
        journal = Journal(place / "state.db", TrackingCalibrator(classes=[0, 1]))
        learn = calls(journal, p, y, rows)
        for i in range(len(p) // rows):
            learn(i)
        state, size = to_dict(journal.calibrator_), (place / "state.db-wal").stat().st_size
        journal._log.close()  # no snapshot, as in a crash
        begin = time.perf_counter()
        with Journal(place / "state.db") as again:
            took = time.perf_counter() - begin
            assert to_dict(again.calibrator_) == state
            print(
                f"restart after {again.n_rows:,} rows in calls of {rows}: {1000 * took:.0f} ms "
                f"(log of {size / 1e6:.1f} MB before)"
            )
        (place / "state.db").unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", help="directory for the files")
    parser.add_argument("--kill", type=int, metavar="N", help="kill N processes, measure no times")
    parser.add_argument("--seed", type=int, default=0, help="seed of the kills")
    options = parser.parse_args()
    if options.kill is not None:
        run_kills(options.kill, options.seed)
        return
    print(f"SQLite {sqlite3.sqlite_version}; wall time, medians of {ROUNDS} rounds")
    with tempfile.TemporaryDirectory(dir=options.dir) as place:
        for make in (OnlinePlattCalibrator, TrackingCalibrator):
            measure(make, Path(place))
        print()
        restart(Path(place))


if __name__ == "__main__":
    main()
