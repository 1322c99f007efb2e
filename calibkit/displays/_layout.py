"""The layout of a plot: main panel, histogram, legend, grid of panels."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.errors import InputError
from ._style import WIDTH, font_size, line_height, managed, new_figure, size_of

#: Height of the histogram, as a share of the main panel's height.
STRIP = 0.17
#: Side of a small panel in inches.
_PANEL = 1.75
_STRIP_GID = "calibkit:counts"


def below_axes() -> float:
    """Return the height in inches of the tick labels and the axis label below the axes."""
    return 3.6 * font_size() / 72


def single(ax: Any, histogram: bool, n_key_lines: int) -> tuple[Any, Any]:
    """Return the main panel and the histogram (or None), in a new figure or in place of ``ax``."""
    if ax is None:
        side = WIDTH - 0.75
        height = side + 0.65 + (side * STRIP + 0.1 if histogram else 0.0)
        height += line_height() * n_key_lines
        return _divide(new_figure(WIDTH, height).add_subplot(), histogram, 0.0)
    for other in ax.get_shared_x_axes().get_siblings(ax):
        if other.get_gid() == _STRIP_GID:
            return ax, other if histogram else None
    room = 0.0
    if n_key_lines and not managed(ax.figure):
        # Otherwise the legend would cover the axes below. The space between axes holds a part of
        # the axis label already.
        room = 0.5 * below_axes() + line_height() * n_key_lines
    return _divide(ax, histogram, room)


def _divide(ax: Any, histogram: bool, room: float) -> tuple[Any, Any]:
    """Divide the place of ``ax``: below it the histogram and ``room`` inches for the legend."""
    place = ax.get_subplotspec()
    strip = None
    if place is not None and (histogram or room > 0):
        # Rows of a subgridspec stay inside the panel's place under every layout engine.
        height = size_of(ax)[1]
        key = room / max(height - room, 0.3 * height)
        parts = [1.0, STRIP] if histogram else [1.0]
        if room > 0:
            parts.append(sum(parts) * key)
        rows = place.subgridspec(len(parts), 1, height_ratios=parts, hspace=0.03)
        ax.set_subplotspec(rows[0])
        if histogram:
            strip = ax.figure.add_subplot(rows[1], sharex=ax)
            # The box aspect equals the ratio of the heights, so both are equally wide.
            strip.set_box_aspect(STRIP)
            strip.set_anchor("NW" if room > 0 else "N")
        ax.set_anchor("SW" if room > 0 else "S")  # to the left, since the legend is wide
    elif histogram:
        strip = ax.inset_axes([0.0, -STRIP - 0.04, 1.0, STRIP], sharex=ax)
    if strip is not None:
        strip.set_gid(_STRIP_GID)
        ax.tick_params(labelbottom=False)
    return ax, strip


def grid_width(n: int) -> float:
    """Return the width in inches of a new figure of ``n`` small panels."""
    return 0.5 + _PANEL * float(np.ceil(np.sqrt(n)))


def grid(ax: Any, n: int, *, n_head_lines: int, n_key_lines: int) -> tuple[Any, np.ndarray]:
    """Return ``n`` square panels with shared axes, in a new figure or in place of ``ax``."""
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    head, key = n_head_lines * line_height(), n_key_lines * line_height()
    if ax is None:
        height = 0.4 + (_PANEL - 0.1 + head) * rows + key
        home = new_figure(grid_width(n), height)
    else:
        home = _subfigure(ax)
    panels = home.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    if not managed(home):
        _space_by_hand(home, rows, head, key)
    for panel in panels[n:]:
        panel.set_axis_off()
    for panel in panels[max(0, n - columns) : n]:
        panel.tick_params(labelbottom=True)  # also above empty places in the last row
    return home, panels[:n]


def _subfigure(ax: Any) -> Any:
    place = ax.get_subplotspec()
    if place is None:
        raise InputError(
            "ax is not part of a grid, so it cannot be divided; expected axes of a grid for "
            "kind='classwise'. Make ax by plt.subplots or add_subplot."
        )
    ax.set_axis_off()
    return ax.figure.add_subfigure(place)


def _space_by_hand(home: Any, rows: int, head: float, key: float) -> None:
    """Set the margins of a figure without a layout engine."""
    width, height = home.bbox.width / home.figure.dpi, home.bbox.height / home.figure.dpi
    below, top = min(0.45 / height, 0.4), 1.0 - min((key + head + 0.05) / height, 0.5)
    gap = head + 0.1
    panel = max((height * (top - below) - gap * (rows - 1)) / rows, 0.1)
    home.subplots_adjust(
        left=min(0.5 / width, 0.4), right=0.97, bottom=below, top=top, hspace=gap / panel
    )
