"""Evaluation of confidence signals: the paper's metrics and protocol, folds, collapse, tables."""

import pickle
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, TimeSeriesSplit

import calibkit
from calibkit import (
    AutoCalibrator,
    BetaCalibrator,
    Estimate,
    MissingSignalWarning,
    PlattCalibrator,
    ReversedScoresWarning,
    estimate,
    to_dict,
)
from calibkit._cli.advice import as_options
from calibkit._core.params import generator
from calibkit.calibrators import validate_calibrator
from calibkit.codegen import (
    Generations,
    Ragged,
    Results,
    join_results,
    read_generations,
    read_results,
)
from calibkit.decisions import (
    ResultTable,
    Signals,
    bucket_collapse,
    cross_val_calibrate,
    evaluate_confidence,
    transfer_matrix,
)

from .simulate_codegen import write

P = np.array([0.05, 0.15, 0.15, 0.35, 0.55, 0.62, 0.72, 0.85, 0.95, 1.0])
O = np.array([0, 0, 1, 0, 1, 0, 1, 1, 1, 1])  # noqa: E741


def paper_data():
    """The two simulated signals of the reference sheet's table of bucket collapse."""
    rng = np.random.default_rng(0)
    s = rng.beta(8, 2, 2000)
    useless = (rng.random(2000) < 0.35).astype(int)
    z = np.log(s / (1 - s))
    informative = (rng.random(2000) < 1 / (1 + np.exp(-(1.2 * z - 2.2)))).astype(int)
    return s, useless, informative


def grouped_data(n_groups=60, size=10, seed=0):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), size)
    ease = rng.normal(size=n_groups)[group]
    signal = 1 / (1 + np.exp(-ease - rng.normal(size=len(group))))
    return signal, (rng.random(len(group)) < 1 / (1 + np.exp(-2 * ease))).astype(int), group


def row(table, stage, **wanted):
    found = [r for r in table if r["stage"] == stage and all(r[k] == v for k, v in wanted.items())]
    assert len(found) == 1
    return found[0]


def test_metrics_of_the_test_vector():
    raw = row(evaluate_confidence(P, O, cv=2), "uncalibrated")
    expected = {"brier": 0.15603, "brier_ref": 0.24, "skill": 0.349875, "ece": 0.265}
    for name, value in expected.items():
        assert raw[name].value == pytest.approx(value, abs=1e-12)
    assert raw["auc"].value == pytest.approx(20.5 / 24, abs=1e-12)
    assert raw["success_rate"].value == pytest.approx(0.6, abs=1e-15)


def test_protocol_gives_the_table_of_bucket_collapse():
    s, useless, informative = paper_data()
    printed = {
        "useless": (useless, ".4504 .2234 -1.016 .461 .503", ".2241 .2234 -.003 .0001 .470"),
        "informative": (informative, ".3546 .2438 -.454 .376 .736", ".2038 .2438 .164 .015 .734"),
    }
    for _, (correct, *lines) in printed.items():
        table = evaluate_confidence(s, correct, cv="spiess2024", n_resamples=20)
        for stage, line in zip(("uncalibrated", "calibrated"), lines, strict=True):
            found = row(table, stage)
            names = ("brier", "brier_ref", "skill", "ece", "auc")
            for name, text in zip(names, line.split(), strict=True):
                decimals = len(text.split(".")[1])
                assert round(found[name].value, decimals) == float(text), (stage, name)


@pytest.mark.parametrize("order", ["spiess2024", "spiess2024_sorted"])
def test_protocol_against_scikit_learn_line_by_line(order):
    s, _, y = paper_data()
    at = np.argsort(s, kind="stable") if order.endswith("sorted") else np.arange(len(s))
    clipped = np.clip(np.round(s, 7), 1e-6, 1 - 1e-6)
    z = np.log(clipped / (1 - clipped))[:, None]
    expected = np.empty(len(s))
    for train, test in KFold(5, shuffle=True, random_state=42).split(s):
        model = LogisticRegression(C=np.inf).fit(z[at[train]], y[at[train]])
        expected[at[test]] = model.predict_proba(z[at[test]])[:, 1]
    p = cross_val_calibrate("platt", s, y, cv=order)
    np.testing.assert_allclose(p, expected, rtol=0, atol=1e-9)


