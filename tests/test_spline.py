"""Splines of log-odds: what their numbers mean, and what they do with few rows and many."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.interpolate import CubicSpline
from scipy.special import expit, log_expit, logit

from calibkit import PlattCalibrator, ReversedScoresWarning, SplineCalibrator, log_loss
from calibkit._numerics import spline
from calibkit._numerics.cells import coarse_cells, distinct_cells
from calibkit._numerics.design import design_effect


def rows(n, slope=2.0, seed=0):
    """Log-odds that are ``slope`` times too large, and labels."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    return slope * z, (rng.random(n) < expit(z)).astype(np.int8)


def test_natural_spline_is_scipys_within_the_knots_and_a_line_beyond():
    rng = np.random.default_rng(0)
    knots, values = np.sort(rng.normal(size=7)), rng.normal(size=7)
    x = np.linspace(knots[0], knots[-1], 101)
    expected = CubicSpline(knots, values, bc_type="natural")
    assert_allclose(spline.natural_spline(x, knots, values), expected(x), atol=1e-12)
    for end in (knots[0], knots[-1]):
        beyond = end + np.sign(end - x.mean()) * np.array([0.0, 1.0, 2.0])
        assert_allclose(np.diff(spline.natural_spline(beyond, knots, values), 2), 0, atol=1e-9)
        slope = spline.natural_spline(beyond, knots, values)[1] - expected(end)
        assert_allclose(slope, expected(end, 1) * (beyond[1] - end), rtol=1e-9)


def test_bends_are_no_lines_and_the_smoothest_comes_first():
    z, y = rows(400)
    basis = spline.make_basis(distinct_cells(z, y, None), 6)
    gram = basis.columns.T @ basis.columns / 400
    assert_allclose(gram, np.eye(6), atol=1e-6)
    assert basis.roughness[0] == 1
    assert (np.diff(basis.roughness) > 0).all()


def test_lines_are_those_of_the_plane_and_the_first_is_a_change_of_the_temperature():
    z, y = rows(400)
    cells = distinct_cells(z + 1.0, y, None)
    basis = spline.make_basis(cells, 6)
    first, second = basis.columns[:, :2].T
    assert_allclose(first, cells.x / np.sqrt(np.mean(cells.x**2)), rtol=1e-12)
    assert_allclose(np.diff(np.diff(second) / np.diff(cells.x)), 0, atol=1e-6)


def test_over_confidence_leaves_even_odds_even():
    """With 60 rows the shift is drawn to 0, to that of temperature scaling, and not to Platt's."""
    shifts = []
    for seed in range(12):
        z, y = rows(60, slope=3.0, seed=seed)
        shift = [
            logit(made(scale="logit").fit(z, y).predict_proba([0.0])[0, 1])
            for made in (SplineCalibrator, PlattCalibrator)
        ]
        shifts.append(np.abs(shift))
    ours, platts = np.mean(shifts, axis=0)
    assert ours < 0.8 * platts


def test_the_evidence_is_the_integral_of_the_likelihood():
    """Of a model with a shift alone, by quadrature."""
    z, y = rows(60)
    one = np.ones((60, 1))
    w = np.ones(60)
    fits = spline.penalized_fits(one, z, w, y.astype(float), np.array([[1.0], [4.0]]))
    shift = np.linspace(-6, 6, 4001)
    sign = np.where(y == 1, 1.0, -1.0)
    likelihood = np.array([log_expit(sign * (z + a)).sum() for a in shift])
    for precision, evidence, theta in zip((1.0, 4.0), fits.evidence, fits.theta, strict=True):
        prior = 0.5 * np.log(precision / (2 * np.pi)) - 0.5 * precision * shift**2
        exact = np.log(np.exp(likelihood + prior).sum() * (shift[1] - shift[0]))
        assert abs(evidence - exact) < 0.02
        assert abs(theta[0] - shift[np.argmax(likelihood + prior)]) < 0.01


def test_leave_one_out_losses_are_those_of_refits():
    z, y = rows(40)
    x = np.column_stack((np.ones(40), z / z.std()))
    prior = np.array([[0.5, 0.5]])

    def fit(kept):
        w = kept.astype(float)
        return spline.penalized_fits(x, z, w, w * y, prior)

    every = np.ones(40, dtype=bool)
    full = fit(every)
    refits = []
    for i in range(40):
        eta = z[i] + x[i] @ fit(every & (np.arange(40) != i)).theta[0]
        refits.append(-log_expit(eta if y[i] else -eta))
    inverse = np.linalg.inv(full.hessian[0] + np.diag(prior[0]))
    variance = np.einsum("ni,ij,nj->n", x, inverse, x)
    cells = distinct_cells(z, y, None)
    order = np.argsort(z)
    eta = (z + x @ full.theta[0])[order]
    found = spline.leave_one_out(eta, variance[order], cells)
    fitted = -log_expit(np.where(y[order] == 1, eta, -eta)).mean()
    assert abs(found - np.mean(refits)) < 0.1 * (np.mean(refits) - fitted)


