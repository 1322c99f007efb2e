"""A metric with an interval, and the value that a perfectly calibrated model would show."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.inputs import Rows
from .._core.params import advice, check_choice, check_int, check_real, generator, percent
from .._core.printed import spelled
from .._core.rows import (
    Binary,
    few_groups,
    infer_kind,
    reduce_rows,
    refuse_kind,
    reversal,
    row_counts,
    rows_passed,
    validate_groups,
    validate_problem,
)
from .._core.warnings import CalibrationWarning, FewEventsWarning, counted, warn
from .._numerics.influence import Grouped, reversed_area
from .._numerics.weights import widened
from .._typing import FloatArray, IntArray, Kind, Weights
from ._binned import SPECS as BINNED
from ._decomposition import SPECS as DECOMPOSED
from ._draws import cell_draws, group_noise, null_band, null_draws, row_draws, unit_sums
from ._interval import measure, with_bins
from ._line import SPECS as LINES
from ._loess import SPECS as CURVES
from ._score_interval import interval_of, of_classes, of_table
from ._scoring import SPECS as SCORES
from ._selective import SPECS as SELECTIVE
from ._spec import RULES, Interval, Metric
from ._table import ScoreTable
from ._whole import SPECS as WHOLE
from ._whole_interval import measure_whole

#: Cells of the table on which draws are made. The variance of the scores inside a cell is
#: ignored; it is below (1/512)^2 of the whole.
N_CELLS = 512

#: Calibration errors up to this count as negligible.
_SMALL = 0.05

METRICS: dict[str, Metric] = {m.name: m for m in (*BINNED, *WHOLE, *DECOMPOSED, *CURVES, *SCORES)}
_KNOWN = METRICS | {m.name: m for m in (*SELECTIVE, *LINES)}


@dataclass(frozen=True)
class Estimate:
    """A metric's value, its confidence interval, and the value of a perfectly calibrated model.

    ``float(e)`` is the value. ``print(e)`` shows one line to cite, with all settings.

    Attributes
    ----------
    value : float
        The metric on these rows.
    low, high : float
        Ends of the interval.
    level : float
        Confidence level of the interval, for instance 0.9.
    n : int
        Number of rows.
    name : str
        Name of the metric.
    params : dict
        Its settings, such as norm, strategy and estimator. ``n_bins`` bins were used and
        ``n_bins_asked`` requested; ties and merged small bins leave fewer.
    method : str
        Method of the interval.
    null : float or None
        The value that a perfectly calibrated model with these scores would show on average: the
        mean of the metric over labels drawn from the probabilities.
    null_low, null_high : float or None
        Ends of the null band: the central ``level`` of those values.
    note : str
        A hint if the scores may belong to the other label; otherwise empty.
    caution : str
        Why the interval may be too narrow, or why there is none; otherwise empty.
    p_value : float or None
        For calibration errors without bins: the p-value of "the scores are calibrated", from labels
        drawn from the probabilities.

    Examples
    --------
    >>> from calibkit import estimate
    >>> outcome, probability = [0, 1, 1, 0, 1] * 20, [0.2, 0.7, 0.6, 0.4, 0.3] * 20
    >>> score = estimate("brier_score", outcome, probability)
    >>> round(score.value, 3), score.low < score.value < score.high, score.n
    (0.188, True, 100)
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    name: str
    params: dict[str, Any] = field(default_factory=dict)
    method: str = "bootstrap"
    null: float | None = None
    null_low: float | None = None
    null_high: float | None = None
    note: str = ""
    caution: str = ""
    p_value: float | None = None

    @property
    def verdict(self) -> str | None:
        """What a calibration error means for the model; None for other metrics.

        "miscalibrated": the error is larger than a calibrated model would show,
        ``value > null_high``; its interval begins above 0 (except with the bootstrap).
        "calibrated": no error is detected, and the interval ends at 0.05 or below. "unclear": no
        error is detected, but there are too few rows to exclude one.
        """
        if "norm" not in self.params or self.null_high is None:
            return None
        if self.value > self.null_high:
            return "miscalibrated"
        return "calibrated" if self.high <= _SMALL else "unclear"

    def __float__(self) -> float:
        return self.value

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else str(self)

    def __str__(self) -> str:
        label = _KNOWN[self.name].label if self.name in _KNOWN else self.name
        text = f"{label} {self.value:.4f}, "
        if np.isnan(self.low):
            text += "no interval"
        else:
            text += f"{percent(self.level)} interval [{self.low:.4f}, {self.high:.4f}]"
        if self.null is not None:
            text += (
                f"; if perfectly calibrated {self.null:.4f} "
                f"[{self.null_low:.4f}, {self.null_high:.4f}]"
            )
        more = "".join(
            f". {said[0].upper()}{said[1:]}" for said in (self.caution, self.note) if said
        )
        return f"{text} ({self._settings()}){more}"

    def _settings(self) -> str:
        p = self.params
        parts = [p["kind"].replace("_", "-")] if p.get("kind", "binary") != "binary" else []
        if "norm" in p:
            width = {"uniform": "equal-width", "quantile": "equal-mass", "unique": "single-score"}
            used, asked = p["n_bins"], p.get("n_bins_asked")
            of = f" of {asked}" if isinstance(asked, int) and asked != used else ""
            bins = width.get(p["strategy"], p["strategy"])
            parts += [p["norm"], f"{used}{of} {bins} bins", p["estimator"]]
        parts += [f"{k} {p[k]}" for k in ("scale", "statistic", "loss", "summary") if k in p]
        if isinstance(p.get("bandwidth"), float):
            parts.append(f"bandwidth {p['bandwidth']:.3g}")
        return ", ".join([*parts, self.method, f"n = {self.n:,}"])


