"""The input layer: what is taken, and what each refusal says."""

import re
import sys
import types

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibkit import IdentityCalibrator, PlattCalibrator, TemperatureCalibrator, brier_score
from calibkit._core.inputs import validate_scores, validate_weights
from calibkit._core.labels import validate_labels
from calibkit.testing import binary_data, multiclass_data


def expected_proba():
    p, y = binary_data()
    return p, y, PlattCalibrator().fit(p, y).predict_proba(p)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, ">f8"])
def test_any_float_dtype(dtype):
    p, y, expected = expected_proba()
    q = PlattCalibrator().fit(p.astype(dtype), y).predict_proba(p.astype(dtype))
    np.testing.assert_allclose(q, expected, atol=1e-2 if dtype == np.float16 else 1e-6)
    assert q.dtype == np.float64


@pytest.mark.filterwarnings("ignore::calibkit.HardScoresWarning")
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, bool])
def test_integer_scores(dtype):
    p, y = np.array([0, 1, 0, 1, 1, 0]), [0, 1, 1, 1, 0, 0]
    a = PlattCalibrator().fit(p.astype(dtype), y).predict_proba(p.astype(dtype))
    np.testing.assert_array_equal(
        a, PlattCalibrator().fit(p.astype(float), y).predict_proba(p.astype(float))
    )


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64, np.float32, object, bool])
def test_label_dtypes(dtype):
    p, y, expected = expected_proba()
    np.testing.assert_array_equal(
        PlattCalibrator().fit(p, y.astype(dtype)).predict_proba(p), expected
    )


def test_pandas_columns_frames_and_indices():
    p, y, expected = expected_proba()
    index = np.random.default_rng(0).permutation(len(p)) + 1000
    for scores, labels in (
        (pd.Series(p, index=index), pd.Series(y, index=index)),
        (pd.Series(p, index=pd.date_range("2020", periods=len(p))), pd.Series(y, dtype="Int64")),
        (pd.DataFrame({"p": p}, index=index), pd.Series(y).astype("category")),
        (pd.DataFrame({"no": 1 - p, "yes": p}), pd.DataFrame({"y": y})["y"]),
        (pd.Series(p, dtype="Float64"), pd.Series(np.array(["a", "b"])[y], dtype="string")),
        (pd.Series(p), pd.Series(np.array(["a", "b"])[y], dtype="category")),
    ):
        cal = PlattCalibrator().fit(scores, labels)
        np.testing.assert_allclose(cal.predict_proba(scores), expected, atol=1e-12)
    assert brier_score(pd.Series(y, index=index), pd.Series(p, index=index)) == brier_score(y, p)


def test_columns_of_a_frame_are_held_to_their_names():
    p, y = multiclass_data()
    frame = pd.DataFrame(p, columns=list("abcd"))
    cal = TemperatureCalibrator().fit(frame, y)
    with pytest.raises(ValueError, match="feature names"):
        cal.predict_proba(frame[list("dcba")])
    np.testing.assert_array_equal(cal.predict_proba(p), cal.predict_proba(frame))


def test_polars_columns_and_frames():
    p, y, expected = expected_proba()
    for scores, labels in (
        (pl.Series(p), pl.Series(y)),
        (pl.DataFrame({"no": 1 - p, "yes": p}), pl.Series(np.array(["a", "b"])[y].tolist())),
        (pl.DataFrame({"p": p}), pl.Series(y.astype(bool))),
    ):
        cal = PlattCalibrator().fit(scores, labels, pl.Series(np.ones(len(p))))
        np.testing.assert_allclose(cal.predict_proba(scores), expected, atol=1e-12)


class Tensor:
    """As much of a torch tensor as the array protocol shows."""

    def __init__(self, values, grad=False):
        self.values, self.grad = np.asarray(values), grad
        self.shape, self.ndim, self.dtype = self.values.shape, self.values.ndim, self.values.dtype

    def __array__(self, dtype=None, copy=None):
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self.values.astype(dtype) if dtype is not None else self.values

    def __len__(self):
        return len(self.values)


