"""From what a user has of each output to checked columns: signals, correctness, groups."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.inputs import check_lengths
from .._core.labels import read_labels
from .._core.params import advice, check_choice
from .._core.warnings import MissingSignalWarning
from .._numerics.links import FloatArray, IntArray

#: What a signal is: a probability, a log-odds, or any number of which more means surer.
SCALES = ("probability", "logit", "score")


def read_correct(correct: Any, where: str) -> IntArray:
    """0 or 1 for every output."""
    _, codes = read_labels(correct, classes=[0, 1], where=where, name="correct")
    return codes.astype(np.int8, copy=False)


def read_signals(confidence: Any, n: int, where: str) -> dict[str, FloatArray]:
    """Named columns of one number per output, NaN where there is none."""
    if hasattr(confidence, "columns"):
        named = {str(c): confidence[c] for c in confidence.columns}
    elif isinstance(confidence, Mapping):
        named = dict(confidence)
    else:
        named = {"confidence": confidence}
    if not named:
        raise ValueError(f"{where}: confidence holds no signal; expected at least one.")
    return {name: _numbers(values, n, name, where) for name, values in named.items()}


def _numbers(values: Any, n: int, name: str, where: str) -> FloatArray:
    what = name if name == "confidence" else f"confidence[{name!r}]"
    try:
        a = np.asarray(values)
        if a.dtype.kind not in "buif":  # None, and the missing values of pandas, become NaN
            a = np.array([np.nan if _is_null(v) else v for v in values])
        a = a.astype(np.float64) if a.dtype.kind in "buif" else _refuse(what, where)
    except (TypeError, ValueError) as error:
        if "expected one number" in str(error):
            raise
        _refuse(what, where)
    if a.ndim == 2 and a.shape[1] in (1, 2):
        a = a[:, -1]  # of predict_proba: the probability of being correct
    if a.ndim != 1:
        raise ValueError(f"{where}: {what} has shape {a.shape}; expected one number per output.")
    check_lengths(len(a), n, where, (what, "correct"))
    if np.isinf(a).any():
        at = int(np.flatnonzero(np.isinf(a))[0])
        raise ValueError(
            f"{where}: {what} is infinite at output {at}; expected finite numbers, or NaN where "
            "there is no signal. Log-odds of probabilities 0 and 1: use scale='probability'."
        )
    return a


def _refuse(what: str, where: str) -> Any:
    raise ValueError(f"{where}: {what} can't be read as numbers; expected one number per output.")


def _is_null(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def read_column(values: Any, n: int, name: str, where: str) -> np.ndarray:
    """Labels of outputs that need only be equal or different, such as their problems."""
    a = np.asarray(values)
    if a.shape != (n,):
        raise ValueError(
            f"{where}: {name} has shape {a.shape}; expected one label per output, ({n},)."
        )
    if a.dtype.kind == "O":
        if any(_is_null(v) or v != v for v in a):
            at = next(i for i, v in enumerate(a) if _is_null(v) or v != v)
            raise ValueError(
                f"{where}: {name} has no label at output {at}; expected one for each output."
            )
        if len({isinstance(v, str) for v in a}) > 1:
            raise ValueError(
                f"{where}: {name} mixes labels of different types; expected one type. Convert "
                "them, for instance to strings."
            )
    elif a.dtype.kind == "f" and not np.isfinite(a).all():
        at = int(np.flatnonzero(~np.isfinite(a))[0])
        raise ValueError(
            f"{where}: {name} has no label at output {at}; expected one for each output."
        )
    return a


def scales_of(scale: Any, signals: Mapping[str, FloatArray], where: str) -> dict[str, str]:
    """The scale of every signal, from one for all or one for each by name."""
    if not isinstance(scale, Mapping):
        check_choice(where, "scale", scale, SCALES)
        return dict.fromkeys(signals, scale)
    for name, one in scale.items():
        if name not in signals:
            listed = ", ".join(map(repr, signals))
            raise ValueError(
                f"{where}: scale names {name!r}; expected signals among {listed}"
                f"{advice(name, signals)}."
            )
        check_choice(where, f"scale[{name!r}]", one, SCALES)
    return {name: scale.get(name, "probability") for name in signals}


def check_range(values: FloatArray, scale: str, name: str, where: str) -> None:
    """Raise where a signal declared a probability is none."""
    if scale != "probability":
        return
    bad = (values < 0) | (values > 1)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{where}: {name} is {values[at]:.6g} at output {at}; expected probabilities in "
            f"[0, 1]. Log-odds: scale={{{name!r}: 'logit'}}; lengths, perplexities and other "
            f"numbers: scale={{{name!r}: 'score'}}."
        )


def warn_of_missing(name: str, n_missing: int, n: int, where: str) -> None:
    """Say how many outputs are left out for want of a signal."""
    warnings.warn(
        f"{where}: {n_missing} of {n} outputs have no {name}; they are left out of its rows, so "
        "signals are compared on different outputs.",
        MissingSignalWarning,
        stacklevel=4,
    )
