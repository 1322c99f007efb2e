"""Debiased errors and intervals of the peers: one small function for each, as in peers.py."""

from __future__ import annotations

import config
import numpy as np
from contest import Run
from datasets import Binary
from peers import PEERS as PEERS
from peers import load_calibre, peer

# -- debiased errors: the answer is a number ----------------------------------------------------


@peer("debiased_l2", "calibre debiased_calibration_error")
def _(data: Binary) -> Run:
    metric = load_calibre().debiased_calibration_error
    return lambda: float(metric(data.y, data.p, n_bins=config.N_BINS))


def _lower_bound(data: Binary, p: int) -> Run:
    from calibration import lower_bound_scaling_ce

    return lambda: float(lower_bound_scaling_ce(data.p, data.y, p=p, num_bins=config.N_BINS))


def _calibration_error(data: Binary, p: int) -> Run:
    from calibration import get_calibration_error

    return lambda: float(get_calibration_error(data.p, data.y, p=p))  # 15 bins, its own choice


@peer("debiased_l2", "uncertainty-calibration lower_bound_scaling_ce(p=2)")
def _(data: Binary) -> Run:
    return _lower_bound(data, 2)


@peer("debiased_l2", "uncertainty-calibration get_calibration_error(p=2)")
def _(data: Binary) -> Run:
    return _calibration_error(data, 2)


@peer("debiased_l1", "uncertainty-calibration lower_bound_scaling_ce(p=1)")
def _(data: Binary) -> Run:
    return _lower_bound(data, 1)


@peer("debiased_l1", "uncertainty-calibration get_calibration_error(p=1)")
def _(data: Binary) -> Run:
    return _calibration_error(data, 1)


# -- intervals: the answer is (value, low, high, rows) ------------------------------------------


@peer("interval", "calibre bootstrap_ci(percentile)")
def _(data: Binary) -> Run:
    calibre = load_calibre()

    def metric(y: np.ndarray, p: np.ndarray) -> float:
        return calibre.expected_calibration_error(y, p, n_bins=config.N_BINS)

    def run() -> tuple[float, float, float, int]:
        found = calibre.bootstrap_ci(
            metric,
            data.y,
            data.p,
            level=config.LEVEL,
            n_resamples=config.N_RESAMPLES,
            method="percentile",
        )
        return found["estimate"], found["lower"], found["upper"], len(data.y)

    return run


@peer(
    "interval",
    f"uncertainty-calibration get_calibration_error_uncertainties ({config.UNCERTAINTY_ROWS:,} "
    f"rows, {config.UNCERTAINTY_RESAMPLES} draws, x {config.UNCERTAINTY_SCALE:g})",
    scale=config.UNCERTAINTY_SCALE,
)
def _(data: Binary) -> Run:
    from calibration import get_calibration_error_uncertainties

    part = data.head(config.UNCERTAINTY_ROWS)
    percent = 100 * (1 - config.LEVEL)  # its alpha is a percentage

    def run() -> tuple[float, float, float, int]:
        low, middle, high = get_calibration_error_uncertainties(part.p, part.y, 1, percent)
        return middle, low, high, len(part.y)

    return run
