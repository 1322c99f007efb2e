"""What ``calibkit codegen evaluate`` does: a table, and a reliability diagram of each signal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from .._numerics.links import expit
from .._typing import FloatArray
from ..decisions import ResultTable, cross_val_calibrate, evaluate_confidence
from ..displays import ReliabilityDisplay
from .codegen_signals import Choice, Judged, read_judged
from .pictures import write


def evaluate_files(
    generations: str,
    results: str | None,
    choice: Choice,
    *,
    calibrator: str,
    cv: int | str,
    level: float,
    n_resamples: int,
    seed: int,
    plots: str | None,
) -> dict[str, Any]:
    """The table of all signals; diagrams go to files in the directory ``plots``."""
    folder = None if plots is None else _folder(plots)
    judged = read_judged(generations, results, choice)
    settings = {"cv": cv, "random_state": seed}
    table = evaluate_confidence(
        judged.signals,
        judged.correct,
        judged.groups,
        calibrator,
        by=judged.by,
        scale=judged.scales,
        level=level,
        n_resamples=n_resamples,
        **settings,
    )
    drawn = _draw(judged, calibrator, folder, settings, level) if folder else []
    notes = [*judged.notes, *(f"Picture: {path}" for path in drawn)]
    return {"table": table, "notes": notes}


def evaluation_facts(found: dict[str, Any]) -> dict[str, Any]:
    """The same as plain values, for JSON."""
    table: ResultTable = found["table"]
    rows = [{k: _plain(v) for k, v in row.items()} for row in table.flat()]
    return {
        "calibkit": __version__,
        "caption": table.caption,
        "notes": [*found["notes"], *table.notes],
        "rows": rows,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return None if np.isnan(value) else value.item() if hasattr(value, "item") else value


def _folder(name: str) -> Path:
    path = Path(name)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{name}: is a file; expected a directory for the diagrams.")
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise ValueError(f"{name}: can't be written to; expected a directory for the diagrams.")
    return path


def _picture_names(signals: Iterable[str]) -> dict[str, str]:
    """A file name for each signal: of no other signal, also where case doesn't count."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for signal in signals:
        # 50 characters are at most 200 bytes, and a name takes 255.
        stem = start = re.sub(r"[^\w.-]", "_", signal)[:50].lstrip(".") or "signal"
        n = 1
        while stem.casefold() in used:
            n += 1
            stem = f"{start}_{n}"
        used.add(stem.casefold())
        names[signal] = f"{stem}.png"
    return names


def _draw(
    judged: Judged, calibrator: str, folder: Path, settings: dict[str, Any], level: float
) -> list[Path]:
    drawn = []
    names = _picture_names(judged.signals)
    for name, signal in judged.signals.items():
        known = np.flatnonzero(~np.isnan(signal))
        y = judged.correct[known]
        if len(np.unique(y)) < 2:
            continue
        groups = None if judged.groups is None else judged.groups[known]
        p = cross_val_calibrate(
            calibrator, signal[known], y, groups=groups, scale=judged.scales[name], **settings
        )
        models = {**_raw(signal[known], judged.scales[name]), "rescaled": p}
        display = ReliabilityDisplay.from_predictions(
            y, models, level=level, groups=groups, random_state=settings["random_state"]
        )
        path = folder / names[name]
        write(display, path)
        drawn.append(path)
    return drawn


def _raw(signal: FloatArray, scale: str) -> dict[str, FloatArray]:
    if scale == "score":
        return {}
    return {"raw": expit(signal) if scale == "logit" else signal}
