"""Tables that are not one file: directories and patterns of Parquet, tables of a DuckDB file."""

import json

import numpy as np
import polars as pl
import pytest

from .test_cli import fails, run

TOLD = ["--label", "won", "--prob", "model", "--resamples", "10"]


def frame(n=90):
    rng = np.random.default_rng(0)
    p = rng.random(n).round(3)
    return pl.DataFrame({"won": (rng.random(n) < p).astype(int), "model": p, "no": range(n)})


@pytest.fixture
def folder(tmp_path):
    """The rows in three files of two directories, beside a file that is none of them."""
    for i, name in enumerate(["year=2024/a", "year=2025/a", "year=2025/b"]):
        path = tmp_path / "games" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame().slice(30 * i, 30).write_parquet(path)
    (tmp_path / "games" / "_SUCCESS").write_text("")
    frame().write_parquet(tmp_path / "all.parquet")
    return tmp_path


def report(*args):
    found = json.loads(run("report", *args, *TOLD, "--json").stdout)
    return found.pop("file"), found


def test_directories_and_patterns_are_one_table(folder):
    _, whole = report(folder / "all.parquet")
    for given in (folder / "games", folder / "games/*/*.parquet", folder / "g*/**/?.parquet"):
        name, found = report(given)
        assert (name, found) == (str(given), whole)
    _, last = report(folder / "games/year=2025/*.parquet")
    assert last["models"][0]["metrics"] != whole["models"][0]["metrics"]
    assert "2024" in run("report", folder / "games", *TOLD, "--by", "year").stdout
    run("fit", folder / "games", *TOLD[:4], "--calibrator", "platt", "-o", folder / "c.json")
    out = folder / "out.parquet"
    run("apply", folder / "c.json", folder / "games", *TOLD[2:4], "-o", out)
    assert pl.read_parquet(out)["no"].to_list() == list(range(90))


def test_errors_of_directories_and_patterns(folder):
    (folder / "empty").mkdir()
    assert "is a directory; expected a file, or a" in fails("report", folder / "empty", *TOLD)
    assert "x*.parquet: no such file." in fails("report", folder / "x*.parquet", *TOLD)
    frame().drop("won").write_parquet(folder / "games" / "year=2025" / "c.parquet")
    assert f"{folder / 'games'}: can't be read as Parquet" in fails(
        "report", folder / "games", *TOLD
    )
    assert "is Parquet; expected CSV" in fails(
        "stream", folder / "games", *TOLD[:4], "-o", folder / "o.csv"
    )


@pytest.fixture
def database(folder):
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    path = folder / "t.duckdb"
    with duckdb.connect(str(path)) as connection:
        source = f"SELECT * FROM '{folder / 'all.parquet'}'"
        connection.execute(f'CREATE TABLE "the ""games" AS {source}')
        connection.execute(f"CREATE SCHEMA old; CREATE VIEW old.games AS {source} WHERE no < 60")
        connection.execute(
            f"CREATE VIEW old.bent AS SELECT model ** 6 AS model, won FROM ({source})"
        )
        connection.execute(f"CREATE TABLE holes AS SELECT CASE no WHEN 7 THEN NULL ELSE model END"
                           f" AS model, won FROM ({source})")  # fmt: skip
    return path


def test_tables_of_a_database(folder, database):
    _, whole = report(folder / "all.parquet")
    name, found = report(database, "--table", 'the "games')
    assert name == f'{database}, table "the \\"games"'
    assert found == whole
    assert report(database, "--table", "old.games")[1]["n"] == 60
    told = [database, *TOLD[:4], "--table", "old.bent"]
    chosen = run("choose", *told, "--calibrators", "platt,temperature").stdout
    assert "--prob model --table old.bent --calibrator temperature -o cal.json" in chosen
    run("fit", *told, "--calibrator", "platt", "-o", folder / "c.json")


def test_errors_of_databases(folder, database):
    assert "is a database; expected the name of a table too" in fails("report", database, *TOLD)
    no = fails("report", database, *TOLD, "--table", "none")
    assert f"{database}, table none: can't be read by DuckDB (Catalog Error: Table" in no
    wrong = fails("report", folder / "all.parquet", *TOLD, "--table", "t")
    assert "all.parquet, table t: can't be read by DuckDB (" in wrong
    for other in ("-", folder):
        no_file = fails("report", other, *TOLD, "--table", "t")
        assert f"{other}: no such file; expected a DuckDB file with --table." in no_file
    hole = fails("report", database, *TOLD, "--table", "holes")
    assert "table holes, row 7 (counted from 0): model is empty; expected a number." in hole
    column = fails("report", database, "--label", "x", *TOLD[2:], "--table", "holes")
    assert "--label x: no such column; " in column
