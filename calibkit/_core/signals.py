"""Check what a user passes for each output: signals, correctness, groups, rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from .._typing import FloatArray, IntArray, SignalScale
from .arrays import on_host
from .errors import InputError
from .inputs import RANGE_TOLERANCE, SUM_TOLERANCE, check_lengths, refuse_swapped
from .labels import (
    is_missing,
    refuse_masked,
    refuse_none,
    validate_group_labels,
    validate_labels,
    why_unreadable,
)
from .params import advice, check_choice
from .printed import spelled
from .warnings import MissingSignalWarning, warn

#: Scale of a signal: a probability, a log-odds, or any number that grows with the confidence.
SCALES = get_args(SignalScale)


def validate_correct(correct: Any, signal: Any = None, name: str = "confidence") -> IntArray:
    """0 or 1 for every output; ``signal`` is checked for swapped arguments."""
    try:
        distinct, codes = validate_labels(correct, name="correct")
    except ValueError:
        signal = next(iter(signal.values()), None) if isinstance(signal, Mapping) else signal
        refuse_swapped(signal, correct, (name, "correct"))
        raise
    other = [v for v in distinct.tolist() if v not in (0, 1)]
    if other:
        raise InputError(
            f"correct holds {spelled(other[0])}; expected 0 or 1, or bool, for every output."
        )
    return distinct.astype(np.int8)[codes]


def validate_signals(confidence: Any, n: int, beside: str = "correct") -> dict[str, FloatArray]:
    """Named columns of one number per output; NaN if there is none."""
    if hasattr(confidence, "columns"):
        pairs = [(str(c), confidence[c]) for c in confidence.columns]
    elif isinstance(confidence, Mapping):
        pairs = [(str(k), values) for k, values in confidence.items()]
    else:
        pairs = [("confidence", confidence)]
    if not pairs:
        raise InputError("confidence holds no signal; expected at least one.")
    named = dict(pairs)
    if len(named) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(
            f"confidence holds two signals named {spelled(twice)}; expected distinct names."
        )
    return {name: _numbers(values, n, name, beside) for name, values in named.items()}


def _numbers(values: Any, n: int, name: str, beside: str) -> FloatArray:
    what = name if name == "confidence" else f"confidence[{spelled(name)}]"
    refuse_masked(values, what)
    values = on_host(values, what)
    try:
        a = np.asarray(values)
        if a.dtype.kind not in "buif":  # None, and the missing values of pandas, become NaN
            a = np.array([np.nan if is_missing(v) else v for v in values])
    except (TypeError, ValueError):
        a = np.empty(0, dtype=object)
    if a.dtype.kind not in "buif":
        raise InputError(f"{what} can't be read as numbers; expected one number per output.")
    a = a.astype(np.float64)
    if a.ndim == 2 and a.shape[1] == 2 and (np.abs(a.sum(axis=1) - 1.0) > SUM_TOLERANCE).any():
        raise InputError(
            f"{what} has two columns whose rows don't sum to one; expected one number per output, "
            "or both columns of predict_proba."
        )
    if a.ndim == 2 and a.shape[1] in (1, 2):
        a = a[:, -1]  # of predict_proba: the probability of being correct
    if a.ndim != 1:
        raise InputError(f"{what} has shape {a.shape}; expected one number per output.")
    check_lengths(len(a), n, (what, beside))
    if np.isinf(a).any():
        at = int(np.flatnonzero(np.isinf(a))[0])
        raise InputError(
            f"{what} is infinite at output {at}; expected finite numbers, or NaN if there is no "
            "signal. For log-odds of 0 and 1 pass probabilities, and use scale='probability'."
        )
    return a


def validate_by(by: Any, n: int) -> np.ndarray:
    """Part of each output: its label, or its several labels joined."""
    if np.ndim(by) != 2 or len(by) != n:
        return validate_group_labels(by, n, "by")
    columns = np.asarray(by, dtype=object).T
    named = [validate_group_labels(column.tolist(), n, "by") for column in columns]
    return np.array([", ".join(map(str, row)) for row in zip(*named, strict=True)])


def scales_of(scale: Any, signals: Mapping[str, FloatArray]) -> dict[str, SignalScale]:
    """The scale of every signal, from one for all or a dict by name."""
    if not isinstance(scale, Mapping):
        check_choice("scale", scale, SCALES)
        return dict.fromkeys(signals, scale)
    scale = {str(name): one for name, one in scale.items()}
    for name, one in scale.items():
        if name not in signals:
            listed = ", ".join(map(spelled, signals))
            raise InputError(
                f"scale names {spelled(name)}; expected signals among "
                f"{listed}{advice(name, signals)}."
            )
        check_choice(f"scale[{spelled(name)}]", one, SCALES)
    return {name: scale.get(name, "probability") for name in signals}


def check_range(values: FloatArray, scale: SignalScale, name: str) -> None:
    """Raise if a signal declared as a probability is outside [0, 1]."""
    if scale != "probability":
        return
    bad = (values < -RANGE_TOLERANCE) | (values > 1 + RANGE_TOLERANCE)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{name} is {values[at]:.9g} at output {at}; expected probabilities in [0, 1]. "
            f"For log-odds use scale={{{spelled(name)}: 'logit'}}; for lengths, perplexities and "
            f"other numbers use scale={{{spelled(name)}: 'score'}}."
        )


def warn_left_out(name: str, missing: np.ndarray, so: str) -> None:
    """Warn how many outputs are left out because they have no signal, and what follows."""
    n_missing, first = int(np.count_nonzero(missing)), int(np.argmax(missing))
    warn(
        f"{n_missing} of {len(missing)} outputs have no {name} (NaN, first at output {first}); "
        f"they are left out{so}.",
        MissingSignalWarning,
    )


#: How far k of a fraction k/n may be from a whole number: float32 rounding and more.
_WHOLE = 1e-3


def validate_floats(values: Any, name: str) -> FloatArray:
    """An array of float64."""
    refuse_masked(values, name)
    values = on_host(values, name)
    try:
        a = np.asarray(values)
        if a.dtype.kind not in "buif":
            a = np.asarray(a.tolist(), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        why = why_unreadable(values, error)
        raise InputError(f"{name} can't be read as numbers: {why}; expected numbers.") from error
    return a.astype(np.float64)


def _flat(a: FloatArray) -> FloatArray:
    return a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a


def validate_rates(y: Any, n: int) -> FloatArray:
    """Success rates in [0, 1]."""
    if y is None:
        refuse_none("y", "a success rate for every row")
    a = _flat(validate_floats(y, "y"))
    if a.ndim != 1:
        raise InputError(f"y has shape {a.shape}; expected one success rate per row.")
    check_lengths(n, len(a), ("X", "y"))
    bad = ~((a >= 0) & (a <= 1))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"y is {a[at]:.6g} at row {at}; expected success rates k/n in [0, 1], no NaN or "
            "infinity. Divide counts by the number of trials."
        )
    return a


def validate_trials(n_trials: Any, y: FloatArray, method: str) -> FloatArray | None:
    """Numbers of trials whose shares the rates are."""
    if n_trials is None:
        if method == "beta_binomial":
            raise InputError(
                "n_trials is None; expected the number of trials of each rate, an int or one per "
                "row. Without it use method='pinball'."
            )
        return None
    n = _flat(validate_floats(n_trials, "n_trials"))
    if n.ndim == 0:
        n = np.full(len(y), float(n))
    if n.shape != y.shape:
        raise InputError(
            f"n_trials has shape {n.shape}; expected an int, or one per row, {y.shape}."
        )
    bad = ~((n >= 1) & (n <= 1e9) & (n == np.floor(n)))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"n_trials is {n[at]:.6g} at row {at}; expected whole numbers from 1 to 1e9."
        )
    k = y * n
    bad = np.abs(k - np.round(k)) > _WHOLE * np.maximum(1.0, 1e-4 * n)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"y is {y[at]:.6g} at row {at}, which is not a share of n_trials={n[at]:.0f} (y * "
            f"n_trials = {k[at]:.6g}); expected k/n with whole k."
        )
    return n
