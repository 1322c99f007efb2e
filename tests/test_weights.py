"""What a weight is, in every metric: a share of the population, or a number of rows."""

from inspect import signature

import numpy as np
import pytest
from scipy.special import ndtri

from calibkit import (
    HistogramBinningCalibrator,
    ScalingBinningCalibrator,
    ScoreTable,
    area_under_risk_coverage,
    brier_score,
    calibration_error,
    estimate,
    expected_calibration_error,
    get_scorer,
    log_loss,
    log_loss_skill_score,
    roc_auc,
    squared_calibration_error,
)
from calibkit.metrics import METRICS
from calibkit.testing import multiclass_data

ALL = {name: m.function for name, m in METRICS.items()} | {
    "squared_calibration_error": squared_calibration_error,
    "area_under_risk_coverage": area_under_risk_coverage,
}


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    p = np.round(rng.random(400), 2)
    return (rng.random(400) < p**1.3).astype(int), p, rng.integers(1, 5, size=400)


@pytest.mark.parametrize("name", ALL)
def test_a_constant_factor_changes_nothing(rows, name):
    y, p, w = rows
    metric = ALL[name]
    given = metric(y, p, sample_weight=w)
    table = ScoreTable.from_arrays(y, p, w * 0.1)
    assert metric(table) == pytest.approx(given, rel=1e-9)
    for factor in (0.001, 7.0, 1e30):
        assert metric(y, p, sample_weight=factor * w) == pytest.approx(given, rel=1e-9)
    assert metric(y, p, sample_weight=np.full(400, 0.3)) == pytest.approx(metric(y, p), rel=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_counts_are_repeated_rows(rows, name):
    y, p, w = rows
    counted = {"sample_weight": w, "weights": "frequency"}
    repeated = y.repeat(w), p.repeat(w)
    metric = ALL[name]
    assert metric(y, p, **counted) == pytest.approx(metric(*repeated), rel=1e-12)
    table = ScoreTable.from_arrays(y, p, w, weights="frequency")
    whole = ScoreTable.from_arrays(*repeated)
    for column in ("p", "n", "w", "wy", "w2", "w2y", "w2yy"):
        np.testing.assert_array_equal(getattr(table, column), getattr(whole, column))
    if name not in METRICS:
        return
    for method in ("auto", "bootstrap"):
        draws = {"random_state": 0, "n_resamples": 50, "method": method}
        assert estimate(name, y, p, **counted, **draws) == estimate(name, *repeated, **draws)


@pytest.mark.parametrize("name", METRICS)
def test_intervals_do_not_know_the_unit_of_weights(rows, name):
    y, p, w = rows
    draws = {"random_state": 0, "n_resamples": 60}
    one, other = (estimate(name, y, p, sample_weight=v, **draws) for v in (w, 1e-3 * w))
    for field in ("value", "low", "high", "null", "null_low", "null_high"):
        assert getattr(one, field) == pytest.approx(getattr(other, field), rel=1e-6, abs=1e-9)
    plain = estimate(name, y, p, **draws)
    assert plain == estimate(name, y, p, sample_weight=np.full(400, 0.2), **draws)


@pytest.mark.parametrize("name", ALL)
def test_fractions_of_events_are_their_rows(name):
    rng = np.random.default_rng(1)
    n = rng.integers(2, 9, size=100)
    p = rng.random(100)
    k = rng.binomial(n, p**1.5)
    k[:2] = 1
    events = np.concatenate([np.arange(m) < j for m, j in zip(n, k, strict=True)]).astype(int)
    metric, each = ALL[name], p.repeat(n)
    counted = {"sample_weight": n, "weights": "frequency"}
    assert metric(k / n, p, **counted) == pytest.approx(metric(events, each), rel=1e-12)
    assert metric(1 - k / n, p, pos_label=0, **counted) == pytest.approx(
        metric(events, each), rel=1e-12
    )
    table = ScoreTable.from_arrays(k / n, p, n)
    assert metric(table) == pytest.approx(metric(k / n, p, sample_weight=n), rel=1e-12)
    if "calibration_error" not in name and "risk" not in name:
        assert metric(k / n, p, sample_weight=n) == pytest.approx(metric(events, each), rel=1e-12)
    if name in METRICS:
        draws = {"random_state": 0, "n_resamples": 50}
        e = estimate(name, k / n, p, **counted, **draws)
        assert e == estimate(name, events, each, **draws)
        e = estimate(name, k / n, p, sample_weight=n, **draws)
        assert e.low <= e.value <= e.high
        assert np.isfinite([e.null_low, e.null_high]).all()


def test_debiased_squares_are_unbiased_under_weights():
    """200 data sets with heavy weights: the plug-in shows four times the error there is."""
    rng = np.random.default_rng(0)
    value, rate = np.array([0.2, 0.5, 0.8]), np.array([0.25, 0.5, 0.7])
    at, found = np.repeat([0, 1, 2], 40), {True: [], "labels": [], False: []}
    fractions = []
    for _ in range(200):
        y = (rng.random(120) < rate[at]).astype(int)
        w = np.exp(rng.normal(size=120))
        for debias in found:
            settings = {"sample_weight": w, "strategy": "unique", "debias": debias}
            found[debias].append(squared_calibration_error(y, value[at], **settings))
        f = rng.binomial(4, rate[at]) / 4
        fractions.append(
            squared_calibration_error(f, value[at], sample_weight=w, strategy="unique")
        )
    truth = np.mean((value - rate) ** 2)
    for squares in (found[True], found["labels"], fractions):
        assert abs(np.mean(squares) - truth) < 3.5 * np.std(squares) / np.sqrt(200)
    assert np.mean(found[False]) > 3 * truth


def test_debiased_squares_are_consistent_where_weights_go_with_the_error():
    """Labels that weigh more are rarer: the bias is of order 1/n, that of the plug-in larger."""
    rng = np.random.default_rng(0)
    # Rate .5 among rows, of which events have twice the weight: 2/3 of the population.
    truth, off = (2 / 3 - 0.4) ** 2, {}
    for n, runs in ((25, 12_000), (200, 6_000)):
        y = rng.integers(2, size=(runs, n))
        w = (1.0 + y) * rng.gamma(2.0, size=(runs, n))
        d = 0.4 - y
        squares = (w * d).sum(axis=1) ** 2 - (w * w * d * d).sum(axis=1)
        ours = squares / (w.sum(axis=1) ** 2 - (w * w).sum(axis=1))
        found = squared_calibration_error(y[0], np.full(n, 0.4), sample_weight=w[0], n_bins=1)
        assert found == pytest.approx(ours[0], abs=1e-12)
        off[n] = ours.mean() - truth, 3 * ours.std() / np.sqrt(runs)
    assert abs(off[25][0]) < 0.3 * truth
    assert abs(off[200][0]) < abs(off[25][0]) / 8 + off[200][1] + off[25][1] / 8


def test_bins_are_joined_by_what_their_weights_are_worth():
    y, p = np.array([0, 1, 0, 1, 1, 0]), np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.8])
    w = np.array([1.0, 1, 1e6, 1, 1e6, 1e6])
    settings = {"strategy": "unique", "sample_weight": w}
    d = p - y
    # The scores 0.3 and 0.6 are worth one row together, so 0.7 joins them; so does 0.8, left over.
    pairs = [np.arange(2), np.arange(2, 6)]
    expected = 0.0
    for i in pairs:
        a, b = w[i] * d[i], w[i]
        square = (a.sum() ** 2 - (a**2).sum()) / (b.sum() ** 2 - (b**2).sum())
        expected += b.sum() / w.sum() * square
    assert squared_calibration_error(y, p, **settings) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="fewer than two rows"):
        calibration_error(y, p, n_bins=2, sample_weight=[1, 1, 1, 1, 1, 1e6])


