"""Results of EvalPlus: base tests and plus tests of every sample of every task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..._core.errors import InputError
from ..._core.printed import spelled
from ..._tables.records import Repeated
from ._item import Item, Output, Verdict

KEYS = "eval, an object of tasks with base_status and plus_status (or base and plus)"
NOTIONS = ("plus tests", "base tests")
_STATUS = {
    **dict.fromkeys(("pass", "success"), True),
    **dict.fromkeys(("fail", "failed", "timeout", "timed out"), False),
}


def fits(item: Item) -> bool:
    """Whether a record is the whole of a results file."""
    results = item.value.get("eval")
    return isinstance(results, dict) and all(
        (isinstance(v, dict) and "base" in v)
        or (isinstance(v, list) and all(isinstance(s, dict) and "base_status" in s for s in v))
        for v in results.values()
    )


def _samples(item: Item) -> Iterator[tuple[Item, str, int, Any, Any, Any]]:
    """Item, task, sample, base status, plus status and solution."""
    if isinstance(item.value["eval"], Repeated):
        raise ValueError(f"{item.place}: eval has a task twice; expected each task once.")
    for task, samples in item.value["eval"].items():
        if isinstance(samples, dict):  # before 2024: statuses with details, no code
            base, plus = samples["base"], samples.get("plus") or []
            if not (isinstance(base, list) and isinstance(plus, list)):
                raise ValueError(
                    f"{item.place}: eval[{spelled(task)}] has base {spelled(base):.40} and plus "
                    f"{spelled(plus):.40}; expected lists with one status per sample."
                )
            rows = [
                (_first(b), _first(plus[i]) if i < len(plus) else None, None)
                for i, b in enumerate(base)
            ]
        else:
            rows = [(s["base_status"], s.get("plus_status"), s.get("solution")) for s in samples]
        for i, row in enumerate(rows):
            place = f"{item.place}, eval[{spelled(task)}][{i}]"
            yield item._replace(place=place, value={}), task, i, *row


def _first(status: Any) -> Any:
    return status[0] if isinstance(status, list) and status else status


def outputs(item: Item) -> Iterator[Output]:
    """The code that was tested, one output per sample."""
    for place, task, sample, _, _, code in _samples(item):
        if code is None and item.settings.text is None:
            raise place.fail("has no solution; expected the code that was tested.")
        yield Output(place.place, task, sample, place.as_text(code))


def verdicts(item: Item) -> Iterator[Verdict]:
    """Whether each sample passes: "plus tests" means the base tests and the additional ones."""
    notion = item.settings.notion or NOTIONS[0]
    if notion not in NOTIONS:
        listed = " or ".join(map(spelled, NOTIONS))
        raise InputError(f"notion={spelled(notion)}; expected {listed} of EvalPlus.")
    for place, task, sample, base, plus, _ in _samples(item):
        passed = _passed(place, "base", base)
        if notion == "plus tests":
            if plus is None:
                raise place.fail(
                    "has no result of the plus tests (only the base tests were run); expected one. "
                    "Use notion='base tests'."
                )
            passed &= _passed(place, "plus", plus)
        yield Verdict(place.place, task, sample, passed, notion)


def _passed(item: Item, name: str, status: Any) -> bool:
    passed = _STATUS.get(status) if isinstance(status, str) else None
    if passed is None:
        listed = ", ".join(_STATUS)
        raise item.fail(f"the {name} status is {spelled(status):.60}; expected one of {listed}.")
    return passed
