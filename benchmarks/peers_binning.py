"""Binning calibrators of the peers: one small function for each peer and task, as in peers.py.

All fit equal-mass bins and predict the new rows. The answer is a function that returns the
calibrated probabilities.
"""

from __future__ import annotations

import numpy as np
from contest import Run
from datasets import Split
from peers import PEERS as PEERS
from peers import load_torch, peer


@peer("histogram", "probmetrics BinaryHistogramBinningCalibrator(quantile)")
def _(data: Split) -> Run:
    from probmetrics.calibrators.binning import BinaryHistogramBinningCalibrator

    load_torch()
    fit, new = (np.column_stack((1.0 - part.p, part.p)) for part in (data.fit, data.new))

    def run() -> Run:
        model = BinaryHistogramBinningCalibrator(data.n_bins, "quantile").fit(fit, data.fit.y)
        q = model.predict_proba(new)
        return lambda: q[:, 1]

    return run


@peer("histogram", "netcal HistogramBinning(equal_intervals=False)")
def _(data: Split) -> Run:
    from netcal.binning import HistogramBinning

    load_torch()

    def run() -> Run:
        model = HistogramBinning(data.n_bins, equal_intervals=False).fit(data.fit.p, data.fit.y)
        q = model.transform(data.new.p)
        return lambda: np.ravel(q)

    return run


def _verified(kind: str, data: Split) -> Run:
    import calibration

    def run() -> Run:
        model = getattr(calibration, kind)(len(data.fit.y), num_bins=data.n_bins)
        model.train_calibration(data.fit.p, data.fit.y)
        q = model.calibrate(data.new.p)
        return lambda: q

    return run


@peer("histogram", "uncertainty-calibration HistogramCalibrator")
def _(data: Split) -> Run:
    return _verified("HistogramCalibrator", data)


@peer("scaling_binning", "uncertainty-calibration PlattBinnerCalibrator")
def _(data: Split) -> Run:
    return _verified("PlattBinnerCalibrator", data)
