"""Histogram binning against brute force, hostile data, and its certificate by simulation."""

import warnings

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import beta, binom
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_sample_weight_equivalence_on_dense_data

from calibkit import (
    BinsCertificate,
    CalibratedClassifier,
    HistogramBinningCalibrator,
    IsotonicCalibrator,
    PlattCalibrator,
    ScalingBinningCalibrator,
    TopLabelCalibrator,
    from_dict,
    to_dict,
)
from calibkit._core.warnings import MissingClassWarning
from calibkit.testing import binary_data, multiclass_data, yield_checks

INNER = [c for c in yield_checks(HistogramBinningCalibrator()) if c.__name__ != "check_hard_data"]


@pytest.mark.parametrize("check", INNER, ids=lambda c: c.__name__)
def test_the_default_keeps_the_contract(check):
    """But for the handfuls of rows of check_hard_data, which are fewer than ten bins."""
    check(HistogramBinningCalibrator())


def equal_mass_by_hand(p, y, n_bins):
    """Bin of each row and the value of each bin: one row after the other, ties together."""
    order = np.argsort(p, kind="stable")
    bins, b = np.empty(len(p), dtype=int), 0
    for taken, i in enumerate(order):
        if taken > 0 and p[i] > p[order[taken - 1]]:
            while taken * n_bins >= (b + 1) * len(p):
                b += 1
        bins[i] = b
    bins = np.unique(bins, return_inverse=True)[1]
    return bins, np.array([y[bins == j].mean() for j in range(bins.max() + 1)])


@pytest.mark.parametrize("n_bins", [1, 2, 7, 10, 200])
@pytest.mark.parametrize("decimals", [1, 2, 15])
def test_equal_mass_bins_by_hand(n_bins, decimals):
    rng = np.random.default_rng(decimals)
    p = np.round(rng.beta(0.5, 2.0, size=200), decimals)
    y = (rng.random(200) < p).astype(int)
    y[:2] = 0, 1
    bins, value = equal_mass_by_hand(p, y, n_bins)
    cal = HistogramBinningCalibrator(n_bins=n_bins, smoothing=0).fit(p, y)
    np.testing.assert_array_equal(cal.predict_bin(p), bins)
    np.testing.assert_allclose(cal.value_, value, atol=1e-13)
    np.testing.assert_array_equal(cal.count_, np.bincount(bins))
    np.testing.assert_array_equal(cal.events_, np.bincount(bins, y))
    np.testing.assert_allclose(cal.predict_proba(p)[:, 1], value[bins], atol=1e-13)


@pytest.mark.parametrize("scale", ["probability", "logit"])
def test_equal_width_bins_are_of_probabilities(scale):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.3, 1.0, size=500)
    y = (rng.random(500) < p).astype(int)
    x = p if scale == "probability" else logit(p)
    cal = HistogramBinningCalibrator(n_bins=10, strategy="uniform", scale=scale, smoothing=0).fit(
        x, y
    )
    bins = np.floor(10 * p).astype(int)
    np.testing.assert_array_equal(cal.predict_bin(x), bins)
    rates = [y[bins == b].mean() for b in range(3, 10)]
    # The three bins without rows have their middles.
    np.testing.assert_allclose(cal.value_, [0.05, 0.15, 0.25, *rates], atol=1e-12)
    ends = cal.predict_bin([0.0, 0.3, 1.0] if scale == "probability" else [-99.0, -0.8, 99.0])
    np.testing.assert_array_equal(ends, [0, 3, 9])


def test_smoothing_adds_half_events():
    p, y = np.arange(20) / 20, np.repeat([0, 1], 10)
    for s in (1.0, 2.0, 0.5):
        cal = HistogramBinningCalibrator(n_bins=2, smoothing=s).fit(p, y)
        np.testing.assert_allclose(cal.value_, [s / 2 / (10 + s), (10 + s / 2) / (10 + s)])
    # A bin without rows is not smoothed: nothing is known there.
    cal = HistogramBinningCalibrator(n_bins=4, strategy="uniform", smoothing=1.0)
    np.testing.assert_allclose(
        cal.fit([0.1, 0.15, 0.9, 0.95], [0, 0, 1, 1]).value_, [1 / 6, 0.375, 0.625, 5 / 6]
    )


