"""Checks that any calibrator should pass; run them on your own.

``check_calibrator(MyCalibrator())`` runs all that apply. Each check is a function of a calibrator
instance that raises ``AssertionError`` where a promise is broken.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from ._core.base import BaseCalibrator
from ._core.warnings import CalibrationWarning
from ._io import from_dict, to_dict

Check = Callable[[BaseCalibrator], None]
_BINARY: list[Check] = []
_MULTICLASS: list[Check] = []
_TRAIT: dict[str, list[Check]] = {}


def yield_checks(calibrator: BaseCalibrator) -> Iterator[Check]:
    """The checks that apply to a calibrator, by its traits.

    Parameters
    ----------
    calibrator : BaseCalibrator
        An instance; it is cloned, never fitted itself.

    Yields
    ------
    check : callable
        To be called with the calibrator.

    Examples
    --------
    >>> from calibkit import PlattCalibrator
    >>> from calibkit.testing import yield_checks
    >>> len(list(yield_checks(PlattCalibrator()))) > 20
    True
    """
    yield from _BINARY
    if "multiclass" in calibrator._traits:
        yield from _MULTICLASS
    for trait in sorted(calibrator._traits):
        yield from _TRAIT.get(trait, [])


def check_calibrator(calibrator: BaseCalibrator) -> None:
    """Run every check that applies to a calibrator.

    Parameters
    ----------
    calibrator : BaseCalibrator
        An instance; it is cloned, never fitted itself.

    Raises
    ------
    AssertionError
        If a promise is broken.

    Examples
    --------
    >>> from calibkit import TemperatureCalibrator
    >>> from calibkit.testing import check_calibrator
    >>> check_calibrator(TemperatureCalibrator())
    """
    for check in yield_checks(calibrator):
        check(calibrator)


def _binary(check: Check) -> Check:
    _BINARY.append(check)
    return check


def _multiclass(check: Check) -> Check:
    _MULTICLASS.append(check)
    return check


def _with_trait(trait: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        _TRAIT.setdefault(trait, []).append(check)
        return check

    return register


# -- data -----------------------------------------------------------------------------------


def binary_data(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Over-confident probabilities of an event, some of them tied, and its labels 0/1."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    # On a grid that float32 represents exactly, on both sides of 1/2.
    return np.clip(np.round(1024 / (1 + np.exp(-2 * z))), 1, 1023) / 1024, y


def multiclass_data(n: int = 400, k: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Over-confident probabilities of k classes, and labels 0..k-1."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, k))
    y = (z + rng.gumbel(size=(n, k))).argmax(axis=1)
    p = np.exp(2 * z)
    return p / p.sum(axis=1, keepdims=True), y


def _fit(calibrator: BaseCalibrator, X: Any, y: Any, w: Any = None) -> BaseCalibrator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return clone(calibrator).fit(X, y, w)


def _proba(calibrator: BaseCalibrator, X: Any) -> np.ndarray:
    q = calibrator.predict_proba(X)
    assert q.dtype == np.float64
    assert np.isfinite(q).all()
    assert q.min(initial=0.5) >= 0
    assert q.max(initial=0.5) <= 1
    assert_allclose(q.sum(axis=1), 1.0, atol=1e-12)
    return q


def _refuses(error: type[Exception], words: str, call: Callable[[], Any]) -> None:
    message = None
    try:
        call()
    except error as caught:
        message = str(caught)
    assert message is not None, f"no {error.__name__} about {words!r}"
    assert words in message, f"{words!r} not in the message: {message}"


# -- every calibrator -----------------------------------------------------------------------


@_binary
def check_shapes_are_one(calibrator: BaseCalibrator) -> None:
    """(n,), (n, 1) and (n, 2) scores, lists, float32 and frames' columns mean the same."""
    p, y = binary_data()
    expected = _proba(_fit(calibrator, p, y), p)
    two = np.column_stack((1 - p, p))
    for X in (p[:, None], two, p.tolist(), p[:, None].tolist(), np.asfortranarray(two)):
        assert_array_equal(_proba(_fit(calibrator, X, y), X), expected)
    assert_allclose(_proba(_fit(calibrator, np.float32(p), y), np.float32(p)), expected, atol=1e-3)


