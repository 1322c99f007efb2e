"""Draw the figures of verified.py; nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import verified_paper as paper

BLUE, RED, GREY, BLACK = "#0b5fa5", "#c8442b", "#6f6f6f", "#222222"
COLOURS = {"histogram": RED, "scaling": BLUE, "plugin": RED, "debiased": BLUE}
NAMES = {"histogram": "histogram binning", "scaling": "scaling-binning"}
UNIT_NAMES = {1e-3: "$10^{-3}$", 1e-4: "$10^{-4}$", 1e-7: "$10^{-7}$"}


def canvas(columns: int, rows: int = 1) -> tuple[Any, Any]:
    """A figure with ``rows`` times ``columns`` axes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    size = (5.0 * columns, 4.0 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(True, color="#e4e4e4", linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def save(figure: Any, folder: Path, name: str) -> Path:
    import matplotlib.pyplot as plt

    if name != "a":
        figure.supxlabel("bars: two standard errors", fontsize=8.5, x=0.99, ha="right")
    path = folder / f"verified_{name}.png"
    figure.savefig(path, dpi=160)
    plt.close(figure)
    return path


def curve(
    ax: Any, x: Any, means: Any, colour: str, label: str, unit: float = 1.0, **style: Any
) -> None:
    """Means with bars of two standard errors."""
    value = np.array([m.value for m in means]) / unit
    bars = 2 * np.array([m.se for m in means]) / unit
    style = {"marker": "o", "markersize": 4, "capsize": 2.5, "linewidth": 1.5, **style}
    ax.errorbar(x, value, yerr=bars, color=colour, label=label, **style)


def published(ax: Any, x: Any, y: Any, colour: str, label: str, unit: float = 1.0) -> None:
    """Draw the paper's results as open diamonds, on top."""
    style = {"marker": "D", "markersize": 7, "markerfacecolor": "none", "linestyle": ""}
    ax.plot(x, np.asarray(y) / unit, color=colour, alpha=0.8, zorder=5, label=label, **style)


def finish(ax: Any, x: str, y: str, title: str, **legend: Any) -> None:
    """Set labels, title, and a legend with our results before the paper's."""
    ax.set(xlabel=x, ylabel=y)
    ax.set_title(title, loc="left", fontsize=11)
    entries = sorted(zip(*ax.get_legend_handles_labels(), strict=True), key=_is_published)
    ax.legend(*zip(*entries, strict=True), frameon=False, fontsize=8.5, **legend)


def _is_published(entry: tuple[Any, str]) -> bool:
    return "paper" in entry[1]


def plain_log(ax: Any, axis: str, ticks: Sequence[float], base: int = 10) -> None:
    """Set a logarithmic axis with these ticks."""
    getattr(ax, f"set_{axis}scale")("log", base=base)
    getattr(ax, f"set_{axis}ticks")(ticks, [f"{t:,g}" for t in ticks])
    getattr(ax, f"{axis}axis").set_tick_params(which="minor", length=0, labelleft=False)


def thousands(ax: Any) -> None:
    ax.xaxis.set_major_formatter("{x:,.0f}")


# -- a ------------------------------------------------------------------------------------------


def figure_a(rows: list[dict[str, Any]], folder: Path, real: bool) -> Path:
    """Measured error against the number of bins, with 90 % intervals."""
    figure, axes = canvas(1)
    ax, bins = axes[0, 0], np.array([r["bins"] for r in rows])
    if real:
        published(ax, paper.BINS_A[:7], paper.CIFAR_A, GREY, "paper, CIFAR-10 VGG16")
    else:
        ax.plot(bins, [r["exact"] for r in rows], color=BLACK, lw=1.2, label="exact, binned")
        ax.axhline(rows[0]["true"], color=BLACK, lw=1.2, ls="--", label="exact, not binned")
        published(ax, paper.BINS_A, paper.IMAGENET_A, GREY, "paper, ImageNet VGG16")
    value = np.array([r["debiased"] for r in rows])
    low, high = np.array([r["interval"] for r in rows]).T
    style = {"fmt": "o", "markersize": 4, "capsize": 2.5, "color": BLUE}
    ax.errorbar(
        bins, value, yerr=[value - low, high - value], label="debiased, 90% interval", **style
    )
    ax.plot(bins, [r["plugin"] for r in rows], "o", ms=4, color=RED, label="plugin")
    plain_log(ax, "x", list(bins), base=2)
    ax.set_ylim(bottom=0)
    title = "A Platt-scaled model: more bins, more error"
    finish(ax, "number of bins", "RMS calibration error (probability)", title, loc="upper left")
    return save(figure, folder, "a")


# -- b ------------------------------------------------------------------------------------------


def figure_b(found: dict[str, list[dict[str, Any]]], folder: Path) -> Path:
    """Squared error against B, and mean squared error against squared error."""
    figure, axes = canvas(len(found), 2)
    for (reading, rows), (top, bottom) in zip(found.items(), axes.T, strict=True):
        reference = paper.CLASSWISE if reading == "class-wise" else paper.TOP_LABEL
        unit = 1e-4 if reading == "class-wise" else 1e-3
        error = f"squared calibration error ({UNIT_NAMES[unit]})"
        bins = [r["bins"] for r in rows]
        for i, method in enumerate(("histogram", "scaling")):
            colour, label = COLOURS[method], NAMES[method]
            merged = [r[f"{method} merged"] for r in rows]
            curve(top, bins, merged, colour, label, unit)
            published(top, bins, reference[i], colour, f"{label}, paper (VGG16)", unit)
            mse = [r[f"{method} mse"] for r in rows]
            bars = [2 * m.se / unit for m in merged]
            curve(bottom, [m.value / unit for m in merged], mse, colour, label, xerr=bars)
            published(
                bottom,
                np.asarray(reference[i]) / unit,
                reference[i + 2],
                colour,
                f"{label}, paper (VGG16)",
            )
        apart = [r["histogram apart"] for r in rows]
        label = f"{NAMES['histogram']}, equal values apart"
        curve(top, bins, apart, RED, label, unit, linestyle=":")
        top.set_ylim(bottom=0)
        bottom.set_xlim(left=0)
        finish(top, "number of bins", error, f"{reading}, {paper.ROWS_B:,} calibration rows")
        finish(bottom, error, "mean squared error (Brier)", f"{reading}, B = 10 to 100")
    return save(figure, folder, "b")


# -- c ------------------------------------------------------------------------------------------


def figure_c(
    found: dict[int, list[dict[str, Any]]], bias: list[dict[str, Any]], folder: Path
) -> Path:
    """MSE of both estimates against n, and their bias."""
    figure, axes = canvas(len(found) + 1)
    rows_label = "rows of the evaluation set"
    for ax, (n_bins, rows) in zip(axes[0], found.items(), strict=False):
        n = [r["n"] for r in rows]
        for name in ("plugin", "debiased"):
            colour, reference = COLOURS[name], paper.MSE_C[n_bins, name]
            curve(ax, n, [r[f"{name} mse"] for r in rows], colour, name, 1e-7)
            published(ax, n, reference, colour, f"{name}, paper (VGG16)", 1e-7)
        plain_log(ax, "y", (0.5, 1, 2, 5, 10, 20, 50) if n_bins > 50 else (0.1, 0.2, 0.5, 1, 2, 5))
        thousands(ax)
        finish(ax, rows_label, f"MSE of the estimate ({UNIT_NAMES[1e-7]})", f"{n_bins} bins")
    ax, n = axes[0, -1], [r["n"] for r in bias]
    expected = [r["plugin bias expected"] / 1e-3 for r in bias]
    ax.plot(n, expected, color=RED, lw=1, label="plugin, exact")
    for name in ("plugin", "debiased"):
        means = [r[f"{name} bias"] for r in bias]
        curve(ax, n, means, COLOURS[name], f"{name}, simulated", 1e-3, linestyle="")
    ax.axhline(0, color=BLUE, lw=1)
    ax.axhline(bias[0]["truth"] / 1e-3, color=GREY, lw=1, ls=":", label="the squared error itself")
    thousands(ax)
    finish(ax, rows_label, f"bias of the estimate ({UNIT_NAMES[1e-3]})", f"{max(found)} bins")
    return save(figure, folder, "c")


# -- d ------------------------------------------------------------------------------------------


def figure_d(found: dict[str, Any], folder: Path) -> Path:
    """Error by n and by B, and the law that no Platt map fits."""
    figure, (axes,) = canvas(3)
    rows, bins, noisy = found["by rows"], found["by bins"], found["noisy"]
    for method, short in (("histogram", "histogram"), ("scaling-binning", "scaling")):
        key, style = f"{method}: exact, apart", (COLOURS[short], NAMES[short], 1e-4)
        curve(axes[0], [r["n"] for r in rows], [r[key] for r in rows], *style)
        curve(axes[1], [r["bins"] for r in bins], [r[key] for r in bins], *style)
        curve(axes[2], [r["n"] for r in noisy], [r[key] for r in noisy], *style)
    merged = [r["histogram: exact, merged"] for r in bins]
    label = f"{NAMES['histogram']}, equal values merged"
    curve(axes[1], paper.BINS_D, merged, RED, label, 1e-4, linestyle=":")
    published(axes[1], paper.BINS_D, paper.HISTOGRAM_D, RED, "the same, paper's code", 1e-4)
    flat = [paper.SCALING_BINNING_D] * len(paper.BINS_D)
    published(axes[1], paper.BINS_D, flat, BLUE, "scaling-binning, paper's code", 1e-4)
    platt = [r["Platt: exact, apart"] for r in noisy]
    curve(axes[2], [r["n"] for r in noisy], platt, BLACK, "Platt scaling", 1e-4)
    axes[2].axhline(paper.NOISE_D**2 / 1e-4, color=BLACK, lw=1, ls="--", label="best Platt map")
    for error, colour, name in zip(
        paper.ERROR_NOISY, (BLACK, BLUE), ("Platt", "scaling-binning"), strict=True
    ):
        published(axes[2], paper.ROWS_NOISY, error, colour, f"{name}, paper's code", 1e-4)
    _finish_d(axes, [r["n"] for r in rows])
    return save(figure, folder, "d")


def _finish_d(axes: Any, n: list[int]) -> None:
    error, b = f"squared calibration error ({UNIT_NAMES[1e-4]})", paper.BINS_NOISY
    plain_log(axes[0], "x", n, base=2)
    plain_log(axes[0], "y", (0.5, 1, 2, 5, 10, 20))
    plain_log(axes[1], "x", paper.BINS_D, base=2)
    plain_log(axes[1], "y", (1, 2, 5, 10, 20, 50, 100))
    axes[1].set_ylim(0.9, 160)  # room for the legend
    axes[2].set_ylim(bottom=0)
    thousands(axes[2])
    finish(axes[0], "calibration rows", error, f"{b} bins")
    finish(axes[1], "number of bins", error, f"{paper.ROWS_D:,} calibration rows", loc="upper left")
    finish(axes[2], "calibration rows", error, f"no Platt map is right, {b} bins")
