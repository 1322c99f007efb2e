"""Vector and matrix scaling: published check numbers, other optimizers, and extreme data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from calibkit import (
    MatrixScalingCalibrator,
    TemperatureCalibrator,
    VectorScalingCalibrator,
    from_dict,
    to_dict,
)
from calibkit._numerics import matrix
from calibkit._numerics.matrix import Ridge, SoftmaxRows, learn_vector, tempered
from calibkit.testing import multiclass_data

pytestmark = pytest.mark.filterwarnings("ignore::calibkit.CalibrationWarning")


def m4(seed, n, k=4):
    """Scores that are distorted by a matrix, and labels."""
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=(n, k))
    shift = np.resize([0.3, 0, -0.3, 0.1], k)
    truth = softmax(z @ (np.eye(k) + 0.25 * np.roll(np.eye(k), 1, 0)).T + shift, axis=1)
    y = np.minimum((rng.random(n)[:, None] > truth.cumsum(axis=1)).sum(axis=1), k - 1)
    return softmax(2 * z, axis=1), y


def loss(cal, p, y):
    return -np.log(cal.predict_proba(p)[np.arange(len(y)), y]).mean()


FIT, TEST = m4(0, 1500), m4(1, 20_000)
VECTOR, MATRIX = VectorScalingCalibrator, MatrixScalingCalibrator


@pytest.mark.parametrize(
    ("cal", "fit", "test"),
    [
        (VECTOR(strength="structured"), 0.96816, 0.98138),
        (VECTOR(strength=0), 0.96776, 0.98210),
        (MATRIX(strength="structured"), 0.94421, 0.95263),
        (MATRIX(strength=0), 0.94374, 0.95349),
        (VECTOR(strength=1e9), 0.98719, 0.99750),  # temperature scaling, mixed
        (MATRIX(strength=1e9), 0.98719, 0.99750),
    ],
    ids=repr,
)
def test_losses_of_structured_and_plain_scaling(cal, fit, test):
    cal.fit(*FIT)
    assert_allclose([loss(cal, *FIT), loss(cal, *TEST)], [fit, test], atol=2e-5)


def test_coefficients_of_structured_scaling():
    vector = VECTOR(strength="structured").fit(*FIT)
    assert 1 / vector.temperature_ == pytest.approx(0.4368176, abs=1e-7)
    assert_allclose(vector.slope_, [1.11541, 1.05571, 0.92098, 0.93977], atol=6e-6)
    assert_allclose(vector.intercept_, [0.41586, -0.02218, -0.41383, 0.02015], atol=6e-6)
    whole = MATRIX(strength="structured").fit(*FIT)
    expected = [
        [1.11920, -0.13286, -0.04265, 0.16061],
        [0.16520, 1.06191, -0.03940, -0.10016],
        [-0.04897, 0.21611, 0.99049, -0.05318],
        [-0.15597, -0.10389, 0.08522, 0.97820],
    ]
    assert_allclose(whole.matrix, expected, atol=6e-6)
    assert_allclose(whole.intercept_, [0.37656, 0.02588, -0.12714, -0.27530], atol=6e-6)


def test_learnt_strengths_are_better_than_temperature_scaling_and_than_vectors():
    losses = [loss(c.fit(*FIT), *TEST) for c in (MATRIX(), VECTOR(), VECTOR(strength=1e9))]
    assert losses[0] < losses[1] - 0.02 < losses[2] - 0.03


def objective(l, y, w, ridge, parts):  # noqa: E741
    """The penalized mean log loss, written anew."""
    k, n = l.shape
    h = -np.log(1 - np.exp(l))

    def value(flat):
        b, v, s, u, _ = np.split(flat, np.cumsum([k, parts[0], parts[1], parts[2]]))
        slope = v.reshape(k, k) if len(v) > k else np.diag(v)
        eta = l + b[:, None] + slope @ l + ((s + u)[:, None] * h if len(u) else 0)
        penalty = ridge.intercept * b @ b + ridge.slope * np.diag(slope) @ np.diag(slope)
        if len(v) > k:
            off = slope[~np.eye(k, dtype=bool)]
            penalty += ridge.other * off @ off
        if len(u):
            penalty += ridge.curve * u @ u + ridge.common * s @ s
        return w @ -log_softmax(eta, axis=0)[y, np.arange(n)] / w.sum() + penalty

    return value


@pytest.mark.parametrize("whole", [True, False], ids=["newton", "blocks"])
@pytest.mark.parametrize(
    "ridge",
    [
        Ridge(0.02, 0.01),
        Ridge(0.02, 0.01, other=0.05),
        Ridge(0.02, 0.01, curve=0.03, common=0.004),
        Ridge(0.02, 0.01, 0.05, 0.03, 0.004),
    ],
    ids=["vector", "matrix", "nonlinear", "nonlinear matrix"],
)
def test_fits_are_the_optima_of_scipy(ridge, whole, monkeypatch):
    if not whole:
        monkeypatch.setattr(matrix, "_DENSE", (1, 1))
    p, y = m4(3, 80, k=3)
    l, w = tempered(np.log(p), 0.5, 0.01), np.random.default_rng(0).random(80)  # noqa: E741
    kind = {"matrix": ridge.other is not None, "curve": ridge.curve is not None}
    data = SoftmaxRows(lambda rows: l[:, rows], y, w, 3, **kind)
    fit = data.fit(ridge, tol=1e-16)
    assert fit.converged
    parts = (9 if kind["matrix"] else 3, 1 if kind["curve"] else 0, 3 if kind["curve"] else 0)
    value = objective(l, y, w, ridge, parts)
    best = minimize(value, np.zeros(3 + sum(parts)), tol=1e-12, options={"gtol": 1e-8})
    expected = best.x[: 3 + parts[0]]
    found = np.concatenate((fit.theta[:, 0], fit.theta[:, 1 : 1 + parts[0] // 3].ravel()))
    assert_allclose(found, expected, atol=2e-5)
    if kind["curve"]:
        s, u = best.x[3 + parts[0]], best.x[4 + parts[0] :]
        assert_allclose(fit.theta[:, -1], s + u, atol=2e-5)


def test_plain_matrix_scaling_is_logistic_regression_on_log_probabilities():
    p, y = FIT
    expected = LogisticRegression(C=1e8, tol=1e-10, max_iter=2000).fit(np.log(p), y)
    found = MATRIX(strength=0).fit(p, y)
    assert_allclose(found.predict_proba(p[:50]), expected.predict_proba(np.log(p[:50])), atol=1e-4)


def test_dirichlet_calibration_is_odirs_optimum():
    p, y = m4(3, 100, k=3)
    cal = MATRIX(form="dirichlet", strength=0.2).fit(p, y)
    log_p = np.log(p)

    def value(flat):
        slope, b = flat[:9].reshape(3, 3), flat[9:]
        nll = -log_softmax(log_p @ slope.T + b, axis=1)[np.arange(100), y].mean()
        off = slope[~np.eye(3, dtype=bool)]
        return nll + 0.2 * (off**2).mean() + 0.2 * (b**2).mean()

    best = minimize(value, np.append(np.eye(3).ravel(), np.zeros(3)), tol=1e-12)
    assert_allclose(cal.matrix, best.x[:9].reshape(3, 3), atol=1e-4)
    assert_allclose(cal.intercept_, best.x[9:], atol=1e-4)
    auto = MATRIX(form="dirichlet").fit(*FIT)
    assert loss(auto, *TEST) < 0.956


@pytest.mark.parametrize("k", [2, 4])
def test_leave_one_out_losses_are_those_of_refits(k):
    p, y = m4(1, 60 * k, k)
    n, ridge = len(y), Ridge(0.02, 0.02, 0.05)
    l = tempered(np.log(p), 0.5, 0.01)  # noqa: E741
    data = SoftmaxRows(lambda rows: l[:, rows], y, None, k, matrix=True)
    full, refits = data.fit(ridge), []
    for i in range(n):
        w = np.ones(n)
        w[i] = 0
        other = SoftmaxRows(lambda rows: l[:, rows], y, w, k, matrix=True)
        scaled = Ridge(*(None if v is None else v * n / (n - 1) for v in ridge))
        theta = other.fit(scaled, full.theta, tol=1e-12).theta
        eta = other.coefficients(theta).scores(l[:, i : i + 1])
        refits.append(-log_softmax(eta, axis=0)[y[i], 0])
    gap = np.mean(refits) - full.loss
    assert abs(data.leave_one_out(full, ridge, n) - np.mean(refits)) < 0.05 * gap


def test_empirical_bayes_finds_what_coefficients_were_drawn_from():
    rng = np.random.default_rng(1)
    k, n = 25, 4_000
    l = log_softmax(rng.normal(size=(k, n)), axis=0)  # noqa: E741
    eta = l + rng.normal(scale=0.5, size=(k, 1)) + l * rng.normal(scale=0.1, size=(k, 1))
    y = (eta + rng.gumbel(size=(k, n))).argmax(axis=0)
    ridge, fit = learn_vector(SoftmaxRows(lambda rows: l[:, rows], y, None, k), n)
    sd = 1 / np.sqrt(2 * n * np.array([ridge.intercept, ridge.slope]))
    assert_allclose(sd, [0.5, 0.1], rtol=0.25)
    assert fit.converged


@pytest.mark.parametrize("make", [VECTOR, MATRIX])
def test_blocks_of_rows_and_single_precision_change_nothing(make, monkeypatch):
    p, y = multiclass_data(700)
    expected = make(strength="structured").fit(p, y).predict_proba(p)
    monkeypatch.setattr("calibkit.calibrators._softmax._KEPT", 0)
    monkeypatch.setattr(matrix, "_BLOCK", 64)
    assert_allclose(make(strength="structured").fit(p, y).predict_proba(p), expected, atol=1e-9)
    single = make(strength="structured").fit(np.float32(p), y).predict_proba(np.float32(p))
    assert_allclose(single, expected, atol=1e-5)


@pytest.mark.parametrize("make", [TemperatureCalibrator, VECTOR, MATRIX])
def test_huge_logits_in_single_precision(make):
    p, y = m4(0, 100)
    z = np.float32(np.log(p) * 1e30)
    expected = make(scale="logit").fit(z.astype(float), y).predict_proba(z.astype(float))
    assert_allclose(make(scale="logit").fit(z, y).predict_proba(z), expected, atol=1e-5)


@pytest.mark.parametrize("cal", [MATRIX(strength=0), MATRIX(form="dirichlet", strength=0)])
def test_certain_and_wrong_logits_have_an_optimum(cal):
    p, y = m4(0, 200)
    z = 1e4 * np.log(p)
    cal = cal.set_params(scale="logit").fit(z, y)
    assert cal.converged_
    assert np.abs(cal.slope_).max() < 10
    assert loss(cal, z, y) < 1.2


@pytest.mark.parametrize("cal", [VECTOR(), VECTOR(strength=0), MATRIX(), MATRIX(form="dirichlet")])
def test_no_probability_is_0_or_1(cal):
    p, y = multiclass_data(200)
    hard = np.eye(4)[y]
    few = [int(np.flatnonzero(y == j)[0]) for j in range(4)]
    absent = y != 2
    for x, labels in ((hard, y), (p[few], y[few]), (p[absent], y[absent])):
        fitted = type(cal)(**{**cal.get_params(), "classes": range(4)}).fit(x, labels)
        for probe in (p, np.eye(4)):
            q = fitted.predict_proba(probe)
            assert q.min() > 0
            assert q.max() < 1


def test_rows_of_one_group_count_for_less():
    p, y = m4(0, 300)
    tripled, labels, groups = np.repeat(p, 3, axis=0), np.repeat(y, 3), np.repeat(range(300), 3)
    cal = MATRIX(strength="structured").fit(tripled, labels, groups=groups)
    alone = MATRIX(strength="structured").fit(p, y)
    assert cal.worth_ == pytest.approx(1 / 3, rel=0.1)
    assert_allclose(cal.matrix, alone.matrix, atol=0.01)


def test_what_a_file_must_hold():
    data = to_dict(MATRIX().fit(*FIT))
    assert_allclose(from_dict(data).matrix, MATRIX().fit(*FIT).matrix)
    for name, value in (("slope_", [1.0]), ("mix_", 1.0), ("temperature_", -1.0)):
        with pytest.raises(ValueError, match=name):
            from_dict({**data, "state": {**data["state"], name: value}})


def test_structured_is_no_strength_of_dirichlet_calibration():
    with pytest.raises(ValueError, match="Use strength='auto'"):
        MATRIX(form="dirichlet", strength="structured").fit(*FIT)


def test_constant_scores_are_not_reversed_ones():
    """They leave the matrix open: rounding makes its sign."""
    y, scores = np.arange(10) % 2, np.zeros((2, 10))
    assert not SoftmaxRows(lambda rows: scores[:, rows], y, None, 2).vary()
    scores[0, 9] = 1.0
    assert SoftmaxRows(lambda rows: scores[:, rows], y, None, 2).vary()
