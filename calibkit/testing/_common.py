"""Data, helpers and the lists of checks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from numpy.testing import assert_allclose
from sklearn.base import clone

from .._core.base import BaseCalibrator
from .._core.printed import spelled
from .._core.warnings import CalibrationWarning
from .._registry import register_calibrator, registry_restored

Check = Callable[[BaseCalibrator], None]
BINARY: list[Check] = []
MULTICLASS: list[Check] = []
TRAIT: dict[str, list[Check]] = {}


def _known(check: Check) -> Check:
    """The check; while it runs, the class is registered, so that files may name it."""

    @wraps(check)
    def run(calibrator: BaseCalibrator) -> None:
        held = [calibrator, *calibrator.get_params().values()]
        classes = {type(c) for c in held if isinstance(c, BaseCalibrator)}
        with registry_restored():
            for cls in classes:
                try:
                    register_calibrator(cls)
                except ValueError as error:
                    raise AssertionError(str(error)) from error
            check(calibrator)

    return run


def binary(check: Check) -> Check:
    BINARY.append(check := _known(check))
    return check


def multiclass(check: Check) -> Check:
    MULTICLASS.append(check := _known(check))
    return check


def batch(check: Check) -> Check:
    """For calibrators that ignore the order of rows and accept weights."""
    check.batch = True  # type: ignore[attr-defined]
    return check


def with_trait(trait: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        TRAIT.setdefault(trait, []).append(check := _known(check))
        return check

    return register


def binary_data(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make over-confident probabilities of an event, some of them equal, and labels 0/1.

    Parameters
    ----------
    n : int, default=300
        Number of rows.
    seed : int, default=0
        Seed of the random numbers.

    Returns
    -------
    p : ndarray of shape (n,)
        Probabilities of the event.
    y : ndarray of shape (n,)
        Labels 0 and 1.

    Examples
    --------
    >>> from calibkit import brier_skill_score
    >>> from calibkit.testing import binary_data
    >>> p, y = binary_data(500)
    >>> p.shape, y.shape, brier_skill_score(y, p) > 0
    ((500,), (500,), True)
    """
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    # On a grid that float32 represents exactly, on both sides of 1/2.
    return np.clip(np.round(1024 / (1 + np.exp(-2 * z))), 1, 1023) / 1024, y


def multiclass_data(n: int = 400, k: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make over-confident probabilities of k classes, and labels 0..k-1.

    Parameters
    ----------
    n : int, default=400
        Number of rows.
    k : int, default=4
        Number of classes.
    seed : int, default=0
        Seed of the random numbers.

    Returns
    -------
    p : ndarray of shape (n, k)
        Probabilities of the classes.
    y : ndarray of shape (n,)
        Labels 0 to k - 1.

    Examples
    --------
    >>> from calibkit.testing import multiclass_data
    >>> p, y = multiclass_data(500, k=3)
    >>> p.shape, sorted(set(y.tolist()))
    ((500, 3), [0, 1, 2])
    """
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, k))
    y = (z + rng.gumbel(size=(n, k))).argmax(axis=1)
    p = np.exp(2 * z)
    return p / p.sum(axis=1, keepdims=True), y


def fitted_on(calibrator: BaseCalibrator, X: Any, y: Any, w: Any = None) -> BaseCalibrator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        given = (X, y) if w is None else (X, y, w)
        return clone(calibrator).fit(*given)


def proba_of(calibrator: BaseCalibrator, X: Any) -> np.ndarray:
    q = calibrator.predict_proba(X)
    assert q.dtype == np.float64
    assert np.isfinite(q).all()
    assert q.min(initial=0.5) >= 0
    assert q.max(initial=0.5) <= 1
    assert_allclose(q.sum(axis=1), 1.0, atol=1e-12)
    return q


def refuses(error: type[Exception], words: str, call: Callable[[], Any]) -> None:
    message = None
    try:
        call()
    except error as caught:
        message = str(caught)
    assert message is not None, f"no {error.__name__} about {spelled(words)}"
    assert words in message, f"{spelled(words)} not in the message: {message}"
