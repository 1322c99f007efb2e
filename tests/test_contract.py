"""Our own ring of checks, the public ones of calibkit.testing, over every example."""

import numpy as np
import pytest

from calibkit import PlattCalibrator
from calibkit._core.base import BaseCalibrator
from calibkit.testing import check_calibrator, yield_checks

from .registry import EXAMPLES, name_of

CASES = [(example, check) for example in EXAMPLES for check in yield_checks(example)]


@pytest.mark.parametrize(
    ("example", "check"), CASES, ids=[f"{name_of(e)}-{c.__name__}" for e, c in CASES]
)
def test_contract(example, check):
    check(example)


class _Guesses(PlattCalibrator):
    """Breaks promises: looks at its neighbours and keeps a link to its input."""

    def _predict(self, s):
        return np.full(len(s), s.probs().mean())


class _Leaks(PlattCalibrator):
    def _fit(self, s, y, w):
        super()._fit(s, y, w)
        self.secret_ = y


@pytest.mark.parametrize("broken", [_Guesses(), _Leaks()], ids=lambda b: type(b).__name__)
def test_the_checks_can_fail(broken):
    with pytest.raises(AssertionError):
        check_calibrator(broken)


def test_a_calibrator_must_write_its_two_methods():
    class Empty(BaseCalibrator):
        name = "empty"
        _state = {}  # noqa: RUF012

    with pytest.raises(TypeError, match="must define _fit"):
        Empty().fit([0.1, 0.9], [0, 1])
