"""Forest plot: the error of each group of rows, with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from .._core.errors import InputError
from .._core.optional import require
from .._core.params import check_choice, check_int
from .._core.printed import p_text
from ..metrics import ResultTable, group_table
from ._base import Display
from ._forest import Line, draw_lines, place_key, write_column
from ._style import short_name

#: In inches: width of the panel, of a letter of a name, and height of a line.
_WIDTH, _LETTER, _LINE = 4.6, 0.066, 0.24
#: What marks a group: its style, and whether its dot is empty.
_KINDS = {"": (0, False), "miscalibrated": (1, False), "not estimable": (0, True)}
_NEEDED = ("group", "n", "error", "error_shrunk", "z", "p_value", "flag")


class GroupDisplay(Display):
    """Forest plot of :func:`group_table`: the calibration error of each group, with its interval.

    Use it to see at a glance where a model predicts too many or too few events.

    Parameters
    ----------
    table : ResultTable
        From :func:`group_table`.
    max_groups : int, default=40
        Largest number of groups to draw, at least 1. The plot says how many are left out.
    order : {"z", "table"}, default="z"
        "z": groups with the largest absolute z first; "table": in the order of the table.

    Attributes
    ----------
    table_ : ResultTable
        The table.
    curves_ : dict of str to dict
        The row of each drawn group, by its name.
    n_left_out_ : int
        Number of groups that are not drawn.
    ax_ : Axes
        The panel.
    figure_ : Figure or SubFigure
        The figure of the axes.

    Notes
    -----
    Intervals are for one group each: with many groups, some exclude 0 by chance. The marks of
    miscalibrated groups account for the number of groups. The scale is that of the groups that are
    estimable; an arrow marks an error beyond it.

    Examples
    --------
    >>> from calibkit import GroupDisplay, group_table
    >>> from calibkit.testing import binary_data
    >>> p, y = binary_data(n=400)
    >>> display = GroupDisplay(group_table(y, p, by={"half": ["a", "b"] * 200})).plot()
    >>> sorted(display.curves_)
    ['half=a', 'half=b']
    """

    def __init__(
        self, table: ResultTable, *, max_groups: int = 40, order: Literal["z", "table"] = "z"
    ) -> None:
        check_int("max_groups", max_groups, low=1)
        check_choice("order", order, ("z", "table"))
        columns = table.columns if isinstance(table, ResultTable) else []
        if any(name not in columns for name in _NEEDED):
            raise InputError(
                "table is not a table of groups; expected the result of group_table. From rows "
                "use GroupDisplay.from_predictions(y_true, y_prob, by)."
            )
        self.table_ = table
        rows = list(table.rows)
        if order == "z":
            size = np.nan_to_num([-abs(row["z"]) for row in rows], nan=1.0)
            rows = [rows[i] for i in np.argsort(size, kind="stable")]
        self.curves_ = {row["group"]: row for row in rows[:max_groups]}
        self.n_left_out_ = len(rows) - len(self.curves_)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_prob: Any,
        by: Any,
        *,
        max_groups: int = 40,
        order: Literal["z", "table"] = "z",
        ax: Any = None,
        **settings: Any,
    ) -> GroupDisplay:
        """Measure calibration by group and draw it.

        Parameters
        ----------
        y_true, y_prob, by : array-like
            As in :func:`group_table`.
        max_groups, order : optional
            As in :class:`GroupDisplay`.
        ax : Axes, optional
            As in :meth:`plot`.
        **settings
            Settings of :func:`group_table`, such as ``groups``, ``sample_weight`` and ``level``.

        Returns
        -------
        display : GroupDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If the data or settings are invalid.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from calibkit import GroupDisplay
        >>> from calibkit.testing import binary_data
        >>> p, y = binary_data(n=400)
        >>> display = GroupDisplay.from_predictions(y, p, by=["a", "b"] * 200)
        >>> len(display.curves_), display.n_left_out_
        (2, 0)
        """
        require("matplotlib", "plot")
        table = group_table(y_true, y_prob, by, **settings)
        return cls(table, max_groups=max_groups, order=order).plot(ax)

    def _size(self) -> tuple[float, float]:
        longest = max(len(short_name(name)) for name in self.curves_)
        return _WIDTH + _LETTER * longest, 1.25 + _LINE * len(self.curves_)

    def _draw(self, ax: Any) -> None:
        lines = []
        for name, row in self.curves_.items():
            e = row["error"]
            lines.append(Line(name, short_name(name), e.value, e.low, e.high, *_KINDS[row["flag"]]))
        draw_lines(ax, lines, self._limits(), "Error: predicted minus observed")
        for i, (name, row) in enumerate(self.curves_.items()):
            if np.isfinite(row["error_shrunk"]):
                ax.plot([row["error_shrunk"]], [i], gid=f"shrunk:{name}", **_SHRUNK)
        rows = {name: f"{row['n']:,}" for name, row in self.curves_.items()}
        write_column(ax, "rows", rows, (46, "right"), "n")
        found = {name: row["flag"] for name, row in self.curves_.items()}
        p = {name: p_text(row["p_value"]) for name, row in self.curves_.items()}
        p |= {name: flag for name, flag in found.items() if flag == "not estimable"}
        write_column(ax, "p-value", p, (54, "left"), "p")
        texts = {"": "not flagged", "miscalibrated": "miscalibrated"}
        kinds = {text: _KINDS[f] for f, text in texts.items() if f in found.values()}
        shrunk = require("matplotlib.lines", "plot").Line2D([], [], label="shrunk", **_SHRUNK)
        left_out = f"; {self.n_left_out_:,} more groups not drawn" if self.n_left_out_ else ""
        level = next(iter(self.curves_.values()))["error"].level
        place_key(ax, kinds, level, [shrunk], left_out)

    def _limits(self) -> tuple[float, float]:
        """Ends of the horizontal scale: of the groups that are estimable, if there are any."""
        rows = self.curves_.values()
        seen = [r["error"] for r in rows if r["flag"] != "not estimable"]
        seen = seen or [r["error"] for r in rows]
        ends = np.array([(e.value, e.low, e.high) for e in seen])
        return min(0.0, float(np.nanmin(ends))), max(0.0, float(np.nanmax(ends)))

    def _parts(self) -> Iterator[dict[str, Any]]:
        for row in ResultTable(tuple(self.curves_.values())).flat():
            yield {key: [value] for key, value in row.items()}


#: Style of the shrunk errors.
_SHRUNK: dict[str, Any] = {
    "marker": "D", "ms": 3.2, "mfc": "white", "mec": "black", "mew": 0.7, "ls": "none", "zorder": 3,
}  # fmt: skip
