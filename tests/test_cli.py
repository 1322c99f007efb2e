"""The command line: numbers against the library's, bytes against bytes, errors in one line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import calibkit
import calibkit._cli as cli_module
from calibkit import (
    AutoCalibrator,
    BetaCalibrator,
    PlattCalibrator,
    estimate,
    load,
    make_calibrator,
    save,
)
from calibkit._cli import calibrate
from calibkit._cli.console import aligned
from calibkit._cli.demo import CODE, seen
from calibkit._cli.problem import Options, read_problem
from calibkit._registry import CALIBRATORS
from calibkit._tables.files import Source
from calibkit._tables.table import Table

from .runner import APP, RUNNER

QUICK = ["--resamples", "20"]
N = 300


def run(*args, code=0, **kwargs):
    """Run a command; returns its result after checking the exit code."""
    result = RUNNER.invoke(APP, [str(a) for a in args], **kwargs)
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def fails(*args, **kwargs):
    """The error of a command that must fail: one line on stderr, nothing on stdout, no trace."""
    result = run(*args, code=1, **kwargs)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("calibkit: error: ")
    return lines[0]


def process(*args, **kwargs):
    """A real process, as from a shell."""
    command = [sys.executable, "-c", "from calibkit._cli import main; main()", *map(str, args)]
    return subprocess.run(command, capture_output=True, timeout=300, check=False, **kwargs)


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    p = rng.random(N)
    y = (rng.random(N) < p**2).astype(int)
    notes = [f'say "{i}",\nthen é' if i % 7 == 0 else f" note {i} " for i in range(N)]
    return pl.DataFrame(
        {
            "id": [f"{i:05d}" for i in range(N)],
            "label": y,
            "prob": p,
            "other": np.sqrt(p),
            "weight": rng.integers(0, 3, N),
            "unit": [f"u{i % 40}" for i in range(N)],
            "answer": np.where(y == 1, "bad", "good"),
            "note": notes,
        }
    )


@pytest.fixture(scope="module")
def files(frame, tmp_path_factory):
    """The same table in every format."""
    base = tmp_path_factory.mktemp("tables")
    frame.write_csv(base / "t.csv")
    frame.write_csv(base / "t.tsv", separator="\t")
    frame.write_parquet(base / "t.parquet")
    frame.write_ndjson(base / "t.jsonl")
    for name in ("t.csv", "t.jsonl"):
        (base / f"{name}.gz").write_bytes(gzip.compress((base / name).read_bytes(), mtime=0))
    return base


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Three classes, with columns in an order that is not theirs."""
    rng = np.random.default_rng(1)
    p = rng.dirichlet([1, 1, 1], size=N)
    names = np.array(["cat", "dog", "owl"])
    y = names[[rng.choice(3, p=row) for row in p**0.5 / (p**0.5).sum(1, keepdims=True)]]
    path = tmp_path_factory.mktemp("pets") / "pets.csv"
    columns = {"p_owl": p[:, 2], "p_cat": p[:, 0], "p_dog": p[:, 1]}
    pl.DataFrame({"pet": y, **columns}).write_csv(path)
    return path, y, p


def facts(*args, **kwargs):
    return json.loads(run("report", *args, *QUICK, "--json", **kwargs).stdout)


# -- report -----------------------------------------------------------------------------------


def test_report_numbers_are_the_library_s(files, frame):
    found = facts(files / "t.csv", "--label", "label", "--prob", "prob", "--bins", "10")
    y, p = frame["label"].to_numpy(), frame["prob"].to_numpy()
    (model,) = found["models"]
    assert model["base_rate"] == y.mean()
    assert model["mean_prediction"] == pytest.approx(p.mean(), abs=1e-15)
    expected = {
        "brier_score": {},
        "brier_skill_score": {},
        "log_loss": {},
        "expected_calibration_error": {"n_bins": 10},
        "calibration_error": {"n_bins": 10, "norm": "l2", "strategy": "quantile"},
        "roc_auc": {},
    }
    assert list(model["metrics"]) == list(expected)
    for name, params in expected.items():
        e = estimate(name, y, p, n_resamples=20, random_state=0, **params)
        shown = model["metrics"][name]
        assert [shown[k] for k in ("value", "low", "high", "null", "null_high")] == [
            e.value, e.low, e.high, e.null, e.null_high]  # fmt: skip


@pytest.mark.parametrize("name", ["t.tsv", "t.parquet", "t.jsonl", "t.csv.gz", "t.jsonl.gz", "-"])
@pytest.mark.parametrize("label", ["label", "answer"])
def test_every_format_gives_the_same_numbers(files, name, label):
    options = ["--label", label, "--prob", "prob", "--weight", "weight", "--group", "unit"]
    options = [o for o in options if label == "label" or o not in ("--weight", "weight")]
    expected = facts(files / "t.csv", *options)
    source = "-" if name == "-" else files / name
    stdin = (files / "t.csv").read_bytes() if name == "-" else None
    found = facts(source, *options, input=stdin)
    assert found.pop("file") != expected.pop("file")
    assert found == expected


def test_positive_turns_the_event_round(files, frame):
    options = ["--label", "answer", "--prob", "prob"]
    good = facts(files / "t.csv", *options)
    bad = facts(files / "t.csv", *options, "--positive", "bad")
    assert (good["event"], bad["event"]) == ("good", "bad")
    assert bad["models"][0]["base_rate"] == frame["label"].mean()
    ints = facts(files / "t.csv", "--label", "label", "--prob", "prob")
    assert bad["models"][0]["metrics"] == ints["models"][0]["metrics"]


def test_several_columns_are_several_models_of_a_binary_label(files):
    columns = ["--prob", "prob", "--prob", "other"]
    found = facts(files / "t.csv", "--label", "label", *columns)
    assert [m["name"] for m in found["models"]] == ["prob", "other"]
    for spelling in (["--prob", "prob,other"], ["--prob", "pro*", "--prob", "other"]):
        assert facts(files / "t.csv", "--label", "label", *spelling) == found
    alone = facts(files / "t.csv", "--label", "label", "--prob", "other")
    assert alone["models"] == found["models"][1:]
    assert len(found["reading"]) == 2


