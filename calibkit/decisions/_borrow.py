"""A calibrator of another task, repaired with a few labels of one's own."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .._core.signals import read_correct, read_signals
from ..calibrators import BorrowedCalibrator as BorrowedCalibrator


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
        A calibrator as any other: it is saved, cloned, put into a :class:`DecisionRule`.

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
    >>> from calibkit.decisions import borrow_calibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(2000)
    >>> borrowed = PlattCalibrator().fit(p, rng.random(2000) < p)
    >>> mine = rng.random(40)  # a harder task: half the odds
    >>> right = rng.random(40) < mine / (2 - mine)
    >>> repaired = borrow_calibrator(borrowed, mine, right, repair="intercept")
    >>> bool(repaired.intercept_ < 0)
    True
    """
    where = "borrow_calibrator"
    made = BorrowedCalibrator(calibrator, repair=repair, shrinkage=shrinkage)
    made._check_params(where)
    y = read_correct(correct, where, confidence)
    signal = read_signals({"confidence": confidence}, len(y), where)["confidence"]
    if np.isnan(signal).any():
        at = int(np.flatnonzero(np.isnan(signal))[0])
        raise ValueError(f"{where}: confidence is NaN at output {at}; leave such outputs out.")
    made.classes_ = np.array([0, 1])
    made._fit(calibrator._read(signal, "predict_proba"), y, None)
    return made
