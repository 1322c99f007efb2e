"""Dumps of vLLM's RequestOutput, as its offline engine gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..._core.printed import spelled
from ._rows import (
    PIECE,
    Asked,
    Output,
    Tokens,
    as_text,
    by_index,
    fail,
    ids,
    one_sample,
    same_length,
)
from ._source import Item
from ._tokens import make_tokens

KEYS = "outputs[] with text and token_ids"
TASKS = ("task_id", "request_id")


def fits(record: dict[str, Any], asked: Asked) -> bool:
    """Whether a record is a request with its outputs."""
    found = record.get("outputs")
    return isinstance(found, list) and all(isinstance(o, dict) and "text" in o for o in found)


def outputs(item: Item, asked: Asked) -> Iterator[Output]:
    """One output for each that the request gave."""
    task, sample = ids(asked, item, TASKS)
    if item.value.get("finished") is False:
        raise fail(asked, item, f"finished is False: {PIECE}")
    found = item.value["outputs"]
    if not found:
        raise fail(asked, item, "outputs is empty; expected one output or more.")
    sample = one_sample(asked, item, sample, found, "output")
    for one in by_index(asked, item, found):
        text = as_text(asked, item, one["text"])
        yield Output(item.place, task, sample, text, _tokens(one, text, item, asked))


def _tokens(one: dict[str, Any], text: str, item: Item, asked: Asked) -> Tokens:
    """Log-probabilities of the tokens drawn, and of all that are listed at their places."""
    found = one.get("logprobs")
    if found is None:
        return Tokens()
    if isinstance(found, dict):
        found = _unflattened(found, item, asked)
    tokens = one.get("token_ids")
    if not isinstance(tokens, list):
        raise fail(
            asked, item, f"token_ids is {spelled(tokens):.60}; expected a list of whole numbers."
        )
    same_length(asked, item, len(tokens), len(found))
    places = []
    for i, (token, listed) in enumerate(zip(tokens, found, strict=True)):
        try:
            said, value = _named(listed[str(token)])
            places.append((said, value, [_named(v) for v in listed.values()]))
        except (KeyError, TypeError, AttributeError) as error:
            raise fail(
                asked,
                item,
                f"logprobs[{i}] is {spelled(listed):.60}; expected an object with the logprob of "
                f"token {token}, the one drawn.",
            ) from error
    return make_tokens(asked, item, text, places)


def _named(listed: Any) -> tuple[Any, Any]:
    """A token and its log-probability, which may be bare or beside rank and decoded_token."""
    return (
        (listed.get("decoded_token"), listed["logprob"])
        if isinstance(listed, dict)
        else (None, listed)
    )


def _unflattened(flat: dict[str, Any], item: Item, asked: Asked) -> list[dict[str, float]]:
    """The positions of FlatLogprobs, which holds those of all tokens in one list."""
    try:
        spans = zip(flat["start_indices"], flat["end_indices"], strict=True)
        tokens, values = list(map(str, flat["token_ids"])), flat["logprobs"]
        return [dict(zip(tokens[a:b], values[a:b], strict=True)) for a, b in spans]
    except (KeyError, TypeError, ValueError) as error:
        raise fail(
            asked,
            item,
            f"logprobs is {spelled(flat):.60}; expected a list of objects, or start_indices, "
            "end_indices, token_ids and logprobs.",
        ) from error
