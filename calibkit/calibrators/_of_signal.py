"""A calibrator of one signal, by its name, by example, or chosen by the rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from .._core.base import BaseCalibrator
from .._core.errors import InputTypeError
from .._core.params import check_choice
from .._core.printed import spelled
from .._core.warnings import CalibrationWarning
from .._registry import make_calibrator, names_without
from .._typing import FloatArray, IntArray, Scale, SignalScale
from ._beta import BetaCalibrator
from ._platt import PlattCalibrator

#: Log-likelihood, in nats, by which the third parameter of beta calibration must fit better.
_GAIN = 2.0


class PlattOrBeta(BaseEstimator):
    """What rescales signals by default: beta calibration where it clearly fits better than Platt.

    Few rows don't show that it does, nor does a signal that points the wrong way, which Platt
    scaling alone turns round. ``benchmarks/choices.py`` measures it.
    """

    def __init__(self, scale: Scale = "probability") -> None:
        self.scale = scale

    def fit(self, X: FloatArray, y: IntArray) -> BaseCalibrator:
        """The calibrator of the two that is taken, fitted."""
        platt = PlattCalibrator(scale=self.scale).fit(X, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)  # Platt scaling said it already
            beta = BetaCalibrator(scale=self.scale).fit(X, y)
        of = np.arange(len(y)), np.asarray(y, dtype=np.intp)
        chances = [m.predict_proba(X)[of].clip(1e-300) for m in (platt, beta)]
        return beta if np.log(chances[1] / chances[0]).sum() > _GAIN else platt


def validate_calibrator(calibrator: Any, scale: SignalScale) -> BaseCalibrator | PlattOrBeta:
    """A new calibrator of one score per output, by name or by example."""
    own: Scale = "probability" if scale == "probability" else "logit"
    if isinstance(calibrator, str):
        batch = names_without("lift", "wrapper", "online")
        check_choice("calibrator", calibrator, ("auto", *batch))
        if calibrator == "auto":
            return PlattOrBeta(own)
        template = make_calibrator(calibrator)
    elif isinstance(calibrator, BaseCalibrator):
        template = clone(calibrator)
    else:
        raise InputTypeError(
            f"calibrator={spelled(calibrator)}; expected a name such as 'platt', or a calibrator."
        )
    return template._set_scale(own)
