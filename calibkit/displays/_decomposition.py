"""Miscalibration against discrimination of many models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._core.errors import called
from .._core.optional import require
from .._core.params import generator, percent
from .._core.warnings import counted
from .._typing import Kind, Weights
from ..metrics import Estimate, ScoreDecomposition, decompose_score, estimate
from ._base import ModelsDisplay, by_name
from ._style import (
    GREY,
    WIDTH,
    draw_key,
    font_size,
    key_size,
    key_style,
    line_height,
    plain_axes,
    short_name,
    style_of,
)

_LABELS = {"brier": "Brier score", "log": "log loss"}


class DecompositionDisplay(ModelsDisplay):
    """Miscalibration against discrimination: one dot for each model, and lines of equal score.

    Use it to see which of many models is better, and whether by better calibration (further left)
    or by better discrimination (higher up). Make it by :meth:`from_predictions` or
    :meth:`from_estimator`; :meth:`plot` draws it again.

    Parameters
    ----------
    parts : dict of str to ScoreDecomposition
        From :func:`decompose_score`, by name, all of the same loss.
    miscalibration : dict of str to Estimate, optional
        :func:`estimate` of :func:`corp_miscalibration`, by name: intervals and null bands.

    Attributes
    ----------
    curves_ : dict of str to ScoreDecomposition
        The parts of each model's score.
    miscalibration_ : dict of str to Estimate
        Miscalibration with interval and null band; empty if it was not passed.
    ax_ : Axes
        The panel.
    figure_ : Figure or SubFigure
        The figure of the axes.

    Notes
    -----
    ``score = miscalibration - discrimination + uncertainty``. The uncertainty is the score of
    always predicting the base rate, and the same for all models of the same event: the lines show
    the score. For the predicted class of K classes each model has its own event, and the lines show
    the score minus the uncertainty.

    Isotonic regression on few rows finds miscalibration in calibrated scores too. The light bar
    shows how much (the null band), with a tick at its mean. The thin bar is the confidence interval
    of the model's miscalibration. Often it ends at the dot, which is too far right by the same
    effect.

    References
    ----------
    T. Dimitriadis, T. Gneiting, A. Jordan (2021). Stable reliability diagrams for probabilistic
    classifiers. PNAS 118(8).

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import DecompositionDisplay
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(500)
    >>> models = {"model": p, "squared": p**2}
    >>> display = DecompositionDisplay.from_predictions(
    ...     rng.random(500) < p, models, random_state=0
    ... )
    >>> {name: round(parts.miscalibration, 3) for name, parts in display.curves_.items()}
    {'model': 0.009, 'squared': 0.04}
    """

    curves_: dict[str, ScoreDecomposition]
    _of_classes = True

    def __init__(
        self,
        parts: dict[str, ScoreDecomposition],
        miscalibration: dict[str, Estimate] | None = None,
    ) -> None:
        self.curves_, self.miscalibration_ = dict(parts), dict(miscalibration or {})

    @classmethod
    @counted()
    def from_predictions(
        cls,
        y_true: Any,
        y_prob: Any,
        *,
        loss: str = "brier",
        kind: Kind | None = None,
        sample_weight: Any = None,
        weights: Weights = "sampling",
        pos_label: Any = None,
        classes: Any = None,
        level: float = 0.9,
        n_resamples: int = 200,
        groups: Any = None,
        random_state: Any = None,
        name: str | None = None,
        ax: Any = None,
    ) -> DecompositionDisplay:
        """Decompose the scores of one or several models on the same rows, and draw them.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Labels. For two classes also fractions of events in [0, 1].
        y_prob : array-like of shape (n,), (n, 2) or (n, K), or dict of str to array-like
            Probabilities of the event, or of every class; a dict has several models by name.
        loss : {"brier", "log"}, default="brier"
            Brier score of the event, or log loss in nats.
        kind, sample_weight, weights, pos_label, classes : optional
            As in :func:`decompose_score`.
        level, n_resamples, groups, random_state : optional
            As in :func:`estimate`; default of ``n_resamples``: 200.
        name : str, optional
            Name of a single model.
        ax : Axes, optional
            As in :meth:`plot`.

        Returns
        -------
        display : DecompositionDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If the data or settings are invalid.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from calibkit import DecompositionDisplay
        >>> display = DecompositionDisplay.from_predictions(
        ...     [1, 1, 0, 0] * 20, [0.9, 0.3, 0.8, 0.1] * 20, random_state=0
        ... )
        >>> display.frame()[["model", "score", "uncertainty", "loss"]].round(4)
           model   score  uncertainty   loss
        0  Model  0.2875         0.25  brier
        """
        require("matplotlib", "plot")
        rng = generator(random_state)
        models, parts, found = by_name(y_prob, name, "y_prob"), {}, {}
        data: dict[str, Any] = {"sample_weight": sample_weight, "weights": weights, "kind": kind}
        data |= {"pos_label": pos_label, "classes": classes, "loss": loss}
        drawn = {"level": level, "n_resamples": n_resamples, "groups": groups, "random_state": rng}
        for model, p in models.items():
            with called(part=f" ({model})" if len(models) > 1 else ""):
                parts[model] = decompose_score(y_true, p, **data)
                found[model] = estimate("corp_miscalibration", y_true, p, **data, **drawn)
        return cls(parts, found).plot(ax)

    @property
    def _key_columns(self) -> int:
        return 2 if len(self.curves_) > 4 and max(map(len, self.curves_)) <= 16 else 1

    def _size(self) -> tuple[float, float]:
        lines = (3 + len(self.curves_)) / self._key_columns
        return WIDTH, 0.85 * WIDTH + line_height() * lines

    def _draw(self, ax: Any) -> None:
        label = _LABELS[next(iter(self.curves_.values())).loss]
        self._set_limits(ax)
        handles = []
        for i, (model, parts) in enumerate(self.curves_.items()):
            style, y = style_of(i), parts.discrimination
            if e := self.miscalibration_.get(model):
                bar = {"color": style["color"], "zorder": 2}
                ends = e.low, e.high
                ax.hlines(y, *ends, lw=1.2, alpha=0.8, gid=f"interval:{model}", **bar)
                if e.null_low is not None:
                    null = e.null_low, e.null_high
                    ax.hlines(y, *null, lw=6.0, alpha=0.2, gid=f"null:{model}", **bar)
                    ax.plot([e.null], [y], marker="|", ms=6, mew=0.8, ls="none", **bar)
            text = f"{short_name(model)}, {parts.score:.4f}"
            told = {"label": text, "gid": f"dot:{model}", "ls": "none", "ms": 6.0, "zorder": 3}
            spot = {**style, **told, "clip_on": False}
            handles += ax.plot([parts.miscalibration], [y], **spot)
        self._draw_lines(ax)
        ax.set_xlabel(f"Miscalibration ({label})", fontsize=font_size())
        ax.set_ylabel("Discrimination", fontsize=font_size())
        plain_axes(ax)
        place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": self._key_columns}
        draw_key(ax, handles, **place, **key_style(self._heading(label)))

    def _heading(self, label: str) -> str:
        lines = [f"{label}; grey lines: equal {label}"]
        lines[0] += "" if self._common else " minus uncertainty"
        for e in list(self.miscalibration_.values())[:1]:
            lines.append(f"thin bar: {percent(e.level)} interval; light bar: if calibrated")
        return "\n".join(lines)

    @property
    def _common(self) -> float | None:
        """The uncertainty of all models, if it is the same."""
        found = [parts.uncertainty for parts in self.curves_.values()]
        return found[0] if np.ptp(found) <= 1e-9 * max(found) else None

    def _set_limits(self, ax: Any) -> None:
        parts, found = self.curves_.values(), self.miscalibration_.values()
        right = max(p.miscalibration for p in parts)
        right = max([right, *(e.high for e in found), *(e.null_high or 0.0 for e in found)])
        ys = [p.discrimination for p in parts]
        low, top = min(ys), max(ys) or 1e-3
        # Several models of much the same discrimination are shown apart, without the origin.
        alike = len(ys) > 1 and low >= 0.6 * top
        low = low - max(0.3 * (top - low), 0.05 * top) if alike else 0.0
        top += 0.08 * (top - low)
        ax.set(xlim=(0.0, 1.1 * right or 1e-3), ylim=(low, top))

    def _draw_lines(self, ax: Any) -> None:
        """Draw lines of equal score, with the score at their ends."""
        (left, right), (low, top) = ax.get_xlim(), ax.get_ylim()
        base = self._common or 0.0
        ticks = require("matplotlib.ticker", "plot").MaxNLocator(7)
        for score in ticks.tick_values(base + left - top, base + right - low):
            # On the line, discrimination = miscalibration + rise.
            rise = base - score
            ends = np.array([max(left, low - rise), min(right, top - rise)])
            if ends[1] - ends[0] < 0.02 * (right - left):
                continue
            ax.plot(ends, ends + rise, color=GREY, lw=0.5, alpha=0.6, zorder=1, gid="score")
            at_top = ends[1] < right
            place = {"ha": "right", "va": "top"} if at_top else {"ha": "left", "va": "center"}
            if at_top and ends[1] - left < 0.12 * (right - left):
                continue  # there is no room for the number
            text = f"{score:.6g}".replace("-", "\N{MINUS SIGN}")
            style = {"color": GREY, "fontsize": 0.9 * key_size(), "textcoords": "offset points"}
            ax.annotate(text, (ends[1], ends[1] + rise), (-2 if at_top else 3, 0), **place, **style)

    def _parts(self) -> Iterator[dict[str, Any]]:
        for model, parts in self.curves_.items():
            e = self.miscalibration_.get(model)
            kept = ("low", "high", "null", "null_low", "null_high", "p_value")
            told = {} if e is None else {key: getattr(e, key) for key in kept}
            yield {key: [value] for key, value in {"model": model, **vars(parts), **told}.items()}
