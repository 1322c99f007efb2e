"""Fits of the peers: one small function for each peer and task.

Each function imports its peer, converts the data to the peer's form (probabilities or logits,
arrays or tensors), and returns the call to time. The call returns the answer that the task judges,
or, if reading the answer takes time, a function that returns it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import config
import numpy as np
from contest import Contender, Run
from datasets import Binary, Multiclass

PEERS: dict[str, list[Contender]] = {}


def peer(
    task: str, name: str, scale: float = 1.0
) -> Callable[[Callable[[Any], Run]], Callable[[Any], Run]]:
    """Register an adapter."""

    def register(prepare: Callable[[Any], Run]) -> Callable[[Any], Run]:
        PEERS.setdefault(task, []).append(Contender(name, "peer", prepare, scale))
        return prepare

    return register


def load_torch() -> Any:
    import torch

    torch.set_num_threads(config.THREADS)
    return torch


def load_calibre() -> Any:
    import calibre

    if not hasattr(calibre, "TemperatureScaler"):
        raise ImportError(f"calibre {calibre.__version__} is too old; 0.14 needs Python 3.12")
    return calibre


# -- temperature: the answer is T ---------------------------------------------------------------


@peer("temperature", "calibre TemperatureScaler (probabilities)")
def _(data: Multiclass) -> Run:
    # It rejects float32 rows whose sum is off by float32 rounding, so it gets float64.
    model, probs = load_calibre().TemperatureScaler, data.probs.astype(np.float64)
    probs /= probs.sum(axis=1, keepdims=True)
    return lambda: float(model().fit(probs, data.y).temperature_)


@peer("temperature", "sklearn _TemperatureScaling (private)")
def _(data: Multiclass) -> Run:
    from sklearn.calibration import _TemperatureScaling

    return lambda: 1.0 / float(_TemperatureScaling().fit(data.logits, data.y).beta_)


@peer("temperature", "sklearn CalibratedClassifierCV(temperature), frozen")
def _(data: Multiclass) -> Run:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    class Logits(ClassifierMixin, BaseEstimator):
        """A classifier whose features are its logits."""

        def fit(self, X: Any, y: Any) -> Any:
            self.classes_ = np.arange(X.shape[1])
            return self

        def predict(self, X: Any) -> Any:
            return X.argmax(axis=1)

        def decision_function(self, X: Any) -> Any:
            return X

    network = FrozenEstimator(Logits().fit(data.logits, data.y))

    def run() -> float:
        model = CalibratedClassifierCV(network, method="temperature")
        model.fit(data.logits, data.y)
        return 1.0 / float(model.calibrated_classifiers_[0].calibrators[0].beta_)

    return run


@peer("temperature", "netcal TemperatureScaling (probabilities)")
def _(data: Multiclass) -> Run:
    from netcal.scaling import TemperatureScaling

    load_torch()
    probs = data.probs

    def run() -> float:
        return 1.0 / float(np.ravel(TemperatureScaling().fit(probs, data.y).temperature)[0])

    return run


@peer("temperature", "probmetrics TemperatureScaling (bisection)")
def _(data: Multiclass) -> Run:
    from probmetrics.calibrators.temperature_scaling import TemperatureScalingCalibrator
    from probmetrics.distributions import CategoricalLogits

    torch = load_torch()
    logits, labels = CategoricalLogits(torch.from_numpy(data.logits)), torch.from_numpy(data.y)
    return lambda: 1.0 / float(TemperatureScalingCalibrator().fit_torch(logits, labels).invtemp_)


# -- platt and beta: the answer is the calibrated probabilities, as a function ------------------


@peer("platt", "sklearn _SigmoidCalibration (private)")
def _(data: Binary) -> Run:
    from sklearn.calibration import _SigmoidCalibration

    def run() -> Run:
        model = _SigmoidCalibration().fit(data.z, data.y)
        return lambda: model.predict(data.z)

    return run


def _regression(columns: Callable[[], np.ndarray], y: np.ndarray, solver: str) -> Run:
    from sklearn.linear_model import LogisticRegression

    def run() -> Run:
        x = columns()
        model = LogisticRegression(C=1e10, solver=solver).fit(x, y)
        return lambda: model.predict_proba(x)[:, 1]

    return run


@peer("platt", "sklearn LogisticRegression(C=1e10, lbfgs)")
def _(data: Binary) -> Run:
    return _regression(lambda: data.z[:, None], data.y, "lbfgs")


@peer("platt", "sklearn LogisticRegression(C=1e10, newton-cholesky)")
def _(data: Binary) -> Run:
    return _regression(lambda: data.z[:, None], data.y, "newton-cholesky")


@peer("platt", "uncertainty-calibration get_platt_scaler")
def _(data: Binary) -> Run:
    from calibration.utils import get_platt_scaler

    def run() -> Run:
        model = get_platt_scaler(data.p, data.y)
        return lambda: model(data.p)

    return run


@peer("platt", "probmetrics BinaryLogisticCalibrator(affine)")
def _(data: Binary) -> Run:
    from probmetrics.calibrators.logistic import BinaryLogisticCalibrator

    load_torch()
    both = np.column_stack((1.0 - data.p, data.p))

    def run() -> Run:
        model = BinaryLogisticCalibrator("affine").fit(both, data.y)
        return lambda: model.predict_proba(both)[:, 1]

    return run


def _netcal(kind: str, data: Binary) -> Run:
    import netcal.scaling

    load_torch()

    def run() -> Run:
        model = getattr(netcal.scaling, kind)().fit(data.p, data.y)
        return lambda: np.ravel(model.transform(data.p))

    return run


@peer("platt", "netcal LogisticCalibration")
def _(data: Binary) -> Run:
    return _netcal("LogisticCalibration", data)


@peer("beta", "betacal BetaCalibration(abm)")
def _(data: Binary) -> Run:
    from betacal import BetaCalibration

    def run() -> Run:
        model = BetaCalibration("abm").fit(data.p, data.y)
        return lambda: model.predict(data.p)

    return run


@peer("beta", "netcal BetaCalibration")
def _(data: Binary) -> Run:
    return _netcal("BetaCalibration", data)


@peer("beta", "sklearn LogisticRegression(newton-cholesky) on log p, -log(1-p)")
def _(data: Binary) -> Run:
    return _regression(lambda: data.log_terms, data.y, "newton-cholesky")


# -- isotonic: the answer is the fit at some rows, as a function --------------------------------


@peer("isotonic", "sklearn IsotonicRegression.fit")
def _(data: Binary) -> Run:
    from sklearn.isotonic import IsotonicRegression

    def run() -> Callable[[np.ndarray], np.ndarray]:
        model = IsotonicRegression(out_of_bounds="clip").fit(data.p, data.y)
        return lambda rows: model.predict(data.p[rows])

    return run


@peer("isotonic", "scipy isotonic_regression, sorted and scattered back by us")
def _(data: Binary) -> Run:
    from scipy.optimize import isotonic_regression

    def run() -> Callable[[np.ndarray], np.ndarray]:
        order = np.argsort(data.p)
        fit = np.empty(len(order))
        fit[order] = isotonic_regression(data.y[order]).x
        return lambda rows: fit[rows]

    return run


@peer("venn_abers", "venn-abers VennAbers")
def _(data: Binary) -> Run:
    from venn_abers import VennAbers

    half = len(data.p) // 2
    both = np.column_stack((1.0 - data.p, data.p))

    def run() -> np.ndarray:
        model = VennAbers()
        model.fit(both[:half], data.y[:half])
        return model.predict_proba(both[half:])[0][:, 1]

    return run


@peer("isotonic", "calibre IsotonicCalibrator.fit")
def _(data: Binary) -> Run:
    kind = load_calibre().IsotonicCalibrator

    def run() -> Callable[[np.ndarray], np.ndarray]:
        model = kind().fit(data.p, data.y)
        return lambda rows: model.transform(data.p[rows])

    return run
