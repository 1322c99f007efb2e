"""Responses of the OpenAI interface, and of all that speak it: chat and legacy completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._rows import (
    Asked,
    Output,
    Tokens,
    as_first,
    as_logprobs,
    as_text,
    as_top,
    by_index,
    fail,
    ids,
    keys,
    same_length,
)
from ._source import Item

KEYS = "choices[] with message or text, alone or in response.body of batch lines"
TASKS = ("task_id", "custom_id")


def fits(record: dict[str, Any], asked: Asked) -> bool:
    """Whether a record holds a response, or says that there is none."""
    body, error = _unwrapped(record)
    return bool(error) or (isinstance(body, dict) and isinstance(body.get("choices"), list))


def is_error(record: dict[str, Any]) -> bool:
    """Whether a record says that a request failed."""
    return bool(_unwrapped(record)[1])


def _unwrapped(record: dict[str, Any]) -> tuple[Any, str]:
    """The response in a record, and what went wrong if there is none."""
    if "choices" in record:
        return record, ""
    response, error = record.get("response"), record.get("error")
    if isinstance(response, dict):
        body, status = response.get("body", response), response.get("status_code", 200)
    elif isinstance(error, dict) or "custom_id" in record:
        body, status = None, 200
    else:
        return None, ""
    if isinstance(body, dict):
        error = error or body.get("error")
    if error or status != 200:
        said = error.get("message") or error.get("code") if isinstance(error, dict) else error
        return None, str(said or f"status {status}")
    return body, ""


def outputs(item: Item, asked: Asked) -> Iterator[Output]:
    """One output for each choice."""
    task, sample = ids(asked, item, TASKS)
    body, error = _unwrapped(item.value)
    if error:
        yield Output(item.place, task, sample, error=error)
        return
    choices = body["choices"]
    if not choices or not all(isinstance(c, dict) for c in choices):
        raise fail(asked, item, f"choices is {choices!r:.60}; expected a list of objects.")
    if sample is not None and len(choices) > 1:
        raise fail(
            asked,
            item,
            f"is sample {sample} and holds {len(choices)} choices; expected one choice where "
            "samples are numbered.",
        )
    for choice in by_index(asked, item, choices):
        tokens = _tokens(choice, item, asked)
        yield Output(item.place, task, sample, _text(choice, item, asked), tokens)


def _text(choice: dict[str, Any], item: Item, asked: Asked) -> str:
    message = choice.get("message")
    if "text" not in choice and not isinstance(message, dict):
        inner = keys(Item("", choice))
        raise fail(asked, item, f"a choice has neither message nor text. {inner}")
    said = choice["text"] if "text" in choice else message.get("content")  # type: ignore[union-attr]
    return as_text(asked, item, said)


def _tokens(choice: dict[str, Any], item: Item, asked: Asked) -> Tokens:
    found = choice.get("logprobs")
    if found is None:
        return Tokens()
    if isinstance(found, dict) and isinstance(found.get("content"), list):
        return _chat(found["content"], item, asked)
    if isinstance(found, dict) and isinstance(found.get("token_logprobs"), list):
        return _legacy(found, item, asked)
    if isinstance(found, dict) and "content" in found and found["content"] is None:
        return Tokens()
    raise fail(
        asked,
        item,
        f"logprobs is {found!r:.60}; expected content, a list, as of chat completions, or "
        "token_logprobs, as of legacy completions.",
    )


def _chat(content: list[Any], item: Item, asked: Asked) -> Tokens:
    try:
        logprobs = [t["logprob"] for t in content]
        top = [[a["logprob"] for a in t.get("top_logprobs") or ()] for t in content]
    except (KeyError, TypeError, AttributeError) as error:
        at = next(i for i, t in enumerate(content) if not _is_token(t))
        raise fail(
            asked,
            item,
            f"token {at} of logprobs.content is {content[at]!r:.60}; expected token, logprob and "
            "top_logprobs.",
        ) from error
    first = content[0] if content else {}
    listed = [(a.get("token"), a["logprob"]) for a in first.get("top_logprobs") or ()]
    named = as_first((first.get("token"), first.get("logprob")), listed)
    return Tokens(as_logprobs(asked, item, logprobs), as_top(asked, item, top), named)


def _is_token(token: Any) -> bool:
    if not isinstance(token, dict) or "logprob" not in token:
        return False
    top = token.get("top_logprobs") or []
    return isinstance(top, list) and all(isinstance(a, dict) and "logprob" in a for a in top)


def _legacy(found: dict[str, Any], item: Item, asked: Asked) -> Tokens:
    values = found["token_logprobs"]
    if values and values[0] is None:
        raise fail(
            asked,
            item,
            "the first of token_logprobs is null, as where a response echoes its prompt; expected "
            "log-probabilities of the output alone. Ask for responses without echo, or cut the "
            "prompt's tokens off.",
        )
    logprobs = as_logprobs(asked, item, values, "token_logprobs")
    if isinstance(found.get("tokens"), list):
        same_length(asked, item, len(found["tokens"]), len(logprobs))
    top = found.get("top_logprobs") or []
    if not isinstance(top, list) or not all(t is None or isinstance(t, dict) for t in top):
        raise fail(asked, item, f"top_logprobs is {top!r:.60}; expected one object per token.")
    if top:
        same_length(asked, item, len(top), len(logprobs))
    tops = as_top(asked, item, [list(t.values()) if t else [] for t in top])
    names = found.get("tokens") or [None]
    listed = (top[0] or {}).items() if top else ()
    return Tokens(logprobs, tops, as_first((names[0], values[0]), listed) if values else None)
