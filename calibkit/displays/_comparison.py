"""Draw the differences between calibrators, with their intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._comparison import DIFFERENCE, CalibratorComparison
from .._core.optional import require
from .._core.params import percent
from .._typing import FloatArray
from ._base import Display
from ._style import GREY, font_size, key_size, key_style, plain_axes, style_of

#: In inches: width of a new figure, height of a line.
_WIDTH, _LINE = 5.6, 0.24
#: The scale ignores differences above so many times the median of the upper ends.
_REACH = 4.0


class ComparisonDisplay(Display):
    """Plot of a comparison: the log loss of each calibrator minus that of the best one.

    Use it to see which calibrators are tied with the best one: their intervals reach the line at 0.

    Parameters
    ----------
    comparison : CalibratorComparison
        From :func:`compare_calibrators`.

    Attributes
    ----------
    comparison_ : CalibratorComparison
        The comparison.
    curves_ : dict of str to dict
        The record of each calibrator that was fitted, by name.
    ax_ : Axes
        The panel.
    figure_ : Figure or SubFigure
        The figure of the axes.

    Notes
    -----
    Much larger differences, often that of no calibration, would squeeze the others. An arrow at
    the right edge marks those.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import ComparisonDisplay, compare_calibrators
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(500)
    >>> comparison = compare_calibrators(p, rng.random(500) < p**2, ["platt", "beta"])
    >>> display = ComparisonDisplay(comparison).plot()
    >>> list(display.curves_)
    ['platt', 'beta', 'uncalibrated']
    """

    def __init__(self, comparison: CalibratorComparison) -> None:
        self.comparison_ = comparison
        self.curves_ = {r["name"]: r for r in comparison.records if not r["failure"]}

    def _size(self) -> tuple[float, float]:
        return _WIDTH, 1.1 + _LINE * len(self.curves_)

    def _draw(self, ax: Any) -> None:
        names = list(self.curves_)
        values = np.array([[r[k] for k in DIFFERENCE] for r in self.curves_.values()])
        left, right = _limits(values)
        margin = 0.03 * (right - left)
        ax.axvline(0.0, color=GREY, lw=0.8, zorder=1.5, gid="best")
        for i, (name, (value, low, high)) in enumerate(zip(names, values, strict=True)):
            worse = self.curves_[name]["verdict"] == "worse"
            style = {**style_of(int(worse)), "ms": 5.0, "clip_on": False}
            if value > right:
                style |= {"marker": ">", "ls": "none"}
                ax.plot([right + margin], [i], gid=f"far:{name}", **style)
                continue
            bar = {"color": style["color"], "lw": 1.4, "alpha": 0.55, "gid": f"interval:{name}"}
            ax.hlines(i, max(low, left), min(high, right + margin), **bar)
            ax.plot([value], [i], gid=f"dot:{name}", **style)
        ax.set(xlim=(left - margin, right + margin), ylim=(len(names) - 0.5, -0.5))
        ax.set_yticks(range(len(names)), names)
        ax.set_xlabel("Log loss minus that of the best method (nats)", fontsize=font_size())
        ax.xaxis.set_major_locator(require("matplotlib.ticker", "plot").MaxNLocator(5))
        plain_axes(ax)
        self._write_losses(ax)
        self._place_key(ax)

    def _write_losses(self, ax: Any) -> None:
        """Write the log loss of each method to the right of its line."""
        style = {"fontsize": key_size(), "va": "center", "ha": "left"}
        place = ax.get_yaxis_transform()
        ax.text(1.04, -1.0, "log loss", transform=place, color=GREY, **style)
        for i, (name, record) in enumerate(self.curves_.items()):
            loss = f"{record['log_loss']:.4f}"
            ax.text(1.04, i, loss, transform=place, gid=f"loss:{name}", **style)

    def _place_key(self, ax: Any) -> None:
        """Draw the legend above the panel."""
        line = require("matplotlib.lines", "plot").Line2D
        texts = ("best or tied", "worse")
        handles = [
            line([], [], label=text, **{**style_of(i), "ls": "none"})
            for i, text in enumerate(texts)
        ]
        style = key_style(f"bars: {percent(self.comparison_.level)} intervals")
        place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 2}
        ax.legend(handles=handles, borderaxespad=0.2, columnspacing=1.2, **place, **style)

    def _parts(self) -> Iterator[dict[str, Any]]:
        for record in self.curves_.values():
            yield {key: [value] for key, value in record.items()}


def _limits(values: FloatArray) -> tuple[float, float]:
    """Ends of the horizontal scale, without differences that would squeeze the others."""
    reach = _REACH * float(np.median(values[:, 2]))
    seen = values[values[:, 0] <= reach] if reach > 0 else values
    low, high = float(seen[:, 1].min()), float(seen[:, 2].max())
    return (low, high) if high > low else (-1e-3, 1e-3)
