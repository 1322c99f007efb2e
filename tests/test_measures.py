"""Confidence measures of generated code, against loops, SciPy and 50-digit arithmetic."""

import math
import tracemalloc
import warnings
from decimal import Decimal, getcontext

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy import sparse
from scipy.special import logsumexp
from scipy.stats import entropy

from calibkit import codegen
from calibkit._core.warnings import MissingSignalWarning
from calibkit._numerics import ragged as numerics
from calibkit.codegen import Ragged, agreement, p_true, parse_confidence, token_confidence

getcontext().prec = 50
try:  # list views came with PyArrow 16, what can be done with them later
    pc.list_value_length(pa.array([[1.0]], pa.list_view(pa.float64())))
    list_view = pa.list_view
except (AttributeError, NotImplementedError):
    list_view = pa.list_
PROBABILITIES = [
    "average_token_probability",
    "geometric_mean_probability",
    "total_probability",
    "min_token_probability",
    "low_token_probability",
]
OTHERS = ["length", "perplexity"]


def by_hand(tokens, measure, quantile=0.1):
    """One output's measure, in Decimal where it is a probability."""
    p = [Decimal(float(t)).exp() for t in tokens]
    n = len(p)
    if measure == "low_token_probability":
        position = (n - 1) * quantile
        k, t = int(position), Decimal(position - int(position))
        ordered = sorted(p)
        return ordered[k] + t * (ordered[min(k + 1, n - 1)] - ordered[k])
    total = sum(Decimal(float(t)) for t in tokens)
    return {
        "average_token_probability": lambda: sum(p) / n,
        "geometric_mean_probability": lambda: (total / n).exp(),
        "total_probability": total.exp,
        "min_token_probability": lambda: min(p),
        "length": lambda: Decimal(n),
        "perplexity": lambda: (-total / n).exp(),
    }[measure]()


def log_odds(p):
    return float(p.ln() - max(1 - p, Decimal(2) ** -24).ln())


def some_outputs(seed=0, n=60, dtype=np.float64):
    """Outputs of 1 to 80 tokens; some sure, some unsure, some hopeless."""
    rng = np.random.default_rng(seed)
    scales = 10.0 ** rng.uniform(-8, 1.5, n)
    return [-rng.exponential(s, size=rng.integers(1, 80)).astype(dtype) for s in scales]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("measure", PROBABILITIES + OTHERS)
def test_each_measure_is_its_definition(measure, dtype):
    outputs = some_outputs(dtype=dtype)
    rtol = 1e-13 if dtype is np.float64 else 1e-6
    p = [by_hand(o, measure) for o in outputs]
    kept = np.array([float(v) > 1e-30 for v in p])
    found = token_confidence(outputs, measure)
    # A sum of up to 69 (p > 1e-30) is rounded in proportion, which exp makes an absolute error.
    loss = 40 if measure == "total_probability" else 2
    np.testing.assert_allclose(found[kept], np.array(p, dtype=float)[kept], rtol=loss * rtol)
    logits = token_confidence(outputs, measure, scale="logit")
    if measure in OTHERS:
        np.testing.assert_array_equal(logits, found)
    else:
        np.testing.assert_allclose(logits, [log_odds(v) for v in p], rtol=rtol, atol=10 * rtol)


@pytest.mark.parametrize("quantile", [0.0, 0.05, 0.25, 0.5, 1.0])
def test_low_quantile_is_numpys_of_probabilities(quantile):
    outputs = some_outputs(1)
    found = token_confidence(outputs, "low_token_probability", quantile=quantile)
    expected = [np.quantile(np.exp(o), quantile) for o in outputs]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_both_ends_of_the_log_odds():
    x = [[-3.0] * 1000, [-1e-30], [0.0] * 5, [-800.0, -900.0], [-800.0]]
    z = token_confidence(x, ["total_probability", "average_token_probability"], scale="logit")
    top = 24 * math.log(2)
    assert z[0, 0] == -3000.0
    np.testing.assert_allclose(
        z[:, 1], [-3 - math.log1p(-math.exp(-3)), top, top, -800.0 - math.log(2), -800]
    )
    np.testing.assert_allclose(z[1:, 0], [top, top, -1700.0, -800.0])
    p = token_confidence(x, PROBABILITIES)
    assert ((p >= 0) & (p <= 1)).all()


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_blocks_do_not_matter(size, monkeypatch):
    outputs = some_outputs(2, 40)
    expected = token_confidence(outputs, PROBABILITIES, scale="logit")
    blocks = numerics.segment_blocks
    module = __import__("calibkit.codegen._measures", fromlist=["_"])
    monkeypatch.setattr(module, "segment_blocks", lambda edges: blocks(edges, size))
    monkeypatch.setattr(module, "widest_block", lambda edges: int(edges[-1]))
    found = token_confidence(outputs, PROBABILITIES, scale="logit")
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_blocks_hold_whole_segments():
    edges = np.array([3, 5, 30, 31, 32, 90])
    got = [(s.start, s.stop) for s in numerics.segment_blocks(edges, 10)]
    assert got == [(0, 1), (1, 2), (2, 4), (4, 5)]
    assert numerics.widest_block(edges, 10) == 58
    assert list(numerics.segment_blocks(np.array([0]))) == []


