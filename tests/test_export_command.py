"""The command ``calibkit export``."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from calibkit import HistogramBinningCalibrator, PlattCalibrator, TemperatureCalibrator, save
from calibkit._cli import export as command
from calibkit.decisions import TriagePolicy
from calibkit.export import to_python, to_sql
from calibkit.export._sql import DIALECTS

from .test_cli import fails, run


@pytest.fixture
def files(tmp_path):
    """A calibrator of two classes, and one of three."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 200)
    y = np.array(["cat", "dog", "owl"])[np.where(rng.random(200) < 0.8, p.argmax(axis=1), 0)]
    two = PlattCalibrator().fit(p[:, 0], (y == "cat") ^ (rng.random(200) < 0.2))
    for name, cal in (("two", two), ("three", TemperatureCalibrator().fit(p, y))):
        save(cal, tmp_path / f"{name}.json")
    return tmp_path, two


def test_output_is_that_of_the_library(files):
    base, cal = files
    sql = run("export", base / "two.json", "--to", "sql", "--dialect", "sqlite", "--column", "p")
    assert sql.stdout == to_sql(cal, dialect="sqlite", column="p") + "\n"
    with closing(sqlite3.connect(":memory:")) as database:
        row = database.execute(f"SELECT {sql.stdout} FROM (SELECT 0.3 AS p)").fetchone()
    assert row[0] == pytest.approx(cal.predict_proba([0.3])[0, 1], abs=1e-12)
    out = run("export", base / "two.json", "--to", "python", "--labels", "-o", base / "f.py").stdout
    text = (base / "f.py").read_text()
    assert text.strip() == to_python(cal, labels=True).strip()
    assert out == f"{base / 'f.py'}: {len(text.encode()):,} bytes written\n"


@pytest.mark.parametrize("language", command._CODE)
def test_languages(files, language):
    text = run("export", files[0] / "two.json", "--to", language, "--name", "score_it").stdout
    assert "score_it" in text


def test_classes_and_other_objects(files):
    base, _ = files
    columns = ["--column", "a,b", "--column", "c", "--table", "shop.scores", "--keep", "id"]
    query = run("export", base / "three.json", "--to", "sql", "--dialect", "tsql", *columns).stdout
    assert "FROM [shop].[scores]" in query
    assert "AS [probability_owl]" in query
    policy = TriagePolicy(cost_accept_wrong=10, cost_review=1, cost_discard_right=4)
    save(policy, base / "policy.json")
    code = run("export", base / "policy.json", "--to", "sql", "--dialect", "duckdb").stdout
    assert "'review'" in code


def test_onnx(files):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: no model is written")
    run("export", files[0] / "two.json", "--to", "onnx", "-o", files[0] / "cal.onnx")
    onnx.checker.check_model(onnx.load(files[0] / "cal.onnx"))


def test_dialects_are_those_of_the_library():
    assert list(DIALECTS) == command._DIALECTS


def test_errors(files):
    two, three = files[0] / "two.json", files[0] / "three.json"
    assert "needs --dialect; expected one of duckdb" in fails("export", two, "--to", "sql")
    assert "needs -o; expected" in fails("export", two, "--to", "onnx")
    error = fails("export", two, "--to", "c", "--table", "t")
    assert "--table with --to c; expected it with SQL only. Drop it." in error
    sql = ["--to", "sql", "--dialect", "duckdb"]
    assert "--name with --to sql" in fails("export", two, *sql, "--name", "f")
    assert "Add --table, the name of the table" in fails("export", three, *sql)
    assert "--column holds 2 names" in fails("export", two, *sql, "--column", "a,b")
    result = run("export", two, "--to", "cobol", code=2)
    assert "is not one of sql, onnx, python" in result.output
    p = np.random.default_rng(0).random(3_000)
    save(HistogramBinningCalibrator(n_bins=600).fit(p, p > 0.5), two)
    assert "20,000 characters" in fails("export", two, *sql)