@_binary
def check_labels_of_any_kind(calibrator: BaseCalibrator) -> None:
    """Relabelling the classes never changes a probability."""
    p, y = binary_data()
    expected = _proba(_fit(calibrator, p, y), p)
    for names in ([-1, 1], [1, 2], [7, 9], [False, True], [0.0, 1.0], ["no", "yes"]):
        labels = np.array(names)[y]
        fitted = _fit(calibrator, p, labels)
        assert_array_equal(fitted.classes_, np.unique(labels))
        assert_array_equal(_proba(fitted, p), expected)
        assert set(fitted.predict(p)) <= set(labels)
    as_objects = np.array(["no", "yes"], dtype=object)[y]
    assert_array_equal(_proba(_fit(calibrator, p, as_objects), p), expected)


@_binary
def check_weights_are_repetitions(calibrator: BaseCalibrator) -> None:
    """A weight of m equals m rows, a weight of 0 none."""
    p, y = binary_data()
    w = np.random.default_rng(1).integers(0, 4, size=len(p))
    weighted = _proba(_fit(calibrator, p, y, w), p)
    repeated = _proba(_fit(calibrator, np.repeat(p, w), np.repeat(y, w)), p)
    assert_allclose(weighted, repeated, atol=1e-9)
    assert_allclose(_proba(_fit(calibrator, p, y, np.ones(len(p))), p),
                    _proba(_fit(calibrator, p, y), p), atol=1e-9)  # fmt: skip


@_binary
def check_order_of_rows(calibrator: BaseCalibrator) -> None:
    """The fit doesn't depend on the order of the rows, nor a prediction on its neighbours."""
    p, y = binary_data()
    fitted = _fit(calibrator, p, y)
    expected = _proba(fitted, p)
    order = np.random.default_rng(1).permutation(len(p))
    assert_allclose(_proba(_fit(calibrator, p[order], y[order]), p), expected, atol=1e-9)
    assert_array_equal(np.vstack([_proba(fitted, p[i : i + 1]) for i in range(20)]), expected[:20])


@_binary
def check_purity(calibrator: BaseCalibrator) -> None:
    """Input stays as it was, predictions repeat, refitting equals fitting, nothing is aliased."""
    p, y = binary_data()
    other, labels = binary_data(seed=5)
    p_before, y_before = p.copy(), y.copy()
    fitted = _fit(calibrator, other, labels)
    fitted.fit(p, y)
    first = _proba(fitted, p)
    assert_array_equal(p, p_before)
    assert_array_equal(y, y_before)
    assert_array_equal(_proba(_fit(calibrator, p, y), p), first)
    q = p.copy()
    fitted = _fit(calibrator, q, y)
    q[:] = 0.5
    assert_array_equal(_proba(fitted, p), first)
    out = fitted.predict_proba(p)
    out[:] = -1
    assert_array_equal(p, p_before)
    assert_array_equal(_proba(fitted, p), first)


@_binary
def check_state_is_declared(calibrator: BaseCalibrator) -> None:
    """What fit learns is what ``_state`` names, and get_params is what __init__ was given."""
    p, y = binary_data()
    fitted = _fit(calibrator, p, y)
    learnt = {name for name in vars(fitted) if name.endswith("_")}
    assert learnt == {"classes_", *fitted._state}
    assert clone(fitted).get_params(deep=False).keys() == calibrator.get_params(deep=False).keys()


@_binary
def check_copies_are_exact(calibrator: BaseCalibrator) -> None:
    """JSON and pickle give back the same bits."""
    p, y = binary_data()
    fitted = _fit(calibrator, p, np.array(["no", "yes"])[y])
    for copy in (pickle.loads(pickle.dumps(fitted)), from_dict(to_dict(fitted))):
        assert_array_equal(copy.predict_proba(p), fitted.predict_proba(p))
        assert_array_equal(copy.predict(p), fitted.predict(p))


@_binary
def check_hard_data(calibrator: BaseCalibrator) -> None:
    """Exact 0 and 1, constants, ties, two rows, separation and rarity give finite answers."""
    p, y = binary_data()
    saturated = p.copy()
    saturated[:60] = y[:60]
    saturated[60:63] = 1 - y[60:63]
    rare = np.zeros(1000, dtype=int)
    rare[:2] = 1
    cases = [
        (saturated, y),
        (np.full(10, 0.3), np.arange(10) % 2),
        (np.full(10, 0.0), np.arange(10) % 2),
        (np.full(10, 1.0), np.arange(10) % 2),
        (np.repeat([0.0, 1.0], 5), np.arange(10) % 2),
        (np.repeat([0.2, 0.7], 50), np.arange(100) % 3 == 0),
        (np.array([0.1, 0.9]), np.array([0, 1])),
        (np.array([0.9, 0.1]), np.array([0, 1])),
        (np.linspace(0.1, 0.9, 50), np.linspace(0.1, 0.9, 50) > 0.5),
        (np.linspace(0.1, 0.9, 50), np.linspace(0.1, 0.9, 50) < 0.5),
        (np.linspace(0, 1, 1000), rare),
        (np.array([5e-324, 1e-300, 0.5, 1 - 1e-16]), np.array([0, 1, 0, 1])),
    ]
    for X, labels in cases:
        fitted = _fit(calibrator, X, labels)
        _proba(fitted, X)
        _proba(fitted, [0.0, 1e-300, 0.5, 1 - 1e-16, 1.0])


