"""Draw the differences between calibrators or models, with their intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._comparison import DIFFERENCE, CalibratorComparison
from .._core.errors import InputTypeError
from .._core.printed import a_type, p_text
from ..metrics import Comparison
from ._base import Display
from ._forest import Line, draw_lines, place_key, write_column
from ._style import short_name

_MINUS = " \N{MINUS SIGN} "
#: In inches: width of a new figure without names, of a letter of a name, and height of a line.
_WIDTH, _LETTER, _LINE = 4.6, 0.066, 0.24
#: The scale ignores differences above so many times the median of the upper ends.
_REACH = 4.0
#: Of each verdict: text, color and marker, and whether the dot is empty.
_KINDS = {
    "best": ("best or tied", 0, False),
    "tied": ("best or tied", 0, False),
    "worse": ("worse", 1, False),
    "first": ("first is better", 0, False),
    "second": ("second is better", 1, False),
    "better": ("better", 0, False),
    "": ("no difference shown", 2, True),
}


class ComparisonDisplay(Display):
    """Plot of a comparison: differences of calibrators or models, with their intervals.

    Use it to see which calibrators are tied with the best one (their intervals reach the line at
    0), or for which pairs of models a difference is shown.

    Parameters
    ----------
    comparison : CalibratorComparison or Comparison
        From :func:`compare_calibrators` or :func:`compare`.

    Attributes
    ----------
    comparison_ : CalibratorComparison or Comparison
        The comparison.
    curves_ : dict of str to dict
        The record of each calibrator that was fitted, by name; or the fields of each
        :class:`Difference`, by "first \N{MINUS SIGN} second".
    ax_ : Axes
        The panel.
    figure_ : Figure or SubFigure
        The figure of the axes.

    Notes
    -----
    Much larger differences, often that of no calibration, would squeeze the others. An arrow at
    the edge marks those.

    Of models, a difference counts as shown if its adjusted p-value is at most 1 minus the level.
    The intervals are not adjusted, so some that exclude 0 may not count. To see at which decision
    thresholds a model is better, use :class:`DecisionCurveDisplay` with ``reference``.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import ComparisonDisplay, compare, compare_calibrators
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(500)
    >>> y = rng.random(500) < p**2
    >>> comparison = compare_calibrators(p, y, ["platt", "beta"])
    >>> display = ComparisonDisplay(comparison).plot()
    >>> list(display.curves_)
    ['platt', 'beta', 'uncalibrated']
    >>> models = ComparisonDisplay(compare("brier_score", y, {"p": p, "squared": p**2})).plot()
    >>> models.ax_.get_xlabel()
    'Brier score\\nminus that of squared'
    """

    def __init__(self, comparison: CalibratorComparison | Comparison) -> None:
        self.comparison_ = comparison
        if isinstance(comparison, CalibratorComparison):
            self.curves_ = {r["name"]: r for r in comparison.records if not r["failure"]}
        elif isinstance(comparison, Comparison):
            pairs = comparison.differences
            self.curves_ = {f"{d.first}{_MINUS}{d.second}": dict(vars(d)) for d in pairs}
        else:
            raise InputTypeError(
                f"comparison is {a_type(comparison)}; expected the result of compare or "
                "compare_calibrators."
            )

    @property
    def _names(self) -> dict[str, str]:
        """The name of each line as shown: of models, without a reference that all have."""
        if isinstance(self.comparison_, CalibratorComparison):
            return {name: short_name(name) for name in self.curves_}
        pairs = {name: (r["first"], r["second"]) for name, r in self.curves_.items()}
        if self._reference:
            return {name: short_name(first) for name, (first, _) in pairs.items()}
        return {n: _MINUS.join(short_name(one, 23) for one in both) for n, both in pairs.items()}

    @property
    def _reference(self) -> str:
        """The model that all others are compared with, if there is one."""
        found = {r.get("second", "") for r in self.curves_.values()}
        return found.pop() if len(found) == 1 else ""

    def _size(self) -> tuple[float, float]:
        longest = max(map(len, self._names.values()))
        return _WIDTH + _LETTER * longest, 1.35 + _LINE * len(self.curves_)

    def _draw(self, ax: Any) -> None:
        found, records = self.comparison_, self.curves_
        if isinstance(found, CalibratorComparison):
            ends = np.array([[r[k] for k in DIFFERENCE] for r in records.values()])
            verdicts = {name: r["verdict"] for name, r in records.items()}
            label = "Log loss minus that of the best method (nats)"
            head, texts = "log loss", {n: f"{r['log_loss']:.4f}" for n, r in records.items()}
        else:
            ends = np.array([[r[k] for k in ("value", "low", "high")] for r in records.values()])
            verdicts = {name: self._verdict(r) for name, r in records.items()}
            quantity = found.quantity[0].upper() + found.quantity[1:]
            minus = short_name(self._reference) or "the second model"
            first = "" if self._reference else " of the first model"
            label = f"{quantity}{first}\nminus that of {minus}"
            head, texts = "adjusted p", {n: p_text(r["p_adjusted"]) for n, r in records.items()}
        lines = []
        for (name, text), (value, low, high) in zip(self._names.items(), ends, strict=True):
            _, kind, empty = _KINDS[verdicts[name]]
            lines.append(Line(name, text, value, low, high, kind, empty))
        draw_lines(ax, lines, _limits(ends), label)
        write_column(ax, head, texts, (12, "left"), "text")
        place_key(ax, {_KINDS[v][0]: _KINDS[v][1:] for v in verdicts.values()}, found.level)

    def _verdict(self, record: dict[str, Any]) -> str:
        """Return which model of a pair is better, if the comparison shows it."""
        assert isinstance(self.comparison_, Comparison)
        if record["p_adjusted"] > 1.0 - self.comparison_.level:
            return ""
        first = (record["value"] > 0) == self.comparison_.greater_is_better
        names = ("better", "worse") if self._reference else ("first", "second")
        return names[0] if first else names[1]

    def _parts(self) -> Iterator[dict[str, Any]]:
        for record in self.curves_.values():
            yield {key: [value] for key, value in record.items()}


def _limits(values: Any) -> tuple[float, float]:
    """Ends of the horizontal scale, without differences that would squeeze the others."""
    values = np.where(np.isfinite(values), values, values[:, :1])
    size = np.abs(values).max(axis=1)
    reach = _REACH * float(np.median(size))
    seen = values[np.abs(values[:, 0]) <= reach] if reach > 0 else values
    return min(0.0, float(seen.min())), max(0.0, float(seen.max()))
