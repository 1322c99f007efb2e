"""Every public call of calibkit.codegen with every argument spoilt: our error, or an answer."""

import re
import warnings

import numpy as np
import pytest

import calibkit.codegen as codegen
import calibkit.decisions as decisions
from calibkit import PlattCalibrator
from calibkit.codegen import (
    ConfidenceFeatures,
    Generations,
    Ragged,
    simulate_budget,
    success_at,
    token_confidence,
)
from calibkit.decisions import (
    BorrowedCalibrator,
    QuantileCalibrator,
    RiskControlledThreshold,
    TriagePolicy,
    borrow_calibrator,
    bucket_collapse,
    cross_val_calibrate,
    evaluate_confidence,
    local_labels_needed,
    transfer_matrix,
)

N = 6
P = np.array([0.1, 0.4, 0.35, 0.8, 0.7, 0.9])
Y = np.array([0, 0, 1, 1, 1, 0])
MANY = {"correct": np.tile(Y, 10), "groups": np.arange(60)}
RATES = np.tile([0.0, 0.25, 0.5, 1.0, 0.75, 0.5], 4)
COSTS = {"cost_accept_wrong": 10.0, "cost_review": 2.0, "cost_discard_right": 3.0}
TWO = np.repeat(["a", "b"], 30)
TOKENS = [[-0.1, -0.2]] * N


def outputs():
    return Generations(
        task=np.array(list("abcdef")),
        sample=np.zeros(N, dtype=int),
        text=["x"] * N,
        logprobs=Ragged(-np.arange(1.0, N + 1), np.arange(N + 1)),
        place=["p"] * N,
    )


def quantiles():
    return QuantileCalibrator().fit(np.tile(P, 4), RATES, np.full(24, 4))


def borrowed():
    return borrow_calibrator(PlattCalibrator().fit(np.tile(P, 10), MANY["correct"]), P, Y)


#: What is called, and arguments that it takes.
CALLS = {
    "agreement": (codegen.agreement, {"answers": list("aabbcc"), "groups": [0, 0, 1, 1, 2, 2]}),
    "p_true": (codegen.p_true, {"answers": [{"true": -0.1, "false": -2.5}] * N}),
    "test_pass_rate": (codegen.test_pass_rate, {"passed": [[1, 0], [1]] * 3}),
    "parse_confidence": (codegen.parse_confidence, {"texts": ["90%"] * N}),
    "token_confidence": (
        lambda logprobs, **k: token_confidence(logprobs, ["length", "entropy"], **k),
        {"logprobs": TOKENS, "quantile": 0.1, "top_logprobs": [[[-0.1, -3.0]] * 2] * N},
    ),
    "samples_needed": (codegen.samples_needed, {"p": P, "target": 0.9, "cap": 5}),
    "success_at": (success_at, {"p": P, "n": [1, 2, 3, 4, 5, 6]}),
    "simulate_budget": (
        lambda **k: simulate_budget(**k, n_resamples=20),
        {
            "correct": np.tile(Y, (3, 1)),
            "score": np.tile(P, (3, 1)),
            "p": P[:3],
            "cap": 3,
            "groups": [0, 1, 1],
        },
    ),
    "evaluate_confidence": (
        lambda **k: evaluate_confidence(**k, n_resamples=20),
        {"confidence": np.tile(P, 10), **MANY},
    ),
    "bucket_collapse": (bucket_collapse, {"p": np.tile(P, 10), **MANY}),
    "cross_val_calibrate": (
        lambda **k: cross_val_calibrate("platt", **k),
        {"confidence": np.tile(P, 10), **MANY},
    ),
    "borrow_calibrator": (
        borrow_calibrator,
        {"calibrator": borrowed().calibrator, "confidence": P, "correct": Y, "shrinkage": 1.0},
    ),
    "BorrowedCalibrator": (lambda **k: borrowed().predict_proba(**k), {"X": P}),
    "transfer_matrix": (
        lambda **k: transfer_matrix(**k, n_repeats=1),
        {"confidence": np.tile(P, 10), **MANY, "by": TWO, "n_local": 10},
    ),
    "local_labels_needed": (
        lambda **k: local_labels_needed(**k, n_repeats=1),
        {"confidence": np.tile(P, 10), **MANY, "by": TWO},
    ),
    "RiskControlledThreshold": (
        lambda p, correct, groups, **k: RiskControlledThreshold(0.3, **k).fit(p, correct, groups),
        {
            "p": P,
            "correct": Y,
            "groups": [0, 0, 1, 1, 2, 2],
            "max_group_size": 3,
            "start": 0.8,
        },
    ),
    "RiskControlledThreshold.predict": (
        lambda **k: RiskControlledThreshold(0.3).fit(P, Y).predict(**k),
        {"p": P},
    ),
    "QuantileCalibrator": (
        lambda **k: QuantileCalibrator().fit(**k),
        {
            "X": np.tile(P, 4),
            "y": RATES,
            "n_trials": np.full(24, 4),
            "sample_weight": np.ones(24),
        },
    ),
    "QuantileCalibrator.predict": (lambda **k: quantiles().predict(**k), {"X": P}),
    "QuantileCalibrator.conformalise": (
        lambda **k: quantiles().conformalise(**k).lower_bound(P),
        {"X": np.tile(P, 4), "y": RATES, "groups": np.arange(24)},
    ),
    "TriagePolicy": (lambda **k: TriagePolicy(**k).decide(P), COSTS),
    "TriagePolicy.decide": (lambda **k: TriagePolicy(**COSTS).decide(**k), {"p": P}),
    "TriagePolicy.evaluate": (
        lambda **k: TriagePolicy(**COSTS).evaluate(**k, n_resamples=20),
        {"p": P, "correct": Y, "groups": [0, 0, 1, 1, 2, 2]},
    ),
    "ConfidenceFeatures": (
        lambda **k: ConfidenceFeatures(["total_probability"]).fit_transform(**k),
        {"X": TOKENS},
    ),
    "Generations.with_signal": (lambda **k: outputs().with_signal(**k), {"name": "x", "values": P}),
    "Generations.take": (lambda **k: outputs().take(**k), {"rows": [0, 1]}),
    "Generations.confidence": (lambda **k: outputs().confidence(**k), {"measures": ["length"]}),
    "Ragged": (Ragged, {"values": P, "offsets": np.arange(N + 1)}),
}
#: Read, joined, printed or saved elsewhere: their arguments are files, or results of these calls.
ELSEWHERE = {
    *("BudgetSimulation", "BucketCollapse", "Scored", "join_results", "TriageReport", "Transfer"),
    *("read_generations", "read_results", "Results", "ResultTable", "DecisionRule", "Decisions"),
    *("Signals", "Reachable"),
}

