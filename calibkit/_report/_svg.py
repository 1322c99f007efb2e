"""Figures of matplotlib as SVG within a page: small, readable, without styles or clashing names."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple
from xml.etree import ElementTree

from .._core.optional import require
from .._core.printed import printable

_SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "calibkit", "savefig.bbox": "standard"}
#: Declarations that become attributes; of ``font`` only the size.
_KEPT = re.compile(r"fill|stroke|opacity|text-anchor|font-size")
#: A reference to an id, in an attribute written as name=value.
_LINK = re.compile(r"(href=#|url\(#)([^)]+)")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")


class Picture(NamedTuple):
    """A picture of a page: its title, and its markup."""

    title: str
    svg: Any


def inline_svg(draw: Callable[[], Any], key: str, title: str, description: str) -> Picture:
    """The figure of a display as a picture of a page.

    ``draw`` makes the display. ``key`` begins all ids, so it must differ between figures of a page.
    """
    matplotlib, pyplot = require("matplotlib", "html"), require("matplotlib.pyplot", "html")
    file = BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the browser has its own fonts
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        figure = draw().figure_
        for artist in figure.findobj():
            artist.set_gid(None)
            if hasattr(artist, "set_text"):
                lines = artist.get_text().split("\n")
                artist.set_text("\n".join(map(printable, lines)))
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
        pyplot.close(figure)
    root = ElementTree.fromstring(file.getvalue())
    _clean(root, key)
    width = float(root.attrib["viewBox"].split()[2])
    root.attrib |= {"width": f"{width * 4 / 3:.0f}", "class": "picture"}
    root.attrib |= {"role": "img", "aria-labelledby": f"{key}-title {key}-desc"}
    del root.attrib["height"]
    for i, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{key}-{tag}"})
        element.text = printable(text)
        root.insert(i, element)
    markup = ElementTree.tostring(root, encoding="unicode")
    return Picture(title, require("markupsafe", "html").Markup(markup))


def _clean(root: Any, key: str) -> None:
    """Drop namespaces, styles and metadata; keep and number the ids that something refers to."""
    for parent in list(root.iter()):
        for child in [c for c in parent if _bare(c.tag) in ("metadata", "style")]:
            parent.remove(child)
        if _bare(parent.tag) == "defs":  # what is used has the style of its use
            for child in parent.findall("{*}path"):
                child.attrib.pop("style", None)
    every = list(root.iter())
    given = (f"{_bare(name)}={value}" for e in every for name, value in e.attrib.items())
    links = dict.fromkeys(name for text in given for _, name in _LINK.findall(text))
    ids = {name: f"{key}-{i}" for i, name in enumerate(links)}
    for element in every:
        own = {_bare(name): value for name, value in element.attrib.items()}
        own |= _declared(own.pop("style", ""))
        if (name := own.pop("id", None)) in ids:
            own["id"] = ids[name]
        element.tag, element.tail = _bare(element.tag), None
        element.text = element.text if element.tag in ("text", "tspan") else None
        element.attrib.clear()
        for name, value in own.items():
            value = _LINK.sub(lambda m: m[1] + ids[m[2]], f"{name}={value}").partition("=")[2]
            if name in ("d", "x", "y", "transform"):
                value = _LONG_NUMBER.sub(lambda m: f"{float(m[0]):.2f}", " ".join(value.split()))
            element.attrib[name] = value


def _bare(name: str) -> str:
    return name.rpartition("}")[2]


def _declared(style: str) -> dict[str, str]:
    """The declarations of a style."""
    out = {}
    for part in style.split(";"):
        name, _, value = (s.strip() for s in part.partition(":"))
        if name == "font" and (size := re.search(r"[\d.]+px", value)):
            name, value = "font-size", size[0]
        if _KEPT.match(name):
            out[name] = value
    return out
