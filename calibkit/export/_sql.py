"""Programs as SQL: one expression for a SELECT, or a whole query for a table."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from .._core.errors import InputError
from .._core.params import check_choice
from .._core.printed import few, spelled
from .._typing import Dialect
from ._golden import Exported
from ._maps import program_of
from ._program import ELEMENTWISE, NAMES, OPERATORS, Node, Program

#: Characters that BigQuery and Snowflake take in a query; the fewest of all. Values that are
#: repeated make an expression slow to plan, so that it is refused much earlier.
_MOST_TEXT, _MOST_REPEATED = 1_000_000, 20_000
#: Classes of which a query has a matrix, or at all.
_MOST_CLASSES, _MOST_COLUMNS = 30, 100
#: Comparisons of one CASE. Deep trees of CASE are refused by some engines, wide ones are slow.
_FAN = 8
#: Beyond these numbers exp and log are errors in some engines.
_LARGEST_EXP, _LEAST_LOG = 700.0, 2.2250738585072014e-308
_POWER = 1 << 62


def _exponent(x: float) -> str:
    """All digits, as no engine reads a DECIMAL."""
    digits, _, power = repr(x).partition("e")
    return f"{digits.removesuffix('.0')}e{int(power or 0)}"


def _halves(x: float) -> str:
    """A quotient that is exact: SQLite rounds some literals wrongly, and one of 100 tiny ones."""
    text, (top, bottom) = _exponent(x), x.as_integer_ratio()
    if bottom == 1 or x == _LEAST_LOG or (len(text) < 18 and bottom <= _POWER**2):
        return text  # a bound of logarithms may be a little off
    times, rest = divmod(bottom.bit_length() - 1, 62)
    powers = [_POWER] * times + [1 << rest] * (rest > 0)
    return f"({'/'.join([f'{top}*1.0', *map(str, powers)])})"


#: What is written otherwise within quotes.
_BACKSLASH = {39: "\\'", 92: "\\\\", 10: "\\n", 13: "\\r"}


@dataclass(frozen=True)
class _Dialect:
    """What differs between engines."""

    double: str = "DOUBLE"
    quotes: str = '""'
    backslash: bool = True  # whether it escapes in texts
    number: Callable[[float], str] = _exponent
    infinity: str = "CAST('Infinity' AS DOUBLE)"
    present: str = "{x} IS NOT NULL"
    log: str = "LN"
    bounded: bool = True  # whether exp of a large number is an error
    flush: bool = False  # whether a product that underflows is an error
    largest: tuple[str, str] = ("GREATEST", "LEAST")
    booleans: bool = True  # whether a comparison is a value
    text: str = "'"
    stage: str = "AS ("
    end: str = ""
    fence: str = ""  # keeps the planner from repeating a shared value where it is used

    def name(self, text: str) -> str:
        start, end = self.quotes[0], self.quotes[1]
        if self is DIALECTS["bigquery"]:
            return start + text.replace("\\", "\\\\").replace(end, "\\" + end) + end
        if self is DIALECTS["clickhouse"]:
            text = text.replace("\\", "\\\\")
        return start + text.replace(end, 2 * end) + end

    def literal(self, value: Any) -> str:
        """A number, a boolean or a text."""
        if isinstance(value, str):
            escapes = _BACKSLASH if self.backslash else {39: "''"}
            return f"{self.text}{value.translate(escapes)}'"
        if isinstance(value, bool):
            return str(value).upper() if self.booleans else str(int(value))
        if isinstance(value, int):
            return str(value) if value >= 0 else f"({value})"
        if math.isnan(value):
            return "NULL"
        text = self.infinity if math.isinf(value) else self.number(abs(value))
        return f"(-{text})" if value < 0 else text


_LARGEST_DOUBLE = "1.7976931348623157e308"
_FENCE = " LIMIT 9223372036854775807"
DIALECTS = {
    "duckdb": _Dialect(backslash=False, present="NOT isnan({x})", bounded=False),
    "postgres": _Dialect(
        double="DOUBLE PRECISION",
        backslash=False,
        number=lambda x: f"float8 '{_exponent(x)}'",
        infinity="float8 'Infinity'",
        flush=True,
        present="{x} <> float8 'NaN'",
        stage="AS MATERIALIZED (",
    ),
    "sqlite": _Dialect(
        double="REAL",
        quotes="``",  # "name" is a text where there is no such column
        backslash=False,
        number=_halves,
        infinity="9e999",
        present="typeof({column}) IN ('integer', 'real')",  # a text would count as 0
        bounded=False,
        largest=("MAX", "MIN"),
        stage="AS MATERIALIZED (",
    ),
    "mysql": _Dialect(quotes="``", infinity=_LARGEST_DOUBLE, fence=_FENCE),
    "clickhouse": _Dialect(
        double="Nullable(Float64)",
        infinity="inf",
        present="NOT isNaN({x})",
        bounded=False,
        # It would plan for minutes, and take names that a SELECT gives before those of columns.
        end="\nSETTINGS short_circuit_function_evaluation = 'disable', "
        "prefer_column_name_to_alias = 1",
    ),
    "spark": _Dialect(
        quotes="``",
        number=lambda x: _exponent(x) + "D",
        present="{x} IS NOT NULL AND NOT isnan({x})",
        bounded=False,
    ),
    "bigquery": _Dialect(
        double="FLOAT64",
        quotes="``",
        infinity="CAST('inf' AS FLOAT64)",
        present="NOT IS_NAN({x})",
    ),
    "snowflake": _Dialect(
        number=lambda x: f"CAST('{_exponent(x)}' AS DOUBLE)",
        infinity="CAST('inf' AS DOUBLE)",
        present="{x} <> CAST('NaN' AS DOUBLE)",
    ),
    "tsql": _Dialect(
        double="FLOAT",
        quotes="[]",
        backslash=False,
        infinity=_LARGEST_DOUBLE,
        log="LOG",
        booleans=False,
        text="N'",
    ),
}


def _tree(x: str, borders: Sequence[str], leaves: Sequence[str]) -> str:
    """The leaf of the interval of x between ascending borders, in few comparisons."""
    if not borders:
        return leaves[0]
    cuts = np.unique(np.linspace(0, len(leaves), _FAN + 1).astype(int)).tolist()
    parts = []
    for start, stop in pairwise(cuts):
        below = _tree(x, borders[start : stop - 1], leaves[start:stop])
        last = stop == len(leaves)
        parts.append(f"ELSE {below}" if last else f"WHEN {x} < {borders[stop - 1]} THEN {below}")
    return f"CASE {' '.join(parts)} END"


def _folded(terms: list[str], join: Callable[[list[str]], str]) -> str:
    """Many terms joined in groups, since engines limit arguments and depth."""
    while len(terms) > 1:
        groups = [terms[i : i + _FAN] for i in range(0, len(terms), _FAN)]
        terms = [join(g) if len(g) > 1 else g[0] for g in groups]
    return terms[0]


def _placed(node: Node) -> tuple[Node, Any, Any] | None:
    """Number, borders and leaves, if a node is a table of places."""
    if node.op == "place":
        return node.args[0], node.data, np.arange(len(node.data) + 1)
    if node.op != "entry":
        return None
    index = node.args[0]
    if index.op == "place":
        return index.args[0], index.data, node.data
    return index, np.arange(1, len(node.data)), node.data


def _clip(node: Node) -> tuple[Node, float, float]:
    """The number that a chain of clips takes, and the bounds that remain of them."""
    low, high, chain = -math.inf, math.inf, []
    while node.op in ("minimum", "maximum") and node.args[1].op == "constant":
        if node.args[1].size or node.size:
            break
        chain.append(node)
        node = node.args[0]
    for link in reversed(chain):
        bound = ELEMENTWISE[link.op]
        low, high = bound(low, link.args[1].data), bound(high, link.args[1].data)
    return node, float(low), float(high)


def _unclipped(x: Node, borders: Any, leaves: Any) -> tuple[Node, Any, Any]:
    """The same intervals of the number before it is clipped, which is shorter to write."""
    x, low, high = _clip(x)
    start, stop = (int((borders <= bound).sum()) for bound in (low, high))
    return x, borders[start:stop], leaves[start : stop + 1]


def _taken(node: Node) -> list[tuple[Node, int]]:
    """Nodes whose text a node's text holds, and how often."""
    if tree := _placed(node):
        x, borders, _ = _unclipped(*tree)
        return [(x, min(2, len(borders)))]
    base, *_ = _clip(node)
    if base is not node:
        return [(base, 1)]
    if node.op in ("affine", "winner"):
        return [(node.args[0], 2)]
    return [(a, 2 if node.size > 1 and not a.size and node.op != "stack" else 1) for a in node.args]


