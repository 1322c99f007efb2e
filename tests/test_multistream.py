"""Many streams at once: each as if alone, born from all, in little memory."""

import copy
import json
import pickle
from itertools import pairwise
from math import exp

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import calibkit
from calibkit._numerics import jit, multistream
from calibkit.online import MultiStreamCalibrator, OnlinePlattCalibrator, _streams
from calibkit.online._places import IntPlaces, TextPlaces

SETTINGS = [
    {},
    {"discount": 0.97, "gamma": 0.02, "prior_strength": 0.7, "radius": 1.2},
    {"gamma": 1.0, "prior_strength": 3.0},
]
HAS_NUMBA = jit._available()


def rows_of(n, n_streams, seed=0, missing=0.1):
    rng = np.random.default_rng(seed)
    stream = rng.integers(n_streams, size=n)
    z = rng.normal(size=n) * 3
    slope, shift = rng.normal(0.5, 0.2, n_streams), rng.normal(-0.5, 0.5, n_streams)
    y = (rng.random(n) < 1 / (1 + np.exp(-slope[stream] * z - shift[stream]))).astype(float)
    y[rng.random(n) < missing] = np.nan
    return z, y, stream


def make(**params):
    return MultiStreamCalibrator(scale="logit", **params)


@pytest.fixture(
    params=[
        "plain",
        pytest.param("numba", marks=pytest.mark.skipif(not HAS_NUMBA, reason="needs Numba")),
    ]
)
def backend(request, monkeypatch):
    """Both ways to learn, whatever the number of rows."""
    monkeypatch.setattr(multistream.blocks, "compiles", lambda n: request.param == "numba")
    return request.param


def alone(z, y, stream, **params):
    """The definition: a dictionary of calibrators, one row at a time."""
    pooled = OnlinePlattCalibrator(scale="logit", classes=[0, 1], **params)
    pooled._ensure_fitted()
    streams, out = {}, np.empty(len(z))
    for i, key in enumerate(stream.tolist()):
        row = [z[i]], [y[i]]
        if key not in streams and y[i] == y[i]:
            start = pooled.theta_ * min(1.0, pooled.radius / np.linalg.norm(pooled.theta_))
            start = start * (1.0 - 1e-15) if np.linalg.norm(start) > pooled.radius else start
            streams[key] = OnlinePlattCalibrator(
                scale="logit", classes=[0, 1], start=tuple(start), **params
            )
        out[i] = streams.get(key, copy.deepcopy(pooled)).predict_then_update(*row)[0, 1]
        pooled.partial_fit(*row)
    return out, streams, pooled


# -- each stream as if alone ------------------------------------------------------------------


