"""The numbers of reliability diagrams, against scikit-learn, brute force and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from scipy.stats import beta, binom
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression

from calibkit import ScoreTable, reliability_curve, smooth_calibration_error

ENDS = ("low", "high", "consistency_low", "consistency_high")


def drawn(n=500, seed=0, power=1.3):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return (rng.random(n) < p**power).astype(int), p


def equal(a, b, **near):
    for x, z in zip(a, b, strict=True):
        assert_allclose(x, z, **{"atol": 1e-9, **near})


def test_bins_are_scikit_learns():
    y, p = drawn()
    c = reliability_curve(y, p, strategy="uniform", n_bins=8, n_draws=10)
    share, mean = calibration_curve(y, p, n_bins=8)
    equal((c.frequency, c.mean_score), (share, mean))


@pytest.mark.parametrize("decimals", [1, 2, 17])
@pytest.mark.parametrize("weighted", [False, True])
def test_corners_are_those_of_isotonic_regression(decimals, weighted):
    y, p = drawn()
    p = p.round(decimals)
    w = np.random.default_rng(1).exponential(size=len(y)) if weighted else None
    fit = IsotonicRegression().fit(p, y, sample_weight=w)
    corners = reliability_curve(y, p, curve="corp", sample_weight=w, n_draws=0)
    equal((corners.score, corners.frequency), (fit.X_thresholds_, fit.y_thresholds_))
    assert np.isnan(corners.low).all()
    c = reliability_curve(y, p, curve="corp", sample_weight=w, n_draws=20)
    assert_allclose(c.frequency, fit.predict(c.score), atol=1e-12)
    assert set(corners.score) <= set(c.score)
    # Each step counts its rows once.
    steps = np.flatnonzero(np.diff(c.frequency, prepend=-1.0))
    assert c.n[steps].sum() == len(y)


def test_many_scores_give_the_curve_of_all_rows():
    y, p = drawn(20_000)
    c = reliability_curve(y, p, curve="corp", n_draws=5, random_state=0)
    assert_allclose(c.frequency, IsotonicRegression().fit(p, y).predict(c.score), atol=1e-12)
    assert len(c.score) < 600
    assert (np.diff(c.low) >= 0).all()
    assert (np.diff(c.high) >= 0).all()
    assert (c.low <= c.frequency).all()
    assert (c.frequency <= c.high).all()


def test_one_score_has_the_binomial_interval_and_range():
    y = np.arange(60) % 3 == 0
    low, high = beta.ppf([0.05, 0.95], [20, 21], [41, 40])
    ends = binom(60, 0.4).ppf([0.05, 0.95]) / 60
    for curve in ("binned", "corp", "smooth"):
        c = reliability_curve(y, np.full(60, 0.4), curve=curve, n_draws=4000, random_state=0)
        assert_allclose(c.frequency, 1 / 3)
        equal((c.low, c.high), ([low], [high]))
        equal((c.consistency_low, c.consistency_high), ends[:, None], atol=1.01 / 60)


def test_interval_of_ties_is_that_of_each_score():
    # With so many rows per score no wider window is tighter.
    p = np.repeat([0.2, 0.5, 0.8], 400)
    y = np.concatenate([np.arange(400) < 400 * q for q in (0.3, 0.5, 0.7)])
    c = reliability_curve(y, p, curve="corp", n_draws=1)
    events = np.array([120, 200, 280])
    low, high = beta.ppf(0.05, events, 401 - events), beta.ppf(0.95, events + 1, 400 - events)
    equal((c.low, c.high), (low, high))


def smoothed(t, x, y, w, s, reflected):
    """Brute force: every row and its mirror images."""
    images = [x]
    if reflected:
        images = [2 * k + sign * x for k in range(-9, 10) for sign in (1, -1)]
    k = sum(np.exp(-0.5 * ((t[:, None] - i) / s) ** 2) for i in images) * w
    return k @ y / k.sum(axis=1), k.sum(axis=1) / w.sum() / s / np.sqrt(2 * np.pi), k


@pytest.mark.parametrize("scale", ["probability", "logit"])
@pytest.mark.parametrize("power", [1.1, 12.0])
def test_smooth_curve_is_kernel_regression(scale, power):
    y, p = drawn(power=power)
    w = np.random.default_rng(1).exponential(size=len(y))
    c = reliability_curve(y, p, curve="smooth", scale=scale, sample_weight=w, n_draws=3000)
    error = smooth_calibration_error(y, p, scale=scale, sample_weight=w)
    assert_allclose(c.bandwidth, max(error, 0.25 if scale == "logit" else 0), rtol=1e-3)
    at = logit if scale == "logit" else np.asarray
    share, density, k = smoothed(at(c.score), at(p), y, w, c.bandwidth, scale == "probability")
    seen = np.isfinite(c.frequency)
    assert seen.mean() > 0.7
    equal((c.frequency[seen], c.density), (share[seen], density), rtol=1e-6)
    n = k.sum(axis=1) ** 2 / (k**2).sum(axis=1)
    rows = n * share, n * (1 - share)
    low = np.nan_to_num(beta.ppf(0.05, rows[0], rows[1] + 1))
    assert_allclose(c.low[seen], low[seen], atol=1e-6)
    sd = np.sqrt(k**2 @ (p * (1 - p))) / k.sum(axis=1)
    width = (c.consistency_high - c.consistency_low)[seen & (n > 100)]
    assert_allclose(width, 2 * 1.645 * sd[seen & (n > 100)], rtol=0.15)


def test_where_no_score_is_near_there_is_no_value():
    rng = np.random.default_rng(0)
    p = np.where(rng.random(4000) < 0.5, 0.1, 0.9) + 0.1 * (rng.random(4000) - 0.5)
    y = rng.random(4000) < p
    c = reliability_curve(y, p, curve="smooth", n_draws=1)
    away = np.abs(c.score[:, None] - p).min(axis=1)
    assert_array_equal(np.isnan(c.frequency), away > 3 * c.bandwidth)
    assert np.isnan(c.frequency).any()


@pytest.mark.parametrize("curve", ["binned", "corp", "smooth"])
def test_tables_weights_and_classes(curve):
    y, p = drawn(200)
    given = {"curve": curve, "n_draws": 50, "random_state": 0}
    plain = reliability_curve(y, p, **given)
    equal(reliability_curve(ScoreTable.from_arrays(y, p), **given), plain)
    counts = np.random.default_rng(2).integers(1, 4, 200)
    repeated = reliability_curve(np.repeat(y, counts), np.repeat(p, counts), **given)
    equal(reliability_curve(y, p, sample_weight=counts, weights="frequency", **given), repeated)
    both = np.column_stack((1 - p, p))
    by_class = reliability_curve(np.where(y, "b", "a"), both, kind="classwise", **given)
    equal(by_class["b"], plain)
    assert list(by_class) == ["a", "b"]
    top = reliability_curve(y, both, kind="top_label", **given)
    equal(top, reliability_curve(y == (p > 0.5), np.maximum(p, 1 - p), **given))


@pytest.mark.parametrize("curve", ["corp", "smooth"])
def test_rows_repeated_as_groups_are_worth_one(curve):
    y, p = drawn(60)
    given = {"curve": curve, "n_draws": 400, "random_state": 0}
    plain = reliability_curve(y, p, **given)
    group = np.repeat(np.arange(60), 10)
    grouped = reliability_curve(np.repeat(y, 10), np.repeat(p, 10), groups=group, **given)
    alone = reliability_curve(np.repeat(y, 10), np.repeat(p, 10), **given)
    assert_allclose(grouped.frequency, plain.frequency, atol=1e-9)
    for a, b in (ENDS[:2], ENDS[2:]):
        width, once, ten = (np.mean(getattr(c, b) - getattr(c, a)) for c in (grouped, plain, alone))
        assert 0.8 < width / once < 1.3
        assert ten < 0.85 * once


def test_intervals_cover_at_ends_and_jumps_and_a_calibrated_curve_is_in_its_range():
    # A jump in the middle, ends included; 100 sets: three standard errors of .9 are .09.
    n, repeats = 150, 100
    p = (np.arange(n) + 0.5) / n
    at = p[[0, 30, 74, 75, 110, -1]]
    hits, null = np.zeros(6), np.zeros(6)
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        for rate, hit in ((np.where(p < 0.5, 0.2, 0.8), hits), (p, null)):
            y = rng.random(n) < rate
            c = reliability_curve(y, p, curve="corp", n_draws=80, random_state=seed)
            f, *ends = (np.interp(at, c.score, getattr(c, k)) for k in ("frequency", *ENDS))
            if hit is hits:
                truth = np.interp(at, p, rate)
                hit += (ends[0] <= truth) & (truth <= ends[1])
            else:
                hit += (ends[2] <= f) & (f <= ends[3])
    assert (hits / repeats > 0.9 - 0.09).all(), hits
    assert (null / repeats > 0.9 - 0.09).all(), null
    assert null[1:-1].max() / repeats < 0.99  # the range is not everything


def test_logit_scale_and_extreme_scores():
    y = np.array([0, 0, 1, 1] * 30)
    p = np.tile([0.0, 1e-8, 1.0 - 1e-8, 1.0], 30)
    c = reliability_curve(y, p, curve="smooth", scale="logit", n_draws=20)
    even = expit(np.linspace(*logit([1e-12, 1 - 1e-12]), len(c.score)))
    assert_allclose(c.score, even, atol=1e-9)
    assert_allclose(c.frequency[[0, -1]], [0.0, 1.0], atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"curve": "loess"}, "curve='loess'"),
        ({"scale": "log"}, "scale='log'"),
        ({"interval": "wald"}, "interval='wald'"),
        ({"level": 1.0}, "level=1.0"),
        ({"n_draws": -1}, "n_draws=-1"),
        ({"n_bins": 0}, "n_bins=0"),
        ({"groups": np.zeros(500)}, "one group only"),
    ],
)
def test_settings_are_checked(wrong, match):
    with pytest.raises(ValueError, match=match):
        reliability_curve(*drawn(), **wrong)
    with pytest.raises(ValueError, match="classes or groups; expected the table alone"):
        reliability_curve(ScoreTable.from_arrays(*drawn()), groups=np.arange(500))