def find_metric(metric: str | Callable[..., float]) -> Metric | None:
    """Return the description of a metric; None for a function of the user."""
    if isinstance(metric, str):
        if metric == "squared_calibration_error":
            raise InputError(
                f"metric={spelled(metric)} has no interval, since it may be negative; expected a "
                "clipped error. Use metric='calibration_error': params['unclipped_square'] of its "
                "result is the squared error."
            )
        check_choice("metric", metric, _KNOWN)
        return _KNOWN[metric]
    if not callable(metric):
        raise InputTypeError(
            f"metric={spelled(metric)}; expected a function (y_true, y_prob) -> float, or one of "
            f"the names {', '.join(_KNOWN)}."
        )
    known = _KNOWN.get(getattr(metric, "__name__", ""))
    return known if known is not None and known.function is metric else None


_DATA = ("y_true", "y_prob", "sample_weight", "weights", "pos_label", "classes")


def check_settings(spec: Metric | None, params: dict[str, Any]) -> None:
    """Raise if the metric does not have one of these settings."""
    if spec is None:
        return
    known = [p for p in inspect.signature(spec.function).parameters if p not in _DATA]
    _, _, _, *own, _ = inspect.signature(estimate).parameters
    for name in params:
        if name not in known:
            raise InputTypeError(
                f"{spec.name} has no setting {spelled(name)}; it has "
                f"{', '.join(known) or 'none'}{advice(name, [*known, *own])}."
            )


