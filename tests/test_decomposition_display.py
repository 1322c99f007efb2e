"""Miscalibration against discrimination: what is drawn adds up to the score."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.isotonic import IsotonicRegression

from calibkit import DecompositionDisplay, brier_score, decompose_score, estimate, log_loss
from calibkit.base import InputError

RNG = np.random.default_rng(0)
N = 200
P = RNG.random(N).round(2)
Y = (RNG.random(N) < P).astype(int)
MODELS = {"a": P, "b": P**2, "c": RNG.random(N)}
FEW = {"n_resamples": 20, "random_state": 0}
predictions = DecompositionDisplay.from_predictions


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def artists(ax):
    return {a.get_gid(): a for a in [*ax.lines, *ax.collections] if a.get_gid()}


@pytest.mark.parametrize(("loss", "score"), [("brier", brier_score), ("log", log_loss)])
def test_dots_lie_on_the_lines_of_their_scores(loss, score):
    display = predictions(Y, MODELS, loss=loss, **FEW)
    drawn = artists(display.ax_)
    base = score(Y, np.full(N, Y.mean()))
    for name, p in MODELS.items():
        (mcb,), (dsc,) = drawn[f"dot:{name}"].get_data()
        assert_allclose(mcb - dsc + base, score(Y, p), rtol=1e-12)
        again = IsotonicRegression(out_of_bounds="clip").fit(p, Y).predict(p)
        assert_allclose(base - dsc, score(Y, again), rtol=1e-9)
    # Grey lines: the score that their number says, all along.
    numbers = {t.get_text(): t.xy for t in display.ax_.texts}
    assert len(numbers) > 2
    for text, (x, y) in numbers.items():
        assert_allclose(x - y + base, float(text), atol=1e-6)
    for line in display.ax_.lines:
        if line.get_gid() == "score":
            assert_allclose(np.diff(line.get_xdata()), np.diff(line.get_ydata()))


def test_bars_are_those_of_estimate():
    display = predictions(Y, MODELS["b"], level=0.8, n_resamples=50, random_state=3)
    e = estimate("corp_miscalibration", Y, P**2, level=0.8, n_resamples=50, random_state=3)
    drawn = artists(display.ax_)
    bar, null = (drawn[f"{key}:Model"].get_segments()[0][:, 0] for key in ("interval", "null"))
    assert_allclose(bar, (e.low, e.high))
    assert_allclose(null, (e.null_low, e.null_high))
    assert display.frame()["p_value"][0] == e.p_value
    assert "80% interval" in display.ax_.get_legend().get_title().get_text()


def test_classes_weights_groups_and_many_models():
    y, p = RNG.integers(0, 3, N), RNG.dirichlet([1, 1, 1], N)
    display = predictions(y, {"a": p, "b": p[:, ::-1]}, **FEW)
    assert "minus uncertainty" in display.ax_.get_legend().get_title().get_text()
    given = {"sample_weight": RNG.random(N), "groups": np.arange(N) // 4}
    many = predictions(Y, {f"m{i}": P**i for i in range(1, 13)}, **given, **FEW)
    many.figure_.canvas.draw()
    assert len(many.ax_.get_legend().get_texts()) == 12
    bare = DecompositionDisplay({"a": decompose_score(Y, P)}).plot()
    assert not bare.ax_.collections
    assert list(bare.frame()["score"]) == [brier_score(Y, P)]


def test_constant_and_perfect_scores():
    for p in (np.full(N, Y.mean()), np.where(Y, 0.999, 0.001)):
        predictions(Y, p, **FEW).figure_.canvas.draw()


def test_refused():
    with pytest.raises(InputError, match=r"^DecompositionDisplay.from_predictions: loss='x'; exp"):
        predictions(Y, P, loss="x")
    with pytest.raises(InputError, match=r"from_predictions \(b\): y_prob has 199 rows"):
        predictions(Y, {"a": P, "b": P[1:]}, **FEW)
