"""What the commands print: nothing that a terminal would obey, and no advice it can't take."""

from __future__ import annotations

import json
import os
import re
import sys

import numpy as np
import pytest

import calibkit
import calibkit._cli as cli_module
from calibkit import PlattCalibrator, save
from calibkit._cli.console import json_text
from calibkit._core.printed import printable, quoted
from calibkit._tables.records import places_of
from calibkit._tables.table import find_columns

from .runner import APP, RUNNER

#: Sets the colour, clears the screen, rings, turns the direction of writing, and begins a line.
HOSTILE = "\x1b[31m\x1b[2J\x07\u202ep\x9b1m\nq"
ESCAPED = r"\x1b[31m\x1b[2J\x07\u202ep\x9b1m\nq"
BLANK = " score"
QUICK = ["--resamples", "20"]


def _table(path, name):
    """Scores, labels, groups and signals in CSV, with this text in the header and in cells."""
    rng = np.random.default_rng(0)
    p = rng.random(60)
    y = (rng.random(60) < p).astype(int)
    columns = {
        name: p,
        "p": p,
        "y": y,
        "odd": np.where(y == 1, f"yes{name}", f"no{name}"),
        "task_id": [f"{i}{name}" for i in range(60)],
        "by": [f"{i % 2}{name}" for i in range(60)],
        "passed": (rng.random(60) < p).astype(int),
        name + "2": 2 + p,
    }
    cells = [[str(v).replace('"', '""') for v in (head, *body)] for head, body in columns.items()]
    rows = ['"' + '","'.join(row) + '"' for row in zip(*cells, strict=True)]
    path.write_text("\n".join(rows) + "\n")


def _y(name):
    return ["--label", "y", "--prob", name]