def test_no_group_is_on_both_sides():
    signal, correct, group = grouped_data()

    class Recording(PlattCalibrator):
        seen: ClassVar[list] = []

        def fit(self, X, y, sample_weight=None, groups=None):
            Recording.seen.append(set(np.asarray(X)))
            assert len(set(groups)) > 10
            return super().fit(X, y, sample_weight)

    p = cross_val_calibrate(Recording(), signal, correct, groups=group, cv=4)
    assert len(Recording.seen) == 4
    assert np.isfinite(p).all()
    for trained in Recording.seen:
        inside = np.isin(signal, list(trained))
        assert not set(group[inside]) & set(group[~inside])


def test_out_of_fold_equals_a_loop_over_a_splitter():
    signal, correct, group = grouped_data()
    folds = GroupKFold(5)
    expected = np.empty(len(signal))
    for train, test in folds.split(signal, correct, group):
        model = BetaCalibrator().fit(signal[train], correct[train])
        expected[test] = model.predict_proba(signal[test])[:, 1]
    p = cross_val_calibrate("beta", signal, correct, groups=group, cv=folds)
    np.testing.assert_array_equal(p, expected)


def test_intervals_are_those_of_estimate_with_groups():
    signal, correct, group = grouped_data()
    table = evaluate_confidence(signal, correct, group, random_state=3)
    seed = int(np.random.default_rng(3).integers(2**31))
    ours = row(table, "uncalibrated")["skill"]
    theirs = estimate("brier_skill_score", correct, signal, groups=group, random_state=seed)
    assert (ours.value, ours.low, ours.high) == (theirs.value, theirs.low, theirs.high)
    alone = row(evaluate_confidence(signal, correct), "uncalibrated")["skill"]
    assert ours.high - ours.low > 1.3 * (alone.high - alone.low)  # rows of one problem are alike


def test_success_rate_and_reference_with_their_intervals():
    signal, correct, _ = grouped_data()
    raw = row(evaluate_confidence(signal, correct, level=0.95), "uncalibrated")
    rate = raw["success_rate"]
    se = np.sqrt(rate.value * (1 - rate.value) / len(correct))
    assert rate.value == pytest.approx(correct.mean())
    assert rate.high - rate.low == pytest.approx(2 * 1.96 * se, rel=0.15)
    ref = raw["brier_ref"]
    assert ref.value == pytest.approx(rate.value * (1 - rate.value))
    assert ref.low <= ref.value <= ref.high <= 0.25


def test_auc_of_any_scale_is_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    signal, correct, _ = grouped_data()
    length = -np.round(100 * signal)  # ties, negative
    table = evaluate_confidence({"length": length}, correct, scale="score")
    raw = row(table, "uncalibrated")
    assert raw["auc"].value == pytest.approx(roc_auc_score(correct, length))
    assert np.isnan(raw["brier"])
    assert np.isnan(raw["skill"])
    assert np.isnan(raw["ece"])
    rescaled = row(table, "calibrated")
    assert rescaled["skill"].value > 0.1  # a long answer is a wrong one, and that is learnt
    assert "higher values go with wrong outputs" in str(table)


def test_logits_and_probabilities_agree():
    signal, correct, _ = grouped_data()
    z = np.log(signal / (1 - signal))
    a = row(evaluate_confidence(signal, correct), "calibrated")
    b = row(evaluate_confidence(z, correct, scale="logit"), "calibrated")
    assert a["brier"].value == pytest.approx(b["brier"].value, abs=1e-9)