def kinds():
    x = [[-0.1, -0.2], [-3.0], [-0.5, -1.0, -1.5]]
    flat, offsets = np.concatenate(x), np.array([0, 2, 3, 6])
    objects = np.empty(3, dtype=object)
    objects[:] = [np.array(v) for v in x]
    arrow = pa.array(x)
    yield "lists", x
    yield "tuples", tuple(map(tuple, x))
    yield "arrays", [np.array(v) for v in x]
    yield "mixed", [x[0], np.array(x[1]), tuple(x[2])]
    yield "float32 scalars", [[np.float32(t) for t in v] for v in x]
    yield "objects", objects
    yield "generator", (v for v in x)
    yield "pandas", pd.Series(x)
    yield "pandas arrow", pd.Series(x, dtype=pd.ArrowDtype(pa.list_(pa.float64())))
    yield "arrow", arrow
    yield "arrow slice", pa.array([[1.0], *x, [2.0]])[1:4]
    yield "large list", arrow.cast(pa.large_list(pa.float64()))
    yield "float32 list", arrow.cast(pa.list_(pa.float32()))
    yield "chunks", pa.chunked_array([x[:1], [], x[1:]], type=arrow.type)
    yield "no chunk but one", pa.chunked_array([x])
    yield "slice of chunks", pa.chunked_array([[[9.0], *x[:1]], [*x[1:], [9.0]]])[1:4]
    yield "views", pa.array(x, type=list_view(pa.float64()))
    yield "Arrow scalars", list(arrow)
    yield "Decimal", [[Decimal(str(t)) for t in v] for v in x]
    yield "polars", pl.Series(x)
    yield "polars slice", pl.Series([[1.0], *x])[1:]
    yield "polars objects", pl.Series(x, dtype=pl.Object)
    yield "Ragged", Ragged(flat, offsets)
    yield "Ragged of a part", Ragged(np.r_[9.0, flat, 9.0], offsets + 1)
    yield "Ragged of a list", Ragged(flat.tolist(), offsets.astype(np.int32))
    yield "padded away", pd.Series(x, index=[7, 7, 2])


@pytest.mark.parametrize(("kind", "x"), [*kinds()], ids=lambda v: v if isinstance(v, str) else "")
def test_all_kinds_of_lists_are_one(kind, x):
    tokens = pd.Series([[-0.1, -0.2], [-3.0], [-0.5, -1.0, -1.5]]).tolist()
    expected = token_confidence(tokens, [*PROBABILITIES, *OTHERS])
    rtol = 1e-6 if "32" in kind else 1e-14
    np.testing.assert_allclose(token_confidence(x, [*PROBABILITIES, *OTHERS]), expected, rtol=rtol)


@pytest.mark.parametrize(
    "x",
    [
        np.full((2, 3), -0.5),
        np.full((2, 3), -0.5, dtype=np.float16),
        np.asfortranarray(np.full((2, 3), -0.5)),
        np.full((2, 3), -0.5).astype(object),
        np.matrix(np.full((2, 3), -0.5)),
        pd.DataFrame(np.full((2, 3), -0.5)),
        pa.array([[-0.5] * 3] * 2, type=pa.list_(pa.float32(), 3)),
        pl.Series([[-0.5] * 3] * 2, dtype=pl.Array(pl.Float64, 3)),
    ],
)
def test_equal_lengths(x):
    np.testing.assert_allclose(token_confidence(x, "total_probability"), np.exp([-1.5, -1.5]))


