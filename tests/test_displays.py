"""Reliability diagrams: the numbers against second witnesses, the pictures against the numbers."""

from __future__ import annotations

import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binomtest
from sklearn.datasets import load_iris, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from calibkit import (
    ScoreTable,
    brier_skill_score,
    compare,
    corp_miscalibration,
    estimate,
    expected_calibration_error,
    reliability_curve,
    smooth_calibration_error,
)
from calibkit._core.optional import require
from calibkit.displays import ReliabilityDisplay
from calibkit.metrics import INTERVALS, N_DRAWS, Shape, curve_of

FAST = {"n_resamples": 20, "random_state": 0}
predictions = ReliabilityDisplay.from_predictions


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def calibrated(n=600, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return (rng.random(n) < p).astype(int), p


def three_classes(n=300, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([1.0, 1.0, 1.0], n)
    y = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    return np.array(["ant", "bee", "cow"])[y], p


def artist(ax, gid):
    """The one artist with this gid."""
    found = ax.findobj(lambda a: a.get_gid() == gid)
    assert len(found) == 1, (gid, found)
    return found[0]


def has(ax, gid):
    return bool(ax.findobj(lambda a: a.get_gid() == gid))


def key_text(display):
    ax = display.ax_ if display.histogram_ax_ is None else display.histogram_ax_
    key = ax.get_legend()
    return "\n".join([key.get_title().get_text(), *(t.get_text() for t in key.get_texts())])


# --- the numbers


@pytest.mark.parametrize("strategy", ["quantile", "uniform", "unique"])
def test_curve_adds_up_to_the_rows(strategy):
    y, p = calibrated()
    p = p.round(2)
    c = predictions(y, p, strategy=strategy, **FAST).curves_["Model"]
    assert c.n.sum() == len(y)
    assert (c.n > 0).all()
    assert_allclose(c.n @ c.frequency, y.sum())
    assert_allclose(c.n @ c.mean_score, p.sum())
    last = c.upper == 1
    inside = (c.lower - 1e-15 <= c.mean_score) & ((c.mean_score < c.upper) | last)
    assert inside.all()
    # The gaps of the dots are the binned error: the metric is a second witness of the curve.
    gap = c.n @ np.abs(c.mean_score - c.frequency) / len(y)
    assert_allclose(gap, expected_calibration_error(y, p, strategy=strategy))


def test_clopper_pearson_and_wilson_are_scipys():
    y, p = calibrated(200)
    for name, method in (("clopper-pearson", "exact"), ("wilson", "wilson")):
        c = predictions(y, p, interval=name, level=0.95, **FAST).curves_["Model"]
        for n, share, low, high in zip(c.n, c.frequency, c.low, c.high, strict=True):
            test = binomtest(round(n * share), int(n))
            assert_allclose((low, high), test.proportion_ci(0.95, method=method), atol=1e-12)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("label", [0, 1])
def test_bars_never_have_zero_width(interval, label):
    _, p = calibrated(60)
    display = predictions(np.full(60, label), p, interval=interval, n_bins=6, **FAST)
    c = display.curves_["Model"]
    assert ((c.low <= c.frequency) & (c.frequency <= c.high)).all()
    assert (c.high - c.low > 0.05).all()
    assert set(display.estimates_["Model"]) == {"ece"}  # skill is not defined
    assert "skill" not in key_text(display)


def _share_inside(power, n_repeats=40, n=2000):
    """Share of dots inside the band, for labels drawn from p ** power."""
    inside = []
    for seed in range(n_repeats):
        rng = np.random.default_rng(seed)
        p = rng.random(n).round(2)
        table = ScoreTable.from_arrays((rng.random(n) < p**power).astype(int), p)
        shape = Shape("binned", "quantile", 10, "probability", "wilson", 0.9)
        c = curve_of(table, None, None, shape, N_DRAWS, seed)
        inside.append((c.consistency_low <= c.frequency) & (c.frequency <= c.consistency_high))
    return np.mean(inside)


def test_consistency_band_holds_calibrated_dots_at_its_level():
    # 400 dots: four standard errors are 0.06. Frequencies of 200 rows are steps of 0.005, so the
    # ends at drawn values add up to two steps, about 0.03 of probability.
    share = _share_inside(power=1)
    assert 0.9 - 0.06 < share < 0.93 + 0.06
    assert _share_inside(power=1.5) < 0.6  # the gate can fail


def test_consistency_band_of_weighted_rows_is_wider():
    y, p = calibrated(1000)
    w = np.random.default_rng(1).exponential(size=1000) ** 2
    plain = predictions(y, p, n_bins=5, **FAST).curves_["Model"]
    heavy = predictions(y, p, n_bins=5, sample_weight=w, n_resamples=0).curves_["Model"]
    ratio = np.mean(heavy.consistency_high - heavy.consistency_low) / np.mean(
        plain.consistency_high - plain.consistency_low
    )
    assert_allclose(ratio, np.sqrt(1000 * (w @ w) / w.sum() ** 2), rtol=0.25)


def test_spread_inside_tied_cells_counts():
    # All scores tied: the cell alone must know that its weights differ.
    w = np.random.default_rng(1).exponential(size=500) ** 2
    y = np.arange(500) % 2
    c = predictions(y, np.full(500, 0.5), sample_weight=w, n_resamples=0, n_bins=1).curves_["Model"]
    sd = np.sqrt(0.25 * (w @ w)) / w.sum()
    assert_allclose(c.consistency_high - c.consistency_low, 2 * 1.645 * sd, rtol=0.1)


def test_weights_are_repetition_for_the_dots():
    y, p = calibrated(300)
    w = np.random.default_rng(1).integers(1, 4, 300)
    weighted = predictions(y, p, sample_weight=w, n_resamples=0).curves_["Model"]
    repeated = predictions(np.repeat(y, w), np.repeat(p, w), n_resamples=0).curves_["Model"]
    for name in ("lower", "upper", "mean_score", "frequency"):
        assert_allclose(getattr(weighted, name), getattr(repeated, name), atol=1e-12)
    # Fewer effective rows than repeated ones, so a wider interval; and rows, not copies, counted.
    assert (weighted.high - weighted.low > repeated.high - repeated.low).all()
    assert weighted.n.sum() == 300


def test_effective_rows_of_a_bin():
    y, p = np.arange(40) % 2, np.full(40, 0.5)
    w = np.r_[np.ones(20), np.full(20, 3.0)]
    c = predictions(y, p, sample_weight=w, n_resamples=0, n_bins=1).curves_["Model"]
    n = w.sum() ** 2 / (w @ w)
    low, high = INTERVALS["clopper-pearson"](np.array([0.5]), np.array([n]), 0.9)
    assert_allclose((c.low, c.high), (low, high))


def test_table_is_rows_and_chunks():
    y, p = calibrated()
    rows = predictions(y, p, **FAST)
    table = ScoreTable.from_chunks([(y[:100], p[:100]), (y[100:], p[100:])])
    merged = ReliabilityDisplay.from_table({"Model": table}, **FAST)
    for a, b in zip(rows.curves_["Model"], merged.curves_["Model"], strict=True):
        assert_allclose(a, b, atol=1e-14)
    assert_allclose(
        float(rows.estimates_["Model"]["ece"]), float(merged.estimates_["Model"]["ece"])
    )


def test_estimates_are_those_of_the_metrics():
    y, p = calibrated()
    e = predictions(y, p, n_bins=7, level=0.8, **FAST).estimates_["Model"]
    binning = {"strategy": "quantile", "n_bins": 7}
    ece = estimate(expected_calibration_error, y, p, level=0.8, **binning, **FAST)
    skill = estimate(brier_skill_score, y, p, level=0.8, **FAST)
    assert (e["ece"].value, e["ece"].low, e["ece"].high) == (ece.value, ece.low, ece.high)
    assert (e["skill"].value, e["skill"].low, e["skill"].high) == (
        skill.value,
        skill.low,
        skill.high,
    )


def test_a_model_does_not_depend_on_its_company():
    y, p = calibrated()
    alone = predictions(y, {"b": p**2}, **FAST)
    both = predictions(y, {"a": p, "b": p**2}, **FAST)
    for a, b in zip(alone.curves_["b"], both.curves_["b"], strict=True):
        assert_array_equal(a, b)
    assert alone.estimates_["b"] == both.estimates_["b"]


def test_values_without_intervals():
    y, p = calibrated()
    w = np.full(len(y), 2.0)
    for display in (
        predictions(y, p, n_resamples=0),
        ReliabilityDisplay.from_table(ScoreTable.from_arrays(y, p, w)),
    ):
        e = display.estimates_["Model"]["ece"]
        assert_allclose(float(e), expected_calibration_error(y, p, strategy="quantile"))
        assert np.isnan(e.low)
        assert np.isnan(e.high)
        assert "[" not in key_text(display)
    rows = predictions(y, p, sample_weight=w, **FAST)
    assert np.isfinite(rows.estimates_["Model"]["ece"].low)


def test_all_scores_identical():
    display = predictions([0, 1] * 50, np.full(100, 0.3), **FAST)
    c = display.curves_["Model"]
    assert_allclose((c.mean_score[0], c.frequency[0], c.n[0]), (0.3, 0.5, 100))
    assert len(c.n) == 1
    band = artist(display.ax_, "band:Model").get_segments()[0]
    assert_allclose(band[:, 1], (c.consistency_low[0], c.consistency_high[0]))


# --- the picture shows the numbers


def test_dots_bars_band_and_counts():
    y, p = calibrated()
    display = predictions(y, p, name="net", **FAST)
    c, ax = display.curves_["net"], display.ax_
    assert_array_equal(artist(ax, "dots:net").get_xydata(), np.c_[c.mean_score, c.frequency])
    bars = np.array(artist(ax, "bars:net").get_segments())
    assert_array_equal(bars[:, 0], np.c_[c.mean_score, c.low])
    assert_array_equal(bars[:, 1], np.c_[c.mean_score, c.high])
    band = artist(ax, "band:net").get_paths()[0].vertices
    for x, low, high in zip(c.mean_score, c.consistency_low, c.consistency_high, strict=True):
        at = band[band[:, 0] == x, 1]
        assert (at.min(), at.max()) == (low, high)
    assert_array_equal(artist(ax, "diagonal").get_xydata(), [[0, 0], [1, 1]])
    counts = artist(display.histogram_ax_, "counts:net").get_data()
    assert_array_equal(counts.values, np.histogram(p, 50, (0, 1))[0])
    assert counts.values.sum() == len(y)
    assert_allclose(counts.edges, np.linspace(0, 1, 51))


def test_labels_key_and_shape():
    y, p = calibrated()
    display = predictions(y, {"raw": p**2, "fixed": p}, level=0.95, consistency=True, **FAST)
    text = key_text(display)
    for part in (
        "n = 600",
        "ECE: 15 equal-mass bins",
        "bars, brackets: 95% intervals",
        "raw: ECE 0.",
        "fixed: ECE 0.",
        "where 95% of a calibrated model's dots would be",
    ):
        assert part in text
    assert display.histogram_ax_.get_xlabel() == "Mean predicted probability"
    assert display.ax_.get_ylabel() == "Observed frequency"
    display.figure_.draw_without_rendering()
    box = display.ax_.get_window_extent()
    strip = display.histogram_ax_.get_window_extent()
    assert_allclose(box.width, box.height)
    assert_allclose((box.x0, box.x1), (strip.x0, strip.x1))
    assert strip.y1 < box.y0
    # Nothing sticks out of the figure.
    full = display.figure_.get_tightbbox()
    width, height = display.figure_.get_size_inches()
    assert full.x0 >= -0.01
    assert full.y0 >= -0.01
    assert full.x1 <= width + 0.01
    assert full.y1 <= height + 0.01


def test_band_is_drawn_for_one_model_unless_asked():
    y, p = calibrated()
    one = predictions(y, p, **FAST)
    assert has(one.ax_, "band:Model")
    assert not has(one.plot(consistency=False).ax_, "band:Model")
    two = predictions(y, {"a": p, "b": p**2}, **FAST)
    assert not has(two.ax_, "band:a")
    assert "consistency" not in key_text(two)
    assert has(two.plot(consistency=True).ax_, "band:b")
    assert artist(two.ax_, "dots:a").get_color() != artist(two.ax_, "dots:b").get_color()
    assert artist(two.ax_, "dots:a").get_marker() != artist(two.ax_, "dots:b").get_marker()


def test_histogram_and_legend_switches():
    y, p = calibrated()
    display = predictions(y, p, histogram=False, legend="none", **FAST)
    assert display.histogram_ax_ is None
    assert len(display.figure_.axes) == 1
    assert display.ax_.get_xlabel() == "Mean predicted probability"
    assert display.ax_.get_legend() is None
    assert display.plot(histogram="log").histogram_ax_.get_yscale() == "log"
    assert display.plot(legend="inside").ax_.get_legend() is not None


def test_rare_events_are_enlarged_and_what_is_cut_is_said():
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 20, 8000)
    display = predictions(rng.random(8000) < p, p, **FAST)
    low, high = display.limits_
    assert low == 0
    c = display.curves_["Model"]
    assert max(c.high.max(), c.mean_score.max(), c.consistency_high.max()) <= high < 0.25
    values = artist(display.histogram_ax_, "counts:Model").get_data().values
    assert values.sum() == (p < high).sum()
    note = [t.get_text() for t in display.histogram_ax_.texts]
    assert note == [f"{100 * np.mean(p >= high):.2g}% of scores above {high:g}"]
    whole = predictions(rng.random(8000) < p, p, limits=(0, 1), **FAST)
    assert whole.limits_ == (0, 1)
    assert not whole.histogram_ax_.texts
    mirrored = predictions(rng.random(8000) < 1 - p, 1 - p, **FAST)
    assert mirrored.limits_[0] > 0.75
    assert "below" in mirrored.histogram_ax_.texts[0].get_text()


@pytest.mark.parametrize("scale", ["probability", "logit"])
@pytest.mark.parametrize(("curve", "error"), [("corp", "mcb"), ("smooth", "smooth_ece")])
def test_curves_show_the_numbers(curve, error, scale):
    y, p = calibrated()
    display = predictions(y, {"a": p, "b": p**2}, curve=curve, scale=scale, **FAST)
    display.figure_.draw_without_rendering()
    c = reliability_curve(y, p**2, curve=curve, scale=scale, random_state=0)
    for given, shown in zip(c, display.curves_["b"], strict=True):
        assert_array_equal(given, shown)
    low, high = display.limits_ if scale == "logit" else (0, 1)
    cut = [np.clip(v, low, high) for v in (c.score, c.frequency, c.low, c.high)]
    assert_array_equal(artist(display.ax_, "dots:b").get_xydata(), np.c_[cut[0], cut[1]])
    paths = artist(display.ax_, "bars:b").get_paths()
    corners = {tuple(v) for path in paths for v in path.vertices}
    known = np.isfinite(cut[1])
    for end in cut[2:]:
        assert {*zip(cut[0][known], end[known], strict=True)} <= corners
    metric = {"mcb": corp_miscalibration, "smooth_ece": smooth_calibration_error}[error]
    assert_allclose(float(display.estimates_["b"][error]), metric(y, p**2))
    assert list(display.frame().columns) == ["model", *c._fields]
    assert ("Density" if curve == "smooth" else "Rows") == display.histogram_ax_.get_ylabel()


def test_axes_of_log_odds_have_probabilities_as_labels():
    rng = np.random.default_rng(0)
    p = rng.beta(0.5, 20, 5000)
    display = predictions(rng.random(5000) < p, p, scale="logit", **FAST)
    low, high = display.limits_
    assert (low, high) == (1e-5, 0.9)
    display.figure_.draw_without_rendering()
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert labels == ["1e-05", "0.0001", "0.001", "0.01", "0.1", "0.5", "0.9"]
    edges = artist(display.histogram_ax_, "counts:Model").get_data().edges
    assert_allclose(np.diff(np.log(edges / (1 - edges))), np.log(9 / (1e-5 / (1 - 1e-5))) / 50)
    with pytest.raises(ValueError, match=r"limits\[0\]=0"):
        predictions([0, 1], [0.1, 0.9], n_bins=1, scale="logit", limits=(0, 1))


def test_histogram_by_outcome():
    y, p = calibrated()
    display = predictions(y, p, histogram="outcome", **FAST)
    parts = display.histogram_ax_.findobj(lambda a: a.get_gid() == "counts:Model")
    for part, label, sign in zip(parts, (1, 0), (1, -1), strict=True):
        counts = np.histogram(p[y == label], 50, (0, 1))[0]
        assert_array_equal(part.get_data().values, sign * counts)
    assert "events up, others down" in key_text(display)


def test_the_grid_shows_the_classes_asked_for():
    rng = np.random.default_rng(0)
    q = rng.dirichlet(np.ones(12), 400)
    y = (rng.random(400)[:, None] > q.cumsum(axis=1)).sum(axis=1)
    fast = {"kind": "classwise", "n_resamples": 0, "n_bins": 3}
    assert len(predictions(y, q, **fast).ax_) == 9
    assert len(predictions(y, q, max_classes=None, **fast).ax_) == 12
    display = predictions(y, q, shown=[7, 2], curve="corp", **fast)
    assert [panel.get_title() for panel in display.ax_] == ["7", "2"]
    one = reliability_curve(y == 7, q[:, 7], curve="corp", n_draws=1)
    assert_array_equal(display.curves_["Model", 7].frequency, one.frequency)
    with pytest.raises(ValueError, match="shown holds the label 12; expected"):
        predictions(y, q, shown=[12], **fast)


@pytest.mark.parametrize("curve", ["corp", "smooth"])
def test_one_score_is_drawn_as_a_dot(curve):
    display = predictions([0, 1] * 50, np.full(100, 0.3), curve=curve, **FAST)
    assert artist(display.ax_, "dots:Model").get_marker() == "o"
    assert len(artist(display.ax_, "bars:Model").get_segments()) == 1
    assert display.histogram_ax_.get_ylabel() == "Rows"


# --- figures, axes and matplotlib's global state


def test_ax_is_honoured_without_pyplot():
    y, p = calibrated()
    figure = Figure(layout="constrained")
    axes = figure.subplots(1, 2)
    before = plt.get_fignums()
    display = predictions(y, p, ax=axes[1], **FAST)
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert display.histogram_ax_.figure is figure
    assert plt.get_fignums() == before
    figure.draw_without_rendering()
    # The strip stays in the right half, under the panel.
    panel, strip = axes[1].get_position(), display.histogram_ax_.get_position()
    assert_allclose((panel.x0, panel.x1), (strip.x0, strip.x1))
    assert strip.x0 > axes[0].get_position().x1


@pytest.mark.parametrize("layout", ["constrained", "tight", None])
def test_nothing_overlaps_the_neighbour_below(layout):
    y, p = calibrated()
    figure = Figure(figsize=(5, 9), layout=layout)
    top, bottom = figure.subplots(2, 1)
    display = predictions(y, p, ax=top, **FAST)
    figure.draw_without_rendering()
    key = display.histogram_ax_.get_legend().get_window_extent()
    assert key.y1 < display.histogram_ax_.get_window_extent().y0
    assert key.y0 > bottom.get_window_extent().y1


def test_axes_without_a_grid():
    y, p = calibrated()
    ax = Figure().add_axes([0.2, 0.4, 0.7, 0.5])
    display = predictions(y, p, ax=ax, **FAST)
    assert display.histogram_ax_ in ax.child_axes
    labels, q = three_classes()
    with pytest.raises(ValueError, match="ax is not part of a grid"):
        predictions(labels, q, kind="classwise", ax=ax, **FAST)


def test_axes_in_a_subfigure():
    y, p = calibrated()
    part = Figure(layout="constrained").subfigures(1, 2)[1]
    display = predictions(y, p, ax=part.subplots(), **FAST)
    assert display.figure_ is part
    part.figure.draw_without_rendering()


def test_drawing_again_uses_the_same_strip():
    y, p = calibrated()
    display = predictions(y, p, **FAST)
    first = display.histogram_ax_
    display.plot(ax=display.ax_)
    assert display.histogram_ax_ is first
    other = display.plot().ax_
    assert other.figure is not first.figure


def test_global_state_is_left_alone():
    y, p = calibrated()
    labels, q = three_classes()
    before = dict(matplotlib.rcParams)
    shown = plt.isinteractive()
    predictions(y, {"a": p, "b": p}, histogram="log", **FAST)
    predictions(labels, q, kind="classwise", **FAST)
    assert dict(matplotlib.rcParams) == before
    assert plt.isinteractive() == shown


def test_font_follows_the_users_settings():
    y, p = calibrated()
    with matplotlib.rc_context({"font.size": 20}):
        display = predictions(y, p, **FAST)
    assert display.ax_.yaxis.label.get_size() == 18


# --- several models


def test_differences_of_models_come_first_in_the_key():
    y, p = calibrated()
    models = {"best": p**2, "all": p, "b": np.sqrt(p)}
    two = predictions(y, {k: models[k] for k in ("best", "all")}, level=0.8, **FAST)
    (d,) = two.differences_
    (e,) = compare("brier_score", y, {"m": p**2, "n": p}, level=0.8).differences
    assert (d.first, d.second, d.value, d.low, d.high) == ("best", "all", e.value, e.low, e.high)
    assert key_text(two).startswith(f"Brier score, best \N{MINUS SIGN} all: {d.value:.3f} [")
    assert "Brier" not in key_text(two).partition("\n")[2]
    three = predictions(y, models, groups=np.arange(600) // 3, **FAST)
    assert [(d.first, d.second) for d in three.differences_] == [("best", "all"), ("b", "all")]
    heading, *lines = key_text(three).splitlines()
    assert heading == "Brier score: difference from all, the lowest"
    assert [line[: line.index(": ")] for line in lines if "Brier" in line] == ["best", "b"]
    assert any(line.startswith(f"b: Brier score +{three.differences_[1].value:.3f}")
               for line in lines)  # fmt: skip
    classwise = predictions(
        np.array(["ant", "bee"])[y],
        {k: np.column_stack((1 - q, q)) for k, q in models.items()},
        kind="classwise",
        **FAST,
    )
    assert sum("Brier score +" in t.get_text() for t in classwise.figure_.legends[0].texts) == 2


def test_no_difference_without_pairs_of_rows():
    y, p = calibrated()
    tables = {k: ScoreTable.from_arrays(y, q) for k, q in (("a", p), ("b", p**2))}
    assert ReliabilityDisplay.from_table(tables, **FAST).differences_ == ()
    counts = predictions(y, {"a": p, "b": p**2}, sample_weight=np.ones(600), weights="frequency",
                         **FAST)  # fmt: skip
    assert counts.differences_ == ()
    assert predictions(y, p, **FAST).differences_ == ()
    assert "Brier" not in key_text(counts)


@pytest.mark.parametrize("legend", ["below", "inside"])
def test_long_names_stay_inside_the_picture(legend):
    y, p = calibrated(20_000)
    names = [f"a long name of a model, of {k}, made on 2024-11-2{k}" for k in range(3)]
    for n in (1, 2, 3):
        models = {name: p ** (1 + i / 9) for i, name in enumerate(names[:n])}
        display = predictions(y, models, legend=legend, **FAST)
        display.figure_.draw_without_rendering()
        ax = display.ax_ if legend == "inside" else display.histogram_ax_
        key, whole = ax.get_legend().get_window_extent(), display.figure_.bbox
        assert whole.x0 <= key.x0 < key.x1 <= whole.x1
        assert whole.y0 <= key.y0


# --- several classes


def test_top_label_is_confidence_against_correctness():
    y, p = three_classes()
    display = predictions(y, p, kind="top_label", **FAST)
    right = np.array(["ant", "bee", "cow"])[p.argmax(1)] == y
    binary = predictions(right.astype(int), p.max(1), **FAST)
    for a, b in zip(display.curves_["Model"], binary.curves_["Model"], strict=True):
        assert_allclose(a, b)
    assert display.estimates_["Model"]["skill"] == binary.estimates_["Model"]["skill"]
    assert display.ax_.get_ylabel() == "Observed accuracy"
    assert "confidence" in display.histogram_ax_.get_xlabel()


def test_classwise_has_a_panel_per_class():
    y, p = three_classes()
    models = {"a": p, "b": np.full_like(p, 1 / 3)}
    display = predictions(y, models, kind="classwise", n_bins=5, **FAST)
    assert [ax.get_title() for ax in display.ax_] == ["ant", "bee", "cow"]
    assert display.histogram_ax_ is None
    assert list(display.curves_) == [(m, k) for m in "ab" for k in ("ant", "bee", "cow")]
    for k, ax in zip(("ant", "bee", "cow"), display.ax_, strict=True):
        c = display.curves_["a", k]
        assert_array_equal(artist(ax, "dots:a").get_xydata(), np.c_[c.mean_score, c.frequency])
        one = predictions(
            (y == k).astype(int), p[:, display.ax_.tolist().index(ax)], n_bins=5, **FAST
        )
        assert_allclose(c.frequency, one.curves_["Model"].frequency)
        assert artist(ax, "ece:b").get_text().startswith("ECE 0.")
        assert len(display.curves_["b", k].n) == 1
    texts = [t.get_text() for t in display.figure_.findobj(Text)]
    assert texts.count("Mean predicted probability") == texts.count("Observed frequency") == 1
    display.figure_.draw_without_rendering()


def test_many_classes_are_limited_and_it_is_said():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.arange(1, 13), 400)
    y = (rng.random(400)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    display = predictions(y, p, kind="classwise", n_bins=3, max_classes=4, n_resamples=0)
    shown = sorted(np.argsort(-np.bincount(y, minlength=12), kind="stable")[:4])
    assert [int(ax.get_title()) for ax in display.ax_] == shown
    text = " ".join(display.figure_.legends[0].get_title().get_text().split())
    assert "4 of 12 classes" in text
    everything = predictions(y, p, kind="classwise", n_bins=3, max_classes=12, n_resamples=0)
    assert "most frequent" not in everything.figure_.legends[0].get_title().get_text()


@pytest.mark.parametrize("layout", ["constrained", None])
def test_classwise_in_given_axes(layout):
    y, p = three_classes()
    figure = Figure(figsize=(10, 5), layout=layout)
    left, right = figure.subplots(1, 2)
    before = plt.get_fignums()
    display = predictions(y, p, kind="classwise", ax=right, **FAST)
    figure.draw_without_rendering()
    assert plt.get_fignums() == before
    assert display.figure_ in figure.subfigs
    for panel in display.ax_:
        assert panel.get_window_extent().x0 > left.get_window_extent().x1


# --- estimators


def test_from_estimator_follows_classes():
    X, y = make_classification(400, random_state=0)
    labels = np.where(y == 1, "yes", "no")
    model = GaussianNB().fit(X, labels)
    p = model.predict_proba(X)[:, 1]
    display = ReliabilityDisplay.from_estimator(model, X, labels, **FAST)
    same = predictions(y, p, **FAST).curves_["Model"]
    assert_array_equal(display.curves_["GaussianNB"].frequency, same.frequency)
    turned = ReliabilityDisplay.from_estimator(model, X, labels, pos_label="no", **FAST)
    other = predictions(1 - y, 1 - p, **FAST).curves_["Model"]
    assert_allclose(turned.curves_["GaussianNB"].frequency, other.frequency)
    assert_allclose(turned.curves_["GaussianNB"].mean_score, other.mean_score)
    # Rows of one class only: the estimator knows the other.
    some = labels == "yes"
    one = ReliabilityDisplay.from_estimator(model, X[some], labels[some], n_bins=3, **FAST)
    assert_array_equal(one.curves_["GaussianNB"].frequency, 1.0)


def test_from_estimator_several_and_multiclass():
    X, y = load_iris(return_X_y=True)
    models = {"nb": GaussianNB().fit(X, y), "lr": LogisticRegression(max_iter=500).fit(X, y)}
    for kind, n in (("top_label", 2), ("classwise", 6)):
        display = ReliabilityDisplay.from_estimator(models, X, y, kind=kind, n_bins=4, **FAST)
        assert len(display.curves_) == n
    # A class that these rows lack keeps its column.
    some = y < 2
    display = ReliabilityDisplay.from_estimator(
        models["nb"], X[some], y[some], kind="classwise", n_bins=4, name="nb", **FAST
    )
    assert_array_equal(display.curves_["nb", 2].frequency, 0.0)


def test_from_estimator_needs_probabilities():
    X, y = make_classification(100, random_state=0)
    with pytest.raises(ValueError, match=r"LinearSVC has no predict_proba.*CalibratedClassifier"):
        ReliabilityDisplay.from_estimator(LinearSVC().fit(X, y), X, y)


# --- frame, errors, missing packages


def test_frame_has_the_curves():
    y, p = calibrated()
    display = predictions(y, {"a": p, "b": p**2}, n_bins=6, **FAST)
    frame = display.frame()
    assert list(frame.columns) == ["model", *display.curves_["a"]._fields]
    assert len(frame) == 12
    for model, part in frame.groupby("model"):
        for field in display.curves_[model]._fields:
            assert_array_equal(part[field], getattr(display.curves_[model], field))
    labels, q = three_classes()
    frame = predictions(labels, q, kind="classwise", n_bins=4, **FAST).frame()
    assert list(frame.columns[:2]) == ["model", "class"]
    assert frame.groupby("class")["n"].sum().to_dict() == {"ant": 300, "bee": 300, "cow": 300}


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"strategy": "width"}, ValueError, "strategy='width'"),
        ({"interval": "wald"}, ValueError, "interval='wald'"),
        ({"level": 1.0}, ValueError, "level=1.0"),
        ({"n_bins": 0}, ValueError, "n_bins=0"),
        ({"n_bins": 700}, ValueError, "600 rows"),
        ({"n_resamples": -1}, ValueError, "n_resamples=-1"),
        ({"limits": "wide"}, ValueError, r"limits='wide'; expected 'auto' or \(low, high\)"),
        ({"limits": 0.5}, TypeError, "limits=0.5"),
        ({"limits": (0.5, 0.5)}, ValueError, "limits"),
        ({"max_classes": 0}, ValueError, "max_classes=0"),
        ({"consistency": "yes"}, TypeError, "consistency='yes'"),
        ({"histogram": "linear"}, ValueError, "histogram='linear'"),
        ({"curve": "loess"}, ValueError, "curve='loess'"),
        ({"scale": "log"}, ValueError, "scale='log'"),
        ({"legend": "left"}, ValueError, "legend='left'"),
        ({"kind": "marginal"}, ValueError, "kind='marginal'"),
    ],
)
def test_settings_are_checked_before_anything_is_drawn(settings, error, match):
    y, p = calibrated()
    with pytest.raises(error, match=match):
        predictions(y, p, **{**FAST, **settings})
    assert not plt.get_fignums()


