"""Which signal is worth anything: raw and rescaled out of fold, per task or model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .._core.errors import InputError, called
from .._core.labels import validate_group_labels
from .._core.params import check_int, check_real, generator, percent
from .._core.printed import spelled
from .._core.rows import FEW_GROUPS
from .._core.signals import (
    check_range,
    scales_of,
    validate_by,
    validate_correct,
    validate_signals,
    warn_left_out,
)
from .._core.warnings import FewEventsWarning, ReversedScoresWarning, SeparationWarning
from .._numerics.links import expit
from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray, SignalScale
from ..calibrators import validate_calibrator
from ..metrics import Estimate, estimate_or_value
from ._collapse import N_BINS, collapse_of
from ._folds import TooFewError, of_rows, out_of_fold, validate_folds
from ._result_table import ResultTable

#: Columns whose intervals do not print.
_BRIEF = ("success_rate", "brier", "brier_ref", "ece_debiased", "auc")
#: Warnings of calibrators that become notes, one for each signal.
_NOTES = {
    ReversedScoresWarning: "higher values go with wrong outputs; rescaling turns them round",
    SeparationWarning: "some folds are separated perfectly; Platt's smoothed targets were used",
}


def evaluate_confidence(
    confidence: Any,
    correct: Any = None,
    groups: Any = None,
    calibrator: Any = "auto",
    cv: Any = 5,
    *,
    by: Any = None,
    scale: Any = None,
    level: float = 0.9,
    n_resamples: int = 1000,
    random_state: Any = 0,
) -> ResultTable:
    """Judge confidence signals: how much skill each has, raw and after rescaling.

    Parameters
    ----------
    confidence : array-like of shape (n,), dict or data frame of such, or Scored
        One signal or several, named; NaN where an output has none. What :func:`join_results` gives
        brings ``correct`` and, unless given, ``groups`` with it.
    correct : array-like of shape (n,)
        Whether the output was correct: 0/1 or bool.
    groups : array-like of shape (n,), optional
        Problem or repository of each output. Outputs of one group are never on both sides of a
        fold, and are drawn together for the intervals.
    calibrator : str or calibrator, default="auto"
        What rescales the signals: as in :func:`cross_val_calibrate`.
    cv : int, splitter or {"spiess2024", "spiess2024_sorted"}, default=5
        Folds of the rescaling; a number means stratified folds, whole by group where groups are
        given. Splitters, and pairs of training and test rows, must test every output once and
        split no group. The names stand for the published protocol, see Notes.
    by : array-like of shape (n,) or (n, k), optional
        Task or model of each output, or both: each value is judged and rescaled by itself.
    scale : {"probability", "logit", "score"} or dict, optional
        What each signal is; a dict names some. Of the others, and by default, it is what
        :class:`Signals` say, and otherwise "probability". A "score" (a length, a perplexity) is
        any number, so only its AUC is given raw.
    level : float, default=0.9
        Coverage of the intervals.
    n_resamples : int, default=1000
        Draws behind them.
    random_state : int, RandomState, Generator or None, default=0
        Seed of folds and draws.

    Returns
    -------
    table : ResultTable
        Two rows for each signal (and value of ``by``), stage "raw" and "rescaled": n, missing,
        success_rate, brier, brier_ref (of the success rate itself), skill
        (``1 - brier / brier_ref``), ece (ten bins of equal width), ece_debiased, auc. Notes say
        where a rescaled signal collapsed to the base rate. Has ``to_pandas()``, ``to_markdown()``
        and ``to_latex()``.

    Raises
    ------
    ValueError
        If the data are not of the kind described, or there are too few outputs for the folds.

    Warns
    -----
    MissingSignalWarning
        Where outputs have no signal.

    See Also
    --------
    cross_val_calibrate : The rescaled probabilities themselves.
    bucket_collapse : The diagnosis of one signal.

    Notes
    -----
    A low calibration error alone proves nothing: see :func:`bucket_collapse`. Judge by skill.
    Metrics are of the pooled out-of-fold probabilities, not means over folds. Intervals take the
    out-of-fold probabilities as given; they are those of :func:`calibkit.estimate`, whose cautions
    become notes: where few outputs are right, or few are wrong, and where groups weigh as fewer
    than 10 of equal size, ``n**2 / sum(size**2)`` (Kish 1965).

    For a useless signal cross-fitting gives an AUC and a skill slightly below chance, since a fold
    that is better than the rest is scored by a map learnt on the worse rest.

    ``cv="spiess2024"`` is the protocol of Spiess et al. (2024, code): signals rounded to seven
    decimals and clipped 1e-6 from 0 and 1, five shuffled folds of seed 42 that know no groups,
    unpenalised logistic regression of the log-odds by scikit-learn's solver. Their code folds
    over the outputs as given, or ("spiess2024_sorted") in the order of the signal. Their bins'
    floating-point edges put 0.3, 0.6 and 0.7 one bin lower than here. ``calibrator`` is not used.

    References
    ----------
    C. Spiess et al. (2024). Calibration and correctness of language models for code. ICSE 2025,
    arXiv 2402.02047, sections on rescaling and on skill scores. --- L. Kish (1965). Survey
    sampling. Wiley.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.decisions import evaluate_confidence
    >>> rng = np.random.default_rng(0)
    >>> ability = rng.normal(size=2000)
    >>> correct = rng.random(2000) < 1 / (1 + np.exp(-ability))
    >>> signals = {
    ...     "average_token_probability": 1 / (1 + np.exp(-ability / 2 - 2)),
    ...     "verbalised": rng.choice([0.8, 0.9, 1.0], size=2000),
    ... }
    >>> table = evaluate_confidence(signals, correct)
    >>> for row in table:
    ...     print(row["signal"], row["stage"], round(row["skill"].value, 2))
    average_token_probability raw -0.45
    average_token_probability rescaled 0.18
    verbalised raw -0.66
    verbalised rescaled -0.0
    """
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    check_int("n_resamples", n_resamples, low=10)
    confidence, correct, groups = _unpacked(confidence, correct, groups, scale)
    y = validate_correct(correct, confidence)
    signals = validate_signals(confidence, len(y))
    known = getattr(confidence, "scales", {})
    if scale is None or isinstance(scale, Mapping):
        # A signal may have been taken out since; a name that somebody gives must be one.
        scale = {k: v for k, v in known.items() if str(k) in signals} | dict(scale or {})
    scales = scales_of(scale, signals)
    for name, values in signals.items():
        check_range(values, scales[name], name)
        if (missing := np.isnan(values)).any():
            so = " of its rows, so signals are compared on different outputs"
            warn_left_out(name, missing, so)
    g = None if groups is None else validate_group_labels(groups, len(y), "groups")
    parts = [("", np.arange(len(y)))]
    if by is not None:
        values_of, code = np.unique(validate_by(by, len(y)), return_inverse=True)
        parts = [(str(v), np.flatnonzero(code == i)) for i, v in enumerate(values_of)]
    cv = validate_folds(cv, len(y))
    seed = int(generator(random_state).integers(2**31))
    draws = {"level": level, "n_resamples": n_resamples, "random_state": seed}
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for part, at in parts:
        if g is not None and (worth := _worth(g[at])) < FEW_GROUPS:
            said_of = f"{part}: " if by is not None else ""
            notes.append(f"{said_of}groups weigh as {worth:.0f} equal ones; intervals are short")
        for name, values in signals.items():
            head = {"by": part} if by is not None else {}
            template = validate_calibrator(calibrator, scales[name])
            own = None if g is None else g[at]
            evaluation = _SignalEvaluation(values[at], y[at], own, scales[name], draws)
            said_of = f"{part}, {name}" if by is not None else name
            folds = of_rows(cv, at[evaluation.known])
            with called(part=f": {said_of}" if len(parts) * len(signals) > 1 else ""):
                stages, said = evaluation.stages(template, folds, seed, strict=by is None)
            rows += [{**head, "signal": name, **row} for row in stages]
            notes += [f"{said_of}: {note}" for note in _cautions(stages[0], g is not None) + said]
    how = "spiess2024" if isinstance(cv, str) else f"{cv} folds" if isinstance(cv, int) else "folds"
    whole = " by group" if g is not None and not isinstance(cv, str) else ""
    caption = f"rescaled out of fold ({how}{whole}); {percent(level)} intervals"
    caption += ", groups drawn whole" * bool(whole)
    return ResultTable(tuple(rows), tuple(notes), caption, _BRIEF)


def _unpacked(confidence: Any, correct: Any, groups: Any, scale: Any) -> tuple[Any, Any, Any]:
    """Signals, correctness and groups of outputs that were joined with their verdicts."""
    if not callable(getattr(confidence, "confidence", None)):  # else it is a Scored
        return confidence, correct, groups
    if correct is not None:
        raise InputError("correct beside outputs that have their verdicts already.")
    own = confidence.groups if groups is None else groups
    as_said = "probability" if isinstance(scale, str) and scale != "logit" else "logit"
    return confidence.confidence(scale=as_said), confidence.correct, own


class _SignalEvaluation:
    """One signal on one set of outputs."""

    def __init__(
        self,
        signal: FloatArray,
        y: IntArray,
        groups: np.ndarray | None,
        scale: SignalScale,
        draws: dict[str, Any],
    ) -> None:
        self.known = ~np.isnan(signal)
        self.signal, self.y, self.scale = signal[self.known], y[self.known], scale
        self.groups = None if groups is None else groups[self.known]
        self.draws = draws

    def stages(
        self, template: Any, cv: Any, seed: int, *, strict: bool
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Rows of the raw and the rescaled signal, and what is to be said of them.

        Too few outputs to rescale are an error only if ``strict``.
        """
        head = {"n": len(self.y), "missing": int((~self.known).sum())}
        p = expit(self.signal) if self.scale == "logit" else self.signal
        p_raw = None if self.scale == "score" else p
        raw = {"stage": "raw", **head, **self.metrics(p_raw, self.signal)}
        nothing = {"stage": "rescaled", **head, **self.metrics(None, np.zeros(len(self.y)))}
        if len(np.unique(self.y)) < 2:
            what = "no output has the signal"
            if len(self.y):
                what = f"all {len(self.y)} outputs are {'right' if self.y[0] else 'wrong'}"
            return [raw, nothing], [f"{what}: no skill, no AUC"]
        try:
            p, notes = self.rescaled(template, cv, seed)
        except TooFewError as error:
            if strict:
                raise
            return [raw, {**nothing, "auc": np.nan}], [f"not rescaled: {spelled(error)}"]
        rescaled = {"stage": "rescaled", **head, **self.metrics(p, p)}
        collapse = collapse_of(p, rescaled["skill"], float(rescaled["ece"]))
        return [raw, rescaled], notes + [str(collapse)] * collapse.collapsed

    def rescaled(self, template: Any, cv: Any, seed: int) -> tuple[FloatArray, list[str]]:
        """Out-of-fold probabilities; what the calibrators warned of, once for all folds."""
        data = self.signal, self.y, self.groups
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            p = out_of_fold(template, *data, cv, self.scale, seed)
        kinds = {w.category for w in caught}
        for w in caught:
            if w.category not in _NOTES:
                warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)
        return p, [note for kind, note in _NOTES.items() if kind in kinds]

    def metrics(self, p: FloatArray | None, order: FloatArray) -> dict[str, Any]:
        """All columns; NaN where they are not defined."""
        if len(self.y) == 0:
            names = ("success_rate", "brier", "brier_ref", "skill", "ece", "ece_debiased", "auc")
            return dict.fromkeys(names, np.nan)
        both = len(np.unique(self.y)) == 2
        # The Brier score of forecasting 0 is the success rate, and its interval comes with it.
        rate = replace(self._of("brier_score", np.zeros(len(self.y))), name="success_rate")
        binned = p is not None and len(self.y) >= N_BINS
        bins = {"n_bins": N_BINS}
        l1 = {"norm": "l1", "strategy": "uniform", **bins}
        # Any increasing map to [0, 1] leaves the AUC as it is: ranks keep every tie.
        ranks = np.unique(order, return_inverse=True)[1] / max(1, len(order))
        return {
            "success_rate": rate,
            "brier": np.nan if p is None else self._of("brier_score", p),
            "brier_ref": _reference(rate),
            "skill": self._of("brier_skill_score", p) if both and p is not None else np.nan,
            "ece": self._of("expected_calibration_error", p, **bins) if binned else np.nan,
            "ece_debiased": self._of("calibration_error", p, **l1) if binned else np.nan,
            "auc": self._of("roc_auc", ranks) if both else np.nan,
        }

    def _of(self, metric: str, p: FloatArray | None, **settings: Any) -> Estimate:
        groups = self.groups
        if groups is not None and len(np.unique(groups)) < 2:
            groups = None
        with warnings.catch_warnings():
            if metric != "brier_score":  # said once for each signal is enough
                warnings.simplefilter("ignore")
            warnings.simplefilter("ignore", FewEventsWarning)  # a note says it
            return estimate_or_value(metric, self.y, p, groups=groups, **self.draws, **settings)


def _cautions(row: dict[str, Any], grouped: bool) -> list[str]:
    """What is to be said of the intervals of one signal; of groups it is said already."""
    cautions = [e.caution for e in row.values() if isinstance(e, Estimate) and e.caution]
    return [] if grouped else cautions[:1]


def _worth(groups: np.ndarray) -> float:
    """Number of groups of equal size that would say as much (Kish's effective number)."""
    size = np.unique(groups, return_counts=True)[1]
    return float(effective_count(size.sum(), size @ size))


def _reference(rate: Estimate) -> Estimate:
    """Brier score of the success rate, ``r (1 - r)``, from the rate and its interval."""
    ends = [v * (1.0 - v) for v in (rate.low, rate.high)]
    high = 0.25 if rate.low <= 0.5 <= rate.high else max(ends)
    value = rate.value * (1.0 - rate.value)
    return replace(rate, name="brier_ref", value=value, low=min(ends), high=high)
