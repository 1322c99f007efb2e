"""Streams are delivered exactly once: whatever stops them, and whatever was changed in between."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest

from calibkit import DriftDisplay, to_dict
from calibkit._cli import stream
from calibkit._cli.stream import make_method
from calibkit._cli.stream_rows import Row, StreamOptions
from calibkit.online import Journal

from .test_cli import fails, run
from .test_stream_command import LATE, PY, ROOT, drifting, rows_of, table

N = 400


@pytest.fixture(scope="module")
def data():
    p, y = drifting()
    return p[:N], y[:N]


def load_benchmark():
    place = ROOT / "benchmarks" / "stream_kill.py"
    spec = importlib.util.spec_from_file_location("stream_kill", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules["stream_kill"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


KILL = load_benchmark()


# -- the end of the process at each of its points --------------------------------------------


@pytest.mark.parametrize(
    ("case", "n", "least"),
    [
        (KILL.Case("late labels", late=True, method="online_platt"), 9, 60),
        (KILL.Case("standard output", to_file=False, method="online_platt"), 9, 40),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_end_of_the_process_at_any_point(case, n, least):
    """No row misses, and none comes twice to a file; the state and the table are the same."""
    (found,) = KILL.run_stream_faults(n, 8, [case])
    assert found["points"] >= least
    assert 0 < found["ahead"] < found["points"], "written before it is acknowledged"
    assert found["again"] <= (0 if case.to_file else 2 * 8)


def test_a_row_acknowledged_before_it_is_written_is_found_out(monkeypatch):
    """The same with the two steps in the wrong order."""

    def deliver(self, rows, text):
        full = [row for row in rows if row.record.cells]
        with self._journal._together() as log:
            jobs, forecasts = self._forecaster.take(full)
            data, self._output.n_bytes = text(rows, forecasts), self._output.n_bytes
            self._mark = self._note(log, self._mark.after(rows), forecasts)
        self._output.write(data)
        self._forecaster.count(jobs, forecasts)

    monkeypatch.setattr(stream.Delivery, "deliver", deliver)
    case = KILL.Case("standard output", to_file=False, method="online_platt")
    with pytest.raises(SystemExit, match="acknowledged and not written"):
        KILL.run_stream_faults(14, 8, [case])


def test_what_is_not_written_is_not_learnt(data, tmp_path, monkeypatch):
    """A disk that is full: the journal stays where the output is, and a restart goes on."""
    path, out = tmp_path / "s.csv", tmp_path / "out.csv"
    path.write_text(table(*data))
    options = [path, *PY, "--journal", tmp_path / "s.db", "-o", out, "--resume"]
    whole = run("stream", path, *PY)
    monkeypatch.setattr(stream, "_BATCH", 64)
    write, calls = stream.Output.write, []

    def full(self, text):
        calls.append(text)
        if len(calls) == 4:
            write(self, text[:100])
            raise OSError(28, "No space left on device", "out.csv")
        write(self, text)

    monkeypatch.setattr(stream.Output, "write", full)
    done = run("stream", *options, code=1)
    assert done.stderr.endswith("calibkit: error: out.csv: No space left on device\n")
    assert f"# {2 * 64} rows" in done.stderr
    with Journal(tmp_path / "s.db") as journal:
        assert journal.n_rows == 2 * 64
    monkeypatch.undo()
    done = run("stream", *options)
    assert (out.read_text(), done.stderr) == (whole.stdout, whole.stderr)


@pytest.mark.parametrize("method", stream.METHODS)
def test_how_rows_with_late_labels_are_cut_changes_nothing(monkeypatch, method):
    text = late_table(60)
    args = ["stream", *PY, "--id", "i", "--method", method, "--seed", 1]
    whole = run(*args, input=text).stdout
    for batch in (1, 7):
        monkeypatch.setattr(stream, "_BATCH", batch)
        assert run(*args, input=text).stdout == whole


# -- the table, the alarm and the picture of a resumed stream --------------------------------


def stop_after(monkeypatch, n_batches):
    """Streams end after so many batches, as if killed."""
    deliver, count = stream.Delivery.deliver, [0]

    def stopping(self, *args):
        if count[0] == n_batches:
            raise KILL.Died
        count[0] += 1
        deliver(self, *args)

    monkeypatch.setattr(stream.Delivery, "deliver", stopping)


def run_in_parts(args, monkeypatch, ends=(1, 3), **kwargs):
    """The result of a run that goes on after several that were stopped."""
    for n_batches, batch in zip(ends, (70, 33), strict=True):
        with monkeypatch.context() as patched:
            patched.setattr(stream, "_BATCH", batch)
            stop_after(patched, n_batches)
            with pytest.raises(KILL.Died):
                run("stream", *args, **kwargs)
    return run("stream", *args, **kwargs)


@pytest.mark.parametrize(("to_file", "first"), [(True, ["--resume"]), (False, [])])
def test_the_table_the_alarm_and_the_picture_are_those_of_the_whole(
    tmp_path, monkeypatch, to_file, first
):
    monkeypatch.setattr(stream, "_WARM", 50)
    monkeypatch.setattr(stream, "_ROOM", 300)
    draw = MagicMock()
    monkeypatch.setattr(DriftDisplay, "from_predictions", draw)
    monkeypatch.setattr(stream, "write_picture", MagicMock())
    p, y = drifting()
    path, out = tmp_path / "s.csv", tmp_path / "out.csv"
    path.write_text(table(p, y))
    options = [path, *PY, "--method", "ops", "--alarm", 0.2, "--plot", tmp_path / "s.png"]
    options += ["--time", "t", *(["-o", out, "--json"] if to_file else [])]
    whole = run("stream", *options)
    text = out.read_text() if to_file else whole.stdout
    options += ["--journal", tmp_path / "s.db"]
    with monkeypatch.context() as patched:
        patched.setattr(stream, "_BATCH", 101)
        stop_after(patched, 4)
        with pytest.raises(KILL.Died):
            run("stream", *options, *first)
    done = run_in_parts([*options, "--resume"], monkeypatch)
    assert done.stderr == whole.stderr
    assert "alarm at line" in whole.stderr
    if to_file:
        assert (out.read_text(), done.stdout) == (text, whole.stdout)
        assert json.loads(done.stdout)["rows"] == len(p)
    else:
        assert set(text.splitlines()) >= set(done.stdout.splitlines())
    # The labels, forecasts and times that are drawn.
    drawn, again = draw.call_args_list[0], draw.call_args_list[-1]
    np.testing.assert_array_equal(drawn.args[0], again.args[0])
    for name, values in drawn.args[1].items():
        np.testing.assert_array_equal(values, again.args[1][name])
    np.testing.assert_array_equal(drawn.kwargs.pop("time"), again.kwargs.pop("time"))
    assert drawn.kwargs == again.kwargs


def late_table(n=240):
    return KILL.make_table(KILL.Case("late", late=True), n)


def test_late_labels_of_a_resumed_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "_WARM", 10)
    path, out = tmp_path / "s.csv", tmp_path / "out.csv"
    path.write_text(late_table() + "z,,1,nobody\n")
    options = [path, *PY, "--id", "i", "-o", out, "--alarm", 0.2]
    whole = run("stream", *options)
    text = out.read_bytes()
    assert "1 labels without a waiting row" in whole.stderr
    done = run_in_parts([*options, "--journal", tmp_path / "s.db", "--resume"], monkeypatch)
    assert (out.read_bytes(), done.stderr) == (text, whole.stderr)


def test_streams_one_after_the_other_in_one_journal(data, tmp_path, monkeypatch):
    """--resume goes on with the last one, whose table has the rows of it alone."""
    lines = LATE.splitlines(keepends=True)
    (tmp_path / "a.csv").write_text("".join(lines[:4]))  # a and b are left to wait
    (tmp_path / "b.csv").write_text("".join([lines[0], *lines[4:]]))
    whole = {}
    for name in ("plain", "parts"):
        state, out = tmp_path / f"{name}.db", tmp_path / f"{name}.csv"
        run("stream", tmp_path / "a.csv", *PY, "--id", "i", "--journal", state)
        options = [tmp_path / "b.csv", *PY, "--id", "i", "--journal", state, "-o", out]
        with monkeypatch.context() as patched:
            if name == "parts":
                patched.setattr(stream, "_BATCH", 2)
                stop_after(patched, 2)
                with pytest.raises(KILL.Died):
                    run("stream", *options)
        done = run("stream", *options, *(["--resume"] if name == "parts" else []))
        with Journal(state) as journal:
            whole[name] = out.read_text(), to_dict(journal.calibrator_), done.stderr
    said = "calibkit: " + str(tmp_path / "plain.db") + " has learned from 3 rows already; all rows "
    assert whole["plain"][2].startswith(said)
    assert whole["plain"][:2] == whole["parts"][:2]
    assert whole["plain"][2].partition("\n")[2] == whole["parts"][2]


def test_an_id_that_is_forecast_again_waits_longer():
    """In the table as in the calibrator, where room is short."""
    cal = make_method(StreamOptions("p", "y")).set_params(max_pending=2)
    found = stream.StreamReport("tracking")
    table_of = stream.RowForecaster(cal, found, logit=False)
    rows = [
        Row(None, score, y, 0.0, key)
        for key, score, y in [("a", 0.2, np.nan), ("b", 0.3, np.nan), ("a", 0.4, np.nan),
                              ("c", 0.5, np.nan), ("b", np.nan, 1.0), ("a", np.nan, 1.0)]
    ]  # fmt: skip
    table_of.count(*table_of.take(rows))
    assert (found.n_labels, found.n_unknown) == (1, 1)
    assert cal.n_seen_ == 1


# -- what it is read from ---------------------------------------------------------------------


def test_every_kind_of_input_is_resumed(data, tmp_path, monkeypatch):
    text = table(*data).replace("\n7,", "\n\n\n7,").replace("\n9,", "\n9,2,1,bad\n9,").encode()
    (tmp_path / "s.csv").write_bytes(text)
    (tmp_path / "s.csv.gz").write_bytes(gzip.compress(text, mtime=0))
    (tmp_path / "crlf.csv").write_bytes(text.replace(b"\n", b"\r\n")[:-2])
    for i, (name, more) in enumerate(
        [("s.csv", []), ("s.csv.gz", []), ("crlf.csv", []), ("-", []),
         ("s.csv", ["--time", "t", "--sort"])]
    ):  # fmt: skip
        out = tmp_path / f"out{i}.csv"
        source = name if name == "-" else tmp_path / name
        options = [source, *PY, "--skip-bad", *more, "-o", out]
        piped = {"input": text.decode()} if name == "-" else {}
        whole = run("stream", *options, **piped)
        expected = out.read_bytes()
        options += ["--journal", tmp_path / f"{i}.db", "--resume"]
        done = run_in_parts(options, monkeypatch, **piped)
        assert out.read_bytes() == expected, name
        assert done.stderr == whole.stderr
        assert "1 invalid rows left out" in done.stderr


@pytest.fixture
def stopped(data, tmp_path, monkeypatch):
    """A stream that was stopped half-way: its input, its output, and what resumes it."""
    path, out = tmp_path / "s.csv", tmp_path / "out.csv"
    path.write_text(table(*data))
    options = [path, *PY, "--journal", tmp_path / "s.db", "-o", out]
    with monkeypatch.context() as patched:
        patched.setattr(stream, "_BATCH", 50)
        stop_after(patched, 3)
        with pytest.raises(KILL.Died):
            run("stream", *options)
    assert len(rows_of(out.read_text())) == 150
    return path, out, [*options, "--resume"]


def test_an_input_that_was_changed(stopped):
    path, out, options = stopped
    text, written = path.read_text(), out.read_bytes()
    rows = text.splitlines(keepends=True)
    for changed, words in (
        (
            "".join(rows[:100]),
            "has 99 rows and the journal 150; expected the input of the last run",
        ),
        ("".join([rows[0], rows[2], rows[1], *rows[3:]]), "first 150 rows are not those"),
        ("".join([rows[0], rows[1], *rows[1:]]), "first 150 rows are not those"),
        (text.replace("t,p,y", "T,p,y"), "first 150 rows are not those"),
    ):
        path.write_text(changed)
        assert words in fails("stream", *options)
        assert "Drop --resume to add all rows to the journal" in fails("stream", *options)
    path.write_text(text)
    for more in (["--positive", "1"], ["--column", "q"], ["--id", "t"]):
        assert "or were read with other options" in fails("stream", *options, *more)
    assert out.read_bytes() == written
    path.write_text(text + "400,0.5,1,more\n")
    assert "401 rows" in run("stream", *options).stderr


def test_an_output_that_was_changed(stopped, tmp_path):
    path, out, options = stopped
    whole = run("stream", path, *PY).stdout.encode()
    written = out.read_bytes()
    for changed, words in (
        (None, f"has 0 of the {len(written):,} bytes that the last run wrote"),
        (written[:-1], f"has {len(written) - 1:,} of the"),
        (
            written.replace(b"0.6", b"0.7", 1),
            "has changed since the last run; expected the output of the last run",
        ),
        (b"", "has 0 of the"),
    ):
        out.unlink(missing_ok=True)
        if changed is not None:
            out.write_bytes(changed)
        assert words in fails("stream", *options)
        assert "drop -o: the remaining rows" in fails("stream", *options)
        assert (out.read_bytes() if out.exists() else None) == changed
    moved = tmp_path / "elsewhere.csv"
    moved.write_bytes(written + b'7,0.5,1,"tor')
    run("stream", *[moved if option == out else option for option in options])
    assert moved.read_bytes() == whole


def test_the_rest_to_another_place(stopped, tmp_path):
    path, out, options = stopped
    written, whole = out.read_text(), run("stream", path, *PY)
    done = run("stream", *options[:-3], "--resume")
    assert written + done.stdout == whole.stdout
    assert done.stderr == whole.stderr
    assert "exists, but the last run wrote elsewhere" in fails("stream", *options)
    path.write_text(path.read_text() + '400,0.5,1,"x"\n')
    new = tmp_path / "new.csv"
    done = run("stream", *[new if option == out else option for option in options])
    assert done.stderr.startswith(f"calibkit: {new}: starts after row 400 of the stream.\n")
    assert [row["t"] for row in rows_of(new.read_text())] == ["400"]
    assert "# 401 rows" in done.stderr


def test_a_journal_that_was_taught_elsewhere(data, stopped, tmp_path):
    _, _, options = stopped
    with Journal(tmp_path / "s.db") as journal:
        journal.partial_fit([0.5], [1])
    error = fails("stream", *options)
    assert "has learned from 1 rows since the stream stopped; expected none" in error
    # One that knows of no stream has had the first rows.
    p, y = data
    with Journal(tmp_path / "api.db", make_method(StreamOptions("p", "y"))) as journal:
        journal.partial_fit(p[:100], y[:100])
    new = tmp_path / "new.csv"
    options = [options[0], *PY, "--journal", tmp_path / "api.db", "--resume", "-o", new]
    done = run("stream", *options)
    assert (
        "api.db was not written by calibkit stream; the first 100 rows of the input are skipped"
        in done.stderr
    )
    assert [row["t"] for row in rows_of(new.read_text())] == [str(t) for t in range(100, N)]
    assert "# 300 rows" in done.stderr
    before = new.read_bytes()
    run("stream", *options)
    assert new.read_bytes() == before


def test_a_damaged_note_is_refused(stopped, tmp_path):
    import sqlite3

    _, out, options = stopped
    other = sqlite3.connect(tmp_path / "s.db")
    other.execute("UPDATE notes SET value = CAST(x'00' || value AS BLOB) WHERE kind = 1")
    other.commit()
    other.close()
    before = out.read_bytes()
    assert "is damaged" in fails("stream", *options)
    assert out.read_bytes() == before


def test_what_is_read_once_leaves_no_forecasts_in_the_journal(data, tmp_path):
    text, sizes = table(*data), []
    for more in ([], ["--resume"]):
        path = tmp_path / f"{len(more)}.db"
        run("stream", *PY, "--journal", path, *more, input=text)
        with Journal(path) as journal:
            sizes.append(sum(len(part) for part in journal._log.notes(stream._FORECASTS)))
    assert sizes == [0, 8 * N]


# -- two names of one file --------------------------------------------------------------------


def names_of(path, tmp_path):
    """Other names of a file, which may be there or not."""
    link = tmp_path / "place"
    link.symlink_to(tmp_path, target_is_directory=True)
    yield path
    yield os.path.relpath(path)
    yield link / path.name
    yield tmp_path / "place" / ".." / tmp_path.name / path.name
    soft = tmp_path / f"soft{path.suffix}"
    soft.symlink_to(path)
    yield soft
    if path.exists():
        hard = tmp_path / f"hard{path.suffix}"
        os.link(path, hard)
        yield hard


FILES = ["input", "journal", "output", "plot"]


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    ("one", "other"), [(a, b) for i, a in enumerate(FILES) for b in FILES[i + 1 :]]
)
def test_one_file_of_two_names_is_refused_before_anything_is_opened(tmp_path, one, other, there):
    if one == "input" and not there:
        return
    suffix = ".png" if "plot" in (one, other) and one != "input" else ".csv"
    path = tmp_path / f"same{suffix}"
    if there:
        path.write_text("p,y\n.5,1\n")
    source = tmp_path / "in.csv"
    source.write_text("p,y\n.5,1\n")
    names = {"input": source, "journal": tmp_path / "s.db", "output": tmp_path / "out.csv",
             "plot": tmp_path / "s.png"}  # fmt: skip
    for name in names_of(path, tmp_path):
        names |= {one: path, other: name}
        listed = {p.name: p.lstat().st_mtime_ns for p in tmp_path.iterdir()}
        error = fails("stream", names["input"], *PY, "--journal", names["journal"], "-o",
                      names["output"], "--plot", names["plot"])  # fmt: skip
        what = {"input": "is the input file", "journal": "is the file of --journal too",
                "output": "is the file of -o too"}[one]  # fmt: skip
        assert f"{what}; choose another name" in error
        assert str(name) in error
        assert listed == {p.name: p.lstat().st_mtime_ns for p in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("stdin", "stdout", "file", "output", "more", "words"),
    [
        ("in.csv", None, "-", "in.csv", {}, "in.csv: is the input file"),
        ("in.csv", "in.csv", "-", "-", {}, "standard output: is the input file"),
        (None, "in.csv", "in.csv", "-", {}, "standard output: is the input file"),
        (None, "o.csv", "in.csv", "o.csv", {"as_json": True}, "output: is the file of -o too"),
        (None, "s.db", "in.csv", "-", {"journal": "s.db"}, "output: is the file of --journal"),
        (None, "s.png", "in.csv", "-", {"plot": "s.png"}, "output: is the file of --plot too"),
        ("in.csv", "o.csv", "in.csv", "o.csv", {}, None),
        ("in.csv", "out.csv", "in.csv", "-", {"journal": "s.db"}, None),
    ],
)
def test_standard_streams_that_are_files(
    tmp_path, monkeypatch, stdin, stdout, file, output, more, words
):
    monkeypatch.chdir(tmp_path)
    for name in ("in.csv", "o.csv", "s.db", "s.png"):
        Path(name).write_text("p,y\n.5,1\n")
    options = StreamOptions("p", "y", **more)
    with Path(stdin or os.devnull).open() as a, Path(stdout or os.devnull).open("a") as b:
        monkeypatch.setattr(sys, "stdin", a)
        monkeypatch.setattr(sys, "stdout", b)
        if words is None:
            stream._targets(file, output, options)
            return
        with pytest.raises(ValueError, match=words):
            stream._targets(file, output, options)


# -- cost -------------------------------------------------------------------------------------


def cost(n, tmp_path, monkeypatch):
    """Function calls of a stream that is stopped half-way and resumed."""
    rng = np.random.default_rng(0)
    path, state, out = (tmp_path / f"{n}{suffix}" for suffix in (".csv", ".db", "out.csv"))
    rows = (f"{i},{p}," + ("" if i % 2 else "1") for i, p in enumerate(rng.random(n)))
    path.write_text("i,p,y\n" + "\n".join(rows) + "\n")
    options = [path, *PY, "--id", "i", "--journal", state, "-o", out, "--resume"]
    monkeypatch.setattr(stream, "_BATCH", 20)
    calls = [0]

    def count(frame, event, _):
        calls[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        with monkeypatch.context() as patched:
            stop_after(patched, n // 40)
            with pytest.raises(KILL.Died):
                run("stream", *options)
        run("stream", *options)
    finally:
        sys.setprofile(None)
    return calls[0]


def test_the_cost_is_linear(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "_ROOM", 200)
    cost(40, tmp_path, monkeypatch)
    a, b, c = (cost(n, tmp_path, monkeypatch) for n in (120, 240, 480))
    assert c - b <= 2.2 * (b - a)
