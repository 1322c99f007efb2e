"""DriftDisplay: its numbers are those of the metrics, its lines and marks those of its numbers."""

from __future__ import annotations

import sys
from itertools import pairwise

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.testing import assert_allclose, assert_array_equal
from numpydoc.validate import validate
from sklearn.base import clone

import calibkit
from calibkit import (
    CalibrationAlarm,
    DriftDisplay,
    PlattCalibrator,
    compare_online_calibrators,
    prequential_errors,
)
from calibkit.online import (
    HedgingCalibrator,
    OnlinePlattCalibrator,
    OnlineTemperatureCalibrator,
    TrackingCalibrator,
    WindowedCalibrator,
)

from .test_docstrings import IGNORED

predictions = DriftDisplay.from_predictions
PANELS = ("calibration_error", "sharpness")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def stream(n=3000, seed=0):
    """Log-odds that become over-confident, and labels."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, n)
    slope = np.linspace(1.0, 0.2, n)
    return z, (rng.random(n) < 1 / (1 + np.exp(-slope * z))).astype(int)


def two_methods(n=3000):
    z, y = stream(n)
    p = 1 / (1 + np.exp(-z))
    return y, {"raw": p, "shrunk": 0.25 + 0.5 * p}


def artist(ax, gid):
    """The one artist with this gid."""
    found = ax.findobj(lambda a: a.get_gid() == gid)
    assert len(found) == 1, (gid, found)
    return found[0]


def has(ax, gid):
    return bool(ax.findobj(lambda a: a.get_gid() == gid))


def key_of(display):
    return [text.get_text() for text in display.ax_[0].get_legend().get_texts()]


# --- the methods


def test_the_default_methods_are_those_of_the_paper():
    z, y = stream()
    got = compare_online_calibrators(
        z, y, scale="logit", first_fit=400, refit_every=300, random_state=3
    )
    platt, ops = PlattCalibrator(scale="logit"), OnlinePlattCalibrator(scale="logit")
    by_hand = {
        "Fixed Platt": WindowedCalibrator(platt, first_fit=400, refit=False),
        "Windowed Platt": WindowedCalibrator(platt, first_fit=400, refit_every=300),
        "OPS": ops,
        "TOPS": TrackingCalibrator(ops, smoothing=0),
        "HOPS": HedgingCalibrator(ops, random_state=3),
    }
    assert list(got) == ["Base", *by_hand]
    assert_allclose(got["Base"], 1 / (1 + np.exp(-z)))
    for name, calibrator in by_hand.items():
        assert_array_equal(got[name], calibrator.predict_then_update(z, y)[:, 1])
    # Fixed Platt is a batch fit to the first labels, and stays it.
    late = PlattCalibrator(scale="logit").fit(z[:400], y[:400]).predict_proba(z[400:])[:, 1]
    assert_allclose(got["Fixed Platt"][400:], late)
    assert_array_equal(got["Fixed Platt"][:400], got["Base"][:400])


def test_methods_of_ones_own_are_cloned():
    z, y = stream(500)
    mine = OnlinePlattCalibrator(scale="logit", discount=0.99)
    got = compare_online_calibrators(z, y, scale="logit", methods={"scores": None, "mine": mine})
    assert list(got) == ["scores", "mine"]
    assert not hasattr(mine, "classes_")
    assert_array_equal(got["mine"], clone(mine).predict_then_update(z, y)[:, 1])


def test_forecasts_do_not_know_later_labels():
    z, y = stream(2500)
    other = y.copy()
    other[2000:] = 1 - other[2000:]
    first = compare_online_calibrators(z, y, scale="logit", random_state=0)
    second = compare_online_calibrators(z, other, scale="logit", random_state=0)
    for name in first:
        assert_array_equal(first[name][:2001], second[name][:2001])


def test_missing_labels_words_and_many_classes():
    z, y = stream(1000)
    words = [None if i % 5 == 0 else ("no", "yes")[v] for i, v in enumerate(y)]
    holes = np.where(np.arange(1000) % 5 == 0, np.nan, y)
    p = 1 / (1 + np.exp(-z))
    given = compare_online_calibrators(p, words, classes=["no", "yes"], random_state=0)
    for name, forecast in compare_online_calibrators(p, holes, random_state=0).items():
        assert_array_equal(forecast, given[name])
    rng = np.random.default_rng(0)
    q = rng.dirichlet([1, 1, 1], 300)
    labels = rng.integers(0, 3, 300)
    methods = {"scores": None, "temperature": OnlineTemperatureCalibrator()}
    many = compare_online_calibrators(q, labels, methods=methods)
    assert_allclose(many["scores"], q)
    assert many["temperature"].shape == (300, 3)
    display = DriftDisplay.from_predictions(labels, many, kind="top_label", window=50)
    assert list(display.curves_) == ["scores", "temperature"]


def test_bad_methods():
    z, y = stream(100)
    with pytest.raises(TypeError, match=r"methods\['x'\] is a PlattCalibrator"):
        compare_online_calibrators(z, y, scale="logit", methods={"x": PlattCalibrator()})
    with pytest.raises(ValueError, match="expected a dict of one or more methods"):
        compare_online_calibrators(z, y, scale="logit", methods={})
    with pytest.raises(ValueError, match="scale='odds'"):
        compare_online_calibrators(z, y, scale="odds")
    with pytest.raises(ValueError, match="first_fit=1"):
        compare_online_calibrators(z, y, scale="logit", first_fit=1)
    with pytest.raises(ValueError, match=r"values outside \[0, 1\]"):
        compare_online_calibrators(z, y)


# --- the numbers


@pytest.mark.parametrize("window", [None, 400])
def test_lines_are_the_errors(window):
    y, methods = two_methods()
    times = np.arange(600, 3001, 200)
    display = predictions(y, methods, window=window, start=500, n_bins=7, times=times)
    for model, p in methods.items():
        report = prequential_errors(y, p, window=window, start=500, n_bins=7, times=times)
        assert_array_equal(display.forecasts_[model], p)
        for ax, name in zip(display.ax_, PANELS, strict=True):
            assert_array_equal(getattr(display.curves_[model], name), getattr(report, name))
            line = artist(ax, f"{name}:{model}")
            assert_array_equal(line.get_xdata(), times)
            assert_array_equal(line.get_ydata(), getattr(report, name))
            assert line.get_linestyle() == "-"
            assert has(ax, f"{name}:{model}:sliding") == (window is not None)
            if window is not None:
                dashed = artist(ax, f"{name}:{model}:sliding")
                assert_array_equal(dashed.get_ydata(), getattr(report.sliding, name))
                assert dashed.get_linestyle() == "--"
                assert dashed.get_color() == line.get_color()
    first = display.curves_["raw"]
    assert_array_equal(artist(display.ax_[0], "chance").get_ydata(), first.chance)
    colours = {artist(display.ax_[0], f"calibration_error:{m}").get_color() for m in methods}
    assert len(colours) == 2


def test_one_call_from_scores():
    z, y = stream()
    display = DriftDisplay.from_scores(z, y, scale="logit", window=500, random_state=0)
    forecasts = compare_online_calibrators(z, y, scale="logit", random_state=0)
    assert list(display.curves_) == ["Base", "Fixed Platt", "Windowed Platt", "OPS", "TOPS", "HOPS"]
    for name, forecast in forecasts.items():
        assert_array_equal(display.forecasts_[name], forecast)
        report = prequential_errors(y, forecast, start=600, window=500)
        assert_array_equal(display.curves_[name].calibration_error, report.calibration_error)
        assert_array_equal(display.curves_[name].sliding.sharpness, report.sliding.sharpness)
    last = {name: curve.calibration_error[-1] for name, curve in display.curves_.items()}
    assert last["OPS"] < last["Base"]  # the scores become over-confident
    assert repr(display).startswith("DriftDisplay(Base, Fixed Platt")


def test_start_follows_the_first_fit():
    z, y = stream()
    ops = {"OPS": OnlinePlattCalibrator(scale="logit")}
    settings = {"scale": "logit", "methods": ops}
    for given, start in (({}, 600), ({"first_fit": 50}, 50), ({"first_fit": 50, "start": 0}, 0)):
        display = DriftDisplay.from_scores(z, y, times=[3000], **settings, **given)
        assert display.curves_["OPS"].n[0] == 3000 - start
    assert "from the start" in key_of(display)[0]


def test_alarms_are_those_of_the_alarm():
    y, methods = two_methods()
    labels = np.where(np.arange(3000) % 4 == 0, np.nan, y)
    display = predictions(labels, methods, alarm=0.01, start=300)
    for model, p in methods.items():
        alarm = CalibrationAlarm(0.01)
        log_e = alarm.trace(labels[300:], p[300:])
        rows = 300 + int(np.argmax(log_e >= np.log(100))) + 1 if alarm.alarm_ else None
        assert display.alarms_[model] == rows
    assert None not in display.alarms_.values()
    mark = artist(display.ax_[0], "alarm:raw")
    assert mark.get_xdata()[0] == display.alarms_["raw"]
    curve = display.curves_["raw"]
    expected = np.interp(display.alarms_["raw"], curve.time, curve.calibration_error)
    assert mark.get_ydata()[0] == expected
    assert "alarm (1% false alarms)" in key_of(display)
    quiet = predictions(y, methods)
    assert quiet.alarms_ == {}
    assert not has(quiet.ax_[0], "alarm:raw")
    assert len(key_of(quiet)) == 2


def test_a_silent_alarm_is_not_drawn():
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    display = predictions(rng.random(1000) < p, p, alarm=0.01, name="right")
    assert display.alarms_ == {"right": None}
    assert key_of(display) == ["right, from the start", "by chance, if calibrated"]


def test_frame():
    y, methods = two_methods(1000)
    frame = predictions(y, methods, window=200, times=[500, 1000]).frame()
    assert frame["method"].tolist() == ["raw"] * 4 + ["shrunk"] * 4
    assert frame["window"].tolist() == [0, 0, 200, 200] * 2
    row = frame.query("method == 'shrunk' and window == 200 and time == 1000")
    report = prequential_errors(y, methods["shrunk"], window=200, times=[500, 1000])
    assert row["brier"].item() == report.sliding.brier[1]


# --- the picture


def test_the_key_says_what_the_lines_are():
    y, methods = two_methods()
    assert key_of(predictions(y, methods, window=400, start=1000)) == [
        "from row 1,000 on",
        "last 400 rows",
        "by chance, if calibrated",
    ]
    assert key_of(predictions(y, methods["raw"]))[0] == "from the start"


def test_panels_share_the_time_and_begin_at_no_error():
    y, methods = two_methods()
    display = predictions(y, methods)
    error, sharp = display.ax_
    assert error.get_xlim() == sharp.get_xlim()
    assert error.get_ylim()[0] == 0
    assert (error.get_ylabel(), sharp.get_ylabel()) == ("Calibration error", "Sharpness")
    assert sharp.get_xlabel() == "Rows"
    # All that is settled is inside.
    for model in methods:
        curve = display.curves_[model]
        for ax, name, least in zip(display.ax_, PANELS, (300, 100), strict=True):
            values = getattr(curve, name)[curve.n >= least]
            assert ax.get_ylim()[0] <= values.min()
            assert values.max() <= ax.get_ylim()[1]


def test_sharpness_that_falls_stays_inside():
    rng = np.random.default_rng(0)
    p = np.where((np.arange(4000) < 300)[:, None], [0.96, 0.02, 0.02], [0.4, 0.35, 0.25])
    y = (p.cumsum(axis=1) > rng.random(4000)[:, None]).argmax(axis=1)
    display = predictions(y, p, kind="top_label", window=100)
    low, high = display.ax_[1].get_ylim()
    for curve in (display.curves_["Model"], display.curves_["Model"].sliding):
        values = curve.sharpness[curve.n >= 100]
        assert low <= values.min()
        assert values.max() <= high


@pytest.mark.parametrize("start", [0, 2900])
def test_marks_of_alarms_stand_off_the_frame(start):
    y = np.ones(3000)
    display = predictions(y, {"a": np.full(3000, 0.01), "b": np.full(3000, 0.2)}, alarm=0.05,
                          start=start, classes=[0, 1])  # fmt: skip
    display.figure_.draw_without_rendering()
    panel = display.ax_[0].get_window_extent()
    for model in display.curves_:
        mark = artist(display.ax_[0], f"alarm:{model}")
        ((x, y),) = display.ax_[0].transData.transform(mark.get_xydata())
        half = 3.5 / 72 * display.figure_.dpi  # of the mark, without its white rim
        assert panel.x0 < x - half
        assert panel.y0 < y - half
        assert y + half < panel.y1


def test_dashes_of_lines_that_coincide_take_turns():
    y, methods = two_methods()
    same = dict.fromkeys(("a", "b"), methods["raw"])
    display = predictions(y, same, window=400)
    first, second = (artist(display.ax_[1], f"sharpness:{m}:sliding") for m in same)
    (begin, (dash, gap)), (later, _) = (line._unscaled_dash_pattern for line in (first, second))
    assert (begin, later) == (0, dash)
    assert dash == gap
    assert first.get_alpha() is None


def names(ax, renderer=None):
    """Boxes of the names at the ends of lines, without their arrows."""
    found = ax.findobj(lambda a: isinstance(a, Text) and str(a.get_gid()).startswith("name:"))
    return {a.get_text(): Text.get_window_extent(a, renderer) for a in found}


@pytest.mark.parametrize("size", [7, 10, 14])
def test_names_stand_apart_and_in_the_picture(size):
    z, y = stream()
    with matplotlib.rc_context({"font.size": size}):
        display = DriftDisplay.from_scores(z, y, scale="logit", random_state=0, window=600)
        display.figure_.draw_without_rendering()
    for ax in display.ax_:
        boxes = names(ax)
        assert set(boxes) == set(display.curves_)
        in_order = sorted(boxes.values(), key=lambda box: box.y0)
        for below, above in pairwise(in_order):
            assert below.y1 - above.y0 <= 0.2 * below.height  # descenders may meet ascenders
        for box in in_order:
            assert box.x0 > ax.get_window_extent().x1
            assert box.x1 <= display.figure_.bbox.x1 + 1
    key = display.ax_[0].get_legend().get_window_extent()
    assert key.y0 >= display.ax_[0].get_window_extent().y1 - 1
    assert key.y1 <= display.figure_.bbox.y1 + 1


def test_names_stand_in_the_order_of_the_lines():
    y, methods = two_methods()
    display = predictions(y, methods)
    display.figure_.draw_without_rendering()
    for ax, name in zip(display.ax_, PANELS, strict=True):
        ends = {m: getattr(c, name)[-1] for m, c in display.curves_.items()}
        boxes = names(ax)
        higher = max(ends, key=ends.__getitem__)
        assert boxes[higher].y0 == max(box.y0 for box in boxes.values())
    assert names(predictions(y, methods["raw"]).ax_[0]) == {}


@pytest.mark.parametrize("kind", ["datetime64", "pandas", "numbers"])
def test_time_axis(kind):
    y, methods = two_methods(1000)
    days = np.datetime64("2024-01-01") + np.arange(1000)
    time = {"datetime64": days, "pandas": pd.Series(days), "numbers": np.arange(1000) / 10}[kind]
    display = predictions(y, methods, time=time, times=[100, 1000], alarm=0.05)
    line = artist(display.ax_[1], "sharpness:raw")
    assert_array_equal(line.get_xdata(orig=True), np.asarray(time)[[99, 999]])
    assert display.ax_[1].get_xlabel() == "Time"
    mark = artist(display.ax_[0], "alarm:raw")
    assert mark.get_xdata(orig=True)[0] == np.asarray(time)[display.alarms_["raw"] - 1]
    display.figure_.draw_without_rendering()


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (np.arange(5), "time has shape"),
        (np.arange(1000)[::-1], "time is not in ascending order"),
        (["x"] * 1000, "expected numbers or dates"),
    ],
)
def test_bad_time(time, words):
    y, methods = two_methods(1000)
    with pytest.raises(ValueError, match=words):
        predictions(y, methods, time=time)


@pytest.mark.parametrize("layout", ["constrained", "tight", None])
def test_one_place_is_divided(layout):
    y, methods = two_methods()
    figure = Figure(figsize=(9, 4), layout=layout)
    left, right = figure.subplots(1, 2)
    before = plt.get_fignums()
    display = predictions(y, methods, window=300, ax=left)
    assert display.figure_ is figure
    assert plt.get_fignums() == before
    figure.draw_without_rendering()
    edge = right.get_window_extent().x0
    top, bottom = display.ax_
    assert top.get_window_extent().y0 > bottom.get_window_extent().y1
    for ax in display.ax_:
        assert all(box.x1 < edge for box in names(ax).values())


def test_two_axes_are_taken_as_they_are():
    y, methods = two_methods()
    figure = Figure(layout="constrained")
    pair = figure.subplots(1, 2)
    display = predictions(y, methods, ax=pair)
    assert [*display.ax_] == [*pair]
    assert display.figure_ is figure
    assert [*display.plot(ax=list(pair)).ax_] == [*pair]


def test_axes_without_a_grid():
    y, methods = two_methods()
    ax = Figure().add_axes([0.2, 0.4, 0.7, 0.5])
    with pytest.raises(ValueError, match="is not part of a grid"):
        predictions(y, methods, ax=ax)


def test_in_a_subfigure_and_drawn_again():
    y, methods = two_methods()
    figure = plt.figure(layout="constrained")
    part = figure.subfigures(1, 2)[0]
    display = predictions(y, methods, ax=part.add_subplot())
    figure.draw_without_rendering()
    assert display.figure_ is part
    display.plot()
    assert display.figure_ is not figure
    display.figure_.draw_without_rendering()


def test_few_rows_and_gaps_can_be_drawn():
    display = predictions([1], [0.5])
    display.figure_.draw_without_rendering()
    y = np.array([0, 1, 1, 0] + [np.nan] * 50 + [1.0])
    display = predictions(y, np.full(55, 0.5), window=10, alarm=0.5)
    display.figure_.draw_without_rendering()
    assert np.isnan(display.curves_["Model"].sliding.brier).any()


def test_rc_params_are_left_alone():
    before = dict(matplotlib.rcParams)
    y, methods = two_methods()
    predictions(y, methods, window=100, alarm=0.1)
    assert dict(matplotlib.rcParams) == before


def test_bad_settings():
    y, methods = two_methods(100)
    with pytest.raises(ValueError, match="alarm=2"):
        predictions(y, methods, alarm=2)
    with pytest.raises(ValueError, match="name='x' with a dict"):
        predictions(y, methods, name="x")
    with pytest.raises(ValueError, match="y_prob is an empty dict"):
        predictions(y, {})
    with pytest.raises(ValueError, match="window=0"):
        predictions(y, methods, window=0)


# --- the package


def test_missing_matplotlib_is_one_clear_line(monkeypatch):
    for name in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for make in (predictions, DriftDisplay.from_scores):
        with pytest.raises(ImportError) as caught:
            make([0, 1], [0.2, 0.7])
        assert str(caught.value) == 'matplotlib is not installed: pip install "calibkit[plot]"'
    assert len(compare_online_calibrators([0.2, 0.7] * 10, [0, 1] * 10)) == 6


@pytest.mark.parametrize(
    "name", ["compare_online_calibrators", "DriftDisplay", *(f"DriftDisplay.{m}" for m in (
        "from_predictions", "from_scores", "plot", "frame"))],
)  # fmt: skip
def test_docstring(name):
    errors = [e for e in validate(f"calibkit.{name}")["errors"] if e[0] not in IGNORED]
    assert errors == []
    assert ">>>" in calibkit.DriftDisplay.__doc__
