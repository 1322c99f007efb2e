"""The lowest acceptance threshold with a guaranteed error rate."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._core.arrays import on_host
from .._core.certified_groups import largest_group
from .._core.columns import in_class_order
from .._core.errors import InputError
from .._core.inputs import check_lengths, validate_scores
from .._core.labels import validate_group_labels
from .._core.params import (
    check_choice,
    check_int,
    check_real,
    percent,
    with_hints,
)
from .._core.printed import spelled
from .._core.provenance import Traced, provenance
from .._core.saved import check_keys, check_sound, count, finite, number
from .._core.signals import SCALES, validate_correct, warn_left_out
from .._core.warnings import CalibrationWarning, warn
from .._numerics.risk_control import (
    BETS,
    Groups,
    Rows,
    Sequence,
    accepted_counts,
    factor_needed,
    factor_to_pass,
    last_passed,
    shared_out,
    start_ranks,
)
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
    start : float, optional
        Threshold at which the tests start, on the scale of ``p``. If it fails, nothing is accepted:
        take one that is surely high enough, but accepts many outputs. Choose it without the labels
        in ``fit``.
    candidates : list of float, optional
        The only thresholds to test, from high to low. Choose them without the labels in ``fit``.
    max_group_size : int, optional
        Largest number of outputs that a group can have, such as the samples drawn per problem. Set
        it if group sizes vary, and pass ``groups`` to ``fit``. Default: the largest in the data.

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
    n_tested_, n_outputs_ : int
        Number of outputs in ``fit``, without those that have no signal. The tests use all of them.
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
    ``P(wrong | p >= threshold_) <= max_error`` for new outputs. It assumes that outputs (with
    groups, groups with their outputs) are independent draws from one population, the same for new
    outputs. Then it is valid for any number of them and any distribution, also if the error rate
    does not fall as the threshold rises. If no threshold has the guarantee, nothing is accepted and
    a warning says so.

    If a fixed threshold has error rate R and accepts N outputs, Bin(N, R) of them are wrong, so
    ``P(Bin(N, max_error) <= wrong)`` is an exact p-value. Thresholds are tested from high to low,
    each at the same significance level, until one fails (fixed-sequence testing, as in Learn then
    Test: Angelopoulos et al. 2021). So the tests need a place to start that does not depend on the
    labeled outputs:

    - ``start`` or ``candidates``. No part of alpha is spent on the start.
    - ``unlabeled`` in ``fit``: the tests start at a quantile of these scores.
    - Otherwise they start at a quantile of the distribution of scores. Its rank in the data is
      known only up to a range; a tenth of alpha allows for that. This sets a minimum number of
      accepted outputs: by default 87 of 200 outputs, 125 of 500, 208 of 1,000 and 256 of 5,000.

    With many outputs, and without ``start`` or ``candidates``, up to three more sequences start
    where about 15%, 30% and 65% of the outputs are accepted. They can find a threshold if the
    outputs with the highest scores are wrong too often. The four sequences have 1/2, 1/4, 1/8 and
    1/8 of alpha; a sequence that reaches the start of the next one gives its alpha to the next
    (fallback procedure: Wiens and Dmitrienko 2005).

    With many independent outputs (from 880 on by ``max_error=0.1``, 1,800 by 0.05) and no known
    start, 40% of alpha is for ten separate tests, where 10%, 20%, ..., 100% of the outputs are
    accepted. They find thresholds with few wrong outputs below others with too many.

    Groups: problems are independent, but samples of one problem are not. Thresholds are tested by
    bets on the groups' totals (Waudby-Smith and Ramdas 2024). If x is the sum of
    ``max_error - wrong`` over a group's accepted outputs, its mean is at most 0 where the
    guarantee does not hold. It is at least ``-max_group_size * (1 - max_error)``, so a bet with a
    fixed small enough stake s multiplies its money by ``1 + s * x >= 0`` for each group, by at most
    1 on average. The product of all groups exceeds ``1 / alpha`` with a probability of at most
    alpha (Markov's inequality), so one divided by it is a p-value. All outputs count, and neither
    their order nor a seed matters. The guarantee is about outputs, so large groups count more. If
    the outputs of a problem are all correct or all wrong, bets need more groups than an exact
    binomial test. They also know the start less precisely, above all where most groups are far
    smaller than ``max_group_size``; then pass ``start`` or ``unlabeled``. Groups of one output are
    tested as without groups.

    You may calibrate the signal before, with a calibrator fitted on other outputs (or problems). An
    increasing calibrator accepts the same outputs. Do not pass out-of-fold probabilities: each fold
    has its own calibrator, so they are not one signal. Time O(n log n).

    References
    ----------
    A. Angelopoulos, S. Bates, E. Candes, M. Jordan, L. Lei (2021). Learn then test: calibrating
    predictive algorithms to achieve risk control. arXiv:2110.01052. --- C. Clopper, E. Pearson
    (1934). The use of confidence or fiducial limits illustrated in the case of the binomial.
    Biometrika 26(4). --- I. Waudby-Smith, A. Ramdas (2024). Estimating means of bounded random
    variables by betting. Journal of the Royal Statistical Society: Series B 86(1). ---
    B. Wiens, A. Dmitrienko (2005). The fallback procedure for evaluating a
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
    Accept at 0.7995 or more: with 90% confidence, at most 10% of the accepted outputs are wrong.
    599 of 1,000 outputs are accepted; 7.85% of them are wrong.
    >>> gate.predict([0.9, 0.6])
    array([ True, False])
    """

    name: ClassVar[str] = "risk_controlled_threshold"
    _keys: ClassVar[tuple[str, ...]] = ("params", "state")
    _params_since: ClassVar[dict[str, Any]] = {"start": None, "candidates": None}

    def __init__(
        self,
        max_error: float = 0.05,
        *,
        alpha: float = 0.1,
        scale: SignalScale = "probability",
        start: float | None = None,
        candidates: Any = None,
        max_group_size: int | None = None,
    ) -> None:
        self.max_error = max_error
        self.alpha = alpha
        self.scale = scale
        self.start = start
        self.candidates = candidates
        self.max_group_size = max_group_size

    @with_hints
    def fit(self, p: Any, correct: Any, groups: Any = None, *, unlabeled: Any = None) -> Self:
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
        unlabeled : array-like of shape (m,) or (m, 2), optional
            Signal of other outputs, of other problems, whose correctness is unknown. Quantiles of
            it are where the tests start.

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
        codes = None if g is None else np.unique(g, return_inverse=True)[1]
        size = largest_group(codes, self.max_group_size, "output")
        codes = np.arange(len(values)) if codes is None else codes
        starts = self._starts(unlabeled, int(codes.max()) + 1, size)
        # Sorted within groups too, so that sums do not depend on the order of the rows.
        order = np.lexsort((wrong, codes, -values))
        rows = self._rows(values[order], wrong[order], codes[order], size, starts)
        self.n_groups_ = None if g is None else int(codes.max()) + 1
        self.n_outputs_ = self.n_tested_ = len(values)
        self._search(*rows, starts)
        self._fitted_on = provenance(len(values), values, wrong)
        return self

    def _check_params(self) -> None:
        for name in ("max_error", "alpha"):
            share = getattr(self, name)
            check_real(name, share, low=0.0, high=1.0, open_low=True, open_high=True)
        check_choice("scale", self.scale, SCALES)
        if self.max_group_size is not None:
            check_int("max_group_size", self.max_group_size, low=1)
        low, high = (0.0, 1.0) if self.scale == "probability" else (-np.inf, np.inf)
        if self.start is not None:
            check_real("start", self.start, low=low, high=high)
        if self.candidates is not None:
            listed = isinstance(self.candidates, (tuple, list, np.ndarray))
            if not listed or not np.size(self.candidates) or not np.ndim(self.candidates):
                raise InputError(
                    f"candidates={spelled(self.candidates)}; expected a list of thresholds, such "
                    "as [0.9, 0.8, 0.7]."
                )
            for i, value in enumerate(self.candidates):
                check_real(f"candidates[{i}]", value, low=low, high=high)

    def _starts(self, unlabeled: Any, n_groups: int, size: int) -> FloatArray | None:
        """Thresholds at which sequences begin, from high to low; None if none is known."""
        given = {"start": self.start, "candidates": self.candidates, "unlabeled": unlabeled}
        names = [name for name, value in given.items() if value is not None]
        if len(names) > 1:
            raise InputError(f"{' and '.join(names)} were passed; expected at most one of them.")
        if self.start is not None:
            return np.array([self.start], dtype=np.float64)
        if self.candidates is not None:
            return np.array([max(self.candidates)], dtype=np.float64)
        if unlabeled is None:
            return None
        scores = validate_signal(unlabeled, self.scale, name="unlabeled")
        scores = np.sort(scores[~np.isnan(scores)])[::-1]
        if not len(scores):
            raise InputError("unlabeled holds no number; expected the signal of some outputs.")
        times = 1.0 if size == 1 else BETS
        ranks = np.array(start_ranks(n_groups, self.max_error, self.alpha, times))
        places = np.ceil(ranks / n_groups * len(scores)).astype(np.int64) - 1
        return np.unique(scores[places])[::-1]

    def _rows(
        self,
        values: FloatArray,
        wrong: IntArray,
        codes: IntArray,
        size: int,
        starts: FloatArray | None,
    ) -> tuple[FloatArray, Rows]:
        """The thresholds to test, from high to low, and the rows from the highest score on."""
        tested = None
        if self.candidates is not None:
            tested = np.unique(np.asarray(self.candidates, dtype=np.float64))[::-1]
        elif starts is not None and len(starts):
            tested = np.unique(np.append(values[values < starts[0]], starts))[::-1]
        tested, n, n_wrong = accepted_counts(values, wrong, tested)
        if not n[-1]:
            raise InputError(
                f"no output is at or above the lowest candidate {tested[-1]:.6g}, and the highest "
                f"p is {values[0]:.6g}; expected candidates that accept some outputs."
            )
        rows = Rows(n, n_wrong, float(self.max_error), float(self.alpha))
        return tested, rows if size == 1 else Groups(rows, codes, wrong, size)

    def _search(self, tested: FloatArray, rows: Rows, starts: FloatArray | None) -> None:
        known = None
        if starts is not None:
            places = np.searchsorted(-tested, -starts).tolist()
            shares = shared_out(self.alpha, len(starts))
            known = [Sequence(i, i, own) for i, own in zip(places, shares, strict=True)]
        sequences = rows.sequences() if known is None else known
        stopped = rows.wrong > self.max_error * rows.n
        last, level = last_passed(rows.p_values(), stopped, sequences)
        threshold = float(tested[last])
        alone, own_level = rows.separate() if known is None else (-1, 0.0)
        if alone > last:  # it accepts whatever is above the next value
            last, level = alone, own_level
            threshold = float(np.nextafter(tested[alone + 1], np.inf))
        self.feasible_ = last >= 0
        self.best_: Reachable | None = None
        if self.feasible_:
            self.threshold_ = threshold
            self.n_accepted_ = int(rows.n[last])
            self.error_ = float(rows.wrong[last] / rows.n[last])
            self.bound_ = rows.upper(last, level)
            return
        self.threshold_, self.n_accepted_ = np.inf, 0
        self.error_ = self.bound_ = np.nan
        self._advise(tested, rows, known, sequences)
        warn(f"{self}", CalibrationWarning)

    def _advise(
        self,
        tested: FloatArray,
        rows: Rows,
        known: list[Sequence] | None,
        sequences: list[Sequence],
    ) -> None:
        """Find the best threshold that was tested, and what it lacks."""
        reached = factor_needed(rows, known)
        if reached is None:
            needed, i = None, rows.most_promising()
        else:
            factor, i = reached
            if factor == 1.0:  # it passes by itself, but a higher threshold has failed
                first = sequences[0].first
                wrong_on_top = (rows.wrong > self.max_error * rows.n)[first:i].any()
                factor = np.nan if wrong_on_top else _MORE
                if known is not None and len(known) == 1:  # the only start may accept too few
                    factor = float(np.maximum(factor, factor_to_pass(rows, first, self.alpha)))
            n_units = self.n_outputs_ if self.n_groups_ is None else self.n_groups_
            needed = None if np.isnan(factor) else _rounded(int(factor * n_units))
        n, bound = int(rows.n[i]), rows.upper(i, self.alpha)
        self.best_ = Reachable(float(tested[i]), n, float(rows.wrong[i] / n), bound, needed)

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
        params = data["params"]
        if isinstance(params, dict):  # the seed of the first files drew one row of each group
            params = {name: v for name, v in params.items() if name != "random_state"}
        gate: RiskControlledThreshold = made_of(cls, params, what)
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
            tested = f" The outputs are in {self.n_groups_:,} groups."
        if self.best_ is not None:
            grouped = self.n_groups_ is not None
            best = _reachable(self.best_, self.n_tested_, grouped, self.scale, self.max_error)
            return f"No threshold guarantees {sure} that {error}: nothing is accepted. {best}"
        # A threshold next to a short number is that of all outputs above this number.
        below = float(np.nextafter(self.threshold_, -np.inf))
        place = f"at {self.threshold_:.4g} or more"
        if float(f"{below:.4g}") == below:
            place = f"above {below:.4g}"
        return (
            f"Accept {place}: {sure}, {error}. {self.n_accepted_:,} of "
            f"{self.n_outputs_:,} outputs are accepted; {self.error_:.2%} of them are wrong."
            f"{tested}"
        )


