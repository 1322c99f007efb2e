"""Read the columns that rows are grouped by: values, bands of numbers, and combinations."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, pairwise
from math import comb
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from .._core.arrays import on_host
from .._core.errors import InputError
from .._core.labels import is_missing, refuse_masked, validate_group_labels
from .._core.printed import quoted, spelled
from .._numerics.families import Family
from .._typing import FloatArray, IntArray

#: Columns with more distinct numbers are cut into bands.
_MANY = 12
#: Columns of one combination.
_DEEPEST = 3
_MOST_GROUPS = 5_000
#: Places of atoms in groups.
_MOST_PLACES = 50_000_000


class Column(NamedTuple):
    """Code of each row, and how each code is called."""

    codes: IntArray
    names: list[str]


class Groups(NamedTuple):
    """All groups, how they are called, and which combination of columns each one is from."""

    family: Family
    names: list[str]
    part: IntArray


def read_columns(by: Any, n: int, n_bands: int) -> list[Column]:
    """Columns of a data frame, mapping or array, cut into groups."""
    columns = []
    for name, values in _given(by):
        codes, names = _coded(values, n, f"by[{spelled(name)}]", n_bands)
        label = quoted(name)
        shown = [f"{label} missing" if v is None else f"{label}{v}" for v in names]
        columns.append(Column(codes, shown))
    return columns


def _given(by: Any) -> list[tuple[str, Any]]:
    if by is None or isinstance(by, (str, bytes)) or np.isscalar(by):
        raise InputError(
            f"by={spelled(by)}; expected the values of each row, not a name. Pass a column of "
            "shape (n,), several as a mapping {name: column}, or a data frame."
        )
    if hasattr(by, "columns") and hasattr(by, "shape"):
        names = list(by.columns)
        if len({str(name) for name in names}) == len(names):
            return _some([(str(name), by[name]) for name in names])
    elif isinstance(by, Mapping):
        names = list(by)
        if len({str(name) for name in names}) == len(names):
            return _some([(str(name), by[name]) for name in names])
    else:
        array = by if hasattr(by, "dtype") else _as_objects(by)
        if getattr(array, "ndim", 1) == 2:
            return _some([(f"column_{j}", array[:, j]) for j in range(array.shape[1])])
        name = getattr(by, "name", None)
        return [("group" if name in (None, "") else str(name), by)]
    twice = next(s for i, s in enumerate(map(str, names)) if s in map(str, names[:i]))
    raise InputError(
        f"by has two columns named {spelled(twice)}; expected a name for each. Rename one."
    )


def _as_objects(by: Any) -> Any:
    try:
        return np.array(list(by), dtype=object)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"by is a {type(by).__name__} that can't be read as columns; expected values of shape "
            "(n,) or (n, columns), a mapping or a data frame."
        ) from error


def _some(columns: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    if not columns:
        raise InputError("by has no column; expected at least one.")
    return columns


def _coded(values: Any, n: int, name: str, n_bands: int) -> tuple[IntArray, list[str | None]]:
    """Codes, and the name of each without its column's; None for missing values."""
    refuse_masked(values, name)
    a = (
        _as_objects(values)
        if isinstance(values, (list, tuple))
        else np.asarray(on_host(values, name))
    )
    if a.shape != (n,):
        raise InputError(f"{name} has shape {a.shape}; expected one value per row, ({n},).")
    missing = np.zeros(n, dtype=bool)
    if a.dtype.kind == "O":
        missing = np.fromiter(map(is_missing, a), dtype=bool, count=n)
    elif a.dtype.kind in "fmM":
        missing = a != a
    known = a[~missing] if missing.any() else a
    if known.dtype.kind == "O":
        if all(isinstance(v, (Real, np.bool_)) for v in known):
            known = np.asarray(known.tolist())
        else:
            validate_group_labels(known, len(known), name)
    names: list[str | None] = []
    codes = np.zeros(n, dtype=np.intp)
    if len(known):
        codes[~missing], names = _cut(known, n_bands)
    if missing.any():
        codes[missing] = len(names)
        names = [*names, None]
    return codes, names


