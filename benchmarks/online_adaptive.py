"""Compare AdaptivePlattCalibrator with fixed forgetting rates on drifts of known probabilities."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from online_drifts import DRIFTS, Drift
from online_runs import error_and_sharpness, log_loss
from verified_stats import Mean, mean, ratio

from calibkit.online import AdaptivePlattCalibrator, OnlinePlattCalibrator, TrackingCalibrator

#: Fixed discounts; the best one is chosen in hindsight.
GRID = (1.0, 0.9999, 0.9997, 0.9995, 0.999, 0.998, 0.997, 0.995, 0.99, 0.97)
#: The paper's calibration error, without and with tracking; the mean distance to the true
#: probability; the log loss minus that of the true probabilities.
MEASURES = ("CE", "tracked CE", "mean |q - p|", "excess log loss")
#: Goal: at most this times the best fixed rate.
GOAL = 1.1


class Compared(NamedTuple):
    """One measure on one drift: the best fixed discount, results, and adaptive / best fixed."""

    discount: float
    fixed: Mean
    plain: Mean
    adaptive: Mean
    ratio: Mean


def _measure(make: Any, drift: Drift) -> list[float]:
    q = make().predict_then_update(drift.z, drift.y)[:, 1]
    tracked = TrackingCalibrator(make(), smoothing=0).predict_then_update(drift.z, drift.y)[:, 1]
    return [
        error_and_sharpness(q, drift.y)[0],
        error_and_sharpness(tracked, drift.y)[0],
        float(np.abs(q - drift.truth).mean()),
        log_loss(q, drift.y) - log_loss(drift.truth, drift.y),
    ]


def run(runs: int, seed: int = 0) -> dict[str, list[Compared]]:
    """Compare, for each drift and measure, with the fixed discount of the best mean over runs."""
    found = {}
    for at, (name, draw) in enumerate(DRIFTS.items()):
        fixed = np.empty((len(GRID), runs, len(MEASURES)))
        ours = np.empty((runs, len(MEASURES)))
        for r in range(runs):
            drift = draw(np.random.default_rng([seed, at, r]))
            for i, d in enumerate(GRID):
                fixed[i, r] = _measure(
                    lambda d=d: OnlinePlattCalibrator(scale="logit", discount=d), drift
                )
            ours[r] = _measure(lambda: AdaptivePlattCalibrator(scale="logit"), drift)
        rows = []
        for m in range(len(MEASURES)):
            best = int(np.argmin(fixed[:, :, m].mean(axis=1)))
            rows.append(
                Compared(
                    GRID[best],
                    mean(fixed[best, :, m]),
                    mean(fixed[0, :, m]),
                    mean(ours[:, m]),
                    ratio(ours[:, m], fixed[best, :, m]),
                )
            )
        found[name] = rows
    return found
