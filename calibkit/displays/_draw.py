"""Draw the numbers of a reliability diagram; the numbers are computed elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, logit

from .._core.optional import require
from .._core.params import check_choice, check_flag
from .._typing import Histogram, Legend
from ._key import LEGENDS, handles_of, heading_of, marks_of, n_lines, place_key, style_of_key
from ._layout import grid, grid_width, single
from ._numbers import ERRORS, Numbers, key_of, score_of
from ._style import (
    GREY,
    WIDTH,
    draw_key,
    font_size,
    interval_text,
    managed,
    plain_axes,
    short_name,
    size_of,
    style_of,
)

_X = {"top_label": "Mean confidence in the top label"}
_Y = {"top_label": "Observed accuracy"}


class Drawing(NamedTuple):
    """Which parts are drawn besides the dots, and the place of the legend."""

    consistency: bool | None
    histogram: Histogram
    legend: Legend

    def check(self) -> None:
        """Raise if a setting is invalid."""
        if self.consistency is not None:
            check_flag("consistency", self.consistency)
        if isinstance(self.histogram, str):
            check_choice("histogram", self.histogram, ("log", "outcome"))
        else:
            check_flag("histogram", self.histogram)
        check_choice("legend", self.legend, LEGENDS)


def draw_single(numbers: Numbers, ax: Any, drawing: Drawing) -> tuple[Any, Any]:
    """Draw one panel with its histogram; return the axes of both."""
    consistency, histogram, legend = drawing
    width = WIDTH if ax is None else size_of(ax)[0] + 0.4
    wide = 0.6 * width if legend == "inside" else width
    handles = handles_of(numbers, consistency, wide)
    heading = heading_of(numbers, wide, outcome=histogram == "outcome")
    ax, strip = single(ax, bool(histogram), n_lines(handles, heading, legend))
    size = font_size()
    _draw_panel(ax, numbers, None, consistency, marker_size=4.5, n_ticks=6)
    ax.set_ylabel(_Y.get(numbers.kind, "Observed frequency"), fontsize=size)
    if strip is not None:
        _draw_counts(strip, numbers, histogram)
    lowest = ax if strip is None else strip
    lowest.set_xlabel(_X.get(numbers.kind, "Mean predicted probability"), fontsize=size)
    if legend != "none":
        place_key(ax, strip, heading, handles, legend)
    return ax, strip


def draw_grid(numbers: Numbers, ax: Any, drawing: Drawing) -> np.ndarray:
    """Draw one small panel per class; return the axes."""
    consistency, _, legend = drawing
    n_models, n_panels = len(numbers.models), len(numbers.labels)
    width = grid_width(n_panels) if ax is None else size_of(ax)[0]
    handles, heading = handles_of(numbers, consistency, width), heading_of(numbers, width)
    lines = {"n_head_lines": n_models + 1, "n_key_lines": n_lines(handles, heading, legend)}
    home, panels = grid(ax, n_panels, **lines)
    for panel, label in zip(panels, numbers.labels, strict=True):
        _draw_panel(panel, numbers, label, consistency, marker_size=3.0, n_ticks=3)
        _head(panel, numbers, label)
    home.supxlabel("Mean predicted probability", fontsize=font_size())
    home.supylabel("Observed frequency", fontsize=font_size())
    if legend != "none":
        # Above the panels, since matplotlib puts the common label of the x axes below them.
        where_to = "outside upper left" if managed(home) else "upper left"
        draw_key(home, handles, loc=where_to, borderaxespad=0.3, **style_of_key(heading))
    return panels


def _head(panel: Any, numbers: Numbers, label: Any) -> None:
    """Write the title of a small panel and a line per model, above the axes."""
    size = font_size()
    n_models = len(numbers.models)
    title = short_name(str(label), 24)
    panel.set_title(title, fontsize=size, pad=4 + n_models * size, parse_math=False)
    for i, model in enumerate(numbers.models):
        panel.annotate(
            f"{ERRORS[numbers.curve][2]} {interval_text(numbers.error(key_of(model, label)))}",
            (0.5, 1.0),
            xycoords="axes fraction",
            xytext=(0, 3 + (n_models - 1 - i) * size),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=0.8 * size,
            color=style_of(i)["color"],
            gid=f"ece:{model}",
        )


def _draw_panel(
    ax: Any,
    numbers: Numbers,
    label: Any,
    consistency: bool | None,
    *,
    marker_size: float,
    n_ticks: int,
) -> None:
    low, high = numbers.limits
    ax.plot([low, high], [low, high], color=GREY, lw=0.8, zorder=1.5, gid="diagonal")
    for i, model in enumerate(numbers.models):
        c, style = _inside(numbers, key_of(model, label)), marks_of(numbers, i)
        x = score_of(c)
        if consistency:
            color = GREY if len(numbers.models) == 1 else style["color"]
            ends = c.consistency_low, c.consistency_high
            _draw_band(ax, x, *ends, color=color, alpha=0.18, gid=f"band:{model}", zorder=1.0)
        bars = {"color": style["color"], "gid": f"bars:{model}"}
        if numbers.curve == "binned":
            ax.vlines(x, c.low, c.high, lw=1.0, alpha=0.55, **bars)
        else:
            _draw_band(ax, x, c.low, c.high, alpha=0.15, zorder=1.2, **bars)
            every = max(1, len(x) // 9)
            style |= {"markevery": (i * every // len(numbers.models), every)}
            style |= {"marker": "o"} if len(x) == 1 else {}
        dots = {"ms": marker_size, "zorder": 3 + 0.01 * i, "gid": f"dots:{model}", **style}
        ax.plot(x, c.frequency, label=model, **dots)
    _set_axes(ax, numbers, n_ticks)
    plain_axes(ax)


def _inside(numbers: Numbers, key: Any) -> Any:
    """Return a curve; axes of log-odds get the values beyond their ends drawn at the ends."""
    curve = numbers.curves[key]
    if numbers.scale == "probability":
        return curve
    return curve._make(
        np.clip(v, *numbers.limits) if name.endswith(("low", "high", "frequency", "score")) else v
        for name, v in curve._asdict().items()
    )


def _set_axes(ax: Any, numbers: Numbers, n_ticks: int) -> None:
    low, high = numbers.limits
    ticker = require("matplotlib.ticker", "plot")
    ax.set_box_aspect(1)
    if numbers.scale == "probability":
        margin = 0.02 * (high - low)
        ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(n_ticks, steps=[1, 2, 5, 10]))
        return
    ends = logit(np.array([low, high]))
    ends = expit(ends + 0.02 * (ends[1] - ends[0]) * np.array([-1.0, 1.0]))
    ax.set(xscale="logit", yscale="logit", xlim=ends, ylim=ends)
    tenths = 10.0 ** np.arange(-1, -8, -1)
    ticks = np.array([*tenths[::-1], 0.5, *(1.0 - tenths)])
    ticks = ticks[(ticks >= 0.999 * low) & (1.0 - ticks >= 0.999 * (1.0 - high))]
    step = -(-len(ticks) // (n_ticks + 1))
    ticks = ticks[int(np.argmin(np.abs(ticks - 0.5))) % step :: step]
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(ticker.FixedLocator(ticks))
        axis.set_minor_locator(ticker.NullLocator())
        axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:.7g}"))


def _draw_band(ax: Any, x: Any, low: Any, high: Any, **style: Any) -> None:
    if len(x) > 1:
        ax.fill_between(x, low, high, lw=0, **style)
    else:
        ax.vlines(x, low, high, lw=12, **style)  # one score: a filled band would be invisible


def _draw_counts(strip: Any, numbers: Numbers, histogram: Histogram) -> None:
    several = len(numbers.models) > 1
    spread = all(len(score_of(c)) > 1 for c in numbers.curves.values())
    density = numbers.curve == "smooth" and histogram is True and spread
    for i, model in enumerate(numbers.models):
        color = style_of(i)["color"] if several else GREY
        counts, events = numbers.counts[model]
        bars = {"color": color, "gid": f"counts:{model}"}
        if density:
            c = _inside(numbers, model)
            strip.fill_between(c.score, c.density, alpha=0.3, lw=0, **bars)
            if several:
                strip.plot(c.score, c.density, color=color, lw=0.7)
        else:
            parts = [events, events - counts] if histogram == "outcome" else [counts]
            for part in parts:
                strip.stairs(part[1:-1], numbers.edges, fill=True, alpha=0.3, lw=0, **bars)
                if several:
                    strip.stairs(part[1:-1], numbers.edges, color=color, lw=0.7)
        _say_what_is_cut(strip, counts, numbers.limits, 0.95 - 0.26 * i, color)
    if histogram == "log":
        strip.set_yscale("log")
        strip.set_ylim(bottom=0.5)
    else:
        ticker = require("matplotlib.ticker", "plot")
        whole = not numbers.weighted and not density
        strip.yaxis.set_major_locator(ticker.MaxNLocator(2, integer=whole))
        strip.yaxis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{abs(v):g}"))
    if histogram == "outcome":
        strip.axhline(0.0, color=GREY, lw=0.6)
        strip.set_ylim(top=max(strip.get_ylim()[1], -0.5 * strip.get_ylim()[0]))
    elif histogram != "log":
        strip.set_ylim(bottom=0)
    label = "Weight" if numbers.weighted else "Rows"
    strip.set_ylabel("Density" if density else label, fontsize=font_size())
    plain_axes(strip)


def _say_what_is_cut(
    strip: Any, counts: np.ndarray, limits: tuple[float, float], y: float, color: str
) -> None:
    """Write the share of scores outside the limits, if there are any."""
    what = "" if counts[0] > 0 and counts[-1] > 0 else "of scores "  # two long texts would overlap
    for ha, x, side, limit, count in (
        ("left", 0.01, "below", limits[0], counts[0]),
        ("right", 0.99, "above", limits[1], counts[-1]),
    ):
        if count > 0:
            text = f"{100 * count / counts.sum():.2g}% {what}{side} {limit:g}"
            style = {"ha": ha, "va": "top", "fontsize": 0.75 * font_size(), "color": color}
            strip.text(x, y, text, transform=strip.transAxes, **style)
