"""Differences of metrics on the same rows: check values, witnesses, groups, weights, several."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from calibkit import brier_score, calibration_error
from calibkit._numerics.paired import benjamini_hochberg, holm
from calibkit.metrics import compare

INDEX = np.arange(200)
P = (INDEX + 0.5) / 200
Y = (np.mod((INDEX + 1) * 0.6180339887498949, 1.0) < P**1.5).astype(int)
R200 = {"p": P, "q": P**1.5}


def test_paired_brier_scores_of_r200():
    found = compare("brier_score", Y, R200).differences[0]
    d = (P - Y) ** 2 - (P**1.5 - Y) ** 2
    witness = stats.ttest_1samp(d, 0.0)
    assert_allclose(found.value, 0.01395654, atol=5e-9)
    assert_allclose(found.p_value, witness.pvalue, rtol=1e-12)
    assert round(found.p_value, 4) == 0.0372
    ends = witness.confidence_interval(0.9)
    assert_allclose((found.low, found.high), (ends.low, ends.high), rtol=1e-12)


def test_groups_of_r200():
    found = compare("brier_score", Y, R200, groups=INDEX // 10).differences[0]
    reach = stats.t(19).ppf(0.95) * 0.00293195
    assert_allclose(found.high - found.value, reach, rtol=1e-5)


def test_errors_are_the_debiased_squares():
    kept = {"strategy": "quantile", "n_bins": 10}
    found = compare(calibration_error, Y, R200, **kept).differences[0]
    squares = [calibration_error(Y, R200[k], debias=True, **kept) for k in "pq"]
    assert found.value == pytest.approx(
        squares[0] ** 2 - squares[1] ** 2 if squares[1] > 0 else found.value
    )


def test_adjusted_p_values():
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205])
    assert_allclose(holm(p), [0.008, 0.056] + 6 * [0.234])
    assert_allclose(benjamini_hochberg(p[::-1]), stats.false_discovery_control(p[::-1]))


def test_identical_models_do_not_differ():
    for metric in ("brier_score", "log_loss", "roc_auc", "calibration_error", "brier_skill_score"):
        d = compare(metric, Y, {"a": P, "b": P}).differences[0]
        assert abs(d.value) < 1e-15
        assert d.p_value > 0.99


def test_against_the_best_and_all_pairs():
    three = {**R200, "r": P**2}
    against = compare(brier_score, Y, three)
    assert against.best == "q"
    assert [d.second for d in against.differences] == ["q", "q"]
    pairs = compare(brier_score, Y, three, reference="all").differences
    assert len(pairs) == 3
    assert_allclose([d.p_adjusted for d in pairs], holm(np.array([d.p_value for d in pairs])))
