"""Calibration by group: where a model is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import stdtrit

from .._core.errors import InputError
from .._core.inputs import Rows
from .._core.labels import validate_group_labels
from .._core.params import check_choice, check_flag, check_int, check_real, generator, percent
from .._core.printed import spelled
from .._core.rows import infer_kind, reduce_rows
from .._numerics.families import Family, largest, noise_draws, shrunk, two_sided
from .._numerics.paired import benjamini_hochberg, holm
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray
from ._bin_intervals import wilson
from ._estimate import Estimate, _rows_of
from ._result_table import ResultTable

#: A group is judged with at least so many expected events, and non-events.
_LEAST = 5.0
#: Columns with more distinct numbers are cut into bands.
_MANY = 12


class _Sums(NamedTuple):
    """Sums over the rows of each group."""

    n: FloatArray
    w: FloatArray
    w2: FloatArray
    wy: FloatArray
    wp: FloatArray
    null: FloatArray  # variance of the sum of labels less scores, if calibrated
    moved: FloatArray  # the same as the residuals show it
    events: FloatArray  # expected
    loss: FloatArray
    loss2: FloatArray
    both: FloatArray  # w^2 loss (y - r)^2 parts: w^2 loss y
    w2y: FloatArray


def group_table(
    y_true: Any,
    y_prob: Any,
    by: Any,
    *,
    groups: Any = None,
    sample_weight: Any = None,
    search: bool = False,
    n_bands: int = 4,
    adjust: Literal["max", "holm", "bh"] = "max",
    level: float = 0.9,
    n_draws: int = 2000,
    pos_label: Any = None,
    classes: Any = None,
    random_state: Any = 0,
) -> ResultTable:
    """Measure calibration in each group of rows, and flag the groups where it fails.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities; of K classes the top label is judged.
    by : array-like of shape (n,) or (n, columns), mapping or data frame
        What the rows are grouped by. Each column makes its own groups. Numbers with more than 12
        distinct values are cut into ``n_bands`` bands of about equal size.
    groups : array-like of shape (n,), optional
        Cluster of each row, such as the patient; rows of one cluster may depend on each other.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    search : bool, default=False
        Look through all combinations of up to three columns too. The flags account for it.
    n_bands : int, default=4
        Bands of a column of numbers.
    adjust : {"max", "holm", "bh"}, default="max"
        How p-values allow for many groups: "max" compares each statistic with the largest one of
        all groups if the model is calibrated; "holm" and "bh" adjust single p-values (family-wise
        error, false discovery rate).
    level : float, default=0.9
        Confidence level of each interval; groups are flagged at 1 - level.
    n_draws : int, default=2000
        Simulated label sets.
    pos_label, classes : optional
        As in :func:`estimate`.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the simulation.

    Returns
    -------
    table : ResultTable
        One row per group.
    """
    check_choice("adjust", adjust, ("max", "holm", "bh"))
    check_flag("search", search)
    check_int("n_bands", n_bands, low=2)
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    given = y_true, y_prob, sample_weight, "sampling", pos_label, classes
    rows, clusters = _rows_of(groups, *given)
    columns = _columns(by, len(np.asarray(y_true)), n_bands)
    if sample_weight is not None:
        kept = np.asarray(sample_weight) > 0
        columns = {k: (c[kept], names) for k, (c, names) in columns.items()}
    (b,) = reduce_rows(rows, infer_kind(None, rows.scores.n_classes))
    family, named = _family(columns, search=search)
    sums = _sums(family, b.p, b.y.astype(np.float64), b.w, clusters)
    judged = np.minimum(sums.events, sums.n - sums.events) >= _LEAST
    scale = np.sqrt(np.where(clusters is None, sums.null, sums.moved))
    z = np.divide(sums.wy - sums.wp, scale, out=np.zeros(len(scale)), where=judged & (scale > 0))
    p_value = two_sided(z)
    if adjust == "max":
        residual = (b.y - b.p) * (1.0 if b.w is None else b.w)
        only = family._replace(member=family.member[np.flatnonzero(judged)])
        noise = only, b.p, b.w, clusters, residual, n_draws, generator(random_state)
        p_adjusted = np.ones(len(z))
        if judged.any():
            p_adjusted[judged] = largest(z[judged], noise_draws(*noise) / scale[judged])
    else:
        p_adjusted = np.ones(len(z))
        p_adjusted[judged] = (holm if adjust == "holm" else benjamini_hochberg)(p_value[judged])
    return _table(named, sums, judged, p_value, p_adjusted, level, adjust, scale)


def _columns(by: Any, n: int, n_bands: int) -> dict[str, tuple[IntArray, list[str]]]:
    """Codes of the rows in each column, and what each code is called."""
    if hasattr(by, "columns"):
        given = {str(c): by[c] for c in by.columns}
    elif isinstance(by, Mapping):
        given = {str(k): v for k, v in by.items()}
    elif np.ndim(by) == 2:
        given = {f"column {j}": np.asarray(by, dtype=object)[:, j] for j in range(np.shape(by)[1])}
    else:
        given = {"group": by}
    if not given:
        raise InputError("by has no column; expected at least one.")
    return {name: _codes(values, n, name, n_bands) for name, values in given.items()}


def _codes(values: Any, n: int, name: str, n_bands: int) -> tuple[IntArray, list[str]]:
    a = validate_group_labels(values, n, f"by[{spelled(name)}]")
    distinct, codes = np.unique(a, return_inverse=True)
    if a.dtype.kind not in "iuf" or len(distinct) <= _MANY:
        return codes, [str(v) for v in distinct.tolist()]
    borders = np.unique(np.quantile(a, np.arange(1, n_bands) / n_bands))
    codes = np.searchsorted(borders, a, side="right")
    codes = np.unique(codes, return_inverse=True)[1]
    ends = [(float(a[codes == k].min()), float(a[codes == k].max())) for k in range(codes.max() + 1)]
    return codes, [f"{low:g} to {high:g}" for low, high in ends]


def _family(
    columns: dict[str, tuple[IntArray, list[str]]], *, search: bool
) -> tuple[Family, list[str]]:
    """All groups, made of atoms: the combinations of values that occur."""
    codes = np.column_stack([c for c, _ in columns.values()])
    atoms, atom = np.unique(codes, axis=0, return_inverse=True)
    atom = atom.ravel()
    names = list(columns)
    member, named = [], []
    for size in range(1, (min(3, len(names)) if search else 1) + 1):
        for chosen in combinations(range(len(names)), size):
            cells, cell = np.unique(atoms[:, chosen], axis=0, return_inverse=True)
            at = np.arange(len(atoms))
            member.append((cell.ravel() + len(named), at))
            for values in cells:
                parts = [
                    f"{names[j]}={columns[names[j]][1][v]}" for j, v in zip(chosen, values, strict=True)
                ]
                named.append(", ".join(parts))
    rows, at = (np.concatenate(x) for x in zip(*member, strict=True))
    shape = len(named), len(atoms)
    return Family(csr_matrix((np.ones(len(rows)), (rows, at)), shape=shape), atom), named
