"""Each calibrator against an independent reference."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit, logsumexp
from sklearn.isotonic import IsotonicRegression

from calibkit import (
    BetaCalibrator,
    IdentityCalibrator,
    IsotonicCalibrator,
    OneVsRestCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
    TopLabelCalibrator,
)
from calibkit._core.warnings import (
    MissingClassWarning,
    ReversedScoresWarning,
    SaturatedScoresWarning,
    ScaleWarning,
    SeparationWarning,
)
from calibkit.testing import binary_data, multiclass_data


def logistic_loss(theta, columns, y, w=1.0):
    eta = np.column_stack([*columns, np.ones(len(y))]) @ theta
    return -np.sum(w * (y * log_expit(eta) + (1 - y) * log_expit(-eta)))


def test_platt_is_maximum_likelihood():
    p, y = binary_data(2000)
    cal = PlattCalibrator().fit(p, y)
    found = np.array([cal.slope_, cal.intercept_])
    reference = minimize(logistic_loss, [1.0, 0.0], args=([logit(p)], y), method="BFGS", tol=1e-10)
    np.testing.assert_allclose(found, reference.x, atol=1e-5)
    assert logistic_loss(found, [logit(p)], y) <= reference.fun + 1e-9
    z = logit(p)
    residual = expit(cal.slope_ * z + cal.intercept_) - y
    # The fit stops at an excess loss below 1e-14 a row, so at a gradient g with g^2/2h below it.
    np.testing.assert_allclose([residual.mean(), (residual * z).mean()], 0, atol=1e-7)


@pytest.mark.parametrize("n", [50, 1_000, 200_000])
@pytest.mark.parametrize(("slope", "shift"), [(0.5, 0.3), (2.0, -4.0)])
def test_platt_recovers_an_affine_distortion(n, slope, shift):
    """From probabilities and from logits alike, and in units of any size."""
    rng = np.random.default_rng(n)
    z = rng.normal(size=n)
    y = rng.random(n) < expit(slope * z + shift)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeparationWarning)
        from_p = PlattCalibrator().fit(expit(z), y)
        from_z = PlattCalibrator(scale="logit").fit(z, y)
        scaled = PlattCalibrator(scale="logit").fit(1e6 * z + 1e8, y)
    np.testing.assert_allclose([from_p.slope_, from_p.intercept_],
                               [from_z.slope_, from_z.intercept_], rtol=1e-6)  # fmt: skip
    np.testing.assert_allclose(
        scaled.predict_proba(1e6 * z + 1e8), from_z.predict_proba(z), atol=1e-6
    )
    if n == 200_000:
        q = expit(slope * z + shift)
        information = np.array([[np.mean(q * (1 - q) * z**2), np.mean(q * (1 - q) * z)],
                                [np.mean(q * (1 - q) * z), np.mean(q * (1 - q))]]) * n  # fmt: skip
        error = np.sqrt(np.diag(np.linalg.inv(information)))
        assert (np.abs([from_z.slope_ - slope, from_z.intercept_ - shift]) < 4 * error).all()


def test_platt_smoothed_targets_and_penalty():
    p, y = binary_data(200)
    n1, n0 = y.sum(), (1 - y).sum()
    t = np.where(y == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    cal = PlattCalibrator(smooth_targets=True).fit(p, y)
    residual = expit(cal.slope_ * logit(p) + cal.intercept_) - t
    np.testing.assert_allclose([residual.mean(), np.mean(residual * logit(p))], 0, atol=1e-7)
    cal = PlattCalibrator(l2=5.0).fit(p, y)
    residual = expit(cal.slope_ * logit(p) + cal.intercept_) - y
    gradient = [residual @ logit(p) + 5 * (cal.slope_ - 1), residual.sum() + 5 * cal.intercept_]
    np.testing.assert_allclose(np.array(gradient) / len(y), 0, atol=1e-7)
    strong = PlattCalibrator(l2=1e9).fit(p, y)
    np.testing.assert_allclose([strong.slope_, strong.intercept_], [1, 0], atol=1e-6)


def test_saturated_scores_are_read_at_the_resolution_of_the_others():
    """A forest of 20 trees that says 0 means less than 1 in 20, so eps is half of that."""
    rng = np.random.default_rng(0)
    truth = rng.beta(0.3, 0.3, size=4000)
    p = rng.binomial(20, truth) / 20
    y = rng.random(4000) < truth
    cal = PlattCalibrator().fit(p, y)
    np.testing.assert_allclose(cal.clip_, 1 / 40)
    fine = PlattCalibrator().fit(np.clip(p, 1e-9, 1 - 1e-9), y)
    np.testing.assert_allclose(fine.clip_, 0.5e-9)

    def loss(c):
        return logistic_loss(
            [c.slope_, c.intercept_], [logit(np.clip(p, *[c.clip_[0], 1 - c.clip_[1]]))], y
        )

    assert loss(cal) < loss(fine)
    with pytest.warns(SaturatedScoresWarning, match="eps='auto'"):
        PlattCalibrator(eps=1e-6).fit(p, y)


def test_platt_constant_scores_move_the_intercept_alone():
    cal = PlattCalibrator().fit(np.full(10, 0.2), np.arange(10) < 5)
    assert cal.slope_ == 1
    np.testing.assert_allclose(cal.predict_proba([0.2])[0, 1], 0.5)


@pytest.mark.parametrize(
    "cal", [PlattCalibrator(), BetaCalibrator(), TemperatureCalibrator()], ids=repr
)
def test_separation_is_finite_and_said(cal):
    p = np.array([0.51, 0.55, 0.6, 0.9, 0.1, 0.2, 0.3, 0.45])
    y = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    with pytest.warns(SeparationWarning, match="separate"):
        q = cal.fit(p, y).predict_proba(p)[:, 1]
    assert q.min() > 0.001
    assert q.max() < 0.999
    assert q[:4].mean() > 0.65


def test_quasi_separation_counts_as_separation():
    with pytest.warns(SeparationWarning):
        PlattCalibrator().fit([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1])


def test_reversed_scores_are_said_and_never_reverse_a_monotone_map():
    p, y = binary_data(1000)
    with pytest.warns(ReversedScoresWarning, match="negative"):
        assert PlattCalibrator().fit(1 - p, y).slope_ < 0
    with pytest.warns(ReversedScoresWarning, match="bound"):
        cal = TemperatureCalibrator().fit(1 - p, y)
    assert cal.temperature_ > 10
    q = cal.predict_proba([0.2, 0.8])[:, 1]
    assert q[0] < q[1]
    with pytest.warns(ReversedScoresWarning, match="constant"):
        cal = BetaCalibrator().fit(1 - p, y)
    np.testing.assert_allclose(cal.predict_proba([0.1, 0.9])[:, 1], y.mean(), atol=1e-9)


def constrained_beta(p, y):
    columns = [np.log(p), -np.log1p(-p)]
    best = minimize(
        logistic_loss,
        [1.0, 1.0, 0.0],
        args=(columns, y),
        method="L-BFGS-B",
        bounds=[(0, None), (0, None), (None, None)],
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000},
    )
    return best.x, best.fun


@pytest.mark.parametrize("case", ["free", "a = 0", "b = 0"])
def test_beta_is_the_constrained_maximum(case):
    rng = np.random.default_rng(3)
    p = rng.uniform(0.01, 0.99, size=3000)
    truth = {
        "free": p**2,
        "a = 0": np.where(p < 0.5, 0.5 - 0.4 * p, p),
        "b = 0": np.where(p > 0.5, 1.1 - 0.9 * p, p),
    }[case]
    y = (rng.random(3000) < truth).astype(int)
    cal = BetaCalibrator().fit(p, y)
    theta, loss = constrained_beta(p, y)
    assert logistic_loss([cal.a_, cal.b_, cal.c_], [np.log(p), -np.log1p(-p)], y) <= loss + 1e-6
    np.testing.assert_allclose([cal.a_, cal.b_, cal.c_], theta, atol=2e-3)
    assert cal.a_ >= 0
    assert cal.b_ >= 0


def test_beta_agrees_with_betacal():
    betacal = pytest.importorskip("betacal")
    p, y = binary_data(2000)
    reference = betacal.BetaCalibration(parameters="abm").fit(p.reshape(-1, 1), y)
    q = BetaCalibrator().fit(p, y).predict_proba(p)[:, 1]
    # Their fit is slightly penalised and stops at a gradient of 1e-4.
    np.testing.assert_allclose(q, reference.predict(p), atol=2e-3)


def temperature_loss(beta, z, y):
    return np.mean(logsumexp(beta * z, axis=1) - beta * z[np.arange(len(y)), y])


@pytest.mark.parametrize("shape", [(500, 3), (3_000, 12), (20_000, 40)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_temperature_is_maximum_likelihood(shape, dtype):
    rng = np.random.default_rng(0)
    z = rng.normal(size=shape).astype(dtype)
    y = (z + rng.gumbel(size=shape)).argmax(axis=1)
    z *= dtype(3)
    cal = TemperatureCalibrator(scale="logit").fit(z, y)
    assert cal.converged_
    z = z.astype(float)
    exact = TemperatureCalibrator(scale="logit").fit(z, y).temperature_
    np.testing.assert_allclose(cal.temperature_, exact, rtol=1e-8)
    best = min(temperature_loss(b, z, y) for b in np.linspace(0.999, 1.001, 21) / cal.temperature_)
    assert temperature_loss(1 / cal.temperature_, z, y) <= best + 1e-12

    # The log-likelihood is flat at the optimum: its slope is the test, not its value.
    def slope(b):
        q = np.exp(b * z - logsumexp(b * z, axis=1, keepdims=True))
        return np.mean((q * z).sum(axis=1) - z[np.arange(len(y)), y])

    assert abs(slope(1 / cal.temperature_)) < (1e-8 if dtype == np.float64 else 1e-4)


def test_temperature_of_two_classes_is_platt_without_intercept():
    p, y = binary_data(1000)
    one = TemperatureCalibrator().fit(p, y)
    two = TemperatureCalibrator(scale="logit").fit(np.column_stack((np.zeros(1000), logit(p))), y)
    np.testing.assert_allclose(one.temperature_, two.temperature_, rtol=1e-12)
    z = logit(p)
    np.testing.assert_allclose(np.mean((expit(z / one.temperature_) - y) * z), 0, atol=1e-7)


@pytest.mark.parametrize("units", [1e-9, 1.0, 1e9])
def test_temperature_in_any_units(units):
    p, y = multiclass_data()
    base = TemperatureCalibrator(scale="logit").fit(np.log(p), y)
    cal = TemperatureCalibrator(scale="logit").fit(units * np.log(p), y)
    np.testing.assert_allclose(cal.temperature_ / units, base.temperature_, rtol=1e-9)


def test_temperature_shift_of_a_row_changes_nothing():
    p, y = multiclass_data()
    shift = np.random.default_rng(0).normal(size=(len(y), 1)) * 100
    a = TemperatureCalibrator(scale="logit").fit(np.log(p), y)
    b = TemperatureCalibrator(scale="logit").fit(np.log(p) + shift, y)
    np.testing.assert_allclose(a.temperature_, b.temperature_, rtol=1e-9)


def test_isotonic_agrees_with_scikit_learn_at_the_data():
    rng = np.random.default_rng(0)
    p = np.round(rng.random(2000), 3)
    y = (rng.random(2000) < p**2).astype(int)
    for w in (None, rng.random(2000) + 0.1):
        ours = IsotonicCalibrator(min_probability=None).fit(p, y, w).predict_proba(p)[:, 1]
        theirs = IsotonicRegression(out_of_bounds="clip").fit(p, y, w).predict(p)
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_isotonic_on_logits_is_the_same_fit():
    p, y = binary_data(2000)
    a = IsotonicCalibrator().fit(p, y).predict_proba(p)
    b = IsotonicCalibrator(scale="logit").fit(logit(p), y).predict_proba(logit(p))
    np.testing.assert_allclose(a, b, atol=1e-12)


def test_centred_isotonic_passes_through_the_centres_of_the_blocks():
    x = np.array([0.1, 0.2, 0.3, 0.4, 0.8, 0.9])
    y = np.array([0, 1, 0, 1, 1, 1])
    cal = IsotonicCalibrator(interpolation="centred", min_probability=None).fit(x, y)
    np.testing.assert_allclose(cal.x_, [0.1, 0.25, 0.7])
    np.testing.assert_allclose(cal.value_, [0, 0.5, 1])
    np.testing.assert_allclose(cal.predict_proba([0.0, 0.175, 0.25, 1.0])[:, 1], [0, 0.25, 0.5, 1])


def test_isotonic_never_claims_more_than_its_rows_show():
    p, y = binary_data(100)
    q = IsotonicCalibrator().fit(p, y).predict_proba([0.0, 1.0])[:, 1]
    assert q[0] >= 1 / 102
    assert q[1] <= 101 / 102
    exact = IsotonicCalibrator(min_probability=None).fit([0.1, 0.9], [0, 1])
    np.testing.assert_array_equal(exact.predict_proba([0.1, 0.9])[:, 1], [0, 1])


def test_isotonic_extrapolates_as_a_constant():
    cal = IsotonicCalibrator(scale="logit").fit([-1.0, 0.0, 1.0, 2.0], [0, 1, 0, 1])
    q = cal.predict_proba([-1e9, -1.0, 2.0, 1e9])[:, 1]
    assert q[0] == q[1]
    assert q[2] == q[3]


def test_one_vs_rest_is_its_parts_brought_to_one():
    p, y = multiclass_data()
    cal = OneVsRestCalibrator(PlattCalibrator()).fit(p, y)
    parts = np.column_stack(
        [PlattCalibrator().fit(p[:, k], y == k).predict_proba(p[:, k])[:, 1] for k in range(4)]
    )
    np.testing.assert_allclose(
        cal.predict_proba(p), parts / parts.sum(axis=1, keepdims=True), atol=1e-12
    )


def test_top_label_is_the_calibrated_confidence():
    p, y = multiclass_data()
    top, correct = p.max(axis=1), p.argmax(axis=1) == y
    cal = TopLabelCalibrator(PlattCalibrator()).fit(p, y)
    expected = PlattCalibrator().fit(top, correct).predict_proba(top)[:, 1]
    np.testing.assert_allclose(cal.predict_confidence(p), expected, atol=1e-12)
    q = cal.predict_proba(p)
    np.testing.assert_allclose(q[np.arange(len(p)), p.argmax(axis=1)], expected, atol=1e-12)
    others = np.delete(p[0], p[0].argmax()) / (1 - top[0])
    np.testing.assert_allclose(
        np.delete(q[0], p[0].argmax()), others * (1 - expected[0]), atol=1e-12
    )


@pytest.mark.parametrize("lift", [OneVsRestCalibrator, TopLabelCalibrator])
def test_lifts_take_logits_in_their_native_scale(lift):
    """Winning log-odds beyond the resolution of probabilities keep their order."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 3)) * 30
    y = (z / 30 + rng.gumbel(size=(500, 3))).argmax(axis=1)
    cal = lift(PlattCalibrator(scale="logit")).fit(z, y)
    q = cal.predict_proba(np.array([[60.0, 0, 0], [80.0, 0, 0]]))[:, 0]
    assert q[0] < q[1] < 1


