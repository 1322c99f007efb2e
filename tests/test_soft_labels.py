"""Fractions k/n as targets, and the refit of the intercept alone."""

import inspect
import json
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import clone

import calibkit
from calibkit import (
    BetaCalibrator,
    CalibratedClassifier,
    HistogramBinningCalibrator,
    IsotonicCalibrator,
    OneVsRestCalibrator,
    PlattCalibrator,
    SeparationWarning,
    TemperatureCalibrator,
    certify,
    from_dict,
    to_dict,
)
from calibkit._core.labels import SOFT
from calibkit._registry import CALIBRATORS

TAKERS = [e for c in CALIBRATORS.values() if "soft_labels" in c._traits for e in c._examples()]
OTHERS = [HistogramBinningCalibrator(), OneVsRestCalibrator(PlattCalibrator())]


def runs(size=400, seed=0, most=9):
    """Scores, successes and trials, and the same as rows of 0 and 1."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.uniform(0.02, 0.98, size), 2)
    n = rng.integers(1, most, size)
    k = rng.binomial(n, expit(0.6 * logit(p) - 0.4))
    rows = np.repeat(np.arange(size), n)
    first = np.concatenate(([0], np.cumsum(n)[:-1]))
    y = (np.arange(n.sum()) - first[rows] < k[rows]).astype(int)
    return p, k, n, p[rows], y


def test_the_message_names_those_that_take_fractions():
    takers = [c.__name__ for c in CALIBRATORS.values() if "soft_labels" in c._traits]
    assert sorted(takers) == sorted(SOFT)


@pytest.mark.parametrize("taker", TAKERS, ids=repr)
@pytest.mark.parametrize("seed", range(3))
def test_fractions_are_the_rows_they_stand_for(taker, seed):
    p, k, n, p_rows, y_rows = runs(seed=seed)
    soft = clone(taker).fit(p, k / n, sample_weight=n)
    hard = clone(taker).fit(p_rows, y_rows)
    grid = np.linspace(0.0, 1.0, 501)
    assert_allclose(soft.predict_proba(grid), hard.predict_proba(grid), atol=2e-9)
    assert_array_equal(soft.classes_, [0, 1])
    assert soft.classes_.dtype.kind == "i"


@pytest.mark.parametrize("taker", TAKERS, ids=repr)
def test_large_sets_too_where_the_start_is_from_a_thinned_sample(taker):
    p, k, n, p_rows, y_rows = runs(size=60_000, most=3)
    soft = clone(taker).fit(p, k / n, sample_weight=n)
    hard = clone(taker).fit(p_rows, y_rows)
    assert_allclose(soft.predict_proba(p[:99]), hard.predict_proba(p[:99]), atol=2e-9)


def test_platt_minimises_the_cross_entropy():
    rng = np.random.default_rng(3)
    z, f, w = rng.normal(size=200), rng.random(200), rng.random(200)
    cal = PlattCalibrator(scale="logit").fit(z, f, w)

    def loss(theta):
        eta = theta[0] * z + theta[1]
        return (w * (f * np.logaddexp(0, -eta) + (1 - f) * np.logaddexp(0, eta))).sum()

    best = minimize(loss, [1.0, 0.0], tol=1e-12)
    assert_allclose([cal.slope_, cal.intercept_], best.x, atol=1e-5)
    assert loss([cal.slope_, cal.intercept_]) <= best.fun + 1e-9


def test_temperature_minimises_the_cross_entropy():
    rng = np.random.default_rng(4)
    z = rng.normal(size=300) * 2
    f = rng.binomial(8, expit(z / 3)) / 8
    cal = TemperatureCalibrator(scale="logit").fit(z, f)
    eta = np.outer(z, 1 / (cal.temperature_ * np.array([0.999, 1.0, 1.001])))
    losses = (np.logaddexp(0, eta) - f[:, None] * eta).sum(axis=0)
    assert losses.argmin() == 1


def test_isotonic_takes_weighted_means():
    cal = IsotonicCalibrator(min_probability=None)
    cal.fit([0.1, 0.1, 0.5, 0.9], [0.25, 0.5, 0.0, 1.0], sample_weight=[1, 3, 2, 1])
    pooled = (0.25 + 1.5) / 6
    assert_allclose(cal.predict_proba([0.1, 0.5, 0.9])[:, 1], [pooled, pooled, 1.0])


@pytest.mark.parametrize("taker", TAKERS, ids=repr)
def test_all_kinds_of_columns(taker):
    p, k, n, _, _ = runs(most=5)
    f = k / n
    want = clone(taker).fit(p, f).predict_proba(p)
    same = [f.tolist(), f.astype(object), f[:, None]]
    if taker.name != "isotonic":  # pooling decides on exact ties
        same.append(f.astype(np.float32))
    for given in same:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = clone(taker).fit(p, given).predict_proba(p)
        assert_allclose(got, want, atol=1e-6)
    two_columns = clone(taker).fit(np.column_stack((1 - p, p)), f)
    assert_allclose(two_columns.predict_proba(p), want, atol=1e-9)
    before = f.copy()
    clone(taker).fit(p, f)
    assert_array_equal(f, before)


def test_classes_are_those_given():
    p, k, n, _, _ = runs()
    cal = PlattCalibrator(classes=["fail", "pass"]).fit(p, k / n)
    plain = PlattCalibrator().fit(p, k / n)
    assert cal.classes_.tolist() == ["fail", "pass"]
    assert_array_equal(cal.predict_proba(p), plain.predict_proba(p))
    # 0.5 as a class of its own is a label, as ever.
    halves = np.where(k > n / 2, 0.5, 0.0)
    labels = PlattCalibrator(classes=[0.0, 0.5]).fit(p, halves)
    hard = PlattCalibrator().fit(p, k > n / 2)
    assert_array_equal(labels.predict_proba(p), hard.predict_proba(p))
    with pytest.raises(ValueError, match="continuous"):
        PlattCalibrator(classes=[0, 1, 2]).fit(p, k / n)


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_others_name_those_that_take_fractions(other):
    p, k, n, _, _ = runs()
    match = r"continuous.*Fractions k/n are allowed in fit of PlattCalibrator, .*IsotonicCalibrator"
    with pytest.raises(ValueError, match=match):
        other.fit(p, k / n)
    with pytest.raises(ValueError, match=match):
        certify(k / n, p)
    with pytest.raises(ValueError, match=match):
        type(other)(classes=[0, 1], **inner(other)).fit(p, k / n)


def inner(other):
    wants = "calibrator" in inspect.signature(type(other)).parameters
    return {"calibrator": other.calibrator} if wants else {}


@pytest.mark.parametrize("bad", [-0.01, 1.01, 7.5, 1e300])
def test_values_outside_are_refused_as_before(bad):
    with pytest.raises(ValueError, match=r"continuous. y holds 0.5; expected class labels .*\)\.$"):
        PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], [0.5, 1.0, 0.0, bad])
    with pytest.raises(ValueError, match="NaN"):
        PlattCalibrator().fit([0.1, 0.4, 0.6], [0.5, np.nan, 0.0])


@pytest.mark.parametrize("taker", TAKERS, ids=repr)
def test_one_class_only(taker):
    for value in (0.0, 1.0):
        with pytest.raises(ValueError, match="one class only"):
            clone(taker).fit([0.1, 0.4, 0.6], [value] * 3)
    # The one fraction has weight 0: what is left is one class.
    with pytest.raises(ValueError, match="one class only, 0"):
        clone(taker).fit([0.1, 0.4, 0.6], [0.0, 0.5, 0.0], sample_weight=[1, 0, 1])
    with pytest.raises(ValueError, match="inconsistent"):
        clone(taker).fit([0.1, 0.4, 0.6], [0.0, 0.5])


def test_columns_of_more_classes_are_refused():
    with pytest.raises(ValueError, match="3 columns and y holds 2 classes"):
        TemperatureCalibrator().fit(np.full((3, 3), 1 / 3), [0.5, 0.2, 1.0])


@pytest.mark.parametrize("cls", [PlattCalibrator, BetaCalibrator])
def test_separation(cls):
    z = np.array([0.1, 0.2, 0.4, 0.6, 0.8])
    # One score of half a success: labels 0 and 1 meet there, and the maximum is at infinity.
    with pytest.warns(SeparationWarning):
        soft = cls().fit(z, [0, 0, 0.5, 1, 1], sample_weight=[1, 1, 2, 1, 1])
    with pytest.warns(SeparationWarning):
        hard = cls().fit(z[[0, 1, 2, 2, 3, 4]], [0, 0, 0, 1, 1, 1])
    assert_allclose(soft.predict_proba(z), hard.predict_proba(z), atol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cls().fit(z, [0.1, 0.2, 0.5, 0.7, 0.9])


@pytest.mark.parametrize("taker", TAKERS, ids=repr)
def test_json_and_pickle(taker):
    p, k, n, _, _ = runs()
    cal = clone(taker).fit(p, k / n, sample_weight=n)
    for copy in (from_dict(json.loads(json.dumps(to_dict(cal)))), pickle.loads(pickle.dumps(cal))):
        assert_array_equal(copy.predict_proba(p), cal.predict_proba(p))


@pytest.mark.parametrize("taker", TAKERS, ids=repr)
def test_hostile_fractions(taker):
    p = np.array([0.1, 0.4, 0.6, 0.9])
    for f, w in [
        ([5e-324, 0.5, 1 - 1e-16, 0.2], None),
        ([1e-300, 0.0, 1.0, 0.0], [1e-90, 1e100, 1e-90, 1.0]),
        ([0.5, 0.5, 0.5, 0.5], [0, 0, 1, 0]),
    ]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            q = clone(taker).fit(p, f, sample_weight=w).predict_proba(p)
        assert np.isfinite(q).all()


def test_a_classifier_says_so_too():
    from sklearn.linear_model import LogisticRegression

    p, k, n, _, _ = runs()
    with pytest.raises(ValueError, match="continuous"):
        CalibratedClassifier(LogisticRegression()).fit(p[:, None], k / n)


# -- the intercept alone -------------------------------------------------------------------------


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("l2", [0.0, 3.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_intercept_minimises_the_loss(soft, l2, weighted):
    rng = np.random.default_rng(5)
    z = 3 * rng.normal(size=120)
    f = rng.binomial(4, expit(0.5 * z - 1)) / 4 if soft else rng.integers(0, 2, 120)
    w = rng.random(120) if weighted else None
    cal = PlattCalibrator(fit_slope=False, l2=l2, scale="logit").fit(z, f, w)
    assert cal.slope_ == 1.0
    q = cal.predict_proba(z)[:, 1]
    total = 120 if w is None else w.sum()
    excess = np.average(q, weights=w) - np.average(f, weights=w) + l2 * cal.intercept_ / total
    assert abs(excess) < 1e-14


def test_intercept_of_a_borrowed_map():
    """Few labels: the base rate is repaired, the slope of the other task kept."""
    rng = np.random.default_rng(6)
    z = rng.normal(size=4000)
    y = rng.random(4000) < expit(z - 1.5)
    cal = PlattCalibrator(fit_slope=False, scale="logit").fit(z, y)
    # Standard error of the intercept: 1 / sqrt(sum q (1 - q)).
    q = expit(z - 1.5)
    assert abs(cal.intercept_ + 1.5) < 4 / np.sqrt((q * (1 - q)).sum())


@pytest.mark.parametrize(
    ("z", "y"),
    [
        ([-1e9, 0.0, 1e9], [0, 1, 1]),
        ([-1e9, -1e9, 1e9], [1, 0, 0]),
        ([1e9, 1e9, 1e9], [0, 0, 1]),
        ([-3.0, -2.0, 2.0, 3.0], [0, 0, 1, 1]),  # separated: a shift has a maximum all the same
        ([-3.0, -2.0, 2.0, 3.0], [1, 1, 0, 0]),
        ([0.0, 0.0], [0, 1]),
    ],
)
@pytest.mark.parametrize("l2", [0.0, 1.0])
def test_intercept_is_robust(z, y, l2):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cal = PlattCalibrator(fit_slope=False, scale="logit", l2=l2).fit(z, y)
    q = cal.predict_proba(z)[:, 1]
    assert abs(q.mean() - np.mean(y) + l2 * cal.intercept_ / len(y)) < 1e-6


def test_intercept_with_next_to_no_weight_on_a_class():
    cal = PlattCalibrator(fit_slope=False).fit([0.2, 0.6, 0.7], [0, 1, 0], [1e100, 1e-90, 1e100])
    assert np.isfinite(cal.intercept_)
    cal.fit([0.2, 0.6, 0.7], [1, 0, 1], [1e100, 1e-90, 1e100])
    assert np.isfinite(cal.intercept_)


def test_fit_slope_is_a_bool_and_survives_json():
    with pytest.raises(TypeError, match="fit_slope='no'"):
        PlattCalibrator(fit_slope="no").fit([0.1, 0.9], [0, 1])
    cal = PlattCalibrator(fit_slope=False).fit([0.2, 0.3, 0.9], [0, 1, 1])
    copy = from_dict(to_dict(cal))
    assert copy.fit_slope is False
    assert copy.intercept_ == cal.intercept_
    assert calibkit.PlattCalibrator().fit_slope is True
