"""Pictures of a report."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from .._typing import Bins
from ..displays import (
    Numbers,
    ReliabilityDisplay,
    Settings,
    numbers_of,
    problems_of_arrays,
    proof_text,
)
from ..metrics import Estimate
from ._facts import Words
from ._problem import Problem

_MOST_PANELS = 9


def diagram(
    problem: Problem, results: dict[str, Any], *, n_bins: Bins, seed: int, words: Words = str
) -> ReliabilityDisplay:
    """The reliability diagram of all models, not yet drawn; its numbers are those of the report."""
    kind = results["kind"]
    problems = problems_of_arrays(
        problem.y,
        problem.models,
        problem.weight,
        weights="sampling",
        kind=kind,
        pos_label=problem.pos_label,
        classes=problem.classes,
        groups=problem.groups,
        max_classes=_MOST_PANELS,
    )
    draws = results["n_resamples"] if kind == "classwise" else 0
    settings = Settings(
        "quantile", n_bins, "clopper-pearson", results["level"], draws, seed, "auto"
    )
    numbers = numbers_of(problems, settings)
    if kind != "classwise":  # the report has the mean over the classes, the picture a panel of each
        numbers = _as_reported(numbers, results, words)
    return ReliabilityDisplay(numbers)


def _as_reported(numbers: Numbers, results: dict[str, Any], words: Words) -> Numbers:
    models = {m["name"]: m for m in results["models"]}
    names = {"ece": "expected_calibration_error", "skill": "brier_skill_score"}
    estimates = {
        name: {key: _as_estimate(m["metrics"][metric]) for key, metric in names.items()}
        for name, m in models.items()
    }
    certified = {name: m["certificate"] for name, m in models.items() if m["certificate"]}
    proofs = {name: proof_text(v["l2"][1]) for name, v in certified.items()}
    notes = {name: words(e["ece"].note) for name, e in estimates.items()}
    return replace(numbers, estimates=estimates, proofs=proofs, notes=notes)


def _as_estimate(values: dict[str, Any]) -> Estimate:
    return Estimate(**{f.name: values[f.name] for f in fields(Estimate) if f.name in values})
