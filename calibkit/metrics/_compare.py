"""Which of several models is better: differences of a metric on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.inputs import Rows
from .._core.labels import validate_group_labels
from .._core.params import check_real, generator, percent
from .._core.printed import spelled
from .._core.rows import Binary, few_groups, reduce_rows, row_counts
from .._core.warnings import FewEventsWarning, counted, warn
from .._numerics.binning import assign
from .._numerics.debias import merged_starts
from .._numerics.influence import Noise, Units, gathered, noise_of
from .._numerics.paired import (
    BinGaps,
    Tested,
    bin_noise,
    holm,
    mean_difference,
    squared_error_difference,
    unit_sums,
)
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray, Kind
from ._estimate import _kind, _rows_of, check_settings, find_metric
from ._spec import RULES, Metric
from ._table import ScoreTable

#: Blocks of a time series: at least, at most.
_BLOCKS = (10, 50)


@dataclass(frozen=True)
class Difference:
    """A metric of one model less that of another on the same rows.

    Attributes
    ----------
    first, second : str
        Names of the models.
    value : float
        Metric of ``first`` less that of ``second``.
    low, high : float
        Ends of the interval.
    p_value : float
        Two-sided p-value of "no difference".
    p_adjusted : float
        Holm's adjusted p-value, for all differences of the comparison together.
    caution : str
        Why the interval may be too narrow; otherwise empty.

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


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found. It prints as a table.

    Attributes
    ----------
    metric : str
        What is compared.
    values : dict of str to float
        The metric of each model.
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

    @property
    def best(self) -> str:
        """Name of the model with the best value."""
        sign = -1.0 if self.greater_is_better else 1.0
        return min(self.values, key=lambda name: sign * self.values[name])

    def __str__(self) -> str:
        named = [f"{d.first} - {d.second}" for d in self.differences]
        width = max(map(len, named))
        head = f"{percent(self.level)} interval"
        lines = [f"{'difference':{width}}  {self.metric:>10}  {head:>19}  p-value  Holm"]
        for name, d in zip(named, self.differences, strict=True):
            ends = f"[{d.low:+.4f}, {d.high:+.4f}]"
            lines.append(
                f"{name:{width}}  {d.value:+10.4f}  {ends:>19}  {d.p_value:7.4f}  "
                f"{d.p_adjusted:.4f}"
            )
        values = ", ".join(f"{name} {value:.4f}" for name, value in self.values.items())
        lines.append(f"{self.metric}: {values} ({self.method}, n = {self.n:,})")
        cautions = dict.fromkeys(d.caution for d in self.differences if d.caution)
        return "\n".join([*lines, *(f"{c[0].upper()}{c[1:]}." for c in cautions)])


