"""The journal: what was acknowledged is there, bit for bit, whatever happened in between."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calibkit import (
    IsotonicCalibrator,
    PlattCalibrator,
    ReplacedForecastWarning,
    from_dict,
    to_dict,
)
from calibkit.online import (
    AdaptivePlattCalibrator,
    HedgingCalibrator,
    Journal,
    MultiStreamCalibrator,
    OnlineBetaCalibrator,
    OnlineCalibratedClassifier,
    OnlinePlattCalibrator,
    OnlineTemperatureCalibrator,
    TrackingCalibrator,
    WindowedCalibrator,
)
from calibkit.online._calls import Call

from .test_stream_delivery import KILL

ROOT = Path(__file__).parent.parent
MAKERS = {
    "platt": OnlinePlattCalibrator,
    "platt, logits": lambda: OnlinePlattCalibrator(scale="logit", discount=0.99),
    "beta": lambda: OnlineBetaCalibrator(start=(1, -1, 0.5)),
    "adaptive": AdaptivePlattCalibrator,
    "tracking": lambda: TrackingCalibrator(OnlineBetaCalibrator(), n_bins=7),
    "hedging": lambda: HedgingCalibrator(random_state=3),
    "windowed": lambda: WindowedCalibrator(IsotonicCalibrator(), window=40, refit_every=15),
    "names": lambda: OnlinePlattCalibrator(classes=["no", "yes"]),
    "few forecasts": lambda: OnlinePlattCalibrator(max_pending=9),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


def crash(journal):
    """What a kill leaves: the file without the snapshot of an orderly end."""
    journal._log.close()


def stream(n, seed=0, *, labels=(0, 1), logits=False):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    y = np.array(labels, dtype=object)[(rng.random(n) < p**2).astype(int)]
    y[rng.random(n) < 0.1] = None
    return (np.log(p / (1 - p)) if logits else p), y


def calls(maker, n=60, seed=0):
    """Calls of all kinds, the first of which brings both classes."""
    rng = np.random.default_rng(seed)
    labels = ("no", "yes") if maker == "names" else (0, 1)
    yield "partial_fit", ([0.3, 0.6], list(labels))
    for i in range(n):
        x, y = stream(int(rng.integers(1, 12)), i, labels=labels, logits="logits" in maker)
        kind = rng.choice(["partial_fit", "predict_then_update", "one", "forecast", "label"])
        if kind == "one":
            yield "learn_one", (float(x[0]), y[0])
        elif kind == "forecast":
            yield "forecast", ([f"{i} {k}" if k % 2 else 100 * i + k for k in range(len(x))], x)
        elif kind == "label":
            ids = [f"{k} 1" for k in range(max(0, i - 5), i)] + [100 * i]
            yield "label", (ids, [labels[k % 2] for k in range(len(ids) - 1)] + [None])
        else:
            yield str(kind), (x, y)


# -- the same bits --------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 50, 10_000])
@pytest.mark.parametrize("maker", MAKERS)
def test_a_run_with_crashes_equals_one_without(path, maker, every):
    plain = MAKERS[maker]()
    journal = Journal(path, MAKERS[maker](), snapshot_every=every)
    for i, (name, args) in enumerate(calls(maker)):
        found, expected = getattr(journal, name)(*args), getattr(plain, name)(*args)
        if name in ("predict_then_update", "forecast"):
            np.testing.assert_array_equal(found, expected)
        elif name == "label":
            assert found == expected
        if i % 7 == 0:
            crash(journal)
            journal = Journal(path, None if i % 2 else MAKERS[maker](), snapshot_every=every)
            assert to_dict(journal.calibrator_) == to_dict(plain)
    x, _ = stream(20, 99, logits="logits" in maker)
    np.testing.assert_array_equal(journal.predict_proba(x), plain.predict_proba(x))
    assert journal.predict_proba_one(float(x[0])) == plain.predict_proba_one(float(x[0]))
    journal.close()
    with Journal(path) as again:
        assert to_dict(again.calibrator_) == to_dict(plain)


@pytest.mark.parametrize("scale", ["probability", "logit"])
def test_many_classes_and_single_precision(path, scale):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 3))
    x = (z if scale == "logit" else np.exp(z) / np.exp(z).sum(1, keepdims=True)).astype(np.float32)
    y = np.array(["a", "b", "c"])[(z + rng.gumbel(size=z.shape)).argmax(1)]
    plain, make = OnlineTemperatureCalibrator(scale=scale), OnlineTemperatureCalibrator
    journal = Journal(path, make(scale=scale))
    for rows in np.split(np.arange(60), 6):
        plain.partial_fit(x[rows], y[rows], classes=["a", "b", "c"])
        journal.partial_fit(x[rows], y[rows], classes=["a", "b", "c"])
    plain.forecast([1, 2], x[:2]), journal.forecast([1, 2], x[:2])
    plain.learn_one(x[0].tolist(), "b"), journal.learn_one(x[0].tolist(), "b")
    crash(journal)
    with Journal(path) as again:
        assert to_dict(again.calibrator_) == to_dict(plain)
        assert again.label([2], ["c"]).n_learned == 1
        assert again.n_rows == 64


def test_200_classes(path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 200)), rng.integers(0, 200, 50)
    journal = Journal(path, OnlineTemperatureCalibrator(scale="logit", classes=np.arange(200)))
    journal.partial_fit(x, y)
    expected = to_dict(journal.calibrator_)
    crash(journal)
    with Journal(path) as again:
        assert to_dict(again.calibrator_) == expected


def test_a_seed_that_was_drawn_is_kept(path):
    journal = Journal(path, HedgingCalibrator())
    first = journal.predict_proba_one(0.31)  # draws the seed, before any label
    crash(journal)
    journal = Journal(path, HedgingCalibrator())
    assert journal.predict_proba_one(0.31) == first
    x, y = stream(300)
    journal.partial_fit(x[:200], y[:200])
    plain = from_dict(to_dict(journal.calibrator_))
    crash(journal)
    with Journal(path) as again:
        found = again.predict_then_update(x[200:], y[200:])
        np.testing.assert_array_equal(found, plain.predict_then_update(x[200:], y[200:]))


def test_late_labels_survive(path):
    journal = Journal(path, TrackingCalibrator(classes=[0, 1]))
    journal.forecast(["a", "b", 3], [0.2, 0.7, 0.9])
    crash(journal)
    with Journal(path) as again:
        assert len(again.calibrator_.pending_) == 3
        assert again.label([3, "a", "x"], [1, 0, 1]) == (2, ["x"], [])
        assert len(again.calibrator_.pending_) == 1
        assert again.n_rows == 6


def test_a_new_file_starts_from_what_a_calibrator_has_learnt(path):
    cal = TrackingCalibrator().partial_fit(*stream(50))
    before = to_dict(cal)
    journal = Journal(path, cal)
    assert to_dict(journal.calibrator_) == before
    journal.partial_fit(*stream(10, 1))
    assert to_dict(cal) == before, "the caller's calibrator is left alone"
    expected = to_dict(journal.calibrator_)
    crash(journal)
    with Journal(path, TrackingCalibrator().partial_fit(*stream(9, 2))) as again:
        assert to_dict(again.calibrator_) == expected, "the file goes before what is given"


def test_before_any_label(path):
    Journal(path, OnlinePlattCalibrator()).close()
    with Journal(path, OnlinePlattCalibrator()) as journal:
        with pytest.raises(ValueError, match="has no labels yet"):
            journal.predict_proba([0.5])
        journal.partial_fit([0.4], [1])
    with Journal(path) as journal:
        assert journal.n_rows == journal.calibrator_.n_seen_ == 1


# -- many streams ---------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 50, 10_000])
@pytest.mark.parametrize("names", [False, True])
def test_many_streams_in_one_journal(path, names, every):
    """As one calibrator after the other: a run with crashes equals one without."""

    def make():
        return MultiStreamCalibrator(max_pending=20)

    rng = np.random.default_rng(0)
    plain, journal = make(), Journal(path, make(), snapshot_every=every)
    for i in range(60):
        x, y = stream(int(rng.integers(1, 9)), i)
        keys = rng.integers(0, 12, len(x)) + 2**40
        keys = np.array([f"tenant {g}" for g in keys], dtype=object) if names else keys
        rows = [f"{i} {k}" for k in range(len(x))]
        late = [f"{i - 1} {k}" for k in range(6)]
        np.testing.assert_array_equal(
            journal.forecast(rows, x, keys), plain.forecast(rows, x, keys)
        )
        found = journal.predict_then_update(x, y, stream=keys)
        np.testing.assert_array_equal(found, plain.predict_then_update(x, y, keys))
        labels = [k % 2 for k in range(6)]
        assert journal.label(late, labels) == plain.label(late, labels)
        journal.partial_fit(x, y, stream=keys[0]), plain.partial_fit(x, y, keys[0])
        if i % 7 == 0:
            crash(journal)
            journal = Journal(path, None if i % 2 else make(), snapshot_every=every)
            assert to_dict(journal.calibrator_) == to_dict(plain)
    np.testing.assert_array_equal(journal.predict_proba(x, keys), plain.predict_proba(x, keys))
    journal.close()
    assert "MultiStreamCalibrator: " in repr(journal)
    with Journal(path) as again:
        assert to_dict(again.calibrator_) == to_dict(plain)
        before = to_dict(plain), again.n_rows
        for call, words in (
            (lambda: again.partial_fit([0.5], [1]), r"no classes\. Pass stream=\[...\] by name"),
            (
                lambda: again.partial_fit([0.5], [1], keys),
                "the stream of each row and no classes",
            ),
            (lambda: again.forecast([1], [0.5]), "forecast: .*expected the stream"),
        ):
            with pytest.raises(TypeError, match=words):
                call()
        with pytest.raises(ValueError, match="stream holds"):
            again.partial_fit([0.5], [1], stream=3 if names else "a")
        with pytest.raises(AttributeError, match="learn_one"):
            again.learn_one(0.5, 1)
        assert (to_dict(again.calibrator_), again.n_rows) == before
    with pytest.raises(ValueError, match=r"gamma is 0\.3, in the file 0\.1"):
        Journal(path, MultiStreamCalibrator(gamma=0.3, max_pending=20))


def test_one_stream_takes_no_group(path):
    with Journal(path, TrackingCalibrator()) as journal:
        for call in (
            lambda: journal.partial_fit([0.2, 0.4], [0, 1], stream=[1, 2]),
            lambda: journal.predict_proba([0.2], 1),
            lambda: journal.forecast([1], [0.2], 1),
        ):
            with pytest.raises(
                TypeError, match="stream is passed, but the calibrator has one stream"
            ):
                call()
        assert journal.n_rows == 0


# -- killed ---------------------------------------------------------------------------------


def test_kill_9_at_random_moments():
    """A process is killed 16 times; after each the file holds all that was acknowledged."""
    script = [sys.executable, str(ROOT / "benchmarks" / "journal_kill.py"), "16", "--seed", "5"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(script, capture_output=True, text=True, timeout=300, env=env, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert sum("killed after" in line for line in lines) == 16
    at_work = re.findall(r"killed .* acknowledged (\d+) calls, on file (\d+)", done.stdout)
    assert len({int(a) for a, _ in at_work}) > 5, "the kills were spread over the run"
    assert lines[-1] == "16 children killed on 2 files: every acknowledged call was there"


HOLD = """
import sys
from calibkit.online import Journal, TrackingCalibrator
journal = Journal(sys.argv[1], TrackingCalibrator())
journal.partial_fit([0.2, 0.8], [0, 1])
print("ready", flush=True)
sys.stdin.read()
"""


def test_two_processes(path):
    command = [sys.executable, "-c", HOLD, str(path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    ) as holder:
        assert holder.stdout.readline() == b"ready\n"
        for given in (None, TrackingCalibrator()):
            with pytest.raises(
                BlockingIOError, match=r"state\.db is in use.* Close the other one first"
            ) as caught:
                Journal(path, given)
            assert "\n" not in str(caught.value)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with Journal(path) as journal:  # the lock has died with its process
            assert journal.n_rows == 2


def test_two_journals_of_one_process(path):
    with Journal(path, TrackingCalibrator()) as journal:
        journal.partial_fit([0.2, 0.8], [0, 1])
        with pytest.raises(BlockingIOError, match="another Journal"):
            Journal(path)
        journal.partial_fit([0.2], [0])
    with Journal(path) as again:
        assert again.n_rows == 3


FORK = """
import os, sys
from calibkit import to_dict
from calibkit.online import Journal, TrackingCalibrator
journal = Journal(sys.argv[1], TrackingCalibrator())
journal.partial_fit([0.2, 0.8], [0, 1])
pid = os.fork()
if pid == 0:
    try:
        journal.partial_fit([0.5], [1])
    except BlockingIOError as error:
        assert "fork" in str(error)
    else:
        os._exit(1)
    with journal:
        pass
    del journal
    sys.exit(0)  # an orderly end, which closes what is open
