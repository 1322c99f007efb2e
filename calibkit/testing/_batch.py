"""Checks of every calibrator: for two classes, for K classes, and for each trait."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from .._core.base import BaseCalibrator
from .._persistence import from_dict, to_dict
from ._common import (
    batch,
    binary,
    binary_data,
    fitted_on,
    multiclass,
    multiclass_data,
    proba_of,
    refuses,
    with_trait,
)


@binary
def check_shapes_are_one(calibrator: BaseCalibrator) -> None:
    """(n,), (n, 1) and (n, 2) scores, lists, float32 and frames' columns mean the same."""
    p, y = binary_data()
    expected = proba_of(fitted_on(calibrator, p, y), p)
    two = np.column_stack((1 - p, p))
    for X in (p[:, None], two, p.tolist(), p[:, None].tolist(), np.asfortranarray(two)):
        assert_array_equal(proba_of(fitted_on(calibrator, X, y), X), expected)
    single = np.float32(p)
    assert_allclose(proba_of(fitted_on(calibrator, single, y), single), expected, atol=1e-3)


@binary
def check_labels_of_any_kind(calibrator: BaseCalibrator) -> None:
    """Relabelling the classes never changes a probability."""
    p, y = binary_data()
    expected = proba_of(fitted_on(calibrator, p, y), p)
    for names in ([-1, 1], [1, 2], [7, 9], [False, True], [0.0, 1.0], ["no", "yes"]):
        labels = np.array(names)[y]
        fitted = fitted_on(calibrator, p, labels)
        assert_array_equal(fitted.classes_, np.unique(labels))
        assert_array_equal(proba_of(fitted, p), expected)
        assert set(fitted.predict(p)) <= set(labels)
    as_objects = np.array(["no", "yes"], dtype=object)[y]
    assert_array_equal(proba_of(fitted_on(calibrator, p, as_objects), p), expected)


@binary
@batch
def check_weights_are_repetitions(calibrator: BaseCalibrator) -> None:
    """A weight of m equals m rows, a weight of 0 none."""
    p, y = binary_data()
    w = np.random.default_rng(1).integers(0, 4, size=len(p))
    weighted = proba_of(fitted_on(calibrator, p, y, w), p)
    repeated = proba_of(fitted_on(calibrator, np.repeat(p, w), np.repeat(y, w)), p)
    assert_allclose(weighted, repeated, atol=1e-9)
    assert_allclose(proba_of(fitted_on(calibrator, p, y, np.ones(len(p))), p),
                    proba_of(fitted_on(calibrator, p, y), p), atol=1e-9)  # fmt: skip


@binary
@batch
def check_order_of_rows(calibrator: BaseCalibrator) -> None:
    """The fit doesn't depend on the order of the rows."""
    p, y = binary_data()
    expected = proba_of(fitted_on(calibrator, p, y), p)
    order = np.random.default_rng(1).permutation(len(p))
    assert_allclose(proba_of(fitted_on(calibrator, p[order], y[order]), p), expected, atol=1e-9)


@binary
def check_rows_are_predicted_apart(calibrator: BaseCalibrator) -> None:
    """A prediction doesn't depend on the other rows."""
    p, y = binary_data()
    fitted = fitted_on(calibrator, p, y)
    expected = proba_of(fitted, p)
    one_by_one = np.vstack([proba_of(fitted, p[i : i + 1]) for i in range(20)])
    assert_array_equal(one_by_one, expected[:20])


@binary
def check_purity(calibrator: BaseCalibrator) -> None:
    """Inputs are unchanged, predictions repeat, refitting equals fitting, nothing is shared."""
    p, y = binary_data()
    other, labels = binary_data(seed=5)
    p_before, y_before = p.copy(), y.copy()
    fitted = fitted_on(calibrator, other, labels)
    fitted.fit(p, y)
    first = proba_of(fitted, p)
    assert_array_equal(p, p_before)
    assert_array_equal(y, y_before)
    assert_array_equal(proba_of(fitted_on(calibrator, p, y), p), first)
    q = p.copy()
    fitted = fitted_on(calibrator, q, y)
    q[:] = 0.5
    assert_array_equal(proba_of(fitted, p), first)
    out = fitted.predict_proba(p)
    out[:] = -1
    assert_array_equal(p, p_before)
    assert_array_equal(proba_of(fitted, p), first)


