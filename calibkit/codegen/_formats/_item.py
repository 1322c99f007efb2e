"""Records of files, and the outputs and verdicts (correct or wrong) that formats read from them."""

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

#: A key of the records, or a function of a record; for the task also several keys.
Field = str | Callable[[dict[str, Any]], Any] | tuple[str, ...]

#: What is wrong with a record that is a piece of a streamed response.
PIECE = (
    "it is a piece of a streamed response; expected whole responses. Request them without "
    "streaming (stream=False), or join the pieces of each response first."
)
#: What to do where the files of outputs and results have different columns for the task.
OWN_TASK = (
    " If the task has another column in the other file, pass each reader the column of its own "
    "file: task='...'."
)

_VERDICTS = {
    **dict.fromkeys(("true", "1", "1.0", "pass", "passed"), True),
    **dict.fromkeys(("false", "0", "0.0", "fail", "failed"), False),
}


@dataclass(frozen=True)
class ReadSettings:
    """The caller's settings for reading."""

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
    name; ``note`` "cut": only some of the tokens are in the text, "none": none are."""

    logprobs: FloatArray | None = None
    top: Top | None = None
    first: Alternatives | None = None
    note: str = ""


class Numbered(int):
    """A sample number from a column that is not called ``sample``: used if it is unique."""


class Output(NamedTuple):
    """An output of a model; ``sample`` None: counted in order, ``text`` None: not in the record,
    which has these ``fields``; ``doubt``: the text's column, if it may hold the problem instead."""

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
    """Whether an output is correct, in which sense, and from which column."""

    place: str
    task: str
    sample: int | None
    correct: bool
    notion: str
    column: str = ""


class Item(NamedTuple):
    """A record, its file and line, and the caller's settings."""

    place: str
    value: dict[str, Any]
    settings: ReadSettings

    def fail(self, what: str) -> ValueError:
        """Return an error that names the file and line."""
        return InputError(f"{self.place}: {what}")

    def field(self, name: str, guesses: Iterable[str] = (), needed: bool = False) -> Any:
        """The value of the key set for ``name``, or of the first guess that the record has."""
        asked = getattr(self.settings, name)
        if isinstance(asked, tuple):  # several keys name a task together
            return "/".join(self.as_task(self._named(name, key)) for key in asked)
        if asked is not None:
            return self._named(name, asked)
        key = next((g for g in guesses if g in self.value), None)
        if key is None and needed:
            raise self.fail(
                f"has no {' or '.join(guesses)}; expected a key that names the {name}. "
                f"{keys(self.value)} Name it: {name}='...'."
            )
        return None if key is None else self.value[key]

    def _named(self, name: str, asked: Any) -> Any:
        """The value of a key, or what a function makes of the record."""
        if callable(asked):
            try:
                return asked(self.value)
            except Exception as error:
                what = f"{name}={spelled(asked)} failed ({type(error).__name__}: {spelled(error)})"
                raise self.fail(f"{what}; expected a value for every record.") from error
        if asked in self.value:
            return self.value[asked]
        own = OWN_TASK if name == "task" else ""
        what = f"has no {asked}; expected the key that {name}={spelled(asked)} names."
        raise self.fail(f"{what} {keys(self.value)}{own}")

    def ids(self, tasks: Iterable[str]) -> tuple[str, int | None]:
        """Task and sample of a record; the sample is None if it has no number."""
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
        """The sample number of a record with one output; None for a record with several."""
        if len(choices) < 2 or sample is None or isinstance(sample, Numbered):
            return sample if len(choices) < 2 else None
        raise self.fail(
            f"is sample {sample} and holds {len(choices)} {what}s; expected one {what} in a record "
            "with a sample number. Write one record per output."
        )

    def by_index(self, choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Choices or outputs sorted by their index, if they have one."""
        for one in choices:
            if not isinstance(one.get("index") or 0, (int, float)):
                raise self.fail(f"index is {spelled(one['index']):.60}; expected a whole number.")
        return sorted(choices, key=lambda one: one.get("index") or 0)

    def as_task(self, value: Any) -> str:
        """The task's name as a text; 7 and "7" are the same task."""
        if isinstance(value, str) and value and not value.endswith("\0"):  # NumPy drops these
            return value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            return str(value)
        raise self.fail(f"task is {spelled(value):.60}; expected a text or a whole number.")

    def as_verdict(self, name: str, value: Any) -> bool:
        """Whether a value means correct (true, 1, "passed") or wrong (their opposites)."""
        verdict = value if isinstance(value, bool) else _VERDICTS.get(str(value).strip().lower())
        if verdict is None:
            raise self.fail(
                f"{name} is {spelled(value):.60}; expected true or false, 1 or 0, passed or "
                "failed, for each output. Name the key of the result: correct='...'."
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
                f"{name} is {spelled(values):.60}; expected a list of numbers, one per token. In "
                "CSV write it as JSON: [-0.1, -2.3]."
            )
        return logprobs

    def as_top(self, top: list[list[Any]]) -> Top | None:
        """Log-probabilities of the likeliest tokens at each place, laid out flat."""
        flat = self.as_logprobs([v for one in top for v in one], "top_logprobs")
        return Top(flat, np.array([len(one) for one in top])) if len(flat) else None

    def as_text(self, value: Any) -> str:
        """The text of an output; "" for None."""
        if value is None or isinstance(value, str):
            return value or ""
        raise self.fail(
            f"the text is {spelled(value):.60}; expected a text. Name its key: text='...'."
        )

    def same_length(self, n_tokens: int, n_logprobs: int) -> None:
        """Raise unless there are as many tokens as log-probabilities."""
        if n_tokens != n_logprobs:
            what = f"has {n_tokens} tokens and {n_logprobs} log-probabilities"
            raise self.fail(f"{what}; expected the same number of both.")


def keys(record: Iterable[Any]) -> str:
    """The keys of a record in a sentence."""
    names = list(record)
    more = ", ..." if len(names) > 12 else ""
    return f"It has: {', '.join(str(k)[:40] for k in names[:12])}{more}."


def _whole(value: Any) -> int | None:
    """A cell as a whole number from 0 to 2**53, or None."""
    try:
        number = to_number(value, "sample")
    except ValueError:
        return None
    return int(number) if 0 <= number < 2**53 and number == int(number) else None


def as_first(drawn: Any, listed: Iterable[tuple[Any, Any]]) -> Alternatives | None:
    """The alternatives of the first token by name, with the token that was drawn."""
    pairs = [(t, float(v)) for t, v in listed if isinstance(t, str) and v is not None]
    token, value = drawn
    if isinstance(token, str) and value is not None and token not in dict(pairs):
        pairs.append((token, float(value)))
    return pairs or None


def as_list(cell: Any) -> Any:
    """The list, if the cell is a list written as JSON; otherwise the cell."""
    if not isinstance(cell, str) or not cell.lstrip().startswith("["):
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        return cell
