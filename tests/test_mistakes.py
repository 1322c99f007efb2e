"""Arguments that are something else than they should be: swapped, labels, rounded."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB

from calibkit import (
    CalibratedClassifier,
    CalibrationAlarm,
    ComparisonAlarm,
    DriftDisplay,
    HardScoresWarning,
    IdentityCalibrator,
    IsotonicCalibrator,
    OneVsRestCalibrator,
    PlattCalibrator,
    ReliabilityDisplay,
    ReversedScoresWarning,
    RiskCoverageDisplay,
    RoundedScoresWarning,
    ScalingBinningCalibrator,
    ScoreTable,
    TemperatureCalibrator,
    certify,
    compare_calibrators,
    compare_online_calibrators,
    decisions,
    estimate,
    log_loss,
    prequential_errors,
)
from calibkit._core.inputs import rounding_tolerance
from calibkit.metrics import METRICS
from calibkit.online import MultiStreamCalibrator, WindowedCalibrator

from .registry import EXAMPLES, name_of

RNG = np.random.default_rng(0)
P = RNG.random(60)
Y = (RNG.random(60) < P).astype(int)
K = RNG.dirichlet([1.0, 1.0, 1.0], size=60)
Z = RNG.normal(size=60)


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_calibrators_refuse_swapped_arguments_with_the_right_call(example):
    many = "multiclass" in example._traits
    scores = Z if example._input_scale() == "logit" else K if many else P
    labels = K.argmax(axis=1) if many else Y
    calls = (
        ["fit", "partial_fit", "predict_then_update"] if "online" in example._traits else ["fit"]
    )
    for y in (labels, np.array(["no", "yes", "other"])[labels], labels.astype(float)):
        for call in calls:
            with pytest.raises(ValueError, match=rf"swapped\. Call {call}\(scores, labels\)\.$"):
                getattr(clone(example), call)(y, scores)
    if not many and example._input_scale() == "probability":
        cal = clone(example).fit(P, Y)
        with pytest.raises(ValueError, match=r"swapped\. Call certify\(scores, labels\)"):
            cal.certify(Y, P)


def gate():
    return decisions.RiskControlledThreshold(0.3)


@pytest.mark.parametrize(
    ("call", "right"),
    [
        *[(m.function, f"{m.name}(labels, scores)") for m in METRICS.values()],
        (lambda y, p: estimate("brier_score", y, p), "estimate(metric, labels, scores)"),
        (certify, "certify(labels, scores)"),
        (prequential_errors, "prequential_errors(labels, scores)"),
        (ScoreTable.from_arrays, "from_arrays(labels, scores)"),
        (ReliabilityDisplay.from_predictions, "from_predictions(labels, scores)"),
        (RiskCoverageDisplay.from_predictions, "from_predictions(labels, scores)"),
        (lambda y, p: CalibrationAlarm().update(y, p), "update(labels, scores)"),
        (lambda y, p: ComparisonAlarm().update(y, p, p), "update(labels, scores)"),
        (lambda y, p: DriftDisplay.from_scores(p, y), "from_scores(scores, labels)"),
        (
            lambda y, p: compare_online_calibrators(p, y),
            "compare_online_calibrators(scores, labels)",
        ),
        (lambda y, p: MultiStreamCalibrator().partial_fit(p, y, Y), "partial_fit(scores, labels)"),
        (lambda y, p: gate().fit(p, y), "fit(scores, labels)"),
        (lambda y, p: decisions.QuantileCalibrator().fit(p, y, 10), "fit(scores, labels)"),
        (
            lambda y, p: decisions.evaluate_confidence(p, y),
            "evaluate_confidence(scores, labels)",
        ),
        (
            lambda y, p: decisions.cross_val_calibrate("platt", p, y),
            "cross_val_calibrate(scores, labels)",
        ),
    ],
)
def test_functions_refuse_swapped_arguments_with_the_right_call(call, right):
    with pytest.raises(ValueError, match="swapped") as error:
        call(P, Y)
    assert str(error.value).endswith(f"swapped. Call {right}.")


def test_fractions_beside_two_scores_are_not_swapped():
    cal = PlattCalibrator().fit([0.0, 1.0, 0.2], [0.3, 0.6, 0.4])
    assert cal.predict_proba([0.2]).shape == (1, 2)
    # Of two groups with a rate each the scores may be 0 and 1.
    with pytest.warns(HardScoresWarning):
        PlattCalibrator().fit([0.0, 1.0, 0.0, 1.0], [0.3, 0.6, 0.3, 0.6])


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_fit_warns_once_of_labels_in_the_place_of_probabilities(example):
    if example._input_scale() == "logit":
        return
    many = "multiclass" in example._traits
    hard = np.eye(3)[K.argmax(axis=1)] if many else (P > 0.5) * 1.0
    labels = np.where(RNG.random(60) < 0.2, 0, K.argmax(axis=1)) if many else Y
    for given in [hard] if many else [hard, hard.astype(int), np.column_stack((1 - hard, hard))]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            clone(example).fit(given, labels)
        found = [w for w in caught if w.category is HardScoresWarning]
        assert [w.filename for w in found] == [__file__]
    assert "Pass the output of predict_proba" in str(found[0].message)


HARD = [
    *[m.function for m in METRICS.values()],
    lambda y, p: estimate("brier_score", y, p, n_resamples=20),
    certify,
    ScoreTable.from_arrays,
    lambda y, p: ReliabilityDisplay.from_predictions(y, p, n_resamples=20),
    lambda y, p: RiskCoverageDisplay.from_predictions(y, p, n_resamples=20),
    lambda y, p: DriftDisplay.from_predictions(y, p, start=10),
]


@pytest.mark.parametrize("call", HARD)
def test_metrics_and_displays_warn_once_of_labels_in_the_place_of_probabilities(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(Y, P > 0.5)
    found = [w for w in caught if w.category is HardScoresWarning]
    assert [w.filename for w in found] == [__file__]


def test_labels_that_are_no_numbers_between_0_and_1_are_known_for_what_they_are():
    for given in ([0, 2, 1, 1], ["no", "yes", "no", "yes"]):
        with pytest.raises(ValueError, match="predict_proba"):
            log_loss([0, 1, 0, 1], given)


def rounded(kind, p):
    return p.round(kind) if isinstance(kind, int) else p.astype(kind)


@pytest.mark.parametrize("kind", [2, 3, 4, np.float16, np.float32])
@pytest.mark.parametrize("n_classes", [2, 3, 10, 100])
def test_rounded_rows_are_divided_by_their_sums(kind, n_classes):
    p = np.random.default_rng(1).dirichlet(np.full(n_classes, 3.0), size=400)
    if n_classes == 2:
        p[:, 0] = p[:, 0].round(3)  # halves, which both go up
        p[:, 1] = (1.0 - p[:, 0]).round(3)
    q = rounded(kind, p)
    if kind == 2 and n_classes == 2:
        q = np.floor(p * 100.0 + 0.5) / 100.0
    stray = np.abs(q.sum(axis=1, dtype=np.float64) - 1.0)
    off = stray > 1.001e-4
    cal = IdentityCalibrator(classes=range(n_classes)).fit(p, np.arange(400) % n_classes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out = cal.predict_proba(q)
    assert [w.category for w in caught] == [RoundedScoresWarning] * int(off.any())
    np.testing.assert_allclose(out.sum(axis=1), 1.0, atol=1e-12)
    expected = q.astype(np.float64) / q.sum(axis=1, keepdims=True, dtype=np.float64)
    np.testing.assert_allclose(out[off], expected[off], rtol=1e-6)
    if off.any():
        alone = [stray.argmax()]
        with pytest.warns(RoundedScoresWarning, match="1 of 1 rows"):
            one = cal.predict_proba(q[alone])
        np.testing.assert_array_equal(one, out[alone])


def test_a_softmax_in_half_precision_is_taken():
    z = np.random.default_rng(2).normal(size=(1000, 1000)) + 3 * np.eye(1000)
    z = z.astype(np.float16)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    q = e / e.sum(axis=1, keepdims=True, dtype=np.float16)
    assert np.abs(q.sum(axis=1, dtype=np.float64) - 1.0).max() > 1e-4
    with pytest.warns(RoundedScoresWarning):
        TemperatureCalibrator(classes=range(1000)).fit(q, np.arange(1000))


@pytest.mark.parametrize(
    "rows",
    [
        [[0.2, 0.3, 0.3], [0.2, 0.3, 0.5]],
        [[0.25, 0.25, 0.25], [0.2, 0.3, 0.5]],
        [[0.5, 0.25, 0.5], [0.5, 0.25, 0.25]],
        [[0.0, 0.0, 0.0], [0.2, 0.3, 0.5]],
        [[0.123456, 0.3, 0.58], [0.2, 0.3, 0.5]],
        [[0.33, 0.33, 0.33], [0.123456789, 0.3, 0.576543211]],
        np.zeros((2, 300)),
        np.full((2, 300), 0.01),
    ],
)
def test_rows_that_rounding_does_not_explain_are_refused(rows):
    with pytest.raises(ValueError, match="don't sum to one"):
        log_loss([0, 1], rows, classes=range(np.shape(rows)[1]))


def test_the_tolerance_is_what_rounding_can_do():
    p = np.random.default_rng(3).dirichlet(np.ones(7), size=2000)
    for kind in (2, 3, 4, np.float16):
        q = rounded(kind, p).astype(np.float64)
        assert np.abs(q.sum(axis=1) - 1.0).max() < rounding_tolerance(q)
    assert rounding_tolerance(p.round(2)) == pytest.approx(7 * 0.005)
    assert rounding_tolerance(p) == 0.0


@pytest.mark.parametrize("bad", ["auto", PlattCalibrator, 3])
def test_what_is_no_calibrator_inside_another_one_is_named(bad):
    for name, held in (
        ("calibrator", OneVsRestCalibrator(bad)),
        ("first", OneVsRestCalibrator(PlattCalibrator(), first=bad)),
        ("scaler", ScalingBinningCalibrator(bad)),
        ("calibrator", WindowedCalibrator(bad)),
    ):
        with pytest.raises(TypeError, match=rf"^CalibratedClassifier\.fit: {name}.*; expected an?"):
            CalibratedClassifier(GaussianNB(), held).fit(P[:, None], Y)


def test_columns_and_classes_that_do_not_match_are_said_first():
    labels = np.array(["cat", "dog", "owl"])[K.argmax(axis=1)]
    for call in (PlattCalibrator().fit, lambda p, y: log_loss(y, p)):
        with pytest.raises(ValueError, match=r"has 2 columns and y\w* holds 3 classes .* all 3 cl"):
            call(K[:, :2], labels)
    with pytest.raises(ValueError, match="y holds one class only"):
        TemperatureCalibrator().fit(K, ["cat"] * 60)


def test_groups_of_another_length_are_named():
    with pytest.raises(ValueError, match=r"groups has shape \(59,\); expected one group per row"):
        CalibratedClassifier(GaussianNB()).fit(P[:, None], Y, groups=np.arange(59))


def test_reversed_scores_get_advice():
    with pytest.warns(ReversedScoresWarning, match="pass 1 - score .* use PlattCalibrator"):
        IsotonicCalibrator().fit(P, 1 - Y)
    with pytest.warns(ReversedScoresWarning):
        advice = compare_calibrators(P, 1 - Y, ["platt"]).advice
    assert advice.startswith("The scores look reversed (ROC AUC")


def test_certificates_say_what_they_are_about():
    labels = K.argmax(axis=1)
    inner = ScalingBinningCalibrator(n_bins=2)
    said = str(OneVsRestCalibrator(inner).fit(K, labels).certify(K, labels, finite=True))
    assert "probabilities of predict_classwise" in said
    tiny = replace(certify(Y, np.full(60, 0.5)), l1=(8.66e-9, 0.1), l2=(8.66e-9, 0.2))
    assert "off by 0 to 0.1 on average (l1; root mean square 0 to 0.2)" in str(tiny)
