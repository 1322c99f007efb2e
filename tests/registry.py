"""Every example instance, the one list that the suite parametrises over, and what may fail."""

from __future__ import annotations

import sklearn

from calibkit import (
    BetaCalibrator,
    HistogramBinningCalibrator,
    IsotonicCalibrator,
    OneVsRestCalibrator,
    PlattCalibrator,
    ScalingBinningCalibrator,
    TemperatureCalibrator,
    TopLabelCalibrator,
)
from calibkit._core.base import BaseCalibrator
from calibkit._registry import CALIBRATORS
from calibkit.online import HedgingCalibrator, OnlineBetaCalibrator, WindowedCalibrator

LIFTS = [
    OneVsRestCalibrator(PlattCalibrator()),
    OneVsRestCalibrator(IsotonicCalibrator()),
    TopLabelCalibrator(BetaCalibrator()),
    TopLabelCalibrator(IsotonicCalibrator()),
    OneVsRestCalibrator(HistogramBinningCalibrator(n_bins="auto")),
    OneVsRestCalibrator(ScalingBinningCalibrator()),
    OneVsRestCalibrator(ScalingBinningCalibrator(), first=TemperatureCalibrator()),
    TopLabelCalibrator(BetaCalibrator(), first=TemperatureCalibrator()),
    TopLabelCalibrator(ScalingBinningCalibrator(n_bins=2)),
    TopLabelCalibrator(PlattCalibrator(), by_class=True, min_rows=20),
    TopLabelCalibrator(HistogramBinningCalibrator(points_per_bin=50), by_class=True),
]

#: Plain calibrators come from the registry, so that a new one is tested unasked.
PLAIN: list[BaseCalibrator] = [
    example
    for cls in CALIBRATORS.values()
    if "lift" not in cls._traits
    for example in cls._examples()
]

#: Online calibrators of batch ones, and of others than their default.
HELD = [
    WindowedCalibrator(PlattCalibrator(), window=200, refit_every=50),
    WindowedCalibrator(IsotonicCalibrator(), refit_every=40, first_fit=20),
    HedgingCalibrator(OnlineBetaCalibrator(), n_bins=5, random_state=0),
]

EXAMPLES = PLAIN + LIFTS + HELD


def expected_failures(example: BaseCalibrator) -> dict[str, str]:
    """scikit-learn checks that a calibrator fails by intent, with the reason; strict."""
    if "multiclass" in example._traits:
        return {}  # the check's labels have three classes, and one score per row can't hold them
    expected = {"check_fit1d": "scores of shape (n,) are the usual input of a calibrator"}
    if "online" in example._traits:
        return expected
    if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7):
        expected["check_sample_weight_equivalence_on_dense_data"] = (
            "scikit-learn 1.6 gives three classes to a classifier tagged as binary"
        )
    return expected


def classifier_failures(example: BaseCalibrator) -> dict[str, str]:
    """Checks that ``CalibratedClassifier`` may fail with a calibrator, with the reason."""
    if "online" in example._traits:
        reason = "it learns rows in their order, one step for each, and takes no weights"
        names = ["s_not_overwritten", "_equivalence_on_dense_data", "_equivalence_on_sparse_data"]
        return {f"check_sample_weight{name}": reason for name in names}
    return {}


def name_of(example: BaseCalibrator) -> str:
    return repr(example)
