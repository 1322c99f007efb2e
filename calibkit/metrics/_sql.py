"""`ScoreTable.from_sql`: the rows stay in the database, which sums them; only the sums are read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.inputs import RANGE_TOLERANCE
from .._core.labels import is_missing, validate_labels, warn_of_order
from .._core.printed import a_type, as_sql, few, quoted, spelled
from .._core.rows import LEAST_WEIGHT, binary_codes
from .._numerics.losses import LOG_EPS
from .._typing import Weights
from ._cells import FACTOR, TAIL, Columns, Grid, check_settings, in_order, of_groups, table_of

if TYPE_CHECKING:
    from ._table import ScoreTable

#: How a text begins that is a query, and not the name of a table.
_QUERY = re.compile(r"\s*(select|with|values|from|table)\s|\s*\(|\s*--", re.IGNORECASE)
#: Stands for a bound value until the driver's own sign is known.
_VALUE = "\0"
#: Rows that are looked at first, per cell: with more distinct scores, none need be counted.
_LOOK = 16


class FromSql:
    """The constructor of :class:`ScoreTable` that reads a database."""

    __slots__ = ()

    @classmethod
    def from_sql(
        cls,
        connection: Any,
        query_or_table: str,
        *,
        label: str,
        score: str,
        weight: str | None = None,
        by: str | Sequence[str] | None = None,
        n_bins: int | None = None,
        n_cells: int | None = 4096,
        weights: Weights = "sampling",
        pos_label: Any = None,
    ) -> Any:
        """Build a table from rows in a database, which sums them itself.

        Only the sums leave the database. With at most ``n_cells`` distinct scores the table is that
        of :meth:`from_arrays`. With more, each entry is a cell of neighboring scores at their mean,
        and the table also keeps the sums of the rows' squared errors and log losses.

        Parameters
        ----------
        connection : connection
            A connection to DuckDB, PostgreSQL or SQLite: of the DB-API (duckdb, sqlite3, psycopg
            and others), or an engine, connection or session of SQLAlchemy.
        query_or_table : str
            A query that returns the rows, or the name of a table ("table" or "schema.table").
        label, score : str
            Names of the columns of labels (two values of any type) and of probabilities.
        weight : str, optional
            Name of a column of weights >= 0.
        by : str or list of str, optional
            Names of columns of groups.
        n_bins : int, optional
            Equal-width bins whose borders no cell crosses. Errors of these bins, or of a divisor of
            their number, are those of the rows: 60 bins allow 10, 12, 15, 20 and 30 too.
        n_cells : int or None, default=4096
            Number of cells of equal width, beside narrower ones near 0 and 1. None: one entry for
            each distinct score, however many there are.
        weights : {"sampling", "frequency"}, default="sampling"
            As in :meth:`from_arrays`.
        pos_label : label, optional
            Label of the event; default: the larger label.

        Returns
        -------
        table : ScoreTable or dict
            The table; with ``by`` a dict with the table of each group. Its keys are the values of
            the column, or tuples of several columns.

        Raises
        ------
        ValueError
            If there are no rows or no such columns, if values are missing (NULL), or if labels,
            scores or weights are invalid.
        TypeError
            If ``connection`` is not a connection.

        Notes
        -----
        With cells, these are exact but for rounding: Brier score, log loss, their skill scores, the
        base rate, and errors of the bins of ``n_bins``. Other metrics are those of scores moved by
        less than 1/n_cells, and by less than 0.01 on the scale of log-odds;
        ``docs/any_amount.md`` lists the errors. Rows must not change between the queries: if others
        write to the table, read it within a transaction.

        Examples
        --------
        >>> import sqlite3
        >>> from calibkit import ScoreTable, brier_score
        >>> games = sqlite3.connect(":memory:")
        >>> _ = games.execute("CREATE TABLE games (won INT, model REAL, league TEXT)")
        >>> rows = [(0, 0.2, "A"), (1, 0.2, "A"), (1, 0.9, "B"), (0, 0.4, "B")]
        >>> _ = games.executemany("INSERT INTO games VALUES (?, ?, ?)", rows)
        >>> table = ScoreTable.from_sql(games, "games", label="won", score="model")
        >>> round(brier_score(table), 4)
        0.2125
        >>> query = "SELECT * FROM games WHERE model < 0.5"
        >>> tables = ScoreTable.from_sql(games, query, label="won", score="model", by="league")
        >>> {league: t.n_rows for league, t in tables.items()}
        {'A': 2, 'B': 1}
        >>> games.close()
        """
        check_settings(weights, n_bins, n_cells)
        columns = Columns.checked(label, score, weight, by)
        with Database.of(connection) as database:
            rows = _Rows(database, query_or_table, columns, weights, pos_label)
            return of_groups(dict(_tables(cls, rows, n_bins or 1, n_cells)), by)


class Database:
    """Runs queries through a connection of the DB-API or of SQLAlchemy."""

    def __init__(self, connection: Any, *, own: bool = False) -> None:
        self.connection, self.own = connection, own
        if hasattr(connection, "exec_driver_sql"):
            self.style = connection.dialect.paramstyle
            return
        if not (hasattr(connection, "cursor") and hasattr(connection, "close")):
            raise InputTypeError(
                f"connection is {a_type(connection)}; expected a connection to DuckDB, PostgreSQL "
                "or SQLite, such as of sqlite3.connect, or an engine of SQLAlchemy."
            )
        parts = type(connection).__module__.split(".")
        modules = (sys.modules.get(".".join(parts[:i])) for i in range(len(parts), 0, -1))
        found = (getattr(m, "paramstyle", None) for m in modules)
        self.style = next(filter(None, found), "qmark")

    @classmethod
    def of(cls, connection: Any) -> Database:
        """Of what a user passes: sessions and engines of SQLAlchemy have connections."""
        if hasattr(connection, "dialect") and hasattr(connection, "connect"):  # an engine
            return cls(connection.connect(), own=True)
        session = callable(getattr(connection, "connection", None))
        return cls(connection.connection() if session else connection)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *error: object) -> None:
        if self.own:
            self.connection.close()

    def run(self, text: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names of the columns, and the rows; values are bound where ``_VALUE`` stands."""
        if values:
            signs = {"qmark": "?", "format": "%s", "pyformat": "%s"}
            numbered = {"numeric": ":", "numeric_dollar": "$"}.get(self.style)
            if numbered is None and self.style not in signs:
                raise InputError(
                    f"the driver marks values in the style {spelled(self.style)}; expected a "
                    "driver of DuckDB, PostgreSQL or SQLite."
                )
            if signs.get(self.style) == "%s":
                text = text.replace("%", "%%")
            first, *others = text.split(_VALUE)
            for i, part in enumerate(others, 1):
                first += (f"{numbered}{i}" if numbered else signs[self.style]) + part
            text = first
        given = (text, tuple(values)) if values else (text,)
        if hasattr(self.connection, "exec_driver_sql"):
            result = self.connection.exec_driver_sql(*given)
            return list(result.keys()), [tuple(row) for row in result.fetchall()]
        if hasattr(self.connection, "execute"):  # a cursor of DuckDB would not see its views
            cursor = self.connection.execute(*given)
        else:
            cursor = self.connection.cursor()
            cursor.execute(*given)
        rows = cursor.fetchall()
        names = [column[0] for column in cursor.description]
        return names, [tuple(r.values() if isinstance(r, dict) else r) for r in rows]


