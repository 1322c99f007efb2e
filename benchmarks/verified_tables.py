"""Print the tables of verified.py: results with standard errors, beside those of the paper."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import verified_paper as paper
from verified_stats import Mean, mean

from calibkit import calibration_error, expected_calibration_error


def show(
    title: str, header: list[str], rows: Iterable[list[str]], notes: Iterable[str] = ()
) -> None:
    """Print a table of strings; all columns but the first are right-aligned."""
    rows = [header, *rows]
    widths = [max(len(r[i]) for r in rows) for i in range(len(header))]
    print(f"\n{title}\n")
    for i, row in enumerate(rows):
        first, *rest = (c.rjust(w) for c, w in zip(row, widths, strict=True))
        cells = [row[0].ljust(len(first)), *rest]
        print("  " + "  ".join(cells).rstrip())
        if i == 0:
            print("  " + "  ".join("-" * w for w in widths))
    for note in notes:
        print(f"  {note}")


def pm(m: Mean, scale: float = 1.0, digits: int = 2) -> str:
    """Value and standard error."""
    return f"{m.value / scale:.{digits}f} ±{m.se / scale:.{digits}f}"


def off(ours: Mean, reference: float, se: float = 0.0) -> str:
    """Our value minus the reference, in standard errors of the difference."""
    spread = float(np.hypot(ours.se, se))
    return f"{(ours.value - reference) / spread:+.1f}" if spread > 0 else "-"


def times(ours: float, reference: float) -> str:
    return f"{ours / reference:.2f}"


def goal(text: str, met: bool) -> None:
    """Print whether a goal is met."""
    print(f"  {'met' if met else 'MISSED'}: {text}")


# -- a ------------------------------------------------------------------------------------------


def table_a(rows: list[dict[str, Any]], split: tuple[int, ...], real: bool) -> None:
    """Print the error of a Platt-scaled model by the number of bins."""
    out = []
    for i, r in enumerate(rows):
        low, high = r["interval"]
        cells = [str(r["bins"]), str(r["bins used"]), f"{r['plugin']:.4f}", f"{r['debiased']:.4f}"]
        cells.append(f"[{low:.4f}, {high:.4f}]")
        if real:
            columns = (paper.CIFAR_A, paper.CIFAR_A_READ, paper.IMAGENET_A)
            cells += [f"{x[i]:.4f}" if i < len(x) else "" for x in columns]
        else:
            cells += [f"{r['exact']:.4f}", f"{r['true']:.4f}", f"{paper.IMAGENET_A[i]:.3f}"]
            cells.append(times(r["debiased"], paper.IMAGENET_A[i]))
        out.append(cells)
    last = ["exact", "unbinned", "ImageNet, read", "ratio"]
    if real:
        last = ["CIFAR-10, run", "CIFAR-10, read", "ImageNet, read"]
    show(
        "a. RMS calibration error of a Platt-scaled model by the number of bins, "
        f"one data set ({' + '.join(f'{n:,}' for n in split)} rows)",
        ["bins", "used", "plugin", "debiased", "90% interval", *last],
        out,
        ["The paper's value is the middle of a reflected bootstrap: debiased, to first order."]
        + ["Not the paper's network: compare the shapes, not the values."] * real,
    )


def table_a_repeats(rows: list[dict[str, Any]]) -> None:
    """Print means over data sets beside the exact errors."""
    out = []
    for r in rows:
        cells = [str(r["bins"]), pm(r["mean exact"], digits=4), pm(r["mean true"], digits=4)]
        for name in ("plugin", "debiased"):
            cells += [pm(r[f"mean {name}"], digits=4), pm(r[f"excess {name}"], 1e-4)]
        out.append([*cells, pm(r["coverage"], 0.01, 0)])
    show(
        f"a. Means of {rows[0]['trials']} data sets; excess of the squared estimate over the exact "
        f"square (1e-4); share of {rows[0]['intervals']} 90% intervals that cover the exact error",
        ["bins", "exact", "unbinned", "plugin", "excess", "debiased", "excess", "covers, %"],
        out,
    )


# -- b ------------------------------------------------------------------------------------------


#: By how many per cent scaling-binning should be better at B = 100.
GOALS_B = {"class-wise": 30, "top-label": 35}


def table_pool(P: np.ndarray, y: np.ndarray) -> None:
    """Print statistics of the pool, beside those of the paper's predictions."""
    binary = P.ndim == 1
    event = y == 1 if binary else P.argmax(axis=1) == y
    p = P if binary else P.max(axis=1)
    both = np.column_stack((1 - P, P)) if binary else P
    kind = None if binary else "top_label"
    found = {
        "accuracy": mean((both.argmax(axis=1) == y).astype(float)),
        "mean confidence": mean(both.max(axis=1)),
        "log-loss": mean(-np.log(np.maximum(both[np.arange(len(y)), y], 1e-15))),
        "ECE, 15 bins": expected_calibration_error(y, P, kind=kind),
        "RMS error, debiased": calibration_error(y, P, kind=kind, debias=True),
        "top-label MSE": mean((p - event) ** 2),
        "class-wise MSE": mean(((both - np.eye(both.shape[1])[y]) ** 2).sum(axis=1) / 2),
    }
    rows = [
        [name, pm(x, digits=4) if isinstance(x, Mean) else f"{x:.4f}", f"{paper.VGG16[name]:.4f}"]
        for name, x in found.items()
    ]
    show(f"b. The pool: {len(y):,} rows", ["", "this pool", "VGG16 on CIFAR-10"], rows)


