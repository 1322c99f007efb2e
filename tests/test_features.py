"""ConfidenceFeatures: scikit-learn's checks, data frames, pipelines and searches."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data

from calibkit import PlattCalibrator
from calibkit._core.warnings import MissingSignalWarning
from calibkit.codegen import ConfidenceFeatures, Ragged, p_true, parse_confidence, token_confidence
from calibkit.metrics import brier_score

TOKENS = [
    "average_token_probability",
    "geometric_mean_probability",
    "total_probability",
    "min_token_probability",
    "low_token_probability",
    "length",
    "perplexity",
]
ALL = [*TOKENS, "entropy", "p_true", "p_true_normalised", "verbalised", "agreement",
       "test_pass_rate"]  # fmt: skip


class OnNumbers(ConfidenceFeatures):
    """The same on the numeric tables of scikit-learn's checks, as log-probabilities."""

    def _tokens(self, X, reset):
        return -np.abs(validate_data(self, X, reset=reset, dtype=[np.float64, np.float32]))

    def fit(self, X, y=None):
        X = self._tokens(X, True)
        names = getattr(self, "feature_names_in_", None)
        super().fit(X, y)
        self.n_features_in_ = X.shape[1]
        if names is not None:
            self.feature_names_in_ = names
        return self

    def transform(self, X):
        # The fitted width is checked; what a transformer that is not fitted says is checked too.
        return super().transform(self._tokens(X, False) if hasattr(self, "n_features_in_") else X)


EXPECTED_FAILURES = {}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scale", ["probability", "logit"])
def test_estimator_checks(scale):
    results = check_estimator(OnNumbers(TOKENS, scale=scale), on_fail=None, on_skip=None)
    assert len(results) > 40
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == EXPECTED_FAILURES


def problem(n=300, seed=0):
    """Outputs whose tokens, answer and stated confidence depend on how easy they are."""
    rng = np.random.default_rng(seed)
    ease = rng.exponential(size=n)
    tokens = [(-rng.exponential(e / 8, size=rng.integers(5, 40))).tolist() for e in ease]
    top = [[[t, np.log(-np.expm1(t)) - 0.1] for t in o] for o in tokens]
    yes = np.clip(np.exp(-ease) + rng.normal(0, 0.1, n), 0.01, 0.99)
    frame = {
        "logprobs": tokens,
        "top_logprobs": top,
        "answer": [[("True", np.log(p)), ("False", np.log(1 - p))] for p in yes],
        "verbalised": [f"{round(100 * p)}%" for p in yes],
        "agreement": np.round(yes, 1),
        "test_pass_rate": np.round(yes * 5) / 5,
        "task": rng.integers(0, 30, n),
    }
    return frame, rng.random(n) < np.exp(-ease)


def test_columns_are_the_functions():
    data, _ = problem(50)
    frame = pd.DataFrame(data)
    for scale in ("probability", "logit"):
        features = ConfidenceFeatures(ALL, scale=scale, quantile=0.2).fit(frame)
        found = pd.DataFrame(features.transform(frame), columns=features.get_feature_names_out())
        top = data["top_logprobs"]
        tokens = token_confidence(
            data["logprobs"], [*TOKENS, "entropy"], quantile=0.2, scale=scale, top_logprobs=top
        )
        np.testing.assert_array_equal(found[[*TOKENS, "entropy"]], tokens)
        np.testing.assert_array_equal(found["p_true"], p_true(data["answer"], scale=scale))
        np.testing.assert_array_equal(
            found["p_true_normalised"], p_true(data["answer"], normalised=True, scale=scale)
        )
        shares = found[["verbalised", "agreement", "test_pass_rate"]].to_numpy()
        if scale == "logit":
            assert np.isfinite(shares).all()
            shares = 1 / (1 + np.exp(-shares))
        np.testing.assert_allclose(shares[:, 0], parse_confidence(data["verbalised"]), atol=1e-7)
        np.testing.assert_allclose(shares[:, 1], data["agreement"], atol=1e-7)
        np.testing.assert_allclose(shares[:, 2], data["test_pass_rate"], atol=1e-7)


def test_all_frames_are_one():
    data, _ = problem(40)
    frame = pd.DataFrame(data)
    expected = ConfidenceFeatures(ALL).fit_transform(frame)
    dicts = {**data, "answer": [dict(a) for a in data["answer"]]}
    for other in (
        frame.set_index(np.full(40, 3)),
        pl.DataFrame(dicts),
        pl.DataFrame(dicts).to_arrow(),
        pl.DataFrame(dicts).to_pandas(),
        pl.DataFrame(dicts).to_pandas(use_pyarrow_extension_array=True),
    ):
        np.testing.assert_array_equal(ConfidenceFeatures(ALL).fit_transform(other), expected)


def test_tokens_alone_are_enough():
    data, _ = problem(30)
    x = data["logprobs"]
    flat = Ragged(np.concatenate(x), np.concatenate([[0], np.cumsum(list(map(len, x)))]))
    expected = token_confidence(x, TOKENS)
    for tokens in (x, flat, pd.Series(x), pl.Series(x), pa.array(x), list(map(np.array, x))):
        np.testing.assert_array_equal(ConfidenceFeatures(TOKENS).fit_transform(tokens), expected)
    assert ConfidenceFeatures().fit(x).n_features_in_ == 1


