"""The facts of a report as plain values: what ``--json`` prints, and every other form shows."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import scipy
import sklearn

from .._core.errors import InputError, message_of
from .._core.labels import is_fractional
from .._core.params import percent
from .._core.printed import listed, quoted
from .._core.rows import infer_kind
from .._core.warnings import FewEventsWarning, silent
from .._typing import Bins, FloatArray, Kind, Strategy
from ..metrics import (
    METRICS,
    TESTS,
    ScoreTable,
    calibration_tests,
    certify,
    detectable_error,
    estimate_or_value,
)
from ._comparison import cautions, compare_models
from ._groups import group_facts, group_sentence
from ._json import plain
from ._problem import Problem

#: Metrics of a report, in its order, with the settings that make them what they are called.
REPORTED: dict[str, dict[str, Any]] = {
    "brier_score": {},
    "brier_skill_score": {},
    "log_loss": {},
    "expected_calibration_error": {},
    "calibration_error": {"norm": "l2", "strategy": "quantile"},
    "roc_auc": {},
}
#: Compare these with the value of a perfectly calibrated model.
ERRORS = ("expected_calibration_error", "calibration_error")
#: The error that the verdict goes by.
JUDGED = "calibration_error"
_GAPS = ("mean gap (l1)", "root mean square gap (l2)")
LABELS = {name: METRICS[name].label for name in REPORTED} | {
    "calibration_error": "RMS cal. error",
    "confidence_auc": "AUC of confidence",
}


#: Tests that are too slow for a report on more rows than this.
_SLOW, _MOST_SLOW = ("smooth", "smooth_logit"), 10_000
#: Tests of calibration run on at most so many rows, drawn at random.
_MOST_TESTED = 100_000
#: Called with the share done, between 0 and 1.
Step = Callable[[float], None]
#: Rewrites a message of the library, such as with options instead of arguments.
Words = Callable[[str], str]


def facts(
    problem: Problem,
    *,
    kind: Kind | None = None,
    n_bins: Bins = 15,
    level: float = 0.9,
    n_resamples: int = 1000,
    seed: int = 0,
    step: Step | None = None,
    strategy: Strategy = "uniform",
    words: Words = str,
    tests: bool = True,
) -> dict[str, Any]:
    """The results for one model, or for several on the same rows, as plain values.

    Undefined values are None. ``strategy`` sets the bins of the ECE. ``step`` is called with the
    share done; ``tests`` adds tests of calibration. The other parameters are those of
    :func:`calibkit.estimate`.
    """
    kind = infer_kind(kind, max(2, _n_columns(problem.scores)))
    settings = {"level": level, "n_resamples": n_resamples, "random_state": seed}
    models: list[dict[str, Any]] = []
    for name in problem.models:
        done = partial(_done, step, len(models), len(problem.models))
        found = _of_model(problem, name, kind, n_bins, strategy, settings, done)
        models.append(found)
        if tests:
            found["tests"] = _tested(problem, problem.models[name], kind, seed)
    compared = _compared(problem, models, kind, n_bins, level, seed)
    out = {
        "n": len(problem.y),
        "kind": kind,
        "event": _event(problem) if kind == "binary" else None,
        "classes": None if problem.classes is None else problem.classes.tolist(),
        "weighted": problem.weight is not None,
        "groups": None if problem.groups is None else len(np.unique(problem.groups)),
        "level": level,
        "n_resamples": n_resamples,
        "seed": seed,
        "versions": versions(),
        "comparison": compared,
        "models": models,
    }
    proofs = cautions(compared)
    proofs += [f"{quoted(m['name'])}: {said}." for m in models for said in _cautions(m)]
    bounds = _bounds(models, kind, level, _uncertifiable(problem))
    said = [reading(m, kind, words) for m in models]
    said += [group_sentence(m["name"], m["groups"], level) for m in models if "groups" in m]
    power = _power(models)
    verdict = _two_sentences(models, compared, kind, power, words)
    notes = {"reading": said, "power": power, "proofs": [*proofs, *bounds], "bounds": bounds}
    return {"verdict": verdict, **plain(out), **notes}


def _done(step: Step | None, model: int, n_models: int, share: float) -> None:
    if step is not None:
        step((model + share) / n_models)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    packages = {"numpy": np, "scipy": scipy, "scikit-learn": sklearn}
    found = {name: str(package.__version__) for name, package in packages.items()}
    return {"python": platform.python_version(), **found}


def _of_model(
    problem: Problem,
    name: str,
    kind: Kind,
    n_bins: Bins,
    strategy: Strategy,
    settings: dict[str, Any],
    done: Step,
) -> dict[str, Any]:
    """All results of one model."""
    p, level, seed = problem.models[name], settings["level"], settings["random_state"]
    metrics: dict[str, Any] = {}
    table = None
    for metric, params in REPORTED.items():
        if metric in ERRORS:
            params = {"strategy": strategy, **params, "kind": kind, "n_bins": n_bins}
        try:
            metrics |= _found(metric, problem, p, kind, {**settings, **params}, table)
        except ValueError as error:
            place = getattr(error, "place", None)
            raise InputError(f"{quoted(name)}: {message_of(error)}", place=place) from error
        done(len(metrics) / len(REPORTED))
        table = table or _sorted_once(problem, p, kind)  # of rows that the first metric has checked
    proof = None if _uncertifiable(problem) else _certificate(problem, p, kind, level, seed)
    found = {
        "name": name,
        **_means(problem, p, kind, table),
        "metrics": metrics,
        "certificate": proof,
    }
    found["detectable"] = _detectable(problem, p, kind, found, seed)
    if problem.by is not None:
        found["groups"] = group_facts(problem, p, level=level, seed=seed)
    return found


def _sorted_once(problem: Problem, p: FloatArray, kind: Kind) -> ScoreTable | None:
    """A table of many plain rows, so that they are sorted once."""
    plain_rows = problem.weight is None and problem.groups is None and not _fractional(problem)
    if kind != "binary" or not plain_rows or len(p) <= _MOST_TESTED:
        return None
    return ScoreTable.from_arrays(*_binary(problem, p, kind), pos_label=True)


def _tested(problem: Problem, p: FloatArray, kind: Kind, seed: int) -> dict[str, Any]:
    """The tests of calibration, on a subsample if there are many rows; or why there are none."""
    n, kept = len(p), np.arange(0)
    given: dict[str, Any] = {"groups": problem.groups, "sample_weight": problem.weight}
    y, notes = problem.y, []
    if n > _MOST_TESTED:
        kept = np.random.default_rng(seed).choice(n, _MOST_TESTED, replace=False, shuffle=False)
        y, p = y[kept], p[kept]
        given = {k: None if v is None else v[kept] for k, v in given.items()}
        notes.append(f"Tests: on {_MOST_TESTED:,} of the {n:,} rows, drawn at random.")
    given |= {"kind": kind, "pos_label": problem.pos_label, "classes": problem.classes}
    left = _SLOW if n > _MOST_SLOW else ()
    chosen = [name for name in TESTS if name not in left]
    try:
        with silent():
            table = calibration_tests(y, p, tests=chosen, random_state=seed, **given)
    except ValueError as error:  # such as of labels that are shares of events
        notes = [f"No tests of calibration: {message_of(error)}"]
        return {"n": 0, "rows": [], "caption": "", "notes": notes}
    notes += table.notes
    if left:
        notes.append(f"Left out above {_MOST_SLOW:,} rows, being slow: {', '.join(left)}.")
    return {"n": len(p), "rows": table.flat(), "caption": table.caption, "notes": notes}


def _two_sentences(
    models: list[dict[str, Any]],
    compared: dict[str, Any] | None,
    kind: str,
    power: list[str],
    words: Words,
) -> list[str]:
    """The verdict: which model is better, and which ones are miscalibrated."""
    errors = {m["name"]: m["metrics"][JUDGED] for m in models}
    if compared is not None:
        verdicts: dict[str, list[str]] = {}
        for name, error in errors.items():
            said = _verdict({**error, "verdict": "calibrated"}, words)  # without a size
            verdicts.setdefault(said, []).append(name)
        each = "; ".join(
            f"{said}: {listed(names, what='models')}" for said, names in verdicts.items()
        )
        return [f"{compared['verdict']}.", f"{each[0].upper()}{each[1:]}."]
    (model,) = models
    first = f"{quoted(model['name'])}: {_finding(model, words)}."
    if power and not is_miscalibrated(errors[model["name"]]):
        return [first, *power]
    rate, mean = (model[name] for name in _mean_names(kind))
    what = "the event occurs" if kind == "binary" else "the predicted class is correct"
    return [first, f"The mean prediction is {mean:.3f}, and {what} in {rate:.3f} of the rows."]


def _compared(
    problem: Problem,
    models: list[dict[str, Any]],
    kind: Kind,
    n_bins: Bins,
    level: float,
    seed: int,
) -> dict[str, Any] | None:
    """The differences of several models."""
    if len(models) < 2:
        return None
    best = min(models, key=lambda m: m["metrics"]["brier_score"]["value"])["name"]
    return compare_models(problem, best, kind=kind, n_bins=n_bins, level=level, seed=seed)


def _n_columns(p: FloatArray) -> int:
    return 1 if p.ndim == 1 else p.shape[1]


def _event(problem: Problem) -> Any:
    """The label whose probability the scores are."""
    if problem.pos_label is not None:
        return problem.pos_label
    if _fractional(problem):
        return 1
    labels = np.unique(problem.y) if problem.classes is None else problem.classes
    return labels.tolist()[-1]


def _fractional(problem: Problem) -> bool:
    """Whether labels are shares of events."""
    return problem.y.dtype.kind == "f" and is_fractional(problem.y)


def _estimate(
    metric: str,
    problem: Problem,
    p: FloatArray,
    params: dict[str, Any],
    table: ScoreTable | None = None,
) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewEventsWarning)  # a line of the report says it
        if table is not None:
            given = {k: v for k, v in params.items() if k != "kind"}
            value = estimate_or_value(metric, table, **given)
            if not value.note:  # a note names labels, which the table has not
                return {**asdict(value), "verdict": value.verdict}
        value = estimate_or_value(
            metric,
            problem.y,
            p,
            sample_weight=problem.weight,
            groups=problem.groups,
            pos_label=problem.pos_label,
            classes=problem.classes,
            **params,
        )
    return {**asdict(value), "verdict": value.verdict}


def _confidence(problem: Problem, p: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """Whether each row's winning class is right, and its probability."""
    if p.ndim == 1:
        return (p > 0.5) == (problem.y == _event(problem)), np.maximum(p, 1.0 - p)
    assert problem.classes is not None
    return problem.classes[p.argmax(axis=1)] == problem.y, np.minimum(p.max(axis=1), 1.0)


