"""A strict type checker takes a right program, and refuses each line of a wrong one."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
RIGHT, WRONG = DATA / "user_program.py", DATA / "wrong_program.py"
Said = list[tuple[str, int, str]]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """Of every line that the checker remarks on, in both programs: file, line and what it says."""
    api = pytest.importorskip("mypy.api")
    cache, settings = tmp_path_factory.mktemp("mypy"), DATA.parents[1] / "pyproject.toml"
    # The settings leave out dependencies without types; calibkit's own lines have their own check.
    options = f"--strict --config-file={settings} --cache-dir={cache} --follow-imports=silent"
    out, trouble, _ = api.run([*options.split(), str(RIGHT), str(WRONG)])
    assert not trouble
    lines = re.findall(r"^(.+?):(\d+): (error|note): (.*)$", out, flags=re.MULTILINE)
    assert lines
    return [(Path(file).name, int(line), f"{kind}: {text}") for file, line, kind, text in lines]


def marked(program: Path) -> list[tuple[int, str]]:
    """Lines that end with what is expected of them."""
    lines = enumerate(program.read_text().splitlines(), 1)
    return [(i, line.split("  # ")[1]) for i, line in lines if "  # " in line]


def test_a_right_program_is_not_refused(said: Said) -> None:
    assert [one for one in said if one[0] == RIGHT.name and one[2].startswith("error")] == []


def test_fit_gives_the_class_itself_and_tables_add_up(said: Said) -> None:
    shown = [(i, re.sub(r"[\w.]+\.", "", text)) for file, i, text in said if file == RIGHT.name]
    assert shown == [(i, f'note: Revealed type is "{name}"') for i, name in marked(RIGHT)]


def test_every_mistake_is_refused(said: Said) -> None:
    refused = [(i, text) for file, i, text in said if file == WRONG.name and "error: " in text]
    assert [(i, text[text.rindex("[") + 1 : -1]) for i, text in refused] == marked(WRONG)
    assert len(refused) > 25


def test_the_right_program_runs(tmp_path: Path) -> None:
    assert len(runpy.run_path(str(RIGHT))["main"](tmp_path)) == 11
