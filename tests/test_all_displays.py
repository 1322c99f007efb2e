"""What holds for each display: what is returned, drawing again, given axes, and names as text."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.testing import assert_array_equal
from sklearn.linear_model import LogisticRegression

import calibkit
from calibkit import compare
from calibkit.base import InputError
from calibkit.displays._style import short_name

RNG = np.random.default_rng(0)
N = 100
P = RNG.random(N)
Y = (RNG.random(N) < P).astype(int)
NAMES = ["$x^2$", "_hidden", "L" * 500, "a\nb", "\u05e9\u05dc\u05d5\u05dd", r"$\frac{$"]
DRAWS = {"n_resamples": 10, "random_state": 0}


def made(display, models, **given):
    """A display of several models; of groups of rows with the models' names."""
    cls = getattr(calibkit, display)
    if display == "ComparisonDisplay":
        return cls(compare("brier_score", Y, models))
    if display == "GroupDisplay":
        return cls.from_predictions(Y, P, np.resize(list(models), N), **given)
    drawn = display not in ("DecisionCurveDisplay", "DriftDisplay")
    return cls.from_predictions(Y, models, **(DRAWS if drawn else {}), **given)


def models_of(names):
    return {name: P ** (1 + i / 5) for i, name in enumerate(names)}


def drawn(figure):
    """All texts, and the places of all lines and areas, of a drawn figure."""
    figure.draw_without_rendering()
    lines = [a.get_xydata() for a in figure.findobj(plt.Line2D)]
    paths = [p.vertices for ax in figure.axes for c in ax.collections for p in c.get_paths()]
    return [t.get_text() for t in figure.findobj(Text)], np.concatenate([*lines, *paths])


DISPLAYS = sorted(n for n in calibkit.__all__ if n.endswith("Display"))
OF_MODELS = [n for n in DISPLAYS if n not in ("ComparisonDisplay", "GroupDisplay")]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("display", DISPLAYS)
def test_drawing_again_tells_the_same_and_uses_the_axes(display):
    found = made(display, models_of(["a", "b"]))
    assert found.plot() is found
    first = drawn(found.figure_)
    ax = Figure(found.figure_.get_size_inches(), layout="constrained").add_subplot()
    assert found.plot(ax) is found
    assert found.figure_ is ax.figure
    assert display in ("ReliabilityDisplay", "DriftDisplay") or found.ax_ is ax
    texts, places = drawn(found.plot().figure_)
    assert sorted(texts) == sorted(first[0])
    assert_array_equal(places, first[1])
    assert len(found.frame()) >= len(found.curves_)
    assert repr(found).startswith(f"{display}(")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("display", DISPLAYS)
def test_names_are_text(display):
    found = made(display, models_of(NAMES)).plot()
    found.figure_.canvas.draw()
    texts = found.figure_.findobj(Text)
    shown = [t for t in texts if t.get_text() and not t.get_text().isspace()]
    for name in NAMES:
        own = short_name(name, 10)[:4] if len(name) > 48 else short_name(name)
        holding = [t for t in shown if own in t.get_text() or repr(own)[1:-1] in t.get_text()]
        assert holding, name
        assert not any(t.get_parse_math() for t in holding if "$" in name), name


@pytest.mark.parametrize("display", OF_MODELS)
def test_names_that_are_equal_as_text_are_refused(display):
    with pytest.raises(InputError, match="the keys of y_prob are 1, '1'"):
        made(display, {1: P, "1": P})


@pytest.mark.parametrize("display", DISPLAYS)
def test_without_matplotlib_there_is_one_line(display, monkeypatch):
    found = made(display, models_of(["a", "b"]))
    for name in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError) as caught:
        found.plot()
    assert str(caught.value) == 'matplotlib is not installed: pip install "calibkit[plot]"'


@pytest.mark.parametrize("n_classes", [2, 3])
def test_estimators_tell_their_classes_where_rows_lack_one(n_classes):
    y = np.array(["a", "b", "c"])[np.arange(N) % n_classes]
    model = LogisticRegression().fit(P[:, None], y)
    here = y != "b"
    for name in ("ReliabilityDisplay", "DecompositionDisplay", "DecisionCurveDisplay"):
        if n_classes == 2 or name != "DecisionCurveDisplay":
            settings = {} if name == "DecisionCurveDisplay" else DRAWS
            found = getattr(calibkit, name).from_estimator(
                model, P[here, None], y[here], **settings
            )
            assert list(found.curves_) == ["LogisticRegression"]
