"""Calibrators from outside the package: the page about them, the registry, the public checks."""

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import calibkit.base
from calibkit import (
    CalibratedClassifier,
    OneVsRestCalibrator,
    PlattCalibrator,
    from_dict,
    load,
    make_calibrator,
    save,
    to_dict,
)
from calibkit._cli.app import method_rows
from calibkit._registry import CALIBRATORS, OTHERS, registry_restored
from calibkit.base import BaseCalibrator, OnlineCalibrator, register_calibrator
from calibkit.decisions import DecisionRule, TriagePolicy, cross_val_calibrate
from calibkit.online import WindowedCalibrator
from calibkit.testing import binary_data, check_calibrator, yield_checks

PAGE = Path(__file__).parent.parent / "docs" / "write_your_own.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def _registry():
    with registry_restored():
        yield


class Rate(BaseCalibrator):
    """The base rate, whatever the score."""

    name = "rate"
    _state = {"rate_": "float"}  # noqa: RUF012

    def _fit(self, s, y, w):
        self.rate_ = float(np.average(y, weights=w))

    def _predict(self, s):
        return np.full(len(s), self.rate_)


RATE, PLATT = Rate(), PlattCalibrator()


class Blend(BaseCalibrator):
    """The mean of two maps: parameters of any name may be calibrators."""

    name = "blend"
    _state = {"first_": "calibrator", "second_": "calibrator"}  # noqa: RUF012

    def __init__(self, first=RATE, second=PLATT, *, scale="probability", classes=None):
        super().__init__(scale=scale, classes=classes)
        self.first = first
        self.second = second

    def _fit(self, s, y, w):
        for part in ("first", "second"):
            fitted = type(getattr(self, part))().set_params(scale=self.scale)
            fitted.classes_ = self.classes_
            fitted._fit(fitted._learn_clip(s), y, w)
            setattr(self, f"{part}_", fitted)

    def _predict(self, s):
        return (self.first_._calibrate(s) + self.second_._calibrate(s)) / 2


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    page = ModuleType("write_your_own")
    monkeypatch.setitem(sys.modules, page.__name__, page)
    monkeypatch.chdir(tmp_path)
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), page.__dict__)
    assert len(BLOCKS) == 5
    said = capsys.readouterr().out
    assert "['fail' 'pass']" in said
    assert "ShrunkCalibrator(l2=5.0)" in said
    assert 20 < len(re.sub(r"\n+", "\n", BLOCKS[0]).splitlines()) < 40


def test_the_page_names_what_there_is():
    text = PAGE.read_text()
    for name in ("LogOddsCalibrator", "OnlineCalibrator", "Scores", "check_choice"):
        assert f"`{name}`" in text
        assert hasattr(calibkit.base, name)


@pytest.mark.parametrize("example", [Rate(), Blend(), OneVsRestCalibrator(Rate())], ids=repr)
def test_checks_need_no_registration(example):
    before = dict(CALIBRATORS)
    check_calibrator(example)
    assert before == CALIBRATORS


def test_checks_of_a_class_within_a_function():
    class Local(Rate):
        name = "local"

    for check in yield_checks(Local()):
        check(Local())


def test_checks_of_the_online_one_of_the_docstring():
    code = re.findall(r"^ *(?:>>>|\.\.\.) ?(.*)$", OnlineCalibrator.__doc__, re.MULTILINE)
    found = {}
    exec("\n".join(line for line in code if "RunningRate()" not in line), found)
    cls = found["RunningRate"]
    cls.__qualname__ = "<locals>.RunningRate"
    check_calibrator(cls())


def test_checks_say_that_a_name_is_taken():
    class Platt(PlattCalibrator):
        pass

    with pytest.raises(
        AssertionError, match=r"Platt\.name is 'platt', which is the name of PlattCal"
    ):
        check_calibrator(Platt())


