"""A calibrator of another task, repaired with a few labels of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._core.params import check_choice, check_scale
from .._numerics.links import FloatArray, expit
from .._numerics.shrinkage import FIXED, fit_shrunk
from ._inputs import read_correct, read_signals
from ._parts import log_odds

REPAIRS = ("shrinkage", "intercept")


@dataclass(frozen=True, eq=False)
class BorrowedCalibrator:
    """A borrowed calibrator and its repair, as :func:`borrow_calibrator` gives it.

    Attributes
    ----------
    calibrator : calibrator
        The borrowed one, as it was.
    slope, intercept : float
        The repair, on the log-odds that it gives: 1 and 0 would change nothing.
    n_local : int
        Labels that the repair was learnt from.
    classes_ : ndarray of shape (2,)
        Wrong and right: 0 and 1.
    """

    calibrator: Any
    slope: float
    intercept: float
    n_local: int

    @property
    def classes_(self) -> np.ndarray:
        """Wrong and right."""
        return np.array([0, 1])

    def predict_proba(self, confidence: Any) -> FloatArray:
        """Calibrated probabilities of new outputs.

        Parameters
        ----------
        confidence : array-like of shape (n,)
            The signal that the borrowed calibrator takes.

        Returns
        -------
        proba : ndarray of shape (n, 2)
            P(wrong) and P(correct).
        """
        p = expit(self.slope * log_odds(self.calibrator, confidence) + self.intercept)
        return np.column_stack((1.0 - p, p))


def borrow_calibrator(
    calibrator: Any,
    confidence: Any,
    correct: Any,
    *,
    repair: Literal["shrinkage", "intercept"] = "shrinkage",
    shrinkage: float = 1.0,
) -> BorrowedCalibrator:
    """Repair a calibrator of another task, model or project with a few labels of one's own.

    Use it where there are too few labels for a calibrator of one's own: see
    :func:`local_labels_needed` for how many that takes, and :func:`transfer_matrix` for which
    repair serves.

    Parameters
    ----------
    calibrator : calibrator
        Fitted on outputs of the other task.
    confidence : array-like of shape (n,)
        The same signal for the labelled outputs of one's own.
    correct : array-like of shape (n,)
        Whether they were correct: 0/1 or bool; of one kind only is fine.
    repair : {"shrinkage", "intercept"}, default="shrinkage"
        Refit the intercept alone, or the slope too, drawn towards the borrowed one.
    shrinkage : float, default=1.0
        Strength of that pull, ``shrinkage/2 * (slope - 1)**2`` on the summed log-loss.

    Returns
    -------
    repaired : BorrowedCalibrator
        Has ``predict_proba``.

    Raises
    ------
    ValueError
        If the data are not of the kind described.
    sklearn.exceptions.NotFittedError
        If the calibrator is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import PlattCalibrator
    >>> from calibkit.codegen import borrow_calibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(2000)
    >>> borrowed = PlattCalibrator().fit(p, rng.random(2000) < p)
    >>> mine = rng.random(40)  # a harder task: half the odds
    >>> right = rng.random(40) < mine / (2 - mine)
    >>> repaired = borrow_calibrator(borrowed, mine, right, repair="intercept")
    >>> bool(repaired.intercept < 0)
    True
    """
    where = "borrow_calibrator"
    check_choice(where, "repair", repair, REPAIRS)
    check_scale(where, "shrinkage", shrinkage)
    if not hasattr(calibrator, "predict_proba"):
        raise TypeError(
            f"{where}: calibrator={calibrator!r}; expected a fitted calibrator of another task."
        )
    check_is_fitted(calibrator)
    y = read_correct(correct, where, confidence)
    signal = read_signals({"confidence": confidence}, len(y), where)["confidence"]
    if np.isnan(signal).any():
        at = int(np.flatnonzero(np.isnan(signal))[0])
        raise ValueError(f"{where}: confidence is NaN at output {at}; leave such outputs out.")
    z = log_odds(calibrator, signal)[None]
    slope, intercept = fit_shrunk(z, y, FIXED if repair == "intercept" else shrinkage)
    return BorrowedCalibrator(calibrator, float(slope[0]), float(intercept[0]), len(y))
