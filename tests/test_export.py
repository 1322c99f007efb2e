"""Programs of fitted objects, the scores that exports are checked with, and the check itself."""

import copy
import math
import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from calibkit import (
    AutoCalibrator,
    BetaCalibrator,
    CalibratedClassifier,
    CalibrationWarning,
    HistogramBinningCalibrator,
    IsotonicCalibrator,
    MatrixScalingCalibrator,
    OneVsRestCalibrator,
    PlattCalibrator,
    ScalingBinningCalibrator,
    SplineCalibrator,
    TopLabelCalibrator,
    VectorScalingCalibrator,
)
from calibkit._registry import CALIBRATORS
from calibkit.base import InputError, InputTypeError
from calibkit.decisions import (
    BorrowedCalibrator,
    DecisionRule,
    QuantileCalibrator,
    RiskControlledThreshold,
    TriagePolicy,
)
from calibkit.export import check_export, golden_vectors, to_sql
from calibkit.export._golden import ENGINES
from calibkit.export._maps import _MAPS, program_of
from calibkit.online import OnlinePlattCalibrator

from .registry import EXAMPLES, name_of

BATCH = [e for e in EXAMPLES if "online" not in e._traits]
#: More kinds than the registry has: scores that fall, curves that turn, bins of bins.
MORE = [
    ScalingBinningCalibrator(SplineCalibrator(monotone=False)),
    ScalingBinningCalibrator(HistogramBinningCalibrator(n_bins=4)),
    ScalingBinningCalibrator(AutoCalibrator()),
    AutoCalibrator(monotone=False),
    SplineCalibrator(monotone=False),
    MatrixScalingCalibrator(strength=0.0),
    VectorScalingCalibrator(strength="structured"),
    BorrowedCalibrator(BetaCalibrator(scale="logit").fit([-1.0, 2.0, 0.5, 3.0], [0, 1, 1, 0])),
    TopLabelCalibrator(IsotonicCalibrator(), by_class=True, min_rows=80),
]


