"""`ScoreTable.from_sql`: the same numbers as from arrays, from real engines."""

import os
import shutil
import socket
import sqlite3
import subprocess
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from calibkit import (
    ScoreTable,
    area_under_risk_coverage,
    brier_score,
    brier_skill_score,
    calibration_error,
    certify,
    corp_miscalibration,
    cumulative_calibration_error,
    estimate,
    log_loss,
    log_loss_skill_score,
    roc_auc,
)
from calibkit._numerics.binning import uniform_borders
from calibkit.base import InputError

COLUMNS = ("n", "w", "wy", "w2", "w2y", "w2yy")
SCORES = (brier_score, brier_skill_score, log_loss, log_loss_skill_score)
ODD = 'p "q" %s ?'  # a name that must be quoted, with marks of values in it
Data = namedtuple("Data", "y p w g")


def data(n=1500, *, ties=False):
    """Labels, scores, weights and groups; scores on borders of bins and their neighbors."""
    rng = np.random.default_rng(0)
    p = rng.beta(0.5, 0.7, n)
    p[:6] = 0.0, 1.0, 1e-20, 1 - 1e-16, 1e-300, 0.5
    p = np.round(p, 2) if ties else p
    edges = np.append(uniform_borders(30), uniform_borders(7))
    around = np.concatenate((edges, np.nextafter(edges, 0), np.nextafter(edges, 1)))
    p[10 : 10 + len(around)] = around
    y = (rng.random(n) < p).astype(int)
    w = np.round(rng.gamma(1.0, size=n), 3)
    return Data(y, p, w, rng.choice(["a", "b"], n))


def fill(connection, rows, mark="?", name="games"):
    cursor = connection.cursor()
    odd = ODD.replace('"', '""')
    double = "DOUBLE PRECISION"
    cursor.execute(f'CREATE TABLE "{name}" (y INTEGER, "{odd}" {double}, w {double}, g TEXT)')
    columns = [c.tolist() for c in rows]
    if isinstance(connection, sqlite3.Connection):
        cursor.executemany(f'INSERT INTO "{name}" VALUES (?, ?, ?, ?)', zip(*columns, strict=True))
    else:
        kinds = ("INTEGER", "FLOAT8", "FLOAT8", "TEXT")
        arrays = ", ".join(f"unnest({mark}::{kind}[])" for kind in kinds)
        cursor.execute(f'INSERT INTO "{name}" SELECT {arrays}', columns)
    connection.commit()


def postgres(folder):
    """A server in a folder of its own, and a connection to it."""
    psycopg = pytest.importorskip("psycopg", reason="PostgreSQL: psycopg is not installed")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found or os.getuid() != 0 or not shutil.which("runuser"):
        pytest.skip("PostgreSQL: needs its programs in /usr/lib/postgresql, and root to start it")
    shutil.chown(folder, "postgres")
    for parent in [folder, *folder.parents][:-2]:
        parent.chmod(parent.stat().st_mode | 0o055)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home, programs = folder / "data", found[-1].parent

    def run(*command):
        whole = ["runuser", "-u", "postgres", "--", *map(str, command)]
        subprocess.run(whole, check=True, stdout=subprocess.DEVNULL, cwd=folder)

    run(programs / "initdb", "-D", home, "-A", "trust", "-N", "--no-instructions")
    options = f"-p {port} -k {folder} -c listen_addresses= -c fsync=off"
    run(programs / "pg_ctl", "-D", home, "-w", "-o", options, "-l", folder / "log", "start")
    connection = psycopg.connect(host=str(folder), port=port, user="postgres", dbname="postgres")

    def stop():
        run(programs / "pg_ctl", "-D", home, "-m", "immediate", "stop")

    return connection, stop


@pytest.fixture(scope="module", params=["sqlite", "duckdb", "postgres"])
def engine(request, tmp_path_factory):
    """A connection to tables of few and of many scores."""
    stop, mark = None, "?"
    if request.param == "duckdb":
        duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
        connection = duckdb.connect()
    elif request.param == "postgres":
        (connection, stop), mark = postgres(tmp_path_factory.mktemp("postgres")), "%s"
    else:
        connection = with_logarithms(":memory:")
    fill(connection, data(), mark, "many")
    fill(connection, data(800, ties=True), mark, "few")
    yield connection
    connection.close()
    if stop is not None:
        stop()


def with_logarithms(file):
    connection = sqlite3.connect(file)
    try:
        connection.execute("SELECT ln(1.0)")
    except sqlite3.OperationalError:
        connection.close()
        pytest.skip("SQLite: it is built without mathematical functions")
    return connection


