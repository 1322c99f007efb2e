"""Certificates: bounds of a model's calibration error from labeled rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import comb, log
from typing import Any, NamedTuple

import numpy as np

from .._numerics.binning import (
    MOST_BINS,
    BinSums,
    distinct_starts,
    mass_borders,
    sort_by_score,
    sorted_sums,
)
from .._numerics.debias import merge_small, squared_error
from .._numerics.exact import clopper_pearson, upper_bound
from .._numerics.group_bounds import group_bounds, group_counts
from .._numerics.inversion import of_sums
from .._numerics.joint import near_outputs, strength
from .._numerics.region import (
    Options,
    Pairs,
    around_shares,
    most_mean,
    pairs_of,
    radius,
    reach,
)
from .._typing import FloatArray, IntArray
from .certified_groups import Grouping
from .errors import InputError
from .params import check_flag, check_int, check_real, generator, percent

_SUBJECTS = {
    "binary": "the probabilities are",
    "top_label": "the confidence in the predicted class is",
    "classwise": "the probabilities of the classes are, averaged over the classes,",
}
#: A larger upper bound of the largest gap is not reported.
_LARGE = 0.25
#: A smaller lower bound is printed as 0.
_SMALL = 1e-4
#: Shares of the failure probability: of the intervals of all rates, of the joint region near the
#: outputs (upper bounds), of that around the shares (both bounds), and of how often each output
#: occurs.
_FOR_RATES, _FOR_NEAR, _FOR_AROUND, _FOR_SHARES = 0.45, 0.28, 0.22, 0.05
#: With more outputs the joint region would take too much memory.
_MOST_JOINT = 5000
#: Draws of labels behind lower bounds for continuous scores.
_N_DRAWS = 2000
#: A model has finitely many outputs if at most this share of rows has a unique score. By Good and
#: Turing, this share estimates the probability that a new row has a new score.
_FINITE = 0.01
#: More bins of a lower bound take too long to simulate.
_MOST_BINS = 1000
#: With more outputs, bins of several outputs give a better lower bound: noise averages out.
_FEW_OUTPUTS = 30
#: With groups: more outputs take too long.
_MOST_GROUPED = 1000
#: Rows per output with which intervals of single outputs bound the error of very many outputs.
_ENOUGH_ROWS = 100


@dataclass(frozen=True)
class Certificate:
    """Bounds of the calibration error of a model. ``print`` it for a sentence.

    :func:`certify` returns it.

    Parameters
    ----------
    finite : bool
        Whether the model has finitely many outputs. If not, the upper bounds are 1, for any number
        of rows.
    level : float
        Confidence that all bounds are true together.
    n : int
        Number of rows.
    l1, l2, max : tuple of float
        Lower and upper bounds of the mean, the root mean square and the largest gap between an
        output and its true event rate.
    value, count, events, low, high : ndarray of shape (m,)
        Each output, its number of rows and of events, and the exact interval of its true rate (all
        intervals are simultaneous). Empty for continuous scores; class after class if class-wise.
    unseen : float, default=0.0
        Upper bound of the share of new rows with an output that none of these rows has. The bounds
        do not cover such rows.
    kind : {"binary", "top_label", "classwise"}, default="binary"
        What is certified: the probability of the event, the confidence in the predicted class, or
        the probabilities of all classes, with errors averaged over the classes.
    note : str, default=""
        A hint if the scores may belong to the other label, or which probabilities are certified if
        they are not those of ``predict_proba``; otherwise empty.
    n_groups : int, optional
        Number of independent groups; None if all rows are independent.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import certify
    >>> y = np.arange(10_000) % 10 < np.repeat([2, 7], 5000)
    >>> certify(y, np.repeat([0.2, 0.7], 5000))
    Certified with 90% confidence on 10,000 rows: the probabilities are off by 0 to 0.0141 on \