@_binary
def check_empty_batch(calibrator: BaseCalibrator) -> None:
    """No rows in, no rows out."""
    p, y = binary_data()
    fitted = _fit(calibrator, p, y)
    assert fitted.predict_proba(np.empty(0)).shape == (0, 2)
    assert fitted.predict(np.empty((0, 1))).shape == (0,)


@_binary
def check_bad_scores(calibrator: BaseCalibrator) -> None:
    """Bad scores are refused in fit and in predict_proba, by name and place."""
    p, y = binary_data()
    fitted = _fit(calibrator, p, y)
    for value, words in ((np.nan, "NaN"), (np.inf, "infinity"), (1.5, "1.5"), (-0.2, "-0.2")):
        bad = p.copy()
        bad[7] = value
        _refuses(ValueError, words, lambda bad=bad: _fit(calibrator, bad, y))
        _refuses(ValueError, "row 7", lambda bad=bad: fitted.predict_proba(bad))
    off = np.column_stack((1 - p, p))
    off[3, 0] += 0.1
    _refuses(ValueError, "row 3", lambda: _fit(calibrator, off, y))
    _refuses(ValueError, "0 sample(s)", lambda: _fit(calibrator, [], []))
    _refuses(ValueError, "single number", lambda: fitted.predict_proba(np.float64(0.5)))


@_binary
def check_bad_labels_and_weights(calibrator: BaseCalibrator) -> None:
    """Bad labels and weights are refused by name."""
    p, y = binary_data()
    n = len(p)
    _refuses(ValueError, "one class", lambda: _fit(calibrator, p, np.ones(n, dtype=int)))
    _refuses(ValueError, "inconsistent", lambda: _fit(calibrator, p, y[:-1]))
    _refuses(ValueError, "continuous", lambda: _fit(calibrator, p, p))
    _refuses(ValueError, "y", lambda: _fit(calibrator, p, np.where(y == 1, np.nan, 0.0)))
    _refuses(ValueError, "y", lambda: _fit(calibrator, p, None))
    _refuses(ValueError, "negative", lambda: _fit(calibrator, p, y, -np.ones(n)))
    _refuses(ValueError, "zero in every row", lambda: _fit(calibrator, p, y, np.zeros(n)))
    _refuses(ValueError, "sample_weight", lambda: _fit(calibrator, p, y, np.full(n, np.nan)))
    _refuses(ValueError, "sample_weight", lambda: _fit(calibrator, p, y, np.ones(n - 1)))
    _refuses(ValueError, "one class", lambda: _fit(calibrator, p, y, (y == 1).astype(float)))


@_binary
def check_failed_fit_changes_nothing(calibrator: BaseCalibrator) -> None:
    """After an error the object is what it was before."""
    p, y = binary_data()
    fitted = _fit(calibrator, p, y)
    before = _proba(fitted, p)
    _refuses(ValueError, "NaN", lambda: fitted.fit(np.full(len(p), np.nan), y))
    _refuses(ValueError, "one class", lambda: fitted.fit(p, np.zeros(len(p))))
    assert_array_equal(_proba(fitted, p), before)
    fresh = clone(calibrator)
    _refuses(ValueError, "one class", lambda: fresh.fit(p, np.zeros(len(p))))
    assert not fresh.__sklearn_is_fitted__()


@_binary
def check_three_classes_refused_or_taken(calibrator: BaseCalibrator) -> None:
    """A binary calibrator names the lifts; one for K classes wants a column for each class."""
    p, y = multiclass_data()
    if "multiclass" not in calibrator._traits:
        _refuses(ValueError, "OneVsRestCalibrator", lambda: _fit(calibrator, p, y))
    else:
        _refuses(ValueError, "classes=[...]", lambda: _fit(calibrator, p, np.minimum(y, 2)))
    _refuses(ValueError, "multiclass", lambda: _fit(calibrator, p[:, 0], y))