@counted()
def estimate(
    metric: str | Callable[..., float],
    y_true: Any,
    y_prob: Any = None,
    *,
    level: float = 0.9,
    method: Literal["auto", "bootstrap"] = "auto",
    n_resamples: int = 1000,
    groups: Any = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
    random_state: Any = None,
    **params: Any,
) -> Estimate:
    """Estimate a metric with its confidence interval and the value of a perfectly calibrated model.

    Use it to see whether a calibration error is larger than chance explains.

    Parameters
    ----------
    metric : callable or str
        A metric of calibkit or its name, or any function ``(y_true, y_prob) -> float``.
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of unweighted rows. For two classes also fractions of events in
        [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    level : float, default=0.9
        Confidence level of the interval and of the null band (the range for a calibrated model).
    method : {"auto", "bootstrap"}, default="auto"
        How the interval is computed. "auto" uses the method with the best coverage for the metric,
        see Notes.
    n_resamples : int, default=1000
        Number of simulated label sets for calibration errors and for the null band, and of
        bootstrap samples where the bootstrap is used.
    groups : array-like of shape (n,), optional
        Group of each row, such as a patient, problem or repository. Rows of one group may depend
        on each other.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether a weight is a row's share of the population (a constant factor changes nothing, and
        uneven weights widen the interval), or a count of rows (the estimate is that of repeated
        rows; a label 0.3 with weight 10 is 3 events in 10 rows).
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the simulations.
    **params
        Settings of the metric, such as ``norm``, ``strategy``, ``n_bins``, ``scale`` or ``kind``.

    Returns
    -------
    estimate : Estimate
        Value, interval, null band and settings. It prints as one line.

    Raises
    ------
    ValueError
        If the data or settings are invalid; if a weighted table is given (pass the rows instead);
        or if one class has a single row and the metric is a loss or a skill score.
    TypeError
        If ``metric`` is neither a function nor a name.

    Warns
    -----
    FewEventsWarning
        If there are too few events, or if very few rows dominate a score.
    FewGroupsWarning
        If there are fewer than ten groups.

    Notes
    -----
    Calibration errors: the interval inverts a test. It contains all true errors that agree with the
    observed error. Labels are simulated from binomial distributions, so the interval is valid with
    few events too. It begins at 0 if the rows do not exclude a calibrated model. It is an interval
    for the error on these bins (with "quantile", the bins that these rows give), which is a lower
    bound of the error of a continuous model. With weights or groups, normal noise replaces the
    binomial simulation. For "max", the bounds come from simultaneous exact intervals of all bins,
    with effective numbers of rows (Kish 1965; Korn and Graubard 1998).
    ``benchmarks/interval_coverage.py`` prints the coverage.

    Errors without bins (smooth, kernel, cumulative, CORP, loess): the same, with labels simulated
    in up to 200 cells of the scores. The tested hypotheses scale the gaps of equal-mass bins. The
    attribute ``p_value`` compares the value with labels drawn from the scores. With groups, normal
    noise per group replaces the binomial simulation.

    Losses: Student's t over rows, or over groups, with the degrees of freedom of the rarer class
    (Welch 1947; Satterthwaite 1946, for weights and groups of uneven size). Skill scores: Student's
    t over the influences of the rows. Area under the risk-coverage curve: as for skill scores, on
    the logit scale. ROC AUC: Newcombe's interval (2006, method 5), in which DeLong's variance
    counts more if there are more events.

    With fewer than ten (effective) rows of the rarer class, the intervals of losses, skill scores
    and the risk-coverage area may be too narrow: a warning and the attribute ``caution`` say so.
    With a single row of a class they have no interval. With fewer than ten (effective) groups any
    interval may be too narrow. ``benchmarks/score_intervals.py`` prints the coverage;
    ``docs/intervals.md`` lists the methods.

    Other functions, and ``method="bootstrap"``: the basic bootstrap, ``[2v - q(1 - a/2), 2v -
    q(a/2)]`` with the quantiles q of the bootstrap values, cut at the metric's range and, if
    needed, widened to include the value v. It is also widened for few or uneven groups and for
    uneven sampling weights. With few events it covers far less than its level.

    Binary and top-label metrics are simulated on about 512 cells of a :class:`ScoreTable`. K-class
    scores and other functions are evaluated ``n_resamples`` times. Null band and interval both
    allow for weights and groups, but K-class scores with groups have no null band. The interval of
    an error begins above 0 if and only if the value is above the null band, except for
    ``method="bootstrap"``.

    References
    ----------
    R. Newcombe (2006). Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2. Statistics in Medicine 25(4). --- F. Satterthwaite (1946). An approximate
    distribution of estimates of variance components. Biometrics Bulletin 2(6). --- B. Welch (1947).
    The generalization of Student's problem. Biometrika 34. --- L. Kish (1965). Survey sampling.
    Wiley.

    Examples
    --------
    These probabilities are calibrated. Their error on 164 rows is not zero, but its interval
    contains zero, and a perfectly calibrated model would show an error of about 0.09.

    >>> import numpy as np
    >>> from calibkit import estimate, expected_calibration_error
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(164)
    >>> y = rng.random(164) < p
    >>> e = estimate(expected_calibration_error, y, p, random_state=0)
    >>> round(e.value, 2), e.low, round(e.null, 2)
    (0.12, 0.0, 0.09)
    """
    _check_draws(method, level, n_resamples)
    spec = find_metric(metric)
    function = metric if spec is None else spec.function
    assert callable(function)
    check_settings(spec, params)
    kind: Kind | None = params.pop("kind", None) if spec is not None else None
    rows: Rows | None = None
    codes: IntArray | None = None
    if isinstance(y_true, ScoreTable):
        table = _checked_table(spec, y_true, kind, groups, sample_weight)
        kind, n, effective = "binary", table.n_rows, table.effective_rows
        problems = iter([(table, Binary(table.p, table.wy, None))])  # rows are not needed
    else:
        rows, codes = _rows_of(groups, y_true, y_prob, sample_weight, weights, pos_label, classes)
        kind = _kind(spec, rows, kind)
        n, effective = row_counts(rows.w, len(rows.y), weights)
        binaries = [] if spec is None else reduce_rows(rows, kind, weights)
        problems = ((ScoreTable._from_binary(b), b) for b in binaries)
    note = ""
    if spec is not None and kind == "binary":
        problems, area = _with_area(problems, codes)
        note = reversal(area, y_true, y_prob, pos_label)
    filled = None if spec is None else spec.settings
    shown = params | ({"kind": kind} if kind == "top_label" else {})
    settings = shown if filled is None else filled(kind, n, effective, **params)
    rng, name = generator(random_state), getattr(function, "__name__", type(function).__name__)
    few = "" if codes is None or rows is None else few_groups(codes, rows.w)
    if spec is not None and method == "auto" and ("norm" in settings or spec.whole):
        measured = measure if spec.whole is None else partial(measure_whole, spec)
        error = measured(problems, settings, level, n_resamples, rng, codes)
        told = *error[:3], level, n, name, error.settings, error.method
        return Estimate(*told, *error.band, note, few, error.p_value)
    request = _Request(function, spec, kind, method, level, n_resamples, rng, params, settings)
    if spec is not None and kind != "classwise":
        table, binary = next(problems)
        value, ends, null = _on_cells(request, table, binary, codes)
        settings = _with_bins(spec, table, settings)
    else:
        assert rows is not None
        params |= {} if filled is None else {"kind": kind}
        if weights == "frequency":
            rows, codes = _repeated(rows, codes)
        value, ends, null = _on_rows(request, rows, codes)
    told = float(value), ends.low, ends.high, level, n, name, settings, ends.method
    return _judged(Estimate(*told, *null_band(null, level), note), ends, few)


