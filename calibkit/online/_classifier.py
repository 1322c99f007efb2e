"""`OnlineCalibratedClassifier`: a classifier and an online calibrator of its scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from .._classifier import CalibratedClassifier
from .._core.base import BaseCalibrator
from .._core.certification import Certificate
from .._core.errors import InputError, InputTypeError
from .._core.labels import is_missing
from .._core.params import check_choice, check_flag, refuse_class, with_hints
from .._core.printed import spelled
from .._core.scores import Scores
from .._cross_fitting import response_of
from .._registry import CALIBRATORS, make_calibrator
from .._typing import FloatArray, Self
from ._base import OnlineCalibrator
from ._pending import Labeled, LateLabels


def _names() -> list[str]:
    """Return names of online calibrators that need no inner calibrator, and "auto"."""
    online = (name for name, cls in CALIBRATORS.items() if issubclass(cls, OnlineCalibrator))
    return ["auto", *(name for name in online if name != "windowed")]


def _is_fitted(estimator: BaseEstimator) -> bool:
    refuse_class("estimator", estimator)
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


class OnlineCalibratedClassifier(LateLabels, CalibratedClassifier):
    """A classifier with an online calibrator, which updates as labels arrive.

    Use it for a classifier in production: predict rows, pass their labels when they are known, and
    the probabilities stay calibrated under drift. For a fixed data set use
    :class:`calibkit.CalibratedClassifier`. If you only have scores, use an online calibrator
    directly.

    Pass a fitted classifier and start with any call. Before the first label, the default calibrator
    of two classes returns the middle of the bin of the score, such as .25 for .23. The calls are
    those of :mod:`calibkit.online`, with rows of features for X.

    Parameters
    ----------
    estimator : classifier
        Any scikit-learn classifier or pipeline. A fitted one needs no ``fit``: start with any other
        call. An unfitted one is fitted by ``fit``; the calibrator then starts from out-of-fold
        scores of these rows.
    calibrator : str or OnlineCalibrator, default="auto"
        An online calibrator or its name, such as "tracking", "online_platt", "adaptive_platt" or
        "hedging". "auto" is "tracking" for two classes and "online_temperature" for more. Its
        ``scale`` is set to that of the scores. With a fitted estimator, a calibrator that has seen
        labels continues from its state.
    update_estimator : bool, default=False
        Whether ``partial_fit`` and ``predict_then_update`` also update the classifier, by its own
        ``partial_fit``, after its scores of the rows were calibrated. :meth:`label` updates the
        calibrator only. Each call updates a copy of the classifier, so that an error changes
        nothing.
    cv : int, cross-validator or iterable of splits, default=5
        Cross-validation of ``fit``, as in :class:`CalibratedClassifier`.
    response_method : {"auto", "decision_function", "predict_proba"}, default="auto"
        Scores to calibrate, as in :class:`CalibratedClassifier`.
    n_jobs : int, optional
        Number of folds that are fitted in parallel.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, in the order of the columns of ``predict_proba``.
    estimator_ : classifier
        The fitted classifier.
    calibrator_ : OnlineCalibrator
        The online calibrator.
    estimators_, calibrators_ : list
        The same as lists of one, as in :class:`CalibratedClassifier`.

    Raises
    ------
    ValueError
        In ``fit`` and other methods: if the data are invalid.
    TypeError
        In ``fit`` and other methods: if ``calibrator`` is neither an online calibrator nor a name.

    Notes
    -----
    Sample weights are not supported: every label is one step.

    To save everything, pickle it as other scikit-learn classifiers. To save the calibrator as JSON,
    use ``calibkit.save(model.calibrator_, path)`` and save ``model.estimator_`` separately;
    ``OnlineCalibratedClassifier(estimator, calibkit.load(path))`` continues with both.

    Predictions do not create the attributes that end with an underscore; the first other call does.

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from calibkit import log_loss
    >>> from calibkit.online import OnlineCalibratedClassifier
    >>> X, y = make_classification(5000, n_redundant=10, random_state=0)
    >>> uncalibrated = GaussianNB().fit(X[:500], y[:500])
    >>> model = OnlineCalibratedClassifier(uncalibrated)
    >>> forecast = model.predict_then_update(X[500:], y[500:])
    >>> log_loss(y[500:], forecast) < log_loss(y[500:], uncalibrated.predict_proba(X[500:]))
    True

    After a restart:

    >>> import pathlib, tempfile
    >>> from calibkit import load, save
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "calibrator.json"
    >>> save(model.calibrator_, path)
    >>> again = OnlineCalibratedClassifier(uncalibrated, load(path))
    >>> bool((again.predict_proba(X) == model.predict_proba(X)).all())
    True
    """

    ensemble: ClassVar[bool] = False  # type: ignore[misc]

    @with_hints
    def __init__(
        self,
        estimator: BaseEstimator,
        calibrator: str | OnlineCalibrator = "auto",
        *,
        update_estimator: bool = False,
        cv: Any = 5,
        response_method: Literal["auto", "decision_function", "predict_proba"] = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.calibrator = calibrator
        self.update_estimator = update_estimator
        self.cv = cv
        self.response_method = response_method
        self.n_jobs = n_jobs

    @property
    def estimator_(self) -> BaseEstimator:
        """Return the fitted classifier."""
        return self.estimators_[0]

    @property
    def calibrator_(self) -> OnlineCalibrator:
        """Return the online calibrator."""
        return self.calibrators_[0]

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Update with a batch of labels, whose rows were all predicted before the first was known.

        If the classifier is not fitted, the first call is :meth:`fit`. See
        :meth:`OnlineCalibrator.partial_fit`.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n, n_features)
            Rows that the classifier was not trained on.
        y : array-like of shape (n,)
            Their labels; None or NaN is skipped.
        classes : array-like, optional
            All class labels in sorted order. They must equal those of the classifier.

        Returns
        -------
        self : OnlineCalibratedClassifier
            The same classifier.

        Raises
        ------
        ValueError
            If the data are invalid; nothing changes.
        """
        if not hasattr(self, "calibrators_") and not _is_fitted(self.estimator):
            self.fit(X, y)
            return self
        with self._unchanged_on_error():
            if classes is not None:
                self._check_classes(np.unique(classes), "classes=")
            self.calibrator_.partial_fit(self._scores(X).values, y)
            self._teach(X, y)
        return self

    def predict_then_update(self, X: Any, y: Any) -> FloatArray:
        """Forecast each row from the labels before it, then update with its label.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n, n_features)
            Rows in time order.
        y : array-like of shape (n,)
            Their labels; None or NaN is skipped.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            The forecasts. With ``update_estimator`` the classifier scores all rows of a call before
            it updates with them.
        """
        with self._unchanged_on_error():
            proba = self.calibrator_.predict_then_update(self._scores(X).values, y)
            self._teach(X, y)
        return proba

    def forecast(self, ids: Any, X: Any) -> FloatArray:
        """Forecast rows whose labels arrive late, and keep what :meth:`label` will need.

        Parameters
        ----------
        ids : array-like of shape (n,)
            An int or string for each row, as in :meth:`OnlineCalibrator.forecast`.
        X : array-like, sparse matrix or frame of shape (n, n_features)
            The rows.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            The forecasts.
        """
        with self._unchanged_on_error():
            return self.calibrator_.forecast(ids, self._scores(X).values)

    def label(self, ids: Any, y: Any) -> Labeled:
        with self._unchanged_on_error():
            return self.calibrator_.label(ids, y)

    def predict_proba(self, X: Any) -> FloatArray:
        """Return calibrated probabilities, from the labels so far.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n, n_features)
            Rows, as the classifier accepts them.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Rows sum to one; columns follow ``classes_``.
        """
        now = self._now()
        return now.calibrator_.predict_proba(now._scores(X).values)

    def predict(self, X: Any) -> np.ndarray:
        return CalibratedClassifier.predict(self._now(), X)

    def certify(self, X: Any, y: Any, level: float = 0.9, **settings: Any) -> Certificate:
        return CalibratedClassifier.certify(self._now(), X, y, level, **settings)

    # -- implementation ----------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "calibrators_") or _is_fitted(self.estimator)

    def _begin(self) -> None:
        """Start with a fitted classifier, unless ``fit`` was called."""
        if hasattr(self, "calibrators_"):
            self._check_update(self.estimator_)
            return
        self._check_params()
        if not hasattr(self.estimator, "predict_proba") and not hasattr(
            self.estimator, "decision_function"
        ):
            raise InputTypeError(
                f"estimator={spelled(self.estimator)}; expected a classifier with predict_proba or "
                "decision_function."
            )
        if not _is_fitted(self.estimator):
            raise NotFittedError(
                "This OnlineCalibratedClassifier instance has an estimator that is not fitted. "
                "Call 'fit' with training rows first, or pass a fitted estimator."
            )
        estimator = self.estimator
        classes = np.asarray(estimator.classes_)
        self.classes_, self.estimators_ = classes, [estimator]
        given: Any = self.calibrator
        if hasattr(given, "classes_"):
            self._check_classes(given.classes_, "calibrator has the classes ")
            self.calibrators_ = [deepcopy(given)]
        else:
            margins = self.response_method != "predict_proba" and hasattr(
                estimator, "decision_function"
            )
            calibrator = self._template(len(classes)).set_params(classes=classes)
            self.calibrators_ = [calibrator._set_scale("logit" if margins else "probability")]
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))

    def _now(self) -> OnlineCalibratedClassifier:
        """Return a started copy that shares the present state; predictions use it."""
        now = object.__new__(type(self))
        now.__dict__ = self.__dict__.copy()
        if not hasattr(now, "calibrators_"):
            now._begin()
        return now

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Start if necessary; if the call fails, restore classifier and calibrator."""
        before = self.__dict__.copy()
        try:
            self._begin()
            with self.calibrator_._unchanged_on_error():
                yield
        except BaseException:
            self.__dict__ = before
            raise

    def _check_classes(self, given: np.ndarray, what: str) -> None:
        if not np.array_equal(given, self.classes_):
            raise InputError(
                f"{what}{spelled(given.tolist())} and the classifier has "
                f"{spelled(self.classes_.tolist())}; expected the same classes."
            )

    def _scores(self, X: Any) -> Scores:
        s = response_of(self.estimator_, X, self.classes_, self.response_method)
        scale = self.calibrator_._input_scale()
        if s.scale != scale:
            fitting = "predict_proba" if scale == "probability" else "decision_function"
            raise InputError(
                f"calibrator has scale={spelled(scale)} and the scores of the estimator have the "
                f"scale {spelled(s.scale)}; expected the same. Set response_method='{fitting}'."
            )
        return s

    def _template(self, n_classes: int) -> BaseCalibrator:
        if not isinstance(self.calibrator, str):
            return clone(self.calibrator)
        if self.calibrator != "auto":
            return make_calibrator(self.calibrator)
        if n_classes > 2:
            return make_calibrator("online_temperature")
        return make_calibrator("tracking")

    def _teach(self, X: Any, y: Any) -> None:
        if not self.update_estimator:
            return
        labels = np.asarray(y, dtype=object)
        known = np.flatnonzero([not is_missing(v) for v in labels])
        if len(known):
            rows = X.iloc[known] if hasattr(X, "iloc") else None
            if rows is None:
                rows = X.tocsr()[known] if hasattr(X, "tocsr") else np.asarray(X)[known]
            chosen = np.asarray(labels[known].tolist(), dtype=self.classes_.dtype)
            estimator = deepcopy(self.estimator_)
            estimator.partial_fit(rows, chosen)
            self.estimators_ = [estimator]

    def _check_calibrator(self) -> None:
        if isinstance(self.calibrator, str):
            self._refuse_wrapper(self.calibrator)
            check_choice("calibrator", self.calibrator, _names())
            return
        refuse_class("calibrator", self.calibrator)
        if not isinstance(self.calibrator, OnlineCalibrator):
            raise InputTypeError(
                f"calibrator={spelled(self.calibrator)}; expected an online calibrator such as "
                f"TrackingCalibrator(), or one of the names {', '.join(_names())}."
            )

    def _check_update(self, estimator: BaseEstimator) -> None:
        check_flag("update_estimator", self.update_estimator)
        if self.update_estimator and not hasattr(estimator, "partial_fit"):
            raise InputTypeError(
                f"update_estimator=True and {type(estimator).__name__} has no partial_fit; "
                "expected a classifier with partial_fit. Pass update_estimator=False."
            )

    def _check_params(self) -> None:
        self._check_update(self.estimator)
        super()._check_params()
