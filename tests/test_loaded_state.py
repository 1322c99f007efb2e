"""Loaded state is reachable state: what no calibrator could have learnt is refused."""

import json
import shutil
import sqlite3
from contextlib import suppress

import numpy as np
import pytest

from calibkit import CalibratedClassifier, CalibrationAlarm, PlattCalibrator, from_dict, to_dict
from calibkit._registry import CALIBRATORS, OTHERS, class_of
from calibkit.online import (
    HedgingCalibrator,
    MultiStreamCalibrator,
    OnlinePlattCalibrator,
    OnlineTemperatureCalibrator,
    TrackingCalibrator,
    WindowedCalibrator,
)
from calibkit.online._call_log import _checksum
from calibkit.testing import binary_data, multiclass_data

from .registry import EXAMPLES
from .test_saved_files import FILES, FOLDER, answers, answers_of_journal

FORGED = (1e200, -1e308, float("inf"), -1, "NaN", 10**400)


def fitted():
    """A saved object of every class: of version 1, or of the registry where that had none."""
    out = {}
    for name in FILES:
        if name.endswith(".json"):
            data = json.loads((FOLDER / name).read_text())
            out.setdefault(type(from_dict(data)), data)
    for example in EXAMPLES:
        if type(example) not in out:
            rows = multiclass_data() if "multiclass" in example._traits else binary_data()
            out[type(example)] = to_dict(example.fit(*rows))
    return out


SAVED = fitted()


