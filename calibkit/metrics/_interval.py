"""Intervals of calibration errors that cover near zero error too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .._numerics.binning import BinSums
from .._numerics.debias import merge_small
from .._numerics.exact import simultaneous
from .._numerics.inversion import of_sums
from .._typing import FloatArray, IntArray
from ._errors import check_debias, combine, raw_errors, raw_kernel
from ._methods import RULES
from ._noise import SHARED, Grouped, Interval, bin_worth, grouped, normal_interval
from ._null import Band, group_noise, null_band, null_draws
from ._rows import Binary
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


class _Part(NamedTuple):
    """What is kept of one problem."""

    raw: float
    sums: BinSums  # small bins joined
    rows: Grouped | None
    worth: FloatArray | None  # of each filled bin, for the largest gap
    null: FloatArray
    n_bins: int


def measure(
    problems: Iterable[tuple[ScoreTable, Binary]],
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
    norm = settings["norm"]
    noise = check_debias("estimate", settings["debias"], norm)
    seed = int(rng.integers(2**31))
    # Groups make errors of the classes vary together: their noise is drawn from one stream.
    drawn = None if groups is None else int(rng.integers(2**31))
    plain, parts = True, []
    for table, rows in problems:
        plain = plain and table.plain
        own = rng if drawn is None else np.random.default_rng(drawn)
        parts.append(_part(table, rows, settings, noise, level, n_draws, own, groups))
    raw = np.array([part.raw for part in parts])
    value = combine(norm, raw)
    if norm == "max":
        ends = _largest_gap(parts, level)
    else:
        ends = _inverted(norm, parts, level, n_draws, seed, plain=plain and groups is None)
    band = null_band(_joined(norm, [part.null for part in parts], grouped=drawn is not None), level)
    assert band.high is not None
    low = max(min(ends.low, value), value - band.high) if value > band.high else 0.0
    high = max(min(ends.high, 1.0), value)
    shown = with_bins(settings, max(part.n_bins for part in parts))
    if noise is not None:
        shown["unclipped_square" if norm == "l2" else "unclipped"] = float(raw.mean())
    return Measured(value, low, high, shown, ends.method, band)


def with_bins(settings: dict[str, Any], used: int) -> dict[str, Any]:
    """Settings with the bins used and asked for; equal widths are what they are, filled or not."""
    asked = settings["n_bins"]
    if settings["strategy"] == "unique":
        return {**settings, "n_bins": used}
    if settings["strategy"] == "uniform" and asked != "sweep":
        used = asked
    return {**settings, "n_bins": used, "n_bins_asked": asked}


def _part(
    table: ScoreTable,
    rows: Binary,
    settings: dict[str, Any],
    noise: str | None,
    level: float,
    n_draws: int,
    rng: np.random.Generator,
    groups: IntArray | None,
) -> _Part:
    norm, strategy, n_bins = settings["norm"], settings["strategy"], settings["n_bins"]
    raw = float(raw_errors("estimate", [table], norm, strategy, n_bins, noise)[0])
    borders = table.borders(strategy, n_bins)
    sums = table.sums(borders, squares=True)
    if len(sums.w) > _MOST_BINS and norm != "max":
        _refuse_many(len(sums.w), strategy)
    cells = table.coarsen(_N_NULL, borders=borders, tails=False)
    own = None if groups is None else group_noise(table, cells, rows, groups)
    null = null_draws(cells, raw_kernel(cells, borders, norm, noise), n_draws, rng, own)
    filled = int(np.count_nonzero(sums.w))
    if norm == "max":
        filled_ones = (None if a is None else a[sums.w > 0] for a in sums)
        kept = BinSums(*filled_ones)  # type: ignore[arg-type]
        behind = bin_worth(sums, rows, borders, groups, level)
        return _Part(raw, kept, None, behind, null, filled)
    try:
        merged = merge_small(sums)
    except ValueError as error:
        raise ValueError(
            f"estimate: {error}, and no interval can be had; expected at least two rows."
        ) from error
    of_groups = None if groups is None else grouped(rows, borders, sums, groups)
    return _Part(raw, merged, of_groups, None, null, filled if noise is None else len(merged.w))


def _refuse_many(most: int, strategy: str) -> None:
    what = "outputs that differ" if strategy == "unique" else "bins"
    raise ValueError(
        f"estimate: {most:,} {what}; expected at most {_MOST_BINS:,}, since labels are "
        "simulated in every bin. Use fewer bins, or method='bootstrap', whose interval is not "
        "to be trusted where bins hold a handful of rows."
    )


def _inverted(
    norm: str, parts: list[_Part], level: float, n_draws: int, seed: int, *, plain: bool
) -> Interval:
    """Interval of the error of one problem, or of the mean over the classes."""
    merged = [part.sums for part in parts]
    if not plain:
        of_groups = [part.rows for part in parts if part.rows is not None]
        return normal_interval(norm, merged, of_groups, level, n_draws, seed)
    sums = BinSums(*(np.concatenate([np.asarray(s[i]) for s in merged]) for i in range(5)))
    inflate = SHARED if len(parts) > 1 else 1.0
    return Interval(
        *of_sums(norm, sums, level, n_draws, seed, inflate=inflate), RULES["error"].method
    )


def _joined(norm: str, nulls: list[FloatArray], *, grouped: bool) -> FloatArray:
    """Errors over all problems that labels drawn from the scores would show."""
    total: FloatArray = np.max(nulls, axis=0) if norm == "max" else np.mean(nulls, axis=0)
    if len(nulls) > 1 and norm != "max" and not grouped:
        total = total.mean() + SHARED * (total - total.mean())
    total = np.maximum(total, 0.0)
    return np.sqrt(total) if norm == "l2" else total


def _largest_gap(parts: list[_Part], level: float) -> Interval:
    """Bounds of the largest gap from intervals that hold in all bins at once."""
    w = np.concatenate([part.sums.w for part in parts])
    share = np.concatenate([part.sums.wy for part in parts]) / w
    mean = np.concatenate([part.sums.wp for part in parts]) / w
    rows = np.concatenate([part.worth for part in parts if part.worth is not None])
    low, high = simultaneous(np.clip(share, 0.0, 1.0), rows, level)
    outside = np.maximum(np.maximum(low - mean, mean - high), 0.0)
    farthest = np.maximum(np.abs(mean - low), np.abs(high - mean))
    return Interval(float(outside.max()), float(farthest.max()), RULES["largest"].method)
