"""Work grows linearly with rows: counted at n, 2n and 4n, not timed.

Work is the lines of the package that run, and the bytes they allocate. A loop over rows inside a
loop over rows, or an array that is copied for every chunk, makes 16 times the work of 4 times the
rows; sorting makes 4.9 times.
"""

import sys
import tracemalloc
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from sklearn.base import clone

import calibkit
from calibkit import ScoreTable, codegen, decisions
from calibkit._numerics.joint import costs
from calibkit.metrics import METRICS
from calibkit.online import Journal, MultiStreamCalibrator, TrackingCalibrator

from .registry import EXAMPLES, name_of

PACKAGE = str(Path(calibkit.__file__).parent)
SIZES = (1000, 2000, 4000)
#: Where each row takes many lines.
FEWER = (150, 300, 600)
#: Between n log n (4.9 times for 4 times 1,000 rows) and n^2 (16 times).
MOST = 7.0


def work(call):
    """Lines of the package that a call runs, and bytes that are allocated at them."""
    lines = allocated = 0
    held = 0

    def at_line(frame, event, arg):
        nonlocal lines, allocated, held
        lines += 1
        now, peak = tracemalloc.get_traced_memory()
        allocated += max(peak - held, 0)
        tracemalloc.reset_peak()
        held = now
        return at_line

    def at_call(frame, event, arg):
        return at_line(frame, event, arg) if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    tracemalloc.start()
    sys.settrace(at_call)
    try:
        call()
    finally:
        sys.settrace(before)
        tracemalloc.stop()
    return np.array([lines, allocated], dtype=float)


