"""Bucket collapse: a low calibration error because all probabilities are near the base rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.errors import InputError
from .._core.signals import check_range, validate_correct, validate_signals
from .._numerics.binning import assign, uniform_borders
from .._typing import FloatArray
from ..metrics import Estimate, estimate, estimate_or_value

N_BINS = 10
#: Collapsed: at least this share of outputs in two neighboring bins, and a skill below this.
_SHARE, _SKILL = 0.95, 0.01


@dataclass(frozen=True)
class BucketCollapse:
    """Whether calibrated probabilities tell more than the base rate; prints as a sentence.

    Attributes
    ----------
    share : float
        Largest share of the outputs that lie in two neighboring bins of ten.
    spread : float
        Standard deviation of the probabilities.
    skill : Estimate
        Brier skill score.
    ece : float
        Expected calibration error, ten bins of equal width.
    collapsed : bool
        Whether nearly all outputs lie in two neighboring bins and the skill is near 0 or below.

    Examples
    --------
    >>> from calibkit.decisions import bucket_collapse
    >>> found = bucket_collapse([0.34, 0.35, 0.36] * 100, [0, 1, 0] * 100)
    >>> found.collapsed, found.share
    (True, 1.0)
    """

    share: float
    spread: float
    skill: Estimate
    ece: float
    collapsed: bool

    def __str__(self) -> str:
        seen = (
            f"{self.share:.0%} of the outputs are in two neighboring bins of ten; "
            f"Brier skill score {self.skill.value:.3f}"
        )
        if not np.isnan(self.skill.low):
            seen += f" [{self.skill.low:.3f}, {self.skill.high:.3f}]"
        if not self.collapsed:
            return f"no bucket collapse: {seen}"
        if self.skill.high < 0:
            return f"bucket collapse: {seen}. Predicting the base rate would be better."
        return (
            f"bucket collapse: {seen}. Predicting the base rate also gives a low ECE, so the ECE "
            f"of {self.ece:.4f} proves nothing: {self._verdict()}."
        )

    def _verdict(self) -> str:
        """What the interval of the skill says of the signal."""
        if self.skill.low > 0:
            return "the signal tells little"
        if self.skill.high < _SKILL:
            return "the signal is uninformative"
        return "the skill may be due to chance"


def bucket_collapse(
    p: Any, correct: Any, *, groups: Any = None, level: float = 0.9, random_state: Any = 0
) -> BucketCollapse:
    """Check whether calibrated probabilities tell more than the base rate.

    Calibration maps an uninformative signal to nearly one value, the base rate. The calibration
    error is then near 0, although the signal is useless. The Brier skill score shows this: it is
    near 0 too.

    Parameters
    ----------
    p : array-like of shape (n,)
        Calibrated probabilities that the outputs are correct, out of fold, for instance from
        :func:`cross_val_calibrate`.
    correct : array-like of shape (n,)
        Whether each output is correct: 0/1 or bool; both kinds must occur.
    groups : array-like of shape (n,), optional
        Problem or repository of each output. Outputs of one group are resampled together for the
        interval of the skill.
    level : float, default=0.9
        Confidence level of that interval.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the bootstrap.

    Returns
    -------
    found : BucketCollapse
        It is collapsed if at least 95 % of the outputs are in two neighboring bins of ten, and
        the skill is below 0.01 or its interval contains 0 or lies below 0.

    Raises
    ------
    ValueError
        If the data are invalid.

    Notes
    -----
    In simulations with half of the outputs correct, 85 % of uninformative signals were found with
    300 outputs, and all of them with 1,000 or more. Where success is rare, two bins contain nearly
    all probabilities even for a useful signal: at a base rate of 0.1, 28 % of signals with a true
    skill of 0.05 were flagged with 300 outputs, and none with 1,000. For these the sentence says
    that the skill may be due to chance.

    References
    ----------
    C. Spiess et al. (2024). Calibration and correctness of language models for code. ICSE 2025,
    arXiv 2402.02047.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.decisions import bucket_collapse, cross_val_calibrate
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.beta(8, 2, size=2000)
    >>> correct = rng.random(2000) < 0.35
    >>> found = bucket_collapse(cross_val_calibrate("platt", signal, correct), correct)
    >>> found.collapsed, found.ece < 0.01
    (True, True)
    """
    y = validate_correct(correct, p, "p")
    q = validate_signals({"p": p}, len(y))["p"]
    check_range(q, "probability", "p")
    if np.isnan(q).any():
        raise InputError(
            "p contains NaN; expected a probability for every output. Drop the outputs without one."
        )
    settings = {"groups": groups, "level": level, "random_state": random_state}
    skill = estimate_or_value("brier_skill_score", y, q, **settings)
    ece = estimate("expected_calibration_error", y, q, n_bins=min(N_BINS, len(y)), **settings)
    return collapse_of(q, skill, ece.value)


def collapse_of(p: FloatArray, skill: Estimate, ece: float) -> BucketCollapse:
    """The same, from a skill and an ECE that were computed before."""
    counts = np.bincount(assign(p, uniform_borders(N_BINS)), minlength=N_BINS)
    share = float((counts[1:] + counts[:-1]).max() / len(p))
    collapsed = share >= _SHARE and (skill.value < _SKILL or skill.low <= 0)
    return BucketCollapse(share, float(p.std()), skill, ece, collapsed)