assert os.waitpid(pid, 0)[1] == 0
for _ in range(50):
    journal.partial_fit([0.2, 0.4], [0, 1])
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_can_do_no_harm(path):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FORK, str(path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    with Journal(path) as journal:
        assert journal.n_rows == 102


# -- both or neither ------------------------------------------------------------------------


def fill_the_disk(journal):
    """Let the file grow no more; returns what frees it again."""
    run = journal._log._connection.execute
    run(f"PRAGMA max_page_count = {run('PRAGMA page_count').fetchone()[0]}")
    return lambda: run("PRAGMA max_page_count = 1000000")


def test_a_full_disk_changes_nothing(path):
    journal = Journal(path, TrackingCalibrator(), snapshot_every=100_000)
    journal.partial_fit(*stream(100))
    journal.forecast(["a"], [0.4])
    before, rows = to_dict(journal.calibrator_), journal.n_rows
    cal = journal.calibrator_
    free = fill_the_disk(journal)
    x, y = stream(5000, 1)
    ids = [f"a long name {i}" for i in range(5000)]
    for attempt in (
        lambda: journal.partial_fit(x, y),
        lambda: journal.predict_then_update(x, y),
        lambda: journal.forecast(ids, x),
        lambda: journal.label(["a", *ids], [1, *y]),
    ):
        with pytest.raises(OSError, match=r"state\.db: database or disk is full; nothing was"):
            attempt()
        assert journal.calibrator_ is cal
        assert to_dict(cal) == before
        assert journal.n_rows == rows
    free()
    journal.partial_fit(x, y)
    expected = to_dict(cal)
    assert expected != before
    crash(journal)
    with Journal(path) as again:
        assert to_dict(again.calibrator_) == expected
        assert again.n_rows == 5101


@pytest.mark.filterwarnings("ignore::calibkit.ReplacedForecastWarning")
@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_leaves_memory_and_file_alike(path, monkeypatch, after):
    journal = Journal(path, HedgingCalibrator(random_state=0))
    journal.partial_fit(*stream(30))
    append = journal._log.append

    def interrupted(call):
        if after:
            append(call)
        raise KeyboardInterrupt

    monkeypatch.setattr(journal._log, "append", interrupted)
    for i in range(2):
        with pytest.raises(KeyboardInterrupt):
            journal.forecast([i, 7], [0.1, 0.2])
        with pytest.raises(KeyboardInterrupt):
            journal.partial_fit(*stream(5, i + 1))
    monkeypatch.undo()
    assert journal.n_rows == (44 if after else 30)
    in_memory = to_dict(journal.calibrator_)
    crash(journal)
    with Journal(path) as again:
        assert to_dict(again.calibrator_) == in_memory
        assert again.calibrator_.n_seen_ == in_memory["state"]["n_seen_"]


def test_bad_input_is_refused_as_the_calibrator_does(path):
    journal, plain = Journal(path, TrackingCalibrator()), TrackingCalibrator()
    bad = [
        ("partial_fit", ([0.2, 1.5], [0, 1])),
        ("partial_fit", ([0.2, 0.5], [0, 1, 1])),
        ("partial_fit", ([0.2, 0.5], ["a", "a"])),
        ("predict_then_update", ([0.2, np.nan], [0, 1])),
        ("learn_one", (7.0, 1)),
        ("learn_one", (0.5, "x")),
        ("predict_proba_one", (7.0,)),
        ("forecast", ([1.5], [0.2])),
        ("forecast", ([1, 2], [0.2])),
        ("label", ([1], [0, 1])),
    ]
    for started in (False, True):
        for name, args in bad:
            with pytest.raises(ValueError) as expected:
                getattr(from_dict(to_dict(plain)) if started else TrackingCalibrator(), name)(*args)
            said = str(expected.value).replace(f"TrackingCalibrator.{name}:", f"Journal.{name}:")
            with pytest.raises(ValueError, match=re.escape(said)):
                getattr(journal, name)(*args)
            assert hasattr(journal.calibrator_, "classes_") == started
        journal.partial_fit([0.3, 0.6], [0, 1])
        plain.partial_fit([0.3, 0.6], [0, 1])
    assert journal.n_rows == 4
    crash(journal)
    with Journal(path) as again:
        assert to_dict(again.calibrator_) == to_dict(plain)


def test_labels_of_another_type_are_refused_with_what_to_pass(path):
    journal = Journal(path, OnlinePlattCalibrator(classes=[0, 1]))
    words = Journal(f"{path}2", OnlinePlattCalibrator(classes=["0", "1"]))
    for one, given, is_of, do in (
        (journal, ["1", "0"], r"'1' \(str\).*\[0, 1\] \(int\)", "Pass 1 instead of '1'"),
        (words, [0, 1], r"0 \(int\).*\['0', '1'\] \(str\)", "Pass '0' instead of 0"),
    ):
        one.forecast(["a", "b"], [0.2, 0.9])
        for name, call in (
            ("label", lambda one=one, given=given: one.label(["a", "b"], given)),
            ("partial_fit", lambda one=one, given=given: one.partial_fit([0.2, 0.9], given)),
            ("learn_one", lambda one=one, given=given: one.learn_one(0.2, given[0])),
        ):
            with pytest.raises(ValueError, match=rf"^Journal.{name}: y holds {is_of}.*{do}"):
                call()
        assert len(one.calibrator_.pending_) == 2


def test_a_replaced_forecast_is_said_once(path):
    journal = Journal(path, TrackingCalibrator())
    journal.forecast(["a"], [0.2])
    with pytest.warns(ReplacedForecastWarning, match="^Journal.forecast: 1 of 1 ids"):
        journal.forecast(["a"], [0.9])
    crash(journal)
    with Journal(path) as again:  # makes the calls again, in silence
        assert again.calibrator_.pending_.n_replaced == 1
        assert again.label(["a"], [1]).n_learned == 1


def test_threads_take_turns(path):
    journal = Journal(path, TrackingCalibrator(classes=[0, 1]), snapshot_every=100)
    errors = []

    def work(seed):
        try:
            for i in range(40):
                x, y = stream(3, 100 * seed + i)
                journal.partial_fit(x, y)
                journal.predict_proba(x)
                journal.forecast([(seed * 1000) + i], x[:1])
                journal.label([(seed * 1000) + i], [1])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    assert journal.n_rows == 4 * 40 * 5
    in_memory = to_dict(journal.calibrator_)
    crash(journal)
    with Journal(path) as again:
        assert to_dict(again.calibrator_) == in_memory


# -- the wrong file -------------------------------------------------------------------------


def test_other_parameters(path):
    make = TrackingCalibrator
    Journal(path, make(OnlinePlattCalibrator(gamma=0.1), n_bins=10)).close()
    with pytest.raises(
        ValueError, match=r"n_bins is 5, in the file 10; expected the same parameters\. Leave"
    ):
        Journal(path, make(OnlinePlattCalibrator(), n_bins=5))
    with pytest.raises(ValueError, match=r"calibrator__gamma is 0\.2, in the file 0\.1"):
        Journal(path, make(OnlinePlattCalibrator(gamma=0.2)))
    with pytest.raises(ValueError, match="class is 'online_platt', in the file 'tracking'"):
        Journal(path, OnlinePlattCalibrator())
    with pytest.raises(ValueError, match="calibrator__class is 'online_beta'"):
        Journal(path, make(OnlineBetaCalibrator()))
    Journal(path, make(OnlinePlattCalibrator())).close()
    names = path.with_name("names.db")
    Journal(names, OnlinePlattCalibrator(classes=["a word that is long", "b"])).close()
    with pytest.raises(
        ValueError, match=r"classes is None, in the file \['a word that is long', 'b'\];"
    ):
        Journal(names, OnlinePlattCalibrator())


def test_not_a_calibrator(path):
    model = OnlineCalibratedClassifier(make_pipeline(StandardScaler(), LogisticRegression()))
    for bad, words in (
        (PlattCalibrator(), "of type PlattCalibrator; .* For a batch calibrator, pass Windowed"),
        (3, "of type int; expected an online calibrator"),
        (
            TrackingCalibrator,
            r"the class TrackingCalibrator; .* Pass an instance: TrackingCalibrator\(\)",
        ),
        (
            model,
            r"of type OnlineCalibratedClassifier; .*then_update\(model\.predict_proba\(X\), y\)",
        ),
    ):
        with pytest.raises(TypeError, match=words) as caught:
            Journal(path, bad)
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="random_state"):
        Journal(path, HedgingCalibrator(random_state=np.random.default_rng(0)))
    with pytest.raises(ValueError, match="gamma"):
        Journal(path, OnlinePlattCalibrator(gamma=-1.0))
    with pytest.raises(ValueError, match="snapshot_every=0"):
        Journal(path, TrackingCalibrator(), snapshot_every=0)
    with pytest.raises(TypeError, match="durable=1"):
        Journal(path, TrackingCalibrator(), durable=1)
    with pytest.raises(FileNotFoundError, match="does not exist; expected a journal"):
        Journal(path)
    assert not path.exists()
    path.touch()
    with pytest.raises(ValueError, match="is empty and calibrator is None"):
        Journal(path)
    Journal(path, TrackingCalibrator()).close()


