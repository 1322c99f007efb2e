"""Every warning points at the user's line, and comes once a call."""

import json
import re
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

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
    decisions,
    estimate,
)
from calibkit._core.warnings import counted, silent, warn

PACKAGE = Path(calibkit.__file__).parent
RNG = np.random.default_rng(0)
P = RNG.random(200)
Y = (RNG.random(200) < P).astype(int)
K = RNG.dirichlet([1.0] * 12, size=600)
WINS = K.argmax(axis=1)


#: A signal that every tenth output lacks.
COSTS = {"cost_accept_wrong": 10.0, "cost_review": 2.0, "cost_discard_right": 3.0}
GAPS = np.where(np.arange(200) % 10 == 3, np.nan, P)
VERDICTS = "task_id,p,q,passed\n" + "".join(f"t{i},0.{i},{i % 2},{i % 2}\n" for i in range(6))


def _file(text):
    """A file of this text, in a folder that goes with the test's process."""
    path = Path(FOLDER.name) / f"{abs(hash(text))}.csv"
    path.write_text(text)
    return path


FOLDER = TemporaryDirectory()
FAILED = "\n".join(
    json.dumps(row)
    for row in (
        {"custom_id": "a", "response": None, "error": {"message": "too long"}},
        {
            "custom_id": "b",
            "response": {"body": {"choices": [{"index": 0, "message": {"content": "x"}}]}},
            "error": None,
        },
    )
)
HIDDEN = json.dumps(
    {"task_id": "a", "text": "x", "tokens": ["think", "x"], "logprobs": [-2.0, -0.1]}
)

RATES = decisions.QuantileCalibrator().fit(P, RNG.binomial(4, P) / 4, np.full(200, 4))
GAPPED = codegen.read_generations(
    _file(
        "task_id,s,text\n" + "\n".join(f"t{i},{p},x" for i, p in enumerate(GAPS)).replace("nan", "")
    )
)
RULE = decisions.DecisionRule(
    "s", calibrator=PlattCalibrator().fit(P, Y), policy=decisions.TriagePolicy(**COSTS)
)

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
        lambda: decisions.RiskControlledThreshold(0.001).fit(P[:20], Y[:20]),
    ),
    "evaluation": (
        calibkit.MissingSignalWarning,
        lambda: decisions.evaluate_confidence({"s": GAPS}, Y, n_resamples=20),
    ),
    "quantiles": (
        CalibrationWarning,
        lambda: decisions.QuantileCalibrator().fit(P, np.zeros(200), np.full(200, 4)),
    ),
    "lower bound": (
        CalibrationWarning,
        lambda: RATES.conformalise(P[:5], Y[:5].astype(float)),
    ),
    "rule": (calibkit.MissingSignalWarning, lambda: RULE.decide(GAPPED)),
    "features": (
        calibkit.MissingSignalWarning,
        lambda: codegen.ConfidenceFeatures(["perplexity"]).fit_transform([[-0.1], [], [-0.3]]),
    ),
    "borrowed": (
        calibkit.ReversedScoresWarning,
        lambda: decisions.BorrowedCalibrator(PlattCalibrator().fit(P, Y)).fit(P, 1 - Y),
    ),
    "reading": (calibkit.MissingSignalWarning, lambda: codegen.read_generations(_file(FAILED))),
    "tokens": (calibkit.UnmatchedWarning, lambda: codegen.read_generations(_file(HIDDEN))),
    "join": (
        calibkit.UnmatchedWarning,
        lambda: codegen.join_results(
            codegen.read_generations(_file("task_id,p\na,0.5\nb,0.4\n")),
            codegen.read_results(_file("task_id,passed\na,1\n")),
        ),
    ),
    "verdict": (
        calibkit.VerdictAsSignalWarning,
        lambda: codegen.join_results(
            codegen.read_generations(_file(VERDICTS), signals=["p", "q"]),
            codegen.read_results(_file(VERDICTS)),
        ),
    ),
    "rounded": (
        calibkit.RoundedScoresWarning,
        lambda: calibkit.TemperatureCalibrator().fit(np.round(K, 2), WINS),
    ),
    "hard": (calibkit.HardScoresWarning, lambda: calibkit.brier_score(Y, (P > 0.5).astype(float))),
    "order": (
        calibkit.LabelOrderWarning,
        lambda: calibkit.brier_score(np.where(Y == 1, "9", "10"), P),
    ),
    "a separation in each of 12 classes": (
        calibkit.SeparationWarning,
        lambda: OneVsRestCalibrator(PlattCalibrator()).fit(0.6 * np.eye(12)[WINS] + 0.4 * K, WINS),
    ),
    "a separation in each fold": (
        calibkit.SeparationWarning,
        lambda: CalibratedClassifier(GaussianNB(), "platt", ensemble=True).fit(P[:, None], P > 0.5),
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
        ("none. The same applies to 2 more classes.", __file__),
        ("another kind.", __file__),
    ]


def test_what_scikit_learn_calls_points_at_the_user_too():
    with pytest.warns(calibkit.SeparationWarning) as caught:
        make_pipeline(PlattCalibrator()).fit(P[:, None], P > 0.5)
    assert {w.filename for w in caught} == {__file__}


def test_silence_is_of_the_kinds_named():
    def give():
        with silent(calibkit.ReplacedForecastWarning):
            warn("heard", CalibrationWarning)
            warn("not heard", calibkit.ReplacedForecastWarning)

    with pytest.warns(CalibrationWarning) as found:
        give()
    assert [str(w.message) for w in found] == ["heard"]
