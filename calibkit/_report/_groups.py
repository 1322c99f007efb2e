"""The groups of rows where a model is wrong."""

from __future__ import annotations

from typing import Any

from .._core.params import percent
from .._core.printed import listed, quoted
from .._typing import FloatArray
from ..metrics import group_table
from ._problem import Problem

#: Flags of groups.
FLAG = "miscalibrated"
_SMALL = "not estimable"


def group_facts(
    problem: Problem, p: FloatArray, *, level: float, seed: int
) -> list[dict[str, Any]]:
    """The rows of the table of groups as plain values."""
    table = group_table(
        problem.y,
        p,
        problem.by,
        groups=problem.groups,
        sample_weight=problem.weight,
        level=level,
        pos_label=problem.pos_label,
        classes=problem.classes,
        random_state=seed,
    )
    return table.flat()


def group_sentence(name: str, rows: list[dict[str, Any]], level: float) -> str:
    """The groups of a model where it is miscalibrated, in a sentence."""
    flagged = [r["group"] for r in rows if r["flag"] == FLAG]
    small = sum(r["flag"] == _SMALL for r in rows)
    counted = f"{len(rows):,} group{'s' * (len(rows) != 1)}"
    found = f"none of {counted} is shown to be miscalibrated"
    if flagged:
        found = f"miscalibrated in {len(flagged):,} of {counted} ({listed(flagged, 8, 'groups')})"
    few = f"; {small:,} too small to tell" if small else ""
    alpha = percent(1.0 - level)
    return f"{quoted(name)}: {found}{few}; false-alarm probability {alpha} for all groups together."
