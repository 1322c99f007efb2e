"""Slopes, ratios, loess errors and tests of calibration: check values, witnesses, hard cases."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from calibkit import (
    ScoreTable,
    calibration_error,
    calibration_in_the_large,
    calibration_intercept,
    calibration_slope,
    calibration_test,
    calibration_tests,
    estimate,
    loess_calibration_error,
    observed_expected_ratio,
)
from calibkit._core.warnings import FewGroupsWarning, SaturatedScoresWarning
from calibkit._numerics.copula import label_draws, parts_of, shared_correlations
from calibkit._numerics.loess import local_lines
from calibkit._numerics.recalibration import sum_tail
from calibkit.metrics import METRICS
from calibkit.metrics._tests import TESTS
from calibkit.metrics._whole_interval import whole_test

from .test_whole_errors import kernel_by_pairs, smooth_by_quadrature

ROOT = Path(__file__).parent.parent
INDEX = np.arange(200)
P = (INDEX + 0.5) / 200
U = np.mod((INDEX + 1) * 0.6180339887498949, 1.0)
Y = (U < P**1.5).astype(int)
#: Errors that change sign twice.
P2 = np.clip(P + 0.2 * np.sin(4 * np.pi * P), 0, 1)
Y2 = (U < P2).astype(int)
SETS = pytest.mark.parametrize("y", [Y, Y2], ids=["R200", "signs"])
W = 1.0 + INDEX % 7
#: Shift, intercept, slope, ratio, ICI with two spans, and four statistics of the second set.
SECOND = (-0.0600065, -0.0511073, 0.6847994, 0.98, 0.0418136, 0.1216567, -0.3464076, 6.0754677,
          1.9025438, 32.2341563)  # fmt: skip


def run(name, y=Y, p=P, **more):
    return calibration_test(name, y, p, **more)


def loss_of(y, p, w=1.0):
    """Negative log-likelihood of a line."""
    return lambda t: np.sum(
        w * (np.logaddexp(0, t[0] + t[1] * logit(p)) - y * (t[0] + t[1] * logit(p)))
    )


def test_check_values():
    assert_allclose(calibration_in_the_large(Y, P), -0.66985157, atol=2e-8)
    line = calibration_intercept(Y, P), calibration_slope(Y, P)
    assert_allclose(line, (-0.73760874, 1.19665096), atol=5e-9)
    assert observed_expected_ratio(Y, P) == pytest.approx(0.78)
    curve = [loess_calibration_error(Y, P, summary=name) for name in ("ici", "e50", "emax")]
    assert_allclose(curve, (0.10453480, 0.10986218, 0.14170740), atol=5e-9)
    for name, statistic, p in (
        ("line", 15.96498337, 0.00034139),
        ("spiegelhalter", -0.44441095, 0.65674550),
        ("hosmer_lemeshow", 15.35955, 0.119493),
    ):
        found = run(name, null="asymptotic")
        assert_allclose((found.statistic, found.p_value), (statistic, p), rtol=2e-5)


def test_values_of_the_second_set():
    found = [
        calibration_in_the_large(Y2, P), calibration_intercept(Y2, P), calibration_slope(Y2, P),
        observed_expected_ratio(Y2, P), loess_calibration_error(Y2, P),
        loess_calibration_error(Y2, P, span=0.2),
        *(row["statistic"] for row in calibration_tests(Y2, P, tests=list(TESTS)[:4], n_draws=99)),
    ]  # fmt: skip
    assert_allclose(found, SECOND, rtol=2e-6)


@SETS
def test_lines_maximise_the_likelihood(y):
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit(P)[:, None], y)
    assert_allclose(calibration_slope(y, P), model.coef_[0, 0], rtol=1e-5)
    assert_allclose(calibration_intercept(y, P), model.intercept_[0], rtol=1e-4)
    shift = optimize.brentq(lambda c: expit(logit(P) + c).sum() - y.sum(), -9, 9)
    assert_allclose(calibration_in_the_large(y, P), shift, atol=1e-9)
    loss = loss_of(y, P)
    ratio = 2 * (loss((0, 1)) - loss((model.intercept_[0], model.coef_[0, 0])))
    assert_allclose(run("line", y).statistic, ratio, rtol=1e-6)


def test_line_of_scores_next_to_0():
    """Log-odds down to -660, with an event there; the slope is far from the identity."""
    z = np.append(np.linspace(-4.0, 4.0, 200), [-660.0, -300.0])
    y = np.append(Y, [1, 0])

    def loss(line):
        eta = line[0] + line[1] * z
        return np.logaddexp(0.0, eta).sum() - y @ eta

    best = optimize.minimize(loss, [0.0, 0.1], method="Nelder-Mead", options={"xatol": 1e-8})
    found = calibration_intercept(y, expit(z)), calibration_slope(y, expit(z))
    assert_allclose(found, best.x, atol=1e-5)


@SETS
def test_statistics_of_sums(y):
    v = P * (1 - P)
    assert_allclose(run("in_the_large", y).statistic, (y - P).sum() / np.sqrt(v.sum()))
    a = 1 - 2 * P
    z = ((y - P) @ a) / np.sqrt((a * a * v).sum())
    assert_allclose(run("spiegelhalter", y, null="asymptotic").p_value, 2 * stats.norm.sf(abs(z)))
    events, mean = y.reshape(10, 20).sum(axis=1), P.reshape(10, 20).mean(axis=1)
    table = np.array([events, 20 - events]), 20 * np.array([mean, 1 - mean])
    square = ((table[0] - table[1]) ** 2 / table[1]).sum()
    found = run("hosmer_lemeshow", y, null="asymptotic")
    assert_allclose((found.statistic, found.p_value), (square, stats.chi2.sf(square, 10)))


@SETS
@pytest.mark.parametrize("w", [None, W], ids=["plain", "weights"])
def test_loess_is_a_local_line(y, w):
    weight, gap = np.ones(200) if w is None else w, np.empty(200)
    for i in range(200):
        distance = np.abs(P - P[i])
        order = np.argsort(distance, kind="stable")
        held = np.cumsum(weight[order])
        h = distance[order[np.argmax(held >= 0.75 * held[-1] - 1e-9)]]
        tricube = weight * np.clip(1 - (distance / h) ** 3, 0, None) ** 3
        line = np.polynomial.Polynomial.fit(P, y, 1, w=np.sqrt(tricube))
        gap[i] = abs(line(P[i]) - P[i])
    assert_allclose(loess_calibration_error(y, P, sample_weight=w), np.average(gap, weights=weight))
    if w is None:
        for name, q in (("e50", np.median(gap)), ("emax", gap.max())):
            assert_allclose(loess_calibration_error(y, P, summary=name), q)
        e90 = np.quantile(gap, 0.9, method="averaged_inverted_cdf")
        assert_allclose(loess_calibration_error(y, P, summary="e90"), e90)


def test_loess_of_many_rows_and_of_one_score():
    rng = np.random.default_rng(0)
    p = rng.random(1500)
    y = rng.random(1500) < p**1.3
    order = np.argsort(p)
    lines = local_lines(p[order], np.ones(1500), 0.75)
    exact = np.abs(lines(np.ones(1500), y[order] - p[order])).mean()
    assert_allclose(loess_calibration_error(y, p), exact, rtol=5e-3)
    for more in ({}, {"groups": np.arange(1500) % 50}):
        assert run("loess", y, p, n_draws=99, **more).statistic == loess_calibration_error(y, p)
    assert_allclose(loess_calibration_error([0, 1, 1, 1], [0.5] * 4), 0.25)


@pytest.mark.parametrize("parameter", [0, 1])
def test_profile_intervals(parameter):
    e = estimate(("calibration_intercept", "calibration_slope")[parameter], Y, P, level=0.9)
    loss = loss_of(Y, P)
    top = optimize.minimize(loss, (0, 1), tol=1e-12).fun

    def profile(value):
        fixed = [value, value]
        free = 1 - parameter

        def one(t):
            fixed[free] = t
            return loss(fixed)

        return 2 * (optimize.minimize_scalar(one, (-1, 1)).fun - top)

    cutoff = stats.chi2.ppf(0.9, 1) * (1 + 0.5 / 78)
    assert_allclose([profile(e.low), profile(e.high)], cutoff, rtol=1e-4)


def test_intervals_of_equal_scores_are_wilsons():
    y = np.repeat([0, 1], (70, 30))
    e = estimate("observed_expected_ratio", y, np.full(100, 0.2), level=0.9)
    wilson = stats.binomtest(30, 100).proportion_ci(0.9, method="wilson")
    assert_allclose((e.low, e.high), np.array([wilson.low, wilson.high]) / 0.2, rtol=1e-6)
    shift = estimate("calibration_in_the_large", y, np.full(100, 0.2), level=0.9)
    assert_allclose((shift.low, shift.high), logit([wilson.low, wilson.high]) - logit(0.2))
    none = estimate("observed_expected_ratio", 0 * y, np.full(100, 0.2), level=0.9, pos_label=1)
    assert none.value == none.low == 0
    assert_allclose(none.high, 5 * stats.binomtest(0, 100).proportion_ci(0.9, "wilson").high)


def test_weighted_statistics():
    v, z = P * (1 - P), logit(P)
    found = run("in_the_large", sample_weight=W, null="asymptotic")
    deviation = np.sqrt(W**2 @ v)
    assert_allclose(found.statistic, W @ (Y - P) / deviation)
    x = np.column_stack((np.ones(200), z))
    bread, meat = (x.T @ (x * (a * v)[:, None]) for a in (W, W**2))
    scales = np.linalg.eigvals(np.linalg.inv(bread) @ meat).real
    loss = loss_of(Y, P, W)
    ratio = 2 * (loss((0, 1)) - optimize.minimize(loss, (0, 1), tol=1e-12).fun)
    found = run("line", sample_weight=3 * W, null="asymptotic")
    assert_allclose(found.statistic, ratio / scales.mean(), rtol=1e-6)
    draws = np.random.default_rng(0).chisquare(1, (2, 400_000))
    share = np.mean(scales @ draws > 10.0)
    assert abs(sum_tail(10.0, scales) - share) < 4 * np.sqrt(share / 400_000)
    assert_allclose(sum_tail(6.0, np.array([2.0, 2.0])), np.exp(-1.5))


def test_counts_are_repeated_rows():
    again = np.repeat(Y, W.astype(int)), np.repeat(P, W.astype(int))
    counts = {"sample_weight": W, "weights": "frequency"}
    for name in ("line", "spiegelhalter", "hosmer_lemeshow", "binned"):
        assert_allclose(run(name, **counts).statistic, run(name, *again).statistic)
    for function in (calibration_slope, loess_calibration_error):
        assert_allclose(function(Y, P, **counts), function(*again), rtol=1e-9)
    table = ScoreTable.from_arrays(*again)
    assert_allclose(calibration_test("line", table).statistic, run("line", *again).statistic)


@SETS
def test_statistics_of_whole_curves(y):
    d, z = P - y, logit(P)
    path = np.cumsum(-d) / 200
    fit = isotonic_regression(y)
    expected = {
        "smooth": smooth_by_quadrature(P, d / 200, images=True),
        "smooth_logit": smooth_by_quadrature(z, d / 200, images=False),
        "kernel": kernel_by_pairs(y, P, np.ones(200), 0.295),
        "kuiper": path.max(initial=0) - path.min(initial=0),
        "ks": np.abs(path).max(),
        "corp": np.mean((P - y) ** 2 - (fit - y) ** 2),
        "corp_log": log_loss(y, P) - log_loss(y, fit),
    }
    found = {row["test"]: row["statistic"] for row in calibration_tests(y, P, n_draws=99)}
    for name, value in expected.items():
        assert_allclose(found[name], value, rtol=2e-4, err_msg=name)


@pytest.mark.parametrize("x", [0.9, 1.5, 2.5])
def test_laws_of_cumulative_differences(x):
    """The other series of the same laws, which add up probabilities from the left."""
    k = np.arange(50) + 0.5
    pi = np.pi**2 * k**2
    within = {
        "kuiper": ((8 / x**2 + 2 / pi) * np.exp(-2 * pi / x**2)).sum(),
        "ks": (2 / np.pi * (-1.0) ** np.arange(50) / k * np.exp(-pi / 2 / x**2)).sum(),
    }
    table = ScoreTable.from_arrays([0, 1] * 50, [0.5] * 100)  # standard deviation 0.05
    for name, chance in within.items():
        found = TESTS[name].tail(table, x * 0.05).p_value
        assert_allclose(found, 1 - chance, rtol=1e-7)


def test_estimates_and_tests_of_one_error_agree():
    for name, metric, settings in (
        ("smooth", "smooth_calibration_error", {"scale": "probability"}),
        ("kernel", "kernel_calibration_error", {"bandwidth": None}),
        ("ks", "cumulative_calibration_error", {"statistic": "ks"}),
        ("corp_log", "corp_miscalibration", {"loss": "log"}),
    ):
        p = run(name, Y2).p_value
        problems, rng = [(ScoreTable.from_arrays(Y2, P), None)], np.random.default_rng(0)
        of_estimate = whole_test(METRICS[metric].whole, problems, settings, 999, rng, None).p_value
        assert abs(p - of_estimate) < 4 * np.sqrt(2 * p * (1 - p) / 1000) + 1e-3, name


def test_monte_carlo_agrees_with_the_known_laws():
    for name in ("line", "spiegelhalter", "hosmer_lemeshow"):
        known = run(name, Y2, null="asymptotic").p_value
        drawn = run(name, Y2, null="monte_carlo", n_draws=4999).p_value
        assert abs(known - drawn) < 0.01 + 4 * np.sqrt(known * (1 - known) / 5000), name


def test_few_events_are_counted_exactly():
    # Two rows: the four label sets, one by one.
    p, y = np.array([0.02, 0.3]), np.array([1, 0])
    z = [abs((np.array(s) - p).sum()) for s in product((0, 1), repeat=2)]
    chance = [np.prod(np.where(s, p, 1 - p)) for s in product((0, 1), repeat=2)]
    exact = sum(c for c, a in zip(chance, z, strict=True) if a >= abs((y - p).sum()) - 1e-12)
    found = run("in_the_large", y, p, n_draws=9999)
    assert found.null.startswith("Monte Carlo")
    assert abs(found.p_value - exact) < 4 * np.sqrt(exact / 10_000)


def test_groups_by_all_sign_patterns(monkeypatch):
    monkeypatch.setattr("calibkit.metrics._nulls._MANY_GROUPS", 8)
    g = INDEX // 25
    sums = np.bincount(g, Y2 - P)
    signs = np.array(list(product((-1, 1), repeat=8)))
    share = np.mean(np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9)
    with pytest.warns(FewGroupsWarning):
        found = run("in_the_large", Y2, groups=g, n_draws=4999)
    assert_allclose(found.statistic, sums.sum() / np.sqrt(sums @ sums))
    assert abs(found.p_value - share) < 4 * np.sqrt(share * (1 - share) / 5000) + 1e-3
    x = np.column_stack((np.ones(200), logit(P))) * (Y2 - P)[:, None]
    u = np.array([x[g == k].sum(axis=0) for k in range(8)])
    with pytest.warns(FewGroupsWarning):
        line = run("line", Y2, groups=g)
    total = u.sum(axis=0)
    assert_allclose(line.statistic, total @ np.linalg.solve(u.T @ u, total), rtol=0.01)


def test_labels_of_groups_are_calibrated_and_correlated():
    p, g = np.array([0.05, 0.05, 0.3, 0.6, 0.3]), np.array([0, 0, 0, 0, 1])
    parts = parts_of(p, 0 * p, np.ones(5), np.array([0, 0, 1, 2, 1]), g, 3)
    drawn = np.concatenate(list(label_draws(parts, np.full(40_000, 0.4), np.random.default_rng(0))))
    error = np.sqrt(np.diag(np.cov(drawn.T)) / 40_000)
    assert (np.abs(drawn.mean(axis=0)) < 4 * error).all()
    c, means = stats.norm.ppf([0.3, 0.6]), 0.18
    both = stats.multivariate_normal(cov=[[1, 0.4], [0.4, 1]]).cdf(c) - means
    assert abs(np.cov(drawn.T)[1, 2] - both) < 4 * 0.25 / 200
    # The pairs of different rows give the correlation back.
    covariance = np.cov(drawn.T)
    rows = 2 * 0.05 * 0.95 + 0.3 * 0.7 + 0.6 * 0.4
    one = parts._replace(residual=np.array([*np.sqrt([covariance[:3, :3].sum()]), 0, 0, 0]))
    assert abs(shared_correlations(one, rows, np.ones(1))[0] - 0.4) < 0.02


def test_groups_widen_intervals():
    y, p, g = np.repeat(Y, 5), np.repeat(P, 5), np.repeat(INDEX, 5)
    for name in ("calibration_slope", "calibration_intercept", "calibration_in_the_large",
                 "observed_expected_ratio", "loess_calibration_error"):  # fmt: skip
        alone = estimate(name, Y, P, random_state=0)
        copied = estimate(name, y, p, groups=g, random_state=0)
        assert_allclose(copied.value, alone.value, rtol=1e-9)
        ratio = (copied.high - copied.low) / (alone.high - alone.low)
        assert 0.85 < ratio < 1.15, name


def test_separated_classes():
    y = (P > 0.5).astype(int)
    assert calibration_slope(y, P) == np.inf
    assert calibration_slope(1 - y, P) == -np.inf
    e = estimate("calibration_slope", y, P)
    assert e.high == np.inf
    assert 10 < e.low < np.inf
    loss = loss_of(y, P)
    deviance = 2 * optimize.minimize_scalar(lambda t: loss((t, e.low)), (-1, 1)).fun
    assert_allclose(deviance, stats.chi2.ppf(0.9, 1) * (1 + 0.5 / 100), rtol=1e-6)
    with pytest.raises(ValueError, match="separate the classes"):
        calibration_intercept(y, P)
    assert_allclose(run("line", y).statistic, 2 * loss_of(y, P)((0, 1)), rtol=1e-9)


def test_tiny_probabilities():
    """Log-odds that lie far from 0 have the slope, and its ends, that they have near it."""
    z, far = logit(P), logit(P) - 650.0
    near = estimate("calibration_slope", Y, expit(z))
    slope, intercept = (
        estimate(name, Y, expit(far)) for name in ("calibration_slope", "calibration_intercept")
    )
    assert_allclose([slope.value, slope.low, slope.high], [near.value, near.low, near.high], 1e-6)
    assert_allclose(intercept.value, calibration_intercept(Y, P) + 650 * near.value, rtol=1e-6)
    # Nearly all that is not known of the intercept is the slope.
    ends = np.array([intercept.low, intercept.high]) - intercept.value
    assert_allclose(ends, 650 * np.array([near.low - near.value, near.high - near.value]), 1e-2)
    separable = [estimate("calibration_slope", P > 0.5, expit(x)).low for x in (z, far)]
    assert_allclose(*separable, rtol=1e-6)


def test_scores_without_log_odds():
    p, y = np.concatenate(([0, 0, 1], P)), np.concatenate(([0, 0, 1], Y))
    assert calibration_slope(y, p) == pytest.approx(calibration_slope(Y, P))
    assert_allclose(run("line", y, p).statistic, run("line").statistic)
    y[0] = 1
    with pytest.warns(SaturatedScoresWarning, match="exactly 0 or 1"):
        calibration_slope(y, p)
    found = run("line", y, p)
    assert (found.statistic, found.p_value) == (np.inf, 0)
    assert run("hosmer_lemeshow", y, p).p_value < 1


def test_constant_scores():
    p = np.full(200, 0.4)
    with pytest.raises(ValueError, match="all probabilities are equal"):
        calibration_slope(Y, p)
    ratio = 2 * (stats.binom(200, 78 / 200).logpmf(78) - stats.binom(200, 0.4).logpmf(78))
    found = run("line", p=p, null="asymptotic")
    assert_allclose((found.statistic, found.p_value), (ratio, stats.chi2.sf(ratio, 1)), rtol=1e-6)
    half = run("spiegelhalter", p=np.full(200, 0.5))
    assert np.isnan(half.p_value)
    assert "not defined" in half.caution


def test_several_classes():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 300)
    y = (p.cumsum(axis=1) < rng.random((300, 1))).sum(axis=1)
    top = calibration_test("line", y, p)
    same = calibration_test("line", y == p.argmax(axis=1), p.max(axis=1))
    assert_allclose(top.statistic, same.statistic)
    assert calibration_slope(y, p) == calibration_slope(y == p.argmax(axis=1), p.max(axis=1))
    table = calibration_tests(y, p, kind="classwise", tests=["line"])
    alone = [calibration_test("line", y == k, p[:, k]).p_value for k in range(3)]
    assert [row["class"] for row in table] == ["0", "1", "2"]
    adjusted = np.array([row["p_value"] for row in table])
    assert_allclose(adjusted.min(), min(1, 3 * min(alone)))
    for name in ("kuiper", "corp_log"):
        top = calibration_test(name, y, p, n_draws=99)
        assert_allclose(top.statistic, run(name, y == p.argmax(1), p.max(1)).statistic)
        table = calibration_tests(y, p, kind="classwise", tests=[name], n_draws=99)
        own = [run(name, y == k, p[:, k], n_draws=99).statistic for k in range(3)]
        assert_allclose([row["statistic"] for row in table], own)


@pytest.mark.parametrize("n_groups", [0, 30])
def test_calibrated_models_are_rejected_as_often_as_they_say(n_groups):
    """Of 60 data sets, counts of p-values up to .1 within the binomial law's 1e-4 tails."""
    rng, names = np.random.default_rng(1), ["line", "kuiper", "kernel", "corp", "corp_log"]
    groups = np.arange(300) % n_groups if n_groups else None
    found = []
    for _ in range(60):
        z, u = rng.normal(-1, 1.5, 300), rng.standard_normal(300)
        if n_groups:
            u = np.sqrt(0.7) * u + np.sqrt(0.3) * rng.standard_normal(n_groups)[groups]
        rows = stats.norm.cdf(u) < expit(z), expit(z)
        table = calibration_tests(*rows, tests=names, groups=groups, n_draws=99)
        found.append([row["p_value"] for row in table])
    for level in (0.1, 0.5):
        count = (np.array(found) <= level).sum(axis=0)
        low, high = stats.binom(60, level).ppf([1e-4, 1 - 1e-4])
        assert ((low <= count) & (count <= high)).all(), (level, count)


