"""A calibrator fitted on another task, adjusted by a slope and an intercept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._core.base import BaseCalibrator, StateKind
from .._core.errors import InputError, InputTypeError
from .._core.labels import validate_classes
from .._core.params import check_choice, check_scale, refuse_class, with_hints
from .._core.printed import spelled
from .._core.scores import SATURATED, Scores
from .._core.signals import validate_correct, validate_signals
from .._core.warnings import warn_of_reversal
from .._numerics.links import expit, logit
from .._numerics.logistic import direction
from .._numerics.shrinkage import FIXED, fit_shrunk
from .._typing import FloatArray, IntArray, Scale
from ._platt import PlattCalibrator


class BorrowedCalibrator(BaseCalibrator):
    """Adjust a calibrator fitted on another task by a slope and an intercept.

    It returns ``expit(slope * z + intercept)``, where z is the log-odds that the borrowed
    calibrator returns. Use it if you have only a few labels of your own task; see
    :func:`~calibkit.decisions.borrow_calibrator`, which also works if all labels are equal. A clone
    keeps the fitted borrowed calibrator, but not the adjustment.

    Parameters
    ----------
    calibrator : BaseCalibrator
        A calibrator fitted on two classes of the other task.
    repair : {"shrinkage", "intercept"}, default="shrinkage"
        What to fit: "intercept" only, or with "shrinkage" the slope too, pulled towards 1.
    shrinkage : float, default=1.0
        Strength of that pull: the penalty ``shrinkage/2 * (slope - 1)**2`` on the summed log loss.
    scale : {"probability", "logit"}, optional
        Scale of the scores. Default: the scale of the borrowed calibrator.
    classes : array-like, optional
        The two class labels in sorted order.

    Attributes
    ----------
    slope_, intercept_ : float
        The adjustment of the log-odds; a slope of 1 and an intercept of 0 change nothing.
    n_local_ : float
        Number of labels that it was fitted on, or their total weight.
    classes_ : ndarray of shape (2,)
        Class labels.

    Examples
    --------
    >>> from calibkit import PlattCalibrator
    >>> from calibkit.decisions import BorrowedCalibrator
    >>> other = PlattCalibrator().fit([0.2, 0.4, 0.6, 0.8], [0, 1, 0, 1])
    >>> mine = BorrowedCalibrator(other).fit([0.3, 0.5, 0.7], [0, 0, 1])  # of a harder task
    >>> bool(mine.intercept_ < 0)
    True
    """

    name: ClassVar[str] = "borrowed"
    _state: ClassVar[dict[str, StateKind]] = {
        "slope_": "float",
        "intercept_": "float",
        "n_local_": "float",
    }
    _traits: ClassVar[frozenset[str]] = frozenset({"wrapper", "borrows"})

    @with_hints
    def __init__(
        self,
        calibrator: BaseCalibrator,
        *,
        repair: Literal["shrinkage", "intercept"] = "shrinkage",
        shrinkage: float = 1.0,
        scale: Scale | None = None,
        classes: Any = None,
    ) -> None:
        self.calibrator = calibrator
        self.repair = repair
        self.shrinkage = shrinkage
        self.scale = scale  # type: ignore[assignment]
        self.classes = classes

    def __sklearn_clone__(self) -> BorrowedCalibrator:
        return type(self)(**self.get_params(deep=False))

    @classmethod
    def _examples(cls) -> Iterator[BaseCalibrator]:
        p = np.arange(1, 40) / 40
        other = PlattCalibrator().fit(p, np.arange(39) % 5 > 3 * (1 - p))
        yield cls(other)
        yield cls(other, repair="intercept")

    def _check_params(self) -> None:
        inner = self.calibrator
        refuse_class("calibrator", inner)
        if not isinstance(inner, BaseCalibrator):
            raise InputTypeError(
                f"calibrator={spelled(inner)}; expected a fitted calibrator of another task."
            )
        check_choice("repair", self.repair, ("shrinkage", "intercept"))
        check_scale("shrinkage", self.shrinkage)
        if self.scale is not None:
            check_choice("scale", self.scale, ("probability", "logit"))
        if self.classes is not None:
            validate_classes(self.classes)
        check_is_fitted(inner)
        if len(inner.classes_) != 2:
            raise InputError(
                f"calibrator={spelled(inner)} has {len(inner.classes_)} classes; expected two."
            )

    def _check_state(self) -> None:
        if self.n_local_ < 0:
            raise ValueError(f"n_local_={spelled(self.n_local_)}; expected a count")

    def _input_scale(self) -> Scale:
        return self.calibrator._input_scale() if self.scale is None else self.scale

    def _log_odds(self, s: Scores) -> FloatArray:
        """Log-odds that the borrowed calibrator gives, which may take the other scale."""
        taken = self.calibrator._input_scale()
        if s.scale != taken:
            values = s.logits() if taken == "logit" else s.probs()
            s = replace(s, values=values, scale=taken)
        p = self.calibrator._predict_scores(s)[:, 1]
        return logit(np.clip(p, SATURATED, 1.0 - SATURATED))

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        pull = FIXED if self.repair == "intercept" else self.shrinkage
        z = self._log_odds(s)
        slope, intercept = fit_shrunk(z[None], y, pull, w)
        self.slope_, self.intercept_ = float(slope[0]), float(intercept[0])
        self.n_local_ = float(len(y) if w is None else w.sum())
        if direction(z, y, w) < -2.0:
            warn_of_reversal("the borrowed calibrator ranks these rows in reverse")

    def _predict(self, s: Scores) -> FloatArray:
        return expit(self.slope_ * self._log_odds(s) + self.intercept_)


def borrow_calibrator(
    calibrator: Any,
    confidence: Any,
    correct: Any,
    *,
    repair: Literal["shrinkage", "intercept"] = "shrinkage",
    shrinkage: float = 1.0,
) -> BorrowedCalibrator:
    """Adjust a calibrator of another task, model or project with a few labels of your own.

    Use it if you have too few labels to fit a calibrator of your own. :func:`local_labels_needed`
    says how many labels you need, and :func:`transfer_matrix` compares the adjustments.

    Parameters
    ----------
    calibrator : calibrator
        Fitted on outputs of the other task.
    confidence : array-like of shape (n,)
        The same confidence signal for your own labeled outputs.
    correct : array-like of shape (n,)
        Whether they were correct: 0/1 or bool. All of them may be equal.
    repair : {"shrinkage", "intercept"}, default="shrinkage"
        What to fit: "intercept" only, or with "shrinkage" the slope too, pulled towards 1.
    shrinkage : float, default=1.0
        Strength of that pull: the penalty ``shrinkage/2 * (slope - 1)**2`` on the summed log loss.

    Returns
    -------
    repaired : BorrowedCalibrator
        A fitted calibrator; it can be saved, cloned, and used in a :class:`DecisionRule`.

    Raises
    ------
    ValueError
        If the data are invalid.
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
    made = BorrowedCalibrator(calibrator, repair=repair, shrinkage=shrinkage)
    made._check_params()
    y = validate_correct(correct, confidence)
    signal = validate_signals({"confidence": confidence}, len(y))["confidence"]
    if np.isnan(signal).any():
        at = int(np.flatnonzero(np.isnan(signal))[0])
        raise InputError(
            f"confidence is NaN at output {at}; expected numbers. Drop the outputs without one."
        )
    made.classes_ = np.array([0, 1])
    made._fit(calibrator._validate_scores(signal), y, None)
    return made
