"""Calibrators by name: those of the package, and those that others register."""

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

#: What files hold beside calibrators of scores: names, and where the classes are. They are imported
#: when a file names one.
OTHERS = {
    "calibrated_classifier": ("calibkit", "CalibratedClassifier"),
    "calibration_alarm": ("calibkit", "CalibrationAlarm"),
    "decision_rule": ("calibkit.decisions", "DecisionRule"),
    "multi_stream": ("calibkit.online", "MultiStreamCalibrator"),
    "quantile": ("calibkit.decisions", "QuantileCalibrator"),
    "risk_controlled_threshold": ("calibkit.decisions", "RiskControlledThreshold"),
    "triage_policy": ("calibkit.decisions", "TriagePolicy"),
}
#: Every calibrator by its name; a package of calibrators enters its own when it is imported.
CALIBRATORS: dict[str, type[BaseCalibrator]] = {}

_C = TypeVar("_C", bound=type[BaseCalibrator])


def enter(names: Mapping[str, Any]) -> None:
    """Make the calibrators among the names of a package known."""
    classes = [c for c in names.values() if isinstance(c, type) and issubclass(c, BaseCalibrator)]
    CALIBRATORS.update({c.name: c for c in classes if hasattr(c, "name")})


def class_of(name: Any) -> Any:
    """The class that files call so; None if there is none."""
    if isinstance(name, str) and name in OTHERS:
        module, cls = OTHERS[name]
        return getattr(import_module(module), cls)
    return CALIBRATORS.get(name) if isinstance(name, str) else None


def register_calibrator(calibrator: _C) -> _C:
    """Make a calibrator of your own known by its name: to files, the command line and wrappers.

    From then on :func:`~calibkit.save` and :func:`~calibkit.load` take it,
    :func:`~calibkit.make_calibrator` makes it, ``CalibratedClassifier(classifier, "its_name")``
    wraps it, and the command line lists it. Register before loading a file that holds one.

    Parameters
    ----------
    calibrator : type
        A subclass of :class:`BaseCalibrator` with a ``name`` of its own.

    Returns
    -------
    calibrator : type
        The same class, so that this is a decorator too.

    Raises
    ------
    TypeError
        If it is not a subclass of :class:`BaseCalibrator`.
    ValueError
        If its name is missing or taken, or ``_state`` does not say what it learns. A class that
        is defined again at the top level of the same module takes the place of the former one.

    Examples
    --------
    >>> from calibkit import PlattCalibrator
    >>> from calibkit.base import register_calibrator
    >>> class MyPlatt(PlattCalibrator):
    ...     pass
    >>> register_calibrator(MyPlatt)
    Traceback (most recent call last):
    calibkit.base.InputError: register_calibrator: MyPlatt.name is 'platt', which stands for
    PlattCalibrator; expected a name of its own. Set another in the class.
    """
    if not (isinstance(calibrator, type) and issubclass(calibrator, BaseCalibrator)):
        raise InputTypeError(
            f"{spelled(calibrator)}; expected a subclass of BaseCalibrator: the class, not an "
            "instance."
        )
    own, name = calibrator.__name__, getattr(calibrator, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(
            f"{own}.name is {spelled(name)}; expected small letters, digits and underscores. Set "
            f"it in the class: name = {spelled(own.lower())}."
        )
    state, kinds = getattr(calibrator, "_state", None), get_args(StateKind)
    if not isinstance(state, dict) or not all(
        str(k).endswith("_") and v in kinds for k, v in state.items()
    ):
        raise InputError(
            f"{own}._state is {spelled(state)}; expected a dict of the learned attributes, whose "
            f"names end in '_', and the kind of each, one of {', '.join(kinds)}."
        )
    known = CALIBRATORS.get(main_name(name))
    if name in OTHERS or (known is not None and not _is_redefined(known, calibrator)):
        other = "another class of calibkit" if known is None else known.__name__
        raise InputError(
            f"{own}.name is {spelled(name)}, which stands for {other}; expected a name of its own. "
            "Set another in the class."
        )
    CALIBRATORS[name] = calibrator
    return calibrator


def _is_redefined(known: type, cls: type) -> bool:
    """Whether a class is a known one, or was made by running the same cell or module again."""
    same = (known.__module__, known.__qualname__) == (cls.__module__, cls.__qualname__)
    return known is cls or (same and "<locals>" not in cls.__qualname__)


@contextmanager
def registry_restored() -> Iterator[None]:
    """Forget afterwards what is registered within."""
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
    """A calibrator by its registry name.

    Parameters
    ----------
    name : str
        One of ``"identity", "platt", "temperature", "beta", "isotonic", "histogram",
        "scaling_binning"``, of streams ``"tracking"`` (also ``"tops"``), ``"hedging"``
        (``"hops"``), ``"online_platt"`` (``"ops"``), ``"online_beta"`` (``"obs"``),
        ``"online_temperature", "adaptive_platt"`` (``"adaptive"``), or one that needs
        ``calibrator=...``: ``"windowed"``, or a lift, ``"one_vs_rest"`` or ``"top_label"``; also
        the names of those that :func:`~calibkit.base.register_calibrator` was given.
    **params
        Hyper-parameters of the calibrator.

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
    name = main_name(name) if isinstance(name, str) else name
    if not isinstance(name, str) or name not in CALIBRATORS:
        raise InputError(
            f"name={spelled(name)}; expected one of "
            f"{', '.join(sorted(CALIBRATORS))}{advice(name, CALIBRATORS)}."
        )
    cls = CALIBRATORS[name]
    parameters = signature(cls).parameters
    with called(part=f"({spelled(name)})"):
        check_names(params, parameters)
        if needs_calibrator(name) and "calibrator" not in params:
            inner = "PlattCalibrator()"
            raise InputTypeError(
                f"{cls.__name__} makes a calibrator of another one; expected which. Write "
                f"{cls.__name__}({inner}), or make_calibrator({spelled(name)}, calibrator={inner})."
            )
    return cls(**params)


def needs_calibrator(name: str) -> bool:
    """Whether the calibrator of this name is made of another one, which has no default."""
    known = signature(CALIBRATORS[name]).parameters if name in CALIBRATORS else {}
    return "calibrator" in known and known["calibrator"].default is Parameter.empty