def same(table, exact, rtol=1e-13):
    np.testing.assert_array_equal(table.p, exact.p)
    for column in COLUMNS:
        np.testing.assert_allclose(getattr(table, column), getattr(exact, column), rtol=rtol)
    assert table.losses is None


@pytest.mark.parametrize("weight", [None, "w"])
def test_few_scores_give_the_table_of_the_rows(engine, weight):
    rows = data(800, ties=True)
    told = {"label": "y", "score": ODD, "weight": weight}
    w = None if weight is None else rows.w
    same(ScoreTable.from_sql(engine, "few", **told), ScoreTable.from_arrays(rows.y, rows.p, w))
    tables = ScoreTable.from_sql(engine, "few", by="g", **told)
    assert list(tables) == ["a", "b"]
    for g, table in tables.items():
        some = rows.g == g
        parts = (None if c is None else c[some] for c in (rows.y, rows.p, w))
        same(table, ScoreTable.from_arrays(*parts))
    several = ScoreTable.from_sql(engine, "few", by=["g", "y"], **told)
    assert list(several) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert sum(several.values()).n_rows == sum(tables.values()).n_rows
    whole = ScoreTable.from_sql(engine, "many", n_cells=None, **told)
    rows = data()
    same(whole, ScoreTable.from_arrays(rows.y, rows.p, None if weight is None else rows.w))


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("group", [None, "a"])
def test_cells_of_many_scores_keep_what_is_said_to_be_exact(engine, weight, group):
    rows = data()
    some = slice(None) if group is None else rows.g == group
    y, p, w = (c[some] for c in rows[:3])
    w = None if weight is None else w
    told = {"label": "y", "score": ODD, "weight": weight, "by": group and "g", "n_cells": 512}
    table = ScoreTable.from_sql(engine, "SELECT * FROM many -- all", n_bins=30, **told)
    table = table if group is None else table[group]
    exact = ScoreTable.from_arrays(y, p, w)
    assert len(table) < len(exact)
    assert (np.diff(table.p) > 0).all()
    assert weight or not certify(table).finite
    for score in SCORES:
        assert score(table) == pytest.approx(score(exact), rel=1e-12)
    for column in COLUMNS:
        found, expected = (getattr(t, column).sum() for t in (table, exact))
        assert found == pytest.approx(expected, rel=1e-12)
    for n_bins in (30, 15, 10, 1):
        borders = uniform_borders(n_bins)
        for a, b in zip(table.sums(borders)[:4], exact.sums(borders)[:4], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
        plain = {"strategy": "uniform", "n_bins": n_bins, "debias": False}
        for norm in ("l1", "l2", "max"):
            told = {"norm": norm, **plain}
            found = calibration_error(table, **told)
            assert found == pytest.approx(calibration_error(exact, **told), rel=1e-12, abs=1e-15)


def bounds(table, n_cells):
    """What docs/any_amount.md says of other metrics."""
    share = table.w / table.w.sum()
    yes, no = table.wy / table.wy.sum(), (table.w - table.wy) / (table.w - table.wy).sum()
    h, m = 1.0 / n_cells, share.max()
    return {
        roc_auc: 0.5 * (yes @ no),
        cumulative_calibration_error: 2.0 * m,
        corp_miscalibration: h + m,
        area_under_risk_coverage: m * (1.0 - np.log(m)),
    }


def test_other_metrics_keep_within_the_bounds(engine):
    rows = data()
    exact = ScoreTable.from_arrays(rows.y, rows.p)
    for n_cells in (40, 512):
        told = {"label": "y", "score": ODD, "n_cells": n_cells}
        table = ScoreTable.from_sql(engine, "many", **told)
        for metric, bound in bounds(table, n_cells).items():
            assert abs(metric(table) - metric(exact)) <= bound, metric
        m = table.w.max() / table.w.sum()
        equal_mass = {"norm": "l1", "debias": False, "n_bins": 8}
        off = calibration_error(table, **equal_mass) - calibration_error(exact, **equal_mass)
        assert abs(off) <= 14 * m


def test_connections_of_sqlalchemy(tmp_path):
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    orm = pytest.importorskip("sqlalchemy.orm")
    connection = with_logarithms(tmp_path / "t.db")
    fill(connection, data())
    told = {"label": "y", "score": ODD, "n_bins": 3, "n_cells": 384}
    direct = ScoreTable.from_sql(connection, "games", **told)
    connection.close()
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 't.db'}")
    tables = [ScoreTable.from_sql(engine, "games", **told)]
    with engine.connect() as connected:
        tables.append(ScoreTable.from_sql(connected, "games", **told))
        assert not connected.closed
    with orm.Session(engine) as session:
        tables.append(ScoreTable.from_sql(session, "games", **told))
    engine.dispose()
    for table in tables:
        for column in ("p", *COLUMNS, "losses"):
            np.testing.assert_array_equal(getattr(table, column), getattr(direct, column))


