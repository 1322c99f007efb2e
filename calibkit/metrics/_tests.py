"""Tests of calibration: one entry each in ``TESTS``, with what it sees and what it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import chdtrc, ndtr

from .._core.errors import InputError, InputTypeError
from .._core.params import check_choice, check_int, generator
from .._core.printed import spelled
from .._core.rows import Binary, infer_kind, reduce_rows, refuse_beside_table, refuse_kind
from .._core.warnings import FewGroupsWarning, counted, warn
from .._numerics.binning import assign
from .._numerics.links import logit
from .._numerics.paired import holm
from .._numerics.recalibration import fit_lines, log_likelihood, sum_tail
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray, Kind, Weights
from ._binned import raw_kernel
from ._decomposition import SPECS as DECOMPOSED
from ._estimate import _rows_of
from ._line import inner, refuted
from ._loess import SPECS as CURVES
from ._nulls import OF_GROUPS, Nulls, Statistic, nulls_of
from ._result_table import ResultTable
from ._spec import Kernel
from ._table import ScoreTable
from ._whole import SPECS as WHOLE

_WHOLES = {m.name: m.whole for m in (*WHOLE, *DECOMPOSED, *CURVES) if m.whole is not None}
#: Cells on which statistics are computed, and on which labels are drawn.
_CELLS, _DRAWN = 4096, 512
#: With fewer effective groups the sizes of the tests are not known.
_FEW_GROUPS = 30.0
#: Largest excess kurtosis, or squared skewness, of scores that pass for normal.
_NORMAL = 0.03
#: Half a step at the 1% quantile, in standard deviations times it.
_HALF_STEP = 1.3
#: Groups of the Hosmer-Lemeshow test, and bins of the binned error.
_GROUPS, _BINS = 10, 15

Null = Literal["auto", "asymptotic", "monte_carlo"]


class Tail(NamedTuple):
    """The p-value of a known law, its name, and how far the scores are from it."""

    p_value: float
    law: str
    doubt: float

    @property
    def exact(self) -> bool:
        """Whether the law is accurate."""
        return self.doubt <= _NORMAL


@dataclass(frozen=True)
class Test:
    """A test of calibration.

    ``statistic`` gives its value for many label sets as a kernel; larger values are more extreme,
    or larger absolute values of a ``two_sided`` one. ``tail`` gives the p-value of an approximate
    law, for rows without groups.
    """

    name: str
    statistic: Callable[[ScoreTable], Kernel]
    sees: str
    blind_to: str
    tail: Callable[[ScoreTable, float], Tail] | None = None
    #: Inner borders that no cell may cross.
    borders: Callable[[ScoreTable], FloatArray] | None = None
    two_sided: bool = False
    #: ``cells -> (cells, k)``: with groups, the test of sums of residuals times these replaces the
    #: statistic by a cluster-robust one.
    loadings: Callable[[ScoreTable], FloatArray] | None = None
    #: The statistic as it is shown, if that is not the one on cells.
    value: Callable[[ScoreTable], float] | None = None


@dataclass(frozen=True)
class CalibrationTest:
    """The result of one test of calibration.

    Attributes
    ----------
    name : str
        Name of the test.
    statistic : float
        Its statistic; NaN if it is not defined on these rows.
    p_value : float
        Probability of a statistic at least as extreme if the model is calibrated.
    null : str
        How the p-value was found.
    n : int
        Number of rows.
    sees, blind_to : str
        Which errors the test finds, and which it does not.
    caution : str
        Why the p-value may be inaccurate; otherwise empty.

    Examples
    --------
    >>> from calibkit import CalibrationTest, calibration_test
    >>> found = calibration_test("spiegelhalter", [0, 1] * 200, [0.3, 0.6] * 200)
    >>> isinstance(found, CalibrationTest), found.p_value < 0.01
    (True, True)
    """

    name: str
    statistic: float
    p_value: float
    null: str
    n: int
    sees: str
    blind_to: str
    caution: str = ""

    def __str__(self) -> str:
        said = f". {self.caution[0].upper()}{self.caution[1:]}" if self.caution else ""
        return (
            f"{self.name}: statistic {self.statistic:.4f}, p-value {self.p_value:.4g} "
            f"({self.null}, n = {self.n:,}); blind to: {self.blind_to}{said}"
        )


def _doubt(table: ScoreTable, loadings: FloatArray) -> float:
    """Excess kurtosis or squared skewness of standardised sums of the residuals, whichever is more.

    Mardia's measures, relative to the kurtosis of as many normal variables over three. A count,
    which takes whole steps only, is in doubt until a step is small.
    """
    n, size = table.w**2 / table.w2, table.w2 / table.w
    a, p = loadings * size[:, None], table.p
    v = n * p * (1.0 - p)
    squares = (a * a).sum(axis=1)
    kurtosis = abs(float((v * (1.0 - 6.0 * p * (1.0 - p))) @ squares**2))
    k = a.shape[1]
    pairs = (a[:, :, None] * a[:, None, :]).reshape(len(a), k * k)
    third = ((v * (1.0 - 2.0 * p))[:, None] * a).T @ pairs
    skewness = float((third**2).sum())
    step = _HALF_STEP * float(np.ptp(a) == 0.0) * float(a[0, 0])
    return max(max(kurtosis, skewness) / (k * (k + 2.0) / 3.0), step)


def _deviation(table: ScoreTable, loadings: FloatArray) -> FloatArray:
    """Standard deviations of sums of the residuals times the loadings, if scores are calibrated."""
    variance = (table.w2 * table.p * (1.0 - table.p)) @ loadings**2
    return np.asarray(np.sqrt(variance))


def _standardised(loadings: Callable[[ScoreTable], FloatArray]) -> Callable[[ScoreTable], Kernel]:
    """Sums of the residuals times loadings, over their standard deviation."""

    def statistic(cells: ScoreTable) -> Kernel:
        a = loadings(cells)
        deviation = float(_deviation(cells, a)[0])

        def z(w: FloatArray, wy: FloatArray) -> FloatArray:
            moved = np.asarray((wy - w * cells.p) @ a[:, 0])
            if deviation > 0:
                return moved / deviation
            return np.where(moved == 0, np.nan, np.copysign(np.inf, moved))

        return z

    return statistic


def _mean(table: ScoreTable) -> FloatArray:
    return np.ones((len(table), 1))


def _spiegelhalter(table: ScoreTable) -> FloatArray:
    return np.asarray(1.0 - 2.0 * table.p)[:, None]


def _normal_tail(loadings: Callable[[ScoreTable], FloatArray]) -> Any:
    def tail(table: ScoreTable, z: float) -> Tail:
        a = loadings(table)
        deviation = _deviation(table, a)
        doubt = np.inf if not deviation[0] > 0 else _doubt(table, a / deviation)
        return Tail(float(2.0 * ndtr(-abs(z))), "normal", doubt)

    return tail


def _line_loadings(cells: ScoreTable) -> FloatArray:
    """1 and the log-odds of the scores that have log-odds."""
    kept = inner(cells)
    columns = _powers(logit(cells.p[kept]))
    out = np.zeros((len(cells), columns.shape[1]))
    out[kept] = columns
    return out


def _line(cells: ScoreTable) -> Kernel:
    """Likelihood ratio of a line."""
    kept = inner(cells)
    z = logit(cells.p[kept])
    columns = _powers(z)
    scale = 1.0 / float(_scales(cells, kept, columns).mean())

    def ratio(w: FloatArray, wy: FloatArray) -> FloatArray:
        own = scale * (w if w.ndim == 1 else w[0])
        here = scale * np.atleast_2d(wy)
        impossible = refuted(cells.p, own, here) > 0
        top = _largest_likelihood(z, own[kept], here[:, kept])
        found = 2.0 * np.maximum(top - log_likelihood(z, own[kept], here[:, kept]), 0.0)
        found = np.where(impossible, np.inf, found)
        return found if wy.ndim > 1 else found[0]

    return ratio


def _scales(table: ScoreTable, kept: IntArray, columns: FloatArray) -> FloatArray:
    """Scales of the chi-squared variables whose sum a weighted likelihood ratio is; 1 if plain."""
    k = columns.shape[1]
    if not (table.weighted and len(kept)):
        return np.ones(k)
    v = (table.p * (1.0 - table.p))[kept]
    bread, meat = (columns.T @ (columns * (a[kept] * v)[:, None]) for a in (table.w, table.w2))
    return np.linalg.eigvals(np.linalg.solve(bread, meat)).real


def _powers(z: FloatArray) -> FloatArray:
    """1 and the log-odds; without the log-odds if they are all equal."""
    ones = np.ones((len(z), 1))
    if len(z) == 0 or not np.ptp(z) > 1e-9 * (1.0 + float(np.abs(z).max())):
        return ones
    return np.column_stack((ones, (z - z.mean()) / z.std()))


def _largest_likelihood(z: FloatArray, w: FloatArray, wy: FloatArray) -> FloatArray:
    if _powers(z).shape[1] == 2:
        return fit_lines(z, w, wy).log_likelihood
    total, events = w.sum(), np.clip(wy.sum(axis=1), 0.0, None)
    share = np.clip(events / max(total, 1e-300), 1e-300, 1.0 - 1e-16)
    return np.asarray(events * np.log(share) + (total - events) * np.log1p(-share))


def _line_tail(table: ScoreTable, ratio: float) -> Tail:
    """Rao and Scott's law with the exact null variance: a sum of scaled chi-squared variables."""
    kept = inner(table)
    z, p = logit(table.p[kept]), table.p[kept]
    columns, v = _powers(z), p * (1.0 - p)
    k = columns.shape[1]
    if refuted(table.p, table.w, table.wy) > 0:
        return Tail(0.0, f"chi-squared, {k} df", 0.0)
    if not len(kept):
        return Tail(np.nan, f"chi-squared, {k} df", np.inf)
    values, vectors = np.linalg.eigh(columns.T @ (columns * (table.w2[kept] * v)[:, None]))
    standard = np.zeros((len(table), k))
    standard[kept] = columns @ vectors / np.sqrt(np.maximum(values, 1e-300))
    scales = _scales(table, kept, columns)
    scales = scales / scales.mean()
    doubt = _doubt(table, standard)
    law = "weighted chi-squared (Rao and Scott)" if table.weighted else f"chi-squared, {k} df"
    if k == 1:
        return Tail(float(chdtrc(1, ratio)), law, doubt)
    return Tail(sum_tail(ratio, scales), law, doubt)