average (l1; root mean square 0 to 0.0142), and none of the 2 outputs by more than 0.015. \
At most 0.14% of new rows have an output that did not occur here.
    """

    finite: bool
    level: float
    n: int
    l1: tuple[float, float]
    l2: tuple[float, float]
    max: tuple[float, float]
    value: FloatArray = field(repr=False)
    count: FloatArray = field(repr=False)
    events: FloatArray = field(repr=False)
    low: FloatArray = field(repr=False)
    high: FloatArray = field(repr=False)
    unseen: float = 0.0
    kind: str = "binary"
    note: str = ""
    n_groups: int | None = None

    @property
    def says_largest(self) -> bool:
        """Whether the upper bound of the largest gap is small enough to be reported."""
        return self.max[1] <= _LARGE

    def short(self) -> str:
        """Return the root mean square error with its bounds as a short text.

        Returns
        -------
        text : str
            Estimate and bounds; for continuous scores the lower bound, if it is above 0.
        """
        if not self.finite:
            least = f"{self.l2[0]:.3f}"
            least = "no bound" if float(least) == 0 else f"at least {least}, no upper bound"
            return f"{least} (continuous scores)"
        low, high = self.l2
        n = self.count
        squares = n * self.value**2 + self.events * (1.0 - 2.0 * self.value)
        sums = BinSums(n.astype(np.int64), n, n * self.value, self.events, squares)
        square = 0.0 if n.sum() < 2 else float(squared_error(merge_small(sums), "differences"))
        value = min(max(np.sqrt(max(square, 0.0)), low), high)
        return f"{value:.3f} [{low:.3f}, {high:.3f}] certified"

    def __str__(self) -> str:
        sure, what = percent(self.level), _SUBJECTS[self.kind]
        if not self.finite:
            off = f"{what} off by at least {_least(self.l2[0])} (root mean square)"
            if self.l2[0] == 0.0:
                off = "no error is detected"
            return (
                f"Not certified: the scores of these {self.n:,} rows are treated as continuous, so "
                f"only a lower bound of the error exists. With {sure} confidence {off}. For an "
                "upper bound bin the scores, for instance with ScalingBinningCalibrator(n_bins=10)."
                f"{self._note()}"
            )
        among = "" if self.n_groups is None else f" in {self.n_groups:,} groups"
        text = (
            f"Certified with {sure} confidence on {self.n:,} rows{among}: {what} off by "
            f"{_least(self.l1[0])} to {self.l1[1]:.3g} on average (l1; root mean square "
            f"{_least(self.l2[0])} to {self.l2[1]:.3g})"
        )
        n = len(self.value)
        if self.says_largest:
            text += f", and none of the {n:,} outputs by more than {self.max[1]:.3g}."
        else:
            of = "the only output" if n == 1 else f"a single one of the {n:,} outputs"
            text += f"; {of} may be off by up to {self.max[1]:.3g}."
        if self.unseen > 0:
            most = float(f"{100 * self.unseen:.2g}")
            text += f" At most {most:g}% of new rows have an output that did not occur here."
        return text + self._note()

    def _note(self) -> str:
        return f" {self.note}" if self.note else ""

    def __repr__(self) -> str:
        return str(self)


def _least(bound: float) -> str:
    """A lower bound as text; one that is next to nothing is rounded down to 0."""
    return f"{bound:.3g}" if bound >= _SMALL else "0"


def counts_of(p: FloatArray, y: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distinct scores in ascending order, with their numbers of rows and events."""
    p, y, _ = sort_by_score(p, y)
    starts = distinct_starts(p)
    n = np.diff(np.append(starts, len(p))).astype(np.float64)
    return p[starts], n, np.add.reduceat(y, starts, dtype=np.float64)


