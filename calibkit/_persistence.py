"""Save and load calibrators as JSON: exact, versioned, and safe to load from anywhere."""

from __future__ import annotations

import json
import os
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._core.base import BaseCalibrator, StateKind
from ._core.errors import InputError, InputTypeError, called, message_of
from ._core.labels import validate_classes
from ._core.printed import a_type, few, spelled
from ._core.provenance import provenance, provenance_from_dict, provenance_to_dict
from ._core.saved import (
    check_keys,
    labels_from_dict,
    labels_to_dict,
    number,
    short,
    try_out,
    vector,
    whole_file,
    with_names_of_today,
)
from ._registry import CALIBRATORS, REGISTER, class_of

FORMAT = "calibkit"
VERSION = 1
#: A lift holds binary calibrators, these may hold a scaler, and that holds none.
_MAX_DEPTH = 8
_MAX_BYTES = 1 << 30


class UntrustedError(ValueError):
    """A file holds estimators of types that the user has not declared as trusted."""

    def __init__(self, unknown: list[str], trusted: list[str]) -> None:
        super().__init__(
            f"from_dict: the estimators hold types that skops does not trust by default: "
            f"{', '.join(unknown)}; expected trusted types, because loading a type may run its "
            f"code. If you trust these: from_dict(data, trusted={spelled([*trusted, *unknown])})."
        )


def to_dict(calibrator: Any) -> dict[str, Any]:
    """Return a fitted calibrator as a dict of plain values, ready for JSON.

    Parameters
    ----------
    calibrator : calibrator, CalibratedClassifier, CalibrationAlarm, or other
        Any fitted calibrator, a fitted :class:`CalibratedClassifier` (its estimator is written by
        skops: ``pip install "calibkit[skops]"``), a :class:`CalibrationAlarm` or
        :class:`ComparisonAlarm`, or a decision rule, threshold, policy or quantile calibrator of
        ``calibkit.decisions``.

    Returns
    -------
    data : dict
        For a calibrator: format, version, class, parameters, class labels and learned state.
        JSON keeps all floats bit for bit.

    Raises
    ------
    TypeError
        If it is not of these classes, or its class labels are not ints, floats, bools or strings.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> from calibkit import PlattCalibrator, to_dict
    >>> cal = PlattCalibrator().fit([0.2, 0.7, 0.4, 0.9], [0, 1, 1, 0])
    >>> to_dict(cal)["class"]
    'platt'
    """
    cls = _check_known(calibrator)
    header = {"format": FORMAT, "version": VERSION, "class": cls.name}
    if isinstance(calibrator, BaseCalibrator):
        check_is_fitted(calibrator)
        return header | fitted_to_dict(calibrator._snapshot())
    return header | cls._to_dict(calibrator)


def from_dict(data: Any, trusted: Any = None) -> Any:
    """Return the calibrator that :func:`to_dict` wrote to a dict.

    No code from the data is run: the class is looked up by name among the known calibrators, and
    every value is checked.

    Parameters
    ----------
    data : dict
        As returned by :func:`to_dict`, or read from JSON.
    trusted : list of str, optional
        For a :class:`CalibratedClassifier`: full names of the types that its estimators may have,
        in addition to those that skops trusts by default. An error lists the missing ones.

    Returns
    -------
    calibrator : calibrator, CalibrationAlarm, or other
        Fitted; its predictions are the same, bit for bit.

    Raises
    ------
    ValueError
        If anything is missing, unknown, of the wrong type or contradictory.

    Examples
    --------
    >>> from calibkit import PlattCalibrator, from_dict, to_dict
    >>> cal = PlattCalibrator().fit([0.2, 0.7, 0.4, 0.9], [0, 1, 1, 0])
    >>> from_dict(to_dict(cal)).slope_ == cal.slope_
    True
    """
    if isinstance(data, dict) and "fitted_on" in data:
        calibrator = from_dict({k: v for k, v in data.items() if k != "fitted_on"}, trusted)
        vars(calibrator)["_fitted_on"] = provenance_from_dict(data["fitted_on"])
        return calibrator
    if isinstance(data, dict) and data.get("format") == "calibkit.CalibrationAlarm":
        data = {"class": "calibration_alarm", **data, "format": FORMAT}  # as it was once written
    data = with_names_of_today(data)
    name = data.get("class") if isinstance(data, dict) else None
    cls = class_of(name)
    other = cls is not None and not issubclass(cls, BaseCalibrator)
    keys = cls._keys if other else ("params", "classes", "state")
    what = str(name) if other else "data"
    check_keys(data, {"format", "version", "class", *keys}, what)
    if data["format"] != FORMAT:
        raise InputError(f"format is {spelled(data['format'])}; expected {spelled(FORMAT)}.")
    if type(data["version"]) is not int or data["version"] != VERSION:
        raise InputError(
            f"version is {spelled(data['version'])}; expected {VERSION}. A newer file needs a "
            "newer calibkit."
        )
    body = {k: v for k, v in data.items() if k not in ("format", "version")}
    if not other:
        return fitted_from_dict(body)
    try:
        return cls._from_dict(body, trusted)
    except OverflowError as error:
        raise InputError(f"{name}: {message_of(error)}") from error