def test_estimates_and_sums_of_tables_know_the_exact_scores():
    rows = data()
    half = len(rows.y) // 2
    connection = with_logarithms(":memory:")
    fill(connection, data())
    first = f"SELECT * FROM games WHERE rowid <= {half}"
    told = {"label": "y", "score": ODD, "n_cells": 64}
    a = ScoreTable.from_sql(connection, first, **told)
    b = ScoreTable.from_arrays(rows.y[half:], rows.p[half:])
    exact = brier_score(rows.y, rows.p)
    for both in (a + b, b + a, sum([a, b]), (a + b).coarsen(20)):
        assert brier_score(both) == pytest.approx(exact, rel=1e-12)
        assert log_loss(both) == pytest.approx(log_loss(rows.y, rows.p), rel=1e-12)
    found = estimate("brier_score", a + b)
    plain = estimate("brier_score", rows.y, rows.p)
    assert (found.value, found.low, found.high) == pytest.approx(
        (plain.value, plain.low, plain.high), rel=1e-3
    )
    connection.close()


@pytest.fixture
def sqlite():
    connection = sqlite3.connect(":memory:")
    yield connection
    connection.close()


def made(connection, rows, columns="y, p, w, g"):
    connection.execute(f"CREATE TABLE t ({columns})")
    marks = ", ".join("?" * len(rows[0]))
    connection.executemany(f"INSERT INTO t VALUES ({marks})", rows)
    return connection


def test_labels_of_any_type(sqlite):
    rows = [("no", 0.25, 2, 0), ("yes", 0.25, 1, 0), ("yes", 0.5, 0, 0)]
    made(sqlite, rows)
    y, p, w, _ = zip(*rows, strict=True)
    told = {"label": "y", "score": "p", "weight": "w"}
    for settings in ({}, {"pos_label": "no"}, {"weights": "frequency"}):
        table = ScoreTable.from_sql(sqlite, "t", **told, **settings)
        same(table, ScoreTable.from_arrays(y, p, w, **settings))
    one = "SELECT * FROM t WHERE y = 'yes';"
    same(
        ScoreTable.from_sql(sqlite, one, label="y", score="p", pos_label="other"),
        ScoreTable.from_arrays(["yes"] * 2, [0.25, 0.5], pos_label="other"),
    )
    same(
        ScoreTable.from_sql(sqlite, "SELECT w AS y, p FROM t WHERE w = 1", label="y", score="p"),
        ScoreTable.from_arrays([1], [0.25]),
    )


def test_types_of_duckdb():
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT * FROM (VALUES (true, 0.125::FLOAT, 0.30::DECIMAL(3, 2)), "
            "(false, 0.125, 0.30), (true, -0.0, 0.70)) v(y, p, d)"
        )
        for score, p in (("p", [0.125, 0.125, 0.0]), ("d", [0.3, 0.3, 0.7])):
            table = ScoreTable.from_sql(connection, "main.t", label="y", score=score)
            same(table, ScoreTable.from_arrays([True, False, True], p))
        query = "SELECT *, (CASE WHEN y THEN 1 ELSE 0 END)::DECIMAL(3, 1) AS z FROM t"
        same(ScoreTable.from_sql(connection, query, label="z", score="p"), table_of(connection))
        nan = "SELECT y, CASE WHEN y THEN 'nan'::DOUBLE ELSE 0.5 END AS p FROM t"
        with pytest.raises(InputError, match=r"p holds values outside \[0, 1\] or NaN in 2 rows"):
            ScoreTable.from_sql(connection, nan, label="y", score="p")
        # Views of a connection are not seen by a cursor of its own.
        connection.execute("CREATE TEMP VIEW seen AS SELECT * FROM t")
        assert ScoreTable.from_sql(connection, "seen", label="y", score="p").n_rows == 3


def table_of(connection):
    return ScoreTable.from_sql(connection, "t", label="y", score="p")


ROWS = [(0, 0.2, 1.0, "a"), (1, 0.7, 1.5, "b"), (1, 0.9, 1.0, "b")]
TOLD = {"label": "y", "score": "p"}


