"""Persistence: exact, versioned, and unimpressed by hostile files."""

import json
import os
import stat
import subprocess
import sys
from contextlib import suppress
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from calibkit import (
    CalibrationAlarm,
    IsotonicCalibrator,
    OneVsRestCalibrator,
    PlattCalibrator,
    ScalingBinningCalibrator,
    TemperatureCalibrator,
    TopLabelCalibrator,
    from_dict,
    load,
    save,
    to_dict,
)
from calibkit.online import Journal, MultiStreamCalibrator, TrackingCalibrator
from calibkit.testing import binary_data, multiclass_data


@pytest.fixture
def platt():
    p, y = binary_data()
    return PlattCalibrator().fit(p, y)


def lifted():
    return OneVsRestCalibrator(IsotonicCalibrator()).fit(*multiclass_data())


def test_a_file_gives_back_the_same_bits(tmp_path):
    p, y = multiclass_data()
    names = np.array(["a", "b", "c", "d"])[y]
    for cal in (
        TemperatureCalibrator(classes=["a", "b", "c", "d"]),
        OneVsRestCalibrator(IsotonicCalibrator(interpolation="centred")),
        TopLabelCalibrator(PlattCalibrator(l2=0.5, eps=1e-3)),
    ):
        cal.fit(p, names)
        save(cal, tmp_path / "cal.json")
        back = load(tmp_path / "cal.json")
        np.testing.assert_array_equal(back.predict_proba(p), cal.predict_proba(p))
        np.testing.assert_array_equal(back.predict(p), cal.predict(p))
        assert repr(back) == repr(cal) or "classes" in repr(cal)
        back.fit(p, names)


def own_kinds():
    """What is no calibrator of scores alone and writes itself."""
    p, y = binary_data(50)
    alarm = CalibrationAlarm(alpha=0.01)
    alarm.update(y, p)
    return [MultiStreamCalibrator().partial_fit(p, y, np.arange(50) % 7), alarm]


@pytest.mark.parametrize("own", own_kinds(), ids=lambda o: type(o).__name__)
def test_what_writes_itself_is_saved_like_any(own, tmp_path):
    save(own, tmp_path / "own.json")
    back = load(tmp_path / "own.json")
    assert type(back) is type(own)
    assert to_dict(back) == to_dict(own)
    with pytest.raises(TypeError, match="Mine is not a calibrator of calibkit"):
        to_dict(type("Mine", (type(own),), {})())


@pytest.mark.parametrize("own", own_kinds(), ids=lambda o: type(o).__name__)
def test_changed_files_of_what_writes_itself_are_refused(own):
    data = to_dict(own)
    values = (None, [], {}, "a", -1, 10**400, float("nan"), [[]], [{}])
    taken = []
    for key, value in product(data, values):
        with suppress(ValueError):
            back = from_dict({**data, key: value})
            assert to_dict(back) == {**data, key: value}
            taken.append((key, value))
    # An alarm may be silent, and need not know its classes.
    silent = [("classes", None), ("alarm_time", None)]
    assert taken == (silent if isinstance(own, CalibrationAlarm) else [])


def test_a_journal_is_no_json(tmp_path):
    path = tmp_path / "state.db"
    with Journal(path, TrackingCalibrator(classes=[0, 1])) as journal:
        journal.partial_fit([0.2, 0.8], [0, 1])
        with pytest.raises(TypeError, match="for a Journal save its calibrator_"):
            save(journal, tmp_path / "cal.json")
    with pytest.raises(
        ValueError, match=r"state\.db: is an SQLite file.*Journal\(path\)\.calibrator_"
    ):
        load(path)
    save(Journal(path).calibrator_, tmp_path / "cal.json")
    assert load(tmp_path / "cal.json").n_seen_ == 2


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_every_float_survives(slope, intercept):
    p, y = binary_data(20)
    cal = PlattCalibrator().fit(p, y)
    cal.slope_, cal.intercept_ = slope, intercept
    back = from_dict(json.loads(json.dumps(to_dict(cal))))
    assert (back.slope_, back.intercept_) == (slope, intercept)