def save(calibrator: Any, path: str | os.PathLike[str]) -> None:
    """Save a fitted calibrator to a JSON file, which is written completely or not at all.

    The file holds what :func:`to_dict` returns. It also records when, with which version and on how
    many rows the calibrator was fitted, and a hash of their scores and labels. After :func:`load`
    this is the attribute ``fitted_on_``.

    Parameters
    ----------
    calibrator : calibrator, CalibratedClassifier, CalibrationAlarm, or other
        What :func:`to_dict` takes: any fitted calibrator, classifier, alarm, decision rule, and
        so on.
    path : str or path-like
        Where to write; an existing file is replaced.

    Raises
    ------
    TypeError
        If it can't be saved, see :func:`to_dict`, or ``path`` is not a path.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from calibkit import PlattCalibrator, load, save
    >>> cal = PlattCalibrator().fit([0.2, 0.7, 0.4, 0.9], [0, 1, 1, 0])
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "platt.json"
    >>> save(cal, path)
    >>> load(path)
    PlattCalibrator()
    >>> load(path).fitted_on_.rows
    4
    """
    if isinstance(calibrator, (str, os.PathLike)):
        raise InputTypeError(
            f"calibrator={spelled(calibrator)} is a path and path is {a_type(path)}; expected the "
            "calibrator first. Call save(calibrator, path)."
        )
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError(f"path={spelled(path)}; expected a str or path-like.")
    data = to_dict(calibrator)
    origin = calibrator.fitted_on_ or provenance(None)
    data = {**data, "fitted_on": provenance_to_dict(origin)}
    text = json.dumps(data, allow_nan=False, indent=1)
    with whole_file(Path(path)) as part:
        part.write_text(text + "\n", encoding="utf-8")


def load(path: str | os.PathLike[str], trusted: Any = None) -> Any:
    """Load a calibrator that :func:`save` wrote; safe for files from untrusted sources.

    Parameters
    ----------
    path : str or path-like
        A file written by :func:`save`.
    trusted : list of str, optional
        For a :class:`CalibratedClassifier`: full names of the types that its estimators may have,
        in addition to those that skops trusts by default. An error lists the missing ones.

    Returns
    -------
    calibrator : calibrator, CalibrationAlarm, or other
        Fitted; its predictions are the same, bit for bit.

    Raises
    ------
    ValueError
        If :func:`save` did not write the file; the message says what is wrong.
    OSError
        If it can't be read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from calibkit import PlattCalibrator, load, save
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "platt.json"
    >>> save(PlattCalibrator().fit([0.2, 0.7, 0.4, 0.9], [0, 1, 1, 0]), path)
    >>> load(path)
    PlattCalibrator()
    """
    if os.path.getsize(path) > _MAX_BYTES:
        raise InputError(f"{os.fspath(path)} is larger than 1 GiB; expected {_OURS}.")
    try:
        text = Path(path).read_bytes()
        data = _read_json(text)
        if not isinstance(data, dict) or "format" not in data:
            raise ValueError(f"is JSON, but has no key 'format'; expected {_OURS}.")
        return from_dict(data, trusted)
    except UntrustedError as error:
        said = str(error).replace("from_dict(data, ", f"calibkit.load({spelled(os.fspath(path))}, ")
        raise InputError(f"{os.fspath(path)}: {said}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{os.fspath(path)}: {message_of(error)}") from error


