"""Measure the false alarms of ComparisonAlarm, and how many rows it needs.

The first table has the share of streams whose interval ever misses the running mean of the expected
differences, for models that are equally good on average. The second has the number of labels until
the better model is found, beside the rows that one test at a fixed number of rows needs.

    python benchmarks/race.py                 # four minutes on one core
    python benchmarks/race.py --streams 50    # fewer streams
    python benchmarks/race.py --show          # prints the stored results of race.json
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from calibkit import ComparisonAlarm
from calibkit._numerics import mean_bets as bets

RESULTS = Path(__file__).with_suffix(".json")
METRICS = ("brier_score", "log_loss")
ALPHA, LENGTH = 0.05, 10_000


def made(metric: str, floor: float = 0.01, **settings: Any) -> ComparisonAlarm:
    return ComparisonAlarm(metric, floor=None if metric == "brier_score" else floor, **settings)


def expected(alarm: ComparisonAlarm, pi: Any, p: Any, q: Any) -> np.ndarray:
    """Expected differences if the events have probabilities pi."""

    def loss(r: Any) -> Any:
        if alarm.metric == "brier_score":
            return (1 - pi) * r**2 + pi * (1 - r) ** 2
        r = np.clip(r, alarm.floor, 1 - alarm.floor)
        return -(1 - pi) * np.log(1 - r) - pi * np.log(r)

    return loss(p) - loss(q)


# -- models that are equally good on average -------------------------------------------------------


def truth(rng: np.random.Generator, n: int, center: float = 0.0) -> np.ndarray:
    return expit(rng.normal(center, 1.2, n))


def mirrored(rng: np.random.Generator, n: int) -> tuple:
    """Brier scores that are equally good on each row."""
    pi = truth(rng, n)
    gap = np.minimum(pi, 1 - pi) * rng.uniform(-1, 1, n)
    return pi, pi + gap, pi - gap


def turns(length: int, center: float = 0.0) -> Callable:
    def draw(rng: np.random.Generator, n: int) -> tuple:
        """One model is calibrated, the other is not; they take turns."""
        pi = truth(rng, n, center)
        bad = expit(logit(pi) + 1.0)
        first = np.arange(n) // length % 2 == 0
        return pi, np.where(first, pi, bad), np.where(first, bad, pi)

    return draw


def drifting(rng: np.random.Generator, n: int) -> tuple:
    """The difference drifts to and fro around 0."""
    pi = truth(rng, n)
    move = np.sin(2 * np.pi * np.arange(n) / (n / 3))
    return pi, expit(logit(pi) + np.maximum(move, 0)), expit(logit(pi) + np.maximum(-move, 0))


def coarse(rng: np.random.Generator, n: int) -> tuple:
    """Forecasts that are often almost certain, and wrong."""
    return rng.choice([0.02, 0.5, 0.98], n), rng.choice([0.001, 0.5], n), rng.choice([0.3, 0.99], n)


NULLS = {
    "mirrored": mirrored,
    "turns of 1": turns(1),
    "turns of 500": turns(500),
    "rare turns": turns(200, -4.0),
    "drifting": drifting,
    "coarse": coarse,
}


def share_of_failures(draw: Callable, metric: str, many: int, n: int, alpha: float) -> float:
    """Share of streams whose interval ever misses the running mean of expected differences."""
    failed = 0
    for seed in range(many):
        rng = np.random.default_rng([seed, n])
        pi, p, q = draw(rng, n)
        alarm = made(metric, alpha=alpha)
        both = np.stack([expected(alarm, np.full(n, k), p, q) for k in (0.0, 1.0)], axis=1)
        d = both[np.arange(n), (rng.random(n) < pi).astype(int)]
        logs = np.cumsum(bets.log_factors(d, both.min(axis=1), both.max(axis=1)), axis=0)
        total = np.cumsum(expected(alarm, pi, p, q))[:, None]
        failed += bool((bets.log_wealth(logs, total) >= -math.log(alpha)).any())
    return failed / many


# -- a model that is better ------------------------------------------------------------------------

#: Mean log-odds, the log-odds of both models from those and two noises, and the rows watched.
CASES: dict[str, tuple[float, Callable, Callable, int]] = {
    "noise 0.5": (0.0, lambda z, e: z + 0.5 * e[0], lambda z, e: z, 4000),
    "shift 0.3": (0.0, lambda z, e: z + 0.3, lambda z, e: z, 10_000),
    "slope 1.5": (0.0, lambda z, e: 1.5 * z, lambda z, e: z, 8000),
    "constant 0.5": (0.0, lambda z, e: 0.0 * z, lambda z, e: z, 1500),
    "noise 0.7, 0.5": (0.0, lambda z, e: z + 0.7 * e[0], lambda z, e: z + 0.5 * e[1], 14_000),
    "rare, shift 0.7": (-4.0, lambda z, e: z + 0.7, lambda z, e: z, 14_000),
}


def price(case: str, metric: str, many: int) -> dict[str, Any]:
    """Rows to the alarm, and the rows of one test with power .8."""
    center, first, second, n = CASES[case]
    times, mean, sd = [], [], []
    for seed in range(many):
        rng = np.random.default_rng([seed, n])
        z, noise = rng.normal(center, 1.0, n), rng.normal(size=(2, n))
        p, q = expit(first(z, noise)), expit(second(z, noise))
        y = (rng.random(n) < expit(z)).astype(int)
        alarm = made(metric, 0.001, alpha=ALPHA, classes=[0, 1])
        for i in range(0, n, 500):
            alarm.update(y[i : i + 500], p[i : i + 500], q[i : i + 500])
            if alarm.alarm_:
                break
        times.append(alarm.alarm_time_ or math.inf)
        d = expected(alarm, y, p, q)
        mean.append(d.mean())
        sd.append(d.std())
    once = ((norm.isf(ALPHA / 2) + norm.ppf(0.8)) * np.mean(sd) / np.mean(mean)) ** 2
    late = float(np.quantile(times, 0.8, method="higher"))
    facts = {"one_test": once, "median": float(np.median(times)), "late": late}
    return {"case": case, "metric": metric, "streams": many, **facts, "ratio": late / once}


def show(found: dict[str, list[dict[str, Any]]]) -> None:
    print(f"Share of streams of {LENGTH:,} labels with a failure (alpha {ALPHA})")
    for row in found["failures"]:
        print(f"{row['null']:16} {row['metric']:12} {row['share']:.3f} of {row['streams']}")
    print("\nLabels until the better model is found; ratio: 80% quantile to one test of power 0.8")
    print(f"{'case':16} {'metric':12} {'one test':>9} {'median':>7} {'80%':>7} {'ratio':>6}")
    for row in found["price"]:
        numbers = f"{row['one_test']:9.0f} {row['median']:7.0f} {row['late']:7.0f}"
        print(f"{row['case']:16} {row['metric']:12} {numbers} {row['ratio']:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=200, help="streams of each kind")
    parser.add_argument("--show", action="store_true", help="print the stored results")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    given = parser.parse_args()
    if given.show:
        show(json.loads(RESULTS.read_text()))
        return
    many = given.streams
    failures = [
        {"null": name, "metric": metric, "streams": many,
         "share": share_of_failures(draw, metric, many, LENGTH, ALPHA)}
        for name, draw in NULLS.items() for metric in METRICS
    ]  # fmt: skip
    found = {
        "failures": failures,
        "price": [price(case, metric, many) for case in CASES for metric in METRICS],
    }
    if given.json:
        given.json.write_text(json.dumps(found, indent=0) + "\n")
    show(found)


if __name__ == "__main__":
    main()
