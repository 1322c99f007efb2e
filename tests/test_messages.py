"""Messages hold values as Python writes them, and every spoilt setting is refused in our words."""

import inspect
import json
import pickle
import re
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

import calibkit
from calibkit import (
    CalibratedClassifier,
    CalibrationAlarm,
    ComparisonAlarm,
    DriftDisplay,
    PlattCalibrator,
    ReliabilityDisplay,
    RiskCoverageDisplay,
    ScoreTable,
    base,
    certify,
    codegen,
    compare_calibrators,
    compare_online_calibrators,
    decisions,
    export,
    get_scorer,
    make_calibrator,
    online,
    prequential_errors,
    rows_to_certify,
)
from calibkit._core.printed import spelled
from calibkit.base import InputError, InputTypeError
from calibkit.metrics import METRICS
from calibkit.online import MultiStreamCalibrator, OnlineCalibratedClassifier

from .fuzz import NUMPYS, in_words
from .golden import GOLDEN, calls, said
from .registry import EXAMPLES, name_of
from .test_codegen_arguments import CALLS as OF_CODEGEN

PACKAGE = Path(calibkit.__file__).parent
RNG = np.random.default_rng(0)
P = RNG.random(60)
Y = (RNG.random(60) < P).astype(int)

#: Values as they come out of arrays and frames.
SPOILT = {
    "number": np.float64(-7.5),
    "NaN": np.float64("nan"),
    "huge": np.float64(1e300),
    "int": np.int64(-3),
    "text": np.str_("x"),
    "bool": np.True_,
    "numbers": [np.float64(-7.5), np.int64(2)],
    "texts": [np.str_("x"), np.str_("y"), np.str_("z")],
    "two labels": [0, 1],
    "pair": (np.float32(5.0), np.str_("x")),
    "dict": {np.str_("x"): np.float64(-7.5)},
    "array": np.array(["x", "y"]),
    "date": np.datetime64("2020-01-01"),
}


def _fit(cls, **given):
    return lambda **more: cls(**{**given, **more}).fit(P[:, None], Y)


def _compared(p=P, **given):
    return calibkit.compare("brier_score", Y, {"a": P, "b": p}, **given)


#: What is called beside codegen's functions, with arguments that it takes.
def _write(**given):
    with tempfile.TemporaryDirectory() as folder:
        return calibkit.write_report(Path(folder) / "r.html", **given)


