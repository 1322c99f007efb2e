"""The paper's protocol: run the methods on a stream of scores, and measure them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from online_bins import EqualMassTracking
from online_designs import Design, forest_scores

from calibkit import PlattCalibrator
from calibkit._numerics.hedging import track
from calibkit.online import (
    AdaptivePlattCalibrator,
    HedgingCalibrator,
    OnlineBetaCalibrator,
    OnlinePlattCalibrator,
    TrackingCalibrator,
    WindowedCalibrator,
)

#: Rows of the stream that are not judged; rows between two fits of WPS; number of bins.
N_VAL, SPACING, BINS = 1_000, 500, 10
MEASURES = ("CE", "SHP", "log loss", "Brier")

Forecast = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


#: The paper clips scores at this distance from 0 and 1.
EPS = 1e-5


def _platt(**how: object) -> WindowedCalibrator:
    return WindowedCalibrator(PlattCalibrator(eps=EPS), first_fit=N_VAL, **how)


#: The calibrators of the paper, with its settings, made from a seed; "BM" has none.
MAKERS: dict[str, Callable[[int], Any]] = {
    "FPS": lambda seed: _platt(refit=False),
    "WPS": lambda seed: _platt(refit_every=SPACING),
    "OPS": lambda seed: OnlinePlattCalibrator(eps=EPS),
    "TOPS": lambda seed: TrackingCalibrator(
        OnlinePlattCalibrator(eps=EPS), n_bins=BINS, smoothing=0
    ),
    "HOPS": lambda seed: HedgingCalibrator(
        OnlinePlattCalibrator(eps=EPS), n_bins=BINS, random_state=seed
    ),
}
#: More methods: online beta scaling (the paper's appendix), and adaptive forgetting rates.
MORE: dict[str, Callable[[int], Any]] = {
    "OBS": lambda seed: OnlineBetaCalibrator(eps=EPS),
    "TOBS": lambda seed: TrackingCalibrator(OnlineBetaCalibrator(eps=EPS), smoothing=0),
    "adaptive": lambda seed: AdaptivePlattCalibrator(eps=EPS),
    "T-adaptive": lambda seed: TrackingCalibrator(AdaptivePlattCalibrator(eps=EPS), smoothing=0),
}


def _stream(make: Callable[[int], Any]) -> Forecast:
    return lambda p, y, seed: make(seed).predict_then_update(p, y)[:, 1]


PAPER: dict[str, Forecast] = {
    "BM": lambda p, y, seed: p,
    **{name: _stream(make) for name, make in MAKERS.items()},
}


def _authors_ops(p: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    return OnlinePlattCalibrator(start=(0.0, 0.0), eps=EPS).predict_then_update(p, y)[:, 1]


def _authors_tops(p: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    q = _authors_ops(p, y, seed)
    edges = np.linspace(1 / BINS, 1.0, BINS)
    prior = edges - 0.05 / BINS
    return track(np.searchsorted(edges, q), y, np.ones(BINS), prior.copy(), prior, 0.0)


#: OPS and TOPS with the start of the authors' code: (0, 0), and one pseudo-label in each bin, at
#: .095, .195, ... On the seeds of the reference these must give its results.
AUTHORS: dict[str, Forecast] = {"OPS*": _authors_ops, "TOPS*": _authors_tops}
VARIANTS: dict[str, Forecast] = {
    **{name: _stream(make) for name, make in MORE.items()},
    "T-mass": lambda p, y, seed: EqualMassTracking().run(PAPER["OPS"](p, y, seed), y),
    "T-mass-OBS": lambda p, y, seed: EqualMassTracking().run(VARIANTS["OBS"](p, y, seed), y),
}


def bin_sums(q: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, sums of forecasts and of labels in ten equal-width bins that include their upper ends.

    The edges equal those of the authors' code to the bit, since scores of a forest fall on them.
    """
    index = np.searchsorted(np.linspace(1 / BINS, 1.0, BINS), q)
    return (
        np.bincount(index, minlength=BINS),
        np.bincount(index, q, BINS),
        np.bincount(index, y, BINS),
    )


def error_and_sharpness(q: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Calibration error and sharpness, as the paper defines them."""
    n, forecast, label = bin_sums(q, y)
    error = np.abs(forecast - label).sum() / len(y)
    return float(error), float((label**2 / np.maximum(n, 1)).sum() / len(y))


def log_loss(q: np.ndarray, y: np.ndarray) -> float:
    """Mean log loss, with forecasts clipped at 1e-6 (tracked forecasts can be 0 or 1)."""
    q = np.clip(q, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.log(np.where(y == 1, q, 1 - q))))


def measure(q: np.ndarray, y: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The measures of the rows from N_VAL to each time."""
    rows = [slice(N_VAL, t) for t in times]
    return np.array(
        [
            [*error_and_sharpness(q[r], y[r]), log_loss(q[r], y[r]), np.mean((q[r] - y[r]) ** 2)]
            for r in rows
        ]
    ).T


class Found(NamedTuple):
    """Results of a design: for each method an array (seeds, measures, times)."""

    times: np.ndarray
    values: dict[str, np.ndarray]

    def at(self, method: str, measure: str, time: int) -> np.ndarray:
        """Results of all seeds."""
        where = int(np.flatnonzero(self.times == time)[0])
        return self.values[method][:, MEASURES.index(measure), where]

    def three_times(self) -> tuple[int, int, int]:
        """First, middle and last time."""
        t = self.times
        return int(t[0]), int(t[len(t) // 2]), int(t[-1])


def run_design(design: Design, seeds: int, trees: int, folder: Path | None, jobs: int) -> Found:
    """Run all methods on the streams of this number of seeds; measure at the paper's times."""
    rows: dict[str, list[np.ndarray]] = {}
    for seed in range(seeds):
        p, y = forest_scores(design, seed, trees, folder, jobs)
        times = np.arange(N_VAL + 2 * SPACING, len(y) + 1, SPACING)
        for name, forecast in {**PAPER, **AUTHORS, **VARIANTS}.items():
            rows.setdefault(name, []).append(measure(forecast(p, y, seed), y, times))
    return Found(times, {name: np.array(r) for name, r in rows.items()})
