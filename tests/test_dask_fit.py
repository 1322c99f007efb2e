"""Fit and predictions of Dask collections: the numbers of plain arrays, in few passes."""

import re
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB

import calibkit
from calibkit import (
    BetaCalibrator,
    CalibratedClassifier,
    HistogramBinningCalibrator,
    IsotonicCalibrator,
    MatrixScalingCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
    VectorScalingCalibrator,
    displays,
)
from calibkit._core import partitions
from calibkit._core.labels import SOFT
from calibkit._registry import CALIBRATORS
from calibkit.decisions import RiskControlledThreshold
from calibkit.metrics import METRICS
from calibkit.online import OnlineCalibratedClassifier

from .registry import EXAMPLES, name_of

dask = pytest.importorskip("dask", reason="Dask, the extra dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")

FITTED = [example for example in EXAMPLES if type(example).__name__ in partitions.FITTED]
#: Matrix scaling has the solver of vector scaling; classes_case is for it.
BINARY = [
    example
    for example in FITTED
    if "lift" not in example._traits and not isinstance(example, MatrixScalingCalibrator)
]
MULTI = [example for example in FITTED if "multiclass" in example._traits]


@pytest.fixture(autouse=True)
def synchronous():
    with dask.config.set(scheduler="synchronous"):
        yield


