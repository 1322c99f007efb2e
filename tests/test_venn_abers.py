"""Venn-Abers calibration against isotonic regression, once for each label of a new row."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from calibkit import (
    AutoCalibrator,
    CalibratedClassifier,
    OneVsRestCalibrator,
    VennAbersCalibrator,
    from_dict,
    to_dict,
)
from calibkit._numerics.cells import distinct_cells
from calibkit._numerics.venn import _bridges, venn_tables
from calibkit.testing import multiclass_data


def by_brute_force(p, y, w, query):
    """p0 and p1 of each query, by two isotonic regressions."""
    out = []
    for q in query:
        pair = []
        for label in (0, 1):
            fitted = IsotonicRegression().fit(np.append(p, q), np.append(y, label), np.append(w, 1))
            pair.append(fitted.predict([q])[0])
        out.append(pair)
    return np.array(out)


@pytest.mark.parametrize("seed", range(6))
def test_isotonic_regression_with_one_more_row(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 60))
    p = np.round(rng.random(n), 1 + seed % 3)
    y = (rng.random(n) < p).astype(int)
    y[:2] = 0, 1
    w = rng.integers(1, 4, n).astype(float) if seed % 2 else np.ones(n)
    query = np.concatenate((p[:8], rng.random(8), [0.0, 1.0]))
    found = VennAbersCalibrator().fit(p, y, w).predict_interval(query)
    assert_allclose(found, by_brute_force(p, y, w, query), atol=1e-12)


def test_known_values():
    """200 fixed rows, whose p0 and p1 were computed elsewhere."""
    i = np.arange(200)
    p = (i + 0.5) / 200
    y = ((i + 1) * 0.6180339887498949 % 1 < p**1.5).astype(int)
    cal = VennAbersCalibrator().fit(p, y)
    query = [0.05, 0.25, 0.5, 0.75, 0.95]
    p0 = [0, 0.074074, 0.294118, 0.531250, 0.833333]
    p1 = [0.041667, 0.142857, 0.409091, 0.666667, 1]
    assert_allclose(cal.predict_interval(query), np.column_stack((p0, p1)), atol=1e-6)
    log = [0.04, 0.133663, 0.366906, 0.587156, 0.857143]
    assert_allclose(cal.predict_proba(query)[:, 1], log, atol=1e-6)
    p0, p1 = cal.predict_interval(query).T
    brier = VennAbersCalibrator(loss="brier").fit(p, y).predict_proba(query)[:, 1]
    assert_allclose(brier, p1 + p0**2 / 2 - p1**2 / 2)


def test_compiled_and_plain_loops_agree():
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    cells = distinct_cells(p, (rng.random(2000) < p).astype(np.int8), None)
    plain = venn_tables(cells)
    total, events = (np.concatenate(([0.0], np.cumsum(c))) for c in cells[1:3])
    for label, expected in zip((0.0, 1.0), plain, strict=True):
        following, hull = np.zeros((2, len(total)), dtype=np.intp)
        out = np.empty(len(total))
        _bridges.compiled(total, events, label, following, hull, out)
        assert_array_equal(out, expected)


def test_the_interval_holds_the_probability_and_narrows():
    rng = np.random.default_rng(1)
    p = rng.random(3000)
    y = (rng.random(3000) < p).astype(int)
    width = []
    for n in (30, 300, 3000):
        cal = VennAbersCalibrator().fit(p[:n], y[:n])
        p0, p1 = cal.predict_interval(p).T
        q = cal.predict_proba(p)[:, 1]
        assert ((p0 < q) & (q < p1)).all()
        width.append((p1 - p0).mean())
    assert width[0] > 2 * width[1] > 4 * width[2]


def test_validity_of_the_pair():
    """The one of p0 and p1 that the label selects has the right mean (Vovk et al., theorem 1)."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(400):
        p = rng.random(21)
        y = (rng.random(21) < p**2).astype(int)
        if 0 < y[:20].sum() < 20:
            pair = VennAbersCalibrator().fit(p[:20], y[:20]).predict_interval(p[20:])[0]
            found.append(y[20] - pair[y[20]])
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))


def test_each_class_has_its_interval():
    p, y = multiclass_data(600)
    cal = OneVsRestCalibrator(VennAbersCalibrator()).fit(p, y)
    each = [VennAbersCalibrator().fit(p[:, k], y == k) for k in range(4)]
    found = [c.predict_interval(p[:, k]) for k, c in enumerate(cal.calibrators_)]
    assert_array_equal(found, [c.predict_interval(p[:, k]) for k, c in enumerate(each)])
    p0, p1 = np.moveaxis(found, -1, 0)
    assert_allclose(cal.predict_classwise(p).T, p1 / (1.0 - p0 + p1))
    assert (cal.predict_proba(p) > 0).all()


def test_cross_fitted_each_fold_has_a_predictor_and_their_probabilities_are_averaged():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 2))
    y = (rng.random(300) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    model = CalibratedClassifier(LogisticRegression(), VennAbersCalibrator(), cv=4, ensemble=True)
    model.fit(x, y)
    parts = zip(model.estimators_, model.calibrators_, strict=True)
    each = [c.predict_proba(e.decision_function(x))[:, 1] for e, c in parts]
    assert len(each) == 4
    assert_allclose(model.predict_proba(x)[:, 1], np.mean(each, axis=0), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::calibkit.CalibrationWarning")
@pytest.mark.parametrize("make", [VennAbersCalibrator, AutoCalibrator])
def test_the_largest_logits_and_weights(make):
    """Scores at the end of the scale come back from files; no weight makes 0 or 1."""
    z = np.repeat([-1e100, 1e100], 20)
    cal = make(scale="logit").fit(z, z < 0)
    assert_array_equal(from_dict(to_dict(cal)).predict_proba(z), cal.predict_proba(z))
    for heavy in (0, 1):
        w, y = np.ones(40), np.arange(40) % 2
        w[heavy] = 1e100
        p = np.linspace(0.01, 0.99, 40)
        cal = make().fit(p, y, w)
        q = cal.predict_proba(p)
        assert (q > 0).all()
        assert (q < 1).all()
        assert_array_equal(from_dict(to_dict(cal)).predict_proba(p), q)


def test_the_last_bits_of_a_score_of_fit_change_nothing():
    """A product of matrices rounds otherwise beside other rows: the score is still that of fit."""
    z, y = np.array([-2.5, -1.0, 0.25, 0.5, 3.0]), np.array([0, 1, 0, 1, 1])
    cal = VennAbersCalibrator(scale="logit").fit(z, y)
    at = cal.predict_interval(z)
    assert_array_equal(cal.predict_interval(z * (1 + 1e-9)), at)
    assert_array_equal(cal.predict_interval(z * (1 - 1e-9)), at)
    between = cal.predict_interval([0.375])[0]
    assert between[0] < at[3, 0]
    assert between[1] > at[2, 1]
