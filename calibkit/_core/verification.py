"""What is known of a model's calibration, and in words."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .._numerics.binning import BinSums
from .._numerics.debias import merge_small, squared_error
from .._typing import FloatArray
from .params import percent

_SUBJECTS = {
    "binary": "the probabilities are",
    "top_label": "the confidence in the winning class is",
    "classwise": "the probabilities of the classes are, averaged over the classes,",
}
#: A largest gap that may be larger than this is not worth a word.
_LARGE = 0.25


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
        all intervals hold at once. Empty for continuous scores; class after class if class-wise.
    unseen : float, default=0.0
        Upper bound of the share of new rows with an output that none of these rows has, of which
        nothing is said.
    kind : {"binary", "top_label", "classwise"}, default="binary"
        What is verified: the probability of the larger class, the confidence in the winning class,
        or the probabilities of all classes, with errors averaged over the classes.
    note : str, default=""
        What else is to be said, such as that the scores look like those of the other label.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit import verify
    >>> y = np.arange(10_000) % 10 < np.repeat([2, 7], 5000)
    >>> verify(y, np.repeat([0.2, 0.7], 5000))
    Verified with 90% confidence on 10,000 rows: the probabilities are off by 0 to 0.0143 on \
average (l1; root mean square 0 to 0.0143), and none of the 2 outputs by more than 0.015. \
At most 0.12% of new rows have an output that did not occur here.
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
    unseen: float = 0.0
    kind: str = "binary"
    note: str = ""

    @property
    def says_largest(self) -> bool:
        """Whether the upper bound of the largest gap is small enough to be worth a word."""
        return self.max[1] <= _LARGE

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
        sure, what = percent(self.level), _SUBJECTS[self.kind]
        if not self.finite:
            off = f"{what} off by at least {self.l2[0]:.3g} (root mean square)"
            if self.l2[0] == 0.0:
                off = "no error can be shown"
            return (
                f"Not verified: these are taken for continuous scores, on {self.n:,} rows. With "
                f"{sure} confidence {off}; that is a lower bound, since bins hide a part of a "
                "continuous model's error, and no number of rows gives an upper bound. Bin the "
                "model to verify it, with few bins: ScalingBinningCalibrator(n_bins=10)."
                f"{self._note()}"
            )
        text = (
            f"Verified with {sure} confidence on {self.n:,} rows: {what} off by {self.l1[0]:.3g} "
            f"to {self.l1[1]:.3g} on average (l1; root mean square {self.l2[0]:.3g} to "
            f"{self.l2[1]:.3g})"
        )
        n = f"{len(self.value):,} outputs"
        if self.says_largest:
            text += f", and none of the {n} by more than {self.max[1]:.3g}."
        else:
            text += f"; the {n} have too few rows for a bound on each."
        if self.unseen > 0:
            text += (
                f" At most {100 * self.unseen:.2g}% of new rows have an output that did not occur "
                "here."
            )
        return text + self._note()

    def _note(self) -> str:
        return f" {self.note}" if self.note else ""

    def __repr__(self) -> str:
        return str(self)
