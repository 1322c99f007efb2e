"""The base class of online calibrators: forecast a row, then update with its label."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any, ClassVar, final

import numpy as np
from sklearn.base import BaseEstimator, clone

from .._core.base import BaseCalibrator, StateKind
from .._core.errors import InputError
from .._core.inputs import check_lengths, validate_scores
from .._core.params import check_int, with_hints
from .._core.printed import few, spelled
from .._core.saved import check_forecast
from .._core.scores import Scores
from .._numerics.links import two_columns
from .._typing import FloatArray, IntArray, Scale, Self
from ._pending import Labeled, LateLabels, Pending, validate_ids
from ._stream_labels import known_classes, no_label_yet, validate_stream


@cache
def _names(cls: Any) -> list[str]:
    return cls._get_param_names()  # slow: it reads the signature


def settings_of(estimator: BaseEstimator, prefix: str = "") -> dict[str, Any]:
    """Return all parameters, nested ones included, as plain values; an estimator as its class."""
    out: dict[str, Any] = {}
    kind: Any = type(estimator)
    for name in _names(kind):
        value, key = getattr(estimator, name), prefix + name
        if isinstance(value, BaseEstimator):
            out[key] = type(value)
            out |= settings_of(value, f"{key}__")
        elif hasattr(value, "tolist"):
            out[key] = value.tolist()
        else:
            out[key] = list(value) if isinstance(value, (list, tuple)) else value
    return out


class SteppingCalibrator(BaseCalibrator):
    """Base of calibrators that update row by row: what a subclass defines; calls for single rows.

    Parameters are recorded at the start. Each update compares them with their present values: a
    parameter named in ``_changeable`` takes its new value, any other must not have changed.
    """

    #: Parameters that may change after the start.
    _changeable: ClassVar[frozenset[str]] = frozenset({"max_pending"})

    max_pending: int
    n_seen_: float
    pending_: Pending

    #: Parameters at the start; those that may change, as last checked.
    _settings_then: dict[str, Any]
    #: Parameters at the last check: fast paths compare with them.
    _checked: tuple[Any, ...] | None = None

    # -- what a subclass defines ------------------------------------------------------------

    def _start(self, n_classes: int) -> None:
        """Set the state before any label."""
        raise TypeError(f"{type(self).__name__} must define _start(n_classes).")

    def _features(self, s: Scores) -> FloatArray:
        """Return what the calibrator uses of the scores, of shape (n, m)."""
        raise TypeError(f"{type(self).__name__} must define _features(scores).")

    def _forecast(self, x: FloatArray) -> FloatArray:
        """Return forecasts, (n,) or (n, K), and change nothing."""
        raise TypeError(f"{type(self).__name__} must define _forecast(x).")

    def _stream(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Forecast each row from the labels before it, then update with its label."""
        raise TypeError(f"{type(self).__name__} must define _stream(x, y).")

    def _pending_features(self, x: FloatArray) -> FloatArray:
        """Return all that a later update with a row's label needs, of shape (n, m')."""
        return x

    def _columns(self, q: FloatArray) -> FloatArray:
        """Return forecasts with one column per class."""
        return q if q.ndim == 2 else two_columns(q)

    def _bounds(self) -> list[tuple[float, float]]:
        """Return the allowed range of each pending feature, to check those of a file."""
        raise TypeError(f"{type(self).__name__} must define _bounds().")

    def _learn_batch(self, features: FloatArray, y: FloatArray) -> None:
        """Update with labels of rows that were all forecast before any of these labels was known.

        Weights and bins use the forecasts that were made for these rows.
        """
        self._stream(features, y)

    # -- defined by OnlineCalibrator --------------------------------------------------------

    def _begin(self) -> None:
        """Initialize the state if there is none, with classes 0 and 1 unless classes are given."""
        raise TypeError(f"{type(self).__name__} must define _begin().")

    def _now(self, start: bool = False) -> Any:
        now = super()._now()
        if not hasattr(now, "classes_"):
            now = deepcopy(now)  # a start may draw a seed; the user's generator stays as it is
            if start:
                now._begin()
            else:
                now._ensure_fitted()
        return now

    # -- single rows ------------------------------------------------------------------------

    def predict_proba_one(self, x: float) -> float:
        """Return the probability of the larger class for one score, without making an array.

        Before the first label the classes are 0 and 1, unless ``classes`` is set.

        Parameters
        ----------
        x : float
            A score.

        Returns
        -------
        p : float
            The forecast.

        Raises
        ------
        ValueError
            If the score is invalid, or if there are more than two classes.
        """
        now = self._now(start=True)
        q = now._columns(now._forecast(now._features(now._one(x))))
        if q.shape[1] > 2:
            raise InputError(
                f"the calibrator has {q.shape[1]} classes; expected two. Use predict_proba."
            )
        return float(q[0, 1])

    def learn_one(self, x: float, y: Any) -> SteppingCalibrator:
        """Update with the label of one score.

        Parameters
        ----------
        x : float
            A score.
        y : label
            One of the classes, which are 0 and 1 unless ``classes`` is set. None or NaN is skipped.

        Returns
        -------
        self : OnlineCalibrator
            The same calibrator.

        Raises
        ------
        ValueError
            If the score or the label is invalid; the calibrator does not change.
        """
        code = self._code(y)
        if code is None:
            self._update([x], [y], None, "learn_one")
            return self  # a missing label, the first label, or an error
        with self._unchanged_on_error():
            self._check_changes()
            self._stream(self._features(self._one(x)), np.array([code]))
            self.n_seen_ += 1.0
        return self

    def _one(self, x: float) -> Scores:
        """Return one score as ``Scores``, without the checks that arrays need."""
        if isinstance(x, (str, bytes)):
            raise InputError(f"x is {spelled(x)}; expected a number. Pass float(x).")
        scale = self._input_scale()
        high, low = (1.0, 0.0) if scale == "probability" else (1e100, -1e100)
        if isinstance(x, (float, int)) and low <= x <= high and len(self.classes_) == 2:
            return Scores(np.array([x], dtype=np.float64), scale)
        return self._validate_scores([x])

    def _code(self, y: Any) -> float | None:
        """Return the code of a label of two classes, or None if the label needs the full checks."""
        classes = self.__dict__.get("classes_")
        if classes is None or len(classes) != 2:
            return None
        no, yes = classes.tolist()
        try:
            return 1.0 if y == yes else 0.0 if y == no else None
        except (TypeError, ValueError):  # NA of pandas, or an array
            return None

    # -- changes of parameters ---------------------------------------------------------------

    def set_params(self, **params: Any) -> SteppingCalibrator:
        """Set parameters; after the first update, the next update checks them.

        Parameters
        ----------
        **params
            Parameters by name. Some can't change after the start, for instance the number of bins;
            the next update then raises an error.

        Returns
        -------
        self : OnlineCalibrator
            The same calibrator.
        """
        self._checked = None
        super().set_params(**params)
        return self

    def _note_settings(self) -> None:
        self._settings_then, self._checked = settings_of(self), None

    def _check_changes(self) -> None:
        """Check parameters that changed since the start, and apply those that may change."""
        then, now = self._settings_then, settings_of(self)
        if now != then:
            self._check_params()
            for name in {**then, **now}:
                if name not in self._changeable and now.get(name) != then.get(name):
                    raise InputError(
                        f"{name}={spelled(now.get(name))} has changed since the start; expected "
                        f"{spelled(then.get(name))}. Set it back, or call fit to start again."
                    )
            self._settings_then = now
        if self.pending_.room != self.max_pending:
            self.pending_ = self.pending_.resized(self.max_pending)

    def _twin(self, trial: bool = False) -> SteppingCalibrator:
        """Return a copy whose updates leave this calibrator unchanged; unchanged parts are shared.

        With ``trial`` the copy skips slow steps.
        """
        twin = object.__new__(type(self))
        twin.__dict__ = {**self.__dict__, **self._held(trial)}
        return twin

    def _held(self, trial: bool = False) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, kind in self._state.items():
            held = self.__dict__.get(name)
            if kind == "calibrators" and held is not None:
                out[name] = [_twin_of(c, trial) for c in held]
            elif kind == "calibrator" and held is not None:
                out[name] = _twin_of(held, trial)
        return out


