"""Errors without bins: check values, witnesses by quadrature and brute force, tests, intervals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import trapezoid
from scipy.optimize import brentq
from scipy.special import logit
from scipy.stats import binom
from sklearn import metrics as sklearn_metrics
from sklearn.dummy import DummyClassifier
from sklearn.isotonic import isotonic_regression

from calibkit import (
    ScoreTable,
    compare,
    corp_miscalibration,
    cumulative_calibration_error,
    decompose_score,
    estimate,
    get_scorer,
    get_scorer_names,
    kernel_calibration_error,
    smooth_calibration_error,
)
from calibkit._core.rows import Binary
from calibkit._numerics.laplace import median_distance, pair_sum
from calibkit._numerics.pava import pooled
from calibkit._numerics.smooth import smooth_errors
from calibkit.metrics import METRICS
from calibkit.metrics._estimate import _KNOWN
from calibkit.metrics._whole_interval import whole_test
from calibkit.testing import multiclass_data

INDEX = np.arange(200)
P = (INDEX + 0.5) / 200
U = np.mod((INDEX + 1) * 0.6180339887498949, 1.0)
#: Over-forecast everywhere.
Y = (U < P**1.5).astype(int)
#: Under-forecast below one half, over-forecast above: the differences change sign.
S = (P + 0.18 * np.sin(2 * np.pi * P) > U).astype(int)
ERRORS = {
    "smooth_calibration_error": smooth_calibration_error,
    "kernel_calibration_error": kernel_calibration_error,
    "cumulative_calibration_error": cumulative_calibration_error,
    "corp_miscalibration": corp_miscalibration,
}


def smooth_by_quadrature(x, mass, images):
    """The fixed point, from the sum of all kernels on a fine grid."""
    low, high = (0.0, 1.0) if images else (x.min() - 3, x.max() + 3)
    t = np.linspace(low, high, 2001)

    def size(s):
        centers = np.concatenate((x, -x, 2 - x, 2 + x, x - 2)) if images else x
        weights = np.tile(mass, 5) if images else mass
        kernel = np.exp(-0.5 * ((t[:, None] - centers) / s) ** 2) / (s * np.sqrt(2 * np.pi))
        return trapezoid(np.abs(kernel @ weights), t)

    return brentq(lambda s: size(s) - s, 0.01, 0.5, xtol=1e-6)


def kernel_by_pairs(y, p, w, h):
    d = w * (p - y)
    products = np.exp(-np.abs(p[:, None] - p) / h) * np.outer(d, d)
    pairs = np.outer(w, w)
    both = (np.triu(a, 1).sum() for a in (products, pairs))
    return 2 * next(both) / next(both)


def test_values_of_r200():
    assert smooth_calibration_error(Y, P) == pytest.approx(0.11, rel=1e-9)
    assert kernel_calibration_error(Y, P, squared=True) == pytest.approx(0.01018274, abs=5e-9)
    sigma = np.sqrt((P * (1 - P)).sum()) / 200
    for statistic in ("kuiper", "ks"):
        found = cumulative_calibration_error(Y, P, statistic=statistic)
        assert found == pytest.approx(0.11245, abs=1e-12)
        assert found / sigma == pytest.approx(3.89536, abs=5e-6)
    parts = decompose_score(Y, P)
    found = parts.miscalibration, parts.discrimination, parts.uncertainty
    assert_allclose(found, (0.01964920, 0.09661795, 0.2379), atol=5e-9)
    assert corp_miscalibration(Y, P) == pytest.approx(parts.miscalibration)
    bins = decompose_score(Y, P, method="bins")
    assert_allclose((bins.miscalibration, bins.discrimination), (0.0140, 0.0894), atol=5e-5)


@pytest.mark.parametrize("y", [Y, S], ids=["R200", "S200"])
def test_smooth_errors_by_quadrature(y):
    mass = (P - y) / 200
    found = smooth_calibration_error(y, P)
    assert found == pytest.approx(smooth_by_quadrature(P, mass, True), rel=1e-4)
    odds = smooth_by_quadrature(logit(P), mass, False)
    assert smooth_calibration_error(y, P, scale="logit") == pytest.approx(odds, rel=1e-4)
    if y is S:
        assert found == pytest.approx(0.102512, abs=3e-6)
        assert abs(mass.sum()) < 1e-12


def test_small_smooth_errors_and_many_at_once():
    """Noise only, and sets together as they are alone."""
    rng = np.random.default_rng(0)
    p = rng.random(200)
    mass = (p - (rng.random((4, 200)) < p)) / 200
    alone = [float(smooth_errors(p, m)) for m in mass]
    assert alone[0] == pytest.approx(smooth_by_quadrature(p, mass[0], True), rel=1e-4)
    assert_allclose(smooth_errors(p, mass), alone, rtol=0.002)
    odds = np.sort(logit(np.clip(np.append(p, (0.0, 0.0, 1.0)), 1e-12, 1.0 - 1e-12)))
    wide = np.tile(mass, (1, 2))[:, :203]
    alone = [float(smooth_errors(odds, m, 8.0)) for m in wide]
    assert_allclose(smooth_errors(odds, wide, 8.0), alone, rtol=0.002)
    assert smooth_errors(p, 0.0 * p) == 0.0
    assert smooth_errors(np.array([0.2, 0.4]), np.array([5e-5, -5e-5])) < 1.01e-4


@pytest.mark.parametrize("y", [Y, S], ids=["R200", "S200"])
def test_kernel_errors_by_all_pairs(y):
    w = 1.0 + INDEX % 3
    h = np.median((P[:, None] - P)[np.tril_indices(200, -1)])
    assert median_distance(P, np.ones(200), 200) == pytest.approx(h) == pytest.approx(0.295)
    for bandwidth in (None, 0.05, 1e-4):
        used = h if bandwidth is None else bandwidth
        found = kernel_calibration_error(y, P, bandwidth=bandwidth, squared=True)
        assert found == pytest.approx(kernel_by_pairs(y, P, np.ones(200), used), abs=1e-12)
    ties = np.round(P, 1)
    found = kernel_calibration_error(y, ties, bandwidth=0.2, squared=True, sample_weight=w)
    assert found == pytest.approx(kernel_by_pairs(y, ties, w, 0.2), abs=1e-12)
    positive = kernel_calibration_error(y, P)
    assert positive**2 == pytest.approx(kernel_calibration_error(y, P, squared=True))


def test_pair_sums_in_steps():
    rng = np.random.default_rng(1)
    x, r = np.sort(rng.random(300)), rng.normal(size=(3, 300))
    for h in (1.0, 1e-3, 1e-6):
        kernel = np.exp(-np.abs(x[:, None] - x) / h)
        assert_allclose(pair_sum(x, r, h), np.einsum("ij,jk,ik->i", r, kernel, r), rtol=1e-10)


def test_cumulative_differences_by_hand():
    ties, w = np.round(P, 1), 1.0 + INDEX % 3
    sums = np.array([(w * (S - ties))[ties <= t].sum() for t in np.unique(ties)]) / w.sum()
    given = {"sample_weight": w}
    found = cumulative_calibration_error(S, ties, **given)
    assert found == pytest.approx(max(sums.max(), 0) - min(sums.min(), 0))
    found = cumulative_calibration_error(S, ties, statistic="ks", **given)
    assert found == pytest.approx(np.abs(sums).max())
    assert cumulative_calibration_error(S, P) > cumulative_calibration_error(S, P, statistic="ks")


def test_pooled_sets_by_scikit_learn():
    rng = np.random.default_rng(0)
    w = rng.integers(0, 4, size=(6, 50)).astype(float)
    wy = rng.binomial(w.astype(int), np.linspace(0.2, 0.6, 50)).astype(float)
    for weight, events, found in zip(w, wy, pooled(w, wy), strict=True):
        kept = weight > 0
        fit = isotonic_regression(events[kept] / weight[kept], sample_weight=weight[kept])
        assert_allclose(found[kept], fit, atol=1e-12)


class Counted(np.ndarray):
    """Counts the numbers that go through NumPy's element-wise functions."""

    total = 0

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **given):
        def plain(a):
            return a.view(np.ndarray) if isinstance(a, Counted) else a

        if out is not None:
            given["out"] = tuple(map(plain, out))
        found = getattr(ufunc, method)(*map(plain, inputs), **given)
        Counted.total += max(map(np.size, (*inputs, found)))
        return found.view(Counted) if isinstance(found, np.ndarray) else found


