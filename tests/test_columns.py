"""Columns that are named after the classes are read by their names, wherever they stand."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone

from calibkit import (
    DriftDisplay,
    PlattCalibrator,
    ReliabilityDisplay,
    ScoreTable,
    brier_score,
    compare_online_calibrators,
    decisions,
    estimate,
    expected_calibration_error,
    from_dict,
    log_loss,
    prequential_errors,
    to_dict,
)
from calibkit._core.columns import match_columns

from .registry import EXAMPLES, name_of


@pytest.mark.parametrize(
    ("names", "classes", "order"),
    [
        (["c", "a", "b"], ["a", "b", "c"], [1, 2, 0]),
        (["1", "0"], [0, 1], [1, 0]),
        ([1, 0], ["0", "1"], [1, 0]),
        (["1.0", "0.0"], [0, 1], [1, 0]),
        (["1", "0"], [0.0, 1.0], [1, 0]),
        (["1", "-1"], [-1, 1], [1, 0]),
        (["true", "false"], [False, True], [1, 0]),
        (["1", "0"], [False, True], [1, 0]),
        (["YES ", "NO"], ["No", "Yes"], [1, 0]),
        (["p_yes", "p_no"], ["no", "yes"], [1, 0]),
        (["prob yes (new)", "prob no (new)"], ["no", "yes"], [1, 0]),
        (["aa", "a"], ["a", "aa"], [1, 0]),
        (["a", "A"], ["A", "a"], [1, 0]),
        (["x", "y"], ["no", "yes"], None),
        (["p0", "p1"], [1, 2], None),
        (range(3), [1, 2, 3], None),
        (["column_0", "column_1"], [1, 2], None),
        (["yes", "no", "id"], ["no", "yes"], None),  # as many columns as classes is asked first
        ([f"p_{i}" for i in range(5000)][::-1], range(5000), list(range(5000))[::-1]),
    ],
)
def test_columns_are_matched_by_their_names(names, classes, order):
    assert match_columns(names, classes) == order
    assert match_columns(np.array(list(names), dtype=object), np.array(list(classes))) == order


@pytest.mark.parametrize(
    ("names", "classes", "shown"),
    [
        (["yes", "maybe"], ["no", "yes"], r"\('yes'\) and others that are not \('maybe'\)"),
        (["p_a", "p_b", "x"], ["a", "b", "c"], r"\('p_a', 'p_b'\) and others that are not \('x'\)"),
        (["a_new", "b", "x"], ["a", "b", "c"], r"\('a_new', 'b'\) and others .* \('x'\)"),
        (["prob_0", "prob_1", "prob_2"], [1, 2, 3], r"\('prob_1', 'prob_2'\) .* \('prob_0'\)"),
        (["yes", "yes"], ["no", "yes"], r"\('yes', 'yes'\); the classes are 'no', 'yes'"),
    ],
)
def test_columns_that_match_in_part_are_refused_by_name(names, classes, shown):
    with pytest.raises(ValueError, match=f"^here has columns named after classes {shown}.* Do so"):
        match_columns(names, classes, what="here", mend="Do so.")


NAMES = ["ant", "bee", "cat"]
RNG = np.random.default_rng(0)
P = RNG.dirichlet([1.0, 1.0, 1.0], size=300)
Y = np.array(NAMES)[[RNG.choice(3, p=row) for row in P]]
PAIR = np.column_stack((1.0 - P[:, 0], P[:, 0]))
EVENT = np.where(RNG.random(300) < P[:, 0], "yes", "no")
KINDS = {"pandas": lambda d: d, "polars": pl.from_pandas, "pyarrow": pa.Table.from_pandas}
ALL = [c for c in EXAMPLES if c._input_scale() == "probability"]


def frames(kind, values, names, order):
    """The values as a frame of the names, and its columns in another order."""
    frame = pd.DataFrame(values, columns=names)
    return KINDS[kind](frame), KINDS[kind](frame.iloc[:, order])


def problem_of(example):
    if "multiclass" in example._traits:
        return P, Y, NAMES, [2, 0, 1]
    return PAIR, EVENT, ["p_no", "p_yes"], [1, 0]


@pytest.mark.filterwarnings("ignore::calibkit.CalibrationWarning")
@pytest.mark.parametrize("example", ALL, ids=name_of)
def test_calibrators_read_columns_by_name_in_every_order(example):
    values, y, names, order = problem_of(example)
    expected = clone(example).fit(values, y).predict_proba(values)
    for kind in KINDS:
        straight, other = frames(kind, values, names, order)
        cal = clone(example).fit(other, y)
        for given in (straight, other):
            np.testing.assert_array_equal(cal.predict_proba(given), expected)
        again = from_dict(to_dict(clone(example).fit(values, y)))
        np.testing.assert_array_equal(again.predict_proba(other), expected)
        with pytest.raises(ValueError, match="have no names; expected a frame with these names"):
            cal.predict_proba(values)
    with pytest.raises(ValueError, match="named after classes"):
        clone(example).fit(pd.DataFrame(values, columns=[*names[:-1], "other"]), y)
    with pytest.raises(ValueError, match="feature names"):
        cal.predict_proba(pd.DataFrame(values, columns=[f"a_{name}" for name in names]))


@pytest.mark.filterwarnings("ignore::calibkit.CalibrationWarning")
@pytest.mark.parametrize("example", [c for c in ALL if "online" in c._traits], ids=name_of)
def test_streams_read_columns_by_name_in_every_order(example):
    values, y, names, order = problem_of(example)
    straight, other = frames("pandas", values, names, order)
    expected = clone(example).predict_then_update(values, y)
    cal = clone(example)
    got = [cal.predict_then_update(other[:100], y[:100])]
    got.append(cal.predict_then_update(straight[100:200], y[100:200]))
    got.append(cal.forecast(range(100), other[200:]))
    np.testing.assert_array_equal(np.concatenate(got)[:200], expected[:200])
    np.testing.assert_array_equal(got[2], cal.predict_proba(straight[200:]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "metric",
    [
        log_loss,
        brier_score,
        expected_calibration_error,
        lambda y, p, **more: (
            estimate("brier_score", y, p, n_resamples=50, random_state=0, **more).high
        ),
        lambda y, p, **more: prequential_errors(
            [None, *y[1:]], p, **more, kind="top_label" if p.shape[1] > 2 else None
        ).calibration_error.tolist(),
    ],
)
def test_metrics_read_columns_by_name_in_every_order(metric, kind):
    straight, other = frames(kind, P, NAMES, [2, 0, 1])
    assert metric(Y, other) == metric(Y, straight) == metric(Y, P)
    straight, other = frames(kind, PAIR, ["no", "yes"], [1, 0])
    for more in ({}, {"pos_label": "yes"}, {"pos_label": "no"}):
        assert metric(EVENT, other, **more) == metric(EVENT, PAIR, **more)
        assert metric(EVENT, straight, **more) == metric(EVENT, PAIR, **more)
    numbers = (EVENT == "yes").astype(int)
    _, other = frames(kind, PAIR, ["0", "1"], [1, 0])
    assert metric(numbers, other) == metric(numbers, PAIR)


def test_tables_and_displays_read_columns_by_name_in_every_order():
    _, other = frames("pandas", PAIR, ["no", "yes"], [1, 0])
    table = ScoreTable.from_arrays(EVENT, PAIR)
    parts = [(EVENT[i::2], other[i::2]) for i in (0, 1)]
    np.testing.assert_array_equal(ScoreTable.from_arrays(EVENT, other).p, table.p)
    np.testing.assert_array_equal(ScoreTable.from_chunks(parts, pos_label="yes").wy, table.wy)
    for y in (0, 1):  # rows of one label
        one = ScoreTable.from_arrays([y] * 300, pd.DataFrame(PAIR[:, ::-1], columns=[1, 0]))
        np.testing.assert_array_equal(one.p, table.p)
    shown, expected = (
        ReliabilityDisplay.from_predictions(EVENT, p, n_resamples=20, random_state=0).frame()
        for p in (other, PAIR)
    )
    pd.testing.assert_frame_equal(shown, expected)
    shown, expected = (
        compare_online_calibrators(p, EVENT, methods={"base": None})["base"] for p in (other, PAIR)
    )
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("more", [{}, {"pos_label": "no"}])
def test_streams_that_are_drawn_read_columns_by_name(missing, more):
    y = [None, *EVENT[1:]] if missing else EVENT
    for names, p, order, kind in (
        (["no", "yes"], PAIR, [1, 0], None),
        (NAMES, P, [2, 0, 1], "top_label"),
    ):
        labels = y if kind is None else [*(y[:1] if missing else Y[:1]), *Y[1:]]
        given = more if kind is None else {"kind": kind}
        _, other = frames("pandas", p, names, order)
        shown = DriftDisplay.from_predictions(labels, other, alarm=0.05, **given)
        expected = DriftDisplay.from_predictions(labels, p, alarm=0.05, **given)
        np.testing.assert_array_equal(shown.forecasts_["Model"], p)
        assert shown.alarms_ == expected.alarms_
        pd.testing.assert_frame_equal(shown.frame(), expected.frame())
        plt.close("all")


def test_gates_read_columns_by_name_in_every_order():
    right = EVENT == "yes"
    for names in (["False", "True"], ["0", "1"], ["p_0", "p_1"]):
        _, other = frames("pandas", PAIR, names, [1, 0])
        gate = decisions.RiskControlledThreshold(0.5).fit(other, right)
        assert gate.threshold_ == decisions.RiskControlledThreshold(0.5).fit(PAIR, right).threshold_
        np.testing.assert_array_equal(gate.predict(other), gate.predict(PAIR))


def test_one_column_that_is_named_after_the_other_class_is_refused():
    for given in (pd.Series(PAIR[:, 0], name="no"), pl.Series("p_no", PAIR[:, 0])):
        for call in (
            lambda p=given: PlattCalibrator().fit(p, EVENT),
            lambda p=given: brier_score(EVENT, p),
            lambda p=given: brier_score(EVENT, p, pos_label="yes"),
        ):
            with pytest.raises(ValueError, match=r"one column named .*no.*of 'yes'"):
                call()
        brier_score(EVENT, given, pos_label="no")
    assert brier_score(EVENT, pd.Series(PAIR[:, 1], name="yes")) == brier_score(EVENT, PAIR)