# -- K classes ------------------------------------------------------------------------------


@_multiclass
def check_class_permutation(calibrator: BaseCalibrator) -> None:
    """Renaming classes permutes the columns and nothing else."""
    p, y = multiclass_data()
    expected = _proba(_fit(calibrator, p, y), p)
    order = np.array([2, 0, 3, 1])
    permuted = _proba(_fit(calibrator, p[:, order], np.argsort(order)[y]), p[:, order])
    assert_allclose(permuted, expected[:, order], atol=1e-7)


@_multiclass
def check_weights_are_repetitions_multiclass(calibrator: BaseCalibrator) -> None:
    """A weight of m equals m rows, a weight of 0 none."""
    p, y = multiclass_data()
    w = np.random.default_rng(1).integers(0, 4, size=len(p))
    weighted = _proba(_fit(calibrator, p, y, w), p)
    repeated = _proba(_fit(calibrator, np.repeat(p, w, axis=0), np.repeat(y, w)), p)
    assert_allclose(weighted, repeated, atol=1e-7)


@_multiclass
def check_missing_class(calibrator: BaseCalibrator) -> None:
    """With ``classes`` given, a class may be missing; its column stays."""
    p, y = multiclass_data()
    kept = y != 2
    names = np.array(["a", "b", "c", "d"])
    given = clone(calibrator).set_params(classes=names)
    fitted = _fit(given, p[kept], names[y[kept]])
    assert _proba(fitted, p).shape == p.shape
    assert_array_equal(fitted.classes_, names)
    _refuses(ValueError, "'e'", lambda: _fit(given, p, np.where(y == 2, "e", names[y])))


@_multiclass
def check_hard_data_multiclass(calibrator: BaseCalibrator) -> None:
    """One-hot rows, uniform rows, separation and few rows give finite answers."""
    p, y = multiclass_data()
    onehot = np.eye(4)[y]
    mixed = np.where(np.arange(len(y))[:, None] < 100, np.eye(4)[(y + 1) % 4], p)
    for X in (onehot, np.full_like(p, 0.25), mixed, np.float32(p), np.eye(4)[(y + 1) % 4]):
        _proba(_fit(calibrator, X, y), np.float64(X) / X.sum(axis=1, keepdims=True))
    few = [int(np.flatnonzero(y == k)[0]) for k in range(4)]
    _proba(_fit(calibrator, p[few], y[few]), p)


@_multiclass
def check_copies_are_exact_multiclass(calibrator: BaseCalibrator) -> None:
    """JSON gives back the same bits."""
    p, y = multiclass_data()
    fitted = _fit(calibrator, p, y)
    assert_array_equal(from_dict(to_dict(fitted)).predict_proba(p), fitted.predict_proba(p))


# -- by trait -------------------------------------------------------------------------------


@_with_trait("monotone")
def check_monotone(calibrator: BaseCalibrator) -> None:
    """A higher score never means a lower probability, also for scores that point backwards."""
    p, y = binary_data()
    grid = np.concatenate(([0.0], np.sort(p), [1.0]))
    for labels in (y, 1 - y):
        q = _proba(_fit(calibrator, p, labels), grid)[:, 1]
        assert (np.diff(q) >= -1e-15).all()


@_with_trait("strict")
def check_order_is_kept(calibrator: BaseCalibrator) -> None:
    """Different scores stay different and in order, where they point the right way."""
    p, y = binary_data()
    q = _proba(_fit(calibrator, p, y), np.unique(p))[:, 1]
    assert (np.diff(q) > 0).all()


@_with_trait("mean_preserving")
def check_mean_is_base_rate(calibrator: BaseCalibrator) -> None:
    """The mean calibrated probability of the fitting rows is their base rate, to 1 / n."""
    p, y = binary_data()
    w = np.random.default_rng(1).integers(1, 4, size=len(p))
    q = _proba(_fit(calibrator, p, y, w), p)[:, 1]
    assert abs(np.average(q, weights=w) - np.average(y, weights=w)) <= 1.0 / len(p)


@_with_trait("piecewise_constant")
def check_few_values(calibrator: BaseCalibrator) -> None:
    """There are fewer distinct outputs than scores."""
    p, y = binary_data()
    q = _proba(_fit(calibrator, p, y), p)[:, 1]
    assert len(np.unique(q)) < len(np.unique(p))
