"""Lists of unequal length as a flat array and offsets, and checks of log-probabilities."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from numbers import Real
from typing import Any

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.labels import is_missing
from .._core.optional import require
from .._core.printed import a_type, spelled
from .._core.warnings import MissingSignalWarning, warn
from .._typing import FloatArray, IntArray

#: How much rounding may raise a log-probability above 0.
TOLERANCE = 1e-6
#: How much rounding may raise the sum of a token's alternatives above 1.
MASS_TOLERANCE = 1e-4
#: Least log-probability: OpenAI's API gives it to the least likely tokens. Lower values, also -inf,
#: count as this one.
LOWEST = -9999.0


def place(i: int, *levels: IntArray) -> str:
    """The place of the i-th value in words; ``levels`` are offsets, the outermost first."""
    at = []
    for offsets in reversed(levels):
        row = int(np.searchsorted(offsets, i, side="right")) - 1
        at.append(i - int(offsets[row]))
        i = row
    names = ("output", "token", "alternative")
    return ", ".join(f"{n} {k}" for n, k in zip(names, [i, *reversed(at)], strict=False))


def checked(block: FloatArray, first: int, levels: tuple[IntArray, ...], name: str) -> FloatArray:
    """A block of log-probabilities, starting at number ``first``, clipped to at most 0."""
    if np.maximum.reduce(block) <= 0:
        return block
    high = block > TOLERANCE  # NaN is not
    if high.any():
        i = int(np.argmax(high))
        at = place(first + i, *levels)
        raise InputError(
            f"{name} holds values above 0 ({block[i]:.6g} at {at}); expected log-probabilities. "
            "For probabilities take np.log first."
        )
    return np.minimum(block, 0)


def warn_of_missing(signals: Sequence[str], missing: np.ndarray, why: str) -> None:
    """Warn of outputs without a signal: their number, and the reason for the first."""
    if not missing.any():
        return
    warn(
        f"{np.count_nonzero(missing)} of {len(missing)} outputs have no {' or no '.join(signals)} "
        f"(first at output {int(np.argmax(missing))}: {why}); they are NaN. Drop these outputs, "
        "or impute the values with SimpleImputer(add_indicator=True).",
        MissingSignalWarning,
    )


@dataclass(frozen=True, eq=False)
class Ragged:
    """Lists of unequal length as one flat array: list ``i`` is ``values[offsets[i]:offsets[i+1]]``.

    Use it if your token log-probabilities are already in one array (Arrow's layout); they are not
    copied. You can pass lists, data frame columns and Arrow arrays directly, without it.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        The values of all lists, one list after the other.
    offsets : ndarray of int of shape (n_lists + 1,)
        Start of each list in ``values``, and the end of the last list; never decreasing.

    Raises
    ------
    ValueError
        If the offsets decrease or point outside ``values``.
    TypeError
        If ``values`` is not a list or array, or is a masked array.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.codegen import Ragged, token_confidence
    >>> tokens = Ragged(np.array([-0.1, -0.3, -2.0]), np.array([0, 2, 3]))
    >>> len(tokens), tokens[0]
    (2, array([-0.1, -0.3]))
    >>> token_confidence(tokens, "length")
    array([2., 1.])
    """

    values: Any
    offsets: IntArray

    def __post_init__(self) -> None:
        try:
            o = np.asarray(self.offsets)
        except ValueError:  # lists of unequal lengths
            o = np.empty(0, dtype=np.intp)
        if o.ndim != 1 or len(o) == 0 or o.dtype.kind not in "iu":
            raise InputError(
                f"offsets has shape {o.shape} and dtype {o.dtype}; expected a list of ints: the "
                "start of each list and the end of the last one."
            )
        if not hasattr(self.values, "__len__") or np.ma.isMaskedArray(self.values):
            raise InputTypeError(
                f"values is {type(self.values).__name__}; expected one array with the values of "
                "all lists, without a mask."
            )
        o = o.astype(np.intp, copy=False)
        falls = np.flatnonzero(o[1:] < o[:-1])
        if len(falls) or o[0] < 0 or o[-1] > len(self.values):
            what = f"decreases after list {falls[0]}" if len(falls) else f"spans {o[0]} to {o[-1]}"
            raise InputError(
                f"offsets {what}; expected numbers that never decrease, from 0 to "
                f"{len(self.values)}, the number of values."
            )
        object.__setattr__(self, "offsets", o)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> Any:
        i = range(len(self))[i]
        start, end = self.offsets[i], self.offsets[i + 1]
        if isinstance(self.values, Ragged):  # lists of lists
            return Ragged(self.values.values, self.values.offsets[start : end + 1])
        return self.values[start:end]


def validate_ragged(X: Any, name: str) -> Ragged:
    """One list of numbers per output; floats of 32 or 64 bits, NaN where a number is missing."""
    inner = split(X, name)
    return Ragged(to_numbers(inner.values, name, inner.offsets), inner.offsets)


def validate_nested(X: Any, name: str) -> tuple[Ragged, IntArray]:
    """One list of alternatives per token, and the offsets of the outputs in these lists."""
    outer = split(X, name)
    tokens = outer.values
    if isinstance(tokens, list):
        tokens = [list(t.values()) if isinstance(t, dict) else t for t in tokens]
    inner = split(tokens, name, outer.offsets)
    values = to_numbers(_logprobs_of(inner.values), name, outer.offsets, inner.offsets)
    return Ragged(values, inner.offsets), outer.offsets


def _logprobs_of(values: Any) -> Any:
    """The log-probabilities if the values are OpenAI's items, else the values."""
    if isinstance(values, list):
        return [v.get("logprob", v) if isinstance(v, dict) else v for v in values]
    kind = str(getattr(values, "dtype", getattr(values, "type", "")))
    if kind.startswith("Struct") and "logprob" in values.struct.fields:
        return values.struct.field("logprob")
    if kind.startswith("struct<") and values.type.get_field_index("logprob") >= 0:
        return require("pyarrow.compute").struct_field(values, "logprob")
    return values


def split(X: Any, name: str, *outer: IntArray) -> Ragged:
    """One level of lists; the values are the items of the lists, in an array or a list."""
    if isinstance(X, Ragged):
        return X
    if np.ma.isMaskedArray(X) or hasattr(X, "tocsr"):
        raise InputTypeError(
            f"{name} is {a_type(X)}, which hides values; expected one list of numbers per "
            "output. Pass lists without the masked values."
        )
    X = _arrow_of(X)
    module = type(X).__module__.partition(".")[0]
    if module == "pyarrow":
        return _from_arrow(X, name)
    if module == "polars":
        return _from_polars(X, name)
    if hasattr(X, "to_numpy"):
        X = X.to_numpy()
    if isinstance(X, np.ndarray):
        X = np.asarray(X)  # a np.matrix always stays two-dimensional
    if isinstance(X, np.ndarray) and X.dtype.kind != "O":
        if X.ndim < 2:
            raise InputError(
                f"{name} is an array of shape {X.shape} and dtype {X.dtype}; expected one list of "
                f"numbers per output. For a single output pass [{name}]."
            )
        n, width = X.shape[:2]
        return Ragged(X.reshape(n * width, *X.shape[2:]), np.arange(n + 1) * width)
    if isinstance(X, (str, bytes, dict, set)) or not hasattr(X, "__iter__"):
        kind = "None" if X is None else f"of type {type(X).__name__}"
        raise InputTypeError(f"{name} is {kind}; expected one list of numbers per output.")
    return _from_rows(list(X), name, outer)


def _arrow_of(X: Any) -> Any:
    """The Arrow array behind a pandas column, if there is one."""
    to_arrow = getattr(getattr(X, "array", None), "__arrow_array__", None)
    is_arrow = type(getattr(X, "dtype", None)).__name__ == "ArrowDtype"
    return to_arrow() if to_arrow is not None and is_arrow else X


def _from_rows(rows: list[Any], name: str, outer: tuple[IntArray, ...]) -> Ragged:
    kinds = set(map(type, rows))
    known = kinds <= {list, tuple, np.ndarray}
    if not known or any(isinstance(r, np.ndarray) and r.ndim == 0 for r in rows):
        rows = [_row(r, i, name, outer) for i, r in enumerate(rows)]
    lengths = np.fromiter(map(len, rows), np.intp, len(rows))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    arrays = [r for r in rows if isinstance(r, np.ndarray)]
    filled = np.count_nonzero(lengths)
    shapes = {r.shape[1:] for r in arrays if len(r)}
    numeric = all(r.dtype.kind in "fiub" for r in arrays)
    if len(shapes) == 1 and numeric and filled == sum(len(r) > 0 for r in arrays):
        return Ragged(np.concatenate([r for r in arrays if len(r)]), offsets)
    flat = list(chain.from_iterable(r.tolist() if isinstance(r, np.ndarray) else r for r in rows))
    return Ragged(flat, offsets)


def _row(row: Any, i: int, name: str, outer: tuple[IntArray, ...]) -> Any:
    """One output's list; a missing one is empty."""
    if hasattr(row, "as_py"):  # Arrow's scalars
        row = row.as_py()
    if isinstance(row, (list, tuple)):
        return row
    if is_missing(row):
        return ()
    listing = hasattr(row, "__iter__") and not np.ma.isMaskedArray(row)
    if getattr(row, "ndim", 1) == 0:
        row, listing = row.item(), False
    if isinstance(row, (str, bytes, dict, set)) or not listing:
        kind, mend = f"a {type(row).__name__}", f"For a single output pass [{name}]"
        if isinstance(row, (str, bytes)):
            kind, mend = "text", "Parse it first, for instance with json.loads"
        elif hasattr(row, "__iter__"):
            mend = "Pass only the log-probabilities, in order"
        raise InputTypeError(
            f"{name} holds {kind} ({spelled(row):.40}) at {place(i, *outer)}; expected a list of "
            f"numbers. {mend}."
        )
    return np.asarray(row) if hasattr(row, "__array__") else list(row)


def _from_arrow(X: Any, name: str) -> Ragged:
    """Arrow's lists, of any layout and in any chunks; without nulls nothing is copied."""
    kind = str(getattr(X, "type", type(X).__name__))
    if kind == "null":
        return _from_rows(X.to_pylist(), name, ())
    if "list" not in kind.partition("<")[0]:
        raise InputTypeError(f"{name} is an Arrow array of {kind}; expected lists of numbers.")
    compute = require("pyarrow.compute")
    # The offsets of a list array would also be those of lists that a slice leaves out.
    lengths = compute.list_value_length(X).fill_null(0).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    return Ragged(compute.list_flatten(X), offsets)


def _from_polars(X: Any, name: str) -> Ragged:
    kind = str(getattr(X, "dtype", type(X).__name__))
    if kind.startswith(("Array", "Object", "Null")):
        return _from_rows(X.to_list(), name, ())
    if not kind.startswith("List"):
        raise InputTypeError(f"{name} is a polars {kind}; expected a Series of lists.")
    lengths = X.list.len().fill_null(0).to_numpy()
    # explode gives an empty list one null: they are left out before.
    flat = X.filter(X.list.len().fill_null(0) > 0).explode()
    return Ragged(flat, np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp))


