"""Random calls of the public functions, and what must hold after each of them.

A call is refused, by a ``raise`` of our own that says what was wrong, or each number it returns is
finite and within its range, and what was refused has changed nothing. ``python -m tests.fuzz
--calls 100000`` runs many calls and prints those that break this; put their JSON into
``tests/data/fuzz_corpus.json``.
"""

from __future__ import annotations

import argparse
import json
import linecache
import math
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import calibkit
from calibkit import codegen, decisions
from calibkit.metrics import METRICS
from calibkit.online import MultiStreamCalibrator

from .registry import EXAMPLES, name_of

PACKAGE = Path(calibkit.__file__).parent
CORPUS = Path(__file__).parent / "data" / "fuzz_corpus.json"

Outputs = Iterator[tuple[str, Any, float, float]]
Target = Callable[[dict[str, Any]], Outputs]
TARGETS: dict[str, Target] = {}
INF = math.inf
#: Upper ends of what a metric of probabilities can be; log loss has none but that of floats.
ABOVE = {"log_loss": 1e6, "brier_score": 2.0}
#: Lower end of a skill: it has none but that of floats, where next to all weight is of one class.
LEAST_SKILL = -1e300


#: How NumPy 2 writes its numbers, texts and truths; a message has Python's.
NUMPYS = re.compile(r"\bnp\.(float|int|uint|longdouble|str_|bytes_|bool|True|False)")


class Broken(AssertionError):
    """A call that neither answered in range nor refused in words."""


def target(name: str) -> Callable[[Target], Target]:
    def enter(function: Target) -> Target:
        TARGETS[name] = function
        return function

    return enter


# -- what is called --------------------------------------------------------------------------------


def _batch(example: Any) -> Target:
    def call(a: dict[str, Any]) -> Outputs:
        calibrator = clone(example).set_params(classes=None)
        calibrator._set_scale(a["scale"]).fit(a["x"], a["y"], *a["weight"])
        yield "proba", calibrator.predict_proba(a["x"]), 0.0, 1.0
        before = calibkit.to_dict(calibrator)
        try:
            yield "proba of others", calibrator.predict_proba(a["others"]), 0.0, 1.0
        finally:
            assert calibkit.to_dict(calibrator) == before, "a read has written"

    return call


def _online(example: Any) -> Target:
    def call(a: dict[str, Any]) -> Outputs:
        calibrator = clone(example)._set_scale(a["scale"])
        yield "forecasts", calibrator.predict_then_update(a["x"], a["y"]), 0.0, 1.0
        before = calibkit.to_dict(calibrator)
        try:
            calibrator.partial_fit(a["others"], a["y"])
        except Exception:
            assert calibkit.to_dict(calibrator) == before, "a refused update has changed the state"
            raise
        yield "forecast", calibrator.forecast(range(len(a["x"])), a["x"]), 0.0, 1.0
        calibrator.label(range(len(a["y"])), a["y"])
        yield "proba", calibrator.predict_proba(a["others"]), 0.0, 1.0

    return call


def _metric(name: str) -> Target:
    def call(a: dict[str, Any]) -> Outputs:
        w = a["weight"][0] if a["weight"] else None
        low, high = (LEAST_SKILL if "skill" in name else 0.0), ABOVE.get(name, 1.0)
        yield "value", getattr(calibkit, name)(a["y"], a["x"], sample_weight=w), low, high

    return call


def _estimate(name: str) -> Target:
    def call(a: dict[str, Any]) -> Outputs:
        w = a["weight"][0] if a["weight"] else None
        found = calibkit.estimate(
            name,
            a["y"],
            a["x"],
            sample_weight=w,
            groups=a["groups"],
            n_resamples=30,
            random_state=0,
        )
        low, high = (LEAST_SKILL if "skill" in name else 0.0), ABOVE.get(name, 1.0)
        for end in ("value", "low", "high"):
            yield end, getattr(found, end), low, high
        assert found.low <= found.high, "ends out of order"
        str(found)

    return call


for _example in EXAMPLES:
    TARGETS[name_of(_example)] = (_online if "online" in _example._traits else _batch)(_example)