def test_the_page_of_tests_is_up_to_date():
    spec = spec_from_file_location("sizes", ROOT / "benchmarks" / "calibration_tests.py")
    sizes = module_from_spec(spec)
    spec.loader.exec_module(sizes)
    results = json.loads(sizes.RESULTS.read_text())
    assert sizes.table(results) in sizes.PAGE.read_text()
    for result in results:
        cell = sizes.Cell(**result["cell"])
        marks = {name: sizes.mark(cell, name, shares) for name, shares in result["tests"].items()}
        assert "HIGH" not in marks.values(), (str(cell), marks)


def test_the_table_says_what_each_test_misses():
    table = calibration_tests(Y, P, n_draws=199)
    assert [row["test"] for row in table] == list(TESTS)
    assert all(row["blind_to"] and row["sees"] for row in table)
    # The slope test sees what Spiegelhalter's does not.
    p = {row["test"]: row["p_value"] for row in table}
    assert p["line"] < 0.001 < 0.5 < p["spiegelhalter"]
    assert "adjusted" not in str(table)


def test_loess_interval_begins_above_zero_above_the_band():
    rng = np.random.default_rng(0)
    for k in range(12):
        p = rng.random(150)
        y = rng.random(150) < np.clip(p + 0.02 * k * np.sin(np.pi * p), 0, 1)
        e = estimate("loess_calibration_error", y, p, random_state=k, n_resamples=400)
        assert e.low <= e.value <= e.high
        if abs(e.value / e.null_high - 1) > 0.05:
            assert (e.low > 0) == (e.value > e.null_high)


