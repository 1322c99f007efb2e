"""Calls of an online calibrator as bytes, and made again."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from .._numerics.links import FloatArray
from .inputs import read_scores
from .labels import is_missing
from .online import OnlineCalibrator
from .stream_labels import read_stream_labels

#: Kinds of calls; the numbers are in files.
UPDATE, ONE, REMEMBER, RESOLVE = range(4)


class Call(NamedTuple):
    """What a call was given: scores in float64, codes of labels, ids as JSON."""

    kind: int
    n_rows: int
    scores: bytes = b""
    codes: bytes = b""
    ids: bytes = b""

    @property
    def size(self) -> int:
        return len(self.scores) + len(self.codes) + len(self.ids)


def plain_scores(cal: OnlineCalibrator, X: Any, method: str) -> FloatArray:
    """Scores as they are stored, which are also those that are learnt."""
    where = f"{type(cal).__name__}.{method}"
    s = read_scores(X, scale=cal._input_scale(), where=where, allow_empty=True)
    return np.ascontiguousarray(s.values, dtype=np.float64)


def _code_type(cal: OnlineCalibrator) -> type[np.signedinteger[Any]]:
    return np.int8 if len(cal.classes_) <= 127 else np.int32


def codes_of(cal: OnlineCalibrator, y: Any, where: str) -> bytes:
    """Labels that were learnt already as bytes; -1 where there is none."""
    classes = cal.classes_
    if type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "biuf" and len(classes) == 2:
        # All are known to be one of two numbers, or NaN: no need to read them again.
        found = (y == classes[1]).astype(np.int8)
        found[y != y] = -1
        return found.tobytes()
    _, codes = read_stream_labels(y, classes=classes, where=where)
    return np.where(np.isnan(codes), -1.0, codes).astype(_code_type(cal)).tobytes()


def code_of(cal: OnlineCalibrator, y: Any) -> bytes:
    """The same of one label of two classes that was learnt already."""
    return np.int8(-1 if is_missing(y) else int(y == cal.classes_[1])).tobytes()


def ids_of(keys: list[Any]) -> bytes:
    """Ids as bytes."""
    return json.dumps(keys).encode()


def repeat(cal: OnlineCalibrator, call: Call) -> None:
    """Make a call again."""
    values = np.frombuffer(call.scores, dtype=np.float64).copy()
    codes = np.frombuffer(call.codes, dtype=_code_type(cal))
    labels = cal.classes_[codes]
    if (codes < 0).any():
        labels = labels.astype(object)
        labels[codes < 0] = None
    if call.kind == ONE:
        cal.learn_one(float(values[0]), labels.tolist()[0])
    elif call.kind == RESOLVE:
        cal.resolve(json.loads(call.ids), labels)
    else:
        if len(cal.classes_) > 2:
            values = values.reshape(call.n_rows, len(cal.classes_))
        if call.kind == UPDATE:
            cal.partial_fit(values, labels)
        else:
            cal.remember(json.loads(call.ids), values)
