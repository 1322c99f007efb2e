"""The base class of every calibrator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, final, get_args

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._numerics.links import largest
from .._typing import FloatArray, IntArray, Scale, Self
from .certification import Certificate, Settings, certify_counts, counts_of
from .columns import column_names, match_columns
from .errors import InputError
from .inputs import (
    Rows,
    check_lengths,
    match_classes,
    refuse_swapped,
    validate_rows,
    validate_scores,
)
from .labels import validate_classes, validate_labels
from .params import check_choice
from .printed import spelled
from .provenance import Provenance, Traced, provenance
from .scores import Scores
from .warnings import MissingClassWarning, ScaleWarning, warn


class Snapshots:
    """What a calibrator shows to other threads, and to its caller after an error."""

    def _snapshot(self) -> Any:
        """This calibrator as it is, or was when a change began that is under way."""
        state = self.__dict__.copy()
        return state.get("_kept") or _with_state(self, state)

    def _now(self) -> Any:
        """What reads read: no other thread changes it."""
        return self._snapshot()

    def _held(self) -> dict[str, Any]:
        """Copies of what it holds and what learns with it, by attribute."""
        return {}

    def _state_of_earlier_files(self) -> dict[str, Any]:
        """Learned attributes that files of earlier releases lack, as they hold them then."""
        return {}

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Keep this calibrator as it is for those who read, and for good if the call fails."""
        if "_kept" in self.__dict__:  # inside of such a call
            yield
            return
        kept = _with_state(self, self.__dict__)
        self.__dict__ = {**kept.__dict__, **self._held(), "_kept": kept}
        try:
            yield
        except BaseException:
            self.__dict__ = kept.__dict__
            raise
        del self.__dict__["_kept"]

    def __getstate__(self) -> Any:
        parent: Any = super(Snapshots, self._snapshot())
        return parent.__getstate__()


def _with_state(calibrator: Snapshots, state: dict[str, Any]) -> Any:
    """Another object of its class in this state."""
    new = object.__new__(type(calibrator))
    new.__dict__ = state
    return new


#: Kinds of learned attributes; persistence writes and checks them by these names.
StateKind = Literal["float", "flag", "vector", "calibrator", "calibrators", "pending"]


