"""What labelled rows prove of a model's calibration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import xlogy

from .._numerics.binning import BinSums, distinct_starts, mass_borders, sort_by_score, sorted_sums
from .._numerics.debias import merge_small, squared_error
from .._numerics.exact import simultaneous
from .._numerics.inversion import of_sums
from .._numerics.links import FloatArray, IntArray
from .._numerics.region import mean_gaps, radius
from .params import check_flag, check_int, check_real
from .random import generator

#: Share of the failure probability that is spent on how often each output occurs.
_FOR_SHARES = 0.1
#: With more outputs the joint region would take too much memory.
_MOST_JOINT = 5000
#: Draws of labels behind lower bounds for continuous scores.
_N_DRAWS = 2000
#: A model counts as finite if at most this share of rows has a score of its own: by Good and
#: Turing that is about the probability that a new row has a score not seen yet.
_FINITE = 0.01


@dataclass(frozen=True)
class Verification:
    """Bounds of the calibration error of a model, and whether there can be any.

    ``print`` it for a sentence in plain words.

    Parameters
    ----------
    finite : bool
        Whether the model has finitely many outputs, so that its error can be verified. If not,
        the upper bounds are 1: no number of rows can lower them.
    level : float
        Confidence with which all bounds hold at once.
    n : int
        Number of rows.
    l1, l2, max : tuple of float
        Lower and upper bounds of the mean, the root mean square and the largest gap.
    value, count, events, low, high : ndarray of shape (m,)
        Each output, its rows and the events among them, and the exact interval of its true rate;
        all intervals hold at once. Empty for continuous scores.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import verify
    >>> y = np.arange(10_000) % 10 < np.repeat([2, 7], 5000)
    >>> verify(y, np.repeat([0.2, 0.7], 5000))
    Verified with 90% confidence on 10,000 rows: the probabilities are off by 0 to 0.0143 on \
average (l1; root mean square 0 to 0.0142), and none of the 2 outputs by more than 0.015.
    """

    finite: bool
    level: float
    n: int
    l1: tuple[float, float]
    l2: tuple[float, float]
    max: tuple[float, float]
    value: FloatArray = field(repr=False)
    count: FloatArray = field(repr=False)
    events: FloatArray = field(repr=False)
    low: FloatArray = field(repr=False)
    high: FloatArray = field(repr=False)

    def short(self) -> str:
        """The root mean square error in a few words, as reports and pictures show it.

        Returns
        -------
        text : str
            Estimate and bounds, or the lower bound marked as such.
        """
        if not self.finite:
            return f">= {self.l2[0]:.3f} (lower bound: continuous scores)"
        low, high = self.l2
        n = self.count
        squares = n * self.value**2 + self.events * (1.0 - 2.0 * self.value)
        sums = BinSums(n.astype(np.int64), n, n * self.value, self.events, squares)
        square = 0.0 if n.sum() < 2 else float(squared_error(merge_small(sums), "differences"))
        value = min(max(np.sqrt(max(square, 0.0)), low), high)
        return f"{value:.3f} [{low:.3f}, {high:.3f}] verified"

    def __str__(self) -> str:
        if not self.finite:
            return (
                f"Not verified: {self.n:,} rows with scores nearly all different. With "
                f"{self.level:.0%} confidence the probabilities are off by at least "
                f"{self.l2[0]:.3g} (root mean square; a lower bound, since bins hide a part of a "
                "continuous model's error), and no number of rows gives an upper bound. Bin the "
                "model to verify it: ScalingBinningCalibrator()."
            )
        return (
            f"Verified with {self.level:.0%} confidence on {self.n:,} rows: the probabilities are "
            f"off by {self.l1[0]:.3g} to {self.l1[1]:.3g} on average (l1; root mean square "
            f"{self.l2[0]:.3g} to {self.l2[1]:.3g}), and none of the {len(self.value)} outputs by "
            f"more than {self.max[1]:.3g}."
        )

    def __repr__(self) -> str:
        return str(self)


def counts_of(p: FloatArray, y: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distinct scores in ascending order, their rows, and the events among these."""
    p, y, _ = sort_by_score(p, y)
    starts = distinct_starts(p)
    n = np.diff(np.append(starts, len(p))).astype(np.float64)
    return p[starts], n, np.add.reduceat(y, starts, dtype=np.float64)


def looks_finite(n: FloatArray) -> bool:
    """Whether nearly every row shares its score with others, by the rows of each score."""
    return float(np.count_nonzero(n == 1) / n.sum()) <= _FINITE


