"""The key of a picture: each model with its numbers, and what the marks mean."""

from __future__ import annotations

from textwrap import fill
from typing import Any, get_args

import numpy as np

from .._core.optional import require
from .._typing import Legend
from ..metrics import Estimate
from ._layout import below_axes, font_size, managed
from ._numbers import Numbers

LEGENDS = get_args(Legend)
GREY = "#767676"
#: Colours that the colour-blind can tell apart (Okabe and Ito), and a marker for each.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def style_of(i: int) -> dict[str, Any]:
    """Style of the i-th model's dots."""
    shape = {"marker": _MARKERS[i % len(_MARKERS)], "mec": "white", "mew": 0.5, "lw": 0.9}
    return {"color": _COLOURS[i % len(_COLOURS)], **shape}


def interval_text(e: Estimate) -> str:
    """Value and interval, with as many decimals as the interval has meaning for."""
    width = e.high - e.low
    scale = width if width > 0 else abs(e.value)
    digits = int(np.clip(np.ceil(-np.log10(scale)) + 1, 2, 6)) if scale > 0 else 3
    text = f"{e.value:.{digits}f}"
    if np.isfinite(width):
        text += f" [{e.low:.{digits}f}, {e.high:.{digits}f}]"
    return text.replace("-", "\N{MINUS SIGN}")


def _model_text(numbers: Numbers, model: str, n_chars: int) -> str:
    if numbers.kind == "classwise":
        return model  # the numbers stand above each panel
    e = numbers.estimates[model]
    parts = ["ECE " + interval_text(e["ece"])]
    parts += ["Brier skill " + interval_text(e["skill"])] if "skill" in e else []
    line = ", ".join(parts)
    text = fill(model, n_chars) + "\n" + (line if len(line) <= n_chars else "\n".join(parts))
    for said in (numbers.notes.get(model), numbers.proofs.get(model)):
        text += "\n" + fill(said, n_chars) if said else ""
    return text


def handles_of(numbers: Numbers, consistency: bool, width: float) -> list[Any]:
    """Entries of the key, in lines that fit into ``width`` inches."""
    # A letter is about half as wide as its size, and the marks take the width of five.
    n_chars = max(20, int(width * 72 / (0.5 * _size()) - 5))
    line = require("matplotlib.lines", "plot").Line2D
    out = [
        line([], [], ms=4.5, label=_model_text(numbers, model, n_chars), **style_of(i))
        for i, model in enumerate(numbers.models)
    ]
    level = f"{100 * numbers.level:g}%"
    text = fill(f"{level} confidence interval of each bin's frequency", n_chars)
    style = {"marker": "|", "ms": 9, "mew": 1.0, "ls": "none", "alpha": 0.7}
    out.append(line([], [], color=GREY, label=text, **style))
    if consistency:
        patch = require("matplotlib.patches", "plot").Patch
        text = fill(f"{level} consistency band: a calibrated model's dots", n_chars)
        out.append(patch(color=GREY, alpha=0.18, lw=0, label=text))
    return out


def n_lines(handles: list[Any], legend: Legend) -> int:
    """Lines of text that a key below the axes takes, its heading included."""
    if legend in ("none", "inside"):
        return 0
    return 1 + sum(1 + handle.get_label().count("\n") for handle in handles)


def _size() -> float:
    return 0.85 * font_size()


def _heading(numbers: Numbers) -> str:
    parts = [] if numbers.n_rows is None else [f"n = {numbers.n_rows:,}"]
    if any(np.isfinite(e["ece"].low) for e in numbers.estimates.values()):
        parts.append(f"{100 * numbers.level:g}% intervals in brackets")
    params = next(iter(numbers.estimates.values()))["ece"].params
    bins = {"quantile": "equal-mass", "uniform": "equal-width", "unique": "single-score"}
    parts.append(f"ECE: {params['n_bins']} {bins[params['strategy']]} bins")
    if numbers.kind == "classwise" and len(numbers.labels) < numbers.n_classes:
        parts.append(f"the {len(numbers.labels)} most frequent of {numbers.n_classes} classes")
    return "; ".join(parts)


def style_of_key(numbers: Numbers) -> dict[str, Any]:
    """What all keys have in common."""
    return {
        "title": _heading(numbers) or None,
        "title_fontsize": _size(),
        "fontsize": _size(),
        "alignment": "left",
        "frameon": False,
        "handlelength": 1.6,
        "borderpad": 0.2,
        "labelspacing": 0.3,
    }


def place_key(ax: Any, strip: Any, numbers: Numbers, handles: list[Any], legend: Legend) -> None:
    """Draw the key of a single panel."""
    style = style_of_key(numbers)
    if legend == "inside":
        ax.legend(handles=handles, loc="best", **{**style, "frameon": True, "edgecolor": "none"})
        return
    transforms = require("matplotlib.transforms", "plot")
    lowest = ax if strip is None else strip
    # To the left as far as the axis label, since the lines of the key are long.
    offset = transforms.ScaledTranslation(
        -3.4 * font_size() / 72, -below_axes(), ax.figure.figure.dpi_scale_trans
    )
    key = lowest.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=lowest.transAxes + offset,
        borderaxespad=0.0,
        **style,
    )
    # Without a layout engine the room has been made by hand; a later tight_layout() would make
    # it a second time.
    key.set_in_layout(managed(ax.figure))
