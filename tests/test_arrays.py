"""Arrays of other libraries: the same kind back, on the same device, with the same numbers."""

import re
import sys
import warnings
from functools import cache

import numpy as np
import pytest
from sklearn.base import clone

from calibkit import (
    BetaCalibrator,
    HistogramBinningCalibrator,
    IsotonicCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
    VectorScalingCalibrator,
    brier_score,
    calibration_error,
    estimate,
    group_table,
)
from calibkit._core import inputs
from calibkit._core.arrays import on_host
from calibkit.export import _arrays
from calibkit.export._program import Library

from .registry import EXAMPLES, name_of

pytest.importorskip("array_api_compat", reason="array-api-compat, the extra arrays")
N = 200


def strict(values):
    xp = pytest.importorskip("array_api_strict")
    # With NumPy 1, its arrays can't be copied from another device.
    return xp.asarray(values, device=xp.Device("device1") if np.__version__ >= "2" else None)


def torch(values):
    return pytest.importorskip("torch").asarray(np.array(values))


def jax(values):
    return pytest.importorskip("jax").numpy.asarray(values)


#: Makes an array of a library; that of array-api-strict is on a device that NumPy can't read.
KINDS = {"strict": strict, "torch": torch}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@cache
def problem(k, scale):
    rng = np.random.default_rng(k)
    z = 1.5 * rng.normal(size=(N, k))
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < rng.random((N, 1))).sum(axis=1)
    s = p if scale == "probability" else z
    return (s if k > 2 else s[:, 1].copy()), y


@cache
def fitted(at, scale):
    """An example of the registry after its fit, and the scores that it takes."""
    example = EXAMPLES[at]
    X, y = problem(3 if "multiclass" in example._traits else 2, scale)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(example)._set_scale(scale).fit(X, y), X


@pytest.mark.parametrize("scale", ["probability", "logit"])
@pytest.mark.parametrize("at", range(len(EXAMPLES)), ids=map(name_of, EXAMPLES))
def test_every_calibrator_returns_what_it_was_given(at, scale, kind):
    cal, X = fitted(at, scale)
    given = kind(X)
    p, labels = cal.predict_proba(given), cal.predict(given)
    for out, expected in ((p, cal.predict_proba(X)), (labels, cal.predict(X))):
        assert type(out) is type(given)
        assert out.device == given.device
        np.testing.assert_allclose(on_host(out), expected, rtol=0, atol=1e-12)
    assert p.dtype == given.dtype


def test_scores_are_not_copied_to_the_host(kind, monkeypatch):
    X, y = problem(3, "probability")
    cal, given = VectorScalingCalibrator().fit(X, y), kind(X)
    monkeypatch.setattr(inputs, "on_host", lambda values: pytest.fail("copied"))
    cal.predict_proba(given)
    cal.predict(given)


def test_many_numbers_are_worked_on_in_blocks(kind, monkeypatch):
    X, y = problem(3, "probability")
    cal, given = VectorScalingCalibrator().fit(X, y), kind(X)
    whole = on_host(cal.predict_proba(given))
    monkeypatch.setattr(_arrays, "_BLOCK", 100)
    np.testing.assert_allclose(on_host(cal.predict_proba(given)), whole, rtol=0, atol=1e-15)


WRONG = {
    "NaN": lambda p: np.where(np.arange(N) == 3, np.nan, p),
    "infinite": lambda p: np.where(np.arange(N) == 3, np.inf, p),
    "high": lambda p: np.where(np.arange(N) == 7, 1.5, p),
    "negative": lambda p: p - 0.5,
    "labels": lambda p: np.arange(N, dtype=np.int64),
    "columns": lambda p: np.full((N, 3), 1 / 3),
    "sums": lambda p: np.full((N, 2), 0.4),
    "none": lambda p: np.ones((N, 0)),
    "cube": lambda p: np.ones((N, 1, 1)),
    "complex": lambda p: p * 1j,
}


@pytest.mark.parametrize("scale", ["probability", "logit"])
@pytest.mark.parametrize("wrong", WRONG)
def test_the_same_is_refused_in_the_same_words(wrong, scale, kind):
    X, y = problem(2, scale)
    cal, bad = PlattCalibrator(scale=scale).fit(X, y), WRONG[wrong](X)
    try:
        expected = cal.predict_proba(bad)
    except ValueError as error:
        with pytest.raises(ValueError, match=f"^{re.escape(str(error))}$"):
            cal.predict_proba(kind(bad))
    else:
        np.testing.assert_allclose(on_host(cal.predict_proba(kind(bad))), expected, atol=1e-12)


def test_shapes_of_two_classes_and_of_nothing(kind):
    for scale in ("probability", "logit"):
        X, y = problem(2, scale)
        cal = BetaCalibrator(scale=scale).fit(X, y)
        both = np.column_stack((1 - X if scale == "probability" else np.ones(N), X))
        for values in (X[:, None], both, X[:0], X + 1e-7):
            if values is not both and scale == "probability":
                values = np.clip(values, None, 1 + 5e-7)
            out = cal.predict_proba(kind(values))
            np.testing.assert_allclose(on_host(out), cal.predict_proba(values), atol=1e-12)