def test_columns_are_classes_by_name_or_by_option(pets, tmp_path):
    path, y, p = pets
    by_name = facts(path, "--label", "pet", "--prob", "p_*")
    assert by_name["kind"] == "top_label"
    assert by_name["classes"] == ["cat", "dog", "owl"]
    metrics = by_name["models"][0]["metrics"]
    assert metrics["brier_score"]["value"] == calibkit.brier_score(y, p)
    right = np.array(["cat", "dog", "owl"])[p.argmax(1)] == y
    assert by_name["models"][0]["accuracy"] == right.mean()
    assert by_name["models"][0]["mean_confidence"] == pytest.approx(p.max(1).mean(), abs=1e-12)
    assert "base_rate" not in by_name["models"][0]
    auc = calibkit.roc_auc(right, p.max(1))
    assert metrics["confidence_auc"]["value"] == pytest.approx(auc, abs=1e-12)
    plain = tmp_path / "x.csv"
    plain.write_text(path.read_text().replace("p_owl,p_cat,p_dog", "x,y,z"))
    options = ["--label", "pet", "--prob", "x,y,z"]
    assert "name their classes with --classes" in fails("report", plain, *options)
    by_option = facts(plain, *options, "--classes", "owl,cat,dog")
    assert by_option["models"][0]["metrics"] == metrics
    classwise = facts(path, "--label", "pet", "--prob", "p_*", "--kind", "classwise")
    assert classwise["models"][0]["metrics"]["calibration_error"]["params"]["kind"] == "classwise"


def test_two_columns_called_after_both_labels_are_one_model(tmp_path, frame):
    p = frame["prob"].to_numpy()
    path = tmp_path / "two.csv"
    pl.DataFrame({"y": frame["answer"], "p_good": 1 - p, "p_bad": p}).write_csv(path)
    two = facts(path, "--label", "y", "--prob", "p_good,p_bad", "--positive", "bad")
    one = facts(path, "--label", "y", "--prob", "p_bad", "--positive", "bad")
    assert len(two["models"]) == 1
    assert two["models"][0]["metrics"] == one["models"][0]["metrics"]
    assert two["models"][0]["base_rate"] == one["models"][0]["base_rate"]
    top = facts(path, "--label", "y", "--prob", "p_bad", "--positive", "bad", "--kind", "top_label")
    right = (p > 0.5) == (frame["answer"].to_numpy() == "bad")
    assert top["models"][0]["accuracy"] == right.mean()


def test_piped_report_is_plain_whole_and_parseable(files):
    out = process("report", files / "t.csv", "--label", "label", "--prob", "prob", *QUICK,
                  env={**os.environ, "COLUMNS": "40"})  # fmt: skip
    assert (out.returncode, out.stderr) == (0, b"")
    text = out.stdout.decode()
    assert "\x1b" not in text
    assert not set(text) & set("─│┃━…")
    rows = [line.split("  ") for line in text.splitlines() if not line.startswith("#")]
    rows = [[c.strip() for c in row if c.strip()] for row in rows]
    assert rows[0] == ["metric", "value", "low", "high", "null", "null_low", "null_high", "model"]
    assert {len(row) for row in rows} == {8}
    found = facts(files / "t.csv", "--label", "label", "--prob", "prob")
    values = {row[0]: row[1] for row in rows[1:]}
    for name, e in found["models"][0]["metrics"].items():
        assert float(values[name]) == pytest.approx(e["value"], abs=5e-7)
    *_, settings, reading, power, bound, advice = text.splitlines()
    assert "calibrated model would show" in reading
    assert power.startswith("# With these 300 rows, an RMS calibration error of 0.1")
    least = found["models"][0]["certificate"]["l2"][0]
    assert bound.startswith(f"# prob: RMS error is at least {least:.3f} with 90% confidence. ")
    short = found["models"][0]["certificate"]["short"]
    assert short == f"at least {least:.3f}, no upper bound (continuous scores)"
    assert advice.startswith("# The error of continuous scores has no upper bound. For one, use")
    for part in ("90% intervals", "20 simulations", "seed 0", "15 equal-width bins", "calibkit ",
                 "expected_calibration_error (ECE): mean gap (l1), ", "not debiased",
                 "calibration_error (RMS): root mean square gap (l2), "):  # fmt: skip
        assert part in settings


def test_a_lower_bound_of_zero_is_not_printed_and_the_end_of_an_interval_is_explained(tmp_path):
    rng = np.random.default_rng(0)
    p = rng.random(N).round(4)
    y = (rng.random(N) < p).astype(int)
    pl.DataFrame({"y": y, "p": p}).write_csv(tmp_path / "c.csv")
    for bins, at_end in (("15", False), ("100", True)):
        found = facts(tmp_path / "c.csv", "--label", "y", "--prob", "p", "--bins", bins)
        (model,) = found["models"]
        ece = model["metrics"]["expected_calibration_error"]
        assert (ece["value"] == ece["high"]) == at_end
        said = "p: ECE: the value is the upper end of its interval"
        assert any(line.startswith(said) for line in found["proofs"]) == at_end
        assert model["certificate"]["short"] == "no bound (continuous scores)"
        assert not any("at least" in line for line in found["proofs"])
        assert found["proofs"][-1].startswith("The error of continuous scores has no upper bound.")


def test_terminal_report_has_a_table_in_colour(files):
    env = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "80"}
    out = run(
        "report", files / "t.csv", "--label", "label", "--prob", "prob,other", *QUICK, env=env
    )
    assert "\x1b[" in out.stdout
    assert "if calibrated" in out.stdout
    assert max(map(len, aligned([[line] for line in out.stdout.splitlines()]))) < 400
    for word in ("Brier score", "ECE", "RMS cal. error", "ROC AUC", "other"):
        assert word in out.stdout


