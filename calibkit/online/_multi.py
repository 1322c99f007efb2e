"""Many streams at once: one online Platt calibrator for each tenant, project or model."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from .._core.inputs import check_lengths, read_scores
from .._core.provenance import Traced
from .._core.scores import Scores
from .._numerics.multistream import COUNT, START, join
from .._typing import FloatArray, IntArray, Scale, Self
from ._multi_state import (
    KEYS,
    PARAMS,
    as_row,
    check_mate,
    check_params,
    read_into,
    tickets_of,
    written,
)
from ._pending import Labeled, LateLabels, Pending, read_ids
from ._resolution import SUREST
from ._scaling import OnlinePlattCalibrator
from ._stream_labels import read_stream, read_stream_labels
from ._streams import Streams


class MultiStreamCalibrator(LateLabels, Traced, BaseEstimator):
    """Online Platt scaling of many streams: a million tenants in one object, in arrays.

    Use it where each tenant, project or model has labels of its own but few of them: a new stream
    starts from what all streams together have learnt, and leaves it as its own labels tell. For
    one stream take :class:`OnlinePlattCalibrator`, which is what each stream here is.

    Parameters
    ----------
    gamma : float, default=0.1
        Steps are ``1 / gamma`` times the Newton step: smaller follows faster.
    prior_strength : float, default=100.0
        How firmly a new stream holds to the pooled estimate it starts from.
    radius : float, default=100.0
        Slope and intercept stay in the ball of this radius.
    discount : float, default=1.0
        Factor in (0, 1] on the memory of a stream's Newton matrix at each of its labels.
    eps : float, default=1e-5
        Scores nearer to 0 or 1 are taken as this far; log-odds likewise.
    scale : {"probability", "logit"}, default="probability"
        What the scores are. Margins of ``decision_function`` count as logits.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Forecasts that may wait for labels; the oldest are dropped first.

    Attributes
    ----------
    pooled_ : OnlinePlattCalibrator
        All rows as one stream. It forecasts for groups without labels.
    groups_ : ndarray of shape (n_streams_,)
        Ids of the streams, in the order of their first labels.
    n_streams_ : int
        Streams that have seen a label.
    theta_ : ndarray of shape (n_streams_, 2)
        Slope and intercept of each.
    counts_ : ndarray of shape (n_streams_,)
        Labels each has seen.
    classes_ : ndarray of shape (2,)
        Class labels.
    n_seen_ : float
        Labels seen.
    pending_ : Pending
        Forecasts that wait for labels.
    nbytes : int
        Memory of the streams and the index of their ids.

    Raises
    ------
    ValueError
        In ``partial_fit`` and the like: bad data. The calibrator stays as it was.

    Notes
    -----
    A stream is born by its first label, at the slope and intercept that ``pooled_`` has at that
    moment, with the Newton matrix ``prior_strength * I``. From then on its forecasts are, bit for
    bit, those of ``OnlinePlattCalibrator(start=..., eps=1e-5)`` fed with its rows alone. The pooled
    estimate learns every row, in order. A label that comes late is learnt when it comes, by
    ``partial_fit`` with the score it belongs to, or by :meth:`label` with its id.

    A stream does not leave the start it was given when the pooled estimate learns better. Where
    all streams begin at once, let past rows warm it up: ``cal.partial_fit(...)`` and then
    ``cal.drop(cal.groups_)``. Started so, with a larger ``prior_strength`` (1000), streams that
    differ little come nearer their optimum than the pooled estimate does.

    A stream takes 64 bytes, one cache line, and its id 14 more if it is an int below some 4
    million, 20 if it is larger, about 100 if it is a string. In batches of 10^5 rows of a million
    streams at random a row takes .07 us with Numba, two Newton steps and all checks included, and
    .8 us without. Strings, which have to be looked up one by one, add .5 us or more.

    It is no :class:`BaseCalibrator`: one map from scores to probabilities is not what it is, and
    scikit-learn's methods have no place for ``group``. ``calibkit.save`` and :class:`Journal`
    take it all the same; :meth:`calibrator` gives one stream alone.

    Any number of threads may read while another learns; they wait for a batch that is under way.
    Save and copy it from the thread that learns.

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML. Algorithm 1.
    E. Hazan, A. Agarwal, S. Kale (2007). Logarithmic regret algorithms for online convex
    optimization. Machine Learning 69.

    Examples
    --------
    A thousand tenants of one over-confident model. One that is new gains from the others.

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
    _keys: ClassVar[tuple[str, ...]] = KEYS
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
        self._pending = Pending(max_pending)

    # -- learning and forecasting -----------------------------------------------------------

    def partial_fit(self, X: Any, y: Any, group: Any) -> Self:
        """Learn rows, in order.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores; no rows are allowed too.
        y : array-like of shape (n,)
            Labels; None or NaN where there is none, which is skipped.
        group : array-like of shape (n,), int or str
            The stream of each row, by an int or a string, or one for all rows. All ids of a
            calibrator are of one kind.

        Returns
        -------
        self : MultiStreamCalibrator
            The same calibrator.

        Raises
        ------
        ValueError
            If the data are not of the kind described; the calibrator stays as it was.
        """
        self._update(X, y, group, "partial_fit")
        return self

    def predict_then_update(self, X: Any, y: Any, group: Any) -> FloatArray:
        """Forecast every row from the labels before it, and learn.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores in the order of time.
        y : array-like of shape (n,)
            Labels; None or NaN where there is none.
        group : array-like of shape (n,), int or str
            The stream of each row, as in :meth:`partial_fit`.

        Returns
        -------
        proba : ndarray of shape (n, 2)
            Row t uses labels before t only; cutting the rows into calls changes nothing.

        Raises
        ------
        ValueError
            If the data are not of the kind described; the calibrator stays as it was.
        """
        return _columns(self._update(X, y, group, "predict_then_update"))

    def predict_proba(self, X: Any, group: Any) -> FloatArray:
        """Calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores.
        group : array-like of shape (n,), int or str
            The stream of each row; those without labels are forecast by ``pooled_``.

        Returns
        -------
        proba : ndarray of shape (n, 2)
            Columns follow ``classes_``.

        Raises
        ------
        ValueError
            If the data are not of the kind described.
        sklearn.exceptions.NotFittedError
            If there was no label yet and ``classes`` were not declared.
        """
        return self._forecast(X, group, f"{type(self).__name__}.predict_proba")[0]

    def forecast(self, ids: Any, X: Any, group: Any) -> FloatArray:
        """Forecast rows whose labels come later, and keep what learning them will need.

        Parameters
        ----------
        ids : array-like of shape (n,)
            An int or string for each row, by which its label will come. An id that is still
            waiting is given the newer forecast.
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores.
        group : array-like of shape (n,), int or str
            The stream of each row, as in :meth:`partial_fit`.

        Returns
        -------
        proba : ndarray of shape (n, 2)
            The forecasts. Without any label so far they are the scores, and the classes are 0
            and 1 unless declared.

        Raises
        ------
        ValueError
            If the data are not of the kind described; the calibrator stays as it was.
        """
        where = f"{type(self).__name__}.forecast"
        waiting = read_ids(ids, where)
        q, z, keys, pooled = self._forecast(X, group, where, start=True)
        check_lengths(len(z), len(waiting), where, ("X", "ids"))
        self.pooled_, self._pending.room = pooled, self.max_pending
        self._pending.add(waiting, tickets_of(z, keys))
        return q

    def label(self, ids: Any, y: Any) -> Labeled:
        where = f"{type(self).__name__}.label"
        self._check_params()
        self._check_started(self.classes is not None)
        pooled, waiting = self._pooled(), read_ids(ids, where)
        known = pooled._known_classes(self.classes, where)
        _, codes = read_stream_labels(y, classes=known, where=where)
        check_lengths(len(codes), len(waiting), where, ("y", "ids"))
        places, features, report = self._pending.find(waiting)
        if not places:
            return report
        keys = self._streams.read(features[:, 1].tolist(), where)
        self._learn(pooled, known, features[:, 0].astype(np.float64), codes[places], keys)
        self._pending.remove(waiting[i] for i in places)
        return report._replace(n_learned=int(np.count_nonzero(~np.isnan(codes[places]))))

    # -- the streams ------------------------------------------------------------------------

    @property
    def n_streams_(self) -> int:
        return len(self._streams)

    @property
    def groups_(self) -> np.ndarray:
        return self._streams.ids

    @property
    def theta_(self) -> FloatArray:
        return self._streams.rows[:, :2].copy()

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
    def pending_(self) -> Pending:
        return self._pending

    @property
    def nbytes(self) -> int:
        return self._streams.nbytes

    def calibrator(self, group: Any) -> OnlinePlattCalibrator:
        """One stream as a calibrator of its own.

        Parameters
        ----------
        group : int or str
            Its id.

        Returns
        -------
        calibrator : OnlinePlattCalibrator
            In the state of the stream, and not shared with it: for inspection, for
            ``calibkit.save``, or to go on alone. Its ``start`` is where the stream started.

        Raises
        ------
        ValueError
            If there is no such stream.
        """
        where = f"{type(self).__name__}.calibrator"
        self._check_started()
        slot = self._streams.known(group, where, "group")
        if len(slot) != 1:
            raise ValueError(f"{where}: group holds {len(slot)} ids; expected one.")
        row = self._streams.rows[slot[0]]
        start, radius = row[START:], float(self.radius)
        if (size := float(np.linalg.norm(start))) > radius:  # by rounding
            start = start * ((1.0 - 1e-12) * radius / size)
        return self._restored(row, self.classes_, tuple(start.tolist()))

    def drop(self, groups: Any) -> MultiStreamCalibrator:
        """Forget streams; what ``pooled_`` learnt from them stays.

        Parameters
        ----------
        groups : array-like of ids, int or str
            Streams to forget, for instance those that are idle. Should one of them come again it
            starts anew.

        Returns
        -------
        self : MultiStreamCalibrator
            The same calibrator.

        Raises
        ------
        ValueError
            If one of them is not known; nothing is forgotten then.
        """
        slot = self._streams.known(groups, f"{type(self).__name__}.drop", "groups")
        self._streams = self._streams.without(slot)
        return self

    def merge(self, other: MultiStreamCalibrator) -> MultiStreamCalibrator:
        """Take in the streams of another calibrator, which learnt from other rows.

        Parameters
        ----------
        other : MultiStreamCalibrator
            Of the same parameters, classes and kind of ids. It stays as it is. Forecasts that
            wait in it wait here too.

        Returns
        -------
        self : MultiStreamCalibrator
            The same calibrator.

        Raises
        ------
        ValueError
            If the two don't fit together; the calibrator stays as it was.

        Notes
        -----
        Streams of only one of the two are taken as they are, exactly. Streams of both, and the
        pooled estimates, are joined by precision: ``A = A1 + A2 - prior_strength * I``; counts add
        up; slope and intercept are the mean of those that the two sides head for, weighted by
        ``A - prior_strength * I``, and moved from the start as far as so many labels move a stream
        on average. That is an approximation: as good as to have learnt the rows of both in turn,
        within the noise of either, but not the same. It depends neither on the order of the two
        nor, beyond rounding, on how more than two are put together.

        The products of Gaussians, ``A theta = A1 theta1 + A2 theta2 - A0 start``, would move twice
        as far as they should: with ``gamma = 0.1`` a stream comes near its optimum while A is
        still about A0.
        """
        where = f"{type(self).__name__}.merge"
        self._check_params()
        check_mate(self, other, where)
        if not hasattr(other, "pooled_"):
            return self
        self._pooled()._known_classes(other.classes_, where)
        settings = self._pooled()._settings()
        row = as_row(other.pooled_)
        with np.errstate(all="ignore"):  # what a file holds may overflow
            streams = self._streams.merged(other._streams, settings, where)
            if hasattr(self, "pooled_") and self.pooled_.n_seen_:
                mine = as_row(self.pooled_)
                row = join(mine, row, settings) if row[0, COUNT] else mine
        if not (np.isfinite(streams.rows).all() and np.isfinite(row).all()):
            raise ValueError(f"{where}: the sums overflow; expected streams of ordinary sizes.")
        self.pooled_, self._streams = self._restored(row[0], other.classes_), streams
        waiting = other._pending.to_dict()
        self._pending.add(waiting["ids"], np.array(waiting["tickets"], dtype=object))
        return self

    def _to_dict(self) -> dict[str, Any]:
        self._check_started()
        return written(self)

    @classmethod
    def _from_dict(cls, data: dict[str, Any], _: Any) -> MultiStreamCalibrator:
        made: MultiStreamCalibrator = read_into(cls, data)
        return made

    # -- how it is done ---------------------------------------------------------------------

    def _check_params(self) -> None:
        check_params(self)

    def _check_started(self, declared: bool = False) -> None:
        if not (hasattr(self, "pooled_") or declared):
            own = type(self).__name__
            raise NotFittedError(
                f"This {own} instance has seen no label yet and does not know its classes. Call "
                f"'partial_fit' first, or start it as {own}(classes=[0, 1])."
            )

    def _platt(self, start: tuple[float, ...] | None = None) -> OnlinePlattCalibrator:
        params = {k: getattr(self, k) for k in PARAMS}
        return OnlinePlattCalibrator(**params, classes=self.classes, start=start)

    def _pooled(self) -> OnlinePlattCalibrator:
        """A copy of the pooled estimate with the parameters of now, a new one where none is."""
        if not hasattr(self, "pooled_"):
            return self._platt()
        pooled = OnlinePlattCalibrator()
        pooled.__dict__ = self.pooled_.__dict__.copy()
        for name in PARAMS:
            setattr(pooled, name, getattr(self, name))
        return pooled

    def _begin(self, n_classes: int = 2) -> None:
        """As of other online calibrators: without labels the classes are 0 and 1."""
        pooled = self._pooled()
        pooled._begin(n_classes=n_classes, where=type(self).__name__)
        self.pooled_ = pooled

    def _input_scale(self) -> Scale:
        return self.scale

    def _restored(
        self, row: FloatArray, classes: np.ndarray, start: tuple[float, ...] | None = None
    ) -> OnlinePlattCalibrator:
        """A calibrator in the state of a row."""
        out = self._platt(start)
        out._begin(classes)
        out.theta_, out.factor_ = row[:2].copy(), row[2:COUNT].copy()
        out.n_seen_ = float(row[COUNT])
        return out

    def _scores(self, X: Any, where: str, classes: np.ndarray) -> Scores:
        s = read_scores(X, scale=self.scale, where=where, allow_empty=True, classes=classes)
        return self._binary(s, where)

    def _binary(self, s: Scores, where: str) -> Scores:
        if s.n_classes > 2:
            raise ValueError(
                f"{where}: Only binary classification is supported: X has {s.n_classes} columns; "
                "expected the scores of two classes."
            )
        return s

    def _forecast(
        self, X: Any, group: Any, where: str, *, start: bool = False
    ) -> tuple[FloatArray, FloatArray, np.ndarray, OnlinePlattCalibrator]:
        """Forecasts, the scores and ids they are of, and the pooled estimate; none is kept."""
        self._check_params()
        self._check_started(start or self.classes is not None)
        pooled = self._pooled()
        pooled._begin(where=where)
        s = self._scores(X, where, pooled.classes_)
        keys = self._streams.read(group, where, len(s), like=self._pending.oldest)
        z = pooled._features(s)[:, 0]
        q = self._streams.forecast(z, keys, pooled.theta_)
        return _columns(q), z, keys, pooled

    def _update(self, X: Any, y: Any, group: Any, method: str) -> FloatArray:
        where = f"{type(self).__name__}.{method}"
        self._check_params()
        pooled = self._pooled()
        known = pooled._known_classes(self.classes, where)
        found, s, codes = read_stream(X, y, self.scale, known, where)
        self._binary(s, where)
        keys = self._streams.read(group, where, len(s), like=self._pending.oldest)
        pooled._begin(found, 2, where)
        return self._learn(pooled, found, pooled._features(s)[:, 0], codes, keys)

    def _learn(
        self, pooled: OnlinePlattCalibrator, found: np.ndarray | None, z: FloatArray,
        codes: FloatArray, keys: np.ndarray,
    ) -> FloatArray:  # fmt: skip
        """Forecast and learn; the pooled estimate is kept once its classes are found."""
        state = np.concatenate((pooled.theta_, pooled.factor_))
        pooled._count(codes)
        q = self._streams.learn(z, codes, keys, state, pooled._settings())
        pooled.theta_, pooled.factor_ = state[:2].copy(), state[2:].copy()
        if found is not None:
            self.pooled_ = pooled
        return q


def _columns(q: FloatArray) -> FloatArray:
    return np.clip(np.column_stack((1.0 - q, q)), *SUREST)
