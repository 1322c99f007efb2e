"""Arrays of other libraries than NumPy: how they are recognized, and copied to the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import InputError

#: What PyTorch, JAX, CuPy and other libraries of the array API standard have beside DLPack; pyarrow
#: and frames have none of these.
_SIGNS = ("__array_namespace__", "detach", "get")
#: What predicts for arrays of other libraries. calibkit enters it, because the programs that run
#: there stand above this layer.
ELSEWHERE: dict[str, Callable[[Any, Any, bool], Any]] = {}


def is_elsewhere(values: Any) -> bool:
    """Whether it is an array of another library, which may be on another device."""
    if isinstance(values, (np.ndarray, list)) or not hasattr(values, "__dlpack__"):
        return False
    return any(hasattr(values, sign) for sign in _SIGNS)


def is_dask(values: Any) -> bool:
    """Whether it is a collection of Dask."""
    package = type(values).__module__.partition(".")[0]
    return package in ("dask", "dask_expr") and hasattr(values, "__dask_graph__")


def in_memory(values: Any, name: str) -> Any:
    """The values, which are no Dask collection: rows are never gathered unasked."""
    if is_dask(values):
        raise InputError(
            f"{name} is a Dask collection; expected rows in memory. Call compute() on it, or on a "
            "sample of the rows. Dask collections are taken by ScoreTable.from_dask, by "
            "predict_proba of calibrators, and by fit of some."
        )
    return values


def on_host(values: Any, name: str = "an argument") -> Any:
    """Arrays of other libraries as NumPy arrays, without gradients; all else as it is."""
    values = in_memory(values, name)
    if not is_elsewhere(values):
        return values
    if hasattr(values, "detach"):  # PyTorch
        values = values.detach().cpu()
        values = values.float() if "bfloat16" in str(values.dtype) else values
    elif hasattr(values, "get"):  # CuPy
        values = values.get()
    try:
        a = np.asarray(values)
    except (RuntimeError, TypeError, ValueError):  # on a device that NumPy can't read
        info = values.__array_namespace__().__array_namespace_info__()
        a = np.asarray(values.to_device(info.default_device()))
    return a.astype(np.float32) if "bfloat16" in str(a.dtype) else a


def predicted(calibrator: Any, X: Any, *, labels: bool = False) -> Any:
    """Probabilities of a fitted calibrator, or its labels, in the library of the scores."""
    if is_elsewhere(X):
        return ELSEWHERE["predict"](calibrator, X, labels)
    proba = calibrator._predict_scores(calibrator._validate_scores(X))
    return calibrator.classes_[proba.argmax(axis=1)] if labels else proba
