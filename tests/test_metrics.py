"""Metrics against scikit-learn, brute force and each other."""

import numpy as np
import pytest
import sklearn.metrics as sk

import calibkit
from calibkit import (
    ScoreTable,
    brier_score,
    brier_skill_score,
    calibration_error,
    expected_calibration_error,
    get_scorer,
    get_scorer_names,
    log_loss,
    log_loss_skill_score,
    maximum_calibration_error,
    roc_auc,
)
from calibkit.metrics import METRICS
from calibkit.testing import binary_data, multiclass_data

BINNED = ("calibration_error", "expected_calibration_error", "maximum_calibration_error")


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    p = np.concatenate(([0.0, 1.0, 0.5, 0.5], np.round(rng.beta(0.6, 0.8, size=500), 2)))
    y = (rng.random(len(p)) < p**1.3).astype(int)
    y[:2] = 0, 1
    return y, p, rng.integers(1, 5, size=len(p)).astype(float)


def brute_force_error(y, p, w, norm, strategy, n_bins):
    """A binned error one row at a time."""
    if strategy == "uniform":
        borders = np.arange(1, n_bins) / n_bins
        bins = [int(np.searchsorted(borders, v, "right")) for v in p]
    elif strategy == "unique":
        bins = [float(v) for v in p]
    else:
        total, below, bins_of, j = w.sum(), 0.0, {}, 0
        for v in np.unique(p):
            bins_of[v] = j
            below += w[p == v].sum()
            while j < n_bins - 1 and below * n_bins >= total * (j + 1) * (1 - 1e-12):
                j += 1
        bins = [bins_of[v] for v in p]
    gaps, shares = [], []
    for b in sorted(set(bins)):
        inside = np.array([v == b for v in bins])
        gaps.append(abs(np.average((p - y)[inside], weights=w[inside])))
        shares.append(w[inside].sum() / w.sum())
    gaps, shares = np.array(gaps), np.array(shares)
    return {"l1": shares @ gaps, "l2": np.sqrt(shares @ gaps**2), "max": gaps.max()}[norm]


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("strategy", ["quantile", "uniform", "unique"])
@pytest.mark.parametrize("n_bins", [1, 2, 7, 10, 15, 50])
def test_calibration_error_by_brute_force(rows, norm, strategy, n_bins):
    y, p, w = rows
    ones = np.ones_like(p)
    settings = {"norm": norm, "strategy": strategy, "n_bins": n_bins, "debias": False}
    expected = brute_force_error(y, p, ones, norm, strategy, n_bins)
    assert calibration_error(y, p, **settings) == pytest.approx(expected, abs=1e-13)
    expected = brute_force_error(y, p, w, norm, strategy, n_bins)
    assert calibration_error(y, p, sample_weight=w, **settings) == pytest.approx(
        expected, abs=1e-13
    )


def test_scores_agree_with_scikit_learn(rows):
    y, p, w = rows
    for weight in (None, w):
        kw = {"sample_weight": weight}
        assert brier_score(y, p, **kw) == pytest.approx(sk.brier_score_loss(y, p, **kw), rel=1e-13)
        assert log_loss(y, p, **kw) == pytest.approx(sk.log_loss(y, p, **kw), rel=1e-12)
        assert roc_auc(y, p, **kw) == pytest.approx(sk.roc_auc_score(y, p, **kw), rel=1e-13)
    q, labels = multiclass_data()
    onehot = np.eye(4)[labels]
    assert brier_score(labels, q) == pytest.approx(((q - onehot) ** 2).sum(axis=1).mean())
    assert log_loss(labels, q) == pytest.approx(sk.log_loss(labels, q), rel=1e-12)
    assert roc_auc(labels, q) == pytest.approx(sk.roc_auc_score(labels, q, multi_class="ovr"))


