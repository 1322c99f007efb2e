"""Estimates: intervals and null bands against plain resampling of rows and against theory."""

import numpy as np
import pytest

from calibkit import (
    ScoreTable,
    brier_score,
    calibration_error,
    estimate,
    expected_calibration_error,
    log_loss,
    squared_calibration_error,
)
from calibkit.metrics import METRICS
from calibkit.testing import binary_data, multiclass_data


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    p = rng.beta(0.8, 0.8, size=3000)
    return (rng.random(3000) < p**1.4).astype(int), p


def plain_bootstrap(metric, y, p, n_draws, seed, borders=None):
    rng = np.random.default_rng(seed)
    indices = (rng.integers(len(y), size=len(y)) for _ in range(n_draws))
    return np.array([metric(y[i], p[i]) for i in indices])


@pytest.mark.parametrize("name", METRICS)
def test_draws_on_cells_are_draws_of_rows(rows, name):
    """Same centre and spread as resampling rows, within their own Monte-Carlo error."""
    y, p = (v[:1000] for v in rows)
    metric = METRICS[name].function
    n_draws = 400
    e = estimate(metric, y, p, method="bootstrap", n_resamples=4000, random_state=0, level=0.9)
    plain = plain_bootstrap(metric, y, p, n_draws, 1)
    low, high = 2 * e.value - np.quantile(plain, [0.95, 0.05])
    spread = plain.std()
    # The standard error of a 5 % quantile of m normal draws is 2.1 sd / sqrt(m).
    tolerance = 4 * 2.1 * spread / np.sqrt(n_draws)
    if name == "calibration_error":
        tolerance += 0.25 * spread  # its bins move with the draws of rows, here they are fixed
    assert e.low == pytest.approx(max(low, METRICS[name].bounds[0]), abs=tolerance)
    assert e.high == pytest.approx(max(high, e.value), abs=tolerance)


def test_null_band_is_what_calibrated_models_show():
    """Mean and quantiles of the ECE over freshly drawn labels, by brute force."""
    rng = np.random.default_rng(0)
    p = rng.random(164)
    y = rng.random(164) < p
    e = estimate(expected_calibration_error, y, p, n_resamples=5000, random_state=0)
    draws = np.array([expected_calibration_error(rng.random(164) < p, p) for _ in range(2000)])
    error = draws.std() / np.sqrt(2000) * np.sqrt(1 + 2000 / 5000)
    assert e.null == pytest.approx(draws.mean(), abs=4 * error)
    assert e.null_low == pytest.approx(np.quantile(draws, 0.05), abs=4 * 2.1 * error)
    assert e.null_high == pytest.approx(np.quantile(draws, 0.95), abs=4 * 2.1 * error)
    assert e.null == pytest.approx(0.09, abs=0.01)


@pytest.mark.long
def test_null_band_holds_calibrated_models_at_its_level():
    """Over repetitions the band holds the error of a calibrated model 90 % of the time."""
    rng = np.random.default_rng(1)
    inside, n_repeats = 0, 300
    for seed in range(n_repeats):
        p = rng.random(300)
        e = estimate(
            expected_calibration_error, rng.random(300) < p, p, n_resamples=300, random_state=seed
        )
        inside += e.null_low <= e.value <= e.null_high
    # Binomial: 4 standard errors, and 2 points for bands from 300 draws.
    assert abs(inside / n_repeats - 0.9) < 4 * np.sqrt(0.09 / n_repeats) + 0.02


@pytest.mark.long
@pytest.mark.parametrize("metric", [brier_score, log_loss, calibration_error])
def test_interval_covers_away_from_zero_error(metric):
    rng = np.random.default_rng(2)
    p_large = rng.beta(0.8, 0.8, size=400_000)
    truth = metric(rng.random(400_000) < p_large**1.5, p_large)
    covered, n_repeats = 0, 300
    for seed in range(n_repeats):
        p = rng.beta(0.8, 0.8, size=1000)
        e = estimate(metric, rng.random(1000) < p**1.5, p, n_resamples=300, random_state=seed)
        covered += e.low <= truth <= e.high
    # At least nominal within 4 standard errors of the simulation, less 2 points for 300 draws.
    assert covered / n_repeats > 0.9 - 4 * np.sqrt(0.09 / n_repeats) - 0.02