def _span(node: Node, args: list[tuple[float, float]]) -> tuple[float, float]:
    """Bounds of a node's numbers, as far as they are easy to know."""
    lows, highs = [a[0] for a in args], [a[1] for a in args]
    low, high = -math.inf, math.inf
    with np.errstate(all="ignore"):
        match node.op:
            case "constant":
                low, high = np.min(node.data), np.max(node.data)
            case "add" | "minimum" | "maximum" | "exp":
                of = ELEMENTWISE[node.op]
                low, high = of(*lows), of(*highs)
            case "sub":
                low, high = lows[0] - highs[1], highs[0] - lows[1]
            case "neg":
                low, high = -highs[0], -lows[0]
            case "stack" | "pick" | "largest":
                low, high = min(lows), max(highs)
            case "mul" | "div" if min(lows) >= 0:
                low = lows[0] * lows[1] if node.op == "mul" else lows[0] / highs[1]
            case "total" if lows[0] > 0:
                low = lows[0]
    return (-math.inf if math.isnan(low) else float(low), high if high == high else math.inf)


_BINARY = OPERATORS | {"both": "AND"}


class _Writer:
    """The texts of a program's nodes, one for each entry of a vector."""

    def __init__(self, program: Program, dialect: _Dialect, inputs: list[str], shared: bool):
        self.dialect, self.inputs = dialect, inputs
        self.texts: dict[Node, list[str]] = {}
        self.spans: dict[Node, tuple[float, float]] = {}
        #: Shared values: their texts by name, and the names of each stage.
        self.columns: dict[str, str] = {}
        self.level = dict.fromkeys(inputs, 0)
        nodes = program.nodes()
        uses = Counter((program.valid, *program.results.values()))
        for node in reversed(nodes):
            for arg, times in _taken(node) if uses[node] else ():
                uses[arg] += times
        for node in nodes:
            self.spans[node] = _span(node, [self.spans[a] for a in node.args])
            if not uses[node]:
                continue  # a place that only tables take, or a clip within clips
            texts = self._write(node)
            if shared and uses[node] > 1 and node.op != "constant":
                texts = [self._named(t, node.kind) for t in texts]
            if sum(map(len, texts)) > _MOST_TEXT:
                raise _TooLong
            self.texts[node] = texts

    def _named(self, text: str, kind: str) -> str:
        """A name for a text that is used more than once."""
        if re.fullmatch(r"\w+", text):
            return text
        name = f"v{len(self.columns)}"
        self.level[name] = 1 + max((self.level[n] for n in names_in(text)), default=0)
        is_boolean = kind == "boolean"
        self.columns[name] = f"CASE WHEN {text} THEN 1 ELSE 0 END" if is_boolean else text
        return f"({name} = 1)" if is_boolean else name

    def _write(self, node: Node) -> list[str]:
        args = [self.texts.get(a, []) for a in node.args]
        if tree := _placed(node):
            return [self._of_place(*_unclipped(*tree))]
        base, low, high = _clip(node)
        if base is not node:
            return [self._within(self.texts[base][0], low, high)]
        if node.op == "input":
            return [self.inputs[node.data]]
        if node.op == "constant":
            return [self.dialect.literal(v) for v in np.atleast_1d(node.data).tolist()]
        if node.op in ("stack", "pick"):
            return [args[0][node.data]] if node.op == "pick" else [a[0] for a in args]
        if node.op == "affine":
            return self._affine(args[0], *node.data)
        if node.op in ("total", "largest", "winner", "pick_at"):
            return [self._of_vector(node.op, *args)]
        size = max(1, node.size)
        rows = zip(*(a * size if len(a) == 1 else a for a in args), strict=True)
        return [self._elementwise(node, *row) for row in rows]

    def _of_place(self, x: Node, borders: Any, leaves: Any) -> str:
        literal = self.dialect.literal
        text = self.texts[x][0]
        if len(text) * len(borders) > _MOST_TEXT:
            raise _TooLong
        return _tree(text, [*map(literal, borders.tolist())], [*map(literal, leaves.tolist())])

    def _affine(self, terms: list[str], matrix: Any, offsets: Any) -> list[str]:
        literal = self.dialect.literal
        rows = [
            [f"({literal(m)} * {t})" for m, t in zip(row, terms, strict=True) if m]
            + [literal(offset)]
            for row, offset in zip(matrix.tolist(), offsets.tolist(), strict=True)
        ]
        return [_folded(row, _sum) for row in rows]

    def _greatest(self, terms: list[str]) -> str:
        # It skips NULL in some engines; the row's result is then NULL by the outer CASE.
        return _folded(terms, lambda g: f"{self.dialect.largest[0]}({', '.join(g)})")

    def _of_vector(self, op: str, terms: list[str], index: list[str] | None = None) -> str:
        if index is not None:
            return _lookup(index[0], terms)
        if op == "total":
            return _folded(terms, _sum)
        if op == "largest":
            return self._greatest(terms)
        last = len(terms) - 1
        cases = [
            f"WHEN {t} >= {self._greatest(terms[i + 1 :])} THEN {i}"
            for i, t in enumerate(terms[:-1])
        ]
        return f"CASE {' '.join(cases)} ELSE {last} END" if cases else "0"

    def _elementwise(self, node: Node, *args: str) -> str:
        d, op = self.dialect, node.op
        if d.flush and op in ("mul", "div") and node.args[-1].op != "total":
            args = tuple(map(self._not_tiny, node.args, args))
        if op == "div" and self._may_be_0(node.args[1]):
            return f"({args[0]} / NULLIF({args[1]}, {d.literal(0.0)}))"
        if op in _BINARY:
            return f"({args[0]} {_BINARY[op]} {args[1]})"
        if op == "neg":
            return f"(-{args[0]})"
        if op == "where":
            return "CASE WHEN {} THEN {} ELSE {} END".format(*args)
        if op in ("minimum", "maximum"):
            return f"{d.largest[op == 'minimum']}({args[0]}, {args[1]})"
        x, (low, high) = args[0], self.spans[node.args[0]]
        if op == "exp":
            most = _LARGEST_EXP if d.bounded else math.inf
            low = -most if low < -most else -math.inf
            return f"EXP({self._within(x, low, most if high > most else math.inf)})"
        if op == "log1p":
            x, low = f"({d.literal(1.0)} + {x})", 1.0 + low
        # The logarithm of 0 is an error in some engines, even where the result isn't used.
        return f"{d.log}({self._within(x, -math.inf if low > 0 else _LEAST_LOG, math.inf)})"

    def _within(self, x: str, low: float, high: float) -> str:
        most, least = self.dialect.largest
        x = x if low == -math.inf else f"{most}({x}, {self.dialect.literal(low)})"
        return x if high == math.inf else f"{least}({x}, {self.dialect.literal(high)})"

    def _may_be_0(self, node: Node) -> bool:
        low, high = self.spans[node]
        return low <= 0.0 <= high

    def _not_tiny(self, node: Node, text: str) -> str:
        """A score with 0 for what is so small that a product with it may underflow."""
        if not _is_score(node) or not self._may_be_0(node):
            return text
        tiny = self.dialect.literal(1e-270)
        return f"(({text} + {tiny}) - {tiny})"


