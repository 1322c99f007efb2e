"""ICI, E50, E90 and Emax: how far a local regression of the labels lies from the diagonal."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .._core.params import check_choice, check_real
from .._core.rows import Binary
from .._numerics.loess import local_lines
from .._numerics.loess import summary as quantile
from .._typing import FloatArray, Kind, Weights
from ._spec import Kernel, Whole
from ._table import ScoreTable
from ._whole import as_table, raw_errors, whole_metric

#: Cells on which the curve is computed.
_CELLS = 512
#: Names of the summaries, and the quantile of each; ICI is the mean.
SUMMARIES = {"ici": None, "e50": 0.5, "e90": 0.9, "emax": 1.0}


def loess_calibration_error(
    y_true: Any,
    y_prob: Any = None,
    *,
    summary: Literal["ici", "e50", "e90", "emax"] = "ici",
    span: float = 0.75,
    kind: Kind | None = None,
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
    kind : {"binary", "top_label", "classwise"}, optional
        The probability of the event, that of the predicted class, or those of all classes (their
        errors are averaged). Default: the event, or the predicted class for K > 2 classes.
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
    The curve consists of local lines with tricube weights. There are no robustness steps, and the
    curve is not clipped to [0, 1]. Other packages give other numbers: Austin and Steyerberg fit
    local parabolas (degree 2), others smooth log-odds or use splines, and some ignore weights.
    Local lines reproduce the diagonal, so the curve of a calibrated model is unbiased. Local
    parabolas are unbiased too, but noisier. More than 512 distinct probabilities are first put
    into cells of about equal weight. A wide span hides errors
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
    chosen = _settings("binary", 2, summary=summary, span=span)
    given = y_true, y_prob, sample_weight, weights, pos_label, classes
    return float(raw_errors(given, kind, lambda b: _raw(b, **chosen)).mean())


def _settings(
    kind: Kind,
    n: int,
    effective: float | None = None,
    *,
    summary: str = "ici",
    span: float = 0.75,
) -> dict[str, Any]:
    check_choice("summary", summary, SUMMARIES)
    check_real("span", span, low=0.0, high=1.0, open_low=True)
    return {"summary": summary, "span": span, "kind": kind}


def _kernel(cells: ScoreTable, *, summary: str, span: float, **_: Any) -> Kernel:
    lines, share = local_lines(cells.p, cells.w, span), SUMMARIES[summary]

    def error(w: FloatArray, wy: FloatArray) -> FloatArray:
        gap = np.minimum(np.abs(lines(w, wy - w * cells.p)), 1.0)
        if share is None:
            return np.asarray((gap * w).sum(axis=-1) / w.sum(axis=-1))
        return np.where(w > 0, gap, 0.0).max(axis=-1) if share == 1.0 else quantile(gap, w, share)

    return error


def _raw(problem: Binary | ScoreTable, **settings: Any) -> float:
    cells = as_table(problem).coarsen(_CELLS)
    return float(_kernel(cells, **settings)(cells.w, cells.wy))


SPECS = (
    whole_metric(
        loess_calibration_error,
        "loess calibration error",
        Whole(_raw, _kernel, _kernel, _CELLS),
        _settings,
        1.0,
    ),
)
