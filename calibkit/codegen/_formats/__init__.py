"""Files of generations and results: which format they are in, and what their records say.

A format is a module with KEYS (what it is known by, in words), ``fits(item)``, and
``outputs(item)`` or ``verdicts(item)`` or both; where a record may be a piece of a streamed
response, ``whole(items)`` raises at it. FORMATS lists it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..._core.errors import InputError
from ..._core.params import check_choice
from ..._tables.records import is_empty, to_number
from . import _evalplus, _lm_eval, _openai, _table, _vllm
from ._item import Item, Output, ReadSettings, keys
from ._source import read_records
from ._tokens import listed_tokens

#: From the most to the least particular.
FORMATS: dict[str, ModuleType] = {
    "lm-eval": _lm_eval,
    "evalplus": _evalplus,
    "openai": _openai,
    "vllm": _vllm,
    "table": _table,
}


def read_rows(path: Path, format: str, settings: ReadSettings, part: str) -> Iterator[Any]:
    """What a file's records say, ``part`` being "outputs" or "verdicts"."""
    check_choice("format", format, ("auto", *FORMATS))
    records = read_records(path)
    items: Iterator[Item] = (Item(place, value, settings) for place, value in records)
    name = format
    if format == "auto":
        name, seen = _detect(items)
        if not seen:
            raise InputError(f"{path}: there are no records; expected one or more.")
        items = chain(seen, items)
        judged = part == "verdicts" and not hasattr(FORMATS[name], part)
        if judged and _table.judges(seen[-1]):
            name, format = "table", "table"  # responses beside verdicts of one's own
    if not hasattr(FORMATS[name], part):
        kinds = [n for n, f in FORMATS.items() if hasattr(f, part)]
        what = "results" if part == "verdicts" else "generations"
        raise InputError(
            f"{path}: is in the format {name}, which holds no {what}; expected one of "
            f"{', '.join(kinds)}."
        )
    module, rows = FORMATS[name], getattr(FORMATS[name], part)
    for item in module.whole(items) if hasattr(module, "whole") else items:
        loose = name == "table" and format == "auto"
        if not module.fits(item) or (loose and _is_of_another(item)):
            raise _misfit(item, name, forced=format != "auto")
        for row in rows(item):
            yield _completed(item, row) if part == "outputs" and not row.error else row


def _detect(items: Iterator[Item]) -> tuple[str, list[Item]]:
    """The format of the first record that is no failed request, and the records up to it."""
    seen = []
    for item in items:
        seen.append(item)
        name = _name(item)
        if name == "openai" and _openai.is_error(item):
            continue
        if name is None:
            looked = "; ".join(f"{n}: {f.KEYS}" for n, f in FORMATS.items())
            raise item.fail(
                f"is of no known format. Looked for {looked}. {keys(item.value)} If this is a "
                "table, name its column: task='...'."
            )
        return name, seen
    return "openai", seen


def _name(item: Item) -> str | None:
    return next((n for n, f in FORMATS.items() if f.fits(item)), None)


def _is_of_another(item: Item) -> bool:
    """Whether a row of a table, which may hold anything, is a record of another format."""
    name = _name(item)
    return name != "table" and not (name == "openai" and _openai.is_error(item))


def _misfit(item: Item, name: str, forced: bool) -> ValueError:
    other = None if forced else _name(item)
    if other not in (None, "table"):
        what = f"is in the format {other} and records before it are in {name}"
        return item.fail(f"{what}; expected one format in a file.")
    return item.fail(f"is no {name} record; expected {FORMATS[name].KEYS}. {keys(item.value)}")


def _completed(item: Item, output: Output) -> Output:
    """An output with what the caller named: text, log-probabilities, signals."""
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