class _Request(NamedTuple):
    """A metric with all settings of its estimate."""

    function: Callable[..., float]
    spec: Metric | None
    kind: Kind
    method: str
    level: float
    n_resamples: int
    rng: np.random.Generator
    params: dict[str, Any]
    settings: dict[str, Any]


class NoIntervalError(InputError):
    """These rows allow no interval; ``point`` is the estimate without one."""

    def __init__(self, message: str, point: Estimate) -> None:
        super().__init__(message)
        self.point = point


def estimate_or_value(*args: Any, **settings: Any) -> Estimate:
    """Call :func:`estimate`; the ends are NaN if the rows allow no interval."""
    try:
        return estimate(*args, **settings)
    except NoIntervalError as error:
        return error.point


def _judged(point: Estimate, ends: Interval, few: str) -> Estimate:
    """Add the interval's caution to the estimate; raise if there is no interval."""
    if ends.refusal:
        no_ends: dict[str, Any] = {"low": np.nan, "high": np.nan, "method": "no interval"}
        raise NoIntervalError(
            f"{ends.refusal}; expected at least two rows of each class for an interval of "
            f"{point.name}. For the value without an interval call {point.name}(...).",
            replace(point, **no_ends, caution=ends.refusal),
        )
    if ends.caution and not few:
        warn(f"{point.name}: {ends.caution}.", FewEventsWarning)
    return replace(point, caution=few or ends.caution)


