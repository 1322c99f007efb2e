"""The option ``--html`` of several commands: the page, and the command that makes it again."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import typer

from .._report import Page, Picture, Section, check_page, command_section, result_grid
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


def evaluate_page(facts: dict[str, Any], name: str, pictures: list[Picture], command: str) -> Page:
    """The page of ``calibkit codegen evaluate``."""
    rows, (lead, *notes) = facts["rows"], facts["notes"]
    said = [*notes, *facts["caption"].splitlines()]
    sections = [Section("Signals", said, [], [result_grid("Measures of each signal", rows)])]
    if pictures:
        sections.append(Section("Reliability diagrams", [], pictures, wide=True))
    sections.append(command_section(command))
    names = [name, *(str(v) for r in rows for v in r.values() if isinstance(v, str))]
    verdict = facts["verdict"]
    return Page("Confidence signals", name, lead, verdict, False, sections, facts, names)


def stream_page(
    facts: dict[str, Any], name: str, lead: str, pictures: list[Picture], command: str
) -> Page:
    """The page of ``calibkit stream``."""
    sections = [Section("Errors over time", [], pictures, wide=True)] if pictures else []
    if errors := facts["errors"]:
        grid = result_grid("Errors up to each label; lower is better, but for sharpness", errors)
        sections.append(Section("Errors", [], [], [grid]))
    counts = {k.replace("_", " "): v for k, v in facts.items() if isinstance(v, int)}
    rows = [{"count": name, "value": value} for name, value in counts.items()]
    used = f"Method: {facts['method']}; calibkit {facts['calibkit']}."
    sections += [
        Section("Counts", [used], [], [result_grid("Rows and labels", rows)]),
        command_section(command),
    ]
    verdict, names = facts["verdict"], [name]
    rang = facts["alarm"] is not None and facts["alarm"]["label"] is not None
    return Page("Calibration of a stream", name, lead, verdict, rang, sections, facts, names)
