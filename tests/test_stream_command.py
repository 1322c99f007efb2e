"""``calibkit stream``: the library's forecasts, through pipes, restarts and bad rows."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from calibkit import (
    CalibrationAlarm,
    DriftDisplay,
    make_calibrator,
    prequential_errors,
    to_dict,
)
from calibkit._cli import stream
from calibkit._cli.stream import METHODS, make_method
from calibkit._cli.stream_rows import Lines, StreamOptions
from calibkit.online import (
    Journal,
    OnlineCalibratedClassifier,
    OnlinePlattCalibrator,
    TrackingCalibrator,
)

from .runner import APP, RUNNER
from .test_cli import fails, run

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-c", "from calibkit._cli import main; main()", "stream"]
N = 400
PY = ["--prob", "p", "--label", "y"]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    p = rng.random(N).round(6)
    y = (rng.random(N) < p**2).astype(float)
    y[rng.random(N) < 0.1] = np.nan
    return p, y


def table(p, y, *, note='"a, b"', start=0):
    lines = ["t,p,y,note"]
    for i, (a, b) in enumerate(zip(p, y, strict=True)):
        lines.append(f"{start + i},{float(a)!r},{'' if b != b else int(b)},{note}")
    return "\n".join(lines) + "\n"


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def forecasts(text):
    return np.array([float(r["calibrated"]) for r in rows_of(text)])


def expected(p, y, method="tracking", **options):
    cal = make_method(StreamOptions("p", "y", method=method, **options))
    return cal.predict_then_update(p, y)[:, 1]


def process(*args, **kwargs):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    command = [*COMMAND, *map(str, args)]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, **kwargs)


# -- forecasts ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_forecasts_are_the_librarys(data, tmp_path, method):
    path = tmp_path / "s.csv"
    path.write_text(table(*data))
    options = ["--seed", 3] if method == "hedging" else []
    done = run("stream", path, *PY, "--method", method, *options)
    seed = {"seed": 3} if method == "hedging" else {}
    np.testing.assert_array_equal(forecasts(done.stdout), expected(*data, method, **seed))
    assert [line.rpartition(",")[0] for line in done.stdout.splitlines()] == (
        table(*data).splitlines()
    ), "all other columns as they came"


def test_log_odds(data, tmp_path):
    p, y = data
    z = np.log(p / (1 - p))
    path = tmp_path / "s.csv"
    path.write_text(table(z, y))
    done = run("stream", path, *PY, "--logit", "--method", "ops")
    cal = OnlinePlattCalibrator(scale="logit", classes=[0, 1])
    np.testing.assert_array_equal(forecasts(done.stdout), cal.predict_then_update(z, y)[:, 1])
    error = run("stream", path, *PY, code=1).stderr.splitlines()[-1]
    assert "expected a probability in [0, 1]. For log-odds add --logit" in error


@pytest.mark.parametrize("batch", [1, 7])
def test_how_rows_are_cut_changes_nothing(data, tmp_path, monkeypatch, batch):
    path = tmp_path / "s.csv"
    path.write_text(table(*data))
    whole = run("stream", path, *PY).stdout
    monkeypatch.setattr(stream, "_BATCH", batch)
    assert run("stream", path, *PY).stdout == whole


def test_stdin_is_csv_or_json_lines(data):
    p, y = data
    text = table(p, y)
    assert run("stream", *PY, input=text).stdout == run("stream", "-", *PY, input=text).stdout
    records = [{"p": a, "y": None if b != b else int(b)} for a, b in zip(p, y, strict=True)]
    del records[0]["y"]  # a key that is not there is no label
    y = y.copy()
    y[0] = np.nan
    lines = "\n" + "".join(json.dumps(r) + "\n" for r in records)
    done = run("stream", *PY, input=lines)
    found = [json.loads(line) for line in done.stdout.splitlines() if line]
    assert [r["calibrated"] for r in found] == expected(p, y).tolist()
    assert [list(r) for r in found[1:]] == [["p", "y", "calibrated"]] * (N - 1)


def test_files_of_every_kind(data, tmp_path):
    text = table(*data, note="x")
    (tmp_path / "s.tsv").write_text(text.replace(",", "\t"))
    (tmp_path / "s.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    for name in ("s.tsv", "s.csv.gz"):
        out = run("stream", tmp_path / name, *PY).stdout
        assert out.replace("\t", ",") == run("stream", *PY, input=text).stdout
    (tmp_path / "s.parquet").write_bytes(b"PAR1")
    assert "is Parquet; expected CSV, TSV or JSON lines" in fails(
        "stream", tmp_path / "s.parquet", *PY
    )


def test_names_as_labels(data, tmp_path):
    p, y = data
    names = np.where(y == 1, "win", np.where(y == 0, "loss", ""))
    text = "p,y\n" + "".join(f"{float(a)!r},{n}\n" for a, n in zip(p, names, strict=True))
    done = run("stream", *PY, "--positive", "win", input=text)
    np.testing.assert_array_equal(forecasts(done.stdout), expected(p, y))
    done = RUNNER.invoke(APP, ["stream", *PY], input=text)
    assert "expected 0 or 1, true or false, or nothing" in done.stderr
    assert "--positive NAME" in done.stderr
    done = run("stream", *PY, "--positive", "win", input=text + "0.5,draw\n", code=1)
    assert f"line {N + 2}: y is 'draw'; expected win or loss, as before" in done.stderr
    assert len(rows_of(done.stdout)) == N, "the rows before are written"
    done = run("stream", *PY, "--positive", "Win", input=text, code=1)
    assert "the rows before have " in done.stderr
    assert "none has the event Win; expected two labels" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("as in the file; did you mean win.")


def test_labels_as_they_are_written():
    text = "p,y\n.5,true\n.5,FALSE\n.5,1.0\n.5,0\n.5, \n.5,1\n"
    done = run("stream", *PY, input=text)
    np.testing.assert_array_equal(
        forecasts(done.stdout), expected(np.full(6, 0.5), np.array([1, 0, 1, 0, np.nan, 1]))
    )
    assert "6 rows, 5 labels learned" in done.stderr


def test_output_to_a_file(data, tmp_path):
    text, out = table(*data), tmp_path / "out.csv"
    done = run("stream", *PY, "-o", out, "--column", "q, new", input=text)
    assert done.stdout == ""
    assert out.read_text() == run("stream", *PY, "--column", "q, new", input=text).stdout
    assert out.read_text().startswith('t,p,y,note,"q, new"\n')
    (tmp_path / "in.csv").write_text(text)
    assert "is the input file" in fails(
        "stream", tmp_path / "in.csv", *PY, "-o", tmp_path / "in.csv"
    )
    for name in ("out.jsonl", "out.csv.gz"):
        assert "unsuitable extension; expected .csv" in fails(
            "stream", *PY, "-o", tmp_path / name, input=text
        )
    assert "unknown extension" in fails("stream", *PY, "-o", tmp_path / "out.txt", input=text)
    taken = text.replace("note", "calibrated", 1)
    assert "has a column calibrated already; choose" in fails("stream", *PY, input=taken)


def test_a_last_line_without_its_end():
    out = run("stream", *PY, "--method", "ops", input="p,y\r\n.5,1\r\n\r\n.5,0").stdout_bytes
    assert out.startswith(b"p,y,calibrated\r\n.5,1,0.5\r\n\r\n.5,0,")
    assert out.endswith(b"\n")


def test_an_empty_table():
    assert "the file is empty" in fails("stream", *PY, input="")
    done = run("stream", *PY, input="p,y\n")
    assert (done.stdout, done.stderr) == ("p,y,calibrated\n", "")
    done = run("stream", *PY, input="p,y\n.5,\n")
    assert done.stderr == "# 1 rows, 0 labels learned\n"
    assert "no such column" in fails("stream", "--prob", "q", "--label", "y", input="p,y\n.5,1\n")


# -- the table of errors --------------------------------------------------------------------


def test_the_table_is_prequential(data):
    p, y = data
    done = run("stream", *PY, input=table(p, y))
    lines = done.stderr.splitlines()
    n = int((y == y).sum())
    assert lines[0] == (
        f"# {N} rows, {n} labels learned; uncalibrated scores against tracking: each row covers "
        "all labels so far; lower is better, for sharpness higher"
    )
    known = y == y
    found = prequential_errors(
        y[known], expected(p, y)[known], times=[-(-n * k // 4) for k in (1, 2, 3, 4)]
    )
    raw = prequential_errors(y[known], p[known], times=[n])
    cells = [line.split() for line in lines[1:]]
    assert cells[0] == [
        "labels",
        "forecasts",
        "calibration_error",
        "sharpness",
        "brier",
        "log_loss",
    ]
    assert [c[0] for c in cells[1::2]] == [str(t) for t in found.time]
    for i, row in enumerate(cells[2::2]):
        assert row[1] == "tracking"
        shown = [found.calibration_error, found.sharpness, found.brier, found.log_loss]
        assert row[2:] == [f"{e[i]:.5f}" for e in shown]
    assert cells[-2][1:3] == ["scores", f"{raw.calibration_error[0]:.5f}"]


def test_long_streams_keep_a_window(data, monkeypatch):
    monkeypatch.setattr(stream, "_ROOM", 100)
    done = run("stream", *PY, input=table(*data))
    kept = int(done.stderr.splitlines()[-1].split()[0])
    assert kept <= 100
    assert f"each row covers at most the last {kept} labels;" in done.stderr


def facts_of(tmp_path, text, *options):
    done = run("stream", *PY, "-o", tmp_path / "o.csv", "--json", *options, input=text)
    return json.loads(done.stdout), done.stderr


def test_json_is_the_table(data, tmp_path):
    found, said = facts_of(tmp_path, table(*data), "--method", "ops")
    assert said == ""
    n = int((data[1] == data[1]).sum())
    assert (found["rows"], found["labels"], found["labels_measured"]) == (N, n, n)
    assert (found["method"], found["alarm"]) == ("online_platt", None)
    lines = run("stream", *PY, "--method", "ops", input=table(*data)).stderr.splitlines()[1:]
    shown = [[f"{v:.5f}" if isinstance(v, float) else str(v) for v in r.values()]
             for r in found["errors"]]  # fmt: skip
    assert [list(found["errors"][0]), *shown] == [line.split() for line in lines]
    assert facts_of(tmp_path, "p,y\n")[0]["errors"] == []
    assert "--json without -o" in fails("stream", *PY, "--json", input=table(*data))


def drifting():
    """After 300 rows nearly all are events, which a map learnt until then takes long to mend."""
    rng = np.random.default_rng(0)
    p = rng.random(900).round(6)
    y = (rng.random(900) < np.where(np.arange(900) < 300, p, 0.98)).astype(float)
    y[::10] = np.nan
    return p, y


@pytest.mark.parametrize("batch", [1, 4096])
def test_alarm(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(stream, "_BATCH", batch)
    monkeypatch.setattr(stream, "_WARM", 200)
    p, y = drifting()
    known = np.flatnonzero(y == y)
    alarm = CalibrationAlarm(0.01, classes=[0, 1])
    alarm.update(y[known[200:]], expected(p, y, "online_platt")[known[200:]])
    label = 200 + alarm.alarm_time_
    row = known[label - 1]
    options = ["--method", "ops", "--alarm", 0.01, "--time", "t"]
    done = run("stream", *PY, *options, input=table(p, y))
    text = f"alarm at line {row + 2} ({row}), label {label}: the forecasts of online_"
    assert done.stderr.startswith(f"calibkit: {text}")
    assert done.stderr.splitlines()[2].startswith(f"# {text}")
    assert "(false-alarm probability 1%)" in done.stderr
    found, _ = facts_of(tmp_path, table(p, y), *options)
    assert found["alarm"] == {
        "alpha": 0.01, "label": label, "line": row + 2, "time": str(row)
    }  # fmt: skip


def test_a_silent_alarm_and_one_that_is_none(tmp_path):
    done = run("stream", *PY, "--alarm", 0.01, input="p,y\n.5,1\n.5,0\n")
    assert done.stderr.splitlines()[1] == ("# alarm not started: it needs more than 1,000 labels")
    done = run("stream", *PY, "--alarm", 0.01, input="p,y\n" + ".5,1\n.5,0\n" * 500 + ".5,1\n")
    assert done.stderr.splitlines()[1] == (
        "# no alarm after the first 1,000 labels (false-alarm probability 1%)"
    )
    for bad in ("0", "1", "nan"):
        assert (
            "expected a number between 0 and 1" in run("stream", *PY, "--alarm", bad, code=2).stderr
        )


def test_alarm_of_late_labels(monkeypatch):
    monkeypatch.setattr(stream, "_WARM", 0)
    rows = [f"{i},0.1," for i in range(40)] + [f"{i},,1" for i in range(40)]
    text = "i,p,y\n" + "\n".join(rows) + "\n"
    done = run("stream", *PY, "--id", "i", "--alarm", 0.05, input=text)
    line, label = (int(w.strip(",:")) for w in np.array(done.stderr.split())[[4, 6]])
    assert line == 41 + label, "the line that brought the label"


def test_plot(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "_WARM", 200)
    p, y = drifting()
    drawn = []
    make = DriftDisplay.from_predictions

    def keep(*args, **kwargs):
        drawn.append(make(*args, **kwargs))
        return drawn[-1]

    monkeypatch.setattr(DriftDisplay, "from_predictions", keep)
    options = ["--method", "ops", "--alarm", 0.01, "--plot", tmp_path / "s.png"]
    done = run("stream", *PY, *options, input=table(p, y))
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(stream, "_ROOM", 500)
    monkeypatch.setattr(stream, "_BATCH", 100)
    run("stream", *PY, *options, input=table(p, y))
    whole, part = drawn
    known = y == y
    np.testing.assert_array_equal(
        whole.forecasts_["online_platt"], expected(p, y, "online_platt")[known]
    )
    np.testing.assert_array_equal(whole.forecasts_["scores"], p[known])
    known_at = f"label {whole.alarms_['online_platt']:,}: "
    assert known_at in done.stderr, "where the stream's own alarm rang"
    n = len(part.forecasts_["scores"])
    assert n <= 500
    np.testing.assert_array_equal(part.forecasts_["scores"], p[known][-n:])
    assert part.alarms_ == {}
    assert part.ax_[1].get_xlabel() == f"Labels, the last {n}"
    plt.close("all")
    done = run("stream", *PY, "--plot", tmp_path / "no.png", input="p,y\n.5,\n")
    assert "no.png: not drawn, since there was no label" in done.stderr
    assert not (tmp_path / "no.png").exists()
    assert "unknown picture format" in fails(
        "stream", *PY, "--plot", tmp_path / "s.txt", input="p,y\n.5,1\n"
    )


# -- time and order -------------------------------------------------------------------------


def test_order_of_time():
    text = "t,p,y\n1,.5,1\n3,.5,0\n2,.5,1\n4,.5,1\n"
    done = run("stream", *PY, "--time", "t", input=text, code=1)
    error = done.stderr.splitlines()[-1]
    assert "standard input, line 4: t is 2 after 3; expected rows in the order of time" in error
    assert len(rows_of(done.stdout)) == 2
    done = run("stream", *PY, "--time", "t", "--skip-bad", input=text)
    assert [r["t"] for r in rows_of(done.stdout)] == ["1", "3", "4"]


def test_times_that_are_dates():
    head = "t,p,y\n2024-05-31,.5,1\n2024-05-31 12:00,.5,0\n"
    run("stream", *PY, "--time", "t", input=head)
    for bad, words in (
        ("2024-05-30", "expected rows in the order of time"),
        ("7", "t is a number; expected a time without zone"),
        ("2024-06-01T00:00Z", "t is a time with zone; expected a time without"),
        ("soon", "t is 'soon'; expected a number, or a time such as"),
        ("", "expected a number, or a time"),
        ("nan", "expected a number, or a time"),
    ):
        done = run("stream", *PY, "--time", "t", input=f"{head}{bad},.5,1\n", code=1)
        assert words in done.stderr, bad
    large = "t,p,y\n1717000000000000001,.5,1\n1717000000000000000,.5,1\n"
    assert "order of time" in run("stream", *PY, "--time", "t", input=large, code=1).stderr


def test_sort(data, tmp_path):
    p, y = data
    lines = table(p, y).splitlines()
    order = np.random.default_rng(1).permutation(N)
    path = tmp_path / "s.csv"
    path.write_text("\n".join([lines[0], *(lines[i + 1] for i in order)]) + "\n")
    done = run("stream", path, *PY, "--time", "t", "--sort")
    np.testing.assert_array_equal(forecasts(done.stdout), expected(p, y))
    assert "--sort with standard input or a pipe; expected a file" in fails(
        "stream", *PY, "--time", "t", "--sort", input="t,p,y\n"
    )
    assert "--sort without --time" in fails("stream", path, *PY, "--sort")


# -- bad rows -------------------------------------------------------------------------------

BAD = {
    "1.7,1": "p is 1.7; expected a probability",
    "x,1": "p is 'x'; expected a number",
    ",1": "p is empty; expected a number",
    "nan,1": "p is nan; expected a probability",
    "0.5,2": "y is '2'; expected 0 or 1",
    "0.5": "1 cells; the header has 2",
    "0.5,1,1": "3 cells; the header has 2",
    '0.5,"1"x': "expected after",
}


@pytest.mark.parametrize("row", BAD)
def test_bad_rows(row):
    text = f"p,y\n0.5,1\n{row}\n0.25,0\n"
    done = run("stream", *PY, input=text, code=1)
    error = done.stderr.splitlines()[-1]
    assert error.startswith("calibkit: error: standard input, line 3: ")
    assert BAD[row] in error
    assert len(rows_of(done.stdout)) == 1, "the row before is written"
    done = run("stream", *PY, "--skip-bad", input=text)
    assert [r["p"] for r in rows_of(done.stdout)] == ["0.5", "0.25"]
    assert done.stderr.startswith("calibkit: warning: left out: standard input, line 3: ")
    assert "2 rows, 2 labels learned, 1 invalid rows left out" in done.stderr


BAD_JSON = [
    "{",
    "[1]",
    '{"p": 0.5, "p": 0.5}',
    '{"p": true}',
    '{"p": []}',
    '{"p": 0.5, "y": [1]}',
    '{"y": 1}',
    '{"p": 1, "calibrated": 1}',
]


@pytest.mark.parametrize("row", BAD_JSON)
def test_bad_json(row):
    text = '{"p": 0.5, "y": 1}\n' + row + '\n{"p": 0.25, "y": 0}\n'
    done = run("stream", *PY, input=text, code=1)
    assert done.stderr.splitlines()[-1].startswith("calibkit: error: standard input, line 2")
    done = run("stream", *PY, "--skip-bad", input=text)
    assert [json.loads(line)["p"] for line in done.stdout.splitlines()] == [0.5, 0.25]


def test_many_bad_rows_are_counted():
    done = run("stream", *PY, "--skip-bad", input="p,y\n" + "2,1\n" * 50 + "0.5,1\n")
    assert done.stderr.count("left out:") == 10
    assert "50 invalid rows left out" in done.stderr
    assert run("stream", *PY, input="p,y\n2,1\n", code=1).stderr.count("\n") == 1
    assert "1 cells" not in fails("stream", *PY, "--skip-bad", input='p,"y\n.5,1\n')


# -- late labels ----------------------------------------------------------------------------

LATE = "i,p,y\na,0.2,\nb,0.9,\nc,0.6,1\na,,0\nd,0.4,\n,0.3,1\nb,0.9,1\nz,,1\n"


def test_late_labels():
    done = run("stream", *PY, "--id", "i", input=LATE)
    cal = TrackingCalibrator(classes=[0, 1])
    q = [*cal.forecast(["a", "b"], [0.2, 0.9])[:, 1]]
    q += [*cal.predict_then_update([0.6], [1])[:, 1], None]
    cal.label(["a"], [0])
    q += [*cal.forecast(["d"], [0.4])[:, 1], *cal.predict_then_update([0.3], [1])[:, 1], None, None]
    cal.label(["b"], [1])
    found = [r["calibrated"] for r in rows_of(done.stdout)]
    assert found == ["" if v is None else repr(float(v)) for v in q]
    assert "8 rows, 4 labels learned, 1 labels without a waiting row" in done.stderr
    known = prequential_errors([1, 0, 1, 1], [q[2], q[0], q[5], q[1]], times=[4])
    assert done.stderr.split()[-3:-1] == [f"{known.sharpness[0]:.5f}", f"{known.brier[0]:.5f}"]


def test_late_labels_after_a_restart(tmp_path):
    path, lines = tmp_path / "s.db", LATE.splitlines(keepends=True)
    whole = run("stream", *PY, "--id", "i", input=LATE).stdout
    first = run("stream", *PY, "--id", "i", "--journal", path, input="".join(lines[:4])).stdout
    rest = "".join([lines[0], *lines[4:]])
    second = run("stream", *PY, "--id", "i", "--journal", path, input=rest).stdout
    assert first + second.partition("\n")[2] == whole


def test_bad_ids():
    text = '{"i": 1.5, "p": 0.5}\n'
    assert "expected an integer or text" in fails("stream", *PY, "--id", "i", input=text)
    text = '{"i": 7, "p": 0.5}\n{"i": 7, "y": 1}\n'
    done = run("stream", *PY, "--id", "i", input=text)
    assert [json.loads(line)["calibrated"] for line in done.stdout.splitlines()] == [0.45, None]
    assert "1 labels learned;" in done.stderr


# -- pipes ----------------------------------------------------------------------------------


def read_line(stream, seconds=300):
    """A line of a process, or a failure if it does not come."""
    ready, _, _ = select.select([stream], [], [], seconds)
    assert ready, "no line came"
    return stream.readline().decode()


def test_a_forecast_comes_out_before_the_next_row_goes_in(data):
    p, y = data
    with process(*PY, bufsize=0) as child:
        for i, line in enumerate(table(p[:20], y[:20]).splitlines()):
            child.stdin.write(line.encode() + b"\n")
            out = read_line(child.stdout)
            assert out.startswith(line + ",")
            if i:
                assert float(out.rpartition(",")[2]) == expected(p, y)[i - 1]
        child.stdin.close()
        assert child.wait(300) == 0
        assert b"20 rows" in child.stderr.read()


def test_half_a_row_is_waited_for():
    class Slow:
        def __init__(self):
            self.parts = [b"p,y\n.5,1\n.2", b"5,", b"0\n", b".7", b""]

        def read1(self, _=-1):
            return self.parts.pop(0)

    lines, seen = Lines(Slow()), []
    for line in lines:
        seen.append((line, lines.ready()))
    assert seen == [("p,y\n", True), (".5,1\n", False), (".25,0\n", False), (".7", False)]


def test_a_broken_pipe_and_an_interrupt_end_cleanly(data, tmp_path):
    p, y = data
    for how in ("pipe", "interrupt"):
        path = tmp_path / f"{how}.db"
        with process(*PY, "--journal", path, bufsize=0) as child:
            child.stdin.write(table(p[:10], y[:10]).encode())
            for _ in range(11):
                read_line(child.stdout)
            if how == "pipe":
                child.stdout.close()
                child.stdin.write(b'10,0.5,1,"x"\n')
            else:
                child.send_signal(signal.SIGINT)
            assert child.wait(300) == (141 if how == "pipe" else 130)
            errors = child.stderr.read().decode()
        assert "Traceback" not in errors
        assert errors.endswith("calibkit: interrupted\n") == (how == "interrupt")
        with Journal(path) as journal:
            n = journal.n_rows
            # The row that found no reader is not learnt. An interrupt may come while rows are
            # written: then all that came together are committed or none, and nothing is summed up.
            amid = how == "interrupt" and errors == "calibkit: interrupted\n"
            assert n == 10 or (amid and n == 0)
            assert f"# {n} rows" in errors or amid
            cal = TrackingCalibrator(OnlinePlattCalibrator(), smoothing=1.0, classes=[0, 1])
            cal.partial_fit(p[:n], y[:n])
            assert to_dict(journal.calibrator_) == to_dict(cal)
        assert not path.with_name(f"{how}.db-wal").exists()


#: A signal between Python's last look at signals and the call that waits. Both are called from C,
#: and Python looks at signals in its own steps only.
INTERRUPTED_BEFORE_IT_WAITS = """
import ctypes, os, select, signal, sys
from functools import partial
from calibkit._cli.stream_rows import Lines, waiting

