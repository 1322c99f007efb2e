"""Draw the figure of online.py: calibration error and sharpness over time, for each design."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import online_paper as paper
from online_runs import MEASURES, Found
from verified_figures import plain_log

COLOURS = {
    "BM": "#6f6f6f",
    "FPS": "#b08900",
    "WPS": "#7a4fa3",
    "OPS": "#0b5fa5",
    "TOPS": "#c8442b",
    "HOPS": "#2f8f4e",
}


def figure(designs: dict[str, Found], path: Path) -> None:
    """A column for each design: calibration error, and sharpness minus that of the base model."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    size = (4.2 * len(designs), 6.4)
    canvas, axes = plt.subplots(2, len(designs), figsize=size, squeeze=False, layout="constrained")
    for column, (name, found) in zip(axes.T, designs.items(), strict=True):
        for ax, measure in zip(column, MEASURES[:2], strict=True):
            _panel(ax, name, found, measure)
        column[0].set_title(name, loc="left", fontsize=11)
        plain_log(column[0], "y", (0.005, 0.01, 0.02, 0.05, 0.1, 0.2))
        column[1].set_xlabel("rows of the stream")
    axes[0, 0].set_ylabel("calibration error")
    axes[1, 0].set_ylabel("sharpness minus that of BM")
    lines = axes[0, 0].get_legend_handles_labels()
    canvas.legend(*lines, frameon=False, loc="outside upper right", ncols=len(COLOURS))
    canvas.supxlabel(
        "bands: two standard errors; diamonds: the authors' code", fontsize=8.5, x=0.99, ha="right"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=140)
    plt.close(canvas)


def _reference(ref: paper.Reference, method: str, measure: str) -> list[tuple[int, float]]:
    if measure == "CE":
        return list(zip(ref.times, ref.error[method], strict=True))
    both = zip(ref.times, ref.sharpness[method], ref.sharpness["BM"], strict=True)
    return [(t, v - base) for t, v, base in both if v is not None and base is not None]


def _panel(ax: Any, name: str, found: Found, measure: str) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="#e4e4e4", linewidth=0.6)
    ax.set_axisbelow(True)
    ref = paper.REFERENCES.get(name)
    for method, colour in COLOURS.items():
        at = MEASURES.index(measure)
        values = found.values[method][:, at]
        if measure == "SHP":
            values = values - found.values["BM"][:, at]
        middle = values.mean(axis=0)
        ax.plot(found.times, middle, color=colour, lw=1.6, label=method)
        if len(values) > 1:
            band = 2 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
            ax.fill_between(found.times, middle - band, middle + band, color=colour, alpha=0.15)
        if ref:
            points = _reference(ref, method, measure)
            style = {"marker": "D", "ms": 6, "mfc": "none", "ls": "", "zorder": 5}
            ax.plot(*zip(*points, strict=True), color=colour, **style)
