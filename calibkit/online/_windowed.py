"""Batch calibrators, refitted now and then on what has been seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone

from .._core.base import BaseCalibrator, StateKind
from .._core.errors import InputTypeError
from .._core.inputs import Rows
from .._core.params import check_flag, check_int
from .._core.printed import spelled
from .._core.saved import check_held, check_inside
from .._core.scores import Scores
from .._core.warnings import silent
from .._typing import FloatArray
from ._base import OnlineCalibrator, WrappingCalibrator

#: Labels until a fit that is not to come.
_NEVER = float(np.finfo(float).max)


class WindowedCalibrator(WrappingCalibrator):
    """Refit any batch calibrator every so many labels, on a window of the last ones or on all.

    Use it as the baseline that people know, or where a map is wanted that has no online form, such
    as isotonic regression. It forgets at once what leaves the window and learns nothing between
    refits: online Platt scaling does both smoothly, at less cost.

    Parameters
    ----------
    calibrator : BaseCalibrator
        A batch calibrator of two classes, such as ``PlattCalibrator()``.
    window : int, optional
        Labels that a fit uses, the last so many; by default all, which are all kept in memory.
    refit_every : int, default=500
        Labels between fits.
    first_fit : int, optional
        Labels before the first fit, by default ``refit_every``; scores are forecasts until then.
    refit : bool, default=True
        False fits once and never again: a fixed calibrator, for comparison.
    classes : array-like, optional
        The two class labels in sorted order.
    max_pending : int, default=100_000
        Most forecasts that may wait for labels, see ``forecast``.

    Attributes
    ----------
    calibrator_ : BaseCalibrator or None
        The last fit.
    scores_, labels_ : ndarray
        Scores and codes of labels in the window.
    due_ : float
        Labels until the next fit.
    n_seen_ : float
        Labels learnt.
    pending_ : Pending
        Forecasts that wait for labels.
    classes_ : ndarray of shape (2,)
        Class labels.

    Raises
    ------
    ValueError
        In ``fit``, ``partial_fit`` and the like: bad data.

    Notes
    -----
    A window of one class only can't be fitted: the last fit stays until the other class comes.
    The methods called "windowed" in the authors' code use all past labels (``window=None``).

    Any number of threads may read one while another learns: a read sees all of an update or nothing
    of it. Save and copy it from the thread that learns.

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
        """The last fit, or None."""
        return self.calibrators_[0]

    @classmethod
    def _examples(cls) -> Iterator[OnlineCalibrator]:
        yield from ()  # needs a calibrator of a sibling package; the test suite brings one

    def _check_params(self) -> None:
        inner = self.calibrator
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
            raise ValueError("due_ is of a fit on no labels")
        never = self.due_ == _NEVER and not self.refit
        if not never and (not 0 <= self.due_ <= 2**53 or self.due_ != int(self.due_)):
            raise ValueError(f"due_={spelled(self.due_)}; expected a count")

    def _twin(self, trial: bool = False) -> OnlineCalibrator:
        twin = super()._twin(trial)
        if trial:
            twin.due_ = _NEVER  # to learn a row is quick, and a fit is not
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
            # All rows up to the one whose label makes the next fit due, or possible.
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
            self.due_ = 0.0  # until a label of the other class comes
            return
        s = self._scores(self.scores_[:, None])
        with silent():
            fresh = clone(self.calibrator)
            fresh._fit_rows(Rows(s, self.labels_.astype(np.int8), None, self.classes_))
        self.calibrators_ = [fresh]
        self.due_ = float(self.refit_every) if self.refit else _NEVER
