"""RiskControlledThreshold: its guarantee by simulation, its parts by brute force."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy.special import bdtr
from scipy.stats import beta, binom
from sklearn.base import BaseEstimator, clone
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

from calibkit import CalibrationWarning, MissingSignalWarning, PlattCalibrator
from calibkit._numerics.exact import at_most, upper_bound
from calibkit._numerics.risk_control import (
    BETS,
    Groups,
    Rows,
    accepted_counts,
    last_passed,
    sequences_of,
    shared_out,
    smallest_proof,
    start_ranks,
    starts_of,
)
from calibkit._numerics.totals import stakes
from calibkit.decisions import RiskControlledThreshold


def outputs(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.beta(4, 1, n)
    return p, rng.random(n) < p


def quietly(gate, *data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return gate.fit(*data)


# -- numbers ---------------------------------------------------------------------------------------


def test_binomial_tail_and_bound_are_scipys():
    k, n = np.array([0, 1, 3, 10]), np.array([10, 10, 40, 10])
    np.testing.assert_allclose(at_most(k, n, 0.2), binom.cdf(k, n, 0.2), rtol=1e-12)
    bound = upper_bound(k, n, 0.1)
    inside = k < n
    np.testing.assert_allclose(binom.cdf(k, n, bound)[inside], 0.1, rtol=1e-9)
    assert bound[-1] == 1.0
    assert upper_bound(0, 0, 0.1) == 1.0


@pytest.mark.parametrize("max_error", [0.01, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("n", [20, 100, 163, 1000, 20_000])
def test_starts_lie_between_their_ranks_but_for_a_tenth_of_alpha(max_error, alpha, n):
    sequences = sequences_of(np.arange(1, n + 1), max_error, alpha)
    if not sequences:
        assert n < 1.1 * smallest_proof(max_error, 0.9 * alpha) + 1
        return
    assert sum(share for _, share in starts_of(n, max_error, alpha)) == pytest.approx(alpha)
    assert sequences[0].first + 1 >= smallest_proof(max_error, 0.9 * alpha)
    top = bottom = 0
    for s, (q, share) in zip(sequences, starts_of(n, max_error, alpha), strict=False):
        assert s.alpha == pytest.approx(0.9 * share)
        # The next start has so many rows more than the last, whose rank is one of a range.
        tail, slack = 0.05 * share, 1.001
        first, least = s.first + 1, s.least + 1  # ranks
        assert binom.cdf(first - top - 1, n - top, q) <= tail * slack
        assert binom.cdf(first - top, n - top, q) > tail / slack
        assert binom.sf(least - bottom - 1, n - bottom, q) <= tail * slack
        assert binom.sf(least - bottom - 2, n - bottom, q) > tail / slack
        top, bottom = first, least


@pytest.mark.parametrize(
    "mass",
    [[1e-3] * 1000, [0.4, 0.35, 0.25], [0.6, 0.01, 0.3, 0.09], [0.2] * 5, [0.05] * 20],
    ids=["no ties", "3 values", "rare values", "5 values", "20 values"],
)
def test_starts_are_fixed_places_whatever_the_ties(mass):
    """Ranks hold the places of the population with the probability that is said."""
    n, max_error, alpha, many = 300, 0.2, 0.9, 500
    rng, mass = np.random.default_rng(0), np.array(mass)
    starts, places, above = starts_of(n, max_error, alpha), [], 0.0
    for q, _ in starts:  # values are 0, 1, 2, ... from the surest on
        if above < 1 - 1e-9:
            share = above + q * (1.0 - above)
            places.append(int(np.searchsorted(np.cumsum(mass), share * (1 - 1e-9))))
            above = mass[: places[-1] + 1].sum()
    assert len(set(places)) == len(places) >= 3
    missed = 0
    for _ in range(many):
        values = np.sort(rng.choice(len(mass), size=n, p=mass / mass.sum()))
        accepted = np.append(np.flatnonzero(np.diff(values)), n - 1) + 1
        for s, place in zip(sequences_of(accepted, max_error, alpha), places, strict=False):
            found = np.append(values[accepted - 1], len(mass))
            missed += place < found[s.first] or place > found[s.least]
    expected = 0.1 * alpha
    assert missed / many <= expected + 3 * np.sqrt(expected / many)


def by_brute_force(p, correct, max_error, alpha):
    """The lowest threshold, one sequence and threshold at a time."""
    order = np.argsort(-p)
    lowest, part = np.inf, 1.0
    if len(p) >= 40 * smallest_proof(max_error, alpha):
        part = 0.6
        for j in range(1, 11):
            v = p[order][int(np.ceil(len(p) * j / 10)) - 1]
            top = p > v
            if top.any() and bdtr((~correct[top]).sum(), top.sum(), max_error) <= 0.04 * alpha:
                lowest = min(lowest, np.nextafter(v, 1))
    n_accepted = accepted_counts(p[order], ~correct[order])[1]
    sequences = sequences_of(n_accepted, max_error, part * alpha)
    for i, s in enumerate(sequences):
        for k, t in enumerate(np.unique(p)[::-1]):
            n, wrong = int((p >= t).sum()), int((~correct[p >= t]).sum())
            level = s.alpha + sum(later.alpha for later in sequences[i + 1 :] if k >= later.least)
            if k < s.first:
                continue
            if wrong > max_error * n or bdtr(wrong, n, max_error) > level:
                break
            if k >= s.least:
                lowest = min(lowest, t)
    return lowest


def test_lowest_threshold_by_brute_force():
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(200):
        n = int(rng.integers(60, 600))
        p = np.round(rng.random(n), int(rng.integers(1, 4)))
        correct = rng.random(n) < 1 - 0.25 * (1 - p) ** 0.5 * rng.random()
        if rng.random() < 0.3:
            correct[np.argsort(-p)[: n // 30]] = False
        max_error, alpha = rng.choice([0.1, 0.2]), rng.choice([0.1, 0.3])
        expected = by_brute_force(p, correct, max_error, alpha)
        gate = quietly(RiskControlledThreshold(max_error, alpha=alpha), p, correct)
        assert gate.threshold_ == expected
        assert gate.feasible_ == (expected < np.inf)
        found += gate.feasible_
        if gate.feasible_:
            accepted = p >= expected
            assert gate.n_accepted_ == accepted.sum() == gate.predict(p).sum()
            assert gate.error_ == pytest.approx(1 - correct[accepted].mean())
            assert gate.error_ < gate.bound_ <= max_error + 1e-12
    assert 50 < found < 190


def test_sequence_stops_where_it_must():
    n, wrong = np.arange(1, 301), np.zeros(300, dtype=int)
    sequences = sequences_of(n, 0.1, 0.1)[:1]
    s, p = sequences[0], Rows(n, wrong, 0.1, 0.1).p_values()
    assert last_passed(p, n < 0, sequences) == (299, s.alpha)
    assert last_passed(p, n >= 200, sequences)[0] == 198
    assert last_passed(p, n >= s.least + 1, sequences)[0] == -1
    assert last_passed(p, n == s.first + 1, sequences)[0] == -1
    assert last_passed(p[:10], n[:10] < 0, sequences)[0] == -1


def test_how_many_outputs_the_first_sequence_needs():
    """As the docstring says."""
    least = [sequences_of(np.arange(1, n + 1), 0.05, 0.1)[0].least + 1 for n in (200, 500, 1000)]
    apart = Rows(np.arange(1, 5001), np.zeros(5000, int), 0.05, 0.1).sequences()
    assert [*least, apart[0].least + 1] == [87, 125, 208, 256]


def test_later_sequences_find_what_the_first_does_not():
    n = np.arange(1, 2001)
    wrong = np.minimum(n, 30)  # the thirty surest are wrong, all others right
    sequences = sequences_of(n, 0.1, 0.1)
    p, stopped = Rows(n, wrong, 0.1, 0.1).p_values(), wrong > 0.1 * n
    assert len(sequences) == 4
    assert last_passed(p, stopped, sequences[:1])[0] == -1
    last, level = last_passed(p, stopped, sequences)
    assert last == 1999
    assert level < 0.09 / 2  # the share of the first is lost


# -- the guarantee ---------------------------------------------------------------------------------

MANY = 5000


def failed_guarantees(draw, error_of, max_error, alpha, groups=None, many=MANY, start=None):
    """Share of simulations whose true error is too large, and share with a threshold."""
    rng = np.random.default_rng(0)
    gate = RiskControlledThreshold(max_error, alpha=alpha, start=start)
    broken = found = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        for _ in range(many):
            p, correct = draw(rng)
            gate.fit(p, correct, groups)
            found += gate.feasible_
            broken += gate.feasible_ and error_of(gate.threshold_) > max_error
    return broken / many, found / many


def limit(alpha):
    return alpha + 2 * np.sqrt(alpha * (1 - alpha) / MANY)


def naive(p, correct, max_error):
    order = np.argsort(-p)
    error = np.cumsum(~correct[order]) / np.arange(1, len(p) + 1)
    fine = np.flatnonzero(error <= max_error)
    return p[order][fine[-1]] if len(fine) else np.inf


@pytest.mark.long
def test_guarantee_is_valid_for_calibrated_outputs_where_the_naive_threshold_fails():
    # p uniform and calibrated: the error at t is (1 - t) / 2.
    def draw(rng):
        p = rng.random(400)
        return p, rng.random(400) < p

    broken, found = failed_guarantees(draw, lambda t: (1 - t) / 2, 0.2, 0.1)
    assert broken <= limit(0.1)
    assert broken > 0.02  # the guarantee is not met by accepting nothing
    assert found > 0.6
    rng = np.random.default_rng(1)
    too_low = [(1 - naive(*draw(rng), 0.2)) / 2 > 0.2 for _ in range(300)]
    assert np.mean(too_low) > 0.3


@pytest.mark.long
def test_guarantee_is_valid_where_the_error_does_not_fall_with_the_score():
    # Above u = 1 - p the error is 0.2 + 0.05 * sin(2 pi 4 u): now above, now below.
    def error_at(u):
        return 0.2 + 0.05 * np.sin(8 * np.pi * u)

    def mean_error(t):
        u = 1 - t
        return 0.2 + 0.05 * (1 - np.cos(8 * np.pi * u)) / (8 * np.pi * u)

    def draw(rng):
        u = rng.random(300)
        return 1 - u, rng.random(300) >= error_at(u)

    broken, _ = failed_guarantees(draw, mean_error, 0.2, 0.2)  # all thresholds fail, by little
    assert 0.0 < broken <= limit(0.2)


@pytest.mark.long
@pytest.mark.parametrize("together", [0.5, 1.0])
def test_guarantee_is_valid_for_samples_that_are_right_or_wrong_together(together):
    groups = np.repeat(np.arange(100), 10)

    def draw(rng):
        q = rng.random(100)
        wrong = 1 - q
        if together == 1.0:
            wrong = (rng.random(100) < wrong).astype(float)
        else:  # beta-binomial: correlation 1 / (1 + 1) within problems
            wrong = rng.beta(np.maximum(1 - q, 1e-9), np.maximum(q, 1e-9))
        return np.repeat(q, 10), rng.random(1000) >= np.repeat(wrong, 10)

    for start, least in ((0.7, 0.3), (None, 0.05)):
        broken, found = failed_guarantees(
            draw, lambda t: (1 - t) / 2, 0.4, 0.1, groups, many=MANY // 2, start=start
        )
        assert broken <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / (MANY // 2))
        assert found > least
    # The gate of this test: taking the outputs as independent fails it.
    if together == 1.0:
        broken, _ = failed_guarantees(draw, lambda t: (1 - t) / 2, 0.4, 0.1, many=300)
        assert broken > 0.2


#: Values that outputs state, how often, and how often they are then wrong.
STATED = {
    "surest over-confident": ([1, 0.9, 0.5], [0.35, 0.35, 0.3], [0.22, 0.11, 0.33]),
    "most state the surest": ([1, 0.9, 0.5], [0.6, 0.3, 0.1], [0.22, 0.05, 0.33]),
    "surest three": (
        [1, 0.95, 0.9, 0.8, 0.5],
        [0.3, 0.15, 0.15, 0.35, 0.05],
        [0.23, 0.21, 0.22, 0.05, 0.3],
    ),
}


def stated(rng, n, values, share, error):
    i = rng.choice(len(values), size=n, p=share)
    return np.array(values)[i], rng.random(n) >= np.array(error)[i]


@pytest.mark.parametrize("case", STATED)
def test_few_values_of_which_the_surest_is_wrong_too_often(case):
    values, share, error = STATED[case]
    wrong = np.cumsum(np.multiply(share, error)) / np.cumsum(share)
    best = values[np.flatnonzero(wrong <= 0.2)[-1]]
    rng = np.random.default_rng(0)
    found = [
        quietly(RiskControlledThreshold(0.2), *stated(rng, 3000, *STATED[case])).threshold_
        for _ in range(100)
    ]
    assert np.mean(np.array(found) == best) > 0.8


def test_a_threshold_just_above_a_value_is_told_as_such():
    values, share, error = [1, 0.95, 0.9, 0.8, 0.5], [0.2] * 5, [0.3, 0.1005, 0.2, 0.2, 0.21]
    rng = np.random.default_rng(0)
    for _ in range(200):
        gate = quietly(
            RiskControlledThreshold(0.2, alpha=0.2), *stated(rng, 400, values, share, error)
        )
        if gate.feasible_ and gate.threshold_ not in values:
            break
    assert gate.threshold_ == np.nextafter(0.8, 1)
    assert str(gate).startswith("Accept above 0.8: ")
    assert not gate.predict([0.8])[0]


@pytest.mark.long
@pytest.mark.parametrize(
    "error",
    [[0.2002] * 5, [0.3, 0.1005, 0.2002, 0.2002, 0.21], [0.2002, 0.19, 0.3, 0.19, 0.3]],
    ids=["on the border", "below it once", "above and below"],
)
@pytest.mark.parametrize(
    "share", [[0.2] * 5, [0.5, 0.01, 0.02, 0.3, 0.17], [0.05, 0.35, 0.05, 0.5, 0.05]], ids=str
)
def test_guarantee_is_valid_for_few_values(share, error):
    values = [1, 0.95, 0.9, 0.8, 0.5]
    wrong = np.cumsum(np.multiply(share, error)) / np.cumsum(share)

    def error_of(t):
        return wrong[np.count_nonzero(np.array(values) >= t) - 1]

    def draw(rng):
        return stated(rng, 400, values, share, error)

    broken, _ = failed_guarantees(draw, error_of, 0.2, 0.2)
    assert broken <= limit(0.2)


@pytest.mark.parametrize("settings", [{}, {"start": 0.7}, {"candidates": [0.7, 0.4]}])
@pytest.mark.parametrize("size", [1, 5])
def test_guarantee_on_the_border(size, settings):
    """A few cells of ``benchmarks/proofs.py threshold``: rows of a group agree, errors are .1."""
    rng, many, broken = np.random.default_rng(0), 60, 0
    gate = RiskControlledThreshold(0.1, alpha=0.5, max_group_size=size, **settings)
    for _ in range(many):
        groups = np.repeat(np.arange(80), rng.integers(1, size + 1, 80))
        p, wrong = rng.random(80)[groups], (rng.random(80) < 0.1001)[groups]
        broken += quietly(gate, p, ~wrong, groups).feasible_
    assert broken / many <= 0.5 + 3 * np.sqrt(0.25 / many)


# -- groups ----------------------------------------------------------------------------------------


def grouped(n_groups=400, size=5, seed=0):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), size)
    p = rng.beta(6, 1, n_groups)[groups] ** rng.uniform(0.8, 1.2, len(groups))
    return p, rng.random(len(groups)) < p, groups


def test_all_outputs_of_groups_are_tested():
    p, correct, groups = grouped()
    gate = RiskControlledThreshold(0.2).fit(p, correct, groups)
    assert (gate.n_tested_, gate.n_groups_, gate.n_outputs_) == (2000, 400, 2000)
    assert gate.n_accepted_ == (p >= gate.threshold_).sum()
    assert "The outputs are in 400 groups." in str(gate)


@pytest.mark.parametrize("how", ["start", "candidates"])
def test_groups_by_brute_force(how):
    rng, found = np.random.default_rng(4), 0
    for seed in range(40):
        p, correct, groups = grouped(int(rng.integers(20, 300)), int(rng.integers(2, 9)), seed)
        p = np.round(p, 2)
        max_error, size = rng.choice([0.1, 0.2]), np.bincount(groups).max() + seed % 3
        settings = {"start": 0.9} if how == "start" else {"candidates": [0.6, 0.9, 0.8, 0.7]}
        tested = np.unique(np.append(p[p < 0.9], 0.9)) if how == "start" else [0.6, 0.7, 0.8, 0.9]
        lowest = np.inf
        for t in tested[::-1]:
            top = p >= t
            rows, wrong = np.bincount(groups[top]), np.bincount(groups[top], ~correct[top])
            stake = stakes(np.array([len(np.unique(groups[top]))]), max_error, size, 0.2)
            wealth = np.prod(1 + stake * (max_error * rows - wrong))
            if wealth < 5 or wrong.sum() > max_error * top.sum():
                break
            lowest = t
        gate = RiskControlledThreshold(max_error, alpha=0.2, max_group_size=int(size), **settings)
        assert quietly(gate, p, correct, groups).threshold_ == lowest
        found += gate.feasible_
        if gate.feasible_:
            assert gate.error_ < gate.bound_ <= max_error + 1e-9
    assert 10 < found < 40


def test_starts_of_groups_lie_between_their_places():
    """Quantiles of scores that all rows of a group share, by simulation."""
    rng, many, max_error, alpha = np.random.default_rng(0), 200, 0.2, 0.9
    missed = 0
    for _ in range(many):
        sizes = rng.integers(1, 5, 150)
        codes = np.repeat(np.arange(150), sizes)
        # Large groups have high scores: the share of rows at or above 1 - u is F(u).
        u = np.round(rng.beta(1, sizes / 2.5)[codes], 1)
        order = np.argsort(u, kind="stable")
        tested, n, wrong = accepted_counts(-u[order], 0 * codes)
        rows = Groups(Rows(n, wrong, max_error, alpha), codes[order], 0 * codes, 4)
        ends = np.append(-tested, np.inf)
        for s, place in zip(rows.sequences(), places_of_groups(max_error, alpha), strict=False):
            missed += place < ends[s.first] - 1e-9 or place > ends[s.least] + 1e-9
    assert missed / many <= 0.1 * alpha


def places_of_groups(max_error, alpha):
    """Where the sequences begin, of the law in the test above, by its exact quantiles."""
    n, above, values = 150, 0.0, np.round(np.arange(0, 1.05, 0.1), 1)
    sizes = np.arange(1, 5)
    border = np.minimum(values + 0.05, 1.0)
    share = (sizes * beta.cdf(border[:, None], 1, sizes / 2.5)).sum(axis=1) / sizes.sum()
    ranks, places = start_ranks(n, max_error, alpha, BETS), []
    own = shared_out(alpha, len(ranks))
    for rank, before, part in zip(ranks, [0, *ranks], own, strict=False):
        q = (rank - before) / (n - before)
        q += np.sqrt(-2 * np.log(0.05 * part) * q * (1 - q) / n)
        at = int(np.searchsorted(share, above + q * (1 - above)))
        places.append(values[at])
        above = share[at]
    return places


def test_a_start_that_may_be_above_all_scores_proves_nothing():
    """A few groups of 24 outputs may hold all that is above, and none of them may be here."""
    p, correct, groups = np.full(400, 0.9), np.ones(400), np.arange(400)
    for size, proved in ((4, True), (24, False)):
        gate = RiskControlledThreshold(0.5, max_group_size=size)
        assert quietly(gate, p, correct, groups).feasible_ == proved
    gate = RiskControlledThreshold(0.5, max_group_size=24, start=0.8)
    assert gate.fit(p, correct, groups).feasible_


def test_more_outputs_of_each_group_prove_more():
    shares = np.zeros((2, 6))
    for seed in range(6):
        p, correct, groups = grouped(150, 8, seed)
        for i, size in enumerate((1, 8)):
            some = np.arange(len(p)) % 8 < size
            gate = RiskControlledThreshold(0.1, start=0.93)
            quietly(gate, p[some], correct[some], groups[some])
            shares[i, seed] = gate.n_accepted_ / some.sum()
    assert shares[1].mean() > shares[0].mean() + 0.05


def test_larger_groups_may_come():
    p, correct, groups = grouped()
    small, large = (
        RiskControlledThreshold(0.1, start=0.9, max_group_size=size).fit(p, correct, groups)
        for size in (5, 8)
    )
    assert large.n_accepted_ < small.n_accepted_
    with pytest.raises(ValueError, match="max_group_size=4, and the largest group has 5 outputs"):
        RiskControlledThreshold(0.2, max_group_size=4).fit(p, correct, groups)


def test_order_and_names_of_groups_do_not_matter():
    p, correct, groups = grouped()
    p = np.round(p, 2)
    mixed = np.random.default_rng(1).permutation(2000)
    for settings in ({}, {"start": 0.9}):
        a = RiskControlledThreshold(0.2, **settings).fit(p, correct, groups)
        b = RiskControlledThreshold(0.2, **settings).fit(p[mixed], correct[mixed], groups[mixed])
        assert (a.threshold_, a.bound_, a.n_accepted_) == (b.threshold_, b.bound_, b.n_accepted_)
        c = RiskControlledThreshold(0.2, **settings).fit(p, correct, 1000 - groups)
        assert (a.threshold_, a.n_accepted_) == (c.threshold_, c.n_accepted_)


# -- a known start ---------------------------------------------------------------------------------


def test_a_known_start_needs_fewer_outputs():
    p, correct = outputs(250, seed=8)
    assert not quietly(RiskControlledThreshold(0.1), p, correct).feasible_
    gate = RiskControlledThreshold(0.1, start=0.9).fit(p, correct)
    t = gate.threshold_
    assert t in p[p < 0.9]
    tested = [0.9, *np.sort(p[(p < 0.9) & (p >= t)])[::-1]]
    assert max(bdtr((~correct[p >= v]).sum(), (p >= v).sum(), 0.1) for v in tested) <= 0.1
    assert binom.cdf((~correct[p >= t]).sum(), (p >= t).sum(), gate.bound_) == pytest.approx(0.1)


def test_a_start_may_be_the_threshold():
    p, correct = np.array([0.9] * 50 + [0.1] * 50), np.array([1] * 50 + [0] * 50)
    gate = RiskControlledThreshold(0.1, start=0.5).fit(p, correct)
    assert (gate.threshold_, gate.n_accepted_) == (0.5, 50)
    above = quietly(RiskControlledThreshold(0.1, start=0.95), p, correct)
    assert not above.feasible_  # nothing is accepted there, so nothing is proved
    assert above.best_.threshold == 0.9


def test_only_candidates_are_tested():
    p, correct = outputs(1000)
    gate = quietly(RiskControlledThreshold(0.1, candidates=[0.7, 0.9, 0.85, 0.99]), p, correct)
    assert gate.best_.threshold in (0.9, 0.85, 0.7)  # the highest accepts too few outputs
    gate = RiskControlledThreshold(0.1, candidates=[0.7, 0.9, 0.85]).fit(p, correct)
    assert gate.threshold_ == 0.85
    with pytest.raises(ValueError, match=r"no output is at or above the lowest candidate 0\.99, "):
        RiskControlledThreshold(candidates=[0.99]).fit([0.5, 0.6], [1, 1])


def test_unlabeled_outputs_give_the_start():
    p, correct, groups = grouped(300)
    other = grouped(1000, seed=9)[0]
    gate = RiskControlledThreshold(0.1)
    found = [
        gate.fit(p, correct, groups, unlabeled=signal).threshold_
        for signal in (other, other[::-1], np.append(other, np.nan), np.c_[1 - other, other])
    ]
    assert len(set(found)) == 1
    share = start_ranks(300, 0.1, 0.1, BETS)[0] / 300
    start = np.sort(other)[::-1][int(np.ceil(share * len(other))) - 1]
    assert gate.set_params(start=start).fit(p, correct, groups).threshold_ == found[0]


@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(50), 4), np.arange(200), [7] * 200])
@pytest.mark.parametrize("p", [np.full(200, 0.7), np.linspace(0, 1, 200)], ids=["ties", "none"])
@pytest.mark.parametrize("settings", [{}, {"start": 0.7}, {"candidates": [0.9, 0.4]}])
def test_all_correct_and_all_wrong(p, groups, settings):
    for right in (np.ones(200), np.zeros(200)):
        gate = quietly(RiskControlledThreshold(0.2, **settings), p, right, groups)
        assert gate.feasible_ <= bool(right.all())
        assert not gate.feasible_ or gate.error_ == 0 < gate.bound_ <= 0.2
        assert gate.feasible_ or 0 < gate.best_.bound <= 1


# -- what it says ----------------------------------------------------------------------------------


def test_nothing_is_accepted_where_nothing_is_guaranteed():
    rng = np.random.default_rng(0)
    p, correct = rng.random(1000), rng.random(1000) < 0.5
    with pytest.warns(CalibrationWarning, match="No threshold guarantees with 90% confidence"):
        gate = RiskControlledThreshold(0.05).fit(p, correct)
    assert not gate.feasible_
    assert gate.threshold_ == np.inf
    assert gate.n_accepted_ == 0
    assert np.isnan([gate.error_, gate.bound_]).all()
    assert not gate.predict([0.0, 1.0]).any()
    assert "More outputs would not help" in str(gate)
    best = gate.best_
    assert (
        f"The best threshold is {best.threshold:.4g}: it accepts {best.n_accepted:,} of 1,000 "
        f"outputs; {best.error:.2%} of them are wrong in this sample, and the true rate may be up "
        f"to {best.bound:.2%}."
    ) in str(gate)
    assert gate.best_.n_needed is None
    bounds = [binom.cdf((~correct[p >= t]).sum(), (p >= t).sum(), gate.best_.bound) for t in p]
    assert min(bounds) == pytest.approx(0.1)  # no threshold has a smaller bound


def test_it_says_how_many_outputs_would_do():
    p, correct = outputs(60)
    gate = quietly(RiskControlledThreshold(0.1), p, correct)
    assert not gate.feasible_
    needed = gate.best_.n_needed
    assert f"About {needed:,} outputs would be needed" in str(gate)
    feasible = [
        quietly(RiskControlledThreshold(0.1), *outputs(2 * needed, seed)).feasible_
        for seed in range(20)
    ]
    assert np.mean(feasible) > 0.5


def test_surest_outputs_that_are_wrong_stop_the_sequence():
    p = np.linspace(1, 0, 800)
    correct = np.ones(800, dtype=bool)
    correct[:60] = False
    gate = quietly(RiskControlledThreshold(0.1), p, correct)
    assert not gate.feasible_
    assert gate.best_.bound < 0.1
    assert "a higher one fails: it accepts too few outputs, or too many of them are wrong" in str(
        gate
    )


def test_separate_tests_find_what_is_below_wrong_outputs():
    rng = np.random.default_rng(0)
    p = np.round(rng.random(2000), 3)
    error = np.where(p > 0.94, 1.0, 0.005)
    correct = rng.random(2000) >= error
    gate = RiskControlledThreshold(0.1).fit(p, correct)
    assert gate.n_accepted_ > 1700
    assert np.nextafter(gate.threshold_, 0) in p  # it accepts all above the value of a rank
    assert gate.error_ < gate.bound_ <= 0.1


def test_too_few_outputs_although_none_is_wrong():
    gate = quietly(RiskControlledThreshold(0.05), np.linspace(0.5, 1, 30), np.ones(30))
    assert not gate.feasible_
    assert gate.best_.error == 0
    assert gate.best_.n_needed > 52


def test_it_prints_as_a_sentence():
    gate = RiskControlledThreshold(0.1)
    assert str(gate) == "RiskControlledThreshold(max_error=0.1)"
    text = str(gate.fit(*outputs()))
    assert text.startswith(f"Accept at {gate.threshold_:.4g} or more: with 90% confidence")
    assert repr(gate) == "RiskControlledThreshold(max_error=0.1)"


# -- input -----------------------------------------------------------------------------------------


def test_two_columns_of_a_calibrator():
    p, correct = outputs(2000)
    calibrator = PlattCalibrator().fit(p[:1000], correct[:1000])
    proba = calibrator.predict_proba(p[1000:])
    a = RiskControlledThreshold(0.1).fit(proba, correct[1000:])
    b = RiskControlledThreshold(0.1).fit(proba[:, 1], correct[1000:].astype(float))
    assert a.threshold_ == b.threshold_
    np.testing.assert_array_equal(a.predict(proba), proba[:, 1] >= a.threshold_)


def test_only_the_order_of_the_scores_counts():
    p, correct = outputs()
    plain = RiskControlledThreshold(0.1).fit(p, correct)
    logit = RiskControlledThreshold(0.1, scale="logit").fit(np.log(p / (1 - p)), correct)
    score = RiskControlledThreshold(0.1, scale="score").fit(1000 * p - 7, correct)
    assert plain.n_accepted_ == logit.n_accepted_ == score.n_accepted_
    assert score.threshold_ == pytest.approx(1000 * plain.threshold_ - 7)


HOSTILE = [
    ({"p": [0.5, 1.5], "correct": [0, 1]}, r"p holds values outside \[0, 1\]"),
    ({"p": [0.5], "correct": [0, 1]}, "p has 1 rows and correct has 2"),
    ({"p": [], "correct": []}, "p has 0 sample"),
    ({"p": [0.5, 0.6], "correct": [0, 2]}, "correct holds 2; expected 0 or 1"),
    ({"p": [0.5, 0.6], "correct": [0, None]}, "correct has no label at row 1"),
    ({"p": [0.5, 0.6], "correct": None}, "requires correct to be passed"),
    ({"p": [[0.2, 0.3, 0.5]] * 2, "correct": [0, 1]}, "p has 3 columns; expected one"),
    ({"p": [0.5, 0.6], "correct": [0, 1], "groups": [1]}, r"groups has shape \(1,\)"),
    ({"p": [0.5, 0.6], "correct": [0, 1], "groups": ["a", None]}, "groups has no label"),
    ({"p": [0.5, 0.6], "correct": [0, 1], "unlabeled": [np.nan]}, "unlabeled holds no number"),
    ({"p": [0.5, 0.6], "correct": [0, 1], "unlabeled": [1.5]}, "unlabeled holds values outside"),
]


@pytest.mark.parametrize(("data", "message"), HOSTILE)
def test_hostile_data(data, message):
    with pytest.raises(ValueError, match=message):
        RiskControlledThreshold().fit(**data)


@pytest.mark.parametrize("size", [1, 4])
def test_advice_if_the_start_accepts_too_few_outputs(size):
    p = np.linspace(0, 0.99, 4000)
    groups = None if size == 1 else np.arange(4000) // size
    for start, accepted in ((1.0, 0), (p[-4], 4)):
        gate = RiskControlledThreshold(0.1, start=start)
        with pytest.warns(CalibrationWarning, match="nothing is accepted"):
            gate.fit(p, np.ones(4000, dtype=int), groups)
        assert gate.best_.bound < 0.1
        if accepted == 0:  # no number of outputs helps
            assert gate.best_.n_needed is None
            assert "Alone it would pass" in str(gate)
            assert "it accepts too few outputs" in str(gate)
        else:  # 22 outputs at the start, all of them correct, would pass
            assert gate.best_.n_needed >= 22 / 4 * len(p) / size


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"max_error": 0.0}, ValueError, r"max_error=0.0; expected a number in \(0, 1\)"),
        ({"max_error": "5%"}, TypeError, "max_error='5%'"),
        ({"alpha": 1.0}, ValueError, "alpha=1.0"),
        ({"scale": "log"}, ValueError, "scale='log'; expected one of"),
        ({"max_group_size": 0}, ValueError, "max_group_size=0"),
        ({"max_group_size": 3}, ValueError, "max_group_size=3 without groups; expected both"),
        ({"start": 1.5}, ValueError, r"start=1.5; expected a number in \[0, 1\]"),
        ({"start": "high"}, TypeError, "start='high'"),
        ({"start": np.nan, "scale": "score"}, ValueError, "start=nan"),
        ({"candidates": 0.9}, ValueError, "candidates=0.9; expected a list of thresholds"),
        ({"candidates": []}, ValueError, r"candidates=\[\]; expected a list of thresholds"),
        ({"candidates": np.array(0.9)}, ValueError, "expected a list of thresholds"),
        ({"candidates": [0.5, 2]}, ValueError, r"candidates\[1\]=2"),
        ({"start": 0.5, "candidates": [0.5]}, ValueError, "start and candidates were passed"),
    ],
)
def test_bad_settings(params, error, message):
    with pytest.raises(error, match=message):
        RiskControlledThreshold(**params).fit(*outputs(10))


# -- scikit-learn ----------------------------------------------------------------------------------


class OnColumns(BaseEstimator):
    """The threshold on data of any width: they are projected to one score."""

    def __init__(self, max_error=0.3):
        self.max_error = max_error

    def _score(self, X):
        return X @ np.cos(np.arange(1, X.shape[1] + 1))

    def fit(self, X, y):
        X, y = validate_data(self, X, y, dtype=np.float64)
        gate = RiskControlledThreshold(self.max_error, scale="score")
        self.gate_ = gate.fit(self._score(X), y > np.median(y))
        return self

    def predict(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return self.gate_.predict(np.round(self._score(X), 9))


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks():
    results = check_estimator(OnColumns(), on_fail=None, on_skip=None)
    assert len(results) > 30
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == {}


def test_clone_and_pickle():
    gate = RiskControlledThreshold(0.1, alpha=0.2, scale="logit", max_group_size=3, start=1.5)
    assert clone(gate).get_params() == gate.get_params()
    p, correct = outputs()
    fitted = RiskControlledThreshold(0.1).fit(p, correct)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(p), fitted.predict(p))
    assert str(again) == str(fitted)
    assert not hasattr(clone(fitted), "threshold_")


def test_outputs_without_confidence_are_never_accepted():
    rng = np.random.default_rng(0)
    p = rng.beta(6, 1, 1000)
    correct = rng.random(1000) < p
    some = np.append(p, np.full(50, np.nan))
    with pytest.warns(MissingSignalWarning, match="50 of 1050 outputs have no conf"):
        gate = RiskControlledThreshold(0.2).fit(some, np.append(correct, np.zeros(50)))
    assert gate.threshold_ == RiskControlledThreshold(0.2).fit(p, correct).threshold_
    assert gate.predict([0.99, np.nan]).tolist() == [True, False]


def test_where_chance_decided_more_outputs_are_advised():
    """A threshold that would do by itself, with one above it that just fails."""
    rng = np.random.default_rng(0)
    advised = []
    for _ in range(200):
        p = rng.choice([0.9, 0.8, 0.7], size=300)
        correct = rng.random(300) < 0.88
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gate = RiskControlledThreshold(0.15).fit(p, correct)
        if not gate.feasible_ and gate.best_.bound <= 0.15:
            advised.append(gate.best_.n_needed)
    known = [n for n in advised if n is not None]
    assert len(known) > 20
    assert min(known) == 380  # a quarter more, in two digits