raising = partial(ctypes.CDLL(None)["raise"], signal.SIGINT)
select.select = lambda *args, real=select.select: [
    *map(partial.__call__, (raising, partial(real, *args)))
][1]
with waiting(sys.stdin.buffer) as wait:
    lines = Lines(sys.stdin.buffer, wait)
    print(next(lines), flush=True)
    next(lines)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't wait for pipes")
def test_an_interrupt_just_before_a_read_is_not_lost():
    command = [sys.executable, "-c", INTERRUPTED_BEFORE_IT_WAITS]
    pipe, env = subprocess.PIPE, {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=env) as child:
        child.stdin.write(b"a row\n")
        child.stdin.flush()
        read_line(child.stdout)
        child.wait(60)
        assert child.stderr.read().splitlines()[-1] == b"KeyboardInterrupt"


# -- restart --------------------------------------------------------------------------------


def test_a_restart_goes_on(data, tmp_path):
    p, y = data
    path = tmp_path / "s.db"
    parts = [
        run("stream", *PY, "--journal", path, input=table(p[i : i + 100], y[i : i + 100], start=i))
        for i in range(0, N, 100)
    ]
    found = np.concatenate([forecasts(part.stdout) for part in parts])
    np.testing.assert_array_equal(found, expected(p, y))
    error = fails("stream", *PY, "--method", "ops", "--journal", path, input="p,y\n.5,1\n")
    assert "class is 'online_platt', in the file 'tracking'" in error
    (tmp_path / "foreign.db").write_text("hello " * 100)
    bad = fails("stream", *PY, "--journal", tmp_path / "foreign.db", input="p,y\n.5,1\n")
    assert "not a journal of calibkit" in bad


