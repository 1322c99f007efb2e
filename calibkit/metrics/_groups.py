"""Calibration by group: where a model is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import diags
from scipy.special import ndtr, ndtri, stdtrit

from .._core.params import check_choice, check_flag, check_int, check_real, generator, percent
from .._core.rows import Binary, infer_kind, positive_weights, reduce_rows, rows_passed
from .._core.warnings import counted
from .._numerics.families import (
    Family,
    Gaps,
    among_all,
    label_minima,
    noise_minima,
    shrunk,
)
from .._numerics.paired import benjamini_hochberg, holm
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray
from ._bin_intervals import wilson
from ._estimate import Estimate, _rows_of
from ._group_columns import Groups, family_of, read_columns
from ._result_table import ResultTable

#: A group is estimable with at least so many expected rows of the less probable label, and
#: clusters; its losses have an interval with so many events, and non-events.
_LEAST = 5.0


class _Sums(NamedTuple):
    """Sums over the rows of each group."""

    n: FloatArray
    events: FloatArray
    total: FloatArray  # (groups, 4): w, w y, w loss, w p
    moments: FloatArray  # (groups, 4, 4): their products, summed over rows or clusters
    rows: FloatArray  # effective number of rows
    units: FloatArray  # effective number of rows or clusters
    freedom: FloatArray  # degrees of freedom of their variance
    seen: FloatArray  # share of their variance that is seen about their own mean
    rarer: FloatArray  # effective number of events, or of non-events
    rarer_freedom: FloatArray  # degrees of freedom of their variance
    expected: FloatArray  # effective number of rows expected to have the less probable label
    gaps: Gaps

    def mean(self, j: int) -> FloatArray:
        return np.asarray(self.total[:, j] / self.total[:, 0])

    def variance(self, *parts: FloatArray) -> FloatArray:
        """Variance of the mean of a combination of the four."""
        c = np.column_stack(np.broadcast_arrays(*parts))
        square = np.maximum(np.einsum("gi,gij,gj->g", c, self.moments, c), 0.0)
        return np.asarray(square / self.seen / self.total[:, 0] ** 2)


@counted()
def group_table(
    y_true: Any,
    y_prob: Any,
    by: Any,
    *,
    groups: Any = None,
    sample_weight: Any = None,
    search: bool = False,
    n_bands: int = 4,
    adjust: Literal["max", "holm", "bh"] = "max",
    level: float = 0.9,
    n_draws: int = 2000,
    pos_label: Any = None,
    classes: Any = None,
    random_state: Any = 0,
) -> ResultTable:
    """Measure calibration in each group of rows, and flag the groups where it fails.

    Use it to see where a model is wrong, for instance for which age or region. The flags account
    for the number of groups.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels. For two classes also fractions of events in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class. With K > 2 classes the
        table is about the class with the largest probability: an event is a correct prediction.
    by : array-like of shape (n,) or (n, columns), mapping or data frame
        Values that the rows are grouped by. Each column makes its own groups, so a row is in one
        group of each column. Numbers and dates with more than 12 distinct values are cut into
        ``n_bands`` bands; to make a group of each number, such as a code, pass texts. Missing
        values (None, NaN) are a group. At most 5,000 groups.
    groups : array-like of shape (n,), optional
        Cluster of each row, such as the patient. Rows of one cluster may depend on each other.
        Don't confuse it with ``by``.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0, the share of the population that a row represents.
    search : bool, default=False
        Also look through all combinations of two and three columns. The flags account for it, so a
        group needs a larger error to be flagged. The rows with the smallest p-values come first.
    n_bands : int, default=4
        Number of bands, of about equal size, of a column of numbers, at least 2.
    adjust : {"max", "holm", "bh"}, default="max"
        How p-values account for many groups. "max": family-wise error, by simulation of all groups
        together; has the most power if groups overlap. "holm": family-wise error. "bh": false
        discovery rate.
    level : float, default=0.9
        Confidence level of each interval. Groups are flagged at 1 - level.
    n_draws : int, default=2000
        Number of simulated label sets, at least 100. Only for ``adjust="max"``.
    pos_label : label, optional
        Label of the event (two classes only). Default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the simulation.

    Returns
    -------
    table : ResultTable
        One row per group, with the columns of the Notes.

    Raises
    ------
    ValueError
        If the data or settings are invalid, or if there are too many groups.

    Warns
    -----
    FewGroupsWarning
        If there are fewer than ten clusters: intervals may be too narrow.

    See Also
    --------
    GroupDisplay : Draw the table.

    Notes
    -----
    The columns are:

    - ``group``: its name; ``n``, ``events``: its rows and events, counted without weights.
    - ``predicted``, ``observed``: mean probability, and share of events with Wilson's interval.
    - ``error``: predicted minus observed; above 0 the model predicts too many events. Its
      interval takes the probabilities as given, so it is narrower than that of ``observed`` if
      they differ inside the group.
    - ``error_shrunk``: the error, pulled toward the mean error of the groups of the same columns
      (empirical Bayes, DerSimonian and Laird). Use it to rank groups: the largest of many errors
      is partly chance.
    - ``brier``, ``skill``: Brier score, and its skill compared with the group's own share of
      events, with Student's intervals. Without an interval if there are fewer than five events or
      non-events.
    - ``z``: the error in standard errors of a calibrated model; above 3 is strong evidence.
    - ``p_value``: adjusted as ``adjust`` says.
    - ``flag``: "miscalibrated" if the p-value is at most 1 - level. Otherwise "not estimable" if
      fewer than five rows are expected to have the less probable label, or if there are fewer
      than five clusters: such a group is not flagged unless it is very wrong.

    The test asks whether a group has as many events as its probabilities add up to. It can't see
    errors that cancel inside a group, such as over-confidence at both ends: see ``brier`` and
    ``skill``, or use :func:`calibration_error` on the rows of the group. Nor can it see groups
    that no column describes. Intervals are for one group each; only the flags account for the
    number of groups.

    Without clusters, the p-value of a group is from the difference of two Poisson variables (rare
    events, rare non-events), or for more rows from a scaled Poisson variable, with the variance
    and skewness of labels drawn from the probabilities. "max" compares the smallest p-value with
    the smallest ones of such labels (Westfall and Young 1993); for many rows, correlated normal
    variables replace the labels. With clusters, each cluster's sum of errors gets a random sign.
    Groups of few clusters or of rare events are then seldom flagged. Fractions as labels vary less
    than events, so fewer groups are flagged. ``benchmarks/group_flags.py`` prints the family-wise
    error and the power.

    References
    ----------
    P. Westfall and S. Young (1993). Resampling-based multiple testing. Wiley. --- S. Holm (1979).
    A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6.
    --- Y. Benjamini and Y. Hochberg (1995). Controlling the false discovery rate. Journal of the
    Royal Statistical Society B 57. --- R. DerSimonian and N. Laird (1986). Meta-analysis in
    clinical trials. Controlled Clinical Trials 7. --- E. Wilson (1927). Probable inference, the
    law of succession, and statistical inference. Journal of the American Statistical Association
    22. --- E. Korn and B. Graubard (1998). Confidence intervals for proportions with small
    expected number of positive counts estimated from survey data. Survey Methodology 24.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import group_table
    >>> rng = np.random.default_rng(0)
    >>> p, region = rng.random(600), rng.choice(["north", "south"], 600)
    >>> y = rng.random(600) < np.where(region == "south", p**2, p)
    >>> for row in group_table(y, p, by={"region": region}):
    ...     print(row["group"], row["n"], row["events"], round(row["z"], 1), row["flag"])
    region=north 298 171 -1.8
    region=south 302 99 8.0 miscalibrated
    """
    check_choice("adjust", adjust, ("max", "holm", "bh"))
    check_flag("search", search)
    check_int("n_bands", n_bands, low=2, high=1000)
    check_int("n_draws", n_draws, low=100)
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    rng = generator(random_state)
    rows, clusters = _rows_of(groups, y_true, y_prob, sample_weight, "sampling", pos_label, classes)
    n = rows_passed(sample_weight, len(rows.y))
    columns = read_columns(by, n, n_bands)
    w = positive_weights(sample_weight, n)
    if w is not None and not w.all():
        columns = [column._replace(codes=column.codes[w > 0]) for column in columns]
    (b,) = reduce_rows(rows, infer_kind(None, rows.scores.n_classes))
    made = family_of(columns, search=search)
    sums = _sums(made.family, b, clusters)
    p_value, known = _p_values(sums, b, clusters)
    adjusted = np.full(len(p_value), np.nan)
    if known.any() and adjust == "max":
        only = made.family._replace(member=made.family.member[np.flatnonzero(known)])
        minima = _minima(only, sums, known, b, clusters, n_draws, rng)
        adjusted[known] = among_all(p_value[known], minima)
    elif known.any():
        adjusted[known] = (holm if adjust == "holm" else benjamini_hochberg)(p_value[known])
    plain = clusters is None and b.w is None
    table = _table(made, sums, p_value, adjusted, level, adjust, plain=plain)
    if not search:
        return table
    order = np.lexsort((-np.abs([row["z"] for row in table]), adjusted))
    return replace(table, rows=tuple(table.rows[i] for i in order))


def _sums(family: Family, b: Binary, clusters: IntArray | None) -> _Sums:
    y, p = b.y.astype(np.float64), b.p
    w = np.ones(len(p)) if b.w is None else b.w
    loss = y * (1.0 - p) ** 2 + (1.0 - y) * p**2
    parts = [w, w * y, w * loss, w * p]
    n, events, *total = family.sums(np.ones(len(w)), y, *parts)
    stacked = np.column_stack(total)
    less, v = np.minimum(p, 1.0 - p), w * w * p * (1.0 - p)
    given = w * w, w * w * y, w * less, w * w * less, v, v * w * (1.0 - 2.0 * p)
    w2, w2y, unlikely, squared, variance, third = family.sums(*given)
    moments = np.empty((len(n), 4, 4))
    held = None if clusters is None else [family.by_cluster(v, clusters) for v in parts]
    for i in range(4):
        for j in range(i + 1):
            if held is None:
                (product,) = family.sums(parts[i] * parts[j])
            else:
                product = np.asarray(held[i].multiply(held[j]).sum(axis=1)).ravel()
            moments[:, i, j] = moments[:, j, i] = product
    total_2, total_3, total_4 = (
        np.asarray(held[0].power(k).sum(axis=1)).ravel() if held else family.sums(w**k)[0]
        for k in (2, 3, 4)
    )
    h = total_2 / stacked[:, 0] ** 2
    seen = 1.0 - 2.0 * total_3 / total_2 / stacked[:, 0] + h  # heavy ones pull the mean
    w4, w4y = family.sums(w**4, w**4 * y)
    return _Sums(
        n,
        events,
        stacked,
        moments,
        rows=effective_count(stacked[:, 0], w2),
        units=1.0 / h,
        freedom=np.maximum(effective_count(total_2, total_4) - 1.0, 0.0),
        seen=np.maximum(seen, 0.01),
        rarer=_rarer(stacked[:, 0], stacked[:, 1], w2, w2y),
        rarer_freedom=_rarer(w2, w2y, w4, w4y) - 1.0,
        expected=effective_count(unlikely, squared),
        gaps=Gaps(variance, third, float(b.w is None and b.y.dtype.kind != "f")),
    )


def _rarer(w: FloatArray, wy: FloatArray, w2: FloatArray, w2y: FloatArray) -> FloatArray:
    """Effective number of events or non-events, of which there are fewer."""
    rest = effective_count(w - wy, np.maximum(w2 - w2y, 0.0))
    return np.asarray(np.minimum(effective_count(wy, w2y), rest))


def _p_values(
    sums: _Sums, b: Binary, clusters: IntArray | None
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """p-value of each group by itself, and which groups have one."""
    gap = sums.total[:, 1] - sums.total[:, 3]
    gap[np.abs(gap) < 1e-12 * sums.total[:, 0]] = 0.0
    if clusters is None:
        # Few rows of uneven weights have no distribution that three moments describe.
        certain = sums.gaps.variance == 0.0
        known = np.full(len(gap), True) if b.w is None else certain | (sums.expected >= _LEAST)
        return np.where(known, sums.gaps.p_values(gap), np.nan), known
    # Dependent rows vary more than independent ones. What few clusters show may be less.
    seen = sums.moments[:, 1, 1] - 2.0 * sums.moments[:, 1, 3] + sums.moments[:, 3, 3]
    sd = np.sqrt(np.maximum(seen, sums.gaps.variance))
    z = np.divide(gap, sd, out=np.zeros(len(gap)), where=sd > 0)
    known = sums.units >= _LEAST
    return np.where(known, 2.0 * ndtr(-np.abs(z)), np.nan), known


def _minima(
    family: Family,
    sums: _Sums,
    known: NDArray[np.bool_],
    b: Binary,
    clusters: IntArray | None,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Smallest p-value of all groups, for each of many sets of calibrated labels."""
    if clusters is not None:
        residual = (b.y - b.p) * (1.0 if b.w is None else b.w)
        return noise_minima(family.by_cluster(residual, clusters), n_draws, rng, signs=True)
    variance, third, step = sums.gaps
    gaps = Gaps(variance[known], third[known], step)
    minima = label_minima(family, b.p, b.w, gaps, n_draws, rng)
    if minima is not None:
        return minima
    each = b.p * (1.0 - b.p) * (1.0 if b.w is None else b.w**2)
    sd = np.sqrt(np.bincount(family.atom, each, minlength=family.member.shape[1]))
    return noise_minima(family.member @ diags(sd), n_draws, rng, signs=False)


