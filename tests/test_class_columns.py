"""Columns of classes on the command line: by their names, by --classes, or in order and said so."""

from __future__ import annotations

import itertools
import json

import numpy as np
import polars as pl
import pytest

import calibkit
from calibkit import TemperatureCalibrator, load, save
from calibkit._core.columns import check_order

from .runner import APP, RUNNER

PETS = ["cat", "dog", "owl"]
N = 120


def run(*args, code=0):
    result = RUNNER.invoke(APP, [str(a) for a in args])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.fixture(scope="module")
def pets():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([2.0, 1.0, 0.5], N)
    y = np.array(PETS)[[rng.choice(3, p=row) for row in p]]
    return p, y


def table(path, p, y, names):
    """The columns of p under these names, one for each of its columns, sorted by name."""
    columns = sorted(zip(names, p.T, strict=True))
    pl.DataFrame({"pet": y, **dict(columns)}).write_csv(path)
    return path


#: Each command that takes several --prob, and what it makes of the columns.
def scored(command, base, path, prob, p, y, *options, code=0):
    """Log loss of what a command read, from its report or from what it wrote; or its error."""
    cal = base / "t.json"
    fitted = TemperatureCalibrator(classes=np.unique(y)).fit(p, y)
    save(fitted, cal)
    with_label = ["--label", "pet", "--prob", prob, *options]
    if command == "report":
        result = run("report", path, *with_label, "--json", "--resamples", "20", code=code)
        if code:
            return result, None, None
        (model,) = json.loads(result.stdout)["models"]
        return result, model["metrics"]["log_loss"]["value"], calibkit.log_loss(y, p)
    if command == "fit":
        args = ["--calibrator", "temperature", "-o", base / "f.json"]
        result = run("fit", path, *with_label, *args, code=code)
        return result, code or load(base / "f.json").temperature_, fitted.temperature_
    result = run("apply", cal, path, "--prob", prob, *options, "-o", base / "o.csv", "--column",
                 "q", code=code)  # fmt: skip
    if code:
        return result, None, None
    found = pl.read_csv(base / "o.csv").select([f"q_{c}" for c in np.unique(y).tolist()])
    return (
        result,
        calibkit.log_loss(y, found.to_numpy()),
        calibkit.log_loss(y, fitted.predict_proba(p)),
    )


COMMANDS = ["report", "fit", "apply"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "name", ["{}", "p_{}", "score of {}", "{}_prob", "P {}"], ids=lambda v: v.replace("{}", "x")
)
def test_columns_called_after_the_classes_are_taken_by_name(command, name, pets, tmp_path):
    p, y = pets
    names = [name.format(c if name[0] != "P" else c.upper()) for c in PETS]
    path = table(tmp_path / "t.csv", p, y, names)
    for order in itertools.permutations(names):
        args = (command, tmp_path, path, ",".join(order), p, y)
        result, found, right = scored(*args)
        assert found == pytest.approx(right, rel=1e-6)
        assert "note" not in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_columns_called_in_part_after_the_classes_are_refused(command, pets, tmp_path):
    """With the columns that are and those that are not; --classes says what they are."""
    p, y = pets
    path = table(tmp_path / "t.csv", p, y, ["p_cat", "p_dog", "rest"])
    result, *_ = scored(command, tmp_path, path, "p_dog,p_cat,rest", p, y, code=1)
    assert "'p_dog', 'p_cat'" in result.stderr
    assert "'rest'" in result.stderr
    assert "--classes" in result.stderr
    options = ["--classes", "dog,cat,owl"]
    _, found, right = scored(command, tmp_path, path, "p_dog,p_cat,rest", p, y, *options)
    assert found == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["p_cat", "p_dog", "p_owl"], "dog,cat,owl"),
        (["cat", "dog", "owl"], "owl,cat,dog"),
        (["p_cat", "p_dog", "rest"], "dog,cat,owl"),
        (["first", "second", "the owl"], "owl,dog,cat"),
    ],
    ids=["prefix", "bare", "partial", "one"],
)
def test_classes_that_contradict_the_names_are_refused(command, names, classes, pets, tmp_path):
    p, y = pets
    path = table(tmp_path / "t.csv", p, y, names)
    prob = ",".join(names)
    result, *_ = scored(command, tmp_path, path, prob, p, y, "--classes", classes, code=1)
    assert "expected the same order as in the names of the columns" in result.stderr
    right = [n for c in classes.split(",") for n in [names[PETS.index(c)]]]
    options = ["--classes", classes]
    _, found, best = scored(command, tmp_path, path, ",".join(right), p, y, *options)
    assert found == pytest.approx(best, rel=1e-6)


def test_columns_of_other_names_are_applied_in_order_and_that_is_said(pets, tmp_path):
    p, y = pets
    path = table(tmp_path / "t.csv", p, y, ["x", "y", "z"])
    result, found, right = scored("apply", tmp_path, path, "x,y,z", p, y)
    assert found == pytest.approx(right, rel=1e-6)
    (line,) = result.stderr.splitlines()
    assert line.startswith("calibkit: note: the columns of --prob (x, y, z) are not named after")
    assert "cat, dog, owl" in line
    assert "--classes" in line
    result, found, _ = scored("apply", tmp_path, path, "z,x,y", p, y, "--classes", "owl,cat,dog")
    assert found == pytest.approx(right, rel=1e-6)
    assert result.stderr == ""
    for classes, words in (
        ("owl,cat", "names 2 classes and --prob 3 columns"),
        ("owl,cat,cow", "expected the classes of the calibrator: cat, dog, owl"),
        ("owl,cat,cat", "two or more different classes"),
    ):
        error, *_ = scored("apply", tmp_path, path, "z,x,y", p, y, "--classes", classes, code=1)
        assert words in error.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("labels", [["no", "yes"], ["0", "1"], ["false", "true"]], ids=str)
