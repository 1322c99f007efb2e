"""The command ``calibkit choose``: compare calibrators on a table by cross-validation."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

from rich.text import Text

from .. import __version__
from .._comparison import UNCALIBRATED, CalibratorComparison, compare_calibrators
from .._core.params import percent
from .._core.printed import printable
from .._registry import names_without
from .._tables.files import Source, check_output
from .._tables.table import Table
from ..displays import ComparisonDisplay
from . import options as opt
from .advice import as_options
from .calibrate import event_last
from .console import aligned, choice, print_json, rich_table, show
from .problem import Options, read_problem
from .report import check_level, check_picture, write_picture


def _known() -> list[str]:
    return names_without("lift", "wrapper", "online")


def _check_names(value: str | None) -> str | None:
    for name in () if value is None else value.split(","):
        choice(_known)(name.strip())
    return value


_CALIBRATORS = opt.option(
    "Calibrators to compare, from calibkit methods. Default: all that can be fitted to a table.",
    "A,B,C",
    callback=_check_names,
)
_FOLDS = opt.option("Number of folds.", "N", "--folds", "--cv", min=2)
_LEVEL = opt.option(opt.LEVEL, "X", callback=check_level)
_SEED = opt.option("Seed of the folds.", "N", min=0)
_PLOT = opt.option("Draw the differences to this file (.png, .pdf or .svg). Default: none.", "PNG")


def choose(
    file: opt.File,
    label: opt.Label,
    prob: opt.Prob,
    group: opt.RowGroup = None,
    weight: opt.Weight = None,
    positive: opt.Positive = None,
    classes: opt.Classes = None,
    table_name: opt.TableName = None,
    logit: opt.Logit = False,
    calibrators: Annotated[str | None, _CALIBRATORS] = None,
    folds: Annotated[int, _FOLDS] = 5,
    level: Annotated[float, _LEVEL] = 0.9,
    seed: Annotated[int, _SEED] = 0,
    as_json: opt.Json = False,
    plot: Annotated[str | None, _PLOT] = None,
) -> None:
    """Compare calibrators on your data by cross-validation.

    \b
    calibkit choose held_out.csv --label won --prob score
    calibkit choose pets.csv --label pet --prob 'p_*' --plot choice.png

    Use held-out rows: rows that the classifier was not trained on. The table is
    sorted by the log loss on the rows that each fit has not seen. A method is
    "tied" if the interval of its difference from the best method contains 0.
    The last lines say which calibrator to use, and how to fit it. Rows of one
    --group stay in one fold.

    If piped, output columns are separated by two spaces, and text lines begin
    with #.
    """
    picture = None if plot is None else check_output(plot, file)
    if picture is not None:
        check_picture(picture)
    table = Table(Source.of(file, table_name))
    options = Options(label, prob, classes, positive, weight, group)
    problem = event_last(read_problem(table, options, several=False))
    with table.located():
        comparison = compare_calibrators(
            problem.scores,
            problem.y,
            None if calibrators is None else [name.strip() for name in calibrators.split(",")],
            groups=problem.groups,
            sample_weight=problem.weight,
            cv=folds,
            level=level,
            scale="logit" if logit else "probability",
            classes=problem.classes,
            random_state=seed,
        )
    advice = as_options(comparison.advice, "choose")
    notes = [comparison.caption, advice]
    command = _command(comparison, file, table_name, options, logit=logit)
    notes += [command] if command else []
    failures = [f"{r['name']} failed: {r['failure']}" for r in comparison.records if r["failure"]]
    if picture is not None:
        write_picture(ComparisonDisplay(comparison).plot(), picture)
        notes.append(f"Picture: {plot}")
    if as_json:
        chosen = {"best": comparison.best, "tied": comparison.tied}
        chosen |= {"recommended": comparison.recommended, "advice": advice}
        head = {"calibkit": __version__, "file": table.source.name, "label": label}
        settings = {"level": level, "folds": folds, "seed": seed, "caption": comparison.caption}
        print_json(
            {**head, **settings, **chosen, "command": command, "methods": comparison.records}
        )
    else:
        show(
            lambda: [_rich(comparison), *failures, "", *notes],
            lambda: [*_plain(comparison), *(f"# {note}" for note in (*failures, *notes))],
        )


def _plain(comparison: CalibratorComparison) -> list[str]:
    """The records at six digits, one line for each."""
    names = [name for name in comparison.records[0] if name != "failure"]
    return aligned([names, *([_exact(r[name]) for name in names] for r in comparison.records)])


def _rich(comparison: CalibratorComparison) -> Any:
    """The table for a terminal of 80 columns: intervals only, long heads on several lines."""
    head, *rows = comparison.cells()
    head[2] = f"{percent(comparison.level)} interval of the difference"
    table = rich_table()
    for name, width in zip(head, (None, None, 19, None, None, 6, 5), strict=True):
        table.add_column(name, overflow="fold", max_width=width)
    for row in rows:
        if row[1] != "failed":
            row[2] = row[2].lstrip("-.0123456789 ")
            table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def _exact(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.6f}" if value == value else "-"


def _command(
    comparison: CalibratorComparison,
    file: str,
    table: str | None,
    options: Options,
    *,
    logit: bool,
) -> str:
    """The command that fits the recommended calibrator; empty for no calibration."""
    name = comparison.recommended
    if name == UNCALIBRATED:
        return ""
    chosen = comparison.calibrators[name]
    held: Any = getattr(chosen, "calibrator", chosen)
    words = ["calibkit", "fit", file, "--label", options.label]
    words += [word for prob in options.prob for word in ("--prob", prob)]
    given = ("group", "weight", "positive", "classes")
    values = {name: getattr(options, name) for name in given}
    words += [w for k, v in values.items() if v is not None for w in (f"--{k}", v)]
    words += [] if table is None else ["--table", table]
    words += ["--logit"] if logit else []
    return shlex.join([*words, "--calibrator", held.name, "-o", "cal.json"])