def test_counts_must_be_counts(rows):
    y, p, _ = rows
    for weight, words in ((np.full(400, 1.5), "1.5 at row 0"), (np.full(400, 2.0**52), "a sum of")):
        with pytest.raises(ValueError, match=words):
            brier_score(y, p, sample_weight=weight, weights="frequency")
    with pytest.raises(ValueError, match="not a whole number of events"):
        brier_score(np.full(400, 0.5), p, weights="frequency")
    for metric in (brier_score, calibration_error, ScoreTable.from_arrays):
        with pytest.raises(ValueError, match="weights='counts'; expected one of 'sampling'"):
            metric(y, p, weights="counts")
    scorer = get_scorer("neg_calibration_error", weights="frequency")
    assert "weights" in repr(scorer)


@pytest.mark.filterwarnings("ignore::calibkit.FewEventsWarning")
def test_weights_of_any_range_give_finite_numbers():
    rng = np.random.default_rng(0)
    p = rng.random(60)
    y = (rng.random(60) < p).astype(int)
    for span in (1e17, 1e40, 1e49):
        w = span ** -rng.random(60)
        w[:5], y[:5] = (1.0, 1.0, 1.0, 1 / span, 1 / span), (1, 1, 0, 0, 1)
        table = ScoreTable.from_arrays(y, p, w)
        for metric in ALL.values():
            bins = _bins(metric)
            for found in (metric(y, p, sample_weight=w, **bins), metric(table, **bins)):
                assert np.isfinite(found)
                assert found <= 1 + 1e-12 or metric is log_loss
        for name in METRICS:
            bins = _bins(METRICS[name].function)
            e = estimate(name, y, p, sample_weight=w, random_state=0, n_resamples=30, **bins)
            assert np.isfinite([e.value, e.low, e.high, e.null, e.null_low, e.null_high]).all()
    # All weight on one class but for 1e-30 of it: the score of the base rate is that small too.
    y, w = np.repeat([0, 1], 30), np.repeat([1e-30, 1.0], 30)
    assert log_loss_skill_score(y, np.repeat([1e-300, 1.0], 30), sample_weight=w) == pytest.approx(
        1
    )
    assert roc_auc(y, np.repeat([0.2, 0.7], 30), sample_weight=w) == 1
    with pytest.raises(ValueError, match="almost no weight"):
        roc_auc(ScoreTable.from_arrays(y, np.full(60, 0.5), w))
    assert area_under_risk_coverage(y, p, sample_weight=w) < 1e-20


