"""The page that says where calibkit loses, computed from the stored results."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

HEAD = """# Where calibkit loses

Computed from the stored results when this page is built: goals that were missed, peers that are
better, and intervals that cover too rarely. Each other page also says what it does not show.
"""

#: What the goals are about.
MEASURES = (
    "Win rate: the share of other packages' methods with a larger held-out log loss, averaged over "
    "the experiments. Excess: the log loss above that of the best method of an experiment, in nats."
)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def arena(data: dict[str, Any]) -> list[list[str]]:
    """Strata in which peers have a higher win rate than the automatic calibrator."""
    rows = []
    for stratum in data["tables"]:
        methods = {m["method"]: m for m in stratum["methods"]}
        auto = methods.pop("calibkit auto")
        few = stratum["data_sets"] < 2  # the standard error is that of the mean over data sets
        peers = [
            f"{name}: {win_rate(m, few)}"
            for name, m in methods.items()
            if not name.startswith("calibkit") and m["win"] > auto["win"]
        ]
        if peers:
            some = f"{stratum['experiments']}, {stratum['data_sets']}"
            rows.append([stratum["title"], some, win_rate(auto, few), "; ".join(peers)])
    return rows


def win_rate(method: dict[str, Any], few: bool) -> str:
    """A win rate, with its standard error if there are data sets to compute it from."""
    return f"{method['win']:.3f}" if few else f"{method['win']:.3f} ± {method['error']:.3f}"


def missed(data: dict[str, Any]) -> list[list[str]]:
    """Goals that the automatic calibrator misses, and what was measured."""
    goals = [c.removeprefix("MISSED").strip() for c in data["check"] if c.startswith("MISSED")]
    return [goal.rsplit(": ", 1) for goal in goals]


def choices(data: dict[str, Any]) -> list[list[str]]:
    """Signals with the largest loss of the automatic calibrator to Platt scaling."""
    worst = defaultdict(list)
    for signal, sizes in data["maps"].items():
        for n, methods in sizes.items():
            auto, platt = methods.get("auto"), methods.get("platt")
            if auto and platt:
                worst[n].append((auto[0] - platt[0], signal))
    rows = []
    for n, found in worst.items():
        lost = sorted((x for x in found if x[0] > 0), reverse=True)
        most = f"{1e4 * lost[0][0]:.1f}, {lost[0][1]}" if lost else "none"
        most = most.replace(", 3%", ", with the rarer outcome in 3% of the rows")
        rows.append([f"{int(n):,}", f"{len(lost)} of {len(found)}", most])
    return rows


def too_low(rows: list[dict[str, Any]]) -> list[list[str]]:
    """90% intervals that cover in less than .88 of the data sets, and how many were warned of."""
    return [
        [r["cell"], f"`{r['metric']}`", f"{r['coverage']:.3f}", f"{r['warned']:.0%}"]
        for r in sorted(rows, key=lambda r: r["coverage"])
        if r.get("level", 0.9) == 0.9 and r["coverage"] < 0.88
    ]


def races(rows: list[dict[str, Any]]) -> list[list[str]]:
    """What finding the better model takes when looking at any time, the dearest first."""
    rows = sorted(rows, key=lambda r: -r["ratio"])[:4]
    return [[r["case"], f"`{r['metric']}`", f"{r['late'] / r['one_test']:.2f}"] for r in rows]


def faster(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Tasks in which a peer or a simpler way takes less time."""
    found = []
    for r in rows:
        if r["ratio"] < 1 and r["name"] in {"relplot", "probmetrics", "model-diagnostics"}:
            task = f"{r['task']}, {r['rows']:,} rows, {r['law']}"
            found.append([task, r["name"], f"{r['ratio']:.2f}"])
    return found


def losses(folder: Path) -> str:
    """The page."""
    two, several, maps, scores, paired, race, whole = (
        json.loads((folder / f"{name}.json").read_text())
        for name in (
            *("arena_two", "arena_several", "choices", "score_intervals", "paired_intervals"),
            *("race", "whole_errors"),
        )
    )
    parts = [HEAD, "## Which calibrator wins\n"]
    for title, data in (("Two classes", two), ("K classes", several)):
        parts.append(f"### {title}\n")
        if goals := missed(data):
            parts.append(f"Goals that the automatic calibrator missed. {MEASURES}\n")
            parts.append(table(["goal", "measured"], goals) + "\n")
        else:
            parts.append("The automatic calibrator missed no goal.\n")
        if rows := arena(data):
            parts.append("Peers with a higher win rate (± s.e.; one data set has none):\n")
            head = ["stratum", "experiments, data sets", "calibkit auto", "peers"]
            parts.append(table(head, rows) + "\n")
        else:
            parts.append("No peer has a higher win rate in any stratum.\n")
    parts += [
        "`python benchmarks/arena.py --show benchmarks/arena_two.json` prints all methods.\n",
        "## Automatic calibration against Platt scaling on real signals\n",
        "Signals on which the automatic calibrator has the higher Brier score, and the largest "
        "difference (1e-4). A signal with the rarer outcome in 3% of the rows has some of these "
        "rows left out:\n",
        table(["rows", "signals", "largest loss"], choices(maps)) + "\n",
        "## Intervals that cover too rarely\n",
        "90% intervals that cover the truth in less than .88 of the data sets, and the share of "
        "data sets with a warning of few events or groups. Intervals of one model's scores:\n",
        table(["law", "score", "coverage", "warned"], too_low(scores)) + "\n",
        "Intervals of the difference between two models:\n",
        table(["law", "score", "coverage", "warned"], too_low(paired)) + "\n",
        "## What it costs to look at any time\n",
        "Labels that `ComparisonAlarm` needs with a power of .8, as a multiple of one test's. The "
        "largest four:\n",
        table(["difference", "score", "multiple"], races(race["price"])) + "\n",
        "## Peers that are faster\n",
    ]
    if rows := faster(whole["rows"]):
        parts.append("CPU time of a peer as a multiple of calibkit's, errors without bins:\n")
        parts.append(table(["task", "peer", "multiple"], rows) + "\n")
    else:
        parts.append("None of the peers of the stored timings, which are errors without bins.\n")
    parts.append(
        "Other timings are not stored, since they depend on the machine: `python "
        "benchmarks/speed.py` prints them for yours, with the peers that are faster.\n"
    )
    return "\n".join(parts)
