"""Save a `CalibratedClassifier`: calibrators and parameters as JSON, estimators with skops."""

from __future__ import annotations

from base64 import b64decode, b64encode
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import numpy as np

from .._core.base import BaseCalibrator
from .._core.errors import InputError, InputTypeError, called, message_of
from .._core.labels import validate_classes
from .._core.optional import require
from .._core.printed import spelled
from .._core.saved import check_keys, labels_from_dict, labels_to_dict, short
from .._persistence import (
    UntrustedError,
    fitted_from_dict,
    fitted_to_dict,
    params_to_dict,
    template_from_dict,
)

_PARAMS = ("calibrator", "ensemble", "response_method", "n_jobs")
_MAX_BYTES = 1 << 30
KEYS = ("params", "classes", "calibrators", "estimators")


def _skops(what: str) -> Any:
    try:
        return require("skops.io", "skops")
    except ImportError as error:
        raise ImportError(
            f"{what}: the estimator of a CalibratedClassifier is saved with skops, and {error}. "
            "Without skops save the calibrator only: "
            "calibkit.save(classifier.calibrators_[0], path)."
        ) from error


def written(classifier: Any) -> dict[str, Any]:
    """A fitted classifier as a dict of plain values."""
    params = classifier.get_params(deep=False)
    fitted = classifier.estimators_
    held = {"estimator": classifier.estimator, "cv": classifier.cv, "fitted": fitted}
    text = b64encode(_skops("to_dict").dumps(held)).decode("ascii")
    return {
        "params": params_to_dict({name: params[name] for name in _PARAMS}),
        "classes": labels_to_dict(classifier.classes_),
        "calibrators": [fitted_to_dict(c._snapshot()) for c in classifier.calibrators_],
        "estimators": text,
    }


def classifier_from_dict(cls: Any, data: dict[str, Any], trusted: Any) -> Any:
    """The classifier, if skops or the user trusts all types of its estimators."""
    params, what = data["params"], cls.name
    check_keys(params, set(_PARAMS), f"params of {what}")
    if isinstance(params["calibrator"], dict):
        params = {**params, "calibrator": template_from_dict(params["calibrator"])}
    labels = labels_from_dict(data["classes"], what)
    with called(part=f": {what}"):
        classes = validate_classes(labels)
    calibrators = data["calibrators"]
    if not isinstance(calibrators, list):
        raise InputError(f"calibrators is {short(calibrators)}; expected a list.")
    calibrators = [fitted_from_dict(c) for c in calibrators]
    held = _estimators(data["estimators"], trusted)
    try:
        model = cls(held["estimator"], cv=held["cv"], **params)
        model._check_params()
    except (TypeError, ValueError) as error:
        raise InputError(f"params of {what}: {message_of(error)}") from error
    model.classes_, model.estimators_, model.calibrators_ = classes, held["fitted"], calibrators
    _check_together(model)
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(model.estimators_[0], name):
            setattr(model, name, getattr(model.estimators_[0], name))
    return model


def _estimators(text: Any, trusted: Any) -> dict[str, Any]:
    io = _skops("from_dict")
    trusted = [] if trusted is None else trusted
    if isinstance(trusted, str) or not all(isinstance(name, str) for name in trusted):
        raise InputTypeError(f"trusted={spelled(trusted)}; expected a list of type names.")
    try:
        data = b64decode(text, validate=True)
        if sum(part.file_size for part in ZipFile(BytesIO(data)).infolist()) > _MAX_BYTES:
            raise ValueError("they are larger than 1 GiB when unpacked")
        unknown = sorted(set(io.get_untrusted_types(data=data)) - set(trusted))
        if unknown:
            raise UntrustedError(unknown, list(trusted))
        held = io.loads(data, trusted=list(trusted))
    except UntrustedError:
        raise
    except Exception as error:  # a broken archive may raise anything
        raise InputError(f"estimators can't be read by skops: {message_of(error)}") from error
    if not isinstance(held, dict) or set(held) != {"estimator", "cv", "fitted"}:
        raise InputError("estimators were not written by a CalibratedClassifier.")
    return held


def _check_together(model: Any) -> None:
    """Raise unless the parts belong to one classifier."""
    own, calibrators = model.estimators_, model.calibrators_
    if not isinstance(own, list) or not own or len(own) != len(calibrators):
        raise InputError(
            f"estimators is {short(own)}, with {len(calibrators)} calibrators; expected a list "
            "with one estimator for each calibrator."
        )
    for estimator, calibrator in zip(own, calibrators, strict=True):
        assert isinstance(calibrator, BaseCalibrator)
        if not np.array_equal(calibrator.classes_, model.classes_):
            raise InputError("a calibrator has other classes than the classifier.")
        known = getattr(estimator, "classes_", model.classes_)
        if not set(np.asarray(known).tolist()) <= set(model.classes_.tolist()):
            raise InputError("an estimator has other classes than the classifier.")
        if not (hasattr(estimator, "predict_proba") or hasattr(estimator, "decision_function")):
            raise InputError(
                f"{type(estimator).__name__} has no predict_proba or decision_function; expected "
                "a classifier."
            )