def _shares(sums: _Sums, level: float, *, plain: bool) -> tuple[FloatArray, ...]:
    """Ends of the observed share, and of the error."""
    rate, score, zero = sums.mean(1), sums.mean(3), np.zeros(1)
    labels, expected = rate * (1.0 - rate), score * (1.0 - score)

    def rows(binomial: FloatArray, variance: FloatArray) -> FloatArray:
        """Rows for which a binomial share has this variance."""
        there = (binomial > 0) & (variance > 0)
        return np.divide(binomial, variance, out=np.full(len(rate), np.inf), where=there)

    shown = sums.n
    thin: Any = 1.0
    if not plain:
        shown = np.minimum(rows(labels, sums.variance(-rate, 1.0 + zero, zero, zero)), sums.rows)
        shown = np.where(labels > 0, shown, sums.units)
        freedom = np.where(sums.freedom < 0.5, np.nan, sums.freedom)
        thin = (ndtri((1.0 + level) / 2.0) / stdtrit(freedom, (1.0 + level) / 2.0)) ** 2
    low, high = wilson(rate, shown * thin, level)
    residual = sums.variance(score - rate, 1.0 + zero, zero, -1.0 + zero)
    sure = rows(expected, sums.gaps.variance / sums.total[:, 0] ** 2)
    sharp = np.minimum(sure, rows(labels, residual))
    least, most = wilson(rate, np.where(np.isfinite(sharp), sharp, shown) * thin, level)
    return low, high, score - most, score - least


