"""Venn-Abers calibration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import BaseCalibrator, StateKind
from .._core.params import check_choice
from .._core.saved import check_inside
from .._core.scores import Scores
from .._core.warnings import warn_of_reversal
from .._numerics.binning import assign, kept_clear, trend
from .._numerics.cells import Cells, distinct_cells
from .._numerics.venn import steps_of, venn_tables
from .._typing import FloatArray, IntArray, Scale

#: Steps lie a little beyond scores.
_INSIDE = 1.0 - 2.0**-21


class VennAbersCalibrator(BaseCalibrator):
    """Venn-Abers calibration: two isotonic regressions for each new score, and one number of both.

    Use it where the reliability curve may have any rising shape and you want to know how well the
    rows determine each probability: :meth:`predict_interval` returns the calibrated probability
    if the new row is no event and if it is one. It does better than
    :class:`IsotonicCalibrator` with few rows, since it never returns 0 or 1. It makes ties of
    scores, which moves the AUC slightly.

    Parameters
    ----------
    loss : {"log", "brier"}, default="log"
        Which single probability ``predict_proba`` returns: ``"log"`` limits the log loss,
        ``"brier"`` the Brier score.
    scale : {"probability", "logit"}, default="probability"
        What the scores are. Only their order matters.
    classes : array-like, optional
        The two class labels in sorted order.

    Attributes
    ----------
    lower_x_, upper_x_ : ndarray
        Scores at which the lower and the upper probability rise.
    lower_, upper_ : ndarray
        Lower and upper probabilities: one more than there are scores in ``lower_x_`` and
        ``upper_x_``.
    classes_ : ndarray of shape (2,)
        Class labels.

    Raises
    ------
    ValueError
        In ``fit``: bad data, or one class only.

    Notes
    -----
    For a new score the inductive Venn-Abers predictor fits isotonic regression to the rows of
    ``fit`` and the new row with label 0, which gives p0, and with label 1, which gives p1. If rows
    are exchangeable, one of the two, chosen by the true label, is perfectly calibrated (Vovk,
    Petej and Fedorova 2015, theorem 1). Nothing is proved for the single probability:
    ``p1 / (1 - p0 + p1)`` for the log loss and ``p1 + p0**2 / 2 - p1**2 / 2`` for the Brier score.

    For K classes use ``OneVsRestCalibrator(VennAbersCalibrator())``: the p0 and p1 of class k are
    ``calibrators_[k].predict_interval(X[:, k])``. With :class:`CalibratedClassifier` and
    ``ensemble=True`` each fold has a predictor, and their probabilities are averaged. The
    cross Venn-Abers predictor of the paper merges p0 and p1 by geometric means instead.

    A new row has a weight of 1, and the theorem requires rows of weight 1. All p0 and p1 are
    computed in ``fit``: O(n log n) time.

    References
    ----------
    V. Vovk, I. Petej, V. Fedorova (2015). Large-scale probabilistic predictors with and without
    guarantees of validity. NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import VennAbersCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(1000)
    >>> y = rng.random(1000) < p**2
    >>> cal = VennAbersCalibrator().fit(p, y)
    >>> p0, p1 = cal.predict_interval([0.2, 0.9]).T
    >>> bool((p0 < cal.predict_proba([0.2, 0.9])[:, 1]).all())
    True
    """

    name: ClassVar[str] = "venn_abers"
    _state: ClassVar[dict[str, StateKind]] = {
        "lower_x_": "vector",
        "lower_": "vector",
        "upper_x_": "vector",
        "upper_": "vector",
    }
    _traits: ClassVar[frozenset[str]] = frozenset({"monotone", "piecewise_constant", "soft_labels"})

    def __init__(
        self,
        *,
        loss: Literal["log", "brier"] = "log",
        scale: Scale = "probability",
        classes: Any = None,
    ) -> None:
        super().__init__(scale=scale, classes=classes)
        self.loss = loss

    @classmethod
    def _examples(cls) -> Iterator[BaseCalibrator]:
        yield cls()
        yield cls(loss="brier")

    def _check_params(self) -> None:
        super()._check_params()
        check_choice("loss", self.loss, ("log", "brier"))

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        cells = distinct_cells(s.values, y, w)
        if trend(cells.weight, cells.event, float(cells.weight.sum())) < -2.0:
            warn_of_reversal("most of the map is constant")
        self._learn(cells)

    def _learn(self, cells: Cells) -> None:
        lower, upper = venn_tables(cells)
        # The lower one rises at a score and the upper one after it, beyond its rounding.
        before = np.append(cells.low[0] - abs(cells.low[0]), cells.high[:-1])
        after = np.append(cells.low[1:], cells.high[-1] + abs(cells.high[-1]))
        self.lower_x_, self.lower_ = steps_of(kept_clear(cells.low, before, cells.low), lower)
        beyond = np.maximum(
            kept_clear(cells.high, cells.high, after), np.nextafter(cells.high, np.inf)
        )
        self.upper_x_, self.upper_ = steps_of(beyond, upper)

    def _pair(self, s: Scores) -> tuple[FloatArray, FloatArray]:
        lower = self.lower_.take(assign(s.values, self.lower_x_))
        upper = self.upper_.take(assign(s.values, self.upper_x_))
        return lower, upper

    def _predict(self, s: Scores) -> FloatArray:
        return self._single(*self._pair(s))

    def _single(self, p0: FloatArray, p1: FloatArray) -> FloatArray:
        if self.loss == "brier":
            return p1 + 0.5 * (p0 * p0 - p1 * p1)
        return p1 / (1.0 - p0 + p1)

    def _table(self) -> tuple[FloatArray, FloatArray]:
        """The scores at which the probability rises, and its values before and from each on."""
        x = np.union1d(self.lower_x_, self.upper_x_)
        return x, self._predict(Scores(np.append(-np.inf, x), self.scale))

    def predict_interval(self, X: Any) -> FloatArray:
        """Return the probabilities of an event if each row is no event and if it is one.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores on the scale the calibrator was fitted with.

        Returns
        -------
        interval : ndarray of shape (n, 2)
            Probabilities p0 and p1 of the larger class, p0 < p1; not a confidence
            interval. Its width is about 1 over the number of rows that determine the probability.

        Examples
        --------
        >>> from calibkit import VennAbersCalibrator
        >>> cal = VennAbersCalibrator().fit([0.1, 0.3, 0.4, 0.8], [0, 1, 0, 1])
        >>> cal.predict_interval([0.35]).round(2)
        array([[0.33, 0.67]])
        """
        now = self._now()
        return np.column_stack(now._pair(now._clipped(now._validate_scores(X))))

    def _check_state(self) -> None:
        for side in ("lower", "upper"):
            x, value = getattr(self, f"{side}_x_"), getattr(self, f"{side}_")
            if len(value) != len(x) + 1:
                raise ValueError(f"{side}_ has {len(value)} values; expected {len(x) + 1}")
            if (np.diff(x) < 0).any() or (np.diff(value) < 0).any():
                raise ValueError(f"{side}_x_ or {side}_ is not in ascending order")
            check_inside(x * _INSIDE, self.scale, f"{side}_x_")
            if value[0] < 0 or value[-1] > 1:
                raise ValueError(f"{side}_ lies outside [0, 1]")
        if self.lower_[-1] == 1 or self.upper_[0] == 0:
            raise ValueError("lower_ reaches 1 or upper_ reaches 0")
