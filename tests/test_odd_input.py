"""Input of odd kinds is read, or refused by a ValueError of ours; what comes out is finite."""

import datetime
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone

from calibkit import (
    CalibrationAlarm,
    ComparisonAlarm,
    LabelOrderWarning,
    PlattCalibrator,
    brier_score,
    decisions,
    estimate,
    log_loss,
    prequential_errors,
)
from calibkit.base import InputError
from calibkit.metrics import METRICS
from calibkit.online import MultiStreamCalibrator

from .registry import EXAMPLES, name_of

pytestmark = pytest.mark.filterwarnings("ignore::calibkit.CalibrationWarning")
ONLINE = [c for c in EXAMPLES if "online" in c._traits]
HUGE = 10**400
RNG = np.random.default_rng(0)
P = RNG.random(30)
Y = (RNG.random(30) < P).astype(int)
K = RNG.dirichlet([1.0, 1.0, 1.0], size=30)
THREE = np.arange(30) % 3

LABELS = {
    "list": [[1], *Y[1:].tolist()],
    "ragged": [[0], [0, 1]] * 15,
    "rows": [[0, 1]] * 30,
    "tuples": [(0, 1)] * 30,
    "set": [{1}, *Y[1:].tolist()],
    "dict": [{}, *Y[1:].tolist()],
    "object": [object(), *Y[1:].tolist()],
    "type": [int, *Y[1:].tolist()],
    "huge": [HUGE, *Y[1:].tolist()],
    "complex": [1j, *Y[1:].tolist()],
    "date": [datetime.date(2020, 1, 1), *Y[1:].tolist()],
    "bytes": [b"a", b"b"] * 15,
    "bytes objects": np.array([b"a", b"b"] * 15, dtype=object),
    "array": np.array([[1], *Y[1:].tolist()], dtype=object),
    "infinite": [np.inf, *Y[1:].tolist()],
    "listed text": [["a"], *["b"] * 29],
}
SCORES = {
    "huge": [HUGE, *P[1:]],
    "-huge": [-HUGE, *P[1:]],
    "list": [[0.1], *P[1:]],
    "dict": [{}, *P[1:]],
    "set": {0.1, 0.2},
    "object": object(),
    "none": [None, *P[1:]],
    "text": ["a", *P[1:]],
    "infinite": [np.inf, *P[1:]],
    "bytes": [b"a", *P[1:]],
    "array": np.array([HUGE, *P[1:]], dtype=object),
    "date": [datetime.date(2020, 1, 1)] * 30,
}
WEIGHTS = {
    "huge": [HUGE] * 30,
    "list": [[1.0]] + [1.0] * 29,
    "text": ["a"] * 30,
    "object": [object()] * 30,
    "dict": [{}] * 30,
    "infinite": [np.inf] * 30,
}


def refuses(call):
    with pytest.raises(ValueError) as error:
        call()
    assert type(error.value) is InputError
    assert re.match(r"[A-Z]?[\w.]+( \(\w+\))?: ", str(error.value)), error.value
    assert not re.search(r"np\.\w+\(|dtype\('", str(error.value)), error.value


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_calibrators_refuse_odd_input_in_our_words(example):
    X, y = (K, THREE) if "multiclass" in example._traits else (P, Y)
    online = "online" in example._traits
    for method in ["fit"] + ["partial_fit", "predict_then_update"] * online:
        for bad in LABELS.values():
            refuses(lambda m=method, b=bad: getattr(clone(example), m)(X, b))
        for bad in SCORES.values():
            refuses(lambda m=method, b=bad: getattr(clone(example), m)(b, y))
    if not online:
        for bad in WEIGHTS.values():
            refuses(lambda b=bad: clone(example).fit(X, y, b))
        return
    cal = clone(example).partial_fit(X, y)
    cal.forecast(range(30), X)
    for bad in LABELS.values():
        refuses(lambda b=bad: cal.label(range(30), b))


