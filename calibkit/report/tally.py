"""What became of a stream: raw scores against forecasts, each made before its label."""

from __future__ import annotations

import sys
from array import array

import numpy as np

from .._core.optional import require
from .._numerics.links import FloatArray
from ..metrics import prequential_errors
from .console import say
from .text import aligned, rich_rows

#: Most labelled rows that are kept; then the last half of that stays.
_ROOM = 2_000_000
_QUARTERS = 4
_SHOWN_BAD = 10
_ERRORS = ("calibration_error", "sharpness", "brier", "log_loss")


class Tally:
    """Counts and errors of a stream, to be shown at its end."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._kept = tuple(array("d") for _ in range(3))  # labels, scores, forecasts
        self.n_rows = self.n_labels = self.n_bad = self.n_unknown = 0

    def add(self, y: FloatArray, raw: FloatArray, forecast: FloatArray) -> None:
        """Count labelled rows among these."""
        known = ~np.isnan(y)
        for kept, values in zip(self._kept, (y, raw, forecast), strict=True):
            kept.frombytes(np.ascontiguousarray(values[known], dtype=np.float64).tobytes())
        self.n_labels += int(known.sum())
        if len(self._kept[0]) > _ROOM:
            for kept in self._kept:
                del kept[: -(_ROOM // 2)]

    def skip(self, error: ValueError) -> None:
        """Count a bad row, and say the first few."""
        self.n_bad += 1
        if self.n_bad <= _SHOWN_BAD:
            more = "; more are only counted" if self.n_bad == _SHOWN_BAD else ""
            say(f"warning: left out: {error}{more}")

    def head(self) -> str:
        """The counts in a line."""
        parts = [f"{self.n_rows:,} rows", f"{self.n_labels:,} labels learnt"]
        if self.n_bad:
            parts.append(f"{self.n_bad:,} bad rows left out")
        if self.n_unknown:
            parts.append(f"{self.n_unknown:,} labels of rows that nobody waits for")
        n = len(self._kept[0])
        of = "from the first label" if n == self.n_labels else f"over the last {n:,} labels"
        return f"# {', '.join(parts)}; errors {of}, {self._method} against the scores as they came"

    def table(self) -> list[list[str]]:
        """Errors up to each quarter of the labels; the header first."""
        y, raw, forecast = (np.array(kept) for kept in self._kept)
        n = len(y)
        times = np.unique([-(-n * k // _QUARTERS) for k in range(1, _QUARTERS + 1)])
        rows = [["labels", "forecasts", *_ERRORS]]
        found = [
            prequential_errors(y, p, times=times, classes=[0, 1])
            for p in (np.clip(raw, 0.0, 1.0), forecast)
        ]
        for i, time in enumerate(times.tolist()):
            for name, errors in zip(("scores", self._method), found, strict=True):
                cells = [f"{getattr(errors, error)[i]:.5f}" for error in _ERRORS]
                rows.append([str(time), name, *cells])
        return rows

    def show(self) -> None:
        """Print it to stderr, where it is in nobody's way."""
        if sys.stderr is None:
            return
        sys.stderr.write(self.head() + "\n")
        if len(self._kept[0]):
            console = require("rich.console", "cli").Console(stderr=True, highlight=False)
            if console.is_terminal:
                console.print(rich_rows(self.table()))
            else:
                sys.stderr.write("\n".join(aligned(self.table())) + "\n")
        sys.stderr.flush()
