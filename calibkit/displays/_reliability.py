"""Reliability diagrams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from .._core.optional import require
from .._core.warnings import counted
from .._typing import (
    BinInterval,
    Bins,
    CurveKind,
    Histogram,
    Kind,
    Legend,
    Scale,
    Strategy,
    Weights,
)
from ..metrics import Curve
from ._base import Display, by_name
from ._draw import Drawing, draw_grid, draw_single
from ._numbers import Numbers, Settings, numbers_of
from ._problems import Problems, probabilities_of, problems_of_arrays, problems_of_tables


class ReliabilityDisplay(Display):
    """Reliability diagram: observed frequencies against predicted probabilities.

    Use it to see which probabilities are too high or too low, and whether that is more than noise.
    Make it by :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_table`, each for one
    model or for several (a dict). :meth:`plot` draws it again. Each bin has a dot at its mean score
    and observed frequency, and a bar, which is the confidence interval of the frequency. The
    consistency band shows where the dots of a calibrated model with these scores would be.

    Parameters
    ----------
    numbers : Numbers
        Computed by the constructors.

    Attributes
    ----------
    curves_ : dict of str to Curve
        By model, or by ``(model, class)`` if class-wise. Each curve has arrays with one value per
        bin that has rows: ``lower, upper`` (ends of the bin), ``mean_score``, ``frequency``,
        ``n``, ``low, high`` (interval of the frequency), ``consistency_low, consistency_high``.
        For other curves see :func:`reliability_curve`.
    estimates_ : dict of str to dict
        With the same keys: ``{"ece": Estimate, "skill": Estimate}``, the ECE on the bins of the
        plot; other curves have ``"mcb"`` (CORP miscalibration) or ``"smooth_ece"`` (on the scale
        of probabilities) instead. There is no skill if only one class occurs.
    differences_ : tuple of Difference
        Brier score of one of two models, or of each of more, minus that of the other, or the best.
        From :func:`compare`; empty for tables and ``weights="frequency"``.
    limits_ : tuple of float
        Ends of both axes.
    ax_ : Axes or ndarray of Axes
        The panel, or the panels of a class-wise plot.
    histogram_ax_ : Axes or None
        The histogram of the scores.
    figure_ : Figure or SubFigure
        The figure of the axes.

    Notes
    -----
    Each interval is for one bin alone: with 15 bins at 90%, expect one or two intervals to miss the
    true frequency. Clopper-Pearson intervals cover at least the level and never have zero width;
    Wilson intervals are shorter. With weights, both use the effective number of rows of the bin,
    ``sum(w)**2 / sum(w**2)`` (Kish), and with groups that of Korn and Graubard (1998); they are
    then approximate. For the band, labels are drawn from the scores 1000 times; with groups,
    normal noise with the variance of the groups is drawn instead.

    The ECE in the legend is that of the bins shown. :func:`expected_calibration_error` has
    equal-width bins by default, so it may differ. With ``kind="top_label"`` the ECE and the Brier
    skill measure the confidence as the probability that the predicted class is correct.

    References
    ----------
    C. Clopper, E. Pearson (1934). The use of confidence or fiducial limits illustrated in the case
    of the binomial. Biometrika 26(4). --- J. Bröcker, L. Smith (2007). Increasing the reliability
    of reliability diagrams. Weather and Forecasting 22(3).

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import ReliabilityDisplay
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(2000)
    >>> y = rng.random(2000) < p**2
    >>> display = ReliabilityDisplay.from_predictions(y, {"linear": p, "squared": p**2}, n_bins=5)
    >>> display.curves_["linear"].frequency.round(2)
    array([0.02, 0.08, 0.24, 0.49, 0.82])
    >>> display.figure_.savefig("reliability.png", dpi=300)  # doctest: +SKIP
    """

    histogram_ax_: Any

    def __init__(self, numbers: Numbers) -> None:
        self._numbers, self.limits_ = numbers, numbers.limits
        self.curves_: dict[Any, Curve] = numbers.curves
        self.estimates_, self.differences_ = numbers.estimates, numbers.differences

    @classmethod
    @counted()
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        curve: CurveKind = "binned",
        scale: Scale = "probability",
        kind: Kind | None = None,
        strategy: Strategy = "quantile",
        n_bins: Bins = 15,
        interval: BinInterval = "clopper-pearson",
        level: float = 0.9,
        n_resamples: int = 1000,
        limits: Literal["auto"] | tuple[float, float] = "auto",
        max_classes: int | None = 9,
        shown: Any = None,
        sample_weight: Any = None,
        weights: Weights = "sampling",
        groups: Any = None,
        pos_label: Any = None,
        name: str | None = None,
        random_state: Any = None,
        ax: Any = None,
        consistency: bool | None = None,
        histogram: Histogram = True,
        legend: Legend = "below",
    ) -> ReliabilityDisplay:
        """Draw the reliability diagram of fitted classifiers on held-out rows.

        Parameters
        ----------
        estimator : estimator or dict of str to estimator
            Fitted classifier with ``predict_proba``, or several by name.
        X : array-like of shape (n, n_features)
            Features of rows that the classifiers were not fitted on.
        y : array-like of shape (n,)
            Labels of these rows.
        curve, scale, kind, strategy, n_bins, interval, level, n_resamples, limits : optional
            As in :meth:`from_predictions`.
        max_classes, shown : optional
            As in :meth:`from_predictions`.
        sample_weight, weights, groups, pos_label, name, random_state : optional
            As in :meth:`from_predictions`. Default of ``name``: the name of the class.
        ax, consistency, histogram, legend : optional
            As in :meth:`plot`.

        Returns
        -------
        display : ReliabilityDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If an estimator has no ``predict_proba``, or the data are invalid.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn.naive_bayes import GaussianNB
        >>> from calibkit import ReliabilityDisplay
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> model = GaussianNB().fit(X[::2], y[::2])
        >>> display = ReliabilityDisplay.from_estimator(model, X[1::2], y[1::2], n_bins="auto")
        >>> round(float(display.estimates_["GaussianNB"]["skill"]), 2)
        0.74
        """
        require("matplotlib", "plot")
        if name is None and not isinstance(estimator, Mapping):
            name = type(estimator).__name__
        models = by_name(estimator, name, "estimator")
        scores, classes = probabilities_of(models, X, pos_label=pos_label)
        told: dict[str, Any] = {"weights": weights, "kind": kind, "pos_label": pos_label}
        told |= {"classes": classes, "groups": groups, "max_classes": max_classes}
        problems = problems_of_arrays(y, scores, sample_weight, shown=shown, **told)
        known = strategy, n_bins, interval, level, n_resamples, random_state, limits
        settings = Settings(*known, curve, scale)
        return _drawn(cls, problems, settings, Drawing(consistency, histogram, legend), ax)

    @classmethod
    @counted()
    def from_predictions(
        cls,
        y_true: Any,
        y_prob: Any,
        *,
        curve: CurveKind = "binned",
        scale: Scale = "probability",
        kind: Kind | None = None,
        strategy: Strategy = "quantile",
        n_bins: Bins = 15,
        interval: BinInterval = "clopper-pearson",
        level: float = 0.9,
        n_resamples: int = 1000,
        limits: Literal["auto"] | tuple[float, float] = "auto",
        max_classes: int | None = 9,
        shown: Any = None,
        sample_weight: Any = None,
        weights: Weights = "sampling",
        groups: Any = None,
        pos_label: Any = None,
        classes: Any = None,
        name: str | None = None,
        random_state: Any = None,
        ax: Any = None,
        consistency: bool | None = None,
        histogram: Histogram = True,
        legend: Legend = "below",
    ) -> ReliabilityDisplay:
        """Draw the reliability diagram of one or several models' probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Labels. For two classes also fractions of events in [0, 1].
        y_prob : array-like of shape (n,), (n, 2) or (n, K), or dict of str to array-like
            Probabilities of the event, or of every class. A dict has several models by name.
        curve : {"binned", "corp", "smooth"}, default="binned"
            Dots of bins; the curve of isotonic regression (CORP), which has no settings; or a
            curve smoothed by the kernel of the smooth ECE. See :func:`reliability_curve`.
        scale : {"probability", "logit"}, default="probability"
            Scale of both axes. "logit" enlarges the ends, for rare or nearly certain events;
            values beyond the limits are drawn at the edge. "smooth" also smooths on this scale.
        kind : {"binary", "top_label", "classwise"}, optional
            Which probabilities are shown: of the event; of the predicted class (the class with
            the highest probability) being correct; or of each class, one panel per class.
            Default: "top_label" for K > 2 classes, else "binary".
        strategy : {"quantile", "uniform", "unique"}, default="quantile"
            Equal-mass bins (equal scores stay in one bin), equal-width bins, or one bin per
            distinct score, for models with few distinct scores.
        n_bins : int or "auto", default=15
            Number of bins. ``"auto"`` is the cube root of n, rounded up.
        interval : {"clopper-pearson", "wilson"}, default="clopper-pearson"
            Method of the confidence interval of each bin's frequency.
        level : float, default=0.9
            Confidence level of all intervals, and coverage of the band.
        n_resamples : int, default=1000
            Number of random draws for the estimates in the legend; 0 omits their intervals.
        limits : "auto" or tuple of float, default="auto"
            Ends of both axes. "auto": 0 and 1, or a corner of width 0.25 or less if everything
            lies in it. With ``scale="logit"``: powers of ten, and 1 minus powers of ten.
        max_classes : int or None, default=9
            Number of classes shown if class-wise: the most frequent ones; None: all.
        shown : array-like of labels, optional
            The classes shown if class-wise, in this order.
        sample_weight : array-like of shape (n,), optional
            Weights >= 0.
        weights : {"sampling", "frequency"}, default="sampling"
            A weight is a row's share of the population (intervals then use effective numbers of
            rows), or a number of equal rows.
        groups : array-like of shape (n,), optional
            Group of each row; rows of one group are treated as dependent in all intervals and in
            the band.
        pos_label : label, optional
            Label of the event (two classes only); default: the larger label.
        classes : array-like, optional
            All class labels in sorted order. Needed if ``y_true`` lacks some of them.
        name : str, optional
            Name of a single model.
        random_state : int, RandomState, Generator or None, default=None
            Seed of the random draws.
        ax, consistency, histogram, legend : optional
            As in :meth:`plot`.

        Returns
        -------
        display : ReliabilityDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If the data or settings are invalid.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from calibkit import ReliabilityDisplay
        >>> y, p = [0, 0, 1, 1, 1, 1], [0.1, 0.1, 0.1, 0.8, 0.8, 0.8]
        >>> display = ReliabilityDisplay.from_predictions(y, p, strategy="unique", name="demo")
        >>> display.frame().round(2)[["model", "mean_score", "frequency", "n", "low", "high"]]
          model  mean_score  frequency  n   low  high
        0  demo         0.1       0.33  3  0.02  0.86
        1  demo         0.8       1.00  3  0.37  1.00
        """
        require("matplotlib", "plot")
        told: dict[str, Any] = {"weights": weights, "kind": kind, "pos_label": pos_label}
        told |= {"classes": classes, "groups": groups, "max_classes": max_classes}
        scores = by_name(y_prob, name, "y_prob")
        problems = problems_of_arrays(y_true, scores, sample_weight, shown=shown, **told)
        known = strategy, n_bins, interval, level, n_resamples, random_state, limits
        settings = Settings(*known, curve, scale)
        return _drawn(cls, problems, settings, Drawing(consistency, histogram, legend), ax)

    @classmethod
    def from_table(
        cls,
        table: Any,
        *,
        curve: CurveKind = "binned",
        scale: Scale = "probability",
        strategy: Strategy = "quantile",
        n_bins: Bins = 15,
        interval: BinInterval = "clopper-pearson",
        level: float = 0.9,
        n_resamples: int = 1000,
        limits: Literal["auto"] | tuple[float, float] = "auto",
        name: str | None = None,
        random_state: Any = None,
        ax: Any = None,
        consistency: bool | None = None,
        histogram: Histogram = True,
        legend: Legend = "below",
    ) -> ReliabilityDisplay:
        """Draw the reliability diagram of tables, for instance of data too large for memory.

        Parameters
        ----------
        table : ScoreTable or dict of str to ScoreTable
            One table per model. For weighted tables the legend has no intervals, since their rows
            cannot be resampled.
        curve, scale, strategy, n_bins, interval, level, n_resamples, limits, name : optional
            As in :meth:`from_predictions`.
        random_state, ax, consistency, histogram, legend : optional
            As in :meth:`from_predictions`.

        Returns
        -------
        display : ReliabilityDisplay
            The drawn display; the plot is the same as for the rows.

        Raises
        ------
        TypeError
            If a table is not a :class:`ScoreTable`.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from calibkit import ReliabilityDisplay, ScoreTable
        >>> table = ScoreTable.from_arrays([0, 0, 1, 1, 1], [0.2, 0.2, 0.2, 0.7, 0.9])
        >>> display = ReliabilityDisplay.from_table(table, n_bins=2)
        >>> display.curves_["Model"].n
        array([3, 2])
        """
        require("matplotlib", "plot")
        problems = problems_of_tables(by_name(table, name, "table"))
        known = strategy, n_bins, interval, level, n_resamples, random_state, limits
        settings = Settings(*known, curve, scale)
        return _drawn(cls, problems, settings, Drawing(consistency, histogram, legend), ax)

    def plot(
        self,
        ax: Any = None,
        *,
        consistency: bool | None = None,
        histogram: Histogram = True,
        legend: Legend = "below",
    ) -> ReliabilityDisplay:
        """Draw the display again.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; default: a new figure. The histogram takes a part of the axes' place;
            class-wise panels replace the axes.
        consistency : bool, optional
            Draw the band where a calibrated model's dots would be. Default: True for one model,
            False for several.
        histogram : bool, "log" or "outcome", default=True
            Draw the histogram of the scores, with linear (True) or logarithmic heights, or with
            events up and others down ("outcome"). With ``curve="smooth"``, True draws the density.
            There is none if class-wise.
        legend : {"below", "inside", "none"}, default="below"
            Place of the legend: below the axes, inside the panel, or none. If class-wise, it is
            above the panels.

        Returns
        -------
        display : ReliabilityDisplay
            The same display, with ``ax_``, ``histogram_ax_`` and ``figure_`` set.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from calibkit import ReliabilityDisplay
        >>> y, p = [0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9]
        >>> display = ReliabilityDisplay.from_predictions(y, p, n_bins=2)
        >>> display.plot(histogram=False).ax_.get_xlabel()
        'Mean predicted probability'
        """
        drawing = Drawing(consistency, histogram, legend)
        drawing.check()
        require("matplotlib", "plot")
        if consistency is None:
            drawing = drawing._replace(consistency=len(self._numbers.models) == 1)
        if self._numbers.kind == "classwise":
            self.ax_, self.histogram_ax_ = draw_grid(self._numbers, ax, drawing), None
        else:
            self.ax_, self.histogram_ax_ = draw_single(self._numbers, ax, drawing)
        return self

    def _parts(self) -> Iterator[dict[str, Any]]:
        for key, curve in self.curves_.items():
            names = {"model": key}
            if self._numbers.kind == "classwise":
                names = dict(zip(("model", "class"), key, strict=True))
            yield {**names, **curve._asdict()}

    def __repr__(self) -> str:
        models = ", ".join(self._numbers.models)
        return f"{type(self).__name__}({self._numbers.kind}: {models})"


def _drawn(
    cls: type[ReliabilityDisplay], problems: Problems, settings: Settings, drawing: Drawing, ax: Any
) -> ReliabilityDisplay:
    drawing.check()
    return cls(numbers_of(problems, settings)).plot(ax, **drawing._asdict())
