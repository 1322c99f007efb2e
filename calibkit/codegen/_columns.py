"""Collect the rows of files as columns: count samples, find repeated rows, fill gaps."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from .._core.errors import InputError
from .._core.printed import spelled
from .._core.warnings import MissingSignalWarning, UnmatchedWarning, warn
from .._tables.records import is_empty, to_number
from .._typing import FloatArray, IntArray
from ._formats._item import Alternatives, Numbered, Output, ReadSettings, Top
from ._formats._names import is_no_answer, is_no_signal
from ._formats._table import no_text
from ._ragged import Ragged
from ._records import Generations


class Ids:
    """Task, sample and place of the rows; samples without a number are counted."""

    def __init__(self) -> None:
        self._task: list[str] = []
        self._sample: list[int] = []
        self.place: list[str] = []
        self._row: dict[tuple[str, int], int] = {}
        self._counts: Counter[str] = Counter()
        self._counted: bool | None = None
        self.own: list[int | None] = []
        self._n_repeated = 0

    def pass_over(self, task: str) -> None:
        """Skip the sample number of a failed request."""
        self._counts[task] += 1

    def add(self, place: str, task: str, sample: int | None) -> int | None:
        """Add a row, or return the number of the row that already has its task and sample."""
        own = sample if isinstance(sample, Numbered) else None
        sample = sample if own is None else None
        if self._counted is not None and self._counted != (sample is None):
            has, had = (
                ("no sample number", "one") if sample is None else ("a sample number", "none")
            )
            raise InputError(
                f"{place}: has {has} and rows before it have {had}; expected a sample number in "
                "all rows or in none."
            )
        self._counted = sample is None
        if sample is None:
            sample = self._counts[task]
            self._counts[task] += 1
        earlier = self._row.setdefault((task, sample), len(self.place))
        if earlier < len(self.place):
            self._n_repeated += 1
            return earlier
        self.own.append(own)
        self._task.append(task)
        self._sample.append(sample)
        self.place.append(place)
        return None

    def conflict(self, earlier: int, place: str) -> ValueError:
        """The error for two rows with the same task and sample that differ."""
        task, sample = self._task[earlier], self._sample[earlier]
        return InputError(
            f"task {task}, sample {sample} is at {self.place[earlier]} and, with other content, at "
            f"{place}; expected each once. If these are different outputs, name the key that "
            "distinguishes them: sample='...' or task='...'. If a second file adds a signal to the "
            "same outputs, read it by itself and use with_signal(..., of=...)."
        )

    def columns(self) -> dict[str, Any]:
        """Fields of Generations and Results."""
        own = self._own_numbers() if self._counted else None
        return {
            "task": np.array(self._task, dtype=str),
            "sample": np.array(self._sample if own is None else own, dtype=np.int64),
            "place": self.place,
            "counted": bool(self._counted) and own is None,
            "n_repeated": self._n_repeated,
        }

    def _own_numbers(self) -> list[int] | None:
        """Sample numbers from a column with another name, if they are unique."""
        own = [n for n in self.own if n is not None]
        rows = set(zip(self._task, own, strict=False))
        if not own or len(own) < len(self.own) or len(rows) < len(own):
            return None
        of: dict[str, list[int]] = {}
        for task, number in sorted(rows):
            of.setdefault(task, []).append(number)
        through = len(of) > 1 and len(set(own)) == len(own)  # numbers that continue over the tasks
        from_one = any(len(one) > 1 for one in of.values()) and all(
            one == list(range(1, len(one) + 1)) for one in of.values()
        )
        if not (through or from_one):
            return own
        rank = {(task, n): i for task, one in of.items() for i, n in enumerate(one)}
        return [rank[row] for row in zip(self._task, own, strict=True)]


#: Shared by all outputs without values.
_NONE, _NO = np.empty(0), np.empty(0, dtype=np.intp)


class Columns:
    """Outputs, added one by one and made columns at the end."""

    def __init__(self, settings: ReadSettings) -> None:
        self._settings = settings
        self._ids = Ids()
        self._text: list[str] = []
        self._logprobs: list[FloatArray] = []
        self._top: list[FloatArray] = []
        self._per_token: list[IntArray] = []
        self._any_top = False
        self._first: list[Alternatives | None] = []
        self._extra: dict[str, list[Any]] = {}
        self._no_signal: set[str] = set()
        self._labels: list[tuple[str, ...]] = []
        self._errors: list[str] = []
        self._numbered: set[str] = set()
        self._words: set[str] = set()
        self._bare: Output | None = None
        self._notes: dict[str, list[int]] = {"cut": [], "none": []}
        self._files: list[_File] = []
        self._doubt = ""
        self._said: dict[tuple[str, str], int] = {}
        self._differ: set[str] = set()

    def begin(self, path: Any) -> None:
        """Start a file; the outputs added next are from it."""
        self._files.append(_File(str(path), {}, set(), Counter()))

    def add(self, row: Output) -> None:
        """Add an output."""
        if row.error:
            self._errors.append(f"{row.place}: {row.error}")
            self._ids.pass_over(row.task)
            return
        earlier = self._ids.add(row.place, row.task, row.sample)
        logprobs = _NONE if row.tokens.logprobs is None else row.tokens.logprobs
        if earlier is not None:
            same = (self._text[earlier], self._labels[earlier]) == (row.text or "", row.labels)
            same &= np.array_equal(self._logprobs[earlier], logprobs, equal_nan=True)
            if not (same and self._has(earlier, row.extra)):
                raise self._ids.conflict(earlier, row.place)
            return
        self._check_text(row)
        self._compare(row)
        if row.tokens.note:
            self._notes[row.tokens.note].append(len(self._text))
        n_tokens = len(logprobs)
        if self._files:
            self._files[-1].add(row, len(self._text))
            self._files[-1].holds.update(["log-probabilities"] * bool(n_tokens))
        top = row.tokens.top
        flat, per_token = top or Top(_NONE, np.zeros(n_tokens, np.intp) if n_tokens else _NO)
        self._any_top |= top is not None
        self._first.append(row.tokens.first)
        self._top.append(flat)
        self._per_token.append(per_token)
        self._add_extra(row.extra, len(self._text))
        self._text.append(row.text or "")
        self._labels.append(row.labels)
        self._logprobs.append(logprobs)

    def _check_text(self, row: Output) -> None:
        """Raise where some rows have a text and others have none."""
        if self._text and (row.text is None) != (self._bare is not None):
            has, had = ("no", "one") if row.text is None else ("a", "none")
            bare = row if row.text is None else self._bare or row
            raise InputError(
                f"{row.place}: has {has} text column and rows before it have {had}; {bare.place} "
                f"{no_text(bare.fields)}"
            )
        if row.text is None:
            self._bare = self._bare or row

    def _compare(self, row: Output) -> None:
        """Note which text columns differ within a task; "" is the output's text."""
        if not row.doubt or "" in self._differ:
            return
        self._doubt = row.doubt
        words = {k: v for k, v in row.extra.items() if isinstance(v, str) and _number(v) is None}
        for name, value in {"": row.text, **words}.items():
            if self._said.setdefault((row.task, name), hash(value)) != hash(value):
                self._differ.add(name)

    def _check_doubt(self) -> None:
        """Raise if the text may be the problem: equal in a task, while another column differs."""
        answers = [
            n for n in sorted(self._differ - {*self._settings.labels}) if not is_no_answer(n)
        ]
        if "" not in self._differ and answers:
            raise InputError(
                f"{self._doubt} is the same for all outputs of a task, but {answers[0]} differs; "
                f"expected the output's text. Name its column: text={spelled(answers[0])}, or "
                f"text={spelled(self._doubt)}."
            )

    def _add_extra(self, extra: dict[str, Any], n_before: int) -> None:
        for name, value in extra.items():
            if name in self._no_signal and not (self._bare and name in self._words):
                continue
            number = _number(value)
            if number is None:
                if isinstance(value, str) and name not in self._numbered:
                    self._words.add(name)
                self._no_signal.add(name)
                self._extra.pop(name, None)
                continue
            if number == number:
                self._numbered.add(name)
                self._words.discard(name)
                if self._files and not is_no_signal(name):
                    self._files[-1].holds.add(name)
            if name in self._no_signal:
                continue
            column = self._extra.setdefault(name, [])
            column.extend([np.nan] * (n_before - len(column)))
            column.append(number)

    def _has(self, row: int, extra: dict[str, Any]) -> bool:
        """Whether these signals equal those of an earlier row."""
        for name in extra.keys() - self._no_signal:
            number, column = _number(extra[name]), self._extra.get(name, [])
            had = column[row] if row < len(column) else np.nan
            if number != had and (number == number or had == had):  # two NaN are equal here
                return False
        return True

    def finished(self) -> Generations:
        """Return all outputs; raise if there are none, and warn of failed requests."""
        n, n_failed = len(self._text), len(self._errors)
        if n_failed:
            said = f"{n_failed} of {n + n_failed} requests failed (first {self._errors[0]})"
            if n == 0:
                raise InputError(f"{said}; expected outputs. Repeat the requests.")
            warn(
                f"{said}; they gave no output and are left out. See the attribute errors.",
                MissingSignalWarning,
            )
        if n == 0:
            raise InputError("no record holds an output; expected at least one output.")
        self._check_files()
        self._check_doubt()
        signals = self._signals(n)
        self._check_bare(signals)
        self._warn_of_tokens()
        logprobs = _ragged(self._logprobs)
        top = Ragged(_joined(self._top, self._per_token), logprobs.offsets)
        return Generations(
            text=self._text,
            logprobs=logprobs,
            top_logprobs=top if self._any_top else None,
            first_tokens=self._first,
            signals=signals,
            labels={
                name: np.array([row[i] for row in self._labels], dtype=str)
                for i, name in enumerate(self._settings.labels)
            },
            errors=tuple(self._errors),
            **self._ids.columns(),
        )

    def _signals(self, n: int) -> dict[str, FloatArray]:
        """Columns of numbers, without those that only count the rows, unless named."""
        signals = {
            name: np.array(column + [np.nan] * (n - len(column)))
            for name, column in self._extra.items()
        }
        named = self._settings.signals or ()
        return {
            name: values
            for name, values in signals.items()
            if not np.isnan(values).all()
            and (name in named or not (is_no_signal(name) or _counts(name, values)))
        }

    def _check_bare(self, signals: dict[str, FloatArray]) -> None:
        """Raise if no row has a text, but a column that was not read may hold it."""
        if self._bare is None or not self._bare.fields:
            return
        unread = self._words - set(self._settings.labels)
        if any(not is_no_answer(name) for name in unread) or not (
            signals or any(map(len, self._logprobs))
        ):
            raise InputError(f"{self._bare.place}: {no_text(self._bare.fields)}")

    def _warn_of_tokens(self) -> None:
        cut, none = self._notes["cut"], self._notes["none"]
        if not (cut or none):
            return
        lacking = []
        if cut:
            lacking.append(f"for {len(cut)}, the tokens that make up the text are used")
        if none:
            lacking.append(f"for {len(none)}, no tokens do, so all measures are NaN")
        first = self._ids.place[min(cut + none)]
        warn(
            f"the tokens of {len(cut) + len(none)} of {len(self._text)} outputs differ from their "
            f"text (first at {first}): {'; '.join(lacking)}. Possible causes: hidden reasoning, or "
            "a stop sequence.",
            UnmatchedWarning,
        )

    def _check_files(self) -> None:
        """Raise if files hold signals of the same outputs instead of more outputs."""
        if not self._ids.columns()["counted"]:
            return
        for one, other in combinations(self._files, 2):
            both = one.tasks & other.tasks
            if not both:
                continue
            if one.holds != other.holds:
                held = [", ".join(sorted(f.holds)) or "no signal" for f in (one, other)]
                what = f"{one.path} holds {held[0]} and {other.path} {held[1]}, of the same tasks"
            elif self._are_same(one, other):
                what = f"{one.path} and {other.path} hold the same outputs of the same tasks"
            elif not any(map(self._is_told, (*one.rows.values(), *other.rows.values()))):
                what = (
                    f"{one.path} and {other.path} hold {', '.join(sorted(one.holds))} of the same "
                    "tasks, and nothing else about the outputs"
                )
            else:
                continue
            raise InputError(
                f"{what} (for instance {min(both)}), without sample numbers; expected different "
                "outputs, with the same columns in all files. If these are signals of the same "
                "outputs, read each file by itself, then use "
                "first.with_signal('name', second.signals['name'], of=second). If these are "
                "different outputs, add sample numbers and name their key: sample='...'."
            )

    def _are_same(self, one: _File, other: _File) -> bool:
        """Whether all outputs in both files, matched by number or order, are equal."""
        common = one.rows.keys() & other.rows.keys()
        return bool(common) and all(self._is_same(one.rows[key], other.rows[key]) for key in common)

    def _is_told(self, i: int) -> bool:
        """Whether an output has a text, labels or log-probabilities."""
        return bool(self._text[i] or any(self._labels[i]) or len(self._logprobs[i]))

    def _is_same(self, i: int, j: int) -> bool:
        alike = (self._text[i], self._labels[i]) == (self._text[j], self._labels[j])
        if not alike or not np.array_equal(self._logprobs[i], self._logprobs[j], equal_nan=True):
            return False
        numbered = None not in (self._ids.own[i], self._ids.own[j])
        if self._text[i] or len(self._logprobs[i]) or numbered:
            return True
        return all(  # a table of signals alone
            self._has(i, {name: column[j]}) for name, column in self._extra.items() if column[j:]
        )


