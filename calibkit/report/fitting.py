"""Fitting a calibrator to a table, and what to say of it."""

from __future__ import annotations

from typing import Any

from .._core.base import BaseCalibrator
from .._registry import make_calibrator
from ..metrics import log_loss
from .problem import Problem


def fit_calibrator(
    problem: Problem, name: str, *, logit: bool = False, lift: str | None = None
) -> BaseCalibrator:
    """The calibrator of that name, fitted; a binary one is lifted where there are more classes."""
    scale = "logit" if logit else "probability"
    p, event = problem.scores, problem.pos_label
    calibrator = make_calibrator(name, scale=scale)
    many = p.ndim == 2 and p.shape[1] > 2
    if lift is not None or (many and "multiclass" not in calibrator._traits):
        calibrator = make_calibrator(lift or "one_vs_rest", calibrator=calibrator)
    y, classes = problem.y, problem.classes
    if event is not None and event != max(y.max(), event):
        # A calibrator's event is the larger label: let it be 1, the event, against 0.
        y, classes = (y == event).astype(int), None
    if classes is not None:
        calibrator.set_params(classes=classes)
    calibrator.fit(p, y, problem.weight)
    return calibrator


def describe(calibrator: BaseCalibrator, problem: Problem, *, logit: bool) -> str:
    """One line: what was fitted, to what, and how the loss changed on these same rows."""
    y, w, p = problem.y, problem.weight, problem.scores
    classes = calibrator.classes_
    if problem.pos_label is not None and problem.pos_label != classes[-1]:
        y = (y == problem.pos_label).astype(int)
    before = p
    if logit:
        params: dict[str, Any] = {"scale": "logit", "classes": classes}
        before = make_calibrator("identity", **params).fit(p, y, w).predict_proba(p)
    after = calibrator.predict_proba(p)
    losses = [log_loss(y, q, sample_weight=w, classes=classes) for q in (before, after)]
    name = calibrator.name
    if "lift" in calibrator._traits:
        name = f"{name} of {calibrator.calibrator.name}"
    return (
        f"{name} fitted on {len(y):,} rows, {len(classes)} classes; log loss {losses[0]:.4f} -> "
        f"{losses[1]:.4f} in-sample (optimistic: judge it on rows it has not seen)"
    )
