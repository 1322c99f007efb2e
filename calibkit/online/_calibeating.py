"""Calibeating: correct the forecasts of any online calibrator, bin by bin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone

from .._core.base import StateKind
from .._core.errors import InputTypeError
from .._core.params import check_int, check_real, check_seed, generator, refuse_class
from .._core.printed import spelled
from .._core.saved import check_held
from .._core.scores import Scores
from .._numerics.binning import MOST_BINS, assign, uniform_borders
from .._numerics.hedging import choose, hedge_stream, means, track, uniforms
from .._typing import FloatArray, IntArray
from ._base import OnlineCalibrator, WrappingCalibrator
from ._scaling import OnlinePlattCalibrator


class CalibeatingCalibrator(WrappingCalibrator):
    """Base of calibrators that correct the forecasts of another online calibrator in bins."""

    _state: ClassVar[dict[str, StateKind]] = {
        **OnlineCalibrator._state,
        "calibrator_": "calibrator",
        "count_": "vector",
        "total_": "vector",
    }
    #: Limit of ``n_bins``, set by memory.
    _most_bins: ClassVar[int] = MOST_BINS

    def __init__(
        self,
        calibrator: Any = None,
        *,
        n_bins: int = 10,
        classes: Any = None,
        max_pending: int = 100_000,
    ) -> None:
        self.calibrator = calibrator
        self.n_bins = n_bins
        self.classes = classes
        self.max_pending = max_pending

    def _inner(self) -> OnlineCalibrator:
        return OnlinePlattCalibrator() if self.calibrator is None else self.calibrator

    def _check_params(self) -> None:
        inner = self._inner()
        refuse_class("calibrator", inner)
        if not isinstance(inner, OnlineCalibrator):
            raise InputTypeError(
                f"calibrator={spelled(inner)}; expected an online calibrator, such as "
                "OnlinePlattCalibrator(). For a batch calibrator, pass WindowedCalibrator(...)."
            )
        if "multiclass" in inner._traits:
            raise InputTypeError(
                f"calibrator={spelled(inner)}; expected one of two classes. Pass "
                "OnlinePlattCalibrator()."
            )
        inner._check_params()
        check_int("n_bins", self.n_bins, low=1, high=self._most_bins)
        check_int("max_pending", self.max_pending, low=1)

    def _start(self, n_classes: int) -> None:
        self.calibrator_ = clone(self._inner())
        self.calibrator_.classes_ = self.classes_
        self.calibrator_._reset(n_classes)
        self.count_ = np.zeros(self._n_cells())
        self.total_ = np.zeros(self._n_cells())

    def _n_cells(self) -> int:
        return int(self.n_bins)

    def _check_state(self) -> None:
        check_held("calibrator_", self.calibrator_, self._inner(), self.classes_)
        super()._check_state()
        if self.count_.shape != (self._n_cells(),) or self.total_.shape != self.count_.shape:
            raise ValueError("count_ and total_ do not have the length that n_bins gives")
        if not ((self.total_ >= 0) & (self.total_ <= self.count_)).all():
            raise ValueError("total_ is not between 0 and count_")
        whole = (self.count_ == np.floor(self.count_)) & (self.total_ == np.floor(self.total_))
        if not whole.all() or self.count_.sum() != self.n_seen_:
            raise ValueError("count_ and total_ are not counts of n_seen_ labels")

    def _features(self, s: Scores) -> FloatArray:
        if self.n_bins != self._settings_then["n_bins"]:
            self._check_changes()
        return self.calibrator_._features(s)

    def _learn_inner(self, x: FloatArray, y: FloatArray) -> FloatArray:
        q = self.calibrator_._stream(x, y)
        self.calibrator_._count(y)  # the draws of hedging use the count
        return q

    def _learn_batch(self, features: FloatArray, y: FloatArray) -> None:
        self.calibrator_._learn_batch(features, y)
        self.calibrator_._count(y)

    def _bins(self, q: FloatArray) -> IntArray:
        # Arrays and loops may differ in the last bits of a forecast; rounding puts both in the same
        # bin. The bins of the paper include their upper borders, hence the float just below q.
        return assign(np.nextafter(np.round(q, 12), 0.0), uniform_borders(self.n_bins))

    def _middle(self) -> FloatArray:
        return (np.arange(self.n_bins) + 0.5) / self.n_bins

    def _pending_features(self, x: FloatArray) -> FloatArray:
        inner = self.calibrator_
        return np.column_stack((inner._pending_features(x), inner._forecast(x)))

    def _bounds(self) -> list[tuple[float, float]]:
        return [*self.calibrator_._bounds(), (0.0, 1.0 + 1e-9)]  # a mean of ones may exceed 1


class TrackingCalibrator(CalibeatingCalibrator):
    """Replace each forecast by the event rate so far in its bin (calibeating by tracking, TOPS).

    Use it as the default for streams of two classes. An inner calibrator, by default
    :class:`OnlinePlattCalibrator`, makes the forecasts. Of the methods in the paper, this one has
    the smallest calibration error on nearly all streams, and it loses almost no sharpness (how far
    the event rates of the bins are apart). If the scores drift, use
    ``TrackingCalibrator(AdaptivePlattCalibrator())``.

    Before the first label it returns the middle of the bin of the score, such as .25 for .23.
    :mod:`calibkit.online` shows how to call it.

    Parameters
    ----------
    calibrator : OnlineCalibrator, default=OnlinePlattCalibrator()
        The inner calibrator, which also sets the ``scale`` of the scores.
    n_bins : int, default=10
        Number of equal-width bins of the inner forecasts, at most a million.
    smoothing : float, default=1.0
        The bin's middle counts as this many labels. With 0 (as in the paper), a bin with equal
        labels so far forecasts exactly 0 or 1. This happens in the first rows; it can cost an
        infinite log loss or raise an alarm.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Maximum number of forecasts that wait for their labels.

    Attributes
    ----------
    calibrator_ : OnlineCalibrator
        The inner calibrator, updated with the labels.
    count_, total_ : ndarray of shape (n_bins,)
        Number of labels in each bin, and number of events among them.
    n_seen_ : float
        Number of labels that updated the calibrator.
    pending_ : Pending
        Forecasts that wait for their labels.
    classes_ : ndarray of shape (2,)
        Class labels.

    Notes
    -----
    The forecast is the mean label of the earlier rows whose inner forecast was in the same bin,
    averaged with the middle of the bin, which has the weight of ``smoothing`` labels.

    With ``smoothing=0`` the forecast of an empty bin is its middle. The sharpness is then within
    ``eps + eps^2 / 4 + (log T + 1) / (eps T)`` of the inner calibrator's, where eps is the width of
    a bin (Theorem 3.1 of the paper). The calibration error has no worst-case bound;
    :class:`HedgingCalibrator` has one. The authors' code starts every bin from a pseudo-label
    near its middle.

    References
    ----------
    Chirag Gupta, Aaditya Ramdas (2023). Online Platt scaling with calibeating. ICML. Section 3.
    Dean P. Foster, Sergiu Hart (2023). "Calibeating": beating forecasters at their own game.
    Theoretical Economics 18.

    Examples
    --------
    The true probability is a step function of the score, which no Platt map can fit.

    >>> import numpy as np
    >>> from calibkit.online import TrackingCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(5000)
    >>> y = rng.random(5000) < np.round(p, 1)
    >>> cal = TrackingCalibrator()
    >>> forecast = cal.predict_then_update(p, y)[:, 1]
    >>> int(cal.n_seen_)
    5000
    """

    name: ClassVar[str] = "tracking"
    _changeable: ClassVar[frozenset[str]] = frozenset({"smoothing", "max_pending"})

    def __init__(
        self,
        calibrator: Any = None,
        *,
        n_bins: int = 10,
        smoothing: float = 1.0,
        classes: Any = None,
        max_pending: int = 100_000,
    ) -> None:
        super().__init__(calibrator, n_bins=n_bins, classes=classes, max_pending=max_pending)
        self.smoothing = smoothing

    def _check_params(self) -> None:
        super()._check_params()
        check_real("smoothing", self.smoothing, low=0.0, high=1e12)

    @classmethod
    def _examples(cls) -> Iterator[OnlineCalibrator]:
        yield cls()
        yield cls(smoothing=0.0)
        yield cls(OnlinePlattCalibrator(discount=0.995), n_bins=7)

    def _forecast(self, x: FloatArray) -> FloatArray:
        value = means(self.count_, self.total_, self._middle(), float(self.smoothing))
        return value[self._bins(self.calibrator_._forecast(x))]

    def _track(self, q: FloatArray, y: FloatArray) -> FloatArray:
        count, total = self.count_.copy(), self.total_.copy()
        out = track(self._bins(q), y, count, total, self._middle(), float(self.smoothing))
        self.count_, self.total_ = count, total
        return out

    def _stream(self, x: FloatArray, y: FloatArray) -> FloatArray:
        return self._track(self._learn_inner(x, y), y)

    def _learn_batch(self, features: FloatArray, y: FloatArray) -> None:
        super()._learn_batch(features[:, :-1], y)
        self._track(features[:, -1], y)


class HedgingCalibrator(CalibeatingCalibrator):
    """Hedging (HOPS, calibeating): calibrated even against adversarial labels.

    Use it if people may react to the forecasts and so influence the labels: its expected
    calibration error is bounded for any sequence of labels. The price is randomness: a forecast is
    the middle of a bin, which may be drawn at random from two neighboring bins. Without an
    adversary, :class:`TrackingCalibrator` is more accurate.

    Before the first label it returns the middle of the bin of the score. :mod:`calibkit.online`
    shows how to call it.

    Parameters
    ----------
    calibrator : OnlineCalibrator, default=OnlinePlattCalibrator()
        The inner calibrator, which makes the forecasts that are corrected. It also sets the
        ``scale`` of the scores.
    n_bins : int, default=10
        Number of equal-width bins, both of the inner forecasts and of the final ones; at most
        1,000.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws. A draw depends on the seed, the number of labels so far and the score:
        the same score, predicted twice between two labels, gets the same forecast.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Maximum number of forecasts that wait for their labels.

    Attributes
    ----------
    calibrator_ : OnlineCalibrator
        The inner calibrator, updated with the labels.
    count_, total_ : ndarray of shape (n_bins * n_bins,)
        Number of labels and number of events, by bin of the inner forecast and bin of the final
        one.
    seed_ : float
        Seed of the draws.
    n_seen_ : float
        Number of labels that updated the calibrator.
    pending_ : Pending
        Forecasts that wait for their labels.
    classes_ : ndarray of shape (2,)
        Class labels.

    Notes
    -----
    For each bin of the inner forecast, the final forecast is chosen as in Foster (1999). It is the
    middle of the same bin while the event rate of the rows with this final forecast lies in that
    bin. Otherwise it is a bin whose event rate lies in it. If there is none, it is drawn from two
    neighboring bins, one too high and one too low, so that the expected error cancels.

    The expected calibration error is at most ``eps / 2 + 2 / sqrt(eps^2 T)`` with bins of width eps
    (Theorem 3.1 of the paper), for any labels that do not depend on the draw of their own row. If
    labels arrive late, T counts labels in the order of their arrival.

    References
    ----------
    Chirag Gupta, Aaditya Ramdas (2023). Online Platt scaling with calibeating. ICML. Section 3.
    Dean P. Foster (1999). A proof of calibration via Blackwell's approachability theorem. Games and
    Economic Behavior 29.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.online import HedgingCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(5000)
    >>> cal = HedgingCalibrator(random_state=0)
    >>> forecast = cal.predict_then_update(p, rng.random(5000) < p**2)[:, 1]
    >>> np.unique(forecast.round(2)).tolist()
    [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95]
    """

    name: ClassVar[str] = "hedging"
    _state: ClassVar[dict[str, StateKind]] = {**CalibeatingCalibrator._state, "seed_": "float"}
    _traits: ClassVar[frozenset[str]] = frozenset({"online", "wrapper", "random"})
    _most_bins: ClassVar[int] = 1_000

    def __init__(
        self,
        calibrator: Any = None,
        *,
        n_bins: int = 10,
        random_state: Any = None,
        classes: Any = None,
        max_pending: int = 100_000,
    ) -> None:
        super().__init__(calibrator, n_bins=n_bins, classes=classes, max_pending=max_pending)
        self.random_state = random_state

    @classmethod
    def _examples(cls) -> Iterator[OnlineCalibrator]:
        yield cls(random_state=0)

    def _check_params(self) -> None:
        super()._check_params()
        check_seed(self.random_state)

    def _n_cells(self) -> int:
        return int(self.n_bins) ** 2

    def _start(self, n_classes: int) -> None:
        super()._start(n_classes)
        self.seed_ = float(generator(self.random_state).integers(2**53))

    def _check_state(self) -> None:
        super()._check_state()
        if not 0 <= self.seed_ < 2**53 or self.seed_ != int(self.seed_):
            raise ValueError(f"seed_={spelled(self.seed_)}; expected a whole number below 2^53")

    def expected_proba(self, X: Any) -> FloatArray:
        """Return the mean of the forecast over its random draw.

        Use it for forecasts without randomness; the bound on the calibration error is then not
        guaranteed.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores.

        Returns
        -------
        proba : ndarray of shape (n, 2)
            A value between the middles of the two bins from which ``predict_proba`` draws.
        """
        now = self._now()
        x = now._features(now._validate_scores(X))
        upper, chance = now._plays()
        b = now._bins(now.calibrator_._forecast(x))
        return now._columns(now._middle()[upper[b]] - chance[b] / now.n_bins)

    def _plays(self) -> tuple[IntArray, FloatArray]:
        """For each bin, return the highest bin that may be drawn, and the chance of the lower."""
        m = int(self.n_bins)
        count, total = self.count_.tolist(), self.total_.tolist()
        plays = [choose(count, total, b * m, m, b) for b in range(m)]
        return np.array([p[0] for p in plays]), np.array([p[1] for p in plays])

    def _draws(self, x: FloatArray, seen: FloatArray) -> FloatArray:
        return uniforms(int(self.seed_), seen, np.ascontiguousarray(x[:, 0]))

    def _cells(self, x: FloatArray, q: FloatArray) -> IntArray:
        upper, chance = self._plays()
        b = self._bins(q)
        drawn = self._draws(x, np.full(len(x), self.n_seen_)) < chance[b]
        return upper[b] - drawn

    def _forecast(self, x: FloatArray) -> FloatArray:
        return self._middle()[self._cells(x, self.calibrator_._forecast(x))]

    def _pending_features(self, x: FloatArray) -> FloatArray:
        inner = super()._pending_features(x)
        return np.column_stack((inner, self._cells(x, inner[:, -1])))

    def _bounds(self) -> list[tuple[float, float]]:
        return [*super()._bounds(), (0.0, self.n_bins - 1.0)]

    def _stream(self, x: FloatArray, y: FloatArray) -> FloatArray:
        q = self._learn_inner(x, y)
        known = ~np.isnan(y)
        seen = self.n_seen_ + np.cumsum(known) - known
        count, total, cells = self.count_.copy(), self.total_.copy(), np.zeros(len(y), np.intp)
        hedge_stream(self._bins(q), self._draws(x, seen), y, cells, count, total, int(self.n_bins))
        self.count_, self.total_ = count, total
        return self._middle()[cells]

    def _learn_batch(self, features: FloatArray, y: FloatArray) -> None:
        super()._learn_batch(features[:, :-2], y)
        known = ~np.isnan(y)
        at = self._bins(features[known, -2]) * int(self.n_bins) + features[known, -1].astype(
            np.intp
        )
        n = self._n_cells()
        self.count_ = self.count_ + np.bincount(at, minlength=n)
        self.total_ = self.total_ + np.bincount(at, weights=y[known], minlength=n)
