"""Batch calibrators that are refitted at regular intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone

from .._core.base import BaseCalibrator, StateKind
from .._core.errors import InputTypeError
from .._core.inputs import Rows
from .._core.params import check_flag, check_int, refuse_class, with_hints
from .._core.printed import spelled
from .._core.saved import check_held, check_inside
from .._core.scores import Scores
from .._core.warnings import silent
from .._typing import FloatArray
from ._base import OnlineCalibrator, WrappingCalibrator

#: Labels until the next fit, if there will be none.
_NEVER = float(np.finfo(float).max)


class WindowedCalibrator(WrappingCalibrator):
    """Refit any batch calibrator at regular intervals, on the latest labels or on all of them.

    Use it as the usual baseline, or for a map without an online form, such as isotonic regression.
    It changes nothing between refits, and forgets labels at once when they leave the window.
    :class:`OnlinePlattCalibrator` adapts at every label and needs less time and memory.

    Before the first fit it returns the scores. :mod:`calibkit.online` shows how to call it.

    Parameters
    ----------
    calibrator : BaseCalibrator
        A batch calibrator of two classes, such as ``PlattCalibrator()``.
    window : int, optional
        Number of latest labels used in a fit. Default: all labels, which are all kept in memory.
    refit_every : int, default=500
        Number of labels between fits.
    first_fit : int, optional
        Number of labels before the first fit. Default: ``refit_every``.
    refit : bool, default=True
        False fits once and never again, for comparison.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Maximum number of forecasts that wait for their labels.

    Attributes
    ----------
    calibrator_ : BaseCalibrator or None
        The last fit; None before the first.
    scores_, labels_ : ndarray
        Scores and label codes in the window.
    due_ : float
        Number of labels until the next fit.
    n_seen_ : float
        Number of labels that updated the calibrator.
    pending_ : Pending
        Forecasts that wait for their labels.
    classes_ : ndarray of shape (2,)
        Class labels.

    Notes
    -----
    If all labels in the window are of one class, the last fit is kept until a label of the other
    class arrives. The methods called "windowed" in the authors' code use all past labels
    (``window=None``).

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML. Section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import IsotonicCalibrator
    >>> from calibkit.online import WindowedCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(3000)
    >>> cal = WindowedCalibrator(IsotonicCalibrator(), window=1000)
    >>> forecast = cal.predict_then_update(p, rng.random(3000) < p**2)[:, 1]
    >>> len(cal.scores_)
    1000
    """

    name: ClassVar[str] = "windowed"
    _state: ClassVar[dict[str, StateKind]] = {
        **OnlineCalibrator._state,
        "calibrators_": "calibrators",
        "scores_": "vector",
        "labels_": "vector",
        "due_": "float",
    }
    _changeable: ClassVar[frozenset[str]] = frozenset({"window", "refit_every", "max_pending"})

    @with_hints
    def __init__(
        self,
        calibrator: Any,
        *,
        window: int | None = None,
        refit_every: int = 500,
        first_fit: int | None = None,
        refit: bool = True,
        classes: Any = None,
        max_pending: int = 100_000,
    ) -> None:
        self.calibrator = calibrator
        self.window = window
        self.refit_every = refit_every
        self.first_fit = first_fit
        self.refit = refit
        self.classes = classes
        self.max_pending = max_pending

    @property
    def calibrator_(self) -> BaseCalibrator | None:
        """Return the last fit, or None."""
        return self.calibrators_[0]

    @classmethod
    def _examples(cls) -> Iterator[OnlineCalibrator]:
        yield from ()  # needs a calibrator of another package; the tests make examples

    def _check_params(self) -> None:
        inner = self.calibrator
        refuse_class("calibrator", inner)
        if not isinstance(inner, BaseCalibrator) or {"online", "lift"} & inner._traits:
            raise InputTypeError(
                f"calibrator={spelled(inner)}; expected a batch calibrator of two classes, such as "
                "PlattCalibrator()."
            )
        inner._check_params()
        check_int("refit_every", self.refit_every, low=1)
        check_flag("refit", self.refit)
        for name, value in (("window", self.window), ("first_fit", self.first_fit)):
            if value is not None:
                check_int(name, value, low=2)
        check_int("max_pending", self.max_pending, low=1)

    def _check_state(self) -> None:
        super()._check_state()
        if len(self.calibrators_) != 1:
            raise ValueError(f"calibrators_ holds {len(self.calibrators_)}; expected one")
        if self.calibrator_ is not None:
            check_held("calibrators_", self.calibrator_, self.calibrator, self.classes_)
        if self.scores_.shape != self.labels_.shape:
            raise ValueError("scores_ and labels_ differ in length")
        check_inside(self.scores_, self._input_scale(), "scores_")
        if not np.isin(self.labels_, (0.0, 1.0)).all():
            raise ValueError("labels_ are not all 0 or 1")
        if self.due_ == 0 and len(self.labels_) == 0:
            raise ValueError("due_ is 0, but there are no labels to fit")
        never = self.due_ == _NEVER and not self.refit
        if not never and (not 0 <= self.due_ <= 2**53 or self.due_ != int(self.due_)):
            raise ValueError(f"due_={spelled(self.due_)}; expected a count")

    def _twin(self, trial: bool = False) -> OnlineCalibrator:
        twin = super()._twin(trial)
        if trial:
            twin.due_ = _NEVER  # a fit would be slow
        return twin

    def _start(self, n_classes: int) -> None:
        self.calibrators_: list[BaseCalibrator | None] = [None]
        self.scores_: FloatArray = np.empty(0)
        self.labels_: FloatArray = np.empty(0)
        self.due_ = float(self.refit_every if self.first_fit is None else self.first_fit)

    def _features(self, s: Scores) -> FloatArray:
        return s.values[:, None]

    def _scores(self, x: FloatArray) -> Scores:
        return Scores(np.ascontiguousarray(x[:, 0]), self._input_scale())

    def _bounds(self) -> list[tuple[float, float]]:
        return [(0.0, 1.0) if self._input_scale() == "probability" else (-1e101, 1e101)]

    def _forecast(self, x: FloatArray) -> FloatArray:
        s = self._scores(x)
        return s.probs() if self.calibrator_ is None else self.calibrator_._calibrate(s)

    def _stream(self, x: FloatArray, y: FloatArray) -> FloatArray:
        out, start = np.empty(len(y)), 0
        seen = np.cumsum(~np.isnan(y))
        places = [np.flatnonzero(y == label) for label in (0.0, 1.0)]
        while start < len(y):
            # Rows up to the label that makes the next fit due, or possible.
            if self.due_ > 0:
                before = seen[start - 1] if start else 0
                stop = int(np.searchsorted(seen, before + self.due_)) + 1
            else:
                others = places[int(1.0 - self.labels_[-1])]
                ahead = others[np.searchsorted(others, start) :]
                stop = int(ahead[0]) + 1 if len(ahead) else len(y)
            rows = slice(start, min(stop, len(y)))
            out[rows] = self._forecast(x[rows])
            self._keep(x[rows, 0], y[rows])
            start = rows.stop
        return out

    def _keep(self, values: FloatArray, y: FloatArray) -> None:
        known = ~np.isnan(y)
        n = int(known.sum())
        last = slice(None) if self.window is None else slice(-self.window, None)
        self.scores_ = np.concatenate((self.scores_, values[known]))[last]
        self.labels_ = np.concatenate((self.labels_, y[known]))[last]
        self.due_ -= n
        if self.due_ <= 0:
            self._refit()

    def _refit(self) -> None:
        if self.labels_.min() == self.labels_.max():
            self.due_ = 0.0  # fit when a label of the other class arrives
            return
        s = self._scores(self.scores_[:, None])
        with silent():
            fresh = clone(self.calibrator)
            fresh._fit_rows(Rows(s, self.labels_.astype(np.int8), None, self.classes_))
        self.calibrators_ = [fresh]
        self.due_ = float(self.refit_every) if self.refit else _NEVER
