"""The arena of benchmarks: scores, win rates, tables, and one small experiment of each kind."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import arena
import arena_data
import arena_methods
import arena_tables

ROOT = Path(__file__).parents[1]
PLAIN = [m for m in arena_methods.peers() if m == "none" or m.endswith("(scikit-learn)")]


def row(method, key, loss, data="a", **more):
    common = {"n": 100, "source": "s", "n_classes": 2, "grouped": False, "brier": loss, "ece": 0.0}
    times = {"fit_ms": 1.0, "ms": 1.0}
    return {"method": method, "key": key, "data": data, "log_loss": loss, **common, **times, **more}


def test_losses_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    p, y = rng.dirichlet(np.ones(4), 300), rng.integers(4, size=300)
    assert arena.log_loss(y, p) == pytest.approx(metrics.log_loss(y, p))
    assert arena.brier(y, p) == pytest.approx(np.mean(((np.eye(4)[y] - p) ** 2).sum(axis=1)))
    assert arena.log_loss(y // 2, p[:, 0]) == pytest.approx(metrics.log_loss(y // 2, p[:, 0]))
    assert arena.brier(y // 2, p[:, 0]) == pytest.approx(metrics.brier_score_loss(y // 2, p[:, 0]))
    sure = np.eye(4)[y] * 0.88 + 0.03
    assert arena.binned_error(y, sure) == pytest.approx(0.09)


def test_win_rate_is_over_the_field_and_ties_count_half():
    rows = [row("none", "1", 0.5), row("peer", "1", 0.3), row("ours", "1", 0.3)]
    found = {r["method"]: r for r in arena_tables.win_rates(rows, {"none", "peer"})}
    assert [found[m]["win"] for m in ("none", "peer", "ours")] == [0.0, 1.0, 0.75]
    assert found["none"]["excess"] == pytest.approx(0.2)


def test_clustered_error_of_single_rows_is_the_usual_one_and_copies_do_not_lower_it():
    x = np.random.default_rng(1).normal(size=40)
    names = [str(i) for i in range(40)]
    usual = x.std(ddof=1) / np.sqrt(40)
    assert arena_tables.clustered_error(x, names) == pytest.approx(usual)
    assert arena_tables.clustered_error(np.tile(x, 3), names * 3) == pytest.approx(usual)


def test_check_finds_a_missed_goal_and_harm():
    rows = [row(m, d, loss, data=d) for d in map(str, range(10))
            for m, loss in (("none", 0.5), ("peer", 0.4), ("calibkit auto", 0.51))]  # fmt: skip
    field = {"none", "peer"}
    lines = arena_tables.checked(arena_tables.summary(rows, field), rows, field, "calibkit auto")
    assert sum(line.split()[:3] == ["MISSED", "first", "overall:"] for line in lines) == 1
    assert any("n = 100" in line and line.startswith("MISSED") for line in lines)
    assert any(line.startswith("MISSED") and line.endswith("10.00e-3") for line in lines)
    assert "on 0 of 10 data sets alone" in lines[-1]
    assert not any(line.startswith("reached") for line in lines)


def test_only_experiments_in_which_all_met_are_compared():
    rows = [row("none", "1", 0.5), row("peer", "1", 0.4), row("none", "2", 0.1)]
    assert {r["key"] for r in arena_tables.complete(rows, {"none", "peer"})} == {"1"}


@pytest.mark.parametrize("several", [False, True])
def test_an_experiment_of_each_kind(several, tmp_path, monkeypatch, capsys):
    fast = {"logistic": arena_data.classifiers()["logistic"]}
    monkeypatch.setattr(arena_data, "classifiers", lambda: fast)
    for name in ("keel", "rdatasets", "cross_validated"):
        monkeypatch.setattr(arena_data, name, lambda *of: iter(()))
    monkeypatch.setattr(arena_data, "SIZES", (100,))
    own = "calibkit auto"
    command = ["arena.py", "--half", "both", "--cache", str(tmp_path / "cache")]
    command += ["--out", str(tmp_path / "rows.json"), "--json", str(tmp_path / "tables.json")]
    command += ["--several"] if several else []
    monkeypatch.setattr(sys, "argv", [*command, "--only", *PLAIN, own])
    arena.main()
    printed = capsys.readouterr().out
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {r["method"] for r in rows} == {*PLAIN, own}
    assert not [r for r in rows if "failed" in r]
    assert {r["n_classes"] for r in rows} == ({10} if several else {2})
    loss = {(r["key"], r["method"]): r["log_loss"] for r in rows}
    none = {k: v for (k, m), v in loss.items() if m == "none"}
    assert np.mean([loss[k, own] - v for k, v in none.items()]) < 0.02
    monkeypatch.setattr(sys, "argv", ["arena.py", "--show", str(tmp_path / "tables.json")])
    arena.main()
    assert capsys.readouterr().out == printed
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--markdown"])
    arena.main()
    assert capsys.readouterr().out.count("| none |") == 1


def test_each_peer_has_the_form_of_the_scores():
    rng = np.random.default_rng(2)
    y = rng.integers(3, size=200)
    p = rng.dirichlet(np.ones(3), 200) * 0.5 + 0.5 * np.eye(3)[y]
    for several, scores, labels in ((False, p[:, 0], (y == 0).astype(int)), (True, p, y)):
        for name, method in arena_methods.peers(several).items():
            if name in PLAIN:
                out = arena._checked(method(scores, labels, None)(scores), scores)
                assert arena.log_loss(labels, out) <= arena.log_loss(labels, scores) + 1e-3, name


#: Lines of the README's table, and what they are called in the stored tables.
IN_README = {
    "auto": ("calibkit auto", "calibkit auto"),
    "spline": ("calibkit spline", "calibkit one-vs-rest spline"),
    "beta": ("calibkit beta", "calibkit one-vs-rest beta"),
    "matrix_scaling": (None, "calibkit matrix_scaling"),
    "best peer": ("beta (betacal)", "SMS (probmetrics)"),
    "no calibration": ("none", "none"),
}


@pytest.mark.parametrize("name", IN_README)
def test_the_readmes_win_rates_are_the_stored_ones(name):
    line = next(
        text.split(" | ")
        for text in (ROOT / "README.md").read_text().splitlines()
        if text.replace('`"', "").replace('"`', "").startswith(f"| {name} | ") and "0." in text
    )
    for column, file, method in zip((2, 3), ("two", "several"), IN_README[name], strict=True):
        kept = json.loads((ROOT / f"benchmarks/arena_{file}.json").read_text())
        assert kept["half"] == "held-out"
        by = {m["method"]: m["win"] for m in kept["tables"][0]["methods"]}
        peers = [w for m, w in by.items() if not m.startswith("calibkit")]
        shown = line[column].strip(" |")
        assert shown == ("–" if method is None else f"{by[method]:.2f}")
        if name == "best peer":
            assert by[method] == max(peers)
