"""Files of generations and results: which format they are in, and what their records say.

A format is a module with KEYS (what it is known by, in words), ``fits(record, asked)``, and
``outputs(item, asked)`` or ``verdicts(item, asked)`` or both; where a record may be a piece of a
streamed response, ``whole(items, asked)`` raises at it. FORMATS lists it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

from ..._core.params import check_choice
from . import _evalplus, _lm_eval, _openai, _table, _vllm
from ._asked import with_asked
from ._rows import Asked, fail, keys
from ._source import Item, read_items

#: From the most to the least particular.
FORMATS: dict[str, ModuleType] = {
    "lm-eval": _lm_eval,
    "evalplus": _evalplus,
    "openai": _openai,
    "vllm": _vllm,
    "table": _table,
}


def read_rows(path: Path, format: str, asked: Asked, part: str) -> Iterator[Any]:
    """What a file's records say, ``part`` being "outputs" or "verdicts"."""
    check_choice(asked.where, "format", format, ("auto", *FORMATS))
    items: Iterator[Item] = read_items(path, asked.where)
    name = format
    if format == "auto":
        name, seen = _detect(items, asked, path)
        items = chain(seen, items)
        if (
            part == "verdicts"
            and not hasattr(FORMATS[name], part)
            and _table.judges(seen[-1], asked)
        ):
            name, format = "table", "table"  # responses beside verdicts of one's own
    if not hasattr(FORMATS[name], part):
        kinds = [n for n, f in FORMATS.items() if hasattr(f, part)]
        what = "results" if part == "verdicts" else "generations"
        raise ValueError(
            f"{asked.where}: {path}: is in the format {name}, which holds no {what}; expected one "
            f"of {', '.join(kinds)}."
        )
    module, rows = FORMATS[name], getattr(FORMATS[name], part)
    for item in module.whole(items, asked) if hasattr(module, "whole") else items:
        if not module.fits(item.value, asked) or (
            name == "table" and format == "auto" and _is_of_another(item, asked)
        ):
            raise _misfit(item, name, asked, forced=format != "auto")
        for row in rows(item, asked):
            yield with_asked(asked, item, row) if part == "outputs" and not row.error else row


def _detect(items: Iterator[Item], asked: Asked, path: Path) -> tuple[str, list[Item]]:
    """The format of the first record that is no failed request, and the records up to it."""
    seen = []
    for item in items:
        seen.append(item)
        name = _name(item, asked)
        if name == "openai" and _openai.is_error(item.value):
            continue
        if name is None:
            looked = "; ".join(f"{n}: {f.KEYS}" for n, f in FORMATS.items())
            raise fail(
                asked,
                item,
                f"is of no known format. Looked for {looked}. {keys(item)} If this is a table, "
                "name its column: task='...'.",
            )
        return name, seen
    if not seen:
        raise ValueError(f"{asked.where}: {path}: there are no records; expected one or more.")
    return "openai", seen


def _name(item: Item, asked: Asked) -> str | None:
    return next((n for n, f in FORMATS.items() if f.fits(item.value, asked)), None)


def _is_of_another(item: Item, asked: Asked) -> bool:
    """Whether a row of a table, which may hold anything, is a record of another format."""
    name = _name(item, asked)
    return name != "table" and not (name == "openai" and _openai.is_error(item.value))


def _misfit(item: Item, name: str, asked: Asked, forced: bool) -> ValueError:
    other = None if forced else _name(item, asked)
    if other not in (None, "table"):
        found = f"is in the format {other} and records before it are in {name}"
        return fail(asked, item, f"{found}; expected one format in a file.")
    return fail(asked, item, f"is no {name} record; expected {FORMATS[name].KEYS}. {keys(item)}")