def _reachable(best: Reachable, n_tested: int, grouped: bool, scale: str, max_error: float) -> str:
    """The best threshold, and what would help."""
    unit = " (log-odds)" if scale == "logit" else ""
    text = (
        f"The best threshold is {best.threshold:.4g}{unit}: it accepts {best.n_accepted:,} of "
        f"{n_tested:,} outputs; {best.error:.2%} of them are wrong in this sample, and the true "
        f"rate may be up to {best.bound:.2%}. "
    )
    if best.n_needed is None and best.bound <= max_error:
        return text + (
            "Alone it would pass, but thresholds are tested from high to low, and a higher one "
            "fails: it accepts too few outputs, or too many of them are wrong."
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


def validate_signal(
    p: Any, scale: SignalScale, *, allow_empty: bool = True, name: str = "p"
) -> FloatArray:
    """One number per output, higher for more confidence; NaN where an output has none."""
    p = on_host(in_class_order(p, (False, True), name=name), name)
    missing = _missing(p)
    if missing.any():
        out = np.full(len(missing), np.nan)
        some = np.asarray(p)[~missing]
        out[~missing] = validate_signal(some, scale, allow_empty=allow_empty, name=name)
        return out
    own: Scale = "probability" if scale == "probability" else "logit"
    scores = validate_scores(p, scale=own, name=name, allow_empty=allow_empty)
    if scores.values.ndim > 1:
        raise InputError(
            f"{name} has {scores.values.shape[1]} columns; expected one column, or the two columns "
            "of a binary calibrator's predict_proba."
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
