"""Files that version 1 wrote: they load for ever, and say what they said then.

``tests/data/write_version_1.py`` wrote them, once. What is renamed later goes into ``OLD_NAMES`` of
``calibkit/_core/saved.py``, by which they are read.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from calibkit import (
    CalibratedClassifier,
    CalibrationAlarm,
    ComparisonAlarm,
    HistogramBinningCalibrator,
    OneVsRestCalibrator,
    TopLabelCalibrator,
    from_dict,
    load,
    to_dict,
)
from calibkit._core.base import BaseCalibrator
from calibkit._core.saved import OLD_NAMES
from calibkit._registry import CALIBRATORS, OTHERS, class_of
from calibkit.codegen import Generations, Ragged
from calibkit.decisions import (
    DecisionRule,
    QuantileCalibrator,
    RiskControlledThreshold,
    TriagePolicy,
)
from calibkit.online import HedgingCalibrator, Journal, MultiStreamCalibrator

FOLDER = Path(__file__).parent / "data" / "version_1"
#: Scores that no file's borders are near, saturated ones among them.
SCORES = [0.0, 1e-7, 0.0137, 0.0911, 0.2718, 0.5139, 0.6283, 0.8317, 0.9713, 1.0]
ROWS = [[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.3, 0.36, 0.34], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]


#: The same as log-odds.
LOGITS = [-40.0, -3.3, -0.9, 0.1, 1.7, 4.1, 38.0]


def scores_for(cal, n_classes):
    """Scores on the scale that a calibrator takes."""
    if n_classes == 2:
        return LOGITS if cal._input_scale() == "logit" else SCORES
    if cal._input_scale() == "logit":
        return [LOGITS[:3], LOGITS[2:5], LOGITS[4:]]
    return ROWS if n_classes == 3 else [[0.9 * v for v in row] + [0.1] for row in ROWS]


def ids_of(cal):
    """Ids of the forecasts that wait."""
    return cal.pending_.to_dict()["ids"]


def of_stream(cal, learner=None):
    """What is forecast, and what after one label more, and after late ones; a journal may ask."""
    learner = cal if learner is None else learner
    x, label = scores_for(cal, len(cal.classes_)), cal.classes_.tolist()[-1]
    forecasts = [learner.predict_proba(x)[:, 1:].tolist()]
    learner.partial_fit(x[2:3], [label])
    forecasts.append(learner.predict_proba(x)[:, 1:].tolist())
    for key in ids_of(cal):
        learner.label([key], [label])
        forecasts.append(learner.predict_proba(x)[:, 1:].tolist())
    return {"forecasts": forecasts, "n_seen": cal.n_seen_}


def of_calibrator(cal):
    x = scores_for(cal, len(cal.classes_))
    out = {"proba": cal.predict_proba(x)[:, 1:].tolist(), "labels": cal.predict(x).tolist()}
    if isinstance(cal, OneVsRestCalibrator):
        out["classwise"] = cal.predict_classwise(x).tolist()
    if isinstance(cal, TopLabelCalibrator):
        out["confidence"] = cal.predict_confidence(x).tolist()
    if isinstance(cal, HistogramBinningCalibrator):
        out["bins"] = cal.predict_bin(x).tolist()
    if isinstance(cal, HedgingCalibrator):
        out["expected"] = cal.expected_proba(x)[:, 1].tolist()
    if "online" in cal._traits:
        if len(cal.classes_) == 2:
            out["one"] = cal.predict_proba_one(x[3])
        out |= of_stream(cal)
    return out


def of_many(cal, learner=None):
    learner = cal if learner is None else learner
    known = cal.streams_.tolist()
    group = [*known[:3], "nobody" if isinstance(known[0], str) else -77]
    x = scores_for(cal, 2)[1:5]
    out = [learner.predict_proba(x, stream=group)[:, 1].tolist()]
    learner.partial_fit(x[:1], cal.classes_[1:].tolist(), stream=group[:1])
    out.append(learner.predict_proba(x, stream=group)[:, 1].tolist())
    for key in ids_of(cal):
        learner.label([key], cal.classes_[:1].tolist())
        out.append(learner.predict_proba(x, stream=group)[:, 1].tolist())
    return {"groups": known, "counts": cal.counts_.tolist(), "forecasts": out}


def of_alarm(alarm):
    out = [[alarm.log_e_value_, float(alarm.alarm_), alarm.n_seen_]]
    for p, y in ((0.23, 1), (0.77, None), (0.91, 0)):
        labels = [None if y is None else alarm.classes_.tolist()[y]]
        alarm.update(labels, [p])
        out.append([alarm.log_e_value_, float(alarm.alarm_), alarm.n_seen_])
    return {"evidence": out, "time": alarm.alarm_time_}


def of_comparison(race):
    k, out = len(race.classes_), []
    for p, y in ((0.23, 1), (0.77, None), (0.91, 0)):
        row = [p, 1.0 - p, *[0.0] * (k - 2)]
        race.update([None if y is None else race.classes_.tolist()[y]], [row], [row[::-1]])
        evidence = [race.log_e_value_, *race.log_e_values_.values(), float(race.alarm_)]
        out.append([race.difference_, race.low_, race.high_, *evidence, race.n_seen_])
    return {"evidence": out, "time": race.alarm_time_, "known": race.better_}


def of_threshold(gate):
    best = None if gate.best_ is None else list(gate.best_)
    known = [gate.n_outputs_, gate.n_tested_, gate.n_accepted_, gate.n_groups_]
    return {"accepted": gate.predict([*SCORES, None]).tolist(), "best": best, "known": known}


def of_policy(policy):
    return {"decision": policy.decide([*SCORES, None]).tolist()}


def of_quantiles(cal):
    x = LOGITS if cal.scale == "logit" else SCORES
    # Tails of a beta distribution are SciPy's own, which has changed them.
    quantiles = np.round(cal.predict_quantiles(x), 10)
    out = {"mean": cal.predict(x).tolist(), "quantiles": quantiles.tolist()}
    if hasattr(cal, "offset_"):
        out["bound"] = np.round(cal.lower_bound(x), 10).tolist()
    return out


def of_rule(rule):
    logprobs = Ragged(np.array([-0.11, -0.1, -2.0, -0.01, -0.7]), np.array([0, 2, 3, 5]))
    places = ["row 0", "row 1", "row 2"]
    new = Generations(np.array(["a", "b", "c"]), np.arange(3), places, logprobs, places)
    found = rule.decide(new)
    return {"decision": found.decision.tolist(), "probability": found.probability.tolist()}


PROBES = {
    BaseCalibrator: of_calibrator,
    MultiStreamCalibrator: of_many,
    CalibrationAlarm: of_alarm,
    ComparisonAlarm: of_comparison,
    RiskControlledThreshold: of_threshold,
    TriagePolicy: of_policy,
    QuantileCalibrator: of_quantiles,
    DecisionRule: of_rule,
}


def answers(own):
    """What a loaded object says to the questions of its kind; it may learn from them."""
    return next(probe for kind, probe in PROBES.items() if isinstance(own, kind))(own)


def answers_of_journal(path):
    """The same of a journal, which goes on, is closed and opened again."""
    with Journal(path) as journal:
        cal = journal.calibrator_
        out = {"n_rows": [journal.n_rows], "waiting": ids_of(cal)}
        out |= (of_many if isinstance(cal, MultiStreamCalibrator) else of_stream)(cal, journal)
        state = json.dumps(cal.pending_.to_dict()), cal.n_seen_
    with Journal(path) as journal:
        again = journal.calibrator_
        assert (json.dumps(again.pending_.to_dict()), again.n_seen_) == state
        out["n_rows"].append(journal.n_rows)
    return out


def check_same(found, then, where=""):
    """Raise unless two structures are the same, numbers up to what other machines round."""
    if isinstance(then, dict):
        assert list(found) == list(then), where
        for key in then:
            check_same(found[key], then[key], f"{where}.{key}")
    elif isinstance(then, list):
        assert len(found) == len(then), where
        for i, (one, other) in enumerate(zip(found, then, strict=True)):
            check_same(one, other, f"{where}[{i}]")
    elif isinstance(then, float):
        # What other machines and versions of SciPy round otherwise; answers are of 11 digits.
        assert found == pytest.approx(then, rel=1e-9, abs=0.0), where
    else:
        assert (found, type(found)) == (then, type(then)), where


def said_then():
    return json.loads((FOLDER / "answers.json").read_text())


FILES = sorted(path.name for path in FOLDER.glob("*") if path.name != "answers.json")


@pytest.mark.parametrize("name", FILES)
def test_files_of_version_1_say_what_they_said(name, tmp_path):
    path = tmp_path / name
    shutil.copy(FOLDER / name, path)
    found = answers_of_journal(path) if name.endswith(".db") else answers(load(path))
    check_same(json.loads(json.dumps(found)), said_then()[name], name)


def test_every_class_that_can_be_saved_has_a_file():
    files = [json.loads((FOLDER / name).read_text()) for name in FILES if name.endswith(".json")]
    found = {type(from_dict(data)) for data in files}
    # Files of classifiers came later, and hold estimators of the scikit-learn that wrote them.
    assert found | {CalibratedClassifier} == {*CALIBRATORS.values(), *map(class_of, OTHERS)}
    assert sorted(said_then()) == FILES
    assert sum((FOLDER / name).stat().st_size for name in (*FILES, "answers.json")) < 100_000


def renamed(data, names):
    """A file in which things have other names."""
    if isinstance(data, list):
        return [renamed(v, names) for v in data]
    if isinstance(data, dict):
        return {names.get(k, k): renamed(v, names) for k, v in data.items()}
    return names.get(data, data) if isinstance(data, str) else data


def keys_in(data):
    if isinstance(data, list):
        return set().union(*map(keys_in, data))
    return set(data).union(*map(keys_in, data.values())) if isinstance(data, dict) else set()


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
def test_files_with_old_names_are_read_by_one_table(name, monkeypatch):
    data = to_dict(from_dict(json.loads((FOLDER / name).read_text())))
    classes = {*CALIBRATORS, *OTHERS}
    values = {
        "auto",
        "centred",
        "beta_binomial",
        "pinball",
        "quantile",
        "logit",
        "mean_probability",
        "shrinkage",
    }
    # The envelope alone keeps its names: it says how the rest is to be read.
    names = keys_in(data) - {"format", "version", "class", "dtype", "values"}
    old = {name: f"former {name}" for name in names | classes | values}
    for cls in classes:
        monkeypatch.setitem(OLD_NAMES, (old[cls],), cls)
        for key in names:
            monkeypatch.setitem(OLD_NAMES, (cls, old[key]), key)
            for value in values:
                monkeypatch.setitem(OLD_NAMES, (cls, key, old[value]), value)
    found = from_dict(renamed(data, old))
    assert to_dict(found) == to_dict(from_dict(data))
    with pytest.raises(ValueError, match=r"under two names|unknown keys|expected a dict"):
        from_dict({**renamed(data, old), **data})
    monkeypatch.undo()
    with pytest.raises(ValueError, match="expected"):
        from_dict(renamed(data, old))
