"""``rows_to_certify``: rows against the sharp test, and bounds against those without the region."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, ncx2

from calibkit import rows_to_certify
from calibkit._core import certification
from calibkit._numerics.exact import clopper_pearson
from calibkit._numerics.joint import near_outputs, strength
from calibkit._numerics.region import around_shares, most_mean, pairs_of, radius, reach

CASES = ((0.05, 10), (0.05, 50), (0.02, 10))


def sharp(error: float, n_bins: int, failure: float) -> float:
    """Rows of the chi-squared test of "l2 is ``error``", with power .9 for outputs near 1/2."""
    limit = chi2.ppf(0.9, n_bins)
    return float(
        brentq(lambda n: ncx2.ppf(failure, n_bins, 4 * n * error**2) - limit, 10, 1e9, xtol=0.1)
    )


def alone(error: float, n_bins: int, seed: int) -> int:
    """Rows for one upper bound of l2, of these rows' outputs, at level .9 with power .9."""
    value = np.full(n_bins, 0.5)

    def reached(each: int) -> bool:
        n = np.full(n_bins, float(each))
        rng = np.random.default_rng(seed)
        pairs = pairs_of(value, n, rng.binomial(each, 0.5, size=(4000, n_bins)))
        ends = clopper_pearson(pairs.events / pairs.n, pairs.n, 1 - 0.005 / n_bins)
        region = near_outputs(pairs, *ends, strength(value, n, 0.095), 0.095)
        return float(np.mean(most_mean(region, pairs, 2) <= error**2)) >= 0.9

    low, high = 1, int(10 / error**2)
    while high > low + 1 + low // 200:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high * n_bins


def without(value: Any, n: Any, events: Any, power: int) -> np.ndarray:
    """Widths of the bounds at level .9 of calibkit without the region near the outputs."""
    failure, pairs = 0.1, pairs_of(value, n, events)
    low, high = clopper_pearson(pairs.events / pairs.n, pairs.n, 1 - 0.45 * failure / len(n))
    least = np.maximum(np.maximum(low - pairs.value, pairs.value - high), 0.0)[pairs.at]
    most = np.maximum(np.abs(pairs.value - low), np.abs(high - pairs.value))[pairs.at]
    if power == 0:
        return most.max(axis=1) - least.max(axis=1)
    region, scale = around_shares(pairs, radius(n, 0.45 * failure)), most.max(axis=1) ** power
    weight, ends = n / n.sum(), []
    for sign, gaps, end in ((-1.0, least, 0.0), (1.0, most, 1.0)):
        mean = sign * np.minimum(
            most_mean(region, pairs, power, sign), sign * (gaps**power @ weight)
        )
        slack = np.full(len(events), -np.log(0.1 * failure / 5) / n.sum() * (len(n) > 1))
        share = reach(np.clip(mean / scale, 0.0, 1.0), slack, end)
        ends.append((scale * share) ** (1 / power))
    return ends[1] - ends[0]


def laws() -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """Outputs, rows of each, and how far every second rate is off (others as far below)."""
    found: dict[str, tuple[np.ndarray, np.ndarray, float]] = {}
    for m in (2, 10, 50, 200):
        value, even = (np.arange(m) + 0.5) / m, np.full(m, 100.0)
        unequal = np.maximum(np.rint(100 * m * 0.9 ** np.arange(m) * 0.1), 3.0)
        found |= {
            f"{m} outputs, 100 rows each, calibrated": (value, even, 0.0),
            f"{m} outputs, 100 rows each, off by .02": (value, even, 0.02),
            f"{m} outputs, 1000 rows each, off by .01": (value, 10 * even, 0.01),
            f"{m} outputs, 5 rows each, calibrated": (value, even / 20, 0.0),
            f"{m} outputs, unequal counts, calibrated": (value, unequal, 0.0),
            f"{m} outputs, unequal counts, off by .02": (value, unequal, 0.02),
            f"{m} outputs around .01, 1000 rows each": (
                0.01 * np.exp(np.linspace(-1, 1, m)), 10 * even, 0.0),
            f"{m} outputs around .001, 1000 rows each": (
                0.001 * np.exp(np.linspace(-1, 1, m)), 10 * even, 0.0),
        }  # fmt: skip
    return found | {
        "10 outputs, 1000 rows each, off by .1": ((np.arange(10) + 0.5) / 10, np.full(10, 1e3), 0.1)
    }


def width_ratios(seed: int) -> dict[str, list[float]]:
    """Median widths of l1, l2 and max, divided by those without the region."""
    rng, found = np.random.default_rng(seed), {}
    for name, (value, n, off) in laws().items():
        truth = np.clip(value + off * (-1.0) ** np.arange(len(n)), 0.0, 1.0)
        events = rng.binomial(n.astype(int), truth, size=(41, len(n)))
        known = certification._known(value, n, events, 0.9)
        row = []
        for power in (1, 2):
            low, high = (certification._mean(known, power, sign) for sign in (-1.0, 1.0))
            row.append(np.median(high - low) / np.median(without(value, n, events, power)))
        largest = [x[known.pairs.at].max(axis=1) for x in (known.most, known.least)]
        row.append(np.median(largest[0] - largest[1]) / np.median(without(value, n, events, 0)))
        found[name] = np.round(row, 3).tolist()
    return found


def run(repeats: int, seed: int) -> dict[str, Any]:
    """Rows by case, and ratios of widths by law."""
    rows = {}
    for error, n_bins in CASES:
        tests = [round(sharp(error, n_bins, failure)) for failure in (0.1, 0.05)]
        certified = rows_to_certify(error, n_bins, random_state=seed)
        rows[f"{error:g}, {n_bins} outputs"] = [*tests, alone(error, n_bins, seed), certified]
    seeds = [rows_to_certify(0.05, 10, random_state=k) for k in range(10)]
    return {"rows": rows, "seeds": seeds, "widths": width_ratios(seed)}


def show(found: dict[str, Any]) -> None:
    """Print the rows and the ratios."""
    print("rows for an l2 error, level .9, power .9, outputs near 1/2")
    print("error, outputs: chi-squared test, two-sided; l2 alone, these rows; all bounds, new rows")
    for name, (one, two, alone_rows, certified) in found["rows"].items():
        print(
            f"{name:18} {one:7,} {two:7,} {alone_rows:7,} ({alone_rows / two:.2f} times) "
            f"{certified:7,} ({certified / two:.2f} times)"
        )
    print("rows_to_certify(.05, 10) with ten seeds:", *found["seeds"])
    print("median widths of l1, l2 and max, divided by those without the region near the outputs")
    for name, ratios in found["widths"].items():
        print(f"{name:44}", *(f"{r:.3f}{' WIDER' * (r > 1.0)}" for r in ratios))
