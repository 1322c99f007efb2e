"""Many streams in one object: an online Platt calibrator for each tenant, project or model."""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, get_args

import numpy as np
from sklearn.base import BaseEstimator

from .._core.errors import InputError, called, message_of
from .._core.inputs import check_lengths, validate_scores
from .._core.params import check_choice, check_int, check_real
from .._core.printed import spelled
from .._core.provenance import Traced
from .._core.saved import check_forecast, check_keys, number
from .._core.scores import Scores
from .._numerics.multistream import COUNT, START, Settings, join
from .._typing import FloatArray, IntArray, Scale, Self
from ._newton import check_steps
from ._pending import Labeled, Pending, validate_ids
from ._places import validate_stream_ids
from ._resolution import LIMIT, SUREST
from ._scaling import OnlinePlattCalibrator
from ._stream_labels import no_label_yet, validate_stream
from ._streams import LearnsStreams, Streams, rows_from_dict, rows_to_dict, validate_two_classes

#: Parameters that the calibrator of a stream has too.
PARAMS = ("gamma", "prior_strength", "radius", "discount", "eps", "scale", "max_pending")


class MultiStreamCalibrator(LearnsStreams, Traced, BaseEstimator):
    """Online Platt scaling for many streams in one object, such as a million tenants.

    Use it if each tenant, project or model has its own labels, but few of them. A new stream starts
    from a pooled map, which is updated with the labels of all streams, and adapts to its own labels
    from then on. For one stream use :class:`OnlinePlattCalibrator`.

    :mod:`calibkit.online` shows how to call it; every call that has scores also takes ``stream``,
    the stream id of each row. Before its first label a stream is forecast by the pooled map; before
    any label that map returns the scores.

    Parameters
    ----------
    gamma : float, default=0.1
        Each step is the Newton step divided by ``gamma``: smaller adapts faster.
    prior_strength : float, default=100.0
        How strongly a new stream keeps to the pooled map it starts from.
    radius : float, default=100.0
        Maximum length of the vector (slope, intercept).
    discount : float, default=1.0
        The Newton matrix is multiplied by this number, in (0, 1], at every label. Below 1 old
        labels are forgotten.
    eps : float, default=1e-5
        Scores are clipped to [eps, 1 - eps], log-odds likewise.
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds. Use "logit" for ``decision_function``.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Maximum number of forecasts that wait for their labels.

    Attributes
    ----------
    pooled_ : OnlinePlattCalibrator
        The pooled map: all rows as one stream.
    streams_ : ndarray of shape (n_streams,)
        Ids of the streams, in the order of their first labels.
    n_streams_ : int
        Number of streams that have labels.
    theta_ : ndarray of shape (n_streams, 2)
        Slope and intercept of each stream.
    counts_ : ndarray of shape (n_streams,)
        Number of labels of each stream.
    classes_, n_seen_, pending_
        As in :class:`OnlinePlattCalibrator`.
    nbytes : int
        Memory of the streams and of the index of their ids, in bytes.

    Raises
    ------
    ValueError
        In all methods: if the data are invalid or a stream is unknown; the calibrator does not
        change.
    sklearn.exceptions.NotFittedError
        If there are neither labels nor ``classes``.

    Notes
    -----
    A stream starts at its first label, at the slope and intercept of ``pooled_`` at that time, with
    the Newton matrix ``prior_strength * I``. From then on its forecasts are, bit for bit, those of
    ``OnlinePlattCalibrator(start=..., eps=1e-5)`` on its rows alone. The pooled map is updated with
    every row, in order. A late label is used when it arrives, by ``partial_fit`` with its score or
    by :meth:`label` with its row id.

    A stream keeps its start when the pooled map improves later. If all streams start at the same
    time, first fit the pooled map to past rows: ``cal.partial_fit(...)``, then
    ``cal.drop(cal.streams_)``. With such a start and a larger ``prior_strength`` (1000), streams
    that differ little come closer to their optimum than the pooled map does.

    A stream takes 64 bytes. Its id takes 14 bytes if it is an int below about 4 million, 20 if it
    is larger, about 100 if it is a string. In batches of 10^5 rows from a million streams, a row
    takes .07 us with Numba and .8 us without. Strings add .5 us or more.

    It is not a :class:`BaseCalibrator`, because the methods of scikit-learn have no argument
    ``stream``. ``calibkit.save`` and :class:`Journal` accept it; :meth:`calibrator` returns one
    stream.

    Predictions from other threads wait while a batch updates the streams.

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML. Algorithm 1.

    Examples
    --------
    A thousand tenants use one over-confident model. A new tenant starts from the pooled map.

    >>> import numpy as np
    >>> from calibkit.online import MultiStreamCalibrator
    >>> rng = np.random.default_rng(0)
    >>> tenant = rng.integers(1000, size=20_000)
    >>> z = rng.normal(size=20_000) * 3
    >>> y = rng.random(20_000) < 1 / (1 + np.exp(-0.5 * z))
    >>> cal = MultiStreamCalibrator(scale="logit").partial_fit(z, y, tenant)
    >>> cal.n_streams_
    1000
    >>> cal.predict_proba([3.0], [5000]).round(1)
    array([[0.2, 0.8]])
    """

    name: ClassVar[str] = "multi_stream"
    _keys = ("params", "classes", "pooled", "ids", "streams", "pending")
    pooled_: OnlinePlattCalibrator

    def __init__(
        self,
        *,
        gamma: float = 0.1,
        prior_strength: float = 100.0,
        radius: float = 100.0,
        discount: float = 1.0,
        eps: float = 1e-5,
        scale: Scale = "probability",
        classes: Any = None,
        max_pending: int = 100_000,
    ) -> None:
        self.gamma = gamma
        self.prior_strength = prior_strength
        self.radius = radius
        self.discount = discount
        self.eps = eps
        self.scale = scale
        self.classes = classes
        self.max_pending = max_pending
        self._streams = Streams()
        self.pending_ = Pending(max_pending)

    # -- updates and forecasts --------------------------------------------------------------

    def partial_fit(self, X: Any, y: Any, stream: Any) -> Self:
        """Update with labels of rows, in order.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores; n may be 0.
        y : array-like of shape (n,)
            Labels; None or NaN is skipped.
        stream : array-like of shape (n,), int or str
            Id of the stream of each row, or one id for all rows. All ids of a calibrator are ints,
            or all are strings.

        Returns
        -------
        self : MultiStreamCalibrator
            The same calibrator.
        """
        self._update(X, y, stream)
        return self

    def predict_then_update(self, X: Any, y: Any, stream: Any) -> FloatArray:
        """Forecast each row from the labels before it, then update with its label.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores in time order.
        y : array-like of shape (n,)
            Labels; None or NaN is skipped.
        stream : array-like of shape (n,), int or str
            Id of the stream of each row, as in :meth:`partial_fit`.

        Returns
        -------
        proba : ndarray of shape (n, 2)
            The forecasts. Splitting the rows into several calls does not change them.
        """
        return _columns(self._update(X, y, stream))

    def predict_proba(self, X: Any, stream: Any) -> FloatArray:
        return self._forecast(X, stream)[0]

    def forecast(self, ids: Any, X: Any, stream: Any) -> FloatArray:
        waiting = validate_ids(ids)
        q, z, keys, pooled = self._forecast(X, stream, start=True)
        check_lengths(len(z), len(waiting), ("X", "ids"))
        self.pending_.add(waiting, _tickets_of(z, keys), self.max_pending)
        self.pooled_ = pooled
        return q

    def label(self, ids: Any, y: Any) -> Labeled:
        self._check_params()
        self._check_started(self.classes is not None)
        pooled = self._pooled()
        known = pooled._known_classes(self.classes)
        waiting, features, codes, report = self.pending_.find(ids, y, known)
        if waiting:
            keys = self._streams.validate(features[:, 1].tolist())
            self._learn(pooled, known, features[:, 0].astype(np.float64), codes, keys)
            self.pending_.remove(waiting)
        return report

    # -- the streams ------------------------------------------------------------------------

    @property
    def n_streams_(self) -> int:
        return len(self._streams)

    @property
    def streams_(self) -> np.ndarray:
        return self._streams.ids

    @property
    def theta_(self) -> FloatArray:
        return self._streams.rows[:, :2]

    @property
    def counts_(self) -> IntArray:
        return self._streams.rows[:, COUNT].astype(np.int64)

    @property
    def classes_(self) -> np.ndarray:
        return self.pooled_.classes_

    @property
    def n_seen_(self) -> float:
        return self.pooled_.n_seen_

    @property
    def nbytes(self) -> int:
        return self._streams.nbytes

    def calibrator(self, stream: Any) -> OnlinePlattCalibrator:
        """Return one stream as an independent calibrator.

        Parameters
        ----------
        stream : int or str
            Id of the stream.

        Returns
        -------
        calibrator : OnlinePlattCalibrator
            A copy of the state of the stream, to inspect, to pass to ``calibkit.save`` or to
            continue alone. Its ``start`` is where the stream started.
        """
        self._check_started()
        slot = self._streams.known(stream, "stream")
        if len(slot) != 1:
            raise InputError(f"stream holds {len(slot)} ids; expected one. Pass one id.")
        row = self._streams.row(int(slot[0]))
        start, radius = row[START:], float(self.radius)
        if (size := float(np.linalg.norm(start))) > radius:  # by rounding
            start = start * ((1.0 - 1e-12) * radius / size)
        return self._restored(row, self.classes_, tuple(start.tolist()))

    def drop(self, streams: Any) -> MultiStreamCalibrator:
        """Forget streams; ``pooled_`` does not change.

        Parameters
        ----------
        streams : array-like of ids, int or str
            Streams to forget, for instance idle ones. If a forgotten stream gets a label again, it
            starts anew.

        Returns
        -------
        self : MultiStreamCalibrator
            The same calibrator.
        """
        slot = self._streams.known(streams, "streams")
        self._streams = self._streams.without(slot)
        return self

    def merge(self, other: MultiStreamCalibrator) -> MultiStreamCalibrator:
        """Add the streams of another calibrator, which was updated with other rows.

        Parameters
        ----------
        other : MultiStreamCalibrator
            A calibrator with the same parameters, classes and type of ids; it does not change. Its
            waiting forecasts are added too.

        Returns
        -------
        self : MultiStreamCalibrator
            The same calibrator.

        Notes
        -----
        Streams of only one calibrator are copied exactly. Streams of both, and the pooled maps, are
        combined by precision: ``A = A1 + A2 - prior_strength * I``. Counts are added. Slope and
        intercept are the mean of the values toward which the two sides move, weighted by
        ``A - prior_strength * I``; they are moved from the start as far as that number of labels
        moves a stream on average.

        This is an approximation. It is as accurate as an update with the rows of both in turn,
        within the noise of either, but not equal to it. It depends neither on the order of the two
        calibrators nor, except for rounding, on how more than two are grouped.
        """
        self._check_params()
        _check_mate(self, other)
        if not hasattr(other, "pooled_"):
            return self
        pooled = self._pooled()
        pooled._begin(pooled._known_classes(other.classes_))
        settings = pooled._settings()
        with np.errstate(all="ignore"):  # numbers from a file may overflow
            streams = self._streams.merged(other._streams, settings)
            row = _joined(pooled, other.pooled_, settings)
        if not (np.isfinite(streams.rows).all() and np.isfinite(row).all()):
            raise InputError("the combined state overflows; expected finite numbers.")
        waiting = other.pending_.to_dict()
        self.pending_.add(waiting["ids"], np.array(waiting["tickets"], dtype=object))
        self.pooled_, self._streams = self._restored(row[0], other.classes_), streams
        return self

    def _to_dict(self) -> dict[str, Any]:
        self._check_started()
        return _written(self)

    @classmethod
    def _from_dict(cls, data: dict[str, Any], _: Any) -> MultiStreamCalibrator:
        return _from_dict(cls, data)

    # -- implementation ----------------------------------------------------------------------

    def _params(self) -> dict[str, Any]:
        return {k: getattr(self, k) for k in PARAMS}

    def _check_params(self) -> None:
        check_steps(self)
        check_real("eps", self.eps, low=1e-15, high=0.1)
        check_choice("scale", self.scale, get_args(Scale))
        check_int("max_pending", self.max_pending, low=1)

    def _check_started(self, declared: bool = False) -> None:
        if not (hasattr(self, "pooled_") or declared):
            raise no_label_yet(type(self).__name__, "'partial_fit'")

    def _pooled(self) -> OnlinePlattCalibrator:
        """Return a copy of the pooled map with the present parameters, or a new one."""
        if not hasattr(self, "pooled_"):
            return OnlinePlattCalibrator(**self._params(), classes=self.classes)
        pooled = OnlinePlattCalibrator()
        pooled.__dict__ = self.pooled_.__dict__ | self._params()
        return pooled

    def _begin(self, n_classes: int = 2) -> None:
        """Start as other online calibrators do: without labels the classes are 0 and 1."""
        pooled = self._pooled()
        pooled._begin(n_classes=n_classes)
        self.pooled_ = pooled

    def _input_scale(self) -> Scale:
        return self.scale

    def _restored(
        self, row: FloatArray, classes: np.ndarray, start: tuple[float, ...] | None = None
    ) -> OnlinePlattCalibrator:
        """Return a calibrator with the state in a row."""
        out = OnlinePlattCalibrator(**self._params(), classes=self.classes, start=start)
        out._begin(classes)
        out.theta_, out.factor_ = row[:2].copy(), row[2:COUNT].copy()
        out.n_seen_ = float(row[COUNT])
        return out

    def _forecast(
        self, X: Any, stream: Any, *, start: bool = False
    ) -> tuple[FloatArray, FloatArray, np.ndarray, OnlinePlattCalibrator]:
        """Return forecasts, their scores and stream ids, and the pooled map; change nothing."""
        self._check_params()
        self._check_started(start or self.classes is not None)
        pooled = self._pooled()
        pooled._begin()
        classes = pooled.classes_
        s = validate_scores(X, scale=self.scale, allow_empty=True, classes=classes)
        _refuse_many(s)
        keys = self._streams.validate(stream, len(s), like=self.pending_.oldest)
        z = pooled._features(s)[:, 0]
        q = self._streams.forecast(z, keys, pooled.theta_)
        return _columns(q), z, keys, pooled

    def _update(self, X: Any, y: Any, stream: Any) -> FloatArray:
        self._check_params()
        pooled = self._pooled()
        known = pooled._known_classes(self.classes)
        distinct, s, codes = validate_stream(X, y, self.scale, known)
        _refuse_many(s)
        keys = self._streams.validate(stream, len(s), like=self.pending_.oldest)
        pooled._begin(distinct, 2)
        return self._learn(pooled, distinct, pooled._features(s)[:, 0], codes, keys)

    def _learn(
        self, pooled: OnlinePlattCalibrator, distinct: np.ndarray | None, z: FloatArray,
        codes: FloatArray, keys: np.ndarray,
    ) -> FloatArray:  # fmt: skip
        """Forecast and update; the pooled map is kept once its classes are known."""
        state = np.concatenate((pooled.theta_, pooled.factor_))
        pooled._count(codes)
        q = self._streams.learn(z, codes, keys, state, pooled._settings())
        pooled.theta_, pooled.factor_ = state[:2].copy(), state[2:].copy()
        if distinct is not None:
            self.pooled_ = pooled
        return q


