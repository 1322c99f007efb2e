"""Checks of online calibrators."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from .._core.base import BaseCalibrator
from .._persistence import from_dict, to_dict
from ..online import OnlineCalibrator
from ._common import binary_data, multiclass_data, proba_of, refuses, with_trait


def _fresh(calibrator: BaseCalibrator) -> OnlineCalibrator:
    fresh = clone(calibrator)
    assert isinstance(fresh, OnlineCalibrator)
    return fresh


def _data(calibrator: BaseCalibrator, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    return multiclass_data(n) if "multiclass" in calibrator._traits else binary_data(n)


def _in_blocks(calibrator: OnlineCalibrator, X: Any, y: Any, cuts: list[int]) -> np.ndarray:
    blocks = zip(np.split(X, cuts), np.split(y, cuts), strict=True)
    return np.concatenate(
        [calibrator.predict_then_update(a, b, classes=np.unique(y)) for a, b in blocks]
    )


@with_trait("online")
def check_blocks_make_no_difference(calibrator: BaseCalibrator) -> None:
    """Batches of any size give exactly the same forecasts and state in ``predict_then_update``;
    a first ``partial_fit`` and ``fit`` give the same state."""
    X, y = _data(calibrator)
    whole, parts, alone = (_fresh(calibrator) for _ in range(3))
    expected = whole.predict_then_update(X, y)
    assert_array_equal(_in_blocks(parts, X, y, [0, 1, 2, 50, 50, 173]), expected)
    assert_array_equal(_in_blocks(alone, X, y, list(range(1, len(y)))), expected)
    assert to_dict(parts) == to_dict(whole) == to_dict(alone)
    assert to_dict(_fresh(calibrator).partial_fit(X, y)) == to_dict(whole)
    assert to_dict(_fresh(calibrator).fit(X, y)) == to_dict(whole)


@with_trait("online")
def check_nothing_is_seen_ahead(calibrator: BaseCalibrator) -> None:
    """A forecast does not depend on its own label or later ones."""
    X, y = _data(calibrator)
    k = int(y.max())
    forecasts = _fresh(calibrator).predict_then_update(X, y)
    for t in (10, 151, len(y) - 1):
        flipped = np.concatenate((y[:t], k - y[t:]))
        other = _fresh(calibrator).predict_then_update(X, flipped, classes=np.arange(k + 1))
        assert_array_equal(other[: t + 1], forecasts[: t + 1])


@with_trait("online")
def check_forecasts_match_predictions(calibrator: BaseCalibrator) -> None:
    """Predicting twice and then updating equals ``predict_then_update``."""
    X, y = _data(calibrator)
    expected = _fresh(calibrator).predict_then_update(X, y)
    online = _fresh(calibrator).partial_fit(X[:100], y[:100])
    for i in range(100, 130):
        row = X[i : i + 1]
        first = proba_of(online, row)
        assert_array_equal(proba_of(online, row), first)
        assert_allclose(first, expected[i : i + 1], atol=1e-12)
        online.partial_fit(row, y[i : i + 1])


@with_trait("online")
def check_labels_may_be_missing(calibrator: BaseCalibrator) -> None:
    """Rows without a label get a forecast and change nothing."""
    X, y = _data(calibrator)
    gaps = np.where(np.arange(len(y)) % 3 == 1, np.nan, y.astype(float))
    known = ~np.isnan(gaps)
    classes = np.unique(y)
    full, sparse = _fresh(calibrator), _fresh(calibrator)
    names = np.array([f"c{k}" for k in classes])
    words = [None if v != v else names[int(v)] for v in gaps]
    for labels, kinds in ((gaps, classes), (words, names)):
        full, sparse = _fresh(calibrator), _fresh(calibrator)
        q = sparse.predict_then_update(X, labels, classes=kinds)
        compact = [v for v, k in zip(labels, known, strict=True) if k]
        expected = full.predict_then_update(X[known], compact, classes=kinds)
        assert_array_equal(q[known], expected)
        assert to_dict(full)["state"] == to_dict(sparse)["state"]
        assert sparse.n_seen_ == known.sum()


@with_trait("online")
def check_late_labels(calibrator: BaseCalibrator) -> None:
    """Labels that arrive late, by id, give the same state; a missing one does not block others."""
    X, y = _data(calibrator)
    prompt, late = _fresh(calibrator), _fresh(calibrator)
    prompt.partial_fit(X[:50], y[:50], classes=np.unique(y))
    late.partial_fit(X[:50], y[:50], classes=np.unique(y))
    for i in range(50, 90):
        late.forecast([i], X[i : i + 1])
        assert late.label([i], y[i : i + 1]).n_learned == 1
    prompt.predict_then_update(X[50:90], y[50:90])
    assert_allclose(proba_of(late, X), proba_of(prompt, X), atol=1e-9)
    before = proba_of(late, X)
    assert_array_equal(late.forecast(range(200), X[:200]), before[:200])
    assert_array_equal(proba_of(late, X), before)
    copy = from_dict(to_dict(late))
    labels = y[[7, 3, 7, 0]]
    for one in (late, copy):
        report = one.label([7, 3, 7, 999], labels)
        assert (report.n_learned, report.unknown, report.repeated) == (2, [999], [7])
    assert to_dict(copy) == to_dict(late)
    assert late.label([7], labels[:1]).unknown == [7]
    assert late.n_seen_ == 92


@with_trait("online")
def check_batches(calibrator: BaseCalibrator) -> None:
    """Rows of one ``partial_fit`` are all forecast before it, as if forecast and labeled."""
    X, y = _data(calibrator)
    whole, parts = (_fresh(calibrator) for _ in range(2))
    for one in (whole, parts):
        one.partial_fit(X[:50], y[:50], classes=np.unique(y))
    for rows in np.split(np.arange(50, len(y)), [7, 7, 90, 180]):
        forecast = proba_of(whole, X[rows])
        whole.partial_fit(X[rows], y[rows])
        assert_array_equal(parts.forecast(rows, X[rows]), forecast)
        assert parts.label(rows, y[rows]).n_learned == len(rows)
        assert to_dict(parts) == to_dict(whole)


@with_trait("online")
def check_state_does_not_grow(calibrator: BaseCalibrator) -> None:
    """The number of waiting forecasts is limited; the oldest are dropped first."""
    X, y = _data(calibrator)
    online = _fresh(calibrator).set_params(max_pending=10)
    online.partial_fit(X[:100], y[:100], classes=np.unique(y))
    online.forecast(range(50), X[:50])
    assert len(online.pending_) == 10
    assert online.pending_.n_dropped == 40
    assert online.label([0, 49], y[[0, 49]]).unknown == [0]


@with_trait("online")
def check_starts(calibrator: BaseCalibrator) -> None:
    """A stream may begin with one class, without labels, or without rows."""
    X, y = _data(calibrator)
    classes = np.unique(y)
    declared = _fresh(calibrator).set_params(classes=classes)
    assert proba_of(declared, X).shape == (len(X), len(classes))
    empty = _fresh(calibrator).partial_fit(X[:0], y[:0], classes=classes)
    assert_array_equal(proba_of(empty, X), proba_of(declared, X))
    one = _fresh(calibrator).partial_fit(X[:1], y[:1], classes=classes)
    assert one.n_seen_ == 1
    none = _fresh(calibrator).predict_then_update(X, np.full(len(y), np.nan), classes=classes)
    assert_allclose(none, proba_of(declared, X), atol=1e-12)
    words = np.full(len(y), "a")
    refuses(ValueError, "classes=[...]", partial(_fresh(calibrator).partial_fit, X, words))


@with_trait("online")
def check_failed_update_changes_nothing(calibrator: BaseCalibrator) -> None:
    """After an error the calibrator is unchanged, and so are the objects that it holds."""
    X, y = _data(calibrator)
    online = _fresh(calibrator).partial_fit(X, y)
    online.forecast(["a"], X[:1])
    before = to_dict(online)
    bad = X.copy()
    bad[7] = np.nan
    wrong = np.where(np.arange(len(y)) == 5, 99, y)
    refuses(ValueError, "NaN", partial(online.partial_fit, bad, y))
    refuses(ValueError, "99", partial(online.partial_fit, X, wrong))
    refuses(ValueError, "same number", partial(online.predict_then_update, X, y[:-1]))
    refuses(ValueError, "same number", partial(online.forecast, ["b"], X[:2]))
    refuses(ValueError, "99", partial(online.label, ["a"], [99]))
    refuses(ValueError, "expected the same", partial(online.partial_fit, X, y, ["p", "q"]))
    refuses(ValueError, "ids", partial(online.forecast, [1.5], X[:1]))
    assert to_dict(online) == before
    calls: list[Callable[[Any], Any]] = [
        lambda one: one.partial_fit(X, y),
        lambda one: one.predict_then_update(X, y),
        lambda one: one.fit(X, y),
        lambda one: one.label(["a"], y[:1]),
        lambda one: one.learn_one(X[0].tolist(), int(y[0])),
    ]
    stopped = [
        _is_stopped(online, name, call)
        for name in ("_stream", "_learn_batch", "_count")
        for call in calls
    ]
    assert sum(stopped) >= len(calls)


def _is_stopped(online: OnlineCalibrator, name: str, call: Callable[[Any], Any]) -> bool:
    """Whether a call takes a step; it is stopped after it then, and must leave no trace."""
    before = to_dict(online)
    one = from_dict(before)
    real = getattr(one, name)

    def stop(*args: Any) -> Any:
        real(*args)
        raise KeyboardInterrupt

    setattr(one, name, stop)
    try:
        call(one)
    except KeyboardInterrupt:
        assert to_dict(one) == before
        return True
    return False


@with_trait("online")
def check_one_row_at_a_time(calibrator: BaseCalibrator) -> None:
    """Single scores and labels, without arrays, give the same results."""
    if "multiclass" in calibrator._traits:
        return
    p, y = binary_data()
    expected = _fresh(calibrator).predict_then_update(p, y)[:, 1]
    online = _fresh(calibrator)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for score, label, q in zip(p.tolist(), y.tolist(), expected, strict=True):
            assert abs(online.predict_proba_one(score) - q) < 1e-12
            online.learn_one(score, label)
            online.learn_one(score, None)
    assert online.n_seen_ == len(y)
    refuses(ValueError, "1.5", partial(online.predict_proba_one, 1.5))
    refuses(ValueError, "7", partial(online.learn_one, 0.5, 7))
    refuses(ValueError, "NaN", partial(online.learn_one, np.nan, 1))