SPOILT = {
    "empty": [],
    "empty rows": np.empty((0, 2)),
    "a number": 0.5,
    "None": None,
    "text": "abc",
    "bytes": b"abc",
    "texts": ["a"] * N,
    "one short": [0.5] * (N - 1),
    "two": [1, 0],
    "one": [0.5],
    "NaN": [np.nan] * N,
    "one NaN": [np.nan, *P[1:]],
    "inf": [np.inf] * N,
    "-inf": [-np.inf] * N,
    "2 columns": [[0.5, 0.5]] * N,
    "ragged": [[0.5], [0.5, 0.5], [], [], [], []],
    "3 columns": np.full((N, 3), 0.5),
    "3 dimensions": np.full((N, 2, 2), 0.5),
    "objects": [object()] * N,
    "a dict": {"a": 1},
    "a set": {1, 2},
    "bools": [True] * N,
    "denormal": [1e-320] * N,
    "negative": [-1.0] * N,
    "above 1": [2.0] * N,
    "complex": [1j] * N,
    "mixed": [0.5, "x", None, 0.5, 0.5, 0.5],
    "dates": np.array(["2020-01-01"] * N, dtype="M8[D]"),
    "masked": np.ma.masked_array(P, [1, 0, 0, 0, 0, 0]),
    "a function": len,
}
OURS = re.compile(r"[A-Za-z_][\w.]*(: |=)")


@pytest.mark.parametrize("name", CALLS)
def test_spoilt_arguments_get_an_answer_or_our_error(name):
    call, given = CALLS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call(**given)
        for argument in given:
            for kind, spoilt in SPOILT.items():
                try:
                    call(**{**given, argument: spoilt})
                except (ValueError, TypeError) as error:
                    if not OURS.match(str(error)):
                        pytest.fail(f"{name}({argument}=<{kind}>): {error!r}")
                except Exception as error:
                    pytest.fail(f"{name}({argument}=<{kind}>): {error!r}")


def test_every_public_name_is_called_here_or_elsewhere():
    rooms = vars(codegen) | vars(decisions)
    public = {n for n, v in rooms.items() if n[0] != "_" and callable(v)}
    called = {name.split(".")[0] for name in CALLS} | {BorrowedCalibrator.__name__}
    assert public - called == ELSEWHERE


@pytest.mark.parametrize(
    ("p", "n"), [([0.1, 0.2], [1, 2, 3]), ([[0.1, 0.2]], [1, 2, 3]), ([], [1, 2])]
)
def test_shapes_of_success_at_must_match(p, n):
    with pytest.raises(ValueError, match=r"^success_at: p has shape .* and n .*broadcast"):
        success_at(p, n)
    assert success_at([[0.1], [0.2]], [1, 2, 3]).shape == (2, 3)
    assert success_at([], 3).shape == (0,)
    with pytest.raises(ValueError, match=r"^success_at: p can't be read as numbers: int too large"):
        success_at(10**400, 1)
