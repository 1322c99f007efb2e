"""Bets on totals of groups, by brute force and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from calibkit._numerics.exact import clopper_pearson
from calibkit._numerics.totals import STAKES, log_wealth, ratio_bounds


def test_wealth_is_the_mean_of_products_of_bets():
    rng = np.random.default_rng(0)
    groups, wrong = rng.integers(0, 40, 300), rng.random(300) < 0.1
    ends = np.array([1, 2, 17, 100, 300])
    found = log_wealth(groups, 0.2 - wrong, ends, 0.8 * 20)
    for end, log in zip(ends, found, strict=True):
        totals = np.bincount(groups[:end], 0.2 - wrong[:end])
        wealth = [np.prod(1.0 + s * totals / (0.8 * 20)) for s in STAKES]
        assert log == pytest.approx(np.log(np.mean(wealth)), abs=1e-10)
    mixed = rng.permutation(300)
    again = log_wealth(groups[mixed], 0.2 - wrong[mixed], np.array([300]), 0.8 * 20)
    assert again[0] == pytest.approx(found[-1], abs=1e-10)


def test_bounds_of_a_rate_are_where_the_wealth_reaches_its_limit():
    rng = np.random.default_rng(1)
    rows = rng.integers(1, 9, 200).astype(float)
    events = rng.binomial(rows.astype(int), 0.3).astype(float)
    cells = rng.integers(0, 3, 200)
    bounds = np.array(ratio_bounds(events, rows, cells, 4, 8, 0.05))
    assert bounds[:, 3].tolist() == [0.0, 1.0]  # a cell without rows
    for k in range(3):
        n, wrong, (low, high) = rows[cells == k], events[cells == k], bounds[:, k]
        for x, loss in (
            (high * n - wrong, 8 * (1 - high)),  # the rate is at least ``high``
            (wrong - low * n, 8 * low),  # the rate is at most ``low``
        ):
            wealth = np.mean([np.prod(1.0 + s * x / loss) for s in STAKES])
            assert wealth == pytest.approx(20.0, rel=1e-6)
        assert low < wrong.sum() / n.sum() < high


def test_bounds_of_groups_of_one_are_exact_binomial():
    wrong = np.arange(50) < 7
    found = ratio_bounds(wrong.astype(float), np.ones(50), np.zeros(50, int), 1, 1, 0.05)
    expected = clopper_pearson(np.array([0.14]), np.array([50.0]), 0.9)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("none", [0.0, 1.0])
def test_all_or_no_rows_with_the_event(none):
    rows = np.full(30, 4.0)
    low, high = ratio_bounds(none * rows, rows, np.zeros(30, int), 1, 4, 0.05)
    assert (low[0], high[0]) == pytest.approx((0.8, 1.0) if none else (0.0, 0.2), abs=0.05)
    # No test of 30 independent groups can say more.
    assert binom.cdf(0, 30, 1 - low[0] if none else high[0]) < 0.05


@pytest.mark.parametrize("size", [1, 6])
def test_bounds_hold_where_all_rows_of_a_group_agree(size):
    rng, many, rate = np.random.default_rng(2), 400, 0.1
    sizes = rng.integers(1, size + 1, (many, 60)).astype(float)
    # Large groups have the event more often: the rate is one of rows, not of groups.
    by_size = sizes / (sizes**2).mean() * sizes.mean()
    events = sizes * (rng.random((many, 60)) < rate * by_size)
    cells = np.repeat(np.arange(many), 60)
    low, high = ratio_bounds(events.ravel(), sizes.ravel(), cells, many, size, 0.2)
    for missed in (low > rate, high < rate):
        assert missed.mean() <= 0.2 + 3 * np.sqrt(0.2 * 0.8 / many)
