"""Exports as plain code: run in each language that is here, and compared with Python's results."""

import math
import re
import shutil
import subprocess

import numpy as np
import pytest

import calibkit
from calibkit import HistogramBinningCalibrator, MatrixScalingCalibrator, PlattCalibrator, export
from calibkit.base import InputError
from calibkit.decisions import QuantileCalibrator
from calibkit.export._check import check_export, compared
from calibkit.export._code import LANGUAGES, write_code
from calibkit.export._drivers import DRIVERS, run_unit
from calibkit.export._golden import ENGINES, golden_vectors
from calibkit.export._maps import _MAPS, program_of
from calibkit.export._program import (
    ELEMENTWISE,
    Program,
    affine,
    apply,
    column,
    constant,
    entry,
    pick,
    pick_at,
    place,
    reduce,
    stack,
)

from .test_export import BATCH, DECIDE, MORE, SIGNAL, fitted, five, of_class

MISSING = {
    language: f"{tool} is not on the PATH, so {driver.title} is not tested"
    for language, driver in DRIVERS.items()
    for tool in driver.tools
    if shutil.which(tool) is None
}
LANGUAGES_HERE = [
    pytest.param(name, marks=pytest.mark.skipif(name in MISSING, reason=MISSING.get(name, "")))
    for name in LANGUAGES
]
STEPS = np.array([-3.5, 0.2, np.nextafter(0.2, 1), 0.5, 0.7])
BESIDE = np.concatenate([STEPS, np.nextafter(STEPS, -9), np.nextafter(STEPS, 9)])
EDGES = np.concatenate([BESIDE, [0.0, -0.0, 1.0, 5e-324, np.nextafter(1, 0), np.nan, 1e300]])


def of_numbers():
    """A program of one column with every operation on numbers, and each kind of result."""
    x = column(0)
    step = place(x, STEPS)
    inside = apply("both", apply("less", 0.0, x), apply("less", x, 1.0))
    z = apply("log", x) - apply("log1p", -apply("minimum", x, 0.9))
    p = 1.0 / (1.0 + apply("exp", -(z * 1e3)))
    bin_ = entry(step, np.linspace(0.1, 0.9, 6))
    whole = entry(step, np.array([0, 1, 1, 0, 1, 0]))
    far = apply("both", apply("at_most", 0.3, x), apply("less", x, 0.9))
    mixed = apply("where", far, p, bin_)
    some, other = apply("maximum", mixed, 0.25) / 3.0, apply("minimum", bin_, p)
    odd = apply("where", apply("less", 0.3, bin_), some, other)
    facts = {"name": 'A "map"\n\\u000a \\', "inputs": ["x"]}
    facts["classes"] = ["it's \"\n\\", "\U0001f600 é\\u000a"]
    results = {"probability": odd, "label": whole, "promised": inside, "accept": far}
    return Program(1, results, inside, facts)


def of_vectors(k=3):
    """A program of k columns with every operation on vectors."""
    c = stack(*map(column, range(k)))
    matrix = np.arange(1.0, 1.0 + k * k).reshape(k, k) % 7 / 9
    z = affine(apply("log", apply("maximum", c, 1e-9)), matrix, np.linspace(-1, 1, k))
    e = apply("exp", z - reduce("largest", z))
    q = e / reduce("total", e)
    winner = reduce("winner", q)
    own = apply("at_most", reduce("largest", q), q)
    q = apply("where", apply("less", q, 0.2), apply("maximum", q, 0.1), q * np.arange(1.0, 1.0 + k))
    q = apply("where", own, pick(c, 1), q)
    results = {"probabilities": q, "label": winner, "own": pick_at(q, winner)}
    results |= {"decision": place(pick(c, 0), STEPS), "accept": apply("less", pick(c, 0), 0.5)}
    facts = {"name": "k", "classes": list(range(10, 10 + k)), "decisions": list("abcdef")}
    facts["inputs"] = [f"x{i}" for i in range(k)]
    return Program(k, results, apply("less", 0.0, -reduce("largest", -c)), facts)


def fixed():
    """Results that no input moves."""
    vector = constant(np.array([0.25, 1e-320, -np.inf]))
    facts = {"name": "fixed", "inputs": ["a", "b"]}
    return Program(2, {"quantiles": vector}, apply("less", 0.0, 1.0), facts)


def of_many():
    """More steps than Java holds as initial values."""
    step = place(column(0), np.linspace(0, 1, 4_501))
    results = {"probability": entry(step, np.linspace(0, 1, 4_502))}
    results["label"] = entry(step, np.arange(4_502))
    return Program(1, results, apply("less", 0.0, 1.0), {"name": "many"})


def rows(k, n=200, seed=0):
    columns = np.random.default_rng(seed).random((n, k))
    columns[: len(EDGES), 0] = EDGES
    return columns


def test_every_operation_is_tried():
    tried = {n.op for p in (of_numbers(), of_vectors(), fixed()) for n in p.nodes()}
    others = {"input", "constant", "stack", "pick", "pick_at", "total", "largest", "winner"}
    assert tried == {*ELEMENTWISE, *others, "affine", "place", "entry"}