for _name in METRICS:
    TARGETS[_name] = _metric(_name)
    TARGETS[f"estimate-{_name}"] = _estimate(_name)


@target("area_under_risk_coverage")
def _area(a: dict[str, Any]) -> Outputs:
    w = a["weight"][0] if a["weight"] else None
    yield "area", calibkit.area_under_risk_coverage(a["y"], a["x"], sample_weight=w), 0.0, 1.0


@target("table")
def _table(a: dict[str, Any]) -> Outputs:
    w = a["weight"][0] if a["weight"] else None
    table = calibkit.ScoreTable.from_arrays(a["y"], a["x"], w)
    for name in METRICS:
        low = LEAST_SKILL if "skill" in name else 0.0
        yield name, getattr(calibkit, name)(table + table), low, ABOVE.get(name, 1.0)
    yield "area", calibkit.area_under_risk_coverage(table), 0.0, 1.0


@target("certify")
def _certify(a: dict[str, Any]) -> Outputs:
    found = calibkit.certify(a["y"], a["x"])
    for norm in ("l1", "l2", "max"):
        yield norm, getattr(found, norm), 0.0, 1.0
    str(found)


@target("alarm")
def _alarm(a: dict[str, Any]) -> Outputs:
    alarm = calibkit.CalibrationAlarm()
    alarm.update(a["y"], a["x"])
    before = calibkit.to_dict(alarm)
    try:
        alarm.update(a["y"], a["others"])
    except Exception:
        assert calibkit.to_dict(alarm) == before, "a refused update has changed the alarm"
        raise
    yield "threshold", alarm.alpha, 0.0, 1.0


@target("prequential_errors")
def _prequential(a: dict[str, Any]) -> Outputs:
    calibkit.prequential_errors(a["y"], a["x"])
    yield from ()


@target("many_streams")
def _streams(a: dict[str, Any]) -> Outputs:
    streams = MultiStreamCalibrator()
    yield "forecasts", streams.predict_then_update(a["x"], a["y"], a["groups"]), 0.0, 1.0
    yield "proba", streams.predict_proba(a["others"], a["groups"]), 0.0, 1.0


@target("threshold")
def _threshold(a: dict[str, Any]) -> Outputs:
    gate = decisions.RiskControlledThreshold(a["level"], max_group_size=a["size"])
    gate.fit(a["x"], a["y"], groups=a["groups"])
    yield "accepted", gate.predict(a["others"]), 0.0, 1.0


@target("policy")
def _policy(a: dict[str, Any]) -> Outputs:
    policy = decisions.TriagePolicy(cost_accept_wrong=10, cost_review=2, cost_discard_right=3)
    str(policy.evaluate(a["x"], a["y"], groups=a["groups"]))
    yield from ()


@target("evaluate_confidence")
def _evaluate(a: dict[str, Any]) -> Outputs:
    str(decisions.evaluate_confidence({"s": a["x"]}, a["y"], a["groups"], n_resamples=20))
    yield from ()


@target("success_at")
def _success(a: dict[str, Any]) -> Outputs:
    yield "share", codegen.success_at(a["x"], a["size"]), 0.0, 1.0


@target("samples_needed")
def _samples(a: dict[str, Any]) -> Outputs:
    yield "samples", codegen.samples_needed(a["x"], a["level"]), 0.0, 64.0


@target("agreement")
def _agreement(a: dict[str, Any]) -> Outputs:
    yield "share or NaN", np.nan_to_num(codegen.agreement(a["y"], a["groups"])), 0.0, 1.0


@target("quantiles")
def _quantiles(a: dict[str, Any]) -> Outputs:
    cal = decisions.QuantileCalibrator().fit(a["x"], a["y"], *a["weight"])
    yield "rate", cal.predict(a["others"]), 0.0, 1.0


# -- what they are called with ---------------------------------------------------------------------