def _cut(a: Any, n_bands: int) -> tuple[IntArray, list[str | None]]:
    distinct, codes = np.unique(a, return_inverse=True)
    if a.dtype.kind not in "iufM" or len(distinct) <= _MANY:
        if len(distinct) > _MOST_GROUPS:
            return codes, [""] * len(distinct)  # refused with its number of groups
        return codes, [f"={_text(v)}" for v in distinct]
    share = np.cumsum(np.bincount(codes)) / len(a)
    borders = np.unique([_border(distinct, share, k / n_bands, n_bands) for k in range(1, n_bands)])
    texts = [_text(b) for b in borders]
    middle = [f" from {a} to below {b}" for a, b in pairwise(texts)]
    bands = [f" below {texts[0]}", *middle, f" from {texts[-1]}"]
    first = np.searchsorted(distinct, borders)
    return np.cumsum(np.bincount(first, minlength=len(distinct)))[codes], list(bands)


def _border(distinct: Any, share: FloatArray, at: float, n_bands: int) -> Any:
    """A short number near a quantile: at most a twentieth of a band lies between the two."""
    near = np.searchsorted(share, at + np.array([-0.05, 0.0, 0.05]) / n_bands * (1 - 1e-9))
    low, middle, high = np.clip(near, 0, len(distinct) - 1)
    middle, low = max(middle, 1), min(low, max(middle, 1) - 1)  # some rows lie below
    value = distinct[middle]
    if isinstance(value, np.datetime64):
        day = value.astype("M8[D]")
        return day if distinct[low] < day else value
    for digits in range(1, 18):
        shown = float(f"{float(value):.{digits}g}")
        if float(distinct[low]) < shown <= float(distinct[max(high, middle)]):
            return shown
    return value


def _text(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        size = abs(float(value))
        wide = 0.0 < size < 1e-5 or size >= 1e15
        return str(float(value)) if wide else np.format_float_positional(value, trim="-")
    return quoted(str(value))


def family_of(columns: list[Column], *, search: bool) -> Groups:
    """All groups, made of atoms: the combinations of values that occur."""
    atom = np.zeros(len(columns[0].codes), dtype=np.intp)
    for column in columns:
        atom = np.unique(atom * len(column.names) + column.codes, return_inverse=True)[1]
    n_atoms = int(atom.max()) + 1
    at = np.empty(n_atoms, dtype=np.intp)
    at[atom] = np.arange(len(atom))  # a row of each
    codes = [column.codes[at] for column in columns]
    deepest = min(_DEEPEST, len(columns)) if search else 1
    places: list[IntArray] = []
    names: list[str] = []
    part: list[IntArray] = []
    sizes_of = range(1, deepest + 1)
    n_sets = sum(comb(len(columns), size) for size in sizes_of)
    _refuse_many(n_sets * n_atoms, _MOST_PLACES, "places of rows in groups")
    chosen_sets = [c for size in sizes_of for c in combinations(range(len(columns)), size)]
    for chosen in chosen_sets:
        sizes = [len(columns[j].names) for j in chosen]
        key = np.ravel_multi_index([codes[j] for j in chosen], sizes)
        cells, cell = np.unique(key, return_inverse=True)
        _refuse_many(len(names) + len(cells), _MOST_GROUPS, "groups")
        values = np.unravel_index(cells, sizes)
        parts = [[columns[j].names[v] for v in vs] for j, vs in zip(chosen, values, strict=True)]
        places.append(cell + len(names))
        part.append(np.full(len(cells), len(part)))
        names += map(", ".join, zip(*parts, strict=True))
    shape, rows = (len(names), n_atoms), np.concatenate(places)
    ones: FloatArray = np.ones(len(rows))
    member = csr_matrix((ones, (rows, np.tile(np.arange(n_atoms), len(places)))), shape=shape)
    return Groups(Family(member, atom), names, np.concatenate(part))


def _refuse_many(found: int, most: int, what: str) -> None:
    if found > most:
        raise InputError(
            f"by makes at least {found:,} {what}; expected at most {most:,}. Drop columns that "
            "name single rows, such as ids, or use fewer columns, fewer n_bands or search=False."
        )