class _Model(NamedTuple):
    """A model's value, and for scores what each row adds to it."""

    value: float
    pull: FloatArray | None
    problems: list[Binary]


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
    sample_weight: Any = None,
    pos_label: Any = None,
    classes: Any = None,
    random_state: Any = 0,
    **params: Any,
) -> Comparison:
    """Compare models on the same rows: differences of a metric with intervals and p-values.

    Parameters
    ----------
    metric : callable or str
        A metric of calibkit or its name.
    y_true : array-like of shape (n,)
        Labels of rows that no model was fitted on.
    y_probs : mapping of str to array-like
        Probabilities of two or more models, by name: of shape (n,), (n, 2) or (n, K).
    reference : str, optional
        Name of the model that all others are compared with, "best", or "all" for all pairs.
        Default: the first of two models less the second, and "best" for more models.
    level : float, default=0.9
        Confidence level of each interval.
    groups : array-like of shape (n,), optional
        Group of each row. Rows of one group may depend on each other.
    time : array-like of shape (n,), optional
        Time of each row. Rows that are near in time may depend on each other.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the simulations.
    **params
        Settings of the metric: ``strategy``, ``n_bins``, ``kind``.

    Returns
    -------
    comparison : Comparison
        Values and differences.

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    Examples
    --------
    >>> from calibkit import compare
    >>> y = [0, 1, 1, 0, 1, 0, 1, 1, 0, 0] * 20
    >>> a = [0.2, 0.7, 0.8, 0.4, 0.9, 0.1, 0.6, 0.8, 0.3, 0.4] * 20
    >>> b = [0.4, 0.6, 0.6, 0.5, 0.7, 0.3, 0.5, 0.6, 0.5, 0.4] * 20
    >>> found = compare("brier_score", y, {"a": a, "b": b})
    >>> print(f"{found.differences[0].value:.3f}")
    -0.087
    """
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    spec = find_metric(metric)
    if spec is None:
        raise InputTypeError(
            f"metric={spelled(metric)}; expected a metric of calibkit or its name."
        )
    check_settings(spec, params)
    _check_models(y_probs, reference)
    kind: Kind | None = params.pop("kind", None)
    codes: IntArray | None = None
    if time is not None:
        groups = _blocks_of(time, groups)
    rows: dict[str, Rows] = {}
    for name, p in y_probs.items():
        given = y_true, p, sample_weight, "sampling", pos_label, classes
        rows[name], codes = _rows_of(groups, *given)
    one = next(iter(rows.values()))
    if any(r.scores.n_classes != one.scores.n_classes for r in rows.values()):
        raise InputError("y_probs of different numbers of columns; expected the same number.")
    kind = _kind(spec, one, kind)
    n, effective = row_counts(one.w, len(one.y), "sampling")
    settings = {} if spec.settings is None else spec.settings(kind, n, effective, **params)
    binned = "norm" in settings
    models = {name: _model(spec, r, kind, binned=binned, params=params) for name, r in rows.items()}
    pairs = _pairs(spec, models, reference)
    seed = int(generator(random_state).integers(2**31))
    caution = few_groups(codes, one.w) if codes is not None else ""
    found = []
    for a, b in pairs:
        few = ""
        if binned:
            tested = _of_bins([models[a], models[b]], settings, one.w, codes, level, seed)
        else:
            tested, few = _of_scores(spec, models[a], models[b], one, codes, level)
        found.append((tested, caution or few))
    adjusted = holm(np.array([t.p_value for t, _ in found]))
    differences = tuple(
        Difference(a, b, *t[:4], float(p), said)
        for (a, b), (t, said), p in zip(pairs, found, adjusted, strict=True)
    )
    label = "squared calibration error" if binned else spec.label
    method = "joint draws of all bins" if binned else RULES[spec.interval].method
    values = {name: m.value for name, m in models.items()}
    return Comparison(label, values, differences, level, n, method, spec.greater_is_better)


def _check_models(y_probs: Any, reference: Any) -> None:
    if not isinstance(y_probs, Mapping) or len(y_probs) < 2:
        raise InputTypeError(
            f"y_probs={spelled(y_probs)}; expected a dict of two or more models, such as "
            "{'raw': p, 'calibrated': q}."
        )
    bad = next((name for name in y_probs if not isinstance(name, str)), None)
    if bad is not None:
        raise InputTypeError(f"y_probs has the key {spelled(bad)}; expected names of models.")
    options = ["best", "all", *y_probs]
    if reference is not None and reference not in options:
        raise InputError(
            f"reference={spelled(reference)}; expected one of {', '.join(map(spelled, options))}."
        )


def _blocks_of(time: Any, groups: Any) -> IntArray:
    """Blocks of successive rows, long enough to hardly depend on each other."""
    if groups is not None:
        raise InputError("groups and time together; expected one of them.")
    n = len(time)
    labels = validate_group_labels(time, n, "time")
    order = np.argsort(labels, kind="stable")
    n_blocks = int(np.clip(round(n ** (1.0 / 3.0)), *_BLOCKS))
    out = np.empty(n, dtype=np.intp)
    out[order] = np.arange(n) * n_blocks // n
    return out


def _pairs(spec: Metric, models: dict[str, _Model], reference: str | None) -> list[tuple[str, str]]:
    """Which models are compared; a model named "best" or "all" can't be the reference."""
    names = list(models)
    if reference == "all" or (reference is None and len(names) == 2):
        return list(combinations(names, 2))
    if reference in (None, "best"):
        sign = -1.0 if spec.greater_is_better else 1.0
        reference = min(names, key=lambda name: sign * models[name].value)
    assert reference is not None
    return [(name, reference) for name in names if name != reference]


def _model(spec: Metric, rows: Rows, kind: Kind, *, binned: bool, params: dict[str, Any]) -> _Model:
    """The value of a model, and the influence of each row on it."""
    problems = [] if spec.loss is not None else reduce_rows(rows, kind)
    if binned:
        return _Model(np.nan, None, problems)  # its value comes with its bins
    w = np.ones(len(rows.y)) if rows.w is None else rows.w
    if spec.loss is None:
        values, pull = [], np.zeros(len(w))
        for b in problems:
            table = ScoreTable._from_binary(b)
            values.append(float(spec.function(table)))
            pull += w * _influence_of_rows(spec, table, b) / len(problems)
        return _Model(float(np.mean(values)), pull, [])
    loss = _losses(spec.loss, rows)
    total, mean = w.sum(), float(w @ loss / w.sum())
    pull = w * (loss - mean) / total
    if spec.reference is None:
        return _Model(mean, pull, [])
    share, base = _base_losses(spec, rows, w)
    reference = float(spec.reference(share))
    pull = -w * (loss - mean / reference * base) / (reference * total)
    return _Model(1.0 - mean / reference, pull, [])