@pytest.mark.parametrize("params", SETTINGS)
def test_streams_are_platt_calibrators_fed_alone(params, backend):
    z, y, stream = rows_of(900, 40)
    cal = make(**params)
    got = cal.predict_then_update(z, y, stream)
    want, streams, pooled = alone(z, y, stream, **params)
    np.testing.assert_allclose(got[:, 1], want, rtol=0, atol=1e-13)
    np.testing.assert_allclose(got.sum(axis=1), 1.0, atol=1e-15)
    np.testing.assert_allclose(cal.pooled_.theta_, pooled.theta_, rtol=1e-13)
    assert cal.pooled_.n_seen_ == pooled.n_seen_ == np.isfinite(y).sum()
    assert cal.n_streams_ == len(streams)
    assert cal.streams_.tolist() == list(streams)  # in the order of first labels
    for key, theta, count in zip(cal.streams_, cal.theta_, cal.counts_, strict=True):
        np.testing.assert_allclose(theta, streams[key].theta_, rtol=0, atol=1e-12)
        assert count == streams[key].n_seen_
        np.testing.assert_allclose(
            cal.calibrator(key).factor_, streams[key].factor_, rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize("params", SETTINGS)
def test_one_stream_is_the_plain_calibrator_bit_for_bit(params, backend):
    z, y, _ = rows_of(700, 1)
    cal = make(**params)
    plain = OnlinePlattCalibrator(scale="logit", **params)
    got = cal.predict_then_update(z, y, 0)
    assert (got == plain.predict_then_update(z, y)).all()
    for one in (cal.calibrator(0), cal.pooled_):
        assert (one.theta_ == plain.theta_).all()
        assert (one.factor_ == plain.factor_).all()
        assert one.n_seen_ == plain.n_seen_
    some = np.linspace(-3, 3, 7)
    assert (cal.predict_proba(some, 0) == plain.predict_proba(some)).all()


def test_a_stream_goes_on_alone():
    z, y, stream = rows_of(600, 5)
    cal = make().partial_fit(z, y, stream)
    one = cal.calibrator(3)
    mine = stream == 3
    again = OnlinePlattCalibrator(scale="logit", start=one.start).partial_fit(z[mine], y[mine])
    np.testing.assert_allclose(again.theta_, one.theta_, rtol=1e-13)  # from its start
    more = rows_of(50, 1, seed=1)[:2]
    q = one.predict_then_update(*more)
    assert cal.calibrator(3).n_seen_ == one.n_seen_ - np.isfinite(more[1]).sum()  # not shared
    assert (cal.predict_then_update(*more, 3) == q).all()
    assert (
        calibkit.from_dict(calibkit.to_dict(one)).predict_proba([1.0])[0, 1]
        == (one.predict_proba([1.0])[0, 1])
    )


def test_a_start_on_the_sphere_is_a_start():
    z, y, stream = rows_of(3000, 400)
    cal = make(radius=0.4, prior_strength=1.0).partial_fit(z, y, stream)
    starts = np.array([cal.calibrator(key).start for key in cal.streams_])
    assert np.linalg.norm(starts, axis=1).max() == pytest.approx(0.4, rel=1e-9)
    np.testing.assert_allclose(starts, cal._streams.rows[:, 6:], rtol=1e-9)
    for key in cal.streams_:
        one = cal.calibrator(key)  # refuses a start beyond its radius when it learns
        want = cal.predict_then_update([0.3, 0.7], [1, 0], key)
        assert (one.predict_then_update([0.3, 0.7], [1, 0]) == want).all()


@pytest.mark.parametrize("n_streams", [1, 6, 300, 3000])
@pytest.mark.parametrize("params", SETTINGS[:2])
def test_blocks_and_backends_give_the_same_bits(n_streams, params, monkeypatch):
    z, y, stream = rows_of(4000, n_streams)
    monkeypatch.setattr(multistream.blocks, "compiles", lambda n: HAS_NUMBA)
    whole = make(**params)
    want = whole.predict_then_update(z, y, stream)
    rng = np.random.default_rng(n_streams)
    cuts = np.concatenate(([0, 0, 1, 2], np.sort(rng.integers(4000, size=9)), [4000]))
    for ways in (lambda n: False, lambda n: HAS_NUMBA and n % 2 == 0):
        monkeypatch.setattr(multistream.blocks, "compiles", ways)
        cut = make(**params)
        got = [cut.predict_then_update(z[i:j], y[i:j], stream[i:j]) for i, j in pairwise(cuts)]
        assert (np.concatenate(got) == want).all()
        assert calibkit.to_dict(cut) == calibkit.to_dict(whole)


def test_no_row_sees_its_own_label_or_a_later_one(backend):
    z, y, stream = rows_of(500, 20)
    base = make().predict_then_update(z, y, stream)
    for t in (0, 7, 250, 499):
        other = y.copy()
        other[t:] = 1.0 - np.nan_to_num(other[t:])
        changed = make().predict_then_update(z, other, stream)
        assert (changed[: t + 1] == base[: t + 1]).all()
        assert t == 499 or (changed[t + 1 :] != base[t + 1 :]).any()


def test_forecasts_change_nothing_and_the_new_are_pooled():
    z, y, stream = rows_of(500, 20)
    cal = make().partial_fit(z, y, stream)
    before = calibkit.to_dict(cal)
    some = np.linspace(-4, 4, 9)
    fresh = cal.predict_proba(some, np.arange(9) + 1000)
    assert (fresh == cal.pooled_.predict_proba(some)).all()
    assert cal.predict_proba([], []).shape == (0, 2)
    assert calibkit.to_dict(cal) == before
    # The next row is forecast by what predict_proba says.
    for key in (3, 999):
        want = cal.predict_proba([0.7], key)
        np.testing.assert_allclose(
            copy.deepcopy(cal).predict_then_update([0.7], [1], key), want, rtol=0, atol=1e-15
        )


def test_rows_without_labels_leave_no_trace(backend):
    cal = make(classes=[0, 1]).partial_fit([0.1], [1], 5)
    before = calibkit.to_dict(cal)
    q = cal.predict_then_update([1.0, 2.0], [None, np.nan], [5, 6])
    np.testing.assert_allclose(q, cal.predict_proba([1.0, 2.0], [5, 6]), atol=1e-15)
    cal.partial_fit([], [], [])
    assert calibkit.to_dict(cal) == before


def test_labels_of_any_two_kinds():
    z, y, stream = rows_of(300, 9, missing=0.0)
    want = make().predict_then_update(z, y, stream)
    names = np.array(["no", "yes"])[y.astype(int)]
    for labels in (y.astype(int), y.astype(bool), y.tolist(), pd.Series(y), names, names.tolist()):
        cal = make()
        assert (cal.predict_then_update(z, labels, stream) == want).all()
        assert cal.partial_fit(z, labels, stream).pooled_.n_seen_ == 600
    assert cal.classes_.tolist() == ["no", "yes"]
    one = make(classes=["no", "yes"]).partial_fit([1.0], ["yes"], 1)
    assert one.pooled_.n_seen_ == 1


def test_probabilities_are_log_odds():
    rng = np.random.default_rng(0)
    p = rng.random(400)
    y, stream = (rng.random(400) < p).astype(int), rng.integers(7, size=400)
    a = MultiStreamCalibrator().predict_then_update(p, y, stream)
    b = make().predict_then_update(np.log(p / (1 - p)), y, stream)
    np.testing.assert_allclose(a, b, atol=1e-12)
    two = MultiStreamCalibrator().predict_then_update(np.column_stack((1 - p, p)), y, stream)
    assert (a == two).all()
    edge = MultiStreamCalibrator().partial_fit([0.0, 1.0], [1, 0], [1, 1])
    assert np.isfinite(edge.theta_).all()


# -- shrinkage -------------------------------------------------------------------------------


def log_loss(q, y):
    return -np.mean(np.where(y == 1, np.log(q), np.log1p(-q)))


def test_shrinkage_to_the_pooled_estimate_helps_small_streams():
    gains = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        stream = rng.permutation(np.repeat(np.arange(200), 20))
        z = rng.normal(size=4000) * 3
        slope, shift = rng.normal(0.4, 0.05, 200), rng.normal(-0.8, 0.1, 200)
        y = rng.random(4000) < 1 / (1 + np.exp(-slope[stream] * z - shift[stream]))
        together = make().predict_then_update(z, y.astype(int), stream)[:, 1]
        apart = np.empty(4000)
        for key in range(200):
            mine = stream == key
            single = OnlinePlattCalibrator(scale="logit", classes=[0, 1])
            apart[mine] = single.predict_then_update(z[mine], y[mine].astype(int))[:, 1]
        gains.append(log_loss(apart, y) - log_loss(together, y))
    error = np.std(gains, ddof=1) / np.sqrt(len(gains))
    assert np.mean(gains) - 5 * error > 0.05  # nats a row; the optimum itself is .55 or so


def test_a_warm_pooled_estimate_makes_better_starts():
    gains = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        stream = rng.integers(200, size=7000)
        z = rng.normal(size=7000) * 3
        slope, shift = rng.normal(0.5, 0.05, 200), rng.normal(-0.8, 0.1, 200)
        y = (rng.random(7000) < 1 / (1 + np.exp(-slope[stream] * z - shift[stream]))).astype(int)
        past, now = slice(0, 3000), slice(3000, None)
        warm = make(prior_strength=1000.0).partial_fit(z[past], y[past], stream[past])
        warm.drop(warm.streams_)
        losses = [
            log_loss(cal.predict_then_update(z[now], y[now], stream[now])[:, 1], y[now])
            for cal in (make(), make(prior_strength=1000.0), warm)
        ]
        gains.append([losses[0] - losses[2], losses[1] - losses[2]])
    error = np.std(gains, axis=0, ddof=1) / np.sqrt(len(gains))
    assert (np.mean(gains, axis=0) - 4 * error > 0).all()


def test_streams_that_differ_are_told_apart():
    rng = np.random.default_rng(0)
    stream = rng.integers(2, size=8000)
    z = rng.normal(size=8000) * 2
    slope = np.where(stream == 0, 0.3, 1.5)
    y = (rng.random(8000) < 1 / (1 + np.exp(-slope * z))).astype(int)
    cal = make().partial_fit(z, y, stream)
    theta = dict(zip(cal.streams_.tolist(), cal.theta_[:, 0], strict=True))
    # The standard error of a slope is 1 / sqrt(4000 E[z^2 p (1 - p)]) < .05; Newton steps that are
    # ten times too long make it about sqrt(10 / 2) times larger.
    assert abs(theta[0] - 0.3) < 0.35
    assert abs(theta[1] - 1.5) < 0.35
    assert theta[0] < cal.pooled_.theta_[0] < theta[1]


# -- ids ---------------------------------------------------------------------------------------

IDS = {
    "small": np.arange(30) * 3,
    "large": np.arange(30) * 2**57 - 2**60,
    "negative": -np.arange(30),
    "mixed": np.append(np.arange(29), 2**62),
}


@pytest.mark.parametrize("kind", [*IDS, "strings"])
def test_the_kind_of_ids_changes_nothing(kind, backend):
    z, y, stream = rows_of(800, 30)
    base = make()
    want = base.predict_then_update(z, y, stream)
    names = IDS[kind][stream] if kind in IDS else np.array([f"tenant {i}" for i in stream])
    cal = make()
    got = [cal.predict_then_update(z[i::4], y[i::4], names[i::4]) for i in range(4)]
    again = make()
    for i in range(4):
        assert (again.predict_then_update(z[i::4], y[i::4], stream[i::4]) == got[i]).all()
    cal = make()
    assert (cal.predict_then_update(z, y, names) == want).all()
    expected = dict(zip(stream.tolist(), names.tolist(), strict=True))
    assert cal.streams_.tolist() == [expected[g] for g in base.streams_.tolist()]
    assert (cal.predict_proba(z, names) == base.predict_proba(z, stream)).all()


def test_forms_of_ids():
    z, y, stream = rows_of(100, 8, missing=0.0)
    want = make().predict_then_update(z, y, stream)
    forms = [
        stream.tolist(), stream.astype(np.uint8), stream.astype(np.uint64), stream.astype(object),
        pd.Series(stream), pd.array(stream, dtype="Int64"), list(stream),
        (key for key in stream.tolist()),
    ]  # fmt: skip
    for form in forms:
        assert (make().predict_then_update(z, y, form) == want).all()
    names = [f"é{i}" for i in stream]
    for form in (names, np.array(names), np.array(names, object), pd.Series(names),
                 pd.Categorical(names), [np.str_(n) for n in names]):  # fmt: skip
        cal = make()
        assert (cal.predict_then_update(z, y, form) == want).all()
        assert {type(g) for g in cal.streams_} == {str}
    for single in (4, np.int16(4), "four"):
        cal = make().partial_fit(z, y, single)
        assert cal.streams_.tolist() == [single]
        assert cal.counts_.tolist() == [100]


@pytest.mark.parametrize("places", [IntPlaces, TextPlaces])
def test_places_against_a_dictionary(places):
    rng = np.random.default_rng(0)
    index, known = places(), {}
    for high in (50, 50, 3000, 10**7, 300, 2**62, 10, 2**62):
        keys = rng.integers(-high if high == 2**62 else 0, high, size=200)
        keys = keys if places is IntPlaces else np.array([f"k{k}" for k in keys], dtype=object)
        assert index.find(keys).tolist() == [known.get(k, -1) for k in keys.tolist()]
        new = keys[index.find(keys) < 0]
        index.add(index.distinct(new))
        for key in new.tolist():
            known.setdefault(key, len(known))
        assert index.ids.tolist() == list(known)
        every = np.array(list(known), dtype=keys.dtype)
        assert index.find(every).tolist() == list(range(len(known)))
    assert len(index) == len(known)
    again = pickle.loads(pickle.dumps(index))
    assert again.find(every).tolist() == list(range(len(known)))


def test_ids_that_become_dense_are_put_into_a_table():
    rng = np.random.default_rng(0)
    index = IntPlaces()
    ids = rng.permutation(3_000_000)[:2_000_000] * 4
    index.add(ids[:1000])
    assert index._table is None  # up to 12 million, and few
    index.add(ids[1000:])
    assert index._table is None  # 4 million is no quarter of 12
    index.add(ids[:1000] + 1)
    assert (index.find(ids) == np.arange(2_000_000)).all()
    index.add(np.setdiff1d(np.arange(1, 12_000_000, 8), ids[:1000] + 1))
    assert index._table is not None
    assert (index.find(ids) == np.arange(2_000_000)).all()


def test_a_million_streams_cost_a_few_dozen_bytes_each(backend):
    n = 1_000_000 if backend == "numba" else 50_000
    rng = np.random.default_rng(0)
    p, ids = rng.random(n), rng.permutation(n)
    cal = MultiStreamCalibrator().partial_fit(p, (rng.random(n) < p).astype(int), ids)
    assert cal.n_streams_ == n
    assert cal._streams.rows.nbytes == 64 * n
    assert cal.nbytes <= 80 * n
    large = MultiStreamCalibrator().partial_fit(p, (rng.random(n) < p).astype(int), ids * 2**40)
    assert large.nbytes <= 90 * n
    at = cal._streams._rows.ctypes.data
    assert at % 64 == 0  # a cache line each
    assert len(pickle.dumps(cal)) <= 75 * n
    assert pickle.loads(pickle.dumps(cal))._streams._rows.ctypes.data % 64 == 0


# -- streams taken together ------------------------------------------------------------------


def test_merging_disjoint_streams_is_exact():
    z, y, stream = rows_of(800, 30)
    first = stream < 12
    a, b = make().partial_fit(z[first], y[first], stream[first]), make()
    b.partial_fit(z[~first], y[~first], stream[~first])
    kept = calibkit.to_dict(b)
    merged = copy.deepcopy(a).merge(b)
    assert calibkit.to_dict(b) == kept
    assert merged.streams_.tolist() == [*a.streams_.tolist(), *b.streams_.tolist()]
    assert (merged.theta_ == np.concatenate((a.theta_, b.theta_))).all()
    for own in (a, b):
        for key in own.streams_:
            one, two = own.calibrator(key), merged.calibrator(key)
            assert (one.factor_ == two.factor_).all()
            assert one.start == two.start
    np.testing.assert_allclose(
        merged.pooled_.matrix(),
        a.pooled_.matrix() + b.pooled_.matrix() - 100 * np.eye(2),
        rtol=1e-12,
    )
    assert merged.pooled_.n_seen_ == a.pooled_.n_seen_ + b.pooled_.n_seen_


def by_worker(n_workers, **params):
    z, y, stream = rows_of(3000, 25)
    return [
        make(**params).partial_fit(z[i::n_workers], y[i::n_workers], stream[i::n_workers])
        for i in range(n_workers)
    ]


def merged_of(*cals):
    out = copy.deepcopy(cals[0])
    for cal in cals[1:]:
        out.merge(cal)
    return out


def state_of(cal):
    order = np.argsort(cal.streams_)
    pooled = (cal.pooled_.theta_, cal.pooled_.factor_, [cal.pooled_.n_seen_])
    return cal._streams.rows[order], np.concatenate(pooled)


@pytest.mark.parametrize("params", SETTINGS)
def test_merging_shared_streams(params):
    a, b, c = by_worker(3, **params)
    ab, ba = merged_of(a, b), merged_of(b, a)
    for one, two in zip(state_of(ab), state_of(ba), strict=True):
        assert (one == two).all()
    if params.get("radius") is None:  # projections do not add up
        for one, two in zip(
            state_of(merged_of(ab, c)), state_of(merged_of(a, merged_of(b, c))), strict=True
        ):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-11)
    strength = a.prior_strength
    for key in ab.streams_:
        one, two, both = (cal.calibrator(key) for cal in (a, b, ab))
        assert both.n_seen_ == one.n_seen_ + two.n_seen_
        want = one.matrix() + two.matrix() - strength * np.eye(2)
        np.testing.assert_allclose(both.matrix(), want, rtol=1e-10, atol=1e-10)
        assert np.linalg.norm(both.theta_) <= a.radius * (1 + 1e-12)