def test_columns_have_names_of_ones_own():
    data, _ = problem(20)
    frame = pd.DataFrame(data).rename(columns={"logprobs": "lp", "agreement": "vote"})
    columns = {"logprobs": "lp", "agreement": "vote"}
    features = ConfidenceFeatures(["length", "agreement"], columns=columns).fit(frame)
    assert features.feature_names_in_.tolist() == ["lp", "vote"]
    assert features.n_features_in_ == 2
    found = features.transform(frame.drop(columns=["task", "answer"]))  # others may come and go
    np.testing.assert_array_equal(found[:, 1], data["agreement"])
    with pytest.raises(ValueError, match=r"^ConfidenceFeatures.transform: X has no column 'vote'"):
        features.transform(frame.drop(columns="vote"))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_set_output(frame):
    data, _ = problem(10)
    features = ConfidenceFeatures(["length", "perplexity"])
    features.set_output(transform="pandas")
    x = frame({"logprobs": data["logprobs"]})
    out = features.fit_transform(x)
    assert out.columns.tolist() == ["length", "perplexity"]
    out = features.set_output(transform="polars").fit_transform(x)
    assert out.columns == ["length", "perplexity"]


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ({"measures": "averag_token_probability"}, ValueError, "did you mean 'average_token"),
        ({"measures": None}, ValueError, "measures=None; expected one of"),
        ({"measures": []}, ValueError, "at least one measure, each once"),
        ({"measures": ["length", "length"]}, ValueError, "at least one measure, each once"),
        ({"scale": "odds"}, ValueError, "scale='odds'"),
        ({"quantile": -0.1}, ValueError, "quantile=-0.1"),
        ({"columns": ["logprobs"]}, TypeError, "expected a dict"),
        ({"columns": {"tokens": "x"}}, ValueError, "columns='tokens'; expected one of 'logprobs'"),
        ({"columns": {"logprobs": "x"}}, ValueError, r"no column 'x'; .*columns=\{'logprobs': "),
        ({"measures": "agreement"}, ValueError, "no column 'agreement'"),
    ],
)
def test_bad_parameters(given, kind, text):
    frame = pd.DataFrame({"logprobs": [[-1.0]]})
    with pytest.raises(kind, match=f"^ConfidenceFeatures.fit: .*{text}"):
        ConfidenceFeatures(**given).fit(frame)


def test_bad_data():
    x = [[-1.0]]
    with pytest.raises(
        ValueError, match="measures holds 'p_true', which needs the column 'answer'"
    ):
        ConfidenceFeatures(["length", "p_true"]).fit(x)
    frame = pd.DataFrame({"agreement": [0.5, 1.5], "my": [[-1.0], [0.5]]})
    with pytest.raises(ValueError, match=r"transform: agreement holds 1.5 at output 1"):
        ConfidenceFeatures("agreement").fit_transform(frame)
    with pytest.raises(ValueError, match=r"transform: my holds values above 0 \(0.5 at output 1"):
        ConfidenceFeatures(columns={"logprobs": "my"}).fit_transform(frame)


def test_missing_values_stay_and_point_at_the_caller():
    frame = pd.DataFrame(
        {"logprobs": [[-1.0], None], "verbalised": ["?", "90%"], "agreement": [np.nan, 1.0]}
    )
    features = ConfidenceFeatures(["length", "perplexity", "verbalised", "agreement"]).fit(frame)
    with pytest.warns(MissingSignalWarning, match="ConfidenceFeatures.transform: 1 of 2") as found:
        out = features.transform(frame)
    assert len(found) == 3
    assert {w.filename for w in found} == {__file__}
    np.testing.assert_array_equal(
        np.isnan(out), [[False, False, True, True], [False, True, False, False]]
    )


def test_pipeline_with_a_calibrator():
    data, y = problem(600)
    model = make_pipeline(
        ConfidenceFeatures("total_probability", scale="logit"), PlattCalibrator(scale="logit")
    )
    for x in (data["logprobs"], pd.DataFrame(data), pl.DataFrame({"logprobs": data["logprobs"]})):
        p = cross_val_predict(model, x, y, cv=5, method="predict_proba")[:, 1]
        assert brier_score(y, p) < 0.85 * y.mean() * (1 - y.mean())
    same = pickle.loads(pickle.dumps(clone(model).fit(data["logprobs"], y)))
    assert same.predict_proba([[-3.0] * 500])[0, 1] < 1e-6


@pytest.mark.filterwarnings("ignore::calibkit._core.warnings.MissingSignalWarning")
def test_several_signals_with_missing_values():
    data, y = problem(400)
    data["logprobs"][3], data["verbalised"][5] = None, "no idea"
    names = ["total_probability", "length", "p_true", "verbalised", "agreement"]
    model = make_pipeline(
        ConfidenceFeatures(names, scale="logit"),
        SimpleImputer(add_indicator=True),
        StandardScaler(),
        LogisticRegression(),
    )
    frame = pd.DataFrame(data)
    p = cross_val_predict(model, frame, y, cv=5, method="predict_proba")[:, 1]
    assert brier_score(y, p) < 0.85 * y.mean() * (1 - y.mean())
    assert model.fit(frame, y)[:2].get_feature_names_out().tolist()[:5] == names


@pytest.mark.parametrize("as_frame", [True, False])
def test_measures_can_be_searched(as_frame):
    data, y = problem(300)
    model = make_pipeline(ConfidenceFeatures(scale="logit"), PlattCalibrator(scale="logit"))
    grid = {
        "confidencefeatures__measures": ["length", "total_probability", "min_token_probability"],
        "confidencefeatures__quantile": [0.1, 0.2],
    }
    search = GridSearchCV(model, grid, scoring="neg_brier_score", cv=3)
    x = pd.DataFrame(data) if as_frame else data["logprobs"]
    search.fit(x, y)
    assert search.best_params_["confidencefeatures__measures"] != "length"
    assert search.predict_proba(x).shape == (300, 2)
