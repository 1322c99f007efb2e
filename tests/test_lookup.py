"""Looking up bins by table equals a search, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibkit._numerics import lookup
from calibkit._numerics.binning import assign, distinct_values, mass_borders, uniform_borders

N = lookup._MANY

RNG = np.random.default_rng(1)
SPECIAL = [0.0, -0.0, 5e-324, 1e-310, 2.2e-308, 1e-300, 0.5, 1 - 2.0**-53, 1.0]

LAWS = {
    "uniform": lambda rng: rng.random(N),
    "near 0": lambda rng: rng.random(N) ** 30,
    "near 1": lambda rng: 1 - rng.random(N) ** 30,
    "both ends": lambda rng: 1 / (1 + np.exp(-20 * rng.normal(size=N))),
    "few values": lambda rng: np.round(rng.random(N), 2),
    "float32": lambda rng: rng.random(N).astype(np.float32).astype(np.float64),
    "neighbours": lambda rng: 0.3 + rng.integers(0, 5, size=N) * 2.0**-54,
    "denormals": lambda rng: rng.integers(0, 99, size=N) * 5e-324,
    "logits": lambda rng: rng.normal(size=N) * 3,
    "far apart": lambda rng: rng.choice([-1e100, -1.0, 0.0, 1e-9, 1e100], size=N),
    "cauchy": lambda rng: rng.standard_cauchy(size=N),
}


def around(borders):
    """Each border and its two neighbours among floats."""
    return np.concatenate(
        (borders, np.nextafter(borders, -np.inf), np.nextafter(borders, np.inf), SPECIAL)
    )


@pytest.mark.parametrize("n_bins", [2, 3, 15, 100, 1000, 5000])
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_table_equals_search(law, n_bins):
    x = law(np.random.default_rng(n_bins))
    for borders in (mass_borders(np.sort(x), None, n_bins), uniform_borders(n_bins)):
        probes = np.concatenate((x, around(borders)))
        expected = np.searchsorted(borders, probes, side="right")
        np.testing.assert_array_equal(assign(probes, borders), expected)
        for values in (np.arange(len(borders) + 1.0), RNG.random((len(borders) + 1, 2))):
            found = lookup.values_at(probes, borders, values)
            np.testing.assert_array_equal(found, values[expected])


@given(
    st.lists(st.floats(0, 1) | st.sampled_from(SPECIAL), min_size=1, max_size=40)
    | st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=40),
    st.integers(0, 2**32 - 1),
)
def test_table_equals_search_for_any_steps(steps, seed):
    """Repeated steps too, and numbers beyond both ends."""
    steps = np.sort(np.array(steps))
    x = np.concatenate((around(steps), np.random.default_rng(seed).normal(size=N)))
    expected = np.searchsorted(steps, x, side="right")
    np.testing.assert_array_equal(lookup.count_at_or_below(x, steps), expected)


def test_the_table_is_what_was_tested():
    """The laws reach the table by each of its keys, and the search where no key will do."""
    found = set()
    for law in LAWS.values():
        for n_bins in (2, 15, 100):
            steps = mass_borders(np.sort(law(np.random.default_rng(0))), None, n_bins)
            best = lookup._best_key(steps) if len(steps) else None
            found.add(None if best is None else best[0].__qualname__.partition(".")[0])
    assert found == {"_unit_key", "_linear_key", "_two_ended_key", None}


def test_few_rows_no_borders_and_other_types():
    assert assign(np.empty(0), np.array([0.5])).tolist() == []
    assert assign(np.array([0.2, 0.5]), np.empty(0)).tolist() == [0, 0]
    assert (assign(np.full(N, 0.2), np.empty(0)) == 0).all()
    single = np.random.default_rng(0).random(N).astype(np.float32)
    borders = uniform_borders(10)
    np.testing.assert_array_equal(
        assign(single, borders), np.searchsorted(borders, single, side="right")
    )


# -- values that tell bins apart ------------------------------------------------------------


def check_distinct(value):
    out = distinct_values(value)
    assert len(np.unique(out)) == len(np.unique(1.0 - out)) == len(value)
    assert ((out >= 0) & (out <= 1)).all()
    assert np.abs(out - value).max(initial=0.0) <= len(value) * 2.0**-52
    order = np.argsort(value, kind="stable")
    assert (np.diff(out[order]) > 0).all()
    return out


@given(st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0, 1e-20, 0.1]), max_size=60))
def test_distinct_values(value):
    check_distinct(np.array(value))


@pytest.mark.parametrize(
    "level", [0.0, -0.0, 1e-20, 0.1, 0.5 - 2.0**-54, 0.5, 0.7, 1 - 2.0**-53, 1.0]
)
@pytest.mark.parametrize("n_bins", [1, 2, 3, 500])
def test_distinct_values_from_one_value(level, n_bins):
    check_distinct(np.full(n_bins, level))


def test_values_that_differ_stay_as_they_are():
    value = np.random.default_rng(0).permutation(np.arange(26) / 25)
    np.testing.assert_array_equal(distinct_values(value), value)
    # Ties go towards the middle, and the bin that comes first ends up lower.
    grid = 2.0**-53
    np.testing.assert_array_equal(
        distinct_values(np.array([0.0, 1.0, 0.0, 1.0, 0.3])),
        [0.0, 1 - grid, grid, 1.0, 0.3],
    )
