"""From files of generations and results to signals, correctness and groups, for the commands."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._core.params import advice
from .._typing import FloatArray, SignalScale
from ..codegen import (
    Generations,
    Scored,
    join_results,
    parse_confidence,
    read_generations,
    read_results,
)
from ..codegen._measures import TOKEN_MEASURES
from ..codegen._records import PROBABILITIES
from ..decisions import Signals

#: Names by which options call the task itself.
_TASK = ("task", "task_id")


class Judged(NamedTuple):
    """Outputs that have a verdict, and their signals."""

    signals: dict[str, FloatArray]
    scales: dict[str, SignalScale]
    correct: np.ndarray
    groups: np.ndarray | None
    by: np.ndarray | None
    notes: list[str]


class Choice(NamedTuple):
    """What the options say of the files."""

    task: list[str] | None = None
    sample: str | None = None
    correct: str | None = None
    notion: str | None = None
    signals: list[str] | None = None
    scores: list[str] | None = None
    group: str = "task_id"
    by: str | None = None
    stated: list[str] | None = None


def _no_text(record: dict[str, Any]) -> str:
    """These commands judge numbers; where the text stands is not asked."""
    return ""


def read_outputs(generations: str, choice: Choice) -> Generations:
    """Read a file of outputs, with the labels asked for and confidence that is stated in text."""
    stated = choice.stated or []
    named = {v for v in (choice.group, choice.by, *stated) if v not in (None, "none", *_TASK)}
    labels = sorted(str(v) for v in named)
    outputs = read_generations(
        generations, task=choice.task or None, sample=choice.sample, labels=labels, text=_no_text
    )
    for name in stated:
        outputs = outputs.with_signal(name, parse_confidence(outputs.labels[name]))
    return outputs


def read_judged(generations: str, results: str | None, choice: Choice) -> Judged:
    """Read and join the files; results may be in the file of the generations."""
    outputs = read_outputs(generations, choice)
    for name in choice.scores or []:
        if name in outputs.signals:
            outputs = outputs.with_signal(name, outputs.signals[name], scale="score")
    verdicts = read_results(
        results or generations,
        task=choice.task or None,
        sample=choice.sample,
        correct=choice.correct,
        notion=choice.notion,
    )
    scored = join_results(outputs, verdicts)
    signals, notes = _signals(scored, choice)
    n, tasks = len(scored), len(np.unique(scored.groups))
    notes.insert(0, f"{n:,} outputs of {tasks:,} tasks, {scored.notion}")
    groups = _column(scored, "--group", choice.group)
    by = _column(scored, "--by", choice.by)
    return Judged(signals, signals.scales, scored.correct, groups, by, notes)


def _signals(scored: Scored, choice: Choice) -> tuple[Signals, list[str]]:
    held = scored.generations.signals
    tokens = len(scored) > scored.generations.n_without_logprobs
    wanted = [*(choice.signals or []), *(choice.stated or []), *(choice.scores or [])]
    notes = []
    if not wanted:
        wanted = list(PROBABILITIES) if tokens else []
        unfit = [name for name, values in held.items() if not _are_probabilities(values)]
        wanted += [name for name in held if name not in unfit]
        if unfit:
            notes.append(f"left out, not in [0, 1]: {', '.join(unfit)} (take them with --score)")
    known = [*held, *TOKEN_MEASURES]
    for name in wanted:
        if name not in known:
            raise ValueError(
                f"--signal {name}: expected a measure or a column of numbers: {', '.join(known)}"
                f"{advice(name, known)}."
            )
    for name in choice.signals or []:
        scored_as_is = name not in held or name in (choice.scores or [])
        if not (scored_as_is or _are_probabilities(held[name])):
            raise ValueError(f"--signal {name}: is not in [0, 1]; expected --score {name}.")
    return scored.confidence(wanted or None, scale="logit"), notes


def _are_probabilities(values: FloatArray) -> bool:
    known = values[~np.isnan(values)]
    return bool(((known >= 0) & (known <= 1)).all())


def _column(scored: Scored, option: str, name: str | None) -> np.ndarray | None:
    """Labels of the outputs: the task, or a column of the file."""
    if name is None or name == "none":
        return None
    if name in _TASK:
        return scored.groups
    found: np.ndarray = scored.generations.labels[name]
    empty = np.flatnonzero(found == "")
    if len(empty):
        raise ValueError(
            f"{option} {name}: {len(empty)} of {len(found)} outputs have none (first at "
            f"{scored.generations.place[empty[0]]}); expected one of every output."
        )
    return found