def looks_finite(n: FloatArray) -> bool:
    """Return whether upper bounds are possible, by the rows of each score; labels are ignored.

    Nearly every row must share its score with others. Rounded continuous scores do so too, so more
    outputs than the joint region accepts must also have enough rows each.
    """
    shared = float(np.count_nonzero(n == 1) / n.sum()) <= _FINITE
    return shared and (len(n) <= _MOST_JOINT or float(n.mean()) >= _ENOUGH_ROWS)


def bounds_of(
    value: FloatArray,
    n: FloatArray,
    events: FloatArray,
    level: float,
    n_outputs: int | None = None,
    seed: int = 0,
) -> Certificate:
    """Bounds for a model with these outputs, from the rows and events of each.

    Given the scores, the labels of one output are independent with one event rate, so exact
    intervals are valid; Bonferroni makes them valid together. Two joint regions bound the mean gap
    of these rows more tightly. A Chernoff bound, for the mean of a variable between the smallest
    and the largest gap, covers the difference to the mean gap of all possible rows. ``n_outputs``
    is the number of outputs of the model, if known.
    """
    known = _known(value, n, events[None], level)
    unseen = _unseen_share(n, known.failure, n_outputs, seed)
    l1, l2 = (
        (float(_mean(known, power, -1.0)[0]), float(_mean(known, power, 1.0)[0]))
        for power in (1, 2)
    )
    least, most, low, high = (x[known.pairs.at[0]] for x in known[1:5])
    largest, total = (float(least.max()), float(most.max())), int(n.sum())
    return Certificate(True, level, total, l1, l2, largest, value, n, events, low, high, unseen)


def upper_bounds_of(
    norm: str, value: FloatArray, n: FloatArray, events: FloatArray, level: float
) -> FloatArray:
    """Upper bounds of one error, as in :func:`bounds_of`, for each row of events."""
    known = _known(value, n, events, level)
    if norm == "max":
        return known.most[known.pairs.at].max(axis=1)
    return _mean(known, 1 if norm == "l1" else 2, 1.0)


class _Known(NamedTuple):
    """Intervals of the event rates, and the smallest and largest gap in each; joint regions."""

    pairs: Pairs
    least: FloatArray
    most: FloatArray
    low: FloatArray
    high: FloatArray
    near: Options | None
    around: Options | None
    failure: float  # of each bound of a mean


def _known(value: FloatArray, n: FloatArray, events: FloatArray, level: float) -> _Known:
    failure, pairs = 1.0 - level, pairs_of(value, n, events)
    each = _FOR_RATES * failure / len(value)
    low, high = clopper_pearson(pairs.events / pairs.n, pairs.n, 1.0 - each)
    least = np.maximum(np.maximum(low - pairs.value, pairs.value - high), 0.0)
    most = np.maximum(np.abs(pairs.value - low), np.abs(high - pairs.value))
    near = around = None
    if len(value) <= _MOST_JOINT:
        s = strength(value, n, _FOR_NEAR * failure)
        near = near_outputs(pairs, low, high, s, _FOR_NEAR * failure)
        around = around_shares(pairs, radius(n, _FOR_AROUND * failure))
    # Four one-sided bounds of means: l1 and l2, below and above; and one of the unseen share.
    return _Known(pairs, least, most, low, high, near, around, _FOR_SHARES * failure / 5.0)


def _mean(known: _Known, power: int, sign: float) -> FloatArray:
    """Upper bounds (sign 1) or lower bounds (-1) of the mean gap of this power."""
    pairs, at = known.pairs, known.pairs.at
    weight = pairs.n[at[0]] / pairs.n[at[0]].sum()
    gaps = known.least**power, known.most**power
    bound = sign * gaps[sign > 0][at] @ weight
    for region in (known.near if sign > 0 else None, known.around):
        if region is not None:
            bound = np.minimum(bound, most_mean(region, pairs, power, sign))
    # From the mean of these rows to that of all: of a variable between the least and largest gap.
    least, scale = gaps[0][at].min(axis=1), gaps[1][at].max(axis=1)
    scale = np.maximum(scale - least, 1e-300)
    slack = -np.log(known.failure) / pairs.n[at[0]].sum() if at.shape[1] > 1 else 0.0
    share = np.clip((sign * bound - least) / scale, 0.0, 1.0)
    share = reach(share, np.full(len(share), slack), 0.5 + 0.5 * sign)
    return (least + scale * share) ** (1.0 / power)


