"""Metrics of the peers: one small function for each peer and task, as in peers.py."""

from __future__ import annotations

import config
import numpy as np
from contest import Run
from datasets import Binary, Multiclass
from peers import PEERS as PEERS
from peers import load_calibre, load_torch, peer

# -- ECE: the answer is a number ----------------------------------------------------------------


def _netcal_ece(p: np.ndarray, y: np.ndarray, **settings: bool) -> Run:
    from netcal.metrics import ECE

    return lambda: float(ECE(config.N_BINS, **settings).measure(p, y))


def _verified_ece(name: str, p: np.ndarray, y: np.ndarray) -> Run:
    import calibration

    return lambda: float(getattr(calibration, name)(p, y, num_bins=config.N_BINS))


@peer("ece_uniform", "relplot binnedECE")
def _(data: Binary) -> Run:
    from relplot.metrics import binnedECE

    return lambda: float(binnedECE(data.p, data.y, nbins=config.N_BINS))


@peer("ece_uniform", "calibre expected_calibration_error")
def _(data: Binary) -> Run:
    metric = load_calibre().expected_calibration_error
    return lambda: float(metric(data.y, data.p, n_bins=config.N_BINS))


@peer("ece_uniform", "torchmetrics binary_calibration_error")
def _(data: Binary) -> Run:
    from torchmetrics.functional.classification import binary_calibration_error

    p, y = load_torch().from_numpy(data.p), load_torch().from_numpy(data.y)
    return lambda: float(binary_calibration_error(p, y, n_bins=config.N_BINS, norm="l1"))


@peer("ece_uniform", "netcal ECE")
def _(data: Binary) -> Run:
    return _netcal_ece(data.p, data.y)


@peer("ece_uniform", "uncertainty-calibration get_ece")
def _(data: Binary) -> Run:
    return _verified_ece("get_ece", data.p, data.y)


@peer("ece_quantile", "calibre plugin_calibration_error(norm=1)")
def _(data: Binary) -> Run:
    metric = load_calibre().plugin_calibration_error
    return lambda: float(metric(data.y, data.p, n_bins=config.N_BINS, norm=1))


@peer("ece_quantile", "netcal ECE(equal_intervals=False)")
def _(data: Binary) -> Run:
    return _netcal_ece(data.p, data.y, equal_intervals=False)


@peer("ece_quantile", "uncertainty-calibration get_ece_em")
def _(data: Binary) -> Run:
    return _verified_ece("get_ece_em", data.p, data.y)


@peer("ece_top_label", "relplot multiclass_logits_to_confidences + binnedECE")
def _(data: Multiclass) -> Run:
    from relplot.metrics import binnedECE, multiclass_logits_to_confidences

    probs = data.probs

    def run() -> float:
        confidence, right = multiclass_logits_to_confidences(probs, data.y, probs=True)
        return float(binnedECE(confidence, right, nbins=config.N_BINS))

    return run


@peer("ece_top_label", "torchmetrics multiclass_calibration_error")
def _(data: Multiclass) -> Run:
    from torchmetrics.functional.classification import multiclass_calibration_error

    p, y = load_torch().from_numpy(data.probs), load_torch().from_numpy(data.y)
    k = p.shape[1]
    return lambda: float(multiclass_calibration_error(p, y, k, n_bins=config.N_BINS, norm="l1"))


@peer("ece_top_label", "netcal ECE")
def _(data: Multiclass) -> Run:
    return _netcal_ece(data.probs, data.y)


@peer("ece_top_label", "uncertainty-calibration get_ece")
def _(data: Multiclass) -> Run:
    return _verified_ece("get_ece", data.probs, data.y)


# -- bootstrap: the answer is (value, low, high, rows) ------------------------------------------


@peer("bootstrap", f"calibre bootstrap_ci (on {config.BOOTSTRAP_PEER_ROWS:,} rows only)")
def _(data: Binary) -> Run:
    calibre, part = load_calibre(), data.head(config.BOOTSTRAP_PEER_ROWS)

    def metric(y: np.ndarray, p: np.ndarray) -> float:
        return calibre.expected_calibration_error(y, p, n_bins=config.N_BINS)

    def run() -> tuple[float, float, float, int]:
        found = calibre.bootstrap_ci(
            metric,
            part.y,
            part.p,
            level=config.LEVEL,
            n_resamples=config.N_RESAMPLES,
            method="percentile",
        )
        return found["estimate"], found["lower"], found["upper"], len(part.y)

    return run
