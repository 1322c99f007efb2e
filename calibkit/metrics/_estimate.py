"""Any metric with its uncertainty, and beside it what a calibrated model would show."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.inputs import Rows
from .._core.params import advice, check_choice, check_int, check_real, percent
from .._core.random import generator
from .._core.warnings import CalibrationWarning, warn
from .._numerics.area import Grouped, reversed_area
from .._numerics.links import FloatArray, IntArray
from .._numerics.weights import row_count
from ._binned import SPECS as BINNED
from ._interval import measure
from ._resampling import cell_draws, null_band, null_draws, row_draws, widened
from ._reversed import reversal
from ._rows import infer_kind, read_groups, read_problem, reduce_rows, refuse_kind
from ._scoring import SPECS as SCORES
from ._spec import Metric
from ._table import ScoreTable

#: Cells of the table that draws are taken on: the within-cell spread they leave out is below
#: (1/512)^2 of the variance.
N_CELLS = 512

#: Calibration errors up to this are as good as none.
_SMALL = 0.05

METRICS: dict[str, Metric] = {m.name: m for m in (*BINNED, *SCORES)}


@dataclass(frozen=True)
class Estimate:
    """A metric's value, its interval, and what a perfectly calibrated model would show.

    ``float(e)`` is the value; ``str(e)`` is one line to cite, settings included.

    Attributes
    ----------
    value : float
        The metric on these rows.
    low, high : float
        Ends of the interval.
    level : float
        Nominal coverage of the interval, for instance 0.9.
    n : int
        Number of rows.
    name : str
        Name of the metric.
    params : dict
        Its settings: norm, strategy, bins used, estimator.
    method : str
        How the interval was made.
    null : float or None
        Mean of the metric over labels drawn from the probabilities themselves: the value a
        perfectly calibrated model with these scores would show at this n.
    null_low, null_high : float or None
        Ends of the null band: the central ``level`` of those values.
    note : str
        What else is to be said: that the scores rank the labels the wrong way round, beyond doubt,
        and how to say that they are those of the other label.
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

    @property
    def verdict(self) -> str | None:
        """What a calibration error says of the model; None for other metrics.

        "miscalibrated": more error than a calibrated model shows, ``value > null_high``. Such an
        error's interval begins above 0, that of any other at 0, but for bootstrap intervals.
        "calibrated": no error seen, and none above 0.05 is compatible with the rows. "unclear": no
        error seen, but the rows are too few to exclude one.
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
        label = METRICS[self.name].label if self.name in METRICS else self.name
        text = f"{label} {self.value:.4f}, {percent(self.level)} interval "
        text += f"[{self.low:.4f}, {self.high:.4f}]"
        if self.null is not None:
            text += (
                f"; if perfectly calibrated {self.null:.4f} "
                f"[{self.null_low:.4f}, {self.null_high:.4f}]"
            )
        return f"{text} ({self._settings()})" + (f". {self.note}" if self.note else "")

    def _settings(self) -> str:
        p = self.params
        parts = [p["kind"].replace("_", "-")] if p.get("kind", "binary") != "binary" else []
        if "norm" in p:
            width = {"uniform": "equal-width", "quantile": "equal-mass", "unique": "single-score"}
            parts += [p["norm"], f"{p['n_bins']} {width[p['strategy']]} bins", p["estimator"]]
        return ", ".join([*parts, self.method, f"n = {self.n:,}"])


def find_metric(metric: str | Callable[..., float], where: str) -> Metric | None:
    """What is known of a metric; None for a function that is not one of ours."""
    if isinstance(metric, str):
        check_choice(where, "metric", metric, METRICS)
        return METRICS[metric]
    if not callable(metric):
        raise TypeError(
            f"{where}: metric={metric!r}; expected a function (y_true, y_prob) -> float, or one "
            f"of the names {', '.join(METRICS)}."
        )
    known = METRICS.get(getattr(metric, "__name__", ""))
    return known if known is not None and known.function is metric else None


#: What ``estimate`` and scorers hand to a metric themselves.
_OWN = ("level", "method", "n_resamples", "groups", "sample_weight", "random_state")
_DATA = ("y_true", "y_prob", "sample_weight", "pos_label", "classes")


def check_settings(spec: Metric | None, params: dict[str, Any], where: str) -> None:
    """Raise if a setting is none of the metric's."""
    if spec is None:
        return
    known = [p for p in inspect.signature(spec.function).parameters if p not in _DATA]
    for name in params:
        if name not in known:
            raise TypeError(
                f"{where}: {spec.name} has no setting {name!r}; it has {', '.join(known) or 'none'}"
                f"{advice(name, [*known, *_OWN])}."
            )


