"""Calibrators and metrics by name, collected from their packages."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any

from sklearn.metrics import make_scorer

from . import _online, calibrators
from ._core.base import BaseCalibrator
from ._core.params import advice, check_names, main_name
from .metrics import METRICS
from .metrics._estimate import check_settings

CALIBRATORS: dict[str, type[BaseCalibrator]] = {
    c.name: c
    for package in (calibrators, _online)
    for c in vars(package).values()
    if isinstance(c, type) and issubclass(c, BaseCalibrator)
}
#: Calibrators that are made of another one.
NEEDY = [
    name
    for name, cls in CALIBRATORS.items()
    if "calibrator" in (known := signature(cls).parameters)
    and known["calibrator"].default is Parameter.empty
]


def make_calibrator(name: str, **params: Any) -> BaseCalibrator:
    """A calibrator by its registry name.

    Parameters
    ----------
    name : str
        One of ``"identity", "platt", "temperature", "beta", "isotonic", "histogram",
        "scaling_binning"``, of streams ``"tracking"`` (also ``"tops"``), ``"hedging"``
        (``"hops"``), ``"online_platt"`` (``"ops"``), ``"online_beta"`` (``"obs"``),
        ``"online_temperature", "adaptive_platt"`` (``"adaptive"``), or one that needs
        ``calibrator=...``: ``"windowed"``, or a lift, ``"one_vs_rest"`` or ``"top_label"``.
    **params
        Hyper-parameters of the calibrator.

    Returns
    -------
    calibrator : BaseCalibrator
        Not fitted.

    Raises
    ------
    ValueError
        If the name is not known.
    TypeError
        If a parameter is not known, or ``calibrator`` is missing.

    Examples
    --------
    >>> from calibkit import make_calibrator
    >>> make_calibrator("platt", smooth_targets=True)
    PlattCalibrator(smooth_targets=True)
    """
    name = main_name(name) if isinstance(name, str) else name
    if not isinstance(name, str) or name not in CALIBRATORS:
        raise ValueError(
            f"make_calibrator: name={name!r}; expected one of {', '.join(sorted(CALIBRATORS))}"
            f"{advice(name, CALIBRATORS)}."
        )
    cls = CALIBRATORS[name]
    parameters = signature(cls).parameters
    check_names(f"make_calibrator({name!r})", params, parameters)
    if name in NEEDY and "calibrator" not in params:
        inner = "PlattCalibrator()"
        raise TypeError(
            f"make_calibrator({name!r}): {cls.__name__} makes a calibrator of another one; "
            f"expected which. Write {cls.__name__}({inner}), or make_calibrator({name!r}, "
            f"calibrator={inner})."
        )
    return cls(**params)


def get_scorer_names() -> list[str]:
    """Names that :func:`get_scorer` knows.

    Returns
    -------
    names : list of str
        Metrics of which smaller is better carry the prefix ``neg_``, as in scikit-learn.

    Examples
    --------
    >>> from calibkit import get_scorer_names
    >>> get_scorer_names()[:2]
    ['brier_skill_score', 'log_loss_skill_score']
    """
    return sorted(m.name if m.greater_is_better else f"neg_{m.name}" for m in METRICS.values())


def get_scorer(name: str, **params: Any) -> Any:
    """A scikit-learn scorer of one of calibkit's metrics.

    Parameters
    ----------
    name : str
        One of :func:`get_scorer_names`, for instance ``"neg_expected_calibration_error"``.
    **params
        Settings of the metric, for instance ``n_bins=10`` or ``kind="top_label"``.

    Returns
    -------
    scorer : callable
        For ``scoring=`` of ``cross_val_score``, ``GridSearchCV`` and the like; larger is better.

    Raises
    ------
    ValueError
        If the name is not known.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from calibkit import get_scorer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> cross_val_score(GaussianNB(), X, y, scoring=get_scorer("brier_skill_score")).round(1)
    array([0.7, 0.7, 0.8, 0.8, 0.8])
    """
    known = get_scorer_names()
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"get_scorer: name={name!r}; expected one of {', '.join(known)}{advice(name, known)}."
        )
    metric = METRICS[name.removeprefix("neg_")]
    check_settings(
        metric,
        {k: v for k, v in params.items() if k not in ("pos_label", "classes", "weights")},
        "get_scorer",
    )
    return make_scorer(
        metric.function,
        response_method="predict_proba",
        greater_is_better=metric.greater_is_better,
        **params,
    )
