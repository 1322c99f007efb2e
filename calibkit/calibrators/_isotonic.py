"""Isotonic calibration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import BaseCalibrator, StateKind
from .._core.distinct import distinct_scores
from .._core.params import check_choice, check_real
from .._core.partitions import Partitions
from .._core.saved import check_inside
from .._core.scores import Scores
from .._core.warnings import warn_of_reversal
from .._numerics.binning import assign
from .._numerics.pava import Blocks, isotonic_blocks, score_trend, sorted_blocks, sorted_trend
from .._numerics.weights import row_count
from .._typing import FloatArray, IntArray, Scale


class IsotonicCalibrator(BaseCalibrator):
    """Isotonic regression: fit any non-decreasing step function.

    Use it with a few thousand rows or more, if the reliability curve has a shape that Platt
    scaling or beta calibration can't fit. With fewer rows it fits noise. All scores on a flat
    piece of the function (a block) get the same probability, which changes the ROC AUC slightly;
    ``interpolation="centred"`` avoids this.

    Parameters
    ----------
    interpolation : {"step", "centred"}, default="step"
        How to predict between the fitted scores. ``"step"``: the function jumps in the middle of
        the gap between two blocks. ``"centred"``: each block's value is placed at its mean score,
        with straight lines between. Different scores then get different probabilities, except
        below the mean score of the first block and above that of the last.
    min_probability : float or "auto" or None, default="auto"
        Smallest distance of the outputs from 0 and 1, in [0, 0.5). ``"auto"`` is 1 / (n + 2),
        because n rows can't show that an event is rarer; weights count as rows. None keeps outputs
        of 0 and 1, for which one error makes the log loss infinite.
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds. Only ``"centred"`` depends on it.
    classes : array-like, optional
        The two class labels in sorted order.

    Attributes
    ----------
    x_ : ndarray of shape (n_blocks - 1,) or (n_blocks,)
        Scores where the step function jumps, or the mean scores of the blocks.
    value_ : ndarray of shape (n_blocks,)
        Calibrated probability of each block, increasing.
    classes_ : ndarray of shape (2,)
        Class labels.

    Raises
    ------
    ValueError
        In ``fit``: invalid data, or one class only.

    Notes
    -----
    The pool-adjacent-violators algorithm is SciPy's. O(n log n) time for the sort. The mean
    prediction equals the base rate of the fitting rows for ``"step"`` with
    ``min_probability=None``. If higher scores mean fewer events, the map is mostly constant, with
    a :class:`ReversedScoresWarning`.

    References
    ----------
    B. Zadrozny, C. Elkan (2002). Transforming classifier scores into accurate multiclass
    probability estimates. KDD. --- A. Oron, N. Flournoy (2017). Centered isotonic regression.
    Statistics in Biopharmaceutical Research 9(3).

    Examples
    --------
    >>> from calibkit import IsotonicCalibrator
    >>> cal = IsotonicCalibrator(min_probability=None)
    >>> cal.fit([0.1, 0.3, 0.4, 0.8], [0, 1, 0, 1]).predict_proba([0.1, 0.35, 0.9])[:, 1]
    array([0. , 0.5, 1. ])
    """

    name: ClassVar[str] = "isotonic"
    _state: ClassVar[dict[str, StateKind]] = {"x_": "vector", "value_": "vector"}
    _traits: ClassVar[frozenset[str]] = frozenset({"monotone", "piecewise_constant", "soft_labels"})

    def __init__(
        self,
        *,
        interpolation: Literal["step", "centred"] = "step",
        min_probability: float | Literal["auto"] | None = "auto",
        scale: Scale = "probability",
        classes: Any = None,
    ) -> None:
        super().__init__(scale=scale, classes=classes)
        self.interpolation = interpolation
        self.min_probability = min_probability

    @classmethod
    def _examples(cls) -> Iterator[BaseCalibrator]:
        yield cls()
        yield cls(interpolation="centred")
        yield cls(min_probability=None)

    def _check_params(self) -> None:
        super()._check_params()
        check_choice("interpolation", self.interpolation, ("step", "centred"))
        if self.min_probability is not None:
            given = self.min_probability
            auto = ("auto",)
            check_real("min_probability", given, low=0.0, high=0.5, open_high=True, options=auto)

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        blocks = isotonic_blocks(s.values, y, w)
        if _mostly_flat(blocks) and score_trend(s.values, y, w) < -2.0:
            warn_of_reversal("most of the map is constant")
        self._take(blocks, row_count(w, len(y)))

    def _fit_parts(self, parts: Partitions) -> None:
        scores = distinct_scores(parts)
        x, label, w = scores.x, scores.wy, scores.w.astype(np.float64)
        blocks = sorted_blocks(x, label, w, scores.quartiles)
        n = parts.row_count
        if _mostly_flat(blocks) and sorted_trend(x, label, w, n, scores.quartiles) < -2.0:
            warn_of_reversal("most of the map is constant")
        self._take(blocks, n)

    def _take(self, blocks: Blocks, n_rows: float) -> None:
        """Set the map."""
        floor = self.min_probability
        if floor == "auto":
            floor = 1.0 / (n_rows + 2.0)
        if floor is not None:
            np.clip(blocks.value, floor, 1.0 - float(floor), out=blocks.value)
        self.value_ = blocks.value
        if self.interpolation == "centred":
            self.x_ = blocks.centre
        else:
            # Halves first: the sum of two huge logits could overflow. Between neighbouring
            # floats there is no middle: the jump is at the upper one.
            left, right = blocks.high[:-1], blocks.low[1:]
            middle = 0.5 * left + 0.5 * right
            self.x_ = np.where(middle > left, middle, right)

    def _predict(self, s: Scores) -> FloatArray:
        if self.interpolation == "centred":
            return np.interp(s.values, self.x_, self.value_)
        return self.value_[assign(s.values, self.x_)]

    def _n_outputs(self) -> int | None:
        return len(np.unique(self.value_)) if self.interpolation == "step" else None

    def _check_state(self) -> None:
        expected = len(self.value_) - (self.interpolation == "step")
        if len(self.value_) < 1 or len(self.x_) != expected:
            raise ValueError(f"x_ has length {len(self.x_)}; expected {expected}")
        if (np.diff(self.x_) < 0).any() or (np.diff(self.value_) < 0).any():
            raise ValueError("x_ or value_ is not in ascending order")
        check_inside(self.x_, self.scale, "x_")
        if self.value_[0] < 0 or self.value_[-1] > 1:
            raise ValueError("value_ lies outside [0, 1]")


def _mostly_flat(blocks: Blocks) -> bool:
    """Whether one block has most of the rows; scores that point the right way leave none such."""
    return bool(2.0 * blocks.weight.max() > blocks.weight.sum())
