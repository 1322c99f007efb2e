"""group_table and its plot: witnesses of each number, flags by chance, groups by any column."""

from __future__ import annotations

from itertools import pairwise

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.sparse import csr_matrix

from calibkit import FewGroupsWarning, GroupDisplay, HardScoresWarning, brier_score, group_table
from calibkit._numerics import families
from calibkit._numerics.families import shrunk
from calibkit.base import InputError
from calibkit.metrics import ResultTable

RNG = np.random.default_rng(0)
N = 600
P = RNG.random(N)
Y = (RNG.random(N) < P).astype(int)
REGION = np.array(["north", "south", "east"])[RNG.integers(0, 3, N)]
AGE = RNG.normal(40, 10, N)


def row_of(table, group):
    (row,) = [row for row in table if row["group"] == group]
    return row


def ends(e):
    return e.low, e.high


# --- each number of one group, by a second way


def test_plain_rows():
    row = row_of(group_table(Y, P, REGION), "group=south")
    at = REGION == "south"
    y, p = Y[at], P[at]
    assert (row["n"], row["events"]) == (len(y), y.sum())
    assert_allclose((row["predicted"], row["observed"].value), (p.mean(), y.mean()))
    assert_allclose(row["error"].value, p.mean() - y.mean())
    wilson = stats.binomtest(int(y.sum()), len(y)).proportion_ci(0.9, method="wilson")
    assert_allclose(ends(row["observed"]), wilson)
    loss = (p - y) ** 2
    reach = stats.t(min(y.sum(), (1 - y).sum()) - 1).ppf(0.95) * stats.sem(loss)
    assert_allclose(ends(row["brier"]), (loss.mean() - reach, loss.mean() + reach))
    assert_allclose(row["brier"].value, brier_score(y, p))
    assert_allclose(row["skill"].value, 1 - loss.mean() / y.var())
    # The ratio's standard error by leaving out each row.
    n = len(y)
    without = [np.delete(loss, i).mean() / np.delete(y, i).var() for i in range(n)]
    jackknife = np.sqrt((n - 1) * np.var(without))
    t = stats.t(min(y.sum(), (1 - y).sum()) - 1).ppf(0.95)
    assert_allclose(row["skill"].high - row["skill"].value, t * jackknife, rtol=0.02)


def test_an_errors_interval_begins_at_0_where_the_score_test_rejects():
    p = np.tile([0.1, 0.4, 0.7], 100)
    events, sd = p.sum(), np.sqrt((p * (1 - p)).sum())
    n = len(p)
    center, half = p.mean(), stats.norm.ppf(0.95) * sd / n
    low = [center - half * k for k in (0.98, 1.02)]
    for share, inside in zip(low, (True, False), strict=True):
        y = np.zeros(n, dtype=int)
        y[np.argsort(-p, kind="stable")[: round(share * n)]] = 1
        e = group_table(y, p, ["a"] * n)[0]["error"]
        z = (events - y.sum()) / sd
        assert (e.low <= 0) == (z <= stats.norm.ppf(0.95)), (inside, z, e)


def test_weights_and_clusters():
    w, cluster = RNG.exponential(size=N), np.arange(N) // 6
    row = row_of(group_table(Y, P, REGION, groups=cluster, sample_weight=w), "group=south")
    at = REGION == "south"
    loss = (P - Y) ** 2
    mean = np.average(loss[at], weights=w[at])
    pull = np.bincount(cluster[at], w[at] * (loss[at] - mean))
    size = np.bincount(cluster[at], w[at])
    h = size / size.sum()
    seen = 1 - 2 * (h**3).sum() / (h**2).sum() + (h**2).sum()
    sd = np.sqrt((pull**2).sum() / seen) / size.sum()
    freedom = (h**2).sum() ** 2 / (h**4).sum() - 1
    of_class = [
        (w[c] ** 2).sum() ** 2 / (w[c] ** 4).sum() - 1 for c in (at & (k == Y) for k in (0, 1))
    ]
    reach = stats.t(min(freedom, *of_class)).ppf(0.95) * sd
    assert_allclose(ends(row["brier"]), (mean - reach, mean + reach))
    gap = np.bincount(cluster[at], (w * (P - Y))[at])
    null = max((gap**2).sum(), (w**2 * P * (1 - P))[at].sum())
    assert_allclose(row["z"], gap.sum() / np.sqrt(null))
    scaled = group_table(Y, P, REGION, groups=cluster, sample_weight=7 * w)
    assert_allclose(row["z"], row_of(scaled, "group=south")["z"])


