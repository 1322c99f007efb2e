"""Histogram binning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._core.base import BaseCalibrator, StateKind
from .._core.distinct import distinct_scores
from .._core.errors import InputError
from .._core.inputs import Rows
from .._core.params import check_choice, check_int, check_real
from .._core.partitions import Partitions
from .._core.saved import check_inside
from .._core.scores import Scores
from .._core.warnings import warn_of_reversal
from .._numerics.binning import (
    assign,
    auto_bins,
    distinct_values,
    mass_borders,
    packed_sums,
    sorted_sums,
    tied,
    trend,
    uniform_borders,
)
from .._numerics.exact import clopper_pearson
from .._numerics.links import logit
from .._numerics.packed import packed
from .._numerics.weights import row_count
from .._typing import FloatArray, IntArray, Scale
from ._binned import BinnedCalibrator


@dataclass(frozen=True)
class BinsCertificate:
    """Bounds on the error of each bin's value, valid for any distribution of the data.

    Parameters
    ----------
    conditional : float
        The largest error of all bins: with probability ``level`` over the fitting rows, each bin's
        value is at most this far from P(Y = 1 | bin).
    marginal : float
        The error for one new row: with probability ``level`` over the fitting rows and the score of
        the new row, the value of its bin is at most this far from P(Y = 1 | that bin). This bound
        is smaller than ``conditional``, but some bins may exceed it.
    level : float
        Confidence level of each of the two bounds.
    n_bins : int
        Number of bins.
    n_per_bin : int
        Rows in the smallest bin that has any.
    n_empty : int, default=0
        Number of bins without rows; the bounds do not cover them.

    Examples
    --------
    >>> from calibkit import BinsCertificate
    >>> print(BinsCertificate(0.15, 0.1, level=0.9, n_bins=10, n_per_bin=200))
    With 90% confidence the values of all 10 bins are within 0.15 of the true rates, or that of \