def test_missing_signals_are_counted_and_warned_of():
    signal, correct, group = grouped_data()
    some = signal.copy()
    some[::7] = np.nan
    with pytest.warns(MissingSignalWarning, match="86 of 600 outputs have no verbalised"):
        table = evaluate_confidence({"verbalised": some, "average": signal}, correct, group)
    found = row(table, "uncalibrated", signal="verbalised")
    assert (found["n"], found["missing"]) == (514, 86)
    assert row(table, "calibrated", signal="average")["missing"] == 0
    with pytest.warns(MissingSignalWarning):
        nothing = evaluate_confidence({"none": np.full(600, np.nan)}, correct)
    assert row(nothing, "calibrated")["n"] == 0
    assert "no output has the signal" in str(nothing)
    p = cross_val_calibrate("platt", some, correct)
    np.testing.assert_array_equal(np.isnan(p), np.isnan(some))


def test_by_judges_each_part_by_itself():
    signal, correct, group = grouped_data()
    task = np.where(group < 30, "repair", "synthesis")
    table = evaluate_confidence(signal, correct, group, by=task)
    alone = evaluate_confidence(signal[:300], correct[:300], group[:300])
    found = row(table, "calibrated", by="repair")
    assert found["brier"].value == row(alone, "calibrated")["brier"].value
    assert [r["by"] for r in table] == ["repair", "repair", "synthesis", "synthesis"]


def test_one_class_is_said_and_not_an_error():
    signal, correct, group = grouped_data()
    task = np.where(group < 30, "solved", "open")
    table = evaluate_confidence(signal, np.where(group < 30, 1, correct), by=task)
    found = row(table, "calibrated", by="solved")
    assert np.isnan(found["skill"])
    assert np.isnan(found["auc"])
    assert (
        "solved, confidence: all 300 outputs are correct: the skill and the AUC are not defined"
        in table.notes
    )
    assert np.isfinite(row(table, "calibrated", by="open")["skill"].value)


def test_bucket_collapse_is_told_from_skill_and_from_miscalibration():
    s, useless, informative = paper_data()
    p = cross_val_calibrate("platt", s, useless)
    found = bucket_collapse(p, useless)
    assert found.collapsed
    assert found.ece < 0.01
    assert found.spread < 0.02
    assert str(found).startswith("bucket collapse: 100% of the outputs")
    assert "the signal is uninformative" in str(evaluate_confidence(s, useless, calibrator="platt"))
    assert "bucket collapse: 100% of" in str(evaluate_confidence(s, useless))
    good = bucket_collapse(cross_val_calibrate("platt", s, informative), informative)
    assert not good.collapsed
    assert good.skill.value > 0.1
    assert not bucket_collapse(s, useless).collapsed  # bad, but not collapsed
    assert "bucket collapse" not in str(evaluate_confidence(s, informative))
    rare = np.random.default_rng(1).random(20_000) < 0.01
    sharp = np.where(rare, 0.09, 0.001)  # two bins hold all, yet skill is there
    assert not bucket_collapse(sharp, rare).collapsed


def test_a_table_prints_and_is_exported():
    signal, correct, _ = grouped_data()
    table = evaluate_confidence({"a_b": signal, "50%|x": 1 - signal}, correct)
    assert isinstance(table, ResultTable)
    assert len(table) == 4
    lines = str(table).splitlines()
    assert lines[0].split()[:4] == ["signal", "stage", "n", "missing"]
    assert max(map(len, lines)) <= 134
    frame = table.to_pandas()
    assert {"skill", "skill_low", "skill_high", "brier_low"} <= set(frame.columns)
    assert frame["skill"][0] == row(table, "uncalibrated", signal="a_b")["skill"].value
    latex = table.to_latex()
    assert r"a\_b" in latex
    assert r"50\%|x" in latex
    assert latex.count(r" \\") == 5
    markdown = table.to_markdown().splitlines()
    assert len(markdown) == 6
    assert r"50%\|x" in markdown[4]
    assert "<td>a_b</td>" in table._repr_html_()
    import pandas as pd

    framed = evaluate_confidence(pd.DataFrame({"a_b": signal}), pd.Series(correct))
    assert row(framed, "uncalibrated")["skill"].value == frame["skill"][0]


