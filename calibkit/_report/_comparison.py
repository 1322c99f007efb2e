"""Which of several models is better on these rows."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from .._core.printed import quoted
from .._core.warnings import FewEventsWarning
from .._typing import Bins, Kind
from ..metrics import compare
from ._problem import Problem

#: What is compared, with its settings and its label; of the calibration error its debiased square.
COMPARED: dict[str, tuple[dict[str, str], str]] = {
    "brier_score": ({}, "Brier score"),
    "log_loss": ({}, "log loss"),
    "squared_calibration_error": ({"norm": "l2", "strategy": "quantile"}, "squared RMS cal. error"),
}


def compare_models(
    problem: Problem, best: str, *, kind: Kind, n_bins: Bins, level: float, seed: int
) -> dict[str, Any]:
    """Differences of two models, or of more from the one with the lowest Brier score."""
    names = list(problem.models)
    reference = names[1] if len(names) == 2 else best
    given: dict[str, Any] = {
        "reference": "all",  # the best was found on these rows, from all pairs
        "level": level,
        "groups": problem.groups,
        "sample_weight": problem.weight,
        "pos_label": problem.pos_label,
        "classes": problem.classes,
        "random_state": seed,
    }
    differences: list[dict[str, Any]] = []
    left_out, verdict = [], ""
    for metric, (settings, label) in COMPARED.items():
        params: dict[str, Any] = {**settings, "kind": kind, "n_bins": n_bins} if settings else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FewEventsWarning)  # a line of the report says it
            try:
                name = metric.removeprefix("squared_")
                found = compare(name, problem.y, problem.models, **given, **params)
            except ValueError:
                if metric != "log_loss":
                    raise
                # The one metric that may be infinite.
                left_out.append(f"{label}: a model gives probability 0 to a label that occurs")
                continue
        pairs = [d for d in found.differences if reference in (d.first, d.second)]
        named = [d if d.second == reference else d.reversed() for d in pairs]
        if metric == "brier_score":
            verdict = replace(found, differences=tuple(named)).verdict
        for d in named:
            facts = {k: v for k, v in vars(d).items() if k != "freedom"}
            differences.append({"metric": metric, **facts})
    out = {"reference": reference, "differences": differences, "left_out": left_out}
    return {"verdict": verdict, **out}


def digits(d: dict[str, Any]) -> int:
    """Decimals that show two digits of the width of the interval, at least four."""
    width = d["high"] - d["low"]
    return next((n for n in range(4, 9) if width >= 10.0 ** (1 - n)), 4)


def cautions(comparison: dict[str, Any] | None) -> list[str]:
    """Why intervals may be too narrow, each reason once."""
    if comparison is None:
        return []
    said = dict.fromkeys(d["caution"] for d in comparison["differences"])
    lines = [f"No difference of the {reason}." for reason in comparison["left_out"]]
    return lines + [f"Differences: {caution}." for caution in said if caution]


def several_pairs(comparison: dict[str, Any]) -> bool:
    return len({d["first"] for d in comparison["differences"]}) > 1


def meaning(comparison: dict[str, Any]) -> str:
    """How to read the differences: which model is better on each side of 0."""
    other = quoted(comparison["reference"])
    if several_pairs(comparison):
        return (
            f"Differences are each model minus {other} on the same rows: above 0, {other} is "
            "better; Holm: p-values adjusted for all pairs of models"
        )
    first = quoted(comparison["differences"][0]["first"])
    return (
        f"Differences are {first} minus {other} on the same rows: below 0, {first} is better; "
        f"above 0, {other} is"
    )