def _table(
    made: Groups,
    sums: _Sums,
    p_value: FloatArray,
    adjusted: FloatArray,
    level: float,
    adjust: str,
    *,
    plain: bool,
) -> ResultTable:
    error = sums.mean(3) - sums.mean(1)
    low, high, least, most = _shares(sums, level, plain=plain)
    estimable = (sums.expected >= _LEAST) & np.isfinite(p_value)
    pulled = _pulled(made.part, error, np.where(estimable, _noise(sums), np.nan))
    brier, reach, skill, off = _losses(sums, level)
    z = np.sign(error) * np.abs(ndtri(p_value / 2.0)) + 0.0
    flag = np.where(estimable, "", "not estimable")
    flag = np.where(adjusted <= 1.0 - level + 1e-12, "miscalibrated", flag)
    n = sums.n.astype(np.int64).tolist()
    events = [int(e) if e.is_integer() else e for e in sums.events.tolist()]
    columns: dict[str, list[Any]] = {
        "group": made.names,
        "n": n,
        "events": events,
        "predicted": sums.mean(3).tolist(),
        "observed": _estimates("observed", sums.mean(1), low, high, level, n),
        "error": _estimates("error", error, least, most, level, n),
        "error_shrunk": pulled.tolist(),
        "brier": _estimates("brier_score", brier, brier - reach, brier + reach, level, n),
        "skill": _estimates("brier_skill_score", skill, skill - off, skill + off, level, n),
        "z": z.tolist(),
        "p_value": adjusted.tolist(),
        "flag": flag.tolist(),
    }
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    caption = (
        f"error: predicted minus observed; brackets: {percent(level)} intervals of one group; "
        f"p_value: {_ADJUSTED[adjust]}; {(flag == 'miscalibrated').sum():,} of {len(n):,} groups "
        f"are flagged; not estimable: the predictions promise fewer than {_LEAST:g} events or "
        "non-events, or there are too few clusters"
    )
    return ResultTable(tuple(rows), caption=caption, brief=("observed", "brier", "skill"))


