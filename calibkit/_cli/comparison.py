"""The first part of a report on several models: which one is better on these rows."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from rich.text import Text

from .._core.printed import p_text, printable
from .._core.warnings import FewEventsWarning
from .._typing import Bins, Kind
from ..metrics import compare
from .console import aligned, rich_table
from .problem import Problem

#: What is compared, with its settings and its label; of the calibration error its debiased square.
_COMPARED: dict[str, tuple[dict[str, str], str]] = {
    "brier_score": ({}, "Brier score"),
    "log_loss": ({}, "log loss"),
    "squared_calibration_error": ({"norm": "l2", "strategy": "quantile"}, "squared RMS cal. error"),
}
_COLUMNS = ["difference", "value", "low", "high", "p_value", "p_holm", "model", "minus"]


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
    for metric, (settings, label) in _COMPARED.items():
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


def _digits(d: dict[str, Any]) -> int:
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


def _several(comparison: dict[str, Any]) -> bool:
    return len({d["first"] for d in comparison["differences"]}) > 1


def _meaning(comparison: dict[str, Any]) -> str:
    several = _several(comparison)
    return "differences on the same rows; below 0, the model is better than the one after minus" + (
        "; Holm: p-values adjusted for all pairs of models" if several else ""
    )


def plain_comparison(comparison: dict[str, Any]) -> list[str]:
    """The verdict and the differences, as lines."""
    rows = [_COLUMNS]
    for d in comparison["differences"]:
        numbers = [f"{d[k]:.6f}" for k in _COLUMNS[1:4]]
        p_values = [f"{d[k]:.4g}" for k in ("p_value", "p_adjusted")]
        rows.append([d["metric"], *numbers, *p_values, d["first"], d["second"]])
    return [f"# {comparison['verdict']}", *aligned(rows), f"# {_meaning(comparison)}"]


def rich_comparison(comparison: dict[str, Any], level: str) -> list[Any]:
    """The same for a terminal."""
    differences = comparison["differences"]
    several = _several(comparison)
    table = rich_table()
    minus = f"minus {printable(comparison['reference'])}"
    table.add_column("difference")
    table.add_column("model", overflow="fold")
    table.add_column(Text(minus), justify="right", overflow="fold")
    table.add_column(f"{level} interval", justify="right", style="dim")
    table.add_column("p (Holm)" if several else "p", justify="right")
    for metric, (_, label) in _COMPARED.items():
        rows = [d for d in differences if d["metric"] == metric]
        for i, d in enumerate(rows):
            value, low, high = (f"{d[k]:.{_digits(d)}f}" for k in ("value", "low", "high"))
            p = p_text(d["p_adjusted"])
            names = "" if i else label, printable(d["first"])
            cells = map(Text, (*names, value, f"{low}..{high}", p))
            table.add_row(*cells, end_section=several and i == len(rows) - 1)
    verdict = Text(printable(comparison["verdict"]), style="bold")
    return [verdict, table, Text(_meaning(comparison), style="dim"), ""]
