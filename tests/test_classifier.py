"""CalibratedClassifier in the company it keeps: pipelines, searches, frames, weights, groups."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from calibkit import (
    AutoCalibrator,
    BetaCalibrator,
    CalibratedClassifier,
    HistogramBinningCalibrator,
    IdentityCalibrator,
    IsotonicCalibrator,
    MissingClassWarning,
    OneVsRestCalibrator,
    PlattCalibrator,
    ReversedScoresWarning,
    ScalingBinningCalibrator,
    TemperatureCalibrator,
    TopLabelCalibrator,
    brier_score,
    expected_calibration_error,
    get_scorer,
    log_loss,
)
from calibkit.online import WindowedCalibrator


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return X[order], y[order]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:900], y[:900], X[900:], y[900:]


def test_single_model_is_out_of_fold_scores_and_a_refit(cancer):
    """The same by hand, with scikit-learn's cross_val_predict."""
    X, y = cancer
    cv = StratifiedKFold(5)
    cc = CalibratedClassifier(GaussianNB(), "isotonic", cv=cv).fit(X, y)
    out_of_fold = cross_val_predict(GaussianNB(), X, y, cv=cv, method="predict_proba")
    by_hand = IsotonicCalibrator().fit(out_of_fold, y)
    raw = GaussianNB().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(cc.predict_proba(X), by_hand.predict_proba(raw), atol=1e-12)
    assert len(cc.estimators_) == len(cc.calibrators_) == 1


@pytest.mark.parametrize("k", [2, 3])
def test_the_default_calibrates_wherever_classifiers_go(k):
    """Alone, in pipelines, searches and folds; with frames, weights and groups."""
    X, y = make_classification(
        900, 8, n_informative=5, n_redundant=3, n_classes=k, random_state=0, flip_y=0.1
    )
    X, X_new, y, y_new = X[:600], X[600:], y[:600], y[600:]
    raw, model = GaussianNB().fit(X, y), CalibratedClassifier(GaussianNB())
    groups, w = np.arange(600) // 3, np.random.default_rng(0).integers(1, 4, size=600)
    before = log_loss(y_new, raw.predict_proba(X_new))
    grid = {"calibrator": ["auto", "identity"], "estimator__var_smoothing": [1e-9, 1e-3]}
    search = GridSearchCV(clone(model), grid, scoring=get_scorer("neg_log_loss"), cv=3)
    frame, names = pd.DataFrame(X).add_prefix("x"), pd.DataFrame(X_new).add_prefix("x")
    found = {
        "alone": clone(model).fit(X, y).predict_proba(X_new),
        "pipeline": make_pipeline(StandardScaler(), model).fit(X, y).predict_proba(X_new),
        "search": search.fit(X, y).predict_proba(X_new),
        "frame": clone(model).fit(frame, pd.Series(y)).predict_proba(names),
        "weights": clone(model).fit(X, y, sample_weight=w).predict_proba(X_new),
        "groups": clone(model).fit(X, y, groups=groups).predict_proba(X_new),
        "ensemble": clone(model).set_params(ensemble=True).fit(X, y).predict_proba(X_new),
    }
    for name, q in found.items():
        assert log_loss(y_new, q) < 0.9 * before, name
    q = cross_val_predict(model, X, y, cv=3, method="predict_proba")
    p = cross_val_predict(GaussianNB(), X, y, cv=3, method="predict_proba")
    assert log_loss(y, q) < 0.9 * log_loss(y, p)
    assert search.best_params_["calibrator"] == "auto"
    np.testing.assert_allclose(found["frame"], found["alone"], atol=1e-9)
    np.testing.assert_allclose(found["pipeline"], found["alone"], atol=0.01)


def test_the_default_is_the_automatic_calibrator(cancer):
    X, y = cancer
    default = CalibratedClassifier(GaussianNB()).fit(X, y)
    assert type(default.calibrators_[0]) is AutoCalibrator
    scores = cross_val_predict(GaussianNB(), X, y, cv=StratifiedKFold(5), method="predict_proba")
    by_hand = AutoCalibrator().fit(scores, y)
    raw = GaussianNB().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(default.predict_proba(X), by_hand.predict_proba(raw))


