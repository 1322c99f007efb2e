"""The command ``calibkit stream``: its options and its help."""

from __future__ import annotations

from typing import Annotated

try:
    import typer
except ImportError:  # calibkit._cli.app says what to install
    typer = None  # type: ignore[assignment]

from .._core.params import advice, both_names, main_name
from .._core.printed import spelled
from .incoming import Columns
from .streaming import METHODS, StreamOptions, stream_file

_NAMES = [both_names(name) for name in METHODS]


def _method(value: str) -> str:
    name = main_name(value.lower())
    if name not in METHODS:
        near = advice(value, METHODS)
        raise typer.BadParameter(f"{spelled(value)} is not one of {', '.join(_NAMES)}{near}")
    return name


def _alpha(value: float | None) -> float | None:
    if value is not None and not 0.0 < value < 1.0:
        raise typer.BadParameter(f"{value:g} is not a fraction such as 0.05")
    return value


if typer is not None:
    _Option = typer.Option
    File = Annotated[str, typer.Argument(metavar="FILE", show_default=False)]
    Prob = Annotated[str, _Option(metavar="COL", help="Column of scores.")]
    Label = Annotated[str, _Option(metavar="COL", help="Column of labels; empty: none yet.")]
    Time = Annotated[str | None, _Option(metavar="COL", help="Rows must come in its order.")]
    Id = Annotated[str | None, _Option(metavar="COL", help="By which labels may come later.")]
    Method = Annotated[str, _Option(callback=_method, metavar="NAME", help=" | ".join(_NAMES))]
    Positive = Annotated[str | None, _Option(metavar="VALUE", help="Label of the event.")]
    Logit = Annotated[bool, _Option("--logit", help="The scores are log-odds.")]
    Output = Annotated[str, _Option("-o", "--output", metavar="FILE", help="Where to write.")]
    Column = Annotated[str, _Option(metavar="NAME", help="New column.")]
    State = Annotated[
        str | None, _Option("--journal", metavar="DB", help="File to keep what is learnt in.")
    ]
    Resume = Annotated[bool, _Option("--resume", help="Go on after the rows that the journal has.")]
    Sort = Annotated[bool, _Option("--sort", help="Sort a file by --time first.")]
    SkipBad = Annotated[bool, _Option("--skip-bad", help="Leave bad rows out and go on.")]
    Seed = Annotated[int | None, _Option(min=0, metavar="N", help="Seed of hedging.")]
    Alarm = Annotated[
        float | None,
        _Option(callback=_alpha, metavar="ALPHA", help="Say when forecasts go wrong."),
    ]
    Plot = Annotated[
        str | None, _Option(metavar="PNG", help="Draw the errors over time at the end.")
    ]
    Json = Annotated[bool, _Option("--json", help="The table as JSON on stdout; needs -o.")]


def stream(
    prob: Prob,
    label: Label,
    file: File = "-",
    time: Time = None,
    id: Id = None,
    method: Method = "tracking",
    positive: Positive = None,
    logit: Logit = False,
    output: Output = "-",
    column: Column = "calibrated",
    journal: State = None,
    resume: Resume = False,
    sort: Sort = False,
    skip_bad: SkipBad = False,
    seed: Seed = None,
    alarm: Alarm = None,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Calibrate rows as they come, each from the labels before it.

    FILE is .csv, .tsv or .jsonl (also .gz); without, CSV or JSON lines from
    stdin, where each forecast is written before the next row is awaited.

    \b
    calibkit stream games.csv --prob model --label won -o out.csv
    tail -f log.jsonl | calibkit stream --prob p --label y --journal state.db

    A row without a label is forecast and not learnt; with --id its label may
    come in a later row of that id. At the end, or at Ctrl-C, a table on stderr
    compares the scores with the forecasts.

    With --journal a restart goes on where the last run was, even after kill -9:
    rows are written first, and the journal has them after. With --resume FILE
    is read from its start: rows that the journal has are skipped, what -o holds
    beyond them is cut off, and then every row is in -o once; table, picture and
    alarm are those of the whole stream. It is refused if these rows, the
    options or the output have changed. Standard output can't be cut: after a
    kill up to 4,096 rows may come again, the first after a torn line; none is
    missing. A power failure may cost the last rows, and then --resume may be
    refused. Without --resume all rows of FILE are added, and -o has
    to be a new file.

    The names of the paper stand in parentheses; tobs is tracking over
    online_beta, and both tracking ones are smoothed (smoothing=1).

    --alarm watches the forecasts after the first 1,000 labels of a run. It
    rings once, and falsely in at most a share ALPHA of runs; more often where
    labels come late by --id and outcomes overlap. --plot and the table know the
    last one to two million labels, so memory stays the same.
    """
    if column.strip() == "":
        raise ValueError("--column: expected a name that is not empty.")
    if sort and time is None:
        raise ValueError("--sort needs --time, the column to sort by.")
    columns = Columns(prob, label, time, id)
    stream_file(
        file,
        output,
        StreamOptions(
            columns,
            method,
            positive,
            logit,
            column,
            journal,
            resume,
            sort,
            skip_bad,
            seed,
            alarm,
            plot,
            as_json,
        ),
    )
