"""Guess from a column's name what it holds: text, identifier, verdict or reference answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

#: Columns that may hold the text of an output.
TEXTS = (
    *("text", "completion", "solution", "code", "output", "response", "content"),
    *("generation", "generated_text", "generated_code"),
)
#: Those of them that may hold the text of the problem instead.
OF_BOTH = ("text", "content")
_SEVERAL = re.compile(r"(.+_)?(completions|responses|generations|replies|predictions|code_list)")
_VERDICT = re.compile(
    r"((is|was|has|all|tests?|plus|base|n|num|number|of)_)*(correct|pass|passed|right|solved"
    r"|resolved|accepted|success|successful|verdict|status|result|outcome|acc|accuracy|exact_match"
    r"|em|pass(@|_at_)\d+|pass_rate|passed_tests)"
)
#: Last words of the names of columns that number or date the rows.
_IDENTIFIER = re.compile(
    r"(.+_)?(ids?|uuid|hash|index|idx|rows?|seed|sample|trial|attempt|fold|line|lineno|number|no"
    r"|timestamp|created|date|time)|unnamed.*"
)
#: Names of columns that may number the samples of a task, beside ``sample``.
_SAMPLE = re.compile(r"sample|(sample|completion|generation)_(id|idx|index|no|num|number)")
#: Last words of the names of columns with reference answers or given answers.
_ANSWER = re.compile(
    r"(.+_)?(answers?|labels?|target|gold|truth|reference|expected|option|choice)|y_true|gt"
)
_RIGHT = re.compile(r"(.+_)?(correct|gold|golden|reference|expected|target|truth|canonical)(_.+)?")
#: Last words of the names of text columns that describe a row, but do not hold the output.
_ABOUT = re.compile(
    r"(.+_)?(model|repo|repository|project|language|lang|dataset|benchmark|split|category|level"
    r"|difficulty|prompt|question|problem|task|instruction|name|title|path|file|url|author|user"
    r"|reason|version|system|role|tests?|entry_point|at)"
)

#: Response formats that are not supported: their fields, and how to read the text.
_OTHERS = {
    "OpenAI's Responses API": ({"output", "object"}, "r['output'][-1]['content'][0]['text']"),
    "Anthropic's Messages API": ({"content", "stop_reason"}, "r['content'][0]['text']"),
    "Gemini": ({"candidates"}, "r['candidates'][0]['content']['parts'][0]['text']"),
    "Ollama's own API": ({"message", "done"}, "r['message']['content']"),
    "text-generation-inference": ({"generated_text", "details"}, "r['generated_text']"),
    "SGLang's own API": ({"text", "meta_info"}, "r['text']"),
    "llama.cpp's own API": ({"content", "completion_probabilities"}, "r['content']"),
    "LiveCodeBench": ({"code_list"}, "r['code_list'][0], of one record per sample"),
}


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    """The name in lower case with underscores: correct_answer for "correctAnswer"."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^\w@]+|_+", "_", apart.lower()).strip("_")


@lru_cache(maxsize=1024)
def is_no_signal(name: str) -> bool:
    """Whether a column of this name is an identifier, a verdict or an answer, so no signal."""
    return any(kind.fullmatch(_plain(name)) for kind in (_IDENTIFIER, _VERDICT, _ANSWER))


@lru_cache(maxsize=1024)
def may_number_samples(name: str) -> bool:
    """Whether a column of this name may number the samples of a task."""
    return _SAMPLE.fullmatch(_plain(name)) is not None


def holds_several(name: str) -> bool:
    """Whether a list of this name holds several outputs of a task."""
    return _SEVERAL.fullmatch(_plain(name)) is not None


def is_no_answer(name: str) -> bool:
    """Whether a text column of this name is known not to hold the output."""
    kinds = (_IDENTIFIER, _VERDICT, _RIGHT, _ABOUT)
    return any(kind.fullmatch(_plain(name)) for kind in kinds)


def other_interface(fields: Iterable[str]) -> str:
    """A sentence on how to read a record of a known unsupported format, else ""."""
    held = set(fields)
    for name, (needed, text) in _OTHERS.items():
        if needed <= held:
            return f" It looks like a response of {name}: text=lambda r: {text}."
    return ""