def test_report_draws_a_picture(files, tmp_path, pets):
    for name in ("a.png", "a.svg"):
        path = tmp_path / name
        run("report", files / "t.csv", "--label", "label", "--prob", "prob", *QUICK, "--plot", path)
        assert path.stat().st_size > 5000
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    options = ["--label", "pet", "--prob", "p_*", *QUICK, "--plot", tmp_path / "k.png"]
    run("report", pets[0], *options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a.svg", "k.png"]


def test_json_is_all_that_is_printed_and_holds_no_nan(tmp_path):
    path = tmp_path / "right.csv"
    path.write_text("y,p_a,p_b,p_c\n" + "a,.8,.1,.1\nb,.1,.8,.1\nc,.1,.2,.7\n" * 10)
    out = run("report", path, "--label", "y", "--prob", "p_*", *QUICK, "--json")
    found = json.loads(out.stdout, parse_constant=lambda c: pytest.fail(c))
    assert out.stderr == ""
    assert "confidence_auc" not in found["models"][0]["metrics"]  # nothing to rank


def test_report_of_shares_of_events(tmp_path):
    rng = np.random.default_rng(0)
    p = rng.random(N).round(3)
    share = rng.binomial(4, p) / 4
    pl.DataFrame({"p": p, "share": share}).write_csv(tmp_path / "s.csv")
    found = facts(tmp_path / "s.csv", "--label", "share", "--prob", "p")
    (model,) = found["models"]
    assert model["base_rate"] == pytest.approx(share.mean(), abs=1e-12)
    expected = np.mean(share * (1 - p) ** 2 + (1 - share) * p**2)
    assert model["metrics"]["brier_score"]["value"] == pytest.approx(expected, abs=1e-12)
    assert found["event"] == 1
    assert found["proofs"][0].startswith("No bound: the labels are shares of events")


def test_the_advice_to_bin_leads_to_what_is_certified(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = "sure.csv"
    rng = np.random.default_rng(2)
    p = rng.dirichlet([0.2, 0.2, 0.2], size=N)
    pet = [rng.choice(["cat", "dog", "owl"], p=row) for row in p]
    pl.DataFrame({"pet": pet, "p_cat": p[:, 0], "p_dog": p[:, 1], "p_owl": p[:, 2]}).write_csv(path)
    told = run("report", path, "--label", "pet", "--prob", "p_*", *QUICK).stdout
    advice = re.search(r"binned calibrator: calibkit (fit .*)\.", told)[1].split()
    run(*advice, path, "--label", "pet", "--prob", "p_*", "-o", "c.json")
    run("apply", "c.json", path, "--prob", "p_*", "-o", "o.csv")
    told = run("report", "o.csv", "--label", "pet", "--prob", "p_*_calibrated", *QUICK).stdout
    assert "the model gives 10 different probabilities" in told


def test_one_matter_is_warned_of_once(pets, tmp_path):
    """Rows of rounded probabilities are read by several functions of the library."""
    path, *_ = pets
    table = pl.read_csv(path).with_columns(pl.col("^p_.*$").round(2))
    table.write_csv(tmp_path / "rounded.csv")
    options = [tmp_path / "rounded.csv", "--label", "pet", "--prob", "p_*"]
    for said in (
        run("fit", *options, "--calibrator", "platt", "-o", tmp_path / "c.json").stderr,
        run("report", *options, *QUICK).stderr,
    ):
        assert said.count("don't sum to one") == 1
        assert "rows of --prob don't sum" in said


# -- fit --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["platt", "beta", "isotonic", "temperature", "identity"])
def test_fit_is_the_library_s(files, frame, tmp_path, name):
    path = tmp_path / "cal.json"
    options = ["--label", "label", "--prob", "prob", "--weight", "weight", "--calibrator", name]
    out = run("fit", files / "t.csv", *options, "-o", path)
    assert len(out.stdout.splitlines()) == 1
    assert "in-sample" in out.stdout
    p, y, w = (frame[c].to_numpy() for c in ("prob", "label", "weight"))
    expected = make_calibrator(name).fit(p, y, w)
    assert calibkit._persistence.to_dict(load(path)) == calibkit._persistence.to_dict(expected)


def test_fit_of_another_event_logits_and_lifts(files, frame, pets, tmp_path):
    path = tmp_path / "cal.json"
    p, y = frame["prob"].to_numpy(), frame["label"].to_numpy()
    run("fit", files / "t.csv", "--label", "answer", "--prob", "prob", "--positive", "bad",
        "-o", path)  # fmt: skip
    found = load(path).predict_proba(p)
    assert np.array_equal(found, AutoCalibrator().fit(p, y).predict_proba(p))
    with_logits = tmp_path / "z.csv"
    z = np.log(p / (1 - p))
    pl.DataFrame({"y": y, "z": z}).write_csv(with_logits)
    run("fit", with_logits, "--label", "y", "--prob", "z", "--logit", "-o", path)
    expected = AutoCalibrator(scale="logit").fit(z, y).predict_proba(z)
    assert np.array_equal(load(path).predict_proba(z), expected)
    for lift, inner in ((None, "one_vs_rest"), ("top_label", "top_label")):
        more = ["--calibrator", "platt", *([] if lift is None else ["--lift", lift])]
        run("fit", pets[0], "--label", "pet", "--prob", "p_*", *more, "-o", path)
        q = make_calibrator(inner, calibrator=PlattCalibrator()).fit(pets[2], pets[1])
        assert load(path).classes_.tolist() == ["cat", "dog", "owl"]
        assert np.array_equal(load(path).predict_proba(pets[2]), q.predict_proba(pets[2]))


def test_warnings_are_one_line_on_stderr(tmp_path):
    path = tmp_path / "reversed.csv"
    path.write_text("y,p\n" + "1,0.2\n0,0.8\n0,0.3\n1,0.4\n" * 20)
    out = run("fit", path, "--label", "y", "--prob", "p", "-o", tmp_path / "c.json")
    (line,) = out.stderr.splitlines()
    assert line.startswith("calibkit: warning: ")


# -- apply ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def platt(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("cal") / "cal.json"
    cal = PlattCalibrator().fit(frame["prob"].to_numpy(), frame["label"].to_numpy())
    save(cal, path)
    return path, cal


@pytest.mark.parametrize("chunk", [1, 7, 100_000])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_apply_to_csv_keeps_every_byte_and_bit(files, frame, platt, tmp_path, chunk, ending):
    text = (files / "t.csv").read_bytes().decode()
    # Another spelling of numbers, no newline at the end, blank lines, a byte that is not UTF-8.
    text = text.replace("\n00001,", "\n\n00001,").rstrip("\n")
    data = b"\xef\xbb\xbf" + text.replace("\n", ending).encode().replace(b" note 1 ", b"no\xe9")
    source = tmp_path / "in.csv"
    source.write_bytes(data)
    target = tmp_path / "out.csv"
    n = calibrate.apply_file(platt[1], Source.of(str(source)), ["prob"], target, chunk_rows=chunk)
    assert n == N
    out = target.read_bytes()
    with io.StringIO(out.decode("utf-8", "replace"), newline="") as lines:
        rows = [r for r in csv.reader(lines) if r]
    assert rows[0][-1] == "prob_calibrated"
    q = platt[1].predict_proba(frame["prob"].to_numpy())[:, 1]
    assert [float(r[-1]) for r in rows[1:]] == q.tolist()
    stripped = out
    for value in ("prob_calibrated", *map(repr, q.tolist())):
        stripped = stripped.replace(f",{value}".encode(), b"", 1)
    assert stripped == data


def test_apply_to_every_format(files, frame, platt, tmp_path):
    q = platt[1].predict_proba(frame["prob"].to_numpy())[:, 1].tolist()
    more = ["--prob", "prob", "--column", 'new "p"', "-o"]
    for name in ("t.tsv", "t.csv.gz", "t.jsonl", "t.jsonl.gz", "t.parquet"):
        target = tmp_path / name
        out = run("apply", platt[0], files / name, *more, target)
        assert out.stdout == f"{target}: {N} rows calibrated\n"
        read = {".tsv": pl.read_csv, ".gz": pl.read_csv, ".parquet": pl.read_parquet,
                ".jsonl": pl.read_ndjson}["." + name.split(".")[1] if "jsonl" in name
                                          else target.suffix]  # fmt: skip
        settings = {"separator": "\t"} if name == "t.tsv" else {}
        data = target.read_bytes()
        data = gzip.decompress(data) if name.endswith(".gz") else data
        found = read(io.BytesIO(data), **settings)
        found = found.rename({found.columns[-1]: 'new "p"'})  # polars leaves CSV's "" doubled
        assert found['new "p"'].to_list() == q
        assert found["note"].to_list() == frame["note"].to_list()
    assert found.drop('new "p"').equals(frame)  # Parquet keeps the types too
    run("apply", platt[0], files / "t.parquet", "--prob", "prob", "-o", tmp_path / "o.csv")
    assert pl.read_csv(tmp_path / "o.csv")["prob_calibrated"].to_list() == q
    lines = (tmp_path / "t.jsonl").read_text().splitlines()
    before = (files / "t.jsonl").read_text().splitlines()
    assert all(a.startswith(b[:-1] + ", ") for a, b in zip(lines, before, strict=True))


def test_apply_from_stdin_to_stdout(files, platt, tmp_path):
    run("apply", platt[0], files / "t.csv", "--prob", "prob", "-o", tmp_path / "o.csv")
    data = (files / "t.csv").read_bytes()
    out = run("apply", platt[0], "-", "--prob", "prob", "-o", "-", input=data)
    assert out.stderr == ""
    assert out.stdout_bytes == (tmp_path / "o.csv").read_bytes()
    out = run("apply", platt[0], files / "t.parquet", "--prob", "prob", "-o", "-")
    assert out.stdout.count("_calibrated") == 1


def test_apply_of_what_is_no_calibrator_of_scores_is_refused(files, tmp_path):
    alarm = tmp_path / "alarm.json"
    save(calibkit.CalibrationAlarm(), alarm)
    command = ["apply", alarm, files / "t.csv", "--prob", "prob", "-o", tmp_path / "o.csv"]
    assert "holds a CalibrationAlarm; expected a calibrator" in fails(*command)


def test_apply_of_several_classes_finds_them_by_name(pets, tmp_path):
    path, y, p = pets
    run("fit", path, "--label", "pet", "--prob", "p_*", "--calibrator", "temperature",
        "-o", tmp_path / "c.json")  # fmt: skip
    run("apply", tmp_path / "c.json", path, "--prob", "p_*", "-o", tmp_path / "o.csv")
    q = load(tmp_path / "c.json").predict_proba(p)
    found = pl.read_csv(tmp_path / "o.csv")
    columns = [f"p_{c}_calibrated" for c in ("cat", "dog", "owl")]
    assert found.columns[4:] == columns
    assert np.array_equal(found.select(columns).to_numpy(), q)
    after = facts(tmp_path / "o.csv", "--label", "pet", "--prob", "p_*_calibrated")
    assert after["models"][0]["metrics"]["log_loss"]["value"] == calibkit.log_loss(y, q)
    run("apply", tmp_path / "c.json", path, "--prob", "p_*", "-o", tmp_path / "n.csv",
        "--column", "q")  # fmt: skip
    assert pl.read_csv(tmp_path / "n.csv").columns[4:] == ["q_cat", "q_dog", "q_owl"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_memory_is_bounded_by_the_chunk(platt, tmp_path, kind, monkeypatch):
    """A pipe that gives rows one at a time is never more than a chunk ahead of the output."""
    n, chunk, sizes = 20_000, 256, []
    p = np.random.default_rng(0).random(n)
    frame = pl.DataFrame({"id": np.arange(n), "p": p})
    source = tmp_path / f"big.{kind}"
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[kind](
        source
    )
    predict = PlattCalibrator.predict_proba

    def counted(self, X):
        sizes.append(len(X))
        return predict(self, X)

    monkeypatch.setattr(PlattCalibrator, "predict_proba", counted)
    target = tmp_path / f"out.{kind}"
    shares = []
    count = calibrate.apply_file(
        platt[1], Source.of(str(source)), ["p"], target, chunk_rows=chunk, step=shares.append
    )
    assert count == n
    assert sizes[0] == 0  # columns are checked before any row
    assert len(sizes) == 1 + -(-n // chunk)
    assert max(sizes) == chunk
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    read = {"csv": pl.read_csv, "jsonl": pl.read_ndjson, "parquet": pl.read_parquet}[kind]
    found = read(target)["p_calibrated"].to_numpy()
    assert np.array_equal(found, predict(platt[1], p)[:, 1])


def test_lines_are_read_no_further_than_the_chunk(platt, monkeypatch):
    """Rows come from a generator that notes how far it has been read when output is written."""
    made, seen_at = [], []

    def lines():
        yield "p,t\n"
        for i in range(1000):
            made.append(i)
            yield f"0.5,{i}\n"

    class Out(io.BytesIO):
        def write(self, data):
            seen_at.append(len(made))
            return super().write(data)

    from calibkit._tables.records import TextTable

    text = TextTable("stream", "csv", lines())
    mapping = calibrate.Mapping(platt[1], text.columns, "stream", ["p"], None)
    calibrate._apply_text(mapping, text, Out(), 10, lambda: None)
    assert seen_at == [0, *range(10, 1001, 10)]


def test_empty_table_with_a_header_stays_one(platt, tmp_path):
    (tmp_path / "h.csv").write_text("id,prob\n")
    run("apply", platt[0], tmp_path / "h.csv", "--prob", "prob", "-o", tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_text() == "id,prob,prob_calibrated\n"


def test_bad_rows_leave_nothing_behind(platt, tmp_path):
    cases = {
        "a,prob\n1,0.5\n2,\n": "line 3: prob is empty; expected a number.",
        'a,prob\n"x\ny",0.5\n2,half\n': "line 4: prob is 'half'; expected a number.",
        "a,prob\n1,0.5\n\n2,1.5\n": "1.5 at line 4",
        "a,prob\n1,0.5\n2,nan\n": "NaN (first at line 3)",
        "a,prob\n1,0.5\n2,0.5,3\n": "line 3: 3 cells; the header has 2.",
        'a,prob\n1,0.5\n"2,0.5\n': "line 3: is not valid CSV (unexpected end of data).",
        "a,prob,prob_calibrated\n1,0.5,1\n": "a column prob_calibrated already",
    }
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    for text, message in cases.items():
        source.write_text(text)
        assert message in fails("apply", platt[0], source, "--prob", "prob", "-o", target)
        assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]
    cases = {
        '{"prob": 0.5}\n{"prob": true}\n': "line 2: prob is True",
        '{"prob": 0.5}\n\n{"a": 1}\n': "line 3: prob is empty",
        '{"prob": 0.5}\n{"prob": \n': "line 2: is not JSON",
        '{"prob": 0.5}\n[1]\n': "line 2: holds a JSON list",
        '{"prob": 0.5}\n{"prob": 0.5, "prob_calibrated": 1}\n': "line 2: has a key",
    }
    for text, message in cases.items():
        (tmp_path / "in.jsonl").write_text(text)
        more = ["--prob", "prob", "-o", tmp_path / "out.jsonl"]
        assert message in fails("apply", platt[0], tmp_path / "in.jsonl", *more)
    for values, message in (
        ([0.5, None], "row 1 (counted from 0): prob is empty"),
        ([0.5, 2.0], "2 at row 1 (counted from 0)"),
        (["a", "b"], "prob holds String"),
    ):
        pl.DataFrame({"prob": values}).write_parquet(tmp_path / "in.parquet")
        more = ["--prob", "prob", "-o", tmp_path / "out.parquet"]
        assert message in fails("apply", platt[0], tmp_path / "in.parquet", *more)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".csv", ".jsonl", ".parquet"]


def test_output_never_destroys_an_input(files, platt, tmp_path):
    source = tmp_path / "t.csv"
    source.write_bytes((files / "t.csv").read_bytes())
    before = source.read_bytes()
    (tmp_path / "link.csv").symlink_to(source)
    more = ["--prob", "prob", "-o"]
    for target in (source, tmp_path / "link.csv"):
        assert "is the input file" in fails("apply", platt[0], source, *more, target)
    assert "is the input file" in fails("apply", platt[0], source, *more, platt[0])
    assert "is the input file" in fails("fit", source, "--label", "label", *more, source)
    assert source.read_bytes() == before


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "none.csv: no such file."),
        ("", None, "is a directory; expected a file, or a directory of .parquet"),
        ("x.xlsx", b"abc", "unknown extension; expected .csv, .tsv,"),
        ("x.parquet.gz", b"abc", "unknown extension"),
        ("e.csv", b"", "e.csv: the file is empty."),
        ("e.csv", b"\n\n", "e.csv: the file is empty."),
        ("h.csv", b"label,prob\n", "h.csv: there are no rows."),
        ("b.csv", bytes(range(256)) * 20, "is not text (it holds zero bytes)"),
        ("b.csv.gz", gzip.compress(b"label,prob\n" * 1000, mtime=0)[:40], "damaged or cut short"),
        ("b.parquet", b"PAR1 this is not one", "b.parquet: can't be read as Parquet"),
        ("b.jsonl", b"label,prob\n1,2\n", "b.jsonl, line 1: is not JSON"),
        ("c.csv", b"id,y\n1,2\n", "--prob prob: no such column; "),
        ("c.csv", b"prob,prob,label\n1,2,3\n", "several columns of that name"),
        ("n.csv", b"label,prob\n1,0.5\n0,x\n", "n.csv, line 3: prob is 'x'; expected a number."),
        ("n.csv", b"label,prob\n1,0.5\n0,\n", "n.csv, line 3: prob is empty; expected a number."),
        ("n.csv", b'label,prob\n1,"0.5\n"\n0,nan\n', "NaN (first at line 4)"),
        ("n.csv", b"label,prob\n1,0.5\n0,1.5\n", "1.5 at line 3"),
        ("l.csv", b"label,prob\n1,0.5\n,0.4\n", "l.csv, line 3: label is empty"),
        ("o.csv", b"label,prob\n1,0.5\n1,0.4\n", "one class only"),
        ("o.csv", b"label,prob\na,0.5\na,0.4\n", "pass the label of the event as --positive"),
        ("k.csv", b"label,prob\na,.5\nb,.4\nc,.4\n", "has 3 classes (a, b, c), but --prob"),
        ("k.csv", b"label,prob\n1.1,.5\n1.2,.4\n1.3,.4\n", "continuous"),
        ("r.csv", b"label,prob\n1,0.5,7\n0,0.4\n", "r.csv, line 2: 3 cells; the header has 2."),
        ("q.csv", b'label,prob\n1,0.5\n"0,0.4\n', "is not valid CSV (unexpected end of data)."),
        ("s.csv", b"label,prob\n1,0.5\n0,0.4\n", "--bins 15 and 2 rows"),
        ("j.jsonl", b'{"label": 1, "prob": [1]}\n', "j.jsonl, line 1: prob is [1]"),
        ("j.jsonl", b'{"label": 1, "prob": 1}\n{"label": "a", "prob": 1}\n', "line 2: label is"),
    ],
)  # fmt: skip
def test_a_bad_file_is_said_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    error = fails("report", path, "--label", "label", "--prob", "prob", *QUICK)
    assert message in error


