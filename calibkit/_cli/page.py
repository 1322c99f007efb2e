"""The option ``--html`` of several commands: the page, and the command that makes it again."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import typer

from .._report import check_page
from .._tables.files import check_output


def check_html(html: str | None, *inputs: str) -> Path | None:
    """The path of the page; raises if it can't be written, or if a package is missing."""
    if html is None:
        return None
    check_page()
    return check_output(html, *inputs)


def command_line(ctx: typer.Context) -> str:
    """The command with its options, as typed in a shell; those with their default are left out."""
    words: list[str] = []
    parent: Any = ctx
    while parent.parent is not None:
        words.insert(0, str(parent.info_name))
        parent = parent.parent
    first, last = [], []
    for param in ctx.command.params:
        value: Any = ctx.params.get(param.name or "")
        if value in (None, [], ()) or value == param.get_default(ctx):
            continue
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if param.param_type_name == "argument":
            first += [str(v) for v in values]
            continue
        option = max(param.opts, key=len)
        for v in values:
            alone = [option] if isinstance(v, bool) else [option, str(v)]
            last += [f"{option}={v}"] if str(v).startswith("-") else alone
    marked = [w for w in first if w.startswith("-") and w != "-"]
    words += [*last, "--", *first] if marked else [*first, *last]
    return " ".join(map(in_shell, ["calibkit", *words]))


def in_shell(word: str) -> str:
    """A word as typed in a shell; what can't be seen is written out, as bash and zsh read it."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + re.sub(r"[\\']|[^ -~]", _escaped, word) + "'"


def _escaped(match: re.Match[str]) -> str:
    c = match[0]
    code = ord(c)
    if c in "\\'":
        return "\\" + c
    if c.isprintable():
        return c
    if code < 0x80 or 0xDC80 <= code < 0xDD00:  # the latter: a byte of a file name that is no text
        return f"\\x{code & 0xFF:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
