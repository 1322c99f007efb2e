"""Adaptive Platt scaling where labels come late: each judges the forecasts of its own time."""

import copy

import numpy as np
import pytest

from calibkit.online import AdaptivePlattCalibrator


@pytest.fixture
def stream():
    rng = np.random.default_rng(0)
    p = rng.random(300)
    return p, (rng.random(300) < np.where(np.arange(300) < 150, p, 1 - p)).astype(int)


def test_labels_resolved_at_once_are_as_learnt(stream):
    p, y = stream
    late = AdaptivePlattCalibrator().partial_fit([], [], classes=[0, 1])
    for i in range(len(p)):
        late.remember([i], p[i : i + 1])
        late.resolve([i], y[i : i + 1])
    prompt = AdaptivePlattCalibrator().partial_fit(p, y)
    np.testing.assert_allclose(late.weights_, prompt.weights_, rtol=0, atol=1e-14)
    np.testing.assert_allclose(late.predict_proba(p), prompt.predict_proba(p), rtol=0, atol=1e-14)
    assert late.n_mixed_ == prompt.n_mixed_ == 300


def test_cutting_what_is_resolved_changes_nothing(stream):
    p, y = stream
    one = AdaptivePlattCalibrator().partial_fit(p, y)
    one.remember(range(300), p)
    many = copy.deepcopy(one)
    one.resolve(range(300), y)
    for i in range(300):
        many.resolve([i], y[i : i + 1])
    np.testing.assert_array_equal(one.weights_, many.weights_)


def test_weights_move_by_what_was_forecast_then_and_less_the_later(stream):
    p, y = stream
    cal = AdaptivePlattCalibrator(discounts=(1.0, 0.9), share=0.0).partial_fit(p, y)
    before, chances = cal.weights_, [c.predict_proba(p[:1])[:, 1] for c in cal.calibrators_]
    cal.remember(["late"], p[:1])
    cal.partial_fit(p[1:4], [None, 0, 1])  # two labels come in between
    between = cal.weights_
    cal.resolve(["late"], [1])
    expected = between * np.concatenate(chances) ** (1 / 3)
    np.testing.assert_allclose(cal.weights_, expected / expected.sum(), rtol=1e-12)
    assert not np.array_equal(before, between)


def test_a_missing_late_label_moves_nothing(stream):
    p, y = stream
    cal = AdaptivePlattCalibrator().partial_fit(p, y)
    weights, n = cal.weights_, cal.n_mixed_
    cal.remember([0, 1], p[:2])
    cal.resolve([0, 1], [None, np.nan])
    np.testing.assert_array_equal(cal.weights_, weights)
    assert cal.n_mixed_ == n
