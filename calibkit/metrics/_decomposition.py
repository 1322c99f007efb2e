"""Proper scores split into miscalibration, discrimination and uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .._core.params import check_binning, check_choice
from .._core.rows import Binary
from .._numerics.losses import brier_rows, log_rows
from .._numerics.pava import pooled
from .._typing import Bins, FloatArray, Kind, Strategy, Weights
from ._spec import Kernel, Whole
from ._table import ScoreTable
from ._whole import as_table, choice_of, raw_errors, whole_metric

Loss = Literal["brier", "log"]
LOSSES = {"brier": brier_rows, "log": log_rows}
METHODS = ("corp", "bins")


@dataclass(frozen=True)
class ScoreDecomposition:
    """The parts of a mean loss: ``score = miscalibration - discrimination + uncertainty + within``.

    Attributes
    ----------
    score : float
        The mean loss.
    miscalibration : float
        By how much recalibration would lower the mean loss (MCB; with bins: reliability). At least
        0. A calibrated model shows more than 0, see :func:`corp_miscalibration`.
    discrimination : float
        By how much the loss of the recalibrated scores is lower than that of the base rate (DSC;
        with bins: resolution). At least 0.
    uncertainty : float
        Loss of always predicting the base rate (UNC).
    within : float
        The part of the loss that comes from different scores inside a bin; 0 for "corp".
    loss, method : str
        The settings.

    Examples
    --------
    >>> from calibkit import decompose_score
    >>> parts = decompose_score([0, 0, 1, 0, 1], [0.1, 0.3, 0.4, 0.8, 0.9])
    >>> print(parts)
    brier 0.2220 = miscalibration 0.1220 - discrimination 0.1400 + uncertainty 0.2400 (corp)
    """

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float
    within: float
    loss: str
    method: str

    def __str__(self) -> str:
        within = "" if self.method == "corp" else f" + within {self.within:.4f}"
        return (
            f"{self.loss} {self.score:.4f} = miscalibration {self.miscalibration:.4f} - "
            f"discrimination {self.discrimination:.4f} + uncertainty {self.uncertainty:.4f}"
            f"{within} ({self.method})"
        )


def mean_loss(loss: str, p: FloatArray, w: FloatArray, wy: FloatArray) -> FloatArray:
    """Mean loss of forecasts p, over the last axis, of cells with these weights and events."""
    flat = np.ravel(p)
    no, yes = (LOSSES[loss](flat, np.full(flat.size, label)).reshape(p.shape) for label in (0, 1))
    return np.asarray((wy * yes + (w - wy) * no).sum(axis=-1) / w.sum(axis=-1))


def _kernel(cells: ScoreTable, *, loss: str, **_: Any) -> Kernel:
    def miscalibration(w: FloatArray, wy: FloatArray) -> FloatArray:
        q = pooled(w, wy)  # w q has the blocks' sums, but no cell with drawn labels below 0
        return mean_loss(loss, cells.p, w, wy) - mean_loss(loss, q, w, w * q)

    return miscalibration


def _raw(problem: Binary | ScoreTable, *, loss: str, **_: Any) -> float:
    table = as_table(problem)
    return max(float(_kernel(table, loss=loss)(table.w, table.wy)), 0.0)


def corp_miscalibration(
    y_true: Any,
    y_prob: Any = None,
    *,
    loss: Loss = "brier",
    kind: Kind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute how much a loss improves if isotonic regression recalibrates the scores (MCB).

    It is in the unit of the loss, so it shows what the miscalibration costs. It needs no bins.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    loss : {"brier", "log"}, default="brier"
        Brier score of the event, or log loss in nats.
    kind : {"binary", "top_label", "classwise"}, optional
        The probability of the event, that of the predicted class, or those of all classes (each
        against the rest, averaged). Default: the event, or the predicted class for K > 2 classes.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether weights are shares of the population or counts of rows. This changes the interval
        of :func:`estimate`, not the value.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.

    Returns
    -------
    miscalibration : float
        At least 0. A calibrated model shows more than 0, since the isotonic regression is fitted to
        the same rows: :func:`estimate` shows how much.

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    Notes
    -----
    It does not show errors that no increasing map can correct, such as a wrong order of the scores.

    References
    ----------
    T. Dimitriadis, T. Gneiting, A. Jordan (2021). Stable reliability diagrams for probabilistic
    classifiers. PNAS 118(8).

    Examples
    --------
    >>> from calibkit import corp_miscalibration
    >>> round(corp_miscalibration([0, 0, 1, 0, 1], [0.1, 0.3, 0.4, 0.8, 0.9]), 3)
    0.122
    """
    check_choice("loss", loss, LOSSES)
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    return float(raw_errors(given, kind, lambda b: _raw(b, loss=loss)).mean())