def test_arrow_and_arrays_are_not_copied():
    values = -np.ones(6)
    read = __import__("calibkit.codegen._ragged", fromlist=["_"]).validate_ragged
    for x in (
        values.reshape(2, 3),
        Ragged(values, np.array([0, 2, 6])),
        pa.ListArray.from_arrays(pa.array([0, 2, 6], pa.int32()), pa.array(values)),
    ):
        assert np.shares_memory(read(x, "").values, values)
    series = pl.Series([[-1.0, -2.0], [-3.0]])
    assert not read(series, "").values.flags.owndata


def missing_kinds():
    x = [[-0.1, None], [], None, [-np.inf, -1.0], [float("nan")], [-0.25]]
    yield x
    yield pd.Series(x)
    yield pd.Series(x, dtype=pd.ArrowDtype(pa.list_(pa.float64())))
    yield pa.array(x)
    yield pa.chunked_array([x[:3], x[3:]])
    yield pl.Series(x)
    yield [np.array([-0.1, np.nan]), np.empty(0), np.nan, [-1e30, -1.0], [pd.NA], (-0.25,)]
    hidden = pa.ListArray.from_arrays(  # a null that spans values: they are no tokens
        pa.array([0, 2, 2, 5, 7, 8, 9], pa.int32()),
        pa.array([-0.1, None, 5.0, 5.0, 5.0, -np.inf, -1.0, np.nan, -0.25]),
        mask=pa.array([False, False, True, False, False, False]),
    )
    yield hidden


@pytest.mark.parametrize("x", [*missing_kinds()], ids=lambda x: type(x).__name__)
def test_missing_values_are_nan_counted_and_no_neighbour(x):
    measures = [*PROBABILITIES, "perplexity"]
    with pytest.warns(
        MissingSignalWarning, match=r"4 of 6 outputs have no average.*output 0: a to"
    ):
        z = token_confidence(x, measures, scale="logit")
    assert np.isnan(z[[0, 1, 2, 4]]).all()
    assert np.isfinite(z[[3, 5]]).all()
    assert z[3, 2] == -10000.0
    assert z[3, 3] == -9999.0
    np.testing.assert_array_equal(token_confidence(x, "length"), [2, 0, 0, 2, 1, 1])
    with pytest.warns(MissingSignalWarning):
        p = token_confidence(x)
    assert p[3] == pytest.approx(math.exp(-1) / 2)


def test_a_warning_names_the_first_and_points_at_the_caller():
    with pytest.warns(MissingSignalWarning) as found:
        token_confidence([[-1.0], [], [-1.0]], "min_token_probability")
    assert len(found) == 1
    text = (
        "token_confidence: 1 of 3 outputs have no min_token_probability (first at output 1: no to"
    )
    assert str(found[0].message).startswith(text)
    assert found[0].filename == __file__


def test_masks_of_the_lowest_float_do_not_overflow():
    low = np.finfo(np.float32).min
    x = np.array([[low, low, -1.0]], dtype=np.float32)
    assert token_confidence(x, "total_probability", scale="logit") == -2 * 9999 - 1
    assert token_confidence(x, "average_token_probability") == pytest.approx(math.exp(-1) / 3)
    assert np.isfinite(token_confidence(x, "perplexity"))


def test_tiny_positives_are_zero():
    assert token_confidence([[1e-7, 0.0]], "total_probability") == 1.0
    assert token_confidence([[1e-7, 0.0]], "total_probability", scale="logit") < 17


