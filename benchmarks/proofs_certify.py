"""``certify``: how often its bounds fail for independent rows, and what they are worth.

``failures`` are of data sets with outputs drawn at random: any of all six bounds (lower and upper,
of l1, l2 and the largest gap) broken. ``region`` is about the new part alone, where nothing else
makes up for it: l1 or l2 of these rows above its bound from one region at the whole level.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from calibkit._core.certification import _known, _mean
from calibkit._numerics.exact import clopper_pearson
from calibkit._numerics.joint import near_outputs, strength
from calibkit._numerics.region import most_mean, pairs_of

LEVELS = (0.9, 0.5)
#: Sets of labels for each draw of the outputs.
LABELS = 50
SMALL = 1e-9


class Law(NamedTuple):
    """Outputs, their shares of rows, and the number of rows."""

    value: np.ndarray
    share: np.ndarray
    n: int


def law(value: Any, n: int, share: Any = None) -> Law:
    value = np.array(value, dtype=float)
    share = np.ones(len(value)) if share is None else np.array(share, dtype=float)
    return Law(value, share / share.sum(), n)


UNIFORM = (np.arange(5) + 0.5) / 5
LAWS = {
    "2 halves, 200 rows": law([0.5, 0.5], 200),
    "5 outputs, 500 rows": law(UNIFORM, 500),
    "5 outputs, unequal counts, 500 rows": law(UNIFORM, 500, [16, 8, 4, 2, 1]),
    "5 outputs, 25 rows": law(UNIFORM, 25),
    "rare events, 5 outputs around .01, 1000 rows": law(0.01 * np.exp(np.arange(-2, 3) / 2), 1000),
    "rare events, 3 outputs around .001, 2000 rows": law([0.0005, 0.001, 0.002], 2000),
}
#: How the true rates differ from the outputs; the size is that of the median bound of l2.
SIGNS = {
    "calibrated": lambda m: np.zeros(m),
    "first output off": lambda m: np.where(np.arange(m) == 0, 1.0, 0.0),
    "last output off": lambda m: np.where(np.arange(m) == m - 1, 1.0, 0.0),
    "all too low": np.ones,
    "all too high": lambda m: -np.ones(m),
    "alternating": lambda m: (-1.0) ** np.arange(m),
}
#: The difference of each law for which all bounds are simulated.
KINDS = dict(zip(LAWS, [*SIGNS], strict=True))


def region_bounds(rows: Law, n: np.ndarray, events: np.ndarray, failure: float) -> np.ndarray:
    """Bounds of l1 and l2 of these rows from the region near the outputs alone."""
    pairs = pairs_of(rows.value, n, events)
    ends = clopper_pearson(pairs.events / pairs.n, pairs.n, 1.0 - 1e-6)
    region = near_outputs(pairs, *ends, strength(rows.value, n, failure), failure)
    return np.stack([most_mean(region, pairs, k) ** (1.0 / k) for k in (1, 2)])


def rates(rows: Law, n: np.ndarray, sign: np.ndarray, failure: float) -> np.ndarray:
    """Rates whose l2 error is the median bound of a calibrated model, as far as rates go."""
    events = np.random.default_rng(0).binomial(n.astype(int), rows.value, size=(101, len(n)))
    size = np.median(region_bounds(rows, n, events, failure)[1])
    norm = np.sqrt(n / n.sum() @ sign**2)
    return np.clip(rows.value + size * sign / max(norm, 1e-9), 0.0, 1.0)


def errors(gap: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    return float(weight @ gap), float(np.sqrt(weight @ gap**2)), float(gap.max())


def broken_region(
    rows: Law, sign: np.ndarray, level: float, repeats: int, rng: np.random.Generator
) -> float:
    n = np.maximum(np.rint(rows.share * rows.n), 1.0)
    truth = rates(rows, n, sign, 1.0 - level)
    events = rng.binomial(n.astype(int), truth, size=(repeats, len(n)))
    exact = np.array(errors(np.abs(truth - rows.value), n / n.sum())[:2])
    bounds = region_bounds(rows, n, events, 1.0 - level)
    return float((bounds < exact[:, None] - SMALL).any(axis=0).mean())


def broken(
    rows: Law, sign: np.ndarray, level: float, repeats: int, rng: np.random.Generator
) -> float:
    truth = rates(rows, np.maximum(rows.share * rows.n, 1.0).round(), sign, 1.0 - level)
    failed = []
    for n in rng.multinomial(rows.n, rows.share, size=max(repeats // LABELS, 1)):
        seen = n > 0
        events = rng.binomial(n[seen], truth[seen], size=(LABELS, seen.sum())).astype(float)
        known = _known(rows.value[seen], n[seen].astype(float), events, level)
        share = rows.share[seen] / rows.share[seen].sum()
        exact = errors(np.abs(truth - rows.value)[seen], share)
        wrong = known.least[known.pairs.at].max(axis=1) > exact[2] + SMALL
        wrong |= known.most[known.pairs.at].max(axis=1) < exact[2] - SMALL
        for power, error in ((1, exact[0]), (2, exact[1])):
            wrong |= _mean(known, power, -1.0) > error + SMALL
            wrong |= _mean(known, power, 1.0) < error - SMALL
        failed.append(wrong.mean())
    return float(np.mean(failed))


def run(repeats: int, seed: int) -> dict[str, Any]:
    """Shares of failures by law, for each level."""
    rng = np.random.default_rng(seed)
    region, failures = {}, {}
    for name, rows in LAWS.items():
        for kind, signs in SIGNS.items():
            sign = signs(len(rows.value))
            key = f"{name}: {kind}"
            region[key] = [
                round(broken_region(rows, sign, level, repeats, rng), 4) for level in LEVELS
            ]
            if KINDS[name] == kind:  # each takes a minute
                failures[key] = [
                    round(broken(rows, sign, level, repeats, rng), 4) for level in LEVELS
                ]
    return {"repeats": repeats, "region": region, "failures": failures}


def show(found: dict[str, Any]) -> None:
    """Print the shares of failures."""
    repeats = found["repeats"]
    for part, what in (
        ("region", "one region, l1 and l2 of these rows"),
        ("failures", "all bounds at once, for new rows"),
    ):
        print(f"certify, {repeats:,} simulations of each, {what}: failures by level")
        for name, shares in found[part].items():
            cells = []
            for level, share in zip(LEVELS, shares, strict=True):
                limit = 1 - level + 3 * np.sqrt(level * (1 - level) / repeats)
                cells.append(f"{level:g}: {share:.4f}{' HIGH' * bool(share > limit)}")
            print(f"{name:64}", "   ".join(cells))
