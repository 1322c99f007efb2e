"""Differences of metrics on the same rows: check values, witnesses, groups, weights, several."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import expit

import calibkit
from calibkit import FewEventsWarning, FewGroupsWarning, ScoreTable, brier_score, compare
from calibkit import squared_calibration_error as squared
from calibkit._numerics.binning import order_by_score
from calibkit._numerics.paired import benjamini_hochberg, holm
from calibkit.base import InputError
from calibkit.metrics._estimate import _KNOWN as EVERY

INDEX = np.arange(200)
P = (INDEX + 0.5) / 200
Y = (np.mod((INDEX + 1) * 0.6180339887498949, 1.0) < P**1.5).astype(int)
R200 = {"p": P, "q": P**1.5}

RNG = np.random.default_rng(0)
N = 240
Z = 1.5 * RNG.standard_normal(N)
TWO = {"a": expit(Z + 0.5), "b": expit(0.7 * Z + RNG.standard_normal(N))}
Y2 = (RNG.random(N) < expit(Z)).astype(int)
Z3 = RNG.standard_normal((N, 3))
Y3 = (RNG.random(N)[:, None] > np.cumsum(np.exp(Z3), 1) / np.exp(Z3).sum(1)[:, None]).sum(1)
SOFT = np.round((Y2 + RNG.random(N)) / 2, 1)
W = RNG.integers(1, 4, N)
GROUPS = RNG.integers(0, 40, N)


def _of(z):
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


THREE = {"a": _of(1.5 * Z3), "b": _of(0.8 * Z3 + 0.7 * RNG.standard_normal((N, 3)))}
_KNOWN = {name: spec for name, spec in EVERY.items() if spec.comparable}
ERRORS = [name for name, spec in _KNOWN.items() if spec.settings is not None]
#: Metric, labels, models and settings.
CASES = {
    **{f"{m}, two": (m, Y2, TWO, {}) for m in _KNOWN},
    **{f"{m}, fractions": (m, SOFT, TWO, {}) for m in _KNOWN},
    **{f"{m}, three": (m, Y3, THREE, {}) for m in _KNOWN},
    **{f"{m}, classes": (m, Y3, THREE, {"kind": "classwise"}) for m in ERRORS},
    "unique": ("calibration_error", Y2, {k: p.round(1) for k, p in TWO.items()},
               {"strategy": "unique", "debias": "labels"}),
    "sweep": ("calibration_error", Y2, TWO, {"n_bins": "sweep", "norm": "l1"}),
    "auto": ("expected_calibration_error", Y2, TWO, {"n_bins": "auto", "debias": True}),
}  # fmt: skip
DEPENDENCE = {"rows": {}, "weights": {"sample_weight": W}, "groups": {"groups": GROUPS},
              "time": {"time": INDEX.repeat(2)[:N]}}  # fmt: skip


def first(metric, y, models, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compare(metric, y, models, **given).differences[0]


@pytest.mark.parametrize("case", CASES)
def test_every_metric(case):
    metric, y, models, kept = CASES[case]
    function, names = getattr(calibkit, metric), list(models)
    for given in DEPENDENCE.values():
        found = compare(metric, y, models, **kept, **given)
        w = given.get("sample_weight")
        for name in names:
            value = function(y, models[name], sample_weight=w, **kept)
            assert_allclose(found.values[name], value, rtol=1e-9, atol=1e-7)
        d = found.differences[0]
        if metric not in ERRORS:
            assert_allclose(d.value, found.values["a"] - found.values["b"], atol=1e-12)
        elif not given and y is not SOFT and kept.get("norm", "l2") == "l2":
            settings = {"strategy": "uniform"} if "expected" in metric or "max" in metric else {}
            settings |= {k: v for k, v in kept.items() if k not in ("norm", "debias")}
            squares = [squared(y, models[name], **settings) for name in names]
            assert_allclose(d.value, squares[0] - squares[1], atol=1e-12)
        same = first(metric, y, {"a": models["a"], "b": models["a"]}, **kept, **given)
        assert (same.value, same.p_value) == (0.0, 1.0)
        back = first(metric, y, {"b": models["b"], "a": models["a"]}, **kept, **given)
        assert_allclose([-back.value, -back.high, -back.low], [d.value, d.low, d.high], atol=1e-9)
        assert_allclose(back.p_value, d.p_value, rtol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_order_and_weights(case):
    metric, y, models, kept = CASES[case]
    d = first(metric, y, models, **kept)
    twice = first(metric, y, models, sample_weight=np.full(N, 2.0), **kept)
    assert twice == d
    at = RNG.permutation(N)
    moved = first(metric, y[at], {k: p[at] for k, p in models.items()}, **kept)
    assert_allclose(tuple(vars(moved).values())[2:6], tuple(vars(d).values())[2:6], atol=2e-3)
    assert_allclose(moved.value, d.value, atol=1e-12)
    if metric not in ERRORS and metric != "area_under_risk_coverage":  # weights count no rows
        rows = np.repeat(np.arange(N), W)
        whole = first(metric, y[rows], {k: p[rows] for k, p in models.items()}, **kept)
        weighted = first(metric, y, models, sample_weight=W, **kept)
        assert_allclose(weighted.value, whole.value, atol=1e-12)


def test_paired_brier_scores_of_r200():
    found = compare("brier_score", Y, R200).differences[0]
    d = (P - Y) ** 2 - (P**1.5 - Y) ** 2
    witness = stats.ttest_1samp(d, 0.0)
    assert_allclose(found.value, 0.01395654, atol=5e-9)
    assert_allclose(found.p_value, witness.pvalue, rtol=1e-12)
    assert round(found.p_value, 4) == 0.0372
    ends = witness.confidence_interval(0.9)
    assert_allclose((found.low, found.high), (ends.low, ends.high), rtol=1e-12)


def test_groups_of_r200():
    found = compare("brier_score", Y, R200, groups=INDEX // 10).differences[0]
    reach = stats.t(19).ppf(0.95) * 0.00293195
    assert_allclose(found.high - found.value, reach, rtol=1e-5)


def test_area_has_delongs_error():
    y, models = Y2[:60], [p[:60].round(1) for p in TWO.values()]
    parts = []
    for p in models:
        wins = (p[y == 1][:, None] > p[y == 0]) + 0.5 * (p[y == 1][:, None] == p[y == 0])
        parts.append([wins.mean(axis=1), wins.mean(axis=0)])
    parts = [a - b for a, b in zip(*parts, strict=True)]
    each = [part.var(ddof=1) / len(part) for part in parts]
    freedom = sum(each) ** 2 / sum(v * v / (len(x) - 1) for v, x in zip(each, parts, strict=True))
    d = first("roc_auc", y, dict(zip("ab", models, strict=True)))
    reach = stats.t(min(freedom, 59)).ppf(0.95) * np.sqrt(sum(each))
    assert_allclose([d.value, d.high - d.value], [parts[0].mean(), reach], rtol=1e-9)


@pytest.mark.parametrize("metric", ["brier_skill_score", "log_loss_skill_score"])
@pytest.mark.parametrize(("y", "models"), [(Y2, TWO), (Y3, THREE)])
def test_skill_has_the_jackknifes_error(metric, y, models):
    function, values = getattr(calibkit, metric), []
    for i in range(N):
        at = np.arange(N) != i
        values.append(function(y[at], models["a"][at]) - function(y[at], models["b"][at]))
    error = np.sqrt(np.var(values) * (N - 1))
    d = first(metric, y, models)
    assert_allclose((d.high - d.value) / 1.66, error, rtol=0.02)


def test_order_by_score():
    p = np.nextafter(np.repeat(RNG.random(50), 40), np.tile([0.0, 1.0], 1000))
    order, ordered = order_by_score(RNG.permutation(p))
    assert (ordered == np.sort(p)).all()
    assert (np.sort(order) == np.arange(2000)).all()


def test_adjusted_p_values():
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205])
    assert_allclose(holm(p), [0.008, 0.056] + 6 * [0.234])
    assert_allclose(benjamini_hochberg(p[::-1]), stats.false_discovery_control(p[::-1]))


def test_against_the_best_all_pairs_and_a_name():
    three = {**R200, "r": P**2}
    against = compare(brier_score, Y, three)
    assert against.best == "q"
    assert [d.second for d in against.differences] == ["q", "q"]
    pairs = compare(brier_score, Y, three, reference="all")
    adjusted = holm(np.array([d.p_value for d in pairs.differences]))
    assert_allclose([d.p_adjusted for d in pairs.differences], adjusted)
    # The best was chosen from all pairs.
    assert against.n_tests == pairs.n_tests == 3
    assert_allclose([d.p_adjusted for d in against.differences], adjusted[[0, 2]])
    named = compare(brier_score, Y, three, reference="p")
    assert [(d.first, d.second) for d in named.differences] == [("q", "p"), ("r", "p")]
    assert_allclose(
        [d.p_adjusted for d in named.differences],
        holm(np.array([d.p_value for d in named.differences])),
    )


def test_folds_by_hand():
    folds = np.array([f"{r}-{f}" for r in range(2) for f in INDEX[:100] % 4])
    d = (P - Y) ** 2 - (P**1.5 - Y) ** 2
    x = np.array([d[folds == f].mean() for f in np.unique(folds)])
    error = np.sqrt((1 / 8 + 1 / 3) * x.var(ddof=1))
    found = compare("brier_score", Y, R200, folds=folds).differences[0]
    assert_allclose(found.value, x.mean(), rtol=1e-12)
    assert_allclose(found.high - found.value, stats.t(7).ppf(0.95) * error, rtol=1e-12)
    assert_allclose(found.p_value, 2 * stats.t(7).sf(x.mean() / error), rtol=1e-9)


@pytest.mark.parametrize("metric", _KNOWN)
def test_folds_take_the_metric_of_each_fold(metric):
    folds, kept = INDEX.repeat(2)[:N] % 4, {"n_bins": 5} if metric in ERRORS else {}
    found = compare(metric, Y3, THREE, folds=folds, sample_weight=W, **kept)
    for name, p in THREE.items():
        each = [
            getattr(calibkit, metric)(Y3[at], p[at], sample_weight=W[at], **kept)
            for at in (folds == k for k in range(4))
        ]
        assert_allclose(found.values[name], np.mean(each), rtol=1e-9)


def test_time():
    at = RNG.permutation(200)
    blocks = INDEX // 20  # 10 blocks
    witness = first("brier_score", Y, R200, groups=blocks)
    moved = {k: p[at] for k, p in R200.items()}
    for time in (INDEX, np.datetime64("2026-01-01") + INDEX, (INDEX // 20) / 7):
        d = first("brier_score", Y[at], moved, time=time[at])
        assert_allclose((d.low, d.high), (witness.low, witness.high), rtol=1e-9)
    with pytest.warns(FewGroupsWarning, match="blocks of time"):
        compare("brier_score", Y, R200, time=INDEX // 50)


def test_infinite_losses_are_refused():
    p = np.where(np.flatnonzero(Y)[3] == INDEX, 0.0, P)
    w = (INDEX >= 2).astype(float)
    for metric in ("log_loss", "log_loss_skill_score"):
        with pytest.raises(InputError, match=r"model b\).*row 64.*clip") as told:
            compare(metric, Y, {"a": P, "b": p}, sample_weight=w)
        assert told.value.place == np.flatnonzero(Y)[3] == 64
    assert first("brier_score", Y, {"a": P, "b": p}).value < 0.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"groups": INDEX, "time": INDEX}, "groups and time together"),
        ({"folds": INDEX % 20, "metric": "calibration_error"}, r"\(model p, fold 0\): n_bins=15"),
        ({"folds": Y, "metric": "roc_auc"}, r"\(model p, fold 0\): y_true has no rows"),
        ({"folds": np.char.add(Y.astype(str), "-1")}, "one fold only in the repetition '0'"),
        ({"y_true": [1], "y_probs": {"a": [0.2], "b": [0.3]}}, "one row"),
        ({"y_true": ScoreTable.from_arrays(Y, P)}, "y_true is a ScoreTable"),
        ({"y_probs": {"p": P}}, "y_probs is a dict of 1"),
        ({"metric": "brier_skill_score", "y_true": 0 * Y}, "one class only"),
        ({"metric": "calibration_error", "strategy": "unique", "y_true": np.arange(9000) % 2,
          "y_probs": {k: np.arange(1, 9001) / 9002 for k in "ab"}}, "9,000 bins"),
        ({"reference": "b"}, "reference='b'; expected one of 'best', 'all', 'p', 'q'"),
    ],
)  # fmt: skip
def test_refused(given, words):
    given = {"metric": "brier_score", "y_true": Y, "y_probs": R200, **given}
    with pytest.raises((ValueError, TypeError), match=words):
        compare(**given)


def test_cautions():
    few = np.where(INDEX < 5, Y, 0)
    few[INDEX > 195] = 1
    for metric in _KNOWN:
        with pytest.warns(FewEventsWarning, match="rarer class"):
            found = compare(metric, few, R200)
        assert "rarer class" in str(found)
    nearly = np.where(INDEX % 70 == 0, 0.5, P)
    with pytest.warns(FewEventsWarning, match="only about"):
        compare("brier_score", Y, {"a": P, "b": nearly})
    with pytest.warns(FewEventsWarning, match="half of the bins have at most 3 "):
        compare("calibration_error", Y, R200, n_bins=60)
    with pytest.warns(FewGroupsWarning):
        assert "groups" in str(compare("brier_score", Y, R200, groups=INDEX % 5))


def test_printed():
    models = {"raw": P, "root": np.sqrt(P), "square": P**2}
    text = str(compare("expected_calibration_error", Y, models))
    for part in ("debiased squared calibration error", "ECE", "smaller is better", "n = 200"):
        assert part in text
    table = compare("brier_score", Y, models, reference="raw").table()
    assert [row["first"] for row in table] == ["root", "square"]


def simulated(metric, events, groups, seed):
    """Whether an interval holds 0, where both models are equally good."""
    rng = np.random.default_rng(seed)
    n = 300
    shift = 0.0 if groups is None else rng.standard_normal(30)[groups]
    z = 1.5 * rng.standard_normal(n)
    p, q = expit(z + 0.8 * rng.standard_normal((2, n)) - (300 / events - 2) / 2)
    y = (rng.random(n) < expit(z + shift - (300 / events - 2) / 2)).astype(int)
    d = first(metric, y, {"a": p, "b": q}, groups=groups)
    return d.low <= 0 <= d.high


@pytest.mark.parametrize("metric", ["brier_score", "roc_auc", "calibration_error"])
def test_coverage(metric):
    groups = INDEX.repeat(2)[:300] % 30 if metric == "brier_score" else None
    held = np.mean([simulated(metric, 100, groups, seed) for seed in range(150)])
    assert held + 3 * np.sqrt(0.88 * 0.12 / 150) >= 0.88


@pytest.mark.parametrize(
    ("metric", "y", "models", "given"),
    [
        ("roc_auc", [0] * 15 + [1] * 15, {"a": np.linspace(0.05, 0.95, 30), "b": [0.5] * 30}, {}),
        ("brier_score", [1] * 3, {"a": [0.3] * 3, "b": [0.4] * 3}, {}),
        ("brier_score", [0, 1] * 2, {"a": [0.3] * 4, "b": [0.4] * 4}, {"folds": [0, 0, 1, 1]}),
    ],
)
def test_without_noise_there_is_no_interval(metric, y, models, given):
    with pytest.warns(FewEventsWarning, match="do not show its noise"):
        found = compare(metric, y, models, classes=[0, 1], **given)
    (d,) = found.differences
    assert (d.low, d.high, d.p_value) == (-np.inf, np.inf, 1.0)
    assert d.value != 0
    assert found.verdict.startswith("No difference is shown")


def test_verdicts():
    two = compare("brier_score", Y, R200)
    assert "not of these values" in str(compare("calibration_error", Y, R200))
    assert two.verdict == "q has a lower Brier score than p, by 0.0140 [0.0030, 0.0249], p = 0.037"
    ranks = compare("roc_auc", Y, R200)
    assert ranks.verdict.startswith("No difference is shown: ROC AUC of p minus q is 0.0")
    noise = np.random.default_rng(0).random(200)
    several = compare("roc_auc", Y, {**R200, "noise": noise}, reference="all")
    expected = "p has a higher ROC AUC than noise; q has a higher ROC AUC than noise; "
    assert several.verdict == expected + "no difference is shown of p and q"


def test_data_frames_hold_models():
    models = pd.DataFrame(R200)
    assert compare("brier_score", Y, models) == compare("brier_score", Y, R200)
