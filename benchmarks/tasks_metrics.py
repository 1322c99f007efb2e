"""Tasks: calibration errors and their uncertainty."""

from __future__ import annotations

from typing import Any

import config
import numpy as np
from contest import Contender, Goal, Run, Task, floor, ours, short
from datasets import Binary, Multiclass, slices
from peers_metrics import PEERS

import calibkit

BORDERS = np.arange(1, config.N_BINS) / config.N_BINS


# -- calibration errors -------------------------------------------------------------------------


def bincount_pass(data: Binary) -> Run:
    """Equal-width ECE without checks: one index and one weighted bincount for each block."""
    blocks = slices(len(data.y), config.BLOCK)

    def run() -> float:
        gaps = np.zeros(config.N_BINS + 1)
        for rows in blocks:
            index = (data.p[rows] * config.N_BINS).astype(np.intp)
            gaps += np.bincount(index, data.p[rows] - data.y[rows], minlength=len(gaps))
        return float(np.abs(gaps).sum() / len(data.y))

    return run


def _top_label_pass(data: Multiclass) -> Run:
    def run() -> float:
        winners = data.probs.argmax(axis=1)
        confidence = data.probs[np.arange(len(winners)), winners].astype(np.float64)
        gap = confidence - (winners == data.y)
        sums = np.bincount((confidence * config.N_BINS).astype(np.intp), gap)
        return float(np.abs(sums).sum() / len(winners))

    return run


