"""From labels and probabilities to one plain dict: everything a report says, ready for JSON."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from .._core.labels import is_fractional
from .._core.params import percent
from .._core.printed import quoted
from .._core.rows import infer_kind
from .._core.warnings import FewEventsWarning
from .._typing import Bins, FloatArray, Kind, Strategy
from ..metrics import METRICS, ScoreTable, verify
from ..metrics._estimate import estimate_or_value
from .advice import as_options
from .problem import Problem

#: Metrics of a report, in its order, with the settings that make them what they are called.
REPORTED: dict[str, dict[str, Any]] = {
    "brier_score": {},
    "brier_skill_score": {},
    "log_loss": {},
    "expected_calibration_error": {},
    "calibration_error": {"norm": "l2", "strategy": "quantile"},
    "roc_auc": {},
}
#: Those for which the value of a perfectly calibrated model is what they are to be read against.
ERRORS = ("expected_calibration_error", "calibration_error")
LABELS = {name: METRICS[name].label for name in REPORTED} | {
    "calibration_error": "RMS cal. error",
    "confidence_auc": "AUC of confidence",
}

#: Called with the share done, between 0 and 1.
Step = Callable[[float], None]


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
) -> dict[str, Any]:
    """What a report says of one model or of several on the same rows.

    Parameters
    ----------
    problem : Problem
        Labels and probabilities.
    kind : {"binary", "top_label", "classwise"}, optional
        Which calibration errors; default: "top_label" for more than two classes.
    n_bins, level, n_resamples, seed : optional
        As in :func:`calibkit.estimate`.
    step : callable, optional
        Told of the progress.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of the ECE.

    Returns
    -------
    facts : dict
        Plain values only; what is not defined is None.

    Raises
    ------
    ValueError
        If the data are not of the kind described.
    """
    kind = infer_kind(kind, max(2, _n_columns(problem.scores)), "report")
    settings = {"level": level, "n_resamples": n_resamples, "random_state": seed}
    total = len(problem.models) * len(REPORTED)
    models: list[dict[str, Any]] = []
    for name, p in problem.models.items():
        found: dict[str, Any] = {}
        for metric, params in REPORTED.items():
            if metric in ERRORS:
                params = {"strategy": strategy, **params, "kind": kind, "n_bins": n_bins}
            try:
                found |= _found(metric, problem, p, kind, {**settings, **params})
            except ValueError as error:
                raise ValueError(f"{quoted(name)}: {error}") from error
            if step is not None:
                step((len(models) * len(REPORTED) + len(found)) / total)
        proof = None if _unverifiable(problem) else _verification(problem, p, kind, level, seed)
        models.append(
            {"name": name, **_means(problem, p, kind), "metrics": found, "verification": proof}
        )
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
        "models": models,
    }
    reason = _unverifiable(problem)
    proofs = [f"Not verified: {reason}."] if reason else []
    proofs += [
        f"{quoted(m['name'])}: {_proof(m, kind, level)}" for m in models if m["verification"]
    ]
    if any(m["verification"] and m["verification"]["finite"] for m in models):
        proofs.append(
            "Verified bounds are exact for any number of rows, and therefore wider than the "
            "intervals above; the rows must be new to the model and its calibrator."
        )
    proofs = [f"{quoted(m['name'])}: {said}." for m in models for said in _cautions(m)] + proofs
    said = [reading(m, kind) for m in models]
    return {**_plain(out), "reading": said, "proofs": proofs}


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
    metric: str, problem: Problem, p: FloatArray, params: dict[str, Any]
) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewEventsWarning)  # a line of the report says it
        found = estimate_or_value(
            metric,
            problem.y,
            p,
            sample_weight=problem.weight,
            groups=problem.groups,
            pos_label=problem.pos_label,
            classes=problem.classes,
            **params,
        )
    return {**asdict(found), "verdict": found.verdict}


def _confidence(problem: Problem, p: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """Whether each row's winning class is right, and its probability."""
    if p.ndim == 1:
        return (p > 0.5) == (problem.y == _event(problem)), np.maximum(p, 1.0 - p)
    assert problem.classes is not None
    return problem.classes[p.argmax(axis=1)] == problem.y, np.minimum(p.max(axis=1), 1.0)


