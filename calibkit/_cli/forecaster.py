"""Forecasts of rows, and the labels that come with them or later."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from .._numerics.links import expit
from .._typing import FloatArray
from ..online import AdaptivePlattCalibrator, Journal
from ..online._base import OnlineCalibrator
from .incoming import Row
from .stream_report import StreamReport


class Job(NamedTuple):
    """What there is to do for a row."""

    kind: str  # "now", "wait" or "late": the method that does it
    row: Row
    #: Score and forecast of a row that waits for its label; empty if they were in another run,
    #: None if nobody waits for it.
    slot: list[float] | None = None


def waiting_ids(learner: OnlineCalibrator | Journal) -> list[Any]:
    """Ids of the forecasts that wait for their labels."""
    cal = _calibrator(learner)
    return list(cal.pending_.to_dict()["ids"]) if hasattr(cal, "pending_") else []


def _calibrator(learner: OnlineCalibrator | Journal) -> Any:
    return learner.calibrator_ if isinstance(learner, Journal) else learner


class RowForecaster:
    """Takes rows in, gives forecasts out, and keeps those whose labels come later by their id.

    ``waiting`` are the ids that other runs have left.
    """

    def __init__(
        self,
        learner: OnlineCalibrator | Journal,
        report: StreamReport,
        waiting: list[Any],
        *,
        logit: bool,
    ) -> None:
        self._learner, self._report, self._logit = learner, report, logit
        self._room = _calibrator(learner).max_pending
        self.wait_for(waiting)

    def wait_for(self, ids: list[Any]) -> None:
        """Let these ids wait, and no others."""
        self._waiting: dict[Any, list[float]] = {key: [] for key in ids}

    def take(self, rows: list[Row]) -> tuple[list[Job], list[float]]:
        """Learn rows: forecasts from the labels before each; NaN for one that brings a label."""
        jobs, out = self.jobs(rows), []
        for kind, some in groupby(jobs, key=lambda job: job.kind):
            out += getattr(self, f"_{kind}")(list(some))
        return jobs, out

    def jobs(self, rows: list[Row]) -> list[Job]:
        """What there is to do for each row."""
        return [self._job(row) for row in rows]

    def count(self, jobs: list[Job], forecasts: list[float]) -> None:
        """Count rows and their forecasts in the table, once they are delivered."""
        counted = []
        for job, q in zip(jobs, forecasts, strict=True):
            if job.kind == "now":
                counted.append((job.row.y, job.row.score, q, job.row))
            elif job.slot is None:
                self._report.n_unknown += 1
            elif job.kind == "wait":
                job.slot[1] = q
            elif job.slot:
                score, q = job.slot
                counted.append((job.row.y, score, q, job.row))
        self._report.n_rows += len(jobs)
        if counted:
            y, scores, q, rows = zip(*counted, strict=True)
            self._report.add(_array(y), self._raw(_array(scores)), _array(q), rows)

    def _job(self, row: Row) -> Job:
        if row.id is None:
            return Job("now", row)
        if math.isnan(row.y):
            self._waiting.pop(row.id, None)  # a newer forecast of an id waits longer
            slot = self._waiting[row.id] = [row.score, math.nan]
            if len(self._waiting) > self._room:
                del self._waiting[next(iter(self._waiting))]
            return Job("wait", row, slot)
        if row.id in self._waiting:
            return Job("late", row, self._waiting.pop(row.id))
        return Job("late" if math.isnan(row.score) else "now", row)

    def _now(self, jobs: list[Job]) -> list[float]:
        scores, y = _array(job.row.score for job in jobs), _array(job.row.y for job in jobs)
        return self._learner.predict_then_update(scores, y)[:, 1].tolist()

    def _wait(self, jobs: list[Job]) -> list[float]:
        ids, scores = [job.row.id for job in jobs], _array(job.row.score for job in jobs)
        return self._learner.forecast(ids, scores)[:, 1].tolist()

    def _late(self, jobs: list[Job]) -> list[float]:
        ids, y = [job.row.id for job in jobs], _array(job.row.y for job in jobs)
        # Labels given together are one batch to it, and which are in hand together is chance.
        alone = isinstance(_calibrator(self._learner), AdaptivePlattCalibrator)
        size = 1 if alone else len(jobs)
        for at in range(0, len(jobs), size):
            self._learner.label(ids[at : at + size], y[at : at + size])
        return [math.nan] * len(jobs)

    def _raw(self, scores: FloatArray) -> FloatArray:
        """Scores as probabilities."""
        return expit(scores) if self._logit else scores


def _array(values: Iterable[float]) -> FloatArray:
    return np.array(list(values), dtype=np.float64)
