"""Bounds of certify, by simulation, and binning calibrators by brute force."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB

from benchmarks import proofs_certify, proofs_rows
from calibkit import (
    CalibratedClassifier,
    HistogramBinningCalibrator,
    IsotonicCalibrator,
    OneVsRestCalibrator,
    PlattCalibrator,
    ScalingBinningCalibrator,
    ScoreTable,
    TopLabelCalibrator,
    certify,
    estimate,
    from_dict,
    rows_to_certify,
    to_dict,
)
from calibkit._core.certification import upper_bounds_of
from calibkit._numerics.joint import costs, near_outputs, strength
from calibkit._numerics.region import around_shares, divergence, most_mean, pairs_of, radius


@pytest.mark.long
@pytest.mark.parametrize("offset", [0.0, 0.05])
def test_bounds_hold(offset):
    """All three bounds at once, over data sets of a model with unequal shares of outputs."""
    rng = np.random.default_rng(0)
    value = np.array([0.02, 0.1, 0.3, 0.6, 0.9])
    share = np.array([0.5, 0.2, 0.15, 0.1, 0.05])
    truth = np.clip(value + offset * np.array([0, 1, -1, 1, -1]), 0, 1)
    gap = np.abs(truth - value)
    exact = share @ gap, np.sqrt(share @ gap**2), gap.max()
    failed, n_repeats = 0, 400
    for _ in range(n_repeats):
        at = rng.choice(5, p=share, size=500)
        found = certify(rng.random(500) < truth[at], value[at], pos_label=True, level=0.8)
        assert found.finite
        ends = (found.l1, found.l2, found.max)
        failed += not all(low <= t <= high for t, (low, high) in zip(exact, ends, strict=True))
    assert failed / n_repeats <= 0.2 + 3 * np.sqrt(0.16 / n_repeats)


@pytest.mark.long
def test_continuous_scores_have_lower_bounds_only():
    rng = np.random.default_rng(0)
    failed, n_repeats = 0, 100
    for seed in range(n_repeats):
        p = rng.random(1000)
        found = certify(rng.random(1000) < p, p, random_state=seed)
        assert not found.finite
        assert found.l2[1] == 1.0
        failed += found.l1[0] > 0 or found.l2[0] > 0
    assert failed / n_repeats <= 0.1 + 3 * np.sqrt(0.09 / n_repeats)
    p = rng.random(5000)
    wrong = certify(rng.random(5000) < p**2, p)
    assert 0.1 < wrong.l2[0] < np.sqrt(1 / 30)
    assert "lower bound" in str(wrong)
    with pytest.raises(ValueError, match="level"):
        certify([0, 1], [0.1, 0.9], level=90)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    return p, (rng.random(1000) < p**2).astype(int)


def test_histogram_binning_by_brute_force(data):
    p, y = data
    order = np.argsort(p)
    parts = np.array_split(order, 10)
    found = HistogramBinningCalibrator(n_bins=10, smoothing=0).fit(p, y)
    np.testing.assert_allclose(found.value_, [y[part].mean() for part in parts], atol=1e-14)
    np.testing.assert_array_equal(found.count_, [len(part) for part in parts])
    for b, part in enumerate(parts):
        assert (found.predict_bin(p[part]) == b).all()


def test_scaling_binning_by_brute_force(data):
    p, y = data
    scaled = np.sort(PlattCalibrator().fit(p, y).predict_proba(p)[:, 1])
    found = ScalingBinningCalibrator(PlattCalibrator(), n_bins=20).fit(p, y)
    expected = [part.mean() for part in np.array_split(scaled, 20)]
    np.testing.assert_allclose(found.value_, expected, atol=1e-14)
    again = from_dict(to_dict(found))
    np.testing.assert_array_equal(again.predict_proba(p), found.predict_proba(p))


@pytest.mark.parametrize("seed", range(3))
def test_bins_that_share_a_value_stay_apart(seed):
    rng = np.random.default_rng(seed)
    p = rng.random(400)
    y = (rng.random(400) < 0.02).astype(int)
    y[0] = 1
    found = HistogramBinningCalibrator(n_bins=40).fit(p, y)
    q = found.predict_proba(p)
    assert len(np.unique(q[:, 1])) == len(np.unique(q[:, 0])) == 40
    assert ((q >= 0) & (q <= 1)).all()


def test_auto_bins_cost_next_to_nothing():
    rng = np.random.default_rng(0)
    z = rng.normal(size=104_000)
    y = (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(int)
    p = 1 / (1 + np.exp(-2 * z))
    fit, new = slice(0, 4000), slice(4000, None)
    losses = []
    for c in (PlattCalibrator(), ScalingBinningCalibrator(PlattCalibrator())):
        q = c.fit(p[fit], y[fit]).predict_proba(p[new])[:, 1]
        losses.append(-np.log(np.where(y[new] == 1, q, 1 - q)).mean())
    raw = -np.log(np.where(y[new] == 1, p[new], 1 - p[new])).mean()
    assert losses[1] - losses[0] < min(0.0005, (raw - losses[0]) / 10)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::calibkit.ReversedScoresWarning")  # by chance
@pytest.mark.parametrize("shape", ["uniform", "concentrated", "alternating"])
@pytest.mark.parametrize("n_bins", [2, 10, 50])
def test_certificate_of_bins_is_kept(shape, n_bins):
    """Violated no more often than alpha, for awkward laws too."""
    rng = np.random.default_rng(0)
    alpha, n, n_repeats = 0.2, 200, 300
    grid = (np.arange(200_000) + 0.5) / 200_000

    def rate(u):
        return (np.floor(u * 64) % 2) if shape == "alternating" else np.where(u < 0.3, 0.0, u)

    total = np.concatenate(([0.0], np.cumsum(rate(grid))))
    squeeze = (lambda u: u**20) if shape == "concentrated" else (lambda u: u)
    failed = 0
    for _ in range(n_repeats):
        u = rng.random(n)
        y = (rng.random(n) < rate(u)).astype(int)
        found = HistogramBinningCalibrator(n_bins=n_bins).fit(squeeze(u), y)
        ends = np.concatenate(([0], np.searchsorted(squeeze(grid), found.borders_), [len(grid)]))
        truth = np.diff(total[ends]) / np.maximum(np.diff(ends), 1)
        off = np.abs(found.value_ - truth)[np.diff(ends) > 0]
        failed += off.max() > found.certify_bins(1 - alpha).conditional
    assert failed / n_repeats <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / n_repeats)


def test_certificate_of_bins_refuses_what_it_does_not_cover(data):
    p, y = data
    with pytest.raises(ValueError, match="ties"):
        HistogramBinningCalibrator().fit(np.round(p, 2), y).certify_bins()
    with pytest.raises(ValueError, match="weights"):
        HistogramBinningCalibrator().fit(p, y, np.arange(1000) + 1.0).certify_bins()
    assert HistogramBinningCalibrator(strategy="uniform").fit(np.round(p, 2), y).certify_bins(0.9)
    with pytest.raises(ValueError, match="n_bins=10 and 4 rows"):
        HistogramBinningCalibrator().fit(p[:4], [0, 1, 0, 1])


def test_class_by_class(data):
    rng = np.random.default_rng(1)
    P = rng.dirichlet([1, 1, 1], size=900)
    y = np.array([rng.choice(3, p=row) for row in P])
    lifted = OneVsRestCalibrator(ScalingBinningCalibrator(IsotonicCalibrator(), n_bins=5))
    q = lifted.fit(P, y).predict_classwise(P)
    assert q.shape == (900, 3)
    assert all(len(np.unique(column)) <= 5 for column in q.T)
    again = from_dict(to_dict(lifted))
    np.testing.assert_array_equal(again.predict_classwise(P), q)


def test_moments_by_brute_force():
    """No rate has a larger exponential moment of the divergence than the one that is used."""
    from calibkit._numerics.region import log_moment

    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 7, 30, 200, 2000):
        k = np.arange(n + 1)
        for lam in (0.3, 0.5, 0.8):
            rates = np.concatenate((rng.random(30), rng.exponential(4 / n, size=30).clip(0, 1)))
            for rate in rates:
                weight = binom.pmf(k, n, rate)
                seen = weight > 0
                powers = np.exp(lam * n * divergence(k[seen] / n, np.full(seen.sum(), rate)))
                assert np.log(weight[seen] @ powers) <= log_moment(n, lam)


def test_region_holds_the_truth_and_bounds_are_sharp():
    """The region misses rarely, and no rates in it have a mean gap beyond the bounds."""
    rng = np.random.default_rng(1)
    value = np.array([0.03, 0.2, 0.5, 0.7, 0.98])
    n = np.array([5.0, 40, 300, 20, 11])
    c = radius(n, 0.2)
    n_repeats = 1000
    events = rng.binomial(n.astype(int), value, size=(n_repeats, 5)).astype(float)
    missed = np.mean((n * divergence(events / n, value)).sum(axis=1) > c)
    assert missed <= 0.2 + 3 * np.sqrt(0.16 / n_repeats)
    share = events[-1] / n
    pairs = pairs_of(value, n, events[-1:])
    for power in (1, 2):
        region = around_shares(pairs, c)
        low, high = (sign * most_mean(region, pairs, power, sign)[0] for sign in (-1.0, 1.0))
        tried = np.clip(share + rng.normal(size=(20_000, 5)) * np.sqrt(0.5 / n), 1e-6, 1 - 1e-6)
        inside = tried[(n * divergence(share, tried)).sum(axis=1) <= c]
        means = (n / n.sum() * np.abs(value - inside) ** power).sum(axis=1)
        assert len(means) > 100
        assert low <= means.min()
        assert means.max() <= high
        assert means.max() > 0.7 * high


def test_the_other_label_has_the_same_bounds():
    """Of labels and outputs that are turned around: outputs that are too high become too low."""
    p = np.repeat([0.3, 0.6, 0.9], 2000)
    y = (np.arange(6000) % 2000 < np.repeat([400, 1000, 1600], 2000)).astype(int)
    found, turned = certify(y, p), certify(1 - y, 1 - p)
    for norm in ("l1", "l2", "max"):
        np.testing.assert_allclose(getattr(found, norm), getattr(turned, norm), rtol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 60, 700, 20_000, 10**6])
def test_costs_are_below_the_exact_ones(n):
    """Also between the points of the grid; and they are nearly exact there."""
    rng = np.random.default_rng(n)
    for value in (0.0, 1e-3, 0.1, 0.5, 0.97):
        spread = max(value * (1 - value), 0.25 / n)
        for s in np.array([0.02, 0.4, 2.0]) / spread:
            found = costs(float(n), value, float(s))
            rate = rng.uniform(found.rate[0], found.rate[-1], size=8)
            k = np.arange(n + 1.0)
            if n > 1000:  # the rest is far below what is compared
                middle, width = n * value, 30 * np.sqrt(n * spread) + 60
                k = np.arange(max(0, int(middle - width)), min(n, int(middle + width)) + 1)
            near = np.exp(-s / n * (k - n * value) ** 2)
            exact = -np.log(binom.pmf(k, n, rate[:, None]) @ near)
            at = np.searchsorted(found.rate, rate)
            least = np.minimum(found.cost[at - 1], found.cost[at])
            assert (least <= exact + 1e-9).all()
            between = np.interp(rate, found.rate, found.cost)
            if n >= 10 and value >= 0.1 and s * spread < 1:
                assert (exact - between)[exact < 4].max(initial=0.0) < 0.05


def all_events(n):
    """Every outcome of outputs with these rows."""
    grid = np.meshgrid(*(np.arange(m + 1.0) for m in n), indexing="ij")
    return np.stack([g.ravel() for g in grid], axis=1)


def exact_failure(value, n, bounds, power, steps, sign=1.0):
    """The largest probability, over a grid of rates, of a mean gap above (or below) its bound."""
    events = all_events(n)
    rates = all_events(np.full(len(n), steps)) / steps
    log_pmf = np.zeros((len(rates), len(events)))
    for b, m in enumerate(n):
        table = binom.pmf(np.arange(m + 1), m, np.linspace(0, 1, steps + 1)[:, None])
        with np.errstate(divide="ignore"):
            log_pmf += np.log(table)[np.rint(rates[:, b] * steps).astype(int)][
                :, events[:, b].astype(int)
            ]
    gaps = np.abs(rates - value) ** power @ (n / n.sum())
    broken = sign * (gaps[:, None] - bounds) > 1e-12
    return (np.exp(log_pmf) * broken).sum(axis=1).max()


@pytest.mark.parametrize(
    ("value", "n"),
    [
        ([0.5, 0.5], [9, 9]),
        ([0.1, 0.6], [12, 5]),
        ([0.02, 0.3], [20, 3]),
        ([0.0, 0.9], [6, 8]),
        ([0.2, 0.5, 0.7], [4, 3, 5]),
    ],
)
@pytest.mark.parametrize("failure", [0.1, 0.5])
def test_no_law_breaks_the_bounds_too_often(value, n, failure):
    """All outcomes of few rows, over a fine grid of rates: an exact probability."""
    value, n = np.array(value), np.array(n, dtype=float)
    steps = 60 if len(n) == 2 else 16
    events, counts = all_events(n), n.astype(int)
    pairs = pairs_of(value, n, events)
    low, high = np.zeros(len(pairs.n)), np.ones(len(pairs.n))
    near = near_outputs(pairs, low, high, strength(value, n, failure), failure)
    around = around_shares(pairs, radius(n, failure))
    for power in (1, 2):
        for region in (near, around):
            bounds = most_mean(region, pairs, power)
            assert exact_failure(value, counts, bounds, power, steps) <= failure
        bounds = -most_mean(around, pairs, power, -1.0)
        assert exact_failure(value, counts, bounds, power, steps, -1.0) <= failure
        bounds = upper_bounds_of(f"l{power}", value, n, events, 1 - failure) ** power
        assert exact_failure(value, counts, bounds, power, steps) <= failure


@pytest.mark.parametrize("error_and_outputs", [(0.05, 10), (0.05, 50)])
def test_one_bound_needs_few_more_rows_than_the_sharp_test(error_and_outputs):
    """The root mean square given these rows' outputs, against a two-sided chi-squared test."""
    two_sided = proofs_rows.sharp(*error_and_outputs, 0.05)
    assert two_sided == pytest.approx({10: 2102, 50: 3764}[error_and_outputs[1]], abs=1)
    assert proofs_rows.alone(*error_and_outputs, seed=0) <= 1.3 * two_sided


