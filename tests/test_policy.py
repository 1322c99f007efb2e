"""TriagePolicy, risk-coverage curves and their display, against brute force."""

from __future__ import annotations

import pickle

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpydoc.validate import validate
from scipy.stats import binomtest

from calibkit import (
    PlattCalibrator,
    RiskCoverageDisplay,
    ScoreTable,
    area_under_risk_coverage,
    estimate,
    risk_coverage_curve,
)
from calibkit._numerics.exact import korn_graubard, share_variance
from calibkit.decisions import RiskControlledThreshold, TriagePolicy

from .test_docstrings import IGNORED

POLICY = TriagePolicy(cost_accept_wrong=10, cost_review=1, cost_discard_right=4)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def outputs(n=500, seed=0, decimals=2):
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(2, 1, n), decimals)
    return p, rng.random(n) < p


# -- curves ----------------------------------------------------------------------------------------


def test_curve_by_brute_force():
    p, y = outputs()
    curve = risk_coverage_curve(y, p)
    np.testing.assert_array_equal(curve.thresholds, np.unique(p)[::-1])
    for coverage, risk, t in zip(*curve, strict=True):
        assert coverage == (p >= t).mean()
        assert risk == pytest.approx(1 - y[p >= t].mean(), abs=1e-15)


def test_area_is_the_mean_over_random_orders_of_ties():
    p, y = outputs(60, decimals=1)
    rng = np.random.default_rng(1)
    many = 4000
    areas = np.empty(many)
    for i in range(many):
        order = np.lexsort((rng.random(60), -p))
        areas[i] = (np.cumsum(~y[order]) / np.arange(1, 61)).mean()
    expected, error = areas.mean(), areas.std() / np.sqrt(many)
    assert abs(area_under_risk_coverage(y, p) - expected) < 4 * error


def test_area_without_ties_is_the_plain_mean():
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    y = rng.random(1000) < p
    order = np.argsort(-p)
    expected = (np.cumsum(~y[order]) / np.arange(1, 1001)).mean()
    assert area_under_risk_coverage(y, p) == pytest.approx(expected, abs=1e-14)


def test_weights_are_repetitions_and_tables_are_rows():
    p, y = outputs(200, decimals=1)
    w = np.random.default_rng(2).integers(0, 4, 200)
    repeated = np.repeat(y, w), np.repeat(p, w)
    for function in (area_under_risk_coverage, lambda *a, **k: risk_coverage_curve(*a, **k).risk):
        weighted = function(y, p, sample_weight=w, weights="frequency")
        np.testing.assert_allclose(weighted, function(*repeated), rtol=1e-12)
        table = ScoreTable.from_arrays(y, p, w, weights="frequency")
        np.testing.assert_allclose(weighted, function(table), rtol=1e-12)


def test_area_of_noise_and_of_perfection():
    assert area_under_risk_coverage([1, 0] * 50, [0.5] * 100) == pytest.approx(0.5)
    y = np.arange(10_000) >= 3000
    e = 0.3  # perfect ranking: e + (1 - e) log(1 - e)
    assert area_under_risk_coverage(y, y * 0.5) == pytest.approx(
        e + (1 - e) * np.log(1 - e), abs=1e-4
    )


def test_event_labels_and_columns():
    p, y = outputs()
    words = np.where(y, "fail", "pass")  # "pass" is the larger
    area = area_under_risk_coverage(y, p)
    assert area_under_risk_coverage(words, p, pos_label="fail") == area
    assert area_under_risk_coverage(y, np.column_stack((1 - p, p))) == pytest.approx(area)
    with pytest.raises(ValueError, match="y_prob has 3 columns"):
        ScoreTable.from_arrays([0, 1, 2], np.full((3, 3), 1 / 3))
    with pytest.raises(ValueError, match="a ScoreTable together with y_prob"):
        risk_coverage_curve(ScoreTable.from_arrays(y, p), p)


def test_estimate_gives_intervals_with_groups():
    p, y = outputs(400)
    groups = np.repeat(np.arange(40), 10)
    y = np.repeat(y[::10], 10)  # all or none of a group
    p = np.repeat(p[::10], 10)
    plain = estimate(area_under_risk_coverage, y, p, random_state=0, n_resamples=200)
    grouped = estimate(
        area_under_risk_coverage, y, p, groups=groups, random_state=0, n_resamples=200
    )
    assert plain.value == grouped.value == area_under_risk_coverage(y, p)
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)


# -- intervals of grouped shares -------------------------------------------------------------------


