"""Online calibrators against test vectors, brute force and their theorems."""

import copy
import json
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit, softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB

from calibkit import (
    IsotonicCalibrator,
    PlattCalibrator,
    ReplacedForecastWarning,
    from_dict,
    load,
    save,
    to_dict,
)
from calibkit._numerics import jit
from calibkit._numerics.hedging import uniforms
from calibkit.online import (
    AdaptivePlattCalibrator,
    HedgingCalibrator,
    MultiStreamCalibrator,
    OnlineBetaCalibrator,
    OnlineCalibratedClassifier,
    OnlinePlattCalibrator,
    OnlineTemperatureCalibrator,
    TrackingCalibrator,
    WindowedCalibrator,
)
from calibkit.testing import binary_data

#: A stream whose forecasts were computed by running the authors' code (Gupta, Ramdas 2023).
SCORES = np.array([0.2, 0.7, 0.9, 0.4, 0.6, 0.95, 0.05, 0.55])
LABELS = np.array([0, 1, 0, 1, 1, 0, 0, 1])
VECTORS = [
    (
        OnlinePlattCalibrator(),
        [0.2, 0.700732, 0.910813, 0.394963, 0.580060, 0.926728, 0.134842, 0.514849],
        (0.648324, -0.070685),
    ),
    (
        OnlinePlattCalibrator(start=(0, 0)),
        [0.5, 0.502167, 0.560545, 0.487215, 0.495916, 0.503786, 0.609306, 0.485156],
        (0.015015, -0.062406),
    ),
    (
        OnlineBetaCalibrator(start=(0, 0, 0)),
        [0.5, 0.412026, 0.630399, 0.363631, 0.463741, 0.540074, 0.562263, 0.309630],
        (0.504718, 0.520235, -0.084700),
    ),
    (TrackingCalibrator(smoothing=0), [0.15, 0.75, 0.95, 0.35, 0.55, 0, 0, 1], None),
]


@pytest.mark.parametrize(("calibrator", "forecasts", "theta"), VECTORS, ids=lambda v: str(v)[:40])
def test_vectors(calibrator, forecasts, theta):
    found = calibrator.predict_then_update(SCORES, LABELS)[:, 1]
    assert_allclose(found, forecasts, atol=1e-6)
    if theta is not None:  # that of the last forecast
        before = type(calibrator)(**calibrator.get_params()).fit(SCORES[:7], LABELS[:7])
        assert_allclose(before.theta_, theta, atol=1e-6)


def drifting(n, seed=0):
    rng = np.random.default_rng(seed)
    z = 2 * rng.normal(size=n)
    slope, shift = np.linspace(1.5, 0.3, n), np.linspace(-1, 1, n)
    return expit(z), (rng.random(n) < expit(slope * z + shift)).astype(int)


def too_long(m, c, values, radius):
    return ((c / (values + m)) ** 2).sum() - radius**2


def newton(u, y, theta, *, gamma, strength, radius, discount):
    """Online Newton step with plain linear algebra; the projection by bisection."""
    theta, a, out = np.array(theta, float), strength * np.eye(u.shape[1]), np.empty(len(y))
    for i, (x, label) in enumerate(zip(u, y, strict=True)):
        out[i] = expit(x @ theta)
        g = (out[i] - label) * x
        a = discount * a + (1 - discount) * strength * np.eye(len(x)) + np.outer(g, g)
        theta = theta - np.linalg.solve(a, g) / gamma
        if theta @ theta > radius**2:
            values, vectors = np.linalg.eigh(a)
            c = vectors.T @ a @ theta
            m = brentq(too_long, 0, 1e12, args=(c, values, radius), xtol=1e-12)
            theta = vectors @ (c / (values + m))
    return out, theta, a


