"""A fitted map as a program: a graph of few operations, which each language writes in its own way.

Every value belongs to one row. It is a number (``size`` 0) or a vector (``size`` K >= 1), and
``kind`` says whether it is a real number, a whole number or a boolean. Numbers and vectors
combine element by element.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from .._typing import FloatArray

Kind = Literal["real", "whole", "boolean"]

#: Operations, with what they take: real numbers where nothing else is said. Element by element:
#: add, sub, mul, div, minimum, maximum (two); neg, log, log1p, exp (one);
#: less, at_most (two), both (two booleans): a boolean;
#: where (a boolean, two numbers). The exponent of exp may be of any size.
#: input (data: which column); constant (data: a number or a vector);
#: stack (numbers; a vector), pick (a vector; data: which entry), pick_at (a vector and a whole
#: number: the entry at that place); total, largest, winner of a vector (winner: the place of the
#: first largest entry, a whole number); affine (a vector; data: (matrix, offsets), and the entries
#: are ``matrix @ vector + offsets``); place (a number; data: ascending steps; how many of them are
#: at or below it, a whole number); entry (a whole number; data: a table; its entry at that place).
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "neg": np.negative,
    "log": np.log,
    "log1p": np.log1p,
    "exp": np.exp,
    "less": np.less,
    "at_most": np.less_equal,
    "both": np.logical_and,
    "where": np.where,
}
_TRUTHS = ("less", "at_most", "both")
#: Operators that all languages write alike.
OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "less": "<", "at_most": "<="}
#: Facts that hold what a result's whole numbers stand for.
NAMES = {"label": "classes", "decision": "decisions"}


_Operator: TypeAlias = "Callable[[Node, Operand], Node]"


def _operators(op: str) -> tuple[_Operator, _Operator]:
    """The operator of nodes, and the one for a number on the left."""
    return lambda a, b: apply(op, a, b), lambda a, b: apply(op, b, a)


@dataclass(frozen=True, eq=False)
class Node:
    """The result of one operation; two nodes are equal only if they are the same one."""

    op: str
    args: tuple[Node, ...] = ()
    data: Any = None
    size: int = 0
    kind: Kind = "real"

    __add__, __radd__ = _operators("add")
    __sub__, __rsub__ = _operators("sub")
    __mul__, __rmul__ = _operators("mul")
    __truediv__, __rtruediv__ = _operators("div")

    def __neg__(self) -> Node:
        return apply("neg", self)


Operand = Node | float | FloatArray


def constant(value: float | FloatArray) -> Node:
    """A number, or a vector, that is the same for every row."""
    data = np.asarray(value, dtype=np.float64)
    if data.ndim == 0:
        return Node("constant", data=float(data))
    return Node("constant", data=data, size=len(data))


def column(index: int) -> Node:
    """One of the input's columns."""
    return Node("input", data=index)


def apply(op: str, *args: Operand) -> Node:
    """An operation element by element."""
    nodes = tuple(a if isinstance(a, Node) else constant(a) for a in args)
    kind: Kind = "boolean" if op in _TRUTHS else "real"
    return Node(op, nodes, size=max(a.size for a in nodes), kind=kind)


def stack(*parts: Operand) -> Node:
    """A vector of numbers."""
    nodes = tuple(a if isinstance(a, Node) else constant(a) for a in parts)
    return Node("stack", nodes, size=len(nodes))


def pick(vector: Node, index: int) -> Node:
    """One entry of a vector."""
    return Node("pick", (vector,), index)


def pick_at(vector: Node, index: Node) -> Node:
    """The entry of a vector at a place that depends on the row."""
    return Node("pick_at", (vector, index))


def reduce(op: Literal["total", "largest", "winner"], vector: Node) -> Node:
    """Sum, largest entry, or place of the first largest entry of a vector."""
    return Node(op, (vector,), kind="whole" if op == "winner" else "real")


def affine(vector: Node, matrix: FloatArray, offsets: FloatArray) -> Node:
    """``matrix @ vector + offsets``."""
    return Node("affine", (vector,), (matrix, offsets), size=len(offsets))


def place(number: Node, steps: FloatArray) -> Node:
    """How many of the ascending steps are at or below a number."""
    return Node("place", (number,), np.asarray(steps, dtype=np.float64), kind="whole")


def entry(index: Node, table: Any) -> Node:
    """The entry of a table at a place; it may hold whole numbers."""
    table = np.asarray(table)
    return Node("entry", (index,), table, kind="whole" if table.dtype.kind in "iu" else "real")