def test_data_errors_name_the_method_and_the_model():
    y, p = calibrated()
    with pytest.raises(ValueError, match=r"^ReliabilityDisplay.from_predictions: y_prob holds"):
        predictions(y, p * 3)
    with pytest.raises(ValueError, match=r"^ReliabilityDisplay.from_predictions \(b\): y_prob has"):
        predictions(y, {"a": p, "b": p[:-1]})
    with pytest.raises(ValueError, match="keys of y_prob are 1, '1'; expected names that differ"):
        ReliabilityDisplay.from_predictions([0, 1], {1: [0.2, 0.9], "1": [0.3, 0.8]})
    with pytest.raises(ValueError, match="y_prob is an empty dict"):
        predictions(y, {})
    with pytest.raises(ValueError, match="with a dict of y_prob"):
        predictions(y, {"a": p}, name="b")
    with pytest.raises(TypeError, match="expected a ScoreTable"):
        ReliabilityDisplay.from_table(p)


@pytest.mark.parametrize("how", ["from_predictions", "plot"])
def test_missing_matplotlib_is_one_clear_line(monkeypatch, how):
    y, p = calibrated()
    display = predictions(y, p, **FAST)
    for name in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError) as caught:
        display.plot() if how == "plot" else predictions(y, p)
    assert str(caught.value) == 'matplotlib is not installed: pip install "calibkit[plot]"'


def test_missing_pandas_and_broken_packages(monkeypatch):
    y, p = calibrated()
    display = predictions(y, p, **FAST)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"^pandas is not installed: pip install pandas$"):
        display.frame()


def test_a_package_that_misses_one_of_its_own_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import surely_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="surely_not_there"):
        require("half_installed", "plot")
