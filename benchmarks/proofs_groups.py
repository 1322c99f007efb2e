"""``certify`` with groups: how often its bounds fail, and what groups cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from calibkit import certify
from calibkit._numerics import group_bounds as numerics
from calibkit._numerics.group_bounds import group_bounds, group_counts

LEVELS = (0.9, 0.5)
NORMS = ("l1", "l2", "max")
#: Searches stop early on the safe side, by at most 1/4096.
_HALVINGS = 12
#: Data sets for the cost of groups.
_SETS = 10


class Rows(NamedTuple):
    """Labels, probabilities and groups of rows."""

    y: np.ndarray
    p: np.ndarray
    groups: np.ndarray


class Law(NamedTuple):
    """How rows of groups are drawn, and the outputs with their true rates and shares of rows."""

    draw: Callable[[np.random.Generator], Rows]
    value: np.ndarray
    rate: np.ndarray
    share: np.ndarray
    size: int


def alike(
    n: int, size: int, value: np.ndarray, rate: np.ndarray, *, grow: bool = False, mix: float = 0.0
) -> Law:
    """Groups with one label for all rows, and one output, or with a share of other outputs.

    With ``grow``, groups of events have ``size`` rows and others one; else 1 to ``size``.
    """

    def draw(rng: np.random.Generator) -> Rows:
        at, u = rng.integers(len(value), size=n), rng.random(n)
        rows = rng.integers(1, size + 1, n)
        if grow:
            rows = np.where(u < rate[at], size, 1)
        groups = np.repeat(np.arange(n), rows)
        cells = at[groups]
        other = rng.random(len(groups)) < mix
        cells[other] = rng.integers(len(value), size=int(other.sum()))
        return Rows((u[groups] < rate[cells]).astype(int), value[cells], groups)

    weight = rate * size + (1 - rate) if grow else np.ones(len(value))
    return Law(draw, value, rate * size / weight if grow else rate, weight / weight.sum(), size)


def rare(n: int, size: int, share: float, value: np.ndarray) -> Law:
    """A few groups are full of events, all others have one row and none."""

    def draw(rng: np.random.Generator) -> Rows:
        full = rng.random(n) < share
        groups = np.repeat(np.arange(n), np.where(full, size, 1))
        cells = rng.integers(len(value), size=n)[groups]
        return Rows(full[groups].astype(int), value[cells], groups)

    rate = share * size / (share * size + 1 - share)
    return Law(draw, value, np.full(len(value), rate), np.full(len(value), 1 / len(value)), size)


THREE, ONE = np.array([0.2, 0.5, 0.8]), np.array([0.3])
LAWS = {
    "one output, calibrated": alike(60, 5, ONE, ONE),
    "few groups full of events": rare(100, 10, 0.02, np.array([0.01])),
    "calibrated": alike(150, 6, THREE, THREE),
    "events are large groups": alike(100, 6, THREE, THREE, grow=True),
    "one output off by .3": alike(150, 6, THREE, THREE + np.array([0.0, 0.3, 0.0])),
    "twelve outputs": alike(800, 2, *[np.linspace(0.05, 0.95, 12)] * 2),
}
COSTS = ((400, 8, 10), (2000, 8, 10), (5000, 2, 10), (2000, 8, 50))


def failures(law: Law, rows: Rows, level: float) -> list[bool]:
    """Whether each error lies outside the bounds of ``certify``, and whether any does."""
    value, cells = np.unique(rows.p, return_inverse=True)
    if len(value) < len(law.value):  # an output did not occur: nothing is said of it
        return [False] * 4
    counts = group_counts(value, cells, rows.y, rows.groups)
    found = group_bounds(counts, law.size, 1.0 - level, None, 0)
    gap = np.abs(law.value - law.rate)
    true = law.share @ gap, np.sqrt(law.share @ gap**2), gap.max()
    ends = [getattr(found, norm) for norm in NORMS]
    missed = [not lo - 1e-9 <= t <= hi + 1e-9 for t, (lo, hi) in zip(true, ends, strict=True)]
    return [*missed, any(missed)]


def upper_bounds(
    n: int, size: int, n_outputs: int, rng: np.random.Generator
) -> dict[str, list[float]]:
    """Upper bounds for one calibrated data set, with groups and without."""
    value, groups = np.linspace(0.05, 0.95, n_outputs), np.repeat(np.arange(n), size)
    bounds = {}
    for kind in ("independent", "alike"):
        at = rng.integers(n_outputs, size=n * size)
        u = rng.random(n)[groups] if kind == "alike" else rng.random(n * size)
        y, p = (u < value[at]).astype(int), value[at]
        bounds[f"groups, rows {kind}"] = certify(y, p, groups=groups)
        if kind == "independent":
            bounds["all rows, without groups"] = certify(y, p, finite=True)
            bounds["one row of each group"] = certify(y[::size], p[::size], finite=True)
    return {kind: [getattr(v, norm)[1] for norm in NORMS] for kind, v in bounds.items()}


def run(repeats: int, seed: int) -> dict[str, Any]:
    """Shares of failures by law and level, and the cost of groups."""
    shares = {}
    for i, (name, law) in enumerate(LAWS.items()):
        rng, sets = np.random.default_rng(seed + i), []
        with mock.patch.object(numerics, "_HALVINGS", _HALVINGS):
            for _ in range(repeats):
                rows = law.draw(rng)
                sets.append([failures(law, rows, level) for level in LEVELS])
        shares[name] = np.mean(sets, axis=0).round(4).tolist()
        print(name, shares[name], flush=True)
    costs, rng = {}, np.random.default_rng(seed)
    for n, size, n_outputs in COSTS:
        sets = [upper_bounds(n, size, n_outputs, rng) for _ in range(_SETS)]
        costs[f"{n:,} groups of {size}, {n_outputs} outputs"] = {
            kind: np.mean([bounds[kind] for bounds in sets], axis=0).round(4).tolist()
            for kind in sets[0]
        }
    return {"repeats": repeats, "failures": shares, "costs": costs}


def show(found: dict[str, Any]) -> None:
    """Print the shares of failures and the costs."""
    print(f"certify with groups, {found['repeats']:,} simulations of each: failures of the bounds")
    print(f"{'level: of l1, l2, max, any of them':36}")
    for name, shares in found["failures"].items():
        cells = []
        for level, each in zip(LEVELS, shares, strict=True):
            limit = 1 - level + 3 * np.sqrt(level * (1 - level) / found["repeats"])
            high = " HIGH" * bool(each[-1] > limit)
            cells += [f"{level:g}: {' '.join(f'{share:.3f}' for share in each)}{high}"]
        print(f"{name:36}", "   ".join(cells))
    print("upper bounds of l1, l2, max of a calibrated model at level .9")
    for name, bounds in found["costs"].items():
        for kind, values in bounds.items():
            print(f"{name:30} {kind:26}", " ".join(f"{v:.3f}" for v in values))
