"""Dumps of vLLM's RequestOutput, from its offline engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..._core.printed import spelled
from ._item import PIECE, Item, Output, Tokens
from ._tokens import make_tokens

KEYS = "outputs[] with text and token_ids"
TASKS = ("task_id", "request_id")


def fits(item: Item) -> bool:
    """Whether a record is a request with its outputs."""
    outputs = item.value.get("outputs")
    return isinstance(outputs, list) and all(isinstance(o, dict) and "text" in o for o in outputs)


def outputs(item: Item) -> Iterator[Output]:
    """One output for each completion of the request."""
    task, sample = item.ids(TASKS)
    if item.value.get("finished") is False:
        raise item.fail(f"finished is False: {PIECE}")
    completions = item.value["outputs"]
    if not completions:
        raise item.fail("outputs is empty; expected at least one output.")
    sample = item.one_sample(sample, completions, "output")
    for one in item.by_index(completions):
        text = item.as_text(one["text"])
        yield Output(item.place, task, sample, text, _tokens(one, text, item))


def _tokens(one: dict[str, Any], text: str, item: Item) -> Tokens:
    """Log-probabilities of the drawn tokens, and of the alternatives at each position."""
    logprobs = one.get("logprobs")
    if logprobs is None:
        return Tokens()
    if isinstance(logprobs, dict):
        logprobs = _unflattened(logprobs, item)
    tokens = one.get("token_ids")
    if not isinstance(tokens, list):
        raise item.fail(f"token_ids is {spelled(tokens):.60}; expected a list of whole numbers.")
    item.same_length(len(tokens), len(logprobs))
    places = []
    for i, (token, listed) in enumerate(zip(tokens, logprobs, strict=True)):
        try:
            said, value = _named(listed[str(token)])
            places.append((said, value, [_named(v) for v in listed.values()]))
        except (KeyError, TypeError, AttributeError) as error:
            raise item.fail(
                f"logprobs[{i}] is {spelled(listed):.60}; expected an object with the logprob of "
                f"the drawn token {token}."
            ) from error
    return make_tokens(item, text, places)


def _named(listed: Any) -> tuple[Any, Any]:
    """A token and its log-probability, from a number or an object with decoded_token."""
    return (
        (listed.get("decoded_token"), listed["logprob"])
        if isinstance(listed, dict)
        else (None, listed)
    )


def _unflattened(flat: dict[str, Any], item: Item) -> list[dict[str, float]]:
    """The positions of a FlatLogprobs object, which has one list for all tokens."""
    try:
        spans = zip(flat["start_indices"], flat["end_indices"], strict=True)
        tokens, values = list(map(str, flat["token_ids"])), flat["logprobs"]
        return [dict(zip(tokens[a:b], values[a:b], strict=True)) for a, b in spans]
    except (KeyError, TypeError, ValueError) as error:
        raise item.fail(
            f"logprobs is {spelled(flat):.60}; expected a list of objects, or an object with "
            "start_indices, end_indices, token_ids and logprobs."
        ) from error