a new row's bin within 0.1 (200 or more rows per bin).
    """

    conditional: float
    marginal: float
    level: float
    n_bins: int
    n_per_bin: int
    n_empty: int = 0

    def __str__(self) -> str:
        which = f"all {self.n_bins} bins"
        if self.n_empty:
            which = f"the {self.n_bins - self.n_empty} bins with rows ({self.n_empty} have none)"
        return (
            f"With {100 * self.level:.6g}% confidence the values of {which} are within "
            f"{self.conditional:.3g} of the true rates, or that of a new row's bin within "
            f"{self.marginal:.3g} ({self.n_per_bin} or more rows per bin)."
        )


class HistogramBinningCalibrator(BinnedCalibrator):
    """Histogram binning: replace each score by the event rate in its bin of scores.

    Use it if you need a guarantee for the calibration: :meth:`certify_bins` bounds the error of
    the outputs from the fitting rows alone, for any distribution of the data. This takes some
    hundreds of rows per bin. All scores of a bin get the same output, so the outputs discriminate
    less. With fewer rows use :class:`PlattCalibrator`, or :class:`ScalingBinningCalibrator`, which
    is certified on held-out rows.

    Parameters
    ----------
    n_bins : int or "auto", default=10
        Number of bins; "auto" is the cube root of the number of rows. Equal scores are never
        split, so there may be fewer equal-mass bins.
    strategy : {"quantile", "uniform"}, default="quantile"
        "quantile": equal-mass bins, with equally many rows. "uniform": equal-width bins on the
        scale of probabilities, even if the scores are logits.
    points_per_bin : int, optional
        Number of rows in each bin. There are then n // points_per_bin bins, at least one, and
        ``n_bins`` is ignored.
    smoothing : float, default=1.0
        Number of rows added to each bin, half of them events: 1 is Jeffreys' rule, 2 is Laplace's.
        With 0, a bin without events has the value 0, and one later event in it makes the log loss
        infinite.
    scale : {"probability", "logit"}, default="probability"
        Whether the scores are probabilities or log-odds (logits).
    classes : array-like, optional
        The two class labels in sorted order.

    Attributes
    ----------
    borders_ : ndarray of shape (B - 1,)
        Lower ends of all bins but the first, on the scale of the scores; a score on a border
        belongs to the bin above. A border of equal-mass bins lies slightly below the score that
        set it, by about 2e-7 of its size, to be safe against rounding.
    value_ : ndarray of shape (B,)
        Calibrated probability of each bin; no two are equal.
    count_ : ndarray of shape (B,)
        Rows in each bin; weights count as rows.
    events_ : ndarray of shape (B,)
        Number of events (rows of the larger class label) in each bin.
    border_rows_ : ndarray of shape (B,)
        Number of rows in each bin that set its lower border: 1 for all equal-mass bins but the
        first, 0 otherwise.
    tied_ : bool
        Whether equal-mass bins were fitted to scores of which some are equal up to rounding.
    weighted_ : bool
        Whether there were weights other than 1.
    cross_fitted_ : bool
        Whether the scores were out-of-fold predictions of several classifiers.
    classes_ : ndarray of shape (2,)
        Class labels.

    Raises
    ------
    ValueError
        In ``fit``: invalid data, one class only, or fewer rows than bins.

    Notes
    -----
    The value of a bin is (events + smoothing / 2) / (rows + smoothing). An equal-width bin without
    rows gets its middle as the value. With few rows per bin, the default smoothing has a better
    Brier score and log loss than no smoothing (``benchmarks/choices.py``). Bins with equal values,
    such as two without events, are moved apart by about 1e-16, so that each output belongs to one
    bin and an error estimated per distinct output (``strategy="unique"``) keeps them separate. The
    same rows set the borders and the values. Kumar, Liang and Ma (2019) found this better than
    splitting the rows, and Gupta and Ramdas (2021) proved that it is valid. O(n log n) time for
    the sort.

    References
    ----------
    B. Zadrozny, C. Elkan (2001). Obtaining calibrated probability estimates from decision trees
    and naive Bayesian classifiers. ICML. --- C. Gupta, A. Ramdas (2021). Distribution-free
    calibration guarantees for histogram binning without sample splitting. ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import HistogramBinningCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(20_000)
    >>> y = rng.random(20_000) < p**2
    >>> cal = HistogramBinningCalibrator(n_bins=5).fit(p, y)
    >>> cal.predict_proba([0.1, 0.5, 0.9])[:, 1].round(2)
    array([0.01, 0.26, 0.82])
    >>> print(cal.certify_bins(level=0.95))
    With 95% confidence the values of all 5 bins are within 0.0206 of the true rates, or that \
