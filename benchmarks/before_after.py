"""Compare the speed of calibkit with that of another checkout.

``git worktree add ../before REVISION; python benchmarks/before_after.py ../before`` runs the tasks
of speed.py with both versions, in turns in one process. It prints the median of time now / time
before.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import speed

#: Turns of each task, and the ratio that none may exceed.
TURNS = 21
MOST = 1.10
#: Modules that belong to one of the two checkouts: those of calibkit, and those that import it.
OWN = ("calibkit", "tasks")


def _is_own(module: str) -> bool:
    return module.split(".")[0].split("_")[0] in OWN


class Checkout:
    """The modules of calibkit, and of the tasks that use it, from one tree."""

    def __init__(self, tree: Path) -> None:
        self.tree, self.modules = str(tree.resolve()), {}
        with self.active():
            from tasks import TASKS

            import calibkit

            if not str(calibkit.__file__).startswith(self.tree):
                raise SystemExit(f"{tree} contains no package calibkit; pass a checkout of it")
            self.tasks = TASKS

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make all imports, also those inside functions, use this tree."""
        outside = {n: sys.modules.pop(n) for n in list(sys.modules) if _is_own(n)}
        sys.modules.update(self.modules)
        own = [str(Path(self.tree) / "benchmarks"), self.tree]
        sys.path[:0] = own
        os.environ["PYTHONPATH"] = self.tree  # for fresh interpreters
        try:
            yield
        finally:
            del sys.path[: len(own)]
            self.modules = {n: sys.modules.pop(n) for n in list(sys.modules) if _is_own(n)}
            sys.modules.update(outside)

    def entry(self, name: str, data: Any) -> speed.Entry:
        with self.active():
            own = next(c for c in self.tasks[name].contenders if c.role == "calibkit")
            return speed.Entry(own, data)

    def turn(self, entry: speed.Entry) -> float:
        with self.active():
            entry.turn()
        return entry.result.times[-1]


def ratio(name: str, before: Checkout, after: Checkout, divisor: int) -> float:
    """Median over turns of the time after as a multiple of that before; NaN if there was none."""
    speed._settle_allocator()
    with after.active():
        data = after.tasks[name].make(divisor)
    now = after.entry(name, data)
    try:
        entries = before.entry(name, data), now
    except TypeError:  # the other checkout cannot do this task
        return math.nan
    for entry in entries:
        entry.loops = max(e.loops for e in entries)
    seconds = max(e.first for e in entries)
    found = []
    for turn in range(max(3, min(TURNS, math.ceil(30 / seconds)))):
        order = (0, 1) if turn % 2 else (1, 0)
        took = {i: (before, after)[i].turn(entries[i]) for i in order}
        found.append(took[1] / took[0])
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="a checkout of the code to compare with")
    parser.add_argument(
        "--task", nargs="+", metavar="NAME", default=[""], help="tasks whose names begin with these"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    options = parser.parse_args()
    before, after = Checkout(options.before), Checkout(Path(__file__).parents[1])
    slower = []
    for name in after.tasks:
        if name in before.tasks and name.startswith(tuple(options.task)):
            value = ratio(name, before, after, speed.config.QUICK_DIVISOR if options.quick else 1)
            slower += [name] * (value > MOST)
            print(f"{name:24} {value:.3f}", flush=True)
    print(f"slower than {MOST:g} times: {', '.join(slower) or 'none'}")


if __name__ == "__main__":
    main()
