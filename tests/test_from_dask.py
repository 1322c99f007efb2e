"""`ScoreTable.from_dask`: the same numbers as from arrays, whatever the partitions."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calibkit import (
    ReliabilityDisplay,
    ScoreTable,
    calibration_error,
    certify,
    estimate,
    log_loss,
)
from calibkit._numerics.binning import uniform_borders
from calibkit.base import InputError

from .test_from_sql import COLUMNS, SCORES, Data, bounds, data, same

dask = pytest.importorskip("dask", reason="Dask is not installed")
pd = pytest.importorskip("pandas")
dd = pytest.importorskip("dask.dataframe")
da = pytest.importorskip("dask.array")
TOLD = {"label": "y", "score": "p"}
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def frame_of(rows, n=11):
    return dd.from_pandas(pd.DataFrame(rows._asdict()), npartitions=n)


def arrays_of(rows, sizes=(300, 200, 400)):
    return [da.from_array(c, chunks=s) for c, s in zip(rows[:3], sizes, strict=True)]


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("n", [1, 5, 40])
def test_few_scores_give_the_table_of_the_rows(weight, n):
    rows = data(800, ties=True)
    frame, w = frame_of(rows, n), None if weight is None else rows.w
    told = {**TOLD, "weight": weight}
    same(ScoreTable.from_dask(frame, **told), ScoreTable.from_arrays(rows.y, rows.p, w), 1e-12)
    tables = ScoreTable.from_dask(frame, by="g", **told)
    assert list(tables) == ["a", "b"]
    for g, table in tables.items():
        some = rows.g == g
        parts = (None if c is None else c[some] for c in (rows.y, rows.p, w))
        same(table, ScoreTable.from_arrays(*parts), 1e-12)
    several = ScoreTable.from_dask(frame, by=["g", "y"], **told)
    assert list(several) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert sum(several.values()).n_rows == sum(tables.values()).n_rows
    rows = data()
    whole = ScoreTable.from_dask(frame_of(rows, n), n_cells=None, **told)
    same(whole, ScoreTable.from_arrays(rows.y, rows.p, None if weight is None else rows.w), 1e-12)


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("group", [None, "a"])
@pytest.mark.parametrize("n", [2, 40])  # rows of a partition are summed by cells, or by scores
def test_cells_of_many_scores_keep_what_is_said_to_be_exact(weight, group, n):
    rows = data()
    some = slice(None) if group is None else rows.g == group
    y, p, w = (c[some] for c in rows[:3])
    told = {**TOLD, "weight": weight, "by": group and "g", "n_cells": 384, "n_bins": 30}
    table = ScoreTable.from_dask(frame_of(rows, n), **told)
    table = table if group is None else table[group]
    exact = ScoreTable.from_arrays(y, p, None if weight is None else w)
    assert len(table) < len(exact)
    assert (np.diff(table.p) > 0).all()
    assert weight or not certify(table).finite
    for score in SCORES:
        assert score(table) == pytest.approx(score(exact), rel=1e-12)
    for column in COLUMNS:
        found, expected = (getattr(t, column).sum() for t in (table, exact))
        assert found == pytest.approx(expected, rel=1e-12)
    for n_bins in (30, 15, 10, 1):
        borders = uniform_borders(n_bins)
        for a, b in zip(table.sums(borders)[:4], exact.sums(borders)[:4], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
        for norm in ("l1", "l2", "max"):
            plain = {"strategy": "uniform", "n_bins": n_bins, "debias": False, "norm": norm}
            found = calibration_error(table, **plain)
            assert found == pytest.approx(calibration_error(exact, **plain), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("n_cells", [40, 512])
def test_other_metrics_keep_within_the_bounds(n_cells):
    rows = data()
    exact = ScoreTable.from_arrays(rows.y, rows.p)
    table = ScoreTable.from_dask(frame_of(rows), n_cells=n_cells, **TOLD)
    for metric, bound in bounds(table, n_cells).items():
        assert abs(metric(table) - metric(exact)) <= bound, metric
    equal_mass = {"norm": "l1", "debias": False, "n_bins": 8}
    off = calibration_error(table, **equal_mass) - calibration_error(exact, **equal_mass)
    assert abs(off) <= 14 * table.w.max() / table.w.sum()


def test_partitions_make_no_difference():
    rows = data()
    told = {**TOLD, "weight": "w", "n_bins": 30, "n_cells": 384}
    one = ScoreTable.from_dask(frame_of(rows, 1), **told)
    for n in (2, 9, 150):
        table = ScoreTable.from_dask(frame_of(rows, n), **told)
        for column in ("p", *COLUMNS, "losses"):
            np.testing.assert_allclose(getattr(table, column), getattr(one, column), rtol=1e-13)


def test_cells_are_those_of_a_database():
    import sqlite3

    from .test_from_sql import ODD, fill, with_logarithms

    rows = data()
    connection = with_logarithms(":memory:")
    assert isinstance(connection, sqlite3.Connection)
    fill(connection, rows)
    told = {"n_bins": 30, "n_cells": 384}
    theirs = ScoreTable.from_sql(connection, "games", label="y", score=ODD, **told)
    connection.close()
    same_cells = ScoreTable.from_dask(frame_of(rows), **TOLD, **told)
    for column in ("p", *COLUMNS, "losses"):
        np.testing.assert_allclose(getattr(same_cells, column), getattr(theirs, column), rtol=1e-12)


def test_estimates_and_displays_work_from_the_table():
    rows = data(400, ties=True)
    table, exact = ScoreTable.from_dask(frame_of(rows), **TOLD), ScoreTable.from_arrays(*rows[:2])
    for metric in ("brier_score", "calibration_error", "smooth_calibration_error"):
        found, plain = (estimate(metric, t, random_state=0) for t in (table, exact))
        assert (found.value, found.low, found.high) == pytest.approx(
            (plain.value, plain.low, plain.high), rel=1e-9, abs=1e-12
        )
    assert repr(certify(table)) == repr(certify(exact))
    assert ReliabilityDisplay.from_table(table) is not None
    cells = ScoreTable.from_dask(frame_of(data()), n_cells=40, **TOLD)
    rows = data()
    found, plain = estimate("brier_score", cells), estimate("brier_score", rows.y, rows.p)
    assert found.value == pytest.approx(plain.value, rel=1e-12)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), rel=1e-3)


@pytest.mark.parametrize("n_cells", [384, None])
def test_dask_arrays(n_cells):
    rows = data()
    y, p, w = arrays_of(rows)
    told = {"n_bins": 3, "n_cells": n_cells}
    expected = ScoreTable.from_dask(frame_of(rows), weight="w", **TOLD, **told)
    table = ScoreTable.from_dask(label=y, score=p, weight=w, **told)
    for column in ("p", *COLUMNS):
        np.testing.assert_allclose(getattr(table, column), getattr(expected, column), rtol=1e-13)
    g = da.from_array(np.where(rows.g == "a", 0, 1), chunks=500)
    assert list(ScoreTable.from_dask(label=y, score=p, by=g)) == [0, 1]
    assert list(ScoreTable.from_dask(label=y, score=p, by=[g, y])) == [
        (0, 0), (0, 1), (1, 0), (1, 1)
    ]  # fmt: skip
    positive = p > 0.5  # chunks of unknown sizes
    some = ScoreTable.from_dask(label=y.rechunk(200)[positive], score=p[positive], **told)
    assert some.n_rows == (rows.p > 0.5).sum()


def test_labels_weights_and_groups_of_other_types():
    frame = pd.DataFrame(
        {
            "y": ["no", "yes", "yes", "no"],
            "p": [0.25, 0.25, 0.5, 0.5],
            "w": [2, 1, 0, 3],
            "g": pd.Categorical(["b", "a", "b", "b"], categories=["a", "b", "c"]),
        }
    )
    told = {**TOLD, "weight": "w", "pos_label": "no"}
    for n in (1, 2, 4):
        parts = dd.from_pandas(frame, npartitions=n)
        for settings in ({}, {"weights": "frequency"}):
            table = ScoreTable.from_dask(parts, **told, **settings)
            rows = (frame[c].to_numpy() for c in ("y", "p", "w"))
            same(table, ScoreTable.from_arrays(*rows, pos_label="no", **settings))
        tables = ScoreTable.from_dask(parts, **told, by="g")
        assert {g: t.n_rows for g, t in tables.items()} == {"a": 1, "b": 2}
    nullable = frame.astype({"p": "Float64", "w": "Int64"}).assign(y=[False, True, True, False])
    parts = dd.from_pandas(nullable, npartitions=4)
    same(
        ScoreTable.from_dask(parts, **TOLD, weight="w", by=None),
        ScoreTable.from_arrays(nullable.y.tolist(), frame.p, frame.w),
    )
    numbered = dd.from_pandas(frame.rename(columns={"y": 0, "p": 1}), npartitions=2)
    assert ScoreTable.from_dask(numbered, label=0, score=1, pos_label="yes").n_rows == 4
    with pytest.raises(InputError, match="label=7: no such column; expected one of 0, 1, w, g"):
        ScoreTable.from_dask(numbered, label=7, score=1)
    empty = parts[parts.p < 0.3]  # partitions without rows
    assert ScoreTable.from_dask(empty, **TOLD).n_rows == 2


def test_frequencies_in_cells():
    rows = data()
    w = np.rint(rows.w * 3)
    frame = frame_of(rows._replace(w=w), 3)
    told = {"weights": "frequency"}
    table = ScoreTable.from_dask(frame, weight="w", n_cells=40, n_bins=3, **told, **TOLD)
    exact = ScoreTable.from_arrays(rows.y, rows.p, w, **told)
    assert table.n_rows == exact.n_rows
    assert table.plain
    assert log_loss(table) == pytest.approx(log_loss(exact), rel=1e-12)


ROWS = [(0, 0.2, 1.0, "a"), (1, 0.7, 1.5, "b"), (1, 0.9, 1.0, "b")]


ROWS_WEIGHTS = [row[2] for row in ROWS]


@pytest.mark.parametrize(
    ("row", "told", "message"),
    [
        ((None, 0.2, 1, "a"), {}, "partition 3: y contains NaN or infinity"),
        ((0, None, 1, "a"), {}, "partition 3: p contains NaN .first at row 0"),
        ((0, 0.5, None, "a"), {"weight": "w"}, "partition 3: w is not finite at row 0"),
        ((0, 0.5, 1, None), {"by": "g"}, "partition 3: g is missing .* in 1 rows; expected"),
        ((0, 1.5, 1, "a"), {}, r"partition 3: p holds values outside \[0, 1\] \(1.5 at row 0"),
        ((2, 0.5, 1, "a"), {}, r"partition 3: y holds the labels 2; expected 0 and 1, -1"),
        (
            (-1, 0.5, 1, "a"),
            {},
            "partition 3: y holds -1, and the partitions so far hold the labels",
        ),
        ((2, 0.5, 1, "a"), {"pos_label": 1}, "partition 3: pos_label=1 and the labels 0, 1, 2; ex"),
        ((1, 0.5, 1, "a"), {"pos_label": 5}, "partition 1: pos_label=5 and the labels 0, 1; exp"),
        ((0, 0.5, -1, "a"), {"weight": "w"}, r"partition 3: w is negative \(-1 at row 0\)"),
        (
            (0, 0.5, 1, "a"),
            {"weight": "w", "weights": "frequency"},
            "partition 1: weights='frequency' and a w of 1.5 at row 0",
        ),
        ((0, 0.5, 1, "a"), {"label": "z"}, "label='z': no such column; expected one of y, p"),
        ((0, 0.5, 1, "a"), {"n_bins": 0}, "n_bins"),
        ((0, 0.5, 1, "a"), {"weights": "x"}, "weights"),
    ],
)
def test_wrong_rows_are_refused_with_their_partition(row, told, message):
    rows = pd.DataFrame([*ROWS, row], columns=["y", "p", "w", "g"])
    frame = dd.from_pandas(rows, npartitions=4)
    with pytest.raises(InputError, match=message) as caught:
        ScoreTable.from_dask(frame, **{**TOLD, **told})
    assert caught.value.caller == "ScoreTable.from_dask"
    assert str(caught.value).count("from_dask") == 1


def test_wrong_calls():
    rows = Data(*(c[:60] for c in data()))
    y, p, _ = arrays_of(rows, (10, 10, 10))
    frame = frame_of(rows)
    with pytest.raises(TypeError, match="frame is a DataFrame; expected a Dask data frame"):
        ScoreTable.from_dask(frame.compute(), **TOLD)
    with pytest.raises(TypeError, match="frame is None and score is a ndarray; expected a Dask"):
        ScoreTable.from_dask(label=y, score=rows.p)
    with pytest.raises(InputError, match=r"score has shape \(60, 1\)"):
        ScoreTable.from_dask(label=y, score=p[:, None])
    with pytest.raises(InputError, match="score has 50 rows, and label 60; expected"):
        ScoreTable.from_dask(label=y, score=p[:50])
    with pytest.raises(TypeError, match="by is an int; expected a name, or a list of names"):
        ScoreTable.from_dask(frame, by=3, **TOLD)
    with pytest.raises(InputError, match="there are no rows, or none with a weight"):
        ScoreTable.from_dask(frame[frame.p > 2], **TOLD)
    with pytest.raises(InputError, match="there are no rows, or none with a weight"):
        ScoreTable.from_dask(frame.assign(w=0), weight="w", **TOLD)


def test_rows_without_weight_are_checked_wherever_they_are():
    frame = pd.DataFrame(ROWS + ROWS, columns=["y", "p", "w", "g"])
    frame.loc[3:, "w"] = 0.0
    for column, value, message in (("p", 7.0, "partition 1: p holds"), ("y", 2, "partition 1: y")):
        wrong = frame.copy()
        wrong.loc[4, column] = value
        with pytest.raises(InputError, match=message):
            ScoreTable.from_dask(dd.from_pandas(wrong, npartitions=2), weight="w", **TOLD)
    for least in (0.0, 1e-120, 1e-200):
        frame.loc[3:, "w"] = least
        parts = dd.from_pandas(frame, npartitions=2)
        table = ScoreTable.from_dask(parts, weight="w", **TOLD)
        np.testing.assert_allclose(table.w, ROWS_WEIGHTS)
    frame["w"] = 1e-120
    with pytest.raises(InputError, match=r"the largest w is 1e-120; expected weights between"):
        ScoreTable.from_dask(dd.from_pandas(frame, npartitions=2), weight="w", **TOLD)


def test_chunks_of_unknown_sizes_hold_equally_many_rows():
    rows = Data(*(c[:60] for c in data()))
    y, p, _ = arrays_of(rows, (10, 10, 10))
    unknown, some = y[y >= 0], p[p > 0.5]
    with pytest.raises(InputError, match=r"partition \d: label has 10 rows and score has"):
        ScoreTable.from_dask(label=unknown, score=some)
    with pytest.raises(InputError, match=r"partition \d: label has 10 rows and by\[0\] has"):
        ScoreTable.from_dask(label=unknown, score=p[p >= 0], by=some)
    for score in (p, p.rechunk(60), p.rechunk(30)[p.rechunk(30) >= 0]):
        with pytest.raises(InputError, match=r"unknown sizes.*compute_chunk_sizes\(\)"):
            ScoreTable.from_dask(label=unknown, score=score)


@pytest.mark.parametrize("n_cells", [40, None])
def test_frequencies_of_all_partitions_are_added(n_cells):
    rows = data()
    frame = frame_of(rows._replace(w=np.full(len(rows.y), 2.0**53 // len(rows.y) + 1)))
    with pytest.raises(InputError, match="weights='frequency' and a w of a sum of 9"):
        ScoreTable.from_dask(frame, weight="w", weights="frequency", n_cells=n_cells, **TOLD)


def test_arguments_of_other_kinds():
    rows = Data(*(c[:60] for c in data()))
    frame, (y, p, _) = frame_of(rows), arrays_of(rows, (10, 10, 10))
    with pytest.raises(TypeError, match="label is an Array; expected a column's name"):
        ScoreTable.from_dask(frame, label=y, score=p)
    with pytest.raises(TypeError, match="score is a Series; expected a column's name"):
        ScoreTable.from_dask(frame, label="y", score=frame.p)
    with pytest.raises(TypeError, match=r"frame is a Delayed.*; expected a Dask data frame"):
        ScoreTable.from_dask(dask.delayed(frame.compute()), **TOLD)
    with pytest.raises(InputError, match=r"pos_label=\[1\]; expected one label"):
        ScoreTable.from_dask(frame, pos_label=[1], **TOLD)


def test_a_killed_worker_of_a_cluster_makes_no_difference():
    """Two worker processes, of which one is killed in the middle; the log shows what it lost."""
    program = ROOT / "benchmarks" / "dask_scale.py"
    run = subprocess.run(
        [sys.executable, program, "--killed"], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.endswith("the table is the same\n")
    assert re.search(r"^process \d+ was killed in partition 7; \d+ part", run.stdout, re.MULTILINE)


def test_the_example_of_the_page_runs(capsys):
    page = (ROOT / "docs" / "any_amount.md").read_text()
    (block,) = re.findall(r"^## Dask\n\n```python\n(.*?)^```$", page, re.M | re.S)
    exec(compile(block, "any_amount.md", "exec"), {"__name__": "page"})
    score, groups = capsys.readouterr().out.splitlines()
    assert score.startswith("0.0925")
    assert groups.startswith("{'A': 0.025,")


def test_nothing_is_computed_but_once_and_sums_are_small():
    rows, seen = data(), []

    def make(i):
        seen.append(i)
        return pd.DataFrame({"y": rows.y, "p": rows.p, "unused": 1.0})

    frame = dd.from_map(make, range(20), meta=make(0))
    seen.clear()
    table = ScoreTable.from_dask(frame, n_cells=40, **TOLD)
    assert sorted(seen) == list(range(20))
    assert table.n_rows == 20 * len(rows.y)
