"""Measure the coverage of intervals of scores, with few events, weights and groups.

Simulates 1,000 data sets of each of 30 laws. The true value is the metric of four million rows of
the same law. A cell is one law, score and level. It is not judged if more than half of its data
sets gave a warning ("warned"). In the other cells all data sets count. "SHORT" and "LONG" mark a
coverage that is clearly too low or too high.

    python benchmarks/score_intervals.py               # all: a quarter of an hour on one core
    python benchmarks/score_intervals.py --largest     # the largest calibration error
    python benchmarks/score_intervals.py --repeats 50 --cell 3 17
    python benchmarks/score_intervals.py --show        # print the stored results
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, ndtri

import calibkit
from calibkit import ScoreTable
from calibkit._core.rows import Binary, few_groups
from calibkit.metrics._estimate import _KNOWN, NoIntervalError
from calibkit.metrics._score_interval import interval_of, of_table

RESULTS = Path(__file__).with_name("score_intervals.json")
METRICS = (
    "brier_score",
    "log_loss",
    "brier_skill_score",
    "log_loss_skill_score",
    "roc_auc",
    "area_under_risk_coverage",
)
LARGEST = "maximum_calibration_error"
#: Lowest and highest coverage for each level, allowing three standard errors.
LEVELS = {0.9: (0.88, 0.97), 0.95: (0.93, 0.99)}
POPULATION = 4_000_000
#: Forecasts for the largest gap: few values, so that the true gap of each is known.
VALUES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


class Cell(NamedTuple):
    """A law. Log-odds of the scores have standard deviation 1.5; their center sets the events."""

    n: int
    events: float  # expected
    slope: float = 1.0  # true log-odds per unit of the score's log-odds: 1 is calibrated
    ties: int = 0  # number of distinct scores
    weights: str = ""  # gamma, lognormal, or "telling": growing with the score
    groups: int = 0
    sizes: str = ""  # even, geometric, or heavy: heavy-tailed, with more events in large groups
    effect: float = 1.0  # standard deviation of the groups' effects on the log-odds

    def __str__(self) -> str:
        parts = [f"n {self.n:,}", f"{self.events:g} events"]
        parts += [f"slope {self.slope:g}"] if self.slope != 1 else []
        parts += [f"{self.ties} values"] if self.ties else []
        parts += [f"{self.weights} weights"] if self.weights else []
        parts += [f"{self.groups} {self.sizes} groups"] if self.groups else []
        return ", ".join(parts)


CELLS = (
    Cell(50, 1), Cell(50, 5), Cell(50, 10, 0.6), Cell(50, 25, ties=5),
    Cell(500, 1), Cell(500, 5), Cell(500, 25, 0.6), Cell(500, 25, 2.0),
    Cell(2_000, 12, 0.6), Cell(2_000, 500, ties=10),
    Cell(20_000, 12), Cell(20_000, 50), Cell(20_000, 200, 0.6), Cell(20_000, 10_000),
    Cell(60, 30, 0.7, weights="gamma"), Cell(300, 30, 0.7, weights="gamma"),
    Cell(2_000, 600, 0.7, weights="gamma"), Cell(500, 50, 0.7, weights="lognormal"),
    Cell(2_000, 600, 0.7, weights="lognormal"), Cell(20_000, 200, 0.7, weights="lognormal"),
    Cell(500, 100, 0.7, weights="telling"),
    Cell(200, 80, 0.7, groups=10, sizes="even"), Cell(160, 64, 0.7, groups=20, sizes="geometric"),
    Cell(4_000, 2_000, 0.7, groups=20, sizes="even", effect=6.0),
    Cell(4_000, 200, 0.7, groups=20, sizes="even"),
    Cell(480, 192, 0.7, groups=60, sizes="geometric"),
    Cell(480, 192, 0.7, groups=60, sizes="heavy"), Cell(2_000, 200, 0.7, groups=100, sizes="heavy"),
    Cell(2_400, 48, 0.7, groups=300, sizes="geometric"),
    Cell(20_000, 2_000, 0.7, groups=300, sizes="even"),
)  # fmt: skip


class Data(NamedTuple):
    y: np.ndarray
    p: np.ndarray
    w: np.ndarray | None
    groups: np.ndarray | None

    @property
    def coarse(self) -> np.ndarray:
        """Forecasts rounded to VALUES."""
        return VALUES[np.clip((5 * self.p).astype(int), 0, 4)]


def centre_of(cell: Cell) -> float:
    """Center of the log-odds that gives the expected number of events."""
    z = 1.5 * ndtri((np.arange(20_000) + 0.5) / 20_000)
    effect = cell.effect * ndtri((np.arange(200) + 0.5) / 200) if cell.groups else np.zeros(1)
    rate = cell.events / cell.n
    return float(brentq(
        lambda c: expit(c + cell.slope * z[:, None] + effect).mean() - rate, -20, 20
    ))  # fmt: skip


def sizes_of(cell: Cell, n_groups: int, rng: np.random.Generator) -> np.ndarray:
    mean = cell.n // cell.groups
    if cell.sizes == "even":
        return np.full(n_groups, mean)
    if cell.sizes == "geometric":
        return np.minimum(rng.geometric(1 / mean, n_groups), 8 * mean)
    return np.minimum((mean / 2.5 * (rng.pareto(1.5, n_groups) + 0.5) + 1).astype(int), 20 * mean)


def draw(cell: Cell, centre: float, rng: np.random.Generator, times: int = 1) -> Data:
    """Draw ``times`` the rows of the law."""
    groups, own, effect = None, np.sqrt(1.0), np.zeros(1)
    n = cell.n * times
    z = np.zeros(1)
    if cell.groups:
        sizes = sizes_of(cell, cell.groups * times, rng)
        groups = np.repeat(np.arange(len(sizes)), sizes)
        n, own = len(groups), np.sqrt(0.5)
        z = 1.5 * own * rng.standard_normal(len(sizes))[groups]
        effect = cell.effect * rng.standard_normal(len(sizes))[groups]
        if cell.sizes == "heavy":
            effect += 0.4 * np.log(sizes / sizes.mean())[groups]
    z = z + 1.5 * own * rng.standard_normal(n)
    y = (rng.random(n) < expit(centre + cell.slope * z + effect)).astype(int)
    p = expit(centre + z)
    if cell.ties:
        p = np.clip(np.round(p * cell.ties) / cell.ties, 0.5 / cell.ties, 1 - 0.5 / cell.ties)
    w = {
        "": lambda: None,
        "gamma": lambda: rng.gamma(0.7, size=n) + 1e-9,
        "lognormal": lambda: np.exp(rng.standard_normal(n)),
        "telling": lambda: np.exp(0.6 * z + 0.5 * rng.standard_normal(n)),
    }[cell.weights]()
    return Data(y, p, w, groups)


def truths(cell: Cell, centre: float) -> tuple[dict[str, float], np.ndarray]:
    """Values of the metrics in the population, and the gap of each coarse forecast."""
    many = draw(cell, centre, np.random.default_rng(1), max(1, POPULATION // cell.n))
    table = ScoreTable.from_arrays(many.y, many.p, many.w, pos_label=1)
    found = {name: getattr(calibkit, name)(table) for name in METRICS}
    coarse = ScoreTable.from_arrays(many.y, many.coarse, many.w, pos_label=1)
    gaps = np.full(len(VALUES), np.nan)
    gaps[np.searchsorted(VALUES, coarse.p)] = np.abs(coarse.p - coarse.wy / coarse.w)
    return found, gaps


class Shown(NamedTuple):
    """An interval, and whether it came with a warning or was refused."""

    low: float
    high: float
    warned: bool
    refused: bool


def intervals(data: Data) -> dict[tuple[str, float], Shown]:
    """Intervals as from ``estimate``, for each score and level, without null bands."""
    rows = Binary(data.p, data.y, data.w)
    table = ScoreTable._from_binary(rows)
    few = "" if data.groups is None else few_groups(data.groups, data.w)
    shown = {}
    for name in METRICS:
        spec = _KNOWN[name]
        value, found = spec.function(table), of_table(spec, table, rows, data.groups)
        for level in LEVELS:
            e = interval_of(spec, value, found, level)
            low, high = max(e.low, spec.bounds[0]), min(e.high, spec.bounds[1])
            warned = bool(few or e.caution)
            one = Shown(min(low, value), max(high, value), warned, bool(e.refusal))
            shown[name, level] = one
    return shown


def shown(data: Data, name: str, level: float, seed: int, **settings: Any) -> Shown:
    """The interval from ``estimate``."""
    p = settings.pop("p", data.p)
    given: dict[str, Any] = {"sample_weight": data.w, "groups": data.groups}
    rows = (data.y, p)
    if data.w is None and data.groups is None:  # a table is faster
        rows = (ScoreTable._from_binary(Binary(p, data.y, None)),)
    else:
        given["pos_label"] = 1
    settings |= {"level": level, "n_resamples": 200, "random_state": seed}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            e = calibkit.estimate(name, *rows, **given, **settings)
        except NoIntervalError:
            return Shown(np.nan, np.nan, True, True)
    return Shown(e.low, e.high, bool(e.caution), False)


def measure(cell: Cell, repeats: int, *, largest: bool = False) -> list[dict[str, Any]]:
    """A row of results for each level and score, or for the largest gap."""
    centre = centre_of(cell)
    truth, gaps = truths(cell, centre)
    seen: dict[tuple[str, float], list[tuple[float, Shown]]] = {}
    for seed in range(repeats):
        data = draw(cell, centre, np.random.default_rng([2, seed]))
        if len(np.unique(data.y)) < 2:
            continue
        if largest:
            coarse = data.coarse
            gap = float(np.nanmax(gaps[np.isin(VALUES, coarse)]))
            for level in LEVELS:
                one = shown(data, LARGEST, level, seed, p=coarse, strategy="unique")
                seen.setdefault((LARGEST, level), []).append((gap, one))
            continue
        for (name, level), one in intervals(data).items():
            if seed < 3:  # check that the intervals equal those of `estimate`
                again = shown(data, name, level, seed)
                assert one.refused == again.refused, (cell, name)
                assert one.refused or np.allclose(one, again, atol=1e-9), (cell, name)
            seen.setdefault((name, level), []).append((truth[name], one))
    return [row_of(cell, *key, values) for key, values in seen.items()]


def row_of(
    cell: Cell, name: str, level: float, values: list[tuple[float, Shown]]
) -> dict[str, Any]:
    given = [(t, one) for t, one in values if not one.refused]
    inside = [one.low <= t <= one.high for t, one in given]
    plain = [held for held, (_, one) in zip(inside, given, strict=True) if not one.warned]
    return {
        "cell": str(cell),
        "few": cell.events < 10,
        "metric": name,
        "level": level,
        "sets": len(values),
        "refused": len(values) - len(given),
        "warned": float(np.mean([one.warned for _, one in given])) if given else 1.0,
        "coverage": float(np.mean(inside)) if given else None,
        "unwarned_coverage": float(np.mean(plain)) if len(plain) >= 100 else None,
        "truth": float(np.mean([t for t, _ in values])),
        "width": float(np.median([one.high - one.low for _, one in given])) if given else None,
    }


def verdict(row: dict[str, Any]) -> str:
    """Whether the coverage of a cell is within its limits: "" if so."""
    if row["coverage"] is None:
        return "refused"
    least, most = LEVELS[row["level"]]
    error = 3 * np.sqrt(row["coverage"] * (1 - row["coverage"]) / (row["sets"] - row["refused"]))
    if row["warned"] > 0.5:
        return "warned"
    if row["coverage"] + error < least:
        return "SHORT"
    long = row["coverage"] - error > most and not row["few"] and row["truth"] > 1e-3
    return "LONG" if long else ""


def _text(row: dict[str, Any] | None) -> str:
    if row is None or row["coverage"] is None:
        return f"- {'':8}"
    return f"{row['coverage']:.3f} {verdict(row):8}"


def show(rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(row["metric"] for row in rows))
    for level in LEVELS:
        print(f"\ncoverage of {level:.0%} intervals")
        print(f"{'':44}" + "".join(f"{n[:16]:>18}" for n in names))
        for cell in dict.fromkeys(row["cell"] for row in rows):
            line = {r["metric"]: r for r in rows if r["cell"] == cell and r["level"] == level}
            text = "".join(_text(line.get(n)).rjust(18) for n in names)
            print(f"{cell:44}{text}")
    bad = [r for r in rows if verdict(r).isupper()]
    print(f"\n{len(rows)} cells, {len(bad)} outside their limits.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000, help="data sets of a law")
    parser.add_argument(
        "--cell", type=int, nargs="*", default=list(range(len(CELLS))), help="numbers of laws"
    )
    parser.add_argument(
        "--largest", action="store_true", help="measure the largest calibration error"
    )
    parser.add_argument("--show", action="store_true", help="print the stored results")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    given = parser.parse_args()
    if given.show:
        show(json.loads(RESULTS.read_text()))
        return
    start, rows = time.process_time(), []
    for i in given.cell:
        rows += measure(CELLS[i], given.repeats, largest=given.largest)
        print(f"# {i} {CELLS[i]}: {time.process_time() - start:.0f} s", flush=True)
        if given.json:
            given.json.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    show(rows)


if __name__ == "__main__":
    main()
