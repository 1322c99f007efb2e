"""``HistogramBinningCalibrator.certify_bins``: how often its two promises fail, and its bounds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from calibkit import HistogramBinningCalibrator

LEVELS = (0.9, 0.5)


class Law(NamedTuple):
    """Event rate of a score between 0 and 1, and its integral from 0 to the score."""

    rate: Callable[[np.ndarray], np.ndarray]
    integral: Callable[[np.ndarray], np.ndarray]


def constant(rate: float) -> Law:
    return Law(lambda u: np.full_like(u, rate), lambda u: rate * u)


def spikes(period: float, width: float, rest: float) -> Law:
    """Rows up to ``width`` above each multiple of the period are events, others rarely."""
    return Law(
        lambda u: np.where(u % period < width, 1.0, rest),
        lambda u: rest * u + (1 - rest) * (u // period * width + np.minimum(u % period, width)),
    )


LAWS = {
    "rate .01": constant(0.01),
    "rate .05": constant(0.05),
    "rate .5": constant(0.5),
    "calibrated": Law(lambda u: u, lambda u: u**2 / 2),
    "steep": Law(lambda u: u**8, lambda u: u**9 / 9),
    # The rows of the first of ten bins are nearly all events; there are few others.
    "rare, one bin alike": Law(
        lambda u: np.where(u < 0.1, 1.0, 0.005), lambda u: 0.005 * u + 0.995 * np.minimum(u, 0.1)
    ),
    # Events around the borders of ten bins, so that the row on a border differs from the others.
    "events at borders": spikes(0.1, 0.004, 0.0),
}
#: Rows, number of bins, smoothing.
SIZES = ((2000, 10, 1.0), (500, 10, 0.0), (200, 10, 5.0), (60, 20, 1.0))
#: Base rates and rows for which bounds are shown.
SHARP = ((0.01, 5000), (0.05, 2000), (0.5, 2000))


def fitted(
    law: Law, n: int, n_bins: int, smoothing: float, strategy: Any, rng: np.random.Generator
) -> HistogramBinningCalibrator | None:
    p = rng.random(n)
    y = (rng.random(n) < law.rate(p)).astype(np.int8)
    if y.min() == y.max():  # refused by fit: nothing is promised
        return None
    cal = HistogramBinningCalibrator(n_bins=n_bins, smoothing=smoothing, strategy=strategy)
    return cal.fit(p, y)


def broken(law: Law, cal: HistogramBinningCalibrator | None) -> list[tuple[float, float]]:
    """For each level: whether a bin is further off than all may be, the share of rows further off
    than one may be."""
    if cal is None:
        return [(0.0, 0.0)] * len(LEVELS)
    ends = np.concatenate(([0.0], cal.borders_, [1.0]))
    size, truth = np.diff(ends), np.diff(law.integral(ends))
    filled = cal.count_ > 0
    off = np.abs(cal.value_ - truth / size)[filled]
    out = []
    for level in LEVELS:
        found = cal.certify_bins(level)
        new = size[filled][off > found.marginal + 1e-9].sum()
        out.append((float((off > found.conditional + 1e-9).any()), float(new)))
    return out


def run(repeats: int, seed: int) -> dict[str, Any]:
    """Shares of failures by law and size, and mean bounds."""
    warnings.simplefilter("ignore")
    rng, failures = np.random.default_rng(seed), {}
    for name, law in LAWS.items():
        for n, n_bins, smoothing in SIZES:
            strategy = "uniform" if (n, name) == (200, "calibrated") else "quantile"
            sets = [
                broken(law, fitted(law, n, n_bins, smoothing, strategy, rng))
                for _ in range(repeats)
            ]
            key = f"{name}; {n} rows, {n_bins} bins, smoothing {smoothing:g}, {strategy}"
            failures[key] = np.mean(sets, axis=0).round(4).tolist()
    bounds = {}
    for rate, n in SHARP:
        fits = [
            fitted(constant(rate), n, 10, 1.0, "quantile", rng)
            for _ in range(max(repeats // 10, 10))
        ]
        sets = [cal.certify_bins(0.9) for cal in fits if cal is not None]
        found = np.mean([(s.conditional, s.marginal) for s in sets], axis=0)
        bounds[f"rate {rate:g}, {n} rows, 10 bins"] = found.round(4).tolist()
    return {"repeats": repeats, "failures": failures, "bounds": bounds}


def show(found: dict[str, Any]) -> None:
    """Print the shares of failures and the bounds."""
    print(f"certify_bins, {found['repeats']:,} simulations of each: failures of the promises")
    print(f"{'level: of all bins, of the bin of a new row':68}")
    for name, shares in found["failures"].items():
        cells = []
        for level, pair in zip(LEVELS, shares, strict=True):
            limit = 1 - level + 3 * np.sqrt(level * (1 - level) / found["repeats"])
            cells += [f"{level:g}: {pair[0]:.3f} {pair[1]:.3f}{' HIGH' * bool(max(pair) > limit)}"]
        print(f"{name:68}", "   ".join(cells))
    print("mean bounds at level .9 of calibrated models: all bins, new row")
    for name, (all_bins, new) in found["bounds"].items():
        print(f"{name:68} {all_bins:.3f} {new:.3f}")
