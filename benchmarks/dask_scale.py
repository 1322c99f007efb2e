"""``ScoreTable.from_dask`` on a cluster of two processes: a killed worker, time and memory by rows.

The rows are made in the partitions, of 10^6 rows or fewer. CPU time is that of the two workers,
less that of a run which only makes the rows; beside it stands that of the client and the
scheduler, which are one process.

python benchmarks/dask_scale.py --killed            # one worker is killed: its log, the same table
python benchmarks/dask_scale.py --save              # all, 10^6 and 10^7 rows, to dask_scale.json
python benchmarks/dask_scale.py --only curve --rows 100000000 --save      # 10^8 rows, beside them
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import pickle
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd

from calibkit import ScoreTable, brier_score, calibration_error, log_loss

ROWS = 1_000_000
BINS = {"strategy": "uniform", "n_bins": 15}
TOLD = {"label": "y", "score": "p", "n_bins": 15}
#: Times that a call is repeated; the least CPU time counts.
ROUNDS = 5


def made(i: int, rows: int) -> pd.DataFrame:
    """The rows of a partition."""
    rng = np.random.default_rng(i)
    p = rng.random(rows)
    return pd.DataFrame({"y": (rng.random(rows) < p * (0.8 + 0.2 * p)).astype(np.int64), "p": p})


def frame_of(parts: int, rows: int, make: Callable[..., pd.DataFrame] = made) -> Any:
    return dd.from_map(partial(make, rows=rows), range(parts), meta=made(0, 1))


#: Dask lets its workers give back freed memory at once, and new memory costs time. This keeps it.
KEEPING = {"MALLOC_TRIM_THRESHOLD_": 1 << 28, "MALLOC_MMAP_THRESHOLD_": 1 << 25}


@contextmanager
def cluster(keeping: bool = False) -> Iterator[distributed.Client]:
    """Two workers of one thread each, in processes of their own."""
    told = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    name = "distributed.nanny.pre-spawn-environ"
    kept = {**dask.config.get(name), **(KEEPING if keeping else {})}
    with dask.config.set({name: kept}):
        local = distributed.LocalCluster(**told)
    with distributed.Client(local) as client:
        yield client
    with suppress(TimeoutError, asyncio.TimeoutError):  # of a busy machine; they end with this one
        local.close()


# --- A killed worker ------------------------------------------------------------------------------


def mortal(i: int, rows: int, folder: str, last: int) -> pd.DataFrame:
    """The rows of a partition; the first process that makes the last one is killed."""
    with open(Path(folder) / "log", "a") as log:
        log.write(f"process {os.getpid()} makes partition {i}\n")
    dead = Path(folder) / "dead"
    if i == last and not dead.exists():
        dead.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return made(i, rows)


def killed(parts: int = 12, rows: int = 20_000, at: int = 7) -> bool:
    """Whether the table is the same although a worker is killed in the middle."""
    with dask.config.set(scheduler="synchronous"):
        expected = ScoreTable.from_dask(frame_of(parts, rows), **TOLD)
    with tempfile.TemporaryDirectory() as folder, cluster() as client:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        loggers = [logging.getLogger(f"distributed.{n}") for n in ("nanny", "scheduler")]
        for logger in loggers:
            logger.addHandler(handler)
            logger.propagate = False
        print("workers:", *sorted(client.run(os.getpid).values()))
        make = partial(mortal, folder=folder, last=at)
        table = ScoreTable.from_dask(frame_of(parts, rows, make), **TOLD)
        lines = Path(folder, "log").read_text().splitlines()
        dead = Path(folder, "dead").read_text()
        print(*lines, sep="\n")
        client.wait_for_workers(2, timeout=120)
        print("workers:", *sorted(client.run(os.getpid).values()))
        for logger in loggers:
            logger.removeHandler(handler)
    times = len(lines) - parts
    print(f"process {dead} was killed in partition {at}; {times} partitions were made again")
    columns = ("p", "n", "w", "wy", "w2", "w2y", "losses")
    pairs = [(getattr(table, c), getattr(expected, c)) for c in columns]
    same = all(a.shape == b.shape and np.allclose(a, b, rtol=1e-12, atol=0) for a, b in pairs)
    print(f"{table}\nBrier score {brier_score(table):.12f}, log loss {log_loss(table):.12f}")
    print("the table is the same" if same and times > 0 else "THE TABLE IS NOT THE SAME")
    return same and times > 0


# --- Time and memory ------------------------------------------------------------------------------


def own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def task_seconds(dask_worker: Any) -> float:
    """CPU time of the thread of a worker that runs its tasks (Linux)."""
    threads = [t.native_id for t in dask_worker.executors["default"]._threads]
    spent = [Path(f"/proc/self/task/{n}/schedstat").read_text().split()[0] for n in threads]
    return sum(map(int, spent)) / 1e9


def seconds(client: distributed.Client, call: Callable[[], Any]) -> np.ndarray:
    """CPU time of tasks, of whole workers, and of this process; and time on the clock."""

    def now() -> np.ndarray:
        workers = [sum(client.run(f).values()) for f in (task_seconds, own_seconds)]
        return np.array([*workers, own_seconds(), time.perf_counter()])

    before = now()
    call()
    return now() - before


def curve(rows: int) -> dict[str, Any]:
    """Of a new cluster: CPU time by row, and the largest memory of a worker."""
    parts, size = max(1, rows // ROWS), min(rows, ROWS)
    frame = frame_of(parts, size)
    with cluster() as client:
        warm = frame_of(8, 1000)  # modules are imported
        seconds(client, lambda: warm.map_partitions(len).sum().compute())
        seconds(client, lambda: ScoreTable.from_dask(warm, **TOLD))
        idle = max(client.run(peak_megabytes).values())
        making = seconds(client, lambda: frame.map_partitions(len).sum().compute())
        both = seconds(client, lambda: ScoreTable.from_dask(frame, **TOLD))
        return {
            "task_ns_per_row": (both[0] - making[0]) / rows * 1e9,
            "worker_ns_per_row": (both[1] - making[1]) / rows * 1e9,
            "making_task_ns_per_row": making[0] / rows * 1e9,
            "client_ms_per_partition": both[2] / parts * 1e3,
            "seconds_on_the_clock": both[3],
            "worker_peak_mb": max(client.run(peak_megabytes).values()),
            "worker_idle_mb": idle,
        }


def many_partitions(parts: int = 1000, rows: int = 1000) -> dict[str, Any]:
    """CPU time of the client and the scheduler by partition, of many small ones."""
    with cluster() as client:
        ScoreTable.from_dask(frame_of(8, rows), **TOLD)
        spent = seconds(client, lambda: ScoreTable.from_dask(frame_of(parts, rows), **TOLD))
    ms = dict(zip(("tasks", "workers", "client"), (spent / parts * 1e3).tolist(), strict=False))
    return {"partitions": parts, "rows": rows, "ms_per_partition": ms}


def against_plain(rows: int, keeping: bool) -> dict[str, Any]:
    """Equal-width errors of rows in the memory of two workers, and of the same rows in arrays."""
    rows_of_all = pd.concat([made(i, ROWS) for i in range(rows // ROWS)])
    y, p = rows_of_all.y.to_numpy(), rows_of_all.p.to_numpy()
    with cluster(keeping) as client:
        frame = frame_of(rows // ROWS, ROWS).persist()
        distributed.wait(frame)
        call = lambda: calibration_error(  # noqa: E731
            ScoreTable.from_dask(frame, **TOLD), **BINS
        )
        difference, rounds = abs(call() - calibration_error(y, p, **BINS)), []
        for _ in range(ROUNDS):
            plain = []
            for debias in (True, False):
                begin = own_seconds()
                calibration_error(y, p, debias=debias, **BINS)
                plain.append(own_seconds() - begin)
            rounds.append([*seconds(client, call), *plain])
    names = ("tasks", "workers", "client", "clock", "plain", "plain_without_debias")
    least = dict(zip(names, np.min(rounds, axis=0).tolist(), strict=True))
    ratios = {f"{n}_to_plain": least[n] / least["plain"] for n in names[:2]}
    return {"rows": rows, "difference": difference, "seconds": least, **ratios}


def sum_bytes() -> dict[str, int]:
    """Bytes of the sums of a partition, as workers send them, and of its rows."""
    sent = {}

    def joined(self: Any, parts: list[Any]) -> Any:
        sent["sums"] = len(pickle.dumps(parts[0]))
        return kept(self, parts)

    from calibkit.metrics import _dask

    kept, _dask._Plan.joined = _dask._Plan.joined, joined  # type: ignore[method-assign]
    with dask.config.set(scheduler="synchronous"):
        ScoreTable.from_dask(frame_of(2, ROWS), **TOLD)
    _dask._Plan.joined = kept  # type: ignore[method-assign]
    return {**sent, "rows": int(made(0, ROWS).memory_usage(index=False).sum())}


def machine() -> dict[str, str]:
    here = Path(__file__).parent
    run = partial(subprocess.run, cwd=here, capture_output=True, text=True, check=True)
    cpu = [x for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x]
    modules = (np, pd, dask, distributed)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {cpu[0].split(': ')[1]}",
        "python": platform.python_version(),
        **{m.__name__: m.__version__ for m in modules},
        "commit": run(["git", "rev-parse", "--short", "HEAD"]).stdout.strip(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--killed", action="store_true", help="kill a worker instead")
    parser.add_argument("--rows", type=int, nargs="*", default=[10**6, 10**7])
    parser.add_argument("--only", choices=["curve", "partitions", "plain"])
    parser.add_argument("--save", action="store_true", help="write dask_scale.json")
    given = parser.parse_args()
    if given.killed:
        sys.exit(not killed())
    path = Path(__file__).with_suffix(".json")
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"curve": {}}
    found.update(machine(), bytes_of_a_partition=sum_bytes())
    if given.only in (None, "curve"):
        found["curve"].update({f"{rows:,}": curve(rows) for rows in given.rows})
    if given.only in (None, "partitions"):
        found["many_partitions"] = many_partitions()
    if given.only in (None, "plain"):
        found["against_plain"] = against_plain(10**7, keeping=False)
        found["against_plain_keeping_memory"] = against_plain(10**7, keeping=True)
    text = json.dumps(found, indent=1)
    print(text)
    if given.save:
        path.write_text(text + "\n")


if __name__ == "__main__":
    main()