def _found(
    metric: str,
    problem: Problem,
    p: FloatArray,
    kind: str,
    params: dict[str, Any],
    table: ScoreTable | None,
) -> dict[str, Any]:
    """A metric by its name; of the top label, the area is that of its confidence."""
    if metric != "roc_auc" or kind == "binary":
        return {metric: _estimate(metric, problem, p, params, table)}
    correct, confidence = _confidence(problem, p)
    if correct.all() or not correct.any():
        return {}
    winners = Problem(correct, {}, weight=problem.weight, groups=problem.groups)
    return {"confidence_auc": _estimate(metric, winners, confidence, params)}


def _uncertifiable(problem: Problem) -> str:
    """Why these rows can't be certified; empty if they can."""
    if problem.weight is not None:
        return "the rows have weights, and the bounds need rows that count the same"
    if problem.groups is not None:
        return "the rows have groups; for bounds in Python use certify(y, p, groups=groups)"
    if _fractional(problem):
        return "the labels are shares of events, and the bounds need labels of two values"
    return ""


def _certificate(
    problem: Problem, p: FloatArray, kind: str, level: float, seed: int
) -> dict[str, Any]:
    """Bounds of the calibration error that the rows certify."""
    given = {"pos_label": problem.pos_label, "classes": problem.classes, "kind": kind}
    certificate = certify(problem.y, p, level=level, random_state=seed, **given)
    bounds = {norm: list(getattr(certificate, norm)) for norm in ("l1", "l2", "max")}
    words = {"short": certificate.short(), "sentence": str(certificate)}
    known = {"outputs": len(certificate.value), "says_largest": certificate.says_largest}
    return {"finite": certificate.finite, **known, **bounds, **words}


