"""Calibrators by name: those of the package and those that users register."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, TypeVar, get_args

from ._core.base import BaseCalibrator, StateKind
from ._core.errors import InputError, InputTypeError, called
from ._core.params import advice, check_names, main_name
from ._core.printed import spelled

#: Classes in files that are not calibrators of scores, by name, with their modules. A module is
#: imported when a file names its class.
OTHERS = {
    "calibrated_classifier": ("calibkit", "CalibratedClassifier"),
    "calibration_alarm": ("calibkit", "CalibrationAlarm"),
    "comparison_alarm": ("calibkit", "ComparisonAlarm"),
    "decision_rule": ("calibkit.decisions", "DecisionRule"),
    "multi_stream": ("calibkit.online", "MultiStreamCalibrator"),
    "quantile": ("calibkit.decisions", "QuantileCalibrator"),
    "risk_controlled_threshold": ("calibkit.decisions", "RiskControlledThreshold"),
    "triage_policy": ("calibkit.decisions", "TriagePolicy"),
}
#: Every calibrator by its name; importing a package of calibrators adds them.
CALIBRATORS: dict[str, type[BaseCalibrator]] = {}

#: What to do where a name is not known.
REGISTER = "To use a calibrator of your own, register it first: calibkit.base.register_calibrator."

_C = TypeVar("_C", bound=type[BaseCalibrator])


def enter(names: Mapping[str, Any]) -> None:
    """Add the calibrators of a package, given its names."""
    classes = [c for c in names.values() if isinstance(c, type) and issubclass(c, BaseCalibrator)]
    CALIBRATORS.update({c.name: c for c in classes if hasattr(c, "name")})


def class_of(name: Any) -> Any:
    """The class that has this name in files; None if there is none."""
    if isinstance(name, str) and name in OTHERS:
        module, cls = OTHERS[name]
        return getattr(import_module(module), cls)
    return CALIBRATORS.get(name) if isinstance(name, str) else None


def register_calibrator(calibrator: _C) -> _C:
    """Register a calibrator of your own, so that it can be used by its name.

    Afterwards :func:`~calibkit.save` and :func:`~calibkit.load` accept it,
    ``make_calibrator("its_name")`` and ``CalibratedClassifier(classifier, "its_name")`` make it,
    and the command line lists it. Register the class before you load a file that holds one.

    Parameters
    ----------
    calibrator : type
        A subclass of :class:`BaseCalibrator` with a ``name`` of its own.

    Returns
    -------
    calibrator : type
        The same class, so that this function can be used as a decorator.

    Raises
    ------
    TypeError
        If it is not a subclass of :class:`BaseCalibrator`.
    ValueError
        If its name is missing or taken, or ``_state`` does not list the learned attributes. A
        class that is defined again at the top level of the same module replaces the old one.

    Examples
    --------
    >>> from calibkit import PlattCalibrator
    >>> from calibkit.base import register_calibrator
    >>> class MyPlatt(PlattCalibrator):
    ...     pass
    >>> register_calibrator(MyPlatt)
    Traceback (most recent call last):
    calibkit.base.InputError: register_calibrator: MyPlatt.name is 'platt', which is the name of
    PlattCalibrator; expected a new name. Set another name in the class.
    """
    if not (isinstance(calibrator, type) and issubclass(calibrator, BaseCalibrator)):
        raise InputTypeError(
            f"{spelled(calibrator)}; expected a subclass of BaseCalibrator: the class, not an "
            "instance."
        )
    own, name = calibrator.__name__, getattr(calibrator, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(
            f"{own}.name is {spelled(name)}; expected lowercase letters, digits and underscores. "
            f"Set it in the class: name = {spelled(own.lower())}."
        )
    state, kinds = getattr(calibrator, "_state", None), get_args(StateKind)
    if not isinstance(state, dict) or not all(
        str(k).endswith("_") and v in kinds for k, v in state.items()
    ):
        raise InputError(
            f"{own}._state is {spelled(state)}; expected a dict from each learned attribute (its "
            f"name ends in '_') to its kind, one of {', '.join(kinds)}."
        )
    known = CALIBRATORS.get(main_name(name))
    if name in OTHERS or (known is not None and not _is_redefined(known, calibrator)):
        other = "another class of calibkit" if known is None else known.__name__
        raise InputError(
            f"{own}.name is {spelled(name)}, which is the name of {other}; expected a new name. "
            "Set another name in the class."
        )
    CALIBRATORS[name] = calibrator
    return calibrator


def _is_redefined(known: type, cls: type) -> bool:
    """Whether a class is a known one, or was made by running the same cell or module again."""
    same = (known.__module__, known.__qualname__) == (cls.__module__, cls.__qualname__)
    return known is cls or (same and "<locals>" not in cls.__qualname__)


@contextmanager
def registry_restored() -> Iterator[None]:
    """Undo at the end what is registered inside."""
    before = CALIBRATORS.copy()
    try:
        yield
    finally:
        CALIBRATORS.clear()
        CALIBRATORS.update(before)


def names_without(*traits: str) -> list[str]:
    """Names of the calibrators that have none of these traits."""
    return [name for name, cls in CALIBRATORS.items() if not cls._traits & set(traits)]


def make_calibrator(name: str, **params: Any) -> BaseCalibrator:
    """Make an unfitted calibrator by its name.

    Use it where the method comes from a configuration file or a loop.

    Parameters
    ----------
    name : str
        - For batches: ``"auto", "identity", "platt", "temperature", "beta", "spline", "isotonic",
          "venn_abers", "vector_scaling", "matrix_scaling", "histogram", "scaling_binning"``.
        - For streams: ``"tracking"`` (or ``"tops"``), ``"hedging"`` (``"hops"``),
          ``"online_platt"`` (``"ops"``), ``"online_beta"`` (``"obs"``), ``"online_temperature",
          "adaptive_platt"`` (``"adaptive"``).
        - With ``calibrator=...``: ``"one_vs_rest", "top_label", "windowed", "borrowed"``.
        - The names of calibrators registered by :func:`~calibkit.base.register_calibrator`.
    **params
        Parameters of the calibrator.

    Returns
    -------
    calibrator : BaseCalibrator
        Not fitted.

    Raises
    ------
    ValueError
        If the name is not known.
    TypeError
        If a parameter is not known, or ``calibrator`` is missing.

    Examples
    --------
    >>> from calibkit import make_calibrator
    >>> make_calibrator("platt", smooth_targets=True)
    PlattCalibrator(smooth_targets=True)
    """
    check_name("name", name, sorted(CALIBRATORS))
    name = main_name(name)
    cls = CALIBRATORS[name]
    parameters = signature(cls).parameters
    with called(part=f"({spelled(name)})"):
        check_names(params, parameters)
        if needs_calibrator(name) and "calibrator" not in params:
            inner = "PlattCalibrator()"
            raise InputTypeError(
                f"{cls.__name__} needs another calibrator; expected calibrator=... . Use "
                f"{cls.__name__}({inner}), or make_calibrator({spelled(name)}, calibrator={inner})."
            )
    return cls(**params)


def check_name(parameter: str, value: Any, names: list[str]) -> None:
    """Raise unless a value is one of these names of calibrators."""
    if not isinstance(value, str) or main_name(value) not in names:
        near = advice(value, names)
        raise InputError(
            f"{parameter}={spelled(value)}; expected one of {', '.join(map(spelled, names))}"
            + (f"{near}." if near else f". {REGISTER}")
        )


def needs_calibrator(name: str) -> bool:
    """Whether the calibrator of this name must be given another one."""
    known = signature(CALIBRATORS[name]).parameters if name in CALIBRATORS else {}
    return "calibrator" in known and known["calibrator"].default is Parameter.empty