def _ten(table: ScoreTable) -> FloatArray:
    return table.borders("quantile", min(_GROUPS, table.n_rows))


def _members(cells: ScoreTable) -> FloatArray:
    """Which cells are in each group of the Hosmer-Lemeshow test, of shape (cells, groups)."""
    place = np.unique(assign(cells.p, _ten(cells)), return_inverse=True)[1]
    return np.asarray(place[:, None] == np.arange(place.max() + 1), dtype=np.float64)


def _binomial_deviation(table: ScoreTable, members: FloatArray) -> FloatArray:
    """Standard deviations of the groups' events, as if all scores of a group were equal."""
    mean = (table.w * table.p) @ members / (table.w @ members)
    return np.asarray(np.sqrt((table.w2 @ members) * mean * (1.0 - mean)))


def _hosmer_lemeshow(cells: ScoreTable) -> Kernel:
    members = _members(cells)
    deviation = _binomial_deviation(cells, members)

    def statistic(w: FloatArray, wy: FloatArray) -> FloatArray:
        moved = np.abs((wy - w * cells.p) @ members)
        big = np.where(moved > 1e-12 * cells.w.sum(), np.inf, 0.0)
        safe = np.where(deviation > 0, deviation, 1.0)
        return np.asarray((np.where(deviation > 0, moved / safe, big) ** 2).sum(axis=-1))

    return statistic


