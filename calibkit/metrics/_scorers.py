"""Scikit-learn scorers for the metrics."""

from __future__ import annotations

from typing import Any

from sklearn.metrics import make_scorer

from .._core.errors import InputError
from .._core.params import advice
from .._core.printed import spelled
from ._estimate import _KNOWN, METRICS, check_settings


def get_scorer_names() -> list[str]:
    """List the names that :func:`get_scorer` accepts.

    Returns
    -------
    names : list of str
        Metrics for which smaller is better have the prefix ``neg_``, as in scikit-learn.

    Examples
    --------
    >>> from calibkit import get_scorer_names
    >>> get_scorer_names()[:2]
    ['brier_skill_score', 'log_loss_skill_score']
    """
    return sorted(m.name if m.greater_is_better else f"neg_{m.name}" for m in METRICS.values())


def get_scorer(name: str, **params: Any) -> Any:
    """Make a scikit-learn scorer from one of calibkit's metrics.

    Parameters
    ----------
    name : str
        One of :func:`get_scorer_names`, for instance ``"neg_expected_calibration_error"``.
    **params
        Settings of the metric, for instance ``n_bins=10`` or ``kind="top_label"``.

    Returns
    -------
    scorer : callable
        For ``scoring=`` of ``cross_val_score``, ``GridSearchCV`` and others; larger is better.

    Raises
    ------
    ValueError
        If the name is unknown.

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
    inside = [m.name for m in _KNOWN.values() if m.greater_is_better is None]
    if isinstance(name, str) and name.removeprefix("neg_") in inside:
        raise InputError(
            f"name={spelled(name)}, for which neither larger nor smaller is better; expected one "
            f"of {', '.join(known)}. Use 'neg_corp_miscalibration' or 'neg_log_loss'."
        )
    if not isinstance(name, str) or name not in known:
        raise InputError(
            f"name={spelled(name)}; expected one of {', '.join(known)}{advice(name, known)}."
        )
    metric = METRICS[name.removeprefix("neg_")]
    own = {k: v for k, v in params.items() if k not in ("pos_label", "classes", "weights")}
    check_settings(metric, own)
    how = {"response_method": "predict_proba", "greater_is_better": metric.greater_is_better}
    return make_scorer(metric.function, **how, **params)
