"""The automatic calibrator: its gate, its parts, few rows, groups, and what it says."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from calibkit import (
    AutoCalibrator,
    BetaCalibrator,
    SplineCalibrator,
    VennAbersCalibrator,
    from_dict,
    to_dict,
)


def rows(n, slope=2.0, seed=0):
    rng = np.random.default_rng(seed)
    z = 2.0 * rng.normal(size=n)
    return slope * z, (rng.random(n) < expit(z)).astype(int)


def cost(truth, q):
    """Expected log loss above that of the true probabilities."""
    return np.mean(truth * np.log(truth / q) + (1 - truth) * np.log((1 - truth) / (1 - q)))


@pytest.mark.parametrize(("n", "limit"), [(100, 2e-3), (1000, 5e-4)])
def test_calibrated_scores_cost_little(n, limit):
    grid = np.linspace(0.02, 0.98, 97)
    costs = []
    for seed in range(20):
        z, y = rows(n, slope=1.0, seed=seed)
        q = AutoCalibrator(scale="logit").fit(z, y).predict_proba(np.log(grid / (1 - grid)))[:, 1]
        costs.append(cost(grid, q))
    # Twenty draws have a standard error of about a fifth of the mean.
    assert np.mean(costs) < limit


def test_over_confident_scores_are_repaired():
    z, y = rows(1000)
    cal = AutoCalibrator(scale="logit").fit(z, y)
    assert cal.weights_[0] < 1e-6
    assert_allclose(cal.weights_[1:], np.array([4, 1, 1]) / 6, atol=1e-6)
    grid = np.linspace(-4, 4, 41)
    assert cost(expit(grid / 2), cal.predict_proba(grid)[:, 1]) < 0.005


def test_the_blend_is_the_one_described():
    """Put together again from the calibrators by themselves, on log-odds within those of fit."""
    z, y = rows(250, slope=1.3)
    spline, beta, venn_abers = (
        made(scale="logit").fit(z, y)
        for made in (SplineCalibrator, BetaCalibrator, VennAbersCalibrator)
    )
    prior = 150 / (150 + 250)
    kept = prior / (prior + (1 - prior) * np.exp(spline.evidence_))
    grid = np.linspace(*np.quantile(z, [0.02, 0.98]), 60)
    s, b, v = (part.predict_proba(grid)[:, 1] for part in (spline, beta, venn_abers))
    changed = (4 * logit(s) + logit(b) + logit(v)) / 6
    expected = 0.95 * expit(kept * grid + (1 - kept) * changed) + 0.05 * v
    cal = AutoCalibrator(scale="logit").fit(z, y)
    assert 0.05 < kept < 0.95
    assert_allclose(cal.weights_[0], kept)
    assert_allclose(cal.predict_proba(grid)[:, 1], expected, rtol=1e-6)


def test_few_rows_or_separated_classes_leave_beta_calibration_out():
    z, y = rows(30)
    few = AutoCalibrator(scale="logit").fit(z[:15], y[:15])
    assert [part.name for part in few.parts_] == ["spline", "venn_abers"]
    summary = few.summary()
    assert summary.few_rows
    assert summary.names == ("identity", "spline", "venn_abers")
    assert "Without beta calibration: fewer than 10 rows" in str(summary)
    separated = AutoCalibrator(scale="logit").fit(z, (z > 0).astype(int))
    assert [part.name for part in separated.parts_] == ["spline", "venn_abers"]


def test_no_more_certainty_than_the_rows_can_show():
    """Far out there is one row in n + 1 of the other class, of which the result has a 20th."""
    z = rows(100)[0]
    for scale in (1.0, 50.0):
        cal = AutoCalibrator(scale="logit").fit(scale * z, (z > 0).astype(int))
        low, high = cal.predict_proba([-1e100, 1e100])[:, 1]
        assert 0.05 / 102 < low < 0.05 < 0.95 < high < 1 - 0.05 / 102


def test_summary():
    z, y = rows(500)
    summary = AutoCalibrator(scale="logit").fit(z, y).summary()
    assert summary.names == ("identity", "spline", "beta", "venn_abers")
    assert_allclose(sum(summary.weights), 1)
    assert summary.losses[1] < summary.losses[0]
    assert abs(summary.losses[1] - summary.losses[2]) < 0.02
    assert summary.losses[3] is None
    assert summary.n_rows == 500
    assert summary.evidence > 5
    assert len(str(summary).splitlines()) == 8


def test_the_order_of_scores_is_kept_unless_told_otherwise():
    rng = np.random.default_rng(4)
    p = rng.random(20_000)
    y = rng.random(20_000) < 0.2 + 0.6 * p + 0.25 * np.sin(10 * p)
    grid = np.linspace(0.01, 0.99, 99)
    assert (np.diff(AutoCalibrator().fit(p, y).predict_proba(grid)[:, 1]) >= -1e-15).all()
    free = AutoCalibrator(monotone=False).fit(p, y).predict_proba(grid)[:, 1]
    assert np.diff(free).min() < 0


def test_dependent_rows_count_as_fewer():
    z, y = rows(100)
    groups = np.repeat(np.arange(100), 20)
    z, y = np.repeat(z, 20), np.repeat(y, 20)
    naive = AutoCalibrator(scale="logit").fit(z, y)
    cal = AutoCalibrator(scale="logit").fit(z, y, groups=groups)
    assert cal.worth_ < 0.1
    assert cal.n_rows_ < 200
    assert cal.parts_[0].freedom_ < naive.parts_[0].freedom_
    assert cal.parts_[2].upper_[0] > naive.parts_[2].upper_[0]
    copy = from_dict(to_dict(cal))
    assert_allclose(copy.predict_proba(z), cal.predict_proba(z), rtol=0)
    assert copy.summary() == cal.summary()


def test_no_chance_is_involved():
    z, y = rows(700)
    first, second = (AutoCalibrator(scale="logit").fit(z, y) for _ in range(2))
    assert_allclose(first.predict_proba(z), second.predict_proba(z), rtol=0)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("weights_", [0.5, 0.6, 0.0, 0.0], "sum to 1"),
        ("weights_", [1.0], "length"),
        ("range_", [1.0, -1.0], "range_"),
        ("worth_", 2.0, "worth_"),
        ("parts_", [], "parts_"),
    ],
)
def test_damaged_files_are_refused(key, value, said):
    z, y = rows(200)
    data = to_dict(AutoCalibrator(scale="logit").fit(z, y))
    data["state"][key] = value
    with pytest.raises(ValueError, match=said):
        from_dict(data)
