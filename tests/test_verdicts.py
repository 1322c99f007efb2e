"""What is said of a model: by one test, of the right label, and the same wherever it is said."""

from __future__ import annotations

import json
import re

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit

import calibkit
from calibkit import ReliabilityDisplay, ScoreTable, certify, estimate
from calibkit._cli import demo
from calibkit._cli import report as report_module
from calibkit._numerics.influence import Grouped, reversed_area
from calibkit.decisions import BucketCollapse
from calibkit.displays._numbers import Numbers

from .runner import APP, RUNNER

OTHER = "the scores may be those of the other label"


def report(path, *options, code=0):
    args = ["report", path, "--resamples", "40", *options]
    result = RUNNER.invoke(APP, [str(a) for a in args])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def facts(path, *options):
    return json.loads(report(path, *options, "--json").stdout)


@pytest.fixture(scope="module")
def tumours(tmp_path_factory):
    """Rows of which a column holds the probability of the smaller label."""
    rng = np.random.default_rng(0)
    p = rng.random(400)
    y = np.where(rng.random(400) < p, "malignant", "benign")
    path = tmp_path_factory.mktemp("tumours") / "t.csv"
    columns = {"diagnosis": y, "p_benign": 1 - p, "p_malignant": p, "unit": np.arange(400) % 50,
               "weight": 1 + np.arange(400) % 3}  # fmt: skip
    pl.DataFrame(columns).write_csv(path)
    return path, y, 1 - p


# -- one test ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--weight", "w"], ["--group", "g"]], ids=str)
def test_interval_and_sentence_agree_near_the_edge_of_noise(options, tmp_path):
    """Errors between clear and none: 'miscalibrated' is said where the interval begins above 0."""
    seen = set()
    for seed in range(4):
        rng = np.random.default_rng(seed)
        p = rng.random(200)
        y = (rng.random(200) < p ** (1 + 0.2 * seed)).astype(int)
        frame = {"y": y, "p": p, "w": rng.integers(1, 4, 200), "g": np.arange(200) // 2}
        pl.DataFrame(frame).write_csv(tmp_path / "t.csv")
        found = facts(tmp_path / "t.csv", "--label", "y", "--prob", "p", "--bins", "8", *options)
        (said,), (model,) = found["reading"], found["models"]
        error = model["metrics"]["calibration_error"]
        assert ("p: miscalibrated" in said) == (error["low"] > 0)
        assert ("no miscalibration found" in said) == (error["low"] == 0)
        seen.add(error["low"] > 0)
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (0.010, 0.006, 0.015, "the signal tells little"),
        (0.001, 0.0002, 0.002, "the signal tells little"),
        (0.001, -0.002, 0.004, "the signal is uninformative"),
        (0.0, 0.0, 0.0, "the signal is uninformative"),
        (0.005, -0.1, 0.11, "the skill may be due to chance"),
        (0.05, -0.01, 0.11, "the skill may be due to chance"),
        (-0.2, -0.3, -0.1, "base rate would be better"),
    ],
)
def test_the_verdict_on_a_signal_follows_from_the_interval_of_the_skill(value, low, high, words):
    skill = calibkit.Estimate(value, low, high, 0.9, 1000, "brier_skill_score")
    said = str(BucketCollapse(0.99, 0.01, skill, 0.004, True))
    assert words in said
    assert sum(w in said for w in ("little", "uninformative", "chance", "would be better")) == 1


# -- the other label -----------------------------------------------------------------------------


def test_scores_of_the_other_label_are_said_to_be_such(tumours):
    """In the report, the printed estimate, the printed certificate and the display."""
    _, y, p = tumours
    reversed_ones = [
        str(estimate(name, y, p, random_state=0, n_resamples=20))
        for name in ("calibration_error", "brier_score", "roc_auc")
    ]
    reversed_ones += [str(certify(y, p)), str(certify(y, np.round(p, 1)))]
    for said in reversed_ones:
        assert OTHER in said
        assert "pos_label='benign'" in said
    mended = [
        str(estimate("calibration_error", y, p, pos_label="benign", n_resamples=20)),
        str(certify(y, p, pos_label="benign")),
        str(certify(ScoreTable.from_arrays(y, p, pos_label="benign"))),
    ]
    assert not any(OTHER in said for said in mended)
    table = ScoreTable.from_arrays(y, p)
    assert OTHER in str(certify(table))
    assert OTHER in str(estimate("brier_score", table, n_resamples=20))
    columns = str(estimate("brier_score", y, np.column_stack((p, 1 - p))[:, ::-1], n_resamples=20))
    assert OTHER in columns
    assert "['benign', 'malignant']" in columns