def _columns(q: FloatArray) -> FloatArray:
    return np.clip(np.column_stack((1.0 - q, q)), *SUREST)


def _refuse_many(s: Scores) -> None:
    if s.n_classes > 2:
        raise InputError(
            f"Only binary classification is supported: X has {s.n_classes} columns; expected "
            "scores of two classes. Use OnlineTemperatureCalibrator for one stream."
        )


def _check_mate(cal: Any, other: Any) -> None:
    """Raise unless the other calibrator can be merged: it has the same class and parameters."""
    own = type(cal).__name__
    if not isinstance(other, type(cal)):
        raise InputError(f"other is of type {type(other).__name__}; expected {own}.")
    for name in PARAMS:
        mine, theirs = getattr(cal, name), getattr(other, name)
        if mine != theirs:
            raise InputError(
                f"other has {name}={spelled(theirs)} and this calibrator has {spelled(mine)}; "
                "expected the same."
            )
    cal._streams.validate(other.streams_, name="other")
    validate_stream_ids(_some_ids(cal) + _some_ids(other), name="other")


def _some_ids(cal: Any) -> list[Any]:
    """Return ids of a stream and of the oldest waiting forecast; all others have the same type."""
    oldest = cal.pending_.oldest
    return cal.streams_[:1].tolist() + ([] if oldest is None else [oldest[1]])