#: What :func:`load` expects.
_OURS = "a JSON file that calibkit.save wrote"
#: How other files begin, what they are, and what to do instead.
_OTHERS = {
    b"SQLite format 3\0": (
        "an SQLite file, perhaps a journal",
        "To save the calibrator of a journal: calibkit.save(Journal(path).calibrator_, "
        "'calibrator.json').",
    ),
    **dict.fromkeys(
        (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
        (
            "a pickle file",
            "If you trust it, load it with joblib.load or pickle.load, which may run code from it, "
            "and write it with calibkit.save.",
        ),
    ),
    b"PK\x03\x04": ("a zip archive", "Pass the file that calibkit.save wrote."),
}


def _read_json(text: bytes) -> Any:
    """The JSON of a file, strictly; an error that says what another file is."""
    for start, (what, advice) in _OTHERS.items():
        if text.startswith(start):
            raise ValueError(f"is {what}; expected {_OURS}. {advice}")
    try:
        decoded = text.decode()
        return json.loads(decoded, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"is not JSON ({error}); expected {_OURS}.") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number; expected finite numbers")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({k for k, _ in pairs}) != len(pairs):
        raise ValueError(f"a key is repeated among {few(sorted(k for k, _ in pairs))}")
    return dict(pairs)


def _check_known(own: Any) -> Any:
    """The class of an object, if files can name it."""
    cls = type(own)
    if class_of(getattr(cls, "name", None)) is cls:
        return cls
    if isinstance(own, BaseCalibrator):
        raise InputTypeError(
            f"{cls.__name__} is not a registered calibrator; expected one. Register it: "
            f"calibkit.base.register_calibrator({cls.__name__})."
        )
    raise InputTypeError(
        f"{cls.__name__} is not a calibrator of calibkit; expected one. Save scikit-learn "
        "estimators with skops, joblib or pickle, or inside a CalibratedClassifier; for a Journal "
        "save its calibrator_."
    )


# -- writing --------------------------------------------------------------------------------


def fitted_to_dict(calibrator: BaseCalibrator) -> dict[str, Any]:
    """Class, parameters, class labels and learned state of a fitted calibrator."""
    state = {name: encode(getattr(calibrator, name)) for name in calibrator._state}
    return {
        **_template_to_dict(calibrator),
        "classes": labels_to_dict(calibrator.classes_),
        "state": state,
    }


def _template_to_dict(calibrator: BaseCalibrator) -> dict[str, Any]:
    """Class and parameters of a calibrator, fitted or not."""
    _check_known(calibrator)
    encoded = params_to_dict(calibrator.get_params(deep=False))
    if "borrows" in calibrator._traits:  # its parameter is fitted already
        encoded["calibrator"] = fitted_to_dict(calibrator.calibrator)
    return {"class": calibrator.name, "params": encoded}


def params_to_dict(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters as plain values."""
    return {name: _encode_param(name, value) for name, value in params.items()}


def _encode_param(name: str, value: Any) -> Any:
    if name == "classes" and value is not None:
        return labels_to_dict(np.asarray(value))
    if isinstance(value, BaseCalibrator):
        return _template_to_dict(value)
    if isinstance(value, (tuple, list)):
        return [_encode_param(name, v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputTypeError(
        f"{name}={spelled(value)} can't be saved as JSON; expected a plain value. Before saving "
        f"call set_params({name}=None)."
    )


def encode(value: Any) -> Any:
    """A learned attribute."""
    if isinstance(value, BaseCalibrator):
        return fitted_to_dict(value)
    if isinstance(value, list):
        return [None if v is None else fitted_to_dict(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value.to_dict() if hasattr(value, "to_dict") else value


# -- reading --------------------------------------------------------------------------------


def fitted_from_dict(data: Any, depth: int = 0) -> BaseCalibrator:
    check_keys(data, {"class", "params", "classes", "state"}, "a calibrator")
    calibrator: Any = template_from_dict({k: data[k] for k in ("class", "params")}, depth)
    what = f"{calibrator.name}"
    labels = labels_from_dict(data["classes"], what)
    with called(part=f": {what}"):
        classes = validate_classes(labels)
    state = data["state"]
    if isinstance(state, dict):
        state = {**calibrator._state_of_earlier_files(), **state}
    check_keys(state, set(calibrator._state), f"the state of {what}")
    calibrator.classes_ = classes
    for name, kind in calibrator._state.items():
        at = f"{what}.{name}"
        if kind == "pending":
            setattr(calibrator, name, calibrator._pending_from_dict(state[name], at))
        else:
            setattr(calibrator, name, decode(state[name], kind, at, depth))
    if len(classes) > 2 and "multiclass" not in calibrator._traits:
        raise InputError(f"{what} has {len(classes)} classes; expected two.")
    try:
        calibrator._check_state()
        try_out(calibrator)
    except (ValueError, ArithmeticError, LookupError) as error:
        raise InputError(f"{what}: {message_of(error)}.") from error
    fitted: BaseCalibrator = calibrator
    return fitted


def template_from_dict(data: Any, depth: int = 0) -> BaseCalibrator:
    """A calibrator with its parameters, checked."""
    if depth >= _MAX_DEPTH:
        raise InputError(f"calibrators are nested more than {_MAX_DEPTH} deep.")
    check_keys(data, {"class", "params"}, "a calibrator")
    name = data["class"]
    if not isinstance(name, str) or name not in CALIBRATORS:
        raise InputError(
            f"class is {spelled(str(name)[:50])}; expected one of {', '.join(CALIBRATORS)}. "
            f"{REGISTER}"
        )
    made: BaseCalibrator = made_of(CALIBRATORS[name], data["params"], name, depth)
    return made


def made_of(cls: Any, params: Any, what: str, depth: int = 0) -> Any:
    """An object of a class, with parameters from a file."""
    if isinstance(params, dict):  # parameters that files of earlier releases lack
        params = {**getattr(cls, "_params_since", {}), **params}
    check_keys(params, set(signature(cls).parameters), f"params of {what}")
    # JSON has no tuples: a list stands for one.
    params = {k: tuple(v) if isinstance(v, list) else v for k, v in params.items()}
    if params.get("classes") is not None:
        params["classes"] = labels_from_dict(params["classes"], f"{what}.classes")
    for key, value in params.items():
        if isinstance(value, dict) and "class" in value:
            read = (
                fitted_from_dict if "borrows" in getattr(cls, "_traits", ()) else template_from_dict
            )
            params[key] = read(value, depth + 1)
    try:
        made = cls(**params)
        if hasattr(made, "_check_params"):
            made._check_params()
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"params of {what}: {message_of(error)}") from error
    return made


def decode(value: Any, kind: StateKind, what: str, depth: int = 0) -> Any:
    """A learned attribute, checked to be of its kind."""
    if kind == "flag":
        if type(value) is not bool:
            raise InputError(f"{what} is {short(value)}; expected true or false.")
        return value
    if kind == "float":
        return number(value, what)
    if kind == "calibrator":
        return _binary_from_dict(value, what, depth)
    if kind == "whole":
        return None if value is None else fitted_from_dict(value, depth + 1)
    if kind == "vector":
        return vector(value, what)
    if not isinstance(value, list):
        raise InputError(f"{what} is {short(value)}; expected a list.")
    return [None if v is None else _binary_from_dict(v, what, depth) for v in value]


def _binary_from_dict(data: Any, what: str, depth: int) -> BaseCalibrator:
    calibrator = fitted_from_dict(data, depth + 1)
    if "lift" in calibrator._traits or len(calibrator.classes_) != 2:
        raise InputError(f"{what}: expected binary calibrators of two classes.")
    return calibrator