def test_rescaling_is_repeatable_and_seeded():
    signal, correct, group = grouped_data()
    first = cross_val_calibrate("platt", signal, correct, groups=group, random_state=1)
    again = cross_val_calibrate("platt", signal, correct, groups=group, random_state=1)
    other = cross_val_calibrate("platt", signal, correct, groups=group, random_state=2)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.long
def test_skill_intervals_cover_with_groups():
    """Problems that are alike inside: the cluster bootstrap covers, rows alone do not."""
    rng, truth, inside, naive, runs = np.random.default_rng(0), [], 0, 0, 150
    for _ in range(20):
        signal, correct, _ = grouped_data(4000, 10, seed=int(rng.integers(2**31)))
        truth.append(calibkit.brier_skill_score(correct, signal))
    for _ in range(runs):
        signal, correct, group = grouped_data(80, 10, seed=int(rng.integers(2**31)))
        for groups in (group, None):
            e = estimate(
                "brier_skill_score", correct, signal, groups=groups, n_resamples=200, random_state=0
            )
            hit = e.low <= np.mean(truth) <= e.high
            inside, naive = (inside + hit, naive) if groups is not None else (inside, naive + hit)
    assert inside / runs > 0.9 - 3 * np.sqrt(0.9 * 0.1 / runs)
    assert naive / runs < 0.75


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, y: evaluate_confidence(s * 100, y), r"confidence is .* expected probabilities"),
        (lambda s, y: evaluate_confidence(s[:5], y), "confidence has 5 rows and correct has 600"),
        (lambda s, y: evaluate_confidence({}, y), "confidence holds no signal"),
        (lambda s, y: evaluate_confidence(["high"] * 600, y), "can't be read as numbers"),
        (lambda s, y: evaluate_confidence(s + np.inf, y), "is infinite at output 0"),
        (lambda s, y: evaluate_confidence(s, y * 0.5), "correct holds 0.5"),
        (lambda s, y: evaluate_confidence(s, y + 1), "correct holds 2; expected 0 or 1"),
        (lambda s, y: evaluate_confidence(s, y, [1, 2]), "groups has shape"),
        (lambda s, y: evaluate_confidence(s, y, by=[None] * 600), "by has no label at row 0"),
        (lambda s, y: evaluate_confidence(s, y, cv="paper"), "cv='paper'; expected one of"),
        (lambda s, y: evaluate_confidence(s, y, cv=1), "cv=1; expected an int of at least 2"),
        (lambda s, y: evaluate_confidence(s, y, np.arange(600) // 200), "5 folds and 3 groups"),
        (lambda s, y: evaluate_confidence(s, y, scale={"b": "logit"}), "scale names 'b'"),
        (lambda s, y: evaluate_confidence(s, y, scale="percent"), "scale='percent'; expected"),
        (lambda s, y: evaluate_confidence(s, y, calibrator="plat"), "did you mean 'platt'"),
        (lambda s, y: evaluate_confidence(s, y, level=90), "level=90; expected a number"),
        (lambda s, y: cross_val_calibrate("platt", s, y * 0), "0 output.* of one class"),
        (lambda s, y: bucket_collapse(s * np.nan, y), "p contains NaN"),
    ],
)
@pytest.mark.filterwarnings("ignore::calibkit.FewGroupsWarning")
def test_bad_input_is_named(call, message):
    signal, correct, _ = grouped_data()
    with pytest.raises(ValueError, match=message):
        call(signal, correct)


