"""The calibrators of two classes that meet in the arena: the field of peers, and ours."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.special import expit

import calibkit

#: Fit to probabilities, labels and groups or None; the map of new probabilities is returned.
Map = Callable[[np.ndarray], np.ndarray]
Method = Callable[[np.ndarray, np.ndarray, Any], Map]
#: Where probmetrics takes logarithms.
_TINY = float(np.finfo(np.float32).tiny)


def _logit(p: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(p, _TINY)) - np.log(np.maximum(1.0 - p, _TINY))


# -- the field ----------------------------------------------------------------------------------


def nothing(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
    return lambda q: q


def sklearn_isotonic(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(out_of_bounds="clip").fit(p, y)
    return lambda q: fitted.predict(q)


def sklearn_sigmoid(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
    from sklearn.calibration import _SigmoidCalibration

    fitted = _SigmoidCalibration().fit(p, y)
    return lambda q: fitted.predict(q)


def _logistic(columns: Callable[[np.ndarray], np.ndarray]) -> Method:
    def fit(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(C=np.inf, max_iter=1000).fit(columns(p), y)
        return lambda q: fitted.predict_proba(columns(q))[:, 1]

    return fit


def temperature(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
    """Temperature scaling, mixed with the uniform law as in probmetrics."""
    from scipy.optimize import minimize_scalar

    z = _logit(p)
    sign = np.where(y == 1, 1.0, -1.0)
    loss = lambda u: float(np.logaddexp(0.0, -np.exp(u) * sign * z).mean())  # noqa: E731
    beta = float(np.exp(minimize_scalar(loss, bounds=(-16, 16), method="bounded").x))
    mix = 1.0 / (len(y) + 1.0)
    return lambda q: (1.0 - mix) * expit(beta * _logit(q)) + 0.5 * mix


def histogram(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
    """Ten equal-width bins, as netcal's default."""
    bins = np.minimum((p * 10).astype(int), 9)
    count = np.bincount(bins, minlength=10)
    rate = np.bincount(bins, y, minlength=10) / np.maximum(count, 1)
    value = np.where(count > 0, rate, (np.arange(10) + 0.5) / 10)
    return lambda q: value[np.minimum((q * 10).astype(int), 9)]


def betacal(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
    from betacal import BetaCalibration

    fitted = BetaCalibration(parameters="abm").fit(p[:, None], y)
    return lambda q: fitted.predict(q[:, None])


def venn_abers(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
    from venn_abers import VennAbers

    fitted = VennAbers()
    fitted.fit(np.column_stack((1.0 - p, p)), y)
    return lambda q: fitted.predict_proba(np.column_stack((1.0 - q, q)))[0][:, 1]


def _netcal(name: str) -> Method:
    def fit(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
        from netcal import binning

        fitted = getattr(binning, name)()
        fitted.fit(p, y)
        return lambda q: np.asarray(fitted.transform(q)).ravel()

    return fit


def _probmetrics(name: str) -> Method:
    def fit(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
        from probmetrics.calibrators import get_calibrator

        fitted = get_calibrator(name)
        fitted.fit(np.column_stack((1.0 - p, p)), y)
        return lambda q: np.asarray(fitted.predict_proba(np.column_stack((1.0 - q, q))))[:, 1]

    return fit


def peers() -> dict[str, Method]:
    """The field: every peer that is installed, and plain copies of two that need none."""
    field: dict[str, Method] = {
        "none": nothing,
        "isotonic (scikit-learn)": sklearn_isotonic,
        "sigmoid (scikit-learn)": sklearn_sigmoid,
        "logistic on log-odds (scikit-learn)": _logistic(lambda p: _logit(p)[:, None]),
        "quadratic": _logistic(lambda p: np.column_stack((_logit(p), _logit(p) ** 2))),
        "temperature": temperature,
        "histogram": histogram,
    }
    if find_spec("betacal"):
        field["betacal"] = betacal
    if find_spec("venn_abers"):
        field["venn-abers"] = venn_abers
    if find_spec("torch"):
        if find_spec("netcal"):
            field |= {f"{n} (netcal)": _netcal(n) for n in ("BBQ", "ENIR")}
        if find_spec("probmetrics"):
            field |= {f"{n} (probmetrics)": _probmetrics(n) for n in ("svs", "sms", "ts-mix")}
    return field


# -- ours ---------------------------------------------------------------------------------------


def _ours(make: Callable[[], Any], grouped: bool = False) -> Method:
    def fit(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
        known = {"groups": groups} if grouped and groups is not None else {}
        fitted = make().fit(p, y, **known)
        return lambda q: fitted.predict_proba(q)[:, 1]

    return fit


def ours() -> dict[str, Method]:
    """calibkit's calibrators of two classes."""
    binned = calibkit.ScalingBinningCalibrator
    return {
        "calibkit auto": _ours(calibkit.AutoCalibrator, grouped=True),
        "calibkit spline": _ours(calibkit.SplineCalibrator, grouped=True),
        "calibkit venn_abers": _ours(calibkit.VennAbersCalibrator),
        "calibkit beta": _ours(calibkit.BetaCalibrator),
        "calibkit platt": _ours(calibkit.PlattCalibrator),
        "calibkit isotonic": _ours(calibkit.IsotonicCalibrator),
        "calibkit scaling_binning(auto)": _ours(lambda: binned(calibkit.AutoCalibrator())),
    }


#: The last fits, by their parameters: variants differ in the weights of the parts only.
_LAST: dict[Any, Any] = {}


def _fitted(p: np.ndarray, y: np.ndarray, groups: Any, params: dict[str, Any]) -> Any:
    key = (groups is not None, *params.items())
    if key not in _LAST or _LAST[key][0] is not p:
        known = {} if groups is None else {"groups": groups}
        _LAST[key] = p, calibkit.AutoCalibrator(**params).fit(p, y, **known)
    return _LAST[key][1]


def _blend(names: tuple[str, ...], gated: bool = True, grouped: bool = True, **params: Any) -> Any:
    """A variant of the automatic blend: equal weights of the named parts, with or without gate."""

    def fit(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
        own = copy(_fitted(p, y, groups if grouped else None, params))
        kept = own.weights_[0] if gated else 0.0
        used = np.array([part.name in names for part in own.parts_], dtype=float)
        used = used if used.any() else np.ones(len(used))
        own.weights_ = np.concatenate(([kept], (1.0 - kept) * used / used.sum()))
        return lambda q: own.predict_proba(q)[:, 1]

    return fit


def variants() -> dict[str, Method]:
    """Designs of the automatic calibrator that were compared on the development half."""
    every = ("spline", "beta", "venn_abers")
    return {
        "blend, no gate": _blend(every, gated=False),
        "blend, not monotone": _blend(every, monotone=False),
        "blend, groups ignored": _blend(every, grouped=False),
        "spline and Venn-Abers": _blend(("spline", "venn_abers")),
        "spline and beta": _blend(("spline", "beta")),
        "beta and Venn-Abers": _blend(("beta", "venn_abers")),
    }