def test_groups_are_drawn_whole():
    """Rows repeated five times as groups carry the information of the groups alone."""
    p, y = binary_data(400)
    groups = np.repeat(np.arange(400), 5)
    alone = estimate(brier_score, y, p, random_state=0, n_resamples=4000)
    grouped = estimate(
        brier_score,
        np.repeat(y, 5),
        np.repeat(p, 5),
        groups=groups,
        random_state=1,
        n_resamples=4000,
    )
    naive = estimate(brier_score, np.repeat(y, 5), np.repeat(p, 5), random_state=0)
    assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert naive.high - naive.low == pytest.approx((alone.high - alone.low) / np.sqrt(5), rel=0.1)
    names = np.array([f"g{i}" for i in groups])
    by_name = estimate(
        "brier_score",
        np.repeat(y, 5),
        np.repeat(p, 5),
        groups=names,
        random_state=1,
        n_resamples=500,
    )
    assert by_name.value == grouped.value


def test_weights_and_groups_by_rows_agree_with_cells(rows):
    y, p = rows
    y, p = y[:500], p[:500]
    groups = np.arange(500) // 4
    for extra in ({}, {"groups": groups}):
        cells = estimate(brier_score, y, p, random_state=0, n_resamples=2000, **extra)
        by_rows = estimate(
            brier_score,
            y,
            p,
            sample_weight=np.full(500, 2.0),
            random_state=1,
            n_resamples=1000,
            **extra,
        )
        assert by_rows.value == pytest.approx(cells.value, rel=1e-12)
        assert by_rows.high - by_rows.low == pytest.approx(cells.high - cells.low, rel=0.15)
        assert by_rows.null == pytest.approx(cells.null, abs=0.002)
    zero = np.ones(500)
    zero[400:] = 0
    dropped = estimate(
        brier_score, y, p, sample_weight=zero, groups=groups, n_resamples=20, random_state=0
    )
    assert dropped.n == 400
    assert dropped.value == pytest.approx(brier_score(y[:400], p[:400]))


def test_k_classes():
    p, y = multiclass_data()
    top = estimate(expected_calibration_error, y, p, random_state=0)
    assert top.value == pytest.approx(expected_calibration_error(y, p), rel=1e-12)
    assert top.params["kind"] == "top_label"
    assert "top-label" in str(top)
    for metric, kind in ((calibration_error, "classwise"), (brier_score, None), ("log_loss", None)):
        extra = {"kind": kind} if kind else {}
        e = estimate(metric, y, p, n_resamples=50, random_state=0, **extra)
        assert e.low <= e.value <= e.high
        assert e.null is not None
    assert estimate(calibration_error, y, p).params["kind"] == "top_label"


def test_any_function_of_labels_and_probabilities(rows):
    y, p = rows

    def accuracy(y_true, y_prob):
        return float(np.mean((y_prob > 0.5) == (y_true == "yes")))

    e = estimate(accuracy, np.array(["no", "yes"])[y], p, n_resamples=200, random_state=0)
    assert e.low < e.value < e.high
    assert e.null is None
    assert "accuracy" in str(e)
    with pytest.raises(TypeError, match="expected a function"):
        estimate(3, y, p)
    with pytest.raises(ValueError, match="brier_score"):
        estimate("brier", y, p)


def test_a_table_gives_the_same_estimate_as_its_rows(rows):
    y, p = rows
    table = ScoreTable.from_arrays(y, p)
    settings = {"random_state": 3, "n_resamples": 50}
    for metric in METRICS:
        assert estimate(metric, table, **settings) == estimate(metric, y, p, **settings)
    weighted = ScoreTable.from_arrays(y, p, np.full(len(y), 0.5))
    with pytest.raises(ValueError, match="weighted rows"):
        estimate(brier_score, weighted)
    with pytest.raises(ValueError, match="groups or sample_weight"):
        estimate(brier_score, table, groups=np.arange(len(y)))
    with pytest.raises(TypeError, match="not one of calibkit's metrics"):
        estimate(lambda y, p: 0.0, table)


def test_the_same_seed_gives_the_same_numbers(rows):
    y, p = rows
    for seed in (0, np.int64(3)):
        assert estimate("log_loss", y, p, random_state=seed) == estimate(
            "log_loss", y, p, random_state=seed
        )
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    estimate("log_loss", y, p, random_state=np.random.RandomState(0))
    estimate("log_loss", y, p)
    assert (np.random.get_state()[1] == state).all()


def test_an_estimate_prints_as_one_citable_line(rows):
    y, p = rows
    e = estimate(expected_calibration_error, y, p, n_bins=10, level=0.95, random_state=0)
    text = str(e)
    assert "\n" not in text
    for part in ("ECE", "95% interval", "l1", "10 equal-width bins", "plug-in", "n = 3,000"):
        assert part in text
    assert float(e) == e.value
    assert e.params["n_bins"] == 10
    auto = estimate(calibration_error, y, p, n_bins="auto", random_state=0)
    assert auto.params["n_bins"] == 15