def _check_draws(method: str, level: float, n_resamples: int) -> None:
    check_choice("method", method, ("auto", "bootstrap"))
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    check_int("n_resamples", n_resamples, low=10)


def _with_area(
    problems: Iterator[tuple[ScoreTable, Binary]], groups: IntArray | None
) -> tuple[Iterator[tuple[ScoreTable, Binary]], float | None]:
    """Return the one problem, and its ROC AUC if that is significantly below 0.5."""
    table, b = next(problems)
    sums = table.w, table.wy, table.w2, table.w2y
    area = reversed_area(*sums)
    if area is not None and groups is not None:
        area = reversed_area(*sums, Grouped(np.searchsorted(table.p, b.p), b.y, b.w, groups))
    return iter([(table, b)]), area


def _with_bins(spec: Metric, table: ScoreTable, settings: dict[str, Any]) -> dict[str, Any]:
    """Add the number of bins used to the settings of a binned metric."""
    if spec.borders is None:
        return settings
    bins = table.sums(spec.borders(table, **settings))
    return with_bins(settings, int(np.count_nonzero(bins.w)))


def _on_cells(
    request: _Request, table: ScoreTable, binary: Binary, groups: IntArray | None
) -> tuple[float, Interval, FloatArray | None]:
    """Return value, interval, and draws of the metric with labels drawn from the scores."""
    spec, level, rng = request.spec, request.level, request.rng
    assert spec is not None
    value = spec.function(table, **request.params)
    cells, kernel = spec.cells(table, N_CELLS, **request.settings)
    if request.method == "auto" and spec.ends is not None:
        rows = None if table.plain and groups is None else binary
        ends = spec.ends(table, rows, groups, level)
    elif request.method == "auto":
        ends = interval_of(spec, value, of_table(spec, table, binary, groups), level)
    else:
        alone = table.plain and groups is None
        units = None if alone else unit_sums(table, cells, binary, groups)
        draws = cell_draws(cells, kernel, units, request.n_resamples, rng)
        draws = widened(draws, groups, level, None if alone else binary.w)
        ends = _bootstrap(value, draws, level)
    noise = None if groups is None else group_noise(table, cells, binary, groups)
    null = null_draws(cells, kernel, request.n_resamples, rng, noise)
    return value, _inside(spec, value, ends, request.kind), np.clip(null, *spec.bounds)


def _on_rows(
    request: _Request, rows: Rows, groups: IntArray | None
) -> tuple[float, Interval, FloatArray | None]:
    """Do the same for K classes, and for any function, by evaluating it on drawn rows."""
    spec, level = request.spec, request.level
    n_draws = 0 if spec is not None and request.method == "auto" else request.n_resamples
    data = rows, groups, n_draws, request.n_resamples
    value, draws, null = row_draws(request.function, spec, *data, request.rng, request.params)
    if spec is not None and request.method == "auto":
        ends = interval_of(spec, value, of_classes(spec, rows, groups), level)
    else:
        ends = _bootstrap(value, widened(draws, groups, level, rows.w), level)
    return value, _inside(spec, value, ends, request.kind), null


