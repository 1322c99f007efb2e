"""Intervals of scores: they cover, stay in their range, and say where they may be too narrow."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import calibkit
from benchmarks import score_intervals as laws
from calibkit import FewEventsWarning, ScoreTable, estimate
from calibkit._numerics.influence import Units, area_interval, noise_of
from calibkit.metrics._estimate import _KNOWN
from calibkit.metrics._score_interval import _influence
from calibkit.metrics._spec import _FEW_DECIDING, RULES
from calibkit.testing import multiclass_data

ROOT = Path(__file__).parents[1]
LOSSES = ("brier_score", "log_loss", "brier_skill_score", "log_loss_skill_score")


def methods_table():
    """The rules as a table in Markdown."""
    head = ("metric", "rows", "interval", "warning", "no interval")
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|---|"]
    for rule in RULES.values():
        few = "never"
        if rule.warned:
            few = f"below {rule.warned:g} rows of the rarer class, or if fewer than "
            few += f"{_FEW_DECIDING:g} rows cause most of the variance (without groups)"
        single = "with a single row of a class" if rule.refused else "never"
        cells = (rule.metrics, rule.rows, rule.method, few, single)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rows_of(n, seed, rate=0.5, slope=1.0):
    rng = np.random.default_rng(seed)
    z = np.log(rate / (1 - rate)) + 1.5 * rng.normal(size=n)
    return (rng.random(n) < 1 / (1 + np.exp(-slope * z))).astype(int), 1 / (1 + np.exp(-z))


def draws(**more):
    return {"n_resamples": 10, "random_state": 0, **more}


@pytest.mark.parametrize("name", laws.METRICS)
@pytest.mark.parametrize("weighted", [False, True])
def test_influences_are_derivatives(name, weighted):
    """By the weight of a row; the area under the risk-coverage curve needs many rows."""
    y, p = rows_of(40, 0)
    p = np.round(p, 1)
    times = 300 if name == "area_under_risk_coverage" else 1
    w = np.random.default_rng(1).random(40) + 0.3 if weighted else np.ones(40)
    table = ScoreTable.from_arrays(y, p, w)
    no, yes = _influence(_KNOWN[name], table)
    at = np.searchsorted(table.p, p)
    ours = np.where(y == 1, yes[at], no[at])
    metric, step = getattr(calibkit, name), 1e-4
    labels, scores = y.repeat(times), p.repeat(times)
    for i in (0, 7, 23):
        ends = []
        for sign in (1, -1):
            moved = w.repeat(times)
            moved[i * times : (i + 1) * times] += sign * step * w[i]
            ends.append(metric(labels, scores, sample_weight=moved))
        theirs = (ends[0] - ends[1]) / (2 * step * w[i])
        tolerance = 1e-7 if times == 1 else 0.05 * np.abs(ours).max()
        assert ours[i] == pytest.approx(theirs, abs=tolerance)
    assert w @ ours == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", laws.METRICS)
def test_rows_weights_groups_and_counts_agree(name):
    """Groups of one row are rows; counts are rows repeated; a constant weight is none."""
    y, p = rows_of(80, 3)
    plain = estimate(name, y, p, **draws())
    alone = estimate(name, y, p, groups=np.arange(80), **draws())
    ends = plain.value, plain.low, plain.high
    assert (alone.value, alone.low, alone.high) == pytest.approx(ends, rel=1e-9)
    assert estimate(name, y, p, sample_weight=np.full(80, 3.0), **draws()) == plain
    w = np.random.default_rng(0).integers(1, 4, 80)
    counted = estimate(name, y, p, sample_weight=w, weights="frequency", **draws())
    repeated = estimate(name, y.repeat(w), p.repeat(w), **draws())
    assert (counted.low, counted.high) == pytest.approx((repeated.low, repeated.high), rel=1e-9)
    # Rows that are repeated and told so are the rows alone.
    grouped = estimate(name, y.repeat(5), p.repeat(5), groups=np.arange(80).repeat(5), **draws())
    if name != "area_under_risk_coverage":  # which depends on the number of rows
        assert (grouped.low, grouped.high) == pytest.approx((plain.low, plain.high), rel=0.02)


@pytest.mark.filterwarnings("ignore::calibkit.CalibrationWarning")
@pytest.mark.parametrize("name", laws.METRICS)
@pytest.mark.parametrize("level", [1e-17, 0.5, 0.9, 0.999999])
def test_intervals_hold_the_value_and_lie_in_the_range(name, level):
    low, high = _KNOWN[name].bounds
    for n, rate in ((4, 0.5), (300, 0.02)):
        for seed in range(3):
            y, p = rows_of(n, seed, rate)
            y[:2], y[2:4] = 1, 0
            for more in ({}, {"groups": np.arange(n) // 2}, {"sample_weight": p + 1e-3}):
                e = estimate(name, y, p, level=level, **draws(**more))
                assert low <= e.low <= e.value <= e.high <= high


@pytest.mark.parametrize("name", [*LOSSES, "area_under_risk_coverage"])
def test_few_events_are_warned_of_and_one_is_refused(name):
    n = 60
    for events in (1, 9, 10, 30, 50, 51, 59):
        y, p = np.random.default_rng(0).permutation(n) < events, np.linspace(0.2, 0.6, n)
        rarer = min(events, n - events)
        if rarer == 1:
            with pytest.raises(ValueError, match=f"single row.*call {name}"):
                estimate(name, y, p, **draws())
            e = estimate(name, y, p, method="bootstrap", **draws())
            assert e.low <= e.value <= e.high
        elif rarer < 10:
            with pytest.warns(FewEventsWarning, match=f"rarer class is {rarer}, and"):
                e = estimate(name, y, p, **draws())
            assert "may be too narrow" in e.caution
            assert "may be too narrow" in str(e)
        elif name in LOSSES or rarer == 30:
            assert not estimate(name, y, p, **draws()).caution


def test_effective_events_are_counted_under_weights():
    y, p = rows_of(400, 0)
    with pytest.warns(FewEventsWarning, match="effective number of rows of the rarer class is"):
        estimate("brier_score", y, p, sample_weight=np.where(np.arange(400) < 8, 1e3, 1), **draws())


def test_few_rows_that_decide_a_score_are_warned_of():
    """A hundred events, of whose loss two make nearly all."""
    y, p = np.repeat([0, 1], 100), np.repeat([0.5, 0.5], 100)
    p[:2] = 1 - 1e-15
    with pytest.warns(FewEventsWarning, match="only about 2 rows cause most"):
        estimate("log_loss", y, p, **draws())


@pytest.mark.parametrize("events", [1, 2, 5])
def test_areas_of_few_events_have_an_interval(events):
    y, p = np.arange(500) < events, np.linspace(0.9, 0.01, 500)
    e = estimate("roc_auc", y, p, **draws())
    assert e.value == e.high == 1
    assert e.low < 1 - 0.2 / events
    assert e.method == "Newcombe's interval"
    worst = estimate("roc_auc", ~y, p, **draws())
    assert (worst.low, worst.high) == pytest.approx((0, 1 - e.low), abs=1e-9)
    assert not e.caution


def test_newcombe_s_interval():
    """Two events above 27 and 31 of 40 others; its equation is solved at both ends."""
    area, m, n = (27 + 31) / 80, 2, 40
    units = Units(np.zeros((2, 2)), np.eye(2), np.array([float(n), float(m)]))
    low, high = area_interval(area, noise_of(units), [np.array([n, m], float)], 42, 0.9)
    half = (m + n) / 2 - 1
    for end in (low, high):
        v = end * (1 - end) / (m * n) * (1 + half * (1 - end) / (2 - end) + half * end / (1 + end))
        # Seven degrees of freedom: twice the one of two events, and five of normal scores.
        assert abs(area - end) / np.sqrt(v) == pytest.approx(1.894579, abs=1e-4)


@pytest.mark.parametrize("name", LOSSES[2:])
def test_a_forecast_of_the_base_rate_has_a_skill_that_is_not_known_exactly(name):
    for rate in (0.5, 0.2):
        y = (np.arange(200) < 200 * rate).astype(int)
        e = estimate(name, y, np.full(200, rate), **draws())
        assert e.value == pytest.approx(0, abs=1e-12)
        assert -0.03 < e.low < -0.002
        assert 0.002 < e.high < 0.03


def test_scores_of_k_classes():
    p, y = multiclass_data()
    for name in (*LOSSES, "roc_auc"):
        e = estimate(name, y, p, **draws())
        boot = estimate(name, y, p, method="bootstrap", n_resamples=200, random_state=0)
        assert e.value == boot.value
        assert e.high - e.low == pytest.approx(boot.high - boot.low, rel=0.3)
    few = np.r_[np.flatnonzero(y == 0)[:60], np.flatnonzero(y != 0)[:5]]
    with pytest.warns(FewEventsWarning, match="rarer class is 5, and"):
        estimate("log_loss", y[few], p[few], classes=np.unique(y), **draws())


@pytest.mark.long
@pytest.mark.parametrize("i", [1, 2, 15, 22])
def test_a_few_cells_of_the_benchmark(i):
    """Its judgement, of 60 data sets: short means below .88 by three standard errors."""
    monkey = pytest.MonkeyPatch()
    with monkey.context() as m:
        m.setattr(laws, "POPULATION", 200_000)
        m.setattr(laws, "LEVELS", {0.9: laws.LEVELS[0.9]})
        rows = laws.measure(laws.CELLS[i], 60)
    assert len(rows) == 6
    assert not [r for r in rows if laws.verdict(r) == "SHORT"]


def test_the_results_that_are_kept_are_within_their_bounds():
    rows = json.loads(laws.RESULTS.read_text())
    assert {r["cell"] for r in rows} == {str(cell) for cell in laws.CELLS}
    assert min(r["sets"] for r in rows if not r["few"]) == 1000
    assert not [r for r in rows if laws.verdict(r).isupper()]


def test_the_page_shows_the_table_that_the_code_goes_by():
    text = (ROOT / "docs" / "intervals.md").read_text()
    shown = text.split("<!-- methods -->")[1].split("<!-- end of methods -->")[0]
    assert shown.strip() == methods_table()


LAWS = {
    "all alike": lambda rng, g: (rng.random(20) < 0.5)[g],
    "own rates": lambda rng, g: rng.random(len(g)) < rng.random(20)[g],
}


@pytest.mark.parametrize("law", LAWS)
def test_largest_errors_of_groups_cover(law):
    """20 groups of 200 rows, forecast .5: the ends of independent rows hold 15 times in 100."""
    g, hits, runs = np.repeat(np.arange(20), 200), 0, 60
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        y, p = LAWS[law](rng, g).astype(int), np.full(4000, 0.5)
        settings = {"groups": g, "n_bins": 5, **draws()}
        one = estimate("maximum_calibration_error", y, p, **settings)
        if seed < 3:
            settings |= {"norm": "max", "strategy": "uniform"}
            other = estimate("calibration_error", y, p, **settings)
            assert (one.low, one.high) == (other.low, other.high)
        hits += one.low <= 0.0 <= one.high
    assert hits / runs >= 0.9 - 3 * np.sqrt(0.09 / runs)


def test_intervals_take_milliseconds():
    """Of weighted rows, against the null band's draws: no resampling of rows."""
    y, p = rows_of(50, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        e = estimate("roc_auc", y, p, sample_weight=p + 0.5, n_resamples=10)
        again = estimate("roc_auc", y, p, sample_weight=p + 0.5, n_resamples=1000)
    assert (e.low, e.high) == (again.low, again.high)