def test_truncated_parquet(files, tmp_path):
    path = tmp_path / "cut.parquet"
    data = (files / "t.parquet").read_bytes()
    for keep in (len(data) // 2, len(data) - 3):
        path.write_bytes(data[:keep])
        error = fails("report", path, "--label", "label", "--prob", "prob")
        assert "can't be read as Parquet" in error
    broken = bytearray(data)
    broken[20:3000] = b"\xff" * 2980  # data pages, with the footer left whole
    path.write_bytes(bytes(broken))
    assert "can't be read as Parquet" in fails("report", path, "--label", "label", "--prob", "prob")


def test_wrong_columns_and_options(files, pets, tmp_path):
    table = ["report", files / "t.csv"]
    error = fails(*table, "--label", "label", "--prob", "score")
    assert error.endswith(
        f"--prob score: no such column; {files / 't.csv'} has: "
        "id, label, prob, other, weight, unit, answer, note"
    )
    assert "--label nope: no such" in fails(*table, "--label", "nope", "--prob", "prob")
    assert "--weight nope" in fails(
        *table, "--label", "label", "--prob", "prob", "--weight", "nope"
    )
    options = ["--label", "label", "--prob", "prob"]
    assert "named twice" in fails(*table, *options, "--prob", "p*b")
    assert "is 'note'" not in fails(*table, "--label", "label", "--prob", "unit")
    assert "has: 0, 1" in fails(*table, *options, "--positive", "yes")
    assert "names 2 classes and --prob 1" in fails(*table, *options, "--classes", "0,1")
    two = ["--label", "label", "--prob", "prob,other", "--classes"]
    assert "the labels of the file are int64" in fails(*table, *two, "a,b")
    assert "two or more different classes" in fails(*table, *two, "1,1")
    three = ["report", pets[0], "--label", "pet", "--prob", "p_*"]
    alone = ["report", pets[0], "--label", "pet", "--prob", "p_cat"]
    for command in (three, alone):
        error = fails(*command, "--positive", "cat")
        assert "has 3 classes (cat, dog, owl), and --positive is for two classes" in error
        assert "--kind classwise" in error
    told = fails(*table, "--label", "answer", "--prob", "prob", "--positive", "Bad")
    assert told.endswith("no such label; the file has: bad, good; did you mean bad")
    assert "kind='binary'" in fails(*three, "--kind", "binary")
    for plot, message in (("x.txt", "unknown picture format"), ("no/x.png", "no such directory"),
                          (".", "not a regular file"), ("-", "not a regular file")):  # fmt: skip
        where = plot if plot == "-" else tmp_path / plot
        assert message in fails(*table, *options, "--plot", where)


def test_wrong_calibrators_and_outputs(files, pets, platt, tmp_path):
    more = ["--prob", "prob", "-o", tmp_path / "o.csv"]
    bad = tmp_path / "bad.json"
    for text in ("{", "[]", '{"format": "calibkit"}', "\x00\x01"):
        bad.write_text(text)
        assert f"load: {bad}: " in fails("apply", bad, files / "t.csv", *more)
    bad.write_bytes(b"\xff\xfe\x00")
    assert "bad.json" in fails("apply", bad, files / "t.csv", *more)
    assert "no.json" in fails("apply", tmp_path / "no.json", files / "t.csv", *more)
    assert "directory" in fails("apply", tmp_path, files / "t.csv", *more)
    swapped = fails("apply", files / "t.csv", platt[0], *more)
    assert swapped.endswith("the arguments are swapped; expected calibkit apply CAL.JSON FILE.")
    three = ["apply", platt[0], pets[0], "--prob", "p_*", "-o", tmp_path / "o.csv"]
    assert fails(*three).endswith(
        "--prob has 3 columns, but the calibrator is for two classes (0, 1); pass one column."
    )
    for name, message in (
        ("o.jsonl", "csv can't be turned into jsonl"),
        ("o.parquet", "csv can't be turned into parquet"),
        ("o", "unknown extension"),
        ("no/o.csv", "no such directory"),
    ):
        args = ["apply", platt[0], files / "t.csv", "--prob", "prob", "-o", tmp_path / name]
        assert message in fails(*args)
    fit = ["fit", files / "t.csv", "--label", "label", "--prob"]
    assert "no such directory" in fails(*fit, "prob", "-o", tmp_path / "no" / "c.json")
    assert "not a regular file" in fails(*fit, "prob", "-o", tmp_path)
    assert "not named after them" in fails(*fit, "prob,other", "-o", tmp_path / "c.json")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.json"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_unwritable_output(files, platt, tmp_path):
    tmp_path.chmod(0o500)
    more = ["--prob", "prob", "-o", tmp_path / "o.csv"]
    assert "can't be written to" in fails("apply", platt[0], files / "t.csv", *more)


def test_failed_write_is_one_line(files, platt, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", "o.csv")

    monkeypatch.setattr(calibrate, "_apply_text", full)
    more = ["--prob", "prob", "-o", tmp_path / "o.csv"]
    error = fails("apply", platt[0], files / "t.csv", *more)
    assert error == "calibkit: error: o.csv: No space left on device"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "args",
    [
        ["report"],
        ["report", "x.csv", "--label", "y"],
        ["report", "x.csv", "--label", "y", "--prob", "p", "--level", "2"],
        ["report", "x.csv", "--label", "y", "--prob", "p", "--resamples", "3"],
        ["report", "x.csv", "--label", "y", "--prob", "p", "--bins", "many"],
        ["report", "x.csv", "--label", "y", "--prob", "p", "--kind", "top"],
        ["fit", "x.csv", "--label", "y", "--prob", "p", "-o", "c", "--calibrator", "plat"],
        ["fit", "x.csv", "--label", "y", "--prob", "p", "-o", "c", "--lift", "up"],
        ["calibrate"],
        ["--nope"],
    ],
)
def test_usage_errors(args):
    result = run(*args, code=2)
    assert result.stdout == "" or "Usage" in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "command", [[], ["report"], ["fit"], ["apply"], ["demo"], ["methods"], ["export"]]
)
def test_help_fits_a_terminal_and_has_an_example(command):
    out = run(*command, "--help", env={"COLUMNS": "200"}).stdout
    assert max(map(len, out.splitlines())) <= 80
    assert f"  {' '.join(['calibkit', *command])}" in out


