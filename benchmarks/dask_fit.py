"""``fit`` to Dask arrays on a cluster of two processes, against ``fit`` to arrays in memory.

The rows are in the memory of the workers before, in partitions of 10^6. CPU time is that of the
tasks; beside it stand that of the whole workers, and that of the client and the scheduler, which
are one process. The plain call runs in this process. The least of several calls counts. Workers
are measured as Dask sets them up, which give freed memory back, and with memory that they keep.

python benchmarks/dask_fit.py                  # 10^7 rows
python benchmarks/dask_fit.py --save           # writes benchmarks/dask_fit.json, too
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import dask.array as da
import distributed
import numpy as np

from calibkit import BetaCalibrator, PlattCalibrator, TemperatureCalibrator

try:
    from benchmarks.dask_scale import cluster, machine, own_seconds, peak_megabytes, seconds
except ImportError:
    from dask_scale import cluster, machine, own_seconds, peak_megabytes, seconds

PARTITION = 1_000_000


def made(i: int, k: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of a partition: probabilities of two classes, or logits of k."""
    rng = np.random.default_rng(i)
    if k == 2:
        p = rng.random(rows)
        return p, (rng.random(rows) < p**1.1).astype(np.int64)
    z = rng.normal(size=(rows, k))
    return 2.0 * z, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


def lazy(k: int, rows: int) -> tuple[Any, Any]:
    """Dask arrays of all rows."""
    parts, tail = range(rows // PARTITION), (k,) if k > 2 else ()
    made_there = [distributed.get_client().submit(made, i, k, PARTITION) for i in parts]
    pairs = [(of(part, 0), of(part, 1)) for part in made_there]
    x = [da.from_delayed(a, (PARTITION, *tail), dtype=np.float64) for a, _ in pairs]
    y = [da.from_delayed(b, (PARTITION,), dtype=np.int64) for _, b in pairs]
    both = da.concatenate(x).persist(), da.concatenate(y).persist()
    distributed.wait(both)
    return both


def of(future: Any, i: int) -> Any:
    """A part of what a task returns."""
    import dask

    return dask.delayed(lambda pair: pair[i])(future)


def measured(calibrator: Any, k: int, rows: int, rounds: int, *, keeping: bool) -> dict[str, Any]:
    """CPU times of the plain call and of the one on a cluster, and how far the results differ."""
    with cluster(keeping) as client:
        x, y = lazy(k, rows)
        calibrator.fit(x, y)  # modules are imported
        idle = max(client.run(peak_megabytes).values())
        calls = [seconds(client, lambda: calibrator.fit(x, y)) for _ in range(rounds)]
        tasks, worker, own, clock = np.min(calls, axis=0).tolist()
        peak = max(client.run(peak_megabytes).values())
        names = [n for n, kind in calibrator._state.items() if kind == "float"]
        found = {name: getattr(calibrator, name) for name in names}
    parts = [made(i, k, PARTITION) for i in range(rows // PARTITION)]
    scores, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    del parts
    plain = np.inf
    for _ in range(rounds):
        begin = own_seconds()
        calibrator.fit(scores, labels)
        plain = min(plain, own_seconds() - begin)
    differences = [abs(getattr(calibrator, n) / v - 1.0) for n, v in found.items()]
    return {
        "calibrator": type(calibrator).__name__,
        "classes": k,
        "rows": rows,
        "keeping_memory": keeping,
        "plain_seconds": plain,
        "task_seconds": tasks,
        "worker_seconds": worker,
        "client_seconds": own,
        "clock_seconds": clock,
        "ratio": tasks / plain,
        "ratio_of_workers": worker / plain,
        "relative_difference": max(differences),
        "worker_peak_mb": peak,
        "worker_peak_mb_after_one_fit": idle,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of two classes")
    parser.add_argument("--rounds", type=int, default=2, help="calls of each kind")
    parser.add_argument("--save", action="store_true", help="write the JSON file")
    given = parser.parse_args()
    results = []
    print(
        "| calibrator | classes | memory | plain | tasks | workers | client | ratio | difference |"
    )
    print("|---|---|---|---|---|---|---|---|---|")  # times in seconds
    kinds = (
        (PlattCalibrator(), 2),
        (BetaCalibrator(), 2),
        (TemperatureCalibrator(scale="logit"), 10),
    )
    for (calibrator, k), keeping in product(kinds, (False, True)):
        r = measured(calibrator, k, given.rows, given.rounds, keeping=keeping)
        results.append(r)
        times = " | ".join(
            f"{r[f'{n}_seconds']:.2f}" for n in ("plain", "task", "worker", "client")
        )
        memory = "kept" if keeping else "given back"
        row = f"| `{r['calibrator']}` | {k} | {memory} | {times} | {r['ratio']:.2f} | "
        print(f"{row}{r['relative_difference']:.1e} |", flush=True)
    if given.save:
        text = json.dumps({**machine(), "results": results}, indent=1) + "\n"
        Path(__file__).with_suffix(".json").write_text(text)


if __name__ == "__main__":
    main()