@pytest.mark.parametrize("n", [20, 50, 200, 1000])
@pytest.mark.parametrize("power", [1, 4])
def test_the_default_is_never_certain_and_forecasts_better_than_the_bare_rates(n, power):
    """By a log loss that is clipped: exact 0 and 1 would cost infinitely much."""
    rng, losses = np.random.default_rng(n), []
    for _ in range(200 if n < 1000 else 40):
        p = rng.random(n + 1000)
        y = (rng.random(n + 1000) < 0.5 * p**power).astype(int)
        y[:2] = 0, 1
        cal = HistogramBinningCalibrator().fit(p[:n], y[:n])
        assert 0 < cal.value_.min() <= cal.value_.max() < 1
        bare = (cal.events_ / cal.count_)[cal.predict_bin(p[n:])]
        q, happened = cal.predict_proba(p[n:])[:, 1], y[n:]
        a, b = (np.log(np.where(happened == 1, v, 1 - v).clip(1e-4)) for v in (q, bare))
        losses.append((b - a).mean())
    assert np.mean(losses) < 3 * np.std(losses) / np.sqrt(len(losses))


#: Labels that the scores say nothing of look reversed in one draw of forty.
by_chance = pytest.mark.filterwarnings("ignore::calibkit.ReversedScoresWarning")


@by_chance
def test_how_many_bins():
    rng = np.random.default_rng(0)
    p, y = rng.random(1001), np.arange(1001) % 2
    for params, expected in (
        ({"n_bins": "auto"}, 11),
        ({"points_per_bin": 100}, 10),
        ({"points_per_bin": 2000}, 1),
        ({"n_bins": 7}, 7),
    ):
        assert len(HistogramBinningCalibrator(**params).fit(p, y).value_) == expected
    w = np.full(1001, 3.0)
    assert len(HistogramBinningCalibrator(points_per_bin=300).fit(p, y, w).value_) == 10
    repeated = HistogramBinningCalibrator(points_per_bin=300).fit(np.repeat(p, 3), np.repeat(y, 3))
    assert len(repeated.value_) == 10


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_weights_of_zero_and_whole_weights(strategy):
    p, y = binary_data(400)
    w = np.random.default_rng(1).integers(0, 4, size=400)
    make = HistogramBinningCalibrator(n_bins=9, strategy=strategy, smoothing=1.0)
    weighted = make.fit(p, y, w).predict_proba(p)
    repeated = make.fit(np.repeat(p, w), np.repeat(y, w))
    np.testing.assert_allclose(weighted, repeated.predict_proba(p), atol=1e-12)
    np.testing.assert_allclose(make.fit(p, y, w).count_, repeated.count_)


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
@pytest.mark.filterwarnings("ignore::calibkit.HardScoresWarning")
@pytest.mark.parametrize(
    ("p", "y"),
    [
        (np.repeat([0.0, 1.0], 20), np.arange(40) % 2),
        (np.full(40, 0.3), np.arange(40) % 2),
        (np.linspace(0, 1, 40), np.linspace(0, 1, 40) > 0.5),
        (np.linspace(0, 1, 40), np.arange(40) == 3),
        (np.linspace(0, 5e-323, 40), np.arange(40) % 2),
        (1 - np.arange(40) * 2.0**-53, np.arange(40) % 2),
    ],
    ids=["exact 0 and 1", "constant", "separated", "rare", "denormal", "next to 1"],
)
def test_hostile_data(strategy, p, y):
    cal = HistogramBinningCalibrator(strategy=strategy, smoothing=0).fit(p, y)
    q = cal.predict_proba(np.concatenate((p, [0.0, -0.0, 5e-324, 0.5, 1.0])))
    assert ((q >= 0) & (q <= 1)).all()
    assert len(np.unique(cal.value_)) == len(cal.value_) == len(np.unique(1 - cal.value_))
    bins = cal.predict_bin(p)
    for b in np.unique(bins):
        np.testing.assert_allclose(cal.value_[b], y[bins == b].mean(), atol=1e-14)