def _hosmer_lemeshow_tail(table: ScoreTable, value: float) -> Tail:
    members = _members(table)
    deviation = _deviation(table, members)
    df, doubt = members.shape[1], np.inf
    if (deviation > 0).all():
        ratio = deviation / _binomial_deviation(table, members)
        doubt = max(_doubt(table, members / deviation), 1.0 - float((ratio**2).mean()))
    return Tail(float(chdtrc(df, value)), f"chi-squared, {df} df", doubt)


def _fifteen(table: ScoreTable) -> FloatArray:
    return table.borders("quantile", min(_BINS, table.n_rows))


def _binned(cells: ScoreTable) -> Kernel:
    return raw_kernel(cells, _fifteen(cells), "l2", "differences")


def _of_whole(name: str, metric: str, sees: str, blind_to: str, **settings: Any) -> Test:
    """The test whose statistic is an error of the whole curve."""
    whole = _WHOLES[metric]

    def value(table: ScoreTable) -> float:
        return float(whole.raw(table, **settings))

    tail = None
    if metric == "cumulative_calibration_error":
        tail = partial(_brownian_tail, settings["statistic"])
    return Test(name, partial(whole.kernel, **settings), sees, blind_to, tail, value=value)


def _brownian_tail(statistic: str, table: ScoreTable, value: float) -> Tail:
    """Laws of the range of a Brownian motion (Feller 1951) and of its largest distance from 0."""
    ones = _mean(table)
    deviation = _deviation(table, ones)
    law = f"{'range' if statistic == 'kuiper' else 'largest distance'} of a Brownian motion"
    if not deviation[0] > 0:
        return Tail(np.nan, law, np.inf)
    steps = np.sqrt(table.w2 * table.p * (1.0 - table.p)) / deviation[0]
    doubt = max(_doubt(table, ones / deviation), _HALF_STEP * float(steps.max()))
    k = np.arange(1, 100)
    times = 8.0 * k * (-1.0) ** (k - 1) if statistic == "kuiper" else 4.0 * np.sin(0.5 * np.pi * k)
    x = max(value * float(table.w.sum() / deviation[0]), 0.2)  # below, the p-value is 1
    return Tail(float(np.clip(times @ ndtr(-k * x), 0.0, 1.0)), law, doubt)


