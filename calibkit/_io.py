"""Calibrators as JSON: exact, versioned, and safe to load from anywhere."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._core.base import BaseCalibrator, StateKind
from ._core.files import whole_file
from ._core.labels import read_classes
from ._core.pending import Pending
from ._registry import CALIBRATORS

FORMAT = "calibkit"
VERSION = 1
#: A lift holds binary calibrators, these may hold a scaler, and that holds none.
_MAX_DEPTH = 3
_MAX_BYTES = 1 << 30
#: Parameters that are calibrators themselves.
_NESTED = ("calibrator", "scaler")
#: Characters of all class labels together: NumPy gives each label the room of the longest.
_MAX_TEXT = 1 << 24
_LABEL_KINDS = {"b": bool, "i": int, "u": int, "f": float, "U": str, "O": str}


def to_dict(calibrator: BaseCalibrator) -> dict[str, Any]:
    """A fitted calibrator as a dict of plain values, ready for JSON.

    Parameters
    ----------
    calibrator : BaseCalibrator
        Any fitted calibrator of calibkit.

    Returns
    -------
    data : dict
        Format, version, class, parameters, class labels and learned state. Floats written with
        ``repr`` come back bit for bit.

    Raises
    ------
    TypeError
        If it is not a calibrator of calibkit, or its class labels are of an unusual type.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> from calibkit import PlattCalibrator, to_dict
    >>> cal = PlattCalibrator().fit([0.2, 0.7, 0.4, 0.9], [0, 1, 1, 0])
    >>> to_dict(cal)["class"]
    'platt'
    """
    _check_own(calibrator)
    check_is_fitted(calibrator)
    return {"format": FORMAT, "version": VERSION, **_fitted_to_dict(calibrator)}


def from_dict(data: Any) -> BaseCalibrator:
    """The calibrator that :func:`to_dict` described.

    Nothing is imported by name, evaluated or unpickled: the class is looked up in the registry
    and every value is checked.

    Parameters
    ----------
    data : dict
        As returned by :func:`to_dict`, or read from JSON.

    Returns
    -------
    calibrator : BaseCalibrator
        Fitted; predicts the same bits as the one it came from.

    Raises
    ------
    ValueError
        If anything is missing, unknown, of the wrong type or inconsistent.

    Examples
    --------
    >>> from calibkit import PlattCalibrator, from_dict, to_dict
    >>> cal = PlattCalibrator().fit([0.2, 0.7, 0.4, 0.9], [0, 1, 1, 0])
    >>> from_dict(to_dict(cal)).slope_ == cal.slope_
    True
    """
    _check_keys(data, {"format", "version", "class", "params", "classes", "state"}, "the file")
    if data["format"] != FORMAT:
        raise ValueError(f"from_dict: format is {data['format']!r}; expected {FORMAT!r}.")
    if type(data["version"]) is not int or data["version"] != VERSION:
        raise ValueError(
            f"from_dict: version is {data['version']!r}; expected {VERSION}. A newer file needs a "
            "newer calibkit."
        )
    rest = {k: v for k, v in data.items() if k not in ("format", "version")}
    return _fitted_from_dict(rest, depth=0)


def save(calibrator: BaseCalibrator, path: str | os.PathLike[str]) -> None:
    """Write a fitted calibrator to a JSON file; the file appears whole or not at all.

    Parameters
    ----------
    calibrator : BaseCalibrator
        Any fitted calibrator of calibkit.
    path : str or path-like
        Where to write; an existing file is replaced.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from calibkit import PlattCalibrator, load, save
    >>> cal = PlattCalibrator().fit([0.2, 0.7, 0.4, 0.9], [0, 1, 1, 0])
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "platt.json"
    >>> save(cal, path)
    >>> load(path)
    PlattCalibrator()
    """
    text = json.dumps(to_dict(calibrator), allow_nan=False, indent=1)
    with whole_file(Path(os.path.realpath(path))) as part:
        part.write_text(text + "\n", encoding="utf-8")


def load(path: str | os.PathLike[str]) -> BaseCalibrator:
    """Read a calibrator written by :func:`save`; safe on files from strangers.

    Parameters
    ----------
    path : str or path-like
        A file written by :func:`save`.

    Returns
    -------
    calibrator : BaseCalibrator
        Fitted; predicts the same bits as the one that was saved.

    Raises
    ------
    ValueError
        If the file is not such a file; the message names it and what is wrong.
    OSError
        If it can't be read.
    """
    if os.path.getsize(path) > _MAX_BYTES:
        raise ValueError(f"load: {os.fspath(path)} is larger than 1 GiB; expected a calibrator.")
    try:
        text = Path(path).read_text(encoding="utf-8")
        data = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
        return from_dict(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"load: {os.fspath(path)}: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number; expected finite numbers")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({k for k, _ in pairs}) != len(pairs):
        raise ValueError(f"a key is repeated among {sorted(k for k, _ in pairs)[:10]}")
    return dict(pairs)


def _check_own(calibrator: Any) -> None:
    """Raise unless a file can name the class: one of a user's own would come back as another."""
    if not isinstance(calibrator, BaseCalibrator) or (
        CALIBRATORS.get(getattr(type(calibrator), "name", "")) is not type(calibrator)
    ):
        raise TypeError(
            f"to_dict: {type(calibrator).__name__} is not a calibrator of calibkit; expected one. "
            "Of a CalibratedClassifier save calibrators_[0], and the estimator by its own means."
        )


