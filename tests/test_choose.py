"""Which calibrator: compare_calibrators against plain scikit-learn, its intervals, its command."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

import calibkit
from calibkit import (
    BetaCalibrator,
    ComparisonDisplay,
    FewEventsWarning,
    IsotonicCalibrator,
    OneVsRestCalibrator,
    PlattCalibrator,
    compare_calibrators,
)
from calibkit._registry import CALIBRATORS, registry_restored
from calibkit.base import BaseCalibrator, register_calibrator

from .test_cli import fails, run

RNG = np.random.default_rng(0)
N = 400
TRUTH = RNG.random(N)
P, Y = TRUTH**2, (RNG.random(N) < TRUTH).astype(int)
P3 = RNG.dirichlet([1, 1, 1], size=300)
Y3 = np.array(["cat", "dog", "owl"])[
    [RNG.choice(3, p=row) for row in P3**2 / (P3**2).sum(1)[:, None]]
]
FOLDS = list(StratifiedKFold(4, shuffle=True, random_state=1).split(P, Y))
SHOWN = ("name", "log_loss", "difference", "difference_low", "difference_high", "brier", "verdict")


def by_name(comparison):
    return {record["name"]: record for record in comparison.records}


def held_out(calibrator, x, y, folds, k):
    q = np.empty((len(y), k))
    for train, test in folds:
        q[test] = clone(calibrator).fit(x[train], y[train]).predict_proba(x[test])
    return q


def test_numbers_are_those_of_plain_folds():
    found = by_name(compare_calibrators(P, Y, ["platt", "beta"], cv=FOLDS))
    q = {c.name: held_out(c, P, Y, FOLDS, 2) for c in (PlattCalibrator(), BetaCalibrator())}
    q["uncalibrated"] = np.column_stack((1 - P, P))
    losses = {}
    for name, record in found.items():
        assert record["log_loss"] == pytest.approx(metrics.log_loss(Y, q[name]), abs=1e-12)
        assert record["brier"] == pytest.approx(metrics.brier_score_loss(Y, q[name][:, 1]))
        assert record["calibration_error"] == calibkit.calibration_error(Y, q[name][:, 1])
        losses[name] = -np.log(q[name][np.arange(N), Y])
    best = min(losses, key=lambda name: losses[name].mean())
    for name, record in found.items():
        d = losses[name] - losses[best]
        # Nadeau and Bengio: (1/J + n_test/n_train) s^2 with the variance s^2 of a fold's mean.
        error = np.sqrt((1 / 4 + 1 / 3) * d.var(ddof=1) / (N / 4))
        reach = stats.t.ppf(0.95, N - 1) * error
        assert record["difference"] == pytest.approx(d.mean(), abs=1e-12)
        assert record["difference_high"] - d.mean() == pytest.approx(reach, rel=0.02)
        assert record["verdict"] == (
            "best" if name == best else "worse" if record["difference_low"] > 0
            else "tied")  # fmt: skip


def test_every_registered_batch_calibrator_is_compared_and_binary_ones_are_extended():
    known = {n for n, c in CALIBRATORS.items() if not c._traits & {"lift", "wrapper", "online"}}
    assert set(compare_calibrators(P, Y).calibrators) == known - {"identity"} | {"uncalibrated"}
    many = {n for n in known if "multiclass" in CALIBRATORS[n]._traits}
    two = {f"one_vs_rest({n})" for n in known - many}
    found = compare_calibrators(P3, Y3)
    assert set(by_name(found)) == many - {"identity"} | {"uncalibrated"} | two
    folds = StratifiedKFold(5, shuffle=True, random_state=int(
        np.random.default_rng(0).integers(2**31))).split(P3, Y3)  # fmt: skip
    q = held_out(OneVsRestCalibrator(IsotonicCalibrator()), P3, Y3, list(folds), 3)
    record = by_name(found)["one_vs_rest(isotonic)"]
    assert record["log_loss"] == pytest.approx(metrics.log_loss(Y3, q))
    assert record["calibration_error"] == calibkit.calibration_error(Y3, q)


class Failing(BaseCalibrator):
    name = "failing"
    _state = {}  # noqa: RUF012

    def _fit(self, s, y, w):
        raise ZeroDivisionError("no luck")


def test_own_calibrators_join_and_failures_are_named():
    with registry_restored():
        register_calibrator(Failing)
        found = compare_calibrators(P, Y, cv=3)
    assert found.records[-1]["failure"] == "ZeroDivisionError: no luck"
    assert "failing  " in str(found)
    assert "ZeroDivisionError: no luck" in str(found)
    assert "nothing to compare" in compare_calibrators(P, Y, [Failing()]).advice
    given = {"mine": PlattCalibrator(l2=1.0), "all": "all", "bad": Failing()}
    found = by_name(compare_calibrators(P, Y, given, cv=3))
    assert found["bad"]["verdict"] == "failed"
    assert {"mine", "beta"} <= set(found)
    with pytest.raises(ValueError, match="two methods named 'platt'"):
        compare_calibrators(P, Y, [PlattCalibrator(), PlattCalibrator(l2=1.0)])


def test_groups_stay_whole_and_widen_the_intervals(monkeypatch):
    groups, seen = np.repeat(np.arange(40), 10), []

    def watched(kind):
        def split(self, *given):
            folds = list(kind.split(self, *given))
            seen.extend(folds)
            return iter(folds)

        return type("Watched", (kind,), {"split": split})

    monkeypatch.setattr(
        "calibkit._cross_fitting.StratifiedGroupKFold", watched(StratifiedGroupKFold)
    )
    y = (RNG.random(40)[groups] < TRUTH).astype(int)  # one draw for all rows of a group
    found = compare_calibrators(P, y, ["platt"], groups=groups)
    assert len(seen) == 5
    assert all(not set(groups[a]) & set(groups[b]) for a, b in seen)
    cut = [(np.setdiff1d(np.arange(N), b), b) for _, b in seen]
    plain = compare_calibrators(P, y, ["platt"], cv=cut)
    (wide, narrow) = (r.records[1]["difference_high"] - r.records[1]["difference"]
                      for r in (found, plain))  # fmt: skip
    assert wide > 1.5 * narrow
    with pytest.raises(ValueError, match="fitted on its group"):
        compare_calibrators(P, y, ["platt"], groups=groups, cv=FOLDS)


def test_weights_repeat_rows_and_fractions_split_them():
    w = RNG.integers(0, 4, N)
    of = np.repeat(np.arange(N), w)
    repeated = [tuple(np.flatnonzero(np.isin(of, part)) for part in fold) for fold in FOLDS]
    weighted = by_name(compare_calibrators(P, Y, ["platt", "auto"], sample_weight=w, cv=FOLDS))
    plain = by_name(compare_calibrators(P[of], Y[of], ["platt", "auto"], cv=repeated))
    for name, record in plain.items():
        for key in ("log_loss", "brier", "difference"):
            assert weighted[name][key] == pytest.approx(record[key], abs=2e-6)
    twice = np.tile(np.arange(N), 2)
    both = [tuple(np.flatnonzero(np.isin(twice, part)) for part in fold) for fold in FOLDS]
    share = np.round(TRUTH, 2)
    soft = by_name(compare_calibrators(P, share, ["platt", "histogram"], cv=FOLDS))
    given = {"groups": twice, "sample_weight": np.append(share, 1 - share), "cv": both}
    split = compare_calibrators(P[twice], np.repeat([1, 0], N), ["platt", "histogram"], **given)
    for name, record in by_name(split).items():
        for key in ("log_loss", "brier", "difference"):
            assert soft[name][key] == pytest.approx(record[key], abs=1e-6)
        assert soft[name]["difference_high"] == pytest.approx(record["difference_high"], rel=0.02)


class Half(PlattCalibrator):
    """Platt scaling on every second row: two of them have the same expected loss."""

    name = "half"

    def __init__(self, start=0, *, scale="probability", classes=None):
        super().__init__(scale=scale, classes=classes)
        self.start = start

    def _fit(self, s, y, w):
        super()._fit(s[self.start :: 2], y[self.start :: 2], w)


def test_equal_methods_are_told_apart_no_more_often_than_the_level_allows():
    rng, apart, n = np.random.default_rng(0), 0, 40
    methods = {"even": Half(0, scale="logit"), "odd": Half(1, scale="logit")}
    for _ in range(n):
        z = rng.normal(size=100)
        y = rng.random(100) < 1 / (1 + np.exp(-z - 0.5 + z**2 / 2))
        found = by_name(compare_calibrators(z, y, methods, scale="logit"))
        even, odd = found["even"], found["odd"]
        apart += "worse" in (even["verdict"], odd["verdict"]) and "best" in (
            even["verdict"], odd["verdict"])  # fmt: skip
    assert apart <= stats.binom.ppf(0.999, n, 0.1)


def test_a_clear_difference_is_found_and_ties_go_to_auto_or_the_simplest():
    rng = np.random.default_rng(1)
    z = rng.normal(size=3000)
    y = rng.random(3000) < 1 / (1 + np.exp(-z))
    p = 1 / (1 + np.exp(-3 * z - 1))
    found = compare_calibrators(p, y, ["platt", "beta", "temperature"])
    assert found.recommended == "platt"
    assert {"temperature", "uncalibrated"}.isdisjoint(found.tied)
    assert f"from {found.tied[0]}: use platt" in found.advice
    assert compare_calibrators(p, y, ["platt", "auto"]).recommended == "auto"
    alone = compare_calibrators(p, y, ["platt"])
    assert alone.advice.startswith("Use platt: its log loss is lower than that of every other")
    calibrated = compare_calibrators(1 / (1 + np.exp(-z)), y, ["platt"])
    assert "keep the scores as they are" in calibrated.advice
    assert found.to_frame()["name"].tolist() == [r["name"] for r in found.records]


def test_few_rows_warn_and_too_few_are_refused():
    rare = np.zeros(N, dtype=int)
    rare[:6] = 1
    with pytest.warns(FewEventsWarning, match="the rarer class is 6"):
        compare_calibrators(P, rare, {"a": "isotonic"}, cv=3)
    with pytest.raises(ValueError, match="cv=7 folds and 6 rows of the rarer class"):
        compare_calibrators(P, rare, cv=7)
    halves = np.flatnonzero(Y == 0), np.flatnonzero(Y == 1)
    with pytest.raises(ValueError, match="uncalibrated, fold 1: y holds one class only"):
        compare_calibrators(P, Y, cv=[halves, halves[::-1]])


def test_the_picture_shows_the_records():
    found = compare_calibrators(P, Y, ["platt", "beta", Failing()])
    display = ComparisonDisplay(found).plot()
    whole = [r for r in found.records if not r["failure"]]
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == [r["name"] for r in whole]
    drawn = {line.get_gid(): line.get_xdata()[0] for line in display.ax_.lines}
    for record in whole:
        place = drawn[f"dot:{record['name']}"]
        assert place == min(record["difference"], display.ax_.get_xlim()[1])
    assert display.frame()["log_loss"].tolist() == [r["log_loss"] for r in whole]
    import matplotlib.pyplot as plt

    plt.close("all")


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("choose") / "games.csv"
    unit, weight = np.arange(N) % 40, np.arange(N) % 3
    lines = [f"{p!r},{y},{w},{u}" for p, y, w, u in zip(P.tolist(), Y, weight, unit, strict=True)]
    path.write_text("\n".join(["score,won,weight,unit", *lines]) + "\n")
    pets = path.parent / "pets.csv"
    lines = [",".join([y, *map(repr, p)]) for y, p in zip(Y3, P3.tolist(), strict=True)]
    pets.write_text("\n".join(["pet,p_cat,p_dog,p_owl", *lines]) + "\n")
    return path


def test_the_command_says_what_the_library_finds(table):
    data = [table, "--label", "won", "--prob", "score", "--group", "unit", "--weight", "weight"]
    options = [*data, "--calibrators", "beta,platt", "--folds", 4]
    said = json.loads(run("choose", *options, "--json").stdout)
    unit, weight = np.arange(N) % 40, np.arange(N) % 3
    given = {"groups": unit, "sample_weight": weight, "cv": 4}
    found = compare_calibrators(P, Y, ["beta", "platt"], **given)
    for ours, theirs in zip(found.records, said["methods"], strict=True):
        assert [ours[k] for k in SHOWN] == [theirs[k] for k in SHOWN]
    assert (said["best"], said["advice"]) == (found.best, found.advice)
    text = run("choose", *options).stdout.splitlines()
    head, *rows = (line.split() for line in text if not line.startswith("#"))
    for cells, record in zip(rows, said["methods"], strict=True):
        shown = dict(zip(head, cells, strict=True))
        assert shown["name"] == record["name"]
        assert all(shown[k] == f"{record[k]:.6f}" for k in SHOWN[1:6])


def test_the_command_to_run_next_runs(table, tmp_path):
    games = ["games.csv", "--label", "won", "--prob", "score", "--positive", "0", "--logit"]
    pets = ["pets.csv", "--label", "pet", "--prob", "p_*", "--calibrators", "beta"]
    for data in (games, pets):
        said = json.loads(run("choose", table.parent / data[0], *data[1:], "--json").stdout)
        program, *words = shlex.split(said["command"])
        assert program == "calibkit"
        assert words[-2:] == ["-o", "cal.json"]
        run(*words[:-1], tmp_path / "cal.json")
        fitted = calibkit.load(tmp_path / "cal.json")
        assert said["recommended"].startswith(fitted.name)
    grouped = [table, "--label", "won", "--prob", "score", "--group", "unit"]
    said = json.loads(run("choose", *grouped, "--calibrators", "auto", "--json").stdout)
    run(*shlex.split(said["command"])[1:-1], tmp_path / "cal.json")
    whole = calibkit.AutoCalibrator().fit(P, Y, groups=np.arange(N) % 40)
    assert calibkit.load(tmp_path / "cal.json").worth_ == whole.worth_ < 1


def test_the_command_refuses_in_one_line(table):
    data = [table, "--label", "won", "--prob", "score"]
    assert "expected a name that ends in .png" in fails("choose", *data, "--plot", "out.txt")
    result = run("choose", *data, "--calibrators", "beta,sigmoid", code=2)
    assert "'sigmoid' is not one of" in result.stderr
    assert "did you mean 'platt'" in result.stderr
    assert "expected at least one row per fold" in fails("choose", *data, "--folds", 300)
