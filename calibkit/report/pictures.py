"""Reliability diagrams in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._core.files import whole_file
from .._core.optional import require
from ..displays import ReliabilityDisplay
from .problem import Problem


def check_picture(path: Path) -> None:
    """Raise, before any work, if a picture of that name can't be drawn."""
    backend = require("matplotlib.backends.backend_agg", "plot")
    known = backend.FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in known:
        raise ValueError(
            f"{path}: unknown kind of picture; expected a name that ends in .png, .pdf or .svg."
        )


def draw(
    problem: Problem, path: Path, *, kind: str, n_bins: int | str, level: float, seed: int
) -> None:
    """Write the reliability diagram of all models of a problem."""
    display = ReliabilityDisplay.from_predictions(
        problem.y,
        problem.models,
        kind=kind,
        n_bins=n_bins,
        level=level,
        sample_weight=problem.weight,
        groups=problem.groups,
        pos_label=problem.pos_label,
        classes=problem.classes,
        random_state=seed,
    )
    write(display, path)


def write(display: Any, path: Path) -> None:
    """Write a display to a file, which appears whole or not at all."""
    with whole_file(path) as temporary:
        display.figure_.savefig(temporary, format=path.suffix.lower()[1:], dpi=150)