def _found(
    metric: str, problem: Problem, p: FloatArray, kind: str, params: dict[str, Any]
) -> dict[str, Any]:
    """A metric by its name; of the top label, the area is that of its confidence."""
    if metric != "roc_auc" or kind == "binary":
        return {metric: _estimate(metric, problem, p, params)}
    correct, confidence = _confidence(problem, p)
    if correct.all() or not correct.any():
        return {}
    winners = Problem(correct, {}, weight=problem.weight, groups=problem.groups)
    return {"confidence_auc": _estimate(metric, winners, confidence, params)}


def _unverifiable(problem: Problem) -> str:
    """Why nothing can be proved from these rows, if so."""
    if problem.weight is not None:
        return "the rows have weights, and bounds are of rows that count alike"
    if problem.groups is not None:
        return "rows of one group are alike, and bounds are of independent rows"
    if _fractional(problem):
        return "the labels are shares of events, and bounds are of events that happen or not"
    return ""


def _verification(
    problem: Problem, p: FloatArray, kind: str, level: float, seed: int
) -> dict[str, Any]:
    """What the rows prove."""
    given = {"pos_label": problem.pos_label, "classes": problem.classes, "kind": kind}
    found = verify(problem.y, p, level=level, random_state=seed, **given)
    bounds = {norm: list(getattr(found, norm)) for norm in ("l1", "l2", "max")}
    words = {"short": found.short(), "sentence": str(found)}
    known = {"outputs": len(found.value), "says_largest": found.says_largest}
    return {"finite": found.finite, **known, **bounds, **words}


def _means(problem: Problem, p: FloatArray, kind: str) -> dict[str, Any]:
    """What happened on average, and what was forecast."""
    if kind == "binary":
        event = _event(problem)
        if p.ndim == 2:
            p = p[:, problem.classes == event][:, 0]
        y = problem.y if _fractional(problem) else problem.y == event
    else:
        y, p = _confidence(problem, p)
    table = ScoreTable.from_arrays(y, p, problem.weight, pos_label=True)
    return {"base_rate": table.base_rate, "mean_prediction": table.mean_score}


def reading(model: dict[str, Any], kind: str) -> str:
    """One sentence on a model's calibration, from its numbers."""
    error = model["metrics"]["calibration_error"]
    said, happened = model["mean_prediction"], model["base_rate"]
    band, seen = "", f"RMS calibration error {error['value']:.4f}"
    if error["null_high"] is not None:
        low, high = f"{error['null_low']:.4f}", f"{error['null_high']:.4f}"
        band = f", where a calibrated model would show {low} to {high}"
    means = ("mean forecast", "observed") if kind == "binary" else ("mean confidence", "accuracy")
    return (
        f"{quoted(model['name'])}: {_verdict(error)}; {seen}{band}; "
        f"{means[0]} {said:.3f}, {means[1]} {happened:.3f}."
    )


def _verdict(error: dict[str, Any]) -> str:
    """What the test says that the interval and the null band come from."""
    if error["note"]:  # an error of another kind than a lack of calibration
        return as_options(error["note"], "report").rstrip(".?")
    if is_miscalibrated(error):
        return "miscalibrated"
    known = error["verdict"] == "calibrated"
    few = "" if known else f", but the rows don't exclude an error of {error['high']:.2g}"
    return f"no miscalibration seen{few}"


def is_miscalibrated(error: dict[str, Any]) -> bool:
    """Whether an error is more than a calibrated model shows: its interval begins above 0 then."""
    return bool(error["low"] > 0)


def _cautions(model: dict[str, Any]) -> list[str]:
    """Why intervals may be too short, each reason once with the metrics that it is said of."""
    metrics: dict[str, list[str]] = {}
    for name, e in model["metrics"].items():
        if e["caution"]:
            metrics.setdefault(e["caution"], []).append(LABELS[name])
    return [f"{', '.join(names)}: {caution}" for caution, names in metrics.items()]


def _proof(model: dict[str, Any], kind: str, level: float) -> str:
    """What is certain of a model's error, in a line."""
    found = model["verification"]
    if found["finite"]:
        more = ", and none is off by more than {:.3f}.".format(found["max"][1])
        return (
            f"RMS error {found['short']} with {percent(level)} confidence: it has "
            f"{found['outputs']:,} outputs{more if found['says_largest'] else '.'}"
        )
    lift = " --lift top_label" if kind == "top_label" else ""
    return (
        f"RMS error {found['short']}; to verify it, bin it: calibkit fit --calibrator "
        f"scaling_binning --bins 10{lift}."
    )


def _plain(value: Any) -> Any:
    """NumPy values as Python's, and numbers that are not finite as None."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