def test_merging_with_gamma_one_is_the_product_of_gaussians():
    a, b, _ = by_worker(3, gamma=1.0, prior_strength=20.0)
    ab = merged_of(a, b)
    for key in ab.streams_:
        one, two, both = (cal.calibrator(key) for cal in (a, b, ab))
        m1, m2, m = one.matrix(), two.matrix(), both.matrix()
        s1, s2, s = (np.array(c.start) for c in (one, two, both))
        np.testing.assert_allclose(
            s, (one.n_seen_ * s1 + two.n_seen_ * s2) / both.n_seen_, rtol=1e-12
        )
        prior = 20 * np.eye(2)
        learnt = m1 @ one.theta_ - prior @ s1 + m2 @ two.theta_ - prior @ s2
        np.testing.assert_allclose(m @ both.theta_, prior @ s + learnt, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("params", [{}, {"discount": 0.99}, {"gamma": 1.0, "prior_strength": 9.0}])
@pytest.mark.parametrize("sizes", [(20, 20), (150, 150), (5, 600), (800, 800)])
def test_merged_streams_are_as_good_as_one(params, sizes):
    """Excess log loss against having learnt the rows of both in turn, and against either half."""
    grid = np.random.default_rng(99).normal(size=2000) * 2
    truth = 1 / (1 + np.exp(-(0.4 * grid - 0.6)))

    def excess(theta):
        q = 1 / (1 + np.exp(-(theta[0] * grid + theta[1])))
        return np.mean(truth * np.log(truth / q) + (1 - truth) * np.log((1 - truth) / (1 - q)))

    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        n = sum(sizes)
        z = rng.normal(size=n) * 2
        y = (rng.random(n) < 1 / (1 + np.exp(-(0.4 * z - 0.6)))).astype(int)
        parts = np.split(np.arange(n), [sizes[0]])
        a, b = (make(classes=[0, 1], **params).partial_fit(z[i], y[i], 0) for i in parts)
        both = make(**params).partial_fit(z, y, 0)
        found.append([excess(c.theta_[0]) for c in (a, b, both, merged_of(a, b))])
    first, second, in_turn, merged = np.mean(found, axis=0)
    differences = np.array(found)[:, 3] - np.array(found)[:, 2]
    error = np.std(differences, ddof=1) / np.sqrt(len(differences))
    assert merged < in_turn * 1.5 + 2 * error
    assert merged < max(first, second)


def test_merging_with_nothing():
    z, y, stream = rows_of(200, 9)
    full = make().partial_fit(z, y, stream)
    assert calibkit.to_dict(merged_of(full, make())) == calibkit.to_dict(full)
    assert calibkit.to_dict(merged_of(make(), full)) == calibkit.to_dict(full)
    empty = make(classes=[0, 1]).partial_fit([], [], [])
    assert calibkit.to_dict(merged_of(full, empty)) == calibkit.to_dict(full)
    assert merged_of(empty, full).pooled_.n_seen_ == full.pooled_.n_seen_
    assert make().merge(make()).n_streams_ == 0
    named = make().partial_fit(z, y, [f"t{g}" for g in stream])
    assert merged_of(make(), named).streams_.tolist() == named.streams_.tolist()


def test_merged_streams_go_on():
    a, b, _ = by_worker(3)
    ab = merged_of(a, b)
    z, y, stream = rows_of(100, 40, seed=5)
    q = ab.predict_then_update(z, y, stream)
    assert np.isfinite(q).all()
    assert ab.n_streams_ > 25


def test_dropped_streams_start_anew():
    z, y, stream = rows_of(500, 12)
    cal = make().partial_fit(z, y, stream)
    theta = dict(zip(cal.streams_.tolist(), cal.theta_.tolist(), strict=True))
    pooled = cal.pooled_.theta_.copy()
    assert cal.drop([3, 7]) is cal
    assert cal.n_streams_ == 10
    assert (cal.pooled_.theta_ == pooled).all()
    for key, found in zip(cal.streams_.tolist(), cal.theta_.tolist(), strict=True):
        assert found == theta[key]
    assert (cal.predict_proba([1.0], 3) == cal.pooled_.predict_proba([1.0])).all()
    cal.partial_fit([1.0], [1], 3)
    np.testing.assert_allclose(cal.calibrator(3).start, pooled)
    assert cal.counts_[-1] == 1
    cal.drop(cal.streams_).partial_fit([1.0], [1], "now a string")
    assert cal.streams_.tolist() == ["now a string"]
    with pytest.raises(
        ValueError, match=r"drop: streams holds 'x' and 1 more, not one of the streams"
    ):
        cal.drop(["now a string", "x", "y"])
    assert cal.n_streams_ == 1


# -- late labels -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ids",
    [np.arange(15) + 2**62, np.array([f"t{i}\0" for i in range(15)], object)],
    ids=["ints", "strings"],
)
def test_late_labels_are_learnt_as_if_they_came_with_the_rows(ids, backend):
    z, y, stream = rows_of(400, 15)
    late, plain = make(), make(classes=[0, 1])
    for rows in np.split(np.arange(400), 8):
        q = late.forecast(rows, z[rows], ids[stream[rows]])
        assert (q == plain.predict_proba(z[rows], ids[stream[rows]])).all()
        assert len(late.pending_) == 50
        late = calibkit.from_dict(json.loads(json.dumps(calibkit.to_dict(late))))
        found = late.label([*rows[::-1], "x", rows[0]], [*y[rows][::-1], 1, 1])
        assert found == (np.isfinite(y[rows]).sum(), ["x"], [rows[0]])
        plain.partial_fit(z[rows][::-1], y[rows][::-1], ids[stream[rows]][::-1])
        assert calibkit.to_dict(late)["streams"] == calibkit.to_dict(plain)["streams"]
        assert calibkit.to_dict(late)["pooled"] == calibkit.to_dict(plain)["pooled"]
    assert len(late.pending_) == 0
    assert late.n_seen_ == plain.n_seen_ == np.isfinite(y).sum()