def test_results_are_estimates_that_compute():
    raw = row(evaluate_confidence(P, O, cv=2), "uncalibrated")
    assert isinstance(raw["skill"], Estimate)
    assert float(raw["skill"]) == raw["skill"].value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": ["a", float("nan")] * 300}, "groups has no label at row 1"),
        ({"groups": [1, "1"] * 300}, "groups mixes labels of different types"),
        ({"groups": np.array([1, (2, 3)] * 300, dtype=object)}, "groups mixes labels of diff"),
        ({"groups": np.array(["2020", "NaT"] * 300, dtype="M8[D]")}, "no label at row 1"),
        ({"groups": np.ma.masked_equal(np.arange(600), 3)}, "groups is a masked array"),
        ({"confidence": np.ma.masked_less(np.ones(600), 0)}, "confidence is a masked array"),
        ({"confidence": np.full((600, 2), 0.7)}, "two columns whose rows don't sum to one"),
        ({"confidence": {1: np.ones(600), "1": np.ones(600)}}, "two signals named '1'"),
        ({"confidence": np.full(600, 1.0001)}, "confidence is 1.0001 at output 0"),
        ({"correct": np.array(["yes", "no"] * 300)}, "correct holds 'no'; expected 0 or 1"),
    ],
)
def test_columns_that_would_be_misread_are_refused(change, message):
    signal, correct, group = grouped_data()
    given = {"confidence": signal, "correct": correct, "groups": group, **change}
    with pytest.raises(ValueError, match=message):
        evaluate_confidence(**given, n_resamples=10)


def test_two_columns_of_one_name_are_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.full((600, 2), 0.5), columns=["a", "a"])
    with pytest.raises(ValueError, match="two signals named 'a'"):
        evaluate_confidence(frame, np.arange(600) % 2)


def test_names_may_be_numbers_and_parts_tuples():
    signal, correct, _ = grouped_data()
    by = np.empty(600, dtype=object)
    by[:] = [("a", i % 2) for i in range(600)]
    signals = {1: signal, 2: np.full(600, 0.5)}
    table = evaluate_confidence(signals, correct, by=by, scale={1: "score"}, n_resamples=10)
    assert [r["n"] for r in table] == [300] * 8
    assert {r["signal"] for r in table} == {"1", "2"}
    assert all(note.startswith("('a', ") for note in table.notes)
    few = np.where([b == ("a", 1) for b in by], np.arange(600) == 1, correct)
    table = evaluate_confidence(signals, few, by=by, scale={1: "score"}, n_resamples=10)
    assert any("('a', 1), 1: not calibrated" in n and "holds 1 output" in n for n in table.notes)


def test_folds_given_as_pairs_serve_every_signal_and_skip_what_is_missing():
    signal, correct, group = grouped_data()
    some = np.where(np.arange(600) % 7 == 0, np.nan, signal)
    folds = list(GroupKFold(4).split(signal, groups=group))
    p = cross_val_calibrate("platt", some, correct, groups=group, cv=folds)
    known = ~np.isnan(some)
    for train, test in folds:
        t, u = (np.intersect1d(i, np.flatnonzero(known)) for i in (train, test))
        own = PlattCalibrator().fit(signal[t], correct[t]).predict_proba(signal[u])[:, 1]
        np.testing.assert_array_equal(p[u], own)
    signals = {"some": some, "all": signal}
    settings = {"by": group % 2, "n_resamples": 10}
    with pytest.warns(MissingSignalWarning):
        a = evaluate_confidence(signals, correct, group, cv=folds, **settings)
    with pytest.warns(MissingSignalWarning):
        b = evaluate_confidence(signals, correct, group, cv=(f for f in folds), **settings)
    assert a.to_markdown() == b.to_markdown()


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (KFold(5, shuffle=True, random_state=0), "by a calibrator fitted on its group"),
        (ShuffleSplit(5, random_state=0), "by a calibrator fitted on its group"),
        (TimeSeriesSplit(5), "tests output 0 0 times"),
        ([(np.arange(600), np.arange(600))], "by a calibrator fitted on itself"),
        ([(np.arange(300), np.arange(300, 600))], "tests output 0 0 times"),
        ([([0, 900], [1])], "cv can't be read .*out of bounds"),
        (5.0, "expected an int"),
        (True, "expected an int"),
        ([5], "cv can't be read"),
    ],
)
@pytest.mark.filterwarnings("ignore:The groups parameter is ignored")
def test_folds_that_leak_or_leave_outputs_out_are_refused(cv, message):
    signal, correct, group = grouped_data()
    g = group if "group" in message else None
    with pytest.raises((ValueError, TypeError), match=message):
        cross_val_calibrate("platt", signal, correct, groups=g, cv=cv)


