"""Time per step of calibkit's online calibrators, a stand-in for the authors' loop, and river."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np

from calibkit._numerics import jit
from calibkit.online import (
    AdaptivePlattCalibrator,
    HedgingCalibrator,
    OnlinePlattCalibrator,
    TrackingCalibrator,
)

STEPS, REPEATS = 1_000_000, 5
#: Fewer steps for the stand-in and the loops over single rows, which are slow.
SLOW_STEPS, SLOW_REPEATS = 100_000, 3
SLOWEST_STEPS = 5_000


def stream(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of an over-confident model whose bias drifts, and labels."""
    rng = np.random.default_rng(0)
    z = rng.normal(0.0, 2.0, n)
    truth = 1 / (1 + np.exp(-(0.6 * z + np.linspace(-1.0, 1.0, n))))
    return z, (rng.random(n) < truth).astype(np.int64)


def stand_in(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Our own loop of the operations that the authors' code makes in each step.

    NumPy calls on arrays of two: gradient, inverse by Sherman and Morrison, matrix, step. Their
    code cannot be shipped here; ``AUTHORS_SECONDS`` has its time.
    """

    def sigmoid(t: Any) -> Any:
        return 1 / (1 + np.exp(-np.minimum(np.maximum(t, -1e2), 1e2)))

    n = len(z)
    a, b, q = np.zeros(n), np.zeros(n), np.zeros(n)
    a[0], q[0] = 1.0, sigmoid(z[0])
    matrix, inverse = 100.0 * np.eye(2), 0.01 * np.eye(2)
    for t in range(n - 1):
        slope = sigmoid(z[t] * a[t] + b[t])
        if y[t] == 1:
            slope = slope - 1
        g = slope * np.array([z[t], 1])
        change = np.outer(inverse @ g, g.T @ inverse) / (1 + g.T @ inverse @ g)
        inverse = inverse - change
        matrix = matrix + np.outer(g, g)
        step = -10.0 * (inverse @ g)
        a[t + 1], b[t + 1] = a[t] + step[0], b[t] + step[1]
        if a[t + 1] ** 2 + b[t + 1] ** 2 > 1e4:
            raise AssertionError("never projected on this stream")
        q[t + 1] = sigmoid(a[t + 1] * z[t + 1] + b[t + 1])
    return q


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = process_time()
        call()
        times.append(process_time() - start)
    return float(np.median(times))


def makers() -> dict[str, Callable[[], Any]]:
    return {
        "OPS": lambda: OnlinePlattCalibrator(scale="logit"),
        "TOPS": lambda: TrackingCalibrator(OnlinePlattCalibrator(scale="logit"), smoothing=0),
        "HOPS": lambda: HedgingCalibrator(OnlinePlattCalibrator(scale="logit"), random_state=0),
        "adaptive": lambda: AdaptivePlattCalibrator(scale="logit"),
    }


class plainly:
    """Run without Numba, even if it is installed."""

    def __enter__(self) -> None:
        self.kept, jit._available = jit._available, lambda: False  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        jit._available = self.kept


def whole_streams(steps: int, repeats: int) -> dict[str, dict[str, float]]:
    """Microseconds per step of ``predict_then_update`` on a stream, plain and with Numba."""
    z, y = stream(steps)
    out: dict[str, dict[str, float]] = {name: {} for name in makers()}
    modes = ["plain"] + ["numba"] * jit._available()
    for mode in modes:
        for name, make in makers().items():

            def call(make: Callable[[], Any] = make) -> object:
                return make().predict_then_update(z, y)

            if mode == "plain":
                with plainly():
                    out[name][mode] = median_seconds(call, max(1, repeats // 2)) / steps * 1e6
            else:
                call()  # compiles
                out[name][mode] = median_seconds(call, repeats) / steps * 1e6
    return out


def check_stand_in(steps: int) -> float:
    """Largest difference between the stand-in and calibkit."""
    z, y = stream(steps)
    ours = makers()["OPS"]().predict_then_update(z, y)[:, 1]
    return float(np.abs(ours - stand_in(z, y)).max())


def stand_in_time(steps: int, repeats: int) -> float:
    z, y = stream(steps)
    return median_seconds(lambda: stand_in(z, y), repeats) / steps * 1e6


def one_by_one(steps: int, repeats: int) -> dict[str, float | str]:
    """Microseconds per step of ``predict_proba_one`` and ``learn_one``, for calibkit and river."""
    out: dict[str, float | str] = {}
    z, y = (a.tolist() for a in stream(steps))
    p = (1 / (1 + np.exp(-np.array(z)))).tolist()
    few = max(1, SLOWEST_STEPS * steps // SLOW_STEPS)

    def loop(make: Callable[[], Any], x: list[float], n: int) -> float:
        def call() -> None:
            model = make()
            for s, label in zip(x[:n], y[:n], strict=True):
                model.predict_proba_one(s)
                model.learn_one(s, label)

        return median_seconds(call, repeats) / n * 1e6

    out["OPS, probabilities"] = loop(OnlinePlattCalibrator, p, steps)
    for name, make in makers().items():
        out[f"{name}, log-odds"] = loop(make, z, steps if name == "OPS" else few)
    try:
        from river.linear_model import LogisticRegression
        from river.optim import SGD
    except ImportError as error:
        out["river LogisticRegression"] = f"skipped: {error}"
        return out

    def river() -> None:
        model = LogisticRegression(SGD(0.01))
        for s, label in zip(z, y, strict=True):
            x = {"z": s}
            model.predict_proba_one(x)
            model.learn_one(x, label)

    out["river LogisticRegression"] = median_seconds(river, repeats) / steps * 1e6
    return out