@binary
def check_reads_write_nothing(calibrator: BaseCalibrator) -> None:
    """Reading never changes an attribute or array: fitted or not, with or without an error."""
    p, y = binary_data()
    fresh = clone(calibrator).set_params(classes=[0, 1])
    for one in (fresh, fitted_on(calibrator, p, y)):
        before = {name: (value, pickle.dumps(value)) for name, value in vars(one).items()}
        for read in _reads(one, p, y):
            with suppress(ValueError, TypeError, AttributeError):  # refused, or not there
                read()
            assert vars(one).keys() == before.keys()
            for name, (value, text) in before.items():
                assert vars(one)[name] is value
                assert pickle.dumps(value) == text


def _reads(one: Any, p: np.ndarray, y: np.ndarray) -> Iterator[Callable[[], Any]]:
    """Calls that only read a calibrator, with valid and invalid arguments."""

    def asked(name: str, *args: Any) -> Any:
        return getattr(one, name)(*args)

    methods = ["predict_proba", "predict", "expected_proba", "predict_bin", "predict_confidence"]
    for name in [*methods, "predict_classwise", "predict_proba_one"]:
        for X in (p, p * np.nan, p + 2, "x", 0.5, np.nan, p.reshape(-1, 3)):
            yield partial(asked, name, X)
    yield partial(one.certify, p[:40], y[:40], finite=True)
    yield partial(one.certify, p, y[:-1])
    for function in (repr, to_dict, clone, pickle.dumps, deepcopy, check_is_fitted):
        yield partial(function, one)
    for name in ("certify_bins", "matrix", "get_params", "_repr_html_", "__sklearn_tags__"):
        yield partial(asked, name)


@binary
def check_state_is_declared(calibrator: BaseCalibrator) -> None:
    """``_state`` names all learned attributes, and a clone has the same parameters."""
    p, y = binary_data()
    fitted = fitted_on(calibrator, p, y)
    learnt = {name for name in vars(fitted) if name.endswith("_")}
    assert learnt == {"classes_", *fitted._state}
    assert clone(fitted).get_params(deep=False).keys() == calibrator.get_params(deep=False).keys()


@binary
def check_copies_are_exact(calibrator: BaseCalibrator) -> None:
    """JSON and pickle restore exactly the same calibrator."""
    p, y = binary_data()
    fitted = fitted_on(calibrator, p, np.array(["no", "yes"])[y])
    # pickle looks a class up by its module, and finds none that was made within a function.
    local = "<locals>" in type(calibrator).__qualname__
    pickled = deepcopy(fitted) if local else pickle.loads(pickle.dumps(fitted))
    for copy in (pickled, from_dict(to_dict(fitted))):
        assert_array_equal(copy.predict_proba(p), fitted.predict_proba(p))
        assert_array_equal(copy.predict(p), fitted.predict(p))


@binary
def check_hard_data(calibrator: BaseCalibrator) -> None:
    """Exact 0 and 1, constants, ties, two rows, separation and rare events give finite results."""
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
        fitted = fitted_on(calibrator, X, labels)
        proba_of(fitted, X)
        proba_of(fitted, [0.0, 1e-300, 0.5, 1 - 1e-16, 1.0])


@binary
def check_empty_batch(calibrator: BaseCalibrator) -> None:
    """No rows in, no rows out."""
    p, y = binary_data()
    fitted = fitted_on(calibrator, p, y)
    assert fitted.predict_proba(np.empty(0)).shape == (0, 2)
    assert fitted.predict(np.empty((0, 1))).shape == (0,)


@binary
def check_bad_scores(calibrator: BaseCalibrator) -> None:
    """Invalid scores raise an error in fit and predict_proba that names the value or the row."""
    p, y = binary_data()
    fitted = fitted_on(calibrator, p, y)
    for value, words in ((np.nan, "NaN"), (np.inf, "infinity"), (1.5, "1.5"), (-0.2, "-0.2")):
        bad = p.copy()
        bad[7] = value
        refuses(ValueError, words, partial(fitted_on, calibrator, bad, y))
        refuses(ValueError, "row 7", partial(fitted.predict_proba, bad))
    off = np.column_stack((1 - p, p))
    off[3, 0] += 0.1
    refuses(ValueError, "row 3", lambda: fitted_on(calibrator, off, y))
    refuses(ValueError, "0 sample(s)", lambda: fitted_on(calibrator, [], []))
    refuses(
        ValueError, "expected an array of scores", lambda: fitted.predict_proba(np.float64(0.5))
    )


