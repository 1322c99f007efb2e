"""Bets on totals of groups, by brute force and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from calibkit._numerics.totals import log_wealth, stakes, upper_rates


def ratio_bounds(events, rows, cells, n_cells, size, tail):
    """Lower and upper bounds of the rates of cells."""
    n_groups = np.bincount(cells, minlength=n_cells)
    others, high = (
        upper_rates(v, rows, cells, n_cells, tail, lambda rate: stakes(n_groups, rate, size, tail))
        for v in (rows - events, events)
    )
    return 1.0 - others, high


def test_wealth_is_the_product_of_bets():
    rng = np.random.default_rng(0)
    groups, wrong = rng.integers(0, 40, 300), rng.random(300) < 0.1
    ends, base = np.array([0, 1, 2, 17, 100, 300]), rng.random(40)
    stake = np.array([0.05, 0.05, 0.05, 0.03, 0.01, 0.01])
    for added in (None, base):
        found = log_wealth(groups, 0.2 - wrong, ends, stake, added)
        for end, s, log in zip(ends, stake, found, strict=True):
            totals = np.bincount(groups[:end], 0.2 - wrong[:end], 40)
            wealth = np.prod(1.0 + s * (totals + (0.0 if added is None else added)))
            assert log == pytest.approx(np.log(wealth), abs=1e-10)
    mixed = rng.permutation(300)
    again = log_wealth(groups[mixed], 0.2 - wrong[mixed], ends[-1:], stake[-1:], base)
    assert again[0] == pytest.approx(found[-1], abs=1e-10)


def test_a_stake_is_never_lost_and_falls_with_the_number_of_groups():
    rate = np.linspace(0.001, 0.999, 50)
    most = stakes(np.array([0]), rate, 8, 0.1) * 8 * (1 - rate)
    assert (most <= 1).all()
    for n in (1, 64, 65, 6400):
        nearest = 2 ** (np.rint(2 * np.log2(n)) / 2)
        part = np.tanh(2 * np.sqrt(2 * np.log(10) * 9 / nearest))
        assert stakes(np.array([n]), 0.1, 8, 0.1)[0] * 8 * 0.9 == pytest.approx(part, rel=1e-3)


def test_bounds_of_a_rate_are_where_the_wealth_reaches_its_limit():
    rng = np.random.default_rng(1)
    rows = rng.integers(1, 9, 200).astype(float)
    events = rng.binomial(rows.astype(int), 0.3).astype(float)
    cells = rng.integers(0, 3, 200)
    bounds = np.array(ratio_bounds(events, rows, cells, 4, 8, 0.05))
    assert bounds[:, 3].tolist() == [0.0, 1.0]  # a cell without rows
    for k in range(3):
        n, wrong, (low, high) = rows[cells == k], events[cells == k], bounds[:, k]
        for x, rate in ((high * n - wrong, high), (wrong - low * n, 1 - low)):
            wealth = np.prod(1.0 + stakes(np.array([len(n)]), rate, 8, 0.05) * x)
            assert wealth == pytest.approx(20.0, rel=1e-6)
        assert low < wrong.sum() / n.sum() < high


def test_all_rates_above_an_upper_bound_are_refuted():
    rng, rates = np.random.default_rng(3), np.linspace(0.001, 0.999, 200)
    for _ in range(50):
        rows = rng.integers(1, 6, int(rng.integers(2, 200))).astype(float)
        events = rng.binomial(rows.astype(int), rng.random() ** 2)
        stake = stakes(np.array([len(rows)]), rates, 5, 0.1)
        logs = np.log1p(stake * (rates * rows[:, None] - events[:, None])).sum(axis=0)
        assert (np.diff(logs) > -1e-9).all()


@pytest.mark.parametrize("none", [0.0, 1.0])
def test_all_or_no_rows_with_the_event(none):
    rows = np.full(30, 4.0)
    low, high = ratio_bounds(none * rows, rows, np.zeros(30, int), 1, 4, 0.05)
    bound = 1 - low[0] if none else high[0]
    # The exact test of 30 independent groups, of which none is all one way.
    assert binom.cdf(0, 30, bound) == pytest.approx(0.05, abs=2e-3)


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
