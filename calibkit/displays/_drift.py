"""Calibration error and sharpness of streams over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._core.errors import InputError
from .._core.optional import require
from .._core.params import check_real, default_first_fit
from .._core.rows import validate_stream_rows
from .._core.warnings import counted
from .._typing import FloatArray, Scale, StreamKind
from ..online import (
    CalibrationAlarm,
    OnlineCalibrator,
    Prequential,
    compare_online_calibrators,
    prequential_errors,
)
from ._base import Display, by_name
from ._drift_draw import Drift, draw


class DriftDisplay(Display):
    """Plot of calibration error and sharpness over time, for one or several methods.

    Use it to see whether forecasts stay calibrated under drift, and how much sharpness the
    recalibration costs. Sharpness measures how well the forecasts separate events from the rest: it
    is the mean squared event rate of the bins; larger is better. :meth:`from_predictions` draws
    forecasts that you already have; :meth:`from_scores` runs the methods of the paper on a stream
    of scores and draws them.

    Parameters
    ----------
    drift : Drift
        Computed by the constructors.

    Attributes
    ----------
    curves_ : dict of str to Prequential
        The lines, by method: errors since the start, and in the sliding window.
    alarms_ : dict of str to int or None
        Row at which each method's alarm was raised, or None; empty without ``alarm``.
    forecasts_ : dict of str to ndarray
        The measured forecasts, by method.
    ax_ : ndarray of two Axes
        Calibration error and sharpness.
    figure_ : Figure or SubFigure
        The figure of the axes.

    Notes
    -----
    :func:`prequential_errors` computes the numbers. The dotted line is approximately the error
    that calibrated forecasts show by chance (computed for the first method): errors near it are
    noise. The vertical scale ignores early times, so early parts of a line may be outside it: times
    before a tenth of the labels, for sharpness also after the first 100 labels at most.

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML. Section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import DriftDisplay
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=8000)
    >>> y = rng.random(8000) < 1 / (1 + np.exp(-z - np.linspace(0, 2, 8000)))
    >>> display = DriftDisplay.from_scores(z, y, scale="logit", window=1000, random_state=0)
    >>> {name: round(float(c.calibration_error[-1]), 2) for name, c in display.curves_.items()}
    {'Base': 0.21, 'Fixed Platt': 0.19, 'Windowed Platt': 0.11, 'OPS': 0.02, 'TOPS': 0.02, \
'HOPS': 0.02}
    """

    def __init__(self, drift: Drift) -> None:
        self._drift = drift
        self.curves_: dict[str, Prequential] = drift.curves
        self.alarms_, self.forecasts_ = drift.alarms, drift.forecasts

    @classmethod
    @counted()
    def from_predictions(
        cls,
        y_true: Any,
        y_prob: Any,
        *,
        time: Any = None,
        times: Any = None,
        window: int | None = None,
        start: int = 0,
        n_bins: int = 10,
        alarm: float | None = None,
        kind: StreamKind | None = None,
        pos_label: Any = None,
        classes: Any = None,
        name: str | None = None,
        ax: Any = None,
    ) -> DriftDisplay:
        """Draw forecasts that were made before their labels arrived.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Labels in the order of time; None or NaN for a missing label.
        y_prob : array-like of shape (n,), (n, 2) or (n, K), or dict of str to array-like
            Forecasts. A dict has several methods by name.
        time : array-like of shape (n,), optional
            Time of each row for the horizontal axis: numbers or dates in ascending order.
            Default: the row number.
        times, window, start, n_bins : optional
            As in :func:`prequential_errors`: when to measure, the size of the sliding window in
            rows, the number of first rows to skip, the number of bins.
        alarm : float, optional
            False-alarm probability of a :class:`CalibrationAlarm` for each method, from row
            ``start`` on. The plot marks where an alarm is raised. Default: no alarm.
        kind, pos_label, classes : optional
            As in :func:`prequential_errors`.
        name : str, optional
            Name of a single method.
        ax : Axes or pair of Axes, optional
            As in :meth:`plot`.

        Returns
        -------
        display : DriftDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If the data or settings are invalid.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from calibkit import DriftDisplay
        >>> y, p = [0, 1, 1, 0] * 100, [0.2, 0.7, 0.8, 0.6] * 100
        >>> display = DriftDisplay.from_predictions(y, p, window=100, times=[200, 400])
        >>> display.curves_["Model"].sliding.n
        array([100, 100])
        """
        require("matplotlib", "plot")
        if alarm is not None:
            check_real("alarm", alarm, low=0.0, high=1.0, open_low=True, open_high=True)
        curves: dict[str, Prequential] = {}
        alarms: dict[str, int | None] = {}
        forecasts: dict[str, FloatArray] = {}
        n = 0
        for model, p in by_name(y_prob, name, "y_prob").items():
            curves[model] = prequential_errors(
                y_true,
                p,
                times=times,
                window=window,
                start=start,
                n_bins=n_bins,
                kind=kind,
                pos_label=pos_label,
                classes=classes,
            )
            binary, rows, n, forecasts[model] = validate_stream_rows(
                y_true, p, kind, pos_label, classes
            )
            if alarm is not None:
                late = rows >= start
                watch = CalibrationAlarm(float(alarm), classes=[0, 1])
                watch.update(binary.y[late], binary.p[late])
                rang = watch.alarm_time_
                alarms[model] = None if rang is None else int(rows[late][rang - 1]) + 1
        axis = _validate_time(time, n)
        return cls(Drift(forecasts, curves, axis, int(start), window, alarms, alarm)).plot(ax)

    @classmethod
    @counted()
    def from_scores(
        cls,
        X: Any,
        y: Any,
        *,
        methods: Mapping[str, OnlineCalibrator | None] | None = None,
        first_fit: int | None = None,
        refit_every: int = 500,
        scale: Scale = "probability",
        classes: Any = None,
        random_state: Any = None,
        time: Any = None,
        times: Any = None,
        window: int | None = None,
        n_bins: int = 10,
        alarm: float | None = None,
        start: int | None = None,
        ax: Any = None,
    ) -> DriftDisplay:
        """Run several methods on one stream of scores, and draw their errors.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores in the order of time.
        y : array-like of shape (n,)
            Labels; None or NaN for a missing label.
        methods, first_fit, refit_every, scale, classes, random_state : optional
            As in :func:`compare_online_calibrators`. Default methods: the uncalibrated scores,
            fixed and windowed Platt scaling, OPS, TOPS and HOPS.
        time, times, window, n_bins, alarm : optional
            As in :meth:`from_predictions`. TOPS and HOPS use the same number of bins.
        start : int, optional
            Number of first rows to skip; default: the rows before the first fit.
        ax : Axes or pair of Axes, optional
            As in :meth:`plot`.

        Returns
        -------
        display : DriftDisplay
            The drawn display, with the forecasts in ``forecasts_``.

        Raises
        ------
        ValueError
            If the data or settings are invalid.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> from calibkit import DriftDisplay
        >>> from calibkit.online import OnlinePlattCalibrator
        >>> rng = np.random.default_rng(0)
        >>> p = rng.random(3000)
        >>> methods = {"scores": None, "online": OnlinePlattCalibrator()}
        >>> display = DriftDisplay.from_scores(p, rng.random(3000) < p**2, methods=methods)
        >>> list(display.forecasts_)
        ['scores', 'online']
        """
        require("matplotlib", "plot")
        forecasts = compare_online_calibrators(
            X,
            y,
            methods=methods,
            first_fit=first_fit,
            refit_every=refit_every,
            n_bins=n_bins,
            scale=scale,
            classes=classes,
            random_state=random_state,
        )
        if start is None:
            start = default_first_fit(len(y)) if first_fit is None else first_fit
        return cls.from_predictions(
            y,
            forecasts,
            time=time,
            times=times,
            window=window,
            start=start,
            n_bins=n_bins,
            alarm=alarm,
            classes=classes,
            ax=ax,
        )

    def plot(self, ax: Any = None) -> DriftDisplay:
        """Draw the display again.

        Parameters
        ----------
        ax : Axes or pair of Axes, optional
            Where to draw: two axes, or one, whose place is divided. Default: a new figure.

        Returns
        -------
        display : DriftDisplay
            The same display, with ``ax_`` and ``figure_`` set.

        Raises
        ------
        ValueError
            If ``ax`` cannot be divided.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from calibkit import DriftDisplay
        >>> y, p = [0, 1, 1, 0] * 100, [0.2, 0.7, 0.8, 0.6] * 100
        >>> DriftDisplay.from_predictions(y, p).plot().ax_[1].get_ylabel()
        'Sharpness'
        """
        require("matplotlib", "plot")
        self.ax_ = draw(self._drift, ax)
        return self

    def _parts(self) -> Iterator[dict[str, Any]]:
        for method, total in self.curves_.items():
            for curve in (total, total.sliding):
                if curve is not None:
                    fields = {k: v for k, v in vars(curve).items() if isinstance(v, np.ndarray)}
                    yield {"method": method, "window": curve.window or 0, **fields}


def _validate_time(time: Any, n: int) -> np.ndarray | None:
    """Return the validated time of each row."""
    if time is None:
        return None
    axis = np.asarray(time)
    if axis.shape != (n,):
        raise InputError(f"time has shape {axis.shape}; expected one value per row, ({n},).")
    if axis.dtype.kind not in "iufM":
        raise InputError(
            f"time has the dtype {axis.dtype}; expected numbers or dates. Convert it, for instance "
            "by pandas.to_datetime."
        )
    if not (axis[1:] >= axis[:-1]).all():
        raise InputError(
            "time is not in ascending order; expected rows in the order of time. Sort the rows."
        )
    return axis