@pytest.mark.parametrize(
    "labels",
    [[False, True], [-1, 1], [1.5, 2.5], ["no", "ja"], np.array([3, 9], dtype=np.int8)],
    ids=str,
)
def test_labels_come_back_with_their_type(labels):
    p, y = binary_data()
    names = np.sort(np.asarray(labels))
    if names.dtype.kind == "f":
        names = np.array([1.0, 2.0])
    cal = PlattCalibrator().fit(p, names[y])
    back = from_dict(json.loads(json.dumps(to_dict(cal))))
    assert back.classes_.dtype == cal.classes_.dtype
    np.testing.assert_array_equal(back.predict(p), cal.predict(p))


def test_what_can_not_be_saved_is_said(platt, tmp_path):
    p, y = binary_data()
    with pytest.raises(NotFittedError):
        to_dict(PlattCalibrator())
    with pytest.raises(TypeError, match=r"LogisticRegression is not.*CalibratedClassifier"):
        save(LogisticRegression().fit(p[:, None], y), tmp_path / "model.json")

    class Mine(PlattCalibrator):
        pass

    with pytest.raises(TypeError, match="Mine"):
        to_dict(Mine().fit(p, y))
    dates = np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]")
    platt.classes_ = dates
    with pytest.raises(TypeError, match="class labels"):
        to_dict(platt)
    assert os.listdir(tmp_path) == []


def test_a_file_appears_whole_or_not_at_all(platt, tmp_path, monkeypatch):
    path = tmp_path / "cal.json"
    save(platt, path)
    before = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444 & ~os.umask(os.umask(0o022) or 0o022)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save(platt, path)
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["cal.json"]


def broken(data, *path, value=None, drop=False, rename=None):
    data = json.loads(json.dumps(data))
    at = data
    for key in path[:-1]:
        at = at[key]
    if drop:
        del at[path[-1]]
    elif rename:
        at[rename] = at.pop(path[-1])
    else:
        at[path[-1]] = value
    return data


HUGE = 10**400


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("format",), "pickle", "format"),
        (("version",), 2, "newer calibkit"),
        (("version",), True, "version"),
        (("class",), "os.system", "expected one of"),
        (("class",), ["platt"], "expected one of"),
        (("class",), "temperature", "unknown keys"),
        (("params",), [], "expected a dict"),
        (("params", "l2"), -1.0, "l2"),
        (("params", "l2"), "0", "l2"),
        (("params", "scale"), "odds", "scale"),
        (("params", "scale"), None, "scale"),
        (("params", "eps"), {"a": 1}, "eps"),
        (("params", "classes"), [0, 1], "expected a dict"),
        (("params", "classes"), {"dtype": "int64", "values": [1, 0]}, "sorted"),
        (("classes",), None, "expected a dict"),
        (("classes", "dtype"), "object_", "unknown dtype"),
        (("classes", "dtype"), "str", "of type str"),
        (("classes", "dtype"), "int8", None),
        (("classes", "values"), [0, 300, 301], "3 classes; expected two"),
        (("classes", "values"), [1], "two or more"),
        (("classes", "values"), [0, True], "of type"),
        (("classes", "values"), [0, [1]], "of type"),
        (("classes", "values"), [0, HUGE], "do not fit"),
        (("state", "slope_"), None, "slope_"),
        (("state", "slope_"), "1.0", "slope_"),
        (("state", "slope_"), True, "slope_"),
        (("state", "slope_"), float("nan"), "finite"),
        (("state", "slope_"), float("inf"), "finite"),
        (("state", "slope_"), HUGE, "finite"),
        (("state", "slope_"), [1.0], "slope_"),
        (("state", "converged_"), 1, "true or false"),
        (("state", "clip_"), [0.1], "clip_"),
        (("state", "clip_"), [0.1, 0.9], "clip_"),
        (("state", "clip_"), 0.1, "expected a list"),
        (("state", "clip_"), [[0.1], [0.1]], "clip_"),
        (("state",), {}, "lacks"),
        (("extra",), 1, "unknown keys"),
        (("state", "__class__"), 1, "unknown keys"),
        (("params", "calibrator"), {}, "unknown keys"),
    ],
    ids=str,
)
def test_hostile_values_are_refused(platt, path, value, words):
    data = broken(to_dict(platt), *path, value=value)
    if words is None:
        assert from_dict(data).classes_.dtype == np.int8
        return
    with pytest.raises(ValueError, match=words):
        from_dict(data)


