"""`CalibratedClassifier`: any scikit-learn classifier with calibrated probabilities."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from .._core.base import BaseCalibrator, trace
from .._core.certification import Certificate, Settings
from .._core.certified_groups import grouping
from .._core.errors import InputError, InputTypeError
from .._core.inputs import Rows, check_lengths, group_codes, validate_weights
from .._core.labels import validate_group_labels, validate_labels
from .._core.params import (
    check_choice,
    check_flag,
    check_int,
    check_names,
    main_name,
    refuse_class,
    with_hints,
)
from .._core.printed import spelled
from .._core.provenance import Traced, provenance
from .._core.scores import Scores
from .._core.warnings import counted
from .._cross_fitting import Fold, cross_fit, response_of, splits, weight_params
from .._registry import (
    CALIBRATORS,
    check_name,
    make_calibrator,
    names_without,
    needs_calibrator,
)
from .._typing import FloatArray, IntArray, Self
from ..calibrators import IdentityCalibrator, OneVsRestCalibrator
from ._saved import KEYS, classifier_from_dict, written


class CalibratedClassifier(MetaEstimatorMixin, Traced, ClassifierMixin, BaseEstimator):
    """Calibrate the probabilities of any classifier, with cross-validation.

    It fits the classifier and a calibrator. The calibrator is fitted on out-of-fold predictions, so
    that no row is used for both. For a classifier that is already fitted, pass
    ``FrozenEstimator(classifier)`` and rows that it has not seen.

    Parameters
    ----------
    estimator : classifier
        Any scikit-learn classifier or pipeline. With ``sklearn.frozen.FrozenEstimator(classifier)``
        the classifier is not fitted again, and all rows of ``fit`` are used for the calibration.
    calibrator : str or BaseCalibrator, default="auto"
        A calibrator or its name (:func:`make_calibrator` lists the names). The default is
        :class:`AutoCalibrator`, which suits few and many rows, and scores that are calibrated
        already. For K classes a binary calibrator is extended by :class:`OneVsRestCalibrator`. Its
        ``scale`` is set to that of the estimator's scores.
    cv : int, cross-validator or iterable of splits, default=5
        How to split the rows for the out-of-fold predictions. A number means that many stratified
        folds; with ``groups``, no group is split between folds.
    ensemble : bool, default=False
        False: fit one calibrator to all out-of-fold predictions, and fit the estimator again on all
        rows. True: keep the estimator of each fold with its own calibrator, and average their
        probabilities. Each class then needs at least as many rows as there are folds, and binning
        calibrators give many distinct probabilities.
    response_method : {"auto", "decision_function", "predict_proba"}, default="auto"
        Which scores to calibrate. "auto" uses ``decision_function`` if the estimator has it: its
        values are read as logits, and are not rounded to 0 and 1.
    n_jobs : int, optional
        Number of folds to fit in parallel with joblib. Default: 1.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; columns of ``predict_proba`` follow them.
    estimators_ : list of classifiers
        The fitted estimator; one for each fold if ``ensemble=True``.
    calibrators_ : list of BaseCalibrator
        The calibrator of each estimator.
    n_features_in_ : int
        Copied from the estimator, if present.
    feature_names_in_ : ndarray of str
        Copied from the estimator, if present.

    Raises
    ------
    ValueError
        In ``fit``: invalid data, or one class only.
    TypeError
        In ``fit``: ``estimator`` is not a classifier, or ``calibrator`` is neither a calibrator nor
        a name.

    Notes
    -----
    By default, the calibrator is fitted to out-of-fold predictions of models trained on 4/5 of the
    rows, and is applied to a model trained on all rows. This is slightly under-confident for small
    data, but needs only one model for predictions. If a class has no training rows in a fold, its
    probability is 0 in that fold.

    References
    ----------
    A. Niculescu-Mizil, R. Caruana (2005). Predicting good probabilities with supervised learning.
    ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from calibkit import CalibratedClassifier, log_loss
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X, X_new, y, y_new = train_test_split(X, y, stratify=y, random_state=0)
    >>> raw = GaussianNB().fit(X, y)
    >>> calibrated = CalibratedClassifier(GaussianNB()).fit(X, y)
    >>> round(log_loss(y_new, raw.predict_proba(X_new)), 1)
    1.2
    >>> round(log_loss(y_new, calibrated.predict_proba(X_new)), 1)
    0.2
    """

    name: ClassVar[str] = "calibrated_classifier"
    _keys: ClassVar[tuple[str, ...]] = KEYS

    @with_hints
    def __init__(
        self,
        estimator: BaseEstimator,
        calibrator: str | BaseCalibrator = "auto",
        *,
        cv: Any = 5,
        ensemble: bool = False,
        response_method: Literal["auto", "decision_function", "predict_proba"] = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.calibrator = calibrator
        self.cv = cv
        self.ensemble = ensemble
        self.response_method = response_method
        self.n_jobs = n_jobs

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, **fit_params: Any
    ) -> Self:
        """Fit the classifier and its calibration.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n, n_features)
            Features, in any form that the estimator accepts.
        y : array-like of shape (n,)
            Class labels: ints, bools or strings.
        sample_weight : array-like of shape (n,), optional
            Sample weights >= 0, for the calibrator, and for the estimator if it accepts them.
        groups : array-like of shape (n,), optional
            Group of each row; no group is split between folds. The calibrator gets the groups
            too: see :meth:`BaseCalibrator.fit`.
        **fit_params
            Other parameters for the estimator's ``fit``, or for metadata routing.

        Returns
        -------
        self : CalibratedClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If the data are invalid. A classifier that was already fitted is then unchanged.
        TypeError
            If a parameter is unknown or has the wrong type.
        """
        self._check_params()
        X, y = indexable(X, y)
        frozen = isinstance(self.estimator, FrozenEstimator)
        given = getattr(self.estimator, "classes_", None) if frozen else None
        classes, codes = validate_labels(y, classes=given)
        _check_two(classes)
        weight = validate_weights(sample_weight, len(codes))
        if groups is not None:
            groups = validate_group_labels(groups, len(codes), "groups")
        params = self._estimator_params(weight, fit_params)
        if frozen:
            scores = response_of(self.estimator, X, classes, self.response_method)
            folds = [Fold(self.estimator, np.arange(len(codes)), scores)]
        else:
            if self.ensemble:
                _check_folds(self.cv, codes, weight, classes)
            parts = splits(self.cv, X, codes, groups)
            how: Any = {"params": params, "method": self.response_method, "n_jobs": self.n_jobs}
            folds = cross_fit(self.estimator, X, np.asarray(y), classes, parts, **how)
        if self.ensemble:
            estimators = [f.estimator for f in folds]
            # A fold whose held-out rows have one class uses the map of all out-of-fold scores.
            pooled = [len(classes) == 2 and _one_class(f, codes, weight) for f in folds]
            chosen = [_pooled(folds) if p else f for f, p in zip(folds, pooled, strict=True)]
        else:
            estimators = [
                folds[0].estimator if frozen else clone(self.estimator).fit(X, y, **params)
            ]
            chosen, pooled = [_pooled(folds)], [not frozen]
        with counted("folds"):
            rows = _rows_of(chosen, codes, weight, classes, groups)
            calibrators = [self._fit_calibrator(r) for r in rows]
        for calibrator, of_several in zip(calibrators, pooled, strict=True):
            if of_several:
                calibrator._mark_cross_fitted()
        self.classes_, self.estimators_, self.calibrators_ = classes, estimators, calibrators
        self._fitted_on = provenance(len(codes), *(f.scores.values for f in folds), codes)
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(estimators[0], name):
                setattr(self, name, getattr(estimators[0], name))
        return self

    def predict_proba(self, X: Any) -> FloatArray:
        """Return the calibrated probabilities.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n, n_features)
            Features, in any form that the estimator accepts.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Rows sum to one; columns follow ``classes_``.
        """
        check_is_fitted(self)
        total: FloatArray | float = 0.0
        for estimator, calibrator in zip(self.estimators_, self.calibrators_, strict=True):
            scores = response_of(estimator, X, self.classes_, self.response_method)
            total = total + calibrator._predict_scores(scores)
        return np.asarray(total) / len(self.estimators_)

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
        X : array-like, sparse matrix or frame of shape (n, n_features)
            Rows that were not used in ``fit``.
        y : array-like of shape (n,)
            Their labels.
        level, finite, n_bins, random_state, groups, max_group_size : optional
            As in :meth:`BaseCalibrator.certify`.

        Returns
        -------
        certificate : Certificate
            Bounds on the error of P(larger class), or for K classes as described in
            :meth:`BaseCalibrator.certify`. Printed as a sentence.

        Raises
        ------
        ValueError
            If the data are invalid.
        """
        check_is_fitted(self)
        _, codes = validate_labels(y, classes=self.classes_)
        if len(self.calibrators_) > 1:
            proba = np.minimum(self.predict_proba(X), 1.0)
            s = Scores(proba[:, 1] if len(self.classes_) == 2 else proba, "probability")
            calibrator: BaseCalibrator = IdentityCalibrator()
            calibrator.classes_ = self.classes_
        else:
            calibrator = self.calibrators_[0]
            s = response_of(self.estimators_[0], X, self.classes_, self.response_method)
        check_lengths(len(s), len(codes), ("X", "y"))
        told = level, finite, n_bins, random_state, grouping(groups, max_group_size, len(codes))
        return calibrator._certify(s, codes, Settings(*told))

    def predict(self, X: Any) -> np.ndarray:
        """Return the class with the largest calibrated probability.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n, n_features)
            Features, in any form that the estimator accepts.

        Returns
        -------
        labels : ndarray of shape (n,)
            Members of ``classes_``.
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def get_metadata_routing(self) -> MetadataRouter:
        """Return which metadata ``fit`` passes to which object.

        Returns
        -------
        routing : MetadataRouter
            Weights and groups for this object, its estimator and its splitter.
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        to_split = MethodMapping().add(caller="fit", callee="split")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(estimator=self.estimator, method_mapping=to_fit)
            .add(splitter=self.cv, method_mapping=to_split)
        )

    def _to_dict(self) -> dict[str, Any]:
        check_is_fitted(self)
        return written(self)

    @classmethod
    def _from_dict(cls, data: dict[str, Any], trusted: Any) -> CalibratedClassifier:
        made: CalibratedClassifier = classifier_from_dict(cls, data, trusted)
        return made

    def _check_params(self) -> None:
        check_choice(
            "response_method", self.response_method, ("auto", "decision_function", "predict_proba")
        )
        check_flag("ensemble", self.ensemble)
        if self.n_jobs is not None:
            check_int("n_jobs", self.n_jobs, low=-(2**15), high=2**15)
        self._check_calibrator()
        if isinstance(self.cv, str):
            raise InputError(
                f"cv={spelled(self.cv)}; expected a number of folds or a splitter. For a "
                "classifier that is already fitted use "
                "CalibratedClassifier(sklearn.frozen.FrozenEstimator(classifier))."
            )
        refuse_class("estimator", self.estimator)
        if not hasattr(self.estimator, "fit"):
            raise InputTypeError(
                f"estimator={spelled(self.estimator)}; expected a classifier with a fit method."
            )
        if hasattr(self.estimator, "__sklearn_tags__") and is_regressor(self.estimator):
            raise InputTypeError(
                f"estimator={spelled(self.estimator)} is a regressor; expected a classifier."
            )

    def _check_calibrator(self) -> None:
        names = names_without("lift", "wrapper")
        if isinstance(self.calibrator, str):
            self._refuse_wrapper(self.calibrator)
            check_name("calibrator", self.calibrator, names)
            return
        refuse_class("calibrator", self.calibrator)
        if not isinstance(self.calibrator, BaseCalibrator):
            raise InputTypeError(
                f"calibrator={spelled(self.calibrator)}; expected a calibrator such as "
                f"PlattCalibrator(), or one of the names {', '.join(names)}."
            )

    @staticmethod
    def _refuse_wrapper(name: str) -> None:
        """Raise for the name of a calibrator that needs another one."""
        if needs_calibrator(name):
            cls = CALIBRATORS[name]
            raise InputError(
                f"calibrator={spelled(name)} needs another calibrator; expected an instance. Pass "
                f"calibrator={cls.__name__}(PlattCalibrator())."
            )

    def set_params(self, **params: Any) -> CalibratedClassifier:
        """Set parameters of this object, of the estimator and of the calibrator.

        Parameters
        ----------
        **params
            By name; ``estimator__C`` is the parameter ``C`` of the estimator.

        Returns
        -------
        self : CalibratedClassifier
            The same classifier.

        Raises
        ------
        ValueError
            If a parameter is unknown, or belongs to a calibrator that is given as a name.
        """
        inner = [name for name in params if name.startswith("calibrator__")]
        calibrator = params.get("calibrator", self.calibrator)
        if inner and isinstance(calibrator, str):
            cls = CALIBRATORS.get(main_name(calibrator))
            made = "PlattCalibrator()" if cls is None else f"{cls.__name__}()"
            raise InputError(
                f"{inner[0]} with calibrator={spelled(calibrator)}: a name has no parameters; "
                f"expected a calibrator. Pass calibrator={made} first."
            )
        super().set_params(**params)
        return self

    def _estimator_params(
        self, sample_weight: FloatArray | None, fit_params: dict[str, Any]
    ) -> dict[str, Any]:
        """Parameters of the estimator's fit, by metadata routing if it is enabled."""
        if get_config().get("enable_metadata_routing"):
            routed = process_routing(self, "fit", sample_weight=sample_weight, **fit_params)
            return dict(routed.estimator.fit)
        _check_fit_params(self.estimator, fit_params)
        return {**fit_params, **weight_params(self.estimator, sample_weight)}

    def _template(self, n_classes: int) -> BaseCalibrator:
        """The calibrator to fit, for this number of classes."""
        if isinstance(self.calibrator, str):
            return make_calibrator(self.calibrator)
        return clone(self.calibrator)

    def _fit_calibrator(self, fold: tuple[IntArray, Rows]) -> BaseCalibrator:
        at, rows = fold
        calibrator = self._template(len(rows.classes))
        if len(rows.classes) > 2 and "multiclass" not in calibrator._traits:
            calibrator = OneVsRestCalibrator(calibrator)
        calibrator._set_scale(rows.scores.scale)._check_params()
        if "online" in calibrator._traits:  # in the order of the rows, not of the folds
            rows = rows.take(np.argsort(at, kind="stable"))
        if rows.w is not None and not rows.w.all():
            rows = rows.take(np.flatnonzero(rows.w))
        calibrator._fit_rows(rows)._fitted_on = trace(rows)
        return calibrator

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.input_tags.categorical = inner.input_tags.categorical
        tags.input_tags.string = inner.input_tags.string
        return tags