def test_resume_after_kill_9(data, tmp_path):
    """A file is streamed to a file, the process is killed, and another goes on to the same end."""
    p, y = np.tile(data[0], 60), np.tile(data[1], 60)
    source, out, state = tmp_path / "s.csv", tmp_path / "out.csv", tmp_path / "s.db"
    source.write_text(table(p, y))
    options = [source, *PY, "--journal", state, "--resume", "-o", out]
    with process(*options) as child:
        until = time.monotonic() + 300
        while not (out.exists() and out.stat().st_size > 100_000) and time.monotonic() < until:
            time.sleep(0.002)
        child.kill()
    with Journal(state) as journal:
        assert 0 < journal.n_rows < len(p)
        assert journal.n_rows <= len(out.read_text().splitlines()) - 1
    out.write_bytes(out.read_bytes() + b"1,0.5,torn")
    whole = run("stream", source, *PY)
    done = run("stream", *options)
    with Journal(state) as journal:
        assert journal.n_rows == len(p)
        cal = TrackingCalibrator(OnlinePlattCalibrator(), smoothing=1.0, classes=[0, 1])
        cal.partial_fit(p, y)
        assert to_dict(journal.calibrator_) == to_dict(cal)
    assert out.read_bytes() == whole.stdout_bytes, "every row is there, once"
    assert (done.stdout, done.stderr) == ("", whole.stderr)
    again = run("stream", *options)
    assert (out.read_bytes(), again.stderr) == (whole.stdout_bytes, whole.stderr)


