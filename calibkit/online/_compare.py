"""Forecasts of several online calibrators on one stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from sklearn.base import clone

from .._core.errors import InputError, InputTypeError
from .._core.params import check_choice, check_int, default_first_fit, refuse_class
from .._core.printed import a_type, spelled
from .._typing import FloatArray, Scale
from ..calibrators import PlattCalibrator
from ._base import OnlineCalibrator
from ._calibeating import HedgingCalibrator, TrackingCalibrator
from ._scaling import OnlinePlattCalibrator
from ._stream_labels import known_classes, validate_stream
from ._windowed import WindowedCalibrator

Methods = Mapping[str, OnlineCalibrator | None]


def _default_methods(
    first_fit: int, refit_every: int, n_bins: int, scale: Scale, random_state: Any
) -> Methods:
    def batch(**settings: Any) -> WindowedCalibrator:
        return WindowedCalibrator(PlattCalibrator(scale=scale), first_fit=first_fit, **settings)

    online = OnlinePlattCalibrator(scale=scale)
    return {
        "Base": None,
        "Fixed Platt": batch(refit=False),
        "Windowed Platt": batch(refit_every=refit_every),
        "OPS": online,
        "TOPS": TrackingCalibrator(online, n_bins=n_bins, smoothing=0.0),
        "HOPS": HedgingCalibrator(online, n_bins=n_bins, random_state=random_state),
    }


def compare_online_calibrators(
    X: Any,
    y: Any,
    *,
    methods: Methods | None = None,
    first_fit: int | None = None,
    refit_every: int = 500,
    n_bins: int = 10,
    scale: Scale = "probability",
    classes: Any = None,
    random_state: Any = None,
) -> dict[str, FloatArray]:
    """Run several online calibrators on one stream; each row is forecast from the labels before it.

    Use it to choose a calibrator on a past stream. :func:`prequential_errors` measures the
    forecasts, and :meth:`DriftDisplay.from_scores` plots their errors over time.

    Parameters
    ----------
    X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
        Scores in time order.
    y : array-like of shape (n,)
        Labels; None or NaN is skipped.
    methods : dict of str to OnlineCalibrator or None, optional
        The calibrators by name, which are cloned; None returns the scores. Default: the methods of
        Gupta and Ramdas (2023), which are the scores ("Base"), Platt scaling fitted once, Platt
        scaling refitted to all past labels, online Platt scaling (OPS), tracking (TOPS,
        ``smoothing=0``) and hedging (HOPS).
    first_fit : int, optional
        Number of labels before the first fit of Platt scaling. Default: 1000, or a fifth of the
        rows if there are fewer than 5000.
    refit_every : int, default=500
        Number of labels between its fits.
    n_bins : int, default=10
        Number of bins for tracking and hedging.
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds. Calibrators in ``methods`` use their own.
    classes : array-like, optional
        The class labels in sorted order. Required if the first labels are all of one class other
        than 0 or 1.
    random_state : int, RandomState, Generator or None, default=None
        Seed of hedging.

    Returns
    -------
    forecasts : dict of str to ndarray of shape (n,), or (n, K) for K > 2 classes
        Probabilities of the larger class, or of every class.

    Raises
    ------
    ValueError
        If the data are invalid.

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML. Section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import compare_online_calibrators, prequential_errors
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(5000)
    >>> y = rng.random(5000) < p**2
    >>> for name, forecast in compare_online_calibrators(p, y, random_state=0).items():
    ...     report = prequential_errors(y, forecast, start=1000, times=[5000])
    ...     print(f"{name:14} {report.calibration_error[0]:.3f}")
    Base           0.160
    Fixed Platt    0.019
    Windowed Platt 0.017
    OPS            0.018
    TOPS           0.013
    HOPS           0.019
    """
    check_choice("scale", scale, get_args(Scale))
    _, s, _ = validate_stream(X, y, scale, known_classes(classes), allow_empty=False)
    if first_fit is None:
        first_fit = default_first_fit(len(s))
    check_int("first_fit", first_fit, low=2)
    if methods is None:
        methods = _default_methods(first_fit, refit_every, n_bins, scale, random_state)
    if not isinstance(methods, Mapping) or not methods:
        raise InputError(
            f"methods={spelled(methods)}; expected a dict of one or more methods. Pass "
            "methods={'tracking': TrackingCalibrator()}."
        )
    forecasts: dict[str, FloatArray] = {}
    for name, method in methods.items():
        if method is None:
            forecasts[str(name)] = s.probs().copy()
            continue
        refuse_class(f"methods[{spelled(name)}]", method)
        if not isinstance(method, OnlineCalibrator):
            raise InputTypeError(
                f"methods[{spelled(name)}] is {a_type(method)}; expected an online "
                "calibrator or None. For a batch calibrator, pass WindowedCalibrator(...)."
            )
        q = clone(method).predict_then_update(X, y, classes=classes)
        forecasts[str(name)] = q[:, 1].copy() if q.shape[1] == 2 else q
    return forecasts
