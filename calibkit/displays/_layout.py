"""Where the parts of a picture go: main panel, strip of counts, key, grid of panels."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.errors import InputError
from ._style import WIDTH, font_size, line_height, managed, new_figure, size_of

#: Height of the strip of counts, as a share of the main panel's.
STRIP = 0.17
#: Inches: side of a small panel.
_PANEL = 1.75
_STRIP_GID = "calibkit:counts"


def below_axes() -> float:
    """Inches from the axes down past the tick labels and the axis label."""
    return 3.6 * font_size() / 72


def single(ax: Any, histogram: bool, n_key_lines: int) -> tuple[Any, Any]:
    """Main panel and strip of counts (or None), in a new figure or in the place of ``ax``."""
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
        # Nothing else would keep the key from covering the axes below. Part of the axis label's
        # height is left to the space that is between axes anyway.
        room = 0.5 * below_axes() + line_height() * n_key_lines
    return _divide(ax, histogram, room)


def _divide(ax: Any, histogram: bool, room: float) -> tuple[Any, Any]:
    """Give the lower part of the place of ``ax`` to the strip, and ``room`` inches to the key."""
    place = ax.get_subplotspec()
    strip = None
    if place is not None and (histogram or room > 0):
        # Rows of the panel's own place stay inside it, whatever lays the figure out.
        height = size_of(ax)[1]
        key = room / max(height - room, 0.3 * height)
        parts = [1.0, STRIP] if histogram else [1.0]
        if room > 0:
            parts.append(sum(parts) * key)
        rows = place.subgridspec(len(parts), 1, height_ratios=parts, hspace=0.03)
        ax.set_subplotspec(rows[0])
        if histogram:
            strip = ax.figure.add_subplot(rows[1], sharex=ax)
            # Box aspects in the ratio of the heights keep both equally wide.
            strip.set_box_aspect(STRIP)
            strip.set_anchor("NW" if room > 0 else "N")
        ax.set_anchor("SW" if room > 0 else "S")  # to the left, since the key is wide
    elif histogram:
        strip = ax.inset_axes([0.0, -STRIP - 0.04, 1.0, STRIP], sharex=ax)
    if strip is not None:
        strip.set_gid(_STRIP_GID)
        ax.tick_params(labelbottom=False)
    return ax, strip


def grid(ax: Any, n: int, *, n_head_lines: int, n_key_lines: int) -> tuple[Any, np.ndarray]:
    """``n`` square panels with common axes, in a new figure or in the place of ``ax``."""
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    head, key = n_head_lines * line_height(), n_key_lines * line_height()
    if ax is None:
        height = 0.4 + (_PANEL - 0.1 + head) * rows + key
        home = new_figure(0.5 + _PANEL * columns, height)
    else:
        home = _subfigure(ax)
    panels = home.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    if not managed(home):
        _space_by_hand(home, rows, head, key)
    for panel in panels[n:]:
        panel.set_axis_off()
    for panel in panels[max(0, n - columns) : n]:
        panel.tick_params(labelbottom=True)  # also above an empty place in the last row
    return home, panels[:n]


def _subfigure(ax: Any) -> Any:
    place = ax.get_subplotspec()
    if place is None:
        raise InputError(
            "ax has no place in a grid, so it can't be divided; expected axes made by "
            "plt.subplots or add_subplot for kind='classwise'."
        )
    ax.set_axis_off()
    return ax.figure.add_subfigure(place)


def _space_by_hand(home: Any, rows: int, head: float, key: float) -> None:
    """Margins of a part of a figure that no layout engine looks after."""
    width, height = home.bbox.width / home.figure.dpi, home.bbox.height / home.figure.dpi
    below, top = min(0.45 / height, 0.4), 1.0 - min((key + head + 0.05) / height, 0.5)
    gap = head + 0.1
    panel = max((height * (top - below) - gap * (rows - 1)) / rows, 0.1)
    home.subplots_adjust(
        left=min(0.5 / width, 0.4), right=0.97, bottom=below, top=top, hspace=gap / panel
    )
