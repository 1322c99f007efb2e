"""Calls of an online calibrator: write them as bytes, and repeat them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from .._core.base import BaseCalibrator
from .._core.columns import column_names
from .._core.errors import InputTypeError
from .._core.inputs import validate_scores
from .._core.labels import is_missing
from .._typing import FloatArray
from ._stream_labels import validate_stream_labels

#: Kinds of calls; the numbers are in files. Older files, in which batches were updated row by row,
#: have calls of ``partial_fit`` as UPDATE and calls of ``label`` as SINGLY.
UPDATE, ONE, FORECAST, SINGLY, LABEL, BATCH = range(6)
_BY_ID = (SINGLY, LABEL)
#: Whether the rows of each kind of call have: scores, a label, an id.
_HAS = dict.fromkeys((UPDATE, ONE, BATCH), (1, 1, 0))
_HAS |= {FORECAST: (1, 0, 1), SINGLY: (0, 1, 1), LABEL: (0, 1, 1)}


class Call(NamedTuple):
    """Arguments of one call: scores as float64, codes of labels, ids as JSON.

    For many streams the JSON is a list of two lists: row ids, and stream ids.
    """

    kind: int
    n_rows: int
    scores: bytes = b""
    codes: bytes = b""
    ids: bytes = b""

    @property
    def size(self) -> int:
        return len(self.scores) + len(self.codes) + len(self.ids)


def _plain_scores(cal: Any, X: Any, y: Any, classes: Any) -> FloatArray:
    """Return scores as they are stored; the calibrator uses these too."""
    for known in (getattr(cal, "classes_", None), cal.classes):
        classes = known if classes is None else classes
    if classes is None and y is not None and column_names(X) is not None:
        classes, _ = validate_stream_labels(y, classes=None)
    s = validate_scores(X, scale=cal._input_scale(), allow_empty=True, classes=classes)
    return np.ascontiguousarray(s.values, dtype=np.float64)


def rows_of(
    cal: Any, X: Any, stream: Any, y: Any = None, classes: Any = None
) -> tuple[FloatArray, tuple[np.ndarray, ...]]:
    """Return scores, and a tuple with the stream ids, empty for a calibrator of one stream."""
    values = _plain_scores(cal, X, y, classes)
    if _has_streams(cal):
        if stream is None or classes is not None:
            raise InputTypeError(
                "stream is missing or classes is passed; expected the stream of each row and no "
                "classes. Pass stream=[...] by name, and classes to MultiStreamCalibrator."
            )
        return values, (cal._streams.validate(stream, len(values)),)
    if stream is not None:
        raise InputTypeError(
            "stream is passed, but the calibrator has one stream; expected None. For many streams, "
            "start the journal with MultiStreamCalibrator()."
        )
    return values, ()


def _has_streams(cal: Any) -> bool:
    return hasattr(type(cal), "streams_")


def refusal(given: Any) -> str:
    """Return the message for a ``calibrator`` that a journal can't keep."""
    what = f"of type {type(given).__name__}"
    do = (
        "Pass an online calibrator, and pass the scores of your model to the journal: "
        "Journal(path, TrackingCalibrator()).predict_then_update(model.predict_proba(X), y)."
    )
    if isinstance(given, type):
        what, do = f"the class {given.__name__}", f"Pass an instance: {given.__name__}()."
    elif isinstance(given, BaseCalibrator):
        do = "For a batch calibrator, pass WindowedCalibrator(...)."
    return (
        f"calibrator is {what}; expected an online calibrator, such as TrackingCalibrator(). {do}"
    )


def _code_type(cal: Any) -> type[np.signedinteger[Any]]:
    return np.int8 if len(cal.classes_) <= 127 else np.int32


def codes_of(cal: Any, y: Any) -> bytes:
    """Return labels as bytes, after the calibrator has used them; -1 for a missing label."""
    classes = getattr(cal, "classes_", None)
    if classes is None:  # no label so far: nothing to repeat
        return b""
    _, codes = validate_stream_labels(y, classes=classes)
    return np.where(np.isnan(codes), -1.0, codes).astype(_code_type(cal)).tobytes()


def code_of(cal: Any, y: Any) -> bytes:
    """Do the same for one label of two classes."""
    return np.int8(-1 if is_missing(y) else int(y == cal.classes_[1])).tobytes()


def ids_of(keys: list[Any], stream: np.ndarray | None = None) -> bytes:
    """Return row ids as bytes, with the stream ids if there are any."""
    if stream is None:
        return json.dumps(keys).encode() if keys else b""
    return json.dumps([keys, stream.tolist()]).encode()


def repeat(cal: Any, call: Call) -> None:
    """Repeat a call that a journal wrote."""
    ids, stream = json.loads(call.ids or b"[]"), []
    if _has_streams(cal) and call.kind not in _BY_ID:
        ids, *stream = ids
    values: FloatArray = np.frombuffer(call.scores, dtype=np.float64).copy()
    codes = np.frombuffer(call.codes, dtype=_code_type(cal))
    _check(cal, call, values, codes, ids, stream)
    labels = cal.classes_[codes]
    if (codes < 0).any():
        labels = labels.astype(object)
        labels[codes < 0] = None
    if call.kind == ONE:
        cal.learn_one(float(values[0]), labels.tolist()[0])
    elif call.kind == LABEL:
        cal.label(ids, labels)
    elif call.kind == SINGLY:
        for key, label in zip(ids, labels, strict=True):
            cal.label([key], [label])
    else:
        if len(cal.classes_) > 2:
            values = values.reshape(call.n_rows, len(cal.classes_))
        if call.kind == FORECAST:
            cal.forecast(ids, values, *stream)
        else:
            learn = cal.partial_fit if call.kind == BATCH else cal.predict_then_update
            learn(values, labels, *stream)


def _check(
    cal: Any, call: Call, values: FloatArray, codes: np.ndarray, ids: Any, stream: list[Any]
) -> None:
    """Raise unless the parts of a call have the right number of rows."""
    n, n_classes = call.n_rows, len(cal.classes_)
    if call.kind not in _HAS or (call.kind == ONE and (n != 1 or stream)):
        raise ValueError(f"a call of kind {call.kind} and {n} rows")
    scores, label, name = (n * has for has in _HAS[call.kind])
    expected = [scores * (n_classes if n_classes > 2 else 1), label, name]
    if _has_streams(cal) and call.kind not in _BY_ID:
        expected.append(n)
    lists = all(type(v) is list for v in (ids, *stream))
    if n < 1 or not lists or [len(v) for v in (values, codes, ids, *stream)] != expected:
        raise ValueError(f"the parts of a call of {n} rows have other lengths")
    if len(codes) and not -1 <= codes.min() <= codes.max() < n_classes:
        raise ValueError("a call holds codes of unknown classes")