class _Rows:
    """The checked rows of a query: the SQL of their columns, and the values bound in it."""

    def __init__(
        self, database: Database, query: str, columns: Columns, weights: str, pos_label: Any
    ) -> None:
        self.database, self.columns = database, columns
        self.counts = weights == "frequency" and columns.weight is not None
        if not isinstance(query, str):
            raise InputTypeError(
                f"query_or_table is {a_type(query)}; expected a query or the name of a table."
            )
        if _QUERY.match(query):  # a comment in the last line ends before the bracket
            query = f"({query.rstrip().removesuffix(';')}\n)"
        else:
            query = ".".join(map(as_sql, query.split(".")))
        self.source = f"{query} AS src"
        names, _ = database.run(f"SELECT * FROM {self.source} LIMIT 0")
        columns.refuse_unknown(names)
        found = self._summary()
        values = [row[0] for row in found]
        event = self._event(values, pos_label)
        low, high = self._check_scores(found)
        least = self._check_weights(found)
        self.zero_one = event == 1 and all(type(v) is int and v in (0, 1) for v in values)
        self._select(event, low, high, least)

    def _column(self, name: str) -> str:
        # Without "src." SQLite would take an unknown name in quotes as a text.
        return f"src.{as_sql(name)}"

    def _summary(self) -> list[tuple[Any, ...]]:
        """Counts and extremes by label, in one query; missing values are refused."""
        c = self.columns
        others = [c.score, *([] if c.weight is None else [c.weight])]
        label = self._column(c.label)
        counted = [f"COUNT({self._column(n)})" for n in (*others, *c.by)]
        ends = [f"{f}({self._column(n)})" for n in others for f in ("MIN", "MAX")]
        _, found = self.database.run(
            f"SELECT {', '.join([label, 'COUNT(*)', *counted, *ends])} FROM {self.source} "
            f"GROUP BY {label} LIMIT 100"
        )
        if not found:
            raise InputError("the query returns no rows; expected at least one row.")
        missing = {c.label: sum(row[1] for row in found if is_missing(row[0]))}
        for i, name in enumerate((*others, *c.by), 2):
            missing.setdefault(name, sum(row[1] - row[i] for row in found))
        for name, n in missing.items():
            if n:
                raise InputError(
                    f"{quoted(name)} is missing (NULL or NaN) in {n:,} rows; expected a value in "
                    "every row. Leave these rows out: pass a query with WHERE ... IS NOT NULL."
                )
        return [(row[0], *row[2 + len(counted) :]) for row in found]

    def _event(self, values: list[Any], pos_label: Any) -> Any:
        """The event's label as the database has it; None if no row has it."""
        name = quoted(self.columns.label)
        plain = [float(v) if type(v).__name__ == "Decimal" else v for v in values]
        distinct, codes = validate_labels(plain, name=name)
        if len(distinct) > 2:
            more = "100 or more" if len(values) == 100 else f"{len(distinct)}"
            raise InputError(
                f"{name} holds {more} labels ({few(distinct)}); expected two. For one of many "
                "classes pass a query with a column that says whether it is that class."
            )
        warn_of_order(distinct, name)
        _, events = binary_codes(distinct, codes, pos_label, name)
        return next((v for v, e in zip(values, events, strict=True) if e == 1), None)

    def _check_scores(self, found: list[tuple[Any, ...]]) -> tuple[float, float]:
        """The smallest and the largest score."""
        low, high = _ends(self.columns.score, "a probability", found, 1)
        if low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE:
            return low, high
        score = self._column(self.columns.score)
        inside = f"{score} >= {-RANGE_TOLERANCE:.7f} AND {score} <= {1 + RANGE_TOLERANCE:.7f}"
        text = f"SELECT SUM(CASE WHEN {inside} THEN 0 ELSE 1 END) FROM {self.source}"
        n = int(self.database.run(text)[1][0][0])
        raise InputError(
            f"{quoted(self.columns.score)} holds values outside [0, 1] or NaN in {n:,} rows (min "
            f"{low:.6g}, max {high:.6g}); expected probabilities. For percentages divide by 100 in "
            "a query; for log-odds z compute 1 / (1 + exp(-z)) there."
        )

    def _check_weights(self, found: list[tuple[Any, ...]]) -> float | None:
        """The smallest weight that counts, if some rows weigh less."""
        if self.columns.weight is None:
            return None
        name = quoted(self.columns.weight)
        low, high = _ends(self.columns.weight, "a weight", found, 3)
        if not low >= 0.0 or not (high == 0.0 or 1e-100 <= high <= 1e100):
            raise InputError(
                f"{name} holds weights from {low:.6g} to {high:.6g}; expected finite weights >= 0, "
                "the largest between 1e-100 and 1e100."
            )
        if high == 0.0:
            raise InputError(f"{name} is zero in every row; expected a positive sum.")
        if self.counts:
            w = self._column(self.columns.weight)
            whole = f"{w} = CAST({w} AS BIGINT)"
            text = f"SELECT SUM(CASE WHEN {whole} THEN 0 ELSE 1 END) FROM {self.source}"
            if n := int(self.database.run(text)[1][0][0]):
                raise InputError(
                    f"weights='frequency' and {name} is no whole number in {n:,} rows; expected "
                    "numbers of rows. For other weights use weights='sampling'."
                )
        return high * LEAST_WEIGHT if low < high * LEAST_WEIGHT else None

    def _select(self, event: Any, low: float, high: float, least: float | None) -> None:
        """Make the query of the rows: p in [0, 1], e (1 for the event), w, and groups g0, g1."""
        c, self.values = self.columns, []
        p = f"CAST({self._column(c.score)} AS DOUBLE PRECISION)"
        if not (low > 0.0 and high <= 1.0):  # -0.0 is 0.0
            p = f"CASE WHEN {p} <= 0 THEN 0.0 WHEN {p} >= 1 THEN 1.0 ELSE {p} END"
        e = self._column(c.label) if self.zero_one else "0"
        if event is not None and not self.zero_one:
            e = f"CASE WHEN {self._column(c.label)} = {_VALUE} THEN 1 ELSE 0 END"
            self.values.append(event)
        parts = [f"{p} AS p", f"{e} AS e"]
        if c.weight is not None:
            parts.append(f"CAST({self._column(c.weight)} AS DOUBLE PRECISION) AS w")
        parts += [f"{self._column(name)} AS g{i}" for i, name in enumerate(c.by)]
        self.text = f"SELECT {', '.join(parts)} FROM {self.source}"
        if least is not None:
            assert c.weight is not None
            self.text += f" WHERE {self._column(c.weight)} >= {_VALUE}"
            self.values.append(least)
        self.inside = low > LOG_EPS and high < 1.0 - LOG_EPS

    def few(self, n_cells: int) -> bool:
        """Whether there are at most so many distinct scores, first among a few rows."""
        for rows in (f"SELECT p FROM ({self.text}) AS a LIMIT {_LOOK * n_cells}", self.text):
            some = f"SELECT DISTINCT p FROM ({rows}) AS b LIMIT {n_cells + 1}"
            _, found = self.database.run(f"SELECT COUNT(*) FROM ({some}) AS c", self.values)
            if found[0][0] > n_cells:
                return False
        return True

    def sums(self, rows: str, key: str, extra: list[str], values: list[Any]) -> Any:
        """Groups, key, numbers of rows and events, with weights their sums and squares, others."""
        groups = [f"g{i}" for i in range(len(self.columns.by))]
        sums = ["COUNT(*)", "SUM(e)"]
        if self.columns.weight is not None:
            sums = ["COUNT(*)", "SUM(w * e)", "SUM(w)", "SUM(w * w)", "SUM(w * w * e)"]
            extra = [x.replace("SUM(", "SUM(w * ") for x in extra]
        chosen = ", ".join([*groups, key, *sums, *extra])
        text = f"SELECT {chosen} FROM ({rows}) AS cells GROUP BY {', '.join([*groups, key])}"
        return self.database.run(text, values)[1]