def fitted(example, k=2, scale="probability", seed=0, n=300):
    """A clone of an example, fitted to scores of k classes."""
    rng = np.random.default_rng([seed, k])
    z = 2.0 * rng.normal(size=(n, k))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (0.6 * z + rng.gumbel(size=(n, k))).argmax(axis=1)
    y[-k:] = np.arange(k)
    X = z if scale == "logit" else p
    if k == 2:
        X = z[:, 1] - z[:, 0] if scale == "logit" else p[:, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return clone(example)._set_scale(scale).fit(X, y)


def five(*examples, n=300):
    """Five fitted objects of the examples in turn, of several numbers of classes where they may."""
    for seed, k in enumerate((2, 3, 5, 4, 3)):
        example = examples[seed % len(examples)]
        k = k if "multiclass" in example._traits else 2
        yield fitted(example, k, ("probability", "logit")[seed % 2], seed, n)


def of_class(cls, examples):
    return [e for e in examples if type(e) is cls]


def differences(obj, n=800, **settings):
    """Largest difference of each result from what the object itself gives."""
    columns, wanted = golden_vectors(obj, n, labels=True, **settings)
    found = program_of(obj, labels=True).run(columns)
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert (np.isnan(found[name]) == np.isnan(wanted[name])).all(), name
    return {name: np.nanmax(np.abs(found[name] - wanted[name])) for name in wanted}


def test_every_batch_calibrator_has_a_formula():
    own = {c for c in CALIBRATORS.values() if c.__module__.startswith("calibkit.")}
    assert {c for c in own if "online" not in c._traits} == set(_MAPS)


@pytest.mark.parametrize("example", BATCH + MORE, ids=name_of)
def test_programs_agree_with_predict_proba(example):
    for cal in five(example):
        found = differences(cal)
        assert found.pop("label") == 0
        (name, largest), *_ = found.items()
        exact = program_of(cal).results[name].op == "entry"
        assert largest <= (0.0 if exact else 1e-12)


@pytest.mark.parametrize("k", [40, 310])
@pytest.mark.parametrize("example", [AutoCalibrator(), MatrixScalingCalibrator(strength=1.0)])
def test_programs_of_many_classes(example, k):
    if k == 310 and isinstance(example, MatrixScalingCalibrator):
        example = VectorScalingCalibrator()
    cal = fitted(example, k, n=800)
    assert max(differences(cal, 200).values()) <= 1e-12


def test_platt_by_hand():
    cal = fitted(PlattCalibrator())
    p = 0.73
    z = cal.slope_ * math.log(p / (1.0 - p)) + cal.intercept_
    found = program_of(cal).run(np.array([[p]]))["probability"]
    assert found[0] == pytest.approx(1.0 / (1.0 + math.exp(-z)), abs=1e-15)


def test_one_against_the_rest_by_hand():
    """The binary maps of each class, divided by their sum."""
    cal = fitted(OneVsRestCalibrator(PlattCalibrator()), 3)
    p = np.array([0.2, 0.5, 0.3])
    q = [c.predict_proba([v])[0, 1] for c, v in zip(cal.calibrators_, p, strict=True)]
    found = program_of(cal).run(p[None])["probabilities"]
    np.testing.assert_allclose(found, [np.array(q) / sum(q)], atol=1e-15)


@pytest.mark.parametrize("scale", ["probability", "logit"])
@pytest.mark.parametrize("scaler", [None, BetaCalibrator(), SplineCalibrator(), "falling"])
def test_borders_of_scaled_scores_are_exact(scale, scaler):
    """Each step is the first float of its bin, by the calibrator's own count."""
    if scaler == "falling":
        z = np.linspace(-3.0, 3.0, 300)
        y = np.random.default_rng(0).random(300) < 1.0 / (1.0 + np.exp(2.0 * z))
        x = 1.0 / (1.0 + np.exp(-z)) if scale == "probability" else z
        with pytest.warns(CalibrationWarning, match="slope is negative"):
            cal = ScalingBinningCalibrator(PlattCalibrator(scale=scale), n_bins=8).fit(x, y)
    else:
        cal = fitted(ScalingBinningCalibrator(scaler, n_bins=8), scale=scale)
    (steps,) = [node.data for node in program_of(cal).nodes() if node.op == "place"]
    assert len(steps) == len(cal.borders_)
    at, before = cal.predict_bin(steps), cal.predict_bin(np.nextafter(steps, -np.inf))
    assert (np.abs(at - before) == 1).all()
    assert (np.diff(at) == (at - before)[1:]).all()


def test_interpolation_at_knots_that_are_neighbors():
    cal = IsotonicCalibrator(interpolation="centred", min_probability=None)
    x = [0.3, np.nextafter(0.3, 1), 5e-324, 0.0, 0.7, 0.7]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        cal.fit(x, [0, 1, 1, 0, 1, 0])
    assert differences(cal)["probability"] == 0


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("method", ["predict_proba", "decision_function"])
@pytest.mark.parametrize("ensemble", [True, False])
def test_programs_of_classifiers(k, method, ensemble):
    """From the scores of the folds' classifiers to what the classifier returns for their rows."""
    X, y = make_classification(400, n_classes=k, n_informative=5, random_state=0)
    model = CalibratedClassifier(
        LogisticRegression(), "auto", ensemble=ensemble, response_method=method, cv=3
    ).fit(X, np.array(["a", "b", "c"])[y])
    program = program_of(model, labels=True)
    scores = [getattr(e, method)(X) for e in model.estimators_]
    scores = [s[:, 1:] if s.ndim == 2 and k == 2 else s.reshape(len(X), -1) for s in scores]
    found, wanted = program.run(np.hstack(scores)), model.predict_proba(X)
    value = found["probability"] if k == 2 else found["probabilities"]
    np.testing.assert_allclose(value, wanted[:, 1] if k == 2 else wanted, rtol=0, atol=1e-12)
    labels = np.array(program.facts["classes"])[found["label"].astype(int)]
    assert (labels == model.predict(X)).all()
    assert len(program.facts["inputs"]) == program.n_inputs == np.hstack(scores).shape[1]
    assert max(differences(model).values()) <= 1e-12


RNG = np.random.default_rng(0)
SIGNAL = RNG.beta(4, 1, 2000)
RIGHT = RNG.random(2000) < SIGNAL
GATE = RiskControlledThreshold(max_error=0.1).fit(SIGNAL, RIGHT)
POLICY = TriagePolicy(cost_accept_wrong=10, cost_review=1, cost_discard_right=4)
NO_REVIEW = TriagePolicy(cost_accept_wrong=10, cost_discard_right=4)
PLATT = PlattCalibrator().fit(SIGNAL, RIGHT)


def without_guarantee():
    with pytest.warns(CalibrationWarning, match="nothing is accepted"):
        return RiskControlledThreshold(max_error=0.01).fit(SIGNAL[:50], RIGHT[:50])


DECIDE = {
    "threshold": lambda: GATE,
    "threshold of log-odds": lambda: RiskControlledThreshold(0.1, scale="logit").fit(
        np.log(SIGNAL / (1 - SIGNAL)), RIGHT
    ),
    "nothing accepted": without_guarantee,
    "policy": lambda: POLICY,
    "policy without reviews": lambda: NO_REVIEW,
    "rule of a threshold": lambda: DecisionRule("signal", PLATT, GATE),
    "rule of a policy": lambda: DecisionRule("signal", PLATT, policy=POLICY),
    "rule of both": lambda: DecisionRule("signal", PLATT, GATE, NO_REVIEW),
}


@pytest.mark.parametrize("kind", DECIDE)
def test_programs_of_decisions(kind):
    found = differences(DECIDE[kind](), 2000)
    assert found.pop("probability", 0.0) <= 1e-12
    assert not any(found.values())


def test_a_rule_decides_as_its_program():
    """By way of outputs with a signal, as a user calls it."""

    class Outputs:
        task, sample, place = np.array(["t"] * 500), np.arange(500), ("",) * 500

        def signal_for(self, name, own, scale):
            return SIGNAL[:500], "probability"

    rule = DecisionRule("signal", PLATT, GATE, POLICY)
    found, wanted = program_of(rule).run(SIGNAL[:500, None]), rule.decide(Outputs())
    names = np.array(program_of(rule).facts["decisions"])
    assert (names[found["decision"].astype(int)] == wanted.decision).all()
    assert (found["promised"] == wanted.promised).all()
    assert len(set(wanted.decision)) > 1


@pytest.mark.parametrize("levels", [(0.1, 0.5, 0.9), (0.05, 0.3, 0.31, 0.5, 0.8)])
@pytest.mark.parametrize("method", ["pinball", "beta_binomial"])
def test_programs_of_quantiles(levels, method):
    rate = np.random.default_rng(0).binomial(8, SIGNAL) / 8
    cal = QuantileCalibrator(levels, method=method).fit(SIGNAL, rate, n_trials=8)
    cal.conformalise(SIGNAL, rate)
    columns, wanted = golden_vectors(cal)
    found = program_of(cal).run(columns)
    assert found.keys() == ({*wanted} if method == "pinball" else {"probability"})
    for name in found:
        np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=1e-12)


