"""The command line ``calibkit``; it needs the extra ``cli``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

import calibkit

from .._core.params import advice, both_names
from .._core.printed import printable, spelled
from .._registry import CALIBRATORS, names_without
from . import codegen_command, commands, stream_command
from .console import fail, guarded, json_text, show
from .demo import CODE
from .problem import Options
from .text import aligned, plain_report, rich_report, rich_rows

_KINDS = ["binary", "top_label", "classwise"]


def _lifts() -> list[str]:
    return [n for n, c in CALIBRATORS.items() if "lift" in c._traits]


def _plain() -> list[str]:
    return names_without("lift", "wrapper", "online")


def run() -> None:
    """Run the command line on the arguments of the process."""
    os.environ.setdefault("MPLBACKEND", "agg")  # pictures go to files, never to a window
    if sys.stdout is None:
        fail("standard output is closed")
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    guarded(_run_app)()


def _run_app() -> None:
    try:
        code = make_app()(prog_name="calibkit", standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        # Of the options, which may quote the name of a file.
        error.message = "\n".join(map(printable, error.message.splitlines()))  # type: ignore[attr-defined]
        error.show()  # type: ignore[attr-defined]
        raise SystemExit(error.exit_code) from None  # type: ignore[attr-defined]
    else:
        if isinstance(code, int) and code:
            raise SystemExit(code)
    finally:
        sys.stdout.flush()  # so that a full disk is noticed here


def make_app() -> Any:
    """The commands as a typer application."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    )
    app.callback()(_root)
    for command in (report, fit, apply, stream_command.stream, demo, methods):
        app.command()(guarded(command))
    codegen_command.add_to(app, guarded)
    return app


def _print_json(facts: dict[str, Any]) -> None:
    print(json_text(facts))


def _choice(known: Callable[[], list[str]]) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        # Asked when there is a value: others may have registered calibrators by then.
        if value is not None and value not in (options := known()):
            near = advice(value, options)
            raise typer.BadParameter(f"{spelled(value)} is not one of {', '.join(options)}{near}")
        return value

    return check


def _print_version(asked: bool) -> None:
    if asked:
        print(f"calibkit {calibkit.__version__}")
        raise typer.Exit


def _bins(value: str | None) -> str | None:
    if value is not None and value != "auto" and not (value.isdecimal() and int(value) > 0):
        raise typer.BadParameter(f"{spelled(value)} is neither a positive whole number nor auto")
    return value


def _level(value: float) -> float:
    if not 0.01 <= value <= 0.999:
        raise typer.BadParameter(f"{value:g} is not a fraction such as 0.95")
    return value


if typer is not None:
    _Option = typer.Option
    File = Annotated[str, typer.Argument(metavar="FILE", show_default=False)]
    CalFile = Annotated[str, typer.Argument(metavar="CAL.JSON", show_default=False)]
    Label = Annotated[str, _Option(metavar="COL", help="Column of true labels.")]
    Prob = Annotated[
        list[str],
        _Option(metavar="COL", help="Column of probabilities; repeat, or a,b,c or 'p_*'."),
    ]
    Weight = Annotated[str | None, _Option(metavar="COL", help="Column of weights >= 0.")]
    Positive = Annotated[
        str | None, _Option(metavar="VALUE", help="Label of the event. Default: the larger.")
    ]
    Classes = Annotated[
        str | None, _Option(metavar="A,B,C", help="Class of each --prob column, in order.")
    ]
    _grouped = "Rows of one group are drawn together (clusters of the bootstrap)."
    Group = Annotated[str | None, _Option(metavar="COL", help=_grouped)]
    Kind = Annotated[
        str | None,
        _Option(callback=_choice(lambda: _KINDS), metavar="KIND", help=" | ".join(_KINDS)),
    ]
    Bins = Annotated[str, _Option(callback=_bins, metavar="N|auto", help="Bins of the errors.")]
    FitBins = Annotated[
        str | None, _Option("--bins", callback=_bins, metavar="N|auto", help="Of binning ones.")
    ]
    Level = Annotated[
        float, _Option(callback=_level, metavar="X", help="Coverage of the intervals.")
    ]
    Resamples = Annotated[int, _Option(min=10, metavar="N", help="Bootstrap draws.")]
    Seed = Annotated[int, _Option(min=0, metavar="N", help="Seed of the draws.")]
    Json = Annotated[bool, _Option("--json", help="The facts as JSON, at full precision.")]
    Plot = Annotated[str | None, _Option(metavar="PNG", help="Draw the reliability diagram.")]
    Logit = Annotated[bool, _Option("--logit", help="The scores are log-odds.")]
    Calibrator = Annotated[
        str,
        _Option(callback=_choice(_plain), metavar="NAME", help="See calibkit methods."),
    ]
    Lift = Annotated[
        str | None, _Option(callback=_choice(_lifts), metavar="HOW", help=" | ".join(_lifts()))
    ]
    Output = Annotated[
        str, _Option("-o", "--output", metavar="FILE", help="Where to write.", show_default=False)
    ]
    Column = Annotated[
        str | None, _Option(metavar="NAME", help="New column. Default: COL_calibrated.")
    ]
    Picture = Annotated[str, _Option(metavar="PNG", help="Where to draw the picture.")]
    Version = Annotated[
        bool,
        _Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ]