# -- odd files and streams --------------------------------------------------------------------

SMALL = ["--label", "y", "--prob", "p", "--bins", "2", *QUICK]
TABLE = "y,p\n" + "1,0.7\n0,0.75\n1,0.8\n0,0.2\n" * 3


def test_stray_quotes_drop_no_rows(tmp_path):
    cells = ["plain", '5" nail', 'a "b', 'say "x"', "6\" x 5'"]
    for name, sep in (("q.csv", ","), ("q.tsv", "\t")):
        rows = [f"{i % 2}{sep}0.{i % 9 + 1}{sep}{cells[i % 5]}" for i in range(100)]
        (tmp_path / name).write_text("\n".join([f"y{sep}p{sep}note", *rows]) + "\n")
        assert facts(tmp_path / name, *SMALL)["n"] == 100
        out = run("fit", tmp_path / name, *SMALL[:4], "-o", tmp_path / "c.json").stdout
        assert "fitted on 100 rows" in out


@pytest.mark.parametrize("row", ["1,0.5", "1,0.5,a,b", "1,0.5,a\rb"])
def test_bad_rows_are_seen_though_their_odd_cells_are_not_used(tmp_path, row):
    (tmp_path / "r.csv").write_bytes(f"y,p,note\n1,0.7,x\n0,0.2,x\n{row}\n".encode())
    assert "cells; the header has 3" in fails("report", tmp_path / "r.csv", *SMALL)


