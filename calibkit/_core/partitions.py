"""Rows in Dask collections: checked and summed partition by partition, on the workers.

No module of Dask is imported unless a collection of Dask was passed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._numerics.links import row_blocks
from .._numerics.weights import effective_count
from .._typing import FloatArray, Scale
from .arrays import is_dask, is_elsewhere
from .errors import InputError, message_of
from .inputs import (
    Rows,
    check_largest,
    check_lengths,
    finite_weights,
    hardness,
    match_classes,
    validate_scores,
    warn_if_hard,
)
from .labels import is_fractional, validate_column, validate_labels, warn_of_order
from .optional import require
from .printed import a_type
from .scores import SATURATED, Clip, Scores
from .warnings import counted, kept_back, silent, warn

#: Calibrators whose ``fit`` takes Dask collections; a test compares.
FITTED = (
    "PlattCalibrator", "TemperatureCalibrator", "BetaCalibrator", "VectorScalingCalibrator",
    "MatrixScalingCalibrator", "IsotonicCalibrator", "HistogramBinningCalibrator",
)  # fmt: skip
#: Results that are added up at once.
_FAN_IN = 16
#: Rows whose sums say whether log-odds look like probabilities.
_HEAD = 50


class _Given(NamedTuple):
    """How a partition is read."""

    scale: Scale
    classes: Any  # of all rows, which columns may be named after
    soft: bool
    kept: Any = None  # classes of rows with a positive weight
    clip: Clip = (SATURATED, SATURATED)


class _Fault(NamedTuple):
    """An error in a partition."""

    message: str
    place: Any


class _Seen(NamedTuple):
    """Labels of a partition."""

    n: int
    labels: np.ndarray
    present: np.ndarray  # those with a positive weight
    largest: float  # weight


class _Known(NamedTuple):
    """What later passes over a partition need not find out again."""

    like: np.ndarray  # no scores, but of their type and number of dimensions
    weighted: bool  # all weights are positive
    tiny: bool  # some log-odds are replaced


class _Summary(NamedTuple):
    """What is learned from a partition's rows of positive weight."""

    known: _Known | None  # if plain arrays hold the checked scores and labels
    rows: Rows  # the first, and for two classes the smallest and largest of each
    n: int
    class_weight: FloatArray
    squares: float
    unequal: bool
    inside: FloatArray  # smallest and largest score apart from 0 and 1
    ends: FloatArray  # smallest and largest score of all
    head: FloatArray
    hard: tuple[bool, float, float]


