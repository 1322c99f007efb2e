"""Risk-coverage curve: the error among accepted outputs against the share accepted."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import digamma

from .._core.rows import refuse_beside_table, validate_confidence
from .._typing import FloatArray, Weights
from ._spec import Kernel, Metric
from ._table import ScoreTable


class RiskCoverage(NamedTuple):
    """The risk-coverage curve: one entry per distinct score, from high to low.

    Parameters
    ----------
    coverage : ndarray of shape (m,)
        Share of rows at or above the threshold.
    risk : ndarray of shape (m,)
        Error rate among these rows: the share for which the event did not happen.
    thresholds : ndarray of shape (m,)
        The distinct scores, in descending order.

    Examples
    --------
    >>> from calibkit import RiskCoverage, risk_coverage_curve
    >>> curve = risk_coverage_curve([1, 0], [0.9, 0.2])
    >>> isinstance(curve, RiskCoverage), curve.risk
    (True, array([0. , 0.5]))
    """

    coverage: FloatArray
    risk: FloatArray
    thresholds: FloatArray


def risk_coverage_curve(
    y_true: Any,
    y_prob: Any = None,
    *,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
) -> RiskCoverage:
    """Compute the error rate among accepted rows (risk) for each share accepted (coverage).

    Use it to see how well a confidence signal selects correct outputs: the risk should fall as
    fewer outputs are accepted. Only the order of the scores matters.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Whether each output was correct, or the fraction of its trials that were, in [0, 1]; or a
        table of all rows.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Confidence that the output was correct. For K > 2 classes the probability of each, with
        class labels as ``y_true``: the output is then the predicted class.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether weights are shares of the population or counts of rows. The curve is the same.
    pos_label : label, optional
        The label that means correct; default: the larger label.

    Returns
    -------
    curve : RiskCoverage
        Arrays ``coverage``, ``risk`` and ``thresholds``. Rows of equal score are accepted together.

    Raises
    ------
    ValueError
        If the data are invalid.

    References
    ----------
    R. El-Yaniv, Y. Wiener (2010). On the foundations of noise-free selective classification.
    Journal of Machine Learning Research 11.

    Examples
    --------
    >>> from calibkit import risk_coverage_curve
    >>> curve = risk_coverage_curve([1, 1, 0, 0], [0.9, 0.8, 0.8, 0.1])
    >>> curve.coverage
    array([0.25, 0.75, 1.  ])
    >>> curve.risk.round(3)
    array([0.   , 0.333, 0.5  ])
    """
    table = _table_of(y_true, y_prob, sample_weight, weights, pos_label)
    n, wrong = np.cumsum(table.w[::-1]), np.cumsum((table.w - table.wy)[::-1])
    return RiskCoverage(n / n[-1], np.clip(wrong / n, 0.0, 1.0), table.p[::-1].copy())


def area_under_risk_coverage(
    y_true: Any,
    y_prob: Any = None,
    *,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
) -> float:
    """Compute the area under the risk-coverage curve, the mean risk; smaller is better.

    Use it to compare signals on the same outputs. It depends on the error rate and on the ranking:
    for an uninformative signal it equals the error rate, for a perfect signal it is slightly more
    than half of the squared error rate.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Whether each output was correct, or the fraction of its trials that were, in [0, 1]; or a
        table of all rows.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Confidence that the output was correct. For K > 2 classes the probability of each, with
        class labels as ``y_true``: the output is then the predicted class.
    sample_weight : array-like of shape (n,), optional
        Weights >= 0.
    weights : {"sampling", "frequency"}, default="sampling"
        Whether weights are shares of the population or counts of rows. Shares are scaled to the
        effective number of rows, ``sum(w)**2 / sum(w**2)`` (Kish 1965).
    pos_label : label, optional
        The label that means correct; default: the larger label.

    Returns
    -------
    area : float
        In [0, 1].

    Raises
    ------
    ValueError
        If the data are invalid.

    Notes
    -----
    Sort the rows by score, from high to low. The area is the mean, over k = 1..n, of the share of
    wrong rows among the first k. For rows of equal score the expectation over their random order is
    taken: a block of m rows, v of them wrong, after N rows, V of them wrong, adds
    ``sum_j (V + j * v / m) / (N + j)``. The digamma function gives this sum in closed form, for
    weights too. ``estimate(area_under_risk_coverage, ...)`` adds an interval, with groups if there
    are any.

    References
    ----------
    Y. Geifman, G. Uziel, R. El-Yaniv (2019). Bias-reduced uncertainty estimation for deep neural
    classifiers. ICLR.

    Examples
    --------
    >>> from calibkit import area_under_risk_coverage
    >>> area = area_under_risk_coverage([1, 1, 0, 0], [0.9, 0.8, 0.3, 0.1])
    >>> round(area, 6), round((0 + 0 + 1 / 3 + 1 / 2) / 4, 6)
    (0.208333, 0.208333)
    """
    table = _table_of(y_true, y_prob, sample_weight, weights, pos_label)
    return float(_area(_blocks(table.w, table.wy, table.effective_rows)))


class _Blocks(NamedTuple):
    """Blocks of rows with equal scores, from high scores to low, over the last axis."""

    size: FloatArray  # in rows
    rate: FloatArray  # of wrong ones
    n: FloatArray  # rows so far
    harmonic: FloatArray  # sum of 1 / k over the places k of a block
    total: FloatArray  # sum of the risks at these places


def _blocks(w: FloatArray, wy: FloatArray, n_rows: FloatArray | float) -> _Blocks:
    """Return the blocks, scaled to ``n_rows`` rows in total."""
    w, wy = w[..., ::-1], wy[..., ::-1]
    size = w * (n_rows / w.sum(axis=-1))[..., None]
    rate = np.divide(w - wy, w, out=np.zeros_like(w), where=w > 0)
    n, wrong = np.cumsum(size, axis=-1), np.cumsum(rate * size, axis=-1)
    before, wrong_before = (_shifted(a) for a in (n, wrong))
    # sum_j (V + j r) / (N + j) = r m + (V - r N) * sum_j 1 / (N + j)
    harmonic = digamma(n + 1.0) - digamma(before + 1.0)
    total = rate * size + (wrong_before - rate * before) * harmonic
    total = np.where(size == 1.0, wrong / np.maximum(n, 1.0), total)  # the same, without rounding
    return _Blocks(size, rate, n, harmonic, total)


def _shifted(sums: FloatArray) -> FloatArray:
    return np.concatenate((np.zeros_like(sums[..., :1]), sums[..., :-1]), axis=-1)


def _area(b: _Blocks) -> FloatArray:
    return np.clip(b.total.sum(axis=-1) / b.n[..., -1], 0.0, 1.0)


def _kernel(table: ScoreTable) -> Kernel:
    return lambda w, wy: _area(_blocks(w, wy, table.effective_rows))


def _influence(table: ScoreTable) -> tuple[FloatArray, FloatArray]:
    """Return the influence of a unit of weight on the area, without and with the event.

    A row at score s adds the risk r(s) there. It moves the risk at every lower score t by
    ``v - r(t)`` over the share of rows at or above t, with v = 1 if the row is wrong.
    """
    b = _blocks(table.w, table.wy, table.effective_rows)
    risk = np.divide(b.total, b.size, out=b.rate.copy(), where=b.size > 0)
    # The place of a row inside its own block is random.
    passed = _shifted(b.n) * b.harmonic
    own = 1.0 - np.divide(passed, b.size, out=np.ones_like(b.n), where=b.size > 0)
    after = np.cumsum(b.harmonic[::-1])[::-1] - b.harmonic + own
    moved = np.cumsum((risk * b.harmonic)[::-1])[::-1] - risk * b.harmonic + risk * own
    right = risk - _area(b) - moved
    each = np.array([right + after, right])  # wrong, right
    weight = np.array([b.rate, 1.0 - b.rate]) * b.size / b.n[-1]
    each = (each - (weight * each).sum())[:, ::-1] / table.w.sum()
    return each[0], each[1]


def _table_of(
    y_true: Any, y_prob: Any, sample_weight: Any, weights: Weights, pos_label: Any
) -> ScoreTable:
    if isinstance(y_true, ScoreTable):
        refuse_beside_table(y_prob, sample_weight, pos_label)
        return y_true
    given = y_true, y_prob, sample_weight, weights, pos_label
    return ScoreTable._from_binary(validate_confidence(*given))


_LABEL = "area under risk-coverage curve"
SPECS = (
    Metric(
        area_under_risk_coverage, "risk", _LABEL, False, (0.0, 1.0), _kernel, influence=_influence
    ),
)
