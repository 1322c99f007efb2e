"""Print the tables of online.py: results with standard errors, beside those of the paper."""

from __future__ import annotations

from math import sqrt

import online_paper as paper
from online_adaptive import GOAL, MEASURES, Compared
from online_adversary import ADVERSARIES
from online_runs import AUTHORS, VARIANTS, Found
from verified_stats import Mean, mean
from verified_tables import goal, show

#: Methods that must agree with the reference.
JUDGED = ("OPS", "TOPS", "HOPS")
#: Measures of the drifts with a goal.
JUDGED_DRIFT = ("CE", "tracked CE")
#: Fewest seeds for a verdict.
ENOUGH = 10


def pm(m: Mean) -> str:
    """Value and standard error, without the zero before the point."""
    return "±".join(f"{v:.4f}".removeprefix("0") for v in m)


def _reference(
    ref: paper.Reference, method: str, measure: str, at: int, ours: Mean, runs: int
) -> Mean | None:
    """Result of the reference; without a standard error, ours is scaled to its number of runs."""
    values, errors = (
        (ref.error, ref.error_se) if measure == "CE" else (ref.sharpness, ref.sharpness_se)
    )
    value, se = values[method][at], errors[method][at]
    if value is None:
        return None
    return Mean(value, ours.se * sqrt(runs / ref.runs) if se is None else se)


def table_design(name: str, found: Found, seeds: int) -> None:
    """Print calibration error and sharpness at three times, beside the reference's."""
    ref = paper.REFERENCES.get(name)
    times = ref.times if ref else found.three_times()
    rows, off, gaps = [], [], []
    for measure in ("CE", "SHP"):
        for method in (*paper.METHODS, *AUTHORS):
            cells = [f"{measure} {method}"]
            for at, t in enumerate(times):
                ours = mean(found.at(method, measure, t))
                cells.append(pm(ours))
                if ref is None:
                    continue
                theirs = _reference(ref, method.rstrip("*"), measure, at, ours, seeds)
                if theirs is None:
                    cells += ["", ""]
                    continue
                z = (ours.value - theirs.value) / sqrt(ours.se**2 + theirs.se**2)
                cells += [pm(theirs), f"{z:+.1f}" + ("!" if abs(z) > 2 else "")]
                if method in JUDGED:
                    off += [f"{measure} {method} at {t:,}: {z:+.1f}"] if abs(z) > 2 else []
                if method in AUTHORS:
                    same = found.at(method, measure, t)[: ref.runs].mean()
                    gaps.append(abs(float(same) - theirs.value))
            rows.append(cells)
    head = [""]
    for t in times:
        head += [f"t={t:,}", "paper", "z"] if ref else [f"t={t:,}"]
    title = f"{name}: {seeds} seeds"
    if ref:
        title += f"; paper: {ref.source}, {ref.runs} runs"
    show(title, head, rows)
    if ref and seeds < ENOUGH:
        print(f"  no verdict: fewer than {ENOUGH} seeds")
    elif ref:
        if seeds >= ref.runs:
            print(
                f"  OPS*, TOPS* differ from the reference by at most {max(gaps):.5f} on its seeds"
            )
        goal(
            "OPS, TOPS, HOPS within two standard errors of the reference"
            + (f": not {'; '.join(off)}" if off else ""),
            not off,
        )


def table_variants(name: str, found: Found) -> None:
    """Print variants of the methods, beside TOPS, the best method of the paper."""
    times = found.three_times()
    rows, better = [], []
    for method in ("OPS", "TOPS", "TOPS*", "HOPS", *VARIANTS):
        errors = [mean(found.at(method, "CE", t)) for t in times]
        gap = mean(found.at(method, "CE", times[-1]) - found.at("TOPS", "CE", times[-1]))
        last = [mean(found.at(method, m, times[-1])) for m in ("SHP", "log loss", "Brier")]
        rows.append(
            [method, *map(pm, errors), "" if method == "TOPS" else f"{gap.value:+.4f}±{gap.se:.4f}"]
            + [f"{m.value:.4f}" for m in last]
        )
        if gap.value < -2 * gap.se:
            better.append(method)
    head = ["", *(f"CE t={t:,}" for t in times), "CE - CE of TOPS", "SHP", "log loss", "Brier"]
    show(f"{name}: variants; the last four columns are for t={times[-1]:,}", head, rows)
    said = "CE more than two standard errors below that of TOPS at the last time"
    print(f"  {said}: {', '.join(better) if better else 'none'}")


