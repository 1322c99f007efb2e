"""Sizes, colors and styles of all plots."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.optional import require
from .._core.printed import printable
from ..metrics import Difference, Estimate

#: Width of a new figure in inches.
WIDTH = 4.1
GREY = "#767676"
#: Letters of the longest name that is written out.
_LONGEST = 48
#: Colors that color-blind readers can distinguish (Okabe and Ito), and a marker for each.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def new_figure(width: float, height: float) -> Any:
    """Make a new figure; sizes in inches."""
    pyplot = require("matplotlib.pyplot", "plot")
    return pyplot.figure(figsize=(width, height), layout="constrained")


def font_size() -> float:
    """Return the size of the axis labels in points: 9 with matplotlib's defaults."""
    return 0.9 * float(require("matplotlib", "plot").rcParams["font.size"])


def line_height() -> float:
    """Return the height of a line of the legend in inches."""
    return 1.3 * font_size() / 72


def managed(figure: Any) -> bool:
    """Return whether a layout engine reserves space outside the axes."""
    # In all versions of matplotlib a subfigure's .figure is the whole figure.
    return figure.figure.get_layout_engine() is not None


def size_of(ax: Any) -> tuple[float, float]:
    """Return width and height of the axes' place, in inches."""
    place = ax.get_subplotspec()
    box = ax.get_position() if place is None else place.get_position(ax.figure)
    whole = ax.figure.bbox
    dpi = ax.figure.figure.dpi
    return box.width * whole.width / dpi, box.height * whole.height / dpi


def style_of(i: int) -> dict[str, Any]:
    """Return the style of the i-th model's dots."""
    shape = {"marker": _MARKERS[i % len(_MARKERS)], "mec": "white", "mew": 0.5, "lw": 0.9}
    color = _COLORS[i % len(_COLORS)]
    # Colors and markers repeat: those of more models are empty.
    return {"color": color, **shape, **({"mfc": "white", "mec": color} if i >= 7 else {})}


def interval_text(e: Estimate | Difference) -> str:
    """Format value and interval; the interval's width decides the number of decimals."""
    width = e.high - e.low
    scale = width if width > 0 else abs(e.value)
    digits = int(np.clip(np.ceil(-np.log10(scale)) + 1, 2, 6)) if scale > 0 else 3
    text = f"{e.value:.{digits}f}"
    if np.isfinite(width):
        text += f" [{e.low:.{digits}f}, {e.high:.{digits}f}]"
    return text.replace("-", "\N{MINUS SIGN}")


def plain_axes(ax: Any) -> None:
    """Set two thin spines and small ticks."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_linewidth(0.6)
    ax.tick_params(labelsize=0.89 * font_size(), width=0.6, length=3)


def short_name(name: str, longest: int = _LONGEST) -> str:
    """Return a name that can be printed, without the middle of a long one."""
    text = printable(name)
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"


def key_size() -> float:
    """Return the font size of a legend."""
    return 0.85 * font_size()


def key_style(title: str | None) -> dict[str, Any]:
    """Return the style of legends with a title."""
    size = {"fontsize": key_size(), "title_fontsize": key_size()}
    lines = {"frameon": False, "borderpad": 0.2, "labelspacing": 0.3}
    return {"title": title, "alignment": "left", **size, **lines}


def draw_key(home: Any, handles: list[Any], **style: Any) -> Any:
    """Draw a legend in axes or a figure, with all names as text, such as "$x$" and "_name"."""
    # matplotlib reads "$" as a formula, and before 3.10 omits labels that start with "_".
    key = home.legend(handles=handles, labels=["."] * len(handles), **style)
    for text, handle in zip(key.get_texts(), handles, strict=True):
        text.set(text=handle.get_label(), parse_math=False)
    key.get_title().set_parse_math(False)
    return key
