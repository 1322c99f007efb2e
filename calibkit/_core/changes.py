"""What may change of a calibrator that goes on learning, and what a failed call leaves of it."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

from sklearn.base import BaseEstimator

from .base import BaseCalibrator
from .pending import Pending
from .printed import spelled


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


class ChangingCalibrator(BaseCalibrator):
    """Base of calibrators that have started and go on: parameters of the start are kept in mind.

    At the next update the parameters are checked if they differ. One that has shaped the state must
    be as it was; the others, which a class names in ``_free``, take effect.
    """

    #: Parameters that may change after the start.
    _free: ClassVar[frozenset[str]] = frozenset({"max_pending"})

    max_pending: int
    pending_: Pending

    #: Parameters of the start, with free ones as they were last checked.
    _settings_then: dict[str, Any]
    #: What quick paths compare with to know that nothing has changed since the last check.
    _checked: tuple[Any, ...] | None = None

    def set_params(self, **params: Any) -> ChangingCalibrator:
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
                if name not in self._free and now.get(name) != then.get(name):
                    raise ValueError(
                        f"{type(self).__name__}: {name}={spelled(now.get(name))} has changed since "
                        f"the start; expected {spelled(then.get(name))}. Use fit, or a new "
                        "calibrator."
                    )
            self._settings_then = now
        if self.pending_.room != self.max_pending:
            self.pending_ = self.pending_.resized(self.max_pending)

    def _twin(self, trial: bool = False) -> ChangingCalibrator:
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
    return held._twin(trial) if isinstance(held, ChangingCalibrator) else held