@pytest.mark.parametrize("name", ["smooth", "kernel", "pooled"])
def test_cost_is_linear(name):
    """Operations for n, 2 n and 4 n sorted rows: no look at pairs."""
    counts = []
    for n in (20_000, 40_000, 80_000):
        p = (np.arange(n) + 0.5) / n
        r = (p - (np.mod(np.arange(n) * 0.618034, 1.0) < p**1.5)) / n
        x, r, Counted.total = p.view(Counted), r.view(Counted), 0
        if name == "smooth":
            smooth_errors(x, r)
        elif name == "kernel":
            pair_sum(x, r, 0.3)
        else:
            pooled(np.ones(n).view(Counted), (p - r * n).view(Counted))
        counts.append(Counted.total)
        assert counts[-1] > n
    assert max(counts[1] / counts[0], counts[2] / counts[1]) < 2.2


@pytest.mark.parametrize("loss", ["brier", "log"])
@pytest.mark.parametrize("method", ["corp", "bins"])
def test_parts_of_a_score(loss, method):
    score = {"brier": sklearn_metrics.brier_score_loss, "log": sklearn_metrics.log_loss}[loss]
    w, ties = 1.0 + INDEX % 3, np.round(P, 2)
    parts = decompose_score(S, ties, loss=loss, method=method, sample_weight=w, n_bins=7)
    total = parts.miscalibration - parts.discrimination + parts.uncertainty + parts.within
    assert total == pytest.approx(parts.score) == pytest.approx(score(S, ties, sample_weight=w))
    base = np.full(200, np.average(S, weights=w))
    assert parts.uncertainty == pytest.approx(score(S, base, sample_weight=w))
    table = ScoreTable.from_arrays(S, ties, w)
    assert decompose_score(table, loss=loss, method=method, n_bins=7) == parts
    if method == "corp":
        order = np.lexsort((-S, ties))
        at = np.unique(ties, return_inverse=True)[1]
        mean, size = np.bincount(at, w * S) / np.bincount(at, w), np.bincount(at, w)
        fit = isotonic_regression(mean, sample_weight=size)[at]
        after = score(S[order], fit[order], sample_weight=w[order])
        assert parts.miscalibration == pytest.approx(parts.score - after)
        assert parts.within == 0.0


