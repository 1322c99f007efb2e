"""Sequential loops: one source, compiled by Numba where it is installed and worth its start."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from importlib.util import find_spec
from types import FunctionType
from typing import Any

import numpy as np

#: Fewer rows than this don't pay for importing Numba and compiling, nor, once that is done, for
#: the call. Rows that came in small calls pay once there are this many of them together.
_FIRST, _LATER, _TOGETHER = 20_000, 256, 200_000
_compiled: dict[Callable[..., Any], Callable[..., Any]] = {}


def loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a loop over rows run compiled, or on lists, which plain Python walks faster.

    Arrays of one dimension whose length is the number of rows come first; all other arguments are
    numbers or arrays that the loop may change in place.
    """

    walked = 0

    def compiles(n: int) -> bool:
        """Whether a call of n rows, about to be made, runs compiled."""
        nonlocal walked
        if not _available():
            return False
        if function in _compiled:
            return n >= _LATER
        walked += n
        return n >= _FIRST or walked >= _TOGETHER

    @wraps(function)
    def run(*args: Any) -> Any:
        n = len(args[0])
        return _compile(function)(*args) if compiles(n) else _interpret(function, args)

    run.source = function  # type: ignore[attr-defined]
    run.compiles = compiles  # type: ignore[attr-defined]
    run.compiled = lambda *args: _compile(function)(*args)  # type: ignore[attr-defined]
    return run


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numbers that loops may call."""
    function.source = function  # type: ignore[attr-defined]
    return function


@cache
def _available() -> bool:
    return find_spec("numba") is not None


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    if function not in _compiled:
        from numba import njit

        names = function.__globals__
        used = {k: names[k] for k in function.__code__.co_names if hasattr(names.get(k), "source")}
        compiled = {k: _compile(f.source) for k, f in used.items()}
        # The loop itself keeps its plain helpers: compiled is a copy that sees compiled ones.
        copy = FunctionType(function.__code__, {**names, **compiled}, function.__name__)
        copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
        try:
            _compiled[function] = njit(copy, cache=True)
        except RuntimeError:  # nowhere to keep what is compiled
            _compiled[function] = njit(copy)
    return _compiled[function]


def _interpret(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Run on lists, and bring back what the loop changed: nothing before its ``out``, if any."""
    lists = [a.tolist() if isinstance(a, np.ndarray) else a for a in args]
    result = function(*lists)
    names = function.__code__.co_varnames[: len(args)]
    first = names.index("out") if "out" in names else 0
    for array, values in zip(args[first:], lists[first:], strict=True):
        if isinstance(array, np.ndarray) and array.flags.writeable and array.size:
            array[...] = values
    return result
