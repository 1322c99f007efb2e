"""Tables of the arena: win rates with clustered errors, by stratum, and a check of the goals."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

Row = dict[str, Any]
#: Win rate of the default, by number of classes, and its largest mean excess for two, in nats.
GOALS, MOST_EXCESS = {"two": 0.82, "several": 0.86}, 5e-3
#: Mean loss beyond that of no calibration, in nats, and data sets of a stratum that is judged.
MOST_HARM, LEAST_DATA = 2e-3, 10
_BANDS = ((3, 5), (6, 10), (11, 99), (100, 10**9))


def win_rates(rows: list[Row], field: set[str], score: str = "log_loss") -> list[Row]:
    """The rows with the share of the field that each beats, and the excess over the best."""
    by_key = defaultdict(list)
    for row in rows:
        by_key[row["key"]].append(row)
    out = []
    for together in by_key.values():
        best = min(row[score] for row in together)
        for row in together:
            others = [o[score] for o in together if o["method"] in field and o is not row]
            wins = [1.0 if row[score] < o else 0.5 if row[score] == o else 0.0 for o in others]
            out.append({**row, "win": float(np.mean(wins)), "excess": row[score] - best})
    return out


def clustered_error(values: np.ndarray, clusters: list[str]) -> float:
    """Standard error of a mean whose terms depend on each other within clusters."""
    codes = np.unique(clusters, return_inverse=True)[1]
    sums = np.bincount(codes, values - values.mean())
    g = len(sums)
    return float(np.sqrt((sums @ sums) * g / max(g - 1, 1)) / len(values))


def complete(rows: list[Row], methods: set[str]) -> list[Row]:
    """The rows of experiments in which all methods met, without those of other methods."""
    met = defaultdict(set)
    for row in rows:
        met[row["key"]].add(row["method"])
    return [r for r in rows if methods <= met[r["key"]] and r["method"] in methods]


def strata(rows: list[Row]) -> dict[str, list[Row]]:
    """All rows, and those of each size, source and number of classes, and of grouped data."""
    out = {"all": rows}
    for n in sorted({r["n"] for r in rows}):
        out[f"n = {n}"] = [r for r in rows if r["n"] == n]
    for source in sorted({r["source"] for r in rows}):
        out[f"source {source}"] = [r for r in rows if r["source"] == source]
    for low, high in _BANDS:
        title = f"K = {low}" if high > 1000 else f"K from {low} to {high}"
        out[title] = [r for r in rows if low <= r["n_classes"] <= high]
    out["grouped data"] = [r for r in rows if r["grouped"]]
    return {title: part for title, part in out.items() if part}


def _line(name: str, own: list[Row], brier: dict[tuple[str, str], float]) -> Row:
    """What a method reaches in its experiments; errors are clustered by data set."""
    data = [r["data"] for r in own]
    win, excess = (np.array([r[k] for r in own]) for k in ("win", "excess"))
    out: Row = {"method": name, "win": win.mean(), "error": clustered_error(win, data)}
    out |= {"brier_win": np.mean([brier[name, r["key"]] for r in own])}
    out |= {"excess": 1e3 * excess.mean(), "median": 1e3 * np.median(excess)}
    out |= {"excess_error": 1e3 * clustered_error(excess, data)}
    out |= {"ece": np.mean([r["ece"] for r in own])}
    out |= {k: np.median([r[k] for r in own]) for k in ("fit_ms", "ms")}
    out |= {"failed": sum("failed" in r for r in own)}
    return {k: round(float(v), 5) if isinstance(v, float) else v for k, v in out.items()}


def summary(rows: list[Row], field: set[str]) -> list[Row]:
    """Tables of all strata, the best method first."""
    out = []
    for title, part in strata(rows).items():
        by_method = defaultdict(list)
        for row in win_rates(part, field):
            by_method[row["method"]].append(row)
        brier = {(r["method"], r["key"]): r["win"] for r in win_rates(part, field, "brier")}
        lines = [_line(name, own, brier) for name, own in by_method.items()]
        out.append(
            {
                "title": title,
                "experiments": len({r["key"] for r in part}),
                "data_sets": len({r["data"] for r in part}),
                "methods": sorted(lines, key=lambda line: -line["win"]),
            }
        )
    return out


def text(table: Row, name: str) -> str:
    """A table as text."""
    count = f"{table['experiments']} experiments on {table['data_sets']} data sets"
    head = f"{'':36} win rate        Brier  excess, 1e-3 nats     ECE     fit ms     ms"
    lines = [f"{name}, {table['title']}: {count}", head]
    for m in table["methods"]:
        failed = f"  failed {m['failed']} times" if m["failed"] else ""
        lines.append(
            f"{m['method']:36} {m['win']:.3f} +- {m['error']:.3f}  {m['brier_win']:.3f}  "
            f"{m['excess']:8.2f} +- {m['excess_error']:5.2f} {m['median']:7.2f}  {m['ece']:.4f} "
            f"{m['fit_ms']:8.1f} {m['ms']:6.1f}{failed}"
        )
    return "\n".join(lines)


def markdown(tables: list[Row], name: str) -> str:
    """The table of all experiments, and the win rates by stratum of a method and the best peer."""
    lines = ["| method | win rate | by Brier | mean / median excess | ECE | fit / predict, ms |"]
    lines.append("|---|---|---|---|---|---|")
    for m in tables[0]["methods"]:
        label = f"**{m['method']}**" if m["method"] == name else m["method"]
        lines.append(
            f"| {label} | {m['win']:.3f} ± {m['error']:.3f} | {m['brier_win']:.3f} | "
            f"{m['excess']:.1f} / {m['median']:.1f} | {m['ece']:.3f} | "
            f"{m['fit_ms']:.1f} / {m['ms']:.1f} |"
        )
    lines += ["", f"| stratum | experiments, data sets | {name} | best peer |", "|---|---|---|---|"]
    for table in tables:
        by = {m["method"]: m for m in table["methods"]}
        rivals = [m for m in by.values() if not m["method"].startswith("calibkit")]
        own, best = by.get(name, rivals[0]), max(rivals, key=lambda m: m["win"])
        lines.append(
            f"| {table['title']} | {table['experiments']}, {table['data_sets']} | "
            f"{own['win']:.3f} ± {own['error']:.3f} | {best['win']:.3f} {best['method']} |"
        )
    return "\n".join(lines)


def harms(rows: list[Row], name: str) -> tuple[dict[str, float], dict[str, float]]:
    """Mean log loss above that of no calibration, by stratum and by data set."""
    none = {r["key"]: r["log_loss"] for r in rows if r["method"] == "none"}
    own = [r for r in rows if r["method"] == name]
    by_data = {d: [r for r in own if r["data"] == d] for d in sorted({r["data"] for r in own})}
    by_stratum, by_data_set = (
        {t: float(np.mean([r["log_loss"] - none[r["key"]] for r in p])) for t, p in parts.items()}
        for parts in (strata(own), by_data)
    )
    return by_stratum, by_data_set


def checked(tables: list[Row], rows: list[Row], field: set[str], name: str) -> list[str]:
    """Whether the default reaches the goals, one line for each."""
    kind = "several" if any(r["n_classes"] > 2 for r in rows) else "two"
    lines = []

    def add(passed: bool, what: str) -> None:
        lines.append(f"{'reached' if passed else 'MISSED':9}{what}")

    for table in tables:
        by = {m["method"]: m for m in table["methods"]}
        own, best = by[name], max((by[m] for m in field & set(by)), key=lambda m: m["win"])
        first = (
            f"{own['win']:.3f} +- {own['error']:.3f}, best peer {best['win']:.3f} {best['method']}"
        )
        if table["title"] == "all":
            add(own["win"] >= GOALS[kind], f"win rate at least {GOALS[kind]}: {own['win']:.3f}")
            add(own["win"] > best["win"], f"first overall: {first}")
            if kind == "two":
                what = f"mean excess at most {1e3 * MOST_EXCESS:g}e-3: {own['excess']:.2f}e-3"
                add(own["excess"] <= 1e3 * MOST_EXCESS, what)
        elif table["data_sets"] >= LEAST_DATA:
            near = own["win"] >= best["win"] - own["error"]
            add(near, f"within a standard error of first, {table['title']}: {first}")
    by_stratum, by_data = harms(rows, name)
    worst = max(by_stratum, key=lambda title: by_stratum[title])
    what = f"at most {1e3 * MOST_HARM:g}e-3 nats worse than none in each stratum; most: {worst}, "
    add(by_stratum[worst] <= MOST_HARM, f"{what}{1e3 * by_stratum[worst]:.2f}e-3")
    harmed = [f"{d} {1e3 * v:.2f}e-3" for d, v in by_data.items() if v > MOST_HARM]
    what = f"on {len(by_data) - len(harmed)} of {len(by_data)} data sets alone"
    return [*lines, f"{'':9}{what}; not on: {', '.join(harmed) or 'none'}"]
