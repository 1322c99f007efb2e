"""Certificates of rows in groups: by brute force, by simulation, and what they refuse."""

import itertools

import numpy as np
import pytest

from calibkit import (
    IdentityCalibrator,
    OneVsRestCalibrator,
    ScalingBinningCalibrator,
    ScoreTable,
    TopLabelCalibrator,
    certify,
)
from calibkit._numerics import group_bounds as numerics
from calibkit._numerics.group_bounds import group_bounds, group_counts, least_mean, rate_bounds

NORMS = ("l1", "l2", "max")


def alike(rng, n_groups, size, value, rate=None, grow=False):
    """Groups of 1 to ``size`` rows with one output and one label; with ``grow``, events are large
    groups. Returns labels, probabilities, groups, and the true gap and share of each output."""
    at = rng.integers(len(value), size=n_groups)
    rate = value if rate is None else rate
    label = (rng.random(n_groups) < rate[at]).astype(int)
    rows = np.where(label, size, 1) if grow else rng.integers(1, size + 1, n_groups)
    groups = np.repeat(np.arange(n_groups), rows)
    weight = rate * size + (1 - rate) if grow else np.ones(len(value))
    truth = rate * size / weight if grow else rate
    return label[groups], value[at][groups], groups, np.abs(value - truth), weight / weight.sum()


def failures(found, gap, share):
    """Whether the bounds of each norm are missed."""
    true = share @ gap, np.sqrt(share @ gap**2), gap.max()
    return [not lo - 1e-9 <= t <= hi + 1e-9 for t, (lo, hi) in zip(true, found, strict=True)]


@pytest.mark.parametrize("grow", [False, True])
@pytest.mark.parametrize("rates", [None, [0.1, 0.9, 0.5]])
def test_the_bounds_hold_for_rows_that_are_all_alike(grow, rates):
    """Rare failures in simulations, as independent rows would have them in most."""
    rng, value = np.random.default_rng(0), np.array([0.2, 0.5, 0.8])
    rates = None if rates is None else np.array(rates)
    failed, level, n_sets = np.zeros(3), 0.5, 60
    for _ in range(n_sets):
        y, p, groups, gap, share = alike(rng, 150, 6, value, rates, grow)
        found = certify(y, p, groups=groups, max_group_size=6, level=level)
        failed += failures([getattr(found, norm) for norm in NORMS], gap, share)
        assert (found.n_groups, found.n, found.finite) == (150, len(y), True)
        assert found.l1[1] <= found.l2[1] <= found.max[1]
        assert found.l1[0] <= found.l2[0]
    assert failed.max() / n_sets <= 1 - level + 3 * np.sqrt(level * (1 - level) / n_sets)


def test_independent_rows_in_place_of_groups_would_fail():
    """The simulation above can fail."""
    rng, value = np.random.default_rng(0), np.array([0.2, 0.5, 0.8])
    failed = 0
    for _ in range(60):
        y, p, _, gap, share = alike(rng, 150, 20, value)
        found = certify(y, p, level=0.5, finite=True)
        failed += any(failures([getattr(found, norm) for norm in NORMS], gap, share))
    assert failed > 45


@pytest.mark.parametrize("n_groups", [1, 2, 4])
@pytest.mark.parametrize("tail", [0.05, 0.5])
def test_bounds_of_rates_fail_rarely_by_brute_force(n_groups, tail):
    """All samples of groups of four kinds, whatever the probabilities of the kinds."""
    rng, kinds = np.random.default_rng(0), np.array([[0, 1], [1, 1], [0, 3], [3, 3]])
    samples = np.array(list(itertools.product(range(4), repeat=n_groups)))
    cells = np.zeros(n_groups, int)
    found = [rate_bounds(*kinds[s].T.astype(float), cells, 1, 3, tail)[1][0] for s in samples]
    for _ in range(300):
        law = rng.dirichlet(np.full(4, rng.choice([0.1, 1.0])))
        events, rows = law @ kinds
        missed = np.array(found) < events / rows - 1e-9
        assert law[samples].prod(axis=1)[missed].sum() <= tail + 1e-9


@pytest.mark.parametrize("floor", [0.0, 1.0])
def test_bounds_of_means_fail_rarely_by_brute_force(floor):
    rng, kinds = np.random.default_rng(1), np.array([[0, 1], [-floor, 1], [1, 2], [-2 * floor, 2]])
    samples = np.array(list(itertools.product(range(4), repeat=4)))
    found = [least_mean(*kinds[s].T[:, None], floor, 2, 0.3) for s in samples]
    for _ in range(300):
        law = rng.dirichlet(np.full(4, rng.choice([0.1, 1.0])))
        total, rows = law @ kinds
        missed = np.array(found) > total / rows + 1e-9
        assert law[samples].prod(axis=1)[missed].sum() <= 0.3 + 1e-9