def _written(cal: MultiStreamCalibrator) -> dict[str, Any]:
    """Return a calibrator of many streams as plain values."""
    declared = None if cal.classes is None else np.asarray(cal.classes).tolist()
    params = {k: v.item() if isinstance(v, np.generic) else v for k, v in cal._params().items()}
    pending = cal.pending_.resized(params["max_pending"]).to_dict()
    return {
        "params": {**params, "classes": declared},
        "classes": cal.classes_.tolist(),
        "pooled": rows_to_dict(_as_row(cal.pooled_)),
        **cal._streams.to_dict(),
        "pending": {**pending, "tickets": [t[:2] for t in pending["tickets"]]},
    }


def _from_dict(cls: type[MultiStreamCalibrator], data: dict[str, Any]) -> MultiStreamCalibrator:
    """Make a calibrator from unchecked values."""
    check_keys(data["params"], {*PARAMS, "classes"}, f"params of {cls.name}")
    out, classes = cls(**data["params"]), validate_two_classes(data["classes"])
    try:
        out._check_params()
    except (TypeError, ValueError) as error:
        raise InputError(f"{cls.__name__}: {message_of(error)}") from error
    if out.classes not in (None, data["classes"]):
        raise InputError("classes differ from those in params; expected the same.")
    out._streams = Streams.from_dict(data)
    what = f"pending of {out.name}"
    out.pending_ = Pending.from_dict(data["pending"], what, _validate_features)
    waiting = [ticket[1] for ticket in data["pending"]["tickets"]]
    with called(part=f": {what}"):
        validate_stream_ids([*data["ids"][:1], *waiting])
    out.pooled_ = out._restored(rows_from_dict(data["pooled"], 1, "pooled")[0], classes)
    try:
        _try_out(out)
    except (ValueError, ArithmeticError) as error:
        raise InputError(f"{message_of(error)}.") from error
    return out