def test_rows_of_weight_0_are_dropped():
    w = (np.arange(N) % 3 > 0) * 1.0
    some = w > 0
    a, b = group_table(Y, P, REGION, sample_weight=w), group_table(Y[some], P[some], REGION[some])
    assert str(a) == str(b)


def test_shrunk_errors_by_hand():
    # DerSimonian and Laird: weights 4, 1, 2; mean 0; Q = 4*.25 + 4 + 2*1 = 7; C = 7 - 21/7 = 4.
    e, v = np.array([0.5, 2.0, -2.0]), np.array([0.25, 1.0, 0.5])
    mean = (4 * 0.5 + 2.0 - 2 * 2.0) / 7
    q = 4 * (0.5 - mean) ** 2 + (2 - mean) ** 2 + 2 * (2 + mean) ** 2
    tau2 = (q - 2) / (7 - (16 + 1 + 4) / 7)
    w = 1 / (v + tau2)
    center = (w * e).sum() / w.sum()
    assert_allclose(shrunk(e, v), center + tau2 / (tau2 + v) * (e - center))
    assert_allclose(shrunk(np.array([0.1, 0.11]), np.ones(2)), 0.105)  # no more than chance
    assert_allclose(shrunk(np.array([0.3, np.nan]), np.ones(2)), [0.3, np.nan])


@pytest.mark.parametrize(("n", "p", "k"), [(1000, 0.004, 9), (1000, 0.996, 990), (200, 0.5, 120)])
def test_single_p_values_are_exact_ones(n, p, k):
    y = np.r_[np.ones(k, int), np.zeros(n - k, int)]
    z = group_table(y, np.full(n, p), ["a"] * n, adjust="holm")[0]["z"]
    law = stats.binom(n, p)
    tail = 2 * min(law.cdf(k), law.sf(k - 1))
    assert_allclose(2 * stats.norm.sf(abs(z)), tail, rtol=0.05)


@pytest.mark.parametrize(("n", "p", "k"), [(8, 0.5, 8), (10, 0.3, 9), (20, 0.5, 19)])
def test_single_p_values_of_a_few_rows_are_never_too_small(n, p, k):
    y = np.r_[np.ones(k, int), np.zeros(n - k, int)]
    z = group_table(y, np.full(n, p), ["a"] * n, adjust="holm")[0]["z"]
    assert 2 * stats.norm.sf(abs(z)) >= 2 * stats.binom(n, p).sf(k - 1)


def test_rare_events_and_rare_non_events():
    p = np.r_[np.full(400, 0.002), np.full(300, 0.998)]
    y = np.r_[np.ones(4, int), np.zeros(396, int), np.ones(300, int)]
    z = group_table(y, p, ["a"] * 700, adjust="holm")[0]["z"]
    tail = stats.skellam(0.8, 0.6).sf(3)  # four events more than expected
    assert_allclose(2 * stats.norm.sf(abs(z)), 2 * tail, rtol=0.05)


def test_holm_and_benjamini_hochberg():
    by = {"a": REGION, "b": RNG.integers(0, 7, N).astype(str)}
    tables = {adjust: group_table(Y, P**0.8, by, adjust=adjust) for adjust in ("holm", "bh")}
    p = np.array([2 * stats.norm.sf(abs(r["z"])) for r in tables["bh"]])
    assert_allclose(
        [r["p_value"] for r in tables["bh"]], stats.false_discovery_control(p), rtol=1e-6
    )
    ranked = np.argsort(p)
    steps = [min(1.0, max(p[j] * (len(p) - i) for i, j in enumerate(ranked[: k + 1])))
             for k in range(len(p))]  # fmt: skip
    assert_allclose([tables["holm"][i]["p_value"] for i in ranked], steps, rtol=1e-6)


# --- flags


def largest_z(by, seed, **kept):
    y = (np.random.default_rng([5, seed]).random(300) < P[:300]).astype(int)
    return max(abs(r["z"]) for r in group_table(y, P[:300], by, adjust="holm", **kept))


