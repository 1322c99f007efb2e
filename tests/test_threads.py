"""One thread learns, any number read: nothing is lost, and nobody sees a change half made."""

import sys
import threading

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from calibkit import CalibrationAlarm, ComparisonAlarm, from_dict, to_dict
from calibkit.online import (
    MultiStreamCalibrator,
    OnlineCalibratedClassifier,
    OnlinePlattCalibrator,
)
from calibkit.testing import binary_data

from .registry import EXAMPLES, name_of

ONLINE = [e for e in EXAMPLES if "online" in e._traits]
#: How often the thread that learns does, while others read.
ROUNDS = 12


@pytest.fixture(autouse=True)
def quick_turns():
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def beside(write, *reads):
    """Write some rounds while others read."""
    stop, errors = threading.Event(), []

    def again(read):
        try:
            while not stop.is_set():
                read()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=again, args=(read,)) for read in reads]
    for thread in threads:
        thread.start()
    try:
        for i in range(ROUNDS):
            write(i)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors, errors[0]


def in_range(q):
    q = np.asarray(q)
    assert np.isfinite(q).all()
    assert ((q >= 0) & (q <= 1 + 1e-9)).all()


def refused(read, *args):
    try:
        read(*args)
    except ValueError:
        return
    raise AssertionError("not refused")


def writes(cal, p, y):
    """A round of all that learns, a refused call among them."""

    def write(i):
        rows = slice(i % 200, i % 200 + 20)
        cal.partial_fit(p[rows], y[rows])
        cal.predict_then_update(p[rows], y[rows])
        cal.forecast(range(20), p[rows])
        cal.label(range(20), y[rows])
        cal.learn_one(float(p[i % 200]), int(y[i % 200]))
        refused(cal.partial_fit, p[rows] * np.nan, y[rows])

    return write


@pytest.mark.parametrize("example", ONLINE, ids=name_of)
def test_reads_lose_nothing_and_see_whole_changes(example):
    p, y = binary_data(n=300)
    cal, alone = (clone(example).partial_fit(p, y) for _ in range(2))
    beside(
        writes(cal, p, y),
        lambda: refused(cal.predict_proba_one, float("nan")),
        lambda: in_range(cal.predict_proba_one(0.3)),
        lambda: in_range(cal.predict_proba(p[:5])),
        lambda: (repr(cal), to_dict(cal)),
    )
    for i in range(ROUNDS):
        writes(alone, p, y)(i)
    assert to_dict(cal) == to_dict(alone)


@pytest.mark.parametrize("example", ONLINE, ids=name_of)
def test_first_forecasts_do_not_race(example):
    """Many threads ask a calibrator that has not started while one starts it."""
    p, y = binary_data(n=60)
    cal, alone = (clone(example).set_params(classes=[0, 1]) for _ in range(2))
    before = dict(vars(cal))
    in_range(cal.predict_proba(p))
    in_range(cal.predict_proba_one(0.3))
    assert vars(cal) == before
    beside(
        lambda i: cal.partial_fit(p, y),
        lambda: in_range(cal.predict_proba_one(0.3)),
        lambda: in_range(cal.predict_proba(p[:3])),
        lambda: in_range(cal.predict_proba(p[:3])),
    )
    for _ in range(ROUNDS):
        alone.partial_fit(p, y)
    assert to_dict(cal) == to_dict(alone)


@pytest.mark.parametrize("example", [e for e in EXAMPLES if "online" not in e._traits], ids=name_of)
def test_a_new_fit_replaces_all_at_once(example):
    sets = [binary_data(n=300), tuple(v[::-1] for v in binary_data(n=240, seed=3))]
    p = sets[0][0][:20]
    allowed = [clone(example).fit(*s).predict_proba(p).tolist() for s in sets]
    cal = clone(example).fit(*sets[0])

    def read():
        assert cal.predict_proba(p).tolist() in allowed

    beside(lambda i: cal.fit(*sets[i % 2]), read, read)