def test_ensemble_is_the_mean_of_its_folds(cancer):
    X, y = cancer
    cv = StratifiedKFold(3)
    cc = CalibratedClassifier(GaussianNB(), "platt", cv=cv, ensemble=True).fit(X, y)
    parts = []
    for train, test in cv.split(X, y):
        model = GaussianNB().fit(X[train], y[train])
        map_ = PlattCalibrator().fit(model.predict_proba(X[test]), y[test])
        parts.append(map_.predict_proba(model.predict_proba(X)))
    np.testing.assert_allclose(cc.predict_proba(X), np.mean(parts, axis=0), atol=1e-10)
    assert len(cc.estimators_) == 3


def test_prefit_calibrates_on_the_rows_given(cancer):
    X, y = cancer
    model = GaussianNB().fit(X[:300], y[:300])
    cc = CalibratedClassifier(FrozenEstimator(model), "platt").fit(X[300:], y[300:])
    expected = PlattCalibrator().fit(model.predict_proba(X[300:]), y[300:])
    np.testing.assert_array_equal(
        cc.predict_proba(X), expected.predict_proba(model.predict_proba(X))
    )
    # Fewer rows than folds are no obstacle: nothing is cross-validated.
    few = np.concatenate((np.flatnonzero(y == 0)[:2], np.flatnonzero(y == 1)[:1]))
    CalibratedClassifier(FrozenEstimator(model), PlattCalibrator(l2=1.0)).fit(X[few], y[few])
    with pytest.raises(NotFittedError):
        CalibratedClassifier(FrozenEstimator(GaussianNB())).fit(X, y)


def test_prefit_where_the_calibration_rows_lack_a_class(digits):
    X, y, X_new, y_new = digits
    model = GaussianNB().fit(X, y)
    keep = y_new != 4
    cc = CalibratedClassifier(FrozenEstimator(model), "temperature")
    with pytest.warns(MissingClassWarning, match=r"1 of 10 classes have no rows \(labels: 4\)"):
        cc.fit(X_new[keep], y_new[keep])
    np.testing.assert_array_equal(cc.classes_, np.arange(10))
    assert cc.predict_proba(X_new).shape == (len(X_new), 10)
    with pytest.raises(ValueError, match="not among the classes"):
        cc.fit(X_new, np.where(y_new == 4, 40, y_new))


@pytest.mark.parametrize("name", ["platt", "temperature", "beta", "isotonic"])
def test_every_calibrator_mends_naive_bayes_on_digits(digits, name):
    X, y, X_new, y_new = digits
    raw = GaussianNB().fit(X, y).predict_proba(X_new)
    q = CalibratedClassifier(GaussianNB(), name).fit(X, y).predict_proba(X_new)
    assert log_loss(y_new, q) < 0.5 * log_loss(y_new, raw)
    assert expected_calibration_error(y_new, q) < 0.5 * expected_calibration_error(y_new, raw)


