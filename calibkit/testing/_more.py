"""Checks on K classes, and those that a trait calls for."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from .._core.base import BaseCalibrator
from .._persistence import from_dict, to_dict
from ._common import (
    batch,
    binary_data,
    fitted_on,
    multiclass,
    multiclass_data,
    proba_of,
    refuses,
    with_trait,
)


@multiclass
def check_class_permutation(calibrator: BaseCalibrator) -> None:
    """Renaming classes permutes the columns and nothing else."""
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
    """With ``classes`` given, a class may be missing; its column stays."""
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
    """One-hot rows, uniform rows, separation and few rows give finite answers."""
    p, y = multiclass_data()
    onehot = np.eye(4)[y]
    mixed = np.where(np.arange(len(y))[:, None] < 100, np.eye(4)[(y + 1) % 4], p)
    for X in (onehot, np.full_like(p, 0.25), mixed, np.float32(p), np.eye(4)[(y + 1) % 4]):
        proba_of(fitted_on(calibrator, X, y), np.float64(X) / X.sum(axis=1, keepdims=True))
    few = [int(np.flatnonzero(y == k)[0]) for k in range(4)]
    proba_of(fitted_on(calibrator, p[few], y[few]), p)


@multiclass
def check_copies_are_exact_multiclass(calibrator: BaseCalibrator) -> None:
    """JSON gives back the same bits."""
    p, y = multiclass_data()
    fitted = fitted_on(calibrator, p, y)
    assert_array_equal(from_dict(to_dict(fitted)).predict_proba(p), fitted.predict_proba(p))


@with_trait("monotone")
def check_monotone(calibrator: BaseCalibrator) -> None:
    """A higher score never means a lower probability, also for scores that point backwards."""
    p, y = binary_data()
    grid = np.concatenate(([0.0], np.sort(p), [1.0]))
    for labels in (y, 1 - y):
        q = proba_of(fitted_on(calibrator, p, labels), grid)[:, 1]
        assert (np.diff(q) >= -1e-15).all()


@with_trait("strict")
def check_order_is_kept(calibrator: BaseCalibrator) -> None:
    """Different scores stay different and in order, where they point the right way."""
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
    """A bin has one output and an output one bin, in both columns; a finer grid finds no more."""
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