def test_places_that_cannot_be(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"the directory .*nowhere does not exist; expected"
    ):
        Journal(tmp_path / "nowhere" / "state.db", TrackingCalibrator())
    with pytest.raises(IsADirectoryError, match="is a directory; expected a file"):
        Journal(tmp_path, TrackingCalibrator())
    assert os.listdir(tmp_path) == []


def test_files_of_something_else(path):
    path.write_text("time,score\n" * 1000)
    with pytest.raises(ValueError, match="damaged, or not a journal of calibkit"):
        Journal(path, TrackingCalibrator())
    assert path.read_text().startswith("time,score")
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (a)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(ValueError, match="SQLite file, but not a journal of calibkit"):
        Journal(path, TrackingCalibrator())
    assert path.read_bytes() == before
    assert not path.with_name("state.db-wal").exists()


def change(path, *statements):
    other = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        other.execute(*statement) if isinstance(statement, tuple) else other.execute(statement)
    other.close()


@pytest.fixture
def crashed(path):
    """A file with a snapshot and calls after it, and its state."""
    journal = Journal(path, TrackingCalibrator(), snapshot_every=100_000)
    for i in range(20):
        journal.partial_fit(*stream(50, i))
    journal.forecast(["a", "b"], [0.2, 0.4])
    state = to_dict(journal.calibrator_)
    crash(journal)
    return path, state


