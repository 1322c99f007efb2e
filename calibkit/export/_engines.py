"""SQL run by an engine: SQLite and DuckDB in this process, others through a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np

from .._core.optional import require
from .._typing import FloatArray
from ._golden import ENGINES, Exported, Results
from ._program import NAMES
from ._sql import DIALECTS, columns_of

#: Rows of a query: SQLite takes at most 500 parts of a UNION.
_BATCH = 400
_LARGEST = float(np.finfo(np.float64).max)


def run_sql(sql: Exported, rows: FloatArray, connection: Any = None) -> Results:
    """The results for these scores (NaN: missing), of what ``to_sql`` returned.

    The scores are written into the query itself: nothing is created in the database.
    ``connection`` is one of the DB-API; SQLite and DuckDB need none.
    """
    if connection is None:
        with closing(_CONNECT[sql.language]()) as own:
            return run_sql(sql, rows, own)
    cursor = connection.cursor()
    found: dict[str, list[Any]] = {}
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        cursor.execute(_with_rows(sql, batch))
        names = [d[0] for d in cursor.description]
        ordered = _ordered(cursor.fetchall(), names, sql.facts, batch)
        # Of a score and a result of the same name, the result is the last one.
        for name, values in dict(zip(names, zip(*ordered, strict=True), strict=True)).items():
            found.setdefault(name, []).extend(values)
    out = {}
    for name, size in sql.facts["sizes"].items():
        places = {v: i for i, v in enumerate(sql.facts.get(NAMES.get(name, ""), ()))}
        columns = [found[c] for c in columns_of(name, size, sql.facts)]
        table = np.array([[places.get(v, v) for v in c] for c in columns], dtype=np.float64)
        out[name] = table.T if size else table[0]
    return out


def _ordered(
    found: list[Any], names: list[str], facts: dict[str, Any], rows: FloatArray
) -> list[Any]:
    """The rows of a result in the order of the scores, which engines may change."""
    columns, kept = facts["columns"], facts["keep"]
    others = [names.index(k) for k in kept if k not in columns]
    if others:
        return sorted(found, key=lambda row: row[others[0]])
    if not set(columns) <= set(kept):
        return found
    at = [names.index(c) for c in columns]
    by_score = {tuple(map(_finite, [row[i] for i in at])): row for row in found}
    near = {_rounded(key): row for key, row in by_score.items()}  # SQLite may read 1 ulp off
    keys = [tuple(map(_finite, row)) for row in rows.tolist()]
    return [by_score[key] if key in by_score else near[_rounded(key)] for key in keys]


def _rounded(key: tuple[float | None, ...]) -> tuple[str, ...]:
    return tuple("" if x is None else f"{x:.13e}" for x in key)


def _finite(x: float | None) -> float | None:
    """A score as a key: infinity is the largest number in some engines."""
    return None if x is None or x != x else max(-_LARGEST, min(_LARGEST, float(x)))


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
    if facts["table"] is None:
        result = d.name(next(iter(sql.results)))
        text = f"\nSELECT {', '.join([*names, *others])}, {sql} AS {result} FROM calibkit_rows"
    else:
        table, end = ".".join(map(d.name, facts["table"])), f"{d.fence})"
        text = sql.replace(f" FROM {table}{end}", f" FROM calibkit_rows{end}", 1)
        text = ",\n" + text.removeprefix("WITH ")
    cells = [
        [f"CAST({d.literal(x)} AS {d.double})" for x in row] + [str(i)] * len(others)
        for i, row in enumerate(rows.tolist())
    ]
    stage = "AS MATERIALIZED (" if sql.language == "duckdb" else d.stage  # else computed per part
    if sql.language == "clickhouse":  # it plans each part of a UNION on its own
        values = ", ".join(f"({', '.join(row)})" for row in cells)
        types = [f"{n} {d.double}" for n in names] + [f"{n} Int64" for n in others]
        parts = f"SELECT * FROM values({d.literal(', '.join(types))}, {values})"
    else:
        parts = " UNION ALL ".join(
            f"SELECT {', '.join(f'{x} AS {n}' for x, n in zip(row, names + others, strict=True))}"
            for row in cells
        )
    return f"WITH calibkit_rows {stage}{parts}){text}"
