"""From a judged signal to decisions on new outputs: rules, their files, and their commands."""

import json
import subprocess
import sys

import numpy as np
import pytest

import calibkit
from calibkit import IsotonicCalibrator, PlattCalibrator, TemperatureCalibrator, from_dict, to_dict
from calibkit.codegen import QuantileCalibrator, RiskControlledThreshold, TriagePolicy

RNG = np.random.default_rng(0)
P = RNG.beta(4, 1, 1500)
CORRECT = RNG.random(1500) < P
POLICY = TriagePolicy(cost_accept_wrong=10, cost_review=1.1, cost_discard_right=4)


def quiet(fit, *args, **more):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(*args, **more)


def things():
    """One of each kind, and of each state it can be in."""
    rate = RNG.binomial(8, P) / 8
    groups = np.arange(1500) // 3
    yield "gate", RiskControlledThreshold(0.1).fit(P, CORRECT)
    gate = RiskControlledThreshold(0.15, delta=0.2, scale="score", max_group_size=4, random_state=7)
    yield "grouped", gate.fit(P * 100, CORRECT, groups)
    yield "infeasible", quiet(RiskControlledThreshold(0.001).fit, P, CORRECT)
    yield "policy", POLICY
    yield "no reviews", TriagePolicy(cost_accept_wrong=np.float64(0.1), cost_discard_right=3)
    yield "infinite", TriagePolicy(cost_accept_wrong=1, cost_discard_right=3, cost_review=np.inf)
    yield "beta", QuantileCalibrator(np.array([0.1, 0.5])).fit(P, rate, 8)
    yield "linear", QuantileCalibrator(precision="linear").fit(P, rate, 8)
    lines = QuantileCalibrator((0.3, 0.7), method="pinball", scale="logit")
    yield "pinball", lines.fit(P * 3, rate).conformalise(P[:99] * 3, rate[:99])
    flat = quiet(QuantileCalibrator(method="pinball").fit, P, np.ones(1500))
    yield "flat", quiet(flat.conformalise, P[:3], np.ones(3))


THINGS = dict(things())


def behaviour(thing):
    """All that can be asked of it."""
    if isinstance(thing, RiskControlledThreshold):
        return [str(thing), repr(thing), thing.predict(P), *map(repr, (thing.best_, thing.bound_))]
    if isinstance(thing, TriagePolicy):
        return [str(thing), thing.decide(P), thing.accept_at, thing.discard_below]
    asked = [thing.predict(P), thing.predict_quantiles(P)]
    return asked + ([thing.lower_bound(P)] if hasattr(thing, "offset_") else [])


@pytest.mark.parametrize("name", THINGS)
def test_a_file_gives_back_the_same_bits(name, tmp_path):
    thing = THINGS[name]
    calibkit.save(thing, tmp_path / "x.json")
    back = calibkit.load(tmp_path / "x.json")
    assert type(back) is type(thing)
    assert to_dict(back) == to_dict(thing)
    for one, other in zip(behaviour(back), behaviour(thing), strict=True):
        np.testing.assert_array_equal(one, other)


def changed(data, path, value):
    data = json.loads(json.dumps(data))
    at = data
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return data


def places(data, before=()):
    for key, value in data.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from places(value, (*before, key))


VALUES = [None, True, -1, 0.5, 7, 10**400, float("nan"), "a", [], [0.5], {}, [[]]]


@pytest.mark.parametrize("name", THINGS)
def test_any_change_is_refused_or_gives_something_sound(name):
    data = to_dict(THINGS[name])
    for path in places(data):
        for value in VALUES:
            try:
                back = from_dict(changed(data, path, value))
            except ValueError:
                continue
            for answer in behaviour(back)[:2]:
                if isinstance(answer, np.ndarray) and answer.dtype.kind == "f":
                    assert ((answer >= 0) & (answer <= 1)).all(), (path, value)
        whole = changed(data, path, None)
        at = whole
        for key in path[:-1]:
            at = at[key]
        at["other"] = at.pop(path[-1])
        with pytest.raises(ValueError, match=r"unknown keys|class|format"):
            from_dict(whole)


@pytest.mark.parametrize(
    ("name", "path", "value", "words"),
    [
        ("gate", ("version",), 2, "newer calibkit"),
        ("gate", ("params", "delta"), 0, "delta"),
        ("gate", ("params", "scale"), "odds", "scale"),
        ("gate", ("params", "random_state"), "a", "random_state"),
        ("gate", ("params", "max_group_size"), 0, "max_group_size"),
        ("gate", ("state", "threshold_"), 1.5, "inconsistent"),
        ("gate", ("state", "threshold_"), None, "inconsistent"),
        ("gate", ("state", "threshold_"), "0.5", "threshold_ holds '0.5'"),
        ("gate", ("state", "bound_"), 0.2, "inconsistent"),
        ("gate", ("state", "error_"), None, "inconsistent"),
        ("gate", ("state", "n_accepted_"), 9999, "inconsistent"),
        ("gate", ("state", "n_tested_"), 1501, "inconsistent"),
        ("gate", ("state", "n_outputs_"), 2.0, "expected a count"),
        ("infeasible", ("state", "best_"), None, "inconsistent"),
        ("infeasible", ("state", "threshold_"), 0.5, "inconsistent"),
        ("infeasible", ("state", "best_"), {}, "lacks"),
        ("policy", ("params", "cost_accept_wrong"), 0, "cost_accept_wrong"),
        ("policy", ("params", "cost_review"), float("inf"), "expected null"),
        ("beta", ("params", "quantiles"), [0.5, 0.1], "ascending"),
        ("beta", ("state", "clip_"), [0.1, 0.9], "inconsistent"),
        ("beta", ("state", "log_precision_"), [1.0, 2.0], "inconsistent"),
        ("pinball", ("state", "lines_"), [[1.0, 0.0]], "two numbers for each quantile"),
        ("pinball", ("state", "lines_"), [[1.0, 0.0], [1.0]], "two numbers for each quantile"),
        ("pinball", ("state", "edges_"), [0.9, 0.1], "inconsistent"),
        ("pinball", ("state", "offset_"), 2.0, "inconsistent"),
    ],
)
def test_what_does_not_fit_together_is_refused(name, path, value, words):
    with pytest.raises(ValueError, match=words):
        from_dict(changed(to_dict(THINGS[name]), path, value))


def test_what_can_not_be_saved_is_said(tmp_path):
    from sklearn.exceptions import NotFittedError
    from sklearn.pipeline import make_pipeline

    with pytest.raises(TypeError, match="Use pickle or joblib for scikit-learn estimators"):
        calibkit.save(make_pipeline(PlattCalibrator()), tmp_path / "x.json")
    for unfitted in (RiskControlledThreshold(), QuantileCalibrator()):
        with pytest.raises(NotFittedError):
            to_dict(unfitted)
    gate = RiskControlledThreshold(0.1, random_state=np.random.default_rng(0)).fit(P, CORRECT)
    with pytest.raises(TypeError, match=r"random_state=.*set_params\(random_state=None\)"):
        to_dict(gate)


def test_a_new_process_loads_without_being_told(tmp_path):
    calibkit.save(POLICY, tmp_path / "policy.json")
    code = "import calibkit; print(calibkit.load('policy.json'))"
    run = [sys.executable, "-c", code]
    out = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert out.strip() == str(POLICY)
