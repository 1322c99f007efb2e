"""Calibrators borrowed from another task, and repaired with a few labels."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from calibkit import (
    IsotonicCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
    brier_skill_score,
    from_dict,
    load,
    save,
    to_dict,
)
from calibkit.decisions import DecisionRule, RiskControlledThreshold, borrow_calibrator
from calibkit.testing import multiclass_data


@pytest.fixture(scope="module")
def borrowed():
    rng = np.random.default_rng(0)
    p = rng.random(4000)
    return PlattCalibrator().fit(p, rng.random(4000) < p)


def harder(n, seed=1):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.02, 0.98, n)
    truth = 1 / (1 + np.exp(-(np.log(p / (1 - p)) - 1.5)))
    return p, (rng.random(n) < truth).astype(int), truth


def test_a_few_labels_mend_the_success_rate(borrowed):
    p, correct, _ = harder(60)
    new, outcome, truth = harder(20_000, seed=2)
    before = brier_skill_score(outcome, borrowed.predict_proba(new)[:, 1])
    best = brier_skill_score(outcome, truth)
    for repair in ("intercept", "shrinkage"):
        repaired = borrow_calibrator(borrowed, p, correct, repair=repair)
        after = brier_skill_score(outcome, repaired.predict_proba(new)[:, 1])
        assert before + 0.5 * (best - before) < after <= best + 0.005
    many = borrow_calibrator(borrowed, *harder(20_000, seed=3)[:2])
    se = 0.02  # of both at 20,000 labels
    assert many.slope_ * borrowed.slope_ == pytest.approx(1, abs=4 * se)
    assert many.intercept_ == pytest.approx(-1.5, abs=5 * se)


def test_intercept_solves_its_equation(borrowed):
    p, correct, _ = harder(500)
    repaired = borrow_calibrator(borrowed, p, correct, repair="intercept")
    assert repaired.slope_ == 1.0
    q = repaired.predict_proba(p)[:, 1]
    # The gradient of the loss, with the weak pull on the intercept.
    assert (q - correct).sum() + 0.5 * repaired.intercept_ == pytest.approx(0, abs=1e-6)


def test_strong_shrinkage_is_the_intercept_alone(borrowed):
    p, correct, _ = harder(50)
    strong = borrow_calibrator(borrowed, p, correct, shrinkage=1e9)
    alone = borrow_calibrator(borrowed, p, correct, repair="intercept")
    assert strong.intercept_ == pytest.approx(alone.intercept_, abs=1e-5)


def test_labels_of_one_kind_other_calibrators_and_pickle(borrowed):
    p, _, _ = harder(20)
    repaired = borrow_calibrator(borrowed, p, np.zeros(20))
    q = repaired.predict_proba(p)
    assert ((q > 0) & (q < 1)).all()
    np.testing.assert_allclose(q.sum(axis=1), 1.0)
    rng = np.random.default_rng(0)
    steps = IsotonicCalibrator().fit(p, rng.random(20) < p)
    repaired = borrow_calibrator(steps, *harder(30)[:2])
    again = pickle.loads(pickle.dumps(repaired))
    np.testing.assert_array_equal(again.predict_proba(p), repaired.predict_proba(p))


def test_bad_input_is_named(borrowed):
    p, correct, _ = harder(20)
    with pytest.raises(NotFittedError):
        borrow_calibrator(PlattCalibrator(), p, correct)
    with pytest.raises(TypeError, match="calibrator='platt'; expected a fitted calibrator"):
        borrow_calibrator("platt", p, correct)
    with pytest.raises(ValueError, match="repair='slope'; expected one of 'shrinkage'"):
        borrow_calibrator(borrowed, p, correct, repair="slope")
    with pytest.raises(ValueError, match="confidence is NaN at output 0"):
        borrow_calibrator(borrowed, np.full(20, np.nan), correct)
    with pytest.raises(ValueError, match="outside"):
        borrow_calibrator(borrowed, p + 1, correct)


def test_the_result_is_saved_cloned_and_put_into_a_rule(borrowed, tmp_path):
    p, correct, _ = harder(60)
    for labels in (correct, np.zeros(60)):
        repaired = borrow_calibrator(borrowed, p, labels)
        save(repaired, tmp_path / "repaired.json")
        again = load(tmp_path / "repaired.json")
        np.testing.assert_array_equal(again.predict_proba(p), repaired.predict_proba(p))
        assert (again.slope_, again.n_local_) == (repaired.slope_, 60)
        assert again.calibrator.slope_ == borrowed.slope_
    gate = RiskControlledThreshold(max_error=0.9).fit(p, correct)
    rule = DecisionRule("mean_probability", borrow_calibrator(borrowed, p, correct), gate)
    save(rule, tmp_path / "rule.json")
    again = load(tmp_path / "rule.json").calibrator
    np.testing.assert_array_equal(again.predict_proba(p), rule.calibrator.predict_proba(p))


def test_a_clone_keeps_what_is_borrowed_and_forgets_the_repair(borrowed):
    p, correct, _ = harder(60)
    repaired = borrow_calibrator(borrowed, p, correct, repair="intercept")
    for source in (repaired, from_dict(to_dict(repaired))):
        fresh = clone(source)
        with pytest.raises(NotFittedError):
            fresh.predict_proba(p)
        assert fresh.calibrator.slope_ == borrowed.slope_
        np.testing.assert_array_equal(
            fresh.fit(p, correct).predict_proba(p), repaired.predict_proba(p)
        )
    twice = borrow_calibrator(repaired, p, correct)
    copy = from_dict(to_dict(twice))
    np.testing.assert_array_equal(copy.predict_proba(p), twice.predict_proba(p))


def test_scores_of_the_other_scale_are_converted(borrowed):
    p, correct, _ = harder(60)
    repaired = borrow_calibrator(borrowed, p, correct)
    z = np.log(p / (1 - p))
    other = clone(repaired).set_params(scale="logit").fit(z, correct)
    np.testing.assert_allclose(other.predict_proba(z), repaired.predict_proba(p), atol=1e-9)


def test_what_is_borrowed_has_two_classes():
    three = TemperatureCalibrator().fit(*multiclass_data(k=3))
    with pytest.raises(ValueError, match="has 3 classes; expected two"):
        borrow_calibrator(three, [0.1, 0.2], [0, 1])