def _ends(name: str, what: str, found: list[tuple[Any, ...]], at: int) -> tuple[float, float]:
    """The extremes of a column, which is refused if it holds texts."""
    lows, highs = [row[at] for row in found], [row[at + 1] for row in found]
    for value in (*lows, *highs):
        try:
            if isinstance(value, (str, bytes)):  # they come after all numbers in SQLite
                raise TypeError
            float(value)
        except (TypeError, ValueError):
            raise InputError(
                f"{quoted(name)} holds {spelled(value):.60}; expected {what} in every row."
            ) from None
    return float(np.min([float(v) for v in lows])), float(np.max([float(v) for v in highs]))


def _tables(
    cls: Any, rows: _Rows, n_bins: int, n_cells: int | None
) -> Iterable[tuple[tuple[Any, ...], ScoreTable]]:
    """The table of each group."""
    by, grid = len(rows.columns.by), None
    if n_cells is None or rows.few(n_cells):
        found = rows.sums(rows.text, "p", [], rows.values)
    else:
        grid = Grid(n_bins, n_cells)
        text, first = _cells(rows.text, grid.size, n_bins, inside=rows.inside)
        own, square = "q", "(e - p) * (e - p)"
        if not rows.inside:  # PostgreSQL refuses an underflow
            own = f"CASE WHEN q > {LOG_EPS} THEN q ELSE {LOG_EPS} END"
            square = f"CASE WHEN abs(e - p) > 1e-50 THEN {square} ELSE 0 END"
        extra = ["SUM(p)", f"SUM({square})", f"SUM(ln({own}))"]
        found = rows.sums(text, "k", extra, [*first, *rows.values])
    for group, members in groupby(in_order(found, by, 1), itemgetter(slice(by))):
        p, n, wy, *others = np.array([row[by:] for row in members], dtype=np.float64).T
        w, w2, w2y = others[:3] if rows.columns.weight is not None else (n, n, wy)
        if rows.counts:
            n, w2, w2y = w, w, wy
        losses = None
        if grid is not None:
            wp, squares, ln = others[-3:]
            p, losses = grid.scores(wp, w, p), np.array([squares.sum(), -ln.sum()])
        yield group, table_of(cls, p, (n, w, wy, w2, w2y), losses)


