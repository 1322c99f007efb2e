"""The base class of every calibrator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, final, get_args

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._numerics.links import largest, two_columns
from .._typing import FloatArray, IntArray, Scale, Self
from .arrays import is_dask, predicted
from .certification import Certificate, Settings, certify_rows
from .certified_groups import grouping
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
from .params import check_choice, with_hints
from .partitions import Partitions, meta_of, predicted_parts, refuse_dask
from .printed import few, spelled
from .provenance import Provenance, Traced, provenance
from .scores import Scores
from .warnings import MissingClassWarning, SaturatedScoresWarning, ScaleWarning, silent, warn


class Snapshots:
    """Consistent copies of a calibrator for other threads, and its restoration after an error."""

    def _snapshot(self) -> Any:
        """A copy of this calibrator: as it is, or as it was before a change in progress."""
        state = self.__dict__.copy()
        return state.get("_kept") or _with_state(self, state)

    def _now(self) -> Any:
        """The copy that predictions use: no other thread changes it."""
        return self._snapshot()

    def _held(self) -> dict[str, Any]:
        """Copies of the held objects that change while it learns, by attribute."""
        return {}

    def _state_of_earlier_files(self) -> dict[str, Any]:
        """Values of learned attributes that files of earlier releases lack."""
        return {}

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Show the old state to other threads during a change, and restore it after an error."""
        if "_kept" in self.__dict__:  # nested call
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


class Hooks:
    """What some calibrators define beside ``_fit`` and ``_predict``."""

    def _learn_clip(self, s: Scores) -> Scores:
        """Scores with the clipping distances for the fit; calibrators of log-odds learn them."""
        return s

    def _clipped(self, s: Scores) -> Scores:
        """Scores with the clipping distances learned in fit."""
        return s

    def _narrow_clip(self) -> None:
        """After the fit, clip more if a clipped score would get an output of 0 or 1."""

    def _fit_parts(self, parts: Partitions) -> None:
        """The same as ``_fit``, by sums of the partitions of Dask collections."""

    def _check_saturation(self, parts: Partitions) -> None:
        """Warn if many scores were clipped."""


def fit_partitions(calibrator: BaseCalibrator, given: tuple[Any, ...], soft: bool) -> None:
    """Fit to Dask collections of scores, labels and weights."""
    if type(calibrator)._fit_parts is Hooks._fit_parts:
        refuse_dask(type(calibrator).__name__)
    calibrator._check_names(meta_of(given[0]), take=True)
    scale, classes = calibrator._input_scale(), calibrator.classes
    parts = Partitions(*given, scale=scale, classes=classes, soft=soft)
    warn_of_scale(*parts.head)
    calibrator._take_classes(parts.shown)
    with silent(SaturatedScoresWarning):
        parts.clip(calibrator._learn_clip(parts.extremes).clip)
    calibrator._check_saturation(parts)
    calibrator._fit_parts(parts)
    calibrator._narrow_clip()
    calibrator._fitted_on = provenance(parts.n)


#: Kinds of attributes that hold calibrators.
_HOLDING = ("calibrator", "calibrators", "whole")
#: Kinds of learned attributes; persistence writes and checks them by these names.
StateKind = Literal["float", "flag", "vector", "calibrator", "calibrators", "whole", "pending"]


