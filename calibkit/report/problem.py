"""Which columns are what: from the options of a command to labels and probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._numerics.links import FloatArray
from .._tables.table import Table, find_columns


@dataclass(frozen=True)
class Options:
    """Options that say what the columns of a file are."""

    label: str
    prob: list[str]
    classes: str | None = None
    positive: str | None = None
    weight: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Problem:
    """Labels and, by name, the probabilities of one model or of several."""

    y: np.ndarray
    models: dict[str, FloatArray]
    #: Labels of the columns of the only model, where it has several.
    classes: np.ndarray | None = None
    pos_label: Any = None
    weight: FloatArray | None = None
    groups: np.ndarray | None = None

    @property
    def scores(self) -> FloatArray:
        """Probabilities of the only model."""
        return next(iter(self.models.values()))


def read_problem(table: Table, options: Options, *, several: bool) -> Problem:
    """Read the columns; several columns may be several models if ``several``."""
    where = table.source.name
    probs = find_columns("--prob", options.prob, table.columns, where)
    singles = {"--label": options.label, "--weight": options.weight, "--group": options.group}
    found = {
        o: find_columns(o, [n], table.columns, where)[0]
        for o, n in singles.items()
        if n is not None
    }
    table.read([*probs, *found.values()])
    y = table.labels(found["--label"])
    weight = table.numbers(found["--weight"]) if "--weight" in found else None
    groups = table.groups(found["--group"]) if "--group" in found else None
    columns = {n: table.numbers(n) for n in probs}
    labels = np.unique(y)
    order = _class_columns(options, probs, labels, several=several)
    event = None if options.positive is None else _same_label(options.positive, labels)
    if order is None:
        return Problem(y, columns, None, event, weight, groups)
    classes = np.array(list(order))
    if event is not None and len(classes) > 2:
        raise ValueError(f"--positive is for two classes; --label {options.label} has more.")
    matrix = np.column_stack([columns[n] for n in order.values()])
    return Problem(y, {_common_name(probs): matrix}, classes, event, weight, groups)


def _class_columns(
    options: Options, probs: list[str], labels: np.ndarray, *, several: bool
) -> dict[Any, str] | None:
    """Column of each class, by class in sorted order; None if each column is a model."""
    if options.classes is not None:
        texts = [c.strip() for c in options.classes.split(",")]
        if len(texts) != len(probs):
            raise ValueError(
                f"--classes names {len(texts)} classes and --prob {len(probs)} columns; expected "
                "a class per column, in the same order."
            )
        given = dict(zip(_as_labels(texts, labels), probs, strict=True))
        if len(given) < len(probs) or len(given) < 2:
            raise ValueError(
                f"--classes {options.classes}: expected different classes, two or more."
            )
        return {k: given[k] for k in sorted(given)}
    if len(probs) == 1:
        return None
    named = match_names(probs, labels)
    if named is not None:
        return named
    if len(labels) <= 2 and several:
        return None
    shown = ", ".join(map(str, labels[:8])) + (", ..." if len(labels) > 8 else "")
    raise ValueError(
        f"--label {options.label} has {len(labels)} classes ({shown}) and --prob names "
        f"{len(probs)} columns, not called after them; name their classes by --classes."
    )


def match_names(probs: list[str], classes: np.ndarray) -> dict[Any, str] | None:
    """Column of each class, where the columns are called alike but for the class.

    Two columns such as m0 and m1 may well be two models, so of two only those count that are
    called x, p_x, prob_x or proba_x (and as :func:`calibkit.report.stream` calls them then).
    """
    labels = classes.tolist()
    first, *_ = texts = [str(label) for label in labels]
    for name in probs:
        for at in range(len(name)):
            before, after = name[:at], name[at + len(first) :]
            usual = before in ("", "p_", "prob_", "proba_") and after in ("", "_calibrated")
            if name.startswith(first, at) and (len(labels) > 2 or usual):
                columns = [f"{before}{text}{after}" for text in texts]
                if set(columns) == set(probs):
                    return dict(zip(labels, columns, strict=True))
    return None


def _as_labels(texts: list[str], labels: np.ndarray) -> list[Any]:
    """Classes given as text, as labels of the type found in the file."""
    if labels.dtype.kind not in "biuf":
        return list(texts)
    try:
        if labels.dtype.kind == "b":
            return [{"true": True, "false": False}[t.lower()] for t in texts]
        return [labels.dtype.type(float(t)).item() for t in texts]
    except (ValueError, KeyError, OverflowError) as error:
        raise ValueError(
            f"--classes {','.join(texts)}: the labels of the file are {labels.dtype.name}, for "
            f"instance {labels[0]}; expected the same."
        ) from error


def _same_label(text: str, labels: np.ndarray) -> Any:
    """The label of the file that a text on the command line stands for."""
    for label in labels.tolist():
        if str(label) == text or str(label).lower() == text.lower() in ("true", "false"):
            return label
        if labels.dtype.kind in "iuf" and _number(text) == label:
            return label
    shown = ", ".join(map(str, labels[:8])) + (", ..." if len(labels) > 8 else "")
    raise ValueError(f"--positive {text}: no such label; the file has: {shown}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _common_name(names: list[str]) -> str:
    """What columns of one model have in common, such as prob of prob_a and prob_b."""
    first, last = min(names), max(names)
    same = next((i for i, c in enumerate(first) if c != last[i : i + 1]), len(first))
    return first[:same].rstrip("_. ") or "model"
