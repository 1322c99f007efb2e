"""Debiased errors against brute force and against the truth, and intervals against simulation."""

import numpy as np
import pytest
from scipy.stats import norm as normal

from calibkit import ScoreTable, calibration_error, estimate, squared_calibration_error
from calibkit._numerics.binning import BinSums
from calibkit._numerics.debias import squared_error


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    p = np.round(rng.random(300), 2)
    return (rng.random(300) < p**1.5).astype(int), p


def bins_of(p, n_bins):
    return np.array([min(int(v * n_bins + 1e-9), n_bins - 1) for v in p])


def test_pairs_by_brute_force(rows):
    y, p = rows
    d, total = p - y, 0.0
    for b in range(5):
        inside = d[bins_of(p, 5) == b]
        pairs = [u * v for i, u in enumerate(inside) for j, v in enumerate(inside) if i != j]
        total += len(inside) / len(p) * np.mean(pairs)
    found = squared_calibration_error(y, p, strategy="uniform", n_bins=5)
    assert found == pytest.approx(total, abs=1e-14)


def test_label_noise_by_brute_force(rows):
    y, p = rows
    square = size = 0.0
    for b in range(5):
        inside = bins_of(p, 5) == b
        n, share, score = inside.sum(), y[inside].mean(), p[inside].mean()
        gap = score - share
        square += n / len(p) * (gap**2 - share * (1 - share) / (n - 1))
        sd = np.sqrt(share * (1 - share) / n)
        folded = normal.expect(abs, loc=gap, scale=sd)
        size += n / len(p) * (2 * abs(gap) - folded)
    given = {"strategy": "uniform", "n_bins": 5, "debias": "labels"}
    assert squared_calibration_error(y, p, **given) == pytest.approx(square, abs=1e-14)
    assert calibration_error(y, p, norm="l1", **given) == pytest.approx(size, abs=1e-9)


def test_both_corrections_agree_where_a_bin_has_one_score(rows):
    y, p = rows[0], np.round(rows[1], 1)
    one, other = (
        squared_calibration_error(y, p, strategy="unique", debias=noise)
        for noise in ("differences", "labels")
    )
    assert one == pytest.approx(other, abs=1e-14)


@pytest.mark.parametrize("n", [1000, 2000, 10_000])
def test_debiased_squares_are_unbiased(n):
    """Over 10,000 data sets of 100 outputs: bias below 1 % of the plug-in's, and a lower MSE."""
    rng = np.random.default_rng(1)
    value = (np.arange(100) + 0.5) / 100
    truth = np.clip(value + 0.05 * np.sin(np.arange(100)), 0, 1)
    rows = np.full((10_000, 100), n // 100)
    wy = rng.binomial(rows, truth).astype(float)
    w = rows.astype(float)
    found = squared_error(BinSums(rows, w, w * value, wy, w * value**2 + wy * (1 - 2 * value)),
                          "differences")  # fmt: skip
    plug_in = ((value - wy / w) ** 2).mean(axis=1)
    error = np.mean((value - truth) ** 2)
    standard = found.std() / 100  # of the mean of 10,000
    assert abs(found.mean() - error) < max(0.01 * (plug_in.mean() - error), 4 * standard)
    assert abs(found.mean() - error) < 4 * standard
    if n == 2000:
        assert np.mean((plug_in - error) ** 2) > 5 * np.mean((found - error) ** 2)


def test_chunks_weights_and_single_rows(rows):
    y, p = rows
    table = ScoreTable.from_chunks([(y[:100], p[:100]), (y[100:], p[100:])])
    for norm in ("l1", "l2"):
        whole = calibration_error(y, p, norm=norm)
        assert calibration_error(table, norm=norm) == pytest.approx(whole, abs=1e-14)
        w = np.random.default_rng(0).integers(1, 4, size=len(p))
        twice = calibration_error(np.repeat(y, w), np.repeat(p, w), norm=norm)
        counted = calibration_error(y, p, sample_weight=w, weights="frequency", norm=norm)
        assert counted == pytest.approx(twice)
    wrong = np.linspace(0.8, 0.95, 12)
    assert calibration_error(np.zeros(12), wrong, n_bins=12) > 0.8  # a row a bin
    with pytest.raises(ValueError, match="fewer than two rows"):
        calibration_error([0], [0.3], n_bins=1)
    with pytest.raises(ValueError, match="no debiased estimate"):
        calibration_error(y, p, norm="max", debias="labels")


def test_a_sweep_takes_the_most_bins_that_ascend(rows):
    y, p = rows
    n_bins = len(ScoreTable.from_arrays(y, p).borders("uniform", "sweep")) + 1

    def ascends(k):
        shares = [y[bins_of(p, k) == b].mean() for b in range(k) if (bins_of(p, k) == b).any()]
        return (np.diff(shares) >= 0).all()

    assert all(ascends(k) for k in range(1, n_bins + 1))
    assert not ascends(n_bins + 1)
    swept = calibration_error(y, p, strategy="uniform", n_bins="sweep")
    expected = calibration_error(y, p, strategy="uniform", n_bins=n_bins)
    assert swept == pytest.approx(expected, abs=1e-14)
    assert estimate("calibration_error", y, p, n_bins="sweep", random_state=0).params["n_bins"] > 0


LAWS = {"calibrated": lambda p: p, "power": lambda p: p**1.3}


@pytest.mark.long
@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", [200, 3000])
def test_intervals_cover(norm, law, n):
    rng = np.random.default_rng(3)
    grid = (np.arange(200_000) + 0.5) / 200_000
    gaps = np.concatenate(([0.0], np.cumsum(grid - LAWS[law](grid))))
    held, n_repeats = 0, 100
    for seed in range(n_repeats):
        p = rng.random(n)
        table = ScoreTable.from_arrays(rng.random(n) < LAWS[law](p), p, pos_label=True)
        ends = np.concatenate(
            ([0], np.searchsorted(grid, table.borders("quantile", 15)), [200_000])
        )
        size = np.diff(ends) / 200_000
        gap = np.diff(gaps[ends]) / np.diff(ends)
        truth = size @ abs(gap) if norm == "l1" else np.sqrt(size @ gap**2)
        e = estimate("calibration_error", table, norm=norm, n_resamples=200, random_state=seed)
        held += e.low <= truth <= e.high
    # At least nominal within 3 standard errors, less a point for quantiles of 200 draws.
    assert held / n_repeats > 0.9 - 3 * np.sqrt(0.09 / n_repeats) - 0.01


def test_intervals_with_weights_groups_and_classes(rows):
    y, p = rows
    plain = estimate("calibration_error", y, p, n_bins=5, random_state=0)
    w = np.ones(len(y)) * 2.0
    weighted = estimate("calibration_error", y, p, n_bins=5, sample_weight=w, random_state=0)
    assert weighted.high == pytest.approx(plain.high, rel=0.15)
    alone = estimate("calibration_error", y, p, n_bins=5, groups=np.arange(300), random_state=0)
    assert alone.high == pytest.approx(plain.high, rel=0.15)
    five = estimate(
        "calibration_error", np.repeat(y, 5), np.repeat(p, 5), n_bins=5,
        groups=np.repeat(np.arange(300), 5), random_state=0,
    )  # fmt: skip
    assert five.high - five.low == pytest.approx(alone.high - alone.low, rel=0.25)
