"""A short run of the fuzzer, and the calls that once broke."""

import json
from unittest.mock import patch

import numpy as np
import pytest

from calibkit import PlattCalibrator

from .fuzz import CORPUS, TARGETS, Broken, make_case, run_case

#: Calls of each target in the suite; ``python -m tests.fuzz`` makes as many as it is told.
CALLS = 12


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_calls_are_answered_in_range_or_refused_in_words(name):
    cases = [make_case(name, seed) for seed in range(CALLS)]
    found = [run_case(case) for case in cases]
    assert "answered" in found or name in ("success_at", "quantiles")  # else it tries nothing


@pytest.mark.parametrize("case", json.loads(CORPUS.read_text()), ids=lambda c: c["target"])
def test_calls_that_once_broke(case):
    run_case(case)


FAULTS = {
    "NaN": lambda s: np.full(len(s), np.nan),
    "too large": lambda s: np.full(len(s), 1.5),
    "raw": lambda s: s.values["no such field"],
    "warns": lambda s: np.zeros(len(s)) / np.zeros(len(s)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_fuzzer_sees_faults(fault):
    case = {**make_case("PlattCalibrator()", 0), "x": [0.1, 0.4, 0.5, 0.9], "y": [0, 1, 0, 1]}
    case |= {"others": [0.3], "weight": [], "scale": "probability", "kind": "list"}
    assert run_case(case) == "answered"
    broken = patch.object(PlattCalibrator, "_predict", lambda self, s: FAULTS[fault](s))
    with broken, pytest.raises(Broken):
        run_case(case)
