"""Draw two panels of lines over time, with the names at the ends of the lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from .._core.errors import InputError
from .._core.optional import require
from .._core.printed import spelled
from .._typing import FloatArray
from ..online import Prequential
from ._base import DEFAULT_NAME
from ._style import (
    GREY,
    draw_key,
    font_size,
    key_size,
    line_height,
    managed,
    new_figure,
    plain_axes,
    short_name,
    size_of,
    style_of,
)

#: In inches: width of a new figure, height of a panel, space for the names.
_WIDTH, _PANEL, _NAMES = 5.6, 1.9, 1.1
#: The vertical scale ignores times with a smaller share of all labels than this: the first errors,
#: of few labels, are large. The scale of sharpness includes times from so many labels on.
_SETTLED, _SETTLED_SHARPNESS = 0.1, 100
#: In points: length of a dash and of a gap, and half the width of a mark.
_DASH, _MARK = 3.0, 4.5
_PANELS = (("calibration_error", "Calibration error"), ("sharpness", "Sharpness"))


@dataclass(frozen=True)
class Drift:
    """Everything that the plot shows."""

    forecasts: dict[str, FloatArray]
    curves: dict[str, Prequential]
    #: Time of each row; None to count rows.
    time: np.ndarray | None
    start: int
    window: int | None
    alarms: dict[str, int | None]
    alpha: float | None

    def at(self, rows: Any) -> Any:
        """Return the position on the time axis after so many rows."""
        return rows if self.time is None else self.time[np.asarray(rows) - 1]


def draw(drift: Drift, ax: Any) -> np.ndarray:
    """Draw both panels; return the axes."""
    panels = _panels(ax)
    for panel, (name, label) in zip(panels, _PANELS, strict=True):
        for i, (model, curve) in enumerate(drift.curves.items()):
            _draw_lines(panel, drift, i, model, curve, name)
        panel.set_ylabel(label, fontsize=font_size())
        _set_scale(panel, drift, name)
        panel.margins(x=0.0)  # lines end where their names begin
        plain_axes(panel)
    _draw_alarms(panels[0], drift)
    lowest = panels[1]
    lowest.set_xlabel("Rows" if drift.time is None else "Time", fontsize=font_size())
    if drift.time is not None and drift.time.dtype.kind == "M":
        dates = require("matplotlib.dates", "plot")
        locator = dates.AutoDateLocator()
        lowest.xaxis.set_major_locator(locator)
        lowest.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    if len(drift.curves) > 1:
        for panel, (name, _) in zip(panels, _PANELS, strict=True):
            _name_lines(panel, drift, name)
    _place_key(panels[0], drift)
    return panels


def _panels(ax: Any) -> np.ndarray:
    """Return two panels with a shared time axis."""
    if ax is None:
        return new_figure(_WIDTH, 2 * _PANEL + 0.9).subplots(2, 1, sharex=True)
    if np.size(ax) == 2:
        return np.asarray(ax, dtype=object).ravel()
    place = ax.get_subplotspec() if hasattr(ax, "get_subplotspec") else None
    if place is None:
        raise InputError(
            f"ax={spelled(ax)} is not part of a grid, so it cannot be divided; expected axes of a "
            "grid, or two axes. Make ax by plt.subplots."
        )
    home, (width, height) = ax.figure, size_of(ax)
    ax.set_axis_off()
    if managed(home):
        upper, lower = place.subgridspec(2, 1)
    else:
        # Otherwise the names would cover what is to the right, and the legend what is above.
        names, key = min(_NAMES, 0.4 * width), 3 * line_height()
        rows = [key, *(2 * [max(height - key, 0.2) / 2])]
        grid = place.subgridspec(3, 2, width_ratios=[width - names, names], height_ratios=rows)
        upper, lower = grid[1, 0], grid[2, 0]
    last = home.add_subplot(lower)
    return np.array([home.add_subplot(upper, sharex=last), last])


def _color(i: int) -> str:
    return style_of(i)["color"]


def _dashed(i: int, n: int) -> dict[str, Any]:
    """Return the style of the i-th of n dashed lines; dashes of equal lines alternate."""
    return {"lw": 0.9, "ls": (2 * _DASH * i / n, (_DASH, _DASH))}


def _draw_lines(ax: Any, drift: Drift, i: int, model: str, curve: Prequential, name: str) -> None:
    x = drift.at(curve.time)
    style = {"color": _color(i), "zorder": 3 - 0.01 * i}
    ax.plot(x, getattr(curve, name), lw=1.4, gid=f"{name}:{model}", label=model, **style)
    if curve.sliding is not None:
        line = {**_dashed(i, len(drift.curves)), "gid": f"{name}:{model}:sliding"}
        ax.plot(x, getattr(curve.sliding, name), **line, **style)
    if name == "calibration_error" and i == 0:
        dots = {"color": GREY, "lw": 1.0, "ls": ":", "zorder": 1.5}
        ax.plot(x, curve.chance, gid="chance", **dots)
        if curve.sliding is not None:
            ax.plot(x, curve.sliding.chance, gid="chance:sliding", **dots)


def _set_scale(ax: Any, drift: Drift, name: str) -> None:
    """Set the vertical scale by all values but those of the first times."""
    shown: list[FloatArray] = []
    for curve in drift.curves.values():
        needed = _SETTLED * curve.n.max()
        settled = curve.n >= (min(needed, _SETTLED_SHARPNESS) if name == "sharpness" else needed)
        shown.append(getattr(curve, name)[settled])
        if curve.sliding is not None:
            shown.append(getattr(curve.sliding, name)[settled])
    values = np.concatenate(shown)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if name == "calibration_error":
        ax.set_ylim(0.0, 1.08 * max(high, 1e-3))
    else:
        margin = max(0.08 * (high - low), 1e-3)
        ax.set_ylim(low - margin, high + margin)


def _draw_alarms(ax: Any, drift: Drift) -> None:
    """Mark where alarms are raised, inside the frame even at an early time or a large error."""
    rung = [(i, m, drift.alarms.get(m)) for i, m in enumerate(drift.curves)]
    if all(rows is None for _, _, rows in rung):
        return
    width, height = (_MARK / 72 / inches for inches in size_of(ax))
    low, high = ax.get_ylim()
    edge = height * (high - low)
    spot = {"marker": "v", "ms": 7, "mec": "white", "mew": 0.7, "ls": "none", "clip_on": False}
    for i, model, rows in rung:
        if rows is not None:
            curve = drift.curves[model]
            error = np.interp(rows, curve.time, curve.calibration_error)
            y = min(max(error, low + edge), high - edge)
            style = {"color": _color(i), "zorder": 4, "gid": f"alarm:{model}", **spot}
            ax.plot([drift.at(rows)], [y], **style)
    left, right = ax.get_xlim()
    ax.set_xlim(left - width * (right - left), right)


def _name_lines(ax: Any, drift: Drift, name: str) -> None:
    """Write a name at the end of each line, moved so that no names overlap."""
    low, high = ax.get_ylim()
    ends = []
    for model, curve in drift.curves.items():
        values = getattr(curve, name)
        finite = values[np.isfinite(values)]
        ends.append((model, (finite[-1] - low) / (high - low) if len(finite) else 0.0))
    order = sorted(range(len(ends)), key=lambda i: ends[i][1])
    wanted = np.clip([ends[i][1] for i in order], 0.0, 1.0)
    step = np.arange(len(order)) * 0.92 * line_height() / size_of(ax)[1]
    placed = isotonic_regression(wanted - step).x + step
    placed -= max(placed[-1] - 1.0, 0.0)
    for i, start, y in zip(order, wanted, placed, strict=True):
        ax.annotate(
            short_name(ends[i][0], 24),
            (1.0, start),
            parse_math=False,
            xycoords="axes fraction",
            xytext=(14, (y - start) * size_of(ax)[1] * 72),
            textcoords="offset points",
            va="center",
            fontsize=key_size(),
            gid=f"name:{ends[i][0]}",
            arrowprops={
                "arrowstyle": "-",
                "color": _color(i),
                "lw": 1.4,
                "shrinkA": 1,
                "shrinkB": 1,
                "relpos": (0.0, 0.5),
            },
        )


def _place_key(ax: Any, drift: Drift) -> None:
    """Draw the legend above the panels."""
    line = require("matplotlib.lines", "plot").Line2D
    since = f"from row {drift.start:,} on" if drift.start else "from the start"
    one = next(iter(drift.curves)) if len(drift.curves) == 1 else None
    color = GREY if one is None else _color(0)
    whose = "" if one in (None, DEFAULT_NAME) else f"{short_name(one, 24)}, "
    handles = [line([], [], color=color, lw=1.4, label=whose + since)]
    if drift.window is not None:
        text = f"last {drift.window:,} rows"
        handles.append(line([], [], color=color, label=text, **_dashed(0, 1)))
    handles.append(line([], [], color=GREY, lw=1.0, ls=":", label="by chance, if calibrated"))
    if any(rows is not None for rows in drift.alarms.values()):
        spot = {"marker": "v", "ms": 6, "ls": "none"}
        text = f"alarm ({100 * (drift.alpha or 0.0):g}% false alarms)"
        handles.append(line([], [], color=GREY, label=text, **spot))
    draw_key(
        ax,
        handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=2,  # one line of four would be wider than the panel
        fontsize=key_size(),
        frameon=False,
        borderpad=0.2,
        handlelength=2.0,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
