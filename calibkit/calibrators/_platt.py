"""Platt scaling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import BaseCalibrator, StateKind
from .._core.params import check_flag, check_real
from .._core.scores import Scores
from .._core.warnings import warn_of_reversal, warn_of_separation
from .._numerics.links import expit
from .._numerics.logistic import (
    direction,
    fit_intercept,
    fit_logistic,
    separation,
    smoothed_targets,
)
from .._typing import FloatArray, IntArray, Scale
from ._log_odds import LogOddsCalibrator


class PlattCalibrator(LogOddsCalibrator):
    """Platt scaling: a logistic map of the log-odds, ``expit(slope * logit(p) + intercept)``.

    Use it when calibration data are few (50 to a few thousand rows) or the scores are log-odds
    or margins already. It repairs over- and under-confidence and a wrong base rate; it can't
    bend the curve otherwise: see :class:`BetaCalibrator` or, with thousands of rows,
    :class:`IsotonicCalibrator`.

    Parameters
    ----------
    smooth_targets : bool, default=False
        Fit to Platt's targets (N1 + 1)/(N1 + 2) and 1/(N0 + 2) instead of 1 and 0.
    fit_slope : bool, default=True
        Whether the slope is fitted. False keeps it at 1 and refits the intercept alone
        ("calibration in the large"): for a map borrowed from another task, where a few dozen
        labels say what the base rate is but not how steep the map should be.
    l2 : float, default=0.0
        Strength of a ridge penalty ``l2/2 * ((slope - 1)**2 + intercept**2)`` on the summed
        log-loss: it draws the map towards doing nothing. None by default.
    scale : {"probability", "logit"}, default="probability"
        What the scores are. Margins of ``decision_function`` count as logits.
    eps : float or "auto", default="auto"
        How near to 0 and 1 a probability may be when its logarithm is taken. "auto" learns it:
        half the distance from 0 (or 1) of the outermost score of ``fit`` that is not there itself.
        A forest of 100 trees that says 0 is read as 0.005, whether ``fit`` met a 0 or not.
    classes : array-like, optional
        The two class labels in sorted order.

    Attributes
    ----------
    slope_ : float
        Below 1: the classifier was over-confident.
    intercept_ : float
        Shift of the log-odds.
    clip_ : ndarray of shape (2,)
        Distances from 0 and from 1 at which probabilities are clipped. Those of ``eps="auto"`` are
        doubled where hardly separated scores make a map so steep that it would answer 0 or 1.
    classes_ : ndarray of shape (2,)
        Class labels.
    converged_ : bool
        Whether the optimum was reached.

    Raises
    ------
    ValueError
        In ``fit``: bad data, or one class only.

    Notes
    -----
    The fit is maximum likelihood by Newton's method, not penalised, and on log-odds; scikit-learn
    1.9 maps raw probabilities instead, so its range is limited. Platt (1999) smooths the targets
    always; here it is an option, used unasked only where the scores separate the classes
    perfectly and no maximum exists (:class:`SeparationWarning`). Scores that are all equal leave
    the slope at 1 and move the intercept. O(n) time.

    With ``fit_slope=False`` the intercept solves ``mean(expit(z + c)) = mean(y)``, which has one
    solution whenever both classes occur (Steyerberg 2019, chapter 20).

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
        z = s.logits()
        smooth = self.smooth_targets
        if not smooth and self.fit_slope and self.l2 == 0 and separation(z, y):
            warn_of_separation()
            smooth = True
        targets: FloatArray | IntArray = smoothed_targets(y, w) if smooth else y
        if not self.fit_slope:
            self.slope_, self.converged_ = 1.0, True
            self.intercept_ = fit_intercept(z, targets, w, l2=self.l2)
            if direction(z, targets, w) < -2.0:
                warn_of_reversal("the slope of 1 is of the wrong sign")
            return
        fit = fit_logistic([z], targets, w, l2=self.l2)
        self.slope_, self.intercept_ = float(fit.coef[0]), fit.intercept
        self.converged_ = fit.converged
        if self.slope_ < 0 and fit.z_scores()[0] < -2.0:  # beyond what chance does to useless ones
            what = f"the slope is negative ({self.slope_:.3g}) and the map reverses their order"
            warn_of_reversal(what)

    def _predict(self, s: Scores) -> FloatArray:
        return expit(np.multiply(s.logits(), self.slope_) + self.intercept_)
