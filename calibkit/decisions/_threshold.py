"""The lowest acceptance threshold whose error is controlled."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._core.columns import in_class_order
from .._core.errors import InputError
from .._core.inputs import check_lengths, validate_scores
from .._core.labels import validate_group_labels
from .._core.params import check_choice, check_int, check_real, check_seed, generator, percent
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
#: How far rounding may take an error or its bound above the largest that is allowed.
_TOLERANCE = 1e-9
#: More outputs that are advised where chance has decided.
_MORE = 1.25


class Reachable(NamedTuple):
    """The most promising threshold where none is controlled.

    Attributes
    ----------
    threshold : float
        The threshold.
    n_accepted : int
        Outputs at or above it, of those that are tested.
    error : float
        Share of wrong ones among these.
    bound : float
        Exact upper bound of the error of this one threshold, with confidence ``1 - alpha``.
    n_needed : int or None
        About how many outputs (or groups) like these would show it to be controlled; None if
        more of them would not help, or it fails because one above it does.

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
    """Lowest acceptance threshold whose error is at most ``max_error``, with a guarantee.

    Use it to accept outputs unseen while promising how many of them are wrong. The promise needs
    neither calibrated probabilities nor an error that falls as the threshold rises; it needs
    labelled outputs of the same kind as those to come, on which the signal was not fitted. For
    decisions by cost see :class:`TriagePolicy`.

    Parameters
    ----------
    max_error : float, default=0.05
        Largest share of wrong outputs among the accepted, in (0, 1).
    alpha : float, default=0.1
        Probability, over the labelled outputs, that the promise is broken.
    scale : {"probability", "logit", "score"}, default="probability"
        What ``p`` is: a probability, log-odds, or any number of which more means surer. Only
        the order counts; the scale is there to catch mistakes.
    max_group_size : int, optional
        The most outputs a group can have, such as the samples drawn per problem. Default: the
        size of the largest group in the data; say it where sizes vary.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the draw of an output from each group.

    Attributes
    ----------
    threshold_ : float
        Outputs at or above it are accepted; infinite if no threshold is controlled.
    n_accepted_ : int
        How many of the outputs in ``fit`` are.
    error_ : float
        Share of wrong ones among them; NaN if there are none.
    bound_ : float
        Exact upper bound of the error of this one threshold, at most ``max_error``; NaN if there
        is none.
    feasible_ : bool
        Whether a threshold is controlled.
    n_tested_ : int
        Outputs that the tests use: all, or one from each group.
    n_outputs_ : int
        Outputs in ``fit``.
    n_groups_ : int or None
        Groups, if they were given.
    best_ : Reachable or None
        The most promising threshold, if none is controlled.

    Raises
    ------
    ValueError
        In ``fit``: bad data or settings.

    Notes
    -----
    The promise: with probability ``1 - alpha`` over the outputs in ``fit``,
    ``P(wrong | p >= threshold_) <= max_error`` for outputs to come, in finite samples and for any
    distribution. If no threshold is controlled, nothing is accepted and a warning says so.

    Of the N accepted by a fixed threshold with error R, Bin(N, R) are wrong, so
    ``P(Bin(N, max_error) <= wrong)`` is an exact p-value. Thresholds are tested from high to low,
    each at the same level, until one fails (fixed-sequence testing, as in Learn then Test:
    Angelopoulos et al. 2021). A sequence from the very top ends at once, since few outputs prove
    nothing, and one from the m-th largest score begins where the data say, which is not valid.
    Here it begins at the upper q-quantile of the scores to come, a fixed place: unknown, but its
    rank lies in a range known from the binomial distribution except with a tenth of alpha. Tests
    run from the upper end of that range, and a threshold counts if it lies below the lower end.
    So there is a least number to accept: by default 87 of 200 outputs, 125 of 500, 208 of 1,000
    and 215 of 5,000.

    Where the surest outputs are wrong too often, up to three more sequences may still find a
    threshold. Each begins at a quantile of the scores below the start before it, from 15%, 30% and
    65% of the outputs on where scores have no ties; where most outputs share a few values, as
    stated confidences do, at the values that follow. The four hold 1/2, 1/4, 1/8 and 1/8 of alpha,
    and one that gets to the start of the next adds its level to it (fallback procedure of Wiens and
    Dmitrienko 2005). With fewer outputs than six times the least number there is one sequence.

    Groups: problems are independent, samples of one problem are not. From each group one output is
    drawn at random, in ``size / max_group_size`` of the cases: these are independent and wrong as
    often as all outputs are, so the promise is about outputs, large groups counting more, and exact
    as before. Outputs of a problem often stand or fall together, in which case little is lost.
    The sequence ends besides where the error of all outputs exceeds ``max_error``.

    A calibrator may be fitted before, but on other outputs (or problems); one that keeps the order
    changes nothing but the threshold's name. Scores rescaled out of fold are not one signal, since
    each fold has a map of its own: pass the signal itself. Time O(n log n).

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
    Of 1,000 outputs 604 are accepted, 8.11% of them wrong.
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

    def fit(self, p: Any, correct: Any, groups: Any = None) -> Self:
        """Find the threshold.

        Parameters
        ----------
        p : array-like of shape (n,) or (n, 2)
            Confidence that each output is correct; of two columns, as of ``predict_proba``, the
            second. Outputs where it is NaN are left out, with a warning: they are never accepted.
        correct : array-like of shape (n,)
            Whether it was: 0/1 or bool.
        groups : array-like of shape (n,), optional
            Problem or repository of each output, where several outputs have one.

        Returns
        -------
        self : RiskControlledThreshold
            Fitted; prints as a sentence.

        Raises
        ------
        ValueError
            If the data or settings are not of the kind described.
        """
        self._check_params()
        values = validate_signal(p, self.scale, allow_empty=False)
        wrong = 1 - validate_correct(correct, p, "p")
        check_lengths(len(values), len(wrong), ("p", "correct"))
        g = None if groups is None else validate_group_labels(groups, len(values), "groups")
        known = ~np.isnan(values)
        if not known.all():
            warn_left_out("confidence", ~known, ", and never accepted")
            values, wrong, g = values[known], wrong[known], None if g is None else g[known]
        if not len(values):
            raise InputError("p is NaN for all outputs; expected numbers for some.")
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
                "expected at least as many."
            )
        if largest == 1:
            return slice(None), len(sizes)
        # Sorted within groups, so that the draw does not depend on the order of the rows.
        order = np.lexsort((wrong, values, codes))
        slot = generator(self.random_state).integers(largest, size=len(sizes))
        drawn = slot < sizes
        if not drawn.any():
            raise InputError(
                f"the draw took an output of none of {len(sizes)} groups (of a group, size / "
                f"max_group_size={largest} of the draws do); expected one at least. Give more "
                "groups, or the largest size that there is."
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
            if needed <= n_tested:  # it would do by itself, but one above it has failed
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
        """Which outputs to accept.

        Parameters
        ----------
        p : array-like of shape (n,) or (n, 2)
            Confidence, as in ``fit``.

        Returns
        -------
        accepted : ndarray of bool of shape (n,)
            True at or above the threshold; False where the confidence is NaN.

        Raises
        ------
        ValueError
            If the data are not of the kind described.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        check_is_fitted(self)
        return validate_signal(p, self.scale) >= self.threshold_

    def __str__(self) -> str:
        if not hasattr(self, "threshold_"):
            return repr(self)
        promise = f"{percent(self.max_error)} of the accepted outputs are wrong"
        sure = f"with {percent(1.0 - self.alpha)} confidence"
        tested = ""
        if self.n_groups_ is not None:
            tested = f" Tested on {self.n_tested_:,} outputs from {self.n_groups_:,} groups."
        if self.best_ is not None:
            grouped = self.n_groups_ is not None
            nearest = _reachable(self.best_, self.n_tested_, grouped, self.max_error)
            return (
                f"No threshold is such that, {sure}, at most {promise}: nothing is accepted. "
                f"{nearest}"
            )
        return (
            f"Accept at {self.threshold_:.4g} or more: {sure}, at most {promise}. Of "
            f"{self.n_outputs_:,} outputs {self.n_accepted_:,} are accepted, {self.error_:.2%} of "
            f"them wrong.{tested}"
        )


