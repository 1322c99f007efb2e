"""Forest plots: one line for each name, with a dot, its interval and texts to the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core.optional import require
from .._core.params import percent
from ._style import GREY, draw_key, font_size, key_size, key_style, plain_axes, style_of


class Line(NamedTuple):
    """A line of the plot: ``kind`` decides color and marker; ``text`` is the name as shown."""

    name: str
    text: str
    value: float
    low: float
    high: float
    kind: int = 0
    empty: bool = False


def draw_lines(ax: Any, lines: Sequence[Line], limits: tuple[float, float], label: str) -> None:
    """Draw all lines; an arrow marks a dot beyond the limits."""
    left, right = limits if limits[1] > limits[0] else (-1e-3, 1e-3)
    margin = 0.04 * (right - left)
    ax.axvline(0.0, color=GREY, lw=0.8, zorder=1.5, gid="zero")
    for i, line in enumerate(lines):
        style = {**style_of(line.kind), "ms": 5.0, "ls": "none", "gid": f"dot:{line.name}"}
        style |= {"mfc": "white", "mec": style["color"]} if line.empty else {}
        place = min(max(line.value, left - margin), right + margin)
        if place != line.value:
            style["marker"] = ">" if line.value > right else "<"
        ends = np.clip((line.low, line.high), left - margin, right + margin)
        bar = {"color": style["color"], "lw": 1.4, "alpha": 0.55, "gid": f"interval:{line.name}"}
        ax.hlines(i, *ends, **bar)
        ax.plot([place], [i], clip_on=False, **style)
    ax.set(xlim=(left - margin, right + margin), ylim=(len(lines) - 0.5, -0.5))
    ax.set_yticks(range(len(lines)), [line.text for line in lines], parse_math=False)
    ax.set_xlabel(label, fontsize=font_size(), parse_math=False)
    ax.xaxis.set_major_locator(require("matplotlib.ticker", "plot").MaxNLocator(5))
    plain_axes(ax)


def write_column(
    ax: Any, head: str, texts: dict[str, str], place: tuple[float, str], gid: str
) -> None:
    """Write a text to the right of each line, and a head above; the place is in points."""
    x, ha = place
    # Distances in points, so that the layout reserves the place that they need.
    size = {"fontsize": key_size(), "textcoords": "offset points", "ha": ha}
    ax.annotate(head, (1.0, 1.0), (x, 4), color=GREY, xycoords="axes fraction", **size)
    style = {**size, "va": "center", "xycoords": ax.get_yaxis_transform()}
    for i, (name, text) in enumerate(texts.items()):
        ax.annotate(text, (1.0, i), (x, 0), gid=f"{gid}:{name}", **style)


def place_key(
    ax: Any,
    kinds: dict[str, tuple[int, bool]],
    level: float,
    more: Sequence[Any] = (),
    said: str = "",
) -> None:
    """Draw the legend above the panel: texts with the kind of their dots, and whether empty."""
    line = require("matplotlib.lines", "plot").Line2D
    handles = []
    for text, (kind, empty) in kinds.items():
        style = {**style_of(kind), "ls": "none", "ms": 5.0}
        style |= {"mfc": "white", "mec": style["color"]} if empty else {}
        handles.append(line([], [], label=text, **style))
    handles += more
    place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": len(handles)}
    key = key_style(f"bars: {percent(level)} intervals{said}")
    draw_key(ax, handles, borderaxespad=0.2, columnspacing=1.2, **place, **key)
