"""The page of a report: its facts, what it makes of hostile names, and what a browser says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import calibkit
from calibkit import GroupDisplay, ReliabilityDisplay, group_table, write_report
from calibkit._cli.page import in_shell
from calibkit._core.printed import printable
from calibkit._report import Problem, _sections, facts, inline_svg, report_page
from calibkit._report._page import cut, page_text
from calibkit.metrics import TESTS

from .runner import APP, RUNNER
from .simulate_codegen import write as write_generations

PAYLOADS = {
    "script": "<script>hacked=1</script>",
    "end of script": "</script><script>hacked=1</script>",
    "end of style": "</style><b>x</b>",
    "end of title": "</title><b>x</b>",
    "image": "<img src=x onerror=hacked=1>",
    "handler": '" onmouseover="hacked=1" x="',
    "quote": "' autofocus onfocus='hacked=1",
    "svg": "<svg onload=hacked=1><circle r=9/></svg>",
    "foreign": "</text></svg><iframe srcdoc='x'></iframe>",
    "mathml": "<math><mtext><img src=x onerror=hacked=1></mtext></math>",
    "url": "javascript:hacked=1",
    "link": "<a href='javascript:hacked=1'>x</a>",
    "template": "{{ 7 * 7 }}{% raw %}{# x #}",
    "cdata": "<![CDATA[<b>x</b>]]>",
    "comment": "--><!--<b>x</b>-->",
    "entities": "&lt;b&gt; &amp; &#60;b&#62; &nbsp",
    "right to left": "a\u202egnp.exe\u2066b",
    "zero width": "a\u200b\u200d\ufeffb",
    "long": "A" * 10_000,
    "long words": "many <b>words</b> " * 700,
    "null": "a\x00b\x08c",
    "terminal": "\x1b[31mred\x1b]0;title\x07",
    "shell": "$(touch hacked) `x` ; 'y' \"z\" \\",
    "lines": "a\nb\r\nc\u2028d",
    "mathtext": r"$\frac{1}{0}$ _x^y \N{BULLET}",
}
OURS = ("MODEL", "GROUP", "FILE", "LABEL", "EVENT")


class Seen(HTMLParser):
    """Elements with the names of their attributes, and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.values, self.text = [], [], ""
        self.feed(str(text))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs if name != "class")))
        self.values += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        self.text += data


def facts_in(text):
    """The facts at the end of a page."""
    return json.loads(re.search(r'id="facts">(.*?)</script>', text, re.DOTALL)[1])


def rows(n=80):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, n)
    y = (rng.random(n) < p**1.5).astype(int)
    return y, p, rng.integers(0, 2, n)


@pytest.fixture(scope="module")
def found():
    y, p, group = rows()
    y = np.where(y == 1, "EVENT", "A")
    problem = Problem(
        y, {"MODEL": p, "rival": p**2}, by={"column": np.array(["GROUP", "b"])[group]}
    )
    results = facts(problem, n_resamples=20)
    return {"calibkit": calibkit.__version__, "file": "FILE", "label": "LABEL", **results}


def renamed(value, name):
    """The same facts with another name in the place of each of ours."""
    if isinstance(value, str):
        return re.sub("|".join(OURS), lambda m: name, value)
    if isinstance(value, dict):
        return {k: renamed(v, name) for k, v in value.items()}
    return [renamed(v, name) for v in value] if isinstance(value, list) else value