def test_two_rows_and_a_failed_refit():
    cal = HistogramBinningCalibrator(n_bins=2, smoothing=0).fit([0.2, 0.7], [0, 1])
    np.testing.assert_array_equal(cal.predict_proba([0.1, 0.69, 0.7])[:, 1], [0, 0, 1])
    before = to_dict(cal)
    for bad, words in (
        (([0.2, 0.7], [1, 1]), "one class"),
        (([0.2], [1]), "one class"),
        (([0.2, 1.7], [0, 1]), "outside"),
    ):
        with pytest.raises(ValueError, match=words):
            cal.fit(*bad)
        assert to_dict(cal) == before
    with pytest.raises(ValueError, match=r"fit: n_bins=10 and 2 rows; expected .* n_bins='auto'"):
        HistogramBinningCalibrator().fit([0.2, 0.7], [0, 1])


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"n_bins": 0}, ValueError, "n_bins=0"),
        ({"n_bins": 2.0}, TypeError, "n_bins=2.0"),
        ({"n_bins": "many"}, ValueError, "'auto'"),
        ({"strategy": "unique"}, ValueError, "'quantile', 'uniform'"),
        ({"points_per_bin": 0}, ValueError, "points_per_bin"),
        ({"smoothing": -1.0}, ValueError, "smoothing"),
        ({"scale": "odds"}, ValueError, "scale"),
    ],
    ids=str,
)
def test_bad_parameters_are_refused(params, error, words):
    with pytest.raises(error, match=words):
        HistogramBinningCalibrator(**params).fit([0.1, 0.9], [0, 1])


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("borders_", lambda v: v[::-1], "ascending"),
        ("borders_", lambda v: [v[0], *v[:-1]], "ascending"),
        ("borders_", lambda v: v[1:], "lengths"),
        ("value_", lambda v: [*v[:-1], 1.5], "outside"),
        ("value_", lambda v: [v[1], *v[1:]], "distinct"),
        ("value_", lambda v: [], "lengths"),
        ("count_", lambda v: [-1.0, *v[1:]], "negative"),
        ("count_", lambda v: [0.0] * len(v), "zero in every bin"),
        ("events_", lambda v: v[1:], "length"),
        ("events_", lambda v: [1e9, *v[1:]], "events_"),
        ("border_rows_", lambda v: [1.0, *v[1:]], "border_rows_"),
        ("border_rows_", lambda v: [0.0, 0.5, *v[2:]], "border_rows_"),
        ("tied_", lambda v: 1, "true or false"),
        ("weighted_", lambda v: None, "true or false"),
    ],
)
def test_inconsistent_files_are_refused(name, change, words):
    data = to_dict(HistogramBinningCalibrator(n_bins=5).fit(*binary_data()))
    data["state"][name] = change(data["state"][name])
    with pytest.raises(ValueError, match=words):
        from_dict(data)


# -- the last bit -------------------------------------------------------------------------------


def jiggled(x, rng):
    """Every score as it is, or moved to the next float up or down."""
    up = np.where(rng.random(len(x)) < 0.5, np.inf, -np.inf)
    return np.where(rng.random(len(x)) < 1 / 3, x, np.nextafter(x, up))