#: All tests. A new one needs an entry here, and nothing else.
TESTS = {
    test.name: test
    for test in (
        Test(
            "in_the_large",
            _standardised(_mean),
            "a mean probability that is too high or too low",
            "errors that cancel in the mean, such as over-confidence",
            _normal_tail(_mean),
            two_sided=True,
            loadings=_mean,
        ),
        Test(
            "line",
            _line,
            "a shift of the log-odds, or over- or under-confidence",
            "curved errors without a trend",
            _line_tail,
            loadings=_line_loadings,
        ),
        Test(
            "spiegelhalter",
            _standardised(_spiegelhalter),
            "a Brier score that is larger or smaller than expected",
            "errors that cancel when weighted by 1 - 2p, and any error near p = 0.5",
            _normal_tail(_spiegelhalter),
            two_sided=True,
            loadings=_spiegelhalter,
        ),
        Test(
            "hosmer_lemeshow",
            _hosmer_lemeshow,
            "errors of any shape wider than a tenth of the rows",
            "errors that cancel within a group; small trends over all groups",
            _hosmer_lemeshow_tail,
            _ten,
        ),
        Test(
            "binned",
            _binned,
            "errors of any shape at scores of many rows",
            "errors that cancel within a bin; small trends over all bins",
            borders=_fifteen,
        ),
        _of_whole(
            "loess",
            "loess_calibration_error",
            "smooth errors of any shape",
            "errors that change sign within three quarters of the rows",
            summary="ici",
            span=0.75,
        ),
        _of_whole(
            "smooth",
            "smooth_calibration_error",
            "errors of any shape that many rows share",
            "errors that change sign within a short range of scores, or are few and near 0 or 1",
            scale="probability",
        ),
        _of_whole(
            "smooth_logit",
            "smooth_calibration_error",
            "errors of any shape, near 0 and 1 too",
            "errors that change sign within a short range of log-odds",
            scale="logit",
        ),
        _of_whole(
            "kernel",
            "kernel_calibration_error",
            "errors of one sign where scores are similar",
            "errors that change sign within the median distance of two scores",
            bandwidth=None,
        ),
        _of_whole(
            "kuiper",
            "cumulative_calibration_error",
            "errors of one sign over some range of scores",
            "errors that change sign often",
            statistic="kuiper",
        ),
        _of_whole(
            "ks",
            "cumulative_calibration_error",
            "errors of one sign up to some score",
            "errors that change sign often; errors in the middle that cancel",
            statistic="ks",
        ),
        _of_whole(
            "corp",
            "corp_miscalibration",
            "a Brier score that an increasing map of the scores improves",
            "a wrong order of the scores; small errors, since the map may have many steps",
            loss="brier",
        ),
        _of_whole(
            "corp_log",
            "corp_miscalibration",
            "a log loss that an increasing map improves: errors near 0 and 1 too",
            "a wrong order of the scores; small errors, since the map may have many steps",
            loss="log",
        ),
    )
}