def test_protocol_needs_outputs_of_both_kinds_in_training():
    with pytest.raises(ValueError, match="on 3 outputs, 1 of the rarer class"):
        cross_val_calibrate("platt", [0.1, 0.2, 0.9], [0, 0, 1], cv="spiess2024")


def test_scores_far_from_the_truth_are_not_said_to_be_the_base_rate():
    y = np.arange(400) % 2
    assert "base rate would be better" in str(bucket_collapse(np.full(400, 0.99), y))
    assert "the skill may be due to chance" in str(bucket_collapse(np.full(400, 0.5), y))


def test_exports_keep_rows_apart_and_escape_all():
    table = ResultTable(({"a": "x\\y^2\nz", "b": np.bool_(True)},))
    assert table.to_latex().splitlines()[-3] == (
        r"x\textbackslash{}y\textasciicircum{}2 z & True \\"
    )
    assert table.to_markdown().splitlines()[2] == r"| x\y^2 z | True |"


def test_a_small_effective_number_of_groups_is_noted():
    signal, correct, group = grouped_data()
    uneven = np.where(group < 30, 0, group)
    said = [evaluate_confidence(signal, correct, g, n_resamples=10).notes for g in (group, uneven)]
    assert not any("effective number" in note for note in said[0])
    assert "the effective number of groups is 3.87; intervals may be too narrow" in said[1]


def test_a_rare_success_with_some_skill_is_not_said_to_be_nothing():
    p = np.repeat([0.05, 0.19], [200, 100])
    y = np.zeros(300, dtype=int)
    y[:11] = y[200:216] = 1
    found = bucket_collapse(p, y)
    assert found.collapsed
    assert found.skill.value > 0.01
    assert found.skill.low <= 0
    assert "the skill may be due to chance" in str(found)


def test_outputs_that_were_joined_need_no_more(tmp_path):
    """The file's stated probabilities stay probabilities beside log-odds; lengths are scores."""
    write(tmp_path)
    outputs = read_generations(tmp_path / "generations.jsonl")
    scored = join_results(outputs, read_results(tmp_path / "results.json"))
    said = np.random.default_rng(0).random(len(scored))
    scored = scored.with_signal("said", said).with_signal("lines", 100 * said, scale="score")
    signals = scored.confidence(["said", "lines", "total_probability", "length"], scale="logit")
    assert list(signals.scales.values()) == ["probability", "score", "logit", "score"]
    table = evaluate_confidence(scored, n_resamples=20)
    assert table.rows == evaluate_confidence(scored, n_resamples=20, groups=scored.groups).rows
    found = row(table, "uncalibrated", signal="said")["brier"].value
    assert found == pytest.approx(np.mean((said - scored.correct) ** 2))
    assert np.isnan(row(table, "uncalibrated", signal="lines")["brier"])
    total = np.exp([scored.generations.logprobs[i].sum() for i in range(len(scored))])
    found = row(table, "uncalibrated", signal="total_probability")["brier"].value
    assert found == pytest.approx(np.mean((total - scored.correct) ** 2))
    assert table[0] == table.rows[0]
    with pytest.raises(ValueError, match=r"correct is given twice: .*Drop the argument"):
        evaluate_confidence(scored, scored.correct)
    with pytest.raises(ValueError, match=r"without labels; .*Pass join_results\(generations"):
        evaluate_confidence(outputs)
    with pytest.raises(ValueError, match=r"holds results, .*Pass join_results\(generations"):
        evaluate_confidence(read_results(tmp_path / "results.json"), outputs)
    with pytest.raises(ValueError, match=r"correct is a Signals, .* call evaluate_confidence\(sig"):
        evaluate_confidence(scored.correct, signals)