def test_once_registered_it_is_like_any_other(tmp_path):
    p, y = binary_data()
    fitted = Rate().fit(p, y)
    with pytest.raises(TypeError, match=r"Rate is not a registered .*register_calibrator\(Rate\)"):
        to_dict(fitted)
    assert register_calibrator(Rate) is Rate is register_calibrator(Rate)
    register_calibrator(Blend)
    save(fitted, tmp_path / "rate.json")
    assert load(tmp_path / "rate.json").rate_ == fitted.rate_
    assert isinstance(make_calibrator("rate"), Rate)
    X = p[:, None]
    by_name = CalibratedClassifier(LogisticRegression(), "rate").fit(X, y)
    assert by_name.predict_proba(X)[0, 1] == pytest.approx(fitted.rate_)
    assert cross_val_calibrate("rate", p, y, random_state=0).shape == p.shape
    assert "rate" in [row[0] for row in method_rows()]
    for outer in (
        Blend(),
        Blend(PlattCalibrator(l2=1.0), Rate()),
        OneVsRestCalibrator(Rate()),
        WindowedCalibrator(Rate(), refit_every=50),
    ):
        outer.fit(p, y)
        again = from_dict(to_dict(outer))
        np.testing.assert_array_equal(again.predict_proba(p), outer.predict_proba(p))
        assert repr(again) == repr(outer)
    rule = DecisionRule(
        "mean_probability", fitted, policy=TriagePolicy(cost_accept_wrong=2, cost_discard_right=1)
    )
    save(rule, tmp_path / "rule.json")
    assert load(tmp_path / "rule.json").calibrator.rate_ == fitted.rate_


def test_a_file_of_one_that_is_not_registered_is_refused():
    with registry_restored():
        data = to_dict(register_calibrator(Rate)().fit(*binary_data()))
    with pytest.raises(ValueError, match=r"class is 'rate'; .*register_calibrator"):
        from_dict(data)


def test_the_command_line_takes_it(tmp_path):
    runner = pytest.importorskip("typer.testing").CliRunner()
    app = pytest.importorskip("calibkit._cli.app")
    p, y = binary_data(100)
    rows = (f"{a},{b}" for a, b in zip(p, y, strict=True))
    (tmp_path / "t.csv").write_text("\n".join(["p,y", *rows]))
    table, out = str(tmp_path / "t.csv"), str(tmp_path / "c.json")
    command = ["fit", table, "--label", "y", "--prob", "p", "--calibrator", "rate", "-o", out]
    refused = runner.invoke(app.make_app(), command)
    assert "'rate' is not one of auto, beta, " in " ".join(refused.output.split())
    register_calibrator(Rate)
    assert runner.invoke(app.make_app(), command).exit_code == 0
    assert load(out).rate_ == pytest.approx(y.mean())


def test_names_that_say_something_else_are_refused():
    taken = ["platt", "tops", "windowed", "Platt", "", None, "my map"]
    taken += OTHERS
    for name in taken:
        cls = type("Mine", (Rate,), {"name": name})
        with pytest.raises(ValueError, match=r"register_calibrator: Mine\.name is"):
            register_calibrator(cls)
    with pytest.raises(TypeError, match="the class, not an instance"):
        register_calibrator(Rate())
    with pytest.raises(TypeError, match="LogisticRegression"):
        register_calibrator(LogisticRegression)
    for state in ({"rate": "float"}, {"rate_": "double"}, ("rate_",)):
        with pytest.raises(ValueError, match=r"Mine\._state is"):
            register_calibrator(type("Mine", (Rate,), {"name": "mine", "_state": state}))
    with pytest.raises(ValueError, match=r"Bare\._state is None"):
        register_calibrator(type("Bare", (BaseCalibrator,), {"name": "bare"}))


def test_two_classes_of_one_name_are_refused_but_a_cell_may_run_twice():
    def make(qualname):
        return type("Mine", (Rate,), {"name": "mine", "__qualname__": qualname})

    first, again = make("Mine"), make("Mine")
    register_calibrator(first)
    register_calibrator(again)
    assert CALIBRATORS["mine"] is again
    with pytest.raises(TypeError, match="Mine is not a registered calibrator"):
        to_dict(first().fit(*binary_data()))
    for other in (make("Other"), make("f.<locals>.Mine")):
        with pytest.raises(ValueError, match="is the name of Mine"):
            register_calibrator(other)
    assert CALIBRATORS["mine"] is again
