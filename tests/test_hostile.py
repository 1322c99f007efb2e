"""Data made to break things: each case did, once."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_expit, logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from calibkit import (
    BetaCalibrator,
    CalibratedClassifier,
    IsotonicCalibrator,
    PlattCalibrator,
    ScoreTable,
    TemperatureCalibrator,
    brier_score,
    calibration_error,
    estimate,
    from_dict,
    load,
    save,
    to_dict,
)
from calibkit.testing import binary_data

ignoring = pytest.mark.filterwarnings("ignore::calibkit.CalibrationWarning")


def platt_loss(cal, z, y, w=None):
    eta = cal.slope_ * z + cal.intercept_
    return -np.average(y * log_expit(eta) + (1 - y) * log_expit(-eta), weights=w)


@ignoring
def test_a_few_very_uneven_weights():
    z, y, w = np.array([5.0, -4.0, 0.0]), np.array([0, 0, 1]), np.array([1, 100, 1])
    q = PlattCalibrator(scale="logit").fit(z, y, w).predict_proba(z)
    again = PlattCalibrator(scale="logit").fit(np.repeat(z, w), np.repeat(y, w)).predict_proba(z)
    np.testing.assert_allclose(q, again, atol=1e-9)
    z, y, w = np.array([3.0, -2.0, -5.0]), np.array([1, 0, 1]), np.array([1, 1, 100])
    q = BetaCalibrator(scale="logit").fit(z, y, w).predict_proba(z)[:, 1]
    np.testing.assert_allclose(q, 101 / 102, atol=1e-6)  # reversed scores: a = b = 0
    z, y = [-5, 2, -3, 0, -4, 5], [1, 0, 1, 1, 1, 1]
    w = [1e-3, 1e-5, 1e-7, 0.1, 1e-2, 1e-8]
    assert np.isfinite(PlattCalibrator(scale="logit").fit(z, y, w).predict_proba(z)).all()


@ignoring
def test_platt_finds_the_maximum_on_nasty_data():
    """No direction from the reported optimum lowers the loss, on random scales and weights."""
    checked = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = rng.integers(5, 60)
        z = rng.normal(size=n) * 10 ** rng.uniform(-3, 3)
        z[rng.integers(n)] *= 10 ** rng.uniform(0, 4)
        y = (rng.random(n) < 0.5).astype(int)
        w = 10 ** rng.uniform(-2, 2, size=n)
        low, high = z[y == 0], z[y == 1]
        if min(len(low), len(high)) < 2 or low.max() <= high.min() or high.max() <= low.min():
            continue
        cal = PlattCalibrator(scale="logit").fit(z, y, w)
        if not cal.converged_:
            continue
        checked += 1
        best = platt_loss(cal, z, y, w)
        slope, shift = cal.slope_, cal.intercept_
        for a, b in rng.normal(size=(40, 2)) * 1e-3:
            cal.slope_, cal.intercept_ = slope * (1 + a), shift + b
            assert platt_loss(cal, z, y, w) >= best - 1e-10
    assert checked > 150


@pytest.mark.parametrize("mask", [-1e7, -1e9, -1e30])
def test_masked_binary_logits(mask):
    rng = np.random.default_rng(0)
    z = rng.normal(size=1000)
    y = (rng.random(1000) < 1 / (1 + np.exp(-z))).astype(int)
    out = rng.random(1000) < 0.2
    y[out], z = 0, np.where(out, mask, z)
    for cal in (PlattCalibrator(scale="logit"), BetaCalibrator(scale="logit")):
        p = cal.fit(z, y).predict_proba(z)[:, 1]
        np.testing.assert_allclose(p[out], 0, atol=1e-12)
        inner = ~out
        alone = type(cal)(scale="logit").fit(z[inner], y[inner]).predict_proba(z[inner])[:, 1]
        np.testing.assert_allclose(p[inner], alone, atol=1e-6)


@pytest.mark.parametrize("mask", [-1e4, -1e9, -1e30, float(np.finfo(np.float32).min)])
def test_masked_classes(mask):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2000, 10))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    hidden = rng.random(z.shape) < 0.3
    hidden[np.arange(2000), y] = False
    cal = TemperatureCalibrator(scale="logit").fit(np.where(hidden, mask, z), y)
    assert cal.converged_
    with_inf = np.where(hidden, -np.inf, z)

    def loss(t):
        return np.mean(logsumexp(with_inf / t, axis=1) - z[np.arange(2000), y] / t)

    best = min(loss(t) for t in cal.temperature_ * np.linspace(0.99, 1.01, 41))
    assert loss(cal.temperature_) <= best + 1e-9
    single = np.where(hidden, np.float32(max(mask, -3e38)), z.astype(np.float32))
    again = TemperatureCalibrator(scale="logit").fit(single, y)
    np.testing.assert_allclose(again.temperature_, cal.temperature_, rtol=1e-4)


def test_an_outlier_does_not_pin_the_temperature():
    rng = np.random.default_rng(0)
    z = np.append(rng.normal(size=2000), 1e6)
    y = np.append(rng.random(2000) < 1 / (1 + np.exp(-2 * z[:2000])), True).astype(int)
    cal = TemperatureCalibrator(scale="logit").fit(z, y)
    assert cal.temperature_ == pytest.approx(0.5, abs=0.06)


@ignoring
def test_temperature_at_its_bound_keeps_weights_equal_to_repetition():
    weighted = TemperatureCalibrator().fit([0.2, 0.9], [1, 0], [1, 3])
    repeated = TemperatureCalibrator().fit([0.2, 0.9, 0.9, 0.9], [1, 0, 0, 0])
    assert weighted.temperature_ == pytest.approx(repeated.temperature_)


@ignoring
def test_weights_that_sum_to_one_are_not_one_row():
    p, y = binary_data(1000)
    plain = IsotonicCalibrator().fit(p, y).predict_proba([0.001, 0.999])
    scaled = IsotonicCalibrator().fit(p, y, np.full(1000, 1e-3)).predict_proba([0.001, 0.999])
    np.testing.assert_allclose(scaled, plain, atol=1e-12)
    apart = np.linspace(0.1, 0.9, 100)
    labels = apart > 0.5
    for cal in (PlattCalibrator(), BetaCalibrator(), TemperatureCalibrator()):
        a = cal.fit(apart, labels).predict_proba(apart)
        b = cal.fit(apart, labels, np.full(100, 1e-2)).predict_proba(apart)
        np.testing.assert_allclose(a, b, atol=1e-8)


def test_extreme_logits_predict_or_are_refused():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 3))
    y = (2 * z + rng.gumbel(size=z.shape)).argmax(axis=1)
    cal = TemperatureCalibrator(scale="logit").fit(z, y)
    assert cal.temperature_ < 1
    np.testing.assert_allclose(cal.predict_proba([[1e99, 0, 0]]), [[1, 0, 0]])
    for bad in (1e308, -1.7e308):
        with pytest.raises(ValueError, match="logits up to"):
            cal.predict_proba([[bad, 0, 0]])
    with pytest.raises(ValueError, match="sample_weight"):
        brier_score([0, 1], [0.9, 0.1], sample_weight=[1e308, 1e308])


def test_constant_scores_are_not_called_reversed(recwarn):
    TemperatureCalibrator(scale="logit").fit([3.0] * 60, [0, 1] * 30)
    assert not [w for w in recwarn if "point" in str(w.message) or "fewer" in str(w.message)]


def test_a_metric_that_never_works_has_no_interval():
    def fragile(y, p):
        if len(np.unique(p)) < len(p):
            raise ValueError("ties")
        return 0.5

    p, y = np.linspace(0, 1, 50), np.arange(50) % 2
    with pytest.raises(ValueError, match="every bootstrap sample"):
        estimate(fragile, y, p, n_resamples=20)


def test_nothing_is_swallowed():
    p, y = binary_data(100)
    table = ScoreTable.from_arrays(y, p)
    with pytest.raises(ValueError, match="binary"):
        calibration_error(table, kind="top_label")
    with pytest.raises(ValueError, match="together with y_prob"):
        brier_score(table, p)
    with pytest.raises(TypeError, match=r"'seed'; it has .*did you mean 'random_state'"):
        estimate("calibration_error", y, p, seed=3)
    with pytest.raises(TypeError, match="no setting 'kind'"):
        estimate("brier_score", y, p, kind="binary")
    seen = []
    estimate(lambda a, b, kind: seen.append(kind) or 0.0, y, p, kind="mine", n_resamples=10)
    assert set(seen) == {"mine"}
    with pytest.raises(ValueError, match="strategy"):
        table.bins("foo", 3)
    for bad in (0, -1, 2.5):
        with pytest.raises((ValueError, TypeError), match="n_cells"):
            table.coarsen(bad)


def test_the_event_is_never_guessed():
    with pytest.raises(ValueError, match="two columns"):
        brier_score(["a"] * 3, [[0.9, 0.1]] * 3, pos_label="a")
    with pytest.raises(ValueError, match="pos_label"):
        brier_score([1, 1, 1], [0.9] * 3, pos_label="1")
    for chunks in ([([1, 2], [0.1, 0.9]), ([1, 1], [0.1, 0.2])], [(["a", "b"], [0.1, 0.9])]):
        with pytest.raises(ValueError, match="pos_label"):
            ScoreTable.from_chunks(chunks)
    assert ScoreTable.from_chunks([(["a", "b"], [0.1, 0.9])], pos_label="b").wy.sum() == 1
    assert ScoreTable.from_arrays([0, 1], [0.3, 0.3], [0.5, 1.5]).weighted
    parts = [ScoreTable.from_arrays([0, 1], [0.2, 0.7]) for _ in range(3)]
    assert sum(parts).n_rows == 6


class Backwards(ClassifierMixin, BaseEstimator):
    """Names its classes in descending order."""

    def fit(self, X, y):
        self.inner_ = GaussianNB().fit(X, y)
        self.classes_ = self.inner_.classes_[::-1]
        return self

    def predict_proba(self, X):
        return self.inner_.predict_proba(X)[:, ::-1]


def test_responses_are_checked_and_put_in_order():
    X, y = make_classification(600, 6, n_informative=5, n_redundant=0, n_classes=4, random_state=0)
    plain = CalibratedClassifier(GaussianNB(), "temperature").fit(X, y).predict_proba(X)
    turned = CalibratedClassifier(Backwards(), "temperature").fit(X, y).predict_proba(X)
    np.testing.assert_allclose(plain, turned, atol=1e-9)
    with pytest.raises(ValueError, match="6 column"):
        CalibratedClassifier(SVC(decision_function_shape="ovo"), "temperature").fit(X, y)


@pytest.mark.parametrize("cv", [[], "prefit", [(np.arange(5),)]], ids=str)
def test_splits_that_are_none(cv):
    p, y = binary_data(50)
    with pytest.raises(ValueError, match="cv="):
        CalibratedClassifier(LogisticRegression(), cv=cv).fit(p[:, None], y)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([2**63, 2**63 + 1], dtype=np.uint64),
        np.array([-(2**62), 2**62]),
        np.array([0, 1], dtype=np.float16),
    ],
    ids=str,
)
def test_labels_at_the_ends_of_their_types(tmp_path, labels):
    p, y = binary_data()
    cal = PlattCalibrator().fit(p, labels[y])
    np.testing.assert_array_equal(cal.classes_, labels)
    save(cal, tmp_path / "c.json")
    np.testing.assert_array_equal(load(tmp_path / "c.json").predict(p), cal.predict(p))


def test_nullable_columns_keep_their_own_numbers():
    p, y = binary_data()
    big = pd.Series(y, dtype="Int64") + 2**53
    np.testing.assert_array_equal(PlattCalibrator().fit(p, big).classes_, [2**53, 2**53 + 1])
    assert PlattCalibrator().fit(p, pd.Series(y, dtype="boolean")).classes_.dtype == bool
    for missing in (pd.Series(["a", None] * 150, dtype="string"), big.where(big > 2**53)):
        with pytest.raises(ValueError, match="y"):
            PlattCalibrator().fit(p, missing)


@pytest.mark.parametrize(
    "scores",
    [
        np.ma.masked_array([0.1, 0.9], [0, 1]),
        np.array([1, 2], dtype="m8[s]"),
        np.array(["2020", "2021"], dtype="M8[Y]"),
        np.array([(0.1,), (0.2,)], dtype=[("p", float)]),
    ],
    ids=lambda s: str(s.dtype),
)
def test_arrays_that_only_look_like_scores(scores):
    with pytest.raises(ValueError, match=r"expected (plain numbers|a plain array)"):
        PlattCalibrator().fit(scores, [0, 1])


def test_json_of_absurd_size_is_refused():
    p, y = binary_data()
    data = to_dict(PlattCalibrator().fit(p, np.array(["a", "b"])[y]))
    data["classes"]["values"] = ["a" * 100_000, *(f"b{i}" for i in range(1000))]
    with pytest.raises(ValueError, match="too long"):
        from_dict(data)
    data = json.loads(json.dumps(to_dict(PlattCalibrator().fit(p, y))))
    data["params"]["l2"] = 10**400
    with pytest.raises(ValueError, match="l2"):
        from_dict(data)


@pytest.mark.parametrize("seed", [-1, 1.5, "x"])
def test_bad_seeds_are_named(seed):
    p, y = binary_data(50)
    with pytest.raises(ValueError, match="random_state"):
        estimate("brier_score", y, p, random_state=seed)


@pytest.mark.parametrize("size", [0.0, 1e-5, 1e5])
def test_temperature_of_rows_that_alternate_in_step_with_a_sample(size):
    rng = np.random.default_rng(0)
    z = 2.0 * rng.normal(size=(5000, 3))
    z[::5] *= size
    y = (z / 2.0 + rng.gumbel(size=z.shape)).argmax(axis=1)
    fit = TemperatureCalibrator(scale="logit").fit(z, y)
    mixed = rng.permutation(len(y))
    again = TemperatureCalibrator(scale="logit").fit(z[mixed], y[mixed])
    assert fit.converged_
    assert fit.temperature_ == pytest.approx(again.temperature_, rel=1e-6)


@pytest.mark.parametrize("n", [1000, 5000])
def test_temperature_where_differences_overflow_in_single_precision(n):
    rng = np.random.default_rng(0)
    z = (2.0 * rng.normal(size=(n, 3))).astype(np.float32)
    y = (z / 2.0 + rng.gumbel(size=z.shape)).argmax(axis=1)
    z[3], y[3] = [3e38, -3e38, 0.0], 0
    single, double = (
        TemperatureCalibrator(scale="logit").fit(given, y).temperature_
        for given in (z, z.astype(np.float64))
    )
    assert single == pytest.approx(double, rel=1e-6)


@pytest.mark.parametrize("n", [1000, 5000])
def test_temperature_of_logits_whose_squares_underflow(n):
    rng = np.random.default_rng(0)
    z = 2.0 * rng.normal(size=(n, 3))
    y = (z / 2.0 + rng.gumbel(size=z.shape)).argmax(axis=1)
    usual = TemperatureCalibrator(scale="logit").fit(z, y).temperature_
    small = (1e-25 * z).astype(np.float32)
    fit = TemperatureCalibrator(scale="logit").fit(small, y)
    assert fit.temperature_ == pytest.approx(1e-25 * usual, rel=1e-5)
    # As for two classes: too small to tell apart.
    assert TemperatureCalibrator(scale="logit").fit(1e-170 * z, y).temperature_ == 1.0


@pytest.mark.parametrize("n", [50, 5000])
def test_log_odds_of_very_different_sizes(n):
    rng = np.random.default_rng(0)
    z = np.append(1e-70 * rng.normal(size=n - 2), [1e100, -1e100])
    y = np.append(rng.integers(0, 2, size=n - 2), [1, 0])
    fit = PlattCalibrator(scale="logit").fit(z, y)
    assert np.isfinite([fit.slope_, fit.intercept_]).all()
    assert fit.predict_proba(z[-2:])[:, 1].tolist() == pytest.approx([1.0, 0.0], abs=1e-3)
