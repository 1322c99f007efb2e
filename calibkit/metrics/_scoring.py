"""Brier score, log loss, their skill scores against the base rate, and the ROC AUC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.errors import InputError
from .._core.rows import reduce_rows
from .._numerics.influence import area_influence
from .._numerics.losses import brier_rows, log_rows
from .._typing import FloatArray, Kind, Weights
from ._spec import Kernel, Metric
from ._table import ScoreTable, validate_given

RowsLoss = Callable[[FloatArray, np.ndarray], FloatArray]


def _loss_kernel(rows_loss: RowsLoss) -> Callable[[ScoreTable], Kernel]:
    """Return the mean loss on the cells of a table."""

    def kernel(table: ScoreTable) -> Kernel:
        no, yes = (rows_loss(table.p, np.full(len(table), label)) for label in (0, 1))
        return lambda w, wy: (wy @ yes + (w - wy) @ no) / w.sum(axis=-1)

    return kernel


_brier_kernel, _log_kernel = _loss_kernel(brier_rows), _loss_kernel(log_rows)


def _gini(share: FloatArray) -> FloatArray:
    """Return the Brier score of forecasting the class shares, over the last axis."""
    # Products only: 1 - share @ share would lose classes below 1e-16.
    ordered = np.sort(share, axis=-1)
    before = np.cumsum(ordered[..., :-1], axis=-1)
    total = (ordered[..., 1:] * before).sum(axis=-1)
    return total if share.shape[-1] == 2 else 2.0 * total


def _entropy(share: FloatArray) -> FloatArray:
    """Return the log loss of forecasting the class shares, over the last axis."""
    ordered = np.sort(share, axis=-1)
    rest = ordered[..., :-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        # The logarithm of the largest share from its distance to 1, which rounding would lose.
        terms = np.where(rest > 0, rest * np.log(rest), 0.0).sum(axis=-1)
        return -terms - ordered[..., -1] * np.log1p(-rest.sum(axis=-1))


def _skill_metric(
    function: Callable[..., float],
    label: str,
    score: Callable[[ScoreTable], Kernel],
    loss: RowsLoss,
    base: Callable[[FloatArray], FloatArray],
) -> Metric:
    """Return the skill score of a loss, against the base rate."""

    def kernel(table: ScoreTable) -> Kernel:
        value = score(table)

        def skill(w: FloatArray, wy: FloatArray) -> FloatArray:
            counts = np.stack(((w - wy).sum(axis=-1), wy.sum(axis=-1)), axis=-1)
            reference = base(counts / w.sum(axis=-1)[..., None])
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(reference > 0, 1.0 - value(w, wy) / reference, np.nan)

        return skill

    ends = (-np.inf, 1.0)
    return Metric(function, "skill", label, True, ends, kernel, loss=loss, reference=base)


def _auc_kernel(table: ScoreTable) -> Kernel:
    def auc(w: FloatArray, wy: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            # Shares first: products of weights could overflow or underflow.
            yes, no = wy / wy.sum(axis=-1)[..., None], w - wy
            no = no / no.sum(axis=-1)[..., None]
            below = np.cumsum(no, axis=-1) - 0.5 * no
            return np.clip((yes * below).sum(axis=-1), 0.0, 1.0)

    return auc


def _auc_influence(table: ScoreTable) -> tuple[FloatArray, FloatArray]:
    _, event, other = area_influence(table.wy, table.w - table.wy)
    return other, event


def _mean_loss(
    rows_loss: RowsLoss, kernel: Callable[[ScoreTable], Kernel], *given: Any
) -> tuple[float, FloatArray]:
    """Return the mean loss and the share of each class."""
    rows = validate_given(*given)
    if isinstance(rows, ScoreTable):
        w, wy = rows.w, rows.wy
        shares = np.array([(w - wy).sum(), wy.sum()])
        mean = float(kernel(rows)(w, wy))
        if rows.losses is not None:
            mean = float(rows.losses[int(rows_loss is log_rows)] / w.sum())
        return mean, shares / shares.sum()
    loss = rows_loss(rows.scores.values, rows.y)
    mean = float(np.average(loss, weights=rows.w))
    if rows.y.dtype.kind == "f":
        each = np.ones(len(rows.y)) if rows.w is None else rows.w
        shares = np.array([each @ (1.0 - rows.y), each @ rows.y])
    else:
        shares = np.bincount(rows.y, rows.w, minlength=rows.scores.n_classes)
    return mean, shares / shares.sum()


def _skill(value: float, reference: float) -> float:
    if reference <= 0:
        raise InputError(
            "y_true holds one class only, so the base rate is a perfect forecast and the skill is "
            "not defined; expected rows of both classes."
        )
    return 1.0 - value / reference


def brier_score(
    y_true: Any,
    y_prob: Any = None,
    *,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute the Brier score: the mean squared error of probabilities; smaller is better.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1]: a
        fraction k/n counts as n rows with k events, which share its weight.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
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
    score : float
        In [0, 1] for two classes. For K > 2 classes the squares are summed over the classes (Brier
        1950), so it is in [0, 2], as in scikit-learn.

    Raises
    ------
    ValueError
        If the data are invalid.

    References
    ----------
    G. Brier (1950). Verification of forecasts expressed in terms of probability. Monthly Weather
    Review 78(1).

    Examples
    --------
    >>> from calibkit import brier_score
    >>> round(brier_score([0, 1, 1], [0.1, 0.8, 0.6]), 4)
    0.07
    """
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    return _mean_loss(brier_rows, _brier_kernel, *given)[0]