def test_versions(crashed):
    path, _ = crashed
    change(path, "PRAGMA user_version = 2")
    with pytest.raises(ValueError, match=r"has file version 2; expected 1\. Use the version"):
        Journal(path)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM calls WHERE seq = 5",
        "DELETE FROM calls WHERE seq = 3",
        "DELETE FROM state",
        "UPDATE calls SET seq = seq + 100",
        "UPDATE calls SET codes = codes || x'01' WHERE seq = 3",
        "UPDATE calls SET scores = 'text' WHERE seq = 3",
        "UPDATE calls SET n_rows = 'text' WHERE seq = 3",
        "UPDATE calls SET kind = 1 WHERE seq = 3",
        "UPDATE calls SET crc = NULL WHERE seq = 3",
        "UPDATE state SET snapshot = NULL",
        "UPDATE state SET snapshot = x'7b7d'",
        "UPDATE state SET n_rows = n_rows + 1",
        "UPDATE state SET started = 0",
        "DROP TABLE calls",
        "DROP TABLE state",
        "ALTER TABLE calls DROP COLUMN ids",
    ],
)
def test_what_was_changed_by_hand_is_noticed(crashed, statement):
    path, _ = crashed
    change(path, statement)
    with pytest.raises(ValueError, match="damaged, or not a journal of calibkit") as caught:
        Journal(path)
    assert "\n" not in str(caught.value)


