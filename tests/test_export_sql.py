"""Exports as SQL: run in SQLite and DuckDB, and compared with Python's results."""

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from calibkit import AutoCalibrator, IsotonicCalibrator, PlattCalibrator, SplineCalibrator
from calibkit.base import InputError
from calibkit.export import to_sql
from calibkit.export._check import compared
from calibkit.export._engines import _ordered, run_sql
from calibkit.export._maps import _MAPS, program_of
from calibkit.export._program import Program, column, place
from calibkit.export._sql import DIALECTS, columns_of

from .test_export import BATCH, five, of_class
from .test_export_code import STEPS, fixed, of_numbers, of_vectors

NO_DUCKDB = pytest.mark.skipif(find_spec("duckdb") is None, reason="DuckDB is not installed")
ENGINES = ["sqlite", pytest.param("duckdb", marks=NO_DUCKDB)]
EDGES = np.array([0.0, -0.0, 1.0, 5e-324, 1e-290, np.nextafter(1, 0), np.nan, -1e-7, 1.1])


def scores(program, n=60, seed=0):
    """Scores anywhere, at the borders of the program and beside them, and odd ones."""
    rng, k = np.random.default_rng(seed), program.n_inputs
    borders = [n.data for n in program.nodes() if n.op == "place"]
    borders = np.concatenate([STEPS, *(rng.permutation(b)[:40] for b in borders)])
    x = np.concatenate([EDGES, borders, np.nextafter(borders, 9), np.nextafter(borders, -9)])
    if program.facts.get("scale") == "logit":
        x = np.concatenate([x, [800.0, -800.0, 1e6, -1e6], rng.normal(0, 4, n)])
    if k == 1:
        return np.concatenate([x, rng.random(n)])[:, None]
    rows = rng.dirichlet(np.full(k, 0.3), n)
    if program.facts.get("scale") == "logit":
        rows = rng.normal(0, 50, (n, k))
    rows[:k] = np.eye(k)
    rows[k : k + 3, 0] = np.nan, -0.2, 1e5
    if "scale" not in program.facts:
        rows[-len(x) :, 0] = x[-n:]
    return rows


def agrees(program, dialect, table="t", connection=None):
    x = scores(program)
    sql = to_sql(program, dialect=dialect, table=table)
    got = run_sql(sql, x, connection)
    check = compared(program, got, program.run(x), 1e-12)
    assert check.passed, check


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("program", [of_numbers(), of_vectors(), of_vectors(30), fixed()])
def test_operations(program, dialect):
    agrees(program, dialect)


# -- fitted maps --------------------------------------------------------------------------------


@cache
def programs(cls):
    """Five fitted maps of a class."""
    return [program_of(obj, labels=True) for obj in five(*of_class(cls, BATCH), n=150)]


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("cls", _MAPS, ids=lambda cls: cls.__name__)
def test_fitted_maps(cls, dialect):
    quick = cls not in (SplineCalibrator, AutoCalibrator) or dialect == "sqlite"
    for program in programs(cls)[: 5 if quick else 2]:  # DuckDB plans long queries slowly
        agrees(program, dialect)


def test_expression_is_the_same():
    for example in (PlattCalibrator(), IsotonicCalibrator()):
        for cal in five(example, n=150):
            for labels in (False, True):
                agrees(program_of(cal, labels=labels), "sqlite", table=None)


# -- other engines ------------------------------------------------------------------------------

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """A connection to a server of its own, which listens to a socket only."""
    if not POSTGRES or shutil.which("runuser") is None or os.getuid() != 0:
        pytest.skip("PostgreSQL is not installed, or this is not root: its SQL is not run")
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL's SQL")
    home = Path(tempfile.mkdtemp(prefix="calibkit"))  # the path of a socket must be short
    shutil.chown(home, "postgres")
    tool = ["runuser", "-u", "postgres", "--", f"{POSTGRES[0]}/pg_ctl", "-D", f"{home}/d", "-w"]
    quiet = {"check": True, "capture_output": True, "cwd": home}
    subprocess.run([*tool, "initdb", "-o", "-A trust -N"], **quiet)
    options = f"-k {home} -c listen_addresses='' -c fsync=off"
    subprocess.run([*tool, "-l", f"{home}/log", "-o", options, "start"], **quiet)
    try:
        where = f"host={home} user=postgres dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            yield connection
    finally:
        subprocess.run([*tool, "-m", "immediate", "stop"], **quiet)
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def clickhouse():
    dbapi = pytest.importorskip("chdb.dbapi", reason="chDB is not installed: ClickHouse's SQL")
    return dbapi.connect()


@pytest.mark.parametrize("dialect", ["postgres", "clickhouse"])
def test_other_engines(dialect, request):
    connection = request.getfixturevalue(dialect)
    for program in (of_numbers(), of_vectors(), fixed()):
        agrees(program, dialect, connection=connection)
    for cls in _MAPS:
        for program in programs(cls)[: 5 if dialect == "postgres" else 1]:
            agrees(program, dialect, connection=connection)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_parsed_by_sqlglot(dialect):
    sqlglot = pytest.importorskip("sqlglot", reason="sqlglot is not installed: parsed by none")
    for program in (of_numbers(), of_vectors(), fixed()):
        sql = to_sql(program, dialect=dialect, table="a.b", column=[*"x]`\"y'"][: program.n_inputs])
        (tree,) = sqlglot.parse(sql, read=dialect)
        assert isinstance(tree, sqlglot.exp.Select)
        sizes = sql.facts["sizes"].items()
        names = [column for name, size in sizes for column in columns_of(name, size, sql.facts)]
        assert tree.named_selects[program.n_inputs :] == names