def test_cells_change_next_to_nothing():
    z, y = rows(5000)
    fine = distinct_cells(z, y, None)
    coarse = coarse_cells(fine, 256)
    assert len(coarse.x) <= 256
    assert_allclose([coarse.weight.sum(), coarse.event.sum()], [5000, y.sum()])
    grid = np.linspace(*np.quantile(z, [0.001, 0.999]), 101)
    maps = [
        spline.natural_spline(grid, fit.knots, fit.value)
        for fit in (spline.fit_spline(fine), spline.fit_spline(coarse))
    ]
    assert np.abs(maps[0] - maps[1]).max() < 0.03


def test_more_rows_bend_more():
    rng = np.random.default_rng(3)
    found = []
    for n in (50, 20_000):
        p = rng.random(n)
        y = rng.random(n) < np.where(p < 0.5, p / 2, 1 - (1 - p) / 2)
        cal = SplineCalibrator().fit(p, y)
        found.append(cal.freedom_)
        assert cal.loss_[1] < cal.loss_[0] or n == 50
    assert found[0] < 3 < found[1]


def test_monotone_or_not():
    """Scores with a true dip: pooled by default, followed with monotone=False."""
    rng = np.random.default_rng(4)
    p = rng.random(20_000)
    y = rng.random(20_000) < 0.2 + 0.6 * p + 0.25 * np.sin(10 * p)
    grid = np.linspace(0.01, 0.99, 99)
    pooled = SplineCalibrator().fit(p, y).predict_proba(grid)[:, 1]
    free = SplineCalibrator(monotone=False).fit(p, y).predict_proba(grid)[:, 1]
    assert (np.diff(pooled) >= -1e-15).all()
    assert np.diff(free).min() < -0.005


def test_scores_far_out_do_not_decide():
    z, y = rows(500)
    far, label = np.append(z, -1e9), np.append(y, 0)
    grid = np.linspace(-3, 3, 7)
    one = SplineCalibrator(scale="logit").fit(z, y).predict_proba(grid)
    two = SplineCalibrator(scale="logit").fit(far, label).predict_proba([*grid, -1e100, 1e100])
    assert_allclose(two[:7], one, atol=0.04)
    assert 0 < two[7, 1] < two[8, 1] < 1


def test_small_weights_count_as_rows():
    z, y = rows(300)
    one = SplineCalibrator(scale="logit").fit(z, y)
    two = SplineCalibrator(scale="logit").fit(z, y, np.full(300, 1e-3))
    assert_allclose(two.value_, one.value_, atol=1e-9)


# -- groups -------------------------------------------------------------------------------------


def test_copies_of_rows_count_once():
    """Each row ten times, as a group: the fit is that of the rows."""
    z, y = rows(200)
    once = SplineCalibrator(scale="logit").fit(z, y)
    groups = np.repeat(np.arange(200), 10)
    cal = SplineCalibrator(scale="logit").fit(np.repeat(z, 10), np.repeat(y, 10), groups=groups)
    assert 0.08 < cal.worth_ < 0.13
    assert_allclose(cal.predict_proba(z), once.predict_proba(z), atol=0.01)
    assert SplineCalibrator(scale="logit").fit(z, y).worth_ == 1


def test_independent_rows_have_no_design_effect():
    found = []
    for seed in range(20):
        z, y = rows(600, slope=1.0, seed=seed)
        found.append(design_effect(z, expit(z), y.astype(float), None, np.arange(600) // 6))
    assert 1 <= np.mean(found) < 1.15


def test_groups_with_weights_and_fractions():
    z, y = rows(200)
    w = np.ones(200)
    w[:20] = 0
    groups = np.arange(200) // 4
    cal = SplineCalibrator(scale="logit")
    first = cal.fit(z, y, w, groups=groups).predict_proba(z)
    second = cal.fit(z[20:], y[20:], groups=groups[20:]).predict_proba(z)
    assert_allclose(first, second, atol=1e-9)
    f = np.where(y == 1, 0.8, 0.3)
    assert 0 < cal.fit(z, f, groups=groups).worth_ <= 1
    cal.fit(z, y)
    assert cal.worth_ == 1


def test_groups_of_another_length():
    p = expit(rows(50)[0])
    with pytest.raises(ValueError, match="groups has shape"):
        SplineCalibrator().fit(p, rows(50)[1], groups=np.arange(49))


def test_a_failed_fit_keeps_the_old_one():
    z, y = rows(80)
    cal = SplineCalibrator(scale="logit").fit(z, y)
    before = cal.value_.copy()
    with pytest.raises(ValueError, match="groups"):
        cal.fit(z[:50], y[:50], groups=[None] * 50)
    assert_allclose(cal.value_, before)
    assert logit(cal.predict_proba([0.0])[0, 1]) < 1


def test_the_loss_is_that_of_the_map_that_is_used():
    """Reversed scores leave a constant map, whose loss is that of the base rate."""
    rng = np.random.default_rng(0)
    z = rng.random(1000)
    y = rng.random(1000) < 1 - z
    with pytest.warns(ReversedScoresWarning):
        cal = SplineCalibrator().fit(z, y)
    loss = log_loss(y, cal.predict_proba(z)[:, 1])
    assert loss <= cal.loss_[1] < loss + 0.01