def _rows_of(groups: Any, *given: Any) -> tuple[Rows, np.ndarray | None]:
    """Return checked rows of positive weight, and the codes of their groups."""
    rows = validate_problem(*given, fractions=True)
    _, _, sample_weight, weights, *_ = given
    if rows.w is not None and weights == "sampling" and rows.w.min() == rows.w.max():
        rows = rows._replace(w=None)
    if groups is None:
        return rows, None
    n = rows_passed(sample_weight, len(rows.y))
    return rows, validate_groups(groups, sample_weight, n)


#: At most so many rows are repeated by frequency weights, for metrics evaluated row by row.
_MOST_REPEATED = 10_000_000


def _repeated(rows: Rows, groups: IntArray | None) -> tuple[Rows, IntArray | None]:
    """Repeat rows by their weights; split fractions into events and non-events."""
    if rows.w is None:
        return rows, groups
    if rows.w.sum() > _MOST_REPEATED:
        raise InputError(
            f"weights='frequency' and {rows.w.sum():,.0f} rows, too many to repeat one by one; "
            f"expected at most {_MOST_REPEATED:,}. Estimate one binary problem at a time, or use "
            "weights='sampling'."
        )
    n = rows.w.astype(np.int64)
    at, y = np.repeat(np.arange(len(n)), n), rows.y
    if y.dtype.kind == "f":
        events = np.rint(n * y).astype(np.int64)
        first = np.cumsum(n) - n
        y = (np.arange(len(at)) - first[at] < events[at]).view(np.int8)
    else:
        y = y[at]
    return Rows(rows.scores[at], y, None, rows.classes), None if groups is None else groups[at]


def _checked_table(
    spec: Metric | None, table: ScoreTable, kind: Any, groups: Any, sample_weight: Any
) -> ScoreTable:
    refuse_kind(kind)
    if spec is None:
        raise InputTypeError(
            "a ScoreTable with a function that is not one of calibkit's metrics; expected one of "
            "these. For your own function pass y_true and y_prob."
        )
    if groups is not None or sample_weight is not None:
        raise InputError(
            "groups or sample_weight together with a ScoreTable, which does not keep single rows; "
            "expected y_true and y_prob instead of the table."
        )
    if not table.plain:
        raise InputError(
            "the table has weighted rows or fractions, so an interval can't be computed from it; "
            "expected y_true, y_prob and sample_weight, or a table with weights='frequency'."
        )
    return table


def _kind(spec: Metric | None, rows: Rows, kind: Kind | None) -> Kind:
    """Return the kind of probabilities that the metric measures."""
    k = rows.scores.n_classes
    if spec is None:
        return "binary"
    if spec.settings is None and spec.interval != "risk":
        return "binary" if k == 2 else "classwise"
    return infer_kind(kind, k)


def _bootstrap(value: float, draws: FloatArray, level: float) -> Interval:
    """Return the basic bootstrap interval."""
    failed = 1.0 - np.isfinite(draws).mean()
    draws = draws[np.isfinite(draws)]
    if len(draws) == 0:
        raise InputError(
            "the metric failed on every bootstrap sample; expected a function that accepts rows "
            "drawn with replacement."
        )
    if failed > 2 / 3:
        warn(
            f"the metric is not defined on {failed:.0%} of the bootstrap samples (too few rows, "
            "or a class is missing). These are left out, so the interval may be too narrow.",
            CalibrationWarning,
        )
    upper, lower = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(2 * value - lower, 2 * value - upper, RULES["function"].method)


def _inside(spec: Metric | None, value: float, ends: Interval, kind: Kind) -> Interval:
    """Limit the interval to the metric's range, and widen it to contain the value."""
    low, high = min(ends.low, value), max(ends.high, value)
    if spec is not None:
        several = spec.name == "brier_score" and kind == "classwise"
        most = 2.0 if several else spec.bounds[1]
        low, high = max(low, spec.bounds[0]), min(high, max(most, value))
    return ends._replace(low=float(low), high=float(high))