def _bins(metric):
    """Two bins, and no correction that a single heavy row would leave without a partner."""
    known = signature(metric).parameters
    return {k: v for k, v in {"n_bins": 2, "debias": False}.items() if k in known}


def test_no_weight_lifts_the_bound_on_bins(rows):
    y, p, _ = rows
    for weights in ("sampling", "frequency"):
        for metric in (calibration_error, expected_calibration_error):
            with pytest.raises(ValueError, match="n_bins"):
                metric(y, p, n_bins=10**9, sample_weight=np.full(400, 1e12), weights=weights)
    for calibrator in (HistogramBinningCalibrator, ScalingBinningCalibrator):
        with pytest.raises(ValueError, match="at most 1000000"):
            calibrator(n_bins=10**9).fit(p, y, np.full(400, 1e12))
    with pytest.raises(ValueError, match="n_bins"):
        ScoreTable.from_arrays(y, p).bins("uniform", 10**9)


@pytest.mark.filterwarnings("ignore::calibkit.FewEventsWarning")
def test_weighted_scores_have_intervals_that_cover():
    """Heavy weights: draws of rows alone cover about .7 of the time at a nominal .9."""
    inside, runs = {"brier_score": 0, "brier_skill_score": 0}, 120
    truth = {"brier_score": 1 / 6, "brier_skill_score": 1 / 3}
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        p = rng.random(100)
        y = (rng.random(100) < p).astype(int)
        w = np.exp(2.0 * rng.normal(size=100))
        for name in inside:
            e = estimate(name, y, p, sample_weight=w, n_resamples=100, random_state=seed)
            inside[name] += e.low <= truth[name] <= e.high
    for hits in inside.values():
        assert hits / runs > 0.9 - 3 * np.sqrt(0.09 / runs)


