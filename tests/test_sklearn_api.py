"""scikit-learn's own checks, on what users compose and on each calibrator."""

from unittest.mock import patch

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data

from calibkit import CalibratedClassifier, PlattCalibrator
from calibkit.online import OnlineCalibratedClassifier, TrackingCalibrator

from .registry import EXAMPLES, classifier_failures, expected_failures, name_of

pytestmark = pytest.mark.filterwarnings("ignore")


class OnColumns(ClassifierMixin, BaseEstimator):
    """A calibrator on data of any width: they are projected to one score per class.

    scikit-learn's checks make up data with many columns. The wrapper adds the projection and
    nothing else: errors, state and labels are the calibrator's.
    """

    def __init__(self, calibrator):
        self.calibrator = calibrator

    def _project(self, X, k):
        if X.ndim == 1:
            return X
        d = X.shape[1]
        weights = np.cos(np.outer(np.arange(1, d + 1), np.arange(1, k + 1)))
        # Rounded, since a product may differ in its last bit between copies of one row.
        return np.round(X @ (weights[:, 0] if k == 2 else weights), 9)

    def fit(self, X, y, sample_weight=None):
        one = {"ensure_2d": False} if getattr(X, "ndim", 2) == 1 else {}
        X, y = validate_data(self, X, y, dtype=np.float64, **one)
        k = max(2, len(np.unique(y)))
        if "multiclass" not in self.calibrator._traits and k > 2:
            clone(self.calibrator)._set_scale("logit").fit(self._project(X, k), y)
        inner = clone(self.calibrator)._set_scale("logit")
        given = () if sample_weight is None else (sample_weight,)
        self.calibrator_ = inner.fit(self._project(X, k), y, *given)
        self.classes_ = self.calibrator_.classes_
        return self

    def _scores(self, X):
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return self._project(X, len(self.classes_))

    def predict_proba(self, X):
        sklearn.utils.validation.check_is_fitted(self)
        return self.calibrator_.predict_proba(self._scores(X))

    def predict(self, X):
        sklearn.utils.validation.check_is_fitted(self)
        return self.calibrator_.predict(self._scores(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = "multiclass" in self.calibrator._traits
        tags.classifier_tags.poor_score = True  # one fixed direction can't classify blobs
        return tags


class OnlineOnColumns(OnColumns):
    """The same for calibrators without weights."""

    def fit(self, X, y):
        return super().fit(X, y)


def failures(estimator):
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(results) > 40  # a hollow run would pass one check and stop
    return {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_classifier_passes_every_check(example):
    found = failures(CalibratedClassifier(GaussianNB(), example, cv=2))
    assert found.keys() <= classifier_failures(example).keys()


@pytest.mark.long
@pytest.mark.parametrize("ensemble", [False, True], ids=["single", "ensemble"])
@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_classifier_with_its_own_folds_passes_every_check(example, ensemble):
    # Three folds for an ensemble, as scikit-learn checks its own: the checks have few rows a class.
    cv = 3 if ensemble else 5
    found = failures(CalibratedClassifier(LogisticRegression(), example, cv=cv, ensemble=ensemble))
    assert found.keys() <= classifier_failures(example).keys()


def test_online_classifier_passes_every_check_but_those_of_weights():
    found = failures(OnlineCalibratedClassifier(LogisticRegression()))
    assert found.keys() == classifier_failures(TrackingCalibrator()).keys()


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_calibrator_passes_every_check_but_those_listed(example):
    wrap = OnlineOnColumns if "online" in example._traits else OnColumns
    assert failures(wrap(example)).keys() == expected_failures(example).keys()


class Overwrites(CalibratedClassifier):
    """Its fit writes a parameter."""

    def fit(self, X, y, sample_weight=None, **params):
        super().fit(X, y, sample_weight, **params)
        self.cv = 3
        return self


class LooksAround(OnColumns):
    """A prediction depends on its neighbours."""

    def predict_proba(self, X):
        proba = super().predict_proba(X)
        return 0.9 * proba + 0.1 * proba.mean(axis=0)


def test_faults_are_seen():
    platt, tracking = PlattCalibrator(), TrackingCalibrator()
    assert "check_estimators_overwrite_params" in failures(Overwrites(GaussianNB(), platt, cv=2))
    assert "check_methods_subset_invariance" in failures(LooksAround(platt))
    with patch.object(OnlineCalibratedClassifier, "predict_proba", lambda self, X: np.eye(2)):
        assert "check_classifiers_train" in failures(OnlineCalibratedClassifier(GaussianNB()))
    assert not expected_failures(platt).keys() & {"check_methods_subset_invariance"}
    assert "check_estimators_overwrite_params" not in classifier_failures(tracking)