def test_a_snapshot_that_no_calibrator_fits(crashed):
    path, _ = crashed
    from calibkit.online._call_log import _checksum

    for text in (
        b"{",
        b"[]",
        json.dumps(to_dict(PlattCalibrator().fit([0.1, 0.9, 0.5, 0.2], [0, 1, 0, 1]))),
    ):
        data = text if isinstance(text, bytes) else text.encode()
        keep = "UPDATE state SET snapshot = ?, seq = 0, n_rows = 0, crc = ?"
        change(path, "DELETE FROM calls", (keep, (data, _checksum((1, 0, 0), (data,), 0))))
        with pytest.raises(ValueError, match="damaged"):
            Journal(path)


def floats(*values):
    return np.array(values, dtype=np.float64).tobytes()


FORGED = [
    (9, 1, floats(0.2), b"\1", b""),  # kind, n_rows, scores, codes, ids
    (-1, 1, floats(0.2), b"\1", b""),
    (0, 3, floats(0.2), b"\1", b""),
    (0, 0, b"", b"", b""),
    (0, -1, floats(0.2), b"\1", b""),
    (0, 2**62, floats(0.2), b"\1", b""),
    (0, 1, floats(7.0), b"\1", b""),
    (0, 1, floats(np.nan), b"\1", b""),
    (0, 1, floats(0.2)[:5], b"\1", b""),
    (0, 1, floats(0.2), b"\2", b""),
    (0, 1, floats(0.2), b"\xfe", b""),
    (0, 1, floats(0.2), b"\1", b"[3]"),
    (1, 2, floats(0.2, 0.3), b"\1\1", b""),
    (1, 1, floats(-np.inf), b"\1", b""),
    (2, 1, floats(0.2), b"", b'{"a": 1}'),
    (2, 1, floats(0.2), b"", b"[1e400]"),
    (2, 1, floats(0.2), b"", b'"a"'),
    (2, 1, floats(0.2), b"", b"3"),
    (2, 1, floats(0.2), b"", b"[[1], [1]]"),
    (2, 1, floats(0.2), b"\1", b"[1]"),
    (2, 2, floats(0.2, 0.3), b"", b"[1]"),
    (2, 1, floats(0.2), b"", b"[" * 100_000),
    (3, 1, b"", b"", b'["a"]'),
    (3, 1, b"", b"\1", b"{}"),
    (3, 1, b"", b"\1", b"\xff"),
]
FORGED_STREAMS = [
    (0, 1, floats(0.2), b"\1", b""),
    (0, 1, floats(0.2), b"\1", b"[1]"),
    (0, 1, floats(0.2), b"\1", b"[[], [1.5]]"),
    (0, 1, floats(0.2), b"\1", b'[[], ["a"]]'),
    (0, 1, floats(0.2), b"\1", b"[[], [1, 2]]"),
    (0, 1, floats(0.2), b"\1", b"[[], [99999999999999999999]]"),
    (0, 1, floats(0.2), b"\1", b'[[], "a"]'),
    (0, 1, floats(0.2), b"\1", b'[[], {"a": 1}]'),
    (0, 1, floats(0.2), b"\1", b"[[], [1], [1]]"),
    (1, 1, floats(0.2), b"\1", b"[[], [1]]"),
    (2, 1, floats(0.2), b"", b"[[7], [true]]"),
    (2, 1, floats(0.2), b"", b"[[7]]"),
    (3, 1, b"", b"\1", b"[[7], [1]]"),
]


