"""Checks of hyper-parameters, in one wording."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import numpy as np

#: Names of online calibrators in papers and on the command line, which stand for these.
_ALIASES = {
    "tops": "tracking",
    "hops": "hedging",
    "ops": "online_platt",
    "obs": "online_beta",
    "adaptive": "adaptive_platt",
}
#: Other names that the literature and other packages use.
_SYNONYMS = {
    "sigmoid": "platt",
    "logistic": "platt",
    "ece": "expected_calibration_error",
    "mce": "maximum_calibration_error",
    "auc": "roc_auc",
    "brier": "brier_score",
    "seed": "random_state",
    "alpha": "level",
    "confidence": "level",
    "bins": "n_bins",
    "group": "groups",
    "confidence_calibration": "top_label",
    "toplabel": "top_label",
    "histogram_binning": "histogram",
    "binning": "histogram",
    "hb": "histogram",
    "temperature_scaling": "temperature",
    "platt_scaling": "platt",
    "beta_calibration": "beta",
    "isotonic_regression": "isotonic",
}


def check_choice(where: str, name: str, value: Any, options: Iterable[str]) -> None:
    """Raise unless ``value`` is one of the options.

    Parameters
    ----------
    where : str
        Who says so: the class, for instance.
    name : str
        Name of the parameter.
    value : object
        Its value.
    options : iterable of str
        What it may be.

    Raises
    ------
    ValueError
        If it is none of them.

    Examples
    --------
    >>> from calibkit.base import check_choice
    >>> check_choice("MyCalibrator", "norm", "l2", ("l1", "l2"))
    """
    options = list(options)
    if not isinstance(value, str) or main_name(value) not in options:
        listed = ", ".join(map(repr, options))
        raise ValueError(
            f"{where}: {name}={value!r}; expected one of {listed}{advice(value, options)}."
        )


def main_name(value: str) -> str:
    """The registry's name of a calibrator that has another one too; else the value itself."""
    return _ALIASES.get(value.lower(), value)


def both_names(name: str) -> str:
    """A name as it is listed, with its other one in parentheses."""
    others = [alias for alias, main in _ALIASES.items() if main == name]
    return f"{name} ({others[0]})" if others else name


def advice(value: Any, options: Iterable[str]) -> str:
    """A suggestion, where one of the options resembles what was given."""
    if not isinstance(value, str):
        return ""
    text = _SYNONYMS.get(value.lower(), value.lower().replace("-", "_"))
    near = get_close_matches(text, list(options), n=1, cutoff=0.6)
    near = near or [o for o in options if o.endswith(text)][:1]
    return f"; did you mean {near[0]!r}" if near else ""


def percent(level: float) -> str:
    """A level of confidence in words; 99.9% is not 100%."""
    return f"{100.0 * level:.10g}%"


def check_flag(where: str, name: str, value: Any) -> None:
    """Raise unless ``value`` is a bool.

    Parameters
    ----------
    where : str
        Who says so: the class, for instance.
    name : str
        Name of the parameter.
    value : object
        Its value.

    Raises
    ------
    TypeError
        If it is none.

    Examples
    --------
    >>> from calibkit.base import check_flag
    >>> check_flag("MyCalibrator", "centered", True)
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{where}: {name}={value!r} ({type(value).__name__}); expected a bool.")


def check_real(
    where: str,
    name: str,
    value: Any,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Raise unless ``value`` is a finite number between ``low`` and ``high``.

    Parameters
    ----------
    where : str
        Who says so: the class, for instance.
    name : str
        Name of the parameter.
    value : object
        Its value.
    low, high : float, optional
        Its bounds.
    open_low, open_high : bool, default=False
        Whether a bound is excluded.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is not between the bounds.

    Examples
    --------
    >>> from calibkit.base import check_real
    >>> check_real("MyCalibrator", "l2", -1.0, low=0.0)
    Traceback (most recent call last):
    ValueError: MyCalibrator: l2=-1.0; expected a number in [0, inf].
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{where}: {name}={value!r} ({type(value).__name__}); expected a number.")
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = np.inf
    inside = low <= number <= high and not (
        (open_low and number == low) or (open_high and number == high)
    )
    if not inside or not np.isfinite(number):
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        raise ValueError(
            f"{where}: {name}={value!r}; expected a number in {left}{low:g}, {high:g}{right}."
        )


def check_scale(where: str, name: str, value: Any) -> None:
    """Raise unless ``value`` is a positive number that can be divided by and squared."""
    check_real(where, name, value, low=1e-12, high=1e12)


def check_int(where: str, name: str, value: Any, *, low: int, high: int = 2**53) -> None:
    """Raise unless ``value`` is a whole number of at least ``low``, and not beyond reason.

    Parameters
    ----------
    where : str
        Who says so: the class, for instance.
    name : str
        Name of the parameter.
    value : object
        Its value.
    low, high : int
        Its bounds.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is not between the bounds.

    Examples
    --------
    >>> from calibkit.base import check_int
    >>> check_int("MyCalibrator", "n_bins", 10, low=1)
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(f"{where}: {name}={value!r} ({type(value).__name__}); expected an int.")
    if value < low:
        raise ValueError(f"{where}: {name}={value!r}; expected an int of at least {low}.")
    if int(value) > high:
        raise ValueError(f"{where}: {name}={value!r}; expected an int of at most {high}.")
