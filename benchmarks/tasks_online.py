"""Tasks: online Platt scaling, of a whole stream and row by row."""

from __future__ import annotations

from typing import Any

import config
import numpy as np
from contest import Goal, Run, Task, floor, ours
from online_speed import stream
from peers import PEERS, peer

from calibkit._numerics.ons import platt_stream
from calibkit.online import OnlinePlattCalibrator

Stream = tuple[np.ndarray, np.ndarray]


@peer("one_row", "river LogisticRegression")
def _(data: Stream) -> Run:
    from river.linear_model import LogisticRegression
    from river.optim import SGD

    pairs = list(zip(*(a.tolist() for a in data), strict=True))

    def run() -> list[float]:
        model, out = LogisticRegression(SGD(0.01)), []
        for z, label in pairs:
            x = {"z": z}
            out.append(model.predict_proba_one(x)[True])
            model.learn_one(x, label)
        return out

    return run


def _bare_loop(data: Stream) -> Run:
    """The steps alone: compiled if Numba is installed, without checks."""
    z, y = data[0], data[1].astype(np.float64)

    def run() -> np.ndarray:
        out, theta, factor = np.empty(len(z)), np.array([1.0, 0.0]), np.array([0.0, 100.0, 100.0])
        platt_stream(z, y, out, theta, factor, 0.1, 100.0, 100.0, 1.0)
        return out

    return run


def _whole(data: Stream) -> Run:
    return lambda: OnlinePlattCalibrator(scale="logit").predict_then_update(*data)[:, 1]


def _row_by_row(scale: Any) -> Any:
    def prepare(data: Stream) -> Run:
        z, y = data
        pairs = list(zip(_scores(z, scale).tolist(), y.tolist(), strict=True))

        def run() -> list[float]:
            model, out = OnlinePlattCalibrator(scale=scale), []
            for x, label in pairs:
                out.append(model.predict_proba_one(x))
                model.learn_one(x, label)
            return out

        return run

    return ours(prepare)


def _scores(z: np.ndarray, scale: str) -> np.ndarray:
    return z if scale == "logit" else 1.0 / (1.0 + np.exp(-z))


def _task(name: str, title: str, n: int, own: Any, scale: str, kind: str, goal: Goal) -> Task:
    def judge(data: Stream, answer: Any) -> tuple[float, str]:
        z, y = data
        q = np.clip(np.asarray(answer), 1e-9, 1 - 1e-9)
        loss = -float(np.mean(np.log(np.where(y == 1, q, 1.0 - q))))
        exact = OnlinePlattCalibrator(scale=scale).predict_then_update(_scores(z, scale), y)[:, 1]
        best = -float(np.mean(np.log(np.where(y == 1, exact, 1.0 - exact))))
        return abs(loss - best), f"log loss {loss:.6g}"

    loop = floor("the steps alone", _bare_loop)
    return Task(
        name,
        f"{title}, n = {n:,}",
        lambda q: stream(n // q),
        [own, loop, *PEERS.get(kind, [])],
        judge,
        (goal,),
        config.ONLINE_TOLERANCES,
        config.ONLINE_OWN,
    )


ONLINE_TASKS = [
    _task("online_platt", "online Platt scaling of a stream", config.ONLINE_ROWS, ours(_whole),
          "logit", "online_platt", Goal("floor", config.ONLINE_FLOOR)),
    *(_task(f"one_row_{scale}", f"predict_proba_one and learn_one, scale={scale}",
            config.ONE_ROW_ROWS, _row_by_row(scale), scale, "one_row",
            Goal("peer", config.ONE_ROW_PEER))
      for scale in ("probability", "logit")),
]  # fmt: skip