def test_a_numpy_int_makes_plain_json():
    cal = make(max_pending=np.int64(5)).partial_fit([1.0], [1], "a")
    cal.forecast(["x"], [0.5], "a")
    assert json.loads(json.dumps(calibkit.to_dict(cal)))["pending"]["room"] == 5


def test_the_oldest_make_room_and_merging_keeps_what_waits():
    cal, other = make(max_pending=3), make(max_pending=3)
    cal.forecast([1, 2], [0.5, 0.6], ["a", "b"])
    other.forecast(["x", 2], [0.7, 0.8], ["c", "b"])
    with pytest.warns(calibkit.ReplacedForecastWarning, match="merge: 1 of 2 ids are repeated"):
        cal.merge(other)
    assert cal.pending_.to_dict()["ids"] == [1, "x", 2]
    assert len(other.pending_) == 2
    cal.forecast([7], [0.1], "d")
    assert cal.pending_.to_dict()["ids"] == ["x", 2, 7]
    assert cal.label([1, 2, "x"], [0, 1, 1]) == (2, [1], [])
    assert cal.streams_.tolist() == ["b", "c"]


def test_late_labels_that_are_refused_leave_no_trace(monkeypatch):
    cal = make().partial_fit(*rows_of(60, 5))
    cal.forecast([1, 2], [0.5, 0.6], [3, 99])
    before = calibkit.to_dict(cal)
    for call, words in (
        (lambda: cal.forecast([1.5], [0.5], 3), "ids holds 1.5"),
        (lambda: cal.forecast([1, 2], [0.5], 3), "X has 1 rows? and ids"),
        (lambda: cal.forecast([1], [0.5], "a"), "stream holds strings"),
        (lambda: cal.label([1], [7]), "not among the classes"),
        (lambda: cal.label([1, 2], [1]), "y has 1 rows? and ids"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
        assert calibkit.to_dict(cal) == before

    def broken(*args):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(multistream, "_by_turns", broken)
        patch.setattr(multistream.blocks, "compiles", lambda n: False)
        with pytest.raises(MemoryError):
            cal.label([1, 2], [1, 0])
    assert calibkit.to_dict(cal) == before
    with pytest.raises(NotFittedError):
        make().label([1], [1])


# -- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [False, True])
def test_json_and_pickle_are_exact(names):
    z, y, stream = rows_of(400, 15)
    stream = np.array([f"t{g}" for g in stream]) if names else stream * 2**40
    labels = np.array(["a", "b"])[np.nan_to_num(y).astype(int)]
    cal = make(discount=np.float64(0.99), classes=["a", "b"]).partial_fit(z, labels, stream)
    text = json.dumps(calibkit.to_dict(cal), allow_nan=False)
    for again in (
        calibkit.from_dict(json.loads(text)),
        pickle.loads(pickle.dumps(cal)),
        copy.deepcopy(cal),
    ):
        assert calibkit.to_dict(again) == calibkit.to_dict(cal)
        assert again.get_params() == cal.get_params()
        twin = copy.deepcopy(cal)
        q = again.predict_then_update(z, labels, stream)
        assert (q == twin.predict_then_update(z, labels, stream)).all()
        assert calibkit.to_dict(again) == calibkit.to_dict(twin) != calibkit.to_dict(cal)
    assert clone(cal).get_params() == cal.get_params()
    assert clone(cal).n_streams_ == 0
    assert repr(make()) == "MultiStreamCalibrator(scale='logit')"


def poisoned():
    """Changes to a good file, and what is said of each."""
    yield lambda d: d.pop("ids"), "lacks 'ids'"
    yield lambda d: d.update(extra=1), "unknown keys 'extra'"
    yield lambda d: d.update(version=True), "version is True"
    yield lambda d: d.update(version=2), "version is 2"
    yield lambda d: d.update({"class": "platt"}), "lacks 'state'"
    yield lambda d: d["params"].update(gamma=-1), "gamma=-1"
    yield lambda d: d["params"].update(gamma="1"), "gamma='1'"
    yield lambda d: d["params"].update(scale="probit"), "scale='probit'"
    yield lambda d: d["params"].update(classes=[1, 2]), "classes differ"
    yield lambda d: d.update(params=[]), "params of multi_stream is a list; expected a dict"
    yield lambda d: d.update(classes=[1, 0]), "sorted"
    yield lambda d: d.update(classes=[0, "1"]), "two labels of one type"
    yield lambda d: d.update(classes=[0, 1, 2]), "two labels of one type"
    yield lambda d: d.update(classes=[[0], [1]]), "two labels of one type"
    yield lambda d: d.update(classes=[0.0, float("nan")]), "classes"
    yield lambda d: d.update(ids={}), "ids is a dict"
    yield lambda d: d["ids"].pop(), "slope holds 5 numbers; expected 4"
    yield lambda d: d["ids"].__setitem__(0, d["ids"][1]), "holds repeated ids"
    yield lambda d: d["ids"].__setitem__(0, True), "ids holds True"
    yield lambda d: d["ids"].__setitem__(0, "x"), "mixes ints and strings"
    yield lambda d: d["ids"].__setitem__(0, 2**70), "beyond 64 bits"
    yield lambda d: d["ids"].__setitem__(0, []), "ids holds"
    yield lambda d: d["streams"].pop("d1"), "lacks 'd1'"
    yield lambda d: d["streams"]["d1"].pop(), "d1 holds 4 numbers; expected 5"
    yield lambda d: d["streams"]["d1"].__setitem__(0, 0.0), "positive definite"
    yield lambda d: d["streams"]["d2"].__setitem__(0, -1.0), "positive definite"
    yield lambda d: d["streams"]["slope"].__setitem__(0, float("nan")), "finite"
    yield lambda d: d["streams"]["slope"].__setitem__(0, 10**400), "finite"
    yield lambda d: d["streams"]["slope"].__setitem__(0, "1.0"), "finite"
    yield lambda d: d["streams"]["slope"].__setitem__(0, None), "finite"
    yield lambda d: d["streams"]["n_seen"].__setitem__(0, 0), "expected at least 1"
    yield lambda d: d["streams"]["n_seen"].__setitem__(0, 1.5), "not a count"
    yield lambda d: d["pending"].update(room=0), "counts"
    yield lambda d: d["pending"].update(ids=[1], tickets=[[0.5]]), "not a score and a stream id"
    yield lambda d: d["pending"].update(ids=[1], tickets=[[0.5, None]]), "holds None"
    yield lambda d: d["pending"].update(ids=[1], tickets=[["a", 1]]), "finite"
    yield lambda d: d["pending"].update(ids=[1], tickets=[[1e300, 1]]), "the score 1e+300"
    yield lambda d: d["params"].update(max_pending=0), "max_pending=0"
    yield lambda d: d["pooled"].update(n_seen=[-1.0]), "not a count"
    yield lambda d: d["pooled"].update(d1=1.0), "d1 is 1.0; expected a list"
    yield lambda d: d.update(pooled=None), "pooled is None; expected a dict"


@pytest.mark.parametrize(
    ("change", "words"), list(poisoned()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_files_from_strangers(change, words):
    data = calibkit.to_dict(make().partial_fit(*rows_of(60, 5)))
    change(data)
    with pytest.raises(ValueError, match="from_dict") as error:
        calibkit.from_dict(data)
    assert words in str(error.value)


def test_from_dict_refuses_what_is_no_dict():
    for data in (None, [], "x", 3):
        with pytest.raises(ValueError, match=r"from_dict: .*expected a dict"):
            calibkit.from_dict(data)


def test_sums_that_overflow_are_refused():
    bad = make().partial_fit(*rows_of(60, 5))
    bad._streams._rows[0, [2, 3]] = 1e200, 1e308
    with pytest.raises(ValueError, match="d1 and d2 do not give a positive definite matrix"):
        calibkit.from_dict(calibkit.to_dict(bad))
    good = make().partial_fit(*rows_of(60, 5))
    before = calibkit.to_dict(good)
    with pytest.raises(ValueError, match="merge: the combined state overflows"):
        good.merge(bad)
    assert calibkit.to_dict(good) == before


# -- bad input ---------------------------------------------------------------------------------

BAD_STREAMS = [
    ([1, 2], "X has 3 rows and stream has 2"),
    ([1.0, 2.0, 3.0], "stream holds 1.0 (float) at row 0"),
    (np.array([1.0, 2.0, 3.0]), "stream has dtype float64"),
    (np.array([True, False, True]), "stream has dtype bool"),
    ([True, False, True], "stream holds True (bool) at row 0"),
    ([1, "a", 2], "stream mixes ints and strings"),
    ([1, None, 2], "stream holds None (NoneType) at row 1"),
    (["a", None, "b"], "stream holds None (NoneType) at row 1"),
    (["a", "b", "c"], "stream holds strings, but earlier ids are ints"),
    ("a", "stream holds strings, but earlier ids are ints"),
    ([1, 2, 2**63], "stream holds ints beyond 64 bits"),
    (np.array([1, 2, 2**63], dtype=np.uint64), "stream holds ints beyond 64 bits"),
    (np.array([1, 2, "a"], dtype=object), "stream mixes ints and strings"),
    (np.zeros((3, 1), int), "stream has shape (3, 1)"),
    ([b"a", b"b", b"c"], "stream holds b'a' (bytes) at row 0"),
    (np.array([b"a", b"b", b"c"]), "stream has dtype |S1"),
    (b"abc", "stream is b'abc' (bytes)"),
    ({1, 2, 3}, "stream is {1, 2, 3} (set)"),
    (None, "stream is None (NoneType)"),
    (2.5, "stream is 2.5 (float)"),
    (np.ma.array([1, 2, 3], mask=[0, 1, 0]), "stream has dtype int64"),
    (pd.array([1, None, 3], dtype="Int64"), "; expected ints or strings"),
    (np.array(["2020-01-01"] * 3, dtype="M8[D]"), "stream has dtype datetime64[D]"),
]


@pytest.mark.parametrize(("stream", "words"), BAD_STREAMS, ids=lambda v: repr(v)[:30])
def test_bad_ids(stream, words):
    cal = make().partial_fit(*rows_of(50, 5))
    before = calibkit.to_dict(cal)
    for method in (cal.partial_fit, cal.predict_then_update):
        with pytest.raises(ValueError, match=f"MultiStreamCalibrator.{method.__name__}: ") as error:
            method([0.1, 0.2, 0.3], [0, 1, 0], stream)
        assert words in str(error.value)
    with pytest.raises(ValueError, match="predict_proba: "):
        cal.predict_proba([0.1, 0.2, 0.3], stream)
    assert calibkit.to_dict(cal) == before


BAD_ROWS = [
    (([0.1, np.nan], [0, 1], [1, 2]), "X contains NaN"),
    (([0.1, 0.2], [0, 2], [1, 2]), "y holds labels that are not among the classes"),
    (([0.1, 0.2], [0, 0.5], [1, 2]), "y"),
    (([0.1, 0.2], [0], [1, 2]), "X has 2 rows and y has 1"),
    (([[0.1, 0.2, 0.7]], [0], [1]), "Only binary classification is supported"),
    (([0.1, 0.2], ["a", "b"], [1, 2]), "y holds labels that are not among the classes"),
    ((0.1, [0], [1]), "X is 0.1"),
]


@pytest.mark.parametrize(("rows", "words"), BAD_ROWS, ids=lambda v: repr(v)[:40])
def test_bad_rows(rows, words):
    cal = make().partial_fit(*rows_of(50, 5))
    before = calibkit.to_dict(cal)
    with pytest.raises(ValueError, match="partial_fit: ") as error:
        cal.partial_fit(*rows)
    assert words in str(error.value)
    assert calibkit.to_dict(cal) == before
    fresh = make()
    if "not among" not in words:
        with pytest.raises(ValueError, match="partial_fit: "):
            fresh.partial_fit(*rows)
    assert fresh.n_streams_ == 0


def test_classes_are_checked():
    with pytest.raises(ValueError, match="the labels have 3"):
        make().partial_fit([0.1, 0.2, 0.3], [0, 1, 2], 1)
    with pytest.raises(ValueError, match="the labels have 3"):
        make(classes=["a", "b", "c"]).partial_fit([0.1], ["a"], 1)
    with pytest.raises(ValueError, match=r"Pass classes=\[\.\.\.\]"):
        make().partial_fit([0.1], ["yes"], 1)
    cal = make().partial_fit([0.1], [1], 1)
    with pytest.raises(ValueError, match="expected the same"):
        cal.set_params(classes=["a", "b"]).partial_fit([0.1], ["a"], 1)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"gamma": 0}, "gamma=0"),
        ({"prior_strength": -1.0}, "prior_strength=-1.0"),
        ({"radius": np.inf}, "radius=inf"),
        ({"discount": 1.5}, "discount=1.5"),
        ({"eps": 0.5}, "eps=0.5"),
        ({"scale": "odds"}, "scale='odds'"),
    ],
)
def test_bad_parameters(params, words):
    with pytest.raises(ValueError, match=rf"MultiStreamCalibrator\.partial_fit: {words}"):
        MultiStreamCalibrator(**params).partial_fit([0.1], [1], 1)


