"""The base class of softmax maps of log-probabilities."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import StateKind
from .._core.inputs import Rows
from .._core.params import check_real
from .._core.partitions import Partitions
from .._core.printed import spelled
from .._core.scores import Scores
from .._core.warnings import SeparationWarning, silent, warn_of_separation
from .._numerics.design import design_effect
from .._numerics.links import LARGEST, row_blocks
from .._numerics.matrix import (
    Coefficients,
    LogBlocks,
    PartedSoftmaxRows,
    Ridge,
    SoftmaxFit,
    SoftmaxRows,
    SoftmaxView,
    tempered,
)
from .._numerics.temperature import LogitBlocks, LogitView, PartedLogits, label_wins
from .._numerics.weights import row_count
from .._typing import FloatArray, IntArray, Scale
from ._log_odds import LogOddsCalibrator
from ._temperature import TemperatureCalibrator

#: Coefficients are smaller.
_LARGEST = 1e100
#: Up to so many log-probabilities are kept during a fit; of more each pass computes them anew.
_KEPT = 1 << 22


class SoftmaxCalibrator(LogOddsCalibrator):
    """Base of calibrators that apply a linear map to log-probabilities, and then the softmax.

    Subclasses write ``_learn(rows, n)``, which fits to rows that count as n, and set ``_matrix``.
    """

    _state: ClassVar[dict[str, StateKind]] = {
        **LogOddsCalibrator._state,
        "temperature_": "float",
        "mix_": "float",
        "intercept_": "vector",
        "slope_": "vector",
        "strength_": "vector",
        "converged_": "flag",
        "worth_": "float",
    }
    _traits: ClassVar[frozenset[str]] = frozenset({"multiclass", "soft_labels"})
    #: Whether slopes are a matrix.
    _matrix: ClassVar[bool]

    def __init__(
        self,
        *,
        strength: float | Literal["auto", "structured"] = "auto",
        scale: Scale = "probability",
        eps: float | Literal["auto"] = "auto",
        classes: Any = None,
    ) -> None:
        super().__init__(scale=scale, eps=eps, classes=classes)
        self.strength = strength

    def _check_params(self) -> None:
        super()._check_params()
        check_real("strength", self.strength, low=0.0, options=("auto", "structured"))

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        self._learn_rows(Rows(s, y, w, self.classes_))

    def _learn_rows(self, rows: Rows) -> None:
        s, y, w, _, groups = rows
        n = row_count(w, len(s))
        self._start(lambda first: first._fit(s, y, w), n)
        self.worth_ = 1.0
        log_p, k = _blocks(s, 1.0 / self.temperature_, self.mix_), s.n_classes
        smoothing = 0.0
        if label_wins(lambda rows: log_p(rows).T, y, row_blocks(len(s), k)):
            warn_of_separation()
            smoothing = k / (n + k)
        data = SoftmaxRows(log_p, y, w, k, matrix=self._matrix, smoothing=smoothing)
        self._take(data, n, *self._learn(data, n))
        if groups is not None:
            top, winners = Scores(self._predict_scores(s), "probability").top()
            correct = (winners == y).view(np.int8)
            effect = design_effect(top.logits(), top.values, correct, w, groups)
            if effect > 1.0:
                self.worth_ = 1.0 / effect
                self._take(data, n / effect, *self._learn(data, n / effect))

    def _fit_parts(self, parts: Partitions) -> None:
        n, k = parts.row_count, parts.ends.scores.n_classes
        self._start(lambda first: first._fit_parts(parts), n)
        self.worth_, smoothing = 1.0, 0.0
        settings: dict[str, Any] = {"beta": 1.0 / self.temperature_, "mix": self.mix_}
        settings["keep"] = False
        if PartedLogits(parts, LogitView(partial(_standing, **settings))).label_wins():
            warn_of_separation()
            smoothing = k / (n + k)
        view = SoftmaxView(partial(_blocks, **settings), self._matrix, smoothing)
        data = PartedSoftmaxRows(parts, view)
        self._take(data, n, *self._learn(data, n))

    def _start(self, fit: Callable[[TemperatureCalibrator], None], n: float) -> None:
        """Temperature scaling, mixed with equal probabilities; neither for plain maps."""
        self.temperature_, self.mix_ = 1.0, 0.0
        if self.strength == 0:
            return
        first = TemperatureCalibrator(scale=self.scale)
        with silent(SeparationWarning):
            fit(first)
        self.temperature_ = first.temperature_
        self.mix_ = 1.0 / (n + 1.0)

    def _learn(self, data: SoftmaxRows, n: float) -> tuple[Ridge, SoftmaxFit]:
        """The fit to rows that count as n, and its penalties."""
        raise TypeError(f"{type(self).__name__} must define _learn(data, n).")

    def _ridge(self, k: int, n: float) -> Ridge:
        """Penalties of a given strength."""
        unit = (1.0 if self.strength == "structured" else float(self.strength)) * k / n
        return Ridge(unit, unit, unit * (k - 1) if self._matrix else None)

    def _take(self, data: SoftmaxRows, n: float, ridge: Ridge, fit: SoftmaxFit) -> None:
        parts = data.coefficients(fit.theta)
        self.intercept_ = parts.intercept.copy()
        self.slope_ = ((np.eye(data.k) if self._matrix else 1.0) + parts.slope).ravel()
        self.converged_ = fit.converged
        units = np.array([1.0, 1.0, data.k - 1.0])[: 2 + self._matrix]
        self.strength_ = np.array(ridge[: 2 + self._matrix]) * n / data.k / units

    def _predict(self, s: Scores) -> FloatArray:
        n, k = len(s), s.n_classes
        slope = self.slope_.reshape(k, k) - np.eye(k) if self._matrix else self.slope_ - 1.0
        coefficients = Coefficients(self.intercept_, slope)
        log_p = _blocks(s, 1.0 / self.temperature_, self.mix_, keep=False)
        out = np.empty((n, k))
        for rows in row_blocks(n, k):
            eta = coefficients.scores_apart(log_p(rows))
            eta -= eta.max(axis=0)
            np.exp(np.maximum(eta, -LARGEST, out=eta), out=eta)
            eta /= eta.sum(axis=0)
            out[rows] = eta.T
        return out[:, 1] if s.values.ndim == 1 else out

    def _check_state(self) -> None:
        super()._check_state()
        k = len(self.classes_)
        size = k * k if self._matrix else k
        if len(self.intercept_) != k or len(self.slope_) != size:
            raise ValueError(
                f"intercept_ and slope_ have lengths {len(self.intercept_)} and "
                f"{len(self.slope_)}; expected {k} and {size} for {k} classes"
            )
        largest = max(np.abs(self.intercept_).max(), np.abs(self.slope_).max())
        if largest > _LARGEST:
            raise ValueError(f"intercept_ and slope_ reach {largest:g}; expected less")
        if not (self.temperature_ > 0 and 0 <= self.mix_ < 1 and 0 < self.worth_ <= 1):
            found = spelled([self.temperature_, self.mix_, self.worth_])
            raise ValueError(
                f"temperature_, mix_ and worth_ are {found}; expected T > 0, 0 <= mix_ < 1 and "
                "0 < worth_ <= 1"
            )


def _blocks(s: Scores, beta: float, mix: float, keep: bool = True) -> LogBlocks:
    """Tempered log-probabilities of rows, classes first; those of few rows are kept."""
    k = s.n_classes

    def computed(rows: slice) -> FloatArray:
        z = s[rows].logits()
        z = np.column_stack((np.zeros(len(z)), z)) if z.ndim == 1 else z
        return tempered(z, beta, mix)

    if not keep or len(s) * k > _KEPT:
        return computed
    whole = np.empty((k, len(s)))
    for rows in row_blocks(len(s), k):
        whole[:, rows] = computed(rows)
    return lambda rows: whole[:, rows]


def _standing(s: Scores, **settings: Any) -> LogitBlocks:
    """The same with the rows first."""
    log_p = _blocks(s, **settings)
    return lambda rows: log_p(rows).T
