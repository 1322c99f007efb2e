"""Checks of parameters, all with the same wording."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from inspect import Parameter, signature
from numbers import Integral, Real
from typing import Any, TypeVar, cast, get_args

import numpy as np
from sklearn.utils import check_random_state

from .._numerics.binning import MOST_BINS, auto_bins
from .._typing import Strategy
from .errors import InputError, InputTypeError, called
from .printed import spelled

_Method = TypeVar("_Method", bound=Callable[..., Any])

#: Other names of online calibrators, in papers and on the command line.
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
        "temperature": "temperature_scaling temperature_calibration ts",
        "vector_scaling": "vs svs vector structured_vector_scaling",
        "matrix_scaling": "ms sms matrix structured_matrix_scaling dirichlet dirichlet_calibration",
        "beta": "beta_calibration beta_scaling",
        "isotonic": "isotonic_regression iso",
        "identity": "uncalibrated none raw nothing no_calibration",
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
        The allowed values.

    Raises
    ------
    ValueError
        If it is not one of them.

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
    """The registry's name of a calibrator that also has another name; else the value itself."""
    return _ALIASES.get(value.lower(), value)


def both_names(name: str) -> str:
    """A name as it is listed, with its other name in parentheses."""
    others = [alias for alias, main in _ALIASES.items() if main == name]
    return f"{name} ({others[0]})" if others else name


def advice(value: Any, options: Iterable[str]) -> str:
    """A suggestion, if one of the options is similar to the value."""
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


def with_hints(method: _Method) -> _Method:
    """A method or function whose error about an unknown parameter suggests the right name.

    An ``__init__`` without the calibrator that it needs gives an example.
    """
    parameters = signature(method).parameters
    known, bound = [name for name in parameters if name != "self"], "self" in parameters
    calibrator = parameters.get("calibrator")
    needed = calibrator is not None and calibrator.default is Parameter.empty

    @wraps(method)
    def checked(*args: Any, **params: Any) -> Any:
        lacks = needed and len(args) == 1 and "calibrator" not in params
        if lacks or not params.keys() <= set(known):
            own, name = type(args[0]).__name__ if bound else "", method.__name__
            with called(own if name == "__init__" else f"{own}.{name}".lstrip(".")):
                if name == "certify":
                    _refuse_weights(params)
                check_names(params, known)
                if lacks:
                    fitted = ".fit(X, y)" if "borrows" in type(args[0])._traits else ""
                    raise InputTypeError(
                        "calibrator is missing; expected another calibrator. Pass one, for "
                        f"instance {own}(PlattCalibrator(){fitted})."
                    )
        return method(*args, **params)

    return cast(_Method, checked)


def _refuse_weights(given: Iterable[str]) -> None:
    """Raise if a certificate is requested for rows with weights."""
    for name in given:
        if _SYNONYMS.get(name, name) == "sample_weight":
            raise InputTypeError(
                f"there is no parameter {spelled(name)}; expected rows of equal weight: an "
                "effective number of weighted rows is an approximation for many rows and proves "
                "nothing. Leave the weights out, or use estimate(metric, y_true, y_prob, "
                "sample_weight=...) for an approximate interval."
            )


def refuse_class(name: str, value: Any) -> None:
    """Raise if a class is passed instead of an instance."""
    if isinstance(value, type):
        own = value.__name__
        raise InputTypeError(
            f"{name} is the class {own}; expected an instance. Pass {name}={own}()."
        )


def percent(level: float) -> str:
    """A confidence level as text; 99.9% is not rounded to 100%."""
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
        If it is not a bool.

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
    options: Iterable[str] = (),
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
    options : iterable of str, default=()
        Names that are allowed instead of a number, such as "auto".

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is not between the bounds, or is a name that is not among the options.

    Examples
    --------
    >>> from calibkit.base import check_real
    >>> check_real("l2", -1.0, low=0.0)
    Traceback (most recent call last):
    calibkit.base.InputError: l2=-1.0; expected a number >= 0.
    """
    left, right = "(" if open_low else "[", ")" if open_high else "]"
    expected = f"a number in {left}{low:g}, {high:g}{right}"
    if high == np.inf:
        expected = "a finite number" if low == -np.inf else f"a number >{'='[open_low:]} {low:g}"
    if _is_option(name, value, expected, options):
        return
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise InputTypeError(
            f"{name}={spelled(value)} ({type(value).__name__}); expected {_or(expected, options)}."
        )
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = np.inf
    inside = low <= number <= high and not (
        (open_low and number == low) or (open_high and number == high)
    )
    if not inside or not np.isfinite(number):
        raise InputError(f"{name}={spelled(value)}; expected {_or(expected, options)}.")


def _or(expected: str, options: Iterable[str]) -> str:
    parts = [expected, *map(spelled, options)]
    return " or ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _is_option(name: str, value: Any, expected: str, options: Iterable[str]) -> bool:
    """Whether an allowed name is given; raise for another name."""
    options = list(options)
    if not options or not isinstance(value, str):
        return False
    if value not in options:
        hint = advice(value, options)
        raise InputError(f"{name}={spelled(value)}; expected {_or(expected, options)}{hint}.")
    return True


def check_scale(name: str, value: Any) -> None:
    """Raise unless ``value`` is positive and not too small or large to be squared."""
    check_real(name, value, low=1e-12, high=1e12)


def check_int(
    name: str, value: Any, *, low: int, high: int = 2**53, options: Iterable[str] = ()
) -> None:
    """Raise unless ``value`` is a whole number from ``low`` to ``high``.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object
        Its value.
    low, high : int
        Its bounds.
    options : iterable of str, default=()
        Names that are allowed instead of a number, such as "auto".

    Raises
    ------
    TypeError
        If it is not a whole number.
    ValueError
        If it is not between the bounds, or is a name that is not among the options.

    Examples
    --------
    >>> from calibkit.base import check_int
    >>> check_int("n_bins", 10, low=1)
    """
    expected = f"an int of at least {low}"
    if _is_option(name, value, expected, options):
        return
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise InputTypeError(
            f"{name}={spelled(value)} ({type(value).__name__}); expected {_or(expected, options)}."
        )
    if value < low:
        raise InputError(f"{name}={spelled(value)}; expected {_or(expected, options)}.")
    if int(value) > high:
        raise InputError(f"{name}={spelled(value)}; expected an int of at most {high}.")


def check_seed(random_state: Any) -> None:
    """Raise unless it is a valid seed; a given generator is not advanced."""
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

    ``effective`` is the effective number of rows.
    """
    check_choice("strategy", strategy, get_args(Strategy))
    check_int("n_bins", n_bins, low=1, high=MOST_BINS, options=("auto", "sweep"))
    if isinstance(n_bins, str):
        if n_bins == "sweep" and strategy != "unique":
            return n_bins
        return auto_bins(n if effective is None else effective)
    if n_bins > n and strategy != "unique":
        raise InputError(
            f"n_bins={n_bins} and {n:,} rows; expected at least one row per bin. Use fewer bins, "
            "or n_bins='auto'."
        )
    return int(n_bins)


def default_first_fit(n: int) -> int:
    """Labels before the first fit to a stream of n rows: 1000, or a fifth of a short stream."""
    return max(2, min(1000, n // 5))
