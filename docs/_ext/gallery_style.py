"""The state in which each script of the guides and the gallery starts; pictures come first."""

from __future__ import annotations

import re
from typing import Any

import matplotlib as mpl

_TITLE = re.compile(r"^(.+)\n=+\n", re.MULTILINE)
_CODE = re.compile(r"^\.\. GENERATED FROM PYTHON SOURCE LINES [^\n]*\n\n\.\. code-block::", re.M)
_PICTURE = re.compile(r"^\.\. image-sg::[^\n]*\n(?:   [^\n]*\n)+", re.MULTILINE)


def reset(gallery_conf: dict[str, Any], file: str) -> None:
    """Make figures small."""
    mpl.rcParams.update({"figure.figsize": (6.4, 4.4), "savefig.dpi": 100, "figure.dpi": 100})


def picture_first(text: str) -> str:
    """Move the first picture of an example above the code that draws it, and describe it."""
    title, code, picture = _TITLE.search(text), _CODE.search(text), _PICTURE.search(text)
    if not (title and code and picture):
        return text
    described = re.sub(r":alt: .*", lambda _: f":alt: {title[1]}", picture[0])
    rest = text[code.start() : picture.start()] + text[picture.end() :]
    return f"{text[: code.start()]}{described}\n{rest}"


def _read(app: Any, page: str, source: list[str]) -> None:
    if page.startswith("auto_gallery/"):
        source[0] = picture_first(source[0])


def setup(app: Any) -> dict[str, bool]:
    """Register this module with Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
