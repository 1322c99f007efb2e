"""Errors over time: against the same errors computed afresh at every time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calibkit import (
    Prequential,
    brier_score,
    expected_calibration_error,
    log_loss,
    prequential_errors,
)


def stream(n=700, seed=0, missing=0.2):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.6, 0.9, n)
    p[::37], p[5::41], p[::29] = 0.0, 1.0, 0.3  # ends and a border
    y = (rng.random(n) < 0.1 + 0.7 * p).astype(float)
    y[rng.random(n) < missing] = np.nan
    return y, p


def afresh(y, p, first, last, n_bins):
    """n, calibration error, sharpness, Brier score, log loss, chance: in the plainest way."""
    y, p = y[first:last], p[first:last]
    y, p = y[~np.isnan(y)], p[~np.isnan(y)]
    if len(y) == 0:
        return (0, *[np.nan] * 5)
    error = sharp = chance = 0.0
    for b in range(n_bins):
        upper = p <= 1 if b == n_bins - 1 else p < (b + 1) / n_bins
        inside = (p >= b / n_bins) & upper
        if inside.any():
            share = inside.mean()
            error += share * abs(p[inside].mean() - y[inside].mean())
            sharp += share * y[inside].mean() ** 2
            noise = np.sqrt((p[inside] * (1 - p[inside])).sum())
            chance += np.sqrt(2 / np.pi) * noise / len(y)
    own = np.where(y == 1, p, 1 - p).clip(np.finfo(float).eps)
    return len(y), error, sharp, ((p - y) ** 2).mean(), -np.log(own).mean(), chance


def numbers(report):
    fields = ("n", "calibration_error", "sharpness", "brier", "log_loss", "chance")
    return np.array([getattr(report, f) for f in fields]).T


@pytest.mark.parametrize("n_bins", [1, 7, 10])
@pytest.mark.parametrize(("start", "window"), [(0, None), (0, 50), (120, 1), (120, 10_000)])
def test_every_time_equals_the_errors_computed_afresh(n_bins, start, window):
    y, p = stream(missing=0.2 if window != 1 else 0.0)
    times = np.array([start + 1, start + 2, 200, 333, 699, 700])
    report = prequential_errors(y, p, times=times, start=start, window=window, n_bins=n_bins)
    assert_array_equal(report.time, times)
    expected = [afresh(y, p, start, t, n_bins) for t in times]
    assert_allclose(numbers(report), expected, rtol=1e-11, atol=1e-13)
    if window is None:
        assert report.sliding is None
        return
    assert (report.window, report.sliding.window) == (None, window)
    assert_array_equal(report.sliding.time, times)
    expected = [afresh(y, p, max(start, t - window), t, n_bins) for t in times]
    assert_allclose(numbers(report.sliding), expected, rtol=1e-11, atol=1e-13)


def test_every_row_is_as_good_as_a_few_times():
    y, p = stream(300)
    every = prequential_errors(y, p, times=np.arange(1, 301), window=40)
    few = prequential_errors(y, p, times=[7, 150, 300], window=40)
    for full, part in ((every, few), (every.sliding, few.sliding)):
        assert_allclose(numbers(full)[[6, 149, 299]], numbers(part), rtol=1e-12, atol=1e-14)


def test_the_last_value_is_that_of_the_metrics():
    y, p = stream(missing=0.0)
    report = prequential_errors(y, p, n_bins=13)
    assert report.time[-1] == len(y)
    ece = expected_calibration_error(y, p, strategy="uniform", n_bins=13)
    assert_allclose(report.calibration_error[-1], ece)
    assert_allclose(report.brier[-1], brier_score(y, p))
    assert_allclose(report.log_loss[-1], log_loss(y, p))


def test_sharpness_lies_between_its_bounds_and_is_the_refinement():
    y, p = stream(missing=0.0)
    report = prequential_errors(y, p, times=[100, 400, 700])
    for t, sharp in zip(report.time, report.sharpness, strict=True):
        mean = y[:t].mean()
        assert mean**2 <= sharp <= mean
    # Forecasts that are the mean of their own bin have the Brier score mean - sharpness.
    bins = np.minimum((p * 10).astype(int), 9)
    means = np.array([y[bins == b].mean() for b in range(10)])
    refined = brier_score(y, means[bins])
    assert_allclose(report.sharpness[-1], y.mean() - refined, rtol=1e-9)


def test_chance_is_what_calibrated_forecasts_show():
    rng = np.random.default_rng(1)
    found, said = [], []
    for _ in range(300):
        p = rng.random(1000)
        report = prequential_errors(rng.random(1000) < p, p, times=[1000])
        found.append(report.calibration_error[0])
        said.append(report.chance[0])
    error = np.std(found) / np.sqrt(300)
    # A sum of 100 differences a bin is normal to well within a per cent.
    assert abs(np.mean(found) - np.mean(said)) < 3 * error + 0.01 * np.mean(said)


def test_times_are_even_by_default():
    y, p = stream(700)
    report = prequential_errors(y, p, start=100)
    assert len(report.time) == 200
    assert (report.time[0], report.time[-1]) == (103, 700)
    assert set(np.diff(report.time)) == {3}
    assert len(prequential_errors(y[:30], p[:30]).time) == 30


def test_a_window_without_labels_is_nan():
    y = np.array([0.0, 1.0, np.nan, np.nan, 1.0])
    report = prequential_errors(y, np.full(5, 0.5), times=[2, 4, 5], window=2)
    assert report.sliding.n.tolist() == [2, 0, 1]
    for values in numbers(report.sliding).T[1:]:
        assert np.isnan(values).tolist() == [False, True, False]
    assert np.isfinite(numbers(report)).all()


def test_labels_of_any_kind():
    y, p = stream(200, missing=0.0)
    plain = numbers(prequential_errors(y, p))
    words = np.where(y == 1, "yes", "no")
    assert_array_equal(numbers(prequential_errors(words, p)), plain)
    assert_array_equal(numbers(prequential_errors(y.astype(bool).tolist(), p.tolist())), plain)
    two = np.column_stack((1 - p, p))
    assert_array_equal(numbers(prequential_errors(words, two)), plain)
    flipped = prequential_errors(words, 1 - p, pos_label="no")
    assert_allclose(flipped.brier, plain[:, 3], rtol=1e-12)
    holes = [None if i % 3 == 0 else w for i, w in enumerate(words.tolist())]
    gaps = np.where(np.arange(200) % 3 == 0, np.nan, y)
    with_none = prequential_errors(holes, two, times=[50, 200])
    assert_array_equal(numbers(with_none), numbers(prequential_errors(gaps, p, times=[50, 200])))


def test_one_label_only_and_classes():
    assert prequential_errors([1, 1], [0.9, 0.9], times=[2]).sharpness[0] == 1.0
    with pytest.raises(ValueError, match="y_true holds one label only"):
        prequential_errors(["a", "a"], [0.9, 0.9])
    report = prequential_errors(["a", None], [0.9, 0.9], classes=["a", "b"], times=[2])
    assert_allclose(report.brier, 0.81)


def test_top_label():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1.0, 1.0, 1.0], 400)
    y = rng.integers(0, 3, 400)
    report = prequential_errors(y, p, window=100)
    right = (p.argmax(axis=1) == y).astype(int)
    assert_allclose(numbers(report), numbers(prequential_errors(right, p.max(axis=1))))
    with pytest.raises(ValueError, match=r"3 columns.*'top_label'") as caught:
        prequential_errors(y, p, kind="binary")
    assert "classwise" not in str(caught.value)  # what is advised is taken


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"times": []}, "times has shape"),
        ({"times": [1.5, 3.0]}, "dtype float64"),
        ({"times": [3, 3]}, "times go from 3 to 3"),
        ({"times": [0, 5]}, "above start=0, at most 10"),
        ({"times": [5, 11]}, "at most 10"),
        ({"times": [2, 5], "start": 2}, "above start=2"),
        ({"start": 10}, "start=10, but there are 10 rows"),
        ({"start": -1}, "start=-1"),
        ({"window": 0}, "window=0"),
        ({"window": 10**30}, "expected an int of at most"),
        ({"n_bins": 0}, "n_bins=0"),
        ({"kind": "classwise"}, "expected one of 'binary', 'top_label'"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        prequential_errors([0, 1] * 5, [0.2, 0.7] * 5, **settings)


def test_bad_data():
    with pytest.raises(ValueError, match="y_true holds no label"):
        prequential_errors([None, None], [0.1, 0.2])
    with pytest.raises(ValueError, match="y_prob has 3 rows and y_true has 2"):
        prequential_errors([0, None], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"1\.5 at row 2"):
        prequential_errors([0, None, None], [0.1, 0.2, 1.5])
    with pytest.raises(TypeError, match=r"window=2\.5"):
        prequential_errors([0, 1], [0.1, 0.2], window=2.5)


def test_a_report_can_not_be_changed_and_input_stays():
    y, p = stream(100)
    before = y.copy(), p.copy()
    report = prequential_errors(y, p, window=10)
    assert isinstance(report.sliding, Prequential)
    assert_array_equal(y, before[0])
    assert_array_equal(p, before[1])
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.n = None