BAD = [
    ([[-0.1]] * 12 + [[-1, -1, -1, 0.3]], ValueError,
     r"above 0 \(0.3 at output 12, token 3\).*np.log"),
    ([[-0.1, np.inf]], ValueError, r"above 0 \(inf at output 0, token 1"),
    ([[], [np.nan, 0.5]], ValueError, r"above 0 \(0.5 at output 1, token 1"),
    (np.full((2, 2), 0.5), ValueError, "np.log first"),
    ([[True]], ValueError, r"above 0 \(1 at output 0"),
    ([[-0.1], [-0.2, "a"]], TypeError, "text .'a'. at output 1, token 1; expected a number"),
    ([["-0.1"]], TypeError, "text"),
    (["-0.1"], TypeError, "text .'-0.1'. at output 0"),
    ([[-1.0], {"a": -1.0}], TypeError, "dict .* at output 1"),
    ([[-1.0, {"logprob": -1}]], TypeError, r"dict .*output 0, token 1; .*t\['logprob'\]"),
    ({"a": [-1.0]}, TypeError, "logprobs is of type dict; expected one list of numbers per output"),
    ("text", TypeError, "logprobs is of type str"),
    (None, TypeError, "logprobs is None"),
    (3, TypeError, "logprobs is of type int"),
    ([np.ma.masked_array([-1.0])], TypeError, "MaskedArray .* at output 0; .* Pass only"),
    ({-1.0}, TypeError, "logprobs is of type set"),
    ([{-1.0}], TypeError, "set .* at output 0"),
    (np.ma.masked_array(-np.ones((1, 2)), [[0, 1]]), TypeError, "MaskedArray, which hides values"),
    (sparse.csr_array(-np.ones((1, 2))), TypeError, "csr_array, which hides values"),
    ([-0.1, -0.2], TypeError, r"float .-0.1. at output 0; .*pass \[logprobs\]"),
    (np.array([-0.1, -0.2]), ValueError, r"shape \(2,\).*pass \[logprobs\]"),
    (np.array(-0.1), ValueError, r"shape \(\)"),
    ([[[-0.1]]], TypeError, "nested too deep: a list .* at output 0, token 0"),
    (np.full((2, 2, 2), -1.0), ValueError, "nested too deep"),
    ([[1j]], TypeError, "Complex data not supported"),
    (np.array([[1j]]), ValueError, "Complex data not supported"),
    (np.array([["a"]]), ValueError, "dtype <U1; expected plain numbers"),
    ([np.array(-1.0)], TypeError, r"float .-1.0. at output 0; .*pass \[logprobs\]"),
    ([[-1.0, -(10**400)]], ValueError, "beyond the range of floats at output 0, token 1"),
    (pa.array([{"a": [-1.0]}]), TypeError, "Arrow array of struct<a: list"),
    (pa.array([-1.0]), TypeError, "Arrow array of double; expected lists"),
    (pa.array([["a"]]), TypeError, "text"),
    (pl.Series([-1.0]), TypeError, "polars Float64; expected a Series of lists"),
    (pl.DataFrame({"a": [-1.0]}), TypeError, "polars DataFrame"),
    (pl.Series([["a"]]), TypeError, "text"),
    (pd.Series([-1.0]), ValueError, r"shape \(1,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("x", "kind", "text"), BAD)
def test_bad_tokens_are_refused_with_their_place(x, kind, text):
    with pytest.raises(kind, match=f"(?s)^token_confidence: .*{text}"):
        token_confidence(x, "total_probability")


def test_the_place_is_that_of_the_whole_input_in_any_block():
    x = np.full((3000, 300), -1.0)
    x[2500, 7] = 2.0
    with pytest.raises(ValueError, match="2 at output 2500, token 7"):
        token_confidence(x)
    many = [[], *x]
    with pytest.raises(ValueError, match="2 at output 2501, token 7"):
        token_confidence(many)


def test_bad_parameters():
    x = [[-1.0]]
    with pytest.raises(ValueError, match="did you mean 'total_probability'"):
        token_confidence(x, "total_prob")
    with pytest.raises(ValueError, match="measure=None; expected one of"):
        token_confidence(x, None)
    with pytest.raises(ValueError, match="measure is an empty list"):
        token_confidence(x, [])
    with pytest.raises(ValueError, match=r"scale='log'.*'probability', 'logit'"):
        token_confidence(x, scale="log")
    with pytest.raises(ValueError, match=r"quantile=1.5"):
        token_confidence(x, quantile=1.5)
    with pytest.raises(ValueError, match="top_logprobs is None"):
        token_confidence(x, "entropy")
    with pytest.raises(ValueError, match="1 outputs and top_logprobs 2"):
        token_confidence(x, ["length", "entropy"], top_logprobs=[[[-1.0]], [[-1.0]]])


def test_bad_ragged():
    with pytest.raises(ValueError, match="decreases after list 0"):
        Ragged(np.zeros(3), np.array([2, 1, 3]))
    with pytest.raises(ValueError, match="spans 0 to 4"):
        Ragged(np.zeros(3), np.array([0, 4]))
    with pytest.raises(ValueError, match="expected a list of ints"):
        Ragged(np.zeros(3), np.array([0.0, 3.0]))
    for values in (None, np.ma.masked_array([-1.0], [True])):
        with pytest.raises(TypeError, match=r"^Ragged: values is .* without a mask"):
            Ragged(values, np.array([0, 1]))
    assert Ragged(np.arange(3), np.array([0, 1, 3]))[-1].tolist() == [1, 2]
    with pytest.raises(IndexError):
        _ = Ragged(np.arange(3), np.array([0, 3]))[1]


def test_no_outputs():
    assert token_confidence([]).shape == (0,)
    assert token_confidence([], ["length", "perplexity"]).shape == (0, 2)
    assert token_confidence(np.empty((0, 3))).shape == (0,)
    assert token_confidence(pa.array([], pa.list_(pa.float32()))).shape == (0,)
    assert token_confidence(pl.Series([], dtype=pl.List(pl.Float64))).shape == (0,)
    with pytest.warns(MissingSignalWarning, match="2 of 2"):
        assert np.isnan(token_confidence(np.empty((2, 0)))).all()


def test_input_is_left_alone():
    x = np.full((2, 3), -1.0)
    x[0, 0], x[1, 1] = 1e-9, -np.inf
    before = x.copy()
    token_confidence(x, PROBABILITIES, scale="logit")
    np.testing.assert_array_equal(x, before)
    lists = [[-1.0, None], [np.float64(-1)]]
    with pytest.warns(MissingSignalWarning):
        token_confidence(lists)
    assert lists == [[-1.0, None], [-1.0]]


def test_extra_memory_does_not_grow_with_the_tokens():
    def peak(n):
        x = Ragged(-np.ones(n * 300), np.arange(n + 1) * 300)
        tracemalloc.start()
        token_confidence(x, [*PROBABILITIES, "perplexity"])
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    few, many = peak(2000), peak(8000)
    assert many - few < 6000 * 8 * 30  # a few numbers per output, not 300


# Entropy


def test_entropy_of_all_alternatives_is_scipys():
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(5), size=(7, 11))
    found = token_confidence(None, "entropy", top_logprobs=np.log(p))
    np.testing.assert_allclose(found, entropy(p, axis=-1).mean(axis=1), rtol=1e-12)
    assert (found == token_confidence(None, "entropy", scale="logit", top_logprobs=np.log(p))).all()


def test_entropy_of_some_alternatives_is_a_lower_bound_with_the_rest_as_one():
    p = np.array([0.5, 0.2, 0.15, 0.1, 0.05])
    found = token_confidence(None, "entropy", top_logprobs=[[np.log(p[:2])]])
    np.testing.assert_allclose(found, entropy([0.5, 0.2, 0.3]))
    assert found < entropy(p)


def test_entropy_takes_dicts_items_arrays_and_columns():
    logs = [[[-0.1, -3.0], [-0.5]], [[-0.2, -2.0, -4.0]]]
    expected = token_confidence(None, "entropy", top_logprobs=logs)
    dicts = [[{str(k): v for k, v in enumerate(t)} for t in o] for o in logs]
    items = [[[{"token": "a", "logprob": v} for v in t] for t in o] for o in logs]
    mixed = [dicts[0], items[1]]
    flat = Ragged(np.array([-0.1, -3.0, -0.5, -0.2, -2.0, -4.0]), np.array([0, 2, 3, 6]))
    chunks = pa.chunked_array([pa.array(logs)[:1], pa.array(logs)[1:]])
    for x in (dicts, items, mixed, pa.array(logs), pl.Series(logs), pd.Series(logs), chunks,
              pa.array(items), pl.Series(items), pa.array(logs, list_view(chunks.type.value_type)),
              Ragged(flat, np.array([0, 2, 3]))):  # fmt: skip
        np.testing.assert_array_equal(token_confidence(None, "entropy", top_logprobs=x), expected)
    arrays = [np.array(logs[0][:1] * 3), np.array(logs[1])]
    np.testing.assert_allclose(
        token_confidence(None, "entropy", top_logprobs=arrays)[1], expected[1]
    )


def test_entropy_without_alternatives_is_missing():
    x = [[[-0.1]], [[-0.1], None], [], None, [[-0.1, -np.inf]]]
    with pytest.warns(
        MissingSignalWarning, match=r"3 of 5.*output 1: a token without alternatives"
    ):
        found = token_confidence(None, "entropy", top_logprobs=x)
    np.testing.assert_array_equal(np.isnan(found), [False, True, True, True, False])
    assert found[0] == pytest.approx(found[4])


def test_bad_alternatives():
    with pytest.raises(ValueError, match=r"output 1, token 1 have a total probability of 1.8"):
        token_confidence(None, "entropy", top_logprobs=[[[-1]], [[-1], [-0.1, -0.1]]])
    with pytest.raises(ValueError, match=r"above 0 .0.5 at output 0, token 1, alternative 1"):
        token_confidence(None, "entropy", top_logprobs=[[[-1], [-1, 0.5]]])
    with pytest.raises(TypeError, match=r"text .'a'. at output 0, token 0, alternative 1"):
        token_confidence(None, "entropy", top_logprobs=[[[-1, "a"]]])
    with pytest.raises(TypeError, match=r"float .-1.0. at output 0, token 1"):
        token_confidence(None, "entropy", top_logprobs=[[[-1.0], -1.0]])


# P(True)


def test_p_true_sums_the_variants():
    logs = {"True": -1.0, " true": -2.0, "ĠTrue": -3.0, "▁TRUE.": -4.0, "'True'": -5.0,
            "False": -1.5, " Truely": -6.0, "": -6.0}  # fmt: skip
    yes, no = logsumexp([-1, -2, -3, -4, -5]), -1.5
    np.testing.assert_allclose(p_true([logs]), np.exp(yes))
    np.testing.assert_allclose(p_true([logs], scale="logit"), yes - np.log(-np.expm1(yes)))
    np.testing.assert_allclose(p_true([logs], normalised=True), 1 / (1 + np.exp(no - yes)))
    np.testing.assert_allclose(p_true([logs], normalised=True, scale="logit"), yes - no)


def test_p_true_takes_each_kind_of_answer():
    logs = {"True": -0.5, "False": -1.5}
    for x in (
        [logs],
        [list(logs.items())],
        [[list(i) for i in logs.items()]],
        [[{"token": t, "logprob": v, "bytes": None} for t, v in logs.items()]],
        pd.Series([logs]),
        pl.Series([logs]),
        pa.array([logs]),
        pl.Series([{**logs, "other": None}]),
    ):
        np.testing.assert_allclose(p_true(x), np.exp(-0.5))


def test_p_true_with_words_of_ones_own():
    x = [{"(A)": -0.5, "B": -1.5, "Yes": -4.0}]
    np.testing.assert_allclose(p_true(x, true=("yes", "a"), false="b"), np.exp(-0.5) + np.exp(-4))
    with pytest.raises(ValueError, match="'a' is in true and in false"):
        p_true(x, true="A", false=["a.", "b"])
    with pytest.raises(ValueError, match=r"true holds '\+'"):
        p_true(x, true="+")
    with pytest.raises(ValueError, match="false is empty"):
        p_true(x, false=())


def test_absent_words_are_missing_or_bounded():
    x = [{"True": -0.1, "x": -3.0}, {"no": -0.01, "x": -5.5}, {"False": -0.1}, {}, None]
    with pytest.warns(
        MissingSignalWarning, match=r"4 of 5 outputs have no p_true .first at output 1"
    ):
        np.testing.assert_allclose(p_true(x), [np.exp(-0.1), *[np.nan] * 4])
    with pytest.warns(MissingSignalWarning, match=r"5 of 5 .*normalised"):
        assert np.isnan(p_true(x, normalised=True)).all()
    with pytest.warns(MissingSignalWarning, match=r"2 of 5 .*output 3: no answer"):
        p = p_true(x, absent="bound")
    left = 1 - np.exp(-0.01) - np.exp(-5.5)
    assert np.exp(-5.5) < left
    np.testing.assert_allclose(p[:3], [np.exp(-0.1), np.exp(-5.5), 1 - np.exp(-0.1)])
    with pytest.warns(MissingSignalWarning, match="3 of 5"):
        p = p_true(x, normalised=True, absent="bound")
    least = np.exp(-3)
    np.testing.assert_allclose(p[0], np.exp(-0.1) / (np.exp(-0.1) + 1 - np.exp(-0.1) - least))
    certain = p_true([{"False": 0.0}], absent="bound", normalised=True, scale="logit")
    assert certain == -9999.0


def test_bad_answers():
    with pytest.raises(ValueError, match=r"above 0 .0.9 for 'True' at output 1.*np.log first"):
        p_true([{"True": -1}, {"True": 0.9}])
    with pytest.raises(ValueError, match=r"output 0 have a total probability of 1.8"):
        p_true([[("True", -0.1), ("True", -0.1)]])
    for bad in ("True", -0.5, [-0.5], {"True": "x"}, {3: -0.5}, [("True", -1, 2)], {"True": True}):
        with pytest.raises(TypeError, match=r"(?s)^p_true: answers holds .* at output 0; expected"):
            p_true([bad])
    with pytest.raises(ValueError, match="above 0"):
        p_true([{"True": 10**400}])
    with pytest.raises(ValueError, match="true holds None; expected words"):
        p_true([], true=None)
    with pytest.raises(TypeError, match=r"pass \[answers\]"):
        p_true({"True": -1.0})
    with pytest.raises(ValueError, match="absent='zero'"):
        p_true([], absent="zero")


# Verbalised confidence


READ = {
    "90%": 0.9, "90 %": 0.9, "0.9": 0.9, "9/10": 0.9, "9 out of 10": 0.9, ".95": 0.95, "1e-3": 1e-3,
    '{"confidence": 0.9}': 0.9, '{"confidence": "0.9", "line": 3}': 0.9, "I am 90% sure.": 0.9,
    "**Confidence**: 0.8": 0.8, "- Confidence: 85 percent": 0.85, "90\\%": 0.9, "９０％": 0.9,
    "GPT-4 says 70%": 0.7, "3 bugs; 20%": 0.2, "90% (9/10)": 0.9, "100%": 1.0, "0%": 0.0, "1": 1.0,
    "0": 0.0, "(0.5)": 0.5, "0.75.": 0.75, "~60%": 0.6, "0.5%": 0.005, "confidence = 0.3": 0.3,
    "I checked 3 cases. Probability: 0.4": 0.4, "0.9/1": 0.9, "0.25, I think": 0.25,
    "<confidence>90%</confidence>": 0.9, "3 bugs. <confidence>0.4</confidence>": 0.4, "p=0.3": 0.3,
    "Confidence (0-100%): 90%": 0.9, "Confidence score (0-1): 0.7": 0.7, "\\boxed{0.6}": 0.6,
    "2 cases. The probability of being correct: **0.8**": 0.8,
    "confidence_score: 0.7, lines: 3": 0.7, "Confidence: 0.9 (90%)": 0.9, "Confidence: 9 / 10": 0.9,
}  # fmt: skip
UNREAD = [
    "", "high", "very sure", "nine out of 10", "80-90%", "80% - 90%", "80 to 90%", "0.8-0.9",
    "between 80 and 90%", "-5%", "-0.5", "\u22120.5", "0,9", "90,5%", "150%", "1.5", "10/9", "9/0",
    "9/10/2024", "90% or 80%", "90% or 90,5%", "at least 90%", ">90%", "90 ± 5%", "±5%", "1/2 3/4",
    "90", "0.9f", "12.5k", "a 50/50 chance", "GPT-4", "nan", "inf", "5e400", "0.9 and 0.1",
    "Confidence: 80-90", "1.2.3", "Probability: -0.2", "80% of tests pass. Confidence: 0.9",
    "Confidence: 90%-95%",
]  # fmt: skip


def test_confidence_is_read():
    np.testing.assert_allclose(parse_confidence(list(READ)), list(READ.values()), rtol=1e-15)


@pytest.mark.parametrize("text", UNREAD)
def test_what_is_not_one_number_is_not_guessed(text):
    with pytest.warns(MissingSignalWarning, match="1 of 1 outputs have no verbalized confidence"):
        assert np.isnan(parse_confidence([text])).all()


def test_bare_percentages():
    texts = ["90", "90%", "0.9", "Confidence: 75", "9/10", 60]
    found = parse_confidence(texts, bare="percent")
    np.testing.assert_allclose(found, [0.9, 0.9, 0.009, 0.75, 0.9, 0.6])
    with pytest.warns(MissingSignalWarning, match="can't read '101'"):
        assert np.isnan(parse_confidence(["101"], bare="percent"))


def test_texts_of_any_column():
    x = ["90%", None, "20%"]
    for column in (x, np.array(x, dtype=object), pd.Series(x), pl.Series(x), pa.array(x)):
        with pytest.warns(MissingSignalWarning, match=r"1 of 3 .*output 1: no text"):
            np.testing.assert_allclose(parse_confidence(column), [0.9, np.nan, 0.2])
    with pytest.warns(MissingSignalWarning, match="2 of 3"):
        np.testing.assert_array_equal(
            parse_confidence([10**400, 0.5, np.inf]), [np.nan, 0.5, np.nan]
        )
    with pytest.raises(TypeError, match=r"holds \['90%'\] .list. at output 0; expected text"):
        parse_confidence([["90%"]])
    with pytest.raises(TypeError, match="texts is '90%'"):
        parse_confidence("90%")
    with pytest.raises(ValueError, match="bare='odds'"):
        parse_confidence(x, bare="odds")


def test_long_texts_take_no_time():
    import time

    start = time.perf_counter()
    for text in (
        "1" * 50_000,
        "1" + " " * 50_000 + "%",
        "1" + " \n" * 50_000 + "%",
        "1," * 20_000,
        "9/" * 20_000,
        "<a" * 20_000,
        "confidence " * 5_000,
        "confidence (" * 5_000,
        "0.9 " * 10_000,
        "1-" * 20_000,
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parse_confidence([text])
    assert time.perf_counter() - start < 10


# Agreement and tests


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, pl.Series])
def test_agreement_is_the_share_of_equal_answers(kind):
    rng = np.random.default_rng(4)
    answers, groups = rng.integers(0, 4, 200).astype(str), rng.integers(0, 20, 200)
    same = (answers[:, None] == answers) & (groups[:, None] == groups)
    samples = (groups[:, None] == groups).sum(axis=1)
    x, g = kind(answers.tolist()), kind(groups.tolist())
    np.testing.assert_allclose(agreement(x, g), same.sum(axis=1) / samples)
    np.testing.assert_allclose(
        agreement(x, g, leave_one_out=True), (same.sum(axis=1) - 1) / (samples - 1)
    )


