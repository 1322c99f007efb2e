"""From a user's success rates and numbers of trials to checked ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.inputs import check_lengths
from .._core.printed import spelled
from .._typing import FloatArray

#: How far k of a fraction k/n may be from a whole number: float32 rounding and more.
_WHOLE = 1e-3


def read_floats(values: Any, name: str, where: str) -> FloatArray:
    """An array of float64."""
    if np.ma.isMaskedArray(values):
        raise ValueError(f"{where}: {name} is a masked array; expected a plain one.")
    try:
        a = np.asarray(values)
        if a.dtype.kind not in "buif":
            a = np.asarray(a.tolist(), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {name} can't be read as numbers: {spelled(error)}.") from error
    return a.astype(np.float64)


def _flat(a: FloatArray) -> FloatArray:
    return a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a


def read_rates(y: Any, n: int, where: str) -> FloatArray:
    """Success rates in [0, 1]."""
    if y is None:
        raise ValueError(f"{where}: requires y to be passed, but the target y is None.")
    a = _flat(read_floats(y, "y", where))
    if a.ndim != 1:
        raise ValueError(f"{where}: y has shape {a.shape}; expected one success rate per row.")
    check_lengths(n, len(a), where, ("X", "y"))
    bad = ~((a >= 0) & (a <= 1))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{where}: y is {a[at]:.6g} at row {at}; expected success rates k/n in [0, 1], no NaN "
            "or infinity. Divide counts by the number of trials."
        )
    return a


def read_trials(n_trials: Any, y: FloatArray, method: str, where: str) -> FloatArray | None:
    """Numbers of trials of which the rates are whole shares."""
    if n_trials is None:
        if method == "beta_binomial":
            raise ValueError(
                f"{where}: n_trials is None; expected the number of trials behind each rate, an "
                "int or one per row. Without it use method='pinball'."
            )
        return None
    n = _flat(read_floats(n_trials, "n_trials", where))
    if n.ndim == 0:
        n = np.full(len(y), float(n))
    if n.shape != y.shape:
        raise ValueError(
            f"{where}: n_trials has shape {n.shape}; expected an int, or one per row, {y.shape}."
        )
    bad = ~((n >= 1) & (n <= 1e9) & (n == np.floor(n)))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{where}: n_trials is {n[at]:.6g} at row {at}; expected whole numbers from 1 to 1e9."
        )
    k = y * n
    bad = np.abs(k - np.round(k)) > _WHOLE * np.maximum(1.0, 1e-4 * n)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{where}: y is {y[at]:.6g} at row {at}, which is no share of n_trials={n[at]:.0f} "
            f"(y * n_trials = {k[at]:.6g}); expected k/n with whole k."
        )
    return n