@pytest.mark.parametrize("scale", ["probability", "logit"])
@pytest.mark.parametrize("ties", ["none", "some", "two decimals"])
@pytest.mark.parametrize(
    "cal",
    [
        HistogramBinningCalibrator(points_per_bin=5, smoothing=1.0),
        HistogramBinningCalibrator(n_bins=7),
        ScalingBinningCalibrator(n_bins=7),
        ScalingBinningCalibrator(IsotonicCalibrator()),
    ],
    ids=repr,
)
def test_bins_do_not_hang_on_the_last_bit(cal, ties, scale):
    """Products of matrices end in bits that depend on the machine and on the rows beside a row."""
    rng = np.random.default_rng(0)
    cal = clone(cal)._set_scale(scale)
    for n in (40, 130, 300):
        p = rng.uniform(0.01, 0.99, n)
        p = {"none": p, "some": rng.choice(p, n), "two decimals": p.round(2)}[ties]
        y = (rng.random(n) < p).astype(int)
        w = rng.integers(1, 4, n).astype(float) if n == 130 else None
        x = p if scale == "probability" else logit(p)  # two decimals hold log-odds of 0
        bins = cal.fit(x, y, w).predict_bin(x)
        tied = getattr(cal, "tied_", None)
        np.testing.assert_array_equal(cal.predict_bin(jiggled(x, rng)), bins)
        cal.fit(jiggled(x, rng), y, w)
        assert getattr(cal, "tied_", None) == tied
        np.testing.assert_array_equal(cal.predict_bin(x), bins)
        np.testing.assert_array_equal(cal.predict_bin(jiggled(x, rng)), bins)


class LastBits(LogisticRegression):
    """A classifier on a machine whose sums end otherwise each time."""

    def decision_function(self, X):
        z = super().decision_function(X)
        bits = np.random.default_rng(int(1e9 * abs(z.flat[0]))).integers(-2, 3, size=z.shape)
        return z + bits * np.finfo(float).eps * (1 + np.abs(z)) / 2


@pytest.mark.parametrize("ensemble", [False, True])
def test_weights_are_rows_on_any_machine(ensemble):
    bins = HistogramBinningCalibrator(points_per_bin=5, smoothing=1.0)
    cal = CalibratedClassifier(LastBits(), bins, ensemble=ensemble)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_sample_weight_equivalence_on_dense_data("classifier", cal)


# -- the certificate ------------------------------------------------------------------------


def exact(cal, level, tests):
    """Largest distance from a value to an end of its interval, by quantiles of beta laws."""
    tail, worst = (1.0 - level) / (2 * tests), 0.0
    for value, n, k, r in zip(cal.value_, cal.count_, cal.events_, cal.border_rows_, strict=True):
        m, ends = n - r, []
        for events in {k, k - r} if n > 0 else ():
            if 0 <= events <= m:  # the row on the border was an event, or was not
                low = beta.ppf(tail, events, m - events + 1) if events > 0 else 0.0
                high = beta.ppf(1 - tail, events + 1, m - events) if events < m else 1.0
                ends += [abs(value - low), abs(high - value)]
        worst = max([worst, *ends])
    return worst


def by_hoeffding(cal, level, tests):
    """The bound of Gupta and Ramdas, with any label on the border."""
    filled = cal.count_ > 0
    n, r = cal.count_[filled], cal.border_rows_[filled]
    radius = np.sqrt(np.log(2 * tests / (1 - level)) / (2 * (n - r)))
    shift = np.abs(cal.value_[filled] - cal.events_[filled] / n)
    return ((n - r) / n * radius + r / n + shift).max()


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
@pytest.mark.parametrize("smoothing", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.3, 1.0])
def test_certificate_is_the_exact_interval_and_survives_a_file(strategy, smoothing, rate):
    rng = np.random.default_rng(0)
    p = rng.random(503)
    y = (rng.random(503) < rate).astype(int)
    y[:2] = 0, 1
    cal = HistogramBinningCalibrator(n_bins=8, strategy=strategy, smoothing=smoothing).fit(p, y)
    for level in (0.5, 0.9, 0.999):
        found = from_dict(to_dict(cal)).certify_bins(level)
        assert isinstance(found, BinsCertificate)
        assert found == cal.certify_bins(level)
        for bound, tests in ((found.conditional, 8), (found.marginal, 1)):
            np.testing.assert_allclose(bound, exact(cal, level, tests), rtol=1e-9)
            assert bound <= by_hoeffding(cal, level, tests)
    assert (found.n_bins, found.n_per_bin, found.n_empty) == (8, cal.count_.min(), 0)