def _is_score(node: Node) -> bool:
    """Whether a number is a score, up to clips and differences."""
    if node.op in ("add", "sub", "neg", "minimum", "maximum", "stack", "pick"):
        return any(map(_is_score, node.args))
    return node.op == "input"


class _TooLong(Exception):
    pass


def names_in(text: str) -> set[str]:
    """Names of shared values in a text that holds no name of a user."""
    return set(re.findall(r"\b[xkv]\d+\b", text))


def _sum(terms: list[str]) -> str:
    return f"({' + '.join(terms)})"


def _lookup(index: str, values: Sequence[str]) -> str:
    cases = " ".join(f"WHEN {i} THEN {v}" for i, v in enumerate(values))
    return f"CASE {index} {cases} END"


def to_sql(
    obj: Any,
    *,
    dialect: Dialect,
    column: str | Sequence[str] | None = None,
    table: str | Sequence[str] | None = None,
    keep: str | Sequence[str] | None = None,
    labels: bool = False,
) -> Exported:
    """Write a fitted object as SQL: an expression for a SELECT, or a query.

    The SQL gives the probabilities of ``predict_proba`` within 1e-12. Where a score is NULL or NaN,
    or ``predict_proba`` would refuse it, the result is NULL.

    Parameters
    ----------
    obj : object
        A fitted calibrator, :class:`CalibratedClassifier` (its calibrators), threshold, policy or
        decision rule.
    dialect : str
        "duckdb", "postgres", "sqlite", "mysql", "clickhouse", "spark", "bigquery", "snowflake" or
        "tsql" (SQL Server 2022 or later).
    column : str or list of str, optional
        Column of scores; for K classes K columns, in the order of ``classes_``. Names are quoted,
        so write them as the database stores them. Default: "score", or "score_0", "score_1", ...
    table : str or list of str, optional
        Table of the scores; parts are separated by dots, or are a list. With it the result is a
        query that computes each shared value once. It is needed for K classes, and where an
        expression would have more than 20,000 characters.
    keep : str or list of str, optional
        Columns of the table that the query returns beside the results, such as a key. Default:
        the columns of scores.
    labels : bool, default=False
        Whether to write the labels of ``predict`` too. An expression gives the label only.

    Returns
    -------
    sql : Exported
        The SQL. Columns of a query's results are named "probability" (of the larger class; for K
        classes ``probability_`` and the class), "label", "accept", "decision", "promised",
        "quantiles_0" and so on, or "lower_bound".

    Raises
    ------
    InputError
        For an object that is not fitted or has no formula; for more than 100 columns of scores;
        for a matrix of more than 30 classes; for more than 1,000,000 characters.

    Examples
    --------
    >>> import sqlite3
    >>> from calibkit import HistogramBinningCalibrator
    >>> from calibkit.export import to_sql
    >>> cal = HistogramBinningCalibrator(n_bins=2, smoothing=0)
    >>> cal = cal.fit([0.1, 0.2, 0.6, 0.9], [0, 0, 0, 1])
    >>> sql = to_sql(cal, dialect="sqlite", column="p")
    >>> database = sqlite3.connect(":memory:")
    >>> database.execute(
    ...     f"SELECT p, {sql} FROM (SELECT 0.3 AS p UNION ALL SELECT 0.7 UNION ALL SELECT NULL)"
    ... ).fetchall()
    [(0.3, 0.0), (0.7, 0.5), (None, None)]
    >>> database.close()
    """
    check_choice("dialect", dialect, DIALECTS)
    program = obj if isinstance(obj, Program) else program_of(obj, labels=labels)
    columns = _columns(column, program)
    kept = columns if keep is None else _texts("keep", keep)
    _check_distinct("keep", kept)
    source = None if table is None else _texts("table", table, ".")
    _check_size(program)
    d, most = DIALECTS[dialect], _MOST_TEXT if source else _MOST_REPEATED
    try:
        if source is None:
            program = _one_result(program)
            text = _expression(program, d, columns)
        else:
            text = _query(program, d, columns, source, kept)
        if len(text) > most:
            raise _TooLong
    except _TooLong:
        raise InputError(
            f"{program.facts['name']} makes SQL of more than {most:,} characters; expected less, "
            + (
                "which is what all engines take. Fit fewer bins, or export it as plain code."
                if source
                else "which is quick to plan. Pass table, the name of the table that holds the "
                "scores, for a query that repeats nothing."
            )
        ) from None
    facts = {**program.facts, "columns": columns, "table": source, "keep": kept}
    facts["sizes"] = {name: node.size for name, node in program.results.items()}
    return Exported(text, dialect, facts, program.kinds())