def numbers(data, at=()):
    """Places of the numbers in a file; of a list the first, the middle and the last."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from numbers(value, (*at, key))
    elif isinstance(data, list):
        for i in sorted({0, len(data) // 2, len(data) - 1} & set(range(len(data)))):
            yield from numbers(data[i], (*at, i))
    elif type(data) in (int, float):
        yield at


def forged(data, *changes):
    data = json.loads(json.dumps(data))
    for at, value in changes:
        holder = data
        for key in at[:-1]:
            holder = holder[key]
        holder[at[-1]] = value
    return data


def floats(found):
    if isinstance(found, (dict, list)):
        for value in found.values() if isinstance(found, dict) else found:
            yield from floats(value)
    elif isinstance(found, float):
        yield found


def check_sound(found):
    """Raise unless all that was answered is finite, and what is a probability one."""
    assert np.isfinite(list(floats(found))).all()
    free = ("labels", "evidence", "known", "n_seen", "n_rows", "counts", "groups", "waiting")
    p = np.array(list(floats({key: v for key, v in found.items() if key not in free})))
    assert ((p >= 0.0) & (p <= 1.0 + 1e-9)).all()


def test_every_class_that_can_be_saved_is_forged():
    # A classifier's numbers are those of its calibrators, and what skops keeps.
    assert {*SAVED, CalibratedClassifier} == {*CALIBRATORS.values(), *map(class_of, OTHERS)}


@pytest.mark.parametrize("cls", SAVED, ids=lambda cls: cls.__name__)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_forged_numbers_are_refused_or_do_no_harm(cls):
    data, refused = SAVED[cls], 0
    places = list(numbers(data))
    for at in places:
        for value in FORGED:
            try:
                own = from_dict(forged(data, (at, value)))
            except ValueError:
                refused += 1
                continue
            if isinstance(value, float) or at[-1] == "values":
                check_sound(answers(own))
    # Infinities, text and whole numbers beyond all floats at least, but as ids of forecasts.
    assert refused >= 3 * (len(places) - 2)


@pytest.mark.parametrize("cls", SAVED, ids=lambda cls: cls.__name__)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_several_forged_numbers_are_refused_or_do_no_harm(cls):
    rng = np.random.default_rng(0)
    data = SAVED[cls]
    places = [at for at in numbers(data) if at[0] not in ("version", "params")]
    values = (1e308, -1e308, 1e200, 1e-300, 0.0, 1e12, -1e12, 2.0**53)
    for _ in range(10 if places else 0):
        chosen = rng.integers(len(places), size=2 + rng.integers(3))
        changes = [(places[i], values[rng.integers(len(values))]) for i in chosen]
        try:
            own = from_dict(forged(data, *changes))
        except ValueError:
            continue
        check_sound(answers(own))


def state_of(cls, **params):
    return to_dict(cls(**params).fit(*binary_data()))


NAMED = [
    (state_of(OnlinePlattCalibrator), ("factor_", 0), 1e200, "factor_"),
    (state_of(OnlinePlattCalibrator), ("factor_", 1), 1e-300, "factor_"),
    (state_of(OnlinePlattCalibrator), ("factor_", 2), 1e200, "factor_"),
    (state_of(OnlineTemperatureCalibrator), ("inverse_", 0), 1e308, "1 / radius to radius"),
    (state_of(OnlineTemperatureCalibrator), ("inverse_", 1), 1e308, "prior_strength"),
    (state_of(OnlineTemperatureCalibrator), ("n_seen_",), 1e200, "expected a count"),
    (state_of(TrackingCalibrator), ("count_", 3), 1e200, "not counts of n_seen_ labels"),
    (state_of(TrackingCalibrator), ("count_", 3), 1e9, "not counts of n_seen_ labels"),
    (state_of(HedgingCalibrator), ("seed_",), -1, "seed_"),
    (state_of(TrackingCalibrator), ("calibrator_", "state", "factor_", 0), 1e200, "factor_"),
    (
        to_dict(WindowedCalibrator(PlattCalibrator(), refit_every=20).fit(*binary_data())),
        ("scores_", 0), 1e200, "scores_",
    ),
    (
        to_dict(WindowedCalibrator(PlattCalibrator(), refit_every=20).fit(*binary_data())),
        ("due_",), 0.5, "due_",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "at", "value", "words"), NAMED, ids=[f"{n[1]}" for n in NAMED])
def test_state_out_of_reach_is_named(data, at, value, words):
    with pytest.raises(ValueError, match=f"from_dict: .*{words}"):
        from_dict(forged(data, (("state", *at), value)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("values", [[0.0, 1e300], [0.0, float("inf")], [0.0, float("nan")]])
def test_labels_that_are_not_finite_are_refused(dtype, values):
    if values[1] == 1e300 and dtype == "float64":
        return
    p, y = binary_data(50)
    labels = {"dtype": dtype, "values": values}
    data = to_dict(PlattCalibrator().fit(p, y))
    for changed in (
        {**data, "classes": labels},
        {**data, "params": {**data["params"], "classes": labels}},
    ):
        with pytest.raises(ValueError, match="not finite"):
            from_dict(changed)
    alarm, many = CalibrationAlarm(), MultiStreamCalibrator().partial_fit(p, y, 0)
    alarm.update(y, p)
    for own in (alarm, many):
        with pytest.raises(ValueError, match=r"finite|expected"):
            from_dict({**to_dict(own), "classes": [0.0, float("inf")]})
        with pytest.raises(ValueError, match="one type"):
            from_dict({**to_dict(own), "classes": [0, "nan"]})


def test_held_calibrators_are_of_the_parameters_kind():
    data = SAVED[CALIBRATORS["windowed"]]
    other = to_dict(CALIBRATORS["beta"]().fit(*binary_data()))
    other = {key: other[key] for key in ("class", "params", "classes", "state")}
    with pytest.raises(ValueError, match="calibrators_ is beta; expected platt"):
        from_dict(forged(data, (("state", "calibrators_", 0), other)))


@pytest.mark.parametrize("cls", SAVED, ids=lambda cls: cls.__name__)
def test_loading_changes_nothing(cls):
    once = from_dict(SAVED[cls])
    assert to_dict(once) == to_dict(from_dict(to_dict(once)))


# -- journals ---------------------------------------------------------------------------------


def rewritten(path, change):
    """A journal whose row of state is changed, its checksums made right again."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    row = connection.execute("SELECT started, snapshot, seq, n_rows FROM state").fetchone()
    started, snapshot, seq, n_rows = change(*row)
    crc = _checksum((started, seq, n_rows), (snapshot,), 0)
    connection.execute(
        "UPDATE state SET started=?, snapshot=?, seq=?, n_rows=?, crc=?",
        (started, snapshot, seq, n_rows, crc),
    )
    at = seq
    for call, *parts in connection.execute("SELECT * FROM calls ORDER BY seq").fetchall():
        at += 1
        crc = _checksum((at, *parts[:2]), tuple(parts[2:5]), crc)
        connection.execute("UPDATE calls SET seq=?, crc=? WHERE seq=?", (at, crc, call))
    connection.commit()
    connection.close()


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".db")])
def test_forged_journals_are_refused_or_do_no_harm(name, tmp_path):
    path = tmp_path / name
    shutil.copy(FOLDER / name, path)
    rewritten(path, lambda *row: row)
    answers_of_journal(path)  # the forger's hand is good
    shutil.copy(FOLDER / name, path)
    seen = []
    rewritten(path, lambda *row: seen.append(row[1]) or row)
    snapshot = json.loads(seen[0])
    places = [at for at in numbers(snapshot) if at[0] not in ("params", "version")]
    for i, at in enumerate(places[::2]):
        shutil.copy(FOLDER / name, path)
        text = json.dumps(forged(snapshot, (at, (1e200, -1)[i % 2]))).encode()
        rewritten(path, lambda started, _, seq, n, text=text: (started, text, seq, n))
        with suppress(ValueError):
            check_sound(answers_of_journal(path))


@pytest.mark.parametrize("at", [0, 2, 3], ids=["started", "seq", "n_rows"])
@pytest.mark.parametrize("value", [-1, 2**63 - 1])
def test_forged_counts_of_journals_are_refused(at, value, tmp_path):
    path = tmp_path / "state.db"
    shutil.copy(FOLDER / "tracking.db", path)
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM calls")
    connection.commit()
    connection.close()
    rewritten(path, lambda *row: (*row[:at], value, *row[at + 1 :]))
    with pytest.raises(ValueError, match="is damaged"):
        answers_of_journal(path)


def test_any_of_many_streams_is_checked():
    p, y = binary_data(5000)
    data = to_dict(MultiStreamCalibrator().partial_fit(p, y, np.arange(5000)))
    for name, value in (("l", 1e9), ("d1", 1e30), ("slope", 1e200), ("n_seen", 1e300)):
        with pytest.raises(ValueError, match="streams"):
            from_dict(forged(data, (("streams", name, 1234), value)))
