"""Online Platt and beta scaling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from math import exp, log
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.scores import SATURATED, Scores
from .._numerics.links import expit
from .._numerics.ons import beta_stream, platt_stream
from .._typing import FloatArray, Scale
from ._base import OnlineCalibrator
from ._newton import NewtonCalibrator
from ._resolution import LIMIT, SUREST, within, within_so_far


class OnlinePlattCalibrator(NewtonCalibrator):
    """Online Platt scaling (OPS): ``expit(slope * logit(p) + intercept)``, learnt label by label.

    Use it where scores and labels keep coming and the world drifts: it needs no window and no
    refit, and its log loss comes near that of the best fixed map in hindsight whatever the labels.
    Wrap it in :class:`TrackingCalibrator` for smaller calibration errors. For a batch of data that
    does not drift :class:`PlattCalibrator` is the optimum.

    Parameters
    ----------
    gamma : float, default=0.1
        Steps are ``1 / gamma`` times the Newton step: smaller follows faster.
    prior_strength : float, default=100.0
        The Newton matrix starts as this times the identity: larger moves more slowly at first.
    radius : float, default=100.0
        Slope and intercept stay in the ball of this radius.
    discount : float, default=1.0
        Factor in (0, 1] on the memory of the Newton matrix at every label: below 1 steps don't
        shrink for ever, for drift that is abrupt. :class:`AdaptivePlattCalibrator` chooses it.
    start : sequence of two floats, optional
        Slope and intercept to start from; by default (1, 0), which returns the scores.
    eps : float or "auto", default="auto"
        Scores nearer to 0 or 1 are taken as this far; log-odds likewise. "auto" learns it, of
        probabilities: half the distance from 0 (or 1) of the nearest score, learnt from before,
        that is not there itself; at least 1e-5 and at most .01. The paper's rule is 1e-5.
    scale : {"probability", "logit"}, default="probability"
        What the scores are. Margins of ``decision_function`` count as logits.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Most forecasts that may wait for labels, see ``forecast``.

    Attributes
    ----------
    theta_ : ndarray of shape (2,)
        Slope and intercept.
    factor_ : ndarray of shape (3,)
        Factors l, d1, d2 of the Newton matrix; :meth:`matrix` puts them together.
    met_ : ndarray of shape (2,)
        Log-odds of the smallest and the largest score so far, those at 0 and 1 left out; at least
        as far out as .02 and .98.
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
    Each label costs one online Newton step on the log loss: with ``u = (logit p, 1)`` and gradient
    ``g = (q - y) u``, ``A += g g'`` and ``theta -= A^-1 g / gamma``, brought back into the ball in
    the norm of A. For scores in [.01, .99] the regret is O(log T) (Theorem 2.1 of the paper). What
    is propagated are the factors of ``A = L D L'``: their updates only add positive numbers, so
    that A stays positive definite after any number of steps. Memory is constant; 10^6 steps take
    about .34 s, with Numba .035 s (``benchmarks/online.py --speed``).

    The authors' code starts from (0, 0), which forecasts 1/2 at first; the paper, and this class,
    from (1, 0), the identity.

    Any number of threads may read one while another learns: a read sees all of an update or nothing
    of it. Save and copy it from the thread that learns.

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML. Algorithm 1.
    E. Hazan, A. Agarwal, S. Kale (2007). Logarithmic regret algorithms for online convex
    optimization. Machine Learning 69.

    Examples
    --------
    A model that was right becomes over-confident half-way.

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
            limit = log((1.0 - nearest) / nearest)
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

    # One row at a time: the same numbers, without arrays.

    def predict_proba_one(self, x: float) -> float:
        state = self.__dict__
        if "_kept" in state or "classes_" not in state:  # under way, or not started
            return super().predict_proba_one(x)
        a, b = state["theta_"].tolist()
        z, (low, high) = self._log_odds(x), state["met_"].tolist()
        if not low <= z <= high and self._is_resolving():
            z = float(within(np.array([z]), state["met_"])[0])
        t = a * z + b
        q = 1.0 / (1.0 + exp(-t)) if t > -700.0 else exp(t)
        return min(max(q, SUREST[0]), SUREST[1]) if self.eps == "auto" else q

    def learn_one(self, x: float, y: Any) -> OnlineCalibrator:
        code = self._code(y)
        if code is None:
            return super().learn_one(x, y)
        # All that steps depend on: to look at every parameter would take as long as a step.
        used = self.gamma, self.prior_strength, self.radius, self.discount, self.eps, self.scale
        if used != self._checked:
            with self._unchanged_on_error():
                self._check_changes()
                self._log_odds(x)  # a bad score fails here
            self._checked, self._numbers = used, self._settings()
        theta, factor, met = self.theta_.tolist(), self.factor_.tolist(), self.met_
        z, (low, high) = [self._log_odds(x)], met.tolist()
        if not low <= z[0] <= high and self._is_resolving():
            read, met = within_so_far(np.array(z), np.array([code]), met)
            z = read.tolist()
        self._step(z, [code], [0.0], theta, factor, *self._numbers)
        # In one step, for those who read meanwhile.
        self.__dict__.update(
            theta_=np.array(theta), factor_=np.array(factor), met_=met, n_seen_=self.n_seen_ + 1.0
        )
        return self

    _step = staticmethod(platt_stream.source)  # type: ignore[attr-defined]
    _numbers: tuple[float, float, float, float]

    def _log_odds(self, x: float) -> float:
        """Log-odds of one score, the same bits as among others."""
        if self.scale != "probability" or type(x) is not float or not 0.0 <= x <= 1.0:
            return float(self._features(self._one(x))[0, 0])
        eps = self.eps
        return _log_odds(x, SATURATED if eps == "auto" else eps)