@counted()
def calibration_test(
    test: str,
    y_true: Any,
    y_prob: Any = None,
    *,
    null: Null = "auto",
    kind: Literal["binary", "top_label"] | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    n_draws: int = 999,
    pos_label: Any = None,
    classes: Any = None,
    random_state: Any = 0,
) -> CalibrationTest:
    """Test whether a model is calibrated, on rows that it was not fitted on.

    Parameters
    ----------
    test : str
        A name that ``tests`` of :func:`calibration_tests` lists, such as "line".
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of unweighted rows.
    y_prob, null : optional
        As in :func:`calibration_tests`.
    kind : {"binary", "top_label"}, optional
        The event, or the predicted class. Default: the predicted class for K > 2 classes.
    groups, sample_weight, weights, n_draws, pos_label, classes, random_state : optional
        As in :func:`calibration_tests`.

    Returns
    -------
    result : CalibrationTest
        Statistic and p-value. It prints as one line.

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    Examples
    --------
    >>> from calibkit import calibration_test
    >>> from calibkit.testing import binary_data
    >>> p, y = binary_data(n=400)
    >>> 0 < calibration_test("line", y, p).p_value <= 1
    True
    """
    check_choice("test", test, TESTS)
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    kind = "binary" if isinstance(y_true, ScoreTable) and kind is None else kind
    named = _problems(given, kind, groups, ("binary", "top_label"))
    return _run([TESTS[test]], named[0], null, n_draws, generator(random_state))[0]


@counted()
def calibration_tests(
    y_true: Any,
    y_prob: Any = None,
    *,
    tests: Iterable[str] | None = None,
    null: Null = "auto",
    kind: Kind | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    n_draws: int = 999,
    pos_label: Any = None,
    classes: Any = None,
    random_state: Any = 0,
) -> ResultTable:
    """Run several tests of calibration, and say what each of them sees and is blind to.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels of rows that the model was not fitted on, or a table of unweighted rows.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    tests : iterable of str, optional
        Names of the tests; default: all of them. "in_the_large" compares the numbers of events
        observed and expected; "line" tests intercept 0 and slope 1; "spiegelhalter" is
        Spiegelhalter's z, two-sided; "hosmer_lemeshow" compares events in ten groups of equal mass;
        "binned" is the debiased squared error of 15 equal-mass bins; "loess" is the ICI of
        :func:`loess_calibration_error`; "smooth", "smooth_logit", "kernel" (squared), "kuiper",
        "ks", "corp" and "corp_log" are :func:`smooth_calibration_error`,
        :func:`kernel_calibration_error`, :func:`cumulative_calibration_error` and
        :func:`corp_miscalibration` with these settings.
    null : {"auto", "asymptotic", "monte_carlo"}, default="auto"
        How the p-value is found: from the approximate law of the statistic ("asymptotic"), or from
        labels drawn from the probabilities ("monte_carlo"). "auto" uses the law where it is
        accurate, and otherwise draws labels.
    kind : {"binary", "top_label", "classwise"}, optional
        Test the event, the predicted class, or each class. The p-values of the classes are adjusted
        for the number of classes (Holm 1979). Default: the event, or the predicted class for K > 2
        classes.
    groups : array-like of shape (n,), optional
        Group of each row. Rows of one group may depend on each other.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether a weight is a row's share of the population or a count of rows.
    n_draws : int, default=999
        Number of label sets drawn. The smallest p-value is ``1 / (n_draws + 1)``.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the draws.

    Returns
    -------
    table : ResultTable
        One row per test (and class): ``test``, ``statistic``, ``p_value``, ``null``, ``sees`` and
        ``blind_to``.

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    Warns
    -----
    FewGroupsWarning
        If there are fewer than 30 (effective) groups: p-values may be inaccurate.

    Notes
    -----
    No test sees every error, and all of them reject tiny errors if there are enough rows: report
    the size of the error too, see :func:`estimate`. The p-values are not adjusted for the number
    of tests.

    The Hosmer-Lemeshow statistic has as many degrees of freedom as groups, since the rows were not
    used in fitting (groups less two is for the rows of the fit). The line is tested by a likelihood
    ratio; with weights its law is a weighted sum of chi-squared variables (Rao and Scott 1984) with
    the exact variance under calibration.

    Monte Carlo: labels are drawn on about 512 cells of the scores, so the p-value is exact for
    independent rows of equal weight. With groups, the first three statistics are cluster-robust
    score statistics, which are valid for any dependence if there are many groups. Labels are then
    drawn with a normal variable that the rows of a group share. Its correlation is estimated from
    the products of the residuals of different rows. The first three tests use the upper 99% limit
    of the correlation, since few groups show too little of their skewness. With 1,000 groups or
    more, the residuals of each group get a random sign instead (a wild bootstrap under the null
    hypothesis), which needs no such model. If a label contradicts a probability of exactly 0 or 1,
    the p-value of "line" is 0.

    References
    ----------
    D. Spiegelhalter (1986). Probabilistic prediction in patient management and clinical trials.
    Statistics in Medicine 5. --- D. Hosmer, S. Lemeshow (1980). Goodness of fit tests for the
    multiple logistic regression model. Communications in Statistics A 9. --- J. Rao, A. Scott
    (1984). On chi-squared tests for multiway contingency tables with cell proportions estimated
    from survey data. Annals of Statistics 12.

    Examples
    --------
    >>> from calibkit import calibration_tests
    >>> from calibkit.testing import binary_data
    >>> p, y = binary_data(n=400)
    >>> table = calibration_tests(y, p, tests=["line", "spiegelhalter"])
    >>> [row["test"] for row in table]
    ['line', 'spiegelhalter']
    """
    chosen = _chosen(tests)
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    problems = _problems(given, kind, groups, ("binary", "top_label", "classwise"))
    rng = generator(random_state)
    found = [_run(chosen, problem, null, n_draws, rng) for problem in problems]
    several = len(problems) > 1
    rows: list[dict[str, Any]] = []
    for i in range(len(chosen)):
        of_test = [results[i] for results in found]
        p_values = np.array([r.p_value for r in of_test])
        known = ~np.isnan(p_values)
        if several:
            p_values[known] = holm(p_values[known])
        for problem, r, p in zip(problems, of_test, p_values, strict=True):
            row: dict[str, Any] = {"test": r.name}
            if several:
                row["class"] = str(problem.label)
            row |= {"statistic": r.statistic, "p_value": float(p), "null": r.null}
            rows.append(row | {"sees": r.sees, "blind_to": r.blind_to})
    cautions = tuple(dict.fromkeys(r.caution for results in found for r in results if r.caution))
    notes = tuple(f"{c[0].upper()}{c[1:]}." for c in cautions)
    caption = f"p_value: of the hypothesis that the model is calibrated; n = {found[0][0].n:,}"
    if several:
        caption += "; adjusted for the number of classes (Holm), not for that of tests"
    return ResultTable(tuple(rows), notes, caption)


