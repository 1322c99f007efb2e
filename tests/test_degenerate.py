"""Fits that have no maximum, and scores that no fit has seen, asked of all calibrators."""

import warnings

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.tree import DecisionTreeClassifier

from calibkit import (
    BetaCalibrator,
    CalibratedClassifier,
    OneVsRestCalibrator,
    PlattCalibrator,
    ReversedScoresWarning,
    ScalingBinningCalibrator,
    SeparationWarning,
    TemperatureCalibrator,
)
from calibkit._core.scores import Scores
from calibkit._persistence import from_dict, to_dict
from calibkit.calibrators._log_odds import LogOddsCalibrator
from calibkit.testing import binary_data, multiclass_data

from .registry import LIFTS, PLAIN, name_of

pytestmark = pytest.mark.filterwarnings("ignore::calibkit.HardScoresWarning")

MAPS = [c for c in PLAIN if isinstance(c, LogOddsCalibrator)]
ON_MAPS = [
    ScalingBinningCalibrator(),
    ScalingBinningCalibrator(BetaCalibrator()),
    OneVsRestCalibrator(PlattCalibrator()),
    OneVsRestCalibrator(BetaCalibrator()),
]

#: No finite slope maximises the likelihood of these scores and labels.
SEPARATED = {
    "one score each": ([0.3, 0.6], [0, 1]),
    "one score each, in many rows": ([0.3] * 5 + [0.6] * 9, [0] * 5 + [1] * 9),
    "near": ([0.3, 0.31], [0, 1]),
    "neighbours": ([0.5, np.nextafter(0.5, 1)], [0, 1]),
    "both at one end": ([1e-9, 2e-9], [0, 1]),
    "hard": ([0.0, 0.0, 1.0], [0, 0, 1]),
    "one of them hard": ([0.0, 0.7], [0, 1]),
    "shared border": ([0.2, 0.5, 0.5, 0.9], [0, 0, 1, 1]),
    "one class in one place": ([0.3, 0.3, 0.6], [0, 1, 1]),
}


def quietly(cal, *rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cal.fit(*rows)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("weight", [None, 0.1, 2.5])
@pytest.mark.parametrize("case", SEPARATED)
def test_platt_of_separated_scores_is_platt_of_smoothed_targets(case, weight, flipped):
    p, y = map(np.array, SEPARATED[case])
    w = None if weight is None else np.full(len(y), weight)
    if flipped:
        y = 1 - y
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        cal = PlattCalibrator().fit(p, y, w)
    assert SeparationWarning in {warning.category for warning in said}
    smooth = quietly(PlattCalibrator(smooth_targets=True), p, y, w)
    np.testing.assert_array_equal(cal.predict_proba(p), smooth.predict_proba(p))
    if len(np.unique(p)) == 2 and case != "one class in one place":
        n1, n0 = (y.sum(), (1 - y).sum()) if w is None else (w[y == 1].sum(), w[y == 0].sum())
        if weight is None or weight > 1:  # smaller ones count by their effective number
            np.testing.assert_allclose(
                cal.predict_proba(p)[:, 1],
                np.where(y == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2)),
                atol=1e-6,
            )


@pytest.mark.parametrize("cal", MAPS + ON_MAPS, ids=name_of)
@pytest.mark.parametrize("case", SEPARATED)
def test_no_degenerate_fit_is_certain(case, cal):
    p, y = map(np.array, SEPARATED[case])
    grid = np.concatenate(([0, 1e-300, 1e-12, 1 - 1e-12, 1], p, np.linspace(0, 1, 11)))
    for label in (y, 1 - y):
        q = quietly(cal, p, label).predict_proba(grid)
        assert 0 < q.min() <= q.max() < 1


@pytest.mark.parametrize("cal", [PlattCalibrator(), BetaCalibrator()], ids=name_of)
@pytest.mark.parametrize("case", SEPARATED)
def test_separation_is_said(case, cal):
    with pytest.warns(SeparationWarning):
        cal.fit(*SEPARATED[case])


@pytest.mark.parametrize("lead", [1.0, 0.6, 0.01, 1e-9])
def test_temperature_of_winners_that_are_all_right(lead):
    y = np.array([0, 1, 2, 3, 0, 1])
    scores = (1 - lead) / 4 + lead * np.eye(4)[y]
    with pytest.warns(SeparationWarning):
        cal = TemperatureCalibrator().fit(scores, y)
    q = cal.predict_proba(np.vstack((scores, np.eye(4))))
    assert 0 < q.min() <= q.max() < 1
    # Targets (n + 1) / (n + K): all rows are alike and one number is fitted to them. It is no
    # colder than lets a row of 0 and 1 be answered otherwise.
    if lead > 0.1:
        np.testing.assert_allclose(q[np.arange(6), y], 7 / 10, atol=1e-6)


