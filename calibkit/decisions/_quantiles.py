"""Lower, median and upper success probability from a score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from scipy.special import betaincinv
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted, validate_data

from .._core.base import StateKind
from .._core.errors import InputError
from .._core.inputs import (
    LARGEST_LOGIT,
    Rows,
    refuse_swapped,
    split_fractions,
    validate_scores,
    validate_weights,
)
from .._core.labels import validate_group_labels
from .._core.params import check_choice, check_real, with_hints
from .._core.printed import spelled
from .._core.provenance import Traced, provenance
from .._core.saved import check_keys, check_sound, finite, number, vector
from .._core.scores import SATURATED, Scores
from .._core.signals import validate_rates, validate_trials
from .._core.warnings import CalibrationWarning, warn, warn_of_reversal, warn_of_separation
from .._numerics.betabinomial import beta_parameters, fit_beta_binomial
from .._numerics.links import expit, logit
from .._numerics.logistic import LogisticRows, fit_logistic, separation, smoothed_targets
from .._numerics.quantiles import quantile_line, quantile_with_infinity
from .._persistence import decode, encode, made_of, params_to_dict
from .._typing import FloatArray, Scale, Self

#: Fitted attributes that are saved, and their kinds.
_STATE: dict[str, StateKind] = {
    "slope_": "float",
    "intercept_": "float",
    "converged_": "flag",
    "clip_": "vector",
    "log_precision_": "vector",
    "edges_": "vector",
}


class QuantileCalibrator(RegressorMixin, Traced, BaseEstimator):
    """Predict the lower, median and upper success probability from a score.

    Use it if the target of each row is a success rate, k successes in n repeated trials (samples
    of one prompt, rollouts of a process reward model), and you need a cautious probability rather
    than the mean: to choose the number of samples (:func:`samples_needed`), or the prefix to keep.
    For the mean alone use :class:`PlattCalibrator`, which also takes success rates.

    Parameters
    ----------
    quantiles : tuple of float, default=(0.1, 0.5, 0.9)
        Levels of the quantiles, ascending, each in (0, 1).
    method : {"beta_binomial", "pinball"}, default="beta_binomial"
        ``"beta_binomial"``: quantiles of the success probability, without the noise of n trials.
        ``"pinball"``: quantiles of the measured rate k/n, with that noise, by the quantile loss; it
        does not need ``n_trials``.
    scale : {"probability", "logit"}, default="probability"
        Scale of the scores: probabilities in [0, 1] or log-odds.
    precision : {"constant", "linear"}, default="constant"
        For "beta_binomial": the spread of success probabilities is the same at all scores
        ("constant"), or its log precision is linear in the score's log-odds ("linear").

    Attributes
    ----------
    slope_, intercept_ : float
        The mean success probability is ``expit(slope_ * logit(score) + intercept_)``.
    log_precision_ : ndarray of shape (2,)
        Slope and intercept of the log precision, for "beta_binomial".
    lines_ : ndarray of shape (n_quantiles, 2)
        Slope and intercept of each quantile's log-odds, for "pinball".
    edges_ : ndarray of shape (2,)
        For "pinball": rates were clipped to this range before their log-odds were taken.
    offset_ : float
        Correction of the lowest quantile, from :meth:`conformalise`.
    clip_ : ndarray of shape (2,)
        Distances from 0 and from 1 at which scores are clipped.
    converged_ : bool
        Whether the fit converged.

    Raises
    ------
    ValueError
        In ``fit``: invalid data; for "beta_binomial" also if ``n_trials`` is missing, or 1 in every
        row.

    Notes
    -----
    "beta_binomial": k ~ BetaBinomial(n, mu phi, (1 - mu) phi) with mu = expit(a z + b), z the
    log-odds of the score, and log phi = d (+ c z), by maximum likelihood; quantiles are those of
    Beta(mu phi, (1 - mu) phi) (Skellam 1948; Prentice 1986). With n = 1 the likelihood depends on
    mu alone. Without overdispersion phi stops at 10^6 and all quantiles are about mu.

    With few rows the quantiles are too narrow if success probabilities differ little (phi = 40): in
    simulations with 8 trials per row, 25 % (30 rows), 20 % (100 rows) and 12 % (500 rows) of new
    success probabilities were below the 10 % quantile. For phi = 4 it was 12 %, 11 % and 10 %. For
    a guaranteed bound use :meth:`conformalise`.

    "pinball": for each level the line in log-odds that minimizes the mean of
    ``max(b (t - q), (b - 1)(t - q))`` (Koenker and Bassett 1978), t the log-odds of the rate. Rates
    of 0 and 1 are clipped to half the smallest distance from 0 or 1 in the data (1/16 for k of 8).
    Where a line is at or beyond that edge, the quantile is 0 or 1. Lines that cross are rearranged
    by sorting (Chernozhukov, Fernandez-Val and Galichon 2010, section 2). The 10 % quantile of k of
    8 is 0 for p up to .25 even if p is known: prefer "beta_binomial" if n is known.

    The mean is fitted separately from the quantiles: for skewed success rates the median may be 0
    although the mean is not. If all rates are 0 (or all 1), with S successes in N trials, every
    score gets the mean (S + 1)/(N + 2) and the quantiles of Beta(S + 1, N - S + 1).

    References
    ----------
    V. Chernozhukov, I. Fernandez-Val, A. Galichon (2010). Quantile and probability curves without
    crossing. Econometrica 78(3). --- R. Koenker, G. Bassett (1978). Regression quantiles.
    Econometrica 46(1). --- Y. Lee, R. F. Barber, R. Willett (2023). Distribution-free inference
    with hierarchical data. arXiv 2306.06342. --- Y.-J. Park et al. (2025). Know what you don't
    know: uncertainty calibration of process reward models. NeurIPS. --- R. Prentice (1986). Binary
    regression using an extended beta-binomial distribution. JASA 81. --- J. Skellam (1948). A
    probability distribution derived from the binomial distribution. JRSS B 10.

    Examples
    --------
    Each row has eight trials, and the score equals the success probability. The spread of k/8 is
    therefore only noise, which "beta_binomial" removes.

    >>> import numpy as np
    >>> from calibkit.decisions import QuantileCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.05, 0.95, 4000)
    >>> rate = rng.binomial(8, p) / 8
    >>> cal = QuantileCalibrator().fit(p, rate, n_trials=8)
    >>> cal.predict_quantiles([0.3, 0.7])[:, 0].round(1)
    array([0.3, 0.7])
    >>> cal = QuantileCalibrator(method="pinball").fit(p, rate)
    >>> cal.predict_quantiles([0.3, 0.7])[:, 0].round(1)
    array([0.1, 0.5])
    """

    name: ClassVar[str] = "quantile"
    _keys: ClassVar[tuple[str, ...]] = ("params", "state")

    def __init__(
        self,
        quantiles: tuple[float, ...] = (0.1, 0.5, 0.9),
        *,
        method: Literal["beta_binomial", "pinball"] = "beta_binomial",
        scale: Scale = "probability",
        precision: Literal["constant", "linear"] = "constant",
    ) -> None:
        self.quantiles = quantiles
        self.method = method
        self.scale = scale
        self.precision = precision

    @with_hints
    def fit(self, X: Any, y: Any, n_trials: Any = None, sample_weight: Any = None) -> Self:
        """Fit the quantiles to success rates.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores: probabilities in [0, 1], or log-odds if ``scale="logit"``.
        y : array-like of shape (n,)
            Success rate of each row, k/n in [0, 1].
        n_trials : int or array-like of shape (n,), optional
            Number of trials n behind each rate. Required for "beta_binomial".
        sample_weight : array-like of shape (n,), optional
            Weights >= 0; a weight of 2 equals two rows.

        Returns
        -------
        self : QuantileCalibrator
            The fitted calibrator, without the ``offset_`` of an earlier fit.

        Raises
        ------
        ValueError
            If the data are invalid.
        """
        levels = self._check_params()
        s = self._validate_scores(X, reset=True)
        refuse_swapped(X, y, ("X", "y"))
        y = validate_rates(y, len(s))
        n = validate_trials(n_trials, y, self.method)
        w = validate_weights(sample_weight, len(s))
        if w is not None and not w.all():
            kept = np.flatnonzero(w)
            s, y, w, n = s[kept], y[kept], w[kept], None if n is None else n[kept]
        if self.method == "beta_binomial" and n is not None and n.max() == 1:
            raise InputError(
                "n_trials is 1 in every row, which does not show how success probabilities "
                "differ; expected rows of two or more trials. Fit the mean with PlattCalibrator, "
                "or draw more samples per row."
            )
        for name in ("lines_", "edges_", "log_precision_", "offset_"):
            self.__dict__.pop(name, None)
        self.clip_ = np.array(s.resolution())
        z = replace(s, clip=(self.clip_[0], self.clip_[1])).logits()
        if y.min() == y.max() and y[0] in (0.0, 1.0):
            self._fit_constant(y, n, w)
        elif self.method == "pinball":
            self._fit_lines(z, y, n, w, levels)
        else:
            assert n is not None
            self._fit_counts(z, y, n, w)
        self._fitted_on = provenance(len(y), s.values, y)
        return self

    def predict(self, X: Any) -> FloatArray:
        """Return the mean success probability.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores, as in :meth:`fit`.

        Returns
        -------
        mean : ndarray of shape (n,)
            The mean, not the median.
        """
        z = self._logits(X)
        return expit(self.slope_ * z + self.intercept_)

    def predict_quantiles(self, X: Any) -> FloatArray:
        """Return quantiles of the success probability (for "pinball": of the measured rate).

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores, as in :meth:`fit`.

        Returns
        -------
        quantiles : ndarray of shape (n, n_quantiles)
            One column per level; values never decrease along a row.
        """
        z = self._logits(X)
        if hasattr(self, "log_precision_"):
            line = np.array([self.slope_, self.intercept_])
            a, b = beta_parameters(z, line, self.log_precision_)
            return betaincinv(a[:, None], b[:, None], np.asarray(self.quantiles, dtype=np.float64))
        eta = np.outer(z, self.lines_[:, 0]) + self.lines_[:, 1]
        q = expit(eta)
        # Where a line runs along the edge, rounding would decide between the edge and 0.
        low, high = logit(self.edges_)
        q[eta <= low + 1e-6] = 0.0
        q[eta >= high - 1e-6] = 1.0
        return np.sort(q, axis=1)

    def conformalise(self, X: Any, y: Any, groups: Any = None) -> QuantileCalibrator:
        """Correct the lowest quantile on held-out rows, so that :meth:`lower_bound` is guaranteed.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores of rows that were not used in ``fit``.
        y : array-like of shape (n,)
            Success rates of these rows, from as many trials as those of new rows will have.
        groups : array-like of shape (n,), optional
            The problem of each row. Pass it if problems have several rows: then problems are
            exchangeable, but rows are not.

        Returns
        -------
        self : QuantileCalibrator
            This calibrator, with ``offset_``.

        Warns
        -----
        CalibrationWarning
            If there are too few rows, or groups, for the level: ``offset_`` is then infinite and
            the bound 0. The level 0.1 requires 9.

        Notes
        -----
        With b the lowest level and E = q_b(x) - y on n rows, ``offset_`` is the
        ceil((n + 1)(1 - b))-th smallest E (one-sided conformalised quantile regression; Romano,
        Patterson and Candes 2019). With G groups, the rows of a group have mass 1 / ((G + 1) size)
        each, infinity has 1 / (G + 1), and ``offset_`` is the (1 - b)-quantile (hierarchical
        conformal prediction; Lee, Barber and Willett 2023): the bound is valid for a row of a new
        group. It is a bound of the rate measured over n trials, not of the success probability.
        """
        q = self.predict_quantiles(X)[:, 0]
        y = validate_rates(y, len(q))
        if len(q) == 0:
            raise InputError("X has 0 sample(s); expected at least one held-out row.")
        code, size = np.arange(len(q)), np.ones(len(q), dtype=np.intp)
        if groups is not None:
            column = validate_group_labels(groups, len(q), "groups")
            _, code, size = np.unique(column, return_inverse=True, return_counts=True)
        mass = np.reciprocal((len(size) + 1.0) * size[code])
        level = 1.0 - self.quantiles[0]
        self.offset_ = quantile_with_infinity(q - y, mass, level)
        if np.isinf(self.offset_):
            what = "rows" if groups is None else "groups"
            needed = int(np.ceil(level / (1.0 - level) - 1e-9))
            warn(
                f"{len(size)} {what} are too few for a lower bound at level {self.quantiles[0]:g}, "
                f"which requires {needed}; the bound is 0. Pass at least {needed} {what}.",
                CalibrationWarning,
            )
        return self

    def lower_bound(self, X: Any) -> FloatArray:
        """Return a guaranteed lower bound of a new row's success rate.

        A new rate is below the bound with probability ``quantiles[0]`` at most.

        Parameters
        ----------
        X : array-like of shape (n,), (n, 1) or (n, 2)
            Scores, as in :meth:`fit`.

        Returns
        -------
        bound : ndarray of shape (n,)
            The lowest quantile less ``offset_``, clipped to [0, 1].

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before :meth:`conformalise`.
        """
        check_is_fitted(self, "slope_")
        if not hasattr(self, "offset_"):
            raise NotFittedError(
                "QuantileCalibrator.lower_bound: there is no offset_; expected a call of "
                "conformalise before. First call conformalise(X, y) on held-out rows."
            )
        return np.clip(self.predict_quantiles(X)[:, 0] - self.offset_, 0.0, 1.0)

    # -- the fits -------------------------------------------------------------------------------

    def _fit_constant(self, y: FloatArray, n: FloatArray | None, w: FloatArray | None) -> None:
        """Fit one distribution for all scores, where all rates are 0 or all are 1."""
        warn(
            f"y is {y[0]:g} in every row, so the effect of the score can't be fitted; the "
            "quantiles are the same at all scores. Pass rows with successes and failures.",
            CalibrationWarning,
        )
        trials = np.ones(len(y)) if n is None else n
        total = float(trials.sum() if w is None else trials @ w)
        successes = total * y[0]
        self.slope_, self.converged_ = 0.0, True
        self.intercept_ = float(np.log(successes + 1.0) - np.log(total - successes + 1.0))
        self.log_precision_ = np.array([0.0, np.log(total + 2.0)])

    def _fit_mean(self, z: FloatArray, y: Any, n: FloatArray | None, w: FloatArray | None) -> bool:
        """Binomial fit of the mean; whether the scores separate successes from failures."""
        weight = w if n is None else n if w is None else w * n
        rows = split_fractions(Rows(Scores(z, "logit"), y, weight, np.arange(2)))
        targets: Any = rows.y
        separated = separation(rows.scores.values, rows.y) != 0
        if separated:
            warn_of_separation()
            targets = smoothed_targets(rows.y, rows.w)
        fit = fit_logistic(LogisticRows([rows.scores.values], targets, rows.w))
        self.slope_, self.intercept_ = float(fit.coef[0]), fit.intercept
        self.converged_ = fit.converged
        if self.slope_ < 0 and fit.z_scores()[0] < -2.0:
            warn_of_reversal(f"the slope is negative ({self.slope_:.3g})", follows=True)
        return separated

    def _fit_counts(
        self, z: FloatArray, y: FloatArray, n: FloatArray, w: FloatArray | None
    ) -> None:
        separated = self._fit_mean(z, y, n, w)
        fit = fit_beta_binomial(
            z,
            np.round(y * n),
            n,
            w,
            np.array([self.slope_, self.intercept_]),
            linear=self.precision == "linear",
            fit_line=not separated,
        )
        self.slope_, self.intercept_ = map(float, fit.line)
        self.log_precision_ = fit.log_precision
        self.converged_ = self.converged_ and fit.converged

    def _fit_lines(
        self,
        z: FloatArray,
        y: FloatArray,
        n: FloatArray | None,
        w: FloatArray | None,
        levels: FloatArray,
    ) -> None:
        self._fit_mean(z, y, n, w)
        low, high = Scores(y, "probability").resolution()
        # Beyond an edge a quantile is 0 or 1; a side without rates of 0 or 1 has no edge.
        low = low if y.min() < SATURATED else SATURATED
        high = high if 1.0 - y.max() < SATURATED else SATURATED
        self.edges_ = np.array([low, 1.0 - high])
        t = logit(np.clip(y, *self.edges_))
        self.lines_ = np.array([quantile_line(z, t, float(b), w) for b in levels])

    def _to_dict(self) -> dict[str, Any]:
        check_is_fitted(self, "slope_")
        names = [name for name in (*_STATE, "lines_") if hasattr(self, name)]
        state = {name: encode(getattr(self, name)) for name in names}
        if hasattr(self, "offset_"):
            state["offset_"] = finite(self.offset_)
        return {"params": params_to_dict(self.get_params()), "state": state}

    @classmethod
    def _from_dict(cls, data: dict[str, Any], _: Any) -> QuantileCalibrator:
        return _with_state(made_of(cls, data["params"], cls.__name__), data["state"], cls.__name__)

    # -- reading --------------------------------------------------------------------------------

    def _check_params(self) -> FloatArray:
        check_choice("method", self.method, ("beta_binomial", "pinball"))
        check_choice("scale", self.scale, get_args(Scale))
        check_choice("precision", self.precision, ("constant", "linear"))
        listed = isinstance(self.quantiles, (tuple, list, np.ndarray))
        levels = list(self.quantiles) if listed else []
        for i, level in enumerate(levels):
            name = f"quantiles[{i}]"
            check_real(name, level, low=0.0, high=1.0, open_low=True, open_high=True)
        if not levels or (np.diff(levels) <= 0).any():
            raise InputError(
                f"quantiles={spelled(self.quantiles)}; expected levels in (0, 1) in ascending "
                "order, such as (0.1, 0.5, 0.9)."
            )
        return np.array(levels, dtype=np.float64)

    def _validate_scores(self, X: Any, *, reset: bool) -> Scores:
        if hasattr(X, "columns"):
            validate_data(self, X, skip_check_array=True, ensure_2d=False, reset=reset)
        return validate_scores(
            X, scale=self.scale, allow_empty=not reset, n_classes=2, classes=(0, 1)
        )

    def _logits(self, X: Any) -> FloatArray:
        check_is_fitted(self, "slope_")
        s = self._validate_scores(X, reset=False)
        return replace(s, clip=(self.clip_[0], self.clip_[1])).logits()


def _with_state(cal: QuantileCalibrator, state: Any, what: str) -> QuantileCalibrator:
    """Set the fitted state from a file, if a fit can give it."""
    has = set(state) if isinstance(state, dict) else set()
    # A pinball fit to rates that are all 0 or all 1 is a beta distribution too.
    lines = cal.method == "pinball" and "log_precision_" not in has
    without = {"log_precision_"} if lines else {"edges_"}
    kinds = {name: kind for name, kind in _STATE.items() if name not in without}
    more = {"lines_"} if lines else set()
    check_keys(state, {*kinds, *more, *(has & {"offset_"})}, f"the state of {what}")
    for name, kind in kinds.items():
        setattr(cal, name, decode(state[name], kind, f"{what}.{name}"))
    if lines:
        rows = state["lines_"] if isinstance(state["lines_"], list) else []
        vectors = [vector(row, f"{what}.lines_") for row in rows]
        if len(vectors) != len(cal.quantiles) or any(len(row) != 2 for row in vectors):
            raise InputError(f"{what}.lines_ has another shape; expected two numbers per quantile.")
        cal.lines_ = np.array(vectors)
    edges = cal.edges_ if lines else np.array([0.25, 0.75])
    curve = np.zeros(2) if lines else cal.log_precision_
    check_sound(
        all(a.shape == (2,) for a in (cal.clip_, edges, curve))
        and ((cal.clip_ > 0) & (cal.clip_ < 0.5)).all()
        and 0 < edges[0] < edges[1] < 1
        and (cal.precision == "linear" or curve[0] == 0),
        what,
    )
    if "offset_" in has:
        offset = state["offset_"]
        cal.offset_ = np.inf if offset is None else number(offset, f"{what}.offset_")
        check_sound(abs(cal.offset_) <= 1 or offset is None, what)
    z = [0.0, 0.2, 0.5, 1.0] if cal.scale == "probability" else [-LARGEST_LOGIT, 0.0, LARGEST_LOGIT]
    with np.errstate(all="ignore"):
        forecast = np.column_stack((cal.predict(z), cal.predict_quantiles(z)))
    check_sound(((forecast >= 0) & (forecast <= 1)).all(), what)
    return cal
