"""numpydoc's own validation of every public name."""

import dataclasses
import doctest
import inspect
import pkgutil
import pydoc
import re
import sys

import pytest
from numpydoc.validate import validate

import calibkit
import calibkit.displays

from . import api_page

#: Checks that are not held: matters of taste, or at odds with scikit-learn's own style.
IGNORED = {
    "ES01",  # no extended summary
    "SA01",  # no See Also
    "GL01", "GL02",  # where the text of the docstring begins and ends
    "GL08",  # methods inherited from scikit-learn
    "PR06", "PR08", "PR09",  # "str or None", capital letters and full stops in parameters
    "RT02", "RT03", "RT05",  # what is returned has a name, as in scikit-learn
    "SS05", "SS06",  # verbs: a metric is a noun
    "YD01", "EX01",
}  # fmt: skip

OBJECTS = {n: o for n, o in api_page.public_names().items() if n not in api_page.TEXTS}


def members():
    for name, obj in OBJECTS.items():
        yield name
        if not inspect.isclass(obj) or issubclass(obj, Warning):
            continue
        for method in vars(obj):
            function = inspect.getattr_static(obj, method)
            if method.startswith("_") or isinstance(function, property):
                continue
            if isinstance(function, (staticmethod, classmethod)) or inspect.isfunction(function):
                yield f"{name}.{method}"


def is_record(obj):
    """Whether a class only holds what a function returns: its fields are attributes."""
    made = inspect.isclass(obj) and (dataclasses.is_dataclass(obj) or issubclass(obj, tuple))
    return made and "Parameters\n" not in obj.__doc__


def validated(name):
    return OBJECTS.get(name)


def errors_of(name):
    errors = [e for e in validate(name)["errors"] if e[0] not in IGNORED]
    if "Warning" in name or name == "calibkit.ScoreTable" or is_record(validated(name)):
        errors = [e for e in errors if e[0] != "PR01"]  # fields are described as attributes
    return errors


@pytest.mark.parametrize("name", sorted(set(members())))
def test_docstring(name):
    assert errors_of(name) == []


def test_a_parameter_without_a_description_is_seen(monkeypatch):
    without = calibkit.brier_score.__doc__.replace("pos_label : label", "another : label")
    monkeypatch.setattr(calibkit.brier_score, "__doc__", without)
    assert {code for code, _ in errors_of("calibkit.brier_score")} == {"PR01", "PR02"}


#: Names without an example of their own, and why.
WITHOUT_EXAMPLE = {
    n: "the example of CalibrationWarning is for all of them"
    for n, o in OBJECTS.items()
    if inspect.isclass(o) and issubclass(o, Warning) and o is not calibkit.CalibrationWarning
}


def forgotten_modules(names):
    """Modules without an underscore whose names are neither public nor exported by calibkit."""
    parts = {m.name for m in pkgutil.iter_modules(calibkit.__path__) if m.name[0] != "_"}
    whole = {m.removeprefix("calibkit.") for m in api_page.MODULES}
    inner = {"calibrators", "displays", "metrics"}  # calibkit exports what is public of them
    yield from sorted(parts - whole - inner)
    shown = vars(calibkit.displays)
    yield from (n for n in shown if n.endswith("Display") and f"calibkit.{n}" not in names)


def without_docstring(names):
    """Names that numpydoc objects to, or that have no docstring."""
    for name, obj in names.items():
        if not (obj.__doc__ or "").strip() or errors_of(name):
            yield name


def run_by_pytest(obj):
    """The examples of an object that the doctests of its module run."""
    tests = doctest.DocTestFinder(recurse=False).find(obj, module=sys.modules[obj.__module__])
    return [e for t in tests for e in t.examples if doctest.SKIP not in e.options]


def without_example(names):
    """Names whose docstring has no section of examples, or none that runs."""
    for name, obj in names.items():
        doc = inspect.getdoc(obj) or ""
        found = "Examples\n--------" in doc and run_by_pytest(obj)
        if not found and name not in WITHOUT_EXAMPLE:
            yield name


def unmentioned(names):
    """Names that neither the README nor a page of docs mentions as code."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    words = {w for p in pages for code in CODE.findall(p.read_text()) for w in WORD.findall(code)}
    yield from (n for n in names if n.rpartition(".")[2] not in words)


ROOT, CODE, WORD = api_page.ROOT, re.compile(r"```.*?```|`[^`]+`", re.DOTALL), re.compile(r"\w+")
RULES = [forgotten_modules, without_docstring, without_example, unmentioned]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_every_public_name_has_docstring_example_and_entry(rule):
    assert len(OBJECTS) > 100  # a hollow run would check nothing
    assert list(rule(OBJECTS)) == []


def test_every_public_name_has_a_section_of_the_page():
    names = api_page.public_names()
    found = [n for _, some in api_page.by_section(names) for n in some]
    assert sorted(found) == sorted(names)
    assert all(api_page.summary(n, o) for n, o in names.items())


def documented(doc):
    def made(x):
        pass

    made.__doc__ = doc
    return made


EXAMPLE = "Do nothing.\n\nExamples\n--------\n>>> 1"


@pytest.mark.parametrize(
    ("rule", "doc"),
    [
        (without_docstring, None),
        (without_docstring, "Do nothing."),
        (without_example, None),
        (without_example, "Do nothing.\n\n>>> 1"),
        (without_example, f"{EXAMPLE}  # doctest: +SKIP"),
        (unmentioned, EXAMPLE),
    ],
)
def test_each_rule_catches_its_breach(rule, doc, monkeypatch):
    monkeypatch.setattr(calibkit, "made_up_name", made := documented(doc), raising=False)
    known = {"calibkit.brier_score": calibkit.brier_score}
    assert list(rule({**known, "calibkit.made_up_name": made})) == ["calibkit.made_up_name"]
    assert list(without_example({"calibkit.made_up_name": documented(EXAMPLE)})) == []


def test_a_forgotten_module_or_display_is_seen(monkeypatch):
    monkeypatch.setattr(api_page, "MODULES", [m for m in api_page.MODULES if "testing" not in m])
    without = {n: o for n, o in OBJECTS.items() if n != "calibkit.DriftDisplay"}
    assert list(forgotten_modules(without)) == ["testing", "DriftDisplay"]


@pytest.mark.parametrize("name", ["codegen", "decisions", "export", "online"])
def test_help_of_a_package_shows_what_it_holds(name):
    module = getattr(calibkit, name)
    assert {n for n in vars(module) if n[0] != "_"} == set(module.__all__)
    shown = pydoc.render_doc(module, renderer=pydoc.plaintext)
    assert all(n in shown for n in module.__all__)
