"""What ``calibkit codegen decide`` does: a saved rule on new outputs, and a table of decisions."""

from __future__ import annotations

import csv
import json
import sys
import warnings
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from .._core.saved import whole_file
from .._core.warnings import MissingSignalWarning
from .._persistence import load
from .._tables.files import check_output
from ..codegen._measures import TOKEN_MEASURES
from ..decisions import DecisionRule, Decisions
from .codegen_signals import Choice, read_outputs

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".jsonl": None, ".ndjson": None}


def decide_file(generations: str, rule: str, output: str, choice: Choice) -> str:
    """Decide on every output, and write it; returns a line to print."""
    target = None if output == "-" else check_output(output, generations, rule)
    kind = ".csv" if target is None else Path(output).suffix.lower()
    if kind not in _SEPARATORS:
        raise ValueError(
            f"{output}: unknown extension; expected {', '.join(_SEPARATORS)}, or - for CSV on "
            "standard output."
        )
    loaded = load(rule)
    if not isinstance(loaded, DecisionRule):
        raise ValueError(
            f"{rule}: holds a {type(loaded).__name__}; expected a rule, as calibkit codegen policy "
            "-o writes it."
        )
    found, repeated = _decisions(generations, loaded, choice)
    if target is None:
        _write(found, sys.stdout, _SEPARATORS[kind])
    else:
        with whole_file(target) as part, _opened(part) as file:
            _write(found, file, _SEPARATORS[kind])
    line = f"{'standard output' if target is None else output}: {found}"
    return line + (f"; {repeated:,} repeated rows left out" if repeated else "")


def _decisions(generations: str, rule: DecisionRule, choice: Choice) -> tuple[Decisions, int]:
    """Decisions, and the number of repeated rows."""
    outputs = read_outputs(generations, choice)
    if rule.signal not in (*outputs.signals, *TOKEN_MEASURES):
        raise ValueError(
            f"{generations}: has no column of numbers {rule.signal}, which the rule decides by; "
            f"expected one. Of a text that says it, as '90%': --stated {rule.signal}."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingSignalWarning)  # the line that is printed says it
        return rule.decide(outputs), outputs.n_repeated


def _opened(path: Path) -> TextIO:
    # A task's name may hold half a surrogate pair, which JSON can say and UTF-8 can't.
    return path.open("w", encoding="utf-8", errors="backslashreplace", newline="")


def _write(found: Decisions, file: TextIO, separator: str | None) -> None:
    columns = {name: _plain(values) for name, values in found.columns.items()}
    rows = zip(*columns.values(), strict=True)
    if separator is None:
        for row in rows:
            file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n")
        return
    writer = csv.writer(file, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(v) for v in row] for row in rows)


def _plain(values: np.ndarray) -> list[Any]:
    """A column for JSON, in which nothing is NaN."""
    if values.dtype.kind != "f":
        return list(values.tolist())
    return [v if np.isfinite(v) else None for v in values.tolist()]


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
