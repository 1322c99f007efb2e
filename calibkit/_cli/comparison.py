"""The first part of a report on several models: which one is better on these rows."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from .._core.printed import p_text, printable
from .._report import COMPARED, digits, meaning, several_pairs
from .console import aligned, rich_table

_COLUMNS = ["difference", "value", "low", "high", "p_value", "p_holm", "model", "minus"]


def plain_comparison(comparison: dict[str, Any]) -> list[str]:
    """The verdict and the differences, as lines."""
    rows = [_COLUMNS]
    for d in comparison["differences"]:
        numbers = [f"{d[k]:.6f}" for k in _COLUMNS[1:4]]
        p_values = [f"{d[k]:.4g}" for k in ("p_value", "p_adjusted")]
        rows.append([d["metric"], *numbers, *p_values, d["first"], d["second"]])
    return [f"# {comparison['verdict']}", *aligned(rows), f"# {meaning(comparison)}"]


def rich_comparison(comparison: dict[str, Any], level: str) -> list[Any]:
    """The same for a terminal."""
    differences = comparison["differences"]
    several = several_pairs(comparison)
    table = rich_table()
    minus = f"minus {printable(comparison['reference'])}"
    table.add_column("difference")
    table.add_column("model", overflow="fold")
    table.add_column(Text(minus), justify="right", overflow="fold")
    table.add_column(f"{level} interval", justify="right", style="dim")
    table.add_column("p (Holm)" if several else "p", justify="right")
    for metric, (_, label) in COMPARED.items():
        rows = [d for d in differences if d["metric"] == metric]
        for i, d in enumerate(rows):
            value, low, high = (f"{d[k]:.{digits(d)}f}" for k in ("value", "low", "high"))
            p = p_text(d["p_adjusted"])
            names = "" if i else label, printable(d["first"])
            cells = map(Text, (*names, value, f"{low}..{high}", p))
            table.add_row(*cells, end_section=several and i == len(rows) - 1)
    verdict = Text(printable(comparison["verdict"]), style="bold")
    return [verdict, table, Text(printable(meaning(comparison)), style="dim"), ""]
