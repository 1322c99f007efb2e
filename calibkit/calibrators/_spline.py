"""Splines of log-odds."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from scipy.optimize import isotonic_regression

from .._core.base import StateKind
from .._core.params import check_flag, check_int
from .._core.scores import Scores
from .._numerics.cells import Cells, coarse_cells
from .._numerics.links import LARGEST, expit
from .._numerics.spline import fit_spline, leave_one_out, natural_spline
from .._typing import FloatArray, Scale
from ._summed import SummedCalibrator

#: Values of the score that the spline is fitted to: more change no answer by 1e-4.
MOST_CELLS = 256


class SplineCalibrator(SummedCalibrator):
    """Spline calibration: a natural cubic spline of the log-odds, as flexible as the rows allow.

    Use it when you don't know the shape of the reliability curve. With 100 rows it is close to a
    straight line of the log-odds, drawn towards no change; with thousands it bends where the rows
    show that it must. It has nothing to tune.

    Parameters
    ----------
    monotone : bool, default=True
        Whether a higher score never gets a lower probability. Where the spline falls, the scores
        get one common value. False keeps the spline as it is.
    n_knots : int, default=6
        Number of knots, at quantiles of the scores.
    scale : {"probability", "logit"}, default="probability"
        What the scores are.
    eps : float or "auto", default="auto"
        Distance from 0 and 1 at which probabilities are clipped before the logarithm is taken.
        "auto" learns it from the scores: half the distance of the outermost score that is not 0
        or 1 itself.
    classes : array-like, optional
        The two class labels in sorted order.

    Attributes
    ----------
    x_ : ndarray
        Log-odds at which the map is stored. It is linear between them and constant beyond them:
        scores that ``fit`` never saw are no reason for more certainty.
    value_ : ndarray
        Calibrated log-odds at ``x_``.
    freedom_ : float
        Effective number of parameters.
    evidence_ : float
        Log of the evidence for the spline over that for no calibration: positive if the rows
        speak for the spline.
    loss_ : ndarray of shape (2,)
        Mean leave-one-out log loss, in nats, of no calibration and of the spline.
    worth_ : float
        Number of independent rows that one row counts as; below 1 for dependent rows of groups.
    clip_ : ndarray of shape (2,)
        Distances from 0 and from 1 at which probabilities are clipped.
    classes_ : ndarray of shape (2,)
        Class labels.

    Raises
    ------
    ValueError
        In ``fit``: bad data, or one class only.

    Notes
    -----
    The map is ``z + a + b x + bends(x)``, with the log-odds z and x the standardized log-odds. The
    priors are normal with mean 0: a and b have a standard deviation v in (0.3, 1, 3), more for
    log-odds whose own standard deviation exceeds 3, the bends c in (0, 0.1, 0.3, 1) log-odds, less
    for rougher ones. Three more priors allow a multiple of z alone, which is temperature scaling.
    The 15 penalized maximum-likelihood fits are averaged with weights in proportion to their
    evidence (Laplace's approximation). So the identity, temperature scaling and Platt scaling are
    included, and the amount of smoothing needs no cross-validation.

    The spline is fitted to at most 256 weighted values of the log-odds, so after the sort the time
    doesn't grow with n. Leave-one-out losses are by one Newton step. Where the spline isn't
    monotone, it is pooled by isotonic regression on the log-odds.

    References
    ----------
    P. Green, B. Silverman (1994). Nonparametric regression and generalized linear models.
    Chapman and Hall. --- D. MacKay (1992). The evidence framework applied to classification
    networks. Neural Computation 4(5). --- J. Rao, A. Scott (1984). On chi-squared tests for
    multiway contingency tables with cell proportions estimated from survey data. Annals of
    Statistics 12(1).

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import SplineCalibrator
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random(20_000)
    >>> y = rng.random(20_000) < truth
    >>> cal = SplineCalibrator().fit(truth**2, y)  # the right map is the square root
    >>> cal.predict_proba([0.04, 0.25, 0.81])[:, 1].round(1)
    array([0.2, 0.5, 0.9])
    """

    name: ClassVar[str] = "spline"
    _state: ClassVar[dict[str, StateKind]] = {
        **SummedCalibrator._state,
        "x_": "vector",
        "value_": "vector",
        "freedom_": "float",
        "evidence_": "float",
        "loss_": "vector",
    }
    _traits: ClassVar[frozenset[str]] = frozenset({"monotone", "soft_labels"})

    def __init__(
        self,
        *,
        monotone: bool = True,
        n_knots: int = 6,
        scale: Scale = "probability",
        eps: float | Literal["auto"] = "auto",
        classes: Any = None,
    ) -> None:
        super().__init__(scale=scale, eps=eps, classes=classes)
        self.monotone = monotone
        self.n_knots = n_knots

    def _check_params(self) -> None:
        super()._check_params()
        check_flag("monotone", self.monotone)
        check_int("n_knots", self.n_knots, low=2, high=50)

    def _learn(self, cells: Cells) -> None:
        cells = coarse_cells(cells, MOST_CELLS)
        fit = fit_spline(cells, self.n_knots)
        self.x_, share = _stored_at(cells)
        if len(fit.knots) > 1:
            value = natural_spline(self.x_, fit.knots, fit.value)
        else:  # all scores are equal
            value = np.full(len(self.x_), fit.value[0])
        if self.monotone:
            value = isotonic_regression(value, weights=share).x
        self.value_ = np.clip(value, -LARGEST, LARGEST)
        rows = float(cells.weight.sum())
        self.freedom_ = fit.freedom
        self.evidence_ = fit.evidence - fit.identity
        loss = leave_one_out(self._log_odds(cells.x), fit.variance, cells)
        self.loss_ = np.array([-fit.identity / rows, loss])

    def _predict(self, s: Scores) -> FloatArray:
        return expit(self._log_odds(s.logits()))

    def _log_odds(self, z: FloatArray) -> FloatArray:
        return np.interp(z, self.x_, self.value_)

    def _check_state(self) -> None:
        super()._check_state()
        if len(self.x_) < 1 or len(self.value_) != len(self.x_) or len(self.loss_) != 2:
            raise ValueError(
                f"x_, value_ and loss_ have lengths {len(self.x_)}, {len(self.value_)} and "
                f"{len(self.loss_)}; expected k, k and 2"
            )
        if (np.diff(self.x_) <= 0).any():
            raise ValueError("x_ is not in ascending order")
        if self.monotone and (np.diff(self.value_) < 0).any():
            raise ValueError("value_ is not in ascending order")
        if np.abs(self.value_).max() > LARGEST:
            raise ValueError(f"value_ lies outside [-{LARGEST:g}, {LARGEST:g}]")


def _stored_at(cells: Cells) -> tuple[FloatArray, FloatArray]:
    """The ends of all cells, and the weight of the rows near each."""
    x, index = np.unique(np.concatenate((cells.low, cells.high)), return_inverse=True)
    return x, np.bincount(index, np.tile(0.5 * cells.weight, 2)).astype(np.float64)
