"""Task, sample and place of rows as they come from a file."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ._formats._item import Numbered


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
        self.own: list[int | None] = []
        self._n_repeated = 0

    def pass_over(self, task: str) -> None:
        """Leave out a number, that of an output which a failed request would have given."""
        self._counts[task] += 1

    def add(self, place: str, task: str, sample: int | None) -> int | None:
        """Take a row in, or give the number of that which has its task and sample already."""
        own = sample if isinstance(sample, Numbered) else None
        sample = sample if own is None else None
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
        self.own.append(own)
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
            "name what tells them apart: sample='...' or task='...'. A second file with a further "
            "signal of the same outputs: read it by itself, and use with_signal(..., of=...)."
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
        """Numbers of samples that stand under another name, where all have one of their own."""
        own = [n for n in self.own if n is not None]
        rows = set(zip(self._task, own, strict=False))
        if not own or len(own) < len(self.own) or len(rows) < len(own):
            return None
        of: dict[str, list[int]] = {}
        for task, number in sorted(rows):
            of.setdefault(task, []).append(number)
        through = len(of) > 1 and len(set(own)) == len(own)  # numbers that run on over the tasks
        from_one = any(len(one) > 1 for one in of.values()) and all(
            one == list(range(1, len(one) + 1)) for one in of.values()
        )
        if not (through or from_one):
            return own
        rank = {(task, n): i for task, one in of.items() for i, n in enumerate(one)}
        return [rank[row] for row in zip(self._task, own, strict=True)]