@pytest.mark.parametrize(
    ("make", "forged"),
    [(TrackingCalibrator, f) for f in FORGED]
    + [(MultiStreamCalibrator, f) for f in FORGED_STREAMS],
    ids=lambda v: str(v)[:60],
)
def test_forged_calls_with_a_right_checksum(path, make, forged):
    journal = Journal(path, make(classes=[0, 1]))
    more = {"stream": 1} if make is MultiStreamCalibrator else {}
    journal.partial_fit([0.2, 0.8], [0, 1], **more)
    journal._log.append(Call(*forged))
    crash(journal)
    with pytest.raises(ValueError, match=r"Journal: .*state\.db is damaged") as caught:
        Journal(path)
    assert "\n" not in str(caught.value)


def test_bytes_that_rot_are_noticed(crashed, tmp_path):
    """Every so often a byte is turned over: an error, or nothing was lost."""
    path, state = crashed
    whole, twin = path.read_bytes(), tmp_path / "twin.db"
    noticed = 0
    for at in range(0, len(whole), 211):
        twin.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            with Journal(twin) as journal:
                assert to_dict(journal.calibrator_) == state
        except (ValueError, OSError):
            noticed += 1
    assert noticed > 20
    for size in (50, 4000, len(whole) // 2, len(whole) - 1):
        twin.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="damaged"):
            Journal(twin)


