"""What is said to a person: errors and warnings in a line each, progress, tables or plain lines."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from .._core.optional import require
from .._core.printed import printable
from .._core.warnings import CalibrationWarning
from .advice import as_options


def say(text: str) -> None:
    """A line on stderr."""
    if sys.stderr is not None:
        sys.stderr.write(printable("calibkit: " + re.sub(r"\s*\n\s*", " ", text)) + "\n")
        sys.stderr.flush()


def fail(text: str) -> NoReturn:
    """A line on stderr and the exit code 1."""
    say(f"error: {text}")
    raise SystemExit(1)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose user's errors are said in one line, without a trace; warnings likewise."""

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
            _drop_output()  # whoever read it has gone
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
    """Keep the interpreter from flushing at its end what can't be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def _plain_warnings(command: str) -> Iterator[None]:
    said: set[str] = set()

    def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
        text = as_options(str(message), command)
        # One matter, whichever function of the library meets it first.
        matter = text.partition(": ")[2]
        if matter not in said:
            said.add(matter)
            say(f"warning: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", CalibrationWarning)
        warnings.showwarning = show_warning
        yield


@contextmanager
def progress(what: str) -> Iterator[Callable[[float], None]]:
    """A bar on stderr if that is a terminal; called with the share done."""
    console = require("rich.console", "cli").Console(stderr=True)
    if not console.is_terminal:
        yield lambda share: None
        return
    with require("rich.progress", "cli").Progress(console=console, transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def json_text(facts: dict[str, Any]) -> str:
    """Facts as JSON for machines; what a terminal might obey is escaped, and so kept exactly."""
    text = json.dumps(facts, allow_nan=False, indent=2, ensure_ascii=False)
    odd = {c for c in set(text) if not (c.isprintable() or c == "\n")}
    return text.translate({ord(c): json.dumps(c)[1:-1] for c in odd})


def show(
    rich_lines: Callable[[], list[Any]], plain_lines: Callable[[], list[str]], file: Any = None
) -> None:
    """Colour and a table on a terminal; whole, plain lines elsewhere: on stdout by default."""
    file = file or sys.stdout
    settings = {"highlight": False, "markup": False, "emoji": False}
    console = require("rich.console", "cli").Console(file=file, **settings)
    if console.is_terminal:
        for line in rich_lines():
            console.print(printable(line) if isinstance(line, str) else line)
    else:
        file.write("\n".join(map(printable, plain_lines())) + "\n")
    file.flush()