def growth(make, sizes=SIZES):
    """How many times the work of n rows 2n and 4n rows make."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make(sizes[0])()  # imports, look-up tables and compilers are not of the rows
        counts = [work(make(n)) for n in sizes]
    return counts[1] / counts[0], counts[2] / counts[0]


def rows(n, k=2):
    rng = np.random.default_rng(n)
    if k > 2:
        z = rng.normal(size=(n, k))
        y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
        return np.exp(2 * z) / np.exp(2 * z).sum(axis=1, keepdims=True), y
    p = rng.random(n)
    return p, (rng.random(n) < p).astype(int)


def data_of(example, n):
    return rows(n, 3 if "lift" in example._traits else 2)


CALLS = {}


def measured(function):
    CALLS[function.__name__] = function
    return function


def _learning(example):
    def make(n):
        X, y = data_of(example, n)
        return lambda: clone(example).fit(X, y).predict_proba(X)

    return make


def _metric(name):
    def make(n):
        p, y = rows(n)
        w = np.random.default_rng(0).random(n)
        return lambda: getattr(calibkit, name)(y, p, sample_weight=w)

    return make


def _estimate(name):
    def make(n):
        p, y = rows(n)
        return lambda: calibkit.estimate(name, y, p, groups=np.arange(n) // 5, n_resamples=20)

    return make


CALLS |= {name_of(e): _learning(e) for e in EXAMPLES}
CALLS |= {name: _metric(name) for name in METRICS}
CALLS |= {f"estimate {name}": _estimate(name) for name in METRICS}


@measured
def table_from_chunks(n):
    p, y = rows(n)
    cuts = np.arange(10, n, 10)
    return lambda: ScoreTable.from_chunks(zip(np.split(y, cuts), np.split(p, cuts), strict=True))


@measured
def metrics_of_a_table(n):
    p, y = rows(n)
    table = ScoreTable.from_arrays(y, p)
    return lambda: [getattr(calibkit, name)(table) for name in METRICS]


@measured
def certify(n):
    p, y = rows(n)

    def call():
        costs.cache_clear()  # of fewer rows and other tests
        calibkit.certify(y, np.round(p, 1))

    return call


@measured
def area_under_risk_coverage(n):
    p, y = rows(n)
    return lambda: calibkit.area_under_risk_coverage(y, p)


@measured
def reliability_curves(n):
    p, y = rows(n)
    return lambda: [
        calibkit.reliability_curve(y, p, curve=curve, n_draws=50)
        for curve in ("binned", "corp", "smooth")
    ]


@measured
def risk_coverage_curve(n):
    p, y = rows(n)
    return lambda: calibkit.risk_coverage_curve(y, p)


@measured
def prequential_errors(n):
    p, y = rows(n)
    return lambda: calibkit.prequential_errors(y, p)


@measured
def alarm(n):
    p, y = rows(n)

    def call():
        one = calibkit.CalibrationAlarm()
        for at in np.split(np.arange(n), n // 10):
            one.update(y[at], p[at])

    return call


@measured
def late_labels(n):
    p, y = rows(n)

    def call():
        cal = TrackingCalibrator(classes=[0, 1])
        for at in np.split(np.arange(n), n // 10):
            cal.forecast(at, p[at])
        for at in np.split(np.arange(n), n // 10):
            cal.label(at, y[at])

    return call


@measured
def journal(n):
    p, y = rows(n)

    def call():
        with TemporaryDirectory() as folder:
            path = Path(folder) / "state.db"
            with Journal(path, TrackingCalibrator(classes=[0, 1])) as one:
                for at in np.split(np.arange(n), n // 10):
                    one.forecast(at, p[at])
                    one.label(at, y[at])

    return call


@measured
def many_streams(n):
    p, y = rows(n)
    keys = np.arange(n) // 4
    return lambda: MultiStreamCalibrator().predict_then_update(p, y, keys)


@measured
def threshold(n):
    p, y = rows(n)
    groups = np.arange(n) // 5
    return lambda: decisions.RiskControlledThreshold(0.3).fit(p, y, groups=groups).predict(p)


@measured
def policy(n):
    p, y = rows(n)
    costs = {"cost_accept_wrong": 10, "cost_review": 2, "cost_discard_right": 3}
    return lambda: decisions.TriagePolicy(**costs).evaluate(p, y, groups=np.arange(n) // 5)


@measured
def evaluate_confidence(n):
    p, y = rows(n)
    groups = np.arange(n) // 5
    return lambda: decisions.evaluate_confidence({"s": p}, y, groups, n_resamples=20)


@measured
def agreement(n):
    answers = [str(i % 3) for i in range(n)]
    return lambda: codegen.agreement(answers, np.arange(n) // 5)


@measured
def parse_confidence(n):
    texts = [f"I am {i % 100}% sure" for i in range(n)]
    return lambda: codegen.parse_confidence(texts)


@measured
def token_confidence(n):
    logprobs = [[-0.1, -0.2, -0.3]] * n
    return lambda: codegen.token_confidence(logprobs)


@measured
def json_of_streams(n):
    p, y = rows(n)
    cal = MultiStreamCalibrator().partial_fit(p, y, np.arange(n) // 2)
    return lambda: calibkit.from_dict(calibkit.to_dict(cal))


#: Row by row, in Python where Numba does not pay.
SLOW = {"alarm", "late_labels", "journal", "evaluate_confidence", "many_streams"}
SLOW |= {name_of(e) for e in EXAMPLES if "online" in e._traits}
#: A window of all rows is refitted every so many labels: that is what was asked for.
BY_INTENT = {name_of(e) for e in EXAMPLES if getattr(e, "window", 1) is None}


@pytest.mark.parametrize("name", sorted(CALLS.keys() - BY_INTENT))
def test_work_grows_linearly(name):
    twice, four_times = growth(CALLS[name], FEWER if name in SLOW else SIZES)
    assert (twice <= MOST / 2).all()
    assert (four_times <= MOST).all()


FAULTS = {
    "loops": "for i in range(n // 20):\n    for j in range(n // 20):\n        i",
    "copies": "a = np.empty(0)\nfor i in range(n // 10):\n    a = np.append(a, np.ones(10))",
}


@pytest.mark.parametrize(("fault", "kind"), [("loops", 0), ("copies", 1)])
def test_quadratic_work_is_seen(fault, kind):
    code = compile(FAULTS[fault], f"{PACKAGE}/as_if.py", "exec")  # as if it stood in the package
    assert growth(lambda n: lambda: exec(code, {"n": n, "np": np}))[1][kind] > MOST