@pytest.mark.parametrize("name", ERRORS)
def test_null_bands_and_p_values_by_drawing_rows(name):
    rng = np.random.default_rng(0)
    p = np.round(rng.random(150), 2)
    y = rng.random(150) < p
    spec, b = METRICS[name], Binary(p, y.astype(int), None)
    problems = [(ScoreTable._from_binary(b), b)]
    tested = whole_test(spec.whole, problems, spec.settings("binary", 150), 1000, rng, None)
    null = spec.whole.finished(tested.null)
    draws = np.array([ERRORS[name](rng.random(150) < p, p) for _ in range(200)])
    error = draws.std() / np.sqrt(200)
    # The standard error of a 5 % quantile of m normal draws is 2.1 sd / sqrt(m).
    assert null.mean() == pytest.approx(draws.mean(), abs=4 * error)
    assert np.quantile(null, 0.95) == pytest.approx(np.quantile(draws, 0.95), abs=4 * 2.5 * error)
    share = np.mean(draws >= ERRORS[name](y, p))
    assert tested.p_value == pytest.approx(share, abs=0.01 + 4 * np.sqrt(share * (1 - share) / 200))


def test_null_band_of_a_narrow_kernel():
    """Most scores are near 0, others a thousand bandwidths away from each other."""
    rng = np.random.default_rng(1)
    p = rng.random(3000) ** 24
    y = (rng.random(3000) < p).astype(int)
    e = estimate("kernel_calibration_error", y, p, random_state=0, n_resamples=300)
    assert e.params["bandwidth"] < 1e-3
    given = {"squared": True, "bandwidth": e.params["bandwidth"]}
    draws = [kernel_calibration_error(rng.random(3000) < p, p, **given) for _ in range(200)]
    error = np.std(draws) / np.sqrt(200)
    assert e.null_high**2 == pytest.approx(np.quantile(draws, 0.95), abs=4 * 2.5 * error)
    assert (e.low > 0) == (e.value > e.null_high)
    assert e.high < 0.003


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_wrong_is_found(name):
    y, p, index = (np.tile(a, 3) for a in (S, P, INDEX))
    for more in ({}, {"groups": np.arange(600) % 130}, {"sample_weight": 1.0 + index % 2}):
        e = estimate(name, y, p, random_state=0, n_resamples=40, **more)
        assert e.p_value <= 0.05
        assert type(e.p_value) is float
        assert 0 < e.low <= e.value <= e.high
        assert e.value > e.null_high


