"""Forecasts of rows, and the labels that come with them or later."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from .._core.online import OnlineCalibrator
from .._numerics.links import FloatArray, expit
from ..online import Journal
from .incoming import Row
from .tally import Tally


class _Job(NamedTuple):
    kind: str  # "now", "wait" or "late": the method that does it
    row: Row
    #: Score and forecast of a row that waits for its label.
    slot: list[float]


class Desk:
    """Takes rows in, gives forecasts out, and keeps those whose labels come later by their id."""

    def __init__(self, learner: OnlineCalibrator | Journal, tally: Tally, *, logit: bool) -> None:
        self._learner, self._tally, self._logit = learner, tally, logit
        cal = learner.calibrator_ if isinstance(learner, Journal) else learner
        self._room = cal.max_pending
        self._waiting: dict[Any, list[float]] = {}
        if isinstance(learner, Journal) and learner.n_rows and hasattr(cal, "pending_"):
            # What was forecast before a restart is learnt, but not in the table of this run.
            self._waiting = {key: [] for key in cal.pending_.to_dict()["ids"]}

    def forecasts(self, rows: list[Row]) -> list[float]:
        """Forecasts from the labels of all rows before; NaN for a row that only brings a label."""
        out: list[float] = []
        for kind, jobs in groupby([self._job(row) for row in rows], key=lambda job: job.kind):
            out += getattr(self, f"_{kind}")(list(jobs))
        return out

    def _job(self, row: Row) -> _Job:
        if row.id is None:
            return _Job("now", row, [])
        if math.isnan(row.y):
            slot = self._waiting[row.id] = [row.score, math.nan]
            if len(self._waiting) > self._room:
                del self._waiting[next(iter(self._waiting))]
            return _Job("wait", row, slot)
        if row.id in self._waiting:
            return _Job("late", row, self._waiting.pop(row.id))
        if math.isnan(row.score):
            self._tally.n_unknown += 1
            return _Job("late", row, [])
        return _Job("now", row, [])

    def _now(self, jobs: list[_Job]) -> list[float]:
        scores, y = _array(job.row.score for job in jobs), _array(job.row.y for job in jobs)
        q = self._learner.predict_then_update(scores, y)[:, 1]
        self._tally.add(y, self._raw(scores), q, [job.row for job in jobs])
        return q.tolist()

    def _wait(self, jobs: list[_Job]) -> list[float]:
        ids, scores = [job.row.id for job in jobs], _array(job.row.score for job in jobs)
        q: list[float] = self._learner.remember(ids, scores)[:, 1].tolist()
        for job, forecast in zip(jobs, q, strict=True):
            job.slot[1] = forecast
        return q

    def _late(self, jobs: list[_Job]) -> list[float]:
        self._learner.resolve([job.row.id for job in jobs], _array(job.row.y for job in jobs))
        known = [job for job in jobs if job.slot]
        slots = np.array([job.slot for job in known]).reshape(-1, 2)
        y, rows = _array(job.row.y for job in known), [job.row for job in known]
        self._tally.add(y, self._raw(slots[:, 0]), slots[:, 1], rows)
        return [math.nan] * len(jobs)

    def _raw(self, scores: FloatArray) -> FloatArray:
        """Scores as probabilities."""
        return expit(scores) if self._logit else scores


def _array(values: Any) -> FloatArray:
    return np.array(list(values), dtype=np.float64)