def test_lifts_say_which_classes_are_left_alone():
    p, y = multiclass_data()
    keep = y != 3
    with pytest.warns(MissingClassWarning, match=r"\(labels: 3\)"):
        cal = OneVsRestCalibrator(PlattCalibrator(), classes=range(4)).fit(p[keep], y[keep])
    np.testing.assert_array_equal(cal.classes_without_data_, [3])
    with pytest.warns(MissingClassWarning, match="always correct"):
        TopLabelCalibrator(PlattCalibrator()).fit(p, p.argmax(axis=1))


@pytest.mark.parametrize("inner", ["platt", None, TopLabelCalibrator(PlattCalibrator())])
def test_lifts_want_a_binary_calibrator(inner):
    p, y = multiclass_data()
    with pytest.raises(TypeError, match="expected"):
        OneVsRestCalibrator(inner).fit(p, y)


def test_identity_returns_probabilities_on_both_scales():
    p, y = multiclass_data()
    np.testing.assert_allclose(IdentityCalibrator().fit(p, y).predict_proba(p), p, atol=1e-15)
    q = IdentityCalibrator(scale="logit").fit(np.log(p), y).predict_proba(np.log(p))
    np.testing.assert_allclose(q, p, atol=1e-12)


@pytest.mark.parametrize(
    ("cal", "words"),
    [
        (PlattCalibrator(l2=-1.0), "l2=-1.0"),
        (PlattCalibrator(scale="odds"), "'probability', 'logit'"),
        (PlattCalibrator(eps=0.0), "eps"),
        (PlattCalibrator(eps="tiny"), "'auto'"),
        (PlattCalibrator(eps=True), "eps"),
        (PlattCalibrator(smooth_targets=1), "smooth_targets"),
        (PlattCalibrator(classes=[1, 0]), "sorted"),
        (PlattCalibrator(classes=[1]), "two or more"),
        (IsotonicCalibrator(interpolation="linear"), "'step', 'centred'"),
        (IsotonicCalibrator(min_probability=0.5), "min_probability"),
        (IsotonicCalibrator(min_probability="none"), "'auto'"),
        (OneVsRestCalibrator(PlattCalibrator(l2="x")), "l2='x'"),
    ],
    ids=repr,
)
def test_bad_parameters_are_refused_in_fit(cal, words):
    with pytest.raises((ValueError, TypeError), match=words):
        cal.fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1])


def test_probabilities_declared_as_logits_are_said():
    p, y = binary_data(200)
    with pytest.warns(ScaleWarning, match="scale='probability'"):
        PlattCalibrator(scale="logit").fit(p, y)


def test_logits_declared_as_probabilities_are_refused():
    p, y = binary_data(200)
    with pytest.raises(ValueError, match=r"outside \[0, 1\] .*scale='logit'"):
        PlattCalibrator().fit(logit(p), y)