@pytest.mark.filterwarnings("ignore::calibkit.HardScoresWarning")
def test_skill_is_zero_for_the_base_rate_and_one_for_the_truth(rows):
    y, _, w = rows
    for skill in (brier_skill_score, log_loss_skill_score):
        base = np.full(len(y), np.average(y, weights=w))
        assert skill(y, base, sample_weight=w) == pytest.approx(0, abs=1e-12)
        assert skill(y, y.astype(float)) == pytest.approx(1, abs=1e-12)
        assert skill(y, 1.0 - y) < 0
        with pytest.raises(ValueError, match="one class only"):
            skill(np.ones(5, dtype=int), np.full(5, 0.5))
    _, labels = multiclass_data()
    shares = np.tile(np.bincount(labels) / len(labels), (len(labels), 1))
    assert brier_skill_score(labels, shares) == pytest.approx(0, abs=1e-12)
    assert log_loss_skill_score(labels, shares) == pytest.approx(0, abs=1e-12)
    assert brier_skill_score(labels, np.eye(4)[labels]) == pytest.approx(1)


def test_vector_of_the_code_generation_paper():
    """Ten rows with known Brier score, reference, skill, ECE and AUC (Spiess et al., own run)."""
    p = [0.05, 0.15, 0.15, 0.35, 0.55, 0.62, 0.72, 0.85, 0.95, 1.0]
    y = [0, 0, 1, 0, 1, 0, 1, 1, 1, 1]
    assert brier_score(y, p) == pytest.approx(0.15603, abs=1e-12)
    assert brier_skill_score(y, p) == pytest.approx(0.349875, abs=1e-12)
    assert expected_calibration_error(y, p, n_bins=10) == pytest.approx(0.265, abs=1e-12)
    assert roc_auc(y, p) == pytest.approx(0.8541667, abs=1e-7)


