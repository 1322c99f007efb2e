"""Labels that come late or in batches: each judges the forecasts of its own time."""

import copy
import json
from typing import ClassVar

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from calibkit import to_dict
from calibkit.online import (
    AdaptivePlattCalibrator,
    HedgingCalibrator,
    OnlineCalibratedClassifier,
    TrackingCalibrator,
)
from calibkit.online._base import OnlineCalibrator
from calibkit.online._calls import Call, repeat


@pytest.fixture
def stream():
    rng = np.random.default_rng(0)
    p = rng.random(300)
    return p, (rng.random(300) < np.where(np.arange(300) < 150, p, 1 - p)).astype(int)


def test_labels_resolved_at_once_are_as_learnt(stream):
    p, y = stream
    late = AdaptivePlattCalibrator().partial_fit([], [], classes=[0, 1])
    for i in range(len(p)):
        late.forecast([i], p[i : i + 1])
        late.label([i], y[i : i + 1])
    prompt = AdaptivePlattCalibrator().partial_fit(p, y)
    np.testing.assert_allclose(late.weights_, prompt.weights_, rtol=0, atol=1e-14)
    np.testing.assert_allclose(late.predict_proba(p), prompt.predict_proba(p), rtol=0, atol=1e-14)
    assert late.n_mixed_ == prompt.n_mixed_ == 300


def test_rows_of_one_call_count_alike(stream):
    """Neither the last rows of a batch nor the first have more to say of the weights."""
    p, y = stream
    cal = AdaptivePlattCalibrator(discounts=(1.0, 0.9), share=0.0).partial_fit(p, y)
    q = np.column_stack([c.predict_proba(p)[:, 1] for c in cal.calibrators_])
    means = np.log(np.where(y[:, None] == 1, q, 1 - q)).mean(axis=0)
    expected = cal.weights_ * np.exp(means)
    expected /= expected.sum()
    twin, turned = copy.deepcopy(cal), copy.deepcopy(cal)
    cal.forecast(range(300), p)
    cal.label(range(300), y)
    np.testing.assert_allclose(cal.weights_, expected, rtol=1e-12)
    np.testing.assert_array_equal(twin.partial_fit(p, y).weights_, cal.weights_)
    turned.forecast(range(300), p)
    turned.label(range(300)[::-1], y[::-1])
    np.testing.assert_allclose(turned.weights_, expected, rtol=1e-12)
    assert cal.n_mixed_ == 600


def test_weights_move_by_what_was_forecast_then_and_less_the_later(stream):
    p, y = stream
    cal = AdaptivePlattCalibrator(discounts=(1.0, 0.9), share=0.0).partial_fit(p, y)
    before, chances = cal.weights_, [c.predict_proba(p[:1])[:, 1] for c in cal.calibrators_]
    cal.forecast(["late"], p[:1])
    cal.partial_fit(p[1:4], [None, 0, 1])  # two labels come in between
    between = cal.weights_
    cal.label(["late"], [1])
    expected = between * np.concatenate(chances) ** (1 / 3)
    np.testing.assert_allclose(cal.weights_, expected / expected.sum(), rtol=1e-12)
    assert not np.array_equal(before, between)


def test_a_missing_late_label_moves_nothing(stream):
    p, y = stream
    cal = AdaptivePlattCalibrator().partial_fit(p, y)
    weights, n = cal.weights_, cal.n_mixed_
    cal.forecast([0, 1], p[:2])
    cal.label([0, 1], [None, np.nan])
    np.testing.assert_array_equal(cal.weights_, weights)
    assert cal.n_mixed_ == n


# -- batches --------------------------------------------------------------------------------


def drift(rho, size, n=40_000, seed=0):
    """Log-odds whose intercept is an AR(1) process of this spread."""
    rng = np.random.default_rng(seed)
    shift, steps = np.zeros(n), size * np.sqrt(1 - rho**2) * rng.normal(size=n)
    for t in range(1, n):
        shift[t] = rho * shift[t - 1] + steps[t]
    z = rng.normal(size=n) / 2
    return z, (rng.random(n) < 1 / (1 + np.exp(-z - shift))).astype(int)


