"""SQL run by an engine: SQLite and DuckDB in this process, others through a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.optional import require
from .._typing import FloatArray
from ._golden import ENGINES, Exported, Results
from ._sql import DIALECTS, NAMES, columns_of

#: Rows of a query: SQLite takes at most 500 parts of a UNION.
_BATCH = 400


def run_sql(sql: Exported, rows: FloatArray, connection: Any = None) -> Results:
    """The results for these scores (NaN: missing), of what ``to_sql`` returned.

    The scores are written into the query itself: nothing is created in the database.
    ``connection`` is one of the DB-API; SQLite and DuckDB need none.
    """
    cursor = (connection or _CONNECT[sql.language]()).cursor()
    found: dict[str, list[Any]] = {}
    for start in range(0, len(rows), _BATCH):
        cursor.execute(_with_rows(sql, rows[start : start + _BATCH]))
        names = [d[0] for d in cursor.description]
        for name, values in zip(names, zip(*cursor.fetchall(), strict=True), strict=True):
            found.setdefault(name, []).extend(values)
    out = {}
    for name, size in sql.facts["sizes"].items():
        places = {v: i for i, v in enumerate(sql.facts.get(NAMES.get(name, ""), ()))}
        table = np.array(
            [[places.get(v, v) for v in found[c]] for c in columns_of(name, size, sql.facts)],
            dtype=np.float64,
        )
        out[name] = table.T if size else table[0]
    return out


_CONNECT: dict[str, Callable[[], Any]] = {
    "sqlite": lambda: sqlite3.connect(":memory:"),
    "duckdb": lambda: require("duckdb").connect(),
}
ENGINES["sqlite"] = run_sql, lambda: f"SQLite {sqlite3.sqlite_version}"
ENGINES["duckdb"] = run_sql, lambda: f"DuckDB {require('duckdb').__version__}"


def _with_rows(sql: Exported, rows: FloatArray) -> str:
    """The query, or a query of the expression, on rows that are written out."""
    d, facts = DIALECTS[sql.language], sql.facts
    names = [*map(d.name, facts["columns"])]
    others = [d.name(k) for k in facts["keep"] if k not in facts["columns"]]
    parts = [
        "SELECT "
        + ", ".join(
            [f"CAST({d.literal(x)} AS {d.double}) AS {n}" for n, x in zip(names, row, strict=True)]
            + [f"{i} AS {n}" for n in others]
        )
        for i, row in enumerate(rows.tolist())
    ]
    stage = "AS MATERIALIZED (" if sql.language == "duckdb" else d.stage  # else computed per part
    source = f"WITH calibkit_rows {stage}{' UNION ALL '.join(parts)})"
    if facts["table"] is None:
        return f"{source}\nSELECT {sql} AS {d.name(next(iter(sql.results)))} FROM calibkit_rows"
    table = ".".join(map(d.name, facts["table"]))
    end = f"{d.fence})"
    text = sql.removeprefix("WITH ").replace(f" FROM {table}{end}", f" FROM calibkit_rows{end}", 1)
    return f"{source},\n{text}"
