"""All tasks by name; defines the tasks of predict_proba and of the import."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import config
import numpy as np
from contest import Contender, Goal, Run, Task, floor, ours
from datasets import Binary
from scipy.special import expit
from tasks_binning import BINNING_TASKS
from tasks_debiased import DEBIASED_TASKS
from tasks_fit import FIT_TASKS
from tasks_metrics import METRIC_TASKS
from tasks_online import ONLINE_TASKS

from calibkit._registry import make_calibrator, names_without, needs_calibrator


def _predict_task(name: str) -> Task:
    """Time predict_proba of one calibrator; the floor is the cheapest map of the same scores."""

    def fitted(data: Binary) -> Any:
        inner = {"calibrator": make_calibrator("platt")} if needs_calibrator(name) else {}
        return make_calibrator(name, **inner).fit(data.p, data.y)

    def predict(data: Binary) -> Run:
        model = fitted(data)
        return lambda: model.predict_proba(data.p)

    def search(data: Binary) -> Run:
        model = fitted(data)
        return lambda: np.searchsorted(model.x_, data.p)

    def judge(data: Binary, answer: np.ndarray) -> tuple[float, str]:
        few = fitted(data).predict_proba(data.p[:1000])
        error = float(max(np.abs(answer[:1000] - few).max(), np.abs(answer.sum(axis=1) - 1).max()))
        return error, f"largest error of row sums and of single rows: {error:.2g}"

    n = config.PREDICT_ROWS
    cheapest = (
        floor("np.searchsorted into its thresholds", search)
        if name == "isotonic"
        else floor("scipy.special.expit", lambda d: lambda: expit(d.z))
    )
    return Task(
        f"predict_{name}",
        f"predict_proba of {name}, n = {n:,}",
        lambda q: Binary.make(n // q),
        [ours(predict), cheapest],
        judge,
        (Goal("floor", config.PREDICT_AUTO_FLOOR if name == "auto" else config.PREDICT_FLOOR),),
        own=config.PREDICT_OWN,
    )


def _import(module: str) -> Callable[[Any], Run]:
    """Cumulative time of an import in a fresh interpreter, as ``-X importtime`` counts it."""
    line = re.compile(r"import time:\s*\d+ \|\s*(\d+) \|( *)(\S+)")

    def prepare(_: Any) -> Run:
        def run() -> tuple[float, str]:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stderr
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found = [line.match(row).groups() for row in text.splitlines() if line.match(row)]
            start = [name for _, _, name in found].index("site") + 1
            micro = sum(int(t) for t, indent, _ in found[start:] if len(indent) == 1)
            cpu = sum(getattr(after, f) - getattr(before, f) for f in ("ru_utime", "ru_stime"))
            return micro / 1e6, f"{len(found):,} modules, {cpu:.2f} s CPU of the process"

        return run

    return prepare


def _import_task() -> Task:
    def contender(name: str, role: str) -> Contender:
        return Contender(name, role, _import(name), self_timed=True)

    names = ("sklearn.calibration", "relplot", "calibration", "calibre", "netcal.scaling")
    return Task(
        "import_time",
        "import in a fresh interpreter, -X importtime (wall)",
        lambda q: None,
        [contender("calibkit", "calibkit"), contender("scipy.optimize", "floor")]
        + [contender(name, "peer") for name in names],
        lambda data, answer: (0.0, answer),
        memory=False,
    )


TASKS: dict[str, Task] = {
    t.name: t
    for t in [
        *FIT_TASKS,
        *BINNING_TASKS,
        *METRIC_TASKS,
        *DEBIASED_TASKS,
        *ONLINE_TASKS,
        *map(_predict_task, names_without("lift", "borrows")),
        _import_task(),
    ]
}
