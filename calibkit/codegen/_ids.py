"""Task, sample and place of rows as they come from a file."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np


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
            "name what tells them apart: sample='...' or task='...'. A second file with a further "
            "signal of the same outputs: read it by itself, and use with_signal(..., of=...)."
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
