"""Matrix scaling and Dirichlet calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.errors import InputError
from .._core.params import check_choice
from .._core.warnings import warn_of_reversal
from .._numerics.matrix import Ridge, SoftmaxFit, SoftmaxRows, blend, learn_vector
from .._typing import FloatArray, Scale
from ._softmax import SoftmaxCalibrator
from ._temperature import TemperatureCalibrator

#: Strengths whose maps "auto" averages, from the strongest: for the other entries of the matrix,
#: and for Dirichlet calibration.
_STRENGTHS = (30.0, 3.0, 0.3, 0.03)
_DIRICHLET = (100.0, 10.0, 1.0, 0.1, 0.01)


class MatrixScalingCalibrator(SoftmaxCalibrator):
    """Matrix scaling: temperature scaling, then a linear map of the log-probabilities.

    Use it for 3 to about 30 classes: it corrects which classes are confused with each other. Its
    matrix has K^2 entries, so it is drawn towards temperature scaling. With fewer than about ten
    rows per class use :class:`VectorScalingCalibrator`. It can change the predicted class.

    Parameters
    ----------
    strength : {"auto", "structured"} or float, default="auto"
        How strongly the map is drawn towards temperature scaling. "auto" learns the strength.
        "structured" is 1, the strength of structured matrix scaling. 0 is plain matrix scaling of
        the log-probabilities, without a first step.
        For ``form="dirichlet"``: the weight of both ODIR penalties, or "auto".
    form : {"scaling", "dirichlet"}, default="scaling"
        "dirichlet" is Dirichlet calibration: there is no temperature, and only intercepts and
        entries off the diagonal are penalized.
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
    slope_ : ndarray of shape (n_classes * n_classes,)
        The matrix, row by row; :attr:`matrix` returns it with its shape.
    intercept_ : ndarray of shape (n_classes,)
        What is added to each class's log-probability.
    temperature_ : float
        The temperature T > 0 of the first step; 1 for Dirichlet calibration and plain scaling.
    mix_ : float
        Share of equal probabilities that is mixed in after the first step: 1/(n + 1), or 0 for
        Dirichlet calibration and plain scaling.
    strength_ : ndarray of shape (3,)
        Strength for the intercepts, the diagonal and the other entries. For "auto" the last is a
        geometric mean.
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
    With l the logarithm of the tempered and mixed probabilities of a row and M the matrix, the
    calibrated probabilities are ``softmax(M l + intercept_)``. They minimize the mean log loss
    plus a penalty: ``strength * K / n`` times the sum of squares of the intercepts and of the
    diagonal of M - I, and ``strength * K (K - 1) / n`` times that of the other entries.
    For Dirichlet calibration it is ``strength`` times the mean square of the intercepts and of
    the entries off the diagonal.

    "auto" takes the strengths for intercepts and diagonal from vector scaling by empirical Bayes.
    For the other entries it fits maps of several strengths, estimates their leave-one-out losses
    by one Newton step, and averages them: better maps have more weight.

    References
    ----------
    E. Berta, D. Holzmüller, M. Jordan, F. Bach (2026). Structured matrix scaling for multi-class
    calibration. AISTATS. --- C. Guo, G. Pleiss, Y. Sun, K. Weinberger (2017). On calibration of
    modern neural networks. ICML. --- M. Kull, M. Perello-Nieto, M. Kängsepp, T. Silva Filho,
    H. Song, P. Flach (2019). Beyond temperature scaling: obtaining well-calibrated multiclass
    probabilities with Dirichlet calibration. NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import MatrixScalingCalibrator
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(5000, 3))
    >>> truth = np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1]])
    >>> y = (logits @ truth.T + rng.gumbel(size=(5000, 3))).argmax(axis=1)
    >>> cal = MatrixScalingCalibrator(scale="logit").fit(logits, y)
    >>> bool(cal.matrix[0, 1] - cal.matrix[2, 1] > 0.3)
    True
    """

    name: ClassVar[str] = "matrix_scaling"
    _matrix: ClassVar[bool] = True

    def __init__(
        self,
        *,
        strength: float | Literal["auto", "structured"] = "auto",
        form: Literal["scaling", "dirichlet"] = "scaling",
        scale: Scale = "probability",
        eps: float | Literal["auto"] = "auto",
        classes: Any = None,
    ) -> None:
        super().__init__(strength=strength, scale=scale, eps=eps, classes=classes)
        self.form = form

    def _check_params(self) -> None:
        super()._check_params()
        check_choice("form", self.form, ("scaling", "dirichlet"))
        if self.form == "dirichlet" and self.strength == "structured":
            raise InputError(
                "strength='structured' is for form='scaling'; expected 'auto' or a number for "
                "form='dirichlet'. Use strength='auto'."
            )

    @classmethod
    def _examples(cls) -> Iterator[MatrixScalingCalibrator]:
        yield cls()
        yield cls(form="dirichlet")

    @property
    def matrix(self) -> FloatArray:
        """The fitted matrix.

        Returns
        -------
        matrix : ndarray of shape (n_classes, n_classes)
            Entry (j, k) is the factor of class k's log-probability in the score of class j.
        """
        self._ensure_fitted()
        k = len(self.classes_)
        return self.slope_.reshape(k, k).copy()

    def _start(self, fit: Callable[[TemperatureCalibrator], None], n: float) -> None:
        if self.form == "scaling":
            super()._start(fit, n)
        else:
            self.temperature_, self.mix_ = 1.0, 0.0

    def _ridge(self, k: int, n: float) -> Ridge:
        if self.form == "scaling":
            return super()._ridge(k, n)
        strength = float(self.strength)
        return Ridge(strength / k, 0.0, strength / (k * (k - 1)))

    def _learn(self, data: SoftmaxRows, n: float) -> tuple[Ridge, SoftmaxFit]:
        k = data.k
        if self.strength != "auto":
            ridge = self._ridge(k, n)
            return ridge, data.fit(ridge)
        if self.form == "dirichlet":
            return blend(data, [Ridge(c / k, 0.0, c / (k * (k - 1))) for c in _DIRICHLET], n)
        first, fit = learn_vector(data.without_matrix(), n)
        start = np.hstack((fit.theta[:, :1], np.diag(fit.theta[:, 1])))
        unit = k * (k - 1) / n
        return blend(data, [first._replace(other=c * unit) for c in _STRENGTHS], n, start)

    def _take(self, data: SoftmaxRows, n: float, ridge: Ridge, fit: SoftmaxFit) -> None:
        super()._take(data, n, ridge, fit)
        # Constant scores leave the matrix open.
        if self.form == "dirichlet" and np.trace(self.matrix) < 0 and data.vary():
            what = "the diagonal of the matrix is negative"
            warn_of_reversal(what, n_classes=len(self.matrix))