def test_tensors_through_the_array_protocol():
    p, y, expected = expected_proba()
    cal = PlattCalibrator().fit(Tensor(p), Tensor(y))
    np.testing.assert_array_equal(cal.predict_proba(Tensor(p)), expected)
    assert "torch" not in sys.modules
    with pytest.raises(ValueError, match=re.escape(".detach()")):
        PlattCalibrator().fit(Tensor(p, grad=True), y)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (0.5, "expected an array of scores"),
        (None, "expected an array of scores"),
        ("0.5", "expected an array of scores"),
        ([["a"], ["b"]], "can't be read"),
        (np.ones((2, 2, 2)), "dim 3"),
        (np.ones((2, 0)), "0 feature"),
        ([0.5, None], "NaN"),
        ([0.5, 1 + 1j], "omplex"),
        ([[0.5], [0.1, 0.2]], "can't be read"),
        ([0.5, 50], r"50 at row 1.*divide by 100"),
        ([[0.5, 0.5], [0.2, 0.9]], "row 1 sums to 1.1"),
        ([[0.5, np.nan], [0.2, 0.8]], "NaN .*row 0, column 1"),
    ],
    ids=str,
)
def test_what_is_not_scores(X, words):
    with pytest.raises(ValueError, match=words):
        PlattCalibrator().fit(X, [0, 1])


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "y is None"),
        ([], "0 sample"),
        ([0, 1, None, 1], "row 2"),
        ([0, 1, np.nan, 1], "NaN .*row 2"),
        (["a", "b", None, "a"], "row 2"),
        (["a", "b", 1, "a"], "mixes"),
        ([1.5, 1, 0, 1], "continuous"),
        ([[0, 1], [1, 0], [1, 1], [0, 0]], r"has shape \(4, 2\); expected one label"),
        ([0, 1, 2, 1], "multiclass"),
        ([1, 1, 1, 1], "one class only"),
        (["x"] * 4, "one class only, 'x'"),
        ([0, 1], "inconsistent"),
    ],
    ids=str,
)
def test_what_is_not_labels(y, words):
    with pytest.raises(ValueError, match=words):
        PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], y)


def test_messages_begin_with_the_call_and_end_with_the_mend():
    with pytest.raises(ValueError, match=r"^PlattCalibrator\.fit: X .*; expected .*scale='logit'"):
        PlattCalibrator().fit([0.5, -3.2], [0, 1])
    fitted = PlattCalibrator().fit(*binary_data())
    with pytest.raises(ValueError, match=r"^PlattCalibrator\.predict_proba: X .* at row 1"):
        fitted.predict_proba([0.5, -3.2])
    with pytest.raises(
        ValueError, match=r"^PlattCalibrator\.predict_proba: .*2 classes, as in fit"
    ):
        fitted.predict_proba(np.full((2, 3), 1 / 3))


def test_rounding_outside_the_range_is_forgiven_and_cut():
    s = validate_scores([1 + 1e-9, -1e-9, 0.5], scale="probability")
    np.testing.assert_array_equal(s.values, [1, 0, 0.5])
    rows = np.float32([[0.3333333, 0.3333333, 0.3333335], [1, 0, 0]])
    q = IdentityCalibrator(classes=[0, 1, 2]).fit(rows, [0, 1]).predict_proba(rows)
    np.testing.assert_allclose(q.sum(axis=1), 1, atol=1e-15)


def test_large_float32_matrices_are_not_copied():
    z = np.zeros((10, 3), dtype=np.float32)
    assert validate_scores(z, scale="logit").values is z


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", [np.array, np.asfortranarray, lambda z: np.repeat(z, 2, 0)[::2]])
def test_logits_are_checked_in_any_layout(dtype, layout):
    z = np.zeros((10, 3), dtype=dtype)
    z[7, 1] = 1e30  # its square overflows in single precision
    np.testing.assert_array_equal(validate_scores(layout(z), scale="logit").values, z)
    for bad, message in ((np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")):
        z[7, 1] = bad
        with pytest.raises(ValueError, match=rf"{message} \(first at row 7, column 1\)"):
            validate_scores(layout(z), scale="logit")
    if dtype == np.float64:
        z[7, 1] = -1.01e100
        with pytest.raises(ValueError, match=r"logits up to 1\.01e\+100"):
            validate_scores(layout(z), scale="logit")


def test_no_global_state_is_touched():
    before = np.geterr(), np.random.get_state()[1].copy()
    p, y = binary_data()
    TemperatureCalibrator().fit(p, y).predict_proba([0.0, 1.0])
    assert np.geterr() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_labels_encode_like_numpy(labels):
    for values in (np.array(labels), np.array(labels, dtype=float), np.array(labels).astype(str)):
        classes, codes = validate_labels(values)
        expected, inverse = np.unique(values, return_inverse=True)
        np.testing.assert_array_equal(classes, expected)
        np.testing.assert_array_equal(codes, inverse)


def test_weights():
    assert validate_weights(None, 3) is None
    np.testing.assert_array_equal(validate_weights([[1], [2], [0]], 3), [1, 2, 0])
    for bad, words in (
        ([1, 2], "shape"), (1.0, "shape"), ([1, np.inf, 1], "row 1"), ([1, -1, 1], "-1 at row 1"),
        ([0, 0, 0], "zero in every row"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            validate_weights(bad, 3)
    assert isinstance(sys.modules["calibkit"], types.ModuleType)