def test_integers_of_json_stay_integers(tmp_path):
    path = tmp_path / "i.jsonl"
    rows = [{"y": i % 3, "g": 2**60 + i // 2, "p_0": 0.5, "p_1": 0.25, "p_2": 0.25}
            for i in range(30)]  # fmt: skip
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = facts(path, "--label", "y", "--prob", "p_*", "--bins", "2", "--group", "g")
    assert (found["classes"], found["groups"]) == ([0, 1, 2], 15)
    for big, rest in ((10**400, 1), (2**63, 1), (2**53 + 1, 0.5)):
        path.write_text(f'{{"y": {rest}, "p": 1}}\n{{"y": {big}, "p": 0}}\n')
        assert f"line 2: y is {str(big)[:8]}" in fails("report", path, *SMALL)
    path.write_text('{"y": 0, "p": 1}\n{"y": 1, "p": 0.5, "y": 0}\n')
    assert "line 2: a key is repeated" in fails("report", path, *SMALL)


def test_bytes_that_are_not_utf8_are_never_merged(tmp_path):
    rows = "".join(f"{'èé'[i % 2]},{i % 2},0.{i % 9 + 1}\n" for i in range(20))
    (tmp_path / "l.csv").write_bytes(f"name,y,p\n{rows}".encode("latin-1"))
    assert facts(tmp_path / "l.csv", *SMALL)["n"] == 20
    error = fails("report", tmp_path / "l.csv", "--label", "name", *SMALL[2:])
    assert "line 2: name is '\\udce8'; expected text in UTF-8" in error
    assert "expected text" in fails("report", tmp_path / "l.csv", *SMALL, "--group", "name")


def test_byte_order_mark_before_a_quoted_header(platt, tmp_path):
    (tmp_path / "b.csv").write_bytes(b'\xef\xbb\xbf"y","p"\n' + TABLE.encode()[4:])
    assert facts(tmp_path / "b.csv", *SMALL)["n"] == 12
    run("apply", platt[0], tmp_path / "b.csv", "--prob", "p", "-o", tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_bytes().startswith(b'\xef\xbb\xbf"y","p",p_calibrated\n')


def test_no_number_has_underscores_and_no_column_is_nameless(platt, tmp_path):
    (tmp_path / "u.csv").write_text("y,p\n1,0.7\n0,0_1\n")
    apply = ["apply", platt[0], tmp_path / "u.csv", "--prob", "p", "-o", tmp_path / "o.csv"]
    for error in (fails("report", tmp_path / "u.csv", *SMALL), fails(*apply)):
        assert "u.csv, line 3: p is '0_1'; expected a number" in error
    assert "--column: expected a name" in fails(*apply, "--column", "")


def test_odd_types_of_parquet(platt, tmp_path):
    path, n = tmp_path / "x.parquet", 12
    p, one = [0.25, 0.75] * (n // 2), [0, 1] * (n // 2)
    for label, message in (
        (pl.Series([2**63 + v for v in one], dtype=pl.UInt64), "row 0 (counted from 0): y is 92"),
        (pl.Series([2**70 * v for v in one], dtype=pl.Int128), "row 1 (counted from 0): y is 11"),
        (pl.Series([bytes([200 + v]) for v in one]), "y holds Binary"),
        (pl.Series([[v] for v in one]), "y holds List"),
    ):
        pl.DataFrame({"y": label, "p": p}).write_parquet(path)
        assert message in fails("report", path, *SMALL)
    groups = pl.Series([2**63 + i // 2 for i in range(n)], dtype=pl.UInt64)
    for label in (pl.Series(one, dtype=pl.UInt8), pl.Series(one).cast(pl.Decimal(5, 2))):
        pl.DataFrame({"y": label, "p": p, "g": groups}).write_parquet(path)
        assert facts(path, *SMALL, "--group", "g")["groups"] == n // 2
    for odd in ([[1]], [{"a": 1}], [b"x"], pl.Series([1]).cast(pl.Duration)):
        pl.DataFrame({"p": [0.5], "odd": odd}).write_parquet(path)
        apply = ["apply", platt[0], path, "--prob", "p", "-o"]
        assert "x.parquet: odd holds" in fails(*apply, tmp_path / "o.csv")
        run(*apply, tmp_path / "o.parquet")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("redirected", "args", "code", "out", "said"),
    [
        (">&-", ["methods"], 1, "", "error: standard output is closed\n"),
        (
            "<&-",
            ["report", "-"],
            1,
            "",
            "error: standard input is closed; expected a table there.\n",
        ),
        (">/dev/full", ["report", "t.csv"], 1, "", "error: No space left on device\n"),
        ("2>&-", ["report", "none.csv"], 1, "", ""),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in (
                (">/dev/full", ["--version"], 1, "", "error: No space left on device\n"),
                (">/dev/full", ["--help"], 1, "", "error: No space left on device\n"),
                (">/dev/full", ["methods"], 1, "", "error: No space left on device\n"),
                ("2>&-", ["report", "t.csv"], 0, "# t.csv: n = 12", ""),
                ("<t.csv", ["report", "/dev/stdin"], 0, "# /dev/stdin: n = 12", ""),
                ("<t.csv", ["report", "-"], 0, "# standard input: n = 12", ""),
            )
        ),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path, redirected, args, code, out, said):
    (tmp_path / "t.csv").write_text(TABLE)
    args = args + (SMALL if args[0] == "report" else [])
    start = [sys.executable, "-c", "from calibkit._cli import main; main()"]
    command = ["sh", "-c", f'exec "$@" {redirected}', "sh", *start, *args]
    done = subprocess.run(command, capture_output=True, timeout=300, check=False, cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.decode() == (f"calibkit: {said}" if said else "")
    assert done.stdout.decode().startswith(out)
    assert bool(out) == bool(done.stdout)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["pipe", "pipe.csv"])
def test_pipes_are_read_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    pipe, cal = tmp_path / name, tmp_path / "c.json"
    for args in (
        ["report", pipe, *SMALL],
        ["fit", pipe, *SMALL[:4], "-o", cal],
        ["apply", cal, pipe, "--prob", "p", "-o", tmp_path / "o.csv"],
    ):
        with subprocess.Popen(["sh", "-c", 'printf %s "$1" > "$2"', "sh", TABLE, pipe]) as writer:
            # Whoever reads twice would wait for ever: then nothing comes, and that is an error.
            nothing = threading.Timer(120, lambda: os.close(os.open(pipe, os.O_RDWR)))
            nothing.start()
            try:
                out = run(*args)
            finally:
                nothing.cancel()
                writer.kill()
        assert out.stderr == ""
        assert "12" in out.stdout
    os.mkfifo(tmp_path / "pipe.parquet")
    assert "is a pipe or device" in fails("report", tmp_path / "pipe.parquet", *SMALL)


def test_messages_name_options_of_the_command_line(platt, tmp_path):
    (tmp_path / "t.csv").write_text(TABLE.replace("0.2", "-0.2"))
    fit = ["fit", tmp_path / "t.csv", *SMALL[:4], "-o", tmp_path / "c.json"]
    apply = ["apply", platt[0], tmp_path / "t.csv", "--prob", "p", "-o", tmp_path / "o.csv"]
    for error in (fails("report", tmp_path / "t.csv", *SMALL), fails(*fit), fails(*apply)):
        assert "use --logit" in error or "use calibkit fit --logit" in error
        assert "scale=" not in error
    (tmp_path / "t.csv").write_text(TABLE + TABLE[4:] * 20)
    warned = run(*fit, "--logit").stderr
    assert "--logit" in warned
    assert "scale=" not in warned
    (tmp_path / "t.csv").write_text(TABLE)
    error = fails("report", tmp_path / "t.csv", *SMALL[:4])
    assert "--bins 15 and 12 rows" in error
    assert "or --bins auto" in error
    usage = run("report", tmp_path / "t.csv", *SMALL, "--level", "95", code=2)
    assert "95; expected a number from 0.01 to 0.999" in usage.stderr
    (tmp_path / "t.csv").write_text(TABLE.replace(",", ";"))
    error = fails("report", tmp_path / "t.csv", *SMALL)
    assert error.endswith("t.csv has: y;p; expected commas between columns, not ;")


def test_the_verdict_is_of_the_interval_with_groups_too(tmp_path):
    rows = [f"{i % 10 == 0:d},0.{7 + i % 3},u{i // 5}" for i in range(200)]
    (tmp_path / "g.csv").write_text("\n".join(["y,p,unit", *rows]) + "\n")
    for options in ([], ["--group", "unit"]):
        found = facts(tmp_path / "g.csv", *SMALL, *options)
        (said,), (model,) = found["reading"], found["models"]
        assert said.startswith("p: miscalibrated; ")
        assert model["metrics"]["calibration_error"]["low"] > 0
        told = run("report", tmp_path / "g.csv", *SMALL, *options).stdout
        settings = told.split("simulations", 1)[1]
        drawn = ", with groups" if options else ""
        assert f"that draw labels from the probabilities{drawn}, seed 0" in " ".join(
            settings.split()
        )


# -- the rest ---------------------------------------------------------------------------------


def test_interruption_leaves_nothing_and_gives_130(files, platt, tmp_path, monkeypatch):
    def interrupted(self, X):
        raise KeyboardInterrupt

    monkeypatch.setattr(PlattCalibrator, "predict_proba", interrupted)
    more = ["--prob", "prob", "-o", tmp_path / "o.csv"]
    result = run("apply", platt[0], files / "t.csv", *more, code=130)
    assert result.stderr == "calibkit: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_broken_pipe_is_quiet(platt, tmp_path):
    big = tmp_path / "big.csv"
    big.write_text("prob,text\n" + f"0.5,{'x' * 50}\n" * 100_000)
    args = [sys.executable, "-c", "from calibkit._cli import main; main()", "apply", platt[0], big,
            "--prob", "prob", "-o", "-"]  # fmt: skip
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        assert p.stdout.readline() == b"prob,text,prob_calibrated\n"
        p.stdout.close()
        assert p.wait(timeout=300) == 141
        assert p.stderr.read() == b""


EXTRA = "calibkit: the command line needs an extra: pip install 'calibkit[cli]'\n"


def test_missing_extra_is_one_line():
    code = "import sys; sys.modules['typer'] = None; import calibkit._cli as c; c.main()"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=300, check=False
    )
    assert (out.returncode, out.stdout, out.stderr.decode()) == (1, b"", EXTRA)


@pytest.mark.parametrize("name", ["rich", "polars"])
def test_each_part_of_the_extra_is_looked_for(name, monkeypatch, capsys):
    monkeypatch.setattr(cli_module, "find_spec", lambda m: None if m == name else m)
    with pytest.raises(SystemExit) as stop:
        cli_module.main()
    assert stop.value.code == 1
    assert capsys.readouterr() == ("", EXTRA)


def test_missing_matplotlib_is_one_line(files, monkeypatch, tmp_path):
    for module in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    options = ["--label", "label", "--prob", "prob", "--plot", tmp_path / "x.png"]
    assert 'pip install "calibkit[plot]"' in fails("report", files / "t.csv", *options)


def test_version_and_methods():
    assert run("--version").stdout == f"calibkit {calibkit.__version__}\n"
    lines = run("methods").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == sorted(CALIBRATORS)
    assert any(line.startswith("tracking (tops) ") for line in lines)
    (beta,) = [line for line in lines if line.startswith("beta ")]
    assert beta.endswith(BetaCalibrator.__doc__.splitlines()[0].replace("``", ""))


def test_demo_is_real_and_says_what_the_numbers_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = json.loads(run("demo", "--json").stdout)
    assert (tmp_path / "calibkit-demo.png").read_bytes()[:4] == b"\x89PNG"
    raw, *others = found["models"]
    assert raw["name"] == "uncalibrated"
    worst = found["worst_bin"]
    assert abs(worst["mean_prediction"] - worst["observed"]) > 0.1
    assert found["n"] == 899
    before = raw["metrics"]["expected_calibration_error"]
    for model in others:
        after = model["metrics"]["expected_calibration_error"]
        assert after["value"] < before["value"] / 2
        assert f"{after['value']:.3f}" in found["seen"][2]
    assert found["seen"] == seen(found)
    readme = Path(__file__).parent.parent / "README.md"
    intro = readme.read_text().split("![Reliability")[0]
    (after,) = (model["metrics"] for model in others)
    error = after["expected_calibration_error"]
    shown = [before["value"], error["value"], error["null_high"]]
    assert re.findall(r"0\.\d{3}", intro) == [f"{value:.3f}" for value in shown]
    losses = [m["log_loss"]["value"] for m in (raw["metrics"], after)]
    assert re.findall(r"0\.\d\d\b", intro) == [f"{value:.2f}" for value in losses]
    assert f"is {before['value']:.3f}; a perfectly calibrated model" in found["seen"][1]
    before |= {"value": 0.0, "low": 0.0}
    for model in others:
        model["metrics"]["expected_calibration_error"]["value"] = 0.01
    _, first, second = seen(found)
    assert "(ECE) is 0.000;" in first
    assert "ECE rises from 0.000" in second


def test_demo_prints_code_that_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("calibkit._cli.demo._DRAWS", 20)
    out = run("demo", "--output", "d.png").stdout
    assert CODE in out
    assert out.index("Before: 91 digits") < out.index("\nmetric") < out.index(CODE)
    table = out.split("\nmetric")[1].split("\n#")[0].splitlines()[1:]
    shown = ["expected_calibration_error", "brier_skill_score", "log_loss", "roc_auc"]
    assert [line.split()[0] for line in table] == 2 * shown
    exec(CODE, {})
    assert (tmp_path / "calibkit-demo.png").stat().st_size > 5000
    assert capsys.readouterr().out.count("ECE 0.") == 2


@pytest.mark.parametrize(
    "name", [n for n, c in CALIBRATORS.items() if not c._traits & {"lift", "wrapper", "online"}]
)
@pytest.mark.parametrize("logit", [[], ["--logit"]], ids=["probability", "logit"])
def test_every_calibrator_fits_applies_and_is_reported(files, tmp_path, name, logit):
    cal, out = tmp_path / "c.json", tmp_path / "o.csv"
    column = "logit" if logit else "prob"
    frame = pl.read_csv(files / "t.csv")
    odds = np.log(frame["prob"] / (1 - frame["prob"]))
    frame.with_columns(pl.Series("logit", odds)).write_csv(tmp_path / "t.csv")
    extra = ["--bins", 5] if "binning" in name or name == "histogram" else []
    run("fit", tmp_path / "t.csv", "--label", "label", "--prob", column, "--calibrator", name,
        "-o", cal, *logit, *extra)  # fmt: skip
    run("apply", cal, tmp_path / "t.csv", "--prob", column, "-o", out)
    found = facts(out, "--label", "label", "--prob", f"{column}_calibrated")
    assert found["models"][0]["certificate"]["finite"] == (bool(extra) or name == "isotonic")


@pytest.mark.parametrize("labels", ["01", ("no", "yes")])
def test_swapped_columns_of_any_labels_are_said(tmp_path, labels):
    path = tmp_path / "swapped.csv"
    rows = "".join(f"0.{i:02d}0,{labels[i % 2]}\n" for i in range(1, 60))
    path.write_text(f"model,won\n{rows}")
    with pytest.raises(ValueError, match="--label model holds scores and --prob won holds labels"):
        read_problem(Table(Source.of(str(path))), Options("model", ["won"]), several=False)