def test_noise_labels_end_near_the_base_rate():
    """Calibrating on training rows would call a memorising model certain."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 5)), rng.integers(0, 2, size=600)
    cc = CalibratedClassifier(RandomForestClassifier(50, random_state=0), "platt").fit(X, y)
    q = cc.predict_proba(rng.normal(size=(1000, 5)))[:, 1]
    assert np.abs(q - y.mean()).mean() < 0.08


@pytest.mark.parametrize(
    "model",
    [
        LinearSVC(),
        RidgeClassifier(),
        SVC(),
        KNeighborsClassifier(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(20, random_state=0),
        DummyClassifier(),
    ],
    ids=lambda m: type(m).__name__,
)
@pytest.mark.parametrize("k", [2, 3])
def test_any_classifier_with_string_labels(model, k):
    X, y = make_classification(
        400, 6, n_informative=4, n_classes=k, random_state=0, n_clusters_per_class=1
    )
    labels = np.array(["ant", "bee", "cat"])[y]
    cc = CalibratedClassifier(model, "platt", cv=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        q = cc.fit(X, labels).predict_proba(X)
    assert q.shape == (400, k)
    np.testing.assert_allclose(q.sum(axis=1), 1)
    assert set(cc.predict(X)) <= set(labels)
    assert type(cc.calibrators_[0]) is (PlattCalibrator if k == 2 else OneVsRestCalibrator)


def test_scale_follows_the_response():
    X, y = make_classification(300, random_state=0)
    model = LogisticRegression()
    margins = CalibratedClassifier(model, PlattCalibrator()).fit(X, y)
    assert margins.calibrators_[0].scale == "logit"
    probs = CalibratedClassifier(model, "platt", response_method="predict_proba").fit(X, y)
    assert probs.calibrators_[0].scale == "probability"
    np.testing.assert_allclose(margins.predict_proba(X), probs.predict_proba(X), atol=1e-5)
    lifted = CalibratedClassifier(model, TopLabelCalibrator(PlattCalibrator())).fit(X, y)
    assert lifted.calibrators_[0].calibrator.scale == "logit"
    with pytest.raises(ValueError, match="no decision_function"):
        CalibratedClassifier(GaussianNB(), response_method="decision_function").fit(X, y)


def test_a_class_missing_from_a_fold_is_scored_as_next_to_nothing(digits):
    X, y, _, _ = digits
    rare = np.flatnonzero(y == 9)[:1]
    keep = np.concatenate((np.flatnonzero(y < 3), rare))
    X, y = X[keep], y[keep]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folds = list(StratifiedKFold(3).split(X, y))
    for model in (GaussianNB(), LogisticRegression(max_iter=500), LinearSVC()):
        for cv, ensemble in ((3, False), (folds, True)):
            cc = CalibratedClassifier(model, "temperature", cv=cv, ensemble=ensemble)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                q = cc.fit(X, y).predict_proba(X)
            np.testing.assert_array_equal(cc.classes_, [0, 1, 2, 9])
            np.testing.assert_allclose(q.sum(axis=1), 1)
            assert np.isfinite(q).all()


def test_weights_reach_the_estimator_and_the_calibrator():
    X, y = make_classification(500, 5, random_state=0, flip_y=0.2)
    w = np.random.default_rng(0).integers(1, 4, size=500)
    split = [(np.arange(250), np.arange(250, 500)), (np.arange(250, 500), np.arange(250))]
    model = LogisticRegression(tol=1e-10)
    weighted = CalibratedClassifier(model, cv=split).fit(X, y, w)
    at = np.repeat(np.arange(500), w)
    halves = [np.flatnonzero(at < 250), np.flatnonzero(at >= 250)]
    repeated = CalibratedClassifier(model, cv=[halves, halves[::-1]]).fit(X[at], y[at])
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-6)
    in_pipeline = CalibratedClassifier(
        make_pipeline(StandardScaler(with_std=False), model), cv=split
    )
    unscaled = in_pipeline.fit(X, y, w).predict_proba(X)
    np.testing.assert_allclose(unscaled, weighted.predict_proba(X), atol=0.05)
    assert np.abs(unscaled - in_pipeline.fit(X, y).predict_proba(X)).max() > 1e-3
    with pytest.warns(UserWarning, match="has no parameter sample_weight"):
        CalibratedClassifier(KNeighborsClassifier(), cv=2).fit(X, y, w)
    for bad, words in ((-w, "negative"), (0 * w, "zero in every row"), (w[:-1], "sample_weight")):
        with pytest.raises(ValueError, match=words):
            CalibratedClassifier(model).fit(X, y, bad)


class Remembers(LogisticRegression):
    """Keeps the rows it was fitted on, in the first column of X."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = X[:, 0].astype(int)
        return super().fit(X, y, sample_weight)