def _means(problem: Problem, p: FloatArray, kind: str, table: ScoreTable | None) -> dict[str, Any]:
    """How often the event happens (or the top class is right), and the mean probability."""
    if table is None:
        y, p = _binary(problem, p, kind)
        table = ScoreTable.from_arrays(y, p, problem.weight, pos_label=True)
    return dict(zip(_mean_names(kind), (table.base_rate, table.mean_score), strict=True))


def _binary(problem: Problem, p: FloatArray, kind: str) -> tuple[np.ndarray, FloatArray]:
    """Whether the event happens (or the top class is right), and its probability."""
    if kind != "binary":
        return _confidence(problem, p)
    event = _event(problem)
    if p.ndim == 2:
        p = p[:, problem.classes == event][:, 0]
    return (problem.y if _fractional(problem) else problem.y == event), p


def _mean_names(kind: str) -> tuple[str, str]:
    """What these two means are called."""
    return ("base_rate", "mean_prediction") if kind == "binary" else ("accuracy", "mean_confidence")


def means_of(model: dict[str, Any], kind: str) -> list[str]:
    """The means that a table shows: the demo leaves them out."""
    return [name for name in _mean_names(kind) if name in model]


def _detectable(
    problem: Problem, p: FloatArray, kind: str, model: dict[str, Any], seed: int
) -> dict[str, Any] | None:
    """The smallest error that the test behind the interval finds; there is none of all classes."""
    if kind == "classwise" or len(p) < 2:
        return None
    error = model["metrics"][JUDGED]
    y, p = _binary(problem, p, kind)
    found = detectable_error(
        p,
        n_bins=error["params"]["n_bins"],
        alpha=0.5 * (1.0 - error["level"]),
        sample_weight=problem.weight,
        y_true=y,
        groups=problem.groups,
        n_draws=2000,  # enough for the two digits that are printed
        random_state=seed,
    )
    return asdict(found)


