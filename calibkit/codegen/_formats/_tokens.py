"""Tokens of an output: their log-probabilities, and which of them are in the text."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from ..._tables.records import is_empty
from ._item import Item, Tokens, as_first, as_list

#: One position: the token's text (None if there is only a number), its log-probability, and the
#: alternatives, with their texts if known.
Place = tuple[Any, Any, Sequence[tuple[Any, Any]]]

#: Special tokens, such as the one for the end of a text, which are not in the text.
_SPECIAL = re.compile(rb"\s*(?:<[^<>\s]+>|\[/?[A-Z_]+\])?\s*")
_BYTES_WRITTEN = re.compile(r"bytes:(?:\\x[0-9A-Fa-f]{2})+|<0x[0-9A-Fa-f]{2}>")
_NUMBERED = re.compile(r"token_id:\d+")
#: The replacement character, for bytes that are not a whole character.
_UNKNOWN = "\ufffd"


def make_tokens(
    item: Item, text: str | None, places: Sequence[Place], name: str = "logprobs"
) -> Tokens:
    """The tokens that make up a text; none if the text is not found among the given tokens."""
    # All numbers are read first, so that an invalid one is reported wherever it is.
    item.as_logprobs([p[1] for p in places], name)
    run, note = _run(text, [p[0] for p in places])
    places = places[run]
    if not places:
        return Tokens(note=note)
    token, value, listed = places[0]
    return Tokens(
        item.as_logprobs([p[1] for p in places], name),
        item.as_top([[v for _, v in p[2]] for p in places]),
        as_first((token, value), listed),
        note,
    )


def listed_tokens(item: Item, text: str | None, guesses: Iterable[str] = ()) -> Tokens:
    """Log-probabilities from a list, with or without a list of tokens."""
    entries = as_list(item.field("logprobs", guesses))
    if is_empty(entries):
        return Tokens()
    values = item.as_logprobs(entries).tolist()
    names = as_list(item.value.get("tokens"))
    if isinstance(names, list) and not callable(item.settings.logprobs):
        item.same_length(len(names), len(values))
    else:
        names = [None] * len(values)
    return make_tokens(item, text, [(n, v, ()) for n, v in zip(names, values, strict=True)])


def _run(text: str | None, said: list[Any]) -> tuple[slice, str]:
    """The range of tokens that make up a text, and the note on the other tokens."""
    if text is None or not said or not all(isinstance(t, (str, bytes)) for t in said):
        return slice(None), ""  # nothing to compare
    if all(isinstance(t, str) and _NUMBERED.fullmatch(t) for t in said):
        return slice(None), ""  # as vLLM writes tokens if it returns their numbers only
    if all(isinstance(t, str) for t in said) and "".join(said) == text:
        return slice(None), ""
    reads = [_plain, _unmarked, _newlines]
    if any(_UNKNOWN in t for t in said if isinstance(t, str)):
        reads.append(_ascii)
    for read in reads:
        wanted = (_plain if read is _unmarked else read)(text)
        tokens = [read(t) for t in said]
        if b"".join(tokens) == wanted:
            return slice(None), ""
        match = _find(wanted, tokens, [bool(_SPECIAL.fullmatch(t)) for t in map(_plain, said)])
        if match is not None:
            return match
    return slice(0), "" if all(_SPECIAL.fullmatch(_plain(t)) for t in said) else "none"


def _find(text: bytes, tokens: list[bytes], special: list[bool]) -> tuple[slice, str] | None:
    """The run of tokens that equals the text, up to white space around it: the run at the end, or
    the only one."""
    joined, ends = b"".join(tokens), [0, *accumulate(map(len, tokens))]
    for wanted in dict.fromkeys((text, text.strip())):
        runs: list[slice] = []
        at = joined.rfind(wanted) if wanted else -1
        while at >= 0 and len(runs) < 2:
            stop = at + len(wanted)
            first, last = bisect_right(ends, at) - 1, bisect_left(ends, stop)
            if not (joined[ends[first] : at] + joined[stop : ends[last]]).strip():
                runs.append(slice(first, last))
                if all(special[last:]):
                    break
            at = joined.rfind(wanted, 0, stop - 1)
        if len(runs) == 1:
            before, after = special[: runs[0].start], special[runs[0].stop :]
            return runs[0], "" if all(before) and all(after) else "cut"
    return None


def _plain(token: str | bytes) -> bytes:
    """The bytes of a token; legacy completions write part of a character as "bytes:..."."""
    if isinstance(token, bytes):
        return token
    if written := _BYTES_WRITTEN.fullmatch(token):
        return bytes.fromhex(
            written[0].removeprefix("bytes:").replace("\\x", "").replace("<0x", "").rstrip(">")
        )
    return token.encode("utf-8", "surrogatepass")


def _unmarked(token: str | bytes) -> bytes:
    """The bytes of a token in the notation of vocabularies, where a space is ▁ or Ġ."""
    if isinstance(token, str) and "▁" not in token and all(c in _BYTES for c in token):
        return bytes(_BYTES[c] for c in token)
    return _plain(token.replace("▁", " ") if isinstance(token, str) else token)


def _newlines(token: str | bytes) -> bytes:
    """The bytes of a token without \\r and byte order marks, which editors add to files."""
    return _plain(token).replace(b"\r", b"").replace(b"\xef\xbb\xbf", b"")


def _ascii(token: str | bytes) -> bytes:
    """The ASCII bytes of a token, for texts with replacement characters."""
    return bytes(b for b in _plain(token) if b < 128)


def _byte_names() -> dict[str, int]:
    """The characters that byte-level vocabularies use for bytes."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in shown]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(others)}


_BYTES = _byte_names()
