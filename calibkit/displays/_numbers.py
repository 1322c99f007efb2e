"""The numbers of a reliability diagram: everything that the plot shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.params import check_int, check_real
from .._core.printed import spelled
from .._core.rows import reversal
from .._core.warnings import silent
from .._numerics.binning import uniform_borders
from .._numerics.influence import Grouped, reversed_area
from .._typing import FloatArray, Kind
from ..metrics import (
    METRICS,
    N_DRAWS,
    Difference,
    Estimate,
    ScoreTable,
    Shape,
    brier_skill_score,
    certify,
    compare,
    curve_of,
    estimate_or_value,
    expected_calibration_error,
)
from ._problems import Problem, Problems

N_COUNTS = 50
#: Certified errors up to this get a line in the legend.
_TELLING = 0.1
#: If all dots and bars are within this distance of 0, or of 1, the axes show only that part.
_CORNER = 0.25


@dataclass(frozen=True)
class Settings:
    """Settings of the numbers."""

    strategy: str
    n_bins: int | str
    interval: str
    level: float
    n_resamples: int
    random_state: Any
    limits: str | tuple[float, float]
    curve: str = "binned"
    scale: str = "probability"

    @property
    def shape(self) -> Shape:
        """Settings of the curves."""
        bins = self.strategy, self.n_bins
        return Shape(self.curve, *bins, self.scale, self.interval, self.level)

    def check(self) -> None:
        """Raise if a setting is invalid; the binning is checked with the data."""
        self.shape.check()
        check_int("n_resamples", self.n_resamples, low=0)
        if isinstance(self.limits, str) and self.limits == "auto":
            return
        if not isinstance(self.limits, (tuple, list)) or len(self.limits) != 2:
            error = InputError if isinstance(self.limits, str) else InputTypeError
            raise error(f"limits={spelled(self.limits)}; expected 'auto' or (low, high).")
        low, high = self.limits
        check_real("limits[0]", low, low=0.0, high=1.0)
        check_real("limits[1]", high, low=float(low), high=1.0, open_low=True)


@dataclass(frozen=True)
class Numbers:
    """Curves, estimates and counts, by model, or by (model, class) for a class-wise plot."""

    kind: Kind
    level: float
    models: list[str]
    labels: list[Any]
    n_classes: int
    n_rows: int | None
    weighted: bool
    limits: tuple[float, float]
    curves: dict[Any, Any]
    estimates: dict[Any, dict[str, Estimate]]
    counts: dict[Any, FloatArray]
    #: Certified bound of each model's error, as text; empty if it is not low.
    proofs: dict[Any, str]
    #: Hint for each model that its scores may belong to the other label; else empty.
    notes: dict[Any, str]
    #: Brier scores of models minus that of another one.
    differences: tuple[Difference, ...] = ()

    @property
    def edges(self) -> FloatArray:
        """Edges of the histogram's bars."""
        return np.linspace(*self.limits, N_COUNTS + 1)


def key_of(model: str, label: Any) -> Any:
    """Return the key of a curve's numbers."""
    return model if label is None else (model, label)


def numbers_of(problems: Problems, settings: Settings) -> Numbers:
    """Compute all numbers of a plot."""
    settings.check()
    keyed = {key_of(p.model, p.label): p for p in problems.problems}
    drawn = settings.shape, N_DRAWS, settings.random_state
    curves = {key: curve_of(p.table, p.rows, p.groups, *drawn) for key, p in keyed.items()}
    estimates = {key: _estimates(p, settings) for key, p in keyed.items()}
    limits = _limits(list(curves.values())) if settings.limits == "auto" else settings.limits
    assert not isinstance(limits, str)
    sizes = {p.table.n_rows for p in problems.problems}
    return Numbers(
        problems.kind,
        settings.level,
        list(dict.fromkeys(p.model for p in problems.problems)),
        list(dict.fromkeys(p.label for p in problems.problems)),
        problems.n_classes,
        sizes.pop() if len(sizes) == 1 else None,
        any(p.table.weighted for p in problems.problems),
        (float(limits[0]), float(limits[1])),
        curves,
        estimates,
        {key: counts_of(p.table, limits) for key, p in keyed.items()},
        {key: _proof(p.table, settings) for key, p in keyed.items() if _provable(p, settings)},
        {key: _reversal(p) for key, p in keyed.items() if problems.kind == "binary"},
        _differences(problems, settings.level),
    )


