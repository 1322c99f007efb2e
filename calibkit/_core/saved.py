"""Saved files: plain values to and from JSON, checks of all that is read, atomic writes."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .._typing import FloatArray, Scale
from .base import BaseCalibrator
from .errors import InputError, InputTypeError
from .inputs import LARGEST_LOGIT
from .printed import a_type, few, spelled
from .scores import Scores

#: Characters of all class labels together: NumPy gives each label the room of the longest.
_MAX_TEXT = 1 << 24
_LABEL_KINDS = {"b": bool, "i": int, "u": int, "f": float, "U": str, "O": str}
#: What files call otherwise than the code of today, each under its name of today: a class as
#: (old,), a parameter, attribute or other key as (class of today, old), and a text that one of
#: these holds, such as the name of a method, as (class of today, key of today, old).
OLD_NAMES: dict[tuple[str, ...], str] = {
    ("histogram", "pooled_"): "cross_fitted_",
    ("multi_stream", "groups"): "ids",
    ("risk_controlled_threshold", "delta"): "alpha",
}
#: Files are nested a dozen deep at most.
_DEEPEST = 50


def with_names_of_today(data: Any, owner: str = "", depth: int = 0) -> Any:
    """What was read from a file, all that was renamed since under its name of today."""
    if depth > _DEEPEST:
        return data
    if isinstance(data, list) and isinstance(next(iter(data), 0), (dict, type(None))):
        return [with_names_of_today(v, owner, depth + 1) for v in data]
    if not isinstance(data, dict):
        return data
    for key in ("class", "format"):
        name = data.get(key)
        if isinstance(name, str) and name != "calibkit":
            owner = OLD_NAMES.get((name,), name)
            data = {**data, key: owner}
            break
    out: dict[Any, Any] = {}
    for old, value in data.items():
        key = OLD_NAMES.get((owner, old), old)
        if key in out or (key != old and key in data):
            raise InputError(f"{owner} holds {spelled(key)} under two names; expected one.")
        if isinstance(value, str):
            value = OLD_NAMES.get((owner, key, value), value)
        out[key] = with_names_of_today(value, owner, depth + 1)
    return out


def check_keys(data: Any, expected: set[str], what: str) -> None:
    if not isinstance(data, dict):
        raise InputError(f"{what} is {short(data)}; expected a dict.")
    unknown, missing = sorted(map(str, set(data) - expected)), sorted(expected - set(data))
    if unknown or missing:
        said = [f"has unknown keys {few(unknown)}"] if unknown else []
        said += [f"lacks {few(missing)}"] if missing else []
        listed = ", ".join(map(spelled, sorted(expected)))
        raise InputError(f"{what} {' and '.join(said)}; expected the keys {listed}.")


def labels_to_dict(labels: np.ndarray) -> dict[str, Any]:
    kind = _LABEL_KINDS.get(labels.dtype.kind)
    values = labels.tolist()
    if kind is None or not all(type(v) is kind for v in values):
        raise InputTypeError(
            f"class labels of dtype {labels.dtype} can't be written; expected ints, floats, bools "
            "or strings. Convert the labels before fitting."
        )
    name = {"U": "str", "O": "object"}.get(labels.dtype.kind, labels.dtype.name)
    return {"dtype": name, "values": values}


def labels_from_dict(data: Any, what: str) -> np.ndarray:
    check_keys(data, {"dtype", "values"}, f"the classes of {what}")
    name, values = data["dtype"], data["values"]
    allowed = {"str": "U", "object": "O", "bool": "?"}
    allowed |= {f"{s}int{b}": f"{s[:1] or 'i'}{b // 8}" for s in ("", "u") for b in (8, 16, 32, 64)}
    allowed |= {"float16": "f2", "float32": "f4", "float64": "f8"}
    if not isinstance(name, str) or name not in allowed or not isinstance(values, list):
        raise InputError(f"class labels have the unknown dtype {spelled(str(name)[:50])}.")
    dtype = np.dtype(allowed[name])
    kind = _LABEL_KINDS[dtype.kind]
    if not values or not all(type(v) is kind for v in values):
        raise InputError(f"class labels of {what}: expected values of type {name}.")
    if kind is str and len(values) * max(map(len, values)) > _MAX_TEXT:
        raise InputError(f"class labels of {what} are too long together.")
    try:
        with np.errstate(over="ignore"):
            labels = np.array(values, dtype=dtype)
    except OverflowError as error:
        raise InputError(f"class labels of {what} do not fit {name}.") from error
    if kind is float and not np.isfinite(labels).all():
        raise InputError(f"class labels of {what} are not finite as {name}.")
    return labels


def number(value: Any, what: str) -> float:
    # Compared, not converted: a whole number of a thousand digits is not a float.
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        raise InputError(f"{what} holds {short(value)}; expected a finite number.")
    return float(value)


def short(value: Any) -> str:
    if value is None or (isinstance(value, (int, float, str)) and len(repr(value)) < 50):
        return repr(value)
    return a_type(value)


def count(value: Any, what: str) -> int:
    if type(value) is not int or not 0 <= value <= 2**53:
        raise InputError(f"{what} is {short(value)}; expected a whole number >= 0.")
    return value


def vector(value: Any, what: str, length: int | None = None) -> FloatArray:
    """A list of finite numbers as an array."""
    if not isinstance(value, list):
        raise InputError(f"{what} is {short(value)}; expected a list.")
    if length is not None and len(value) != length:
        plural = "s" if len(value) != 1 else ""
        raise InputError(f"{what} holds {len(value)} number{plural}; expected {length}.")
    return np.array([number(v, what) for v in value], dtype=np.float64)


def finite(value: float) -> float | None:
    """A number for JSON, which has neither NaN nor infinity."""
    return float(value) if np.isfinite(value) else None


def check_sound(sound: Any, what: str) -> None:
    if not sound:
        raise InputError(
            f"the saved state of {what} has values that can't come from a fit; expected those of a "
            "fitted object. Save it again from the original."
        )


# -- state that could have been learnt ----------------------------------------------------------


def check_inside(values: FloatArray, scale: Scale, name: str) -> None:
    """Raise unless numbers are such as scores on a scale may be."""
    low, high = (0.0, 1.0) if scale == "probability" else (-LARGEST_LOGIT, LARGEST_LOGIT)
    if not ((values >= low) & (values <= high)).all():
        raise ValueError(f"{name} holds values outside [{low:g}, {high:g}]")


def check_held(name: str, held: BaseCalibrator, template: BaseCalibrator, classes: object) -> None:
    """Raise unless a calibrator can have come from fitting a clone of the template."""
    if type(held) is not type(template):
        raise ValueError(f"{name} is {held.name}; expected {template.name}")
    if held._input_scale() != template._input_scale():
        raise ValueError(f"{name} has another scale than the calibrator in the parameters")
    known = np.asarray(classes)
    if not np.array_equal(held.classes_, known) or held.classes_.dtype.kind != known.dtype.kind:
        raise ValueError(f"{name} has other classes than the calibrator that holds it")


def check_forecast(q: FloatArray) -> None:
    """Raise unless numbers are probabilities; rows of K of them sum to one."""
    total = q.sum(axis=1) if q.ndim == 2 else np.ones(1)
    # A mean of ones, and a sum of K parts, may be off by some last bits.
    if not ((q >= 0.0) & (q <= 1.0 + 1e-9)).all() or not (np.abs(total - 1.0) < 1e-6).all():
        raise ValueError("its state gives predictions that are not probabilities")


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


# -- files that appear whole or not at all -----------------------------------------------------


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A temporary path beside the target, links followed, that takes its place at the end.

    After an error nothing of it is left, and an older file stays as it was; the new one has its
    mode.
    """
    target = Path(os.path.realpath(target))
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, _mode(target))  # mkstemp makes a private file
        os.replace(name, target)
    except BaseException:
        with suppress(FileNotFoundError):  # interrupted when it was in its place already
            os.unlink(name)
        raise


def _mode(target: Path) -> int:
    """The mode of the file, or that of an ordinary new one."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