class Partitions:
    """Checked rows of Dask collections; :class:`~calibkit._numerics.parts.Parts`."""

    def __init__(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        groups: Any,
        *,
        scale: Scale,
        classes: Any,
        soft: bool,
    ) -> None:
        if groups is not None:
            raise InputError(
                "groups together with a Dask collection; expected no groups. To fit with groups "
                "call compute() on the collections."
            )
        self._raw = _aligned(X, y, sample_weight)
        self._given = _Given(scale, classes, soft)
        self._starts: list[int] = []
        self._known: list[_Known | None] = []
        self._read_labels()
        summaries = self._checked(_summary, [(*raw, self._given) for raw in self._raw])
        self._known = [None if s is None else s.known for s in summaries]
        found = [s for s in summaries if s is not None]
        sizes = [0 if s is None else s.n for s in summaries]
        self._starts = np.cumsum([0, *sizes]).tolist()
        self.n = self._starts[-1]
        self.class_weight = np.sum([s.class_weight for s in found], axis=0)
        squares, total = sum(s.squares for s in found), float(self.class_weight.sum())
        self.row_count = max(total, float(effective_count(np.float64(total), squares)))
        self.unequal = any(s.unequal for s in found)
        self._all = found
        match_classes(self.ends)
        if sum(s.n for s in found) > 1:
            warn_if_hard(*_joined_hardness(found), self.n, "X")

    def _read_labels(self) -> None:
        """Find the classes, from one pass over labels and weights."""
        given = self._given
        tasks = [(y, w, given) for _, y, w in self._raw]
        seen = [part for part in self._checked(_labels, tasks) if part is not None]
        if not seen:
            raise InputError("y has 0 sample(s) while a minimum of 1 is required.")
        distinct, _ = validate_labels(_joined(seen, "labels"), classes=given.classes)
        check_largest(max(part.largest for part in seen))
        kept = distinct
        if given.classes is None:
            warn_of_order(distinct, "y")
            kept = distinct[np.isin(distinct, _joined(seen, "present"))]
        self._given = given._replace(classes=distinct, kept=kept)

    @property
    def classes(self) -> np.ndarray:
        """Classes of rows of positive weight, or the given ones."""
        return np.asarray(self._given.kept)

    @property
    def ends(self) -> Rows:
        """The first row, and for two classes the smallest and largest scores of each class."""
        rows = [s.rows for s in self._all]
        values = np.concatenate([r.scores.values for r in rows])
        s = Scores(values, self._given.scale, self._given.clip)
        return Rows(s, np.concatenate([r.y for r in rows]), None, self.classes)

    @property
    def extremes(self) -> Scores:
        """Scores that are as near to 0 and to 1 as any."""
        inside = np.array([s.inside for s in self._all])
        low, high = inside[:, 0].min(), inside[:, 1].max()
        pair = np.array([low, high] if low <= high else [0.0, 1.0])
        shape = self._all[0].rows.scores.values.shape[1:]
        values = np.broadcast_to(pair.reshape(2, *(1 for _ in shape)), (2, *shape))
        return Scores(np.ascontiguousarray(values), self._given.scale)

    @property
    def shown(self) -> Rows:
        """A row of each class that has any."""
        codes = np.flatnonzero(self.class_weight)
        ends = self.ends
        return ends._replace(scores=ends.scores[codes * 0], y=codes)

    @property
    def head(self) -> tuple[Scores, int, tuple[float, float]]:
        """The first rows, how many there are, and the smallest and the largest score."""
        ends = np.array([s.ends for s in self._all])
        values = np.concatenate([s.head for s in self._all])[:_HEAD]
        low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
        return Scores(values, self._given.scale), self.n, (low, high)

    def clip(self, clip: Clip) -> None:
        """From now on clip the scores."""
        self._given = self._given._replace(clip=clip)

    def each(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """What a function of a partition's rows, their first place and the arguments returns."""
        dask = require("dask", "dask")
        return list(dask.compute(*self._tasks(function, args)))

    def total(self, function: Callable[..., Any], *args: Any) -> Any:
        """Sums over partitions of the tuples that a function of their rows returns."""
        tasks = self._tasks(_placeless, (function, *args))
        add = require("dask", "dask").delayed(_added, pure=False)
        while len(tasks) > 1:
            tasks = [add(tasks[i : i + _FAN_IN]) for i in range(0, len(tasks), _FAN_IN)]
        return tasks[0].compute()

    def thin(self, strides: list[int]) -> list[Rows]:
        """Every so-many-th of all rows, for each number, in memory."""
        parts = self.each(_strided, strides)
        return [_stacked([part[i] for part in parts]) for i in range(len(strides))]

    def _tasks(self, function: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
        task = require("dask", "dask").delayed(_of_rows, pure=False)
        sizes = np.diff(self._starts)
        return [
            task(function, *raw, self._given, known, start, *args)
            for raw, known, start, size in zip(
                self._raw, self._known, self._starts, sizes, strict=False
            )
            if size > 0
        ]

    def _checked(self, function: Callable[..., Any], tasks: list[tuple[Any, ...]]) -> list[Any]:
        """Results of all partitions, after their warnings; the first fault is raised."""
        dask = require("dask", "dask")
        task = dask.delayed(_guarded, pure=False)
        results = dask.compute(*(task(function, *args) for args in tasks))
        for i, (result, _) in enumerate(results):
            if isinstance(result, _Fault):
                raise InputError(f"partition {i}: {result.message}", place=result.place)
        with counted("partitions"):
            for i, (_, told) in enumerate(results):
                for message, category in told:
                    warn(f"partition {i}: {message}", category)
        return [result for result, _ in results]


def _joined(seen: list[_Seen], name: str) -> Any:
    """Labels of all partitions; texts and numbers remain apart."""
    found = [getattr(part, name) for part in seen]
    if len({a.dtype.kind in "OU" for a in found}) > 1:
        return [label for a in found for label in a.tolist()]
    return np.concatenate(found)


def _joined_hardness(found: list[_Summary]) -> tuple[bool, float, float]:
    hard, low, high = zip(*(s.hard for s in found), strict=True)
    return all(hard), min(low), max(high)


def _aligned(X: Any, y: Any, sample_weight: Any) -> list[tuple[Any, Any, Any]]:
    """Partitions of scores, labels and weights as delayed objects."""
    named = {"X": X, "y": y, "sample_weight": sample_weight}
    if sample_weight is None:
        del named["sample_weight"]
    for name, values in named.items():
        if not (is_dask(values) and _has_rows(values)):
            kinds = "a Dask DataFrame, Series or Array"
            raise InputError(
                f"{name} is {a_type(values)} beside Dask collections; expected {kinds}. Pass X, y "
                "and sample_weight in the same partitions, or all of them in memory."
            )
    rows = getattr(X, "chunks", ((np.nan,),))[0]
    parts: dict[str, list[Any]] = {}
    for name, values in named.items():
        if hasattr(values, "chunks"):
            known = not np.isnan((*rows, *values.chunks[0])).any()
            if known and sum(rows) == len(values) and values.chunks[0] != rows:
                values = values.rechunk({0: rows})
            if values.ndim == 2 and values.numblocks[1] > 1:
                values = values.rechunk({1: -1})
        parts[name] = np.ravel(values.to_delayed()).tolist()
        if len(parts[name]) != len(parts["X"]):
            raise InputError(
                f"X has {len(parts['X'])} partitions and {name} has {len(parts[name])}; expected "
                "the same partitions. Repartition one of them."
            )
    weights = parts.get("sample_weight", [None] * len(parts["X"]))
    return list(zip(parts["X"], parts["y"], weights, strict=True))


def _has_rows(values: Any) -> bool:
    """Whether it is an array or a frame; any attribute of what is delayed is delayed too."""
    ndim = getattr(values, "ndim", 0)
    return isinstance(ndim, int) and ndim > 0


def _guarded(function: Callable[..., Any], *args: Any) -> tuple[Any, list[tuple[str, Any]]]:
    """What a function returns, or its fault, and the warnings that it gives."""
    result: Any
    with kept_back() as told:
        try:
            result = function(*args)
        except InputError as error:
            result = _Fault(message_of(error), error.place)
    return result, [(message_of(warning), type(warning)) for warning in told]


def _labels(y: Any, w: Any, given: _Given) -> _Seen | None:
    if len(y) == 0:
        return None
    labels = validate_column(y, name="y")
    declared = given.classes is not None and np.isin(labels, given.classes).all()
    if given.soft and labels.dtype.kind == "f" and is_fractional(labels) and not declared:
        raise InputError(
            "y holds fractions; expected class labels in Dask collections. Fit to fractions in "
            "memory: call compute() on the collections, or on a sample."
        )
    distinct, codes = validate_labels(labels, classes=given.classes)
    weight = finite_weights(w, len(labels))
    if weight is None:
        return _Seen(len(labels), distinct, distinct, 1.0)
    present = distinct[np.bincount(codes[weight > 0], minlength=len(distinct)) > 0]
    return _Seen(len(labels), distinct, present, float(weight.max()))


def _rows(x: Any, y: Any, w: Any, given: _Given) -> tuple[Scores, Rows]:
    """All scores of a partition, and its rows of positive weight."""
    s = validate_scores(x, scale=given.scale, classes=given.classes, allow_empty=True)
    check_lengths(len(s), len(y), ("X", "y"))
    classes, w = given.kept, finite_weights(w, len(s))
    s = Scores(s.values, s.scale, given.clip, s.best)
    labels = validate_column(y, name="y") if len(s) else np.empty(0, dtype=classes.dtype)
    rows = Rows(s, _codes(labels, classes), w, classes)
    if w is not None and not w.all():
        rows = rows.take(np.flatnonzero(w))
    return s, rows._replace(scores=rows.scores._without_tiny())


def _codes(labels: np.ndarray, classes: np.ndarray) -> Any:
    if len(classes) == 2:
        return np.asarray(labels == classes[1]).view(np.int8)
    if labels.dtype.kind in "iu" and np.array_equal(classes, np.arange(len(classes))):
        return labels.astype(np.intp, copy=False)
    return np.searchsorted(classes, labels)


def _again(x: Any, y: Any, w: Any, given: _Given, known: _Known | None) -> Rows:
    """The rows of positive weight of a partition that has been checked."""
    if known is None:
        return _rows(x, y, w, given)[1]
    s = Scores(_plain_scores(x, known.like), given.scale, given.clip)
    weight = None if w is None else np.asarray(w, dtype=np.float64).reshape(-1)
    rows = Rows(s, _codes(np.asarray(y), given.kept), weight, given.kept)
    if weight is not None and not known.weighted:
        rows = rows.take(np.flatnonzero(weight))
    return rows._replace(scores=rows.scores._without_tiny()) if known.tiny else rows


def _plain_scores(x: Any, like: np.ndarray) -> np.ndarray:
    """Scores without a check; those of two classes side by side in memory."""
    a = np.asarray(x)
    if like.ndim == 2:
        return a.astype(like.dtype, copy=False)
    return np.ascontiguousarray(a[:, -1] if a.ndim == 2 else a, dtype=like.dtype)


def _known(x: Any, y: Any, w: Any, s: Scores, rows: Rows) -> _Known | None:
    """None unless the checks changed nothing and the labels are a column of numbers."""
    like, weighted = s.values[:0].copy(), len(rows.y) == len(s)
    if is_elsewhere(x) or is_elsewhere(w) or getattr(y, "ndim", 0) != 1:
        return None
    if getattr(getattr(y, "dtype", None), "kind", "O") not in "buif":
        return None
    plain = _plain_scores(x, like)
    if plain is not s.values and not np.array_equal(plain, s.values):
        return None
    tiny = weighted and rows.scores.values is not s.values
    return _Known(like, weighted, tiny or not weighted)


def _of_rows(
    function: Callable[..., Any],
    x: Any,
    y: Any,
    w: Any,
    given: _Given,
    known: _Known | None,
    start: int,
    *args: Any,
) -> Any:
    with silent():  # the first pass has warned
        return function(_again(x, y, w, given, known), start, *args)


def _placeless(rows: Rows, start: int, function: Callable[..., Any], *args: Any) -> Any:
    return function(rows, *args)


def _added(parts: list[Any]) -> tuple[Any, ...]:
    return tuple(sum(values) for values in zip(*parts, strict=True))


def _strided(rows: Rows, start: int, strides: list[int]) -> list[Rows]:
    return [rows.take(np.arange(-start % step, len(rows.y), step)) for step in strides]


def _stacked(parts: list[Rows]) -> Rows:
    s = parts[0].scores
    values = np.concatenate([rows.scores.values for rows in parts])
    weights = [rows.w for rows in parts if rows.w is not None]
    w = np.concatenate(weights) if weights else None
    y = np.concatenate([rows.y for rows in parts])
    return Rows(Scores(values, s.scale, s.clip), y, w, parts[0].classes)


def _summary(x: Any, y: Any, w: Any, given: _Given) -> _Summary | None:
    s, rows = _rows(x, y, w, given)
    if len(rows.y) == 0:
        return None
    values, codes = rows.scores.values, rows.y
    k = len(given.kept)
    ends = _class_ends(values, codes) if values.ndim == 1 else []
    first = rows.take(np.array([0] * (1 + len(ends))))
    for i, (value, code) in enumerate(ends, start=1):
        first.scores.values[i], first.y[i] = value, code
    if rows.w is None and k == 2:
        ones = np.count_nonzero(codes)
        counts = np.array([len(codes) - ones, ones])
    else:
        counts = np.bincount(codes, rows.w, minlength=k)
    weight = np.ones(1) if rows.w is None else rows.w
    return _Summary(
        _known(x, y, w, s, rows),
        first,
        len(codes),
        counts.astype(np.float64),
        float(len(codes)) if rows.w is None else float(weight @ weight),
        bool((weight != 1.0).any()),
        np.array((np.inf, -np.inf) if s.scale == "logit" else rows.scores._inside_ends()),
        np.array([values.min(), values.max()]),
        values[:_HEAD],
        hardness(s),
    )


def _class_ends(values: FloatArray, codes: Any) -> list[tuple[float, int]]:
    """The smallest and the largest score of each of two classes, if it has any."""
    ends = np.array([[np.inf, -np.inf]] * 2)
    for block in row_blocks(len(values)):
        v = values[block]
        # After the first block few rows are beyond an end.
        at = np.flatnonzero((v < ends[:, 0].max()) | (v > ends[:, 1].min()))
        some, code = v[at], codes[block][at]
        for k, end in enumerate(ends):
            own = some[code == k]
            end[0] = min(end[0], own.min(initial=np.inf))
            end[1] = max(end[1], own.max(initial=-np.inf))
    return [(float(v), k) for k, end in enumerate(ends) if end[0] <= end[1] for v in end]


def meta_of(values: Any) -> Any:
    """An empty frame or array of the same columns."""
    return getattr(values, "_meta", None)


def refuse_dask(name: str) -> None:
    """Raise for a calibrator that is fitted in memory only."""
    listed = ", ".join(FITTED[:-1]) + " or " + FITTED[-1]
    raise InputError(
        f"X, y or sample_weight is a Dask collection, and {name} is fitted in memory; expected "
        f"arrays. Call compute() on them, or on a sample of the rows, or fit {listed}."
    )


def predicted_parts(calibrator: Any, X: Any, labels: bool = False) -> Any:
    """The lazy collection of what ``predict_proba`` or ``predict`` returns for each partition."""
    if not _has_rows(X):
        raise InputError(
            f"X is {a_type(X)}; expected an array, or a Dask DataFrame, Series or Array."
        )
    calibrator._ensure_fitted()
    calibrator = calibrator._now()
    if not hasattr(X, "chunks"):
        empty = _frame(X._meta, calibrator, labels)
        return X.map_partitions(_frame, calibrator, labels, meta=empty, enforce_metadata=False)
    if X.ndim == 2 and X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    shape = (0, *X.shape[1:])
    result = _block(np.empty(shape, dtype=X.dtype), calibrator, labels)
    if labels:
        change: Any = {"drop_axis": 1} if X.ndim == 2 else {}
    else:
        change = {"chunks": (X.chunks[0], (len(calibrator.classes_),))}
        change |= {} if X.ndim == 2 else {"new_axis": 1}
    return X.map_blocks(_block, calibrator, labels, dtype=result.dtype, meta=result, **change)


def _block(X: Any, calibrator: Any, labels: bool) -> Any:
    return calibrator.predict(X) if labels else calibrator.predict_proba(X)


def _frame(X: Any, calibrator: Any, labels: bool) -> Any:
    pandas, values = require("pandas"), _block(X, calibrator, labels)
    if labels:
        return pandas.Series(values, index=X.index)
    return pandas.DataFrame(values, index=X.index, columns=calibrator.classes_)