SCORES = [0.0, 1.0, 0.5, 5e-324, 1e-320, 1e-300, 1e-17, 1e-12, 1e-6, 1 - 1e-16, 1 - 1e-12, 0.3]
LOGITS = [0.0, -0.0, 1e-320, -1e-320, 40.0, -40.0, 800.0, -800.0, 1e9, -1e9, 1e99, -1e30, 1e-9]
WRONG = [math.nan, INF, -INF, 10**400, -1, 2, "a", "", None, [], [1], True, 1e300]
WEIGHTS = [0.0, 1.0, 2.0, 1e-100, 1e100, 1e-16, 2.0**53, 2.0**60, 0.5]
NAMES: list[list[Any]] = [[0, 1], [False, True], ["no", "yes"], [-1, 1], [0.0, 1.0], [1, 2]]


#: What the values come in; scalars are a list of NumPy's.
KINDS = ["list", "scalars", "array", "object", "float32", "series", "arrow"]

#: Take one confidence for each output, and whether it was correct.
OF_OUTPUTS = {"threshold", "policy", "evaluate_confidence"}


def _mixed(rng: np.random.Generator, plain: list[float], odd: list[Any], n: int) -> list[Any]:
    """Numbers of a law, from the hard ones, or both; now and then something wrong among them."""
    share = rng.choice([0.0, 0.1, 1.0])
    values: list[Any] = [odd[rng.integers(len(odd))] if rng.random() < share else v for v in plain]
    if n and rng.random() < 0.08:
        values[rng.integers(n)] = WRONG[rng.integers(len(WRONG))]
    return values


def _scores(rng: np.random.Generator, scale: str, n: int, columns: int) -> list[Any]:
    if columns > 1:
        z = rng.normal(size=(n, columns)) * rng.choice([0.0, 1.0, 30.0])
        if scale == "probability":
            z = np.exp(z - z.max(axis=1, keepdims=True, initial=0.0))
            z /= z.sum(axis=1, keepdims=True)
        return z.tolist()
    if scale == "logit":
        return _mixed(rng, (rng.normal(size=n) * 3).tolist(), LOGITS, n)
    law = rng.choice(["uniform", "few", "hard", "narrow"])
    plain = {
        "uniform": rng.random(n),
        "few": rng.choice([0.1, 0.5, 0.9], size=n),
        "hard": rng.integers(0, 2, size=n).astype(float),
        "narrow": 0.3 + 1e-13 * rng.random(n),
    }[law]
    return _mixed(rng, plain.tolist(), SCORES, n)


def make_case(name: str, seed: int) -> dict[str, Any]:
    """A call by its seed, in values that JSON can hold."""
    rng = np.random.default_rng([seed, *name.encode()])
    n = int(rng.choice([0, 1, 2, 3, 10, 60, 200], p=[0.03, 0.05, 0.1, 0.12, 0.3, 0.2, 0.2]))
    columns = int(rng.choice([1, 2, 3], p=[0.7, 0.15, 0.15]))
    scale = str(rng.choice(["probability", "probability", "logit"]))
    if name in OF_OUTPUTS:
        columns, scale = 1, "probability"
    codes = (rng.random(n) < rng.choice([0.02, 0.3, 0.5, 0.5, 1.0])).astype(int)
    if columns > 2:
        codes = rng.integers(0, columns, size=n)
    names = NAMES[rng.integers(len(NAMES))] if columns < 3 else list("abc")
    names = names if name not in OF_OUTPUTS else NAMES[rng.integers(2)]
    y: list[Any] = [names[c] for c in codes]
    if columns < 3 and rng.random() < 0.1:
        y = (rng.integers(0, 5, size=n) / 4).tolist()
    if n and rng.random() < 0.08:
        y[rng.integers(n)] = WRONG[rng.integers(len(WRONG))]
    weight = []
    if rng.random() < 0.4:
        weight = [_mixed(rng, rng.lognormal(0, 2, size=n).tolist(), WEIGHTS, n)]
    groups: list[Any] | None = None
    if rng.random() < 0.6:
        groups = rng.integers(0, max(1, int(rng.choice([1, 5, 50]))), size=n).tolist()
    m = n if rng.random() < 0.9 else n + 1
    return {
        "target": name,
        "x": _scores(rng, scale, n, columns),
        "y": y,
        "others": _scores(rng, scale, m, columns),
        "weight": weight,
        "groups": groups,
        "scale": scale,
        "level": float(rng.choice([0.01, 0.3, 0.5, 0.99])),
        "size": int(rng.choice([1, 3, 100])),
        "kind": str(
            rng.choice(["list", "scalars", "array", "object", "float32", "series", "arrow"])
        ),
    }


