"""What most calibrators say of data that can't be trusted is asked of all of them."""

import warnings
from inspect import signature

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.special import logit
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB

from calibkit import (
    AutoCalibrator,
    BetaCalibrator,
    CalibratedClassifier,
    IsotonicCalibrator,
    MissingClassWarning,
    OneVsRestCalibrator,
    PlattCalibrator,
    ReversedScoresWarning,
    SaturatedScoresWarning,
    SeparationWarning,
)
from calibkit.decisions import (
    DecisionRule,
    QuantileCalibrator,
    RiskControlledThreshold,
    cross_val_calibrate,
)
from calibkit.online import (
    OnlineCalibratedClassifier,
    OnlinePlattCalibrator,
    compare_online_calibrators,
)
from calibkit.testing import binary_data, multiclass_data

from .registry import EXAMPLES, LIFTS, PLAIN, name_of

BATCH = [c for c in PLAIN + LIFTS if "online" not in c._traits]

#: Calibrators that have nothing to say, by check: name and reason.
EXEMPT = {
    "missing": {"identity": "it learns nothing"},
    "reversed": {"identity": "it learns nothing"},
    "separated": {
        "identity": "it learns nothing",
        "isotonic": "its maximum exists, and its floor keeps it from 0 and 1",
        "histogram": "rates of bins exist whatever the scores, and certify_bins() judges them",
        "borrowed": "its penalty, or its fixed slope, keeps a maximum",
        "spline": "its prior keeps a maximum",
        "venn_abers": "its maximum exists, and it never returns 0 or 1",
        "auto": "only the spline is fitted then, whose prior keeps a maximum",
    },
    "saturated": {
        "identity": "it takes no logarithm",
        "isotonic": "only the order of the scores counts",
        "venn_abers": "only the order of the scores counts",
        "histogram": "only the order of the scores counts",
        "borrowed": "what it borrows has read such scores in its own fit",
    },
    "constant": {},
}


def heart(cal):
    """The calibrator that learns from binary scores, where another holds it."""
    held = getattr(cal, "calibrator", None) or cal
    return held._template() if held.name == "scaling_binning" else held


def kinds_of(cal):
    """Names under which an exemption holds: its own and those of what it holds."""
    return {cal.name, heart(cal).name} if "lift" not in cal._traits else {heart(cal).name}


def said(cal, *rows):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        cal.fit(*rows)
    return {w.category for w in found}


def asked(check):
    return [c for c in BATCH if not kinds_of(c) & EXEMPT[check].keys()]


def exempt(check):
    return [c for c in BATCH if kinds_of(c) & EXEMPT[check].keys()]


@pytest.mark.parametrize(
    "cal", [c for c in asked("missing") if "multiclass" in c._traits], ids=name_of
)
def test_a_class_without_rows(cal):
    cal = clone(cal)
    p, y = multiclass_data(600)
    k = p.shape[1]
    for gone in (0, k - 1):
        kept = y != gone
        cal.set_params(classes=range(k))
        assert MissingClassWarning in said(cal, p[kept], y[kept])
        # A class whose rows all weigh nothing has none.
        assert MissingClassWarning in said(cal, p, y, kept.astype(float))
    cal.set_params(classes=None)
    if "by_class=True" not in repr(cal):  # its own rows of each predicted class may be few
        assert MissingClassWarning not in said(cal, p, y)


@pytest.mark.parametrize("scale", ["probability", "logit"])
@pytest.mark.parametrize("cal", asked("reversed"), ids=name_of)
def test_reversed_scores(cal, scale):
    p, y = binary_data(2000)
    p = 1 - p
    if cal.name == "top_label":  # the surer the winner, the rarer it is right
        p, y = np.column_stack((p, 1 - p)).clip(0.01, 0.99), (np.maximum(p, 1 - p) < 0.75) * 1
        y = np.where(y == 1, p.argmax(axis=1), p.argmin(axis=1))
    x = p if scale == "probability" else np.log(p) if p.ndim == 2 else logit(p)
    cal = clone(cal)._set_scale(scale)
    assert ReversedScoresWarning in said(cal, x, y)
    cal._set_scale("probability")
    if cal.name != "top_label":
        p, y = binary_data(2000)
        assert ReversedScoresWarning not in said(cal, p, y)


@pytest.mark.parametrize("cal", asked("separated"), ids=name_of)
def test_separated_scores(cal):
    cal = clone(cal)
    p = np.concatenate((np.linspace(0.1, 0.45, 60), np.linspace(0.55, 0.9, 60)))
    y = (p > 0.5).astype(int)
    platt = "PlattCalibrator(" in repr(cal)
    if platt and any(f"{name}=" in repr(cal) for name in ("smooth_targets", "fit_slope", "l2")):
        assert SeparationWarning not in said(cal, p, y)  # the maximum exists
    elif cal.name == "top_label":
        p = np.concatenate((1 - p[:60], p[60:]))  # confidences of .55 to .9: right above .75
        y = np.where(p > 0.75, 1, 0)
        assert SeparationWarning in said(cal, p, y)
    else:
        assert SeparationWarning in said(cal, p, y)


