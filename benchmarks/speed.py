"""Compare the speed of calibkit with its peers and with floors: see README.md."""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import math
import os
import platform
import statistics
import time
import tracemalloc
import warnings
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import config

# Set before NumPy is loaded: thread pools read these when they are loaded.
for _name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA"):
    os.environ[f"{_name}_NUM_THREADS"] = str(config.THREADS)

if TYPE_CHECKING:
    from contest import Contender, Goal, Task

PACKAGES = [
    "calibkit",
    "numpy",
    "scipy",
    "scikit-learn",
    "netcal",
    "probmetrics",
    "calibre",
    "betacal",
    "venn-abers",
    "uncertainty-calibration",
    "relplot",
    "torchmetrics",
    "torch",
    "numba",
]


@dataclass
class Result:
    """The result of one contender."""

    name: str
    role: str
    times: list[float] = field(default_factory=list)
    error: float = math.inf
    note: str = ""
    megabytes: float | None = None
    failure: str | None = None
    right: bool = False

    @property
    def seconds(self) -> float:
        return statistics.median(self.times)


class Entry:
    """A contender in a run: prepared, timed in turns, judged on its first answer."""

    def __init__(self, contender: Contender, data: Any) -> None:
        self.contender, self.result = contender, Result(contender.name, contender.role)
        self.run = _quietly(contender.prepare, data)
        self.loops = 1
        self.first, self.answer = self._time()
        short = max(self.first / contender.scale, 1e-6)
        self.slow = self.first / contender.scale > config.REPEATS[-1][0]
        if not contender.self_timed:
            self.loops = max(1, math.ceil(config.MIN_TIMING / short))
        if self.slow:
            self.result.times.append(self.first)

    def _time(self) -> tuple[float, Any]:
        gc.collect()
        if self.contender.self_timed:
            return self.run()
        answer, loops, run = None, range(self.loops), self.run
        with _silence():
            start = time.process_time()
            for _ in loops:
                answer = run()
            end = time.process_time()
        return (end - start) / self.loops * self.contender.scale, answer

    def turn(self) -> None:
        self.result.times.append(self._time()[0])

    def repeats(self, quick: bool) -> int:
        if self.contender.self_timed:
            return config.IMPORT_REPEATS
        seconds = self.first / self.contender.scale
        runs = next((n for limit, n in config.REPEATS if seconds < limit), config.SLOW_REPEATS)
        return min(runs, config.QUICK_REPEATS) if quick else runs

    def measure_memory(self) -> None:
        """Measure the peak memory of Python and NumPy in a separate run (not that of torch)."""
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            with _silence():
                self.run()
            self.result.megabytes = (tracemalloc.get_traced_memory()[1] - before) / 1e6
        finally:
            tracemalloc.stop()


@contextlib.contextmanager
def _silence() -> Any:
    """Hide warnings, progress bars and prints of the peers."""
    out = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        warnings.simplefilter("ignore")
        yield


def _quietly(function: Any, *arguments: Any) -> Any:
    with _silence():
        return function(*arguments)


def _settle_allocator() -> None:
    """Bring the malloc of glibc into one state.

    After a block of up to 32 MB is freed, malloc keeps later blocks of that size. Temporary arrays
    then cost no page faults, as in a process that has run for a while. This favors contenders with
    large temporary arrays.
    """
    bytearray(31 << 20)


def run_task(task: Task, quick: bool) -> list[Result]:
    """Run all contenders of a task in turns."""
    _settle_allocator()
    data = task.make(config.QUICK_DIVISOR if quick else 1)
    entries, results = [], []
    for contender in task.contenders:
        try:
            entry = Entry(contender, data)
            if contender.role in ("calibkit", "peer"):
                entry.result.error, entry.result.note = _quietly(task.judge, data, entry.answer)
            entry.answer = None
            entries.append(entry)
            results.append(entry.result)
        except Exception as error:  # a peer may fail in any way; the reason is printed
            if contender.role != "peer":
                raise
            reason = f"{type(error).__name__}: {error}".strip().splitlines()[0][:150]
            results.append(Result(contender.name, contender.role, failure=reason))
    for turn in range(max(e.repeats(quick) for e in entries)):
        for entry in entries:
            if turn < entry.repeats(quick):
                entry.turn()
    if task.memory and not quick:
        for entry in entries:
            if not entry.slow or entry.contender.role == "calibkit":
                entry.measure_memory()
    return results


def tolerance(task: Task, results: list[Result]) -> float:
    """The strictest tolerance of the task that a peer reaches."""
    errors = [r.error for r in results if r.role == "peer" and not r.failure]
    return next((t for t in task.tolerances if min(errors, default=0.0) <= t), task.tolerances[-1])


