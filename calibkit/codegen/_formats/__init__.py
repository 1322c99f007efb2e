"""Formats of files of generations and results.

A format is a module with KEYS (its keys, in words), ``fits(item)``, and ``outputs(item)`` or
``verdicts(item)`` or both. If records may be pieces of streamed responses, ``whole(items)`` raises
at these. FORMATS lists the modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..._core.errors import InputError
from ..._core.params import check_choice
from ..._core.printed import spelled
from ..._tables.records import is_empty, to_number
from . import _evalplus, _lm_eval, _openai, _table, _vllm
from ._item import OWN_TASK, Item, Output, ReadSettings, keys
from ._source import read_records
from ._tokens import listed_tokens

#: In the order in which they are tried.
FORMATS: dict[str, ModuleType] = {
    "lm-eval": _lm_eval,
    "evalplus": _evalplus,
    "openai": _openai,
    "vllm": _vllm,
    "table": _table,
}


#: The formats other than tables, by the key that shows them.
_KNOWN_BY = "choices (openai), outputs (vllm), eval (evalplus), or doc_id and resps (lm-eval)"
#: Keys that may name the task.
_TASK_LIKE = re.compile(r"(task|problem|question|prompt|instance|doc|puzzle)", re.IGNORECASE)


def read_rows(path: Path, format: str, settings: ReadSettings, part: str) -> Iterator[Any]:
    """Read outputs or verdicts (the ``part``) from a file."""
    check_choice("format", format, ("auto", *FORMATS))
    records = read_records(path)
    items: Iterator[Item] = (Item(place, value, settings) for place, value in records)
    name = format
    if format == "auto":
        name, seen = _detect(items)
        if not seen:
            raise InputError(f"{path}: there are no records; expected at least one.")
        items = chain(seen, items)
        judged = part == "verdicts" and not hasattr(FORMATS[name], part)
        if judged and _table.judges(seen[-1]):
            name, format = "table", "table"  # responses with the user's own verdict columns
    if not hasattr(FORMATS[name], part):
        kinds = [n for n, f in FORMATS.items() if hasattr(f, part)]
        what = "results" if part == "verdicts" else "generations"
        raise InputError(
            f"{path}: is in the format {name}, which holds no {what}; expected one of "
            f"{', '.join(kinds)}. Pass the file with the {what}."
        )
    module, rows = FORMATS[name], getattr(FORMATS[name], part)
    for item in module.whole(items) if hasattr(module, "whole") else items:
        loose = name == "table" and format == "auto"
        if not module.fits(item) or (loose and _is_of_another(item)):
            raise _misfit(item, name, forced=format != "auto")
        for row in rows(item):
            yield _completed(item, row) if part == "outputs" and not row.error else row


def _detect(items: Iterator[Item]) -> tuple[str, list[Item]]:
    """The format of the first record that is not a failed request, and the records up to it."""
    seen = []
    for item in items:
        seen.append(item)
        name = _name(item)
        if name == "openai" and _openai.is_error(item):
            continue
        if name is None:
            raise item.fail(
                f"is in no known format; expected a table with {_table.KEYS}, or a record with "
                f"{_KNOWN_BY}. {keys(item.value)} If this is a table, name the column of the task: "
                f"task={spelled(_likely_task(item))}.{_own_task(item)}"
            )
        return name, seen
    return "openai", seen


def _own_task(item: Item) -> str:
    """What to do where the caller named a task column that this file may not have."""
    return "" if item.settings.task is None else OWN_TASK


def _likely_task(item: Item) -> str:
    """The first key that may name the task, or '...'."""
    return next((k for k in map(str, item.value) if _TASK_LIKE.match(k)), "...")


def _name(item: Item) -> str | None:
    return next((n for n, f in FORMATS.items() if f.fits(item)), None)


def _is_of_another(item: Item) -> bool:
    """Whether a row read as a table is a record of another format."""
    name = _name(item)
    return name != "table" and not (name == "openai" and _openai.is_error(item))


def _misfit(item: Item, name: str, forced: bool) -> ValueError:
    other = None if forced else _name(item)
    if other not in (None, "table"):
        what = f"is in the format {other} and records before it are in {name}"
        return item.fail(f"{what}; expected one format per file. Split the file.")
    what = f"is not a record of the format {name}; expected {FORMATS[name].KEYS}"
    return item.fail(f"{what}. {keys(item.value)}{_own_task(item) * (name == 'table')}")


def _completed(item: Item, output: Output) -> Output:
    """An output with the fields that the caller named: text, log-probabilities, signals."""
    asked = item.settings
    if asked.text is not None:
        output = output._replace(text=item.as_text(item.field("text")))
    if asked.logprobs is not None:
        text = None if callable(asked.text) else output.text
        output = output._replace(tokens=listed_tokens(item, text))
    if asked.labels:
        values = (_named(item, name, "labels") for name in asked.labels)
        output = output._replace(labels=tuple("" if v is None else str(v) for v in values))
    if not asked.signals:
        return output
    extra = dict(output.extra)
    for name in asked.signals:
        value = extra[name] if name in extra else _named(item, name, "signals")
        place = f"{item.place}: {name}"
        extra[name] = np.nan if is_empty(value) else to_number(value, place)
    return output._replace(extra=extra)


def _named(item: Item, name: str, by: str) -> Any:
    if name not in item.value:
        raise item.fail(f"has no {name}; expected it, as {by} names it. {keys(item.value)}")
    return item.value[name]
