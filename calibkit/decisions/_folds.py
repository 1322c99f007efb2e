"""Calibration out of fold: each output by a calibrator that was fitted on other outputs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from .._core.base import BaseCalibrator
from .._core.errors import InputError
from .._core.labels import validate_group_labels
from .._core.params import check_choice, check_int, generator
from .._core.printed import spelled
from .._core.scores import Scores
from .._core.signals import check_range, scales_of, validate_correct, validate_signals
from .._core.warnings import ScaleWarning
from .._cross_fitting import check_apart, splits
from .._numerics.links import expit
from .._typing import FloatArray, IntArray, SignalScale
from ..calibrators import AutoOrPlatt, validate_calibrator

#: Protocols by name: folds of the outputs in their order, or of the outputs sorted by signal.
PROTOCOLS = ("spiess2024", "spiess2024_sorted")
#: The protocol clips probabilities this far from 0 and 1, and rounds to so many decimals.
_CLIP, _DECIMALS = 1e-6, 7


class TooFewError(InputError):
    """There are too few outputs, of one class or in all, for calibration out of fold."""


def cross_val_calibrate(
    calibrator: Any,
    confidence: Any,
    correct: Any,
    *,
    groups: Any = None,
    cv: Any = 5,
    scale: SignalScale = "probability",
    random_state: Any = 0,
) -> FloatArray:
    """Return calibrated probabilities out of fold, by cross-validation.

    Each output is calibrated by a calibrator that was fitted on the other folds. Use it to judge a
    calibrated signal, or to choose a policy, on your labeled outputs. For new outputs, fit the
    calibrator on all labeled outputs instead.

    Parameters
    ----------
    calibrator : str or calibrator
        A name such as ``"auto"``, or a calibrator, which is cloned. ``"auto"`` is
        :class:`AutoCalibrator`, or Platt scaling if the signal is reversed (lower for correct
        outputs). The calibrator gets the groups: see :meth:`BaseCalibrator.fit`.
    confidence : array-like of shape (n,)
        The signal, one number per output; NaN where there is none.
    correct : array-like of shape (n,)
        Whether each output is correct: 0/1 or bool.
    groups : array-like of shape (n,), optional
        Problem or repository of each output. Outputs of one group stay in one fold.
    cv : int, splitter or {"spiess2024", "spiess2024_sorted"}, default=5
        Number of folds, which are stratified and shuffled; or a splitter of scikit-learn; or pairs
        of training and test rows; or the name of a protocol, see :func:`evaluate_confidence`.
        Every output must be in exactly one test part, and no group may be split.
    scale : {"probability", "logit", "score"}, default="probability"
        Scale of the signal. "logit" means log-odds. A "score" is any other number; it is used as
        log-odds.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the folds.

    Returns
    -------
    p : ndarray of shape (n,)
        Probability that each output is correct; NaN where the signal is NaN.

    Raises
    ------
    ValueError
        If the data are invalid, a training part contains one class only, there are fewer groups
        than folds, or ``cv`` puts an output or group into a training part and its test part.

    Notes
    -----
    On 29 real signals, calibrated on 50 to 3,000 outputs of some groups and judged on other groups,
    ``"auto"`` has a lower mean log loss than Platt scaling, by .0013 to .0032 nats
    (``benchmarks/choices.py``).

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.decisions import cross_val_calibrate
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.beta(8, 2, size=2000)
    >>> correct = rng.random(2000) < 0.35  # the signal is uninformative
    >>> p = cross_val_calibrate("auto", signal, correct)
    >>> bool(abs(p - 0.35).max() < 0.05)
    True
    """
    y = validate_correct(correct, confidence)
    signal = validate_signals({"confidence": confidence}, len(y))["confidence"]
    scales_of(scale, {"confidence": signal})
    check_range(signal, scale, "confidence")
    g = None if groups is None else validate_group_labels(groups, len(y), "groups")
    template = validate_calibrator(calibrator, scale)
    cv = validate_folds(cv, len(y))
    return out_of_fold(template, signal, y, g, cv, scale, random_state)


def validate_folds(cv: Any, n: int) -> Any:
    """A number, a splitter, a protocol's name, or pairs of masks of the training and test rows."""
    if isinstance(cv, str):
        check_choice("cv", cv, PROTOCOLS)
    elif isinstance(cv, (int, float, np.number)):
        check_int("cv", cv, low=2)
        return int(cv)
    if cv is None or isinstance(cv, str) or hasattr(cv, "split"):
        return 5 if cv is None else cv
    folds: list[tuple[np.ndarray, np.ndarray]] = []
    try:
        for train, test in cv:
            folds.append((np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)))
            folds[-1][0][train] = folds[-1][1][test] = True
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"cv can't be read ({spelled(error)}); expected a number of folds, a splitter, or "
            f"pairs of training and test rows among {n} outputs."
        ) from error
    return folds