@pytest.mark.parametrize("cal", asked("saturated"), ids=name_of)
def test_saturated_scores_under_a_fixed_eps(cal):
    p, y = binary_data(400)
    p = np.where(p > 0.6, 1.0, np.where(p < 0.4, 0.0, p))
    fixed = type(heart(cal))(**{**heart(cal).get_params(), "eps": 1e-6})
    cal = clone(cal)
    held = getattr(cal, "calibrator", None)
    if getattr(cal, "first", None) is not None:  # this one reads the scores
        cal.first.set_params(eps=1e-6)
    elif hasattr(held, "scaler"):
        cal = type(cal)(
            **{**cal.get_params(deep=False), "calibrator": held.set_params(scaler=fixed)}
        )
    elif heart(cal) is held or cal.name == "scaling_binning":
        name = "scaler" if held is None else "calibrator"
        cal = type(cal)(**{**cal.get_params(deep=False), name: fixed})
    else:
        cal = fixed
    assert SaturatedScoresWarning in said(cal, p, y)


@pytest.mark.parametrize("cal", asked("constant"), ids=name_of)
def test_constant_scores(cal):
    """Nothing is learnt from them but the rate, and nothing is to be warned of."""
    cal = clone(cal)
    y = np.arange(200) % 5 < 2
    level = 0.7
    found = said(cal, np.full(200, level), y.astype(int))
    assert found <= {MissingClassWarning}
    q = cal.predict_proba([0.2, level, 0.9])[:, 1]
    assert ((q > 0) & (q < 1)).all()
    if {"mean_preserving", "finite_outputs"} & cal._traits or isinstance(cal, IsotonicCalibrator):
        np.testing.assert_allclose(q[1], 0.4, atol=0.01)


@pytest.mark.parametrize("check", EXEMPT)
def test_exemptions_are_of_calibrators_that_exist(check):
    assert {n for c in exempt(check) for n in kinds_of(c)} >= EXEMPT[check].keys()
    assert {"platt", "beta", "temperature"} <= {heart(c).name for c in asked(check)}


#: Every class that has a ``fit`` of its own, or of its base.
FITTED = {type(cal) for cal in EXAMPLES} | {
    CalibratedClassifier, OnlineCalibratedClassifier, QuantileCalibrator, RiskControlledThreshold
}  # fmt: skip
BY_NAME = sorted(FITTED, key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", BY_NAME)
def test_an_unknown_argument_of_fit_is_told_what_there_is(cls):
    needed = {name: GaussianNB() if name == "estimator" else PlattCalibrator()
              for name, p in signature(cls).parameters.items() if p.default is p.empty}  # fmt: skip
    p, y = binary_data()
    for given in ("weights", "nonsense"):
        with pytest.raises(TypeError, match=rf"^{cls.__name__}\.fit: there is no .*'{given}'"):
            cls(**needed).fit(p[:, None], y, **{given: y})


HELD_AS = [(cls, name) for cls in BY_NAME for name in signature(cls).parameters
           if name in ("calibrator", "scaler", "estimator")]  # fmt: skip


@pytest.mark.parametrize(("cls", "name"), HELD_AS)
def test_a_class_in_the_place_of_an_instance_is_told_so(cls, name):
    given = {"estimator": GaussianNB(), name: GaussianNB if name == "estimator" else BetaCalibrator}
    given = {k: v for k, v in given.items() if k in signature(cls).parameters}
    p, y = binary_data()
    own = given[name].__name__
    with pytest.raises(TypeError, match=f"{name} is the class {own}; .*Pass {name}={own}"):
        cls(**given).fit(p[:, None], y)


def test_so_are_those_that_have_no_fit():
    p, y = binary_data()
    for call in (
        lambda: DecisionRule("s", BetaCalibrator),
        lambda: compare_online_calibrators(p, y, methods={"a": OnlinePlattCalibrator}),
        lambda: cross_val_calibrate(BetaCalibrator, p, y),
        lambda: OnlineCalibratedClassifier(GaussianNB).partial_fit(p[:, None], y),
    ):
        with pytest.raises(TypeError, match=r"is the class \w+; expected an instance\. Pass "):
            call()


def rows_for(cal):
    k = 3 if "multiclass" in cal._traits else 2
    return (multiclass_data if k == 3 else binary_data)(900, seed=3)


@pytest.mark.parametrize(
    "cal", [c for c in BATCH if c._input_scale() == "probability"], ids=name_of
)
def test_groups_of_one_row_change_nothing_and_bad_ones_are_refused(cal):
    X, y = rows_for(cal)
    alone = clone(cal).fit(X, y, groups=[f"g{i}" for i in range(len(y))])
    assert_array_equal(alone.predict_proba(X), clone(cal).fit(X, y).predict_proba(X))
    with pytest.raises(ValueError, match="groups has shape"):
        clone(cal).fit(X, y, groups=[1, 2])


@pytest.mark.parametrize("ensemble", [False, True])
def test_groups_reach_the_calibrators_of_a_classifier_and_of_a_lift(ensemble):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 10)
    X = rng.normal(size=(600, 1)) + rng.normal(size=60)[groups, None]
    y = (X[:, 0] + 2 * rng.normal(size=60)[groups] > 0) + (rng.random(600) < 0.3).astype(int)
    one = CalibratedClassifier(GaussianNB(), AutoCalibrator(), ensemble=ensemble)
    several = CalibratedClassifier(GaussianNB(), OneVsRestCalibrator(AutoCalibrator()))
    maps = one.fit(X, y > 0, groups=groups).calibrators_
    maps = maps + several.fit(X, y, groups=groups).calibrators_[0].calibrators_
    assert all(m.worth_ < 0.7 for m in maps)
    assert one.fit(X, y > 0).calibrators_[0].worth_ == 1