def test_what_is_missing_stays_missing():
    columns = np.array([[np.nan], [0.4], [-0.1], [1.1], [np.inf]])
    found = program_of(fitted(IsotonicCalibrator()), labels=True).run(columns)
    for values in found.values():
        assert np.isnan(values).tolist() == [True, False, True, True, True]


def test_refusals():
    online = OnlinePlattCalibrator().fit([0.2, 0.8], [0, 1])
    with pytest.raises(InputError, match=r"changes with each label.*; expected .* fitted once"):
        program_of(online)

    class Mine(PlattCalibrator):
        pass

    with pytest.raises(InputTypeError, match=r"no formula .*calibrator \(auto, beta, .*"):
        program_of(Mine().fit([0.2, 0.8, 0.5, 0.6], [0, 1, 1, 0]))
    with pytest.raises(InputTypeError, match="no formula"):
        program_of("platt")
    with pytest.raises(InputTypeError, match="obj is the class PlattCalibrator"):
        program_of(PlattCalibrator)
    with pytest.raises(ValueError, match="not fitted"):
        program_of(PlattCalibrator())
    with pytest.raises(ValueError, match="not fitted"):
        program_of(QuantileCalibrator())


def test_golden_vectors_hold_what_is_hard():
    cal = fitted(HistogramBinningCalibrator(n_bins=5))
    for n in (8, 200, 1000):
        columns, results = golden_vectors(cal, n)
        assert columns.shape == (n, 1)
        assert results["probability"].shape == (n,)
        assert {0.0, 1.0} <= set(columns[:, 0])
        assert np.isnan(columns).any()
    for step in cal.borders_:
        beside = [step, np.nextafter(step, 0), np.nextafter(step, 1)]
        assert np.isin(beside, columns[:, 0]).all()
    bad = ~((columns[:, 0] >= -1e-6) & (columns[:, 0] <= 1 + 1e-6))
    assert (np.isnan(results["probability"]) == bad).all()