# -- names, types and refusals ------------------------------------------------------------------


@pytest.fixture
def sqlite():
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection


@pytest.mark.parametrize("name", ['a"b', "a b", "Ünï 💡", '"); DROP TABLE t; --', "x0", "k'\\"])
def test_names_are_quoted(name, sqlite):
    quoted = '"' + name.replace('"', '""') + '"'
    sqlite.execute(f"CREATE TABLE {quoted} ({quoted} REAL, id INTEGER)")
    sqlite.execute(f"INSERT INTO {quoted} VALUES (0.25, 7), (NULL, 8)")
    cal = PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1])
    want = cal.predict_proba([0.25])[0, 1]
    text = to_sql(cal, dialect="sqlite", column=name)
    found = sqlite.execute(f"SELECT {text} FROM {quoted}").fetchall()
    query = to_sql(cal, dialect="sqlite", column=name, table=[name], keep=["id", name])
    rows = sqlite.execute(query).fetchall()
    assert found == [(pytest.approx(want, abs=1e-15),), (None,)]
    assert rows == [(7, 0.25, pytest.approx(want, abs=1e-15)), (8, None, None)]


def test_a_column_that_does_not_exist_is_an_error(sqlite):
    """SQLite takes "name" for a text where there is no such column, and a text gives NULL."""
    cal = PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1])
    sqlite.execute("CREATE TABLE t (score REAL)")
    text = to_sql(cal, dialect="sqlite", column="scores")
    query = to_sql(cal, dialect="sqlite", column="scores", table="t")
    for wrong in (f"SELECT {text} FROM t", query):
        with pytest.raises(sqlite3.OperationalError, match="no such column: scores"):
            sqlite.execute(wrong)


@pytest.mark.parametrize(("column", "keep"), [("k0", "id"), ("p", "v0"), ("k1", "k0"), ("x", "x0")])
def test_columns_with_the_names_of_shared_values(column, keep, clickhouse):
    """ClickHouse takes a name that a SELECT gives before that of a column."""
    cal = PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1])
    query = to_sql(cal, dialect="clickhouse", column=column, table="t", keep=keep)
    rows = f'(SELECT 0.25 AS "{column}", 0.9 AS "{keep}")'
    cursor = clickhouse.cursor()
    cursor.execute(query.replace('FROM "t"', f"FROM {rows}", 1))
    ((kept, found),) = cursor.fetchall()
    assert (kept, found) == (0.9, pytest.approx(cal.predict_proba([0.25])[0, 1], abs=1e-15))


def test_texts_in_a_column_of_numbers_give_null(sqlite):
    sql = to_sql(IsotonicCalibrator().fit([0.1, 0.9], [0, 1]), dialect="sqlite", column="p")
    sqlite.execute("CREATE TABLE t (p)")
    sqlite.executemany("INSERT INTO t VALUES (?)", [("",), ("n/a",), (1,), (0.1,)])
    found = sqlite.execute(f"SELECT {sql} FROM t").fetchall()
    assert found == [(None,), (None,), (0.75,), (0.25,)]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_literals_keep_every_digit(dialect, sqlite):
    tiny = (7e-261, 1.3572340139188965e-292, 5.310874110858035e-81, 9.110516610487e-32, 5e-324)
    for x in (0.1, 1 / 3, *tiny, 1.7976931348623157e308, 12345678.000000002):
        text = DIALECTS[dialect].number(x)
        if dialect == "sqlite":
            assert sqlite.execute(f"SELECT {text}").fetchone() == (x,)
        else:
            assert float(re.search(r"(?<!t)[\d.]+e-?\d+", text)[0]) == x


def test_rows_whose_scores_an_engine_reads_one_ulp_off():
    """SQLite 3.40 does so with 1.394e-31; the row of a neighbor is not taken for it."""
    rows = np.array([[0.25], [np.nextafter(0.25, 1)], [1.3941045170904956e-31], [np.nan]])
    read = np.array([rows[1, 0], rows[0, 0], np.nextafter(rows[2, 0], 1)]).tolist()
    found = [(read[0], "b"), (read[1], "a"), (read[2], "c"), (None, "d")]
    facts = {"columns": ["x"], "keep": ["x"]}
    assert [row[1] for row in _ordered(found, ["x", "y"], facts, rows)] == list("abcd")


def test_refusals():
    with pytest.raises(InputError, match="a matrix of 31 classes; expected at most 30"):
        to_sql(of_vectors(31), dialect="duckdb", table="t")
    cal = PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1])
    with pytest.raises(InputError, match="did you mean 'postgres'"):
        to_sql(cal, dialect="postgre")
    with pytest.raises(InputError, match="the name of a result"):
        to_sql(cal, dialect="duckdb", table="t", keep="probability")
    with pytest.raises(InputError, match="keep holds 'id' more than once; expected names that"):
        to_sql(cal, dialect="duckdb", table="t", keep=["id", "a", "id"])
    steps = place(column(0), np.linspace(0, 1, 40_000))
    large = Program(1, {"probability": steps}, steps, {"name": "A", "inputs": ["x"]})
    with pytest.raises(InputError, match=r"20,000 characters.* Pass table"):
        to_sql(large, dialect="duckdb")
    with pytest.raises(InputError, match=r"1,000,000 characters.* Fit fewer bins"):
        to_sql(large, dialect="duckdb", table="t")