def test_variance_of_a_share_by_brute_force():
    rng = np.random.default_rng(0)
    groups, events = rng.integers(0, 12, 80), rng.integers(0, 2, 80)
    ends = np.array([1, 2, 7, 30, 80])
    variance, n_groups = share_variance(groups, events, ends)
    for end, v, m in zip(ends, variance, n_groups, strict=True):
        g, e = groups[:end], events[:end]
        share, found = e.mean(), np.unique(g)
        sums = [((e - share)[g == one]).sum() for one in found]
        expected = np.sum(np.square(sums)) / end**2 * len(found) / max(len(found) - 1, 1)
        assert v == pytest.approx(expected, abs=1e-12)
        assert m == len(found)


def test_korn_graubard_covers_shares_of_groups():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        own = rng.beta(0.4, 3.6, 60)  # mean 0.1, correlation 0.2
        events = rng.random((60, 10)) < own[:, None]
        groups = np.repeat(np.arange(60), 10)
        n = np.array([600])
        variance, n_groups = share_variance(groups, events.ravel().astype(int), n)
        low, high = korn_graubard(np.array([events.sum()]), n, variance, n_groups, 0.9)
        covered.append(low[0] <= 0.1 <= high[0])
    assert np.mean(covered) > 0.9 - 3 * np.sqrt(0.9 * 0.1 / 400)


# -- policy ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_decisions_cost_least(seed):
    rng = np.random.default_rng(seed)
    w, r, d = np.exp(rng.normal(0, 1.5, 3))
    review = [r, None, np.inf][seed % 3]
    policy = TriagePolicy(cost_accept_wrong=w, cost_review=review, cost_discard_right=d)
    p = rng.random(2000)
    r = np.inf if review is None else review
    costs = np.stack([(1 - p) * w, np.full(2000, r), p * d])
    chosen = np.array(["accept", "review", "discard"])[costs.argmin(axis=0)]
    np.testing.assert_array_equal(policy.decide(p), chosen)
    if r == np.inf:
        assert policy.accept_at == policy.discard_below == w / (w + d)


def test_borders_belong_to_the_better_side():
    assert (POLICY.accept_at, POLICY.discard_below) == (0.9, 0.25)
    decisions = ["accept", "review", "review", "discard"]
    assert POLICY.decide([0.9, 0.8999, 0.25, 0.2499]).tolist() == decisions
    assert POLICY.decide([]).tolist() == []


def test_report_by_brute_force():
    p, y = outputs(800)
    report = POLICY.evaluate(p, y, random_state=0)
    what = POLICY.decide(p)
    paid = np.where(what == "review", 1.0, 0.0)
    paid[(what == "accept") & ~y] = 10
    paid[(what == "discard") & y] = 4
    assert report.costs["triage"].value == pytest.approx(paid.mean())
    assert report.costs["review all"].value == pytest.approx(1.0)
    assert report.costs["accept all"].value == pytest.approx(10 * (1 - y.mean()))
    assert report.costs["discard all"].value == pytest.approx(4 * y.mean())
    for name, saved in report.savings.items():
        assert saved.value == pytest.approx(report.costs[name].value - paid.mean())
    expected = np.minimum(np.minimum((1 - p) * 10, 1), p * 4).mean()
    assert report.expected_cost == pytest.approx(expected)
    accepted = what == "accept"
    ends = binomtest(int(accepted.sum()), 800).proportion_ci(0.9)
    assert report.shares["accept"].value == accepted.mean()
    assert report.shares["accept"].low == pytest.approx(ends.low)
    ends = binomtest(int((~y)[accepted].sum()), int(accepted.sum())).proportion_ci(0.9)
    assert report.error_accepted.high == pytest.approx(ends.high)
    assert report.right_discarded.value == pytest.approx(y[what == "discard"].mean())
    assert sum(s.value for s in report.shares.values()) == pytest.approx(1.0)


def test_cost_intervals_cover():
    rng = np.random.default_rng(0)
    truth = np.array([POLICY.evaluate(*outputs(200_000, 99), n_resamples=10).costs["triage"].value])
    covered = []
    for _ in range(300):
        p = np.round(rng.beta(2, 1, 400), 2)
        cost = POLICY.evaluate(p, rng.random(400) < p, n_resamples=200, random_state=rng)
        cost = cost.costs["triage"]
        covered.append(cost.low <= truth[0] <= cost.high)
    assert np.mean(covered) > 0.9 - 0.02 - 3 * np.sqrt(0.9 * 0.1 / 300)


def test_groups_widen_intervals():
    p, y = outputs(60)
    p, y, groups = np.repeat(p, 10), np.repeat(y, 10), np.repeat(np.arange(60), 10)
    plain = POLICY.evaluate(p, y, random_state=0)
    grouped = POLICY.evaluate(p, y, groups, random_state=0)
    for name in ("costs", "savings", "shares"):
        for key, one in getattr(plain, name).items():
            other = getattr(grouped, name)[key]
            assert other.value == pytest.approx(one.value)
            if one.high > one.low and name != "shares":
                assert 2 < (other.high - other.low) / (one.high - one.low) < 5  # about sqrt(10)
    wide, narrow = grouped.error_accepted, plain.error_accepted
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert "600 outputs in 60 groups" in str(grouped)


