"""What every picture does: hold its numbers, draw them, hand them out as a frame."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from .._core.optional import require
from .._core.params import check_choice, check_flag
from .._typing import Legend
from ._draw import draw_grid, draw_single
from ._key import LEGENDS
from ._numbers import Curve, Numbers, Settings, numbers_of
from ._problems import Problems

P = TypeVar("P", bound="Picture")


class Picture:
    """Numbers of a reliability diagram and how they are drawn."""

    ax_: Any
    histogram_ax_: Any
    figure_: Any

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    @property
    def curves_(self) -> dict[Any, Curve]:
        """Numbers of the curves, by model or by (model, class)."""
        return self._numbers.curves

    @property
    def estimates_(self) -> dict[Any, dict[str, Any]]:
        """ECE and Brier skill score with their intervals, by model or by (model, class)."""
        return self._numbers.estimates

    @property
    def limits_(self) -> tuple[float, float]:
        """Ends of both axes."""
        return self._numbers.limits

    @classmethod
    def _drawn(
        cls: type[P],
        found: Problems,
        settings: Settings,
        where: str,
        ax: Any,
        consistency: bool | None,
        histogram: bool | Literal["log"],
        legend: Legend,
    ) -> P:
        _check_drawing(where, consistency, histogram, legend)
        display = cls(numbers_of(found, settings, where))
        return display.plot(ax, consistency=consistency, histogram=histogram, legend=legend)

    def plot(
        self: P,
        ax: Any = None,
        *,
        consistency: bool | None = None,
        histogram: bool | Literal["log"] = True,
        legend: Legend = "below",
    ) -> P:
        """Draw the numbers again.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; default: a new figure. A part of its place is given to the strip of
            counts; class-wise, the panels take all of it.
        consistency : bool, optional
            Draw the band where a calibrated model's dots would fall; default: for one model only.
        histogram : bool or "log", default=True
            Draw the strip of counts, with linear or logarithmic heights; never class-wise.
        legend : {"below", "inside", "none"}, default="below"
            Where the key goes: under the axes, where it covers nothing (in the place of ``ax``,
            if its figure has no layout engine to make room), or into the panel. Class-wise it is
            above the panels.

        Returns
        -------
        display : ReliabilityDisplay
            Itself, with ``ax_``, ``histogram_ax_`` and ``figure_`` set.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from calibkit import ReliabilityDisplay
        >>> y, p = [0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9]
        >>> display = ReliabilityDisplay.from_predictions(y, p, n_bins=2)
        >>> display.plot(histogram=False).ax_.get_xlabel()
        'Mean predicted probability'
        """
        where = "ReliabilityDisplay.plot"
        _check_drawing(where, consistency, histogram, legend)
        require("matplotlib", "plot")
        band = len(self._numbers.models) == 1 if consistency is None else bool(consistency)
        if self._numbers.kind == "classwise":
            self.histogram_ax_ = None
            self.figure_, self.ax_ = draw_grid(
                self._numbers, ax, consistency=band, legend=legend, where=where
            )
            return self
        self.ax_, self.histogram_ax_ = draw_single(
            self._numbers, ax, consistency=band, histogram=histogram, legend=legend
        )
        self.figure_ = self.ax_.figure
        return self

    def frame(self) -> Any:
        """The numbers behind the picture, one row per model (and class) and bin.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``model``, ``class`` if class-wise, and the fields of ``curves_``.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> from calibkit import ReliabilityDisplay
        >>> y, p = [0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9]
        >>> display = ReliabilityDisplay.from_predictions(y, p, n_bins=2)
        >>> display.frame()[["lower", "upper", "mean_score", "frequency", "n"]]
           lower  upper  mean_score  frequency  n
        0    0.0    0.6        0.25        0.0  2
        1    0.6    1.0        0.75        1.0  2
        """
        pandas = require("pandas")
        parts = []
        for key, curve in self.curves_.items():
            model, label = key if self._numbers.kind == "classwise" else (key, None)
            names = {"model": model} if label is None else {"model": model, "class": label}
            parts.append(pandas.DataFrame({**names, **curve._asdict()}))
        return pandas.concat(parts, ignore_index=True)

    def __repr__(self) -> str:
        models = ", ".join(self._numbers.models)
        return f"{type(self).__name__}({self._numbers.kind}: {models})"


def _check_drawing(
    where: str, consistency: bool | None, histogram: bool | Literal["log"], legend: Legend
) -> None:
    if consistency is not None:
        check_flag(where, "consistency", consistency)
    if isinstance(histogram, str):
        check_choice(where, "histogram", histogram, ("log",))
    else:
        check_flag(where, "histogram", histogram)
    check_choice(where, "legend", legend, LEGENDS)