#: What the p-values allow for.
_ADJUSTED = {
    "max": "accounts for all groups, by simulation",
    "holm": "accounts for all groups, by Holm's method",
    "bh": "false discovery rate, by Benjamini and Hochberg's method",
}


def _losses(sums: _Sums, level: float) -> tuple[FloatArray, ...]:
    """Brier score and skill, each with the reach of its interval."""
    rate, brier = sums.mean(1), sums.mean(2)
    zero, one = np.zeros(1), np.ones(1)
    base = np.where((rate > 0) & (rate < 1), rate * (1.0 - rate), np.nan)
    ratio = brier / base
    freedom = np.minimum(sums.freedom, np.maximum(sums.rarer_freedom, 1.0))
    freedom[(sums.rarer < _LEAST * (1.0 - 1e-9)) | (freedom < 0.5)] = np.nan
    reach = stdtrit(freedom, (1.0 + level) / 2.0)
    sd = np.sqrt(sums.variance(-brier, zero, one, zero))
    slope = -ratio * (1.0 - 2.0 * rate)
    sd_ratio = np.sqrt(sums.variance(-ratio * rate**2, slope, one, zero)) / base
    return brier, reach * sd, 1.0 - ratio, reach * sd_ratio


def _noise(sums: _Sums) -> FloatArray:
    """Variance of the error: the larger one of what was seen and of a calibrated model."""
    rate, score, zero = sums.mean(1), sums.mean(3), np.zeros(1)
    seen = sums.variance(score - rate, 1.0 + zero, zero, -1.0 + zero)
    return np.maximum(seen, sums.gaps.variance / sums.total[:, 0] ** 2)


def _pulled(part: IntArray, error: FloatArray, variance: FloatArray) -> FloatArray:
    """Shrink the errors of the groups of the same columns: these don't share rows."""
    out = np.empty(len(error))
    for k in range(int(part.max()) + 1):
        out[part == k] = shrunk(error[part == k], variance[part == k])
    return out


def _estimates(
    name: str, values: FloatArray, low: FloatArray, high: FloatArray, level: float, n: list[int]
) -> list[Estimate]:
    rows = zip(values.tolist(), low.tolist(), high.tolist(), n, strict=True)
    return [
        Estimate(v, a, b, level, m, name, method="analytic" if a == a else "no interval")
        for v, a, b, m in rows
    ]