# -- writing --------------------------------------------------------------------------------


def _fitted_to_dict(calibrator: BaseCalibrator) -> dict[str, Any]:
    state = {name: _encode(getattr(calibrator, name)) for name in calibrator._state}
    return {
        **_template_to_dict(calibrator),
        "classes": _labels_to_dict(calibrator.classes_),
        "state": state,
    }


def _template_to_dict(calibrator: BaseCalibrator) -> dict[str, Any]:
    """Class and parameters of a calibrator, fitted or not."""
    _check_own(calibrator)
    params = calibrator.get_params(deep=False)
    encoded = {name: _encode_param(name, value) for name, value in params.items()}
    return {"class": calibrator.name, "params": encoded}


def _encode_param(name: str, value: Any) -> Any:
    if name == "classes" and value is not None:
        return _labels_to_dict(np.asarray(value))
    if isinstance(value, BaseCalibrator):
        return _template_to_dict(value)
    if isinstance(value, (tuple, list)):
        return [_encode_param(name, v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"to_dict: {name}={value!r} can't be written; expected a plain value. Set one before "
        f"saving: set_params({name}=None)."
    )


def _encode(value: Any) -> Any:
    """A learned attribute."""
    if isinstance(value, BaseCalibrator):
        return _fitted_to_dict(value)
    if isinstance(value, list):
        return [None if v is None else _fitted_to_dict(v) for v in value]
    if isinstance(value, Pending):
        return value.to_dict()
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _labels_to_dict(labels: np.ndarray) -> dict[str, Any]:
    kind = _LABEL_KINDS.get(labels.dtype.kind)
    values = labels.tolist()
    if kind is None or not all(type(v) is kind for v in values):
        raise TypeError(
            f"to_dict: class labels of dtype {labels.dtype} can't be written; expected ints, "
            "floats, bools or strings. Convert the labels before fitting."
        )
    name = {"U": "str", "O": "object"}.get(labels.dtype.kind, labels.dtype.name)
    return {"dtype": name, "values": values}


# -- reading --------------------------------------------------------------------------------


def _check_keys(data: Any, expected: set[str], what: str) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"from_dict: {what} is a {type(data).__name__}; expected a dict.")
    unknown, missing = sorted(map(str, set(data) - expected)), sorted(expected - set(data))
    if unknown or missing:
        raise ValueError(
            f"from_dict: {what} has unknown keys {unknown[:10]} and lacks {missing}; expected "
            f"{sorted(expected)}."
        )


def _fitted_from_dict(data: Any, depth: int) -> BaseCalibrator:
    _check_keys(data, {"class", "params", "classes", "state"}, "a calibrator")
    calibrator = _template_from_dict({k: data[k] for k in ("class", "params")}, depth)
    what = f"{calibrator.name}"
    classes = read_classes(_labels_from_dict(data["classes"], what), f"from_dict: {what}")
    _check_keys(data["state"], set(calibrator._state), f"the state of {what}")
    calibrator.classes_ = classes
    for name, kind in calibrator._state.items():
        value = _decode(data["state"][name], kind, f"{what}.{name}", depth)
        setattr(calibrator, name, value)
    if len(classes) > 2 and "multiclass" not in calibrator._traits:
        raise ValueError(f"from_dict: {what} is binary; found {len(classes)} classes.")
    try:
        calibrator._check_state()
    except ValueError as error:
        raise ValueError(f"from_dict: {what}: {error}.") from error
    return calibrator


