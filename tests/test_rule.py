"""From a judged signal to decisions on new outputs: rules, their files, and their commands."""

import csv
import io
import json
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import calibkit
from calibkit import (
    AutoCalibrator,
    IsotonicCalibrator,
    MissingSignalWarning,
    PlattCalibrator,
    TopLabelCalibrator,
    from_dict,
    to_dict,
)
from calibkit.codegen import Generations, Ragged, join_results, read_generations, read_results
from calibkit.decisions import (
    DecisionRule,
    QuantileCalibrator,
    RiskControlledThreshold,
    TriagePolicy,
)

from .runner import APP, RUNNER
from .simulate_codegen import write

RNG = np.random.default_rng(0)
P = RNG.beta(4, 1, 1500)
CORRECT = RNG.random(1500) < P
LOGITS = np.log(P) - np.log1p(-P)
POLICY = TriagePolicy(cost_accept_wrong=10, cost_review=1.1, cost_discard_right=4)


def quiet(fit, *args, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(*args, **more)


def things():
    """One of each kind, and of each state it can be in."""
    rate = RNG.binomial(8, P) / 8
    groups = np.arange(1500) // 3
    yield "gate", RiskControlledThreshold(0.1).fit(P, CORRECT)
    gate = RiskControlledThreshold(0.15, alpha=0.2, scale="score", max_group_size=4)
    yield "grouped", gate.fit(P * 100, CORRECT, groups)
    yield "started", RiskControlledThreshold(0.1, start=0.9).fit(P, CORRECT, groups)
    gate = RiskControlledThreshold(0.1, candidates=(0.9, 0.8, 0.7))
    yield "candidates", gate.fit(P, CORRECT, groups)
    yield "infeasible", quiet(RiskControlledThreshold(0.001).fit, P, CORRECT)
    yield "policy", POLICY
    yield "no reviews", TriagePolicy(cost_accept_wrong=np.float64(0.1), cost_discard_right=3)
    yield "infinite", TriagePolicy(cost_accept_wrong=1, cost_discard_right=3, cost_review=np.inf)
    yield "beta", QuantileCalibrator(np.array([0.1, 0.5])).fit(P, rate, 8)
    yield "linear", QuantileCalibrator(precision="linear").fit(P, rate, 8)
    lines = QuantileCalibrator((0.3, 0.7), method="pinball", scale="logit")
    yield "pinball", lines.fit(P * 3, rate).conformalise(P[:99] * 3, rate[:99])
    flat = quiet(QuantileCalibrator(method="pinball").fit, P, np.ones(1500))
    yield "flat", quiet(flat.conformalise, P[:3], np.ones(3))


THINGS = dict(things())


def behaviour(thing):
    """All that can be asked of it."""
    if isinstance(thing, RiskControlledThreshold):
        return [str(thing), repr(thing), thing.predict(P), *map(repr, (thing.best_, thing.bound_))]
    if isinstance(thing, TriagePolicy):
        return [str(thing), thing.decide(P), thing.accept_at, thing.discard_below]
    asked = [thing.predict(P), thing.predict_quantiles(P)]
    return asked + ([thing.lower_bound(P)] if hasattr(thing, "offset_") else [])


@pytest.mark.parametrize("name", THINGS)
def test_a_file_gives_back_the_same_bits(name, tmp_path):
    thing = THINGS[name]
    calibkit.save(thing, tmp_path / "x.json")
    back = calibkit.load(tmp_path / "x.json")
    assert type(back) is type(thing)
    assert to_dict(back) == to_dict(thing)
    for one, other in zip(behaviour(back), behaviour(thing), strict=True):
        np.testing.assert_array_equal(one, other)


def changed(data, path, value):
    data = json.loads(json.dumps(data))
    at = data
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return data


def places(data, before=()):
    for key, value in data.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from places(value, (*before, key))


VALUES = [None, True, -1, 0.5, 7, 10**400, float("nan"), "a", [], [0.5], {}, [[]]]


@pytest.mark.parametrize("name", THINGS)
def test_any_change_is_refused_or_gives_something_sound(name):
    data = to_dict(THINGS[name])
    for path in places(data):
        for value in VALUES:
            try:
                back = from_dict(changed(data, path, value))
            except ValueError:
                continue
            for answer in behaviour(back)[:2]:
                if isinstance(answer, np.ndarray) and answer.dtype.kind == "f":
                    assert ((answer >= 0) & (answer <= 1)).all(), (path, value)
        whole = changed(data, path, None)
        at = whole
        for key in path[:-1]:
            at = at[key]
        at["other"] = at.pop(path[-1])
        with pytest.raises(ValueError, match=r"unknown keys|class|format"):
            from_dict(whole)


@pytest.mark.parametrize(
    ("name", "path", "value", "words"),
    [
        ("gate", ("version",), 2, "newer calibkit"),
        ("gate", ("params", "alpha"), 0, "alpha"),
        ("gate", ("params", "scale"), "odds", "scale"),
        ("gate", ("params", "start"), "a", "start"),
        ("gate", ("params", "candidates"), [0.5, 1.5], r"candidates\[1\]"),
        ("gate", ("params", "candidates"), 0.5, "expected a list of thresholds"),
        ("gate", ("params", "max_group_size"), 0, "max_group_size"),
        ("gate", ("state", "threshold_"), 1.5, "saved state of .* can't come from a fit"),
        ("gate", ("state", "threshold_"), None, "saved state of .* can't come from a fit"),
        ("gate", ("state", "threshold_"), "0.5", "threshold_ holds '0.5'"),
        ("gate", ("state", "bound_"), 0.2, "saved state of .* can't come from a fit"),
        ("gate", ("state", "error_"), None, "saved state of .* can't come from a fit"),
        ("gate", ("state", "n_accepted_"), 9999, "saved state of .* can't come from a fit"),
        ("gate", ("state", "n_tested_"), 1501, "saved state of .* can't come from a fit"),
        ("gate", ("state", "n_outputs_"), 2.0, "expected a whole number >= 0"),
        ("infeasible", ("state", "best_"), None, "saved state of .* can't come from a fit"),
        ("infeasible", ("state", "threshold_"), 0.5, "saved state of .* can't come from a fit"),
        ("infeasible", ("state", "best_"), {}, "lacks"),
        ("policy", ("params", "cost_accept_wrong"), 0, "cost_accept_wrong"),
        ("policy", ("params", "cost_review"), float("inf"), "expected null"),
        ("beta", ("params", "quantiles"), [0.5, 0.1], "ascending"),
        ("beta", ("state", "clip_"), [0.1, 0.9], "saved state of .* can't come from a fit"),
        (
            "beta",
            ("state", "log_precision_"),
            [1.0, 2.0],
            "saved state of .* can't come from a fit",
        ),
        ("pinball", ("state", "lines_"), [[1.0, 0.0]], "two numbers per quantile"),
        ("pinball", ("state", "lines_"), [[1.0, 0.0], [1.0]], "two numbers per quantile"),
        ("pinball", ("state", "edges_"), [0.9, 0.1], "saved state of .* can't come from a fit"),
        ("pinball", ("state", "offset_"), 2.0, "saved state of .* can't come from a fit"),
    ],
)
def test_what_does_not_fit_together_is_refused(name, path, value, words):
    with pytest.raises(ValueError, match=words):
        from_dict(changed(to_dict(THINGS[name]), path, value))


def test_what_can_not_be_saved_is_said(tmp_path):
    from sklearn.pipeline import make_pipeline

    with pytest.raises(
        TypeError, match="Save scikit-learn estimators with skops, joblib or pickle"
    ):
        calibkit.save(make_pipeline(PlattCalibrator()), tmp_path / "x.json")
    for unfitted in (RiskControlledThreshold(), QuantileCalibrator()):
        with pytest.raises(NotFittedError):
            to_dict(unfitted)


def test_a_new_process_loads_without_being_told(tmp_path):
    calibkit.save(POLICY, tmp_path / "policy.json")
    code = "import calibkit; print(calibkit.load('policy.json'))"
    run = [sys.executable, "-c", code]
    out = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert out.strip() == str(POLICY)


# -- rules ----------------------------------------------------------------------------------------

TOKENS, SAID = "geometric_mean_probability", "said"
Z = np.log(P) - np.log1p(-P)
GATE = THINGS["gate"]
CAL = PlattCalibrator().fit(P, CORRECT)
LOGIT = PlattCalibrator(scale="logit").fit(Z, CORRECT)
LOGIT_GATE = RiskControlledThreshold(0.1, scale="logit").fit(Z, CORRECT)


def outputs(p=P[:200], signals=None, scales=None):
    """Outputs of one token each, so that every measure is its probability; NaN is no token."""
    p = np.asarray(p, dtype=float)
    known = ~np.isnan(p)
    return Generations(
        task=np.array([f"t{i // 2}" for i in range(len(p))]),
        sample=np.arange(len(p)) % 2,
        text=[""] * len(p),
        logprobs=Ragged(np.log(p[known]), np.concatenate([[0], np.cumsum(known)])),
        place=[f"row {i}" for i in range(len(p))],
        signals={} if signals is None else signals,
        scales={} if scales is None else scales,
    )


@pytest.mark.parametrize("parts", [(GATE, None), (None, POLICY), (GATE, POLICY)])
def test_decisions_are_those_made_by_hand(parts, tmp_path):
    gate, policy = parts
    new = outputs()
    signal = new.confidence(TOKENS)[TOKENS]
    p = CAL.predict_proba(signal)[:, 1]
    rule = DecisionRule(TOKENS, CAL, gate, policy)
    calibkit.save(rule, tmp_path / "rule.json")
    back = calibkit.load(tmp_path / "rule.json")
    assert str(back) == str(rule)
    assert to_dict(back) == to_dict(rule)
    for one in (rule, back):
        found = one.decide(new)
        np.testing.assert_array_equal(found.confidence, signal)
        np.testing.assert_array_equal(found.probability, p)
        if policy is None:
            expected = ["accept" if s >= gate.threshold_ else "review" for s in signal]
        else:
            expected = policy.decide(p).tolist()
        assert found.decision.tolist() == expected
        assert (found.promised is None) == (gate is None or policy is None)
        if found.promised is not None:
            np.testing.assert_array_equal(found.promised, signal >= gate.threshold_)
        frame = found.to_pandas()
        assert list(frame) == list(found.columns)
        assert len(frame) == len(found) == 200
        for name in ("accept", "review", "discard"):
            assert f"{expected.count(name)} {name}" in str(found)
    assert 0 < expected.count("accept") < 200


def test_scored_outputs_and_none_at_all():
    rule = DecisionRule(TOKENS, CAL, GATE, POLICY)
    new = outputs()
    scored = calibkit.codegen.Scored(new, CORRECT[:200], "tests", [], [])
    assert rule.decide(scored).decision.tolist() == rule.decide(new).decision.tolist()
    assert (
        str(rule.decide(outputs([])))
        == "0 outputs: 0 accept, 0 review, 0 discard; 0 covered by the guarantee"
    )


def test_token_probabilities_are_used_on_the_calibrators_scale():
    new = outputs()
    found = DecisionRule(TOKENS, LOGIT, LOGIT_GATE, POLICY).decide(new)
    signal = new.confidence(TOKENS, scale="logit")[TOKENS]
    np.testing.assert_array_equal(found.confidence, signal)
    np.testing.assert_array_equal(found.promised, LOGIT_GATE.predict(signal))
    assert found.promised.any()
    # the same threshold by either name, but for where the scores are rounded
    assert (found.promised == (P[:200] >= GATE.threshold_)).mean() > 0.99


@pytest.mark.parametrize(
    ("parts", "unknown"),
    [
        ((GATE, None), "review"),
        ((GATE, POLICY), "review"),
        ((None, THINGS["no reviews"]), "discard"),
    ],
)
def test_outputs_without_a_signal_are_never_accepted(parts, unknown):
    new = outputs([0.99, np.nan, 0.1])
    with pytest.warns(MissingSignalWarning, match=r"1 of 3 outputs .*first at row 1") as caught:
        found = DecisionRule(TOKENS, CAL, *parts).decide(new)
    assert len(caught) == 1
    assert found.decision[1] == unknown
    assert np.isnan([found.confidence[1], found.probability[1]]).all()
    assert found.promised is None or not found.promised[1]
    assert str(found).endswith("1 without a signal")


def test_signals_of_a_file_are_taken_on_the_rules_scale():
    few = {SAID: np.array([0.2, 0.9])}
    rule = DecisionRule(SAID, LOGIT, LOGIT_GATE)
    assert rule.decide(outputs([0.5, 0.5], few)).confidence.tolist() == [0.2, 0.9]
    shares = DecisionRule(SAID, CAL, GATE)
    assert shares.decide(outputs([0.5, 0.5], few)).decision.tolist() == ["review", "accept"]
    with pytest.raises(ValueError, match=r"said is 3 at row 1; expected probabilities"):
        shares.decide(outputs([0.5, 0.5], {SAID: np.array([0.2, 3.0])}))


@pytest.mark.parametrize(
    ("rule", "declared"),
    [
        (DecisionRule(SAID, CAL, GATE), "score"),
        (DecisionRule(SAID, CAL, None, POLICY), "logit"),
        (DecisionRule(SAID, LOGIT, LOGIT_GATE), "score"),
        (DecisionRule(SAID, LOGIT, None, POLICY), "probability"),
        (DecisionRule(SAID, LOGIT, THINGS["grouped"]), "logit"),
    ],
)
def test_signals_on_another_scale_are_refused(rule, declared):
    new = outputs([0.5, 0.5]).with_signal(SAID, [0.2, 0.9], scale=declared)
    with pytest.raises(ValueError, match=f"on the scale '{declared}', and the rule takes"):
        rule.decide(new)
    new = outputs([0.5, 0.5]).with_signal(SAID, [0.2, 0.9], scale=rule.scale)
    assert len(rule.decide(new)) == 2
    if rule.threshold is THINGS["grouped"]:
        with pytest.raises(ValueError, match="'logit', and the rule takes 'score'"):
            replace(rule, signal=TOKENS).decide(new)


def test_what_is_no_rule_is_refused():
    with pytest.raises(ValueError, match="threshold=None and policy=None; expected at least one"):
        DecisionRule(SAID, CAL)
    for parts, words in (
        ((3, CAL, GATE), "signal=3; expected a str"),
        ((SAID, "platt", GATE), "calibrator='platt'; expected a BaseCalibrator"),
        ((SAID, CAL, 0.5), "threshold=0.5; expected a RiskControlledThreshold or None"),
        ((SAID, CAL, GATE, GATE), "policy=.*; expected a TriagePolicy or None"),
    ):
        with pytest.raises(TypeError, match=words):
            DecisionRule(*parts)
    for parts in ((SAID, PlattCalibrator(), GATE), (SAID, CAL, RiskControlledThreshold())):
        with pytest.raises(NotFittedError):
            DecisionRule(*parts)
    with pytest.raises(ValueError, match="scale is 'probability' and the threshold's 'logit'"):
        DecisionRule(SAID, CAL, LOGIT_GATE)
    words = np.where(CORRECT, "right", "bad")
    lifted = TopLabelCalibrator(PlattCalibrator()).fit(P, CORRECT)
    for cal in (PlattCalibrator().fit(P, words), lifted):
        with pytest.raises(ValueError, match="expected a calibrator of a single score"):
            DecisionRule(SAID, cal, GATE)
    rule = DecisionRule(SAID, CAL, GATE)
    with pytest.raises(ValueError, match=r"no signal 'said'.*Add it with with_signal"):
        rule.decide(outputs())
    with pytest.raises(TypeError, match="generations is a list"):
        rule.decide([0.5])


RULE = DecisionRule(SAID, IsotonicCalibrator().fit(P, CORRECT), GATE, POLICY)


def test_changed_rules_are_refused_or_sound():
    data = to_dict(RULE)
    new = outputs([0.1, 0.9], {SAID: np.array([0.1, 0.9])})
    for path in places(data):
        for value in VALUES:
            try:
                back = from_dict(changed(data, path, value))
            except ValueError:
                continue
            if back.signal == SAID:
                q = back.decide(new).probability
                assert ((q >= 0) & (q <= 1)).all()
    for path, value, words in (
        (("signal",), None, "signal=None"),
        (("calibrator",), None, "calibrator=None"),
        (("calibrator",), data, "the calibrator of a rule is a dict"),
        (("calibrator", "class"), "triage_policy", "the calibrator of a rule"),
        (("threshold",), data["policy"], "expected an object of class risk_controlled_threshold"),
        (("policy",), data["threshold"], "expected an object of class triage_policy"),
        (("threshold", "params", "scale"), "logit", "expected the same"),
    ):
        with pytest.raises(ValueError, match=words):
            from_dict(changed(data, path, value))
    assert from_dict(changed(data, ("policy",), None)).policy is None


# -- the commands ---------------------------------------------------------------------------------

NAME = "average_token_probability"
COSTS = ["--cost-accept-wrong", "10", "--cost-review", "2", "--cost-discard-right", "3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("rule")
    write(path)
    rows = ["task_id,sure,margin,words,correct"]
    for i, (p, y) in enumerate(zip(P, CORRECT, strict=True)):
        sure = "" if i % 100 == 3 else f"{p:.4f}"
        rows.append(f"{i},{sure},{20 * p:.3f},I am {100 * p:.0f}% sure,{int(y)}")
    (path / "table.csv").write_text("\n".join(rows) + "\n")
    files = [str(path / f) for f in ("generations.jsonl", "results.json")]
    for name, costs in (("rule", []), ("both", COSTS)):
        more = ["--signal", NAME, "--max-error", "0.15", *costs, "-o", str(path / f"{name}.json")]
        run("policy", *files, *more)
    return path


def run(*args, code=0):
    result = RUNNER.invoke(APP, ["codegen", *map(str, args)])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.mark.parametrize("name", ["rule", "both"])
def test_the_commands_do_what_the_library_does(folder, tmp_path, name):
    new = read_generations(folder / "generations.jsonl")
    scored = join_results(new, read_results(folder / "results.json"))
    signal = scored.confidence(NAME, scale="logit")[NAME]
    cal = AutoCalibrator(scale="logit").fit(signal, scored.correct, groups=scored.groups)
    gate = RiskControlledThreshold(0.15, scale="logit").fit(signal, scored.correct, scored.groups)
    policy = TriagePolicy(cost_accept_wrong=10, cost_review=2, cost_discard_right=3)
    rule = DecisionRule(NAME, cal, gate, policy if name == "both" else None)
    saved = json.loads((folder / f"{name}.json").read_text())
    assert saved.pop("fitted_on")["rows"] == np.count_nonzero(~np.isnan(signal))
    assert saved == to_dict(rule)
    expected = rule.decide(new)
    said = run("decide", folder / "generations.jsonl", folder / f"{name}.json", "-o", "-")
    assert said.stderr == f"calibkit: standard output: {expected}\n"
    rows = list(csv.DictReader(io.StringIO(said.stdout)))
    assert list(rows[0]) == list(expected.columns)
    assert [float(r["probability"]) for r in rows] == expected.probability.tolist()
    assert [float(r["confidence"]) for r in rows] == expected.confidence.tolist()
    assert [r["decision"] for r in rows] == expected.decision.tolist()
    assert [r["task"] for r in rows] == new.task.tolist()
    for kind in ("csv", "tsv", "jsonl"):
        path = tmp_path / f"decisions.{kind}"
        line = run("decide", folder / "generations.jsonl", folder / f"{name}.json", "-o", path)
        assert line.stdout == f"{path}: {expected}\n"
        assert line.stderr == ""
        text = path.read_text()
        if kind != "jsonl":
            assert text == (said.stdout if kind == "csv" else said.stdout.replace(",", "\t"))
            continue
        for row, told in zip(map(json.loads, text.splitlines()), rows, strict=True):
            assert {k: str(v).lower() for k, v in row.items() if k == "promised"} == {
                k: v for k, v in told.items() if k == "promised"
            }
            assert row["probability"] == float(told["probability"])


def test_signals_of_a_table(folder, tmp_path):
    table, rule, out = folder / "table.csv", tmp_path / "r.json", tmp_path / "d.jsonl"
    for option, name in (("--signal", "sure"), ("--score", "margin"), ("--stated", "words")):
        run("policy", table, option, name, "--max-error", "0.1", "-o", rule)
        stated = ["--stated", name] if option == "--stated" else []
        result = run("decide", table, rule, "-o", out, *stated)
        loaded = calibkit.load(rule)
        assert loaded.scale == ("score" if name == "margin" else "probability")
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        gone = [i for i, r in enumerate(rows) if r["confidence"] is None]
        assert gone == (list(range(3, 1500, 100)) if name == "sure" else [])
        assert ("; 15 without a signal" in result.stdout) == (name == "sure")
        assert all(rows[i]["decision"] == "review" and rows[i]["probability"] is None for i in gone)
        at = loaded.threshold.threshold_
        assert [r["decision"] for r in rows] == [
            "accept" if r["confidence"] is not None and r["confidence"] >= at else "review"
            for r in rows
        ]
    line = run("decide", table, rule, "-o", out, code=1).stderr
    assert "table.csv: has no column of numbers words" in line
    assert "--stated words" in line


def test_odd_names_come_through(tmp_path):
    rows = [{"task_id": name, "s": 0.5} for name in ('a,"b"\nc', "\ud800", "é")]
    (tmp_path / "odd.jsonl").write_text("\n".join(map(json.dumps, [*rows, rows[2]])))
    calibkit.save(DecisionRule("s", CAL, GATE), tmp_path / "s.json")
    for kind in ("csv", "jsonl"):
        out = tmp_path / f"out.{kind}"
        line = run("decide", tmp_path / "odd.jsonl", tmp_path / "s.json", "-o", out).stdout
        text = out.read_text(encoding="utf-8")
        if kind == "jsonl":
            names = [json.loads(one)["task"] for one in text.splitlines()]
        else:
            names = [row["task"] for row in csv.DictReader(io.StringIO(text))]
        escaped = "\\ud800" if kind == "csv" else "\ud800"
        assert names[:3] == [rows[0]["task_id"], escaped, "é"]
    assert line.startswith(f"{out}: 4 outputs: 0 accept, 4 review")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            ["decide", "generations.jsonl", "results.json", "-o", "x.csv"],
            "results.json: is JSON, but has no key",
        ),
        (
            ["decide", "generations.jsonl", "platt.json", "-o", "x.csv"],
            "holds a calibrator; expected a rule",
        ),
        (["decide", "generations.jsonl", "nowhere.json", "-o", "x.csv"], "nowhere.json"),
        (["decide", "nowhere.jsonl", "rule.json", "-o", "x.csv"], "nowhere.jsonl"),
        (["decide", "generations.jsonl", "rule.json", "-o", "x.xls"], "unknown extension"),
        (["decide", "generations.jsonl", "rule.json", "-o", "rule.json"], "is the input file"),
        (["decide", "table.csv", "sure.json", "-o", "table.csv"], "is the input file"),
        (["decide", "wide.csv", "sure.json", "-o", "x.csv"], "sure is 7 at "),
        (
            ["policy", "generations.jsonl", "results.json", "-o", "x.json"],
            "-o x.json: there are several",
        ),
        (["policy", "table.csv", "--signal", "sure", "-o", "table.csv"], "is the input file"),
        (
            ["policy", "table.csv", "--signal", "sure", "-o", "x.png", "--plot", "x.png"],
            "of -o too",
        ),
        (
            ["policy", "table.csv", "--signal", "sure", "--calibrator", "plat", "-o", "x.json"],
            "did",
        ),
    ],
)
def test_bad_calls_fail_in_one_line_and_write_nothing(folder, monkeypatch, command, words):
    monkeypatch.chdir(folder)
    calibkit.save(CAL, "platt.json")
    calibkit.save(DecisionRule("sure", CAL, GATE), "sure.json")
    (folder / "wide.csv").write_text("task_id,sure\n1,0.5\n2,7\n")
    before = {p: p.read_bytes() for p in folder.iterdir()}
    lines = run(*command, code=1).stderr.splitlines()
    assert len(lines) == 1
    assert words in lines[0]
    assert {p: p.read_bytes() for p in folder.iterdir()} == before


def test_a_column_of_probabilities_is_not_read_as_log_odds():
    name = "average_token_probability"
    rule = DecisionRule(name, PlattCalibrator(scale="logit").fit(LOGITS, CORRECT), policy=POLICY)
    with pytest.raises(ValueError, match=r"column of numbers in \[0, 1\], and the rule takes log"):
        rule.decide(outputs(P[:9], {name: P[:9]}))
    for given in ({}, {name: "logit"}):
        z = LOGITS[:9] if not given else P[:9]
        assert len(rule.decide(outputs(P[:9], {name: z}, given))) == 9