def _cells(rows: str, size: int, n_bins: int, *, inside: bool) -> tuple[str, list[float]]:
    """Rows with the number k of their cell, and the probability q of what happened.

    Cells are [c / size, (c + 1) / size). The first and last few are divided in equal parts of the
    logarithm of the distance from 0 or 1; ``inside`` says that no score is as near as rounding.
    """
    # As `Grid.cells`; scores are put back only if borders of bins must be exact.
    factor = size * FACTOR
    back = f"CASE WHEN p < c / {size}.0 THEN c - 1 ELSE c END" if n_bins > 1 else "c"
    low, high = "p", "1 - p"
    if not inside:
        low, high = (f"CASE WHEN {x} > 1e-16 THEN {x} ELSE 1e-16 END" for x in (low, high))
    k = (
        f"CASE WHEN d >= {TAIL} AND d < {size - TAIL} THEN d "
        f"WHEN d < {TAIL} THEN floor({TAIL} * ln({low})) "
        f"ELSE {size} - floor({TAIL} * ln({high})) END"
    )
    text = f"SELECT floor(p * {_VALUE}) AS c, a.* FROM ({rows}) AS a"
    text = f"SELECT {back} AS d, b.* FROM ({text}) AS b"
    return f"SELECT {k} AS k, abs(1 - e - p) AS q, f.* FROM ({text}) AS f", [factor]
