"""What a caller named of records, whatever their format: text, log-probabilities, signals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..._tables.records import is_empty, to_number
from ._rows import (
    Asked,
    Output,
    Tokens,
    as_list,
    as_logprobs,
    as_text,
    fail,
    field,
    keys,
    same_length,
)
from ._source import Item
from ._tokens import make_tokens


def with_asked(asked: Asked, item: Item, output: Output) -> Output:
    """An output with what the caller named: text, log-probabilities, signals."""
    if asked.text is not None:
        output = output._replace(text=as_text(asked, item, field(asked, item, "text")))
    if asked.logprobs is not None:
        text = None if callable(asked.text) else output.text
        output = output._replace(tokens=listed_tokens(asked, item, text))
    if asked.labels:
        found = (_named(asked, item, name, "labels") for name in asked.labels)
        output = output._replace(labels=tuple("" if v is None else str(v) for v in found))
    if not asked.signals:
        return output
    extra = dict(output.extra)
    for name in asked.signals:
        value = extra[name] if name in extra else _named(asked, item, name, "signals")
        place = f"{asked.where}: {item.place}: {name}"
        extra[name] = np.nan if is_empty(value) else to_number(value, place)
    return output._replace(extra=extra)


def _named(asked: Asked, item: Item, name: str, by: str) -> Any:
    if name not in item.value:
        raise fail(asked, item, f"has no {name}; expected it, as {by} names it. {keys(item)}")
    return item.value[name]


def listed_tokens(
    asked: Asked, item: Item, text: str | None, guesses: Iterable[str] = ()
) -> Tokens:
    """Log-probabilities that stand in a list, beside a list of tokens or alone."""
    found = as_list(field(asked, item, "logprobs", guesses))
    if is_empty(found):
        return Tokens()
    values = as_logprobs(asked, item, found).tolist()
    names = as_list(item.value.get("tokens"))
    if isinstance(names, list) and not callable(asked.logprobs):
        same_length(asked, item, len(names), len(values))
    else:
        names = [None] * len(values)
    return make_tokens(asked, item, text, [(n, v, ()) for n, v in zip(names, values, strict=True)])
