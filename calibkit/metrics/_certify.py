"""Certificates: bounds of the calibration error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from scipy.stats import binom

from .._core.certification import (
    Certificate,
    Settings,
    certify_classes,
    certify_counts,
    certify_rows,
    counts_of,
    upper_bounds_of,
)
from .._core.certified_groups import grouping
from .._core.errors import InputError
from .._core.inputs import validate_scores
from .._core.params import check_choice, check_int, check_real, generator, with_hints
from .._core.printed import spelled
from .._core.rows import (
    infer_kind,
    reduce_rows,
    refuse_beside_table,
    refuse_kind,
    reversal,
    validate_problem,
)
from .._numerics.influence import reversed_area
from .._typing import FloatArray, Kind, Norm
from ._table import ScoreTable

#: Simulated data sets for the first guess, and for the answer (fewer if there are many outputs).
_N_SEARCH, _N_SETS = 60, 10_000
_MOST_NUMBERS, _PART = 100_000, 20_000
#: Confidence that the number of rows reaches the bound with the given power.
_SURE = 0.99
_MOST_OUTPUTS = 10_000
_MOST_ROWS = 1e12
_MOST_STEPS = 30


@with_hints
def certify(
    y_true: Any,
    y_prob: Any = None,
    *,
    level: float = 0.9,
    finite: bool | None = None,
    n_bins: int = 15,
    kind: Kind | None = None,
    pos_label: Any = None,
    classes: Any = None,
    random_state: Any = 0,
    groups: Any = None,
    max_group_size: int | None = None,
) -> Certificate:
    """Bound the calibration error of a model with confidence, from labeled rows.

    Use rows that neither the model nor its calibrator has seen. If the model has finitely many
    outputs, there are lower and upper bounds; for continuous scores there is no upper bound.
    ``certify_bins`` of :class:`HistogramBinningCalibrator` bounds each bin from the rows of
    ``fit``. :func:`rows_to_certify` tells how many rows a certificate needs.

    Parameters
    ----------
    y_true : array-like of shape (n,), or ScoreTable
        Labels, or a table of all rows of a binary problem.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label (one column), or of each class.
    level : float, default=0.9
        Confidence that all bounds are true together.
    finite : bool, optional
        Whether the model has finitely many outputs. Default: yes if at most 1% of the rows have a
        unique score. With more than 5,000 distinct scores there must also be 100 rows for each on
        average; otherwise they are treated as rounded continuous scores, as are the cells of a
        table that ``coarsen`` or ``from_sql`` made of several scores.
    n_bins : int, default=15
        Number of equal-mass bins for the lower bound of continuous scores and of models with more
        than 30 outputs.
    kind : {"binary", "top_label", "classwise"}, optional
        What to bound. Default: the error of the probability of the event, or of the predicted class
        for K > 2 classes.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the simulation behind the lower bounds from bins.
    groups : array-like of shape (n,), optional
        Group of each row, such as the patient or the problem. Rows of one group may depend on each
        other in any way; the groups are independent.
    max_group_size : int, optional
        Most rows that a group can have, now and in future. Set it if group sizes vary. Default:
        the size of the largest group in the data.

    Returns
    -------
    certificate : Certificate
        Bounds of the l1, l2 and largest error. It prints as a sentence.

    Raises
    ------
    ValueError
        If the data are invalid.

    Notes
    -----
    Finitely many outputs. *Assumption*: rows are independent and have equal weight (an effective
    number of rows is an approximation and proves nothing). *What is proved*: all bounds together,
    for any number of rows. The largest gap is bounded by exact (Clopper-Pearson) intervals of all
    outputs' rates, simultaneous by Bonferroni. The upper bounds of l1 and l2 come from
    ``T = sum(n_b * (share_b - value_b)**2)``: by Markov's inequality for ``exp(-s T)``, whose
    binomial mean is known for all rates, a small T excludes all rates with a large error. The
    strength s depends on outputs and counts alone. Lower bounds, and the upper ones of large
    errors, come from a joint region around the shares, ``sum(n_b * KL(share_b, rate_b)) <= c``. A
    Chernoff bound extends those of l1 and l2 to new rows with the same outputs; ``unseen`` bounds
    the share of all other new rows. *What it costs*: to find an l2 error of .05 of 10 equally
    frequent outputs, a two-sided chi-squared test needs 2,102 rows. An upper bound of .05 needs 1.2
    times as many if it is the only bound, and of these rows only. All bounds together, for new
    rows, need 1.8 times as many. With 50 outputs it is 1.2 and 1.9 times
    (``python benchmarks/proofs.py rows``).

    Groups. *Assumption*: the groups are independent draws, none has more than ``max_group_size``
    rows, and the outputs are those that occur. *What is proved*: the same bounds. The rate of an
    output is the expected number of its events in a group divided by that of its rows, so large
    groups count more. The bounds come from bets on the totals of the groups: on
    ``events - rate * rows`` for each rate (Bonferroni over the outputs), and for l1 on the sum of
    ``output - y``, with the sign of each output's gap; l2 follows from both. *What it costs*: even
    if rows of a group happen to be independent, bounds are wider than without ``groups``. For 2,000
    groups of 8 rows and 10 outputs, they are 1.3 times as large for l1 and the largest gap, and 2.2
    times for l2 (``python benchmarks/proofs.py groups``). Some of this can't be avoided: groups
    with ``max_group_size`` events of one output may be a share of ``log(1 / (1 - level)) / G`` of
    all groups, and still be missing among G groups. For l2 and small groups, one row of each group
    may give a smaller bound. Groups of one row are independent rows.

    Continuous scores: the one-sided lower end of the interval of :func:`estimate`. With more than
    30 outputs, unless ``finite=True``, the better of both lower bounds is given, and each bound
    uses half of the failure probability. None of these choices depends on the labels.

    References
    ----------
    A. Kumar, P. Liang, T. Ma (2019). Verified uncertainty calibration. NeurIPS. --- C. Clopper,
    E. Pearson (1934). The use of confidence or fiducial limits illustrated in the case of the
    binomial. Biometrika 26(4).

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import ScalingBinningCalibrator, certify
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(40_000)
    >>> y = rng.random(40_000) < p**2
    >>> binned = ScalingBinningCalibrator(n_bins=5).fit(p[:5000], y[:5000])
    >>> bounds = certify(y[5000:], binned.predict_proba(p[5000:])[:, 1])
    >>> bounds.finite, bounds.max[1] < 0.05
    (True, True)
    >>> certify(y, p).finite
    False

    Rows of five belong together, and may depend on each other:

    >>> groups = np.arange(35_000) // 5
    >>> found = certify(y[5000:], binned.predict_proba(p[5000:])[:, 1], groups=groups)
    >>> found.n_groups, found.l1[1] < 0.03
    (7000, True)
    """
    settings = Settings(level, finite, n_bins, random_state)
    if isinstance(y_true, ScoreTable):
        refuse_beside_table(y_prob, None, pos_label, classes, groups)
        refuse_kind(kind)
        grouping(None, max_group_size, 0)
        if y_true.weighted:
            raise InputError(
                "the table has weighted rows; expected rows of equal weight, because an effective "
                "number of rows is an approximation for many rows and proves nothing."
            )
        if not y_true.plain:
            raise InputError(
                "the table has fractions as labels; expected labels 0 and 1, because the bounds "
                "come from numbers of events. estimate takes fractions."
            )
        if y_true.losses is not None:  # what a cell hides of the error is not known
            if finite is True:
                raise InputError(
                    "finite=True, and entries of the table are cells of several scores; expected "
                    "an entry for each score, as of from_sql(..., n_cells=None) without coarsen."
                )
            settings = settings._replace(finite=False)
        size = y_true.n.astype(np.float64)
        bounds = certify_counts((y_true.p, size, y_true.wy), settings)
        return replace(bounds, note=reversal(reversed_area(size, y_true.wy, size, y_true.wy)))
    rows = validate_problem(y_true, y_prob, pos_label=pos_label, classes=classes)
    settings = settings._replace(groups=grouping(groups, max_group_size, len(rows.y)))
    kind = infer_kind(kind, rows.scores.n_classes)
    problems = reduce_rows(rows, kind)
    if kind == "classwise":
        return certify_classes([(b.p, b.y) for b in problems], settings)
    b = problems[0]
    bounds = certify_rows(b.p, b.y, settings, kind=kind)
    _, n, events = counts_of(b.p, b.y)
    area = reversed_area(n, events, n, events) if kind == "binary" else None
    return replace(bounds, note=reversal(area, y_true, y_prob, pos_label))


def rows_to_certify(
    error: float,
    n_bins: int,
    *,
    level: float = 0.9,
    norm: Norm = "l2",
    power: float = 0.9,
    value: Any = None,
    random_state: Any = 0,
) -> int:
    """Compute how many labeled rows :func:`certify` needs for an upper bound of ``error``.

    Use it before you collect labels. The number is for independent rows and a perfectly calibrated
    model with ``n_bins`` equally frequent outputs; rows in groups and a miscalibrated model need
    more. It is not about ``certify_bins`` of histogram binning, which uses the rows of ``fit``.

    Parameters
    ----------
    error : float
        The upper bound to reach, in (0, 1).
    n_bins : int
        Number of outputs of the model, at most 10,000.
    level : float, default=0.9
        Confidence of the certificate.
    norm : {"l1", "l2", "max"}, default="l2"
        Which error to bound, as in :func:`calibration_error`.
    power : float, default=0.9
        Probability that the bound is reached with this number of rows.
    value : array-like of shape (n_bins,), optional
        The outputs. Default: all 1/2, where rates are hardest to estimate.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the simulation.

    Returns
    -------
    n : int
        Number of rows. The simulation has 99% confidence that it is enough.

    Raises
    ------
    ValueError
        If a setting is out of range, or if more than 10^12 rows are needed.

    Notes
    -----
    For each number of rows that is tried, 60 data sets are simulated, and up to 10,000 for the last
    ones. A number is enough if, with 99% confidence, a share ``power`` of the bounds is at most
    ``error``. It grows approximately like ``sqrt(n_bins) / error**2``; the largest gap needs more
    rows, approximately like ``n_bins * log(n_bins) / error**2``.

    Examples
    --------
    >>> from calibkit import rows_to_certify
    >>> few, many = rows_to_certify(0.05, 10), rows_to_certify(0.05, 50)
    >>> 1.5 < many / few < 2.5
    True
    """
    check_real("error", error, low=0.0, high=1.0, open_low=True, open_high=True)
    check_int("n_bins", n_bins, low=1)
    check_choice("norm", norm, get_args(Norm))
    for name, share in (("level", level), ("power", power)):
        check_real(name, share, low=0.0, high=1.0, open_low=True, open_high=True)
    if n_bins > _MOST_OUTPUTS:
        raise InputError(f"n_bins={n_bins}; expected at most {_MOST_OUTPUTS:,}.")
    outputs = _outputs(value, n_bins)
    seed = int(generator(random_state).integers(2**31))

    def ratio(n: float, n_sets: int, place: int) -> float:
        rows = np.full(n_bins, np.ceil(n / n_bins))
        bounds = [
            upper_bounds_of(norm, outputs, rows, events, level)
            for events in _events(rows, outputs, n_sets, seed)
        ]
        return float(np.sort(np.concatenate(bounds))[place]) / error

    start = _search(ratio, _N_SEARCH, 4.0 * n_bins, n_bins, power, 0.05)
    n_sets = int(np.clip(_MOST_NUMBERS / n_bins, _N_SEARCH, _N_SETS))
    n = _search(ratio, n_sets, start, n_bins, power, 0.005)
    if n > _MOST_ROWS:
        raise InputError(f"error={spelled(error)} needs more than 10^12 rows. Pass a larger error.")
    return int(np.ceil(n / n_bins)) * n_bins


def _events(rows: FloatArray, outputs: FloatArray, n_sets: int, seed: int) -> Iterator[FloatArray]:
    """Events of simulated data sets, in parts that fit into memory.

    Large numbers are rounded to a twentieth of their standard deviation: equal ones are quick.
    """
    rng = np.random.default_rng(seed)
    unit = np.maximum(np.floor(np.sqrt(rows * outputs * (1.0 - outputs)) / 20.0), 1.0)
    each = max(_PART // len(rows), 1)
    for first in range(0, n_sets, each):
        size = min(each, n_sets - first), len(rows)
        events = rng.binomial(rows.astype(np.int64), outputs, size=size)
        yield np.minimum(np.rint(events / unit) * unit, rows)


def _search(
    ratio: Callable[[float, int, int], float],
    n_sets: int,
    n: float,
    n_bins: int,
    power: float,
    precision: float,
) -> float:
    """Search the smallest number of rows whose data sets reach the bound often enough.

    Bounds shrink like 1 / sqrt(n), or in steps if counts are small, so the search keeps both ends.
    """
    # With that confidence, at least the share ``power`` lies below the value at this place.
    place = min(int(binom.ppf(_SURE, n_sets, power)), n_sets - 1)
    low, high = 0.0, np.inf
    for _ in range(_MOST_STEPS):
        reached = ratio(n, n_sets, place)
        low, high = (low, min(high, n)) if reached <= 1.0 else (max(low, n), high)
        if high <= max(low * (1.0 + precision), 1.0 * n_bins) or n > _MOST_ROWS:
            break
        n *= float(np.clip((reached / (1.0 - 0.25 * precision)) ** 2, 1e-2, 1e4))
        if not low < n < high:
            n = low + 0.5 * (high - low) if np.isfinite(high) else 1.5 * low
        n = float(np.ceil(max(n, n_bins) / n_bins) * n_bins)
        if n in (low, high):
            break
    return high if np.isfinite(high) else n


def _outputs(value: Any, n_bins: int) -> FloatArray:
    if value is None:
        return np.full(n_bins, 0.5)
    outputs = validate_scores(value, scale="probability", name="value").values
    if outputs.shape != (n_bins,):
        raise InputError(
            f"value has shape {outputs.shape}; expected one output per bin, ({n_bins},)."
        )
    return outputs