def table_streams(name: str, found: dict[str, tuple[float, ...]], n: int) -> None:
    rows = [[method, *(f"{v:.4f}" for v in values)] for method, values in found.items()]
    head = ["", "CE", "mean CE of periods", "SHP", "log loss", "Brier"]
    show(f"{name}: {n:,} rows", head, rows)


def table_adversary(
    found: dict[str, list[tuple[Mean, float, float]]],
    times: tuple[int, ...],
    runs: int,
    tracking: float,
) -> None:
    rows = []
    for name in ADVERSARIES:
        rows += [[name, *(pm(m) for m, _, _ in found[name])]]
        rows += [["  worst game", *(f"{worst:.4f}" for _, worst, _ in found[name])]]
    rows += [["bound", *(f"{bound:.4f}" for _, _, bound in found[ADVERSARIES[0]])]]
    show(
        f"Hedging against adversaries: mean calibration error of {runs} games",
        ["", *(f"T={t:,}" for t in times)],
        rows,
        [f"Tracking has no bound: labels chosen from its forecasts: error {tracking:.2f}."],
    )
    held = all(m.value + 2 * m.se <= bound for cells in found.values() for m, _, bound in cells)
    goal("mean calibration error within the theorem's bound at every T", held)


def table_adaptive(found: dict[str, list[Compared]], runs: int) -> None:
    """Print a table for each measure."""
    for at, measure in enumerate(MEASURES):
        rows = []
        for name, compared in found.items():
            c = compared[at]
            r = f"{c.ratio.value:.2f}±{c.ratio.se:.2f}"
            rows.append([name, pm(c.plain), str(c.discount), pm(c.fixed), pm(c.adaptive), r])
        head = ["drift", "OPS", "best discount", "fixed", "adaptive", "adaptive / fixed"]
        show(f"{measure}: adaptive against the best fixed forgetting rate, {runs} runs", head, rows)
        worst = max(compared[at].ratio.value for compared in found.values())
        if measure in JUDGED_DRIFT:
            over = f"at most {GOAL:.1f} times the best fixed rate; the largest ratio is"
            goal(f"{measure} {over} {worst:.2f}", worst <= GOAL)


def table_speed(
    whole: dict[str, dict[str, float]],
    stand_in: float,
    agree: float,
    single: dict[str, float | str],
    steps: int,
) -> None:
    modes = list(next(iter(whole.values())))
    rows = [
        [
            "stand-in for the authors' loop",
            *(f"{stand_in:.2f}" for _ in modes),
            *("" for _ in modes),
        ]
    ]
    for name, times in whole.items():
        rows.append(
            [
                name,
                *(f"{times[m]:.3f}" for m in modes),
                *(f"{stand_in / times[m]:.0f}" for m in modes),
            ]
        )
    head = ["", *(f"{m}, µs" for m in modes), *(f"{m}, x stand-in" for m in modes)]
    show(f"Whole streams of {steps:,} rows: CPU microseconds a step", head, rows)
    real = paper.AUTHORS_SECONDS
    print(f"  stand-in and calibkit: forecasts differ by at most {agree:.0e}; the authors' code")
    print(f"  took {real} µs a step on another, slower machine")
    for mode, wanted in zip(modes, (40, 500), strict=False):
        speed = stand_in / whole["OPS"][mode]
        goal(f"OPS, {mode}: {wanted} times as fast as the stand-in ({speed:.0f})", speed >= wanted)
        for name in ("TOPS", "HOPS"):
            r = whole[name][mode] / whole["OPS"][mode]
            goal(f"{name}, {mode}: within 3 times of OPS ({r:.1f})", r <= 3)
    show(
        "predict_proba_one and learn_one, row by row",
        ["", "CPU µs a step"],
        [[k, v if isinstance(v, str) else f"{v:.2f}"] for k, v in single.items()],
    )
    ours, river = single["OPS, probabilities"], single["river LogisticRegression"]
    goal(f"under 5 µs a step ({ours:.2f})", float(ours) < 5)
    if not isinstance(river, str):
        goal(f"at least as fast as river ({ours:.2f}, {river:.2f})", float(ours) <= river)