def test_nothing_wrong_is_not_certainty():
    p, y = np.full(100, 0.95), np.ones(100)
    alone = POLICY.evaluate(p, y).error_accepted
    grouped = POLICY.evaluate(p, y, np.repeat(np.arange(10), 10)).error_accepted
    assert alone.value == grouped.value == 0.0
    assert alone.high == pytest.approx(1 - 0.05 ** (1 / 100))
    assert grouped.high == pytest.approx(1 - 0.05 ** (1 / 10))
    assert np.isnan(POLICY.evaluate(p, y).right_discarded.value)


def test_calibration_pays():
    rng = np.random.default_rng(0)
    z = rng.normal(0, 1, 8000)
    y = rng.random(8000) < 1 / (1 + np.exp(-z))
    p = 1 / (1 + np.exp(-3 * z))  # over-confident
    calibrated = PlattCalibrator().fit(p[:4000], y[:4000]).predict_proba(p[4000:])
    raw = POLICY.evaluate(p[4000:], y[4000:], random_state=0)
    mended = POLICY.evaluate(calibrated, y[4000:], random_state=0)
    assert mended.costs["triage"].high < raw.costs["triage"].low
    assert raw.expected_cost < raw.costs["triage"].low  # it believes in more than it gets
    assert mended.savings["review all"].low > 0


def test_report_prints():
    text = str(POLICY.evaluate(*outputs(), random_state=0))
    assert text.startswith(
        "By cost: accept at a calibrated probability of 0.9 or more, discard below 0.25, else "
        "review.\n500 outputs"
    )
    assert "If the probabilities are calibrated, the policy is optimal and costs 0." in text
    assert "review all" in text
    without = TriagePolicy(cost_accept_wrong=3, cost_discard_right=1)
    assert str(without) == (
        "By cost: accept at a calibrated probability of 0.75 or more, discard the rest; reviews "
        "would cost more."
    )
    assert "review all" not in str(without.evaluate(*outputs(), random_state=0))
    again = pickle.loads(pickle.dumps(POLICY))
    assert again == POLICY


@pytest.mark.parametrize(
    ("costs", "error", "message"),
    [
        ({"cost_accept_wrong": 0}, ValueError, r"cost_accept_wrong=0; expected a number > 0"),
        ({"cost_discard_right": -1}, ValueError, "cost_discard_right=-1"),
        ({"cost_review": -0.1}, ValueError, "cost_review=-0.1"),
        ({"cost_review": "dear"}, TypeError, "cost_review='dear'"),
        ({"cost_review": np.nan}, ValueError, "cost_review=nan"),
    ],
)
def test_bad_costs(costs, error, message):
    good = {"cost_accept_wrong": 1, "cost_discard_right": 1, "cost_review": 1}
    with pytest.raises(error, match=message):
        TriagePolicy(**{**good, **costs})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (([0.5, 2.0], [0, 1]), r"TriagePolicy.evaluate: p holds values outside \[0, 1\]"),
        (([0.5], [0, 1]), "p has 1 rows and correct has 2"),
        (([], []), "p has 0 sample"),
        (([0.5, 0.6], [0, 7]), "correct holds 7; expected 0 or 1"),
        (([0.5, 0.6], [0, 1], [1, 1]), "one group only"),
    ],
)
def test_hostile_data(data, message):
    with pytest.raises(ValueError, match=message):
        POLICY.evaluate(*data)


# -- picture ---------------------------------------------------------------------------------------


def artists(ax):
    return {a.get_gid(): a for a in ax.get_children() if a.get_gid()}


def test_picture_shows_its_numbers():
    p, y = outputs()
    gate = RiskControlledThreshold(0.2).fit(p, y)
    display = RiskCoverageDisplay.from_predictions(
        y, p, max_error=0.2, thresholds=gate.threshold_, name="agreement", random_state=0
    )
    curve, found = risk_coverage_curve(y, p), artists(display.ax_)
    drawn = found["curve:agreement"]
    np.testing.assert_array_equal(drawn.get_xdata(), curve.coverage)
    np.testing.assert_allclose(drawn.get_ydata(), curve.risk)
    (x,), (risk,) = found["mark:agreement"].get_data()
    assert x == gate.n_accepted_ / 500
    assert risk == pytest.approx(gate.error_)
    assert found["target"].get_ydata()[0] == 0.2
    n = np.rint(curve.coverage * 500).astype(int)
    for i in (0, 20, len(n) - 1):
        ends = binomtest(round(curve.risk[i] * n[i]), int(n[i])).proportion_ci(0.9)
        c = display.curves_["agreement"]
        assert (c.low[i], c.high[i]) == pytest.approx((ends.low, ends.high))
    words = [t.get_text() for t in display.ax_.get_legend().get_texts()]
    assert any(t.startswith("agreement, area") for t in words)
    assert any("accepted" in t for t in words)
    assert "maximum error rate 20%" in words
    assert len(display.frame()) == len(n)


