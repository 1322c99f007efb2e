"""Intervals of calibration errors that cover near zero error too."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._numerics.binning import BinSums
from .._numerics.debias import merge_small
from .._numerics.exact import simultaneous
from .._numerics.inversion import of_sums
from .._numerics.links import FloatArray, IntArray
from ._errors import check_debias, combine, count_sums, raw_errors, raw_kernel
from ._noise import SHARED, Interval, normal_interval
from ._resampling import Band, null_band, null_draws
from ._table import ScoreTable

#: Cells that labels are drawn on for the null band: variances inside 64 cells are below
#: (1/64)^2 of the whole.
_N_NULL = 64

#: More bins take too long to simulate.
_MOST_BINS = 3000


class Measured(NamedTuple):
    """An error with its interval, and the errors that a calibrated model would show."""

    value: float
    low: float
    high: float
    settings: dict[str, Any]
    method: str
    band: Band


def measure(
    problems: list[Any],
    settings: dict[str, Any],
    level: float,
    n_draws: int,
    rng: np.random.Generator,
    groups: IntArray | None,
) -> Measured:
    """Error of one problem, or the mean over the classes, by inverting a test.

    Whether the error is more than a calibrated model shows is asked once, of the null band: the
    interval begins above 0 if and only if the value lies above that band. Where the inverted test
    has no lower end of its own then, the triangle inequality gives one: true gaps are at least as
    large as those observed less the noise, and the noise is at most ``null_high``.
    """
    norm, strategy, n_bins = settings["norm"], settings["strategy"], settings["n_bins"]
    noise = check_debias("estimate", settings["debias"], norm)
    raw = raw_errors("estimate", problems, norm, strategy, n_bins, noise)
    value = combine(norm, raw)
    ends = error_interval(problems, settings, level, n_draws, rng, groups)
    null = null_errors(problems, settings, n_draws, rng)
    shown = {**settings, "n_bins": _bins_used(problems[0], strategy, n_bins)}
    if noise is not None:
        shown["unclipped_square" if norm == "l2" else "unclipped"] = float(raw.mean())
    band = null_band(null, level)
    assert band.high is not None
    low = min(ends.low, value)
    if groups is None:
        low = max(low, value - band.high) if value > band.high else 0.0
    high = max(min(ends.high, 1.0), value)
    return Measured(value, low, high, shown, ends.method, band)


def _refuse_many(parts: list[BinSums], strategy: str) -> None:
    most = max(len(s.w) for s in parts)
    if most > _MOST_BINS:
        what = "outputs that differ" if strategy == "unique" else "bins"
        raise ValueError(
            f"estimate: {most:,} {what}; expected at most {_MOST_BINS:,}, since labels are "
            "simulated in every bin. Use fewer bins, or method='bootstrap', whose interval is not "
            "to be trusted where bins hold a handful of rows."
        )


def _bins_used(problem: Any, strategy: str, n_bins: int | str) -> int:
    """Number of bins, where the data say it."""
    if isinstance(n_bins, int) and strategy != "unique":
        return n_bins
    table = problem if isinstance(problem, ScoreTable) else ScoreTable.from_binary(problem)
    return len(table.borders(strategy, n_bins)) + 1


def error_interval(
    problems: list[Any],
    settings: dict[str, Any],
    level: float,
    n_draws: int,
    rng: np.random.Generator,
    groups: IntArray | None,
) -> Interval:
    """Interval of the error of one problem, or of the mean over the classes."""
    norm, strategy, n_bins = settings["norm"], settings["strategy"], settings["n_bins"]
    parts = [count_sums(b, strategy, n_bins) for b in problems]
    if norm == "max":
        return _largest_gap(parts, problems, level)
    _refuse_many(parts, strategy)
    try:
        merged = [merge_small(s) for s in parts]
    except ValueError as error:
        raise ValueError(
            f"estimate: {error}, and no interval can be had; expected at least two rows."
        ) from error
    seed = int(rng.integers(2**31))
    w = getattr(problems[0], "w", None)
    if groups is not None or (w is not None and not isinstance(problems[0], ScoreTable)):
        return normal_interval(norm, problems, merged, settings, level, n_draws, seed, groups)
    sums = BinSums(*(np.concatenate([np.asarray(s[i]) for s in merged]) for i in range(5)))
    inflate = SHARED if len(problems) > 1 else 1.0
    return Interval(*of_sums(norm, sums, level, n_draws, seed, inflate=inflate), "test inversion")


def null_errors(
    problems: list[Any], settings: dict[str, Any], n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """Errors that labels drawn from the scores would show."""
    norm = settings["norm"]
    noise = check_debias("estimate", settings["debias"], norm)
    total = np.zeros(n_draws)
    for b in problems:
        table = b if isinstance(b, ScoreTable) else ScoreTable.from_binary(b)
        borders = table.borders(settings["strategy"], settings["n_bins"])
        cells = table.coarsen(_N_NULL, borders=borders, tails=False)
        drawn = null_draws(cells, raw_kernel(cells, borders, norm, noise), n_draws, rng)
        total = np.maximum(total, drawn) if norm == "max" else total + drawn / len(problems)
    if len(problems) > 1 and norm != "max":
        total = total.mean() + SHARED * (total - total.mean())
    total = np.maximum(total, 0.0)
    return np.sqrt(total) if norm == "l2" else total


def _largest_gap(parts: list[BinSums], problems: list[Any], level: float) -> Interval:
    """Bounds of the largest gap from intervals that hold in all bins at once."""
    n = np.concatenate([s.w for s in parts])
    events = np.concatenate([s.wy for s in parts])
    score = np.concatenate([s.wp for s in parts])
    kept = n > 0
    w2 = [_square_sum(b) for b in problems]
    rows = np.concatenate([s.w * (s.w.sum() / q) for s, q in zip(parts, w2, strict=True)])
    low, high = simultaneous(events[kept] / n[kept], rows[kept], level)
    mean = score[kept] / n[kept]
    outside = np.maximum(np.maximum(low - mean, mean - high), 0.0)
    farthest = np.maximum(np.abs(mean - low), np.abs(high - mean))
    return Interval(float(outside.max()), float(farthest.max()), "simultaneous exact intervals")


def _square_sum(b: Any) -> float:
    if isinstance(b, ScoreTable):
        return float(b.w2.sum())
    return float(len(b.p)) if b.w is None else float(b.w @ b.w)
