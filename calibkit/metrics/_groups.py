"""Calibration by group: where a model is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import stdtrit

from .._core.errors import InputError
from .._core.labels import validate_group_labels
from .._core.params import check_choice, check_flag, check_int, check_real, generator, percent
from .._core.printed import spelled
from .._core.rows import Binary, infer_kind, reduce_rows
from .._numerics.binning import assign
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
    """Sums over the rows of each group: of weight, label, loss and score, and of their products."""

    n: FloatArray
    total: FloatArray  # (groups, 4): w, w y, w loss, w p
    moments: FloatArray  # (groups, 4, 4): products, summed over rows or clusters
    units: FloatArray  # rows or clusters of equal size that say as much
    null: FloatArray  # variance of the sum of labels less scores of a calibrated model
    expected: FloatArray  # events by the scores, counted without weights

    def mean(self, j: int) -> FloatArray:
        return np.asarray(self.total[:, j] / self.total[:, 0])

    def deviation(self, parts: FloatArray) -> FloatArray:
        """Standard error of the mean of a combination of the four, of shape (groups, 4)."""
        square = np.einsum("gi,gij,gj->g", parts, self.moments, parts)
        square *= self.units / np.maximum(self.units - 1.0, 1e-9)
        return np.asarray(np.sqrt(np.maximum(square, 0.0)) / self.total[:, 0])


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

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    Examples
    --------
    >>> from calibkit import group_table
    >>> from calibkit.testing import binary_data
    >>> p, y = binary_data(n=400)
    >>> table = group_table(y, p, by={"half": [0, 1] * 200})
    >>> [row["group"] for row in table.rows]
    ['half=0', 'half=1']
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
    sums = _sums(family, b, clusters)
    judged = np.minimum(sums.expected, sums.n - sums.expected) >= _LEAST
    gap = sums.total[:, 1] - sums.total[:, 3]
    scale = np.sqrt(sums.null)
    z = np.divide(gap, scale, out=np.zeros(len(gap)), where=judged & (scale > 0))
    p_value = np.where(judged, two_sided(z), np.nan)
    adjusted = np.full(len(z), np.nan)
    if judged.any() and adjust == "max":
        only = family._replace(member=family.member[np.flatnonzero(judged)])
        residual = (b.y - b.p) * (1.0 if b.w is None else b.w)
        noise = only, b.p, b.w, clusters, residual, n_draws, generator(random_state)
        adjusted[judged] = largest(z[judged], noise_draws(*noise) / scale[judged])
    elif judged.any():
        how = holm if adjust == "holm" else benjamini_hochberg
        adjusted[judged] = how(p_value[judged])
    return _table(named, sums, p_value, adjusted, level, adjust)


def _sums(family: Family, b: Binary, clusters: IntArray | None) -> _Sums:
    y, w = b.y.astype(np.float64), np.ones(len(b.p)) if b.w is None else b.w
    loss = y * (1.0 - b.p) ** 2 + (1.0 - y) * b.p**2
    parts = [w, w * y, w * loss, w * b.p]
    n, expected, *total = family.sums(np.ones(len(w)), b.p, *parts)
    n_groups = len(n)
    moments = np.empty((n_groups, 4, 4))
    if clusters is None:
        for i in range(4):
            for j in range(i + 1):
                (moments[:, i, j],) = family.sums(parts[i] * parts[j])
                moments[:, j, i] = moments[:, i, j]
        (null,) = family.sums(w * w * b.p * (1.0 - b.p))
    else:
        shape = family.member.shape[1], int(clusters.max()) + 1
        held = [
            family.member @ csr_matrix((v, (family.atom, clusters)), shape=shape) for v in parts
        ]
        for i in range(4):
            for j in range(i + 1):
                moments[:, i, j] = np.asarray(held[i].multiply(held[j]).sum(axis=1)).ravel()
                moments[:, j, i] = moments[:, i, j]
        null = moments[:, 1, 1] - 2.0 * moments[:, 1, 3] + moments[:, 3, 3]
    stacked = np.column_stack(total)
    units = np.asarray(effective_count(stacked[:, 0], moments[:, 0, 0]))
    return _Sums(n, stacked, moments, units, null, expected)


def _table(
    named: list[str],
    sums: _Sums,
    p_value: FloatArray,
    adjusted: FloatArray,
    level: float,
    adjust: str,
) -> ResultTable:
    rate, brier, score = sums.mean(1), sums.mean(2), sums.mean(3)
    ones, zeros = np.ones(len(rate)), np.zeros(len(rate))
    sd_rate = sums.deviation(np.column_stack((-rate, ones, zeros, zeros)))
    labels = rate * (1.0 - rate)
    # Rows for which a binomial share has the variance that was seen.
    shown = np.divide(labels, sd_rate**2, out=sums.units.copy(), where=(sd_rate > 0) & (labels > 0))
    low, high = wilson(rate, np.clip(shown, 1.0, np.maximum(sums.units, 1.0)), level)
    sd_brier = sums.deviation(np.column_stack((-brier, zeros, ones, zeros)))
    safe = np.where(labels > 0, labels, 1.0)
    ratio = brier / safe
    parts = np.column_stack((-ratio * rate**2, -ratio * (1.0 - 2.0 * rate), ones, zeros))
    sd_skill = sums.deviation(parts) / safe
    reach = stdtrit(np.maximum(sums.units - 1.0, 1.0), (1.0 + level) / 2.0)
    gap = score - rate
    sd_gap = np.sqrt(sums.null) / sums.total[:, 0]
    pulled = shrunk(gap, np.where(np.isfinite(p_value), sd_gap**2, np.nan))
    rows = []
    for g, name in enumerate(named):
        made = partial(_estimate, level, int(sums.n[g]))
        row: dict[str, Any] = {"group": name, "n": int(sums.n[g]), "predicted": float(score[g])}
        row["observed"] = made("observed", rate[g], low[g], high[g])
        row["error"] = made("error", gap[g], score[g] - high[g], score[g] - low[g])
        row["error_shrunk"] = float(pulled[g])
        row["brier"] = made("brier", brier[g], *_ends(brier[g], reach[g] * sd_brier[g]))
        if labels[g] > 0:
            skill = 1.0 - ratio[g]
            row["skill"] = made("skill", skill, *_ends(skill, reach[g] * sd_skill[g]))
        else:
            row["skill"] = made("skill", np.nan, np.nan, np.nan)
        row["p_value"] = float(adjusted[g])
        row["flag"] = _flag(adjusted[g], 1.0 - level)
        rows.append(row)
    caption = (
        f"error: mean prediction less observed share; brackets: {percent(level)} intervals; "
        f"p_value: {_ADJUSTED[adjust]}; not estimable: fewer than {_LEAST:g} expected events or "
        "non-events"
    )
    return ResultTable(tuple(rows), caption=caption, brief=("observed", "brier"))


#: What the p-values allow for.
_ADJUSTED = {
    "max": "against the largest statistic of all groups by chance",
    "holm": "adjusted by Holm's method",
    "bh": "adjusted by Benjamini and Hochberg's method (false discovery rate)",
}


def _ends(value: float, reach: float) -> tuple[float, float]:
    return value - reach, value + reach


def _flag(p: float, alpha: float) -> str:
    if np.isnan(p):
        return "not estimable"
    return "miscalibrated" if p <= alpha else ""


def _estimate(level: float, n: int, name: str, value: float, low: float, high: float) -> Estimate:
    return Estimate(float(value), float(low), float(high), level, n, name)


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
    codes = np.unique(assign(a, borders), return_inverse=True)[1]
    ends = [
        (float(a[codes == k].min()), float(a[codes == k].max())) for k in range(codes.max() + 1)
    ]
    return codes, [f"{low:g} to {high:g}" for low, high in ends]


def _family(
    columns: dict[str, tuple[IntArray, list[str]]], *, search: bool
) -> tuple[Family, list[str]]:
    """All groups, made of atoms: the combinations of values that occur."""
    codes = np.column_stack([c for c, _ in columns.values()])
    atoms, atom = np.unique(codes, axis=0, return_inverse=True)
    atom = atom.ravel()
    names = list(columns)
    member: list[tuple[IntArray, IntArray]] = []
    named: list[str] = []
    for size in range(1, (min(3, len(names)) if search else 1) + 1):
        for chosen in combinations(range(len(names)), size):
            cells, cell = np.unique(atoms[:, chosen], axis=0, return_inverse=True)
            at = np.arange(len(atoms))
            member.append((cell.ravel() + len(named), at))
            for values in cells:
                parts = [
                    f"{names[j]}={columns[names[j]][1][v]}"
                    for j, v in zip(chosen, values, strict=True)
                ]
                named.append(", ".join(parts))
    rows, at = (np.concatenate(x) for x in zip(*member, strict=True))
    shape = len(named), len(atoms)
    return Family(csr_matrix((np.ones(len(rows)), (rows, at)), shape=shape), atom), named
