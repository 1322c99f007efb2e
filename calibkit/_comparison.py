"""Compare calibrators on the same rows by cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, get_args

import numpy as np
from sklearn.base import clone

from ._core.base import BaseCalibrator
from ._core.errors import InputError, InputTypeError, called, message_of
from ._core.inputs import (
    Rows,
    check_lengths,
    match_classes,
    refuse_swapped,
    split_fractions,
    validate_rows,
    validate_scores,
    validate_weights,
)
from ._core.labels import validate_targets
from ._core.optional import require
from ._core.params import check_choice, check_int, check_real, generator, percent, refuse_class
from ._core.printed import a_type, printable, spelled
from ._core.rows import Binary, validate_groups
from ._core.warnings import FewEventsWarning, counted, warn
from ._cross_fitting import check_apart, splits
from ._numerics.influence import (
    Grouped,
    Noise,
    Units,
    gathered,
    noise_of,
    reversed_area,
    t_interval,
    worth_of,
)
from ._numerics.losses import brier_rows, log_rows
from ._registry import check_name, make_calibrator, names_without
from ._typing import FloatArray, IntArray, Scale
from .calibrators import IdentityCalibrator, OneVsRestCalibrator
from .metrics import ScoreTable, calibration_error

Folds = list[tuple[IntArray, IntArray]]

#: The name of no calibration.
UNCALIBRATED = "uncalibrated"
#: Methods from the simplest on: the first of those that can't be told apart is recommended.
_SIMPLE = ("auto", UNCALIBRATED, "temperature", "platt", "vector_scaling", "beta")
#: The name that adds all registered calibrators to a list.
ALL = "all"
#: With fewer rows of the rarer class a variance is unreliable.
_FEW_ROWS = 10.0
#: Bins of the calibration error, as by default.
_N_BINS = 15
#: Keys of a difference and of the ends of its interval.
DIFFERENCE = ("difference", "difference_low", "difference_high")


@dataclass(frozen=True)
class CalibratorComparison:
    """Cross-validated losses of calibrators on the same rows; prints as a table.

    Attributes
    ----------
    records : tuple of dict
        One dict per calibrator, from the smallest log loss to the largest; failures come last.
        ``name``; ``log_loss``, ``brier`` and ``calibration_error`` on held-out rows;
        ``difference``, the log loss minus that of the best method, and the ends of its interval,
        ``difference_low`` and ``difference_high``; ``verdict``, which is "best", "tied" (its
        interval contains 0), "worse" or "failed"; ``fit_ms``, the median time of a fit in
        milliseconds; ``failure``, the error of a calibrator that could not be fitted, or an empty
        string.
    calibrators : dict of str to BaseCalibrator
        The calibrators by name, not fitted.
    level : float
        Confidence level of the intervals.
    caption : str
        How the numbers were computed.
    note : str, default=""
        A hint if the scores look reversed; otherwise empty.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import compare_calibrators
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random(2000)
    >>> y = rng.random(2000) < truth
    >>> comparison = compare_calibrators(truth**2, y, ["auto", "platt", "histogram"])
    >>> comparison.records[-1]["name"], comparison.records[-1]["verdict"]
    ('uncalibrated', 'worse')
    >>> calibrator = comparison.calibrators[comparison.recommended].fit(truth**2, y)
    """

    records: tuple[dict[str, Any], ...]
    calibrators: dict[str, BaseCalibrator]
    level: float
    caption: str
    note: str = ""

    @property
    def best(self) -> str:
        """Name of the method with the smallest log loss."""
        return self.records[0]["name"]

    @property
    def tied(self) -> tuple[str, ...]:
        """Methods that can't be told apart from the best: their interval contains 0."""
        return tuple(r["name"] for r in self.records if r["verdict"] == "tied")

    @property
    def recommended(self) -> str:
        """The best method; if others can't be told apart from it, "auto" or the simplest."""
        equal = (self.best, *self.tied)
        return next((n for n in _SIMPLE if self.tied and n in equal), self.best)

    @property
    def advice(self) -> str:
        """Say which calibrator to use, and why; first, whether the scores look reversed."""
        return f"{self.note} {self._choice()}".lstrip()

    def _choice(self) -> str:
        use = self.recommended
        said = "keep the scores as they are" if use == UNCALIBRATED else f"use {use}"
        if [r["name"] for r in self.records if not r["failure"]] == [UNCALIBRATED]:
            return "No calibrator could be fitted, so there is nothing to compare."
        if not self.tied:
            whose = "their" if use == UNCALIBRATED else "its"
            return (
                f"{said[0].upper()}{said[1:]}: {whose} log loss is lower than that of every other "
                "method, by more than chance explains."
            )
        more = f" and {len(self.tied) - 3} more" if len(self.tied) > 3 else ""
        names = ", ".join(self.tied[:3]) + more
        why = "the simplest of them" if use in _SIMPLE else "the best on these rows"
        if use == UNCALIBRATED:
            why = "since no gain from calibration is shown"
        elif use == "auto":
            why = "which needs no choice"
        return (
            f"These rows can't tell {self.best}, which has the lowest log loss, from {names}: "
            f"{said}, {why}."
        )

    def cells(self) -> list[list[str]]:
        """Return the header and the rows of the printed table.

        Returns
        -------
        lines : list of list of str
            One list of cells per line.
        """
        interval = f"difference, {percent(self.level)} interval"
        lines = [["method", "log loss", interval, "", "Brier", "cal. error", "fit ms"]]
        for r in self.records:
            if r["failure"]:
                lines.append([r["name"], "failed", r["failure"], *[""] * 4])
                continue
            ends = f" [{r['difference_low']:.4f}, {r['difference_high']:.4f}]"
            shown = "0" if r["verdict"] == "best" else f"{r['difference']:.4f}{ends}"
            scores = [f"{r[k]:.4f}" for k in ("brier", "calibration_error")]
            cells = [r["name"], f"{r['log_loss']:.4f}", shown, r["verdict"]]
            lines.append([*cells, *scores, f"{r['fit_ms']:.1f}"])
        return lines

    def __str__(self) -> str:
        lines = self.cells()
        whole = [line for line in lines if line[1] != "failed"]
        widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
        widths[0] = max(len(line[0]) for line in lines)
        text = [
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        return "\n".join(map(printable, [*text, self.caption, self.advice]))

    def to_frame(self) -> Any:
        """Return the records as a data frame; needs pandas.

        Returns
        -------
        frame : pandas.DataFrame
            One row per calibrator, one column per key of ``records``.
        """
        return require("pandas").DataFrame(list(self.records))


@counted("fits")
def compare_calibrators(
    X: Any,
    y: Any,
    calibrators: Any = None,
    *,
    groups: Any = None,
    sample_weight: Any = None,
    cv: Any = 5,
    level: float = 0.9,
    scale: Scale = "probability",
    classes: Any = None,
    random_state: Any = 0,
) -> CalibratorComparison:
    """Compare calibrators on the same rows by cross-validation, to see which one to use.

    Each calibrator is fitted on all folds but one and judged on the rows of that one, in turn.
    Calibrators that tune themselves do so within the training rows. Use it on scores of rows that
    the classifier was not trained on.

    Parameters
    ----------
    X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
        Scores, as for ``fit`` of a calibrator: probabilities, or log-odds with ``scale="logit"``.
    y : array-like of shape (n,)
        Labels; for two classes also fractions of events in [0, 1].
    calibrators : list or dict, optional
        Names and calibrators, which are cloned, in a list, or by names of your choice in a dict.
        The name "all" adds the default: every registered batch calibrator that needs no
        arguments, your own included. Binary ones are extended to K > 2 classes by
        :class:`OneVsRestCalibrator`. No calibration ("uncalibrated") is always compared too.
    groups : array-like of shape (n,), optional
        Group of each row, such as a patient. Rows of one group stay in one fold and are treated as
        dependent in the intervals.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0, for the fits and for the losses.
    cv : int, splitter or list of pairs, default=5
        Number of folds, which are shuffled and stratified by class; or a splitter of
        scikit-learn; or pairs of training and test rows. Every row must be in exactly one test
        part, and no group may be split.
    level : float, default=0.9
        Confidence level of the intervals, between 0 and 1.
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds.
    classes : array-like, optional
        All class labels in sorted order. Needed if some classes have no rows.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the folds.

    Returns
    -------
    comparison : CalibratorComparison
        Held-out log loss, Brier score and debiased calibration error of each method, differences
        from the best one with intervals, and fit times. A calibrator that can't be fitted is
        listed with its error.

    Raises
    ------
    ValueError
        If the data are invalid, a training part contains one class only, there are fewer groups
        than folds, or ``cv`` tests a row not exactly once or by a calibrator fitted on its group.
    TypeError
        If ``calibrators`` contains anything but names and batch calibrators.

    Warns
    -----
    FewEventsWarning, FewGroupsWarning
        If there are so few rows of the rarer class, or so few groups, that the intervals may be
        too narrow.

    See Also
    --------
    ComparisonDisplay : Draw the differences.
    compare_online_calibrators : The same for streams.

    Notes
    -----
    The losses are means over the held-out rows of all folds together. The interval of a difference
    is Student's t on the paired differences of the rows (with groups, on their sums per group).
    The fits share training rows, so independent rows would show too small a variance. It is
    therefore multiplied by ``1 + n / n_train`` (Nadeau and Bengio 2003), by 2.25 for five folds.
    This is an approximation, because no unbiased estimate exists. In simulations with 200 and 1,000
    rows, 90% intervals contained the expected difference in 94% to 98% of the data sets, and the
    method with the lowest expected loss was called worse in at most 6%
    (``benchmarks/comparison_intervals.py``).

    The losses are those of maps fitted on a part of the rows: a fit on all rows is slightly better.
    The loss of the best method is a little too low, because it was chosen on these rows.

    To compare calibrators for a classifier, compute its out-of-fold scores first; see the second
    example.

    References
    ----------
    C. Nadeau, Y. Bengio (2003). Inference for the generalization error. Machine Learning 52.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import compare_calibrators
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random(2000)
    >>> y = rng.random(2000) < truth
    >>> comparison = compare_calibrators(truth**2, y, ["platt", "beta", "isotonic"])
    >>> [record["name"] for record in comparison.records]
    ['beta', 'platt', 'isotonic', 'uncalibrated']
    >>> comparison.tied
    ('platt',)

    For a classifier:

    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import cross_val_predict
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> p = cross_val_predict(GaussianNB(), X, y, method="predict_proba")
    >>> compare_calibrators(p, y, ["platt"]).best
    'platt'
    """
    check_choice("scale", scale, get_args(Scale))
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    seed = int(generator(random_state).integers(2**31))
    rows = _rows(X, y, sample_weight, groups, scale, classes)
    methods = _methods(calibrators, len(rows.classes), scale)
    folds = _folds(cv, rows, seed)
    _warn_of_few(rows)
    records = _compared(methods, rows, folds, level)
    of = "" if rows.groups is None else f" by {rows.groups.max() + 1:,} groups"
    caption = (
        f"{len(rows.y):,} rows, {len(folds)} folds{of}; difference: log loss minus that of the "
        "best method, in nats; tied: its interval contains 0; cal. error: root mean square, less "
        "its bias"
    )
    return CalibratorComparison(records, methods, level, caption, _reversed(rows))


def _rows(X: Any, y: Any, sample_weight: Any, groups: Any, scale: Scale, classes: Any) -> Rows:
    """Checked rows; ``y`` may be fractions. Rows of weight zero stay, so that folds fit."""
    names = ("X", "y")
    try:
        distinct, targets = validate_targets(y, classes=classes)
    except ValueError:
        refuse_swapped(X, y, names)
        raise
    if targets.dtype.kind == "f":
        refuse_swapped(X, y, names)
        rows = Rows(validate_scores(X, scale=scale, classes=distinct), targets, None, distinct)
        check_lengths(len(rows.scores), len(targets), names)
    else:
        rows = validate_rows(X, y, scale=scale, classes=classes)
    match_classes(rows)
    n = len(targets)
    codes = None if groups is None else validate_groups(groups, None, n)
    return rows._replace(w=validate_weights(sample_weight, n), groups=codes)


def _methods(calibrators: Any, n_classes: int, scale: Scale) -> dict[str, BaseCalibrator]:
    """Unfitted calibrators for so many classes, by name; no calibration comes first."""
    if calibrators is not None and not isinstance(calibrators, (Mapping, list, tuple)):
        example = [calibrators] if isinstance(calibrators, str) else ["platt", "beta"]
        raise InputTypeError(
            f"calibrators is {a_type(calibrators)}; expected a list or a dict of names and "
            f"calibrators. Pass calibrators={spelled(example)}."
        )
    known = names_without("lift", "wrapper", "online")
    given: list[tuple[str, Any]] = [("", c) for c in calibrators or (ALL,)]
    if isinstance(calibrators, Mapping):
        given = [(str(name), c) for name, c in calibrators.items()]
    all_known = [("", name) for name in known]
    given = [x for pair in given for x in (all_known if _is_all(pair[1]) else [pair])]
    methods: dict[str, BaseCalibrator] = {UNCALIBRATED: IdentityCalibrator(scale=scale)}
    for name, one in given:
        calibrator = _template(one, known, scale)
        if calibrator.name == "identity":
            continue
        if n_classes > 2 and "multiclass" not in calibrator._traits:
            calibrator = OneVsRestCalibrator(calibrator)
        held = f"({calibrator.calibrator.name})" if "lift" in calibrator._traits else ""
        name = name or f"{calibrator.name}{held}"
        if name in methods and not isinstance(one, str):
            raise InputError(
                f"calibrators holds two methods named {spelled(name)}; expected different names. "
                "Pass a dict of calibrators by names of your choice."
            )
        methods[name] = calibrator
    return methods


def _is_all(one: Any) -> bool:
    return isinstance(one, str) and one == ALL


def _template(one: Any, known: list[str], scale: Scale) -> BaseCalibrator:
    """An unfitted calibrator from a name or an example."""
    if isinstance(one, str):
        check_name("calibrators", one, [ALL, *known])
        return make_calibrator(one)._set_scale(scale)
    refuse_class("calibrators", one)
    if not isinstance(one, BaseCalibrator) or "online" in one._traits:
        raise InputTypeError(
            f"calibrators holds {spelled(one)}; expected names and batch calibrators. For streams "
            "use compare_online_calibrators."
        )
    one._check_params()
    if one._input_scale() != scale:
        own = spelled(one._input_scale())
        raise InputError(
            f"calibrators holds {spelled(one)}, whose scale is {own}, and scale={spelled(scale)}; "
            f"expected the same scale. Pass scale={own}, or change the calibrator."
        )
    return clone(one)


def _folds(cv: Any, rows: Rows, seed: int) -> Folds:
    """Numbers of the training and test rows of each fold."""
    soft = rows.y.dtype.kind == "f"
    codes = (rows.y >= 0.5).astype(np.int8) if soft else rows.y
    if isinstance(cv, (int, float, np.number)):
        check_int("cv", cv, low=2)
        sizes = np.bincount(codes, minlength=len(rows.classes))
        two = len(sizes) == 2 and not soft
        fewest = int(sizes.min() if two else sizes.max())
        if fewest < cv:
            raise InputError(
                f"cv={spelled(cv)} folds and {fewest} rows of the {'rarer' if two else 'largest'} "
                "class; expected at least one row per fold. Use fewer folds, or more rows."
            )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer rows than folds
        pairs = splits(cv, rows.scores.values, codes, rows.groups, shuffle=seed)
    at = np.arange(len(codes))
    check_apart(pairs, at, rows.groups, "row")
    return [(at[train], at[test]) for train, test in pairs]


def _fitted(calibrator: BaseCalibrator, rows: Rows) -> BaseCalibrator:
    """A clone fitted to these rows."""
    rows = split_fractions(rows) if rows.y.dtype.kind == "f" else rows
    own = clone(calibrator)
    if "classes" in own.get_params(deep=False):
        own.set_params(classes=rows.classes)
    return own.fit(rows.scores.values, rows.classes[rows.y], rows.w, rows.groups)


def _judged(
    name: str, calibrator: BaseCalibrator, rows: Rows, folds: Folds
) -> tuple[dict[str, Any], FloatArray]:
    """Scores of one method on the held-out rows, and the log loss of each of them."""
    p = np.empty(rows.scores.values.shape)
    times = []
    for i, (train, test) in enumerate(folds):
        with called(part=f": {name}, fold {i + 1}"):
            part, start = rows.take(train), perf_counter()
            fitted = _fitted(calibrator, part)
            times.append(perf_counter() - start)
            q = fitted.predict_proba(rows.scores.values[test])
            p[test] = q if p.ndim == 2 else q[:, 1]
    losses = log_rows(p, rows.y)
    labels = rows.y if rows.y.dtype.kind == "f" else rows.classes[rows.y]
    record = {
        "name": name,
        "log_loss": float(np.average(losses, weights=rows.w)),
        "brier": float(np.average(brier_rows(p, rows.y), weights=rows.w)),
        "calibration_error": calibration_error(
            labels,
            p,
            n_bins=min(_N_BINS, len(p)),
            sample_weight=rows.w,
            classes=rows.classes,
        ),
        "fit_ms": 1e3 * float(np.median(times)),
    }
    return record, losses


def _compared(
    methods: dict[str, BaseCalibrator], rows: Rows, folds: Folds, level: float
) -> tuple[dict[str, Any], ...]:
    """A record of each method, from the best to the worst."""
    found, failed = [], []
    for name, calibrator in methods.items():
        try:
            found.append(_judged(name, calibrator, rows, folds))
        except Exception as error:
            if name == UNCALIBRATED:  # then the fault is in the data
                raise
            nothing = dict.fromkeys((*found[0][0], *DIFFERENCE), np.nan)
            text = f"{type(error).__name__}: {message_of(error)}"
            failed.append({**nothing, "name": name, "verdict": "failed", "failure": text})
    found.sort(key=lambda pair: pair[0]["log_loss"])
    best, least = found[0]
    shared = 1.0 + len(least) / float(np.mean([len(train) for train, _ in folds]))
    records = []
    for record, losses in found:
        noise = _noise(losses - least, rows)
        value = record["log_loss"] - best["log_loss"]
        low, high = t_interval(value, noise._replace(variance=shared * noise.variance), level)
        verdict = "best" if record is best else "worse" if low > 0 else "tied"
        ends = dict(zip(DIFFERENCE, (value, low, high), strict=True))
        records.append({**record, **ends, "verdict": verdict, "failure": ""})
    return (*records, *failed)


def _sides(rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Weights of the rows, and how much of each is of the most frequent class and of the others."""
    w = np.ones(len(rows.y)) if rows.w is None else rows.w
    others: Any = rows.y
    if rows.y.dtype.kind != "f":
        others = rows.y != np.bincount(rows.y, w).argmax()
    return w, np.array([1.0 - others, others])


def _noise(difference: FloatArray, rows: Rows) -> Noise:
    """The noise of a mean of paired differences of the rows, or of the groups."""
    w, sides = _sides(rows)
    pull = w * (difference - np.average(difference, weights=w)) / w.sum()
    return noise_of(gathered(Units(sides * pull, sides * w, None), rows.groups))


def _reversed(rows: Rows) -> str:
    """A hint if the scores of two classes are reversed beyond doubt; else an empty string."""
    if rows.scores.n_classes > 2:
        return ""
    rows = rows if rows.w is None else rows.take(np.flatnonzero(rows.w))
    p, y, w, groups = rows.scores.probs(), rows.y, rows.w, rows.groups
    t = ScoreTable._from_binary(Binary(p, y, w))
    grouped = None if groups is None else Grouped(np.searchsorted(t.p, p), y, w, groups)
    area = reversed_area(t.w, t.wy, t.w2, t.w2y, grouped)
    if area is None:
        return ""
    return (
        f"The scores look reversed (ROC AUC {area:.3g}). If they belong to the other label, pass 1 "
        "- score (for log-odds -score)."
    )


def _warn_of_few(rows: Rows) -> None:
    """Warn if there are too few rows of the rarer class for the intervals."""
    w, sides = _sides(rows)
    worth = float(worth_of(Units(sides * w, sides * w, None)).min())
    if worth < _FEW_ROWS:
        warn(
            f"the effective number of rows of the rarer class is {worth:.3g}; the intervals may be "
            "too narrow.",
            FewEventsWarning,
        )
