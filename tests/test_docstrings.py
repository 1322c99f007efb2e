"""numpydoc's own validation of every public name."""

import dataclasses
import inspect
import pydoc

import pytest
from numpydoc.validate import validate

import calibkit
import calibkit.base
import calibkit.codegen
import calibkit.decisions
import calibkit.testing

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

PUBLIC = [n for n in vars(calibkit) if not n.startswith("_") and n[0] != "_"]
OBJECTS = {
    name: getattr(calibkit, name)
    for name in [*PUBLIC, "ReliabilityDisplay", "DriftDisplay"]
    if inspect.isclass(getattr(calibkit, name)) or inspect.isfunction(getattr(calibkit, name))
}
OBJECTS |= {f"codegen.{n}": o for n, o in vars(calibkit.codegen).items() if n[0] != "_"}
OBJECTS |= {f"decisions.{n}": o for n, o in vars(calibkit.decisions).items() if n[0] != "_"}
OBJECTS |= {f"base.{n}": o for n, o in vars(calibkit.base).items() if n[0] != "_"}
OBJECTS = {n: o for n, o in OBJECTS.items() if getattr(o, "__module__", "").startswith("calibkit")}


def members():
    for name, obj in OBJECTS.items():
        yield f"calibkit.{name}"
        if not inspect.isclass(obj) or issubclass(obj, Warning):
            continue
        for method in vars(obj):
            function = inspect.getattr_static(obj, method)
            if method.startswith("_") or isinstance(function, property):
                continue
            if isinstance(function, (staticmethod, classmethod)) or inspect.isfunction(function):
                yield f"calibkit.{name}.{method}"


def is_record(obj):
    """Whether a class only holds what a function returns: its fields are attributes."""
    made = inspect.isclass(obj) and (dataclasses.is_dataclass(obj) or issubclass(obj, tuple))
    return made and "Parameters\n" not in obj.__doc__


def validated(name):
    return OBJECTS.get(name.removeprefix("calibkit."))


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


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_public_objects_show_an_example(name):
    obj = OBJECTS[name]
    if inspect.isclass(obj) and (issubclass(obj, Warning) or is_record(obj)):
        return  # a function that returns one shows it
    if name == "load":  # its example is that of save
        return
    assert ">>>" in (obj.__doc__ or ""), f"{name} has no example"


@pytest.mark.parametrize("name", ["codegen", "decisions", "online"])
def test_help_of_a_package_shows_what_it_holds(name):
    module = getattr(calibkit, name)
    assert {n for n in vars(module) if n[0] != "_"} == set(module.__all__)
    shown = pydoc.render_doc(module, renderer=pydoc.plaintext)
    assert all(n in shown for n in module.__all__)
