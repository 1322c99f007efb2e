"""Decide on new outputs by a signal, its calibrator, a threshold and a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._core.base import BaseCalibrator
from .._core.errors import InputError, InputTypeError, message_of
from .._core.optional import require
from .._core.params import refuse_class
from .._core.printed import a_type, few, spelled
from .._core.provenance import Provenance, Traced
from .._core.saved import short
from .._core.warnings import MissingSignalWarning, warn
from .._persistence import from_dict, to_dict
from .._registry import CALIBRATORS
from .._typing import FloatArray, IntArray
from ._policy import DECISIONS, TriagePolicy
from ._signals import Outputs
from ._threshold import RiskControlledThreshold

_SCALES = {"probability": "probability", "logit": "log-odds", "score": "a score"}


@dataclass(frozen=True, eq=False, repr=False)
class Decisions:
    """Decisions of a :class:`DecisionRule`, one row per output.

    Prints as the number of outputs that are accepted, reviewed and discarded.

    Attributes
    ----------
    task, sample : ndarray of shape (n,)
        The problem that the output is for, and its number among the problem's outputs.
    confidence : ndarray of shape (n,)
        The signal, on the scale on which the rule's calibrator takes it: a probability, log-odds
        or a score. NaN where an output has no signal.
    probability : ndarray of shape (n,)
        Calibrated probability that the output is correct; NaN where it has no signal.
    decision : ndarray of str of shape (n,)
        "accept", "review" or "discard".
    promised : ndarray of bool of shape (n,), or None
        Whether the threshold accepts the output. The threshold's error-rate guarantee is about
        these outputs together, not about those with decision "accept". None unless the rule has
        both a threshold and a policy.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.decisions import Decisions
    >>> found = Decisions(
    ...     task=np.array(["a", "b"]),
    ...     sample=np.array([0, 0]),
    ...     confidence=np.array([0.9, 0.4]),
    ...     probability=np.array([0.97, 0.2]),
    ...     decision=np.array(["accept", "discard"]),
    ... )
    >>> print(found)
    2 outputs: 1 accept, 0 review, 1 discard
    """

    task: np.ndarray
    sample: IntArray
    confidence: FloatArray
    probability: FloatArray
    decision: np.ndarray
    promised: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.decision)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """The attributes that are not None, by name."""
        return {name: values for name, values in vars(self).items() if values is not None}

    def to_pandas(self) -> Any:
        """Return a data frame with one row per output; needs pandas.

        Returns
        -------
        pandas.DataFrame
            Columns task, sample, confidence, probability, decision, and promised if it is not None.
        """
        return require("pandas").DataFrame(self.columns)

    def __str__(self) -> str:
        n = {name: int(np.count_nonzero(self.decision == name)) for name in DECISIONS}
        text = f"{len(self):,} outputs: " + ", ".join(f"{k:,} {name}" for name, k in n.items())
        if self.promised is not None:
            text += f"; {np.count_nonzero(self.promised):,} covered by the guarantee"
        if n_missing := np.count_nonzero(np.isnan(self.confidence)):
            text += f"; {n_missing:,} without a signal"
        return text

    def __repr__(self) -> str:
        return f"Decisions({self})"


@dataclass(frozen=True, eq=False)
class DecisionRule(Traced):
    """Decide on new outputs by a signal, its calibrator, and a threshold, a policy or both.

    Use it to apply what you fitted on labeled outputs to new outputs. :func:`~calibkit.save` writes
    it to a JSON file. On the command line, ``calibkit codegen policy -o rule.json`` makes a rule
    and ``calibkit codegen decide`` applies it.

    Parameters
    ----------
    signal : str
        Name of a measure of :func:`token_confidence`, or of a signal of the outputs.
    calibrator : BaseCalibrator
        A calibrator fitted on that signal and on whether the outputs are correct (0/1 or bool).
    threshold : RiskControlledThreshold, optional
        A threshold fitted on the same signal, before calibration.
    policy : TriagePolicy, optional
        A policy for the calibrated probabilities.

    Attributes
    ----------
    scale : str
        The scale that the signal must have: that of the threshold, or of the calibrator if there is
        no threshold.

    Raises
    ------
    TypeError
        If a part has another type.
    ValueError
        If there is neither a threshold nor a policy, or scales or classes do not match.
    sklearn.exceptions.NotFittedError
        If the calibrator or the threshold is not fitted.

    Notes
    -----
    With a threshold alone, outputs with a signal at or above it are accepted and the rest are
    reviewed. With a policy, it decides by the calibrated probability; it is optimal if that is
    calibrated for the new outputs. With both, the policy decides, and ``promised`` says which
    outputs the threshold accepts: the error-rate guarantee is about all of these, not about those
    that the policy accepts.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import PlattCalibrator
    >>> from calibkit.codegen import Generations, Ragged
    >>> from calibkit.decisions import DecisionRule, RiskControlledThreshold
    >>> rng = np.random.default_rng(0)
    >>> p = rng.beta(4, 1, 2000)
    >>> correct = rng.random(2000) < p
    >>> rule = DecisionRule(
    ...     "geometric_mean_probability",
    ...     PlattCalibrator().fit(p, correct),
    ...     RiskControlledThreshold(max_error=0.1).fit(p, correct),
    ... )
    >>> new = Generations(
    ...     task=np.array(["a", "b"]),
    ...     sample=np.array([0, 0]),
    ...     text=["return 1", "return 2"],
    ...     logprobs=Ragged(np.array([-0.1, -0.1, -2.0]), np.array([0, 2, 3])),
    ...     place=["row 0", "row 1"],
    ... )
    >>> found = rule.decide(new)
    >>> print(found)
    2 outputs: 1 accept, 1 review, 0 discard
    >>> found.decision.tolist(), found.probability.round(1)
    (['accept', 'review'], array([0.9, 0.1]))
    """

    signal: str
    calibrator: BaseCalibrator
    threshold: RiskControlledThreshold | None = None
    policy: TriagePolicy | None = None

    name: ClassVar[str] = "decision_rule"
    _keys: ClassVar[tuple[str, ...]] = ("signal", "calibrator", "threshold", "policy")

    @property
    def fitted_on_(self) -> Provenance | None:
        """Data that the calibrator was fitted on."""
        return super().fitted_on_ or self.calibrator.fitted_on_

    def __post_init__(self) -> None:
        kinds = (str, BaseCalibrator, RiskControlledThreshold, TriagePolicy)
        for (name, part), kind in zip(vars(self).items(), kinds, strict=True):
            optional = name in ("threshold", "policy")
            refuse_class(name, part)
            if not (isinstance(part, kind) or (optional and part is None)):
                raise InputTypeError(
                    f"{name}={spelled(part)}; expected a "
                    f"{kind.__name__}{' or None' if optional else ''}. The order of the arguments "
                    "is: signal, calibrator, threshold, policy."
                )
        if self.threshold is None and self.policy is None:
            raise InputError(
                "threshold=None and policy=None; expected at least one of them. Pass "
                "threshold=RiskControlledThreshold(...).fit(...) or policy=TriagePolicy(...)."
            )
        check_is_fitted(self.calibrator)
        if "lift" in self.calibrator._traits or self.calibrator.classes_.tolist() != [0, 1]:
            raise InputError(
                f"calibrator={spelled(self.calibrator)} has the classes "
                f"{few(self.calibrator.classes_)}; expected a calibrator of a "
                "single score with classes 0 and 1. Fit it on whether outputs are correct."
            )
        if self.threshold is not None:
            check_is_fitted(self.threshold)
            own = self.calibrator._input_scale()
            if (self.scale == "probability") != (own == "probability"):
                raise InputError(
                    f"the calibrator's scale is {spelled(own)} and the threshold's "
                    f"{spelled(self.scale)}; expected the same scale ('score' matches 'logit'). "
                    "Fit both on the same signal."
                )

    def _to_dict(self) -> dict[str, Any]:
        parts = {name: getattr(self, name) for name in self._keys[1:]}
        written = {name: None if part is None else to_dict(part) for name, part in parts.items()}
        return {"signal": self.signal, **written}

    @classmethod
    def _from_dict(cls, data: dict[str, Any], _: Any) -> DecisionRule:
        known = (CALIBRATORS, (RiskControlledThreshold.name,), (TriagePolicy.name,))
        parts: dict[str, Any] = {}
        for name, classes in zip(cls._keys[1:], known, strict=True):
            part = data[name]
            # Checked before it is read, so that a rule in a rule is refused at once.
            kind = part.get("class") if isinstance(part, dict) else None
            if part is not None and not (isinstance(kind, str) and kind in classes):
                raise InputError(
                    f"the {name} of a rule is {short(part)}; expected an object of class "
                    f"{' or '.join(classes)}."
                )
            parts[name] = None if part is None else from_dict(part)
        try:
            return cls(data["signal"], **parts)
        except (TypeError, ValueError) as error:
            raise InputError(f"{cls.__name__}: {message_of(error)}") from error

    @property
    def scale(self) -> str:
        """Scale that the signal must have: "probability", "logit" or "score"."""
        gate = self.threshold
        return self.calibrator._input_scale() if gate is None else gate.scale

    def decide(self, generations: Any) -> Decisions:
        """Decide on each output.

        Parameters
        ----------
        generations : Generations or Scored
            Outputs from :func:`read_generations` or :func:`join_results`.

        Returns
        -------
        decisions : Decisions
            Signal, calibrated probability and decision of each output; prints as one line.

        Raises
        ------
        ValueError
            If the outputs lack the signal, or its scale is not that of the rule.

        Warns
        -----
        MissingSignalWarning
            If outputs have no signal. They are reviewed, or discarded if the policy never reviews.

        Notes
        -----
        Token measures are computed on the calibrator's scale. Signals from a file are assumed to be
        on the rule's scale, unless :meth:`Generations.with_signal` declares another scale.
        """
        outputs: Outputs = getattr(generations, "generations", generations)
        if not hasattr(outputs, "signal_for"):
            raise InputTypeError(
                f"generations is {a_type(generations)}; expected outputs. Call "
                "rule.decide(outputs) with the return value of read_generations or join_results."
            )
        own, asked, name = self.calibrator._input_scale(), self.scale, self.signal
        values, scale = outputs.signal_for(name, own, asked)
        fits = scale == asked or self.threshold is None
        if not fits or (scale == "probability") != (asked == "probability"):
            raise InputError(
                f"{name} is on the scale {spelled(scale)}, and the rule takes {spelled(asked)}; "
                "expected the same scale. Convert the signal, or fit the rule on this scale."
            )
        known = ~np.isnan(values)
        if not known.all():
            at = int(np.argmin(known))
            warn(
                f"{np.count_nonzero(~known)} of {len(known)} outputs have no {self.signal} (first "
                f"at {outputs.place[at]}); they are never accepted.",
                MissingSignalWarning,
            )
        p = np.full(len(values), np.nan)
        p[known] = self.calibrator.predict_proba(values[known])[:, 1]
        gate, promised = self.threshold, None
        accepted = np.zeros(len(p), dtype=bool) if gate is None else gate.predict(values)
        if self.policy is None:
            decision = np.array(DECISIONS)[np.where(accepted, 0, 1)]
        else:
            decision, promised = self.policy.decide(p), None if gate is None else accepted
        return Decisions(outputs.task, outputs.sample, values, p, decision, promised)

    def __str__(self) -> str:
        lines = [f"{self.signal} ({_SCALES[self.scale]}), P(correct) by {spelled(self.calibrator)}"]
        if self.policy is not None:
            lines.append(f"{self.policy}")
        if self.threshold is not None:
            lines.append(f"By {self.signal}: {self.threshold}")
        return "\n".join(lines)