def _chosen(tests: Iterable[str] | None) -> list[Test]:
    if tests is None:
        return list(TESTS.values())
    if isinstance(tests, str):
        tests = [tests]
    if not isinstance(tests, Iterable):
        raise InputTypeError(
            f"tests={spelled(tests)}; expected a list of names, such as ['line', 'loess']."
        )
    names = list(tests)
    if not names:
        raise InputError("tests is empty; expected at least one name.")
    for name in names:
        check_choice("tests", name, TESTS)
    return [TESTS[name] for name in dict.fromkeys(names)]


class _Named(NamedTuple):
    """A binary problem with its rows and groups, and its class."""

    table: ScoreTable
    rows: Binary | None
    groups: IntArray | None
    label: Any = None


def _problems(
    given: tuple[Any, ...], kind: Kind | None, groups: Any, kinds: tuple[str, ...]
) -> list[_Named]:
    y_true, y_prob, sample_weight, _, pos_label, classes = given
    if isinstance(y_true, ScoreTable):
        refuse_kind(kind)
        refuse_beside_table(y_prob, groups, sample_weight, pos_label, classes)
        _refuse_untestable(y_true)
        return [_Named(y_true, None, None)]
    rows, codes = _rows_of(groups, *given)
    if codes is not None:
        size = np.bincount(codes, rows.w)
        worth = float(effective_count(size.sum(), size @ size))
        if worth < _FEW_GROUPS * (1.0 - 1e-9):
            warn(
                f"the effective number of groups is {worth:.3g}, and {_FEW_GROUPS:g} are needed; "
                "p-values may be inaccurate.",
                FewGroupsWarning,
            )
    kind = infer_kind(kind, rows.scores.n_classes, kinds)
    binaries = reduce_rows(rows, kind, given[3])
    labels = rows.classes.tolist() if kind == "classwise" else [None]
    out = []
    for b, label in zip(binaries, labels, strict=True):
        table = ScoreTable._from_binary(b)
        _refuse_untestable(table)
        out.append(_Named(table, b, codes, label))
    return out


