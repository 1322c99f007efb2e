"""The base class of calibrators that map log-odds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import BaseCalibrator, StateKind
from .._core.inputs import Rows
from .._core.params import check_real
from .._core.partitions import Partitions
from .._core.printed import spelled
from .._core.scores import Scores
from .._core.warnings import SaturatedScoresWarning, warn
from .._typing import Scale

#: No output for a score of exactly 0 or 1 should be closer to 0 or 1 than this.
_CERTAIN = 1e-15


class LogOddsCalibrator(BaseCalibrator):
    """Base class for calibrators of log-odds; it handles scores of exactly 0 and 1.

    Derive from it instead of :class:`BaseCalibrator` if ``_fit`` and ``_predict`` use
    ``scores.logits()``. Begin ``_state`` with ``**LogOddsCalibrator._state``.

    Parameters
    ----------
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds (logits).
    eps : float or "auto", default="auto"
        Smallest distance from 0 and 1 that a probability may have when its logarithm is taken.
        "auto" learns it in ``fit``: half the distance from 0 (or 1) of the nearest score that is
        not exactly 0 (or 1).
    classes : array-like, optional
        All class labels in sorted order; needed if some classes have no rows in ``fit``.

    Attributes
    ----------
    clip_ : ndarray of shape (2,)
        Distances from 0 and from 1 at which probabilities were clipped.
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    Examples
    --------
    >>> from calibkit.base import LogOddsCalibrator
    >>> class Halved(LogOddsCalibrator):
    ...     name = "halved"
    ...
    ...     def _fit(self, s, y, w):
    ...         pass
    ...
    ...     def _predict(self, s):
    ...         return 1 / (1 + np.exp(-s.logits() / 2))
    >>> Halved().fit([0.0, 0.2, 0.9], [0, 1, 1]).predict_proba([0.0, 0.8]).round(2)
    array([[0.75, 0.25],
           [0.33, 0.67]])
    """

    _state: ClassVar[dict[str, StateKind]] = {"clip_": "vector"}

    def __init__(
        self,
        *,
        scale: Scale = "probability",
        eps: float | Literal["auto"] = "auto",
        classes: Any = None,
    ) -> None:
        super().__init__(scale=scale, classes=classes)
        self.eps = eps

    def _check_params(self) -> None:
        super()._check_params()
        check_real("eps", self.eps, low=0.0, high=0.1, open_low=True, options=("auto",))

    def _learn_clip(self, s: Scores) -> Scores:
        if isinstance(self.eps, str):
            self.clip_ = np.array(s.resolution())
        else:
            self.clip_ = np.array([self.eps, self.eps], dtype=np.float64)
        clipped = self._clipped(s)
        if not isinstance(self.eps, str):
            _warn_of_saturation(_saturated(clipped), self.eps)
        return clipped

    def _check_saturation(self, parts: Partitions) -> None:
        if not isinstance(self.eps, str):
            _warn_of_saturation(parts.total(_saturated_of), self.eps)

    def _clipped(self, s: Scores) -> Scores:
        return replace(s, clip=(float(self.clip_[0]), float(self.clip_[1])))

    def _narrow_clip(self) -> None:
        # Classes that are separated by a tiny gap give an extremely steep map: scores of 0 and 1
        # are then clipped more, so that they do not get an output of 0 or 1.
        if isinstance(self.eps, str) and self.scale == "probability" and len(self.classes_) == 2:
            ends = self._calibrate(Scores(np.array([0.0, 1.0]), self.scale))
            if ends.min() < _CERTAIN or ends.max() > 1.0 - _CERTAIN:
                self.clip_ = 2.0 * self.clip_

    def _check_state(self) -> None:
        if self.clip_.shape != (2,) or not ((self.clip_ > 0) & (self.clip_ < 1)).all():
            raise ValueError(
                f"clip_={spelled(self.clip_.tolist())}; expected two numbers in (0, 1)"
            )
        if self.clip_.sum() >= 1:
            raise ValueError(f"clip_={spelled(self.clip_.tolist())}; expected a sum below 1")


def _saturated(s: Scores) -> tuple[int, int]:
    """How many of the scores were clipped, and their number."""
    if s.scale == "logit":
        return 0, len(s)
    low, high = s.clip
    over = (s.values if s.values.ndim == 1 else s.values.max(axis=1)) > 1.0 - high
    return int(np.count_nonzero(over | (s.values < low) if s.values.ndim == 1 else over)), len(s)


def _saturated_of(rows: Rows) -> tuple[int, int]:
    return _saturated(rows.scores)


def _warn_of_saturation(found: tuple[int, int], eps: float) -> None:
    share = found[0] / found[1]
    if share >= 0.01:
        warn(
            f"{share:.1%} of the scores are within eps={eps:g} of 0 or 1 and were clipped, so the "
            "fit depends on eps. Use eps='auto', or pass logits with scale='logit' if the "
            "classifier returns them.",
            SaturatedScoresWarning,
        )
