"""Base classes of online Platt, beta and temperature scaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from .._core.base import StateKind
from .._core.errors import InputError
from .._core.params import check_real, check_scale
from .._core.printed import spelled
from .._core.scores import SATURATED, Scores
from .._typing import FloatArray
from ._base import OnlineCalibrator
from ._resolution import LIMIT, NEAREST, NOTHING, SUREST, check_met

#: Largest entry of a Newton matrix: after 2^53 labels, with the largest prior strength.
MOST = 1e12 + 2.0**53 * LIMIT**2


def check_steps(cal: Any) -> None:
    """Raise unless the parameters of Newton steps are valid."""
    for name in ("gamma", "prior_strength", "radius"):
        check_scale(name, getattr(cal, name))
    check_real("discount", cal.discount, low=0.0, high=1.0, open_low=True)


def check_eps(eps: Any) -> None:
    """Raise unless ``eps`` is "auto" or a small number."""
    check_real("eps", eps, low=1e-15, high=0.1, options=("auto",))


class UnsureCalibrator(OnlineCalibrator):
    """Base of calibrators whose forecasts are never exactly 0 or 1, unless ``eps`` is a number."""

    eps: float | Literal["auto"]

    def _columns(self, q: FloatArray) -> FloatArray:
        # The limits are symmetric: 1 - q needs no second look.
        return super()._columns(self._unsure(q))

    def _predict(self, s: Scores) -> FloatArray:
        return self._unsure(super()._predict(s))

    def _unsure(self, q: FloatArray) -> FloatArray:
        return np.clip(q, *SUREST, out=q) if isinstance(self.eps, str) else q


class ResolvingCalibrator(UnsureCalibrator):
    """Base of calibrators that find out how close to 0 and 1 scores can be, if ``eps="auto"``."""

    _state: ClassVar[dict[str, StateKind]] = {**OnlineCalibrator._state, "met_": "vector"}

    def _is_resolving(self) -> bool:
        return self.eps == "auto" and self.scale == "probability"

    def _nearest(self) -> float:
        """Return the distance from 0 and 1 to which features are clipped.

        If ``eps="auto"``, probabilities are clipped further by ``met_``, when they are used.
        """
        if not isinstance(self.eps, str):
            return self.eps
        return SATURATED if self.scale == "probability" else NEAREST

    def _start(self, n_classes: int) -> None:
        self.met_ = np.array(NOTHING)

    def _state_of_earlier_files(self) -> dict[str, Any]:
        return {} if isinstance(self.eps, str) else {"met_": list(NOTHING)}

    def _check_state(self) -> None:
        super()._check_state()
        check_met(self.met_)


class NewtonCalibrator(ResolvingCalibrator):
    """Base of calibrators that make online Newton steps on ``expit(theta . u(score))``."""

    _state: ClassVar[dict[str, StateKind]] = {
        **ResolvingCalibrator._state,
        "theta_": "vector",
        "factor_": "vector",
    }
    #: The parameters that return the score itself.
    _identity: ClassVar[tuple[float, ...]]

    _changeable: ClassVar[frozenset[str]] = frozenset(
        {"gamma", "discount", "eps", "scale", "max_pending"}
    )

    gamma: float
    prior_strength: float
    radius: float
    discount: float
    start: Sequence[float] | None

    def _check_params(self) -> None:
        super()._check_params()
        check_steps(self)
        check_eps(self.eps)
        if self.start is not None:
            self._check_start()

    def _check_start(self) -> None:
        wanted = len(self._identity)
        try:
            theta = np.asarray(self.start)
        except ValueError:  # lists of different lengths
            theta = np.empty(0)
        if theta.shape != (wanted,) or theta.dtype.kind not in "iuf":
            raise InputError(
                f"start={spelled(self.start)}; expected {wanted} numbers, such as {self._identity}."
            )
        size = float(np.linalg.norm(theta.astype(np.float64)))
        if not size <= self.radius:
            raise InputError(
                f"start={spelled(self.start)} has length {size:.6g}; expected at most "
                f"radius={spelled(self.radius)}. Pass a larger radius."
            )

    def _start(self, n_classes: int) -> None:
        super()._start(n_classes)
        theta = np.array(self._identity if self.start is None else self.start, dtype=np.float64)
        size = float(np.linalg.norm(theta))
        self.theta_ = theta * min(1.0, self.radius / size) if size else theta
        m = len(theta)
        self.factor_ = np.append(np.zeros(m * (m - 1) // 2), np.full(m, float(self.prior_strength)))

    def _settings(self) -> tuple[float, float, float, float]:
        return (
            float(self.gamma),
            float(self.prior_strength),
            float(self.radius),
            float(self.discount),
        )

    def _check_state(self) -> None:
        super()._check_state()
        m = len(self._identity)
        if self.theta_.shape != (m,) or self.factor_.shape != (m * (m + 1) // 2,):
            raise ValueError("theta_ and factor_ are of unexpected lengths")
        longest = self.radius * (1.0 + 1e-9)
        if np.abs(self.theta_).max() > longest or np.linalg.norm(self.theta_) > longest:
            raise ValueError(f"theta_ is longer than radius={spelled(self.radius)}")
        with np.errstate(all="ignore"):
            largest = np.abs(self.matrix()).max()
        # A is strength * I plus one term for each label, at most the square of its features.
        if not (self.factor_[-m:] >= self.prior_strength * (1.0 - 1e-6)).all():
            raise ValueError("factor_ is of no positive definite matrix above prior_strength")
        if not largest <= MOST:
            raise ValueError(f"factor_ is of a matrix of up to {largest:.3g}; expected {MOST:.3g}")

    def matrix(self) -> FloatArray:
        """Return the matrix A of the Newton step, in the order of ``theta_``.

        Returns
        -------
        a : ndarray of shape (m, m)
            Symmetric and positive definite.
        """
        m = len(self._identity)
        low = np.eye(m)
        low[np.tril_indices(m, -1)] = self.factor_[:-m]
        # The factors have the intercept first, theta_ has it last.
        order = [*range(1, m), 0]
        a = (low * self.factor_[-m:] @ low.T)[np.ix_(order, order)]
        return 0.5 * (a + a.T)  # rounding can break the symmetry