def _power(models: list[dict[str, Any]]) -> list[str]:
    """Whether there are enough rows to find an error of the calibration, in a line."""
    known = [(m["name"], m["detectable"]) for m in models if m["detectable"] is not None]
    sizes: dict[str, list[str]] = {}
    for name, d in known:
        if np.isfinite(d["error"]):
            sizes.setdefault(f"{d['error']:#.2g}", []).append(name)
    if not sizes:
        few = "These rows are too few to find that all scores are too low, or too high."
        return [few] if known else []
    n, power = (known[0][1][k] for k in ("n", "power"))
    each = [
        size + f" ({listed(names, what='models')})" * (len(sizes) > 1)
        for size, names in sizes.items()
    ]
    return [
        f"With these {n:,} rows, an RMS calibration error of {', '.join(each)} would be found with "
        f"probability {percent(power)}, if all scores are too low or all are too high."
    ]


def reading(model: dict[str, Any], kind: str, words: Words = str) -> str:
    """One line on a model's calibration, from its numbers."""
    rate, mean = _mean_names(kind)
    means = (f"{spaced(name)} {model[name]:.3f}" for name in (mean, rate))
    return f"{quoted(model['name'])}: {_finding(model, words)}; {', '.join(means)}."


def _finding(model: dict[str, Any], words: Words) -> str:
    """The verdict on a model, and the error that it is about."""
    error = model["metrics"][JUDGED]
    band = ""
    if error["null_high"] is not None:
        low, high = f"{error['null_low']:.4f}", f"{error['null_high']:.4f}"
        band = f", where a calibrated model would show {low} to {high}"
    return f"{_verdict(error, words)}; RMS calibration error {error['value']:.4f}{band}"


def spaced(name: str) -> str:
    """A key as words."""
    return name.replace("_", " ")


def _verdict(error: dict[str, Any], words: Words) -> str:
    """The verdict of the test behind the interval and the null band."""
    if error["note"]:  # the error has another cause than a lack of calibration
        return words(error["note"]).rstrip(".?")
    if is_miscalibrated(error):
        return "miscalibrated"
    known = error["verdict"] == "calibrated"
    few = "" if known else f", but an error up to {error['high']:.2g} is possible"
    return f"no miscalibration found{few}"


def is_miscalibrated(error: dict[str, Any]) -> bool:
    """Whether an error is larger than a calibrated model shows: its interval excludes 0."""
    return bool(error["low"] > 0)


def mark_of(metric: str, error: dict[str, Any]) -> str:
    """Whether the verdict's error is "bad" or "good"; empty for others, which it does not use."""
    return "" if metric != JUDGED else "bad" if is_miscalibrated(error) else "good"