def _texts(name: str, value: str | Sequence[str], split: str | None = None) -> list[str]:
    """Names of columns, or the parts of a table's name."""
    if isinstance(value, str):
        value = value.split(split) if split else [value]
    names = [*value] if isinstance(value, Sequence) else [value]
    for part in names or [""]:
        if not isinstance(part, str) or not part or "\0" in part:
            raise InputError(
                f"{name} holds {spelled(part)}; expected a name, or a list of names, that are not "
                "empty."
            )
    return names


def _check_distinct(name: str, names: list[str]) -> None:
    if twice := [n for n, times in Counter(names).items() if times > 1]:
        raise InputError(
            f"{name} holds {few(twice)} more than once; expected names that differ. Pass each once."
        )


def _columns(column: str | Sequence[str] | None, program: Program) -> list[str]:
    columns = _texts("column", program.facts["inputs"] if column is None else column)
    _check_distinct("column", columns)
    if len(columns) != program.n_inputs:
        raise InputError(
            f"column holds {len(columns)} names ({few(columns)}); expected {program.n_inputs}, "
            "one for each score of a row."
        )
    return columns


def _check_size(program: Program) -> None:
    matrices = [len(n.data[1]) for n in program.nodes() if n.op == "affine"]
    for k, most, what in (
        (max(matrices, default=0), _MOST_CLASSES, "a matrix of"),
        (program.n_inputs, _MOST_COLUMNS, "scores of"),
    ):
        if k > most:
            raise InputError(
                f"{program.facts['name']} has {what} {k} classes; expected at most {most} in SQL. "
                "Export it to ONNX or to plain code."
            )


