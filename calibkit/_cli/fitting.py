"""Fitting a calibrator to a table, and what to say of it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from .._core.base import BaseCalibrator
from .._core.warnings import CalibrationWarning
from .._registry import make_calibrator
from ..metrics import log_loss
from .advice import as_options
from .problem import Problem


def event_last(problem: Problem) -> Problem:
    """The same problem with the event as the larger label, for calibrators take it to be that.

    Scores of two columns speak of both labels, so nothing changes there.
    """
    labels, event = np.unique(problem.y), problem.pos_label
    if event is None or problem.scores.ndim == 2 or len(labels) != 2 or event == labels[1]:
        return problem
    return replace(problem, y=(problem.y == event).astype(int), pos_label=1)


def fit_calibrator(
    problem: Problem,
    name: str,
    *,
    logit: bool = False,
    lift: str | None = None,
    n_bins: int | str | None = None,
) -> BaseCalibrator:
    """The calibrator of that name, fitted; a binary one is lifted where there are more classes."""
    calibrator = make_calibrator(name)._set_scale("logit" if logit else "probability")
    if n_bins is not None:
        if "n_bins" not in calibrator.get_params():
            raise ValueError(f"--bins with --calibrator {name}, which has none; leave it out.")
        calibrator.set_params(n_bins=n_bins)
    p = problem.scores
    many = p.ndim == 2 and p.shape[1] > 2
    if lift is not None or (many and "multiclass" not in calibrator._traits):
        calibrator = make_calibrator(lift or "one_vs_rest", calibrator=calibrator)
    if problem.classes is not None:
        calibrator.set_params(classes=problem.classes)
    return calibrator.fit(p, problem.y, problem.weight)


def describe(calibrator: BaseCalibrator, problem: Problem, *, logit: bool) -> str:
    """One line: what was fitted, to what, and how the loss changed on these same rows."""
    y, w, p = problem.y, problem.weight, problem.scores
    classes = calibrator.classes_
    before = p
    if logit:
        params: dict[str, Any] = {"scale": "logit", "classes": classes}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)  # of the fit, and said there
            before = make_calibrator("identity", **params).fit(p, y, w).predict_proba(p)
    after = calibrator.predict_proba(p)
    losses = [log_loss(y, q, sample_weight=w, classes=classes) for q in (before, after)]
    name = calibrator.name
    if "lift" in calibrator._traits:
        name = f"{name} of {calibrator.calibrator.name}"
    return (
        f"{name} fitted on {len(y):,} rows, {len(classes)} classes; log loss {losses[0]:.4f} -> "
        f"{losses[1]:.4f} in-sample (optimistic: judge it on rows it has not seen)"
        f"{_guarantee(calibrator)}"
    )


def _guarantee(calibrator: BaseCalibrator) -> str:
    """What is certain of the bins of histogram binning from the fitting rows, in a line."""
    if not hasattr(calibrator, "guarantee"):
        return ""
    try:
        return f"\n{calibrator.guarantee()}"
    except ValueError as error:
        return f"\nNo guarantee: {as_options(str(error).partition(': ')[2])}"
