"""The state in which guides and examples start, and their order; pictures come first."""

from __future__ import annotations

import re
from typing import Any

import matplotlib as mpl

_TITLE = re.compile(r"^(.+)\n=+\n", re.MULTILINE)
_CODE = re.compile(r"^\.\. GENERATED FROM PYTHON SOURCE LINES [^\n]*\n\n\.\. code-block::", re.M)
_PICTURE = re.compile(r"^\.\. image-sg::[^\n]*\n(?:   [^\n]*\n)+", re.MULTILINE)

#: The examples of the gallery, from what most readers need to what few need.
_ORDER = [
    *("wrap_a_classifier", "saved_scores", "compare_calibrators", "save_and_load"),
    *("many_classes", "few_rows", "rare_events", "compare_models"),
    *("groups_of_rows", "decision_curve", "answer_when_sure", "certify_a_model"),
    *("search_in_a_pipeline", "score_generated_code", "score_in_sql", "stream_that_drifts"),
    *("late_labels", "another_base_rate", "matrix_scaling", "dependent_rows"),
    *("counts_as_labels", "tests_of_calibration"),
]


class Order:
    """The order of the examples of a folder: by ``_ORDER``, and others behind them by name."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, file: str) -> tuple[int, str]:
        name = file.removesuffix(".py")
        return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


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