def _refuse_untestable(table: ScoreTable) -> None:
    if table.effective_rows < 2.0 * (1.0 - 1e-9):
        raise InputError("fewer than two (effective) rows; expected at least two.")
    if not np.allclose(table.w2y, table.w2yy, rtol=1e-9):
        raise InputError(
            "y_true holds fractions of events; expected labels. For k events in m rows pass k/m "
            "with sample_weight=m and weights='frequency'."
        )


def _statistic(nulls: Nulls, test: Test) -> Statistic:
    robust = None if test.loadings is None else nulls.robust(test.loadings(nulls.cells))
    return nulls.of(test.statistic(nulls.cells)) if robust is None else robust


def _run(
    tests: list[Test], named: _Named, null: Null, n_draws: int, rng: np.random.Generator
) -> list[CalibrationTest]:
    """Run the tests on one problem; all of them see the same labels drawn."""
    check_choice("null", null, ("auto", "asymptotic", "monte_carlo"))
    check_int("n_draws", n_draws, low=99)
    grouped = named.groups is not None
    if null == "asymptotic":
        _refuse_asymptotic(tests, grouped=grouped)
    table = named.table
    borders = [t.borders(table) for t in tests if t.borders is not None]
    kept = np.unique(np.concatenate(borders)) if borders else None
    fine = table.coarsen(_CELLS, borders=kept)
    few = fine.coarsen(OF_GROUPS if grouped else _DRAWN, borders=kept, tails=False)
    nulls = nulls_of(table, few, named.rows, named.groups, n_draws, rng)
    found: list[CalibrationTest] = []
    open_: dict[int, Statistic] = {}
    for i, test in enumerate(tests):
        known = test.sees, test.blind_to
        value, tail = np.nan if test.value is None else test.value(table), None
        if test.tail is not None and not grouped:
            if test.value is None:
                value = float(test.statistic(fine)(fine.w, fine.wy))
            tail = test.tail(fine, value)
        if tail is not None and (null == "asymptotic" or (null == "auto" and tail.exact)):
            found.append(
                CalibrationTest(test.name, value, tail.p_value, tail.law, table.n_rows, *known)
            )
            continue
        open_[i] = _statistic(nulls, test)
        value = float(open_[i](nulls.observed())[0]) if np.isnan(value) else value
        found.append(CalibrationTest(test.name, value, np.nan, nulls.law, table.n_rows, *known))
    for i, p in _simulated(tests, open_, nulls, n_draws).items():
        found[i] = replace(found[i], p_value=p)
    return [_with_caution(result) for result in found]


def _simulated(
    tests: list[Test],
    open_: dict[int, Statistic],
    nulls: Nulls,
    n_draws: int,
) -> dict[int, float]:
    """The p-values of some tests, from label sets drawn."""

    def extreme(i: int, sets: FloatArray) -> FloatArray:
        values = open_[i](sets)
        return np.abs(values) if tests[i].two_sided else values

    here = {i: float(extreme(i, nulls.observed())[0]) for i in open_}
    least = {i: v - 1e-9 * abs(v) if np.isfinite(v) else v for i, v in here.items()}
    beyond = dict.fromkeys(open_, 0)
    for robust in (True, False):
        same = [i for i in open_ if (nulls.apart and tests[i].loadings is not None) == robust]
        for sets in nulls.sets(robust) if same else ():
            for i in same:
                beyond[i] += int((extreme(i, sets) >= least[i]).sum())
    p_values = {i: (k + 1.0) / (n_draws + 1.0) for i, k in beyond.items()}
    for i, value in here.items():
        if np.isnan(value):
            p_values[i] = np.nan
        elif np.isinf(value) and beyond[i] == 0:
            p_values[i] = 0.0  # labels that the scores exclude
    return p_values


def _refuse_asymptotic(tests: list[Test], *, grouped: bool) -> None:
    if grouped:
        raise InputError(
            "null='asymptotic' with groups; expected 'auto' or 'monte_carlo', since the law of the "
            "statistics depends on the groups."
        )
    for test in tests:
        if test.tail is None:
            raise InputError(
                f"null='asymptotic' with the test {test.name}, whose law is only simulated; "
                "expected 'auto' or 'monte_carlo'."
            )


def _with_caution(result: CalibrationTest) -> CalibrationTest:
    if not np.isnan(result.statistic):
        return result
    caution = f"the statistic of {result.name} is not defined for these probabilities"
    return replace(result, p_value=np.nan, null="none", caution=caution)
