"""Beta calibration."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .._core.base import StateKind
from .._core.partitions import Partitions
from .._core.printed import spelled
from .._core.scores import Scores
from .._core.warnings import warn_of_reversal, warn_of_separation
from .._numerics.links import expit
from .._numerics.logistic import LogisticRows, LogisticView, PartedRows, fit_logistic
from .._typing import FloatArray, IntArray
from ._log_odds import LogOddsCalibrator

#: A column of logarithms with a smaller range counts as constant, as log(p) of log-odds above 28.
_FLAT = 2.0**-40


class BetaCalibrator(LogOddsCalibrator):
    """Beta calibration: fit a curve that bends low and high probabilities separately.

    The curve is ``expit(a * log(p) - b * log(1 - p) + c)`` with a, b >= 0. Use it if Platt scaling
    does not fit well enough and you have at least a few hundred rows: it has three parameters
    instead of two. Platt scaling is the special case a = b; a = b = 1, c = 0 changes nothing.

    Parameters
    ----------
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds (logits).
    eps : float or "auto", default="auto"
        Smallest distance from 0 and 1 that a probability may have when its logarithm is taken.
        "auto" learns it in ``fit``: half the distance from 0 (or 1) of the nearest score that is
        not exactly 0 (or 1). For a forest of 100 trees a score of 0 then counts as 0.005.
    classes : array-like, optional
        The two class labels in sorted order.

    Attributes
    ----------
    a_, b_ : float
        Exponents of p and of 1 - p; never negative, so the map keeps the order of the scores.
    c_ : float
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
    The constrained maximum likelihood is found by Newton's method; each step minimizes its
    quadratic model exactly under the constraints. If the scores separate the classes perfectly,
    the likelihood has no maximum: the labels are then replaced by the smoothed targets of Platt
    (1999), with a :class:`SeparationWarning`. O(n) time.

    References
    ----------
    M. Kull, T. Silva Filho, P. Flach (2017). Beta calibration: a well-founded and easily
    implemented improvement on logistic calibration for binary classifiers. AISTATS, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import BetaCalibrator
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random(20_000)
    >>> y = rng.random(20_000) < truth
    >>> cal = BetaCalibrator().fit(truth**2, y)  # the right map is the square root
    >>> cal.predict_proba([0.04, 0.25, 0.81])[:, 1].round(1)
    array([0.2, 0.5, 0.9])
    """

    name: ClassVar[str] = "beta"
    _state: ClassVar[dict[str, StateKind]] = {
        **LogOddsCalibrator._state,
        "a_": "float",
        "b_": "float",
        "c_": "float",
        "converged_": "flag",
    }
    _traits: ClassVar[frozenset[str]] = frozenset(
        {"monotone", "mean_preserving", "strict", "soft_labels"}
    )

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        self._solve(LogisticRows(_log_terms(s), y, w))

    def _fit_parts(self, parts: Partitions) -> None:
        self._solve(PartedRows(parts, LogisticView(_log_terms)))

    def _solve(self, data: LogisticRows) -> None:
        columns = data.ends.columns
        if data.separation() > 0:
            warn_of_separation()
            data = data.smoothed()
        moves = [float(np.ptp(c)) > _FLAT for c in columns]
        if not all(moves):
            pairs = zip(columns, moves, strict=True)
            data = data.with_constants([None if m else float(c[0]) for c, m in pairs])
        fit = fit_logistic(data, nonnegative=True)
        self.a_, self.b_ = float(fit.coef[0]), float(fit.coef[1])
        self.c_ = fit.intercept
        self.converged_ = fit.converged
        if any(moves) and not fit.coef[moves].any():
            warn_of_reversal("a = b = 0 and the map is constant")

    def _predict(self, s: Scores) -> FloatArray:
        return expit(self._sum(_log_terms(s)))

    def _log_odds(self, z: FloatArray) -> FloatArray:
        return self._sum(_log_terms(Scores(z, "logit")))

    def _sum(self, terms: list[FloatArray]) -> FloatArray:
        return self.a_ * terms[0] + self.b_ * terms[1] + self.c_

    def _check_state(self) -> None:
        super()._check_state()
        if self.a_ < 0 or self.b_ < 0:
            raise ValueError(f"a_={spelled(self.a_)}, b_={spelled(self.b_)}; expected a, b >= 0")


def _log_terms(s: Scores) -> list[FloatArray]:
    """log(p) and -log(1 - p), from log-odds without leaving log space."""
    if s.scale == "logit":
        tail = np.log1p(np.exp(-np.abs(s.values)))
        return [np.minimum(s.values, 0.0) - tail, np.maximum(s.values, 0.0) + tail]
    p = s.inside()
    return [np.log(p), -np.log1p(-p)]