def test_before_any_label():
    cal = make()
    for call in (
        lambda: cal.predict_proba([0.1], 1),
        lambda: cal.calibrator(1),
        lambda: calibkit.to_dict(cal),
    ):
        with pytest.raises(NotFittedError, match=r"MultiStreamCalibrator\(classes=\[0, 1\]\)"):
            call()
    assert cal.n_streams_ == 0
    assert cal.theta_.shape == (0, 2)
    declared = make(classes=[0, 1])
    np.testing.assert_allclose(declared.predict_proba([2.0], "x")[0, 1], 1 / (1 + exp(-2.0)))
    assert not hasattr(declared, "pooled_")
    # Rows that all lack their labels leave the classes open.
    assert cal.predict_then_update([0.0], [None], 1).tolist() == [[0.5, 0.5]]
    assert cal.partial_fit([0.1, 0.2], ["no", "yes"], 1).classes_.tolist() == ["no", "yes"]


def test_no_such_stream():
    cal = make().partial_fit([0.1], [1], 1)
    with pytest.raises(ValueError, match=r"calibrator: stream holds 2, not one of the streams"):
        cal.calibrator(2)
    with pytest.raises(ValueError, match=r"calibrator: stream holds 2 ids; expected one"):
        cal.calibrator([1, 1])


