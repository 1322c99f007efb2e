"""Rows as they come from a file, made columns: numbered, repeats found, gaps filled."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from .._core.warnings import MissingSignalWarning, warn
from .._numerics.links import FloatArray, IntArray
from .._tables.records import is_empty, to_number
from ._formats._rows import Alternatives, Asked, Output, Top
from ._ragged import Ragged
from ._records import Generations

#: One for all outputs that have none.
_NONE, _NO = np.empty(0), np.empty(0, dtype=np.intp)


class Ids:
    """Task, sample and place of rows as they come; samples without a number are counted."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._task: list[str] = []
        self._sample: list[int] = []
        self.place: list[str] = []
        self._row: dict[tuple[str, int], int] = {}
        self._counts: Counter[str] = Counter()
        self._counted: bool | None = None
        self._n_repeated = 0

    def pass_over(self, task: str) -> None:
        """Leave out a number, that of an output which a failed request would have given."""
        self._counts[task] += 1

    def add(self, place: str, task: str, sample: int | None) -> int | None:
        """Take a row in, or give the number of that which has its task and sample already."""
        if self._counted is not None and self._counted != (sample is None):
            has, had = (
                ("no sample number", "one") if sample is None else ("a sample number", "none")
            )
            raise ValueError(
                f"{self._where}: {place}: has {has} and rows before it have {had}; expected one in "
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
        self._task.append(task)
        self._sample.append(sample)
        self.place.append(place)
        return None

    def conflict(self, earlier: int, place: str) -> ValueError:
        """Two rows of one output that differ."""
        task, sample = self._task[earlier], self._sample[earlier]
        return ValueError(
            f"{self._where}: task {task}, sample {sample} is at {self.place[earlier]} and, with "
            f"other content, at {place}; expected each once. Where these are different outputs, "
            "name what tells them apart: sample='...' or task='...'."
        )

    def columns(self) -> dict[str, Any]:
        """Fields of Generations and Results."""
        return {
            "task": np.array(self._task, dtype=str),
            "sample": np.array(self._sample, dtype=np.int64),
            "place": self.place,
            "counted": bool(self._counted),
            "n_repeated": self._n_repeated,
        }


class Columns:
    """Outputs as they come, made columns at the end."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._ids = Ids(asked.where)
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

    def add(self, row: Output) -> None:
        """Take an output in."""
        if row.error:
            self._errors.append(f"{row.place}: {row.error}")
            self._ids.pass_over(row.task)
            return
        earlier = self._ids.add(row.place, row.task, row.sample)
        logprobs = _NONE if row.tokens.logprobs is None else row.tokens.logprobs
        if earlier is not None:
            same = (self._text[earlier], self._labels[earlier]) == (row.text, row.labels)
            same &= np.array_equal(self._logprobs[earlier], logprobs, equal_nan=True)
            if not (same and self._has(earlier, row.extra)):
                raise self._ids.conflict(earlier, row.place)
            return
        n_tokens = len(logprobs)
        top = row.tokens.top
        flat, per_token = top or Top(_NONE, np.zeros(n_tokens, np.intp) if n_tokens else _NO)
        self._any_top |= top is not None
        self._first.append(row.tokens.first)
        self._top.append(flat)
        self._per_token.append(per_token)
        self._add_extra(row.extra, len(self._text))
        self._text.append(row.text)
        self._labels.append(row.labels)
        self._logprobs.append(logprobs)

    def _add_extra(self, extra: dict[str, Any], n_before: int) -> None:
        for name, value in extra.items():
            if name in self._no_signal:
                continue
            number = _number(value)
            if number is None:
                self._no_signal.add(name)
                self._extra.pop(name, None)
                continue
            column = self._extra.setdefault(name, [])
            column.extend([np.nan] * (n_before - len(column)))
            column.append(number)

    def _has(self, row: int, extra: dict[str, Any]) -> bool:
        """Whether a row's signals are these."""
        for name in extra.keys() - self._no_signal:
            number, column = _number(extra[name]), self._extra.get(name, [])
            had = column[row] if row < len(column) else np.nan
            if number != had and (number == number or had == had):  # NaN is none twice
                return False
        return True

    def finished(self) -> Generations:
        """All of them; raises where there is none, and warns of failed requests."""
        n, n_failed = len(self._text), len(self._errors)
        if n_failed:
            said = f"{n_failed} of {n + n_failed} requests failed (first {self._errors[0]})"
            if n == 0:
                raise ValueError(f"{self._asked.where}: {said}; expected outputs.")
            warn(
                f"{self._asked.where}: {said}; they gave no output and are left out. All are "
                "listed in errors.",
                MissingSignalWarning,
            )
        if n == 0:
            raise ValueError(f"{self._asked.where}: no record holds an output; expected outputs.")
        logprobs = _ragged(self._logprobs)
        top = Ragged(_joined(self._top, self._per_token), logprobs.offsets)
        signals = {
            name: np.array(column + [np.nan] * (n - len(column)))
            for name, column in self._extra.items()
        }
        return Generations(
            text=self._text,
            logprobs=logprobs,
            top_logprobs=top if self._any_top else None,
            first_tokens=self._first,
            signals={k: v for k, v in signals.items() if not np.isnan(v).all()},
            labels={
                name: np.array([row[i] for row in self._labels], dtype=str)
                for i, name in enumerate(self._asked.labels)
            },
            errors=tuple(self._errors),
            **self._ids.columns(),
        )


def _number(value: Any) -> float | None:
    """A cell as a number, NaN if it is empty, None if it is something else."""
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