def brier_skill_score(
    y_true: Any,
    y_prob: Any = None,
    *,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute the Brier skill score: the improvement over the base rate; larger is better.

    1 is perfect, 0 is as good as always predicting the base rate, and a negative skill is worse
    than that. Report it together with a calibration error: if both are near 0, the probabilities
    are calibrated but useless.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1]: a
        fraction k/n counts as n rows with k events, which share its weight.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
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
    skill : float
        ``1 - brier / reference``, where the reference is the Brier score of always predicting
        the base rate of these rows.

    Raises
    ------
    ValueError
        If the data are invalid, or hold one class only.

    References
    ----------
    C. Spiess et al. (2025). Calibration and correctness of language models for code. ICSE,
    section on metrics.

    Examples
    --------
    >>> from calibkit import brier_skill_score
    >>> round(brier_skill_score([0, 1, 1, 0], [0.1, 0.8, 0.6, 0.3]), 2)
    0.7
    """
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    value, share = _mean_loss(brier_rows, _brier_kernel, *given)
    return _skill(value, float(_gini(share)))


def log_loss(
    y_true: Any,
    y_prob: Any = None,
    *,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute the log loss: the mean negative log-likelihood in nats; smaller is better.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1]: a
        fraction k/n counts as n rows with k events, which share its weight.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
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
    loss : float
        At least 0. If the probability of the true label is below 2.2e-16 it counts as 2.2e-16
        (36 nats), as in scikit-learn. Otherwise a single row could make the loss infinite.

    Raises
    ------
    ValueError
        If the data are invalid.

    Examples
    --------
    >>> from calibkit import log_loss
    >>> round(log_loss([0, 1, 1], [0.1, 0.8, 0.6]), 4)
    0.2798
    """
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    return _mean_loss(log_rows, _log_kernel, *given)[0]


def log_loss_skill_score(
    y_true: Any,
    y_prob: Any = None,
    *,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute the log-loss skill score: the improvement over the base rate; larger is better.

    1 is perfect, 0 is as good as always predicting the class shares.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1]: a
        fraction k/n counts as n rows with k events, which share its weight.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
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
    skill : float
        ``1 - log_loss / entropy``, with the entropy of the class shares of these rows.

    Raises
    ------
    ValueError
        If the data are invalid, or hold one class only.

    Examples
    --------
    >>> from calibkit import log_loss_skill_score
    >>> round(log_loss_skill_score([0, 1, 1, 0], [0.1, 0.8, 0.6, 0.3]), 2)
    0.57
    """
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    value, share = _mean_loss(log_rows, _log_kernel, *given)
    return _skill(value, float(_entropy(share)))


def roc_auc(
    y_true: Any,
    y_prob: Any = None,
    *,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Compute the area under the ROC curve (ROC AUC): how well the scores rank the rows.

    It does not depend on calibration.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows. For two classes also fractions of events in [0, 1]: a
        fraction k/n counts as n rows with k events, which share its weight.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class (the areas of each class
        against the rest are then averaged).
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
    auc : float
        In [0, 1].

    Raises
    ------
    ValueError
        If the data are invalid, or a class has no rows.

    Examples
    --------
    >>> from calibkit import roc_auc
    >>> roc_auc([0, 1, 1, 0], [0.1, 0.8, 0.2, 0.3])
    0.75
    """
    rows = validate_given(y_true, y_prob, sample_weight, weights, pos_label, classes)
    if isinstance(rows, ScoreTable):
        tables = [rows]
    else:
        kind: Kind = "binary" if rows.scores.n_classes == 2 else "classwise"
        tables = [ScoreTable._from_binary(b) for b in reduce_rows(rows, kind)]
    value = float(np.mean([_auc_kernel(t)(t.w, t.wy) for t in tables]))
    if np.isnan(value):
        raise InputError(
            "y_true has no rows of some class, or rows of almost no weight, so the AUC is not "
            "defined; expected rows of every class."
        )
    return value


SPECS = (
    Metric(brier_score, "loss", "Brier score", False, (0.0, 1.0), _brier_kernel, loss=brier_rows),
    _skill_metric(brier_skill_score, "Brier skill score", _brier_kernel, brier_rows, _gini),
    Metric(log_loss, "loss", "log loss", False, (0.0, np.inf), _log_kernel, loss=log_rows),
    _skill_metric(log_loss_skill_score, "log loss skill score", _log_kernel, log_rows, _entropy),
    Metric(roc_auc, "area", "ROC AUC", True, (0.0, 1.0), _auc_kernel, influence=_auc_influence),
)
