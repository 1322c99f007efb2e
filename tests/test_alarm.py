"""The alarm: a martingale to the last bit of arithmetic, silent when it should be, and quick."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from calibkit import CalibrationAlarm, from_dict, to_dict
from calibkit._numerics import betting, jit
from calibkit.online import TrackingCalibrator


def expit(z):
    return 1 / (1 + np.exp(-z))


def calibrated(rng, n, drift=0.0, onset=0):
    z = rng.normal(0, 1.5, n)
    y = rng.random(n) < expit(z + drift * (np.arange(n) >= onset))
    return y.astype(float), expit(z)


# --- the martingale

EXTREME = [0.0, 1e-300, 1e-9, 0.003, 0.3, 0.5, 0.9, 1 - 1e-9, 1.0]


@pytest.mark.parametrize("p", EXTREME)
@pytest.mark.parametrize("delta", [-20.0, -1.3, -0.1, 0.0, 0.1, 1.3, 20.0])
def test_the_mean_factor_of_a_bet_is_one(p, delta):
    yes, r = betting.grow(delta, p, p, p, 0.0, 1.0)
    no, _ = betting.grow(delta, p, p, p, 0.0, 0.0)
    assert_allclose(p * yes + (1 - p) * no, 1.0, rtol=1e-13)
    # What it bets on is r, whose odds are exp(delta) those of p.
    assert_allclose(r * (1 - p), np.exp(delta) * p * (1 - r), rtol=1e-6, atol=1e-8)
    if p > 0:
        assert_allclose(yes, r / p, rtol=1e-13)
    if p < 1:
        assert_allclose(no, (1 - r) / (1 - p), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("p", EXTREME)
@pytest.mark.parametrize("delta", [-20.0, -1.3, -0.1, 0.0, 0.1, 1.3, 20.0])
def test_with_tolerance_the_mean_factor_is_at_most_one(p, delta):
    tolerance = 0.7
    reach = [p * math.exp(t) / (1 - p + p * math.exp(t)) for t in (-tolerance, tolerance)]
    yes, _ = betting.grow(delta, p, *reach, tolerance, 1.0)
    no, _ = betting.grow(delta, p, *reach, tolerance, 0.0)
    for truth in np.linspace(*reach, 11):
        assert truth * yes + (1 - truth) * no <= 1 + 1e-12
    if abs(delta) <= tolerance:
        assert (yes, no) == (1.0, 1.0)


def probability_of(labels, forecasts):
    return math.prod(p if y else 1 - p for y, p in zip(labels, forecasts, strict=True))


def forecasts_from(labels):
    """A forecaster who reacts to the past, to both ends of the scale."""
    z, out = 0.0, []
    for y in labels:
        out.append(float(expit(z)))
        z = float(np.clip(-1.5 * z + (4.0 if y else -3.0), -9.0, 8.0))
    return out


def all_sequences(n, tolerance=0.0, truth=lambda p: p):
    """Sum of probability times e-value over all sequences of n labels."""
    total = mass = 0.0
    for labels in itertools.product([0, 1], repeat=n):
        p = forecasts_from(labels)
        alarm = CalibrationAlarm(tolerance=tolerance, classes=[0, 1])
        alarm.update(np.array(labels), np.array(p))
        chance = probability_of(labels, [truth(v) for v in p])
        mass += chance
        total += chance * alarm.e_value_
    assert_allclose(mass, 1.0)
    return total


def test_the_mean_e_value_is_one_exactly():
    assert_allclose(all_sequences(9), 1.0, rtol=1e-12)


def test_the_mean_e_value_grows_where_forecasts_are_off():
    assert all_sequences(9, truth=lambda p: float(expit(np.log(p / (1 - p)) + 1))) > 1.01


@pytest.mark.parametrize("off", [-0.5, 0.0, 0.5])
def test_with_tolerance_the_mean_e_value_is_at_most_one(off):
    mean = all_sequences(8, 0.5, lambda p: float(expit(np.log(p / (1 - p)) + off)))
    assert mean <= 1 + 1e-12


def test_stakes_are_all_that_cash_loses():
    weights = betting.first_weights()
    assert_allclose(weights.sum(), 1.0)
    assert_allclose(sum(betting.STAKES), 1.0)
    cash = 0.75
    for n in range(1, 5001):
        cash *= 1 - betting.share(float(n))
    assert_allclose(cash, 0.75 / (1 + math.log1p(5000 / 300)))
    # Cash lasts for ever: the log of a billion labels costs little.
    assert betting.share(1e9) > 0


def test_the_e_value_has_a_floor():
    rng = np.random.default_rng(0)
    for kind in range(4):
        y, p = calibrated(rng, 3000)
        p = [p, np.full(3000, 0.5), expit(4 * rng.normal(size=3000)), p**3][kind]
        y = y if kind == 3 else (rng.random(3000) < p).astype(float)
        log_e = CalibrationAlarm().trace(y, p)
        floor = 0.75 / (1 + np.log1p(np.arange(1, 3001) / 300))
        assert (log_e >= np.log(floor) - 1e-9).all()


# --- how often it rings


def share_that_rang(many, n, alpha, drift=0.0, scores=None):
    rang = 0
    for seed in range(many):
        rng = np.random.default_rng([seed, n])
        y, p = calibrated(rng, n, drift)
        if scores is not None:
            p = scores(rng, n)
            y = (rng.random(n) < p).astype(float)
        alarm = CalibrationAlarm(alpha, classes=[0, 1])
        alarm.update(y, p)
        rang += alarm.alarm_
    return rang / many


#: Streams of the gate, and the share that a rate of alpha stays under with probability .999.
MANY, ALPHA = 150, 0.1
GATE = ALPHA + 3.1 * math.sqrt(ALPHA * (1 - ALPHA) / MANY)

SCORES = {
    "normal": None,
    "rare": lambda rng, n: expit(rng.normal(-4, 1.5, n)),
    "near 0 and 1": lambda rng, n: expit(rng.choice([-1.0, 1.0], n) * rng.uniform(0, 25, n)),
    "two values": lambda rng, n: rng.choice([0.1, 0.9], n),
    "certain": lambda rng, n: rng.choice([0.0, 1.0, 0.3], n),
}


@pytest.mark.parametrize("kind", SCORES)
def test_it_seldom_rings_while_forecasts_are_calibrated(kind):
    assert share_that_rang(MANY, 1000, ALPHA, scores=SCORES[kind]) <= GATE


def test_the_gate_sees_what_is_not_calibrated():
    assert share_that_rang(50, 1000, ALPHA, drift=0.5) > 0.9


def test_a_repeated_test_would_not_pass_the_gate():
    rejected = 0
    for seed in range(MANY):
        y, p = calibrated(np.random.default_rng([seed, 1]), 3000)
        gap, var = np.cumsum(y - p)[99:], np.cumsum(p * (1 - p))[99:]
        rejected += bool((np.abs(gap) / np.sqrt(var) > norm.isf(ALPHA / 2)).any())
    assert rejected / MANY > GATE


def delays(many, onset, drift, n_after, **settings):
    out = []
    for seed in range(many):
        rng = np.random.default_rng([seed, onset])
        y, p = calibrated(rng, onset + n_after, drift, onset)
        alarm = CalibrationAlarm(**settings)
        alarm.update(y, p)
        time = alarm.alarm_time_
        if time is None or time > onset:
            out.append(math.inf if time is None else time - onset)
    assert len(out) > 0.8 * many
    return np.median(out)


@pytest.mark.parametrize(
    ("onset", "drift", "at_most"),
    [(0, 1.0, 150), (0, 0.5, 450), (1000, 1.0, 200), (1000, 0.5, 650), (10_000, 1.0, 280)],
)
def test_it_rings_soon_after_a_drift_begins(onset, drift, at_most):
    # Medians of 100 streams in benchmarks/alarm.py are 74, 258, 115, 428, 159.
    assert delays(15, onset, drift, 3 * at_most) <= at_most


def test_tolerance_forgives_what_is_small_and_sees_what_is_not():
    assert share_that_rang(20, 6000, 0.05, drift=0.25) > 0.5
    quiet = [CalibrationAlarm(tolerance=0.3) for _ in range(20)]
    for seed, alarm in enumerate(quiet):
        alarm.update(*calibrated(np.random.default_rng(seed), 6000, 0.25))
    assert sum(a.alarm_ for a in quiet) <= 4  # alpha = .05: more have probability .003
    assert delays(15, 0, 1.0, 1000, tolerance=0.3) <= 300


def test_an_error_in_one_part_of_the_scale_is_found():
    rang = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        p = rng.random(6000)
        truth = np.where((p > 0.4) & (p < 0.6), p - 0.25, p)
        alarm = CalibrationAlarm()
        alarm.update(rng.random(6000) < truth, p)
        rang += alarm.alarm_
    assert rang == 10


# --- as an object


def test_cutting_the_stream_into_calls_changes_nothing():
    y, p = calibrated(np.random.default_rng(0), 1200, 0.4, 600)
    y[::7] = np.nan
    whole = CalibrationAlarm()
    log_e = whole.trace(y, p)
    pieces, single = CalibrationAlarm(), CalibrationAlarm()
    got = [pieces.trace(y[i : i + 97], p[i : i + 97]) for i in range(0, 1200, 97)]
    assert_array_equal(np.concatenate(got), log_e)
    for label, forecast, e in zip(y.tolist(), p.tolist(), np.exp(log_e), strict=True):
        assert_allclose(single.update(label, forecast), e, rtol=1e-12)
    assert to_dict(whole) == to_dict(pieces) == to_dict(single)
    assert whole.alarm_
    assert_array_equal(whole.log_e_value_, log_e[-1])


def test_rows_without_label_are_skipped():
    y, p = calibrated(np.random.default_rng(0), 300)
    gaps = np.where(np.arange(300) % 3 == 0, np.nan, y)
    with_gaps, without = CalibrationAlarm(), CalibrationAlarm()
    log_e = with_gaps.trace(gaps, p)
    without.update(y[np.arange(300) % 3 > 0], p[np.arange(300) % 3 > 0])
    assert to_dict(with_gaps) == to_dict(without)
    assert with_gaps.n_seen_ == 200
    assert log_e[0] == 0.0
    assert (log_e[3::3] == log_e[2:-1:3]).all()
    alarm = CalibrationAlarm()
    assert alarm.update(None, 0.3) == 1.0
    assert alarm.update([], []) == 1.0
    assert (alarm.n_seen_, alarm.classes_) == (0, None)


@pytest.mark.skipif(not jit._available(), reason="numba is not installed")
def test_compiled_and_plain_are_the_same_bits():
    y, p = calibrated(np.random.default_rng(0), 20_000, 0.2)
    p[::50], p[1::50] = 1e-13, 1 - 1e-13
    for tolerance in (0.0, 0.1):
        compiled, plain = CalibrationAlarm(tolerance=tolerance), CalibrationAlarm()
        plain.tolerance = tolerance
        compiled.update(y, p)
        for i in range(0, 20_000, 200):
            plain.update(y[i : i + 200], p[i : i + 200])
        assert to_dict(compiled) == to_dict(plain)


def test_the_time_of_the_alarm_counts_labels_and_stays():
    y, p = calibrated(np.random.default_rng(0), 2000, 1.0, 500)
    y[:100] = np.nan
    alarm = CalibrationAlarm(0.01)
    log_e = alarm.trace(y, p)
    first = int(np.argmax(log_e >= math.log(100)))
    time = alarm.alarm_time_
    assert time == first + 1 - 100
    assert log_e[first - 1] < math.log(100)
    alarm.update(*calibrated(np.random.default_rng(1), 3000))
    assert alarm.alarm_
    assert alarm.alarm_time_ == time
    one = CalibrationAlarm(0.01)
    for label, forecast in zip(y, p, strict=True):
        one.update(label, forecast)
    assert one.alarm_time_ == time
    assert f"alarm at label {time}" in repr(alarm)


def test_e_values_too_large_for_a_float():
    alarm = CalibrationAlarm()
    assert alarm.update(np.ones(5000), np.full(5000, 0.3)) == math.inf
    assert 1000 < alarm.log_e_value_ < math.inf
    alarm.update(np.zeros(5000), np.full(5000, 0.3))
    assert math.isfinite(alarm.log_e_value_)


def test_a_certain_forecast_contradicted_refutes():
    for y, p in ((1, 0.0), (0, 1.0)):
        for rows in (lambda v: v, lambda v: [v]):
            alarm = CalibrationAlarm(1e-9, classes=[0, 1])
            assert alarm.update(rows(y), rows(p)) == math.inf
            assert (alarm.alarm_, alarm.alarm_time_, alarm.log_e_value_) == (True, 1, math.inf)
            assert alarm.update([0, 1] * 50, [0.5] * 100) == math.inf
    alarm = CalibrationAlarm(1e-9)
    log_e = alarm.trace([0, 1, None, 1, 0, 1], [0.0, 1.0, 0.0, 0.0, 0.5, 0.5])
    assert_array_equal(np.isinf(log_e), [False, False, False, True, True, True])
    assert alarm.alarm_time_ == 3


def test_tracking_that_is_smoothed_is_never_refuted():
    y, p = [0, 0, 1] * 20, [0.95, 0.05, 0.95] * 20  # one bin of all zeros at first
    made = [TrackingCalibrator(smoothing=s).predict_then_update(p, y)[:, 1] for s in (0.0, 1.0)]
    values = [CalibrationAlarm().update(y, q) for q in made]
    assert values[0] == math.inf > values[1]


def test_a_certain_forecast_that_comes_true_changes_nothing():
    alarm = CalibrationAlarm(tolerance=0.2)
    alarm.update([0, 1, 0], [0.3, 0.6, 0.2])
    before = alarm.log_e_value_
    alarm.update([0, 1] * 20, [0.0, 1.0] * 20)
    assert_allclose(alarm.log_e_value_, before, atol=1e-12)


def test_classes():
    y, p = calibrated(np.random.default_rng(0), 400)
    plain = CalibrationAlarm().trace(y, p)
    words = np.where(y == 1, "yes", "no")
    for labels in (words, words.tolist(), y.astype(bool), y.astype(int).tolist()):
        assert_array_equal(CalibrationAlarm().trace(labels, p), plain)
    two = np.column_stack((1 - p, p))
    assert_array_equal(CalibrationAlarm().trace(words, two), plain)
    declared = CalibrationAlarm(classes=["no", "yes"])
    for word, forecast in zip(words.tolist(), p, strict=True):
        declared.update(word, forecast)
    assert declared.log_e_value_ == plain[-1]
    with pytest.raises(ValueError, match="first labels are all 'no'"):
        CalibrationAlarm().update("no", 0.3)
    with pytest.raises(ValueError, match="not among the classes"):
        declared.update("maybe", 0.5)


def test_it_goes_on_from_json():
    y, p = calibrated(np.random.default_rng(0), 2000, 0.5, 1000)
    for cut in (0, 1, 700, 1900):
        for classes in (None, ["no", "yes"]):
            labels = y if classes is None else np.array(classes)[y.astype(int)]
            alarm = CalibrationAlarm(0.03, tolerance=0.05, classes=classes)
            alarm.update(labels[:cut], p[:cut])
            again = from_dict(json.loads(json.dumps(to_dict(alarm))))
            assert to_dict(again) == to_dict(alarm)
            assert_array_equal(
                again.trace(labels[cut:], p[cut:]), alarm.trace(labels[cut:], p[cut:])
            )
            assert to_dict(again) == to_dict(alarm)
            assert again.alarm_time_ == alarm.alarm_time_
    refuted = CalibrationAlarm(classes=[0, 1])
    refuted.update(1, 0.0)
    text = json.dumps(to_dict(refuted), allow_nan=False)
    assert from_dict(json.loads(text)).e_value_ == math.inf
    assert to_dict(pickle.loads(pickle.dumps(alarm))) == to_dict(alarm)


def test_a_dict_does_not_share_its_lists():
    alarm = CalibrationAlarm()
    data = to_dict(alarm)
    data["state"]["weights"][0] = data["state"]["maps"][0][0] = 7.0
    assert to_dict(alarm) == to_dict(CalibrationAlarm())
    data = to_dict(alarm)
    kept = copy.deepcopy(data)
    from_dict(data).update([0, 1], [0.2, 0.3])
    assert data == kept


def put(data, path, value):
    *way, last = path
    for key in way:
        data = data[key]
    data[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "calibkit.CalibrationAlarms"),
        (("version",), 2),
        (("version",), True),
        (("alpha",), 0.0),
        (("alpha",), "0.1"),
        (("tolerance",), -1.0),
        (("classes",), [0, 1, 2]),
        (("classes",), [1, 0]),
        (("alarm_time",), 11),
        (("alarm_time",), 0),
        (("alarm_time",), 2.0),
        (("refuted",), 1),
        (("refuted",), True),
        (("extra",), 1),
        (("state",), []),
        (("state", "weights"), [1.0]),
        (("state", "weights"), "abc"),
        (("state", "weights", 0), 5.0),
        (("state", "weights", 1), -0.1),
        (("state", "weights", 1), math.nan),
        (("state", "weights", 1), 10**400),
        (("state", "weights", 1), True),
        (("state", "maps"), [[0.0] * 5]),
        (("state", "maps", 0), [0.0] * 4),
        (("state", "maps", 0, 2), 0.0),
        (("state", "maps", 0, 3), 1e6),
        (("state", "gaps", 1, 3), 50.0),
        (("state", "gaps", 1, -1), 0.0),
        (("state", "gaps", 1), None),
        (("state", "clock"), [0.0]),
        (("state", "clock", 1), -1.0),
        (("state", "clock", 1), 2.5),
        (("state", "clock", 0), math.inf),
    ],
)
def test_a_dict_that_is_wrong_is_refused(path, value):
    alarm = CalibrationAlarm()
    alarm.update([0, 1] * 5, [0.4, 0.6] * 5)
    data = json.loads(json.dumps(to_dict(alarm)))
    from_dict(data)
    put(data, path, value)
    of_header = {
        "format": "format is 'calibkit.CalibrationAlarms'; expected 'calibkit'",
        "version": f"version is {value}; expected 1",
        "extra": "calibration_alarm has unknown keys 'extra'; expected the keys",
    }
    words = of_header.get(path[0], "(the (saved )?state of )?CalibrationAlarm")
    with pytest.raises(ValueError, match=f"^from_dict: {words}"):
        from_dict(data)


def test_a_dict_that_lacks_something_is_refused():
    for data, words in (
        (None, "data is None; expected a dict"),
        ([], "data is a list; expected a dict"),
        ({}, "data lacks 'class'"),
        ({"format": "calibkit.CalibrationAlarm"}, "calibration_alarm lacks 'alarm_time'"),
        ({"class": "calibration_alarm"}, "calibration_alarm lacks 'alarm_time'"),
    ):
        with pytest.raises(ValueError, match=f"^from_dict: {words}"):
            from_dict(data)


def test_bad_settings():
    for alpha in (0.0, 1.0, -1, math.nan):
        with pytest.raises(ValueError, match="CalibrationAlarm: alpha"):
            CalibrationAlarm(alpha)
    with pytest.raises(TypeError, match="alpha='x'"):
        CalibrationAlarm("x")
    with pytest.raises(ValueError, match="tolerance=-1"):
        CalibrationAlarm(tolerance=-1)
    with pytest.raises(ValueError, match="expected two class labels"):
        CalibrationAlarm(classes=[0, 1, 2])


@pytest.mark.parametrize("y", [None, math.nan, pd.NA, pd.NaT])
@pytest.mark.parametrize("first", [[], [0, 1]])
def test_single_rows_without_label_are_skipped(y, first):
    alarm = CalibrationAlarm()
    before = alarm.update(first, [0.2] * len(first))
    assert alarm.update(y, 0.3) == before
    assert alarm.n_seen_ == len(first)


@pytest.mark.parametrize(
    ("y", "p", "words"),
    [
        ([0, 1], [0.2], "p has 1 rows and y has 2"),
        ([0, 1], [0.2, 1.5], r"p holds values outside \[0, 1\] \(1.5 at row 1"),
        (1, 1.5, r"p holds values outside"),
        ([0, 1], [0.2, math.nan], "p contains NaN"),
        (1, math.nan, "p contains NaN"),
        ([0, 2], [0.2, 0.3], "not among the classes"),
        (2, 0.3, "not among the classes"),
        ([0, 0.5], [0.2, 0.3], "."),
        ([0, 1], [[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]], "p has 3 columns"),
        ([0, 1], None, "p is None"),
        ([0, 1], 0.5, "p is 0.5"),
        (0, [0.4], r"y has shape \(\); expected one label per row"),
        (0, True, r"p is True \(bool\)"),
    ],
)
def test_bad_data_leave_it_as_it_was(y, p, words):
    alarm = CalibrationAlarm()
    alarm.update([0, 1, 1], [0.2, 0.3, 0.9])
    before = to_dict(alarm)
    with pytest.raises(ValueError, match=words):
        alarm.update(y, p)
    assert to_dict(alarm) == before


def test_three_classes_are_refused_at_the_start():
    alarm = CalibrationAlarm()
    with pytest.raises(ValueError, match="y holds 3 classes"):
        alarm.update([0, 1, 2], [0.2, 0.3, 0.4])
    assert alarm.classes_ is None


def test_reset_and_input_untouched():
    y, p = calibrated(np.random.default_rng(0), 500, 2.0)
    p.flags.writeable = y.flags.writeable = False
    alarm = CalibrationAlarm(0.2, tolerance=0.1)
    fresh = to_dict(alarm)
    alarm.update(y, p)
    assert alarm.alarm_
    assert to_dict(alarm.reset()) == fresh