# -- the file -------------------------------------------------------------------------------


def test_the_file_stays_small(path):
    journal = Journal(path, TrackingCalibrator(), snapshot_every=1000)
    x, y = stream(100)
    for _ in range(1000):
        journal.partial_fit(x, y)
    sizes = [f.stat().st_size for f in path.parent.iterdir()]
    assert sum(sizes) < 6_000_000, sizes
    journal.close()
    assert os.listdir(path.parent) == ["state.db"]
    assert path.stat().st_size < 60_000
    with Journal(path) as again:
        assert again.n_rows == 100_000


def test_a_large_state_is_not_written_for_a_few_rows(path, monkeypatch):
    journal = Journal(path, TrackingCalibrator(classes=[0, 1]), snapshot_every=10)
    journal.forecast(np.arange(20_000), np.linspace(0, 1, 20_000))
    kept, keep = [], journal._log.keep
    monkeypatch.setattr(journal._log, "keep", lambda *a, **k: (kept.append(1), keep(*a, **k)))
    for i in range(500):
        journal.partial_fit(*stream(10, i))
    assert len(kept) <= 1
    state = to_dict(journal.calibrator_)
    crash(journal)
    with Journal(path) as again:
        assert to_dict(again.calibrator_) == state


def test_calls_of_no_rows_leave_no_trace(path):
    with Journal(path, TrackingCalibrator()) as journal:
        journal.partial_fit([0.2, 0.4], [0, 1])
        size = journal._log._seq
        for _ in range(10):
            journal.partial_fit([], [])
            journal.forecast([], [])
            journal.label([], [])
            assert journal.predict_then_update([], []).shape == (0, 2)
        assert journal._log._seq == size


def test_durable(path):
    with Journal(path, TrackingCalibrator(), durable=True) as journal:
        assert journal._log._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        journal.partial_fit([0.2, 0.4], [0, 1])
    with Journal(path) as journal:
        assert journal._log._connection.execute("PRAGMA synchronous").fetchone() == (1,)
        assert journal.n_rows == 2


def test_closed(path):
    journal = Journal(path, TrackingCalibrator())
    journal.partial_fit([0.2, 0.4], [0, 1])
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match=r"state\.db is closed\. Open it again"):
        journal.predict_proba([0.2])
    words = "of TrackingCalibrator: 2 labels, 0 ids waiting"
    assert repr(journal) == f"<Journal {str(path)!r} {words}, closed>"
    with Journal(path) as again:
        again.forecast([1], [0.5])
        assert repr(again).endswith("2 labels, 1 ids waiting, open>")
    assert journal.calibrator_.predict_proba([0.2]).shape == (1, 2)


def test_a_copy_can_be_opened_beside_the_original(path, tmp_path):
    with Journal(path, TrackingCalibrator()) as journal:
        journal.partial_fit([0.2, 0.4], [0, 1])
        place = tmp_path / "copy"
        place.mkdir()
        for name in ("state.db", "state.db-wal"):
            shutil.copy(path.with_name(name), place / name)
        with Journal(place / "state.db") as twin:
            assert to_dict(twin.calibrator_) == to_dict(journal.calibrator_)


