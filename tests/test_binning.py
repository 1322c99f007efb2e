"""The one binning of the package against brute force in exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibkit import ScoreTable
from calibkit._core.rows import Binary
from calibkit._numerics.binning import (
    assign,
    auto_bins,
    mass_borders,
    packed_sums,
    sort_by_score,
    tied,
    uniform_borders,
    uniform_sums,
)
from calibkit._numerics.packed import packed
from calibkit.metrics._binned import bin_sums


@pytest.mark.parametrize("n_bins", [*range(1, 41), 100])
def test_uniform_bins_of_every_fraction(n_bins):
    """Every k/n, n <= 100, is in the bin that exact rational arithmetic puts it in."""
    fractions = sorted({Fraction(k, n) for n in range(1, 101) for k in range(n + 1)})
    p = np.array([float(f) for f in fractions])
    expected = np.array([min(int(f * n_bins), n_bins - 1) for f in fractions])
    borders = uniform_borders(n_bins)
    assert (assign(p, borders).clip(max=n_bins - 1) == expected).all()
    y = np.arange(len(p)) % 2
    sums = uniform_sums(p, y.astype(np.int8), None, n_bins, borders)
    assert (sums.n == np.bincount(expected, minlength=n_bins)).all()
    np.testing.assert_allclose(sums.wp, np.bincount(expected, p, n_bins), rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal(sums.wy, np.bincount(expected, y, n_bins))


@pytest.mark.parametrize("n_bins", range(1, 201))
def test_counts_always_sum_to_n(n_bins):
    rng = np.random.default_rng(n_bins)
    p = np.concatenate((np.zeros(7), np.ones(5), np.arange(101) / 100, rng.random(400)))
    y = (rng.random(len(p)) < p).astype(np.int8)
    for strategy in ("uniform", "quantile", "unique"):
        sums = bin_sums(Binary(p, y, None), strategy, n_bins)
        assert sums.n.sum() == len(p)
        assert sums.w.sum() == len(p)
        assert sums.wy.sum() == y.sum()
        np.testing.assert_allclose(sums.wp.sum(), p.sum(), rtol=1e-12)


def equal_mass_by_hand(p, w, n_bins):
    """Bin of each row, straight from the definition, in exact arithmetic."""
    order = np.argsort(p, kind="stable")
    total = Fraction(int(w.sum()))
    ends, below = [], Fraction(0)
    values = np.unique(p)
    for value in values:
        below += int(w[p == value].sum())
        while len(ends) < n_bins - 1 and below >= total * (len(ends) + 1) / n_bins:
            ends.append(value)
    ends = np.unique(ends)
    bins = np.array([np.count_nonzero(ends < v) for v in p])
    assert len(order) == len(bins)
    return np.unique(bins, return_inverse=True)[1]


@pytest.mark.parametrize("n_bins", [1, 2, 3, 7, 10, 15])
@pytest.mark.parametrize("decimals", [0, 1, 2, 17])
def test_equal_mass_bins_by_definition(n_bins, decimals):
    rng = np.random.default_rng(decimals)
    p = np.round(rng.beta(0.5, 1.0, size=60), decimals)
    for w in (np.ones(60, dtype=int), rng.integers(1, 5, size=60)):
        ordered = np.argsort(p, kind="stable")
        weights = None if (w == 1).all() else w[ordered].astype(float)
        borders = mass_borders(p[ordered], weights, n_bins)
        assert (assign(p, borders) == equal_mass_by_hand(p, w, n_bins)).all()


@given(
    st.lists(st.floats(0, 1) | st.sampled_from([0.0, -0.0, 1.0, 5e-324]), min_size=1, max_size=80),
    st.integers(0, 2**32 - 1),
)
def test_packed_sort_is_a_sort(scores, seed):
    """Sorting the bits of score and label together loses neither a bit nor a row."""
    p = np.array(scores)
    y = np.random.default_rng(seed).integers(0, 2, size=len(p)).astype(np.int8)
    sorted_p, sorted_y, _ = sort_by_score(p, y)
    order = np.lexsort((y, p))
    np.testing.assert_array_equal(sorted_p, p[order])
    np.testing.assert_array_equal(sorted_y, y[order])


@pytest.mark.parametrize("n_bins", [1, 2, 15, 600])
@pytest.mark.parametrize("least", [0.0, 1e-300, 2.0**-30, 1e-9])
def test_packed_rows_have_the_same_bins(n_bins, least):
    """Borders and counts bit for bit, and the same ties, also of scores that nearly touch."""
    rng = np.random.default_rng(n_bins)
    p = np.concatenate((rng.random(20_000), least + rng.random(20_000) ** 20))
    p = np.append(np.clip(p, 0.0, 1.0), [0.0, -0.0, 1.0, 5e-324])
    y = (rng.random(len(p)) < p).astype(np.int8)
    rows, (x, _, _) = packed(p, y), sort_by_score(p, y)
    borders = mass_borders(x, None, n_bins)
    np.testing.assert_array_equal(mass_borders(rows, None, n_bins), borders)
    for side in ("left", "right"):
        np.testing.assert_array_equal(rows.searchsorted(x, side), np.searchsorted(x, x, side))
    bins = assign(p, borders)
    sums = packed_sums(rows, borders)
    np.testing.assert_array_equal(sums.n, np.bincount(bins, minlength=len(borders) + 1))
    np.testing.assert_array_equal(sums.wy, np.bincount(bins, y, len(borders) + 1))
    np.testing.assert_allclose(sums.wp, np.bincount(bins, p, len(borders) + 1), rtol=1e-12)


@given(st.floats(0, 1), st.integers(0, 20))
def test_packed_rows_have_the_same_ties(score, steps):
    near = score
    for _ in range(steps):
        near = min(np.nextafter(near, 2), 1.0)
    x = np.sort([score, near, 1.0, 0.0])
    for scores in (x, x[:-1], x[1:], x[1:-1]):
        rows = packed(scores, np.array([1, 0, 1, 0][: len(scores)], dtype=np.int8))
        assert tied(rows) == tied(scores)


def test_scores_outside_the_unit_interval_are_not_packed():
    for bad in (-1e-300, 1.0 + 2.0**-52, np.nan, -np.inf):
        assert packed(np.array([0.5, bad]), np.array([0, 1], dtype=np.int8)) is None


def test_neighbouring_floats_are_different_scores():
    p = np.array([0.5, np.nextafter(0.5, 1), np.nextafter(0.5, 0)])
    table = ScoreTable.from_arrays([0, 1, 1], p)
    np.testing.assert_array_equal(table.p, np.sort(p))
    np.testing.assert_array_equal(table.wy, [1, 0, 1])


@pytest.mark.parametrize(
    ("n", "bins"), [(1, 1), (8, 2), (9, 3), (1000, 10), (1001, 11), (10**6, 100)]
)
def test_auto_bins_is_the_cube_root(n, bins):
    assert auto_bins(n) == bins


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 9]), st.booleans())
def test_two_ways_to_the_same_sums(seed, decimals, weighted):
    """Straight from the rows and through the table, every strategy gives the same bins."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(0.7, 0.7, size=200), decimals)
    y = (rng.random(200) < p).astype(np.int8)
    w = rng.integers(1, 5, size=200).astype(float) if weighted else None
    table = ScoreTable._from_binary(Binary(p, y, w))
    for strategy in ("uniform", "quantile", "unique"):
        straight = bin_sums(Binary(p, y, w), strategy, 15, squares=True)
        through = table.bins(strategy, 15, squares=True)
        for a, b in zip(straight[:5], through[:5], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        for a, b in zip(straight.squares()[::2], through.squares()[::2], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