def test_certificate_grows_with_level_and_bins_and_falls_with_rows():
    rng = np.random.default_rng(0)
    p, u = rng.random(4000), rng.random(4000)
    y = (u < p).astype(int)
    make = HistogramBinningCalibrator

    def bound(cal, level=0.9):
        found = cal.certify_bins(level)
        assert 0 < found.marginal <= found.conditional <= 1
        return found.conditional

    for low, high in ((0.5, 0.8), (0.8, 0.99)):
        assert bound(make().fit(p, y), low) < bound(make().fit(p, y), high)
    assert bound(make(n_bins=5).fit(p, y)) < bound(make(n_bins=50).fit(p, y))
    assert bound(make().fit(p, y)) < bound(make().fit(p[:400], y[:400]))
    rare = make().fit(p, (u < 0.01).astype(int))
    assert 3 * bound(rare) < by_hoeffding(rare, 0.9, 10)
    assert bound(make(n_bins=1000, smoothing=0).fit(p, y)) > 0.9  # four rows tell next to nothing


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("smoothing", [0.0, 1.0])
@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_the_bounds_fail_rarely_for_few_rows_by_brute_force(n, smoothing, alpha):
    """All events of two bins of n rows, all rates, and both labels of the row on the border."""
    p = np.arange(2 * n) / (2 * n)
    cal = HistogramBinningCalibrator(n_bins=2, smoothing=smoothing).fit(p, np.arange(2 * n) % 2)
    k = np.arange(n + 1)
    off, rate = {}, np.concatenate((np.linspace(0, 1, 101), [1e-3, 0.999]))
    for first in k:
        for second in k:
            cal.events_ = np.array([first, second], dtype=float)
            cal.value_ = (cal.events_ + smoothing / 2) / (n + smoothing)
            found, gap = cal.certify_bins(1 - alpha), abs(cal.value_[:, None] - rate)
            off[first, second] = gap > found.conditional + 1e-12, gap > found.marginal + 1e-12
    for label in (0, 1):
        one = binom.pmf(k[:, None], n, rate)
        two = binom.pmf(k[:, None] - label, n - 1, rate)
        any_off, each = 0.0, np.zeros((2, len(rate), len(rate)))
        for (i, j), (all_bins, new) in off.items():
            law = one[i][:, None] * two[j]
            any_off += law * (all_bins[0][:, None] | all_bins[1])
            each += law * np.stack(np.broadcast_arrays(new[0][:, None], new[1]))
        assert any_off.max() <= alpha + 1e-9
        assert each.max() <= alpha + 1e-9


def test_equal_width_certificate_needs_no_continuous_scores():
    rng = np.random.default_rng(0)
    p = np.round(rng.random(1000) / 2, 2)
    y = (rng.random(1000) < p).astype(int)
    cal = HistogramBinningCalibrator(n_bins=4, strategy="uniform", smoothing=0).fit(p, y)
    found = cal.certify_bins(0.9)
    filled = cal.count_[cal.count_ > 0]
    assert found.n_empty == 4 - len(filled) == 1
    assert found.n_per_bin == filled.min()
    np.testing.assert_allclose(found.conditional, exact(cal, 0.9, len(filled)), rtol=1e-9)
    assert "1 have none" in str(found)


def test_certificate_says_what_it_does_not_cover():
    rng = np.random.default_rng(0)
    p, y = rng.random(100), np.arange(100) % 2
    with pytest.raises(ValueError, match=r"equal.*strategy='uniform'"):
        HistogramBinningCalibrator().fit(np.round(p, 1), y).certify_bins()
    with pytest.raises(ValueError, match="weights"):
        HistogramBinningCalibrator().fit(p, y, np.linspace(1, 2, 100)).certify_bins()
    with pytest.raises(ValueError, match="single row"):
        HistogramBinningCalibrator(n_bins=100).fit(p, y).certify_bins()
    one = HistogramBinningCalibrator(strategy="uniform", n_bins=2)
    with pytest.raises(ValueError, match="single row"):
        one.fit([0.1, 0.6, 0.7], [0, 1, 0]).certify_bins()
    for level in (0.0, 1.0, -1):
        with pytest.raises(ValueError, match="level"):
            HistogramBinningCalibrator().fit(p, y).certify_bins(level)
    # Weights of 1, and rows that a weight of 0 leaves out, change nothing.
    w = (np.arange(100) < 90).astype(float)
    fit = HistogramBinningCalibrator().fit(p, y, w)
    assert fit.certify_bins() == HistogramBinningCalibrator().fit(p[:90], y[:90]).certify_bins()


