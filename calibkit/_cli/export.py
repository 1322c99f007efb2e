"""The command ``calibkit export``: a fitted object as SQL, ONNX or plain code."""

from __future__ import annotations

import sys
from typing import Annotated, Any, get_args

from typer import Argument, Option

from .. import export as exports
from .._core.saved import whole_file
from .._persistence import load
from .._tables.files import check_output
from .._typing import Dialect
from . import options as opt
from .console import choice, show_text

_CODE = ["python", "javascript", "c", "java", "rust"]
_LANGUAGES = ["sql", "onnx", *_CODE]
_DIALECTS = list(get_args(Dialect))
_SQL_ONLY = ("dialect", "column", "table", "keep")

_SAVED = Annotated[
    str,
    Argument(
        metavar="CAL.JSON",
        show_default=False,
        help="Calibrator from calibkit fit, or another object that calibkit.save wrote.",
    ),
]
_TO = opt.option(
    f"Language: {', '.join(_LANGUAGES)}.", "LANGUAGE", callback=choice(lambda: _LANGUAGES)
)
_DIALECT = opt.option(
    f"Dialect of SQL: {', '.join(_DIALECTS)}. Required for SQL.",
    "NAME",
    callback=choice(lambda: _DIALECTS),
)
_COLUMN = opt.option(
    "SQL: column of scores. For K classes repeat the option, or pass a,b,c in the order of the "
    "classes. Default: score, or score_0, score_1, ...",
    "COL",
)
_TABLE = opt.option(
    "SQL: table of the scores, such as shop.scores. The output is then a whole query, as is needed "
    "for K classes. Default: none, for one expression.",
    "TABLE",
)
_KEEP = opt.option(
    "SQL with --table: column to return beside the results, such as a key; repeat it, or pass "
    "a,b,c. Default: the columns of scores.",
    "COL",
)
_LABELS = Annotated[bool, Option("--labels", help="Write the predicted labels too.")]
_NAME = opt.option("Code: name of the function. Default: calibrate.", "NAME")


def export(
    calibrator: _SAVED,
    to: Annotated[str, _TO],
    dialect: Annotated[str | None, _DIALECT] = None,
    column: Annotated[list[str] | None, _COLUMN] = None,
    table: Annotated[str | None, _TABLE] = None,
    keep: Annotated[list[str] | None, _KEEP] = None,
    labels: _LABELS = False,
    name: Annotated[str | None, _NAME] = None,
    output: Annotated[
        str | None, opt.output("Output file. Default: standard output; required for ONNX.")
    ] = None,
) -> None:
    """Write a fitted calibrator as SQL, ONNX or plain code.

    \b
    calibkit export cal.json --to sql --dialect postgres --column score
    calibkit export cal.json --to javascript -o calibrate.js

    Thresholds, policies and decision rules can be exported too.
    """
    settings: dict[str, Any] = {"dialect": dialect, "table": table, "name": name}
    settings |= {"column": _split(column), "keep": _split(keep)}
    settings = {option: value for option, value in settings.items() if value is not None}
    _check_options(to, settings, output)
    target = None if output in (None, "-") else check_output(str(output), calibrator)
    artefact = getattr(exports, f"to_{to}")(load(calibrator), labels=labels, **settings)
    data = artefact.SerializeToString() if to == "onnx" else f"{artefact.rstrip()}\n".encode()
    if target is None:
        sys.stdout.buffer.write(data)
        return
    with whole_file(target) as path:
        path.write_bytes(data)
    show_text([f"{output}: {len(data):,} bytes written"])


def _split(names: list[str] | None) -> list[str] | None:
    return [part for name in names for part in name.split(",")] if names else None


def _check_options(to: str, settings: dict[str, Any], output: str | None) -> None:
    """Raise if an option is missing, or belongs to another language."""
    if to == "sql" and "dialect" not in settings:
        raise ValueError(f"--to sql needs --dialect; expected one of {', '.join(_DIALECTS)}.")
    if to == "onnx" and output in (None, "-"):
        raise ValueError("--to onnx needs -o; expected the name of a file, such as cal.onnx.")
    taken = _SQL_ONLY if to == "sql" else ("name",) if to in _CODE else ()
    for option in settings:
        if option not in taken:
            others = "SQL" if option in _SQL_ONLY else "plain code"
            raise ValueError(f"--{option} with --to {to}; expected it with {others} only. Drop it.")
