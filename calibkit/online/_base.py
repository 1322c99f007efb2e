"""The base class of calibrators that learn from a stream: the only predict-then-learn loop."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any, ClassVar, final

import numpy as np
from sklearn.base import BaseEstimator, clone

from .._core.base import BaseCalibrator, StateKind
from .._core.errors import InputError
from .._core.inputs import check_lengths, validate_scores
from .._core.params import check_int
from .._core.printed import spelled
from .._core.saved import check_forecast
from .._core.scores import Scores
from .._typing import FloatArray, IntArray, Scale, Self
from ._pending import Labeled, LateLabels, Pending, validate_ids
from ._stream_labels import known_classes, no_label_yet, validate_stream


@cache
def _names(cls: Any) -> list[str]:
    return cls._get_param_names()  # slow: it reads the signature


def settings_of(estimator: BaseEstimator, prefix: str = "") -> dict[str, Any]:
    """Parameters as plain values, with those of held estimators; in place of these their class."""
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
    """Base of calibrators that learn row by row: what a subclass writes, and single rows.

    Parameters of the start are kept in mind. At the next update they are checked if they differ:
    one that has shaped the state must be as it was; the others, which a class names in
    ``_changeable``, take effect.
    """

    #: Parameters that may change after the start.
    _changeable: ClassVar[frozenset[str]] = frozenset({"max_pending"})

    max_pending: int
    n_seen_: float
    pending_: Pending

    #: Parameters of the start, with free ones as they were last checked.
    _settings_then: dict[str, Any]
    #: What quick paths compare with to know that nothing has changed since the last check.
    _checked: tuple[Any, ...] | None = None

    # -- what a subclass writes -------------------------------------------------------------

    def _start(self, n_classes: int) -> None:
        """Set the state before any label."""
        raise TypeError(f"{type(self).__name__} must define _start(n_classes).")

    def _features(self, s: Scores) -> FloatArray:
        """What of the scores is used, of shape (n, m)."""
        raise TypeError(f"{type(self).__name__} must define _features(scores).")

    def _forecast(self, x: FloatArray) -> FloatArray:
        """Forecasts, (n,) or (n, K), that change nothing."""
        raise TypeError(f"{type(self).__name__} must define _forecast(x).")

    def _stream(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Forecast each row from the labels before it, then learn its own."""
        raise TypeError(f"{type(self).__name__} must define _stream(x, y).")

    def _pending_features(self, x: FloatArray) -> FloatArray:
        """All that learning a row's label later will need, of shape (n, m')."""
        return x

    def _columns(self, q: FloatArray) -> FloatArray:
        """Forecasts as a column for each class."""
        return q if q.ndim == 2 else np.column_stack((1.0 - q, q))

    def _bounds(self) -> list[tuple[float, float]]:
        """Between what each of the pending features lies; those of files are held to it."""
        raise TypeError(f"{type(self).__name__} must define _bounds().")

    def _learn_batch(self, features: FloatArray, y: FloatArray) -> None:
        """Learn labels of rows that were all forecast before any of these labels came.

        What judges forecasts, to choose among them or to repair them, judges those kept.
        """
        self._stream(features, y)

    # -- what others give -------------------------------------------------------------------

    def _begin(self) -> None:
        """Start the state if there is none yet, with classes 0 and 1 unless they are declared."""
        raise TypeError(f"{type(self).__name__} must define _begin().")

    def _now(self, start: bool = False) -> Any:
        now = super()._now()
        if not hasattr(now, "classes_"):
            now = deepcopy(now)  # a start may draw a seed: not from what the user holds
            if start:
                now._begin()
            else:
                now._ensure_fitted()
        return now

    # -- single rows ------------------------------------------------------------------------

    def predict_proba_one(self, x: float) -> float:
        """Probability of the larger class for one score; needs no array and no start.

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
            If the score is not of the kind described.
        """
        now = self._now(start=True)
        q = now._columns(now._forecast(now._features(now._one(x))))
        if q.shape[1] > 2:
            raise InputError("more than two classes; use predict_proba.")
        return float(q[0, 1])

    def learn_one(self, x: float, y: Any) -> SteppingCalibrator:
        """Learn the label of one score.

        Parameters
        ----------
        x : float
            A score.
        y : label
            A member of the classes, which are 0 and 1 unless declared; None or NaN is skipped.

        Returns
        -------
        self : OnlineCalibrator
            The same calibrator.

        Raises
        ------
        ValueError
            If the score or the label is not of the kind described.
        """
        code = self._code(y)
        if code is None:
            self._update([x], [y], None, "learn_one")
            return self  # nothing to learn, a start, or an error to word
        with self._unchanged_on_error():
            self._check_changes()
            self._stream(self._features(self._one(x)), np.array([code]))
            self.n_seen_ += 1.0
        return self

    def _one(self, x: float) -> Scores:
        """One score, without the checks that arrays need."""
        if isinstance(x, (str, bytes)):
            raise InputError(f"x is {spelled(x)}; expected a score.")
        scale = self._input_scale()
        high, low = (1.0, 0.0) if scale == "probability" else (1e100, -1e100)
        if isinstance(x, (float, int)) and low <= x <= high and len(self.classes_) == 2:
            return Scores(np.array([x], dtype=np.float64), scale)
        return self._validate_scores([x])

    def _code(self, y: Any) -> float | None:
        """Code of a label of two classes, None for all that takes a closer look."""
        if not hasattr(self, "classes_") or len(self.classes_) != 2:
            return None
        no, yes = self.classes_.tolist()
        try:
            return 1.0 if y == yes else 0.0 if y == no else None
        except (TypeError, ValueError):  # pandas' NA, an array
            return None

    # -- changes on the way ------------------------------------------------------------------

    def set_params(self, **params: Any) -> SteppingCalibrator:
        """Set parameters; after the start they are checked at the next update.

        Parameters
        ----------
        **params
            Parameters by name. One that has shaped the state can't change after the start: the
            next update refuses it.

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
        """Check parameters that are not those of the start, and let those that may take effect."""
        then, now = self._settings_then, settings_of(self)
        if now != then:
            self._check_params()
            for name in {**then, **now}:
                if name not in self._changeable and now.get(name) != then.get(name):
                    raise InputError(
                        f"{name}={spelled(now.get(name))} has changed since the start; expected "
                        f"{spelled(then.get(name))}. Use fit, or a new calibrator."
                    )
            self._settings_then = now
        if self.pending_.room != self.max_pending:
            self.pending_ = self.pending_.resized(self.max_pending)

    def _twin(self, trial: bool = False) -> SteppingCalibrator:
        """A copy whose learning leaves this one as it was; what is not replaced is shared.

        One that is only to be tried out need not do what takes long.
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
    """Base of calibrators that forecast a row, then learn its label, for as long as rows come.

    To write one, subclass and implement ``_start(n_classes)``, ``_features(scores)``,
    ``_forecast(x)``, ``_stream(x, y)`` and ``_bounds()``; labels in ``y`` are codes, NaN where
    missing. ``_state`` begins with ``**OnlineCalibrator._state``, and ``_traits`` holds "online".
    Arrays of state are replaced, never changed in place, so that a failed update leaves no trace.
    Name in ``_changeable`` what parameters may change after the start.

    Parameters
    ----------
    scale : {"probability", "logit"}, default="probability"
        What the scores are.
    classes : array-like, optional
        The class labels in sorted order.
    max_pending : int, default=100_000
        How many forecasts may wait for their labels.

    Attributes
    ----------
    n_seen_ : float
        Labels learnt.
    pending_ : object
        Forecasts that wait for their labels.
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    Examples
    --------
    The forecast is the rate of events so far, whatever the score:

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
        """Raise if it can't go on from state read from a file; it stays as it is."""
        twin = self._twin(trial=True)
        x = twin._features(s)
        check_forecast(twin._stream(x, np.arange(len(x), dtype=np.float64) % 2.0))
        if (features := self.pending_.oldest) is not None:
            twin._learn_batch(np.array([features]), np.ones(1))
        check_forecast(twin._calibrate(s))

    def _pending_from_dict(self, value: Any, what: str) -> Pending:
        """The forecasts that wait, read from a file."""
        return Pending.from_dict(value, what)

    # -- what a user calls ------------------------------------------------------------------

    def fit(self, X: Any, y: Any) -> Self:  # type: ignore[override]
        """Forget everything, then learn these rows in order.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores, as in :meth:`BaseCalibrator.fit`.
        y : array-like of shape (n,)
            Labels of both classes. There are no weights: the order of rows matters here.

        Returns
        -------
        self : OnlineCalibrator
            The fitted calibrator.

        Raises
        ------
        ValueError
            If the data are not of the kind described; the calibrator stays as it was.
        """
        super().fit(X, y)
        return self

    @final
    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Learn rows whose labels came together, after all of them had been forecast.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores; no rows are allowed too.
        y : array-like of shape (n,)
            Labels; None or NaN where there is none, which is skipped.
        classes : array-like, optional
            All class labels in sorted order. Needed in the first call only, if its labels are not
            0 and 1 and hold one class only.

        Returns
        -------
        self : OnlineCalibrator
            The same calibrator.

        Raises
        ------
        ValueError
            If the data are not of the kind described; the calibrator stays as it was.

        Notes
        -----
        It goes with ``predict_proba`` of the same rows before it: the two are ``forecast`` and
        ``label`` of rows that are at hand. Steps are taken row by row, in order, but what judges
        forecasts (the weights of :class:`AdaptivePlattCalibrator`, the bins of calibeating) judges
        those that were possible before this call, not those that the first rows would have
        improved for the last. Where each label is known before the next forecast is due, use
        :meth:`predict_then_update`, or give rows one by one. A calibrator that has not started
        learns as in :meth:`fit`: nobody has seen its forecasts.
        """
        self._update(X, y, classes, "partial_fit")
        return self

    @final
    def predict_then_update(self, X: Any, y: Any, classes: Any = None) -> FloatArray:
        """Forecast every row from the labels before it, and learn: a whole stream in one call.

        For rows whose label is known before the next forecast is due. Where labels come in batches
        the forecasts are those of ``predict_proba``, and :meth:`partial_fit` learns.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores in the order of time.
        y : array-like of shape (n,)
            Labels; None or NaN where there is none.
        classes : array-like, optional
            As in :meth:`partial_fit`.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Row t uses labels before t only; cutting the stream into calls changes nothing.

        Raises
        ------
        ValueError
            If the data are not of the kind described; the calibrator stays as it was.
        """
        return self._columns(self._update(X, y, classes, "predict_then_update"))

    @final
    def forecast(self, ids: Any, X: Any) -> FloatArray:
        """Forecast rows whose labels come later, and keep what learning them will need.

        Parameters
        ----------
        ids : array-like of shape (n,)
            An int or string for each row, by which its label will come. An id that is still
            waiting is given the newer forecast.
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            The forecasts.

        Raises
        ------
        ValueError
            If the data are not of the kind described.

        Notes
        -----
        A calibrator that has seen no label starts as the scores, with classes 0, 1, ... unless
        they are declared. At most ``max_pending`` forecasts wait; the oldest are dropped first, and
        ``pending_.n_dropped`` counts them.
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

    # -- how it is done ---------------------------------------------------------------------

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
                s = self._validate_scores(X)  # words the error
            x = self._features(s)
            q: FloatArray = np.empty(0)
            if method == "partial_fit" and not first and len(codes) > 1:
                self._learn_batch(self._pending_features(x), codes)
            else:
                q = self._stream(x, codes)
            self._count(codes)
            if distinct is None and first:  # no label yet, and no classes: nothing is settled
                for name in ("classes_", *self._state):
                    del self.__dict__[name]
        return q

    def _known_classes(self, given: Any) -> np.ndarray | None:
        """Classes known already, which those given must equal."""
        given = known_classes(given)
        declared = known_classes(self.classes)
        for known in (getattr(self, "classes_", None), declared):
            if known is not None:
                if given is not None and not np.array_equal(given, known):
                    raise InputError(
                        f"classes={spelled(given.tolist())} on a calibrator of the classes "
                        f"{spelled(known.tolist())}; expected the same."
                    )
                return known
        return given

    def _begin(self, classes: np.ndarray | None = None, n_classes: int = 2) -> None:
        """Start the state if there is none yet; without labels the classes are 0 and 1."""
        if hasattr(self, "classes_"):
            return
        if classes is None:
            declared = known_classes(self.classes)
            classes = np.arange(n_classes) if declared is None else declared
        if len(classes) != n_classes:
            raise InputError(
                f"X has scores of {n_classes} classes and there are labels of {len(classes)} "
                f"({spelled(classes.tolist()[:10])}); expected as many. If a class is missing from "
                "these rows, name them all in classes=[...]."
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
        # A stream may start without a frame: its names are those of the first one it is given.
        known = hasattr(self, "feature_names_in_")
        if take or known:
            super()._check_names(X, take and not known)

    def _count(self, codes: FloatArray) -> None:
        self.n_seen_ += float(np.count_nonzero(codes == codes))

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        if w is not None and (w != w[0]).any():
            own = type(self).__name__
            raise InputError(
                f"sample_weight holds different weights; expected none, since {own} learns rows in "
                "their order, one step for each. Leave sample_weight out."
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
    """Base of online calibrators around another calibrator, which knows the scale of the scores."""

    _traits: ClassVar[frozenset[str]] = frozenset({"online", "wrapper"})

    calibrator: Any

    def _inner(self) -> Any:
        """What is wrapped, not started."""
        return self.calibrator

    @property
    def scale(self) -> Scale:  # type: ignore[override]
        """What the scores are: as the wrapped calibrator has it."""
        return self._inner().scale

    def _input_scale(self) -> Scale:
        return self._inner()._input_scale()

    def _set_scale(self, scale: Scale) -> Self:
        return self.set_params(calibrator=clone(self._inner())._set_scale(scale))