@pytest.mark.parametrize(
    "options", [[], ["--weight", "weight"], ["--group", "unit"]], ids=["plain", "weights", "groups"]
)
def test_report_says_which_option_turns_the_event_round(options, tumours, tmp_path, monkeypatch):
    path, *_ = tumours
    drawn = []
    monkeypatch.setattr(report_module, "write_picture", lambda display, path: drawn.append(display))
    args = ["--label", "diagnosis", "--prob", "p_benign", *options, "--plot", tmp_path / "x.png"]
    said = report(path, *args).stdout
    assert "p_benign: ROC AUC 0.1" in said
    assert OTHER in said
    assert "--positive benign" in said
    assert "miscalibrated" not in said
    legend = [t.get_text() for t in drawn[0].ax_.figure.axes[-1].get_legend().get_texts()]
    assert OTHER in " ".join(legend[0].split())
    assert OTHER not in report(path, *args, "--positive", "benign").stdout


@pytest.mark.parametrize("kind", ["binary", "top_label"])
def test_displays_say_it_and_only_where_there_is_an_event(kind, tumours):
    _, y, p = tumours
    display = ReliabilityDisplay.from_predictions(y, p, kind=kind, n_resamples=0)
    (text, *_) = [t.get_text() for t in display.histogram_ax_.get_legend().get_texts()]
    assert (OTHER in " ".join(text.split())) == (kind == "binary")


def _area(y, p, w=None, groups=None):
    t = ScoreTable.from_arrays(y, p, w, pos_label=1)
    rows = None if groups is None else Grouped(np.searchsorted(t.p, p), y, w, groups)
    return reversed_area(t.w, t.wy, t.w2, t.w2y, rows)


@pytest.mark.parametrize("levels", [0, 2, 10], ids=["continuous", "two", "ten"])
@pytest.mark.parametrize("rate", [0.5, 0.05])
def test_scores_without_use_are_not_said_to_be_reversed(levels, rate):
    """At most one in a hundred of useless scores: three standard errors allow .00135."""
    rng = np.random.default_rng(0)
    false, n_repeats = 0, 600
    for _ in range(n_repeats):
        p = rng.random(60) if levels == 0 else rng.integers(levels, size=60) / levels
        y = (rng.random(60) < rate).astype(int)
        false += _area(y, p) is not None
    assert false <= 0.01 * n_repeats


@pytest.mark.filterwarnings("ignore::calibkit.HardScoresWarning")
def test_few_rows_and_alike_rows_prove_no_reversal():
    assert _area(np.array([0, 1]), np.array([0.9, 0.1])) is None
    assert _area(np.array([0, 0, 1, 1]), np.array([0.9, 0.8, 0.2, 0.1])) is None
    assert _area(np.zeros(50, int), np.linspace(0, 1, 50)) is None
    n = 40
    assert _area(np.arange(n) % 2, 1.0 - np.arange(n) % 2) == 0.0
    # Ten groups whose rows are all alike are ten rows, not a thousand.
    rng = np.random.default_rng(0)
    said = {"alone": 0, "grouped": 0}
    for _ in range(100):
        group = np.repeat(np.arange(10), 100)
        p, y = rng.random(10)[group], rng.integers(2, size=10)[group]
        said["alone"] += _area(y, p) is not None
        said["grouped"] += _area(y, p, groups=group) is not None
    assert said["alone"] > 20
    assert said["grouped"] <= 5
    group = np.arange(1000)
    p = rng.random(1000)
    y = (rng.random(1000) > p).astype(int)
    for w in (None, rng.random(1000)):
        assert _area(y, p, w, group) == pytest.approx(_area(y, p, w), abs=1e-12)


# -- the same everywhere -------------------------------------------------------------------------


def numbers_in(text):
    return set(re.findall(r"\d\.\d{3}", text))


def test_the_demo_s_text_table_and_picture_show_one_error(monkeypatch):
    """And so does the code it prints, whose errors are of the picture's bins too."""
    drawn = []
    monkeypatch.setattr(report_module, "write_picture", lambda display, path: drawn.append(display))
    found = demo.run_demo(demo.Path("demo.png"))
    (display,) = drawn
    _, before, after = found["seen"]
    problem = demo.held_out()
    own = ReliabilityDisplay.from_predictions(
        problem.y, problem.models, n_bins=10, random_state=0, legend="none"
    )
    for model, said in zip(found["models"], (before + after, after), strict=True):
        error = model["metrics"]["expected_calibration_error"]
        shown = display.estimates_[model["name"]]["ece"]
        again = own.estimates_[model["name"]]["ece"]
        assert (shown.value, shown.low, shown.high) == (error["value"], error["low"], error["high"])
        assert (shown.value, shown.low, shown.high) == (again.value, again.low, again.high)
        assert shown.params["strategy"] == "quantile"
        assert f"{error['value']:.3f}" in said
    worst = found["worst_bin"]
    curve = display.curves_["uncalibrated"]
    assert worst["mean_prediction"] in curve.mean_score
    legend = [t.get_text() for t in display.histogram_ax_.get_legend().get_texts()]
    assert not any("certified" in text for text in legend)
    assert [len(text.splitlines()) for text in legend] == [1, 1]
    (errors,) = {tuple(e for e in m["metrics"] if "error" in e) for m in found["models"]}
    assert errors == ("expected_calibration_error",)