LAWS = {
    "smooth": lambda u: u,
    "fair coins": lambda u: np.full_like(u, 0.5),
    "steps": lambda u: (u > 0.5) * 1.0,
    "teeth": lambda u: np.floor(u * 40) % 2,
    "fine teeth": lambda u: np.floor(u * 1000) % 2,
    # Bins end near multiples of 1/8: events on one side of each, none on the other.
    "teeth at borders": lambda u: ((u * 8) % 1 < 0.04) * 1.0,
}


def misses(law, n, n_bins, strategy, alpha, n_repeats, squeeze, rng, inflate=0.0, smoothing=1.0):
    """How often some bin, and how often a new row's bin, is further off than guaranteed."""
    grid = (np.arange(40_000) + 0.5) / 40_000
    total = np.concatenate(([0.0], np.cumsum(law(grid))))
    any_off = new_off = 0.0
    for _ in range(n_repeats):
        u = rng.random(n)
        y = (rng.random(n) < law(u)).astype(int)
        y[:2] = y[:2] if 0 < y.sum() < n else (0, 1)
        cal = HistogramBinningCalibrator(n_bins=n_bins, strategy=strategy, smoothing=smoothing).fit(
            squeeze(u), y
        )
        ends = np.searchsorted(squeeze(grid), cal.borders_)
        ends = np.concatenate(([0], ends, [len(grid)]))
        size = np.diff(ends)
        truth = np.diff(total[ends]) / np.maximum(size, 1)
        off = np.where(cal.count_ > 0, np.abs(cal.value_ + inflate - truth), 0.0)
        off[size == 0] = 0.0
        found = cal.certify_bins(1 - alpha)
        any_off += (off > found.conditional + 1e-4).any()  # the grid's own error
        new_off += size[off > found.marginal + 1e-4].sum() / len(grid)
    return any_off / n_repeats, new_off / n_repeats


@by_chance
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize(
    ("n", "n_bins", "strategy"),
    [(200, 8, "quantile"), (160, 40, "quantile"), (100, 50, "quantile"), (400, 8, "uniform")],
)
@pytest.mark.parametrize("smoothing", [1.0, pytest.param(0.0, marks=pytest.mark.long)])
def test_certificate_holds(law, n, n_bins, strategy, smoothing):
    """No more failures than alpha, give or take three standard errors of the simulation."""
    alpha, n_repeats = 0.2, 250
    tolerance = 3 * np.sqrt(alpha * (1 - alpha) / n_repeats)
    squeeze = (lambda u: u**30) if strategy == "quantile" else (lambda u: u)  # most near 0
    rng = np.random.default_rng(n_bins)
    found = misses(law, n, n_bins, strategy, alpha, n_repeats, squeeze, rng, smoothing=smoothing)
    assert max(found) <= alpha + tolerance


def test_the_gate_can_fail():
    rng = np.random.default_rng(0)
    found = misses(LAWS["smooth"], 200, 8, "quantile", 0.2, 50, lambda u: u, rng, inflate=0.3)
    assert min(found) > 0.5


# -- with other parts -----------------------------------------------------------------------


def test_finite_outputs_are_of_the_instance():
    p, y = binary_data()
    assert HistogramBinningCalibrator(n_bins=7).fit(p, y)._n_outputs() == 7
    steps = IsotonicCalibrator().fit(p, y)
    assert steps._n_outputs() == len(np.unique(steps.value_))
    assert IsotonicCalibrator(interpolation="centred").fit(p, y)._n_outputs() is None
    assert PlattCalibrator().fit(p, y)._n_outputs() is None