def test_groups_are_never_on_both_sides():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 20, size=400)
    X = np.column_stack((groups, rng.normal(size=(400, 2))))
    y = (X[:, 1] > 0).astype(int)
    for cv in (5, GroupKFold(5)):
        cc = CalibratedClassifier(Remembers(max_iter=500), "isotonic", cv=cv, ensemble=True)
        cc.fit(X, y, groups=groups)
        seen = [set(m.seen_) for m in cc.estimators_]
        assert all(len(s) < 20 for s in seen)
        for rows in seen:  # a group is in a fold's training rows as a whole or not at all
            model = next(m for m in cc.estimators_ if set(m.seen_) == rows)
            for g in rows:
                assert (model.seen_ == g).sum() == (groups == g).sum()


def test_metadata_routing_hands_on_weights_and_groups(cancer):
    X, y = StandardScaler().fit_transform(cancer[0]), cancer[1]
    w = np.random.default_rng(0).integers(1, 4, size=len(y)).astype(float)
    groups = np.arange(len(y)) % 25
    plain = CalibratedClassifier(LogisticRegression(max_iter=5000), cv=GroupKFold(5))
    expected = clone(plain).fit(X, y, sample_weight=w, groups=groups).predict_proba(X)
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression(max_iter=5000).set_fit_request(sample_weight=True)
        cc = CalibratedClassifier(model, cv=GroupKFold(5))
        cc.set_fit_request(sample_weight=True, groups=True).set_score_request(sample_weight=True)
        np.testing.assert_allclose(
            clone(cc).fit(X, y, sample_weight=w, groups=groups).predict_proba(X), expected
        )
        pipe = make_pipeline(FrozenEstimator(StandardScaler().fit(X)), cc)
        pipe.fit(X, y, sample_weight=w, groups=groups)
        search = GridSearchCV(cc, {"calibrator": ["platt", "beta"]}, cv=GroupKFold(3))
        search.fit(X, y, sample_weight=w, groups=groups)
        assert search.best_params_["calibrator"] in ("platt", "beta")


