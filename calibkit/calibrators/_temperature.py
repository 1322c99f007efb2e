"""Temperature scaling."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .._core.base import StateKind
from .._core.partitions import Partitions
from .._core.printed import spelled
from .._core.scores import Scores
from .._core.warnings import warn_of_reversal, warn_of_separation
from .._numerics.links import expit, row_blocks
from .._numerics.temperature import (
    LogitBlocks,
    LogitRows,
    LogitView,
    PartedLogits,
    fit_temperature,
)
from .._typing import FloatArray, IntArray
from ._log_odds import LogOddsCalibrator

#: Log-odds whose probability differs from 1 in double precision, even with many classes.
_FAR = 30.0

#: Logits over a smaller temperature overflow.
_COLDEST = 1e-200


class TemperatureCalibrator(LogOddsCalibrator):
    """Temperature scaling: divide all logits by one fitted number.

    Use it as a first choice for neural networks with many classes. It has one parameter, so a few
    hundred rows are enough, and it never changes which class is predicted. It can't correct a
    single class or a wrong base rate.

    Parameters
    ----------
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or logits. Pass logits if you have them.
    eps : float or "auto", default="auto"
        Smallest distance from 0 and 1 that a probability may have when its logarithm is taken.
        "auto" learns it in ``fit``: half the distance from 0 (or 1) of the nearest score that is
        not exactly 0 (or 1). For a forest of 100 trees a score of 0 then counts as 0.005.
        For K classes the distances of all columns from 0 are used.
    classes : array-like, optional
        All class labels in sorted order; needed if some classes have no rows in ``fit``.

    Attributes
    ----------
    temperature_ : float
        The number T > 0. Above 1 the classifier was over-confident, below 1 under-confident.
    clip_ : ndarray of shape (2,)
        Distances from 0 and from 1 at which probabilities are clipped. With ``eps="auto"`` they are
        doubled if the fitted map is so steep that it would return 0 or 1.
    classes_ : ndarray of shape (n_classes,)
        Class labels; columns of ``predict_proba`` follow them.
    converged_ : bool
        Whether the optimum was reached within the bounds of the temperature.

    Raises
    ------
    ValueError
        In ``fit``: invalid data, or one class only in a two-class problem.

    Notes
    -----
    The log loss is convex in 1/T, so Newton's method in 1/T finds the optimum. It starts on a
    sample of the rows, needs two or three passes over the data, and works in blocks: it takes a
    few megabytes of memory beside the scores. For reversed scores the optimum is T = infinity: T
    stops at 1000 times the spread of the logits, with a :class:`ReversedScoresWarning`. If every
    row is classified correctly the optimum is T = 0: the labels are then replaced by smoothed
    targets (n + 1)/(n + K), which is Platt's rule for K classes, with a
    :class:`SeparationWarning`.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Weinberger (2017). On calibration of modern neural networks.
    ICML, section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import TemperatureCalibrator
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(5000, 4))
    >>> y = (logits + rng.gumbel(size=(5000, 4))).argmax(axis=1)  # the softmax of the logits
    >>> cal = TemperatureCalibrator(scale="logit").fit(3 * logits, y)
    >>> round(cal.temperature_)
    3
    """

    name: ClassVar[str] = "temperature"
    _state: ClassVar[dict[str, StateKind]] = {
        **LogOddsCalibrator._state,
        "temperature_": "float",
        "converged_": "flag",
    }
    _traits: ClassVar[frozenset[str]] = frozenset(
        {"monotone", "multiclass", "strict", "soft_labels"}
    )

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        self._solve(LogitRows(_logits(s), y, w, s.n_classes), s)

    def _fit_parts(self, parts: Partitions) -> None:
        self._solve(PartedLogits(parts, LogitView(_logits)), parts.ends.scores)

    def _solve(self, data: LogitRows, s: Scores) -> None:
        """Fit to the rows; s are their scores, or the first and the extreme ones."""
        k, smoothing, coldest = s.n_classes, 0.0, 0.0
        if data.label_wins():
            warn_of_separation()
            smoothing = k / (data.row_count() + k)
            if s.scale == "probability" and k > 2:  # one class at 1, the others clipped
                coldest = -np.log(s.clip[0]) / _FAR
        fit = fit_temperature(data, smoothing=smoothing)
        self.temperature_ = max(1.0 / fit.beta, coldest, _COLDEST)
        self.converged_ = fit.converged and fit.bound is None
        varied = s.values.ndim == 2 or s.values.min() < s.values.max()
        if fit.bound == "hot" and varied:
            what = f"the temperature is at its bound, {self.temperature_:.3g}"
            warn_of_reversal(what, n_classes=k)

    def _predict(self, s: Scores) -> FloatArray:
        if s.values.ndim == 1:
            return expit(s.logits() / self.temperature_)
        n, k = s.values.shape
        out = np.empty((n, k))
        for rows in row_blocks(n, k):
            z = s[rows].logits().astype(np.float64)
            # First the largest to 0, then the division, which might overflow otherwise.
            z -= z.max(axis=1, keepdims=True)
            z /= self.temperature_
            np.exp(z, out=out[rows])
            out[rows] /= out[rows].sum(axis=1, keepdims=True)
        return out

    def _check_state(self) -> None:
        super()._check_state()
        if not self.temperature_ > 0:
            raise ValueError(f"temperature_={spelled(self.temperature_)}; expected T > 0")


def _logits(s: Scores) -> LogitBlocks:
    def logits(rows: slice) -> FloatArray:
        z = s[rows].logits()
        return np.column_stack((np.zeros(len(z)), z)) if z.ndim == 1 else z

    return logits