CALLS = {
    "write_report": (_write, {"y_true": Y, "y_prob": P, "level": 0.9, "n_resamples": 10}),
    **{name: (getattr(calibkit, name), {"y_true": Y, "y_prob": P}) for name in METRICS},
    **{
        name: (getattr(calibkit, name), {"y_true": Y, "y_prob": P})
        for name in ("risk_coverage_curve", "area_under_risk_coverage")
    },
    **{
        name: (getattr(calibkit, name), {"y_true": Y, "y_prob": P, **more})
        for name, more in (
            ("calibration_slope", {"kind": "binary"}),
            ("reliability_curve", {"curve": "corp", "scale": "logit", "n_draws": 9}),
            ("calibration_in_the_large", {}),
            ("loess_calibration_error", {"summary": "e50", "span": 0.5}),
            ("calibration_test", {"test": "line", "null": "auto", "n_draws": 99}),
            ("calibration_tests", {"tests": ["line"], "null": "auto", "n_draws": 99}),
        )
    },
    "estimate": (
        calibkit.estimate,
        {"metric": "brier_score", "y_true": Y, "y_prob": P, "n_resamples": 20, "random_state": 0},
    ),
    "compare": (
        calibkit.compare,
        {"metric": "brier_score", "y_true": Y, "y_probs": {"a": P, "b": P**2}, "reference": "a"},
    ),
    **{
        f"compare with {name}": (_compared, {name: np.arange(60) % 12})
        for name in ("groups", "time", "folds", "sample_weight")
    },
    "compare with p": (_compared, {"p": P}),
    "group_table": (
        calibkit.group_table,
        {"y_true": Y, "y_prob": P, "by": ["a", "b"] * 30, "n_draws": 100},
    ),
    "certify": (certify, {"y_true": Y, "y_prob": P}),
    "detectable_error": (calibkit.detectable_error, {"y_prob": P, "n_draws": 100}),
    "detectable_difference": (calibkit.detectable_difference, {"comparison": None}),
    "rows_to_detect": (
        calibkit.rows_to_detect,
        {"y_prob": P, "error": 0.3, "n_draws": 100},
    ),
    "certify with groups": (
        certify,
        {
            "y_true": Y,
            "y_prob": 0.3 + 0.4 * np.round(P),
            "groups": np.arange(60) // 3,
            "max_group_size": 3,
        },
    ),
    "rows_to_certify": (rows_to_certify, {"error": 1e-9, "n_bins": 2}),
    "prequential_errors": (prequential_errors, {"y_true": Y, "y_prob": P}),
    "from_arrays": (ScoreTable.from_arrays, {"y_true": Y, "y_prob": P}),
    "from_chunks": (
        lambda chunks, **k: ScoreTable.from_chunks(chunks, **k),
        {"chunks": [(Y, P)]},
    ),
    "certify of a calibrator": (PlattCalibrator().fit(P, Y).certify, {"X": P, "y": Y}),
    "alarm": (lambda **k: CalibrationAlarm(**k).update(Y, P), {}),
    "ComparisonAlarm": (
        lambda **k: ComparisonAlarm("log_loss", **k).update(Y, P, P**2),
        {"floor": 0.01, "alpha": 0.1},
    ),
    "ComparisonAlarm metric": (ComparisonAlarm, {"metric": "brier_score", "floor": None}),
    "ComparisonAlarm.update": (
        lambda y, p, q: ComparisonAlarm().update(y, p, q),
        {"y": Y, "p": P, "q": P**2},
    ),
    "compare_online_calibrators": (
        compare_online_calibrators,
        {"X": P, "y": Y, "methods": {"a": None}},
    ),
    "compare_calibrators": (compare_calibrators, {"X": P, "y": Y, "calibrators": ["platt"]}),
    "ReliabilityDisplay": (
        ReliabilityDisplay.from_predictions,
        {"y_true": Y, "y_prob": P, "n_resamples": 20, "curve": "corp", "scale": "logit"},
    ),
    "RiskCoverageDisplay": (
        RiskCoverageDisplay.from_predictions,
        {"y_true": Y, "y_prob": P, "n_resamples": 20},
    ),
    "DriftDisplay": (DriftDisplay.from_predictions, {"y_true": Y, "y_prob": P}),
    "DecompositionDisplay": (
        calibkit.DecompositionDisplay.from_predictions,
        {"y_true": Y, "y_prob": P, "loss": "log", "n_resamples": 20},
    ),
    **{
        name: (call, {"y_true": Y, "y_prob": P, "thresholds": 0.5, "reference": "all"})
        for name, call in (
            ("decision_curve", calibkit.decision_curve),
            ("DecisionCurveDisplay", calibkit.DecisionCurveDisplay.from_predictions),
        )
    },
    "CalibratedClassifier": (_fit(CalibratedClassifier, estimator=GaussianNB()), {}),
    "OnlineCalibratedClassifier": (
        _fit(OnlineCalibratedClassifier, estimator=GaussianNB()),
        {},
    ),
    "many streams": (
        lambda stream, **k: MultiStreamCalibrator(**k).predict_then_update(P, Y, stream),
        {"stream": np.arange(60) % 3},
    ),
    "get_scorer": (get_scorer, {"name": "brier_score"}),
    "make_calibrator": (make_calibrator, {"name": "platt"}),
    "from_dict": (calibkit.from_dict, {"data": calibkit.to_dict(PlattCalibrator().fit(P, Y))}),
    "check_export": (
        export.check_export,
        {
            "obj": PlattCalibrator().fit(P, Y),
            "artefact": export.to_sql(PlattCalibrator().fit(P, Y), dialect="sqlite"),
            "n": 10,
            "tolerance": 1e-12,
            "random_state": 0,
        },
    ),
    "to_sql": (
        export.to_sql,
        {
            "obj": PlattCalibrator().fit(P, Y),
            "dialect": "duckdb",
            "column": "score",
            "table": "scores",
            "keep": "id",
            "labels": False,
        },
    ),
    "golden_vectors": (
        export.golden_vectors,
        {"obj": PlattCalibrator().fit(P, Y), "n": 9, "labels": False, "random_state": 0},
    ),
    **{
        f"to_{language}": (
            getattr(export, f"to_{language}"),
            {"obj": PlattCalibrator().fit(P, Y), "name": "f", "labels": False},
        )
        for language in ("python", "javascript", "c", "java", "rust")
    },
    "to_onnx": (
        export.to_onnx,
        {
            "obj": PlattCalibrator().fit(P, Y),
            "dtype": "float64",
            "input_scale": "probability",
            "labels": False,
        },
    ),
    **OF_CODEGEN,
}
CLASSES = {
    "alarm": CalibrationAlarm,
    "CalibratedClassifier": CalibratedClassifier,
    "OnlineCalibratedClassifier": OnlineCalibratedClassifier,
    "many streams": MultiStreamCalibrator,
}
NOT_DATA = {"self", "y_true", "y_prob", "X", "y", "ax", "chunks", "data"}