def _twin_of(held: Any, trial: bool) -> Any:
    return held._twin(trial) if isinstance(held, SteppingCalibrator) else held


class OnlineCalibrator(LateLabels, SteppingCalibrator):
    """Base class of online calibrators, which forecast a row and later update with its label.

    Use a subclass from :mod:`calibkit.online`, whose page tells how to choose one, how to call it
    and what happens before the first label. Subclass this class to write a new method.

    A subclass defines ``_start(n_classes)``, ``_features(scores)``, ``_forecast(x)``,
    ``_stream(x, y)`` and ``_bounds()``. Labels in ``y`` are codes 0, 1, ..., or NaN if missing.
    ``_state`` begins with ``**OnlineCalibrator._state``, and ``_traits`` contains "online". Replace
    arrays of the state, never change them in place, so that a failed update changes nothing.
    Parameters that may change after the start are named in ``_changeable``.

    Parameters
    ----------
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds.
    classes : array-like, optional
        The class labels in sorted order. Required to predict before the first label.
    max_pending : int, default=100_000
        Maximum number of forecasts that wait for their labels; the oldest are dropped first.

    Attributes
    ----------
    n_seen_ : float
        Number of labels that updated the calibrator.
    pending_ : object
        Forecasts that wait for their labels; ``len(pending_)`` is their number.
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    Examples
    --------
    This calibrator ignores the score and forecasts the event rate so far.

    >>> import numpy as np
    >>> from calibkit.base import OnlineCalibrator
    >>> class RunningRate(OnlineCalibrator):
    ...     name = "running_rate"
    ...     _state = {**OnlineCalibrator._state, "events_": "float", "labels_": "float"}
    ...
    ...     def _start(self, n_classes):
    ...         self.events_, self.labels_ = 1.0, 2.0
    ...
    ...     def _features(self, s):
    ...         return s.probs()[:, None]
    ...
    ...     def _forecast(self, x):
    ...         return np.full(len(x), self.events_ / self.labels_)
    ...
    ...     def _stream(self, x, y):
    ...         known = np.isfinite(y)
    ...         events = self.events_ + np.cumsum(np.where(known, y, 0.0))
    ...         labels = self.labels_ + np.cumsum(known)
    ...         q = np.append(self.events_, events) / np.append(self.labels_, labels)
    ...         if len(y):
    ...             self.events_, self.labels_ = float(events[-1]), float(labels[-1])
    ...         return q[:-1]
    ...
    ...     def _bounds(self):
    ...         return [(0.0, 1.0)]
    >>> RunningRate().predict_then_update([0.5, 0.5, 0.5], [1, 1, 0])[:, 1].round(2)
    array([0.5 , 0.67, 0.75])
    """

    _state: ClassVar[dict[str, StateKind]] = {"n_seen_": "float", "pending_": "pending"}
    _traits: ClassVar[frozenset[str]] = frozenset({"online"})

    n_seen_: float

    def __init__(
        self, *, scale: Scale = "probability", classes: Any = None, max_pending: int = 100_000
    ) -> None:
        super().__init__(scale=scale, classes=classes)
        self.max_pending = max_pending

    def _check_params(self) -> None:
        super()._check_params()
        check_int("max_pending", self.max_pending, low=1)

    def _check_state(self) -> None:
        if not 0 <= self.n_seen_ <= 2**53 or self.n_seen_ != int(self.n_seen_):
            raise ValueError(f"n_seen_={spelled(self.n_seen_)}; expected a count")
        self.pending_.check(self._bounds())
        self._note_settings()

    def _try_to_learn(self, s: Scores) -> None:
        """Raise if a state read from a file can't be updated; it is not changed."""
        twin = self._twin(trial=True)
        x = twin._features(s)
        check_forecast(twin._stream(x, np.arange(len(x), dtype=np.float64) % 2.0))
        if (features := self.pending_.oldest) is not None:
            twin._learn_batch(np.array([features]), np.ones(1))
        check_forecast(twin._calibrate(s))

    def _pending_from_dict(self, value: Any, what: str) -> Pending:
        """Return the waiting forecasts of a file."""
        return Pending.from_dict(value, what)

    # -- public methods --------------------------------------------------------------------

    @with_hints
    def fit(self, X: Any, y: Any) -> Self:  # type: ignore[override]
        """Reset the calibrator, then update with these rows in order.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores, as in :meth:`BaseCalibrator.fit`.
        y : array-like of shape (n,)
            Labels, of all classes. Sample weights are not supported.

        Returns
        -------
        self : OnlineCalibrator
            The fitted calibrator.

        Raises
        ------
        ValueError
            If the data are invalid; the calibrator does not change.
        """
        super().fit(X, y)
        return self

    @final
    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Update with a batch of labels, whose rows were all forecast before the first was known.

        Use it after ``predict_proba`` of the same rows. If each label is known before the next
        forecast, use :meth:`predict_then_update`.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores; n may be 0.
        y : array-like of shape (n,)
            Labels; None or NaN is skipped.
        classes : array-like, optional
            All class labels in sorted order. Required in the first call if its labels are all of
            one class other than 0 or 1.

        Returns
        -------
        self : OnlineCalibrator
            The same calibrator.

        Raises
        ------
        ValueError
            If the data are invalid; the calibrator does not change.

        Notes
        -----
        The parameters are updated row by row. The weights of :class:`AdaptivePlattCalibrator` and
        the bins of tracking and hedging use the forecasts from before this call, which are those
        that users saw. The first call of a new calibrator works like :meth:`fit`: no forecasts were
        seen before it.
        """
        self._update(X, y, classes, "partial_fit")
        return self

    @final
    def predict_then_update(self, X: Any, y: Any, classes: Any = None) -> FloatArray:
        """Forecast each row from the labels before it, then update with its label.

        Use it if each label is known before the next forecast, for instance to replay a past
        stream.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores in time order.
        y : array-like of shape (n,)
            Labels; None or NaN is skipped.
        classes : array-like, optional
            As in :meth:`partial_fit`.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            The forecasts. Splitting a stream into several calls does not change them.

        Raises
        ------
        ValueError
            If the data are invalid; the calibrator does not change.
        """
        return self._columns(self._update(X, y, classes, "predict_then_update"))

    @final
    def forecast(self, ids: Any, X: Any) -> FloatArray:
        """Forecast rows whose labels arrive late, and keep what :meth:`label` will need.

        Before the first label the classes are 0, 1, ... unless ``classes`` is set. At most
        ``max_pending`` forecasts wait; ``pending_.n_dropped`` counts those that were dropped,
        oldest first.

        Parameters
        ----------
        ids : array-like of shape (n,)
            An int or string for each row, to be passed to :meth:`label` with its label. Use a new
            id for each row. If an id still waits for its label, the newer forecast replaces the
            older one, with a warning.
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            The forecasts.

        Raises
        ------
        ValueError
            If the data are invalid; the calibrator does not change.

        Warns
        -----
        ReplacedForecastWarning
            If an id is repeated or still waits for its label.
        """
        keys = validate_ids(ids)
        with self._unchanged_on_error():
            if not hasattr(self, "classes_"):
                given = validate_scores(X, scale=self._input_scale(), allow_empty=True)
                self._begin(n_classes=given.n_classes)
            self._check_changes()
            self._check_names(X, take=True)
            s = self._validate_scores(X)
            check_lengths(len(s), len(keys), ("X", "ids"))
            x = self._features(s)
            forecast, features = self._forecast(x), self._pending_features(x)
            self.pending_.add(keys, features)
        return self._columns(forecast)

    @final
    def label(self, ids: Any, y: Any) -> Labeled:
        with self._unchanged_on_error():
            self._ensure_fitted()
            self._check_changes()
            keys, features, codes, report = self.pending_.find(ids, y, self.classes_)
            if keys:
                self._learn_batch(features, codes)
                self._count(codes)
                self.pending_.remove(keys)
        return report

    # -- implementation ----------------------------------------------------------------------

    def _update(self, X: Any, y: Any, classes: Any, method: str) -> FloatArray:
        with self._unchanged_on_error():
            first = not hasattr(self, "classes_")
            if first:
                self._check_params()
            else:
                self._check_changes()
            self._check_names(X, take=True)
            known = self._known_classes(classes)
            distinct, s, codes = validate_stream(X, y, self._input_scale(), known)
            if first:
                self._begin(distinct, s.n_classes)
            elif s.n_classes != len(self.classes_):
                s = self._validate_scores(X)  # raises
            x = self._features(s)
            q: FloatArray = np.empty(0)
            if method == "partial_fit" and not first and len(codes) > 1:
                self._learn_batch(self._pending_features(x), codes)
            else:
                q = self._stream(x, codes)
            self._count(codes)
            if distinct is None and first:  # neither labels nor classes yet: not started
                for name in ("classes_", *self._state):
                    del self.__dict__[name]
        return q

    def _known_classes(self, given: Any) -> np.ndarray | None:
        """Return the known classes, if any; raise if those passed differ from them."""
        given = known_classes(given)
        declared = known_classes(self.classes)
        for known in (getattr(self, "classes_", None), declared):
            if known is not None:
                if given is not None and not np.array_equal(given, known):
                    raise InputError(
                        f"classes={spelled(given.tolist())}, but the calibrator has the classes "
                        f"{spelled(known.tolist())}; expected the same. Leave classes out."
                    )
                return known
        return given

    def _begin(self, classes: np.ndarray | None = None, n_classes: int = 2) -> None:
        """Initialize the state if there is none; without labels the classes are 0 and 1."""
        if hasattr(self, "classes_"):
            return
        if classes is None:
            declared = known_classes(self.classes)
            classes = np.arange(n_classes) if declared is None else declared
        if len(classes) != n_classes:
            do = "If a class is missing from these rows, pass all class labels: classes=[...]."
            if len(classes) > n_classes:
                do = "Pass one column of scores for each class."
            raise InputError(
                f"X has scores of {n_classes} classes and the labels have {len(classes)} "
                f"({few(classes)}); expected the same number. {do}"
            )
        if n_classes > 2 and "multiclass" not in self._traits:
            raise InputError(
                "Only binary classification is supported. The type of the target is multiclass: "
                f"found {n_classes} classes. Use OnlineTemperatureCalibrator."
            )
        self._check_params()
        self.classes_ = classes
        self._reset(n_classes)

    def _reset(self, n_classes: int) -> None:
        self.n_seen_ = 0.0
        self.pending_ = Pending(self.max_pending)
        self._start(n_classes)
        self._note_settings()

    def _check_names(self, X: Any, take: bool = False) -> None:
        # A stream may start with arrays: the first data frame sets the feature names.
        known = hasattr(self, "feature_names_in_")
        if take or known:
            super()._check_names(X, take and not known)

    def _count(self, codes: FloatArray) -> None:
        self.n_seen_ += float(np.count_nonzero(codes == codes))

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        if w is not None and (w != w[0]).any():
            own = type(self).__name__
            raise InputError(
                f"sample_weight holds different weights; expected none: {own} makes one step for "
                "each row. Leave sample_weight out."
            )
        self._reset(s.n_classes)
        self._stream(self._features(s), y.astype(np.float64))
        self.n_seen_ = float(len(y))

    def _predict(self, s: Scores) -> FloatArray:
        return self._forecast(self._features(s))

    def _ensure_fitted(self) -> None:
        if hasattr(self, "classes_"):
            return
        if self.classes is None:
            raise no_label_yet(type(self).__name__, "'fit' or 'partial_fit'")
        self._begin(n_classes=len(self.classes))


class WrappingCalibrator(OnlineCalibrator):
    """Base of online calibrators around another calibrator, which has the ``scale``."""

    _traits: ClassVar[frozenset[str]] = frozenset({"online", "wrapper"})

    calibrator: Any

    def _inner(self) -> Any:
        """Return the wrapped calibrator, as given."""
        return self.calibrator

    @property
    def scale(self) -> Scale:  # type: ignore[override]
        """Return the scale of the scores: that of the wrapped calibrator."""
        return self._inner().scale

    def _input_scale(self) -> Scale:
        return self._inner()._input_scale()

    def _set_scale(self, scale: Scale) -> Self:
        self._check_params()
        return self.set_params(calibrator=clone(self._inner())._set_scale(scale))
