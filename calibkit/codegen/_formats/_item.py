"""What a format makes of records: outputs of a model and verdicts on them, and their cells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..._core.errors import InputError
from ..._core.printed import spelled
from ..._tables.records import to_number
from ..._typing import FloatArray, IntArray
from ._names import may_number_samples

#: A key of the records, or what makes a value of a record; of the task several keys, too.
Field = str | Callable[[dict[str, Any]], Any] | tuple[str, ...]

#: Of a record that is one.
PIECE = (
    "it is a piece of a streamed response; expected whole responses. Ask without streaming "
    "(stream=False), or join the pieces of each first."
)

_VERDICTS = {
    **dict.fromkeys(("true", "1", "1.0", "pass", "passed"), True),
    **dict.fromkeys(("false", "0", "0.0", "fail", "failed"), False),
}


@dataclass(frozen=True)
class ReadSettings:
    """What the caller said of the records."""

    task: Field | None = None
    sample: Field | None = None
    text: Field | None = None
    logprobs: Field | None = None
    correct: str | None = None
    notion: str | None = None
    signals: tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()


class Top(NamedTuple):
    """Log-probabilities of the likeliest tokens, flat, and how many there are at each place."""

    flat: FloatArray
    per_token: IntArray


#: Likeliest tokens at one place, with their log-probabilities.
Alternatives = list[tuple[str, float]]


class Tokens(NamedTuple):
    """Log-probabilities of an output's tokens, of their alternatives, and of the first token's by
    name; ``note`` "cut": more tokens were given, "none": none of those given make up the text."""

    logprobs: FloatArray | None = None
    top: Top | None = None
    first: Alternatives | None = None
    note: str = ""


class Numbered(int):
    """A number of a sample by another name than ``sample``: taken if it tells all samples apart."""


class Output(NamedTuple):
    """An output of a model; ``sample`` None: by order of occurrence, ``text`` None: not in the
    record, which has these ``fields``; ``doubt``: the text's column, which may be the problem's."""

    place: str
    task: str
    sample: int | None
    text: str | None = ""
    tokens: Tokens = Tokens()
    extra: dict[str, Any] = {}  # noqa: RUF012 - never written to
    labels: tuple[str, ...] = ()
    error: str = ""
    fields: tuple[str, ...] = ()
    doubt: str = ""


class Verdict(NamedTuple):
    """Whether an output is correct, in what sense, and by which column."""

    place: str
    task: str
    sample: int | None
    correct: bool
    notion: str
    column: str = ""


class Item(NamedTuple):
    """A record, where it is in words, and what the caller said of all of them."""

    place: str
    value: dict[str, Any]
    settings: ReadSettings

    def fail(self, what: str) -> ValueError:
        """An error that names the place."""
        return InputError(f"{self.place}: {what}")

    def field(self, name: str, guesses: Iterable[str] = (), needed: bool = False) -> Any:
        """The value that the caller's ``name`` points to, or that of the first guess there is."""
        asked = getattr(self.settings, name)
        if isinstance(asked, tuple):  # several keys name a task together
            return "/".join(self.as_task(self._named(name, key)) for key in asked)
        if asked is not None:
            return self._named(name, asked)
        key = next((g for g in guesses if g in self.value), None)
        if key is None and needed:
            raise self.fail(
                f"has no {' or '.join(guesses)}; expected one that names the {name}. "
                f"{keys(self.value)} Name the one: {name}='...'."
            )
        return None if key is None else self.value[key]

    def _named(self, name: str, asked: Any) -> Any:
        """The value of a key, or what a function makes of the record."""
        if callable(asked):
            try:
                return asked(self.value)
            except Exception as error:
                what = f"{name}={spelled(asked)} failed ({type(error).__name__}: {spelled(error)})"
                raise self.fail(f"{what}; expected a value of every record.") from error
        if asked in self.value:
            return self.value[asked]
        what = f"has no {asked}; expected it, as {name}={spelled(asked)}."
        raise self.fail(f"{what} {keys(self.value)}")

    def ids(self, tasks: Iterable[str]) -> tuple[str, int | None]:
        """Task and sample of a record; None where samples are not numbered."""
        task = self.as_task(self.field("task", tasks, needed=True))
        number = self.field("sample", ("sample",))
        if number is None and self.settings.sample is None:
            guesses = sorted(name for name in self.value if may_number_samples(str(name)))
            numbers = (_whole(self.value[name]) for name in guesses)
            return task, next((Numbered(n) for n in numbers if n is not None), None)
        whole = _whole(number)
        if whole is not None:
            return task, whole
        raise self.fail(
            f"sample is {spelled(number):.60}; expected a whole number from 0 to 2**53."
        )

    def one_sample(self, sample: int | None, choices: list[Any], what: str) -> int | None:
        """The number of a record's one output; a record of several has none."""
        if len(choices) < 2 or sample is None or isinstance(sample, Numbered):
            return sample if len(choices) < 2 else None
        raise self.fail(
            f"is sample {sample} and holds {len(choices)} {what}s; expected one {what} where "
            "samples are numbered."
        )

    def by_index(self, choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Choices or outputs in the order of their numbers, if they have any."""
        for one in choices:
            if not isinstance(one.get("index") or 0, (int, float)):
                raise self.fail(f"index is {spelled(one['index']):.60}; expected a whole number.")
        return sorted(choices, key=lambda one: one.get("index") or 0)

    def as_task(self, value: Any) -> str:
        """A task's name as text; 7 and "7" are one task."""
        if isinstance(value, str) and value and not value.endswith("\0"):  # NumPy drops these
            return value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            return str(value)
        raise self.fail(f"task is {spelled(value):.60}; expected a text or a whole number.")

    def as_verdict(self, name: str, value: Any) -> bool:
        """Whether a value says correct: true, 1, "passed" or their opposites."""
        verdict = value if isinstance(value, bool) else _VERDICTS.get(str(value).strip().lower())
        if verdict is None:
            raise self.fail(
                f"{name} is {spelled(value):.60}; expected true or false (also 1 or 0, passed or "
                "failed) for each output."
            )
        return verdict

    def as_logprobs(self, values: Any, name: str = "logprobs") -> FloatArray:
        """Log-probabilities of the tokens of an output; null ones are NaN."""
        try:
            logprobs = np.array(values, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            logprobs = None
        if (
            logprobs is None
            or logprobs.ndim != 1
            or any(isinstance(v, (str, bool)) for v in values)
        ):
            raise self.fail(
                f"{name} is {spelled(values):.60}; expected a list of numbers, one per token, in "
                "CSV as JSON: [-0.1, -2.3]."
            )
        return logprobs

    def as_top(self, top: list[list[Any]]) -> Top | None:
        """Log-probabilities of the likeliest tokens at each place, laid out flat."""
        flat = self.as_logprobs([v for one in top for v in one], "top_logprobs")
        return Top(flat, np.array([len(one) for one in top])) if len(flat) else None

    def as_text(self, value: Any) -> str:
        """The text of an output; none is an empty one."""
        if value is None or isinstance(value, str):
            return value or ""
        raise self.fail(f"the text is {spelled(value):.60}; expected a text.")

    def same_length(self, n_tokens: int, n_logprobs: int) -> None:
        """Raise unless there are as many tokens as log-probabilities."""
        if n_tokens != n_logprobs:
            what = f"{n_tokens} tokens and {n_logprobs} log-probabilities"
            raise self.fail(f"{what}; expected the same number.")


def keys(record: Iterable[Any]) -> str:
    """The keys of a record in a sentence."""
    names = list(record)
    more = ", ..." if len(names) > 12 else ""
    return f"It has: {', '.join(str(k)[:40] for k in names[:12])}{more}."


def _whole(value: Any) -> int | None:
    """A cell as a whole number from 0 that floats hold, None if it is none."""
    try:
        number = to_number(value, "sample")
    except ValueError:
        return None
    return int(number) if 0 <= number < 2**53 and number == int(number) else None


def as_first(drawn: Any, listed: Iterable[tuple[Any, Any]]) -> Alternatives | None:
    """The alternatives of a first token by name, and the token drawn where they lack it."""
    pairs = [(t, float(v)) for t, v in listed if isinstance(t, str) and v is not None]
    token, value = drawn
    if isinstance(token, str) and value is not None and token not in dict(pairs):
        pairs.append((token, float(value)))
    return pairs or None


def as_list(cell: Any) -> Any:
    """A list that is written as text, parsed; all else as it is."""
    if not isinstance(cell, str) or not cell.lstrip().startswith("["):
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        return cell