def _influence_of_rows(spec: Metric, table: ScoreTable, b: Binary) -> FloatArray:
    assert spec.influence is not None
    without, with_event = spec.influence(table)
    place = np.searchsorted(table.p, b.p)
    mixed: FloatArray = without[place] * (1.0 - b.y) + with_event[place] * b.y
    return mixed


def _losses(loss: Any, rows: Rows) -> FloatArray:
    """Loss of each row; of a fraction the mean over its trials."""
    p, y = rows.scores.values, rows.y
    if y.dtype.kind != "f":
        return np.asarray(loss(p, y))
    no, yes = (loss(p, np.full(len(y), k)) for k in (0, 1))
    return np.asarray((1.0 - y) * no + y * yes)


def _base_losses(spec: Metric, rows: Rows, w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares of the classes, and the loss of each row if they are the forecast."""
    assert spec.loss is not None
    k, y = rows.scores.n_classes, rows.y
    if k == 2:
        rate = float(w @ y / w.sum())
        no, yes = (float(spec.loss(np.array([rate]), np.array([c]))[0]) for c in (0, 1))
        return np.array([1.0 - rate, rate]), (1.0 - y) * no + y * yes
    share = np.bincount(y, w, minlength=k) / w.sum()
    each = spec.loss(np.tile(share, (k, 1)), np.arange(k))
    return share, each[y]


def _of_scores(
    spec: Metric, a: _Model, b: _Model, rows: Rows, groups: IntArray | None, level: float
) -> tuple[Tested, str]:
    """The difference of two scores, and a caution."""
    assert a.pull is not None
    assert b.pull is not None
    pull, value = a.pull - b.pull, a.value - b.value
    w = np.ones(len(pull)) if rows.w is None else rows.w
    event = rows.y == np.bincount(rows.y.astype(np.intp), w).argmax() if (
        rows.scores.n_classes > 2
    ) else 1.0 - rows.y  # fmt: skip
    sides = np.array([1.0 - event, event])
    noise = noise_of(gathered(Units(sides * pull, sides * w, None), groups))
    if spec.loss is not None and spec.reference is None:
        sums, freedom = unit_sums(pull, rows.w, groups)
        tested = mean_difference(value, sums, freedom, level)
    else:
        tested = mean_difference(value, *_noisy(noise), level)
    rarer = float(effective_count(sides @ w, sides @ (w * w)).min())
    caution = RULES["loss"].caution(rarer, noise, grouped=groups is not None)
    if caution and groups is None:
        warn(f"{spec.name}: {caution}.", FewEventsWarning)
    return tested, caution


def _noisy(noise: Noise) -> tuple[FloatArray, float]:
    """The variance as one sum, and its degrees of freedom."""
    freedom = noise.freedom
    return np.array([np.sqrt(noise.variance * freedom / (freedom + 1.0))]), freedom


def _of_bins(
    models: list[_Model],
    settings: dict[str, Any],
    w: FloatArray | None,
    groups: IntArray | None,
    level: float,
    seed: int,
) -> Tested:
    """The difference of two debiased squared errors."""
    places, residuals, sizes, gaps = [], [], [], []
    for model in models:
        shares, own = [], []
        for b in model.problems:
            place, size, gap = _bins_of(b, settings)
            places.append(place)
            residuals.append(b.p - b.y - gap[place])
            sizes.append(size)
            shares.append(size / size.sum() / len(model.problems))
            own.append(gap)
        gaps.append(BinGaps(np.concatenate(shares), np.concatenate(own)))
    covariance, freedom = bin_noise(places, residuals, w, sizes, groups)
    return squared_error_difference((gaps[0], gaps[1]), covariance, freedom, level, seed)


def _bins_of(b: Binary, settings: dict[str, Any]) -> tuple[IntArray, FloatArray, FloatArray]:
    """The bin of each row, and weight and gap of each bin; small bins are joined."""
    table = ScoreTable._from_binary(b)
    borders = table.borders(settings["strategy"], settings["n_bins"])
    sums = table.sums(borders)
    starts = merged_starts(sums.w, sums.w2)
    joined = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(sums.w))))
    size, score, label = (np.add.reduceat(a, starts) for a in (sums.w, sums.wp, sums.wy))
    return joined[assign(b.p, borders)], size, (score - label) / size
