"""No calibration, as a calibrator."""

from __future__ import annotations

from typing import ClassVar

from .._core.base import BaseCalibrator, StateKind
from .._core.scores import Scores
from .._typing import FloatArray, IntArray


class IdentityCalibrator(BaseCalibrator):
    """Return the scores as probabilities, uncalibrated: a baseline for comparison.

    With ``scale="logit"`` the scores are converted by the logistic function or softmax.

    Parameters
    ----------
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds (logits).
    classes : array-like, optional
        All class labels in sorted order; needed if some classes have no rows in ``fit``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; columns of ``predict_proba`` follow them.

    Examples
    --------
    >>> from calibkit import IdentityCalibrator
    >>> IdentityCalibrator().fit([0.2, 0.9], ["no", "yes"]).predict_proba([0.7])
    array([[0.3, 0.7]])
    """

    name: ClassVar[str] = "identity"
    _state: ClassVar[dict[str, StateKind]] = {}
    _traits: ClassVar[frozenset[str]] = frozenset({"monotone", "multiclass"})

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        """Nothing to learn."""

    def _predict(self, s: Scores) -> FloatArray:
        return s.probs().copy()
