"""Time of ``ScoreTable.from_sql`` in DuckDB, and how far its metrics are from those of the rows.

The time is compared with a GROUP BY of the same cells that sums the columns of the table only: no
checks of the rows, no losses.

python benchmarks/in_database.py                    # 10^7 rows: times beside a plain GROUP BY
python benchmarks/in_database.py --rows 100000000   # in a file, not in memory: --file t.duckdb
python benchmarks/in_database.py --errors           # the table of docs/any_amount.md
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np

from calibkit import (
    ScoreTable,
    area_under_risk_coverage,
    brier_score,
    calibration_error,
    calibration_slope,
    corp_miscalibration,
    cumulative_calibration_error,
    kernel_calibration_error,
    loess_calibration_error,
    log_loss,
    roc_auc,
    smooth_calibration_error,
)
from calibkit.metrics._sql import _cells

ROUNDS = 9


def seconds(calls: dict[str, Callable[[], Any]]) -> dict[str, tuple[float, float]]:
    """Smallest time on the clock and of the processors, of several rounds of all calls."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begin, own = time.perf_counter(), time.process_time()
            call()
            found[name].append((time.perf_counter() - begin, time.process_time() - own))
    return {name: tuple(np.min(times, axis=0).tolist()) for name, times in found.items()}


def times(rows: int, file: str) -> None:
    connection = duckdb.connect(file)
    connection.execute(
        "CREATE OR REPLACE TABLE t AS SELECT p, (random() < p)::INTEGER AS y, random() + 0.5 AS w "
        f"FROM (SELECT random() AS p FROM range({rows}))"
    )
    told = {"label": "y", "score": "p", "n_bins": 15}
    print(f"DuckDB {duckdb.__version__}, {rows:,} rows, least of {ROUNDS} rounds")
    columns = "SUM(w), SUM(w * e), SUM(w * w), SUM(w * w * e), SUM(w * p)"
    for weight, sums in ((None, "SUM(e), SUM(p)"), ("w", columns)):
        cells, values = _cells("SELECT p, y AS e, w FROM t", 15 * 274, 15, inside=True)
        plain = f"SELECT k, COUNT(*), {sums} FROM ({cells}) GROUP BY k".replace("\0", "?")
        found = seconds(
            {
                "GROUP BY of the cells": lambda q=plain, v=values: connection.execute(
                    q, v
                ).fetchall(),
                "from_sql": lambda w=weight: ScoreTable.from_sql(connection, "t", weight=w, **told),
            }
        )
        first = found["GROUP BY of the cells"]
        for name, (clock, own) in found.items():
            ratios = f"{clock / first[0]:.2f} times the time, {own / first[1]:.2f} the CPU time"
            what = f"{name}, {'weights' if weight else 'no weights'}"
            print(f"{what:34} {clock:7.3f} s {own:7.3f} s CPU  {ratios}")


def laws(n: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Labels and scores: spread, of rare events, and confident."""
    rng = np.random.default_rng(0)
    scores = {
        "spread": rng.random(n),
        "rare": np.clip(rng.lognormal(-6.0, 1.0, n), 0.0, 1.0),
        "confident": rng.beta(0.2, 0.2, n),
    }
    return {k: ((rng.random(n) < p**1.1).astype(int), p) for k, p in scores.items()}


def errors(n: int = 200_000) -> None:
    bins = {"strategy": "uniform", "n_bins": 15}
    metrics: dict[str, Callable[[Any], float]] = {
        "brier_score": brier_score,
        "log_loss": log_loss,
        "calibration_error, uniform, debias=False": lambda t: calibration_error(
            t, debias=False, **bins
        ),
        "calibration_error, uniform": lambda t: calibration_error(t, **bins),
        "calibration_error (equal mass)": calibration_error,
        "roc_auc": roc_auc,
        "area_under_risk_coverage": area_under_risk_coverage,
        "cumulative_calibration_error": cumulative_calibration_error,
        "corp_miscalibration": corp_miscalibration,
        "smooth_calibration_error": smooth_calibration_error,
        "kernel_calibration_error": kernel_calibration_error,
        "loess_calibration_error": loess_calibration_error,
        "calibration_slope": calibration_slope,
    }
    data = laws(n)
    pairs = {}
    for law, (y, p) in data.items():
        connection = duckdb.connect()
        connection.execute("CREATE TABLE t (y INTEGER, p DOUBLE)")
        connection.execute("INSERT INTO t SELECT unnest(?), unnest(?)", [y.tolist(), p.tolist()])
        table = ScoreTable.from_sql(connection, "t", label="y", score="p", n_bins=15)
        pairs[law] = table, ScoreTable.from_arrays(y, p)
        m = table.w.max() / table.w.sum()
        print(f"{law}: {len(table):,} cells, the largest with {m:.2g} of the rows")
    print(f"| metric | {' | '.join(pairs)} |\n|---|{'---|' * len(pairs)}")
    for name, metric in metrics.items():
        off = [abs(metric(table) - metric(exact)) for table, exact in pairs.values()]
        print(f"| {name} | {' | '.join(f'{x:.1e}' for x in off)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--file", default=":memory:", help="database file; default: in memory")
    parser.add_argument("--errors", action="store_true", help="errors instead of times")
    given = parser.parse_args()
    if given.errors:
        errors()
    else:
        times(given.rows, given.file)


if __name__ == "__main__":
    main()
