"""What a release hangs on: workflow files, the extras, versions, and a README without its links."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import calibkit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()
#: Modules that commands of workflows run, and what installs them.
MODULES = {"pip": "Python", "pytest": "test", "sphinx": "docs", "build": "pip", "twine": "pip"}


def loaded(path):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return yaml.load(path.read_text(), yaml.BaseLoader)


def steps(path):
    return [step for job in loaded(path)["jobs"].values() for step in job["steps"]]


def test_three_workflows():
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "docs.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_only_and_names_actions_by_their_commit(path):
    whole = loaded(path)
    assert whole["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in whole["jobs"].values())
    pinned = re.findall(r"uses: (\S+)@[0-9a-f]{40} # v[\d.]+$", path.read_text(), re.MULTILINE)
    assert pinned == [step["uses"].split("@")[0] for step in steps(path) if "uses" in step]
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": "false"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_commands_of_workflows_are_there(path):
    commands = [step["run"] for step in steps(path) if "run" in step]
    assert commands
    for words in map(str.split, commands):
        assert words[0] in ("bash", "python"), words
        if words[0] == "bash":
            script = (ROOT / words[1]).read_text()
            needed = set(re.findall(r"^python -m (\w+)", script, re.MULTILINE))
            installed = " ".join(commands).partition("pip install ")[2].split()
            assert needed <= set(installed), words
            continue
        assert words[1] == "-m", words
        assert words[2] in MODULES, words
        extras = re.findall(r'"\.\[(\w+)\]"', " ".join(words))
        assert set(extras) <= PROJECT["optional-dependencies"].keys(), words
        if words[2] == "sphinx":
            assert (ROOT / words[-2] / "conf.py").is_file(), words


def test_the_extra_all_has_what_users_need_and_no_tools():
    extras = PROJECT["optional-dependencies"]
    ours = set(extras) - {"test", "bench", "docs", "dev", "all"}
    (whole,) = extras["all"]
    assert whole.startswith("calibkit[")
    assert set(whole[len("calibkit[") : -1].split(",")) == ours
    for name in ours:
        assert f"`{name}`" in README, name


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_tag_must_be_the_version(tmp_path):
    """Nothing is built for a wrong tag, nor without a day in the changelog."""
    for name in (".ci/package", "calibkit/__init__.py", "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    version = calibkit.__version__

    def package(tag):
        command = ["bash", str(tmp_path / ".ci/package"), tag]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        return done.stdout.strip()

    assert package("v0.0.7") == f"The tag is v0.0.7; the version is {version}."
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {version} (unreleased)\n")
    said = f"CHANGELOG.md has no day for {version}: expected ## {version} (YYYY-MM-DD)."
    assert package(f"v{version}") == said


def test_versions_of_the_changelog():
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    days = [re.fullmatch(r"(\d+\.\d+\.\d+) \((.*)\)", heading) for heading in headings]
    assert all(days), headings
    assert days[0][1] == calibkit.__version__
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day[2]) for day in days[1:])


def test_the_readme_reads_well_where_links_do_not_resolve():
    """As on PyPI: the text of a link to a file is the file's name, and pictures have a text."""
    text, _, more = README.partition("\n## More\n")
    found = re.findall(r"(!?)\[([^]]+)\]\((?!https?:|#)([^)#]+)[^)]*\)", text)
    assert len(found) > 8
    for picture, said, target in found:
        assert (len(said) > 40) if picture else (said == target), (said, target)
    assert more.strip().startswith("In the repository: ")


def test_no_address_is_invented():
    """Until they are public, neither the repository nor the site has one."""
    assert "urls" not in PROJECT
    for name in ("CITATION.cff", "README.md", "docs/index.md", "SECURITY.md"):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://\S*calibkit|^(url|repository-code):", text, re.MULTILINE)
