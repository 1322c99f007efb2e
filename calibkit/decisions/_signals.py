"""Signals by name, with the scale of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from .._core.signals import scales_of
from .._typing import FloatArray, IntArray, Scale, SignalScale


class Outputs(Protocol):
    """What a rule needs of outputs: task, sample number, file and line, and signals."""

    task: np.ndarray
    sample: IntArray
    place: list[str]

    def signal_for(self, name: str, own: Scale, scale: str) -> tuple[FloatArray, str]:
        """Return the signal of that name, and its scale."""


class Signals(dict[str, FloatArray]):
    """A dict of confidence signals by name that also stores the scale of each.

    :func:`evaluate_confidence` uses the scales, so that you can judge log-odds, probabilities and
    lengths side by side. ``Generations.confidence`` and ``Scored.confidence`` return such a dict.

    Parameters
    ----------
    values : mapping of str to ndarray of shape (n,)
        The signals, one number per output; NaN where an output has none.
    scales : mapping of str to str
        Scale by name: "probability", "logit" (log-odds) or "score" (any other number). Default for
        a name that is not in it: "probability".

    Raises
    ------
    ValueError
        If ``scales`` contains a name that is not in ``values``, or an unknown scale.

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
        """Return a shallow copy, as of a dict, with the scales.

        Returns
        -------
        signals : Signals
            The copy.
        """
        return Signals(self, {name: s for name, s in self.scales.items() if name in self})

    def __or__(self, other: Any) -> Signals:  # type: ignore[override]
        return self.copy().__ior__(other)

    def __ior__(self, other: Any) -> Signals:  # type: ignore[override]
        self.update(other)
        if isinstance(other, Signals):
            self.scales |= {name: other.scales.get(name, "probability") for name in other}
        return self
