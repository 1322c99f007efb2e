"""What the commands do, between parsing their options and printing."""

from __future__ import annotations

from typing import Any

from .. import __version__
from .._core.base import BaseCalibrator
from .._persistence import load, save
from .._registry import CALIBRATORS
from .._tables.files import Source, check_output
from .._tables.table import Table
from .console import progress
from .demo import run_demo
from .facts import facts
from .fitting import describe, event_last, fit_calibrator
from .pictures import check_picture, draw
from .problem import Options, from_logits, read_problem
from .stream import apply_file


def report_file(
    file: str,
    options: Options,
    *,
    kind: Any,
    n_bins: Any,
    level: float,
    n_resamples: int,
    seed: int,
    plot: str | None,
    logit: bool = False,
) -> dict[str, Any]:
    """Facts of a table, and the picture if there is a name for it."""
    picture = None if plot is None else check_output(plot, file)
    if picture is not None:
        check_picture(picture)
    table = Table(Source.of(file))
    problem = read_problem(table, options, several=True)
    with table.located(), progress("estimating") as share:
        problem = from_logits(problem) if logit else problem
        found = facts(
            problem,
            kind=kind,
            n_bins=n_bins,
            level=level,
            n_resamples=n_resamples,
            seed=seed,
            step=share,
        )
    if picture is not None:
        draw(problem, picture, found, n_bins=n_bins, seed=seed)
    return {"calibkit": __version__, "file": table.source.name, "label": options.label, **found}


def fit_file(
    file: str,
    options: Options,
    output: str,
    name: str,
    *,
    logit: bool,
    lift: str | None,
    n_bins: int | str | None,
) -> str:
    """Fit and save a calibrator; returns what to print."""
    target = check_output(output, file)
    table = Table(Source.of(file))
    problem = event_last(read_problem(table, options, several=False))
    with table.located():
        fitted = fit_calibrator(problem, name, logit=logit, lift=lift, n_bins=n_bins)
        summary = describe(fitted, problem, logit=logit)
    save(fitted, target)
    return f"{output}: {summary}"


def calibrate_file(
    calibrator: str,
    file: str,
    prob: list[str],
    output: str,
    column: str | None,
    classes: str | None,
) -> str | None:
    """Calibrate a table; returns a line to print unless the table itself went to stdout."""
    source = Source.of(file)
    target = None if output == "-" else check_output(output, file, calibrator)
    fitted = load(calibrator)
    if not isinstance(fitted, BaseCalibrator):
        raise ValueError(
            f"{calibrator}: holds a {type(fitted).__name__}; expected a calibrator of scores alone."
        )
    with progress("calibrating") as share:
        n = apply_file(fitted, source, prob, target, column=column, classes=classes, step=share)
    return None if target is None else f"{output}: {n:,} rows calibrated"


def demo_facts(output: str) -> dict[str, Any]:
    """Facts of the demo, whose picture is written."""
    picture = check_output(output)
    check_picture(picture)
    with progress("estimating") as share:
        found = run_demo(picture, step=share)
    return {"calibkit": __version__, "picture": output, **found}


def method_rows() -> list[list[str]]:
    """The calibrators: a header, and a row for each."""
    rows = [["name", "classes", "what it does"]]
    for name, cls in sorted(CALIBRATORS.items()):
        classes = "2 or K" if "multiclass" in cls._traits else "2"
        classes = "lift to K" if "lift" in cls._traits else classes
        summary = (cls.__doc__ or "").strip().partition("\n")[0].replace("``", "")
        rows.append([name, classes, summary])
    return rows
