"""Our own ring of checks, the public ones of calibkit.testing, over every example."""

from itertools import chain

import pytest

from calibkit._core.base import BaseCalibrator
from calibkit.online._base import SteppingCalibrator
from calibkit.testing import check_calibrator, yield_checks
from calibkit.testing._common import BINARY, MULTICLASS, TRAIT

from .mutants import MUTANTS
from .registry import EXAMPLES, name_of

CASES = [(example, check) for example in EXAMPLES for check in yield_checks(example)]


@pytest.mark.parametrize(
    ("example", "check"), CASES, ids=[f"{name_of(e)}-{c.__name__}" for e, c in CASES]
)
def test_contract(example, check):
    check(example)


CHECKS = {c.__name__: c for c in [*BINARY, *MULTICLASS, *chain.from_iterable(TRAIT.values())]}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.check}-{m.name}")
def test_each_check_catches_its_fault(mutant):
    with mutant.patched(), pytest.raises(AssertionError):
        CHECKS[mutant.check](mutant.example)


def test_every_check_has_a_fault_to_catch():
    assert {m.check for m in MUTANTS} == CHECKS.keys()


def test_all_checks_run():
    with MUTANTS[0].patched(), pytest.raises(AssertionError):
        check_calibrator(MUTANTS[0].example)


def test_a_calibrator_must_write_its_two_methods():
    class Empty(BaseCalibrator):
        name = "empty"
        _state = {}  # noqa: RUF012

    with pytest.raises(TypeError, match="must define _fit"):
        Empty().fit([0.1, 0.9], [0, 1])


@pytest.mark.parametrize(
    "call", ["_start(0)", "_features(0)", "_forecast(0)", "_stream(0, 0)", "_bounds()", "_begin()"]
)
def test_a_calibrator_of_streams_must_write_its_own(call):
    name, arguments = call.rstrip(")").split("(")
    with pytest.raises(TypeError, match=f"SteppingCalibrator must define {name}"):
        getattr(SteppingCalibrator(), name)(*arguments.split(", ")[: len(arguments)])