@pytest.mark.filterwarnings("ignore::calibkit.HardScoresWarning")
@pytest.mark.filterwarnings("ignore::calibkit.FewEventsWarning")
@pytest.mark.parametrize("case", ["constant", "perfect", "tiny", "one class"])
def test_degenerate_data_give_finite_estimates(case):
    p = {"constant": np.full(50, 0.3), "perfect": np.repeat([0.0, 1.0], 25),
         "tiny": np.array([0.2, 0.9] * 2), "one class": np.linspace(0, 1, 50)}[case]  # fmt: skip
    y = {"constant": np.arange(50) % 2, "perfect": np.repeat([0, 1], 25),
         "tiny": np.array([0, 1] * 2), "one class": np.ones(50, dtype=int)}[case]  # fmt: skip
    for name in ("expected_calibration_error", "brier_score", "log_loss"):
        extra = {"n_bins": 2} if name.startswith("exp") else {}
        e = estimate(name, y, p, random_state=0, n_resamples=50, **extra)
        assert np.isfinite([e.value, e.low, e.high, e.null]).all()
        assert e.low <= e.value <= e.high


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"level": 1.0}, "level"),
        ({"level": "high"}, "level"),
        ({"n_resamples": 1}, "n_resamples"),
        ({"method": "jackknife"}, "method"),
        ({"groups": [1, 2]}, "groups"),
        ({"groups": np.ones(3000)}, "one group only"),
    ],
)
def test_bad_settings_are_refused(rows, extra, words):
    y, p = rows
    with pytest.raises((ValueError, TypeError), match=words):
        estimate(brier_score, y, p, **extra)


def covered(draw, truth, repeats, **kwargs):
    """How often intervals hold the truth."""
    hits = 0
    for seed in range(repeats):
        y, p, more = draw(np.random.default_rng(seed))
        e = estimate(
            "calibration_error", y, p, random_state=seed, n_resamples=300, **more, **kwargs
        )
        hits += e.low <= truth + 1e-9 and e.high >= truth - 1e-9
    return hits / repeats


def nearly(level, repeats):
    return level - 3 * np.sqrt(level * (1 - level) / repeats)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_an_interval_reaches_past_a_gap_that_is_as_large_as_can_be(norm):
    value, rate = np.array([0.0, 0.5]), np.array([1.0, 0.9])

    def draw(rng):
        at = rng.integers(2, size=400)
        return (rng.random(400) < rate[at]).astype(int), value[at], {"strategy": "unique"}

    truth = {"l1": 0.5 * (1.0 + 0.4), "l2": np.sqrt(0.5 * (1.0 + 0.16))}[norm]
    assert covered(draw, truth, 150, norm=norm) >= nearly(0.88, 150)


@pytest.mark.parametrize("rows", ["groups", "weights"])
def test_groups_and_weights_make_shares_of_bins_uncertain_too(rows):
    """Reversed scores: the error depends on how much weight lies in the outer bins."""
    value = np.array([0.1, 0.3, 0.5, 0.7, 0.9])

    def draw(rng):
        if rows == "groups":
            group = np.repeat(np.arange(60), 10)
            at = rng.integers(5, size=60)[group]
            more = {"groups": group}
        else:
            at = rng.integers(5, size=400)
            more = {"sample_weight": np.exp(1.2 * rng.normal(size=400))}
        y = (rng.random(len(at)) < 1 - value[at]).astype(int)
        return y, value[at], {"strategy": "unique", **more}

    truth = np.sqrt(np.mean((2 * value - 1) ** 2))
    assert covered(draw, truth, 150) >= nearly(0.88, 150)


@pytest.mark.long
def test_two_rows_a_bin_do_not_refute_a_calibrated_model():
    def draw(rng):
        p = rng.random(100)
        return (rng.random(100) < p).astype(int), p, {"n_bins": 50}

    assert covered(draw, 0.0, 100) >= nearly(0.93, 100)


def test_more_bins_than_can_be_simulated_are_refused():
    rng = np.random.default_rng(0)
    p = rng.random(8000)
    y = (rng.random(8000) < p).astype(int)
    for settings in ({"n_bins": 3001}, {"strategy": "unique"}):
        with pytest.raises(ValueError, match="expected at most 3,000"):
            estimate("calibration_error", y, p, **settings)
        e = estimate("calibration_error", y, p, method="bootstrap", n_resamples=20, **settings)
        assert e.method == "bootstrap"
    with pytest.raises(ValueError, match="estimate: fewer than two rows"):
        estimate("expected_calibration_error", [1], [0.3], n_bins=1)