def _settings(name):
    """Names of what a call takes, beside its data."""
    call, given = CALLS[name]
    taken = inspect.signature(CLASSES.get(name, call)).parameters.values()
    named = [p.name for p in taken if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return [n for n in dict.fromkeys([*named, *given]) if n not in NOT_DATA]


def _check(what, call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except Exception as error:
            if not in_words(error):
                pytest.fail(f"{what}: {error!r:.600}")


@pytest.mark.parametrize("name", CALLS)
def test_messages_of_calls_have_values_as_python_writes_them(name):
    call, given = CALLS[name]
    for setting in _settings(name):
        for kind, spoilt in SPOILT.items():
            _check(f"{name}({setting}=<{kind}>)", lambda: call(**{**given, setting: spoilt}))  # noqa: B023


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_messages_of_calibrators_have_values_as_python_writes_them(example):
    p, y = (P, Y)
    if "multiclass" in example._traits and "binary" not in example._traits:
        p = np.column_stack((1 - P, P))
    for setting in example.get_params(deep=False):
        for kind, spoilt in SPOILT.items():
            made = clone(example)
            setattr(made, setting, spoilt)
            _check(f"{name_of(example)}.{setting} = <{kind}>", lambda: made.fit(p, y))  # noqa: B023


def test_no_message_is_made_of_a_bare_repr():
    """What Python writes of a value of NumPy hangs on its release: `spelled` does not."""
    for path in PACKAGE.rglob("*.py"):
        if path.name not in ("printed.py", "__init__.py"):
            found = re.search(r"![ra](:[^}]*)?\}|map\(repr", path.read_text())
            assert not found, f"{path}: {found[0] if found else ''}"


def test_values_are_spelled_as_python_does():
    assert spelled(np.float64(0.5)) == "0.5"
    assert spelled([np.str_("a"), np.True_, np.int8(3)]) == "['a', True, 3]"
    assert spelled({"a": (np.float32(2.0),)}) == "{'a': (2.0,)}"
    assert spelled(PlattCalibrator(eps=np.float64(0.1))) == "PlattCalibrator(eps=0.1)"
    assert "\n" not in spelled(np.zeros((3, 3)))
    assert len(spelled("x" * 10_000)) == 500
    assert spelled(ValueError("could not convert string to float: np.str_('a')")).endswith(": 'a'")
    assert NUMPYS.search(repr(np.float64(1))) or np.__version__ < "2"


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([None] * 60, "groups has no label at row 0"),
        (np.zeros((60, 2)), r"groups has shape \(60, 2\)"),
        (["a", "b"] * 30, "groups holds 2 groups and cv=5"),
    ],
    ids=["none", "columns", "few"],
)
def test_groups_of_a_classifier_are_refused_in_words(groups, words):
    for cls in (CalibratedClassifier, OnlineCalibratedClassifier):
        with pytest.raises(ValueError, match=f"{cls.__name__}.fit: {words}"):
            cls(GaussianNB(), cv=5).fit(P[:, None], Y, groups=groups)


def test_wrong_calls_are_answered_as_before():
    """``python -m tests.golden`` writes anew what is said, where it is to be changed."""
    golden, wrong = json.loads(GOLDEN.read_text()), calls()
    assert {name: said(wrong[name]) for name in golden} == golden


