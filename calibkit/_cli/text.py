"""Facts as text: a table for people on a terminal, aligned plain columns for everything else."""

from __future__ import annotations

from typing import Any

from .._core.optional import require
from .._core.params import percent
from .._core.printed import printable, quoted
from .facts import ERRORS, LABELS, is_miscalibrated

_HEADER = ["metric", "value", "low", "high", "null", "null_low", "null_high", "model"]


def title(facts: dict[str, Any]) -> str:
    """Data in a line."""
    parts = [f"n = {facts['n']:,}"]
    if facts["event"] is not None:
        parts.append(f"event: {quoted(facts.get('label', 'label'))} = {facts['event']}")
    elif facts["classes"] is not None:
        parts.append(f"{len(facts['classes'])} classes")
    if facts["groups"] is not None:
        parts.append(f"{facts['groups']:,} groups")
    if facts["weighted"]:
        parts.append("weighted")
    return ", ".join(parts)


def settings(facts: dict[str, Any]) -> str:
    """How the numbers were made, to cite beside them."""
    metrics = facts["models"][0]["metrics"]
    ece, rms = (metrics[name]["params"] for name in ERRORS)
    kind = "" if facts["kind"] == "binary" else f"{facts['kind'].replace('_', '-')}, "
    draws, labels = "draws", "independently"
    if facts["groups"] is not None:
        draws, labels = "draws of groups", "with the noise of the groups"
    return (
        f"{percent(facts['level'])} intervals by test inversion for errors, by influences for the "
        f"rest; {facts['n_resamples']:,} {draws}, seed {facts['seed']}; calibrated: the same "
        f"rows with labels drawn from the forecasts, {labels}; "
        f"ECE: {kind}l1, {_bins(ece)}; RMS: {kind}l2, {_bins(rms)}; calibkit {facts['calibkit']}"
    )


def _bins(params: dict[str, Any]) -> str:
    """Bins used, and asked for where ties left fewer; and the estimator."""
    width = {"uniform": "equal-width", "quantile": "equal-mass"}[params["strategy"]]
    used, asked = params["n_bins"], params.get("n_bins_asked")
    of = f" of {asked}" if isinstance(asked, int) and asked != used else ""
    return f"{used}{of} {width} bins, {params['estimator']}"


def plain_report(facts: dict[str, Any]) -> list[str]:
    """Lines of columns two spaces apart; lines of words begin with #."""
    rows = [_HEADER]
    for model in facts["models"]:
        for name in ("base_rate", "mean_prediction"):
            rows.append([name, _exact(model[name]), *["-"] * 5, model["name"]])
        for name, m in model["metrics"].items():
            keys = ["value", "low", "high"]
            shown = [_exact(m[k]) for k in keys]
            null = [_exact(m[k]) if name in ERRORS else "-" for k in _HEADER[4:7]]
            rows.append([name, *shown, *null, model["name"]])
    head = f"# {facts['file']}: {title(facts)}" if "file" in facts else f"# {title(facts)}"
    return [head, *aligned(rows), f"# {settings(facts)}"]


def _exact(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def aligned(rows: list[list[str]]) -> list[str]:
    """Columns two spaces apart, never cut; what can't be seen is written out."""
    rows = [[printable(c) for c in r] for r in rows]
    widths = [max(len(c) for c in column) for column in zip(*rows, strict=True)]
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]


def rich_report(facts: dict[str, Any]) -> list[Any]:
    """The same for a terminal: what a calibrated model exceeds is green, what exceeds it red."""
    rich_text, table = require("rich.text", "cli"), _rich_table()
    several = len(facts["models"]) > 1
    table.add_column("")
    if several:
        table.add_column("model", overflow="fold")
    table.add_column("value", justify="right")
    table.add_column(f"{percent(facts['level'])} interval", justify="right", style="dim")
    table.add_column("if calibrated", justify="right", style="dim")
    words = ("base rate", "mean prediction") if facts["kind"] == "binary" else (
        "accuracy", "mean confidence")  # fmt: skip
    rows: list[tuple[str, list[tuple[str, list[Any]]]]] = []
    for word, key in zip(words, ("base_rate", "mean_prediction"), strict=True):
        rows.append((word, [(m["name"], [f"{m[key]:.4f}", "", ""]) for m in facts["models"]]))
    for name in facts["models"][0]["metrics"]:
        found = [(m["name"], m["metrics"].get(name)) for m in facts["models"]]
        rows.append((LABELS[name], [(n, _cells(name, e)) for n, e in found if e is not None]))
    for word, lines in rows:
        for i, (model, cells) in enumerate(lines):
            last = several and i == len(lines) - 1
            names = ["" if i else word, model] if several else [word]
            shown = (rich_text.Text(printable(n)) for n in names)
            table.add_row(*shown, *cells, end_section=last)
    head = rich_text.Text(printable(facts.get("file", "")), style="bold")
    head.append(("  " if head else "") + printable(title(facts)), style="not bold")
    return [head, table, "", rich_text.Text(settings(facts), style="dim")]


def _cells(name: str, e: dict[str, Any]) -> list[Any]:
    interval = "none" if e["low"] is None else f"{e['low']:.4f}..{e['high']:.4f}"
    if name not in ERRORS:
        return [f"{e['value']:.4f}", interval, ""]
    colour = "red" if is_miscalibrated(e) else "green"
    value = require("rich.text", "cli").Text(f"{e['value']:.4f}", style=colour)
    known = e["null_high"] is not None
    band = f"{e['null']:.4f} ({e['null_low']:.4f}..{e['null_high']:.4f})" if known else ""
    return [value, interval, band]


def rich_rows(rows: list[list[str]]) -> Any:
    """Rows of text, the header first, as a table for a terminal."""
    rich_text, table = require("rich.text", "cli"), _rich_table()
    for name in rows[0]:
        table.add_column(rich_text.Text(printable(name)), overflow="fold")
    for row in rows[1:]:
        table.add_row(*(rich_text.Text(printable(c)) for c in row))
    return table


def _rich_table() -> Any:
    box = require("rich.box", "cli").SIMPLE_HEAD
    return require("rich.table", "cli").Table(box=box, pad_edge=False, show_edge=False)
