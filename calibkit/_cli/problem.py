"""From the options of a command and a table to labels and probabilities."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._core.base import warn_of_scale
from .._core.columns import called_after, check_order, match_columns
from .._core.errors import called
from .._core.inputs import refuse_swapped, validate_scores
from .._core.labels import numbers_of
from .._core.printed import listed, quoted
from .._report import Problem
from .._tables.table import Table, find_columns
from .._typing import FloatArray


@dataclass(frozen=True)
class Options:
    """The options that name columns, and the event."""

    label: str
    prob: list[str]
    classes: str | None = None
    positive: str | None = None
    weight: str | None = None
    group: str | None = None
    by: list[str] | None = None


def from_logits(problem: Problem) -> Problem:
    """The same problem with probabilities instead of log-odds."""
    models = {name: _probabilities(name, z) for name, z in problem.models.items()}
    return replace(problem, models=models)


def _probabilities(name: str, z: FloatArray) -> FloatArray:
    with called(f"{quoted(name)}: report"):
        scores = validate_scores(z, scale="logit", name="y_prob")
        warn_of_scale(scores)
    p = scores.probs()
    return np.column_stack((1.0 - p, p)) if p.ndim < z.ndim else p


def read_problem(table: Table, options: Options, *, several: bool) -> Problem:
    """Read the columns; with ``several``, several columns may be several models."""
    source = table.source.name
    probs = find_columns("--prob", options.prob, table.columns, source)
    singles = {"--label": options.label, "--weight": options.weight, "--group": options.group}
    chosen = {
        o: find_columns(o, [n], table.columns, source)[0]
        for o, n in singles.items()
        if n is not None
    }
    bys = find_columns("--by", options.by, table.columns, source) if options.by else []
    if chosen["--label"] in bys:
        raise ValueError(
            f"--by {quoted(chosen['--label'])}: this column is --label, which is unknown for new "
            "rows; expected columns that are known beforehand."
        )
    table.read([*probs, *chosen.values(), *bys])
    y = table.labels(chosen["--label"])
    weight = table.numbers(chosen["--weight"]) if "--weight" in chosen else None
    groups = table.groups(chosen["--group"]) if "--group" in chosen else None
    by = {n: table.cells(n) for n in bys} or None
    try:
        columns = {n: table.numbers(n) for n in probs}
    except ValueError:
        for name in probs:
            values = np.empty(0)
            with suppress(ValueError):
                values = table.labels(name)
            _check_swapped(options, {name: values}, y)
        raise
    _check_swapped(options, columns, y)
    labels = np.unique(y)
    order = _class_columns(options, probs, labels, several=several)
    event = None
    if options.positive is not None:
        event = _same_label(options.positive, labels)
        _check_two(options, labels, several=several)
    if order is None:
        _check_number(options, probs, labels)
        return Problem(y, columns, None, event, weight, groups, by)
    classes = np.array(list(order))
    matrix = np.column_stack([columns[n] for n in order.values()])
    return Problem(y, {_common_name(probs): matrix}, classes, event, weight, groups, by)


def _many(labels: np.ndarray) -> bool:
    """Whether these are labels of more than two classes, and not fractions or other numbers."""
    whole = labels.dtype.kind != "f" or bool((labels == np.floor(labels)).all())
    return len(labels) > 2 and whole


def _check_two(options: Options, labels: np.ndarray, *, several: bool) -> None:
    """Raise if --positive is used with more than two classes."""
    if not _many(labels):
        return
    kind = " (--kind classwise measures each class)" if several else ""
    raise ValueError(
        f"--positive {options.positive}: --label {quoted(options.label)} has {len(labels)} classes "
        f"({_some(labels.tolist())}), and --positive is for two classes; leave it out, and pass "
        f"the columns of all classes as --prob{kind}. For one class against the rest, use a label "
        "column of two values."
    )


def _check_swapped(options: Options, columns: dict[str, Any], y: np.ndarray) -> None:
    """Raise if --prob names the labels, and --label the scores."""
    texts = numbers_of(np.unique(y)) if y.dtype.kind in "UO" else None
    y = y if texts is None else np.array(texts)  # such as 0.50
    for name, values in columns.items():
        if len(np.unique(values)) > 2:
            continue  # whole numbers may be log-odds
        try:
            refuse_swapped(values, y, ("--prob", "--label"))
        except ValueError as error:
            raise ValueError(
                f"--label {quoted(options.label)} holds scores and --prob {quoted(name)} holds "
                "labels: swap them."
            ) from error


def _check_number(options: Options, probs: list[str], labels: np.ndarray) -> None:
    """Raise if there are fewer columns than classes, and more than two classes."""
    if not _many(labels):
        return
    classes = labels.tolist()
    called = set(called_after(map(bare_name, probs), classes)) - {None}
    lacking = [c for k, c in enumerate(classes) if k not in called]
    missing = f" There is no column for {_some(lacking)}." if called else ""
    raise ValueError(
        f"--label {quoted(options.label)} has {len(classes)} classes ({_some(classes)}), but "
        f"--prob has {_columns(len(probs))}; pass one column per class.{missing}"
    )


def _columns(n: int) -> str:
    return f"{n} column{'s' * (n != 1)}"


def _class_columns(
    options: Options, probs: list[str], labels: np.ndarray, *, several: bool
) -> dict[Any, str] | None:
    """The column of each class, in sorted order of the classes; None if each column is a model."""
    if options.classes is not None:
        return parse_classes(options.classes, probs, labels)
    if len(probs) == 1:
        return None
    classes = labels.tolist()
    if len(probs) < len(classes):
        _check_number(options, probs, labels)
    if len(classes) <= 2 and several and not (len(probs) == 2 and _usual(probs, classes)):
        return None  # two columns such as m_0 and m_1 may be two models
    order = match_columns(probs, classes, what="--prob", mend=_MEND)
    if order is not None:
        return dict(zip(classes, [probs[i] for i in order], strict=True))
    shown = _some(classes)
    raise ValueError(
        f"--label {quoted(options.label)} has {len(classes)} classes ({shown}), and the "
        f"{len(probs)} columns of --prob are not named after them; name their classes with "
        "--classes A,B,C."
    )


#: Parts of a column name such as p_cat or p_cat_calibrated around the class.
_BESIDE = re.compile(r"^\s*(p_|prob_|proba_)?(.*?)(_calibrated)?\s*$", re.IGNORECASE | re.DOTALL)
_MEND = "Name all columns after the classes, or name the class of each: --classes A,B,C."


def _usual(probs: list[str], classes: list[Any]) -> bool:
    """Whether the columns are named x, p_x, prob_x or proba_x after the classes."""
    order = called_after(map(bare_name, probs), classes)
    return set(order) == set(range(len(classes)))


def bare_name(name: str) -> str:
    """The name of a column without the usual prefix and suffix around a class."""
    match = _BESIDE.match(name)
    assert match is not None
    return match[2]


def parse_classes(text: str, probs: list[str], labels: np.ndarray) -> dict[Any, str]:
    """The column of each class that ``--classes`` names, in sorted order of the classes."""
    texts = [c.strip() for c in text.split(",")]
    if len(texts) != len(probs):
        raise ValueError(
            f"--classes names {len(texts)} classes and --prob {len(probs)} columns; expected "
            "one class for each column, in the same order."
        )
    classes = _as_labels(texts, labels)
    given = dict(zip(classes, probs, strict=True))
    if len(given) < len(probs) or len(given) < 2:
        raise ValueError(f"--classes {text}; expected two or more different classes.")
    mend = "List --classes in the order of --prob, or rename the columns."
    check_order(probs, classes, what=f"--classes {text}: names the column", mend=mend)
    return {k: given[k] for k in sorted(given)}


def order_columns(
    probs: list[str], classes: np.ndarray, option: str | None
) -> tuple[list[str], str]:
    """Columns in the order of the classes, and a note if only their given order tells it."""
    labels = classes.tolist()
    if option is not None:
        given = parse_classes(option, probs, classes)
        if list(given) != labels:
            raise ValueError(
                f"--classes {option}; expected the classes of the calibrator: {_some(labels)}."
            )
        return list(given.values()), ""
    if len(probs) == 1 and len(labels) == 2:
        return probs, ""
    if len(probs) != len(labels):
        needs = f"needs {len(labels)} ({_some(labels)}); pass one column per class."
        if len(labels) == 2:
            needs = f"is for two classes ({_some(labels)}); pass one column."
        raise ValueError(f"--prob has {_columns(len(probs))}, but the calibrator {needs}")
    order = match_columns(probs, labels, what="--prob", mend=_MEND)
    if order is not None:
        return [probs[i] for i in order], ""
    return probs, (
        f"the columns of --prob ({listed(probs, 8)}) are not named after classes; they are taken, "
        f"in this order, as the classes {_some(labels)}. For another order, use --classes"
    )


def _some(labels: list[Any]) -> str:
    return listed([str(label) for label in labels], 8, "classes")


def _as_labels(texts: list[str], labels: np.ndarray) -> list[Any]:
    """Classes given as text, converted to the type of the labels in the file."""
    if labels.dtype.kind not in "biuf":
        return list(texts)
    try:
        if labels.dtype.kind == "b":
            return [{"true": True, "false": False}[t.lower()] for t in texts]
        return [labels.dtype.type(float(t)).item() for t in texts]
    except (ValueError, KeyError, OverflowError) as error:
        raise ValueError(
            f"--classes {','.join(texts)}: the labels of the file are {labels.dtype.name}, for "
            f"instance {_some(labels[:1].tolist())}; expected labels of the file."
        ) from error


def _same_label(text: str, labels: np.ndarray) -> Any:
    """The label of the file that is meant by a text on the command line."""
    for label in labels.tolist():
        if str(label) == text or str(label).lower() == text.lower() in ("true", "false"):
            return label
        if labels.dtype.kind in "iuf" and _number(text) == label:
            return label
    raise ValueError(
        f"--positive {text}: no such label; the file has: {_some(labels.tolist())}"
        f"{near_label(text, labels.tolist())}"
    )


def near_label(text: str, labels: list[Any]) -> str:
    """A suggestion, if a label differs from the text in upper and lower case only."""
    near = [label for label in labels if str(label).lower() == text.strip().lower()]
    return f"; did you mean {near[0]}" if near else ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _common_name(names: list[str]) -> str:
    """The common start of the names of one model's columns, such as prob for prob_a and prob_b."""
    first, last = min(names), max(names)
    same = next((i for i, c in enumerate(first) if c != last[i : i + 1]), len(first))
    return first[:same].rstrip("_. ") or "model"