def compare(task: Task, results: list[Result]) -> dict[str, Any]:
    """Ratios of calibkit to the fastest right peer and to the floor, and which goals are met."""
    limit = tolerance(task, results)
    for r in results:
        r.right = not r.failure and r.error <= (task.own if r.role == "calibkit" else limit)
    own = next(r for r in results if r.role == "calibkit")
    floors = [r for r in results if r.role == "floor"]
    peers = [r for r in results if r.role == "peer" and r.right]
    fastest = min(peers, key=lambda r: r.seconds, default=None)
    judged = [r for r in results if r.role == "peer" and not r.failure]
    nearly = [r for r in judged if r.error <= task.tolerances[-1]]
    loose = min(nearly, key=lambda r: r.seconds, default=None)
    found = {
        "tolerance": limit,
        "fastest": fastest.name if fastest else None,
        "peer": fastest.seconds / own.seconds if fastest else None,
        "fastest_nearly_right": loose.name if loose else None,
        "peer_nearly_right": loose.seconds / own.seconds if loose else None,
        "floor": own.seconds / floors[0].seconds if floors else None,
        "memory": own.megabytes,
        "right": own.right,
        "skipped": [r.name for r in results if r.failure],
    }
    found["goals"] = [_reached(g, found, own, results) for g in task.goals]
    return found


def _reached(goal: Goal, found: dict[str, Any], own: Result, results: list[Result]) -> Any:
    """(goal, value reached, verdict); the verdict is None where it could not be measured."""
    if goal.kind == "named":
        named = [r for r in results if r.name == goal.name and not r.failure]
        value = named[0].seconds / own.seconds if named else None
    else:
        value = found[goal.kind]
    if value is None:
        return str(goal), None, None
    least = goal.kind in ("peer", "named")
    return str(goal), value, value >= goal.value if least else value <= goal.value


# -- print --------------------------------------------------------------------------------------


def _duration(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _cell(value: float | None, form: str = ".3g") -> str:
    return "" if value is None else format(value, form)


def table(results: list[Result], found: dict[str, Any]) -> str:
    """A task's results as Markdown, fastest first."""
    run = sorted((r for r in results if not r.failure), key=lambda r: (r.role, r.seconds))
    best = next((r.seconds for r in run if r.name == found["fastest"]), None)
    base = next((r.seconds for r in results if r.role == "floor"), None)
    lines = [
        "| contender | CPU median | runs | x fastest right peer | x floor | peak MB | quality |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in run:
        off = " (**off**)" if not r.right and r.role in ("peer", "calibkit") else ""
        name = f"**{r.name}**" if r.role == "calibkit" or r.name == found["fastest"] else r.name
        cells = [
            name,
            _duration(r.seconds),
            str(len(r.times)),
            _cell(r.seconds / best if best else None),
            _cell(r.seconds / base if base else None),
            _cell(r.megabytes),
            r.note + off,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"\nskipped: {r.name}: {r.failure}" for r in results if r.failure]
    return "\n".join(lines)


def verdict(task: Task, found: dict[str, Any]) -> str:
    """The last line of a task."""
    parts = []
    if found["peer"] is not None:
        parts.append(
            f"{found['peer']:.2f} x faster than the fastest peer that is right ({found['fastest']})"
        )
    if found["fastest_nearly_right"] != found["fastest"]:
        parts.append(
            f"{found['peer_nearly_right']:.2f} x faster than the fastest peer right to "
            f"{task.tolerances[-1]:g} ({found['fastest_nearly_right']})"
        )
    if found["skipped"]:
        parts.append(f"NOT compared with {', '.join(found['skipped'])}")
    if found["floor"] is not None:
        parts.append(f"{found['floor']:.2f} x the floor")
    goals = []
    for text, value, met in found["goals"]:
        state = "not measured" if met is None else f"{value:.3g}: {'ok' if met else 'MISSED'}"
        goals.append(f"{text} ({state})")
    quality = "right" if found["right"] else f"WRONG (limit {task.own:g})"
    met = all(m is not False for _, _, m in found["goals"]) and found["right"]
    relaxed = "" if found["tolerance"] == task.tolerances[0] else (
        f" [no peer reaches {task.tolerances[0]:g}; peers count as right at {found['tolerance']:g}]"
    )  # fmt: skip
    aims = "; ".join(goals) or "none"
    return (
        f"{task.name}: calibkit: {'; '.join(parts)}{relaxed}; {quality}; goals: {aims}; "
        f"{'ok' if met else 'MISSED'}"
    )


def environment() -> dict[str, Any]:
    """Versions and machine of the run."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "threads": config.THREADS,
        "versions": versions,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--task", nargs="+", metavar="NAME", help="tasks whose names begin with these"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, few repeats")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write all results to this file"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the tasks")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    from tasks import TASKS

    chosen = [
        t for t in TASKS.values() if not options.task or t.name.startswith(tuple(options.task))
    ]
    if not chosen:
        raise SystemExit(f"no task begins with {options.task}; there are {', '.join(TASKS)}")
    if options.list:
        print("\n".join(f"{t.name:20} {t.title}" for t in chosen))
        return
    facts: dict[str, Any] = {"environment": environment(), "quick": options.quick, "tasks": {}}
    print(json.dumps(facts["environment"]))
    if options.quick:
        print("quick: small data and few repeats; the goals are set for the full run")
    lines = []
    for task in chosen:
        results = run_task(task, options.quick)
        found = compare(task, results)
        lines.append(verdict(task, found))
        print(
            f"\n## {task.name}: {task.title}\n\n{table(results, found)}\n\n{lines[-1]}", flush=True
        )
        facts["tasks"][task.name] = {**found, "results": [vars(r) for r in results]}
        if options.json:
            options.json.write_text(json.dumps(facts, indent=1, default=float))
    print("\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