@binary
def check_bad_labels(calibrator: BaseCalibrator) -> None:
    """Invalid labels raise an error that names the reason."""
    p, y = binary_data()
    n = len(p)
    refuses(ValueError, "one class", lambda: fitted_on(calibrator, p, np.ones(n, dtype=int)))
    refuses(ValueError, "inconsistent", lambda: fitted_on(calibrator, p, y[:-1]))
    refuses(ValueError, "continuous", lambda: fitted_on(calibrator, p, p - 2))
    refuses(ValueError, "y", lambda: fitted_on(calibrator, p, np.where(y == 1, np.nan, 0.0)))
    refuses(ValueError, "y", lambda: fitted_on(calibrator, p, None))


@binary
@batch
def check_bad_weights(calibrator: BaseCalibrator) -> None:
    """Invalid weights raise an error that names the reason."""
    p, y = binary_data()
    n = len(p)
    refuses(ValueError, "negative", lambda: fitted_on(calibrator, p, y, -np.ones(n)))
    refuses(ValueError, "zero in every row", lambda: fitted_on(calibrator, p, y, np.zeros(n)))
    refuses(ValueError, "sample_weight", lambda: fitted_on(calibrator, p, y, np.full(n, np.nan)))
    refuses(ValueError, "sample_weight", lambda: fitted_on(calibrator, p, y, np.ones(n - 1)))
    refuses(ValueError, "one class", lambda: fitted_on(calibrator, p, y, (y == 1).astype(float)))


@binary
def check_failed_fit_changes_nothing(calibrator: BaseCalibrator) -> None:
    """After an error the calibrator is unchanged."""
    p, y = binary_data()
    fitted = fitted_on(calibrator, p, y)
    before = proba_of(fitted, p)
    refuses(ValueError, "NaN", lambda: fitted.fit(np.full(len(p), np.nan), y))
    refuses(ValueError, "one class", lambda: fitted.fit(p, np.zeros(len(p))))
    assert_array_equal(proba_of(fitted, p), before)
    fresh = clone(calibrator)
    refuses(ValueError, "one class", lambda: fresh.fit(p, np.zeros(len(p))))
    assert not fresh.__sklearn_is_fitted__()


@binary
def check_three_classes_refused_or_taken(calibrator: BaseCalibrator) -> None:
    """For K classes a binary calibrator names OneVsRestCalibrator; others need K columns."""
    p, y = multiclass_data()
    if "multiclass" not in calibrator._traits:
        refuses(ValueError, "OneVsRestCalibrator", lambda: fitted_on(calibrator, p, y))
    else:
        refuses(ValueError, "classes=[...]", lambda: fitted_on(calibrator, p, np.minimum(y, 2)))
    refuses(ValueError, "multiclass", lambda: fitted_on(calibrator, p[:, 0], y))


@multiclass
def check_class_permutation(calibrator: BaseCalibrator) -> None:
    """Reordering the classes only reorders the columns."""
    p, y = multiclass_data()
    expected = proba_of(fitted_on(calibrator, p, y), p)
    order = np.array([2, 0, 3, 1])
    permuted = proba_of(fitted_on(calibrator, p[:, order], np.argsort(order)[y]), p[:, order])
    assert_allclose(permuted, expected[:, order], atol=1e-7)


@multiclass
@batch
def check_weights_are_repetitions_multiclass(calibrator: BaseCalibrator) -> None:
    """A weight of m equals m rows, a weight of 0 none."""
    p, y = multiclass_data()
    w = np.random.default_rng(1).integers(0, 4, size=len(p))
    weighted = proba_of(fitted_on(calibrator, p, y, w), p)
    repeated = proba_of(fitted_on(calibrator, np.repeat(p, w, axis=0), np.repeat(y, w)), p)
    assert_allclose(weighted, repeated, atol=1e-7)


