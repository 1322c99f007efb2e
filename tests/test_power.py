"""The smallest errors that are detected: check values, witnesses on rows, odd scores, speed."""

import time

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.optimize import brentq

from calibkit import (
    ScoreTable,
    calibration_error,
    compare,
    detectable_difference,
    detectable_error,
    rows_to_detect,
)
from calibkit._numerics.exact import binomial_grid
from calibkit.metrics import estimate

P = 0.1 + 0.8 * (np.arange(1000) + 0.5) / 1000
R200 = (np.arange(200) + 0.5) / 200


def test_check_values():
    """A simulation of rows, by others, found .062; one bin of R200 has a closed form."""
    found = detectable_error(P)
    assert_allclose(found.error, 0.062, rtol=0.015)
    assert found.n == 1000
    one = detectable_error(R200, n_bins=1).error
    # The alternative's noise is a little smaller than that of calibrated labels.
    z = stats.norm.ppf([0.975, 0.8])
    assert_allclose(one, z.sum() * np.sqrt(R200 @ (1.0 - R200)) / 200, rtol=0.02)


@pytest.mark.parametrize(("n", "rate"), [(7, 0.3), (300, 0.01), (10**6, 1e-6), (9000, 0.4)])
def test_grids_are_binomial(n, rate):
    grid = binomial_grid(n, rate, 10_000, 0.5)
    assert (np.diff(grid) >= 0).all()
    k = np.arange(grid[0], grid[-1])
    below = np.searchsorted(grid, k, side="right") / 10_000
    assert_allclose(below, stats.binom.cdf(k, n, rate), atol=3e-4)
    assert (binomial_grid(n, 1.1 * rate, 10_000, 0.5) >= grid).all()


def _moved(p, found):
    z = np.log(p / (1.0 - p))
    low, high = found.scores
    moved = z * (1.0 + found.shift) if found.direction == "slope" else z + found.shift
    return np.where((p >= low - 1e-9) & (p <= high + 1e-9), 1.0 / (1.0 + np.exp(-moved)), p)


@pytest.mark.parametrize(
    ("direction", "norm"),
    [("offset", "l2"), ("slope", "l2"), ("bin", "l2"), ("offset", "l1"), ("bin", "max")],
)
def test_rows_with_the_error_are_detected_as_often_as_said(direction, norm):
    rng = np.random.default_rng(1)
    p = np.sort(rng.beta(1.0, 2.0, 400))
    found = detectable_error(p, direction=direction, norm=norm, n_bins=8)
    sets, settings = 500, {"norm": norm, "n_bins": 8, "pos_label": True}
    labels = rng.random((sets, len(p))) < p
    # The null band depends on the scores alone.
    given = {"n_resamples": 10_000, "random_state": 0, **settings}
    limit = estimate("calibration_error", labels[0], p, **given).null_high
    moved = rng.random((sets, len(p))) < _moved(p, found)
    for drawn, wanted in ((labels, 0.05), (moved, 0.8)):
        share = np.mean([calibration_error(y, p, **settings) > limit for y in drawn])
        assert abs(share - wanted) < 3.0 * np.sqrt(wanted * (1.0 - wanted) / sets)


def test_brute_force_on_rows():
    """Labels of rows, the debiased error from its definition, and 20,000 label sets."""
    p, sets = P[::2], 20_000
    found = detectable_error(p, direction="slope", n_bins=10)
    rng = np.random.default_rng(2)

    def squares(truth):
        d = (p - (rng.random((sets, len(p))) < truth)).reshape(sets, 10, -1)
        pairs = d.sum(axis=2) ** 2 - (d * d).sum(axis=2)
        return (pairs / (d.shape[2] * (d.shape[2] - 1))).mean(axis=1)

    limit = np.quantile(squares(p), 0.95)
    power = np.mean(squares(_moved(p, found)) > limit)
    # One percent of the error is a change of the power by about .011.
    assert abs(power - 0.8) < 0.011 + 3.0 * np.sqrt(0.16 / sets)


def test_more_rows_and_less_power_detect_smaller_errors():
    sizes = [detectable_error(P, n=n, n_draws=2000).error for n in (60, 120, 1000, 1100, 10**7)]
    assert (np.diff(sizes) < 0).all()
    wanted = (0.5, 0.79, 0.8, 0.81, 0.95)
    powers = [detectable_error(P, power=c, n_draws=2000).error for c in wanted]
    assert (np.diff(powers) > 0).all()