@pytest.mark.parametrize("name", ERRORS)
def test_classes_are_judged_one_by_one(name):
    p, y = multiclass_data(300)
    each = [ERRORS[name](y == k, p[:, k], pos_label=True) for k in range(p.shape[1])]
    if name == "kernel_calibration_error":
        squares = [
            kernel_calibration_error(y == k, p[:, k], squared=True) for k in range(p.shape[1])
        ]
        assert ERRORS[name](y, p, kind="classwise") ** 2 == pytest.approx(np.mean(squares))
    else:
        assert ERRORS[name](y, p, kind="classwise") == pytest.approx(np.mean(each))
    e = estimate(name, y, p, kind="classwise", random_state=0, n_resamples=20)
    assert e.low <= e.value <= e.high
    assert 0 < e.p_value <= 1


@pytest.mark.parametrize("name", ERRORS)
def test_calibrated_scores_of_groups_are_rarely_rejected(name):
    """40 dependent groups; at most the 99.9 % quantile of rejections at 5 %."""
    groups, rejected, runs = np.repeat(np.arange(40), 5), 0, 60
    spec = METRICS[name]
    settings = spec.settings("binary", 200)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        p = np.full(200, 0.5) if seed % 2 else np.repeat(rng.random(40), 5)
        b = Binary(p, (np.repeat(rng.random(40), 5) < p).astype(int), None)
        problems = [(ScoreTable._from_binary(b), b)]
        tested = whole_test(spec.whole, problems, settings, 99, rng, groups)
        rejected += tested.p_value <= 0.05
    assert rejected <= binom.ppf(0.999, runs, 0.05)


@pytest.mark.long
@pytest.mark.parametrize("name", ERRORS)
def test_intervals_cover(name):
    """Odds over-stated by one half, 300 rows; 90 % less three standard errors."""
    hits, runs = 0, 60
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        p = rng.random(300)
        z = 1.5 * logit(p) if seed % 2 else logit(p)
        rate = 1 / (1 + np.exp(-logit(p))) if seed % 2 else p
        shown = 1 / (1 + np.exp(-z))
        y = (rng.random(300) < rate).astype(int)
        e = estimate(name, y, shown, random_state=seed, n_resamples=150)
        truth = ERRORS[name](rate, shown) if name != "kernel_calibration_error" else np.sqrt(
            2 * pair_sum(np.sort(shown), (shown - rate)[np.argsort(shown)], e.params["bandwidth"])
        ) / 300  # fmt: skip
        hits += e.low <= truth <= e.high
    assert hits / runs >= 0.9 - 3 * np.sqrt(0.09 / runs)


