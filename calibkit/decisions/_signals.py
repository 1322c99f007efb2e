"""Signals by name that know what each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from .._core.signals import scales_of
from .._typing import FloatArray, IntArray, Scale, SignalScale


class Outputs(Protocol):
    """What a rule must know of outputs: which they are, where each stands, and their signals."""

    task: np.ndarray
    sample: IntArray
    place: list[str]

    def signal_for(self, name: str, own: Scale, scale: str) -> tuple[FloatArray, str]:
        """The signal of that name, and its scale."""


class Signals(dict[str, FloatArray]):
    """Signals by name, and the scale of each; what ``confidence`` of outputs read gives.

    A dict in all else. :func:`evaluate_confidence` reads the scales, so that log-odds, stated
    probabilities and lengths can be judged side by side.

    Parameters
    ----------
    values : mapping of str to ndarray of shape (n,)
        The signals; NaN where an output has none.
    scales : mapping of str to str
        "probability", "logit" or "score" by name; "probability" where it is not said.

    Raises
    ------
    ValueError
        If ``scales`` names no signal, or no scale.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.decisions import Signals, evaluate_confidence
    >>> rng = np.random.default_rng(0)
    >>> z, n = rng.normal(size=500), rng.integers(1, 100, size=500)
    >>> signals = Signals({"margin": z, "length": n}, {"margin": "logit", "length": "score"})
    >>> len(evaluate_confidence(signals, rng.random(500) < 1 / (1 + np.exp(-z))))
    4
    """

    def __init__(self, values: Mapping[str, FloatArray], scales: Mapping[str, SignalScale]) -> None:
        super().__init__(values)
        scales_of(scales, {str(name): v for name, v in self.items()})
        self.scales = dict(scales)

    def copy(self) -> Signals:
        """The same signals, and their scales.

        Returns
        -------
        signals : Signals
            A shallow copy, as of a dict.
        """
        return Signals(self, {name: s for name, s in self.scales.items() if name in self})

    def __or__(self, other: Any) -> Signals:  # type: ignore[override]
        return self.copy().__ior__(other)

    def __ior__(self, other: Any) -> Signals:  # type: ignore[override]
        self.update(other)
        if isinstance(other, Signals):
            self.scales |= {name: other.scales.get(name, "probability") for name in other}
        return self
