"""Tasks: binning calibrators, fitted on equal-mass bins; they predict equally many new rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import config
import numpy as np
from contest import Contender, Goal, Run, Task, floor, ours
from datasets import Split, slices
from peers_binning import PEERS
from scipy.special import expit

import calibkit


def _fit_and_predict(make: Callable[[int], Any]) -> Contender:
    def prepare(data: Split) -> Run:
        def run() -> Run:
            model = make(data.n_bins).fit(data.fit.p, data.fit.y)
            q = model.predict_proba(data.new.p)
            return lambda: q[:, 1]

        return run

    return ours(prepare)


def _sort(data: Split) -> Run:
    return lambda: np.sort(data.fit.p)


def _logistic_pass_and_sort(data: Split) -> Run:
    """One gradient of a logistic fit, in blocks, and a sort."""
    blocks = slices(len(data.fit.y), config.BLOCK // 4)

    def run() -> None:
        for rows in blocks:
            p = data.fit.p[rows]
            z = np.log(p / (1.0 - p))
            (expit(z) - data.fit.y[rows]) @ z
        np.sort(data.fit.p)

    return run


def _task(kind: str, title: str, n_bins: int, own: Contender, cheapest: Contender, goal: float):
    def judge(data: Split, predict: Run) -> tuple[float, str]:
        q, exact = np.asarray(predict(), float), getattr(data, kind)
        rms = data.rms(q)
        moved = np.mean(np.abs(q - exact) > 1e-9)
        return rms / data.rms(
            exact
        ) - 1, f"rms to true probabilities {rms:.6g}, share of rows that differ {moved:.2g}"

    n = config.BINNING_ROWS
    return Task(
        f"{kind}_{n_bins}",
        f"{title}, {n_bins} equal-mass bins, fit on {n:,} + predict {n:,}",
        lambda q: Split.make(n // q, n_bins),
        [own, cheapest, *PEERS[kind]],
        judge,
        (Goal("peer", goal),),
        config.BINNING_TOLERANCES,
        config.BINNING_OWN,
    )


def _tasks() -> list[Task]:
    platt = calibkit.PlattCalibrator
    histogram = _fit_and_predict(
        lambda b: calibkit.HistogramBinningCalibrator(n_bins=b, smoothing=0)
    )
    scaled = _fit_and_predict(lambda b: calibkit.ScalingBinningCalibrator(platt(), n_bins=b))
    sort = floor("one np.sort", _sort)
    both = floor("logit and one gradient pass, blocked, one np.sort", _logistic_pass_and_sort)
    bins = config.BINNING_BINS
    return [
        *(_task("histogram", "histogram binning", b, histogram, sort, goal)
          for b, goal in zip(bins, config.HISTOGRAM_PEER, strict=True)),
        *(_task("scaling_binning", "Platt scaling, then bins", b, scaled, both, goal)
          for b, goal in zip(bins, config.SCALING_BINNING_PEER, strict=True)),
    ]  # fmt: skip


BINNING_TASKS = _tasks()