class BaseCalibrator(Hooks, ClassifierMixin, Traced, Snapshots, BaseEstimator):
    """Base class of all calibrators: classifiers whose input is another classifier's scores.

    To write your own calibrator, derive a class from it; ``docs/write_your_own.md`` shows each
    step.

    Parameters
    ----------
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds (logits).
    classes : array-like, optional
        All class labels in sorted order; needed if some classes have no rows in ``fit``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    Notes
    -----
    A subclass defines:

    - ``name``: lowercase letters, digits and underscores, for files and the command line.
    - ``_state``: a dict from each learned attribute (its name ends in ``_``) to its kind: "float",
      "flag" (a bool), "vector" (1-D array of floats), "calibrator" (a fitted calibrator of two
      classes), "calibrators" (a list of those, or None) or "whole" (a fitted calibrator of all
      classes, or None). Files contain these attributes only.
    - ``_traits``: a frozenset of properties, which :mod:`calibkit.testing` checks: "monotone" (a
      higher score never gives a lower probability), "strict" (different scores get different
      probabilities), "mean_preserving" (the mean output on the fitting rows is the base rate),
      "piecewise_constant" (fewer distinct outputs than scores). "multiclass": it takes K columns.
      "soft_labels": ``y`` may hold fractions. "wrapper": it needs another calibrator.
    - ``_fit(s, y, w)`` sets the learned attributes from :class:`Scores`, class codes 0..K-1, and
      positive weights or None. ``_predict(s)`` returns P(class 1) of shape (n,), or (n, K)
      probabilities, and changes nothing.
    - ``_check_params()`` (optional) raises an error for invalid parameters; call that of the base
      class first. ``_check_state()`` (optional) is called when a file is loaded, and raises
      ValueError for values that ``_fit`` can't produce.

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
    #: Learned attributes and their kinds; a fitted calibrator has these and ``classes_``.
    _state: ClassVar[dict[str, StateKind]]
    #: End of the warning about classes without rows.
    _without_rows: ClassVar[str] = "their calibration can't be checked"
    #: Properties that the checks test: "monotone", "mean_preserving", "multiclass", ...
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
        """Check the parameters; subclasses extend it."""
        check_choice("scale", self.scale, get_args(Scale))
        if self.classes is not None:
            validate_classes(self.classes)

    def _check_state(self) -> None:
        """Check that the learned attributes are consistent, when a file is loaded."""

    @classmethod
    def _examples(cls) -> Iterator[BaseCalibrator]:
        """Instances that the test suite checks."""
        yield cls()

    def _set_scale(self, scale: Scale) -> BaseCalibrator:
        """Set the scale of the scores; wrappers set it in the calibrator that they hold."""
        return self.set_params(scale=scale)

    def _input_scale(self) -> Scale:
        """Scale of the scores; wrappers return that of the calibrator that they hold."""
        return self.scale

    def _mark_cross_fitted(self) -> None:
        """Record that the scores of ``fit`` came from several classifiers."""
        for name, kind in self._state.items():
            held = getattr(self, name) if kind in _HOLDING else []
            for calibrator in held if isinstance(held, list) else [held]:
                if calibrator is not None:
                    calibrator._mark_cross_fitted()

    def _n_outputs(self) -> int | None:
        """Number of possible outputs; None if there are infinitely many."""
        return None

    def _certify(self, s: Scores, codes: IntArray, settings: Settings) -> Certificate:
        """Bound the errors of P(larger class), or for K classes of the largest probability."""
        proba = self._predict_scores(s)
        if proba.shape[1] > 2:
            winners, confidence = largest(proba)
            right = (winners == codes).view(np.int8)
            return certify_rows(np.minimum(confidence, 1.0), right, settings, kind="top_label")
        n_outputs = self._n_outputs()
        if n_outputs is not None and settings.finite is None:
            settings = settings._replace(finite=True)
        return certify_rows(proba[:, 1], codes.astype(np.int8), settings, n_outputs)

    # -- what a user calls ------------------------------------------------------------------

    @with_hints
    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Fit the map from scores to calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores of a classifier on held-out rows, which it was not trained on: probabilities in
            [0, 1] (rows of two or more columns sum to one), or log-odds if ``scale="logit"``.
            A single column contains the scores of the larger class label.
        y : array-like of shape (n,)
            True labels: ints, bools or strings. With two classes, calibrators that fit a curve,
            such as :class:`AutoCalibrator`, also accept fractions k/n in [0, 1], such as the share
            of n trials that succeeded.
        sample_weight : array-like of shape (n,), optional
            Sample weights >= 0; a weight of 2 counts as two rows, a weight of 0 as none. For
            fractions k/n pass ``sample_weight=n`` if n varies, or if the number of trials matters
            (smoothed targets, ``l2``, ``min_probability`` of isotonic regression).
        groups : array-like of shape (n,), optional
            Group of each row, such as the patient or the problem. :class:`AutoCalibrator` and other
            calibrators that weigh rows against a prior count rows of one group as fewer rows,
            since they depend on each other. All others ignore the groups.

        Returns
        -------
        self : BaseCalibrator
            The fitted calibrator.

        Raises
        ------
        ValueError
            If the data are invalid. A calibrator that was already fitted is then unchanged.

        Notes
        -----
        Float labels in [0, 1] are read as fractions if at least one of them is not 0 or 1. They
        are then fractions of the larger class, and ``classes_`` is [0, 1] unless ``classes`` is
        given. A fraction f with weight w is fitted as two rows: label 1 with weight w f and label 0
        with weight w (1 - f). So k/n with ``sample_weight=n`` gives the same fit as k rows with
        label 1 and n - k rows with label 0.

        Other threads may predict during a fit: they use the old map until the fit is complete.

        Some calibrators take Dask arrays, series and data frames for X, y and the weights, all in
        the same partitions, and are fitted by sums of the partitions: ``docs/any_amount.md``.
        """
        with self._unchanged_on_error():
            self._check_params()
            self.__dict__.pop("feature_names_in_", None)
            scale, given = self._input_scale(), (X, y, sample_weight, groups)
            soft, classes = "soft_labels" in self._traits, self.classes
            if any(map(is_dask, given)):
                fit_partitions(self, given, soft)
                return self
            self._check_names(X, take=True)
            rows = validate_rows(*given, scale=scale, classes=classes, soft=soft)
            match_classes(rows)
            warn_of_scale(rows.scores)
            self._fit_rows(rows)
            self._fitted_on = trace(rows, learns=bool(self._state))
        return self

    @final
    def predict_proba(self, X: Any) -> FloatArray:
        """Return the calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores on the scale that was used in ``fit``.

        Returns
        -------
        proba : ndarray of shape (n, n_classes), or an array of the library of ``X``
            Rows sum to one; columns follow ``classes_``. For a Dask collection it is a lazy array,
            or a data frame with a column for each class.

        Raises
        ------
        ValueError
            If the scores are invalid; :meth:`fit` describes valid ones.
        sklearn.exceptions.NotFittedError
            If the calibrator is not fitted.
        """
        return _predicted(self, X)

    @final
    def predict(self, X: Any) -> np.ndarray:
        """Return the class with the largest calibrated probability.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores on the scale that was used in ``fit``.

        Returns
        -------
        labels : ndarray of shape (n,), or an array of the library of ``X``
            Members of ``classes_``.
        """
        return _predicted(self, X, labels=True)

    @final
    @with_hints
    def certify(
        self,
        X: Any,
        y: Any,
        level: float = 0.9,
        *,
        finite: bool | None = None,
        n_bins: int = 15,
        random_state: Any = 0,
        groups: Any = None,
        max_group_size: int | None = None,
    ) -> Certificate:
        """Bound the calibration error from held-out rows, with a confidence level.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1), (n, 2) or (n, K)
            Scores of rows that were not used in ``fit``.
        y : array-like of shape (n,)
            Their labels.
        level : float, default=0.9
            Confidence level of all bounds together, between 0 and 1.
        finite : bool, optional
            Whether there are finitely many distinct outputs; only then is there an upper bound.
            Default: True for binning calibrators, otherwise decided by how many rows share their
            probabilities.
        n_bins : int, default=15
            Number of equal-mass bins for the lower bound if the outputs are continuous.
        random_state : int, RandomState, Generator or None, default=0
            Seed of the simulation for that lower bound.
        groups : array-like of shape (n,), optional
            Group of each row, if only the groups are independent, as in :func:`certify`.
        max_group_size : int, optional
            Most rows that a group can have, as in :func:`certify`.

        Returns
        -------
        certificate : Certificate
            Bounds on the error of P(larger class). For K classes: of the confidence in the
            predicted class, or for :class:`OneVsRestCalibrator` of each class as
            ``predict_classwise`` returns it. Printed as a sentence.

        Raises
        ------
        ValueError
            If the data are invalid.

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
            raise InputError("X has 0 sample(s); expected at least one held-out row.")
        independent = grouping(groups, max_group_size, len(codes))
        return now._certify(s, codes, Settings(level, finite, n_bins, random_state, independent))

    # -- what other calibrators call -------------------------------------------------------------

    @final
    def _fit_rows(self, rows: Rows) -> BaseCalibrator:
        """Fit on checked rows."""
        self._take_classes(rows)
        s = rows.scores._without_tiny()
        self._learn_rows(rows._replace(scores=self._learn_clip(s)))
        self._narrow_clip()
        return self

    def _take_classes(self, rows: Rows) -> None:
        """Check that there are rows of the classes, and set ``classes_``."""
        if rows.scores.n_classes > 2 and "multiclass" not in self._traits:
            _refuse_many(rows.scores.n_classes, type(self).__name__)
        if rows.scores.n_classes == 2 and rows.y.min() == rows.y.max():
            _refuse_one_class(rows)
        self.classes_ = rows.classes
        self._check_classes(rows)

    def _learn_rows(self, rows: Rows) -> None:
        """Learn from checked rows with clipped scores; for calibrators that use groups."""
        self._fit(rows.scores, rows.y, rows.w)

    def _check_classes(self, rows: Rows) -> None:
        """Warn of classes without rows, except in streams, where they may come later."""
        k = rows.scores.n_classes
        if k == 2 or not self._state or "online" in self._traits:
            return
        missing = rows.classes[np.bincount(rows.y, minlength=k) == 0]
        if len(missing):
            warn(
                f"{len(missing)} of {k} classes have no rows (labels: {few(missing)}); "
                f"{self._without_rows}. Add rows of these classes.",
                MissingClassWarning,
            )

    @final
    def _calibrate(self, s: Scores) -> FloatArray:
        """Calibrated (n,) or (n, K) probabilities for checked scores."""
        return self._predict(self._clipped(s))

    @final
    def _predict_scores(self, s: Scores) -> FloatArray:
        """Probabilities of every class for checked scores."""
        return self._predict_columns(self._clipped(s))

    def _predict_columns(self, s: Scores) -> FloatArray:
        """Return all columns of :meth:`_predict`; a subclass may fill them at once."""
        q = self._predict(s)
        return q if q.ndim == 2 else two_columns(q)

    def _ensure_fitted(self) -> None:
        check_is_fitted(self, "classes_")

    def _check_names(self, X: Any, take: bool = False) -> None:
        """Check the names of a frame's columns, or with ``take`` remember them.

        Columns that are named after the classes may be in any order. If ``fit`` had them in another
        order than ``classes_``, later columns must have names too.
        """
        names = column_names(X)
        if not take and hasattr(self, "classes_"):
            known: Any = getattr(self, "feature_names_in_", names)
            order = None if known is None else match_columns(known, self.classes_, what="X")
            if order is not None and names is not None and set(names) == set(known):
                return
            if order is not None and order != sorted(order) and names is None:
                raise InputError(
                    f"the columns in fit had names ({few(known)}) in another order than classes_, "
                    "and the columns of X have no names; expected a frame with these names. For "
                    "columns in the order of classes_ pass pandas.DataFrame(X, columns=classes_)."
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


def _predicted(calibrator: BaseCalibrator, X: Any, labels: bool = False) -> Any:
    if is_dask(X):
        return predicted_parts(calibrator, X, labels)
    return predicted(calibrator._now(), X, labels=labels)


def trace(rows: Rows, learns: bool = True) -> Provenance:
    """The provenance of a fit to these rows; without a hash if nothing was learned."""
    return provenance(len(rows.y), *((rows.scores.values, rows.y) if learns else ()))


def _refuse_many(n_classes: int, own: str) -> None:
    raise InputError(
        "Only binary classification is supported. The type of the target is multiclass: X has "
        f"{n_classes} columns; expected the scores of two classes. Use "
        f"OneVsRestCalibrator({own}()) for all classes, or TopLabelCalibrator({own}()) for the "
        "predicted class only."
    )


def _refuse_one_class(rows: Rows) -> None:
    label = rows.classes.tolist()[rows.y[0]]
    raise InputError(
        f"y holds one class only, {spelled(label)}; expected rows of both classes "
        f"{spelled(rows.classes.tolist())}. Add rows of the other class."
    )


def warn_of_scale(s: Scores, n: int | None = None, ends: tuple[float, float] | None = None) -> None:
    """Warn if logits of many rows look like probabilities or percentages.

    Of n rows the first ones are enough if the smallest and the largest score are known.
    """
    n = len(s) if n is None else n
    if s.scale != "logit" or n < 50:
        return
    first = s.values[:50]
    if first.min() < 0 or (first.ndim == 2 and np.abs(first.sum(axis=1) - 1).max() > 1e-3):
        return
    low, high = (s.values.min(), s.values.max()) if ends is None else ends
    if low >= 0 and high <= 1 and low < high:
        looks, instead = "probabilities", "use scale='probability'"
    elif low >= 0 and 50 < high <= 100 and low < high:
        looks, instead = "percentages", "divide by 100 and use scale='probability'"
    else:
        return
    warn(
        f"all {n} scores lie in [{low:.3g}, {high:.3g}], which is unusual for scale='logit'. "
        f"If they are {looks}, {instead}.",
        ScaleWarning,
    )