@dataclass(frozen=True)
class Program:
    """A map from the columns of a row to named results.

    Where ``valid`` is not true, or an input is missing, every result is missing: NaN, or NULL.
    """

    n_inputs: int
    results: dict[str, Node]
    valid: Node
    facts: dict[str, Any] = field(default_factory=dict)

    def kinds(self) -> dict[str, Kind]:
        """The kind of each result."""
        return {name: node.kind for name, node in self.results.items()}

    def nodes(self) -> list[Node]:
        """Every node once, each after those that it takes."""
        order: dict[Node, None] = {}
        pending = [self.valid, *self.results.values()][::-1]
        while pending:
            node = pending[-1]
            missing = [a for a in node.args if a not in order]
            if missing:
                pending.extend(missing[::-1])
            else:
                order[pending.pop()] = None
        return list(order)

    def values(self, columns: Any, library: Library) -> dict[Node, Any]:
        """The values of all results and of ``valid``, for rows of shape (n, n_inputs)."""
        nodes, values = self.nodes(), dict[Node, Any]()
        kept = {self.valid, *self.results.values()}
        last = {a: node for node in nodes for a in node.args if a not in kept}
        with np.errstate(all="ignore"):
            for node in nodes:
                args = [values[a] for a in node.args]
                values[node] = _value(node, args, columns, library)
                for a in {a for a in node.args if last.get(a) is node}:
                    del values[a]  # memory for the next ones
        return values

    def run(self, columns: FloatArray) -> dict[str, FloatArray]:
        """The results for rows of shape (n, n_inputs), by NumPy."""
        values = self.values(columns, Library())
        n = len(columns)
        valid = np.broadcast_to(values[self.valid], n) & ~np.isnan(columns).any(axis=1)
        out = {}
        for name, node in self.results.items():
            shape = (n, node.size) if node.size else (n,)
            value = np.broadcast_to(values[node], shape).astype(np.float64)
            value[~valid] = np.nan
            out[name] = value
        return out


@dataclass(frozen=True)
class Library:
    """A library of arrays: its namespace, the type of its numbers, and on which device."""

    xp: Any = np
    dtype: str = "float64"
    place: dict[str, Any] = field(default_factory=dict)

    def array(self, data: Any, *, up: bool = False) -> Any:
        """A new array of the library; numbers rounded to the nearest, or ``up``."""
        a = np.array(data)
        if a.dtype.kind == "f" and self.dtype == "float32":
            a = _single(a, up)
        return self.xp.asarray(a, **self.place)


def _single(a: FloatArray, up: bool) -> np.ndarray:
    """Numbers in single precision: none that is not 0, 1 or infinite becomes so."""
    limits = np.finfo(np.float32)
    size = np.clip(np.abs(a), limits.tiny, limits.max)
    b = np.where(a == 0.0, 0.0, np.copysign(size, a)).astype(np.float32)
    b = np.where((a < 1.0) & (b == 1.0), np.nextafter(np.float32(1), np.float32(0)), b)
    return np.where(b < a, np.nextafter(b, limits.max), b) if up else b


def _value(node: Node, args: list[Any], columns: Any, library: Library) -> Any:
    if node.op == "input":
        return columns[:, node.data]
    if node.op == "constant":
        return library.array(node.data)
    if node.op in ELEMENTWISE:
        if node.size:  # a number of each row beside vectors
            sizes = [a.size for a in node.args]
            args = [a if s or a.ndim == 0 else a[:, None] for a, s in zip(args, sizes, strict=True)]
        return getattr(library.xp, ELEMENTWISE[node.op].__name__)(*args)  # all use NumPy's names
    return _of_vector(node, args, columns.shape[0], library)


def _of_vector(node: Node, args: list[Any], n: int, library: Library) -> Any:
    xp = library.xp
    match node.op:
        case "stack":
            return xp.stack([xp.broadcast_to(a, (n,)) for a in args], axis=-1)
        case "pick":
            return args[0][..., node.data]
        case "pick_at":
            k = node.args[0].size
            flat = xp.reshape(xp.broadcast_to(args[0], (n, k)), (-1,))
            return xp.take(flat, library.array(np.arange(n) * k) + args[1], axis=0)
        case "total":
            return xp.sum(args[0], axis=-1)
        case "largest":
            return xp.max(args[0], axis=-1)
        case "winner":
            return xp.argmax(args[0], axis=-1)
        case "affine":
            return args[0] @ library.array(node.data[0].T) + library.array(node.data[1])
        case "place":
            number = args[0] + 0.0  # PyTorch warns of columns that are views
            return xp.searchsorted(library.array(node.data, up=True), number, side="right")
    return xp.take(library.array(node.data), args[0], axis=0)  # entry
