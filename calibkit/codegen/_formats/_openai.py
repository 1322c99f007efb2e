"""Responses of the OpenAI API, also of other servers: chat and legacy completions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..._core.printed import spelled
from ._item import PIECE, Item, Output, Tokens, keys
from ._tokens import make_tokens

KEYS = "choices[] with message or text, alone or in response.body of batch lines"
TASKS = ("task_id", "custom_id")
#: What a message may hold instead of a text.
_INSTEAD = ("refusal", "tool_calls", "function_call", "audio")

#: Parts of a message that are not the answer.
_BESIDE = ("thinking", "reasoning", "reasoning_content", "redacted_thinking", "refusal")


def fits(item: Item) -> bool:
    """Whether a record is a response, or an error instead of a response."""
    body, error = _unwrapped(item.value)
    return bool(error) or (isinstance(body, dict) and isinstance(body.get("choices"), list))


def is_error(item: Item) -> bool:
    """Whether a record says that a request failed."""
    return bool(_unwrapped(item.value)[1])


def _unwrapped(record: dict[str, Any]) -> tuple[Any, str]:
    """The response in a record, and the error message if there is none."""
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


def whole(items: Iterable[Item]) -> Iterator[Item]:
    """The records; raises at a piece of a streamed response, also one shown by a repeated id."""
    unended: dict[tuple[str, str], str] = {}
    for item in items:
        body, _ = _unwrapped(item.value)
        choices = body.get("choices") if isinstance(body, dict) else None
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            if "delta" in choice:
                raise item.fail(f"a choice has a delta: {PIECE}")
            if "message" in choice and not str(body.get("object")).endswith(".chunk"):
                continue  # pieces of a chat have a delta instead
            key = (str(body.get("id")), str(choice.get("index")))
            if key in unended:
                what = f"continues the response {key[0]} of {unended[key]}: {PIECE}"
                raise item.fail(f"{what} If it is a whole response, give it another id.")
            if body.get("id") is not None and choice.get("finish_reason") is None:
                unended[key] = item.place
        yield item


def outputs(item: Item) -> Iterator[Output]:
    """One output for each choice."""
    task, sample = item.ids(TASKS)
    body, error = _unwrapped(item.value)
    if error:
        yield Output(item.place, task, sample, error=error)
        return
    choices = body["choices"]
    if not choices or not all(isinstance(c, dict) for c in choices):
        raise item.fail(f"choices is {spelled(choices):.60}; expected a list of objects.")
    sample = item.one_sample(sample, choices, "choice")
    for choice in item.by_index(choices):
        text = _text(choice, item)
        yield Output(item.place, task, sample, text, _tokens(choice, text, item))


def _text(choice: dict[str, Any], item: Item) -> str:
    message = choice.get("message")
    if "text" in choice:
        return item.as_text(choice["text"])
    if not isinstance(message, dict):
        raise item.fail(
            f"a choice has neither message nor text; expected one of them. {keys(choice)}"
        )
    if "content" not in message and not any(message.get(name) for name in _INSTEAD):
        raise item.fail(f"a message has no content; expected a text. {keys(message)}")
    said = message.get("content")
    if isinstance(said, list):  # a list of parts, of which only texts are used
        kept = [p for p in said if not (isinstance(p, dict) and p.get("type") in _BESIDE)]
        parts = [p["text"] for p in kept if isinstance(p, dict) and isinstance(p.get("text"), str)]
        said = "".join(parts) if len(parts) == len(kept) else said
    return item.as_text(said)


def _tokens(choice: dict[str, Any], text: str, item: Item) -> Tokens:
    logprobs = choice.get("logprobs")
    if logprobs is None:
        return Tokens()
    if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
        return _chat(logprobs["content"], text, item)
    if isinstance(logprobs, dict) and isinstance(logprobs.get("token_logprobs"), list):
        return _legacy(logprobs, text, item)
    if isinstance(logprobs, dict) and "content" in logprobs and logprobs["content"] is None:
        return Tokens()
    raise item.fail(
        f"logprobs is {spelled(logprobs):.60}; expected an object with the list content (chat "
        "completions) or the list token_logprobs (legacy completions)."
    )


def _chat(content: list[Any], text: str, item: Item) -> Tokens:
    try:
        places = [
            (
                _said(t),
                t["logprob"],
                [(a.get("token"), a["logprob"]) for a in t.get("top_logprobs") or ()],
            )
            for t in content
        ]
    except (KeyError, TypeError, AttributeError) as error:
        at = next(i for i, t in enumerate(content) if not _is_token(t))
        raise item.fail(
            f"token {at} of logprobs.content is {spelled(content[at]):.60}; expected an object "
            "with token, logprob and top_logprobs."
        ) from error
    return make_tokens(item, text, places)


def _said(token: dict[str, Any]) -> Any:
    """A token's text, from its bytes if given; the bytes if they are not whole characters."""
    text, data = token.get("token"), token.get("bytes")
    if not isinstance(data, list) or (isinstance(text, str) and text.isalnum() and text.isascii()):
        return text
    try:
        whole = bytes(data)
        return whole.decode()
    except UnicodeDecodeError:
        return whole
    except (TypeError, ValueError):
        return text


def _is_token(token: Any) -> bool:
    if not isinstance(token, dict) or "logprob" not in token:
        return False
    top = token.get("top_logprobs") or []
    return isinstance(top, list) and all(isinstance(a, dict) and "logprob" in a for a in top)


def _legacy(logprobs: dict[str, Any], text: str, item: Item) -> Tokens:
    values = logprobs["token_logprobs"]
    if values and values[0] is None:
        raise item.fail(
            "the first of token_logprobs is null, as in responses that echo the prompt; expected "
            "log-probabilities of the output alone. Request responses without echo, or remove the "
            "tokens of the prompt."
        )
    names = logprobs.get("tokens")
    if not isinstance(names, list):
        names = [None] * len(values)
    item.same_length(len(names), len(values))
    top = logprobs.get("top_logprobs") or [None] * len(values)
    if not isinstance(top, list) or not all(t is None or isinstance(t, dict) for t in top):
        raise item.fail(f"top_logprobs is {spelled(top):.60}; expected one object per token.")
    item.same_length(len(top), len(values))
    listed = [list((t or {}).items()) for t in top]
    places = list(zip(names, values, listed, strict=True))
    return make_tokens(item, text, places, "token_logprobs")