def split(values, sizes=(10, 0, 300, 1)):
    """A Dask array of uneven chunks, some of them empty."""
    rest = len(values) - sum(sizes)
    chunks = (*sizes, rest // 3, rest - rest // 3)
    return da.from_array(values, chunks=(chunks, *((k,) for k in values.shape[1:])))


def rows(n=40_000, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    return 1 / (1 + np.exp(-2 * z)), y, rng


def case(name):
    """Scores, labels and weights of a kind of data."""
    p, y, rng = rows(900 if name == "few" else 40_000)
    w = None
    if name == "ties":
        p = p.round(2)
    elif name == "weights":
        w = rng.integers(0, 4, len(y)) * 0.5
    elif name == "ends":
        p[rng.random(len(p)) < 0.1] = 0.0
        p[rng.random(len(p)) < 0.1] = 1.0
    elif name == "rare":
        y = np.zeros(len(y), dtype=int)
        y[np.argsort(p)[[500, 20_000, 39_000]]] = 1
    elif name == "separated":
        y = (p > 0.4).astype(int)
    elif name == "reversed":
        p = 1 - p
    elif name == "constant":
        p = np.full(len(p), 0.3)
    elif name == "texts":
        y = np.array(["no", "yes"], dtype=object)[y]
    elif name == "two_columns":
        p = np.column_stack((1 - p, p))
    elif name == "float32":
        p = p.astype(np.float32)
    return p, y, w


CASES = [
    "few", "plain", "ties", "weights", "ends", "rare", "separated", "reversed", "constant",
    "texts", "two_columns", "float32",
]  # fmt: skip


def told(cal, *args):
    """A fitted calibrator, and the kinds of warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cal.fit(*args)
    ours = [w for w in caught if issubclass(w.category, calibkit.CalibrationWarning)]
    return cal, sorted((w.category.__name__, str(w.message)) for w in ours)


#: Their search stops at an excess mean loss of 1e-18. So slopes on which the loss hardly depends,
#: and what is learned from them, agree less than probabilities do.
SEARCHED = {"intercept_", "slope_", "strength_"}


def assert_same(one, other, rtol=1e-12):
    assert list(one.classes_) == list(other.classes_)
    searched = SEARCHED if one.name in ("vector_scaling", "matrix_scaling") else ()
    for name in one._state:
        a, b = (np.asarray(getattr(c, name), dtype=float) for c in (one, other))
        assert a.shape == b.shape, name
        near = (1e-8, 1e-10) if name in searched else (rtol, 1e-13)
        np.testing.assert_allclose(b, a, *near, err_msg=name)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("example", BINARY, ids=name_of)
def test_the_same_fit(example, name):
    p, y, w = case(name)
    plain, said = told(clone(example), p, y, w)
    parted, said_too = told(clone(example), split(p), split(y), None if w is None else split(w))
    assert_same(plain, parted)
    assert said == said_too
    assert parted.fitted_on_.rows == plain.fitted_on_.rows
    np.testing.assert_allclose(parted.predict_proba(p), plain.predict_proba(p), atol=1e-12)


def classes_case(name):
    """Scores of K classes, labels, weights and the settings of the calibrator."""
    rng = np.random.default_rng(3)
    n, k = (900, 3) if name == "few" else (45_000, 4)
    z = rng.normal(size=(n, k))
    y = (z + rng.gumbel(size=(n, k))).argmax(axis=1)
    x, w, settings = 2 * z, None, {"scale": "logit"}
    if name == "weights":
        w = rng.integers(0, 3, n) * 1.5
    elif name == "float32":
        x = x.astype(np.float32)
    elif name == "separated":
        y = x.argmax(axis=1)
    elif name == "missing":
        y[y == 2] = 0
        settings["classes"] = [0, 1, 2, 3]
    elif name == "probabilities":
        x, settings = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), {}
        x[rng.random(n) < 0.05] = np.eye(k)[1]
    elif name == "rounded":
        x, settings = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)).round(3), {}
    elif name == "masked":
        x[:, 3] = -1e9
        y[y == 3] = 0
        settings["classes"] = [0, 1, 2, 3]
    return x, y, w, settings


CLASSES = [
    "few", "plain", "weights", "float32", "separated", "missing", "probabilities", "rounded",
    "masked",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*were divided by their sums")
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("example", MULTI, ids=name_of)
def test_the_same_fit_of_many_classes(example, name):
    x, y, w, settings = classes_case(name)
    cal = clone(example).set_params(**settings)
    plain, said = told(clone(cal), x, y, w)
    parted, said_too = told(clone(cal), split(x), split(y), None if w is None else split(w))
    rtol = 1e-9 if name == "float32" else 1e-12
    assert_same(plain, parted, rtol)
    np.testing.assert_allclose(parted.predict_proba(x), plain.predict_proba(x), atol=rtol)
    assert {kind for kind, _ in said} == {kind for kind, _ in said_too}
    proba = parted.predict_proba(split(x))
    assert proba.shape == (len(y), 4 - (name == "few"))
    np.testing.assert_array_equal(proba.compute(), parted.predict_proba(x))
    np.testing.assert_array_equal(parted.predict(split(x)).compute(), parted.predict(x))


SORTED = [
    IsotonicCalibrator(),
    IsotonicCalibrator(interpolation="centred", min_probability=None),
    HistogramBinningCalibrator(n_bins="auto"),
    HistogramBinningCalibrator(points_per_bin=2, smoothing=0.0),
    HistogramBinningCalibrator(n_bins=1),
    HistogramBinningCalibrator(n_bins=3, strategy="uniform"),
]


def small_case(rng, scale):
    """A few rows of any kind: ties, ties but for rounding, weights, few events, extreme scores."""
    n = int(rng.integers(3, 40))
    p = rng.choice([rng.random(n), rng.integers(0, 5, n) / 4, np.full(n, 0.3)])
    if rng.random() < 0.3:
        p = np.where(rng.random(n) < 0.5, p, np.nextafter(p, 0.5))
    if rng.random() < 0.3:
        p[rng.random(n) < 0.2] = rng.choice([0.0, 1.0, 1e-300])
    y = (rng.random(n) < rng.choice([0.1, 0.5])).astype(int)
    y[:2] = 0, 1
    # Sums of multiples of 1/4 are exact in any order.
    w = rng.integers(0, 5, n) * 0.25 if rng.random() < 0.5 else None
    if w is not None:
        w[:3] = 1.0
    return (p if scale == "probability" else 8.0 * p - 3.0), y, w


def anyhow(values, ends):
    return None if values is None else da.from_array(values, chunks=(tuple(np.diff(ends)),))


@pytest.mark.filterwarnings("ignore::calibkit.CalibrationWarning")
@pytest.mark.parametrize("scale", ["probability", "logit"])
@pytest.mark.parametrize("example", SORTED, ids=name_of)
def test_sorted_fits_are_those_of_all_rows_in_any_partitions(example, scale):
    rng = np.random.default_rng(7)
    for _ in range(25):
        x, y, w = small_case(rng, scale)
        n = len(y)
        ends = np.sort(rng.integers(0, n + 1, int(rng.choice([1, 4, 2 * n]))))
        ends = np.concatenate(([0], ends, [n]))
        cal = clone(example).set_params(scale=scale)
        plain, said = told(clone(cal), x, y, w)
        parted, said_too = told(clone(cal), *(anyhow(values, ends) for values in (x, y, w)))
        assert said == said_too
        assert_same(plain, parted)
        if not isinstance(cal, IsotonicCalibrator):
            np.testing.assert_array_equal(parted.borders_, plain.borders_)
            np.testing.assert_array_equal(parted.count_, plain.count_)
        elif cal.interpolation == "step":
            np.testing.assert_array_equal(parted.x_, plain.x_)


def test_borders_of_many_bins_are_equal():
    p, y, rng = rows()
    for x in (p, p.round(3)):
        for w in (None, rng.random(len(y))):
            cal = HistogramBinningCalibrator(n_bins=997)
            parted = clone(cal).fit(split(x), split(y), None if w is None else split(w))
            np.testing.assert_array_equal(parted.borders_, clone(cal).fit(x, y, w).borders_)


@pytest.mark.parametrize(
    "example", [IsotonicCalibrator(), HistogramBinningCalibrator()], ids=name_of
)
def test_memory_per_distinct_score(example):
    n = 400_000
    p, y, rng = rows(n)
    lazy = [da.from_array(values, chunks=n // 20) for values in (p, y, rng.random(n))]
    tracemalloc.start()
    example.fit(*lazy)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120 * n


def test_certificate_of_bins_knows_ties_and_weights():
    p, y, _ = case("plain")
    cal = HistogramBinningCalibrator().fit(split(p), split(y))
    assert cal.certify_bins() == HistogramBinningCalibrator().fit(p, y).certify_bins()
    p[7] = p[-1]  # of different partitions
    with pytest.raises(calibkit.base.InputError, match="scores are equal"):
        HistogramBinningCalibrator().fit(split(p), split(y)).certify_bins()


@pytest.mark.parametrize("scale", ["probability", "logit"])
def test_eps_and_scales(scale):
    p, y, _ = case("ends")
    x = p if scale == "probability" else np.log(p + 1e-9) - np.log1p(1e-9 - p)
    for eps in (0.01, "auto"):
        cal = PlattCalibrator(scale=scale, eps=eps)
        plain, said = told(clone(cal), x, y)
        parted, said_too = told(clone(cal), split(x), split(y))
        assert_same(plain, parted)
        assert said == said_too


@pytest.mark.parametrize("cls", {type(e): e for e in EXAMPLES}, ids=lambda cls: cls.__name__)
def test_each_calibrator_takes_dask_or_refuses(cls):
    p, y, _ = case("few")
    cal = clone(next(e for e in EXAMPLES if type(e) is cls))
    if cls.__name__ in partitions.FITTED:
        assert cal.fit(split(p), split(y)) is cal
        return
    tasks = count_tasks()
    with tasks, pytest.raises(calibkit.base.InputError, match=r"compute\(\).* PlattCalibrator"):
        cal.fit(split(p), split(y))
    assert tasks.n == 0
    assert not hasattr(cal, "classes_")


def test_metrics_do_not_pull_the_rows():
    p, y, _ = case("few")
    for name in ("sample_weight", "groups"):
        with pytest.raises(calibkit.base.InputError, match=f"{name} is a Dask collection"):
            calibkit.estimate("brier_score", y, p, **{name: split(p)})


X = np.random.default_rng(0).normal(size=(900, 2))
LABELS = np.arange(900) % 2


def wrapped(cls):
    return cls(GaussianNB()).fit(X, LABELS)


#: Calls with probabilities and labels; classifiers get rows of features in place of the former.
GATHERING = {
    **{name: lambda p, y, m=metric: m.function(y, p) for name, metric in METRICS.items()},
    **{
        f"{d.__name__}.from_predictions": lambda p, y, d=d: d.from_predictions(
            y, p, **({"by": p} if d is displays.GroupDisplay else {})
        )
        for d in vars(displays).values()
        if hasattr(d, "from_predictions")
    },
    **{
        f"{name_of(e)}.partial_fit": lambda p, y, e=e: clone(e).partial_fit(p, y)
        for e in EXAMPLES
        if hasattr(e, "partial_fit")
    },
    "certify": lambda p, y: calibkit.certify(y, p),
    "calibration_test": lambda p, y: calibkit.calibration_test("ks", y, p),
    "compare": lambda p, y: calibkit.compare("brier_score", y, {"a": p, "b": p}),
    "compare_calibrators": lambda p, y: calibkit.compare_calibrators(p, y),
    "group_table": lambda p, y: calibkit.group_table(y, p, by=p),
    "threshold": lambda p, y: RiskControlledThreshold().fit(p, y),
    "wrapped fit": lambda p, y: CalibratedClassifier(GaussianNB()).fit(split(X), y),
    "wrapped predict": lambda p, y: wrapped(CalibratedClassifier).predict(split(X)),
    "wrapped predict_proba": lambda p, y: wrapped(CalibratedClassifier).predict_proba(split(X)),
    "wrapped stream": lambda p, y: wrapped(OnlineCalibratedClassifier).predict_then_update(
        split(X), y
    ),
}


@pytest.mark.parametrize("name", GATHERING)
def test_no_rows_are_gathered_unasked(name):
    p, y, _ = case("few")
    tasks = count_tasks()
    with tasks, pytest.raises(calibkit.base.InputError, match=r"\w is a Dask collection.*compute"):
        GATHERING[name](split(p), split(y))
    assert tasks.n == 0


class count_tasks(dask.callbacks.Callback):
    """Counts the tasks of Dask, and the graphs that are computed."""

    def __init__(self):
        super().__init__()
        self.n = self.graphs = 0

    def _start(self, dsk):
        self.graphs += 1

    def _posttask(self, *args):
        self.n += 1


@pytest.mark.parametrize(
    ("example", "most"),
    [
        (PlattCalibrator(), 8),
        (BetaCalibrator(), 8),
        (TemperatureCalibrator(), 14),
        (VectorScalingCalibrator(), 40),
        (IsotonicCalibrator(), 3),
        (HistogramBinningCalibrator(), 3),
        (HistogramBinningCalibrator(strategy="uniform"), 3),
    ],
)
def test_few_passes(example, most):
    p, y, _ = case("plain")
    with count_tasks() as passes:
        clone(example).fit(split(p), split(y))
    assert passes.graphs <= most


@pytest.mark.parametrize("labels", [False, True])
def test_lazy_predictions(labels):
    p, y, _ = case("few")
    cal = PlattCalibrator().fit(p, y)
    call = cal.predict if labels else cal.predict_proba
    with count_tasks() as passes:
        lazy = [call(split(x)) for x in (p, p[:, None], np.column_stack((1 - p, p)))]
    assert passes.graphs == 0
    for got in lazy:
        assert got.dtype == call(p).dtype
        assert got.shape == call(p).shape
        np.testing.assert_array_equal(got.compute(), call(p))


def test_frames_keep_their_index_and_name_classes():
    p, y, _ = case("texts")
    index = pd.Index(np.arange(len(p)) * 2 + 5, name="id")
    frame = pd.DataFrame({"score": p, "label": y}, index=index)
    lazy = dd.from_pandas(frame, npartitions=3)
    for X, plain in ((lazy[["score"]], frame[["score"]]), (lazy.score, frame.score)):
        cal = PlattCalibrator().fit(X, lazy.label)
        assert_same(PlattCalibrator().fit(plain, frame.label), cal)
        proba = cal.predict_proba(X)
        assert list(proba.columns) == ["no", "yes"]
        assert [str(dtype) for dtype in proba.dtypes] == 2 * ["float64"]
        got = proba.compute()
        assert got.index.equals(index)
        np.testing.assert_array_equal(got.to_numpy(), cal.predict_proba(plain))
    labels = cal.predict(lazy.score)
    assert labels.dtype == cal.predict(frame.score).dtype or labels.dtype == "string"
    np.testing.assert_array_equal(labels.compute().to_numpy(), cal.predict(frame.score))


def test_columns_named_after_classes():
    p, y, _ = case("texts")
    frame = pd.DataFrame({"yes": p, "no": 1 - p})
    lazy, labels = dd.from_pandas(frame, npartitions=3), pd.Series(y)
    plain = PlattCalibrator().fit(frame, labels)
    cal = PlattCalibrator().fit(lazy, dd.from_pandas(labels, npartitions=3))
    assert_same(plain, cal)
    assert list(cal.feature_names_in_) == ["yes", "no"]
    np.testing.assert_array_equal(cal.predict_proba(lazy).compute(), cal.predict_proba(frame))


def test_unknown_chunk_sizes():
    p, y, _ = case("weights")
    frame = dd.from_pandas(pd.DataFrame({"p": p, "y": y}), npartitions=4)
    p_lazy, y_lazy = frame.p.to_dask_array(), frame.y.to_dask_array()
    assert np.isnan(p_lazy.shape[0])
    cal = PlattCalibrator().fit(p_lazy, y_lazy)
    assert_same(PlattCalibrator().fit(p, y), cal)
    np.testing.assert_array_equal(cal.predict_proba(p_lazy).compute(), cal.predict_proba(p))


def test_chunks_of_labels_follow_those_of_scores():
    p, y, _ = case("plain")
    cal = PlattCalibrator().fit(split(p), da.from_array(y, chunks=9_000))
    assert_same(PlattCalibrator().fit(p, y), cal)


def wrong(name):
    """Invalid rows, and what the message says."""
    p, y, _ = case("few")
    w = None
    y = y.astype(float)
    if name == "nan":
        p[17] = np.nan
        said = "partition 2: X contains NaN (first at row 7)"
    elif name == "label":
        y[400] = np.nan
        said = "partition 4: y contains NaN or infinity (first at row 89)"
    elif name == "weight":
        w = np.ones(len(y))
        w[12] = -1.0
        said = "partition 2: sample_weight is negative (-1 at row 2)"
    elif name == "zero":
        w = np.zeros(len(y))
        said = "sample_weight is zero in every row"
    elif name == "range":
        p[0] = 3.0
        said = "partition 0: X holds values outside [0, 1] (3 at row 0"
    elif name == "one":
        y[:] = 1.0
        said = "y holds one class only, 1.0"
    elif name == "three":
        y[5] = 2.0
        said = "Only binary classification is supported"
    elif name == "fractions":
        y[5] = 0.5
        said = "partition 0: y holds fractions"
    return p, y, w, said


@pytest.mark.parametrize(
    "name", ["nan", "label", "weight", "zero", "range", "one", "three", "fractions"]
)
def test_errors_name_the_partition_and_change_nothing(name):
    p, y, w, said = wrong(name)
    cal = PlattCalibrator().fit([0.2, 0.6, 0.7], [0, 1, 0])
    before = dict(vars(cal))
    with pytest.raises(calibkit.base.InputError, match=re.escape(said)) as error:
        cal.fit(split(p), split(y), None if w is None else split(w))
    assert error.value.caller == "PlattCalibrator.fit"
    assert vars(cal) == before


def test_what_must_match():
    p, y, _ = case("few")
    frame = pd.DataFrame({"p": p, "y": y})
    with pytest.raises(calibkit.base.InputError, match="beside Dask collections"):
        PlattCalibrator().fit(split(p), y)
    for odd in (dask.delayed(p), split(p).sum()):
        with pytest.raises(calibkit.base.InputError, match=r"X is an? .* beside Dask collections"):
            PlattCalibrator().fit(odd, split(y))
        with pytest.raises(calibkit.base.InputError, match=r"X is an? .*; expected an array, or"):
            PlattCalibrator().fit(p, y).predict_proba(odd)
    with pytest.raises(calibkit.base.InputError, match="expected no groups"):
        PlattCalibrator().fit(split(p), split(y), None, split(y))
    two, three = (dd.from_pandas(frame, npartitions=k) for k in (2, 3))
    with pytest.raises(calibkit.base.InputError, match="the same partitions"):
        PlattCalibrator().fit(three.p, two.y)
    uneven = da.concatenate([da.from_array(y[:400]), da.from_array(y[400:])])
    with pytest.raises(calibkit.base.InputError, match="partition 0: X has 450 rows and y has 4"):
        PlattCalibrator().fit(two.p, uneven)


def test_a_cluster_of_two_processes():
    distributed = pytest.importorskip("distributed")
    p, y, w = case("weights")
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        dask.config.set(scheduler="dask.distributed"),
        distributed.LocalCluster(**settings) as cluster,
        distributed.Client(cluster),
    ):
        cal = PlattCalibrator().fit(split(p), split(y), split(w))
        proba = cal.predict_proba(split(p)).compute()
    assert_same(PlattCalibrator().fit(p, y, w), cal)
    np.testing.assert_array_equal(proba, cal.predict_proba(p))


def test_the_list_of_calibrators():
    assert {c.__name__ for c in CALIBRATORS.values() if takes_parts(c)} == {*partitions.FITTED}
    assert not {*partitions.FITTED} - {c.__name__ for c in CALIBRATORS.values()}
    assert SOFT  # the same kind of list


def takes_parts(cls):
    return cls._fit_parts is not calibkit.base.BaseCalibrator._fit_parts


def test_dask_is_not_imported():
    code = (
        "import sys, numpy, calibkit; calibkit.PlattCalibrator().fit([.1, .4, .9], [0, 1, 1])"
        ".predict_proba([.3]); print([m for m in sys.modules if m.partition('.')[0] == 'dask'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