def test_data_frames_by_position(path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"no": [0.8, 0.4], "yes": [0.2, 0.6]})
    with Journal(path, TrackingCalibrator()) as journal:
        journal.partial_fit(frame, pd.Series([0, 1]))
        journal.partial_fit(frame, pd.array([1, None], dtype="Int64"))
        state = to_dict(journal.calibrator_)
        crash(journal)
    plain = TrackingCalibrator().partial_fit([0.2, 0.6], [0, 1]).partial_fit([0.2], [1])
    with Journal(path) as again:
        assert to_dict(again.calibrator_) == state == to_dict(plain)
        assert again.predict_proba(frame).shape == (2, 2)


@pytest.mark.parametrize("first", ["none", "empty", "one"])
def test_rows_without_labels_settle_no_classes(tmp_path, first):
    path = tmp_path / "state.db"
    with Journal(path, TrackingCalibrator()) as journal:
        if first == "one":
            journal.learn_one(0.4, None)
        else:
            rows = [0.4] if first == "none" else []
            assert len(journal.predict_then_update(rows, [None] * len(rows))) == len(rows)
        journal._log.close()  # as if killed
    with Journal(path) as journal:
        assert journal.n_rows == (first != "empty")
        journal.partial_fit([0.5, 0.6, 0.7], ["a", "b", "b"])
        expected = to_dict(journal.calibrator_)
        journal._log.close()
    assert to_dict(Journal(path).calibrator_) == expected
    assert expected["classes"]["values"] == ["a", "b"]


def test_many_streams_without_labels_settle_no_classes(tmp_path):
    with Journal(tmp_path / "state.db", MultiStreamCalibrator()) as journal:
        journal.partial_fit([0.5, 0.6], [None, None], stream=[1, 2])
        journal.partial_fit([0.5, 0.6], ["a", "b"], stream=[1, 2])
    with Journal(tmp_path / "state.db") as journal:
        assert journal.calibrator_.classes_.tolist() == ["a", "b"]
        assert journal.n_rows == 4


# -- the end of the process at each statement -------------------------------------------------


def lives():
    """Calls of every method that changes something, and the calibrators that take them."""
    x, y = [0.2, 0.7, 0.9], [0, 1, None]
    yield (
        "one stream",
        lambda: HedgingCalibrator(random_state=3, classes=[0, 1]),
        [
            ("partial_fit", (x, y), {}),
            ("learn_one", (0.4, 1), {}),
            ("predict_then_update", (x, y), {}),
            ("forecast", (["a", 7, "c"], x), {}),
            ("label", (["c", "a", "no"], [1, None, 0]), {}),
            ("partial_fit", (x, y), {}),
        ],
    )
    yield (
        "unstarted",
        HedgingCalibrator,
        [
            ("predict_proba_one", (0.3,), {}),
            ("learn_one", (0.4, 1), {}),
            ("learn_one", (0.6, 0), {}),
        ],
    )
    yield (
        "many streams",
        lambda: MultiStreamCalibrator(classes=[0, 1]),
        [
            ("partial_fit", (x, y), {"stream": [1, 2, 1]}),
            ("forecast", (["a", 7, "c"], x), {"stream": [3, 2, 1]}),
            ("predict_then_update", (x, y), {"stream": [1, 5, 1]}),
            ("label", (["c", "a", "no"], [1, None, 0]), {}),
        ],
    )


def live(path, make, calls, clock):
    """States after each call that was acknowledged, until the clock ends it all."""
    states = []
    with contextlib.suppress(KILL.Died), KILL._faults(clock):
        journal = Journal(path, make(), snapshot_every=5)
        states.append(known(journal))
        for name, args, kwargs in calls:
            getattr(journal, name)(*args, **kwargs)
            states.append(known(journal))
    for connection in clock.connections:
        connection.close()
    return states


def known(journal):
    cal = journal.calibrator_
    return (journal.n_rows, to_dict(cal)) if hasattr(cal, "classes_") else (journal.n_rows, None)


@pytest.mark.parametrize(("name", "make", "calls"), list(lives()), ids=lambda v: str(v)[:9])
def test_what_is_acknowledged_is_on_file_wherever_the_process_ends(path, name, make, calls):
    whole = live(path, make, calls, KILL.Clock(10**9))
    at, states = 0, []
    while len(states) < len(whole):
        at += 1
        for left in path.parent.glob("state.db*"):
            left.unlink()
        states = live(path, make, calls, KILL.Clock(at))
        if states and name != "unstarted":  # which draws a seed of its own
            assert states == whole[: len(states)]
        if not states:
            continue  # it was never open
        with Journal(path, make()) as journal:
            found = known(journal)
        after = whole[len(states)] if len(states) < len(whole) else None
        if name == "unstarted":
            assert found == states[-1] or found[0] == after[0]
        else:
            assert found in (states[-1], after)
    assert at > 6 * len(calls)
