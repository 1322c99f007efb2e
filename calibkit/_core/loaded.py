"""State from a file: what no calibrator could have learnt is refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import FloatArray, Scale
from .base import BaseCalibrator
from .inputs import LARGEST_LOGIT
from .scores import Scores


def check_inside(values: FloatArray, scale: Scale, name: str) -> None:
    """Raise unless numbers are such as scores on a scale may be."""
    low, high = (0.0, 1.0) if scale == "probability" else (-LARGEST_LOGIT, LARGEST_LOGIT)
    if not ((values >= low) & (values <= high)).all():
        raise ValueError(f"{name} holds others than scores in [{low:g}, {high:g}]")


def check_held(name: str, held: BaseCalibrator, template: BaseCalibrator, classes: object) -> None:
    """Raise unless a calibrator can have come from fitting a clone of the template."""
    if type(held) is not type(template):
        raise ValueError(f"{name} is {held.name}, not of the class {template.name}")
    if held._input_scale() != template._input_scale():
        raise ValueError(f"{name} has another scale than its parameter")
    known = np.asarray(classes)
    if not np.array_equal(held.classes_, known) or held.classes_.dtype.kind != known.dtype.kind:
        raise ValueError(f"{name} has other classes")


def check_forecast(q: FloatArray) -> None:
    """Raise unless numbers are probabilities; rows of K of them sum to one."""
    total = q.sum(axis=1) if q.ndim == 2 else np.ones(1)
    # A mean of ones, and a sum of K parts, may be off by some last bits.
    if not ((q >= 0.0) & (q <= 1.0 + 1e-9)).all() or not (np.abs(total - 1.0) < 1e-6).all():
        raise ValueError("the state gives forecasts that are no probabilities")


def try_out(calibrator: Any) -> None:
    """Raise unless it forecasts scores of all sizes, and can learn; it stays as it is."""
    s = _some_scores(calibrator._input_scale(), len(calibrator.classes_))
    with np.errstate(all="ignore"):
        check_forecast(calibrator._calibrate(s))
        if "online" in calibrator._traits:
            calibrator._try_to_learn(s)


def _some_scores(scale: Scale, k: int) -> Scores:
    """Scores from one end of the scale to the other."""
    ends = (-LARGEST_LOGIT, -1.0, 0.0, 1.0, LARGEST_LOGIT)
    z = np.array(ends)
    if k > 2:
        z = np.zeros((len(ends), k))
        z[:, 0] = ends
        z[-1, ::2] = 1.0
    s = Scores(z, "logit")
    return s if scale == "logit" else Scores(s.probs(), "probability")
