"""From a signal that was judged to decisions on outputs to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._core.base import BaseCalibrator
from .._core.errors import InputError, InputTypeError, message_of
from .._core.optional import require
from .._core.printed import spelled
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
    """What a :class:`DecisionRule` says of each output.

    Prints as the number of outputs that are accepted, reviewed and discarded.

    Attributes
    ----------
    task, sample : ndarray of shape (n,)
        Which output it is.
    confidence : ndarray of shape (n,)
        The signal; NaN where there is none.
    probability : ndarray of shape (n,)
        P(correct); NaN where there is no signal.
    decision : ndarray of str of shape (n,)
        "accept", "review" or "discard".
    promised : ndarray of bool of shape (n,), or None
        Which outputs are accepted under the threshold's promise; None unless the rule has both a
        threshold and a policy.

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
        """All that is known of the outputs, by name."""
        return {name: values for name, values in vars(self).items() if values is not None}

    def to_pandas(self) -> Any:
        """A data frame with a row per output; needs pandas.

        Returns
        -------
        pandas.DataFrame
            Columns task, sample, confidence, probability, decision, and promised if there is one.
        """
        return require("pandas").DataFrame(self.columns)

    def __str__(self) -> str:
        n = {name: int(np.count_nonzero(self.decision == name)) for name in DECISIONS}
        text = f"{len(self):,} outputs: " + ", ".join(f"{k:,} {name}" for name, k in n.items())
        if self.promised is not None:
            text += f"; {np.count_nonzero(self.promised):,} promised"
        if n_missing := np.count_nonzero(np.isnan(self.confidence)):
            text += f"; {n_missing:,} without a signal"
        return text

    def __repr__(self) -> str:
        return f"Decisions({self})"


@dataclass(frozen=True, eq=False)
class DecisionRule(Traced):
    """All that decides on outputs to come: a signal, its calibrator, a threshold, a policy.

    Use it to carry what was learnt on labelled outputs to where new ones are made:
    :func:`~calibkit.save` writes it to a JSON file, and ``calibkit codegen policy -o rule.json``
    and ``calibkit codegen decide`` make and apply it on the command line.

    Parameters
    ----------
    signal : str
        Name of a measure of :func:`token_confidence`, or of a signal of the outputs.
    calibrator : BaseCalibrator
        Fitted on that signal and whether the outputs were correct (0/1 or bool).
    threshold : RiskControlledThreshold, optional
        Fitted on the same signal, not on what the calibrator makes of it.
    policy : TriagePolicy, optional
        What mistakes and reviews cost.

    Attributes
    ----------
    scale : str
        What the signal must be: the threshold's scale, or without one the calibrator's.

    Raises
    ------
    TypeError
        If a part is not of the kind described.
    ValueError
        If there is neither a threshold nor a policy, or scales or classes do not fit together.
    sklearn.exceptions.NotFittedError
        If the calibrator or the threshold is not fitted.

    Notes
    -----
    With a policy, decisions are by P(correct); the policy is optimal only as far as that is
    calibrated for the outputs to come. With a threshold alone, outputs at or above it are accepted
    and the rest reviewed. With both the policy decides, and ``promised`` says which outputs the
    threshold accepts: its promise is about all of these, and not about those that the policy
    accepts.

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
        """What its calibrator was fitted on."""
        return super().fitted_on_ or self.calibrator.fitted_on_

    def __post_init__(self) -> None:
        kinds = (str, BaseCalibrator, RiskControlledThreshold, TriagePolicy)
        for (name, part), kind in zip(vars(self).items(), kinds, strict=True):
            optional = name in ("threshold", "policy")
            if not (isinstance(part, kind) or (optional and part is None)):
                raise InputTypeError(
                    f"{name}={spelled(part)}; expected a "
                    f"{kind.__name__}{' or None' if optional else ''}."
                )
        if self.threshold is None and self.policy is None:
            raise InputError("neither a threshold nor a policy; expected one of them, or both.")
        check_is_fitted(self.calibrator)
        if "lift" in self.calibrator._traits or self.calibrator.classes_.tolist() != [0, 1]:
            raise InputError(
                f"calibrator={spelled(self.calibrator)} of classes "
                f"{spelled(self.calibrator.classes_.tolist()[:10])}; expected one of a single "
                "score, fitted on whether outputs were correct, 0 or 1."
            )
        if self.threshold is not None:
            check_is_fitted(self.threshold)
            own = self.calibrator._input_scale()
            if (self.scale == "probability") != (own == "probability"):
                raise InputError(
                    f"the calibrator's scale is {spelled(own)} and the threshold's "
                    f"{spelled(self.scale)}; expected the same (a score counts as log-odds)."
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
            # Looked at before it is read: a rule holds no rule.
            kind = part.get("class") if isinstance(part, dict) else None
            if part is not None and not (isinstance(kind, str) and kind in classes):
                raise InputError(
                    f"the {name} of a rule is {short(part)}; expected one of the class "
                    f"{' or '.join(classes)}."
                )
            parts[name] = None if part is None else from_dict(part)
        try:
            return cls(data["signal"], **parts)
        except (TypeError, ValueError) as error:
            raise InputError(f"{cls.__name__}: {message_of(error)}") from error

    @property
    def scale(self) -> str:
        """What the signal must be: "probability", "logit" or "score"."""
        gate = self.threshold
        return self.calibrator._input_scale() if gate is None else gate.scale

    def decide(self, generations: Any) -> Decisions:
        """What to do with each output.

        Parameters
        ----------
        generations : Generations or Scored
            Outputs, as :func:`read_generations` or :func:`join_results` gives them.

        Returns
        -------
        decisions : Decisions
            Confidence, P(correct) and decision of each; prints as a line.

        Raises
        ------
        ValueError
            If the outputs lack the signal, or it is on another scale than the rule's.

        Warns
        -----
        MissingSignalWarning
            Where outputs have no signal: they are reviewed, or discarded by a policy without
            reviews.

        Notes
        -----
        Token measures are computed on the calibrator's scale. Numbers of a file are taken to be on
        the rule's scale, unless :meth:`Generations.with_signal` has said otherwise.
        """
        outputs: Outputs = getattr(generations, "generations", generations)
        if not hasattr(outputs, "signal_for"):
            raise InputTypeError(
                f"generations is a {type(generations).__name__}; expected what read_generations or "
                "join_results gives."
            )
        own, asked, name = self.calibrator._input_scale(), self.scale, self.signal
        values, scale = outputs.signal_for(name, own, asked)
        fits = scale == asked or self.threshold is None
        if not fits or (scale == "probability") != (asked == "probability"):
            raise InputError(
                f"{name} is on the scale {spelled(scale)}, and the rule takes {spelled(asked)}; "
                "expected the same. Make the rule from the signal as it comes here."
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
            lines.append(f"By P(correct): {self.policy}")
        if self.threshold is not None:
            lines.append(f"By {self.signal}: {self.threshold}")
        return "\n".join(lines)