@pytest.mark.parametrize(
    ("rows", "told", "message"),
    [
        ([], {}, "the query returns no rows; expected"),
        ([(None, 0.2, 1, "a")], {}, "y is missing .* in 1 rows; expected a value in every row"),
        ([(0, None, 1, "a"), (1, None, 1, "a")], {}, "p is missing .* in 2 rows"),
        ([(0, 0.5, None, "a")], {"weight": "w"}, "w is missing .* in 1 rows"),
        ([(0, 0.5, 1, None)], {"by": "g"}, "g is missing .* in 1 rows"),
        ([(0, 1.5, 1, "a"), (1, -1, 1, "a")], {}, r"in 2 rows \(min -1, max 1.5\); expected prob"),
        ([(0, 9e999, 1, "a")], {}, r"in 1 rows \(min 0.2, max inf\); expected prob"),
        ([(0, "x", 1, "a")], {}, "p holds 'x'; expected a probability"),
        ([(2, 0.5, 1, "a")], {}, r"y holds 3 labels \(0, 1, 2\); expected two"),
        ([("x", 0.5, 1, "a")], {}, "y mixes labels of the types"),
        ([(0.5, 0.5, 1, "a")], {}, "continuous. y holds 0.5; expected class labels"),
        ([], {"pos_label": 3}, "the query returns no rows"),
        ([(0, 0.5, 1, "a")], {"pos_label": 3}, "pos_label=3 and the labels 0, 1; expected two"),
        ([(0, 0.5, -1, "a")], {"weight": "w"}, "weights from -1 to 1.5; expected finite"),
        ([(0, 0.5, 1e200, "a")], {"weight": "w"}, "expected finite weights >= 0, the largest"),
        (
            [(0, 0.5, 1, "a")],
            {"weight": "w", "weights": "frequency"},
            "w is no whole number in 1 rows",
        ),
        ([(0, 0.5, 1, "a")], {"label": "z"}, "label='z': no such column; expected one of y, p"),
        ([(0, 0.5, 1, "a")], {"by": ["g", 'h"']}, "by='h\"': no such column"),
        ([(0, 0.5, 1, "a")], {"n_bins": 0}, "n_bins"),
        ([(0, 0.5, 1, "a")], {"weights": "x"}, "weights"),
    ],
)
def test_wrong_rows_are_refused_with_their_number(sqlite, rows, told, message):
    made(sqlite, [*ROWS, *rows] if rows else ROWS)
    if not rows:
        sqlite.execute("DELETE FROM t")
    with pytest.raises(InputError, match=message) as caught:
        ScoreTable.from_sql(sqlite, "t", **{**TOLD, **told})
    assert caught.value.caller == "ScoreTable.from_sql"


def test_wrong_calls(sqlite):
    made(sqlite, [(1, 0.5, 0, "a"), (1, 0.5, 0, "a")])
    with pytest.raises(InputError, match="w is zero in every row"):
        ScoreTable.from_sql(sqlite, "t", weight="w", **TOLD)
    with pytest.raises(TypeError, match="connection is a str; expected a connection"):
        ScoreTable.from_sql("games.db", "t", **TOLD)
    with pytest.raises(TypeError, match="query_or_table is an int; expected a query"):
        ScoreTable.from_sql(sqlite, 3, **TOLD)
    with pytest.raises(TypeError, match="by is an int; expected a name, or a list of names"):
        ScoreTable.from_sql(sqlite, "t", by=3, **TOLD)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        ScoreTable.from_sql(sqlite, 't"; DROP TABLE t', **TOLD)
    assert table_of(sqlite).n_rows == 2


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("qmark", "SELECT '%' , ?, ?"),
        ("format", "SELECT '%%' , %s, %s"),
        ("pyformat", "SELECT '%%' , %s, %s"),
        ("numeric", "SELECT '%' , :1, :2"),
        ("numeric_dollar", "SELECT '%' , $1, $2"),
        ("named", None),
    ],
)
def test_values_are_bound_in_the_style_of_the_driver(style, expected):
    from calibkit.metrics._sql import Database

    asked = []

    class Cursor:
        description = (("a",),)

        def execute(self, text, values=None):
            asked.append((text, values))

        def fetchall(self):
            return [{"a": 1}]

    class Connection:
        close = None

        def cursor(self):
            return Cursor()

    database = Database(Connection())
    database.style = style
    if expected is None:
        with pytest.raises(InputError, match="in the style 'named'; expected a driver"):
            database.run("SELECT \0", [1])
        return
    assert database.run("SELECT '%' , \0, \0", [1, 2]) == (["a"], [(1,)])
    assert database.run("SELECT '%'") == (["a"], [(1,)])
    assert asked == [(expected, (1, 2)), ("SELECT '%'", None)]
