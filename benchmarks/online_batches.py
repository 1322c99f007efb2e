"""Measure the mean log loss of forecasts when labels arrive in batches.

``python benchmarks/online_batches.py [--json FILE]``. The intercept of the true log-odds drifts as
an AR(1) process. Each batch is forecast with ``predict_proba``, then passed to ``partial_fit``;
batches of 1 use ``predict_then_update``. The experts are the calibrators that
AdaptivePlattCalibrator mixes, each alone. ``allowed`` is the largest loss accepted beyond the best
expert: .002 nats plus ``batch / n * log(number of experts)``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from calibkit.online import AdaptivePlattCalibrator, OnlinePlattCalibrator, TrackingCalibrator

ROWS, SEEDS = 40_000, 3
#: Rows of a batch; correlation and spread of the intercept.
BATCHES = (1, 48, 336)
LAWS = ((0.95, 4.0), (0.99, 3.0), (0.999, 2.0))


def stream(rho: float, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shift, steps = np.zeros(ROWS), spread * np.sqrt(1 - rho**2) * rng.normal(size=ROWS)
    for t in range(1, ROWS):
        shift[t] = rho * shift[t - 1] + steps[t]
    z = rng.normal(size=ROWS) / 2
    return z, (rng.random(ROWS) < 1 / (1 + np.exp(-z - shift))).astype(int)


def log_loss(y: np.ndarray, q: np.ndarray) -> float:
    q = np.clip(q, 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(y == 1, np.log(q), np.log1p(-q))))


def run(calibrator: Any, z: np.ndarray, y: np.ndarray, batch: int) -> float:
    if batch == 1:
        return log_loss(y, calibrator.predict_then_update(z, y, classes=[0, 1])[:, 1])
    forecasts = []
    for at in range(0, ROWS, batch):
        rows = slice(at, at + batch)
        forecasts.append(calibrator.predict_proba(z[rows])[:, 1])
        calibrator.partial_fit(z[rows], y[rows])
    return log_loss(y, np.concatenate(forecasts))


def figures(rho: float, spread: float, batch: int) -> dict[str, float]:
    """Mean over streams of each method's log loss."""
    known: dict[str, Any] = {"scale": "logit", "classes": [0, 1]}
    adaptive = AdaptivePlattCalibrator(**known)
    methods = {
        "adaptive": adaptive,
        "tracking": TrackingCalibrator(AdaptivePlattCalibrator(scale="logit"), classes=[0, 1]),
        **{f"expert {d}": OnlinePlattCalibrator(discount=d, **known) for d in adaptive.discounts},
    }
    data = [stream(rho, spread, seed) for seed in range(SEEDS)]
    found = {
        name: float(np.mean([run(clone(method), z, y, batch) for z, y in data]))
        for name, method in methods.items()
    }
    experts = [v for name, v in found.items() if name.startswith("expert")]
    allowed = 0.002 + batch / ROWS * np.log(len(experts))
    return {
        "correlation": rho,
        "spread": spread,
        "batch": batch,
        "adaptive": found["adaptive"],
        "tracking over it": found["tracking"],
        "best expert": min(experts),
        "worst expert": max(experts),
        "allowed": allowed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    options = parser.parse_args()
    rows = []
    for rho, spread in LAWS:
        for batch in BATCHES:
            rows.append(figures(rho, spread, batch))
            if len(rows) == 1:
                print(f"| {' | '.join(rows[0])} |\n{'|---' * len(rows[0])}|")
            print(f"| {' | '.join(f'{v:.4g}' for v in rows[-1].values())} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
