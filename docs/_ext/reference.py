"""The reference: one page for each public name, and ``docs/api.md`` with links to them.

``tests/api_page.py`` says what is public and in which order.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from trust import linked_from_docs

from tests import api_page

FOLDER = "api"
#: A link whose text is the name of a file: on the site its text is the title of the page.
TITLED = re.compile(r"\[`?docs/\w+\.md`?\]\((?=[^)]+\.md)")


def directive(name: str, obj: object) -> list[str]:
    """What documents an object."""
    if name in api_page.TEXTS:
        return described(name, obj)
    if inspect.isclass(obj):
        return [
            f".. autoclass:: {name}",
            "   :members:",
            "   :inherited-members: dict, str, tuple, Exception",
        ]
    if callable(obj):
        return [f".. autofunction:: {name}"]
    return [f".. autodata:: {name}", "   :no-value:"]


def described(name: str, obj: object) -> list[str]:
    """What documents a constant or a type: they have no docstring of their own."""
    text = re.sub(r"`+([^`]+)`+", r"``\1``", api_page.TEXTS[name])
    lines = [f".. py:data:: {name}", "", f"   {text}", ""]
    if isinstance(obj, tuple):
        return [*lines, *(f'   - ``"{value}"``' for value in obj)]
    return [*lines, f"   ``{obj}``"]


def page(name: str, obj: object) -> str:
    """The page of one name."""
    title = name.removeprefix("calibkit.")
    module = name.rpartition(".")[0]
    lines = [title, "=" * len(title), "", f".. currentmodule:: {module}", ""]
    return "\n".join([*lines, *directive(name, obj), ""])


def write_pages(app: Sphinx) -> None:
    """Write the pages, and leave those alone that stay the same: Sphinx reads only new ones."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    pages = {f"{name}.rst": page(name, obj) for name, obj in api_page.public_names().items()}
    for old in folder.glob("*.rst"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def toctree(title: str, names: list[str]) -> str:
    """The entries of one section, for the list at the side."""
    caption = title.replace("`", "")
    entries = "\n".join(f"{n.removeprefix('calibkit.')} <{FOLDER}/{n}>" for n in names)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n"


def shorter(found: re.Match[str]) -> str:
    """A name without the package, which leads to its page."""
    return f"[`{found[1].removeprefix('calibkit.')}`]({FOLDER}/{found[1]}.rst)"


def with_pages(text: str) -> str:
    """``docs/api.md``, whose names lead to their pages instead of to the source."""
    forge = api_page.HEAD.partition("\n\n")[2]
    text = text.replace(forge, "In the order in which you are likely to need them.\n")
    text = re.sub(r"\[`(calibkit\.[\w.]+)`\]\([^)]+\)", shorter, text)
    for title, names in api_page.by_section(api_page.public_names()):
        text = text.replace(f"## {title}\n", f"## {title}\n\n{toctree(title, names)}")
    return text


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Change pages that are read on a forge too, so that they fit into the site."""
    if name == "api":
        source[0] = with_pages(source[0])
    if not name.startswith(("api/", "auto_")):
        source[0] = re.sub(r"\[([^\]]+)\]\(\.\./README\.md[^)]*\)", r"\1", source[0])
        source[0] = linked_from_docs(source[0])
        source[0] = TITLED.sub("[](", source[0])


def link_pages(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Make links of the pages that a docstring names by their files."""
    lines[:] = [re.sub(r"``docs/(\w+)\.md``", r":doc:`/\1`", line) for line in lines]


def is_others(obj: object) -> bool:
    """Whether a member is inherited from another project, such as scikit-learn."""
    function = getattr(obj, "fget", None) or getattr(obj, "__func__", obj)
    module = getattr(function, "__module__", None)
    builtin = inspect.ismethoddescriptor(obj) or inspect.isbuiltin(obj)
    return builtin or bool(module and not module.startswith("calibkit"))


def skip(app: Sphinx, what: str, name: str, obj: object, skipped: bool, options: Any) -> bool:
    """Leave out what other projects describe."""
    return skipped or name.startswith("_") or (what == "class" and is_others(obj))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", read)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", link_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
