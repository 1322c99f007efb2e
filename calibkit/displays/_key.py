"""The legend of a plot: each model with its numbers, and the meaning of the marks."""

from __future__ import annotations

from textwrap import fill
from typing import Any, get_args

import numpy as np

from .._core.optional import require
from .._typing import Legend
from ._layout import below_axes
from ._numbers import Numbers
from ._style import GREY, font_size, interval_text, key_size, key_style, managed, style_of

LEGENDS = get_args(Legend)


def _model_text(numbers: Numbers, model: str, n_chars: int) -> str:
    if numbers.kind == "classwise":
        return model  # the numbers are above each panel
    error = "ECE " + interval_text(numbers.estimates[model]["ece"])
    text = f"{model}: {error}"
    if len(text) > n_chars:
        text = fill(model, n_chars) + "\n" + error
    for said in (numbers.notes.get(model), numbers.proofs.get(model)):
        text += "\n" + fill(said, n_chars) if said else ""
    return text


def handles_of(numbers: Numbers, consistency: bool | None, width: float) -> list[Any]:
    """Return the entries of the legend, in lines that fit into ``width`` inches."""
    # A letter is about half as wide as its size; the marks need the width of five letters.
    n_chars = max(20, int(width * 72 / (0.5 * key_size()) - 5))
    line = require("matplotlib.lines", "plot").Line2D
    out = [
        line([], [], ms=4.5, label=_model_text(numbers, model, n_chars), **style_of(i))
        for i, model in enumerate(numbers.models)
    ]
    if consistency:
        patch = require("matplotlib.patches", "plot").Patch
        level = f"{100 * numbers.level:g}%"
        text = fill(f"where {level} of a calibrated model's dots would be", n_chars)
        out.append(patch(color=GREY, alpha=0.18, lw=0, label=text))
    return out


def n_lines(handles: list[Any], legend: Legend) -> int:
    """Return the number of text lines of a legend below the axes, with its heading."""
    if legend in ("none", "inside"):
        return 0
    return 1 + sum(1 + handle.get_label().count("\n") for handle in handles)


def _heading(numbers: Numbers) -> str:
    parts = [] if numbers.n_rows is None else [f"n = {numbers.n_rows:,}"]
    params = next(iter(numbers.estimates.values()))["ece"].params
    bins = {"quantile": "equal-mass", "uniform": "equal-width", "unique": "single-score"}
    parts.append(f"ECE: {params['n_bins']} {bins[params['strategy']]} bins")
    brackets = any(np.isfinite(e["ece"].low) for e in numbers.estimates.values())
    shown = "bars and brackets" if brackets else "bars"
    parts.append(f"{shown}: {100 * numbers.level:g}% intervals")
    if numbers.kind == "classwise" and len(numbers.labels) < numbers.n_classes:
        parts.append(f"the {len(numbers.labels)} most frequent of {numbers.n_classes} classes")
    return "; ".join(parts)


def style_of_key(numbers: Numbers) -> dict[str, Any]:
    """Return the style of all legends."""
    return {**key_style(_heading(numbers)), "handlelength": 1.6}


def place_key(ax: Any, strip: Any, numbers: Numbers, handles: list[Any], legend: Legend) -> None:
    """Draw the legend of a single panel."""
    style = style_of_key(numbers)
    if legend == "inside":
        ax.legend(handles=handles, loc="best", **{**style, "frameon": True, "edgecolor": "none"})
        return
    transforms = require("matplotlib.transforms", "plot")
    lowest = ax if strip is None else strip
    # The lines of the legend are long, so it starts left, at the axis label.
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
    # Without a layout engine the space is reserved by hand; tight_layout() must not reserve it
    # again.
    key.set_in_layout(managed(ax.figure))
