"""Errors of forecasts as they develop: from the start, and over the last rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.errors import InputError
from .._core.params import check_int
from .._core.rows import Binary, validate_stream_rows
from .._numerics.binning import assign, uniform_borders
from .._numerics.losses import brier_rows, log_rows
from .._typing import FloatArray, IntArray, StreamKind

#: Times in a report, unless they are given.
_N_TIMES = 200
#: Each bin has its sums at all of these times.
_MOST_BINS = 10_000


@dataclass(frozen=True)
class Prequential:
    """Errors of forecasts at several times; all arrays have one value per time.

    Parameters
    ----------
    time : ndarray of int
        Rows of the stream up to then.
    n : ndarray of int
        Labels among the rows that are measured.
    calibration_error : ndarray
        Mean gap of forecasts and outcomes over the bins.
    chance : ndarray
        About what calibrated forecasts would show there: the noise of the outcomes.
    sharpness : ndarray
        Mean squared outcome of the bins; larger is better.
    brier : ndarray
        Brier score.
    log_loss : ndarray
        Log loss.
    window : int or None
        Rows that are measured, the last so many; None for all from the start on.
    sliding : Prequential or None
        The same in the sliding window, if there is one.

    Examples
    --------
    >>> from calibkit import prequential_errors
    >>> report = prequential_errors([0, 1, 1, 0], [0.2, 0.7, 0.8, 0.6], times=[2, 4], window=2)
    >>> report.brier.round(3), report.sliding.brier.round(3)
    (array([0.065, 0.132]), array([0.065, 0.2  ]))
    """

    time: IntArray
    n: IntArray = field(repr=False)
    calibration_error: FloatArray
    chance: FloatArray = field(repr=False)
    sharpness: FloatArray
    brier: FloatArray = field(repr=False)
    log_loss: FloatArray = field(repr=False)
    window: int | None = None
    sliding: Prequential | None = None


def prequential_errors(
    y_true: Any,
    y_prob: Any,
    *,
    times: Any = None,
    window: int | None = None,
    start: int = 0,
    n_bins: int = 10,
    kind: StreamKind | None = None,
    pos_label: Any = None,
    classes: Any = None,
) -> Prequential:
    """Calibration error, sharpness and proper scores of forecasts over time.

    Use it on forecasts that were each made before their label, such as those of
    ``predict_then_update``.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels in the order of time; None or NaN where there is none, which is skipped.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Forecasts: probabilities of the larger label, or of every class.
    times : array-like of int, optional
        After how many rows to measure, in ascending order; by default at 200 times evenly spread
        from ``start`` to the end.
    window : int, optional
        Measure the last ``window`` rows too.
    start : int, default=0
        Rows at the beginning that are left out, while methods find their feet.
    n_bins : int, default=10
        Number of equal-width bins, at most 10,000.
    kind : {"binary", "top_label"}, optional
        Which probabilities: of the event, or of the winning class being right. Default: the event,
        or the winning class for K > 2 classes.
    pos_label : label, optional
        The event, for two classes; default: the larger label.
    classes : array-like, optional
        All class labels in sorted order, where ``y_true`` may miss some.

    Returns
    -------
    report : Prequential
        Errors over the rows from ``start`` to each time, and in ``report.sliding`` over the last
        ``window`` of these. They are NaN where no row has a label.

    Raises
    ------
    ValueError
        If the data are not of the kind described.

    Notes
    -----
    Of T labels let N_b be in bin b, with mean forecast f_b and mean label y_b. Then the
    calibration error is ``sum(N_b / T * abs(f_b - y_b))``, the plug-in of
    :func:`expected_calibration_error` with ``strategy="uniform"``, and the sharpness is
    ``sum(N_b / T * y_b**2)``. It lies between the square of the mean label and the mean label: the
    Brier score of the bins' mean labels is the mean label less the sharpness. Bins hold their
    lower ends; those of the paper hold the upper ones.

    The gap of a bin is noisy even if forecasts are right, so the plug-in is above 0, and the
    shorter the window the more: ``chance`` is ``sum(sqrt(2 / pi * sum(p * (1 - p)))) / T``, the
    mean size of a normal gap, summed over the bins. O(n + times * bins).

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML. Section 4.
    A. P. Dawid (1984). Statistical theory: the prequential approach. JRSS A 147(2).

    Examples
    --------
    A model that is right for half of the time.

    >>> import numpy as np
    >>> from calibkit import prequential_errors
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(20_000)
    >>> truth = np.where(np.arange(20_000) < 10_000, p, p**2)
    >>> y = rng.random(20_000) < truth
    >>> report = prequential_errors(y, p, times=[10_000, 15_000, 20_000], window=5000)
    >>> report.calibration_error.round(2), report.sliding.calibration_error.round(2)
    (array([0.01, 0.05, 0.08]), array([0.01, 0.16, 0.18]))
    """
    check_int("n_bins", n_bins, low=1, high=_MOST_BINS)
    check_int("start", start, low=0)
    if window is not None:
        check_int("window", window, low=1)
    binary, rows, n, _ = validate_stream_rows(y_true, y_prob, kind, pos_label, classes)
    time = _times(times, int(start), n)
    first = np.full(len(time), int(start))
    later = first if window is None else np.maximum(first, time - int(window))
    sums = _Sums(binary, rows, np.unique(np.concatenate((time, first, later))), int(n_bins))
    sliding = None if window is None else sums.between(later, time, int(window), None)
    return sums.between(first, time, None, sliding)


def _times(given: Any, start: int, n: int) -> IntArray:
    if start >= n:
        raise InputError(f"start={start} and {n} rows; expected rows after the start.")
    if given is None:
        part = np.arange(1, _N_TIMES + 1, dtype=np.int64)
        return np.unique(start - (start - n) * part // _N_TIMES)  # rounded up, so after the start
    time = np.asarray(given)
    if time.ndim != 1 or time.size == 0 or time.dtype.kind not in "iu":
        raise InputError(
            f"times has shape {time.shape} and dtype {time.dtype}; expected a list of ints, "
            "numbers of rows."
        )
    time = time.astype(np.int64)
    if (np.diff(time) <= 0).any() or time[0] <= start or time[-1] > n:
        raise InputError(
            f"times go from {time.min()} to {time.max()}; expected ascending numbers of rows, more "
            f"than start={start} and at most {n}."
        )
    return time


class _Sums:
    """Sums over all labelled rows before each of some cuts: differences are sums between cuts."""

    def __init__(self, data: Binary, rows: IntArray, cuts: IntArray, n_bins: int) -> None:
        self.cuts = cuts
        part = np.searchsorted(cuts, rows, side="right")
        cell = part * n_bins + assign(data.p, uniform_borders(n_bins))
        self.n = self._before(cell, None, n_bins)
        self.p = self._before(cell, data.p, n_bins)
        self.y = self._before(cell, data.y, n_bins)
        self.noise = self._before(cell, data.p * (1.0 - data.p), n_bins)
        self.brier = self._before(part, brier_rows(data.p, data.y), 1)
        self.log_loss = self._before(part, log_rows(data.p, data.y), 1)

    def _before(self, cell: IntArray, value: FloatArray | IntArray | None, m: int) -> FloatArray:
        sums = np.bincount(cell, value, minlength=(len(self.cuts) + 1) * m)
        return np.cumsum(sums.reshape(-1, m), axis=0, dtype=np.float64)

    def between(
        self, first: IntArray, last: IntArray, window: int | None, sliding: Prequential | None
    ) -> Prequential:
        """Errors of the rows from ``first`` up to ``last``, each pair a row of the report."""
        i, j = np.searchsorted(self.cuts, first), np.searchsorted(self.cuts, last)
        n, p, y, noise = (s[j] - s[i] for s in (self.n, self.p, self.y, self.noise))
        total = n.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return Prequential(
                last,
                total.astype(np.int64),
                np.abs(p - y).sum(axis=1) / total,
                # Rounding may leave a bin that is empty a little below 0.
                np.sqrt(2.0 / np.pi * np.maximum(noise, 0.0)).sum(axis=1) / total,
                (y * y / np.maximum(n, 1.0)).sum(axis=1) / total,
                (self.brier[j] - self.brier[i])[:, 0] / total,
                (self.log_loss[j] - self.log_loss[i])[:, 0] / total,
                window,
                sliding,
            )
