"""Output for people: errors and warnings on one line each, progress, tables or plain lines."""

from __future__ import annotations

import functools
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text
from typer import BadParameter

from .._core.errors import message_of
from .._core.params import advice
from .._core.printed import printable, spelled
from .._core.warnings import CalibrationWarning
from .._report import json_text
from .advice import as_options


def say(text: str) -> None:
    """Write a line to stderr."""
    if sys.stderr is not None:
        sys.stderr.write(printable("calibkit: " + re.sub(r"\s*\n\s*", " ", text)) + "\n")
        sys.stderr.flush()


def fail(text: str) -> NoReturn:
    """Write an error to stderr and exit with code 1."""
    say(f"error: {text}")
    raise SystemExit(1)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with the user's errors and warnings on one line each, without a traceback."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        name = command.__name__
        try:
            with _plain_warnings(name):
                command(*args, **kwargs)
                sys.stdout.flush()
        except KeyboardInterrupt:
            say("interrupted")
            raise SystemExit(130) from None
        except BrokenPipeError:
            _drop_output()  # the reader has closed the pipe
            raise SystemExit(141) from None
        except OSError as error:
            try:
                sys.stdout.flush()
            except OSError:
                _drop_output()
            where = f"{error.filename}: " if error.filename else ""
            fail(f"{where}{error.strerror or error}")
        except (ValueError, ImportError) as error:
            fail(as_options(str(error), name))
        except MemoryError:
            fail("not enough memory")

    return run


def _drop_output() -> None:
    """Keep the interpreter from flushing, at exit, what can't be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def _plain_warnings(command: str) -> Iterator[None]:
    said: set[str] = set()

    def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
        text = as_options(str(message), command)
        # Several functions of the library may warn of the same thing: print it once.
        matter = as_options(message_of(message), command)
        if matter not in said:
            said.add(matter)
            say(f"warning: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", CalibrationWarning)
        warnings.showwarning = show_warning
        yield


@contextmanager
def progress(what: str) -> Iterator[Callable[[float], None]]:
    """A progress bar on stderr if that is a terminal; call it with the share done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda share: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def print_json(facts: dict[str, Any]) -> None:
    """Write facts as JSON to standard output."""
    sys.stdout.write(json_text(facts) + "\n")


def show_text(lines: list[str]) -> None:
    """Write lines to standard output."""
    show(lambda: lines, lambda: lines)


def show(
    rich_lines: Callable[[], list[Any]], plain_lines: Callable[[], list[str]], file: Any = None
) -> None:
    """Write a table in color to a terminal, or plain lines elsewhere; by default to stdout."""
    file = file or sys.stdout
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        for line in rich_lines():
            console.print(printable(line) if isinstance(line, str) else line)
    else:
        file.write("\n".join(map(printable, plain_lines())) + "\n")
    file.flush()


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines, columns two spaces apart and never cut; invisible characters are escaped."""
    rows = [[printable(c) for c in r] for r in rows]
    widths = [max(len(c) for c in column) for column in zip(*rows, strict=True)]
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]


def rich_rows(rows: list[list[str]]) -> Any:
    """Rows of text (the header first) as a table for a terminal."""
    table = rich_table()
    for name in rows[0]:
        table.add_column(Text(printable(name)), overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(printable(c)) for c in row))
    return table


def rich_table() -> Table:
    """An empty table for a terminal."""
    return Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)


def choice(
    known: Callable[[], list[str]], other: Callable[[str], str] = lambda value: ""
) -> Callable[[str | None], str | None]:
    """A callback that checks that the value of an option is one of these.

    ``other`` says how to use a value that belongs elsewhere.
    """

    def check(value: str | None) -> str | None:
        # Called only when there is a value, since calibrators may be registered until then.
        if value is not None and value not in (options := known()):
            near = other(value) or advice(value, options)
            raise BadParameter(f"{spelled(value)} is not one of {', '.join(options)}{near}")
        return value

    return check
