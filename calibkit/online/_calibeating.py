"""Calibeating: repair the forecasts of any online calibrator, bin by bin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone

from .._core.base import StateKind
from .._core.errors import InputTypeError
from .._core.params import check_int, check_real, check_seed, generator
from .._core.printed import spelled
from .._core.saved import check_held
from .._core.scores import Scores
from .._numerics.binning import MOST_BINS, assign, uniform_borders
from .._numerics.hedging import choose, hedge_stream, means, track, uniforms
from .._typing import FloatArray, IntArray
from ._base import OnlineCalibrator, WrappingCalibrator
from ._scaling import OnlinePlattCalibrator


class CalibeatingCalibrator(WrappingCalibrator):
    """Base of calibrators that bin the forecasts of another online calibrator."""

    _state: ClassVar[dict[str, StateKind]] = {
        **OnlineCalibrator._state,
        "calibrator_": "calibrator",
        "count_": "vector",
        "total_": "vector",
    }
    #: What memory allows.
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
        if not isinstance(inner, OnlineCalibrator):
            raise InputTypeError(
                f"calibrator={spelled(inner)}; expected an online calibrator, such as "
                "OnlinePlattCalibrator(). For a batch one: WindowedCalibrator(...)."
            )
        if "multiclass" in inner._traits:
            raise InputTypeError(f"calibrator={spelled(inner)}; expected one of two classes.")
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
            raise ValueError("count_ and total_ are not of the length of n_bins")
        if not ((self.total_ >= 0) & (self.total_ <= self.count_)).all():
            raise ValueError("total_ is not between 0 and count_")
        whole = (self.count_ == np.floor(self.count_)) & (self.total_ == np.floor(self.total_))
        if not whole.all() or self.count_.sum() != self.n_seen_:
            raise ValueError("count_ and total_ are no counts of n_seen_ labels")

    def _features(self, s: Scores) -> FloatArray:
        if self.n_bins != self._settings_then["n_bins"]:
            self._check_changes()
        return self.calibrator_._features(s)

    def _learn_inner(self, x: FloatArray, y: FloatArray) -> FloatArray:
        q = self.calibrator_._stream(x, y)
        self.calibrator_._count(y)  # draws of hedging depend on it
        return q

    def _learn_batch(self, features: FloatArray, y: FloatArray) -> None:
        self.calibrator_._learn_batch(features, y)
        self.calibrator_._count(y)

    def _bins(self, q: FloatArray) -> IntArray:
        # Forecasts by arrays and by the loops may differ in their last bits: rounded, both fall to
        # one side of a border. The paper's bins hold their upper ends: borders at or below the
        # float before q.
        return assign(np.nextafter(np.round(q, 12), 0.0), uniform_borders(self.n_bins))

    def _middle(self) -> FloatArray:
        return (np.arange(self.n_bins) + 0.5) / self.n_bins

    def _pending_features(self, x: FloatArray) -> FloatArray:
        inner = self.calibrator_
        return np.column_stack((inner._pending_features(x), inner._forecast(x)))

    def _bounds(self) -> list[tuple[float, float]]:
        return [*self.calibrator_._bounds(), (0.0, 1.0 + 1e-9)]  # a mean of ones may round up


class TrackingCalibrator(CalibeatingCalibrator):
    """Calibeating by tracking (TOPS around online Platt scaling): each bin forecasts its past.

    Use it as the default for streams: of the paper's methods it has the smallest calibration error
    nearly everywhere, at next to no cost in sharpness. Where the world changes, put it around
    :class:`AdaptivePlattCalibrator`.

    Parameters
    ----------
    calibrator : OnlineCalibrator, default=OnlinePlattCalibrator()
        What makes the forecasts to be repaired; it knows the scale of the scores.
    n_bins : int, default=10
        Equal-width bins of its forecasts, at most a million.
    smoothing : float, default=1.0
        How many labels the middle of a bin counts for. With 0, the paper's rule, a bin whose labels
        were all alike so far forecasts exactly 0 or 1, as happens in the first rows, which may cost
        an infinite log loss, or ring an alarm.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Most forecasts that may wait for labels, see ``forecast``.

    Attributes
    ----------
    calibrator_ : OnlineCalibrator
        The wrapped calibrator, learning.
    count_, total_ : ndarray of shape (n_bins,)
        Labels seen in each bin, and how many of them were of the larger class.
    n_seen_ : float
        Labels learnt.
    pending_ : Pending
        Forecasts that wait for labels.
    classes_ : ndarray of shape (2,)
        Class labels.

    Raises
    ------
    ValueError
        In ``fit``, ``partial_fit`` and the like: bad data.

    Notes
    -----
    The forecast is the mean of the labels of all earlier rows whose inner forecast fell into the
    same bin, and of ``smoothing`` labels at the bin's middle. With ``smoothing=0`` it is the bin's
    middle while there is no such row, and its sharpness is within
    ``eps + eps^2 / 4 + (log T + 1) / (eps T)`` of the inner calibrator's, eps being the width of a
    bin (Theorem 3.1 of the paper); its calibration error has no bound against an adversary:
    :class:`HedgingCalibrator` has one. The authors' code starts every bin from a pseudo-label near
    its middle; the paper, and this class with ``smoothing=0``, from the middle itself, which the
    first label replaces.

    Any number of threads may read one while another learns: a read sees all of an update or nothing
    of it. Save and copy it from the thread that learns.

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML. Section 3.
    D. Foster, S. Hart (2023). "Calibeating": beating forecasters at their own game. Theoretical
    Economics 18.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.online import TrackingCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(5000)
    >>> y = rng.random(5000) < np.round(p, 1)  # a staircase, which no Platt map can follow
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
    """Calibeating by hedging (HOPS around online Platt scaling): calibrated whatever the labels.

    Use it where someone may answer to the forecasts: its expected calibration error is bounded for
    any sequence of labels. The price is a draw: between two neighbouring cells the forecast is
    random, and forecasts are middles of cells only. :class:`TrackingCalibrator` is more accurate
    where nobody plays against it.

    Parameters
    ----------
    calibrator : OnlineCalibrator, default=OnlinePlattCalibrator()
        What makes the forecasts to be repaired; it knows the scale of the scores.
    n_bins : int, default=10
        Equal-width bins of its forecasts, and of the forecasts that are played; at most 1,000,
        since each bin of the former has all of the latter.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws. A draw depends on the seed, on the number of labels seen and on the
        score: asking twice between two labels gives the same.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Most forecasts that may wait for labels, see ``forecast``.

    Attributes
    ----------
    calibrator_ : OnlineCalibrator
        The wrapped calibrator, learning.
    count_, total_ : ndarray of shape (n_bins * n_bins,)
        Labels seen and labels of the larger class, by bin of the inner forecast and cell played.
    seed_ : float
        Seed of the draws.
    n_seen_ : float
        Labels learnt.
    pending_ : Pending
        Forecasts that wait for labels.
    classes_ : ndarray of shape (2,)
        Class labels.

    Raises
    ------
    ValueError
        In ``fit``, ``partial_fit`` and the like: bad data.

    Notes
    -----
    Every bin of the inner forecast plays Foster's game (1999): it stays on its own cell while the
    mean outcome of the rounds played there lies in it, goes to a cell that is right otherwise,
    and where none is, draws between two neighbours, one too high and one too low, so that the
    expected miss cancels. For any labels that don't depend on the draw of their own round the
    expected calibration error is at most ``eps / 2 + 2 / sqrt(eps^2 T)`` with bins of width eps
    (Theorem 3.1 of the paper). With late labels the guarantee counts rounds as they are labeled.

    Any number of threads may read one while another learns: a read sees all of an update or nothing
    of it. Save and copy it from the thread that learns.

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML. Section 3.
    D. Foster (1999). A proof of calibration via Blackwell's approachability theorem. Games and
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
        """Mean of the forecast over its draw, for those who want no randomness.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores.

        Returns
        -------
        proba : ndarray of shape (n, 2)
            Between the two cells that may be played; the guarantee is about the drawn ones.
        """
        now = self._now()
        x = now._features(now._validate_scores(X))
        upper, chance = now._plays()
        b = now._bins(now.calibrator_._forecast(x))
        return now._columns(now._middle()[upper[b]] - chance[b] / now.n_bins)

    def _plays(self) -> tuple[IntArray, FloatArray]:
        """For each bin the highest cell that may be played, and the chance of the one below."""
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