def test_all_patterns_of_signs_are_bounded_by_their_quadratic_forms(monkeypatch):
    rng, value = np.random.default_rng(0), np.linspace(0.1, 0.9, 6)
    for size, at in ((1, None), (5, None), (5, 0)):
        groups = np.repeat(np.arange(300), size)
        cells = rng.integers(6, size=len(groups))
        cells = cells if at is None else cells[:300][groups]
        y = (rng.random(len(groups)) < value[cells]).astype(int)
        counts = group_counts(value, cells, y, groups)
        exact = group_bounds(counts, size + 1, 0.1, 6, 0)
        monkeypatch.setattr(numerics, "_MOST_TOTALS", 0)
        rough = group_bounds(counts, size + 1, 0.1, 6, 0)
        monkeypatch.undo()
        assert exact.l1[1] <= rough.l1[1] < 1.7 * exact.l1[1]
        assert exact.max == rough.max


def test_groups_of_one_row_are_independent_rows():
    rng = np.random.default_rng(0)
    p = rng.choice([0.2, 0.5, 0.7], 500)
    y = (rng.random(500) < p).astype(int)
    assert str(certify(y, p, groups=rng.permutation(500))) == str(certify(y, p))
    larger = certify(y, p, groups=np.arange(500), max_group_size=2)
    assert larger.n_groups == 500
    assert larger.max[1] > certify(y, p).max[1]
    assert "on 500 rows in 500 groups: the probabilities are off by 0 to" in str(larger)


def test_neither_the_order_of_rows_nor_the_names_of_groups_matter():
    rng = np.random.default_rng(0)
    y, p, groups, *_ = alike(rng, 100, 5, np.array([0.3, 0.6]))
    at = rng.permutation(len(y))
    found = certify(y, p, groups=groups)
    names = np.array([f"patient {g:03}" for g in groups])
    other = certify(y[at], p[at], groups=names[at])
    for norm in NORMS:
        np.testing.assert_allclose(getattr(found, norm), getattr(other, norm), atol=1e-9)
    by = {m: certify(y, p, groups=groups, max_group_size=m).max[1] for m in (5, 20, 80)}
    assert found.max[1] == by[5] < by[20] < by[80]
    assert certify(y, p, groups=groups, level=0.5).l1[1] < found.l1[1]


def test_outputs_that_did_not_occur():
    rng = np.random.default_rng(0)
    y, p, groups, *_ = alike(rng, 400, 3, np.array([0.3, 0.6]))
    found = certify(y, p, groups=groups)
    assert 0 < found.unseen < 0.1
    cal = ScalingBinningCalibrator(n_bins=4).fit(rng.random(4000), rng.integers(0, 2, 4000))
    x = rng.random(len(y))
    assert cal.certify(x, y, groups=groups).unseen == 0.0
    assert 0 < cal.certify(np.minimum(x, 0.1), y, groups=groups).unseen < 0.2


def test_calibrators_and_classes():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], 2000)
    y = (p.cumsum(axis=1) < rng.random((2000, 1))).sum(axis=1)
    groups = np.arange(1000) // 2
    for cal in (TopLabelCalibrator, OneVsRestCalibrator):
        fit = cal(ScalingBinningCalibrator(n_bins=4)).fit(p[:1000], y[:1000])
        found = fit.certify(p[1000:], y[1000:], groups=groups)
        assert found.n_groups == 500
        assert 0 < found.l1[1] <= found.l2[1] < 0.5
    binary, event = p[:, 0].round(1), (y == 0).astype(int)
    whole = certify(event[1000:], binary[1000:], groups=groups)
    same = IdentityCalibrator().fit(binary, event)
    assert same.certify(binary[1000:], event[1000:], groups=groups).l1 == whole.l1


def test_what_groups_are_refused():
    rng = np.random.default_rng(0)
    y, p, groups, *_ = alike(rng, 40, 3, np.array([0.3, 0.6]))
    for told, words in (
        ({"max_group_size": 3}, "without groups; expected both"),
        ({"groups": groups, "max_group_size": 2}, "largest group has 3 rows; expected at least 3"),
        ({"groups": np.zeros(len(y))}, "of one group; expected independent groups"),
        ({"groups": groups[1:]}, "shape"),
        ({"groups": groups, "finite": False}, r"continuous scores \(finite=False\); .* Bin them"),
    ):
        with pytest.raises(ValueError, match=words):
            certify(y, p, **told)
    with pytest.raises(ValueError, match="max_group_size=3 without groups"):
        certify(ScoreTable.from_arrays(y, p), max_group_size=3)
    many = rng.random(len(y))
    with pytest.raises(ValueError, match=r"estimate\(metric, y_true, y_prob, groups") as refused:
        certify(y, many, groups=groups)
    assert f"(y_prob has {len(y)} different scores in {len(y)} rows)" in str(refused.value)
    with pytest.raises(TypeError, match="'weights'; expected rows of equal weight"):
        certify(y, p, groups=groups, weights=np.ones(len(y)))


def test_sentences_of_wide_bounds():
    hit = np.arange(4000) % 4 > 0
    wrong = certify(hit, np.tile([0.05, 0.95], 2000), groups=np.arange(4000) // 8)
    assert f"; a single one of the 2 outputs may be off by up to {wrong.max[1]:.3g}." in str(wrong)
    few = certify([0, 1], [0.5, 0.5], groups=[0, 1], level=0.999)
    assert f"; the only output may be off by up to {few.max[1]:.3g}." in str(few)
    assert "At most 100% of new rows" in str(few)
    assert str(few.l1[0]) == "0.0"