def _as(kind: str, values: Any) -> Any:
    """Values as another kind of array, where they can be one."""
    try:
        if kind == "float32" and np.ndim(values) == 1:
            with np.errstate(over="ignore"):
                return np.array(values, dtype=np.float32)
        if kind == "scalars":
            return [np.array(v)[()] if np.isscalar(v) else v for v in values]
        if kind == "array":
            return np.array(values)
        if kind == "object":
            return np.array(values, dtype=object)
        if kind == "series" and np.ndim(values) == 1:
            return pd.Series(values)
        if kind == "arrow" and np.ndim(values) == 1:
            return pa.array(values)
    except (ValueError, TypeError, OverflowError, pa.ArrowException):
        pass
    return values


# -- what must hold --------------------------------------------------------------------------------


def in_words(error: Exception) -> bool:
    """Whether the package raised this itself, or scikit-learn about columns' names or a fit.

    What it says holds no value as NumPy writes it.
    """
    if isinstance(error, NotFittedError) or "feature names" in str(error):
        return True
    if not isinstance(error, (ValueError, TypeError)) or NUMPYS.search(str(error)):
        return False
    frame = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    return Path(frame.filename).is_relative_to(PACKAGE) and line.startswith("raise")


def run_case(case: dict[str, Any]) -> str:
    """Make a call: "answered" or "refused"; raises `Broken` where neither holds."""
    a = dict(case)
    for name in ("x", "others"):
        a[name] = _as(case["kind"], case[name])
    a["y"] = _as("list" if case["kind"] == "float32" else case["kind"], case["y"])
    a["weight"] = [_as(case["kind"], w) for w in case["weight"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for kind in (RuntimeWarning, DeprecationWarning, FutureWarning):
            warnings.simplefilter("error", kind)
        try:
            for what, value, low, high in TARGETS[case["target"]](a):
                found = np.asarray(value, dtype=np.float64)
                if not (
                    np.isfinite(found).all() and (found >= low).all() and (found <= high).all()
                ):
                    raise Broken(f"{what} is {value!r}; expected within [{low}, {high}]")
        except AssertionError as error:
            raise Broken(str(error)) from error
        except Exception as error:
            if not in_words(error):
                raise Broken(f"{type(error).__name__}: {error}") from error
            return "refused"
    return "answered"


def smaller(case: dict[str, Any]) -> dict[str, Any]:
    """The same fault with fewer rows, as far as halving and dropping rows finds it."""
    for _ in range(200):
        n = len(case["x"])
        cuts = [slice(0, n // 2), slice(n // 2, n), *(slice(i, None) for i in range(1, min(n, 4)))]
        for rows in cuts:
            less = {**case, **{k: case[k][rows] for k in ("x", "y", "others")}}
            less["weight"] = [w[rows] for w in case["weight"]]
            less["groups"] = case["groups"] and case["groups"][rows]
            if 0 < len(less["x"]) < n and _breaks(less):
                case = less
                break
        else:
            return case
    return case


def _breaks(case: dict[str, Any]) -> bool:
    try:
        run_case(case)
    except Broken:
        return True
    return False


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", nargs="*", default=sorted(TARGETS))
    given = parser.parse_args(arguments)
    said: set[str] = set()
    counts = {"answered": 0, "refused": 0, "broken": 0}
    for i in range(given.calls):
        case = make_case(given.target[i % len(given.target)], given.seed + i)
        try:
            counts[run_case(case)] += 1
        except Broken as error:
            counts["broken"] += 1
            key = f"{case['target']}: {str(error)[:60]}"
            if key not in said:
                said.add(key)
                print(f"{case['target']}: {error}"[:300])
                print(json.dumps(smaller(case)))
    print(counts)
    return bool(counts["broken"])


if __name__ == "__main__":
    sys.exit(main())