def _reachable(best: Reachable, n_tested: int, grouped: bool, max_error: float) -> str:
    """What was nearest to the promise, and what would help."""
    per = "outputs, one from a group," if grouped else "outputs"
    text = (
        f"The most promising is {best.threshold:.4g}: {best.n_accepted:,} of {n_tested:,} {per} "
        f"are accepted, {best.error:.2%} of them wrong (at most {best.bound:.2%} with that "
        "confidence). "
    )
    if best.n_needed is None and best.bound <= max_error:
        return text + (
            "That would do, but thresholds are tested from high to low and one above it fails: "
            "among the surest outputs too many are wrong."
        )
    if best.n_needed is None and best.error <= max_error:
        return text + "So few outputs can't tell whether more of them would help."
    if best.n_needed is None:
        return text + "More of these would not help: find a better signal, or allow more errors."
    return text + f"About {best.n_needed:,} {'groups' if grouped else 'outputs'} would be needed."


def _rounded(n: float) -> int:
    """Two digits, which is more than is known."""
    step = 10 ** max(0, len(str(int(n))) - 2)
    return int(np.ceil(n / step)) * step


def validate_signal(p: Any, scale: SignalScale, *, allow_empty: bool = True) -> FloatArray:
    """One number per output, of which more means surer; NaN where an output has none."""
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
            f"p has {scores.values.shape[1]} columns; expected one, or the two of a calibrator's "
            "predict_proba."
        )
    return scores.values


def _missing(p: Any) -> np.ndarray:
    """Which outputs have no number at all."""
    try:
        a = np.asarray(p)
        a = a.astype(np.float64) if a.dtype.kind == "O" else a  # None becomes NaN
    except (TypeError, ValueError, OverflowError):  # validate_scores knows what to say of it
        return np.zeros(1, dtype=bool)
    bad = np.isnan(a) if a.dtype.kind == "f" and a.ndim else np.zeros(1, dtype=bool)
    return np.asarray(bad.all(axis=1)) if bad.ndim == 2 else bad