def bounds_of(value: FloatArray, n: FloatArray, events: FloatArray, level: float) -> Verification:
    """Bounds for a model with these outputs, from the rows and events of each.

    Given the scores, labels of one output are independent with one rate, so exact intervals hold;
    Bonferroni makes them hold at once, and a joint region bounds the mean gap of these rows more
    tightly. It estimates the mean gap of all rows: a Chernoff bound for the mean of a variable
    between 0 and the largest gap covers the difference.
    """
    failure, total = 1.0 - level, float(n.sum())
    rates = 0.5 * failure * (1.0 - _FOR_SHARES)
    low, high = simultaneous(events / n, n, 1.0 - rates)
    least = np.maximum(np.maximum(low - value, value - high), 0.0)
    most = np.maximum(np.abs(value - low), np.abs(high - value))
    # Four one-sided bounds of means: l1 and l2, below and above.
    slack = np.log(4.0 / (failure * _FOR_SHARES)) / total if len(value) > 1 else 0.0
    top, reach = float(most.max()), radius(n, rates)

    def bounds(power: int) -> tuple[float, float]:
        scale = top**power
        if scale == 0.0:
            return 0.0, 0.0
        few = len(value) <= _MOST_JOINT
        joint = mean_gaps(value, n, events, reach, power) if few else (0.0, scale)
        lowest = max(joint[0], float(n @ least**power / total)) / scale
        highest = min(joint[1], float(n @ most**power / total)) / scale
        inside = _mean_below(min(lowest, 1.0), slack), _mean_above(highest, slack)
        return (inside[0] * scale) ** (1.0 / power), (inside[1] * scale) ** (1.0 / power)

    largest = float(least.max()), top
    ends = bounds(1), bounds(2), largest
    return Verification(True, level, int(total), *ends, value, n, events, low, high)


def lower_bounds(
    p: FloatArray, n: FloatArray, events: FloatArray, level: float, n_bins: int, seed: int
) -> Verification:
    """Lower bounds from equal-mass bins; there are no others for continuous scores."""
    borders = mass_borders(p, n, min(n_bins, int(n.sum())))
    sums = merge_small(sorted_sums(p, n.astype(np.int64), n, events, borders, squares=True))
    # The lower end of a two-sided interval fails in half of the cases; here are two of them.
    l1, l2 = (of_sums(norm, sums, level, _N_DRAWS, seed)[0] for norm in ("l1", "l2"))
    none = np.empty(0)
    bounds = (l1, 1.0), (max(l1, l2), 1.0), (max(l1, l2), 1.0)
    return Verification(False, level, int(n.sum()), *bounds, none, none, none, none, none)


def verify_counts(
    value: FloatArray,
    n: FloatArray,
    events: FloatArray,
    *,
    level: float,
    finite: bool | None,
    n_bins: int,
    random_state: Any,
    where: str,
) -> Verification:
    """What the rows and events of each distinct score prove."""
    check_real(where, "level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    check_int(where, "n_bins", n_bins, low=1)
    if finite is not None:
        check_flag(where, "finite", finite)
    if looks_finite(n) if finite is None else finite:
        return bounds_of(value, n, events, level)
    if n.sum() < 2:
        raise ValueError(f"{where}: one row; expected at least two.")
    seed = int(generator(random_state).integers(2**31))
    return lower_bounds(value, n, events, level, n_bins, seed)


def _divergence(a: float, b: float) -> float:
    """Kullback-Leibler divergence of two coins."""
    parts = xlogy(a, a) - xlogy(a, b) + xlogy(1 - a, 1 - a) - xlogy(1 - a, 1 - b)
    return float(parts)


def _mean_above(mean: float, slack: float) -> float:
    """Largest true mean in [0, 1] with ``divergence(mean, truth) <= slack``."""
    if slack == 0.0 or mean >= 1.0:
        return min(mean, 1.0)
    top = 1.0 - 1e-15
    if _divergence(mean, top) <= slack:
        return 1.0
    return float(brentq(lambda q: _divergence(mean, q) - slack, mean, top))


def _mean_below(mean: float, slack: float) -> float:
    """Smallest true mean with ``divergence(mean, truth) <= slack``."""
    if slack == 0.0 or mean <= 0.0:
        return max(mean, 0.0)
    return 1.0 - _mean_above(1.0 - mean, slack)