def test_trees_on_separable_rows():
    X = np.arange(40.0)[:, None]
    for k in (2, 3):
        y = (np.arange(40) * k) // 40
        for calibrator in (PlattCalibrator(), BetaCalibrator()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                q = CalibratedClassifier(DecisionTreeClassifier(), calibrator).fit(X, y)
            assert 0 < q.predict_proba(X).min() <= q.predict_proba(X).max() < 1


# -- scores that fit has not seen ----------------------------------------------------------------


def noisy(n=400):
    """Scores from .1 to .9, and labels that follow them."""
    rng = np.random.default_rng(0)
    p = np.concatenate(([0.1, 0.9], rng.uniform(0.1, 0.9, n - 2)))
    return p, (rng.random(n) < p).astype(int)


@pytest.mark.parametrize("cal", MAPS + ON_MAPS[:2], ids=name_of)
def test_new_scores_are_read_at_the_resolution_of_fit(cal):
    p, y = noisy()
    cal.fit(p, y)
    end = cal.predict_proba([0.0, 1e-15, 0.05, 0.95, 1 - 1e-9, 1.0])[:, 1]
    np.testing.assert_allclose(end[:3], end[0], rtol=1e-12)
    np.testing.assert_allclose(end[3:], end[3], rtol=1e-12)
    assert end[0] > 0.01
    assert end[-1] < 0.99
    assert (np.diff(cal.predict_proba(np.linspace(0, 1, 101))[:, 1]) >= 0).all()
    if isinstance(cal, LogOddsCalibrator):
        np.testing.assert_allclose(cal.clip_, [0.05, 0.05])
        # Saturated rows of fit change nothing of that.
        extra = np.append(p, [0.0, 1.0]), np.append(y, [0, 1])
        np.testing.assert_allclose(cal.fit(*extra).clip_, [0.05, 0.05])
        np.testing.assert_allclose(cal.fit(p[p > 0.6], y[p > 0.6]).clip_[0], p[p > 0.6].min() / 2)


@pytest.mark.parametrize(
    "cal", [TemperatureCalibrator(), *(c for c in LIFTS if "Platt" in repr(c))], ids=name_of
)
def test_new_rows_of_all_classes_are_read_at_the_resolution_of_fit(cal):
    p, y = multiclass_data(600)
    p = (p + 0.1) / (p + 0.1).sum(axis=1, keepdims=True)
    q = quietly(cal, p, y).predict_proba(np.eye(p.shape[1]))
    np.testing.assert_allclose(q.sum(axis=1), 1.0, atol=1e-12)
    assert q.max() < 0.999
    if isinstance(cal, LogOddsCalibrator):
        np.testing.assert_allclose(cal.clip_[0], p.min() / 2)
        assert (q.argmax(axis=1) == np.arange(p.shape[1])).all()


def test_a_coarse_resolution_reaches_no_winner():
    """Of rows such as (1/2, 1/2, 0, ...) half the smallest entry would be 1/4."""
    half = np.zeros((20, 10))
    half[:, :2] = 0.5
    cal = TemperatureCalibrator(classes=range(10))
    quietly(cal, np.vstack((half, np.eye(10))), [0, 1] * 15)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(10, 50.0), size=200)
    assert (cal.predict_proba(p).argmax(axis=1) == p.argmax(axis=1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resolution_in_either_precision(dtype):
    values = np.array([[1.0, 0.0, 0.0], [0.9, 0.08, 0.02]], dtype=dtype)
    low, high = Scores(values, "probability").resolution()
    np.testing.assert_allclose([low, high], [0.01, 0.05], rtol=1e-6)
    assert Scores(values, "logit").resolution() == (1e-12, 1e-12)


def test_saved_files_predict_as_they_did():
    p, y = binary_data(100)
    text = to_dict(PlattCalibrator().fit(p, y))
    cal = from_dict(text)
    cal.clip_ = np.array([1e-12, 1e-12])  # what the first files hold
    old = from_dict(to_dict(cal))
    np.testing.assert_array_equal(old.clip_, [1e-12, 1e-12])
    z = logit(np.array([1e-12, 1e-9, 0.3, 1 - 1e-9]))
    np.testing.assert_allclose(
        old.predict_proba([0.0, 1e-9, 0.3, 1 - 1e-9])[:, 1],
        1 / (1 + np.exp(-cal.slope_ * z - cal.intercept_)),
        rtol=1e-7,
    )


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("low", [30, 100, 350, 500, 745, 5000])
def test_beta_of_log_odds_far_from_0_leaves_out_the_end_that_does_not_move(low, sign):
    """There log(p), or log(1 - p), is constant but for its last bits; lengths are such scores."""
    rng = np.random.default_rng(low)
    z = sign * rng.uniform(low, low + 300, 300)
    y = rng.random(300) < expit((z - z.mean()) / 50)
    cal = BetaCalibrator(scale="logit").fit(z, y)
    assert max(cal.a_, cal.b_) < 2
    slope = PlattCalibrator(scale="logit").fit(z, y).slope_
    assert (cal.b_ if sign == 1 else cal.a_) == pytest.approx(slope, rel=1e-6)
    with pytest.warns(ReversedScoresWarning, match="constant"):
        BetaCalibrator(scale="logit").fit(z, ~y)