def table_b(rows: list[dict[str, Any]], reading: str, trials: int, real: bool) -> None:
    """Print scaling-binning beside histogram binning."""
    unit, name = (1e-4, "1e-4") if reading == "class-wise" else (1e-3, "1e-3")
    reference = paper.CLASSWISE if reading == "class-wise" else paper.TOP_LABEL
    error, mse = [], []
    for i, r in enumerate(rows):
        h, s, mh, ms = (column[i] for column in reference)
        cells = [str(r["bins"]), pm(r["histogram merged"], unit), f"{h / unit:.2f}"]
        cells += [times(r["histogram merged"].value, h), pm(r["scaling merged"], unit)]
        cells += [f"{s / unit:.2f}", times(r["scaling merged"].value, s)]
        cells += [pm(r["lower merged"], 0.01, 1), f"{100 * (1 - s / h):.1f}"]
        cells += [pm(r["histogram apart"], unit), pm(r["lower apart"], 0.01, 1)]
        error.append(cells)
        cells = [str(r["bins"]), pm(r["histogram mse"], digits=4), f"{mh:.4f}"]
        cells += [pm(r["scaling mse"], digits=4), f"{ms:.4f}", pm(r["lower mse"], 0.01, 1)]
        mse.append([*cells, f"{100 * (1 - ms / mh):.1f}"])
    other = "Not the paper's network." if real else "Generated data, similar to it."
    show(
        f"b. {reading}: squared calibration error ({name}) on the pool, {paper.ROWS_B:,} "
        f"calibration rows, {trials} trials; equal values merged as in the paper, then apart",
        [
            "B",
            "hist",
            "paper",
            "ratio",
            "SB",
            "paper",
            "ratio",
            "SB lower by %",
            "paper",
            "hist apart",
            "SB lower by %",
        ],
        error,
        [
            f"paper: CIFAR-10, VGG16. {other}",
            "SB: every bin has a different value, so none are merged.",
        ],
    )
    show(
        f"b. {reading}: mean squared error",
        ["B", "hist", "paper", "SB", "paper", "SB lower by %", "paper"],
        mse,
    )
    if not real:
        least, lower = GOALS_B[reading], 100 * rows[-1]["lower merged"].value
        text = f"at B = {rows[-1]['bins']} SB's squared error is {lower:.1f} % lower (goal {least})"
        goal(text, lower >= least)


# -- c ------------------------------------------------------------------------------------------


def table_c(rows: list[dict[str, Any]], n_bins: int, sets: int, real: bool) -> None:
    """Print the MSE of both estimates of the squared error."""
    out = []
    for i, r in enumerate(rows):
        cells = [f"{r['n']:,}"]
        for name in ("plugin", "debiased"):
            reference = paper.MSE_C[n_bins, name][i]
            cells += [pm(r[f"{name} mse"], 1e-7), f"{reference / 1e-7:.2f}"]
            cells += [times(r[f"{name} mse"].value, reference)]
        ratio = paper.MSE_C[n_bins, "plugin"][i] / paper.MSE_C[n_bins, "debiased"][i]
        out.append([*cells, pm(r["mse ratio"]), f"{ratio:.2f}"])
    show(
        f"c. MSE (1e-7) of estimates of the squared error, top label, B = {n_bins}, "
        f"{sets:,} data sets",
        ["n", "plugin", "paper", "ratio", "debiased", "paper", "ratio", "plugin/debiased", "paper"],
        out,
        [f"True squared error {rows[0]['truth']:.3e}; paper's {paper.TRUTH_C[n_bins]:.3e}."],
    )
    if n_bins == max(paper.TRUTH_C) and not real:
        times_lower = rows[0]["mse ratio"].value
        text = f"MSE at n = {rows[0]['n']:,} lower by a factor of {times_lower:.1f} (goal 5)"
        goal(text, times_lower >= 5)


#: With fewer data sets, noise alone may exceed 1%.
ENOUGH_SETS = 20_000


