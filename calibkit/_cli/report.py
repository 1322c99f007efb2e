"""The command ``calibkit report``: from labels and probabilities to facts, text and a picture."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast, get_args

from rich.text import Text
from typer import BadParameter, Context

from .. import __version__
from .._core.errors import called
from .._core.optional import require
from .._core.params import percent
from .._core.printed import printable, spelled
from .._core.saved import whole_file
from .._report import (
    ERRORS,
    LABELS,
    Problem,
    diagram,
    facts,
    mark_of,
    means_of,
    report_page,
    settings,
    spaced,
    title,
    write_page,
)
from .._tables.files import Source, check_apart, check_output
from .._tables.table import Table
from .._typing import Bins, Kind
from . import options as opt
from .advice import as_options
from .by_group import plain_groups, rich_groups
from .comparison import plain_comparison, rich_comparison
from .console import aligned, choice, print_json, progress, rich_table, show
from .page import check_html, command_line
from .problem import Options, from_logits, read_problem

in_options = partial(as_options, command="report")

_COLUMNS = ["metric", "value", "low", "high", "null", "null_low", "null_high", "model"]


def check_bins(value: str | None) -> str | None:
    if value is not None and value != "auto" and not (value.isdecimal() and int(value) > 0):
        raise BadParameter(f"{spelled(value)}; expected a positive whole number, or auto.")
    return value


def check_level(value: float) -> float:
    if not 0.01 <= value <= 0.999:
        raise BadParameter(f"{value:g}; expected a number from 0.01 to 0.999, such as 0.95.")
    return value


_KINDS = list(get_args(Kind))
_KIND = opt.option(
    "What to measure: the event (binary), the most likely class (top_label), or every class "
    "(classwise). Default: binary for two classes, top_label for more.",
    "KIND",
    callback=choice(lambda: _KINDS),
)
_BINS = opt.option("Number of bins of the calibration errors.", "N|auto", callback=check_bins)
_LEVEL = opt.option(opt.LEVEL, "X", callback=check_level)
_SEED = opt.option("Seed of the simulations.", "N", min=0)
_BY = opt.option(
    "Column of groups to measure one by one, such as region. Numbers are cut into bands. For "
    "several columns repeat the option, or pass a,b,c. Default: none.",
    "COL",
)
_PLOT = opt.option(
    "Draw the reliability diagram to this file (.png, .pdf or .svg). Default: none.", "PNG"
)


def report(
    ctx: Context,
    file: opt.File,
    label: opt.Label,
    prob: opt.Prob,
    by: Annotated[list[str] | None, _BY] = None,
    group: opt.RowGroup = None,
    weight: opt.Weight = None,
    positive: opt.Positive = None,
    classes: opt.Classes = None,
    table_name: opt.TableName = None,
    logit: opt.Logit = False,
    kind: Annotated[str | None, _KIND] = None,
    bins: Annotated[str, _BINS] = "15",
    level: Annotated[float, _LEVEL] = 0.9,
    resamples: opt.Resamples = 1000,
    seed: Annotated[int, _SEED] = 0,
    as_json: opt.Json = False,
    plot: Annotated[str | None, _PLOT] = None,
    html: opt.Html = None,
) -> None:
    """Measure the calibration of probabilities, and plot it.

    \b
    calibkit report games.csv --label won --prob model
    calibkit report games.csv --label won --prob model --prob rival --plot r.png
    calibkit report pets.csv --label pet --prob 'p_*'
    calibkit report games.csv --label won --prob model --by league --html r.html

    Each error is printed with a confidence interval, and with the value that a
    perfectly calibrated model would show on the same rows. Its column is named
    "if calibrated", and "null" in a pipe.

    \b
    Each --prob column is one model, and all models are measured on the same
    rows. Their differences are printed first: of two models, or between each
    model and the one with the lowest Brier score. All columns together are one
    model (one column per class) if
      - there are more than two labels: name the columns after the classes
        (p_cat, p_dog, p_owl) or use --classes;
      - --classes is given; or
      - two columns are named after the two labels (such as p_no and p_yes).

    If piped, output columns are separated by two spaces, and text lines begin
    with #.
    """
    picture = None if plot is None else check_output(plot, file)
    if picture is not None:
        check_picture(picture)
    target = check_html(html, file)
    check_apart({}, {"--plot": plot, "--html": html})
    n_bins: Bins = "auto" if bins == "auto" else int(bins)
    table = Table(Source.of(file, table_name))
    problem = read_problem(
        table, Options(label, prob, classes, positive, weight, group, by), several=True
    )
    with table.located(), progress("estimating") as share:
        problem = from_logits(problem) if logit else problem
        results = facts(
            problem,
            kind=cast(Kind | None, kind),
            n_bins=n_bins,
            level=level,
            n_resamples=resamples,
            seed=seed,
            step=share,
            words=in_options,
            tests=as_json or target is not None,
        )
    results = {"calibkit": __version__, "file": table.source.name, "label": label, **results}
    if picture is not None:
        draw(problem, picture, results, n_bins=n_bins, seed=seed)
    if target is not None:
        display = diagram(problem, results, n_bins=n_bins, seed=seed, words=in_options)
        write_page(report_page(results, display, command_line(ctx)), target)
    notes = [*results["reading"], *results["power"], *results["proofs"]]
    if plot is not None:
        notes.append(f"Picture: {plot} (the dots are equal-mass bins)")
    if html is not None:
        notes.append(f"Page: {html}")
    show_report(results, notes, [f"# {note}" for note in notes], as_json=as_json)


def show_report(
    results: dict[str, Any], notes: list[str], plain_notes: list[str], *, as_json: bool
) -> None:
    """Print the facts as JSON, or as a table followed by notes."""
    if as_json:
        print_json(results)
    else:
        show(
            lambda: [*rich_report(results), *notes], lambda: [*plain_report(results), *plain_notes]
        )


# -- text -------------------------------------------------------------------------------------


def plain_report(facts: dict[str, Any]) -> list[str]:
    """Lines of columns two spaces apart; lines of words begin with #."""
    rows = [_COLUMNS]
    for model in facts["models"]:
        for name in means_of(model, facts["kind"]):
            rows.append([name, _exact(model[name]), *["-"] * 5, model["name"]])
        for name, m in model["metrics"].items():
            keys = ["value", "low", "high"]
            shown = [_exact(m[k]) for k in keys]
            null = [_exact(m[k]) if name in ERRORS else "-" for k in _COLUMNS[4:7]]
            rows.append([name, *shown, *null, model["name"]])
    head = f"# {facts['file']}: {title(facts)}" if "file" in facts else f"# {title(facts)}"
    first = [] if facts["comparison"] is None else plain_comparison(facts["comparison"])
    groups = plain_groups(facts["models"]) if "groups" in facts["models"][0] else []
    return [head, *first, *aligned(rows), *groups, f"# {settings(facts)}"]


