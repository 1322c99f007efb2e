"""Reliability diagrams in files."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from .._core.optional import require
from .._core.saved import whole_file
from ..displays import ReliabilityDisplay
from ..displays._numbers import Numbers, Settings, numbers_of, proof_text
from ..displays._problems import problems_of_arrays
from ..metrics import Estimate
from .advice import as_options
from .problem import Problem

_MOST_PANELS = 9


def check_picture(path: Path) -> None:
    """Raise, before any work, if a picture of that name can't be drawn."""
    backend = require("matplotlib.backends.backend_agg", "plot")
    known = backend.FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in known:
        raise ValueError(
            f"{path}: unknown kind of picture; expected a name that ends in .png, .pdf or .svg."
        )


def draw(
    problem: Problem, path: Path, found: dict[str, Any], *, n_bins: int | str, seed: int
) -> None:
    """Write the reliability diagram of all models; its numbers are those of the report."""
    kind = found["kind"]
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
        where="report",
    )
    draws = found["n_resamples"] if kind == "classwise" else 0
    settings = Settings("quantile", n_bins, "clopper-pearson", found["level"], draws, seed, "auto")
    numbers = numbers_of(problems, settings, "report")
    if kind != "classwise":  # the report has the mean over the classes, the picture a panel of each
        numbers = _as_reported(numbers, found)
    write(ReliabilityDisplay(numbers).plot(), path)


def _as_reported(numbers: Numbers, found: dict[str, Any]) -> Numbers:
    models = {m["name"]: m for m in found["models"]}
    names = {"ece": "expected_calibration_error", "skill": "brier_skill_score"}
    estimates = {
        name: {key: _estimate(m["metrics"][metric]) for key, metric in names.items()}
        for name, m in models.items()
    }
    verified = {name: m["verification"] for name, m in models.items() if m["verification"]}
    proofs = {name: proof_text(v["l2"][1]) for name, v in verified.items()}
    notes = {name: as_options(e["ece"].note, "report") for name, e in estimates.items()}
    return replace(numbers, estimates=estimates, proofs=proofs, notes=notes)


def _estimate(values: dict[str, Any]) -> Estimate:
    return Estimate(**{f.name: values[f.name] for f in fields(Estimate) if f.name in values})


def write(display: Any, path: Path) -> None:
    """Write a display to a file, which appears whole or not at all."""
    with whole_file(path) as temporary:
        display.figure_.savefig(temporary, format=path.suffix.lower()[1:], dpi=150)