def test_agreement_without_answers():
    x = ["a", None, "a", float("nan"), (1, 2)]
    with pytest.warns(MissingSignalWarning, match=r"2 of 5 .*output 1: no answer"):
        np.testing.assert_allclose(agreement(x, [0] * 5), [0.4, np.nan, 0.4, np.nan, 0.2])
    with pytest.warns(MissingSignalWarning, match=r"1 of 3 .*output 2: the only sample of its"):
        found = agreement([1, 1, 1], ["a", "a", "b"], leave_one_out=True)
    np.testing.assert_allclose(found, [1, 1, np.nan])
    with pytest.warns(MissingSignalWarning):
        assert np.isnan(agreement([None, None], [0, 0])).all()
    assert agreement([], []).shape == (0,)


def test_bad_agreement():
    with pytest.raises(TypeError, match=r"can't be compared .*repr"):
        agreement([[1], [1]], [0, 0])
    with pytest.raises(ValueError, match="groups has no value at row 1"):
        agreement(["a", "a"], [0, None])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        agreement(["a", "a"], [0])
    with pytest.raises(TypeError, match="leave_one_out='yes'"):
        agreement(["a"], [0], leave_one_out="yes")


def test_shares_of_tests_passed():
    rate = codegen.test_pass_rate
    x = [[True, False, True], [0, 0], [1.0]]
    for tests in (x, pd.Series(x), [np.array(v) for v in x]):
        np.testing.assert_allclose(rate(tests), [2 / 3, 0, 1])
    bools = [[True, False], [True]]
    for tests in (pa.array(bools), pl.Series(bools), np.array([[True, False], [True, True]])):
        np.testing.assert_allclose(rate(tests), [0.5, 1])
    with pytest.warns(MissingSignalWarning, match=r"2 of 3 .*output 0: no tests"):
        np.testing.assert_allclose(rate([[], [True, None], [False]]), [np.nan, np.nan, 0])
    with pytest.raises(ValueError, match=r"passed holds 0.5; expected True or False"):
        rate([[0.5]])


def test_two_answers_without_any_probability_have_no_ratio():
    with pytest.warns(MissingSignalWarning):
        assert np.isnan(p_true([{"True": -np.inf, "False": -9999.0}], normalised=True)).all()
    assert p_true([{"True": -np.inf, "False": -9999.0}]) == 0
