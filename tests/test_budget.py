"""How many samples to draw, and recorded runs replayed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calibkit.codegen import samples_needed, simulate_budget, success_at

#: Section 2.3 of the reference, for a target of 0.99.
TABLE = {
    0.0: 46050, 1e-5: 46050, 1e-4: 46050, 0.001: 4603, 0.01: 459, 0.05: 90, 0.0694: 65, 0.07: 64,
    0.1: 44, 0.2: 21, 0.3: 13, 0.5: 7, 0.7: 4, 0.9: 2, 0.99: 1, 0.999: 1, 1.0: 1,
}  # fmt: skip


def test_the_table_exactly():
    p = np.array(list(TABLE))
    n = samples_needed(p, cap=None)
    assert_array_equal(n, list(TABLE.values()))
    assert n.dtype.kind == "i"
    assert_array_equal(samples_needed(p), np.minimum(list(TABLE.values()), 64))


def test_scalars_and_shapes():
    assert type(samples_needed(0.5)) is int
    assert type(samples_needed(np.float32(0.5))) is int
    assert samples_needed([[0.5, 0.9], [0.1, 1.0]]).shape == (2, 2)
    assert samples_needed([]).shape == (0,)
    assert samples_needed(0.5, cap=3) == 3
    assert samples_needed(True) == 1
    assert type(success_at(0.5, 2)) is float
    assert success_at([0.1, 0.2], [[1], [2]]).shape == (2, 2)


@pytest.mark.parametrize("miss", [0.5, 0.1, 0.2, 0.05])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_exact_powers_are_not_rounded_up(miss, n):
    """1 - C = (1 - p)^n exactly: n samples are enough."""
    assert samples_needed(1 - miss, target=1 - miss**n) == n


@pytest.mark.parametrize("target", [0.5, 0.9, 0.99, 0.999])
def test_it_is_the_smallest_number(target):
    p = np.random.default_rng(0).uniform(1e-4, 1 - 1e-4, 2000)
    n = samples_needed(p, target, cap=None)
    assert (success_at(p, n) >= target - 1e-12).all()
    assert (success_at(p, n - 1) < target)[n > 1].all()


def test_success_at():
    assert_allclose(success_at(0.3, np.arange(5)), 1 - 0.7 ** np.arange(5.0))
    assert_allclose(success_at(1e-18, 10), 1e-17)
    assert_array_equal(success_at([0.0, 1.0, 1.0], [5, 0, 1]), [0.0, 0.0, 1.0])


def test_adaptive_budgets_find_a_right_answer():
    """p known: at least one right with the target probability, whatever the question."""
    rng = np.random.default_rng(1)
    p = rng.uniform(0.02, 1.0, 20_000)
    n = samples_needed(p, cap=None)
    found = rng.binomial(n, p) > 0
    assert found.mean() >= 0.99 - 4 * np.sqrt(0.0099 / len(p))
    assert n.mean() < 0.25 * n.max()


def runs(questions=60, samples=16, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.02, 0.98, questions)
    correct = rng.random((questions, samples)) < p[:, None]
    score = correct + rng.normal(size=correct.shape)
    return correct, np.round(score) if ties else score, p


def by_hand(correct, score, budget):
    """One question after the other, one sample after the other."""
    right, found = [], []
    for c, s, n in zip(correct, score, budget, strict=True):
        best = 0
        for j in range(n):
            if s[j] > s[best]:
                best = j
        right.append(c[best])
        found.append(any(c[:n]))
    return np.array(right, float), np.array(found, float)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("cap", [None, 5])
def test_replay_is_that_by_hand(ties, cap):
    correct, score, p = runs(ties=ties)
    result = simulate_budget(correct, score, p, cap=cap, random_state=0)
    n = np.minimum(samples_needed(p, cap=cap), 16)
    assert_array_equal(result.n_samples, n)
    fixed, adaptive = by_hand(correct, score, [16] * 60), by_hand(correct, score, n)
    assert result.accuracy_fixed == fixed[0].mean()
    assert result.accuracy_adaptive == adaptive[0].mean()
    assert result.found_fixed == fixed[1].mean()
    assert result.found_adaptive == adaptive[1].mean()
    assert result.budget_share == n.sum() / (60 * 16)
    assert_allclose(result.difference, (adaptive[0] - fixed[0]).mean())
    few = int(n.mean())
    less, more = by_hand(correct, score, [few] * 60), by_hand(correct, score, [few + 1] * 60)
    part = n.mean() - few
    assert_allclose(result.accuracy_uniform, (1 - part) * less[0].mean() + part * more[0].mean())
    gain = result.accuracy_adaptive - result.accuracy_uniform
    assert_allclose(result.gain, gain, atol=1e-12)


def test_short_runs():
    correct, score, p = runs(samples=8)
    lengths = np.random.default_rng(3).integers(1, 9, 60)
    lists = [list(c[:n]) for c, n in zip(correct, lengths, strict=True)]
    scores = [s[:n] for s, n in zip(score, lengths, strict=True)]
    result = simulate_budget(lists, scores, p, random_state=0)
    padded = np.where(np.arange(8) < lengths[:, None], correct, np.nan)
    gaps = np.where(np.arange(8) < lengths[:, None], score, np.nan)
    same = simulate_budget(padded, gaps, p, random_state=0)
    assert str(result) == str(same)
    n = np.minimum(samples_needed(p), lengths)
    assert_array_equal(result.n_samples, n)
    assert result.accuracy_adaptive == by_hand(correct, score, n)[0].mean()
    assert result.accuracy_fixed == by_hand(correct, score, lengths)[0].mean()
    assert result.budget_share == n.sum() / lengths.sum()
    # Uniform numbers cost as much as the adaptive ones in all.
    few = 1
    while np.minimum(few + 1, lengths).sum() <= n.sum():
        few += 1
    low, high = np.minimum(few, lengths), np.minimum(few + 1, lengths)
    part = (n.sum() - low.sum()) / (high.sum() - low.sum())
    want = [by_hand(correct, score, m)[1].mean() for m in (low, high)]
    assert_allclose(result.found_uniform, (1 - part) * want[0] + part * want[1])
    shuffled = simulate_budget(lists, scores, p, n_orders=200, random_state=0)
    assert_allclose(shuffled.accuracy_fixed, result.accuracy_fixed)  # all samples, in any order


def test_random_orders_average():
    """With scores that say nothing, any number of samples is as good as one."""
    rng = np.random.default_rng(4)
    correct = rng.random((40, 6)) < 0.4
    score = np.arange(6)[None, :] + np.zeros((40, 6))
    result = simulate_budget(correct, score, np.full(40, 0.999), n_orders=3000, random_state=1)
    assert result.n_orders == 3000
    # One sample at random: the mean over orders is the mean over samples.
    noise = np.sqrt(0.25 / 3000 / 40)
    assert abs(result.accuracy_adaptive - correct.mean()) < 4 * noise
    assert_allclose(result.accuracy_fixed, correct[:, -1].mean())
    again = simulate_budget(correct, score, np.full(40, 0.999), n_orders=3000, random_state=1)
    assert str(again) == str(result)


def test_full_budget_changes_nothing():
    correct, score, _ = runs()
    result = simulate_budget(correct, score, np.zeros(60), random_state=0)
    assert result.budget_share == 1.0
    assert result.accuracy_uniform == result.accuracy_adaptive == result.accuracy_fixed
    assert (result.low, result.difference, result.high) == (0.0, 0.0, 0.0)


def test_interval_covers_and_groups_widen_it():
    rng = np.random.default_rng(5)
    covered, wide, narrow = 0, [], []
    for seed in range(200):
        # 20 groups of 6 questions; in half of the groups the first sample is the best one.
        group = np.repeat(np.arange(20), 6)
        easy = rng.random(20) < 0.5
        correct = np.zeros((120, 4), dtype=bool)
        correct[:, 0] = easy[group]
        correct[:, 3] = ~easy[group]
        score = np.tile([1.0, 0.0, 0.0, 2.0], (120, 1))
        p = np.full(120, 0.999)  # one sample; true difference: 0
        given = {"n_resamples": 300, "random_state": seed}
        grouped = simulate_budget(correct, score, p, groups=group, **given)
        covered += grouped.low <= 0 <= grouped.high
        plain = simulate_budget(correct, score, p, **given)
        wide.append(grouped.high - grouped.low)
        narrow.append(plain.high - plain.low)
    assert covered / 200 >= 0.9 - 4 * np.sqrt(0.09 / 200)
    assert np.mean(wide) > 2 * np.mean(narrow)


def test_it_prints_as_a_table():
    correct, score, p = runs()
    lines = str(simulate_budget(correct, score, p, random_state=0)).splitlines()
    assert lines[0].split() == ["budget", "share", "used", "accuracy", "correct", "drawn"]
    assert [line.split()[0] for line in lines[1:4]] == ["fixed", "adaptive", "uniform"]
    assert "90% interval" in lines[4]
    assert "60 questions" in lines[-1]
    assert "mean over 3 orders" in str(
        simulate_budget(correct, score, p, n_orders=3, random_state=0)
    )


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: samples_needed(1.2), ValueError, "p is 1.2; expected probabilities"),
        (lambda: samples_needed([0.1, np.nan]), ValueError, "p is nan at row 1"),
        (lambda: samples_needed("a"), ValueError, "p can't be read as numbers"),
        (lambda: samples_needed(0.5, target=1.0), ValueError, "target=1.0"),
        (lambda: samples_needed(0.5, cap=0), ValueError, "cap=0"),
        (lambda: samples_needed(0.5, cap=2.5), TypeError, "cap=2.5"),
        (lambda: success_at(0.5, -1), ValueError, "n holds -1"),
        (lambda: success_at(0.5, 1.5), ValueError, "n holds 1.5"),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize(
    ("correct", "score", "p", "words"),
    [
        ([[1, 0]], [[1, 2, 3]], [0.5], r"correct has shape \(1, 2\) and score \(1, 3\)"),
        ([[1, 2]], [[1, 2]], [0.5], "correct is 2 at question 0, sample 1; expected labels 0 or 1"),
        ([[np.nan, 1]], [[1, 2]], [0.5], "correct is nan at question 0, sample 0; .* only after"),
        ([[1, 1]], [[1, np.nan]], [0.5], "score is nan at question 0, sample 1"),
        ([[1, np.nan]], [[1, 2]], [0.5], "score is 2 at .* expected NaN where correct is NaN"),
        ([[1, 0], []], [[1, 2], []], [0.5, 0.5], "correct has no sample of question 1"),
        ([], [], [], r"correct has shape \(0,\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), [], "correct has no sample"),
        ([[1, 0]], [[1, 2]], [0.5, 0.5], "correct has 1 rows and p has 2"),
        ([[1, 0]], [[1, 2]], 0.5, r"p has shape \(\)"),
        ([[1, 0]], [[1, 2]], [1.5], "p is 1.5 at row 0"),
        ([1, 0], [1, 2], [0.5, 0.5], r"correct has shape \(2,\)"),
        ([["a", "b"]], [[1, 2]], [0.5], "correct can't be read"),
    ],
)
def test_bad_runs_are_named(correct, score, p, words):
    with pytest.raises(ValueError, match=words):
        simulate_budget(correct, score, p)


def test_single_samples_and_hopeless_scores():
    result = simulate_budget([[1], [0]], [[0.5], [-np.inf]], [0.5, 0.5], random_state=0)
    assert result.accuracy_fixed == 0.5
    lost = simulate_budget([[1, 0]], [[-np.inf, -np.inf]], [0.999], random_state=0)
    assert lost.accuracy_adaptive == 1.0


def test_one_group_says_nothing_of_others():
    right, score = np.array([[1, 0], [0, 1]]), np.array([[0.2, 0.1], [0.3, 0.1]])
    found = simulate_budget(right, score, [0.999, 0.5], groups=["a", "a"])
    assert (found.low, found.high, found.gain_low, found.gain_high) == (-1, 1, -1, 1)


def test_a_simulation_is_a_table_too_and_takes_columns_of_lists():
    import pandas as pd

    rng = np.random.default_rng(0)
    p = rng.random(30)
    correct = [list((rng.random(5 + i % 3) < q).astype(int)) for i, q in enumerate(p)]
    score = [list(rng.random(len(row))) for row in correct]
    found = simulate_budget(correct, score, p)
    assert str(found) == str(simulate_budget(pd.Series(correct), pd.Series(score), p))
    frame = found.to_table().to_pandas()
    assert frame["accuracy"].tolist()[1] == found.accuracy_adaptive
    assert found.to_table().to_markdown().count("\n") == 4