@pytest.mark.parametrize("direction", ["offset", "slope", "bin"])
def test_rows_to_detect_inverts(direction):
    given = {"direction": direction, "n_draws": 4000}
    error = detectable_error(P, **given).error
    assert_allclose(rows_to_detect(P[::7], error, **given), 1000, rtol=0.03)


def test_odd_scores():
    nothing = detectable_error(np.tile([0.0, 1.0, 0.5], 9), n_bins=2, direction="slope")
    assert np.isnan(nothing.error)
    assert "cannot be detected" in str(nothing)
    assert np.isnan(detectable_error([0.2, 0.8], n_bins=1).error)
    # Two events detect scores of a millionth (one has a debiased error of 0), and must occur.
    few = brentq(lambda rate: stats.binom.sf(1, 1000, rate) - 0.8, 1e-6, 0.5)
    assert_allclose(detectable_error(np.full(1000, 1e-6)).error, few, rtol=0.01)
    certain = np.concatenate((np.zeros(500), P[::2]))
    half = detectable_error(P[::2], n_bins=8)
    assert certain.shape == (1000,)
    assert detectable_error(certain, n_bins=9).error < half.error


def test_weights_and_groups():
    def error(p=P, **given):
        return detectable_error(p, n_draws=4000, **given).error

    even = error()
    assert_allclose(error(sample_weight=np.full(1000, 3.0)), even, rtol=1e-6)
    rng = np.random.default_rng(3)
    w = rng.choice([1.0, 4.0], 1000)
    effective = w.sum() ** 2 / (w @ w)
    assert_allclose(error(sample_weight=w), error(n=round(effective)), rtol=0.03)
    # Pairs of equal rows hold no more than half of them.
    p = rng.permutation(P)
    y = np.repeat(rng.random(1000) < p, 2)
    pairs = error(np.repeat(p, 2), y_true=y, groups=np.arange(2000) // 2)
    assert_allclose(pairs, even, rtol=0.08)


def test_tables_classes_and_many_rows():
    rng = np.random.default_rng(4)
    k = rng.dirichlet(np.ones(3), 500)
    assert detectable_error(k) == detectable_error(k.max(axis=1))
    many = rng.random(1_500_000)
    begin = time.perf_counter()
    found = detectable_error(many)
    assert time.perf_counter() - begin < 8.0
    assert found.n == len(many)
    table = ScoreTable.from_arrays(np.zeros(200_000), many[:200_000], pos_label=1)
    assert_allclose(detectable_error(table, n=len(many)).error, found.error, rtol=0.02)


def test_differences_by_the_noncentral_t():
    y = (np.mod((np.arange(200) + 1) * 0.6180339887498949, 1.0) < R200**1.5).astype(int)
    models = {"p": R200, "q": R200**1.5}
    found = detectable_difference(compare("brier_score", y, models, level=0.99))[0]
    d = (R200 - y) ** 2 - (models["q"] - y) ** 2
    se = d.std(ddof=1) / np.sqrt(200)
    reach = stats.t.ppf(0.975, 199)
    beyond = stats.nct.sf(reach, 199, found.difference / se)
    assert_allclose(beyond, 0.8, atol=1e-6)
    assert_allclose(found.difference, (stats.norm.ppf([0.975, 0.8]).sum()) * se, rtol=0.01)
    assert found.rows_to_detect(found.difference) == 200
    quarter = found.rows_to_detect(found.difference / 2.0)
    assert 785 < quarter < 800  # fewer than four times: Student's quantile falls
    # Twenty groups: their sums are found by a t test as often as said.
    grouped = compare("brier_score", y, models, groups=np.arange(200) // 10)
    size = detectable_difference(grouped)[0].difference
    sums = np.random.default_rng(0).standard_normal((20_000, 20))
    sums = sums * (0.00293195 * np.sqrt(20.0)) + size
    assert abs(np.mean(stats.ttest_1samp(sums, 0.0, axis=1).pvalue < 0.05) - 0.8) < 0.01


def test_differences_without_an_answer():
    y = np.arange(200) % 2
    with pytest.raises(ValueError, match="expected one with Student's t"):
        detectable_difference(compare("calibration_error", y, {"a": R200, "b": R200**2}))
    with pytest.raises(TypeError, match="result of compare"):
        detectable_difference(y)
    same = detectable_difference(compare("brier_score", y, {"a": R200, "b": R200}))[0]
    assert "no noise" in str(same)
    with pytest.raises(ValueError, match="has no noise"):
        same.rows_to_detect(0.1)