@pytest.mark.parametrize("key", ["format", "version", "class", "params", "classes", "state"])
def test_missing_keys_are_refused(platt, key):
    with pytest.raises(ValueError, match="lacks"):
        from_dict(broken(to_dict(platt), key, drop=True))


def test_inconsistent_isotonic_tables_are_refused():
    p, y = binary_data()
    data = to_dict(IsotonicCalibrator().fit(p, y))
    for name, change, words in (
        ("value_", lambda v: v[::-1], "ascending"),
        ("x_", lambda v: v[::-1], "ascending"),
        ("x_", lambda v: v[:-1], "length"),
        ("value_", lambda v: [*v[:-1], 1.5], "outside"),
        ("value_", lambda v: [], "length"),
    ):
        with pytest.raises(ValueError, match=words):
            from_dict(broken(data, "state", name, value=change(data["state"][name])))


def test_nested_calibrators_are_checked_like_any():
    data = to_dict(lifted())
    deep = json.loads(json.dumps(data))
    for _ in range(10):
        deep = {**data, "params": {**data["params"], "calibrator": {
            "class": "one_vs_rest", "params": deep["params"]}}}  # fmt: skip
    with pytest.raises(ValueError, match=r"nested|lift"):
        from_dict(deep)
    with pytest.raises(ValueError, match="3 calibrators for 4 classes"):
        from_dict(broken(data, "state", "calibrators_", value=data["state"]["calibrators_"][:3]))
    inner = dict(data["state"]["calibrators_"][0], **{"class": "identity"})
    with pytest.raises(ValueError, match="unknown keys"):
        from_dict(broken(data, "state", "calibrators_", 0, value=inner))
    whole = {k: v for k, v in data.items() if k not in ("format", "version")}
    with pytest.raises(ValueError, match="binary calibrators"):
        from_dict(broken(data, "state", "calibrators_", 0, value=whole))


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "3", '"platt"', "\x00\x01", "NaN", "[" * 100_000,
        '{"format": "calibkit", "format": "calibkit"}', '{"a": Infinity}', "{" + '"a":{' * 50_000,
        "cos\nsystem\n(S'true'\ntR.", "1" * 5000,
    ],
    ids=lambda t: t[:12],
)  # fmt: skip
def test_hostile_files_are_refused_by_name(tmp_path, text):
    path = tmp_path / "evil.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"load: .*evil\.json"):
        load(path)


def test_files_that_are_not_text_or_not_there(tmp_path):
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ValueError, match=r"b\.json"):
        load(tmp_path / "b.json")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
places = st.sampled_from([
    ("class",), ("params",), ("params", "l2"), ("params", "eps"), ("params", "classes"),
    ("classes",), ("classes", "dtype"), ("classes", "values"), ("version",), ("format",),
    ("state",), ("state", "slope_"), ("state", "clip_"), ("state", "converged_"),
])  # fmt: skip


@settings(max_examples=300)
@given(places, json_values)
def test_any_change_is_refused_or_gives_a_sound_calibrator(path, value):
    p, y = binary_data(30)
    data = broken(to_dict(PlattCalibrator().fit(p, y)), *path, value=value)
    try:
        cal = from_dict(data)
    except ValueError:
        return
    q = cal.predict_proba(p)
    assert ((q >= 0) & (q <= 1)).all()


def test_a_calibrator_of_ones_own_inside_another_is_refused():
    class Squared(PlattCalibrator):
        def _predict(self, s):
            return super()._predict(s) ** 2

    p, y = binary_data()
    for outer in (ScalingBinningCalibrator(Squared(), n_bins=4), OneVsRestCalibrator(Squared())):
        with pytest.raises(TypeError, match="Squared is not a registered calibrator"):
            to_dict(outer.fit(p, y))


def test_the_command_line_by_its_module():
    command = [sys.executable, "-m", "calibkit", "methods"]
    assert "tracking" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