#: Rows from which halves are drawn row by row.
_MOST_DRAWN = 1e9


def _unseen_share(n: FloatArray, failure: float, n_outputs: int | None, seed: int) -> float:
    """Upper bound of the share of rows with outputs that do not occur here.

    A set of outputs with a share above e does not occur in n rows with probability at most
    (1 - e)^n. If the number of outputs is known, the number of such sets is known too. Otherwise
    the rows are split at random into halves; the number of rows in one half whose output does not
    occur in the other half is binomial.
    """
    total, missing = float(n.sum()), 0 if n_outputs is None else max(n_outputs - len(n), 0)
    if n_outputs is not None:
        sets = log(comb(n_outputs, missing))
        return float(-np.expm1((log(failure) - sets) / total)) if missing else 0.0
    counts = n.astype(np.int64)
    rng = np.random.default_rng(seed)
    if total < _MOST_DRAWN:
        known = rng.multivariate_hypergeometric(counts, int(total) // 2, method="marginals")
    else:  # too many for NumPy: draw the half of each row independently
        known = rng.binomial(counts, 0.5)
    new = int((counts - known)[known == 0].sum())
    others = int(total) - int(known.sum())
    return float(upper_bound(new, others, failure))


def average(parts: list[Certificate], level: float) -> Certificate:
    """Class-wise bounds: errors averaged over the classes, from a certificate of each.

    Each part has a confidence level at which all of them are valid together.
    """

    def mean(norm: str, power: int) -> tuple[float, float]:
        ends = np.array([getattr(v, norm) for v in parts]) ** power
        low, high = ends.mean(axis=0) ** (1.0 / power)
        return float(low), float(high)

    names = ("value", "count", "events", "low", "high")
    joined: Any = {name: np.concatenate([getattr(v, name) for v in parts]) for name in names}
    finite, unseen = all(v.finite for v in parts), max(v.unseen for v in parts)
    largest = max(v.max[0] for v in parts), max(v.max[1] for v in parts)
    told: Any = {"finite": finite, "level": level, "unseen": unseen, "kind": "classwise"}
    return replace(parts[0], l1=mean("l1", 1), l2=mean("l2", 2), max=largest, **told, **joined)


def lower_bounds(
    p: FloatArray, n: FloatArray, events: FloatArray, level: float, n_bins: int, seed: int
) -> Certificate:
    """Lower bounds from equal-mass bins, the only bounds for continuous scores."""
    borders = mass_borders(p, n, min(n_bins, int(n.sum())))
    sums = merge_small(sorted_sums(p, n.astype(np.int64), n, events, borders, squares=True))
    # The lower end of a two-sided interval fails in half of the cases; here are two of them.
    l1, l2 = (of_sums(k, sums, level, _N_DRAWS, seed, upper=False)[0] for k in ("l1", "l2"))
    none = np.empty(0)
    bounds = (l1, 1.0), (max(l1, l2), 1.0), (max(l1, l2), 1.0)
    return Certificate(False, level, int(n.sum()), *bounds, none, none, none, none, none)


def better_bounds(
    value: FloatArray, n: FloatArray, events: FloatArray, level: float, n_bins: int, seed: int
) -> Certificate:
    """Upper bounds from single outputs, and the better lower bound of outputs or of bins.

    Each of the two has half of the failure probability, so both are valid together.
    """
    each = 0.5 + 0.5 * level
    bounds = bounds_of(value, n, events, each, seed=seed)
    low = lower_bounds(value, n, events, each, min(n_bins, _MOST_BINS), seed)

    def ends(norm: str) -> tuple[float, float]:
        least, most = getattr(bounds, norm)
        return max(least, min(getattr(low, norm)[0], most)), most

    return replace(bounds, level=level, l1=ends("l1"), l2=ends("l2"), max=ends("max"))


class Settings(NamedTuple):
    """The user's settings of a certificate."""

    level: float
    finite: bool | None
    n_bins: int
    random_state: Any
    groups: Grouping | None = None


def certify_rows(
    p: FloatArray,
    y: IntArray,
    settings: Settings,
    n_outputs: int | None = None,
    kind: str = "binary",
) -> Certificate:
    """A certificate from rows that are independent, or whose groups are."""
    if settings.groups is None:
        return certify_counts(counts_of(p, y), settings, n_outputs, kind)
    level, seed = settings.level, _checked(settings)
    value, cells = np.unique(p, return_inverse=True)
    n, events = (np.bincount(cells, each).astype(np.float64) for each in (None, y))
    sure = looks_finite(n) if settings.finite is None else settings.finite
    if not sure or len(value) > _MOST_GROUPED:
        why = "finite=False"
        if settings.finite is not False:
            why = f"y_prob has {len(value):,} different scores in {len(p):,} rows"
        raise InputError(
            f"groups with continuous scores ({why}); expected at most {_MOST_GROUPED:,} scores "
            "that occur again and again. With groups there is no bound for continuous scores. Bin "
            "them, for instance with ScalingBinningCalibrator(n_bins=10), or use estimate(metric, "
            "y_true, y_prob, groups=...) for approximate intervals."
        )
    codes, size = settings.groups
    counts = group_counts(value, cells, y, codes)
    low, high, *norms, unseen = group_bounds(counts, size, 1.0 - level, n_outputs, seed)
    counted: Any = len(p), *norms, value, n, events, low, high, unseen, kind
    return replace(Certificate(True, level, *counted), n_groups=int(codes.max()) + 1)


def _checked(settings: Settings) -> int:
    """The seed of settings that are valid."""
    check_real("level", settings.level, low=0.0, high=1.0, open_low=True, open_high=True)
    check_int("n_bins", settings.n_bins, low=1, high=MOST_BINS)
    if settings.finite is not None:
        check_flag("finite", settings.finite)
    return int(generator(settings.random_state).integers(2**31))


def certify_counts(
    counts: tuple[FloatArray, FloatArray, FloatArray],
    settings: Settings,
    n_outputs: int | None = None,
    kind: str = "binary",
) -> Certificate:
    """A certificate from the rows and events of each distinct score."""
    level, finite, n_bins, *_ = settings
    seed, n = _checked(settings), counts[1]
    sure = looks_finite(n) if finite is None else finite
    if not sure and n.sum() < 2:
        raise InputError("there is one row; expected at least two.")
    if not sure and n_bins > _MOST_BINS:
        raise InputError(
            f"n_bins={n_bins}; expected at most {_MOST_BINS:,}, because labels are simulated in "
            "every bin. Use fewer bins; the default is 15."
        )
    if not sure:
        bounds = lower_bounds(*counts, level, n_bins, seed)
    elif finite is None and len(n) > _FEW_OUTPUTS:
        bounds = better_bounds(*counts, level, n_bins, seed)
    else:
        bounds = bounds_of(*counts, level, n_outputs, seed)
    return replace(bounds, kind=kind)


def certify_classes(
    columns: list[tuple[FloatArray, IntArray]],
    settings: Settings,
    n_outputs: list[int | None] | None = None,
) -> Certificate:
    """A class-wise certificate from the scores and events of each class."""
    level = settings.level
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    each = settings._replace(level=1.0 - (1.0 - level) / len(columns))
    parts = [
        certify_rows(p, y, each if k is None else each._replace(finite=True), k)
        for (p, y), k in zip(columns, n_outputs or [None] * len(columns), strict=True)
    ]
    return average(parts, level)