def _check_fit_params(estimator: Any, fit_params: dict[str, Any]) -> None:
    """Raise for parameters that the estimator's ``fit`` does not have, where that is known."""
    known = signature(estimator.fit).parameters
    open_ended = [n for n, p in known.items() if p.kind is Parameter.VAR_KEYWORD]
    if isinstance(estimator, (FrozenEstimator, Pipeline)):  # they take any name
        given = [name for name in fit_params if "__" not in name]
    elif open_ended:
        return
    else:
        given = list(fit_params)
    own = [name for name in signature(CalibratedClassifier.fit).parameters if name != "self"]
    check_names(
        given, dict.fromkeys([*own[:-1], *(n for n in known if n not in ("args", *open_ended))])
    )


def _check_two(classes: np.ndarray) -> None:
    if len(classes) < 2:
        raise InputError(
            f"y holds one class only, {spelled(classes[0])}; expected rows of at least two "
            "classes. Add rows of the other class."
        )


def _check_folds(cv: Any, codes: IntArray, weight: FloatArray | None, classes: np.ndarray) -> None:
    """Raise if a fold's own calibrator would have no rows of a class."""
    n_folds = 5 if cv is None else getattr(cv, "n_splits", cv)
    if not isinstance(n_folds, (int, np.integer)):
        return
    counts = np.bincount(codes if weight is None else codes[weight > 0], minlength=len(classes))
    fewest = int(counts.min())
    if fewest < n_folds:
        label, fewer = classes.tolist()[int(counts.argmin())], f"cv={fewest}, or "
        raise InputError(
            f"class {spelled(label)} has {fewest} row(s), and ensemble=True fits a calibrator in "
            f"each of {n_folds} folds; expected at least {n_folds} rows of each class. Use "
            f"{fewer if fewest > 1 else ''}ensemble=False, which fits one calibrator to the rows "
            "of all folds."
        )


def _one_class(fold: Fold, codes: IntArray, weight: FloatArray | None) -> bool:
    """Whether all held-out rows with positive weight have one class."""
    rows = fold.rows if weight is None else fold.rows[weight[fold.rows] > 0]
    return len(np.unique(codes[rows])) < 2


def _rows_of(
    folds: list[Fold],
    codes: IntArray,
    weight: FloatArray | None,
    classes: np.ndarray,
    groups: Any,
) -> list[tuple[IntArray, Rows]]:
    """The rows of each fold: where they are, and the rows."""
    g = group_codes(groups, len(codes))
    out = []
    for f in folds:
        w, own = (None if a is None else a[f.rows] for a in (weight, g))
        out.append((f.rows, Rows(f.scores, codes[f.rows], w, classes, own)))
    return out


def _pooled(folds: list[Fold]) -> Fold:
    """The held-out rows of all folds together."""
    first = folds[0].scores
    if any(f.scores.scale != first.scale for f in folds):
        raise InputError(
            "the folds used different response methods; expected one method. Set "
            "response_method='predict_proba'."
        )
    values = np.concatenate([f.scores.values for f in folds])
    rows = np.concatenate([f.rows for f in folds])
    return Fold(folds[0].estimator, rows, Scores(values, first.scale))
