"""Calibrators of one confidence signal: by name, by example, or chosen automatically."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from .._core.base import BaseCalibrator
from .._core.errors import InputTypeError
from .._core.params import refuse_class
from .._core.printed import spelled
from .._core.warnings import CalibrationWarning
from .._registry import check_name, make_calibrator, names_without
from .._typing import FloatArray, IntArray, Scale, SignalScale
from ._beta import BetaCalibrator
from ._platt import PlattCalibrator

#: Log-likelihood, in nats, by which the third parameter of beta calibration must fit better.
_GAIN = 2.0


class PlattOrBeta(BaseEstimator):
    """Fit Platt scaling, or beta calibration if it clearly fits better.

    This is the default for confidence signals. With few rows, and for reversed signals, Platt
    scaling is chosen. ``benchmarks/choices.py`` measures the rule.
    """

    def __init__(self, scale: Scale = "probability") -> None:
        self.scale = scale

    def fit(self, X: FloatArray, y: IntArray) -> BaseCalibrator:
        """Return the chosen calibrator, fitted."""
        platt = PlattCalibrator(scale=self.scale).fit(X, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)  # Platt scaling has warned already
            beta = BetaCalibrator(scale=self.scale).fit(X, y)
        of = np.arange(len(y)), np.asarray(y, dtype=np.intp)
        chances = [m.predict_proba(X)[of].clip(1e-300) for m in (platt, beta)]
        return beta if np.log(chances[1] / chances[0]).sum() > _GAIN else platt


def validate_calibrator(calibrator: Any, scale: SignalScale) -> BaseCalibrator | PlattOrBeta:
    """Make an unfitted calibrator of a signal from a name or an example."""
    own: Scale = "probability" if scale == "probability" else "logit"
    if isinstance(calibrator, str):
        check_name("calibrator", calibrator, ["auto", *names_without("lift", "wrapper", "online")])
        if calibrator == "auto":
            return PlattOrBeta(own)
        template = make_calibrator(calibrator)
    elif isinstance(calibrator, BaseCalibrator):
        template = clone(calibrator)
    else:
        refuse_class("calibrator", calibrator)
        raise InputTypeError(
            f"calibrator={spelled(calibrator)}; expected a name such as 'platt', or a calibrator."
        )
    return template._set_scale(own)