def columns_of(name: str, size: int, facts: dict[str, Any]) -> list[str]:
    """Names of a query's columns that hold a result."""
    if name == "probabilities":
        return [f"probability_{c}" for c in facts["classes"]]
    return [f"{name}_{i}" for i in range(size)] if size else [name]


def _results(program: Program, writer: _Writer) -> dict[str, str]:
    """Names of the result's columns with their texts."""
    d = writer.dialect
    out: dict[str, str] = {}
    for name, node in program.results.items():
        texts = writer.texts[node]
        if node.size:
            out |= zip(columns_of(name, node.size, program.facts), texts, strict=True)
            continue
        text = texts[0]
        if values := program.facts.get(NAMES.get(name, "")):
            text = _lookup(text, [*map(d.literal, values)])
        if node.kind == "boolean" and not d.booleans:
            text = f"CAST(CASE WHEN {text} THEN 1 ELSE 0 END AS BIT)"
        out[name] = text
    return out


def _one_result(program: Program) -> Program:
    """The program with the result that an expression computes."""
    name = next(n for n in ("label", "decision", *program.results) if n in program.results)
    if program.results[name].size:
        raise InputError(
            f"{program.facts['name']} has {program.n_inputs} columns of probabilities, which are "
            "no single expression; expected a table. Pass table, the name of the table that holds "
            "the scores."
        )
    return replace(program, results={name: program.results[name]})


