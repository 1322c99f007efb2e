"""Which of several models is better: differences of a metric on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from .._core.errors import InputError, InputTypeError, called, message_of
from .._core.inputs import Rows
from .._core.labels import validate_group_labels
from .._core.params import check_real, generator, percent
from .._core.printed import a_type, listed, p_text, quoted, spelled
from .._core.rows import (
    Binary,
    few_groups,
    kept_rows,
    reduce_rows,
    row_counts,
    rows_passed,
    validate_groups,
)
from .._core.warnings import FewEventsWarning, FewGroupsWarning, counted, warn
from .._numerics.binning import (
    BinSums,
    assign,
    distinct_starts,
    mass_borders,
    order_by_score,
    uniform_borders,
)
from .._numerics.debias import absolute_error, merge_small, merged_starts, squared_error
from .._numerics.influence import area_influence
from .._numerics.losses import log_rows
from .._numerics.paired import (
    Bins,
    PairNoise,
    Tested,
    Units,
    bin_noise,
    holm,
    resampled,
    squared_error_difference,
    students,
)
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray, Kind
from ._binned import check_debias, combine, norm_of_gaps
from ._estimate import _kind, _rows_of, check_settings, find_metric
from ._result_table import ResultTable
from ._scoring import _skill
from ._spec import RULES, Metric
from ._table import ScoreTable

#: Blocks of a time series: at least, at most.
_BLOCKS = (10, 50)
#: Bins of two models, or of all their classes, whose noise is drawn together.
_MOST_BINS = 3000
#: With fewer effective rows in the median bin, the noise of the bins is unreliable.
_ROWS_PER_BIN = 5.0
_SQUARE = "debiased squared calibration error"
_NO_NOISE = (
    "no interval or p-value: the difference is the same in all rows, groups or folds, or the "
    "ranking is perfect, so the data do not show its noise"
)
#: Noise that many rows cause.
_ALL_DECIDE = PairNoise(0.0, 1.0, np.inf)


@dataclass(frozen=True)
class Difference:
    """A metric of one model minus that of another on the same rows.

    Attributes
    ----------
    first, second : str
        Names of the models.
    value : float
        Metric of ``first`` minus that of ``second``. For calibration errors: the difference of
        the debiased squared errors.
    low, high : float
        Ends of the interval.
    p_value : float
        Two-sided p-value of "no difference".
    p_adjusted : float
        p-value adjusted by Holm's method for the number of comparisons.
    caution : str
        Why the interval may be too narrow; otherwise empty.
    freedom : float
        Degrees of freedom of Student's t over rows or groups; 0 for other intervals.

    Examples
    --------
    >>> from calibkit import compare
    >>> from calibkit.testing import binary_data
    >>> p, y = binary_data(n=400)
    >>> found = compare("brier_score", y, {"raw": p, "halved": p / 2}).differences[0]
    >>> found.first, found.second, found.high < 0
    ('raw', 'halved', True)
    """

    first: str
    second: str
    value: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    caution: str = ""
    freedom: float = 0.0

    def reversed(self) -> Difference:
        """Return the second model minus the first.

        Returns
        -------
        difference : Difference
            With the same p-values.
        """
        out = replace(self, first=self.second, second=self.first, value=-self.value)
        return replace(out, low=-self.high, high=-self.low)


@dataclass(frozen=True)
class Comparison:
    """Result of :func:`compare`. It prints as a table.

    Attributes
    ----------
    metric : str
        Label of the metric.
    values : dict of str to float
        The metric of each model, as the metric's function returns it; with ``folds``, its mean
        over the folds.
    differences : tuple of Difference
        The differences, in the order of the models.
    level : float
        Confidence level of the intervals.
    n : int
        Number of rows.
    method : str
        Method of the intervals.
    greater_is_better : bool
        Whether a larger metric is better.
    quantity : str
        Whose differences these are: the metric, or for calibration errors "debiased squared
        calibration error", which may be negative.
    n_tests : int
        Number of comparisons that the adjusted p-values allow for: all pairs if the reference is
        the best model, which is chosen on the same rows.

    Examples
    --------
    >>> from calibkit import compare
    >>> from calibkit.testing import binary_data
    >>> p, y = binary_data(n=400)
    >>> compare("brier_score", y, {"raw": p, "halved": p / 2}).best
    'raw'
    """

    metric: str
    values: dict[str, float]
    differences: tuple[Difference, ...]
    level: float
    n: int
    method: str
    greater_is_better: bool = False
    quantity: str = ""
    n_tests: int = 1

    @property
    def best(self) -> str:
        """Name of the model with the best value; of equal ones the first."""
        sign = -1.0 if self.greater_is_better else 1.0
        return min(self.values, key=lambda name: sign * self.values[name])

    @property
    def verdict(self) -> str:
        """Which model is better, in a sentence; by the adjusted p-values."""
        shown = [d for d in self.differences if d.p_adjusted <= 1.0 - self.level]
        side = "higher" if self.greater_is_better else "lower"
        worse: dict[str, list[str]] = {}
        for d in shown:
            better, other = d.first, d.second
            if (d.value > 0) != self.greater_is_better:
                better, other = other, better
            worse.setdefault(better, []).append(other)
        parts = [
            f"{quoted(a)} has a {side} {self.quantity} than {listed(b, 8, 'models')}"
            for a, b in worse.items()
        ]
        if len(self.differences) == 1:
            (d,) = self.differences
            low, high = sorted((abs(d.low), abs(d.high))) if shown else (d.low, d.high)
            n = self._digits()
            value = abs(d.value) if shown else d.value
            p = p_text(d.p_value) if d.p_value < 0.001 else f"= {p_text(d.p_value)}"
            numbers = f"{value:.{n}f} [{low:.{n}f}, {high:.{n}f}], p {p}"
            if shown:
                return f"{parts[0]}, by {numbers}"
            pair = f"{quoted(d.first)} minus {quoted(d.second)}"
            return f"No difference is shown: {self.quantity} of {pair} is {numbers}"
        if others := [d for d in self.differences if d not in shown]:
            pairs = [f"{quoted(d.first)} and {quoted(d.second)}" for d in others]
            more = f" and {len(pairs) - 4} more" if len(pairs) > 4 else ""
            start = "no" if parts else "No"
            parts.append(f"{start} difference is shown of {', '.join(pairs[:4])}{more}")
        return "; ".join(parts)

    def _digits(self) -> int:
        """Decimals that show two digits of the narrowest interval, at least four."""
        least = min((d.high - d.low for d in self.differences if d.high > d.low), default=1.0)
        return int(np.clip(np.ceil(-np.log10(least)) + 1, 4, 9))

    def table(self) -> ResultTable:
        """Return the differences as a table, which can be exported to pandas.

        Returns
        -------
        table : ResultTable
            One row for each difference.
        """
        rows = (dict(vars(d)) for d in self.differences)
        return ResultTable(tuple(rows), caption=f"Difference of the {self.quantity}, {self.method}")

    def __str__(self) -> str:
        names = [f"{quoted(d.first)} - {quoted(d.second)}" for d in self.differences]
        width = max(map(len, names))
        digits = self._digits()
        ends = [f"[{d.low:+.{digits}f}, {d.high:+.{digits}f}]" for d in self.differences]
        wide = max(map(len, ends))
        head = f"{percent(self.level)} interval"
        lines = [
            f"{self.verdict}.",
            f"Difference of the {self.quantity} ({self.method}, n = {self.n:,})",
            f"{'':{width}}  {'value':>{digits + 3}}  {head:{wide}}  p-value  adjusted",
        ]
        for name, d, both in zip(names, self.differences, ends, strict=True):
            lines.append(
                f"{name:{width}}  {d.value:+{digits + 3}.{digits}f}  {both:{wide}}  "
                f"{p_text(d.p_value):>7}  {p_text(d.p_adjusted):>8}"
            )
        values = ", ".join(f"{quoted(k)} {value:.4f}" for k, value in self.values.items())
        side = "larger" if self.greater_is_better else "smaller"
        lines.append(f"{self.metric} ({side} is better): {values}")
        if self.quantity != self.metric:
            lines.append("The differences are those of the debiased squares, not of these values.")
        if self.n_tests > 1:
            lines.append(f"p-values adjusted by Holm's method for {self.n_tests} pairs of models")
        cautions = dict.fromkeys(d.caution for d in self.differences if d.caution)
        return "\n".join([*lines, *(f"{c[0].upper()}{c[1:]}." for c in cautions)])


@counted()
def compare(
    metric: Any,
    y_true: Any,
    y_probs: Mapping[str, Any],
    *,
    reference: str | None = None,
    level: float = 0.9,
    groups: Any = None,
    time: Any = None,
    folds: Any = None,
    sample_weight: Any = None,
    pos_label: Any = None,
    classes: Any = None,
    random_state: Any = 0,
    **params: Any,
) -> Comparison:
    """Compare models on the same rows: differences of a metric with intervals and p-values.

    Use it to see which of several models is better, or whether calibration helped, and whether the
    difference is larger than chance explains. A difference on the same rows is much more precise
    than the intervals of both models suggest.

    Parameters
    ----------
    metric : callable or str
        A metric of calibkit or its name.
    y_true : array-like of shape (n,)
        Labels of rows that no model, calibrator or threshold was fitted on. For two classes also
        fractions of events in [0, 1].
    y_probs : mapping of str to array-like, or data frame
        Probabilities of two or more models, by name: of shape (n,), (n, 2) or (n, K). Of a data
        frame each column is a model.
    reference : str, optional
        Name of the model that all others are compared with, "best", or "all" for all pairs.
        Default: the first of two models minus the second, and "best" for more models. Name a
        model only if you chose it before you saw these rows; for the best one on these rows use
        "best", whose p-values allow for the choice.
    level : float, default=0.9
        Confidence level of each interval, between 0 and 1.
    groups : array-like of shape (n,), optional
        Group of each row, such as a patient. Rows of one group may depend on each other.
    time : array-like of shape (n,), optional
        Time of each row, numbers or dates, in any order. Rows that are near in time may depend on
        each other: 10 to 50 blocks of successive rows are treated as groups. Rows of the same time
        are in the same block.
    folds : array-like of shape (n,), optional
        Test fold of each row, if the forecasts are out-of-fold predictions of models that were
        fitted anew in each fold. For repeated cross-validations pass the rows of all repetitions,
        with labels such as "repeat-fold" ("0-3"). The result is then about the way to make a
        model. Without ``folds`` the rows are compared as forecasts of given models.
    sample_weight : array-like of shape (n,), optional
        Sampling weights >= 0. A constant factor changes nothing.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the simulations (calibration errors only).
    **params
        Settings of the metric: ``norm``, ``strategy``, ``n_bins``, ``debias``, ``kind``.

    Returns
    -------
    comparison : Comparison
        Values and differences. It prints as a table.

    Raises
    ------
    ValueError
        If the data or settings are invalid; if a forecast gives the probability 0 to a label that
        occurs and the metric is a log loss; or if the metric is not defined in a fold.
    TypeError
        If ``metric`` is not a metric of calibkit, or ``y_probs`` no mapping of two models.

    Warns
    -----
    FewEventsWarning
        If there are fewer than ten (effective) rows of the rarer class; if very few rows cause
        most of the noise of a difference; or if half of the bins of a calibration error have fewer
        than five (effective) rows.
    FewGroupsWarning
        If there are fewer than ten (effective) groups or blocks of time.

    Notes
    -----
    Losses: Student's t over the rows' differences, or over sums by group. Skill scores and the
    risk-coverage area: Student's t over the influences of the rows. ROC AUC: DeLong's variance of
    the difference (1988), with Welch's degrees of freedom. Both classes count.

    Calibration errors: ``values`` holds what the metric's function returns, but the difference is
    that of the debiased squared l2 errors (:func:`squared_calibration_error`) on the same bins,
    whatever ``norm`` and ``debias`` are. A clipped or absolute error has no difference that is
    normal or unbiased. With groups the squares are debiased by the noise of the groups. The noise
    of all bins of both models is drawn jointly from their covariance. The interval is for the
    error on these bins.

    With ``folds``: the corrected resampled t of Nadeau and Bengio (2003). Folds share training
    rows, so that a usual t test over folds, or over pooled rows, is too optimistic about new
    training sets. The fraction of test rows is taken from the sizes of the folds.

    Several models: the best model is chosen on the same rows, so the adjusted p-values allow for
    all pairs of models (Holm 1979). Intervals are not adjusted, and the best model's own value is
    too optimistic.

    With ``time``: intervals are too narrow if the dependence lasts as long as a block, which is a
    tenth of the rows for up to 1,000 rows, and less for more (n^(2/3) rows).

    What a comparison can't see: that a calibrator, threshold or model was fitted or chosen on
    these rows (the result is then invalid); and dependence that neither ``groups`` nor ``time``
    describes. A smaller calibration error with a worse Brier score is no gain: compare both.

    ``benchmarks/paired_intervals.py`` measures the coverage.

    References
    ----------
    E. DeLong, D. DeLong, D. Clarke-Pearson (1988). Comparing the areas under two or more correlated
    receiver operating characteristic curves. Biometrics 44. --- F. Diebold, R. Mariano (1995).
    Comparing predictive accuracy. Journal of Business and Economic Statistics 13. --- S. Holm
    (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of
    Statistics 6. --- C. Nadeau, Y. Bengio (2003). Inference for the generalization error. Machine
    Learning 52.

    Examples
    --------
    Did calibration help? Half of the rows fit the calibrator, and the others compare.

    >>> from calibkit import PlattCalibrator, compare
    >>> from calibkit.testing import binary_data
    >>> p, y = binary_data(n=4000)
    >>> p = p**2
    >>> platt = PlattCalibrator().fit(p[:2000], y[:2000])
    >>> models = {"raw": p[2000:], "platt": platt.predict_proba(p[2000:])[:, 1]}
    >>> found = compare("brier_score", y[2000:], models, reference="raw")
    >>> d = found.differences[0]
    >>> d.first, d.second, d.high < 0
    ('platt', 'raw', True)
    """
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    spec = find_metric(metric) if callable(metric) or isinstance(metric, str) else None
    if spec is None or not spec.comparable:
        raise InputTypeError(
            f"metric={spelled(metric)}; expected a metric of calibkit or its name, such as "
            "'brier_score'. Errors without bins can't be compared, nor can slopes, intercepts and "
            "ratios: call estimate for each model."
        )
    check_settings(spec, params)
    y_probs = _check_models(y_probs, reference)
    given = {"groups": groups, "time": time, "folds": folds}
    if len(several := [name for name, labels in given.items() if labels is not None]) > 1:
        raise InputError(f"{' and '.join(several)} together; expected one of them.")
    seed = int(generator(random_state).integers(2**31))
    rows = _rows_of_models(spec, y_probs, (y_true, sample_weight, pos_label, classes))
    one = next(iter(rows.values()))
    request = _Request(spec, _kind(spec, one, params.pop("kind", None)), params, level, seed)
    found: _Scores | _Errors | _Folds
    few = ""
    if folds is not None:
        found = _Folds(request, rows, folds, sample_weight)
    else:
        codes, few = _dependent(groups, time, sample_weight, one)
        found = (_Scores if spec.settings is None else _Errors)(request, rows, codes)
    shown, family = _pairs(spec, found.values, reference)
    tested = [found.differ(*pair) for pair in family]
    adjusted = holm(np.array([t.p_value for t, _ in tested])).tolist()
    if not few and (said := next((s for _, s in tested if s), "")):
        warn(f"{spec.name}: {said}.", FewEventsWarning)
    differences = tuple(
        Difference(*pair, *t[:4], p, few or said, t.freedom)
        for pair, (t, said), p in zip(shown, tested[: len(shown)], adjusted, strict=False)
    )
    by = " by group" * (groups is not None) + " by blocks of time" * (time is not None)
    n, quantity = len(one.y), spec.label if spec.settings is None else _SQUARE
    told = n, found.method + by, bool(spec.greater_is_better), quantity, len(family)
    return Comparison(spec.label, found.values, differences, level, *told)


def _check_models(y_probs: Any, reference: Any) -> Mapping[str, Any]:
    """Return the models by name; a data frame has one in each column."""
    if hasattr(y_probs, "columns"):
        y_probs = {name: y_probs[name] for name in y_probs.columns}
    if not isinstance(y_probs, Mapping) or len(y_probs) < 2:
        found = f"a dict of {len(y_probs)}" if isinstance(y_probs, Mapping) else a_type(y_probs)
        raise InputTypeError(
            f"y_probs is {found}; expected a dict of two or more models, such as "
            "{'raw': p, 'calibrated': q}, or a data frame with a column for each."
        )
    bad = [name for name in y_probs if not isinstance(name, str) or not name]
    if bad:
        raise InputTypeError(f"y_probs has the key {spelled(bad[0])}; expected names of models.")
    options = ["best", "all", *y_probs]
    if reference is not None and not (isinstance(reference, str) and reference in options):
        raise InputError(
            f"reference={spelled(reference)}; expected one of {', '.join(map(spelled, options))}."
        )
    return y_probs


def _rows_of_models(
    spec: Metric, y_probs: Mapping[str, Any], given: tuple[Any, Any, Any, Any]
) -> dict[str, Rows]:
    """Return the checked rows of each model."""
    y_true, sample_weight, pos_label, classes = given
    if isinstance(y_true, ScoreTable):
        raise InputTypeError(
            "y_true is a ScoreTable, which does not keep single rows; expected labels, since "
            "models are compared row by row."
        )
    rows: dict[str, Rows] = {}
    for name, p in y_probs.items():
        with called(part=f" (model {quoted(name)})"):
            data = y_true, p, sample_weight, "sampling", pos_label, classes
            rows[name], _ = _rows_of(None, *data)
            if spec.loss is log_rows:
                _refuse_infinite(rows[name], sample_weight)
    if len(rows[name].y) < 2:
        raise InputError("one row (of positive weight); expected at least two, to see the noise.")
    columns = {name: r.scores.n_classes for name, r in rows.items()}
    if len(set(columns.values())) > 1:
        each = ", ".join(f"{quoted(name)} {k}" for name, k in columns.items())
        raise InputError(
            f"y_probs has models of different numbers of classes: {each}; expected the same number."
        )
    return rows


def _refuse_infinite(rows: Rows, sample_weight: Any) -> None:
    """Raise if a row has an infinite log loss."""
    p, y = rows.scores.values, rows.y
    if p.ndim == 1:
        wrong = ((p == 0.0) & (y > 0)) | ((p == 1.0) & (y < 1))
    else:
        wrong = p[np.arange(len(y)), y] == 0.0
    if not wrong.any():
        return
    at = int(kept_rows(sample_weight, len(y))[wrong.argmax()])
    more = int(wrong.sum()) - 1
    also = f" (and of {more:,} more rows)" if more else ""
    raise InputError(
        f"the probability of the true label of row {at}{also} is 0, so the log loss and its "
        "difference are infinite; expected probabilities above 0 for each label that occurs. Clip "
        "them, such as np.clip(p, 0.001, 0.999), or compare by the Brier score.",
        place=at,
    )


def _dependent(
    groups: Any, time: Any, sample_weight: Any, rows: Rows
) -> tuple[IntArray | None, str]:
    """Return the group or block of time of each row, and a caution if there are few."""
    if groups is None and time is None:
        return None, ""
    n = rows_passed(sample_weight, len(rows.y))
    if groups is not None:
        codes = validate_groups(groups, sample_weight, n)
        few = few_groups(codes, rows.w)
    else:
        codes = _blocks_of(time, n)[kept_rows(sample_weight, len(rows.y))]
        distinct, codes = np.unique(codes, return_inverse=True)
        if len(distinct) < 2:
            raise InputError("time has too few distinct values for two blocks; expected more.")
        few = few_groups(codes, rows.w).replace("groups", "blocks of time")
    if few:
        warn(f"{few}.", FewGroupsWarning)
    return codes, few


def _blocks_of(time: Any, n: int) -> IntArray:
    """Blocks of successive rows, long enough to hardly depend on each other.

    Rows of the same time are in the same block.
    """
    labels = validate_group_labels(time, n, "time")
    if labels.dtype.kind in "US" or isinstance(labels[0], str):
        raise InputError(
            f"time holds texts ({spelled(labels.tolist()[0])} at row 0); expected numbers or "
            "dates. Convert them, such as np.asarray(time, dtype='datetime64[s]')."
        )
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    new = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    first = np.maximum.accumulate(np.where(new, np.arange(n), 0))
    out = np.empty(n, dtype=np.intp)
    out[order] = first * int(np.clip(round(n ** (1.0 / 3.0)), *_BLOCKS)) // n
    return out


def _pairs(
    spec: Metric, values: dict[str, float], reference: str | None
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the pairs that are shown, and those that count as tested.

    The best model was chosen on these rows, from comparisons of all pairs. A model named "best" or
    "all" can't be the reference.
    """
    names = list(values)
    pairs = list(combinations(names, 2))
    if reference == "all" or (reference is None and len(names) == 2):
        return pairs, pairs
    chosen = reference in (None, "best")
    if chosen:
        reference = min(names, key=lambda k: -values[k] if spec.greater_is_better else values[k])
    assert reference is not None
    shown = [(name, reference) for name in names if name != reference]
    return shown, shown + [p for p in pairs if chosen and reference not in p]


class _Request(NamedTuple):
    """What is compared."""

    spec: Metric
    kind: Kind
    params: dict[str, Any]
    level: float
    seed: int

    def settings(self, rows: Rows) -> dict[str, Any]:
        """Return the settings of a calibration error, all filled in."""
        assert self.spec.settings is not None
        counts = row_counts(rows.w, len(rows.y), "sampling")
        return self.spec.settings(self.kind, *counts, **self.params)


def _rarer(y: Any, w: FloatArray | None) -> float:
    """Effective number of rows of the rarer class; of K classes, of all but the most frequent."""
    if w is None and y.dtype.kind != "f":
        counts = np.bincount(y, minlength=2)
        return float(min(counts.max(), len(y) - counts.max()))
    if y.max() > 1:
        y = y != np.bincount(y, w).argmax()
    weight = np.array([1.0 - y, y]) * (1.0 if w is None else w)
    return float(effective_count(weight.sum(axis=1), (weight * weight).sum(axis=1)).min())


class _Scores:
    """Losses, skill scores and areas."""

    def __init__(self, request: _Request, rows: dict[str, Rows], groups: IntArray | None) -> None:
        spec, self._level, self._grouped = request.spec, request.level, groups is not None
        found = {name: _scored(spec, r, request.kind) for name, r in rows.items()}
        self.values = {name: value for name, (value, _) in found.items()}
        self._pulls = {name: pull for name, (_, pull) in found.items()}
        one = next(iter(rows.values()))
        self._rarer = _rarer(one.y, one.w)
        y: Any = one.y
        parts = np.broadcast_to(1.0, (1, len(y)))
        if spec.reference is not None and one.scores.n_classes > 2:
            y = y != np.bincount(y, one.w).argmax()
        if spec.reference is not None or (spec.loss is None and one.scores.n_classes == 2):
            parts = np.array([1.0 - y, y])
        self._units = Units(parts, one.w, groups)
        self.method = "DeLong's variance, Student's t" if spec.interval == "area" else (
            "Student's t" if spec.interval == "loss" else "Student's t over influences"
        )  # fmt: skip

    def differ(self, a: str, b: str) -> tuple[Tested, str]:
        """Return the difference of two models, and a caution."""
        noise = self._units.noise(self._pulls[a], self._pulls[b])
        value = self.values[a] - self.values[b]
        caution = RULES["loss"].caution(self._rarer, noise, grouped=self._grouped)
        tested = students(value, noise.variance, noise.freedom, self._level)
        return tested, caution if np.isfinite(tested.low) else _NO_NOISE


def _scored(spec: Metric, rows: Rows, kind: Kind) -> tuple[float, FloatArray]:
    """Return a model's score, and what each row adds to it."""
    if spec.loss is None:
        problems = reduce_rows(rows, kind)
        each = [_ranked(spec, b) for b in problems]
        pull = each[0][1] if len(each) == 1 else sum(p for _, p in each) / len(each)
        return float(np.mean([value for value, _ in each])), np.asarray(pull)
    w, pull = rows.w, spec.loss(rows.scores.values, rows.y)
    total = float(len(pull)) if w is None else float(w.sum())
    mean = float(np.average(pull, weights=w))
    if spec.reference is None:
        pull -= mean
        value, scale = mean, total
    else:
        share, base = _base_losses(spec, rows)
        reference = float(spec.reference(share))
        value, scale = _skill(mean, reference), -reference * total
        pull -= mean / reference * base
    pull /= scale
    return value, pull if w is None else pull * w


def _ranked(spec: Metric, b: Binary) -> tuple[float, FloatArray]:
    """Return the score of a ranking, and what each row adds to it."""
    order, p = order_by_score(b.p)
    y, w = b.y[order], None if b.w is None else b.w[order]
    starts, events = distinct_starts(p), y.astype(np.float64) if w is None else w * y
    others, times = (1.0 if w is None else w) - events, np.diff(np.append(starts, len(p)))
    tied = len(starts) < len(p)
    if spec.interval == "area" and events.any() and others.any():  # faster than with a table
        units = (events, others)
        if tied:
            units = (np.add.reduceat(events, starts), np.add.reduceat(others, starts))
        value, event, without = area_influence(*units)
    else:
        table = ScoreTable._from_binary(Binary(p, y, w))
        value = float(spec.function(table))
        assert spec.influence is not None
        without, event = spec.influence(table)
    if tied:
        without, event = np.repeat(without, times), np.repeat(event, times)
    pull = np.empty(len(y))
    pull[order] = others * without + events * event
    return value, pull


def _base_losses(spec: Metric, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Return the shares of the classes, and the loss of each row if they are the forecast."""
    assert spec.loss is not None
    k, y = rows.scores.n_classes, rows.y
    if k == 2:
        rate = float(np.average(y, weights=rows.w))
        no, yes = (float(spec.loss(np.array([rate]), np.array([c]))[0]) for c in (0, 1))
        return np.array([1.0 - rate, rate]), (1.0 - y) * no + y * yes
    share = np.bincount(y, rows.w, minlength=k)
    share = share / share.sum()
    return share, spec.loss(np.tile(share, (k, 1)), np.arange(k))[y]


class _Errors:
    """Calibration errors, of which the debiased squares are compared."""

    method = "joint draws of the noise of all bins"

    def __init__(self, request: _Request, rows: dict[str, Rows], groups: IntArray | None) -> None:
        self._level, self._seed = request.level, request.seed
        one = next(iter(rows.values()))
        settings = request.settings(one)
        self.values: dict[str, float] = {}
        self._places: dict[str, slice] = {}
        self._rarer: dict[str, float] = {}
        self._per_bin: dict[str, float] = {}
        bins: list[Bins] = []
        start = 0
        for name, r in rows.items():
            problems = reduce_rows(r, request.kind)
            found = [_binned(b, settings, len(problems)) for b in problems]
            self.values[name] = combine(settings["norm"], np.array([raw for raw, _, _ in found]))
            bins += [b for _, _, b in found]
            count = sum(len(b.size) for _, _, b in found)
            self._places[name] = slice(start, start := start + count)
            self._per_bin[name] = float(np.median(np.concatenate([b.worth for _, _, b in found])))
            self._rarer[name] = _rarer(r.y if len(problems) > 1 else problems[0].y, r.w)
        if start > _MOST_BINS:
            raise InputError(
                f"the models have {start:,} bins together; expected at most {_MOST_BINS:,}. Use "
                "fewer bins, such as n_bins=15 with strategy='quantile', or fewer models."
            )
        self._gap = np.concatenate([b.gap for b in bins])
        self._share = np.concatenate([b.share for b in bins])
        self._covariance, self._freedom = bin_noise(bins, one.w, groups)

    def differ(self, a: str, b: str) -> tuple[Tested, str]:
        """Return the difference of two models, and a caution."""
        first, second = self._places[a], self._places[b]
        at = np.r_[first, second]
        m = np.concatenate((self._share[first], -self._share[second]))
        noise = self._covariance[np.ix_(at, at)], self._freedom
        tested = squared_error_difference(self._gap[at], m, *noise, self._level, self._seed)
        caution = RULES["loss"].caution(
            min(self._rarer[a], self._rarer[b]), _ALL_DECIDE, grouped=True
        )
        rows = min(self._per_bin[a], self._per_bin[b])
        if not caution and rows < _ROWS_PER_BIN:
            caution = (
                f"the interval may be too narrow: half of the bins have at most {rows:.3g} "
                f"effective rows, and {_ROWS_PER_BIN:g} are needed; use fewer bins, such as "
                "n_bins='auto'"
            )
        return tested, caution


def _binned(b: Binary, settings: dict[str, Any], n_problems: int) -> tuple[float, float, Bins]:
    """Return an error as :func:`combine` takes it, its debiased square, and its bins."""
    strategy, n_bins = settings["strategy"], settings["n_bins"]
    if strategy == "uniform" and not isinstance(n_bins, str):
        borders = uniform_borders(n_bins)
    elif strategy == "quantile" and not isinstance(n_bins, str) and b.w is None:
        borders = mass_borders(np.sort(b.p), None, n_bins)
    else:
        borders = ScoreTable._from_binary(b).borders(strategy, n_bins)
    place, d = assign(b.p, borders), b.p - b.y

    def total(values: Any = None) -> Any:
        return np.bincount(place, values, len(borders) + 1)

    n = total()
    sums = BinSums(n, n.astype(np.float64), total(b.p), total(b.y), total(d * d))
    if b.w is not None or b.y.dtype.kind == "f":
        w = np.ones(len(d)) if b.w is None else b.w
        w2 = w * w
        squares = (w2 * d * d, w2, w2 * b.p, w2 * b.y, w2 * b.y * b.y)
        sums = BinSums(n, *map(total, (w, w * b.p, w * b.y, *squares)))
    starts = merged_starts(sums.w, sums.w2)
    merged = merge_small(sums)
    if len(starts) < len(n):
        place = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(n))))[place]
    gap = (merged.wp - merged.wy) / merged.w
    d -= gap[place]
    worth = np.asarray(effective_count(merged.w, merged.squares()[0]))
    share = merged.w / merged.w.sum() / n_problems
    found = Bins(place, d if b.w is None else d * b.w, merged.w, worth, gap, share)
    square, norm = float(squared_error(merged, "differences")), settings["norm"]
    noise = check_debias(settings["debias"], norm)
    if noise is not None:
        error = squared_error(merged, noise) if norm == "l2" else absolute_error(merged, noise)
    else:
        error = norm_of_gaps(norm, sums.w, sums.wp, sums.wy)
        error = error**2 if norm == "l2" else error
    return float(error), square, found


class _Folds:
    """Metrics of the folds of a cross-validation."""

    def __init__(
        self, request: _Request, rows: dict[str, Rows], folds: Any, sample_weight: Any
    ) -> None:
        one = next(iter(rows.values()))
        n = rows_passed(sample_weight, len(one.y))
        labels = validate_group_labels(folds, n, "folds")
        labels = labels[kept_rows(sample_weight, len(one.y))]
        distinct, codes = np.unique(labels, return_inverse=True)
        sizes = np.bincount(codes, one.w).astype(np.float64)
        self._ratio = _test_per_train(distinct.tolist(), sizes.tolist())
        self._level, self._rarer = request.level, _rarer(one.y, one.w)
        self.method = f"corrected resampled t, {len(distinct)} folds"
        self.values, self._compared = {}, {}
        for name, r in rows.items():
            each = []
            for j, label in enumerate(distinct.tolist()):
                with called(part=f" (model {quoted(name)}, fold {label})"):
                    each.append(_in_fold(request, r.take(np.flatnonzero(codes == j))))
            values, self._compared[name] = np.array(each).T
            self.values[name] = float(values.mean())

    def differ(self, a: str, b: str) -> tuple[Tested, str]:
        """Return the difference of two models, and a caution."""
        tested = resampled(self._compared[a] - self._compared[b], self._ratio, self._level)
        if not np.isfinite(tested.low):
            return tested, _NO_NOISE
        return tested, RULES["loss"].caution(self._rarer, _ALL_DECIDE, grouped=True)


def _in_fold(request: _Request, rows: Rows) -> tuple[float, float]:
    """Return the metric of a fold, and the number that is compared."""
    if request.spec.settings is None:
        value, _ = _scored(request.spec, rows, request.kind)
        return value, value
    settings, problems = request.settings(rows), reduce_rows(rows, request.kind)
    try:
        found = [_binned(b, settings, len(problems)) for b in problems]
    except ValueError as error:
        raise InputError(f"{message_of(error)}; expected larger folds.") from error
    errors, squares, _ = zip(*found, strict=True)
    return combine(settings["norm"], np.array(errors)), float(np.mean(squares))


def _test_per_train(labels: list[Any], sizes: list[float]) -> float:
    """Return the mean ratio of test to training rows; labels may be "repeat-fold"."""
    repeats = [v.rpartition("-")[0] if isinstance(v, str) else "" for v in labels]
    rows = {r: sum(n for of, n in zip(repeats, sizes, strict=True) if of == r) for r in repeats}
    for r in rows:
        if repeats.count(r) < 2:
            raise InputError(
                f"folds has one fold only{f' in the repetition {spelled(r)}' if r else ''}; "
                "expected two or more. Label repeated cross-validations 'repeat-fold'."
            )
    return float(np.mean([n / (rows[r] - n) for r, n in zip(repeats, sizes, strict=True)]))