def test_two_columns_are_taken_by_name_too(command, labels, pets, tmp_path):
    p, _ = pets
    p = np.column_stack((1 - p[:, 0], p[:, 0]))
    y = (np.random.default_rng(1).random(N) < p[:, 1]).astype(int)
    texts = np.array(labels)[y]
    typed = {"0": y, "false": y.astype(bool)}.get(labels[0], texts)
    path = tmp_path / "t.csv"
    names = [f"p_{c}" for c in labels]
    pl.DataFrame({"pet": texts, names[1]: p[:, 1], names[0]: p[:, 0]}).write_csv(path)
    for order in (names, names[::-1]):
        if command == "apply":
            cal = tmp_path / "t.json"
            save(TemperatureCalibrator().fit(p, typed), cal)
            run("apply", cal, path, "--prob", ",".join(order), "-o", tmp_path / "o.csv")
            found = pl.read_csv(tmp_path / "o.csv")[f"{names[1]}_calibrated"].to_numpy()
            assert np.allclose(found, load(cal).predict_proba(p)[:, 1])
        else:
            _, found, right = scored(command, tmp_path, path, ",".join(order), p, typed)
            assert found == pytest.approx(right, rel=1e-6)


def test_two_models_of_a_binary_label_stay_two(tmp_path):
    """Columns called alike but for 0 and 1 are classes only under the usual names."""
    rng = np.random.default_rng(0)
    p = rng.random(N)
    frame = {"y": (rng.random(N) < p).astype(int), "m_0": p, "m_1": p**2, "p_1": p, "rival": p**2}
    pl.DataFrame(frame).write_csv(tmp_path / "t.csv")
    for prob in ("m_0,m_1", "p_1,rival"):
        result = run("report", tmp_path / "t.csv", "--label", "y", "--prob", prob, "--json",
                     "--resamples", "20")  # fmt: skip
        assert [m["name"] for m in json.loads(result.stdout)["models"]] == prob.split(",")


def test_order_is_checked_at_linear_cost():
    """No look at every class for every column: 20,000 names take well below a second."""
    classes = [f"c{i}" for i in range(20_000)]
    names = [f"p_{c}" for c in classes]
    check_order(names, classes, what="--classes", mend="")
    check_order([*names[:-1], "rest"], classes, what="--classes", mend="")
    swapped = [names[1], names[0], *names[2:-1], "rest"]
    with pytest.raises(ValueError, match="'p_c1' for the class 'c0'"):
        check_order(swapped, classes, what="--classes", mend="")


@pytest.mark.parametrize(
    ("prob", "words"),
    [
        (
            "p_cat",
            "--prob has 1 column; pass one column per class. There is no column for dog, owl.",
        ),
        ("x", "--prob has 1 column; pass one column per class."),
        (
            "p_dog,p_cat",
            "--prob has 2 columns; pass one column per class. There is no column for owl.",
        ),
    ],
)
def test_too_few_columns_name_the_classes_without_one(prob, words, pets, tmp_path):
    p, y = pets
    frame = {"pet": y, **{f"p_{c}": p[:, k] for k, c in enumerate(PETS)}, "x": p[:, 0]}
    pl.DataFrame(frame).write_csv(tmp_path / "t.csv")
    for command in ("report", "fit"):
        result, *_ = scored(command, tmp_path, tmp_path / "t.csv", prob, p, y, code=1)
        error = f"--label pet has 3 classes (cat, dog, owl), but {words}\n"
        assert result.stderr == f"calibkit: error: {error}"
    result, *_ = scored("apply", tmp_path, tmp_path / "t.csv", prob, p, y, code=1)
    assert result.stderr.endswith(
        "but the calibrator needs 3 (cat, dog, owl); pass one column per class.\n"
    )


def test_swapped_label_and_prob_are_named(tmp_path):
    p = np.random.default_rng(0).random(N)
    pl.DataFrame({"won": (p > 0.5).astype(int), "model": p}).write_csv(tmp_path / "t.csv")
    swapped = [tmp_path / "t.csv", "--label", "model", "--prob", "won"]
    for command in (["report"], ["fit", "-o", tmp_path / "c.json"]):
        assert run(*command, *swapped, code=1).stderr == (
            "calibkit: error: --label model holds scores and --prob won holds labels: swap them.\n"
        )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tracking", "tracking is an online method: use calibkit stream --method tracking"),
        ("tops", "tracking is an online method: use calibkit stream --method tracking"),
        ("one_vs_rest", "use --lift one_vs_rest"),
        ("plat", "did you mean 'platt'"),
    ],
)
def test_calibrators_of_other_options_are_explained(name, words, tmp_path):
    args = ["t.csv", "--label", "y", "--prob", "p", "--calibrator", name, "-o", tmp_path / "c"]
    assert words in " ".join(run("fit", *args, code=2).stderr.split())