def test_max_is_the_largest_of_all_groups_by_chance(monkeypatch):
    by, n = {"a": REGION[:300], "b": AGE[:300]}, 200
    brute = np.array([largest_z(by, seed, search=True) for seed in range(n)])
    bad = np.clip(P[:300] ** 1.35, 0, 1)
    for limit in (families._MOST_LABELS, 0):  # labels, or noise as for many rows
        monkeypatch.setattr(families, "_MOST_LABELS", limit)
        table = group_table(Y[:300], bad, by, search=True)
        for row in table:
            share = np.mean(brute >= abs(row["z"]) - 1e-9)
            # Four standard errors; z of the other scores has about the same distribution.
            assert abs(row["p_value"] - share) < 4 * np.sqrt(0.25 / n) + 0.03


def test_noise_of_many_units_is_that_of_its_covariance(monkeypatch):
    rng = np.random.default_rng(0)
    root = csr_matrix(rng.random((6, 4000)) * (rng.random((6, 4000)) < 0.3))
    minima = {}
    for limit in (1e12, 0):
        monkeypatch.setattr(families, "_MOST_NOISE", limit)
        minima[limit] = families.noise_minima(root, 2000, np.random.default_rng(1), signs=True)
    assert stats.ks_2samp(*minima.values()).pvalue > 1e-3


@pytest.mark.parametrize(
    "kept", [{}, {"clusters": 30}, {"weights": True}], ids=["plain", "clusters", "weights"]
)
def test_false_flags(kept):
    n, repeats, false, true = 300, 80, 0, 0
    for seed in range(repeats):
        rng = np.random.default_rng([8, seed])
        p, values = rng.random(n), rng.integers(0, 4, (n, 2)).astype(str)
        given = {"n_draws": 199, "search": True}
        latent = rng.standard_normal(n)
        if "clusters" in kept:
            given["groups"] = cluster = rng.integers(0, 30, n)
            latent = 0.6 * rng.standard_normal(30)[cluster] + 0.8 * latent
        if "weights" in kept:
            given["sample_weight"] = rng.lognormal(size=n)
        y = (stats.norm.cdf(latent) < p).astype(int)
        table = group_table(y, p, values, **given)
        false += any(r["flag"] == "miscalibrated" for r in table)
        if seed < 10:
            found = group_table(y, p**4, values, **given)
            true += any(r["flag"] == "miscalibrated" for r in found)
    assert false / repeats <= 0.1 + 4 * np.sqrt(0.09 / repeats)
    assert true >= 9


def test_what_is_not_estimable():
    by = np.array(["large"] * 560 + ["few"] * 8 + ["one"] + ["sure"] * 31)
    p, y = P.copy(), Y.copy()
    p[by == "sure"], y[by == "sure"] = 0.999, 1
    table = group_table(y, p, by)
    flags = {r["group"]: r["flag"] for r in table}
    assert flags == {
        "group=few": "not estimable",
        "group=large": "",
        "group=one": "not estimable",
        "group=sure": "not estimable",
    }
    assert np.isnan(row_of(table, "group=few")["error_shrunk"])
    assert "nan" not in str(table)
    y[by == "sure"] = np.arange(31) % 2  # very wrong: 15 of 31 where 0.03 are expected
    assert row_of(group_table(y, p, by), "group=sure")["flag"] == "miscalibrated"


def test_few_clusters():
    with pytest.warns(FewGroupsWarning, match="effective number of groups is 4"):
        table = group_table(Y, P**2, REGION, groups=np.arange(N) % 4)
    assert {r["flag"] for r in table} == {"not estimable"}
    assert all(np.isnan(r["p_value"]) for r in table)
    one = group_table(Y, P, REGION == "south", groups=np.where(REGION == "south", 0, np.arange(N)))
    south = row_of(one, "group=True")
    assert np.isnan([*ends(south["observed"]), *ends(south["error"]), *ends(south["brier"])]).all()