def test_chunks_are_merged_in_pairs(monkeypatch):
    """Merged scores grow like n log n with the number of chunks, not like its square."""
    merged = 0
    add = ScoreTable.__add__

    def counted(self, other):
        nonlocal merged
        merged += len(self) + len(other)
        return add(self, other)

    monkeypatch.setattr(ScoreTable, "__add__", counted)
    rng = np.random.default_rng(0)
    work = {}
    for n_chunks in (64, 128, 256, 255):
        p = rng.random((n_chunks, 4))
        merged = 0
        table = ScoreTable.from_chunks((np.arange(4) % 2, q) for q in p)
        work[n_chunks] = merged
        assert len(table) == 4 * n_chunks
        assert merged <= 4 * n_chunks * np.ceil(np.log2(n_chunks))
    assert work[256] / work[64] < 6


def test_bins_used_and_asked():
    y, p = np.tile([0, 1], 60), np.tile([0.2, 0.5, 0.9], 40)
    e = estimate("calibration_error", y, p, random_state=0, n_resamples=20)
    assert (e.params["n_bins"], e.params["n_bins_asked"]) == (3, 15)
    assert "3 of 15 equal-mass bins" in str(e)
    for method in ("auto", "bootstrap"):
        e = estimate("calibration_error", y, p, n_bins=2, method=method, random_state=0)
        assert (e.params["n_bins"], e.params["n_bins_asked"]) == (2, 2)
        e = estimate("calibration_error", y, p, method=method, n_resamples=20, random_state=0)
        assert (e.params["n_bins"], e.params["n_bins_asked"]) == (3, 15)


@pytest.mark.parametrize(
    "metric", ["calibration_error", "maximum_calibration_error", "brier_skill_score", "roc_auc"]
)  # fmt: skip
@pytest.mark.parametrize("shared", [0.5, 0.9])
def test_calibrated_models_of_groups_lie_in_their_null_band(metric, shared):
    """60 groups of 20 rows that share a shift: of independent rows the band holds hardly any."""
    inside, runs = 0, 40
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(60), 20)
        # Latent normals: each row is calibrated, rows of one group go together. Where they share
        # nearly all, they share the forecast too: of independent rows no error is in the band.
        p = rng.random(1200) if shared < 0.9 else rng.random(60)[groups]
        z = np.sqrt(shared) * rng.normal(size=60)[groups]
        z += np.sqrt(1.0 - shared) * rng.normal(size=1200)
        y = (z < ndtri(p)).astype(int)
        e = estimate(metric, y, p, groups=groups, n_resamples=100, random_state=seed)
        inside += e.null_low <= e.value <= e.null_high
    assert inside >= 30  # of a nominal 36, three and a half standard errors below


def test_classes_of_weighted_and_grouped_rows():
    p, y = multiclass_data()
    groups = np.arange(len(y)) // 5
    w = np.random.default_rng(0).integers(1, 4, size=len(y))
    for more in ({"groups": groups}, {"sample_weight": w}):
        for metric, kind in (("calibration_error", "classwise"), ("brier_score", None)):
            settings = {} if kind is None else {"kind": kind}
            e = estimate(metric, y, p, n_resamples=20, random_state=0, **more, **settings)
            assert e.low <= e.value <= e.high
            assert (e.null is None) == (metric == "brier_score" and "groups" in more)
    counted = {"sample_weight": w, "weights": "frequency", "n_resamples": 20, "random_state": 0}
    for metric in ("brier_score", "roc_auc"):
        repeated = estimate(
            metric, y.repeat(w), p.repeat(w, axis=0), **{**counted, "sample_weight": None}
        )
        assert estimate(metric, y, p, **counted) == repeated