def test_functions_refuse_odd_input_in_our_words():
    for metric in METRICS.values():
        for bad in LABELS.values():
            refuses(lambda m=metric, b=bad: m.function(b, P))
        for bad in SCORES.values():
            refuses(lambda m=metric, b=bad: m.function(Y, b))
        for bad in WEIGHTS.values():
            refuses(lambda m=metric, b=bad: m.function(Y, P, sample_weight=b))
    for bad in LABELS.values():
        refuses(lambda b=bad: CalibrationAlarm().update(b, P))
        refuses(lambda b=bad: ComparisonAlarm().update(b, P, P))
        refuses(lambda b=bad: prequential_errors(b, P))
        refuses(lambda b=bad: decisions.RiskControlledThreshold(0.1).fit(P, b))
        refuses(lambda b=bad: decisions.evaluate_confidence(P, b))
        refuses(lambda b=bad: MultiStreamCalibrator().partial_fit(P, b, Y))
    for bad in SCORES.values():
        refuses(lambda b=bad: CalibrationAlarm().update(Y, b))
        refuses(lambda b=bad: ComparisonAlarm().update(Y, P, b))
        refuses(lambda b=bad: MultiStreamCalibrator().partial_fit(b, Y, Y))
        refuses(lambda b=bad: decisions.QuantileCalibrator().fit(b, [0.5] * 30, 10))


ARROW = {
    "text": lambda v: pa.array(v.astype(str).tolist()),
    "chunks": lambda v: pa.chunked_array([v[:9].astype(str).tolist(), v[9:].astype(str).tolist()]),
    "null text": lambda v: pa.array([None, *v[1:].astype(str).tolist()]),
    "null number": lambda v: pa.array([None, *v[1:].tolist()]),
    "number": lambda v: pa.array(v.tolist()),
    "polars text": lambda v: pl.Series([None, *v[1:].astype(str).tolist()]),
    "pandas": lambda v: pd.Series([None, *v[1:].tolist()], dtype="Int64"),
    "bool": lambda v: pa.array((v > 0).tolist()),
    "null bool": lambda v: pa.array([None, *(v[1:] > 0).tolist()]),
    "polars bool": lambda v: pl.Series([None, *(v[1:] > 0).tolist()]),
}


@pytest.mark.parametrize("kind", ARROW)
@pytest.mark.parametrize("example", ONLINE, ids=name_of)
def test_streams_take_labels_of_every_library(example, kind):
    if "multiclass" in example._traits and "bool" in kind:
        return
    X, y = (K, THREE) if "multiclass" in example._traits else (P, Y)
    plain = y.astype(str) if "text" in kind or kind == "chunks" else y > 0 if "bool" in kind else y
    plain = plain.astype(object)
    if "null" in kind or "polars" in kind or kind == "pandas":
        plain[0] = None
    given = ARROW[kind](y)
    cal, expected = clone(example).partial_fit(X, given), clone(example).partial_fit(X, plain)
    np.testing.assert_array_equal(cal.predict_proba(X), expected.predict_proba(X))
    for one, labels in ((cal, given), (expected, plain)):
        one.forecast(range(30), X)
        one.label(pa.array(range(30)), labels)
    np.testing.assert_array_equal(cal.predict_proba(X), expected.predict_proba(X))


def test_batch_calls_take_labels_of_every_library():
    for kind, make in ARROW.items():
        if "null" in kind or "polars" in kind or kind == "pandas":
            continue
        assert brier_score(make(Y), P) == brier_score(Y, P)
        assert PlattCalibrator().fit(P, make(Y)).slope_ == PlattCalibrator().fit(P, Y).slope_


TINY = {
    "probability": [0.0, 5e-324, 1e-320, 1e-310, 2.3e-308, 1e-200, 1e-17, 0.5, 1.0 - 2.0**-53, 1.0],
    "logit": [0.0, 5e-324, -5e-324, 1e-320, -1e-320, 1e-310, -1e-300, 1e-160, 1e-17, 700.0, -745.0],
}
TINY["logit"] += [1e50, -1e50, 1e100, -1e100]


