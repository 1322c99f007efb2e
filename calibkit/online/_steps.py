"""What calibrators that learn from a stream do beside it: single rows, and changes on the way."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from .._core.base import BaseCalibrator
from .._core.errors import InputError
from .._core.printed import spelled
from .._core.scores import Scores
from .._typing import FloatArray
from ._pending import Pending


@cache
def _names(cls: Any) -> list[str]:
    return cls._get_param_names()  # slow: it reads the signature


def settings_of(estimator: BaseEstimator, prefix: str = "") -> dict[str, Any]:
    """Parameters as plain values, with those of held estimators; in place of these their class."""
    out: dict[str, Any] = {}
    kind: Any = type(estimator)
    for name in _names(kind):
        value, key = getattr(estimator, name), prefix + name
        if isinstance(value, BaseEstimator):
            out[key] = type(value)
            out |= settings_of(value, f"{key}__")
        elif hasattr(value, "tolist"):
            out[key] = value.tolist()
        else:
            out[key] = list(value) if isinstance(value, (list, tuple)) else value
    return out


class SteppingCalibrator(BaseCalibrator):
    """Base of calibrators that learn row by row: what a subclass writes, and single rows.

    Parameters of the start are kept in mind. At the next update they are checked if they differ:
    one that has shaped the state must be as it was; the others, which a class names in
    ``_changeable``, take effect.
    """

    #: Parameters that may change after the start.
    _changeable: ClassVar[frozenset[str]] = frozenset({"max_pending"})

    max_pending: int
    n_seen_: float
    pending_: Pending

    #: Parameters of the start, with free ones as they were last checked.
    _settings_then: dict[str, Any]
    #: What quick paths compare with to know that nothing has changed since the last check.
    _checked: tuple[Any, ...] | None = None

    # -- what a subclass writes -------------------------------------------------------------

    def _start(self, n_classes: int) -> None:
        """Set the state before any label."""
        raise TypeError(f"{type(self).__name__} must define _start(n_classes).")

    def _features(self, s: Scores) -> FloatArray:
        """What of the scores is used, of shape (n, m)."""
        raise TypeError(f"{type(self).__name__} must define _features(scores).")

    def _forecast(self, x: FloatArray) -> FloatArray:
        """Forecasts, (n,) or (n, K), that change nothing."""
        raise TypeError(f"{type(self).__name__} must define _forecast(x).")

    def _stream(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Forecast each row from the labels before it, then learn its own."""
        raise TypeError(f"{type(self).__name__} must define _stream(x, y).")

    def _pending_features(self, x: FloatArray) -> FloatArray:
        """All that learning a row's label later will need, of shape (n, m')."""
        return x

    def _columns(self, q: FloatArray) -> FloatArray:
        """Forecasts as a column for each class."""
        return q if q.ndim == 2 else np.column_stack((1.0 - q, q))

    def _bounds(self) -> list[tuple[float, float]]:
        """Between what each of the pending features lies; those of files are held to it."""
        raise TypeError(f"{type(self).__name__} must define _bounds().")

    def _learn_batch(self, features: FloatArray, y: FloatArray) -> None:
        """Learn labels of rows that were all forecast before any of these labels came.

        What judges forecasts, to choose among them or to repair them, judges those kept.
        """
        self._stream(features, y)

    # -- what others give -------------------------------------------------------------------

    def _begin(self) -> None:
        """Start the state if there is none yet, with classes 0 and 1 unless they are declared."""
        raise TypeError(f"{type(self).__name__} must define _begin().")

    def _now(self, start: bool = False) -> Any:
        now = super()._now()
        if not hasattr(now, "classes_"):
            now = deepcopy(now)  # a start may draw a seed: not from what the user holds
            if start:
                now._begin()
            else:
                now._ensure_fitted()
        return now

    # -- single rows ------------------------------------------------------------------------

    def predict_proba_one(self, x: float) -> float:
        """Probability of the larger class for one score; needs no array and no start.

        Parameters
        ----------
        x : float
            A score.

        Returns
        -------
        p : float
            The forecast.

        Raises
        ------
        ValueError
            If the score is not of the kind described.
        """
        now = self._now(start=True)
        q = now._columns(now._forecast(now._features(now._one(x))))
        if q.shape[1] > 2:
            raise ValueError("predict_proba_one: more than two classes; use predict_proba.")
        return float(q[0, 1])

    def learn_one(self, x: float, y: Any) -> SteppingCalibrator:
        """Learn the label of one score.

        Parameters
        ----------
        x : float
            A score.
        y : label
            A member of the classes, which are 0 and 1 unless declared; None or NaN is skipped.

        Returns
        -------
        self : OnlineCalibrator
            The same calibrator.

        Raises
        ------
        ValueError
            If the score or the label is not of the kind described.
        """
        code = self._code(y)
        if code is None:
            self._update([x], [y], None, "learn_one")
            return self  # nothing to learn, a start, or an error to word
        with self._unchanged_on_error():
            self._check_changes()
            self._stream(self._features(self._one(x)), np.array([code]))
            self.n_seen_ += 1.0
        return self

    def _one(self, x: float) -> Scores:
        """One score, without the checks that arrays need."""
        if isinstance(x, (str, bytes)):
            own = type(self).__name__
            raise ValueError(
                f"{own}.predict_proba_one, learn_one: x is {spelled(x)}; expected a score."
            )
        scale = self._input_scale()
        high, low = (1.0, 0.0) if scale == "probability" else (1e100, -1e100)
        if isinstance(x, (float, int)) and low <= x <= high and len(self.classes_) == 2:
            return Scores(np.array([x], dtype=np.float64), scale)
        return self._read([x])

    def _code(self, y: Any) -> float | None:
        """Code of a label of two classes, None for all that takes a closer look."""
        if not hasattr(self, "classes_") or len(self.classes_) != 2:
            return None
        no, yes = self.classes_.tolist()
        try:
            return 1.0 if y == yes else 0.0 if y == no else None
        except (TypeError, ValueError):  # pandas' NA, an array
            return None

    # -- changes on the way ------------------------------------------------------------------

    def set_params(self, **params: Any) -> SteppingCalibrator:
        """Set parameters; after the start they are checked at the next update.

        Parameters
        ----------
        **params
            Parameters by name. One that has shaped the state can't change after the start: the
            next update refuses it.

        Returns
        -------
        self : OnlineCalibrator
            The same calibrator.
        """
        self._checked = None
        super().set_params(**params)
        return self

    def _note_settings(self) -> None:
        self._settings_then, self._checked = settings_of(self), None

    def _check_changes(self) -> None:
        """Check parameters that are not those of the start, and let those that may take effect."""
        then, now = self._settings_then, settings_of(self)
        if now != then:
            self._check_params()
            for name in {**then, **now}:
                if name not in self._changeable and now.get(name) != then.get(name):
                    raise InputError(
                        f"{name}={spelled(now.get(name))} has changed since the start; expected "
                        f"{spelled(then.get(name))}. Use fit, or a new calibrator."
                    )
            self._settings_then = now
        if self.pending_.room != self.max_pending:
            self.pending_ = self.pending_.resized(self.max_pending)

    def _twin(self, trial: bool = False) -> SteppingCalibrator:
        """A copy whose learning leaves this one as it was; what is not replaced is shared.

        One that is only to be tried out need not do what takes long.
        """
        twin = object.__new__(type(self))
        twin.__dict__ = {**self.__dict__, **self._held(trial)}
        return twin

    def _held(self, trial: bool = False) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, kind in self._state.items():
            held = self.__dict__.get(name)
            if kind == "calibrators" and held is not None:
                out[name] = [_twin_of(c, trial) for c in held]
            elif kind == "calibrator" and held is not None:
                out[name] = _twin_of(held, trial)
        return out


def _twin_of(held: Any, trial: bool) -> Any:
    return held._twin(trial) if isinstance(held, SteppingCalibrator) else held