def html(found, command="calibkit"):
    """A page without pictures, which have their own test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sections, "_MOST_PICTURES", 0)
        return page_text(report_page(found, None, command))


@pytest.fixture(scope="module")
def tags(found):
    return Seen(html(found)).tags


#: What may be seen: no controls, no marks of direction, no halves of pairs.
SEEN = re.compile(r"[\n -~\u00a0-\u00ac\u00ae-\u05ff\u2010-\u2027\u2030-\u205e\u2070-\u2fff]*")


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_hostile_names_stay_text(found, tags, payload):
    """Every element and attribute is one of the page with plain names; the name is text."""
    renamed_facts = renamed(found, payload)
    text = html(renamed_facts, in_shell(payload))
    seen = Seen(text)
    assert seen.tags == tags
    assert printable(cut(payload)) in seen.text
    assert SEEN.fullmatch(seen.text)
    assert facts_in(text) == renamed_facts


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_hostile_words_of_the_command_come_back_from_the_shell(payload):
    said = in_shell(payload)
    assert said.isprintable()
    if "\0" not in payload:  # which no word of a command can hold
        told = ["bash", "-c", f"printf '%s' {said}"]
        done = subprocess.run(told, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
        assert done.stdout.decode() == payload


@pytest.fixture(scope="module")
def picture():
    y, p, _ = rows(60)
    names = ["script", "svg", "template", "handler", "null", "long", "mathtext", "right to left"]
    models = dict.fromkeys([PAYLOADS[name] for name in names], p)
    display = ReliabilityDisplay.from_predictions(y, models, n_resamples=0)
    return inline_svg(display.plot, "key", "</title><script>x</script>", "\x00</desc><b>")


@pytest.fixture(scope="module")
def picture_of_groups():
    y, p, _ = rows(500)
    names = np.array(list(PAYLOADS.values()), dtype=object)[np.arange(500) % len(PAYLOADS)]
    display = GroupDisplay(group_table(y, p, by={PAYLOADS["svg"]: names}))
    return inline_svg(display.plot, "key", "title", "words")


@pytest.mark.parametrize("which", ["picture", "picture_of_groups"])
def test_hostile_names_in_a_picture_stay_text(which, request):
    seen = Seen(request.getfixturevalue(which).svg)
    assert {t for t, *_ in seen.tags} <= {
        "svg", "title", "desc", "g", "defs", "path", "use", "clippath", "rect", "text", "tspan"
    }  # fmt: skip
    assert not any(name.startswith("on") or name == "style" for _, name, _ in seen.values)
    assert all(value.startswith("#key-") for _, name, value in seen.values if name == "href")
    ids = [value for _, name, value in seen.values if name == "id"]
    assert len(set(ids)) == len(ids) > 2
    assert "<svg onload=" in seen.text
    assert SEEN.fullmatch(seen.text)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    y, p, group = rows()
    hostile = PAYLOADS["handler"]
    names = np.array([PAYLOADS["script"], PAYLOADS["svg"]])[group]
    path = tmp_path_factory.mktemp("page") / "<b> & 'x'.csv"
    pl.DataFrame({"y": y, hostile: p, "q": p**2, PAYLOADS["image"]: names}).write_csv(path)
    return path


def run(*args):
    result = RUNNER.invoke(APP, [str(a) for a in args])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def report(table, *options):
    columns = [f"--prob={PAYLOADS['handler']}", "--prob", "q", "--by", PAYLOADS["image"]]
    return run("report", table, "--label", "y", *columns, "--resamples", "20", *options)


@pytest.fixture(scope="module")
def page(table):
    """A page of hostile names, and what was printed."""
    path = table.parent / "r.html"
    return path, json.loads(report(table, "--html", path, "--json"))


def test_the_command_writes_what_json_prints_and_how_to_do_it_again(page):
    path, printed = page
    again = path.parent / "again.html"
    text = path.read_text()
    assert facts_in(text) == printed
    seen = Seen(text)
    for sentence in (*printed["verdict"], *printed["reading"], *printed["proofs"]):
        assert printable(sentence) in seen.text
    assert [t for t, *_ in seen.tags].count("script") == 2
    command = re.search("calibkit report .*", seen.text)[0]
    assert run(*shlex.split(command)[1:], "--html", again)  # the last one counts
    assert again.read_text().replace("again.html", "r.html") == text
    assert "http" not in re.sub(r"http-equiv", "", text)


def test_a_page_of_many_facts_is_cut_to_size():
    rng = np.random.default_rng(0)
    n = 4000
    p = rng.uniform(0.05, 0.95, n)
    problem = Problem(
        (rng.random(n) < p).astype(int), {"m": p}, by={"unit": (np.arange(n) % 2000).astype(str)}
    )
    results = facts(problem, n_resamples=20, tests=False)
    results = {"calibkit": "x", **results}
    text = html(results)
    assert len(text) < 300_000
    assert "1,800 more with --json" in text
    assert 'id="facts"' not in text
    assert "with --json" in Seen(text).text


def test_tests_run_on_a_subsample_that_is_stated(monkeypatch):
    from calibkit._report import _facts

    y, p, _ = rows()
    for scores in (p, 1 - p):  # the latter's note names a label
        plain = facts(Problem(y, {"m": scores}), n_resamples=20)["models"][0]
        monkeypatch.setattr(_facts, "_MOST_TESTED", 50)
        sorted_once = facts(Problem(y, {"m": scores}), n_resamples=20)["models"][0]
        monkeypatch.undo()
        assert {**sorted_once, "tests": plain["tests"]} == plain
    monkeypatch.setattr(_facts, "_MOST_TESTED", 50)
    problem = Problem(y, {"m": p}, weight=np.ones(len(y)), groups=np.arange(len(y)) // 5)
    tested = facts(problem, n_resamples=20)["models"][0]["tests"]
    assert tested["n"] == 50
    assert tested["notes"][0] == "Tests: on 50 of the 80 rows, drawn at random."
    assert "smooth" in {row["test"] for row in tested["rows"]}
    monkeypatch.setattr(_facts, "_MOST_SLOW", 79)
    tested = facts(problem, n_resamples=20)["models"][0]["tests"]
    assert tested["notes"][-1] == "Left out above 79 rows, being slow: smooth, smooth_logit."
    assert {row["test"] for row in tested["rows"]} == set(TESTS) - {"smooth", "smooth_logit"}


def test_only_what_the_verdict_uses_is_coloured_and_many_differences_are_folded():
    y, p, _ = rows(200)
    models = {f"m{i}": p ** (1 + i) for i in range(8)}
    results = {"calibkit": "x", **facts(Problem(y, models), n_resamples=20, tests=False)}
    sections = {s.title: s for s in report_page(results, None, "").sections}
    (grid,) = sections["Errors and scores"].grids
    marked = {grid.heads[i] for row in grid.rows for i, cell in enumerate(row) if cell.mark}
    assert marked == {"RMS cal. error"}
    assert "null" not in html(results).partition('id="facts"')[0].replace("(null)", "")
    best = results["comparison"]["reference"]
    said = sections["Difference of models"].lines[0]
    assert said.startswith(f"Differences are each model minus {best} on the same rows: above 0, ")
    assert not sections["Difference of models"].grids[0].is_open
    two = {**results, **facts(Problem(y, {"a": p, "b": p**2}), n_resamples=20, tests=False)}
    differences = report_page(two, None, "").sections[0]
    assert "below 0, a is better; above 0, b is" in differences.lines[0]
    assert differences.grids[0].is_open


def test_a_page_does_not_replace_the_file_of_standard_output(table):
    kept = table.parent / "kept.txt"
    with kept.open("w") as out:
        command = "from calibkit._cli.app import run; run()"
        args = ["report", table, "--label", "y", "--prob", "q", "--html", "/dev/stdout"]
        done = subprocess.run(
            [sys.executable, "-c", command, *args], stdout=out, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert "/dev/stdout: is not a regular file" in done.stderr
    assert kept.read_text() == ""


CASES = {
    "labels": lambda y, p: (np.where(y == 1, "yes", "no"), p, {}),
    "event": lambda y, p: (np.where(y == 1, "yes", "no"), p, {"pos_label": "no"}),
    "columns": lambda y, p: (y, np.column_stack((1 - p, p)), {}),
    "shares": lambda y, p: (np.clip(y + 0.25, 0, 1), p, {}),
    "weights": lambda y, p: (y, {"a": p, "b": p**2}, {"sample_weight": np.arange(len(y)) % 3}),
    "groups": lambda y, p: (y, p, {"groups": np.arange(len(y)) // 5, "by": np.arange(len(y)) % 2}),
    "classes": lambda y, p: (
        y + (p > 0.8), np.column_stack((1 - p, p / 2, p / 2)), {"name": "Three"}
    ),
    "classwise": lambda y, p: (
        y + (p > 0.8), np.column_stack((1 - p, p / 2, p / 2)), {"kind": "classwise"}
    ),
    "numbers": lambda y, p: (y.tolist(), np.round(p, 1).tolist(), {"n_bins": "auto"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_write_report_takes_what_the_metrics_take(case, tmp_path):
    y, p, options = case(*rows(150)[:2])
    path = tmp_path / "r.html"
    found = write_report(path, y, p, n_resamples=20, **options)
    assert Seen(path.read_text()).text.count(found["verdict"][0]) >= 1
    models = p if isinstance(p, dict) else {"Model": p}
    settings = {k: v for k, v in options.items() if k not in ("by", "name", "kind", "n_bins")}
    for model in found["models"]:
        e = calibkit.estimate("brier_score", y, models[model["name"]], level=0.9, **settings)
        brier = model["metrics"]["brier_score"]
        assert (brier["value"], brier["low"]) == pytest.approx((e.value, e.low))


def test_write_report_refuses_what_it_can_t_write_or_measure(tmp_path, monkeypatch):
    y, p, _ = rows(40)
    for wrong, said in (
        ({"path": tmp_path / "none" / "r.html"}, "no such directory"),
        ({"path": 3.5}, "path is a float"),
        ({"y_prob": {}}, "y_prob is an empty dict"),
        ({"y_prob": {"a": p, "b": p[:-1]}}, r"\(b\)"),
        ({"random_state": -1}, "random_state"),
    ):
        given = {"path": tmp_path / "r.html", "y_true": y, "y_prob": p, **wrong}
        with pytest.raises((ValueError, TypeError), match=f"write_report.*{said}"):
            write_report(**given)
    assert not (tmp_path / "r.html").exists()
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(
        ImportError, match=r'jinja2 is not installed: pip install "calibkit\[html\]'
    ):
        write_report(tmp_path / "r.html", y, p)


def test_codegen_and_streams_write_theirs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_generations(tmp_path)
    files = ["generations.jsonl", "results.json", "--signal", "average_token_probability"]
    few = ["--no-plots", "--resamples", "20", "--html", "c.html", "--json"]
    printed = json.loads(run("codegen", "evaluate", *files, *few))
    y, p, _ = rows(1500)
    pl.DataFrame({"y": y, "<b>p": p}).write_csv("s.csv")
    options = ["--label", "y", "-o", "o.csv", "--alarm", "0.1", "--html", "s.html", "--json"]
    streamed = json.loads(run("stream", "s.csv", "--prob", "<b>p", *options))
    for path, said in (("c.html", printed), ("s.html", streamed)):
        text = Path(path).read_text()
        assert facts_in(text) == said
        assert len(said["verdict"]) == 2
        assert all(s in Seen(text).text for s in said["verdict"])
        assert {t for t, *_ in Seen(text).tags} & {"svg", "b"} == {"svg"}
    again = re.search("calibkit stream .*", Seen(text).text)[0]
    assert shlex.split(again)[1:4] == ["stream", "s.csv", "--prob"]
    empty = ["--label", "y", "-o", "e.out.csv", "--html", "e.html"]
    Path("e.csv").write_text("y,p\n,0.5\n")
    run("stream", "e.csv", "--prob", "p", *empty)
    assert "No label arrived" in Path("e.html").read_text()


# -- in a browser --------------------------------------------------------------------------------


@pytest.fixture
def opened(browser, page):
    """Opens a page of hostile names; at the end, no error and no request may have been seen."""
    path, problems = page[0], []

    def opens(**settings):
        tab = browser.new_context(**settings).new_page()
        tab.on("console", lambda m: problems.append(m.text))
        tab.on("pageerror", lambda e: problems.append(str(e)))
        tab.on("dialog", lambda d: problems.append(d.message))
        tab.on("request", lambda r: problems.extend([r.url] * (not r.url.endswith("/r.html"))))
        tab.goto(path.as_uri())
        return tab

    yield opens
    assert problems == []


def test_the_page_sorts_and_folds(opened):
    page = opened()
    assert page.evaluate("typeof hacked") == "undefined"
    grid = page.locator("#errors-and-scores table")
    head = grid.locator("thead th").nth(2)
    cells = "e => [...e.tBodies[0].rows].map(r => +r.cells[2].dataset.n)"
    head.locator("button").focus()
    for order, sign in (("ascending", 1), ("descending", -1)):
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == order
        values = grid.evaluate(cells)
        assert values == sorted(values, key=lambda v: sign * v)
    folds = page.locator("section details")
    for name in ("Open all tables", "Close all tables"):
        page.get_by_role("button", name=name).click()
        assert {d.get_attribute("open") is not None for d in folds.all()} == {name[0] == "O"}
    facts = page.locator("#shown").text_content()
    assert json.loads(facts)["label"] == "y"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1400])
def test_the_page_is_accessible_and_fits(opened, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    found = axe.Axe().run(page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    assert [v["id"] for v in found] == []