def test_rounded_rows_are_divided_with_a_warning(kind):
    X, y = problem(3, "probability")
    cal, rounded = VectorScalingCalibrator().fit(X, y), np.round(X, 2)
    with pytest.warns(UserWarning, match="were divided by their sums"):
        out = cal.predict_proba(kind(rounded))
    with pytest.warns(UserWarning, match="were divided by their sums"):
        np.testing.assert_allclose(on_host(out), cal.predict_proba(rounded), atol=1e-12)


def test_labels_that_are_texts_come_as_numpy_array(kind):
    X, y = problem(2, "probability")
    cal = PlattCalibrator().fit(X, np.array(["no", "yes"])[y])
    np.testing.assert_array_equal(cal.predict(kind(X)), cal.predict(X))
    assert set(cal.predict(kind(X))) == {"no", "yes"}


def test_single_precision_stays_and_is_computed_in_double(kind):
    X, y = problem(3, "logit")
    cal, single = TemperatureCalibrator(scale="logit").fit(X, y), X.astype(np.float32)
    out = cal.predict_proba(kind(single))
    assert "float32" in str(out.dtype)
    np.testing.assert_allclose(on_host(out), cal.predict_proba(single), atol=1e-7)
    assert "float64" in str(cal.predict_proba(kind(np.arange(3 * N).reshape(N, 3))).dtype)


def test_half_precision_of_torch():
    half = torch([0.25, 0.75]).bfloat16()
    cal = PlattCalibrator().fit(torch(problem(2, "probability")[0]), problem(2, "probability")[1])
    out = cal.predict_proba(half)
    assert str(out.dtype) == "torch.float32"
    np.testing.assert_allclose(out, cal.predict_proba([0.25, 0.75]), atol=1e-7)
    np.testing.assert_array_equal(on_host(half), [0.25, 0.75])


STEPS = (HistogramBinningCalibrator, IsotonicCalibrator)


@pytest.mark.parametrize("cls", [PlattCalibrator, BetaCalibrator, TemperatureCalibrator, *STEPS])
@pytest.mark.parametrize("scale", ["probability", "logit"])
def test_devices_without_double_precision(cls, scale, monkeypatch):
    xp = pytest.importorskip("array_api_strict")
    library = Library(xp, "float32"), xp.float32
    monkeypatch.setattr(_arrays, "_library_of", lambda X: library)
    X, y = problem(2, scale)
    X = X.astype(np.float32)
    cal = cls(scale=scale).fit(X, y)
    ends = [0.0, 1.0, 1e-30] if scale == "probability" else [-1e30, 1e30, -100.0]
    X = np.concatenate((X, np.array(ends, dtype=np.float32)))
    out = cal.predict_proba(xp.asarray(X))
    assert out.dtype == xp.float32
    smooth = scale == "probability" and cls not in STEPS
    rows = slice(N if smooth else None)  # 1 - 1e-12 is 1 in single precision
    expected = cal.predict_proba(X)
    np.testing.assert_allclose(np.asarray(out)[rows], expected[rows], atol=2e-6)
    assert np.isfinite(np.asarray(out)).all()


def test_jax_in_single_precision():
    X, y = problem(2, "probability")
    X = X.astype(np.float32)
    cal, given = HistogramBinningCalibrator().fit(X, y), jax(X)
    out = cal.predict_proba(given)
    assert type(out) is type(given)
    assert out.dtype == given.dtype
    np.testing.assert_allclose(out, cal.predict_proba(X), atol=2e-6)


def test_gradients_pass():
    X, y = problem(2, "logit")
    x = torch(X).requires_grad_()
    cal = PlattCalibrator(scale="logit").fit(x, torch(y))
    out = cal.predict_proba(x)
    out[:, 1].sum().backward()
    p = on_host(out)
    np.testing.assert_allclose(x.grad, cal.slope_ * p[:, 0] * p[:, 1], atol=1e-12)


def test_fit_and_metrics_copy_to_the_host(kind):
    X, y = problem(2, "probability")
    w, groups = np.linspace(1.0, 2.0, N), np.arange(N) // 4
    five = groups % 5
    other, *others = map(kind, (X, y, w, groups, five))
    if hasattr(other, "detach"):
        other = other.requires_grad_()
    y_, w_, groups_, five_ = others
    cal = BetaCalibrator().fit(other, y_, w_)
    np.testing.assert_array_equal(
        cal.predict_proba(X), BetaCalibrator().fit(X, y, w).predict_proba(X)
    )
    value = brier_score(y_, other, sample_weight=w_)
    assert type(value) is float
    assert value == brier_score(y, X, sample_weight=w)
    assert calibration_error(y_, other) == calibration_error(y, X)
    both = np.column_stack((X, 1 - X))
    assert brier_score(y_, kind(both), pos_label=0) == brier_score(y, both, pos_label=0)
    made = estimate(
        "calibration_error", y_, other, sample_weight=w_, groups=groups_, random_state=0
    )
    assert made == estimate(
        "calibration_error", y, X, sample_weight=w, groups=groups, random_state=0
    )
    table = group_table(y_, other, five_, sample_weight=w_, random_state=0)
    assert str(table) == str(group_table(y, X, five, sample_weight=w, random_state=0))


def test_without_the_extra(kind, monkeypatch):
    X, y = problem(2, "probability")
    cal = PlattCalibrator().fit(kind(X), kind(y))
    monkeypatch.setitem(sys.modules, "array_api_compat", None)
    with pytest.raises(ImportError, match=r'pip install "calibkit\[arrays\]"'):
        cal.predict_proba(kind(X))
