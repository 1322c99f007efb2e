"""A score that a stream has not seen: read by the resolution of those learnt before it."""

import numpy as np
import pytest
from sklearn.base import clone

from calibkit import from_dict, to_dict
from calibkit.online import (
    AdaptivePlattCalibrator,
    HedgingCalibrator,
    Journal,
    MultiStreamCalibrator,
    OnlineBetaCalibrator,
    OnlinePlattCalibrator,
    OnlineTemperatureCalibrator,
    TrackingCalibrator,
)

RESOLVING = [
    OnlinePlattCalibrator(classes=[0, 1]),
    OnlineBetaCalibrator(classes=[0, 1]),
    OnlineTemperatureCalibrator(classes=[0, 1]),
    AdaptivePlattCalibrator(classes=[0, 1]),
]
GRID = np.array([0.0, 1e-300, 1e-9, 1e-4, 0.01, 0.05, 0.1, 0.5, 0.9, 0.95, 0.999, 1 - 1e-9, 1.0])


def inner(n=1000, low=0.1, high=0.9, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.uniform(low, high, n)
    return p, (rng.random(n) < p).astype(int)


def mixed(n=3000, seed=0):
    """Scores at the ends and near them, labels of which some are missing."""
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(n) < 0.2, rng.integers(0, 2, n), rng.beta(0.3, 0.3, n))
    y = (rng.random(n) < 0.2 + 0.6 * p).astype(float)
    y[::7] = np.nan
    return p, y


@pytest.mark.parametrize("cal", RESOLVING, ids=repr)
def test_a_score_beyond_those_learnt_is_no_certainty(cal):
    p, y = inner()
    cal = clone(cal).partial_fit(p, y)
    q = cal.predict_proba(GRID)[:, 1]
    assert (np.diff(q) >= 0).all()
    assert q[0] > 1e-3  # a score of 0 counts as .01, not as 1e-5
    assert q[-1] < 1 - 1e-3
    assert cal.predict_proba_one(1.0) == pytest.approx(q[-1], rel=1e-12)
    assert cal.predict_proba_one(0) == pytest.approx(q[0], rel=1e-12)


@pytest.mark.parametrize("cal", RESOLVING, ids=repr)
def test_what_was_learnt_widens_the_range_and_what_was_not_does_not(cal):
    p, y = inner()
    cal = clone(cal).partial_fit(p, y)
    before = cal.predict_proba([0.9999])[0, 1]
    cal.partial_fit([1e-4, 1 - 1e-4], [None, np.nan])
    cal.partial_fit([0.0, 1.0], [0, 1])  # the ends say nothing of how near one may come
    assert cal.predict_proba([0.9999])[0, 1] == pytest.approx(before, abs=5e-3)
    cal.partial_fit([1 - 1e-4], [1])
    assert cal.predict_proba([0.9999])[0, 1] > 1 - 3 * (1 - before)
    assert 1 - cal.predict_proba([0.9999])[0, 1] < 0.2 * (1 - before)


@pytest.mark.parametrize("cal", RESOLVING, ids=repr)
def test_scores_that_are_not_extreme_are_read_as_in_the_paper(cal):
    p, y = inner(2000, 0.011, 0.989)
    paper = clone(cal).set_params(eps=1e-5).predict_then_update(p, y)
    np.testing.assert_allclose(clone(cal).predict_then_update(p, y), paper, rtol=1e-12)
    assert clone(cal).predict_proba([0.9999])[0, 1] == pytest.approx(0.9999)  # before any label


