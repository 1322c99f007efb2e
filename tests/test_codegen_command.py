"""``calibkit codegen``: the same numbers as the library, on simulated records."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calibkit.codegen import join_results, read_generations, read_results
from calibkit.decisions import (
    RiskControlledThreshold,
    TriagePolicy,
    cross_val_calibrate,
    evaluate_confidence,
)

from .runner import APP, RUNNER
from .simulate_codegen import N_PROBLEMS, N_SAMPLES, write

NAME = "average_token_probability"
FILES = ("generations.jsonl", "results.json")
FEW = ["--resamples", "100"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("codegen")
    write(path)
    rows = ["task_id,repo,said,lines,correct"]
    rng = np.random.default_rng(0)
    for i in range(200):
        said = rng.random()
        rows.append(f"{i},repo{i % 20},{said:.3f},{rng.integers(1, 50)},{int(rng.random() < said)}")
    (path / "table.csv").write_text("\n".join(rows) + "\n")
    (path / "other.csv").write_text("problem,passed\n0,1\n")
    make = ["codegen", "policy", path / "table.csv", "--signal", "said", "-o", path / "rule.json"]
    assert RUNNER.invoke(APP, [str(a) for a in make]).exit_code == 0
    gaps = []
    for i in range(40):
        p = float(rng.random())
        row = {"task_id": f"t{i}", "correct": int(rng.random() < p), "repo": "r" if i - 3 else None}
        names = ("a/b", "A_b", "é", "../x", "y" * 300, "")
        gaps.append(row | dict.fromkeys(names, p) | ({} if i % 4 else {"é": None}))
    (path / "gaps.jsonl").write_text("\n".join(map(json.dumps, gaps)))
    return path


@pytest.fixture(scope="module")
def scored(folder):
    return join_results(read_generations(folder / FILES[0]), read_results(folder / FILES[1]))


def run(folder, *args, code=0):
    names = [str(folder / a) if (folder / str(a)).is_file() else str(a) for a in args]
    result = RUNNER.invoke(APP, ["codegen", *names])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def fails(folder, *args):
    result = run(folder, *args, code=1)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_evaluate_prints_the_librarys_table_and_draws(folder, scored, tmp_path):
    out = run(
        folder, "evaluate", *FILES, "--group", "task_id", "--plots", tmp_path / "pictures", *FEW
    )
    signals = scored.confidence(scale="logit")
    table = evaluate_confidence(
        signals, scored.correct, scored.groups, scale="logit", n_resamples=100
    )
    assert str(table) in out.stdout
    n = N_PROBLEMS * N_SAMPLES
    assert out.stdout.startswith(f"{n:,} outputs of {N_PROBLEMS} tasks, correct by plus tests\n")
    drawn = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    assert drawn == sorted(f"{name}.png" for name in signals)
    assert all((tmp_path / "pictures" / name).stat().st_size > 10_000 for name in drawn)


def test_evaluate_as_json(folder, scored):
    more = ["--signal", NAME, "--signal", "length", "--no-plots", "--json", "--notion"]
    found = json.loads(run(folder, "evaluate", *FILES, *more, "base tests").stdout)
    base = read_results(folder / FILES[1], notion="base tests")
    rows = found["rows"]
    assert [(r["signal"], r["stage"]) for r in rows][1:3] == [
        (NAME, "calibrated"),
        ("length", "uncalibrated"),
    ]
    assert rows[0]["success_rate"] == pytest.approx(base.correct.mean())
    assert rows[2]["brier"] is None  # a length is no probability
    assert rows[0]["skill_low"] < rows[0]["skill"] < rows[0]["skill_high"]


def test_evaluate_a_table_of_scores(folder):
    out = run(folder, "evaluate", "table.csv", "--group", "repo", "--no-plots", "--cv", "4").stdout
    assert "left out, not in [0, 1]: lines (to use them: --score)" in out
    assert "(4 folds by group); 90% intervals allow for groups\nbrier_ref: Brier score of" in out
    out = run(folder, "evaluate", "table.csv", "--score", "lines", "--no-plots").stdout
    assert "lines" in out.splitlines()[3]
    out = run(folder, "evaluate", "table.csv", "--by", "repo", "--cv", "2", "--no-plots").stdout
    assert sum(line.startswith("repo7 ") for line in out.splitlines()) == 2
    out = run(folder, "evaluate", "table.csv", "--cv", "spiess2024", "--no-plots").stdout
    assert "calibrated out of fold (spiess2024)" in out


def test_stated_confidence_and_tasks_of_several_keys(folder, tmp_path):
    rng = np.random.default_rng(0)
    rows = ["model,problem,says,passed"]
    for model in "ab":
        for i in range(100):
            p = rng.random()
            rows.append(f"{model},{i},I am {100 * p:.0f}% sure,{int(rng.random() < p)}")
    path = tmp_path / "both.csv"
    path.write_text("\n".join(rows) + "\n")
    more = ["--task", "model", "--task", "problem", "--group", "problem", "--by", "model"]
    command = ["evaluate", path, *more, "--stated", "says", "--no-plots", "--json"]
    found = json.loads(run(folder, *command).stdout)
    assert [(r["by"], r["signal"], r["n"]) for r in found["rows"]][::2] == [
        ("a", "says", 100),
        ("b", "says", 100),
    ]
    assert found["rows"][0]["skill"] > 0


def test_policy_is_the_librarys(folder, scored, tmp_path):
    costs = ["--cost-accept-wrong", "10", "--cost-review", "2", "--cost-discard-right", "3"]
    picture = tmp_path / "risk.png"
    more = ["--signal", NAME, "--max-error", "0.15", *costs]
    out = run(folder, "policy", *FILES, *more, "--plot", picture).stdout
    signal = scored.confidence(NAME, scale="logit")[NAME]
    gate = RiskControlledThreshold(0.15, scale="logit")
    gate.fit(signal, scored.correct, groups=scored.groups)
    data = {"groups": scored.groups, "scale": "logit"}
    p = cross_val_calibrate("auto", signal, scored.correct, **data)
    policy = TriagePolicy(cost_accept_wrong=10, cost_review=2, cost_discard_right=3)
    report = policy.evaluate(p, scored.correct, scored.groups, random_state=0)
    printed = [line.strip() for line in out.splitlines()]
    for line in (*str(gate).splitlines(), *str(report).splitlines()):
        assert line.strip() in printed
    assert gate.feasible_
    uncalibrated = 1 / (1 + np.exp(-gate.threshold_))
    said = (
        f"This threshold is in log-odds; as an uncalibrated probability it is {uncalibrated:.4g}."
    )
    assert said in printed
    assert printed[-1] == (
        "The costs decide; the threshold only marks the outputs with the guarantee."
    )
    assert picture.stat().st_size > 10_000
    facts = json.loads(run(folder, "policy", *FILES, *more, "--json").stdout)
    assert facts["thresholds"][NAME]["threshold"] == gate.threshold_
    assert facts["policies"][NAME]["costs"]["triage"]["value"] == report.costs["triage"].value


def test_signals_share_delta_and_impossible_demands_are_said(folder):
    result = run(folder, "policy", *FILES, "--max-error", "0.001")
    assert "5 signals are tested, so each gets alpha 0.1 / 5 = 0.02, and" in result.stdout
    assert "The best threshold is " in result.stdout
    assert result.stdout.count("(log-odds): it accepts") == 5
    assert "The costs decide" not in result.stdout
    assert result.stdout.count("nothing is accepted") == 5
    assert result.stderr == ""  # said once
    facts = json.loads(run(folder, "policy", *FILES, "--max-error", "0.001", "--json").stdout)
    assert facts["thresholds"][NAME]["feasible"] is False
    assert facts["thresholds"][NAME]["threshold"] is None
    assert facts["thresholds"][NAME]["alpha"] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["evaluate", "generations.jsonl", "nowhere.json"], "nowhere.json"),
        (
            ["evaluate", *FILES, "--signal", "average"],
            "--signal average: no such signal; expected a token measure",
        ),
        (
            ["evaluate", *FILES, "--group", "repo"],
            "error: --group repo: no such key; it has: task_id",
        ),
        (["evaluate", *FILES, "--by", "lang"], "error: --by lang: no such key; it has: task_id"),
        (["evaluate", *FILES, "--stated", "said"], "error: --stated said: no such key; it has: "),
        (["evaluate", *FILES, "--cv", "paper"], "expected one of"),
        (["evaluate", *FILES, "--calibrator", "plat"], "did you mean 'platt'"),
        (["evaluate", *FILES, "--plots", "table.csv"], "is a file; expected a directory"),
        (
            ["evaluate", "generations.jsonl"],
            "generations.jsonl does not say which outputs are correct: add RESULTS as the second",
        ),
        (["evaluate", *FILES[::-1]], "generations.jsonl holds no results: are the files swapped?"),
        (["evaluate", "generations.jsonl", "other.csv"], "Rename the key in one file"),
        (["evaluate", "generations.jsonl", "other.csv", "--task", "problem"], "key for the task"),
        (["decide", "rule.json", "table.csv", "-o", "d.csv"], "the arguments are swapped"),
        (
            ["decide", "table.csv", "rule.json", "-o", "d.csv", "--stated", "x"],
            "error: --stated x: no such key; it has: task_id, repo, said, lines, correct",
        ),
        (["evaluate", "table.csv", "--signal", "lines"], "--score lines"),
        (
            ["policy", "table.csv", "--signal", "lines"],
            "holds values outside [0, 1]; expected probabilities. Use --score lines",
        ),
        (["evaluate", "gaps.jsonl", "--by", "repo"], "--by repo: 1 of 40 outputs have none"),
        (
            ["policy", "gaps.jsonl", "--group", "repo"],
            "gaps.jsonl, line 4); expected one for every",
        ),
        (["policy", *FILES, "--cost-review", "2"], "--cost-discard-right go together"),
        (["policy", *FILES, "--plot", "risk.doc"], "unknown picture format"),
        (["policy", *FILES, "--plot", "results.json"], "is the input file"),
    ],
)
def test_bad_calls_fail_in_one_line(folder, command, words):
    more = ["--no-plots"] if command[0] == "evaluate" and "--plots" not in command else []
    assert words in fails(folder, *command, *more)


def test_each_signal_has_a_picture_of_its_own(folder, tmp_path):
    known = ["--resamples", "10", "--by", "none", "--plots", tmp_path]
    notes = json.loads(run(folder, "evaluate", "gaps.jsonl", *known, "--json").stdout)["notes"]
    expected = ["a_b.png", "A_b_2.png", "é.png", "_x.png", "y" * 50 + ".png", "signal.png"]
    assert [Path(n.partition(": ")[2]).name for n in notes if "Picture" in n] == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(expected)


def test_policy_says_which_outputs_it_knows_nothing_of(folder, tmp_path):
    out = run(folder, "policy", "gaps.jsonl", "--signal", "é").stdout
    assert "é: 10 of 40 outputs have none and are left out" in out
    apart = [{"task_id": i, "correct": i % 2, "ab"[i % 2]: 0.5} for i in range(20)]
    (tmp_path / "apart.jsonl").write_text("\n".join(map(json.dumps, apart)))
    command = ["policy", "apart.jsonl", "--plot", str(tmp_path / "x.png")]
    assert "--plot: no output has all of a, b" in fails(tmp_path, *command)


def test_signals_with_names_that_matplotlib_would_read(tmp_path):
    rows = [{"task_id": i, "correct": i % 2, "$a_$": i / 40, "_b": i / 50} for i in range(40)]
    (tmp_path / "odd.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run(tmp_path, "policy", "odd.jsonl", "--plot", tmp_path / "x.svg")
    assert (tmp_path / "x.svg").stat().st_size > 10_000


def test_as_a_process(folder, tmp_path):
    code = "from calibkit._cli import main; main()"
    options = ["--signal", NAME, "--plots", tmp_path, *FEW]
    command = [sys.executable, "-c", code, "codegen", "evaluate", *FILES, *options]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[2].startswith("signal ")
    assert (tmp_path / f"{NAME}.png").exists()


@pytest.mark.parametrize("option", ["--max-error", "--alpha"])
def test_shares_outside_their_range_are_refused(folder, option):
    error = run(folder, "policy", *FILES, option, "15", code=2).stderr
    assert f"'{option}': 15; expected a number between 0 and 1" in error