def checked(monkeypatch, obj, change, language="mock", **settings):
    """The check of a mock export whose results are changed."""
    program = program_of(obj, labels=True)
    engine = lambda artefact, columns: change(program.run(columns))  # noqa: E731
    monkeypatch.setitem(ENGINES, language, (engine, lambda: "Mock 1.0"))
    return check_export(obj, SimpleNamespace(language=language), n=500, **settings)


def test_check_export(monkeypatch):
    cal = fitted(HistogramBinningCalibrator(n_bins=5))
    good = checked(monkeypatch, cal, lambda r: r)
    assert (good.passed, good.bins_exact, good.largest_difference) == (True, True, 0)
    assert str(good).startswith("Mock 1.0 on 500 scores: largest difference 0; the same bins")
    moved = checked(monkeypatch, cal, lambda r: r | {"probability": r["probability"] + 1e-9})
    assert (moved.passed, moved.bins_exact) == (False, False)
    assert moved.n_beyond > 400
    known = lambda r: r | {"probability": np.nan_to_num(r["probability"])}  # noqa: E731
    assert not checked(monkeypatch, cal, known).passed
    other = lambda r: r | {"label": 1 - r["label"]}  # noqa: E731
    assert checked(monkeypatch, cal, other).n_other > 400
    single = lambda r: {"probability": np.float64(np.float32(r["probability"]))}  # noqa: E731
    assert checked(monkeypatch, cal, single, tolerance=1e-6).passed


def test_check_export_of_sql():
    for example in (PlattCalibrator(), ScalingBinningCalibrator()):
        cal = fitted(example)
        check = check_export(cal, to_sql(cal, dialect="sqlite"), n=500)
        assert check.passed
        assert check.bins_exact == (True if isinstance(cal, ScalingBinningCalibrator) else None)


def test_check_export_of_a_column_with_the_name_of_its_result():
    cal = fitted(PlattCalibrator())
    for name, labels in (("probability", False), ("label", True)):
        text = to_sql(cal, dialect="sqlite", column=name, labels=labels)
        assert check_export(cal, text, n=500).passed


def test_exports_can_be_pickled_and_copied():
    cal = fitted(PlattCalibrator())
    text = to_sql(cal, dialect="sqlite")
    for made in (pickle.loads(pickle.dumps(text)), copy.copy(text), copy.deepcopy(text)):
        assert (made, made.facts, made.results) == (text, text.facts, text.results)
        assert check_export(cal, made, n=500).passed


def test_check_export_refuses(monkeypatch):
    cal = fitted(PlattCalibrator())
    with pytest.raises(InputTypeError, match="artefact is a str; expected what to_sql"):
        check_export(cal, "SELECT 1")
    of_three = to_sql(fitted(AutoCalibrator(), 3), dialect="sqlite", table="t")
    with pytest.raises(InputError, match=r"artefact takes 3 score\(s\) and obj 1; expected"):
        check_export(cal, of_three)
    with pytest.raises(InputError, match=r"artefact gives 'decision', which obj doesn't give"):
        check_export(cal, to_sql(POLICY, dialect="sqlite"), n=500)
    with pytest.raises(InputError, match="'cobol' can't be run here; expected one of"):
        check_export(cal, SimpleNamespace(language="cobol"))