def to_numbers(flat: Any, name: str, *levels: IntArray) -> FloatArray:
    """A flat array of float32 or float64; missing values are NaN."""
    if type(flat).__module__.partition(".")[0] in ("pyarrow", "polars"):
        arrow = hasattr(flat, "null_count") and not callable(flat.null_count)
        flat = flat.to_numpy(zero_copy_only=False) if arrow else flat.to_numpy()
    if isinstance(flat, np.ndarray) and flat.dtype.kind == "O":
        flat = flat.tolist()
    if isinstance(flat, list):
        return _from_objects(flat, name, levels)
    a = np.asarray(flat)
    if a.ndim != 1:
        raise InputError(
            f"{name} is nested too deep (shape {a.shape} instead of a flat list); expected one "
            "list of numbers per output."
        )
    if a.dtype.kind not in "fiub":
        complex_ = "Complex data not supported: " if a.dtype.kind == "c" else ""
        raise InputError(f"{complex_}{name} is of dtype {a.dtype}; expected plain numbers.")
    if a.dtype.kind == "f" and a.dtype.itemsize <= 4:
        return a.astype(np.float32, copy=False)
    return a.astype(np.float64, copy=False)


def _from_objects(flat: list[Any], name: str, levels: tuple[IntArray, ...]) -> FloatArray:
    kinds = set(map(type, flat))
    odd = {k for k in kinds if not issubclass(k, (Real, Decimal, np.number, np.bool_))}
    odd -= {type(None)}
    if odd:
        for i, v in enumerate(flat):
            if type(v) not in odd:
                continue
            if is_missing(v):
                flat[i] = None
                continue
            number = getattr(v, "ndim", 1) == 0 and hasattr(v, "item")
            if not number:
                _refuse(v, place(i, *levels), name)
            flat[i] = v.item()
    try:
        return np.array(flat, dtype=np.float64)
    except OverflowError as error:
        i = next(i for i, v in enumerate(flat) if v is not None and abs(v) > sys.float_info.max)
        raise InputError(
            f"{name} holds a number beyond the range of floats at {place(i, *levels)}; expected a "
            "number."
        ) from error


def _refuse(value: Any, at: str, name: str) -> None:
    if isinstance(value, (complex, np.complexfloating)):
        what, mend = "Complex data not supported: it holds", "Take its real part"
    elif isinstance(value, (str, bytes)):
        what, mend = "it holds text", "Convert it to numbers first"
    elif isinstance(value, dict):
        what, mend = "it holds a dict", "For OpenAI's items pass [t['logprob'] for t in content]"
    else:
        what = f"it is nested too deep: a {type(value).__name__}"
        mend = "Pass one flat list of numbers per output"
    raise InputTypeError(
        f"{name} can't be read: {what} ({spelled(value):.40}) at {at}; expected a number. {mend}."
    )
