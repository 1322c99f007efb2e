"""Texts of others, fit to be printed: names of columns, labels, cells and files."""

from __future__ import annotations

import json
import re

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


def quoted(name: str) -> str:
    """A name as it stands in a sentence: in quotes if it holds blanks, commas or nothing."""
    plain = name.isprintable() and re.fullmatch(r"[^\s,'\"]+", name)
    return name if plain else printable(json.dumps(name, ensure_ascii=False))


def listed(names: list[str], most: int = 12, what: str = "columns") -> str:
    """The first names of a list, each cut to 40 characters, and how many there are."""
    more = f", ... ({len(names)} {what})" if len(names) > most else ""
    return ", ".join(quoted(n if len(n) <= 40 else n[:39] + "…") for n in names[:most]) + more
