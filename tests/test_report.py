"""The parts of a report on several models, on groups and on the number of rows."""

from __future__ import annotations

import json
import re

import numpy as np
import polars as pl
import pytest

from calibkit import compare, detectable_error, group_table

from .runner import APP, RUNNER

N = 400
QUICK = ["--resamples", "20", "--label", "y"]
BINS = {"norm": "l2", "strategy": "quantile", "n_bins": 15}
NUMBERS = ("value", "low", "high", "p_value", "p_adjusted")


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, N)
    region = rng.integers(0, 3, N)
    y = rng.random(N) < np.where(region == 2, p / 2, p)
    columns = {
        "y": y.astype(int),
        "all": p,
        "best": p**3,
        "third": np.clip(p + rng.choice([-0.05, 0.05], N), 0.05, 0.95),
    }
    columns |= {"weight": rng.integers(1, 4, N), "unit": np.arange(N) // 4}
    return pl.DataFrame(columns).with_columns(
        region=pl.Series(np.array(["north", "", "south"])[region]), size=pl.Series(rng.random(N))
    )


@pytest.fixture(scope="module")
def path(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "t.csv"
    frame.write_csv(path)
    return path


def report(path, *options, **kwargs):
    result = RUNNER.invoke(APP, ["report", str(path), *QUICK, *options], **kwargs)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def facts(path, *options):
    return json.loads(report(path, *options, "--json"))


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ([], {}),
        (["--weight", "weight", "--group", "unit"], {"sample_weight": "weight", "groups": "unit"}),
    ],
)
def test_differences_are_the_library_s(path, frame, options, given):
    """Columns called all and best are models, not words; --group and --weight are handed on."""
    columns = {k: frame[v].to_numpy() for k, v in given.items()}
    y = frame["y"].to_numpy()
    two = facts(path, "--prob", "all,best", *options)["comparison"]
    three = facts(path, "--prob", "best,third,all", *options)["comparison"]
    assert (two["reference"], three["reference"]) == ("best", "all")
    for found, names in ((two, ["all", "best"]), (three, ["best", "third", "all"])):
        models = {f"m {k}": frame[k].to_numpy() for k in names}
        for metric in ("brier_score", "log_loss", "calibration_error"):
            params = BINS if metric == "calibration_error" else {}
            last, pairs = f"m {names[-1]}", {"reference": "all", "random_state": 0}
            every = compare(metric, y, models, **pairs, **columns, **params).differences
            expected = [e if e.second == last else e.reversed() for e in every]
            expected = [e for e in expected if e.second == last]
            named = metric.replace("calibration", "squared_calibration")
            shown = [d for d in found["differences"] if d["metric"] == named]
            for d, e in zip(shown, expected, strict=True):
                assert (f"m {d['first']}", f"m {d['second']}") == (e.first, e.second)
                assert [d[k] for k in NUMBERS] == [getattr(e, k) for k in NUMBERS]


def test_the_difference_is_printed_first_and_can_be_parsed(path):
    lines = report(path, "--prob", "best", "--prob", "all").splitlines()
    assert lines[1].startswith("# all has a lower Brier score than best, by 0.0")
    assert "], p < 0.001" in lines[1]
    tables = " | ".join("#" if line.startswith("#") else line for line in lines).split("#")
    first, second = [
        [row.split() for row in table.split("|") if row.strip()]
        for table in tables
        if table.strip(" |")
    ]
    assert first[0] == ["difference", "value", "low", "high", "p_value", "p_holm", "model", "minus"]
    assert {len(row) for row in first + second} == {8}
    assert second[0][0] == "metric"
    alike = report(path, "--prob", "all,third").splitlines()[1]
    assert alike.startswith("# No difference is shown: Brier score of all minus third is ")
    several = report(path, "--prob", "all,best,third").splitlines()[1]
    assert several == (
        "# all has a lower Brier score than best; no difference is shown of third and all"
    )
    env = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "80"}
    shown = report(path, "--prob", "all,best", "--by", "region", env=env)
    assert shown.index("squared RMS cal. error") < shown.index("Brier skill score")
    assert shown.index("Brier skill score") < shown.index("group, best")


def test_the_report_stands_if_a_log_loss_is_infinite(path, frame, tmp_path):
    frame.with_columns(all=pl.col("all").round()).write_csv(tmp_path / "t.csv")
    found = facts(tmp_path / "t.csv", "--prob", "all,best")
    metrics = [d["metric"] for d in found["comparison"]["differences"]]
    assert metrics == ["brier_score", "squared_calibration_error"]
    said = "No difference of the log loss: a model gives probability 0 to a label that occurs."
    assert said in found["proofs"]


def test_groups_are_the_library_s(path, frame):
    options = ["--prob", "all,best", "--by", "region,size", "--by", "weight", "--group", "unit"]
    found = facts(path, *options)
    y, unit = frame["y"].to_numpy(), frame["unit"].to_numpy()
    by = {name: frame[name].to_numpy() for name in ("region", "size", "weight")}
    by["region"] = np.where(by["region"] == "", None, by["region"])
    for model in found["models"]:
        p = frame[model["name"]].to_numpy()
        expected = group_table(y, p, by, groups=unit, random_state=0).flat()
        assert [list(r.values()) for r in model["groups"]] == [
            [None if v != v else v for v in r.values()] for r in expected
        ]
    said = next(line for line in found["reading"] if line.startswith("all: miscalibrated in"))
    assert "of 10 groups (region=south" in said
    assert "region=north" not in said
    printed = report(path, *options)
    assert said in printed
    assert "region missing" in printed


def test_the_line_on_the_number_of_rows_is_the_library_s(path, frame):
    p, y, weight, unit = (frame[k].to_numpy() for k in ("all", "y", "weight", "unit"))
    for options, given in (
        ([], {}),
        (["--weight", "weight"], {"sample_weight": weight}),
        (["--group", "unit", "--level", "0.8"], {"groups": unit, "y_true": y, "alpha": 0.1}),
    ):
        found = facts(path, "--prob", "all", *options)
        exact = detectable_error(p, n_draws=2000, random_state=0, **given)
        (model,) = found["models"]
        assert model["detectable"]["error"] == exact.error
        said = f"With these 400 rows, an RMS calibration error of {exact.error:#.2g} would be found"
        assert found["power"][0].startswith(said)
    several = facts(path, "--prob", "all,best")
    assert re.search(r" of 0\.\d+ \(all\), 0\.\d+ \(best\) would", several["power"][0])
    assert facts(path, "--prob", "all", "--kind", "classwise")["power"] == []


def test_the_label_is_no_group(path):
    args = ["report", str(path), *QUICK, "--prob", "all", "--by", "y"]
    result = RUNNER.invoke(APP, args)
    assert result.exit_code == 1
    assert "--by y: this column is --label" in result.stderr