def of_rows(cv: Any, rows: IntArray) -> Any:
    """Folds for some of the outputs: pairs of masks are cut to them, any other ``cv`` is kept."""
    if not isinstance(cv, list):
        return cv
    return [(train[rows], test[rows]) for train, test in cv if test[rows].any()]


def out_of_fold(
    template: BaseCalibrator | AutoOrPlatt,
    signal: FloatArray,
    y: IntArray,
    groups: np.ndarray | None,
    cv: Any,
    scale: SignalScale,
    random_state: Any,
) -> FloatArray:
    """:func:`cross_val_calibrate` for checked input; ``cv`` from :func:`validate_folds`."""
    kept = np.flatnonzero(~np.isnan(signal))
    out = np.full(len(signal), np.nan)
    if len(kept) == 0:
        return out
    s, y = signal[kept], y[kept]
    if isinstance(cv, str):
        out[kept] = _spiess(s, y, scale, by_signal=cv.endswith("sorted"))
        return out
    g = None if groups is None else groups[kept]
    if isinstance(cv, int):
        g = _check_folds(cv, y, g)
    cv = of_rows(cv, kept)
    p = np.full(len(s), np.nan)
    seed = int(generator(random_state).integers(2**31))
    folds = cv if isinstance(cv, list) else splits(cv, s, y, g, shuffle=seed)
    check_apart(folds, kept, g, "output")
    with warnings.catch_warnings():
        if scale == "score":  # a score may lie in [0, 1] by chance
            warnings.simplefilter("ignore", ScaleWarning)
        for train, test in folds:
            if y[train].min() == y[train].max():
                raise TooFewError(
                    "a training part of the folds holds one class only; expected both. Use fewer "
                    "folds, or more outputs of the rarer class."
                )
            own = None if g is None else g[train]
            fitted = clone(template).fit(s[train], y[train], groups=own)
            p[test] = fitted.predict_proba(s[test])[:, 1]
    out[kept] = p
    return out


def _check_folds(cv: int, y: IntArray, groups: np.ndarray | None) -> np.ndarray | None:
    """Raise if there are too few outputs for the folds; return None for groups of one row each."""
    fewest = int(np.bincount(y, minlength=2).min())
    if fewest < 2:
        raise TooFewError(
            f"correct holds {fewest} output(s) of one class among {len(y)}; expected at least two "
            "correct and two wrong outputs."
        )
    n_groups = len(y) if groups is None else len(np.unique(groups))
    if n_groups < cv or (n_groups == len(y) and fewest < cv):
        what = "groups" if n_groups < len(y) else "outputs of the rarer class"
        available = n_groups if n_groups < len(y) else fewest
        raise TooFewError(
            f"cv={cv} folds and {available} {what}; expected at least {cv}. Use fewer folds."
        )
    return None if n_groups == len(y) else groups


def _spiess(s: FloatArray, y: IntArray, scale: SignalScale, *, by_signal: bool) -> FloatArray:
    """Five plain folds and an unpenalized logistic fit of the log-odds, as in the paper's code."""
    fewest = int(np.bincount(y, minlength=2).min())
    if len(y) < 5 or fewest < 2:
        raise TooFewError(
            f"the protocol of Spiess et al. on {len(y)} outputs, {fewest} of the rarer class; "
            "expected at least five, and two of each class."
        )
    z = s
    if scale == "probability":
        z = Scores(np.round(s, _DECIMALS), "probability", (_CLIP, _CLIP)).logits()
    order = np.argsort(s, kind="stable") if by_signal else np.arange(len(s))
    p = np.empty(len(s))
    for train, test in KFold(n_splits=5, shuffle=True, random_state=42).split(order):
        if len(np.unique(y[order[train]])) < 2:
            raise TooFewError(
                "a training part of the protocol of Spiess et al. holds one class only; expected "
                "both. Use a number of folds: they are stratified."
            )
        # As in their code, scikit-learn's solver, which stops before the optimum.
        model = LogisticRegression(C=np.inf).fit(z[order[train], None], y[order[train]])
        p[order[test]] = expit(model.decision_function(z[order[test], None]))
    return p