def test_wrong_settings_are_explained():
    with pytest.raises(ValueError, match="scale='odds'; expected one of 'probability', 'logit'"):
        smooth_calibration_error(Y, P, scale="odds")
    with pytest.raises(ValueError, match=r"bandwidth=0\.0"):
        kernel_calibration_error(Y, P, bandwidth=0.0)
    with pytest.raises(ValueError, match=r"squared=True has no interval.*unclipped_square"):
        estimate("kernel_calibration_error", Y, P, squared=True)
    with pytest.raises(ValueError, match="fewer than two effective rows"):
        kernel_calibration_error([1], [0.5])
    with pytest.raises(TypeError, match="Errors without bins can't be compared"):
        compare("smooth_calibration_error", Y, {"a": P, "b": P**2})
    with pytest.raises(ValueError, match="loss='brier_score'"):
        decompose_score(Y, P, loss="brier_score")


#: What each metric without bins offers: its kinds of several classes, and whether it is a scorer.
SUPPORTED = {
    "smooth_calibration_error": ({"top_label", "classwise"}, True),
    "kernel_calibration_error": ({"top_label", "classwise"}, True),
    "cumulative_calibration_error": ({"top_label", "classwise"}, True),
    "corp_miscalibration": ({"top_label", "classwise"}, True),
    "loess_calibration_error": ({"top_label", "classwise"}, True),
    "calibration_slope": ({"top_label"}, False),
    "calibration_intercept": ({"top_label"}, False),
    "calibration_in_the_large": ({"top_label"}, False),
    "observed_expected_ratio": ({"top_label"}, False),
}


def test_the_list_of_what_is_supported_is_complete():
    assert set(SUPPORTED) == {name for name, spec in _KNOWN.items() if not spec.comparable}
    assert {f"neg_{n}" for n, (_, scored) in SUPPORTED.items() if scored} <= set(get_scorer_names())


@pytest.mark.parametrize("name", SUPPORTED)
def test_each_metric_by_name(name):
    kinds, scored = SUPPORTED[name]
    few = {"random_state": 0, "n_resamples": 20}
    plain = estimate(name, S, P, **few)
    assert plain == estimate(name, ScoreTable.from_arrays(S, P), **few)
    assert plain == estimate(name, np.array(["a", "b"])[S], np.column_stack((1 - P, P)), **few)
    for more in ({"sample_weight": 1.0 + INDEX % 3}, {"groups": INDEX // 5}):
        e = estimate(name, S, P, **few, **more)
        assert e.low <= e.value <= e.high
        assert (e.low, e.high) != (plain.low, plain.high)
    y, p = (a[:120] for a in multiclass_data(120)[::-1])
    top = estimate(name, y == p.argmax(axis=1), p.max(axis=1), **few)
    for kind in ("top_label", "classwise"):
        if kind not in kinds:
            with pytest.raises(ValueError, match="kind='classwise'; expected one of"):
                estimate(name, y, p, kind=kind, **few)
            continue
        e = estimate(name, y, p, kind=kind, **few)
        assert e.low <= e.value <= e.high
        assert (e.value == pytest.approx(top.value)) == (kind == "top_label")
    with pytest.raises(TypeError, match="can't be compared"):
        compare(name, S, {"a": P, "b": P**2})
    if scored:
        model = DummyClassifier(strategy="prior").fit(P[:, None], S)
        value = get_scorer(f"neg_{name}")(model, P[:, None], Y)
        assert value == pytest.approx(-_KNOWN[name].function(Y, np.full(200, S.mean()))) != 0
    else:
        with pytest.raises(ValueError, match="neither larger nor smaller is better"):
            get_scorer(name)


@pytest.mark.parametrize("metric", ["calibration_slope", "calibration_intercept"])
def test_lines_do_not_depend_on_the_unit_of_the_weights(metric):
    rng = np.random.default_rng(1)
    p, w = rng.beta(2, 2, 200), rng.random(200) + 0.1
    y = rng.random(200) < p**1.3
    found = [estimate(metric, y, p, sample_weight=w * unit) for unit in (1.0, 1e7, 1e-90, 1e90)]
    assert np.isfinite(found[0].low)
    ends = np.array([(e.value, e.low, e.high) for e in found])
    assert_allclose(ends[1:], ends[[0, 0, 0]], rtol=1e-7)