def test_constant_labels_and_certain_scores():
    row = group_table(np.zeros(100, int), np.full(100, 0.3), ["a"] * 100)[0]
    assert row["flag"] == "miscalibrated"
    assert np.isnan(row["skill"].value)
    assert row["observed"].high > 0.01
    with pytest.warns(HardScoresWarning):
        table = group_table(Y, Y, REGION)
    assert {r["flag"] for r in table} == {"not estimable"}
    y = Y.copy()
    y[np.flatnonzero(REGION == "east")[0]] ^= 1  # impossible
    with pytest.warns(HardScoresWarning):
        table = group_table(y, Y, REGION)
    assert [r["flag"] for r in table] == ["miscalibrated", "not estimable", "not estimable"]


# --- what the rows are grouped by


def names(by, n=N, **kept):
    return [row["group"] for row in group_table(Y[:n], P[:n], by, adjust="holm", **kept)]


def test_columns_of_all_kinds():
    want = ["region=east", "region=north", "region=south"]
    frame = pd.DataFrame({"region": REGION, "old": AGE > 40})
    old = ["old=False", "old=True"]
    assert names({"region": REGION}) == want
    assert names(frame) == [*want, *old]
    assert names(frame.astype({"region": "category"})["region"]) == want
    assert names(REGION.tolist())[0] == "group=east"
    assert names(np.c_[REGION, AGE > 40])[3:] == ["column_1=False", "column_1=True"]
    assert names([[r, int(a > 40)] for r, a in zip(REGION, AGE, strict=True)])[3:] == [
        "column_1=0",
        "column_1=1",
    ]
    polars = pytest.importorskip("polars")
    assert names(polars.DataFrame({"region": REGION, "old": AGE > 40})) == [*want, *old]


def test_missing_values_are_a_group():
    for missing in (None, np.nan, pd.NA):
        region = [missing, *REGION[1:]]
        assert names({"region": region})[3] == "region missing"
    holed = pd.array([None, *(np.arange(N - 1) % 3)], dtype="Int64")
    assert names({"k": holed}) == ["k=0", "k=1", "k=2", "k missing"]
    assert names({"x": np.full(N, np.nan)}) == ["x missing"]
    assert names({"x": ["missing", None] * 300}) == ["x=missing", "x missing"]


def test_bands_are_what_their_names_say():
    table = group_table(Y, P, {"age": np.r_[np.nan, AGE[1:]]}, n_bands=5)
    edges = [-np.inf, *(float(r["group"].split()[-1]) for r in table.rows[:4]), np.inf]
    assert_allclose(edges[1:-1], np.quantile(AGE, np.arange(1, 5) / 5), atol=1)
    assert all(len(str(e)) <= 4 for e in edges[1:-1])
    counts = [((e <= AGE[1:]) & (AGE[1:] < f)).sum() for e, f in pairwise(edges)]
    assert [r["n"] for r in table] == [*counts, 1]
    assert table[1]["group"] == f"age from {edges[1]:g} to below {edges[2]:g}"
    assert names({"x": np.r_[np.zeros(500), 1 + np.arange(100)]}) == ["x below 1", "x from 1"]
    days = np.datetime64("2024-01-01") + np.arange(N)
    assert names({"day": days}, n_bands=2) == ["day below 2024-10-26", "day from 2024-10-26"]
    assert names({"id": 10**15 + np.arange(N)}, n_bands=2)[0].startswith("id below 10000000000003")


def test_odd_texts():
    found = names({"a, b": ["x=1, y", "\x1b[31m\n"] * 300})
    assert found == ['"a, b"="\\u001b[31m\\n"', '"a, b"="x=1, y"']


def test_search_looks_through_pairs_and_triples():
    by = {"a": REGION, "b": AGE > 40, "c": np.arange(N) % 2}
    found = names(by, search=True)
    assert len(found) == 3 + 2 + 2 + 6 + 6 + 4 + 12
    assert "a=south, b=True, c=1" in found
    table = group_table(Y, P, by, search=True)
    assert sum(r["n"] for r in table) == 7 * N
    assert max(r["p_value"] for r in table) <= 1
    plain = group_table(Y, P**1.2, by)
    searched = [r["p_value"] for r in group_table(Y, P**1.2, by, search=True)]
    assert searched == sorted(searched)
    paid = {r["group"]: r["p_value"] for r in group_table(Y, P**1.2, by, search=True)}
    assert all(r["p_value"] <= paid[r["group"]] + 0.03 for r in plain)