def estimate(
    metric: str | Callable[..., float],
    y_true: Any,
    y_prob: Any = None,
    *,
    level: float = 0.9,
    method: str = "auto",
    n_resamples: int = 1000,
    groups: Any = None,
    sample_weight: Any = None,
    pos_label: Any = None,
    classes: Any = None,
    random_state: Any = None,
    **params: Any,
) -> Estimate:
    """A metric with an interval, and the value a perfectly calibrated model would show.

    Parameters
    ----------
    metric : callable or str
        One of calibkit's metrics or its name, or any function ``(y_true, y_prob) -> float``.
    y_true : array-like of shape (n,), or ScoreTable
        Labels; or a table of unweighted rows.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label, or of every class.
    level : float, default=0.9
        Nominal coverage of the interval and of the null band.
    method : {"auto", "bootstrap"}, default="auto"
        How the interval is made: "auto" inverts a test for calibration errors and draws rows for
        all other metrics.
    n_resamples : int, default=1000
        Number of draws: of rows, of labels in the test, and for the null band.
    groups : array-like of shape (n,), optional
        Rows of one group (a patient, a problem, a repository) are drawn together.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0; they stay with their rows, which are drawn with equal chances.
    pos_label : label, optional
        The event, for two classes; default: the larger label.
    classes : array-like, optional
        All class labels in sorted order, where ``y_true`` may miss some.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.
    **params
        Settings of the metric: ``norm``, ``strategy``, ``n_bins``, ``kind``.

    Returns
    -------
    estimate : Estimate
        Value, interval, null band and settings; prints as one line.

    Raises
    ------
    ValueError
        If the data or settings are not of the kind described, or a weighted table is given
        (its rows can't be drawn again: pass the rows).
    TypeError
        If ``metric`` is neither a function nor a name.

    Notes
    -----
    Calibration errors: the interval holds the errors of those hypotheses (true gaps of the bins)
    under which labels would not show an error as large, or as small, as the observed one; labels
    are drawn from binomial distributions, so few events do not break it. It begins at 0 where a
    calibrated model can't be excluded, and its length does not shrink to 0 where the observed error
    happens to be small. It is an interval for the error on these bins (of "quantile" bins, those
    the rows have led to), which is a lower bound of the error of a continuous model.
    ``benchmarks/interval_coverage.py`` prints its coverage. With weights or groups, normal noise
    stands in for binomial draws. For "max", bounds from exact intervals of all bins at once.

    Other metrics: the basic bootstrap, ``[2v - q(1 - a/2), 2v - q(a/2)]`` of the draws' quantiles
    q, cut at the metric's range and widened, if need be, to hold the value v. Draws of G groups are
    spread by ``sqrt(G / (G - 1))`` times the ratio of Student's quantile on G - 1 degrees of
    freedom to the normal one, with Kish's effective G where groups differ in size.

    Binary and top-label metrics of unweighted rows are drawn on about 512 cells of a
    :class:`ScoreTable`, whatever the number of rows; weights, K-class scores and other functions
    draw rows, at the cost of ``n_resamples`` evaluations. The null band takes the rows as
    independent, also where there are groups.

    Examples
    --------
    An error of 0.09 at n = 164 is nothing: a calibrated model shows the same.

    >>> import numpy as np
    >>> from calibkit import estimate, expected_calibration_error
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(164)
    >>> y = rng.random(164) < p
    >>> e = estimate(expected_calibration_error, y, p, random_state=0)
    >>> print(e)  # doctest: +SKIP
    """
    where = "estimate"
    check_choice(where, "method", method, ("auto", "bootstrap"))
    check_real(where, "level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    check_int(where, "n_resamples", n_resamples, low=10)
    spec = find_metric(metric, where)
    function = metric if spec is None else spec.function
    assert callable(function)
    check_settings(spec, params, where)
    kind = params.pop("kind", None) if spec is not None else None
    rows: Rows | None = None
    if isinstance(y_true, ScoreTable):
        table: ScoreTable | None = _checked_table(spec, y_true, groups, sample_weight)
        refuse_kind(where, kind)
        kind, codes, n = "binary", None, y_true.n_rows
        counted = y_true.counted_rows
    else:
        rows, codes = _read(y_true, y_prob, sample_weight, groups, pos_label, classes)
        kind, table = _kind_and_table(spec, rows, kind)
        n = len(rows.y)
        counted = row_count(rows.w, n)
    settings = dict(params)
    if spec is not None and spec.settings is not None:
        settings = spec.settings(kind, counted, **params)
        params["kind"] = kind
    note = ""
    if spec is not None and kind == "binary":
        note = reversal(_area(table, rows, codes), y_true, y_prob, pos_label)
    rng = generator(random_state)
    if spec is not None and "norm" in settings and method == "auto":
        whole = table is not None and codes is None
        problems: list[Any] = [table] if whole else reduce_rows(_needed(rows), kind or "binary")
        found = measure(problems, settings, level, n_resamples, rng, codes)
        ends = found.value, found.low, found.high, level, n, spec.name
        return Estimate(*ends, found.settings, found.method, *found.band, note)
    if spec is not None and table is not None:
        params.pop("kind", None)  # the table has settled it
        value = spec.function(table, **params)
        cells, kernel = spec.cells(table, N_CELLS, **settings)
        draws = cell_draws(cells, kernel, rows, kind, codes, n_resamples, rng)
        null: FloatArray | None = null_draws(cells, kernel, n_resamples, rng)
    else:
        value, draws, null = row_draws(
            function, spec, _needed(rows), codes, n_resamples, rng, params
        )
    low, high = _interval(spec, value, widened(draws, codes, level), level, kind)
    name = getattr(function, "__name__", type(function).__name__)
    band = null_band(null, level)
    ends = float(value), low, high, level, n, name
    return Estimate(*ends, settings, "bootstrap", *band, note)


def _area(table: ScoreTable | None, rows: Rows | None, groups: IntArray | None) -> float | None:
    """Area under the curve where the scores rank the wrong way round; rows have two classes."""
    if table is None:
        table = ScoreTable.from_binary(reduce_rows(_needed(rows), "binary")[0])
    sums = table.w, table.wy, table.w2, table.w2y
    area = reversed_area(*sums)
    if area is None or groups is None:
        return area
    b = reduce_rows(_needed(rows), "binary")[0]
    return reversed_area(*sums, Grouped(np.searchsorted(table.p, b.p), b.y, b.w, groups))


def _needed(rows: Rows | None) -> Rows:
    assert rows is not None  # a table stands for unweighted, ungrouped rows only
    return rows


def _read(
    y_true: Any, y_prob: Any, sample_weight: Any, groups: Any, pos_label: Any, classes: Any
) -> tuple[Rows, np.ndarray | None]:
    """Checked rows of positive weight, and the codes of their groups."""
    rows = read_problem(
        y_true, y_prob, sample_weight, pos_label=pos_label, classes=classes, where="estimate"
    )
    if groups is None:
        return rows, None
    n = len(rows.y) if sample_weight is None else len(np.asarray(sample_weight))
    return rows, read_groups(groups, sample_weight, n, "estimate")


def _checked_table(
    spec: Metric | None, table: ScoreTable, groups: Any, sample_weight: Any
) -> ScoreTable:
    where = "estimate"
    if spec is None:
        raise TypeError(f"{where}: a ScoreTable needs one of calibkit's own metrics.")
    if groups is not None or sample_weight is not None:
        raise ValueError(
            f"{where}: groups or sample_weight beside a ScoreTable, whose rows are no longer "
            "known; expected y_true and y_prob."
        )
    if table.weighted:
        raise ValueError(
            f"{where}: the table has weighted rows, which can't be drawn again; expected "
            "y_true, y_prob and sample_weight instead."
        )
    return table


def _kind_and_table(
    spec: Metric | None, rows: Rows, kind: str | None
) -> tuple[str, ScoreTable | None]:
    """The kind of error, and a table if it stands for the rows."""
    if spec is None:
        return "binary", None
    k = rows.scores.n_classes
    if spec.settings is None:
        kind = "binary" if k == 2 else "classwise"
    elif kind is None and k > 2 and spec.name != "calibration_error":
        kind = "top_label"
    else:
        kind = infer_kind(kind, rows.scores, "estimate")
    if rows.w is not None or kind == "classwise":
        return kind, None
    return kind, ScoreTable.from_binary(reduce_rows(rows, kind)[0])


def _interval(
    spec: Metric | None, value: float, draws: FloatArray, level: float, kind: str
) -> tuple[float, float]:
    """Basic bootstrap interval, inside the metric's range and around its value."""
    failed = 1.0 - np.isfinite(draws).mean()
    draws = draws[np.isfinite(draws)]
    if len(draws) == 0:
        raise ValueError(
            "estimate: the metric failed on every draw of rows; expected a function that is "
            "defined where rows repeat and some are missing."
        )
    if failed > 2 / 3:
        warn(
            f"estimate: the metric is not defined on {failed:.0%} of the draws (too few rows or a "
            "class missing); the interval is of the others, and may be too short.",
            CalibrationWarning,
        )
    upper, lower = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    low, high = min(2 * value - lower, value), max(2 * value - upper, value)
    if spec is not None:
        several = spec.name == "brier_score" and kind == "classwise"
        most = 2.0 if several else spec.bounds[1]
        low, high = max(low, spec.bounds[0]), min(high, max(most, value))
    return float(low), float(high)