def _try_out(cal: Any) -> None:
    """Raise unless a few of the streams can forecast and update; the calibrator does not change."""
    twin, few = copy(cal), slice(None, 4)
    twin.pooled_, twin.pending_ = copy(cal.pooled_), Pending(1)
    keys = cal._streams.ids[few]
    twin._streams = Streams(keys, cal._streams.rows[few])
    new = "" if keys.dtype == object else -1
    stream = np.array([*keys.tolist(), new], dtype=keys.dtype)
    scores = np.linspace(0.0, 1.0, len(stream))
    labels = cal.classes_.take(np.arange(len(stream)) % 2)
    with np.errstate(all="ignore"):
        check_forecast(twin.predict_then_update(scores, labels, stream))
        check_forecast(twin.predict_proba(scores, stream))


def _as_row(pooled: Any) -> FloatArray:
    """Return the pooled map as one more stream."""
    start = (min(1.0, float(pooled.radius)), 0.0)
    return np.concatenate((pooled.theta_, pooled.factor_, (pooled.n_seen_,), start))[None]


def _joined(
    one: OnlinePlattCalibrator, other: OnlinePlattCalibrator, settings: Settings
) -> FloatArray:
    """Return the row of two pooled maps combined."""
    if one.n_seen_ and other.n_seen_:
        return join(_as_row(one), _as_row(other), settings)
    return _as_row(one if one.n_seen_ else other)


def _tickets_of(z: FloatArray, keys: np.ndarray) -> np.ndarray:
    """Return score and stream id of each waiting forecast."""
    # The None keeps the types: NumPy would turn a number beside a string into text.
    out = np.full((len(z), 3), None, dtype=object)
    out[:, 0], out[:, 1] = z, keys
    return out


def _validate_features(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"{what} has a ticket that is not a score and a stream id.")
    z = number(value[0], what)
    if abs(z) > LIMIT:
        raise InputError(f"{what} holds the score {z}; expected at most {LIMIT}.")
    with called(part=f": {what}"):
        return [z, *validate_stream_ids(value[1:]).tolist(), None]
