"""Parameters and state of many streams: checked, written and read."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from .._core.params import check_choice, check_int, check_real, check_scale
from .._core.printed import spelled
from .._core.saved import check_forecast, check_keys, number
from .._typing import FloatArray
from ._newton import LIMIT
from ._pending import Pending
from ._places import read_groups
from ._streams import Streams, read_two, rows_from_dict, rows_to_dict

PARAMS = ("gamma", "prior_strength", "radius", "discount", "eps", "scale", "max_pending")
KEYS = ("params", "classes", "pooled", "groups", "streams", "pending")


def check_params(cal: Any) -> None:
    """Raise unless each parameter is what it should be."""
    where = type(cal).__name__
    for name in ("gamma", "prior_strength", "radius"):
        check_scale(where, name, getattr(cal, name))
    check_real(where, "discount", cal.discount, low=0.0, high=1.0, open_low=True)
    check_real(where, "eps", cal.eps, low=1e-15, high=0.1)
    check_choice(where, "scale", cal.scale, ("probability", "logit"))
    check_int(where, "max_pending", cal.max_pending, low=1)


def check_mate(cal: Any, other: Any, where: str) -> None:
    """Raise unless the other is of the same class and parameters, to be merged."""
    own = type(cal).__name__
    if not isinstance(other, type(cal)):
        raise ValueError(f"{where}: other is of type {type(other).__name__}; expected {own}.")
    for name in PARAMS:
        mine, theirs = getattr(cal, name), getattr(other, name)
        if mine != theirs:
            raise ValueError(
                f"{where}: other has {name}={spelled(theirs)} and this has {spelled(mine)}; "
                "expected the same."
            )
    cal._streams.read(other.groups_, where, name="other")
    read_groups(_some_ids(cal) + _some_ids(other), where, name="other")


def _some_ids(cal: Any) -> list[Any]:
    """Ids of a stream and of the oldest forecast that waits: all others are of their kind."""
    oldest = cal.pending_.oldest
    return cal.groups_[:1].tolist() + ([] if oldest is None else [oldest[1]])


def written(cal: Any) -> dict[str, Any]:
    """A calibrator of many streams as plain values."""
    declared = None if cal.classes is None else np.asarray(cal.classes).tolist()
    params = {k: getattr(cal, k) for k in PARAMS}
    params = {k: v.item() if isinstance(v, np.generic) else v for k, v in params.items()}
    pending = cal.pending_.resized(params["max_pending"]).to_dict()
    return {
        "params": {**params, "classes": declared},
        "classes": cal.classes_.tolist(),
        "pooled": rows_to_dict(as_row(cal.pooled_)),
        **cal._streams.to_dict(),
        "pending": {**pending, "tickets": [t[:2] for t in pending["tickets"]]},
    }


def read_into(cls: Any, data: dict[str, Any]) -> Any:
    """The calibrator of a class that was written, from values that nobody has checked."""
    check_keys(data["params"], {*PARAMS, "classes"}, f"params of {cls.name}")
    out, classes = cls(**data["params"]), read_two(data["classes"])
    try:
        out._check_params()
    except (TypeError, ValueError) as error:
        raise ValueError(f"from_dict: {error}") from error
    if out.classes not in (None, data["classes"]):
        raise ValueError("from_dict: classes differ from those in params; expected the same.")
    streams = Streams.from_dict(data)
    pending = Pending.from_dict(data["pending"], f"pending of {out.name}", _validate_features)
    waiting = [ticket[1] for ticket in data["pending"]["tickets"]]
    read_groups([*data["groups"][:1], *waiting], f"from_dict: pending of {out.name}")
    row = rows_from_dict(data["pooled"], 1, "pooled")[0]
    out.pooled_, out._streams, out._pending = out._restored(row, classes), streams, pending
    try:
        _try_out(out)
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"from_dict: {error}.") from error
    return out


def _try_out(cal: Any) -> None:
    """Raise unless a few of the streams forecast and learn; the calibrator stays as it is."""
    twin, few = copy(cal), slice(None, 4)
    twin.pooled_, twin._pending = copy(cal.pooled_), Pending(1)
    keys = cal._streams.ids[few]
    twin._streams = Streams(keys, cal._streams.rows[few])
    new = "" if keys.dtype == object else -1
    group = np.array([*keys.tolist(), new], dtype=keys.dtype)
    scores = np.linspace(0.0, 1.0, len(group))
    labels = cal.classes_.take(np.arange(len(group)) % 2)
    with np.errstate(all="ignore"):
        check_forecast(twin.predict_then_update(scores, labels, group))
        check_forecast(twin.predict_proba(scores, group))


def as_row(pooled: Any) -> FloatArray:
    """The pooled estimate as one more stream."""
    start = (min(1.0, float(pooled.radius)), 0.0)
    return np.concatenate((pooled.theta_, pooled.factor_, (pooled.n_seen_,), start))[None]


def tickets_of(z: FloatArray, keys: np.ndarray) -> np.ndarray:
    """Score and id of the stream, for a forecast that waits."""
    # The None keeps them what they are: NumPy makes text of a number beside a string.
    out = np.full((len(z), 3), None, dtype=object)
    out[:, 0], out[:, 1] = z, keys
    return out


def _validate_features(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"from_dict: {what} has a ticket that is no score and id of a stream.")
    z = number(value[0], what)
    if abs(z) > LIMIT:
        raise ValueError(f"from_dict: {what} holds the score {z}; expected at most {LIMIT}.")
    return [z, *read_groups(value[1:], f"from_dict: {what}").tolist(), None]