SETTINGS = [
    {"gamma": 0.1, "prior_strength": 100.0, "radius": 100.0, "discount": 1.0},
    {"gamma": 0.3, "prior_strength": 5.0, "radius": 1.2, "discount": 1.0},
    {"gamma": 0.1, "prior_strength": 20.0, "radius": 1.5, "discount": 0.97},
    {"gamma": 0.1, "prior_strength": 1.0, "radius": 100.0, "discount": 0.9},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("beta", [False, True], ids=["platt", "beta"])
def test_newton_by_brute_force(settings, beta):
    p, y = drifting(800)
    start = (0.8, -0.7, 0.1) if beta else (0.9, 0.2)
    cls = OnlineBetaCalibrator if beta else OnlinePlattCalibrator
    cal = cls(**settings, start=start, eps=1e-5)
    found = cal.predict_then_update(p, y)[:, 1]
    ones = np.ones(len(p))
    u = np.column_stack((np.log(p), np.log1p(-p), ones) if beta else (logit(p), ones))
    names = {"strength": settings["prior_strength"]}
    names |= {k: v for k, v in settings.items() if k != "prior_strength"}
    out, theta, a = newton(u, y, start, **names)
    assert_allclose(found, out, atol=1e-11)
    assert_allclose(cal.theta_, theta, atol=1e-9)
    assert_allclose(cal.matrix(), a, rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(not jit._available(), reason="needs Numba")
def test_compiled_and_plain_are_the_same_bits(monkeypatch):
    p, y = drifting(30_000)
    y = np.where(np.arange(len(y)) % 11 == 3, np.nan, y)
    multi = OnlineTemperatureCalibrator()
    rng = np.random.default_rng(0)
    many = rng.dirichlet(np.ones(4), size=len(p))
    cases = [
        (OnlinePlattCalibrator(discount=0.99, radius=1.5), p, y),
        (OnlineBetaCalibrator(radius=1.8), p, y),
        (TrackingCalibrator(), p, y),
        (HedgingCalibrator(random_state=0), p, y),
        (AdaptivePlattCalibrator(), p, y),
        (multi, many, many.argmax(axis=1)),
    ]
    fast = [c.fit(x, t if c is multi else np.nan_to_num(t)) for c, x, t in cases]
    fast = [c.predict_then_update(x, t) for c, x, t in cases]
    monkeypatch.setattr(jit, "_available", lambda: False)
    for (c, x, t), expected in zip(cases, fast, strict=True):
        c.fit(x, t if c is multi else np.nan_to_num(t))
        assert_array_equal(c.predict_then_update(x, t), expected)


def test_regret_is_logarithmic():
    """Against the best fixed map in hindsight, over labels that drift: a few log T."""
    for n in (1000, 10_000):
        p, y = drifting(n)
        p = np.clip(p, 0.01, 0.99)
        q = OnlinePlattCalibrator().predict_then_update(p, y)[:, 1]
        loss = -np.log(np.where(y == 1, q, 1 - q)).sum()

        signed = np.column_stack((logit(p), np.ones(n))) * np.where(y == 1, -1, 1)[:, None]
        best = minimize(lambda theta, u: np.logaddexp(0, u @ theta).sum(), [1, 0], (signed,)).fun
        assert loss - best < 12 * np.log(n)


def test_the_matrix_stays_positive_definite_whatever_comes():
    """Scores of 0 and 1, constant scores, labels against all forecasts, many steps."""
    n = 40_000
    streams = [
        (np.zeros(n), np.ones(n)),
        (np.tile([0.0, 1.0], n // 2), np.tile([1, 0], n // 2)),
        (np.full(n, 0.5), np.arange(n) % 2),
        (np.full(n, 0.3), np.zeros(n)),
    ]
    for p, y in streams:
        for cal in (
            OnlinePlattCalibrator(),
            OnlineBetaCalibrator(),
            OnlinePlattCalibrator(discount=0.9),
        ):
            q = cal.predict_then_update(p, y.astype(int), classes=[0, 1])
            assert np.isfinite(q).all()
            a = cal.matrix()
            assert_array_equal(a, a.T)
            assert np.linalg.eigvalsh(a).min() > 0
            assert np.linalg.norm(cal.theta_) <= 100 * (1 + 1e-12)
    # A matrix as after 10^8 steps on one score, in which its inverse would be lost to rounding.
    cal = OnlinePlattCalibrator(classes=[0, 1]).partial_fit([0.6], [1])
    z = logit(0.6)
    cal.factor_ = np.array([z, 1e8, 100.0])
    cal.partial_fit(np.full(5000, 0.6), np.arange(5000) % 2)
    assert np.linalg.eigvalsh(cal.matrix()).min() > 99 / (1 + z * z)


def test_tracking_by_brute_force():
    p, y = drifting(3000)
    inner = OnlinePlattCalibrator()
    q = inner.predict_then_update(p, y)[:, 1]
    bins = np.maximum(np.ceil(q * 7).astype(int) - 1, 0)
    seen = [[] for _ in range(7)]
    expected = []
    for b, label in zip(bins, y, strict=True):
        expected.append(np.mean(seen[b]) if seen[b] else (b + 0.5) / 7)
        seen[b].append(label)
    found = TrackingCalibrator(n_bins=7, smoothing=0).predict_then_update(p, y)[:, 1]
    assert_allclose(found, expected, atol=1e-12)
    smooth = TrackingCalibrator(n_bins=7).predict_then_update(p, y)[:, 1]
    seen = [[(b + 0.5) / 7] for b in range(7)]
    for b, label, q in zip(bins, y, smooth, strict=True):
        assert abs(q - np.mean(seen[b])) < 1e-12
        seen[b].append(label)
    assert smooth.min() > 0
    assert smooth.max() < 1


def foster(bins, draws, y, m):
    """The game of each bin, from its rules as the paper has them."""
    left, right, middle = np.arange(m) / m, (np.arange(m) + 1) / m, (np.arange(m) + 0.5) / m
    mean, count = np.tile(middle, (m, 1)), np.zeros((m, m))
    played = []
    for b, u, label in zip(bins, draws, y, strict=True):
        deficit, excess = left - mean[b], mean[b] - right
        right_ones = np.flatnonzero((deficit <= 0) & (excess <= 0))
        if b in right_ones:
            i = b
        elif len(right_ones):
            i = right_ones[0]
        else:
            up = np.flatnonzero(deficit > 0)[0]
            below = up - 1
            assert excess[below] > 0
            i = below if u < deficit[up] / (deficit[up] + excess[below]) else up
        played.append(middle[i])
        mean[b, i] = (mean[b, i] * count[b, i] + label) / (count[b, i] + 1)
        count[b, i] += 1
    return np.array(played)


def test_hedging_by_brute_force():
    p, y = drifting(5000)
    cal = HedgingCalibrator(n_bins=8, random_state=3)
    found = cal.predict_then_update(p, y)[:, 1]
    q = OnlinePlattCalibrator().predict_then_update(p, y)[:, 1]
    bins = np.maximum(np.ceil(q * 8).astype(int) - 1, 0)
    draws = uniforms(int(cal.seed_), np.arange(5000.0), np.log(p / (1.0 - p)))
    assert_array_equal(found, foster(bins, draws, y, 8))
    assert len(np.unique(draws)) == 5000
    assert abs(draws.mean() - 0.5) < 4 / np.sqrt(12 * 5000)
    expected = cal.expected_proba(p)[:, 1]
    assert (np.abs(expected - cal.predict_proba(p)[:, 1]) <= 1 / 8 + 1e-12).all()


def calibration_error(forecasts, y):
    """The paper's, on the cells that were played."""
    values, at = np.unique(forecasts, return_inverse=True)
    n, s = np.bincount(at), np.bincount(at, y)
    return np.abs(n * values - s).sum() / len(y)


@pytest.mark.parametrize("horizon", [1000, 10_000])
def test_hedging_holds_against_an_adversary(horizon):
    """Labels chosen against the expected forecast: the error stays below the theorem's bound."""
    errors = []
    for seed in range(5):
        cal = HedgingCalibrator(random_state=seed, classes=[0, 1])
        forecasts, labels = [], []
        for _ in range(horizon // 20):
            x = np.full(20, 0.5)
            # The adversary knows the distribution of the forecasts, not the draws.
            mean = cal.expected_proba(x)[:, 1]
            y = (mean < 0.5).astype(int)
            forecasts.append(cal.predict_then_update(x, y)[:, 1])
            labels.append(y)
        errors.append(calibration_error(np.concatenate(forecasts), np.concatenate(labels)))
    assert np.mean(errors) <= 0.05 + 2 * np.sqrt(100 / horizon)


def test_windows_are_batch_fits():
    p, y = drifting(2000)
    cal = WindowedCalibrator(PlattCalibrator(), window=300, refit_every=200, first_fit=400)
    q = cal.predict_then_update(p, y)
    assert_allclose(q[:400, 1], p[:400])
    for start in (400, 600, 1800):
        rows = slice(start - 300, start)
        batch = PlattCalibrator().fit(p[rows], y[rows])
        ahead = slice(start, start + 200)
        assert_allclose(q[ahead], batch.predict_proba(p[ahead]), atol=1e-12)
    every = WindowedCalibrator(IsotonicCalibrator(), refit_every=500).fit(p, y)
    whole = IsotonicCalibrator().fit(p, y)
    assert_allclose(every.predict_proba(p), whole.predict_proba(p), atol=1e-12)
    once = WindowedCalibrator(PlattCalibrator(), first_fit=100, refit=False).fit(p, y)
    assert_allclose(once.predict_proba(p), PlattCalibrator().fit(p[:100], y[:100]).predict_proba(p))
    one_class = WindowedCalibrator(PlattCalibrator(), refit_every=10)
    one_class.partial_fit(np.full(50, 0.4), np.zeros(50, int))
    assert_allclose(one_class.predict_proba([0.4])[:, 1], 0.4)


def test_a_jump_is_followed_without_tuning():
    """No worse than the best single rate in hindsight, by the bound of exponential weights."""
    rng = np.random.default_rng(0)
    n = 12_000
    p = rng.random(n)
    y = (rng.random(n) < np.where(np.arange(n) < n // 2, p, 1 - p)).astype(int)
    adaptive = AdaptivePlattCalibrator()

    def loss(cal):
        q = cal.predict_then_update(p, y)[:, 1]
        return -np.log(np.where(y == 1, q, 1 - q)).sum()

    total = loss(adaptive)
    experts = [loss(e) for e in adaptive._experts()]
    share, k = adaptive.share, len(experts)
    # Mixing loses log K at first, and -log(1 - share) at every label.
    assert total <= min(experts) + np.log(k) - n * np.log1p(-share) + 1e-6


def test_labels_that_all_call_impossible_do_no_harm():
    cal = AdaptivePlattCalibrator(gamma=1e-6, prior_strength=1e-6, classes=[0, 1])
    y = np.r_[np.ones(50, int), np.zeros(50, int)]
    q = cal.predict_then_update(np.full(100, 1.0), y)
    assert np.isfinite(q).all()
    assert abs(cal.weights_.sum() - 1) < 1e-9


def test_temperature_finds_the_optimum_of_many_classes():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20_000, 5))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    cal = OnlineTemperatureCalibrator(scale="logit").partial_fit(2.5 * z, y)
    assert abs(cal.temperature_ - 2.5) < 0.15
    assert_allclose(cal.predict_proba(z), softmax(z / cal.temperature_, axis=1), atol=1e-12)


def test_probabilities_and_logits_are_one():
    p, y = drifting(2000)
    for cls in (OnlinePlattCalibrator, OnlineBetaCalibrator, AdaptivePlattCalibrator):
        one, other = cls(eps=1e-5), cls(scale="logit")
        q = one.predict_then_update(p, y)
        assert_allclose(other.predict_then_update(logit(p), y), q, atol=1e-9)


def test_a_saved_stream_goes_on_bit_for_bit(tmp_path):
    p, y = drifting(4000)
    for cal in (HedgingCalibrator(random_state=1), AdaptivePlattCalibrator()):
        cal.partial_fit(p[:2000], y[:2000])
        cal.forecast(["a", "b"], p[:2])
        save(cal, tmp_path / "cal.json")
        twin = load(tmp_path / "cal.json")
        assert cal.label(["b"], [1]) == twin.label(["b"], [1])
        assert_array_equal(
            cal.predict_then_update(p[2000:], y[2000:]),
            twin.predict_then_update(p[2000:], y[2000:]),
        )


def test_a_stream_is_light():
    """Nothing optional is imported for short streams."""
    code = (
        "import sys, numpy as np\n"
        "from calibkit.online import TrackingCalibrator\n"
        "TrackingCalibrator().partial_fit(np.linspace(0, 1, 500), np.arange(500) % 2)\n"
        "print([m for m in ('numba', 'matplotlib', 'polars', 'typer') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["[]"]


# -- the classifier ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=3000)
    X = np.column_stack([rng.normal(size=3000) + 1.2 * y for _ in range(4)])
    X[:, 2:] = X[:, :2]  # naive Bayes counts these twice
    return X, np.array(["no", "yes"])[y]


def test_a_fitted_classifier_is_calibrated_online(rows):
    X, y = rows
    raw = GaussianNB().fit(X[:500], y[:500])
    model = OnlineCalibratedClassifier(raw)
    forecast = model.predict_then_update(X[500:], y[500:])
    by_hand = TrackingCalibrator(classes=["no", "yes"])
    assert_array_equal(forecast, by_hand.predict_then_update(raw.predict_proba(X[500:]), y[500:]))
    assert_array_equal(model.predict_proba(X), by_hand.predict_proba(raw.predict_proba(X)))
    assert set(model.predict(X)) <= {"no", "yes"}
    model.forecast([1, 2], X[:2])
    assert model.label([2, 3], y[:2]).unknown == [3]


def test_margins_are_logits(rows):
    X, y = rows
    svm = SGDClassifier(random_state=0).fit(X[:500], y[:500])
    model = OnlineCalibratedClassifier(svm, "online_platt").partial_fit(X[500:], y[500:])
    by_hand = OnlinePlattCalibrator(scale="logit")
    by_hand.partial_fit(svm.decision_function(X[500:]), y[500:])
    assert_array_equal(model.calibrator_.theta_, by_hand.theta_)


def test_fit_starts_from_out_of_fold_scores_in_the_order_of_rows(rows):
    X, y = rows
    model = OnlineCalibratedClassifier(LogisticRegression(), "online_platt", cv=3).fit(X, y)
    assert model.calibrator_.n_seen_ == len(y)
    flipped = OnlineCalibratedClassifier(LogisticRegression(), "online_platt", cv=3)
    flipped.fit(X[::-1], y[::-1])
    assert not np.array_equal(flipped.calibrator_.theta_, model.calibrator_.theta_)
    model.partial_fit(X[:10], [*y[:9], None])
    assert model.calibrator_.n_seen_ == len(y) + 9


def test_the_classifier_may_learn_too(rows):
    X, y = rows
    raw = GaussianNB().fit(X[:100], y[:100])
    before = raw.theta_.copy()
    model = OnlineCalibratedClassifier(raw, update_estimator=True)
    for i in range(100, 1000, 100):
        model.partial_fit(X[i : i + 100], y[i : i + 100])
    assert_array_equal(raw.theta_, before)
    assert model.estimator_.class_count_.sum() == 1000
    with pytest.raises(TypeError, match="no partial_fit"):
        OnlineCalibratedClassifier(LogisticRegression(), update_estimator=True).partial_fit(X, y)


def test_what_the_classifier_refuses(rows):
    X, y = rows
    with pytest.raises(Exception, match=r"not fitted\. Call 'fit'"):
        OnlineCalibratedClassifier(GaussianNB()).predict_then_update(X, y)
    raw = GaussianNB().fit(X, y)
    with pytest.raises(ValueError, match="expected the same"):
        OnlineCalibratedClassifier(raw).partial_fit(X, y, classes=[0, 1])
    with pytest.raises(TypeError, match="expected an online calibrator"):
        OnlineCalibratedClassifier(GaussianNB(), PlattCalibrator()).fit(X, y)
    with pytest.raises(ValueError, match="calibrator='platt'; expected one of"):
        OnlineCalibratedClassifier(GaussianNB(), "platt").fit(X, y)


def test_a_failed_call_teaches_neither(rows, monkeypatch):
    X, y = rows
    raw = GaussianNB().fit(X[:100], y[:100])
    model = OnlineCalibratedClassifier(raw, update_estimator=True).partial_fit(X[:200], y[:200])
    before, counts = to_dict(model.calibrator_), model.estimator_.class_count_.copy()
    real = GaussianNB.partial_fit

    def fails(self, *args):
        real(self, *args)
        raise MemoryError

    monkeypatch.setattr(GaussianNB, "partial_fit", fails)
    for update in (model.partial_fit, model.predict_then_update):
        with pytest.raises(MemoryError):
            update(X[200:300], y[200:300])
    assert to_dict(model.calibrator_) == before
    assert_array_equal(model.estimator_.class_count_, counts)
    fresh = OnlineCalibratedClassifier(raw, update_estimator=True)
    with pytest.raises(MemoryError):
        fresh.partial_fit(X, y)
    assert not hasattr(fresh, "classes_")


def test_a_fitted_classifier_forecasts_at_once(rows):
    X, y = rows
    raw = GaussianNB().fit(X[:500], y[:500])
    model = OnlineCalibratedClassifier(raw, "online_platt")
    assert_allclose(model.predict_proba(X[:9]), np.clip(raw.predict_proba(X[:9]), 1e-5, 1 - 1e-5))
    assert_array_equal(model.predict(X), raw.predict(X))
    with pytest.raises(NotFittedError, match="not fitted"):
        OnlineCalibratedClassifier(GaussianNB()).predict_proba(X)
    fresh = OnlineCalibratedClassifier(raw)
    with pytest.raises(ValueError, match="features"):
        fresh.predict_proba(X[:, :2])
    assert not hasattr(fresh, "classes_")


def test_a_saved_calibrator_goes_on(rows, tmp_path):
    X, y = rows
    raw = SGDClassifier(random_state=0).fit(X[:500], y[:500])
    model = OnlineCalibratedClassifier(raw).partial_fit(X[500:1000], y[500:1000])
    model.forecast(["a"], X[:1])
    save(model.calibrator_, tmp_path / "calibrator.json")
    again = OnlineCalibratedClassifier(raw, load(tmp_path / "calibrator.json"))
    twin = pickle.loads(pickle.dumps(model))
    for one in (model, again, twin):
        assert one.label(["a"], y[:1]).n_learned == 1
        one.partial_fit(X[1000:], y[1000:])
    assert to_dict(again.calibrator_) == to_dict(model.calibrator_) == to_dict(twin.calibrator_)
    assert again.calibrator.n_seen_ == 500  # what was given is not taught
    other = GaussianNB().fit(X[:500], y[:500])
    with pytest.raises(ValueError, match=r"scale='logit'.*expected the same"):
        OnlineCalibratedClassifier(other, again.calibrator_).predict_proba(X)
    other.fit(X[:500], y[:500] == "yes")
    with pytest.raises(ValueError, match=r": calibrator has the classes.*expected the same"):
        OnlineCalibratedClassifier(other, again.calibrator_).predict_proba(X)


def test_resolving_first_starts_on_the_scale_of_the_scores(rows):
    X, y = rows
    raw = SGDClassifier(random_state=0).fit(X[:500], y[:500])
    model = OnlineCalibratedClassifier(raw)
    assert model.label(["a"], y[:1]).unknown == ["a"]
    assert model.partial_fit(X, y).calibrator_.n_seen_ == len(y)


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calibrator", "words"),
    [
        (OnlinePlattCalibrator(gamma=0), "gamma=0"),
        (OnlinePlattCalibrator(prior_strength=-1), "prior_strength=-1"),
        (OnlinePlattCalibrator(radius=0), "radius=0"),
        (OnlinePlattCalibrator(discount=1.1), "discount=1.1"),
        (OnlinePlattCalibrator(start=(1, 2, 3)), "expected 2 numbers"),
        (OnlinePlattCalibrator(start=(3, 4), radius=2), "expected at most radius=2"),
        (OnlinePlattCalibrator(max_pending=0), "max_pending=0"),
        (TrackingCalibrator(n_bins=0), "n_bins=0"),
        (TrackingCalibrator(PlattCalibrator()), "expected an online calibrator"),
        (TrackingCalibrator(OnlineTemperatureCalibrator()), "expected one of two classes"),
        (WindowedCalibrator(OnlinePlattCalibrator()), "expected a batch calibrator"),
        (WindowedCalibrator(PlattCalibrator(), window=1), "window=1"),
        (AdaptivePlattCalibrator(discounts=()), "discounts=()"),
        (AdaptivePlattCalibrator(discounts=(0.0,)), "discount=0.0"),
        (HedgingCalibrator(random_state="x"), "random_state='x'"),
    ],
    ids=repr,
)
def test_bad_settings_are_refused(calibrator, words):
    with pytest.raises((ValueError, TypeError)) as error:
        calibrator.partial_fit(SCORES, LABELS)
    assert words in str(error.value)
    assert not calibrator.__sklearn_is_fitted__()


def test_files_with_impossible_states_are_refused():
    cal = TrackingCalibrator().partial_fit(SCORES, LABELS)
    for change in (
        lambda s: s.update(count_=[1.0]),
        lambda s: s.update(total_=[9.0] * 10),
        lambda s: s["calibrator_"]["state"].update(factor_=[0.0, -1.0, 1.0]),
        lambda s: s["pending_"].update(ids=[1], tickets=[]),
        lambda s: s["pending_"].update(ids=[1.5], tickets=[[0.0]]),
        lambda s: s["pending_"].update(room=0),
        lambda s: s["calibrator_"]["state"].update(theta_=[1e300, 0.0]),
        lambda s: s.update(n_seen_=-1.0),
    ):
        data = json.loads(json.dumps(to_dict(cal)))
        change(data["state"])
        with pytest.raises(ValueError, match="from_dict"):
            from_dict(data)


def test_what_hostile_users_type():
    p, y = drifting(200)
    with pytest.raises(ValueError, match="n_bins=5 has changed since the start; expected 10"):
        TrackingCalibrator().partial_fit(p, y).set_params(n_bins=5).predict_proba(p)
    one, other = (OnlinePlattCalibrator().partial_fit(p, y) for _ in range(2))
    one.learn_one(np.float32(0.3), 1)
    other.partial_fit(np.array([0.3], dtype=np.float32), [1])
    assert_array_equal(one.theta_, other.theta_)
    assert one.theta_.dtype == np.float64
    one.predict_proba_one(0.5)
    one.set_params(scale="logit")
    assert abs(one.predict_proba_one(0.5) - one.predict_proba([0.5])[0, 1]) < 1e-12
    for x in ("x", None, np.nan, 2.0):
        fresh = OnlinePlattCalibrator()
        with pytest.raises(ValueError, match="predict_proba_one"):
            fresh.predict_proba_one(x)
        assert not fresh.__sklearn_is_fitted__()
    late = OnlinePlattCalibrator().partial_fit([0.1], [None]).partial_fit([0.2, 0.3], ["a", "b"])
    assert late.classes_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="y is None"):
        late.partial_fit([0.1], None)
    with pytest.raises(ValueError, match=r"y has shape \(2, 2\)"):
        late.partial_fit([0.1, 0.2], np.full((2, 2), np.nan))
    assert late.forecast([np.int64(5)], [0.2]).shape == (1, 2)
    assert late.label([5], ["a"]).n_learned == 1
    warm = OnlineTemperatureCalibrator().partial_fit(p, y)
    assert abs(warm.predict_proba_one(0.3) - warm.predict_proba([0.3])[0, 1]) < 1e-15
    nested = HedgingCalibrator(
        TrackingCalibrator(WindowedCalibrator(IsotonicCalibrator(), refit_every=50)), random_state=0
    ).partial_fit(p, y)
    assert to_dict(from_dict(to_dict(nested))) == to_dict(nested)


# -- parameters, frames and files after the start ---------------------------------------------


CHANGES = [
    (OnlinePlattCalibrator(), {"gamma": -1}, "gamma=-1; expected a number"),
    (OnlinePlattCalibrator(), {"prior_strength": 5.0}, "prior_strength=5.0 has changed"),
    (OnlinePlattCalibrator(), {"start": (0, 0)}, r"start=\[0, 0\] has changed"),
    (OnlineBetaCalibrator(), {"radius": 1.5}, "radius=1.5 has changed"),
    (OnlineTemperatureCalibrator(), {"gamma": "x"}, "gamma='x'"),
    (OnlineTemperatureCalibrator(), {"radius": 5.0}, "radius=5.0 has changed"),
    (AdaptivePlattCalibrator(), {"discounts": (1.0,)}, r"discounts=\[1.0\] has changed"),
    (AdaptivePlattCalibrator(), {"gamma": 0.2}, "gamma=0.2 has changed since the start"),
    (TrackingCalibrator(), {"n_bins": 3}, "n_bins=3 has changed since the start; expected 10"),
    (
        TrackingCalibrator(OnlineBetaCalibrator()),
        {"calibrator__gamma": 0.2},
        "calibrator__gamma=0.2 has changed since the start; expected 0.1. Set it back, or call fit",
    ),
    (TrackingCalibrator(), {"calibrator": OnlineBetaCalibrator()}, "calibrator=.*has changed"),
    (HedgingCalibrator(random_state=0), {"random_state": 1}, "random_state=1 has changed"),
    (WindowedCalibrator(PlattCalibrator()), {"refit": False}, "refit=False has changed"),
    (OnlinePlattCalibrator(), {"classes": ["a", "b"]}, "classes=.*has changed"),
    (OnlinePlattCalibrator(), {"max_pending": 0}, "max_pending=0"),
]


@pytest.mark.parametrize("saved", [False, True], ids=["kept", "saved"])
@pytest.mark.parametrize(("calibrator", "change", "words"), CHANGES, ids=str)
def test_what_has_shaped_the_state_stays(calibrator, change, words, saved):
    cal = clone(calibrator).partial_fit(SCORES, LABELS)
    cal = from_dict(to_dict(cal)) if saved else cal
    cal.forecast(["a"], [0.3])
    cal.set_params(**change)
    for update in (
        lambda: cal.partial_fit([0.3], [1]),
        lambda: cal.predict_then_update([0.3], [1]),
        lambda: cal.label(["a"], [1]),
        lambda: cal.learn_one(0.3, 1),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            update()
    assert len(cal.pending_) == 1
    assert cal.n_seen_ == len(LABELS)
    cal.set_params(**{k: v for k, v in calibrator.get_params().items() if k in change})
    assert cal.learn_one(0.3, 1).label(["a"], [1]).n_learned == 1


def test_what_has_not_shaped_the_state_may_change():
    one, other = (OnlinePlattCalibrator().partial_fit(SCORES, LABELS) for _ in range(2))
    one.set_params(gamma=0.5, discount=0.9).learn_one(0.3, 1)
    other.set_params(gamma=0.5, discount=0.9).partial_fit([0.3], [1])
    assert_array_equal(one.theta_, other.theta_)
    one.gamma = 0
    with pytest.raises(ValueError, match="gamma=0"):
        one.learn_one(0.3, 1)
    other.forecast(range(10), np.full(10, 0.3))
    other.set_params(max_pending=4).partial_fit([], [])
    assert len(other.pending_) == 4
    assert to_dict(from_dict(to_dict(other))) == to_dict(other)
    cal = TrackingCalibrator(smoothing=0).partial_fit(SCORES, LABELS).set_params(smoothing=1)
    assert cal.predict_then_update(SCORES, LABELS)[:, 1].min() > 0
    listed = AdaptivePlattCalibrator(discounts=[1.0, 0.9]).partial_fit(SCORES, LABELS)
    listed.discounts.append(0.5)
    with pytest.raises(ValueError, match="discounts"):
        listed.partial_fit(SCORES, LABELS)


def test_frames_may_come_after_arrays():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"score": SCORES})
    starts = (
        lambda c: c.predict_proba_one(0.3),
        lambda c: c.partial_fit(SCORES, LABELS),
        lambda c: c.forecast([1], [0.3]),
        lambda c: c.predict_proba(frame),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for start in starts:
            cal = OnlinePlattCalibrator(classes=[0, 1])
            start(cal)
            cal.predict_proba(frame)
            cal.forecast(range(2, 10), frame)
            cal.partial_fit(frame, LABELS)
            assert cal.feature_names_in_.tolist() == ["score"]
            with pytest.raises(ValueError, match="feature names"):
                cal.partial_fit(frame.rename(columns={"score": "other"}), LABELS)
        cal.fit(SCORES, LABELS)
        cal.predict_proba(frame.rename(columns={"score": "other"}))


def test_a_fresh_calibrator_says_how_to_start():
    with pytest.raises(NotFittedError, match=r"OnlinePlattCalibrator\(classes=\[0, 1\]\)"):
        OnlinePlattCalibrator().predict_proba([0.3])
    assert_allclose(OnlinePlattCalibrator(classes=[0, 1]).predict_proba([0.3])[0, 1], 0.3)


def test_one_class_for_long_takes_no_longer():
    n = 3000
    cal = WindowedCalibrator(PlattCalibrator(), refit_every=10)
    kept = []
    keep = cal._keep
    cal._keep = lambda *args: (kept.append(1), keep(*args))
    p = np.linspace(0.1, 0.9, n)
    cal.partial_fit(p, np.zeros(n, int))
    assert len(kept) < 5
    assert cal.calibrator_ is None
    cal.partial_fit(p[:20], [0] * 7 + [None] + [1] * 12)
    batch = PlattCalibrator().fit(np.r_[p, p[:7], p[8]], [0] * (n + 7) + [1])
    first = WindowedCalibrator(PlattCalibrator(), refit_every=1000).partial_fit(p, [0] * n)
    first.partial_fit(np.r_[p[:7], p[8]], [0] * 7 + [1])
    assert_allclose(first.predict_proba(p), batch.predict_proba(p), atol=1e-12)


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("cls", [TrackingCalibrator, HedgingCalibrator])
def test_scores_on_borders_fall_to_one_side(cls, compiled, monkeypatch):
    if compiled and not jit._available():
        pytest.skip("needs Numba")
    monkeypatch.setattr(jit, "_available", lambda: compiled)
    rng = np.random.default_rng(0)
    grids = [np.arange(k + 1) / k for k in (10, 20, 100)]
    p = np.concatenate([*grids, rng.random(500)])
    for inner in (OnlinePlattCalibrator(), OnlineBetaCalibrator(), AdaptivePlattCalibrator()):
        for n_bins in (10, 7, 20):
            cal = cls(inner, n_bins=n_bins, classes=[0, 1])
            streamed = cal.predict_then_update(np.tile(p, 40), np.full(40 * len(p), np.nan))
            assert_array_equal(np.tile(cal.predict_proba(p), (40, 1)), streamed)
    fresh = TrackingCalibrator(classes=[0, 1])
    assert_allclose(fresh.predict_proba(grids[0])[1:, 1], grids[0][1:] - 0.05)


@pytest.mark.parametrize(
    "calibrator",
    [
        OnlineBetaCalibrator(),
        WindowedCalibrator(PlattCalibrator()),
        TrackingCalibrator(),
        OnlinePlattCalibrator(),
    ],
    ids=repr,
)
def test_text_is_no_score(calibrator):
    cal = clone(calibrator)
    for act in (cal.predict_proba_one, lambda x: cal.learn_one(x, 1)):
        for text in ("0.5", b"0.5"):
            with pytest.raises(ValueError, match=r"x is b?'0\.5'; expected a number. Pass float"):
                act(text)
            cal.partial_fit(SCORES, LABELS)


def test_settings_of_odd_kinds_are_refused():
    for start in ([[1, 2], [3]], "ab", {1, 2}):
        with pytest.raises(ValueError, match="expected 2 numbers"):
            OnlinePlattCalibrator(start=start).partial_fit(SCORES, LABELS)
    for discounts in (None, 0.9, "0.9", {0.9}, []):
        with pytest.raises(ValueError, match="expected a sequence of numbers"):
            AdaptivePlattCalibrator(discounts=discounts).partial_fit(SCORES, LABELS)
    for cls in (OnlinePlattCalibrator, OnlineBetaCalibrator):
        with pytest.raises(TypeError, match=rf"{cls.__name__}\.__init__\(\) got"):
            cls(gama=1)


def test_waiting_forecasts_describe_themselves():
    cal = OnlinePlattCalibrator(max_pending=5)
    cal.forecast(["a", "b"], [0.2, 0.3])
    assert repr(cal.pending_) == "<Pending: 2 forecasts wait, at most 5>"


def test_an_id_that_is_forecast_again_is_said():
    for cal, rest in ((OnlinePlattCalibrator(), ()), (MultiStreamCalibrator(), (["s"] * 2,))):
        words = r"forecast: 1 of 2 ids are repeated or still wait for a label \(first 'a'\)"
        with pytest.raises(ReplacedForecastWarning, match=words):  # as an error it refuses
            cal.forecast(["a", "a"], [0.2, 0.9], *rest)
        assert len(getattr(cal, "pending_", ())) == 0
        cal.forecast(["a", "b"], [0.2, 0.9], *rest)
        with pytest.warns(ReplacedForecastWarning, match="never update"):
            cal.forecast(["c", "a"], [0.3, 0.4], *rest)
        assert (len(cal.pending_), cal.pending_.n_replaced) == (3, 1)
        assert cal.label(["a", "b"], [1, 0]).n_learned == 2


@pytest.mark.parametrize(
    "calibrator",
    [
        OnlinePlattCalibrator(),
        OnlineBetaCalibrator(),
        OnlineTemperatureCalibrator(),
        AdaptivePlattCalibrator(),
        TrackingCalibrator(),
        HedgingCalibrator(random_state=0),
        WindowedCalibrator(PlattCalibrator()),
    ],
    ids=repr,
)
def test_forged_tickets_are_refused(calibrator):
    cal = clone(calibrator).partial_fit(SCORES, LABELS)
    cal.forecast(["a"], [0.3])
    good = to_dict(cal)
    assert to_dict(from_dict(good)) == good
    ticket = good["state"]["pending_"]["tickets"][0]
    forged = [[], ticket[:-1], [*ticket, 0.5], "abc", None, 3, [None] * len(ticket)]
    forged += [[*ticket[:-1], v] for v in (np.nan, np.inf, 1e300, "0.5", True, [0.5])]
    for bad in forged:
        data = copy.deepcopy(good)
        data["state"]["pending_"]["tickets"] = [bad]
        with pytest.raises(ValueError, match="from_dict"):
            from_dict(data)
    if "calibrator_" in good["state"]:
        data = copy.deepcopy(good)
        platt = to_dict(PlattCalibrator().fit(SCORES, LABELS))
        data["state"]["calibrator_"] = {k: platt[k] for k in data["state"]["calibrator_"]}
        with pytest.raises(ValueError, match="calibrator_ is platt; expected online_platt"):
            from_dict(data)


@pytest.mark.parametrize("outer", [TrackingCalibrator, HedgingCalibrator])
def test_a_held_calibrator_counts_its_labels(outer):
    """Draws of hedging depend on it: cutting a stream into calls changes nothing."""
    rng = np.random.default_rng(0)
    p = rng.integers(0, 11, 200) / 10
    y = (rng.random(200) < p).astype(int)
    whole = outer(HedgingCalibrator(random_state=1), n_bins=3, classes=[0, 1])
    cut = clone(whole)
    if outer is HedgingCalibrator:
        whole.set_params(random_state=0), cut.set_params(random_state=0)
    forecast = whole.predict_then_update(p, y)
    rows = [cut.predict_then_update(p[[t]], y[[t]])[0] for t in range(200)]
    assert (forecast == rows).all()
    assert cut.calibrator_.n_seen_ == whole.calibrator_.n_seen_ == 200
    cut.forecast([1], [0.5])
    cut.label([1], [1])
    assert cut.calibrator_.n_seen_ == 201


@pytest.mark.parametrize("made", [OnlinePlattCalibrator, TrackingCalibrator])
def test_a_row_that_is_refused_leaves_what_waits(made):
    cal = made(classes=[0, 1])
    cal.forecast([1, 2, 3], [0.2, 0.5, 0.7])
    cal.set_params(max_pending=1)
    before = to_dict(cal)
    for x in (7.0, "x"):
        with pytest.raises(ValueError):
            cal.learn_one(x, 1)
        assert to_dict(cal) == before
    cal.learn_one(0.5, 1)
    assert len(cal.pending_) == 1


def test_late_labels_that_fail_keep_the_order_of_those_that_wait(monkeypatch):
    cal = TrackingCalibrator(classes=[0, 1])
    cal.forecast([1, 2], [0.2, 0.5])
    monkeypatch.setattr(TrackingCalibrator, "_learn_batch", None)
    with pytest.raises(TypeError):
        cal.label([1], [1])
    assert cal.pending_.to_dict()["ids"] == [1, 2]


def test_a_classifier_that_can_not_learn_is_refused_after_the_start_too():
    X, y = [[0.0], [1.0]], [0, 1]
    model = OnlineCalibratedClassifier(LogisticRegression().fit(X, y)).partial_fit(X, y)
    for given, words in ((True, "no partial_fit"), ("x", "expected a bool")):
        with pytest.raises(TypeError, match=words):
            model.set_params(update_estimator=given).partial_fit(X, y)


@pytest.mark.parametrize("call", ["partial_fit", "predict_then_update", "fit", "label"])
def test_a_step_that_fails_half_way_leaves_no_trace(call, monkeypatch):
    """Two of five have learnt the rows when the third fails, deep inside."""
    p, y = binary_data()
    cal = TrackingCalibrator(AdaptivePlattCalibrator()).partial_fit(p, y)
    cal.forecast(range(20), p[:20])
    before, real, n = to_dict(cal), OnlinePlattCalibrator._stream, []

    def fails(self, *args):
        n.append(1)
        if len(n) == 3:
            raise MemoryError
        return real(self, *args)

    monkeypatch.setattr(OnlinePlattCalibrator, "_stream", fails)
    with pytest.raises(MemoryError):
        getattr(cal, call)(range(20) if call == "label" else p[:20], y[:20])
    assert to_dict(cal) == before
    n[:] = [1, 1, 1]
    assert getattr(cal, call)(range(20) if call == "label" else p[:20], y[:20]) is not None


def test_what_is_held_goes_on_as_it_would_alone():
    """A copy learns in its place, and does all that it does: a window is refitted."""
    p, y = binary_data()
    inner = WindowedCalibrator(PlattCalibrator(), refit_every=50)
    cal, alone = TrackingCalibrator(inner), clone(inner)
    for rows in np.split(np.arange(300), 6):
        cal.partial_fit(p[rows], y[rows])
        alone.partial_fit(p[rows], y[rows])
    assert to_dict(cal.calibrator_) == to_dict(alone)