def test_what_does_not_fit_is_not_merged():
    cal = make().partial_fit([0.1, 0.2], [0, 1], [1, 2])
    before = calibkit.to_dict(cal)
    others = [
        (OnlinePlattCalibrator(), "other is of type OnlinePlattCalibrator"),
        (make(gamma=0.2), "other has gamma=0.2"),
        (make().partial_fit([0.1, 0.2], [0, 1], ["a", "b"]), "other holds strings"),
        (make().partial_fit([0.1, 0.2], ["a", "b"], [1, 2]), "expected the same"),
    ]
    for other, words in others:
        with pytest.raises(ValueError, match=f"MultiStreamCalibrator.merge: .*{words}"):
            cal.merge(other)
    assert calibkit.to_dict(cal) == before


def test_an_update_that_breaks_off_leaves_no_trace(monkeypatch):
    z, y, stream = rows_of(300, 20)
    cal = make().partial_fit(z[:100], y[:100], stream[:100])
    before, q = calibkit.to_dict(cal), cal.predict_proba(z, stream)

    def broken(*args):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(multistream, "_by_turns", broken)
        patch.setattr(multistream.blocks, "compiles", lambda n: False)
        with pytest.raises(MemoryError):
            cal.partial_fit(z, y, stream + 10)
        with pytest.raises(MemoryError):
            make().partial_fit(z, y, stream)
    assert calibkit.to_dict(cal) == before
    assert (cal.predict_proba(z, stream) == q).all()
    cal.partial_fit(z[100:], y[100:], stream[100:])
    assert calibkit.to_dict(cal) == calibkit.to_dict(make().partial_fit(z, y, stream))