class _File(NamedTuple):
    """A file: its rows by task and number, and the names of the signals it holds."""

    path: str
    rows: dict[tuple[str, int], int]
    holds: set[str]
    counts: Counter[str]

    @property
    def tasks(self) -> set[str]:
        """Tasks with outputs in this file."""
        return set(self.counts)

    def add(self, row: Output, number: int) -> None:
        """Add a row, with its number among the rows of all files."""
        own = row.sample if isinstance(row.sample, Numbered) else self.counts[row.task]
        self.counts[row.task] += 1
        self.rows.setdefault((row.task, own), number)


def _counts(name: str, values: FloatArray) -> bool:
    """Whether a column counts the rows, as the unnamed index of a data frame does."""
    whole = not name.strip() and bool((values == np.floor(values)).all())
    return len(values) > 2 and (whole or bool((np.diff(values) == 1).all()))


def _number(value: Any) -> float | None:
    """A cell as a number, NaN if it is empty, None if it is not a number."""
    if is_empty(value):
        return np.nan
    try:
        return to_number(value, "")
    except ValueError:
        return None


def _ragged(lists: list[FloatArray]) -> Ragged:
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
    return Ragged(np.concatenate(lists), offsets.astype(np.intp))


def _joined(flat: list[FloatArray], per_token: list[IntArray]) -> Ragged:
    """Alternatives of all tokens, one list per token."""
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(per_token))])
    return Ragged(np.concatenate(flat), offsets.astype(np.intp))