def test_weights_repeat_rows_where_bins_are_counted():
    rng = np.random.default_rng(0)
    p = rng.random(60)
    y = (rng.random(60) < p**2).astype(int)
    w = rng.integers(1, 4, 60)
    for settings in ({"n_bins": "auto"}, {"n_bins": 90}):
        settings |= {"n_resamples": 20, "random_state": 0}
        counted = {"sample_weight": w, "weights": "frequency"}
        weighted = estimate("calibration_error", y, p, **counted, **settings)
        assert weighted == estimate("calibration_error", y.repeat(w), p.repeat(w), **settings)
    scaled = [
        estimate("maximum_calibration_error", y, p, sample_weight=v, n_bins="sweep").value
        for v in (w, w / w.sum())
    ]
    assert scaled[0] == pytest.approx(scaled[1], abs=1e-12)


@pytest.mark.parametrize("size", ["even", "uneven"])
def test_intervals_of_few_groups_cover(size):
    """20 groups: the plain bootstrap of groups covers about .8 of the time."""
    rng, inside, runs = np.random.default_rng(0), 0, 400
    for _ in range(runs):
        sizes = np.full(20, 8) if size == "even" else np.minimum(rng.geometric(1 / 8, 20), 60)
        group = np.repeat(np.arange(20), sizes)
        y = rng.random(len(group)) < 1 / (1 + np.exp(-1.5 * rng.normal(size=20)[group]))
        e = estimate(
            brier_score, y, np.zeros(len(y)), groups=group, n_resamples=200, random_state=0
        )
        inside += e.low <= 0.5 <= e.high  # the Brier score of forecasting 0 is the rate
    se = np.sqrt(0.9 * 0.1 / runs)
    assert 0.9 - 3 * se < inside / runs < 0.9 + 3 * se


def test_draws_of_groups_may_be_infinite_and_levels_tiny():
    rng = np.random.default_rng(0)
    y, groups = rng.integers(2, size=60), np.arange(60) // 2

    def odd(y, p):
        return np.inf if np.mean(y) > np.mean(odd.y) else float(np.mean(y))

    odd.y = y
    e = estimate(odd, y, np.full(60, 0.5), groups=groups, random_state=0)
    assert np.isfinite([e.low, e.high]).all()
    assert e.low < e.value
    e = estimate("brier_score", y, rng.random(60), groups=groups, level=1e-17, random_state=0)
    assert e.high - e.low < 0.1


@pytest.mark.filterwarnings("ignore::calibkit.FewGroupsWarning")
def test_brier_scores_of_several_classes_reach_two():
    p = np.tile([[0.98, 0.01, 0.01]], (60, 1))
    y = np.where(np.arange(60) < 40, 1, 0)
    e = estimate("brier_score", y, p, classes=[0, 1, 2], groups=np.arange(60) // 20, random_state=0)
    assert e.value > 1.2
    assert e.high == 2


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("debias", [False, True])
def test_interval_null_band_and_verdict_come_from_one_test(norm, debias):
    """On errors near the edge of noise, where two tests would differ in some draws."""
    seen = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.random(300)
        y = rng.random(300) < p ** rng.uniform(1, 1.3)
        settings = {"norm": norm, "debias": debias, "n_bins": 10, "n_resamples": 100}
        e = estimate("calibration_error", y, p, random_state=seed, **settings)
        assert (e.low > 0) == (e.value > e.null_high) == (e.verdict == "miscalibrated")
        assert e.low <= e.value <= e.high
        seen.add(e.low > 0)
    assert seen == {True, False}


def test_verdicts():
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    y = rng.random(20_000) < p
    many, few, wrong = (
        estimate("calibration_error", labels, scores, random_state=0)
        for labels, scores in ((y, p), (y[:100], p[:100]), (y, np.sqrt(p)))
    )
    assert (many.verdict, few.verdict, wrong.verdict) == ("calibrated", "unclear", "miscalibrated")
    assert estimate("brier_score", y[:100], p[:100], random_state=0).verdict is None


def test_the_squared_error_by_name_is_refused_with_what_to_use():
    y, p = [0, 1] * 50, np.linspace(0.1, 0.9, 100)
    with pytest.raises(ValueError, match=r"may be negative.*Use metric='calibration_error'"):
        estimate("squared_calibration_error", y, p)
    e = estimate("calibration_error", y, p, n_resamples=10)
    assert e.params["unclipped_square"] == pytest.approx(squared_calibration_error(y, p))
