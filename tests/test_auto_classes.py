"""The automatic calibrator with K classes: its weights, its cost, few rows, and invariances."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import softmax

from calibkit import AutoCalibrator, TemperatureCalibrator, from_dict, to_dict
from calibkit._core.warnings import MissingClassWarning
from calibkit._numerics.matrix import Ridge, SoftmaxRows, log_losses
from calibkit._numerics.stacking import inverse_curvature, left_out, stack_weights


def drawn(n, k, spread=1.5, over=1.0, twist=0.0, seed=0):
    """Scores ``over`` times too confident, labels, and the true probabilities."""
    rng = np.random.default_rng([seed, n, k])
    z = spread * rng.normal(size=(n, k))
    truth = softmax(z + twist * np.roll(z, 1, axis=1), axis=1)
    y = (rng.random(n)[:, None] > truth.cumsum(axis=1)).sum(axis=1).clip(0, k - 1)
    return softmax(over * z, axis=1), y, truth


def cost(truth, q):
    """Expected log loss above that of the true probabilities."""
    return np.mean(np.sum(truth * np.log(truth / q), axis=1))


def test_stack_weights_are_the_best_on_a_grid():
    rng = np.random.default_rng(0)
    y, w = rng.integers(0, 4, 200), rng.random(200)
    own = np.eye(4)[y].T
    maps = [own * c + rng.normal(size=(4, 200)) for c in (1.0, 1.5, 0.2)]
    margins = [e - e[y, np.arange(200)] for e in maps]

    def loss(a):
        return w @ log_losses(np.tensordot(a, maps, 1), y) - np.log(a).sum()

    found = stack_weights(margins, w, prior=3.0)
    steps = np.arange(1, 100) / 100
    grid = [(a, b, 1 - a - b) for a in steps for b in steps if a + b < 0.995]
    best = min(grid, key=loss)
    assert loss(found) <= loss(best)
    assert_allclose(found, best, atol=0.01)


@pytest.mark.parametrize("matrix", [False, True])
def test_left_out_scores_are_those_of_a_fit_without_the_row(matrix):
    p, y, _ = drawn(120, 3, over=2.0)
    l, n = np.log(p).T, 120.0  # noqa: E741
    ridge = Ridge(3 / n, 3 / n, 3 / n) if matrix else Ridge(1 / n, 5 / n, curve=3 / n, common=2 / n)

    def rows_of(w):
        kind = {"matrix": matrix, "curve": not matrix}
        return SoftmaxRows(lambda rows: np.ascontiguousarray(l[:, rows]), y, w, 3, **kind)

    rows = rows_of(np.ones(120))
    theta = rows.fit(ridge).theta
    inverse, freedom = inverse_curvature(rows, theta, ridge, n, dense=True)
    fitted = rows.coefficients(theta).scores(l)
    found = left_out(fitted, y, rows.features(l), inverse)
    assert 2 < freedom < theta.size
    for i in (3, 50, 110):
        w = np.ones(120)
        w[i] = 0.0
        scaled = Ridge(*(None if x is None else x * 120 / 119 for x in ridge))
        refit = rows.coefficients(rows_of(w).fit(scaled).theta).scores(l)[:, i]
        near, far = (np.abs(softmax(e[:, i]) - softmax(refit)).max() for e in (found, fitted))
        assert near < 0.1 * far + 1e-9


@pytest.mark.parametrize(("k", "n", "limit"), [(3, 100, 2e-3), (10, 100, 2e-3), (4, 1000, 5e-4)])
def test_calibrated_scores_cost_little(k, n, limit):
    costs = []
    for seed in range(12 if n == 100 else 5):
        p, y, truth = drawn(n + 300, k, seed=seed)
        q = AutoCalibrator().fit(p[:n], y[:n]).predict_proba(p[n:])
        costs.append(cost(truth[n:], q))
    # The mean of the draws has a standard error of about half its value.
    assert np.mean(costs) < limit


def test_miscalibrated_scores_are_repaired():
    p, y, truth = drawn(3000, 4, over=2.0, twist=0.3)
    cal = AutoCalibrator().fit(p[:2000], y[:2000])
    assert cal.weights_[0] < 1e-6
    assert cost(truth[2000:], cal.predict_proba(p[2000:])) < 0.01
    assert cost(truth, TemperatureCalibrator().fit(p, y).predict_proba(p)) > 0.03
    summary = cal.summary()
    assert summary.names[:2] == ("identity", "temperature")
    assert len(summary.names) == len(summary.weights) == len(summary.losses) == 7
    assert_allclose(sum(summary.weights), 1.0)
    assert summary.losses[-1] < summary.losses[1] < summary.losses[0]
    assert "matrix 0.1" in str(summary)


def test_a_hundred_classes_with_ten_rows_each():
    p, y, truth = drawn(1500, 100, spread=2.5, over=1.5)  # temperature scaling is right
    cal = AutoCalibrator().fit(p[:1000], y[:1000])
    temperature = TemperatureCalibrator().fit(p[:1000], y[:1000])
    q, plain = (c.predict_proba(p[1000:]) for c in (cal, temperature))
    assert cost(truth[1000:], q) < cost(truth[1000:], plain) + 0.003
    assert len(cal.weights_) == 4


@pytest.mark.parametrize("k", [110, 310])  # with and without curvatures
def test_many_classes_are_left_out_by_blocks(k):
    p, y, _ = drawn(400, k, spread=2.5, over=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingClassWarning)
        cal = AutoCalibrator(classes=range(k)).fit(p, y)
    assert cal.weights_[0] < 0.01
    assert cal.losses_[1] < cal.losses_[0]


def test_few_rows_have_no_matrix_and_the_summary_says_so():
    p, y, _ = drawn(79, 4)
    summary = AutoCalibrator().fit(p, y).summary()
    assert summary.few_rows
    assert summary.names == ("identity", "temperature", "vector 10", "vector 1")
    assert "Without matrix: fewer than 20 rows per class" in str(summary)


def test_weights_are_repetitions_and_classes_have_no_order():
    p, y, _ = drawn(150, 3, over=2.0)
    w = np.tile([1, 2, 3], 50)
    weighted = AutoCalibrator().fit(p, y, sample_weight=w)
    repeated = AutoCalibrator().fit(np.repeat(p, w, axis=0), np.repeat(y, w))
    assert_allclose(weighted.predict_proba(p), repeated.predict_proba(p), atol=1e-7)
    order = np.array([2, 0, 1])
    permuted = AutoCalibrator().fit(p[:, order], order.argsort()[y], sample_weight=w)
    q = weighted.predict_proba(p)
    assert_allclose(permuted.predict_proba(p[:, order]), q[:, order], atol=1e-7)
    again = AutoCalibrator().fit(p, y, sample_weight=w)
    loaded = from_dict(to_dict(weighted))
    for other in (again, loaded):
        assert np.array_equal(other.predict_proba(p), q)
    assert loaded.summary() == weighted.summary()


@pytest.mark.parametrize("w", [np.full(60, 1e100), np.append(1e100, np.ones(59))])
def test_huge_weights_leave_a_fit(w):
    p, y, _ = drawn(60, 3, over=2.0)
    cal = AutoCalibrator().fit(p, y, sample_weight=w)
    q = from_dict(to_dict(cal)).predict_proba(p)
    assert_allclose(cal.n_rows_, w.sum())
    assert 0 < q.min() < q.max() < 1


def test_classes_that_take_turns_are_all_left_out(monkeypatch):
    rng = np.random.default_rng(0)
    y = np.arange(8000) % 4
    z = rng.normal(size=(8000, 4)) + np.eye(4)[y]  # calibrated
    p = softmax(z + np.array([2.0, 0, 0, 0]), axis=1)  # too high for class 0 only
    expected = AutoCalibrator().fit(p, y)
    monkeypatch.setattr("calibkit.calibrators._auto_classes._LEFT_OUT", 16_000)  # every fourth row
    found = AutoCalibrator().fit(p, y)
    assert_allclose(found.losses_[0], expected.losses_[0], rtol=0.05)
    assert found.weights_[0] < 1e-6


def test_copies_in_groups_count_once():
    p, y, _ = drawn(400, 3, over=2.0)
    once = AutoCalibrator().fit(p, y)
    copies = AutoCalibrator().fit(
        np.repeat(p, 4, axis=0), np.repeat(y, 4), groups=np.repeat(np.arange(400), 4)
    )
    assert 0.2 < copies.worth_ < 0.32
    assert_allclose(copies.n_rows_, 1600 * copies.worth_)
    assert_allclose(copies.predict_proba(p), once.predict_proba(p), atol=0.02)


def test_exact_zeros_absent_classes_and_impossible_logits():
    p, y, _ = drawn(200, 4)
    p[:60] = np.eye(4)[y[:60]]
    y[y == 3] = 0
    with pytest.warns(MissingClassWarning):
        cal = AutoCalibrator(classes=range(4)).fit(p, y)
    q = cal.predict_proba(np.vstack((p, np.eye(4))))
    assert 0 < q.min() < q.max() < 1
    z = np.log(np.maximum(p[:, :3], 1e-3))
    z[::3, 1] = -1e9
    y[::3] = np.where(y[::3] == 1, 2, y[::3])
    cal = AutoCalibrator(scale="logit").fit(z, y)
    q = cal.predict_proba(np.array([[0, -1e9, 1e9], [1e100, 0, -1e100]]))
    assert 0 < q.min() < q.max() < 1


def test_damaged_files_are_refused():
    p, y, _ = drawn(100, 3)
    data = to_dict(AutoCalibrator().fit(p, y))
    for key, value in (("map_", [1.0, 2.0]), ("weights_", [0.5, 0.6]), ("range_", [1.0, 0.0])):
        state = {**data["state"], key: value}
        with pytest.raises(ValueError, match=r"map_|weights_|range_"):
            from_dict({**data, "state": state})
