"""Names that other packages, papers and people use: an error says what to write here."""

import importlib

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

import calibkit
from calibkit import CalibratedClassifier, estimate, get_scorer, make_calibrator
from calibkit._core.params import _SYNONYMS
from calibkit._registry import CALIBRATORS, needs_calibrator
from calibkit.metrics import METRICS
from calibkit.online import OnlineCalibratedClassifier

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
Y = (RNG.random(60) < 0.5).astype(int)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("sigmoid", "platt"),
        ("logistic", "platt"),
        ("Sigmoid-Calibration", "platt"),
        ("temperature scaling", "temperature"),
        ("ts", "temperature"),
        ("isotonic-regression", "isotonic"),
        ("histogram_binning", "histogram"),
        ("platts", "platt"),
        ("uncalibrated", "identity"),
        ("none", "identity"),
        ("raw", "identity"),
    ],
)
def test_other_names_of_calibrators(name, meant):
    for call in (
        lambda: make_calibrator(name),
        lambda: CalibratedClassifier(LogisticRegression(), name).fit(X, Y),
    ):
        with pytest.raises(ValueError, match=f"did you mean '{meant}'"):
            call()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ece", "neg_expected_calibration_error"),
        ("neg_ece", "neg_expected_calibration_error"),
        ("neg-MCE", "neg_maximum_calibration_error"),
        ("brier", "neg_brier_score"),
        ("neg_brier_score_loss", "neg_brier_score"),
        ("nll", "neg_log_loss"),
        ("log_loss", "neg_log_loss"),
        ("auroc", "roc_auc"),
        ("neg_roc_auc", "roc_auc"),
    ],
)
def test_other_names_of_metrics(name, meant):
    with pytest.raises(ValueError, match=f"did you mean '{meant}'"):
        get_scorer(name)
    if name in METRICS:
        return
    with pytest.raises(ValueError, match=f"did you mean '{meant.removeprefix('neg_')}'"):
        estimate(name, Y, X[:, 0])


@pytest.mark.parametrize(
    ("setting", "meant"),
    [
        ("ci", "level"),
        ("alpha", "level"),
        ("bins", "n_bins"),
        ("seed", "random_state"),
        ("n_bootstraps", "n_resamples"),
        ("weight", "sample_weight"),
        ("clusters", "groups"),
        ("event", "pos_label"),
    ],
)
def test_other_names_of_settings(setting, meant):
    with pytest.raises(TypeError, match=f"'{setting}'.*did you mean '{meant}'"):
        estimate("expected_calibration_error", Y, Y * 0.5, **{setting: 0.9})


@pytest.mark.parametrize("name", ["one_vs_rest", "top_label", "windowed", "borrowed"])
def test_a_missing_calibrator_and_weights_of_a_certificate_are_explained(name):
    own = CALIBRATORS[name].__name__
    with pytest.raises(TypeError, match=rf"^{own}: calibrator is missing.*{own}\(Platt"):
        CALIBRATORS[name]()
    platt = make_calibrator("platt").fit(RNG.random(60), Y)
    for call in (platt.certify, calibkit.certify):
        with pytest.raises(TypeError, match="'sample_weight'; expected rows of equal weight"):
            call(Y, Y, sample_weight=Y)


def test_names_stand_for_something():
    known = {*CALIBRATORS, *METRICS, "level", "n_bins", "random_state", "groups", "n_resamples"}
    known |= {"sample_weight", "pos_label", "classes", "calibrator", "estimator", "cv"}
    assert set(_SYNONYMS.values()) <= known


@pytest.mark.parametrize("name", [n for n in CALIBRATORS if needs_calibrator(n)])
def test_calibrators_of_others_are_not_made_by_name_alone(name):
    own = CALIBRATORS[name].__name__
    with pytest.raises(
        TypeError, match=rf"needs another calibrator.*Use {own}\(PlattCalibrator\(\)\)"
    ):
        make_calibrator(name)
    for cls in (CalibratedClassifier, OnlineCalibratedClassifier):
        with pytest.raises(ValueError, match=rf"Pass calibrator={own}\(PlattCalibrator\(\)\)"):
            cls(LogisticRegression(), name).fit(X, Y)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_parameters_that_a_calibrator_lacks(name):
    with pytest.raises(TypeError, match=rf"^make_calibrator\('{name}'\): .* no parameter 'bin'"):
        make_calibrator(name, bin=3)


@pytest.mark.parametrize("cls", [CalibratedClassifier, OnlineCalibratedClassifier])
def test_a_name_has_no_parameters(cls):
    right = r"calibrator__n_bins with calibrator='histogram'.*Pass calibrator=Histogram"
    with pytest.raises(ValueError, match=right):
        cls(LogisticRegression(), "histogram").set_params(calibrator__n_bins=5)
    with pytest.raises(ValueError, match=right):
        cls(LogisticRegression()).set_params(calibrator="histogram", calibrator__n_bins=5)
    search = GridSearchCV(cls(LogisticRegression(), "histogram"), {"calibrator__n_bins": [5]})
    with pytest.raises(ValueError, match=right):
        search.fit(X, Y)
    for given, meant in (
        ("method", "calibrator"),
        ("base_estimator", "estimator"),
        ("folds", "cv"),
    ):
        with pytest.raises(
            TypeError, match=rf"^{cls.__name__}: .*'{given}'.*did you mean '{meant}'"
        ):
            cls(LogisticRegression(), **{given: "sigmoid"})
    inner = cls(LogisticRegression(), calibkit.HistogramBinningCalibrator())
    assert inner.set_params(calibrator__n_bins=5).calibrator.n_bins == 5


MODULES = [
    "calibkit",
    *(f"calibkit.{m}" for m in ("codegen", "decisions", "online", "metrics", "displays")),
]
MODULES += ["calibkit.calibrators", "calibkit.testing"]


@pytest.mark.parametrize("module", MODULES)
def test_a_star_and_dir_agree(module):
    found: dict = {}
    exec(f"from {module} import *", found)
    module = importlib.import_module(module)
    shown = [name for name in dir(module) if not name.startswith("_")]
    assert set(found) - {"__builtins__"} == set(shown)
    for name in shown:
        assert getattr(module, name) is found[name]


def test_a_star_brings_what_is_ours_and_all_of_it():
    found: dict = {}
    exec("from calibkit import *", found)
    assert {
        "codegen",
        "decisions",
        "online",
        "ReliabilityDisplay",
        "compare_online_calibrators",
        "log_loss",
    } <= set(found)
    assert not {"Any", "TYPE_CHECKING", "import_module", "np"} & set(found)