def _expression(program: Program, d: _Dialect, columns: list[str]) -> str:
    names = [d.name(c) for c in columns]
    writer = _Writer(program, d, [f"CAST({n} AS {d.double})" for n in names], shared=False)
    (result,) = _results(program, writer).values()
    present = [d.present.format(x=x, column=n) for x, n in zip(writer.inputs, names, strict=True)]
    return f"CASE WHEN {' AND '.join([*present, *writer.texts[program.valid]])} THEN {result} END"


def _query(
    program: Program, d: _Dialect, columns: list[str], table: list[str], keep: list[str]
) -> str:
    writer = _Writer(program, d, [f"x{i}" for i in range(len(columns))], shared=True)
    valid = " AND ".join([f"{x} IS NOT NULL" for x in writer.inputs] + writer.texts[program.valid])
    results = _results(program, writer)
    if both := set(results) & set(keep):
        raise InputError(
            f"keep holds {few(sorted(both))}, which is the name of a result; expected other names "
            "(by default keep holds the columns of scores). Pass keep without it, such as a key, "
            "or rename the column in the table."
        )
    kept = {f"k{i}": name for i, name in enumerate(keep)}
    parts = [f"{d.name(name)} AS {k}" for k, name in kept.items()]
    for x, name in zip(writer.inputs, columns, strict=True):
        cast = f"CAST({d.name(name)} AS {d.double})"
        present = d.present.format(x=cast, column=d.name(name))
        parts.append(f"CASE WHEN {present} THEN {cast} END AS {x}")
    source = ".".join(map(d.name, table))
    stages = [f"SELECT {', '.join(parts)} FROM {source}"]
    final = [f"{k} AS {d.name(name)}" for k, name in kept.items()]
    final += [f"CASE WHEN {valid} THEN {t} END AS {d.name(n)}" for n, t in results.items()]
    stages += _stages(writer, [*kept], " ".join([valid, *results.values()]))
    out = ", ".join(final)
    ctes = [f"calibkit_{i} {d.stage}{s}{d.fence})" for i, s in enumerate(stages)]
    return f"WITH {f',{chr(10)}'.join(ctes)}\nSELECT {out} FROM calibkit_{len(stages) - 1}{d.end}"


def _stages(writer: _Writer, kept: list[str], final: str) -> list[str]:
    """A SELECT for each level of shared values, with the earlier values that are still needed."""
    needed, stages = names_in(final), []
    by_level: dict[int, dict[str, str]] = {}
    for name, text in writer.columns.items():
        by_level.setdefault(writer.level[name], {})[name] = text
    for level in sorted(by_level, reverse=True):
        own = by_level[level]
        older = sorted(n for n in needed if writer.level.get(n, level) < level)
        parts = [*kept, *older, *(f"{t} AS {n}" for n, t in own.items())]
        stages.append(f"SELECT {', '.join(parts)} FROM calibkit_{level - 1}")
        needed = set(older) | names_in(" ".join(own.values()))
    return stages[::-1]
