"""Histogram binning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._core.base import BaseCalibrator, StateKind
from .._core.errors import InputError
from .._core.params import check_choice, check_int, check_real
from .._core.saved import check_inside
from .._core.scores import Scores
from .._core.warnings import warn_of_reversal
from .._numerics.binning import (
    auto_bins,
    distinct_values,
    mass_borders,
    tied,
    trend,
    uniform_borders,
)
from .._numerics.links import logit
from .._numerics.weights import row_count
from .._typing import FloatArray, IntArray, Scale
from ._binned import BinnedCalibrator


@dataclass(frozen=True)
class BinsCertificate:
    """How far the values of bins may be from the true rates, whatever the distribution.

    Parameters
    ----------
    conditional : float
        With probability ``level`` over the fitting rows, the value of every bin at once is at
        most this far from P(Y = 1 | bin).
    marginal : float
        With probability ``level`` over the fitting rows and the score of one new row, the value
        of the bin that this row falls in is at most this far from P(Y = 1 | that bin). It is
        smaller, and promises less: some bins may be further off.
    level : float
        Confidence with which each of the two holds.
    n_bins : int
        Number of bins.
    n_per_bin : int
        Rows in the smallest bin that has any.
    n_empty : int, default=0
        Bins without rows, of which nothing is said.

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
    """Histogram binning: every bin of scores gets the rate of events among its rows.

    Use it when calibration must be certain: whatever the data are, :meth:`certify_bins` says from
    the fitting rows alone how far the outputs can be off. It needs rows, some hundreds a bin for
    a certificate worth having, and it makes all scores of a bin ties, which costs sharpness. With
    fewer rows use :class:`ScalingBinningCalibrator`, whose error has to be certified on held-out
    rows, or :class:`PlattCalibrator`.

    Parameters
    ----------
    n_bins : int or "auto", default=10
        How many bins; "auto" takes the cube root of the number of rows. Ties are never split, so
        equal-mass bins may be fewer.
    strategy : {"quantile", "uniform"}, default="quantile"
        Bins of equally many rows, or of equal width: then on the scale of probabilities, also
        for logits.
    points_per_bin : int, optional
        As many rows in each bin, so n // points_per_bin bins and at least one; ``n_bins`` is not
        looked at.
    smoothing : float, default=1.0
        Imaginary rows added to each bin, half of them events: 1 is Jeffreys' rule, 2 Laplace's.
        With 0, the bare rates, a bin without events says 0, and costs an infinite log-loss once it
        is wrong.
    scale : {"probability", "logit"}, default="probability"
        What the scores are.
    classes : array-like, optional
        The two class labels in sorted order.

    Attributes
    ----------
    borders_ : ndarray of shape (B - 1,)
        Lower ends of all bins but the first, on the scale of the scores; a score on a border
        belongs to the bin above. Those of equal-mass bins lie a little below the score that set
        them, by some 2e-7 of its size, so that its last bits can't put it on the other side.
    value_ : ndarray of shape (B,)
        Calibrated probability of each bin; no two are equal.
    count_ : ndarray of shape (B,)
        Rows in each bin; weights count as rows.
    events_ : ndarray of shape (B,)
        Rows of the larger class label among them.
    border_rows_ : ndarray of shape (B,)
        How many of the rows set the lower border of their bin: 1 for all equal-mass bins but the
        first, 0 otherwise.
    tied_ : bool
        Whether equal-mass bins were learnt from scores some of which are equal, but for their
        last bits.
    weighted_ : bool
        Whether there were weights other than 1.
    cross_fitted_ : bool
        Whether the scores came from several classifiers, one for each fold.
    classes_ : ndarray of shape (2,)
        Class labels.

    Raises
    ------
    ValueError
        In ``fit``: bad data, one class only, or fewer rows than bins.

    Notes
    -----
    The value of a bin is (events + smoothing / 2) / (rows + smoothing); that of an equal-width
    bin without rows is its middle, as if the scores were right there. With few rows in a bin the
    default is better than the bare rates by either proper score (``benchmarks/choices.py``). Where
    bins would share a value, such as two without events, they are moved apart by some 1e-16: the
    outputs then tell the bins apart, and an error estimated per distinct output
    (``strategy="unique"``) does not pool them. The same rows choose the borders and fill the bins,
    which Kumar, Liang and Ma found better than splitting them, and which Gupta and Ramdas proved to
    be sound. O(n log n) time for the sort.

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
    With 95% confidence the values of all 5 bins are within 0.0261 of the true rates, or that \
of a new row's bin within 0.0218 (4000 or more rows per bin).
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
        # The default of ten bins refuses the handfuls of rows that the batteries try.
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
        """Number of bins; more than there are rows at hand would be empty."""
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
        else:
            order = None if w is None else np.argsort(s.values)
            x = np.sort(s.values) if order is None else s.values[order]
            self.borders_ = mass_borders(x, None if w is None else w[order], n_bins)
            self.tied_ = tied(x)
        self._fill(self._bins(s), y, w)

    def _fill(self, bins: IntArray, y: IntArray, w: FloatArray | None) -> None:
        n_bins = len(self.borders_) + 1
        self.count_ = np.bincount(bins, w, minlength=n_bins).astype(np.float64)
        events = np.bincount(bins, y if w is None else w * y, minlength=n_bins)
        self.events_ = events.astype(np.float64)
        self.border_rows_ = np.zeros(n_bins)
        if self.strategy == "quantile":
            self.border_rows_[1:] = 1.0
        value = (np.arange(n_bins) + 0.5) / n_bins
        filled = self.count_ > 0
        rows = self.count_[filled] + self.smoothing
        value[filled] = (self.events_[filled] + self.smoothing / 2.0) / rows
        self.value_ = distinct_values(value)
        if trend(self.count_, self.events_, row_count(w, len(y))) < -2.0:  # beyond chance
            warn_of_reversal("the values of the bins descend")

    def certify_bins(self, level: float = 0.9) -> BinsCertificate:
        """How far the outputs can be from the true rates, from the fitting rows alone.

        It bounds every bin; :meth:`certify` bounds the calibration error, from held-out rows, and
        :func:`calibkit.rows_to_certify` says how many of these it will need.

        It holds for any distribution and any number of rows, if the fitting rows and the new
        ones are independent draws from one distribution, unweighted, and for equal-mass bins if
        the scores have no ties, nor near ones: borders lie 2e-7 of its size below the score that
        sets them, and no other is taken to come between. So the scores must come from one
        classifier that did not see these rows: out-of-fold scores of several classifiers are not
        such draws.

        Parameters
        ----------
        level : float, default=0.9
            Confidence with which it holds.

        Returns
        -------
        certificate : BinsCertificate
            For all bins at once (``conditional``), and for the bin of a new row (``marginal``).

        Raises
        ------
        ValueError
            If the assumptions do not hold: out-of-fold scores of several classifiers, equal-mass
            bins of scores with ties, weights other than 1, or a bin with a single row.

        Notes
        -----
        For B bins, of n_b rows each, with probability ``level = 1 - alpha`` for all bins at once ::

            |value_b - P(Y=1 | bin b)| <= (m_b / n_b) sqrt(log(2 B / alpha) / (2 m_b)) + r_b / n_b

        where r_b = 1 if a fitting row lies on the lower border of the bin because it set that
        border, so in equal-mass bins but the first, r_b = 0 otherwise, and m_b = n_b - r_b.
        Given the scores that became borders, the other rows of a bin are independent draws from
        it (Gupta and Ramdas 2021, theorem 3; they leave out the labels of the rows on borders,
        here these count and may shift a mean by 1 / n_b). Equal-width borders do not depend on
        the rows, so ties do no harm; B then counts bins with rows, and of those without nothing
        is said. ``marginal`` has log(2 / alpha) in place of log(2 B / alpha): the bin of a new
        row is independent of the labels, given the borders. Both report the worst bin and are about
        what is put out: they include what smoothing moves. A certificate fixed before looking is
        meant: choosing among many fits the one with the best certificate voids it.
        """
        check_is_fitted(self, "classes_")
        check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
        held_out = "certify the calibrator on held-out rows: certify(X, y)"
        if self.weighted_:
            raise InputError(
                "the fitting rows had weights; expected rows that count alike. Fit without "
                f"weights, or {held_out}."
            )
        if self.cross_fitted_:
            raise InputError(
                "the fitting scores are out-of-fold scores of several classifiers; expected those "
                "of one classifier that did not see the rows. Fit on rows kept apart, with "
                f"CalibratedClassifier(FrozenEstimator(classifier)), or {held_out}."
            )
        if self.tied_:
            raise InputError(
                "some fitting scores are equal; expected scores without ties, since equal-mass "
                f"bins depend on them. Use strategy='uniform', or {held_out}."
            )
        single = int(np.count_nonzero(self.count_ == 1))
        if single:
            raise InputError(
                f"{single} of {len(self.count_)} bins hold a single row; expected two or more rows "
                f"in a bin. Use fewer bins, or {held_out}."
            )
        # Of n rows of a bin the r on its border may be anything, and move the mean by r / n.
        filled = self.count_ > 0
        n, r = self.count_[filled], self.border_rows_[filled]
        shift = np.abs(self.value_[filled] - self.events_[filled] / n)

        def worst(tests: int) -> float:
            radius = np.sqrt(np.log(2.0 * tests / (1.0 - level)) / (2.0 * (n - r)))
            return float(min(1.0, ((n - r) / n * radius + r / n + shift).max()))

        n_bins, n_empty = len(self.value_), len(self.value_) - len(n)
        return BinsCertificate(worst(len(n)), worst(1), float(level), n_bins, int(n.min()), n_empty)

    def _check_state(self) -> None:
        super()._check_state()
        n_bins = len(self.value_)
        if len(self.events_) != n_bins or len(self.border_rows_) != n_bins:
            raise ValueError(f"events_ or border_rows_ is not of length {n_bins}")
        if (self.events_ < 0).any() or (self.events_ > self.count_).any():
            raise ValueError("events_ lies outside 0 and count_")
        check_inside(self.borders_, self.scale, "borders_")
        filled = self.count_ > 0
        rows = (self.count_ + self.smoothing)[filled]
        rate = (self.events_[filled] + self.smoothing / 2.0) / rows
        if not (np.abs(self.value_[filled] - rate) <= 1e-6).all():
            raise ValueError("value_ is not what events_ and count_ give")
        if not self.weighted_ and self.count_.sum() > 2.0**53:
            raise ValueError("count_ is of more than 2^53 rows")
        if not np.isin(self.border_rows_, (0.0, 1.0)).all() or self.border_rows_[0] != 0:
            raise ValueError("border_rows_ holds others than 0 and 1, or the first is not 0")
