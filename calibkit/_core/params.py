"""Checks of hyper-parameters, in one wording."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from numbers import Integral, Real
from typing import Any, TypeVar, cast, get_args

import numpy as np
from sklearn.utils import check_random_state

from .._numerics.binning import MOST_BINS, auto_bins
from .._typing import Strategy
from .errors import InputError, InputTypeError
from .printed import spelled

_Init = TypeVar("_Init", bound=Callable[..., None])

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
    other: name
    for name, others in {
        "platt": "sigmoid logistic platt_scaling sigmoid_calibration platt_calibration "
        "logistic_regression logistic_calibration",
        "expected_calibration_error": "ece",
        "maximum_calibration_error": "mce",
        "roc_auc": "auc auroc roc_auc_score",
        "brier_score": "brier",
        "random_state": "seed rng random_seed",
        "level": "alpha confidence ci conf_level confidence_level",
        "n_bins": "bins num_bins",
        "groups": "group cluster clusters",
        "top_label": "confidence_calibration toplabel",
        "histogram": "histogram_binning binning hb uniform_mass uniform_mass_binning",
        "temperature": "temperature_scaling temperature_calibration ts vs vector_scaling",
        "beta": "beta_calibration beta_scaling",
        "isotonic": "isotonic_regression iso",
        "one_vs_rest": "ovr ova one_vs_all",
        "calibration_error": "ace rms_calibration_error",
        "log_loss": "nll logloss cross_entropy",
        "brier_skill_score": "bss",
        "n_resamples": "n_boot n_bootstrap n_bootstraps",
        "sample_weight": "weight weights",
        "pos_label": "positive event",
        "classes": "labels",
        "calibrator": "method",
        "estimator": "base_estimator classifier",
        "cv": "n_folds folds n_splits",
    }.items()
    for other in others.split()
}


def check_choice(name: str, value: Any, options: Iterable[str]) -> None:
    """Raise unless ``value`` is one of the options.

    Parameters
    ----------
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
    >>> check_choice("norm", "l2", ("l1", "l2"))
    """
    options = list(options)
    if not isinstance(value, str) or main_name(value) not in options:
        listed = ", ".join(map(spelled, options))
        raise InputError(
            f"{name}={spelled(value)}; expected one of {listed}{advice(value, options)}."
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
    options, text = list(options), value.lower().replace("-", "_").replace(" ", "_")
    bare = text.removeprefix("neg_")
    text = _SYNONYMS.get(text, _SYNONYMS.get(bare, text))
    near = [o for o in options if o in (text, f"neg_{text}")]
    near = near or get_close_matches(text, options, n=1, cutoff=0.6)
    near = near or [o for o in options if o.endswith(text)][:1]
    return f"; did you mean {spelled(near[0])}" if near else ""


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise unless all names of parameters are known."""
    known = list(known)
    for name in given:
        if name not in known:
            raise InputTypeError(
                f"there is no parameter {spelled(name)}; expected "
                f"{', '.join(known)}{advice(name, known)}."
            )


def with_hints(init: _Init) -> _Init:
    """An ``__init__`` that says of unknown names which one is meant."""

    @wraps(init)
    def __init__(self: Any, *args: Any, **params: Any) -> None:
        known = [name for name in signature(init).parameters if name != "self"]
        check_names(params, known)
        init(self, *args, **params)

    return cast(_Init, __init__)


def percent(level: float) -> str:
    """A level of confidence in words; 99.9% is not 100%."""
    return f"{100.0 * level:.10g}%"


def check_flag(name: str, value: Any) -> None:
    """Raise unless ``value`` is a bool.

    Parameters
    ----------
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
    >>> check_flag("centered", True)
    """
    if not isinstance(value, (bool, np.bool_)):
        raise InputTypeError(f"{name}={spelled(value)} ({type(value).__name__}); expected a bool.")


def check_real(
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
    >>> check_real("l2", -1.0, low=0.0)
    Traceback (most recent call last):
    calibkit.base.InputError: l2=-1.0; expected a number in [0, inf].
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise InputTypeError(
            f"{name}={spelled(value)} ({type(value).__name__}); expected a number."
        )
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = np.inf
    inside = low <= number <= high and not (
        (open_low and number == low) or (open_high and number == high)
    )
    if not inside or not np.isfinite(number):
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        raise InputError(
            f"{name}={spelled(value)}; expected a number in {left}{low:g}, {high:g}{right}."
        )


def check_scale(name: str, value: Any) -> None:
    """Raise unless ``value`` is a positive number that can be divided by and squared."""
    check_real(name, value, low=1e-12, high=1e12)


def check_int(name: str, value: Any, *, low: int, high: int = 2**53) -> None:
    """Raise unless ``value`` is a whole number of at least ``low``, and not beyond reason.

    Parameters
    ----------
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
    >>> check_int("n_bins", 10, low=1)
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise InputTypeError(f"{name}={spelled(value)} ({type(value).__name__}); expected an int.")
    if value < low:
        raise InputError(f"{name}={spelled(value)}; expected an int of at least {low}.")
    if int(value) > high:
        raise InputError(f"{name}={spelled(value)}; expected an int of at most {high}.")


def check_seed(random_state: Any) -> None:
    """Raise unless a generator can be made of it; none is, of one that this would move on."""
    moving = isinstance(random_state, (np.random.Generator, np.random.RandomState))
    if not moving and random_state is not np.random:
        generator(random_state)


def generator(random_state: Any) -> np.random.Generator:
    """A generator from a seed, a generator, a RandomState or None."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState) or random_state is np.random:
        return np.random.default_rng(check_random_state(random_state).randint(2**31))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"random_state={spelled(random_state)}; expected an int >= 0, a generator, a "
            "RandomState or None."
        ) from error


def check_binning(strategy: str, n_bins: Any, n: int, effective: float | None = None) -> int | str:
    """Number of bins to use for n rows, "auto" resolved; "sweep" needs the data.

    ``effective`` is the number of rows of equal weight that would say as much.
    """
    check_choice("strategy", strategy, get_args(Strategy))
    if isinstance(n_bins, str):
        check_choice("n_bins", n_bins, ("auto", "sweep"))
        if n_bins == "sweep" and strategy != "unique":
            return n_bins
        return auto_bins(n if effective is None else effective)
    check_int("n_bins", n_bins, low=1, high=MOST_BINS)
    if n_bins > n and strategy != "unique":
        raise InputError(
            f"n_bins={n_bins} and {n:,} rows; expected at least one row per bin. Use fewer bins, "
            "or n_bins='auto'."
        )
    return int(n_bins)


def default_first_fit(n: int) -> int:
    """Labels before the first fit to a stream of n rows: 1000, or a fifth of a short stream."""
    return max(2, min(1000, n // 5))
