"""Measure the time of errors without bins, beside relplot, probmetrics and model-diagnostics.

Contenders take turns, with one thread. Times are medians, in seconds: of the processor, and of the
clock. The ratio to calibkit is the median of the ratios of each round's processor times. MB is the
largest memory beside the given arrays. The values that were found are shown too; "fine grid" is the
smooth ECE by a plain convolution of 32,768 cells, which has no other purpose.

    OMP_NUM_THREADS=1 python benchmarks/whole_errors.py --json benchmarks/whole_errors.json
    python benchmarks/whole_errors.py --task curve band --rounds 3
    python benchmarks/whole_errors.py --show           # prints the stored results
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import brentq
from scipy.special import expit, logit

import calibkit
from calibkit import ScoreTable, calibration_tests, estimate

RESULTS = Path(__file__).with_suffix(".json")
TESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "smooth": ("smooth_calibration_error", {"scale": "probability"}),
    "smooth, logit": ("smooth_calibration_error", {"scale": "logit"}),
    "kernel": ("kernel_calibration_error", {"bandwidth": None}),
    "Kuiper": ("cumulative_calibration_error", {"statistic": "kuiper"}),
    "KS": ("cumulative_calibration_error", {"statistic": "ks"}),
    "CORP, Brier": ("corp_miscalibration", {"loss": "brier"}),
    "CORP, log": ("corp_miscalibration", {"loss": "log"}),
}
#: How the true rates depend on the scores.
LAWS: dict[str, Callable[[Any], Any]] = {
    "calibrated": lambda p: p,
    "shift": lambda p: expit(logit(p) - 0.4),
    "slope": lambda p: expit(0.7 * logit(p)),
    "wave": lambda p: np.clip(p + 0.1 * np.sin(4.0 * np.pi * p), 0.001, 0.999),
}
#: Rounds; contenders that take longer than so many seconds run only in the first.
ROUNDS, SLOW = 7, 30.0
Calls = dict[str, Callable[[], Any]]


def fine_grid(p: Any, y: Any, m: int = 1 << 15) -> float:
    at = np.minimum((p * m).astype(int), m - 1)
    mass = np.bincount(at, p - y, minlength=m) / len(p)

    def size(s: float) -> float:
        return float(np.abs(gaussian_filter1d(mass, s * m, mode="reflect", truncate=6.0)).sum())

    return float(brentq(lambda s: size(s) - s, 1e-3, 0.3, xtol=1e-9))


def smooth(p: Any, y: Any) -> Calls:
    calls: Calls = {"calibkit": lambda: calibkit.smooth_calibration_error(y, p)}
    with suppress(ImportError):
        from relplot import smECE  # type: ignore[import-not-found]

        calls["relplot"] = lambda: smECE(p, y)
    with suppress(ImportError):
        import torch  # type: ignore[import-not-found]
        from probmetrics.metrics import (  # type: ignore[import-not-found]
            SmoothCalibrationError,
        )

        torch.set_num_threads(1)
        given = torch.as_tensor(y), torch.as_tensor(np.column_stack((1.0 - p, p)))
        metric = SmoothCalibrationError()
        calls["probmetrics"] = lambda: float(metric.compute_from_labels_probs(*given))
    return {**calls, "fine grid": lambda: fine_grid(p, y)}


def values(p: Any, y: Any) -> Calls:
    """All errors, and the smooth error with weights, of a table, and of ten classes."""
    calls: Calls = {}
    for name, (metric, given) in TESTS.items():
        calls[name] = partial(getattr(calibkit, metric), y, p, **given)
    w, table = np.tile([1.0, 2.0], len(p) // 2), ScoreTable.from_arrays(y, p)
    smooth = calibkit.smooth_calibration_error
    calls["smooth, weighted"] = lambda: smooth(y, p, sample_weight=w)
    calls["smooth, of a table"] = lambda: smooth(table)
    return calls


def kernel(p: Any, y: Any) -> Calls:
    def test() -> float:
        return float(calibration_tests(y, p, tests=["kernel"], n_draws=200)[0]["p_value"])

    return {"value": lambda: calibkit.kernel_calibration_error(y, p), "test, 200 draws": test}


def curve(p: Any, y: Any, draws: int = 0) -> Calls:
    """The value is the mean frequency of the curve, or the mean width of the band."""
    settings = {"curve": "corp", "n_draws": draws, "random_state": 0}

    def ours() -> float:
        found = calibkit.reliability_curve(y, p, **settings)
        return float(np.mean(found.high - found.low if draws else found.frequency))

    calls: Calls = {"calibkit": ours}
    with suppress(ImportError):
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib.pyplot import subplots
        from model_diagnostics.calibration import (  # type: ignore[import-not-found]
            plot_reliability_diagram,
        )
        from sklearn.isotonic import IsotonicRegression

        axes = subplots()[1]

        def diagram() -> str:
            plot_reliability_diagram(y, p, n_bootstrap=draws or None, ax=axes)
            return "a drawing"

        calls["model-diagnostics"] = diagram
        if not draws:
            fit = IsotonicRegression(out_of_bounds="clip").fit
            calls["its fit alone"] = lambda: float(np.mean(fit(p, y).y_thresholds_))
    return calls


def band(p: Any, y: Any) -> Calls:
    return curve(p, y, draws=200)


def intervals(p: Any, y: Any) -> Calls:
    def ends(metric: str, given: dict[str, Any]) -> str:
        e = estimate(metric, y, p, random_state=0, **given)
        return f"{e.value:.5f} [{e.low:.5f}, {e.high:.5f}]"

    return {name: partial(ends, *args) for name, args in TESTS.items()}


#: The call of each contender on scores and labels, the numbers of rows, the laws, and the rounds.
TASKS: dict[str, tuple[Callable[[Any, Any], Calls], tuple[int, ...], tuple[str, ...], int]] = {
    "smooth": (smooth, (100_000, 1_000_000), ("calibrated", "slope"), 99),
    "values": (values, (1_000, 100_000, 1_000_000, 10_000_000), ("calibrated",), 1),
    "kernel": (kernel, (1_000_000,), ("calibrated",), 3),
    "curve": (curve, (100_000, 1_000_000), ("calibrated", "slope"), 99),
    "band": (band, (100_000,), ("calibrated", "slope"), 3),
    "estimate": (intervals, (1_000, 100_000, 1_000_000), ("calibrated", "slope"), 1),
}


def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
    cpu, wall = time.process_time(), time.perf_counter()
    value = call()
    return time.process_time() - cpu, time.perf_counter() - wall, value


def megabytes(call: Callable[[], Any]) -> float:
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return round(peak, 1)


def measure(task: str, n: int, law: str, rounds: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    p = rng.random(n)
    y = (rng.random(n) < LAWS[law](p)).astype(int)
    make, *_, most = TASKS[task]
    calls, rows = make(p, y), []
    taken: dict[str, list[tuple[float, float, Any]]] = {name: [] for name in calls}
    for i in range(min(rounds, most)):
        for name, call in calls.items():
            if i == 0 or taken[name][0][1] < SLOW:
                taken[name].append(timed(call))
    first = next(iter(taken.values()))
    for name, found in taken.items():
        cpu, wall = (float(np.median([t[i] for t in found])) for i in (0, 1))
        ratio = float(np.median([t[0] / f[0] for t, f in zip(found, first, strict=False)]))
        memory = megabytes(calls[name]) if cpu < SLOW else None
        rows.append({"task": task, "rows": n, "law": law, "name": name, "cpu": cpu, "wall": wall,
                     "ratio": ratio, "mb": memory, "value": found[0][2]})  # fmt: skip
    return rows


def show(results: dict[str, Any]) -> None:
    print(results["processor"])
    last = None
    for row in results["rows"]:
        head = f"{row['task']}, {row['rows']:,} rows, {row['law']}"
        if head != last:
            print(f"{head:45}{'cpu':>9}{'wall':>9}{'ratio':>8}{'MB':>8}  value")
        last, value = head, row["value"]
        text = f"{row['ratio']:8.1f}" if row["task"] in ("smooth", "curve", "band") else " " * 8
        memory = "" if row["mb"] is None else f"{row['mb']:.1f}"
        print(f"   {row['name']:42}{row['cpu']:9.4f}{row['wall']:9.4f}{text}{memory:>8}  "
              f"{value if isinstance(value, str) else format(value, '.6f')}")  # fmt: skip


def processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return "unknown processor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--show", action="store_true", help="print the stored results")
    parser.add_argument("--json", type=Path, help="store the results of these tasks in this file")
    given = parser.parse_args()
    if given.show:
        show(json.loads(RESULTS.read_text()))
        return
    warnings.simplefilter("ignore")
    rows: list[dict[str, Any]] = []
    if given.json and given.json.exists():
        kept = json.loads(given.json.read_text())["rows"]
        rows = [row for row in kept if row["task"] not in given.task]
    for task in given.task:
        for n in TASKS[task][1]:
            for law in TASKS[task][2]:
                found = measure(task, n, law, given.rounds)
                show({"processor": processor(), "rows": found})
                rows += found
    if given.json:
        lines = ",\n".join(map(json.dumps, rows))
        given.json.write_text(f'{{"processor": "{processor()}", "rows": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
