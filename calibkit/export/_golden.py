"""What exports return, and scores with the results that they must give."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._classifier import CalibratedClassifier
from .._core.inputs import LARGEST_LOGIT
from .._core.params import check_int, check_seed, generator
from .._core.warnings import CalibrationWarning
from .._numerics.links import expit
from .._typing import FloatArray
from ..calibrators import ScalingBinningCalibrator
from ..decisions import DecisionRule, QuantileCalibrator, RiskControlledThreshold, TriagePolicy
from ._maps import DECISIONS, program_of
from ._program import Program


class Exported(str):
    """The text of an export: a string that knows its language and what it computes.

    :func:`check_export` runs it. What you cut or join of it is a plain string.

    Parameters
    ----------
    text : str
        The text.
    language : str
        The language, or the dialect of SQL.
    facts : dict
        Class, version, scale, class labels and names of the inputs.
    results : dict of str to str
        The kind of each result: "real", "whole" or "boolean".

    Attributes
    ----------
    language, facts, results : object
        The parameters of the same names.

    Examples
    --------
    >>> from calibkit import PlattCalibrator
    >>> from calibkit.export import to_sql
    >>> cal = PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1])
    >>> query = to_sql(cal, dialect="duckdb")
    >>> query.language, query.facts["name"]
    ('duckdb', 'PlattCalibrator')
    """

    language: str
    facts: dict[str, Any]
    results: dict[str, str]

    def __new__(cls, text: str, language: str, facts: Any, results: Any) -> Exported:
        made = super().__new__(cls, text)
        made.language, made.facts, made.results = language, facts, results
        return made

    def __getnewargs__(self) -> Any:
        return str(self), self.language, self.facts, self.results


Results = dict[str, FloatArray]
#: What runs an export, given the scores, and what names the engine with its version; for each
#: language. The modules of the languages enter it.
ENGINES: dict[str, tuple[Callable[[Any, FloatArray], Results], Callable[[], str]]] = {}


def golden_vectors(
    obj: Any, n: int = 1000, *, labels: bool = False, random_state: Any = 0
) -> tuple[FloatArray, Results]:
    """Scores that are hard to get right, and the results that they must give.

    Among them are exact 0 and 1, -0.0, the smallest numbers, borders of bins and the floats beside
    them, ties, numbers out of range, infinities and NaN; the others are random. The results come
    from ``predict_proba``, ``predict`` or ``decide`` themselves.

    Parameters
    ----------
    obj : calibrator, CalibratedClassifier, threshold, policy, rule or QuantileCalibrator
        Fitted.
    n : int, default=1000
        Number of rows.
    labels : bool, default=False
        Whether the labels of ``predict`` are among the results.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the random scores.

    Returns
    -------
    columns : ndarray of shape (n, n_inputs)
        The scores: one column for two classes, K for K classes, in turn for each classifier of an
        ensemble.
    results : dict of str to ndarray
        Numbers of shape (n,) or (n, K). A label is its place in ``classes_``, a decision its place
        in accept, review, discard. NaN where the object raises an error, or a score is missing.

    Raises
    ------
    TypeError
        If the object can't be exported.

    Examples
    --------
    >>> from calibkit import HistogramBinningCalibrator
    >>> from calibkit.export import golden_vectors
    >>> cal = HistogramBinningCalibrator(n_bins=2).fit([0.1, 0.2, 0.6, 0.9], [0, 0, 0, 1])
    >>> scores, results = golden_vectors(cal, 200)
    >>> bool(cal.borders_[0] in scores)
    True
    """
    check_int("n", n, low=1, high=10_000_000)
    check_seed(random_state)
    program = program_of(obj, labels=labels)
    rng = generator(random_state)
    k = len(program.facts["classes"])
    width = k if k > 2 else 1
    steps = [node.data for node in program.nodes() if node.op == "place"]
    some = np.unique(np.concatenate([*steps, [0.5]]))
    make = _probabilities if program.facts["scale"] == "probability" else _logits
    parts = [make(width, some, n, rng) for _ in range(program.n_inputs // width)]
    columns = np.ascontiguousarray(np.hstack(parts)[:n])
    results = _expected(obj, columns, program, labels)
    if isinstance(obj, ScalingBinningCalibrator) and _steady(obj, columns, results):
        results = _expected(obj, columns, program, labels)
    return columns, results


def _steady(cal: ScalingBinningCalibrator, columns: FloatArray, results: Results) -> bool:
    """Replace scores where rounding makes the bins rise and fall within five floats.

    An export has one border there. Returns whether there were any.
    """
    known = np.flatnonzero(~np.isnan(results["probability"]))
    x = np.nextafter(np.nextafter(columns[known, 0], -np.inf), -np.inf)
    bins = []
    for _ in range(5):
        bins.append(cal.predict_bin(np.clip(x, -LARGEST_LOGIT, LARGEST_LOGIT)))
        x = np.nextafter(x, np.inf)
    steps = np.diff(bins, axis=0)
    wavers = known[(steps > 0).any(axis=0) & (steps < 0).any(axis=0)]
    columns[wavers] = 0.5
    return len(wavers) > 0


def rounded(obj: Any, columns: FloatArray) -> tuple[FloatArray, Results]:
    """Scores in single precision, but for those on a border then, and the results for them."""
    program = program_of(obj, labels=True)
    with np.errstate(over="ignore"):
        single = columns.astype(np.float32)
    steps = [node.data for node in program.nodes() if node.op == "place"]
    borders = np.concatenate([*steps, [np.inf]]).astype(np.float32)
    columns = single[~np.isin(single, borders).any(axis=1)].astype(np.float64)
    return columns, _expected(obj, columns, program, True)


def _spread(values: FloatArray, most: int) -> FloatArray:
    """At most so many of the values, evenly spread."""
    at = np.linspace(0, len(values) - 1, min(len(values), max(most, 1)))
    return values[np.unique(at.astype(np.intp))]


def _beside(steps: FloatArray) -> FloatArray:
    return np.concatenate((steps, np.nextafter(steps, -np.inf), np.nextafter(steps, np.inf)))


def _probabilities(width: int, steps: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    steps = _beside(_spread(steps[(steps >= 0) & (steps <= 1)], n // 8))
    odd = np.array([np.nan, 0.0, 1.0, 0.5, 7.0, 1e-17, 1.0 - 2.0**-53, -1e-3, np.inf, -0.0, 5e-324])
    if width == 1:
        odd = np.append(odd, [-5e-7, 1.0 + 5e-7, 1.0 + 1e-5, 1e-300, -np.inf])
        more = np.concatenate((rng.random(n // 2), expit(rng.normal(size=n) * 6.0)))
        return np.concatenate((odd[: n // 2], rng.permutation(steps)[:n], more))[:n, None]
    # A number in one column, and its distance from 1 in the others.
    some = np.concatenate((odd[: n // 2], rng.permutation(steps)[: n // 4]))
    rows = np.repeat((1.0 - some[:, None]) / (width - 1), width, axis=1)
    rows[np.arange(len(some)), rng.integers(width, size=len(some))] = some
    for concentration in (0.02, 0.5, 5.0):
        rows = np.vstack((rows, rng.dirichlet(np.full(width, concentration), n // 3 + 1)))
    rows[len(some) : len(some) + n // 20] *= 0.5  # they don't sum to one
    return rows


def _logits(width: int, steps: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    odd = np.array([np.nan, 0.0, 40.0, -40.0, 746.0, 1e100, -np.inf, -0.0, 5e-324, 1e-300])
    odd = np.append(odd, [-746.0, 709.0, -1e9, -1e100, 1.1e100, np.inf])
    steps = _beside(_spread(steps, n // 8))
    some = np.concatenate((odd[: n // 2], rng.permutation(steps)[: n // 2]))
    size = 10.0 ** rng.uniform(-2.0, 3.0, n)
    if width == 1:
        return np.concatenate((some, rng.normal(size=n) * size))[:n, None]
    rows = np.zeros((len(some), width))  # the others are tied
    rows[np.arange(len(some)), rng.integers(width, size=len(some))] = some
    return np.vstack((rows, rng.normal(size=(n, width)) * size[:, None]))


def _expected(obj: Any, columns: FloatArray, program: Program, labels: bool) -> Results:
    answer = next((a for kind, a in _ANSWERS.items() if isinstance(obj, kind)), _of_calibrator)
    out = {
        name: np.full((len(columns), node.size) if node.size else len(columns), np.nan)
        for name, node in program.results.items()
    }
    pending = [np.flatnonzero(~np.isnan(columns).any(axis=1))]
    while pending:
        rows = pending.pop()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CalibrationWarning)
                found = answer(obj, columns[rows], labels)
        except ValueError:
            if len(rows) > 1:  # the rows that are taken, without those that are not
                pending += np.array_split(rows, 2)
            continue
        for name in out:
            out[name][rows] = found[name]
    return out


def _scores(columns: FloatArray) -> FloatArray:
    return columns[:, 0] if columns.shape[1] == 1 else columns


def _named(p: FloatArray, labels: bool) -> dict[str, Any]:
    found = {"probability": p[:, 1]} if p.shape[1] == 2 else {"probabilities": p}
    return found | ({"label": p.argmax(axis=1)} if labels else {})


def _of_calibrator(obj: Any, columns: FloatArray, labels: bool) -> dict[str, Any]:
    found = _named(obj.predict_proba(_scores(columns)), False)
    if labels:
        found["label"] = np.searchsorted(obj.classes_, obj.predict(_scores(columns)))
    return found


def _of_classifier(obj: Any, columns: FloatArray, labels: bool) -> dict[str, Any]:
    cals = obj.calibrators_
    parts = zip(cals, np.hsplit(columns, len(cals)), strict=True)
    p = sum(cal.predict_proba(_scores(part)) for cal, part in parts) / len(cals)
    return _named(p, labels)


def _places(decisions: np.ndarray) -> FloatArray:
    return np.array([DECISIONS.index(d) for d in decisions], dtype=float)


def _of_rule(obj: Any, columns: FloatArray, labels: bool) -> dict[str, Any]:
    found = _of_calibrator(obj.calibrator, columns, labels)
    if obj.threshold is not None:
        found["promised"] = obj.threshold.predict(columns[:, 0])
    if obj.policy is None:
        return found | {"decision": 1 - found["promised"]}
    return found | {"decision": _places(obj.policy.decide(found["probability"]))}


def _of_quantiles(obj: Any, columns: FloatArray, labels: bool) -> dict[str, Any]:
    x = columns[:, 0]
    found = {"probability": obj.predict(x), "quantiles": obj.predict_quantiles(x)}
    return found | ({"lower_bound": obj.lower_bound(x)} if hasattr(obj, "offset_") else {})


_ANSWERS: dict[type, Callable[[Any, FloatArray, bool], dict[str, Any]]] = {
    CalibratedClassifier: _of_classifier,
    DecisionRule: _of_rule,
    QuantileCalibrator: _of_quantiles,
    RiskControlledThreshold: lambda obj, x, _: {"accept": obj.predict(x[:, 0])},
    TriagePolicy: lambda obj, x, _: {"decision": _places(obj.decide(x[:, 0]))},
}