def test_forecasts_of_rows_that_are_learnt_are_not_overwritten(data, tmp_path):
    source, out, state = tmp_path / "s.csv", tmp_path / "out.csv", tmp_path / "s.db"
    source.write_text(table(*data))
    options = ["stream", source, *PY, "--journal", state, "-o"]
    run(*options, out)
    before = out.read_bytes()
    assert "-o with a new name" in fails(*options, out)
    assert out.read_bytes() == before
    with Journal(state) as journal:
        assert journal.n_rows == N
    run(*options, tmp_path / "more.csv")
    with Journal(state) as journal:
        assert journal.n_rows == 2 * N


def test_resume_needs_a_journal(data):
    assert "--resume without --journal" in fails("stream", *PY, "--resume", input=table(*data))


def test_the_journal_is_in_use(tmp_path):
    with Journal(tmp_path / "s.db", make_method(StreamOptions("p", "y"))):
        error = fails("stream", *PY, "--journal", tmp_path / "s.db", input="p,y\n.5,1\n")
    assert "s.db is in use by another process" in error


def test_usage():
    done = run("stream", "--prob", "p", "--label", "y", "--method", "platt", code=2)
    assert "'platt' is not one of tracking (tops), online_platt (ops)" in done.stderr
    for name in ("tops", "TOPS", "tracking"):
        done = run("stream", *PY, "--method", name, input="p,y\n.5,1\n")
        assert "uncalibrated scores against tracking" in done.stderr
    done = run("stream", *PY, "--method", "TOBS", input="p,y\n.5,1\n")
    assert "uncalibrated scores against tobs" in done.stderr
    text = " ".join(run("stream", "--help").stdout.split())
    assert "One of tracking (tops), online_platt (ops), hedging (hops), online_beta (obs)" in text
    assert "tobs applies tracking to the forecasts of online_beta" in text
    assert "calibkit stream games.csv --prob model --label won -o out.csv" in text


@pytest.mark.parametrize(("name", "main"), [("TOPS", "tracking"), ("obs", "online_beta")])
def test_names_of_the_paper_are_taken_in_python_too(name, main):
    made = make_calibrator(name)
    assert type(made) is type(make_calibrator(main))
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    proba = [
        OnlineCalibratedClassifier(model, calibrator=given).partial_fit([[0.5]], [1])
        .predict_proba([[0.3]]) for given in (name, main)
    ]  # fmt: skip
    np.testing.assert_array_equal(*proba)