def _template_from_dict(data: Any, depth: int) -> BaseCalibrator:
    if depth >= _MAX_DEPTH:
        raise ValueError(f"from_dict: calibrators are nested more than {_MAX_DEPTH} deep.")
    _check_keys(data, {"class", "params"}, "a calibrator")
    name = data["class"]
    if not isinstance(name, str) or name not in CALIBRATORS:
        raise ValueError(
            f"from_dict: class is {str(name)[:50]!r}; expected one of {', '.join(CALIBRATORS)}."
        )
    cls = CALIBRATORS[name]
    _check_keys(data["params"], set(cls._get_param_names()), f"params of {name}")
    # JSON has no tuples: a list stands for one.
    params: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in data["params"].items()
    }
    if params.get("classes") is not None:
        params["classes"] = _labels_from_dict(params["classes"], f"{name}.classes")
    for key in _NESTED:
        if isinstance(params.get(key), dict):
            params[key] = _template_from_dict(params[key], depth + 1)
    try:
        calibrator = cls(**params)
        calibrator._check_params()
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"from_dict: params of {name}: {error}") from error
    return calibrator


def _labels_from_dict(data: Any, what: str) -> np.ndarray:
    _check_keys(data, {"dtype", "values"}, f"the classes of {what}")
    name, values = data["dtype"], data["values"]
    allowed = {"str": "U", "object": "O", "bool": "?"}
    allowed |= {f"{s}int{b}": f"{s[:1] or 'i'}{b // 8}" for s in ("", "u") for b in (8, 16, 32, 64)}
    allowed |= {"float16": "f2", "float32": "f4", "float64": "f8"}
    if not isinstance(name, str) or name not in allowed or not isinstance(values, list):
        raise ValueError(f"from_dict: class labels of dtype {str(name)[:50]!r} are not known.")
    dtype = np.dtype(allowed[name])
    kind = _LABEL_KINDS[dtype.kind]
    if not values or not all(type(v) is kind for v in values):
        raise ValueError(f"from_dict: class labels of {what}: expected values of type {name}.")
    if kind is str and len(values) * max(map(len, values)) > _MAX_TEXT:
        raise ValueError(f"from_dict: class labels of {what} are too long together.")
    if kind is float and not all(map(math.isfinite, values)):
        raise ValueError(f"from_dict: class labels of {what} are not finite.")
    try:
        return np.array(values, dtype=dtype)
    except OverflowError as error:
        raise ValueError(f"from_dict: class labels of {what} do not fit {name}.") from error


def _decode(value: Any, kind: StateKind, what: str, depth: int) -> Any:
    if kind == "flag":
        if type(value) is not bool:
            raise ValueError(f"from_dict: {what} is {_short(value)}; expected true or false.")
        return value
    if kind == "float":
        return _number(value, what)
    if kind == "calibrator":
        return _binary_from_dict(value, what, depth)
    if kind == "pending":
        return _pending_from_dict(value, what)
    if not isinstance(value, list):
        raise ValueError(f"from_dict: {what} is {_short(value)}; expected a list.")
    if kind == "vector":
        return np.array([_number(v, what) for v in value], dtype=np.float64)
    return [None if v is None else _binary_from_dict(v, what, depth) for v in value]


def _pending_from_dict(data: Any, what: str) -> Pending:
    _check_keys(data, {"room", "dropped", "replaced", "ids", "tickets"}, what)
    ids, tickets = data["ids"], data["tickets"]
    counts = [data[k] for k in ("room", "dropped", "replaced")]
    if not all(type(v) is int and v >= 0 for v in counts) or counts[0] < 1:
        raise ValueError(f"from_dict: {what} holds counts {counts}; expected ints >= 0.")
    if not isinstance(ids, list) or not isinstance(tickets, list) or len(ids) != len(tickets):
        raise ValueError(f"from_dict: {what} has not one ticket for each id.")
    if not all(type(k) in (int, str) for k in ids) or len(set(ids)) != len(ids):
        raise ValueError(f"from_dict: {what} has ids that are not distinct ints or strings.")
    if len(ids) > counts[0]:
        raise ValueError(f"from_dict: {what} holds {len(ids)} forecasts and has room for fewer.")
    rows = [_decode(t, "vector", what, 0) for t in tickets]
    if len({len(r) for r in rows}) > 1:
        raise ValueError(f"from_dict: {what} has tickets of different lengths.")
    pending = Pending(counts[0])
    pending.add(ids, np.array(rows))
    pending.n_dropped, pending.n_replaced = counts[1:]
    return pending


def _binary_from_dict(data: Any, what: str, depth: int) -> BaseCalibrator:
    found = _fitted_from_dict(data, depth + 1)
    if "lift" in found._traits or len(found.classes_) != 2:
        raise ValueError(f"from_dict: {what}: expected binary calibrators of two classes.")
    return found


def _number(value: Any, what: str) -> float:
    # Compared, not converted: a whole number of a thousand digits is not a float.
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"from_dict: {what} holds {_short(value)}; expected a finite number.")
    return float(value)


def _short(value: Any) -> str:
    if isinstance(value, (int, float, str)) and len(repr(value)) < 50:
        return repr(value)
    return f"a {type(value).__name__}"