@pytest.mark.parametrize("cut", [1, 7, 2048, 2999])
@pytest.mark.parametrize("cal", RESOLVING, ids=repr)
def test_any_cutting_reads_scores_alike(cal, cut):
    p, y = mixed()
    whole, cal = clone(cal).predict_then_update(p, y), clone(cal)
    parts = [cal.predict_then_update(p[i : i + cut], y[i : i + cut]) for i in range(0, 3000, cut)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("cal", RESOLVING, ids=repr)
def test_single_rows_and_late_labels_read_scores_alike(cal):
    p, y = mixed(500)
    whole, late = clone(cal), clone(cal)
    one = clone(cal)
    expected, found, seen = whole.predict_then_update(p, y)[:, 1], [], []
    for i, (x, label) in enumerate(zip(p.tolist(), y.tolist(), strict=True)):
        found.append(one.predict_proba_one(x))
        one.learn_one(x, label)
        seen.append(late.forecast([i], [x])[0, 1])
        late.label([i], [label])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(late.predict_proba(GRID), whole.predict_proba(GRID), atol=0.02)
    again = from_dict(to_dict(one))
    np.testing.assert_array_equal(again.predict_proba(GRID), one.predict_proba(GRID))
    again.learn_one(1 - 1e-5, 1)
    one.learn_one(1 - 1e-5, 1)
    np.testing.assert_array_equal(again.predict_proba(GRID), one.predict_proba(GRID))


def test_many_classes_have_a_resolution_too():
    rng = np.random.default_rng(0)
    p = 0.02 + 0.92 * rng.dirichlet(np.ones(4), size=1000)
    y = np.array([rng.choice(4, p=row / row.sum()) for row in p])
    cal = OnlineTemperatureCalibrator().fit(p, y)
    sure = cal.predict_proba(np.eye(4))
    assert sure.min() > 1e-3
    assert (
        sure.min() > 50 * clone(cal).set_params(eps=1e-5).fit(p, y).predict_proba(np.eye(4)).min()
    )
    whole = clone(cal).predict_then_update(p, y)
    parts = clone(cal)
    rows = [slice(i, i + 3) for i in range(0, 1000, 3)]
    cut = [parts.predict_then_update(p[r], y[r], range(4)) for r in rows]
    np.testing.assert_array_equal(np.concatenate(cut), whole)
    again = from_dict(to_dict(parts))
    np.testing.assert_array_equal(again.predict_proba(np.eye(4)), parts.predict_proba(np.eye(4)))


@pytest.mark.parametrize("scale", ["probability", "logit"])
@pytest.mark.parametrize(
    "cal",
    [
        *RESOLVING,
        TrackingCalibrator(smoothing=1.0),
        HedgingCalibrator(random_state=0),
        MultiStreamCalibrator(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("law", ["right", "wrong", "ends"])
def test_no_forecast_of_a_stream_is_a_certainty(cal, scale, law):
    rng = np.random.default_rng(0)
    p = rng.integers(0, 2, 2000).astype(float) if law == "ends" else rng.random(2000)
    y = (p > 0.5) ^ (law == "wrong")
    if scale == "logit":
        p, grid = 50 * (p - 0.5), 1e9 * (GRID - 0.5)
    else:
        grid = GRID
    if isinstance(cal, MultiStreamCalibrator):
        cal = MultiStreamCalibrator(scale=scale, gamma=0.01)
        q = [cal.predict_then_update(p, y, 0), cal.predict_proba(grid, 0)]
    else:
        cal = clone(cal)._set_scale(scale)
        q = [cal.predict_then_update(p, y), cal.predict_proba(grid)]
        q.append([[cal.predict_proba_one(x)] * 2 for x in grid.tolist()])
    q = np.concatenate(q)
    assert q.min() > 0
    assert q.max() < 1


def test_files_without_a_resolution_are_of_fixed_eps():
    data = to_dict(OnlinePlattCalibrator().fit(*inner()))
    del data["state"]["met_"]
    with pytest.raises(ValueError, match=r"lacks 'met_'"):
        from_dict(data)
    data["params"]["eps"] = 1e-5
    assert from_dict(data).predict_proba([1.0])[0, 1] > 0.9999


def test_journals_of_fixed_eps_go_on(tmp_path):
    with Journal(tmp_path / "a.db", TrackingCalibrator(OnlinePlattCalibrator(eps=1e-5))) as journal:
        journal.predict_then_update([0.2, 0.7], [0, 1])
    with Journal(tmp_path / "a.db", TrackingCalibrator(OnlinePlattCalibrator())) as journal:
        assert journal.calibrator_.calibrator.eps == 1e-5
        assert journal.n_rows == 2