def _is_public(caller):
    """Whether a name is that of a function or class for users, or of a method of one."""
    name, _, method = re.sub(r" ?\(.*|: .*", "", caller).partition(".")
    rooms = (calibkit, codegen, decisions, export, online, base)
    found = [getattr(room, name) for room in rooms if hasattr(room, name)]
    return bool(found) and (not method or hasattr(found[0], method))


def test_every_refusal_names_a_public_call():
    wrong, refused = calls(), []
    for name in json.loads(GOLDEN.read_text()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                wrong[name]()
            except (InputError, InputTypeError) as error:
                refused.append((name, error.caller, str(error)))
            except (TypeError, ValueError):
                pass  # scikit-learn's, of a model that is not fitted; of a file, by its name
    assert len(refused) > 500
    assert [r for r in refused if not (_is_public(r[1]) and r[2].startswith(f"{r[1]}: "))] == []


def test_calls_from_functions_of_others_are_named_by_what_was_called():
    class Mine(base.BaseCalibrator):
        name = "mine"
        _state = {}  # noqa: RUF012

        def _check_params(self):
            super()._check_params()
            base.check_int("depth", 0, low=1)

    with pytest.raises(InputError, match=r"^Mine\.fit: depth=0"):
        Mine().fit(P, Y)
    with pytest.raises(InputError, match=r"^PlattCalibrator\.fit: X contains NaN") as caught:
        make_pipeline(PlattCalibrator()).fit(_with_nan(), Y)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.caller, again.place) == (str(caught.value), "PlattCalibrator.fit", 3)
    with pytest.raises(InputError, match=r"^brier_score: y_prob contains NaN"):
        calibkit.estimate(lambda y, p: calibkit.brier_score(y, p * np.nan), Y, P, n_resamples=20)


def test_what_a_users_model_calls_is_named_although_it_runs_in_a_fold():
    class Inner(GaussianNB):
        def predict_proba(self, X):
            return PlattCalibrator().fit(_with_nan(), Y)

    class Wrong(GaussianNB):
        def predict_proba(self, X):
            return np.full((len(X), 2), 3.0)

    rows = np.column_stack((P, P))
    with pytest.raises(InputError, match=r"^PlattCalibrator\.fit: X contains NaN"):
        CalibratedClassifier(Inner(), "platt").fit(rows, Y)
    with pytest.raises(InputError, match=r"^CalibratedClassifier\.fit: predict_proba\(X\) holds"):
        CalibratedClassifier(Wrong(), "platt").fit(rows, Y)


@pytest.mark.parametrize("kind", [InputError, InputTypeError, calibkit.CalibrationWarning])
def test_errors_and_warnings_are_made_of_anything(kind):
    for args in ((), ("a",), ("a", "b"), (1,), (ValueError("x"),)):
        assert str(kind(*args)) == str(Exception(*args))


def _with_nan():
    return np.where(np.arange(60) == 3, np.nan, P)[:, None]


def test_a_wrong_name_beside_a_number_is_told_that_a_number_is_allowed():
    with pytest.raises(InputError, match=r"eps='no'; expected a number in .* or 'auto'\.$"):
        calibkit.online.OnlinePlattCalibrator(eps="no").fit(P, Y)
    with pytest.raises(InputError, match="n_bins='no'; expected an int of at least 1 or 'sweep'"):
        calibkit.ScoreTable.from_arrays(Y, P).borders("quantile", "no")


def test_threads_do_not_mix_their_callers():
    def refused(metric):
        try:
            metric(Y, _with_nan())
        except InputError as error:
            return error.caller

    metrics = [getattr(calibkit, name) for name in METRICS] * 20
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(refused, metrics)) == [m.__name__ for m in metrics]


def test_no_wrong_call_is_answered_in_python_s_own_words():
    own = "not iterable|not subscriptable|not callable|has no len|has no attribute|unexpected"
    said = [s for words in json.loads(GOLDEN.read_text()).values() for s in words]
    assert not [s for s in said if re.search(own, s)]
    with pytest.raises(TypeError, match=r"^ScoreTable.from_chunks: chunks is a float; expected"):
        ScoreTable.from_chunks(0.5)