def test_many_streams():
    p, y = binary_data(n=300)
    cal, alone = (MultiStreamCalibrator().partial_fit(p, y, 0) for _ in range(2))

    def of(one):
        def write(i):
            rows, stream = slice(i % 200, i % 200 + 20), np.arange(20) // 2 + i
            one.predict_then_update(p[rows], y[rows], stream)
            one.forecast(range(20), p[rows], stream)
            one.label(range(20), y[rows])

        return write

    def read():
        groups = cal.streams_[-30:]
        in_range(cal.predict_proba(np.full(len(groups), 0.3), groups))

    beside(
        of(cal),
        read,
        lambda: in_range(cal.predict_proba([0.3, 0.7], [10**6, 3])),
        lambda: refused(cal.predict_proba, [np.nan], [0]),
        lambda: (repr(cal), to_dict(cal), cal.theta_, cal.counts_),
    )
    for i in range(ROUNDS):
        of(alone)(i)
    assert to_dict(cal) == to_dict(alone)


@pytest.mark.parametrize("kind", [int, str])
def test_new_streams(kind):
    """Streams are born and forecasts come and go while others ask for ids, states and waiting."""
    p, y = binary_data(n=20)
    ids = np.array([kind(i) for i in range(2000)], dtype=np.int64 if kind is int else object)
    cal = MultiStreamCalibrator(classes=[0, 1]).partial_fit(p, y, ids[:20])
    cal.forecast([0], [0.5], ids[:1])

    def write(i):
        for j in range(5 * i + 1, 5 * i + 6):
            cal.partial_fit(p, y, ids[20 * j : 20 * j + 20])
            cal.forecast([j], [0.5], ids[:1])
            cal.label([j - 1], [1])

    def read():
        known = cal.streams_
        assert (known == ids[: len(known)]).all()
        assert len(cal.theta_) >= len(known)
        assert len(cal.counts_) >= len(known)
        cal.calibrator(known[-1])

    beside(write, read, lambda: in_range(cal.predict_proba([0.3], ids[:1])), lambda: cal.nbytes)
    assert (cal.streams_ == ids[: 20 * (5 * ROUNDS + 1)]).all()


@pytest.mark.parametrize("cls", [CalibrationAlarm, ComparisonAlarm])
def test_alarm(cls):
    p, y = binary_data(n=300)
    alarm, alone = cls(), cls()
    models = 1 if cls is CalibrationAlarm else 2

    def of(one):
        def write(i):
            one.update(y[:20], *(p[:20] ** k for k in range(1, models + 1)))
            row = float(p[i % 300])
            one.update(int(y[i % 300]), *(row**k for k in range(1, models + 1)))

        return write

    def read():
        assert np.isfinite(alarm.log_e_value_)
        data = to_dict(alarm)
        assert to_dict(from_dict(data)) == data

    beside(of(alarm), read, lambda: (repr(alarm), alarm.alarm_, alarm.e_value_))
    for i in range(ROUNDS):
        of(alone)(i)
    assert to_dict(alarm) == to_dict(alone)


def test_classifier():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = (rng.random(300) < 1 / (1 + np.exp(-X[:, 0]))).astype(int)
    raw = LogisticRegression().fit(X, y)
    model = OnlineCalibratedClassifier(raw)
    before = dict(vars(model))
    first = model.predict_proba(X[:3])
    assert vars(model) == before
    assert model.predict(X[:3]).tolist() == first.argmax(axis=1).tolist()
    beside(
        lambda i: model.partial_fit(X[:40], y[:40]),
        lambda: in_range(model.predict_proba(X[:3])),
        lambda: refused(model.predict_proba, X[:3] * np.nan),
    )
    assert model.calibrator_.n_seen_ == 40 * ROUNDS


def test_an_update_in_the_middle_of_one_forecast():
    cal, same = (OnlinePlattCalibrator(classes=[0, 1]).learn_one(0.3, 1) for _ in range(2))
    cal.learn_one(0.7, 1)
    before = same.learn_one(0.7, 1).predict_proba_one(0.0)
    after = same.learn_one(1e-4, 0).predict_proba_one(0.0)
    plain = cal._log_odds

    def interrupted(x):
        del cal._log_odds
        cal.learn_one(1e-4, 0)  # from now on a score of 0 counts as a smaller one
        return plain(x)

    cal._log_odds = interrupted
    assert cal.predict_proba_one(0.0) in (before, after)
    assert cal.predict_proba_one(0.0) == after