#: Each command, by a name and its exit code, of a table, a text and what it writes.
COMMANDS = {
    ("report", 0): lambda t, x, out: ["report", t, *_y(x), *QUICK],
    ("report, text labels", 0): lambda t, x, out: [
        "report", t, "--label", "odd", "--prob", "p", "--prob", x, *QUICK],
    ("report, groups", 0): lambda t, x, out: ["report", t, *_y(x), *QUICK, "--group", "by"],
    ("report, by", 0): lambda t, x, out: [
        "report", t, *_y(x), "--prob", "p", *QUICK, "--by", "odd"],
    ("report, no such column", 1): lambda t, x, out: ["report", t, *_y(x + "3")],
    ("report, no numbers", 1): lambda t, x, out: ["report", t, *_y("by")],
    ("report, no probabilities", 1): lambda t, x, out: ["report", t, *_y(x + "2")],
    ("report, no such label", 1): lambda t, x, out: ["report", t, *_y("p"), "--positive", x],
    ("fit", 0): lambda t, x, out: ["fit", t, *_y(x), "-o", out / f"{x[:2]}f.json"],
    ("fit, two columns", 1): lambda t, x, out: [
        "fit", t, *_y("p"), "--prob", x, "-o", out / "f.json"],
    ("apply", 0): lambda t, x, out: [
        "apply", out / "c.json", t, "--prob", x, "-o", out / f"{x[:2]}o.csv"],
    ("apply, column taken", 1): lambda t, x, out: [
        "apply", out / "c.json", t, "--prob", "p", "-o", out / "o.csv", "--column", x],
    ("stream", 0): lambda t, x, out: ["stream", t, *_y(x), "-o", out / f"{x[:2]}s.csv"],
    ("stream, bad label", 1): lambda t, x, out: [
        "stream", t, "--prob", "p", "--label", "odd", "-o", out / "s.csv"],
    ("stream, bad score", 1): lambda t, x, out: ["stream", t, *_y(x + "2"), "-o", out / "s.csv"],
    ("evaluate", 0): lambda t, x, out: [
        "codegen", "evaluate", t, "--signal", x, *QUICK, "--by", "by", "--no-plots"],
    ("evaluate, all", 0): lambda t, x, out: ["codegen", "evaluate", t, *QUICK, "--no-plots"],
    ("evaluate, no such", 1): lambda t, x, out: ["codegen", "evaluate", t, "--signal", x + "3"],
    ("policy", 0): lambda t, x, out: [
        "codegen", "policy", t, "--signal", x, "-o", out / f"{x[:2]}r.json"],
    ("decide", 0): lambda t, x, out: [
        "codegen", "decide", t, out / "rule.json", "-o", out / "d.csv"],
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("terminal")
    save(PlattCalibrator().fit([0.1, 0.4, 0.6, 0.8], [0, 1, 0, 1]), base / "c.json")
    for name in (HOSTILE, BLANK):
        folder = base / name
        folder.mkdir()
        _table(folder / "t.csv", name)
    rule = ["codegen", "policy", base / HOSTILE / "t.csv", "--signal", "p", "-o"]
    RUNNER.invoke(APP, [*map(str, rule), str(base / "rule.json")])
    return base


@pytest.mark.parametrize("colour", [False, True], ids=["piped", "terminal"])
@pytest.mark.parametrize(("name", "code"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_nothing_that_a_terminal_obeys_is_printed(base, name, code, colour):
    """Headers, cells, labels and the name of the file hold it; what is ours may colour."""
    args = COMMANDS[name, code](base / HOSTILE / "t.csv", HOSTILE, base)
    env = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "200"} if colour else {}
    result = RUNNER.invoke(APP, [str(a) for a in args], env=env)
    assert result.exit_code == code, result.output + repr(result.exception)
    text = result.stdout + result.stderr
    for sign in HOSTILE.replace("\x1b", "").replace("\n", ""):
        assert sign.isprintable() or sign not in text
    assert "\x1b[2J" not in text
    assert colour or all(line.isprintable() for line in text.splitlines())
    if code and not colour:
        assert len(result.stderr.splitlines()) == 1
        assert result.stderr.startswith("calibkit: error: ")


def test_names_with_blanks_stand_in_quotes(base):
    """A blank before a name is seen where the name stands in a sentence."""
    path = base / BLANK / "t.csv"
    for (name, code), command in COMMANDS.items():
        if name in ("report, no such column", "report, no probabilities", "stream, bad score"):
            args = [str(a) for a in command(path, BLANK, base)]
            result = RUNNER.invoke(APP, args)
            assert result.exit_code == code
            assert f'"{BLANK}' in result.stderr
    result = RUNNER.invoke(APP, ["report", str(path), *_y("score")])
    assert f'has: "{BLANK}", p, y, odd' in result.stderr
    assert quoted("p_cat") == "p_cat"
    assert [quoted(x) for x in ("a b", "", "a,b", "x\ty", 'q"')] == [
        '"a b"', '""', '"a,b"', '"x\\ty"', '"q\\""']  # fmt: skip


def test_json_is_exact_and_nothing_in_it_obeyed(base):
    path = base / HOSTILE / "t.csv"
    result = RUNNER.invoke(APP, ["report", str(path), *_y(HOSTILE), *QUICK, "--json"])
    found = json.loads(result.stdout)
    assert found["file"] == str(path)
    assert found["models"][0]["name"] == HOSTILE
    assert all(line.isprintable() for line in result.stdout.splitlines())
    odd = {"é\x7f\x85\u2028": ["\x00\U0001f600\U000e0001\ud800"]}
    assert json.loads(json_text(odd)) == odd
    assert "é" in json_text(odd)
    assert "\N{GRINNING FACE}" in json_text(odd)


def test_usage_errors_quote_no_escapes(base, capfd, monkeypatch):
    """Of options and arguments too, such as the names of files that a shell puts in."""
    monkeypatch.setattr(sys, "argv", ["calibkit", "report", "a.csv", HOSTILE, *_y("p")])
    with pytest.raises(SystemExit) as stop:
        cli_module.main()
    assert stop.value.code == 2
    error = capfd.readouterr().err
    assert "unexpected extra argument" in error
    assert r"\x1b[31m" in error
    assert all(line.isprintable() for line in error.splitlines())


def test_printable_leaves_what_can_be_seen():
    for text in ("Größe (m²) 温度 \N{GRINNING FACE}", "a b", ""):
        assert printable(text) is text
    assert printable(HOSTILE) == ESCAPED
    assert printable("\udcff\xa0") == r"\udcff\xa0"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["fit", "t.csv", *_y("p"), "-o", "c", "--calibrator", "sigmoid"], "'platt'"),
        (["stream", "t.csv", *_y("p"), "--method", "sigmoid"], "'online_platt'"),
        (["codegen", "evaluate", "t.csv", "--calibrator", "sigmoid"], "'platt'"),
        (["codegen", "policy", "t.csv", "--calibrator", "sigmoid", "-o", "r.json"], "'platt'"),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_names_of_other_packages_get_a_hint(base, command, words, monkeypatch):
    monkeypatch.chdir(base / BLANK)
    if "codegen" in command:
        command = [*command, "--signal", "p"]
    result = RUNNER.invoke(APP, command)
    assert result.exit_code in (1, 2)
    assert f"did you mean {words}" in result.stderr
    assert not os.path.exists("c")


class Counting(list):
    """A list that counts the items which look-ups by value go through."""

    looked = 0

    def __contains__(self, value):
        Counting.looked += len(self)
        return super().__contains__(value)

    def index(self, *args):
        Counting.looked += len(self)
        return super().index(*args)

    def count(self, value):
        Counting.looked += len(self)
        return super().count(value)


@pytest.mark.parametrize("asked", ["c*", "all"], ids=["pattern", "names"])
def test_columns_are_found_at_linear_cost(asked):
    """Each name is looked up by hash: 20,000 columns took 4 seconds."""
    for n in (1000, 2000, 4000):
        columns = Counting(f"c{i}" for i in range(n))
        Counting.looked = 0
        names = [asked] if asked == "c*" else [",".join(columns)]
        assert find_columns("--prob", names, columns, "t.csv") == columns
        assert places_of(columns)[f"c{n - 1}"] == n - 1
        assert Counting.looked <= 2 * n


# -- advice ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd_table(tmp_path_factory):
    """Columns that each command must refuse, or warn of, in one way or another."""
    rng = np.random.default_rng(0)
    n = 60
    p, P = rng.random(n), rng.dirichlet([1.0, 1.0, 1.0], n)
    y = (rng.random(n) < p).astype(int)
    at = np.arange(n)
    columns = {
        "y": y, "p": p, "rev": 1 - p, "big": 100 * p, "neg": -p, "huge": 1e300 * p,
        "nan": np.where(at == 3, np.nan, p), "inf": np.where(at == 3, np.inf, p), "cont": p - 0.5,
        "half": np.full(n, 0.5), "hard": y, "one": np.ones(n, int), "three": at % 3,
        "frac": at % 5 / 4, "k": np.array(["a", "b", "c"])[P.argmax(1)],
        "w": np.where(at == 2, -1, 1),
        "zero": np.zeros(n, int), "gap": np.where(at == 4, "", y.astype(str)), "task_id": at,
        "text": np.where(rng.random(n) < p, "90%", "so so"), "tied": p.round(1),
        "passed": (rng.random(n) < p) * 1,
    }  # fmt: skip
    for i, c in enumerate("abc"):
        columns |= {f"p_{c}": P[:, i], f"s_{c}": 2 * P[:, i], f"l_{c}": 7 * P[:, i] - 3}
    path = tmp_path_factory.mktemp("odd") / "t.csv"
    rows = [
        ",".join(map(str, row)) for row in zip(*(v.tolist() for v in columns.values()), strict=True)
    ]
    path.write_text("\n".join([",".join(columns), *rows]) + "\n")
    (path.parent / "few.csv").write_text("\n".join([",".join(columns), *rows[:4]]) + "\n")
    save(PlattCalibrator().fit(p, y), path.parent / "two.json")
    save(PlattCalibrator(scale="logit").fit(p - 0.5, y), path.parent / "logit.json")
    save(calibkit.TemperatureCalibrator(classes=["a", "b", "c"]).fit(P, columns["k"][::-1]),
         path.parent / "three.json")  # fmt: skip
    return path


def _refused():
    """Commands on such columns, each with its words."""
    for prob in ("rev", "big", "neg", "huge", "nan", "inf", "half", "hard", "p"):
        for logit in ([], ["--logit"]):
            yield ["report", "few.csv", *_y(prob), "--resamples", "10", "--bins", "2", *logit]
            yield ["stream", "t.csv", *_y(prob), "-o", "s.csv", *logit]
            yield ["fit", "t.csv", *_y(prob), "-o", "f.json", *logit]
            yield ["choose", "t.csv", *_y(prob), "--calibrators", "platt", "--folds", "2", *logit]
        yield ["apply", "two.json", "t.csv", "--prob", prob, "-o", "o.csv"]
        yield ["apply", "logit.json", "t.csv", "--prob", prob, "-o", "o.csv"]
    for label in ("one", "three", "cont", "frac", "k", "gap"):
        for prob in ("p", "p_*"):
            yield ["report", "few.csv", "--label", label, "--prob", prob, *QUICK, "--bins", "2"]
            yield ["fit", "t.csv", "--label", label, "--prob", prob, "-o", "f.json"]
            yield ["fit", "t.csv", "--label", label, "--prob", prob, "-o", "f.json",
                   "--calibrator", "isotonic"]  # fmt: skip
        yield ["stream", "t.csv", "--label", label, "--prob", "p", "-o", "s.csv"]
        yield ["choose", "t.csv", "--label", label, "--prob", "p", "--folds", "70"]
    for prob in ("s_*", "l_*", "p_*", "p_a,p_b"):
        yield ["report", "t.csv", "--label", "k", "--prob", prob, *QUICK, "--kind", "binary"]
        yield ["fit", "t.csv", "--label", "k", "--prob", prob, "-o", "f.json"]
        yield ["apply", "three.json", "t.csv", "--prob", prob, "-o", "o.csv"]
    for option, column in (("--weight", "w"), ("--weight", "zero"), ("--group", "one")):
        yield ["report", "t.csv", *_y("p"), *QUICK, option, column]
    for bins in ("70", "100000"):
        yield ["report", "t.csv", *_y("p"), *QUICK, "--bins", bins]
        for name in ("histogram", "scaling_binning"):
            yield [
                "fit",
                "t.csv",
                *_y("tied"),
                "-o",
                "f.json",
                "--calibrator",
                name,
                "--bins",
                bins,
            ]
    for name in ("histogram", "scaling_binning"):
        yield ["fit", "t.csv", *_y("tied"), "-o", "f.json", "--calibrator", name, "--bins", "5"]
    for bad in ([], *_BAD):
        for signal in ("nan", "k") if bad else ("cont", "nan", "p"):
            args = ["few.csv" if bad else "t.csv", "--signal", signal, *bad]
            yield ["codegen", "evaluate", *args, "--resamples", "10", "--no-plots"]
            yield ["codegen", "policy", *args, *_COSTS]


_COSTS = ["--cost-accept-wrong", "1", "--cost-discard-right", "1"]
_BAD = (
    *([f"--{name}", "no"] for name in ("task", "sample", "group", "correct", "notion")),
    ["--stated", "text"],
    ["--calibrator", "sigmoid"],
    ["--score", "huge"],
)


def _options(command):
    """Options of a command, from its help."""
    text = RUNNER.invoke(APP, [*command, "--help"]).stdout
    return set(re.findall(r"--[a-z][a-z-]+", text))


#: What only Python can do: a setting, a call, a method.
PYTHON = re.compile(r"\b[a-z_]+=['\"\[{(]|\b[A-Za-z_]\w+\([^)\s]*=|\bnp\.|\.fit\(|predict_proba\(")


def test_no_message_advises_what_the_command_line_cant_do(odd_table, monkeypatch):
    """All options named are of the command, or of another that is named; and nothing is Python."""
    monkeypatch.chdir(odd_table.parent)
    known = {("codegen", c): _options(["codegen", c]) for c in ("evaluate", "policy")}
    known |= {(c,): _options([c]) for c in ("report", "choose", "fit", "apply", "stream")}
    seen = set()
    for args in _refused():
        result = RUNNER.invoke(APP, args)
        assert isinstance(result.exception, (SystemExit, type(None))), (args, result.exception)
        command = tuple(args[: 1 + (args[0] == "codegen")])
        said = result.stderr.splitlines()
        said += [
            x for x in result.stdout.splitlines() if "certificate" in x or x.startswith("# p:")
        ]
        for line in said:
            _, _, advice = line.partition("; expected")
            assert not PYTHON.search(advice or line), (args, line)
            for other, option in re.findall(r"(?:calibkit (\w+) )?(--[a-z][a-z-]+)", line):
                home = (other,) if other else command
                others = re.findall(r"calibkit (\w+) --", line)
                of_others = set().union(*(known.get((o,), set()) for o in others))
                assert option in known.get(home, set()) | of_others, (args, line)
            seen.add(line)
    assert len(seen) > 60


@pytest.mark.parametrize(
    ("command", "given", "meant"),
    [
        (["fit", "t.csv"], "--method", "--calibrator"),
        (["codegen", "policy", "t.csv"], "--method", "--calibrator"),
        (["stream", "t.csv"], "--calibrator", "--method"),
    ],
)
def test_options_of_other_commands_get_a_hint(base, command, given, meant, capfd, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["calibkit", *command, given, "beta"])
    with pytest.raises(SystemExit) as stop:
        cli_module.main()
    assert stop.value.code == 2
    error = capfd.readouterr().err
    assert f"No such option: {given}" in error
    assert meant in error
