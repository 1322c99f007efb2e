"""Decision curves of one or several models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._core.errors import InputError, called
from .._core.optional import require
from .._core.params import percent
from .._core.printed import spelled
from .._core.warnings import counted
from .._typing import Weights
from ..metrics import DecisionCurve, decision_curve
from ._base import ModelsDisplay, by_name
from ._style import (
    GREY,
    WIDTH,
    draw_key,
    font_size,
    key_style,
    line_height,
    plain_axes,
    short_name,
    style_of,
)

#: With more models their bands would hide each other.
_MOST_BANDS = 4


class DecisionCurveDisplay(ModelsDisplay):
    """Decision curves: the net benefit of acting on a probability, for each threshold.

    Use it to see for which thresholds a model is worth using: where its curve lies above those of
    treating everybody and nobody, or with ``reference`` above another model. Make it by
    :meth:`from_predictions` or :meth:`from_estimator`; :meth:`plot` draws it again.

    Parameters
    ----------
    curves : dict of str to DecisionCurve
        From :func:`decision_curve`, by name, all with the same thresholds, reference and level.
    reference : str, default="none"
        Name of what the net benefits are compared with: "none", "all" or another model.
    level : float, default=0.9
        Confidence level of the bands.

    Attributes
    ----------
    curves_ : dict of str to DecisionCurve
        By name: ``thresholds, net_benefit, low, high, treat_all, treat_none``.
    ax_ : Axes
        The panel.
    figure_ : Figure or SubFigure
        The figure of the axes.

    Notes
    -----
    Each band is for one threshold alone, see :func:`decision_curve`. Overlapping bands of two
    models do not show that they are equal: their difference on the same rows is much more precise.
    ``reference="name"`` draws it. With more than four models there are no bands.

    References
    ----------
    A. Vickers, E. Elkin (2006). Decision curve analysis: a novel method for evaluating prediction
    models. Medical Decision Making 26(6).

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import DecisionCurveDisplay
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(500)
    >>> models = {"model": p, "squared": p**2}
    >>> display = DecisionCurveDisplay.from_predictions(rng.random(500) < p, models)
    >>> list(display.curves_)
    ['model', 'squared']
    """

    curves_: dict[str, DecisionCurve]

    def __init__(
        self, curves: dict[str, DecisionCurve], *, reference: str = "none", level: float = 0.9
    ) -> None:
        self.curves_ = dict(curves)
        self._reference, self._level = reference, level

    @classmethod
    @counted()
    def from_predictions(
        cls,
        y_true: Any,
        y_prob: Any,
        *,
        thresholds: Any = None,
        reference: str = "none",
        level: float = 0.9,
        groups: Any = None,
        sample_weight: Any = None,
        weights: Weights = "sampling",
        pos_label: Any = None,
        name: str | None = None,
        ax: Any = None,
    ) -> DecisionCurveDisplay:
        """Draw the decision curves of one or several models on the same rows.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Labels of two classes, or the fraction of events in each row.
        y_prob : array-like of shape (n,), (n, 1) or (n, 2), or dict of str to array-like
            Probabilities of the event; a dict has several models by name.
        thresholds : array-like of shape (m,), optional
            As in :func:`decision_curve`.
        reference : str, default="none"
            Draw net benefits minus that of treating nobody ("none", 0) or everybody ("all"), or
            minus that of the model of this name.
        level : float, default=0.9
            Confidence level of the bands.
        groups, sample_weight, weights, pos_label : optional
            As in :func:`decision_curve`.
        name : str, optional
            Name of a single model.
        ax : Axes, optional
            As in :meth:`plot`.

        Returns
        -------
        display : DecisionCurveDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If the data or settings are invalid.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from calibkit import DecisionCurveDisplay
        >>> display = DecisionCurveDisplay.from_predictions(
        ...     [1, 1, 0, 0] * 20, [0.9, 0.3, 0.8, 0.1] * 20, thresholds=[0.2, 0.5]
        ... )
        >>> display.frame()[["model", "thresholds", "net_benefit"]].round(3)
           model  thresholds  net_benefit
        0  Model         0.2        0.438
        1  Model         0.5        0.000
        """
        require("matplotlib", "plot")
        models = by_name(y_prob, name, "y_prob")
        known = isinstance(reference, str) and reference in ("none", "all", *models)
        if not known or models.keys() == {reference}:
            others = [] if len(models) == 1 else list(models)
            raise InputError(
                f"reference={spelled(reference)}; expected one of "
                f"{', '.join(map(spelled, ['none', 'all', *others]))}."
            )
        curves = {}
        for model, p in models.items():
            if model == reference:
                continue
            with called(part=f" ({model})" if len(models) > 1 else ""):
                curves[model] = decision_curve(
                    y_true,
                    p,
                    thresholds=thresholds,
                    reference=models.get(reference, reference),
                    level=level,
                    groups=groups,
                    sample_weight=sample_weight,
                    weights=weights,
                    pos_label=pos_label,
                )
        return cls(curves, reference=reference, level=level).plot(ax)

    @property
    def _has_bands(self) -> bool:
        return len(self.curves_) <= _MOST_BANDS

    @property
    def _key_columns(self) -> int:
        return 2 if len(self.curves_) > 4 and max(map(len, self.curves_)) <= 24 else 1

    def _size(self) -> tuple[float, float]:
        lines = (4 + len(self.curves_)) / self._key_columns
        return WIDTH, 0.75 * WIDTH + line_height() * lines

    def _draw(self, ax: Any) -> None:
        handles = []
        for i, (model, curve) in enumerate(self.curves_.items()):
            style = {"color": style_of(i)["color"], "label": short_name(model)}
            style |= {"lw": 1.4, "ls": "-" if i < 7 else "--", "gid": f"curve:{model}"}
            # A single threshold has no line.
            style |= {"marker": "o", "ms": 4.5} if len(curve.thresholds) < 10 else {}
            handles += ax.plot(curve.thresholds, curve.net_benefit, **style)
            if self._has_bands:
                band = {"color": style["color"], "alpha": 0.15, "lw": 0, "gid": f"band:{model}"}
                ax.fill_between(curve.thresholds, curve.low, curve.high, **band)
        line = {"color": GREY, "lw": 1.0, "zorder": 1.5}
        for name, ls in (("all", "-."), ("none", ":")):
            values = getattr(curve, f"treat_{name}")
            told = {"label": f"treat {name}", "gid": f"treat:{name}", "ls": ls}
            handles += ax.plot(curve.thresholds, values, **told, **line)
        if self._reference not in ("all", "none"):
            told = {"label": f"{short_name(self._reference)} (reference)", "gid": "reference"}
            handles.append(ax.axhline(0.0, color="black", lw=0.8, zorder=1.5, **told))
        ax.set(ylim=self._limits())
        ax.set_xlabel("Threshold probability", fontsize=font_size())
        minus = "" if self._reference == "none" else ", minus that of the reference"
        minus = ", minus that of treating all" if self._reference == "all" else minus
        ax.set_ylabel(f"Net benefit{minus}", fontsize=font_size())
        plain_axes(ax)
        title = f"bands: {percent(self._level)} intervals, for each threshold alone"
        key = key_style(title if self._has_bands else None)
        place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": self._key_columns}
        draw_key(ax, handles, **place, **key)

    def _limits(self) -> tuple[float, float]:
        """Ends of the vertical scale: of the models, without the widest bands."""
        low, value, high = (
            np.concatenate([getattr(c, k) for c in self.curves_.values()])
            for k in ("low", "net_benefit", "high")
        )
        # The loss by treating all has no limit as the threshold comes near 1.
        most = np.quantile(value, 0.75) if self._reference == "all" else value.max()
        top = max(0.0, most, np.quantile(high, 0.75))
        bottom = min(0.0, value.min(), np.quantile(low, 0.25))
        if self._reference == "none":
            bottom = max(bottom, -0.3 * top)
        margin = 0.05 * (top - bottom) or 1e-3
        return float(bottom - margin), float(top + margin)

    def _parts(self) -> Iterator[dict[str, Any]]:
        for model, curve in self.curves_.items():
            yield {"model": model, **curve._asdict()}
