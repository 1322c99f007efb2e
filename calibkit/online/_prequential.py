"""Errors of forecasts over time: from the start, and over a sliding window."""

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

#: Default number of times in a report.
_N_TIMES = 200
#: Limit of bins: each bin has sums at all times.
_MOST_BINS = 10_000


@dataclass(frozen=True)
class Prequential:
    """Errors of forecasts at several times; every array has one value per time.

    Parameters
    ----------
    time : ndarray of int
        Number of rows so far.
    n : ndarray of int
        Number of labels that are measured.
    calibration_error : ndarray
        Weighted mean of the difference between forecast and event rate over the bins (ECE).
    chance : ndarray
        Approximate calibration error that calibrated forecasts would have here, by noise alone.
    sharpness : ndarray
        Weighted mean of the squared event rates of the bins; larger is better.
    brier : ndarray
        Brier score.
    log_loss : ndarray
        Log loss.
    window : int or None
        Number of latest rows that are measured; None for all rows from ``start``.
    sliding : Prequential or None
        The errors over the sliding window, if ``window`` was passed.

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
    """Measure calibration error, sharpness, Brier score and log loss of forecasts over time.

    Use it on forecasts that were each made before their label, such as those of
    ``predict_then_update``. :class:`DriftDisplay` plots the result.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels in time order; None or NaN is skipped.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Forecasts: probabilities of the larger label, or of every class.
    times : array-like of int, optional
        Numbers of rows after which to measure, in ascending order. Default: 200 times, evenly
        spaced from ``start`` to the end.
    window : int, optional
        Also measure the last ``window`` rows.
    start : int, default=0
        Number of rows to leave out at the beginning. An online method is miscalibrated at first;
        skip its first 1,000 rows.
    n_bins : int, default=10
        Number of equal-width bins, at most 10,000.
    kind : {"binary", "top_label"}, optional
        Measure the probability of the event, or of the predicted class being right. Default:
        "binary" for two classes, "top_label" for more.
    pos_label : label, optional
        The event, for two classes. Default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.

    Returns
    -------
    report : Prequential
        Errors over the rows from ``start`` to each time; in ``report.sliding``, over the last
        ``window`` of these rows. NaN if none of the rows has a label.

    Raises
    ------
    ValueError
        If the data are invalid.

    Notes
    -----
    Of T labels let N_b be in bin b, with mean forecast f_b and event rate y_b. The calibration
    error is ``sum(N_b / T * abs(f_b - y_b))``, which is :func:`expected_calibration_error` with
    ``strategy="uniform"``. The sharpness is ``sum(N_b / T * y_b**2)``; it lies between the square
    of the event rate and the event rate. The Brier score of the event rates of the bins is the
    event rate minus the sharpness. Bins include their lower borders; those of the paper include the
    upper ones.

    The event rate of a bin is noisy, so the calibration error is above 0 even for calibrated
    forecasts, and more so in a short window. Compare it with ``chance``, which is
    ``sum(sqrt(2 / pi * sum(p * (1 - p)))) / T``: the mean absolute value of a normal error in each
    bin, summed over the bins. The cost is O(n + times * bins).

    References
    ----------
    C. Gupta, A. Ramdas (2023). Online Platt scaling with calibeating. ICML. Section 4.
    A. P. Dawid (1984). Statistical theory: the prequential approach. JRSS A 147(2).

    Examples
    --------
    The model is calibrated in the first half of the stream only.

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
        raise InputError(
            f"start={start}, but there are {n} rows; expected fewer. Pass a smaller start."
        )
    if given is None:
        part = np.arange(1, _N_TIMES + 1, dtype=np.int64)
        return np.unique(start - (start - n) * part // _N_TIMES)  # rounded up: above start
    time = np.asarray(given)
    if time.ndim != 1 or time.size == 0 or time.dtype.kind not in "iu":
        raise InputError(
            f"times has shape {time.shape} and dtype {time.dtype}; expected a list of ints, the "
            "numbers of rows after which to measure."
        )
    time = time.astype(np.int64)
    if (np.diff(time) <= 0).any() or time[0] <= start or time[-1] > n:
        raise InputError(
            f"times go from {time.min()} to {time.max()}; expected ascending numbers of rows above "
            f"start={start}, at most {n}."
        )
    return time


class _Sums:
    """Sums over all labeled rows before each cut; differences of them are sums between cuts."""

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
        """Return errors of the rows from ``first`` to ``last``; each pair is one time."""
        i, j = np.searchsorted(self.cuts, first), np.searchsorted(self.cuts, last)
        n, p, y, noise = (s[j] - s[i] for s in (self.n, self.p, self.y, self.noise))
        total = n.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return Prequential(
                last,
                total.astype(np.int64),
                np.abs(p - y).sum(axis=1) / total,
                # By rounding, the sum of an empty bin may be slightly below 0.
                np.sqrt(2.0 / np.pi * np.maximum(noise, 0.0)).sum(axis=1) / total,
                (y * y / np.maximum(n, 1.0)).sum(axis=1) / total,
                (self.brier[j] - self.brier[i])[:, 0] / total,
                (self.log_loss[j] - self.log_loss[i])[:, 0] / total,
                window,
                sliding,
            )
