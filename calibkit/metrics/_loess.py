"""ICI, E50, E90 and Emax: how far a local regression of the labels lies from the diagonal."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .._core.params import check_choice, check_real
from .._core.rows import Binary
from .._numerics.inversion import MOST_CHANGE
from .._numerics.loess import local_lines, summary
from .._typing import FloatArray, IntArray, Kind, Weights
from ._draws import group_noise, label_draws
from ._line import OneKind, one_table
from ._spec import RULES, Interval, Kernel, Metric
from ._table import ScoreTable

#: Cells on which the curve is computed.
_CELLS = 512
#: Names of the summaries, and the quantile of each; ICI is the mean.
SUMMARIES = {"ici": None, "e50": 0.5, "e90": 0.9, "emax": 1.0}
#: Steps of the search for an end of the interval.
_STEPS = 14
#: Part of each half of the error probability that an end uses: the shape of the curve is estimated.
_ALLOWANCE = 0.88


def loess_calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    summary: Literal["ici", "e50", "e90", "emax"] = "ici",
    span: float = 0.75,
    kind: OneKind | None = None,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
) -> float:
    """Measure how far a smooth calibration curve lies from the diagonal: ICI, E50, E90 or Emax.

    The curve is a local linear regression (loess) of the labels on the probabilities.
    :func:`estimate` adds an interval and the value of a calibrated model, which is not 0.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels of rows that the model was not fitted on, or a table of all rows.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    summary : {"ici", "e50", "e90", "emax"}, default="ici"
        Mean of the distance over the rows (integrated calibration index), its median, its 90%
        quantile, or its maximum.
    span : float, default=0.75
        Share of the rows, by weight, in each window of the regression; in (0, 1].
    kind : {"binary", "top_label"}, optional
        The event, or the predicted class. Default: the predicted class for K > 2 classes.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether a weight is a row's share of the population or a count of rows.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.

    Returns
    -------
    error : float
        In [0, 1].

    Raises
    ------
    ValueError
        If the data or settings are invalid.

    Notes
    -----
    Local lines with tricube weights, without robustness steps and not cut at 0 and 1. Other
    packages give other numbers: Austin and Steyerberg fit local parabolas (degree 2), others
    smooth log-odds or use splines, and some ignore weights. Local lines reproduce the diagonal, so
    the curve of a calibrated model is unbiased; a parabola is too, but noisier. More than 512
    distinct probabilities are put into cells of about equal weight first. A wide span hides errors
    that change sign within it.

    References
    ----------
    P. Austin, E. Steyerberg (2019). The integrated calibration index (ICI) and related metrics for
    quantifying the calibration of logistic regression models. Statistics in Medicine 38. ---
    W. Cleveland (1979). Robust locally weighted regression and smoothing scatterplots. JASA 74.

    Examples
    --------
    >>> from calibkit import loess_calibration_error
    >>> y, p = [0, 0, 1, 0, 1, 1, 1] * 9, [0.1, 0.2, 0.4, 0.5, 0.6, 0.8, 0.9] * 9
    >>> round(loess_calibration_error(y, p), 2), round(loess_calibration_error(y, p, span=0.2), 2)
    (0.12, 0.3)
    """
    _check(summary, span)
    table = one_table((y_true, y_prob, sample_weight, weights, pos_label, classes), kind)
    cells = table.coarsen(_CELLS)
    return min(float(_kernel(cells, summary=summary, span=span)(cells.w, cells.wy)), 1.0)


def _check(summary: Any, span: Any) -> None:
    check_choice("summary", summary, SUMMARIES)
    check_real("span", span, low=0.0, high=1.0, open_low=True)


def _settings(
    kind: Kind,
    n: int,
    effective: float | None = None,
    summary: str = "ici",
    span: float = 0.75,
    **params: Any,
) -> dict[str, Any]:
    _check(summary, span)
    return {"kind": kind, "summary": summary, "span": span, **params}


def _distance(gap: FloatArray, cells: ScoreTable, which: str) -> FloatArray:
    """The summary of a smooth gap."""
    size = np.abs(gap)
    share = SUMMARIES[which]
    if share is None:
        return np.asarray(size @ cells.w / cells.w.sum())
    return size.max(axis=-1) if share == 1.0 else summary(size, cells.w, share)


def _kernel(table: ScoreTable, *, summary: str, span: float, **_: Any) -> Kernel:
    smooth: list[FloatArray] = []
    which = summary

    def error(w: FloatArray, wy: FloatArray) -> FloatArray:
        same = w.ndim == 1 or w.strides[0] == 0
        if not same:
            return np.array([_alone(table, a, b, which, span) for a, b in zip(w, wy, strict=True)])
        if not smooth:
            smooth.append(local_lines(table.p, table.w, span))
        gap = (wy / table.w - table.p) @ smooth[0].T
        return _distance(gap, table, which)

    return error


def _alone(table: ScoreTable, w: FloatArray, wy: FloatArray, which: str, span: float) -> float:
    """The error of rows drawn with replacement, whose weights differ from draw to draw."""
    kept = w > 0
    p, w, wy = table.p[kept], w[kept], wy[kept]
    own = ScoreTable(p, w.astype(np.int64), w, wy, w, wy, wy)
    return float(_distance(local_lines(p, w, span) @ (wy / w - p), own, which))


def _ends(
    table: ScoreTable,
    rows: Binary | None,
    groups: IntArray | None,
    level: float,
    rng: np.random.Generator,
    n_draws: int,
    *,
    summary: str,
    span: float,
    **_: Any,
) -> Interval:
    """The errors of multiples of the observed gap under which the observed error is not extreme.

    A calibrated model is one of them, so the interval begins above 0 only above the null band.
    """
    cells = table.coarsen(_CELLS)
    smooth = local_lines(cells.p, cells.w, span)
    noise = None if groups is None or rows is None else group_noise(table, cells, rows, groups)
    drawn = np.concatenate(list(label_draws(cells, n_draws, rng, noise)))
    drawn = (drawn - cells.w * cells.p) / cells.w
    gap = smooth @ (cells.wy / cells.w - cells.p)
    observed = float(_distance(gap, cells, summary))
    null = np.maximum(cells.p * (1.0 - cells.p), 1e-12)

    def truth(c: float) -> FloatArray:
        return np.clip(cells.p + c * gap, 0.0, 1.0)

    def errors(c: float) -> FloatArray:
        q = truth(c)
        ratio = np.sqrt(np.clip(q * (1.0 - q) / null, *MOST_CHANGE))
        return _distance(q - cells.p + (drawn * ratio) @ smooth.T, cells, summary)

    def size(c: float) -> float:
        return float(_distance(truth(c) - cells.p, cells, summary))

    tail = _ALLOWANCE * 0.5 * (1.0 - level)
    at_null = errors(0.0)
    low = 0.0
    if observed > np.quantile(at_null, 1.0 - 0.5 * (1.0 - level)):
        low = size(_crossing(lambda c: float(np.quantile(errors(c), 1.0 - tail)) - observed))
    target = max(observed, float(np.quantile(at_null, 0.25)))
    high = size(_crossing(lambda c: float(np.quantile(errors(c), tail)) - target))
    return Interval(min(low, observed), max(high, observed), RULES["curve"].method)


def _crossing(excess: Any) -> float:
    """Where a growing function of the multiple crosses 0, from 0 on."""
    low, high = 0.0, 1.0
    while excess(high) < 0 and high < 1e3:
        low, high = high, 2.0 * high
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        if excess(middle) < 0:
            low = middle
        else:
            high = middle
    return high


SPECS = (
    Metric(
        loess_calibration_error,
        "curve",
        "loess calibration error",
        False,
        (0.0, 1.0),
        _kernel,
        settings=_settings,
        ends=_ends,
    ),
)