@pytest.fixture(scope="module")
def objects():
    """Five fitted objects of every class, and each kind of threshold, policy and rule."""
    found = []
    for cls in sorted(_MAPS, key=lambda cls: cls.__name__):
        found += five(*of_class(cls, BATCH + MORE), n=150)
    rate = np.random.default_rng(0).binomial(8, SIGNAL[:300]) / 8
    quantiles = QuantileCalibrator().fit(SIGNAL[:300], rate, n_trials=8)
    return [make() for make in DECIDE.values()] + [quantiles, *found]


@pytest.mark.parametrize("language", LANGUAGES_HERE)
def test_agrees_with_the_object(language, objects):
    """Python runs them all; the others, which compile them, one of each class."""
    some = objects if language == "python" else objects[:9] + objects[10::5]
    write = getattr(export, f"to_{language}")
    codes = [write(obj, name=f"f{i}", labels=True) for i, obj in enumerate(some)]
    golden = [golden_vectors(obj, 250, labels=True) for obj in some]
    own = [of_numbers(), of_vectors(), of_vectors(40), of_many(), fixed()]
    codes += [write_code(program, language, f"g{i}") for i, program in enumerate(own)]
    golden += [(rows(p.n_inputs), p.run(rows(p.n_inputs))) for p in own]
    programs = [program_of(obj, labels=True) for obj in some] + own
    found = run_unit(codes, [columns for columns, _ in golden])
    for program, (_, expected), got in zip(programs, golden, found, strict=True):
        assert expected.keys() == got.keys() == program.results.keys()
        check = compared(program, got, expected, 1e-12, language)
        assert check.passed, f"{program.facts['name']}: {check}"


@pytest.mark.parametrize("language", LANGUAGES_HERE)
def test_check_export_runs_it(language):
    assert re.match(rf"{DRIVERS[language].title} .*\d\.", ENGINES[language][1]())
    if language in ("java", "rust"):  # slow to compile
        return
    cal = fitted(HistogramBinningCalibrator(n_bins=5))
    check = check_export(cal, getattr(export, f"to_{language}")(cal, labels=True), n=100)
    assert check.passed
    assert check.bins_exact


def test_an_absent_compiler_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    code = export.to_rust(fitted(PlattCalibrator()))
    with pytest.raises(InputError, match="rustc is not installed; expected rustc on the PATH"):
        ENGINES["rust"][0](code, np.ones((1, 1)))


@pytest.mark.parametrize(
    ("language", "names"),
    {
        "python": ["lambda", "math", "min", "T0"],
        "javascript": ["typeof", "Math", "T0"],
        "c": ["double", "exp", "fabs", "pow"],
        "java": ["static", "Math", "integer"],
        "rust": ["fn", "f64"],
    }.items(),
)
def test_names_that_a_language_refuses(language, names):
    cal = fitted(PlattCalibrator())
    for name in names:
        with pytest.raises(InputError, match=f"name='{name}' has another meaning in .*; expected"):
            getattr(export, f"to_{language}")(cal, name=name)
    for name in ("", "a b", "1a", "a;b", "é", None, "a\n"):
        with pytest.raises(InputError, match="expected the name of a function"):
            getattr(export, f"to_{language}")(cal, name=name)


def test_what_a_missing_score_gives():
    """None, and what is no number, is missing as NaN is: not 0."""
    space = {}
    cal = fitted(HistogramBinningCalibrator(n_bins=3))
    exec(export.to_python(cal, labels=True), space)
    assert [space["calibrate"](x) for x in (None, math.nan)] == pytest.approx(
        [math.nan] * 2, nan_ok=True
    )
    assert [space["calibrate_label"](x) for x in (None, math.nan, 7.0)] == [None] * 3
    assert space["calibrate_label"](0.999) == 1


@pytest.mark.skipif("javascript" in MISSING, reason=MISSING.get("javascript", ""))
def test_in_javascript_what_is_no_number_is_missing():
    code = export.to_javascript(fitted(HistogramBinningCalibrator(n_bins=3)), labels=True)
    code += (
        "console.log([null, undefined, '0.5', NaN].map(x => [calibrate(x), calibrate_label(x)]))"
    )
    found = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True).stdout
    assert found.count("NaN") == found.count("null") == 4


def test_whole_numbers_that_javascript_does_not_hold_are_places():
    cal = PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], [2**60, 2**60 + 1, 2**60, 2**60 + 1])
    code = export.to_javascript(cal, labels=True)
    assert code.facts["functions"]["label"][2] == []
    assert "classes: [1152921504606846976, 1152921504606846977]" in code
    if "javascript" not in MISSING:
        assert check_export(cal, code, n=200).passed


def test_the_comment_says_what_it_is():
    code = export.to_c(fitted(PlattCalibrator()), name="risk", labels=True)
    head = code[: code.index("#include")].splitlines()
    assert all(line.startswith("// ") for line in head)
    assert head[0] == f"// PlattCalibrator, exported by calibkit {calibkit.__version__}."
    assert head[1:3] == ['// Input (probability): ["score"]', "// classes: [0, 1]"]
    assert head[3] == "// risk: probability"
    assert head[4] == "//   nan -> NaN"
    assert len(head) == 4 + 2 * 9 - 1


def test_many_numbers_and_classes_stay_short():
    """Vectors are loops over arrays: twice as many classes are no more lines."""
    few, many = (
        export.to_c(fitted(MatrixScalingCalibrator(), k), name="f").count(";") for k in (5, 10)
    )
    assert few == many
