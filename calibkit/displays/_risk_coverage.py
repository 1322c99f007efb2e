"""Risk-coverage curves of one or several confidence scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from .._core.errors import InputError, called
from .._core.optional import require
from .._core.params import check_int, check_real, percent
from .._core.printed import spelled
from .._core.rows import validate_confidence, validate_groups
from .._core.warnings import counted
from .._numerics.exact import clopper_pearson, korn_graubard, share_variance
from .._numerics.risk_control import accepted_counts
from .._typing import FloatArray, IntArray
from ..metrics import Estimate, area_under_risk_coverage, estimate_or_value
from ._base import Display, by_name
from ._style import (
    GREY,
    WIDTH,
    draw_key,
    font_size,
    interval_text,
    key_style,
    plain_axes,
    short_name,
    style_of,
)

#: Below this coverage curves are noise, and the vertical scale ignores them.
_SETTLED = 0.05


class RiskCurve(NamedTuple):
    """A risk-coverage curve with its band: one entry per distinct score, from high to low.

    Attributes
    ----------
    coverage : ndarray of shape (m,)
        Share of rows at or above the threshold.
    risk : ndarray of shape (m,)
        Error rate among these rows.
    thresholds : ndarray of shape (m,)
        The distinct scores.
    low, high : ndarray of shape (m,)
        Confidence interval of the risk at each threshold.
    """

    coverage: FloatArray
    risk: FloatArray
    thresholds: FloatArray
    low: FloatArray
    high: FloatArray


class RiskCoverageDisplay(Display):
    """Risk-coverage plot: error rate among accepted outputs against the share accepted.

    Use it to compare confidence scores, and to see what error rate a threshold gives. Make it by
    :meth:`from_predictions`; :meth:`plot` draws it again.

    Parameters
    ----------
    curves : dict of str to RiskCurve
        Computed by the constructor.
    areas : dict of str to Estimate
        Areas under the curves.
    marks : dict of str to float
        Thresholds to mark.
    max_error : float or None
        Maximum error rate that is marked by a line.
    level : float
        Confidence level of the bands.

    Attributes
    ----------
    curves_ : dict of str to RiskCurve
        By name: ``coverage, risk, thresholds, low, high``.
    areas_ : dict of str to Estimate
        :func:`area_under_risk_coverage` with its interval, by name.
    marks_ : dict of str to float
        The marked thresholds.
    ax_ : Axes
        The panel.
    figure_ : Figure or SubFigure
        The figure of the axes.

    Notes
    -----
    The band is for each threshold alone. If you choose the threshold by its small error in this
    plot, its true error is larger on average. For a threshold with an error-rate guarantee use
    :class:`calibkit.decisions.RiskControlledThreshold`. Intervals are Clopper-Pearson; with groups
    they use the effective number of rows (Korn and Graubard 1998) and are approximate.

    References
    ----------
    E. Korn, B. Graubard (1998). Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data. Survey Methodology 24(2).

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import RiskCoverageDisplay
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(1000)
    >>> correct = rng.random(1000) < p
    >>> display = RiskCoverageDisplay.from_predictions(
    ...     correct, {"model": p, "noise": rng.random(1000)}, max_error=0.1, random_state=0
    ... )
    >>> {name: round(float(area), 2) for name, area in display.areas_.items()}
    {'model': 0.23, 'noise': 0.46}
    """

    def __init__(
        self,
        curves: dict[str, RiskCurve],
        areas: dict[str, Estimate],
        marks: dict[str, float],
        max_error: float | None,
        level: float,
    ) -> None:
        self.curves_, self.areas_, self.marks_ = curves, areas, marks
        self._max_error, self._level = max_error, level

    @classmethod
    @counted()
    def from_predictions(
        cls,
        y_true: Any,
        y_prob: Any,
        *,
        groups: Any = None,
        max_error: float | None = None,
        thresholds: Any = None,
        level: float = 0.9,
        n_resamples: int = 200,
        pos_label: Any = None,
        name: str | None = None,
        random_state: Any = None,
        ax: Any = None,
    ) -> RiskCoverageDisplay:
        """Draw the risk-coverage curve of one or several confidence scores of the same outputs.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Whether each output was correct.
        y_prob : array-like of shape (n,), (n, 2) or (n, K), or dict of str to array-like
            Confidence that the output is correct; a dict has several scores by name. Or, if
            ``y_true`` are K > 2 class labels, the probability of each class: the output is the
            class with the highest probability.
        groups : array-like of shape (n,), optional
            Group of each output, for instance its problem or repository. Outputs of one group are
            treated as dependent.
        max_error : float, optional
            Maximum error rate; a line is drawn there.
        thresholds : float, or dict of str to float, optional
            Mark this threshold; a dict if there are several scores.
        level : float, default=0.9
            Confidence level of bands and intervals.
        n_resamples : int, default=200
            Number of random draws (at least 10).
        pos_label : label, optional
            The label that means correct; default: the larger label.
        name : str, optional
            Name of a single score.
        random_state : int, RandomState, Generator or None, default=None
            Seed of the random draws.
        ax : Axes, optional
            As in :meth:`plot`.

        Returns
        -------
        display : RiskCoverageDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If the data or settings are invalid.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from calibkit import RiskCoverageDisplay
        >>> display = RiskCoverageDisplay.from_predictions(
        ...     [1, 1, 0, 0] * 20, [0.9, 0.8, 0.8, 0.1] * 20, thresholds=0.8
        ... )
        >>> display.curves_["Model"].risk.round(2)
        array([0.  , 0.33, 0.5 ])
        """
        require("matplotlib", "plot")
        check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
        check_int("n_resamples", n_resamples, low=10)
        if max_error is not None:
            check_real("max_error", max_error, low=0.0, high=1.0)
        signals = by_name(y_prob, name, "y_prob")
        marks = _marks_of(thresholds, list(signals))
        codes = None if groups is None else validate_groups(groups, None, len(y_true))
        curves, areas = {}, {}
        settings = {"level": level, "n_resamples": n_resamples, "random_state": random_state}
        for signal, p in signals.items():
            with called(part=f" ({signal})" if len(signals) > 1 else ""):
                values, correct, *_ = validate_confidence(
                    y_true, p, None, "sampling", pos_label, fractions=False
                )
            curves[signal] = _curve(values, 1 - correct, codes, level)
            areas[signal] = estimate_or_value(
                area_under_risk_coverage, correct, values, groups=codes, pos_label=1, **settings
            )
        return cls(curves, areas, marks, max_error, level).plot(ax)

    def _size(self) -> tuple[float, float]:
        return WIDTH, 0.8 * WIDTH

    def _draw(self, ax: Any) -> None:
        handles = []
        for i, (signal, curve) in enumerate(self.curves_.items()):
            handles += self._draw_curve(ax, i, signal, curve)
        handles += self._draw_target(ax)
        ax.set_xlim(0.0, 1.0)
        ax.set_ylim(0.0, self._top())
        ax.set_xlabel("Coverage: share of outputs accepted", fontsize=font_size())
        ax.set_ylabel("Risk: error among accepted", fontsize=font_size())
        plain_axes(ax)
        style = key_style(f"brackets and bands: {percent(self._level)} intervals")
        draw_key(ax, handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), **style)

    def _draw_curve(self, ax: Any, i: int, signal: str, curve: RiskCurve) -> list[Any]:
        style = style_of(i)
        color = style["color"]
        band = {"color": color, "alpha": 0.15, "lw": 0, "gid": f"band:{signal}"}
        ax.fill_between(curve.coverage, curve.low, curve.high, **band)
        label = f"{short_name(signal)}, area {interval_text(self.areas_[signal])}"
        few = {"marker": style["marker"], "ms": 4.5} if len(curve.coverage) <= 30 else {}
        line = {"color": color, "lw": 1.4, "gid": f"curve:{signal}", "label": label, **few}
        handles = ax.plot(curve.coverage, curve.risk, **line)
        if signal in self.marks_:
            threshold = self.marks_[signal]
            # Thresholds descend: the mark accepts up to the last one that is not below it.
            at = int(np.searchsorted(-curve.thresholds, -threshold, side="right")) - 1
            if at >= 0:
                x, y = curve.coverage[at], curve.risk[at]
                text = f"threshold {threshold:.4g}: {x:.1%} accepted, {y:.1%} of them wrong"
                spot = {"ms": 7, "mec": "white", "mew": 0.8, "zorder": 4, "clip_on": False}
                spot |= {"marker": style["marker"], "color": color, "ls": "none"}
                handles += ax.plot([x], [y], gid=f"mark:{signal}", label=text, **spot)
        return handles

    def _draw_target(self, ax: Any) -> list[Any]:
        if self._max_error is None:
            return []
        text = f"maximum error rate {percent(self._max_error)}"
        style = {"color": GREY, "lw": 1.0, "ls": ":", "gid": "target", "label": text}
        return [ax.axhline(self._max_error, **style)]

    def _top(self) -> float:
        """Return the upper end of the axis."""
        values = [0.0 if self._max_error is None else self._max_error]
        for curve in self.curves_.values():
            settled = curve.coverage >= _SETTLED
            values.append(1.05 * float(curve.risk[settled].max()))
            values.append(float(curve.high[-1]))
        return min(1.02, max(1.05 * max(values), 0.01))

    def _parts(self) -> Iterator[dict[str, Any]]:
        for signal, curve in self.curves_.items():
            yield {"model": signal, **curve._asdict()}


def _marks_of(thresholds: Any, signals: list[str]) -> dict[str, float]:
    """Return the thresholds to mark, by name."""
    if thresholds is None:
        return {}
    if not isinstance(thresholds, Mapping):
        if len(signals) > 1:
            raise InputError(
                f"thresholds={spelled(thresholds)} for {len(signals)} scores; expected a dict of "
                "thresholds by name."
            )
        thresholds = {signals[0]: thresholds}
    marks = {}
    for signal, threshold in thresholds.items():
        if str(signal) not in signals:
            raise InputError(
                f"thresholds has the key {spelled(signal)}; expected one of "
                f"{', '.join(map(spelled, signals))}."
            )
        if np.ndim(threshold) == 0 and threshold == np.inf:
            continue  # nothing is accepted, so there is no mark
        check_real("thresholds", threshold)
        marks[str(signal)] = float(threshold)
    return marks


def _curve(values: FloatArray, wrong: IntArray, codes: IntArray | None, level: float) -> RiskCurve:
    order = np.argsort(-values)
    thresholds, n, n_wrong = accepted_counts(values[order], wrong[order])
    rows, events = n.astype(np.float64), n_wrong.astype(np.float64)
    risk = events / rows
    if codes is None:
        low, high = clopper_pearson(risk, rows, level)
    else:
        variance, n_groups = share_variance(codes[order], wrong[order].astype(np.int64), n)
        low, high = korn_graubard(events, rows, variance, n_groups, level)
    return RiskCurve(rows / len(values), risk, thresholds, low, high)