def decompose_score(
    y_true: Any,
    y_prob: Any = None,
    *,
    loss: Loss = "brier",
    method: Literal["corp", "bins"] = "corp",
    n_bins: Bins = 10,
    strategy: Strategy = "quantile",
    kind: Kind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> ScoreDecomposition:
    """Split a proper score into miscalibration, discrimination and uncertainty.

    Use it to see whether a better score comes from better calibration or from a better ranking.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    loss : {"brier", "log"}, default="brier"
        Brier score of the event, or log loss in nats.
    method : {"corp", "bins"}, default="corp"
        Recalibrate by isotonic regression (CORP), or by the frequencies of bins (Murphy).
    n_bins : int, "auto" or "sweep", default=10
        Number of bins. Ignored by "corp".
    strategy : {"quantile", "uniform", "unique"}, default="quantile"
        Bins, as in :func:`calibration_error`. Ignored by "corp".
    kind : {"binary", "top_label", "classwise"}, optional
        The probability of the event, that of the predicted class, or those of all classes (each
        against the rest, averaged). Default: the event, or the predicted class for K > 2 classes.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        As in :func:`calibration_error`.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.

    Returns
    -------
    parts : ScoreDecomposition
        The parts, which add up to the score exactly.

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    See Also
    --------
    corp_miscalibration : The same miscalibration; :func:`estimate` gives it an interval.
    DecompositionDisplay : Draw the parts of several models.

    References
    ----------
    A. Murphy (1973). A new vector partition of the probability score. Journal of Applied
    Meteorology 12(4). --- D. Stephenson, C. Coelho, I. Jolliffe (2008). Two extra components in the
    Brier score decomposition. Weather and Forecasting 23(4). --- T. Dimitriadis, T. Gneiting, A.
    Jordan (2021). Stable reliability diagrams for probabilistic classifiers. PNAS 118(8).

    Examples
    --------
    >>> from calibkit import decompose_score
    >>> parts = decompose_score([0, 0, 1, 0, 1], [0.1, 0.3, 0.4, 0.8, 0.9])
    >>> round(parts.miscalibration, 3), round(parts.discrimination, 3), round(parts.uncertainty, 3)
    (0.122, 0.14, 0.24)
    """
    check_choice("loss", loss, LOSSES)
    check_choice("method", method, METHODS)

    def parts(problem: Binary | ScoreTable) -> list[float]:
        table = as_table(problem)
        w, wy = table.w, table.wy
        score = before = float(mean_loss(loss, table.p, w, wy))
        if method == "corp":
            after = float(mean_loss(loss, pooled(w, wy), w, wy))
        else:
            used = check_binning(strategy, n_bins, table.n_rows, table.effective_rows)
            sums = table.bins(strategy, used)
            filled = sums.w > 0
            w, wp, wy = (a[filled] for a in (sums.w, sums.wp, sums.wy))
            before, after = (float(mean_loss(loss, p, w, wy)) for p in (wp / w, wy / w))
        total, events = w.sum(keepdims=True), wy.sum(keepdims=True)
        base = float(mean_loss(loss, events / total, total, events))
        return [score, max(before - after, 0.0), max(base - after, 0.0), base, score - before]

    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    found = raw_errors(given, kind, parts).mean(axis=0)
    score, lost, gained, base, within = map(float, found)
    return ScoreDecomposition(score, lost, gained, base, within, loss, method)


SPECS = (
    whole_metric(
        corp_miscalibration,
        "CORP miscalibration",
        Whole(_raw, _kernel, _kernel, 4096, distance=0.5),
        choice_of("loss", LOSSES, "brier"),
        float(np.inf),
    ),
)
