"""Predictions for arrays of any library of the array API standard, on the device of the array."""

from __future__ import annotations

from typing import Any

from .._core.arrays import on_host
from .._core.base import BaseCalibrator
from .._core.errors import InputError, InputTypeError
from .._core.inputs import LARGEST_LOGIT, RANGE_TOLERANCE, SUM_TOLERANCE
from .._core.optional import require
from .._typing import Scale
from ._maps import NodeScores, calibrated, every
from ._program import Library, Node, Program, constant

#: Numbers that are worked on at once, which bounds the memory of what stands between.
_BLOCK = 1 << 22


def predicted(cal: BaseCalibrator, X: Any, labels: bool) -> Any:
    """What ``predict_proba`` returns for an array, or with ``labels`` what ``predict`` returns.

    Scores are checked by reductions on the device. Only where something is wrong are they copied,
    and checked again on the host, which raises the error or warns.
    """
    cal._ensure_fitted()
    cal._check_names(X)
    library, kept = _library_of(X)
    xp, k = library.xp, len(cal.classes_)
    scale = cal._input_scale()
    try:
        made = every(calibrated(cal, NodeScores(_input(k), scale)))
    except (InputError, InputTypeError):  # a class without a program: by NumPy
        p = library.array(cal._predict_scores(cal._validate_scores(X)))
    else:
        x = _checked(X, k, scale, library)
        if x is None:
            x = library.array(cal._validate_scores(X).values)
        x = x if x.ndim == 2 else xp.reshape(x, (-1, 1))
        program = Program(k, {"p": made}, constant(1.0))
        n, step = x.shape[0], _BLOCK // k
        blocks = [x[i : min(i + step, n), :] for i in range(0, n, step)] if n > step else [x]
        parts = [program.values(block, library)[made] for block in blocks]
        p = parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)
    if not labels:
        return xp.astype(p, kept, copy=False)
    winners = xp.argmax(p, axis=1)
    if cal.classes_.dtype.kind not in "biuf":  # texts: no other library has them
        return cal.classes_[on_host(winners)]
    return xp.take(library.array(cal.classes_), winners, axis=0)


def _input(k: int) -> Node:
    """The scores of a row: all columns of K classes at once."""
    return Node("input", data=slice(None), size=k) if k > 2 else Node("input", data=0)


def _library_of(X: Any) -> tuple[Library, Any]:
    """The library of an array, and the type of its results: float64 only for float64."""
    compat = require("array_api_compat", "arrays")
    xp = compat.array_namespace(X)
    place = {"device": compat.device(X)}
    known = xp.__array_namespace_info__().dtypes(**place, kind="real floating")
    dtype = "float64"
    try:
        xp.zeros(1, dtype=known["float64"], **place)
    except (KeyError, TypeError, RuntimeError):  # JAX by default; Apple's GPUs
        dtype = "float32"
    short = xp.isdtype(X.dtype, "real floating") and X.dtype != getattr(xp, "float64", None)
    return Library(xp, dtype, place), xp.float32 if short else getattr(xp, dtype)


def _checked(X: Any, k: int, scale: Scale, library: Library) -> Any:
    """Valid scores of shape (n,) or (n, K); None unless all of them are seen to be valid."""
    xp = library.xp
    columns = X.shape[1] if X.ndim == 2 else 1
    if not xp.isdtype(X.dtype, "real floating") or X.ndim not in (1, 2) or X.shape[0] == 0:
        return None
    if columns == 0 or max(columns, 2) != k:
        return None
    x = xp.astype(X, getattr(xp, library.dtype), copy=False)
    if scale == "logit":
        valid = xp.isfinite(x) & (xp.abs(x) <= library.array(LARGEST_LOGIT))
    else:
        valid = (x >= -RANGE_TOLERANCE) & (x <= 1 + RANGE_TOLERANCE)
        if columns > 1:
            sums = xp.sum(x, axis=1, keepdims=True)
            valid = valid & (xp.abs(sums - 1.0) <= SUM_TOLERANCE)
    if not bool(xp.all(valid)):
        return None
    if k > 2:
        return x
    if scale == "logit" and columns == 2:
        return x[:, 1] - x[:, 0]
    x = x if x.ndim == 1 else x[:, -1]
    return x if scale == "logit" else xp.clip(x, 0.0, 1.0)
