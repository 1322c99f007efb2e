"""A `CalibratedClassifier` in a file: what it predicts, whom it trusts, what it refuses."""

import json
import sys

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calibkit import BetaCalibrator, CalibratedClassifier, from_dict, load, save, to_dict
from calibkit._classifier import _saved as _classifier_file

pytestmark = pytest.mark.filterwarnings("ignore::calibkit.CalibrationWarning")
TREE = "sklearn.tree._tree.Tree"


class Mine(GaussianNB):
    """A class that skops does not know."""


def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X[:, :5], np.array(["no", "yes"])[y]


def fitted(name="pipeline"):
    X, y = cancer()
    scaled = make_pipeline(StandardScaler(), LogisticRegression())
    if name == "frozen":
        frozen = FrozenEstimator(scaled.fit(X[:200], y[:200]))
        return CalibratedClassifier(frozen, BetaCalibrator()).fit(X[200:], y[200:]), X
    if name == "classes":
        X, y = load_wine(return_X_y=True)
        return CalibratedClassifier(GaussianNB(), "isotonic", cv=3).fit(X, y), X
    kinds = {
        "pipeline": CalibratedClassifier(scaled),
        "forest": CalibratedClassifier(RandomForestClassifier(9, random_state=0), "histogram"),
        "ensemble": CalibratedClassifier(GaussianNB(), "temperature", cv=4, ensemble=True),
        "splitter": CalibratedClassifier(scaled, cv=KFold(3, shuffle=True, random_state=0)),
        "mine": CalibratedClassifier(Mine()),
    }
    return kinds[name].fit(X, y), X


TRUST = {
    "forest": [TREE],
    "splitter": ["sklearn.model_selection._split.KFold"],
    "mine": [f"{__name__}.Mine"],
}


@pytest.mark.parametrize(
    "name", ["pipeline", "forest", "ensemble", "splitter", "frozen", "classes", "mine"]
)
def test_a_file_predicts_the_same_bits(name, tmp_path):
    pytest.importorskip("skops")
    model, X = fitted(name)
    save(model, tmp_path / "model.json")
    trusted = TRUST.get(name)
    if trusted:
        words = rf"from_dict: .*{trusted[0]}; .*calibkit\.load\('.*', trusted=\['{trusted[0]}'"
        with pytest.raises(ValueError, match=words) as caught:
            load(tmp_path / "model.json")
        call = str(caught.value).rsplit("If you trust these: calibkit.", 1)[1].rstrip(".")
        back = eval(call, {"load": load})  # the call that the message gives works
    else:
        back = load(tmp_path / "model.json")
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(back.predict(X), model.predict(X))
    np.testing.assert_array_equal(back.classes_, model.classes_)
    assert repr(back) == repr(model)
    assert back.n_features_in_ == model.n_features_in_
    assert back.fitted_on_.hash == model.fitted_on_.hash
    again = from_dict(to_dict(back), trusted=trusted)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    data, other = to_dict(back), to_dict(model)
    for held in (data, other):  # an archive holds the time
        del held["estimators"]
    assert data == other


def test_a_file_names_its_calibrator_whatever_the_default_is_later():
    """Platt scaling was the default once: its files still hold its name and its map."""
    pytest.importorskip("skops")
    X, y = cancer()
    for name, made in (("platt", CalibratedClassifier(GaussianNB(), "platt")),
                       ("auto", CalibratedClassifier(GaussianNB()))):  # fmt: skip
        data = json.loads(json.dumps(to_dict(made.fit(X, y))))
        assert data["params"]["calibrator"] == data["calibrators"][0]["class"] == name
        back = from_dict(data)
        assert back.calibrator == name
        np.testing.assert_array_equal(back.predict_proba(X), made.predict_proba(X))
        np.testing.assert_array_equal(back.fit(X, y).predict_proba(X), made.predict_proba(X))


def test_calibrators_and_settings_are_plain_json(tmp_path):
    pytest.importorskip("skops")
    model, _ = fitted("frozen")
    save(model, tmp_path / "model.json")
    data = json.loads((tmp_path / "model.json").read_text())
    assert data["class"] == "calibrated_classifier"
    assert data["params"]["calibrator"]["class"] == "beta"
    assert data["calibrators"][0]["state"]["a_"] == model.calibrators_[0].a_
    assert data["fitted_on"]["rows"] == 369


def test_without_skops_it_is_refused_with_what_works(tmp_path, monkeypatch):
    model, X = fitted()
    monkeypatch.setitem(sys.modules, "skops.io", None)
    monkeypatch.setitem(sys.modules, "skops", None)
    words = r'pip install "calibkit\[skops\]".*calibkit.save\(classifier.calibrators_\[0\], path\)'
    with pytest.raises(ImportError, match=words):
        save(model, tmp_path / "model.json")
    assert not (tmp_path / "model.json").exists()
    save(model.calibrators_[0], tmp_path / "calibrator.json")
    z = model.estimators_[0].decision_function(X)
    np.testing.assert_array_equal(
        load(tmp_path / "calibrator.json").predict_proba(z), model.predict_proba(X)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(estimators="no base64!"), "estimators can't be read by skops"),
        (lambda d: d.update(estimators=7), "estimators can't be read by skops"),
        (lambda d: d.update(estimators="AAAA"), "estimators can't be read by skops"),
        (
            lambda d: d.update(calibrators=[]),
            "0 calibrators; expected a list with one estimator for each",
        ),
        (lambda d: d.update(calibrators={}), "expected a list"),
        (lambda d: d["calibrators"][0]["state"].update(n_rows_="x"), "finite number"),
        (lambda d: d["classes"].update(values=["no", "perhaps"]), "other classes"),
        (lambda d: d["params"].update(calibrator="plat"), "did you mean 'platt'"),
        (lambda d: d["params"].update(response_method="best"), "response_method='best'"),
        (lambda d: d["params"].pop("ensemble"), "lacks"),
        (lambda d: d.update(more=1), "unknown keys"),
        (lambda d: d.update(version=2), "version is 2"),
    ],
)
def test_odd_files_are_refused(change, words):
    pytest.importorskip("skops")
    data = json.loads(json.dumps(to_dict(fitted()[0])))
    change(data)
    with pytest.raises(ValueError, match=words):
        from_dict(data)


def test_archives_that_unfold_beyond_measure_are_refused(monkeypatch):
    pytest.importorskip("skops")
    data = to_dict(fitted()[0])
    monkeypatch.setattr(_classifier_file, "_MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="larger than 1 GiB when unpacked"):
        from_dict(data)


def test_only_fitted_classifiers_are_written(tmp_path):
    pytest.importorskip("skops")
    with pytest.raises(Exception, match="not fitted"):
        save(CalibratedClassifier(GaussianNB()), tmp_path / "model.json")
    with pytest.raises(TypeError, match="expected a list of type names"):
        from_dict(to_dict(fitted()[0]), trusted=TREE)
