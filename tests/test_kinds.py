"""Of K classes the winning class is judged, wherever nothing else is asked for."""

import inspect
from functools import partial

import numpy as np
import pytest

import calibkit
from calibkit import IdentityCalibrator, estimate
from calibkit.metrics import METRICS
from calibkit.testing import multiclass_data

P, Y = multiclass_data(200)
RIGHT, TOP = (P.argmax(axis=1) == Y).astype(int), P.max(axis=1)
FEW = {"n_resamples": 20, "random_state": 0}


def ways():
    """Every public function, and every way to draw, by its name."""
    for name in sorted(dir(calibkit)):
        thing = getattr(calibkit, name)
        if inspect.isfunction(thing) and name != "write_report":  # its facts are those of others
            yield name, thing
        elif inspect.isclass(thing) and hasattr(thing, "from_predictions"):
            yield name, thing.from_predictions


def with_kind():
    return [n for n, f in ways() if "kind" in inspect.signature(f).parameters]


def plain(found):
    """What was found as text, for comparison."""
    return found.frame().to_csv() if hasattr(found, "frame") else repr(found)


def ask(name, y, p, **settings):
    function = dict(ways())[name]
    if name == "calibration_test":
        function = partial(function, "line")
    known = inspect.signature(function).parameters
    few = {k: v for k, v in FEW.items() if k in known}
    return function(y, p, **few, **settings)


@pytest.mark.parametrize("name", with_kind())
def test_the_default_is_the_winning_class(name):
    found = ask(name, Y, P)
    assert plain(found) == plain(ask(name, Y, P, kind="top_label"))
    assert plain(found) != plain(ask(name, Y == 0, P[:, 0]))
    with pytest.raises(ValueError, match=r"kind='binary' with 4 columns in y_prob; .*'top_label'"):
        ask(name, Y, P, kind="binary")


def test_all_that_take_a_kind_are_asked():
    expected = {"calibration_error", "squared_calibration_error", "certify", "prequential_errors"}
    expected |= {"expected_calibration_error", "maximum_calibration_error", "decompose_score"}
    expected |= {"smooth_calibration_error", "kernel_calibration_error", "corp_miscalibration"}
    expected |= {"cumulative_calibration_error", "loess_calibration_error", "calibration_slope"}
    expected |= {"calibration_intercept", "calibration_in_the_large", "observed_expected_ratio"}
    expected |= {"calibration_test", "calibration_tests", "reliability_curve"}
    expected |= {"ReliabilityDisplay", "DriftDisplay", "DecompositionDisplay"}
    assert set(with_kind()) == expected


@pytest.mark.parametrize("name", ["risk_coverage_curve", "area_under_risk_coverage"])
def test_risk_and_coverage_of_the_winning_class(name):
    found, expected = ask(name, Y, P), ask(name, RIGHT, TOP)
    for a, b in zip(np.atleast_1d(found), np.atleast_1d(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_risk_and_coverage_are_drawn_of_the_winning_class():
    display = [ask("RiskCoverageDisplay", y, p) for y, p in ((Y, P), (RIGHT, TOP))]
    for a, b in zip(*(d.curves_["Model"] for d in display), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.settings is not None])
def test_what_carries_its_settings_says_so(name):
    found = estimate(name, Y, P, **FEW)
    assert found.params["kind"] == "top_label"
    assert "top-label" in str(found)
    assert found.value == pytest.approx(estimate(name, RIGHT, TOP, **FEW).value)


def test_certificates_are_of_the_winning_class():
    found = IdentityCalibrator().fit(P, Y).certify(P, Y)
    assert found.kind == "top_label"
    assert repr(found) == repr(calibkit.certify(Y, P))


@pytest.mark.parametrize("name", [*with_kind(), "risk_coverage_curve", "RiskCoverageDisplay"])
def test_an_event_is_not_named_beside_k_columns(name):
    with pytest.raises(ValueError, match=r"pos_label=1 with 4 columns.*y_true == label"):
        ask(name, Y, P, pos_label=1)
