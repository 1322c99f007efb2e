"""The numbers of a reliability diagram: everything that the plot shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, logit

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
    Curve,
    Difference,
    Estimate,
    ScoreTable,
    Shape,
    brier_skill_score,
    certify,
    compare,
    corp_miscalibration,
    curve_of,
    estimate_or_value,
    expected_calibration_error,
    smooth_calibration_error,
)
from ._problems import Problem, Problems

N_COUNTS = 50
#: Certified errors up to this get a line in the legend.
_TELLING = 0.1
#: If all dots and bars are within this distance of 0, or of 1, the axes show only that part.
_CORNER = 0.25
#: Share of the scores at each end that does not widen the axes.
_EDGE = 0.005
#: Ends of axes of log-odds, at most.
_FARTHEST = 1e-6
#: The error of each curve: its key in ``estimates_``, its name and its abbreviation.
ERRORS = {
    "binned": ("ece", "ECE", "ECE"),
    "corp": ("mcb", "CORP miscalibration", "MCB"),
    "smooth": ("smooth_ece", "smooth ECE", "smECE"),
}


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
        odds = self.scale == "logit"
        check_real("limits[0]", low, low=0.0, high=1.0, open_low=odds, open_high=odds)
        check_real("limits[1]", high, low=float(low), high=1.0, open_low=True, open_high=odds)


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
    curve: str = "binned"
    scale: str = "probability"

    @property
    def edges(self) -> FloatArray:
        """Edges of the histogram's bars."""
        return edges_of(self.limits, self.scale)

    def error(self, key: Any) -> Estimate:
        """Return the calibration error of a curve."""
        return self.estimates[key][ERRORS[self.curve][0]]


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
    limits = settings.limits
    if isinstance(limits, str):
        limits = _limits([(c, keyed[key].table) for key, c in curves.items()], settings.scale)
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
        {key: counts_of(p.table, edges_of(limits, settings.scale)) for key, p in keyed.items()},
        {key: _proof(p.table, settings) for key, p in keyed.items() if _provable(p, settings)},
        {key: _reversal(p) for key, p in keyed.items() if problems.kind == "binary"},
        _differences(problems, settings.level),
        settings.curve,
        settings.scale,
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
    """Estimate the error of the curve, and the Brier skill if both classes occur."""
    binning: dict[str, Any] = {"strategy": settings.strategy, "n_bins": settings.n_bins}
    metric = {"corp": corp_miscalibration, "smooth": smooth_calibration_error}.get(settings.curve)
    if metric is None:
        error = _estimate(expected_calibration_error, problem, settings, **binning)
    else:
        error = _estimate(metric, problem, settings)
    out = {ERRORS[settings.curve][0]: error}
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


def edges_of(limits: tuple[float, float], scale: str) -> FloatArray:
    """Return the edges of the histogram's bars, of equal width on the scale."""
    if scale == "logit":
        low, high = logit(np.array(limits))
        return np.asarray(expit(np.linspace(low, high, N_COUNTS + 1)))
    return limits[0] + (limits[1] - limits[0]) * np.append(0.0, [*uniform_borders(N_COUNTS), 1.0])


def counts_of(table: ScoreTable, edges: FloatArray) -> FloatArray:
    """Sum the weights of all rows and of events, below the edges, in each bar, and above them."""
    low, high = float(edges[0]), float(edges[-1])
    before, after = [low] if low > 0 else [], [high] if high < 1 else []
    sums = table.sums(np.concatenate((before, edges[1:-1], after)))
    return np.pad(np.array([sums.w, sums.wy]), ((0, 0), (int(low <= 0), int(high >= 1))))


def score_of(curve: Any) -> FloatArray:
    """Return the places of a curve's values."""
    return np.asarray(curve.mean_score if isinstance(curve, Curve) else curve.score)


def _limits(curves: list[tuple[Any, ScoreTable]], scale: str) -> tuple[float, float]:
    """Return the limits of the axes: 0 and 1, or the part in which everything lies."""
    parts = []
    for c, table in curves:
        x, ends = score_of(c), np.array(c[-4:] if isinstance(c, Curve) else [c.frequency])
        if not isinstance(c, Curve):  # single scores at the ends have wide bands
            mass = np.cumsum(table.w)
            first, last = np.searchsorted(mass, mass[-1] * np.array([_EDGE, 1.0 - _EDGE]))
            inside = (x >= table.p[first]) & (x <= table.p[min(last, len(table) - 1)])
            x, ends = x[inside], ends[:, inside]
        parts += [x, ends.ravel()]
    found = np.concatenate(parts)
    found = found[np.isfinite(found)]
    if scale == "logit":
        found = found[(found > 0.0) & (found < 1.0)]
        ends = np.minimum([found.min(initial=0.4), 1.0 - found.max(initial=0.6)], 0.4)
        least = max(_FARTHEST, 0.3 / max(table.n_rows for _, table in curves))  # shows no events
        # Python's powers of ten are those of the literals; NumPy's depend on the processor.
        low, high = (10.0 ** int(k) for k in np.floor(np.log10(np.maximum(ends, least))))
        return float(low), float(1.0 - high)
    if found.max() < _CORNER:
        return 0.0, _round_up(found.max())
    if found.min() > 1.0 - _CORNER:
        return 1.0 - _round_up(1.0 - found.min()), 1.0
    return 0.0, 1.0


def _round_up(value: float) -> float:
    """Round up to 1, 2, 3, 4, 5, 6 or 8 times a power of ten, so that both ends get ticks."""
    power = 10.0 ** int(np.floor(np.log10(max(value, 1e-9))))
    steps = np.array([1, 2, 3, 4, 5, 6, 8, 10]) * power
    return float(min(steps[steps >= value][0], 1.0))