class BaseCalibrator(ClassifierMixin, Traced, Snapshots, BaseEstimator):
    """Base of all calibrators: a classifier whose features are another classifier's scores.

    To write one, subclass it; ``docs/write_your_own.md`` goes through it step by step.

    Parameters
    ----------
    scale : {"probability", "logit"}, default="probability"
        What the scores are.
    classes : array-like, optional
        The class labels in sorted order.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    Notes
    -----
    - ``name``: small letters and underscores, for files and the command line.
    - ``_state``: a dict from each learned attribute, whose name ends in ``_``, to its kind:
      "float", "flag" (a bool), "vector" (1-D array of floats), "calibrator" or "calibrators"
      (fitted ones of two classes; a list of them may hold None). Files hold these and nothing else.
    - ``_traits``: a frozenset of promises that :mod:`calibkit.testing` then checks, such as
      "monotone", "strict", "mean_preserving", "piecewise_constant"; "multiclass" if it takes K
      columns of scores, "soft_labels" if weighted rows may stand for fractions, "wrapper" if it
      can't be made without another calibrator.
    - ``_fit(s, y, w)`` sets the learned attributes from :class:`Scores`, codes 0..K-1 and positive
      weights, or None for ones. ``_predict(s)`` gives P(class 1) or (n, K), and changes nothing.
    - ``_check_params()`` raises on bad hyper-parameters, the base's first; ``_check_state()``, when
      a file is read, raises ValueError on state that ``_fit`` could not have set.

    Examples
    --------
    >>> from calibkit.base import BaseCalibrator
    >>> class BaseRate(BaseCalibrator):
    ...     name = "base_rate"
    ...     _state = {"rate_": "float"}
    ...
    ...     def _fit(self, s, y, w):
    ...         self.rate_ = float(y.mean() if w is None else (w @ y) / w.sum())
    ...
    ...     def _predict(self, s):
    ...         return 0.0 * s.probs() + self.rate_
    >>> BaseRate().fit([0.1, 0.8, 0.7], ["no", "no", "yes"]).predict_proba([0.4]).round(2)
    array([[0.67, 0.33]])
    """

    #: Name in the registry, on the command line and in JSON files.
    name: ClassVar[str]
    #: Learned attributes and their kinds: all that a fitted calibrator knows beside its classes.
    _state: ClassVar[dict[str, StateKind]]
    #: What becomes of the probabilities of a class that ``fit`` has no rows of.
    _without_rows: ClassVar[str] = "nothing shows how well their probabilities are calibrated"
    #: Properties the test suite may rely on: "monotone", "mean_preserving", "multiclass", ...
    _traits: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, *, scale: Scale = "probability", classes: Any = None) -> None:
        self.scale = scale
        self.classes = classes

    # -- what a subclass writes -------------------------------------------------------------

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        raise TypeError(f"{type(self).__name__} must define _fit(scores, y, w).")

    def _predict(self, s: Scores) -> FloatArray:
        raise TypeError(f"{type(self).__name__} must define _predict(scores).")

    def _check_params(self) -> None:
        """Check the hyper-parameters; subclasses extend it."""
        check_choice("scale", self.scale, get_args(Scale))
        if self.classes is not None:
            validate_classes(self.classes)

    def _check_state(self) -> None:
        """Check that learned attributes fit together; called on state read from a file."""

    @classmethod
    def _examples(cls) -> Iterator[BaseCalibrator]:
        """Instances that the test suite runs its batteries on."""
        yield cls()

    def _set_scale(self, scale: Scale) -> BaseCalibrator:
        """Set the scale of the scores to come; lifts hand it on."""
        return self.set_params(scale=scale)

    def _input_scale(self) -> Scale:
        """Scale of the scores; lifts ask the calibrator they lift."""
        return self.scale

    def _learn_clip(self, s: Scores) -> Scores:
        """Scores with the clip to fit with, which is learnt if the map is of log-odds."""
        return s

    def _clipped(self, s: Scores) -> Scores:
        """Scores with the clip learnt in fit."""
        return s

    def _narrow_clip(self) -> None:
        """Clip nearer, after the fit, if a score within the clip would be answered by 0 or 1."""

    def _mark_cross_fitted(self) -> None:
        """Take note that the scores of ``fit`` came from several classifiers."""
        for name, kind in self._state.items():
            held = getattr(self, name) if kind in ("calibrator", "calibrators") else []
            for calibrator in held if isinstance(held, list) else [held]:
                if calibrator is not None:
                    calibrator._mark_cross_fitted()

    def _n_outputs(self) -> int | None:
        """How many values the map can take, if finitely many: its errors can then be certified."""
        return None

    def _certify(self, s: Scores, codes: IntArray, settings: Settings) -> Certificate:
        """What labels prove: of P(larger class), or for K classes of the largest probability."""
        proba = self._predict_scores(s)
        if proba.shape[1] > 2:
            winners, confidence = largest(proba)
            right = (winners == codes).view(np.int8)
            counts = counts_of(np.minimum(confidence, 1.0), right)
            return certify_counts(counts, settings, kind="top_label")
        n_outputs = self._n_outputs()
        if n_outputs is not None and settings.finite is None:
            settings = settings._replace(finite=True)
        counts = counts_of(proba[:, 1], codes.astype(np.int8))
        return certify_counts(counts, settings, n_outputs)

    # -- what a user calls ------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn the map from scores to calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores of a classifier on rows it was not trained on: probabilities in [0, 1]
            (rows of two or more columns sum to one), or log-odds if ``scale="logit"``.
            One column holds the scores of the larger class label.
        y : array-like of shape (n,)
            True labels of any kind: ints, bools, strings. Platt, temperature and beta scaling and
            isotonic regression of two classes also take fractions k/n in [0, 1], for instance of
            repeated trials that succeeded.
        sample_weight : array-like of shape (n,), optional
            Weights >= 0; a weight of 2 counts as two rows, a weight of 0 as none. Of fractions
            give ``sample_weight=n`` where n differs, or where its size matters (smoothed targets,
            ``l2``, the floor of isotonic regression).

        Returns
        -------
        self : BaseCalibrator
            The fitted calibrator.

        Raises
        ------
        ValueError
            If the data are not of the kind described; a calibrator that was fitted before
            stays as it was.

        Notes
        -----
        Floats between 0 and 1 are fractions once one of them is neither; ``classes_`` is then
        [0, 1], or as given, and the fractions are of the larger class. A fraction f of weight w
        is fitted as two rows, label 1 of weight w f and label 0 of weight w (1 - f), so the fit
        to k/n with ``sample_weight=n`` is the fit to k rows of label 1 and n - k of label 0.

        Threads may predict while one fits: they use the old map until the new one is whole.
        """
        with self._unchanged_on_error():
            self._check_params()
            self.__dict__.pop("feature_names_in_", None)
            self._check_names(X, take=True)
            scale = self._input_scale()
            soft, classes = "soft_labels" in self._traits, self.classes
            rows = validate_rows(X, y, sample_weight, scale=scale, classes=classes, soft=soft)
            match_classes(rows)
            warn_of_scale(rows.scores)
            self._fit_rows(rows)
            self._fitted_on = trace(rows, learns=bool(self._state))
        return self

    @final
    def predict_proba(self, X: Any) -> FloatArray:
        """Calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores on the scale the calibrator was fitted with.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Rows sum to one; columns follow ``classes_``.

        Raises
        ------
        ValueError
            If the scores are not of the kind described in :meth:`fit`.
        sklearn.exceptions.NotFittedError
            If the calibrator is not fitted.
        """
        now = self._now()
        return now._predict_scores(now._validate_scores(X))

    @final
    def predict(self, X: Any) -> np.ndarray:
        """The class of the largest calibrated probability.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores on the scale the calibrator was fitted with.

        Returns
        -------
        labels : ndarray of shape (n,)
            Members of ``classes_``.
        """
        now = self._now()
        proba = now._predict_scores(now._validate_scores(X))
        return now.classes_[proba.argmax(axis=1)]

    @final
    def certify(
        self,
        X: Any,
        y: Any,
        level: float = 0.9,
        *,
        finite: bool | None = None,
        n_bins: int = 15,
        random_state: Any = 0,
    ) -> Certificate:
        """What held-out rows prove of the calibrated probabilities: bounds of their error.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores of rows that were not used in ``fit``.
        y : array-like of shape (n,)
            Their labels.
        level : float, default=0.9
            Confidence with which all bounds hold at once.
        finite : bool, optional
            Whether there are finitely many outputs. Default: known of calibrators with bins,
            otherwise by whether the rows share their probabilities.
        n_bins : int, default=15
            Equal-mass bins of the lower bound where outputs are continuous.
        random_state : int, RandomState, Generator or None, default=0
            Seed of the simulated labels behind that lower bound.

        Returns
        -------
        certificate : Certificate
            Bounds of the errors of P(larger class); for K classes of the confidence in the winning
            class, of :class:`OneVsRestCalibrator` of every class by itself, as
            ``predict_classwise`` gives it. Prints as a sentence.

        Raises
        ------
        ValueError
            If the data are not of the kind described.

        Examples
        --------
        >>> import numpy as np
        >>> from calibkit import ScalingBinningCalibrator
        >>> rng = np.random.default_rng(0)
        >>> p = rng.random(60_000)
        >>> y = rng.random(60_000) < p
        >>> cal = ScalingBinningCalibrator(n_bins=10).fit(p[:10_000], y[:10_000])
        >>> cal.certify(p[10_000:], y[10_000:]).l2[1] < 0.03
        True
        """
        now = self._now()
        s = now._validate_scores(X)
        try:
            _, codes = validate_labels(y, classes=now.classes_)
        except ValueError:
            refuse_swapped(X, y, ("X", "y"))
            raise
        check_lengths(len(s), len(codes), ("X", "y"))
        if len(s) == 0:
            raise InputError("X has 0 sample(s); expected held-out rows.")
        return now._certify(s, codes, Settings(level, finite, n_bins, random_state))

    # -- what compositions call -------------------------------------------------------------

    @final
    def _fit_rows(self, rows: Rows) -> BaseCalibrator:
        """Fit on rows that are checked already."""
        if rows.scores.n_classes > 2 and "multiclass" not in self._traits:
            _refuse_many(rows.scores.n_classes, type(self).__name__)
        if rows.scores.n_classes == 2 and rows.y.min() == rows.y.max():
            _refuse_one_class(rows)
        self.classes_ = rows.classes
        self._check_classes(rows)
        s = rows.scores._without_tiny()
        self._fit(self._learn_clip(s), rows.y, rows.w)
        self._narrow_clip()
        return self

    def _check_classes(self, rows: Rows) -> None:
        """Say which of K classes have no rows to learn from; in a stream they may come later."""
        k = rows.scores.n_classes
        if k == 2 or not self._state or "online" in self._traits:
            return
        missing = rows.classes[np.bincount(rows.y, minlength=k) == 0]
        if len(missing):
            warn(
                f"no rows of {len(missing)} of {k} classes (first: "
                f"{spelled(missing[:5].tolist())}); {self._without_rows}.",
                MissingClassWarning,
            )

    @final
    def _calibrate(self, s: Scores) -> FloatArray:
        """Calibrated (n,) or (n, K) probabilities for checked scores."""
        return self._predict(self._clipped(s))

    @final
    def _predict_scores(self, s: Scores) -> FloatArray:
        """Probabilities of every class for checked scores."""
        q = self._calibrate(s)
        if q.ndim == 2:
            return q
        out = np.empty((len(q), 2))
        np.subtract(1.0, q, out=out[:, 0])
        out[:, 1] = q
        return out

    def _ensure_fitted(self) -> None:
        check_is_fitted(self, "classes_")

    def _check_names(self, X: Any, take: bool = False) -> None:
        """Check the names of a frame's columns, or take them for those to come.

        Columns that are called after the classes may come in any order, but not without names
        once their order in ``fit`` was another than that of the classes.
        """
        names = column_names(X)
        if not take and hasattr(self, "classes_"):
            known: Any = getattr(self, "feature_names_in_", names)
            order = None if known is None else match_columns(known, self.classes_, what="X")
            if order is not None and names is not None and set(names) == set(known):
                return
            if order is not None and order != sorted(order) and names is None:
                raise InputError(
                    f"the columns of fit were read by their names, {spelled(list(known))}, and "
                    "these have none; expected a frame of the same names. For columns in the "
                    "order of classes_: pandas.DataFrame(X, columns=classes_)."
                )
        if names is None or (not take and names == list(getattr(self, "feature_names_in_", ()))):
            return
        validate_data(self, X, skip_check_array=True, ensure_2d=False, reset=take)
        if take and not hasattr(self, "feature_names_in_") and {type(n) for n in names} == {str}:
            self.feature_names_in_ = np.array(names, dtype=object)  # polars, scikit-learn 1.6

    @final
    def _validate_scores(self, X: Any) -> Scores:
        self._ensure_fitted()
        self._check_names(X)
        known: Any = {"n_classes": len(self.classes_), "classes": self.classes_}
        scale = self._input_scale()
        return validate_scores(X, scale=scale, allow_empty=True, **known)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = "multiclass" in self._traits
        return tags


def trace(rows: Rows, learns: bool = True) -> Provenance:
    """That of a fit to these rows, hashed unless nothing is learnt from them."""
    return provenance(len(rows.y), *((rows.scores.values, rows.y) if learns else ()))


def _refuse_many(n_classes: int, own: str) -> None:
    raise InputError(
        "Only binary classification is supported. The type of the target is multiclass: X has "
        f"{n_classes} columns; expected the scores of two classes. Lift it: "
        f"OneVsRestCalibrator({own}()) for all classes, or TopLabelCalibrator({own}()) for the "
        "winning one."
    )


def _refuse_one_class(rows: Rows) -> None:
    label = rows.classes.tolist()[rows.y[0]]
    raise InputError(
        f"y holds one class only, {spelled(label)}; expected rows of both classes "
        f"{spelled(rows.classes.tolist())}. Collect data of the other class."
    )


def warn_of_scale(s: Scores) -> None:
    """Logits of many rows that all lie in [0, 1] or [0, 100] are probably something else."""
    if s.scale != "logit" or len(s) < 50:
        return
    first = s.values[:50]
    if first.min() < 0 or (first.ndim == 2 and np.abs(first.sum(axis=1) - 1).max() > 1e-3):
        return
    low, high = s.values.min(), s.values.max()
    if low >= 0 and high <= 1 and low < high:
        looks, instead = "probabilities", "use scale='probability'"
    elif low >= 0 and 50 < high <= 100 and low < high:
        looks, instead = "percentages", "divide by 100 and use scale='probability'"
    else:
        return
    warn(
        f"all {len(s)} scores lie in [{low:.3g}, {high:.3g}] though scale='logit'; if they are "
        f"{looks} {instead}.",
        ScaleWarning,
    )