def _cautions(model: dict[str, Any]) -> list[str]:
    """Why intervals may be too narrow: each reason once, with its metrics."""
    metrics: dict[str, list[str]] = {}
    for name, e in model["metrics"].items():
        if e["caution"]:
            metrics.setdefault(e["caution"], []).append(LABELS[name])
    cautions = [f"{', '.join(names)}: {caution}" for caution, names in metrics.items()]
    ece = model["metrics"]["expected_calibration_error"]
    if ece["value"] == ece["high"] > 0:
        cautions.append(
            "ECE: the value is the upper end of its interval, because noise raises the value and "
            "the interval allows for that"
        )
    return cautions


def _bounds(models: list[dict[str, Any]], kind: str, level: float, reason: str) -> list[str]:
    """The certified bounds of all models in lines, or the reason why there are none."""
    lines = [f"No bound: {reason}."] if reason else []
    certified = [m for m in models if m["certificate"]]
    lines += [f"{quoted(m['name'])}: {said}" for m in certified if (said := _proof(m, level))]
    if any(m["certificate"]["finite"] for m in certified):
        lines.append(
            "Certified bounds are valid for any number of rows, so they are wider than the "
            "intervals above. The model and its calibrator must not have seen these rows."
        )
    if not all(m["certificate"]["finite"] for m in certified):
        lift = " --lift top_label" if kind == "top_label" else ""
        lines.append(
            "The error of continuous scores has no upper bound. For one, use a binned calibrator: "
            f"calibkit fit --calibrator scaling_binning --bins 10{lift}."
        )
    return lines


def _proof(model: dict[str, Any], level: float) -> str:
    """The certified bound of a model's error, in a line; empty without a bound."""
    certificate = model["certificate"]
    if certificate["finite"]:
        more = ", none of them off by more than {:.3f}".format(certificate["max"][1])
        return (
            f"RMS error {certificate['short']} with {percent(level)} confidence: the model gives "
            f"{certificate['outputs']:,} different probabilities"
            f"{more if certificate['says_largest'] else ''}."
        )
    least = f"{certificate['l2'][0]:.3f}"
    if float(least) == 0:
        return ""
    return (
        f"RMS error is at least {least} with {percent(level)} confidence. This bound is for the "
        "scores themselves; the interval above is for bins."
    )


def title(facts: dict[str, Any]) -> str:
    """The data in one line."""
    parts = [f"n = {facts['n']:,}"]
    if facts["event"] is not None:
        parts.append(f"event: {quoted(facts.get('label', 'label'))} = {facts['event']}")
    elif facts["classes"] is not None:
        parts.append(f"{len(facts['classes'])} classes")
    if facts["groups"] is not None:
        parts.append(f"{facts['groups']:,} groups")
    if facts["weighted"]:
        parts.append("weighted")
    return ", ".join(parts)


def settings(facts: dict[str, Any]) -> str:
    """How the numbers were made, to cite beside them."""
    metrics = facts["models"][0]["metrics"]
    kind = "" if facts["kind"] == "binary" else f"{facts['kind'].replace('_', '-')}, "
    errors = "; ".join(
        f"{name} ({short}): {kind}{gap}, {_bins(metrics[name]['params'])}"
        for name, short, gap in zip(ERRORS, ("ECE", "RMS"), _GAPS, strict=True)
        if name in metrics
    )
    groups = "" if facts["groups"] is None else ", with groups"
    return (
        f"{percent(facts['level'])} intervals, as in docs/intervals.md; values if calibrated "
        f"(null) from {facts['n_resamples']:,} simulations that draw labels from the "
        f"probabilities{groups}, seed {facts['seed']}; {errors}; calibkit {facts['calibkit']}"
    )


def _bins(params: dict[str, Any]) -> str:
    """The bins used (and those asked for, if ties left fewer), and the estimator."""
    width = {"uniform": "equal-width", "quantile": "equal-mass"}[params["strategy"]]
    used, asked = params["n_bins"], params.get("n_bins_asked")
    of = f" of {asked}" if isinstance(asked, int) and asked != used else ""
    estimator = params["estimator"].replace("plug-in", "not debiased")
    return f"{used}{of} {width} bins, {estimator}"
