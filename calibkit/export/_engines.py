"""SQL run by an engine: SQLite and DuckDB in this process, others through a connection."""

from __future__ import annotations

import sqlite3
from typing import Any

from .._core.errors import InputError
from .._core.optional import require
from .._typing import FloatArray
from ._golden import Exported
from ._sql import DIALECTS

#: Rows of a query: SQLite takes at most 500 parts of a UNION.
_BATCH = 400


def run_sql(sql: Exported, rows: FloatArray, connection: Any = None) -> dict[str, list[Any]]:
    """The results for these scores (NaN: missing) by name, of what ``to_sql`` returned.

    The scores are written into the query itself: nothing is created in the database.
    ``connection`` is one of the DB-API; SQLite and DuckDB need none.
    """
    cursor = (connection or _connect(sql.language)).cursor()
    out: dict[str, list[Any]] = {}
    for start in range(0, len(rows), _BATCH):
        cursor.execute(_with_rows(sql, rows[start : start + _BATCH]))
        names = [d[0] for d in cursor.description]
        found = cursor.fetchall()
        for name, values in zip(names, zip(*found, strict=True), strict=True):
            out.setdefault(name, []).extend(values)
    return out


def _connect(dialect: str) -> Any:
    if dialect == "sqlite":
        return sqlite3.connect(":memory:")
    if dialect == "duckdb":
        return require("duckdb").connect()
    raise InputError(
        f"dialect {dialect} has no engine in this process; expected a connection. Pass "
        "connection, as its DB-API driver returns it."
    )


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