def test_input_is_left_alone():
    z, y, stream = rows_of(300, 20)
    copies = z.copy(), y.copy(), stream.copy()
    make().partial_fit(z, y, stream)
    for one, two in zip(copies, (z, y, stream), strict=True):
        np.testing.assert_array_equal(one, two)


def test_properties_are_not_shared():
    cal = make().partial_fit(*rows_of(300, 20))
    before = calibkit.to_dict(cal)
    for array in (cal.streams_, cal.theta_, cal.counts_):
        array[...] = 0
    assert calibkit.to_dict(cal) == before


@pytest.mark.skipif(not HAS_NUMBA, reason="needs Numba")
def test_small_calls_compile_once_they_are_many():
    @jit.loop
    def total(x):
        return sum(x)

    assert not total.compiles(100)
    assert total.compiles(jit._FIRST)
    for _ in range(jit._TOGETHER // 1000):
        some = total.compiles(1000)
    assert some


def test_ids_of_streams_are_of_one_kind_from_the_first_that_waits():
    cal = make(classes=[0, 1])
    cal.forecast(["a", "b"], [0.5, 0.6], [1, 2])
    for call in (
        lambda: cal.forecast(["c"], [0.7], ["x"]),
        lambda: cal.partial_fit([0.7], [1], ["x"]),
        lambda: cal.merge(make(classes=[0, 1]).partial_fit([0.7], [1], ["x"])),
    ):
        with pytest.raises(ValueError, match="mixes ints and strings"):
            call()
    data = calibkit.to_dict(cal)
    data["pending"]["tickets"][0][1] = "x"
    with pytest.raises(ValueError, match=r"pending.* mixes ints and strings"):
        calibkit.from_dict(data)
    assert cal.label(["a", "b"], [1, 0]).n_learned == 2


def test_less_room_than_forecasts_that_wait_is_saved():
    cal = make(classes=[0, 1])
    cal.forecast([1, 2, 3], [0.5, 0.6, 0.7], [1, 2, 3])
    again = calibkit.from_dict(calibkit.to_dict(cal.set_params(max_pending=2)))
    assert again.label([1, 2, 3], [1, 1, 1]) == (2, [1], [])


def test_a_label_that_is_refused_leaves_the_order_of_those_that_wait(monkeypatch):
    cal = make(classes=[0, 1])
    cal.forecast(["a", "b"], [0.5, 0.6], [1, 2])
    monkeypatch.setattr(cal._streams, "learn", None)
    with pytest.raises(TypeError):
        cal.label(["a"], [1])
    assert cal.pending_.to_dict()["ids"] == ["a", "b"]


@pytest.mark.parametrize("n", [30, 30_000])
def test_a_step_that_is_stopped_leaves_no_trace(n, monkeypatch):
    """Ctrl-C comes as soon as the loop is over: rows of several labels, and new streams."""
    rng = np.random.default_rng(0)
    p, y, stream = rng.random(n), rng.integers(0, 2, n), rng.integers(0, n // 3, n)
    cal = MultiStreamCalibrator().partial_fit(p, y, stream)
    cal.forecast(range(n), p, stream + 5)
    before, real = calibkit.to_dict(cal), _streams.learn

    def stopped(*args):
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(_streams, "learn", stopped)
    calls = (
        lambda: cal.partial_fit(p, y, stream + 3),
        lambda: cal.predict_then_update(p, y, stream + 3),
        lambda: cal.label(range(n), y),
    )
    for call in calls:
        with pytest.raises(KeyboardInterrupt):
            call()
        assert calibkit.to_dict(cal) == before
    monkeypatch.undo()
    assert cal.label(range(n), y).n_learned == n