@lru_cache(maxsize=64)  # a forecast is mostly followed by its label
def _log_odds(x: float, eps: float) -> float:
    p = min(max(x, eps), 1.0 - eps)
    return float(np.log(p / (1.0 - p)))


class OnlineBetaCalibrator(NewtonCalibrator):
    """Online beta scaling (OBS): ``expit(a * log(p) + b * log(1 - p) + c)``, label by label.

    One parameter more than :class:`OnlinePlattCalibrator`: it also bends the two ends of the curve
    differently, which forests often need. Wrap it in :class:`TrackingCalibrator` for smaller
    calibration errors.

    Parameters
    ----------
    gamma : float, default=0.1
        Steps are ``1 / gamma`` times the Newton step: smaller follows faster.
    prior_strength : float, default=25.0
        The Newton matrix starts as this times the identity: larger moves more slowly at first.
    radius : float, default=100.0
        The three weights stay in the ball of this radius.
    discount : float, default=1.0
        Factor in (0, 1] on the memory of the Newton matrix at every label.
    start : sequence of three floats, optional
        Weights to start from; by default (1, -1, 0), which returns the scores.
    eps : float or "auto", default="auto"
        Scores nearer to 0 or 1 are taken as this far; log-odds likewise. "auto" learns it, of
        probabilities: half the distance from 0 (or 1) of the nearest score, learnt from before,
        that is not there itself; at least 1e-5 and at most .01. The paper's rule is 1e-5.
    scale : {"probability", "logit"}, default="probability"
        What the scores are.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Most forecasts that may wait for labels, see ``forecast``.

    Attributes
    ----------
    theta_ : ndarray of shape (3,)
        Weights of log p, of log(1 - p), and the intercept.
    factor_ : ndarray of shape (6,)
        Factors l21, l31, l32, d1, d2, d3 of the Newton matrix.
    met_ : ndarray of shape (2,)
        Log-odds of the smallest and the largest score so far, those at 0 and 1 left out; at least
        as far out as .02 and .98.
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
    As :class:`OnlinePlattCalibrator`, with three features. The map is not held to be monotone:
    the regret bound is over the whole ball. The authors start from zeros; this class starts from
    the identity.

    Any number of threads may read one while another learns: a read sees all of an update or nothing
    of it. Save and copy it from the thread that learns.

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
    """``log p`` and ``log(1 - p)`` where log-odds z were brought to others."""
    if to is z:
        return u, v
    rows = np.flatnonzero(to != z)
    u, v, z = u.copy(), v.copy(), to[rows]
    u[rows], v[rows] = -np.log1p(np.exp(-z)), -np.log1p(np.exp(z))
    return u, v
