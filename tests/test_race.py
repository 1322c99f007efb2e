"""ComparisonAlarm: bets that can't win on average, intervals that cover, and rows that it takes."""

from __future__ import annotations

import itertools
import json
import math
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import brentq
from scipy.special import expit, logsumexp
from scipy.stats import norm

from benchmarks.race import METRICS, NULLS, expected, made, share_of_failures, turns
from calibkit import ComparisonAlarm, from_dict, to_dict
from calibkit._numerics import mean_bets as bets

# --- the bets


@pytest.mark.parametrize("possible", [(-1, 1), (-0.3, 0.01), (0.2, 0.9), (-6.9, 0.5, 3), (0, 0)])
def test_no_bet_wins_more_than_the_mean_allows(possible):
    d = np.array(possible, dtype=float)
    low, high = np.full(len(d), d.min()), np.full(len(d), d.max())
    factors = np.exp(bets.log_factors(d, low, high))
    for chance in np.random.default_rng(0).dirichlet(np.full(len(d), 0.3), 50):
        assert (chance @ factors <= np.exp(bets.STAKES * (chance @ d)) * (1 + 1e-12)).all()
    assert (factors <= np.exp(bets.STAKES * d[:, None]) * (1 + 1e-12)).all()
    plain = np.maximum(-bets.STAKES * d.min(), -bets.STAKES * d.max()) <= bets.MOST_LOST
    assert_allclose(factors[:, plain], 1 + d[:, None] * bets.STAKES[plain])


@pytest.mark.parametrize("metric", ["brier_score", "log_loss"])
def test_the_mean_wealth_is_at_most_one_over_all_sequences(metric):
    mean = 0.0
    for labels in itertools.product([0, 1], repeat=8):
        alarm = made(metric, classes=[0, 1])
        z = [0.0]
        for y in labels:  # models and truth react to the past
            z.append(float(np.clip(-1.5 * z[-1] + (2.0 if y else -1.5), -3, 3)))
        pi, p, q = (expit(np.array(v[:8])) for v in (z, [0.7 * v for v in z], [1.3 * v for v in z]))
        alarm.update(labels, p, q)
        total = expected(alarm, pi, p, q).sum()
        chance = np.where(labels, pi, 1 - pi).prod()
        mean += chance * np.exp(bets.log_wealth(alarm._state.logs, total))
    assert 0.6 < mean <= 1 + 1e-12


