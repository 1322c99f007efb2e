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
from .._core.warnings import CalibrationWarning


def as_options(text: str) -> str:
    """A message of the library with options of the command line for its settings."""
    for said, option in (
        ("a calibrator with scale='logit'", "calibkit fit --logit"),
        ("scale='logit'", "--logit"),
        ("use scale='probability'", "drop --logit"),
    ):
        text = text.replace(said, option)
    text = re.sub(
        r"Log-odds: scale=\{'.*': 'logit'\}; l(.*): scale=\{'(.*)': 'score'\}",
        r"L\1: --score \2",
        text,
    )
    return re.sub(r"\bn_bins='?(\w+)'?", r"--bins \1", text)


def say(text: str) -> None:
    """A line on stderr."""
    if sys.stderr is not None:
        sys.stderr.write("calibkit: " + " ".join(text.split()) + "\n")
        sys.stderr.flush()


def fail(text: str) -> NoReturn:
    """A line on stderr and the exit code 1."""
    say(f"error: {text}")
    raise SystemExit(1)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose user's errors are said in one line, without a trace; warnings likewise."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            with _plain_warnings():
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
            fail(as_options(str(error)))
        except MemoryError:
            fail("not enough memory")

    return run


def _drop_output() -> None:
    """Keep the interpreter from flushing at its end what can't be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
        say(f"warning: {as_options(str(message))}")

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
    """Facts as JSON for machines."""
    return json.dumps(facts, allow_nan=False, indent=2, ensure_ascii=False)


def show(rich_lines: Callable[[], list[Any]], plain_lines: Callable[[], list[str]]) -> None:
    """Colour and a table on a terminal; whole, plain lines elsewhere."""
    console = require("rich.console", "cli").Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        for line in rich_lines():
            console.print(line, soft_wrap=isinstance(line, str) and "\n" in line)
    else:
        sys.stdout.write("\n".join(plain_lines()) + "\n")
