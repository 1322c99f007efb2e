"""Platt scaling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import BaseCalibrator, StateKind
from .._core.params import check_flag, check_real
from .._core.partitions import Partitions
from .._core.scores import Scores
from .._core.warnings import warn_of_reversal, warn_of_separation
from .._numerics.links import expit
from .._numerics.logistic import LogisticRows, LogisticView, PartedRows, fit_logistic
from .._typing import FloatArray, IntArray, Scale
from ._log_odds import LogOddsCalibrator


class PlattCalibrator(LogOddsCalibrator):
    """Platt scaling: fit a logistic curve to the log-odds of the scores.

    The curve is ``expit(slope * logit(p) + intercept)``. Use it as a first choice for two classes,
    with 50 to a few thousand rows. It corrects over- and under-confidence and a wrong base rate.
    For other shapes of the reliability curve use :class:`BetaCalibrator` or, with thousands of
    rows, :class:`IsotonicCalibrator`.

    Parameters
    ----------
    smooth_targets : bool, default=False
        Whether to fit to Platt's targets (N1 + 1)/(N1 + 2) and 1/(N0 + 2) instead of 1 and 0, for
        N1 rows of the event and N0 others.
    fit_slope : bool, default=True
        Whether the slope is fitted. False keeps it at 1 and fits the intercept only
        ("calibration in the large"). Use False with a few dozen labels: they are enough to correct
        the base rate, but not the slope.
    l2 : float, default=0.0
        Strength of the ridge penalty ``l2/2 * ((slope - 1)**2 + intercept**2)`` on the summed log
        loss, which pulls the map towards the identity. Default: no penalty.
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds. Use "logit" for ``decision_function``.
    eps : float or "auto", default="auto"
        Smallest distance from 0 and 1 that a probability may have when its logarithm is taken.
        "auto" learns it in ``fit``: half the distance from 0 (or 1) of the nearest score that is
        not exactly 0 (or 1). For a forest of 100 trees a score of 0 then counts as 0.005.
    classes : array-like, optional
        The two class labels in sorted order.

    Attributes
    ----------
    slope_ : float
        Below 1: the classifier was over-confident.
    intercept_ : float
        Shift of the log-odds.
    clip_ : ndarray of shape (2,)
        Distances from 0 and from 1 at which probabilities are clipped. With ``eps="auto"`` they are
        doubled if the fitted map is so steep that it would return 0 or 1.
    classes_ : ndarray of shape (2,)
        Class labels.
    converged_ : bool
        Whether the optimum was reached.

    Raises
    ------
    ValueError
        In ``fit``: invalid data, or one class only.

    Notes
    -----
    The fit is maximum likelihood by Newton's method, on log-odds. scikit-learn 1.9 instead fits
    the curve to the probabilities themselves, so its outputs can't come close to 0 or 1. Platt
    (1999) always smooths the targets. Here this is an option; it is also done, with a
    :class:`SeparationWarning`, if the scores separate the classes perfectly, because the
    likelihood then has no maximum. If all scores are equal, the slope stays 1 and only the
    intercept is fitted. O(n) time.

    With ``fit_slope=False`` the intercept c solves ``mean(expit(z + c)) = mean(y)``, which has
    exactly one solution if both classes occur (Steyerberg 2019, chapter 20).

    References
    ----------
    J. Platt (1999). Probabilistic outputs for support vector machines and comparisons to
    regularized likelihood methods. Advances in Large Margin Classifiers. --- E. Steyerberg
    (2019). Clinical prediction models, 2nd edition. Springer.

    Examples
    --------
    An over-confident classifier: the log-odds are twice too large.

    >>> import numpy as np
    >>> from calibkit import PlattCalibrator
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=2000)
    >>> y = rng.random(2000) < 1 / (1 + np.exp(-z))
    >>> p = 1 / (1 + np.exp(-2 * z))
    >>> cal = PlattCalibrator().fit(p, y)
    >>> round(cal.slope_, 1)
    0.5
    """

    name: ClassVar[str] = "platt"
    _state: ClassVar[dict[str, StateKind]] = {
        **LogOddsCalibrator._state,
        "slope_": "float",
        "intercept_": "float",
        "converged_": "flag",
    }
    _traits: ClassVar[frozenset[str]] = frozenset({"mean_preserving", "strict", "soft_labels"})

    def __init__(
        self,
        *,
        smooth_targets: bool = False,
        fit_slope: bool = True,
        l2: float = 0.0,
        scale: Scale = "probability",
        eps: float | Literal["auto"] = "auto",
        classes: Any = None,
    ) -> None:
        super().__init__(scale=scale, eps=eps, classes=classes)
        self.smooth_targets = smooth_targets
        self.fit_slope = fit_slope
        self.l2 = l2

    @classmethod
    def _examples(cls) -> Iterator[BaseCalibrator]:
        yield cls()
        yield cls(smooth_targets=True)
        yield cls(l2=1.0)
        yield cls(fit_slope=False)

    def _check_params(self) -> None:
        super()._check_params()
        check_flag("smooth_targets", self.smooth_targets)
        check_flag("fit_slope", self.fit_slope)
        check_real("l2", self.l2, low=0.0)

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        self._solve(LogisticRows(_columns(s), y, w))

    def _fit_parts(self, parts: Partitions) -> None:
        self._solve(PartedRows(parts, LogisticView(_columns)))

    def _solve(self, data: LogisticRows) -> None:
        smooth = self.smooth_targets
        if not smooth and self.fit_slope and self.l2 == 0 and data.separation():
            warn_of_separation()
            smooth = True
        if smooth:
            data = data.smoothed()
        if not self.fit_slope:
            self.slope_, self.converged_ = 1.0, True
            self.intercept_ = data.intercept(self.l2)
            if data.direction() < -2.0:
                warn_of_reversal("a slope of 1 has the wrong sign")
            return
        fit = fit_logistic(data, l2=self.l2)
        self.slope_, self.intercept_ = float(fit.coef[0]), fit.intercept
        self.converged_ = fit.converged
        if self.slope_ < 0 and fit.z_scores()[0] < -2.0:  # beyond what chance does to useless ones
            what = f"the slope is negative ({self.slope_:.3g}) and the map reverses their order"
            warn_of_reversal(what, follows=True)

    def _predict(self, s: Scores) -> FloatArray:
        return expit(np.multiply(s.logits(), self.slope_) + self.intercept_)


def _columns(s: Scores) -> list[FloatArray]:
    return [s.logits()]
