"""What became of a stream: raw scores against forecasts, each made before its label."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from .._core.params import percent
from .._typing import FloatArray
from ..displays import DriftDisplay
from ..online import CalibrationAlarm, prequential_errors
from .console import json_text, say, show
from .incoming import Row
from .pictures import write
from .text import aligned, rich_rows

#: Most labelled rows that are kept; then the last half of that stays.
_ROOM = 2_000_000
_QUARTERS = 4
_SHOWN_BAD = 10
_ERRORS = ("calibration_error", "sharpness", "brier", "log_loss")
#: Labels before the alarm watches: every method is off while it finds its feet.
_WARM = 1000
#: A picture of fewer labels has no sliding window: a tenth of them would be noise.
_ENOUGH = 1000


class StreamReport:
    """Counts and errors of a stream, to be shown at its end; the alarm rings on the way."""

    def __init__(
        self,
        method: str,
        alarm: float | None = None,
        picture: Path | None = None,
        *,
        as_json: bool = False,
    ) -> None:
        self._method, self._picture, self._as_json = method, picture, as_json
        self._alarm = None if alarm is None else CalibrationAlarm(alarm, classes=[0, 1])
        self._rang: tuple[int, Row] | None = None  # the label, and the row it came in
        self._kept = tuple(array("d") for _ in range(3))  # labels, scores, forecasts
        self.n_rows = self.n_labels = self.n_bad = self.n_unknown = 0

    def add(
        self, y: FloatArray, raw: FloatArray, forecast: FloatArray, rows: Sequence[Row]
    ) -> None:
        """Count labelled rows among these."""
        known = np.flatnonzero(~np.isnan(y))
        for kept, values in zip(self._kept, (y, raw, forecast), strict=True):
            kept.frombytes(np.ascontiguousarray(values[known], dtype=np.float64).tobytes())
        if self._alarm is not None and self._rang is None:
            watched, before = known[max(0, _WARM - self.n_labels) :], self._alarm.n_seen_
            self._alarm.update(y[watched], forecast[watched])
            if (time := self._alarm.alarm_time_) is not None:
                self._rang = (_WARM + time, rows[watched[time - 1 - before]])
                say(self._alarm_text())
        self.n_labels += len(known)
        # Half of the room goes at a time, at the same labels however the rows were cut.
        half = _ROOM // 2
        first = half * max(0, (self.n_labels - 1) // half - 1)
        for kept in self._kept:
            del kept[: first - (self.n_labels - len(kept))]

    def skip(self, error: ValueError) -> None:
        """Count a bad row, and say the first few."""
        self.n_bad += 1
        if self.n_bad <= _SHOWN_BAD:
            more = "; more are only counted" if self.n_bad == _SHOWN_BAD else ""
            say(f"warning: left out: {error}{more}")

    def head(self) -> str:
        """The counts in a line, and what the alarm did."""
        parts = [f"{self.n_rows:,} rows", f"{self.n_labels:,} labels learnt"]
        if self.n_bad:
            parts.append(f"{self.n_bad:,} bad rows left out")
        if self.n_unknown:
            parts.append(f"{self.n_unknown:,} labels of rows that nobody waits for")
        n = len(self._kept[0])
        of = "from the first label" if n == self.n_labels else f"over the last {n:,} labels"
        note = "" if self._alarm is None else f"\n# {self._alarm_text()}"
        return (
            f"# {', '.join(parts)}; errors {of}, {self._method} against the scores as they came"
            f"{note}"
        )

    def _alarm_text(self) -> str:
        assert self._alarm is not None
        false = f"{percent(self._alarm.alpha)} of calibrated streams ring"
        if self._rang is None:
            return f"no alarm after the first {_WARM:,} labels ({false})"
        label, row = self._rang
        when = "" if row.when is None else f" ({row.when!s:.40})"
        return (
            f"alarm at line {row.record.line:,}{when}, label {label:,}: "
            f"the forecasts of {self._method} are not calibrated ({false})"
        )

    def errors(self) -> list[dict[str, Any]]:
        """Errors of scores and forecasts up to each quarter of the labels."""
        y, raw, forecast = (np.array(kept) for kept in self._kept)
        n = len(y)
        if n == 0:
            return []
        times = np.unique([-(-n * k // _QUARTERS) for k in range(1, _QUARTERS + 1)])
        found = {
            name: prequential_errors(y, p, times=times, classes=[0, 1])
            for name, p in (("scores", np.clip(raw, 0.0, 1.0)), (self._method, forecast))
        }
        return [
            {"labels": time, "forecasts": name, **{e: float(getattr(of, e)[i]) for e in _ERRORS}}
            for i, time in enumerate(times.tolist())
            for name, of in found.items()
        ]

    def table(self) -> list[list[str]]:
        """The errors as text; the header first."""
        rows = [
            [str(labels), name, *(f"{value:.5f}" for value in values)]
            for labels, name, *values in (row.values() for row in self.errors())
        ]
        return [["labels", "forecasts", *_ERRORS], *rows]

    def facts(self) -> dict[str, Any]:
        """All of it as plain values."""
        alarm = None
        if self._alarm is not None:
            label, row = self._rang or (None, None)
            line, when = (None, None) if row is None else (row.record.line, row.when)
            alarm = {"alpha": self._alarm.alpha, "label": label, "line": line, "time": when}
        return {
            "calibkit": __version__,
            "method": self._method,
            "rows": self.n_rows,
            "labels": self.n_labels,
            "labels_measured": len(self._kept[0]),
            "bad_rows": self.n_bad,
            "unknown_labels": self.n_unknown,
            "alarm": alarm,
            "errors": self.errors(),
        }

    def show(self) -> None:
        """The table on stderr, where it is in nobody's way, or JSON; and the picture."""
        if self._as_json:
            sys.stdout.write(json_text(self.facts()) + "\n")
        elif sys.stderr is not None:
            head, table = self.head().splitlines(), self.table() if len(self._kept[0]) else []
            show(
                lambda: [*head, *([rich_rows(table)] if table else [])],
                lambda: [*head, *aligned(table)],
                sys.stderr,
            )
        if self._picture is not None:
            self._draw(self._picture)

    def _draw(self, path: Path) -> None:
        y, raw, forecast = (np.array(kept) for kept in self._kept)
        n, gone = len(y), self.n_labels - len(y)
        if n == 0:
            say(f"{path}: not drawn, since there was no label.")
            return
        # Begun elsewhere, an alarm of the picture would not be that of the stream.
        watched = self._alarm is not None and gone == 0 and n > _WARM
        display = DriftDisplay.from_predictions(
            y,
            {"scores": np.clip(raw, 0.0, 1.0), self._method: forecast},
            time=np.arange(gone + 1, gone + n + 1),
            window=n // 10 if n >= _ENOUGH else None,
            start=_WARM if watched else 0,
            alarm=self._alarm.alpha if watched and self._alarm is not None else None,
            classes=[0, 1],
        )
        display.ax_[1].set_xlabel(f"Labels, the last {n:,}" if gone else "Labels")
        write(display, path)
