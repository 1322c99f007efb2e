"""The lowest acceptance threshold with a guaranteed error rate."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._core.columns import in_class_order
from .._core.errors import InputError
from .._core.inputs import check_lengths, validate_scores
from .._core.labels import validate_group_labels
from .._core.params import (
    check_choice,
    check_int,
    check_real,
    check_seed,
    generator,
    percent,
    with_hints,
)
from .._core.provenance import Traced, provenance
from .._core.saved import check_keys, check_sound, count, finite, number
from .._core.signals import SCALES, validate_correct, warn_left_out
from .._core.warnings import CalibrationWarning, warn
from .._numerics.exact import upper_bound
from .._numerics.risk_control import accepted_counts, last_passed, rows_needed, sequences_of
from .._persistence import made_of, params_to_dict
from .._typing import FloatArray, IntArray, Scale, Self, SignalScale

_COUNTS = ("n_outputs_", "n_tested_", "n_accepted_")
_NUMBERS = ("threshold_", "error_", "bound_")
#: How much rounding may raise an error rate or its bound above ``max_error``.
_TOLERANCE = 1e-9
#: Factor for the number of outputs to advise where the threshold failed by chance.
_MORE = 1.25


class Reachable(NamedTuple):
    """The best threshold that was tested, if no threshold has the guarantee.

    Attributes
    ----------
    threshold : float
        The threshold.
    n_accepted : int
        Number of the tested outputs at or above it.
    error : float
        Error rate among these.
    bound : float
        Upper bound of the error rate at this threshold, at confidence level ``1 - alpha``.
    n_needed : int or None
        About how many outputs (or groups) like these would give the guarantee. None if more outputs
        would not help, or if it fails because a higher threshold fails.

    Examples
    --------
    >>> import warnings
    >>> from calibkit import CalibrationWarning
    >>> from calibkit.decisions import RiskControlledThreshold
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", CalibrationWarning)
    ...     gate = RiskControlledThreshold().fit([0.9, 0.8, 0.7, 0.6] * 10, [1, 1, 1, 0] * 10)
    >>> gate.best_.threshold, gate.best_.n_accepted, gate.best_.error
    (0.7, 30, 0.0)
    """

    threshold: float
    n_accepted: int
    error: float
    bound: float
    n_needed: int | None

    @classmethod
    def _from_dict(cls, data: Any, what: str) -> Reachable:
        check_keys(data, set(cls._fields), what)
        known = {name: number(data[name], what) for name in ("threshold", "error", "bound")}
        needed = data["n_needed"]
        needed = None if needed is None else count(needed, what)
        return cls(**known, n_accepted=count(data["n_accepted"], what), n_needed=needed)


class RiskControlledThreshold(Traced, BaseEstimator):
    """Find the lowest acceptance threshold with an error-rate guarantee.

    Use it to accept outputs without review while limiting the error rate among them. The guarantee:
    with probability ``1 - alpha``, at most a share ``max_error`` of the accepted new outputs is
    wrong. It does not need calibrated probabilities. It needs labeled outputs of the same kind as
    the new ones, and a signal that was not fitted on them. For decisions by cost use
    :class:`TriagePolicy`.

    Parameters
    ----------
    max_error : float, default=0.05
        Maximum error rate among accepted outputs, in (0, 1).
    alpha : float, default=0.1
        Probability that the guarantee fails, in (0, 1).
    scale : {"probability", "logit", "score"}, default="probability"
        Scale of ``p``: a probability, log-odds, or any other number that is higher for outputs
        more likely to be correct. Only the order matters; ``scale`` is used only to check ``p``.
    max_group_size : int, optional
        Largest number of outputs that a group can have, such as the samples drawn per problem. Set
        it if group sizes vary. Default: the size of the largest group in the data.
    random_state : int, RandomState, Generator or None, default=0
        Seed for drawing one output from each group.

    Attributes
    ----------
    threshold_ : float
        Outputs at or above it are accepted; infinite if no threshold has the guarantee.
    n_accepted_ : int
        Number of the outputs in ``fit`` at or above the threshold.
    error_ : float
        Error rate among these; NaN if nothing is accepted.
    bound_ : float
        Upper bound of the error rate at ``threshold_``, at most ``max_error``; NaN if nothing is
        accepted.
    feasible_ : bool
        Whether a threshold has the guarantee.
    n_tested_ : int
        Number of outputs used by the tests: all, or at most one per group.
    n_outputs_ : int
        Number of outputs in ``fit``.
    n_groups_ : int or None
        Number of groups; None without groups.
    best_ : Reachable or None
        The best threshold that was tested (with ``threshold``, ``n_accepted``, ``error``,
        ``bound`` and ``n_needed``), if none has the guarantee.

    Raises
    ------
    ValueError
        In ``fit``: invalid data or settings.

    Notes
    -----
    The guarantee: with probability at least ``1 - alpha`` over the outputs in ``fit``,
    ``P(wrong | p >= threshold_) <= max_error`` for new outputs. It is valid for finite samples and
    any distribution, also if the error rate does not fall as the threshold rises. If no threshold
    has the guarantee, nothing is accepted and a warning says so.

    If a fixed threshold has error rate R and accepts N outputs, Bin(N, R) of them are wrong, so
    ``P(Bin(N, max_error) <= wrong)`` is an exact p-value. Thresholds are tested from high to low,
    each at the same significance level, until one fails (fixed-sequence testing, as in Learn then
    Test: Angelopoulos et al. 2021). The tests start at a quantile of the distribution of
    scores, which does not depend on the data. Its rank in the data is known only up to a range;
    a tenth of alpha allows for that.
    This sets a minimum number of accepted outputs: by default 87 of 200 outputs, 125 of 500, 208 of
    1,000 and 215 of 5,000.

    With many outputs, up to three more sequences start where about 15%, 30% and 65% of the outputs
    are accepted. They can find a threshold if the outputs with the highest scores are wrong too
    often. The four sequences have 1/2, 1/4, 1/8 and 1/8 of alpha; a sequence that reaches the start
    of the next one gives its alpha to the next (fallback procedure: Wiens and Dmitrienko 2005).

    Groups: problems are independent, but samples of one problem are not. From each group one output
    is drawn at random, with probability ``size / max_group_size``. The drawn outputs are
    independent and have the same error rate as all outputs, so the guarantee stays exact; it is
    about outputs, so large groups count more. If outputs of one problem are mostly all correct or
    all wrong, drawing loses little. A sequence also ends where more than ``max_error`` of all
    accepted outputs, drawn or not, are wrong.

    You may calibrate the signal before, with a calibrator fitted on other outputs (or problems). An
    increasing calibrator accepts the same outputs. Do not pass out-of-fold probabilities: each fold
    has its own calibrator, so they are not one signal. Time O(n log n).

    References
    ----------
    A. Angelopoulos, S. Bates, E. Candes, M. Jordan, L. Lei (2021). Learn then test: calibrating
    predictive algorithms to achieve risk control. arXiv:2110.01052. --- C. Clopper, E. Pearson
    (1934). The use of confidence or fiducial limits illustrated in the case of the binomial.
    Biometrika 26(4). --- B. Wiens, A. Dmitrienko (2005). The fallback procedure for evaluating a
    single family of hypotheses. Journal of Biopharmaceutical Statistics 15(6).

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.decisions import RiskControlledThreshold
    >>> rng = np.random.default_rng(0)
    >>> p = rng.beta(4, 1, 2000)
    >>> correct = rng.random(2000) < p
    >>> gate = RiskControlledThreshold(max_error=0.1).fit(p[:1000], correct[:1000])
    >>> print(gate)
    Accept at 0.7965 or more: with 90% confidence, at most 10% of the accepted outputs are wrong.
    604 of 1,000 outputs are accepted; 8.11% of them are wrong.
    >>> gate.predict([0.9, 0.6])
    array([ True, False])
    """

    name: ClassVar[str] = "risk_controlled_threshold"
    _keys: ClassVar[tuple[str, ...]] = ("params", "state")

    def __init__(
        self,
        max_error: float = 0.05,
        *,
        alpha: float = 0.1,
        scale: SignalScale = "probability",
        max_group_size: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.max_error = max_error
        self.alpha = alpha
        self.scale = scale
        self.max_group_size = max_group_size
        self.random_state = random_state

    @with_hints
    def fit(self, p: Any, correct: Any, groups: Any = None) -> Self:
        """Find the threshold.

        Parameters
        ----------
        p : array-like of shape (n,) or (n, 2)
            Signal, one number per output. If there are two columns, as from ``predict_proba``, the
            second one is used. Outputs with NaN are left out with a warning, and never accepted.
        correct : array-like of shape (n,)
            Whether each output is correct: 0/1 or bool.
        groups : array-like of shape (n,), optional
            Problem or repository of each output. Pass it if problems have several outputs.

        Returns
        -------
        self : RiskControlledThreshold
            The fitted threshold; prints as a sentence.

        Raises
        ------
        ValueError
            If the data or settings are invalid.
        """
        self._check_params()
        values = validate_signal(p, self.scale, allow_empty=False)
        wrong = 1 - validate_correct(correct, p, "p")
        check_lengths(len(values), len(wrong), ("p", "correct"))
        g = None if groups is None else validate_group_labels(groups, len(values), "groups")
        known = ~np.isnan(values)
        if not known.all():
            warn_left_out("confidence", ~known, " and never accepted")
            values, wrong, g = values[known], wrong[known], None if g is None else g[known]
        if not len(values):
            raise InputError("p is NaN for all outputs; expected at least one number.")
        rows, n_groups = slice(None), None
        if g is not None:
            codes = np.unique(g, return_inverse=True)[1]
            rows, n_groups = self._one_per_group(values, wrong, codes)
        self._search(values, wrong, rows, n_groups)
        self._fitted_on = provenance(len(values), values, wrong)
        return self

    def _check_params(self) -> None:
        check_seed(self.random_state)
        for name in ("max_error", "alpha"):
            share = getattr(self, name)
            check_real(name, share, low=0.0, high=1.0, open_low=True, open_high=True)
        check_choice("scale", self.scale, SCALES)
        if self.max_group_size is not None:
            check_int("max_group_size", self.max_group_size, low=1)

    def _one_per_group(
        self, values: FloatArray, wrong: IntArray, codes: IntArray
    ) -> tuple[Any, int]:
        """Rows that are tested, and the number of groups."""
        sizes = np.bincount(codes)
        largest = int(sizes.max()) if self.max_group_size is None else self.max_group_size
        if largest < sizes.max():
            raise InputError(
                f"max_group_size={largest}, and the largest group has {sizes.max()} outputs; "
                f"expected at least {sizes.max()}."
            )
        if largest == 1:
            return slice(None), len(sizes)
        # Sorted within groups, so that the draw does not depend on the order of the rows.
        order = np.lexsort((wrong, values, codes))
        slot = generator(self.random_state).integers(largest, size=len(sizes))
        drawn = slot < sizes
        if not drawn.any():
            raise InputError(
                f"no output was drawn from {len(sizes)} groups (each group gives one with "
                f"probability size / max_group_size, and max_group_size={largest}); expected at "
                "least one. Pass more groups, or the true largest group size as max_group_size."
            )
        return order[(np.cumsum(sizes) - sizes + slot)[drawn]], len(sizes)

    def _search(self, values: FloatArray, wrong: IntArray, rows: Any, n_groups: int | None) -> None:
        thresholds, n, n_wrong = accepted_counts(values, wrong)
        tested, m, m_wrong = thresholds, n, n_wrong
        if not isinstance(rows, slice):
            tested, m, m_wrong = accepted_counts(values[rows], wrong[rows])
            at = np.searchsorted(-thresholds, -tested)
            n, n_wrong = n[at], n_wrong[at]
        n_tested, max_error = int(m[-1]), float(self.max_error)
        sequences = sequences_of(m, max_error, self.alpha)
        last, level = last_passed(m, m_wrong, max_error, sequences, n_wrong <= max_error * n)
        self.feasible_ = last >= 0
        self.n_outputs_, self.n_tested_, self.n_groups_ = len(values), n_tested, n_groups
        self.best_ = None
        if self.feasible_:
            self.threshold_ = float(tested[last])
            self.n_accepted_ = int(n[last])
            self.error_ = float(n_wrong[last] / n[last])
            self.bound_ = float(upper_bound(m_wrong[last], m[last], level))
            return
        self.threshold_, self.n_accepted_ = np.inf, 0
        self.error_ = self.bound_ = np.nan
        reached = rows_needed(m, m_wrong, max_error, self.alpha)
        if reached is None:
            needed, i = None, int(np.argmin(upper_bound(m_wrong, m, self.alpha)))
        else:
            needed, i = reached
            if needed <= n_tested:  # it passes by itself, but a higher threshold has failed
                above = (m[:i] >= sequences[0].first) if sequences else np.zeros(i, bool)
                wrong_on_top = (m_wrong[:i] > max_error * m[:i])[above].any()
                needed = None if wrong_on_top else int(_MORE * n_tested)
            per_row = 1.0 if n_groups is None else n_groups / n_tested
            needed = None if needed is None else _rounded(needed * per_row)
        bound, share = upper_bound(m_wrong[i], m[i], self.alpha), m_wrong[i] / m[i]
        self.best_ = Reachable(float(tested[i]), int(m[i]), float(share), float(bound), needed)
        warn(f"{self}", CalibrationWarning)

    def _to_dict(self) -> dict[str, Any]:
        check_is_fitted(self)
        state: dict[str, Any] = {name: int(getattr(self, name)) for name in _COUNTS}
        state |= {name: finite(getattr(self, name)) for name in _NUMBERS}
        state["n_groups_"] = self.n_groups_
        state["best_"] = None if self.best_ is None else self.best_._asdict()
        return {"params": params_to_dict(self.get_params()), "state": state}

    @classmethod
    def _from_dict(cls, data: dict[str, Any], _: Any) -> RiskControlledThreshold:
        state, what = data["state"], cls.__name__
        gate: RiskControlledThreshold = made_of(cls, data["params"], what)
        check_keys(state, {"n_groups_", "best_", *_COUNTS, *_NUMBERS}, f"the state of {what}")
        for name in _COUNTS:
            setattr(gate, name, count(state[name], f"{what}.{name}"))
        for name in _NUMBERS:
            value = state[name]
            setattr(gate, name, np.nan if value is None else number(value, f"{what}.{name}"))
        groups, best = state["n_groups_"], state["best_"]
        gate.n_groups_ = None if groups is None else count(groups, f"{what}.n_groups_")
        gate.best_ = None if best is None else Reachable._from_dict(best, f"{what}.best_")
        gate.feasible_ = best is None
        n, most = gate.n_outputs_, gate.max_error + _TOLERANCE
        check_sound(gate.n_tested_ <= n and (groups is None or 1 <= groups <= n), what)
        if gate.best_ is None:
            place, errors = gate.threshold_, (gate.error_, gate.bound_)
            check_sound(1 <= gate.n_accepted_ <= n and all(0 <= e <= most for e in errors), what)
        else:
            place, errors = gate.best_.threshold, (gate.best_.error, gate.best_.bound)
            nothing = all(state[name] is None for name in _NUMBERS) and gate.n_accepted_ == 0
            possible = 1 <= gate.best_.n_accepted <= gate.n_tested_
            check_sound(nothing and possible and all(0 <= e <= 1 for e in errors), what)
            gate.threshold_ = np.inf
        check_sound(0 <= place <= 1 if gate.scale == "probability" else np.isfinite(place), what)
        return gate

    def predict(self, p: Any) -> np.ndarray:
        """Return which outputs to accept.

        Parameters
        ----------
        p : array-like of shape (n,) or (n, 2)
            Signal, as in ``fit``.

        Returns
        -------
        accepted : ndarray of bool of shape (n,)
            True at or above the threshold; False where the signal is NaN.

        Raises
        ------
        ValueError
            If the data are invalid.
        sklearn.exceptions.NotFittedError
            If the threshold is not fitted.
        """
        check_is_fitted(self)
        return validate_signal(p, self.scale) >= self.threshold_

    def __str__(self) -> str:
        if not hasattr(self, "threshold_"):
            return repr(self)
        error = f"at most {percent(self.max_error)} of the accepted outputs are wrong"
        sure = f"with {percent(1.0 - self.alpha)} confidence"
        tested = ""
        if self.n_groups_ is not None:
            tested = (
                f" Tested on {self.n_tested_:,} outputs, at most one of each of "
                f"{self.n_groups_:,} groups."
            )
        if self.best_ is not None:
            grouped = self.n_groups_ is not None
            best = _reachable(self.best_, self.n_tested_, grouped, self.scale, self.max_error)
            return f"No threshold guarantees {sure} that {error}: nothing is accepted. {best}"
        return (
            f"Accept at {self.threshold_:.4g} or more: {sure}, {error}. {self.n_accepted_:,} of "
            f"{self.n_outputs_:,} outputs are accepted; {self.error_:.2%} of them are wrong."
            f"{tested}"
        )


def _reachable(best: Reachable, n_tested: int, grouped: bool, scale: str, max_error: float) -> str:
    """The best threshold, and what would help."""
    per = "outputs (one per group)" if grouped else "outputs"
    unit = " (log-odds)" if scale == "logit" else ""
    text = (
        f"The best threshold is {best.threshold:.4g}{unit}: it accepts {best.n_accepted:,} of "
        f"{n_tested:,} {per}; {best.error:.2%} of them are wrong in this sample, and the true rate "
        f"may be up to {best.bound:.2%}. "
    )
    if best.n_needed is None and best.bound <= max_error:
        return text + (
            "Alone it would pass, but thresholds are tested from high to low, and a higher one "
            "fails: too many of the outputs with the highest signal are wrong."
        )
    if best.n_needed is None and best.error <= max_error:
        return text + "There are too few outputs to tell whether more of them would help."
    if best.n_needed is None:
        return text + "More outputs would not help: use a better signal, or a larger max_error."
    return text + f"About {best.n_needed:,} {'groups' if grouped else 'outputs'} would be needed."


def _rounded(n: float) -> int:
    """The number rounded up to two digits: it is a rough estimate."""
    step = 10 ** max(0, len(str(int(n))) - 2)
    return int(np.ceil(n / step)) * step


def validate_signal(p: Any, scale: SignalScale, *, allow_empty: bool = True) -> FloatArray:
    """One number per output, higher for more confidence; NaN where an output has none."""
    p = in_class_order(p, (False, True), name="p")
    missing = _missing(p)
    if missing.any():
        out = np.full(len(missing), np.nan)
        out[~missing] = validate_signal(np.asarray(p)[~missing], scale, allow_empty=allow_empty)
        return out
    own: Scale = "probability" if scale == "probability" else "logit"
    scores = validate_scores(p, scale=own, name="p", allow_empty=allow_empty)
    if scores.values.ndim > 1:
        raise InputError(
            f"p has {scores.values.shape[1]} columns; expected one column, or the two columns of a "
            "binary calibrator's predict_proba."
        )
    return scores.values


def _missing(p: Any) -> np.ndarray:
    """Which outputs have no number."""
    try:
        a = np.asarray(p)
        a = a.astype(np.float64) if a.dtype.kind == "O" else a  # None becomes NaN
    except (TypeError, ValueError, OverflowError):  # validate_scores raises a better error
        return np.zeros(1, dtype=bool)
    bad = np.isnan(a) if a.dtype.kind == "f" and a.ndim else np.zeros(1, dtype=bool)
    return np.asarray(bad.all(axis=1)) if bad.ndim == 2 else bad