def test_top_label_and_fractions():
    p3 = RNG.dirichlet([1, 1, 1], N)
    y3 = (RNG.random(N)[:, None] > p3.cumsum(axis=1)).sum(axis=1)
    row = group_table(y3, p3, REGION)[0]
    at = REGION == "east"
    assert row["events"] == (p3.argmax(axis=1) == y3)[at].sum()
    assert_allclose(row["predicted"], p3.max(axis=1)[at].mean())
    row = group_table(np.where(Y == 1, 0.75, 0.25), P, REGION)[0]
    assert row["events"] == 0.75 * Y[at].sum() + 0.25 * (1 - Y[at]).sum()


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("region", "not a name"),
        (None, "by=None"),
        ({}, "no column"),
        (REGION[:-1], r"shape \(599,\)"),
        ({"a": REGION, "b": AGE[:3]}, r"by\['b'\] has shape \(3,\)"),
        ({1: REGION, "1": REGION}, "two columns named '1'"),
        (pd.DataFrame(np.c_[REGION, REGION], columns=["a", "a"]), "two columns named 'a'"),
        (["a", 1] * 300, "mixes labels"),
        ({"a": [["x"], ["y", "z"]] * 300}, "list"),
    ],
)
def test_what_is_refused(by, words):
    with pytest.raises(InputError, match=words):
        group_table(Y, P, by)


def test_ids_are_refused():
    n = 6000
    with pytest.raises(InputError, match=r"6,000 groups; expected at most 5,000\. Drop columns"):
        group_table(np.arange(n) % 2, np.full(n, 0.5), np.arange(n).astype(str))


# --- the plot


@pytest.fixture
def plotted():
    yield
    plt.close("all")


def artist(ax, gid):
    (found,) = ax.findobj(lambda a: a.get_gid() == gid)
    return found


@pytest.mark.usefixtures("plotted")
def test_the_plot_shows_the_table():
    by = np.array([f"g{i}" for i in range(12)], dtype=object)[np.arange(N) % 12]
    by[:3] = "tiny $x_1$"
    table = group_table(Y, np.where(by == "g5", P**3, P), by)
    display = GroupDisplay(table).plot()
    assert next(iter(display.curves_)) == "group=g5"
    for i, (name, row) in enumerate(display.curves_.items()):
        dot = artist(display.ax_, f"dot:{name}")
        assert dot.get_ydata()[0] == i
        if row["flag"] == "not estimable":
            assert artist(display.ax_, f"p:{name}").get_text() == "not estimable"
            continue
        assert dot.get_xdata()[0] == row["error"].value
        bar = artist(display.ax_, f"interval:{name}").get_segments()[0]
        assert_allclose(bar[:, 0], ends(row["error"]))
        assert artist(display.ax_, f"shrunk:{name}").get_xdata()[0] == row["error_shrunk"]
        assert (dot.get_marker() == "s") == (row["flag"] == "miscalibrated")
    display.figure_.canvas.draw()
    assert "tiny $x_1$" in display.ax_.get_yticklabels()[-1].get_text()
    assert list(display.frame()["group"]) == list(display.curves_)


@pytest.mark.usefixtures("plotted")
def test_the_plot_of_many_groups_or_of_one():
    by = np.array([f"g{i:02}" for i in range(60)])[np.arange(N) % 60]
    display = GroupDisplay.from_predictions(Y, P, by, adjust="bh")
    assert (len(display.curves_), display.n_left_out_) == (40, 20)
    assert "20 more groups not drawn" in display.ax_.get_legend().get_title().get_text()
    z = [abs(row["z"]) for row in display.curves_.values()]
    assert z == sorted(z, reverse=True)
    kept = GroupDisplay(display.table_, max_groups=2, order="table")
    assert list(kept.curves_) == ["group=g00", "group=g01"]
    one = GroupDisplay.from_predictions(np.ones(5, int), np.ones(5), ["a"] * 5)
    one.figure_.canvas.draw()
    with pytest.raises(InputError, match="not a table of groups"):
        GroupDisplay(ResultTable(({"a": 1},)))


def test_small_p_values_are_not_printed_as_zero():
    table = group_table(Y, P**3, REGION)
    assert max(r["p_value"] for r in table) < 0.001
    assert {line[table.columns.index("p_value")] for line in table.cells()} == {"< 0.001"}
