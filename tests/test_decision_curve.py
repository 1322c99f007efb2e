"""Decision curves: net benefits by counting, intervals by simulation, and what is drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logit
from scipy.stats import norm

from calibkit import (
    ComparisonDisplay,
    DecisionCurveDisplay,
    FewGroupsWarning,
    ScoreTable,
    compare,
    decision_curve,
)
from calibkit.base import InputError, InputTypeError

RNG = np.random.default_rng(0)
N = 300
P = RNG.random(N).round(2)  # ties, and scores equal to thresholds
Q = np.clip(P + RNG.normal(0, 0.2, N), 0.0, 1.0)
Y = (RNG.random(N) < P).astype(int)
W = RNG.gamma(2.0, size=N)
T = np.array([0.0, 0.05, 0.25, 0.5, 0.9, 0.99])
predictions = DecisionCurveDisplay.from_predictions


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def counted(y, p, t, w):
    """Net benefit by counting, row by row."""
    true = sum(b * c for a, b, c in zip(p, y, w, strict=True) if a >= t)
    false = sum((1 - b) * c for a, b, c in zip(p, y, w, strict=True) if a >= t)
    return true / sum(w) - false / sum(w) * t / (1 - t)


@pytest.mark.parametrize("w", [None, W])
@pytest.mark.parametrize("y", [Y, RNG.random(N).round(1)])
def test_net_benefits_are_those_of_counting(y, w):
    each = np.ones(N) if w is None else w
    model, other = ([counted(y, p, t, each) for t in T] for p in (P, Q))
    everybody = [counted(y, np.ones(N), t, each) for t in T]
    for reference, base in (("none", 0.0), ("all", everybody), (Q, other)):
        found = decision_curve(y, P, thresholds=T, reference=reference, sample_weight=w)
        assert_allclose(found.net_benefit, np.subtract(model, base), atol=1e-12)
        assert_allclose(found.treat_all, np.subtract(everybody, base), atol=1e-12)
        assert_allclose(found.treat_none, np.subtract(0.0, base), atol=1e-12)
        assert (found.low <= found.net_benefit).all()
        assert (found.net_benefit <= found.high).all()


def test_tables_counts_and_groups_of_one_row_tell_the_same():
    curve = decision_curve(Y, P)
    assert_allclose(curve.thresholds, np.arange(1, 100) / 100)
    for other in (decision_curve(ScoreTable.from_arrays(Y, P)), decision_curve(Y[::-1], P[::-1])):
        assert_allclose(other, curve, atol=1e-12)
    counts = np.arange(N) % 4
    found = decision_curve(Y, P, reference=Q, sample_weight=counts, weights="frequency")
    repeated = decision_curve(*(np.repeat(a, counts) for a in (Y, P)), reference=Q.repeat(counts))
    assert_allclose(found, repeated, atol=1e-12)
    # Copies of each row as a group: as many effective rows as groups, by Student's t.
    single, grouped = (
        decision_curve(np.tile(Y, k), np.tile(P, k), thresholds=T, groups=np.tile(np.arange(N), k))
        for k in (1, 5)
    )
    assert_allclose(grouped, single, atol=1e-12)


def test_the_interval_of_acting_on_all_rows_is_the_one_of_two_shares():
    t, z, share = 0.25, norm.ppf(0.95), Y.mean()
    curve = decision_curve(Y, np.ones(N) * 0.999, thresholds=t)
    # Of all rows acted on TP + FP = n: the net benefit is linear in one binomial share.
    centre, half = (share + z * z / (2 * N)) / (1 + z * z / N), z / (1 + z * z / N)
    half *= np.sqrt(share * (1 - share) / N + (z / (2 * N)) ** 2)
    assert_allclose(curve.low, (centre - half) * (1 + 1 / 3) - 1 / 3, atol=1e-12)
    assert_allclose(curve.high, (centre + half) * (1 + 1 / 3) - 1 / 3, atol=1e-12)
    none = decision_curve(Y, np.zeros(N) + 0.001, thresholds=t)
    assert none.low[0] < 0.0 == none.net_benefit[0] < none.high[0]


@pytest.mark.parametrize(("n", "rate", "size"), [(200, 0.1, 1), (500, 0.02, 1), (600, 0.2, 20)])
def test_coverage(n, rate, size):
    """Within three standard errors below 90%, with ties, few events and groups."""
    rng, t, repeats = np.random.default_rng(3), rate * np.array([0.5, 1.0, 2.0]), 300

    def drawn(n):
        shared = np.repeat(rng.normal(size=(2, n // size)), size, axis=1)
        z = logit(rate) + 1.5 * (0.6 * shared[0] + 0.8 * rng.normal(size=n)).round(1)
        true = expit(logit(rate) + 0.7 * (z - logit(rate)) + 0.5 * shared[1])
        return expit(z), expit(z + 0.7 * rng.normal(size=n).round(1)), true

    many = drawn(600_000)
    truth = [[counted_mean(many[2], p, s) for s in t] for p in many[:2]]
    held = np.zeros((2, 3))
    for _ in range(repeats):
        p, q, true = drawn(n)
        y = (rng.random(n) < true).astype(int)
        given = {"thresholds": t, "groups": np.arange(n) // size} if size > 1 else {"thresholds": t}
        for i, (reference, aim) in enumerate(
            (("none", truth[0]), (q, np.subtract(truth[0], truth[1])))
        ):
            c = decision_curve(y, p, reference=reference, **given)
            held[i] += ((c.low <= aim) & (aim <= c.high)) / repeats
    assert held.min() > 0.9 - 3.0 * np.sqrt(0.9 * 0.1 / repeats), held


def counted_mean(true, p, t):
    return float(np.mean((p >= t) * (true - (1.0 - true) * t / (1.0 - t))))


def test_the_picture_shows_the_numbers():
    models = {"a": P, "b $x_1$": Q}
    display = predictions(Y, models, thresholds=T[1:5], level=0.8)
    drawn = {line.get_gid(): line for line in display.ax_.lines}
    for name, p in models.items():
        curve = decision_curve(Y, p, thresholds=T[1:5], level=0.8)
        assert_allclose(drawn[f"curve:{name}"].get_ydata(), curve.net_benefit)
        assert_allclose(display.curves_[name], curve)
    assert_allclose(drawn["treat:all"].get_ydata(), curve.treat_all)
    assert "80%" in display.ax_.get_legend().get_title().get_text()
    assert list(display.frame()["model"].unique()) == list(models)
    pair = predictions(Y, models, thresholds=T[1:5], reference="b $x_1$")
    assert list(pair.curves_) == ["a"]
    assert_allclose(
        pair.curves_["a"], decision_curve(Y, P, thresholds=T[1:5], reference=Q), atol=1e-15
    )
    _, ax = plt.subplots()
    assert pair.plot(ax).ax_ is ax
    many = predictions(Y, {f"m{i}": P for i in range(12)}, reference="all")
    many.figure_.canvas.draw()
    assert not many.ax_.collections  # bands of many models would hide each other


def test_estimators():
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(P[:, None], np.where(Y, "yes", "no"))
    for event, column in (("yes", 1), ("no", 0)):
        labels = np.where(Y, "yes", "no")
        drawn = DecisionCurveDisplay.from_estimator(model, P[:, None], labels, pos_label=event)
        p = model.predict_proba(P[:, None])[:, column]
        expected = decision_curve(labels == event, p)
        assert_allclose(drawn.curves_["LogisticRegression"], expected, atol=1e-15)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"thresholds": [0.2, 0.1]}, InputError, "thresholds has 0.1 at place 1"),
        ({"thresholds": [0.5, 1.0]}, InputError, "thresholds has 1 at place 1"),
        ({"thresholds": "x"}, InputTypeError, "expected a number or numbers in"),
        ({"thresholds": []}, InputTypeError, "expected a number or numbers in"),
        ({"reference": "nobody"}, InputError, "reference='nobody'; expected"),
        ({"reference": P[:-1]}, InputError, r"decision_curve \(reference\): "),
        ({"level": 1.0}, InputError, "level=1.0"),
        (
            {"y_true": np.arange(N) % 3, "y_prob": np.full((N, 3), 1 / 3)},
            InputError,
            "y_prob has 3 columns; expected the probability of one event",
        ),
        ({"y_true": ScoreTable.from_arrays(Y, P)}, InputError, "a ScoreTable together with y_prob"),
        (
            {"y_true": ScoreTable.from_arrays(Y, P), "y_prob": None, "reference": Q},
            InputTypeError,
            "expected 'none' or 'all'",
        ),
        (
            {"y_true": ScoreTable.from_arrays(Y, P), "y_prob": None, "groups": Y},
            InputError,
            "groups together with a ScoreTable",
        ),
    ],
)
def test_refused(change, kind, message):
    with pytest.raises(kind, match=message):
        decision_curve(**{"y_true": Y, "y_prob": P, **change})


def test_references_of_pictures_and_few_groups():
    for models, message in (({"a": P, "b": Q}, "'none', 'all', 'a', 'b'"), ({"c": P}, "'all'.$")):
        with pytest.raises(InputError, match=rf"reference='c'; expected one of .*{message}"):
            predictions(Y, models, reference="c")
    with pytest.raises(
        InputError, match=r"^DecisionCurveDisplay.from_predictions \(b\): y_prob has"
    ):
        predictions(Y, {"a": P, "b": P[:-1]})
    with pytest.warns(FewGroupsWarning, match="groups is 3"):
        decision_curve(Y, P, groups=np.arange(N) % 3)


def test_comparisons_of_models_are_drawn():
    models = {"a": P, "b": Q, "c": P**2}
    for reference in ("b", "all"):
        found = compare("brier_score", Y, models, reference=reference)
        display = ComparisonDisplay(found).plot()
        drawn = {a.get_gid(): a for a in [*display.ax_.lines, *display.ax_.collections]}
        for (name, record), d in zip(display.curves_.items(), found.differences, strict=True):
            assert record == vars(d)
            assert drawn[f"dot:{name}"].get_xdata()[0] == d.value
            ends = drawn[f"interval:{name}"].get_segments()[0][:, 0]
            assert_allclose(ends, (d.low, d.high))
        words = [t.get_text() for t in display.ax_.get_legend().get_texts()]
        shown = any(d.p_adjusted <= 0.1 for d in found.differences)
        assert ("better" in " ".join(words) or "worse" in words) == shown
        assert ("minus that of b" in display.ax_.get_xlabel()) == (reference == "b")
        assert list(display.frame()["value"]) == [d.value for d in found.differences]
    with pytest.raises(InputTypeError, match=r"comparison is a dict; expected the result of comp"):
        ComparisonDisplay({})
