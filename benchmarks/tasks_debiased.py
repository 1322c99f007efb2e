"""Tasks: debiased calibration errors, and an interval of the ECE."""

from __future__ import annotations

import config
import numpy as np
from contest import Contender, Goal, Run, Task, floor, ours, short
from datasets import Binary
from peers_debiased import PEERS
from tasks_metrics import bincount_pass, row_resamples

import calibkit

# -- debiased errors ----------------------------------------------------------------------------


def _debiased(norm: str, n: int, goal: float | None) -> Task:
    def error(debias: str) -> object:
        def prepare(data: Binary) -> Run:
            settings = {"norm": norm, "n_bins": config.N_BINS, "debias": debias}
            return lambda: calibkit.calibration_error(data.y, data.p, **settings)

        return prepare

    def judge(data: Binary, value: float) -> tuple[float, str]:
        off = abs(value - getattr(data, f"debiased_{norm}"))
        return off, f"error {value:.7g}, off by {off:.2g}"

    return Task(
        f"debiased_{norm}_{short(n)}",
        f"debiased {norm} calibration error, {config.N_BINS} equal-mass bins, n = {n:,}",
        lambda q: Binary.make(n // q),
        [
            ours(error("labels")),
            Contender("calibkit, debias='differences'", "baseline", error("differences")),
            floor("one np.sort", lambda d: lambda: np.sort(d.p)),
            *PEERS[f"debiased_{norm}"],
        ],
        judge,
        () if goal is None else (Goal("peer", goal),),
        config.DEBIASED_TOLERANCES[norm],
        config.DEBIASED_OWN,
    )


# -- an interval --------------------------------------------------------------------------------


def _interval() -> Task:
    def estimate(data: Binary) -> Run:
        def run() -> tuple[float, float, float, int]:
            e = calibkit.estimate(
                "calibration_error",
                data.y,
                data.p,
                norm="l1",
                strategy="uniform",
                n_bins=config.N_BINS,
                level=config.LEVEL,
                random_state=0,
            )
            return e.value, e.low, e.high, e.n

        return run

    def judge(data: Binary, answer: tuple[float, float, float, int]) -> tuple[float, str]:
        value, low, high, rows = answer
        off = (high - low) * np.sqrt(rows) / data.bootstrap_width - 1
        covers = "covers" if low <= data.ece_true <= high else "misses"
        note = f"{value:.5f} [{low:.5f}, {high:.5f}], width {off:+.1%}, {covers} the true value"
        return abs(off), note

    n = config.INTERVAL_ROWS
    return Task(
        "interval",
        f"{config.LEVEL:.0%} interval of the ECE, {config.N_BINS} equal-width bins, n = {n:,}",
        lambda q: Binary.make(n // q),
        [
            ours(estimate),
            floor("index and bincount, blocked", bincount_pass),
            row_resamples(),
            *PEERS["interval"],
        ],
        judge,
        (Goal("peer", config.INTERVAL_PEER),),
        config.INTERVAL_TOLERANCES,
        config.INTERVAL_OWN,
    )


DEBIASED_TASKS = [
    *(
        _debiased(norm, n, goal)
        for norm in ("l2", "l1")
        for n, goal in zip(config.DEBIASED_ROWS, config.DEBIASED_PEER[norm], strict=True)
    ),
    _interval(),
]