def test_grid_search_over_calibrators_and_their_parameters(cancer):
    X, y = cancer
    grid = [
        {"calibrator": ["platt", "isotonic", IdentityCalibrator()]},
        {"calibrator": [PlattCalibrator()], "calibrator__smooth_targets": [False, True]},
        {"estimator__var_smoothing": [1e-9, 1e-3]},
    ]
    search = GridSearchCV(
        CalibratedClassifier(GaussianNB()), grid, scoring=get_scorer("neg_log_loss"), cv=3
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(search.cv_results_["params"]) == 7
    assert not isinstance(search.best_params_.get("calibrator"), IdentityCalibrator)


@pytest.mark.filterwarnings("ignore::calibkit.SeparationWarning")
def test_our_metrics_as_scorers(cancer, digits):
    X, y = cancer
    cc = CalibratedClassifier(GaussianNB())
    names = np.array(["benign", "malign"])[1 - y]
    for name in (
        "neg_brier_score",
        "brier_skill_score",
        "neg_expected_calibration_error",
        "roc_auc",
    ):
        scores = cross_val_score(cc, X, y, scoring=get_scorer(name), cv=3, error_score="raise")
        assert np.isfinite(scores).all()
        named = cross_val_score(cc, X, names, scoring=get_scorer(name), cv=3, error_score="raise")
        if name in ("neg_brier_score", "brier_skill_score", "roc_auc"):
            np.testing.assert_allclose(named, scores, atol=1e-3)
    X, y, _, _ = digits
    scorer = get_scorer("neg_calibration_error", kind="classwise", n_bins="auto")
    assert (cross_val_score(cc, X, y, scoring=scorer, cv=2, error_score="raise") < 0).all()


def test_scores_of_a_calibrator_in_a_search_over_itself(cancer):
    """A calibrator is a classifier of scores: it clones, searches and cross-validates alone."""
    X, y = cancer
    p = cross_val_predict(GaussianNB(), X, y, cv=5, method="predict_proba")
    search = GridSearchCV(PlattCalibrator(), {"l2": [0.0, 1.0, 100.0]}, cv=3,
                          scoring=get_scorer("neg_log_loss")).fit(p, y)  # fmt: skip
    assert search.best_params_["l2"] in (0.0, 1.0, 100.0)
    q = cross_val_predict(BetaCalibrator(), p, y, cv=5, method="predict_proba")
    assert brier_score(y, q) < brier_score(y, p)
    pipe = make_pipeline(PlattCalibrator())
    np.testing.assert_array_equal(
        pipe.fit(p, y).predict_proba(p), PlattCalibrator().fit(p, y).predict_proba(p)
    )


def test_inside_a_pipeline_with_frames_upstream(cancer):
    X, y = cancer
    frame = pd.DataFrame(X[:, :4], columns=list("abcd"), index=[f"r{i}" for i in range(len(y))])
    scaler = StandardScaler().set_output(transform="pandas")
    pipe = make_pipeline(scaler, CalibratedClassifier(LogisticRegression()))
    shuffled = pd.Series(y, index=frame.index, name="label")
    pipe.fit(frame, shuffled)
    np.testing.assert_array_equal(pipe[-1].feature_names_in_, list("abcd"))
    assert pipe[-1].n_features_in_ == 4
    plain = make_pipeline(StandardScaler(), CalibratedClassifier(LogisticRegression()))
    expected = plain.fit(frame.to_numpy(), y).predict_proba(frame.to_numpy())
    np.testing.assert_allclose(pipe.predict_proba(frame), expected, atol=1e-12)
    with pytest.raises(ValueError, match="feature names"):
        CalibratedClassifier(LogisticRegression()).fit(frame, y).predict_proba(frame[list("dcba")])


def test_polars_sparse_and_list_inputs(cancer):
    X, y = cancer[0][:200, :5], cancer[1][:200]
    cc = CalibratedClassifier(GaussianNB(), cv=3)
    expected = clone(cc).fit(X, y).predict_proba(X)
    frame = pl.DataFrame(X, schema=list("abcde"))
    fitted = clone(cc).fit(frame, pl.Series(y))
    np.testing.assert_allclose(fitted.predict_proba(frame), expected)
    np.testing.assert_allclose(clone(cc).fit(X.tolist(), y.tolist()).predict_proba(X), expected)
    rows = sparse.csr_matrix(X)
    model = CalibratedClassifier(LinearSVC(), cv=3)
    np.testing.assert_allclose(
        clone(model).fit(rows, y).predict_proba(rows),
        clone(model).fit(X, y).predict_proba(X),
        atol=1e-3,
    )


def test_clone_and_pickle(cancer):
    X, y = cancer
    cc = CalibratedClassifier(GaussianNB(), TemperatureCalibrator(), cv=3).fit(X, y)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(cc)).predict_proba(X), cc.predict_proba(X)
    )
    fresh = clone(cc)
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    assert fresh.get_params()["calibrator__eps"] == "auto"


def test_splits_need_not_cover_every_row_once(cancer):
    X, y = cancer
    cv = ShuffleSplit(7, test_size=0.3, random_state=0)
    q = CalibratedClassifier(GaussianNB(), cv=cv).fit(X, y).predict_proba(X)
    assert brier_score(y, q) < 0.1


def test_parallel_folds_give_the_same(cancer):
    X, y = cancer
    one = CalibratedClassifier(GaussianNB()).fit(X, y)
    two = CalibratedClassifier(GaussianNB(), n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def test_failed_fit_changes_nothing(cancer):
    X, y = cancer
    cc = CalibratedClassifier(GaussianNB()).fit(X, y)
    before = cc.predict_proba(X)
    with pytest.raises(ValueError, match="one class only"):
        cc.fit(X, np.ones(len(y)))
    with pytest.raises(ValueError, match="NaN"):
        cc.fit(np.full_like(X, np.nan), y)
    np.testing.assert_array_equal(cc.predict_proba(X), before)


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"calibrator": "plat"}, ValueError, "'platt'"),
        ({"calibrator": "top_label"}, ValueError, "Pass calibrator=TopLabelCalibrator"),
        ({"calibrator": GaussianNB()}, TypeError, "PlattCalibrator"),
        ({"calibrator": PlattCalibrator}, TypeError, "PlattCalibrator"),
        ({"ensemble": "auto"}, TypeError, "ensemble"),
        ({"response_method": "predict"}, ValueError, "response_method"),
        ({"estimator": "GaussianNB"}, TypeError, "fit method"),
        ({"calibrator": PlattCalibrator(l2=-1)}, ValueError, "l2=-1"),
    ],
)
def test_bad_parameters(cancer, params, error, words):
    X, y = cancer
    with pytest.raises(error, match=words):
        CalibratedClassifier(**{"estimator": GaussianNB(), **params}).fit(X, y)


