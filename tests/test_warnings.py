"""Every warning points at the user's line, and comes once a call."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import DataConversionWarning
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

import calibkit
from calibkit import (
    BetaCalibrator,
    CalibratedClassifier,
    CalibrationWarning,
    OneVsRestCalibrator,
    PlattCalibrator,
    TopLabelCalibrator,
    calibration_error,
    codegen,
    estimate,
)
from calibkit._core.warnings import counted, silent, warn

PACKAGE = Path(calibkit.__file__).parent
RNG = np.random.default_rng(0)
P = RNG.random(200)
Y = (RNG.random(200) < P).astype(int)
K = RNG.dirichlet([1.0] * 12, size=600)
WINS = K.argmax(axis=1)


#: Calls that warn, with what they warn of.
CALLS = {
    "separation": (calibkit.SeparationWarning, lambda: PlattCalibrator().fit(P, P > 0.5)),
    "beta": (calibkit.SeparationWarning, lambda: BetaCalibrator().fit(P, P > 0.5)),
    "reversal": (calibkit.ReversedScoresWarning, lambda: PlattCalibrator().fit(P, 1 - Y)),
    "saturation": (
        calibkit.SaturatedScoresWarning,
        lambda: PlattCalibrator(eps=0.1).fit(P, Y),
    ),
    "scale": (calibkit.ScaleWarning, lambda: PlattCalibrator(scale="logit").fit(P, Y)),
    "class": (
        calibkit.MissingClassWarning,
        lambda: OneVsRestCalibrator(PlattCalibrator(), classes=range(12)).fit(K[:200], Y),
    ),
    "top class": (
        calibkit.MissingClassWarning,
        lambda: TopLabelCalibrator(PlattCalibrator()).fit(K, WINS),
    ),
    "groups": (
        calibkit.FewGroupsWarning,
        lambda: estimate("brier_score", Y, P, groups=np.arange(200) % 3, n_resamples=20),
    ),
    "column": (DataConversionWarning, lambda: calibration_error(Y[:, None], P)),
    "column in fit": (DataConversionWarning, lambda: PlattCalibrator().fit(P, Y[:, None])),
    "weights": (
        UserWarning,
        lambda: CalibratedClassifier(KNeighborsClassifier()).fit(P[:, None], Y, np.ones(200)),
    ),
    "measure": (
        calibkit.MissingSignalWarning,
        lambda: codegen.token_confidence([[-0.1], []], "perplexity"),
    ),
    "stated": (
        calibkit.MissingSignalWarning,
        lambda: codegen.parse_confidence(["90%", "no idea"], bare="percent"),
    ),
    "threshold": (
        CalibrationWarning,
        lambda: codegen.RiskControlledThreshold(0.001).fit(P[:20], Y[:20]),
    ),
    "a separation in each of 12 classes": (
        calibkit.SeparationWarning,
        lambda: OneVsRestCalibrator(PlattCalibrator()).fit(0.6 * np.eye(12)[WINS] + 0.4 * K, WINS),
    ),
    "a separation in each fold": (
        calibkit.SeparationWarning,
        lambda: CalibratedClassifier(GaussianNB(), ensemble=True).fit(P[:, None], P > 0.5),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_warning_comes_once_and_points_at_this_file(name):
    category, call = CALLS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    caught = [w for w in caught if issubclass(w.category, category)]
    assert [w.filename for w in caught] == [__file__], [str(w.message) for w in caught]


def test_warnings_are_given_in_one_place():
    for path in PACKAGE.rglob("*.py"):
        given = re.search(r"warnings\.warn\(|stacklevel", path.read_text())
        assert not given or path.name == "warnings.py", path


def _three_classes_in_a_fold():
    with counted("folds"), counted("classes"):
        for what in ("none.", "some.", "all."):
            warn(what, UserWarning)
        warn("another kind.", CalibrationWarning)
        with silent():
            warn("unheard", UserWarning)


def test_warnings_of_many_parts_are_counted():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _three_classes_in_a_fold()
    assert [(str(w.message), w.filename) for w in caught] == [
        ("none. So for 2 more classes.", __file__),
        ("another kind.", __file__),
    ]


def test_what_scikit_learn_calls_points_at_the_user_too():
    with pytest.warns(calibkit.SeparationWarning) as caught:
        make_pipeline(PlattCalibrator()).fit(P[:, None], P > 0.5)
    assert {w.filename for w in caught} == {__file__}
