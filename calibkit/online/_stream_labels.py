"""Check labels of a stream: some may be missing, and some classes may appear later."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from .._core.errors import InputError
from .._core.inputs import check_lengths, refuse_swapped, validate_scores
from .._core.labels import as_labels, is_missing, refuse_none, validate_classes, validate_labels
from .._core.printed import spelled
from .._core.scores import Scores
from .._typing import FloatArray, Scale


def validate_stream(
    X: Any,
    y: Any,
    scale: Scale,
    classes: np.ndarray | None,
    names: tuple[str, str] = ("X", "y"),
    *,
    labels_first: bool = False,
    allow_empty: bool = True,
) -> tuple[np.ndarray | None, Scores, FloatArray]:
    """Return ``(classes, scores, codes)`` of the rows; see :func:`validate_stream_labels`."""
    try:
        distinct, codes = validate_stream_labels(y, classes=classes)
        s = validate_scores(
            X, scale=scale, name=names[0], allow_empty=allow_empty, classes=distinct
        )
    except ValueError:
        refuse_swapped(X, y, names, labels_first=labels_first)
        # Report invalid scores first.
        validate_scores(X, scale=scale, name=names[0], allow_empty=allow_empty)
        raise
    check_lengths(len(s), len(codes), names)
    return distinct, s, codes


def validate_stream_labels(
    y: Any, *, classes: np.ndarray | None
) -> tuple[np.ndarray | None, FloatArray]:
    """Return ``(classes, codes)``; codes are NaN where a label is missing.

    The classes are those passed; otherwise those found, if there are two or more; otherwise 0 and
    1, if the only label is 0 or 1; otherwise None.
    """
    if (coded := _numbers(y, classes)) is not None:
        return classes, coded
    if y is None:
        refuse_none("y", "one label per row")
    labels = as_labels(y)
    missing = _missing(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels, missing = labels[:, 0], missing[:, 0]
    if labels.ndim != 1:
        raise InputError(f"y has shape {labels.shape}; expected one label per row, of shape (n,).")
    if missing.all():  # no rows at all included
        return classes, np.full(labels.shape, np.nan)
    whole = not missing.any()
    try:
        distinct, known = validate_labels(labels if whole else labels[~missing], classes=classes)
    except ValueError:
        if classes is not None:
            _refuse_other_type(labels[~missing].tolist(), classes.tolist())
        raise
    if classes is None and len(distinct) == 1:
        distinct, known = _one_class(distinct, known)
    if whole:
        return distinct, known.astype(np.float64)
    codes = np.full(labels.shape, np.nan)
    codes[~missing] = known
    return distinct, codes


def _refuse_other_type(labels: list[Any], classes: list[Any]) -> None:
    """Raise if a label is a class written in another type, such as "1" for 1."""
    named = {str(same): same for same in classes}
    for label in labels:
        if label not in classes and str(label) in named:
            same = named[str(label)]
            raise InputError(
                f"y holds {spelled(label)} ({type(label).__name__}), and the classes are "
                f"{spelled(classes)} ({type(same).__name__}); expected labels of the type of "
                f"the classes. Pass {spelled(same)} instead of {spelled(label)}."
            ) from None


def _numbers(y: Any, classes: np.ndarray | None) -> FloatArray | None:
    """Return codes of two numeric classes by comparison, which is faster than a sort."""
    plain = type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "biuf"
    if not plain or classes is None or len(classes) != 2 or classes.dtype.kind not in "biuf":
        return None
    yes, missing = y == classes[1], y != y
    if not (yes | missing | (y == classes[0])).all():
        return None
    codes = yes.astype(np.float64)
    codes[missing] = np.nan
    return codes


def _missing(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    if labels.dtype != object:
        return np.zeros(labels.shape, dtype=bool)
    return np.array([is_missing(v) for v in labels.ravel()], dtype=bool).reshape(labels.shape)


def _one_class(distinct: np.ndarray, known: Any) -> tuple[np.ndarray, Any]:
    """Return classes and codes if all labels are equal; for 0 or 1, the classes are 0 and 1."""
    if distinct.dtype.kind in "bif" and distinct[0] in (0, 1):
        return np.array([0, 1], dtype=distinct.dtype), np.full(len(known), float(distinct[0]))
    raise InputError(
        f"the first labels are all {spelled(distinct[0])}; expected labels 0 and 1, or all classes "
        "to be declared. Pass classes=[...]."
    )


def no_label_yet(own: str, first: str) -> NotFittedError:
    """Return the error of a calibrator before its first label."""
    return NotFittedError(
        f"This {own} instance has no labels yet and does not know its classes. Call {first} first, "
        f"or make it with {own}(classes=[0, 1])."
    )


def known_classes(given: Any) -> np.ndarray | None:
    """Return the classes that a user passed, checked."""
    return None if given is None else validate_classes(given)