# -- the commands -----------------------------------------------------------------------------


def _root(version: Version = False) -> None:
    """Honest probabilities: measure, calibrate and show them.

    \b
    calibkit report scores.csv --label outcome --prob score
    calibkit demo
    """


def report(
    file: File,
    label: Label,
    prob: Prob,
    group: Group = None,
    weight: Weight = None,
    positive: Positive = None,
    classes: Classes = None,
    logit: Logit = False,
    kind: Kind = None,
    bins: Bins = "15",
    level: Level = 0.9,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    as_json: Json = False,
    plot: Plot = None,
) -> None:
    """How calibrated are these probabilities, and how sure is that?

    FILE is .csv, .tsv, .jsonl (each also .gz) or .parquet; - is CSV from stdin.

    \b
    calibkit report games.csv --label won --prob model
    calibkit report games.csv --label won --prob model --prob rival --plot r.png
    calibkit report pets.csv --label pet --prob 'p_*'

    Several --prob are several models, compared on the same rows. They are the
    classes of one model if --classes is given, if there are more than two labels
    (columns called alike but for the class, as p_cat, p_dog, p_owl) or if two
    columns are called x, p_x, prob_x or proba_x after both labels.

    Piped, the table is plain columns two spaces apart, with # before words.
    """
    found = commands.report_file(
        file,
        Options(label, prob, classes, positive, weight, group),
        kind=kind,
        n_bins=bins if bins == "auto" else int(bins),
        level=level,
        n_resamples=resamples,
        seed=seed,
        plot=plot,
        logit=logit,
    )
    if as_json:
        _print_json(found)
    else:
        notes = [*found["reading"], *found["proofs"]]
        if plot is not None:
            notes = [*notes, f"Picture: {plot} (its dots: bins of equal mass)"]
        plain_notes = [f"# {note}" for note in notes]
        show(lambda: [*rich_report(found), *notes], lambda: [*plain_report(found), *plain_notes])


def fit(
    file: File,
    label: Label,
    prob: Prob,
    output: Output,
    calibrator: Calibrator = "platt",
    logit: Logit = False,
    lift: Lift = None,
    bins: FitBins = None,
    weight: Weight = None,
    positive: Positive = None,
    classes: Classes = None,
) -> None:
    """Fit a calibrator to scores and save it as JSON.

    The rows must be new to the classifier that made the scores.

    \b
    calibkit fit held_out.csv --label won --prob score -o cal.json
    calibkit fit pets.csv --label pet --prob 'p_*' --calibrator temperature \\
      -o cal.json

    Several --prob are the classes of one classifier: columns called alike but
    for the class, as p_cat, p_dog, p_owl, or named by --classes.
    """
    options = Options(label, prob, classes, positive, weight)
    n_bins = int(bins) if bins is not None and bins.isdecimal() else bins
    line = commands.fit_file(
        file, options, output, calibrator, logit=logit, lift=lift, n_bins=n_bins
    )
    show(line.splitlines, line.splitlines)


def apply(
    calibrator: CalFile,
    file: File,
    prob: Prob,
    output: Output,
    column: Column = None,
    classes: Classes = None,
) -> None:
    """Add calibrated probabilities to a table of any size.

    Every other column stays as it is, to the byte in text files.

    \b
    calibkit apply cal.json new.csv --prob score -o calibrated.csv
    cat new.csv | calibkit apply cal.json - --prob score -o - | head

    One --prob gives one new column, K give K. The K are called after the classes,
    as p_cat, p_dog, p_owl, or named by --classes; where no name says it, they are
    taken in the order of the classes. FILE is .csv, .tsv, .jsonl (each also .gz)
    or .parquet; the output is of the same kind, or .csv of .parquet.
    """
    line = commands.calibrate_file(calibrator, file, prob, output, column, classes)
    if line is not None:
        show(lambda: [line], lambda: [line])


def demo(output: Picture = "calibkit-demo.png", as_json: Json = False) -> None:
    """A real, badly calibrated classifier, before and after: numbers and picture.

    \b
    calibkit demo --output demo.png
    """
    found = commands.demo_facts(output)
    if as_json:
        _print_json(found)
        return
    more = [
        "",
        *found["seen"],
        "",
        f"Picture: {output}",
        "",
        "The same in Python:",
        "",
        *CODE.splitlines(),
    ]
    show(lambda: [*rich_report(found), *more], lambda: [*plain_report(found), *more])


def methods() -> None:
    """The calibrators: names, numbers of classes, what they do.

    \b
    calibkit methods

    A name in parentheses is another for the same.
    """
    header, *rows = commands.method_rows()
    rows = [header, *([both_names(name), *rest] for name, *rest in rows)]
    show(lambda: [rich_rows(rows)], lambda: aligned(rows))
