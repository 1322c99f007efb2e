"""Texts of others, fit to be printed: names of columns, labels, cells and files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

#: What a terminal may obey, or show as something else than it is: controls, marks that turn the
#: direction of writing, halves of pairs, and spaces that look like none.
_ODD = re.compile(r"[^\x21-\x7e ]")


def printable(text: str) -> str:
    """The text with what can't be seen written out: ``\\x1b``, ``\\n``, ``\\u202e``.

    All that is printed goes through here; line ends are for whoever makes lines.
    """
    if text.isprintable():
        return text
    return _ODD.sub(lambda m: m[0] if m[0].isprintable() else repr(m[0])[1:-1], text)


#: NumPy 2 writes its numbers as ``np.float64(0.5)``, and can write them as NumPy 1 did.
_PLAIN: Any = {} if np.lib.NumpyVersion(np.__version__) < "2.0.0" else {"legacy": "1.25"}
#: Longest value in a message.
_MOST = 500


def spelled(value: Any) -> str:
    """A value as it stands in a message: on one line, and NumPy's as Python's own.

    Of an error what it says.
    """
    with np.printoptions(**_PLAIN):
        text = repr(value)
    if isinstance(value, Exception):
        text = re.sub(r"\bnp\.\w+\(([^()]*)\)", r"\1", str(value))
    text = re.sub(r"\n\s*", " ", text)
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."


def few(values: Iterable[Any], most: int = 5) -> str:
    """The first values of a list, and how many there are: ``1, 2, 3, 4, 5, ... (57 in all)``."""
    values = values.tolist() if isinstance(values, np.ndarray) else list(values)
    more = f", ... ({len(values)} in all)" if len(values) > most else ""
    return ", ".join(map(spelled, values[:most])) + more


def as_sql(name: str) -> str:
    """A name as it stands in SQL, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def a_type(value: Any) -> str:
    """The type of a value with its article: "a str", "an int"."""
    name = "NoneType" if value is None else type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def quoted(name: str) -> str:
    """A name as it stands in a sentence: in quotes if it holds blanks, commas or nothing."""
    plain = name.isprintable() and re.fullmatch(r"[^\s,'\"]+", name)
    return name if plain else printable(json.dumps(name, ensure_ascii=False))


def p_text(p: float) -> str:
    """A p-value to print."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def listed(names: list[str], most: int = 12, what: str = "columns") -> str:
    """The first names of a list, each cut to 40 characters, and how many there are."""
    more = f", ... ({len(names)} {what})" if len(names) > most else ""
    return ", ".join(quoted(n if len(n) <= 40 else n[:39] + "…") for n in names[:most]) + more
