"""The calibrators that meet in the arena: the field of peers, and ours.

A method is fitted to scores, labels, and groups or None, and returns the map of new scores. For
two classes scores are probabilities of the event, for several they have K columns.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

import calibkit

Map = Callable[[np.ndarray], np.ndarray]
Method = Callable[[np.ndarray, np.ndarray, Any], Map]


def _both(p: np.ndarray) -> np.ndarray:
    """A column for each class."""
    return np.column_stack((1.0 - p, p)) if p.ndim == 1 else p


def _like(out: Any, q: np.ndarray) -> np.ndarray:
    """Output in the form of the scores: for two classes the event only."""
    out = np.asarray(out, dtype=float)
    return out[:, 1] if q.ndim == 1 and out.ndim == 2 else out


def _one_vs_rest(method: Method) -> Method:
    """A map for each class against the rest, normalized; rows of zeros become uniform."""

    def fit(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
        maps = [method(p[:, k], (y == k).astype(int), groups) for k in range(p.shape[1])]

        def predict(q: np.ndarray) -> np.ndarray:
            out = np.column_stack([own(q[:, k]) for k, own in enumerate(maps)])
            total = out.sum(axis=1, keepdims=True)
            return np.where(total > 0, out, 1.0) / np.where(total > 0, total, out.shape[1])

        return predict

    return fit


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


def sklearn_temperature(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
    from sklearn.calibration import _TemperatureScaling

    fitted = _TemperatureScaling().fit(_both(p), y)
    return lambda q: _like(fitted.predict(_both(q)), q)


def betacal(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
    from betacal import BetaCalibration

    fitted = BetaCalibration(parameters="abm").fit(p[:, None], y)
    return lambda q: fitted.predict(q[:, None])


def venn_abers(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
    from venn_abers import VennAbers

    fitted = VennAbers()
    fitted.fit(_both(p), y)
    return lambda q: _like(fitted.predict_proba(_both(q))[0], q)


def quick_spline(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
    """splinecalib with 7 strengths and 3 folds: its 17 and 5 take minutes for 100 classes."""
    from splinecalib import SplineCalib

    fitted = SplineCalib(reg_param_vec=np.logspace(-2, 4, 7), cv_spline=3)
    fitted.fit(p, y)
    return lambda q: _like(fitted.calibrate(q), q)


def _netcal(module: str, name: str) -> Method:
    def fit(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
        fitted = getattr(import_module(f"netcal.{module}"), name)()
        fitted.fit(p, y)
        return lambda q: np.asarray(fitted.transform(q)).reshape(q.shape)

    return fit


def _probmetrics(name: str, **params: Any) -> Method:
    """A calibrator by its short name, or by that of its class."""

    def fit(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
        module = import_module("probmetrics.calibrators")
        known = getattr(module, name, None)
        fitted = known(**params) if known else module.get_calibrator(name)
        fitted.fit(_both(p), y)
        return lambda q: _like(fitted.predict_proba(_both(q)), q)

    return fit


def _of_two() -> dict[str, tuple[str, Method]]:
    """Peers for two classes, each with the package that it needs."""
    by_mass = {"n_bins": 10, "strategy": "quantile"}
    return {
        "none": ("numpy", nothing),
        "isotonic (scikit-learn)": ("sklearn", sklearn_isotonic),
        "sigmoid (scikit-learn)": ("sklearn", sklearn_sigmoid),
        "temperature (scikit-learn)": ("sklearn", sklearn_temperature),
        "beta (betacal)": ("betacal", betacal),
        "Venn-Abers (venn-abers)": ("venn_abers", venn_abers),
        "temperature, mixed (probmetrics)": ("probmetrics", _probmetrics("ts-mix")),
        "affine (probmetrics)": ("probmetrics", _probmetrics("affine-scaling")),
        "quadratic (probmetrics)": ("probmetrics", _probmetrics("quadratic-scaling")),
        "SMS (probmetrics)": ("probmetrics", _probmetrics("sms")),
        "spline (probmetrics)": ("splinecalib", _probmetrics("MLISplineCalibrator")),
        "centered isotonic (probmetrics)": ("cir_model", _probmetrics("cir")),
        "equal-mass bins (probmetrics)": (
            "probmetrics",
            _probmetrics("BinaryHistogramBinningCalibrator", **by_mass),
        ),
        "equal-width bins (netcal)": ("netcal", _netcal("binning", "HistogramBinning")),
        "BBQ (netcal)": ("netcal", _netcal("binning", "BBQ")),
        "beta (netcal)": ("netcal", _netcal("scaling", "BetaCalibration")),
    }


def _of_several() -> dict[str, tuple[str, Method]]:
    """Peers for K classes. netcal's logistic and beta calibration take minutes and are left out."""
    return {
        "none": ("numpy", nothing),
        "isotonic (scikit-learn)": ("sklearn", _one_vs_rest(sklearn_isotonic)),
        "sigmoid (scikit-learn)": ("sklearn", _one_vs_rest(sklearn_sigmoid)),
        "temperature (scikit-learn)": ("sklearn", sklearn_temperature),
        "beta (betacal)": ("betacal", _one_vs_rest(betacal)),
        "Venn-Abers (venn-abers)": ("venn_abers", _one_vs_rest(venn_abers)),
        "temperature, mixed (probmetrics)": ("probmetrics", _probmetrics("ts-mix")),
        "ensemble temperature (probmetrics)": ("probmetrics", _probmetrics("ETSCalibrator")),
        "SVS (probmetrics)": ("probmetrics", _probmetrics("svs")),
        "SMS (probmetrics)": ("probmetrics", _probmetrics("sms")),
        "centered isotonic (probmetrics)": ("cir_model", _probmetrics("cir")),
        "spline (splinecalib)": ("splinecalib", quick_spline),
        "equal-width bins (netcal)": ("netcal", _netcal("binning", "HistogramBinning")),
        "BBQ (netcal)": ("netcal", _netcal("binning", "BBQ")),
    }


def peers(several: bool = False) -> dict[str, Method]:
    """The field: every peer whose package is installed, in a release that has it."""
    from sklearn import calibration

    field = _of_several() if several else _of_two()
    found = {name: method for name, (package, method) in field.items() if find_spec(package)}
    if not hasattr(calibration, "_TemperatureScaling"):  # new in scikit-learn 1.8
        del found["temperature (scikit-learn)"]
    return found


# -- ours ---------------------------------------------------------------------------------------


def _ours(make: Callable[[], Any], grouped: bool = False) -> Method:
    def fit(p: np.ndarray, y: np.ndarray, groups: Any) -> Map:
        known = {"groups": groups} if grouped and groups is not None else {}
        fitted = make().fit(p, y, **known)
        return lambda q: _like(fitted.predict_proba(q), q)

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


def ours_of_several() -> dict[str, Method]:
    """calibkit's calibrators of K classes."""
    lift = calibkit.OneVsRestCalibrator
    return {
        "calibkit auto": _ours(calibkit.AutoCalibrator),
        "calibkit temperature": _ours(calibkit.TemperatureCalibrator),
        "calibkit vector_scaling": _ours(calibkit.VectorScalingCalibrator),
        "calibkit matrix_scaling": _ours(calibkit.MatrixScalingCalibrator),
        "calibkit one-vs-rest beta": _ours(lambda: lift(calibkit.BetaCalibrator())),
        "calibkit one-vs-rest spline": _ours(lambda: lift(calibkit.SplineCalibrator())),
        "calibkit one-vs-rest auto": _ours(lambda: lift(calibkit.AutoCalibrator())),
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
