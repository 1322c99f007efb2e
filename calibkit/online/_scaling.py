"""Online Platt and beta scaling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from math import exp, log
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.inputs import LARGEST_LOGIT
from .._core.scores import SATURATED, Scores
from .._numerics.links import expit
from .._numerics.ons import beta_stream, platt_stream
from .._typing import FloatArray, Scale
from ._base import OnlineCalibrator
from ._newton import NewtonCalibrator
from ._resolution import LIMIT, NEAREST, SUREST, within, within_so_far

_LEAST, _MOST = SUREST
_array = np.array


class OnlinePlattCalibrator(NewtonCalibrator):
    """Online Platt scaling (OPS): ``expit(slope * logit(p) + intercept)``, updated by each label.

    Use it for two classes if labels keep arriving and the scores drift slowly. It needs no window
    and no refit, and its log loss stays close to that of the best fixed slope and intercept, even
    against adversarial labels. For a smaller calibration error, put it into
    :class:`TrackingCalibrator`; for abrupt drift use :class:`AdaptivePlattCalibrator`; for a fixed
    data set use :class:`calibkit.PlattCalibrator`.

    Before the first label it returns the scores. :mod:`calibkit.online` shows how to call it.

    Parameters
    ----------
    gamma : float, default=0.1
        Each step is the Newton step divided by ``gamma``: smaller adapts faster.
    prior_strength : float, default=100.0
        The Newton matrix starts as this number times the identity: larger adapts more slowly at
        first.
    radius : float, default=100.0
        Maximum length of the vector (slope, intercept).
    discount : float, default=1.0
        The Newton matrix is multiplied by this number, in (0, 1], at every label. At 1 the steps
        become smaller and smaller; below 1 old labels are forgotten.
        :class:`AdaptivePlattCalibrator` chooses it from the data.
    start : sequence of two floats, optional
        Initial slope and intercept. Default: (1, 0), which returns the scores.
    eps : float or "auto", default="auto"
        Scores are clipped to [eps, 1 - eps], log-odds likewise. "auto" sets it from the scores with
        labels so far: half the distance from 0 (or 1) of the nearest score that is not exactly 0
        (or 1), within [1e-5, .01]. Log-odds are clipped as with 1e-5, the value of the paper.
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds. Use "logit" for ``decision_function``.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Maximum number of forecasts that wait for their labels.

    Attributes
    ----------
    theta_ : ndarray of shape (2,)
        Slope and intercept.
    factor_ : ndarray of shape (3,)
        Factors l, d1, d2 of the Newton matrix; :meth:`matrix` returns the matrix.
    met_ : ndarray of shape (2,)
        Log-odds of the smallest and the largest score so far, without 0 and 1, and at least as
        extreme as .02 and .98.
    n_seen_ : float
        Number of labels that updated the calibrator.
    pending_ : Pending
        Forecasts that wait for their labels.
    classes_ : ndarray of shape (2,)
        Class labels.

    Notes
    -----
    Each label makes one online Newton step on the log loss: with ``u = (logit p, 1)`` and gradient
    ``g = (q - y) u``, ``A += g g'`` and ``theta -= A^-1 g / gamma``, projected to the ball of
    ``radius`` in the norm of A. For scores in [.01, .99] the regret is O(log T) (Theorem 2.1 of the
    paper).

    The factors of ``A = L D L'`` are updated instead of A. Their updates only add positive numbers,
    so A stays positive definite after any number of steps.

    Memory is constant. 10^6 steps take about .34 s, or .035 s with Numba
    (``benchmarks/online.py --speed``).

    The authors' code starts from (0, 0), whose first forecast is 1/2. The paper and this class
    start from (1, 0), the identity.

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML. Algorithm 1.
    E. Hazan, A. Agarwal, S. Kale (2007). Logarithmic regret algorithms for online convex
    optimization. Machine Learning 69.

    Examples
    --------
    A calibrated model becomes over-confident after half of the rows.

    >>> import numpy as np
    >>> from calibkit.online import OnlinePlattCalibrator
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=20_000)
    >>> slope = np.where(np.arange(20_000) < 10_000, 1.0, 0.3)
    >>> y = rng.random(20_000) < 1 / (1 + np.exp(-slope * z))
    >>> cal = OnlinePlattCalibrator(scale="logit")
    >>> forecast = cal.predict_then_update(z, y)[:, 1]
    >>> round(float(cal.theta_[0]), 1)
    0.3
    """

    name: ClassVar[str] = "online_platt"
    _identity: ClassVar[tuple[float, ...]] = (1.0, 0.0)

    def __init__(
        self,
        *,
        gamma: float = 0.1,
        prior_strength: float = 100.0,
        radius: float = 100.0,
        discount: float = 1.0,
        start: Sequence[float] | None = None,
        eps: float | Literal["auto"] = "auto",
        scale: Scale = "probability",
        classes: Any = None,
        max_pending: int = 100_000,
    ) -> None:
        super().__init__(scale=scale, classes=classes, max_pending=max_pending)
        self.gamma = gamma
        self.prior_strength = prior_strength
        self.radius = radius
        self.discount = discount
        self.start = start
        self.eps = eps

    @classmethod
    def _examples(cls) -> Iterator[OnlineCalibrator]:
        yield cls()
        yield cls(discount=0.99, radius=2.0)

    def _features(self, s: Scores) -> FloatArray:
        nearest = self._nearest()
        z = replace(s, clip=(nearest, nearest)).logits()
        if s.scale == "logit":
            limit = _limit(nearest)
            z = np.clip(z, -limit, limit)
        return z[:, None]

    def _forecast(self, x: FloatArray) -> FloatArray:
        z = within(x[:, 0], self.met_) if self._is_resolving() else x[:, 0]
        return expit(self.theta_[0] * z + self.theta_[1])

    def _bounds(self) -> list[tuple[float, float]]:
        return [(-LIMIT, LIMIT)]

    def _stream(self, x: FloatArray, y: FloatArray) -> FloatArray:
        theta, factor, out = self.theta_.copy(), self.factor_.copy(), np.empty(len(y))
        z, met = x[:, 0], self.met_
        if self._is_resolving():
            z, met = within_so_far(z, y, met)
        platt_stream(z, y, out, theta, factor, *self._settings())
        self.theta_, self.factor_, self.met_ = theta, factor, met
        return out

    # Single rows: the same numbers, computed without arrays.

    def predict_proba_one(self, x: float) -> float:
        state = self.__dict__
        if "_kept" in state or "classes_" not in state:  # an update is running, or not started
            return super().predict_proba_one(x)
        theta, met = state["theta_"], state["met_"]
        if state["theta_"] is not theta:  # an update came between: take all of one state
            return super().predict_proba_one(x)
        a, b = theta.tolist()
        z, auto = self._log_odds(x), self.eps == "auto"
        if auto and self.scale == "probability":
            low, high = met.tolist()
            if not low <= z <= high:
                z = float(within(np.array([z]), met)[0])
        t = a * z + b
        q = 1.0 / (1.0 + exp(-t)) if t > -700.0 else exp(t)
        if _LEAST <= q <= _MOST or not auto:
            return q
        return _LEAST if q < _LEAST else _MOST

    def learn_one(self, x: float, y: Any) -> OnlineCalibrator:
        code = self._code(y)
        if code is None:
            return super().learn_one(x, y)
        state = self.__dict__
        # Only what the steps use: checking every parameter would take as long as a step.
        used = self.gamma, self.prior_strength, self.radius, self.discount, self.eps, self.scale
        if used != self._checked:
            with self._unchanged_on_error():
                self._check_changes()
                self._log_odds(x)  # raises if the score is invalid
            self._checked, self._numbers = used, (*self._settings(), self._is_resolving())
            state = self.__dict__
        gamma, strength, radius, discount, resolving = self._numbers
        theta, factor, met = state["theta_"].tolist(), state["factor_"].tolist(), state["met_"]
        z = [self._log_odds(x)]
        if resolving:
            low, high = met.tolist()
            if not low <= z[0] <= high:
                read, met = within_so_far(np.array(z), np.array([code]), met)
                z = read.tolist()
        self._step(z, [code], z, theta, factor, gamma, strength, radius, discount)
        # In one step: other threads may predict meanwhile.
        state.update(
            theta_=_array(theta), factor_=_array(factor), met_=met, n_seen_=state["n_seen_"] + 1.0
        )
        return self

    _step = staticmethod(platt_stream.source)  # type: ignore[attr-defined]
    _numbers: tuple[float, float, float, float, bool]

    def _log_odds(self, x: float) -> float:
        """Return the log-odds of one score, with the same bits as for an array."""
        if type(x) is float:
            eps, scale = self.eps, self.scale
            if scale == "probability" and 0.0 <= x <= 1.0:
                return _log_odds(x, SATURATED if eps == "auto" else eps)
            if scale == "logit" and -LARGEST_LOGIT <= x <= LARGEST_LOGIT:
                limit = _limit(NEAREST if eps == "auto" else eps)
                return x if -limit <= x <= limit else limit if x > 0.0 else -limit
        return float(self._features(self._one(x))[0, 0])


@lru_cache(maxsize=64)  # a forecast and its label use the same score
def _log_odds(x: float, eps: float) -> float:
    p = x if eps <= x <= 1.0 - eps else eps if x < eps else 1.0 - eps
    return float(np.log(p / (1.0 - p)))


@lru_cache(maxsize=64)
def _limit(nearest: float) -> float:
    """Return the largest log-odds, of a score this near to 1."""
    return log((1.0 - nearest) / nearest)


class OnlineBetaCalibrator(NewtonCalibrator):
    """Online beta scaling (OBS): ``expit(a * log(p) + b * log(1 - p) + c)``, updated by each label.

    Use it instead of :class:`OnlinePlattCalibrator` if the two ends of the calibration curve bend
    differently, as for many random forests; it has one parameter more. For a smaller calibration
    error, use it inside of :class:`TrackingCalibrator`.

    Before the first label it returns the scores. :mod:`calibkit.online` shows how to call it.

    Parameters
    ----------
    gamma : float, default=0.1
        Each step is the Newton step divided by ``gamma``: smaller adapts faster.
    prior_strength : float, default=25.0
        The Newton matrix starts as this number times the identity: larger adapts more slowly at
        first.
    radius : float, default=100.0
        Maximum length of the vector (a, b, c).
    discount : float, default=1.0
        The Newton matrix is multiplied by this number, in (0, 1], at every label.
    start : sequence of three floats, optional
        Initial a, b and c. Default: (1, -1, 0), which returns the scores.
    eps : float or "auto", default="auto"
        As in :class:`OnlinePlattCalibrator`.
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Maximum number of forecasts that wait for their labels.

    Attributes
    ----------
    theta_ : ndarray of shape (3,)
        a, b and c.
    factor_ : ndarray of shape (6,)
        Factors l21, l31, l32, d1, d2, d3 of the Newton matrix.
    met_ : ndarray of shape (2,)
        As in :class:`OnlinePlattCalibrator`.
    n_seen_ : float
        Number of labels that updated the calibrator.
    pending_ : Pending
        Forecasts that wait for their labels.
    classes_ : ndarray of shape (2,)
        Class labels.

    Notes
    -----
    The algorithm is that of :class:`OnlinePlattCalibrator`, with three features. The map may be
    non-monotone: the regret bound compares with all parameters in the ball. The authors' code
    starts from zeros; this class starts from the identity.

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML.
    M. Kull, T. Silva Filho, P. Flach (2017). Beta calibration. AISTATS.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.online import OnlineBetaCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(5000)
    >>> y = rng.random(5000) < p**2
    >>> cal = OnlineBetaCalibrator().partial_fit(p, y)
    >>> bool(abs(cal.predict_proba([0.5])[0, 1] - 0.25) < 0.05)
    True
    """

    name: ClassVar[str] = "online_beta"
    _identity: ClassVar[tuple[float, ...]] = (1.0, -1.0, 0.0)

    def __init__(
        self,
        *,
        gamma: float = 0.1,
        prior_strength: float = 25.0,
        radius: float = 100.0,
        discount: float = 1.0,
        start: Sequence[float] | None = None,
        eps: float | Literal["auto"] = "auto",
        scale: Scale = "probability",
        classes: Any = None,
        max_pending: int = 100_000,
    ) -> None:
        super().__init__(scale=scale, classes=classes, max_pending=max_pending)
        self.gamma = gamma
        self.prior_strength = prior_strength
        self.radius = radius
        self.discount = discount
        self.start = start
        self.eps = eps

    def _features(self, s: Scores) -> FloatArray:
        nearest = self._nearest()
        p = np.clip(s.probs(), nearest, 1.0 - nearest)
        return np.column_stack((np.log(p), np.log1p(-p)))

    def _forecast(self, x: FloatArray) -> FloatArray:
        u, v = x.T
        if self._is_resolving():
            z = u - v
            u, v = _moved(u, v, z, within(z, self.met_))
        return expit(u * self.theta_[0] + v * self.theta_[1] + self.theta_[2])

    def _bounds(self) -> list[tuple[float, float]]:
        return [(-LIMIT, 0.0)] * 2

    def _stream(self, x: FloatArray, y: FloatArray) -> FloatArray:
        theta, factor, out = self.theta_.copy(), self.factor_.copy(), np.empty(len(y))
        u, v, met = np.ascontiguousarray(x[:, 0]), np.ascontiguousarray(x[:, 1]), self.met_
        if self._is_resolving():
            z = u - v
            to, met = within_so_far(z, y, met)
            u, v = _moved(u, v, z, to)
        beta_stream(u, v, y, out, theta, factor, *self._settings())
        self.theta_, self.factor_, self.met_ = theta, factor, met
        return out


def _moved(
    u: FloatArray, v: FloatArray, z: FloatArray, to: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return ``log p`` and ``log(1 - p)`` after log-odds ``z`` were clipped to ``to``."""
    if to is z:
        return u, v
    rows = np.flatnonzero(to != z)
    u, v, z = u.copy(), v.copy(), to[rows]
    u[rows], v[rows] = -np.log1p(np.exp(-z)), -np.log1p(np.exp(z))
    return u, v