def test_pictures_of_reports_show_the_table_s_numbers(tumours, monkeypatch, tmp_path):
    path, *_ = tumours
    drawn = []
    monkeypatch.setattr(report_module, "write_picture", lambda display, path: drawn.append(display))
    options = ["--label", "diagnosis", "--prob", "p_malignant,p_benign", "--positive", "malignant",
               "--plot", tmp_path / "x.png"]  # fmt: skip
    (model,) = facts(path, *options)["models"]
    (e,) = drawn[0].estimates_.values()
    for key, name in (("ece", "expected_calibration_error"), ("skill", "brier_skill_score")):
        shown, said = e[key], model["metrics"][name]
        assert (shown.value, shown.low, shown.high) == (said["value"], said["low"], said["high"])


@pytest.mark.parametrize(("n", "telling"), [(400, False), (40_000, True)])
def test_a_certified_bound_is_in_the_key_only_if_it_tells_something(n, telling):
    rng = np.random.default_rng(0)
    p = rng.integers(1, 10, size=n) / 10
    display = ReliabilityDisplay.from_predictions((rng.random(n) < p).astype(int), p)
    (text, *_) = [t.get_text() for t in display.histogram_ax_.get_legend().get_texts()]
    assert ("certified: RMS error at most 0.0" in text) == telling
    assert ("certified" in text) == telling
    assert isinstance(display._numbers, Numbers)


# -- log-odds ------------------------------------------------------------------------------------


def test_report_of_log_odds_is_that_of_their_probabilities(tmp_path):
    """Of one model, of several, of two columns and of more."""
    rng = np.random.default_rng(0)
    n = 200
    z = rng.normal(size=(n, 3)) * 2
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    pet = np.array(["cat", "dog", "owl"])[[rng.choice(3, p=row) for row in p]]
    y = (rng.random(n) < expit(z[:, 0])).astype(int)
    two = np.column_stack((np.zeros(n), z[:, 0])) + rng.normal(size=(n, 1))
    both = {f"p_{i}": two[:, i] for i in (0, 1)}
    odds = {"z": z[:, 0], "half": z[:, 0] / 2, **both}
    logs = dict(zip(("p_cat", "p_dog", "p_owl"), z.T, strict=True))
    pl.DataFrame({"y": y, "pet": pet, **odds, **logs}).write_csv(tmp_path / "z.csv")
    q = {name: expit(v) for name, v in odds.items()}
    q |= {"p_0": 1 - expit(z[:, 0]), "p_1": expit(z[:, 0])}
    q |= dict(zip(logs, p.T, strict=True))
    pl.DataFrame({"y": y, "pet": pet, **q}).write_csv(tmp_path / "p.csv")
    for options in (["y", "--prob", "z"], ["y", "--prob", "z,half"], ["y", "--prob", "p_0,p_1"],
                    ["pet", "--prob", "p_cat,p_dog,p_owl"]):  # fmt: skip
        options = ["--label", *options]
        found = facts(tmp_path / "z.csv", *options, "--logit")["models"]
        expected = facts(tmp_path / "p.csv", *options)["models"]
        assert [m["name"] for m in found] == [m["name"] for m in expected]
        for ours, theirs in zip(found, expected, strict=True):
            for name, e in theirs["metrics"].items():
                assert ours["metrics"][name]["value"] == pytest.approx(e["value"], abs=1e-9)
    assert "use --logit" in report(tmp_path / "z.csv", "--label", "y", "--prob", "z", code=1).stderr
    warned = report(tmp_path / "p.csv", "--label", "y", "--prob", "z", "--logit").stderr
    assert "unusual for --logit. If they are probabilities, drop --logit" in warned
    pl.DataFrame({"y": y, "z": np.where(np.arange(n) == 3, np.inf, logit(q["z"]))}).write_csv(
        tmp_path / "bad.csv"
    )
    bad = report(tmp_path / "bad.csv", "--label", "y", "--prob", "z", "--logit", code=1).stderr
    assert "infinity (first at line 5)" in bad
