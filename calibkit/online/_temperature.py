"""Online temperature scaling, for any number of classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import StateKind
from .._core.inputs import LARGEST_LOGIT
from .._core.params import check_real, check_scale
from .._core.printed import spelled
from .._core.scores import Scores
from .._numerics.links import softmax
from .._numerics.ons import temperature_stream
from .._typing import FloatArray, Scale
from ._newton import ResolvingCalibrator, check_eps
from ._resolution import logs_within, logs_within_so_far, within, within_so_far


class OnlineTemperatureCalibrator(ResolvingCalibrator):
    """Online temperature scaling: divide all logits by one number, updated by each label.

    Use it for streams of more than two classes. It has one parameter and never changes the order of
    the classes, so accuracy stays the same. For two classes prefer :class:`OnlinePlattCalibrator`,
    which also corrects the base rate.

    Before the first label it returns the scores. :mod:`calibkit.online` shows how to call it.

    Parameters
    ----------
    gamma : float, default=0.1
        Each step is the Newton step divided by ``gamma``: smaller adapts faster.
    prior_strength : float, default=100.0
        Initial value of the sum of squared gradients: larger adapts more slowly at first.
    radius : float, default=100.0
        The temperature stays between ``1 / radius`` and ``radius``.
    eps : float or "auto", default="auto"
        Probabilities are clipped to at least ``eps``. "auto" sets it from the scores with labels so
        far: half the distance from 0 (or 1) of the nearest score that is not exactly 0 (or 1),
        within [1e-5, .01].
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or logits.
    classes : array-like, optional
        All class labels in sorted order.
    max_pending : int, default=100_000
        Maximum number of forecasts that wait for their labels.

    Attributes
    ----------
    temperature_ : float
        The number that divides the logits. Above 1, the classifier was over-confident.
    inverse_ : ndarray of shape (2,)
        The inverse temperature, and the sum of squared gradients.
    met_ : ndarray of shape (2,)
        For two classes, as in :class:`OnlinePlattCalibrator`. For more, the first number is the
        logarithm of the smallest probability so far.
    n_seen_ : float
        Number of labels that updated the calibrator.
    pending_ : Pending
        Forecasts that wait for their labels.
    classes_ : ndarray of shape (n_classes,)
        Class labels, in the order of the columns of ``predict_proba``.

    Notes
    -----
    The log loss of ``softmax(b z)`` as a function of the inverse temperature b has derivative
    ``E - z_y`` and second derivative ``Var``: the mean and the variance of z under the forecast q.
    The term of the label itself gives ``Var >= q_y (E - z_y)^2``, so the loss is exp-concave with
    the smallest q_y as its constant. Therefore an online Newton step in b has regret O(log T) on
    bounded logits, for any labels (Hazan, Agarwal and Kale 2007, Theorem 2). The constant grows
    like ``K exp(2 b max|z|)``.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Weinberger (2017). On calibration of modern neural networks.
    ICML, section 4.2.
    E. Hazan, A. Agarwal, S. Kale (2007). Logarithmic regret algorithms for online convex
    optimization. Machine Learning 69.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.online import OnlineTemperatureCalibrator
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(5000, 4))
    >>> y = (logits + rng.gumbel(size=(5000, 4))).argmax(axis=1)  # drawn from softmax(logits)
    >>> cal = OnlineTemperatureCalibrator(scale="logit").partial_fit(3 * logits, y)
    >>> round(cal.temperature_)
    3
    """

    name: ClassVar[str] = "online_temperature"
    _state: ClassVar[dict[str, StateKind]] = {**ResolvingCalibrator._state, "inverse_": "vector"}
    _traits: ClassVar[frozenset[str]] = frozenset({"online", "multiclass", "monotone"})
    _changeable: ClassVar[frozenset[str]] = frozenset({"gamma", "eps", "scale", "max_pending"})

    def __init__(
        self,
        *,
        gamma: float = 0.1,
        prior_strength: float = 100.0,
        radius: float = 100.0,
        eps: float | Literal["auto"] = "auto",
        scale: Scale = "probability",
        classes: Any = None,
        max_pending: int = 100_000,
    ) -> None:
        super().__init__(scale=scale, classes=classes, max_pending=max_pending)
        self.gamma = gamma
        self.prior_strength = prior_strength
        self.radius = radius
        self.eps = eps

    @property
    def temperature_(self) -> float:
        """Return the number that divides the logits now."""
        return 1.0 / float(self.inverse_[0])

    def _check_params(self) -> None:
        super()._check_params()
        check_scale("gamma", self.gamma)
        check_scale("prior_strength", self.prior_strength)
        check_real("radius", self.radius, low=1.0, high=1e12)
        check_eps(self.eps)

    def _check_state(self) -> None:
        super()._check_state()
        if self.inverse_.shape != (2,):
            raise ValueError("inverse_ is not a vector of two numbers")
        beta, squares = self.inverse_.tolist()
        bound = float(self.radius) * (1.0 + 1e-9)
        if not 1.0 / bound <= beta <= bound:
            raise ValueError(f"inverse_ holds {spelled(beta)}; expected 1 / radius to radius")
        # A gradient is at most the difference of two logits.
        most = self.prior_strength + self.n_seen_ * (2.01 * LARGEST_LOGIT) ** 2
        if not self.prior_strength * (1.0 - 1e-9) <= squares <= most:
            raise ValueError(f"inverse_ holds {spelled(squares)}; expected prior_strength or more")

    def _start(self, n_classes: int) -> None:
        super()._start(n_classes)
        self.inverse_ = np.array([1.0, float(self.prior_strength)])

    def _features(self, s: Scores) -> FloatArray:
        nearest = self._nearest()
        z = replace(s, clip=(nearest, nearest)).logits()
        return np.asarray(z[:, None] if z.ndim == 1 else z, dtype=np.float64)

    def _bounds(self) -> list[tuple[float, float]]:
        k = len(self.classes_)
        return [(-1e101, 1e101)] * (k if k > 2 else 1)

    def _softmax(self, x: FloatArray, beta: FloatArray) -> FloatArray:
        if x.shape[1] > 1:
            return softmax(x * beta)
        return softmax(np.column_stack((np.zeros(len(x)), x)) * beta)

    def _forecast(self, x: FloatArray) -> FloatArray:
        if self._is_resolving():
            many = x.shape[1] > 1
            x = logs_within(x, self.met_) if many else within(x[:, 0], self.met_)[:, None]
        return self._softmax(x, self.inverse_[:1])

    def _stream(self, x: FloatArray, y: FloatArray) -> FloatArray:
        met = self.met_
        if self._is_resolving() and x.shape[1] > 1:
            x, met = logs_within_so_far(x, y, met)
        elif self._is_resolving():
            z, met = within_so_far(x[:, 0], y, met)
            x = z[:, None]
        z = x if x.shape[1] > 1 else np.column_stack((np.zeros(len(x)), x))
        state, beta = self.inverse_.copy(), np.empty(len(y))
        bounds = 1.0 / self.radius, float(self.radius)
        temperature_stream(z, y, beta, state, float(self.gamma), *bounds)
        self.inverse_, self.met_ = state, met
        return self._softmax(x, beta[:, None])
