"""Calibrators of one confidence signal: by name, by example, or chosen automatically."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.base import BaseEstimator, clone

from .._core.base import BaseCalibrator
from .._core.errors import InputTypeError
from .._core.params import refuse_class
from .._core.printed import spelled
from .._core.warnings import CalibrationWarning
from .._registry import check_name, make_calibrator, names_without
from .._typing import FloatArray, IntArray, Scale, SignalScale
from ._auto import AutoCalibrator
from ._platt import PlattCalibrator


class AutoOrPlatt(BaseEstimator):
    """Fit :class:`AutoCalibrator`, or Platt scaling if the signal is reversed.

    This is the default for confidence signals. A signal is reversed if it is lower for correct
    outputs, as lengths are: the slope of Platt scaling is then negative, and the map of
    :class:`AutoCalibrator`, which never falls, would be constant. ``benchmarks/choices.py``
    measures the rule.
    """

    def __init__(self, scale: Scale = "probability") -> None:
        self.scale = scale

    def fit(self, X: FloatArray, y: IntArray, groups: Any = None) -> BaseCalibrator:
        """Return the chosen calibrator, fitted."""
        platt = PlattCalibrator(scale=self.scale)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)
            reversed_ = platt.fit(X, y).slope_ < 0
        chosen = platt if reversed_ else AutoCalibrator(scale=self.scale)
        return chosen.fit(X, y, groups=groups)


def validate_calibrator(calibrator: Any, scale: SignalScale) -> BaseCalibrator | AutoOrPlatt:
    """Make an unfitted calibrator of a signal from a name or an example."""
    own: Scale = "probability" if scale == "probability" else "logit"
    if isinstance(calibrator, str):
        check_name("calibrator", calibrator, names_without("lift", "wrapper", "online"))
        if calibrator == "auto":
            return AutoOrPlatt(own)
        template = make_calibrator(calibrator)
    elif isinstance(calibrator, BaseCalibrator):
        template = clone(calibrator)
    else:
        refuse_class("calibrator", calibrator)
        raise InputTypeError(
            f"calibrator={spelled(calibrator)}; expected a name such as 'auto', or a calibrator."
        )
    return template._set_scale(own)
