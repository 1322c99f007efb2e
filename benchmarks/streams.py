"""Measure updates per second of a million streams at once, beside two floors.

The state of one stream is a cache line of 64 bytes. Each update must read and write the state of a
random stream. The floors do only that: a compiled loop that reads and writes six numbers of a
random row, and NumPy's ``take`` and assignment. Results are nanoseconds of CPU time per row, the
median over batches.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from calibkit._numerics.multistream import new_rows
from calibkit.online import MultiStreamCalibrator, OnlinePlattCalibrator


def per_row(run: Callable[[int], object], n_batches: int, size: int) -> float:
    """Median time of a batch in nanoseconds per row."""
    times = []
    for k in range(n_batches):
        start = time.process_time_ns()
        run(k)
        times.append((time.process_time_ns() - start) / size)
    return float(np.median(times))


def floors(n_streams: int, slot: np.ndarray, size: int) -> dict[str, float]:
    """Times to read and write the state of random streams."""
    rows, n = new_rows(n_streams), len(slot) // size
    parts = slot[: n * size].reshape(n, size)

    def by_numpy(k: int) -> None:
        rows[parts[k]] = rows.take(parts[k], axis=0)

    out = {"floor: NumPy take, assign": per_row(by_numpy, n, size)}
    if sys.modules.get("numba", 0) is None:
        return out
    from numba import njit

    @njit
    def gather_scatter(slot: np.ndarray, rows: np.ndarray) -> None:
        for s in slot:
            row = rows[s]
            for j in range(6):
                row[j] += 1.0

    gather_scatter(parts[0][:1], rows)
    return {
        "floor: compiled loop": per_row(lambda k: gather_scatter(parts[k], rows), n, size),
        **out,
    }


def updates(ids: np.ndarray, slot: np.ndarray, size: int) -> tuple[float, MultiStreamCalibrator]:
    """Time of partial_fit on random streams that all exist already."""
    rng = np.random.default_rng(1)
    p, n = rng.random(len(slot)), len(slot) // size
    y = (rng.random(len(slot)) < p).astype(np.int64)
    cal = MultiStreamCalibrator().partial_fit(p[: len(ids)], y[: len(ids)], ids)
    keys = ids[slot]

    def learn(k: int) -> None:
        rows = slice(k * size, (k + 1) * size)
        cal.partial_fit(p[rows], y[rows], keys[rows])

    return per_row(learn, n, size), cal


def one_stream(n: int) -> float:
    """Time of OnlinePlattCalibrator on one stream, where each step needs the one before."""
    rng = np.random.default_rng(2)
    p = rng.random(n)
    y = (rng.random(n) < p).astype(np.int64)
    cal = OnlinePlattCalibrator().partial_fit(p, y)
    return per_row(lambda _: cal.partial_fit(p, y), 5, n)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1_000_000, help="number of streams")
    parser.add_argument("--updates", type=int, default=10_000_000, help="rows in all")
    parser.add_argument("--batch", type=int, default=100_000, help="rows in a batch")
    parser.add_argument("--numpy", action="store_true", help="do not use Numba")
    options = parser.parse_args()
    if options.numpy:  # as where Numba is not installed
        sys.modules["numba"] = None  # type: ignore[assignment]
    rng = np.random.default_rng(0)
    n = options.updates // 10 if options.numpy else options.updates
    n = max(n, options.streams)
    slot = rng.integers(options.streams, size=n)
    print(f"{options.streams:,} streams, {n:,} updates in batches of {options.batch:,}", end="; ")
    print("NumPy only" if options.numpy else "Numba")
    found = floors(options.streams, slot, options.batch)
    best = min(found.values())
    found["one stream, OnlinePlattCalibrator"] = one_stream(200_000)
    dense = np.arange(options.streams)
    kinds = {
        "ints": rng.permutation(dense),
        "ints of 60 bits": rng.permutation(dense) * (2**60 // options.streams) - 1,
        "strings": np.array([f"tenant-{i}" for i in dense], dtype=object),
    }
    sizes = {}
    for kind, ids in kinds.items():
        some = slot[: len(slot) // 5] if kind == "strings" and not options.numpy else slot
        some = slot if len(some) < options.streams else some
        found[f"partial_fit, {kind}"], cal = updates(ids, some, options.batch)
        sizes[kind] = cal.nbytes / options.streams
    for name, value in found.items():
        ratio = f"{value / best:6.1f} x floor"
        print(f"  {name:36}{value:8.1f} ns{1e3 / value:8.1f} M/s{ratio:>16}")
    print("  bytes per stream:", ", ".join(f"{k} {v:.0f}" for k, v in sizes.items()), flush=True)
    if not options.numpy:
        subprocess.run([sys.executable, *sys.argv, "--numpy"], check=True)


if __name__ == "__main__":
    main()
