"""Errors and warnings that name the function the user called, what was found and what to do.

They are raised where the fault is found; the outermost public call is then looked up.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Any

#: Where names for users are. The checks of calibkit.base, from _core.params, are for authors.
_PUBLIC = ("", ".online", ".codegen", ".decisions", ".displays", ".export", ".base")
#: Parts that call the package as a user does.
_OUTSIDE = ("_cli", "testing")
#: What :func:`called` has said, innermost last: in which function, of whom, of which part.
_CALLS: ContextVar[tuple[tuple[CodeType, str, str], ...]] = ContextVar("calibkit_calls", default=())


class Told(Exception):
    """Base of errors and warnings: see :class:`InputError`."""

    def __init__(self, *message: Any, place: int | tuple[int, ...] | None = None) -> None:
        super().__init__(*message)
        self.caller = caller()
        self.what, _, self.fix = message_of(self).partition("; expected ")
        self.place = place[0] if isinstance(place, tuple) else place

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.caller, message_of(self))))


class InputError(Told, ValueError):
    """An invalid value; the message is ``caller: what; expected fix``.

    Parameters
    ----------
    *message : str
        What was found, then "; expected ", what is expected, and what to do.
    place : int or tuple, optional
        Row of the fault, or row and column. The message should name it too, as "row 3".

    Attributes
    ----------
    caller : str
        The public function or method that the user called, such as "PlattCalibrator.fit".
    what, fix : str
        The parts of the message before and after "; expected ".
    place : int or None
        Row of the fault.

    Examples
    --------
    >>> from calibkit import PlattCalibrator
    >>> try:
    ...     PlattCalibrator().fit([0.2, float("nan")], [0, 1])
    ... except ValueError as error:
    ...     print(error.caller, error.place)
    PlattCalibrator.fit 1
    """


class InputTypeError(Told, TypeError):
    """A value of an invalid type, with the attributes of :class:`InputError`.

    Parameters
    ----------
    *message : str
        What was found, then "; expected ", what is expected, and what to do.
    place : int or tuple, optional
        Row of the fault, or row and column. The message should name it too, as "row 3".

    Examples
    --------
    >>> from calibkit import estimate
    >>> try:
    ...     estimate("brier_score", [0, 1], [0.2, 0.7], level="high")
    ... except TypeError as error:
    ...     print(error.caller)
    estimate
    """


for _error in (InputError, InputTypeError):
    _error.__module__ = "calibkit.base"  # where users find them, and read it in a traceback


def message_of(told: BaseException | str) -> str:
    """What is said, less who says it."""
    return Exception.__str__(told) if isinstance(told, Told) else str(told)


def caller() -> str:
    """The outermost public call that led here, with the part of its work that is being done.

    What stands between, such as the ``_fit`` of an author's calibrator, is passed; who calls the
    public call is not.
    """
    calls, known, part, frame = _CALLS.get(), "", "", sys._getframe(1).f_back
    while frame:
        name = _public_name(frame)
        if known and not name and not _is_inside(frame, among_commands=bool(calls)):
            break
        known = name or known
        while calls and calls[-1][0] is frame.f_code:
            (_, said, more), calls = calls[-1], calls[:-1]
            part = more + part
            if said:
                return said + part
        frame = frame.f_back
    return known + part


def _is_inside(frame: FrameType, *, among_commands: bool = False) -> bool:
    package, _, rest = frame.f_globals.get("__name__", "").partition(".")
    return package == "calibkit" and (among_commands or rest.partition(".")[0] not in _OUTSIDE)


def _public_name(frame: FrameType) -> str:
    """What runs here, as a user calls it; empty if no user does."""
    code = frame.f_code
    name, first = code.co_name, code.co_varnames[0] if code.co_argcount else ""
    if first in ("self", "cls"):
        owner = frame.f_locals.get(first)
        owner = owner if isinstance(owner, type) else type(owner)
        if not hasattr(owner, name) or not any(map(_is_public, owner.__mro__)):
            return ""
        if name in ("__init__", "__post_init__"):
            return owner.__name__
        return "" if name.startswith("_") else f"{owner.__name__}.{name}"
    is_public = _is_inside(frame) and _is_public(frame.f_globals.get(name))
    by_authors = frame.f_globals.get("__name__") == f"{__package__}.params"
    return name if is_public and not by_authors else ""


def _is_public(thing: Any) -> bool:
    """Whether users find a class or function by its name."""
    modules = (sys.modules.get(f"calibkit{part}") for part in _PUBLIC)
    name = getattr(thing, "__name__", "")
    return any(m is not None and vars(m).get(name, m) is thing for m in modules)


@contextmanager
def called(name: str = "", part: str = "") -> Iterator[None]:
    """Say who is called where that is no public function, or which part of its work is done."""
    token = _CALLS.set((*_CALLS.get(), (sys._getframe(2).f_code, name, part)))
    try:
        yield
    finally:
        _CALLS.reset(token)