@pytest.mark.long
def test_all_bounds_need_at_most_twice_the_rows_of_the_sharp_test():
    """Whatever the seed, which moves the answer by less than 3%."""
    found = [rows_to_certify(0.05, 10, random_state=seed) for seed in range(10)]
    assert max(found) <= min(1.03 * min(found), 2 * 2102)
    assert rows_to_certify(0.05, 50) <= 2 * 3764


@pytest.mark.parametrize("kind", proofs_certify.SIGNS)
@pytest.mark.parametrize("name", ["5 outputs, 25 rows", "2 halves, 200 rows"])
def test_the_bounds_fail_as_rarely_as_they_say(name, kind):
    """A few cells of the benchmark, with fewer simulations."""
    rng, rows = np.random.default_rng(0), proofs_certify.LAWS[name]
    sign, repeats = proofs_certify.SIGNS[kind](len(rows.value)), 400
    for level in proofs_certify.LEVELS:
        for broken, n in (
            (proofs_certify.broken_region, repeats),
            (proofs_certify.broken, repeats // 4),
        ):
            limit = 1 - level + 3 * np.sqrt(level * (1 - level) / n)
            assert broken(rows, sign, level, n, rng) <= limit


def test_unlike_outputs_have_no_wider_bounds_than_before():
    """Against intervals and the region around the shares alone: medians of data sets."""
    for value, n in (
        (np.geomspace(1e-3, 0.5, 10), np.full(10, 300.0)),
        ((np.arange(6) + 0.5) / 6, np.array([900.0, 300, 100, 30, 10, 3])),
    ):
        events = np.random.default_rng(0).binomial(n.astype(int), value, size=(41, len(n)))
        for power in (1, 2):
            bounds = upper_bounds_of(f"l{power}", value, n, events, 0.9)
            before = proofs_rows.without(value, n, events, power)
            assert np.median(bounds) <= np.median(before)


def test_rows_to_certify_do():
    """So many rows reach the bound about as often as promised."""
    n = rows_to_certify(0.05, 8, power=0.8)
    rng = np.random.default_rng(2)
    value = 0.5 + 1e-6 * np.arange(8)
    reached = 0
    for _ in range(100):
        p = np.repeat(value, n // 8)
        reached += certify(rng.random(len(p)) < p, p, pos_label=True).l2[1] <= 0.05
    assert abs(reached / 100 - 0.8) < 3 * np.sqrt(0.16 / 100)
    with pytest.raises(ValueError, match="error"):
        rows_to_certify(0.0, 8)
    with pytest.raises(ValueError, match="one output per bin"):
        rows_to_certify(0.1, 8, value=[0.1, 0.2])


def test_rows_to_certify_hold_whatever_the_seed():
    """The lowest of some answers reaches the bound as often as it says, and none is far off."""
    found = [rows_to_certify(0.1, 4, norm="max", random_state=seed) for seed in range(3)]
    assert max(found) <= 1.03 * min(found)
    n, value = min(found) // 4, 0.5 + 1e-6 * np.arange(4)
    events = np.random.default_rng(9).binomial(n, value, size=(1000, 4))
    rows = np.full(4, float(n))
    reached = np.mean(upper_bounds_of("max", value, rows, events, 0.9) <= 0.1)
    assert reached >= 0.9 - 3 * np.sqrt(0.09 / 1000)


def test_certify_knows_its_outputs(data):
    p, y = data
    half = slice(0, 500), slice(500, None)
    binned = HistogramBinningCalibrator(n_bins=4).fit(p[half[0]], y[half[0]])
    found = binned.certify(p[half[1]], y[half[1]])
    assert found.finite
    assert len(found.value) == 4
    assert str(found).startswith("Certified with 90% confidence on 500 rows")
    assert not PlattCalibrator().fit(p, y).certify(p, y).finite
    with pytest.raises(ValueError, match=r"PlattCalibrator.certify: X has 2 rows and y has 3"):
        PlattCalibrator().fit(p, y).certify([0.1, 0.2], [0, 1, 1])


def test_outputs_that_did_not_occur_are_spoken_of():
    """An output of share e that is unseen is no miss: the bounds are of outputs seen, and
    ``unseen`` covers its share."""
    rng, n, share = np.random.default_rng(0), 2000, 1e-3
    missed, times = 0, 300
    for _ in range(times):
        rare = rng.random(n) < share
        found = certify(np.zeros(n, int), np.where(rare, 0.9, 0.0), finite=True)
        truth = share * 0.81 if rare.any() else 0.0
        missed += found.l2[1] ** 2 < truth or (not rare.any() and found.unseen < share)
    assert missed <= 0.1 * times + 3 * np.sqrt(0.09 * times)
    sentence = str(certify(np.zeros(n, int), np.zeros(n), finite=True))
    assert "of new rows have an output that did not occur here" in sentence


def test_certify_knows_how_many_outputs_there_are():
    rng = np.random.default_rng(0)
    p = rng.random(4000)
    y = (rng.random(4000) < p).astype(int)
    cal = HistogramBinningCalibrator(strategy="uniform", n_bins=10).fit(p, y)
    assert cal.certify(p, y).unseen == 0.0
    low = p[p < 0.5]
    found = cal.certify(low, y[p < 0.5])
    assert len(found.value) == 5
    # comb(10, 5) sets of outputs, each unseen with a chance of (1 - e)^n.
    expected = 1 - (0.1 * 0.05 / 5 / 252) ** (1 / len(low))
    assert found.unseen == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n_bins", [200, 2000])
def test_most_outputs_of_many_did_not_occur(n_bins):
    """There are more sets of them than an integer of NumPy can count."""
    rng = np.random.default_rng(0)
    p = rng.random(4000)
    y = (rng.random(4000) < p).astype(int)
    cal = HistogramBinningCalibrator(n_bins=n_bins).fit(p, y)
    seen = p < 0.1
    for groups in (None, np.arange(seen.sum()) // 2):
        assert 0.05 < cal.certify(p[seen], y[seen], groups=groups).unseen <= 1.0


def test_class_wise_certificate_averages_the_classes():
    rng = np.random.default_rng(0)
    p = np.round(rng.dirichlet(np.ones(3), size=30_000), 1)
    p = p[np.abs(p.sum(axis=1) - 1) < 1e-9]
    y = (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1)
    found = certify(y, p, kind="classwise", level=0.9)
    parts = [certify(y == k, p[:, k], level=1 - 0.1 / 3) for k in range(3)]
    for norm, power in (("l1", 1), ("l2", 2)):
        ends = np.mean([np.power(getattr(v, norm), power) for v in parts], axis=0)
        np.testing.assert_allclose(getattr(found, norm), ends ** (1 / power))
    assert found.max[1] == max(v.max[1] for v in parts)
    assert "averaged over the classes" in str(found)


@pytest.mark.parametrize("by_class", [False, True])
def test_binned_lifts_are_certified_on_their_own_outputs(by_class):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(24_000, 4))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    p = np.exp(2 * z) / np.exp(2 * z).sum(axis=1, keepdims=True)
    new, held = slice(0, 6000), slice(6000, None)
    inner = HistogramBinningCalibrator(n_bins=8)
    top = TopLabelCalibrator(inner, by_class=by_class).fit(p[new], y[new])
    found = top.certify(p[held], y[held])
    right = p[held].argmax(axis=1) == y[held]
    by_hand = certify(right, top.predict_confidence(p[held]), finite=True)
    assert (found.kind, found.l1, found.max) == ("top_label", by_hand.l1, by_hand.max)
    each = OneVsRestCalibrator(inner).fit(p[new], y[new])
    found = each.certify(p[held], y[held])
    assert found.finite
    assert found.kind == "classwise"
    assert len(found.value) == 32
    assert found.l2[1] < 0.06


def test_a_classifier_is_certified_as_its_calibrator_is():
    X, y = make_classification(4000, random_state=0)
    model = CalibratedClassifier(GaussianNB(), HistogramBinningCalibrator(n_bins=5))
    model.fit(X[:1000], y[:1000])
    found = model.certify(X[1000:], y[1000:])
    by_hand = certify(y[1000:], model.predict_proba(X[1000:])[:, 1])
    assert (found.l1, found.l2, found.max) == (by_hand.l1, by_hand.l2, by_hand.max)
    assert len(found.value) == 5
    with pytest.raises(ValueError, match="out-of-fold predictions of several classifiers"):
        model.calibrators_[0].certify_bins()
    many = model.set_params(ensemble=True).fit(X[:1000], y[:1000])
    assert many.certify(X[1000:], y[1000:]).n == 3000
    prefit = CalibratedClassifier(
        FrozenEstimator(GaussianNB().fit(X[:500], y[:500])),
        HistogramBinningCalibrator(n_bins=5, strategy="uniform"),
    ).fit(X[500:1000], y[500:1000])
    assert prefit.calibrators_[0].certify_bins().n_bins == 5


def test_cells_of_scores_have_lower_bounds_only():
    """They may hide that every score is wrong, as 0 and 1 would be right here."""
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    fine = ScoreTable.from_arrays(rng.random(20_000) < p, p)
    cells = fine.coarsen(20)
    for table in (cells, cells + ScoreTable.from_arrays([0, 1], [0.2, 0.2]), cells.coarsen(5)):
        found = certify(table)
        assert (found.finite, found.l1[1], found.l2[1]) == (False, 1.0, 1.0)
    with pytest.raises(ValueError, match="finite=True, and entries of the table are cells of sev"):
        certify(cells, finite=True)
    assert certify(fine, finite=True).finite


def test_what_certify_refuses():
    p = np.tile([[0.2, 0.3, 0.5]], (60, 1))
    y = np.arange(60) % 3
    with pytest.raises(ValueError, match="pos_label=1 with 3 columns"):
        certify(y, p, pos_label=1)
    table = ScoreTable.from_arrays(y > 0, p[:, 0])
    for call in (certify, lambda t, kind: estimate("calibration_error", t, kind=kind)):
        with pytest.raises(ValueError, match="kind='bogus' with a ScoreTable"):
            call(table, kind="bogus")
    with pytest.raises(ValueError, match=r"weighted rows; .*because an effective number"):
        certify(ScoreTable.from_arrays(y > 0, p[:, 0], sample_weight=np.arange(60) + 1))
    with pytest.raises(ValueError, match="fractions as labels; expected labels 0 and 1"):
        certify(ScoreTable.from_arrays(np.full(60, 0.25), p[:, 0]))
    with pytest.raises(ValueError, match="n_bins=5000; expected at most 1,000"):
        certify(y > 0, np.linspace(0, 1, 60), n_bins=5000)
    assert "99.9% confidence" in str(certify(y > 0, p[:, 0], level=0.999))


def _rounded(n, power, decimals, seed):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return (rng.random(n) < p**power).astype(int), np.round(p, decimals)


@pytest.mark.parametrize("decimals", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("n", [2000, 30_000])
def test_rounded_scores_have_bounds_that_say_something(n, decimals):
    """Whatever the decimals of the file, an error of .18 is seen, and no bound is a phrase."""
    found = certify(*_rounded(n, 2, decimals, seed=0))
    true = np.sqrt(1 / 30)  # of x - x**2, and rounding moves it by less than a hundredth
    assert found.l2[0] > {2000: 0.1, 30_000: 0.15}[n]
    assert found.l2[0] <= true + 0.01
    assert found.max[0] >= found.l2[0] >= found.l1[0]
    assert found.finite == (decimals <= {2000: 2, 30_000: 3}[n])
    assert ("none of the" in str(found)) == (found.finite and found.max[1] <= 0.25)
    if found.finite:
        assert found.l2[1] < true + {2000: 0.2, 30_000: 0.15}[n]
    else:
        assert "lower bound" in str(found)


def test_ties_that_labels_made_don_t_choose_the_bound():
    """How it is bounded hangs on the scores alone."""
    y, q = _rounded(5000, 2, 2, seed=0)
    rng = np.random.default_rng(1)
    kinds = {certify(rng.permutation(y), q).finite for _ in range(5)}
    assert kinds == {certify(y, q).finite} == {True}


@pytest.mark.long
@pytest.mark.parametrize(
    ("n", "decimals", "power"), [(2000, 2, 1.0), (3000, 2, 1.3), (6000, 3, 1.0)]
)
def test_the_better_of_two_bounds_still_holds(n, decimals, power):
    """Both at once, at the level that is asked for, over data sets of many outputs."""
    value = np.arange(10**decimals + 1) / 10**decimals
    share = np.diff(np.clip(np.append(value - 0.5 / 10**decimals, 2.0), 0.0, 1.0))
    # Rate of each output: the mean of p**power over what is rounded to it.
    ends = np.clip(np.stack((value - 0.5 / 10**decimals, value + 0.5 / 10**decimals)), 0.0, 1.0)
    rate = np.diff(ends ** (power + 1), axis=0)[0] / (power + 1) / np.diff(ends, axis=0)[0]
    gap = np.abs(rate - value)
    exact = share @ gap, np.sqrt(share @ gap**2), gap.max()
    failed, n_repeats = 0, 25
    for seed in range(n_repeats):
        found = certify(*_rounded(n, power, decimals, seed), level=0.8, random_state=seed)
        assert found.finite
        assert len(found.value) > 30
        bounds = (found.l1, found.l2, found.max)
        failed += not all(low <= t <= high for t, (low, high) in zip(exact, bounds, strict=True))
    assert failed / n_repeats <= 0.2 + 3 * np.sqrt(0.16 / n_repeats)


def test_more_rows_than_can_be_drawn_one_by_one():
    p = np.repeat(np.arange(1, 10) / 10, 10)
    table = ScoreTable.from_arrays(np.tile(np.arange(10), 9) < np.rint(10 * p), p)
    for _ in range(24):
        table = table + table  # 1.5 * 10^9 rows
    found = certify(table)
    assert found.n == 90 * 2**24
    assert 0.0 <= found.l2[0] <= found.l2[1] < 1e-3
