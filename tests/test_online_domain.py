"""Numbers at the ends of their domain: whatever a stream brings, forecasts are probabilities."""

import numpy as np
import pytest
from sklearn.base import clone

from calibkit import CalibrationAlarm, IdentityCalibrator, from_dict, prequential_errors, to_dict
from calibkit.online import (
    AdaptivePlattCalibrator,
    HedgingCalibrator,
    MultiStreamCalibrator,
    OnlineBetaCalibrator,
    OnlinePlattCalibrator,
    OnlineTemperatureCalibrator,
    TrackingCalibrator,
    WindowedCalibrator,
)

BELOW = float(np.nextafter(1.0, 0.0))
SCORES = {
    "probability": [
        [5e-324, BELOW, 0.0, 1.0, 0.5, 1e-320, 1e-12, 1 - 1e-12],
        [0.5] * 8,
        [0.0, 1.0] * 4,
    ],
    "logit": [
        [1e100, -1e100, 1e-320, -5e-324, 0.0, -0.0, 710.0, -746.0],
        [1e-320] * 8,
        [1e-320, -1e-320] * 4,
        [1e99, -1e99] * 4,
    ],
}
LABELS = [[0, 1] * 4, [1] * 8, [0] * 8, [None, 1, 1, 0, 0, 1, 0, 1]]
#: Steps that are huge or nothing, priors and balls of any size, memories of nothing.
STEPS = [
    {"gamma": g, "prior_strength": s, "radius": r, "discount": d}
    for g, s, r, d in [
        (1e-12, 1e-12, 1e12, 1.0),
        (1e-9, 1e-12, 1e12, 5e-324),
        (1e12, 1e12, 1e-12, 1e-300),
        (0.1, 1e-9, 1.0, BELOW),
        (100.0, 1e-12, 1e-12, 5e-324),
    ]
]


def makers(scale):
    for steps in STEPS:
        yield OnlinePlattCalibrator(scale=scale, **steps)
        yield OnlineBetaCalibrator(scale=scale, **steps)
        yield MultiStreamCalibrator(scale=scale, **steps)
        del (steps := steps.copy())["discount"]
        yield OnlineTemperatureCalibrator(scale=scale, **{**steps, "radius": 1e12})
        for share in (0.0, 5e-324, 0.5):
            discounts = (1.0, 1e-300, 0.5, BELOW)
            yield AdaptivePlattCalibrator(discounts=discounts, share=share, scale=scale, **steps)
    for eps in (1e-15, 0.1):
        yield OnlinePlattCalibrator(eps=eps, scale=scale)
        yield OnlineBetaCalibrator(eps=eps, scale=scale)
        yield OnlineTemperatureCalibrator(eps=eps, scale=scale)
    wild = OnlinePlattCalibrator(gamma=1e-12, scale=scale)
    for smoothing in (0.0, 5e-324, 1e12):
        yield TrackingCalibrator(wild, smoothing=smoothing, n_bins=300)
    yield HedgingCalibrator(wild, n_bins=20, random_state=0)
    yield WindowedCalibrator(IdentityCalibrator(scale=scale), window=2, refit_every=1)


def of_streams(cal, x, y):
    streams = np.arange(8) % 3
    yield cal.predict_then_update(x, y, streams)
    cal.partial_fit(x, y, streams)
    yield cal.forecast(range(8), x, streams)
    cal.label(range(8), y)
    yield cal.predict_proba(x, streams)


def of_stream(cal, x, y):
    yield cal.predict_then_update(x, y)
    cal.partial_fit(x, y)
    yield cal.forecast(range(8), x)
    cal.label(range(8), y)
    for score, label in zip(x, y, strict=True):
        cal.learn_one(score, label)
        yield [[1.0 - cal.predict_proba_one(score), cal.predict_proba_one(score)]]
    yield cal.predict_proba(x)
    if hasattr(cal, "expected_proba"):
        yield cal.expected_proba(x)


@pytest.mark.parametrize("scale", SCORES)
def test_forecasts_are_probabilities(scale):
    for i, example in enumerate(makers(scale)):
        # Each meets some of the streams, all of them are met many times.
        for x, y in [(x, y) for x in SCORES[scale] for y in LABELS][i % 6 :: 6]:
            cal = clone(example).set_params(classes=[0, 1])
            taken = of_streams if isinstance(cal, MultiStreamCalibrator) else of_stream
            q = np.vstack(list(taken(cal, x, y)))
            assert np.isfinite(q).all(), cal
            assert ((q >= 0) & (q <= 1)).all(), cal
            assert to_dict(from_dict(to_dict(cal))) == to_dict(cal)


@pytest.mark.parametrize(
    ("call", "most"),
    [
        (TrackingCalibrator(n_bins=10**9).partial_fit, 1_000_000),
        (HedgingCalibrator(n_bins=10**9).partial_fit, 1_000),
        (lambda p, y: prequential_errors(y, p, n_bins=10**9), 10_000),
    ],
    ids=["tracking", "hedging", "prequential_errors"],
)
def test_more_bins_than_memory_holds_are_refused(call, most):
    with pytest.raises(ValueError, match=f"n_bins=.*at most {most}"):
        call([0.2, 0.4], [0, 1])


def test_alarm_and_errors():
    rng = np.random.default_rng(0)
    ends = np.array([5e-324, 1e-300, 1e-12, 0.5, BELOW, 1e-5, 0.999])
    for tolerance in (0.0, 5e-324, 1.0, 20.0):
        for alpha in (5e-324, BELOW):
            p = rng.choice(ends, size=40)
            y = (rng.random(40) < rng.choice([0.0, 0.5, 1.0])).astype(int)
            alarm, one = (CalibrationAlarm(alpha, tolerance=tolerance) for _ in "ab")
            log_e = alarm.trace([0, 1, *y], [0.4, 0.4, *p])
            for label, forecast in zip([0, 1, *y.tolist()], [0.4, 0.4, *p.tolist()], strict=True):
                one.update(label, forecast)
            assert not np.isnan(log_e).any()
            assert one.log_e_value_ == pytest.approx(alarm.log_e_value_, rel=1e-9)
            found = prequential_errors(y, p, window=3)
            for part in (found, found.sliding):
                for name in ("calibration_error", "chance", "sharpness", "brier"):
                    assert ((getattr(part, name) >= 0) & (getattr(part, name) <= 1)).all()
                assert (np.isfinite(part.log_loss) & (part.log_loss >= 0)).all()