def stream(seed, n, noise=0.5, shift=0.0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    y = (rng.random(n) < expit(z)).astype(int)
    return y, expit(z + shift + noise * rng.normal(size=n)), expit(z)


@pytest.mark.parametrize("metric", ["brier_score", "log_loss"])
def test_interval_and_evidence_by_brute_force(metric):
    y, p, q = stream(0, 300, 1.5)
    alarm = made(metric, alpha=0.1)
    alarm.update(y, p, q)

    def loss(r, label):
        if metric == "brier_score":
            return (r - label) ** 2
        return -math.log(min(max(r if label else 1 - r, 0.01), 0.99))

    sizes = [2.0**k for k in range(-10, 6)]
    shares = {s: 1 / (2 + abs(math.log2(abs(s)))) ** 2 for s in [*sizes, *(-s for s in sizes)]}
    logs = dict.fromkeys(shares, 0.0)
    d = []
    for label, a, b in zip(y, p, q, strict=True):
        both = [loss(a, k) - loss(b, k) for k in (0, 1)]
        d.append(both[label])
        for s in shares:
            c = min(0.0, min(s * v for v in both) + 0.75) / s
            logs[s] += s * c + math.log(1 + s * (d[-1] - c))

    def log_e(mean, signs=(-1, 1)):
        own = [s for s in shares if np.sign(s) in signs]
        terms = [logs[s] - s * mean * len(d) for s in own]
        return logsumexp(terms, b=[shares[s] for s in own]) - math.log(sum(shares[s] for s in own))

    middle = np.mean(d)
    low, high = (brentq(lambda m: log_e(m) - math.log(10), middle, end) for end in (-1, 1))
    assert_allclose(alarm.difference_, middle)
    assert_allclose((alarm.low_, alarm.high_), (low, high), rtol=1e-9)
    assert_allclose(alarm.log_e_value_, log_e(0), rtol=1e-9)
    values = alarm.log_e_values_
    assert_allclose((values["first"], values["second"]), (log_e(0, (-1,)), log_e(0, (1,))))
    assert_allclose(alarm.e_value_, np.mean(np.exp([*values.values()])))
    assert (alarm.better_, alarm.alarm_) == ("second", True)
    early, time = made(metric, alpha=0.1), alarm.alarm_time_
    early.update(y[: time - 1], p[: time - 1], q[: time - 1])
    assert (early.low_ < 0, early.better_, early.alarm_) == (True, None, False)
    early.update(int(y[time - 1]), p[time - 1], q[time - 1])
    assert (early.low_ > 0, early.better_, early.alarm_time_) == (True, "second", time)


# --- how often it is wrong, and how soon it is right


ALPHA = 0.1


def check_coverage(draw, metric, many, n):
    share = share_of_failures(draw, metric, many, n, ALPHA)
    assert share <= ALPHA + 3.1 * math.sqrt(ALPHA * (1 - ALPHA) / many), share


@pytest.mark.parametrize("draw", NULLS.values(), ids=NULLS)
def test_the_interval_covers_the_running_mean_at_all_times(draw):
    for metric in METRICS:
        check_coverage(draw, metric, 25, 1500)


@pytest.mark.long
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("draw", NULLS.values(), ids=NULLS)
def test_the_interval_covers_in_many_long_streams(draw, metric):
    check_coverage(draw, metric, 1000, 10_000)


def test_equally_good_models_that_take_turns_raise_no_alarm():
    alarms = adaptive = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        pi, q, p = turns(1)(rng, 2000)  # the first row is worse for "second"
        y = (rng.random(2000) < pi).astype(int)
        alarm = ComparisonAlarm()
        alarm.update(y, p, q)
        alarms += alarm.alarm_
        # A stake that follows the turns: the running mean of d is never below 0.
        d = (p - y) ** 2 - (q - y) ** 2
        stake = 0.5 * np.where(np.arange(2000) % 2 == 0, 1, -1)
        adaptive += np.cumsum(np.log1p(stake * d)).max() >= math.log(20)
    assert alarms <= 5  # more have probability .003
    assert adaptive == 30


@pytest.mark.parametrize("metric", METRICS)
def test_it_needs_few_more_rows_than_one_test(metric):
    times, d = [], []
    for seed in range(40):
        y, p, q = stream(seed, 4000)
        alarm = made(metric)
        alarm.update(y, p, q)
        times.append(alarm.alarm_time_ if alarm.better_ == "second" else math.inf)
        d.append(expected(alarm, y, p, q))
    once = ((norm.isf(0.025) + norm.ppf(0.8)) * np.std(d) / np.mean(d)) ** 2
    assert np.quantile(times, 0.8) < 2.6 * once


def test_it_says_when_the_first_is_better_and_when_this_ends():
    y, p, q = stream(0, 6000, 1.0)
    alarm = ComparisonAlarm()
    alarm.update(y[:2000], q[:2000], p[:2000])
    time = alarm.alarm_time_
    assert (alarm.better_, alarm.high_ < 0) == ("first", True)
    alarm.update(y[2000:4000], p[2000:4000], q[2000:4000])
    assert (alarm.better_, alarm.alarm_, alarm.alarm_time_) == (None, True, time)
    assert alarm.low_ < 0 < alarm.high_
    assert f"alarm at label {time}" in repr(alarm)


# --- as an object


def several(n):
    rng = np.random.default_rng(5)
    q = rng.dirichlet([1, 1, 1], n)
    y = np.array(["a", "b", "c"])[(rng.random(n)[:, None] > np.cumsum(q, axis=1)).sum(axis=1)]
    return y, 0.5 * q + 1 / 6, q


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("metric", METRICS)
def test_cutting_the_stream_into_calls_changes_nothing(metric, k):
    y, p, q = stream(1, 5000) if k == 2 else several(5000)
    whole, pieces, single = (made(metric, classes=np.unique(y).tolist()) for _ in "abc")
    whole.update(y, p, q)
    for i in range(0, 5000, 97):
        pieces.update(y[i : i + 97], p[i : i + 97], q[i : i + 97])
    for row in zip(y[:300].tolist(), p.tolist(), q.tolist(), strict=False):
        single.update(*row)
    single = from_dict(json.loads(json.dumps(to_dict(single))))
    single = pickle.loads(pickle.dumps(single))
    single.update(y[300:], p[300:], q[300:])
    for other in (pieces, single):
        assert other.alarm_time_ == whole.alarm_time_ is not None
        assert_allclose(other._state.logs, whole._state.logs, rtol=1e-12, atol=1e-12)
        assert_allclose(other._state.total, whole._state.total, rtol=1e-12)
    # By hand: for K classes the Brier score is the sum over all classes.
    at = np.searchsorted(np.unique(y), y)
    hot = np.eye(3)[at] if k == 3 else y
    own = np.arange(5000), at
    losses = [
        -np.log(np.clip(r[own] if k == 3 else np.where(y == 1, r, 1 - r), 0.01, 0.99))
        if metric == "log_loss"
        else ((r - hot) ** 2).reshape(5000, -1).sum(axis=1)
        for r in (p, q)
    ]
    assert_allclose(whole.difference_, np.mean(losses[0] - losses[1]))


def test_rows_without_label_are_skipped():
    y, p, q = stream(2, 300)
    gaps = np.where(np.arange(300) % 3 == 0, np.nan, y)
    known = ~np.isnan(gaps)
    one, other, fresh = ComparisonAlarm(), ComparisonAlarm(), ComparisonAlarm()
    one.update(gaps, p, q)
    other.update(y[known], p[known], q[known])
    assert to_dict(one) == to_dict(other)
    assert fresh.update(None, 0.2, 0.3) == pytest.approx(1.0)
    assert fresh.update([], [], []) == pytest.approx(1.0)
    assert (fresh.n_seen_, fresh.better_, fresh.low_, fresh.high_) == (0, None, -1.0, 1.0)
    assert math.isnan(fresh.difference_)


@pytest.mark.parametrize(
    ("y", "p", "q", "words"),
    [
        ([0, 1], [0.2, 0.3], [0.2], "q has 1 rows and y has 2"),
        ([0, 1], [0.2, 0.3], [0.2, 1.5], r"q holds values outside \[0, 1\] \(1.5 at row 1"),
        ([0, 1], [0.2, math.nan], [0.2, 0.3], "p contains NaN"),
        (1, 0.3, None, "q "),
        ([0, 2], [0.2, 0.3], [0.2, 0.3], "not among the classes"),
        ([0, 1], [0.2, 0.3], [[0.2, 0.3, 0.5]] * 2, r"q .* of 3 classes, and y holds 2 \(0, 1\)"),
    ],
)
def test_bad_data_leave_it_as_it_was(y, p, q, words):
    alarm = ComparisonAlarm()
    alarm.update([0, 1, 1], [0.2, 0.3, 0.9], [0.3, 0.3, 0.8])
    before = to_dict(alarm)
    with pytest.raises(ValueError, match=words):
        alarm.update(y, p, q)
    assert to_dict(alarm) == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metric": "roc_auc"}, "metric='roc_auc'; expected one of"),
        ({"metric": "log_loss"}, r"floor=None for the log loss, which has no bound.*floor=0.001"),
        ({"floor": 0.1}, "floor=0.1 for the Brier score"),
        ({"metric": "log_loss", "floor": 0.5}, "floor=0.5"),
        ({"alpha": 1.0}, "alpha=1.0"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        ComparisonAlarm(**settings)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metric",), ["x"]),
        (("floor",), 0.1),
        (("alpha",), "0.1"),
        (("classes",), None),
        (("classes",), [1, 0]),
        (("alarm_time",), 301),
        (("alarm_time",), 2.0),
        (("alarm_time",), None),
        (("state",), []),
        (("state", "n"), 0),
        (("state", "n"), 2.5),
        (("state", "total"), 301.0),
        (("state", "logs"), [0.0]),
        (("state", "logs", 31), 1e3),
        (("state", "logs", 0), -1e6),
        (("state", "logs", 3), math.nan),
    ],
)
def test_a_dict_that_is_wrong_is_refused(path, value):
    alarm = ComparisonAlarm()
    alarm.update(*stream(0, 300, 2.0))
    assert alarm.alarm_
    data = json.loads(json.dumps(to_dict(alarm)))
    assert to_dict(from_dict(data)) == data
    *way, last = path
    holder = data
    for key in way:
        holder = holder[key]
    holder[last] = value
    with pytest.raises(ValueError, match=r"^from_dict: (the (saved )?state of )?ComparisonAlarm"):
        from_dict(data)
