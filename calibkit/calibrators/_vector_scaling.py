"""Vector scaling."""

from __future__ import annotations

from typing import ClassVar

from .._numerics.matrix import Ridge, SoftmaxFit, SoftmaxRows, learn_vector
from ._softmax import SoftmaxCalibrator


class VectorScalingCalibrator(SoftmaxCalibrator):
    """Vector scaling: temperature scaling, then a slope and an intercept for each class.

    Use it for many classes, or with too few rows for :class:`MatrixScalingCalibrator`. Unlike
    temperature scaling it can correct the base rate of each class.

    Parameters
    ----------
    strength : {"auto", "structured"} or float, default="auto"
        How strongly the map is drawn towards temperature scaling. "auto" learns a strength for the
        slopes and one for the intercepts from the rows. "structured" is 1, the strength of
        structured vector scaling. 0 is plain vector scaling of the log-probabilities, without a
        first step.
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or logits. Pass logits if you have them.
    eps : float or "auto", default="auto"
        Smallest distance from 0 and 1 that a probability may have when its logarithm is taken.
        "auto" learns it in ``fit``: half the distance from 0 (or 1) of the nearest score that is
        not exactly 0 (or 1).
    classes : array-like, optional
        All class labels in sorted order; needed if some classes have no rows in ``fit``.

    Attributes
    ----------
    slope_ : ndarray of shape (n_classes,)
        Factor of each class's log-probability after temperature scaling; 1 means no change.
    intercept_ : ndarray of shape (n_classes,)
        What is added to each class's log-probability.
    temperature_ : float
        The temperature T > 0 of the first step; 1 for plain scaling.
    mix_ : float
        Share of equal probabilities that is mixed in after the first step: 1/(n + 1), or 0 for
        plain scaling.
    strength_ : ndarray of shape (2,)
        Strength for the intercepts and for the slopes.
    worth_ : float
        Number of independent rows that one row counts as; below 1 for dependent rows of groups.
    converged_ : bool
        Whether the optimum was reached.
    clip_ : ndarray of shape (2,)
        Distances from 0 and from 1 at which probabilities are clipped.
    classes_ : ndarray of shape (n_classes,)
        Class labels; columns of ``predict_proba`` follow them.

    Raises
    ------
    ValueError
        In ``fit``: invalid data, or one class only in a two-class problem.

    Notes
    -----
    With l the logarithm of the tempered and mixed probabilities of a row, the calibrated
    probabilities are ``softmax(slope_ * l + intercept_)``. They minimize the mean log loss plus
    ``strength * K / n`` times the sums of squares of ``intercept_`` and of ``slope_ - 1``. The
    strengths of "auto" are those of empirical Bayes (MacKay's updates). The fit works in blocks
    of rows: it takes a few megabytes of memory beside the scores.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Weinberger (2017). On calibration of modern neural networks.
    ICML, section 4.2. --- E. Berta, D. Holzmüller, M. Jordan, F. Bach (2026). Structured matrix
    scaling for multi-class calibration. AISTATS. --- D. MacKay (1992). The evidence framework
    applied to classification networks. Neural Computation 4(5).

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import VectorScalingCalibrator
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(5000, 3))
    >>> y = (logits + [1, 0, -1] + rng.gumbel(size=(5000, 3))).argmax(axis=1)
    >>> cal = VectorScalingCalibrator(scale="logit").fit(logits, y)
    >>> (cal.intercept_ - cal.intercept_[1]).round()
    array([ 1.,  0., -1.])
    """

    name: ClassVar[str] = "vector_scaling"
    _matrix: ClassVar[bool] = False

    def _learn(self, data: SoftmaxRows, n: float) -> tuple[Ridge, SoftmaxFit]:
        if self.strength == "auto":
            return learn_vector(data, n)
        ridge = self._ridge(data.k, n)
        return ridge, data.fit(ridge)
