"""Certificates of calibration."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.params import check_flag, check_int, check_real
from .._core.verification import Verification, continuous, looks_finite, verify_finite
from ._interval import error_interval
from ._rows import Binary, infer_kind, read_problem, reduce_rows

_N_DRAWS = 2000


def verify(
    y_true: Any,
    y_prob: Any,
    *,
    level: float = 0.9,
    finite: bool | None = None,
    n_bins: int = 15,
    kind: str | None = None,
    pos_label: Any = None,
    classes: Any = None,
    random_state: Any = 0,
) -> Verification:
    """What labelled rows prove of a model's calibration.

    Use it on rows that neither the model nor its calibrator has seen. A model with finitely many
    outputs gets lower and upper bounds of its error; for continuous scores no upper bound exists.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    y_prob : array-like of shape (n,), (n, 2) or (n, K)
        Probabilities of the larger label, or of every class.
    level : float, default=0.9
        Confidence with which all bounds hold at once.
    finite : bool, optional
        Whether the model has finitely many outputs. Default: it has if at most 1 % of the rows
        have a score that no other row has.
    n_bins : int, default=15
        Equal-mass bins of the lower bound for continuous scores.
    kind : {"binary", "top_label"}, optional
        Which probabilities; default: of the event, or of the winning class for K > 2.
    pos_label : label, optional
        The event, for two classes; default: the larger label.
    classes : array-like, optional
        All class labels in sorted order, where ``y_true`` may miss some.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the simulated labels behind the lower bound for continuous scores.

    Returns
    -------
    verification : Verification
        Bounds of the l1, l2 and largest error; prints as a sentence.

    Raises
    ------
    ValueError
        If the data are not of the kind described.

    Notes
    -----
    Finite outputs: exact (Clopper-Pearson) intervals of every output's rate hold at once by
    Bonferroni; they bound each gap and so the errors on these rows. A Chernoff bound, on a tenth
    of the failure probability, carries l1 and l2 over from these rows to the population. Nothing
    is asymptotic. Rows are taken as independent, and bounds speak of outputs that occur in these
    rows. Continuous scores: the lower end of the interval of :func:`estimate`, one-sided.

    References
    ----------
    A. Kumar, P. Liang, T. Ma (2019). Verified uncertainty calibration. NeurIPS. --- C. Clopper,
    E. Pearson (1934). The use of confidence or fiducial limits illustrated in the case of the
    binomial. Biometrika 26(4).

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import ScalingBinningCalibrator, verify
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(40_000)
    >>> y = rng.random(40_000) < p**2
    >>> binned = ScalingBinningCalibrator(n_bins=5).fit(p[:5000], y[:5000])
    >>> bounds = verify(y[5000:], binned.predict_proba(p[5000:])[:, 1])
    >>> bounds.finite, bounds.max[1] < 0.05
    (True, True)
    >>> verify(y, p).finite
    False
    """
    where = "verify"
    check_real(where, "level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    check_int(where, "n_bins", n_bins, low=1)
    if finite is not None:
        check_flag(where, "finite", finite)
    rows = read_problem(y_true, y_prob, pos_label=pos_label, classes=classes, where=where)
    if kind is None and rows.scores.n_classes > 2:
        kind = "top_label"
    kind = infer_kind(kind, rows.scores, where)
    if kind == "classwise":
        raise ValueError(
            f"{where}: kind='classwise'; expected one problem at a time. Verify each class: "
            "verify(y_true == label, column, level=1 - (1 - level) / n_classes)."
        )
    return verify_rows(reduce_rows(rows, kind)[0], level, finite, n_bins, random_state)


def verify_rows(
    b: Binary, level: float, finite: bool | None, n_bins: int, random_state: Any
) -> Verification:
    """The same of checked rows."""
    if looks_finite(b.p) if finite is None else finite:
        return verify_finite(b.p, b.y, level)
    rng = np.random.default_rng(random_state)
    lower = {}
    for norm in ("l1", "l2"):
        settings = {"norm": norm, "strategy": "quantile", "n_bins": min(n_bins, len(b.p))}
        # The lower end of a two-sided interval fails in half of the cases; here are two of them.
        lower[norm] = error_interval([b], settings, level, _N_DRAWS, rng, None).low
    return continuous(lower, len(b.p), level)
