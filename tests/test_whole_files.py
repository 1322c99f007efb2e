"""Files appear whole or not at all: what was there before stays as it is after any failure."""

from __future__ import annotations

import os

import numpy as np
import pytest

from calibkit import IdentityCalibrator, load, save

from .simulate_codegen import write
from .test_cli import run

PY = ["--prob", "p", "--label", "y"]
BINS = ["--resamples", "20"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole")
    write(path)
    rng = np.random.default_rng(0)
    p = rng.random(60).round(3)
    rows = [f"{i},{a},{int(b < a)}" for i, (a, b) in enumerate(zip(p, rng.random(60), strict=True))]
    (path / "t.csv").write_text("i,p,y\n" + "\n".join(rows) + "\n")
    pl = pytest.importorskip("polars")
    pl.read_csv(path / "t.csv").write_parquet(path / "t.parquet")
    run("fit", path / "t.csv", *PY, "--output", path / "cal.json")
    run(*at(path, *POLICY), "--output", path / "rule.json")
    return path


def at(path, *args):
    return [path / str(a) if (path / str(a)).is_file() else a for a in args]


SIGNAL = ["--signal", "average_token_probability"]
POLICY = ["codegen", "policy", "generations.jsonl", "results.json", "--max-error", 0.15, *SIGNAL]
APPLY = ["apply", "cal.json"]
#: Every command that writes a file, and the name of that file.
WRITERS = {
    "fit": (["fit", "t.csv", *PY], "--output", "out.json"),
    "apply": (["apply", "cal.json", "t.csv", "--prob", "p"], "--output", "out.csv"),
    "apply, compressed": (["apply", "cal.json", "t.csv", "--prob", "p"], "--output", "out.csv.gz"),
    "apply, Parquet": (
        ["apply", "cal.json", "t.parquet", "--prob", "p"],
        "--output",
        "out.parquet",
    ),
    "export": (["export", "cal.json", "--to", "python"], "--output", "out.py"),
    "report": (["report", "t.csv", *PY, *BINS], "--plot", "out.png"),
    "choose": (["choose", "t.csv", *PY, "--calibrators", "platt"], "--plot", "out.png"),
    "stream": (["stream", "t.csv", *PY], "--plot", "out.png"),
    "demo": (["demo"], "--output", "out.png"),
    "policy": (POLICY, "--output", "out.json"),
    "policy, picture": (POLICY, "--plot", "out.png"),
    "decide": (["codegen", "decide", "generations.jsonl", "rule.json"], "--output", "out.csv"),
}


def fail_at(monkeypatch, call, error):
    """Let a step of writing fail: the last of the new file, or that to its place."""

    def fail(*_):
        raise error

    monkeypatch.setattr(f"calibkit._core.saved.os.{call}", fail)


@pytest.mark.parametrize("name", WRITERS)
def test_a_failure_leaves_the_old_file(place, tmp_path, monkeypatch, name):
    args, option, target = WRITERS[name]
    out = tmp_path / target
    out.write_bytes(b"what was there")
    fail_at(monkeypatch, "replace", OSError(28, "No space left on device"))
    run(*at(place, *args), option, out, code=1)
    assert out.read_bytes() == b"what was there"
    assert os.listdir(tmp_path) == [target]


@pytest.mark.parametrize("call", ["chmod", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt(), SystemExit()])
@pytest.mark.parametrize("before", [None, "old"])
def test_whatever_stops_it_nothing_is_left(tmp_path, monkeypatch, call, error, before):
    out = tmp_path / "cal.json"
    if before is not None:
        out.write_text(before)
    fail_at(monkeypatch, call, error)
    with pytest.raises(type(error)):
        save(IdentityCalibrator().fit([0.2, 0.4], [0, 1]), out)
    assert os.listdir(tmp_path) == ([] if before is None else ["cal.json"])
    assert before is None or out.read_text() == before


def test_every_command_that_writes_is_there():
    """Those of the table are all commands with an output, but for what is written row by row."""
    import typer

    from calibkit._cli.app import make_app

    def commands(group, names=()):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from commands(command, (*names, name))
            else:
                yield (*names, name), {o for p in command.params for o in p.opts}

    known = {(tuple(a for a in args if a in WORDS), option) for args, option, _ in WRITERS.values()}
    found = {
        (names, option)
        for names, options in commands(typer.main.get_command(make_app()))
        for option in ("--output", "--plot")
        if option in options
    }
    assert found - known == {(("stream",), "--output")}
    assert known <= found


WORDS = ("fit", "choose", "apply", "export", "report", "stream", "demo")
WORDS += ("codegen", "policy", "decide")


def test_a_link_stays_and_so_does_the_mode(tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    save(IdentityCalibrator().fit([0.2, 0.4], [0, 1]), link)
    assert link.is_symlink()
    assert isinstance(load(real), IdentityCalibrator)
    assert real.stat().st_mode & 0o777 == 0o600


def test_a_bad_row_half_way_leaves_the_old_file(place, tmp_path, monkeypatch):
    out = tmp_path / "out.csv"
    out.write_text("old")
    bad = tmp_path / "bad.csv"
    bad.write_text((place / "t.csv").read_text() + "61,x,1\n")
    monkeypatch.setattr("calibkit._cli.calibrate.CHUNK_ROWS", 10)
    run("apply", place / "cal.json", bad, "--prob", "p", "--output", out, code=1)
    assert (out.read_text(), sorted(os.listdir(tmp_path))) == ("old", ["bad.csv", "out.csv"])


def test_what_can_not_be_saved_leaves_the_old_file(tmp_path):
    out = tmp_path / "cal.json"
    out.write_text("old")
    with pytest.raises(Exception, match="fit"):
        save(IdentityCalibrator(), out)
    assert (out.read_text(), os.listdir(tmp_path)) == ("old", ["cal.json"])