def _ece(kind: str, n: int, goals: tuple[Goal, ...], own: Contender, cheapest: Contender) -> Task:
    def judge(data: Any, value: float) -> tuple[float, str]:
        error = abs(value - getattr(data, kind))
        return error, f"ECE {value:.7g}, error {error:.2g}"

    top = kind == "top_label_ece"
    rows, k, dtype = config.TEMPERATURE_LARGE
    return Task(
        "ece_top_label" if top else f"{kind}_{short(n)}",
        f"top-label ECE, {rows:,} x {k:,} {dtype}" if top else f"{kind}, n = {n:,}",
        (lambda q: Multiclass.make(rows // q, max(10, k // q), dtype))
        if top
        else (lambda q: Binary.make(n // q)),
        [own, cheapest, *PEERS["ece_top_label" if top else kind]],
        judge,
        goals,
        config.ECE_TOLERANCES,
        config.ECE_OWN,
    )


def _ece_tasks() -> list[Task]:
    ece, error = calibkit.expected_calibration_error, calibkit.calibration_error
    plug_in = {"norm": "l1", "strategy": "quantile", "n_bins": config.N_BINS, "debias": False}
    uniform = ours(lambda d: lambda: ece(d.y, d.p, n_bins=config.N_BINS))
    quantile = ours(lambda d: lambda: error(d.y, d.p, **plug_in))
    top = ours(lambda d: (lambda p: lambda: ece(d.y, p, n_bins=config.N_BINS))(d.probs))
    width_goals = (
        Goal("floor", config.ECE_UNIFORM_FLOOR),
        Goal("named", config.ECE_UNIFORM_PEER, "relplot binnedECE"),
    )
    mass_goals = Goal("floor", config.ECE_QUANTILE_FLOOR), Goal("peer", config.ECE_QUANTILE_PEER)
    bincount = floor("index and bincount, blocked", bincount_pass)
    sort = floor("one np.sort", lambda d: lambda: np.sort(d.p))
    argmax = floor("argmax over the rows, then one bincount", _top_label_pass)
    return [
        *(_ece("ece_uniform", n, width_goals, uniform, bincount) for n in config.METRIC_ROWS),
        *(_ece("ece_quantile", n, mass_goals, quantile, sort) for n in config.METRIC_ROWS),
        _ece("top_label_ece", 0, (Goal("floor", config.ECE_TOP_LABEL_FLOOR),), top, argmax),
    ]


# -- the bootstrap ------------------------------------------------------------------------------


def row_resamples() -> Contender:
    """calibkit's ECE on resampled rows: a part of the N_RESAMPLES passes."""
    ece = calibkit.expected_calibration_error

    def prepare(data: Binary) -> Run:
        def run() -> None:
            rng = np.random.default_rng(0)
            for _ in range(config.ROW_RESAMPLES):
                i = rng.integers(len(data.y), size=len(data.y))
                ece(data.y[i], data.p[i], n_bins=config.N_BINS)

        return run

    factor = config.N_RESAMPLES / config.ROW_RESAMPLES
    name = f"resampling rows ({config.ROW_RESAMPLES} draws, x {factor:g})"
    return Contender(name, "baseline", prepare, scale=factor)


def _bootstrap_task() -> Task:
    ece, n = calibkit.expected_calibration_error, config.BOOTSTRAP_ROWS

    def estimate(data: Binary) -> Run:
        def run() -> tuple[float, float, float, int]:
            e = calibkit.estimate(
                ece,
                data.y,
                data.p,
                level=config.LEVEL,
                n_resamples=config.N_RESAMPLES,
                random_state=0,
            )
            return e.value, e.low, e.high, e.n

        return run

    def table_and_draws(data: Binary) -> Run:
        cells = calibkit.ScoreTable.from_arrays(data.y, data.p)
        cells = cells.coarsen(config.BOOTSTRAP_CELLS, borders=BORDERS)
        counts = np.concatenate((cells.wy, cells.w - cells.wy))

        def run() -> None:
            calibkit.ScoreTable.from_arrays(data.y, data.p)
            rng = np.random.default_rng(0)
            rng.multinomial(len(data.y), counts / counts.sum(), size=config.N_RESAMPLES)

        return run

    def judge(data: Binary, answer: tuple[float, float, float, int]) -> tuple[float, str]:
        value, low, high, rows = answer
        width = (high - low) * np.sqrt(rows)
        error = abs(width / data.bootstrap_width - 1)
        return error, f"ECE {value:.5f} [{low:.5f}, {high:.5f}], width off by {error:.1%}"

    rows = row_resamples()
    return Task(
        "bootstrap",
        f"ECE with an interval and null band, {config.N_RESAMPLES:,} draws, n = {n:,}",
        lambda q: Binary.make(n // q),
        [
            ours(estimate),
            floor("build the table, multinomial draws on its cells", table_and_draws),
            rows,
            *PEERS["bootstrap"],
        ],
        judge,
        (
            Goal("floor", config.BOOTSTRAP_FLOOR),
            Goal("named", config.BOOTSTRAP_ROW_RATIO, rows.name),
        ),
        config.BOOTSTRAP_TOLERANCES,
        config.BOOTSTRAP_OWN,
    )


# -- comparisons --------------------------------------------------------------------------------


def _models(divisor: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels, and the scores of five models."""
    data = Binary.make(config.COMPARE_ROWS // divisor)
    rng = np.random.default_rng(config.SEED)
    noise = 0.2 * rng.standard_normal((5, len(data.y)))
    z = data.z + noise
    return data.y, {f"model {i}": 1.0 / (1.0 + np.exp(-a)) for i, a in enumerate(z)}


def _compare_task(name: str) -> Task:
    """Time five models against the best; the floor is the metric of each."""
    metric = getattr(calibkit, name)

    def judge(data: Any, found: Any) -> tuple[float, str]:
        y, models = data
        error = max(abs(found.values[k] - metric(y, p)) for k, p in models.items())
        return error, f"values off by {error:.2g}"

    return Task(
        f"compare_{name}",
        f"compare, five models against the best, {name}, n = {config.COMPARE_ROWS:,}",
        _models,
        [
            ours(lambda d: lambda: calibkit.compare(name, *d)),
            floor(
                "the metric of each model",
                lambda d: lambda: [metric(d[0], p) for p in d[1].values()],
            ),
        ],
        judge,
        (Goal("floor", config.COMPARE_FLOOR),),
        own=config.COMPARE_OWN,
    )


_COMPARED = ("brier_score", "log_loss", "roc_auc", "calibration_error")

METRIC_TASKS = [*_ece_tasks(), _bootstrap_task(), *map(_compare_task, _COMPARED)]