@pytest.mark.parametrize("cv", [5, None, StratifiedKFold(5)], ids=str)
@pytest.mark.parametrize("labels", [["no", "yes"], ["a", "b", "c"]], ids=str)
def test_ensemble_needs_rows_of_each_class_in_each_fold(cv, labels):
    """As scikit-learn's CalibratedClassifierCV does."""
    rng = np.random.default_rng(0)
    y = np.repeat(labels, 40)
    X = rng.normal(size=(len(y), 2)) + 0.5 * (np.unique(y, return_inverse=True)[1])[:, None]
    kept = np.append(np.arange(len(y) - 40), len(y) - 1 - np.arange(4))  # four of the last class
    words = rf"class '{labels[-1]}' has 4 row\(s\).*each of 5 folds.*at least 5 rows"
    words += ".*cv=4, or ensemble=F"
    cal = CalibratedClassifier(GaussianNB(), cv=cv, ensemble=True)
    with pytest.raises(ValueError, match=words):
        cal.fit(X[kept], y[kept])
    with pytest.raises(ValueError, match=words):  # rows without weight are none
        cal.fit(X, y, np.isin(np.arange(len(y)), kept).astype(float))
    with pytest.raises(ValueError, match=r"has 1 row.*\. Use ensemble=False"):
        cal.fit(X[kept[:-3]], y[kept[:-3]])
    one = np.append(kept, len(y) - 6)
    halves = [(one[::2], one[1::2]), (one[1::2], one[::2])]  # folds by hand are as they are given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReversedScoresWarning)
        assert len(cal.fit(X[one], y[one]).calibrators_) == 5
        cal.set_params(cv=halves).fit(X, y)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_borrowed_map_is_marked_as_of_several_classifiers(weighted):
    """A fold whose rows, or those with weight, are of one class takes the map of all folds."""
    X, y = make_classification(300, random_state=0)
    one = np.flatnonzero(y == 0)[:40]
    if weighted:
        one = np.append(one, np.flatnonzero(y == 1)[:10])
    weight = np.ones(300)
    weight[one[40:]] = 0
    rest = np.setdiff1d(np.arange(300), one)
    halves = [one, rest[::2], rest[1::2]]
    cv = [(np.setdiff1d(np.arange(300), test), test) for test in halves]
    bins = HistogramBinningCalibrator(n_bins=3)
    cal = CalibratedClassifier(LogisticRegression(), bins, cv=cv, ensemble=True)
    cal.fit(X, y, sample_weight=weight if weighted else None)
    with pytest.raises(ValueError, match="out-of-fold predictions of several classifiers"):
        cal.calibrators_[0].certify_bins()
    assert [c.cross_fitted_ for c in cal.calibrators_] == [True, False, False]


@pytest.mark.parametrize(
    "holder",
    [
        WindowedCalibrator(HistogramBinningCalibrator(n_bins=3), refit_every=50),
        ScalingBinningCalibrator(HistogramBinningCalibrator(n_bins=3)),
        OneVsRestCalibrator(HistogramBinningCalibrator(n_bins=3)),
    ],
    ids=lambda h: type(h).__name__,
)
def test_what_a_calibrator_holds_is_marked_too(holder):
    X, y = make_classification(300, random_state=0)
    (cal,) = CalibratedClassifier(LogisticRegression(), holder).fit(X, y).calibrators_
    (held,) = getattr(cal, "calibrators_", None) or [cal.scaler_]
    with pytest.raises(ValueError, match="out-of-fold predictions of several classifiers"):
        held.certify_bins()
