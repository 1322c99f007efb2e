"""The legend of a plot: each model with its numbers, and the meaning of the marks."""

from __future__ import annotations

from textwrap import fill
from typing import Any, get_args

import numpy as np

from .._core.optional import require
from .._core.printed import printable
from .._typing import Legend
from ._layout import below_axes
from ._numbers import ERRORS, Numbers
from ._style import (
    GREY,
    draw_key,
    font_size,
    interval_text,
    key_size,
    key_style,
    managed,
    style_of,
)

LEGENDS = get_args(Legend)
_BRIER = "Brier score"
_MINUS = "\N{MINUS SIGN}"


def _model_text(numbers: Numbers, model: str, n_chars: int) -> str:
    lines, name = [], printable(model)
    if len(numbers.models) > 2:
        found = [interval_text(d) for d in numbers.differences if d.first == model]
        lines += [f"{_BRIER} {text if text.startswith(_MINUS) else '+' + text}" for text in found]
    if numbers.kind != "classwise":  # there the errors are above each panel
        lines.append(f"{ERRORS[numbers.curve][1]} {interval_text(numbers.error(model))}")
    text = "\n".join([": ".join([name, *lines[:1]]), *lines[1:]])
    if lines and len(name) + len(lines[0]) + 2 > n_chars:
        text = "\n".join([fill(name, n_chars), *lines])
    for said in (numbers.notes.get(model), numbers.proofs.get(model)):
        text += "\n" + fill(said, n_chars) if said else ""
    return text


def marks_of(numbers: Numbers, i: int) -> dict[str, Any]:
    """Return the style of the i-th model; the curve of a single model has no markers."""
    if numbers.curve == "binned":
        return style_of(i)
    return {**style_of(i), "lw": 1.4} | ({"marker": ""} if len(numbers.models) == 1 else {})


def handles_of(numbers: Numbers, consistency: bool | None, width: float) -> list[Any]:
    """Return the entries of the legend, in lines that fit into ``width`` inches."""
    n_chars = _n_chars(width) - 5  # the marks need the width of five letters
    line = require("matplotlib.lines", "plot").Line2D
    out = [
        line([], [], ms=4.5, label=_model_text(numbers, model, n_chars), **marks_of(numbers, i))
        for i, model in enumerate(numbers.models)
    ]
    if consistency:
        patch = require("matplotlib.patches", "plot").Patch
        level = f"{100 * numbers.level:g}%"
        marks = "dots" if numbers.curve == "binned" else "curves"
        text = fill(f"where {level} of a calibrated model's {marks} would be", n_chars)
        out.append(patch(color=GREY, alpha=0.18, lw=0, label=text))
    return out


def _n_chars(width: float) -> int:
    """Letters in a line of ``width`` inches: on average, the width is 0.56 times the size."""
    return max(25, int(width * 72 / (0.56 * key_size())))


def n_lines(handles: list[Any], heading: str, legend: Legend) -> int:
    """Return the number of text lines of a legend below the axes, with its heading."""
    if legend in ("none", "inside"):
        return 0
    return 1 + heading.count("\n") + sum(1 + handle.get_label().count("\n") for handle in handles)


def heading_of(numbers: Numbers, width: float, *, outcome: bool = False) -> str:
    """Return the heading of the legend: the difference of the models, and what the marks are."""
    # Long tick labels, such as 0.0001 or 2000, move the axes and the legend to the right.
    cut = 6 if numbers.scale == "logit" else 2
    n_chars = _n_chars(width)
    marks = fill(_bins_and_bars(numbers, outcome), n_chars - cut)
    if not numbers.differences:
        return marks
    d = numbers.differences[0]
    one, other = printable(d.first), printable(d.second)
    if len(numbers.models) > 2:
        return "\n".join((fill(f"{_BRIER}: difference from {other}, the lowest", n_chars), marks))
    first = f"{_BRIER}, {one} {_MINUS} {other}:"
    text = f"{first} {interval_text(d)}"
    if len(text) > n_chars - max(cut, 5):
        text = "\n".join((fill(first, n_chars - max(cut, 5)), interval_text(d)))
    return "\n".join((text, marks))


def _bins_and_bars(numbers: Numbers, outcome: bool) -> str:
    parts = [] if numbers.n_rows is None else [f"n = {numbers.n_rows:,}"]
    errors = [numbers.error(key) for key in numbers.estimates]
    params = errors[0].params
    if numbers.curve == "binned":
        bins = {"quantile": "equal-mass", "uniform": "equal-width", "unique": "single-score"}
        parts.append(f"ECE: {params['n_bins']} {bins[params['strategy']]} bins")
    else:
        parts.append({"corp": "isotonic curve", "smooth": "smooth curve"}[numbers.curve])
        if numbers.kind == "classwise":
            parts.append("{1}: {0}".format(*ERRORS[numbers.curve][1:]))
    shown = "bars" if numbers.curve == "binned" else "bands in color"
    brackets = ", brackets" if any(np.isfinite(e.low) for e in errors) else ""
    parts.append(f"{shown}{brackets}: {100 * numbers.level:g}% intervals")
    if outcome:
        words = ("correct", "wrong") if numbers.kind == "top_label" else ("events", "others")
        parts.append("histogram: {} up, {} down".format(*words))
    if numbers.kind == "classwise" and len(numbers.labels) < numbers.n_classes:
        parts.append(f"{len(numbers.labels)} of {numbers.n_classes} classes")
    return "; ".join(parts)


def style_of_key(heading: str) -> dict[str, Any]:
    """Return the style of all legends."""
    return {**key_style(heading), "handlelength": 1.6}


def place_key(ax: Any, strip: Any, heading: str, handles: list[Any], legend: Legend) -> None:
    """Draw the legend of a single panel."""
    style = style_of_key(heading)
    if legend == "inside":
        draw_key(ax, handles, loc="best", **{**style, "frameon": True, "edgecolor": "none"})
        return
    transforms = require("matplotlib.transforms", "plot")
    lowest = ax if strip is None else strip
    # The lines of the legend are long, so it starts left, at the axis label.
    offset = transforms.ScaledTranslation(
        -3.4 * font_size() / 72, -below_axes(), ax.figure.figure.dpi_scale_trans
    )
    key = draw_key(
        lowest,
        handles,
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=lowest.transAxes + offset,
        borderaxespad=0.0,
        **style,
    )
    # Without a layout engine the space is reserved by hand; tight_layout() must not reserve it
    # again.
    key.set_in_layout(managed(ax.figure))
