"""The command ``calibkit stream``: its options and its help."""

from __future__ import annotations

from typing import Annotated

try:
    import typer
except ImportError:  # calibkit.cli says what to install
    typer = None  # type: ignore[assignment]

from .incoming import Columns
from .streaming import METHODS, StreamOptions, stream_file


def _method(value: str) -> str:
    if value not in METHODS:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(METHODS)}")
    return value


if typer is not None:
    _Option = typer.Option
    File = Annotated[str, typer.Argument(metavar="FILE", show_default=False)]
    Prob = Annotated[str, _Option(metavar="COL", help="Column of scores.")]
    Label = Annotated[str, _Option(metavar="COL", help="Column of labels; empty: none yet.")]
    Time = Annotated[str | None, _Option(metavar="COL", help="Rows must come in its order.")]
    Id = Annotated[str | None, _Option(metavar="COL", help="By which labels may come later.")]
    Method = Annotated[str, _Option(callback=_method, metavar="NAME", help=" | ".join(METHODS))]
    Positive = Annotated[str | None, _Option(metavar="VALUE", help="Label of the event.")]
    Logit = Annotated[bool, _Option("--logit", help="The scores are log-odds.")]
    Output = Annotated[str, _Option("-o", "--output", metavar="FILE", help="Where to write.")]
    Column = Annotated[str, _Option(metavar="NAME", help="New column.")]
    State = Annotated[
        str | None, _Option("--journal", metavar="DB", help="File to keep what is learnt in.")
    ]
    Resume = Annotated[bool, _Option("--resume", help="Skip the rows the journal has had.")]
    Sort = Annotated[bool, _Option("--sort", help="Sort a file by --time first.")]
    SkipBad = Annotated[bool, _Option("--skip-bad", help="Leave bad rows out and go on.")]
    Seed = Annotated[int | None, _Option(min=0, metavar="N", help="Seed of hops.")]


def stream(
    prob: Prob,
    label: Label,
    file: File = "-",
    time: Time = None,
    id: Id = None,
    method: Method = "tops",
    positive: Positive = None,
    logit: Logit = False,
    output: Output = "-",
    column: Column = "calibrated",
    journal: State = None,
    resume: Resume = False,
    sort: Sort = False,
    skip_bad: SkipBad = False,
    seed: Seed = None,
) -> None:
    """Calibrate rows as they come, each from the labels before it.

    FILE is .csv, .tsv or .jsonl (also .gz); without, CSV or JSON lines from
    stdin, where each forecast is written before the next row is awaited.

    \b
    calibkit stream games.csv --prob model --label won -o out.csv
    tail -f log.jsonl | calibkit stream --prob p --label y --journal state.db

    A row without a label is forecast and not learnt; with --id its label may
    come in a later row of that id. At the end, or at Ctrl-C, a table on stderr
    compares the scores with the forecasts. With --journal a restart goes on
    where the last run was, even after kill -9; --resume skips the rows it had
    and appends to the output.
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
            columns, method, positive, logit, column, journal, resume, sort, skip_bad, seed
        ),
    )