def habit(cal, x, y, rows):
    """What scikit-learn's users do with a batch."""
    q = cal.predict_proba(x[rows])[:, 1]
    cal.partial_fit(x[rows], y[rows])
    return q


def by_id(cal, x, y, rows):
    q = cal.forecast(rows, x[rows])[:, 1]
    cal.label(rows, y[rows])
    return q


@pytest.mark.parametrize("take", [habit, by_id])
@pytest.mark.parametrize(("size", "rho", "spread"), [(48, 0.95, 4), (336, 0.99, 3)])
def test_batches_cost_little_against_the_best_expert(size, rho, spread, take):
    """Log loss is mixable: m mixtures that take turns lose m log K together, and the share."""
    x, y = drift(rho, spread)
    cal = AdaptivePlattCalibrator(scale="logit").partial_fit([], [], classes=[0, 1])
    experts, mixed = [], []
    for rows in np.split(np.arange(len(y)), range(size, len(y), size)):
        # Those of the same discounts that learn the same batches alone are in the same state.
        experts.append([c.predict_proba(x[rows])[:, 1] for c in cal.calibrators_])
        mixed.append(take(cal, x, y, rows))
    q = np.vstack((np.hstack(experts), np.hstack(mixed)))
    *each, loss = -np.log(np.where(y == 1, q, 1 - q)).mean(axis=1)
    assert loss < min(each) + 0.002 + size / len(y) * np.log(len(each))


class Forecaster(OnlineCalibrator):
    """Forecasts one half before its first label, and the last label for ever after."""

    _state: ClassVar = {**OnlineCalibrator._state, "last_": "float"}

    def _start(self, n_classes):
        self.last_ = 0.5

    def _features(self, s):
        return s.values[:, None]

    def _forecast(self, x):
        return np.full(len(x), self.last_)

    def _stream(self, x, y):
        values = np.append(self.last_, y)
        self.last_ = float(values[-1])
        return values[:-1]


@pytest.mark.parametrize("take", [habit, by_id])
def test_bins_repair_what_was_forecast(take):
    """A batch of labels goes to the bin of the forecasts that were made, not to those that its
    first rows would have made for the last."""
    y = np.array([1, 0, 1, 0, 1, 1])
    x, rows = np.full(6, 0.5), np.arange(6)
    tracking = TrackingCalibrator(Forecaster(), classes=[0, 1]).partial_fit([], [])
    hedging = HedgingCalibrator(Forecaster(), random_state=0, classes=[0, 1]).partial_fit([], [])
    for cal in (tracking, hedging):
        take(cal, x, y, rows)
    assert np.flatnonzero(tracking.count_).tolist() == [4]  # .5 is in (.4, .5]
    assert tracking.total_[4] == 4
    assert hedging.count_[44] == 6


def test_classifier_learns_batches_as_its_calibrator_does():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2))
    y = (rng.random(600) < 1 / (1 + np.exp(-X[:, 0]))).astype(int)
    raw = LogisticRegression().fit(X[:100], y[:100])
    model = OnlineCalibratedClassifier(raw, "adaptive_platt")
    alone = AdaptivePlattCalibrator(scale="logit", classes=[0, 1])
    for rows in np.split(np.arange(100, 600), [150, 151, 300]):
        z = raw.decision_function(X[rows])
        model.partial_fit(X[rows], y[rows])
        alone.partial_fit(z, y[rows])
        np.testing.assert_array_equal(model.calibrator_.weights_, alone.weights_)


def test_calls_of_old_journals_are_learnt_row_by_row(stream):
    """What was written before batches meant anything comes back as it was acknowledged."""
    p, y = stream
    now, then = (TrackingCalibrator(AdaptivePlattCalibrator()).partial_fit(p, y) for _ in "ab")
    ids, codes = json.dumps([5, 6, 7]).encode(), y[:3].astype(np.int8).tobytes()
    repeat(now, Call(0, 50, p[:50].tobytes(), y[:50].astype(np.int8).tobytes()))
    then.predict_then_update(p[:50], y[:50])
    for cal in (now, then):
        cal.forecast([5, 6, 7], p[:3])
    repeat(now, Call(3, 3, b"", codes, ids))
    for key, label in zip((5, 6, 7), y[:3], strict=True):
        then.label([key], [label])
    assert to_dict(now) == to_dict(then)