@multiclass
def check_missing_class(calibrator: BaseCalibrator) -> None:
    """With ``classes``, a class may have no rows; its column remains."""
    p, y = multiclass_data()
    kept = y != 2
    names = np.array(["a", "b", "c", "d"])
    given = clone(calibrator).set_params(classes=names)
    fitted = fitted_on(given, p[kept], names[y[kept]])
    assert proba_of(fitted, p).shape == p.shape
    assert_array_equal(fitted.classes_, names)
    refuses(ValueError, "'e'", lambda: fitted_on(given, p, np.where(y == 2, "e", names[y])))


@multiclass
def check_hard_data_multiclass(calibrator: BaseCalibrator) -> None:
    """One-hot rows, uniform rows, separation and few rows give finite results."""
    p, y = multiclass_data()
    onehot = np.eye(4)[y]
    mixed = np.where(np.arange(len(y))[:, None] < 100, np.eye(4)[(y + 1) % 4], p)
    for X in (onehot, np.full_like(p, 0.25), mixed, np.float32(p), np.eye(4)[(y + 1) % 4]):
        proba_of(fitted_on(calibrator, X, y), np.float64(X) / X.sum(axis=1, keepdims=True))
    few = [int(np.flatnonzero(y == k)[0]) for k in range(4)]
    proba_of(fitted_on(calibrator, p[few], y[few]), p)


@multiclass
def check_copies_are_exact_multiclass(calibrator: BaseCalibrator) -> None:
    """JSON restores exactly the same calibrator."""
    p, y = multiclass_data()
    fitted = fitted_on(calibrator, p, y)
    assert_array_equal(from_dict(to_dict(fitted)).predict_proba(p), fitted.predict_proba(p))


@with_trait("monotone")
def check_monotone(calibrator: BaseCalibrator) -> None:
    """A higher score never gets a lower probability, even if the scores are reversed."""
    p, y = binary_data()
    grid = np.concatenate(([0.0], np.sort(p), [1.0]))
    for labels in (y, 1 - y):
        q = proba_of(fitted_on(calibrator, p, labels), grid)[:, 1]
        assert (np.diff(q) >= -1e-15).all()


@with_trait("strict")
def check_order_is_kept(calibrator: BaseCalibrator) -> None:
    """Different scores stay different and in order, unless the scores are reversed."""
    p, y = binary_data()
    q = proba_of(fitted_on(calibrator, p, y), np.unique(p))[:, 1]
    assert (np.diff(q) > 0).all()


@with_trait("mean_preserving")
def check_mean_is_base_rate(calibrator: BaseCalibrator) -> None:
    """The mean calibrated probability of the fitting rows is their base rate, to 1 / n."""
    p, y = binary_data()
    w = np.random.default_rng(1).integers(1, 4, size=len(p))
    q = proba_of(fitted_on(calibrator, p, y, w), p)[:, 1]
    assert abs(np.average(q, weights=w) - np.average(y, weights=w)) <= 1.0 / len(p)


@with_trait("piecewise_constant")
def check_few_values(calibrator: BaseCalibrator) -> None:
    """There are fewer distinct outputs than scores."""
    p, y = binary_data()
    q = proba_of(fitted_on(calibrator, p, y), p)[:, 1]
    assert len(np.unique(q)) < len(np.unique(p))


@with_trait("finite_outputs")
def check_outputs_tell_bins_apart(calibrator: BaseCalibrator) -> None:
    """Each bin has one output and each output one bin, also for a finer grid of scores."""
    p, y = binary_data()
    for labels in (y, np.arange(len(y)) == 7):
        fitted = fitted_on(calibrator, p, labels)
        assert fitted._n_outputs() is not None
        grid = np.concatenate((p, np.linspace(0.0, 1.0, 10_001)))
        q, bins = proba_of(fitted, grid), fitted.predict_bin(grid)
        n_bins = len(np.unique(bins))
        assert n_bins <= len(p)
        for output in q.T:
            assert len(np.unique(output)) == n_bins
            assert len(np.unique(np.column_stack((output, bins)), axis=0)) == n_bins
