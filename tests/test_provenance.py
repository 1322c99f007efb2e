"""What a fitted object came from: said by files, part of no comparison, gone in a clone."""

import json
import pickle
import re
import time
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

import calibkit
from calibkit import (
    CalibratedClassifier,
    CalibrationAlarm,
    ComparisonAlarm,
    PlattCalibrator,
    TemperatureCalibrator,
    from_dict,
    load,
    save,
    to_dict,
)
from calibkit._core.provenance import provenance
from calibkit._registry import OTHERS, class_of
from calibkit.decisions import (
    DecisionRule,
    QuantileCalibrator,
    RiskControlledThreshold,
    TriagePolicy,
)
from calibkit.online import MultiStreamCalibrator, OnlinePlattCalibrator
from calibkit.testing import binary_data, multiclass_data

from .registry import EXAMPLES, name_of

P, Y = binary_data(300)


def fitted(cal):
    p, y = multiclass_data(600) if "lift" in cal._traits else (P, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(cal).fit(p, y), len(y)


def others():
    """All that can be saved beside calibrators, and the rows it was fitted on."""
    gate = RiskControlledThreshold(0.3).fit(P, Y)
    rule = DecisionRule("a_signal", PlattCalibrator().fit(P, Y), gate)
    alarm = CalibrationAlarm()
    alarm.update(Y, P)
    race = ComparisonAlarm()
    race.update(Y, P, P / 2)
    yield gate, 300
    yield rule, 300
    yield TriagePolicy(cost_accept_wrong=5, cost_review=1, cost_discard_right=2), None
    yield QuantileCalibrator().fit(P, (Y + 1) / 3, n_trials=np.full(300, 3)), 300
    yield alarm, 300
    yield race, 300
    yield MultiStreamCalibrator().partial_fit(P, Y, stream=np.arange(300) % 7), 300


def check(found, n_rows, tmp_path, monkeypatch, hashed):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    path, again = tmp_path / "one.json", tmp_path / "two.json"
    before = to_dict(found)
    save(found, path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert to_dict(found) == before
    said = json.loads(path.read_text())["fitted_on"]
    assert (said["rows"], said["calibkit"]) == (n_rows, calibkit.__version__)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said["when"])
    assert (said["hash"] is not None) == hashed
    back = load(path)
    assert to_dict(back) == before
    assert back.fitted_on_.rows == n_rows
    save(back, again)
    assert path.read_text() == again.read_text()
    del (data := json.loads(path.read_text()))["fitted_on"]  # as the first files had none
    assert to_dict(from_dict(data)) == before


@pytest.mark.parametrize("cal", EXAMPLES, ids=name_of)
def test_files_of_calibrators_say_what_they_were_fitted_on(cal, tmp_path, monkeypatch):
    cal = clone(cal)  # other tests may have fitted the example
    assert cal.fitted_on_ is None
    found, n = fitted(cal)
    hashed = bool(cal._state)
    check(found, n, tmp_path, monkeypatch, hashed)
    assert abs(time.time() - found.fitted_on_.when) < 3600
    assert clone(found).fitted_on_ is None


@pytest.mark.parametrize("at", range(6))
def test_files_of_all_else_say_it_too(at, tmp_path, monkeypatch):
    found, n_rows = list(others())[at]
    hashed = isinstance(found, (RiskControlledThreshold, QuantileCalibrator, DecisionRule))
    check(found, n_rows, tmp_path, monkeypatch, hashed)


def test_each_kind_of_file_is_asked():
    assert {type(found) for found, _ in others()} | {CalibratedClassifier} == set(
        map(class_of, OTHERS)
    )


def test_the_same_rows_have_the_same_hash():
    def hash_of(p, y, w=None):
        return PlattCalibrator().fit(p, y, w).fitted_on_.hash

    one = hash_of(P, Y)
    for p in (P[:, None], np.column_stack((1 - P, P)), P.tolist(), P[::-1][::-1]):
        assert hash_of(p, np.array(["no", "yes"])[Y]) == one
    assert hash_of(np.append(P, 0.5), np.append(Y, 1), np.append(np.ones(300), 0)) == one
    assert hash_of(P, Y == 1) == hash_of(P, Y.astype(float)) == one
    assert hash_of(P, (np.arange(300) == 7) ^ Y) != one
    assert TemperatureCalibrator().fit(*multiclass_data(30)).fitted_on_.rows == 30
    assert len({one, hash_of(P[::-1], Y), hash_of(P[:-1], Y[:-1]), hash_of(P**1.01, Y)}) == 4


@pytest.mark.parametrize("n", [10, 1000, 1018, 5000])
def test_one_bit_changes_the_hash(n):
    rng = np.random.default_rng(n)
    p, y = rng.random(n), rng.integers(0, 2, n)
    found = {provenance(n, p, y).hash}
    for i in rng.integers(0, n - 1, 20):
        nudged, other = p.copy(), y.copy()
        nudged[i] = np.nextafter(p[i], 1)
        other[i] = 1 - y[i]
        swapped = p.copy()
        swapped[[i, i + 1]] = p[[i + 1, i]]
        found |= {provenance(n, *data).hash for data in ((nudged, y), (p, other), (swapped, y))}
    assert len(found) > (40 if n > 10 else 20)


def test_a_refit_and_more_labels_change_it(monkeypatch):
    cal = PlattCalibrator().fit(P, Y)
    first = cal.fitted_on_
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    with pytest.raises(ValueError, match="one class"):
        cal.fit(P, Y * 0)
    assert cal.fitted_on_ == first
    assert cal.fit(P[:200], Y[:200]).fitted_on_.hash != first.hash
    assert str(cal.fitted_on_).startswith("fitted on 200 rows (hash ")
    assert "2001-09-09T01:46:40Z" in str(cal.fitted_on_)
    stream = OnlinePlattCalibrator().fit(P, Y).partial_fit(P[:7], Y[:7])
    assert stream.fitted_on_[:2] == (307, 1e9)
    assert stream.fitted_on_.hash is None
    assert cal.__sklearn_is_fitted__()
    assert pickle.loads(pickle.dumps(cal)).fitted_on_ == cal.fitted_on_


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_classifier_and_its_calibrators_know_it(ensemble):
    X = np.column_stack((P, P**2))
    model = CalibratedClassifier(LogisticRegression(), ensemble=ensemble).fit(X, Y)
    assert model.fitted_on_.rows == 300
    assert sum(c.fitted_on_.rows for c in model.calibrators_) == 300
    assert clone(model).fitted_on_ is None


@pytest.mark.parametrize(
    "change",
    [
        {"rows": -1},
        {"rows": 1.5},
        {"rows": True},
        {"when": "yesterday"},
        {"when": 5},
        {"calibkit": None},
        {"hash": 7},
        {"more": 1},
    ],
    ids=str,
)
def test_odd_provenance_is_refused(change):
    data = to_dict(PlattCalibrator().fit(P, Y))
    said = {"rows": 3, "when": "2026-01-31T12:00:00Z", "calibkit": "0.1.0", "hash": None}
    assert from_dict({**data, "fitted_on": said}).fitted_on_.rows == 3
    for odd in ({**said, **change}, [], None):
        with pytest.raises(ValueError, match="fitted_on is not what calibkit writes"):
            from_dict({**data, "fitted_on": odd})