def test_several_signals_and_groups():
    p, y = outputs(300)
    groups = np.repeat(np.arange(30), 10)
    signals = {"p": p, "noise": np.random.default_rng(0).random(300)}
    display = RiskCoverageDisplay.from_predictions(
        y, signals, groups=groups, thresholds={"p": 0.8, "noise": np.inf}, n_resamples=20
    )
    found = artists(display.ax_)
    assert {"curve:p", "curve:noise", "band:p", "band:noise", "mark:p"} <= found.keys()
    assert "mark:noise" not in found
    assert display.areas_["p"].value < display.areas_["noise"].value
    for curve in display.curves_.values():
        assert (curve.low <= curve.risk + 1e-12).all()
        assert (curve.high >= curve.risk - 1e-12).all()
    _, ax = plt.subplots()
    assert display.plot(ax).ax_ is ax
    assert repr(display) == "RiskCoverageDisplay(p, noise)"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"thresholds": {"q": 0.5}}, "thresholds has the key 'q'; expected one of 'Model'"),
        ({"max_error": 1.5}, "max_error=1.5"),
        ({"level": 1.0}, "level=1.0"),
        ({"groups": [1, 2]}, r"groups has shape \(2,\)"),
    ],
)
def test_picture_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        RiskCoverageDisplay.from_predictions(*outputs()[::-1], **settings)


def test_thresholds_of_several_signals_need_names():
    p, y = outputs()
    with pytest.raises(ValueError, match="expected a dict of thresholds by name"):
        RiskCoverageDisplay.from_predictions(y, {"a": p, "b": p}, thresholds=0.5)


# -- docs ------------------------------------------------------------------------------------------

PUBLIC = [
    "calibkit.risk_coverage_curve",
    "calibkit.area_under_risk_coverage",
    "calibkit.RiskCoverageDisplay",
    "calibkit.RiskCoverageDisplay.from_predictions",
    "calibkit.RiskCoverageDisplay.plot",
    "calibkit.RiskCoverageDisplay.frame",
    "calibkit.decisions.TriagePolicy",
    "calibkit.decisions.TriagePolicy.decide",
    "calibkit.decisions.TriagePolicy.evaluate",
    "calibkit.decisions.RiskControlledThreshold",
    "calibkit.decisions.RiskControlledThreshold.fit",
    "calibkit.decisions.RiskControlledThreshold.predict",
]


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring(name):
    assert [e for e in validate(name)["errors"] if e[0] not in IGNORED] == []


def test_outputs_without_a_probability_are_reviewed():
    policy = TriagePolicy(cost_accept_wrong=10, cost_review=1, cost_discard_right=4)
    assert policy.decide([0.95, np.nan, 0.1]).tolist() == ["accept", "review", "discard"]
    none = TriagePolicy(cost_accept_wrong=10, cost_discard_right=4)
    assert none.decide([[0.05, 0.95], [np.nan, np.nan]]).tolist() == ["accept", "discard"]
    p = np.array([0.95, np.nan, 0.1, 0.5] * 10)
    report = policy.evaluate(p, [1, 0, 0, 1] * 10)
    assert report.shares["review"].value == 0.5
    assert np.isfinite(report.expected_cost)


def test_a_report_is_a_table_too():
    rng = np.random.default_rng(0)
    p = rng.random(500)
    policy = TriagePolicy(cost_accept_wrong=10, cost_review=1, cost_discard_right=4)
    report = policy.evaluate(p, rng.random(500) < p)
    frame = report.to_table().to_pandas().set_index("what")
    assert frame.loc["accept", "share"] == report.shares["accept"].value
    assert frame.loc["accept", "mistaken_high"] == report.error_accepted.high
    assert frame.loc["review all", "saved_low"] == report.savings["review all"].low
    again = policy.evaluate(p, rng.random(500) < 2)  # the seed is 0 unless given
    assert again.costs == policy.evaluate(p, np.ones(500)).costs


@pytest.mark.parametrize("p", [np.nan, None, np.array(np.nan)])
def test_one_number_alone_is_refused_in_words(p):
    with pytest.raises((ValueError, TypeError), match=r"TriagePolicy\.decide: p "):
        POLICY.decide(p)


def test_costs_that_overflow_are_refused():
    with pytest.raises(ValueError, match="too large to add up"):
        TriagePolicy(cost_accept_wrong=1.5e308, cost_discard_right=1.5e308)