def test_signals_of_a_second_file_are_matched_by_task_and_sample(tmp_path):
    write(tmp_path)
    outputs = read_generations(tmp_path / "generations.jsonl")
    some = outputs.take(np.arange(100)[::-1])
    values = np.arange(100.0) / 100
    joined = outputs.with_signal("p_true", values, of=some).signals["p_true"]
    np.testing.assert_array_equal(joined[:100], values[::-1])
    assert np.isnan(joined[100:]).all()
    with pytest.raises(ValueError, match="no task and sample of these outputs are among"):
        some.with_signal("p_true", np.zeros(50), of=outputs.take(slice(200, 250)))
    with pytest.raises(ValueError, match=r"p_true.* has 3 rows"):
        some.with_signal("p_true", [1, 2, 3])
    with pytest.raises(ValueError, match="scale='percent'"):
        some.with_signal("p_true", values, scale="percent")


def test_by_takes_several_labels_of_each_output():
    signal, correct, group = grouped_data()
    by = np.column_stack((np.where(group < 30, "a", "b"), np.where(group % 2, "x", "y")))
    table = evaluate_confidence(signal, correct, by=by, n_resamples=20)
    assert [r["by"] for r in table][::2] == ["a, x", "a, y", "b, x", "b, y"]


def test_a_part_that_is_too_small_is_noted_and_the_others_judged():
    signal, correct, _ = grouped_data()
    by = np.where(np.arange(600) < 4, "tiny", "large")
    correct[:4] = [0, 1, 1, 1]
    table = evaluate_confidence(signal, correct, by=by, n_resamples=20)
    assert np.isnan(row(table, "calibrated", by="tiny")["skill"])
    assert row(table, "uncalibrated", by="tiny")["n"] == 4
    assert any("tiny, confidence: not calibrated" in note for note in table.notes)
    assert np.isfinite(row(table, "calibrated", by="large")["skill"].value)
    with pytest.raises(ValueError, match="expected at least two correct and two wrong"):
        evaluate_confidence(signal[:4], correct[:4])


def test_scales_that_are_given_stand_beside_those_of_the_signals():
    rng = np.random.default_rng(0)
    z, length = rng.normal(size=200), rng.integers(1, 99, size=200)
    y = rng.random(200) < 1 / (1 + np.exp(-z))
    both = Signals({"margin": z, "length": length}, {"margin": "logit"})
    told = Signals(both, {"margin": "logit", "length": "score"})
    settings = {"n_resamples": 10, "random_state": 0}
    want = str(evaluate_confidence(told, y, **settings))
    assert str(evaluate_confidence(both, y, scale={"length": "score"}, **settings)) == want
    part = Signals({"length": length}, {"length": "score"})
    for found in (
        told.copy(),
        Signals({"margin": z}, both.scales) | part,
        pickle.loads(pickle.dumps(told)),
    ):
        assert str(evaluate_confidence(found, y, **settings)) == want
    del told["margin"]
    assert len(evaluate_confidence(told.copy(), y, **settings)) == 2
    assert len(evaluate_confidence(told, y, **settings)) == 2
    with pytest.raises(ValueError, match="Signals: scale names 'lenght'"):
        Signals({"length": length}, {"lenght": "score"})
    with pytest.raises(ValueError, match=r"Signals: .*'log-odds'; expected one of"):
        Signals({"margin": z}, {"margin": "log-odds"})
    with pytest.raises(ValueError, match="scale names 'lenght'"):
        evaluate_confidence(both, y, scale={"lenght": "score"})


