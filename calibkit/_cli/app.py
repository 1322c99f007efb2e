"""The commands of the command line, and how they are run."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from .. import __version__
from .._core.params import both_names
from .._core.printed import printable
from .._registry import CALIBRATORS
from . import calibrate, choose, codegen, demo, export, report, stream
from .console import aligned, fail, guarded, rich_rows, show


def run() -> None:
    """Run the command line on the arguments of this process."""
    os.environ.setdefault("MPLBACKEND", "agg")  # pictures go to files, never to a window
    if sys.stdout is None:
        fail("standard output is closed")
    for file in (sys.stdout, sys.stderr):
        if file is not None:
            file.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    guarded(_run_app)()


def _run_app() -> None:
    try:
        code = make_app()(prog_name="calibkit", standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        _name_option(error)
        # The message may quote the name of a file.
        error.message = "\n".join(map(printable, error.message.splitlines()))  # type: ignore[attr-defined]
        error.show()  # type: ignore[attr-defined]
        raise SystemExit(error.exit_code) from None  # type: ignore[attr-defined]
    else:
        if isinstance(code, int) and code:
            raise SystemExit(code)
    finally:
        sys.stdout.flush()  # a full disk is noticed here


#: Options that people look for in a command that has the other one.
_MEANT = {"--method": "--calibrator", "--calibrator": "--method"}


def _name_option(error: Any) -> None:
    """Add the option that was meant, such as --calibrator for --method, to a usage error."""
    meant = _MEANT.get(getattr(error, "option_name", None) or "")
    if meant and any(meant in param.opts for param in error.ctx.command.params):
        error.possibilities = [meant]


def make_app() -> typer.Typer:
    """The commands as a typer application."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    )
    app.callback()(_root)
    fitting = (choose.choose, calibrate.fit, calibrate.apply)
    commands = (report.report, *fitting, export.export, stream.stream, demo.demo, methods)
    for command in commands:
        app.command()(guarded(command))
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Measure confidence in generated code; accept or discard.",
    )
    for judging in (codegen.evaluate, codegen.policy, codegen.decide):
        group.command()(guarded(judging))
    app.add_typer(group, name="codegen")
    return app


def _print_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"calibkit {__version__}\n")
        raise typer.Exit


_VERSION = typer.Option(
    "--version", callback=_print_version, is_eager=True, help="Print the version."
)


def _root(version: Annotated[bool, _VERSION] = False) -> None:
    """Measure, calibrate and plot predicted probabilities.

    \b
    calibkit report scores.csv --label outcome --prob score
    calibkit demo
    """


def methods() -> None:
    """List the calibrators and what each one does.

    \b
    calibkit methods

    A name in parentheses is a second name of the same calibrator. The column
    "classes" shows the number of classes: 2; 2 or K (any number); or extends
    to K (makes a calibrator for K classes from one for two classes).
    """
    rows = method_rows()
    show(lambda: [rich_rows(rows)], lambda: aligned(rows))


def method_rows() -> list[list[str]]:
    """A header, and a row for each calibrator."""
    rows = [["name", "classes", "what it does"]]
    for name, cls in sorted(CALIBRATORS.items()):
        classes = "2 or K" if "multiclass" in cls._traits else "2"
        classes = "extends to K" if "lift" in cls._traits else classes
        summary = (cls.__doc__ or "").strip().partition("\n")[0].replace("``", "")
        rows.append([both_names(name), classes, summary])
    return rows
