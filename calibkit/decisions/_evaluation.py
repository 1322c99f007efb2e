"""Judge confidence signals: uncalibrated and calibrated out of fold, per task or model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .._core.errors import InputError, called
from .._core.labels import validate_group_labels
from .._core.params import check_int, check_real, generator, percent
from .._core.printed import a_type, spelled
from .._core.rows import few_groups
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
from .._typing import FloatArray, IntArray, SignalScale
from ..calibrators import validate_calibrator
from ..metrics import Estimate, ResultTable, estimate_or_value
from ._collapse import N_BINS, collapse_of
from ._folds import TooFewError, of_rows, out_of_fold, validate_folds

#: What the columns of the table mean, for its caption.
_COLUMNS = """
brier_ref: Brier score of predicting success_rate; ece_debiased: ece minus its bias
skill: 1 - brier / brier_ref; at 0 or less, no better than predicting success_rate"""
#: Columns that are printed without their intervals.
_BRIEF = ("success_rate", "brier", "brier_ref", "ece_debiased", "auc")
#: Warnings of calibrators that become notes of the table, at most one of a kind per signal.
_NOTES = {
    ReversedScoresWarning: "higher values go with wrong outputs; calibration reverses the order",
    SeparationWarning: (
        "in some folds the signal separates correct from wrong outputs perfectly; Platt's smoothed "
        "targets were used"
    ),
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
    """Judge confidence signals: the skill of each, uncalibrated and calibrated out of fold.

    Use it to choose a signal before you set a threshold or a policy.

    Parameters
    ----------
    confidence : array-like of shape (n,), dict, data frame or Scored
        One signal, or several by name: one number per output, NaN where an output has none. A
        Scored (from :func:`join_results`) also contains ``correct`` and ``groups``: do not pass
        ``correct``; its groups are the tasks unless you pass ``groups``.
    correct : array-like of shape (n,)
        Whether each output is correct: 0/1 or bool.
    groups : array-like of shape (n,), optional
        Problem or repository of each output. Outputs of one group stay in one fold and are
        treated as dependent in the intervals.
    calibrator : str or calibrator, default="auto"
        Calibrator of the signals, as in :func:`cross_val_calibrate`.
    cv : int, splitter or {"spiess2024", "spiess2024_sorted"}, default=5
        Folds for the calibration, as in :func:`cross_val_calibrate`. The names are those of a
        published protocol, see Notes.
    by : array-like of shape (n,) or (n, k), optional
        Task or model of each output, or both. The outputs of each value are judged and calibrated
        separately.
    scale : {"probability", "logit", "score"} or dict, optional
        Scale of the signals: one for all, or a dict by name. "logit" means log-odds. A "score" (a
        length, a perplexity) is any other number; before calibration it has only an AUC. Default:
        the scales that :class:`Signals` contain, else "probability".
    level : float, default=0.9
        Confidence level of the intervals.
    n_resamples : int, default=1000
        Number of simulations for the intervals of ece and ece_debiased.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the folds and of the simulations.

    Returns
    -------
    table : ResultTable
        Two rows per signal (and value of ``by``): stage "uncalibrated" and "calibrated". Columns:
        n (outputs with the signal), missing (outputs without it), success_rate (share of correct
        outputs), brier (Brier score), brier_ref (Brier score of predicting the success rate),
        skill (Brier skill score, ``1 - brier / brier_ref``), ece (expected calibration error, ten
        equal-width bins), ece_debiased (ece minus its bias), auc (ROC AUC). Notes flag
        uninformative signals. Export it with ``to_pandas()``, ``to_markdown()`` or ``to_latex()``.

    Raises
    ------
    ValueError
        If the data are invalid, or there are too few outputs for the folds.

    Warns
    -----
    MissingSignalWarning
        If outputs have no signal.

    See Also
    --------
    cross_val_calibrate : The calibrated probabilities themselves.
    bucket_collapse : Check whether one signal is uninformative.

    Notes
    -----
    Judge a signal by its skill. A low calibration error alone proves nothing, because calibration
    brings it near 0 even for an uninformative signal: see :func:`bucket_collapse`.

    Metrics are computed from the out-of-fold probabilities of all folds together. The intervals
    are those of :func:`calibkit.estimate`; they do not include the uncertainty of the calibrator.
    Notes of the table say where intervals may be too narrow: if few outputs are correct or few
    are wrong, or if the effective number of groups, ``n**2 / sum(size**2)`` (Kish 1965), is below
    10.

    For an uninformative signal, cross-validation gives an AUC and a skill slightly below chance: if
    a fold has more correct outputs, the other folds have fewer.

    ``cv="spiess2024"`` is the protocol of the code of Spiess et al. (2024): signals are rounded to
    seven decimals and clipped to [1e-6, 1 - 1e-6]; five folds are shuffled with seed 42 and ignore
    groups; scikit-learn fits an unpenalized logistic regression to the log-odds. Folds are made
    from the outputs in the given order, or sorted by signal ("spiess2024_sorted"). Their bins have
    edges with rounding errors: 0.3, 0.6 and 0.7 fall one bin lower than here. ``calibrator`` is
    ignored.

    References
    ----------
    C. Spiess et al. (2024). Calibration and correctness of language models for code. ICSE 2025,
    arXiv 2402.02047, sections on rescaling (calibration) and on skill scores. --- L. Kish (1965).
    Survey sampling. Wiley.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.decisions import evaluate_confidence
    >>> rng = np.random.default_rng(0)
    >>> ability = rng.normal(size=2000)
    >>> correct = rng.random(2000) < 1 / (1 + np.exp(-ability))
    >>> signals = {
    ...     "average_token_probability": 1 / (1 + np.exp(-ability / 2 - 2)),
    ...     "verbalized": rng.choice([0.8, 0.9, 1.0], size=2000),
    ... }
    >>> table = evaluate_confidence(signals, correct)
    >>> for row in table:
    ...     print(row["signal"], row["stage"], round(row["skill"].value, 2))
    average_token_probability uncalibrated -0.45
    average_token_probability calibrated 0.18
    verbalized uncalibrated -0.66
    verbalized calibrated -0.0
    """
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    check_int("n_resamples", n_resamples, low=10)
    confidence, correct, groups = _unpacked(confidence, correct, groups, scale)
    y = validate_correct(correct, confidence)
    signals = validate_signals(confidence, len(y))
    known = getattr(confidence, "scales", {})
    if scale is None or isinstance(scale, Mapping):
        # A signal may have been removed since; but a name in the argument must be a signal.
        scale = {k: v for k, v in known.items() if str(k) in signals} | dict(scale or {})
    scales = scales_of(scale, signals)
    for name, values in signals.items():
        check_range(values, scales[name], name)
        if (missing := np.isnan(values)).any():
            so = " of its rows, so the signals are compared on different outputs"
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
        if g is not None:
            few = few_groups(np.unique(g[at], return_inverse=True)[1])
            notes += [f"{part}: {few}" if by is not None else few] if few else []
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
    caption = f"calibrated out of fold ({how}{whole}); {percent(level)} intervals"
    caption += " allow for groups" * (g is not None)
    return ResultTable(tuple(rows), tuple(notes), caption + _COLUMNS, _BRIEF)


def _unpacked(confidence: Any, correct: Any, groups: Any, scale: Any) -> tuple[Any, Any, Any]:
    """Signals, correctness and groups of a Scored; other arguments as they are."""
    if not callable(getattr(confidence, "confidence", None)):
        if hasattr(type(confidence), "n_repeated"):
            raise InputError(
                "confidence holds results, which are labels; expected signals. Pass "
                "join_results(generations, results)."
            )
        if isinstance(correct, Mapping) or callable(getattr(correct, "confidence", None)):
            raise InputError(
                f"correct is {a_type(correct)}, which holds signals; expected labels. If "
                "the arguments are swapped, call evaluate_confidence(signals, labels)."
            )
        return confidence, correct, groups
    if not hasattr(confidence, "correct"):
        raise InputError(
            "confidence holds outputs without labels; expected outputs and their results. Pass "
            "join_results(generations, results)."
        )
    if correct is not None:
        raise InputError(
            "correct is given twice: confidence is from join_results and contains it; expected "
            "correct=None. Drop the argument correct."
        )
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
        """Rows of the uncalibrated and the calibrated signal, and notes on them.

        Too few outputs for calibration are an error if ``strict``, otherwise a note.
        """
        head = {"n": len(self.y), "missing": int((~self.known).sum())}
        p = expit(self.signal) if self.scale == "logit" else self.signal
        p_raw = None if self.scale == "score" else p
        raw = {"stage": "uncalibrated", **head, **self.metrics(p_raw, self.signal)}
        nothing = {"stage": "calibrated", **head, **self.metrics(None, np.zeros(len(self.y)))}
        if len(np.unique(self.y)) < 2:
            what = "no output has the signal"
            if len(self.y):
                what = f"all {len(self.y)} outputs are {'correct' if self.y[0] else 'wrong'}"
            return [raw, nothing], [f"{what}: the skill and the AUC are not defined"]
        try:
            p, notes = self.calibrated(template, cv, seed)
        except TooFewError as error:
            if strict:
                raise
            return [raw, {**nothing, "auc": np.nan}], [f"not calibrated: {spelled(error)}"]
        calibrated = {"stage": "calibrated", **head, **self.metrics(p, p)}
        collapse = collapse_of(p, calibrated["skill"], float(calibrated["ece"]))
        return [raw, calibrated], notes + [str(collapse)] * collapse.collapsed

    def calibrated(self, template: Any, cv: Any, seed: int) -> tuple[FloatArray, list[str]]:
        """Out-of-fold probabilities, and the calibrators' warnings as notes, one of each kind."""
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
        # The Brier score of predicting 0 is the success rate, so its interval is the rate's.
        rate = replace(self._of("brier_score", np.zeros(len(self.y))), name="success_rate")
        binned = p is not None and len(self.y) >= N_BINS
        bins = {"n_bins": N_BINS}
        l1 = {"norm": "l1", "strategy": "uniform", **bins}
        # The AUC depends on the order only, so ranks in [0, 1] give the same one.
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
            if metric != "brier_score":  # so that each signal warns once
                warnings.simplefilter("ignore")
            warnings.simplefilter("ignore", FewEventsWarning)  # it becomes a note
            return estimate_or_value(metric, self.y, p, groups=groups, **self.draws, **settings)


def _cautions(row: dict[str, Any], grouped: bool) -> list[str]:
    """Cautions on the intervals of one signal; those on groups are a note already."""
    cautions = [e.caution for e in row.values() if isinstance(e, Estimate) and e.caution]
    return [] if grouped else cautions[:1]


def _reference(rate: Estimate) -> Estimate:
    """Brier score of the success rate, ``r (1 - r)``, from the rate and its interval."""
    ends = [v * (1.0 - v) for v in (rate.low, rate.high)]
    high = 0.25 if rate.low <= 0.5 <= rate.high else max(ends)
    value = rate.value * (1.0 - rate.value)
    return replace(rate, name="brier_ref", value=value, low=min(ends), high=high)
