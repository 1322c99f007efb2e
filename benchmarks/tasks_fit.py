"""Tasks: fitting calibrators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import config
import numpy as np
from contest import Goal, Run, Task, floor, ours, short
from datasets import Binary, Multiclass, slices
from peers import PEERS
from scipy.special import expit

import calibkit

# -- temperature --------------------------------------------------------------------------------


def _log_softmax_pass(data: Multiclass) -> Run:
    """Floor: mean NLL at T = 1, in blocks of rows that stay in cache."""
    blocks = slices(len(data.y), max(1, config.BLOCK // data.logits.shape[1]))

    def run() -> None:
        total = 0.0
        for rows in blocks:
            z = data.logits[rows] - data.logits[rows].max(axis=1, keepdims=True)
            label = z[np.arange(len(z)), data.y[rows]]
            total += np.log(np.exp(z, out=z).sum(axis=1)).sum() - label.sum()

    return run


def _judge_temperature(data: Multiclass, t: float) -> tuple[float, str]:
    excess = float(data.moments(1.0 / t)[0]) - data.optimum[1]
    return excess, f"T {t:.6g}, excess NLL {excess:.2g}"


def _temperature(name: str, size: tuple[int, int, str], goals: tuple[Goal, ...]) -> Task:
    n, k, dtype = size
    model = calibkit.TemperatureCalibrator
    contenders = [
        ours(lambda d: lambda: model(scale="logit").fit(d.logits, d.y).temperature_),
        floor("one log-softmax pass, blocked", _log_softmax_pass),
        *PEERS["temperature"],
    ]
    return Task(
        name,
        f"temperature scaling fit, {n:,} x {k:,} {dtype} logits",
        lambda q: Multiclass.make(n // q, max(10, k // q), dtype),
        contenders,
        _judge_temperature,
        goals,
        config.TEMPERATURE_TOLERANCES,
        config.TEMPERATURE_OWN,
    )


def _temperature_tasks() -> list[Task]:
    n, k, dtype = config.TEMPERATURE_LARGE
    megabytes = n * k * np.dtype(dtype).itemsize / 1e6 * config.TEMPERATURE_LARGE_MEMORY
    large = (
        Goal("peer", config.TEMPERATURE_LARGE_PEER),
        Goal("floor", config.TEMPERATURE_LARGE_FLOOR),
        Goal("memory", megabytes),
    )
    small = (Goal("peer", config.TEMPERATURE_SMALL_PEER),)
    return [
        _temperature("temperature_large", config.TEMPERATURE_LARGE, large),
        _temperature("temperature_small", config.TEMPERATURE_SMALL, small),
    ]


# -- binary fits --------------------------------------------------------------------------------


def _logistic_pass(columns: Callable[[Binary], Run]) -> Callable[[Binary], Run]:
    """Floor: the columns, then one gradient and Hessian, in blocks that stay in cache."""

    def prepare(data: Binary) -> Run:
        make = columns(data)
        blocks = slices(len(data.y), config.BLOCK // 4)

        def run() -> None:
            for rows in blocks:
                x = make(rows)
                q = expit(sum(x))
                residual, curvature = q - data.y[rows], q * (1.0 - q)
                for column in x:
                    residual @ column
                    for other in x:
                        (curvature * column) @ other

        return run

    return prepare


def _fit(kind: str, model: Any, data: Binary) -> Run:
    def run() -> Run:
        fitted = model().fit(data.p, data.y)
        return lambda: fitted.predict_proba(data.p)[:, 1]

    return run


def _logistic(kind: str, model: Any, n: int, goal: float, columns: Callable[[Binary], Run]) -> Task:
    def judge(data: Binary, predict: Run) -> tuple[float, str]:
        excess = data.nll(np.asarray(predict(), float)) - getattr(data, f"{kind}_nll")
        return excess, f"excess NLL {excess:.2g}"

    return Task(
        f"{kind}_{short(n)}",
        f"{kind} fit, n = {n:,}",
        lambda q: Binary.make(n // q),
        [
            ours(lambda d: _fit(kind, model, d)),
            floor("one gradient and Hessian pass, blocked", _logistic_pass(columns)),
            *PEERS[kind],
        ],
        judge,
        (Goal("peer", goal),),
        config.LOGISTIC_TOLERANCES,
        config.LOGISTIC_OWN,
    )


def _logistic_tasks() -> list[Task]:
    def log_odds(data: Binary) -> Any:
        return lambda rows: [np.log(data.p[rows] / (1.0 - data.p[rows]))]

    def log_terms(data: Binary) -> Any:
        return lambda rows: [np.log(data.p[rows]), -np.log1p(-data.p[rows])]

    platt, beta = calibkit.PlattCalibrator, calibkit.BetaCalibrator
    return [
        *(_logistic("platt", platt, n, g, log_odds)
          for n, g in zip(config.FIT_ROWS, config.PLATT_PEER, strict=True)),
        *(_logistic("beta", beta, n, g, log_terms)
          for n, g in zip(config.FIT_ROWS, config.BETA_PEER, strict=True)),
    ]  # fmt: skip


def _isotonic_task() -> Task:
    def fit(data: Binary) -> Run:
        def run() -> Callable[[np.ndarray], np.ndarray]:
            model = calibkit.IsotonicCalibrator(min_probability=None).fit(data.p, data.y)
            return lambda rows: model.predict_proba(data.p[rows])[:, 1]

        return run

    def judge(data: Binary, predict: Callable[[np.ndarray], np.ndarray]) -> tuple[float, str]:
        rows, expected = data.isotonic
        error = float(np.abs(predict(rows) - expected).max())
        return error, f"max difference {error:.2g}"

    n = config.ISOTONIC_ROWS
    return Task(
        "isotonic",
        f"isotonic fit, n = {n:,} unsorted",
        lambda q: Binary.make(n // q),
        [ours(fit), floor("one np.sort", lambda d: lambda: np.sort(d.p)), *PEERS["isotonic"]],
        judge,
        (Goal("named", config.ISOTONIC_PEER, "sklearn IsotonicRegression.fit"),),
        config.ISOTONIC_TOLERANCES,
        config.ISOTONIC_OWN,
    )


def _auto(n: int, goal: float) -> Task:
    def judge(data: Binary, predict: Run) -> tuple[float, str]:
        excess = data.nll(np.asarray(predict(), float)) - data.platt_nll
        return excess, f"excess NLL over the right map {excess:.2g}"

    return Task(
        f"auto_{short(n)}",
        f"automatic calibration fit, n = {n:,}",
        lambda q: Binary.make(n // q),
        [
            ours(lambda d: _fit("auto", calibkit.AutoCalibrator, d)),
            floor("one np.sort", lambda d: lambda: np.sort(d.p)),
        ],
        judge,
        (Goal("floor", goal),),
        config.AUTO_TOLERANCES,
        config.AUTO_TOLERANCES[0],
    )


def _venn_abers_task() -> Task:
    def fit(data: Binary) -> Run:
        half = len(data.p) // 2

        def run() -> np.ndarray:
            model = calibkit.VennAbersCalibrator().fit(data.p[:half], data.y[:half])
            return model.predict_proba(data.p[half:])[:, 1]

        return run

    def judge(data: Binary, answer: np.ndarray) -> tuple[float, str]:
        """By isotonic regression with each of some rows added, once with either label."""
        from sklearn.isotonic import isotonic_regression

        half, error = len(data.p) // 2, 0.0
        order = np.argsort(data.p[:half])
        p, y = data.p[order], data.y[order].astype(float)
        for row in range(config.VENN_ABERS_POINTS):
            at = int(np.searchsorted(p, data.p[half + row]))
            p0, p1 = (isotonic_regression(np.insert(y, at, label))[at] for label in (0.0, 1.0))
            error = max(error, abs(float(answer[row]) - p1 / (1.0 - p0 + p1)))
        return error, f"max difference {error:.2g}"

    n = config.VENN_ABERS_ROWS
    return Task(
        "venn_abers",
        f"Venn-Abers, fit to {n:,} rows and predict {n:,}",
        lambda q: Binary.make(2 * n // q),
        [
            ours(fit),
            floor("one np.sort", lambda d: lambda: np.sort(d.p[: len(d.p) // 2])),
            *PEERS["venn_abers"],
        ],
        judge,
        (Goal("peer", config.VENN_ABERS_PEER),),
        config.ISOTONIC_TOLERANCES,
        config.ISOTONIC_TOLERANCES[0],
    )


FIT_TASKS = [
    *_temperature_tasks(),
    *_logistic_tasks(),
    _isotonic_task(),
    *(_auto(n, g) for n, g in zip(config.AUTO_ROWS, config.AUTO_FLOOR, strict=True)),
    _venn_abers_task(),
]