def table_bias(rows: list[dict[str, Any]], n_bins: int, sets: int) -> None:
    """Print the bias of both estimates."""
    out = [
        [
            f"{r['n']:,}",
            f"{r['plugin bias expected'] / 1e-6:.1f}",
            pm(r["plugin bias"], 1e-6, 1),
            pm(r["debiased bias"], 1e-6, 1),
            off(r["debiased bias"], 0.0),
            pm(r["bias ratio"], 0.01),
            pm(r["mse ratio"]),
        ]
        for r in rows
    ]
    show(
        f"c. Bias (1e-6) of both estimates at B = {n_bins}, {sets:,} data sets of each size",
        ["n", "plugin, exact", "plugin", "debiased", "in se", "debiased/plugin %", "MSE ratio"],
        out,
    )
    if sets >= ENOUGH_SETS:
        worst = max(abs(r["bias ratio"].value) for r in rows)
        goal(f"debiased bias at most {100 * worst:.2f} % of the plugin's (goal 1)", worst < 0.01)


# -- d ------------------------------------------------------------------------------------------

#: Measures shown: heading, and key.
MEASURES = (
    ("exact, apart", "exact, apart"),
    ("exact, merged", "exact, merged"),
    ("1k, merged", "m=1000, merged"),
    ("10k, merged", "m=10000, merged"),
    ("10k, apart", "m=10000, apart"),
)
_SHOWN = [heading for heading, _ in MEASURES]
#: The measure that the goal uses: that of the paper's code.
_AS_PAPER = _SHOWN.index("10k, merged")
NOTE_D = (
    "exact: by integration. 1k, 10k: on this number of test scores, with P(Y=1|z) as labels, as in "
    "the paper.",
    "merged: bins of equal value pooled, as in the paper; apart: each bin by itself.",
)


def table_d(found: dict[str, Any], trials: int) -> None:
    """Print squared errors by B, and their ratios."""
    rows = []
    for r, h in zip(found["by bins"], paper.HISTOGRAM_D, strict=True):
        for method, reference in (("histogram", h), ("scaling-binning", paper.SCALING_BINNING_D)):
            cells = [pm(r[f"{method}: {key}"], 1e-4) for _, key in MEASURES]
            run = r[f"{method}: m=10000, merged"].value
            rows.append([f"{method}, B = {r['bins']}", *cells, f"{reference / 1e-4:.2f}"])
            rows[-1].append(times(run, reference))
    show(
        f"d. Squared error (1e-4), n = {paper.ROWS_D:,}, {trials} trials",
        ["", *_SHOWN, "run (10k, merged)", "ratio"],
        rows,
        NOTE_D,
    )
    rows, distances = [], []
    for r in found["ratios"]:
        text, se, run = r["paper"]
        distance = [(r[key].value - text) / np.hypot(r[key].se, se) for _, key in MEASURES]
        distances.append(distance[_AS_PAPER])
        rows.append([f"{r['method']}: {r['step']}", *(pm(r[key]) for _, key in MEASURES)])
        rows[-1] += [f"{text:.2f} ±{se:.2f}", f"{run:.2f}"]
        rows[-1].append(f"{min(distance):+.1f} to {max(distance):+.1f}")
    show(
        "d. Ratios of squared errors",
        ["", *_SHOWN, "paper", "run", "off paper by (se)"],
        rows,
        [f"Run with bins of equal value apart, B 5 -> 20: {paper.RATIO_BINS_HISTOGRAM_APART}."],
    )
    worst = max(map(abs, distances))
    goal(f"10k, merged: within {worst:.1f} se of the paper's ratios (goal 2)", worst < 2)


def table_noisy(rows: list[dict[str, Any]], trials: int) -> None:
    """Print results for the law that no Platt map fits."""
    out = []
    for r in rows:
        for method in ("Platt", "scaling-binning"):
            cells = [pm(r[f"{method}: {key}"], 1e-4) for _, key in MEASURES]
            reference = dict(zip(("Platt", "scaling-binning"), paper.ERROR_NOISY, strict=True))
            run = f"{reference[method] / 1e-4:.2f}" if r["n"] == paper.ROWS_NOISY else ""
            out.append([f"{method}, n = {r['n']:,}", *cells, run, ""])
        text, se, run = paper.RATIO_NOISY
        here = r["n"] == paper.ROWS_NOISY
        reference = [f"{run} run, {text} ±{se}", off(r["ratio: m=10000, merged"], text, se)]
        cells = [pm(r[f"ratio: {key}"]) for _, key in MEASURES]
        out.append(["  times lower", *cells, *(reference if here else ["", ""])])
    show(
        f"d. Misspecified: squared error (1e-4), B = {paper.BINS_NOISY}, {trials} trials",
        ["", *_SHOWN, "paper", "off text by (se)"],
        out,
    )