def _exact(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def rich_report(facts: dict[str, Any]) -> list[Any]:
    """The same for a terminal: the verdict's error is red where a calibrated model's is smaller."""
    table = rich_table()
    several = len(facts["models"]) > 1
    table.add_column("")
    if several:
        table.add_column("model", overflow="fold")
    table.add_column("value", justify="right")
    table.add_column(f"{percent(facts['level'])} interval", justify="right", style="dim")
    table.add_column("if calibrated", justify="right", style="dim")
    rows: list[tuple[str, list[tuple[str, list[Any]]]]] = []
    for key in means_of(facts["models"][0], facts["kind"]):
        means = [(m["name"], [f"{m[key]:.4f}", "", ""]) for m in facts["models"]]
        rows.append((spaced(key), means))
    for name in facts["models"][0]["metrics"]:
        values = [(m["name"], m["metrics"].get(name)) for m in facts["models"]]
        rows.append((LABELS[name], [(n, _cells(name, e)) for n, e in values if e is not None]))
    for word, lines in rows:
        for i, (model, cells) in enumerate(lines):
            last = several and i == len(lines) - 1
            names = ["" if i else word, model] if several else [word]
            shown = (Text(printable(n)) for n in names)
            table.add_row(*shown, *cells, end_section=last)
    head = Text(printable(facts.get("file", "")), style="bold")
    head.append(("  " if head else "") + printable(title(facts)), style="not bold")
    level = percent(facts["level"])
    first = [] if facts["comparison"] is None else rich_comparison(facts["comparison"], level)
    groups = rich_groups(facts["models"], level) if "groups" in facts["models"][0] else []
    return [head, *first, table, *groups, "", Text(settings(facts), style="dim")]


def _cells(name: str, e: dict[str, Any]) -> list[Any]:
    interval = "none" if e["low"] is None else f"{e['low']:.4f}..{e['high']:.4f}"
    if name not in ERRORS:
        return [f"{e['value']:.4f}", interval, ""]
    style = {"bad": "red", "good": "green", "": ""}[mark_of(name, e)]
    value = Text(f"{e['value']:.4f}", style=style)
    known = e["null_high"] is not None
    band = f"{e['null']:.4f} ({e['null_low']:.4f}..{e['null_high']:.4f})" if known else ""
    return [value, interval, band]


# -- picture ----------------------------------------------------------------------------------


def check_picture(path: Path) -> None:
    """Raise if a picture of that name can't be drawn."""
    backend = require("matplotlib.backends.backend_agg", "plot")
    known = backend.FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in known:
        raise ValueError(
            f"{path}: unknown picture format; expected a name that ends in .png, .pdf or .svg."
        )


@called("report")
def draw(problem: Problem, path: Path, results: dict[str, Any], *, n_bins: Bins, seed: int) -> None:
    """Write the reliability diagram of all models; its numbers are those of the report."""
    display = diagram(problem, results, n_bins=n_bins, seed=seed, words=in_options)
    write_picture(display.plot(), path)


def write_picture(display: Any, path: Path) -> None:
    """Write a display to a file, which appears whole or not at all."""
    with whole_file(path) as temporary:
        display.figure_.savefig(temporary, format=path.suffix.lower()[1:], dpi=150)
