"""The page of a report: one HTML file that loads nothing."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from .._core.optional import require
from .._core.printed import printable, quoted
from ._json import json_text
from ._svg import Picture

#: Texts of others longer than this are cut in the middle; the facts at the end have them whole.
_LONGEST = 60
#: Facts of more characters than this are not repeated at the end of the page.
_MOST_FACTS = 600_000


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, smaller lines below, what to sort by, and a mark."""

    text: str
    more: tuple[str, ...] = ()
    number: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class Grid:
    """A table that can be folded and sorted."""

    caption: str
    heads: list[str]
    rows: list[list[Cell]]
    is_open: bool = True

    def numeric(self, column: int) -> bool:
        """Whether a column has numbers."""
        return any(row[column].number is not None for row in self.rows)


@dataclass(frozen=True)
class Section:
    """A part of the page: sentences, pictures (SVG) and tables."""

    title: str
    lines: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    code: str = ""
    #: Whether pictures are wider than a phone.
    wide: bool = False

    @property
    def key(self) -> str:
        """The anchor of the section."""
        return re.sub(r"\W+", "-", self.title.lower())


@dataclass(frozen=True)
class Page:
    """What a page shows. ``names`` are texts of others, which may be long."""

    title: str
    subtitle: str
    lead: str
    verdict: list[str]
    is_bad: bool
    sections: list[Section]
    facts: dict[str, Any]
    names: Iterable[Any] = ()


def check_page() -> None:
    """Raise if what a page needs is not installed."""
    require("jinja2", "html")
    require("matplotlib", "html")


def page_text(page: Page) -> str:
    """The page as HTML: every text of others is escaped, and cut if it is long."""
    jinja2 = require("jinja2", "html")
    loader = jinja2.PackageLoader("calibkit", "_report/page")
    env = jinja2.Environment(
        autoescape=True,
        finalize=_Shown(page.names),
        loader=loader,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    markupsafe = require("markupsafe", "html")
    env.filters["whole"] = lambda text: markupsafe.escape(printable(text))
    parts = {n: _file(loader, env, n) for n in ("style.css", "script.js")}
    policy = "; ".join(
        f"{kind}-src 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
        for kind, text in zip(("style", "script"), parts.values(), strict=True)
    )
    text = json_text(page.facts)
    for c in "<>&":
        text = text.replace(c, f"\\u{ord(c):04x}")
    whole = markupsafe.Markup
    return str(
        env.get_template("page.html").render(
            page=page,
            style=whole(parts["style.css"]),
            script=whole(parts["script.js"]),
            policy=policy,
            facts=whole(text) if len(text) <= _MOST_FACTS else None,
        )
    )


def _file(loader: Any, env: Any, name: str) -> str:
    return str(loader.get_source(env, name)[0])


def cut(text: str) -> str:
    """A text of others, cut in the middle if it is long."""
    half = (_LONGEST - 1) // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[-half:]}"


class _Shown:
    """Makes texts printable, with long names cut; markup stays as it is."""

    def __init__(self, names: Iterable[Any]) -> None:
        long = sorted({str(n) for n in names if len(str(n)) > _LONGEST}, key=len, reverse=True)
        self._long = [(n, cut(n)) for n in long] + [(quoted(n), quoted(cut(n))) for n in long]

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, str) or hasattr(value, "__html__"):
            return value
        for long, short in self._long:
            value = value.replace(long, short)
        return printable(value)
