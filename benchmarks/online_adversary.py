"""Play hedging against adversaries that know the distribution of the forecast.

An adversary sees the whole state of the calibrator: all counts, and the two possible cells with
their probabilities. Only the random draw is hidden. The games run calibkit's kernels under Numba,
since 200 games of 10^5 rounds need that speed. For some games the labels are then passed to the
public class, which must make the same forecasts.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from online_paper import error_bound
from online_runs import error_and_sharpness
from verified_stats import Mean, mean

from calibkit._numerics import hedging, jit, ons
from calibkit.online import HedgingCalibrator, OnlinePlattCalibrator, TrackingCalibrator

BINS = 10
TIMES = (1_000, 3_000, 10_000, 30_000, 100_000)
#: How a label is chosen. "against the mean": 1 if the expected forecast is below a half. "to the
#: edge": 1 while the mean label of the cell stays in the cell, so that the forecast, the middle of
#: the cell, is wrong by half a bin. "greedy": the label with the largest expected calibration error
#: so far. "edge rate": 1 with probability .3, a border of cells.
ADVERSARIES = ("against the mean", "to the edge", "greedy", "edge rate")


@cache
def _game() -> Any:
    """The compiled game."""
    from numba import njit

    step, choose = jit._compile(ons.platt_stream.source), jit._compile(hedging.choose.source)

    @njit
    def play(kind, z, draws, coins, y, q, cells, theta, factor, m):
        count, total = np.zeros(m * m), np.zeros(m * m)
        # Sum of label minus forecast over the rounds in which a forecast was played.
        gap = np.zeros(m)
        for t in range(len(z)):
            p = 1.0 / (1.0 + np.exp(-(theta[0] * z[t] + theta[1])))
            b = 0
            while b < m - 1 and p > (b + 1) / m:
                b += 1
            upper, chance = choose(count, total, b * m, m, b)
            if kind == 0:
                y[t] = 1.0 if (upper + 0.5 - chance) / m < 0.5 else 0.0
            elif kind == 1:
                at = b * m + upper
                y[t] = 1.0 if total[at] + 1.0 <= (count[at] + 1.0) * (upper + 1) / m else 0.0
            elif kind == 2:
                worst = -np.inf
                for label in (0.0, 1.0):
                    up = abs(gap[upper] + label - (upper + 0.5) / m) - abs(gap[upper])
                    change = (1.0 - chance) * up
                    if chance > 0.0:
                        low = upper - 1
                        down = abs(gap[low] + label - (low + 0.5) / m) - abs(gap[low])
                        change += chance * down
                    if change > worst:
                        worst, y[t] = change, label
            else:
                y[t] = coins[t]
            cell = upper - 1 if draws[t] < chance else upper
            cells[t] = cell
            count[b * m + cell] += 1.0
            total[b * m + cell] += y[t]
            gap[cell] += y[t] - (cell + 0.5) / m
            step(z[t : t + 1], y[t : t + 1], q[t : t + 1], theta, factor, 0.1, 100.0, 100.0, 1.0)

    return play


def play(kind: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A game of n rounds: scores (log-odds), labels and forecasts of hedging."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0.0, 2.0, n)
    hedge = HedgingCalibrator(OnlinePlattCalibrator(scale="logit"), random_state=seed)
    hedge._begin()
    draws = hedging.uniforms(int(hedge.seed_), np.arange(float(n)), z)
    y, q, cells = np.empty(n), np.empty(n), np.empty(n)
    theta, factor = np.array([1.0, 0.0]), np.array([0.0, 100.0, 100.0])
    coins = (rng.random(n) < 0.3).astype(np.float64)
    _game()(kind, z, draws, coins, y, q, cells, theta, factor, BINS)
    return z, y, (cells + 0.5) / BINS


def check(kind: int, n: int, seed: int) -> None:
    """Raise unless the public class makes the forecasts of the game."""
    z, y, forecast = play(kind, n, seed)
    hedge = HedgingCalibrator(OnlinePlattCalibrator(scale="logit"), random_state=seed)
    public = hedge.predict_then_update(z, y)[:, 1]
    if not np.array_equal(public, forecast):
        at = int(np.argmax(public != forecast))
        raise AssertionError(
            f"game {seed} of {ADVERSARIES[kind]!r}: round {at} forecasts {public[at]}, "
            f"the game says {forecast[at]}"
        )


def run(runs: int, times: tuple[int, ...]) -> dict[str, list[tuple[Mean, float, float]]]:
    """For each adversary and time: mean error over the games, the worst game, the bound."""
    found = {}
    for kind, name in enumerate(ADVERSARIES):
        for seed in range(3):
            check(kind, times[-1], seed)
        errors = np.empty((runs, len(times)))
        for seed in range(runs):
            _, y, forecast = play(kind, times[-1], seed)
            errors[seed] = [error_and_sharpness(forecast[:t], y[:t])[0] for t in times]
        found[name] = [
            (mean(column), float(column.max()), error_bound(1 / BINS, t))
            for column, t in zip(errors.T, times, strict=True)
        ]
    return found


def against_tracking(n: int, seed: int) -> float:
    """Calibration error of tracking, which has no bound, with labels chosen from its forecasts."""
    rng = np.random.default_rng(seed)
    track = TrackingCalibrator(OnlinePlattCalibrator(scale="logit"), smoothing=0)
    forecasts, labels = np.empty(n), np.empty(n)
    for t, z in enumerate(rng.normal(0.0, 2.0, n).tolist()):
        forecasts[t] = track.predict_proba_one(z)
        # A forecast of exactly 0.5 is in the bin below it, so rounds alternate between two bins.
        labels[t] = forecasts[t] <= 0.5
        track.learn_one(z, int(labels[t]))
    return error_and_sharpness(forecasts, labels)[0]