def _differences(problems: Problems, level: float) -> tuple[Difference, ...]:
    """Compare the Brier scores of two models, or of more with the lowest one."""
    if problems.given is None:
        return ()
    with silent():
        found = compare("brier_score", level=level, **problems.given).differences
    names = list(dict.fromkeys(p.model for p in problems.problems))
    known = [d for d in found if np.isfinite(d.low) and np.isfinite(d.high)]
    return tuple(replace(d, first=names[int(d.first)], second=names[int(d.second)]) for d in known)


def _provable(problem: Problem, settings: Settings) -> bool:
    """Whether a certificate is possible and wanted: equal, independent rows of one problem."""
    plain = problem.rows is None and problem.table.plain and problem.label is None
    return plain and settings.n_resamples > 0 and problem.table.n_rows > 1


def _proof(table: ScoreTable, settings: Settings) -> str:
    seed = settings.random_state if isinstance(settings.random_state, int) else 0
    return proof_text(certify(table, level=settings.level, random_state=seed).l2[1])


def proof_text(highest: float) -> str:
    """Return a certified upper bound of the error as text, if it is low."""
    return f"certified: RMS error at most {highest:.3f}" if highest <= _TELLING else ""


def _reversal(problem: Problem) -> str:
    t, rows = problem.table, problem.rows
    grouped = None
    if rows is not None and problem.groups is not None:
        grouped = Grouped(np.searchsorted(t.p, rows.p), rows.y, rows.w, problem.groups)
    return reversal(reversed_area(t.w, t.wy, t.w2, t.w2y, grouped))


def _estimates(problem: Problem, settings: Settings) -> dict[str, Estimate]:
    """Estimate the ECE on the bins of the plot, and the Brier skill if both classes occur."""
    binning = {"strategy": settings.strategy, "n_bins": settings.n_bins}
    out = {"ece": _estimate(expected_calibration_error, problem, settings, **binning)}
    if 0 < problem.table.base_rate < 1:
        with (
            silent()
        ):  # few groups have raised a warning already; few events are no concern of plots
            out["skill"] = _estimate(brier_skill_score, problem, settings)
    return out


def _estimate(metric: Any, problem: Problem, settings: Settings, **params: Any) -> Estimate:
    table, rows = problem.table, problem.rows
    drawing: dict[str, Any] = {
        "level": settings.level,
        "n_resamples": settings.n_resamples,
        "random_state": settings.random_state,
    }
    if settings.n_resamples == 0 or (rows is None and not table.plain):
        name, n = metric.__name__, table.n_rows
        known = METRICS[name].settings
        size = n, table.effective_rows
        shown = known("binary", *size, **params) if known is not None else params
        ends = (np.nan, np.nan, settings.level)
        return Estimate(metric(table, **params), *ends, n, name, shown, "no interval")
    if rows is None:
        return estimate_or_value(metric, table, **drawing, **params)
    weights = "frequency" if rows.counts else "sampling"
    drawing |= {"sample_weight": rows.w, "weights": weights, "groups": problem.groups}
    drawing |= {"pos_label": 1}
    return estimate_or_value(metric, rows.y, rows.p, **drawing, **params)


def counts_of(table: ScoreTable, limits: tuple[float, float]) -> FloatArray:
    """Sum the weights of the scores below the limits, in each bar between, and above them."""
    low, high = limits
    inner = low + (high - low) * uniform_borders(N_COUNTS)
    before, after = [low] if low > 0 else [], [high] if high < 1 else []
    counts = table.sums(np.concatenate((before, inner, after))).w
    return np.pad(counts, (int(low <= 0), int(high >= 1)))


def _limits(curves: list[Any]) -> tuple[float, float]:
    """Return the limits of the axes: 0 and 1, or the corner in which everything lies."""
    ends = np.concatenate([np.concatenate((c.mean_score, *c[5:])) for c in curves])
    if ends.max() < _CORNER:
        return 0.0, _round_up(ends.max())
    if ends.min() > 1.0 - _CORNER:
        return 1.0 - _round_up(1.0 - ends.min()), 1.0
    return 0.0, 1.0


def _round_up(value: float) -> float:
    """Round up to 1, 2, 3, 4, 5, 6 or 8 times a power of ten, so that both ends get ticks."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-9)))
    steps = np.array([1, 2, 3, 4, 5, 6, 8, 10]) * power
    return float(min(steps[steps >= value][0], 1.0))
