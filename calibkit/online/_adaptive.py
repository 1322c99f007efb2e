"""Online Platt scaling that chooses its forgetting rate from the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import StateKind
from .._core.errors import InputError
from .._core.params import check_real
from .._core.printed import spelled
from .._core.scores import Scores
from .._numerics.hedging import mix_stream
from .._typing import FloatArray, Scale
from ._base import OnlineCalibrator
from ._newton import UnsureCalibrator
from ._resolution import LIMIT
from ._scaling import OnlinePlattCalibrator


class AdaptivePlattCalibrator(UnsureCalibrator):
    """Online Platt scaling that adapts its forgetting rate to the drift.

    Use it for two classes if drift may be abrupt, or if its speed is unknown. It runs
    :class:`OnlinePlattCalibrator` at several forgetting rates and averages their forecasts; the
    weights follow the rate with the smallest recent log loss. For a smaller calibration error, use
    it inside of :class:`TrackingCalibrator`. Without drift, :class:`OnlinePlattCalibrator`
    suffices.

    Before the first label it returns the scores. :mod:`calibkit.online` shows how to call it. Pass
    late labels one at a time or in small batches: it adapts more slowly to large ones.

    Parameters
    ----------
    discounts : sequence of float, default=(1.0, 0.9998, 0.9995, 0.999, 0.997)
        The ``discount`` of each :class:`OnlinePlattCalibrator`. Its memory is about
        ``gamma / (1 - discount)`` labels, here 500 to 33; with 1 the memory grows without limit.
    share : float, default=1e-3
        Part of the weight that is redistributed evenly at every label, so that each rate can regain
        weight. A smaller value loses less if nothing drifts.
    gamma : float, default=0.1
        Each step is the Newton step divided by ``gamma``: smaller adapts faster.
    prior_strength : float, default=100.0
        The Newton matrix starts as this number times the identity: larger adapts more slowly at
        first.
    radius : float, default=100.0
        Maximum length of the vector (slope, intercept).
    eps : float or "auto", default="auto"
        Distance from 0 and 1 to which scores are clipped; see :class:`OnlinePlattCalibrator`.
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds. Use "logit" for ``decision_function``.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Maximum number of forecasts that wait for their labels.

    Attributes
    ----------
    calibrators_ : list of OnlinePlattCalibrator
        One for each discount.
    weights_ : ndarray
        Their weights, which sum to one.
    n_mixed_ : float
        Number of labels that changed the weights.
    n_seen_ : float
        Number of labels that updated the calibrator.
    pending_ : Pending
        Forecasts that wait for their labels.
    classes_ : ndarray of shape (2,)
        Class labels.

    Notes
    -----
    The forecast is the weighted mean of the forecasts of all rates. At each label, each weight is
    multiplied by the probability that its forecast gave to the label. Log loss is mixable, so the
    total loss of T labels exceeds that of the best sequence of the K rates with S switches by at
    most about ``(S + 1) log K + S log(1 / share) + share * T`` (Herbster and Warmuth 1998), and
    that of the best single rate by ``log K + share * T``.

    A late label changes the weights by the forecasts that were made for its row. If n other labels
    arrived in between or in the same call, its factor has the exponent ``1 / (1 + n)``, as if n + 1
    mixtures took turns (Weinberger and Ordentlich 2002). Full-size changes would follow rates that
    were good too long ago. So all rows of a batch of m labels count equally, the bound is m times
    as large, and weight moves from short memories, which are outdated by the end of a batch, to
    longer ones.

    Log loss prefers longer memories than the calibration error does: under slow drift they have
    less noise, but lag behind in one direction. The defaults are a compromise, chosen on simulated
    jumps and trends (``benchmarks/online.py --drift``). With them the calibration error stays near
    that of the best discount in hindsight.

    References
    ----------
    M. Herbster, M. Warmuth (1998). Tracking the best expert. Machine Learning 32.
    M. Weinberger, E. Ordentlich (2002). On delayed prediction of individual sequences. IEEE
    Transactions on Information Theory 48.
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML.

    Examples
    --------
    The base rate jumps from .2 to .8.

    >>> import numpy as np
    >>> from calibkit.online import AdaptivePlattCalibrator
    >>> rng = np.random.default_rng(0)
    >>> y = rng.random(4000) < np.repeat([0.2, 0.8], 2000)
    >>> cal = AdaptivePlattCalibrator()
    >>> forecast = cal.predict_then_update(np.full(4000, 0.2), y)
    >>> bool(abs(cal.predict_proba([0.2])[0, 1] - 0.8) < 0.05)
    True
    """

    name: ClassVar[str] = "adaptive_platt"
    _state: ClassVar[dict[str, StateKind]] = {
        **OnlineCalibrator._state,
        "calibrators_": "calibrators",
        "weights_": "vector",
        "n_mixed_": "float",
    }
    _changeable: ClassVar[frozenset[str]] = frozenset({"share", "scale", "max_pending"})

    def __init__(
        self,
        *,
        discounts: Sequence[float] = (1.0, 0.9998, 0.9995, 0.999, 0.997),
        share: float = 1e-3,
        gamma: float = 0.1,
        prior_strength: float = 100.0,
        radius: float = 100.0,
        eps: float | Literal["auto"] = "auto",
        scale: Scale = "probability",
        classes: Any = None,
        max_pending: int = 100_000,
    ) -> None:
        super().__init__(scale=scale, classes=classes, max_pending=max_pending)
        self.discounts = discounts
        self.share = share
        self.gamma = gamma
        self.prior_strength = prior_strength
        self.radius = radius
        self.eps = eps

    def _experts(self) -> list[OnlinePlattCalibrator]:
        return [
            OnlinePlattCalibrator(
                gamma=self.gamma,
                prior_strength=self.prior_strength,
                radius=self.radius,
                discount=d,
                eps=self.eps,
                scale=self.scale,
            )
            for d in self.discounts
        ]

    def _check_params(self) -> None:
        super()._check_params()
        check_real("share", self.share, low=0.0, high=0.5)
        sequence = isinstance(self.discounts, (list, tuple)) or np.ndim(self.discounts) == 1
        if not sequence or len(self.discounts) == 0:
            raise InputError(
                f"discounts={spelled(self.discounts)}; expected a sequence of numbers in (0, 1]. "
                "Pass discounts=[1.0, 0.999]."
            )
        for expert in self._experts():
            expert._check_params()

    def _check_state(self) -> None:
        super()._check_state()
        if len(self.calibrators_) != len(self.discounts) or len(self.weights_) != len(
            self.discounts
        ):
            raise ValueError("calibrators_, weights_ and discounts differ in length")
        if not (self.weights_ >= 0).all() or not abs(self.weights_.sum() - 1) < 1e-6:
            raise ValueError("weights_ do not sum to one")
        if not 0 <= self.n_mixed_ <= 2**53:
            raise ValueError(f"n_mixed_={spelled(self.n_mixed_)}; expected a count")
        if not all(isinstance(c, OnlinePlattCalibrator) for c in self.calibrators_):
            raise ValueError("calibrators_ holds something else than OnlinePlattCalibrator")

    def _start(self, n_classes: int) -> None:
        self.calibrators_ = self._experts()
        for expert in self.calibrators_:
            expert.classes_ = self.classes_
            expert._reset(n_classes)
        self.weights_ = np.full(len(self.calibrators_), 1.0 / len(self.calibrators_))
        self.n_mixed_ = 0.0

    def _features(self, s: Scores) -> FloatArray:
        return self.calibrators_[0]._features(s)

    def _forecast(self, x: FloatArray) -> FloatArray:
        q = np.zeros(len(x))
        for expert, weight in zip(self.calibrators_, self.weights_, strict=True):
            q += weight * expert._forecast(x)
        return np.minimum(q, 1.0)  # by rounding, the weights may sum to slightly more than 1

    def _stream(self, x: FloatArray, y: FloatArray) -> FloatArray:
        forecasts = np.column_stack([expert._stream(x, y) for expert in self.calibrators_])
        forecasts.flags.writeable = False  # read-only: the loop need not copy it back
        weights, out = self.weights_.copy(), np.empty(len(y))
        mix_stream(y, forecasts, out, weights, float(self.share))
        self.weights_ = weights
        self.n_mixed_ += float(np.count_nonzero(y == y))
        return out

    def _pending_features(self, x: FloatArray) -> FloatArray:
        # A late label weighs the forecasts of that time. Forecasts by later states would flatter
        # short memories.
        forecasts = [expert._forecast(x) for expert in self.calibrators_]
        return np.column_stack((x, *forecasts, np.full(len(x), self.n_mixed_)))

    def _bounds(self) -> list[tuple[float, float]]:
        return [(-LIMIT, LIMIT), *[(0.0, 1.0)] * len(self.discounts), (0.0, self.n_mixed_)]

    def _learn_batch(self, features: FloatArray, y: FloatArray) -> None:
        known = y == y
        if not known.any():
            return
        features, y = features[known], y[known]
        x, forecasts = np.ascontiguousarray(features[:, :1]), features[:, 1:-1]
        for expert in self.calibrators_:
            expert._stream(x, y)
        chances = np.where(y[:, None] == 1.0, forecasts, 1.0 - forecasts)
        rates = 1.0 / (len(y) + self.n_mixed_ - features[:, -1])
        weights = self.weights_ * np.prod(chances ** rates[:, None], axis=0)
        share = float(rates.sum() * self.share)
        # If every forecast gave the label probability 0, all weights become equal.
        total, fair = weights.sum(), 1.0 / len(weights)
        weights = weights / total if total > 0 else np.full_like(weights, fair)
        self.weights_ = (1.0 - share) * weights + share * fair
        self.n_mixed_ += float(len(y))