@pytest.mark.parametrize("name", METRICS)
def test_a_table_stands_for_its_rows(rows, name):
    y, p, w = rows
    metric = METRICS[name].function
    for weight in (None, w):
        table = ScoreTable.from_arrays(y, p, weight)
        assert metric(table) == pytest.approx(metric(y, p, sample_weight=weight), rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_merged_chunks_give_the_same_number_bit_for_bit(rows, name):
    y, p, _ = rows
    metric = METRICS[name].function
    parts = np.array_split(np.random.default_rng(0).permutation(len(y)), 8)
    merged = ScoreTable.from_chunks((y[i], p[i]) for i in parts)
    whole = ScoreTable.from_arrays(y, p)
    for column in ("p", "n", "w", "wy", "w2", "w2y", "w2yy"):
        np.testing.assert_array_equal(getattr(merged, column), getattr(whole, column))
    assert metric(merged) == metric(whole)


@pytest.mark.parametrize("name", METRICS)
def test_metrics_do_not_mind_order_labels_shape_or_repetition(rows, name):
    y, p, w = rows
    metric = METRICS[name].function
    expected = metric(y, p)
    order = np.random.default_rng(1).permutation(len(y))
    assert metric(y[order], p[order]) == pytest.approx(expected, rel=1e-12)
    two = np.column_stack((1 - p, p))
    assert metric(y, two) == pytest.approx(expected, rel=1e-12)
    assert metric(y, p[:, None]) == pytest.approx(expected, rel=1e-12)
    for labels in (np.array(["no", "yes"])[y], np.array([-1, 1])[y], y.astype(bool), y + 1.0):
        assert metric(labels, p) == pytest.approx(expected, rel=1e-12)
    assert metric(1 - y, p, pos_label=0) == pytest.approx(expected, rel=1e-12)
    flipped = np.array(["yes", "no"])[y]
    assert metric(flipped, two[:, ::-1], pos_label="no") == pytest.approx(expected, rel=1e-12)
    repeated = metric(np.repeat(y, w.astype(int)), np.repeat(p, w.astype(int)))
    counted = metric(y, p, sample_weight=w, weights="frequency")
    assert counted == pytest.approx(repeated, rel=1e-12)
    if name not in (
        "calibration_error",
        "kernel_calibration_error",
    ):  # debiased: sampling weights tell less than repeated rows
        assert metric(y, p, sample_weight=w) == pytest.approx(repeated, rel=1e-12)
    zero = np.where(np.arange(len(y)) < 300, 1.0, 0.0)
    assert metric(y, p, sample_weight=zero) == pytest.approx(metric(y[:300], p[:300]), rel=1e-12)


@pytest.mark.parametrize("name", ["brier_score", "log_loss", "roc_auc"])
def test_label_flip_symmetry(rows, name):
    y, p, _ = rows
    metric = METRICS[name].function
    assert metric(1 - y, 1 - p) == pytest.approx(metric(y, p), rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_bad_rows_are_refused_by_name(name):
    metric = METRICS[name].function
    p, y = binary_data(50)
    bad = p.copy()
    bad[7] = np.nan
    for labels, scores, words in (
        (y, bad, "y_prob contains NaN .*row 7"),
        (y, np.where(np.isnan(bad), 1.7, p), "1.7 at row 7"),
        (y, p[:-1], "inconsistent"),
        ([], [], "0 sample"),
        (y, None, "y_prob is missing"),
        (np.where(y == 1, "a", "a"), p, "one label only"),
        (p + 1, p, "continuous"),
        (p, y, "they are swapped"),
    ):
        with pytest.raises(ValueError, match=words):
            metric(labels, scores)
    with pytest.raises(ValueError, match="negative"):
        metric(y, p, sample_weight=-np.ones(50))


def test_labels_all_alike_are_fine_where_their_meaning_is_plain():
    p = np.linspace(0, 1, 20)
    for labels in (np.ones(20, dtype=int), np.full(20, True), np.ones(20)):
        assert brier_score(labels, p) == pytest.approx(((1 - p) ** 2).mean())
    for labels in (np.zeros(20, dtype=int), np.full(20, -1)):
        assert brier_score(labels, p) == pytest.approx((p**2).mean())
    assert brier_score(["b"] * 20, p, pos_label="b") == pytest.approx(((1 - p) ** 2).mean())


def test_kinds_of_error_on_k_classes():
    p, y = multiclass_data()
    top, hit = p.max(axis=1), p.argmax(axis=1) == y
    for norm in ("l1", "l2", "max"):
        expected = calibration_error(hit, top, norm=norm)
        assert calibration_error(y, p, norm=norm, kind="top_label") == pytest.approx(expected)
        per_class = np.array([calibration_error(y == k, p[:, k], norm=norm) for k in range(4)])
        rms = np.sqrt((per_class**2).mean())
        joined = {"l1": per_class.mean(), "l2": rms, "max": per_class.max()}
        found = calibration_error(y, p, norm=norm, kind="classwise")
        assert found == pytest.approx(joined[norm])
    assert expected_calibration_error(y, p) == expected_calibration_error(hit, top)
    assert maximum_calibration_error(y, p.tolist()) == maximum_calibration_error(hit, top)
    assert calibration_error(y, p) == calibration_error(hit, top)
    with pytest.raises(ValueError, match=r"4 columns.*top_label.*classwise"):
        calibration_error(y, p, kind="binary")
    binary = np.column_stack((1 - top, top))
    two = calibration_error(hit, binary, kind="top_label", norm="l1")
    flip = np.where(top > 0.5, hit, ~hit)
    assert two == pytest.approx(calibration_error(flip, np.maximum(top, 1 - top), norm="l1"))


def test_a_missing_class_needs_naming():
    p, y = multiclass_data()
    keep = y != 1
    with pytest.raises(ValueError, match=r"classes=\[...\]"):
        log_loss(y[keep], p[keep])
    assert log_loss(y[keep], p[keep], classes=range(4)) > 0


def test_bins_are_checked():
    p, y = binary_data(10)
    with pytest.raises(ValueError, match="n_bins=15 and 10 rows"):
        expected_calibration_error(y, p)
    assert 0 < expected_calibration_error(y, p, n_bins="auto") < 1
    for bad in (0, -1):
        with pytest.raises(ValueError, match="n_bins"):
            calibration_error(y, p, n_bins=bad)
    with pytest.raises(TypeError, match="n_bins"):
        calibration_error(y, p, n_bins=2.5)
    wrong = {"norm": "l3", "strategy": "kmeans", "kind": "joint", "n_bins": "many"}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"{name}='{value}'"):
            calibration_error(y, p, **{"n_bins": 5, name: value})


def test_impossible_forecasts_cost_a_finite_log_loss():
    assert log_loss([1, 0], [0.0, 0.0]) == pytest.approx(sk.log_loss([1, 0], [0.0, 0.0]))


def test_ten_million_rows():
    rng = np.random.default_rng(0)
    p = rng.random(10_000_000)
    y = rng.random(10_000_000) < p**2
    # The gap p - p^2 has mean 1/6 and mean square 1/30; 3 standard errors are below 1e-3.
    assert expected_calibration_error(y, p) == pytest.approx(1 / 6, abs=1e-3)
    assert calibration_error(y, p, n_bins=1000) == pytest.approx(np.sqrt(1 / 30), abs=1e-3)
    cal = calibkit.PlattCalibrator().fit(p, y)
    assert cal.predict_proba(p)[:, 1].mean() == pytest.approx(y.mean(), abs=1e-6)


def test_errors_of_a_table():
    table = ScoreTable.from_arrays([0, 1], [0.2, 0.7])
    with pytest.raises(TypeError):
        table + 1
    with pytest.raises(ValueError, match="the chunks have no rows"):
        ScoreTable.from_chunks([])
    p, y = multiclass_data()
    with pytest.raises(ValueError, match="4 columns"):
        ScoreTable.from_arrays(y, p)
    assert "2 rows" in repr(table)


def test_coarse_table_keeps_sums_and_nearly_the_error():
    rng = np.random.default_rng(0)
    p = rng.beta(0.5, 0.5, size=200_000)
    y = rng.random(200_000) < p**1.2
    table = ScoreTable.from_arrays(y, p)
    coarse = table.coarsen(4096)
    assert len(coarse) < 6000
    for column in ("n", "w", "wy", "w2", "w2y", "w2yy"):
        assert getattr(coarse, column).sum() == getattr(table, column).sum()
    assert coarse.mean_score == pytest.approx(table.mean_score, rel=1e-12)
    assert (np.diff(coarse.p) > 0).all()
    borders = table.borders("uniform", 15)
    kept = table.coarsen(4096, borders=borders)
    for a, b in zip(kept.sums(borders)[:4], table.sums(borders)[:4], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert table.coarsen(10**6) is table


def test_scorers_are_found_by_name():
    assert "neg_expected_calibration_error" in get_scorer_names()
    assert "brier_skill_score" in get_scorer_names()
    with pytest.raises(ValueError, match="neg_brier_score"):
        get_scorer("brier")
    for name in get_scorer_names():
        assert callable(get_scorer(name))


def test_chunks_may_be_empty_and_must_speak_one_language():
    from calibkit import ScoreTable

    whole = ScoreTable.from_arrays([0, 1, 1], [0.2, 0.5, 0.9])
    chunks = [([], []), ([0, 1], [0.2, 0.5]), ([1], [0.4], [0.0]), ([1], [0.9])]
    table = ScoreTable.from_chunks(chunks)
    for column in ("p", "n", "w", "wy"):
        np.testing.assert_array_equal(getattr(table, column), getattr(whole, column))
    with pytest.raises(ValueError, match=r"chunks hold the labels -1, 0, 1;"):
        ScoreTable.from_chunks([([0, 1], [0.2, 0.5]), ([-1, 1], [0.2, 0.5])])
    with pytest.raises(ValueError, match="the chunks have no rows"):
        ScoreTable.from_chunks([([], [])])


def test_equal_mass_bins_do_not_part_scores_that_differ_by_their_last_bit():
    rng = np.random.default_rng(0)
    p = rng.random(60).repeat(5)
    y = (rng.random(300) < p).astype(int)
    table = ScoreTable.from_arrays(y, p)
    for _ in range(5):
        near = np.where(rng.random(300) < 0.5, p, np.nextafter(p, 1))
        other = ScoreTable.from_arrays(y, near)
        for n_bins in (7, 15, "sweep"):
            a, b = table.bins("quantile", n_bins), other.bins("quantile", n_bins)
            np.testing.assert_array_equal(a.n, b.n)
            np.testing.assert_array_equal(a.wy, b.wy)
