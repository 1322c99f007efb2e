"""Types of the speed benchmark: contenders, tasks that judge them, goals for calibkit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Run = Callable[[], Any]


@dataclass(frozen=True)
class Contender:
    """Something to time. ``prepare(data)`` is not timed; the call that it returns is."""

    name: str
    role: str  # "calibkit" | "peer" | "floor" | "baseline" (shown, and named in a goal)
    prepare: Callable[[Any], Run]
    #: The time is multiplied by this if only a part of the work is measured.
    scale: float = 1.0
    #: The call returns ``(seconds, answer)`` itself (fresh interpreters).
    self_timed: bool = False


@dataclass(frozen=True)
class Goal:
    """A ratio that calibkit must reach."""

    kind: str  # "peer" | "floor" | "memory" | "named"
    value: float
    name: str = ""

    def __str__(self) -> str:
        return {
            "peer": f">= {self.value:g} x the fastest right peer",
            "named": f">= {self.value:g} x {self.name}",
            "floor": f"<= {self.value:g} x the floor",
            "memory": f"<= {self.value:g} MB extra",
        }[self.kind]


@dataclass(frozen=True)
class Task:
    """What is measured. Ratios to the floor refer to the first floor."""

    name: str
    title: str
    make: Callable[[int], Any]  # divisor of the size -> data
    contenders: list[Contender]
    judge: Callable[[Any, Any], tuple[float, str]]  # (data, answer) -> (error, note)
    goals: tuple[Goal, ...] = ()
    tolerances: tuple[float, ...] = (np.inf,)
    own: float = np.inf
    memory: bool = True


def ours(prepare: Callable[[Any], Run]) -> Contender:
    return Contender("calibkit", "calibkit", prepare)


def floor(name: str, prepare: Callable[[Any], Run]) -> Contender:
    return Contender(f"floor: {name}", "floor", prepare)


def short(n: int) -> str:
    """1000000 as 1e6."""
    return f"1e{len(str(n)) - 1}"