of a new row's bin within 0.0157 (4000 or more rows per bin).
    """

    name: ClassVar[str] = "histogram"
    _state: ClassVar[dict[str, StateKind]] = {
        **BinnedCalibrator._state,
        "events_": "vector",
        "border_rows_": "vector",
        "tied_": "flag",
        "weighted_": "flag",
        "cross_fitted_": "flag",
    }

    def __init__(
        self,
        *,
        n_bins: int | Literal["auto"] = 10,
        strategy: Literal["quantile", "uniform"] = "quantile",
        points_per_bin: int | None = None,
        smoothing: float = 1.0,
        scale: Scale = "probability",
        classes: Any = None,
    ) -> None:
        super().__init__(scale=scale, classes=classes)
        self.n_bins = n_bins
        self.strategy = strategy
        self.points_per_bin = points_per_bin
        self.smoothing = smoothing

    @classmethod
    def _examples(cls) -> Iterator[BaseCalibrator]:
        # Some checks use fewer rows than the default of ten bins needs.
        yield cls(n_bins="auto")
        yield cls(points_per_bin=5, smoothing=0.0)
        yield cls(n_bins="auto", strategy="uniform")

    def _check_params(self) -> None:
        BaseCalibrator._check_params(self)
        super()._check_params()
        check_choice("strategy", self.strategy, ("quantile", "uniform"))
        if self.points_per_bin is not None:
            check_int("points_per_bin", self.points_per_bin, low=1)
        check_real("smoothing", self.smoothing, low=0.0)

    def _how_many(self, n_rows: float, most: int) -> int:
        """Number of bins, at most the number of rows."""
        if self.points_per_bin is not None:
            return max(1, int(min(n_rows // self.points_per_bin, most)))
        self._check_enough(n_rows)
        return min(auto_bins(n_rows), most) if isinstance(self.n_bins, str) else int(self.n_bins)

    def _mark_cross_fitted(self) -> None:
        self.cross_fitted_ = True

    def _fit(self, s: Scores, y: IntArray, w: FloatArray | None) -> None:
        self.cross_fitted_ = False
        n_bins = self._how_many(row_count(w, len(y)), len(y))
        self.weighted_ = w is not None and bool((w != 1.0).any())
        if self.strategy == "uniform":
            edges = uniform_borders(n_bins)
            self.borders_ = edges if s.scale == "probability" else logit(edges)
            self.tied_ = False
        elif w is None and (rows := packed(s.values, y)) is not None:
            self.borders_ = mass_borders(rows, None, n_bins)
            self.tied_ = tied(rows)
            sums = packed_sums(rows, self.borders_)
            self._fill(sums.w, sums.wy, float(len(y)))
            return
        else:
            order = None if w is None else np.argsort(s.values)
            x = np.sort(s.values) if order is None else s.values[order]
            self.borders_ = mass_borders(x, None if w is None else w[order], n_bins)
            self.tied_ = tied(x)
        count, events = _bin_sums(Rows(s, y, w, self.classes_), self.borders_)
        self._fill(count, events, row_count(w, len(y)))

    def _fit_parts(self, parts: Partitions) -> None:
        self.cross_fitted_ = False
        n_bins = self._how_many(parts.row_count, parts.n)
        self.weighted_ = parts.unequal
        if self.strategy == "uniform":
            edges = uniform_borders(n_bins)
            self.borders_ = edges if parts.ends.scores.scale == "probability" else logit(edges)
            self.tied_ = False
            count, events = parts.total(_bin_sums, self.borders_)
        else:
            scores = distinct_scores(parts)
            self.borders_ = mass_borders(scores.x, scores.w, n_bins, scores.quartiles)
            self.tied_ = bool((scores.n > 1).any()) or tied(scores.x, scores.quartiles)
            w = scores.w.astype(np.float64)
            sums = sorted_sums(scores.x, None, w, scores.wy, self.borders_)
            count, events = sums.w, sums.wy
        self._fill(count, events, parts.row_count)

    def _fill(self, count: FloatArray, events: FloatArray, n_rows: float) -> None:
        n_bins = len(count)
        self.count_, self.events_ = count, events
        self.border_rows_ = np.zeros(n_bins)
        if self.strategy == "quantile":
            self.border_rows_[1:] = 1.0
        value = (np.arange(n_bins) + 0.5) / n_bins
        filled = self.count_ > 0
        rows = self.count_[filled] + self.smoothing
        value[filled] = (self.events_[filled] + self.smoothing / 2.0) / rows
        self.value_ = distinct_values(value)
        if trend(self.count_, self.events_, n_rows) < -2.0:  # beyond chance
            warn_of_reversal("the values of the bins decrease", follows=True)

    def certify_bins(self, level: float = 0.9) -> BinsCertificate:
        """Bound the error of every bin's value from the fitting rows alone.

        To bound the calibration error from held-out rows use :meth:`certify`;
        :func:`calibkit.rows_to_certify` says how many held-out rows that takes.

        The bounds are valid for any distribution and any number of rows, on these conditions: the
        fitting rows and the new rows are independent draws from one distribution; they have no
        weights; and, for equal-mass bins, no two scores are equal or closer than 2e-7 of their
        size. The scores must come from one classifier that was not trained on these rows, so
        out-of-fold predictions of several classifiers do not qualify.

        Parameters
        ----------
        level : float, default=0.9
            Confidence level of the bounds, between 0 and 1.

        Returns
        -------
        certificate : BinsCertificate
            The bound for all bins together (``conditional``) and for the bin of a new row
            (``marginal``).

        Raises
        ------
        ValueError
            If a condition fails: out-of-fold predictions of several classifiers, equal-mass bins
            of scores with ties, weights other than 1, or a bin with a single row.

        Notes
        -----
        *Assumption*: the conditions above. *What is proved*: with probability ``level = 1 - alpha``
        the rates P(Y=1 | bin b) of all B bins lie in exact (Clopper-Pearson) intervals that allow
        each end to fail with probability alpha / (2 B); ``conditional`` is the largest distance of
        a value, smoothed or not, from an end of its interval. The interval of a bin of n_b rows is
        that of m_b = n_b - r_b rows, where r_b = 1 if one of the rows set the lower border of the
        bin (all equal-mass bins but the first), r_b = 0 otherwise. Given the scores that set the
        borders, the m_b rows are independent draws from the bin (Gupta and Ramdas 2021, theorem 3),
        but it is not kept which label the row on the border had: the lower end counts it as an
        event, and the upper end does not. For ``marginal`` each end may fail with probability
        alpha / 2, because the bin of a new row is independent of the labels, given the borders.

        *What it costs*: the intervals are about as wide as a normal approximation at the same
        level, so narrow where events are rare, and never wider than by Hoeffding's inequality,
        which Gupta and Ramdas use; the label on the border costs up to 1 / n_b
        (``benchmarks/proofs.py``). Equal-width borders do not depend on the rows, so ties are
        allowed; B is then the number of bins with rows. Both bounds are not valid if you fit
        several calibrators and choose the one with the best certificate.
        """
        check_is_fitted(self, "classes_")
        check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
        held_out = "certify the calibrator on held-out rows: certify(X, y)"
        if self.weighted_:
            raise InputError(
                "the fitting rows had different weights; expected equal weights. Fit without "
                f"weights, or {held_out}."
            )
        if self.cross_fitted_:
            raise InputError(
                "the fitting scores are out-of-fold predictions of several classifiers; expected "
                "those of one classifier that was not trained on these rows. Fit on held-out rows "
                f"with CalibratedClassifier(FrozenEstimator(classifier)), or {held_out}."
            )
        if self.tied_:
            raise InputError(
                "some fitting scores are equal; expected scores without ties, because the bound "
                f"for equal-mass bins needs them. Use strategy='uniform', or {held_out}."
            )
        single = int(np.count_nonzero(self.count_ == 1))
        if single:
            raise InputError(
                f"{single} of {len(self.count_)} bins have a single row; expected at least two "
                f"rows in each bin. Use fewer bins, or {held_out}."
            )
        filled = self.count_ > 0
        n, r = self.count_[filled], self.border_rows_[filled]
        value, events, others = self.value_[filled], self.events_[filled], n - r

        def worst(tests: int) -> float:
            # A row on the border may have any label, so the others have r events less, or not.
            each = 1.0 - (1.0 - level) / tests
            low = clopper_pearson(np.maximum(events - r, 0.0) / others, others, each)[0]
            high = clopper_pearson(np.minimum(events, others) / others, others, each)[1]
            return float(np.maximum(value - low, high - value).max())

        n_bins, n_empty = len(self.value_), len(self.value_) - len(n)
        return BinsCertificate(worst(len(n)), worst(1), float(level), n_bins, int(n.min()), n_empty)

    def _check_state(self) -> None:
        super()._check_state()
        n_bins = len(self.value_)
        if len(self.events_) != n_bins or len(self.border_rows_) != n_bins:
            raise ValueError(f"events_ or border_rows_ is not of length {n_bins}")
        if (self.events_ < 0).any() or (self.events_ > self.count_).any():
            raise ValueError("events_ lies outside [0, count_]")
        check_inside(self.borders_, self.scale, "borders_")
        filled = self.count_ > 0
        rows = (self.count_ + self.smoothing)[filled]
        rate = (self.events_[filled] + self.smoothing / 2.0) / rows
        if not (np.abs(self.value_[filled] - rate) <= 1e-6).all():
            raise ValueError("value_ does not agree with events_ and count_")
        if not self.weighted_ and self.count_.sum() > 2.0**53:
            raise ValueError("count_ has more than 2^53 rows")
        if not np.isin(self.border_rows_, (0.0, 1.0)).all() or self.border_rows_[0] != 0:
            raise ValueError("border_rows_ has values other than 0 and 1, or the first is not 0")


def _bin_sums(rows: Rows, borders: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weight and events in each bin."""
    bins, w, n_bins = assign(rows.scores.values, borders), rows.w, len(borders) + 1
    count = np.bincount(bins, w, minlength=n_bins)
    events = np.bincount(bins, rows.y if w is None else w * rows.y, minlength=n_bins)
    return count.astype(np.float64), events.astype(np.float64)