def test_scales_of_joined_outputs(tmp_path):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, size=200)
    ids = {"task": np.arange(200).astype(str), "sample": np.zeros(200, int), "place": [""] * 200}
    tokens = Ragged(np.log(p), np.arange(201))
    outputs = Generations(text=[""] * 200, logprobs=tokens, **ids)
    outputs = outputs.with_signal("margin", rng.normal(size=200) * 9, scale="logit")
    scored = join_results(outputs, Results(correct=rng.random(200) < p, notion="tests", **ids))
    settings = {"n_resamples": 10, "random_state": 0}
    want = str(evaluate_confidence(scored, **settings))
    assert str(evaluate_confidence(scored, scale={"margin": "logit"}, **settings)) == want
    bare = replace(scored, generations=replace(outputs, signals={}))
    table = evaluate_confidence(bare, scale="probability", **settings)
    assert float(table[0]["brier"]) == pytest.approx(np.mean((p - bare.correct) ** 2))


def test_names_of_several_lines_are_one_head():
    table = ResultTable(({"a\nb": 1.0, 7: "x\ny"},))
    for text, lines in ((str(table), 2), (table.to_markdown(), 3), (table.to_latex(), 7)):
        assert "a b" in text
        assert len(text.splitlines()) == lines
    assert "<th>a b</th><th>7</th>" in table._repr_html_()


@pytest.mark.parametrize("scale", ["probability", "logit"])
def test_the_default_is_automatic_and_platt_for_reversed_signals(scale):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.98, 3000)
    x = p if scale == "probability" else np.log(p / (1 - p))
    bent = (rng.random(3000) < 1 / (1 + np.exp(-(2 * np.log(p) + 1)))).astype(int)
    taken = validate_calibrator("auto", scale).fit(x, bent)
    assert to_dict(taken)["state"] == to_dict(AutoCalibrator(scale=scale).fit(x, bent))["state"]
    with pytest.warns(ReversedScoresWarning) as caught:
        turned = validate_calibrator("auto", scale).fit(x, 1 - bent)
    assert len(caught) == 1
    assert (turned.name, turned.slope_ < 0) == ("platt", True)


def test_groups_reach_the_calibrator():
    """Repeated outputs of a problem are no evidence: the fit is nearer to the signal."""
    rng = np.random.default_rng(0)
    p, problem = np.repeat(rng.uniform(0.05, 0.95, 60), 20), np.repeat(np.arange(60), 20)
    correct = np.repeat(rng.random(60) < p[::20] ** 3, 20)
    cv = [(np.arange(1200) < 600, np.arange(1200) >= 600), (problem >= 30, problem < 30)]
    apart = cross_val_calibrate("auto", p, correct, groups=problem, cv=cv)
    alike = cross_val_calibrate("auto", p, correct, cv=cv)
    half = slice(600, None)
    expected = AutoCalibrator().fit(p[half], correct[half], groups=problem[half])
    np.testing.assert_array_equal(apart[:600], expected.predict_proba(p[:600])[:, 1])
    assert np.abs(apart - p).mean() < np.abs(alike - p).mean()


def test_auto_is_the_default_of_evaluation_and_a_choice_elsewhere():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.02, 0.98, 2000)
    correct = rng.random(2000) < 1 / (1 + np.exp(-(2 * np.log(p) - 0.1 * np.log(1 - p) + 1)))
    found = row(evaluate_confidence(p, correct, n_resamples=20), "calibrated")["brier"]
    seed = int(generator(0).integers(2**31))
    for name, equal in (("auto", True), ("platt", False)):
        q = cross_val_calibrate(name, p, correct, random_state=seed)
        assert (calibkit.brier_score(correct, q) == pytest.approx(found.value, rel=1e-12)) == equal
    assert str(transfer_matrix(p, correct, np.arange(2000) % 2, calibrator="auto"))


def test_a_signal_outside_0_and_1_is_told_the_scale_or_the_option():
    with pytest.raises(ValueError, match=r"use scale=\{'lines': 'score'\}\.$") as caught:
        evaluate_confidence({"lines": [3.0, 0.5]}, [0, 1])
    said = as_options(str(caught.value))
    assert said.endswith("For lengths, perplexities and other numbers use --score lines.")
