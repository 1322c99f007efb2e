"""Bucket collapse: a calibration error near zero that was reached by learning nothing."""

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
#: Share of outputs in two neighbouring bins, and skill, from which scores count as collapsed.
_SHARE, _SKILL = 0.95, 0.01


@dataclass(frozen=True)
class BucketCollapse:
    """Whether probabilities say more than the base rate; prints as a sentence.

    Attributes
    ----------
    share : float
        Share of the outputs in the fullest two neighbouring bins of ten.
    spread : float
        Standard deviation of the probabilities.
    skill : Estimate
        Brier skill score.
    ece : float
        Expected calibration error, ten bins of equal width.
    collapsed : bool
        Whether nearly all outputs share two bins and the skill is next to nothing.

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
            f"{self.share:.0%} of the outputs in two neighbouring bins of ten, "
            f"skill {self.skill.value:.3f}"
        )
        if not np.isnan(self.skill.low):
            seen += f" [{self.skill.low:.3f}, {self.skill.high:.3f}]"
        if not self.collapsed:
            return f"no bucket collapse: {seen}"
        if self.skill.high < 0:
            return f"bucket collapse: {seen}. Forecasting the base rate would be better."
        return (
            f"bucket collapse: {seen}. The ECE of {self.ece:.4f} is what forecasting the base "
            f"rate gives: {self._learnt()}."
        )

    def _learnt(self) -> str:
        """How much was, by the interval of the skill alone."""
        if self.skill.low > 0:
            return "little was learnt"
        return "nothing was learnt" if self.skill.high < _SKILL else "the skill may be chance"


def bucket_collapse(
    p: Any, correct: Any, *, groups: Any = None, level: float = 0.9, random_state: Any = 0
) -> BucketCollapse:
    """Whether rescaling has left anything but the base rate.

    A signal that says nothing is rescaled to nearly one value. Its calibration error is then
    nearly 0, though nothing was learnt; its skill, nearly 0 too, tells.

    Parameters
    ----------
    p : array-like of shape (n,)
        Rescaled probabilities of being correct, out of fold.
    correct : array-like of shape (n,)
        Whether the output was correct: 0/1 or bool; of both kinds.
    groups : array-like of shape (n,), optional
        Problem or repository of each output, drawn together for the interval of the skill.
    level : float, default=0.9
        Coverage of that interval.
    random_state : int, RandomState, Generator or None, default=0
        Seed of its draws.

    Returns
    -------
    found : BucketCollapse
        Collapsed if at least 95 % of the outputs are in two neighbouring bins of ten, and the skill
        is below 0.01 or its interval begins at or below 0.

    Raises
    ------
    ValueError
        If the data are not of the kind described.

    Notes
    -----
    Of 300 outputs, half right, 85 % of useless signals were found, and all of 1,000 or more. Two
    bins hold nearly all probabilities where success is rare: at a rate of 0.1, 28 % of signals with
    a true skill of 0.05 were flagged at n = 300, none at 1,000. The sentence then says that the
    skill may be chance, not that nothing was learnt.

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
        raise InputError("p contains NaN; expected a probability of every output.")
    settings = {"groups": groups, "level": level, "random_state": random_state}
    skill = estimate_or_value("brier_skill_score", y, q, **settings)
    ece = estimate("expected_calibration_error", y, q, n_bins=min(N_BINS, len(y)), **settings)
    return collapse_of(q, skill, ece.value)


def collapse_of(p: FloatArray, skill: Estimate, ece: float) -> BucketCollapse:
    """The same, from what is known already."""
    counts = np.bincount(assign(p, uniform_borders(N_BINS)), minlength=N_BINS)
    share = float((counts[1:] + counts[:-1]).max() / len(p))
    collapsed = share >= _SHARE and (skill.value < _SKILL or skill.low <= 0)
    return BucketCollapse(share, float(p.std()), skill, ece, collapsed)
