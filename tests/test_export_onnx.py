"""Exports as ONNX models, run by onnxruntime."""

import json

import numpy as np
import onnx
import pytest

from calibkit import HistogramBinningCalibrator, PlattCalibrator, TemperatureCalibrator
from calibkit.base import InputError
from calibkit.export import golden_vectors, to_onnx
from calibkit.export._check import check_export, compared
from calibkit.export._golden import rounded
from calibkit.export._maps import program_of
from calibkit.export._onnx import graph_of, run_onnxruntime
from calibkit.export._program import Program, apply, column

from .test_export import BATCH, fitted
from .test_export_code import fixed, of_many, of_numbers, of_vectors, rows
from .test_export_code import objects as objects


def model_of(program, dtype="float64"):
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph_of(program, dtype, False), opset_imports=opset)
    model.ir_version = 9
    onnx.helper.set_model_props(model, {"scale": "", "input_scale": ""})
    return model


def test_operations():
    for program in (of_numbers(), of_vectors(), of_vectors(40), of_many(), fixed()):
        model = model_of(program)
        onnx.checker.check_model(model, full_check=True)
        got = run_onnxruntime(model, rows(program.n_inputs))
        check = compared(program, got, program.run(rows(program.n_inputs)), 1e-12)
        assert check.passed, check


def test_agrees_with_the_object(objects):
    """In double precision five objects of every class; bins exactly."""
    for obj in objects:
        columns, wanted = golden_vectors(obj, 300, labels=True)
        model = to_onnx(obj, labels=True)
        found = run_onnxruntime(model, columns)
        assert found.keys() == wanted.keys() == {output.name for output in model.graph.output}
        check = compared(program_of(obj, labels=True), found, wanted, 1e-12)
        assert check.passed, f"{obj}: {check}"


def test_single_precision(objects):
    """Of the same scores in single precision the object itself gives the same, to 1e-6."""
    for obj in objects:
        columns, wanted = rounded(obj, golden_vectors(obj, 300)[0])
        found = run_onnxruntime(to_onnx(obj, dtype="float32"), columns)
        check = compared(program_of(obj), found, wanted, 1e-6)
        assert check.passed, f"{obj}: {check}"


def test_in_single_precision_a_score_on_a_border_stays_there():
    """Half of all numbers become smaller when they are rounded."""
    cal = fitted(HistogramBinningCalibrator(n_bins=40))
    assert (cal.borders_.astype(np.float32) < cal.borders_).sum() > 5
    found = run_onnxruntime(to_onnx(cal, dtype="float32"), cal.borders_[:, None])["probability"]
    np.testing.assert_allclose(found, cal.predict_proba(cal.borders_)[:, 1], rtol=0, atol=1e-7)


@pytest.mark.parametrize("k", [2, 3])
def test_logits_for_an_object_of_probabilities(k):
    """Scores next to 1, which single precision can't hold as probabilities."""
    cal = fitted(PlattCalibrator(eps=1e-12) if k == 2 else TemperatureCalibrator(), k)
    z = np.array([[20.0, -20, 18, -18, 0.3, np.nan, np.inf, -np.inf, 1e5, 0]]).T
    z = z if k == 2 else np.hstack([z, np.zeros_like(z), -z / 2])
    with np.errstate(all="ignore"):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = 1 / (1 + np.exp(-z)) if k == 2 else e / e.sum(axis=1, keepdims=True)
    for dtype, atol in (("float64", 1e-12), ("float32", 1e-6)):
        model = to_onnx(cal, dtype=dtype, input_scale="logit")
        with pytest.raises(InputError, match=r"scores of input_scale='logit'; expected .* without"):
            check_export(cal, model)
        for prop in model.metadata_props:
            if prop.key == "input_scale":
                prop.value = "probability"
        found = run_onnxruntime(model, z)
        wanted = program_of(cal).run(p)
        for name, want in wanted.items():
            np.testing.assert_allclose(found[name], want, rtol=0, atol=atol)


def test_check_export_runs_it():
    for example in (HistogramBinningCalibrator(n_bins=5), BATCH[0]):
        cal = fitted(example)
        check = check_export(cal, to_onnx(cal, labels=True), n=500)
        assert check.passed
        assert check.engine.startswith("onnxruntime ")
        single = to_onnx(cal, dtype="float32", labels=True)
        assert check_export(cal, single, n=500, tolerance=1e-6).passed
    with pytest.raises(InputError, match=r"artefact takes 1 score\(s\) and obj 3; expected"):
        check_export(fitted(TemperatureCalibrator(), 3), single)


def test_factors_next_to_one_are_kept():
    """onnxruntime takes a factor that is 1 in single precision for 1."""
    x, near = column(0), 1.0 + 3e-8
    results = {"a": x * near, "b": near * x, "c": x / near, "d": x * 1.0, "e": near / x}
    program = Program(1, results, apply("less", 0.0, x))
    got = run_onnxruntime(model_of(program), np.array([[0.3]]))
    for name, factor in {"a": near, "b": near, "c": 1 / near, "d": 1.0}.items():
        assert got[name] == pytest.approx(0.3 * factor, rel=1e-15)
    assert got["e"] == pytest.approx(near / 0.3, rel=1e-15)


def test_metadata():
    cal = fitted(PlattCalibrator())
    cal.classes_ = np.array(["no", "yes"])
    model = to_onnx(cal, labels=True)
    assert model.ir_version == 9
    assert [(s.domain, s.version) for s in model.opset_import] == [("", 17)]
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert facts["name"] == "PlattCalibrator"
    assert (facts["scale"], facts["input_scale"]) == ("probability", "probability")
    assert json.loads(facts["classes"]) == ["no", "yes"]
    golden = json.loads(facts["golden"])
    found = run_onnxruntime(model, np.array(golden["scores"]))
    for name in ("probability", "label"):
        np.testing.assert_allclose(found[name], golden[name], atol=1e-12)


def test_refusals():
    cal = fitted(PlattCalibrator(), scale="logit")
    with pytest.raises(InputError, match="input_scale='probability'; expected one of 'logit'"):
        to_onnx(cal, input_scale="probability")
    with pytest.raises(InputError, match="dtype='float16'; expected one of 'float64', 'float32'"):
        to_onnx(cal, dtype="float16")
