"""Pictures of stored results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, GRAY, RED = "#0072b2", "#777777", "#d55e00"


def win_rates(data: dict[str, Any], ax: Axes) -> None:
    """Win rates of all methods, with their standard errors."""
    methods = data["tables"][0]["methods"][::-1]
    ours = [m["method"].startswith("calibkit") for m in methods]
    colors = [BLUE if own else GRAY for own in ours]
    wins, errors = ([m[key] for m in methods] for key in ("win", "error"))
    ax.barh(range(len(methods)), wins, xerr=errors, color=colors, height=0.7, ecolor="black")
    ax.set_yticks(range(len(methods)), [m["method"] for m in methods], fontsize=8)
    ax.set(xlabel="win rate ± standard error; calibkit in blue", xlim=(0, 1))


def coverages(rows: list[dict[str, Any]], ax: Axes) -> None:
    """Coverage of 90% intervals by metric; hollow where most data sets gave a warning."""
    rows = [r for r in rows if r.get("level", 0.9) == 0.9]
    metrics = list(dict.fromkeys(r["metric"] for r in rows))
    for r in rows:
        warned = r["warned"] > 0.5
        marks = {"markerfacecolor": "none" if warned else BLUE, "markeredgecolor": BLUE}
        ax.plot(r["coverage"], metrics.index(r["metric"]), "o", markersize=5, **marks)
    ax.axvline(0.9, color=GRAY)
    ax.set_yticks(range(len(metrics)), metrics, fontsize=8)
    ax.set_ylim(len(metrics) - 0.5, -0.5)
    ax.set(xlabel="coverage of 90% intervals, one mark for each law; hollow: with a warning")


def failures(data: dict[str, Any], ax: Axes) -> None:
    """How often a promise of .9 fails in each simulated law."""
    parts = {
        "certify": [x[0] for x in data["certify"]["failures"].values()],
        "certify, a region alone": [x[0] for x in data["certify"]["region"].values()],
        "certify with groups": [max(x[0]) for x in data["groups"]["failures"].values()],
        "certify_bins": [max(x[0]) for x in data["bins"]["failures"].values()],
        "risk-controlled threshold": [x[0] for x in data["threshold"]["failures"].values()],
    }
    for i, shares in enumerate(parts.values()):
        ax.plot(shares, [i] * len(shares), "o", color=BLUE, markersize=5, alpha=0.6)
    ax.axvline(0.1, color=RED)
    ax.set_yticks(range(len(parts)), list(parts), fontsize=8)
    ax.set_ylim(len(parts) - 0.5, -0.5)
    ax.set(xlabel="share of simulations that break a promise; red: the limit", xlim=(0, None))


Drawing = Callable[[Any, Axes], None]
#: For each section: what a picture is called, what it shows, the file of results, and its height.
PICTURES: dict[int, dict[str, tuple[str, str, Drawing, float]]] = {
    5: {"scores": ("Coverage of intervals of scores", "score_intervals", coverages, 3.0)},
    18: {
        "arena_two": ("Win rates, two classes", "arena_two", win_rates, 5.6),
        "arena_several": ("Win rates, K classes", "arena_several", win_rates, 5.2),
    },
    20: {"paired": ("Coverage of intervals of differences", "paired_intervals", coverages, 3.0)},
    27: {"failures": ("How often promises fail", "proofs", failures, 2.6)},
}


def draw(benchmarks: Path, folder: Path) -> None:
    """Draw all pictures."""
    for some in PICTURES.values():
        for name, (title, stored, drawing, height) in some.items():
            figure = Figure(figsize=(7, height), layout="constrained")
            ax = figure.subplots()
            drawing(json.loads((benchmarks / f"{stored}.json").read_text()), ax)
            ax.set_title(title, fontsize=10)
            ax.spines[["top", "right"]].set_visible(False)
            figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})