def test_the_classifier_takes_it_by_name():
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression

    X, y = make_classification(300, random_state=0)
    q = CalibratedClassifier(LogisticRegression(), "histogram").fit(X, y).predict_proba(X)
    assert len(np.unique(q[:, 1])) == 10


def test_top_label_by_class_is_histogram_binning_per_class():
    """Gupta and Ramdas (2022): n_l // 50 bins for a class predicted on n_l rows."""
    p, y = multiclass_data(1200)
    inner = HistogramBinningCalibrator(points_per_bin=50)
    cal = TopLabelCalibrator(inner, by_class=True).fit(p, y)
    winners, top = p.argmax(axis=1), p.max(axis=1)
    expected = np.empty(len(y))
    for k in range(4):
        rows = winners == k
        alone = HistogramBinningCalibrator(n_bins=rows.sum() // 50)
        alone.fit(top[rows], y[rows] == k)
        expected[rows] = alone.predict_proba(top[rows])[:, 1]
        assert cal.calibrators_[k + 1].certify_bins() == alone.certify_bins()
    np.testing.assert_array_equal(cal.predict_confidence(p), expected)
    q = cal.predict_proba(p)
    np.testing.assert_array_equal(q[np.arange(len(p)), winners], expected)
    assert cal.calibrators_[0] is None
    back = from_dict(to_dict(cal))
    np.testing.assert_array_equal(back.predict_proba(p), q)


def test_classes_with_few_rows_share_a_map():
    p, y = multiclass_data(600)
    winners = p.argmax(axis=1)
    y = np.where(winners == 2, 2, y)  # always right
    kept = (winners != 1) | (np.cumsum(winners == 1) <= 30)
    p, y, winners = p[kept], y[kept], winners[kept]
    cal = TopLabelCalibrator(PlattCalibrator(), by_class=True)
    with pytest.warns(MissingClassWarning, match=r"2 of 4 classes \(labels: 1, 2\).*min_rows=50"):
        cal.fit(p, y)
    pooled = TopLabelCalibrator(PlattCalibrator()).fit(p, y)
    few = np.isin(winners, [1, 2])
    q = cal.predict_confidence(p)
    np.testing.assert_array_equal(q[few], pooled.predict_confidence(p)[few])
    assert (q[~few] != pooled.predict_confidence(p)[~few]).any()
    assert [c is None for c in cal.calibrators_] == [False, False, True, True, False]
    data = to_dict(cal)
    data["state"]["calibrators_"].pop()
    with pytest.raises(ValueError, match="4 calibrators; expected 5"):
        from_dict(data)


def test_by_class_on_two_classes_and_when_all_are_right():
    p, y = binary_data()
    cal = TopLabelCalibrator(PlattCalibrator(), by_class=True).fit(p, y)
    assert len(cal.calibrators_) == 3
    win = p >= 0.5
    alone = PlattCalibrator().fit(np.maximum(p, 1 - p)[win], y[win] == 1)
    np.testing.assert_allclose(
        cal.predict_confidence(p[win]), alone.predict_proba(p[win])[:, 1], atol=1e-12
    )
    p, _ = multiclass_data()
    with pytest.warns(MissingClassWarning, match=r"always correct"):
        cal.fit(p, p.argmax(axis=1))
    np.testing.assert_array_equal(cal.predict_confidence(p), p.max(axis=1))


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"by_class": 1}, TypeError, "by_class"),
        ({"min_rows": 0}, ValueError, "min_rows"),
        ({"min_rows": 1.5}, TypeError, "min_rows"),
    ],
    ids=str,
)
def test_bad_lift_parameters_are_refused(params, error, words):
    with pytest.raises(error, match=words):
        TopLabelCalibrator(PlattCalibrator(), **params).fit(*multiclass_data())


@pytest.mark.parametrize("scale", [1e8, 1e17, 1e100])
def test_large_weights_do_not_ask_for_more_bins_than_rows(scale):
    p, y = binary_data()
    for settings in ({"points_per_bin": 50}, {"n_bins": "auto"}):
        cal = HistogramBinningCalibrator(**settings).fit(p, y, np.full(len(y), scale))
        assert len(cal.value_) <= len(p)