def tiny_columns(scale):
    """Columns of scores, most of them too small to be squared, or to be normal."""
    v, rng = np.array(TINY[scale]), np.random.default_rng(0)
    yield v[rng.integers(len(v), size=200)]
    yield v[rng.integers(5, size=200)]
    yield np.full(200, v[2])
    yield np.where(np.arange(200) % 3, v[1], v[3])
    yield 1e-320 * rng.random(200)


@pytest.mark.filterwarnings("ignore::calibkit.CalibrationWarning")
@pytest.mark.parametrize("scale", TINY)
@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_scores_next_to_0_give_finite_probabilities(example, scale):
    many, rng = "multiclass" in example._traits, np.random.default_rng(1)
    probe = np.array(TINY[scale])
    for column in tiny_columns(scale):
        for K in (2, 3) if many else (2,):
            y = rng.integers(K, size=200)
            X, new = column, probe
            if K == 3:
                rest = 1.0 - column if scale == "probability" else column[::-1]
                X = np.column_stack((column, rest, np.zeros(200)))
                rest = 1.0 - probe if scale == "probability" else probe[::-1]
                new = np.column_stack((probe, rest, np.zeros(len(probe))))
            cal = clone(example)._set_scale(scale).fit(X, y)
            for q in (cal.predict_proba(X), cal.predict_proba(new)):
                assert np.isfinite(q).all()
                assert (q >= 0).all()
                np.testing.assert_allclose(q.sum(axis=1), 1.0, atol=1e-12)
            if "online" in example._traits:
                q = clone(example)._set_scale(scale).predict_then_update(X, y)
                assert np.isfinite(q).all()


def test_texts_that_are_one_number_are_named():
    mixed = np.array(["0", "1", "0.0", "1.0"] * 5)
    for call in (
        lambda: brier_score(mixed, P[:20]),
        lambda: PlattCalibrator().fit(P[:20], mixed),
        lambda: estimate("brier_score", mixed, P[:20]),
    ):
        with pytest.raises(ValueError, match=r"'0', '0\.0', '1', '1\.0':.*same number.*float"):
            call()
    for plain in ([0, 1, 0.0, 1.0] * 5, np.array([0, 1, 0.0, 1.0] * 5, dtype=object)):
        assert brier_score(plain, P[:20]) == brier_score([0, 1, 0, 1] * 5, P[:20])
    with pytest.raises(ValueError, match=r"4 classes \('0', '1', '2', '3'\)"):
        PlattCalibrator().fit(P[:20], np.array(["0", "1", "2", "3"] * 5))


@pytest.mark.filterwarnings("ignore::calibkit.ReversedScoresWarning")
def test_numbers_compared_as_texts_are_told():
    texts = np.where(Y == 1, "10", "9.0")
    words = r"written as texts, and are sorted as texts: '10', '9\.0'\."
    for call in (lambda: brier_score(texts, P), lambda: PlattCalibrator().fit(P, texts)):
        with pytest.warns(LabelOrderWarning, match=words):
            call()
    frame = pd.DataFrame({"10": P, "9.0": 1.0 - P})
    with pytest.warns(LabelOrderWarning) as caught:
        assert brier_score(texts, 1.0 - P) == pytest.approx(brier_score(Y, P))
    assert len(caught) == 1
    with warnings.catch_warnings():  # what is said by name needs no word
        warnings.simplefilter("error", LabelOrderWarning)
        brier_score(texts, P, pos_label="10")
        log_loss(texts, frame)
        PlattCalibrator().fit(frame, texts)
        PlattCalibrator(classes=["10", "9.0"]).fit(P, texts)
        brier_score(np.where(Y == 1, "2", "1"), P)
