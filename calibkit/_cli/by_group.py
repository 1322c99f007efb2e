"""The part of a report on groups of rows: where a model is wrong."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from .._core.printed import printable
from .._report import FLAG
from .console import aligned, rich_table

#: Columns of the table in a pipe.
_COLUMNS = ["n", "events", "predicted", "observed", "error", "error_low", "error_high",
            "error_shrunk", "brier", "skill", "p_value"]  # fmt: skip
#: Groups that a terminal shows of each model.
_MOST = 40


def plain_groups(models: list[dict[str, Any]]) -> list[str]:
    """The tables of all models, as lines of one table."""
    rows = [["group", *_COLUMNS, "flag", "model"]]
    for model in models:
        for r in model["groups"]:
            numbers = ["-" if r[k] is None else f"{r[k]:.6f}" for k in _COLUMNS[2:]]
            rows.append(
                [
                    r["group"],
                    str(r["n"]),
                    str(r["events"]),
                    *numbers,
                    r["flag"] or "-",
                    model["name"],
                ]
            )
    return ["#", *aligned(rows)]


def rich_groups(models: list[dict[str, Any]], level: str) -> list[Any]:
    """A table of each model for a terminal: groups where it is miscalibrated are red."""
    out: list[Any] = []
    for model in models:
        table = rich_table()
        title = "group" if len(models) == 1 else f"group, {model['name']}"
        table.add_column(Text(printable(title)), overflow="fold")
        for name in ("n", "predicted", "observed", "error"):
            table.add_column(name, justify="right")
        table.add_column(f"{level} interval", justify="right", style="dim")
        table.add_column("p", justify="right")
        groups = sorted(model["groups"], key=lambda r: r["flag"] != FLAG)[:_MOST]
        for r in [r for r in model["groups"] if r in groups]:
            numbers = [f"{r[k]:.3f}" for k in ("predicted", "observed", "error")]
            interval = f"{r['error_low']:.3f}..{r['error_high']:.3f}"
            p = "too few" if r["p_value"] is None else f"{r['p_value']:.3f}"
            style = "red" if r["flag"] == FLAG else ""
            cells = [r["group"], f"{r['n']:,}", *numbers, interval, p]
            table.add_row(*(Text(printable(c)) for c in cells), style=style)
        out += ["", table]
        if more := len(model["groups"]) - len(groups):
            out.append(Text(f"{more:,} more groups: in a pipe, or with --json", style="dim"))
    return out