def test_plug_in_error_is_that_of_scikit_learn():
    y, p, w = [0, 1, 1, 0], [0.1, 0.2, 0.7, 0.8], [1, 3, 2, 4]
    mean = (4 * (0.75 - 0.175) ** 2 + 6 * (2 / 6 - 4.6 / 6) ** 2) / 10
    own = {"strategy": "sklearn_uniform", "n_bins": 2, "sample_weight": w}
    assert_allclose(calibration_error(y, p, debias=False, **own) ** 2, mean)
    assert_allclose(mean, 0.24491667, atol=5e-9)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("digits", [1, 2, 16])
def test_bins_of_scikit_learn(strategy, digits):
    """Scores on borders and ties, with and without weights, as its calibration curve has them."""
    rng = np.random.default_rng(digits)
    p, w = np.round(rng.random(83), digits), rng.integers(1, 5, 83)
    y, differ = (rng.random(83) < p).astype(int), 0
    for n_bins in range(1, 20):
        for weight in (np.ones(83, dtype=int), w):
            rows = np.repeat(y, weight), np.repeat(p, weight)
            share, score = calibration_curve(*rows, n_bins=n_bins, strategy=strategy)
            settings = {"n_bins": n_bins, "sample_weight": weight, "debias": False}
            theirs = {**settings, "strategy": f"sklearn_{strategy}"}
            sums = ScoreTable.from_arrays(y, p, weight).bins(theirs["strategy"], n_bins)
            size = sums.w[sums.w > 0]
            assert_allclose(sums.wy[sums.w > 0] / size, share, atol=1e-12)
            error = np.sqrt(np.average((share - score) ** 2, weights=size))
            assert_allclose(calibration_error(y, p, **theirs), error, atol=1e-12)
            differ += abs(calibration_error(y, p, **settings, strategy=strategy) - error) > 1e-6
    assert differ or (strategy, digits) == ("uniform", 16)
    e = estimate("calibration_error", y, p, strategy=f"sklearn_{strategy}", n_resamples=99)
    assert e.low <= e.value <= e.high
    assert f"sklearn_{strategy} bins" in str(e)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tests": ["lines"]}, "did you mean 'line'"),
        ({"tests": []}, "tests is empty"),
        ({"null": "asymptotic", "groups": INDEX}, "null='asymptotic' with groups"),
        ({"null": "asymptotic", "tests": ["loess"]}, "only simulated"),
        ({"n_draws": 9}, "n_draws=9"),
    ],
)
def test_wrong_settings(wrong, said):
    with pytest.raises(ValueError, match=said):
        calibration_tests(Y, P, **wrong)


def test_fractions_are_refused():
    with pytest.raises(ValueError, match="fractions of events"):
        calibration_tests(np.linspace(0, 1, 200), P)


def test_one_row_is_refused_and_a_test_runs_once():
    for y, w in (([1], None), ([0, 1, 1], [1.0, 0.0, 0.0]), ([0, 1, 1], [1.0, 1e12, 1.0])):
        with pytest.raises(ValueError, match=r"calibration_tests: fewer than two \(effective\)"):
            calibration_tests(y, [0.4, 0.6, 0.7][: len(y)], sample_weight=w)
    assert len(calibration_tests(Y, P, tests=["line", "line"])) == 1
